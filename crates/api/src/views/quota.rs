//! What a seller may issue in a month.

use chain::identity::OrganisationId;
use invoice::Period;
use ledger::quota::{Quota, QuotaRecord};
use serde::Serialize;
use utoipa::ToSchema;

use crate::time::format_ms;

/// What a seller may issue in a month, and what of it is left, as of the newest block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QuotaView {
    /// The seller.
    pub seller: String,
    /// The month, in UTC+8.
    #[schema(example = "2026-01")]
    pub period: String,
    /// Whether there is a limit. Without one everything below is absent; with one, a month that was granted nothing has
    /// nothing.
    pub limited: bool,
    /// What all invoices of the month may come to, gross.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "100000.00")]
    pub amount: Option<String>,
    /// What they come to already, without those taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4299.00")]
    pub used: Option<String>,
    /// What is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "95701.00")]
    pub left: Option<String>,
    /// Whether the seller may issue nothing for now, whatever is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// The grant, when there was one for this month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted: Option<GrantView>,
}

impl QuotaView {
    /// A seller's month: its quota, `None` without limit, and how it was granted, if it was.
    pub(crate) fn of(
        seller: &OrganisationId,
        period: Period,
        quota: Option<Quota>,
        granted: Option<&QuotaRecord>,
    ) -> Self {
        Self {
            seller: seller.to_string(),
            period: period.to_string(),
            limited: quota.is_some(),
            amount: quota.map(|quota| quota.amount.to_string()),
            used: quota.map(|quota| quota.used.to_string()),
            left: quota.map(|quota| quota.left().to_string()),
            paused: quota.map(|quota| quota.paused),
            granted: granted.map(GrantView::from),
        }
    }
}

/// The grant of a quota. What was adjusted since does not change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GrantView {
    /// Block time of the grant.
    pub granted_at: String,
    /// The leaf of the grant.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
    /// Where its receipt is.
    pub receipt: String,
}

impl From<&QuotaRecord> for GrantView {
    fn from(record: &QuotaRecord) -> Self {
        Self {
            granted_at: format_ms(record.granted_ms),
            leaf_index: record.granted.index,
            leaf_hash: record.granted.hash.to_string(),
            receipt: format!("/v1/receipts/{}", record.granted.index),
        }
    }
}
