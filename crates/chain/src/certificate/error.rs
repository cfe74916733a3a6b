//! Why a certificate proves nothing.

use crate::block::BlockId;
use crate::identity::OrganisationId;
use crate::key::PublicKey;
use crate::suite::Suite;

/// A certificate that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate is of another suite than the chain.
    #[error("expected suite {expected}, found {found}")]
    Suite {
        /// The chain's suite.
        expected: Suite,
        /// The certificate's.
        found: Suite,
    },
    /// The certificate is of another height than the header.
    #[error("expected height {expected}, found {found}")]
    Height {
        /// The header's height.
        expected: u64,
        /// The certificate's.
        found: u64,
    },
    /// The certificate is of another block.
    #[error("expected block {expected}, found {found}")]
    BlockId {
        /// The id of the header.
        expected: BlockId,
        /// The certificate's.
        found: BlockId,
    },
    /// A signature is not in its place, or stands twice.
    #[error("the signature of validator {validator} is not in its place: sorted by key, each validator once")]
    NotSorted {
        /// Whose signature it claims to be.
        validator: Box<PublicKey>,
    },
    /// A signature of a key outside the set.
    #[error("{validator} is no validator of height {height}")]
    UnknownValidator {
        /// The key.
        validator: Box<PublicKey>,
        /// The certificate's height.
        height: u64,
    },
    /// Too few have signed.
    #[error("validators with power {signed} of {total} signed, needed {needed}")]
    TooLittlePower {
        /// The power of those who signed.
        signed: u64,
        /// The least power that decides.
        needed: u64,
        /// The power of the whole set.
        total: u64,
    },
    /// A signature does not verify.
    #[error("the signature of {organisation} under validator key {validator} does not verify")]
    Signature {
        /// The validator's organisation.
        organisation: OrganisationId,
        /// Its key.
        validator: Box<PublicKey>,
    },
}

impl CertificateError {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Suite { .. } => "certificate.suite",
            Self::Height { .. } => "certificate.height",
            Self::BlockId { .. } => "certificate.block-id",
            Self::NotSorted { .. } => "certificate.not-sorted",
            Self::UnknownValidator { .. } => "certificate.unknown-validator",
            Self::TooLittlePower { .. } => "certificate.too-little-power",
            Self::Signature { .. } => "certificate.signature",
        }
    }

    /// What should stand in the certificate, for a report.
    pub fn expected(&self) -> String {
        match self {
            Self::Suite { expected, .. } => format!("suite {expected}"),
            Self::Height { expected, .. } => format!("height {expected}"),
            Self::BlockId { expected, .. } => format!("block {expected}"),
            Self::NotSorted { .. } => "signatures sorted by key, each validator once".to_owned(),
            Self::UnknownValidator { height, .. } => format!("signatures of validators of height {height}"),
            Self::TooLittlePower { needed, total, .. } => format!("power {needed} of {total}"),
            Self::Signature { organisation, .. } => format!("a signature of {organisation}"),
        }
    }

    /// What stands there, for a report.
    pub fn found(&self) -> String {
        match self {
            Self::Suite { found, .. } => format!("suite {found}"),
            Self::Height { found, .. } => format!("height {found}"),
            Self::BlockId { found, .. } => format!("block {found}"),
            Self::NotSorted { validator } => format!("{validator} out of place"),
            Self::UnknownValidator { validator, .. } => format!("one of {validator}"),
            Self::TooLittlePower { signed, .. } => format!("power {signed}"),
            Self::Signature { validator, .. } => format!("one that does not verify under {validator}"),
        }
    }
}
