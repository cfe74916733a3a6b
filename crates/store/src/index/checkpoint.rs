//! The thread that makes checkpoints, and how far it has come.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use replica::port::{
    CheckpointJob, CheckpointMark, CheckpointOutput, CheckpointView, FrozenWrite, IndexKey, StoreFault, Table,
};

use super::Shared;
use super::evidence::{self, Evidence, RowEvidence};
use super::generations::{Placed, Plan};
use super::layout::{self, BEGIN_KEY, END_KEY, Marks};
use super::memtable::Memtable;
use super::redo::{self, Redo};
use crate::database::{Database, FANOUT};
use crate::options::Options;
use crate::{background, fault};

/// Rows of one batch. A batch holds the locks of its pages, and readers wait for them.
const BATCH_ROWS: usize = 512;

/// Pages that a slice of a large checkpoint should touch: each is in memory until it is flushed.
const SLICE_PAGES: usize = 16 * 1_024;

/// Marks that are remembered for those who ask late.
const MARKS_KEPT_MAX: usize = 1_024;

/// How often the thread looks whether there is room again.
const ROOM_CHECK: Duration = Duration::from_secs(1);

/// Room a row of a checkpoint may need, in bytes: a page written anew beside the old one for each of
/// the first rows, and its own bytes for each, there and in the redo file.
const PAGE_ROOM_BYTES: u64 = 1_024;
const ROW_ROOM_BYTES: u64 = 256;

/// Rows of one checkpoint that may each need a page of their own. With more, they share them.
const SCATTERED_ROWS_MAX: u64 = 256 * 1_024;

const WRITING: &str = "writing an index checkpoint";

/// Room that writing so many rows may need, in bytes.
pub(super) fn room_needed_bytes(rows: usize) -> u64 {
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    let pages = rows.min(SCATTERED_ROWS_MAX).saturating_mul(PAGE_ROOM_BYTES);
    rows.saturating_mul(ROW_ROOM_BYTES).saturating_add(pages)
}

/// A checkpoint to be made of a frozen memtable.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) job: CheckpointJob,
    pub(super) frozen: Arc<Memtable>,
}

/// How far checkpoints have come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    waiting: Option<Task>,
    busy: bool,
    /// The thread waits for room on the disk.
    without_room: bool,
    stopping: bool,
    begun: Option<u64>,
    /// Marks of finished checkpoints, the newest last.
    marks: BTreeMap<u64, CheckpointMark>,
    lost: Option<(u64, String)>,
}

impl Progress {
    /// Nothing under way; `mark` is what the database holds.
    pub(super) fn starting_at(mark: Option<CheckpointMark>) -> Self {
        Self {
            begun: mark.as_ref().map(|mark| mark.number),
            marks: mark.into_iter().map(|mark| (mark.number, mark)).collect(),
            ..Self::default()
        }
    }

    pub(super) fn newest(&self) -> Option<CheckpointMark> {
        self.marks.last_key_value().map(|(_, mark)| mark.clone())
    }

    pub(super) fn mark(&self, number: u64) -> Option<CheckpointMark> {
        self.marks.get(&number).cloned()
    }

    pub(super) fn is_begun(&self, number: u64) -> bool {
        self.busy && self.begun == Some(number)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    pub(super) fn check_not_lost(&self) -> Result<(), StoreFault> {
        match &self.lost {
            None => Ok(()),
            Some((number, reason)) => Err(StoreFault::CheckpointLost { number: *number, reason: reason.clone() }),
        }
    }

    pub(super) fn check_room(&self) -> Result<(), StoreFault> {
        if self.without_room {
            return Err(StoreFault::Full { operation: WRITING });
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, task: Task) {
        if let Some(begun) = self.begun {
            assert_eq!(Some(task.job.number), begun.checked_add(1), "a checkpoint that does not follow the last");
        }
        self.begun = Some(task.job.number);
        self.busy = true;
        self.waiting = Some(task);
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    fn finish(&mut self, mark: CheckpointMark) {
        self.marks.insert(mark.number, mark);
        if self.marks.len() > MARKS_KEPT_MAX {
            self.marks.pop_first();
        }
    }
}

/// The view of a checkpoint's computation: the database is the state of the checkpoint before.
struct View<'a> {
    shared: &'a Shared,
    frozen: &'a Memtable,
}

impl CheckpointView for View<'_> {
    fn previous(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.shared.read(table, key)
    }

    fn frozen(&self, table: Table) -> Box<dyn Iterator<Item = FrozenWrite<'_>> + '_> {
        Box::new(self.frozen.of_table(table))
    }
}

/// One row to write: its place and key, and value or deletion.
struct TreeWrite<'a> {
    table: Table,
    /// In which generation, if the table has some.
    generation: Option<u32>,
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

/// Everything that a checkpoint writes.
struct Writes<'a> {
    rows: Vec<TreeWrite<'a>>,
    plan: &'a Plan<'a>,
}

impl<'a> Writes<'a> {
    fn len(&self) -> usize {
        self.rows.len() + self.plan.about.len()
    }

    /// Rows as the tree has them, in the order of their keys.
    fn iter(&self) -> impl Iterator<Item = (Vec<u8>, Option<&'a [u8]>)> {
        let rows = self.rows.iter().map(|write| {
            let key = match write.generation {
                None => layout::row_key(write.table, write.key),
                Some(generation) => layout::placed_key(write.table, generation, write.key),
            };
            (key, write.value)
        });
        rows.chain(self.plan.about.iter().map(|(key, value)| (key.clone(), value.as_deref())))
    }
}

impl Shared {
    /// The life of the thread: one checkpoint after the other, until it is told to stop.
    pub(super) fn run(self: &Arc<Self>) {
        background::stand_back();
        while let Some(task) = self.next_task() {
            let number = task.job.number;
            let outcome = catch_unwind(AssertUnwindSafe(|| self.make(task)));
            let reason = match outcome {
                // Only a store that is closed gives up waiting for room; the ledger has it all.
                Ok(Ok(()) | Err(StoreFault::Full { .. })) => None,
                Ok(Err(fault)) => Some(with_causes(&fault)),
                Err(panic) => Some(fault::panic_text(panic.as_ref())),
            };
            let mut progress = self.progress();
            if let Some(reason) = reason {
                tracing::error!(checkpoint = number, reason, "lost an index checkpoint");
                progress.lost = Some((number, reason));
            }
            progress.busy = false;
            drop(progress);
            self.changed.notify_all();
        }
    }

    fn next_task(&self) -> Option<Task> {
        let mut progress = self.progress();
        loop {
            if let Some(task) = progress.waiting.take() {
                return Some(task);
            }
            if progress.stopping {
                return None;
            }
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes one checkpoint durable and takes the frozen memtable away.
    fn make(self: &Arc<Self>, task: Task) -> Result<(), StoreFault> {
        let Task { job, frozen } = task;
        let mut begun = Instant::now();
        let view = View { shared: self, frozen: &frozen };
        let output = (job.compute)(&view)?;
        let (root, compute_ms) = (output.root, lap(&mut begun));
        let place = || "index, a row that a checkpoint writes".to_owned();
        let stands = |key: &[u8]| self.read_row(place, key).map(|row| row.is_some());
        let plan = self.generations().plan(&frozen, stands)?;
        let writes = Writes { rows: tree_writes(&frozen, &output, &plan)?, plan: &plan };
        let in_slices = writes.len() > self.slice_rows_max;
        let evidence = self.gather(job.number, &writes, in_slices)?;
        let bytes = evidence.encode();
        let mark = CheckpointMark { number: job.number, height: job.height, root };
        let marks = Marks { mark: mark.clone(), rows: evidence.rows, evidence: evidence::digest(&bytes) };
        let evidence_ms = lap(&mut begun);
        // Nothing of the checkpoint is written before there is room for all of it.
        self.when_there_is_room(|| {
            self.room.check(WRITING, room_needed_bytes(writes.len()))?;
            evidence::write(&self.directory, &bytes)?;
            if in_slices { redo::write(&self.directory, &marks, writes.iter()) } else { Ok(()) }
        })?;
        drop((bytes, evidence));
        // The instant of truth is the last flush; of a checkpoint in slices, that it can be redone.
        let pages = self.write_rows(&marks, writes.iter().map(Ok))?;
        if in_slices {
            redo::remove(&self.directory)?;
        }
        tracing::info!(
            checkpoint = mark.number,
            height = mark.height,
            rows = writes.len(),
            pages,
            compute_ms,
            evidence_ms,
            write_ms = lap(&mut begun),
            "made an index checkpoint"
        );
        drop(writes);
        self.progress().finish(mark);
        self.changed.notify_all();
        // Nobody reads the database meanwhile. What the frozen memtable has is read there: it goes last.
        if self.reopen_when_heavy()? {
            self.is_still_the_newest(&marks)?;
        }
        let (shared, after, frozen) = (Arc::clone(self), plan.after, Arc::clone(&frozen));
        self.front.run(move || {
            *shared.generations.write().unwrap_or_else(PoisonError::into_inner) = after;
            shared.hot.renew(|key| frozen.get(Table::State, key).map(|(_, value)| value.map(<[u8]>::to_vec)));
            shared.layers.write().unwrap_or_else(PoisonError::into_inner).frozen = None;
        });
        Ok(())
    }

    /// Whether what was durable a moment ago is there after the database was opened again.
    fn is_still_the_newest(&self, marks: &Marks) -> Result<(), StoreFault> {
        let place = || "index, end mark after reopening".to_owned();
        let found = self.database.get(place, END_KEY).inspect_err(|fault| self.suspect(fault))?;
        if found.as_ref() == Some(&marks.end_row()) {
            return Ok(());
        }
        let fault = fault::damaged(place(), format!("checkpoint {}", marks.mark.number), "another mark or none");
        self.suspect(&fault);
        Err(fault)
    }

    /// What stands, and will stand, in every n-th row.
    fn gather(&self, number: u64, writes: &Writes<'_>, in_slices: bool) -> Result<Evidence, StoreFault> {
        // One in slices is finished after a crash. Its evidence tells of disks that lie alone, and reading it
        // costs a page a row, here and at each start.
        let rows_max = if in_slices { self.evidence_rows_max / 8 } else { self.evidence_rows_max };
        let stride = writes.len().div_ceil(rows_max.max(1)).max(1);
        let mut sample = Vec::with_capacity(writes.len() / stride + 1);
        for (key, after) in writes.iter().step_by(stride) {
            let before =
                evidence::stand(self.read_row(|| "index, a row that is evidence".to_owned(), &key)?.as_deref());
            sample.push(RowEvidence { key, before, after: evidence::stand(after) });
        }
        let rows = u64::try_from(writes.len()).expect("a count of rows in memory fits 64 bits");
        Ok(Evidence { number, rows, sample })
    }

    /// Writes the rows between the marks, and returns how many pages that took. Durable when this returns.
    fn write_rows<V: AsRef<[u8]>>(
        self: &Arc<Self>,
        marks: &Marks,
        rows: impl Iterator<Item = Result<(Vec<u8>, Option<V>), StoreFault>>,
    ) -> Result<u64, StoreFault> {
        write_slices(&self.database, self.slice_rows_max, marks, rows, || self.reopen_when_heavy().map(drop))
    }

    /// Does what a full disk may refuse, again and again until it succeeds or the store is closed.
    /// Whoever waits for the checkpoint is told meanwhile that there is no room.
    ///
    /// What waits in memory stays bounded: rows of the checkpoint, and those applied since, of which
    /// there are no more than one interval's, because the next checkpoint is begun after this one.
    fn when_there_is_room(&self, work: impl Fn() -> Result<(), StoreFault>) -> Result<(), StoreFault> {
        loop {
            let outcome = work();
            let mut progress = self.progress();
            progress.without_room = matches!(outcome, Err(StoreFault::Full { .. }));
            self.changed.notify_all();
            match outcome {
                Err(StoreFault::Full { .. }) if !progress.stopping => {
                    let waited = self.changed.wait_timeout(progress, ROOM_CHECK);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
                outcome => return outcome,
            }
        }
    }

    /// Gives back the memory of written pages, if it is much. Readers that come to the database wait
    /// meanwhile.
    fn reopen_when_heavy(self: &Arc<Self>) -> Result<bool, StoreFault> {
        let shared = Arc::clone(self);
        self.front.run(move || reopen_when_heavy(&shared.database, shared.reopen_bytes))
    }
}

fn reopen_when_heavy(database: &Database, reopen_bytes: u64) -> Result<bool, StoreFault> {
    let held_bytes = database.held_bytes();
    if held_bytes < reopen_bytes {
        return Ok(false);
    }
    let mut begun = Instant::now();
    database.reopen()?;
    tracing::info!(held_bytes, elapsed_ms = lap(&mut begun), "reopened the index database to give back memory");
    Ok(true)
}

/// Writes the rows of a checkpoint between its marks, flushing once in a slice, and at the end; `between`
/// is called after each flush. A slice has the fewer rows the more pages the one before it touched. Returns
/// how many pages were written.
pub(super) fn write_slices<V: AsRef<[u8]>>(
    database: &Database,
    slice_rows_max: usize,
    marks: &Marks,
    rows: impl Iterator<Item = Result<(Vec<u8>, Option<V>), StoreFault>>,
    between: impl Fn() -> Result<(), StoreFault>,
) -> Result<u64, StoreFault> {
    let mut pages_in_all = 0;
    database.write([(BEGIN_KEY, Some(marks.begin_row().as_slice()))])?;
    let slice_rows_max = slice_rows_max.max(1);
    let mut slice_rows = slice_rows_max;
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let slice = rows.by_ref().take(slice_rows).collect::<Result<Vec<_>, _>>()?;
        let written = slice.len();
        for batch in filling(slice).chunks(BATCH_ROWS) {
            let (puts, deletions): (Vec<_>, Vec<_>) = batch.iter().partition(|(_, value)| value.is_some());
            database.write(puts.iter().map(|(key, value)| (key.as_slice(), value.as_ref().map(AsRef::as_ref))))?;
            database.remove(deletions.iter().map(|(key, _)| key.as_slice()))?;
        }
        if rows.peek().is_some() {
            let flushed = database.flush_pages()?;
            pages_in_all += flushed;
            between()?;
            let pages = usize::try_from(flushed).unwrap_or(usize::MAX).max(1);
            let fitting = written.saturating_mul(SLICE_PAGES) / pages;
            let least = (slice_rows_max / 8).max(1);
            slice_rows = fitting.clamp(least, slice_rows.saturating_mul(2).clamp(least, slice_rows_max));
        }
    }
    database.write([(END_KEY, Some(marks.end_row().as_slice()))])?;
    Ok(pages_in_all + database.flush_pages()?)
}

/// Rows in the order in which they are written: about every other one first, and then those between them.
///
/// sled cuts a full page in the middle. Of rows that come in the order of their keys at the end of a table, as most new
/// ones do, it leaves pages behind that are half full and stay so, which makes twice as many. So half a page is
/// written of each page's worth of rows, and the rest then fills it up.
fn filling<R>(slice: Vec<R>) -> Vec<R> {
    // Two rows short of a cut.
    const PAGE: usize = FANOUT - 2;
    let is_first = |place: usize| (place % PAGE).is_multiple_of(2) || place % PAGE == PAGE - 1;
    let (mut rows, mut between) = (Vec::with_capacity(slice.len()), Vec::with_capacity(slice.len() / 2));
    for (place, row) in slice.into_iter().enumerate() {
        if is_first(place) { rows.push(row) } else { between.push(row) }
    }
    rows.append(&mut between);
    rows
}

/// Finishes a checkpoint that a start finds begun.
pub(super) fn finish(database: &Database, options: &Options, redo: &Redo) -> Result<(), StoreFault> {
    write_slices(database, options.slice_rows_max, &redo.marks, redo.rows()?, || {
        reopen_when_heavy(database, options.index_reopen_bytes).map(drop)
    })
    .map(drop)
}

/// Milliseconds since then, and begins anew.
fn lap(since: &mut Instant) -> u64 {
    let begun = std::mem::replace(since, Instant::now());
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Frozen and computed writes in the order of the tree.
fn tree_writes<'a>(
    frozen: &'a Memtable,
    output: &'a CheckpointOutput,
    plan: &'a Plan<'a>,
) -> Result<Vec<TreeWrite<'a>>, StoreFault> {
    let outside = |(table, _): &&IndexKey| *table != Table::TreeNode;
    if let Some((table, _)) = output.writes.keys().find(outside) {
        let place = "output of a checkpoint's computation";
        return Err(fault::damaged(place, "rows of TreeNode", format!("a row of {table:?}")));
    }
    let mut writes = Vec::with_capacity(frozen.len() + output.writes.len());
    // Tables are in the order of their prefixes.
    for table in Table::ALL {
        if table.comes_by_chance() {
            let placed = plan.of_table(table).iter();
            let write = |placed: &'a Placed<'a>| {
                let Placed { generation, key, value } = *placed;
                TreeWrite { table, generation: Some(generation), key, value }
            };
            writes.extend(placed.map(write));
            continue;
        }
        let begins = writes.len();
        let computed = output.writes.range((table, Vec::new())..).take_while(|((other, _), _)| *other == table);
        let computed = computed.map(|((_, key), value)| (key.as_slice(), value.as_deref()));
        // What was computed counts where both have a row, and comes first; sorting keeps it there.
        let rows = computed.chain(frozen.of_table(table));
        writes.extend(rows.map(|(key, value)| TreeWrite { table, generation: None, key, value }));
        writes[begins..].sort_by(|one: &TreeWrite<'_>, other| one.key.cmp(other.key));
    }
    writes.dedup_by(|later, earlier| {
        (later.table, later.generation, later.key) == (earlier.table, earlier.generation, earlier.key)
    });
    Ok(writes)
}

/// A fault with its causes, for it crosses to another thread as text.
fn with_causes(fault: &StoreFault) -> String {
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
