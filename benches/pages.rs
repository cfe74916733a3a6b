//! Which tables the pages of an index checkpoint belong to.
//!
//! sled says how many pages a flush wrote, and not whose they were. [`Counted`] stands before a store and keeps the
//! keys of the index in pages as sled does: at most 64 rows, a full one is cut in the middle. What a checkpoint writes
//! is then counted by table, and state by kind of record: rows, and the distinct pages they fall on. Tables that come by
//! chance stand by generations, as in the store. It holds every key in memory, so speed and memory are measured without it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chain::block::BlockId;
use chain::hash::Hash;
use replica::port::{
    CheckpointJob, CheckpointMark, Decided, Direction, IndexTip, IndexWrites, KeyRange, LocalRows, LocalTable, Row,
    Store, StoreFault, Table,
};

/// Rows at which sled cuts a page: the fanout of `store::database`.
const PAGE_ROWS: usize = 64;

/// What checkpoints wrote of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    /// Rows put or deleted.
    pub rows: u64,
    /// Pages on which they stand.
    pub pages: u64,
    /// Pages that the table has now.
    pub held: u64,
}

/// A page: its keys in order, and the checkpoint that wrote it last.
#[derive(Debug, Default)]
struct Page {
    keys: Vec<Box<[u8]>>,
    written: u64,
}

/// The pages of a table, by the key from which each reaches.
#[derive(Debug)]
struct Pages {
    pages: BTreeMap<Box<[u8]>, Page>,
    written: Written,
    /// Of a table that comes by chance: the newest generation, and the rows that were put in it.
    generation: (u32, u64),
}

impl Default for Pages {
    fn default() -> Self {
        let pages = BTreeMap::from([(Box::default(), Page::default())]);
        Self { pages, written: Written::default(), generation: (0, 0) }
    }
}

impl Pages {
    /// Writes rows of a table that comes by chance.
    fn write_by_chance(&mut self, checkpoint: u64, rows: &[(&[u8], bool)], rows_full: u64) {
        if self.generation.1 >= rows_full {
            self.generation = (self.generation.0 + 1, 0);
        }
        let newest = self.generation.0;
        let placed = |generation: u32, key: &[u8]| [generation.to_be_bytes().as_slice(), key].concat();
        for &(key, put) in rows {
            if put {
                self.generation.1 += 1;
                self.write(checkpoint, &placed(newest, key), true);
                continue;
            }
            for key in (0..=newest).map(|generation| placed(generation, key)) {
                if self.has(&key) {
                    self.write(checkpoint, &key, false);
                }
            }
        }
    }

    fn has(&self, key: &[u8]) -> bool {
        let page = self.pages.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        page.is_some_and(|(_, page)| page.keys.binary_search_by(|known| (**known).cmp(key)).is_ok())
    }

    fn write(&mut self, checkpoint: u64, key: &[u8], put: bool) {
        self.written.rows += 1;
        let (low, page) = self
            .pages
            .range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .expect("the first reaches from nothing");
        let low = low.clone();
        if page.written != checkpoint {
            page.written = checkpoint;
            self.written.pages += 1;
        }
        match (page.keys.binary_search_by(|known| (**known).cmp(key)), put) {
            (Err(place), true) => page.keys.insert(place, key.into()),
            (Ok(place), false) => drop(page.keys.remove(place)),
            (Ok(_), true) | (Err(_), false) => {}
        }
        if page.keys.len() >= PAGE_ROWS {
            let keys = page.keys.split_off(PAGE_ROWS / 2);
            self.pages.insert(keys[0].clone(), Page { keys, written: checkpoint });
            self.written.pages += 1;
        } else if page.keys.is_empty() && !low.is_empty() {
            self.pages.remove(&low);
        }
    }
}

/// Rows that are counted together: those of a table; of state, those of a kind.
pub type Group = (Table, Option<u8>);

/// A store whose checkpoints are counted.
#[derive(Debug)]
pub struct Counted<S> {
    store: S,
    tables: Arc<Mutex<BTreeMap<Group, Pages>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Counted<S> {
    /// Counts from here on; the index must be empty.
    pub fn new(store: S) -> Self {
        Self { store, tables: Arc::default() }
    }

    /// What was written of each table since this was asked last.
    pub fn take(&self) -> Vec<(Group, Written)> {
        let mut tables = lock(&self.tables);
        let taken = tables.iter_mut().map(|(group, pages)| {
            let held = u64::try_from(pages.pages.len()).expect("pages in memory");
            (*group, Written { held, ..std::mem::take(&mut pages.written) })
        });
        taken.collect()
    }
}

impl<S: Store> Store for Counted<S> {
    fn put_body(&self, height: u64, id: &BlockId, body: &[u8]) -> Result<(), StoreFault> {
        self.store.put_body(height, id, body)
    }

    fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store.body(id)
    }

    fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store.body_part(id, offset, len)
    }

    fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault> {
        self.store.append(height, decided)
    }

    fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault> {
        self.store.decided(height)
    }

    fn ledger_tip(&self) -> Result<u64, StoreFault> {
        self.store.ledger_tip()
    }

    fn index_tip(&self) -> Result<Option<IndexTip>, StoreFault> {
        self.store.index_tip()
    }

    fn reset_index(&self) -> Result<(), StoreFault> {
        lock(&self.tables).clear();
        self.store.reset_index()
    }

    fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault> {
        self.store.apply(height, writes)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.store.scan(table, range, direction, limit)
    }

    fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault> {
        let CheckpointJob { number, height, compute } = job;
        let tables = Arc::clone(&self.tables);
        let rows_full = store::Options::new("").generation_rows_full;
        let counted = move |view: &dyn replica::port::CheckpointView| {
            let output = compute(view)?;
            let mut tables = lock(&tables);
            for table in Table::ALL {
                let computed = output.writes.iter().filter(|((other, _), _)| *other == table);
                let computed = computed.map(|((_, key), value)| (key.as_slice(), value.is_some()));
                let frozen = view.frozen(table).map(|(key, value)| (key, value.is_some()));
                let rows: BTreeMap<&[u8], bool> = frozen.chain(computed).collect();
                // As the store does: about every other row first, so that pages fill up.
                let (one, other): (Vec<_>, Vec<_>) = rows.into_iter().enumerate().partition(|(place, _)| {
                    let place = place % (PAGE_ROWS - 2);
                    place.is_multiple_of(2) || place == PAGE_ROWS - 3
                });
                let rows: Vec<_> = one.into_iter().chain(other).map(|(_, row)| row).collect();
                if table.comes_by_chance() {
                    tables.entry((table, None)).or_default().write_by_chance(number + 1, &rows, rows_full);
                    continue;
                }
                for (key, put) in rows {
                    let kind = key.first().copied().filter(|_| table == Table::State);
                    tables.entry((table, kind)).or_default().write(number + 1, key, put);
                }
            }
            Ok(output)
        };
        self.store.begin_checkpoint(CheckpointJob { number, height, compute: Box::new(counted) })
    }

    fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault> {
        self.store.await_checkpoint(number)
    }

    fn put_attachment(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault> {
        self.store.put_attachment(hash, bytes)
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store.attachment(hash)
    }

    fn erase_attachment(&self, hash: &Hash) -> Result<(), StoreFault> {
        self.store.erase_attachment(hash)
    }

    fn put_local(&self, rows: &LocalRows) -> Result<(), StoreFault> {
        self.store.put_local(rows)
    }

    fn remove_local(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault> {
        self.store.remove_local(keys)
    }

    fn scan_local(&self, table: LocalTable, range: KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault> {
        self.store.scan_local(table, range, limit)
    }

    fn close(&self) -> Result<(), StoreFault> {
        self.store.close()
    }
}
