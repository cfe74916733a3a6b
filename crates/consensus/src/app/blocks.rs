//! Blocks of others: checked when they are whole, kept when they come early, sent again when they are asked for.

use arc_malachitebft_app_channel::app::types::ProposedValue;
use arc_malachitebft_core_types::Round;
use bytes::Bytes;
use chain::block::{Block, BlockId, Body};
use chain::hash::Hash;
use replica::port::Store;
use replica::replica::{Check, Fault};
use wire::peer::{FrameContent, KeyBytes};

use super::{App, Room, value};
use crate::codec::proposal_out;
use crate::context::{Context, Proposal, ProposedBlock, SignedProposal};
use crate::host::Host;
use crate::parts::parts_of;

/// Blocks that wait for their parents: of the height above the one that is worked on, and its rounds.
const LATER_MAX: usize = 4;

/// Different blocks of one proposer that are judged in one round.
const PROPOSALS_MAX: usize = 2;

/// How many rounds ahead of ours a block is judged.
const ROUNDS_AHEAD_MAX: u32 = 2;

/// Blocks of one height that are kept as bytes; others are read from the store.
const BLOCKS_MAX: usize = 8;

/// Bytes of a stream's name.
const STREAM_BYTES: usize = 16;

/// A block that was whole before its parent was committed.
pub(super) struct Later {
    proposal: Proposal,
    block: Block,
    /// When it came: its time is judged by that.
    received_ms: i64,
}

impl<S: Store, H: Host> App<S, H> {
    /// A block is whole: what the engine is to know of it.
    pub(super) fn received(&mut self, proposed: ProposedBlock) -> Result<Option<ProposedValue<Context>>, Fault> {
        let ProposedBlock { from, origin, proposal: signed, block: bytes } = proposed;
        let proposal = signed.message.clone();
        let block = match Block::decode(&bytes) {
            Ok(block) if block.header.id() == proposal.value.0 && block.header.height == proposal.height.0 => block,
            Ok(_) => {
                tracing::warn!(proposer = %proposal.proposer, "a block came that is not the proposed one");
                return Ok(None);
            }
            // The parts' order and size were right, so this is what the proposer sent, or a neighbour of ours spoiled it.
            Err(error) => {
                tracing::warn!(proposer = %proposal.proposer, %error, "what was proposed is no block");
                return Ok(None);
            }
        };
        let received_ms = self.host.now_ms();
        if proposal.height.0 > self.next_height() {
            // Its parent comes first. Without a parent nothing can be said of it, and the engine is told later. Only the
            // first round of the next height: who goes on to others will propose again.
            let of_next = proposal.height.0 == self.next_height() + 1 && proposal.round.as_u32() == Some(0);
            let known = self.work.later.iter().any(|later| later.proposal.value == proposal.value);
            if of_next && !known && self.work.later.len() < LATER_MAX {
                self.work.later.push(Later { proposal, block, received_ms });
            }
            return Ok(None);
        }
        if !self.is_worth_judging(&proposal) {
            return Ok(None);
        }
        let value = self.judge(&proposal, &block, received_ms)?;
        let valid = value.as_ref().is_some_and(|value| value.validity.is_valid());
        if valid {
            self.pass_on(from, origin, &signed, &bytes);
            if self.work.blocks.len() < BLOCKS_MAX {
                self.work.blocks.insert(proposal.value.0, bytes);
            }
        }
        Ok(value)
    }

    /// Passes a block on that was found valid, once, to neighbours who are not connected with who sent it. Parts are never
    /// passed on by themselves: anybody could mix others among them.
    fn pass_on(&mut self, from: KeyBytes, origin: KeyBytes, proposal: &SignedProposal, block: &Bytes) {
        if !self.work.passed_on.insert((proposal.message.round, proposal.message.value.0)) {
            return;
        }
        let Ok(out) = proposal_out(proposal) else { return };
        if !self.switch.has_others(&from, &origin) {
            return;
        }
        for part in parts_of(&self.stream_name(), out, block) {
            self.switch.publish_for(origin, Some(from), FrameContent::Part(part));
        }
    }

    /// Whether a block may cost what judging it costs: a proposer has one a round, and a liar gets no more than another,
    /// and rounds that nobody has come near are not judged ahead of their time.
    fn is_worth_judging(&mut self, proposal: &Proposal) -> bool {
        let round = |round: Round| round.as_u32().unwrap_or(0);
        if round(proposal.round) > round(self.work.round).saturating_add(ROUNDS_AHEAD_MAX) {
            return false;
        }
        let judged = self.work.judged.entry((proposal.proposer, proposal.round)).or_default();
        let known = judged.contains(&proposal.value.0);
        if !known && judged.len() < PROPOSALS_MAX {
            judged.push(proposal.value.0);
            return true;
        }
        known
    }

    /// What is to be said of the blocks that came early, now that their parent is committed.
    pub(super) fn take_later(&mut self) -> Result<Vec<ProposedValue<Context>>, Fault> {
        let next = self.next_height();
        let mut values = Vec::new();
        let mut left = Vec::new();
        for later in std::mem::take(&mut self.work.later) {
            if later.proposal.height.0 > next {
                left.push(later);
            } else if later.proposal.height.0 == next {
                values.extend(self.judge(&later.proposal, &later.block, later.received_ms)?);
            }
        }
        self.work.later = left;
        Ok(values)
    }

    /// Whether a block is what this node would decide on; nothing when that cannot be said.
    ///
    /// Its time is judged when it is fresh. A block that was locked on before an outage is proposed again after it, and
    /// must not be refused for its age: but that it was proposed before is shown by prevotes, or known here, and never
    /// the proposer's word alone, who could date a block as it likes.
    fn judge(
        &mut self,
        proposal: &Proposal,
        block: &Block,
        received_ms: i64,
    ) -> Result<Option<ProposedValue<Context>>, Fault> {
        let id = proposal.value.0;
        let polka = proposal.pol_round.as_u32().is_some_and(|round| self.switch.has_polka(round, &id));
        let again = proposal.pol_round.is_defined() && (polka || self.work.timely.contains(&id));
        let received_ms = (!again).then_some(received_ms);
        let checked = self.with_room(|app| app.replica.check(block, received_ms, &app.mempool))?;
        if matches!(checked, Room::Done(Check::Valid)) {
            self.work.timely.insert(id);
        }
        Ok(match checked {
            Room::Done(Check::Valid) => Some(value(proposal, true)),
            Room::Done(Check::Invalid(invalid)) => {
                let (height, round) = (proposal.height.0, proposal.round.as_i64());
                tracing::warn!(height, round, proposer = %proposal.proposer, %invalid, "an invalid block was proposed");
                Some(value(proposal, false))
            }
            Room::Done(Check::Committed | Check::Ahead) | Room::None => None,
        })
    }

    /// Sends the block of a proposal that was published, in parts.
    pub(super) fn publish(&mut self, proposal: &SignedProposal) -> Result<(), Fault> {
        let id = proposal.message.value.0;
        let Ok(out) = proposal_out(proposal) else { return Ok(()) };
        let Some(block) = self.block_bytes(&id)? else {
            // It is decided by now, or was only ever heard of.
            return Ok(());
        };
        for part in parts_of(&self.stream_name(), out, &block) {
            self.switch.publish(FrameContent::Part(part));
        }
        Ok(())
    }

    /// A block of this height as bytes: what is kept in memory, or what is durable, after a restart.
    fn block_bytes(&self, id: &BlockId) -> Result<Option<Bytes>, Fault> {
        if let Some(bytes) = self.work.blocks.get(id) {
            return Ok(Some(bytes.clone()));
        }
        let Some(body) = self.replica.store().body(id)? else { return Ok(None) };
        let height = self.next_height();
        let body = Body::decode(&body).map_err(|error| Fault::Ledger { height, what: error.to_string() })?;
        Ok(Some(body.block.encode().into()))
    }

    /// A name that no stream of this node had before.
    fn stream_name(&mut self) -> [u8; STREAM_BYTES] {
        self.work.streams += 1;
        let mut name = self.switch.me().to_vec();
        name.extend(self.work.process.to_be_bytes());
        name.extend(self.work.streams.to_be_bytes());
        let mut short = [0; STREAM_BYTES];
        short.copy_from_slice(&Hash::of(&name).as_bytes()[..STREAM_BYTES]);
        short
    }
}
