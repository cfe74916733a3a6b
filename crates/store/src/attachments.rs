//! The attachments area: personal data beside the ledger, kept until it is erased.
//!
//! The bytes stand in a file of their own, one after the other without anything between; a sled
//! database says where:
//!
//! ```text
//! 00        -> end of the bytes in use (8)
//! 01 | hash -> offset (8) | length (4) | CRC-32 (4)
//! 02 | hash -> offset (8) | length (4)                being erased
//! ```
//!
//! Erasing has to mean that the bytes are gone. sled writes changed pages to other places and
//! leaves the old ones until it needs them, so the bytes are not given to sled: they are
//! overwritten with zeros where they stand. (What a file system with snapshots, a backup, or the
//! flash under it keeps is beyond this program.) An erasure is first recorded, then done, then
//! forgotten; a start finishes what a crash left. A row that was never acknowledged is beyond the
//! recorded end, and the next start cuts it off.
//!
//! Attachments that are put at the same time share their syncs: the first caller writes for all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use chain::hash::Hash;
use replica::port::{Direction, StoreFault};

use crate::database::{Database, Profile};
use crate::fault;
use crate::options::Options;
use crate::private;
use crate::room::Room;

const END_KEY: &[u8] = &[0];
const KEPT: u8 = 1;
const ERASING: u8 = 2;

const CACHE_BYTES: usize = 4 * 1024 * 1024;
const REOPEN_BYTES: u64 = 32 * 1024 * 1024;

/// Room the look-up rows of one round may need, in bytes.
const ROUND_ROOM_BYTES: u64 = 4 * 1024 * 1024;

/// How many bytes are overwritten at a time.
const ZEROS: &[u8] = &[0; 4096];

const PUTTING: &str = "keeping an attachment";

/// The attachments' file and the database of where they are.
#[derive(Debug)]
pub(crate) struct Attachments {
    database: Database,
    file: File,
    room: Room,
    /// Where the next attachment goes. Held by whoever writes.
    end: Mutex<u64>,
    queue: Mutex<Queue>,
    round_over: Condvar,
}

/// Attachments that wait for the next round.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<Hash, Vec<u8>>,
    /// The round in which what is waiting will be written.
    round: Arc<Round>,
    /// Somebody is writing the round before.
    writing: bool,
}

/// How the writing of one round ended, for all who wait for it.
#[derive(Debug, Default)]
struct Round {
    outcome: OnceLock<Outcome>,
}

#[derive(Clone, Debug)]
enum Outcome {
    Kept,
    Full,
    Failed(String),
}

/// Where an attachment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    offset: u64,
    length: u32,
}

impl Attachments {
    /// Opens the attachments, or makes an empty area; finishes erasures that were begun.
    pub(crate) fn open(options: &Options, room: Room) -> Result<Self, StoreFault> {
        let directory = options.directory.join("attachments");
        let told = |error| fault::io("opening the attachments", error);
        private::directory(&directory).map_err(told)?;
        let database = Database::open(Profile {
            name: "attachments",
            directory: directory.join("places"),
            cache_bytes: CACHE_BYTES,
            zstd_level: 1,
            expansion: 4,
            in_background: false,
        })?;
        let mut open = private::options();
        let file =
            open.create(true).read(true).write(true).truncate(false).open(directory.join("bytes")).map_err(told)?;
        fault::sync_directory(&directory).map_err(told)?;
        let attachments =
            Self { database, file, room, end: Mutex::new(0), queue: Mutex::default(), round_over: Condvar::new() };
        attachments.cut_off_the_rest()?;
        attachments.finish_erasures()?;
        Ok(attachments)
    }

    pub(crate) fn put(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(fault::io(PUTTING, io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        let mut queue = self.queue();
        queue.waiting.insert(*hash, bytes.to_vec());
        let round = Arc::clone(&queue.round);
        loop {
            match round.outcome.get() {
                Some(Outcome::Kept) => return Ok(()),
                Some(Outcome::Full) => return Err(StoreFault::Full { operation: PUTTING }),
                Some(Outcome::Failed(reason)) => return Err(fault::io(PUTTING, io::Error::other(reason.clone()))),
                None if queue.writing => {
                    queue = self.round_over.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                // Nobody writes, so ours is the round that is waiting: write it for all.
                None => queue = self.lead_round(queue),
            }
        }
    }

    pub(crate) fn get(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some((place, checksum)) = self.find(hash)? else {
            return Ok(None);
        };
        let length = usize::try_from(place.length)
            .map_err(|error| fault::io("reading an attachment", io::Error::other(error)))?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, place.offset).map_err(|error| fault::io("reading an attachment", error))?;
        let found = crc32fast::hash(&bytes);
        if found == checksum {
            return Ok(Some(bytes));
        }
        // It may have been erased between the look-up and the reading.
        match self.find(hash)? {
            None => Ok(None),
            Some(_) => Err(fault::damaged(
                format!("attachment {hash}"),
                format!("checksum {checksum:08x}"),
                format!("checksum {found:08x}"),
            )),
        }
    }

    pub(crate) fn erase(&self, hash: &Hash) -> Result<(), StoreFault> {
        let _no_round = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((place, _)) = self.find(hash)? else {
            return Ok(());
        };
        self.room.to_erase().check("erasing an attachment", ROUND_ROOM_BYTES)?;
        let (kept, erasing) = (key(KEPT, hash), key(ERASING, hash));
        let record = encode(place);
        self.database.write([(kept.as_slice(), None), (erasing.as_slice(), Some(record.as_slice()))])?;
        self.database.flush()?;
        self.overwrite(place)?;
        // Not flushed: forgetting it late only means overwriting once more.
        self.database.remove([erasing.as_slice()])
    }

    pub(crate) fn close(&self) -> Result<(), StoreFault> {
        let _no_round = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.database.flush();
        self.database.close();
        outcome
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the round that is waiting, without keeping the queue from the next one meanwhile.
    fn lead_round<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.writing = true;
        let waiting = std::mem::take(&mut queue.waiting);
        let round = std::mem::take(&mut queue.round);
        drop(queue);
        let outcome = match self.write_round(&waiting) {
            Ok(()) => Outcome::Kept,
            Err(StoreFault::Full { .. }) => Outcome::Full,
            Err(fault) => Outcome::Failed(fault.to_string()),
        };
        let mut queue = self.queue();
        queue.writing = false;
        round.outcome.get_or_init(|| outcome);
        self.round_over.notify_all();
        queue
    }

    /// Writes what is waiting: the bytes first and durable, then where they are.
    fn write_round(&self, waiting: &BTreeMap<Hash, Vec<u8>>) -> Result<(), StoreFault> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |error| fault::io(PUTTING, error);
        let (mut rows, mut bytes) = (BTreeMap::new(), Vec::new());
        let mut next = *end;
        for (hash, attachment) in waiting {
            if self.find(hash)?.is_some() {
                continue;
            }
            let length = u32::try_from(attachment.len()).map_err(|error| told(io::Error::other(error)))?;
            let row = [encode(Place { offset: next, length }).as_slice(), &crc32fast::hash(attachment).to_be_bytes()]
                .concat();
            rows.insert(key(KEPT, hash), row);
            bytes.extend_from_slice(attachment);
            next = next.saturating_add(u64::from(length));
        }
        if rows.is_empty() {
            return Ok(());
        }
        self.room.check(PUTTING, (next - *end).saturating_add(ROUND_ROOM_BYTES))?;
        // What a full disk leaves behind the end is written over by the next round.
        let written = self.file.write_all_at(&bytes, *end).and_then(|()| self.file.sync_data());
        written.map_err(|error| fault::io_again(PUTTING, error))?;
        rows.insert(END_KEY.to_vec(), next.to_be_bytes().to_vec());
        self.database.write(rows.iter().map(|(key, row)| (key.as_slice(), Some(row.as_slice()))))?;
        self.database.flush()?;
        *end = next;
        if self.database.held_bytes() >= REOPEN_BYTES {
            self.database.reopen()?;
        }
        Ok(())
    }

    /// Where an attachment is, and its checksum.
    fn find(&self, hash: &Hash) -> Result<Option<(Place, u32)>, StoreFault> {
        let place = || format!("attachments, place of {hash}");
        let Some(row) = self.database.get(place, &key(KEPT, hash))? else {
            return Ok(None);
        };
        let found = decode(&row).and_then(|(place, rest)| Some((place, u32::from_be_bytes(rest.try_into().ok()?))));
        found.map(Some).ok_or_else(|| fault::damaged(place(), "offset, length and checksum", "other bytes"))
    }

    fn overwrite(&self, place: Place) -> Result<(), StoreFault> {
        let told = |error| fault::io("erasing an attachment", error);
        let end = place.offset.saturating_add(u64::from(place.length));
        let mut offset = place.offset;
        while offset < end {
            let rest = usize::try_from(end - offset).unwrap_or(ZEROS.len()).min(ZEROS.len());
            let zeros = ZEROS.get(..rest).unwrap_or_default();
            self.file.write_all_at(zeros, offset).map_err(told)?;
            offset = offset.saturating_add(u64::try_from(rest).map_err(|error| told(io::Error::other(error)))?);
        }
        self.file.sync_data().map_err(told)
    }

    /// Finds the end of what was acknowledged, and cuts off what is beyond it.
    fn cut_off_the_rest(&self) -> Result<(), StoreFault> {
        let place = || "attachments, end of the bytes".to_owned();
        let told = |error| fault::io("opening the attachments", error);
        let recorded = match self.database.get(place, END_KEY)? {
            None => 0,
            Some(row) => {
                let end = <[u8; 8]>::try_from(row.as_slice()).map(u64::from_be_bytes);
                end.map_err(|_| fault::damaged(place(), "8 bytes", format!("{} bytes", row.len())))?
            }
        };
        let length = self.file.metadata().map_err(told)?.len();
        if length < recorded {
            return Err(fault::damaged(place(), format!("at least {recorded} bytes"), format!("{length} bytes")));
        }
        if length > recorded {
            self.file.set_len(recorded).and_then(|()| self.file.sync_all()).map_err(told)?;
        }
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
        Ok(())
    }

    /// Does the erasures that were recorded and perhaps not done.
    fn finish_erasures(&self) -> Result<(), StoreFault> {
        let place = || "attachments, begun erasures".to_owned();
        let range = (Bound::Included([ERASING].as_slice()), Bound::Excluded([ERASING + 1].as_slice()));
        // Each was begun by one caller that did not come back: there cannot be many.
        let rows = self.database.rows(place, range, Direction::Forward, usize::MAX)?;
        for (key, row) in rows {
            let (erased, _) =
                decode(&row).ok_or_else(|| fault::damaged(place(), "offset and length", "other bytes"))?;
            self.overwrite(erased)?;
            self.database.remove([key.as_slice()])?;
        }
        Ok(())
    }
}

fn key(prefix: u8, hash: &Hash) -> Vec<u8> {
    [[prefix].as_slice(), hash.as_bytes()].concat()
}

fn encode(place: Place) -> Vec<u8> {
    [place.offset.to_be_bytes().as_slice(), &place.length.to_be_bytes()].concat()
}

fn decode(row: &[u8]) -> Option<(Place, &[u8])> {
    let (offset, rest) = row.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let place = Place { offset: u64::from_be_bytes(*offset), length: u32::from_be_bytes(*length) };
    Some((place, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{hash, options};

    fn open(directory: &std::path::Path) -> Attachments {
        Attachments::open(&options(directory), Room::new(directory, 0)).unwrap()
    }

    #[test]
    fn an_erasure_that_a_crash_interrupted_is_finished_by_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let attachments = open(directory.path());
        attachments.put(&hash(1), b"secret").unwrap();
        attachments.put(&hash(2), b"public").unwrap();
        let (place, _) = attachments.find(&hash(1)).unwrap().unwrap();
        let (kept, erasing, record) = (key(KEPT, &hash(1)), key(ERASING, &hash(1)), encode(place));
        attachments.database.write([(kept.as_slice(), None), (erasing.as_slice(), Some(record.as_slice()))]).unwrap();
        drop(attachments);
        let attachments = open(directory.path());
        assert_eq!(attachments.get(&hash(1)).unwrap(), None);
        assert_eq!(attachments.get(&hash(2)).unwrap().as_deref(), Some(b"public".as_slice()));
        let bytes = std::fs::read(directory.path().join("attachments/bytes")).unwrap();
        assert_eq!(bytes, b"\0\0\0\0\0\0public");
    }

    #[test]
    fn bytes_that_were_never_acknowledged_are_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let attachments = open(directory.path());
        attachments.put(&hash(1), b"acknowledged").unwrap();
        attachments.file.write_all_at(b"secret", 12).unwrap();
        drop(attachments);
        let attachments = open(directory.path());
        let path = directory.path().join("attachments/bytes");
        assert_eq!(std::fs::read(&path).unwrap(), b"acknowledged");
        drop(attachments);
        std::fs::write(&path, b"ack").unwrap();
        let outcome = Attachments::open(&options(directory.path()), Room::new(directory.path(), 0));
        assert!(matches!(outcome, Err(StoreFault::Damaged { .. })), "{outcome:?}");
    }

    #[test]
    fn changed_bytes_are_damage() {
        let directory = tempfile::tempdir().unwrap();
        let attachments = open(directory.path());
        attachments.put(&hash(1), b"bytes").unwrap();
        attachments.file.write_all_at(b"B", 0).unwrap();
        let fault = attachments.get(&hash(1)).unwrap_err();
        assert!(matches!(fault, StoreFault::Damaged { .. }), "{fault:?}");
    }
}
