//! A second place that knows how far the ledger came: the file `ledger-tip`.
//!
//! ```text
//! height (8) | block id (32) | CRC-32 of these (4)
//! ```
//!
//! A flipped bit in the last frame of sled's log looks like a write that a crash tore, so the last
//! commit would vanish without a word; and whatever else could empty the database would look like
//! a new one. The file is written after each commit and not synced, which costs two microseconds:
//! a killed process leaves it as it is, and after a power cut it is at most behind. It is never
//! ahead of what was flushed, so a ledger that is behind it has lost data.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chain::block::BlockId;
use replica::port::StoreFault;

use crate::{fault, private};

const BYTES: usize = 44;
const OPERATION: &str = "noting the tip of the ledger";

/// The open file.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
}

impl Witness {
    /// Opens the file, or makes it.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreFault> {
        let path = directory.join("ledger-tip");
        let file = private::options().create(true).read(true).write(true).truncate(false).open(path);
        let file = file.map_err(|error| fault::io(OPERATION, error))?;
        let witness = Self { file };
        witness.take_room().map_err(|error| fault::io(OPERATION, error))?;
        Ok(witness)
    }

    /// Takes the room of a note before there is one: noting comes after the instant of truth, and must not
    /// fail because the disk is full.
    fn take_room(&self) -> std::io::Result<()> {
        if self.file.metadata()?.len() == 0 {
            self.file.write_all_at(&[0; BYTES], 0)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// The height that was noted last; `None` when there is none that can be trusted.
    pub(super) fn height(&self) -> Option<u64> {
        let mut bytes = [0; BYTES];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        let (height, _) = content.split_first_chunk::<8>()?;
        (crc32fast::hash(content).to_be_bytes() == *checksum).then(|| u64::from_be_bytes(*height))
    }

    /// Notes what was just made durable.
    pub(super) fn note(&self, height: u64, id: &BlockId) -> Result<(), StoreFault> {
        let content = [height.to_be_bytes().as_slice(), id.hash().as_bytes()].concat();
        let bytes = [content.as_slice(), &crc32fast::hash(&content).to_be_bytes()].concat();
        self.file.write_all_at(&bytes, 0).map_err(|error| fault::io(OPERATION, error))
    }

    /// Makes the note durable.
    pub(super) fn sync(&self) -> Result<(), StoreFault> {
        self.file.sync_all().map_err(|error| fault::io(OPERATION, error))
    }
}
