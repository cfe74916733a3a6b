//! The validator set: who votes on a height, and with how much power.
//!
//! Owns the set's one order, its limits, its hash and its quorum. Which set is in force at which
//! height is told by the headers; how a set changes is a rule of the ledger.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::encoding::invalid_borsh;
use crate::hash::Hash;
use crate::identity::OrganisationId;
use crate::key::PublicKey;

/// How many validators a set may have.
pub const VALIDATORS_MAX: usize = 128;

/// How much voting power a set may have in all: what a JSON number carries exactly.
pub const TOTAL_POWER_MAX: u64 = (1 << 53) - 1;

/// Begins everything that is hashed as a validator set.
const TAG: [u8; 19] = *b"chain/validators/v1";

/// One validator: an organisation, the consensus key it votes with, and its voting power.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// The organisation that runs it.
    pub organisation: OrganisationId,
    /// Its consensus key.
    pub key: PublicKey,
    /// Its voting power, at least 1.
    pub power: u64,
}

/// Validators that do not make a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Nobody would vote.
    #[error("a validator set is never empty")]
    Empty,
    /// More validators than a set may have.
    #[error("{found} validators exceed the limit of {validators_max}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// The limit.
        validators_max: usize,
    },
    /// A validator without a vote.
    #[error("validator {organisation} has no voting power")]
    NoPower {
        /// The validator's organisation.
        organisation: OrganisationId,
    },
    /// More power in all than a set may have.
    #[error("the total voting power exceeds {power_max}")]
    TooMuchPower {
        /// The limit.
        power_max: u64,
    },
    /// Two validators share a key.
    #[error("consensus key {key} stands twice in the set")]
    DuplicateKey {
        /// The key.
        key: Box<PublicKey>,
    },
    /// Two validators share an organisation.
    #[error("organisation {organisation} stands twice in the set")]
    DuplicateOrganisation {
        /// The organisation.
        organisation: OrganisationId,
    },
    /// The validators are not sorted by key: a second spelling of the set.
    #[error("validator {key} is not in its place: a set is sorted by key")]
    NotSorted {
        /// The first key that should stand further ahead.
        key: Box<PublicKey>,
    },
}

impl ValidatorSetError {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "validators.empty",
            Self::TooMany { .. } => "validators.too-many",
            Self::NoPower { .. } => "validators.no-power",
            Self::TooMuchPower { .. } => "validators.too-much-power",
            Self::DuplicateKey { .. } => "validators.duplicate-key",
            Self::DuplicateOrganisation { .. } => "validators.duplicate-organisation",
            Self::NotSorted { .. } => "validators.not-sorted",
        }
    }
}

/// The validators of a height: sorted by the bytes of their keys, with keys and organisations
/// unique, never empty, the total power checked.
///
/// JSON and borsh: the list of validators, in that order and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Validator>", into = "Vec<Validator>")]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    total_power: u64,
}

impl ValidatorSet {
    /// Makes a set of validators given in any order.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        // Bounded before it is sorted.
        check_count(&validators)?;
        validators.sort_by_key(|validator| validator.key);
        Self::from_sorted(validators)
    }

    /// Makes a set of validators that stand in its order already.
    fn from_sorted(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        check_count(&validators)?;
        for pair in validators.windows(2) {
            let [before, after] = pair else { continue };
            if before.key == after.key {
                return Err(ValidatorSetError::DuplicateKey { key: Box::new(after.key) });
            }
            if before.key > after.key {
                return Err(ValidatorSetError::NotSorted { key: Box::new(after.key) });
            }
        }
        let mut organisations = BTreeSet::new();
        let mut total_power = 0_u64;
        for validator in &validators {
            let organisation = &validator.organisation;
            if !organisations.insert(organisation) {
                return Err(ValidatorSetError::DuplicateOrganisation { organisation: organisation.clone() });
            }
            if validator.power == 0 {
                return Err(ValidatorSetError::NoPower { organisation: organisation.clone() });
            }
            total_power = total_power
                .checked_add(validator.power)
                .filter(|&total| total <= TOTAL_POWER_MAX)
                .ok_or(ValidatorSetError::TooMuchPower { power_max: TOTAL_POWER_MAX })?;
        }
        Ok(Self { validators, total_power })
    }

    /// The validators, sorted by key.
    pub fn validators(&self) -> &[Validator] {
        &self.validators
    }

    /// The validator that votes with this key.
    pub fn get(&self, key: &PublicKey) -> Option<&Validator> {
        let place = self.validators.binary_search_by_key(key, |validator| validator.key).ok()?;
        self.validators.get(place)
    }

    /// The voting power of all validators together.
    pub const fn total_power(&self) -> u64 {
        self.total_power
    }

    /// The least voting power that is strictly more than two thirds of the total.
    pub const fn quorum_power(&self) -> u64 {
        // No overflow: the total is below 2^53.
        self.total_power * 2 / 3 + 1
    }

    /// The hash that headers carry: SHA-256 of a domain tag and the set.
    ///
    /// Changing this forks the chain.
    pub fn hash(&self) -> Hash {
        let bytes = borsh::to_vec(&(TAG, self)).expect("a set is bounded, and memory takes every write");
        Hash::of(&bytes)
    }
}

fn check_count(validators: &[Validator]) -> Result<(), ValidatorSetError> {
    match validators.len() {
        0 => Err(ValidatorSetError::Empty),
        1..=VALIDATORS_MAX => Ok(()),
        found => Err(ValidatorSetError::TooMany { found, validators_max: VALIDATORS_MAX }),
    }
}

impl TryFrom<Vec<Validator>> for ValidatorSet {
    type Error = ValidatorSetError;

    /// Reads the one spelling of a set: an unsorted list is refused, not sorted.
    fn try_from(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        Self::from_sorted(validators)
    }
}

impl From<ValidatorSet> for Vec<Validator> {
    fn from(set: ValidatorSet) -> Self {
        set.validators
    }
}

impl BorshSerialize for ValidatorSet {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        BorshSerialize::serialize(&self.validators, writer)
    }
}

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let claimed = u32::deserialize_reader(reader)?;
        let count = usize::try_from(claimed)
            .ok()
            .filter(|&count| count <= VALIDATORS_MAX)
            .ok_or_else(|| invalid_borsh(format!("{claimed} validators exceed the limit of {VALIDATORS_MAX}")))?;
        let mut validators = Vec::with_capacity(count);
        for _ in 0..count {
            validators.push(Validator::deserialize_reader(reader)?);
        }
        Self::from_sorted(validators).map_err(invalid_borsh)
    }
}

#[cfg(test)]
mod tests;
