//! Equivocations on the ledger: what the door shows of them, and to whom.

use chain::block::BlockId;
use chain::certificate::{VoteKind, sign_vote};
use chain::equivocation::{Equivocation, Signed, Step};
use chain::hash::Hash;
use chain::receipt::Receipt;
use chain::statement::Mode;
use chain::suite::Suite;
use serde_json::{Value, json};

use super::client::send;
use super::consortium::{genesis, organisation, secret};
use super::node::Node;

/// Two precommits of the tax bureau in a round of height 1, as an event.
pub(crate) fn double_vote(node: &Node, round: u32) -> Value {
    let key = secret("tax-bureau", "consensus");
    let vote = |block: Option<BlockId>| {
        let (chain, kind) = (node.query.chain(), VoteKind::Precommit);
        let signature = sign_vote(&key, chain, Suite::Ed25519Sha256, kind, 1, round, block.as_ref());
        Signed { block, pol_round: None, signature }
    };
    let block = Some(Hash::of(b"another").into());
    let proof = Equivocation::new(organisation("tax-bureau"), (1, round, Step::Precommit), vote(None), vote(block));
    json!({"evidence": proof})
}

fn status(node: &Node) -> Value {
    send(node.address, "GET", "/v1/status", &[], b"").json()["evidence"].clone()
}

#[test]
fn the_status_shows_how_many_equivocations_the_ledger_holds_and_the_newest() {
    let node = Node::start();
    assert_eq!(status(&node), json!({"count": 0, "newest": []}));
    let answer = node.submit(&node.statement("police", "n1", Mode::Each, &[double_vote(&node, 0)]));
    let outcome = &answer.json()["outcomes"][0];
    assert_eq!((&outcome["code"], &outcome["kind"]), (&json!("accepted"), &json!("evidence")), "{}", answer.text());
    let key = secret("tax-bureau", "consensus").public().to_string();
    assert_eq!(outcome["record"], json!({"reported": {"number": 1, "key": key}}));
    let row = json!({
        "validator": "tax-bureau", "height": 1, "round": 0, "kind": "precommit", "reported_by": "police", "leaf_index": 0
    });
    assert_eq!(status(&node), json!({"count": 1, "newest": [row]}));
    // Once more, by the accused itself: the same one.
    let again = node.submit(&node.statement("tax-bureau", "n1", Mode::Each, &[double_vote(&node, 0)])).json();
    assert_eq!(again["outcomes"][0]["code"], "repeated");
    assert_eq!(again["outcomes"][0]["original"]["leaf_index"], 0);
    assert_eq!(status(&node), json!({"count": 1, "newest": [row]}));
    let more: Vec<Value> = (1..12).map(|round| double_vote(&node, round)).collect();
    assert_eq!(node.submit(&node.statement("police", "n2", Mode::All, &more)).status, 201);
    let shown = status(&node);
    let rounds: Vec<u64> =
        shown["newest"].as_array().unwrap().iter().map(|row| row["round"].as_u64().unwrap()).collect();
    assert_eq!((&shown["count"], rounds), (&json!(12), vec![11, 10, 9, 8, 7, 6, 5, 4]));
}

#[test]
fn evidence_is_for_agencies_to_report_and_its_receipt_verifies_offline() {
    let node = Node::start();
    let refused = node.submit(&node.statement("shop", "n1", Mode::Each, &[double_vote(&node, 0)]));
    assert_eq!(refused.problem(), (403, "organisation.role-missing".to_owned()));
    let mut forged = double_vote(&node, 0);
    forged["evidence"]["round"] = json!(1);
    let refused = node.submit(&node.statement("police", "n1", Mode::Each, &[forged]));
    assert_eq!(refused.problem(), (422, "evidence.invalid".to_owned()));
    node.submit(&node.statement("police", "n2", Mode::Each, &[double_vote(&node, 0)]));
    let path = "/v1/receipts/2";
    assert_eq!(node.get("shop", path).problem(), (404, "event.unknown".to_owned()));
    for reader in ["police", "tax-bureau", "auditor"] {
        let verified = Receipt::parse(&node.get(reader, path).body).unwrap().verify(&genesis()).unwrap();
        assert_eq!(
            (verified.leaf.subject.as_str(), verified.leaf.code.as_str()),
            ("evidence:tax-bureau/1/0/precommit", "accepted")
        );
    }
}
