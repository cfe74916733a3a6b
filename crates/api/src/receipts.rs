//! Receipts: who may have one, and its text.

use chain::identity::OrganisationId;
use invoice::InvoiceId;
use replica::port::Store;
use replica::query::EventView;

use crate::auth::Caller;
use crate::books::in_books;
use crate::claims::{claim_of, names_standing, overridden, sees_claim};
use crate::members::{About, SEEING_MEMBERS, concerning};
use crate::problem::Problem;
use crate::service::Service;

impl<S: Store> Service<S> {
    /// The receipt of a leaf, as JSON.
    pub(crate) fn receipt_json(&self, leaf: u64) -> Result<String, Problem> {
        let receipt = self.query().receipt(leaf)?.ok_or_else(|| Problem::new("event.unknown"))?;
        Ok(receipt.to_json())
    }

    /// Refuses a leaf that the caller may not see, as one that does not exist.
    pub(crate) fn must_see_event(&self, caller: &Caller, leaf: u64) -> Result<(), Problem> {
        let unknown = || Problem::new("event.unknown");
        let event = self.query().event(leaf)?.ok_or_else(unknown)?;
        if self.sees_event(caller, &event)? { Ok(()) } else { Err(unknown()) }
    }

    fn sees_event(&self, caller: &Caller, event: &EventView) -> Result<bool, Problem> {
        if caller.sees_everything() || event.statement.header().organisation == *caller.id() {
            return Ok(true);
        }
        let subject = &event.outcome.subject;
        if let Ok(id) = subject.parse::<InvoiceId>() {
            let Some(record) = self.query().invoice(&id)? else {
                return Ok(false);
            };
            let record = self.blue_of(&id, &record)?.unwrap_or(record);
            if let Some(whose) = in_books(event)? {
                return self.sees_books(caller, &whose);
            }
            if let Some(between) = overridden(event)? {
                return Ok(between.contains(caller.id()));
            }
            // The receipt carries the event's hash, from which the id of a claim can be found by trying.
            return match claim_of(&event.event()?) {
                Some((claim, enterprise)) => Ok(sees_claim(caller.id(), event, claim, enterprise, &record)),
                // The receipt carries the record too, and with it who stood in the way.
                None => {
                    Ok(self.sees(caller, &record)? && (!names_standing(event)? || self.sees_lock(caller, &record)?))
                }
            };
        }
        match concerning(event)? {
            Some(About::Organisation(id)) => return self.sees_for(caller, &id, &SEEING_MEMBERS),
            Some(About::Quota(seller)) => return self.sees_quotas(caller, &seller),
            Some(About::Mandate(between)) => return Ok(between.contains(caller.id())),
            Some(About::Segment(first)) => {
                return match self.query().segment(&first)? {
                    Some(segment) => self.sees_segment(caller, &segment),
                    None => Ok(false),
                };
            }
            None => {}
        }
        let seller = subject.strip_prefix("filing:").and_then(|rest| rest.split_once('/'));
        match seller.and_then(|(seller, _)| OrganisationId::new(seller).ok()) {
            Some(seller) => self.sees_months(caller, &seller),
            None => Ok(false),
        }
    }
}
