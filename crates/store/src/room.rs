//! Whether there is room on the disk, asked before anything is written.
//!
//! A write of sled that fails half way leaves the database unusable until the process starts
//! again. A full disk must not come to that: writes are refused while some room is left, reads go
//! on, and when there is room again so do writes, in the same process. Room that somebody else takes
//! between the question and the write is what the reserve is for; who takes even that makes the
//! write fail, and the process stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use replica::port::StoreFault;

use crate::fault;

/// The free space of a file system, compared with a reserve.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    directory: PathBuf,
    /// Shared by all parts of the store, for it may change while they work.
    reserve_bytes: Arc<AtomicU64>,
    claim: Claim,
}

/// How much of the reserve a kind of work leaves alone. What finishes other work may go further than
/// what begins it, so that new work is refused first.
#[derive(Clone, Copy, Debug)]
enum Claim {
    /// New work: all of it.
    Begin,
    /// Work that must still succeed when new work is refused already: half.
    Finish,
    /// What people have a right to: none.
    Erase,
}

impl Room {
    /// Watches the file system that holds `directory`.
    pub(crate) fn new(directory: &Path, reserve_bytes: u64) -> Self {
        let reserve_bytes = Arc::new(AtomicU64::new(reserve_bytes));
        Self { directory: directory.to_owned(), reserve_bytes, claim: Claim::Begin }
    }

    /// The same file system for what finishes work that was begun.
    pub(crate) fn to_finish(&self) -> Self {
        Self { claim: Claim::Finish, ..self.clone() }
    }

    /// The same file system for erasing.
    pub(crate) fn to_erase(&self) -> Self {
        Self { claim: Claim::Erase, ..self.clone() }
    }

    /// Changes the reserve, for all parts of the store.
    pub(crate) fn set_reserve_bytes(&self, reserve_bytes: u64) {
        self.reserve_bytes.store(reserve_bytes, Ordering::Relaxed);
    }

    /// Refuses `operation` when writing `bytes` would touch what of the reserve is to be left alone.
    pub(crate) fn check(&self, operation: &'static str, bytes: u64) -> Result<(), StoreFault> {
        let space =
            rustix::fs::statvfs(&self.directory).map_err(|error| fault::io("asking for free space", error.into()))?;
        let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
        let reserve_bytes = self.reserve_bytes.load(Ordering::Relaxed);
        let left_alone = match self.claim {
            Claim::Begin => reserve_bytes,
            Claim::Finish => reserve_bytes / 2,
            Claim::Erase => 0,
        };
        if free_bytes < left_alone.saturating_add(bytes) {
            return Err(StoreFault::Full { operation });
        }
        Ok(())
    }
}
