//! Quotas: how much a seller may issue in a month.
//!
//! A seller that was never granted one issues without limit. From the first month it was granted one for, a month without
//! a grant has nothing: what a month leaves over does not go into the next, and no month begins without limit again. A
//! month is that of block time in UTC+8, so that a document which waits over midnight is the new month's.
//!
//! What is used is what the month's invoices come to, gross, without those taken back: an invoice can be taken back only
//! in its own month, so what it gives back is given back there.

use borsh::{BorshDeserialize, BorshSerialize};
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;

use crate::record::LeafRef;
use crate::state::{Fault, StateKey, View, read};

/// A seller's quota of a month, as it was granted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct QuotaRecord {
    /// What the seller may issue, and what it has issued.
    pub quota: Quota,
    /// Block time of the grant, ms UTC.
    pub granted_ms: i64,
    /// The leaf of the grant.
    pub granted: LeafRef,
}

/// From when on a seller's months have nothing unless they are granted something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UnderQuotaRecord {
    /// The first month it was granted a quota for.
    pub from: Period,
}

/// What a seller may issue in a month, and what it has issued in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Quota {
    /// What all its invoices of the month may come to, gross.
    pub amount: Amount,
    /// What those that stand come to; never more than that.
    pub used: Amount,
    /// Whether it may issue nothing for now.
    pub paused: bool,
}

impl Quota {
    /// What is left.
    pub fn left(&self) -> Amount {
        self.amount.checked_sub(self.used).expect("neither is below zero")
    }
}

/// What a seller may issue in a month; `None` without limit.
///
/// # Errors
/// A fault of the view.
pub fn of(view: &(impl View + ?Sized), seller: &OrganisationId, period: Period) -> Result<Option<Quota>, Fault> {
    match read::<UnderQuotaRecord>(view, &StateKey::under_quota(seller))? {
        Some(under) if under.from <= period => {
            let granted = read::<QuotaRecord>(view, &StateKey::quota(seller, period))?;
            Ok(Some(granted.map(|granted| granted.quota).unwrap_or_default()))
        }
        Some(_) | None => Ok(None),
    }
}
