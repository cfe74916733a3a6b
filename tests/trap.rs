//! A store that does what stores do on their worst days, when it is told to, and counts what it is asked for in vain.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chain::block::BlockId;
use chain::hash::Hash;
use ledger::state::StateKey;
use replica::port::{
    CheckpointJob, CheckpointMark, Decided, Direction, IndexTip, IndexWrites, KeyRange, LocalRows, LocalTable, Row,
    Store, StoreFault, Table,
};

/// What is done in the middle of somebody's read.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// Lookups of rows that are not there, by table and, of state, the kind of record.
pub type Missed = BTreeMap<(Table, Option<u8>), usize>;

/// A store around another that panics on one state record or says another, has no room, or is written to while it is read.
#[derive(Default)]
pub struct Trap<S> {
    inner: S,
    panics_on: Mutex<Option<StateKey>>,
    says: Mutex<Option<(StateKey, Vec<u8>)>>,
    full: AtomicBool,
    meanwhile: Mutex<Option<(Table, Meanwhile)>>,
    missed: Mutex<Missed>,
}

impl<S: fmt::Debug> fmt::Debug for Trap<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trap").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> Trap<S> {
    /// Around a store; harmless as yet.
    pub fn around(inner: S) -> Arc<Self> {
        Arc::new(Self {
            inner,
            panics_on: Mutex::new(None),
            says: Mutex::new(None),
            full: AtomicBool::new(false),
            meanwhile: Mutex::new(None),
            missed: Mutex::default(),
        })
    }

    /// Panics whenever this record is read from now on: whoever executes a statement about it dies.
    pub fn panic_on(&self, key: StateKey) {
        *self.panics_on.lock().unwrap() = Some(key);
    }

    /// Says from now on that this is the record: as if the rules had written it by mistake.
    pub fn say(&self, key: StateKey, stored: Vec<u8>) {
        *self.says.lock().unwrap() = Some((key, stored));
    }

    /// Has no room for anything new, or has it again.
    pub fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Does something right before the next lookup in a table.
    pub fn meanwhile(&self, table: Table, act: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((table, Box::new(act)));
    }

    /// What was looked up and was not there, since this was asked last.
    pub fn take_missed(&self) -> Missed {
        std::mem::take(&mut self.missed.lock().unwrap())
    }

    fn room(&self, operation: &'static str) -> Result<(), StoreFault> {
        if self.full.load(Ordering::SeqCst) { Err(StoreFault::Full { operation }) } else { Ok(()) }
    }
}

impl<S: Store> Store for Trap<S> {
    fn put_body(&self, height: u64, id: &BlockId, body: &[u8]) -> Result<(), StoreFault> {
        self.room("a body")?;
        self.inner.put_body(height, id, body)
    }
    fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault> {
        self.inner.body(id)
    }
    fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault> {
        self.inner.body_part(id, offset, len)
    }
    fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault> {
        self.room("a decision")?;
        self.inner.append(height, decided)
    }
    fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault> {
        self.inner.decided(height)
    }
    fn ledger_tip(&self) -> Result<u64, StoreFault> {
        self.inner.ledger_tip()
    }
    fn index_tip(&self) -> Result<Option<IndexTip>, StoreFault> {
        self.inner.index_tip()
    }
    fn reset_index(&self) -> Result<(), StoreFault> {
        self.inner.reset_index()
    }
    fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault> {
        self.inner.apply(height, writes)
    }
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        let trapped = matches!(table, Table::State | Table::Reference)
            && self.panics_on.lock().unwrap().as_ref().is_some_and(|trapped| trapped.as_bytes() == key);
        assert!(!trapped, "the trap was stepped on");
        if let (Table::State, Some((said, stored))) = (table, &*self.says.lock().unwrap())
            && said.as_bytes() == key
        {
            return Ok(Some(stored.clone()));
        }
        let meanwhile = self.meanwhile.lock().unwrap().take_if(|(other, _)| *other == table);
        if let Some((_, act)) = meanwhile {
            act();
        }
        let found = self.inner.get(table, key)?;
        if found.is_none() {
            let kind = key.first().copied().filter(|_| matches!(table, Table::State | Table::Reference));
            *self.missed.lock().unwrap().entry((table, kind)).or_default() += 1;
        }
        Ok(found)
    }
    fn scan(&self, table: Table, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.inner.scan(table, range, direction, limit)
    }
    fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault> {
        self.inner.begin_checkpoint(job)
    }
    fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault> {
        self.inner.await_checkpoint(number)
    }
    fn put_attachment(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault> {
        self.room("an attachment")?;
        self.inner.put_attachment(hash, bytes)
    }
    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault> {
        self.inner.attachment(hash)
    }
    fn erase_attachment(&self, hash: &Hash) -> Result<(), StoreFault> {
        self.inner.erase_attachment(hash)
    }
    fn put_local(&self, rows: &LocalRows) -> Result<(), StoreFault> {
        self.room("a local row")?;
        self.inner.put_local(rows)
    }
    fn remove_local(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault> {
        self.inner.remove_local(keys)
    }
    fn scan_local(&self, table: LocalTable, range: KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.inner.scan_local(table, range, limit)
    }
    fn close(&self) -> Result<(), StoreFault> {
        self.inner.close()
    }
}
