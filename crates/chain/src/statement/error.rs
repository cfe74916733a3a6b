//! Why a statement is rejected: the code, the place, what was expected and what was found.

use std::fmt;

use crate::identity::IdentityError;
use crate::json::JsonError;
use crate::jws::{JwsError, KeyReference, KeyReferenceError, UnknownAlgorithm};

use super::{NonceError, STATEMENT_TYPE};

/// The part of a statement that an error speaks of: paths and offsets count within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The JWS as it was received.
    Jws,
    /// The protected header, decoded.
    Header,
    /// The payload, decoded.
    Payload,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Jws => "jws",
            Part::Header => "header",
            Part::Payload => "payload",
        })
    }
}

/// Why a statement is rejected. Always its author's to put right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Larger than the limit.
    #[error("a statement of {found} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
        /// The statement's size in bytes.
        found: usize,
    },
    /// Not a compact JWS in its canonical spelling.
    #[error("the statement is not a compact JWS: {0}")]
    Malformed(#[source] JwsError),
    /// The header is not strict JSON with exactly the fields of a statement.
    #[error("the header is malformed: {0}")]
    Header(#[source] JsonError),
    /// `alg` is another algorithm.
    #[error("the header's alg is not accepted: {0}")]
    Algorithm(#[source] UnknownAlgorithm),
    /// `typ` is another type.
    #[error("the header's typ is {found:?}, not that of a statement")]
    Type {
        /// The type found, shortened.
        found: String,
    },
    /// `kid` is no key reference.
    #[error("the header's kid is malformed: {source}")]
    KeyId {
        /// The text found, shortened.
        found: String,
        /// What is wrong with it.
        source: KeyReferenceError,
    },
    /// `chain` is no chain id.
    #[error("the header's chain is malformed: {source}")]
    ChainId {
        /// The text found, shortened.
        found: String,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// `nonce` is no nonce.
    #[error("the header's nonce is malformed: {source}")]
    Nonce {
        /// The text found, shortened.
        found: String,
        /// What is wrong with it.
        source: NonceError,
    },
    /// `exp` is negative.
    #[error("the header's exp is {found}, before 1970")]
    Expiry {
        /// The number found.
        found: i64,
    },
    /// The payload is not JSON, or could be read in two ways.
    #[error("the payload is not strict JSON: {0}")]
    Json(#[source] JsonError),
    /// The payload has other members than `mode` and `events`, or they have other types.
    #[error("the payload is malformed: {0}")]
    Payload(#[source] JsonError),
    /// `mode` is neither `all` nor `each`.
    #[error("the payload's mode is {found:?}, neither \"all\" nor \"each\"")]
    Mode {
        /// The text found, shortened.
        found: String,
    },
    /// No events, or too many.
    #[error("expected 1 to {events_max} events, found {found}")]
    EventCount {
        /// The limit.
        events_max: usize,
        /// How many there are.
        found: usize,
    },
    /// An event is no JSON object.
    #[error("event {event} is no JSON object")]
    EventNotObject {
        /// Which event, from 0.
        event: usize,
        /// Where it begins in the payload.
        offset: usize,
        /// The event as it stands, shortened.
        found: String,
    },
    /// An event is larger than the limit.
    #[error("event {event} of {found} bytes exceeds the limit of {bytes_max}")]
    EventTooLarge {
        /// Which event, from 0.
        event: usize,
        /// Where it begins in the payload.
        offset: usize,
        /// The limit in bytes.
        bytes_max: usize,
        /// The event's size in bytes.
        found: usize,
    },
    /// The signature does not verify.
    #[error("the signature does not verify under the key {key}")]
    Signature {
        /// The key that the header names.
        key: KeyReference,
    },
}

impl From<JwsError> for StatementError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLarge { bytes_max, found } => Self::TooLarge { bytes_max, found },
            JwsError::Segments { .. } | JwsError::Base64 { .. } | JwsError::HeaderTooLarge { .. } => {
                Self::Malformed(error)
            }
        }
    }
}

impl StatementError {
    /// The stable code; the catalogue says what to do about it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "statement.too-large",
            Self::Malformed(_) => "statement.malformed",
            Self::Header(_) => "statement.header",
            Self::Algorithm(_) => "statement.algorithm",
            Self::Type { .. } => "statement.type",
            Self::KeyId { .. } => "statement.key-id",
            Self::ChainId { .. } => "statement.chain-id",
            Self::Nonce { .. } => "statement.nonce",
            Self::Expiry { .. } => "statement.expiry",
            Self::Json(_) => "statement.json",
            Self::Payload(_) => "statement.payload",
            Self::Mode { .. } => "statement.mode",
            Self::EventCount { .. } | Self::EventNotObject { .. } => "statement.events",
            Self::EventTooLarge { .. } => "statement.event-too-large",
            Self::Signature { .. } => "statement.signature",
        }
    }

    /// The part in which `path` and `offset` count.
    pub const fn part(&self) -> Part {
        match self {
            Self::TooLarge { .. } | Self::Malformed(_) | Self::Signature { .. } => Part::Jws,
            Self::Header(_)
            | Self::Algorithm(_)
            | Self::Type { .. }
            | Self::KeyId { .. }
            | Self::ChainId { .. }
            | Self::Nonce { .. }
            | Self::Expiry { .. } => Part::Header,
            Self::Json(_)
            | Self::Payload(_)
            | Self::Mode { .. }
            | Self::EventCount { .. }
            | Self::EventNotObject { .. }
            | Self::EventTooLarge { .. } => Part::Payload,
        }
    }

    /// The value at fault, as a JSON pointer into its part; empty for the whole part.
    pub fn path(&self) -> String {
        let member = match self {
            Self::TooLarge { .. } | Self::Malformed(_) | Self::Signature { .. } => "",
            Self::Header(error) | Self::Json(error) | Self::Payload(error) => &error.path,
            Self::Algorithm(_) => "/alg",
            Self::Type { .. } => "/typ",
            Self::KeyId { .. } => "/kid",
            Self::ChainId { .. } => "/chain",
            Self::Nonce { .. } => "/nonce",
            Self::Expiry { .. } => "/exp",
            Self::Mode { .. } => "/mode",
            Self::EventCount { .. } => "/events",
            Self::EventNotObject { event, .. } | Self::EventTooLarge { event, .. } => {
                return format!("/events/{event}");
            }
        };
        member.to_owned()
    }

    /// The byte of the part at which the fault stands, when one can be named.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Malformed(error) => error.offset(),
            Self::Header(error) | Self::Json(error) | Self::Payload(error) => Some(error.offset),
            Self::EventNotObject { offset, .. } | Self::EventTooLarge { offset, .. } => Some(*offset),
            Self::TooLarge { .. }
            | Self::Algorithm(_)
            | Self::Type { .. }
            | Self::KeyId { .. }
            | Self::ChainId { .. }
            | Self::Nonce { .. }
            | Self::Expiry { .. }
            | Self::Mode { .. }
            | Self::EventCount { .. }
            | Self::Signature { .. } => None,
        }
    }

    /// What was expected, in words.
    pub fn expected(&self) -> String {
        let words = match self {
            Self::TooLarge { bytes_max, .. } | Self::EventTooLarge { bytes_max, .. } => {
                return format!("at most {bytes_max} bytes");
            }
            Self::Header(error) | Self::Json(error) | Self::Payload(error) => {
                return error.kind.expected();
            }
            Self::EventCount { events_max, .. } => return format!("1 to {events_max} events"),
            Self::Signature { key } => return format!("a signature that verifies under {key}"),
            Self::Malformed(_) => "three segments of canonical base64url with dots between them",
            Self::Algorithm(_) => "EdDSA or Ed25519",
            Self::Type { .. } => STATEMENT_TYPE,
            Self::KeyId { .. } => "<organisation id>/<key id>",
            Self::ChainId { .. } => "<name>@<64 lowercase hexadecimal digits>",
            Self::Nonce { .. } => "1 to 64 printable ASCII characters without spaces",
            Self::Expiry { .. } => "unix seconds, not negative",
            Self::Mode { .. } => "\"all\" or \"each\"",
            Self::EventNotObject { .. } => "a JSON object",
        };
        words.to_owned()
    }

    /// What was found, in words.
    pub fn found(&self) -> String {
        match self {
            Self::TooLarge { found, .. } | Self::EventTooLarge { found, .. } => {
                format!("{found} bytes")
            }
            Self::Malformed(error) => error.to_string(),
            Self::Header(error) | Self::Json(error) | Self::Payload(error) => error.to_string(),
            Self::Algorithm(error) => format!("{:?}", error.found),
            Self::Type { found }
            | Self::KeyId { found, .. }
            | Self::ChainId { found, .. }
            | Self::Nonce { found, .. }
            | Self::Mode { found } => format!("{found:?}"),
            Self::EventNotObject { found, .. } => found.clone(),
            Self::Expiry { found } => found.to_string(),
            Self::EventCount { found, .. } => format!("{found} events"),
            Self::Signature { .. } => "a signature that does not".to_owned(),
        }
    }
}
