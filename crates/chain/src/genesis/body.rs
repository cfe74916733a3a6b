//! The body of a genesis: what is hashed into the chain id.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::GenesisError;
use crate::identity::{ChainName, OrganisationId};
use crate::key::PublicKey;
use crate::suite::Suite;
use crate::validators::{Validator, ValidatorSet};

/// The version of the genesis body that this program knows.
pub const GENESIS_VERSION: u16 = 1;

/// A genesis body: JSON with exactly these members, the numbers integers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisBody {
    /// The version of this document, [`GENESIS_VERSION`].
    pub version: u16,
    /// The chain's short name.
    pub name: ChainName,
    /// The suite of the chain.
    pub suite: Suite,
    /// The time of genesis, in ms since 1970-01-01 UTC.
    pub time_ms: i64,
    /// The validators of height 1.
    pub validators: Vec<GenesisValidator>,
    /// What the ledger begins with: JSON that the ledger reads, kept as it is written.
    pub ledger: Box<RawValue>,
}

/// One of the first validators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// The organisation that runs it.
    pub organisation: OrganisationId,
    /// Its voting power, at least 1.
    pub power: u64,
    /// The key that signs votes and proposals.
    pub consensus: PublicKey,
    /// The key that countersigns genesis.
    pub governance: PublicKey,
    /// The key that signs log checkpoints after commit.
    pub receipt: PublicKey,
}

impl GenesisBody {
    /// The validator that an organisation runs.
    pub fn validator(&self, organisation: &OrganisationId) -> Option<&GenesisValidator> {
        self.validators.iter().find(|validator| validator.organisation == *organisation)
    }

    /// Checks the body's own rules, and gives the set its validators make.
    pub(super) fn check(&self) -> Result<ValidatorSet, GenesisError> {
        if self.version != GENESIS_VERSION {
            return Err(GenesisError::Version { expected: GENESIS_VERSION, found: self.version });
        }
        if self.time_ms < 0 {
            return Err(GenesisError::Time { time_ms: self.time_ms });
        }
        let validators = self.validators.iter().map(|validator| Validator {
            organisation: validator.organisation.clone(),
            key: validator.consensus,
            power: validator.power,
        });
        let set = ValidatorSet::new(validators.collect()).map_err(GenesisError::Validators)?;
        let mut keys = BTreeSet::new();
        for validator in &self.validators {
            for key in [validator.consensus, validator.governance, validator.receipt] {
                if !keys.insert(key) {
                    return Err(GenesisError::KeyTwice { key: Box::new(key) });
                }
            }
        }
        Ok(set)
    }
}
