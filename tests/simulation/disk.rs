//! A node's disk, whose power can go at any write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chain::block::BlockId;
use chain::hash::Hash;
use replica::memory::MemoryStore;
use replica::port::{
    CheckpointJob, CheckpointMark, Decided, Direction, IndexTip, IndexWrites, KeyRange, LocalRows, LocalTable, Row,
    Store, StoreFault, Table,
};

/// The power of a node. It lasts until it is cut, or for so many more writes.
#[derive(Debug)]
pub(super) struct Power {
    writes_left: AtomicI64,
    /// Whether the write at which it goes reaches the disk all the same.
    reaches: AtomicBool,
    /// Whether the disk is full.
    full: AtomicBool,
}

impl Default for Power {
    fn default() -> Self {
        Self { writes_left: AtomicI64::new(i64::MAX), reaches: AtomicBool::new(false), full: AtomicBool::new(false) }
    }
}

impl Power {
    /// It goes at the write after this many; `reaches` says whether that one still gets to the disk.
    pub(super) fn cut_after(&self, writes: i64, reaches: bool) {
        self.writes_left.store(writes, Ordering::Relaxed);
        self.reaches.store(reaches, Ordering::Relaxed);
    }

    pub(super) fn restore(&self) {
        self.cut_after(i64::MAX, false);
    }

    /// The disk is full from now on, or has room again.
    pub(super) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(super) fn is_out(&self) -> bool {
        self.writes_left.load(Ordering::Relaxed) < 0
    }

    /// Whether a write gets its power.
    pub(super) fn write(&self) -> bool {
        self.writes_left.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

/// Bodies by their ids, and the heights of their blocks.
type Bodies = BTreeMap<BlockId, (u64, Vec<u8>)>;

/// A disk: what is durable outlives a crash, and whether a write is made at all is a matter of the power.
pub(super) struct Disk {
    store: RwLock<Arc<MemoryStore>>,
    power: Arc<Power>,
    /// Bodies that are said to be durable and are not, when the disk is one that lies.
    unwritten: Option<Mutex<Bodies>>,
}

impl Disk {
    /// A disk; one that `lies` keeps bodies only when their blocks are committed.
    pub(super) fn new(power: Arc<Power>, lies: bool) -> Self {
        Self { store: RwLock::default(), power, unwritten: lies.then(Mutex::default) }
    }

    fn unwritten(&self, id: &BlockId) -> Option<(u64, Vec<u8>)> {
        self.unwritten.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store.read().unwrap())
    }

    /// What a crash leaves.
    pub(super) fn crash(&self) {
        self.store().crash();
        if let Some(unwritten) = &self.unwritten {
            unwritten.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Everything on it is gone.
    pub(super) fn wipe(&self) {
        *self.store.write().unwrap() = Arc::default();
    }

    fn write<T>(
        &self,
        operation: &'static str,
        write: impl Fn(&MemoryStore) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        if self.power.write() {
            return write(&self.store());
        }
        if self.power.reaches.swap(false, Ordering::Relaxed) {
            write(&self.store())?;
        }
        Err(StoreFault::Io { operation, source: std::io::Error::other("the power is gone") })
    }
}

impl Store for Disk {
    fn put_body(&self, height: u64, id: &BlockId, body: &[u8]) -> Result<(), StoreFault> {
        if self.power.full.load(Ordering::Relaxed) {
            return Err(StoreFault::Full { operation: "writing a body" });
        }
        if let Some(unwritten) = &self.unwritten {
            unwritten.lock().unwrap_or_else(PoisonError::into_inner).insert(*id, (height, body.to_vec()));
            return Ok(());
        }
        self.write("writing a body", |store| store.put_body(height, id, body))
    }

    fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault> {
        match self.unwritten(id) {
            Some((_, body)) => Ok(Some(body)),
            None => self.store().body(id),
        }
    }

    fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store().body_part(id, offset, len)
    }

    fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault> {
        self.write("committing a block", |store| {
            if let Some((height, body)) = self.unwritten(&decided.id) {
                store.put_body(height, &decided.id, &body)?;
            }
            store.append(height, decided)
        })
    }

    fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault> {
        self.store().decided(height)
    }

    fn ledger_tip(&self) -> Result<u64, StoreFault> {
        self.store().ledger_tip()
    }

    fn index_tip(&self) -> Result<Option<IndexTip>, StoreFault> {
        self.store().index_tip()
    }

    fn reset_index(&self) -> Result<(), StoreFault> {
        self.write("emptying the index", MemoryStore::reset_index)
    }

    fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault> {
        self.write("applying a block", |store| store.apply(height, writes.clone()))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store().get(table, key)
    }

    fn scan(&self, table: Table, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.store().scan(table, range, direction, limit)
    }

    fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault> {
        // The job can be done once: it never half reaches the disk.
        self.write("beginning a checkpoint", |_| Ok(()))?;
        self.store().begin_checkpoint(job)
    }

    fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault> {
        self.store().await_checkpoint(number)
    }

    fn put_attachment(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault> {
        self.write("keeping an attachment", |store| store.put_attachment(hash, bytes))
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store().attachment(hash)
    }

    fn erase_attachment(&self, hash: &Hash) -> Result<(), StoreFault> {
        self.write("erasing an attachment", |store| store.erase_attachment(hash))
    }

    fn put_local(&self, rows: &LocalRows) -> Result<(), StoreFault> {
        self.write("keeping local rows", |store| store.put_local(rows))
    }

    fn remove_local(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault> {
        self.write("removing local rows", |store| store.remove_local(keys))
    }

    fn scan_local(&self, table: LocalTable, range: KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.store().scan_local(table, range, limit)
    }

    fn close(&self) -> Result<(), StoreFault> {
        self.store().close()
    }
}
