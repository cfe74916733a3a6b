//! Lists of leaves: the events of a subject, and the leaves that gave a party an invoice on one side.
//!
//! A list is linked from the newest leaf to the oldest: beside each leaf stands how far before it the one before is, in
//! rows that are written in the order of leaves. So a list of any name grows where everything grows, and not on a
//! page of its own. Only its *head*, the newest leaf, must be found by name. It stands in front of a state record
//! that the same event writes anyway:
//!
//! | List | In front of |
//! | --- | --- |
//! | events of an invoice | the invoice |
//! | invoices a party sold | its sums of the month on that side |
//! | invoices a party bought or came to hold | its sums of the month as a buyer |
//!
//! A block that adds to a list and does not write that record (a refusal, a transfer, a lock) gives the head a row of
//! its own in [`Table::ListHead`]. Both may be there then, and the newer one counts.
//!
//! ```text
//! State:    heads | record as hashed
//! ListHead: heads
//! heads:    which there are (1), a bit each | for each: newest leaf | leaves in all      (LEB128 numbers)
//! ```
//!
//! Lists of a party are lists of a month of block time, as sums are; since block time only grows, the month before goes
//! on where a month ends. Every [`MILESTONE`]th leaf of a list has a row in [`Table::ListMilestone`], so that nobody who
//! begins in the middle walks further than that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use invoice::Period;
use ledger::leb128;
use ledger::party::{Party, Side};
use ledger::state::{Kind, StateKey, Writes};

use crate::index::leaf_of;
use crate::port::{Direction, IndexWrites, Store, StoreFault, Table};

/// Leaves of a list between two rows that say where it has come.
pub(crate) const MILESTONE: u64 = 64;

/// Heads that stand together: those of what a buyer bought and what it holds.
const SLOTS: usize = 2;

/// A list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct List {
    /// The key of the state record in front of which the head may stand.
    row: Vec<u8>,
    /// Which of the heads there it is.
    slot: usize,
}

impl List {
    /// The events of a subject.
    pub(crate) fn of_subject(subject: &str) -> Self {
        let row = match subject.parse() {
            Ok(invoice) => StateKey::invoice(&invoice).into_bytes(),
            // Kinds of records count from 1.
            Err(_) => [&[0], subject.as_bytes()].concat(),
        };
        Self { row, slot: 0 }
    }

    /// The invoices that a party came to on a side in a month.
    pub(crate) fn of_party(month: Period, side: Side, party: &Party) -> Self {
        let (beside, slot) = match side {
            Side::Holder => (Side::Buyer, 1),
            Side::Seller | Side::Buyer | Side::Platform => (side, 0),
        };
        Self { row: StateKey::accumulator(month, beside, party).into_bytes(), slot }
    }

    /// The key of a milestone. No id contains a zero byte, so lists stay apart.
    fn milestone(&self, leaf: u64) -> Vec<u8> {
        let slot = u8::try_from(self.slot).expect("there are few slots");
        [self.row.as_slice(), &[0, slot], &leaf.to_be_bytes()].concat()
    }
}

/// Where a list has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    newest: u64,
    /// How many leaves it has.
    length: u64,
}

/// The heads of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heads([Option<Head>; SLOTS]);

impl Heads {
    fn put(&self, bytes: &mut Vec<u8>) {
        let bits = self.0.iter().enumerate().map(|(slot, head)| u8::from(head.is_some()) << slot);
        bytes.push(bits.sum());
        for head in self.0.iter().flatten() {
            leb128::put(bytes, head.newest);
            leb128::put(bytes, head.length);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (bits, rest) = bytes.split_first().filter(|(bits, _)| **bits >> SLOTS == 0)?;
        *bytes = rest;
        let mut heads = Self::default();
        for (_, head) in heads.0.iter_mut().enumerate().filter(|(slot, _)| bits >> slot & 1 == 1) {
            *head = Some(Head { newest: leb128::take(bytes)?, length: leb128::take(bytes)? });
        }
        Some(heads)
    }

    /// Of each list the head that is newer.
    fn or_newer(mut self, other: Self) -> Self {
        for (head, other) in self.0.iter_mut().zip(other.0) {
            if other.map(|head| head.newest) > head.map(|head| head.newest) {
                *head = other;
            }
        }
        self
    }
}

fn damaged(place: &str, found: String) -> StoreFault {
    StoreFault::Damaged { place: place.to_owned(), expected: "what a block left there".to_owned(), found }
}

fn no_heads(table: Table, bytes: &[u8]) -> StoreFault {
    damaged(&format!("a row of {table:?}"), format!("{} bytes without heads of lists", bytes.len()))
}

/// A row of state whose record is in no list.
pub(crate) fn state_row(record: &[u8]) -> Vec<u8> {
    row_under(&Heads::default(), record)
}

fn row_under(heads: &Heads, record: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(record.len() + 8);
    heads.put(&mut row);
    row.extend_from_slice(record);
    row
}

/// The record in a row of state, as hashed.
///
/// # Errors
/// [`StoreFault::Damaged`] when it is no such row.
pub(crate) fn record(row: &[u8]) -> Result<&[u8], StoreFault> {
    let mut rest = row;
    Heads::take(&mut rest).map(|_| rest).ok_or_else(|| no_heads(Table::State, row))
}

/// The same, of a row that is no longer needed.
///
/// # Errors
/// [`StoreFault::Damaged`] when it is no such row.
pub(crate) fn into_record(mut row: Vec<u8>) -> Result<Vec<u8>, StoreFault> {
    let record = record(&row)?.len();
    row.drain(..row.len() - record);
    Ok(row)
}

fn heads_in_state<S: Store + ?Sized>(store: &S, row: &[u8]) -> Result<Heads, StoreFault> {
    let value = store.get(Table::State, row)?;
    let heads = |value: Vec<u8>| Heads::take(&mut value.as_slice()).ok_or_else(|| no_heads(Table::State, &value));
    value.map_or(Ok(Heads::default()), heads)
}

fn heads_of<S: Store + ?Sized>(store: &S, row: &[u8]) -> Result<Heads, StoreFault> {
    let in_state = heads_in_state(store, row)?;
    let Some(own) = store.get(Table::ListHead, row)? else {
        return Ok(in_state);
    };
    let mut rest = own.as_slice();
    let heads = Heads::take(&mut rest).filter(|_| rest.is_empty()).ok_or_else(|| no_heads(Table::ListHead, &own))?;
    Ok(in_state.or_newer(heads))
}

/// What a block adds to lists.
pub(crate) struct Growth<'s, S: ?Sized> {
    store: &'s S,
    heads: BTreeMap<Vec<u8>, Heads>,
    milestones: BTreeSet<Vec<u8>>,
}

impl<'s, S: Store + ?Sized> Growth<'s, S> {
    /// Nothing yet, on what the store holds.
    pub(crate) fn new(store: &'s S) -> Self {
        Self { store, heads: BTreeMap::new(), milestones: BTreeSet::new() }
    }

    /// Adds a leaf to a list, and returns how far before it the one before is: 0 when it is the first.
    ///
    /// # Errors
    /// A fault of the store; damage when the list has a leaf that is not older.
    pub(crate) fn add(&mut self, list: &List, leaf: u64) -> Result<u64, StoreFault> {
        if !self.heads.contains_key(&list.row) {
            let heads = heads_of(self.store, &list.row)?;
            self.heads.insert(list.row.clone(), heads);
        }
        let head = self.heads.get_mut(&list.row).and_then(|heads| heads.0.get_mut(list.slot));
        let head = head.expect("it was put there, and has a head for each slot");
        let before = head.map_or(leaf, |head| leaf.saturating_sub(head.newest));
        let length = head.map_or(1, |head| head.length.saturating_add(1));
        if let Some(head) = head.filter(|_| before == 0) {
            return Err(damaged("the head of a list", format!("leaf {} before leaf {leaf}", head.newest)));
        }
        let distance = if head.is_some() { before } else { 0 };
        *head = Some(Head { newest: leaf, length });
        if length.is_multiple_of(MILESTONE) {
            self.milestones.insert(list.milestone(leaf));
        }
        Ok(distance)
    }

    /// The rows: those of the state records that are written, with heads in front, and those of the lists.
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn finish(mut self, writes: &Writes, rows: &mut IndexWrites) -> Result<(), StoreFault> {
        for (key, record) in writes {
            let key = key.as_bytes();
            let heads = match self.heads.remove(key) {
                Some(heads) => heads,
                None if may_have_heads(key) => heads_in_state(self.store, key)?,
                None => Heads::default(),
            };
            rows.insert((Table::State, key.to_vec()), Some(row_under(&heads, record)));
        }
        for (row, heads) in self.heads {
            rows.insert((Table::ListHead, row), Some(row_under(&heads, &[])));
        }
        rows.extend(self.milestones.into_iter().map(|key| ((Table::ListMilestone, key), Some(Vec::new()))));
        Ok(())
    }
}

fn may_have_heads(key: &[u8]) -> bool {
    [Kind::Invoice, Kind::Accumulator].iter().any(|kind| key.first() == Some(&(*kind as u8)))
}

/// The leaf that stands so far before one; `None` for the first of a list, whose distance is 0.
///
/// # Errors
/// [`StoreFault::Damaged`] when there can be none so far back.
pub(crate) fn before(leaf: u64, distance: u64) -> Result<Option<u64>, StoreFault> {
    let before = leaf.checked_sub(distance).ok_or_else(|| {
        damaged("the row of a leaf in a list", format!("leaf {leaf}, and {distance} before it the one before"))
    })?;
    Ok(Some(before).filter(|_| distance != 0))
}

/// The first milestone in a range of a list's leaves.
fn milestone<S: Store + ?Sized>(store: &S, list: &List, from: Bound<u64>, to: u64) -> Result<Option<u64>, StoreFault> {
    let range = (from.map(|leaf| list.milestone(leaf)), Bound::Included(list.milestone(to)));
    let rows = store.scan(Table::ListMilestone, range, Direction::Forward, 1)?;
    Ok(rows.first().and_then(|(key, _)| leaf_of(key)))
}

/// Leaves of a list from one on back, as long as they are wanted, and where it goes on. There is a milestone among
/// the next [`MILESTONE`], so no more are walked.
fn walk(
    from: u64,
    wanted: impl Fn(u64) -> bool,
    mut before: impl FnMut(u64) -> Result<Option<u64>, StoreFault>,
) -> Result<(Vec<u64>, Option<u64>), StoreFault> {
    let (mut leaves, mut next) = (Vec::new(), Some(from));
    while let Some(leaf) = next.filter(|leaf| wanted(*leaf)) {
        if leaves.len() as u64 >= MILESTONE {
            return Err(damaged("a list of leaves", format!("no milestone from leaf {leaf} to leaf {from}")));
        }
        leaves.push(leaf);
        next = before(leaf)?;
    }
    Ok((leaves, next))
}

/// Leaves of a list, oldest first, after a leaf. `before` says which leaf of the list stands before one.
///
/// # Errors
/// A fault of the store.
pub(crate) fn oldest_first<S: Store + ?Sized>(
    store: &S,
    list: &List,
    after: Option<u64>,
    limit: usize,
    mut before: impl FnMut(u64) -> Result<Option<u64>, StoreFault>,
) -> Result<Vec<u64>, StoreFault> {
    let (mut found, mut after) = (Vec::new(), after);
    // Milestones behind this head, of blocks that come meanwhile, are not looked at.
    let Some(head) = heads_of(store, &list.row)?.0[list.slot] else { return Ok(found) };
    while found.len() < limit && after.is_none_or(|after| after < head.newest) {
        let from = after.map_or(Bound::Included(0), Bound::Excluded);
        let end = milestone(store, list, from, head.newest)?.unwrap_or(head.newest);
        let (mut leaves, _) = walk(end, |leaf| after.is_none_or(|after| leaf > after), &mut before)?;
        leaves.reverse();
        found.append(&mut leaves);
        after = Some(end);
    }
    found.truncate(limit);
    Ok(found)
}

/// The newest leaf of a list, or the newest below one.
///
/// # Errors
/// A fault of the store.
pub(crate) fn newest<S: Store + ?Sized>(
    store: &S,
    list: &List,
    below: Option<u64>,
    before: impl FnMut(u64) -> Result<Option<u64>, StoreFault>,
) -> Result<Option<u64>, StoreFault> {
    let Some(head) = heads_of(store, &list.row)?.0[list.slot] else { return Ok(None) };
    let Some(below) = below.filter(|below| *below <= head.newest) else { return Ok(Some(head.newest)) };
    let from = milestone(store, list, Bound::Included(below), head.newest)?.unwrap_or(head.newest);
    Ok(walk(from, |leaf| leaf >= below, before)?.1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::MemoryStore;

    /// A row of state, and lists that stand beside it, beside another or beside none.
    fn lists() -> Vec<List> {
        let parties = ["taxpayer:915000000000012", "person:p"].map(|party| party.parse::<Party>().unwrap());
        let months = [Period::new(2026, 11).unwrap(), Period::new(2026, 12).unwrap()];
        let sides = [Side::Seller, Side::Buyer, Side::Holder, Side::Platform];
        let of_parties = parties.iter().flat_map(|party| {
            months.iter().flat_map(move |month| sides.map(|side| List::of_party(*month, side, party)))
        });
        let subjects = ["144032609110-00000077", "144032609110-00000078", "reference:shop/77", "filing:shop/2026-11"];
        of_parties.chain(subjects.map(List::of_subject)).collect()
    }

    /// A block: lists that its leaves belong to, and the lists whose state records it writes.
    type Block = (Vec<Vec<usize>>, Vec<usize>);

    fn blocks() -> impl Strategy<Value = Vec<Block>> {
        let list = || 0..lists().len();
        let leaf = prop_oneof![prop::collection::vec(list(), 0..4), Just(vec![0, 1, 2]), Just(vec![16])];
        let leaves = prop_oneof![4 => prop::collection::vec(leaf, 0..6), 1 => prop::collection::vec(Just(vec![1, 2, 16]), 0..150)];
        prop::collection::vec((leaves, prop::collection::vec(list(), 0..4)), 0..12)
    }

    /// The distances of each list's leaves, as rows would hold them.
    type Distances = BTreeMap<(usize, u64), u64>;

    fn apply(store: &MemoryStore, height: u64, block: &Block, from: u64, distances: &mut Distances) {
        let (names, mut growth, mut rows) = (lists(), Growth::new(store), IndexWrites::new());
        for (leaf, members) in (from..).zip(&block.0) {
            for member in members.iter().collect::<BTreeSet<_>>() {
                distances.insert((*member, leaf), growth.add(&names[*member], leaf).unwrap());
            }
        }
        let record = height.to_be_bytes().to_vec();
        let writes = block.1.iter().map(|member| (StateKey::from_bytes(names[*member].row.clone()), record.clone()));
        // What no kind of record begins with is the row of a list alone.
        let writes: Writes = writes.filter(|(key, _)| key.as_bytes()[0] != 0).collect();
        growth.finish(&writes, &mut rows).unwrap();
        store.apply(height, rows).unwrap();
        for (key, _) in writes {
            let row = store.get(Table::State, key.as_bytes()).unwrap().unwrap();
            assert_eq!((self::record(&row).unwrap(), into_record(row.clone()).unwrap()), (&*record, record.clone()));
        }
    }

    proptest! {
        /// The same as if each list were kept whole, from each end and from the middle.
        #[test]
        fn they_are_what_was_added(blocks in blocks(), cut in any::<prop::sample::Index>(), limit in 1..200_usize) {
            let (store, mut distances, mut size) = (MemoryStore::new(), Distances::new(), 0);
            let mut model: Vec<Vec<u64>> = vec![Vec::new(); lists().len()];
            for (height, block) in (0..).zip(&blocks) {
                apply(&store, height, block, size, &mut distances);
                for (leaf, members) in (size..).zip(&block.0) {
                    members.iter().collect::<BTreeSet<_>>().into_iter().for_each(|member| model[*member].push(leaf));
                }
                size += block.0.len() as u64;
            }
            let cut = cut.index(usize::try_from(size).unwrap() + 1) as u64;
            for (member, (list, expected)) in lists().iter().zip(&model).enumerate() {
                let steps = std::cell::Cell::new(0);
                let before = |leaf| {
                    steps.set(steps.get() + 1);
                    super::before(leaf, distances[&(member, leaf)])
                };
                for after in [None, Some(cut)] {
                    let expected = expected.iter().filter(|leaf| after.is_none_or(|after| **leaf > after));
                    let expected: Vec<u64> = expected.take(limit).copied().collect();
                    steps.set(0);
                    prop_assert_eq!(oldest_first(&store, list, after, limit, before).unwrap(), expected);
                    prop_assert!(steps.get() <= limit as u64 + MILESTONE, "{} steps for {limit}", steps.get());
                    let expected = model[member].iter().rev().find(|leaf| after.is_none_or(|after| **leaf < after));
                    steps.set(0);
                    prop_assert_eq!(newest(&store, list, after, before).unwrap(), expected.copied());
                    prop_assert!(steps.get() <= MILESTONE, "{} steps", steps.get());
                }
            }
        }
    }

    #[test]
    fn damage_is_told() {
        let store = MemoryStore::new();
        let list = List::of_subject("reference:shop/1");
        for row in [&[][..], &[4], &[1], &[1, 5], &[1, 5, 1, 0]] {
            store.reset_index().unwrap();
            store.apply(0, [((Table::ListHead, list.row.clone()), Some(row.to_vec()))].into()).unwrap();
            let fault = Growth::new(&store).add(&list, 9).unwrap_err();
            assert!(matches!(fault, StoreFault::Damaged { .. }), "{row:?}: {fault}");
        }
        store.reset_index().unwrap();
        store.apply(0, [((Table::ListHead, list.row.clone()), Some(vec![1, 99, 70]))].into()).unwrap();
        assert!(Growth::new(&store).add(&list, 99).is_err(), "a leaf comes once");
        assert_eq!(Growth::new(&store).add(&list, 100).unwrap(), 1);
        let endless = |leaf: u64| Ok(Some(leaf - 1));
        assert!(oldest_first(&store, &list, None, 9, endless).is_err(), "a milestone is missing");
        assert!(record(&[]).is_err());
        assert!(before(7, 8).is_err());
    }
}
