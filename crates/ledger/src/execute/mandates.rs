//! Mandates: who may act for whom.
//!
//! Like keys and roles, what a block changes about mandates applies from the next block on: `may_act` reads the parent's
//! state. So a mandate that was given in a block lets nobody act in it, and one that was ended there still does.

use chain::identity::OrganisationId;

use super::organisations::{Membership, accepted};
use super::{Decision, Executor, permit, refuse, role};
use crate::event::{Attest, GiveMandate, RevokeMandate};
use crate::organisation::{Mandate, Organisation, Role};
use crate::outcome::Record;
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

impl Executor<'_> {
    pub(super) fn decide_mandate(&self, actor: &Organisation, give: &GiveMandate) -> Decision {
        permit!(role(actor, &[Role::Enterprise]));
        permit!(self.still_to_come(give.expires_ms));
        let to = permit!(self.as_changed(&give.to)?);
        permit!(apart(&actor.id, &to.id, ""));
        let replaced = self.stands_between(&actor.id, &to.id)?.is_some();
        let (scopes, expires_ms) = (give.scopes.clone(), give.expires_ms);
        let mandate = Mandate { from: actor.id.clone(), to: to.id, scopes, expires_ms };
        let record = Record::Mandated { replaced, from_height: self.next_height() };
        accepted(record, Membership { mandates: vec![mandate], ..Membership::default() })
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
        let record = Record::Revoked { from_height: self.next_height() };
        accepted(record, Membership { mandates: vec![mandate], ..Membership::default() })
    }

    pub(super) fn decide_attest(&self, actor: &Organisation, attest: &Attest) -> Decision {
        permit!(self.bureau(actor));
        permit!(self.still_to_come(attest.expires_ms));
        let to = permit!(self.as_changed(&attest.to)?);
        permit!(role(&to, &[Role::ServiceProvider, Role::ReimbursementPlatform]));
        let entries = attest.enterprises.entries();
        let (mut mandates, mut replaced) = (Vec::with_capacity(entries.len()), 0);
        for (place, from) in entries.iter().enumerate() {
            let found = format!("entry {place}: {from}");
            permit!(apart(from, &to.id, &found));
            match read::<Organisation>(&self.state, &StateKey::organisation(from))? {
                None => {
                    let expected = "an enterprise on the ledger";
                    return refuse(Refusal::new(Reason::OrganisationUnknown, expected, found));
                }
                Some(from) if !from.is(Role::Enterprise) => {
                    return refuse(Refusal::new(Reason::RoleMissing, "Enterprise", found));
                }
                Some(_) => {}
            }
            replaced += u32::from(self.stands_between(from, &to.id)?.is_some());
            let (scopes, expires_ms) = (attest.scopes.clone(), attest.expires_ms);
            mandates.push(Mandate { from: from.clone(), to: to.id.clone(), scopes, expires_ms });
        }
        let count = attest.enterprises.count();
        let record = Record::Attested { mandates: count, replaced, from_height: self.next_height() };
        accepted(record, Membership { mandates, ..Membership::default() })
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

fn apart(from: &OrganisationId, to: &OrganisationId, found: &str) -> Result<(), Refusal> {
    if from != to {
        return Ok(());
    }
    let found = if found.is_empty() { to.as_str() } else { found };
    Err(Refusal::new(Reason::MandateToItself, "two organisations", found))
}

/// The subject of a mandate.
pub(super) fn subject(from: &OrganisationId, to: &OrganisationId) -> String {
    format!("mandate:{from}/{to}")
}

/// The subject of mandates to one organisation.
pub(super) fn subject_of_many(to: &OrganisationId) -> String {
    format!("mandates:{to}")
}
