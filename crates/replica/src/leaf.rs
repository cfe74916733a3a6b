//! Where leaves stand: rows of the index that name, for leaves next to each other, the places of
//! statement and outcome in the block's body, and how far back the leaf before of the same subject is.
//!
//! A row holds at most [`GROUP_LEAVES`] leaves of one block, under the index of the last, so that
//! looking for the first row from a leaf on finds the leaf's own. Places are written as distances
//! from the one before, because most are one byte then:
//!
//! ```text
//! height | count | first event
//! then per leaf: 0, or 1 and the statement: gap | length      (the first leaf names it in any case)
//!                the outcome: gap | length
//!                distance to the leaf before of the same subject, 0 for none: see `list`
//! ```
//!
//! All are LEB128 numbers. Events count up until the next statement.

use std::ops::Bound;

use chain::statement::Statement;
use ledger::leb128;

use crate::index::{self, HeightRow};
use crate::list;
use crate::port::{Direction, Store, StoreFault, Table};

/// Leaves of one row at most.
pub(crate) const GROUP_LEAVES: usize = 64;

/// Where a leaf stands in the ledger: the statement and the outcome inside the block's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeafPlace {
    /// The event inside its statement.
    pub(crate) event: u32,
    /// Where the statement's bytes begin in the body.
    pub(crate) statement_offset: u32,
    /// How many bytes it has.
    pub(crate) statement_len: u32,
    /// Where the outcome begins in the body.
    pub(crate) outcome_offset: u32,
    /// How many bytes it has.
    pub(crate) outcome_len: u32,
    /// How far before it the leaf before of the same subject is; 0 when it is the first.
    pub(crate) distance: u64,
}

/// Encodes a row: at most [`GROUP_LEAVES`] leaves of one block, in order and without gaps.
pub(crate) fn encode(height: u64, leaves: &[LeafPlace]) -> Vec<u8> {
    let mut row = Vec::with_capacity(8 + 9 * leaves.len());
    let mut put = |number: u64| leb128::put(&mut row, number);
    put(height);
    put(u64::try_from(leaves.len()).expect("a row has few leaves"));
    put(u64::from(leaves.first().map_or(0, |leaf| leaf.event)));
    let (mut statement_end, mut outcome_end) = (0, 0);
    for (position, leaf) in leaves.iter().enumerate() {
        let begins = position == 0 || leaf.event == 0;
        put(u64::from(begins));
        if begins {
            put(u64::from(leaf.statement_offset - statement_end));
            put(u64::from(leaf.statement_len));
            statement_end = leaf.statement_offset + leaf.statement_len;
        }
        put(u64::from(leaf.outcome_offset - outcome_end));
        put(u64::from(leaf.outcome_len));
        outcome_end = leaf.outcome_offset + leaf.outcome_len;
        put(leaf.distance);
    }
    row
}

/// Reads what [`encode`] wrote.
fn decode(row: &[u8]) -> Option<(u64, Vec<LeafPlace>)> {
    let mut reader = Reader(row);
    let (height, count, mut event) = (reader.number()?, reader.number()?, reader.small()?);
    let mut leaves = Vec::new();
    let (mut statement_offset, mut statement_len, mut statement_end, mut outcome_end) = (0, 0, 0_u32, 0_u32);
    for position in 0..count {
        if reader.number()? == 1 {
            event = if position == 0 { event } else { 0 };
            statement_offset = statement_end.checked_add(reader.small()?)?;
            statement_len = reader.small()?;
            statement_end = statement_offset.checked_add(statement_len)?;
        }
        let outcome_offset = outcome_end.checked_add(reader.small()?)?;
        let outcome_len = reader.small()?;
        outcome_end = outcome_offset.checked_add(outcome_len)?;
        let distance = reader.number()?;
        leaves.push(LeafPlace { event, statement_offset, statement_len, outcome_offset, outcome_len, distance });
        event = event.checked_add(1)?;
    }
    reader.0.is_empty().then_some((height, leaves))
}

struct Reader<'r>(&'r [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        leb128::take(&mut self.0)
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }
}

/// A leaf, found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The block's height.
    pub(crate) height: u64,
    /// Its row.
    pub(crate) block: HeightRow,
    /// Where the leaf stands in its body.
    pub(crate) place: LeafPlace,
}

/// Finds a leaf; `None` when the log is not that long.
pub(crate) fn find<S: Store + ?Sized>(store: &S, leaf: u64) -> Result<Option<Found>, StoreFault> {
    let Some((height, place)) = place(store, leaf)? else { return Ok(None) };
    let block = store.get(Table::Height, &height.to_be_bytes())?;
    let block = block.ok_or_else(|| damaged(leaf, "a row of its height", "none"))?;
    Ok(Some(Found { height, block: index::decode(Table::Height, &block)?, place }))
}

/// The leaf before one that is about the same subject.
pub(crate) fn before<S: Store + ?Sized>(store: &S, leaf: u64) -> Result<Option<u64>, StoreFault> {
    let (_, place) = place(store, leaf)?.ok_or_else(|| damaged(leaf, "a row of leaves that holds it", "none"))?;
    list::before(leaf, place.distance)
}

/// The height of a leaf, and where it stands in the block there.
fn place<S: Store + ?Sized>(store: &S, leaf: u64) -> Result<Option<(u64, LeafPlace)>, StoreFault> {
    let range = (Bound::Included(leaf.to_be_bytes().to_vec()), Bound::Unbounded);
    let rows = store.scan(Table::Leaf, range, Direction::Forward, 1)?;
    let Some((key, row)) = rows.into_iter().next() else {
        return Ok(None);
    };
    let found = || {
        let (height, leaves) = decode(&row)?;
        let from_last = usize::try_from(index::leaf_of(&key)?.checked_sub(leaf)?).ok()?;
        let place = leaves.len().checked_sub(1)?.checked_sub(from_last)?;
        Some((height, *leaves.get(place)?))
    };
    found().map(Some).ok_or_else(|| damaged(leaf, "a row of leaves that holds it", "another row"))
}

impl Found {
    /// The statement the leaf's event stands in.
    pub(crate) fn statement<S: Store + ?Sized>(&self, store: &S) -> Result<Statement, StoreFault> {
        let bytes = self.part(store, self.place.statement_offset, self.place.statement_len)?;
        Statement::parse(bytes, &chain::statement::Limits::default()).map_err(|error| StoreFault::Damaged {
            place: format!("a statement of the block at height {}", self.height),
            expected: "what was admitted".to_owned(),
            found: error.to_string(),
        })
    }

    /// Bytes of the block's body.
    pub(crate) fn part<S: Store + ?Sized>(&self, store: &S, offset: u32, len: u32) -> Result<Vec<u8>, StoreFault> {
        store.body_part(&self.block.id, offset, len)?.ok_or_else(|| StoreFault::Damaged {
            place: format!("the body of the block at height {}", self.height),
            expected: format!("{len} bytes from {offset} on"),
            found: "a shorter body or none".to_owned(),
        })
    }
}

fn damaged(leaf: u64, expected: &str, found: &str) -> StoreFault {
    StoreFault::Damaged {
        place: format!("the place of leaf {leaf}"),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(event: u32, statement: (u32, u32), outcome: (u32, u32)) -> LeafPlace {
        LeafPlace {
            event,
            statement_offset: statement.0,
            statement_len: statement.1,
            outcome_offset: outcome.0,
            outcome_len: outcome.1,
            distance: u64::from(statement.0) << event,
        }
    }

    #[test]
    fn places_come_back_also_when_a_row_begins_inside_a_statement() {
        let leaves = [
            place(43, (300, 90_000), (200_000, 80)),
            place(44, (300, 90_000), (200_080, 0)),
            place(0, (90_304, 700), (200_084, 300)),
            place(0, (91_008, 1), (200_384, u32::MAX - 200_384)),
        ];
        for from in 0..leaves.len() {
            let leaves = &leaves[from..];
            assert_eq!(decode(&encode(u64::MAX, leaves)), Some((u64::MAX, leaves.to_vec())), "from {from}");
        }
    }

    #[test]
    fn bytes_that_are_no_row_are_told() {
        let row = encode(7, &[place(0, (10, 20), (40, 300)), place(0, (34, 2), (340, 5))]);
        for length in 0..row.len() {
            assert_eq!(decode(&row[..length]), None, "{length} bytes");
        }
        assert_eq!(decode(&[row.as_slice(), &[0]].concat()), None);
        assert_eq!(decode(&[0xFF; 30]), None);
    }
}
