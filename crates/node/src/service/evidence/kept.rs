//! Equivocations that wait for the ledger, on the disk: a process that ends hands them to the next.
//!
//! One small file beside the consensus log, replaced as a whole each time that something comes or goes, and removed when
//! nothing waits. It proves itself: every entry holds both signatures.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::equivocation::Equivocation;
use replica::evidence::PENDING_MAX;
use serde::{Deserialize, Serialize};

use crate::files;

/// The name of the file in its directory.
const FILE: &str = "evidence.json";

/// Bytes of the file: an equivocation takes some 600.
const BYTES_MAX: u64 = 2_048 * PENDING_MAX as u64;

/// What stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    pending: Vec<Equivocation>,
}

/// What waits, as the disk has it.
pub(super) struct Kept {
    path: PathBuf,
    written: Vec<Equivocation>,
    /// Whether the last attempt to write failed: it is said once.
    failing: bool,
}

impl Kept {
    /// Reads what an earlier process left.
    ///
    /// # Errors
    /// The file cannot be read, or is not what was written.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(FILE);
        if !path.try_exists().with_context(|| format!("look for {}", path.display()))? {
            return Ok(Self { path, written: Vec::new(), failing: false });
        }
        let bytes = files::read(&path, BYTES_MAX)?;
        let document: Document = serde_json::from_slice(&bytes).map_err(|error| {
            anyhow!(
                "{} is damaged: {error}; it holds what this node saw others sign and had not reported yet: move it away, \
                 and start the node without it",
                path.display()
            )
        })?;
        Ok(Self { path, written: document.pending, failing: false })
    }

    /// What is on the disk.
    pub(super) fn written(&self) -> &[Equivocation] {
        &self.written
    }

    /// Makes the disk hold this, if it does not. What cannot be written stays with the caller, who asks again.
    pub(super) fn keep<'p>(&mut self, pending: impl Iterator<Item = &'p Equivocation>) {
        let pending: Vec<Equivocation> = pending.cloned().collect();
        if pending == self.written {
            return;
        }
        let document = Document { pending };
        match self.write(&document) {
            Ok(()) => {
                self.written = document.pending;
                self.failing = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    let error = format!("{error:#}");
                    tracing::error!(%error, "evidence is not on the disk: it would be lost if the process ended now");
                }
            }
        }
    }

    fn write(&self, document: &Document) -> anyhow::Result<()> {
        if document.pending.is_empty() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", self.path.display()));
                }
                _ => {}
            }
        } else {
            let bytes = serde_json::to_vec(document).context("write evidence as JSON")?;
            files::replace(&self.path, &bytes, true)?;
        }
        let directory = self.path.parent().expect("it stands in a directory");
        // The name is part of what must survive.
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.with_context(|| format!("write {}", directory.display()))
    }
}

#[cfg(test)]
mod tests {
    use ::tests::consortium::genesis_of;
    use ::tests::events::double_vote;

    use super::*;

    fn some(count: u64) -> Vec<Equivocation> {
        let genesis = genesis_of(4, |_| {});
        (1..=count).map(|height| double_vote(&genesis, "police", height)).collect()
    }

    #[test]
    fn what_waits_is_there_for_the_next_process_and_gone_when_nothing_waits() {
        let directory = tempfile::tempdir().unwrap();
        let most = some(PENDING_MAX as u64);
        let mut kept = Kept::open(directory.path()).unwrap();
        assert_eq!(kept.written(), []);
        kept.keep(most.iter());
        assert_eq!(Kept::open(directory.path()).unwrap().written(), most);
        files::must_be_private(&directory.path().join(FILE)).unwrap();
        kept.keep(most[..1].iter());
        assert_eq!(Kept::open(directory.path()).unwrap().written(), &most[..1]);
        kept.keep([].iter());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(Kept::open(directory.path()).unwrap().written(), []);
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("consensus");
        let mut kept = Kept::open(&directory).unwrap();
        let pending = some(2);
        kept.keep(pending.iter());
        assert_eq!(kept.written(), [], "there is no such directory");
        fs::create_dir(&directory).unwrap();
        kept.keep(pending.iter());
        assert_eq!(Kept::open(&directory).unwrap().written(), pending);
    }

    #[test]
    fn a_damaged_file_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        Kept::open(directory.path()).unwrap().keep(some(1).iter());
        let path = directory.path().join(FILE);
        let bytes = fs::read(&path).unwrap();
        for damaged in [&bytes[..bytes.len() / 2], b"{\"pending\":[],\"more\":1}", b"[]", b""] {
            fs::write(&path, damaged).unwrap();
            let said = Kept::open(directory.path()).err().expect("it is refused").to_string();
            assert!(said.contains("evidence.json is damaged") && said.contains("move it away"), "{said}");
            assert_eq!(fs::read(&path).unwrap(), damaged, "nothing was changed");
        }
        fs::write(&path, vec![b' '; usize::try_from(BYTES_MAX).unwrap() + 1]).unwrap();
        assert!(Kept::open(directory.path()).is_err(), "it is longer than anything that was written");
    }
}
