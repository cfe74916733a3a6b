//! The whole store: locks, crashes, damage, full disks. What every store must do is asked by
//! `tests/store_conformance.rs`.

mod damage;

use std::fs;
use std::path::{Path, PathBuf};

use replica::port::CheckpointOutput;
use tempfile::TempDir;

use super::*;

/// Options for a small store in `directory`.
pub(crate) fn options(directory: &Path) -> Options {
    Options { segment_bytes: 4096, evidence_rows_max: 1000, reserve_bytes: 0, ..Options::new(directory) }
}

pub(crate) fn hash(seed: u8) -> Hash {
    Hash::from_bytes([seed; 32])
}

pub(crate) fn id(seed: u8) -> BlockId {
    BlockId::from(hash(seed))
}

pub(crate) fn decided(seed: u8) -> Decided {
    Decided { id: id(seed), certificate: vec![seed; 200] }
}

/// Bytes that compress, but not to nothing.
pub(crate) fn body(seed: u8) -> Vec<u8> {
    (0..30_000_u32)
        .flat_map(|number| (number.wrapping_mul(2_654_435_761) >> (number % 16)).to_le_bytes())
        .chain([seed])
        .collect()
}

/// A checkpoint that writes one row of its own.
pub(crate) fn job(number: u64, height: u64) -> CheckpointJob {
    let writes = IndexWrites::from([((Table::TreeNode, number.to_be_bytes().to_vec()), Some(vec![1; 40]))]);
    CheckpointJob { number, height, compute: Box::new(move |_| Ok(CheckpointOutput { root: hash(5), writes })) }
}

/// Rows of a height: some new, one changed, one deleted.
pub(crate) fn writes(height: u64) -> IndexWrites {
    let mut writes = IndexWrites::new();
    for row in height * 10..height * 10 + 10 {
        writes.insert((Table::Leaf, row.to_be_bytes().to_vec()), Some(vec![7; 30]));
    }
    writes.insert((Table::Meta, b"height".to_vec()), Some(height.to_be_bytes().to_vec()));
    writes.insert((Table::Leaf, (height * 10).saturating_sub(1).to_be_bytes().to_vec()), None);
    writes
}

/// Commits and applies heights `from..=to`, with a checkpoint of each height's number.
pub(crate) fn live(store: &SledStore, from: u8, to: u8) {
    for height in from..=to {
        if height > 0 {
            store.put_body(height.into(), &id(height), &body(height)).unwrap();
            store.append(height.into(), &decided(height)).unwrap();
        }
        store.apply(height.into(), writes(height.into())).unwrap();
        store.begin_checkpoint(job(height.into(), height.into())).unwrap();
        store.await_checkpoint(height.into()).unwrap().unwrap();
    }
}

/// Copies a directory as it is: what a process finds that starts after this one was killed.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the store's directory in a directory of its own.
fn image(directory: &Path) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(directory, image.path());
    image
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.append(&mut self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[position] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_directory_that_is_open_cannot_be_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&options(directory.path())).unwrap();
    let fault = SledStore::open(&options(directory.path())).unwrap_err();
    let StoreFault::Held { place } = fault else { panic!("{fault:?}") };
    assert!(place.contains(&std::process::id().to_string()), "{place}");
    drop(store);
    drop(SledStore::open(&options(directory.path())).unwrap());
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&options(directory.path())).unwrap();
    for height in 0..12_u8 {
        live(&store, height, height);
        store.put_body(u64::from(height) + 1, &id(height + 1), &body(height + 1)).unwrap();
        store.put_attachment(&hash(height), &[height; 50]).unwrap();
        if height % 3 > 0 {
            continue;
        }
        let image = image(directory.path());
        let found = SledStore::open(&options(image.path())).unwrap();
        assert_eq!(found.ledger_tip().unwrap(), u64::from(height));
        for kept in 1..=height {
            assert_eq!(found.decided(kept.into()).unwrap(), Some(decided(kept)));
            assert_eq!(found.body(&id(kept)).unwrap(), Some(body(kept)));
        }
        assert_eq!(found.body(&id(height + 1)).unwrap(), Some(body(height + 1)));
        let tip = found.index_tip().unwrap().unwrap();
        assert_eq!((tip.height, tip.checkpoint.number), (u64::from(height), u64::from(height)));
        assert_eq!(found.attachment(&hash(height)).unwrap(), Some(vec![height; 50]));
        // And life goes on where it stopped.
        found.append(u64::from(height) + 1, &decided(height + 1)).unwrap();
        found.apply(u64::from(height) + 1, writes(u64::from(height) + 1)).unwrap();
    }
}

/// sled deletes the snapshot that it has just written when it finds no log beside it, which a
/// crash while opening leaves; the opening after that would find nothing.
#[test]
fn a_crash_while_opening_does_not_empty_the_database() {
    let directory = tempfile::tempdir().unwrap();
    live(&SledStore::open(&options(directory.path())).unwrap(), 0, 5);
    drop(SledStore::open(&options(directory.path())).unwrap());
    for _ in 0..3 {
        for database in ["ledger", "index"] {
            let metadata = directory.path().join(database).join("metadata");
            let logs = files(&metadata).into_iter().filter(|path| path.to_string_lossy().contains("/log_"));
            logs.for_each(|log| fs::remove_file(log).unwrap());
        }
        let store = SledStore::open(&options(directory.path())).unwrap();
        assert_eq!(store.ledger_tip().unwrap(), 5);
        assert_eq!(store.body(&id(5)).unwrap(), Some(body(5)));
        assert_eq!(store.index_tip().unwrap().unwrap().height, 5);
    }
}

/// Opens a damaged ledger and reads all of it: everything is as it was, or a fault names a place.
/// Returns whether damage was found.
fn read_damaged(directory: &Path) -> bool {
    let read = || -> Result<(), StoreFault> {
        let store = SledStore::open(&options(directory))?;
        assert_eq!(store.ledger_tip()?, 5);
        for height in 1..=5_u8 {
            assert_eq!(store.decided(height.into())?, Some(decided(height)));
            assert_eq!(store.body_part(&id(height), 5_000, 10)?, Some(body(height)[5_000..5_010].to_vec()));
            assert_eq!(store.body(&id(height))?, Some(body(height)));
        }
        Ok(())
    };
    match read() {
        Ok(()) => false,
        Err(StoreFault::Damaged { place, .. }) => {
            assert!(place.contains("ledger"), "{place}");
            true
        }
        Err(fault) => panic!("{fault:?}"),
    }
}

#[test]
fn flipped_bytes_of_the_ledger_are_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    live(&SledStore::open(&options(directory.path())).unwrap(), 0, 5);
    assert!(!read_damaged(image(directory.path()).path()));
    let mut found = 0;
    for path in files(&directory.path().join("ledger")) {
        let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        for position in [0, length / 3, length.saturating_sub(40)].into_iter().take(length.min(3)) {
            let image = image(directory.path());
            flip(&image.path().join(path.strip_prefix(directory.path()).unwrap()), position);
            found += usize::from(read_damaged(image.path()));
        }
    }
    assert!(found >= 5, "{found}");
}

#[test]
fn a_database_that_met_damage_answers_with_it_and_closes() {
    let directory = tempfile::tempdir().unwrap();
    live(&SledStore::open(&options(directory.path())).unwrap(), 0, 14);
    let slots = |path: PathBuf| {
        let slot_bytes: usize = path.file_name()?.to_str()?.parse().ok()?;
        let length = usize::try_from(fs::metadata(&path).ok()?.len()).ok()?;
        Some((0..length / slot_bytes).map(move |slot| (path.clone(), slot * slot_bytes)))
    };
    let slots = files(&directory.path().join("ledger/slabs")).into_iter().rev().filter_map(slots).flatten();
    // A page that opening does not read and a body does.
    let met = slots.into_iter().find_map(|(path, position)| {
        let image = image(directory.path());
        flip(&image.path().join(path.strip_prefix(directory.path()).unwrap()), position);
        let store = SledStore::open(&options(image.path())).ok()?;
        let first = (1..=14).find_map(|height| store.body(&id(height)).err())?;
        Some((image, store, first.to_string()))
    });
    let (_image, store, first) = met.unwrap();
    assert!(first.contains("at height"), "{first}");
    let after = store.put_body(15, &id(15), &body(15)).unwrap_err().to_string();
    assert_eq!(after, first);
    assert_eq!(store.index_tip().unwrap().unwrap().height, 14);
    assert!(matches!(store.close(), Err(StoreFault::Damaged { .. })));
}

fn refused<T: std::fmt::Debug>(outcome: &Result<T, StoreFault>) {
    assert!(matches!(outcome, Err(StoreFault::Full { .. })), "{outcome:?}");
}

#[test]
fn a_full_disk_refuses_writes_and_the_same_process_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&options(directory.path())).unwrap();
    live(&store, 0, 2);
    store.put_attachment(&hash(1), b"bytes").unwrap();
    store.put_body(3, &id(3), &body(3)).unwrap();
    let decision = decided(3);
    store.set_reserve_bytes(u64::MAX);
    for _ in 0..3 {
        refused(&store.put_body(4, &id(4), &body(4)));
        refused(&store.append(3, &decision));
        refused(&store.put_attachment(&hash(2), b"more"));
    }
    // Reads go on, and nothing of what was refused is there.
    assert_eq!((store.ledger_tip().unwrap(), store.body(&id(4)).unwrap()), (2, None));
    assert_eq!(store.body(&id(2)).unwrap(), Some(body(2)));
    assert_eq!((store.attachment(&hash(2)).unwrap(), store.decided(3).unwrap()), (None, None));
    // What people have a right to needs no reserve.
    store.erase_attachment(&hash(1)).unwrap();
    assert_eq!(store.attachment(&hash(1)).unwrap(), None);
    store.set_reserve_bytes(0);
    store.append(3, &decision).unwrap();
    store.put_attachment(&hash(2), b"more").unwrap();
    store.apply(3, writes(3)).unwrap();
    store.begin_checkpoint(job(3, 3)).unwrap();
    assert_eq!(store.await_checkpoint(3).unwrap().unwrap().height, 3);
    live(&store, 4, 5);
}

#[test]
fn a_checkpoint_that_meets_a_full_disk_is_made_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&options(directory.path())).unwrap();
    live(&store, 0, 2);
    store.put_body(3, &id(3), &body(3)).unwrap();
    store.append(3, &decided(3)).unwrap();
    store.set_reserve_bytes(u64::MAX);
    store.apply(3, writes(3)).unwrap();
    store.begin_checkpoint(job(3, 3)).unwrap();
    for _ in 0..3 {
        refused(&store.await_checkpoint(3));
        refused(&store.begin_checkpoint(job(4, 3)));
        assert_eq!(store.get(Table::Meta, b"height").unwrap(), Some(3_u64.to_be_bytes().to_vec()));
    }
    // Whoever looks now finds the checkpoint before.
    assert_eq!(store.index_tip().unwrap().unwrap().checkpoint.number, 2);
    store.set_reserve_bytes(0);
    loop {
        match store.await_checkpoint(3) {
            Ok(mark) => break assert_eq!(mark.unwrap().height, 3),
            // Until the thread has looked again.
            Err(StoreFault::Full { .. }) => std::thread::yield_now(),
            Err(fault) => panic!("{fault:?}"),
        }
    }
    live(&store, 4, 5);
    store.close().unwrap();
}

#[test]
fn a_store_that_is_closed_while_its_checkpoint_waits_for_room_takes_it_from_the_ledger_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&options(directory.path())).unwrap();
    live(&store, 0, 2);
    store.put_body(3, &id(3), &body(3)).unwrap();
    store.append(3, &decided(3)).unwrap();
    store.set_reserve_bytes(u64::MAX);
    store.apply(3, writes(3)).unwrap();
    store.begin_checkpoint(job(3, 3)).unwrap();
    store.close().unwrap();
    drop(store);
    let store = SledStore::open(&options(directory.path())).unwrap();
    assert_eq!((store.ledger_tip().unwrap(), store.index_tip().unwrap().unwrap().height), (3, 2));
}

#[test]
fn a_closed_store_refuses_and_does_not_hang() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&options(directory.path())).unwrap();
    live(&store, 0, 1);
    store.close().unwrap();
    assert!(matches!(store.body(&id(1)), Err(StoreFault::Io { .. })));
    assert!(matches!(store.put_body(2, &id(2), b"bytes"), Err(StoreFault::Io { .. })));
    assert!(matches!(store.put_attachment(&hash(2), b"bytes"), Err(StoreFault::Io { .. })));
    assert!(matches!(
        store.scan(Table::Leaf, (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded), Direction::Forward, 1),
        Err(StoreFault::Io { .. })
    ));
}

#[test]
fn erased_bytes_are_nowhere_in_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let secret = b"Zhang San, 11010519491231002X, at home";
    let contains = || {
        let holds = |path: PathBuf| fs::read(path).unwrap().windows(secret.len()).any(|bytes| bytes == secret);
        files(directory.path()).into_iter().any(holds)
    };
    let store = SledStore::open(&options(directory.path())).unwrap();
    store.put_attachment(&hash(1), b"before").unwrap();
    store.put_attachment(&hash(2), secret).unwrap();
    store.put_attachment(&hash(3), b"after").unwrap();
    assert!(contains());
    store.erase_attachment(&hash(2)).unwrap();
    assert!(!contains());
    store.close().unwrap();
    drop(store);
    let store = SledStore::open(&options(directory.path())).unwrap();
    assert_eq!(store.attachment(&hash(1)).unwrap().as_deref(), Some(b"before".as_slice()));
    assert_eq!(store.attachment(&hash(2)).unwrap(), None);
    assert_eq!(store.attachment(&hash(3)).unwrap().as_deref(), Some(b"after".as_slice()));
}

#[test]
fn what_the_store_makes_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDir::new().unwrap();
    let place = directory.path().join("store");
    let store = SledStore::open(&options(&place)).unwrap();
    live(&store, 1, 2);
    store.close().unwrap();
    let mode = |name: &str| fs::metadata(place.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("attachments")), (0o700, 0o700));
    for name in ["lock", "ledger-tip", "index-evidence", "attachments/bytes"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}
