//! Events about quotas: how much a seller may issue in a month.
//!
//! One event is about one seller and one month, so that each seller has an outcome and a receipt of its own, and sees
//! nobody else's amounts. A statement holds a thousand of them.

use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use serde::{Deserialize, Deserializer, Serialize};

/// Grant a seller a quota for a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaGrant {
    /// The seller.
    pub seller: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
    /// What its invoices of that month may come to, gross; what it has issued in it already counts.
    #[serde(deserialize_with = "not_negative")]
    pub amount: Amount,
}

/// Write another amount into a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaAdjust {
    /// The seller.
    pub seller: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
    /// What its invoices of that month may come to from now on, gross, used and left together.
    #[serde(deserialize_with = "not_negative")]
    pub amount: Amount,
}

/// Let a seller issue nothing in a month, until its quota is resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaPause {
    /// The seller.
    pub seller: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
}

/// Let a seller use a paused quota again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaResume {
    /// The seller.
    pub seller: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
}

fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    let amount = <Amount as Deserialize>::deserialize(deserializer)?;
    if amount.is_negative() {
        return Err(serde::de::Error::custom(format!("expected an amount of 0.00 or more, found {amount}")));
    }
    Ok(amount)
}
