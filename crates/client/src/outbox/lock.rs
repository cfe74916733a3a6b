//! Who has an outbox open, and whether a directory is one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::{LOCK, OutboxError, failed, foreign, parse_name};

/// Longest text of a lock: the number of a process.
const HOLDER_BYTES_MAX: u64 = 20;

/// Refuses a directory that others may write to, or that holds what no outbox does.
pub(super) fn check(directory: &Path) -> Result<(), OutboxError> {
    let reading = "reading the directory";
    let mode = fs::metadata(directory).map_err(failed(reading, directory))?.permissions().mode();
    if mode & 0o022 != 0 {
        let (file, expected) = (directory.to_owned(), "a directory that only its owner may write to");
        return Err(OutboxError::Damaged { file, expected, found: format!("mode {:o}", mode & 0o7777) });
    }
    for entry in fs::read_dir(directory).map_err(failed(reading, directory))? {
        let entry = entry.map_err(failed(reading, directory))?;
        let (path, name) = (entry.path(), entry.file_name());
        let file_type = entry.file_type().map_err(failed(reading, &path))?;
        let known = name == LOCK || name.to_str().and_then(parse_name).is_some();
        // A link leads to a file of somebody else.
        if !known || !file_type.is_file() {
            return Err(foreign(path));
        }
    }
    Ok(())
}

/// Takes the lock of a directory, or says who has it.
pub(super) fn take(directory: &Path) -> Result<File, OutboxError> {
    let path = directory.join(LOCK);
    let locking = failed("locking", &path);
    let mut options = OpenOptions::new();
    let mut file =
        options.create(true).read(true).write(true).truncate(false).mode(0o600).open(&path).map_err(&locking)?;
    let taken = file.try_lock();
    let mut text = Vec::new();
    (&file).take(HOLDER_BYTES_MAX + 1).read_to_end(&mut text).map_err(&locking)?;
    if text.len() as u64 > HOLDER_BYTES_MAX || !text.iter().all(u8::is_ascii_digit) {
        return Err(foreign(path.clone()));
    }
    match taken {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = String::from_utf8(text).ok().and_then(|text| text.parse().ok());
            return Err(OutboxError::Held { directory: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(locking(error)),
    }
    // Only so that a refusal can name it: not synced.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(&locking)?;
    Ok(file)
}
