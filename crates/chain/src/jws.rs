//! JSON Web Signatures (RFC 7515), compact serialisation, as narrow as this ledger signs them.
//!
//! Owns the three segments, the algorithms (`EdDSA` of RFC 8037, `Ed25519` of RFC 9864) and the
//! key reference in `kid`. What a header holds besides is for the document that is signed; each
//! reads its header strictly, so `crit`, `b64` and everything else unknown is refused.

pub(crate) mod general;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::encoding::{Base64Error, decode_base64url, decode_base64url_array, deserialize_from_str, encode_base64url};
use crate::identity::{IdentityError, KeyId, OrganisationId};
use crate::json::{self, JsonError};
use crate::key::Signature;

/// How many bytes a protected header may have.
pub const HEADER_BYTES_MAX: usize = 4 * 1024;

/// One of the three segments of a compact JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The protected header.
    Header,
    /// What is signed.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Segment::Header => "header",
            Segment::Payload => "payload",
            Segment::Signature => "signature",
        })
    }
}

/// Bytes that are not a compact JWS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// More bytes than allowed.
    #[error("{found} bytes exceed the limit of {bytes_max}")]
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
        /// How many bytes were given.
        found: usize,
    },
    /// Not three segments with dots between them (RFC 7515 §3.1).
    #[error("expected 3 segments separated by dots, found {found}")]
    Segments {
        /// How many segments there are; counting stops at 4.
        found: usize,
    },
    /// A segment is not base64url in its canonical spelling.
    #[error("the {segment}, from byte {offset}, is not canonical base64url: {source}")]
    Base64 {
        /// Which segment.
        segment: Segment,
        /// Where the segment begins.
        offset: usize,
        /// What is wrong with it, by its place in the segment.
        source: Base64Error,
    },
    /// The header is larger than any that this ledger knows.
    #[error("a header of {found} bytes exceeds the limit of {bytes_max}")]
    HeaderTooLarge {
        /// The limit in bytes.
        bytes_max: usize,
        /// The header's size in bytes.
        found: usize,
    },
}

impl JwsError {
    /// The byte of the JWS at which the fault stands, when it stands at one.
    pub fn offset(&self) -> Option<usize> {
        match self {
            JwsError::Base64 { offset, source, .. } => {
                let within = match source {
                    Base64Error::Alphabet { offset } | Base64Error::TrailingBits { offset } => *offset,
                    Base64Error::Padding | Base64Error::Length { .. } | Base64Error::Size { .. } => 0,
                };
                offset.checked_add(within)
            }
            JwsError::TooLarge { .. } | JwsError::Segments { .. } | JwsError::HeaderTooLarge { .. } => None,
        }
    }
}

/// A compact JWS taken apart (RFC 7515 §3.1). Nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compact<'a> {
    /// The bytes that the signature covers: header and payload as they stand (RFC 7515 §5.1).
    pub signing_input: &'a [u8],
    /// The header, decoded.
    pub header: Vec<u8>,
    /// The payload, decoded.
    pub payload: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

impl<'a> Compact<'a> {
    /// Takes a compact JWS of at most `bytes_max` bytes apart.
    ///
    /// Each segment must be base64url in its canonical spelling, so that nobody can turn one
    /// statement into another by respelling it.
    pub fn parse(bytes: &'a [u8], bytes_max: usize) -> Result<Self, JwsError> {
        if bytes.len() > bytes_max {
            return Err(JwsError::TooLarge { bytes_max, found: bytes.len() });
        }
        let mut segments = bytes.split(|byte| *byte == b'.');
        let found = segments.clone().take(4).count();
        let (Some(header), Some(payload), Some(signature), 3) =
            (segments.next(), segments.next(), segments.next(), found)
        else {
            return Err(JwsError::Segments { found });
        };
        let payload_offset = header.len() + 1;
        let signature_offset = payload_offset + payload.len() + 1;
        let wrong = |segment, offset| move |source| JwsError::Base64 { segment, offset, source };
        let header_bytes = header.len() / 4 * 3;
        if header_bytes > HEADER_BYTES_MAX {
            return Err(JwsError::HeaderTooLarge { bytes_max: HEADER_BYTES_MAX, found: header_bytes });
        }
        let header = decode_base64url(header).map_err(wrong(Segment::Header, 0))?;
        let signature = decode_base64url_array(signature).map_err(wrong(Segment::Signature, signature_offset))?;
        let payload = decode_base64url(payload).map_err(wrong(Segment::Payload, payload_offset))?;
        let (signing_input, _) = bytes.split_at_checked(signature_offset - 1).ok_or(JwsError::Segments { found })?;
        Ok(Self { signing_input, header, payload, signature: Signature::from_bytes(signature) })
    }
}

/// The bytes that a signature covers: both segments in base64url (RFC 7515 §5.1).
pub fn signing_input(header: &[u8], payload: &[u8]) -> String {
    let mut text = encode_base64url(header);
    text.push('.');
    text.push_str(&encode_base64url(payload));
    text
}

/// Completes a signing input with its signature.
pub(crate) fn complete(signing_input: &str, signature: &Signature) -> String {
    format!("{signing_input}.{signature}")
}

/// A signature algorithm, as JWS headers name it. Both names mean the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// `EdDSA` (RFC 8037 §3.1); with our keys always Ed25519.
    #[default]
    EdDsa,
    /// `Ed25519`, the fully specified name (RFC 9864 §2.2).
    Ed25519,
}

/// An algorithm that this ledger does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the algorithm EdDSA or Ed25519, found {found:?}")]
pub struct UnknownAlgorithm {
    /// The name found, shortened.
    pub found: String,
}

impl Algorithm {
    /// The name as it stands in a header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Ed25519 => "Ed25519",
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        match text {
            "EdDSA" => Ok(Algorithm::EdDsa),
            "Ed25519" => Ok(Algorithm::Ed25519),
            _ => Err(UnknownAlgorithm { found: json::excerpt(text) }),
        }
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_str(deserializer, "the algorithm EdDSA or Ed25519")
    }
}

/// Which key signed: `<organisation id>/<key id>`, the `kid` of every header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyReference {
    /// The organisation that holds the key.
    pub organisation: OrganisationId,
    /// The key's id within the organisation.
    pub key: KeyId,
}

/// Text that is no key reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyReferenceError {
    /// There is no slash.
    #[error("expected <organisation id>/<key id>")]
    Slash,
    /// The organisation id is malformed.
    #[error("the organisation id is malformed: {0}")]
    Organisation(#[source] IdentityError),
    /// The key id is malformed.
    #[error("the key id is malformed: {0}")]
    Key(#[source] IdentityError),
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organisation, self.key)
    }
}

impl fmt::Debug for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyReference({self})")
    }
}

impl FromStr for KeyReference {
    type Err = KeyReferenceError;

    fn from_str(text: &str) -> Result<Self, KeyReferenceError> {
        let (organisation, key) = text.split_once('/').ok_or(KeyReferenceError::Slash)?;
        Ok(Self {
            organisation: organisation.parse().map_err(KeyReferenceError::Organisation)?,
            key: key.parse().map_err(KeyReferenceError::Key)?,
        })
    }
}

impl Serialize for KeyReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_str(deserializer, "a key reference, <organisation id>/<key id>")
    }
}

/// Reads a decoded header: strict JSON, and only the fields that `T` knows.
///
/// `T` must refuse unknown fields.
pub fn read_header<'de, T: Deserialize<'de>>(header: &'de [u8]) -> Result<T, JsonError> {
    json::from_slice(header)
}
