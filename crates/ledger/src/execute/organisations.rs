//! Organisations: how they come onto the ledger, and what the tax bureau changes about them.
//!
//! Who acts is judged as the parent's state has it: what a block changes applies from the next one on. What is *changed* is
//! read as the block has left it so far, so that two changes of one organisation in the same block both take effect.

use std::collections::BTreeSet;
use std::sync::Arc;

use chain::hash::{Hash, StatementId};
use chain::identity::{ChainId, OrganisationId};
use invoice::date::Period;
use invoice::taxpayer::TaxpayerId;

use super::mandates::Giving;
use super::{Accepted, Change, Decision, Executor, permit, refuse};
use crate::event::{Admit, Enterprise, Register, Reinstate, Rename, SetRoles, Suspend};
use crate::introduction::Introduction;
use crate::organisation::{AdmittedKey, Organisation, RetiredKey, Role, Standing};
use crate::outcome::Record;
use crate::party::{Party, Side};
use crate::record::{AccumulatorRecord, AdditionsRecord, FormerId, FormerRecord, TaxpayerRecord};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// Taxpayer ids that an organisation has at most, one after the other, besides the one it has: whoever looks for what is
/// the organisation's looks under each of them.
pub const FORMER_IDS_MAX: usize = 15;

/// Months in which a taxpayer id that was written in error is released, the one in which it was written among them. Later
/// it can only be given up: that nothing was issued under it is looked for month by month.
pub const RELEASE_MONTHS_MAX: usize = 24;

/// How old an introduction may be when it is admitted: whoever finds one in a drawer brings nobody onto the ledger.
const INTRODUCTION_AGE_MS_MAX: i64 = 90 * 24 * 60 * 60 * 1_000;

/// How far ahead of block time an introduction may be dated: clocks differ.
const INTRODUCTION_AHEAD_MS_MAX: i64 = 60 * 60 * 1_000;

/// What an event changes about organisations and mandates: the records as they are to be.
#[derive(Default)]
pub(super) struct Membership {
    /// Organisations that were not on the ledger.
    pub(super) new: Vec<Organisation>,
    /// One that was.
    pub(super) changed: Option<Organisation>,
    /// What becomes of the taxpayer id that it had, when it gets another.
    pub(super) renumbered: Option<Renumbered>,
    /// Keys that it has no longer.
    pub(super) retired: Vec<RetiredKey>,
    /// Public keys that it has newly.
    pub(super) publics: Vec<AdmittedKey>,
    /// How many keys it has added itself today.
    pub(super) additions: Option<AdditionsRecord>,
    /// Mandates, given or ended.
    pub(super) mandates: Vec<Giving>,
}

/// A taxpayer id in place of another.
pub(super) struct Renumbered {
    /// The ids that the organisation had and gave up.
    former: FormerRecord,
    /// The id before, when it never was the organisation's.
    released: Option<TaxpayerId>,
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
    pub(super) fn decide_admit(&self, actor: &Organisation, chain: &ChainId, admit: &Admit) -> Decision {
        permit!(self.bureau(actor));
        let introduction = match Introduction::open(admit.introduction()) {
            Ok(introduction) => introduction,
            Err(error) => {
                let (expected, found) = ("an introduction that holds", error.what());
                return refuse(Refusal::new(Reason::IntroductionInvalid, expected, found));
            }
        };
        permit!(self.meant_for_now(chain, &introduction));
        permit!(observer(&introduction, admit.observer()));
        let mut organisation = introduction.organisation;
        if introduction.power.is_some() || organisation.is(Role::Agency) {
            return refuse(is_agency(&organisation.id));
        }
        permit!(self.free(&organisation.id, &organisation.taxpayer_id)?.map_err(|taken| taken.into_refusal("")));
        for key in &mut organisation.keys {
            key.from_height = self.next_height();
            if self.state.has(&StateKey::public_key(key.public.as_bytes()))? {
                let found = format!("{}/{}", organisation.id, key.id);
                return refuse(Refusal::new(Reason::KeyUsed, "a key of nobody", found));
            }
        }
        let record = Record::Admitted { from_height: self.next_height() };
        accepted(record, Membership { new: vec![organisation], ..Membership::default() })
    }

    /// Refuses an introduction that was made for another chain, or long ago.
    fn meant_for_now(&self, chain: &ChainId, introduction: &Introduction) -> Result<(), Refusal> {
        if introduction.chain.as_ref() != Some(chain) {
            let found = introduction.chain.as_ref().map_or_else(|| "no chain".to_owned(), ToString::to_string);
            return Err(Refusal::new(Reason::IntroductionElsewhere, chain.to_string(), found));
        }
        let now = self.context.time_ms;
        let (oldest, newest) = (now - INTRODUCTION_AGE_MS_MAX, now.saturating_add(INTRODUCTION_AHEAD_MS_MAX));
        if (oldest..=newest).contains(&introduction.time_ms) {
            return Ok(());
        }
        let expected = format!("made from {oldest} to {newest}");
        Err(Refusal::new(Reason::IntroductionStale, expected, introduction.time_ms.to_string()))
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
        let mut organisation = Arc::unwrap_or_clone(permit!(self.as_changed(id)?));
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
        let mut organisation = Arc::unwrap_or_clone(permit!(self.as_changed(&set.organisation)?));
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
        let before = permit!(self.as_changed(&rename.organisation)?);
        let mut organisation = Organisation::clone(&before);
        if let Some(name) = &rename.name {
            name.as_str().clone_into(&mut organisation.name);
        }
        if let (Some(id), Some(kind)) = (&rename.taxpayer_id, rename.taxpayer_kind) {
            organisation.taxpayer_id = id.clone();
            organisation.taxpayer_kind = kind;
        }
        if organisation == *before {
            return refuse(unchanged(&before.id, "this very name and taxpayer id"));
        }
        let renumbered = permit!(self.renumbered(&before, &organisation.taxpayer_id, rename.in_error)?);
        let record = Record::Renamed {
            former_name: before.name.clone(),
            former_taxpayer_id: before.taxpayer_id.clone(),
            from_height: self.next_height(),
        };
        accepted(record, Membership { changed: Some(organisation), renumbered, ..Membership::default() })
    }

    /// What becomes of an organisation's taxpayer id once it has this one; nothing when it has it already.
    fn renumbered(
        &self,
        before: &Organisation,
        next: &TaxpayerId,
        in_error: bool,
    ) -> Result<Result<Option<Renumbered>, Refusal>, Fault> {
        if before.taxpayer_id == *next {
            return Ok(Ok(None));
        }
        if self.owner_of(next)?.is_some_and(|owner| owner != before.id) {
            return Ok(Err(Taken::Taxpayer(next.clone()).into_refusal("")));
        }
        let mut former: FormerRecord = read(&self.state, &StateKey::former(&before.id))?.unwrap_or_default();
        // It may get one back that was taken from it.
        former.ids.retain(|known| known.taxpayer_id != *next);
        if in_error {
            let released = Some(before.taxpayer_id.clone());
            let unused = self.never_sold_under(&before.taxpayer_id)?;
            return Ok(unused.map(|()| Some(Renumbered { former, released })));
        }
        former.ids.push(FormerId { taxpayer_id: before.taxpayer_id.clone(), until_ms: self.context.time_ms });
        if former.ids.len() > FORMER_IDS_MAX {
            let expected = format!("at most {FORMER_IDS_MAX} former taxpayer ids");
            return Ok(Err(Refusal::new(Reason::TaxpayerIdsSpent, expected, former.ids.len().to_string())));
        }
        Ok(Ok(Some(Renumbered { former, released: None })))
    }

    /// Refuses to release an id under which something was issued: those invoices, and the months that they are in, stay
    /// their seller's. What others addressed to the id goes to its owner with it.
    fn never_sold_under(&self, id: &TaxpayerId) -> Result<Result<(), Refusal>, Fault> {
        let used = |found: String| {
            Ok(Err(Refusal::new(Reason::TaxpayerIdUsed, "an id under which nothing was issued", found)))
        };
        let since_ms =
            read::<TaxpayerRecord>(&self.state, &StateKey::taxpayer(id))?.map_or(0, |record| record.since_ms);
        let mut month = self.context.today.period();
        for _ in 0..RELEASE_MONTHS_MAX {
            let key = StateKey::accumulator(month, Side::Seller, &Party::Taxpayer(id.clone()));
            if read::<AccumulatorRecord>(&self.state, &key)?.is_some_and(|sums| sums.leaves > 0) {
                return used(month.to_string());
            }
            if month.start_ms() <= since_ms {
                return Ok(Ok(()));
            }
            // There is always a month before: block time begins long after the calendar does.
            let Ok(before) = Period::from_unix_ms(month.start_ms() - 1) else { return Ok(Ok(())) };
            month = before;
        }
        used(format!("an id of more than {RELEASE_MONTHS_MAX} months"))
    }

    pub(super) fn apply_membership(&mut self, membership: Membership, by: StatementId) -> Result<(), Fault> {
        let Membership { new, changed, renumbered, retired, publics, additions, mandates } = membership;
        let by = by.hash();
        for organisation in new {
            self.write_taxpayer(&organisation.taxpayer_id, Some(&organisation.id), &by)?;
            self.state.put_new(StateKey::organisation(&organisation.id), &by, &organisation);
            for key in &organisation.keys {
                self.state.put_new(StateKey::public_key(key.public.as_bytes()), &by, &organisation.id);
            }
        }
        if let Some(organisation) = changed {
            let id = &organisation.id;
            if let Some(Renumbered { former, released }) = renumbered {
                self.state.put(StateKey::former(id), &by, &former)?;
                // The ids before lead to the organisation for ever, but for one that never was its own.
                self.write_taxpayer(&organisation.taxpayer_id, Some(id), &by)?;
                if let Some(released) = released {
                    self.write_taxpayer(&released, None, &by)?;
                }
            }
            for retired in retired {
                self.state.put_new(StateKey::retired_key(id, &retired.key.id), &by, &retired);
            }
            for public in publics {
                self.state.put_new(StateKey::public_key(public.as_bytes()), &by, id);
            }
            if let Some(additions) = additions {
                self.state.put(StateKey::additions(id), &by, &additions)?;
            }
            self.state.put(StateKey::organisation(id), &by, &organisation)?;
        }
        for Giving { mandate, given } in mandates {
            self.state.put(StateKey::mandate(&mandate.from, &mandate.to), &by, &mandate)?;
            self.state.put(StateKey::given(&mandate.from), &by, &given)?;
        }
        Ok(())
    }

    /// Writes whose a taxpayer id is from now on, unless it is so already.
    fn write_taxpayer(&mut self, id: &TaxpayerId, of: Option<&OrganisationId>, by: &Hash) -> Result<(), Fault> {
        let key = StateKey::taxpayer(id);
        if read::<TaxpayerRecord>(&self.state, &key)?.is_some_and(|record| record.organisation.as_ref() == of) {
            return Ok(());
        }
        let record = TaxpayerRecord { organisation: of.cloned(), since_ms: self.context.time_ms };
        self.state.put(key, by, &record)
    }

    /// Refuses to issue under a taxpayer id that an earlier event of this block took from the organisation: who it is, is
    /// what the parent says, but a sale under an id that is nobody's would be in nobody's month.
    pub(super) fn still_its_id(
        &self,
        organisation: &OrganisationId,
        id: &TaxpayerId,
    ) -> Result<Result<(), Refusal>, Fault> {
        if !self.state.has_written(&StateKey::taxpayer(id)) || self.owner_of(id)?.as_ref() == Some(organisation) {
            return Ok(Ok(()));
        }
        Ok(Err(Refusal::new(Reason::OrganisationUnknown, "a seller on the ledger", id.to_string())))
    }

    /// An organisation as a party that something comes to: as the parent has it, but under the id that the block has left
    /// it with when the one before is no longer its own.
    pub(super) fn party_of(&self, organisation: &Organisation) -> Result<Party, Fault> {
        let before = &organisation.taxpayer_id;
        if self.still_its_id(&organisation.id, before)?.is_ok() {
            return Ok(Party::Taxpayer(before.clone()));
        }
        let left = self.as_left(&organisation.id)?;
        Ok(Party::Taxpayer(left.map_or_else(|| before.clone(), |left| left.taxpayer_id.clone())))
    }

    fn owner_of(&self, id: &TaxpayerId) -> Result<Option<OrganisationId>, Fault> {
        let record = read::<TaxpayerRecord>(&self.state, &StateKey::taxpayer(id))?;
        Ok(record.and_then(|record| record.organisation))
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
    pub(super) fn as_changed(&self, id: &OrganisationId) -> Result<Result<Arc<Organisation>, Refusal>, Fault> {
        Ok(self
            .as_left(id)?
            .ok_or_else(|| Refusal::new(Reason::OrganisationUnknown, "an organisation on the ledger", id.to_string())))
    }

    /// The same, when there is one. Decoded anew only when the block has changed it.
    pub(super) fn as_left(&self, id: &OrganisationId) -> Result<Option<Arc<Organisation>>, Fault> {
        let key = StateKey::organisation(id);
        if self.state.has_written(&key) {
            return Ok(read::<Organisation>(&self.state, &key)?.map(Arc::new));
        }
        self.organisation(id)
    }

    /// The first block in which what this one changes applies.
    pub(super) const fn next_height(&self) -> u64 {
        self.context.height + 1
    }

    fn free(&self, id: &OrganisationId, taxpayer: &TaxpayerId) -> Result<Result<(), Taken>, Fault> {
        if self.state.has(&StateKey::organisation(id))? {
            return Ok(Err(Taken::Id(id.clone())));
        }
        Ok(self.owner_of(taxpayer)?.map_or(Ok(()), |_| Err(Taken::Taxpayer(taxpayer.clone()))))
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

/// Refuses a node without a vote that nobody has admitted as one, and one for whom may not read everything.
fn observer(introduction: &Introduction, admitted: bool) -> Result<(), Refusal> {
    let refused = |expected: &str, found: &str| Err(Refusal::new(Reason::Observer, expected, found));
    match (introduction.observes(), admitted) {
        (false, false) => Ok(()),
        (true, false) => refused("observer to be set: a node is sent every block", "keys of a node"),
        (false, true) => refused("a peer and a receipt key: it is to run a node", "none"),
        (true, true) if introduction.organisation.is(Role::Auditor) => Ok(()),
        (true, true) => refused("an auditor: a node is sent every block", "another role"),
    }
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
