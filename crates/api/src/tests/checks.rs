//! The public check.

use serde_json::{Value, json};

use super::client::send;
use super::node::{Node, Setup};
use crate::time::format_ms;
use crate::{DevControl, Options};

fn details(id: &str, amount: &str) -> Value {
    let (code, number) = id.split_once('-').unwrap();
    json!({"code": code, "number": number, "date": "2026-11-15", "amount": amount})
}

/// The last block, as answers name it.
fn as_of(node: &Node) -> Value {
    let progress = &node.query.tip().progress;
    json!({"height": progress.height, "time": format_ms(progress.time_ms)})
}

#[test]
fn a_match_shows_the_present_status_and_everything_else_looks_alike() {
    let node = Node::start();
    let invoice =
        node.write("shop", "/v1/invoices", "k", &json!({"document": super::consortium::document("A1")})).json();
    let id = invoice["id"].as_str().unwrap();
    let check = |body: &Value| node.post("/v1/verifications", body);
    let as_of = as_of(&node);
    let status = json!({"validity": "normal", "reimbursement": "open"});
    let open = json!({"result": "match", "status": status, "as_of": as_of});
    assert_eq!(check(&details(id, "106.00")).json(), open);
    let mut with_code = details(id, "106.00");
    with_code["check_code"] = invoice["check_code"].clone();
    assert_eq!(check(&with_code).json(), open);
    let qr = json!({"qr": invoice["qr"]});
    assert_eq!(check(&qr).json(), open);
    let mut leaf = json!({"code": invoice["code"], "number": invoice["number"], "amount": "106.00"});
    leaf["leaf_hash"] = invoice["leaf_hash"].clone();
    assert_eq!(check(&leaf).json(), open);

    let mismatch = json!({"result": "mismatch", "as_of": as_of});
    let (wrong, unknown) = (check(&details(id, "106.01")), check(&details("144032609110-99999999", "106.00")));
    assert_eq!((wrong.status, wrong.json()), (200, mismatch.clone()));
    assert_eq!((unknown.status, unknown.json()), (200, mismatch));
    assert_eq!(wrong.headers.keys().collect::<Vec<_>>(), unknown.headers.keys().collect::<Vec<_>>());

    let lock = json!({"enterprise": "buyer", "claim": "C1"});
    node.write("platform-a", &format!("/v1/invoices/{id}/reimbursements"), "l", &lock);
    assert_eq!(check(&qr).json()["status"]["reimbursement"], "locked");
}

#[test]
fn number_details_and_either_form_of_the_qr_code_are_one_invoice_that_is_claimed_once() {
    let node = Node::start();
    let body = json!({"document": super::consortium::document("A1")});
    let invoice = node.write("shop", "/v1/invoices", "k", &body).json();
    let (id, leaf) = (invoice["id"].as_str().unwrap(), invoice["leaf_hash"].as_str().unwrap());
    let (code, number) = id.split_once('-').unwrap();
    let older = format!("01,10,{code},{number},91440300708461136T,100.00,20261115,{leaf}");
    let prefixed = invoice["qr"].as_str().unwrap().replace("hash=", "hash=0x");
    // As it is typed in, scanned from the screen, and scanned from an image that an older program made.
    let scans = [details(id, "106.00"), json!({"qr": invoice["qr"]}), json!({"qr": prefixed}), json!({"qr": older})];
    let statuses = || scans.iter().map(|scan| node.post("/v1/verifications", scan).json()["status"].clone());
    assert!(statuses().all(|status| status["reimbursement"] == "open"));
    let lock = json!({"enterprise": "buyer", "claim": "C1"});
    assert_eq!(node.write("platform-a", &format!("/v1/invoices/{id}/reimbursements"), "l", &lock).status, 201);
    assert!(statuses().all(|status| status["reimbursement"] == "locked"));
}

#[test]
fn a_check_before_the_node_knows_the_invoice_says_up_to_which_block_it_looked() {
    let node = Node::start();
    let issue = |reference: &str| {
        let body = json!({"document": super::consortium::document(reference)});
        node.write("shop", "/v1/invoices", reference, &body).json()
    };
    issue("A1");
    // Issued today in a block that this node has not got yet.
    let next = details("144032609110-00000002", "106.00");
    let before = node.post("/v1/verifications", &next).json();
    assert_eq!(before, json!({"result": "mismatch", "as_of": as_of(&node)}));
    assert_eq!(issue("A2")["id"], "144032609110-00000002");
    let after = node.post("/v1/verifications", &next).json();
    assert_eq!((&after["result"], &after["as_of"]), (&json!("match"), &as_of(&node)));
    assert_ne!(after["as_of"], before["as_of"]);
}

#[test]
fn after_five_mismatches_an_invoice_is_closed_for_the_day_but_not_for_its_qr_code() {
    let node = Node::start();
    let invoice =
        node.write("shop", "/v1/invoices", "k", &json!({"document": super::consortium::document("A1")})).json();
    let id = invoice["id"].as_str().unwrap();
    for (id, known) in [(id, true), ("144032609110-99999999", false)] {
        for _ in 0..5 {
            assert_eq!(node.post("/v1/verifications", &details(id, "1.00")).json()["result"], "mismatch");
        }
        for amount in ["106.00", "1.00"] {
            let closed = node.post("/v1/verifications", &details(id, amount));
            assert_eq!(closed.problem(), (429, "verification.mismatches".to_owned()), "{known}");
            // Midnight in Shenzhen is twelve hours off.
            assert_eq!(closed.header("retry-after"), Some("43200"), "{known}");
        }
    }
    let qr = json!({"qr": invoice["qr"]});
    let mut forged = invoice["qr"].as_str().unwrap().to_owned();
    forged = forged.replace("total_amount=10600", "total_amount=10601");
    for _ in 0..10 {
        assert_eq!(node.post("/v1/verifications", &json!({"qr": forged})).json()["result"], "mismatch");
        assert_eq!(node.post("/v1/verifications", &qr).json()["result"], "match");
    }
    node.clock.advance_clock(12 * 60 * 60 * 1_000 + 1_000);
    assert_eq!(node.post("/v1/verifications", &details(id, "106.00")).json()["result"], "match");
}

#[test]
fn an_address_has_so_many_checks_a_minute() {
    let options = Options { verifications_a_minute: 3, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    for _ in 0..3 {
        assert_eq!(node.post("/v1/verifications", &details("144032609110-99999999", "1.00")).status, 200);
    }
    let limited = node.post("/v1/verifications", &details("144032609110-99999999", "1.00"));
    assert_eq!(limited.problem(), (429, "verification.rate".to_owned()));
    assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() <= 21);
}

#[test]
fn malformed_details_are_named() {
    let node = Node::start();
    let good = details("144032609110-00000001", "1.00");
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let table = [
        (json!({}), "/number"),
        (with("number", json!("1")), "/number"),
        (with("amount", json!("1.001")), "/amount"),
        (with("amount", Value::Null), "/amount"),
        (with("date", json!("2026-02-30")), "/date"),
        (with("date", Value::Null), "/date"),
        (with("check_code", json!("xyz")), "/check_code"),
        (with("leaf_hash", json!("ab")), "/leaf_hash"),
        (with("qr", json!("x")), "/qr"),
        (json!({"qr": "x"}), "/qr"),
    ];
    for (body, path) in table {
        let answer = node.post("/v1/verifications", &body);
        assert_eq!(answer.problem(), (400, "request.malformed".to_owned()), "{body}");
        assert_eq!(answer.json()["path"], path, "{body}");
    }
    let number = node.post("/v1/verifications", &with("number", json!(1)));
    assert_eq!(number.problem(), (400, "request.json".to_owned()));
    let fraction =
        send(node.address, "POST", "/v1/verifications", &[("content-type", "application/json")], b"{\"amount\":1.5}");
    assert_eq!(fraction.problem(), (400, "request.json".to_owned()));
}
