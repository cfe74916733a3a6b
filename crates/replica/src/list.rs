//! Lists of leaves: the events of a subject, and the leaves that gave a party an invoice on one side.
//!
//! A list is linked from the newest leaf to the oldest: beside each leaf stands how far before it the one before is, in
//! rows that are written in the order of leaves. So a list of any name grows where everything grows, and not on a
//! page of its own. Only its *head*, the newest leaf, must be found by name. It stands in front of a state record
//! that the same event mostly writes anyway:
//!
//! | List | In front of |
//! | --- | --- |
//! | events of an invoice | the invoice |
//! | invoices a party sold | its sums of the month on that side |
//! | invoices a party bought or came to hold | its sums of the month as a buyer |
//!
//! A block that adds to such a list and does not write that record (a refusal, a transfer) writes the row again, with
//! the record as it is. Where there is no such record, because the list is of something else (a reference, a month filed)
//! or its record is still to come (who tried a number before it was issued), the head has a row of its own in
//! [`Table::ListHead`]. The block that creates the record takes that row over. So a head stands in one place alone, and
//! whoever finds the state record need not look for another: looking for a row that is not there is dear.
//!
//! ```text
//! State:    heads | record as hashed
//! ListHead: heads
//! heads:    which there are, a bit each, and a bit for a record as it was (1) | for each: newest leaf | leaves in all
//! ```
//!
//! Numbers are LEB128.
//!
//! Lists of a party are lists of a month of block time, as sums are; since block time only grows, the month before goes
//! on where a month ends. Every [`MILESTONE`]th leaf of a list has a row in [`Table::ListMilestone`], so that nobody who
//! begins in the middle walks further than that.

mod growth;

use std::ops::Bound;

use invoice::Period;
use invoice::id::InvoiceId;
use ledger::leb128;
use ledger::party::{Party, Side};
use ledger::state::{Kind, StateKey};

use crate::index::leaf_of;
use crate::port::{Direction, Store, StoreFault, Table};

pub(crate) use growth::Growth;

/// Leaves of a list between two rows that say where it has come.
pub(crate) const MILESTONE: u64 = 64;

/// Heads that stand together: those of what a buyer bought and what it holds.
const SLOTS: usize = 2;

/// Set in a row of state that was written for its heads alone.
const SAME_RECORD: u8 = 1 << SLOTS;

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
        // Kinds of records count from 1. There is one way to write an invoice id: that in its key.
        let kind = subject.parse::<InvoiceId>().map_or(0, |_| Kind::Invoice as u8);
        Self { row: [&[kind], subject.as_bytes()].concat(), slot: 0 }
    }

    /// The invoices that a party came to on a side in a month.
    pub(crate) fn of_party(month: Period, side: Side, party: &Party) -> Self {
        let (beside, slot) = match side {
            Side::Holder => (Side::Buyer, 1),
            Side::Seller | Side::Buyer | Side::Platform => (side, 0),
        };
        Self { row: StateKey::accumulator(month, beside, party).into_bytes(), slot }
    }

    fn milestone(&self, leaf: u64) -> Vec<u8> {
        milestone_key(&self.row, self.slot, leaf)
    }
}

/// The key of a milestone. No id contains a zero byte, so lists stay apart.
fn milestone_key(row: &[u8], slot: usize, leaf: u64) -> Vec<u8> {
    let slot = u8::try_from(slot).expect("there are few slots");
    [row, &[0, slot], &leaf.to_be_bytes()].concat()
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
    fn put(&self, flags: u8, bytes: &mut Vec<u8>) {
        let bits = self.0.iter().enumerate().map(|(slot, head)| u8::from(head.is_some()) << slot);
        bytes.push(bits.sum::<u8>() | flags);
        for head in self.0.iter().flatten() {
            leb128::put(bytes, head.newest);
            leb128::put(bytes, head.length);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (bits, rest) = bytes.split_first().filter(|(bits, _)| (**bits & !SAME_RECORD) >> SLOTS == 0)?;
        *bytes = rest;
        let mut heads = Self::default();
        for (_, head) in heads.0.iter_mut().enumerate().filter(|(slot, _)| bits >> slot & 1 == 1) {
            *head = Some(Head { newest: leb128::take(bytes)?, length: leb128::take(bytes)? });
        }
        Some(heads)
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
    row_under(&Heads::default(), 0, record)
}

fn row_under(heads: &Heads, flags: u8, record: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(record.len() + 12);
    heads.put(flags, &mut row);
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

/// Whether a row of state was written for its heads alone. Then its record may still be what a checkpoint found there.
pub(crate) fn may_be_same_record(row: &[u8]) -> bool {
    row.first().is_some_and(|bits| bits & SAME_RECORD != 0)
}

fn heads_in_state(row: &[u8]) -> Result<Heads, StoreFault> {
    Heads::take(&mut &*row).ok_or_else(|| no_heads(Table::State, row))
}

fn heads_alone<S: Store + ?Sized>(store: &S, row: &[u8]) -> Result<Option<Heads>, StoreFault> {
    let heads = |value: Vec<u8>| {
        let mut rest = value.as_slice();
        Heads::take(&mut rest).filter(|_| rest.is_empty()).ok_or_else(|| no_heads(Table::ListHead, &value))
    };
    store.get(Table::ListHead, row)?.map(heads).transpose()
}

/// The head of a list, for those who read while blocks are applied.
fn head_of<S: Store + ?Sized>(store: &S, list: &List) -> Result<Option<Head>, StoreFault> {
    let in_state = || if may_have_heads(&list.row) { store.get(Table::State, &list.row) } else { Ok(None) };
    let heads = match in_state()? {
        Some(row) => heads_in_state(&row)?,
        None => match heads_alone(store, &list.row)? {
            Some(heads) => heads,
            // A block may have created the record since it was looked for, and taken the heads over.
            None => in_state()?.map_or(Ok(Heads::default()), |row| heads_in_state(&row))?,
        },
    };
    Ok(heads.0[list.slot])
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
    let Some(head) = head_of(store, list)? else { return Ok(found) };
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
    let Some(head) = head_of(store, list)? else { return Ok(None) };
    let Some(below) = below.filter(|below| *below <= head.newest) else { return Ok(Some(head.newest)) };
    let from = milestone(store, list, Bound::Included(below), head.newest)?.unwrap_or(head.newest);
    Ok(walk(from, |leaf| leaf >= below, before)?.1)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use ledger::execute::Executed;
    use ledger::state::Writes;
    use proptest::prelude::*;

    use super::*;
    use crate::memory::MemoryStore;
    use crate::port::IndexWrites;

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

    /// What a block did that writes records. Execution says which are new, and nobody relies on being told.
    fn executed(store: &MemoryStore, writes: Writes, told: bool) -> Executed {
        let is_new = |key: &&StateKey| told && store.get(Table::State, key.as_bytes()).unwrap().is_none();
        let created = writes.keys().filter(is_new).cloned().collect();
        Executed {
            writes,
            created,
            leaves: Vec::new(),
            outcomes: Vec::new(),
            involvements: Vec::new(),
            lease_ends: Vec::new(),
        }
    }

    fn apply(store: &MemoryStore, height: u64, block: &Block, from: u64, distances: &mut Distances) -> Writes {
        let (names, mut rows) = (lists(), IndexWrites::new());
        let record = height.to_be_bytes().to_vec();
        let writes = block.1.iter().map(|member| (StateKey::from_bytes(names[*member].row.clone()), record.clone()));
        // What no kind of record begins with is the row of a list alone.
        let writes: Writes = writes.filter(|(key, _)| key.as_bytes()[0] != 0).collect();
        let executed = executed(store, writes, height.is_multiple_of(2));
        let mut growth = Growth::new(store, &executed);
        for (leaf, members) in (from..).zip(&block.0) {
            for member in members.iter().collect::<BTreeSet<_>>() {
                let list = growth.open(names[*member].clone()).unwrap();
                distances.insert((*member, leaf), growth.add(list, leaf).unwrap());
            }
        }
        growth.finish(&mut rows).unwrap();
        for ((table, key), row) in rows.iter().filter(|((table, _), _)| *table == Table::State) {
            let may_be_same = may_be_same_record(row.as_ref().unwrap());
            assert_eq!(may_be_same, !executed.writes.contains_key(key.as_slice()), "{table:?} {key:?}");
        }
        store.apply(height, rows).unwrap();
        executed.writes
    }

    /// Heads stand in one place, and whatever a list does, records are those written last.
    fn compare_records(store: &MemoryStore, records: &Writes) {
        for row in lists().into_iter().map(|list| list.row) {
            let found = store.get(Table::State, &row).unwrap();
            let records = records.get(row.as_slice()).cloned();
            assert_eq!(found.as_deref().map(|row| record(row).unwrap()), records.as_deref());
            assert!(found.is_none() || store.get(Table::ListHead, &row).unwrap().is_none(), "two heads of {row:?}");
            assert_eq!(found.map(|row| into_record(row).unwrap()), records);
        }
    }

    proptest! {
        /// The same as if each list were kept whole, from each end and from the middle.
        #[test]
        fn they_are_what_was_added(blocks in blocks(), cut in any::<prop::sample::Index>(), limit in 1..200_usize) {
            let (store, mut distances, mut records, mut size) =
                (MemoryStore::new(), Distances::new(), Writes::new(), 0);
            let mut model: Vec<Vec<u64>> = vec![Vec::new(); lists().len()];
            for (height, block) in (0..).zip(&blocks) {
                records.extend(apply(&store, height, block, size, &mut distances));
                compare_records(&store, &records);
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
    fn an_invoice_that_was_tried_before_it_was_issued_keeps_its_list() {
        let (store, mut distances) = (MemoryStore::new(), Distances::new());
        let invoice = 16;
        // Tried twice, issued by a block that tries again, tried by one that does not write it, written by one that
        // does not name it.
        let blocks: [Block; 5] = [
            (vec![vec![invoice]], vec![]),
            (vec![vec![], vec![invoice]], vec![]),
            (vec![vec![invoice], vec![invoice]], vec![invoice]),
            (vec![vec![invoice]], vec![]),
            (vec![vec![]], vec![invoice]),
        ];
        let (list, mut size) = (lists()[invoice].clone(), 0);
        for (height, block) in (0..).zip(&blocks) {
            apply(&store, height, block, size, &mut distances);
            size += block.0.len() as u64;
            let alone = store.get(Table::ListHead, &list.row).unwrap();
            assert_eq!(alone.is_some(), height < 2, "height {height}");
        }
        let before = |leaf| super::before(leaf, distances[&(invoice, leaf)]);
        assert_eq!(oldest_first(&store, &list, None, 9, before).unwrap(), [0, 2, 3, 4, 5]);
        let mut newest_first = vec![newest(&store, &list, None, before).unwrap().unwrap()];
        while let Some(leaf) = newest(&store, &list, newest_first.last().copied(), before).unwrap() {
            newest_first.push(leaf);
        }
        assert_eq!(newest_first, [5, 4, 3, 2, 0]);
    }

    #[test]
    fn lists_of_invoices_stand_beside_them() {
        for id in ["144032609110-00000077", "26440000000000000077"] {
            assert_eq!(List::of_subject(id).row, StateKey::invoice(&id.parse().unwrap()).into_bytes());
        }
    }

    #[test]
    fn damage_is_told() {
        let (store, executed) = (MemoryStore::new(), executed(&MemoryStore::new(), Writes::new(), true));
        let list = List::of_subject("reference:shop/1");
        let add = |leaf| {
            let mut growth = Growth::new(&store, &executed);
            let list = growth.open(list.clone())?;
            growth.add(list, leaf)
        };
        for row in [&[][..], &[8], &[1], &[1, 5], &[1, 5, 1, 0]] {
            store.reset_index().unwrap();
            store.apply(0, [((Table::ListHead, list.row.clone()), Some(row.to_vec()))].into()).unwrap();
            let fault = add(9).unwrap_err();
            assert!(matches!(fault, StoreFault::Damaged { .. }), "{row:?}: {fault}");
        }
        store.reset_index().unwrap();
        store.apply(0, [((Table::ListHead, list.row.clone()), Some(vec![1, 99, 70]))].into()).unwrap();
        assert!(add(99).is_err(), "a leaf comes once");
        assert_eq!(add(100).unwrap(), 1);
        let endless = |leaf: u64| Ok(Some(leaf - 1));
        assert!(oldest_first(&store, &list, None, 9, endless).is_err(), "a milestone is missing");
        assert!(record(&[]).is_err());
        assert!(before(7, 8).is_err());
    }
}
