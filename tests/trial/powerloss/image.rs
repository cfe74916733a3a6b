//! Images of a disk after a power cut, from the journal of what was done to it.
//!
//! The model, per image: data that was synced stays; later data stays or goes by chance, page by page
//! or, torn, sector by sector; a later change of a file's length stays or goes. Entries of a directory
//! stay up to some moment after its last sync and go from there. Whether syncing a file also keeps
//! its own name, as the usual file systems do and POSIX does not promise, is part of the moment.
//!
//! One kind of image is of a disk that lies: of the newest checkpoint of the index it keeps the mark
//! and drops rows that it said were synced. No store can keep such a checkpoint; it must notice that
//! it has half a one.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use super::Broken;
use super::journal::{Act, Entry, Inode, Journal, ROOT};
use crate::trial::seed::Seed;

/// What a disk writes as a whole, if all goes well, and if it does not.
const PAGE_BYTES: u64 = 4_096;
const SECTOR_BYTES: u64 = 512;

/// What becomes of names that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entries {
    /// They follow the rules of the usual file systems: a synced file has its name.
    AsUsual,
    /// Only a synced directory keeps its names.
    AsPosix,
}

/// Where the power is cut, and how kind chance is.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    name: &'static str,
    /// How many operations were begun.
    position: usize,
    keep_percent: u64,
    grain: u64,
    entries: Entries,
    /// From which operation on syncs of the index are lies.
    lies_from: Option<u64>,
}

/// What an image must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    /// The height acknowledged last, and its block.
    pub(super) height: Option<(u64, String)>,
    /// Everything acknowledged.
    pub(super) acknowledged: Vec<String>,
    /// How many pages, lengths and names were dropped.
    pub(super) dropped: u64,
}

impl Moment {
    /// Chooses the moment of the n-th image.
    pub(super) fn choose(number: u64, may_lie: bool, journal: &Journal, seed: &mut Seed) -> Self {
        let after = |list: usize, seed: &mut Seed| seed.place(list);
        let mut lies_from = None;
        let (name, position) = match number % if may_lie { 4 } else { 3 } {
            0 => {
                let told = &journal.acknowledged[after(journal.acknowledged.len(), seed)];
                ("right after an acknowledgement", told.position)
            }
            1 => {
                let span = &journal.checkpoints[after(journal.checkpoints.len(), seed)];
                ("while an index checkpoint is written", span.start + seed.place(span.len().max(1)))
            }
            3 => {
                let span = &journal.checkpoints[after(journal.checkpoints.len(), seed)];
                lies_from = journal.operations.get(span.start).map(|operation| operation.number);
                ("half an index checkpoint, by a disk that lies", span.end)
            }
            _ => ("at any moment", seed.place(journal.operations.len())),
        };
        let keep_percent = [0, 10, 50, 90, 99][seed.place(5)];
        let grain = if seed.happens(30) { SECTOR_BYTES } else { PAGE_BYTES };
        let entries = if seed.happens(50) || lies_from.is_some() { Entries::AsUsual } else { Entries::AsPosix };
        Self { name, position, keep_percent, grain, entries, lies_from }
    }

    /// Whether the disk lied about the index.
    pub(super) const fn lies(&self) -> bool {
        self.lies_from.is_some()
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, keep_percent, grain, entries, .. } = self;
        write!(f, "operation {position}, {keep_percent} % of {grain} bytes kept, names {entries:?}")
    }
}

/// Writes an image, and says what it must hold.
pub(super) fn build(journal: &Journal, moment: &Moment, seed: &mut Seed, image: &Path) -> Result<Cut, Broken> {
    let mut disk = Disk { journal, moment, seed, durable: BTreeMap::new(), dropped: 0 };
    disk.find_durable();
    let contents = disk.contents();
    let names = disk.names();
    fs::create_dir(image)?;
    write(journal, &names, &contents, ROOT, image)?;
    let told = journal.acknowledged.iter().filter(|told| told.position <= moment.position);
    let acknowledged: Vec<String> = told.map(|told| told.line.clone()).collect();
    let height = acknowledged.iter().rev().find_map(|line| {
        let (height, id) = line.strip_prefix("block ")?.split_once(' ')?;
        Some((height.parse().ok()?, id.to_owned()))
    });
    Ok(Cut { height, acknowledged, dropped: disk.dropped })
}

type Names = BTreeMap<Inode, BTreeMap<String, Inode>>;

struct Disk<'a> {
    journal: &'a Journal,
    moment: &'a Moment,
    seed: &'a mut Seed,
    /// The number before which everything done to an inode is durable.
    durable: BTreeMap<Inode, u64>,
    dropped: u64,
}

impl Disk<'_> {
    fn find_durable(&mut self) {
        for operation in &self.journal.operations[..self.moment.position] {
            if let Act::Sync { inode, before } = operation.act {
                let durable = self.durable.entry(inode).or_default();
                *durable = (*durable).max(before);
            }
        }
    }

    fn is_durable(&self, inode: Inode, number: u64) -> bool {
        let lie = self.moment.lies_from.is_some_and(|from| number >= from) && self.journal.is_index[inode];
        !lie && self.durable.get(&inode).is_some_and(|before| number < *before)
    }

    fn drops(&mut self) -> bool {
        let drops = !self.seed.happens(self.moment.keep_percent);
        self.dropped += u64::from(drops);
        drops
    }

    /// The bytes of each file.
    fn contents(&mut self) -> BTreeMap<Inode, Vec<u8>> {
        let mut contents: BTreeMap<Inode, Vec<u8>> = BTreeMap::new();
        let journal = self.journal;
        for operation in &journal.operations[..self.moment.position] {
            match &operation.act {
                Act::Write { inode, offset, data } => {
                    let durable = self.is_durable(*inode, operation.number);
                    let file = contents.entry(*inode).or_default();
                    let (mut at, end) = (*offset, *offset + data.len() as u64);
                    while at < end {
                        let next =
                            if durable { end } else { ((at / self.moment.grain + 1) * self.moment.grain).min(end) };
                        if durable || !self.drops() {
                            let from = data.start + (at - offset) as usize;
                            put(file, at, &journal.bytes[from..from + (next - at) as usize]);
                        }
                        at = next;
                    }
                }
                Act::Resize { inode, length } => {
                    if self.is_durable(*inode, operation.number) || !self.drops() {
                        contents.entry(*inode).or_default().resize(*length as usize, 0);
                    }
                }
                Act::Sync { .. } | Act::Entry { .. } => {}
            }
        }
        contents
    }

    /// The names in each directory.
    fn names(&mut self) -> Names {
        let mut names = Names::new();
        // The directories in which something was dropped: nothing later stays there.
        let mut ended: BTreeMap<Inode, bool> = BTreeMap::new();
        let journal = self.journal;
        for operation in &journal.operations[..self.moment.position] {
            let Act::Entry { directory, entry } = &operation.act else { continue };
            let (place, synced_by_itself) = match entry {
                Entry::Link { inode, .. } => (*directory, Some(*inode)),
                Entry::Unlink { .. } => (*directory, None),
                Entry::Rename { to, inode, .. } => (*to, Some(*inode)),
            };
            let by_itself = self.moment.entries == Entries::AsUsual
                && synced_by_itself.is_some_and(|inode| self.is_durable(inode, operation.number));
            let durable = self.is_durable(place, operation.number) || self.is_durable(*directory, operation.number);
            if !durable && !by_itself && (ended.get(&place) == Some(&true) || self.drops()) {
                ended.insert(place, true);
                continue;
            }
            apply(&mut names, *directory, entry);
        }
        names
    }
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let from = offset as usize;
    if file.len() < from + bytes.len() {
        file.resize(from + bytes.len(), 0);
    }
    file[from..from + bytes.len()].copy_from_slice(bytes);
}

fn apply(names: &mut Names, directory: Inode, entry: &Entry) {
    match entry {
        Entry::Link { name, inode } => {
            names.entry(directory).or_default().insert(name.clone(), *inode);
        }
        Entry::Unlink { name } => {
            names.entry(directory).or_default().remove(name);
        }
        Entry::Rename { name, to, new_name, inode } => {
            names.entry(directory).or_default().remove(name);
            names.entry(*to).or_default().insert(new_name.clone(), *inode);
        }
    }
}

fn write(
    journal: &Journal,
    names: &Names,
    contents: &BTreeMap<Inode, Vec<u8>>,
    directory: Inode,
    path: &Path,
) -> Result<(), Broken> {
    for (name, inode) in names.get(&directory).into_iter().flatten() {
        let path = path.join(name);
        if journal.is_directory[*inode] {
            fs::create_dir(&path)?;
            write(journal, names, contents, *inode, &path)?;
        } else {
            fs::write(&path, contents.get(inode).map(Vec::as_slice).unwrap_or_default())?;
        }
    }
    Ok(())
}
