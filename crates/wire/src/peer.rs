//! What validators and observers send each other.
//!
//! Values as they come in: lengths, limits and kinds are checked, signatures are not, and keys are bytes, because
//! whoever verifies looks the admitted key up in the validator set.

mod convert;
mod frame;

use chain::block::BlockId;
use chain::certificate::{CommitCertificate, VoteKind};
use chain::key::Signature;
use chain::validators::VALIDATORS_MAX;

/// Bytes of a validator's consensus key.
pub type KeyBytes = [u8; 32];

/// Bytes that the name of a stream of parts may have.
pub const STREAM_BYTES_MAX: usize = 32;

/// Bytes of a block in one part.
pub const PART_BYTES_MAX: usize = 256 * 1024;

/// Blocks in one answer.
pub const BLOCKS_MAX: usize = 64;

/// Bytes of blocks in one answer that every peer takes: one block may be larger.
pub const BLOCKS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Nodes that one may be connected with.
pub const NEIGHBOURS_MAX: usize = 256;

/// Bytes that a statement may have: the chain's limit.
pub const STATEMENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Statements in one frame.
pub const FRAME_STATEMENTS_MAX: usize = 256;

/// Bytes of statements in one frame that every peer takes: one statement may be larger.
pub const FRAME_STATEMENTS_BYTES_MAX: usize = 256 * 1024;

/// Frames sent together.
pub const FRAMES_MAX: usize = 256;

/// Bytes of frames sent together, unless it is a single one.
pub const FRAMES_BYTES_MAX: usize = 512 * 1024;

/// Votes of a round certificate: each validator has two.
const ROUND_SIGNATURES_MAX: usize = 2 * VALIDATORS_MAX;

/// Bytes that a vote or a proposal takes as a message, with room for fields to come.
const VOTE_BYTES_MAX: usize = 512;

/// A vote and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Which vote of the round.
    pub kind: VoteKind,
    /// The height voted on.
    pub height: u64,
    /// The round voted in.
    pub round: u32,
    /// The block; `None` for nil.
    pub block_id: Option<BlockId>,
    /// Who voted.
    pub voter: KeyBytes,
    /// The voter's signature.
    pub signature: Signature,
}

/// A proposal and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The height of the block.
    pub height: u64,
    /// The round it is proposed in.
    pub round: u32,
    /// The round whose prevotes justify proposing the block again.
    pub pol_round: Option<u32>,
    /// The block.
    pub block_id: BlockId,
    /// Who proposed it.
    pub proposer: KeyBytes,
    /// The proposer's signature.
    pub signature: Signature,
}

/// What drives a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsensusMessage {
    /// A vote.
    Vote(Vote),
    /// A proposal.
    Proposal(Proposal),
}

/// A key and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySignature {
    /// Who signed.
    pub validator: KeyBytes,
    /// The signature.
    pub signature: Signature,
}

/// Prevotes for a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolkaCertificate {
    /// The height of the block.
    pub height: u64,
    /// The round of the prevotes.
    pub round: u32,
    /// The block.
    pub block_id: BlockId,
    /// The prevotes.
    pub signatures: Vec<KeySignature>,
}

/// Why a round may be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundCertificateKind {
    /// More than a third of the power voted in it.
    Skip,
    /// More than two thirds of the power precommitted in the one before.
    Precommit,
}

/// One vote of a round certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundSignature {
    /// Which vote.
    pub kind: VoteKind,
    /// The block voted for; `None` for nil.
    pub block_id: Option<BlockId>,
    /// Who voted, and the signature.
    pub by: KeySignature,
}

/// Votes that let a validator enter a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundCertificate {
    /// Why.
    pub kind: RoundCertificateKind,
    /// The height of the votes.
    pub height: u64,
    /// The round of the votes.
    pub round: u32,
    /// The votes.
    pub signatures: Vec<RoundSignature>,
}

/// What helps those who fell behind within a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LivenessMessage {
    /// A vote, sent again.
    Vote(Vote),
    /// Prevotes for a block.
    Polka(PolkaCertificate),
    /// Votes that let a round begin.
    Round(RoundCertificate),
}

/// One part of a proposed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalPart {
    /// The name of the stream.
    pub stream: Vec<u8>,
    /// The position in the stream.
    pub sequence: u64,
    /// What it holds.
    pub content: PartContent,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartContent {
    /// The proposal, and how many bytes the block has.
    Start {
        /// The proposal.
        proposal: Proposal,
        /// Bytes of the block in all.
        block_bytes: usize,
    },
    /// Bytes of the block.
    Data(Vec<u8>),
    /// The end.
    End,
}

/// A block that a validator has judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedValue {
    /// The height of the block.
    pub height: u64,
    /// The round it was proposed in.
    pub round: u32,
    /// The round whose prevotes justified proposing it again.
    pub valid_round: Option<u32>,
    /// Who proposed it.
    pub proposer: KeyBytes,
    /// The block.
    pub block_id: BlockId,
    /// Whether the validator would decide on it.
    pub valid: bool,
}

/// How far a peer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its newest block.
    pub tip_height: u64,
    /// The oldest block it can serve.
    pub min_height: u64,
    /// The peer keys of the nodes it is connected with.
    pub neighbours: Vec<KeyBytes>,
}

/// Asks for decided blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlocksRequest {
    /// The first.
    pub first_height: u64,
    /// The last; not before the first, and at most [`BLOCKS_MAX`] blocks.
    pub last_height: u64,
}

/// A decided block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBlock {
    /// Its bytes.
    pub block: Vec<u8>,
    /// The certificate that decided it.
    pub certificate: CommitCertificate,
}

/// Decided blocks, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlocksResponse {
    /// The height of the first.
    pub first_height: u64,
    /// The blocks.
    pub blocks: Vec<DecidedBlock>,
}

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFrame {
    /// The peer key of the node that said it first.
    pub origin: KeyBytes,
    /// What it says.
    pub content: FrameContent,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameContent {
    /// Drives a height.
    Consensus(ConsensusMessage),
    /// Helps within a height.
    Liveness(LivenessMessage),
    /// Part of a proposed block.
    Part(ProposalPart),
    /// The exact bytes of statements that wait for a block.
    Statements(Vec<Vec<u8>>),
    /// How far the sender has come.
    Status(PeerStatus),
    /// Asks for blocks, under an id of the asker's.
    Call(u64, BlocksRequest),
    /// Answers a call.
    Answer(u64, BlocksResponse),
}

impl FrameContent {
    /// Whether who gets it passes it on.
    pub fn is_gossip(&self) -> bool {
        match self {
            Self::Consensus(_) | Self::Liveness(_) | Self::Part(_) | Self::Statements(_) => true,
            Self::Status(_) | Self::Call(..) | Self::Answer(..) => false,
        }
    }
}
