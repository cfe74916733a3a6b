//! What a round does to the node, beside loading it.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::trial::Broken;
use crate::trial::copy_directory as copy;
use crate::trial::seed::Seed;

/// What a round does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    UnderLoad,
    AtCheckpoint,
    Twice,
    InOrder,
    IndexRemoved,
    IndexCut,
    IndexFlipped,
    IndexOlder,
    IndexMixed,
    DamagedLedger,
}

/// The order of the rounds: kills most often, each fault of the disk again and again.
const ROUNDS: [Fault; 16] = [
    Fault::UnderLoad,
    Fault::AtCheckpoint,
    Fault::Twice,
    Fault::IndexRemoved,
    Fault::UnderLoad,
    Fault::IndexFlipped,
    Fault::AtCheckpoint,
    Fault::DamagedLedger,
    Fault::IndexCut,
    Fault::Twice,
    Fault::IndexOlder,
    Fault::InOrder,
    Fault::AtCheckpoint,
    Fault::IndexMixed,
    Fault::Twice,
    Fault::UnderLoad,
];

impl Fault {
    pub(super) fn of(round: u64) -> Self {
        ROUNDS[usize::try_from(round).unwrap_or(0) % ROUNDS.len()]
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::UnderLoad => "kill -9 under load",
            Self::AtCheckpoint => "kill -9 in an index checkpoint",
            Self::Twice => "kill -9 twice and more, while it starts",
            Self::InOrder => "stop in order under load",
            Self::IndexRemoved => "kill -9, index removed",
            Self::IndexCut => "kill -9, a file of the index cut short",
            Self::IndexFlipped => "kill -9, bytes of the index flipped",
            Self::IndexOlder => "kill -9, an older index put back",
            Self::IndexMixed => "kill -9, an older index under the newer evidence",
            Self::DamagedLedger => "kill -9, copies with a damaged ledger",
        }
    }

    /// Whether the index may now be found damaged, at once or only when it is read.
    pub(super) const fn hurts_index(self) -> bool {
        matches!(self, Self::IndexRemoved | Self::IndexCut | Self::IndexFlipped | Self::IndexOlder | Self::IndexMixed)
    }

    /// Whether the start has to speak of a rebuilt index.
    pub(super) const fn must_rebuild(self) -> bool {
        matches!(self, Self::IndexRemoved)
    }

    /// Whether the index as it is after this round is kept, to be put back later.
    pub(super) const fn keeps_index(self) -> bool {
        matches!(self, Self::IndexCut | Self::UnderLoad)
    }

    /// Does what the fault does to the files of a node that is down. Says what, if anything.
    pub(super) fn harm(self, store: &Path, seed: &mut Seed) -> Result<Option<String>, Broken> {
        let index = store.join("index");
        Ok(match self {
            Self::UnderLoad | Self::AtCheckpoint | Self::Twice | Self::InOrder | Self::DamagedLedger => None,
            Self::IndexRemoved => {
                fs::remove_dir_all(&index)?;
                Some("removed the index".to_owned())
            }
            Self::IndexCut => {
                let file = some_file(&index, seed)?;
                let length = fs::metadata(&file)?.len();
                let kept = seed.below(length.max(1));
                fs::File::options().write(true).open(&file)?.set_len(kept)?;
                Some(format!("cut {} from {length} to {kept} bytes", file.display()))
            }
            Self::IndexFlipped => Some(flip(&index, seed)?),
            Self::IndexOlder | Self::IndexMixed => put_back(store, self == Self::IndexOlder)?,
        })
    }
}

/// Flips some bytes of some file below a directory.
fn flip(directory: &Path, seed: &mut Seed) -> Result<String, Broken> {
    let path = some_file(directory, seed)?;
    let file = fs::File::options().read(true).write(true).open(&path)?;
    let (length, count) = (file.metadata()?.len(), 1 + seed.below(64));
    for _ in 0..count {
        let (offset, mut byte) = (seed.below(length.max(1)), [0]);
        file.read_exact_at(&mut byte, offset)?;
        file.write_all_at(&[byte[0] ^ (1 << seed.below(8))], offset)?;
    }
    Ok(format!("flipped {count} bytes of {} ({length} bytes)", path.display()))
}

/// The files below a directory that hold something, in order.
pub(super) fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut left) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else if entry.metadata()?.len() > 0 {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn some_file(directory: &Path, seed: &mut Seed) -> Result<PathBuf, Broken> {
    let files = files(directory)?;
    if files.is_empty() {
        return Err(format!("there is nothing in {}", directory.display()).into());
    }
    Ok(files[seed.place(files.len())].clone())
}

fn kept(store: &Path) -> PathBuf {
    store.with_file_name("kept-index")
}

/// Keeps a copy of the index of a node that runs: what a backup taken under it would have.
pub(super) fn keep_index(store: &Path) -> Result<(), Broken> {
    let kept = kept(store);
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    // A file may go while it is copied; then there is no copy, and the next round takes one.
    if copy(&store.join("index"), &kept.join("index")).is_err()
        || fs::copy(store.join("index-evidence"), kept.join("index-evidence")).is_err()
    {
        fs::remove_dir_all(&kept)?;
    }
    Ok(())
}

/// Puts the kept index back, with its evidence or without.
fn put_back(store: &Path, with_evidence: bool) -> Result<Option<String>, Broken> {
    let kept = kept(store);
    if !kept.join("index").exists() {
        return Ok(None);
    }
    fs::remove_dir_all(store.join("index"))?;
    copy(&kept.join("index"), &store.join("index"))?;
    if with_evidence {
        fs::copy(kept.join("index-evidence"), store.join("index-evidence"))?;
    }
    Ok(Some("put an older index back".to_owned()))
}
