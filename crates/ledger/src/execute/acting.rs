//! Who may act for whom, as the parent's state has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use chain::identity::OrganisationId;

use super::Executor;
use crate::organisation::{Mandate, Organisation, Role, Scope, Standing as OrganisationStanding};
use crate::party::Party;
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// How an organisation may act for another.
pub(super) enum Acting {
    /// As that other itself, which it is, or whose mandate it has.
    Freely,
    /// It has the mandate, and lost the role that acts under it.
    WithoutRole,
    /// It has the mandate, and the other is suspended: nobody does for it what it may not do itself.
    ForSuspended,
    /// Not at all.
    Not,
}

impl Executor<'_> {
    pub(super) fn organisation(&self, id: &OrganisationId) -> Result<Option<Arc<Organisation>>, Fault> {
        self.organisations.get(&self.state.below(), id)
    }

    /// The organisation behind a party, when it is on the ledger: a taxpayer id that it gave up still leads to it.
    pub(super) fn organisation_of(&self, party: &Party) -> Result<Option<OrganisationId>, Fault> {
        match party {
            Party::Taxpayer(id) => self.organisations.of_taxpayer(&self.state.below(), id),
            Party::Person(_) => Ok(None),
        }
    }

    /// Whether `actor` is `for_whom`, or holds its mandate for `scope` now: one that the parent's state has, like its keys
    /// and roles. What a block gives or ends applies from the next one on.
    pub(super) fn acting(
        &self,
        actor: &Organisation,
        for_whom: &OrganisationId,
        scope: Scope,
    ) -> Result<Acting, Fault> {
        if actor.id == *for_whom {
            return Ok(Acting::Freely);
        }
        let mandate = read::<Mandate>(&self.state.below(), &StateKey::mandate(for_whom, &actor.id))?;
        if !mandate.is_some_and(|mandate| mandate.allows(scope, self.context.time_ms)) {
            return Ok(Acting::Not);
        }
        if role(actor, scope.roles()).is_err() {
            return Ok(Acting::WithoutRole);
        }
        Ok(if self.is_suspended(for_whom)? { Acting::ForSuspended } else { Acting::Freely })
    }

    /// Whether the parent's state has an organisation suspended.
    pub(super) fn is_suspended(&self, id: &OrganisationId) -> Result<bool, Fault> {
        Ok(self.organisation(id)?.is_some_and(|it| it.standing == OrganisationStanding::Suspended))
    }

    /// Refuses an actor that neither is `for_whom` nor may act under its mandate.
    pub(super) fn mandated(
        &self,
        actor: &Organisation,
        for_whom: &OrganisationId,
        scope: Scope,
    ) -> Result<Result<(), Refusal>, Fault> {
        Ok(match self.acting(actor, for_whom, scope)? {
            Acting::Freely => Ok(()),
            Acting::WithoutRole => role(actor, scope.roles()),
            Acting::ForSuspended => Err(suspended(for_whom)),
            Acting::Not => {
                let expected = format!("{for_whom} itself, or its mandate in force");
                Err(Refusal::new(Reason::MandateMissing, expected, actor.id.to_string()))
            }
        })
    }
}

/// The refusal of what is done by, or for, an organisation that is suspended.
pub(super) fn suspended(id: &OrganisationId) -> Refusal {
    Refusal::new(Reason::Suspended, "an active organisation", id.to_string())
}

/// Refuses an actor without a role.
pub(super) fn role(actor: &Organisation, roles: &[Role]) -> Result<(), Refusal> {
    if roles.iter().any(|role| actor.is(*role)) {
        return Ok(());
    }
    Err(role_missing(&actor.roles, roles))
}

pub(super) fn role_missing(has: &BTreeSet<Role>, wanted: &[Role]) -> Refusal {
    let names =
        |roles: &mut dyn Iterator<Item = &Role>| roles.map(|role| format!("{role:?}")).collect::<Vec<_>>().join(" or ");
    Refusal::new(Reason::RoleMissing, names(&mut wanted.iter()), names(&mut has.iter()))
}
