//! Rows of [`Table::PartyInvoice`]: which invoices leaves gave parties, and how far back on each side the leaf stands that
//! gave the same party the one before.
//!
//! A row holds at most [`GROUP_LEAVES`] such leaves of one block, under the index of the last, so that looking for the
//! first row from a leaf on finds the leaf's own:
//!
//! ```text
//! for each leaf: how far behind the one before it in the row (the first: its index) | sides, a bit each (1)
//!                | for each side: distance to the leaf before in its list, 0 for none | invoice id
//! ```
//!
//! Numbers are LEB128. Who the parties are, the lists know: see [`crate::list`].

use std::ops::Bound;

use borsh::BorshDeserialize;
use chain::block::Header;
use indexmap::IndexMap;
use indexmap::map::Entry;
use invoice::Period;
use invoice::id::InvoiceId;
use ledger::execute::Involvement;
use ledger::leb128;
use ledger::party::{Party, Side};

use crate::leaf;
use crate::list::{self, Growth, List};
use crate::port::{Direction, IndexWrites, Store, StoreFault, Table};

/// Leaves of one row at most: few rows make few pages, and whoever reads a list reads a page for most of its leaves.
const GROUP_LEAVES: usize = 16;

/// The sides, in the order of their bits.
const SIDES: [Side; 4] = [Side::Seller, Side::Buyer, Side::Holder, Side::Platform];

/// What a leaf gave.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    leaf: u64,
    invoice: InvoiceId,
    /// For each of [`SIDES`] on which a party got it, the distance to the leaf before in that list.
    distances: [Option<u64>; SIDES.len()],
}

/// The place of a side among [`SIDES`], and its bit.
const fn place(side: Side) -> usize {
    side as usize - 1
}

impl Given {
    fn put(&self, row: &mut Vec<u8>, before: u64) {
        leb128::put(row, self.leaf - before);
        row.push(
            self.distances.iter().enumerate().map(|(place, distance)| u8::from(distance.is_some()) << place).sum(),
        );
        for distance in self.distances.iter().flatten() {
            leb128::put(row, *distance);
        }
        borsh::to_writer(row, &self.invoice).expect("writing to a vector cannot fail");
    }

    fn take(row: &mut &[u8], before: u64) -> Option<Self> {
        let leaf = before.checked_add(leb128::take(row)?)?;
        let (bits, rest) = row.split_first()?;
        *row = rest;
        if bits >> SIDES.len() != 0 {
            return None;
        }
        let mut distances = [None; SIDES.len()];
        for (_, distance) in distances.iter_mut().enumerate().filter(|(place, _)| bits >> place & 1 == 1) {
            *distance = Some(leb128::take(row)?);
        }
        let invoice = InvoiceId::deserialize(row).ok()?;
        Some(Self { leaf, invoice, distances })
    }
}

fn encode(group: &[Given]) -> Vec<u8> {
    let (mut row, mut before) = (Vec::with_capacity(32 * group.len()), 0);
    for given in group {
        given.put(&mut row, before);
        before = given.leaf;
    }
    row
}

/// Reads what [`encode`] wrote.
fn decode(mut row: &[u8]) -> Option<Vec<Given>> {
    let (mut group, mut before) = (Vec::with_capacity(GROUP_LEAVES), 0);
    while !row.is_empty() {
        let given = Given::take(&mut row, before)?;
        before = given.leaf;
        group.push(given);
    }
    Some(group)
}

/// The month whose lists of parties a block adds to.
pub(crate) fn month_of(time_ms: i64) -> Result<Period, StoreFault> {
    Period::from_unix_ms(time_ms).map_err(|error| StoreFault::Damaged {
        place: "the time of a block".to_owned(),
        expected: "a time in the calendar".to_owned(),
        found: error.to_string(),
    })
}

/// Adds what a block gave parties to their lists, and the rows.
///
/// # Errors
/// A fault of the store.
pub(crate) fn rows<S: Store + ?Sized>(
    header: &Header,
    involvements: &[Involvement],
    lists: &mut Growth<'_, S>,
    rows: &mut IndexWrites,
) -> Result<(), StoreFault> {
    let month = month_of(header.time_ms)?;
    // Few parties come to most of the invoices of a block, and the name of a list is longer than that of its party.
    let mut lists_of = IndexMap::new();
    let mut leaves = Vec::new();
    for given in involvements.chunk_by(|one, next| one.leaf == next.leaf) {
        let Some(Involvement { invoice, leaf, .. }) = given.first() else { continue };
        let mut distances = [None; SIDES.len()];
        for Involvement { party, side, .. } in given {
            let list = match lists_of.entry((party, *side)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(lists.open(List::of_party(month, *side, party))?),
            };
            distances[place(*side)] = Some(lists.add(list, *leaf)?);
        }
        leaves.push(Given { leaf: *leaf, invoice: *invoice, distances });
    }
    for group in leaves.chunks(GROUP_LEAVES) {
        let Some(last) = group.last() else { continue };
        rows.insert((Table::PartyInvoice, last.leaf.to_be_bytes().to_vec()), Some(encode(group)));
    }
    Ok(())
}

/// What a party came to on a side, newest first.
pub(crate) struct Invoices<'s, S: ?Sized> {
    store: &'s S,
    party: &'s Party,
    side: Side,
    /// The month that is looked at when `next` is at its end, and the oldest there is.
    month: Option<Period>,
    oldest: Period,
    /// Only leaves below this, in that month.
    below: Option<u64>,
    next: Option<u64>,
    /// The row read last: who comes to many invoices finds several in one.
    group: Vec<Given>,
}

impl<'s, S: Store + ?Sized> Invoices<'s, S> {
    /// Begins below a leaf, or with the newest of the months given by two times, ms UTC.
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn below(
        store: &'s S,
        (party, side): (&'s Party, Side),
        below: Option<u64>,
        (oldest_ms, newest_ms): (i64, i64),
    ) -> Result<Self, StoreFault> {
        let (oldest, mut month) = (month_of(oldest_ms)?, month_of(newest_ms)?);
        if let Some(found) = below.map(|leaf| leaf::find(store, leaf)).transpose()?.flatten() {
            // What is older stands in no later month.
            month = month_of(found.block.time_ms)?;
        }
        Ok(Self { store, party, side, month: Some(month), oldest, below, next: None, group: Vec::new() })
    }

    /// The next leaf, and what it gave.
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, InvoiceId)>, StoreFault> {
        while self.next.is_none() {
            let Some(month) = self.month.filter(|month| *month >= self.oldest) else { return Ok(None) };
            let list = List::of_party(month, self.side, self.party);
            let below = self.below;
            self.next = list::newest(self.store, &list, below, |leaf| Ok(self.given(leaf)?.1))?;
            // Block time begins long after the calendar does, so there is always a month before.
            (self.month, self.below) = (Period::from_unix_ms(month.start_ms() - 1).ok(), None);
        }
        let Some(leaf) = self.next else { return Ok(None) };
        let (invoice, before) = self.given(leaf)?;
        self.next = before;
        Ok(Some((leaf, invoice)))
    }

    /// What a leaf of the list gave, and the leaf before it.
    fn given(&mut self, leaf: u64) -> Result<(InvoiceId, Option<u64>), StoreFault> {
        let at = |group: &[Given]| group.iter().position(|given| given.leaf == leaf);
        if at(&self.group).is_none() {
            let range = (Bound::Included(leaf.to_be_bytes().to_vec()), Bound::Unbounded);
            let rows = self.store.scan(Table::PartyInvoice, range, Direction::Forward, 1)?;
            self.group = rows.first().and_then(|(_, row)| decode(row)).unwrap_or_default();
        }
        let given = at(&self.group).and_then(|at| self.group.get(at));
        let found = given.and_then(|given| Some((given.invoice, given.distances[place(self.side)]?)));
        let (invoice, distance) = found.ok_or_else(|| StoreFault::Damaged {
            place: format!("a row of {:?}", Table::PartyInvoice),
            expected: format!("what leaf {leaf} gave a {:?}", self.side),
            found: "something else".to_owned(),
        })?;
        Ok((invoice, list::before(leaf, distance)?))
    }
}

/// What several parties came to on a side, newest first: those that one organisation is under its taxpayer ids.
pub(crate) struct Together<'s, S: ?Sized> {
    parties: Vec<Ahead<'s, S>>,
}

/// What is still to come of a party, and the next of it.
struct Ahead<'s, S: ?Sized> {
    next: Option<(u64, InvoiceId)>,
    rest: Invoices<'s, S>,
}

impl<'s, S: Store + ?Sized> Together<'s, S> {
    /// Begins as [`Invoices::below`].
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn below(
        store: &'s S,
        (parties, side): (&'s [Party], Side),
        below: Option<u64>,
        months: (i64, i64),
    ) -> Result<Self, StoreFault> {
        let party = |party| {
            let mut rest = Invoices::below(store, (party, side), below, months)?;
            Ok(Ahead { next: rest.next()?, rest })
        };
        Ok(Self { parties: parties.iter().map(party).collect::<Result<_, StoreFault>>()? })
    }

    /// The next leaf, and what it gave.
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, InvoiceId)>, StoreFault> {
        let newest = self.parties.iter_mut().max_by_key(|party| party.next.map(|(leaf, _)| leaf));
        let Some(newest) = newest else { return Ok(None) };
        let Some(found) = newest.next else { return Ok(None) };
        newest.next = newest.rest.next()?;
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_bytes_that_are_none_are_told() {
        let invoice: InvoiceId = "144032609110-00000077".parse().unwrap();
        let digital: InvoiceId = "26440000000000000077".parse().unwrap();
        let given = |sides: u8| Given {
            leaf: 70_000 + u64::from(sides) * 300,
            invoice: if sides.is_multiple_of(2) { invoice } else { digital },
            distances: SIDES.map(|side| (sides >> place(side) & 1 == 1).then_some(300 * (side as u64 - 1))),
        };
        let group: Vec<Given> = (0..16).map(given).collect();
        let row = encode(&group);
        assert_eq!(decode(&row), Some(group.clone()));
        let whole: Vec<usize> = (0..=group.len()).map(|count| encode(&group[..count]).len()).collect();
        for length in 0..row.len() {
            let expected = whole.iter().position(|whole| *whole == length).map(|count| group[..count].to_vec());
            assert_eq!(decode(&row[..length]), expected, "{length} bytes");
        }
        assert_eq!(decode(&[0, 16, 0]), None);
        assert_eq!(decode(&[row.as_slice(), &[0]].concat()), None);
    }
}
