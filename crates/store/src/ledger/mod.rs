//! The ledger area: bodies, and what was decided. The truth of this node.
//!
//! One tree. Numbers are big-endian, so that rows stand in the order of heights.
//!
//! ```text
//! 01                                       -> layout version (1 byte)
//! 02 | height (8)                          -> block id (32) | certificate
//! 03 | block id (32)                       -> height (8)             decided bodies only
//! 04 | height (8) | block id (32) | 00     -> directory of the body  (see `body`)
//! 04 | height (8) | block id (32) | 01 | chunk number (4) -> at most 4,096 compressed bytes
//! ```
//!
//! - The tip is the newest row under `02`. A file beside the database notes it too, see `witness`.
//! - Bodies come last because they are most of the bytes and come in order: sled fills its last
//!   page to 62 rows of 64 but halves every other, and 62 chunks fill a slot of 256 KiB to 98 %.
//! - A body gets its row under `03` when it is decided. Until then this process knows it by
//!   memory, and a start looks for it above the tip: that is one page and one sync less before
//!   each vote.
//! - [`Ledger::append`] is one batch: the decision, the row under `03`, and the removal of every
//!   other body at or below that height. sled applies a batch wholly or not at all.
//!
//! The instant of truth is the flush at the end of [`Ledger::append`].

mod body;
mod cache;
mod witness;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::time::Duration;

use chain::block::BlockId;
use chain::hash::Hash;
use replica::port::{Decided, Direction, StoreFault};

use crate::database::{Database, Profile};
use crate::fault;
use crate::options::Options;
use crate::room::Room;
use body::Directory;
use cache::SegmentCache;
use witness::Witness;

const LAYOUT_KEY: &[u8] = &[1];
const LAYOUT_VERSION: u8 = 1;
const DECIDED: u8 = 2;
const HEIGHT_OF: u8 = 3;
const BODY: u8 = 4;

/// Stores what is compressed already nearly as it is.
const PAGE_LEVEL: i32 = -100;

/// How far below the tip a start looks for bodies that were not decided.
const LEFTOVER_HEIGHTS: u64 = 8;

/// Rows a start reads at a time while it looks for undecided bodies.
const START_ROWS: usize = 256;

/// Room that the metadata of one commit may need beside the rows themselves, in bytes.
const COMMIT_ROOM_BYTES: u64 = 4 * 1024 * 1024;

/// The ledger database.
#[derive(Debug)]
pub(crate) struct Ledger {
    database: Database,
    tip: AtomicU64,
    /// Bodies that are kept but not decided: where they are.
    undecided: RwLock<BTreeMap<BlockId, Undecided>>,
    /// One commit at a time.
    committing: Mutex<()>,
    cache: SegmentCache,
    witness: Witness,
    room: Room,
    segment_bytes: u32,
    reopen_bytes: u64,
}

/// A body that may yet be dropped.
#[derive(Clone, Copy, Debug)]
struct Undecided {
    height: u64,
    chunks: u32,
}

impl Ledger {
    /// Opens the ledger, or makes an empty one. A fault names the height that was noted last: what was found is there or
    /// below.
    pub(crate) fn open(options: &Options, room: Room) -> Result<Self, StoreFault> {
        let witness = Witness::open(&options.directory)?;
        let noted = witness.height().unwrap_or_default();
        Self::open_with(options, room, witness).map_err(|fault| fault::near_height(fault, noted))
    }

    fn open_with(options: &Options, room: Room, witness: Witness) -> Result<Self, StoreFault> {
        let database = Database::open(Profile {
            name: "ledger",
            directory: options.directory.join("ledger"),
            cache_bytes: options.ledger_cache_bytes,
            zstd_level: PAGE_LEVEL,
            expansion: 1,
            in_background: false,
        })?;
        let ledger = Self {
            database,
            tip: AtomicU64::new(0),
            undecided: RwLock::new(BTreeMap::new()),
            committing: Mutex::new(()),
            cache: SegmentCache::new(options.segment_cache_bytes),
            witness,
            room,
            segment_bytes: options.segment_bytes(),
            reopen_bytes: options.ledger_reopen_bytes,
        };
        ledger.look_around_within(options.open_timeout)
    }

    /// Finds out where the ledger stands, on a thread of its own: where damage took the newest flushes away, sled may look
    /// for a row in the same page for ever.
    fn look_around_within(self, limit: Duration) -> Result<Self, StoreFault> {
        let (answer, answered) = mpsc::channel();
        let look = move || {
            let outcome = self.look_around().map(|()| self);
            // Nobody listens any more when it took too long.
            drop(answer.send(outcome));
        };
        let started = std::thread::Builder::new().name("ledger-open".to_owned()).spawn(look);
        started.map_err(|error| fault::io("starting the thread that opens the ledger", error))?;
        answered.recv_timeout(limit).unwrap_or_else(|_| {
            Err(fault::damaged("ledger, newest decision", "an answer", format!("none within {limit:?}")))
        })
    }

    fn look_around(&self) -> Result<(), StoreFault> {
        // Closing would flush what is in doubt.
        self.find_where_it_stands().inspect_err(|_| self.database.abandon())
    }

    fn find_where_it_stands(&self) -> Result<(), StoreFault> {
        self.check_layout()?;
        let tip = self.find_tip()?;
        Self::check_not_behind(tip, self.witness.height().unwrap_or_default())?;
        self.tip.store(tip, Ordering::Release);
        self.find_undecided(tip)
    }

    /// What somebody found in the ledger. Damage takes it out of use, also damage that the database knows nothing of, for
    /// what is wrong in one place must not be built on in another. The finding names a height.
    pub(crate) fn judged<T>(&self, outcome: Result<T, StoreFault>) -> Result<T, StoreFault> {
        outcome.map_err(|fault| {
            let fault = fault::near_height(fault, self.tip());
            if let StoreFault::Damaged { place, expected, found } = &fault {
                self.database.condemn(place.clone(), format!("expected {expected}, found {found}"));
            }
            fault
        })
    }

    pub(crate) fn tip(&self) -> u64 {
        self.tip.load(Ordering::Acquire)
    }

    /// Keeps a body. `reserved_bytes` of room are left for others.
    pub(crate) fn put_body(
        &self,
        height: u64,
        id: &BlockId,
        bytes: &[u8],
        reserved_bytes: u64,
    ) -> Result<(), StoreFault> {
        let _one_commit = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.height_of(id)?.is_some() {
            return Ok(());
        }
        let operation = "keeping a body";
        self.room.check(operation, len_u64(bytes).saturating_add(COMMIT_ROOM_BYTES).saturating_add(reserved_bytes))?;
        let (directory, stream) =
            body::compress(bytes, self.segment_bytes).map_err(|error| fault::io(operation, error))?;
        let chunks = directory.chunks();
        let directory_row = (directory_key(height, id), directory.encode());
        let chunk_rows = (0..chunks)
            .zip(stream.chunks(body::CHUNK_BYTES))
            .map(|(number, chunk)| (chunk_key(height, id, number), chunk));
        let rows: Vec<(Vec<u8>, &[u8])> =
            std::iter::once((directory_row.0, directory_row.1.as_slice())).chain(chunk_rows).collect();
        self.database.write(rows.iter().map(|(key, value)| (key.as_slice(), Some(*value))))?;
        // Durable before anybody votes for it.
        self.database.flush()?;
        self.undecided.write().unwrap_or_else(PoisonError::into_inner).insert(*id, Undecided { height, chunks });
        Ok(())
    }

    pub(crate) fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault> {
        let _one_commit = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(Some(height), self.tip().checked_add(1), "a decision that does not follow the tip");
        let dropped: Vec<(BlockId, Undecided)> = {
            let undecided = self.undecided();
            assert!(undecided.contains_key(&decided.id), "decided a block whose body is not kept");
            undecided.iter().filter(|(_, place)| place.height <= height).map(|(id, place)| (*id, *place)).collect()
        };
        self.room.to_finish().check("appending to the ledger", COMMIT_ROOM_BYTES)?;
        let mut writes = BTreeMap::from([
            (decided_key(height), Some(encode_decided(decided))),
            (height_of_key(&decided.id), Some(height.to_be_bytes().to_vec())),
        ]);
        for (id, place) in dropped.iter().filter(|(id, _)| *id != decided.id) {
            writes.insert(directory_key(place.height, id), None);
            writes.extend((0..place.chunks).map(|number| (chunk_key(place.height, id, number), None)));
        }
        self.database.write(writes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))?;
        // From here on the block is final on this node.
        self.database.flush()?;
        self.tip.store(height, Ordering::Release);
        self.witness.note(height, &decided.id)?;
        let mut undecided = self.undecided.write().unwrap_or_else(PoisonError::into_inner);
        for (id, _) in dropped {
            undecided.remove(&id);
        }
        drop(undecided);
        self.reopen_when_heavy()
    }

    pub(crate) fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault> {
        if height == 0 || height > self.tip() {
            return Ok(None);
        }
        let place = || format!("ledger, decision at height {height}");
        let row = self.database.get(place, &decided_key(height))?;
        let row = row.ok_or_else(|| fault::damaged(place(), "a decision, for the tip is above it", "nothing"))?;
        decode_decided(&row)
            .map(Some)
            .ok_or_else(|| fault::damaged(place(), "a block id and a certificate", "a shorter row"))
    }

    pub(crate) fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some((height, directory)) = self.directory(id)? else {
            return Ok(None);
        };
        let stream = self.chunks(height, id, 0, directory.chunks())?;
        let place = |segment: u32| body_place(height, id, segment);
        directory.decompress_all(&stream, place).map(Some)
    }

    pub(crate) fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some((height, directory)) = self.directory(id)? else {
            return Ok(None);
        };
        let Some(end) = offset.checked_add(len).filter(|end| *end <= directory.raw_bytes()) else {
            return Ok(None);
        };
        let mut part = Vec::with_capacity(usize_of(len));
        for number in directory.segments_of(offset, end) {
            let segment = self.cache.get_or_fill((*id, number), || {
                let (first, last, skip) = directory.chunks_of(number);
                let stream = self.chunks(height, id, first, last)?;
                directory.decompress(number, stream.get(skip..).unwrap_or_default(), || body_place(height, id, number))
            })?;
            let (from, to) = directory.range_in(number, offset, end);
            part.extend_from_slice(segment.get(from..to).unwrap_or_default());
        }
        Ok(Some(part))
    }

    pub(crate) fn close(&self) -> Result<(), StoreFault> {
        let _one_commit = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        // Every write was flushed; this one finds out whether the database still answers.
        let outcome = self.database.flush().and_then(|()| self.witness.sync());
        self.database.close();
        outcome
    }

    fn undecided(&self) -> RwLockReadGuard<'_, BTreeMap<BlockId, Undecided>> {
        self.undecided.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tip that was found is not below one that was durable before.
    fn check_not_behind(found: u64, known: u64) -> Result<(), StoreFault> {
        if found < known {
            let expected = format!("height {known} or above");
            return Err(fault::damaged("ledger, newest decision", expected, format!("height {found}")));
        }
        Ok(())
    }

    /// Gives back the memory of written pages, between two commits.
    fn reopen_when_heavy(&self) -> Result<(), StoreFault> {
        let held_bytes = self.database.held_bytes();
        if held_bytes < self.reopen_bytes {
            return Ok(());
        }
        tracing::debug!(held_bytes, "reopening the ledger database");
        self.database.reopen()?;
        Self::check_not_behind(self.find_tip()?, self.tip())
    }

    /// The height under which a body is kept, decided or not.
    fn height_of(&self, id: &BlockId) -> Result<Option<u64>, StoreFault> {
        if let Some(place) = self.undecided().get(id) {
            return Ok(Some(place.height));
        }
        let place = || match self.tip() {
            0 => format!("ledger, where block {} stands", id.hash()),
            tip => format!("ledger, where block {} stands, at or below height {tip}", id.hash()),
        };
        let Some(row) = self.database.get(place, &height_of_key(id))? else {
            return Ok(None);
        };
        let height = <[u8; 8]>::try_from(row.as_slice()).map(u64::from_be_bytes);
        height.map(Some).map_err(|_| fault::damaged(place(), "8 bytes", format!("{} bytes", row.len())))
    }

    fn directory(&self, id: &BlockId) -> Result<Option<(u64, Directory)>, StoreFault> {
        let Some(height) = self.height_of(id)? else {
            return Ok(None);
        };
        let place = || format!("ledger, directory of block {} at height {height}", id.hash());
        let Some(row) = self.database.get(place, &directory_key(height, id))? else {
            // An undecided body may have been dropped since its height was looked up.
            return match self.height_of(id)? {
                None => Ok(None),
                Some(_) => Err(fault::damaged(place(), "a directory", "nothing")),
            };
        };
        let directory = Directory::decode(&row);
        directory
            .map(|directory| Some((height, directory)))
            .ok_or_else(|| fault::damaged(place(), "a directory", "other bytes"))
    }

    /// Chunks `first..last` of a body, one after the other.
    fn chunks(&self, height: u64, id: &BlockId, first: u32, last: u32) -> Result<Vec<u8>, StoreFault> {
        let place = || format!("ledger, chunks {first} to {last} of block {} at height {height}", id.hash());
        let (from, to) = (chunk_key(height, id, first), chunk_key(height, id, last));
        let range = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
        let count = usize_of(last.saturating_sub(first));
        let rows = self.database.rows(place, range, Direction::Forward, count)?;
        if rows.len() != count {
            return Err(fault::damaged(place(), format!("{count} chunks"), format!("{} chunks", rows.len())));
        }
        Ok(rows.into_iter().flat_map(|(_, chunk)| chunk).collect())
    }

    fn check_layout(&self) -> Result<(), StoreFault> {
        let place = || "ledger, layout version".to_owned();
        match self.database.get(place, LAYOUT_KEY)? {
            Some(row) if row == [LAYOUT_VERSION] => Ok(()),
            Some(row) => Err(fault::damaged(place(), format!("[{LAYOUT_VERSION}]"), format!("{row:?}"))),
            None => {
                let everything = (Bound::Unbounded, Bound::Unbounded);
                if !self.database.rows(place, everything, Direction::Forward, 1)?.is_empty() {
                    return Err(fault::damaged(place(), format!("[{LAYOUT_VERSION}]"), "nothing, beside other rows"));
                }
                self.database.write([(LAYOUT_KEY, Some([LAYOUT_VERSION].as_slice()))])?;
                self.database.flush()
            }
        }
    }

    fn find_tip(&self) -> Result<u64, StoreFault> {
        let place = || "ledger, newest decision".to_owned();
        let range = (Bound::Included([DECIDED].as_slice()), Bound::Excluded([HEIGHT_OF].as_slice()));
        let rows = self.database.rows(place, range, Direction::Backward, 1)?;
        let Some((key, row)) = rows.into_iter().next() else {
            return Ok(0);
        };
        let tip = key.get(1..).and_then(|height| <[u8; 8]>::try_from(height).ok()).map(u64::from_be_bytes);
        let (Some(tip), Some(decided)) = (tip, decode_decided(&row)) else {
            return Err(fault::damaged(place(), "a height, a block id and a certificate", "other bytes"));
        };
        // The batch of a commit is whole or absent: a decision without its body is neither.
        if self.height_of(&decided.id)? != Some(tip) {
            let place = format!("ledger, where block {} of height {tip} stands", decided.id.hash());
            return Err(fault::damaged(place, tip.to_string(), "another height or nothing"));
        }
        Ok(tip)
    }

    /// Finds the bodies that were kept and not decided when the process ended.
    fn find_undecided(&self, tip: u64) -> Result<(), StoreFault> {
        let place = || "ledger, undecided bodies".to_owned();
        let mut from = Bound::Included(body_prefix(tip.saturating_sub(LEFTOVER_HEIGHTS)));
        let mut found = BTreeMap::new();
        loop {
            let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded([BODY + 1].as_slice()));
            let rows = self.database.rows(place, range, Direction::Forward, START_ROWS)?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            from = Bound::Excluded(last.clone());
            for (key, row) in &rows {
                let Some((height, id)) = parse_directory_key(key) else {
                    continue;
                };
                let directory =
                    Directory::decode(row).ok_or_else(|| fault::damaged(place(), "a directory", "other bytes"))?;
                if self.height_of(&id)?.is_none() {
                    found.insert(id, Undecided { height, chunks: directory.chunks() });
                }
            }
        }
        self.undecided.write().unwrap_or_else(PoisonError::into_inner).append(&mut found);
        Ok(())
    }
}

fn decided_key(height: u64) -> Vec<u8> {
    [[DECIDED].as_slice(), &height.to_be_bytes()].concat()
}

fn height_of_key(id: &BlockId) -> Vec<u8> {
    [[HEIGHT_OF].as_slice(), id.hash().as_bytes()].concat()
}

fn body_prefix(height: u64) -> Vec<u8> {
    [[BODY].as_slice(), &height.to_be_bytes()].concat()
}

fn directory_key(height: u64, id: &BlockId) -> Vec<u8> {
    [[BODY].as_slice(), &height.to_be_bytes(), id.hash().as_bytes(), &[0]].concat()
}

fn chunk_key(height: u64, id: &BlockId, number: u32) -> Vec<u8> {
    [[BODY].as_slice(), &height.to_be_bytes(), id.hash().as_bytes(), &[1], &number.to_be_bytes()].concat()
}

fn parse_directory_key(key: &[u8]) -> Option<(u64, BlockId)> {
    let (prefix, rest) = key.split_first()?;
    let (height, rest) = rest.split_first_chunk::<8>()?;
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let whole = *prefix == BODY && rest == [0];
    whole.then(|| (u64::from_be_bytes(*height), BlockId::from(Hash::from_bytes(*id))))
}

fn encode_decided(decided: &Decided) -> Vec<u8> {
    [decided.id.hash().as_bytes().as_slice(), &decided.certificate].concat()
}

fn decode_decided(row: &[u8]) -> Option<Decided> {
    let (id, certificate) = row.split_first_chunk::<32>()?;
    Some(Decided { id: BlockId::from(Hash::from_bytes(*id)), certificate: certificate.to_vec() })
}

fn body_place(height: u64, id: &BlockId, segment: u32) -> String {
    format!("ledger, segment {segment} of block {} at height {height}", id.hash())
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A `usize` has at least 32 bits wherever this runs.
fn usize_of(number: u32) -> usize {
    usize::try_from(number).expect("a 32 bit number fits into memory's measure")
}

#[cfg(test)]
mod tests;
