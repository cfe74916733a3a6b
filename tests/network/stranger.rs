//! A peer that does what it should not.

use bytes::Bytes;
use chain::block::{Block, BlockId};
use chain::certificate::{VoteKind, sign_proposal, sign_vote};
use chain::genesis::Genesis;
use chain::key::SecretKey;
use consensus::{Incoming, Outgoing};
use wire::peer::{
    ConsensusMessage, FrameContent, KeyBytes, PART_BYTES_MAX, PartContent, PeerFrame, Proposal, ProposalPart, Vote,
};

use super::{Network, peer_secret};

/// A peer without a node behind it.
pub struct Stranger {
    key: KeyBytes,
    streams: Vec<(Outgoing, Incoming)>,
}

impl Network {
    /// A peer that is connected with all nodes that run.
    pub async fn stranger(&self, number: usize) -> Stranger {
        let key = *peer_secret(1_000 + number).public().as_bytes();
        let mut streams = Vec::new();
        for member in &self.members {
            if let Some(consensus) = member.consensus() {
                streams.push(consensus.open(key).await.unwrap());
            }
        }
        Stranger { key, streams }
    }

    /// Whose turn it is to propose: the place of the member.
    pub fn proposer(&self, height: u64, round: u64) -> usize {
        let validators = self.genesis.validator_set().validators();
        let turn = usize::try_from((height + round) % validators.len() as u64).unwrap();
        let key = validators[turn].key;
        let place = |member: &super::Member| member.key().is_some_and(|own| own.public() == key);
        self.members.iter().position(place).expect("every validator is a member")
    }
}

impl Stranger {
    /// Says something to everybody; counts those who still listen.
    pub async fn say(&mut self, content: FrameContent) -> usize {
        let frame = PeerFrame { origin: self.key, content };
        self.say_bytes(&wire::encode(&frame)).await
    }

    /// Sends any bytes as a frame to everybody; counts those who still listen.
    pub async fn say_bytes(&mut self, bytes: &[u8]) -> usize {
        let mut listening = 0;
        for (_, incoming) in &mut self.streams {
            listening += usize::from(incoming.take(vec![Bytes::copy_from_slice(bytes)]).await.is_ok());
        }
        listening
    }

    /// The next thing that a node says, whichever it is.
    pub async fn hears(&mut self, place: usize) -> Vec<PeerFrame> {
        let frames = self.streams[place].0.batch().await.expect("the node runs");
        frames.iter().map(|frame| wire::decode(frame).expect("nodes send frames")).collect()
    }

    /// Answers one node.
    pub async fn answer(&mut self, place: usize, content: FrameContent) -> bool {
        let frame = Bytes::from(wire::encode(&PeerFrame { origin: self.key, content }));
        self.streams[place].1.take(vec![frame]).await.is_ok()
    }

    /// Sends a block as its proposer does, whatever is in it.
    pub async fn propose(&mut self, genesis: &Genesis, key: &SecretKey, round: u32, block: &Block) {
        let (height, id) = (block.header.height, block.header.id());
        let signature = sign_proposal(key, &genesis.chain_id(), genesis.suite(), height, round, None, &id);
        let proposer = *key.public().as_bytes();
        let proposal = Proposal { height, round, pol_round: None, block_id: id, proposer, signature };
        self.say(FrameContent::Consensus(ConsensusMessage::Proposal(proposal.clone()))).await;
        let bytes = block.encode();
        let start = PartContent::Start { proposal, block_bytes: bytes.len() };
        let data = bytes.chunks(PART_BYTES_MAX).map(|bytes| PartContent::Data(bytes.to_vec()));
        let contents = std::iter::once(start).chain(data).chain([PartContent::End]);
        for (sequence, content) in (0..).zip(contents) {
            let stream = id.as_bytes()[..16].to_vec();
            self.say(FrameContent::Part(ProposalPart { stream, sequence, content })).await;
        }
    }

    /// Sends a prevote of a validator.
    pub async fn prevote(
        &mut self,
        genesis: &Genesis,
        key: &SecretKey,
        height: u64,
        round: u32,
        block_id: Option<BlockId>,
    ) {
        let kind = VoteKind::Prevote;
        let signature = sign_vote(key, &genesis.chain_id(), genesis.suite(), kind, height, round, block_id.as_ref());
        let voter = *key.public().as_bytes();
        let vote = Vote { kind, height, round, block_id, voter, signature };
        self.say(FrameContent::Consensus(ConsensusMessage::Vote(vote))).await;
    }
}
