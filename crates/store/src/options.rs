//! What an operator may set about the store.

use std::path::PathBuf;
use std::time::Duration;

/// Where the store lives and how much it may use.
///
/// Every default is what the measurements on two cores asked for; none changes what is stored, so
/// each may differ between two runs over the same directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory of the store. Made when it is missing.
    pub directory: PathBuf,
    /// Cache of the ledger database, in bytes. Default 16 MiB: bodies are written once and read
    /// rarely, and the newest are cached in any case.
    pub ledger_cache_bytes: usize,
    /// Cache of the index database, in bytes. Default 64 MiB: executing an event asks for some ten rows, and
    /// with 4 MiB a third of its time was reading pages again. It bounds only pages that were read and not
    /// written since the database was opened.
    pub index_cache_bytes: usize,
    /// Bytes of a body in one compressed segment: what reading a single event costs to
    /// decompress. Default 64 KiB; between 4 KiB and 1 MiB.
    pub segment_bytes: u32,
    /// Decompressed segments kept for readers, in bytes. Default 16 MiB.
    pub segment_cache_bytes: usize,
    /// How much written data sled may hold, by our estimate and in bytes, before the ledger
    /// database is reopened after a commit. Default 48 MiB.
    pub ledger_reopen_bytes: u64,
    /// The same for the index database, which is reopened after a flush of a checkpoint.
    /// Default 256 MiB.
    pub index_reopen_bytes: u64,
    /// Rows of a checkpoint that are read again after a restart to tell a whole checkpoint from
    /// half a one. Up to this many writes the evidence is complete, above it is an even sample.
    /// Default 65,536; an eighth of it for a checkpoint in slices, which a start finishes anyway.
    pub evidence_rows_max: usize,
    /// Rows of a checkpoint above which it is written in slices, each with a flush of its own, and at
    /// most so many in a slice. Default 32,768. What is written at once is in memory at once.
    pub slice_rows_max: usize,
    /// Rows of a generation, of a table whose keys come by chance, after which the next is begun. Default 131,072: a
    /// checkpoint under load brings about as many. Fewer make more filters to ask, more make more pages to write.
    pub generation_rows_full: u64,
    /// Free space below which a write is refused before anything is written, in bytes. Default
    /// 256 MiB. A checkpoint may use half of it, so that bodies are refused first.
    pub reserve_bytes: u64,
    /// How long the ledger may take to say where it stands, when it is opened, and how long the index may
    /// be silent then. Default one minute: it is a few pages.
    pub open_timeout: Duration,
}

/// Smallest and largest segment.
const SEGMENT_BYTES: std::ops::RangeInclusive<u32> = 4 * 1024..=1024 * 1024;

impl Options {
    /// The defaults, for the store in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            ledger_cache_bytes: 16 * 1024 * 1024,
            index_cache_bytes: 64 * 1024 * 1024,
            segment_bytes: 64 * 1024,
            segment_cache_bytes: 16 * 1024 * 1024,
            ledger_reopen_bytes: 48 * 1024 * 1024,
            index_reopen_bytes: 256 * 1024 * 1024,
            evidence_rows_max: 65_536,
            slice_rows_max: 32_768,
            generation_rows_full: 131_072,
            reserve_bytes: 256 * 1024 * 1024,
            open_timeout: Duration::from_secs(60),
        }
    }

    /// `segment_bytes`, brought inside its bounds.
    pub(crate) fn segment_bytes(&self) -> u32 {
        self.segment_bytes.clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end())
    }
}
