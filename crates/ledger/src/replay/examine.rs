//! What can be found out about a statement ahead of its turn, many at once.
//!
//! Reading a statement depends on its bytes alone. Its signature depends on a key, and its documents
//! on parameters and a day: those of genesis are taken here, with the keys that the statements before
//! would bring if they were accepted, and what was found holds when the state says the same at its turn
//! (`Verified` names what it holds for). Otherwise it is done again: so it is for evidence signed with a
//! receipt key, of which there is little, and for what a key signs soon after it came.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use chain::hash::Hash;
use chain::identity::{KeyId, OrganisationId};
use chain::key::PreparedKeys;
use chain::statement::Statement;
use invoice::date::Date;

use crate::admission::{Parsed, Rejection, Verified};
use crate::event::Event;
use crate::genesis::LedgerGenesis;
use crate::introduction::Introduction;
use crate::organisation::{AdmittedKey, OfferedKey, Purpose};
use crate::parameters::Parameters;
use crate::state::{Fault, StateKey, Writes, decode};

/// Keys that are learnt from statements at most: some 20 MB. What others sign is verified at its turn.
const LEARNT_MAX: usize = 100_000;

/// A key that an organisation has, or would have if what brings it is accepted.
type Bringing = (OrganisationId, KeyId, AdmittedKey);

/// What genesis says about who signs with what, and about documents.
pub(super) struct Examiner {
    keys: BTreeMap<OrganisationId, BTreeMap<KeyId, AdmittedKey>>,
    learnt: usize,
    prepared: PreparedKeys,
    parameters: Parameters,
    parameters_hash: Hash,
}

/// A statement whose turn may come.
pub(super) struct Examined {
    /// Its events, or why it has none.
    pub(super) parsed: Result<Parsed, Rejection>,
    /// What was found in order. Nothing when something was not: judging says what.
    pub(super) verified: Option<Verified>,
    /// The statement keys in it that organisations are to have.
    pub(super) brings: Vec<Bringing>,
}

impl Examiner {
    /// Takes what genesis says; `state` is what it becomes.
    pub(super) fn new(ledger: &LedgerGenesis, state: &Writes) -> Result<Self, Fault> {
        let key = StateKey::parameters();
        let stored = state.get(&key).ok_or_else(|| Fault::Missing { key: key.to_string() })?;
        let mut keys: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for organisation in &ledger.organisations {
            for key in organisation.keys.iter().filter(|key| key.purposes.contains(&Purpose::Statement)) {
                keys.entry(organisation.id.clone()).or_default().insert(key.id.clone(), key.public);
            }
        }
        Ok(Self {
            keys,
            learnt: 0,
            prepared: PreparedKeys::default(),
            parameters: decode(&key, stored)?,
            parameters_hash: Hash::of(stored),
        })
    }

    /// Examines a statement of a block of this time.
    pub(super) fn examine(&self, statement: &Statement, time_ms: i64) -> Examined {
        let parsed = Parsed::of(statement.clone());
        let verified = parsed.as_ref().ok().and_then(|parsed| self.verify(parsed, time_ms));
        let by = &statement.header().organisation;
        let bureau = *by == self.parameters.tax_bureau;
        let mut brings: Vec<Bringing> = parsed.iter().flat_map(Parsed::events).flat_map(bringing).collect();
        // Nobody else's event that brings a key is accepted, but for an agency's with an approval, of which there are few.
        brings.retain(|(organisation, ..)| bureau || organisation == by);
        Examined { parsed, verified, brings }
    }

    /// Learns keys for the statements to come. Whether a key is the organisation's, the state says at their turn.
    pub(super) fn learn(&mut self, brings: Vec<Bringing>) {
        for (organisation, id, key) in brings {
            if self.learnt < LEARNT_MAX {
                // What came first stays: what an organisation says of its own key again is refused.
                if let Entry::Vacant(place) = self.keys.entry(organisation).or_default().entry(id) {
                    place.insert(key);
                    self.learnt += 1;
                }
            }
        }
    }

    fn verify(&self, parsed: &Parsed, time_ms: i64) -> Option<Verified> {
        let statement = parsed.statement();
        let key = self.keys.get(&statement.header().organisation)?.get(&statement.header().key)?;
        let date = Date::from_unix_ms(time_ms).ok()?;
        let sound = statement.verify_prepared(&*self.prepared.get(key.as_bytes()).ok()?).is_ok()
            && parsed.violations(&self.parameters, date).is_empty();
        sound.then(|| Verified { statement: statement.id(), key: *key, date, parameters: self.parameters_hash })
    }
}

/// The statement keys that an event brings, admitted but not proved.
fn bringing(event: &Event) -> Vec<Bringing> {
    let signs = |purposes: &BTreeSet<Purpose>| purposes.contains(&Purpose::Statement);
    match event {
        Event::Admit(admit) => {
            let introduction = chain::json::from_slice::<Introduction>(admit.introduction().payload());
            let Ok(Introduction { organisation, .. }) = introduction else { return Vec::new() };
            let keys = organisation.keys.into_iter().filter(|key| signs(&key.purposes));
            keys.map(|key| (organisation.id.clone(), key.id, key.public)).collect()
        }
        Event::Rotate(rotate) => {
            let added = rotate.add.iter().filter(|addition| signs(&addition.purposes));
            let key = |public: OfferedKey| public.admit().ok().map(AdmittedKey::from);
            added
                .filter_map(|addition| Some((rotate.organisation.clone(), addition.id.clone(), key(addition.public)?)))
                .collect()
        }
        Event::Issue(_)
        | Event::Transfer(_)
        | Event::Lock(_)
        | Event::Renew(_)
        | Event::Unlock(_)
        | Event::Close(_)
        | Event::Void(_)
        | Event::File(_)
        | Event::Evidence(_)
        | Event::Register(_)
        | Event::Suspend(_)
        | Event::Reinstate(_)
        | Event::Roles(_)
        | Event::Rename(_)
        | Event::Mandate(_)
        | Event::Revoke(_)
        | Event::Attest(_)
        | Event::QuotaGrant(_)
        | Event::QuotaAdjust(_)
        | Event::QuotaPause(_)
        | Event::QuotaResume(_)
        | Event::Override(_)
        | Event::Book(_)
        | Event::BookAdjust(_)
        | Event::BookRevoke(_)
        | Event::Use(_)
        | Event::UseRevoke(_)
        | Event::Manifest(_)
        | Event::Correct(_)
        | Event::Amend(_)
        | Event::PayRequest(_)
        | Event::PayResult(_)
        | Event::SegmentGrant(_)
        | Event::SegmentClose(_)
        | Event::OfflineIssue(_)
        | Event::RedRequest(_)
        | Event::RedConfirm(_)
        | Event::RedDeny(_)
        | Event::RedWithdraw(_)
        | Event::IssueRed(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use chain::statement::Mode;

    use super::*;
    use crate::fixture::*;

    #[test]
    fn keys_are_learnt_from_whom_they_belong_to_and_from_the_tax_bureau_and_the_first_stays() {
        let (mut ledger, genesis) = (Ledger::new(), genesis());
        let mut examiner = Examiner::new(&LedgerGenesis::read(&genesis).unwrap(), &ledger.state).unwrap();
        let chain = ledger.chain.clone();
        let brought = |examiner: &Examiner, ledger: &mut Ledger, actor: &str, event: &str| {
            let statement = ledger.statement(actor, Mode::Each, &[event.to_owned()]);
            let statement = Statement::parse(statement, &chain::statement::Limits::default()).unwrap();
            examiner.examine(&statement, NOON).brings
        };
        let rotate = rotate(&chain, SELLER, &["s2"], &[]);
        assert_eq!(brought(&examiner, &mut ledger, BUYER, &rotate), [], "it will be refused");
        let admit = admit("mall", FREE_TAXPAYER);
        assert_eq!(brought(&examiner, &mut ledger, SELLER, &admit), []);
        assert_eq!(brought(&examiner, &mut ledger, BUREAU, &admit).len(), 1);
        let own = brought(&examiner, &mut ledger, SELLER, &rotate);
        assert_eq!(own, brought(&examiner, &mut ledger, BUREAU, &rotate));
        let (organisation, id, key) = own[0].clone();
        examiner.learn(own);
        let other = AdmittedKey::from(secret(BUYER, "other").public());
        examiner.learn(vec![(organisation.clone(), id.clone(), other)]);
        assert_eq!((examiner.keys[&organisation][&id], examiner.learnt), (key, 1));
    }
}
