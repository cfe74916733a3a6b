//! What is applied and not yet in the database: memtable over frozen memtable.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use replica::port::{Direction, FrozenWrite, KeyRange, Row, Table};

use super::memtable::Memtable;

/// The layers above the database.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// What was applied since the last checkpoint was begun.
    pub(super) memtable: Memtable,
    /// What the checkpoint under way makes durable. Kept until it is in the database.
    pub(super) frozen: Option<Arc<Memtable>>,
    /// The height applied last.
    pub(super) applied: Option<u64>,
}

/// What the layers know of a range: the newest write of each key, puts and deletions.
#[derive(Debug, Default)]
pub(super) struct RangeWrites {
    /// Keys and values in ascending order; `None` hides a row of the database.
    pub(super) writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// When the layers alone have as many rows as were asked for: the last key that matters.
    pub(super) last: Option<Vec<u8>>,
}

/// The longest that a block is held back while a checkpoint is under way.
const WAIT_MAX: Duration = Duration::from_millis(100);

impl Layers {
    /// How long to hold a block back: nothing until the memtable is half as large as the frozen one,
    /// everything once it is as large. Small ones are not worth it.
    pub(super) fn wait(&self) -> Duration {
        const ROWS_MIN: usize = 50_000;
        let Some(frozen) = &self.frozen else { return Duration::ZERO };
        let (rows, full) = (self.memtable.len(), frozen.len().max(ROWS_MIN));
        let over_half = rows.saturating_mul(2).saturating_sub(full).min(full);
        let parts = u32::try_from(over_half.saturating_mul(100) / full).unwrap_or(100);
        WAIT_MAX * parts / 100
    }

    /// The newest write of a key, if the layers have one.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<FrozenWrite<'_>> {
        self.memtable.get(table, key).or_else(|| self.frozen.as_ref()?.get(table, key))
    }

    /// The writes in a range of a table, from its beginning in the given direction, until they
    /// hold `limit` puts. The range must not be empty by its bounds.
    pub(super) fn range(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> RangeWrites {
        let newer = self.memtable.range(table, range, direction);
        let older = self.frozen.as_deref().map(|frozen| frozen.range(table, range, direction));
        let before = |one: &[u8], other: &[u8]| match direction {
            Direction::Forward => one < other,
            Direction::Backward => one > other,
        };
        merge(newer, older.into_iter().flatten(), before, limit)
    }
}

/// Whether no key can be in a range: `BTreeMap` and sled want to be spared such ones.
pub(super) fn is_empty(range: &KeyRange) -> bool {
    match (&range.0, &range.1) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
    }
}

/// Merges two layers in the order `before` says, the newer one hiding the older.
fn merge<'a>(
    newer: impl Iterator<Item = FrozenWrite<'a>>,
    older: impl Iterator<Item = FrozenWrite<'a>>,
    before: impl Fn(&[u8], &[u8]) -> bool,
    limit: usize,
) -> RangeWrites {
    let (mut newer, mut older) = (newer.peekable(), older.peekable());
    let mut found = RangeWrites::default();
    let mut puts = 0;
    while puts < limit {
        let older_first = match (newer.peek(), older.peek()) {
            (None, None) => return found,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some((one, _)), Some((other, _))) => {
                if one == other {
                    older.next();
                    false
                } else {
                    before(other, one)
                }
            }
        };
        let next = if older_first { older.next() } else { newer.next() };
        let Some((key, value)) = next else {
            return found;
        };
        puts += usize::from(value.is_some());
        found.writes.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        if puts == limit {
            found.last = Some(key.to_vec());
        }
    }
    found
}

impl RangeWrites {
    /// The range of which the database still has to be asked: none of it beyond the last key.
    pub(super) fn narrow(&self, range: KeyRange, direction: Direction) -> KeyRange {
        match (&self.last, direction) {
            (None, _) => range,
            (Some(last), Direction::Forward) => (range.0, Bound::Included(last.clone())),
            (Some(last), Direction::Backward) => (Bound::Included(last.clone()), range.1),
        }
    }

    /// How many rows the database may have to give, so that `limit` are left when the layers
    /// have hidden theirs.
    pub(super) fn rows_max(&self, limit: usize) -> usize {
        limit.saturating_add(self.writes.len())
    }

    /// The rows of database and layers together.
    pub(super) fn over(mut self, rows: Vec<Row>, direction: Direction, limit: usize) -> Vec<Row> {
        for (key, value) in rows {
            self.writes.entry(key).or_insert(Some(value));
        }
        let rows = self.writes.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
        match direction {
            Direction::Forward => rows.take(limit).collect(),
            Direction::Backward => rows.rev().take(limit).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table::State;

    fn writes(writes: &[(&str, Option<&str>)]) -> Memtable {
        let mut memtable = Memtable::default();
        for (key, value) in writes {
            let value = value.map(|value| value.as_bytes().to_vec());
            memtable.apply([((TABLE, key.as_bytes().to_vec()), value)].into());
        }
        memtable
    }

    /// Scans layers over a database that holds `a` to `f`, each with its own name as value.
    fn check(direction: Direction, limit: usize, expected: &[(&str, &str)]) {
        let layers = Layers {
            memtable: writes(&[("b", None), ("c", Some("memtable")), ("g", Some("memtable"))]),
            frozen: Some(Arc::new(writes(&[("b", Some("frozen")), ("c", None), ("d", None), ("e", Some("frozen"))]))),
            applied: None,
        };
        let range = (Bound::Unbounded, Bound::Unbounded);
        let found = layers.range(TABLE, &range, direction, limit);
        let (from, to) = found.narrow(range, direction);
        let database = ["a", "b", "c", "d", "e", "f"].map(|name| (name.as_bytes().to_vec(), name.as_bytes().to_vec()));
        let inside = |row: &Row| std::ops::RangeBounds::contains(&(from.clone(), to.clone()), &row.0);
        let rows = database.into_iter().filter(inside).collect();
        let rows = found.over(rows, direction, limit);
        let expected: Vec<Row> =
            expected.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn newer_layers_hide_older_ones_in_both_directions() {
        let all = [("a", "a"), ("c", "memtable"), ("e", "frozen"), ("f", "f"), ("g", "memtable")];
        for limit in 1..7 {
            check(Direction::Forward, limit, &all[..limit.min(5)]);
            let backward: Vec<_> = all.into_iter().rev().take(limit).collect();
            check(Direction::Backward, limit, &backward);
        }
    }

    #[test]
    fn blocks_are_held_back_only_while_a_checkpoint_falls_behind_and_never_for_long() {
        let many = |count: u32| {
            let mut memtable = Memtable::default();
            memtable.apply((0..count).map(|number| ((TABLE, number.to_be_bytes().to_vec()), None)).collect());
            memtable
        };
        let check = |memtable, frozen: Option<u32>, expected| {
            let layers = Layers { memtable: many(memtable), frozen: frozen.map(many).map(Arc::new), applied: None };
            assert_eq!(layers.wait(), Duration::from_millis(expected), "{memtable} over {frozen:?}");
        };
        check(200_000, None, 0);
        check(20_000, Some(10), 0);
        check(50_000, Some(100_000), 0);
        check(75_000, Some(100_000), 50);
        check(200_000, Some(100_000), 100);
    }

    #[test]
    fn ranges_without_keys_are_known() {
        let at = |key: u8| vec![key];
        assert!(is_empty(&(Bound::Included(at(2)), Bound::Included(at(1)))));
        assert!(is_empty(&(Bound::Included(at(1)), Bound::Excluded(at(1)))));
        assert!(is_empty(&(Bound::Excluded(at(1)), Bound::Excluded(at(1)))));
        assert!(!is_empty(&(Bound::Included(at(1)), Bound::Included(at(1)))));
        assert!(!is_empty(&(Bound::Unbounded, Bound::Excluded(at(0)))));
    }
}
