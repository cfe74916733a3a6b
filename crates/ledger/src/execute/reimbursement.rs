//! Reimbursement: lock, renew, unlock, close, with lease and fencing token.

use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::id::InvoiceId;
use invoice::lifecycle::Action;

use super::invoices::{Effect, Rewrite};
use super::{Accepted, Change, Decision, Executor, permit, refuse, repeated, role};
use crate::event::{ClaimId, Close, Lock, Override, Renew, Unlock};
use crate::organisation::{Organisation, Role, Scope};
use crate::outcome::Record;
use crate::record::{Claim, ClosedRecord, InvoiceRecord, LeafRef, LockRecord, Tenure};
use crate::refusal::{Reason, Refusal};
use crate::state::Fault;

/// The leaf of an event that has none yet; `apply_rewrite` sets it.
const NO_LEAF: LeafRef = LeafRef { index: 0, hash: Hash::from_bytes([0; 32]) };

impl Executor<'_> {
    pub(super) fn decide_lock(&self, actor: &Organisation, lock: &Lock) -> Decision {
        permit!(role(actor, &[Role::ReimbursementPlatform]));
        let Some(enterprise) = self.organisation(&lock.enterprise)? else {
            let found = lock.enterprise.to_string();
            return refuse(Refusal::new(Reason::OrganisationUnknown, "an enterprise on the ledger", found));
        };
        permit!(self.mandated(actor, &enterprise.id, Scope::Lock)?);
        let mut record = permit!(self.invoice(&lock.invoice)?);
        // A retry after the nonce window: the first answer stands.
        if let Some(held) = record.claim.lock_at(self.context.time_ms)
            && held.platform == actor.id
            && held.claim == lock.claim
            && held.enterprise == enterprise.id
        {
            return repeated(held.leaf);
        }
        // Who holds a lock may be told to a platform with this enterprise's mandate only if the
        // enterprise has to do with the invoice.
        if self.organisation_of(&record.holder)?.as_ref() != Some(&enterprise.id) {
            let found = enterprise.id.to_string();
            return refuse(Refusal::new(Reason::NotHolder, "the enterprise that holds the invoice", found));
        }
        permit!(self.allowed(Action::Lock, actor, &lock.invoice, &record)?);
        let term_ms = permit!(self.term_ms(lock.lease_seconds));
        let now = self.context.time_ms;
        record.locks += 1;
        let (token, until_ms) = (record.locks, now + term_ms);
        permit!(self.hold(&mut record, &actor.id, until_ms));
        record.claim = Claim::Locked(LockRecord {
            platform: actor.id.clone(),
            enterprise: enterprise.id.clone(),
            claim: lock.claim.clone(),
            token,
            since_ms: now,
            until_ms,
            leaf: NO_LEAF,
        });
        let mandated = enterprise.id != actor.id;
        rewritten(&lock.invoice, record, Record::Locked { token, until_ms }, Effect::Claim, mandated)
    }

    pub(super) fn decide_renew(&self, actor: &Organisation, renew: &Renew) -> Decision {
        let mut record = permit!(self.invoice(&renew.invoice)?);
        permit!(self.allowed(Action::Renew, actor, &renew.invoice, &record)?);
        let mut lock = permit!(self.own_lock(actor, &record, &renew.claim, renew.token));
        permit!(self.still_held(&lock, &record)?);
        let term_ms = permit!(self.term_ms(renew.lease_seconds));
        // A renewal never shortens: a late retry of an early one changes nothing.
        let until_ms = lock.until_ms.max(self.context.time_ms + term_ms);
        permit!(self.hold(&mut record, &actor.id, until_ms));
        let effect = if until_ms == lock.until_ms { Effect::None } else { Effect::Lease };
        lock.until_ms = until_ms;
        let (token, mandated) = (lock.token, lock.enterprise != actor.id);
        record.claim = Claim::Locked(lock);
        // The lock's own leaf stays: it says since when.
        rewritten(&renew.invoice, record, Record::Renewed { token, until_ms }, effect, mandated)
    }

    pub(super) fn decide_unlock(&self, actor: &Organisation, unlock: &Unlock) -> Decision {
        let mut record = permit!(self.invoice(&unlock.invoice)?);
        permit!(self.allowed(Action::Unlock, actor, &unlock.invoice, &record)?);
        let lock = permit!(self.own_lock(actor, &record, &unlock.claim, unlock.token));
        record.claim = Claim::Open;
        if let Some(tenure) = &mut record.tenure {
            tenure.until_ms = self.context.time_ms;
        }
        let mandated = lock.enterprise != actor.id;
        rewritten(&unlock.invoice, record, Record::Unlocked { token: lock.token }, Effect::None, mandated)
    }

    pub(super) fn decide_close(&self, actor: &Organisation, close: &Close) -> Decision {
        let mut record = permit!(self.invoice(&close.invoice)?);
        if let Claim::Closed(closed) = &record.claim
            && closed.platform == actor.id
            && closed.claim == close.claim
            && closed.token == close.token
        {
            return repeated(closed.leaf);
        }
        permit!(self.allowed(Action::Close, actor, &close.invoice, &record)?);
        let lock = permit!(self.own_lock(actor, &record, &close.claim, close.token));
        permit!(self.still_held(&lock, &record)?);
        let (token, closed_ms) = (lock.token, self.context.time_ms);
        let mandated = lock.enterprise != actor.id;
        record.claim = Claim::Closed(ClosedRecord {
            platform: lock.platform,
            enterprise: lock.enterprise,
            claim: lock.claim,
            token,
            closed_ms,
            leaf: NO_LEAF,
        });
        rewritten(&close.invoice, record, Record::Closed { token, closed_ms }, Effect::Claim, mandated)
    }

    /// Ends another's lock. The platform's tenure ends with it and is not forgotten: locking again at once would begin no
    /// new total.
    pub(super) fn decide_override(&self, actor: &Organisation, end: &Override) -> Decision {
        let mut record = permit!(self.invoice(&end.invoice)?);
        permit!(self.allowed(Action::Override, actor, &end.invoice, &record)?);
        let lock = match record.claim.lock_at(self.context.time_ms) {
            Some(lock) => permit!(under(lock, end.token)).clone(),
            None => return refuse(not_locked()),
        };
        record.claim = Claim::Open;
        if let Some(tenure) = &mut record.tenure {
            tenure.until_ms = self.context.time_ms;
        }
        let LockRecord { token, platform, enterprise, leaf: lock, .. } = lock;
        let said = Record::Overridden { token, platform, enterprise, lock };
        // The bureau does it of its own right.
        rewritten(&end.invoice, record, said, Effect::None, false)
    }

    /// Extends the platform's tenure to the end of its lease, within the total.
    fn hold(&self, record: &mut InvoiceRecord, platform: &OrganisationId, until_ms: i64) -> Result<(), Refusal> {
        let (now, lease) = (self.context.time_ms, &self.parameters.lease);
        let pause_ms = i64::from(lease.pause_seconds_min) * 1_000;
        let since_ms = match &record.tenure {
            Some(tenure) if tenure.platform == *platform && now < tenure.until_ms + pause_ms => tenure.since_ms,
            Some(_) | None => now,
        };
        let latest_ms = since_ms + i64::from(lease.total_seconds_max) * 1_000;
        if until_ms > latest_ms {
            let (expected, found) = (format!("an end at or before {latest_ms}"), until_ms.to_string());
            return Err(Refusal::new(Reason::LeaseTooLong, expected, found));
        }
        record.tenure = Some(Tenure { platform: platform.clone(), since_ms, until_ms });
        Ok(())
    }

    /// The lock in force, when it is the actor's, for that claim, under that token.
    fn own_lock(
        &self,
        actor: &Organisation,
        record: &InvoiceRecord,
        claim: &ClaimId,
        token: u64,
    ) -> Result<LockRecord, Refusal> {
        let lock = record.claim.lock_at(self.context.time_ms).ok_or_else(not_locked)?;
        if lock.platform != actor.id {
            // Its own lock lapsed, and another platform was faster.
            let refusal = Refusal::new(Reason::AlreadyLocked, "a lock of yours in force", "another platform's lock");
            return Err(refusal.because_of(lock.standing()));
        }
        if lock.claim != *claim {
            return Err(Refusal::new(Reason::WrongClaim, "the claim it was locked for", claim.to_string()));
        }
        under(lock, token).cloned()
    }

    /// Refuses what would go on for an enterprise under whose taxpayer id the invoice came in error: a lock is given up then,
    /// or ends.
    fn still_held(&self, lock: &LockRecord, record: &InvoiceRecord) -> Result<Result<(), Refusal>, Fault> {
        if self.organisation_of(&record.holder)?.as_ref() == Some(&lock.enterprise) {
            return Ok(Ok(()));
        }
        let found = lock.enterprise.to_string();
        Ok(Err(Refusal::new(Reason::NotHolder, "the enterprise that holds the invoice", found)))
    }

    fn term_ms(&self, asked: Option<u32>) -> Result<i64, Refusal> {
        let max = self.parameters.lease.term_seconds_max;
        let seconds = asked.unwrap_or(max);
        if seconds == 0 || seconds > max {
            let expected = format!("1 to {max} seconds");
            return Err(Refusal::new(Reason::LeaseTooLong, expected, seconds.to_string()));
        }
        Ok(i64::from(seconds) * 1_000)
    }
}

/// The lock, when it is the one under that token.
fn under(lock: &LockRecord, token: u64) -> Result<&LockRecord, Refusal> {
    if lock.token == token {
        return Ok(lock);
    }
    Err(Refusal::new(Reason::StaleToken, lock.token.to_string(), token.to_string()))
}

fn not_locked() -> Refusal {
    Refusal::new(Reason::NotLocked, "a lock in force", "none")
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a decision")]
fn rewritten(id: &InvoiceId, invoice: InvoiceRecord, record: Record, effect: Effect, mandated: bool) -> Decision {
    let rewrite = Rewrite { id: *id, record: invoice, effect };
    Ok(Ok(Accepted { record, change: Change::Invoice(Box::new(rewrite)), mandated }))
}
