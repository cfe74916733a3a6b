//! Log checkpoints, which travel as the signed notes they are.

use chain::checkpoint::{NOTE_BYTES_MAX, SignedCheckpoint};

use crate::error::Error;
use crate::{Portable, generated, message_bytes_max};

impl From<&SignedCheckpoint> for generated::LogCheckpoint {
    fn from(checkpoint: &SignedCheckpoint) -> Self {
        Self { note: checkpoint.to_note() }
    }
}

impl TryFrom<generated::LogCheckpoint> for SignedCheckpoint {
    type Error = Error;

    fn try_from(message: generated::LogCheckpoint) -> Result<Self, Error> {
        Self::parse(message.note.as_bytes()).map_err(|error| Error::malformed("note", "a signed log checkpoint", error))
    }
}

impl Portable for SignedCheckpoint {
    type Message = generated::LogCheckpoint;
    const NAME: &'static str = "LogCheckpoint";
    const BYTES_MAX: usize = message_bytes_max(NOTE_BYTES_MAX);
}
