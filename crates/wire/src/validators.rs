//! Validator sets.

use chain::validators::{VALIDATORS_MAX, Validator, ValidatorSet};

use crate::error::Error;
use crate::{Portable, field, generated, message_bytes_max};

/// How many bytes one validator of a set may have: its name, its key, its power, and their lengths.
const VALIDATOR_BYTES_MAX: usize = 128;

impl From<&Validator> for generated::Validator {
    fn from(validator: &Validator) -> Self {
        Self {
            organisation: validator.organisation.to_string(),
            key: validator.key.as_bytes().to_vec(),
            power: validator.power,
        }
    }
}

impl TryFrom<generated::Validator> for Validator {
    type Error = Error;

    fn try_from(message: generated::Validator) -> Result<Self, Error> {
        Ok(Self {
            organisation: field::organisation(&message.organisation, "organisation")?,
            key: field::public_key(&message.key, "key")?,
            power: message.power,
        })
    }
}

impl From<&ValidatorSet> for generated::ValidatorSet {
    fn from(set: &ValidatorSet) -> Self {
        Self { validators: set.validators().iter().map(Into::into).collect() }
    }
}

impl TryFrom<generated::ValidatorSet> for ValidatorSet {
    type Error = Error;

    /// Reads the one spelling of a set: an unsorted list is refused, not sorted.
    fn try_from(message: generated::ValidatorSet) -> Result<Self, Error> {
        let validators: Vec<Validator> = field::list(message.validators, "validators", VALIDATORS_MAX)?;
        Self::try_from(validators).map_err(|error| Error::malformed("validators", "a validator set", error))
    }
}

impl Portable for ValidatorSet {
    type Message = generated::ValidatorSet;
    const NAME: &'static str = "ValidatorSet";
    const BYTES_MAX: usize = message_bytes_max(VALIDATORS_MAX * VALIDATOR_BYTES_MAX);
}
