//! Why a block is refused for its shape.

use crate::hash::Hash;

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
            Self::OutcomeTooLarge { statement, event, found, .. } => {
                format!("{found} bytes in outcome {event} of statement {statement}")
            }
        }
    }
}
