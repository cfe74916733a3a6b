//! Transfer and void, and what every event on an existing invoice shares.

use chain::hash::StatementId;
use invoice::id::InvoiceId;
use invoice::lifecycle::{Action, Barrier, Relation, Status, Validity, decide_any};

use super::{Accepted, Change, Decision, Executor, Involvement, LeaseEnd, permit, refuse};
use crate::event::{Recipient, Transfer, Void};
use crate::organisation::{Organisation, Scope};
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
    /// The month loses the invoice.
    Void,
}

/// The refusal of an invoice that does not exist, for all the actor may know.
fn unknown(id: &InvoiceId) -> Refusal {
    Refusal::new(Reason::InvoiceUnknown, "an invoice that the organisation has part in", id.to_string())
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
                Party::Taxpayer(organisation.taxpayer_id.clone())
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
        let relations = self.relations(actor, record)?;
        let stranger = relations == [Relation::Stranger];
        // Who claims a buyer's invoice is nothing to the seller.
        let told = relations
            .iter()
            .any(|relation| matches!(relation, Relation::Holder | Relation::Claimant | Relation::TaxBureau));
        Ok(decide_any(action, status, relations).map_err(|barrier| {
            if stranger {
                // As if there were none: whoever has no part in an invoice learns nothing of it.
                return unknown(id);
            }
            let mut refusal = self.refusal(barrier, actor, id, record);
            if !told {
                refusal.standing = None;
            }
            refusal
        }))
    }

    fn status(&self, record: &InvoiceRecord) -> Result<Status, Fault> {
        let filing = StateKey::filing(&record.seller, record.period);
        Ok(Status {
            validity: record.validity,
            reimbursement: record.claim.at(self.context.time_ms),
            filed: read::<FilingRecord>(&self.state, &filing)?.is_some(),
        })
    }

    fn relations(&self, actor: &Organisation, record: &InvoiceRecord) -> Result<Vec<Relation>, Fault> {
        let mut relations = Vec::new();
        if self.may_act(&actor.id, &record.seller, Scope::Issue)? {
            relations.push(Relation::Seller);
            // The person it was issued to: what others handed to a person, they hand on themselves.
            if matches!(record.holder, Party::Person(_)) && record.holder == record.buyer {
                relations.push(Relation::SellerForPerson);
            }
        }
        if let Some(holder) = self.organisation_of(&record.holder)?
            && self.may_act(&actor.id, &holder, Scope::Lock)?
        {
            relations.push(Relation::Holder);
            relations.push(Relation::Claimant);
        }
        // Also after the mandate has gone: who locked may close, and may know what became of it.
        if matches!(&record.claim, Claim::Locked(lock) if lock.platform == actor.id)
            || matches!(&record.claim, Claim::Closed(closed) if closed.platform == actor.id)
        {
            relations.push(Relation::Claimant);
        }
        if self.parameters.tax_bureau == actor.id {
            relations.push(Relation::TaxBureau);
        }
        if relations.is_empty() {
            relations.push(Relation::Stranger);
        }
        Ok(relations)
    }

    fn refusal(&self, barrier: Barrier, actor: &Organisation, id: &InvoiceId, record: &InvoiceRecord) -> Refusal {
        let open = "an invoice that nobody claims";
        match barrier {
            Barrier::NotPermitted => {
                Refusal::new(Reason::NotPermitted, format!("a party of {id} that may"), actor.id.to_string())
            }
            Barrier::Void => Refusal::new(Reason::InvoiceVoid, "an invoice that stands", "void"),
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
                    let party = Party::Taxpayer(organisation.taxpayer_id.clone());
                    let invoice = id;
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
            Effect::Void => self.accumulate(&record, by, leaf, AccumulatorRecord::remove)?,
        }
        self.state.put(StateKey::invoice(&id), &by.hash(), &record)
    }
}
