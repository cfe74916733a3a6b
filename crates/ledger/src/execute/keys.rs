//! Keys of organisations: how they come and go.
//!
//! A revoked key leaves the organisation's record for one of its own and stays on the ledger for ever: what it signed before
//! verifies at its height, and neither its id nor its public half is ever used again. A statement that was signed with it
//! and comes into a later block makes that block invalid (`admission`): the door rejects it. Whoever wins a race against a
//! thief with a revocation has won from the next block on.
//!
//! Keys of an agency that holds a seat change only with a signature of its governance key over the change itself, whoever
//! sends it: so a stolen statement key does not take an agency over, and one that lost all of them is helped by another.

use std::sync::Arc;

use chain::identity::{ChainId, KeyId, OrganisationId};
use chain::jws::KeyReference;
use chain::possession::{Change, Offer};
use chain::validators::ValidatorSet;

use super::organisations::{Membership, accepted, is_agency};
use super::{Decision, Executor, permit, refuse};
use crate::event::{Addition, ROTATED_PURPOSES, Rotate, terms};
use crate::organisation::{ADDITIONS_A_DAY_MAX, Custody, KEYS_MAX, Key, Organisation, Purpose, RetiredKey, Role};
use crate::outcome::Record;
use crate::record::AdditionsRecord;
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read, require};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

impl Executor<'_> {
    pub(super) fn decide_rotate(&self, actor: &Organisation, chain: &ChainId, rotate: &Rotate) -> Decision {
        // Before anything is looked up: an agency may bring what another has approved.
        if ![&rotate.organisation, &self.parameters.tax_bureau].contains(&&actor.id) && !actor.is(Role::Agency) {
            return refuse(not_permitted(actor, rotate));
        }
        let mut organisation = Arc::unwrap_or_clone(permit!(self.as_changed(&rotate.organisation)?));
        permit!(self.may_rotate(actor, chain, rotate, &organisation)?);
        let until_height = self.next_height();
        let mut retired = Vec::with_capacity(rotate.revoke.len());
        for id in &rotate.revoke {
            let key = permit!(self.taken_out(&mut organisation, &retired, id)?);
            retired.push(RetiredKey { key, until_height });
        }
        let count = |count: usize| u32::try_from(count).expect("an event has at most 16 keys to add, and to revoke");
        let (added, revoked) = (count(rotate.add.len()), count(rotate.revoke.len()));
        let additions = permit!(self.additions(actor, &organisation, added)?);
        if organisation.keys.iter().filter(|key| key.active).count() + rotate.add.len() > KEYS_MAX {
            let found = organisation.keys.len() + rotate.add.len();
            let expected = format!("at most {KEYS_MAX} active keys");
            return refuse(Refusal::new(Reason::KeysSpent, expected, found.to_string()));
        }
        let mut publics = Vec::with_capacity(rotate.add.len());
        for addition in &rotate.add {
            let key = permit!(self.added(&organisation, &retired, chain, addition)?);
            publics.push(key.public);
            organisation.keys.push(key);
        }
        if organisation.is(Role::Agency) && !organisation.signs_statements() {
            let found = organisation.id.to_string();
            return refuse(Refusal::new(Reason::LastStatementKey, "an active statement key of the agency", found));
        }
        let record = Record::Rotated { added, revoked, from_height: until_height };
        let changed = Some(organisation);
        accepted(record, Membership { changed, retired, publics, additions, ..Membership::default() })
    }

    /// Who may change these keys: of a seat whoever brings the governance key's signature, of others they themselves and
    /// the tax bureau.
    fn may_rotate(
        &self,
        actor: &Organisation,
        chain: &ChainId,
        rotate: &Rotate,
        organisation: &Organisation,
    ) -> Result<Result<(), Refusal>, Fault> {
        let itself = actor.id == organisation.id;
        if self.has_seat(&organisation.id)? {
            let peer = rotate.add.iter().find(|addition| addition.purposes.contains(&Purpose::Peer));
            return match peer {
                Some(addition) => Ok(Err(purpose_refused(organisation, &addition.id))),
                None => approved(chain, rotate, organisation),
            };
        }
        let is_bureau = self.parameters.tax_bureau == actor.id;
        let observes = organisation.is(Role::Auditor) && (is_bureau || organisation.keys.iter().any(is_peer));
        if let Some(peer) = rotate.add.iter().find(|addition| addition.purposes.contains(&Purpose::Peer))
            && !observes
        {
            // A node is sent every block: who has none gets none by itself.
            return Ok(Err(purpose_refused(organisation, &peer.id)));
        }
        Ok(match (itself, organisation.is(Role::Agency)) {
            (true, _) => Ok(()),
            // With its keys the bureau could speak for another agency.
            (false, true) => Err(is_agency(&organisation.id)),
            (false, false) if is_bureau => Ok(()),
            (false, false) => Err(not_permitted(actor, rotate)),
        })
    }

    /// Whether an organisation runs a validator in the block after the parent's.
    fn has_seat(&self, id: &OrganisationId) -> Result<bool, Fault> {
        let validators: ValidatorSet = require(&self.state.below(), &StateKey::validators())?;
        Ok(validators.validators().iter().any(|validator| validator.organisation == *id))
    }

    /// Counts what an organisation adds itself. The tax bureau adds as much as it must.
    fn additions(
        &self,
        actor: &Organisation,
        organisation: &Organisation,
        added: u32,
    ) -> Result<Result<Option<AdditionsRecord>, Refusal>, Fault> {
        if added == 0 || self.parameters.tax_bureau == actor.id {
            return Ok(Ok(None));
        }
        let day = self.context.time_ms.div_euclid(DAY_MS);
        let before = read::<AdditionsRecord>(&self.state, &StateKey::additions(&organisation.id))?
            .filter(|record| record.day == day)
            .map_or(0, |record| record.added);
        let added = before.saturating_add(added);
        if added > ADDITIONS_A_DAY_MAX {
            let expected = format!("at most {ADDITIONS_A_DAY_MAX} keys added in a day");
            return Ok(Err(Refusal::new(Reason::KeyAdditionsSpent, expected, added.to_string())));
        }
        Ok(Ok(Some(AdditionsRecord { day, added })))
    }

    /// The key of an addition. What costs most comes last.
    fn added(
        &self,
        organisation: &Organisation,
        retired: &[RetiredKey],
        chain: &ChainId,
        addition: &Addition,
    ) -> Result<Result<Key, Refusal>, Fault> {
        let Addition { id, public, purposes, custody, proof } = addition;
        let name = format!("{}/{id}", organisation.id);
        let refused = |reason, expected: &str, found: &str| Ok(Err(Refusal::new(reason, expected, found)));
        let known = || organisation.keys.iter().chain(retired.iter().map(|retired| &retired.key));
        if known().any(|key| key.id == *id) || self.state.has(&StateKey::retired_key(&organisation.id, id))? {
            return refused(Reason::KeyIdUsed, "an id never used", &name);
        }
        if known().any(|key| public.is(&key.public)) || self.state.has(&StateKey::public_key(public.as_bytes()))? {
            return refused(Reason::KeyUsed, "a key of nobody", &name);
        }
        if let Custody::HostedBy(agency) = custody
            && !self.organisation(agency)?.is_some_and(|agency| agency.is(Role::Agency))
        {
            return refused(Reason::CustodianUnknown, "an agency on the ledger", agency.as_str());
        }
        let Ok(admitted) = public.admit() else {
            return refused(Reason::KeyProofInvalid, "a key that a ledger admits", &name);
        };
        let key = KeyReference { organisation: organisation.id.clone(), key: id.clone() };
        let terms = terms(purposes, custody);
        if (Offer { chain, key: &key, terms: &terms }).verify(&admitted, proof).is_err() {
            return refused(Reason::KeyProofInvalid, "a proof of possession by the key itself", &name);
        }
        let (id, purposes, custody) = (id.clone(), purposes.clone(), custody.clone());
        let from_height = self.next_height();
        Ok(Ok(Key { id, public: admitted.into(), purposes, custody, active: true, from_height }))
    }

    /// Takes a key out of its organisation: revoked.
    fn taken_out(
        &self,
        organisation: &mut Organisation,
        retired: &[RetiredKey],
        id: &KeyId,
    ) -> Result<Result<Key, Refusal>, Fault> {
        let name = format!("{}/{id}", organisation.id);
        let Some(place) = organisation.keys.iter().position(|key| key.id == *id && key.active) else {
            let was = organisation.key(id).is_some()
                || retired.iter().any(|retired| retired.key.id == *id)
                || self.state.has(&StateKey::retired_key(&organisation.id, id))?;
            return Ok(Err(if was {
                Refusal::new(Reason::KeyRevoked, "an active key", name)
            } else {
                Refusal::new(Reason::KeyUnknown, "a key of the organisation", name)
            }));
        };
        let rotated = |purpose: &Purpose| ROTATED_PURPOSES.contains(purpose);
        let key = &organisation.keys[place];
        if !key.purposes.iter().all(rotated) || (is_peer(key) && self.has_seat(&organisation.id)?) {
            return Ok(Err(purpose_refused(organisation, id)));
        }
        let key = organisation.keys.remove(place);
        Ok(Ok(Key { active: false, ..key }))
    }
}

fn not_permitted(actor: &Organisation, rotate: &Rotate) -> Refusal {
    let expected = format!("{} itself, or the tax bureau", rotate.organisation);
    Refusal::new(Reason::KeyNotPermitted, expected, actor.id.to_string())
}

fn is_peer(key: &Key) -> bool {
    key.active && key.purposes.contains(&Purpose::Peer)
}

fn purpose_refused(organisation: &Organisation, id: &KeyId) -> Refusal {
    let expected = "a key for statements, logins, or the peers of an auditor's node";
    Refusal::new(Reason::KeyPurpose, expected, format!("{}/{id}", organisation.id))
}

/// Refuses a change that no governance key of the agency has signed.
fn approved(chain: &ChainId, rotate: &Rotate, organisation: &Organisation) -> Result<Result<(), Refusal>, Fault> {
    let steps = rotate.steps();
    let change = Change { chain, organisation: &organisation.id, steps: &steps };
    let found = match &rotate.approval {
        None => "no signature",
        Some(approval) => {
            let governs = |key: &&Key| key.active && key.purposes.contains(&Purpose::Governance);
            for key in organisation.keys.iter().filter(governs) {
                let public = key.public.point().map_err(|error| Fault::Read(error.into()))?;
                if change.verify(&public, approval).is_ok() {
                    return Ok(Ok(()));
                }
            }
            "a signature that does not verify"
        }
    };
    let expected = format!("a signature of {}'s governance key over this change", organisation.id);
    Ok(Err(Refusal::new(Reason::KeyNotApproved, expected, found)))
}
