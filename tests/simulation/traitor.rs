//! A validator that says one thing to some and another to others.
//!
//! It runs the honest program, and what that says is changed on its way out. The worst that a validator can do with two
//! valid blocks is done by twins, which need nothing of this: two honest nodes with one key.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chain::block::{Block, BlockId, Body};
use chain::certificate::{sign_proposal, sign_vote};
use chain::genesis::Genesis;
use chain::hash::Hash;
use chain::key::SecretKey;
use replica::port::Store as _;
use wire::peer::{
    ConsensusMessage, FrameContent, LivenessMessage, PART_BYTES_MAX, PartContent, PeerFrame, Proposal, ProposalPart,
    Vote,
};

use super::disk::Disk;
use super::faults::Treason;
use crate::trial::seed::Seed;

/// The traitor's hand on its own frames.
pub(super) struct Traitor {
    pub(super) place: usize,
    treason: Treason,
    key: SecretKey,
    genesis: Arc<Genesis>,
    disk: Arc<Disk>,
    /// Whom it tells something else: these places, the others by their parity.
    victims: BTreeSet<usize>,
    /// A block that was voted for lately.
    seen: Option<BlockId>,
    dice: Seed,
    /// How often it did something it should not.
    pub(super) deeds: u64,
}

impl Traitor {
    pub(super) fn new(
        place: usize,
        treason: Treason,
        key: SecretKey,
        genesis: &Arc<Genesis>,
        disk: &Arc<Disk>,
        mut dice: Seed,
    ) -> Self {
        let victims = (0..8).filter(|_| dice.happens(50)).collect();
        let (genesis, disk) = (Arc::clone(genesis), Arc::clone(disk));
        Self { place, treason, key, genesis, disk, victims, seen: None, dice, deeds: 0 }
    }

    /// What it sends instead of a frame.
    pub(super) fn turn(&mut self, to: usize, bytes: Bytes) -> Vec<Bytes> {
        let Ok(frame) = wire::decode::<PeerFrame>(&bytes) else { return vec![bytes] };
        let own = |key: &[u8; 32]| key == self.key.public().as_bytes();
        let instead = match (&frame.content, self.treason) {
            (
                FrameContent::Consensus(ConsensusMessage::Vote(vote))
                | FrameContent::Liveness(LivenessMessage::Vote(vote)),
                Treason::Votes,
            ) if own(&vote.voter) => {
                self.seen = vote.block_id.or(self.seen);
                self.victims.contains(&to).then(|| self.other_vote(vote))
            }
            (FrameContent::Consensus(ConsensusMessage::Proposal(proposal)), Treason::Blocks)
                if own(&proposal.proposer) =>
            {
                self.victims.contains(&to).then(|| self.other_block(proposal)).flatten()
            }
            (FrameContent::Part(_), Treason::Withholds) => {
                (self.victims.contains(&to) && self.dice.happens(80)).then(Vec::new)
            }
            // The block they belong to was replaced above.
            (FrameContent::Part(part), Treason::Blocks) => {
                let replaced = self.victims.contains(&to) && !is_of_another(part, &self.key);
                replaced.then(Vec::new)
            }
            _ => None,
        };
        match instead {
            Some(contents) => {
                self.deeds += 1;
                let frame = |content| PeerFrame { origin: frame.origin, content };
                contents.into_iter().map(|content| Bytes::from(wire::encode(&frame(content)))).collect()
            }
            None => vec![bytes],
        }
    }

    /// Another vote in the same place: nil for a block, a block for nil; now and then both.
    fn other_vote(&mut self, vote: &Vote) -> Vec<FrameContent> {
        let block_id = if vote.block_id.is_some() { None } else { self.seen };
        let (chain, suite) = (self.genesis.chain_id(), self.genesis.suite());
        let Vote { kind, height, round, .. } = *vote;
        let signature = sign_vote(&self.key, &chain, suite, kind, height, round, block_id.as_ref());
        let other = Vote { block_id, signature, ..vote.clone() };
        let mut votes = vec![other];
        if self.dice.happens(30) {
            votes.push(vote.clone());
        }
        votes.into_iter().map(|vote| FrameContent::Consensus(ConsensusMessage::Vote(vote))).collect()
    }

    /// Another block in the same place, which no rule allows, with all its parts.
    fn other_block(&mut self, proposal: &Proposal) -> Option<Vec<FrameContent>> {
        let body = self.disk.body(&proposal.block_id).ok()??;
        let mut block: Block = Body::decode(&body).ok()?.block;
        match self.dice.below(3) {
            0 => block.header.writes_hash = Hash::of(b"something else"),
            1 => block.header.log_root = Hash::of(b"something else"),
            _ => block.header.time_ms += 1,
        }
        let id = block.header.id();
        let (chain, suite) = (self.genesis.chain_id(), self.genesis.suite());
        let Proposal { height, round, pol_round, .. } = *proposal;
        let signature = sign_proposal(&self.key, &chain, suite, height, round, pol_round, &id);
        let proposal = Proposal { block_id: id, signature, ..proposal.clone() };
        let bytes = block.encode();
        let start = PartContent::Start { proposal: proposal.clone(), block_bytes: bytes.len() };
        let data = bytes.chunks(PART_BYTES_MAX).map(|bytes| PartContent::Data(bytes.to_vec()));
        let contents = std::iter::once(start).chain(data).chain([PartContent::End]);
        let stream = Hash::of(&[id.as_bytes().as_slice(), &round.to_be_bytes()].concat()).as_bytes()[..16].to_vec();
        let part = |(sequence, content)| FrameContent::Part(ProposalPart { stream: stream.clone(), sequence, content });
        let parts = (0..).zip(contents).map(part);
        Some(std::iter::once(FrameContent::Consensus(ConsensusMessage::Proposal(proposal))).chain(parts).collect())
    }
}

/// Whether a part begins somebody else's block.
fn is_of_another(part: &ProposalPart, key: &SecretKey) -> bool {
    matches!(&part.content, PartContent::Start { proposal, .. } if proposal.proposer != *key.public().as_bytes())
}
