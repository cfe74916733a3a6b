//! Blocks: the header that is agreed on, the statements under it, and the outcomes they had.
//!
//! Owns every binary form a block takes: the header (hashed into the block id), the leaf (hashed
//! into the log), and the body as it is stored and archived. What a statement means, and which
//! outcome it has, is the ledger's.

mod body;
mod error;
mod leaf;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::encoding::{DecodeError, decode_exact};
use crate::hash::Hash;
use crate::identity::ChainId;
use crate::key::PublicKey;
use crate::merkle;
use crate::suite::Suite;
use crate::validators::ValidatorSet;

pub use crate::hash::BlockId;
pub use body::{BODY_BYTES_MAX, Body, COMMITTED_BLOCK_BYTES_MAX, CommittedBlock, OUTCOMES_BYTES_MAX, StatementPlace};
pub use error::BlockError;
pub use leaf::{
    LEAF_BYTES_MAX, Leaf, OUTCOME_CODE_BYTES_MAX, OUTCOME_RECORD_BYTES_MAX, OUTCOME_SUBJECT_BYTES_MAX, Outcome,
};

/// The header version whose rules this program knows.
pub const HEADER_VERSION: u16 = 1;

/// How many bytes an encoded header may have.
pub const HEADER_BYTES_MAX: usize = 1024;

/// How many bytes the statements of a block may have together: 4 MiB.
pub const STATEMENTS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many statements a block may have.
pub const STATEMENTS_MAX: usize = 16_384;

/// How many bytes an encoded block may have: statements, their lengths, header and validator set.
pub const BLOCK_BYTES_MAX: usize = STATEMENTS_BYTES_MAX + 256 * 1024;

/// Begins everything that is hashed as a header.
const HEADER_TAG: [u8; 15] = *b"chain/header/v1";
/// Begins an encoded block.
const BLOCK_TAG: [u8; 14] = *b"chain/block/v1";

/// The newest state checkpoint that a header vouches for: the root of the state tree as it stood
/// after a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StateCheckpoint {
    /// The height after which the state stood so; 0 for genesis.
    pub height: u64,
    /// The root of the state tree.
    pub root: Hash,
}

/// A block header: everything validators agree on, and all that a block id covers.
///
/// The order and widths of the fields are what is hashed. Changing this forks the chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// Which rules the block was made under.
    pub version: u16,
    /// The suite of the chain's signatures and digests.
    pub suite: Suite,
    /// The chain.
    pub chain: ChainId,
    /// The height, from 1; genesis is 0.
    pub height: u64,
    /// The id of the block before; the genesis hash for height 1.
    pub parent: BlockId,
    /// When the block was built, in ms since 1970-01-01 UTC; above the parent's.
    pub time_ms: i64,
    /// The consensus key of the validator that built the block.
    pub proposer: PublicKey,
    /// The RFC 9162 root over the statements' full bytes, in order.
    pub statements_root: Hash,
    /// How many statements the block has.
    pub statement_count: u32,
    /// The root of the log after this block.
    pub log_root: Hash,
    /// How many leaves the log has after this block.
    pub log_size: u64,
    /// The hash of the block's writes of state records, sorted by key.
    pub writes_hash: Hash,
    /// The newest state checkpoint.
    pub state_checkpoint: StateCheckpoint,
    /// The hash of the validator set that decides this height.
    pub validators_hash: Hash,
    /// The hash of the validator set that decides the next height.
    pub next_validators_hash: Hash,
}

impl Header {
    /// The header's bytes: a domain tag and the fields in order.
    ///
    /// Changing this forks the chain.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(&(HEADER_TAG, self))
    }

    /// Reads a header from exactly these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (tag, header) = decode_exact("block header", bytes, HEADER_BYTES_MAX)?;
        check_tag("block header", tag, HEADER_TAG)?;
        Ok(header)
    }

    /// The block id: SHA-256 of the header's bytes.
    pub fn id(&self) -> BlockId {
        Hash::of(&self.encode()).into()
    }
}

/// The root that headers carry for these statements: the RFC 9162 tree over their full bytes.
///
/// Changing this forks the chain.
pub fn statements_root<S: AsRef<[u8]>>(statements: &[S]) -> Hash {
    let hashes: Vec<Hash> = statements.iter().map(|statement| statement_hash(statement.as_ref())).collect();
    merkle::root(&hashes)
}

/// The hash of a statement's whole bytes, signature and all, as it stands under the root of a block's statements: the
/// leaf hash of RFC 9162.
pub fn statement_hash(bytes: &[u8]) -> Hash {
    merkle::leaf_hash(bytes)
}

/// A block as it is proposed: a header and what it commits to, before anything was executed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The statements in order, each as the very bytes its author signed.
    pub statements: Vec<Vec<u8>>,
    /// The validator set of the next height, given exactly when it differs from this height's.
    pub next_validators: Option<ValidatorSet>,
}

impl Block {
    /// Checks what the block says about itself: limits, statement count and root, and that the
    /// next validator set is carried exactly when it changes.
    pub fn check_shape(&self) -> Result<(), BlockError> {
        self.check_shape_by(&self.statement_hashes())
    }

    /// The hash of each statement, in order: [`statement_hash`].
    pub fn statement_hashes(&self) -> Vec<Hash> {
        self.statements.iter().map(|statement| statement_hash(statement)).collect()
    }

    /// As [`Block::check_shape`], when the caller has [`Block::statement_hashes`] already.
    pub fn check_shape_by(&self, statement_hashes: &[Hash]) -> Result<(), BlockError> {
        let found = self.statements.len();
        if found > STATEMENTS_MAX {
            return Err(BlockError::TooManyStatements { found, statements_max: STATEMENTS_MAX });
        }
        let within = |room: usize, statement: &Vec<u8>| room.checked_sub(statement.len());
        if self.statements.iter().try_fold(STATEMENTS_BYTES_MAX, within).is_none() {
            return Err(BlockError::StatementsTooLarge { bytes_max: STATEMENTS_BYTES_MAX });
        }
        let expected = self.header.statement_count;
        if usize::try_from(expected) != Ok(found) {
            return Err(BlockError::StatementCount { expected, found });
        }
        let root = merkle::root(statement_hashes);
        if root != self.header.statements_root {
            return Err(BlockError::StatementsRoot { expected: self.header.statements_root, found: root });
        }
        self.check_next_validators()
    }

    fn check_next_validators(&self) -> Result<(), BlockError> {
        let expected = self.header.next_validators_hash;
        let kept = self.header.validators_hash;
        match &self.next_validators {
            None if expected == kept => Ok(()),
            None => Err(BlockError::NextValidatorsMissing { expected }),
            Some(_) if expected == kept => Err(BlockError::NextValidatorsUnasked { kept }),
            Some(set) => match set.hash() {
                found if found == expected => Ok(()),
                found => Err(BlockError::NextValidatorsHash { expected, found }),
            },
        }
    }

    /// The block's bytes, as they are proposed: a domain tag and the fields in order.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(&(BLOCK_TAG, self))
    }

    /// How many bytes [`Block::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        borsh::object_length(&(BLOCK_TAG, self)).expect("no list of a block comes near 2^32 elements")
    }

    /// Reads a block from exactly these bytes. What it says about itself is not checked yet:
    /// [`Block::check_shape`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (tag, block) = decode_exact("block", bytes, BLOCK_BYTES_MAX)?;
        check_tag("block", tag, BLOCK_TAG)?;
        Ok(block)
    }
}

/// Encodes a value of ours.
fn to_bytes(value: &impl BorshSerialize) -> Vec<u8> {
    // Blocks are large: a vector that grows on the way would be copied several times.
    let mut bytes = Vec::with_capacity(borsh::object_length(value).unwrap_or_default());
    borsh::to_writer(&mut bytes, value)
        .expect("no list of a block comes near 2^32 elements, and memory takes every write");
    bytes
}

/// Refuses bytes that begin with another domain tag.
pub(crate) fn check_tag<const N: usize>(value: &'static str, found: [u8; N], tag: [u8; N]) -> Result<(), DecodeError> {
    if found == tag {
        return Ok(());
    }
    Err(DecodeError::Malformed { value, source: crate::encoding::invalid_borsh("the bytes begin with another tag") })
}

#[cfg(test)]
mod tests;
