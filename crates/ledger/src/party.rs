//! Parties of an invoice: whoever sells, buys or holds it.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use invoice::document::Buyer;
use invoice::taxpayer::TaxpayerId;
use serde::{Deserialize, Deserializer, Serialize};

/// A party: an organisation under its taxpayer id, or a natural person under an opaque id.
///
/// Taxpayer ids rather than organisation ids, because most buyers are not on the ledger, and one
/// that joins later still holds what it held.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// An organisation, on the ledger or not.
    Taxpayer(TaxpayerId),
    /// A natural person. What the id stands for, the ledger does not know.
    Person(PersonId),
}

impl Party {
    /// The buyer of a document.
    pub fn buyer(buyer: &Buyer) -> Self {
        match buyer {
            Buyer::Organisation(organisation) => Self::Taxpayer(organisation.taxpayer_id.clone()),
            // The document's rules hold the id to the same form.
            Buyer::Person(person) => Self::Person(PersonId(person.id.clone())),
        }
    }

    /// The party as a key: unambiguous, without zero bytes.
    pub fn key(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taxpayer(id) => write!(f, "taxpayer:{id}"),
            Self::Person(id) => write!(f, "person:{id}"),
        }
    }
}

/// A text that names no party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected taxpayer:<id> or person:<id>, found {found:?}")]
pub struct PartyError {
    /// The text.
    pub found: String,
}

impl FromStr for Party {
    type Err = PartyError;

    fn from_str(text: &str) -> Result<Self, PartyError> {
        let error = || PartyError { found: text.to_owned() };
        match text.split_once(':').ok_or_else(error)? {
            ("taxpayer", id) => id.parse().map(Self::Taxpayer).map_err(|_| error()),
            ("person", id) => id.parse().map(Self::Person).map_err(|_| error()),
            _ => Err(error()),
        }
    }
}

/// A natural person, under an id that is opaque to the ledger: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(transparent)]
pub struct PersonId(String);

/// A text that is no person's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 letters, digits, dots, underscores or hyphens, found {found:?}")]
pub struct PersonIdError {
    /// The text, cut at 80 characters.
    pub found: String,
}

impl FromStr for PersonId {
    type Err = PersonIdError;

    fn from_str(text: &str) -> Result<Self, PersonIdError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if fits { Ok(Self(text.to_owned())) } else { Err(PersonIdError { found: text.chars().take(80).collect() }) }
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PersonId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// On which side of invoices a party stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum Side {
    /// It sold.
    Seller = 1,
    /// It bought.
    Buyer = 2,
    /// It holds, or held.
    Holder = 3,
    /// As a platform it locked.
    Platform = 4,
}
