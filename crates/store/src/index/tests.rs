//! The index: whole, half, damaged and missing checkpoints.

use std::path::Path;

use replica::port::CheckpointOutput;

use super::layout::{BEGIN_KEY, END_KEY};
use super::*;
use crate::tests::{hash, job, options, writes};

fn open(directory: &Path) -> Index {
    let options = options(directory);
    Index::open(&options, &Room::new(directory, options.reserve_bytes)).unwrap()
}

fn checkpoint(index: &Index, number: u64) {
    index.apply(number, writes(number)).unwrap();
    index.begin_checkpoint(job(number, number)).unwrap();
    index.await_checkpoint(number).unwrap().unwrap();
}

/// The number of the checkpoint found by a start.
fn found(directory: &Path) -> Option<u64> {
    let index = open(directory);
    let number = index.tip().map(|tip| tip.checkpoint.number);
    if number.is_none() {
        let range = (Bound::Unbounded, Bound::Unbounded);
        let mut scanned = Table::ALL.into_iter().filter(|table| !table.comes_by_chance());
        let is_empty = |table| index.scan(table, range.clone(), Direction::Forward, 9).unwrap().is_empty();
        assert!(scanned.all(is_empty), "an index in doubt is emptied");
        checkpoint(&index, 0);
    }
    number
}

/// Rows as they stand in the database.
type Rows = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Makes checkpoints 0 to 3 and keeps what the last one wrote, as it was before and after.
/// Then lets `half` choose for each row whether it is the old or the new one that survived, and
/// `evidence` which of the two evidence files, and says which checkpoint a start finds.
fn after_a_crash(half: impl Fn(&[u8]) -> bool, evidence: bool) -> Option<u64> {
    let directory = tempfile::tempdir().unwrap();
    crash(directory.path(), half, evidence, false);
    found(directory.path())
}

/// The same with the redo file of checkpoint 3; also says whether the rows are those it wrote.
fn after_a_crash_with_redo(half: impl Fn(&[u8]) -> bool) -> (Option<u64>, bool) {
    let directory = tempfile::tempdir().unwrap();
    let after = crash(directory.path(), half, true, true);
    let index = open(directory.path());
    let number = index.tip().map(|tip| tip.checkpoint.number);
    assert!(!redo::path(directory.path()).exists());
    (number, rows_of(&index) == after)
}

fn rows_of(index: &Index) -> Rows {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let rows = index.shared.database.rows(String::new, all, Direction::Forward, usize::MAX).unwrap();
    rows.into_iter().map(|(key, value)| (key, Some(value))).collect()
}

fn crash(path: &Path, half: impl Fn(&[u8]) -> bool, evidence: bool, redo: bool) -> Rows {
    let index = open(path);
    (0..3).for_each(|number| checkpoint(&index, number));
    let (before, old_evidence) = (rows_of(&index), std::fs::read(evidence::path(path)).unwrap());
    checkpoint(&index, 3);
    let after = rows_of(&index);
    let old = |key: &Vec<u8>| before.iter().find(|(other, _)| other == key).and_then(|(_, value)| value.clone());
    let new = |key: &Vec<u8>| after.iter().find(|(other, _)| other == key).and_then(|(_, value)| value.clone());
    for (key, _) in before.iter().chain(&after) {
        let value = if half(key) { new(key) } else { old(key) };
        index.shared.database.write([(key.as_slice(), value.as_deref())]).unwrap();
    }
    if redo {
        let marks = layout::Marks::of_end_row(&new(&END_KEY.to_vec()).unwrap()).unwrap();
        let keys: std::collections::BTreeSet<_> = before.iter().chain(&after).map(|(key, _)| key).collect();
        let changed: Vec<_> = keys.into_iter().filter(|key| !is_mark(key) && old(key) != new(key)).collect();
        let values: Vec<_> = changed.iter().map(|key| new(key)).collect();
        let rows = changed.into_iter().cloned().zip(values.iter().map(Option::as_deref));
        redo::write(path, &marks, rows).unwrap();
    }
    index.close().unwrap();
    drop(index);
    if !evidence {
        std::fs::write(evidence::path(path), old_evidence).unwrap();
    }
    after
}

fn is_mark(key: &[u8]) -> bool {
    key == BEGIN_KEY || key == END_KEY
}

/// A row that checkpoint 3 makes, and one that it deletes.
fn is_one_row(key: &[u8]) -> bool {
    key == layout::row_key(Table::Leaf, &35_u64.to_be_bytes())
}

fn is_deleted_row(key: &[u8]) -> bool {
    key == layout::row_key(Table::Leaf, &29_u64.to_be_bytes())
}

#[test]
fn a_checkpoint_is_whole_or_absent() {
    assert_eq!(after_a_crash(|_| true, true), Some(3));
    assert_eq!(after_a_crash(|_| false, true), Some(2));
    assert_eq!(after_a_crash(|_| false, false), Some(2));
}

#[test]
fn half_a_checkpoint_empties_the_index() {
    assert_eq!(after_a_crash(is_mark, true), None);
    assert_eq!(after_a_crash(|key| !is_mark(key), true), None);
    assert_eq!(after_a_crash(|key| key == BEGIN_KEY, true), None);
    assert_eq!(after_a_crash(|key| key == END_KEY, true), None);
    assert_eq!(after_a_crash(|key| key != BEGIN_KEY, true), None);
    assert_eq!(after_a_crash(|key| key != END_KEY, true), None);
    assert_eq!(after_a_crash(is_one_row, true), None);
    assert_eq!(after_a_crash(|key| !is_one_row(key), true), None);
    assert_eq!(after_a_crash(is_deleted_row, true), None);
    assert_eq!(after_a_crash(|key| !is_deleted_row(key), true), None);
}

#[test]
fn half_a_checkpoint_with_its_redo_file_is_finished() {
    // Before the first slice, between slices, after the last.
    assert_eq!(after_a_crash_with_redo(|_| false), (Some(3), true));
    assert_eq!(after_a_crash_with_redo(|key| key == BEGIN_KEY), (Some(3), true));
    assert_eq!(after_a_crash_with_redo(|key| key == BEGIN_KEY || is_one_row(key)), (Some(3), true));
    assert_eq!(after_a_crash_with_redo(|key| key == BEGIN_KEY || is_deleted_row(key)), (Some(3), true));
    assert_eq!(after_a_crash_with_redo(|key| key != END_KEY), (Some(3), true));
    assert_eq!(after_a_crash_with_redo(|_| true), (Some(3), true));
    // Marked as finished, and it is not: no crash does that, so nothing is trusted.
    assert_eq!(after_a_crash_with_redo(|key| key != BEGIN_KEY && !is_one_row(key)), (None, false));
    assert_eq!(after_a_crash_with_redo(|key| !is_one_row(key)), (None, false));
}

#[test]
fn large_checkpoints_are_written_in_slices_and_leave_no_redo_file() {
    let directory = tempfile::tempdir().unwrap();
    let slices = Options { slice_rows_max: 512, index_reopen_bytes: 1, ..options(directory.path()) };
    let open = || Index::open(&slices, &Room::new(directory.path(), 0)).unwrap();
    let index = open();
    let mut expected = std::collections::BTreeMap::new();
    for number in 0..4_u64 {
        let rows: IndexWrites = (0..4_000_u64)
            .map(|row| row * (number + 1))
            .map(|row| {
                (
                    (Table::State, row.to_be_bytes().to_vec()),
                    (row % 3 != number % 3).then(|| vec![number.to_be_bytes()[7]; 60]),
                )
            })
            .collect();
        expected.extend(rows.clone());
        index.apply(number, rows).unwrap();
        index.begin_checkpoint(job(number, number)).unwrap();
        index.await_checkpoint(number).unwrap().unwrap();
        assert!(!redo::path(directory.path()).exists());
    }
    index.close().unwrap();
    drop(index);
    let index = open();
    assert_eq!(index.tip().map(|tip| tip.checkpoint.number), Some(3));
    for ((table, key), value) in expected {
        assert_eq!(index.get(table, &key).unwrap(), value);
    }
}

#[test]
fn evidence_of_another_checkpoint_empties_the_index() {
    assert_eq!(after_a_crash(|_| true, false), None);
}

/// Makes two checkpoints, lets `damage` work on the closed directory, and opens again.
fn check(damage: impl Fn(&Path), expected: Option<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let index = open(directory.path());
    (0..2).for_each(|number| checkpoint(&index, number));
    index.close().unwrap();
    drop(index);
    damage(directory.path());
    assert_eq!(found(directory.path()), expected);
    // Emptied or not, the next start finds it sound.
    assert!(found(directory.path()).is_some());
}

#[test]
fn an_index_without_its_surroundings_is_emptied() {
    check(|_| {}, Some(1));
    check(|path| std::fs::remove_file(evidence::path(path)).unwrap(), None);
    check(|path| std::fs::write(evidence::path(path), b"other bytes").unwrap(), None);
    check(|path| std::fs::remove_dir_all(path.join("index")).unwrap(), None);
    check(|path| std::fs::remove_dir_all(path.join("index/slabs")).unwrap(), None);
    check(|path| std::fs::write(suspicion(path), b"a page was damaged").unwrap(), None);
    check(|path| std::fs::write(path.join("index/durability_cookie"), b"short").unwrap(), None);
    // What a crash leaves while an index is thrown away.
    check(|path| std::fs::create_dir_all(path.join("index.discarded/slabs")).unwrap(), Some(1));
    check(|path| std::fs::write(path.join("index-redo.new"), b"half a fi").unwrap(), Some(1));
    check(|path| std::fs::write(path.join("index-redo"), b"of a lying disk").unwrap(), Some(1));
    let leaves_nothing = |path: &Path| {
        std::fs::write(path.join("index-redo.new"), b"half a fi").unwrap();
        drop(open(path));
        assert!(!path.join("index-redo.new").exists());
    };
    check(leaves_nothing, Some(1));
    check(|path| std::fs::write(path.join("index-evidence.new"), b"half a fi").unwrap(), Some(1));
}

#[test]
fn damage_met_while_reading_is_told_and_empties_the_index_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let no_evidence = Options { evidence_rows_max: 1, ..options(directory.path()) };
    let room = Room::new(directory.path(), 0);
    let index = Index::open(&no_evidence, &room).unwrap();
    let many = (0..5_000_u64).map(|row| ((Table::State, row.to_be_bytes().to_vec()), Some(vec![3; 50]))).collect();
    index.apply(0, many).unwrap();
    index.begin_checkpoint(job(0, 0)).unwrap();
    index.close().unwrap();
    drop(index);
    for slab in std::fs::read_dir(directory.path().join("index/slabs")).unwrap() {
        let path = slab.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        // The first pages hold the marks and the one row of evidence.
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).take(2_000).for_each(|byte| *byte ^= 1);
        std::fs::write(&path, bytes).unwrap();
    }
    let read = |index: &Index| {
        (0..5_000_u64)
            .try_for_each(|row| index.get(Table::State, &row.to_be_bytes()).map(|value| assert!(value.is_some())))
    };
    let index = Index::open(&no_evidence, &room).unwrap();
    if index.tip().is_some() {
        let fault = read(&index).unwrap_err();
        assert!(matches!(fault, StoreFault::Damaged { .. }), "{fault:?}");
        drop(index);
        let index = Index::open(&no_evidence, &room).unwrap();
        assert_eq!(index.tip(), None);
    }
}

#[test]
fn a_checkpoint_that_writes_outside_its_tables_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(directory.path());
    index.apply(0, writes(0)).unwrap();
    let output = IndexWrites::from([((Table::State, vec![1]), Some(vec![2]))]);
    let compute = move |_: &dyn replica::port::CheckpointView| Ok(CheckpointOutput { root: hash(1), writes: output });
    index.begin_checkpoint(CheckpointJob { number: 0, height: 0, compute: Box::new(compute) }).unwrap();
    let fault = index.await_checkpoint(0).unwrap_err();
    assert!(matches!(fault, StoreFault::CheckpointLost { number: 0, .. }), "{fault:?}");
    assert!(index.close().is_err());
}

#[test]
fn rows_that_come_in_order_fill_their_pages() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(directory.path());
    // Another table stands behind them, as always.
    index.apply(0, [((Table::Meta, vec![1]), Some(vec![1]))].into()).unwrap();
    index.begin_checkpoint(job(0, 0)).unwrap();
    index.await_checkpoint(0).unwrap().unwrap();
    for number in 1..4_u64 {
        let rows: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..10_000_u64)
            .map(|row| (layout::row_key(Table::Leaf, &(number * 10_000 + row).to_be_bytes()), Some(vec![1; 20])))
            .collect();
        let marks =
            layout::Marks::of_end_row(&index.shared.database.get(String::new, END_KEY).unwrap().unwrap()).unwrap();
        let rows = rows.into_iter().map(Ok);
        let pages = checkpoint::write_slices(&index.shared.database, 4_000, &marks, rows, || Ok(())).unwrap();
        assert!(pages <= 10_000 / 60 + 10, "{pages} pages");
    }
    let found = index.scan(Table::Leaf, (Bound::Unbounded, Bound::Unbounded), Direction::Forward, usize::MAX).unwrap();
    assert_eq!(found.len(), 30_000);
}

#[test]
fn pages_of_deleted_rows_are_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let index =
        Index::open(&Options { index_reopen_bytes: 1, ..options(directory.path()) }, &Room::new(directory.path(), 0))
            .unwrap();
    // A window of live rows that moves on, as expiring nonces do.
    for number in 0..20_u64 {
        let row = |row: u64| (Table::NonceExpiry, row.to_be_bytes().to_vec());
        let mut writes: IndexWrites =
            (number * 500..number * 500 + 500).map(|key| (row(key), Some(vec![1; 20]))).collect();
        if let Some(old) = number.checked_sub(2) {
            writes.extend((old * 500..old * 500 + 500).map(|key| (row(key), None)));
        }
        index.apply(number, writes).unwrap();
        index.begin_checkpoint(job(number, number)).unwrap();
        index.await_checkpoint(number).unwrap().unwrap();
        let kept = index
            .scan(Table::NonceExpiry, (Bound::Unbounded, Bound::Unbounded), Direction::Forward, usize::MAX)
            .unwrap();
        let from = number.saturating_sub(1) * 500;
        assert_eq!(kept.first().map(|(key, _)| key.clone()), Some(from.to_be_bytes().to_vec()));
        assert_eq!(kept.len(), if number == 0 { 500 } else { 1_000 });
    }
    index.close().unwrap();
    drop(index);
    assert_eq!(found(directory.path()), Some(19));
}
