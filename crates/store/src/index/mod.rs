//! The index area: what is derived from the ledger, fast to write and cheap to lose.
//!
//! Writes go into a memtable and are durable only with the next checkpoint. A checkpoint freezes
//! the memtable; a thread computes the state tree from it, writes frozen and computed rows to the
//! database, flushes, and takes the frozen memtable away. Reads go memtable, frozen memtable,
//! database, in that order, so a half written database shows through nowhere.
//!
//! Key layout: [`layout`]. Whole or absent after a crash: [`evidence`]; finished after it: [`redo`]. The
//! thread: [`checkpoint`].
//!
//! The index is never repaired. In doubt it is emptied, and the replica rebuilds it from the
//! ledger.

mod checkpoint;
mod evidence;
mod front;
mod generations;
mod hot;
mod layout;
mod memtable;
mod overlay;
mod redo;
mod verdict;

use std::io::Write as _;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use replica::port::{
    CheckpointJob, CheckpointMark, Direction, IndexTip, IndexWrites, KeyRange, Row, StoreFault, Table,
};

use crate::database::{self, Database, Profile};
use crate::fault;
use crate::options::Options;
use crate::private;
use crate::room::Room;
use checkpoint::{Progress, Task};
use front::Front;
use generations::Generations;
use hot::{HotRows, Looked};
use memtable::Memtable;
use overlay::Layers;
use redo::Redo;
use verdict::Verdict;

/// Compression of pages: rows are small and alike.
const PAGE_LEVEL: i32 = 1;

/// The index database, its layers and its thread.
#[derive(Debug)]
pub(crate) struct Index {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the checkpoint thread share.
#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    database: Database,
    room: Room,
    evidence_rows_max: usize,
    reopen_bytes: u64,
    slice_rows_max: usize,
    layers: RwLock<Layers>,
    /// What the database holds of tables that come by chance.
    generations: RwLock<Generations>,
    hot: HotRows,
    /// For what others wait for, while the thread that makes checkpoints stands back.
    front: Front,
    progress: Mutex<Progress>,
    /// Told whenever `progress` changes.
    changed: Condvar,
}

impl Index {
    /// Opens the index. A checkpoint that can be finished is; an index that is missing, half written
    /// otherwise, or damaged is emptied.
    pub(crate) fn open(options: &Options, room: &Room) -> Result<Self, StoreFault> {
        let directory = options.directory.clone();
        let (database, mark, generations) = open_or_empty(options)?;
        let applied = mark.as_ref().map(|mark| mark.height);
        let shared = Arc::new(Shared {
            database,
            room: room.to_finish(),
            evidence_rows_max: options.evidence_rows_max.max(1),
            reopen_bytes: options.index_reopen_bytes,
            slice_rows_max: options.slice_rows_max,
            layers: RwLock::new(Layers { applied, ..Layers::default() }),
            generations: RwLock::new(generations),
            hot: HotRows::default(),
            front: Front::start().map_err(|error| fault::io("starting a thread of the index", error))?,
            progress: Mutex::new(Progress::starting_at(mark)),
            changed: Condvar::new(),
            directory,
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("index-checkpoint".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| fault::io("starting the checkpoint thread", error))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn tip(&self) -> Option<IndexTip> {
        let checkpoint = self.shared.progress().newest()?;
        let applied = self.shared.layers().applied;
        Some(IndexTip { height: applied.unwrap_or(checkpoint.height), checkpoint })
    }

    pub(crate) fn reset(&self) -> Result<(), StoreFault> {
        let mut progress = self.shared.wait_while_busy(self.shared.progress())?;
        let shared = &*self.shared;
        shared.database.recreate(&discarded(&shared.directory))?;
        shared.hot.forget();
        let mut generations = shared.generations.write().unwrap_or_else(PoisonError::into_inner);
        *generations = generations.emptied();
        drop(generations);
        remove_traces(&shared.directory)?;
        *shared.layers.write().unwrap_or_else(PoisonError::into_inner) = Layers::default();
        *progress = Progress::starting_at(None);
        Ok(())
    }

    pub(crate) fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault> {
        self.shared.progress().check_not_lost()?;
        let mut layers = self.shared.layers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(applied) = layers.applied {
            assert_eq!(Some(height), applied.checked_add(1), "writes that do not follow the index's tip");
        }
        layers.memtable.apply(writes);
        layers.applied = Some(height);
        Ok(())
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        let layered = self.shared.layers().get(table, key).map(|(_, value)| value.map(<[u8]>::to_vec));
        match layered {
            Some(value) => Ok(value),
            None if table == Table::State => self.shared.read_hot(table, key),
            None => self.shared.read(table, key),
        }
    }

    pub(crate) fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        assert!(!table.comes_by_chance(), "a scan of {table:?}");
        if limit == 0 || overlay::is_empty(&range) {
            return Ok(Vec::new());
        }
        let layered = self.shared.layers().range(table, &range, direction, limit);
        let range = layered.narrow(range, direction);
        let rows = self.shared.read_rows(table, &range, direction, layered.rows_max(limit))?;
        Ok(layered.over(rows, direction, limit))
    }

    /// Room that the checkpoints of what is applied so far will need, in bytes.
    pub(crate) fn room_needed_bytes(&self) -> u64 {
        let layers = self.shared.layers();
        let rows = layers.memtable.len() + layers.frozen.as_ref().map_or(0, |frozen| frozen.len());
        checkpoint::room_needed_bytes(rows)
    }

    /// Fails when the index met a fault, be it a reader who met it.
    pub(crate) fn check_usable(&self) -> Result<(), StoreFault> {
        self.shared.database.check_usable()
    }

    /// Holds new work back a little when a checkpoint takes longer than it should: the more has been
    /// applied since it was begun, the longer, so that nobody comes to wait for all of it at once.
    pub(crate) fn pace(&self) {
        let wait = self.shared.layers().wait();
        if wait.is_zero() {
            return;
        }
        let progress = self.shared.progress();
        if progress.is_busy() {
            let waited = self.shared.changed.wait_timeout(progress, wait);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(crate) fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault> {
        let shared = &*self.shared;
        let mut progress = shared.wait_while_busy(shared.progress())?;
        progress.check_not_lost()?;
        let mut layers = shared.layers.write().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(Some(job.height), layers.applied, "a checkpoint of another height than the one applied last");
        // About as many rows come in the next interval, and growing would hold up commits.
        let empty = Memtable::with_room_for(layers.memtable.len());
        let frozen = Arc::new(std::mem::replace(&mut layers.memtable, empty));
        layers.frozen = Some(Arc::clone(&frozen));
        drop(layers);
        progress.begin(Task { job, frozen });
        shared.changed.notify_all();
        Ok(())
    }

    pub(crate) fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault> {
        let mut progress = self.shared.progress();
        loop {
            if let Some(mark) = progress.mark(number) {
                return Ok(Some(mark));
            }
            progress.check_not_lost()?;
            if !progress.is_begun(number) {
                return Ok(None);
            }
            progress.check_room()?;
            progress = self.shared.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the checkpoint under way and ends the thread. What was applied since is given
    /// up: the replica takes it from the ledger again.
    pub(crate) fn close(&self) -> Result<(), StoreFault> {
        self.stop();
        let lost = self.shared.progress().check_not_lost();
        // Half a checkpoint is never in the database here, so this flush has nothing to write;
        // it finds out whether the database still answers.
        let flushed = if lost.is_ok() { self.shared.database.flush() } else { Ok(()) };
        self.shared.database.close();
        lost.and(flushed)
    }

    fn stop(&self) {
        self.shared.progress().stop();
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread was caught and recorded before it ended.
            drop(thread.join());
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the checkpoint under way, or says that there is no room for it.
    fn wait_while_busy<'a>(
        &self,
        mut progress: MutexGuard<'a, Progress>,
    ) -> Result<MutexGuard<'a, Progress>, StoreFault> {
        while progress.is_busy() {
            progress.check_room()?;
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(progress)
    }

    /// The same as [`Shared::read`], from memory when it was asked for lately.
    fn read_hot(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        match self.hot.look(key) {
            Looked::Found(value) => Ok(value),
            Looked::Missing { generation } => {
                let value = self.read(table, key)?;
                self.hot.keep(generation, key.to_vec(), value.clone());
                Ok(value)
            }
        }
    }

    /// A value of the database alone.
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        let place = || format!("index, table {table:?}");
        if !table.comes_by_chance() {
            return self.read_row(place, &layout::row_key(table, key));
        }
        let candidates = self.generations().candidates(table, key);
        for generation in candidates {
            let found = self.read_row(place, &layout::placed_key(table, generation, key))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// A value of the database under its whole key.
    fn read_row(&self, place: impl FnOnce() -> String, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.database.get(place, key).inspect_err(|fault| self.suspect(fault))
    }

    fn generations(&self) -> RwLockReadGuard<'_, Generations> {
        self.generations.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows of the database alone.
    fn read_rows(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        if overlay::is_empty(range) {
            return Ok(Vec::new());
        }
        let (from, to) = layout::tree_range(table, range);
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        let rows = self
            .database
            .rows(|| format!("index, table {table:?}"), range, direction, limit)
            .inspect_err(|fault| self.suspect(fault))?;
        let without_prefix = |(key, value): Row| (key.get(1..).unwrap_or_default().to_vec(), value);
        Ok(rows.into_iter().map(without_prefix).collect())
    }

    /// Leaves word for the next start that the index holds damage somewhere, for that start
    /// looks only at a sample.
    fn suspect(&self, fault: &StoreFault) {
        suspect(&self.directory, fault);
    }
}

fn suspect(directory: &Path, fault: &StoreFault) {
    if matches!(fault, StoreFault::Damaged { .. }) {
        leave_word(directory, fault);
    }
}

fn leave_word(directory: &Path, fault: &StoreFault) {
    let file = private::fresh().open(suspicion(directory));
    if let Err(error) = file.and_then(|mut file| file.write_all(fault.to_string().as_bytes())) {
        tracing::warn!(%error, "could not leave word that the index is damaged");
    }
}

/// Opens the database and judges it; empties it when it is in doubt.
fn open_or_empty(options: &Options) -> Result<(Database, Option<CheckpointMark>, Generations), StoreFault> {
    let directory = &options.directory;
    let none = Generations::none(options.generation_rows_full);
    let profile = Profile {
        name: "index",
        directory: directory.join("index"),
        cache_bytes: options.index_cache_bytes,
        zstd_level: PAGE_LEVEL,
        expansion: 4,
        in_background: true,
    };
    let word = std::fs::read_to_string(suspicion(directory)).ok();
    let doubt = match (word, Database::open(profile.clone())) {
        (Some(word), opened) => {
            if let Ok(database) = opened {
                database.abandon();
            }
            word
        }
        (None, Ok(database)) => match judge_while_it_answers(database, options)? {
            (database, Verdict::Empty, _) => {
                remove_traces(directory)?;
                return Ok((database, None, none));
            }
            (database, Verdict::Whole(mark), generations) => return Ok((database, Some(mark), generations)),
            (database, Verdict::Doubt(reason), _) => {
                database.abandon();
                reason
            }
        },
        (None, Err(fault @ StoreFault::Damaged { .. })) => fault.to_string(),
        (None, Err(fault)) => return Err(fault),
    };
    tracing::warn!(reason = doubt, "emptying the index, to be rebuilt from the ledger");
    database::discard(&profile.directory, &discarded(directory))?;
    remove_traces(directory)?;
    Ok((Database::open(profile)?, None, none))
}

/// Judges on a thread of its own, for as long as the database answers now and then: where damage took the
/// newest flushes away, sled may look for a row in one page for ever. Then word is left for the next start.
fn judge_while_it_answers(
    database: Database,
    options: &Options,
) -> Result<(Database, Verdict, Generations), StoreFault> {
    let (answered, ours) = (database.answered(), options.clone());
    let (verdict, judged) = mpsc::channel();
    let judge = move || {
        let outcome = redo_and_judge(&database, &ours);
        // Nobody listens any more when it took too long.
        drop(verdict.send((database, outcome)));
    };
    let started = std::thread::Builder::new().name("index-open".to_owned()).spawn(judge);
    started.map_err(|error| fault::io("starting the thread that opens the index", error))?;
    let mut before = None;
    loop {
        match judged.recv_timeout(options.open_timeout) {
            Ok((database, outcome)) => return outcome.map(|(verdict, generations)| (database, verdict, generations)),
            Err(RecvTimeoutError::Timeout) if before != Some(answered.load(Ordering::Relaxed)) => {
                before = Some(answered.load(Ordering::Relaxed));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let found = format!("none within {:?}", options.open_timeout);
                let fault = fault::damaged("index, its newest checkpoint", "an answer", found);
                leave_word(&options.directory, &fault);
                return Err(fault);
            }
        }
    }
}

/// Finishes the checkpoint that was being written in slices, if there is one, and judges what is there.
fn redo_and_judge(database: &Database, options: &Options) -> Result<(Verdict, Generations), StoreFault> {
    let directory = &options.directory;
    let none = Generations::none(options.generation_rows_full);
    if let Some(redo) = Redo::find(directory)? {
        let before = match verdict::newest_end_mark(database) {
            Err(fault @ StoreFault::Damaged { .. }) => return Ok((Verdict::Doubt(fault.to_string()), none)),
            marks => marks?.map(|marks| marks.mark.number),
        };
        let number = redo.marks.mark.number;
        if before == number.checked_sub(1) {
            tracing::info!(checkpoint = number, "finishing the index checkpoint that was being written");
            match checkpoint::finish(database, options, &redo) {
                Err(fault @ StoreFault::Damaged { .. }) => return Ok((Verdict::Doubt(fault.to_string()), none)),
                finished => finished?,
            }
        }
    }
    redo::remove(directory)?;
    let verdict = verdict::judge(database, directory)?;
    if !matches!(verdict, Verdict::Whole(_)) {
        return Ok((verdict, none));
    }
    match Generations::load(database, options.generation_rows_full) {
        Err(fault @ StoreFault::Damaged { .. }) => Ok((Verdict::Doubt(fault.to_string()), none)),
        generations => Ok((verdict, generations?)),
    }
}

fn discarded(directory: &Path) -> PathBuf {
    directory.join("index.discarded")
}

fn suspicion(directory: &Path) -> PathBuf {
    directory.join("index-suspect")
}

/// Removes what speaks about an index that is no longer there.
fn remove_traces(directory: &Path) -> Result<(), StoreFault> {
    for path in [evidence::path(directory), redo::path(directory), suspicion(directory)] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(fault::io("emptying the index", error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    fault::sync_directory(directory).map_err(|error| fault::io("emptying the index", error))
}

#[cfg(test)]
mod tests;
