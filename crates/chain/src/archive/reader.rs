//! Reading an archive, frame by frame.

use std::io::{self, Read};

use super::{ARCHIVE_MAGIC, ArchiveEnd, ArchiveError, ArchiveProblem, CHECKSUM_BYTES, FrameKind, checksum};
use crate::block::CommittedBlock;
use crate::genesis::Genesis;

/// What a frame holds.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The genesis, its countersignatures not verified yet.
    Genesis(Box<Genesis>),
    /// A block, nothing about it checked yet.
    Block(Box<CommittedBlock>),
    /// The end, and with it the end of the stream.
    End(ArchiveEnd),
}

/// A frame and where it begins.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The offset of its first byte in the archive.
    pub offset: u64,
    /// What it holds.
    pub entry: Entry,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Genesis,
    Blocks,
    Nothing,
}

/// Reads an archive from a stream, one frame in memory at a time.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    source: R,
    due: Due,
    /// How many bytes have been read, up to the end of the last whole frame.
    offset: u64,
    /// The height of the block that comes next; 0 before the genesis frame.
    height: u64,
}

impl<R: Read> ArchiveReader<R> {
    /// Prepares to read; nothing is read yet. The reader asks for many small pieces: give it a
    /// buffered source.
    pub fn new(source: R) -> Self {
        Self { source, due: Due::Genesis, offset: 0, height: 0 }
    }

    /// How many bytes have been read, up to the end of the last whole frame.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next frame; `None` after the end frame, or after an error.
    ///
    /// That the stream ends with the end frame is checked before that frame is given out.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ArchiveError> {
        if self.due == Due::Nothing {
            return Ok(None);
        }
        let due = self.due;
        // An error is final: behind it, nobody knows where a frame begins.
        self.due = Due::Nothing;
        let (frame, due) =
            self.read(due).map_err(|problem| ArchiveError { offset: self.offset, height: self.height, problem })?;
        self.due = due;
        Ok(Some(frame))
    }

    fn read(&mut self, due: Due) -> Result<(Frame, Due), ArchiveProblem> {
        if due == Due::Genesis {
            self.read_magic()?;
        }
        let (kind, payload, bytes) = self.read_frame()?;
        let (entry, next) = match (due, kind) {
            (Due::Genesis, FrameKind::Genesis) => {
                let genesis = Genesis::parse(&payload).map_err(|error| ArchiveProblem::Genesis(Box::new(error)))?;
                (Entry::Genesis(Box::new(genesis)), Due::Blocks)
            }
            (Due::Blocks, FrameKind::Block) => {
                let block = CommittedBlock::decode(&payload).map_err(ArchiveProblem::Payload)?;
                (Entry::Block(Box::new(block)), Due::Blocks)
            }
            (Due::Blocks, FrameKind::End) => {
                let end = ArchiveEnd::decode(&payload).map_err(ArchiveProblem::Payload)?;
                (Entry::End(end), Due::Nothing)
            }
            (Due::Blocks | Due::Nothing, FrameKind::Genesis) | (Due::Nothing, FrameKind::Block | FrameKind::End) => {
                return Err(ArchiveProblem::Order { expected: "a block or the end", found: kind.byte() });
            }
            (Due::Genesis, FrameKind::Block | FrameKind::End) => {
                return Err(ArchiveProblem::Order { expected: "the genesis", found: kind.byte() });
            }
        };
        let offset = self.offset;
        if kind == FrameKind::End && self.read_up_to(1)? != [] as [u8; 0] {
            return Err(ArchiveProblem::Trailing);
        }
        self.offset = self.offset.saturating_add(bytes);
        self.height = self.height.saturating_add(1);
        Ok((Frame { offset, entry }, next))
    }

    fn read_magic(&mut self) -> Result<(), ArchiveProblem> {
        let found = self.read_up_to(ARCHIVE_MAGIC.len())?;
        if found == ARCHIVE_MAGIC {
            self.offset = length(found.len());
            return Ok(());
        }
        // What is left of an archive that was cut off in its first line is one all the same.
        Err(if ARCHIVE_MAGIC.starts_with(&found) { ArchiveProblem::Truncated } else { ArchiveProblem::Magic })
    }

    /// Reads a frame whole: its kind, its payload, and how many bytes it takes.
    fn read_frame(&mut self) -> Result<(FrameKind, Vec<u8>, u64), ArchiveProblem> {
        let claimed: [u8; 4] = self.read_array()?;
        let [byte] = self.read_array()?;
        let kind = FrameKind::from_byte(byte).ok_or(ArchiveProblem::Kind { found: byte })?;
        let bytes_max = kind.bytes_max();
        let claimed_bytes = u32::from_be_bytes(claimed);
        let too_large = ArchiveProblem::TooLarge { found: u64::from(claimed_bytes), bytes_max };
        let payload_bytes = usize::try_from(claimed_bytes).ok().filter(|&bytes| bytes <= bytes_max).ok_or(too_large)?;
        let payload = self.read_up_to(payload_bytes)?;
        if payload.len() < payload_bytes {
            return Err(ArchiveProblem::Truncated);
        }
        let expected: [u8; CHECKSUM_BYTES] = self.read_array()?;
        let found = checksum(byte, claimed, &payload);
        if found != expected {
            return Err(ArchiveProblem::Checksum { expected: hex::encode(expected), found: hex::encode(found) });
        }
        let bytes = length(payload_bytes + super::FRAME_OVERHEAD_BYTES);
        Ok((kind, payload, bytes))
    }

    fn read_array<const N: usize>(&mut self) -> Result<[u8; N], ArchiveProblem> {
        let mut bytes = [0; N];
        match self.source.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ArchiveProblem::Truncated),
            Err(error) => Err(ArchiveProblem::Io(error)),
        }
    }

    /// Reads this many bytes, or fewer when the stream ends. Memory grows with what is there, not
    /// with what was claimed.
    fn read_up_to(&mut self, bytes: usize) -> Result<Vec<u8>, ArchiveProblem> {
        let mut found = Vec::new();
        let mut part = self.source.by_ref().take(length(bytes));
        part.read_to_end(&mut found).map_err(ArchiveProblem::Io)?;
        Ok(found)
    }
}

/// A size in memory, as a `u64`.
fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a machine's sizes fit into 64 bits")
}
