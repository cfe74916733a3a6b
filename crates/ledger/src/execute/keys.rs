//! Keys of organisations: how they come and go.
//!
//! A revoked key stays on the ledger for ever: what it signed before verifies at its height, and its id is never given
//! again. A statement that was signed with it and comes into a later block makes that block invalid (`admission`): the door
//! rejects it. Whoever wins a race against a thief with a revocation has won from the next block on.

use chain::identity::ChainId;
use chain::jws::KeyReference;
use chain::possession::Offer;

use super::organisations::{Membership, accepted, is_agency};
use super::{Decision, Executor, permit, refuse};
use crate::event::{Addition, ROTATED_PURPOSES, Rotate, terms};
use crate::organisation::{Custody, KEYS_MAX, Key, Organisation, Purpose, Role};
use crate::outcome::Record;
use crate::refusal::{Reason, Refusal};
use crate::state::Fault;

impl Executor<'_> {
    pub(super) fn decide_rotate(&self, actor: &Organisation, chain: &ChainId, rotate: &Rotate) -> Decision {
        let itself = actor.id == rotate.organisation;
        if !itself && self.parameters.tax_bureau != actor.id {
            let expected = format!("{} itself, or the tax bureau", rotate.organisation);
            return refuse(Refusal::new(Reason::KeyNotPermitted, expected, actor.id.to_string()));
        }
        let mut organisation = permit!(self.as_changed(&rotate.organisation)?);
        if !itself && organisation.is(Role::Agency) {
            // With its keys the bureau could speak for another agency.
            return refuse(is_agency(&organisation.id));
        }
        for id in &rotate.revoke {
            permit!(revoke(&mut organisation, id));
        }
        for addition in &rotate.add {
            let key = permit!(self.added(&organisation, chain, addition)?);
            organisation.keys.push(key);
        }
        if organisation.keys.len() > KEYS_MAX {
            let (expected, found) = (format!("at most {KEYS_MAX} keys"), organisation.keys.len().to_string());
            return refuse(Refusal::new(Reason::KeysSpent, expected, found));
        }
        if organisation.is(Role::Agency) && !organisation.signs_statements() {
            let found = organisation.id.to_string();
            return refuse(Refusal::new(Reason::LastStatementKey, "an active statement key of the agency", found));
        }
        let count = |count: usize| u32::try_from(count).expect("an event has at most 16 keys to add, and to revoke");
        let (added, revoked) = (count(rotate.add.len()), count(rotate.revoke.len()));
        let record = Record::Rotated { added, revoked, from_height: self.next_height() };
        accepted(record, Membership { changed: Some(organisation), ..Membership::default() })
    }

    /// The key of an addition. What costs most comes last.
    fn added(
        &self,
        organisation: &Organisation,
        chain: &ChainId,
        addition: &Addition,
    ) -> Result<Result<Key, Refusal>, Fault> {
        let Addition { id, public, purposes, custody, proof } = addition;
        let name = format!("{}/{id}", organisation.id);
        let refused = |reason, expected: &str, found: String| Ok(Err(Refusal::new(reason, expected, found)));
        if let Some(known) = organisation.keys.iter().find(|key| key.id == *id || public.is(&key.public)) {
            let found = format!("{name}, where {} stands", known.id);
            return refused(Reason::KeyIdUsed, "a key and an id never used", found);
        }
        if purposes.contains(&Purpose::Receipt) && !organisation.is(Role::Agency) {
            return refused(Reason::KeyPurpose, "a receipt key of an agency", name);
        }
        if let Custody::HostedBy(agency) = custody
            && !self.organisation(agency)?.is_some_and(|agency| agency.is(Role::Agency))
        {
            return refused(Reason::CustodianUnknown, "an agency on the ledger", agency.to_string());
        }
        let expected = "a proof of possession by the key itself";
        let admitted = match public.admit() {
            Ok(admitted) => admitted,
            Err(error) => return refused(Reason::KeyProofInvalid, expected, format!("{name}: {error}")),
        };
        let key = KeyReference { organisation: organisation.id.clone(), key: id.clone() };
        let terms = terms(purposes, custody);
        if let Err(error) = (Offer { chain, key: &key, terms: &terms }).verify(&admitted, proof) {
            return refused(Reason::KeyProofInvalid, expected, format!("{name}: {error}"));
        }
        let (id, purposes, custody) = (id.clone(), purposes.clone(), custody.clone());
        Ok(Ok(Key { id, public: admitted.into(), purposes, custody, active: true }))
    }
}

/// Revokes a key. It stays where it is.
fn revoke(organisation: &mut Organisation, id: &chain::identity::KeyId) -> Result<(), Refusal> {
    let name = format!("{}/{id}", organisation.id);
    let Some(key) = organisation.keys.iter_mut().find(|key| key.id == *id) else {
        return Err(Refusal::new(Reason::KeyUnknown, "a key of the organisation", name));
    };
    if !key.active {
        return Err(Refusal::new(Reason::KeyRevoked, "an active key", name));
    }
    if !key.purposes.iter().all(|purpose| ROTATED_PURPOSES.contains(purpose)) {
        return Err(Refusal::new(Reason::KeyPurpose, "a key for statements, logins or receipts", name));
    }
    key.active = false;
    Ok(())
}
