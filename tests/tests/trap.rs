//! The replica on its worst days: a statement that makes execution panic, a disk without room.

use chain::hash::{Hash, StatementId};
use chain::statement::Mode;
use invoice::amount::Amount;
use ledger::quota::{Quota, QuotaRecord};
use ledger::record::LeafRef;
use ledger::state::{StateKey, encode};
use replica::memory::MemoryStore;
use replica::mempool::Full;
use replica::port::StoreFault;
use replica::query::Admission;
use replica::replica::{Check, Dropped, Fault};
use std::sync::Arc;
use tests::consortium::{NOON, Node, genesis, organisation_id, secret};
use tests::events::{issue, void};
use tests::trap::Trap;

fn trapped() -> (Arc<Trap<MemoryStore>>, Node<Trap<MemoryStore>>) {
    let store = Trap::around(MemoryStore::default());
    (Arc::clone(&store), Node::start(genesis(|_| {}), store))
}

fn submit_three(node: &mut Node<Trap<MemoryStore>>) -> Vec<(StatementId, Vec<u8>)> {
    let statements = ["good-1", "boom", "good-2"].map(|name| node.statement("shop", Mode::Each, &[issue(name)]));
    statements.into_iter().map(|statement| (node.submit(&statement), statement)).collect()
}

#[test]
fn a_statement_that_makes_execution_panic_is_quarantined_and_the_block_is_made_without_it() {
    let (store, mut node) = trapped();
    let statements = submit_three(&mut node);
    let (boom, bytes) = &statements[1];
    store.panic_on(StateKey::reference(&organisation_id("shop"), "boom"));
    let proposal = node.propose();
    assert_eq!(proposal.dropped, [(*boom, Dropped::Quarantined)]);
    let certificate = node.certify(&proposal.block);
    let committed = node.replica.commit(&certificate).unwrap();
    assert_eq!(committed.statements, [statements[0].0, statements[2].0]);
    node.mempool.remove(&committed.statements);
    assert!(node.mempool.is_empty());
    // It is not let in again, and burnt no nonce: once execution is mended, its author may repeat it elsewhere.
    let Admission::Admitted(entry) = node.query.admit(bytes, node.now_ms).unwrap() else { panic!() };
    assert_eq!(node.mempool.insert(*entry).unwrap_err(), Full::Quarantined);
    // The node lives.
    assert_eq!(node.event("shop", &issue("good-3")), "accepted");
}

#[test]
fn a_block_that_makes_execution_panic_is_voted_down_and_the_checker_lives() {
    let (_, mut proposer) = trapped();
    let (store, mut checker) = trapped();
    submit_three(&mut proposer);
    let block = proposer.propose().block;
    store.panic_on(StateKey::reference(&organisation_id("shop"), "boom"));
    let verdict = checker.replica.check(&block, None, &checker.mempool).unwrap();
    assert!(matches!(&verdict, Check::Invalid(invalid) if invalid.found == "a panic"), "{verdict:?}");
    assert_eq!(checker.event("shop", &issue("good-1")), "accepted");
}

/// Says that the shop has issued nothing under a quota: whatever it takes back is more than it has.
fn used_nothing(store: &Trap<MemoryStore>) {
    let nothing = Quota { amount: Amount::from_fen(1_000_000), used: Amount::ZERO, paused: false };
    let granted = LeafRef { index: 0, hash: Hash::of(b"a grant") };
    let record = QuotaRecord { quota: nothing, granted_ms: NOON, granted };
    let key = StateKey::quota(&organisation_id("shop"), "2026-11".parse().unwrap());
    // As the store has it: with no list's head in front.
    store.say(key, [&[0], &encode(&Hash::of(b"a mistake"), &record)[..]].concat());
}

#[test]
fn a_statement_that_drives_sums_out_of_their_range_is_quarantined_and_ends_nobody() {
    let (store, mut node) = trapped();
    let (_, mut proposer) = trapped();
    for one in [&mut node, &mut proposer] {
        assert_eq!(one.event("shop", &issue("taken-back")), "accepted");
    }
    let invoice = "144032609110-00000001";
    let statements = [issue("good-1"), void(invoice), issue("good-2")];
    let statements = statements.map(|event| node.statement("shop", Mode::Each, &[event]));
    let ids = [0, 1, 2].map(|place: usize| node.submit(&statements[place]));
    for statement in &statements {
        proposer.submit(statement);
    }
    let block = proposer.propose().block;
    used_nothing(&store);
    let verdict = node.replica.check(&block, None, &node.mempool).unwrap();
    let why = "the sums of shop left their range";
    assert!(matches!(&verdict, Check::Invalid(invalid) if invalid.found == why), "{verdict:?}");
    let proposal = node.propose();
    assert_eq!(proposal.dropped, [(ids[1], Dropped::Quarantined)]);
    assert_eq!(proposal.block.statements.len(), 2);
}

#[test]
fn without_room_nothing_is_lost_and_the_same_calls_succeed_when_there_is_some() {
    let (store, mut node) = trapped();
    submit_three(&mut node);
    let full = |result: Result<(), Fault>| matches!(result, Err(Fault::Store(StoreFault::Full { .. })));
    let key = secret("tax-bureau", "consensus").public();
    store.fill(true);
    assert!(full(node.replica.propose(node.now_ms, &key, &node.mempool).map(drop)));
    assert_eq!(node.mempool.len(), 3, "what waits goes on waiting");
    store.fill(false);
    let block = node.propose().block;
    let certificate = node.certify(&block);
    store.fill(true);
    assert!(full(node.replica.commit(&certificate).map(drop)));
    assert_eq!(node.replica.tip().progress.height, 0);
    store.fill(false);
    assert_eq!(node.replica.commit(&certificate).unwrap().statements.len(), 3);
}
