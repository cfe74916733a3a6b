//! The idempotency key of a statement; login tokens use the same for their own id.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::encoding::{deserialize_from_str, invalid_borsh};

/// How many characters a nonce may have.
pub const NONCE_CHARS_MAX: usize = 64;

/// An idempotency key: 1 to 64 printable ASCII characters without spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(String);

/// Text that is no nonce.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// Empty or too long.
    #[error("a nonce has 1 to 64 characters, found {found_bytes} bytes")]
    Length {
        /// The text's length in bytes.
        found_bytes: usize,
    },
    /// A space, a control character, or one outside ASCII.
    #[error("expected a printable ASCII character and no space at byte {offset}")]
    Character {
        /// Where the character begins.
        offset: usize,
    },
}

impl Nonce {
    /// Checks a nonce.
    pub fn new(text: impl Into<String>) -> Result<Self, NonceError> {
        let text = text.into();
        if text.is_empty() || text.len() > NONCE_CHARS_MAX {
            return Err(NonceError::Length { found_bytes: text.len() });
        }
        match text.bytes().position(|byte| !byte.is_ascii_graphic()) {
            Some(offset) => Err(NonceError::Character { offset }),
            None => Ok(Self(text)),
        }
    }

    /// The nonce as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nonce {
    type Err = NonceError;

    fn from_str(text: &str) -> Result<Self, NonceError> {
        Self::new(text)
    }
}

impl AsRef<str> for Nonce {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", self.0)
    }
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_str(deserializer, "a nonce")
    }
}

impl BorshSerialize for Nonce {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        BorshSerialize::serialize(&self.0, writer)
    }
}

impl BorshDeserialize for Nonce {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let text: String = BorshDeserialize::deserialize_reader(reader)?;
        Self::new(text).map_err(invalid_borsh)
    }
}
