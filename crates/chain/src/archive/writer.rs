//! Writing an archive, block by block.

use std::io::{self, Write};

use super::{ARCHIVE_MAGIC, ArchiveEnd, FrameKind, checksum};
use crate::block::{BlockId, CommittedBlock};
use crate::genesis::Genesis;

/// An archive that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveWriteError {
    /// A block that does not follow the one before.
    #[error("expected height {expected_height} on {expected_parent}, found height {found_height} on {found_parent}")]
    Order {
        /// The height that comes next.
        expected_height: u64,
        /// The id of the block before.
        expected_parent: BlockId,
        /// The height of the block given.
        found_height: u64,
        /// Its parent.
        found_parent: BlockId,
    },
    /// A payload is too large for its kind: no reader would take it.
    #[error("a payload of {found} bytes at height {height} exceeds the limit of {bytes_max}")]
    TooLarge {
        /// The height.
        height: u64,
        /// The payload's size in bytes.
        found: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// Writing failed.
    #[error("writing the archive failed")]
    Io(#[from] io::Error),
}

/// Writes an archive into a stream. What is written is complete only after
/// [`ArchiveWriter::finish`].
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    target: W,
    end: ArchiveEnd,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive with its genesis.
    pub fn new(mut target: W, genesis: &Genesis) -> Result<Self, ArchiveWriteError> {
        target.write_all(&ARCHIVE_MAGIC)?;
        let mut writer = Self { target, end: ArchiveEnd::of_genesis(genesis) };
        writer.write_frame(FrameKind::Genesis, 0, &genesis.to_bytes())?;
        Ok(writer)
    }

    /// Adds the next block. Whether it verifies is not asked here, only that it follows.
    pub fn push(&mut self, block: &CommittedBlock) -> Result<(), ArchiveWriteError> {
        let header = block.header();
        let expected_height = self.end.tip_height.saturating_add(1);
        if header.height != expected_height || header.parent != self.end.tip {
            return Err(ArchiveWriteError::Order {
                expected_height,
                expected_parent: self.end.tip,
                found_height: header.height,
                found_parent: header.parent,
            });
        }
        self.write_frame(FrameKind::Block, header.height, &block.encode())?;
        self.end = self.end.with(header);
        Ok(())
    }

    /// Ends the archive, flushes, and gives back the stream and what the blocks amount to.
    pub fn finish(mut self) -> Result<(W, ArchiveEnd), ArchiveWriteError> {
        self.write_frame(FrameKind::End, self.end.tip_height, &self.end.encode())?;
        self.target.flush()?;
        Ok((self.target, self.end))
    }

    fn write_frame(&mut self, kind: FrameKind, height: u64, payload: &[u8]) -> Result<(), ArchiveWriteError> {
        let (found, bytes_max) = (payload.len(), kind.bytes_max());
        let Some(length) = u32::try_from(found).ok().filter(|_| found <= bytes_max) else {
            return Err(ArchiveWriteError::TooLarge { height, found, bytes_max });
        };
        let length = length.to_be_bytes();
        self.target.write_all(&length)?;
        self.target.write_all(&[kind.byte()])?;
        self.target.write_all(payload)?;
        self.target.write_all(&checksum(kind.byte(), length, payload))?;
        Ok(())
    }
}
