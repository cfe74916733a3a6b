//! Red letters: what they took back, and the slips that allow them.

use ledger::red::{RedLetterRecord, ReversalRecord, SlipRecord, SlipState};
use serde::Serialize;
use utoipa::ToSchema;

use super::invoice_view::TotalsView;
use crate::time::format_ms;

/// What red letters took back of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReversalView {
    /// The sums of its red letters; below zero.
    pub totals: TotalsView,
    /// The red letters, oldest first.
    pub letters: Vec<String>,
    /// What was taken back after it had been reimbursed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claw_back: Option<ClawBackView>,
}

/// The mark of an invoice that was reimbursed and then taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClawBackView {
    /// What was taken back since, with tax.
    #[schema(example = "113.00")]
    pub gross: String,
    /// Since when.
    pub since: String,
    /// The leaf of the first red letter after the close.
    pub leaf_index: u64,
}

impl From<&ReversalRecord> for ReversalView {
    fn from(record: &ReversalRecord) -> Self {
        Self {
            totals: TotalsView::from(&record.totals),
            letters: record.letters.iter().map(ToString::to_string).collect(),
            claw_back: record.claw_back.map(|mark| ClawBackView {
                gross: mark.gross.to_string(),
                since: format_ms(mark.since_ms),
                leaf_index: mark.leaf.index,
            }),
        }
    }
}

/// What a red letter takes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RedLetterView {
    /// The invoice that it takes back.
    pub blue: String,
    /// Why.
    #[schema(example = "sales-return")]
    pub reason: String,
    /// The slip that it spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slip: Option<u32>,
    /// Its lines.
    pub lines: Vec<RedLineView>,
}

/// A line of a red letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RedLineView {
    /// Which line of the blue it takes back, from 0.
    pub line: u32,
    /// Without tax.
    #[schema(example = "-100.00")]
    pub net: String,
    /// The tax.
    #[schema(example = "-13.00")]
    pub tax: String,
}

impl From<&RedLetterRecord> for RedLetterView {
    fn from(record: &RedLetterRecord) -> Self {
        let line = |line: &invoice::red::RedLine| RedLineView {
            line: line.line,
            net: line.net.to_string(),
            tax: line.tax.to_string(),
        };
        Self {
            blue: record.blue.to_string(),
            reason: record.reason.as_str().to_owned(),
            slip: record.slip,
            lines: record.lines.iter().map(line).collect(),
        }
    }
}

/// The newest slip of an invoice: what its two sides are to agree on before a red letter, or have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SlipView {
    /// Its number: how many slips of the invoice there have been.
    pub number: u32,
    /// `requested`, `confirmed`, `denied`, `withdrawn`, `spent`, `lapsed` or `superseded`.
    #[schema(example = "requested")]
    pub state: String,
    /// Which side asks: `seller` or `buyer`.
    #[schema(example = "seller")]
    pub asked_by: String,
    /// The seller.
    pub seller: String,
    /// The other side: the buyer, or who stands in its place.
    pub other: String,
    /// Why.
    #[schema(example = "sales-return")]
    pub reason: String,
    /// Which lines of the invoice are to be taken back, and how much of each.
    pub parts: Vec<PartView>,
    /// What that comes to; below zero.
    pub totals: TotalsView,
    /// When it was requested.
    pub requested_at: String,
    /// Until when the other side may answer.
    pub until: String,
    /// When it was confirmed, denied, withdrawn or spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<String>,
    /// The leaf of the request.
    pub leaf_index: u64,
}

/// How much of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartView {
    /// The line, from 0.
    pub line: u32,
    /// How much, without tax, with the sign of the line.
    #[schema(example = "100.00")]
    pub net: String,
}

impl SlipView {
    /// A slip that stands so.
    pub(crate) fn of(record: &SlipRecord, state: SlipState) -> Self {
        let part = |part: &invoice::red::Part| PartView { line: part.line, net: part.net.to_string() };
        Self {
            number: record.number,
            state: state.as_str().to_owned(),
            asked_by: record.asked_by.as_str().to_owned(),
            seller: record.seller.to_string(),
            other: record.other.to_string(),
            reason: record.reason.as_str().to_owned(),
            parts: record.parts.iter().map(part).collect(),
            totals: TotalsView::from(&record.totals),
            requested_at: format_ms(record.requested_ms),
            until: format_ms(record.until_ms()),
            answered_at: record.answer.as_ref().map(|answer| format_ms(answer.answered_ms)),
            leaf_index: record.leaf.index,
        }
    }
}
