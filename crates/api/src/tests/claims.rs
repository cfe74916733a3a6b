//! What a claim tells to whom.

use serde_json::{Value, json};

use super::node::Node;

/// An invoice that platform A locked for the buyer, and platform B tried to.
fn locked(node: &Node) -> (String, Value, Value) {
    let path = format!("/v1/invoices/{}", node.issue("A1"));
    let lock = |who: &str, claim: &str| {
        let body = json!({"enterprise": "buyer", "claim": claim});
        node.write(who, &format!("{path}/reimbursements"), who, &body).json()
    };
    let (first, second) = (lock("platform-a", "7"), lock("platform-b", "8"));
    (path, first, second)
}

#[test]
fn the_receipt_of_a_claim_is_for_its_parties_agencies_and_auditors() {
    let node = Node::start();
    let (path, lock, refused) = locked(&node);
    let renewed = node.write("platform-a", &format!("{path}/reimbursements/7:renew"), "r", &json!({"token": 1})).json();
    let closed = node.write("platform-a", &format!("{path}/reimbursements/7:close"), "c", &json!({"token": 1})).json();
    for (who, own, others) in [
        ("platform-a", 200, 404),
        ("platform-b", 404, 200),
        ("buyer", 200, 200),
        ("police", 200, 200),
        ("auditor", 200, 200),
        ("shop", 404, 404),
        ("isp", 404, 404),
        ("stranger", 404, 404),
    ] {
        for answer in [&lock, &renewed, &closed] {
            let receipt = node.get(who, answer["receipt"].as_str().unwrap());
            assert_eq!(receipt.status, own, "{who} {}", answer["leaf_index"]);
        }
        assert_eq!(node.get(who, refused["outcomes"][0]["receipt"].as_str().unwrap()).status, others, "{who}");
    }
    let (hidden, unknown) = (node.get("shop", lock["receipt"].as_str().unwrap()), node.get("shop", "/v1/receipts/99"));
    assert_eq!(hidden.problem(), (404, "event.unknown".to_owned()));
    assert_eq!(hidden.json()["title"], unknown.json()["title"]);
    assert_eq!(node.get("shop", "/v1/receipts/0").status, 200, "the issue is the seller's own");
}

#[test]
fn tokens_and_hashes_of_a_claim_are_blank_for_others_and_the_seller_learns_its_status_alone() {
    let node = Node::start();
    let (path, ..) = locked(&node);
    let rows = |who: &str| node.get(who, &format!("{path}/events")).json()["events"].as_array().unwrap().clone();
    for (who, whole) in [("platform-a", true), ("buyer", true), ("auditor", true), ("platform-b", false)] {
        let rows = rows(who);
        assert_eq!(rows.len(), 3, "{who}");
        assert_eq!((&rows[1]["organisation"], &rows[1]["kind"]), (&json!("platform-a"), &json!("lock")));
        assert!(rows[1]["record"]["locked"]["until"].is_string());
        assert_eq!(rows[1]["record"]["locked"].get("token").is_some(), whole, "{who}");
        for hidden in ["leaf_hash", "statement", "receipt"] {
            assert_eq!(rows[1].get(hidden).is_some(), whole, "{who} {hidden}");
        }
    }
    let platform_b = rows("platform-b");
    assert!(platform_b[2]["leaf_hash"].is_string() && platform_b[2]["refusal"]["standing"].is_object(), "its own try");
    for who in ["shop", "isp"] {
        assert_eq!(rows(who).len(), 1, "{who}");
        let view = node.get(who, &path).json();
        assert_eq!(view["reimbursement"], json!({"status": "locked"}), "{who}");
    }
    let first = node.get("shop", &format!("{path}/events?limit=1")).json();
    let rest = node.get("shop", &format!("{path}/events?limit=1&cursor={}", first["next"].as_str().unwrap())).json();
    assert_eq!(rest, json!({"events": []}), "no cursor tells of a lock");
    let void = node.write("shop", &format!("{path}:void"), "v", &json!({"reason": "issue-error"}));
    assert_eq!(void.status, 409, "{}", void.text());
    let rows = rows("shop");
    assert_eq!((rows.len(), &rows[1]["kind"]), (2, &json!("void")));
    assert_eq!(rows[1]["refusal"].get("standing"), None);
}

#[test]
fn what_a_lock_stood_in_the_way_of_does_not_tell_the_seller_whose_it_is() {
    let node = Node::start();
    let (path, ..) = locked(&node);
    let hand = json!({"to": {"organisation": "stranger"}});
    let transfer = |key: &str| node.write("buyer", &format!("{path}/transfers"), key, &hand);
    let refused = transfer("t1").json();
    assert_eq!(refused["standing"]["organisation"], "platform-a", "the holder is told: {refused}");
    let receipt = refused["outcomes"][0]["receipt"].as_str().unwrap().to_owned();
    let row = |who: &str| {
        let rows = node.get(who, &format!("{path}/events")).json();
        rows["events"].as_array().unwrap().last().unwrap().clone()
    };
    for (who, told) in
        [("shop", false), ("isp", false), ("buyer", true), ("platform-a", true), ("platform-b", true), ("police", true)]
    {
        let row = row(who);
        assert_eq!((&row["kind"], &row["code"]), (&json!("transfer"), &json!("reimbursement.already-locked")), "{who}");
        assert_eq!(row["refusal"].get("standing").is_some(), told, "{who}");
        for hidden in ["leaf_hash", "statement", "receipt"] {
            assert_eq!(row.get(hidden).is_some(), told, "{who} {hidden}");
        }
        assert_eq!(node.get(who, &receipt).status, if told { 200 } else { 404 }, "{who}");
    }
    // Who signed it may have it for good, also when the invoice is no longer its own.
    let before = row("buyer");
    let unlock = node.write("platform-a", &format!("{path}/reimbursements/7:unlock"), "u", &json!({"token": 1}));
    assert_eq!((unlock.status, transfer("t2").status), (201, 201));
    let rows = node.get("buyer", &format!("{path}/events")).json();
    assert!(rows["events"].as_array().unwrap().contains(&before), "{rows}");
    assert_eq!(node.get("buyer", &receipt).status, 200);
}
