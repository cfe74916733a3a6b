//! Reads in the order of the log: what those who follow the ledger ask.

use chain::block::Body;
use chain::statement::Statement;

use super::{EventView, Query};
use crate::leaf;
use crate::port::Store;
use crate::recover::decided_body;
use crate::replica::Fault;

impl<S: Store> Query<S> {
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
