//! Quotas: what the tax bureau lets a seller issue in a month, and what of it is left.
//!
//! Unlike keys, roles and mandates, which admission asks of the parent's state, a quota is asked by execution alone, one
//! event after the other. So what an event changes of it applies to the very next one, as with a lock: between a change
//! and the end of its block a seller could otherwise issue more than it may.

use chain::hash::StatementId;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;

use super::{Accepted, Change, Decision, Executor, permit, refuse, role};
use crate::event::{QuotaAdjust, QuotaGrant, QuotaPause, QuotaResume};
use crate::organisation::{Organisation, Role, Standing as OrganisationStanding};
use crate::outcome::Record;
use crate::quota::{Quota, QuotaRecord, UnderQuotaRecord};
use crate::record::LeafRef;
use crate::refusal::{Reason, Refusal, Standing};
use crate::state::{Fault, StateKey, read};

/// A quota about to be written.
pub(super) struct QuotaChange {
    seller: OrganisationId,
    period: Period,
    quota: Quota,
    /// When and by which leaf it was granted; `None` for the leaf that is to come.
    granted: Option<(i64, LeafRef)>,
}

impl Executor<'_> {
    pub(super) fn decide_quota_grant(&self, actor: &Organisation, grant: &QuotaGrant) -> Decision {
        let QuotaGrant { seller, period, amount } = grant;
        permit!(self.may_change_quota(actor, seller, *period)?);
        if let Some(QuotaRecord { quota, granted_ms, granted }) = self.granted(seller, *period)? {
            let (organisation, since_ms) = (actor.id.clone(), granted_ms);
            let standing = Standing { organisation, since_ms, until_ms: None, leaf: granted };
            let (expected, found) = (format!("a month without a quota, for {seller}"), quota.amount.to_string());
            return refuse(Refusal::new(Reason::QuotaGranted, expected, found).because_of(standing));
        }
        let used = permit!(covers(*amount, self.issued_fen(seller, *period)?));
        let quota = Quota { amount: *amount, used, paused: false };
        let record = Record::QuotaGranted { amount: *amount, used };
        Ok(Ok(change(record, QuotaChange { seller: seller.clone(), period: *period, quota, granted: None })))
    }

    pub(super) fn decide_quota_adjust(&self, actor: &Organisation, adjust: &QuotaAdjust) -> Decision {
        let QuotaAdjust { seller, period, amount } = adjust;
        let mut change_of = permit!(self.quota_to_change(actor, seller, *period)?);
        let former = std::mem::replace(&mut change_of.quota.amount, *amount);
        if former == *amount {
            return refuse(unchanged(format!("{former} already")));
        }
        let used = permit!(covers(*amount, Some(i128::from(change_of.quota.used.fen()))));
        Ok(Ok(change(Record::QuotaAdjusted { former, amount: *amount, used }, change_of)))
    }

    pub(super) fn decide_quota_pause(&self, actor: &Organisation, pause: &QuotaPause) -> Decision {
        let mut change_of = permit!(self.quota_to_change(actor, &pause.seller, pause.period)?);
        if std::mem::replace(&mut change_of.quota.paused, true) {
            return refuse(unchanged("paused already"));
        }
        let Quota { amount, used, .. } = change_of.quota;
        Ok(Ok(change(Record::QuotaPaused { amount, used }, change_of)))
    }

    pub(super) fn decide_quota_resume(&self, actor: &Organisation, resume: &QuotaResume) -> Decision {
        let mut change_of = permit!(self.quota_to_change(actor, &resume.seller, resume.period)?);
        if !std::mem::replace(&mut change_of.quota.paused, false) {
            return refuse(unchanged("in force already"));
        }
        let Quota { amount, used, .. } = change_of.quota;
        Ok(Ok(change(Record::QuotaResumed { amount, used }, change_of)))
    }

    /// A seller's month once an invoice of that amount is issued in it, when its quota lets it; `None` without limit.
    pub(super) fn with_issued(
        &self,
        seller: &OrganisationId,
        gross: Amount,
    ) -> Result<Result<Option<Quota>, Refusal>, Fault> {
        let period = self.context.today.period();
        let Some(quota) = crate::quota::of(&self.state, seller, period)? else {
            return Ok(Ok(None));
        };
        if quota.paused {
            let expected = format!("a quota for {period} that is not paused");
            return Ok(Err(Refusal::new(Reason::QuotaPaused, expected, seller.to_string())));
        }
        let left = quota.left();
        if gross > left {
            let expected = format!("a gross total of at most {left}, left of {} for {period}", quota.amount);
            return Ok(Err(Refusal::new(Reason::QuotaExceeded, expected, gross.to_string())));
        }
        let used = quota.used.checked_add(gross).map_err(|_| Fault::Sums { party: seller.to_string() })?;
        Ok(Ok(Some(Quota { used, ..quota })))
    }

    /// Writes what a seller has used of the month's quota, if it was granted one.
    pub(super) fn use_quota(
        &mut self,
        seller: &OrganisationId,
        period: Period,
        quota: Quota,
        by: StatementId,
    ) -> Result<(), Fault> {
        match self.granted(seller, period)? {
            Some(record) => {
                self.state.put(StateKey::quota(seller, period), &by.hash(), &QuotaRecord { quota, ..record })
            }
            // Of a month without a grant nothing can be used: the invoice comes to nothing.
            None => Ok(()),
        }
    }

    /// Gives back to a month what was issued in it and is taken back in it.
    pub(super) fn give_back(
        &mut self,
        seller: &OrganisationId,
        period: Period,
        gross: Amount,
        by: StatementId,
    ) -> Result<(), Fault> {
        let Some(QuotaRecord { quota, .. }) = self.granted(seller, period)? else {
            return Ok(());
        };
        let used = quota.used.checked_sub(gross).ok().filter(|used| !used.is_negative());
        let used = used.ok_or_else(|| Fault::Sums { party: seller.to_string() })?;
        self.use_quota(seller, period, Quota { used, ..quota }, by)
    }

    pub(super) fn apply_quota(&mut self, change: QuotaChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let QuotaChange { seller, period, quota, granted } = change;
        if granted.is_none() {
            let key = StateKey::under_quota(&seller);
            let from = read::<UnderQuotaRecord>(&self.state, &key)?.map_or(period, |under| under.from.min(period));
            self.state.put(key, &by.hash(), &UnderQuotaRecord { from })?;
        }
        let (granted_ms, granted) = granted.unwrap_or((self.context.time_ms, leaf));
        let record = QuotaRecord { quota, granted_ms, granted };
        self.state.put(StateKey::quota(&seller, period), &by.hash(), &record)
    }

    /// Refuses everybody but the tax bureau, sellers that are none or not active, and months that have ended: what was
    /// issued in those stands, and nothing more can be.
    fn may_change_quota(
        &self,
        actor: &Organisation,
        seller: &OrganisationId,
        period: Period,
    ) -> Result<Result<(), Refusal>, Fault> {
        if let Err(refusal) = self.bureau(actor) {
            return Ok(Err(refusal));
        }
        let seller = match self.as_changed(seller)? {
            Ok(seller) => seller,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = role(&seller, &[Role::Enterprise]) {
            return Ok(Err(refusal));
        }
        if seller.standing == OrganisationStanding::Suspended {
            return Ok(Err(Refusal::new(Reason::Suspended, "an active seller", seller.id.to_string())));
        }
        let now = self.context.today.period();
        if period < now {
            let expected = format!("{now} or a month after it");
            return Ok(Err(Refusal::new(Reason::QuotaPeriodEnded, expected, period.to_string())));
        }
        Ok(Ok(()))
    }

    /// A quota that was granted and may be changed, as the block has left it so far.
    fn quota_to_change(
        &self,
        actor: &Organisation,
        seller: &OrganisationId,
        period: Period,
    ) -> Result<Result<QuotaChange, Refusal>, Fault> {
        if let Err(refusal) = self.may_change_quota(actor, seller, period)? {
            return Ok(Err(refusal));
        }
        let found = || format!("none of {seller} for {period}");
        Ok(self
            .granted(seller, period)?
            .map(|record| {
                let (seller, granted) = (seller.clone(), Some((record.granted_ms, record.granted)));
                QuotaChange { seller, period, quota: record.quota, granted }
            })
            .ok_or_else(|| Refusal::new(Reason::QuotaUnknown, "a quota that was granted", found())))
    }

    fn granted(&self, seller: &OrganisationId, period: Period) -> Result<Option<QuotaRecord>, Fault> {
        read(&self.state, &StateKey::quota(seller, period))
    }

    /// What a seller's invoices of a month come to, in fen: those it issued before it was granted a quota count, and less
    /// what red letters of the month took back of them. `None` when the sums do not fit.
    fn issued_fen(&self, seller: &OrganisationId, period: Period) -> Result<Option<i128>, Fault> {
        // As the parent's state has it: under that taxpayer id it issues in this block.
        let Some(seller) = self.organisation(seller)? else { return Ok(Some(0)) };
        let earlier_fen = self.earlier_fen(&seller.id, period)?;
        let month = self.month_of(&seller, period)?;
        Ok(month.and_then(|month| month.gross_fen()?.checked_sub(earlier_fen)))
    }
}

/// Refuses an amount that is less than what is used already.
fn covers(amount: Amount, used_fen: Option<i128>) -> Result<Amount, Refusal> {
    let used = used_fen.and_then(|fen| Amount::try_from_fen(fen).ok());
    let expected = match used {
        Some(used) if used <= amount => return Ok(used),
        Some(used) => format!("no less than the {used} that is issued"),
        None => "no less than what is issued, which is beyond any amount".to_owned(),
    };
    Err(Refusal::new(Reason::QuotaBelowUsed, expected, amount.to_string()))
}

fn unchanged(found: impl Into<String>) -> Refusal {
    Refusal::new(Reason::QuotaUnchanged, "a change", found)
}

/// Accepts a change of a quota: nobody makes one under a mandate.
fn change(record: Record, change: QuotaChange) -> Accepted {
    Accepted { record, change: Change::Quota(Box::new(change)), mandated: false }
}

/// The subject of a quota.
pub(super) fn subject(seller: &OrganisationId, period: Period) -> String {
    format!("quota:{seller}/{period}")
}
