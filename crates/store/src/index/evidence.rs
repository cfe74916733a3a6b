//! Proof that a checkpoint is whole, or absent: never half there.
//!
//! A checkpoint is one flush of sled, or, when it is large, several that a start finishes (see `redo`).
//! By sled's source one flush is one frame of its log: all of its pages or none. Nobody has proved
//! that, so it is not relied upon alone. Before the flush the store writes a file `index-evidence`, synced under another name and renamed, that says for
//! rows of the checkpoint what stood there before and what will stand there after:
//!
//! ```text
//! "einvidx8" | number (8) | rows of the checkpoint (8) | rows of evidence (4)
//! then per row: key length (4) | key | before | after     before, after = 0 or 1 | CRC-32 (4)
//! SHA-256 of all before (32)
//! ```
//!
//! At a start the marks say which checkpoint the database holds, and the evidence is of that
//! checkpoint or of the next one, which was under way. In the first case each row must stand as
//! `after`, in the second as `before`. One that does not, marks that disagree, or evidence that is
//! missing or of another checkpoint: the index is in doubt, and is emptied.
//!
//! What arbitrary subsets of pages could look like, and what tells:
//! - the page of one mark lost or kept alone: the marks disagree, or disagree with the evidence;
//! - both marks new and any page old, or both marks old and any page new: a row of evidence on
//!   that page stands otherwise than it must, unless the page holds no row of evidence. Up to
//!   `evidence_rows_max` writes every row is evidence; above, every n-th in the order of keys,
//!   so a lost page shows with the probability that one of its writes was chosen;
//! - a page whose bytes are wrong: sled's checksum of the page, when it is read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use replica::port::StoreFault;
use sha2::{Digest, Sha256};

use crate::{fault, private};

/// Begins every evidence, in front of the form of the rows.
const NAME: &[u8; 7] = b"einvidx";
/// Counts up whenever rows of the index change their form: an index of another form is emptied and rebuilt.
const FORM: u8 = b'8';
const OPERATION: &str = "writing the evidence of a checkpoint";

/// The longest evidence that is read, in bytes: far more than 65,536 rows with long keys.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The checksum of a row's value; `None` when there is no row.
pub(super) type Stand = Option<u32>;

/// What one row was and will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowEvidence {
    /// The row's key in the tree.
    pub(super) key: Vec<u8>,
    pub(super) before: Stand,
    pub(super) after: Stand,
}

/// The evidence of one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) number: u64,
    pub(super) rows: u64,
    pub(super) sample: Vec<RowEvidence>,
}

/// What stands in a row.
pub(super) fn stand(value: Option<&[u8]>) -> Stand {
    value.map(crc32fast::hash)
}

/// The evidence file in the store's directory.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("index-evidence")
}

/// SHA-256, as the marks keep it.
pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Evidence {
    /// The bytes of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = NAME.to_vec();
        bytes.push(FORM);
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.rows.to_be_bytes());
        bytes.extend_from_slice(&length(self.sample.len()));
        for row in &self.sample {
            bytes.extend_from_slice(&length(row.key.len()));
            bytes.extend_from_slice(&row.key);
            for stand in [row.before, row.after] {
                bytes.push(u8::from(stand.is_some()));
                bytes.extend_from_slice(&stand.unwrap_or_default().to_be_bytes());
            }
        }
        let digest = digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }

    /// Reads what [`Evidence::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, expected) = bytes.split_last_chunk::<32>()?;
        if digest(content) != *expected {
            return None;
        }
        let mut reader = Reader(content.strip_prefix(NAME)?.strip_prefix(&[FORM])?);
        let (number, rows) = (reader.number()?, reader.number()?);
        let count = reader.length()?;
        let mut sample = Vec::new();
        for _ in 0..count {
            let length = reader.length()?;
            sample.push(RowEvidence {
                key: reader.take(length)?.to_vec(),
                before: reader.stand()?,
                after: reader.stand()?,
            });
        }
        reader.0.is_empty().then_some(Self { number, rows, sample })
    }
}

/// Says that bytes are the evidence of an index whose rows have another form than this version's, if they are.
pub(super) fn of_another_form(bytes: &[u8]) -> Option<String> {
    let (content, expected) = bytes.split_last_chunk::<32>()?;
    let form = content.strip_prefix(NAME)?.first().filter(|form| **form != FORM)?;
    let (found, ours) = (form.escape_ascii(), FORM.escape_ascii());
    (digest(content) == *expected).then(|| format!("its rows have form {found}, and this version writes form {ours}"))
}

/// Puts the evidence of the next checkpoint in place of the last one's. Durable when this returns.
pub(super) fn write(directory: &Path, bytes: &[u8]) -> Result<(), StoreFault> {
    let (path, fresh) = (path(directory), directory.join("index-evidence.new"));
    let written = private::fresh().open(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&fresh, &path))
        .and_then(|()| fault::sync_directory(directory))
        .map_err(|error| fault::io_again(OPERATION, error))
}

/// The bytes of the evidence file; `None` when it is missing or too long to be one.
pub(super) fn read(directory: &Path) -> Result<Option<Vec<u8>>, StoreFault> {
    let path = path(directory);
    let told = |error| fault::io("reading the evidence of a checkpoint", error);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() <= FILE_BYTES_MAX => fs::read(&path).map(Some).map_err(told),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(told(error)),
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("keys and samples are shorter than 2^32").to_be_bytes()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        let length = self.take(4)?.try_into().ok().map(u32::from_be_bytes)?;
        usize::try_from(length).ok()
    }

    fn stand(&mut self) -> Option<Stand> {
        let present = self.take(1)?.first().copied()?;
        let checksum = self.take(4)?.try_into().ok().map(u32::from_be_bytes)?;
        match present {
            0 => Some(None),
            1 => Some(Some(checksum)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        let row = |key: &[u8], before, after| RowEvidence { key: key.to_vec(), before, after };
        Evidence {
            number: 7,
            rows: 900,
            sample: vec![row(b"one", None, Some(0)), row(b"", Some(5), Some(6)), row(b"three", Some(1), None)],
        }
    }

    #[test]
    fn evidence_comes_back() {
        assert_eq!(Evidence::decode(&evidence().encode()), Some(evidence()));
    }

    #[test]
    fn evidence_of_another_form_is_known_as_such() {
        let mut bytes = evidence().encode();
        assert_eq!(of_another_form(&bytes), None);
        bytes[NAME.len()] = b'4';
        assert_eq!(of_another_form(&bytes), None, "its digest is wrong");
        let content = bytes.len() - 32;
        let digest = digest(&bytes[..content]);
        bytes[content..].copy_from_slice(&digest);
        assert_eq!(Evidence::decode(&bytes), None);
        let expected = "its rows have form 4, and this version writes form 8";
        assert_eq!(of_another_form(&bytes).as_deref(), Some(expected));
    }

    #[test]
    fn evidence_with_a_flipped_bit_or_a_missing_end_is_none() {
        let bytes = evidence().encode();
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 4;
            assert_eq!(Evidence::decode(&flipped), None, "byte {position}");
            assert_eq!(Evidence::decode(&bytes[..position]), None, "length {position}");
        }
    }
}
