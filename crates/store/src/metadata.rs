//! What is checked of a sled directory before sled itself opens it.
//!
//! sled keeps the places of its pages in `metadata/`: one `snapshot_<n>` and the `log_<m>` files
//! after it. Each flush appends one *frame* to the newest log, and on that one frame rests the
//! atomicity of the flush: pages go to free slots and are synced first, the frame that points to
//! them is synced last, and slots are freed only after that.
//!
//! ```text
//! frame = length (6 bytes LE) | low 16 bits of CRC-32 of the length (LE)
//!       | payload (length bytes) | CRC-32 of all before, xor 0xAF (LE)
//! ```
//!
//! Reading the source of `1.0.0-alpha.124` showed two traps, both closed here:
//!
//! - sled reads a log up to the first frame that is not whole and ignores the rest. That is right
//!   for a write torn by a crash, but a flipped bit in the middle silently loses every flush after
//!   it, and opening makes the loss permanent. [`prepare`] refuses a log in which anything whole
//!   follows something broken, and a broken log that is not the newest. A flipped bit in the very
//!   last frame cannot be told from a torn write.
//! - sled deletes the snapshot it has just written when it finds a snapshot without a newer log,
//!   because old and new then have one name. The next opening finds an empty database. A crash
//!   while opening, or before the first flush, leaves exactly that. [`prepare`] puts an empty log
//!   beside such a snapshot.
//!
//! A third cannot be closed from outside: any error while sled reads a log counts as the log's end,
//! also when its background thread folds a full log into a new snapshot. Logs are read back from
//! memory right after they were written, or here before sled does, so a disk hardly brings it
//! about; what it would take away is noticed when it is the newest (the ledger's tip, the index's
//! marks, looked at after each opening), and for the ledger also when it is missed.
//!
//! This module knows the format of one version of sled, which is why that version is pinned.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use replica::port::StoreFault;

use crate::{fault, private};

const OPERATION: &str = "checking a database before opening it";

/// Bytes of sled's settings file.
const SETTINGS_BYTES: u64 = 64;

/// Length of the frame's head and of its checksum.
const HEAD_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// Checks the metadata of the sled database in `directory`, and closes the trap of the lone
/// snapshot. A directory that is not there yet is fine.
pub(crate) fn prepare(directory: &Path) -> Result<(), StoreFault> {
    forget_unfinished(directory).map_err(|error| fault::io(OPERATION, error))?;
    let metadata = directory.join("metadata");
    let (snapshots, logs) = match list(&metadata) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault::io(OPERATION, error)),
    };
    let newest_snapshot = snapshots.last().copied();
    if let Some(number) = newest_snapshot {
        check_snapshot(&metadata.join(file_name("snapshot", number)))?;
    }
    let logs: Vec<u64> = logs.into_iter().filter(|log| Some(*log) > newest_snapshot).collect();
    for (position, number) in logs.iter().enumerate() {
        check_log(&metadata.join(file_name("log", *number)), position + 1 == logs.len())?;
    }
    if let (Some(snapshot), true) = (newest_snapshot, logs.is_empty()) {
        let next = snapshot.saturating_add(1);
        private::fresh()
            .open(metadata.join(file_name("log", next)))
            .and_then(|log| log.sync_all())
            .and_then(|()| fault::sync_directory(&metadata))
            .map_err(|error| fault::io(OPERATION, error))?;
    }
    Ok(())
}

/// Removes a database whose making was cut: sled's settings are durable before the first opening answers, and are never
/// written again. Only if it holds nothing: else they were damaged, and sled says so.
fn forget_unfinished(directory: &Path) -> io::Result<()> {
    let whole = match fs::metadata(directory.join("durability_cookie")) {
        Ok(settings) => settings.len() >= SETTINGS_BYTES,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let holds_something = |name: &str, prefix: &str| -> io::Result<bool> {
        let entries = match fs::read_dir(directory.join(name)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(prefix) && entry.metadata()?.len() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    };
    if whole || holds_something("slabs", "")? || holds_something("metadata", "log_")? {
        return Ok(());
    }
    tracing::info!(database = %directory.display(), "its making was cut before it held anything; it is made again");
    fs::remove_dir_all(directory)
}

/// The name sled gives its metadata files.
fn file_name(prefix: &str, number: u64) -> String {
    format!("{prefix}_{number:016x}")
}

/// The numbers of the snapshots and of the logs in a metadata directory.
fn list(metadata: &Path) -> io::Result<(BTreeSet<u64>, BTreeSet<u64>)> {
    let (mut snapshots, mut logs) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(metadata)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        for (prefix, numbers) in [("snapshot_", &mut snapshots), ("log_", &mut logs)] {
            let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == 16);
            numbers.extend(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
    }
    Ok((snapshots, logs))
}

/// A snapshot is one whole frame.
fn check_snapshot(path: &Path) -> Result<(), StoreFault> {
    let bytes = fs::read(path).map_err(|error| fault::io(OPERATION, error))?;
    match frame_bytes(&bytes) {
        Some(_) => Ok(()),
        None => Err(broken(path, 0)),
    }
}

/// A log is whole frames; after the last of the newest log there may be the beginning of one.
fn check_log(path: &Path, newest: bool) -> Result<(), StoreFault> {
    let bytes = fs::read(path).map_err(|error| fault::io(OPERATION, error))?;
    let mut offset = 0;
    while let Some(length) = bytes.get(offset..).and_then(frame_bytes) {
        offset += length;
    }
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(());
    }
    // A torn write ends the log, for nothing is written after a flush that failed.
    let something_follows = (1..rest.len()).any(|start| rest.get(start..).and_then(frame_bytes).is_some());
    if !newest || something_follows {
        return Err(broken(path, offset));
    }
    tracing::warn!(log = %path.display(), offset, "ignored the torn end of a database log");
    Ok(())
}

/// The length of the whole frame at the beginning of `bytes`, if there is one.
fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let (length, check) = bytes.get(..HEAD_BYTES)?.split_at(6);
    let [low, high, ..] = crc32fast::hash(length).to_le_bytes();
    if check != [low, high] {
        return None;
    }
    let payload =
        length.iter().rev().try_fold(0_usize, |sum, byte| sum.checked_mul(256).map(|sum| sum | usize::from(*byte)))?;
    let body = HEAD_BYTES.checked_add(payload)?;
    let end = body.checked_add(CHECKSUM_BYTES)?;
    let checksum = bytes.get(body..end)?;
    let expected = (crc32fast::hash(bytes.get(..body)?) ^ 0xAF).to_le_bytes();
    (checksum == expected).then_some(end)
}

fn broken(path: &Path, offset: usize) -> StoreFault {
    fault::damaged(
        format!("{} at byte {offset}", path.display()),
        "a whole frame",
        "bytes that do not match their checksum",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let length = u64::try_from(payload.len()).unwrap().to_le_bytes();
        let mut frame = length[..6].to_vec();
        frame.extend_from_slice(&crc32fast::hash(&length[..6]).to_le_bytes()[..2]);
        frame.extend_from_slice(payload);
        frame.extend_from_slice(&(crc32fast::hash(&frame) ^ 0xAF).to_le_bytes());
        frame
    }

    /// Lays out a metadata directory and says whether `prepare` finds it sound.
    fn check(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Result<(), StoreFault>) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("metadata")).unwrap();
        for (name, bytes) in files {
            fs::write(directory.path().join("metadata").join(name), bytes).unwrap();
        }
        let outcome = prepare(directory.path());
        (directory, outcome)
    }

    #[test]
    fn a_directory_that_is_not_there_is_sound() {
        prepare(Path::new("/nowhere/at/all")).unwrap();
    }

    #[test]
    fn a_torn_end_of_the_newest_log_is_sound() {
        let mut log = [frame(b"one"), frame(b"two")].concat();
        for torn in 0..frame(b"two").len() {
            log.truncate(frame(b"one").len() + torn);
            check(&[("log_0000000000000001", log.clone())]).1.unwrap();
            log = [frame(b"one"), frame(b"two")].concat();
        }
        let zeros = [frame(b"one"), vec![0; 4096]].concat();
        check(&[("log_0000000000000001", zeros)]).1.unwrap();
    }

    #[test]
    fn a_flipped_bit_before_the_last_frame_is_damage() {
        let log = [frame(b"one"), frame(b"two")].concat();
        for position in 0..frame(b"one").len() {
            let mut log = log.clone();
            log[position] ^= 0x10;
            let (_directory, outcome) = check(&[("log_0000000000000001", log)]);
            assert!(matches!(outcome, Err(StoreFault::Damaged { .. })), "byte {position}: {outcome:?}");
        }
    }

    #[test]
    fn a_torn_log_that_is_not_the_newest_is_damage() {
        let torn = vec![1, 2, 3];
        let (_directory, outcome) = check(&[("log_0000000000000001", torn), ("log_0000000000000002", Vec::new())]);
        assert!(matches!(outcome, Err(StoreFault::Damaged { .. })), "{outcome:?}");
    }

    #[test]
    fn a_broken_snapshot_is_damage() {
        let mut snapshot = frame(b"pages");
        snapshot[9] ^= 1;
        let (_directory, outcome) = check(&[("snapshot_0000000000000007", snapshot)]);
        assert!(matches!(outcome, Err(StoreFault::Damaged { .. })), "{outcome:?}");
    }

    #[test]
    fn a_lone_snapshot_gets_a_log() {
        let (directory, outcome) = check(&[
            ("snapshot_000000000000000a", frame(b"pages")),
            ("log_000000000000000a", frame(b"older than the snapshot")),
        ]);
        outcome.unwrap();
        let log = directory.path().join("metadata/log_000000000000000b");
        assert_eq!(fs::read(log).unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn a_database_whose_making_was_cut_is_made_again_unless_it_holds_something() {
        for settings in [0, 63] {
            let (directory, outcome) =
                check(&[("snapshot_0000000000000001", vec![1, 2]), ("log_0000000000000002", Vec::new())]);
            assert!(outcome.is_err(), "half a snapshot, and no sign that nothing was written yet");
            let directory = directory.path();
            fs::create_dir(directory.join("slabs")).unwrap();
            fs::write(directory.join("slabs/1024"), []).unwrap();
            fs::write(directory.join("durability_cookie"), vec![0; settings]).unwrap();
            prepare(directory).unwrap();
            assert!(!directory.exists(), "{settings} bytes of settings");
        }
        for (file, bytes) in [("slabs/1024", vec![1]), ("metadata/log_0000000000000002", frame(b"flushed"))] {
            let (directory, _) = check(&[("snapshot_0000000000000001", frame(b""))]);
            let directory = directory.path();
            fs::create_dir(directory.join("slabs")).unwrap();
            fs::write(directory.join("durability_cookie"), []).unwrap();
            fs::write(directory.join(file), bytes).unwrap();
            prepare(directory).unwrap();
            assert!(directory.join(file).exists(), "sled is to say that its settings are damaged");
        }
        let whole = tempfile::tempdir().unwrap();
        fs::write(whole.path().join("durability_cookie"), [0; 64]).unwrap();
        prepare(whole.path()).unwrap();
        assert!(whole.path().exists());
    }
}
