//! Schemas of events about quotas.

use utoipa::ToSchema;

/// Grant a seller a quota for a month. What it has issued in that month already counts.
#[derive(ToSchema)]
pub struct QuotaGrant {
    /// The seller: an active enterprise.
    pub seller: String,
    /// The month, in UTC+8: the one that is, or one to come.
    #[schema(example = "2026-01")]
    pub period: String,
    /// What its invoices of that month may come to, gross; 0.00 or more, and no less than what it has issued.
    #[schema(example = "100000.00")]
    pub amount: String,
}

/// Write another amount into a quota.
#[derive(ToSchema)]
pub struct QuotaAdjust {
    /// The seller: an active enterprise.
    pub seller: String,
    /// The month, in UTC+8, for which it was granted.
    #[schema(example = "2026-01")]
    pub period: String,
    /// What its invoices of that month may come to from now on, used and left together; no less than what it has
    /// issued.
    #[schema(example = "150000.00")]
    pub amount: String,
}

/// Let a seller issue nothing in a month, until its quota is resumed.
#[derive(ToSchema)]
pub struct QuotaPause {
    /// The seller: an active enterprise.
    pub seller: String,
    /// The month, in UTC+8, for which it was granted.
    #[schema(example = "2026-01")]
    pub period: String,
}

/// Let a seller use a paused quota again.
#[derive(ToSchema)]
pub struct QuotaResume {
    /// The seller: an active enterprise.
    pub seller: String,
    /// The month, in UTC+8, for which it was granted.
    #[schema(example = "2026-01")]
    pub period: String,
}
