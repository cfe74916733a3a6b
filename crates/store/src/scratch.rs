//! Scratch space of a replay: an ordered map on disk that nobody keeps.
//!
//! redb (a B-tree in one file, without dependencies) in a file without a name: the system takes it
//! back when the process ends, however it ends. Nothing is ever synced, since nothing is ever opened
//! again. sled would take about a kilobyte of memory an event here, which is what a scratch is to save.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ledger::replay::{Changes, Entries, Scratch};
use ledger::state::Fault;
use redb::{Database, ReadOnlyTable, ReadableDatabase as _, StorageBackend, TableDefinition};

/// The one table.
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("scratch");

/// How many bytes of the file redb keeps in memory: 64 MiB.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// A scratch on disk.
pub struct DiskScratch {
    database: Database,
    /// The table as the newest write left it. Absent only while there is a write: a reader would hold the
    /// pages that the write frees.
    table: Option<ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl std::fmt::Debug for DiskScratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskScratch").finish_non_exhaustive()
    }
}

impl DiskScratch {
    /// An empty one, in a file without a name in this directory.
    ///
    /// # Errors
    /// When the directory takes no file.
    pub fn open(directory: &Path) -> Result<Self, Fault> {
        let file = tempfile::tempfile_in(directory).map_err(fault)?;
        let database =
            Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Unsynced(file)).map_err(fault)?;
        let mut scratch = Self { database, table: None };
        scratch.apply(&Changes::new()).map_err(fault)?;
        Ok(scratch)
    }

    fn apply(&mut self, changes: &Changes) -> Result<(), redb::Error> {
        self.table = None;
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in changes {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                    None => table.remove(key.as_slice())?,
                };
            }
        }
        transaction.commit()?;
        self.table = Some(self.database.begin_read()?.open_table(TABLE)?);
        Ok(())
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, redb::StorageError> {
        Ok(self.table().get(key)?.map(|value| value.value().to_vec()))
    }

    fn table(&self) -> &ReadOnlyTable<&'static [u8], &'static [u8]> {
        self.table.as_ref().expect("a scratch whose write failed is not used again")
    }

    fn range(&self, from: &[u8], to: &[u8], entries_max: usize) -> Result<Entries, redb::StorageError> {
        let mut entries = Entries::new();
        for entry in self.table().range(from..to)?.take(entries_max) {
            let (key, value) = entry?;
            entries.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(entries)
    }
}

impl Scratch for DiskScratch {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.read(key).map_err(fault)
    }

    fn write(&mut self, changes: &Changes) -> Result<(), Fault> {
        self.apply(changes).map_err(fault)
    }

    fn page(&self, from: &[u8], to: &[u8], entries_max: usize) -> Result<Entries, Fault> {
        self.range(from, to, entries_max).map_err(fault)
    }
}

fn fault(error: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::Scratch(error.into())
}

/// A file whose bytes need not outlive the process.
#[derive(Debug)]
struct Unsynced(File);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

#[cfg(test)]
mod tests {
    use ledger::replay::MemoryScratch;

    use super::*;

    #[test]
    fn the_disk_answers_as_memory_does_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = DiskScratch::open(directory.path()).unwrap();
        let mut memory = MemoryScratch::default();
        let key = |index: u32| format!("k{:04}", index * 7_919 % 3_000).into_bytes();
        for round in 0..20_u32 {
            let value = |index: u32| (!index.is_multiple_of(4)).then(|| vec![7; usize::try_from(index % 600).unwrap()]);
            let changes: Changes = (0..400).map(|index| (key(round * 977 + index), value(round + index))).collect();
            disk.write(&changes).unwrap();
            memory.write(&changes).unwrap();
            for index in 0..100 {
                let key = key(round + index * 31);
                assert_eq!(disk.get(&key).unwrap(), memory.get(&key).unwrap(), "{round} {index}");
            }
        }
        for (from, to, entries_max) in [("", "z", usize::MAX), ("k1", "k2", 50), ("k2", "k2", 5), ("k2", "k3", 0)] {
            let page = |scratch: &dyn Scratch| scratch.page(from.as_bytes(), to.as_bytes(), entries_max).unwrap();
            assert_eq!(page(&disk), page(&memory), "{from} {to} {entries_max}");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "a file with a name");
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(DiskScratch::open(&directory.path().join("none")), Err(Fault::Scratch(_))));
    }
}
