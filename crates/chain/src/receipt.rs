//! Receipts: the offline proof that one event is final on the chain.
//!
//! A receipt carries the leaf of the event, its inclusion in the log as a block left it, that
//! block's header and commit certificate, and every change of the validator set between genesis
//! and that block. Whoever holds the genesis needs nothing else, and has to believe nobody.
//!
//! A receipt is JSON, read strictly; it is neither hashed nor signed itself.

mod decided;
mod error;
mod serde_bytes;

use serde::{Deserialize, Serialize};

use crate::block::{HEADER_VERSION, Header, Leaf};
use crate::certificate::CommitCertificate;
use crate::genesis::Genesis;
use crate::hash::Hash;
use crate::identity::ChainId;
use crate::json;
use crate::merkle;
use crate::suite::Suite;
use crate::validators::ValidatorSet;

pub use decided::DecidedHeader;
pub use error::ReceiptError;

/// The version of the receipt document that this program knows.
pub const RECEIPT_VERSION: u16 = 1;

/// How many bytes a receipt may have: 4 MiB, which is a hundred changes of a large validator set.
pub const RECEIPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A change of the validator set: the block that made it, its certificate under the set before,
/// and the set after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorChange {
    /// The header of the block that changed the set; JSON: base64url of its bytes.
    #[serde(with = "serde_bytes::header")]
    pub header: Header,
    /// The block's certificate.
    pub certificate: CommitCertificate,
    /// The set from the next height on.
    pub next_validators: ValidatorSet,
}

/// The proof that an event is final. JSON with exactly these members, written in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this document, [`RECEIPT_VERSION`].
    pub version: u16,
    /// The suite of the chain.
    pub suite: Suite,
    /// The chain.
    pub chain: ChainId,
    /// The event's leaf.
    pub leaf: Leaf,
    /// The record of the event's outcome; JSON: base64url.
    #[serde(with = "serde_bytes::bytes")]
    pub record: Vec<u8>,
    /// The leaf's place in the log, from 0.
    pub leaf_index: u64,
    /// How many leaves the log has after the block below.
    pub tree_size: u64,
    /// The inclusion proof (RFC 9162 §2.1.3), lowest node first.
    pub inclusion: Vec<Hash>,
    /// The header of the event's block or a later one; JSON: base64url of its bytes.
    #[serde(with = "serde_bytes::header")]
    pub header: Header,
    /// That block's certificate.
    pub certificate: CommitCertificate,
    /// The changes of the validator set before that block, in order.
    pub validator_changes: Vec<ValidatorChange>,
}

/// What a receipt has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The event's leaf.
    pub leaf: Leaf,
    /// The leaf's place in the log, from 0.
    pub leaf_index: u64,
    /// The record of the event's outcome.
    pub record: Vec<u8>,
    /// The decided header whose log holds the leaf.
    pub header: Header,
    /// The time of that header, in ms since 1970-01-01 UTC: the event was final by then.
    pub time_ms: i64,
}

impl Receipt {
    /// Makes a receipt; its chain, suite and tree size are those of the block.
    pub fn new(
        leaf: Leaf,
        record: Vec<u8>,
        leaf_index: u64,
        inclusion: Vec<Hash>,
        (header, certificate): (Header, CommitCertificate),
        validator_changes: Vec<ValidatorChange>,
    ) -> Self {
        Self {
            version: RECEIPT_VERSION,
            suite: header.suite,
            chain: header.chain.clone(),
            leaf,
            record,
            leaf_index,
            tree_size: header.log_size,
            inclusion,
            header,
            certificate,
            validator_changes,
        }
    }

    /// Reads a receipt. Nothing in it is believed before [`Receipt::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLarge { bytes_max: RECEIPT_BYTES_MAX });
        }
        json::from_slice(bytes).map_err(ReceiptError::Malformed)
    }

    /// The receipt as compact JSON.
    ///
    /// Changing the form makes receipts that are out in the world unreadable.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a receipt has string keys only, and memory takes every write")
    }

    /// Checks the whole proof against a genesis that the verifier has from elsewhere.
    pub fn verify(&self, genesis: &Genesis) -> Result<Verified, ReceiptError> {
        if self.version != RECEIPT_VERSION {
            return Err(ReceiptError::Version { expected: RECEIPT_VERSION, found: self.version });
        }
        check_chain(genesis, self.suite, &self.chain)?;
        let mut decided = Decided { genesis, validators: genesis.validator_set(), height: 0 };
        for change in &self.validator_changes {
            decided = decided.change(change)?;
        }
        decided.check(&self.header, &self.certificate)?;
        self.check_leaf()?;
        Ok(Verified {
            leaf: self.leaf.clone(),
            leaf_index: self.leaf_index,
            record: self.record.clone(),
            header: self.header.clone(),
            time_ms: self.header.time_ms,
        })
    }

    /// Checks that leaf and record are in the header's log.
    fn check_leaf(&self) -> Result<(), ReceiptError> {
        let Self { leaf, header, .. } = self;
        if leaf.height == 0 || leaf.height > header.height {
            return Err(ReceiptError::LeafHeight { height: header.height, found: leaf.height });
        }
        let found = Hash::of(&self.record);
        if found != leaf.record_hash {
            return Err(ReceiptError::Record { expected: leaf.record_hash, found });
        }
        if self.tree_size != header.log_size {
            return Err(ReceiptError::TreeSize { expected: header.log_size, found: self.tree_size });
        }
        merkle::verify_inclusion(&leaf.hash(), self.leaf_index, self.tree_size, &self.inclusion, &header.log_root)
            .map_err(ReceiptError::Inclusion)
    }
}

fn check_chain(genesis: &Genesis, suite: Suite, chain: &ChainId) -> Result<(), ReceiptError> {
    if suite != genesis.suite() {
        return Err(ReceiptError::Suite { expected: genesis.suite(), found: suite });
    }
    let expected = genesis.chain_id();
    if *chain != expected {
        return Err(ReceiptError::Chain { expected: Box::new(expected), found: Box::new(chain.clone()) });
    }
    Ok(())
}

/// How far the chain of validator sets has been followed: `validators` decide the heights above
/// `height`, until a change.
struct Decided<'a> {
    genesis: &'a Genesis,
    validators: &'a ValidatorSet,
    height: u64,
}

impl<'a> Decided<'a> {
    /// Checks that the set in force decided this header.
    fn check(&self, header: &Header, certificate: &CommitCertificate) -> Result<(), ReceiptError> {
        let height = header.height;
        if header.version != HEADER_VERSION {
            let found = header.version;
            return Err(ReceiptError::HeaderVersion { height, expected: HEADER_VERSION, found });
        }
        check_chain(self.genesis, header.suite, &header.chain)?;
        if height <= self.height {
            return Err(ReceiptError::Order { before: self.height, found: height });
        }
        let expected = self.validators.hash();
        if header.validators_hash != expected {
            return Err(ReceiptError::Validators { height, expected, found: header.validators_hash });
        }
        certificate
            .verify_header(header, self.validators)
            .map_err(|source| ReceiptError::Certificate { height, source })
    }

    /// Follows a change that the set in force decided.
    fn change(self, change: &'a ValidatorChange) -> Result<Self, ReceiptError> {
        let ValidatorChange { header, certificate, next_validators } = change;
        self.check(header, certificate)?;
        let (expected, found) = (header.next_validators_hash, next_validators.hash());
        if found != expected {
            return Err(ReceiptError::NextValidators { height: header.height, expected, found });
        }
        Ok(Self { genesis: self.genesis, validators: next_validators, height: header.height })
    }
}

#[cfg(test)]
mod tests;
