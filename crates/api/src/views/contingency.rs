//! Segments of numbers for a contingency, and what was issued from them offline.

use ledger::contingency::{OfflineRecord, SegmentRecord};
use serde::Serialize;
use utoipa::ToSchema;

use crate::time::format_ms;

/// How an invoice was issued offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OfflineView {
    /// The segment it has its number from, by its first number.
    pub segment: String,
    /// When its issuer says to have issued it.
    pub issued_at: String,
    /// Until when it was to be submitted.
    pub submit_by: String,
    /// Whether it came later.
    pub late: bool,
}

impl From<&OfflineRecord> for OfflineView {
    fn from(record: &OfflineRecord) -> Self {
        Self {
            segment: record.segment.to_string(),
            issued_at: format_ms(record.issued_offline_ms),
            submit_by: format_ms(record.submit_by_ms),
            late: record.late,
        }
    }
}

/// A segment of numbers for a contingency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SegmentView {
    /// Its first number, by which it is named.
    #[schema(example = "144032609010-00000001")]
    pub first: String,
    /// Its last number.
    #[schema(example = "144032609010-00000100")]
    pub last: String,
    /// How many numbers it has.
    pub count: u32,
    /// Who issues from it.
    pub holder: String,
    /// With which of its keys.
    pub key: String,
    /// That key, base64url.
    pub public: String,
    /// Since when it may issue offline.
    pub granted_at: String,
    /// Until when it may issue offline.
    pub valid_until: String,
    /// Within how many hours after that an invoice must be submitted.
    pub deadline_hours: u16,
    /// How many of its numbers have an invoice.
    pub used: u32,
    /// Whether it is open and nothing that would be in time can still come.
    pub overdue: bool,
    /// When it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    /// Of a closed one: the numbers that have no invoice and never will. Of an open one: those that are free.
    pub unused: Vec<NumberRangeView>,
    /// The leaf of the grant, whose receipt a buyer verifies offline certificates with.
    pub leaf_index: u64,
}

/// Numbers that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NumberRangeView {
    /// The first.
    pub first: String,
    /// The last, itself included.
    pub last: String,
}

impl SegmentView {
    /// A segment as it stands at a time.
    pub(crate) fn at(segment: &SegmentRecord, time_ms: i64) -> Self {
        let range = |range: ledger::contingency::NumberRange| NumberRangeView {
            first: segment.nth(range.first).to_string(),
            last: segment.nth(range.last).to_string(),
        };
        Self {
            first: segment.first.to_string(),
            last: segment.last().to_string(),
            count: segment.count,
            holder: segment.holder.to_string(),
            key: segment.key.to_string(),
            public: segment.public.to_string(),
            granted_at: format_ms(segment.granted_ms),
            valid_until: format_ms(segment.valid_until_ms),
            deadline_hours: segment.deadline_hours,
            used: segment.used.len(),
            overdue: segment.is_overdue_at(time_ms),
            closed_at: segment.closed.as_ref().map(|end| format_ms(end.closed_ms)),
            unused: segment.used.missing(segment.count).into_iter().map(range).collect(),
            leaf_index: segment.granted.index,
        }
    }
}

/// The open segments of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SegmentList {
    /// The segments, oldest first.
    pub segments: Vec<SegmentView>,
}
