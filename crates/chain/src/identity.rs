//! Names: of organisations, of their keys, and of chains.
//!
//! A name is 1 to 63 characters of `a-z 0-9 -` and does not begin with `-`, so that it has one
//! spelling, needs no escaping anywhere, and cannot hide a separator.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::encoding::{deserialize_from_str, invalid_borsh};
use crate::hash::{Hash, HashError};

/// How many characters a name may have.
pub const NAME_CHARS_MAX: usize = 63;

/// Text that is not the name or id asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The name is empty.
    #[error("a name is never empty")]
    Empty,
    /// The name is too long.
    #[error("a name has at most 63 characters, found {found_bytes} bytes")]
    TooLong {
        /// The name's length in bytes.
        found_bytes: usize,
    },
    /// A character outside `a-z 0-9 -`, or a leading `-`.
    #[error("expected one of a-z, 0-9 and (not first) '-' at byte {offset}")]
    Character {
        /// Where the character begins.
        offset: usize,
    },
    /// A chain id without its `@`.
    #[error("expected a chain id, <name>@<genesis hash>")]
    ChainId,
    /// A chain id whose genesis hash is no digest.
    #[error("the genesis hash of the chain id is malformed")]
    GenesisHash(#[source] HashError),
}

fn check_name(text: &str) -> Result<(), IdentityError> {
    if text.is_empty() {
        return Err(IdentityError::Empty);
    }
    if text.len() > NAME_CHARS_MAX {
        return Err(IdentityError::TooLong { found_bytes: text.len() });
    }
    let allowed = |(offset, byte): (usize, u8)| match byte {
        b'a'..=b'z' | b'0'..=b'9' => true,
        b'-' => offset > 0,
        _ => false,
    };
    match text.bytes().enumerate().position(|place| !allowed(place)) {
        Some(offset) => Err(IdentityError::Character { offset }),
        None => Ok(()),
    }
}

/// Declares a checked name.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expecting:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 63 characters of `a-z 0-9 -`, not beginning with `-`; checked when read from text,
        /// JSON (a string) and borsh (a `u32` length and the bytes).
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks a name.
            pub fn new(text: impl Into<String>) -> Result<Self, IdentityError> {
                let text = text.into();
                check_name(&text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentityError;

            fn from_str(text: &str) -> Result<Self, IdentityError> {
                check_name(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_from_str(deserializer, $expecting)
            }
        }

        impl BorshSerialize for $name {
            fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
                BorshSerialize::serialize(&self.0, writer)
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
                Ok(Self(read_name(reader)?))
            }
        }
    };
}

/// Reads a borsh string that is a name, without believing its length first.
fn read_name<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<String> {
    let length: u32 = BorshDeserialize::deserialize_reader(reader)?;
    let mut bytes = [0; NAME_CHARS_MAX];
    let name = usize::try_from(length)
        .ok()
        .and_then(|length| bytes.get_mut(..length))
        .ok_or_else(|| invalid_borsh("a name has at most 63 characters"))?;
    reader.read_exact(name)?;
    let text = std::str::from_utf8(name).map_err(invalid_borsh)?;
    check_name(text).map_err(invalid_borsh)?;
    Ok(text.to_owned())
}

name! {
    /// The id of an organisation.
    OrganisationId, "an organisation id"
}

name! {
    /// The id of a key, unique within its organisation.
    KeyId, "a key id"
}

name! {
    /// The short name of a chain, chosen at genesis.
    ChainName, "a chain name"
}

/// The id of a chain: its short name and the hash of its genesis.
///
/// Text and JSON: `name@<64 hexadecimal digits>`. Borsh: the name, then the 32 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct ChainId {
    name: ChainName,
    genesis: Hash,
}

impl ChainId {
    /// The id of the chain that begins with this genesis.
    pub fn new(name: ChainName, genesis: Hash) -> Self {
        Self { name, genesis }
    }

    /// The chain's short name.
    pub fn name(&self) -> &ChainName {
        &self.name
    }

    /// The hash of the genesis body.
    pub fn genesis(&self) -> Hash {
        self.genesis
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.genesis)
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainId({self})")
    }
}

impl FromStr for ChainId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (name, genesis) = text.split_once('@').ok_or(IdentityError::ChainId)?;
        Ok(Self { name: name.parse()?, genesis: genesis.parse().map_err(IdentityError::GenesisHash)? })
    }
}

impl Serialize for ChainId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_str(deserializer, "a chain id, <name>@<genesis hash>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lowercase_letters_digits_and_inner_hyphens() {
        for good in ["a", "0", "shenzhen-tax-bureau", "a-", &"x".repeat(63)] {
            assert_eq!(good.parse::<OrganisationId>().unwrap().as_str(), good);
        }
        for (bad, error) in [
            ("", IdentityError::Empty),
            ("-a", IdentityError::Character { offset: 0 }),
            ("Ab", IdentityError::Character { offset: 0 }),
            ("a/b", IdentityError::Character { offset: 1 }),
            ("aé", IdentityError::Character { offset: 1 }),
            (&"x".repeat(64), IdentityError::TooLong { found_bytes: 64 }),
        ] {
            assert_eq!(bad.parse::<KeyId>(), Err(error), "{bad:?}");
            assert!(serde_json::from_value::<KeyId>(bad.into()).is_err());
            assert!(borsh::from_slice::<KeyId>(&borsh::to_vec(bad).unwrap()).is_err());
        }
    }

    #[test]
    fn a_name_claiming_a_huge_length_is_refused() {
        assert!(borsh::from_slice::<KeyId>(&[0xff; 80]).is_err());
        assert!(borsh::from_slice::<KeyId>(&[3, 0, 0, 0, b'a']).is_err());
    }

    #[test]
    fn a_chain_id_has_one_text_form() {
        let hex = Hash::of(b"").to_string();
        let text = format!("demo@{hex}");
        let id: ChainId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_value::<ChainId>(text.into()).unwrap(), id);
        for bad in [
            "demo".to_owned(),
            format!("Demo@{hex}"),
            format!("demo@{}", hex.to_uppercase()),
            format!("demo@@{hex}"),
            format!("demo@{hex}0"),
        ] {
            assert!(bad.parse::<ChainId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_binary_form_of_a_chain_id_is_fixed() {
        let id = ChainId::new(ChainName::new("demo").unwrap(), Hash::EMPTY);
        let bytes = borsh::to_vec(&id).unwrap();
        assert_eq!(&bytes[..8], b"\x04\0\0\0demo");
        assert_eq!(&bytes[8..], Hash::EMPTY.as_bytes());
        assert_eq!(borsh::from_slice::<ChainId>(&bytes).unwrap(), id);
    }
}
