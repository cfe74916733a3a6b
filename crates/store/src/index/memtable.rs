//! A memtable: what was applied, by block, found by key in one step and in order when asked.
//!
//! Each block's rows stay together as they came, sorted: a run. A hash table knows where the newest
//! write of each key is. Putting a row into one large ordered map instead took half the time of a
//! commit, and finding one there a tenth of executing.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Bound;

use hashbrown::HashTable;
use replica::port::{Direction, FrozenWrite, IndexWrites, KeyRange, Table};

/// A write as it waits here. Boxes, because millions wait.
#[derive(Debug)]
struct Entry {
    table: Table,
    /// A newer run has the key too. The value is gone then.
    hidden: bool,
    key: Box<[u8]>,
    value: Option<Box<[u8]>>,
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
    runs: Vec<Vec<Entry>>,
    newest: HashTable<Place>,
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
        let run = u32::try_from(runs.len()).expect("a checkpoint comes long before 2^32 blocks");
        let entry = |((table, key), value): ((Table, Vec<u8>), Option<Vec<u8>>)| Entry {
            table,
            hidden: false,
            key: key.into_boxed_slice(),
            value: value.map(Vec::into_boxed_slice),
        };
        runs.push(writes.into_iter().map(entry).collect());
        for index in 0..runs.last().map_or(0, Vec::len) {
            let place = Place { run, entry: u32::try_from(index).expect("a block has fewer than 2^32 rows") };
            let (table, key) = {
                let entry = at(runs, place);
                (entry.table, &*entry.key)
            };
            let hash = hasher.hash_one((table, key));
            match newest.find_mut(hash, |other| is(at(runs, *other), table, key)) {
                Some(other) => {
                    let older = std::mem::replace(other, place);
                    let older = &mut runs[index_of(older.run)][index_of(older.entry)];
                    (older.hidden, older.value) = (true, None);
                }
                None => {
                    newest.insert_unique(hash, place, |other| {
                        let entry = at(runs, *other);
                        hasher.hash_one((entry.table, &*entry.key))
                    });
                }
            }
        }
    }

    /// The newest write of a key, if there is one.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<FrozenWrite<'_>> {
        let hash = self.hasher.hash_one((table, key));
        let place = self.newest.find(hash, |place| is(at(&self.runs, *place), table, key))?;
        let entry = at(&self.runs, *place);
        Some((&*entry.key, entry.value.as_deref()))
    }

    /// The newest writes of a table, in no order.
    pub(super) fn of_table(&self, table: Table) -> impl Iterator<Item = FrozenWrite<'_>> {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let rows = self.runs.iter().flat_map(move |run| part(run, table, &everything));
        rows.filter(|entry| !entry.hidden).map(|entry| (&*entry.key, entry.value.as_deref()))
    }

    /// The newest writes in a range of a table, in order from its beginning in the given direction.
    /// The range must not be empty by its bounds.
    pub(super) fn range(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
    ) -> impl Iterator<Item = FrozenWrite<'_>> {
        let heads = self.runs.iter().map(|run| part(run, table, range));
        let mut heads: BinaryHeap<Head<'_>> = heads.filter_map(|rest| Head { rest, direction }.shown()).collect();
        std::iter::from_fn(move || {
            let mut head = heads.pop()?;
            let entry = head.take()?;
            heads.extend(head.shown());
            Some((&*entry.key, entry.value.as_deref()))
        })
    }
}

fn index_of(number: u32) -> usize {
    usize::try_from(number).expect("a usize has 32 bits at least")
}

fn at(runs: &[Vec<Entry>], place: Place) -> &Entry {
    &runs[index_of(place.run)][index_of(place.entry)]
}

fn is(entry: &Entry, table: Table, key: &[u8]) -> bool {
    entry.table == table && *entry.key == *key
}

/// The entries of a run in a range of a table.
fn part<'r>(run: &'r [Entry], table: Table, range: &KeyRange) -> &'r [Entry] {
    let before = |entry: &Entry| {
        entry.table.cmp(&table).then_with(|| match &range.0 {
            Bound::Unbounded => Ordering::Greater,
            Bound::Included(from) if *entry.key >= **from => Ordering::Greater,
            Bound::Excluded(from) if *entry.key > **from => Ordering::Greater,
            Bound::Included(_) | Bound::Excluded(_) => Ordering::Less,
        }) == Ordering::Less
    };
    let inside = |entry: &Entry| {
        entry.table == table
            && match &range.1 {
                Bound::Unbounded => true,
                Bound::Included(to) => *entry.key <= **to,
                Bound::Excluded(to) => *entry.key < **to,
            }
    };
    let rest = run.get(run.partition_point(before)..).unwrap_or_default();
    rest.get(..rest.partition_point(inside)).unwrap_or_default()
}

/// What is still to come of a run.
struct Head<'r> {
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
        let (one, other) = (self.first().map(|entry| &entry.key), other.first().map(|entry| &entry.key));
        match self.direction {
            // A heap gives its greatest first.
            Direction::Forward => other.cmp(&one),
            Direction::Backward => one.cmp(&other),
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
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..3));
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
