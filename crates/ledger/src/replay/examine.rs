//! What can be found out about a statement ahead of its turn, many at once.
//!
//! Reading a statement depends on its bytes alone. Its signature depends on a key, and its documents
//! on parameters and a day: those of genesis are taken here, and what was found holds when the state
//! still says the same at its turn (`Verified` names what it holds for). Otherwise it is done again: so it is for
//! evidence signed with a receipt key, of which there is little.

use std::collections::BTreeMap;

use chain::hash::Hash;
use chain::identity::{KeyId, OrganisationId};
use chain::key::PreparedKeys;
use chain::statement::Statement;
use invoice::date::Date;

use crate::admission::{Parsed, Rejection, Verified};
use crate::genesis::LedgerGenesis;
use crate::organisation::{AdmittedKey, Purpose};
use crate::parameters::Parameters;
use crate::state::{Fault, StateKey, Writes, decode};

/// What genesis says about who signs with what, and about documents.
pub(super) struct Examiner {
    keys: BTreeMap<OrganisationId, BTreeMap<KeyId, AdmittedKey>>,
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
            prepared: PreparedKeys::default(),
            parameters: decode(&key, stored)?,
            parameters_hash: Hash::of(stored),
        })
    }

    /// Examines a statement of a block of this time.
    pub(super) fn examine(&self, statement: &Statement, time_ms: i64) -> Examined {
        let parsed = Parsed::of(statement.clone());
        let verified = parsed.as_ref().ok().and_then(|parsed| self.verify(parsed, time_ms));
        Examined { parsed, verified }
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
