//! Ends of leases, and the places that they take in the stream of what is told to those who follow.
//!
//! A lease that ends leaves nothing on the ledger: from that instant on its lock is open by itself. Those who wait for it are
//! told behind the first block whose time is at or past the end. So the index keeps, of each lease, when it is due; a
//! block takes the leases that are due at its time, looks in the state before it whether their locks still stand, and
//! writes down those that do. All of it follows from the blocks alone: every node has the same ends in the same places,
//! also when it builds its index anew.
//!
//! The *stream* is the leaves of the log and these ends, numbered together from 0 without gaps. The ends of a block stand
//! behind its leaves:
//!
//! ```text
//! leaf 0   leaf 1   end 0   leaf 2   end 1   end 2   …
//! place 0  1        2       3        4       5
//! ```
//!
//! | Table | Key | Value |
//! | --- | --- | --- |
//! | `LeaseDue` | end, ms (8) ‖ leaf that set it (8) | [`DueRow`] |
//! | `LeaseEnded` | 0 ‖ place (8) | [`EndRow`] |
//! | `LeaseEnded` | 1 ‖ size of the log (8) | how many ends stand before the leaf of that index (8) |
//! | `LeaseEnded` | 2 ‖ invoice ‖ 0 ‖ place (8) | empty |

use std::ops::Bound;

use borsh::{BorshDeserialize, BorshSerialize};
use invoice::id::InvoiceId;
use ledger::execute::LeaseEnd;
use ledger::record::{Claim, InvoiceRecord, LockRecord};
use ledger::state::{StateKey, read};

use crate::index::{Progress, decode, encode, leaf_of};
use crate::port::{Direction, IndexWrites, Row, Store, StoreFault, Table};
use crate::replica::Fault;
use crate::view::StoreView;

/// Leases looked at in one scan.
const DUE_A_SCAN: usize = 1_000;

const BY_PLACE: u8 = 0;
const BY_LOG_SIZE: u8 = 1;
const BY_INVOICE: u8 = 2;

/// A lease that will be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct DueRow {
    invoice: InvoiceId,
    token: u64,
}

/// A lease that has ended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct EndRow {
    /// How many ends stand before it in the stream.
    pub(crate) number: u64,
    /// The size of the log behind whose last leaf it stands.
    pub(crate) log_size: u64,
    /// The block behind which it is told.
    pub(crate) height: u64,
    /// The time of that block, ms UTC.
    pub(crate) time_ms: i64,
    /// The invoice.
    pub(crate) invoice: InvoiceId,
    /// The lock as it stood.
    pub(crate) lock: LockRecord,
}

impl EndRow {
    /// Its place in the stream.
    pub(crate) const fn place(&self) -> u64 {
        self.log_size + self.number
    }
}

/// What a block does to ends.
pub(crate) struct Ended {
    /// How many ends there are now.
    pub(crate) ends: u64,
    /// Until when no lease ends, ms UTC: nothing need be looked for before that.
    pub(crate) quiet_until_ms: i64,
}

fn due_key(until_ms: i64, leaf: u64) -> Vec<u8> {
    // Block times are positive, so big-endian keeps their order.
    [until_ms.max(0).to_be_bytes(), leaf.to_be_bytes()].concat()
}

fn due_ms(key: &[u8]) -> Result<i64, StoreFault> {
    let end = key.first_chunk::<8>().map(|end| i64::from_be_bytes(*end));
    end.ok_or_else(|| StoreFault::Damaged {
        place: "a key of LeaseDue".to_owned(),
        expected: "a time and a leaf".to_owned(),
        found: format!("{} bytes", key.len()),
    })
}

fn place_key(place: u64) -> Vec<u8> {
    [&[BY_PLACE], place.to_be_bytes().as_slice()].concat()
}

fn log_size_key(size: u64) -> Vec<u8> {
    [&[BY_LOG_SIZE], size.to_be_bytes().as_slice()].concat()
}

fn invoice_key(invoice: &str, place: u64) -> Vec<u8> {
    [&[BY_INVOICE], invoice.as_bytes(), &[0], place.to_be_bytes().as_slice()].concat()
}

/// Adds when leases are due that a block set.
pub(crate) fn due_rows(lease_ends: &[LeaseEnd], rows: &mut IndexWrites) {
    for LeaseEnd { invoice, token, until_ms, leaf } in lease_ends {
        let row = DueRow { invoice: *invoice, token: *token };
        rows.insert((Table::LeaseDue, due_key(*until_ms, *leaf)), Some(encode(&row)));
    }
}

/// Adds the ends of leases that are due at a block's time, on top of what the store holds of the blocks before; `ends` is how
/// many there were. Leases that the block itself sets end later.
///
/// # Errors
/// A fault of the store or the state.
pub(crate) fn end<S: Store + ?Sized>(
    store: &S,
    progress: &Progress,
    ends: u64,
    rows: &mut IndexWrites,
) -> Result<Ended, Fault> {
    let mut ended = Ended { ends, quiet_until_ms: i64::MAX };
    let mut from = Bound::Unbounded;
    'scans: loop {
        let due = store.scan(Table::LeaseDue, (from, Bound::Unbounded), Direction::Forward, DUE_A_SCAN)?;
        let whole = due.len() < DUE_A_SCAN;
        from = due.last().map_or(Bound::Unbounded, |(key, _)| Bound::Excluded(key.clone()));
        for (key, row) in due {
            let until_ms = due_ms(&key)?;
            if until_ms > progress.time_ms {
                ended.quiet_until_ms = until_ms;
                break 'scans;
            }
            let DueRow { invoice, token } = decode(Table::LeaseDue, &row)?;
            if let Some(lock) = standing(store, &invoice, token, until_ms)? {
                let (number, log_size) = (ended.ends, progress.log_size);
                let (height, time_ms) = (progress.height, progress.time_ms);
                put(&EndRow { number, log_size, height, time_ms, invoice, lock }, rows);
                ended.ends += 1;
            }
            rows.insert((Table::LeaseDue, key), None);
        }
        if whole {
            break;
        }
    }
    if ended.ends > ends {
        rows.insert((Table::LeaseEnded, log_size_key(progress.log_size)), Some(encode(&ended.ends)));
    }
    Ok(ended)
}

fn put(end: &EndRow, rows: &mut IndexWrites) {
    let place = end.place();
    rows.insert((Table::LeaseEnded, invoice_key(&end.invoice.to_string(), place)), Some(Vec::new()));
    rows.insert((Table::LeaseEnded, place_key(place)), Some(encode(end)));
}

/// The lock of an invoice under a token, when it stands in the state and its lease still has that end: it was neither renewed
/// nor given up, closed or overridden. One that lapsed stands there until another comes.
fn standing<S: Store + ?Sized>(
    store: &S,
    invoice: &InvoiceId,
    token: u64,
    until_ms: i64,
) -> Result<Option<LockRecord>, Fault> {
    let record = read::<InvoiceRecord>(&StoreView(store), &StateKey::invoice(invoice))?;
    let lock = record.and_then(|record| match record.claim {
        Claim::Locked(lock) => Some(lock),
        Claim::Open | Claim::Closed(_) => None,
    });
    Ok(lock.filter(|lock| lock.token == token && lock.until_ms == until_ms))
}

fn end_row((_, row): &Row) -> Result<EndRow, StoreFault> {
    decode(Table::LeaseEnded, row)
}

/// How many ends there are in the index.
///
/// # Errors
/// A fault of the store.
pub(crate) fn count<S: Store + ?Sized>(store: &S) -> Result<u64, StoreFault> {
    before(store, u64::MAX)
}

/// How many ends stand before a place of the stream.
///
/// # Errors
/// A fault of the store.
pub(crate) fn before<S: Store + ?Sized>(store: &S, place: u64) -> Result<u64, StoreFault> {
    let range = (Bound::Included(place_key(0)), Bound::Excluded(place_key(place)));
    let rows = store.scan(Table::LeaseEnded, range, Direction::Backward, 1)?;
    rows.first().map_or(Ok(0), |row| Ok(end_row(row)?.number + 1))
}

/// How many ends stand before a leaf of the log.
///
/// # Errors
/// A fault of the store.
pub(crate) fn before_leaf<S: Store + ?Sized>(store: &S, leaf: u64) -> Result<u64, StoreFault> {
    let range = (Bound::Included(log_size_key(0)), Bound::Included(log_size_key(leaf)));
    let rows = store.scan(Table::LeaseEnded, range, Direction::Backward, 1)?;
    rows.first().map_or(Ok(0), |(_, row)| decode(Table::LeaseEnded, row))
}

/// At most `limit` ends from a place of the stream on.
///
/// # Errors
/// A fault of the store.
pub(crate) fn ends_from<S: Store + ?Sized>(store: &S, place: u64, limit: usize) -> Result<Vec<EndRow>, StoreFault> {
    let range = (Bound::Included(place_key(place)), Bound::Included(place_key(u64::MAX)));
    store.scan(Table::LeaseEnded, range, Direction::Forward, limit)?.iter().map(end_row).collect()
}

/// The places of at most `limit` ends of an invoice's leases, from a place of the stream on.
///
/// # Errors
/// A fault of the store.
pub(crate) fn places_of<S: Store + ?Sized>(
    store: &S,
    invoice: &str,
    from: u64,
    limit: usize,
) -> Result<Vec<u64>, StoreFault> {
    let range = (Bound::Included(invoice_key(invoice, from)), Bound::Included(invoice_key(invoice, u64::MAX)));
    let rows = store.scan(Table::LeaseEnded, range, Direction::Forward, limit)?;
    Ok(rows.iter().filter_map(|(key, _)| leaf_of(key)).collect())
}
