//! A statement sent again and again: one decision, one receipt.

use std::collections::BTreeSet;
use std::sync::Barrier;

use chain::statement::Mode;
use serde_json::{Value, json};

use super::client::{Answer, send};
use super::consortium::document;
use super::node::{Node, Setup};
use crate::Options;

/// The same statement from ten connections at the same moment.
fn ten_at_once(node: &Node, statement: &[u8]) -> Vec<Answer> {
    let start = Barrier::new(10);
    std::thread::scope(|scope| {
        let one = || {
            start.wait();
            node.submit(statement)
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_statement_from_ten_connections_also_after_a_timeout_is_one_invoice_with_one_receipt() {
    let options = Options { finality_wait_ms: 20, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let statement = node.statement("shop", "n1", Mode::Each, &[json!({"issue": {"document": document("A1")}})]);
    let held = node.hold_blocks();
    // Nobody hears of a decision in time; the statement waits, once.
    let pending = ten_at_once(&node, &statement);
    assert!(pending.iter().all(|answer| answer.status == 202), "{pending:?}");
    assert_eq!(node.app.mempool.len(), 1);
    let path = pending[0].header("location").unwrap().to_owned();
    drop(held);
    super::server::eventually(|| node.get("shop", &path).json()["state"] == "decided");

    let decided = ten_at_once(&node, &statement);
    let outcomes: Vec<Value> = decided.iter().map(|answer| answer.json()["outcomes"].clone()).collect();
    assert!(decided.iter().all(|answer| answer.status == 200), "decided before all of them");
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
    assert_eq!(outcomes[0][0]["code"], "accepted");
    assert_eq!(node.leaves(), 1);
    let receipt = outcomes[0][0]["receipt"].as_str().unwrap();
    let headers = [("authorization", node.bearer("shop"))];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let receipts: BTreeSet<Vec<u8>> = (0..3).map(|_| send(node.address, "GET", receipt, &headers, b"").body).collect();
    assert_eq!(receipts.len(), 1, "the receipt is the same every time");
}
