//! Organisations: how they come onto the ledger, and what the tax bureau changes about them.
//!
//! Who acts is judged as the parent's state has it: what a block changes applies from the next one on. What is *changed* is
//! read as the block has left it so far, so that two changes of one organisation in the same block both take effect.

use std::collections::BTreeSet;

use chain::hash::StatementId;
use chain::identity::OrganisationId;
use invoice::taxpayer::TaxpayerId;

use super::{Accepted, Change, Decision, Executor, permit, refuse};
use crate::event::{Admit, Enterprise, Register, Reinstate, Rename, SetRoles, Suspend};
use crate::introduction::Introduction;
use crate::organisation::{Mandate, Organisation, Role, Standing};
use crate::outcome::Record;
use crate::record::{FormerId, FormerRecord};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// Taxpayer ids that an organisation has at most, one after the other, besides the one it has: whoever looks for what is
/// the organisation's looks under each of them.
pub const FORMER_IDS_MAX: usize = 15;

/// What an event changes about organisations and mandates: the records as they are to be.
#[derive(Default)]
pub(super) struct Membership {
    /// Organisations that were not on the ledger.
    pub(super) new: Vec<Organisation>,
    /// One that was.
    pub(super) changed: Option<Organisation>,
    /// The taxpayer ids that it had before, when it gets another.
    pub(super) former: Option<FormerRecord>,
    /// Mandates, given or ended.
    pub(super) mandates: Vec<Mandate>,
}

/// Accepts what changes organisations or mandates: nobody does so under a mandate.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a decision")]
pub(super) fn accepted(record: Record, membership: Membership) -> Decision {
    Ok(Ok(Accepted { record, change: Change::Membership(Box::new(membership)), mandated: false }))
}

fn changed(record: Record, organisation: Organisation) -> Decision {
    accepted(record, Membership { changed: Some(organisation), ..Membership::default() })
}

impl Executor<'_> {
    pub(super) fn decide_admit(&self, actor: &Organisation, admit: &Admit) -> Decision {
        permit!(self.bureau(actor));
        let introduction = match Introduction::open(admit.introduction()) {
            Ok(introduction) => introduction,
            Err(error) => {
                let found = with_sources(&error);
                return refuse(Refusal::new(Reason::IntroductionInvalid, "an introduction that holds", found));
            }
        };
        let organisation = introduction.organisation;
        if introduction.power.is_some() || organisation.is(Role::Agency) {
            return refuse(is_agency(&organisation.id));
        }
        permit!(self.free(&organisation.id, &organisation.taxpayer_id)?.map_err(|taken| taken.into_refusal("")));
        let record = Record::Admitted { from_height: self.next_height() };
        accepted(record, Membership { new: vec![organisation], ..Membership::default() })
    }

    pub(super) fn decide_register(&self, actor: &Organisation, register: &Register) -> Decision {
        permit!(self.bureau(actor));
        let entries = register.enterprises.entries();
        let (mut ids, mut taxpayers) = (BTreeSet::new(), BTreeSet::new());
        for (place, entry) in entries.iter().enumerate() {
            // Whoever stands twice in the list has registered itself when it comes again.
            let free = match (ids.insert(&entry.id), taxpayers.insert(&entry.taxpayer_id)) {
                (false, _) => Err(Taken::Id(entry.id.clone())),
                (true, false) => Err(Taken::Taxpayer(entry.taxpayer_id.clone())),
                (true, true) => self.free(&entry.id, &entry.taxpayer_id)?,
            };
            permit!(free.map_err(|taken| taken.into_refusal(&format!("entry {place}: "))));
        }
        let record = Record::Registered { enterprises: register.enterprises.count(), from_height: self.next_height() };
        accepted(record, Membership { new: entries.iter().map(registered).collect(), ..Membership::default() })
    }

    pub(super) fn decide_suspend(&self, actor: &Organisation, suspend: &Suspend) -> Decision {
        let from_height = self.next_height();
        self.set_standing(actor, &suspend.organisation, Standing::Suspended, Record::Suspended { from_height })
    }

    pub(super) fn decide_reinstate(&self, actor: &Organisation, reinstate: &Reinstate) -> Decision {
        let from_height = self.next_height();
        self.set_standing(actor, &reinstate.organisation, Standing::Active, Record::Reinstated { from_height })
    }

    fn set_standing(&self, actor: &Organisation, id: &OrganisationId, to: Standing, record: Record) -> Decision {
        permit!(self.bureau(actor));
        let mut organisation = permit!(self.as_changed(id)?);
        // The bureau is an agency too, so it cannot end what it could not begin again.
        if organisation.is(Role::Agency) {
            return refuse(is_agency(id));
        }
        if organisation.standing == to {
            return refuse(unchanged(id, &format!("{to:?}").to_lowercase()));
        }
        organisation.standing = to;
        changed(record, organisation)
    }

    pub(super) fn decide_roles(&self, actor: &Organisation, set: &SetRoles) -> Decision {
        permit!(self.bureau(actor));
        let mut organisation = permit!(self.as_changed(&set.organisation)?);
        if organisation.is(Role::Agency) != set.roles.contains(&Role::Agency) {
            return refuse(is_agency(&set.organisation));
        }
        if organisation.roles == set.roles {
            return refuse(unchanged(&set.organisation, "these very roles"));
        }
        let former = std::mem::replace(&mut organisation.roles, set.roles.clone());
        changed(Record::RolesSet { former, from_height: self.next_height() }, organisation)
    }

    pub(super) fn decide_rename(&self, actor: &Organisation, rename: &Rename) -> Decision {
        permit!(self.bureau(actor));
        let mut organisation = permit!(self.as_changed(&rename.organisation)?);
        let before = organisation.clone();
        if let Some(name) = &rename.name {
            name.as_str().clone_into(&mut organisation.name);
        }
        if let (Some(id), Some(kind)) = (&rename.taxpayer_id, rename.taxpayer_kind) {
            organisation.taxpayer_id = id.clone();
            organisation.taxpayer_kind = kind;
        }
        if organisation == before {
            return refuse(unchanged(&before.id, "this very name and taxpayer id"));
        }
        let former = permit!(self.former_of(&before, &organisation.taxpayer_id)?);
        let record = Record::Renamed {
            former_name: before.name,
            former_taxpayer_id: before.taxpayer_id,
            from_height: self.next_height(),
        };
        accepted(record, Membership { changed: Some(organisation), former, ..Membership::default() })
    }

    /// The former taxpayer ids of an organisation once it has this one; nothing when it has it already.
    fn former_of(
        &self,
        before: &Organisation,
        next: &TaxpayerId,
    ) -> Result<Result<Option<FormerRecord>, Refusal>, Fault> {
        if before.taxpayer_id == *next {
            return Ok(Ok(None));
        }
        if let Some(owner) = read::<OrganisationId>(&self.state, &StateKey::taxpayer(next))?
            && owner != before.id
        {
            return Ok(Err(Taken::Taxpayer(next.clone()).into_refusal("")));
        }
        let mut former: FormerRecord = read(&self.state, &StateKey::former(&before.id))?.unwrap_or_default();
        // It may get one back that was taken from it.
        former.ids.retain(|known| known.taxpayer_id != *next);
        former.ids.push(FormerId { taxpayer_id: before.taxpayer_id.clone(), until_ms: self.context.time_ms });
        if former.ids.len() > FORMER_IDS_MAX {
            let expected = format!("at most {FORMER_IDS_MAX} former taxpayer ids");
            return Ok(Err(Refusal::new(Reason::TaxpayerIdsSpent, expected, former.ids.len().to_string())));
        }
        Ok(Ok(Some(former)))
    }

    pub(super) fn apply_membership(&mut self, membership: Membership, by: StatementId) -> Result<(), Fault> {
        let Membership { new, changed, former, mandates } = membership;
        let by = by.hash();
        for organisation in new {
            self.state.put_new(StateKey::taxpayer(&organisation.taxpayer_id), &by, &organisation.id);
            self.state.put_new(StateKey::organisation(&organisation.id), &by, &organisation);
        }
        if let Some(organisation) = changed {
            if let Some(former) = former {
                self.state.put(StateKey::former(&organisation.id), &by, &former)?;
                // The ids before lead to the organisation for ever: their records stay.
                self.state.put(StateKey::taxpayer(&organisation.taxpayer_id), &by, &organisation.id)?;
            }
            self.state.put(StateKey::organisation(&organisation.id), &by, &organisation)?;
        }
        for mandate in mandates {
            self.state.put(StateKey::mandate(&mandate.from, &mandate.to), &by, &mandate)?;
        }
        Ok(())
    }

    /// Refuses everybody but the tax bureau.
    pub(super) fn bureau(&self, actor: &Organisation) -> Result<(), Refusal> {
        if self.parameters.tax_bureau == actor.id {
            return Ok(());
        }
        let expected = self.parameters.tax_bureau.to_string();
        Err(Refusal::new(Reason::TaxBureauOnly, expected, actor.id.to_string()))
    }

    /// An organisation as the block has left it so far: what a change starts from.
    pub(super) fn as_changed(&self, id: &OrganisationId) -> Result<Result<Organisation, Refusal>, Fault> {
        Ok(read::<Organisation>(&self.state, &StateKey::organisation(id))?
            .ok_or_else(|| Refusal::new(Reason::OrganisationUnknown, "an organisation on the ledger", id.to_string())))
    }

    /// The first block in which what this one changes applies.
    pub(super) const fn next_height(&self) -> u64 {
        self.context.height + 1
    }

    fn free(&self, id: &OrganisationId, taxpayer: &TaxpayerId) -> Result<Result<(), Taken>, Fault> {
        if read::<Organisation>(&self.state, &StateKey::organisation(id))?.is_some() {
            return Ok(Err(Taken::Id(id.clone())));
        }
        let owner = read::<OrganisationId>(&self.state, &StateKey::taxpayer(taxpayer))?;
        Ok(owner.map_or(Ok(()), |_| Err(Taken::Taxpayer(taxpayer.clone()))))
    }
}

/// What is not free for a new organisation.
enum Taken {
    Id(OrganisationId),
    Taxpayer(TaxpayerId),
}

impl Taken {
    fn into_refusal(self, place: &str) -> Refusal {
        match self {
            Self::Id(id) => Refusal::new(Reason::OrganisationIdTaken, "an id never given", format!("{place}{id}")),
            Self::Taxpayer(id) => {
                Refusal::new(Reason::TaxpayerIdTaken, "a taxpayer id of no other", format!("{place}{id}"))
            }
        }
    }
}

pub(super) fn is_agency(id: &OrganisationId) -> Refusal {
    Refusal::new(Reason::IsAgency, "what leaves agencies what they are", id.to_string())
}

fn unchanged(id: &OrganisationId, what: &str) -> Refusal {
    Refusal::new(Reason::OrganisationUnchanged, "a change", format!("{id} has {what} already"))
}

/// An enterprise as it comes onto the ledger.
fn registered(entry: &Enterprise) -> Organisation {
    Organisation {
        id: entry.id.clone(),
        name: entry.name.to_string(),
        taxpayer_id: entry.taxpayer_id.clone(),
        taxpayer_kind: entry.taxpayer_kind,
        roles: BTreeSet::from([Role::Enterprise]),
        standing: Standing::Active,
        keys: Vec::new(),
    }
}

/// An error with what is behind it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The subject of an event about one organisation.
pub(super) fn subject(id: &OrganisationId) -> String {
    format!("organisation:{id}")
}

/// The subject of a registration: the first of its entries.
pub(super) fn subject_of_many(register: &Register) -> String {
    let first = register.enterprises.entries().first().map_or("", |entry| entry.id.as_str());
    format!("organisations:{first}")
}
