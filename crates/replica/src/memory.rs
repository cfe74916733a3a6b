//! The [`Store`] port in memory: for tests and for the simulation.
//!
//! Keeps its promises without threads and files: a write is "durable" when the call returns, and a
//! checkpoint is computed at once, inside [`Store::begin_checkpoint`]. What a crash takes away is
//! taken by [`MemoryStore::crash`]: everything the index got since its newest checkpoint, and the
//! bodies it was free to drop stay dropped. What it cannot show is a fault of a disk.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chain::block::BlockId;
use chain::hash::Hash;

use crate::port::{
    CheckpointJob, CheckpointMark, CheckpointView, Decided, Direction, FrozenWrite, IndexKey, IndexTip, IndexWrites,
    KeyRange, LocalRows, LocalTable, Row, Store, StoreFault, Table,
};

type Rows = BTreeMap<IndexKey, Vec<u8>>;

/// A store that lasts as long as the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    ledger: RwLock<Ledger>,
    index: RwLock<Index>,
    attachments: RwLock<BTreeMap<Hash, Vec<u8>>>,
    local: RwLock<LocalRows>,
}

#[derive(Debug, Default)]
struct Ledger {
    bodies: BTreeMap<BlockId, (u64, Vec<u8>)>,
    decided: BTreeMap<u64, Decided>,
}

#[derive(Debug, Default)]
struct Index {
    /// Everything applied.
    rows: Rows,
    /// Everything as of the newest checkpoint.
    durable: Rows,
    /// What was applied since.
    fresh: IndexWrites,
    applied: Option<u64>,
    marks: BTreeMap<u64, CheckpointMark>,
    lost: Option<(u64, String)>,
}

struct View<'a> {
    durable: &'a Rows,
    frozen: &'a IndexWrites,
}

impl CheckpointView for View<'_> {
    fn previous(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(self.durable.get(&(table, key.to_vec())).cloned())
    }

    fn frozen(&self, table: Table) -> Box<dyn Iterator<Item = FrozenWrite<'_>> + '_> {
        let rows = self.frozen.iter().filter(move |((other, _), _)| *other == table);
        Box::new(rows.map(|((_, key), value)| (key.as_slice(), value.as_deref())))
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a process finds that starts after this one was killed: the ledger, the attachments
    /// and the local rows whole, the index as of its newest checkpoint, and of its marks the newest alone.
    pub fn crash(&self) {
        let mut index = write(&self.index);
        index.rows = index.durable.clone();
        index.fresh.clear();
        index.lost = None;
        let newest = index.marks.pop_last();
        index.applied = newest.as_ref().map(|(_, mark)| mark.height);
        index.marks = newest.into_iter().collect();
        if index.marks.is_empty() {
            *index = Index::default();
        }
    }
}

impl Index {
    fn check_not_lost(&self) -> Result<(), StoreFault> {
        match &self.lost {
            None => Ok(()),
            Some((number, reason)) => Err(StoreFault::CheckpointLost { number: *number, reason: reason.clone() }),
        }
    }

    /// Computes a checkpoint and makes it the newest.
    fn make(&mut self, job: CheckpointJob) -> Result<(), StoreFault> {
        let frozen = std::mem::take(&mut self.fresh);
        let view = View { durable: &self.durable, frozen: &frozen };
        let output = (job.compute)(&view)?;
        put(&mut self.rows, &output.writes);
        put(&mut self.durable, &frozen);
        put(&mut self.durable, &output.writes);
        let mark = CheckpointMark { number: job.number, height: job.height, root: output.root };
        self.marks.insert(job.number, mark);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn put_body(&self, height: u64, id: &BlockId, body: &[u8]) -> Result<(), StoreFault> {
        write(&self.ledger).bodies.entry(*id).or_insert_with(|| (height, body.to_vec()));
        Ok(())
    }

    fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(read(&self.ledger).bodies.get(id).map(|(_, body)| body.clone()))
    }

    fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault> {
        let ledger = read(&self.ledger);
        let part = || {
            let (_, body) = ledger.bodies.get(id)?;
            let offset = usize::try_from(offset).ok()?;
            let end = offset.checked_add(usize::try_from(len).ok()?)?;
            body.get(offset..end).map(<[u8]>::to_vec)
        };
        Ok(part())
    }

    fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault> {
        let mut ledger = write(&self.ledger);
        let tip = ledger.decided.last_key_value().map_or(0, |(height, _)| *height);
        assert_eq!(Some(height), tip.checked_add(1), "a decision that does not follow the tip");
        assert!(ledger.bodies.contains_key(&decided.id), "decided a block whose body is not kept");
        ledger.decided.insert(height, decided.clone());
        let Ledger { bodies, decided } = &mut *ledger;
        bodies.retain(|id, (kept, _)| *kept > height || decided.get(kept).is_some_and(|decided| decided.id == *id));
        Ok(())
    }

    fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault> {
        Ok(read(&self.ledger).decided.get(&height).cloned())
    }

    fn ledger_tip(&self) -> Result<u64, StoreFault> {
        Ok(read(&self.ledger).decided.last_key_value().map_or(0, |(height, _)| *height))
    }

    fn index_tip(&self) -> Result<Option<IndexTip>, StoreFault> {
        let index = read(&self.index);
        Ok(index
            .marks
            .last_key_value()
            .map(|(_, mark)| IndexTip { height: index.applied.unwrap_or(mark.height), checkpoint: mark.clone() }))
    }

    fn reset_index(&self) -> Result<(), StoreFault> {
        *write(&self.index) = Index::default();
        Ok(())
    }

    fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault> {
        let mut index = write(&self.index);
        index.check_not_lost()?;
        if let Some(applied) = index.applied {
            assert_eq!(Some(height), applied.checked_add(1), "writes that do not follow the index's tip");
        }
        put(&mut index.rows, &writes);
        index.fresh.extend(writes);
        index.applied = Some(height);
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(read(&self.index).rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreFault> {
        assert!(!table.comes_by_chance(), "a scan of {table:?}");
        Ok(scan(&read(&self.index).rows, table, &range, direction, limit))
    }

    fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault> {
        let mut index = write(&self.index);
        index.check_not_lost()?;
        assert_eq!(Some(job.height), index.applied, "a checkpoint of another height than the one applied last");
        if let Some((newest, _)) = index.marks.last_key_value() {
            assert_eq!(Some(job.number), newest.checked_add(1), "a checkpoint that does not follow the last");
        }
        let number = job.number;
        // As with a thread: a failure shows at the next call, not at this one.
        let lost = match catch_unwind(AssertUnwindSafe(|| index.make(job))) {
            Ok(Ok(())) => None,
            Ok(Err(fault)) => Some(fault.to_string()),
            Err(_) => Some("the computation panicked".to_owned()),
        };
        index.lost = lost.map(|reason| (number, reason));
        Ok(())
    }

    fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault> {
        let index = read(&self.index);
        match index.marks.get(&number) {
            Some(mark) => Ok(Some(mark.clone())),
            None => index.check_not_lost().map(|()| None),
        }
    }

    fn put_attachment(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault> {
        write(&self.attachments).entry(*hash).or_insert_with(|| bytes.to_vec());
        Ok(())
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(read(&self.attachments).get(hash).cloned())
    }

    fn erase_attachment(&self, hash: &Hash) -> Result<(), StoreFault> {
        write(&self.attachments).remove(hash);
        Ok(())
    }

    fn put_local(&self, rows: &LocalRows) -> Result<(), StoreFault> {
        write(&self.local).extend(rows.clone());
        Ok(())
    }

    fn remove_local(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault> {
        let mut local = write(&self.local);
        for key in keys {
            local.remove(key);
        }
        Ok(())
    }

    fn scan_local(&self, table: LocalTable, range: KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault> {
        let local = read(&self.local);
        let rows = local.iter().filter(|((other, key), _)| *other == table && range.contains(key));
        Ok(rows.take(limit).map(|((_, key), row)| (key.clone(), row.clone())).collect())
    }

    fn close(&self) -> Result<(), StoreFault> {
        Ok(())
    }
}

// A poisoned lock means that a caller's computation panicked; no row is half written by that.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn put(rows: &mut Rows, writes: &IndexWrites) {
    for (key, value) in writes {
        match value {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

fn scan(rows: &Rows, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> Vec<Row> {
    if is_empty(range) {
        return Vec::new();
    }
    let of = |bound: &Bound<Vec<u8>>| bound.as_ref().map(|key| (table, key.clone()));
    let from = match of(&range.0) {
        Bound::Unbounded => Bound::Included((table, Vec::new())),
        bound @ (Bound::Included(_) | Bound::Excluded(_)) => bound,
    };
    let next = Table::ALL.into_iter().find(|next| *next > table);
    let to = match (of(&range.1), next) {
        (Bound::Unbounded, Some(next)) => Bound::Excluded((next, Vec::new())),
        (bound, _) => bound,
    };
    let rows = rows.range((from, to)).map(|((_, key), value)| (key.clone(), value.clone()));
    match direction {
        Direction::Forward => rows.take(limit).collect(),
        Direction::Backward => rows.rev().take(limit).collect(),
    }
}

/// Whether no key can be in a range; `BTreeMap` panics at such ones.
fn is_empty(range: &KeyRange) -> bool {
    match (&range.0, &range.1) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
    }
}
