//! Outcomes, and the leaves of the log that commit to them.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{check_tag, to_bytes};
use crate::encoding::{DecodeError, decode_exact};
use crate::hash::{Hash, StatementId};
use crate::merkle;

/// How many bytes the code of an outcome may have.
pub const OUTCOME_CODE_BYTES_MAX: usize = 64;

/// How many bytes the subject of an outcome may have.
pub const OUTCOME_SUBJECT_BYTES_MAX: usize = 256;

/// How many bytes the record of an outcome may have: 64 KiB.
pub const OUTCOME_RECORD_BYTES_MAX: usize = 64 * 1024;

/// How many bytes an encoded leaf may have.
pub const LEAF_BYTES_MAX: usize = 1024;

/// Begins everything that is hashed as a leaf.
const LEAF_TAG: [u8; 13] = *b"chain/leaf/v1";

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Outcome {
    /// [`Outcome::ACCEPTED`], [`Outcome::REPEATED`], or the code of the refusal; 1 to 64
    /// characters of `a-z 0-9 . -`.
    pub code: String,
    /// What the event is about, in the words of the ledger; at most 256 bytes.
    pub subject: String,
    /// What execution added, in the encoding of the ledger; at most 64 KiB.
    pub record: Vec<u8>,
}

impl Outcome {
    /// The code of an event that changed the state.
    pub const ACCEPTED: &'static str = "accepted";

    /// The code of an event that had been accepted before, and is answered with what it had then.
    pub const REPEATED: &'static str = "repeated";

    /// Whether the event changed the state.
    pub fn is_accepted(&self) -> bool {
        self.code == Self::ACCEPTED
    }

    /// Whether the code has the form of one.
    pub(super) fn has_code(&self) -> bool {
        (1..=OUTCOME_CODE_BYTES_MAX).contains(&self.code.len())
            && self.code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
    }
}

/// One leaf of the log: everything that the log commits to about one event.
///
/// The order and widths of the fields are what is hashed. Changing this forks the chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The statement.
    pub statement: StatementId,
    /// The event's place in the statement, from 0.
    pub event: u32,
    /// SHA-256 of the event's bytes.
    pub event_hash: Hash,
    /// The code of the outcome.
    pub code: String,
    /// The subject of the outcome.
    pub subject: String,
    /// The height that brought it.
    pub height: u64,
    /// SHA-256 of the outcome's record.
    pub record_hash: Hash,
}

impl Leaf {
    /// The leaf of one event and its outcome.
    pub fn new(statement: StatementId, event: u32, event_hash: Hash, outcome: &Outcome, height: u64) -> Self {
        Self {
            statement,
            event,
            event_hash,
            code: outcome.code.clone(),
            subject: outcome.subject.clone(),
            height,
            record_hash: Hash::of(&outcome.record),
        }
    }

    /// The leaf's bytes: a domain tag and the fields in order.
    ///
    /// Changing this forks the chain.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(&(LEAF_TAG, self))
    }

    /// Reads a leaf from exactly these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (tag, leaf) = decode_exact("leaf", bytes, LEAF_BYTES_MAX)?;
        check_tag("leaf", tag, LEAF_TAG)?;
        Ok(leaf)
    }

    /// The hash that enters the log: SHA-256(0x00 ‖ the leaf's bytes) (RFC 9162 §2.1.1).
    ///
    /// Changing this forks the chain.
    pub fn hash(&self) -> Hash {
        merkle::leaf_hash(&self.encode())
    }
}
