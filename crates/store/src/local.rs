//! The local area: what this node keeps for itself, and no other node has.
//!
//! A sled database of its own, so that damage in it, or a fault, touches nothing of the ledger:
//!
//! ```text
//! 01 | endpoint            -> a webhook endpoint, as its owner registered it
//! 02 | endpoint            -> how far it was served
//! 03 | endpoint | position -> what could not be delivered to it
//! ```
//!
//! Rows are few and small, and each write is flushed by itself. What they mean is the door's.

use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use replica::port::{Direction, KeyRange, LocalRows, LocalTable, Row, StoreFault};

use crate::database::{Database, Profile};
use crate::fault;
use crate::options::Options;
use crate::private;
use crate::room::Room;

const CACHE_BYTES: usize = 1024 * 1024;
const REOPEN_BYTES: u64 = 8 * 1024 * 1024;

/// Room that the pages of one write may need besides its rows, in bytes.
const WRITE_ROOM_BYTES: u64 = 1024 * 1024;

const PUTTING: &str = "keeping local rows";

/// The database of local rows.
#[derive(Debug)]
pub(crate) struct Local {
    database: Database,
    room: Room,
    /// Held from a write to its flush: the database must not be opened again in between.
    writer: Mutex<()>,
}

impl Local {
    /// Opens it, or makes an empty one.
    pub(crate) fn open(options: &Options, room: &Room) -> Result<Self, StoreFault> {
        let directory = options.directory.join("local");
        private::directory(&directory).map_err(|error| fault::io("opening the local rows", error))?;
        let database = Database::open(Profile {
            name: "local",
            directory: directory.join("rows"),
            cache_bytes: CACHE_BYTES,
            zstd_level: 1,
            expansion: 4,
            in_background: false,
        })?;
        fault::sync_directory(&directory).map_err(|error| fault::io("opening the local rows", error))?;
        // A row of progress takes the place of the one before: it must still find room when new work is refused.
        Ok(Self { database, room: room.to_finish(), writer: Mutex::new(()) })
    }

    pub(crate) fn put(&self, rows: &LocalRows) -> Result<(), StoreFault> {
        let bytes: usize = rows.iter().map(|((_, key), row)| key.len() + row.len()).sum();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.room.check(PUTTING, bytes.saturating_add(WRITE_ROOM_BYTES))?;
        let keyed: Vec<(Vec<u8>, &[u8])> =
            rows.iter().map(|((table, key), row)| (full_key(*table, key), row.as_slice())).collect();
        let _writing = self.writing();
        self.database.write(keyed.iter().map(|(key, row)| (key.as_slice(), Some(*row))))?;
        self.flush()
    }

    pub(crate) fn remove(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|(table, key)| full_key(*table, key)).collect();
        let _writing = self.writing();
        self.database.remove(keys.iter().map(Vec::as_slice))?;
        self.flush()
    }

    pub(crate) fn scan(&self, table: LocalTable, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault> {
        let prefix = prefix(table);
        let of = |bound: &Bound<Vec<u8>>| bound.as_ref().map(|key| full_key(table, key));
        let from = match of(&range.0) {
            Bound::Unbounded => Bound::Included(vec![prefix]),
            bound @ (Bound::Included(_) | Bound::Excluded(_)) => bound,
        };
        let to = match of(&range.1) {
            Bound::Unbounded => Bound::Excluded(vec![prefix + 1]),
            bound @ (Bound::Included(_) | Bound::Excluded(_)) => bound,
        };
        let range = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        let rows = self.database.rows(|| format!("local rows, {table:?}"), range, Direction::Forward, limit)?;
        Ok(rows.into_iter().map(|(key, row)| (key.get(1..).unwrap_or_default().to_vec(), row)).collect())
    }

    pub(crate) fn close(&self) -> Result<(), StoreFault> {
        let _writing = self.writing();
        let outcome = self.database.flush();
        self.database.close();
        outcome
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self) -> Result<(), StoreFault> {
        self.database.flush()?;
        if self.database.held_bytes() >= REOPEN_BYTES {
            self.database.reopen()?;
        }
        Ok(())
    }
}

const fn prefix(table: LocalTable) -> u8 {
    match table {
        LocalTable::WebhookEndpoint => 1,
        LocalTable::WebhookProgress => 2,
        LocalTable::WebhookDeadLetter => 3,
    }
}

fn full_key(table: LocalTable, key: &[u8]) -> Vec<u8> {
    [[prefix(table)].as_slice(), key].concat()
}
