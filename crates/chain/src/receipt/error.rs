//! Why a receipt proves nothing.

use crate::certificate::CertificateError;
use crate::hash::Hash;
use crate::identity::ChainId;
use crate::json::JsonError;
use crate::merkle::VerifyError;
use crate::suite::Suite;

/// A receipt that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The document is too large.
    #[error("the receipt exceeds the limit of {bytes_max} bytes")]
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The document is no receipt.
    #[error("the receipt is malformed")]
    Malformed(#[source] JsonError),
    /// The document is of a version this program does not know.
    #[error("expected receipt version {expected}, found {found}")]
    Version {
        /// The version known.
        expected: u16,
        /// The version found.
        found: u16,
    },
    /// The receipt or one of its headers is of another suite.
    #[error("expected suite {expected}, found {found}")]
    Suite {
        /// The suite of the genesis given.
        expected: Suite,
        /// The suite found.
        found: Suite,
    },
    /// The receipt or one of its headers is of another chain.
    #[error("expected chain {expected}, found {found}")]
    Chain {
        /// The chain of the genesis given.
        expected: Box<ChainId>,
        /// The chain found.
        found: Box<ChainId>,
    },
    /// A header is of a version this program does not know.
    #[error("expected header version {expected} at height {height}, found {found}")]
    HeaderVersion {
        /// The header's height.
        height: u64,
        /// The version known.
        expected: u16,
        /// The version found.
        found: u16,
    },
    /// The headers do not ascend.
    #[error("the header of height {found} follows one of height {before}")]
    Order {
        /// The height before.
        before: u64,
        /// The height that should be above it.
        found: u64,
    },
    /// A header names another validator set than the one that is known to be in force.
    #[error("the set of height {height} is {expected}, its header names {found}")]
    Validators {
        /// The header's height.
        height: u64,
        /// The hash of the set in force.
        expected: Hash,
        /// The hash in the header.
        found: Hash,
    },
    /// A change gives another set than its header names.
    #[error("the header of height {height} names {expected} as the next set, the change gives {found}")]
    NextValidators {
        /// The header's height.
        height: u64,
        /// The hash in the header.
        expected: Hash,
        /// The hash of the set given.
        found: Hash,
    },
    /// A certificate does not decide its header.
    #[error("the certificate of height {height} proves nothing")]
    Certificate {
        /// The header's height.
        height: u64,
        /// Why.
        #[source]
        source: CertificateError,
    },
    /// The leaf is of a height that its log cannot hold.
    #[error("a log at height {height} holds no leaf of height {found}")]
    LeafHeight {
        /// The header's height.
        height: u64,
        /// The leaf's height.
        found: u64,
    },
    /// The record is not the one that the leaf names.
    #[error("the leaf names record {expected}, the receipt gives {found}")]
    Record {
        /// The hash in the leaf.
        expected: Hash,
        /// The hash of the record given.
        found: Hash,
    },
    /// The receipt and its header disagree about the size of the log.
    #[error("the header's log has {expected} leaves, the receipt says {found}")]
    TreeSize {
        /// The size in the header.
        expected: u64,
        /// The size in the receipt.
        found: u64,
    },
    /// The leaf is not in the header's log.
    #[error("the leaf is not proven to be in the log")]
    Inclusion(#[source] VerifyError),
}

impl ReceiptError {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "receipt.too-large",
            Self::Malformed(_) => "receipt.malformed",
            Self::Version { .. } => "receipt.version",
            Self::Suite { .. } => "receipt.suite",
            Self::Chain { .. } => "receipt.chain",
            Self::HeaderVersion { .. } => "receipt.header-version",
            Self::Order { .. } => "receipt.order",
            Self::Validators { .. } => "receipt.validators",
            Self::NextValidators { .. } => "receipt.next-validators",
            Self::Certificate { .. } => "receipt.certificate",
            Self::LeafHeight { .. } => "receipt.leaf-height",
            Self::Record { .. } => "receipt.record",
            Self::TreeSize { .. } => "receipt.tree-size",
            Self::Inclusion(_) => "receipt.inclusion",
        }
    }
}
