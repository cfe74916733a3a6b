//! Introductions: what an organisation says of itself before it is on a ledger, and what a genesis then holds of it. The
//! tax bureau admits the same file onto a chain that runs.
//!
//! ```json
//! {"version":1,"suite":1,"time_ms":1767225600000,"power":1,"organisation":{…as in a genesis…}}
//! ```
//!
//! One for a chain that runs names it, `"chain":"<name>@<hash>"`. `power` is there when the organisation is an agency that runs a validator; it then brings one key for each purpose.
//! Any other brings a login and a statement key, and a peer and a receipt key besides when it runs a node without a vote.
//! Every key has signed the file (`chain::introduction`).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chain::genesis::{Genesis, GenesisValidator};
use chain::identity::{ChainId, OrganisationId};
use chain::introduction::{self, SignedIntroduction};
use chain::json::JsonError;
use chain::jws::KeyReference;
use chain::key::{PublicKey, SecretKey};
use chain::suite::Suite;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::genesis::LedgerGenesis;
use crate::organisation::{Custody, Key, Organisation, Purpose, RegisteredName, RegisteredNameError, Role, Standing};

/// The version of the introduction that this program knows.
pub const INTRODUCTION_VERSION: u16 = 1;

/// The purposes for which an agency with a validator brings a key.
pub const AGENCY_PURPOSES: [Purpose; 6] =
    [Purpose::Consensus, Purpose::Governance, Purpose::Login, Purpose::Peer, Purpose::Receipt, Purpose::Statement];

/// The purposes for which every other organisation brings a key.
pub const MEMBER_PURPOSES: [Purpose; 2] = [Purpose::Login, Purpose::Statement];

/// The purposes for which an organisation brings a key that runs a node without a vote.
pub const OBSERVER_PURPOSES: [Purpose; 4] = [Purpose::Login, Purpose::Peer, Purpose::Receipt, Purpose::Statement];

/// What an organisation says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with version, suite, time_ms and organisation")]
pub struct Introduction {
    /// The version of this document, [`INTRODUCTION_VERSION`].
    pub version: u16,
    /// The suite of its keys.
    pub suite: Suite,
    /// When it was made, in ms since 1970-01-01 UTC.
    pub time_ms: i64,
    /// The voting power its validator is to have; none without a validator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<u64>,
    /// The chain that runs, onto which it is to be admitted; none for a genesis, whose chain has no id yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainId>,
    /// The organisation, as genesis is to list it.
    pub organisation: Organisation,
}

/// An introduction that nobody can use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IntroductionError {
    /// The file around it is refused.
    #[error(transparent)]
    File(#[from] introduction::IntroductionError),
    /// What it says cannot be read.
    #[error("the introduction's payload is malformed")]
    Body(#[source] JsonError),
    /// What it says is not what it must be.
    #[error("the introduction is malformed at {path}: expected {expected}, found {found}")]
    Malformed {
        /// JSON pointer.
        path: String,
        /// What was expected.
        expected: String,
        /// What stands there.
        found: String,
    },
}

impl IntroductionError {
    /// What is wrong, in words that stand in outcomes and never change: those of libraries may.
    pub fn what(&self) -> String {
        match self {
            Self::File(_) => "a signature that is missing, not its key's, or of a key not introduced".to_owned(),
            Self::Body(_) => "a text that is no introduction".to_owned(),
            Self::Malformed { path, .. } => format!("an introduction with what none may have at {path}"),
        }
    }
}

/// One thing that a genesis holds otherwise than it was introduced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about.
    pub what: String,
    /// What the introduction says.
    pub introduced: String,
    /// What the genesis says.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: introduced {}, found {}", self.what, self.introduced, self.found)
    }
}

/// What an introduction says at first sight, before any key in it is admitted.
pub struct Glance {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// How many keys it names.
    pub keys: usize,
}

#[derive(Deserialize)]
struct GlanceForm {
    organisation: GlanceOrganisation,
}

#[derive(Deserialize)]
struct GlanceOrganisation {
    id: OrganisationId,
    keys: Vec<IgnoredAny>,
}

impl Glance {
    /// Looks at an introduction. Nothing of it is known to hold.
    ///
    /// # Errors
    /// When its payload is no introduction, whatever else it is.
    pub fn at(signed: &SignedIntroduction) -> Result<Self, JsonError> {
        let GlanceForm { organisation: GlanceOrganisation { id, keys } } = chain::json::from_slice(signed.payload())?;
        Ok(Self { organisation: id, keys: keys.len() })
    }
}

impl Introduction {
    /// Opens an introduction: everything in it checked, and that each of its keys has signed it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn open(signed: &SignedIntroduction) -> Result<Self, IntroductionError> {
        let read: Self = chain::json::from_slice(signed.payload()).map_err(IntroductionError::Body)?;
        read.check()?;
        signed.verify(&read.public_keys())?;
        Ok(read)
    }

    /// Signs an introduction with its keys, which must be all of them.
    ///
    /// # Errors
    /// What is wrong with it, or the key that is missing.
    pub fn sign(&self, keys: &BTreeMap<KeyReference, &SecretKey>) -> Result<SignedIntroduction, IntroductionError> {
        let payload = serde_json::to_vec(self).expect("an introduction has string keys only, and memory takes it");
        let signed = SignedIntroduction::sign(payload, keys);
        // Opened as others will open it.
        Self::open(&signed)?;
        Ok(signed)
    }

    /// The validator that a genesis is to have of it; none without one.
    pub fn validator(&self) -> Option<GenesisValidator> {
        let power = self.power?;
        seat(&self.organisation, power)
    }

    /// Whether it brings what a node without a vote needs: one key of a node asks for the other.
    pub fn observes(&self) -> bool {
        let of_a_node = |key: &Key| key.purposes.contains(&Purpose::Peer) || key.purposes.contains(&Purpose::Receipt);
        self.power.is_none() && self.organisation.keys.iter().any(of_a_node)
    }

    fn check(&self) -> Result<(), IntroductionError> {
        let malformed = |path: &str, expected: String, found: String| {
            Err(IntroductionError::Malformed { path: path.to_owned(), expected, found })
        };
        let organisation = &self.organisation;
        if self.version != INTRODUCTION_VERSION {
            return malformed("/version", INTRODUCTION_VERSION.to_string(), self.version.to_string());
        }
        if self.time_ms < 0 {
            return malformed("/time_ms", "a time after 1970".to_owned(), self.time_ms.to_string());
        }
        if self.power == Some(0) {
            return malformed("/power", "at least 1".to_owned(), "0".to_owned());
        }
        if let Err(RegisteredNameError { expected, found }) = organisation.name.parse::<RegisteredName>() {
            return malformed("/organisation/name", expected, found);
        }
        if let Err(doubts) = organisation.taxpayer_id.check_registered(organisation.taxpayer_kind) {
            let doubt = doubts.first().map_or_else(String::new, |doubt| doubt.expected.clone());
            let found = organisation.taxpayer_id.to_string();
            return malformed("/organisation/taxpayer_id", format!("a unified social credit code ({doubt})"), found);
        }
        if self.power.is_some() && !organisation.is(Role::Agency) {
            let expected = "agency, because it is to have a validator".to_owned();
            return malformed("/organisation/roles", expected, spelled(&organisation.roles));
        }
        if organisation.roles.is_empty() {
            return malformed("/organisation/roles", "a role".to_owned(), "none".to_owned());
        }
        if organisation.standing != Standing::Active {
            return malformed("/organisation/standing", "active".to_owned(), spelled(&organisation.standing));
        }
        self.check_keys()
    }

    /// One key for each purpose, each with that purpose alone and its own name, in the organisation's own hands.
    fn check_keys(&self) -> Result<(), IntroductionError> {
        let mut missing: BTreeSet<Purpose> = match self.power {
            Some(_) => AGENCY_PURPOSES.into(),
            None if self.observes() => OBSERVER_PURPOSES.into(),
            None => MEMBER_PURPOSES.into(),
        };
        let (mut ids, mut publics) = (BTreeSet::new(), BTreeSet::new());
        for (place, key) in self.organisation.keys.iter().enumerate() {
            let malformed = |field: &str, expected: String, found: String| {
                Err(IntroductionError::Malformed {
                    path: format!("/organisation/keys/{place}/{field}"),
                    expected,
                    found,
                })
            };
            let wanted = missing.iter().copied().find(|wanted| key.purposes == BTreeSet::from([*wanted]));
            let Some(purpose) = wanted else {
                let expected = format!("one of {}, each once", spelled(&missing));
                return malformed("purposes", expected, spelled(&key.purposes));
            };
            missing.remove(&purpose);
            if key.custody != Custody::Own {
                return malformed("custody", "own".to_owned(), spelled(&key.custody));
            }
            if !key.active {
                return malformed("active", "true".to_owned(), "false".to_owned());
            }
            if key.from_height != 0 {
                return malformed("from_height", "none".to_owned(), key.from_height.to_string());
            }
            if !ids.insert(&key.id) {
                return malformed("id", "an id of its own".to_owned(), key.id.to_string());
            }
            if !publics.insert(key.public) {
                return malformed("public", "a key of its own".to_owned(), key.public.to_string());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let path = "/organisation/keys".to_owned();
        Err(IntroductionError::Malformed {
            path,
            expected: format!("keys for {}", spelled(&missing)),
            found: "none".to_owned(),
        })
    }

    fn public_keys(&self) -> BTreeMap<KeyReference, PublicKey> {
        let organisation = &self.organisation;
        let point = |key: &Key| {
            let reference = KeyReference { organisation: organisation.id.clone(), key: key.id.clone() };
            // Admitted when it was read.
            (reference, key.public.point().expect("a key that was admitted is a point"))
        };
        organisation.keys.iter().map(point).collect()
    }

    /// What a genesis holds otherwise than this introduction says. Empty: exactly what was introduced.
    pub fn differences(&self, genesis: &Genesis, ledger: &LedgerGenesis) -> Vec<Difference> {
        let mut differences = Differences(Vec::new());
        differences.compare("suite", &self.suite, &genesis.suite());
        let id = &self.organisation.id;
        let found = genesis.body().validator(id);
        match (self.validator(), found) {
            (Some(introduced), Some(found)) => {
                differences.compare("power", &introduced.power, &found.power);
                differences.compare("consensus key", &introduced.consensus, &found.consensus);
                differences.compare("governance key", &introduced.governance, &found.governance);
                differences.compare("receipt key", &introduced.receipt, &found.receipt);
            }
            (introduced, found) => {
                let is = |there: bool| if there { "a validator" } else { "no validator" };
                differences.compare("validator", &is(introduced.is_some()), &is(found.is_some()));
            }
        }
        match ledger.organisations.iter().find(|organisation| organisation.id == *id) {
            Some(found) => differences.organisation(&self.organisation, found),
            None => differences.compare("organisation", &id.as_str(), &"nothing"),
        }
        differences.0
    }
}

/// A validator of an organisation with this power: its consensus, governance and receipt key. None when it does not
/// have exactly one of each.
pub fn seat(organisation: &Organisation, power: u64) -> Option<GenesisValidator> {
    let only = |purpose: Purpose| {
        let mut keys = organisation.keys.iter().filter(|key| key.active && key.purposes.contains(&purpose));
        let key = keys.next().filter(|_| keys.next().is_none())?;
        key.public.point().ok()
    };
    Some(GenesisValidator {
        organisation: organisation.id.clone(),
        power,
        consensus: only(Purpose::Consensus)?,
        governance: only(Purpose::Governance)?,
        receipt: only(Purpose::Receipt)?,
    })
}

struct Differences(Vec<Difference>);

impl Differences {
    fn compare<T: Serialize + PartialEq>(&mut self, what: &str, introduced: &T, found: &T) {
        if introduced != found {
            let (introduced, found) = (spelled(introduced), spelled(found));
            self.0.push(Difference { what: what.to_owned(), introduced, found });
        }
    }

    fn organisation(&mut self, introduced: &Organisation, found: &Organisation) {
        self.compare("name", &introduced.name, &found.name);
        self.compare("taxpayer id", &introduced.taxpayer_id, &found.taxpayer_id);
        self.compare("kind of taxpayer id", &introduced.taxpayer_kind, &found.taxpayer_kind);
        self.compare("roles", &introduced.roles, &found.roles);
        self.compare("standing", &introduced.standing, &found.standing);
        for key in &introduced.keys {
            self.compare(&format!("key {}", key.id), &Some(key), &found.key(&key.id));
        }
        for key in found.keys.iter().filter(|key| introduced.key(&key.id).is_none()) {
            self.compare(&format!("key {}", key.id), &None, &Some(key));
        }
        if self.0.is_empty() && introduced != found {
            // The same keys in another order.
            self.compare("order of keys", &introduced.keys, &found.keys);
        }
    }
}

/// A value as JSON spells it; a text without its quotes.
fn spelled(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Null) => "nothing".to_owned(),
        Ok(value) => value.to_string(),
        // What cannot be spelled is a map with keys that are no strings, which nothing here has.
        Err(error) => error.to_string(),
    }
}
