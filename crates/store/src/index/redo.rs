//! The redo file: all rows of a checkpoint that is written in several flushes.
//!
//! One flush keeps every page it wrote in memory, and on the disk twice, until it is done: too much for
//! a large checkpoint. So a large one is first written to a file `index-redo`, synced under another
//! name and renamed. From there on it will be in the database whatever happens: its rows are written
//! slice by slice, and a start that finds the file writes them all again.
//!
//! ```text
//! "einvredo2" | the end mark of the checkpoint (88)
//! then one zstd frame, and in it per row: key length (4) | key | 0 (deleted), or 1 | value length (4) | value
//! SHA-256 of all bytes of the file before (32)
//! ```
//!
//! It is compressed because it stands on the disk beside both the old pages and the new.
//!
//! The begin mark goes into the first slice and the end mark into the last, so that a database with
//! half a checkpoint and without its redo file is told by its marks.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use replica::port::StoreFault;
use sha2::{Digest, Sha256};

use super::layout::{END_ROW_BYTES, Marks};
use crate::{fault, private};

/// Its number counts up whenever the form of the file changes.
const MAGIC: &[u8; 9] = b"einvredo2";
const OPERATION: &str = "writing the redo file of a checkpoint";
const HEAD_BYTES: usize = MAGIC.len() + END_ROW_BYTES;
const DIGEST_BYTES: usize = 32;
const ZSTD_LEVEL: i32 = 1;

/// Bytes synced at a time: a commit's sync that comes meanwhile waits for no more.
const SYNC_BYTES: usize = 2 * 1024 * 1024;

/// The longest key or value that is read.
const PART_BYTES_MAX: u32 = 256 * 1024 * 1024;

/// A row, its key as in the tree.
pub(super) type RedoRow = (Vec<u8>, Option<Vec<u8>>);

/// The redo file in the store's directory.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("index-redo")
}

fn fresh_path(directory: &Path) -> PathBuf {
    directory.join("index-redo.new")
}

/// Writes the file. Durable when this returns.
pub(super) fn write<'a>(
    directory: &Path,
    marks: &Marks,
    rows: impl Iterator<Item = (Vec<u8>, Option<&'a [u8]>)>,
) -> Result<(), StoreFault> {
    let (path, fresh) = (path(directory), fresh_path(directory));
    fill(&fresh, marks, rows)
        // Half a file must not fill a disk that is full.
        .inspect_err(|_| drop(fs::remove_file(&fresh)))
        .and_then(|()| fs::rename(&fresh, &path))
        .and_then(|()| fault::sync_directory(directory))
        .map_err(|error| fault::io_again(OPERATION, error))
}

fn fill<'a>(path: &Path, marks: &Marks, rows: impl Iterator<Item = (Vec<u8>, Option<&'a [u8]>)>) -> io::Result<()> {
    let file = private::fresh().open(path)?;
    let mut hashing = Hashing { file: BufWriter::with_capacity(SYNC_BYTES, &file), digest: Sha256::new(), unsynced: 0 };
    hashing.write_all(MAGIC)?;
    hashing.write_all(&marks.end_row())?;
    let mut writer = zstd::stream::write::Encoder::new(hashing, ZSTD_LEVEL)?;
    for (key, value) in rows {
        writer.write_all(&length(key.len()))?;
        writer.write_all(&key)?;
        writer.write_all(&[u8::from(value.is_some())])?;
        if let Some(value) = value {
            writer.write_all(&length(value.len()))?;
            writer.write_all(value)?;
        }
    }
    let Hashing { file: mut inner, digest, .. } = writer.finish()?;
    inner.write_all(&digest.finalize())?;
    inner.flush()?;
    file.sync_all()
}

/// Removes the file, once all it holds is durable in the database, and what a crash left of writing one.
pub(super) fn remove(directory: &Path) -> Result<(), StoreFault> {
    [path(directory), fresh_path(directory)].into_iter().try_for_each(|path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault::io("removing a redo file", error)),
        Ok(()) | Err(_) => Ok(()),
    })
}

/// A redo file that was read to its end once, and found whole.
#[derive(Debug)]
pub(super) struct Redo {
    pub(super) marks: Marks,
    path: PathBuf,
    /// Bytes of the compressed rows.
    bytes: u64,
}

impl Redo {
    /// Finds the file. One that is not whole is as good as none: nothing relies on it before it is.
    pub(super) fn find(directory: &Path) -> Result<Option<Self>, StoreFault> {
        let path = path(directory);
        let told = |error| fault::io("reading a redo file", error);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(told)?,
        };
        let whole = file.metadata().map_err(told)?.len();
        let Some(bytes) = whole.checked_sub(u64::try_from(HEAD_BYTES + DIGEST_BYTES).expect("a small number")) else {
            return Ok(None);
        };
        let marks = check(&mut BufReader::with_capacity(SYNC_BYTES, file), bytes).map_err(told)?;
        Ok(marks.map(|marks| Self { marks, path, bytes }))
    }

    /// Its rows, in the order of the tree.
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = Result<RedoRow, StoreFault>>, StoreFault> {
        let told = |error| fault::io("reading a redo file", error);
        let mut reader = BufReader::with_capacity(SYNC_BYTES, File::open(&self.path).map_err(told)?);
        reader.read_exact(&mut [0; HEAD_BYTES]).map_err(told)?;
        let mut reader = zstd::stream::read::Decoder::new(reader.take(self.bytes)).map_err(told)?;
        Ok(std::iter::from_fn(move || row(&mut reader).map_err(told).transpose()))
    }
}

/// Holds a whole file against its digest, and returns the marks it was written for.
fn check(reader: &mut impl Read, bytes: u64) -> io::Result<Option<Marks>> {
    let mut digest = Sha256::new();
    let mut head = [0; HEAD_BYTES];
    reader.read_exact(&mut head)?;
    digest.update(head);
    let mut rest = reader.take(bytes);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = rest.read(&mut piece)?;
        if read == 0 {
            break;
        }
        digest.update(piece.get(..read).unwrap_or_default());
    }
    let mut expected = [0; DIGEST_BYTES];
    rest.into_inner().read_exact(&mut expected)?;
    if digest.finalize()[..] != expected {
        return Ok(None);
    }
    Ok(head.strip_prefix(MAGIC).and_then(Marks::of_end_row))
}

fn row(reader: &mut impl Read) -> io::Result<Option<RedoRow>> {
    let mut first = [0];
    if reader.read(&mut first)? == 0 {
        return Ok(None);
    }
    let mut rest = [0; 3];
    reader.read_exact(&mut rest)?;
    let key = part(reader, u32::from_be_bytes([first[0], rest[0], rest[1], rest[2]]))?;
    let mut present = [0];
    reader.read_exact(&mut present)?;
    if present == [0] {
        return Ok(Some((key, None)));
    }
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    Ok(Some((key, Some(part(reader, u32::from_be_bytes(length))?))))
}

fn part(reader: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    if length > PART_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a part of a row is longer than any"));
    }
    let mut bytes = Vec::new();
    let read = reader.take(u64::from(length)).read_to_end(&mut bytes)?;
    if u32::try_from(read) != Ok(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("keys and values are shorter than 2^32").to_be_bytes()
}

/// Writes to a file, takes the digest of what is written, and syncs it piece by piece.
struct Hashing<'f> {
    file: BufWriter<&'f File>,
    digest: Sha256,
    unsynced: usize,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        self.unsynced += written;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.flush()?;
            self.file.get_ref().sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use chain::hash::Hash;
    use replica::port::CheckpointMark;

    use super::*;

    fn marks() -> Marks {
        let mark = CheckpointMark { number: 3, height: 700, root: Hash::from_bytes([9; 32]) };
        Marks { mark, rows: 4, evidence: [4; 32] }
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let block = |number: usize| Sha256::digest(number.to_be_bytes());
        (0..length.div_ceil(32)).flat_map(block).take(length).collect()
    }

    fn rows() -> Vec<RedoRow> {
        let value = |bytes: &[u8]| Some(bytes.to_vec());
        vec![
            (b"a".to_vec(), value(b"one")),
            (b"b".to_vec(), None),
            (b"c".to_vec(), value(b"")),
            (b"d".to_vec(), value(&noise(3_000_000))),
        ]
    }

    #[test]
    fn rows_come_back_and_a_file_with_a_flipped_bit_or_a_missing_end_is_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Redo::find(directory.path()).unwrap().is_none());
        write(directory.path(), &marks(), rows().iter().map(|(key, value)| (key.clone(), value.as_deref()))).unwrap();
        let redo = Redo::find(directory.path()).unwrap().unwrap();
        assert_eq!(redo.marks, marks());
        assert_eq!(redo.rows().unwrap().collect::<Result<Vec<_>, _>>().unwrap(), rows());
        let path = path(directory.path());
        let bytes = fs::read(&path).unwrap();
        for position in [0, 9, 100, 120, bytes.len() / 2, bytes.len() - 33, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[position] ^= 4;
            fs::write(&path, flipped).unwrap();
            assert!(Redo::find(directory.path()).unwrap().is_none(), "byte {position}");
            fs::write(&path, &bytes[..position]).unwrap();
            assert!(Redo::find(directory.path()).unwrap().is_none(), "length {position}");
        }
        fs::write(&path, &bytes).unwrap();
        assert!(Redo::find(directory.path()).unwrap().is_some());
        remove(directory.path()).unwrap();
        remove(directory.path()).unwrap();
        assert!(Redo::find(directory.path()).unwrap().is_none());
    }
}
