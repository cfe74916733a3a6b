//! The archive: a whole chain in one stream, for those who verify it offline.
//!
//! ```text
//! "einvoice archive 1\n"
//! frame*:  payload length, u32 BE | kind, u8 | payload | first 8 bytes of SHA-256(kind | length | payload)
//! ```
//!
//! First a genesis frame (1: the genesis file), then block frames (2: committed blocks from height
//! 1 on), last an end frame (3: what the blocks amount to), and then nothing. The checksums tell
//! damage from forgery: a damaged archive is named as such at its first damaged frame, and what
//! passes here still has to be verified (module `verify`).
//!
//! Owns the stream and its limits. It reads what it is given to read, and opens nothing.

mod reader;
mod writer;

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::{BlockId, COMMITTED_BLOCK_BYTES_MAX, Header};
use crate::encoding::{DecodeError, decode_exact};
use crate::genesis::{GENESIS_BYTES_MAX, Genesis, GenesisError};
use crate::hash::Hash;

pub use reader::{ArchiveReader, Entry, Frame};
pub use writer::{ArchiveWriteError, ArchiveWriter};

/// The first bytes of every archive.
pub const ARCHIVE_MAGIC: [u8; 19] = *b"einvoice archive 1\n";

/// How many bytes stand around the payload of a frame: length, kind, checksum.
pub const FRAME_OVERHEAD_BYTES: usize = 4 + 1 + CHECKSUM_BYTES;

/// How many bytes of a SHA-256 end a frame.
const CHECKSUM_BYTES: usize = 8;

/// Begins the payload of the end frame.
const END_TAG: [u8; 20] = *b"chain/archive-end/v1";

/// How many bytes the payload of the end frame may have.
const END_BYTES_MAX: usize = 256;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The genesis file.
    Genesis,
    /// A committed block.
    Block,
    /// The end of the archive.
    End,
}

impl FrameKind {
    /// The byte that stands for the kind.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Genesis => 1,
            Self::Block => 2,
            Self::End => 3,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Genesis),
            2 => Some(Self::Block),
            3 => Some(Self::End),
            _ => None,
        }
    }

    /// How many bytes the payload may have.
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Genesis => GENESIS_BYTES_MAX,
            Self::Block => COMMITTED_BLOCK_BYTES_MAX,
            Self::End => END_BYTES_MAX,
        }
    }
}

/// The checksum of a frame; `length` as it stands in the frame.
fn checksum(kind: u8, length: [u8; 4], payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = Hash::of_parts(&[&[kind], &length, payload]);
    *hash.as_bytes().first_chunk().expect("a digest has 32 bytes")
}

/// What the blocks of an archive amount to; the payload of the end frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ArchiveEnd {
    /// How many blocks the archive has.
    pub blocks: u64,
    /// The height of the last block; 0 when there is none.
    pub tip_height: u64,
    /// The id of the last block; the genesis hash when there is none.
    pub tip: BlockId,
    /// How many leaves the log has after the last block.
    pub log_size: u64,
    /// The root of the log after the last block.
    pub log_root: Hash,
}

impl ArchiveEnd {
    /// What no blocks amount to.
    pub fn of_genesis(genesis: &Genesis) -> Self {
        Self { blocks: 0, tip_height: 0, tip: genesis.block_id(), log_size: 0, log_root: Hash::EMPTY }
    }

    /// What the blocks amount to with one more. Saturates where no archive ever comes.
    #[must_use]
    pub fn with(self, header: &Header) -> Self {
        Self {
            blocks: self.blocks.saturating_add(1),
            tip_height: header.height,
            tip: header.id(),
            log_size: header.log_size,
            log_root: header.log_root,
        }
    }

    /// The payload's bytes: a domain tag and the fields in order.
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(&(END_TAG, self)).expect("fixed sizes, and memory takes every write")
    }

    /// Reads a payload from exactly these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (tag, end) = decode_exact("archive end", bytes, END_BYTES_MAX)?;
        crate::block::check_tag("archive end", tag, END_TAG)?;
        Ok(end)
    }
}

/// An archive that cannot be read further: what is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{problem}, at byte {offset}, height {height}")]
pub struct ArchiveError {
    /// Where the frame begins that cannot be read; 0 for the first line.
    pub offset: u64,
    /// The height of the block that stands or should stand there; 0 before the first.
    pub height: u64,
    /// What is wrong.
    #[source]
    pub problem: ArchiveProblem,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveProblem {
    /// The archive ends before its end frame is complete.
    #[error("the archive is cut off")]
    Truncated,
    /// The first line is another.
    #[error("this is no archive of version 1")]
    Magic,
    /// A frame of no known kind.
    #[error("there is no frame of kind {found}")]
    Kind {
        /// The kind's byte.
        found: u8,
    },
    /// A frame is too large for its kind.
    #[error("a payload of {found} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// The length that the frame claims, in bytes.
        found: u64,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The bytes are not those that were written.
    #[error("the frame is damaged: its checksum is {expected}, its bytes have {found}")]
    Checksum {
        /// The checksum in the frame, hexadecimal.
        expected: String,
        /// The checksum of its bytes, hexadecimal.
        found: String,
    },
    /// A frame that does not stand there.
    #[error("expected {expected}, found a frame of kind {found}")]
    Order {
        /// What may stand there.
        expected: &'static str,
        /// The kind's byte.
        found: u8,
    },
    /// The genesis frame holds no genesis.
    #[error("the genesis frame holds no genesis")]
    Genesis(#[source] Box<GenesisError>),
    /// A block or end frame does not hold what it should.
    #[error("the frame's payload is malformed")]
    Payload(#[source] DecodeError),
    /// The archive goes on after its end frame.
    #[error("the archive goes on after its end")]
    Trailing,
    /// Reading failed; says nothing about the archive.
    #[error("reading failed")]
    Io(#[source] io::Error),
}

impl ArchiveProblem {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "archive.truncated",
            Self::Magic => "archive.magic",
            Self::Kind { .. } => "archive.kind",
            Self::TooLarge { .. } => "archive.too-large",
            Self::Checksum { .. } => "archive.checksum",
            Self::Order { .. } => "archive.order",
            Self::Genesis(_) => "archive.genesis",
            Self::Payload(_) => "archive.payload",
            Self::Trailing => "archive.trailing",
            Self::Io(_) => "archive.io",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
