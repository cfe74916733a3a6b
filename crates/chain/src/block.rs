//! Blocks: the header that is agreed on, the statements under it, and the outcomes they had.
//!
//! Owns every binary form a block takes: the header (hashed into the block id), the leaf (hashed
//! into the log), and the body as it is stored and archived. What a statement means, and which
//! outcome it has, is the ledger's.

mod body;
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
    let leaves: Vec<Hash> = statements
        .iter()
        .map(|statement| merkle::leaf_hash(statement.as_ref()))
        .collect();
    merkle::root(&leaves)
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

/// A block that disagrees with itself, or exceeds a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// More statements than a block may have.
    #[error("{found} statements exceed the limit of {statements_max}")]
    TooManyStatements {
        /// How many there are.
        found: usize,
        /// The limit.
        statements_max: usize,
    },
    /// The statements are too large together.
    #[error("the statements exceed the limit of {bytes_max} bytes")]
    StatementsTooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The header counts other statements than the block has.
    #[error("the header counts {expected} statements, the block has {found}")]
    StatementCount {
        /// The header's count.
        expected: u32,
        /// How many there are.
        found: usize,
    },
    /// The header's statements root is not that of the statements.
    #[error("the header's statements root is {expected}, the statements have {found}")]
    StatementsRoot {
        /// The header's root.
        expected: Hash,
        /// The root of the statements.
        found: Hash,
    },
    /// The validator set changes, and the block does not carry the new one.
    #[error("the header names {expected} as the next validator set, the block does not carry it")]
    NextValidatorsMissing {
        /// The next set's hash in the header.
        expected: Hash,
    },
    /// The block carries a validator set although it does not change.
    #[error("the block carries a next validator set, the header keeps {kept}")]
    NextValidatorsUnasked {
        /// The hash of the set that stays.
        kept: Hash,
    },
    /// The block carries another validator set than the header names.
    #[error("the header names {expected} as the next validator set, the block carries {found}")]
    NextValidatorsHash {
        /// The next set's hash in the header.
        expected: Hash,
        /// The hash of the set that the block carries.
        found: Hash,
    },
    /// Not one list of outcomes a statement.
    #[error("{statements} statements have {found} lists of outcomes")]
    OutcomeLists {
        /// How many statements there are.
        statements: usize,
        /// How many lists of outcomes.
        found: usize,
    },
    /// A statement without an outcome: it has at least one event, and each has exactly one outcome.
    #[error("statement {statement} has no outcome")]
    NoOutcome {
        /// The statement's place in the block, from 0.
        statement: usize,
    },
    /// An outcome's code is no code.
    #[error("outcome {event} of statement {statement} has no code of 1 to 64 characters a-z 0-9 . -")]
    OutcomeCode {
        /// The statement's place in the block, from 0.
        statement: usize,
        /// The event's place in the statement, from 0.
        event: usize,
    },
    /// An outcome's subject or record is too large.
    #[error("outcome {event} of statement {statement} has a {part} of {found} bytes, the limit is {bytes_max}")]
    OutcomeTooLarge {
        /// The statement's place in the block, from 0.
        statement: usize,
        /// The event's place in the statement, from 0.
        event: usize,
        /// Which part.
        part: &'static str,
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The outcomes are too large together.
    #[error("the outcomes exceed the limit of {bytes_max} bytes")]
    OutcomesTooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
}

impl BlockError {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyStatements { .. } => "block.too-many-statements",
            Self::StatementsTooLarge { .. } => "block.statements-too-large",
            Self::StatementCount { .. } => "block.statement-count",
            Self::StatementsRoot { .. } => "block.statements-root",
            Self::NextValidatorsMissing { .. } => "block.next-validators-missing",
            Self::NextValidatorsUnasked { .. } => "block.next-validators-unasked",
            Self::NextValidatorsHash { .. } => "block.next-validators-hash",
            Self::OutcomeLists { .. } => "block.outcome-lists",
            Self::NoOutcome { .. } => "block.no-outcome",
            Self::OutcomeCode { .. } => "block.outcome-code",
            Self::OutcomeTooLarge { .. } => "block.outcome-too-large",
            Self::OutcomesTooLarge { .. } => "block.outcomes-too-large",
        }
    }

    /// What should stand in the block, for a report.
    pub fn expected(&self) -> String {
        match self {
            Self::TooManyStatements { statements_max, .. } => format!("at most {statements_max} statements"),
            Self::StatementsTooLarge { bytes_max } => format!("at most {bytes_max} bytes of statements"),
            Self::StatementCount { expected, .. } => format!("{expected} statements"),
            Self::StatementsRoot { expected, .. } => format!("statements root {expected}"),
            Self::NextValidatorsMissing { expected } | Self::NextValidatorsHash { expected, .. } => {
                format!("validator set {expected}")
            }
            Self::NextValidatorsUnasked { kept } => format!("no validator set, since {kept} stays"),
            Self::OutcomeLists { statements, .. } => format!("{statements} lists of outcomes"),
            Self::NoOutcome { statement } => format!("an outcome of statement {statement}"),
            Self::OutcomeCode { .. } => "a code of 1 to 64 characters a-z 0-9 . -".to_owned(),
            Self::OutcomeTooLarge { part, bytes_max, .. } => format!("a {part} of at most {bytes_max} bytes"),
            Self::OutcomesTooLarge { bytes_max } => format!("at most {bytes_max} bytes of outcomes"),
        }
    }

    /// What stands there, for a report.
    pub fn found(&self) -> String {
        match self {
            Self::TooManyStatements { found, .. } | Self::StatementCount { found, .. } => format!("{found} statements"),
            Self::StatementsTooLarge { .. } | Self::OutcomesTooLarge { .. } => "more".to_owned(),
            Self::StatementsRoot { found, .. } => format!("statements root {found}"),
            Self::NextValidatorsMissing { .. } => "no validator set".to_owned(),
            Self::NextValidatorsUnasked { .. } => "a validator set".to_owned(),
            Self::NextValidatorsHash { found, .. } => format!("validator set {found}"),
            Self::OutcomeLists { found, .. } => format!("{found} lists of outcomes"),
            Self::NoOutcome { .. } => "none".to_owned(),
            Self::OutcomeCode { statement, event } => format!("another in outcome {event} of statement {statement}"),
            Self::OutcomeTooLarge {
                statement,
                event,
                found,
                ..
            } => {
                format!("{found} bytes in outcome {event} of statement {statement}")
            }
        }
    }
}

impl Block {
    /// Checks what the block says about itself: limits, statement count and root, and that the
    /// next validator set is carried exactly when it changes.
    pub fn check_shape(&self) -> Result<(), BlockError> {
        let found = self.statements.len();
        if found > STATEMENTS_MAX {
            return Err(BlockError::TooManyStatements {
                found,
                statements_max: STATEMENTS_MAX,
            });
        }
        let within = |room: usize, statement: &Vec<u8>| room.checked_sub(statement.len());
        if self.statements.iter().try_fold(STATEMENTS_BYTES_MAX, within).is_none() {
            return Err(BlockError::StatementsTooLarge {
                bytes_max: STATEMENTS_BYTES_MAX,
            });
        }
        let expected = self.header.statement_count;
        if usize::try_from(expected) != Ok(found) {
            return Err(BlockError::StatementCount { expected, found });
        }
        let root = statements_root(&self.statements);
        if root != self.header.statements_root {
            return Err(BlockError::StatementsRoot {
                expected: self.header.statements_root,
                found: root,
            });
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
    borsh::to_vec(value).expect("no list of a block comes near 2^32 elements, and memory takes every write")
}

/// Refuses bytes that begin with another domain tag.
pub(crate) fn check_tag<const N: usize>(value: &'static str, found: [u8; N], tag: [u8; N]) -> Result<(), DecodeError> {
    if found == tag {
        return Ok(());
    }
    Err(DecodeError::Malformed {
        value,
        source: crate::encoding::invalid_borsh("the bytes begin with another tag"),
    })
}

#[cfg(test)]
mod tests;
