//! The replica on sled: what is acknowledged is there again, however the process ended.

use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use chain::hash::Hash;
use chain::statement::Mode;
use store::{Options, SledStore};
use tests::consortium::{CHECKPOINT_MS, Node, genesis};
use tests::events::{issue, lock};

fn open(directory: &Path) -> Arc<SledStore> {
    Arc::new(SledStore::open(&Options::new(directory)).unwrap())
}

/// A copy of the files as they are: what a process killed now would leave behind.
fn copy(from: &Path, to: &Path) {
    // The checkpoint in the background makes and removes files; what went away meanwhile is looked at again.
    while let Err(error) = try_copy(from, to) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        std::fs::remove_dir_all(to).unwrap();
    }
}

fn try_copy(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_height() {
    let directory = tempfile::tempdir().unwrap();
    let (live, killed) = (directory.path().join("live"), directory.path().join("killed"));
    let mut node = Node::start(genesis(|_| {}), open(&live));
    for round in 0..12 {
        // Across state checkpoints, and between them.
        node.now_ms += if round % 3 == 0 { CHECKPOINT_MS } else { 100 };
        let (code, id) = node.decide("shop", Mode::Each, &[issue(&format!("r{round}"))]).remove(0);
        assert_eq!(code, "accepted");
        let image = killed.join(round.to_string());
        copy(&live, &image);
        let again = Node::start(genesis(|_| {}), open(&image));
        assert_eq!(again.replica.tip().progress, node.replica.tip().progress, "round {round}");
        let invoice = id.parse().unwrap();
        assert_eq!(again.query.invoice(&invoice).unwrap(), node.query.invoice(&invoice).unwrap());
        again.query.receipt(round).unwrap().unwrap().verify(&again.genesis).unwrap();
    }
}

/// Writes the evidence of the newest checkpoint as a version would whose rows had another form.
fn age(directory: &Path) {
    let path = directory.join("index-evidence");
    let mut bytes = std::fs::read(&path).unwrap();
    let content = bytes.len() - 32;
    assert!(bytes.starts_with(b"einvidx8"));
    bytes[7] = b'4';
    let digest = *Hash::of(&bytes[..content]).as_bytes();
    bytes[content..].copy_from_slice(&digest);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_index_of_an_older_form_is_rebuilt_from_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::start(genesis(|_| {}), open(directory.path()));
    let id = node.decide("shop", Mode::Each, &[issue("a")]).remove(0).1;
    node.now_ms += CHECKPOINT_MS;
    assert_eq!(node.event("platform-a", &lock(&id, "c")), "accepted");
    let progress = node.replica.tip().progress.clone();
    replica::port::Store::close(&**node.replica.store()).unwrap();
    drop(node);
    let store = open(directory.path());
    assert!(replica::port::Store::index_tip(&*store).unwrap().is_some(), "it is sound before");
    drop(store);
    age(directory.path());
    let store = open(directory.path());
    assert_eq!(replica::port::Store::index_tip(&*store).unwrap(), None);
    let again = Node::start(genesis(|_| {}), store);
    assert_eq!(again.replica.tip().progress, progress);
    assert_eq!(again.query.subject_leaves(&id, None, 9).unwrap(), [0, 1]);
}

#[test]
fn a_node_goes_on_where_it_was_closed_and_rebuilds_a_lost_index() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::start(genesis(|_| {}), open(directory.path()));
    let id = node.decide("shop", Mode::Each, &[issue("a")]).remove(0).1;
    node.now_ms += 30_000;
    assert_eq!(node.event("platform-a", &lock(&id, "c")), "accepted");
    let progress = node.replica.tip().progress.clone();
    replica::port::Store::close(&**node.replica.store()).unwrap();
    drop(node);
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    let mut again = Node::start(genesis(|_| {}), open(directory.path()));
    assert_eq!(again.replica.tip().progress, progress);
    assert_eq!(again.event("platform-b", &lock(&id, "d")), "reimbursement.already-locked");
}
