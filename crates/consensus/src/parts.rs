//! Blocks put together from their parts.
//!
//! Malachite does not authenticate parts. Here the first part is the signed proposal itself, so nobody but the
//! validator whose turn it is can make others collect anything; a part is taken only in its place; and each neighbour's
//! parts are put together by themselves, with a limit for each proposer's.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use wire::peer::{KeyBytes, PART_BYTES_MAX, PartContent, ProposalPart};

use crate::codec::proposal_in;
use crate::context::{Address, ProposedBlock, SignedProposal, ValidatorSet};
use crate::signing::Domain;

/// Streams of one proposer that may be open with one neighbour. A further one takes the place of the oldest, so that
/// neither a proposer nor a neighbour that never ends its streams keeps out the blocks of others, or newer ones.
const STREAMS_MAX: usize = 2;

/// How many heights above ours a proposal is collected for.
const AHEAD_MAX: u64 = 2;

/// Why parts were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Spoiled {
    /// The proposal is not by the validator whose turn it is, or not signed by it.
    #[error("the proposal is not signed by the validator whose turn it is")]
    Proposal,
    /// A part is out of its place.
    #[error("a part is out of its place")]
    Order,
    /// The block is larger or smaller than was said.
    #[error("the block has another size than was said")]
    Size,
}

/// The height that is worked on, and who validates it.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) height: u64,
    pub(crate) validators: ValidatorSet,
}

#[derive(Debug)]
struct Stream {
    /// How many were begun before it.
    begun: u64,
    proposal: SignedProposal,
    next: u64,
    block_bytes: usize,
    block: BytesMut,
}

/// Collects parts.
#[derive(Debug)]
pub(crate) struct Assembler {
    domain: Domain,
    /// The height that was worked on when the last part came.
    height: u64,
    begun: u64,
    streams: BTreeMap<(KeyBytes, Vec<u8>), Stream>,
}

impl Assembler {
    pub(crate) fn new(domain: Domain) -> Self {
        Self { domain, height: 0, begun: 0, streams: BTreeMap::new() }
    }

    /// A neighbour is gone, and the rest of its parts with it.
    pub(crate) fn gone(&mut self, peer: &KeyBytes) {
        self.streams.retain(|(from, _), _| from != peer);
    }

    /// Takes a part; gives the block when it is whole.
    pub(crate) fn take(
        &mut self,
        from: KeyBytes,
        origin: KeyBytes,
        part: ProposalPart,
        scope: &Scope,
    ) -> Result<Option<ProposedBlock>, Spoiled> {
        if scope.height > self.height {
            self.height = scope.height;
            self.streams.retain(|_, stream| stream.proposal.message.height.0 >= scope.height);
        }
        let ProposalPart { stream, sequence, content } = part;
        let key = (from, stream);
        match content {
            PartContent::Start { proposal, block_bytes } => {
                let proposal = proposal_in(&proposal);
                let height = proposal.message.height.0;
                if height < self.height || height > self.height.saturating_add(AHEAD_MAX) {
                    return Ok(None);
                }
                if sequence != 0 || self.streams.contains_key(&key) {
                    return Err(Spoiled::Order);
                }
                if !self.is_authentic(&proposal, &scope.validators) {
                    return Err(Spoiled::Proposal);
                }
                self.make_room(&from, &proposal.message.proposer);
                self.begun += 1;
                let stream = Stream { begun: self.begun, proposal, next: 1, block_bytes, block: BytesMut::new() };
                self.streams.insert(key, stream);
                Ok(None)
            }
            PartContent::Data(bytes) => {
                // One that was never begun, or given up, is no fault: its height may be behind us.
                let Some(stream) = self.streams.get_mut(&key) else { return Ok(None) };
                let spoiled = if stream.next != sequence {
                    Some(Spoiled::Order)
                } else if stream.block.len() + bytes.len() > stream.block_bytes {
                    Some(Spoiled::Size)
                } else {
                    None
                };
                if let Some(spoiled) = spoiled {
                    self.streams.remove(&key);
                    return Err(spoiled);
                }
                stream.next += 1;
                stream.block.extend_from_slice(&bytes);
                Ok(None)
            }
            PartContent::End => {
                let Some(stream) = self.streams.remove(&key) else { return Ok(None) };
                if stream.next != sequence {
                    return Err(Spoiled::Order);
                }
                if stream.block.len() != stream.block_bytes {
                    return Err(Spoiled::Size);
                }
                Ok(Some(ProposedBlock { from, origin, proposal: stream.proposal, block: stream.block.freeze() }))
            }
        }
    }

    fn make_room(&mut self, from: &KeyBytes, proposer: &Address) {
        let of_proposer = |(peer, _): &(KeyBytes, Vec<u8>), stream: &Stream| {
            peer == from && stream.proposal.message.proposer == *proposer
        };
        let open = self.streams.iter().filter(|(key, stream)| of_proposer(key, stream));
        let open: BTreeMap<_, _> = open.map(|(key, stream)| (stream.begun, key.clone())).collect();
        if let Some((_, oldest)) = open.first_key_value()
            && open.len() >= STREAMS_MAX
        {
            self.streams.remove(oldest);
        }
    }

    fn is_authentic(&self, proposal: &SignedProposal, validators: &ValidatorSet) -> bool {
        let key = validators.key(&proposal.message.proposer);
        validators.may_propose(&proposal.message) && key.is_some_and(|key| self.domain.verify_proposal(proposal, key))
    }
}

/// The parts of a block, in order.
pub(crate) fn parts_of(stream: &[u8], proposal: wire::peer::Proposal, block: &Bytes) -> Vec<ProposalPart> {
    let start = PartContent::Start { proposal, block_bytes: block.len() };
    let data = block.chunks(PART_BYTES_MAX).map(|bytes| PartContent::Data(bytes.to_vec()));
    let contents = std::iter::once(start).chain(data).chain(std::iter::once(PartContent::End));
    let part = |(sequence, content)| ProposalPart { stream: stream.to_vec(), sequence, content };
    (0_u64..).zip(contents).map(part).collect()
}

#[cfg(test)]
mod tests;
