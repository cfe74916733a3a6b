//! The cryptographic suite: which signature and which digest a chain uses.
//!
//! Genesis, headers, certificates and receipts carry it, so that another suite (SM2 and SM3) can
//! be told apart one day. An unknown suite is refused, never guessed.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// A cryptographic suite. Borsh: its number as `u16`. JSON: its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum Suite {
    /// 1: Ed25519 (RFC 8032, verified strictly) and SHA-256.
    #[default]
    Ed25519Sha256,
}

/// A suite that this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected suite 1 (Ed25519 and SHA-256), found {number}")]
pub struct UnknownSuite {
    /// The number found.
    pub number: u16,
}

impl Suite {
    /// The suite's number.
    pub const fn number(self) -> u16 {
        match self {
            Suite::Ed25519Sha256 => 1,
        }
    }
}

impl From<Suite> for u16 {
    fn from(suite: Suite) -> u16 {
        suite.number()
    }
}

impl TryFrom<u16> for Suite {
    type Error = UnknownSuite;

    fn try_from(number: u16) -> Result<Self, UnknownSuite> {
        match number {
            1 => Ok(Suite::Ed25519Sha256),
            _ => Err(UnknownSuite { number }),
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.number(), f)
    }
}

impl BorshSerialize for Suite {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        BorshSerialize::serialize(&self.number(), writer)
    }
}

impl BorshDeserialize for Suite {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let number: u16 = BorshDeserialize::deserialize_reader(reader)?;
        Suite::try_from(number).map_err(crate::encoding::invalid_borsh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_its_number() {
        assert_eq!(borsh::to_vec(&Suite::Ed25519Sha256).unwrap(), [1, 0]);
        assert_eq!(borsh::from_slice::<Suite>(&[1, 0]).unwrap(), Suite::Ed25519Sha256);
        assert_eq!(serde_json::to_string(&Suite::Ed25519Sha256).unwrap(), "1");
        assert_eq!(serde_json::from_str::<Suite>("1").unwrap(), Suite::Ed25519Sha256);
    }

    #[test]
    fn an_unknown_suite_is_refused() {
        assert_eq!(Suite::try_from(2), Err(UnknownSuite { number: 2 }));
        assert!(borsh::from_slice::<Suite>(&[0, 0]).is_err());
        assert!(serde_json::from_str::<Suite>("2").is_err());
    }
}
