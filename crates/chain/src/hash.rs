//! SHA-256 digests, and the newtypes that say what a digest is of.
//!
//! Owns the digest type, its text form (64 lowercase hexadecimal digits, no other spelling) and its
//! binary form (32 bytes). What is hashed, and under which domain tag, stands with each document.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A SHA-256 digest.
///
/// Text and JSON: 64 lowercase hexadecimal digits. Borsh: the 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Hash([u8; 32]);

/// Text that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text has the wrong length.
    #[error("expected 64 lowercase hexadecimal digits, found {found_bytes} bytes")]
    Length {
        /// The text's length in bytes.
        found_bytes: usize,
    },
    /// A byte is no lowercase hexadecimal digit.
    #[error("expected a lowercase hexadecimal digit at byte {offset}")]
    Digit {
        /// Where the first such byte stands.
        offset: usize,
    },
}

impl Hash {
    /// The digest of nothing: the root of an empty tree (RFC 9162 §2.1.1).
    pub const EMPTY: Hash = Hash([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
        0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The SHA-256 digest of the parts, one after the other with nothing between them.
    ///
    /// The caller sees to it that two different lists of parts cannot join to the same bytes.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// A digest from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).expect("64 digits hold 32 bytes");
        f.pad(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = HashError;

    /// Reads 64 lowercase hexadecimal digits. Uppercase is refused: a digest has one spelling.
    fn from_str(text: &str) -> Result<Self, HashError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(HashError::Length { found_bytes: digits.len() });
        }
        if let Some(offset) = digits.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(HashError::Digit { offset });
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).expect("64 digits, all checked above");
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::encoding::deserialize_from_str(deserializer, "64 lowercase hexadecimal digits")
    }
}

/// Declares a digest of one particular thing, so that one cannot be taken for another.
macro_rules! digest_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            BorshSerialize,
            BorshDeserialize,
            Serialize,
            Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Hash);

        impl $name {
            /// The id as a digest.
            pub const fn hash(&self) -> Hash {
                self.0
            }

            /// The id's bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }
        }

        impl From<Hash> for $name {
            fn from(hash: Hash) -> Self {
                Self(hash)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = HashError;

            fn from_str(text: &str) -> Result<Self, HashError> {
                text.parse().map(Self)
            }
        }
    };
}

digest_of! {
    /// The id of a block: SHA-256 of its encoded header.
    BlockId
}

digest_of! {
    /// The id of a statement: SHA-256 of its JWS signing input.
    StatementId
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_digest_is_sha_256() {
        // FIPS 180-4, the one-block example and the empty message.
        assert_eq!(Hash::of(b"abc").to_string(), ABC);
        assert_eq!(Hash::of_parts(&[b"a", b"", b"bc"]).to_string(), ABC);
        assert_eq!(Hash::of(b""), Hash::EMPTY);
    }

    #[test]
    fn text_json_and_borsh_give_the_digest_back() {
        let hash = Hash::of(b"abc");
        assert_eq!(ABC.parse(), Ok(hash));
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{ABC}\""));
        assert_eq!(serde_json::from_str::<Hash>(&format!("\"{ABC}\"")).unwrap(), hash);
        assert_eq!(borsh::to_vec(&hash).unwrap(), hash.as_bytes());
        assert_eq!(borsh::from_slice::<Hash>(hash.as_bytes()).unwrap(), hash);
        let id = BlockId::from(hash);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{ABC}\""));
        assert_eq!(borsh::to_vec(&id).unwrap(), hash.as_bytes());
        assert_eq!(format!("{id:?}"), format!("BlockId({ABC})"));
    }

    #[test]
    fn a_second_spelling_of_a_digest_is_refused() {
        assert_eq!(ABC.to_uppercase().parse::<Hash>(), Err(HashError::Digit { offset: 0 }));
        assert_eq!(ABC[1..].parse::<Hash>(), Err(HashError::Length { found_bytes: 63 }));
        assert_eq!(format!("{}é", &ABC[2..]).parse::<StatementId>(), Err(HashError::Digit { offset: 62 }));
        assert!(serde_json::from_str::<Hash>("7").is_err());
    }
}
