//! Every reading and writing of the database fails once, at the n-th operation: what was
//! acknowledged is there afterwards, nothing half-done is, and nothing waits for ever.
//!
//! The counter that makes operations fail is one for the whole process, so this is the only test
//! in its file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use chain::block::BlockId;
use chain::hash::Hash;
use fault_injection::FAULT_INJECT_COUNTER;
use replica::port::{CheckpointJob, CheckpointOutput, Decided, IndexWrites, LocalTable, Store, StoreFault, Table};
use store::{Options, SledStore};

const HEIGHTS: u8 = 6;

fn options(directory: &Path) -> Options {
    Options {
        segment_bytes: 4 * 1024,
        // Reopened after each commit and each checkpoint, so that opening fails too.
        ledger_reopen_bytes: 20_000,
        index_reopen_bytes: 20_000,
        // Checkpoints in several flushes.
        slice_rows_max: 8,
        generation_rows_full: 6,
        reserve_bytes: 0,
        ..Options::new(directory)
    }
}

fn id(height: u8) -> BlockId {
    BlockId::from(Hash::from_bytes([height; 32]))
}

fn body(height: u8) -> Vec<u8> {
    (0..9_000_u32).map(|position| (position.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()[0] ^ height).collect()
}

fn writes(height: u8) -> IndexWrites {
    let rows = (0..200_u16).map(|row| {
        let key = [&[row.to_le_bytes()[0]], height.to_be_bytes().as_slice()].concat();
        ((Table::State, key), Some(vec![height; 40]))
    });
    let own = ((Table::Meta, b"height".to_vec()), Some(vec![height]));
    let gone = ((Table::State, vec![7, height.wrapping_sub(1)]), None);
    rows.chain([own, gone]).collect()
}

/// What the store acknowledged.
#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    body: u8,
    tip: u8,
    local: u8,
    checkpoint: Option<u8>,
}

/// Lives until the end or the first fault.
fn live(store: &SledStore, done: &mut Acknowledged) -> Result<(), StoreFault> {
    for height in 0..=HEIGHTS {
        let number = u64::from(height);
        if height > 0 {
            store.put_body(number, &id(height), &body(height))?;
            done.body = height;
            store.append(number, &Decided { id: id(height), certificate: vec![height; 100] })?;
            done.tip = height;
            store.put_local(&[((LocalTable::WebhookProgress, b"endpoint".to_vec()), vec![height])].into())?;
            done.local = height;
        }
        store.apply(number, writes(height))?;
        let compute = Box::new(|_: &dyn replica::port::CheckpointView| {
            Ok(CheckpointOutput { root: Hash::from_bytes([1; 32]), writes: IndexWrites::new() })
        });
        store.begin_checkpoint(CheckpointJob { number, height: number, compute })?;
        store.await_checkpoint(number)?;
        done.checkpoint = Some(height);
    }
    store.close()
}

/// What a start on the files as they are finds.
fn check(directory: &Path, done: Acknowledged) {
    let store = SledStore::open(&options(directory)).unwrap();
    let tip = store.ledger_tip().unwrap();
    assert!(tip == u64::from(done.tip) || tip == u64::from(done.tip) + 1, "tip {tip} after {done:?}");
    for height in 1..=done.body {
        assert_eq!(store.body(&id(height)).unwrap(), Some(body(height)), "{height} after {done:?}");
    }
    for height in 1..=tip {
        assert!(store.decided(height).unwrap().is_some(), "{height} after {done:?}");
    }
    let everything = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let local = store.scan_local(LocalTable::WebhookProgress, everything, 9).unwrap();
    let local = local.first().map_or(0, |(_, row)| row[0]);
    assert!(local == done.local || local == done.local + 1, "local {local} after {done:?}");
    let Some(index) = store.index_tip().unwrap() else {
        // Rows were not acknowledged before the first checkpoint; after it they must be there.
        assert_eq!(done.checkpoint, None);
        return;
    };
    let height = u8::try_from(index.height).unwrap();
    assert!(
        Some(height) == done.checkpoint || height == done.checkpoint.map_or(0, |height| height + 1),
        "{height} after {done:?}"
    );
    // Exactly the rows of the heights up to the checkpoint, no more and no less.
    let mut expected = BTreeMap::new();
    for height in 0..=height {
        expected.extend(writes(height));
    }
    for ((table, key), value) in expected {
        assert_eq!(store.get(table, &key).unwrap(), value, "{table:?} {key:?} after {done:?}");
    }
}

fn copy(from: &Path, to: &Path) {
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

/// The operation that failed was the reading of one of the database's logs.
static SWALLOWED: AtomicBool = AtomicBool::new(false);

/// sled takes any error while it reads a log for the log's end, also in the background, and goes
/// on without what follows: there is no telling afterwards. A log is read back right after it was
/// written, from memory, or after the store has read it itself, so a disk cannot easily bring this
/// about; the counter can. Where it does, nothing is checked.
fn notice(crate_name: &str, file: &str, line: u32) {
    let reads_log = crate_name == "sled" && file.ends_with("metadata_store.rs") && READ_FRAME.contains(&line);
    SWALLOWED.store(reads_log, Ordering::SeqCst);
}

/// Where `read_frame` stands in the version of sled that is pinned.
const READ_FRAME: std::ops::Range<u32> = 480..560;

/// Lets the n-th operation fail. Returns whether a life has that many.
fn fail_at(operation: u64) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let mut done = Acknowledged::default();
    let store = SledStore::open(&options(directory.path())).unwrap();
    FAULT_INJECT_COUNTER.store(operation, Ordering::SeqCst);
    let outcome = live(&store, &mut done);
    // It counts down, fails at zero, and goes on below.
    let left = FAULT_INJECT_COUNTER.swap(u64::MAX, Ordering::SeqCst);
    let reached = left == 0 || left > operation;
    assert!(reached || outcome.is_ok(), "{outcome:?}");
    // A store that failed can be closed and dropped; its database stays locked until the process
    // ends, so the start happens on a copy.
    drop(store.close());
    drop(store);
    if SWALLOWED.swap(false, Ordering::SeqCst) {
        return reached;
    }
    let image = tempfile::tempdir().unwrap();
    copy(directory.path(), image.path());
    check(image.path(), done);
    reached
}

#[test]
fn whatever_operation_fails_nothing_acknowledged_is_lost() {
    fault_injection::set_trigger_function(notice);
    // Every operation in the beginning, then fewer and fewer.
    let mut operation = 1;
    while fail_at(operation) {
        operation += 1 + operation / 5;
    }
    assert!(operation > 100, "the counter was never met: {operation}");
}
