//! One suite for every implementation of the `Store` port: what a replica relies on, asked of the
//! sled store and of the one in memory, and a random life in which both must answer alike.

mod life;

use std::ops::Bound;
use std::sync::mpsc;

use chain::block::BlockId;
use chain::hash::Hash;
use replica::memory::MemoryStore;
use replica::port::{
    CheckpointJob, CheckpointMark, CheckpointOutput, Decided, Direction, IndexWrites, KeyRange, LocalTable, Row, Store,
    StoreFault, Table,
};
use store::{Options, SledStore};
use tempfile::TempDir;

/// A kind of store, and how to kill it and open it again.
trait Subject {
    type Store: Store;
    fn fresh() -> Self;
    fn store(&self) -> &Self::Store;
    /// Ends in order, and starts again.
    fn restart(&mut self);
}

struct Sled {
    store: Option<SledStore>,
    directory: TempDir,
}

/// Small pages of everything, so that a short life meets every boundary.
fn options(directory: &TempDir) -> Options {
    Options {
        segment_bytes: 4 * 1024,
        segment_cache_bytes: 16 * 1024,
        ledger_cache_bytes: 64 * 1024,
        index_cache_bytes: 64 * 1024,
        ledger_reopen_bytes: 64 * 1024,
        index_reopen_bytes: 64 * 1024,
        evidence_rows_max: 64,
        // Checkpoints in several flushes.
        slice_rows_max: 8,
        generation_rows_full: 6,
        reserve_bytes: 0,
        ..Options::new(directory.path())
    }
}

impl Subject for Sled {
    type Store = SledStore;

    fn fresh() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Some(SledStore::open(&options(&directory)).unwrap());
        Self { store, directory }
    }

    fn store(&self) -> &SledStore {
        self.store.as_ref().expect("open between two restarts")
    }

    fn restart(&mut self) {
        self.store().close().unwrap();
        self.store = None;
        self.store = Some(SledStore::open(&options(&self.directory)).unwrap());
    }
}

struct Memory(MemoryStore);

impl Subject for Memory {
    type Store = MemoryStore;

    fn fresh() -> Self {
        Self(MemoryStore::new())
    }

    fn store(&self) -> &MemoryStore {
        &self.0
    }

    fn restart(&mut self) {
        self.0.close().unwrap();
        self.0.crash();
    }
}

/// Makes a test for each implementation.
macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod sled_store { $(#[test] fn $name() { super::$name::<super::Sled>(); })* }
        mod memory_store { $(#[test] fn $name() { super::$name::<super::Memory>(); })* }
    };
}

conformance!(
    an_empty_store_knows_nothing,
    a_body_is_kept_once_and_read_whole_and_in_parts,
    a_decision_moves_the_tip_and_survives,
    a_large_body_survives,
    other_proposals_may_go_when_a_height_is_decided,
    writes_are_visible_at_once_and_durable_with_a_checkpoint,
    scans_keep_to_their_table_range_direction_and_limit,
    newer_writes_hide_older_ones_across_checkpoints,
    a_checkpoint_sees_the_one_before_and_what_it_freezes,
    checkpoints_are_awaited_by_number,
    a_failed_checkpoint_shows_at_the_next_call,
    a_panicking_checkpoint_shows_at_the_next_call,
    a_reset_index_starts_over,
    attachments_are_kept_until_they_are_erased,
    local_rows_are_kept_apart_and_outlive_a_crash,
    readers_run_beside_commits_and_checkpoints,
);

fn id(seed: u8) -> BlockId {
    BlockId::from(hash(seed))
}

fn hash(seed: u8) -> Hash {
    Hash::from_bytes([seed; 32])
}

fn decided(seed: u8) -> Decided {
    Decided { id: id(seed), certificate: vec![seed; 300] }
}

fn bytes(length: u32) -> Vec<u8> {
    (0..length)
        .flat_map(|position| (position / 5).wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length as usize)
        .collect()
}

fn put(table: Table, key: &str, value: &str) -> IndexWrites {
    IndexWrites::from([((table, key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()))])
}

fn delete(table: Table, key: &str) -> IndexWrites {
    IndexWrites::from([((table, key.as_bytes().to_vec()), None)])
}

/// A checkpoint that writes nothing of its own.
fn job(number: u64, height: u64) -> CheckpointJob {
    CheckpointJob {
        number,
        height,
        compute: Box::new(move |_| {
            Ok(CheckpointOutput { root: hash(u8::try_from(number % 251).unwrap()), writes: IndexWrites::new() })
        }),
    }
}

fn mark(number: u64, height: u64) -> CheckpointMark {
    CheckpointMark { number, height, root: hash(u8::try_from(number % 251).unwrap()) }
}

fn checkpoint(store: &impl Store, number: u64, height: u64) {
    store.begin_checkpoint(job(number, height)).unwrap();
    assert_eq!(store.await_checkpoint(number).unwrap(), Some(mark(number, height)));
}

fn get(store: &impl Store, table: Table, key: &str) -> Option<String> {
    let value = store.get(table, key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

const EVERYTHING: KeyRange = (Bound::Unbounded, Bound::Unbounded);

/// The keys of a scan, in one string.
fn keys(rows: &[Row]) -> String {
    rows.iter().flat_map(|(key, _)| key.iter().map(|byte| char::from(*byte))).collect()
}

fn an_empty_store_knows_nothing<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    assert_eq!(store.ledger_tip().unwrap(), 0);
    assert_eq!(store.index_tip().unwrap(), None);
    assert_eq!(store.body(&id(1)).unwrap(), None);
    assert_eq!(store.body_part(&id(1), 0, 0).unwrap(), None);
    assert_eq!(store.decided(0).unwrap(), None);
    assert_eq!(store.decided(1).unwrap(), None);
    assert_eq!(store.get(Table::State, b"key").unwrap(), None);
    assert_eq!(store.scan(Table::State, EVERYTHING, Direction::Forward, 10).unwrap(), Vec::new());
    assert_eq!(store.await_checkpoint(0).unwrap(), None);
    assert_eq!(store.attachment(&hash(1)).unwrap(), None);
    store.erase_attachment(&hash(1)).unwrap();
}

fn a_body_is_kept_once_and_read_whole_and_in_parts<S: Subject>() {
    let mut subject = S::fresh();
    let body = bytes(10_000);
    for _ in 0..2 {
        subject.store().put_body(1, &id(1), &body).unwrap();
    }
    subject.store().put_body(1, &id(2), &[]).unwrap();
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.body(&id(1)).unwrap(), Some(body.clone()));
        for (offset, len) in
            [(0, 0), (0, 1), (0, 10_000), (4095, 2), (4096, 4096), (4095, 4098), (9_999, 1), (10_000, 0)]
        {
            let expected = body[offset as usize..(offset + len) as usize].to_vec();
            assert_eq!(store.body_part(&id(1), offset, len).unwrap(), Some(expected), "{offset}+{len}");
        }
        for (offset, len) in [(0, 10_001), (10_000, 1), (10_001, 0), (u32::MAX, 1), (1, u32::MAX)] {
            assert_eq!(store.body_part(&id(1), offset, len).unwrap(), None, "{offset}+{len}");
        }
        assert_eq!(store.body(&id(2)).unwrap(), Some(Vec::new()));
        assert_eq!(store.body_part(&id(2), 0, 0).unwrap(), Some(Vec::new()));
        assert_eq!(store.body(&id(3)).unwrap(), None);
        // What was kept and not decided is there after a restart.
        subject.restart();
    }
}

fn a_decision_moves_the_tip_and_survives<S: Subject>() {
    let mut subject = S::fresh();
    for height in 1..=70_u8 {
        subject.store().put_body(height.into(), &id(height), &bytes(height.into())).unwrap();
        subject.store().append(height.into(), &decided(height)).unwrap();
        assert_eq!(subject.store().ledger_tip().unwrap(), u64::from(height));
    }
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.ledger_tip().unwrap(), 70);
        for height in 1..=70_u8 {
            assert_eq!(store.decided(height.into()).unwrap(), Some(decided(height)));
            assert_eq!(store.body(&id(height)).unwrap(), Some(bytes(height.into())));
        }
        assert_eq!(store.decided(0).unwrap(), None);
        assert_eq!(store.decided(71).unwrap(), None);
        subject.restart();
    }
}

fn a_large_body_survives<S: Subject>() {
    let mut subject = S::fresh();
    let body = bytes(4 * 1024 * 1024 + 17);
    subject.store().put_body(1, &id(1), &body).unwrap();
    subject.store().append(1, &decided(1)).unwrap();
    subject.restart();
    assert!(subject.store().body(&id(1)).unwrap().as_ref() == Some(&body));
    let part = subject.store().body_part(&id(1), 4 * 1024 * 1024, 17).unwrap();
    assert_eq!(part, Some(body[4 * 1024 * 1024..].to_vec()));
}

fn other_proposals_may_go_when_a_height_is_decided<S: Subject>() {
    let mut subject = S::fresh();
    let store = subject.store();
    for seed in [1, 2, 3] {
        store.put_body(1, &id(seed), &bytes(9_000)).unwrap();
    }
    store.put_body(2, &id(4), &bytes(50)).unwrap();
    store.append(1, &decided(2)).unwrap();
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.body(&id(2)).unwrap(), Some(bytes(9_000)));
        assert_eq!(store.body(&id(4)).unwrap(), Some(bytes(50)));
        subject.restart();
    }
    subject.store().append(2, &decided(4)).unwrap();
    assert_eq!(subject.store().body(&id(2)).unwrap(), Some(bytes(9_000)));
}

fn writes_are_visible_at_once_and_durable_with_a_checkpoint<S: Subject>() {
    let mut subject = S::fresh();
    let store = subject.store();
    store.apply(0, put(Table::State, "a", "genesis")).unwrap();
    assert_eq!(get(store, Table::State, "a").as_deref(), Some("genesis"));
    assert_eq!(store.index_tip().unwrap(), None);
    checkpoint(store, 0, 0);
    store.apply(1, put(Table::State, "b", "one")).unwrap();
    store.apply(2, put(Table::State, "c", "two")).unwrap();
    let tip = store.index_tip().unwrap().unwrap();
    assert_eq!((tip.height, tip.checkpoint), (2, mark(0, 0)));
    subject.restart();
    let store = subject.store();
    let tip = store.index_tip().unwrap().unwrap();
    assert_eq!((tip.height, tip.checkpoint), (0, mark(0, 0)));
    assert_eq!(get(store, Table::State, "a").as_deref(), Some("genesis"));
    assert_eq!(get(store, Table::State, "b"), None);
    store.apply(1, put(Table::State, "b", "again")).unwrap();
    checkpoint(store, 1, 1);
    subject.restart();
    let store = subject.store();
    let tip = store.index_tip().unwrap().unwrap();
    assert_eq!((tip.height, tip.checkpoint), (1, mark(1, 1)));
    assert_eq!(get(store, Table::State, "b").as_deref(), Some("again"));
}

fn scans_keep_to_their_table_range_direction_and_limit<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    for (height, key) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let mut writes = put(Table::Leaf, key, "value");
        writes.append(&mut put(Table::LogTile, "x", "neighbour"));
        writes.append(&mut put(Table::Height, "y", "neighbour"));
        store.apply(height as u64, writes).unwrap();
        if height == 2 {
            checkpoint(store, 0, 2);
        }
    }
    let check = |range: (Bound<&str>, Bound<&str>), limit, forward: &str, backward: &str| {
        let owned = |bound: Bound<&str>| bound.map(|key| key.as_bytes().to_vec());
        let range = (owned(range.0), owned(range.1));
        let found = store.scan(Table::Leaf, range.clone(), Direction::Forward, limit).unwrap();
        assert_eq!(keys(&found), forward);
        let found = store.scan(Table::Leaf, range, Direction::Backward, limit).unwrap();
        assert_eq!(keys(&found), backward);
    };
    check((Bound::Unbounded, Bound::Unbounded), 9, "abcde", "edcba");
    check((Bound::Unbounded, Bound::Unbounded), 2, "ab", "ed");
    check((Bound::Unbounded, Bound::Unbounded), 0, "", "");
    check((Bound::Included("b"), Bound::Included("d")), 9, "bcd", "dcb");
    check((Bound::Excluded("b"), Bound::Excluded("d")), 9, "c", "c");
    check((Bound::Included("b"), Bound::Unbounded), 3, "bcd", "edc");
    check((Bound::Included("bb"), Bound::Excluded("e")), 9, "cd", "dc");
    check((Bound::Included("c"), Bound::Included("c")), 9, "c", "c");
    check((Bound::Included("c"), Bound::Excluded("c")), 9, "", "");
    check((Bound::Excluded("c"), Bound::Excluded("c")), 9, "", "");
    check((Bound::Included("d"), Bound::Included("b")), 9, "", "");
    check((Bound::Included("f"), Bound::Unbounded), 9, "", "");
}

fn newer_writes_hide_older_ones_across_checkpoints<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    let all = |store: &S::Store| keys(&store.scan(Table::ListHead, EVERYTHING, Direction::Forward, 9).unwrap());
    let mut writes = put(Table::ListHead, "a", "old");
    writes.append(&mut put(Table::ListHead, "b", "old"));
    writes.append(&mut put(Table::ListHead, "c", "old"));
    store.apply(0, writes).unwrap();
    checkpoint(store, 0, 0);
    store.apply(1, delete(Table::ListHead, "b")).unwrap();
    assert_eq!((get(store, Table::ListHead, "b"), all(store)), (None, "ac".to_owned()));
    checkpoint(store, 1, 1);
    assert_eq!((get(store, Table::ListHead, "b"), all(store)), (None, "ac".to_owned()));
    store.apply(2, put(Table::ListHead, "b", "new")).unwrap();
    store.apply(3, put(Table::ListHead, "a", "new")).unwrap();
    store.apply(4, delete(Table::ListHead, "c")).unwrap();
    assert_eq!((get(store, Table::ListHead, "b").as_deref(), all(store)), (Some("new"), "ab".to_owned()));
    checkpoint(store, 2, 4);
    assert_eq!((get(store, Table::ListHead, "a").as_deref(), all(store)), (Some("new"), "ab".to_owned()));
}

fn a_checkpoint_sees_the_one_before_and_what_it_freezes<S: Subject>() {
    let mut subject = S::fresh();
    let store = subject.store();
    store.apply(0, put(Table::State, "a", "before")).unwrap();
    checkpoint(store, 0, 0);
    store.apply(1, put(Table::State, "a", "now")).unwrap();
    let compute = |view: &dyn replica::port::CheckpointView| {
        assert_eq!(view.previous(Table::State, b"a")?, Some(b"before".to_vec()));
        assert_eq!(view.previous(Table::State, b"b")?, None);
        let frozen = |table| view.frozen(table).collect::<Vec<_>>();
        assert_eq!(frozen(Table::State), [(b"a".as_slice(), Some(b"now".as_slice()))]);
        assert_eq!(frozen(Table::Leaf), []);
        Ok(CheckpointOutput { root: hash(1), writes: put(Table::TreeNode, "node", "computed") })
    };
    let job = CheckpointJob { number: 1, height: 1, compute: Box::new(compute) };
    store.begin_checkpoint(job).unwrap();
    assert_eq!(store.await_checkpoint(1).unwrap(), Some(mark(1, 1)));
    for _ in 0..2 {
        assert_eq!(get(subject.store(), Table::State, "a").as_deref(), Some("now"));
        assert_eq!(get(subject.store(), Table::TreeNode, "node").as_deref(), Some("computed"));
        subject.restart();
    }
}

fn checkpoints_are_awaited_by_number<S: Subject>() {
    let mut subject = S::fresh();
    let store = subject.store();
    for number in 0..3 {
        store.apply(number, put(Table::Meta, "height", "value")).unwrap();
        store.begin_checkpoint(job(number, number)).unwrap();
    }
    for number in 0..3 {
        assert_eq!(store.await_checkpoint(number).unwrap(), Some(mark(number, number)));
    }
    assert_eq!(store.await_checkpoint(3).unwrap(), None);
    subject.restart();
    assert_eq!(subject.store().await_checkpoint(1).unwrap(), None);
    assert_eq!(subject.store().await_checkpoint(2).unwrap(), Some(mark(2, 2)));
}

/// After a checkpoint that was lost, waiting, beginning and applying say so, until the index is
/// emptied.
fn check_lost<S: Subject>(compute: replica::port::Compute) {
    let mut subject = S::fresh();
    let store = subject.store();
    store.apply(0, put(Table::State, "a", "genesis")).unwrap();
    checkpoint(store, 0, 0);
    store.apply(1, put(Table::State, "a", "one")).unwrap();
    let job = CheckpointJob { number: 1, height: 1, compute };
    store.begin_checkpoint(job).unwrap();
    let lost = |outcome: Result<(), StoreFault>| {
        assert!(matches!(outcome, Err(StoreFault::CheckpointLost { number: 1, .. })), "{outcome:?}");
    };
    lost(store.await_checkpoint(1).map(drop));
    lost(store.begin_checkpoint(self::job(2, 1)));
    lost(store.apply(2, IndexWrites::new()));
    assert_eq!(get(store, Table::State, "a").as_deref(), Some("one"));
    store.reset_index().unwrap();
    store.apply(0, put(Table::State, "a", "again")).unwrap();
    checkpoint(store, 0, 0);
    subject.restart();
    assert_eq!(get(subject.store(), Table::State, "a").as_deref(), Some("again"));
}

fn a_failed_checkpoint_shows_at_the_next_call<S: Subject>() {
    check_lost::<S>(Box::new(|_| {
        Err(StoreFault::Io { operation: "computing", source: std::io::Error::other("a reason") })
    }));
}

fn a_panicking_checkpoint_shows_at_the_next_call<S: Subject>() {
    check_lost::<S>(Box::new(|_| panic!("a test's panic, to be caught")));
}

fn a_reset_index_starts_over<S: Subject>() {
    let mut subject = S::fresh();
    let store = subject.store();
    store.apply(0, put(Table::State, "a", "genesis")).unwrap();
    checkpoint(store, 0, 0);
    store.apply(1, put(Table::State, "b", "one")).unwrap();
    store.reset_index().unwrap();
    assert_eq!(store.index_tip().unwrap(), None);
    assert_eq!(store.scan(Table::State, EVERYTHING, Direction::Backward, 9).unwrap(), Vec::new());
    store.apply(0, put(Table::State, "c", "genesis")).unwrap();
    checkpoint(store, 0, 0);
    subject.restart();
    assert_eq!(subject.store().index_tip().unwrap().unwrap().checkpoint, mark(0, 0));
    assert_eq!(get(subject.store(), Table::State, "a"), None);
    assert_eq!(get(subject.store(), Table::State, "c").as_deref(), Some("genesis"));
}

fn attachments_are_kept_until_they_are_erased<S: Subject>() {
    let mut subject = S::fresh();
    let store = subject.store();
    std::thread::scope(|threads| {
        for seed in 0..40_u8 {
            threads.spawn(move || store.put_attachment(&hash(seed), &vec![seed; usize::from(seed) * 100]).unwrap());
        }
    });
    store.put_attachment(&hash(1), &[1; 100]).unwrap();
    store.erase_attachment(&hash(7)).unwrap();
    store.erase_attachment(&hash(7)).unwrap();
    for _ in 0..2 {
        for seed in 0..40_u8 {
            let expected = (seed != 7).then(|| vec![seed; usize::from(seed) * 100]);
            assert_eq!(subject.store().attachment(&hash(seed)).unwrap(), expected);
        }
        subject.restart();
    }
    subject.store().put_attachment(&hash(7), b"again").unwrap();
    assert_eq!(subject.store().attachment(&hash(7)).unwrap().as_deref(), Some(b"again".as_slice()));
}

fn local_rows_are_kept_apart_and_outlive_a_crash<S: Subject>() {
    use LocalTable::{WebhookDeadLetter, WebhookEndpoint, WebhookProgress};
    let mut subject = S::fresh();
    let row = |table, key: &[u8], value: &[u8]| ((table, key.to_vec()), value.to_vec());
    let rows = [
        row(WebhookEndpoint, b"a", b"endpoint"),
        row(WebhookProgress, b"a", b"1"),
        row(WebhookDeadLetter, b"a1", b"one"),
        row(WebhookDeadLetter, b"a2", b"two"),
        row(WebhookDeadLetter, b"b1", b"other"),
    ];
    subject.store().put_local(&rows.into()).unwrap();
    subject.store().put_local(&[row(WebhookProgress, b"a", b"2")].into()).unwrap();
    subject.store().remove_local(&[(WebhookDeadLetter, b"a1".to_vec()), (WebhookDeadLetter, b"c".to_vec())]).unwrap();
    for _ in 0..2 {
        let scan = |table, range, limit| {
            let rows = subject.store().scan_local(table, range, limit).unwrap();
            rows.into_iter().map(|(key, value)| format!("{}={}", text(&key), text(&value))).collect::<Vec<_>>()
        };
        assert_eq!(scan(WebhookEndpoint, EVERYTHING, 9), ["a=endpoint"]);
        assert_eq!(scan(WebhookProgress, EVERYTHING, 9), ["a=2"]);
        assert_eq!(scan(WebhookDeadLetter, EVERYTHING, 9), ["a2=two", "b1=other"]);
        assert_eq!(scan(WebhookDeadLetter, EVERYTHING, 1), ["a2=two"]);
        let of_a = (Bound::Included(b"a".to_vec()), Bound::Excluded(b"b".to_vec()));
        assert_eq!(scan(WebhookDeadLetter, of_a, 9), ["a2=two"]);
        subject.restart();
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn readers_run_beside_commits_and_checkpoints<S: Subject>() {
    const HEIGHTS: u64 = 60;
    let subject = S::fresh();
    let store = subject.store();
    let key = |number: u64| number.to_be_bytes().to_vec();
    let (told, heights) = mpsc::channel::<u64>();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            for height in 0..HEIGHTS {
                let rows = height * 50..(height + 1) * 50;
                let writes = rows.map(|row| ((Table::Leaf, key(row)), Some(key(row)))).collect();
                store.apply(height, writes).unwrap();
                store.begin_checkpoint(job(height, height)).unwrap();
                told.send(height).unwrap();
            }
        });
        let reader = |height: u64| {
            // Everything up to an applied height is there, in whichever layer it is by now.
            let count = usize::try_from((height + 1) * 50).unwrap();
            let rows = store.scan(Table::Leaf, EVERYTHING, Direction::Forward, count).unwrap();
            assert_eq!(rows.len(), count);
            let range = (Bound::Unbounded, Bound::Included(key(height)));
            let rows = store.scan(Table::Leaf, range, Direction::Backward, 1).unwrap();
            assert_eq!(rows, vec![(key(height), key(height))]);
            assert_eq!(store.get(Table::Leaf, &key(height * 50)).unwrap(), Some(key(height * 50)));
        };
        for height in heights {
            threads.spawn(move || reader(height));
        }
    });
    assert_eq!(store.await_checkpoint(HEIGHTS - 1).unwrap(), Some(mark(HEIGHTS - 1, HEIGHTS - 1)));
}
