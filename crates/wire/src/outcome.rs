//! Outcomes and the leaves of the log.

use chain::block::{
    LEAF_BYTES_MAX, Leaf, OUTCOME_CODE_BYTES_MAX, OUTCOME_RECORD_BYTES_MAX, OUTCOME_SUBJECT_BYTES_MAX, Outcome,
};

use crate::error::Error;
use crate::{Portable, field, generated, message_bytes_max};

impl From<&Outcome> for generated::Outcome {
    fn from(outcome: &Outcome) -> Self {
        Self { code: outcome.code.clone(), subject: outcome.subject.clone(), record: outcome.record.clone() }
    }
}

impl TryFrom<generated::Outcome> for Outcome {
    type Error = Error;

    fn try_from(message: generated::Outcome) -> Result<Self, Error> {
        field::size(message.code.len(), "code", OUTCOME_CODE_BYTES_MAX)?;
        field::size(message.subject.len(), "subject", OUTCOME_SUBJECT_BYTES_MAX)?;
        field::size(message.record.len(), "record", OUTCOME_RECORD_BYTES_MAX)?;
        Ok(Self { code: message.code, subject: message.subject, record: message.record })
    }
}

impl Portable for Outcome {
    type Message = generated::Outcome;
    const NAME: &'static str = "Outcome";
    const BYTES_MAX: usize =
        message_bytes_max(OUTCOME_CODE_BYTES_MAX + OUTCOME_SUBJECT_BYTES_MAX + OUTCOME_RECORD_BYTES_MAX);
}

impl From<&Leaf> for generated::Leaf {
    fn from(leaf: &Leaf) -> Self {
        Self {
            statement: leaf.statement.as_bytes().to_vec(),
            event: leaf.event,
            event_hash: leaf.event_hash.as_bytes().to_vec(),
            code: leaf.code.clone(),
            subject: leaf.subject.clone(),
            height: leaf.height,
            record_hash: leaf.record_hash.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<generated::Leaf> for Leaf {
    type Error = Error;

    fn try_from(message: generated::Leaf) -> Result<Self, Error> {
        field::size(message.code.len(), "code", OUTCOME_CODE_BYTES_MAX)?;
        field::size(message.subject.len(), "subject", OUTCOME_SUBJECT_BYTES_MAX)?;
        Ok(Self {
            statement: field::hash(&message.statement, "statement")?.into(),
            event: message.event,
            event_hash: field::hash(&message.event_hash, "event_hash")?,
            code: message.code,
            subject: message.subject,
            height: message.height,
            record_hash: field::hash(&message.record_hash, "record_hash")?,
        })
    }
}

impl Portable for Leaf {
    type Message = generated::Leaf;
    const NAME: &'static str = "Leaf";
    const BYTES_MAX: usize = message_bytes_max(LEAF_BYTES_MAX);
}
