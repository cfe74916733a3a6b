//! Who sees an event, all at once: an event is looked at once, however many follow the ledger.
//!
//! It says the same as `/v1/invoices/{id}/events` and `/v1/receipts/{leaf}` say to each caller, of the state as it stands
//! now; a test holds the three against each other. Agencies and auditors see all of everything and are not listed.

use std::collections::{BTreeMap, BTreeSet};

use chain::identity::OrganisationId;
use invoice::InvoiceId;
use ledger::organisation::Scope;
use ledger::record::{Claim, InvoiceRecord};
use replica::port::Store;
use replica::query::{EventView, LeaseEndView, StreamItem};

use crate::access::{SEEING, SEEING_MONTHS};
use crate::books::{SEEING_BOOKS, in_books};
use crate::claims::{SEEING_LOCKS, claim_of, names_standing, overridden, sees_claim};
use crate::members::{About, SEEING_MEMBERS, SEEING_QUOTAS, concerning};
use crate::problem::Problem;
use crate::service::Service;

/// How much of an event somebody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    /// Without what is between others.
    Part,
    /// All of it.
    Whole,
}

/// Who sees an event, and how much.
pub(crate) type Audience = BTreeMap<OrganisationId, Sight>;

/// Looks at events for those who see them. Mandates are looked for once for all events that are looked at together.
pub(crate) struct Looker<'l, S: Store> {
    service: &'l Service<S>,
    mandated: BTreeMap<(OrganisationId, &'static [Scope]), Vec<OrganisationId>>,
}

impl<'l, S: Store> Looker<'l, S> {
    pub(crate) fn new(service: &'l Service<S>) -> Self {
        Self { service, mandated: BTreeMap::new() }
    }

    /// Who sees an item of the stream.
    pub(crate) fn audience_of(&mut self, item: &StreamItem) -> Result<Audience, Problem> {
        match item {
            StreamItem::Event(event) => self.audience(event),
            StreamItem::LeaseEnd(end) => self.of_lease_end(end),
        }
    }

    /// Who sees that a lease has ended: those of the claim, and that there was one, who could claim the invoice themselves.
    fn of_lease_end(&mut self, end: &LeaseEndView) -> Result<Audience, Problem> {
        let between = [&end.lock.platform, &end.lock.enterprise];
        let mut audience: Audience = between.into_iter().map(|id| (id.clone(), Sight::Whole)).collect();
        let query = self.service.query();
        if let Some(record) = query.invoice(&end.invoice)?
            && let Some(holder) = query.organisation_of(&record.holder)?
        {
            for id in self.mandated(&holder, &SEEING_LOCKS)?.into_iter().chain([holder]) {
                audience.entry(id).or_insert(Sight::Part);
            }
        }
        Ok(audience)
    }

    /// Who sees an event.
    pub(crate) fn audience(&mut self, event: &EventView) -> Result<Audience, Problem> {
        let mut audience = Audience::new();
        // What one signed is no secret to one, whatever became of it.
        audience.insert(event.statement.header().organisation.clone(), Sight::Whole);
        let subject = &event.outcome.subject;
        if let Ok(id) = subject.parse::<InvoiceId>() {
            if let Some(record) = self.service.query().invoice(&id)? {
                let record = self.service.blue_of(&id, &record)?.unwrap_or(record);
                self.of_invoice(event, &record, &mut audience)?;
            }
        } else if let Some((seller, _)) = subject.strip_prefix("filing:").and_then(|rest| rest.split_once('/'))
            && let Ok(seller) = OrganisationId::new(seller)
        {
            let mandated = self.mandated(&seller, &SEEING_MONTHS)?;
            audience.extend(mandated.into_iter().map(|id| (id, Sight::Whole)));
            audience.insert(seller, Sight::Whole);
        } else {
            let concerned = match concerning(event)? {
                Some(About::Organisation(id)) => self.with_mandated(id, &SEEING_MEMBERS)?,
                Some(About::Quota(seller)) => self.with_mandated(seller, &SEEING_QUOTAS)?,
                Some(About::Mandate(between)) => between,
                Some(About::Segment(first)) => match self.service.query().segment(&first)? {
                    Some(segment) => self.with_mandated(segment.holder, &SEEING_MEMBERS)?,
                    None => Vec::new(),
                },
                None => Vec::new(),
            };
            audience.extend(concerned.into_iter().map(|id| (id, Sight::Whole)));
        }
        Ok(audience)
    }

    fn of_invoice(&mut self, event: &EventView, record: &InvoiceRecord, to: &mut Audience) -> Result<(), Problem> {
        if let Some(whose) = in_books(event)? {
            for of in whose {
                to.extend(self.with_mandated(of, &SEEING_BOOKS)?.into_iter().map(|id| (id, Sight::Whole)));
            }
            return Ok(());
        }
        let query = self.service.query();
        let (buyer, holder) = (query.organisation_of(&record.buyer)?, query.organisation_of(&record.holder)?);
        let claimants = match &record.claim {
            Claim::Open => Vec::new(),
            Claim::Locked(lock) => vec![&lock.platform, &lock.enterprise],
            Claim::Closed(closed) => vec![&closed.platform, &closed.enterprise],
        };
        let mut see_locks: BTreeSet<OrganisationId> = claimants.into_iter().cloned().collect();
        let mut see = see_locks.clone();
        if let Some(holder) = &holder {
            see_locks.extend(self.mandated(holder, &SEEING_LOCKS)?);
            see_locks.insert(holder.clone());
        }
        for party in [Some(&record.seller), buyer.as_ref(), holder.as_ref()].into_iter().flatten() {
            see.extend(self.mandated(party, &SEEING)?);
            see.insert(party.clone());
        }
        let signed = event.event()?;
        if let Some((claim, enterprise)) = claim_of(&signed) {
            // When a lock began is told by its very place between the other events.
            for id in see.intersection(&see_locks).chain(enterprise) {
                let whole = sees_claim(id, event, claim, enterprise, record);
                to.entry(id.clone()).or_insert(if whole { Sight::Whole } else { Sight::Part });
            }
            return Ok(());
        }
        if let Some(between) = overridden(event)? {
            to.extend(between.into_iter().map(|id| (id, Sight::Whole)));
            for id in see.intersection(&see_locks) {
                to.entry(id.clone()).or_insert(Sight::Part);
            }
            return Ok(());
        }
        let standing = names_standing(event)?;
        for id in see {
            // A lock in the way of another event is a lock all the same.
            let whole = !standing || see_locks.contains(&id);
            to.entry(id).or_insert(if whole { Sight::Whole } else { Sight::Part });
        }
        Ok(())
    }

    /// An organisation, and those who may act for it in any of the scopes now.
    fn with_mandated(&mut self, of: OrganisationId, scopes: &'static [Scope]) -> Result<Vec<OrganisationId>, Problem> {
        let mut concerned = self.mandated(&of, scopes)?;
        concerned.push(of);
        Ok(concerned)
    }

    /// Who may act for an organisation in any of the scopes now: looked for once for all events that are looked at
    /// together.
    fn mandated(&mut self, from: &OrganisationId, scopes: &'static [Scope]) -> Result<Vec<OrganisationId>, Problem> {
        if let Some(known) = self.mandated.get(&(from.clone(), scopes)) {
            return Ok(known.clone());
        }
        let found = self.service.query().mandated_by(from, scopes)?;
        self.mandated.insert((from.clone(), scopes), found.clone());
        Ok(found)
    }
}
