//! Who sees what of a claim.
//!
//! What for and under which token is between the platform and the enterprise of the claim. Who holds an invoice and
//! until when is for those who could claim it themselves. Everybody else who sees the invoice is told its status alone:
//! hashes that cover a claim's id count as the id, for a short id is found by trying.

use chain::identity::OrganisationId;
use ledger::event::{ClaimId, Event};
use ledger::organisation::Scope;
use ledger::outcome::Record;
use ledger::record::{Claim, InvoiceRecord};
use replica::port::Store;
use replica::query::EventView;

use crate::access::is_claimant;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::service::Service;

/// Scopes of the holder's mandate that open who locked the invoice.
pub(crate) const SEEING_LOCKS: [Scope; 2] = [Scope::Lock, Scope::Read];

/// The claim that an event is about, and the enterprise if the event names it.
pub(crate) fn claim_of(event: &Event) -> Option<(&ClaimId, Option<&OrganisationId>)> {
    match event {
        Event::Lock(lock) => Some((&lock.claim, Some(&lock.enterprise))),
        Event::Renew(renew) => Some((&renew.claim, None)),
        Event::Unlock(unlock) => Some((&unlock.claim, None)),
        Event::Close(close) => Some((&close.claim, None)),
        Event::Issue(_)
        | Event::Transfer(_)
        | Event::Void(_)
        | Event::File(_)
        | Event::Evidence(_)
        | Event::Admit(_)
        | Event::Register(_)
        | Event::Suspend(_)
        | Event::Reinstate(_)
        | Event::Rotate(_)
        | Event::Roles(_)
        | Event::Rename(_)
        | Event::Mandate(_)
        | Event::Revoke(_)
        | Event::Attest(_)
        | Event::QuotaGrant(_)
        | Event::QuotaAdjust(_)
        | Event::QuotaPause(_)
        | Event::QuotaResume(_)
        | Event::Book(_)
        | Event::BookAdjust(_)
        | Event::BookRevoke(_)
        | Event::Use(_)
        | Event::UseRevoke(_)
        | Event::Manifest(_)
        | Event::Correct(_)
        // It names no claim, only the lock's token: see `overridden`.
        | Event::Override(_)
        | Event::Amend(_)
        | Event::PayRequest(_)
        | Event::PayResult(_)
        | Event::SegmentGrant(_)
        | Event::SegmentClose(_)
        | Event::OfflineIssue(_)
        | Event::RedRequest(_)
        | Event::RedConfirm(_)
        | Event::RedDeny(_)
        | Event::RedWithdraw(_)
        | Event::IssueRed(_) => None,
    }
}

/// Between whom the lock was that an accepted override ended: the platform, and the enterprise it had locked for. To others
/// it is as the events of the claim are; to these two also when neither of them has part in the invoice any more.
pub(crate) fn overridden(event: &EventView) -> Result<Option<[OrganisationId; 2]>, Problem> {
    if let Record::Overridden { platform, enterprise, .. } = event.record()? {
        return Ok(Some([platform, enterprise]));
    }
    Ok(None)
}

/// Whether an event was refused because of another that stands. What it says of that one is in the record that its leaf
/// and its receipt cover.
pub(crate) fn names_standing(event: &EventView) -> Result<bool, Problem> {
    Ok(matches!(event.record()?, Record::Refused(refused) if refused.standing.is_some()))
}

impl<S: Store> Service<S> {
    /// Whether the caller may see who locked or closed an invoice, since and until when.
    pub(crate) fn sees_lock(&self, caller: &Caller, record: &InvoiceRecord) -> Result<bool, Problem> {
        if caller.sees_everything() || is_claimant(caller.id(), &record.claim) {
            return Ok(true);
        }
        match self.query().organisation_of(&record.holder)? {
            Some(holder) if holder == *caller.id() => Ok(true),
            Some(holder) => Ok(self.query().mandated(&holder, caller.id(), &SEEING_LOCKS)?),
            None => Ok(false),
        }
    }
}

/// Whether an organisation may see all of an event about a claim: its token, and hashes that cover the claim's id.
/// Agencies and auditors may in any case.
pub(crate) fn sees_claim(
    id: &OrganisationId,
    event: &EventView,
    claim: &ClaimId,
    enterprise: Option<&OrganisationId>,
    record: &InvoiceRecord,
) -> bool {
    let author = &event.statement.header().organisation;
    if author == id || enterprise == Some(id) {
        return true;
    }
    // Only a lock names the enterprise. The events behind it are those of the claim that stands; when it no longer
    // stands they are for their author, as they are then nobody's business of today.
    let (standing, platform) = match &record.claim {
        Claim::Open => return false,
        Claim::Locked(lock) => (&lock.claim, &lock.platform),
        Claim::Closed(closed) => (&closed.claim, &closed.platform),
    };
    standing == claim && platform == author && is_claimant(id, &record.claim)
}
