//! A statement as the log sees it.

use crate::block::{Body, Leaf};
use crate::hash::Hash;
use crate::statement::{Limits, Statement, StatementError};

/// A statement of a block, read, and the leaves that its outcomes make.
///
/// It depends on its block alone, so the statements of many blocks may be read at once.
#[derive(Clone, Debug)]
pub struct LogEntry {
    pub(super) statement: Result<Statement, StatementError>,
    /// The hashes of its leaves, as far as events and outcomes go together.
    pub(super) leaves: Vec<Hash>,
}

impl LogEntry {
    /// Reads the statement at a place of a body; nothing beyond the last that has outcomes.
    pub fn read(body: &Body, index: usize, limits: &Limits) -> Option<Self> {
        let (bytes, outcomes) = (body.block.statements.get(index)?, body.outcomes.get(index)?);
        let statement = Statement::parse(bytes.as_slice(), limits);
        let leaves = match &statement {
            Ok(statement) => {
                let (id, height) = (statement.id(), body.header().height);
                let leaves = (0..).zip(statement.events()).zip(outcomes);
                leaves
                    .map(|((event, bytes), outcome)| Leaf::new(id, event, Hash::of(bytes), outcome, height).hash())
                    .collect()
            }
            Err(_) => Vec::new(),
        };
        Some(Self { statement, leaves })
    }

    /// The statement, or why it is none.
    pub fn statement(&self) -> Result<&Statement, &StatementError> {
        self.statement.as_ref()
    }
}
