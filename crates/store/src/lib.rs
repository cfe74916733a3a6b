//! The store: what a replica keeps, kept in sled and in plain files.
//!
//! Implements the port [`replica::port::Store`]. It owns threads, files and key prefixes; what the
//! bytes mean it does not know.
//!
//! ```text
//! DIRECTORY/
//!   lock              held while a process has the store open; names the last holder
//!   ledger/           sled: bodies and decisions, flushed before they count   (see `ledger`)
//!   ledger-tip        the height decided last, to notice a ledger that lost data
//!   index/            sled: what is derived, flushed once a checkpoint        (see `index`)
//!   index-evidence    what the newest checkpoint changed, to tell half a one from a whole one
//!   index-suspect     left behind when damage was met: the next start empties the index
//!   attachments/      personal data in a file it can be erased from           (see `attachments`)
//!   local/            sled: what this node keeps for itself: webhooks         (see `local`)
//! ```
//!
//! - Durable first: [`Store::put_body`] and [`Store::append`] return after a flush.
//! - A ledger that is damaged stays closed, and the fault names the place. An index that is damaged
//!   is emptied. Nothing is repaired.
//! - Writes are refused with [`StoreFault::Full`] while there is still room for what is under way;
//!   reads go on.
//! - How sled behaves, and what that asks of us, stands in `database` and `metadata`.
#![forbid(unsafe_code)]

mod attachments;
mod background;
mod database;
mod fault;
mod index;
mod ledger;
mod local;
mod lock;
mod metadata;
mod options;
mod private;
mod room;
mod scratch;

use std::fmt;
use std::sync::OnceLock;

use chain::block::BlockId;
use chain::hash::Hash;
use replica::port::{
    CheckpointJob, CheckpointMark, Decided, Direction, IndexTip, IndexWrites, KeyRange, LocalRows, LocalTable, Row,
    Store, StoreFault, Table,
};

use attachments::Attachments;
use index::Index;
use ledger::Ledger;
use local::Local;
use lock::DirectoryLock;
pub use options::Options;
use room::Room;
pub use scratch::DiskScratch;

/// The store of one node, in one directory.
#[derive(Debug)]
pub struct SledStore {
    // In the order in which they are dropped: the lock last.
    index: Index,
    ledger: Ledger,
    attachments: Attachments,
    local: Local,
    room: Room,
    alarm: Alarm,
    _lock: DirectoryLock,
}

/// What is to be done when a fault is met.
#[derive(Default)]
struct Alarm(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alarm").field(&self.0.get().is_some()).finish()
    }
}

impl SledStore {
    /// Opens the store in `options.directory`, or makes an empty one there.
    ///
    /// Takes the directory's lock, or answers [`StoreFault::Held`]. An index that is missing, half
    /// written or damaged is emptied ([`Store::index_tip`] is `None`); damage to the ledger, to
    /// the attachments' places or to the local rows is [`StoreFault::Damaged`].
    pub fn open(options: &Options) -> Result<Self, StoreFault> {
        let directory = &options.directory;
        private::directory(directory)
            // Its name stands in the directory above it, and is durable only with that one.
            .and_then(|()| fault::sync_directory(&directory.join("..")))
            .map_err(|error| fault::io("making the store's directory", error))?;
        let lock = DirectoryLock::take(directory)?;
        let room = Room::new(directory, options.reserve_bytes);
        let ledger = Ledger::open(options, room.clone())?;
        let attachments = Attachments::open(options, room.clone())?;
        let local = Local::open(options, &room)?;
        let index = Index::open(options, &room)?;
        Ok(Self { index, ledger, attachments, local, room, alarm: Alarm::default(), _lock: lock })
    }

    /// Changes how much free space is left alone, in bytes, from now on (see
    /// [`Options::reserve_bytes`]). `u64::MAX` refuses every write.
    pub fn set_reserve_bytes(&self, reserve_bytes: u64) {
        self.room.set_reserve_bytes(reserve_bytes);
    }

    /// Sets what is to be done whenever a call meets a fault of ledger or index, once: a reader who meets one is not the
    /// one who can stop the process.
    pub fn on_fault(&self, alarm: impl Fn() + Send + Sync + 'static) {
        // Whoever was first stays.
        drop(self.alarm.0.set(Box::new(alarm)));
    }

    fn alarmed<T>(&self, outcome: Result<T, StoreFault>) -> Result<T, StoreFault> {
        if let (Err(fault), Some(alarm)) = (&outcome, self.alarm.0.get())
            && !matches!(fault, StoreFault::Full { .. })
        {
            alarm();
        }
        outcome
    }

    fn ledger<T>(&self, outcome: Result<T, StoreFault>) -> Result<T, StoreFault> {
        self.alarmed(self.ledger.judged(outcome))
    }
}

impl Store for SledStore {
    fn put_body(&self, height: u64, id: &BlockId, body: &[u8]) -> Result<(), StoreFault> {
        self.index.pace();
        // A block need not read the index: without this a fault that a reader met would not end the node before the
        // next checkpoint, and every read would fail meanwhile.
        self.alarmed(self.index.check_usable())?;
        self.ledger(self.ledger.put_body(height, id, body, self.index.room_needed_bytes()))
    }

    fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault> {
        self.ledger(self.ledger.body(id))
    }

    fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault> {
        self.ledger(self.ledger.body_part(id, offset, len))
    }

    fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault> {
        self.ledger(self.ledger.append(height, decided))
    }

    fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault> {
        self.ledger(self.ledger.decided(height))
    }

    fn ledger_tip(&self) -> Result<u64, StoreFault> {
        Ok(self.ledger.tip())
    }

    fn index_tip(&self) -> Result<Option<IndexTip>, StoreFault> {
        Ok(self.index.tip())
    }

    fn reset_index(&self) -> Result<(), StoreFault> {
        self.index.reset()
    }

    fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault> {
        self.index.apply(height, writes)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.alarmed(self.index.get(table, key))
    }

    fn scan(&self, table: Table, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.alarmed(self.index.scan(table, range, direction, limit))
    }

    fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault> {
        self.index.begin_checkpoint(job)
    }

    fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault> {
        self.index.await_checkpoint(number)
    }

    fn put_attachment(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault> {
        self.attachments.put(hash, bytes)
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault> {
        self.attachments.get(hash)
    }

    fn erase_attachment(&self, hash: &Hash) -> Result<(), StoreFault> {
        self.attachments.erase(hash)
    }

    fn put_local(&self, rows: &LocalRows) -> Result<(), StoreFault> {
        self.local.put(rows)
    }

    fn remove_local(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault> {
        self.local.remove(keys)
    }

    fn scan_local(&self, table: LocalTable, range: KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.local.scan(table, &range, limit)
    }

    fn close(&self) -> Result<(), StoreFault> {
        // Each is closed in any case; the first failure is the one that is told.
        let outcomes = [self.index.close(), self.ledger.close(), self.attachments.close(), self.local.close()];
        outcomes.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
