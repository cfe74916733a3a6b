//! Transfer and void, and what every event on an existing invoice shares.

use std::collections::BTreeSet;

use chain::hash::StatementId;
use chain::identity::OrganisationId;
use invoice::id::InvoiceId;
use invoice::lifecycle::{Action, Barrier, Relation, Status, Validity, decide, decide_any};

use super::bookkeeping::{fully_red, red_letter};
use super::{
    Accepted, Acting, Change, Decision, Executor, Involvement, LeaseEnd, permit, refuse, role_missing, suspended,
};
use crate::event::{Recipient, Transfer, Void};
use crate::organisation::{Organisation, Role, Scope};
use crate::outcome::Record;
use crate::party::{Party, Side};
use crate::record::{AccumulatorRecord, Claim, FilingRecord, InvoiceRecord, LeafRef};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// An invoice to be written again: everything but the leaf.
pub(super) struct Rewrite {
    pub(super) id: InvoiceId,
    pub(super) record: InvoiceRecord,
    pub(super) effect: Effect,
}

/// What else goes with it.
pub(super) enum Effect {
    /// Nothing.
    None,
    /// The lock or close in the record gets the event's leaf.
    Claim,
    /// The lease in the record has another end.
    Lease,
    /// A new holder.
    Holder,
    /// The month loses the invoice, and the seller's quota gets back what it took.
    Void,
}

/// The refusal of an invoice that does not exist, for all the actor may know.
pub(super) fn unknown(id: &InvoiceId) -> Refusal {
    Refusal::new(Reason::InvoiceUnknown, "an invoice that the organisation has part in", id.to_string())
}

/// What the actor is to an invoice, and what hinders it as that.
struct Part {
    relation: Relation,
    hindered: Option<Hindered>,
}

impl Part {
    /// Giving a lock up binds nobody, so nobody's suspension is in its way.
    const fn allows(&self, action: Action) -> bool {
        match &self.hindered {
            None => true,
            Some(Hindered::Suspended(_)) => matches!(action, Action::Unlock),
            Some(Hindered::Role(_)) => false,
        }
    }
}

/// Why who has a part in an invoice may not act all the same.
#[derive(Clone)]
enum Hindered {
    /// For whom it acts is suspended.
    Suspended(OrganisationId),
    /// It, with the roles it has now, is no platform any more.
    Role(BTreeSet<Role>),
}

impl Hindered {
    fn refusal(self) -> Refusal {
        match self {
            Self::Suspended(id) => suspended(&id),
            Self::Role(roles) => role_missing(&roles, &[Role::ReimbursementPlatform]),
        }
    }
}

impl Executor<'_> {
    pub(super) fn decide_transfer(&self, actor: &Organisation, transfer: &Transfer) -> Decision {
        let mut record = permit!(self.invoice(&transfer.invoice)?);
        permit!(self.allowed(Action::Transfer, actor, &transfer.invoice, &record)?);
        let to = match &transfer.to {
            Recipient::Organisation(id) => {
                let Some(organisation) = self.organisation(id)? else {
                    let expected = "an organisation on the ledger";
                    return refuse(Refusal::new(Reason::OrganisationUnknown, expected, id.to_string()));
                };
                self.party_of(&organisation)?
            }
            Recipient::Person(id) => Party::Person(id.clone()),
        };
        let from = std::mem::replace(&mut record.holder, to.clone());
        // A person holds no keys: the seller's side hands on for it, and its provider under the seller's mandate.
        let for_whom = self.organisation_of(&from)?.unwrap_or_else(|| record.seller.clone());
        let mandated = for_whom != actor.id;
        let change = Change::Invoice(Box::new(Rewrite { id: transfer.invoice, record, effect: Effect::Holder }));
        Ok(Ok(Accepted { record: Record::Transferred { from, to }, change, mandated }))
    }

    pub(super) fn decide_void(&self, actor: &Organisation, void: &Void) -> Decision {
        let mut record = permit!(self.invoice(&void.invoice)?);
        permit!(self.allowed(Action::Void, actor, &void.invoice, &record)?);
        let (issued, now) = (record.period, self.context.today.period());
        if issued != now {
            return refuse(Refusal::new(Reason::VoidPeriodEnded, issued.to_string(), now.to_string()));
        }
        // What is in somebody's books is not taken back behind its back.
        let taken_up = self.taken_up(&void.invoice)?;
        if taken_up.booked {
            return refuse(Refusal::new(Reason::BookingStands, "an invoice that is not booked", "booked"));
        }
        if taken_up.used {
            return refuse(Refusal::new(Reason::UseStands, "an invoice whose VAT is not used", "used"));
        }
        record.validity = Validity::Void;
        let mandated = record.seller != actor.id;
        let rewrite = Rewrite { id: void.invoice, record, effect: Effect::Void };
        Ok(Ok(Accepted {
            record: Record::Voided { voided_ms: self.context.time_ms },
            change: Change::Invoice(Box::new(rewrite)),
            mandated,
        }))
    }

    pub(super) fn invoice(&self, id: &InvoiceId) -> Result<Result<InvoiceRecord, Refusal>, Fault> {
        Ok(read::<InvoiceRecord>(&self.state, &StateKey::invoice(id))?.ok_or_else(|| unknown(id)))
    }

    /// Asks the lifecycle table, for everything the actor is to the invoice.
    pub(super) fn allowed(
        &self,
        action: Action,
        actor: &Organisation,
        id: &InvoiceId,
        record: &InvoiceRecord,
    ) -> Result<Result<(), Refusal>, Fault> {
        let status = self.status(record)?;
        let parts = self.parts(actor, record)?;
        let relations = || parts.iter().map(|part| part.relation);
        if let Err(barrier) = decide_any(action, status, relations()) {
            if relations().eq([Relation::Stranger]) {
                // As if there were none: whoever has no part in an invoice learns nothing of it.
                return Ok(Err(unknown(id)));
            }
            let mut refusal = self.refusal(barrier, actor, id, record);
            // Who claims a buyer's invoice is nothing to the seller.
            if !relations().any(sees_claims) {
                refusal.standing = None;
            }
            return Ok(Err(refusal));
        }
        Ok(match parts.iter().find(|part| part.allows(action) && decide(action, status, part.relation).is_ok()) {
            Some(_) => Ok(()),
            None => {
                Err(parts.into_iter().find_map(|part| part.hindered).map_or_else(|| unknown(id), Hindered::refusal))
            }
        })
    }

    pub(super) fn status(&self, record: &InvoiceRecord) -> Result<Status, Fault> {
        let filing = StateKey::filing(&record.seller, record.period);
        Ok(Status {
            sign: record.sign(),
            validity: record.validity,
            reimbursement: record.claim.at(self.context.time_ms),
            filed: read::<FilingRecord>(&self.state, &filing)?.is_some(),
        })
    }

    /// What the actor is to an invoice.
    pub(super) fn relations(&self, actor: &Organisation, record: &InvoiceRecord) -> Result<Vec<Relation>, Fault> {
        Ok(self.parts(actor, record)?.into_iter().map(|part| part.relation).collect())
    }

    fn parts(&self, actor: &Organisation, record: &InvoiceRecord) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        // The person it was issued to: what others handed to a person, they hand on themselves.
        let for_person = matches!(record.holder, Party::Person(_)) && record.holder == record.buyer;
        let of_seller = [Relation::Seller, Relation::SellerForPerson];
        self.parts_under(actor, (&record.seller, Scope::Issue), &of_seller[..=usize::from(for_person)], &mut parts)?;
        let claim = match &record.claim {
            Claim::Open => None,
            Claim::Locked(lock) => Some((&lock.platform, &lock.enterprise)),
            Claim::Closed(closed) => Some((&closed.platform, &closed.enterprise)),
        };
        let own_claim = claim.filter(|(platform, _)| **platform == actor.id);
        if let Some(holder) = self.organisation_of(&record.holder)? {
            let of_holder = [Relation::Holder, Relation::Claimant];
            let count = 1 + usize::from(own_claim.is_none());
            self.parts_under(actor, (&holder, Scope::Lock), &of_holder[..count], &mut parts)?;
        }
        // Also after the mandate has gone: who locked may close, and may know what became of it.
        if let Some((_, enterprise)) = own_claim {
            let hindered = if !actor.is(Role::ReimbursementPlatform) {
                Some(Hindered::Role(actor.roles.clone()))
            } else if self.is_suspended(enterprise)? {
                Some(Hindered::Suspended(enterprise.clone()))
            } else {
                None
            };
            parts.push(Part { relation: Relation::Claimant, hindered });
        }
        if self.parameters.tax_bureau == actor.id {
            parts.push(Part { relation: Relation::TaxBureau, hindered: None });
        }
        if parts.is_empty() {
            parts.push(Part { relation: Relation::Stranger, hindered: None });
        }
        Ok(parts)
    }

    /// Adds what the actor is as that party, or as who acts for it.
    fn parts_under(
        &self,
        actor: &Organisation,
        (party, scope): (&OrganisationId, Scope),
        relations: &[Relation],
        parts: &mut Vec<Part>,
    ) -> Result<(), Fault> {
        let hindered = match self.acting(actor, party, scope)? {
            Acting::Freely => None,
            Acting::ForSuspended => Some(Hindered::Suspended(party.clone())),
            Acting::WithoutRole | Acting::Not => return Ok(()),
        };
        parts.extend(relations.iter().map(|relation| Part { relation: *relation, hindered: hindered.clone() }));
        Ok(())
    }

    pub(super) fn refusal(
        &self,
        barrier: Barrier,
        actor: &Organisation,
        id: &InvoiceId,
        record: &InvoiceRecord,
    ) -> Refusal {
        let open = "an invoice that nobody claims";
        match barrier {
            Barrier::NotPermitted => {
                Refusal::new(Reason::NotPermitted, format!("a party of {id} that may"), actor.id.to_string())
            }
            Barrier::RedLetter => red_letter(),
            Barrier::Void => Refusal::new(Reason::InvoiceVoid, "an invoice that stands", "void"),
            Barrier::FullyRed => fully_red(),
            Barrier::PartRed => Refusal::new(Reason::PartRed, "an invoice without red letters", "taken back in part"),
            Barrier::Filed => Refusal::new(Reason::PeriodFiled, "a month not yet filed", "filed"),
            Barrier::NotLocked => Refusal::new(Reason::NotLocked, "a lock in force", "none"),
            Barrier::Locked => {
                let refusal = Refusal::new(Reason::AlreadyLocked, open, "locked");
                match record.claim.lock_at(self.context.time_ms) {
                    Some(lock) => refusal.because_of(lock.standing()),
                    None => refusal,
                }
            }
            Barrier::Closed => {
                let refusal = Refusal::new(Reason::AlreadyClosed, open, "reimbursed");
                match &record.claim {
                    Claim::Closed(closed) => refusal.because_of(closed.standing()),
                    Claim::Open | Claim::Locked(_) => refusal,
                }
            }
        }
    }

    pub(super) fn apply_rewrite(&mut self, rewrite: Rewrite, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let Rewrite { id, mut record, effect } = rewrite;
        match effect {
            Effect::None => {}
            Effect::Claim => {
                let platform = match &mut record.claim {
                    Claim::Open => None,
                    Claim::Locked(lock) => {
                        lock.leaf = leaf;
                        let (invoice, token, until_ms) = (id, lock.token, lock.until_ms);
                        self.lease_ends.push(LeaseEnd { invoice, token, until_ms, leaf: leaf.index });
                        Some(lock.platform.clone())
                    }
                    Claim::Closed(closed) => {
                        closed.leaf = leaf;
                        None
                    }
                };
                if let Some(platform) = platform
                    && let Some(organisation) = self.organisation(&platform)?
                {
                    let (party, invoice) = (self.party_of(&organisation)?, id);
                    self.involvements.push(Involvement { party, side: Side::Platform, invoice, leaf: leaf.index });
                }
            }
            Effect::Lease => {
                if let Claim::Locked(lock) = &record.claim {
                    let (invoice, token, until_ms) = (id, lock.token, lock.until_ms);
                    self.lease_ends.push(LeaseEnd { invoice, token, until_ms, leaf: leaf.index });
                }
            }
            Effect::Holder => {
                let (party, invoice) = (record.holder.clone(), id);
                self.involvements.push(Involvement { party, side: Side::Holder, invoice, leaf: leaf.index });
            }
            Effect::Void => {
                self.accumulate(&record, by, leaf, AccumulatorRecord::remove)?;
                self.give_back(&record.seller, record.period, record.totals.gross, by)?;
            }
        }
        self.state.put(StateKey::invoice(&id), &by.hash(), &record)
    }
}

/// Whether whoever is that to an invoice may know who claims it.
fn sees_claims(relation: Relation) -> bool {
    matches!(relation, Relation::Holder | Relation::Claimant | Relation::TaxBureau)
}
