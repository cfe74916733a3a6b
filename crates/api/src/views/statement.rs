//! Statements: what became of one, and what goes before.

use serde::Serialize;
use utoipa::ToSchema;

use super::outcome::{LeafView, OutcomeView};
use super::record::RecordView;
use super::{InvoiceView, ViolationView};

/// Where a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatementState {
    /// It waits for a block. This is no receipt.
    Pending,
    /// It is on the ledger, for good.
    Decided,
    /// It left the mempool without a block; `problem` says why.
    Dropped,
}

/// A statement and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatementView {
    /// The statement's id.
    pub statement: String,
    /// Where it stands.
    pub state: StatementState,
    /// The block's height, once it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// Block time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How its events hang together: `all` or `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// What became of its events. Only its author, agencies and auditors see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Vec<OutcomeView>>,
    /// The code with which it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl StatementView {
    /// A statement of which only this is known.
    pub(crate) fn bare(statement: String, state: StatementState) -> Self {
        Self { statement, state, height: None, time: None, mode: None, outcomes: None, problem: None }
    }
}

/// What became of a write with a hosted key: one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventResult {
    /// The statement that was signed for it.
    pub statement: String,
    /// The block's height.
    pub height: u64,
    /// Block time.
    pub time: String,
    /// `accepted`, or `repeated` when the same had been accepted before.
    pub code: String,
    /// What the event is about.
    pub subject: String,
    /// The event's leaf in the log.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
    /// What execution added; of a repeated event, what it added the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordView>,
    /// Of a repeated event: the leaf of the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<LeafView>,
    /// Where its receipt is.
    pub receipt: String,
    /// The invoice as it stands now, when the event is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<Box<InvoiceView>>,
}

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Prepared {
    /// Sign exactly these ASCII bytes with Ed25519; append `.` and the base64url of the signature.
    pub signing_input: String,
    /// The protected header in them, decoded.
    pub header: String,
    /// The payload in them, decoded.
    pub payload: String,
    /// The id the statement will have.
    pub statement_id: String,
}

/// The verdict of a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ValidationView {
    /// Whether the door would take it as things stand.
    pub valid: bool,
    /// Everything that is wrong.
    pub violations: Vec<ViolationView>,
    /// Doubts that forbid nothing.
    pub warnings: Vec<ViolationView>,
    /// Whether more was found than is listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub truncated: bool,
}
