//! One process on one directory: the file `lock`, locked for as long as the store is open.
//!
//! The operating system gives the lock back when the process ends, however it ends. The file
//! holds the process id of whoever took it last, only so that a refusal can name it.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use replica::port::StoreFault;

use crate::{fault, private};

/// The longest process id we print.
const HOLDER_BYTES_MAX: u64 = 20;

/// The lock of a directory, held until it is dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Takes the lock of `directory`, or says who holds it.
    pub(crate) fn take(directory: &Path) -> Result<Self, StoreFault> {
        let operation = "locking the store's directory";
        let mut file = private::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(directory.join("lock"))
            .map_err(|error| fault::io(operation, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let place = match holder(&mut file) {
                    Some(pid) => format!("{} (process {pid})", directory.display()),
                    None => directory.display().to_string(),
                };
                return Err(StoreFault::Held { place });
            }
            Err(TryLockError::Error(error)) => return Err(fault::io(operation, error)),
        }
        // Not synced: after a crash of the machine nobody holds the lock, whatever the file says.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(|error| fault::io(operation, error))?;
        Ok(Self { file })
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file gives the lock back in any case; a failure here changes nothing.
        drop(self.file.unlock());
    }
}

/// The process id in the lock file, when there is a readable one.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
