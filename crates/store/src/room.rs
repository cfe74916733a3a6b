//! Whether there is room on the disk, asked before anything is written.
//!
//! A write of sled that fails half way leaves the database unusable until the process starts
//! again. A full disk must not come to that: writes are refused while some room is left, reads go
//! on, and when there is room again so do writes.

use std::path::{Path, PathBuf};

use replica::port::StoreFault;

use crate::fault;

/// The free space of a file system, compared with a reserve.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    directory: PathBuf,
    reserve_bytes: u64,
}

impl Room {
    /// Watches the file system that holds `directory`.
    pub(crate) fn new(directory: &Path, reserve_bytes: u64) -> Self {
        Self { directory: directory.to_owned(), reserve_bytes }
    }

    /// The same file system with half the reserve: for work that must still succeed when new
    /// work is refused already.
    pub(crate) fn half_reserve(&self) -> Self {
        Self { directory: self.directory.clone(), reserve_bytes: self.reserve_bytes / 2 }
    }

    /// Refuses `operation` when writing `bytes` would touch the reserve.
    pub(crate) fn check(&self, operation: &'static str, bytes: u64) -> Result<(), StoreFault> {
        let space =
            rustix::fs::statvfs(&self.directory).map_err(|error| fault::io("asking for free space", error.into()))?;
        let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
        if free_bytes < self.reserve_bytes.saturating_add(bytes) {
            return Err(StoreFault::Full { operation });
        }
        Ok(())
    }
}
