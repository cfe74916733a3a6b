//! The outbox: signed statements on disk, from before they are sent until their receipts are there.
//!
//! A node that answers "not decided yet" has the statement in memory alone, and so has whoever sent it: both may crash
//! together. What was put into an outbox is sent again after that, the very same bytes, in the order in which it came.
//!
//! ```text
//! lock                        held by the one process that has the outbox open
//! NUMBER-STATEMENT.statement  waits; the lowest number is sent first
//! NUMBER-STATEMENT.set-aside  nodes turn it away for good; kept until somebody discards it, or has it sent again
//! NUMBER-STATEMENT.partial    half of a file, whose writing was cut off: nobody was told that it is kept
//! ```
//!
//! A file takes its name when it is whole and synced, and then its directory is synced: nothing is sent before that. What
//! cannot be read is named in an error, and nothing behind it is sent: the order is part of what the outbox promises.
//!
//! Reads and writes files on the caller's thread.

mod file;
mod lock;
mod sending;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chain::hash::StatementId;

pub use sending::{REPEATED, Sent};

use crate::statement::Signed;

/// The file that is locked.
const LOCK: &str = "lock";
/// Digits of a number in a file's name: every number has as many, so that names sort as numbers do.
const NUMBER_DIGITS: usize = 20;
/// What a file's name ends with that is not whole.
const PARTIAL: &str = "partial";

/// How much an outbox keeps. What was set aside counts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Statements at most.
    pub statements_max: usize,
    /// Bytes of their files at most.
    pub bytes_max: u64,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { statements_max: 10_000, bytes_max: 256 * 1024 * 1024 }
    }
}

/// Why an outbox does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// It keeps as much as it may. Send what waits, or discard what was set aside.
    #[error("outbox.full: {what}: expected at most {max}, found {found}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: u64,
        /// How much it would have been.
        found: u64,
    },
    /// One statement with its attachments is larger than any node takes.
    #[error("outbox.too-large: the statement and its attachments: expected at most {max} bytes, found {found}")]
    TooLarge {
        /// The limit in bytes.
        max: u64,
        /// How many there are.
        found: u64,
    },
    /// A file is not what was written, or none of the outbox's. Nothing behind it is sent before somebody has looked.
    #[error("outbox.damaged: {}: expected {expected}, found {found}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Another process has the outbox open.
    #[error("outbox.held: {}{} has it open", directory.display(), holder.map(|pid| format!(": process {pid}")).unwrap_or_default())]
    Held {
        /// The outbox.
        directory: PathBuf,
        /// The process, when it says so.
        holder: Option<u32>,
    },
    /// It keeps no such statement, or not in that state.
    #[error("outbox.unknown: the statement {statement}: expected one that was set aside, found {found}")]
    Unknown {
        /// The statement.
        statement: StatementId,
        /// What there is instead.
        found: &'static str,
    },
    /// The files cannot be read or written. What was to be put may be kept all the same; putting it again is safe.
    #[error("outbox.io: {operation} {}", path.display())]
    Io {
        /// What was done.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl OutboxError {
    /// Every code, in alphabetical order.
    pub const CODES: [&'static str; 6] =
        ["outbox.damaged", "outbox.full", "outbox.held", "outbox.io", "outbox.too-large", "outbox.unknown"];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "outbox.damaged",
            Self::Full { .. } => "outbox.full",
            Self::Held { .. } => "outbox.held",
            Self::Io { .. } => "outbox.io",
            Self::TooLarge { .. } => "outbox.too-large",
            Self::Unknown { .. } => "outbox.unknown",
        }
    }
}

/// An operation on a path that failed.
fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> OutboxError {
    let path = path.to_owned();
    move |source| OutboxError::Io { operation, path: path.clone(), source }
}

/// A statement that an outbox keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place: the lowest is sent first.
    pub number: u64,
    /// The statement.
    pub statement: StatementId,
    /// Bytes of its file.
    pub bytes: u64,
    /// Until when it may be decided, unix seconds.
    pub expires_at_s: u64,
    /// Under which code nodes turned it away for good; none while it waits to be sent.
    pub set_aside: Option<String>,
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    statement: StatementId,
    state: State,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    SetAside,
}

impl State {
    const fn extension(self) -> &'static str {
        match self {
            Self::Waits => "statement",
            Self::SetAside => "set-aside",
        }
    }
}

/// Signed statements on disk, open in this process alone until it is dropped.
pub struct Outbox {
    directory: PathBuf,
    limits: OutboxLimits,
    slots: BTreeMap<u64, Slot>,
    // The operating system gives the lock back when the file is closed, however the process ends.
    _lock: File,
}

impl Outbox {
    /// Opens the outbox of a directory, which is made when it is missing, and only its owner may enter.
    ///
    /// # Errors
    /// [`OutboxError::Held`]; [`OutboxError::Damaged`] for a file that is none of an outbox; [`OutboxError::Io`].
    pub fn open(directory: &Path, limits: OutboxLimits) -> Result<Self, OutboxError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(failed("making the directory", directory))?;
        // The directory's own name must survive too. Whose name is only a root has nothing above it.
        let full = directory.canonicalize().map_err(failed("opening", directory))?;
        if let Some(parent) = full.parent() {
            sync_directory(parent)?;
        }
        // Nothing is written in what is no outbox.
        lock::check(&full)?;
        let lock = lock::take(&full)?;
        let mut outbox = Self { directory: full, limits, slots: BTreeMap::new(), _lock: lock };
        outbox.scan()?;
        Ok(outbox)
    }

    /// Keeps a statement until it is decided and proved, behind those that are there. When this returns, it survives a
    /// crash. One that is kept already stays in its place, and waits again when it had been set aside.
    ///
    /// # Errors
    /// [`OutboxError::Full`] and [`OutboxError::TooLarge`]: it is not kept, and must not be sent on the strength of this
    /// outbox; [`OutboxError::Io`].
    pub fn put(&mut self, signed: &Signed) -> Result<(), OutboxError> {
        if let Some((number, slot)) = self.find(signed.id()) {
            if slot.state == State::SetAside {
                self.change(number, slot, State::Waits, &file::write(signed, None))?;
            }
            // Its name may not have been synced, when an earlier call failed in doing so.
            return sync_directory(&self.directory);
        }
        let content = file::write(signed, None);
        let bytes = size(&content);
        if bytes > file::BYTES_MAX {
            return Err(OutboxError::TooLarge { max: file::BYTES_MAX, found: bytes });
        }
        self.has_room(bytes)?;
        let last = self.slots.last_key_value().map_or(0, |(number, _)| *number);
        let full = OutboxError::Full { what: "numbers", max: u64::MAX, found: last };
        let number = last.checked_add(1).ok_or(full)?;
        self.write(number, Slot { statement: signed.id(), state: State::Waits, bytes }, &content)
    }

    /// How many statements it keeps.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many of them are set aside.
    pub fn set_aside_count(&self) -> usize {
        self.slots.values().filter(|slot| slot.state == State::SetAside).count()
    }

    /// Whether it keeps a statement that waits to be sent, or whose decision nobody has taken over yet.
    pub fn waits(&self, statement: StatementId) -> bool {
        self.find(statement).is_some_and(|(_, slot)| slot.state == State::Waits)
    }

    /// Everything it keeps, in order, read again from the disk. A damaged file is an error in its place.
    pub fn list(&self) -> impl Iterator<Item = Result<Kept, OutboxError>> {
        self.slots.iter().map(|(number, slot)| {
            let (signed, code) = self.read(*number, *slot)?;
            let Slot { statement, bytes, .. } = *slot;
            Ok(Kept { number: *number, statement, bytes, expires_at_s: signed.expires_at_s(), set_aside: code })
        })
    }

    /// Removes a statement that is decided and proved, and whose decision the caller has. It is not there any more when
    /// this returns; without this call it is sent and proved again, with the same answer.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn forget(&mut self, statement: StatementId) -> Result<(), OutboxError> {
        let Some((number, slot)) = self.find(statement) else { return Ok(()) };
        self.remove(number, slot)
    }

    /// Removes a statement that was set aside, for good.
    ///
    /// # Errors
    /// [`OutboxError::Unknown`], also for one that waits: it may be decided any time; [`OutboxError::Io`].
    pub fn discard(&mut self, statement: StatementId) -> Result<(), OutboxError> {
        match self.find(statement) {
            Some((number, slot)) if slot.state == State::SetAside => self.remove(number, slot),
            Some(_) => Err(OutboxError::Unknown { statement, found: "one that waits" }),
            None => Err(OutboxError::Unknown { statement, found: "none" }),
        }
    }

    /// Reads what the directory holds by the names of its files, and removes what was never whole.
    fn scan(&mut self) -> Result<(), OutboxError> {
        let reading = "reading the directory";
        let entries = fs::read_dir(&self.directory).map_err(failed(reading, &self.directory))?;
        let (mut halves, mut settled) = (Vec::new(), Vec::new());
        for entry in entries {
            let entry = entry.map_err(failed(reading, &self.directory))?;
            let (path, name) = (entry.path(), entry.file_name());
            if name == LOCK {
                continue;
            }
            let Some((number, statement, extension)) = name.to_str().and_then(parse_name) else {
                return Err(foreign(path));
            };
            let bytes = entry.metadata().map_err(failed(reading, &path))?.len();
            let state = match extension {
                PARTIAL => {
                    halves.push(path);
                    continue;
                }
                "statement" => State::Waits,
                "set-aside" => State::SetAside,
                _ => return Err(foreign(path)),
            };
            let slot = Slot { statement, state, bytes };
            match self.slots.insert(number, slot) {
                None => {}
                // Its state was being changed: the newer file stands beside the one that it replaces.
                Some(other) if other.statement == statement => settled.push((number, slot, other)),
                Some(_) => return Err(foreign(path)),
            }
        }
        for path in halves {
            fs::remove_file(&path).map_err(failed("removing", &path))?;
        }
        settled.into_iter().try_for_each(|(number, one, other)| self.choose(number, one, other))
    }

    /// Two files of one statement: what was set aside last is sent again at worst, and nothing is lost.
    fn choose(&mut self, number: u64, one: Slot, other: Slot) -> Result<(), OutboxError> {
        let (waits, aside) = if one.state == State::Waits { (one, other) } else { (other, one) };
        // Half a change is undone only when there is something whole to go back to.
        self.read(number, waits)?;
        self.slots.insert(number, waits);
        self.unlink(number, aside)
    }

    fn find(&self, statement: StatementId) -> Option<(u64, Slot)> {
        let mut slots = self.slots.iter();
        slots.find(|(_, slot)| slot.statement == statement).map(|(number, slot)| (*number, *slot))
    }

    fn has_room(&self, bytes: u64) -> Result<(), OutboxError> {
        let OutboxLimits { statements_max, bytes_max } = self.limits;
        if self.slots.len() >= statements_max {
            let max = u64::try_from(statements_max).unwrap_or(u64::MAX);
            return Err(OutboxError::Full { what: "statements", max, found: max.saturating_add(1) });
        }
        let found = self.slots.values().fold(bytes, |sum, slot| sum.saturating_add(slot.bytes));
        if found > bytes_max {
            return Err(OutboxError::Full { what: "bytes", max: bytes_max, found });
        }
        Ok(())
    }

    fn path(&self, number: u64, statement: StatementId, extension: &str) -> PathBuf {
        self.directory.join(format!("{number:0NUMBER_DIGITS$}-{statement}.{extension}"))
    }

    fn read(&self, number: u64, slot: Slot) -> Result<(Signed, Option<String>), OutboxError> {
        let path = self.path(number, slot.statement, slot.state.extension());
        let mut content = Vec::new();
        let opened = File::open(&path).and_then(|file| file.take(file::BYTES_MAX + 1).read_to_end(&mut content));
        opened.map_err(failed("reading", &path))?;
        let damaged = |(expected, found)| OutboxError::Damaged { file: path.clone(), expected, found };
        let (signed, code) = file::read(&content).map_err(damaged)?;
        if signed.id() != slot.statement {
            return Err(damaged(("the statement of its name", format!("the statement {}", signed.id()))));
        }
        if code.is_some() != (slot.state == State::SetAside) {
            return Err(damaged(("the state of its name", code.unwrap_or_else(|| "one that waits".to_owned()))));
        }
        Ok((signed, code))
    }

    /// Writes a file under its name, durably.
    fn write(&mut self, number: u64, slot: Slot, content: &[u8]) -> Result<(), OutboxError> {
        let partial = self.path(number, slot.statement, PARTIAL);
        let writing = failed("writing", &partial);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial).map_err(&writing)?;
        if let Err(error) = file.write_all(content).and_then(|()| file.sync_all()) {
            // Half a file is worth nothing; one that cannot be removed either is found when the outbox is opened.
            drop(fs::remove_file(&partial));
            return Err(writing(error));
        }
        let path = self.path(number, slot.statement, slot.state.extension());
        fs::rename(&partial, &path).map_err(failed("naming", &path))?;
        self.slots.insert(number, slot);
        // Here it is kept for good.
        sync_directory(&self.directory)
    }

    /// Sets a statement aside, or has it wait again: the new file first, then the old one goes.
    fn change(&mut self, number: u64, from: Slot, to: State, content: &[u8]) -> Result<(), OutboxError> {
        self.write(number, Slot { state: to, bytes: size(content), ..from }, content)?;
        self.unlink(number, from)
    }

    fn remove(&mut self, number: u64, slot: Slot) -> Result<(), OutboxError> {
        self.unlink(number, slot)?;
        self.slots.remove(&number);
        Ok(())
    }

    fn unlink(&self, number: u64, slot: Slot) -> Result<(), OutboxError> {
        let path = self.path(number, slot.statement, slot.state.extension());
        fs::remove_file(&path).map_err(failed("removing", &path))?;
        sync_directory(&self.directory)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Outbox");
        shown.field("directory", &self.directory).field("statements", &self.slots.len()).finish_non_exhaustive()
    }
}

/// The number, the statement and the extension of a file's name.
fn parse_name(name: &str) -> Option<(u64, StatementId, &str)> {
    let (number, rest) = name.split_once('-')?;
    let (statement, extension) = rest.split_once('.')?;
    let canonical = number.len() == NUMBER_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = canonical.then(|| number.parse().ok())??;
    Some((number, statement.parse().ok()?, extension))
}

fn foreign(file: PathBuf) -> OutboxError {
    OutboxError::Damaged { file, expected: "a file of an outbox", found: "another name".to_owned() }
}

/// Makes the entries of a directory durable: a file that was made, renamed or removed in it.
fn sync_directory(directory: &Path) -> Result<(), OutboxError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(failed("syncing", directory))
}

fn size(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}
