//! Why a genesis is refused.

use crate::encoding::Base64Error;
use crate::hash::Hash;
use crate::identity::OrganisationId;
use crate::json::JsonError;
use crate::key::PublicKey;
use crate::validators::ValidatorSetError;

/// A genesis file that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The file is too large.
    #[error("the genesis file exceeds the limit of {bytes_max} bytes")]
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The file is no JWS in JSON General Serialisation.
    #[error("the genesis file is malformed")]
    File(#[source] JsonError),
    /// The file means what it should, in another spelling.
    #[error("the genesis file is not in its one spelling, first seen at byte {offset}")]
    Spelling {
        /// The first byte that differs.
        offset: usize,
    },
    /// The payload is no base64url.
    #[error("the genesis payload is malformed")]
    Payload(#[source] Base64Error),
    /// The body is not what a genesis body is.
    #[error("the genesis body is malformed")]
    Body(#[source] JsonError),
    /// The body is of a version this program does not know.
    #[error("expected genesis version {expected}, found {found}")]
    Version {
        /// The version known.
        expected: u16,
        /// The version found.
        found: u16,
    },
    /// The time of genesis is before 1970.
    #[error("the time of genesis, {time_ms} ms, is before 1970")]
    Time {
        /// The time in ms since 1970-01-01 UTC.
        time_ms: i64,
    },
    /// The validators make no set.
    #[error("the genesis validators make no set")]
    Validators(#[source] ValidatorSetError),
    /// A key stands in two places: keys have one holder and one purpose.
    #[error("key {key} stands in two places of the genesis body")]
    KeyTwice {
        /// The key.
        key: Box<PublicKey>,
    },
    /// A countersignature's protected header is malformed.
    #[error("the protected header of countersignature {place} is malformed: {reason}")]
    Protected {
        /// The countersignature's place, from 0.
        place: usize,
        /// What is wrong.
        reason: String,
    },
    /// A countersignature of somebody who is no validator of this genesis.
    #[error("{organisation} countersigned and is no validator of this genesis")]
    UnknownSigner {
        /// The organisation.
        organisation: OrganisationId,
    },
    /// A countersignature that is not in its place, or stands twice.
    #[error("the countersignature of {organisation} is not in its place: sorted by organisation, each once")]
    NotSorted {
        /// The organisation.
        organisation: OrganisationId,
    },
    /// A countersignature that does not verify.
    #[error("the countersignature of {organisation} does not verify under its governance key {key}")]
    Signature {
        /// The organisation.
        organisation: OrganisationId,
        /// Its governance key.
        key: Box<PublicKey>,
    },
    /// Validators that have not countersigned.
    #[error("the countersignature of {} is missing", listed(organisations))]
    Missing {
        /// The organisations, at least one.
        organisations: Vec<OrganisationId>,
    },
    /// Two copies that are of different genesis bodies.
    #[error("expected a copy of genesis {expected}, found genesis {found}")]
    OtherBody {
        /// The genesis hash expected.
        expected: Hash,
        /// The genesis hash found.
        found: Hash,
    },
    /// The secret key is not the organisation's governance key.
    #[error("the key given is not {organisation}'s governance key {key}")]
    WrongKey {
        /// The organisation.
        organisation: OrganisationId,
        /// Its governance key.
        key: Box<PublicKey>,
    },
}

impl GenesisError {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "genesis.too-large",
            Self::File(_) => "genesis.file",
            Self::Spelling { .. } => "genesis.spelling",
            Self::Payload(_) => "genesis.payload",
            Self::Body(_) => "genesis.body",
            Self::Version { .. } => "genesis.version",
            Self::Time { .. } => "genesis.time",
            Self::Validators(_) => "genesis.validators",
            Self::KeyTwice { .. } => "genesis.key-twice",
            Self::Protected { .. } => "genesis.protected",
            Self::UnknownSigner { .. } => "genesis.unknown-signer",
            Self::NotSorted { .. } => "genesis.not-sorted",
            Self::Signature { .. } => "genesis.signature",
            Self::Missing { .. } => "genesis.missing-signature",
            Self::OtherBody { .. } => "genesis.other-body",
            Self::WrongKey { .. } => "genesis.wrong-key",
        }
    }
}

fn listed(organisations: &[OrganisationId]) -> String {
    organisations.iter().map(OrganisationId::as_str).collect::<Vec<_>>().join(", ")
}
