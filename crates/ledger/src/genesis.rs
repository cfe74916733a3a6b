//! The ledger's part of genesis: parameters, organisations, keys and mandates, all three of them
//! resting on the countersignatures of the agencies.

use std::collections::BTreeSet;

use chain::genesis::Genesis;
use chain::identity::OrganisationId;
use serde::{Deserialize, Serialize};

use crate::organisation::{Mandate, Organisation, Purpose, Role};
use crate::parameters::Parameters;
use crate::state::{StateKey, Writes, encode};

/// What genesis says to the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerGenesis {
    /// The parameters.
    pub parameters: Parameters,
    /// The first organisations.
    pub organisations: Vec<Organisation>,
    /// The mandates between them.
    #[serde(default)]
    pub mandates: Vec<Mandate>,
}

/// A genesis the ledger cannot start from.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GenesisError {
    /// The ledger's part is not what it must be.
    #[error("the ledger's part of genesis is malformed at {path}: expected {expected}, found {found}")]
    Malformed {
        /// JSON pointer.
        path: String,
        /// What was expected.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Two entries that must differ do not.
    #[error("{what} {value} stands twice in genesis")]
    Twice {
        /// What kind of thing.
        what: &'static str,
        /// Which.
        value: String,
    },
    /// An entry names an organisation that is not there, or not of that kind.
    #[error("{whose} names {organisation}, which is not {expected} in genesis")]
    NotThere {
        /// Whose entry.
        whose: String,
        /// The organisation named.
        organisation: OrganisationId,
        /// What it should be.
        expected: &'static str,
    },
}

impl LedgerGenesis {
    /// Reads the ledger's part of a genesis and holds it against the chain's part.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(genesis: &Genesis) -> Result<Self, GenesisError> {
        let read: Self =
            chain::json::from_slice(genesis.ledger_json().as_bytes()).map_err(|error| GenesisError::Malformed {
                path: format!("/ledger{}", error.path),
                expected: "the ledger's part of genesis".to_owned(),
                found: error.kind.to_string(),
            })?;
        read.check()?;
        for validator in &genesis.body().validators {
            read.must_be(&validator.organisation, Role::Agency, "an agency", "a validator")?;
        }
        Ok(read)
    }

    /// Holds the parts against each other.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), GenesisError> {
        let mut ids = BTreeSet::new();
        let mut taxpayers = BTreeSet::new();
        let mut publics = BTreeSet::new();
        for organisation in &self.organisations {
            once("organisation", &mut ids, organisation.id.to_string())?;
            once("taxpayer id", &mut taxpayers, organisation.taxpayer_id.to_string())?;
            let mut keys = BTreeSet::new();
            for key in &organisation.keys {
                once("key", &mut keys, format!("{}/{}", organisation.id, key.id))?;
                // A key in two places would let one organisation sign as another.
                once("public key", &mut publics, key.public.to_string())?;
            }
        }
        let bureau = &self.parameters.tax_bureau;
        self.must_be(bureau, Role::Agency, "an agency", "the tax bureau's parameter")?;
        let mut mandates = BTreeSet::new();
        for mandate in &self.mandates {
            let name = format!("{} to {}", mandate.from, mandate.to);
            once("mandate", &mut mandates, name.clone())?;
            self.must_be(&mandate.from, Role::Enterprise, "an enterprise", &name)?;
            if self.find(&mandate.to).is_none() {
                let organisation = mandate.to.clone();
                return Err(GenesisError::NotThere {
                    whose: name,
                    organisation,
                    expected: "an organisation",
                });
            }
        }
        Ok(())
    }

    fn find(&self, id: &OrganisationId) -> Option<&Organisation> {
        self.organisations.iter().find(|organisation| organisation.id == *id)
    }

    fn must_be(
        &self,
        id: &OrganisationId,
        role: Role,
        expected: &'static str,
        whose: &str,
    ) -> Result<(), GenesisError> {
        match self.find(id) {
            Some(organisation) if organisation.is(role) => Ok(()),
            Some(_) | None => Err(GenesisError::NotThere {
                whose: whose.to_owned(),
                organisation: id.clone(),
                expected,
            }),
        }
    }

    /// The state at height 0. Every record's creator is the genesis hash.
    pub fn state(&self, genesis: &Genesis) -> Writes {
        let creator = genesis.hash();
        let mut writes = Writes::new();
        writes.insert(StateKey::parameters(), encode(&creator, &self.parameters));
        writes.insert(StateKey::validators(), encode(&creator, &genesis.validator_set()));
        for organisation in &self.organisations {
            writes.insert(StateKey::organisation(&organisation.id), encode(&creator, organisation));
            writes.insert(
                StateKey::taxpayer(&organisation.taxpayer_id),
                encode(&creator, &organisation.id),
            );
        }
        for mandate in &self.mandates {
            writes.insert(StateKey::mandate(&mandate.from, &mandate.to), encode(&creator, mandate));
        }
        writes
    }

    /// The receipt keys of the organisations, by organisation.
    pub fn keys(&self, purpose: Purpose) -> impl Iterator<Item = (&Organisation, &crate::organisation::Key)> {
        self.organisations.iter().flat_map(move |organisation| {
            organisation
                .keys
                .iter()
                .filter(move |key| key.purposes.contains(&purpose))
                .map(move |key| (organisation, key))
        })
    }
}

fn once(what: &'static str, seen: &mut BTreeSet<String>, value: String) -> Result<(), GenesisError> {
    if seen.insert(value.clone()) {
        Ok(())
    } else {
        Err(GenesisError::Twice { what, value })
    }
}
