//! The engine's write-ahead log, read before the engine gets it.
//!
//! The log holds what this validator signed at the height it works on, so that after a restart it signs the same again.
//! The engine cuts a damaged log off at the damage and stops; the next start finds a shorter log that looks whole, and
//! the validator votes again without knowing how it voted. So the log is read here first, and nothing is changed: with a
//! log that cannot be trusted, or that somebody removed, nobody votes.
//!
//! The format is the engine's: a header (version, then height, big-endian), then entries of a flag, a length, a CRC-32
//! and an encoded input. An entry at the end that is not all there was being written when the process or the machine
//! died; the engine sends nothing before it is on the disk, so nobody saw what is lost with it.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use arc_malachitebft_core_consensus::Input;
use arc_malachitebft_engine::wal::decode_entry;

use crate::codec::Wire;
use crate::context::{Context, Height};

/// The only version there is.
const VERSION: u32 = 1;

/// Version and height.
const HEADER_BYTES: usize = 4 + 8;

/// What stands before the bytes of an entry: flag, length, checksum.
const ENTRY_HEADER_BYTES: usize = 1 + 8 + 4;

/// What stands before what an entry carries: its kind and its length once more.
const CONTENT_HEADER_BYTES: usize = 1 + 8;

/// Bytes of an entry that holds a timeout; it has no second length.
const TIMEOUT_BYTES: usize = 10;

/// The kind of an entry that holds a timeout.
const TIMEOUT: u8 = 2;

/// Bytes of an entry: votes, proposals and certificates are far smaller.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a log: of one height, whatever it took to decide it.
const LOG_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The log cannot be trusted, so this validator cannot know how it voted.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// It cannot be read.
    #[error("read the consensus log {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not as the engine wrote it.
    #[error(
        "the consensus log {path} is damaged at byte {at}: {what}; it holds how this validator voted at height {height}, \
         so it must not vote before that height is decided; nothing was changed; {REMEDY} {height}"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The place.
        at: usize,
        /// Expected and found.
        what: String,
        /// The height after the ledger's last.
        height: u64,
    },
    /// It is not there, though this validator has blocks.
    #[error(
        "there is no consensus log {path}, but this ledger has blocks up to height {tip}: without it this validator cannot \
         know how it voted at height {}; start with --set node.part=observer, and start as before when `einvoice status` \
         shows at least height {}; only if every validator has lost its log, put an empty file there", tip + 1, tip + 1
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The ledger's height.
        tip: u64,
    },
    /// It is of a later height than the ledger can be at.
    #[error(
        "the consensus log {path} is of height {found}, but this ledger ends at {tip}: an older copy of the ledger was put \
         back, or the log is another node's; nothing was changed; {REMEDY} {found}"
    )]
    Ahead {
        /// The file.
        path: PathBuf,
        /// The log's height.
        found: u64,
        /// The ledger's.
        tip: u64,
    },
}

/// What to do, before the height that must be reached.
const REMEDY: &str = "do not just remove the log, or this validator may sign against itself: move it away, start with \
                      --set node.part=observer, and start as before when `einvoice status` shows at least height";

/// What is wrong at which byte.
struct Wrong {
    at: usize,
    what: String,
}

/// Looks at the log of a validator whose ledger ends at `tip`, and who may be the only one.
///
/// # Errors
/// It cannot be trusted.
pub(crate) fn check(path: &Path, tip: u64, alone: bool) -> Result<(), LogFault> {
    let unreadable = |source| LogFault::Unreadable { path: path.to_owned(), source };
    let bytes = match std::fs::metadata(path) {
        Ok(found) if found.len() > LOG_BYTES_MAX => {
            let what = format!("expected at most {LOG_BYTES_MAX} bytes, found {}", found.len());
            return Err(LogFault::Damaged { path: path.to_owned(), at: 0, what, height: tip + 1 });
        }
        Ok(_) => std::fs::read(path).map_err(unreadable)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Who decides alone keeps none, until it is connected with others.
            let never = tip == 0 || alone;
            return if never { Ok(()) } else { Err(LogFault::Missing { path: path.to_owned(), tip }) };
        }
        Err(error) => return Err(unreadable(error)),
    };
    if bytes.is_empty() {
        // Just made, or put there by somebody who knows.
        return Ok(());
    }
    let damaged =
        |wrong: Wrong| LogFault::Damaged { path: path.to_owned(), at: wrong.at, what: wrong.what, height: tip + 1 };
    let found = height(&bytes).map_err(damaged)?;
    // Of a height that is decided nothing is needed any more, and the engine begins the log anew; if only the height itself
    // can be believed, which the entries show.
    match entries(&bytes, found) {
        Err(wrong) if found > tip || wrong.what.starts_with(OTHER_HEIGHT) => return Err(damaged(wrong)),
        Err(_) => return Ok(()),
        Ok(whole) if whole < bytes.len() => {
            let (path, bytes) = (path.display(), bytes.len() - whole);
            tracing::warn!(%path, bytes, "the last entry of the consensus log is not all there; nothing of it was sent");
        }
        Ok(_) => {}
    }
    if found > tip + 1 {
        return Err(LogFault::Ahead { path: path.to_owned(), found, tip });
    }
    Ok(())
}

/// The header's height.
fn height(bytes: &[u8]) -> Result<u64, Wrong> {
    let Some((version, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(Wrong { at: 0, what: short(HEADER_BYTES, bytes.len()) });
    };
    let version = u32::from_be_bytes(*version);
    if version != VERSION {
        return Err(Wrong { at: 0, what: format!("expected version {VERSION}, found {version}") });
    }
    let Some(height) = rest.first_chunk::<8>() else {
        return Err(Wrong { at: 4, what: short(HEADER_BYTES, bytes.len()) });
    };
    Ok(u64::from_be_bytes(*height))
}

fn short(expected: usize, found: usize) -> String {
    format!("expected {expected} bytes, found {found}")
}

/// How an entry of another height is told of.
const OTHER_HEIGHT: &str = "expected an entry of height";

/// Reads all entries of a log of a height; gives where the last whole one ends.
fn entries(bytes: &[u8], height: u64) -> Result<usize, Wrong> {
    let mut at = HEADER_BYTES;
    while let Some(entry) = entry(bytes, at)? {
        if crc32fast::hash(entry) != checksum(bytes, at) {
            return Err(Wrong { at, what: "the entry's checksum is of other bytes".to_owned() });
        }
        let input = decode_entry::<Context, _, _>(&Wire, Cursor::new(entry))
            .map_err(|error| Wrong { at, what: format!("the entry cannot be read: {error}") })?;
        if let Some(found) = height_of(&input).filter(|found| *found != height) {
            return Err(Wrong { at, what: format!("{OTHER_HEIGHT} {height}, found one of {found}") });
        }
        at += ENTRY_HEADER_BYTES + entry.len();
    }
    Ok(at)
}

/// The bytes of the entry at a place; none at the end, or when the last one is not all there.
fn entry(bytes: &[u8], at: usize) -> Result<Option<&[u8]>, Wrong> {
    let rest = &bytes[at..];
    let Some((header, content)) = rest.split_at_checked(ENTRY_HEADER_BYTES) else { return Ok(None) };
    if header[0] != 0 {
        return Err(Wrong { at, what: format!("expected the flag 0 of an entry, found {}", header[0]) });
    }
    let length = u64::from_be_bytes(*header[1..].first_chunk().expect("a header has 13 bytes"));
    let Some(length) = usize::try_from(length).ok().filter(|length| (1..=ENTRY_BYTES_MAX).contains(length)) else {
        return Err(Wrong { at, what: format!("expected an entry of 1 to {ENTRY_BYTES_MAX} bytes, found {length}") });
    };
    // The length stands twice, and a length that was changed must not pass for an entry that was being written.
    let again = match content.first_chunk::<CONTENT_HEADER_BYTES>() {
        Some([TIMEOUT, ..]) => Some(TIMEOUT_BYTES as u64),
        Some([_, again @ ..]) => u64::from_be_bytes(*again).checked_add(CONTENT_HEADER_BYTES as u64),
        None => Some(length as u64),
    };
    if again != Some(length as u64) {
        return Err(Wrong { at, what: format!("the entry's two lengths differ: {length} and {again:?}") });
    }
    Ok(content.get(..length))
}

fn checksum(bytes: &[u8], at: usize) -> u32 {
    let place = at + ENTRY_HEADER_BYTES - 4;
    u32::from_be_bytes(*bytes[place..].first_chunk().expect("the entry is all there"))
}

/// The height that an entry names, if it does.
fn height_of(input: &Input<Context>) -> Option<u64> {
    let height: Height = match input {
        Input::Vote(vote) => vote.message.height,
        Input::Proposal(proposal) => proposal.message.height,
        Input::ProposedValue(value, _) => value.height,
        Input::PolkaCertificate(certificate) => certificate.height,
        // A timeout names none; the others are never written.
        Input::TimeoutElapsed(_)
        | Input::StartHeight(..)
        | Input::Propose(..)
        | Input::RoundCertificate(..)
        | Input::SyncValueResponse(..) => return None,
    };
    Some(height.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Address, Vote};
    use arc_malachitebft_core_consensus::Input;
    use arc_malachitebft_core_types::{NilOrVal, Round, SignedMessage, VoteType};
    use arc_malachitebft_engine::wal::encode_entry;
    use chain::key::Signature;

    const HEIGHT: u64 = 7;

    /// A log of height 7 as the engine writes it: votes of three rounds.
    fn log() -> Vec<u8> {
        let mut bytes = [&VERSION.to_be_bytes()[..], &HEIGHT.to_be_bytes()].concat();
        for round in 0..3 {
            let message = Vote {
                kind: VoteType::Prevote,
                height: Height(HEIGHT),
                round: Round::new(round),
                value: NilOrVal::Nil,
                voter: Address([1; 32]),
            };
            let vote: Input<Context> = Input::Vote(SignedMessage::new(message, Signature::from_bytes([2; 64])));
            let mut entry = Vec::new();
            encode_entry(vote, &Wire, &mut entry).unwrap();
            bytes.push(0);
            bytes.extend((entry.len() as u64).to_be_bytes());
            bytes.extend(crc32fast::hash(&entry).to_be_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    fn checked(bytes: &[u8], tip: u64) -> Result<(), LogFault> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consensus.wal");
        std::fs::write(&path, bytes).unwrap();
        let outcome = check(&path, tip, false);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is changed");
        outcome
    }

    #[test]
    fn a_log_that_is_whole_or_not_there_is_taken() {
        checked(&log(), HEIGHT - 1).unwrap();
        checked(&[], 0).unwrap();
        checked(&[], 9).unwrap();
        let nowhere = Path::new("/nowhere/consensus.wal");
        check(nowhere, 0, false).unwrap();
        check(nowhere, 9, true).unwrap();
        let refused = check(nowhere, 9, false).unwrap_err();
        assert!(matches!(refused, LogFault::Missing { tip: 9, .. }), "{refused}");
    }

    #[test]
    fn every_flipped_bit_of_a_log_in_use_is_found() {
        let good = log();
        for place in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[place / 8] ^= 1 << (place % 8);
            checked(&bytes, HEIGHT - 1).unwrap_err();
        }
    }

    #[test]
    fn a_last_entry_that_was_being_written_is_no_damage() {
        let good = log();
        let entry = (good.len() - HEADER_BYTES) / 3;
        for length in good.len() - entry..good.len() {
            checked(&good[..length], HEIGHT - 1).unwrap();
        }
        for length in 1..HEADER_BYTES {
            checked(&good[..length], HEIGHT - 1).unwrap_err();
        }
    }

    #[test]
    fn of_a_decided_height_only_the_height_must_be_true() {
        let mut bytes = log();
        *bytes.last_mut().unwrap() ^= 1;
        checked(&bytes, HEIGHT).unwrap();
        bytes = log();
        bytes[HEADER_BYTES - 1] -= 1;
        checked(&bytes, HEIGHT - 1).unwrap_err();
    }

    #[test]
    fn a_log_that_is_ahead_of_the_ledger_is_refused() {
        let refused = checked(&log(), HEIGHT - 2).unwrap_err();
        assert!(matches!(refused, LogFault::Ahead { found: HEIGHT, tip: 5, .. }), "{refused}");
        assert!(refused.to_string().ends_with("shows at least height 7"), "{refused}");
    }
}
