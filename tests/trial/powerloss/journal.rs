//! The journal of a disk: what was done to it, in order, with directories and files as things of their own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Broken;

/// The file in which the writer says what it acknowledged.
pub(super) const ACKNOWLEDGED: &str = "acknowledged";

/// A file or a directory, under whatever name.
pub(super) type Inode = usize;

/// The directory at the top.
pub(super) const ROOT: Inode = 0;

/// An entry of a directory that came or went.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A name for an inode, in the place of whatever had it.
    Link { name: String, inode: Inode },
    /// A name that is gone.
    Unlink { name: String },
    /// A name that became another, perhaps in another directory.
    Rename { name: String, to: Inode, new_name: String, inode: Inode },
}

/// One thing done to the disk.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Write {
        inode: Inode,
        offset: u64,
        data: Range<usize>,
    },
    Resize {
        inode: Inode,
        length: u64,
    },
    /// Everything done to the inode before an operation of this number is durable.
    Sync {
        inode: Inode,
        before: u64,
    },
    Entry {
        directory: Inode,
        entry: Entry,
    },
}

/// An act, and its number among those of the journal.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) number: u64,
    pub(super) act: Act,
}

/// Something that the writer acknowledged, and after which operation.
#[derive(Clone, Debug)]
pub(super) struct Acknowledgement {
    pub(super) position: usize,
    pub(super) line: String,
}

/// A whole journal.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) bytes: Vec<u8>,
    pub(super) operations: Vec<Operation>,
    pub(super) is_directory: Vec<bool>,
    /// Which inodes hold rows of the index.
    pub(super) is_index: Vec<bool>,
    pub(super) acknowledged: Vec<Acknowledgement>,
    /// Where in the operations an index checkpoint is written: from its evidence to the next.
    pub(super) checkpoints: Vec<Range<usize>>,
    /// How often the writer said that a database was opened again.
    pub(super) reopened: usize,
}

struct Reader<'a> {
    root: &'a Path,
    /// The names that stand now, by directory.
    entries: BTreeMap<(Inode, String), Inode>,
    journal: Journal,
}

/// Kind, number, offset, length of data, length of path.
const HEAD_BYTES: usize = 1 + 8 + 8 + 8 + 4;

impl Journal {
    /// Reads what the shim wrote.
    pub(super) fn read(path: &Path, root: &Path) -> Result<Self, Broken> {
        let bytes = std::fs::read(path)?;
        let journal = Self {
            bytes: Vec::new(),
            operations: Vec::new(),
            is_directory: vec![true],
            is_index: vec![false],
            acknowledged: Vec::new(),
            checkpoints: Vec::new(),
            reopened: 0,
        };
        let mut reader = Reader { root, entries: BTreeMap::new(), journal };
        let mut at = 0;
        while at < bytes.len() {
            at = reader.record(&bytes, at)?;
        }
        let mut journal = reader.journal;
        journal.bytes = bytes;
        Ok(journal)
    }
}

impl Reader<'_> {
    fn record(&mut self, bytes: &[u8], at: usize) -> Result<usize, Broken> {
        let head = bytes.get(at..at + HEAD_BYTES).ok_or("the journal breaks off")?;
        let number = |from: usize| u64::from_le_bytes(head[from..from + 8].try_into().expect("eight bytes"));
        let path_bytes = u32::from_le_bytes(head[25..29].try_into().expect("four bytes")) as usize;
        let path_end = at + HEAD_BYTES + path_bytes;
        let end = path_end + usize::try_from(number(17))?;
        let data = path_end..end;
        let content = bytes.get(data.clone()).ok_or("the journal breaks off")?;
        let path = std::str::from_utf8(&bytes[at + HEAD_BYTES..path_end])?;
        if !path.ends_with(" (deleted)") {
            let path = self.relative(path)?;
            if path.ends_with(ACKNOWLEDGED) {
                self.note(head[0], content)?;
            } else {
                self.act(head[0], number(1), number(9), &path, data, content)?;
            }
        }
        Ok(end)
    }

    /// A line that the writer said.
    fn note(&mut self, kind: u8, content: &[u8]) -> Result<(), Broken> {
        if kind != b'W' {
            return Ok(());
        }
        let position = self.journal.operations.len();
        for line in std::str::from_utf8(content)?.lines() {
            match line {
                "reopened" => self.journal.reopened += 1,
                _ => self.journal.acknowledged.push(Acknowledgement { position, line: line.to_owned() }),
            }
        }
        Ok(())
    }

    fn act(
        &mut self,
        kind: u8,
        number: u64,
        offset: u64,
        path: &Path,
        data: Range<usize>,
        content: &[u8],
    ) -> Result<(), Broken> {
        let position = self.journal.operations.len();
        match kind {
            b'W' => self.push(number, Act::Write { inode: self.find(path)?, offset, data }),
            b'T' => self.push(number, Act::Resize { inode: self.find(path)?, length: offset }),
            b'S' => {
                // The number of a sync is that of the operation it began before.
                let inode = self.find(path)?;
                self.push(number, Act::Sync { inode, before: number });
            }
            b'C' | b'Z' => match self.find(path) {
                Ok(inode) if kind == b'Z' => self.push(number, Act::Resize { inode, length: 0 }),
                Ok(_) => {}
                Err(_) => self.link(number, path, false)?,
            },
            b'M' => self.link(number, path, true)?,
            b'U' => {
                let (directory, name) = self.place(path)?;
                self.entries.remove(&(directory, name.clone()));
                self.push(number, Act::Entry { directory, entry: Entry::Unlink { name } });
            }
            b'R' => {
                let inode = self.find(path)?;
                let (directory, name) = self.place(path)?;
                let new_path = self.relative(std::str::from_utf8(content)?)?;
                let (to, new_name) = self.place(&new_path)?;
                self.entries.remove(&(directory, name.clone()));
                self.entries.insert((to, new_name.clone()), inode);
                if new_name == "index-evidence" {
                    self.checkpoint(position);
                }
                self.push(number, Act::Entry { directory, entry: Entry::Rename { name, to, new_name, inode } });
            }
            other => return Err(format!("the journal has a record of kind {other}").into()),
        }
        Ok(())
    }

    /// A checkpoint begins; the one before ended here at the latest.
    fn checkpoint(&mut self, position: usize) {
        if let Some(last) = self.journal.checkpoints.last_mut() {
            last.end = position;
        }
        self.journal.checkpoints.push(position..position);
    }

    fn push(&mut self, number: u64, act: Act) {
        // The newest checkpoint is under way for as long as something is done.
        let end = self.journal.operations.len() + 1;
        if let Some(last) = self.journal.checkpoints.last_mut() {
            last.end = end;
        }
        self.journal.operations.push(Operation { number, act });
    }

    fn link(&mut self, number: u64, path: &Path, directory: bool) -> Result<(), Broken> {
        let (parent, name) = self.place(path)?;
        let inode = self.journal.is_directory.len();
        self.journal.is_directory.push(directory);
        self.journal.is_index.push(path.starts_with("store/index/slabs"));
        self.entries.insert((parent, name.clone()), inode);
        self.push(number, Act::Entry { directory: parent, entry: Entry::Link { name, inode } });
        Ok(())
    }

    fn relative(&self, path: &str) -> Result<PathBuf, Broken> {
        Ok(Path::new(path).strip_prefix(self.root)?.to_owned())
    }

    fn find(&self, path: &Path) -> Result<Inode, Broken> {
        let mut inode = ROOT;
        for name in path {
            let key = (inode, name.to_string_lossy().into_owned());
            inode = *self.entries.get(&key).ok_or_else(|| format!("{} is not there", path.display()))?;
        }
        Ok(inode)
    }

    /// The directory of a path, and the name in it.
    fn place(&self, path: &Path) -> Result<(Inode, String), Broken> {
        let name = path.file_name().ok_or("the top directory has no name")?.to_string_lossy().into_owned();
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name))
    }
}
