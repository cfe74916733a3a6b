//! Reads in the order of the log: what those who follow the ledger ask.

use chain::block::Body;
use chain::statement::Statement;
use invoice::id::InvoiceId;
use ledger::record::LockRecord;

use super::{EventView, Query};
use crate::leaf;
use crate::lease::{self, EndRow};
use crate::port::Store;
use crate::recover::decided_body;
use crate::replica::Fault;

/// A lease that has ended: nobody signed it, it follows from the time of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEndView {
    /// The first block whose time is at or past the end.
    pub height: u64,
    /// The time of that block, ms UTC.
    pub time_ms: i64,
    /// The invoice.
    pub invoice: InvoiceId,
    /// The lock as it stood.
    pub lock: LockRecord,
}

impl From<EndRow> for LeaseEndView {
    fn from(EndRow { height, time_ms, invoice, lock, .. }: EndRow) -> Self {
        Self { height, time_ms, invoice, lock }
    }
}

/// What is told to those who follow the ledger.
#[derive(Clone, Debug)]
pub enum StreamItem {
    /// An event.
    Event(EventView),
    /// The end of a lease.
    LeaseEnd(LeaseEndView),
}

/// The same, at its place in the stream: the leaves of the log and the ends of leases, numbered together from 0 without gaps.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The place, the same on every node.
    pub place: u64,
    /// What stands there.
    pub item: StreamItem,
}

impl<S: Store> Query<S> {
    /// What stands in the stream from a place on, in order: at most `limit`, and perhaps fewer although more is there. Empty
    /// where the stream ends.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn stream_from(&self, place: u64, limit: usize) -> Result<Vec<Placed>, Fault> {
        let tip = self.tip();
        if limit == 0 || place >= tip.stream_size() {
            return Ok(Vec::new());
        }
        // Ends of a block that is in the index and not yet the tip are not told.
        let told = |end: &EndRow| end.number < tip.lease_ends;
        let next = lease::ends_from(&*self.store, place, 1)?.into_iter().find(told);
        let free = match next.map(|end| end.place()) {
            Some(next) if next == place => {
                let ends = lease::ends_from(&*self.store, place, limit)?.into_iter();
                // Only those next to each other: leaves stand between others.
                let run = ends.filter(told).zip(place..).take_while(|(end, place)| end.place() == *place);
                return Ok(run.map(|(end, place)| Placed { place, item: StreamItem::LeaseEnd(end.into()) }).collect());
            }
            Some(next) => usize::try_from(next - place).unwrap_or(usize::MAX),
            None => limit,
        };
        let events = self.events_from(self.leaf_behind(place)?, limit.min(free))?;
        Ok((place..).zip(events).map(|(place, event)| Placed { place, item: StreamItem::Event(event) }).collect())
    }

    /// The place of a leaf in the stream. Of the log's size it is the place behind its last leaf and the ends told there.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn place_of(&self, leaf: u64) -> Result<u64, Fault> {
        Ok(leaf + lease::before_leaf(&*self.store, leaf)?)
    }

    /// The first leaf at or behind a place of the stream.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn leaf_behind(&self, place: u64) -> Result<u64, Fault> {
        let before = lease::before(&*self.store, place)?;
        place.checked_sub(before).ok_or_else(|| Fault::Ledger {
            height: 0,
            what: format!("{before} ends of leases stand before place {place} of the stream"),
        })
    }

    /// The places of the ends of an invoice's leases, from a place of the stream on, at most `limit`.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn lease_end_places(&self, invoice: &str, from: u64, limit: usize) -> Result<Vec<u64>, Fault> {
        Ok(lease::places_of(&*self.store, invoice, from, limit)?)
    }

    /// Events from a leaf on, in order: at most `limit`, and none of a later block than that leaf's. Empty where the
    /// log ends. The newest blocks are in memory; of others the body is read once.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn events_from(&self, leaf: u64, limit: usize) -> Result<Vec<EventView>, Fault> {
        // The tip is moved last: what lies below it is in the index and among the newest blocks.
        if limit == 0 || leaf >= self.tip().progress.log_size {
            return Ok(Vec::new());
        }
        if let Some(events) = self.recent.events_from(leaf, limit) {
            return Ok(events);
        }
        let Some(found) = leaf::find(&*self.store, leaf)? else {
            return Ok(Vec::new());
        };
        body_events(&decided_body(&*self.store, found.height)?, leaf, limit)
    }
}

/// Events of a block from a leaf on that it holds.
fn body_events(body: &Body, leaf: u64, limit: usize) -> Result<Vec<EventView>, Fault> {
    let header = body.header();
    let damaged = |what: String| Fault::Ledger { height: header.height, what };
    let leaves: usize = body.outcomes.iter().map(Vec::len).sum();
    let first = u64::try_from(leaves).ok().and_then(|leaves| header.log_size.checked_sub(leaves));
    let mut next = first.ok_or_else(|| damaged("it has more leaves than the log".to_owned()))?;
    let mut events = Vec::new();
    for (bytes, outcomes) in body.block.statements.iter().zip(&body.outcomes) {
        let first = next;
        next += u64::try_from(outcomes.len()).unwrap_or(u64::MAX);
        if next <= leaf {
            continue;
        }
        if events.len() >= limit {
            break;
        }
        let statement = Statement::parse(bytes.clone(), &chain::statement::Limits::default())
            .map_err(|error| damaged(format!("a statement is not what was admitted: {error}")))?;
        let views = (first..).zip(0..).zip(outcomes).skip_while(|((own, _), _)| *own < leaf);
        events.extend(views.take(limit - events.len()).map(|((leaf, index), outcome)| EventView {
            leaf,
            height: header.height,
            time_ms: header.time_ms,
            statement: statement.clone(),
            index,
            outcome: outcome.clone(),
        }));
    }
    Ok(events)
}
