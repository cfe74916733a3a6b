//! The ledger's part of genesis: parameters, organisations, keys and mandates, all three of them
//! resting on the countersignatures of the agencies.

use std::collections::{BTreeMap, BTreeSet};

use chain::genesis::{Genesis, GenesisValidator};
use chain::identity::OrganisationId;
use invoice::date::Date;
use serde::{Deserialize, Serialize};

use crate::organisation::{
    AdmittedKey, Custody, GivenRecord, KEYS_MAX, MANDATE_ROLES, MANDATES_MAX, Mandate, Organisation, Purpose, Role,
};
use crate::parameters::{NAME_CHARS_MAX, Parameters};
use crate::record::TaxpayerRecord;
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
    /// A parameter outside the range that fixed limits leave it.
    #[error("the parameter {name} must be {expected}, found {found}")]
    Parameter {
        /// Its path.
        name: &'static str,
        /// The range.
        expected: String,
        /// What stands there.
        found: String,
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
        read.check(&genesis.body().validators)?;
        let time_ms = genesis.time_ms();
        if Date::from_unix_ms(time_ms).is_err() {
            let expected = "a time in the calendar".to_owned();
            return Err(GenesisError::Parameter { name: "time_ms", expected, found: time_ms.to_string() });
        }
        Ok(read)
    }

    /// Holds the parts against each other, and against the validators of the chain's part.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, validators: &[GenesisValidator]) -> Result<(), GenesisError> {
        self.parameters.check()?;
        let organisations = self.by_id()?;
        let must_be = |id: &OrganisationId, role: Role, expected: &'static str, whose: &str| match organisations.get(id)
        {
            Some(organisation) if organisation.is(role) => Ok(()),
            Some(_) | None => {
                Err(GenesisError::NotThere { whose: whose.to_owned(), organisation: id.clone(), expected })
            }
        };
        must_be(&self.parameters.tax_bureau, Role::Agency, "an agency", "the tax bureau's parameter")?;
        for validator in validators {
            must_be(&validator.organisation, Role::Agency, "an agency", "a validator")?;
        }
        let seats: BTreeMap<AdmittedKey, (&OrganisationId, Purpose)> = validators.iter().flat_map(seat).collect();
        let mut publics: BTreeMap<AdmittedKey, String> = BTreeMap::new();
        for organisation in &self.organisations {
            let mut keys = BTreeSet::new();
            let active = organisation.keys.iter().filter(|key| key.active).count();
            few("organisations.keys", &organisation.id, active, KEYS_MAX)?;
            for key in &organisation.keys {
                let name = format!("{}/{}", organisation.id, key.id);
                once("key", &mut keys, name.clone())?;
                // A key in two places would let one organisation sign as another.
                if let Some(first) = publics.insert(key.public, name.clone()) {
                    let value = format!("{} ({first}, {name})", key.public);
                    return Err(GenesisError::Twice { what: "public key", value });
                }
                if let Some(seat) = seats.get(&key.public)
                    && (*seat != (&organisation.id, seat.1) || key.purposes != BTreeSet::from([seat.1]))
                {
                    // Or vote in its place.
                    let value = format!("{} ({name}, and {} as a validator)", key.public, seat.0);
                    return Err(GenesisError::Twice { what: "a validator's key", value });
                }
                if let Custody::HostedBy(agency) = &key.custody {
                    must_be(agency, Role::Agency, "an agency", &name)?;
                }
            }
        }
        let (mut mandates, mut given) = (BTreeSet::new(), BTreeMap::<_, usize>::new());
        for mandate in &self.mandates {
            let name = format!("{} to {}", mandate.from, mandate.to);
            once("mandate", &mut mandates, name.clone())?;
            must_be(&mandate.from, Role::Enterprise, "an enterprise", &name)?;
            let to = organisations.get(&mandate.to);
            if !to.is_some_and(|to| MANDATE_ROLES.iter().any(|role| to.is(*role))) {
                let (organisation, expected) = (mandate.to.clone(), "a service provider or a reimbursement platform");
                return Err(GenesisError::NotThere { whose: name, organisation, expected });
            }
            let count = given.entry(&mandate.from).or_default();
            *count += 1;
            few("mandates", &mandate.from, *count, MANDATES_MAX)?;
        }
        Ok(())
    }

    /// The organisations by id, each id, taxpayer id and name as it must be.
    fn by_id(&self) -> Result<BTreeMap<&OrganisationId, &Organisation>, GenesisError> {
        let mut taxpayers = BTreeSet::new();
        let mut by_id = BTreeMap::new();
        for organisation in &self.organisations {
            if by_id.insert(&organisation.id, organisation).is_some() {
                return Err(GenesisError::Twice { what: "organisation", value: organisation.id.to_string() });
            }
            once("taxpayer id", &mut taxpayers, organisation.taxpayer_id.to_string())?;
            let length = organisation.name.chars().count();
            if length == 0 || length > NAME_CHARS_MAX {
                return Err(GenesisError::Parameter {
                    name: "organisations.name",
                    expected: format!("1 to {NAME_CHARS_MAX} characters"),
                    found: format!("{length}, for {}", organisation.id),
                });
            }
        }
        Ok(by_id)
    }

    /// The state at height 0. Every record's creator is the genesis hash.
    pub fn state(&self, genesis: &Genesis) -> Writes {
        let (creator, since_ms) = (genesis.hash(), genesis.time_ms());
        let mut writes = Writes::new();
        writes.insert(StateKey::parameters(), encode(&creator, &self.parameters));
        writes.insert(StateKey::validators(), encode(&creator, &genesis.validator_set()));
        for organisation in &self.organisations {
            writes.insert(StateKey::organisation(&organisation.id), encode(&creator, organisation));
            let taxpayer = TaxpayerRecord { organisation: Some(organisation.id.clone()), since_ms };
            writes.insert(StateKey::taxpayer(&organisation.taxpayer_id), encode(&creator, &taxpayer));
            for key in &organisation.keys {
                writes.insert(StateKey::public_key(key.public.as_bytes()), encode(&creator, &organisation.id));
            }
        }
        // A seat's keys are keys of its organisation, or of nobody.
        for (public, (organisation, _)) in genesis.body().validators.iter().flat_map(seat) {
            writes.insert(StateKey::public_key(public.as_bytes()), encode(&creator, organisation));
        }
        let mut given: BTreeMap<&OrganisationId, GivenRecord> = BTreeMap::new();
        for mandate in &self.mandates {
            writes.insert(StateKey::mandate(&mandate.from, &mandate.to), encode(&creator, mandate));
            given.entry(&mandate.from).or_default().put(mandate, since_ms);
        }
        for (from, given) in given {
            writes.insert(StateKey::given(from), encode(&creator, &given));
        }
        writes
    }
}

/// The keys of a validator, with whose they are and what for.
fn seat(validator: &GenesisValidator) -> [(AdmittedKey, (&OrganisationId, Purpose)); 3] {
    let of = &validator.organisation;
    [
        (validator.consensus.into(), (of, Purpose::Consensus)),
        (validator.governance.into(), (of, Purpose::Governance)),
        (validator.receipt.into(), (of, Purpose::Receipt)),
    ]
}

fn few(name: &'static str, of: &OrganisationId, count: usize, most: usize) -> Result<(), GenesisError> {
    if count <= most {
        return Ok(());
    }
    let (expected, found) = (format!("at most {most} of one organisation"), format!("{count}, of {of}"));
    Err(GenesisError::Parameter { name, expected, found })
}

fn once(what: &'static str, seen: &mut BTreeSet<String>, value: String) -> Result<(), GenesisError> {
    if seen.insert(value.clone()) { Ok(()) } else { Err(GenesisError::Twice { what, value }) }
}
