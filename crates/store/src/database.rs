//! One sled database, with its habits kept behind a door.
//!
//! What reading `1.0.0-alpha.124` taught, and what is done about it here:
//!
//! - A `Db` is `Send` but not `Sync`: each access borrows a clone from a pool. A clone costs tens
//!   of microseconds, so they are kept.
//! - With `flush_every_ms(None)` dropping *any* clone flushes, and every scan drops one: a reader
//!   could persist half a checkpoint. With an interval nothing but the end of the last clone
//!   flushes, so the interval is a thousand years and [`Database::flush`] is the only flush.
//! - After a flush has failed, the next one waits for ever, and so does dropping the last clone.
//!   The first failure therefore ends the database for this process: every later call answers
//!   with that failure, and the clones are leaked.
//! - sled panics on some damage. A panic is caught and is a failure like any other.
//! - A batch locks the pages it writes in order, and removing the last row of a page locks its
//!   left neighbour: safe with one writer at a time, which a mutex makes sure of. A removal inside
//!   a batch leaves empty pages behind for ever, a removal by itself does not.
//! - Written pages stay in memory until the database is reopened, see [`Database::reopen`].
//! - A flush works on rayon's threads. Each database has one of its own, or the flush of a large
//!   checkpoint would keep the flush of a block waiting.

use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use replica::port::{Direction, Row, StoreFault};

use crate::{background, fault, metadata};

/// Rows at which a page is cut in the middle. Fixed for the life of a database.
pub(crate) const FANOUT: usize = 64;

/// Boxed, for it is 20 KiB large and handed from one to the other.
type Db = Box<sled::Db<FANOUT>>;

/// A thousand years: see the module's head.
const NEVER_MS: usize = 31_536_000_000_000;

/// How long, and how often, an opening waits for the lock of a database that was just closed:
/// sled's compaction thread may hold it for a moment longer.
const LOCK_WAIT: Duration = Duration::from_millis(2);
const LOCK_TRIES_MAX: u32 = 2_500;

/// What a written page costs in memory besides its rows.
const PAGE_OVERHEAD_BYTES: u64 = 1_500;

/// How a database is opened.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// What it is called in faults.
    pub(crate) name: &'static str,
    /// Where it is.
    pub(crate) directory: PathBuf,
    /// Cache for pages that were only read, in bytes.
    pub(crate) cache_bytes: usize,
    /// Compression of pages; a very negative level stores what is compressed already nearly as it is.
    pub(crate) zstd_level: i32,
    /// About how many bytes of memory a byte on disk becomes.
    pub(crate) expansion: u64,
    /// Whether nobody waits for a flush, so that it may stand back.
    pub(crate) in_background: bool,
}

/// One write of a batch: key, and value or deletion.
pub(crate) type Write<'a> = (&'a [u8], Option<&'a [u8]>);

/// A sled database that is shared between threads.
pub(crate) struct Database {
    profile: Profile,
    /// `None` once closed. Held for writing only while the database is opened again.
    handles: RwLock<Option<Handles>>,
    /// One writer at a time.
    writer: Mutex<()>,
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// How many accesses came back.
    answered: Arc<AtomicU64>,
    flusher: rayon::ThreadPool,
}

/// The clones of one opening.
struct Handles {
    first: Mutex<Db>,
    spare: Mutex<Vec<Db>>,
    /// Estimated bytes of written pages that sled holds in memory.
    held_bytes: AtomicU64,
}

/// Why a database is out of use.
#[derive(Clone, Debug)]
struct Failure {
    damage: bool,
    place: String,
    reason: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks can leave its data half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the database, or makes it.
    pub(crate) fn open(profile: Profile) -> Result<Self, StoreFault> {
        let handles = open_handles(&profile)?;
        let flusher = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .thread_name(move |_| format!("flush-{}", profile.name))
            .start_handler(move |_| {
                if profile.in_background {
                    background::stand_back();
                }
            })
            .build()
            .map_err(|error| fault::io("starting a flush thread", io::Error::other(error)))?;
        Ok(Self {
            profile,
            handles: RwLock::new(Some(handles)),
            writer: Mutex::new(()),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            answered: Arc::default(),
            flusher,
        })
    }

    /// A value.
    pub(crate) fn get(&self, place: impl FnOnce() -> String, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.with("reading a row", place, |db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    /// At most `limit` rows of a range. The range must not be inverted.
    pub(crate) fn rows(
        &self,
        place: impl FnOnce() -> String,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        let (from, to) = range;
        self.with("reading rows", place, |db| {
            let owned = |row: io::Result<(sled::InlineArray, sled::InlineArray)>| {
                row.map(|(key, value)| (key.to_vec(), value.to_vec()))
            };
            match direction {
                // sled takes the end of a range for a filter and not for an end: from there on it would
                // read every page of the tree, each time. So the end is ours to look for.
                Direction::Forward => {
                    let ended = |row: &io::Result<(sled::InlineArray, _)>| match (row, to) {
                        (Err(_), _) | (_, Bound::Unbounded) => false,
                        (Ok((key, _)), Bound::Included(to)) => key.as_ref() > to,
                        (Ok((key, _)), Bound::Excluded(to)) => key.as_ref() >= to,
                    };
                    let rows = db.range::<&[u8], _>((from, Bound::Unbounded));
                    rows.take_while(|row| !ended(row)).take(limit).map(owned).collect()
                }
                Direction::Backward => db.range::<&[u8], _>((from, to)).rev().take(limit).map(owned).collect(),
            }
        })
    }

    /// Writes rows in one atomic batch. Durable only with the next flush.
    pub(crate) fn write<'a>(&self, writes: impl IntoIterator<Item = Write<'a>>) -> Result<(), StoreFault> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        let _one_writer = lock(&self.writer);
        self.with("writing rows", || self.profile.name.to_owned(), |db| db.apply_batch(batch))
    }

    /// Removes rows one by one, so that pages that become empty are given back.
    pub(crate) fn remove<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<(), StoreFault> {
        let _one_writer = lock(&self.writer);
        self.with(
            "removing rows",
            || self.profile.name.to_owned(),
            |db| keys.into_iter().try_for_each(|key| db.remove(key).map(drop)),
        )
    }

    /// Makes everything written durable.
    pub(crate) fn flush(&self) -> Result<(), StoreFault> {
        self.flush_pages().map(drop)
    }

    /// Makes everything written durable, and returns how many pages that were.
    pub(crate) fn flush_pages(&self) -> Result<u64, StoreFault> {
        let _one_writer = lock(&self.writer);
        let open = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        let handles = self.usable(open.as_ref())?;
        let db = handles.borrow();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.flusher.install(move || {
                let outcome = db.flush();
                (db, outcome)
            })
        }));
        match outcome {
            Ok((db, Ok(stats))) => {
                handles.give_back(db);
                let written = stats.write_batch.heap_bytes_written.saturating_mul(self.profile.expansion);
                let pages = stats.objects_flushed.saturating_mul(PAGE_OVERHEAD_BYTES);
                handles.held_bytes.fetch_add(written.saturating_add(pages), Ordering::Relaxed);
                Ok(stats.objects_flushed)
            }
            Ok((db, Err(error))) => {
                std::mem::forget(db);
                Err(self.fail("flushing", self.profile.name.to_owned(), error.kind(), fault::words(&error)))
            }
            Err(panic) => {
                let reason = fault::panic_text(panic.as_ref());
                Err(self.fail("flushing", self.profile.name.to_owned(), ErrorKind::Other, reason))
            }
        }
    }

    /// Estimated bytes of written pages that sled holds in memory until the database is reopened.
    pub(crate) fn held_bytes(&self) -> u64 {
        let open = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or(0, |handles| handles.held_bytes.load(Ordering::Relaxed))
    }

    /// Closes the database and opens it again, which gives back the memory of written pages.
    /// Waits for accesses under way and keeps new ones waiting. Everything written must have been
    /// flushed.
    pub(crate) fn reopen(&self) -> Result<(), StoreFault> {
        let _one_writer = lock(&self.writer);
        let mut open = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        self.usable(open.as_ref())?;
        drop(open.take());
        match open_handles(&self.profile) {
            Ok(handles) => {
                *open = Some(handles);
                Ok(())
            }
            Err(fault) => {
                let damage = matches!(fault, StoreFault::Damaged { .. });
                let kind = if damage { ErrorKind::InvalidData } else { ErrorKind::Other };
                Err(self.fail("reopening a database", self.profile.name.to_owned(), kind, fault.to_string()))
            }
        }
    }

    /// Throws the database away and makes an empty one in its place.
    ///
    /// The old directory is renamed to `discarded` first, so that a crash in between leaves
    /// either the old database or a missing one, never a part of it.
    pub(crate) fn recreate(&self, discarded: &Path) -> Result<(), StoreFault> {
        let _one_writer = lock(&self.writer);
        let mut open = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        self.release(open.take());
        discard(&self.profile.directory, discarded)?;
        *open = Some(open_handles(&self.profile)?);
        *lock(&self.failure) = None;
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// Closes the database. Everything written must have been flushed.
    pub(crate) fn close(&self) {
        let _one_writer = lock(&self.writer);
        let mut open = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        self.release(open.take());
    }

    /// Gives the database up without closing it. Closing flushes, and where sled meets damage in that
    /// flush it ends the whole process, again at each start: what is in doubt is never closed.
    pub(crate) fn abandon(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Takes the database out of use for damage that was found in what its rows say.
    pub(crate) fn condemn(&self, place: String, reason: String) {
        self.fail("reading what a row says", place, ErrorKind::InvalidData, reason);
    }

    /// How many accesses came back so far, for whoever waits for one that may not.
    pub(crate) fn answered(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.answered)
    }

    /// Whether the database can be used.
    pub(crate) fn is_usable(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    /// Fails when an access failed before, whoever's it was.
    pub(crate) fn check_usable(&self) -> Result<(), StoreFault> {
        let open = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        self.usable(open.as_ref()).map(drop)
    }

    fn usable<'a>(&self, handles: Option<&'a Handles>) -> Result<&'a Handles, StoreFault> {
        if !self.is_usable()
            && let Some(failure) = lock(&self.failure).as_ref()
        {
            return Err(failure.fault());
        }
        let closed = || fault::io("using a closed store", io::Error::from(ErrorKind::NotConnected));
        handles.ok_or_else(closed)
    }

    fn with<R>(
        &self,
        operation: &'static str,
        place: impl FnOnce() -> String,
        work: impl FnOnce(&sled::Db<FANOUT>) -> io::Result<R>,
    ) -> Result<R, StoreFault> {
        let open = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        let handles = self.usable(open.as_ref())?;
        let db = handles.borrow();
        match catch_unwind(AssertUnwindSafe(|| work(&db))) {
            Ok(Ok(result)) => {
                handles.give_back(db);
                self.answered.fetch_add(1, Ordering::Relaxed);
                Ok(result)
            }
            Ok(Err(error)) => {
                std::mem::forget(db);
                Err(self.fail(operation, place(), error.kind(), fault::words(&error)))
            }
            Err(panic) => {
                std::mem::forget(db);
                let reason = fault::panic_text(panic.as_ref());
                Err(self.fail(operation, place(), ErrorKind::Other, reason))
            }
        }
    }

    /// Takes the database out of use; the first failure is the one that is told.
    fn fail(&self, operation: &'static str, place: String, kind: ErrorKind, reason: String) -> StoreFault {
        let mut failure = lock(&self.failure);
        let first = failure.get_or_insert_with(|| {
            tracing::error!(database = self.profile.name, operation, place, reason, "database out of use");
            let damage = fault::says_damage(kind);
            Failure { damage, place, reason }
        });
        let told = first.fault();
        self.failed.store(true, Ordering::Release);
        told
    }

    /// Drops the clones, or leaks them when dropping would wait for ever.
    fn release(&self, handles: Option<Handles>) {
        if self.is_usable() {
            drop(handles);
        } else {
            std::mem::forget(handles);
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close();
    }
}

impl Handles {
    fn borrow(&self) -> Db {
        let spare = lock(&self.spare).pop();
        spare.unwrap_or_else(|| lock(&self.first).clone())
    }

    fn give_back(&self, db: Db) {
        lock(&self.spare).push(db);
    }
}

impl Failure {
    fn fault(&self) -> StoreFault {
        if self.damage {
            fault::damaged(self.place.clone(), "what was written", self.reason.clone())
        } else {
            let reason = format!("{}: {}", self.place, self.reason);
            fault::io("using the database", io::Error::other(reason))
        }
    }
}

/// Removes a database's directory by renaming it first.
pub(crate) fn discard(directory: &Path, discarded: &Path) -> Result<(), StoreFault> {
    let told = |error| fault::io("discarding a database", error);
    remove_directory(discarded).map_err(told)?;
    if directory.exists() {
        std::fs::rename(directory, discarded).map_err(told)?;
        if let Some(parent) = directory.parent() {
            fault::sync_directory(parent).map_err(told)?;
        }
    }
    remove_directory(discarded).map_err(told)
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open_handles(profile: &Profile) -> Result<Handles, StoreFault> {
    metadata::prepare(&profile.directory)?;
    let config = sled::Config::new()
        .path(&profile.directory)
        .cache_capacity_bytes(profile.cache_bytes)
        .zstd_compression_level(profile.zstd_level)
        .flush_every_ms(Some(NEVER_MS));
    let mut tries = 0;
    let first = loop {
        match catch_unwind(AssertUnwindSafe(|| config.open().map(Box::new))) {
            Ok(Ok(db)) => break db,
            Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock && tries < LOCK_TRIES_MAX => {
                tries += 1;
                std::thread::sleep(LOCK_WAIT);
            }
            Ok(Err(error)) if fault::says_damage(error.kind()) => {
                let place = profile.directory.display().to_string();
                return Err(fault::damaged(place, "a database", fault::words(&error)));
            }
            Ok(Err(error)) => return Err(fault::io("opening a database", error)),
            // Everything that can go wrong with the machine is an error; a panic is bad content.
            Err(panic) => {
                let place = profile.directory.display().to_string();
                return Err(fault::damaged(place, "a database", fault::panic_text(panic.as_ref())));
            }
        }
    };
    sync_settings(&profile.directory).map_err(|error| fault::io("opening a database", error))?;
    Ok(Handles { first: Mutex::new(first), spare: Mutex::new(Vec::new()), held_bytes: AtomicU64::new(0) })
}

/// Makes what opening wrote durable: sled leaves its settings file and its new log to the next
/// flush, or to chance.
fn sync_settings(directory: &Path) -> io::Result<()> {
    std::fs::File::open(directory.join("durability_cookie"))?.sync_all()?;
    fault::sync_directory(&directory.join("metadata"))?;
    fault::sync_directory(directory)?;
    directory.parent().map_or(Ok(()), fault::sync_directory)
}
