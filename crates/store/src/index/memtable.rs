//! A memtable: what was applied, by block, found by key in one step and in order when asked.
//!
//! Each block's rows stay together as they came, sorted and in one piece of memory: a run. A hash table knows where the newest
//! write of each key is. Putting a row into one large ordered map instead took half the time of a
//! commit, and finding one there a tenth of executing.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Bound;

use ahash::RandomState;
use hashbrown::HashTable;
use replica::port::{Direction, FrozenWrite, IndexWrites, KeyRange, Table};

/// Values longer than this have an allocation of their own, which is given back when a newer write hides
/// them: a tile of the log is written by every block, and most of it would wait for the checkpoint in vain.
const HERE_BYTES_MAX: usize = 128;

/// A write as it waits here: where to find it in its run. Sixteen bytes, because millions wait.
#[derive(Clone, Copy, Debug)]
struct Entry {
    table: Table,
    /// A newer run has the key too. A long value is gone then.
    hidden: bool,
    value: Value,
    /// Where the key begins among the bytes of the run.
    key: u32,
    key_len: u32,
    /// How long a value is that stands here; which one it is among the long ones.
    number: u32,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Deleted,
    /// Among the bytes of the run, behind the key.
    Here,
    Long,
}

/// The rows of a block, in the order of their keys.
#[derive(Debug, Default)]
struct Run {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    long: Vec<Box<[u8]>>,
}

impl Run {
    fn of(writes: IndexWrites) -> Self {
        let here = |value: &Vec<u8>| Some(value.len()).filter(|len| *len <= HERE_BYTES_MAX);
        let here = writes.iter().map(|((_, key), value)| key.len() + value.as_ref().and_then(here).unwrap_or(0));
        let bytes = here.sum();
        let mut run =
            Self { entries: Vec::with_capacity(writes.len()), bytes: Vec::with_capacity(bytes), long: Vec::new() };
        for ((table, key), value) in writes {
            let (at, key_len) = (to_u32(run.bytes.len()), to_u32(key.len()));
            run.bytes.extend_from_slice(&key);
            let (value, number) = match value {
                None => (Value::Deleted, 0),
                Some(value) if value.len() <= HERE_BYTES_MAX => {
                    run.bytes.extend_from_slice(&value);
                    (Value::Here, to_u32(value.len()))
                }
                Some(value) => {
                    run.long.push(value.into_boxed_slice());
                    (Value::Long, to_u32(run.long.len() - 1))
                }
            };
            run.entries.push(Entry { table, hidden: false, value, key: at, key_len, number });
        }
        run.long.shrink_to_fit();
        run
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        let begins = index_of(entry.key);
        &self.bytes[begins..begins + index_of(entry.key_len)]
    }

    fn write(&self, entry: &Entry) -> FrozenWrite<'_> {
        let ends = index_of(entry.key) + index_of(entry.key_len);
        let value = match entry.value {
            Value::Deleted => None,
            Value::Here => Some(&self.bytes[ends..ends + index_of(entry.number)]),
            Value::Long => Some(&*self.long[index_of(entry.number)]),
        };
        (self.key(entry), value)
    }

    /// A newer run has the key.
    fn hide(&mut self, entry: u32) {
        let entry = &mut self.entries[index_of(entry)];
        entry.hidden = true;
        if matches!(entry.value, Value::Long) {
            self.long[index_of(entry.number)] = Box::default();
        }
    }

    fn is(&self, entry: u32, table: Table, key: &[u8]) -> bool {
        let entry = &self.entries[index_of(entry)];
        entry.table == table && self.key(entry) == key
    }

    /// The entries in a range of a table.
    fn part(&self, table: Table, range: &KeyRange) -> &[Entry] {
        let before = |entry: &Entry| {
            entry.table.cmp(&table).then_with(|| match &range.0 {
                Bound::Unbounded => Ordering::Greater,
                Bound::Included(from) if self.key(entry) >= from.as_slice() => Ordering::Greater,
                Bound::Excluded(from) if self.key(entry) > from.as_slice() => Ordering::Greater,
                Bound::Included(_) | Bound::Excluded(_) => Ordering::Less,
            }) == Ordering::Less
        };
        let inside = |entry: &Entry| {
            entry.table == table
                && match &range.1 {
                    Bound::Unbounded => true,
                    Bound::Included(to) => self.key(entry) <= to.as_slice(),
                    Bound::Excluded(to) => self.key(entry) < to.as_slice(),
                }
        };
        let rest = self.entries.get(self.entries.partition_point(before)..).unwrap_or_default();
        rest.get(..rest.partition_point(inside)).unwrap_or_default()
    }
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct Place {
    run: u32,
    entry: u32,
}

/// What was applied since the last checkpoint was begun.
#[derive(Debug, Default)]
pub(super) struct Memtable {
    runs: Vec<Run>,
    newest: HashTable<Place>,
    /// Keyed at random, because clients choose parts of the keys; every row is hashed several times.
    hasher: RandomState,
}

impl Memtable {
    /// An empty one with room for so many keys.
    pub(super) fn with_room_for(keys: usize) -> Self {
        Self { newest: HashTable::with_capacity(keys), ..Self::default() }
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Takes the writes of a block in.
    pub(super) fn apply(&mut self, writes: IndexWrites) {
        let Self { runs, newest, hasher } = self;
        let run = to_u32(runs.len());
        runs.push(Run::of(writes));
        for index in 0..runs.last().map_or(0, |run| run.entries.len()) {
            let place = Place { run, entry: to_u32(index) };
            let (table, key) = at(runs, place);
            let hash = hasher.hash_one((table, key));
            match newest.find_mut(hash, |other| runs[index_of(other.run)].is(other.entry, table, key)) {
                Some(other) => {
                    let older = std::mem::replace(other, place);
                    runs[index_of(older.run)].hide(older.entry);
                }
                None => {
                    newest.insert_unique(hash, place, |other| hasher.hash_one(at(runs, *other)));
                }
            }
        }
    }

    /// The newest write of a key, if there is one.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<FrozenWrite<'_>> {
        let hash = self.hasher.hash_one((table, key));
        let place = self.newest.find(hash, |place| self.runs[index_of(place.run)].is(place.entry, table, key))?;
        let run = &self.runs[index_of(place.run)];
        Some(run.write(&run.entries[index_of(place.entry)]))
    }

    /// The newest writes of a table, in no order.
    pub(super) fn of_table(&self, table: Table) -> impl Iterator<Item = FrozenWrite<'_>> {
        let shown = |entry: &&Entry| !entry.hidden;
        self.runs.iter().flat_map(move |run| {
            let everything = (Bound::Unbounded, Bound::Unbounded);
            run.part(table, &everything).iter().filter(shown).map(|entry| run.write(entry))
        })
    }

    /// The newest writes in a range of a table, in order from its beginning in the given direction.
    /// The range must not be empty by its bounds.
    pub(super) fn range(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
    ) -> impl Iterator<Item = FrozenWrite<'_>> {
        let heads = self.runs.iter().map(|run| Head { run, rest: run.part(table, range), direction });
        let mut heads: BinaryHeap<Head<'_>> = heads.filter_map(Head::shown).collect();
        std::iter::from_fn(move || {
            let mut head = heads.pop()?;
            let write = head.run.write(head.take()?);
            heads.extend(head.shown());
            Some(write)
        })
    }
}

fn index_of(number: u32) -> usize {
    usize::try_from(number).expect("a usize has 32 bits at least")
}

fn to_u32(index: usize) -> u32 {
    u32::try_from(index).expect("a checkpoint comes long before 2^32 blocks, and a block has few rows")
}

/// Table and key of an entry.
fn at(runs: &[Run], place: Place) -> (Table, &[u8]) {
    let run = &runs[index_of(place.run)];
    let entry = &run.entries[index_of(place.entry)];
    (entry.table, run.key(entry))
}

/// What is still to come of a run.
struct Head<'r> {
    run: &'r Run,
    rest: &'r [Entry],
    direction: Direction,
}

impl<'r> Head<'r> {
    fn first(&self) -> Option<&'r Entry> {
        match self.direction {
            Direction::Forward => self.rest.first(),
            Direction::Backward => self.rest.last(),
        }
    }

    fn take(&mut self) -> Option<&'r Entry> {
        let (first, rest) = match self.direction {
            Direction::Forward => self.rest.split_first()?,
            Direction::Backward => self.rest.split_last()?,
        };
        self.rest = rest;
        Some(first)
    }

    /// The same from its first entry on that is not hidden; `None` when there is none.
    fn shown(mut self) -> Option<Self> {
        while self.first()?.hidden {
            self.take();
        }
        Some(self)
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |head: &Self| head.first().map(|entry| head.run.key(entry));
        match self.direction {
            // A heap gives its greatest first.
            Direction::Forward => key(other).cmp(&key(self)),
            Direction::Backward => key(self).cmp(&key(other)),
        }
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tables() -> impl Strategy<Value = Table> {
        prop_oneof![Just(Table::State), Just(Table::Leaf), Just(Table::Nonce)]
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..3_u8, 0..4)
    }

    fn blocks() -> impl Strategy<Value = Vec<IndexWrites>> {
        let short = prop::collection::vec(any::<u8>(), 0..3);
        let long = any::<u8>().prop_map(|byte| vec![byte; HERE_BYTES_MAX + 1]);
        let value = prop::option::of(prop_oneof![short, long]);
        prop::collection::vec(prop::collection::btree_map((tables(), key()), value, 0..30), 0..8)
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
    }

    proptest! {
        /// The same as one ordered map that newer writes replace in.
        #[test]
        fn it_answers_like_an_ordered_map(blocks in blocks(), table in tables(), asked in key(), range in (bound(), bound())) {
            let mut memtable = Memtable::with_room_for(3);
            let mut map = IndexWrites::new();
            for block in blocks {
                map.extend(block.clone());
                memtable.apply(block);
            }
            prop_assert_eq!(memtable.len(), map.len());
            let expected = map.get(&(table, asked.clone())).map(|value| (asked.as_slice(), value.as_deref()));
            prop_assert_eq!(memtable.get(table, &asked), expected);
            prop_assume!(!super::super::overlay::is_empty(&range));
            let rows = map.iter().filter(|((other, key), _)| *other == table && std::ops::RangeBounds::contains(&range, key));
            let mut rows: Vec<FrozenWrite<'_>> = rows.map(|((_, key), value)| (key.as_slice(), value.as_deref())).collect();
            prop_assert_eq!(memtable.range(table, &range, Direction::Forward).collect::<Vec<_>>(), rows.clone());
            rows.reverse();
            prop_assert_eq!(memtable.range(table, &range, Direction::Backward).collect::<Vec<_>>(), rows);
            let mut all: Vec<_> = memtable.of_table(table).collect();
            all.sort_unstable();
            let rows = map.iter().filter(|((other, _), _)| *other == table);
            prop_assert_eq!(all, rows.map(|((_, key), value)| (key.as_slice(), value.as_deref())).collect::<Vec<_>>());
        }
    }
}
