//! Outcomes: what became of one event.

use super::record::RecordView;
use ledger::outcome::RefusedRecord;
use ledger::party::Party;
use ledger::record::LeafRef;
use ledger::refusal::Standing;
use serde::Serialize;
use utoipa::ToSchema;

use crate::time::format_ms;

/// A leaf of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeafView {
    /// Its index in the log.
    pub leaf_index: u64,
    /// Its hash.
    pub leaf_hash: String,
}

impl From<LeafRef> for LeafView {
    fn from(leaf: LeafRef) -> Self {
        Self { leaf_index: leaf.index, leaf_hash: leaf.hash.to_string() }
    }
}

/// Who sells, buys or holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartyView {
    /// An organisation, under its taxpayer id.
    Taxpayer(String),
    /// A natural person, under an opaque id.
    Person(String),
}

impl From<&Party> for PartyView {
    fn from(party: &Party) -> Self {
        match party {
            Party::Taxpayer(id) => Self::Taxpayer(id.to_string()),
            Party::Person(id) => Self::Person(id.to_string()),
        }
    }
}

/// The earlier event that stands in the way: who and since when, never what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StandingView {
    /// Whose event it is.
    pub organisation: String,
    /// Since when.
    pub since: String,
    /// Until when; absent when for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The leaf of that event.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
}

impl From<&Standing> for StandingView {
    fn from(standing: &Standing) -> Self {
        Self {
            organisation: standing.organisation.to_string(),
            since: format_ms(standing.since_ms),
            until: standing.until_ms.map(format_ms),
            leaf_index: standing.leaf.index,
            leaf_hash: standing.leaf.hash.to_string(),
        }
    }
}

/// Why state refused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefusalView {
    /// What the rule expected.
    pub expected: String,
    /// What it found.
    pub found: String,
    /// The earlier event in the way, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
}

impl From<&RefusedRecord> for RefusalView {
    fn from(refused: &RefusedRecord) -> Self {
        Self {
            expected: refused.expected.clone(),
            found: refused.found.clone(),
            standing: refused.standing.as_ref().map(StandingView::from),
        }
    }
}

impl RefusalView {
    /// Without who stood in the way.
    pub(crate) fn without_standing(self) -> Self {
        Self { standing: None, ..self }
    }
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OutcomeView {
    /// Which event of the statement, from 0.
    pub index: u32,
    /// What kind of event.
    #[schema(example = "lock")]
    pub kind: String,
    /// `accepted`, `repeated`, or the code of the refusal.
    pub code: String,
    /// What the event is about: an invoice's id, `reference:…`, `filing:…`, `evidence:…`, `organisation:…`,
    /// `organisations:…`, `mandate:…`, `mandates:…`, `quota:…` or `segment:…`.
    pub subject: String,
    /// The event's leaf in the log.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
    /// Of an issue in the blockchain profile: the last five hex digits of the leaf hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_code: Option<String>,
    /// What execution added; of a repeated event, what it added the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordView>,
    /// Of a repeated event: the leaf of the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<LeafView>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalView>,
    /// Where its receipt is.
    #[schema(example = "/v1/receipts/42")]
    pub receipt: String,
}
