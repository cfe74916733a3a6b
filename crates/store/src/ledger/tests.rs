//! The ledger: what becomes of other proposals, of memory, and of rows that are missing.

use super::*;
use crate::tests::{body, decided, id, options};

fn open(directory: &std::path::Path) -> Ledger {
    let options = options(directory);
    let room = Room::new(directory, options.reserve_bytes);
    Ledger::open(&options, room).unwrap()
}

fn everything(ledger: &Ledger) -> usize {
    let all = (Bound::Unbounded, Bound::Unbounded);
    ledger.database.rows(String::new, all, Direction::Forward, usize::MAX).unwrap().len()
}

#[test]
fn other_proposals_are_dropped_with_the_decision_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.put_body(1, &id(1), &body(1), 0).unwrap();
    ledger.append(1, &decided(1)).unwrap();
    let clean = everything(&ledger);
    for seed in [10, 11, 12] {
        ledger.put_body(2, &id(seed), &body(seed), 0).unwrap();
    }
    // One that comes when its height is decided already.
    ledger.put_body(1, &id(13), &body(13), 0).unwrap();
    drop(ledger);
    let ledger = open(directory.path());
    assert_eq!(ledger.undecided().len(), 4);
    ledger.append(2, &decided(11)).unwrap();
    assert_eq!(ledger.undecided().len(), 0);
    for seed in [10, 12, 13] {
        assert_eq!(ledger.body(&id(seed)).unwrap(), None);
        assert_eq!(ledger.body_part(&id(seed), 0, 1).unwrap(), None);
    }
    assert_eq!(ledger.body(&id(11)).unwrap(), Some(body(11)));
    // Layout row aside, each height has as many rows as the other.
    assert_eq!(everything(&ledger) - 1, 2 * (clean - 1));
}

#[test]
fn reopening_between_commits_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { ledger_reopen_bytes: 1, ..options(directory.path()) };
    let ledger = Ledger::open(&options, Room::new(directory.path(), 0)).unwrap();
    for height in 1..=5 {
        ledger.put_body(height.into(), &id(height), &body(height), 0).unwrap();
        ledger.append(height.into(), &decided(height)).unwrap();
        assert_eq!(ledger.database.held_bytes(), 0);
    }
    for height in 1..=5 {
        assert_eq!(ledger.body(&id(height)).unwrap(), Some(body(height)));
    }
}

#[test]
fn another_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.database.write([(LAYOUT_KEY, Some([9].as_slice()))]).unwrap();
    ledger.database.flush().unwrap();
    drop(ledger);
    let outcome = Ledger::open(&options(directory.path()), Room::new(directory.path(), 0));
    assert!(matches!(outcome, Err(StoreFault::Damaged { .. })), "{outcome:?}");
}

/// Takes rows away behind the ledger's back, and reads.
fn check_missing(key: &[u8], expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    for height in 1..=2 {
        ledger.put_body(height.into(), &id(height), &body(height), 0).unwrap();
        ledger.append(height.into(), &decided(height)).unwrap();
    }
    ledger.database.remove([key]).unwrap();
    let read = || ledger.decided(1).and_then(|_| ledger.body(&id(1)));
    let fault = read().unwrap_err();
    let StoreFault::Damaged { place, .. } = &fault else { panic!("{fault:?}") };
    assert!(place.contains("height 1"), "{fault}");
    assert!(fault.to_string().contains(expected), "{fault}");
}

#[test]
fn missing_rows_are_found_and_named() {
    check_missing(&decided_key(1), "decision");
    check_missing(&directory_key(1, &id(1)), "directory");
    check_missing(&chunk_key(1, &id(1), 1), "chunks");
}
