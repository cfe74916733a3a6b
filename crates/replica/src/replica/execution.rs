//! What proposing and checking share: where a block stands, executing it, and forming it.

use std::sync::Arc;

use chain::block::{Block, Body, Header, StateCheckpoint};
use chain::hash::Hash;
use chain::key::PublicKey;
use ledger::admission::{Court, Parsed};
use ledger::execute::{Context, Executed};
use ledger::schedule::Schedule;
use ledger::state::{View, writes_hash};

use super::{CANDIDATES_MAX, Checked, Fault, Replica, VERSION};
use crate::checkpoint;
use crate::index::Progress;
use crate::port::Store;

/// The time and place of a block that is being built or looked at.
pub(super) struct Place {
    pub(super) height: u64,
    pub(super) time_ms: i64,
    pub(super) schedule: Schedule,
    pub(super) state_checkpoint: StateCheckpoint,
}

impl<S: Store> Replica<S> {
    /// Time, schedule and published checkpoint of a block on the tip. Waits for a checkpoint that
    /// is due to be published and still being computed.
    pub(super) fn place(&self, time_ms: i64) -> Result<Place, Fault> {
        let parent = &self.tip.progress;
        let height = parent.height + 1;
        let rules = &self.tip.parameters().checkpoints;
        let schedule = parent.schedule.after(rules, height, time_ms, parent.log_size);
        let state_checkpoint = if schedule.published() == parent.schedule.published() {
            parent.state_checkpoint
        } else {
            checkpoint::published(&*self.store, schedule.published())?
        };
        Ok(Place { height, time_ms, schedule, state_checkpoint })
    }

    /// A court that sits on the tip, at a block's time.
    pub(super) fn court<'v>(&self, view: &'v dyn View, time_ms: i64) -> Result<Court<'v>, Fault> {
        let (rules, keys) = (Arc::clone(&self.tip.rules), Arc::clone(&self.keys));
        Ok(Court::sit_under(view, self.chain.clone(), time_ms, rules, keys)?)
    }

    pub(super) fn context(&self, place: &Place) -> Result<Context, Fault> {
        Context::new(place.height, place.time_ms, self.tip.progress.log_size)
            .map_err(|error| Fault::Ledger { height: place.height, what: error.to_string() })
    }

    /// Forms block, body and progress from what was executed. `statements_root` is that of these statements.
    pub(super) fn assemble(
        &self,
        place: &Place,
        proposer: &PublicKey,
        parsed: &[&Parsed],
        statements_root: Hash,
        executed: Executed,
    ) -> Checked {
        let Place { height, time_ms, schedule, state_checkpoint } = *place;
        let mut edge = self.edge.clone();
        for leaf in &executed.leaves {
            edge.append(leaf.hash).expect("a log of 2^64 leaves is out of reach");
        }
        let statements: Vec<Vec<u8>> = parsed.iter().map(|parsed| parsed.statement().bytes().to_vec()).collect();
        let validators_hash = self.tip.validators.hash();
        let header = Header {
            version: VERSION,
            suite: self.suite,
            chain: self.chain.clone(),
            height,
            parent: self.tip.progress.id,
            time_ms,
            proposer: *proposer,
            statements_root,
            statement_count: u32::try_from(statements.len()).expect("a block has fewer than 2^32 statements"),
            log_root: edge.root(),
            log_size: edge.size(),
            writes_hash: writes_hash(&executed.writes),
            state_checkpoint,
            validators_hash,
            // No event of these rules changes the set.
            next_validators_hash: validators_hash,
        };
        let progress = Progress {
            height,
            id: header.id(),
            time_ms,
            log_size: header.log_size,
            log_root: header.log_root,
            schedule,
            state_checkpoint,
        };
        let block = Block { header, statements, next_validators: None };
        let body = Body { block, outcomes: executed.outcomes.clone() };
        let statements = parsed.iter().map(|parsed| parsed.statement().clone()).collect();
        Checked { body, executed, statements, edge, progress }
    }

    /// Makes a body durable and remembers what executing it produced.
    pub(super) fn keep(&mut self, checked: Checked) -> Result<(), Fault> {
        let id = checked.progress.id;
        self.store.put_body(checked.progress.height, &id, &checked.body.encode())?;
        if self.candidates.len() >= CANDIDATES_MAX {
            self.candidates.pop_front();
        }
        self.candidates.push_back(checked);
        Ok(())
    }
}
