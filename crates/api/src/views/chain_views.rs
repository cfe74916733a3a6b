//! The chain and the node: blocks, organisations, limits, status, health.

use std::collections::BTreeMap;

use ledger::record::EvidenceRecord;
use replica::evidence::Evidence;
use serde::Serialize;
use utoipa::ToSchema;

use super::WebhooksView;

/// A vote in a commit certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CommitView {
    /// The validator's organisation, when it is of the set in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The validator's key, base64url.
    pub validator: String,
}

/// A block without its statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BlockView {
    /// Its height.
    pub height: u64,
    /// Its id: the hash of its header.
    pub id: String,
    /// The id of the block before; of block 1, the genesis hash.
    pub parent: String,
    /// Its time.
    pub time: String,
    /// The version of the rules.
    pub version: u16,
    /// The key of the validator that built it, base64url.
    pub proposer: String,
    /// How many statements it holds.
    pub statement_count: u32,
    /// The root over its statements.
    pub statements_root: String,
    /// The root of the log after it.
    pub log_root: String,
    /// The size of the log after it.
    pub log_size: u64,
    /// The hash of its writes.
    pub writes_hash: String,
    /// The height of the state checkpoint it carries.
    pub state_checkpoint_height: u64,
    /// The root of that state checkpoint.
    pub state_checkpoint_root: String,
    /// The hash of the validator set in force.
    pub validators_hash: String,
    /// The hash of the next one.
    pub next_validators_hash: String,
    /// The header, encoded, base64url: its SHA-256 is the block's id.
    pub header: String,
    /// The commit certificate, encoded, base64url.
    pub certificate: String,
    /// Whose precommits stand in the certificate.
    pub signed_by: Vec<CommitView>,
}

/// The limits of this node and of the ledger. The unit stands at the end of each name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitsView {
    /// The chain id, for the header of statements.
    pub chain: String,
    /// The node's id, for the `aud` of login tokens.
    pub node: String,
    /// The node's time.
    pub time: String,
    /// Limits by name.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub limits: BTreeMap<&'static str, u64>,
}

/// Where the node stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatusView {
    /// The node's id.
    pub node: String,
    /// The organisation that runs it.
    pub organisation: String,
    /// The chain id.
    pub chain: String,
    /// The version of the program.
    pub version: String,
    /// The height committed last.
    pub height: u64,
    /// The id of that block.
    pub block: String,
    /// Its time.
    pub block_time: String,
    /// The node's time.
    pub time: String,
    /// The size of the log.
    pub log_size: u64,
    /// The root of the log.
    pub log_root: String,
    /// Statements that wait.
    pub mempool_statements: u64,
    /// Bytes of statements that wait.
    pub mempool_bytes: u64,
    /// Whether the node is ready for work.
    pub ready: bool,
    /// How it is: `ok`, `catching-up`, `no-quorum`, `disk-full`, `stalled`, `stopping` or `failed`.
    pub health: String,
    /// What the ledger holds of validators that signed two things which exclude each other.
    pub evidence: EvidenceView,
    /// How the webhooks stand that are registered here.
    pub webhooks: WebhooksView,
    /// How it stands with the other nodes; absent on a chain of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consensus: Option<ConsensusView>,
}

/// What the ledger holds of equivocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct EvidenceView {
    /// How many there are.
    pub count: u64,
    /// Those of the greatest heights, at most eight, greatest first.
    pub newest: Vec<EquivocationView>,
}

impl From<&Evidence> for EvidenceView {
    fn from(evidence: &Evidence) -> Self {
        Self { count: evidence.count, newest: evidence.newest.iter().map(EquivocationView::from).collect() }
    }
}

/// A validator that signed two things which exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EquivocationView {
    /// Who.
    pub validator: String,
    /// At which height.
    pub height: u64,
    /// In which round.
    pub round: u32,
    /// For which step of it: `proposal`, `prevote` or `precommit`.
    #[schema(example = "prevote")]
    pub kind: String,
    /// Who reported it.
    pub reported_by: String,
    /// The leaf of the report: its receipt is under `/v1/receipts/`.
    pub leaf_index: u64,
}

impl From<&EvidenceRecord> for EquivocationView {
    fn from(record: &EvidenceRecord) -> Self {
        Self {
            validator: record.validator.to_string(),
            height: record.height,
            round: record.round,
            kind: record.kind.to_string(),
            reported_by: record.by.to_string(),
            leaf_index: record.leaf.index,
        }
    }
}

/// How a node stands with the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConsensusView {
    /// Whether this node votes, or follows.
    pub votes: bool,
    /// The height that is worked on, or was last.
    pub height: u64,
    /// Its round, from 0; each further one means that a proposer was late or missing.
    pub round: u32,
    /// Who proposes in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposer: Option<String>,
    /// Whether a block is being decided; else there is no reason for one.
    pub deciding: bool,
    /// For how long it has been so, ms.
    pub for_ms: u64,
    /// Why the chain does not move, when it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The other nodes.
    pub peers: Vec<PeerStatusView>,
}

/// How another node is, as seen from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeerStatusView {
    /// The organisation that runs it, as the ledger lists its peer key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Its peer key.
    pub key: String,
    /// Whether a stream to it is open.
    pub connected: bool,
    /// The height of its newest block, as it said; 0 before it said so.
    pub height: u64,
    /// When it was heard of last, or since when it is waited for.
    pub heard: String,
    /// Frames that it was too slow for.
    pub dropped: u64,
}

/// The node's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthView {
    /// `ok`, `catching-up`, `no-quorum`, `disk-full`, `stalled`, `stopping` or `failed`.
    pub status: String,
    /// The height committed last.
    pub height: u64,
    /// The node's time of the last commit.
    pub last_commit: String,
}
