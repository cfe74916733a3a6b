//! Mandates: who may act for whom.
//!
//! Like keys and roles, what a block changes about mandates applies from the next block on: `acting` reads the parent's
//! state. So a mandate that was given in a block lets nobody act in it, and one that was ended there still does.

use std::sync::Arc;

use chain::identity::OrganisationId;

use super::organisations::{Membership, accepted};
use super::{Decision, Executor, permit, refuse, role};
use crate::event::{Attest, GiveMandate, RevokeMandate};
use crate::organisation::{GivenRecord, MANDATE_ROLES, MANDATES_MAX, Mandate, Organisation, Role};
use crate::outcome::Record;
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// A mandate about to be written, with what else stands of its giver.
pub(super) struct Giving {
    pub(super) mandate: Mandate,
    pub(super) given: GivenRecord,
}

impl Executor<'_> {
    pub(super) fn decide_mandate(&self, actor: &Organisation, give: &GiveMandate) -> Decision {
        permit!(role(actor, &[Role::Enterprise]));
        permit!(self.still_to_come(give.expires_ms));
        let to = permit!(self.as_changed(&give.to)?);
        permit!(apart(&actor.id, &to.id, ""));
        permit!(role(&to, &MANDATE_ROLES));
        let (from, scopes, expires_ms) = (actor.id.clone(), give.scopes.clone(), give.expires_ms);
        let mandate = Mandate { from, to: to.id.clone(), scopes, expires_ms, attested: false };
        let (giving, replaced) = permit!(self.giving(mandate, "")?);
        let record = Record::Mandated { replaced, from_height: self.next_height() };
        accepted(record, Membership { mandates: vec![giving], ..Membership::default() })
    }

    pub(super) fn decide_revoke(&self, actor: &Organisation, revoke: &RevokeMandate) -> Decision {
        let RevokeMandate { from, to } = revoke;
        // Before anything is looked up: who may act for whom is nothing to others.
        if ![from, to, &self.parameters.tax_bureau].contains(&&actor.id) {
            let expected = format!("{from}, {to} or the tax bureau");
            return refuse(Refusal::new(Reason::MandateNotPermitted, expected, actor.id.to_string()));
        }
        let Some(mut mandate) = self.stands_between(from, to)? else {
            return refuse(Refusal::new(Reason::MandateUnknown, "a mandate in force", format!("{from} to {to}")));
        };
        mandate.expires_ms = Some(self.context.time_ms);
        let given = self.given(&mandate)?;
        let record = Record::Revoked { from_height: self.next_height() };
        accepted(record, Membership { mandates: vec![Giving { mandate, given }], ..Membership::default() })
    }

    pub(super) fn decide_attest(&self, actor: &Organisation, attest: &Attest) -> Decision {
        permit!(self.bureau(actor));
        permit!(self.still_to_come(attest.expires_ms));
        let to = permit!(self.as_changed(&attest.to)?);
        permit!(role(&to, &MANDATE_ROLES));
        let entries = attest.enterprises.entries();
        let (mut mandates, mut replaced) = (Vec::with_capacity(entries.len()), 0);
        for (place, from) in entries.iter().enumerate() {
            let place = format!("entry {place}: ");
            permit!(apart(from, &to.id, &place));
            permit!(giver(self.as_left(from)?, from, &place));
            let (scopes, expires_ms) = (attest.scopes.clone(), attest.expires_ms);
            let mandate = Mandate { from: from.clone(), to: to.id.clone(), scopes, expires_ms, attested: true };
            let (giving, stood) = permit!(self.giving(mandate, &place)?);
            replaced += u32::from(stood);
            mandates.push(giving);
        }
        let count = attest.enterprises.count();
        let record = Record::Attested { mandates: count, replaced, from_height: self.next_height() };
        accepted(record, Membership { mandates, ..Membership::default() })
    }

    /// The mandate as it is to be written, and whether another stands in its place.
    fn giving(&self, mandate: Mandate, place: &str) -> Result<Result<(Giving, bool), Refusal>, Fault> {
        let before = self.stands_between(&mandate.from, &mandate.to)?;
        if before.as_ref() == Some(&mandate) {
            let found = format!("{place}{} to {}", mandate.from, mandate.to);
            return Ok(Err(Refusal::new(Reason::MandateUnchanged, "a change", found)));
        }
        let given = self.given(&mandate)?;
        if given.mandates.len() > MANDATES_MAX {
            let (expected, found) = (format!("at most {MANDATES_MAX} mandates in force"), &mandate.from);
            return Ok(Err(Refusal::new(Reason::MandatesSpent, expected, format!("{place}{found}"))));
        }
        Ok(Ok((Giving { mandate, given }, before.is_some())))
    }

    /// The mandates of a giver once it has given this one, or ended it.
    fn given(&self, mandate: &Mandate) -> Result<GivenRecord, Fault> {
        let mut given = read::<GivenRecord>(&self.state, &StateKey::given(&mandate.from))?.unwrap_or_default();
        given.put(mandate, self.context.time_ms);
        Ok(given)
    }

    /// The mandate between two that has not ended, as the block has left it so far.
    fn stands_between(&self, from: &OrganisationId, to: &OrganisationId) -> Result<Option<Mandate>, Fault> {
        let mandate = read::<Mandate>(&self.state, &StateKey::mandate(from, to))?;
        Ok(mandate.filter(|mandate| mandate.stands(self.context.time_ms)))
    }

    fn still_to_come(&self, expires_ms: Option<i64>) -> Result<(), Refusal> {
        match expires_ms {
            Some(expires_ms) if expires_ms <= self.context.time_ms => {
                let expected = format!("an end after {}", self.context.time_ms);
                Err(Refusal::new(Reason::MandateExpired, expected, expires_ms.to_string()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Refuses an attestation for whom is no enterprise, or signs its mandates itself: what it ended, no paper revives.
fn giver(found: Option<Arc<Organisation>>, id: &OrganisationId, place: &str) -> Result<(), Refusal> {
    let refused = |reason, expected: &str| Err(Refusal::new(reason, expected, format!("{place}{id}")));
    match found {
        None => refused(Reason::OrganisationUnknown, "an enterprise on the ledger"),
        Some(from) if !from.is(Role::Enterprise) => refused(Reason::RoleMissing, "Enterprise"),
        Some(from) if from.signs_statements() => refused(Reason::GiverSigns, "an enterprise without a statement key"),
        Some(_) => Ok(()),
    }
}

fn apart(from: &OrganisationId, to: &OrganisationId, place: &str) -> Result<(), Refusal> {
    if from != to {
        return Ok(());
    }
    Err(Refusal::new(Reason::MandateToItself, "two organisations", format!("{place}{to}")))
}

/// The subject of a mandate.
pub(super) fn subject(from: &OrganisationId, to: &OrganisationId) -> String {
    format!("mandate:{from}/{to}")
}

/// The subject of mandates to one organisation.
pub(super) fn subject_of_many(to: &OrganisationId) -> String {
    format!("mandates:{to}")
}
