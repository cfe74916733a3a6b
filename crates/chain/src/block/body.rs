//! The body: a block together with its outcomes, as it is stored, archived and served.

use borsh::{BorshDeserialize, BorshSerialize};

use super::leaf::{OUTCOME_RECORD_BYTES_MAX, OUTCOME_SUBJECT_BYTES_MAX};
use super::{BLOCK_BYTES_MAX, Block, BlockError, Header, Outcome, check_tag, to_bytes};
use crate::certificate::{CERTIFICATE_BYTES_MAX, CommitCertificate};
use crate::encoding::{DecodeError, decode_exact};

/// How many bytes the outcomes of a block may have together, encoded: 24 MiB.
pub const OUTCOMES_BYTES_MAX: usize = 24 * 1024 * 1024;

/// How many bytes an encoded body may have.
pub const BODY_BYTES_MAX: usize = BLOCK_BYTES_MAX + OUTCOMES_BYTES_MAX;

/// How many bytes an encoded committed block may have.
pub const COMMITTED_BLOCK_BYTES_MAX: usize = BODY_BYTES_MAX + CERTIFICATE_BYTES_MAX + 8;

/// Begins an encoded body.
const BODY_TAG: [u8; 13] = *b"chain/body/v1";

/// A length in front of a list, in bytes.
const LENGTH_BYTES: usize = 4;

/// A block and the outcomes of its statements.
///
/// The outcomes are not under the block id themselves, but the header's log root covers them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// The block.
    pub block: Block,
    /// One list for each statement, one outcome for each of its events.
    pub outcomes: Vec<Vec<Outcome>>,
}

/// Where one statement and its outcomes stand in an encoded body, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementPlace {
    /// Where the statement's own bytes begin.
    pub offset: u32,
    /// How many they are.
    pub len: u32,
    /// For each outcome, where its encoding begins and how long it is.
    pub outcomes: Vec<(u32, u32)>,
}

impl Body {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.block.header
    }

    /// How many statements the body has.
    pub fn statement_count(&self) -> u64 {
        count(self.block.statements.len())
    }

    /// How many events the body has outcomes for.
    pub fn event_count(&self) -> u64 {
        self.outcomes.iter().map(|outcomes| count(outcomes.len())).sum()
    }

    /// Checks the block as [`Block::check_shape`] does, and that each statement has its outcomes,
    /// each within its limits.
    pub fn check_shape(&self) -> Result<(), BlockError> {
        self.block.check_shape()?;
        self.check_outcomes()
    }

    /// Checks that each statement has its outcomes, each within its limits.
    pub fn check_outcomes(&self) -> Result<(), BlockError> {
        let statements = self.block.statements.len();
        if self.outcomes.len() != statements {
            return Err(BlockError::OutcomeLists { statements, found: self.outcomes.len() });
        }
        let mut room = OUTCOMES_BYTES_MAX;
        for (statement, outcomes) in self.outcomes.iter().enumerate() {
            if outcomes.is_empty() {
                return Err(BlockError::NoOutcome { statement });
            }
            let mut size = LENGTH_BYTES;
            for (event, outcome) in outcomes.iter().enumerate() {
                check_outcome(statement, event, outcome)?;
                size += outcome_size(outcome);
            }
            room = room.checked_sub(size).ok_or(BlockError::OutcomesTooLarge { bytes_max: OUTCOMES_BYTES_MAX })?;
        }
        Ok(())
    }

    /// The body's bytes, as they are stored: a domain tag and the fields in order. Never hashed;
    /// changing this makes what is on disk unreadable.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(&(BODY_TAG, self))
    }

    /// Reads a body from exactly these bytes. What it says about itself is not checked yet:
    /// [`Body::check_shape`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (tag, body) = decode_exact("block body", bytes, BODY_BYTES_MAX)?;
        check_tag("block body", tag, BODY_TAG)?;
        Ok(body)
    }

    /// Reads the header from the first bytes of an encoded body, which may be cut after it.
    pub fn decode_header(start: &[u8]) -> Result<Header, DecodeError> {
        let mut rest = start;
        let (tag, header) = <([u8; 13], Header)>::deserialize(&mut rest)
            .map_err(|source| DecodeError::Malformed { value: "block body", source })?;
        check_tag("block body", tag, BODY_TAG)?;
        Ok(header)
    }

    /// Where statements and outcomes stand in [`Body::encode`]'s bytes, one place a statement, so
    /// that one event can be read without the whole body.
    ///
    /// For bodies that pass [`Body::check_shape`].
    pub fn layout(&self) -> Vec<StatementPlace> {
        let size = |value: usize| u32::try_from(value).expect("a body that passes check_shape is below 32 MiB");
        let length = |value: borsh::io::Result<usize>| value.expect("counting bytes does not fail");
        let mut offset = BODY_TAG.len() + length(borsh::object_length(self.header())) + LENGTH_BYTES;
        let mut places = Vec::with_capacity(self.block.statements.len());
        for statement in &self.block.statements {
            offset += LENGTH_BYTES;
            places.push(StatementPlace { offset: size(offset), len: size(statement.len()), outcomes: Vec::new() });
            offset += statement.len();
        }
        offset += length(borsh::object_length(&self.block.next_validators)) + LENGTH_BYTES;
        for (place, outcomes) in places.iter_mut().zip(&self.outcomes) {
            offset += LENGTH_BYTES;
            for outcome in outcomes {
                let len = outcome_size(outcome);
                place.outcomes.push((size(offset), size(len)));
                offset += len;
            }
        }
        places
    }
}

/// A number of elements in memory, as a `u64`.
fn count(elements: usize) -> u64 {
    u64::try_from(elements).expect("a machine's sizes fit into 64 bits")
}

/// The encoded size of an outcome, in bytes.
fn outcome_size(outcome: &Outcome) -> usize {
    3 * LENGTH_BYTES + outcome.code.len() + outcome.subject.len() + outcome.record.len()
}

fn check_outcome(statement: usize, event: usize, outcome: &Outcome) -> Result<(), BlockError> {
    if !outcome.has_code() {
        return Err(BlockError::OutcomeCode { statement, event });
    }
    for (part, found, bytes_max) in [
        ("subject", outcome.subject.len(), OUTCOME_SUBJECT_BYTES_MAX),
        ("record", outcome.record.len(), OUTCOME_RECORD_BYTES_MAX),
    ] {
        if found > bytes_max {
            return Err(BlockError::OutcomeTooLarge { statement, event, part, found, bytes_max });
        }
    }
    Ok(())
}

/// A block that was decided: its body, and the certificate that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedBlock {
    /// The body.
    pub body: Body,
    /// The certificate.
    pub certificate: CommitCertificate,
}

impl CommittedBlock {
    /// The header.
    pub fn header(&self) -> &Header {
        self.body.header()
    }

    /// The bytes as they are archived: the encoded body and the encoded certificate, each after
    /// its length. Never hashed.
    pub fn encode(&self) -> Vec<u8> {
        Self::join(&self.body.encode(), &self.certificate.encode())
    }

    /// What [`CommittedBlock::encode`] gives, from a body and a certificate that are encoded
    /// already.
    pub fn join(body: &[u8], certificate: &[u8]) -> Vec<u8> {
        to_bytes(&(body, certificate))
    }

    /// Reads a committed block from exactly these bytes. Neither shape nor certificate is checked
    /// yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (body, certificate): (Vec<u8>, Vec<u8>) =
            decode_exact("committed block", bytes, COMMITTED_BLOCK_BYTES_MAX)?;
        Ok(Self { body: Body::decode(&body)?, certificate: CommitCertificate::decode(&certificate)? })
    }
}
