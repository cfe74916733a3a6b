//! The newest blocks in memory: whoever waited for a statement asks for its outcomes just after the commit.
//!
//! Without this, each answer would look for the statement in the index, and read it and its outcomes from the block's
//! body again, which costs more than executing it did.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use chain::block::Outcome;
use chain::hash::StatementId;
use chain::statement::Statement;

use crate::query::EventView;

/// Blocks kept.
const BLOCKS_MAX: usize = 8;

/// Bytes of statements in the blocks that are kept, besides the newest.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// A statement that was decided, with what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    /// The statement.
    pub(crate) statement: Statement,
    /// The leaf of its first event.
    pub(crate) first_leaf: u64,
    /// What became of each event.
    pub(crate) outcomes: Vec<Outcome>,
}

/// A committed block as it is kept.
#[derive(Debug)]
pub(crate) struct RecentBlock {
    height: u64,
    time_ms: i64,
    first_leaf: u64,
    bytes: usize,
    statements: BTreeMap<StatementId, Decided>,
}

impl RecentBlock {
    /// A block with its statements and their outcomes, in order; `first_leaf` is its first event's.
    pub(crate) fn new(
        height: u64,
        time_ms: i64,
        first_leaf: u64,
        statements: Vec<Statement>,
        outcomes: Vec<Vec<Outcome>>,
    ) -> Self {
        let bytes = statements.iter().map(|statement| statement.bytes().len()).sum();
        let mut leaf = first_leaf;
        let decided = statements.into_iter().zip(outcomes).map(|(statement, outcomes)| {
            let first_leaf = leaf;
            leaf += u64::try_from(outcomes.len()).expect("a statement has at most 1,000 events");
            (statement.id(), Decided { statement, first_leaf, outcomes })
        });
        Self { height, time_ms, first_leaf, bytes, statements: decided.collect() }
    }

    /// Events from a leaf of this block on; `None` when it is another block's.
    fn events_from(&self, leaf: u64, limit: usize) -> Option<Vec<EventView>> {
        let end = |decided: &Decided| {
            decided.first_leaf + u64::try_from(decided.outcomes.len()).expect("a statement has at most 1,000 events")
        };
        let last = self.statements.values().map(end).max()?;
        if !(self.first_leaf..last).contains(&leaf) {
            return None;
        }
        let mut decided: Vec<&Decided> = self.statements.values().filter(|decided| end(decided) > leaf).collect();
        decided.sort_unstable_by_key(|decided| decided.first_leaf);
        let mut events = Vec::new();
        for decided in decided {
            let wanted = self.events(decided).into_iter().filter(|event| event.leaf >= leaf);
            events.extend(wanted.take(limit - events.len()));
            if events.len() >= limit {
                break;
            }
        }
        Some(events)
    }

    fn events(&self, decided: &Decided) -> Vec<EventView> {
        let events = (0..).zip(&decided.outcomes).map(|(index, outcome)| EventView {
            leaf: decided.first_leaf + u64::from(index),
            height: self.height,
            time_ms: self.time_ms,
            statement: decided.statement.clone(),
            index,
            outcome: outcome.clone(),
        });
        events.collect()
    }
}

/// The newest blocks.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Arc<RecentBlock>>>);

impl Recent {
    /// Adds a block that was committed and is in the index.
    pub(crate) fn add(&self, block: RecentBlock) {
        let mut blocks = self.0.lock().expect("nothing panics while it holds the newest blocks");
        blocks.push_front(Arc::new(block));
        let mut bytes = 0_usize;
        let mut kept = 0;
        for block in blocks.iter().take(BLOCKS_MAX) {
            bytes = bytes.saturating_add(block.bytes);
            if kept > 0 && bytes > BYTES_MAX {
                break;
            }
            kept += 1;
        }
        blocks.truncate(kept);
    }

    /// The events of a statement, in order, when it was decided by one of these blocks.
    pub(crate) fn events_of(&self, id: &StatementId) -> Option<Vec<EventView>> {
        let blocks: Vec<_> =
            self.0.lock().expect("nothing panics while it holds the newest blocks").iter().cloned().collect();
        blocks.iter().find_map(|block| block.statements.get(id).map(|decided| block.events(decided)))
    }

    /// Events from a leaf on, of the block that holds it, when it is one of these.
    pub(crate) fn events_from(&self, leaf: u64, limit: usize) -> Option<Vec<EventView>> {
        let blocks: Vec<_> =
            self.0.lock().expect("nothing panics while it holds the newest blocks").iter().cloned().collect();
        blocks.iter().find_map(|block| block.events_from(leaf, limit))
    }
}
