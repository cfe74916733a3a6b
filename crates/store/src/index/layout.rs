//! Keys and marks of the index database.
//!
//! ```text
//! 00               -> begin mark: number (8) | height (8) | rows (8)
//! 10 + table | key -> value
//! 10 + table | generation (4) | key -> value, of tables that come by chance
//! 40, 41 | …       -> about generations: see `generations`
//! ff               -> end mark: number (8) | height (8) | rows (8) | state root (32)
//!                     | SHA-256 of the checkpoint's evidence (32)
//! ```
//!
//! The marks stand in the first and in the last page of the tree, and both are written by every
//! checkpoint: in one flush with its rows, or with the first and the last slice of them.

use std::ops::Bound;

use chain::hash::Hash;
use replica::port::{CheckpointMark, KeyRange, Table};

pub(super) const BEGIN_KEY: &[u8] = &[0x00];
pub(super) const END_KEY: &[u8] = &[0xFF];
const TABLES: u8 = 0x10;
const GENERATIONS: u8 = 0x40;
const FILTERS: u8 = 0x41;

/// Bytes of an end mark.
pub(super) const END_ROW_BYTES: usize = 3 * 8 + 32 + 32;

/// The key of a row in the tree.
pub(super) fn row_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut row_key = Vec::with_capacity(key.len() + 1);
    row_key.push(prefix(table));
    row_key.extend_from_slice(key);
    row_key
}

/// The key in the tree of a row of a generation.
pub(super) fn placed_key(table: Table, generation: u32, key: &[u8]) -> Vec<u8> {
    let mut placed_key = Vec::with_capacity(key.len() + 5);
    placed_key.push(prefix(table));
    placed_key.extend_from_slice(&generation.to_be_bytes());
    placed_key.extend_from_slice(key);
    placed_key
}

/// The key of the row that says how many rows a generation has.
pub(super) fn generation_key(table: Table, generation: u32) -> Vec<u8> {
    [&[GENERATIONS, prefix(table)], generation.to_be_bytes().as_slice()].concat()
}

/// The key of a part of a generation's filter.
pub(super) fn filter_key(table: Table, generation: u32, part: u16) -> Vec<u8> {
    [&[FILTERS, prefix(table)], generation.to_be_bytes().as_slice(), &part.to_be_bytes()].concat()
}

fn prefix(table: Table) -> u8 {
    let position = match table {
        Table::State => 0,
        Table::LogTile => 1,
        Table::Leaf => 2,
        Table::Statement => 3,
        Table::Height => 4,
        Table::Nonce => 5,
        Table::NonceExpiry => 6,
        Table::ListHead => 7,
        Table::ListMilestone => 8,
        Table::PartyInvoice => 9,
        Table::TreeNode => 10,
        Table::Reference => 11,
        Table::Meta => 12,
        Table::MandateTo => 13,
        Table::LeaseDue => 14,
        Table::LeaseEnded => 15,
    };
    TABLES + position
}

/// The range of a table's keys as a range of the tree's.
pub(super) fn tree_range(table: Table, range: &KeyRange) -> KeyRange {
    let from = match &range.0 {
        Bound::Included(key) => Bound::Included(row_key(table, key)),
        Bound::Excluded(key) => Bound::Excluded(row_key(table, key)),
        Bound::Unbounded => Bound::Included(vec![prefix(table)]),
    };
    let to = match &range.1 {
        Bound::Included(key) => Bound::Included(row_key(table, key)),
        Bound::Excluded(key) => Bound::Excluded(row_key(table, key)),
        Bound::Unbounded => Bound::Excluded(vec![prefix(table) + 1]),
    };
    (from, to)
}

/// What the marks of a checkpoint say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) mark: CheckpointMark,
    /// How many rows the checkpoint wrote or deleted.
    pub(super) rows: u64,
    /// SHA-256 of its evidence.
    pub(super) evidence: [u8; 32],
}

impl Marks {
    pub(super) fn begin_row(&self) -> Vec<u8> {
        [self.mark.number, self.mark.height, self.rows].map(u64::to_be_bytes).concat()
    }

    pub(super) fn end_row(&self) -> Vec<u8> {
        [self.begin_row().as_slice(), self.mark.root.as_bytes(), &self.evidence].concat()
    }

    /// Reads the end mark, and checks that the begin mark is its own.
    pub(super) fn read(begin_row: &[u8], end_row: &[u8]) -> Option<Self> {
        Self::of_end_row(end_row).filter(|marks| marks.begin_row() == begin_row)
    }

    /// Reads the end mark, which says all that the begin mark says.
    pub(super) fn of_end_row(end_row: &[u8]) -> Option<Self> {
        let (number, rest) = end_row.split_first_chunk::<8>()?;
        let (height, rest) = rest.split_first_chunk::<8>()?;
        let (rows, rest) = rest.split_first_chunk::<8>()?;
        let (root, rest) = rest.split_first_chunk::<32>()?;
        Some(Self {
            mark: CheckpointMark {
                number: u64::from_be_bytes(*number),
                height: u64::from_be_bytes(*height),
                root: Hash::from_bytes(*root),
            },
            rows: u64::from_be_bytes(*rows),
            evidence: rest.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_in_the_order_of_the_port() {
        let prefixes = Table::ALL.map(prefix);
        assert!(prefixes.is_sorted_by(|one, next| one + 1 == *next), "{prefixes:?}");
        assert!(Table::ALL.is_sorted());
    }

    #[test]
    fn marks_come_back_and_belong_together() {
        let marks = Marks {
            mark: CheckpointMark { number: 3, height: 700, root: Hash::from_bytes([9; 32]) },
            rows: 12,
            evidence: [4; 32],
        };
        assert_eq!(Marks::read(&marks.begin_row(), &marks.end_row()), Some(marks.clone()));
        let other = Marks { rows: 13, ..marks.clone() };
        assert_eq!(Marks::read(&other.begin_row(), &marks.end_row()), None);
        assert_eq!(Marks::read(&marks.begin_row(), &marks.end_row()[1..]), None);
    }
}
