//! Locks that end without their platform: by time, and by the tax bureau.

use chain::hash::Hash;
use chain::statement::Mode;
use serde_json::{Value, json};

use super::follower::{Event, Follower};
use super::node::{Node, Setup};
use super::server::eventually;
use crate::DevControl as _;

const ENDED: &str = "cn.einvoice.invoice.lease-ended.v1";
/// Past the end of a lease of 60 s, whose block may have been some milliseconds ahead of the clock.
const PAST: i64 = 61_000;

const OVERRIDDEN: &str = "cn.einvoice.invoice.overridden.v1";

fn lock(node: &Node, invoice: &str, seconds: u32) {
    let body = json!({"enterprise": "buyer", "claim": "trip-a", "lease_seconds": seconds});
    let locked = node.write("platform-a", &format!("/v1/invoices/{invoice}/reimbursements"), invoice, &body);
    assert_eq!(locked.status, 201, "{}", locked.text());
}

/// All that somebody gets up to the invoice that was issued last, and its types.
fn told(node: &Node, who: &str, query: &str, count: usize) -> (Vec<Event>, Vec<String>) {
    let events = Follower::start(node, who, query).take(count);
    let types = events.iter().map(|event| event.data["type"].as_str().unwrap().to_owned()).collect();
    (events, types)
}

fn override_lock(invoice: &str, token: u64) -> Value {
    let decision = Hash::of(b"decision 7").to_string();
    json!({"override": {"invoice": invoice, "token": token, "reason": "platform-gone", "decision": decision}})
}

#[test]
fn the_end_of_a_lease_is_told_once_behind_the_first_block_at_or_past_it() {
    let node = Node::start();
    let other = Node::start_with(Setup { follows: Some(node.query.clone()), ..Setup::default() });
    let id = node.issue("A1");
    lock(&node, &id, 60);
    let mut live = Follower::start(&node, "auditor", "");
    node.clock.advance_clock(PAST);
    let second = node.issue("A2");
    let third = node.issue("A3");
    eventually(|| other.query.tip().stream_size() == node.query.tip().stream_size());
    assert_eq!(node.query.tip().stream_size(), 5, "four leaves and an end");
    let seen = live.take(3);
    assert_eq!([&seen[0].data["subject"], &seen[1].data["subject"], &seen[2].data["subject"]], [&second, &id, &third]);
    let end = &seen[1].data;
    assert_eq!((&end["type"], &end["data"]["code"]), (&json!(ENDED), &json!("derived")));
    assert_eq!(end["data"]["record"]["lease-ended"]["token"], 1);
    assert_eq!(end["data"]["organisation"], "platform-a");
    assert_eq!((&end["data"]["time"], &end["data"]["leaf_index"]), (&seen[0].data["data"]["time"], &json!(1)));
    // Whoever was cut off goes on at any place, on any node, and gets each once.
    let (whole, _) = told(&node, "auditor", "?after=start", 5);
    for (place, event) in whole.iter().enumerate() {
        for at in [&node, &other] {
            let rest = Follower::resume(at, "auditor", "", Some(&event.id)).take(4 - place);
            assert_eq!(rest, whole[place + 1..], "{place}");
        }
    }
    // Cursors of nodes that knew of leaves alone are still good.
    let log = whole[2].id.replace(".s3", ".l3");
    assert_ne!(log, whole[2].id);
    assert_eq!(Follower::resume(&other, "auditor", "", Some(&log)).take(2), whole[3..]);
    // By kind, and by invoice.
    assert_eq!(told(&node, "auditor", "?after=start&kind=lease-ended", 1).0, whole[3..4]);
    let of_one = told(&node, "auditor", &format!("?after=start&invoice={id}"), 3).0;
    assert_eq!(of_one, [&whole[0..2], &whole[3..4]].concat());
    assert_eq!(told(&node, "platform-a", &format!("?after=start&invoice={id}"), 3).1[2], ENDED);
}

#[test]
fn the_end_of_a_lease_is_for_those_who_may_see_the_lock() {
    let node = Node::start();
    let id = node.issue("A1");
    lock(&node, &id, 60);
    node.clock.advance_clock(PAST);
    node.issue("A2");
    // The seller sees the invoices, and nothing of the lock.
    assert_eq!(
        told(&node, "shop", "?after=start", 2).1,
        ["cn.einvoice.invoice.issued.v1"; 2],
        "who claims a buyer's invoice is nothing to the seller"
    );
    for who in ["platform-a", "buyer", "tax-bureau"] {
        let end = told(&node, who, "?after=start&kind=lease-ended", 1).0.remove(0);
        assert_eq!(end.data["data"]["record"]["lease-ended"]["token"], 1, "{who}");
        assert_eq!(end.data["data"]["receipt"], "/v1/receipts/1", "{who}");
    }
    // Another platform of the holder's may lock now, and is told that it may.
    let end = told(&node, "platform-b", "?after=start&kind=lease-ended", 1).0.remove(0);
    assert_eq!(end.data["subject"], json!(id));
    for hidden in ["leaf_hash", "receipt", "statement"] {
        assert_eq!(end.data["data"].get(hidden), None, "{hidden}");
    }
    assert_eq!(end.data["data"]["record"]["lease-ended"].get("token"), None);
}

#[test]
fn an_override_is_told_to_those_whose_lock_it_was() {
    let node = Node::start();
    let id = node.issue("A1");
    lock(&node, &id, 3_600);
    let by_another = node.submit(&node.statement("platform-b", "o", Mode::Each, &[override_lock(&id, 1)]));
    assert_eq!(by_another.status, 403, "{}", by_another.text());
    let ended = node.submit(&node.statement("tax-bureau", "o", Mode::Each, &[override_lock(&id, 1)]));
    assert_eq!(ended.status, 201, "{}", ended.text());
    let record = &ended.json()["outcomes"][0]["record"]["overridden"];
    assert_eq!((&record["token"], &record["platform"]), (&json!(1), &json!("platform-a")));
    assert_eq!((&record["enterprise"], &record["lock"]["leaf_index"]), (&json!("buyer"), &json!(1)));
    let again = node.submit(&node.statement("tax-bureau", "o2", Mode::Each, &[override_lock(&id, 1)]));
    assert_eq!(again.json()["code"], "reimbursement.not-locked");
    let close = format!("/v1/invoices/{id}/reimbursements/trip-a:close");
    let late = node.write("platform-a", &close, "c", &json!({"token": 1}));
    assert_eq!(late.json()["code"], "reimbursement.not-locked");
    let accepted = |who: &str| {
        let (events, types) = told(&node, who, "?after=start&kind=override", 2);
        let place = types.iter().position(|kind| kind == OVERRIDDEN).unwrap();
        events[place].data["data"].clone()
    };
    for (who, whole) in [("platform-a", true), ("buyer", true), ("police", true), ("platform-b", false)] {
        assert_eq!(accepted(who).get("receipt").is_some(), whole, "{who}");
    }
    let rows = |who: &str| node.get(who, &format!("/v1/invoices/{id}/events")).json()["events"].clone();
    let ended = |who: &str| {
        let rows = rows(who);
        let row = rows.as_array().unwrap().iter().find(|row| row["kind"] == "override" && row["code"] == "accepted");
        row.cloned()
    };
    assert_eq!(ended("buyer").unwrap()["record"]["overridden"]["token"], 1);
    let other = ended("platform-b").unwrap();
    assert_eq!((other["record"]["overridden"].get("token"), other.get("leaf_hash")), (None, None));
    assert_eq!(ended("shop"), None);
    assert_eq!(node.get("platform-b", "/v1/receipts/3").status, 404);
    assert_eq!(node.get("platform-a", "/v1/receipts/3").status, 200);
}

#[test]
fn whether_an_invoice_may_be_handed_on_is_told_with_its_reason() {
    let node = Node::start();
    let id = node.issue("A1");
    let path = format!("/v1/invoices/{id}/transfers");
    let hand = |who: &str, key: &str, to: &Value| {
        let answer = node.write(who, &path, key, &json!({"to": to}));
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let (to_organisation, to_person) = (json!({"organisation": "stranger"}), json!({"person": "p-7f3a"}));
    assert_eq!(hand("shop", "1", &to_person), (403, "invoice.not-permitted".to_owned()), "the seller has sold it");
    let by_stranger = json!({"transfer": {"invoice": id, "to": to_organisation}});
    let by_stranger = node.submit(&node.statement("stranger", "2", Mode::Each, &[by_stranger]));
    assert_eq!((by_stranger.status, &by_stranger.json()["code"]), (404, &json!("invoice.unknown")));
    assert_eq!(hand("buyer", "3", &json!({"organisation": "nobody"})), (404, "organisation.unknown".to_owned()));
    lock(&node, &id, 60);
    assert_eq!(hand("buyer", "4", &to_organisation), (409, "reimbursement.already-locked".to_owned()));
    node.clock.advance_clock(PAST);
    lock_again_and_close(&node, &id);
    assert_eq!(hand("buyer", "5", &to_organisation), (409, "reimbursement.already-closed".to_owned()));
}

fn lock_again_and_close(node: &Node, id: &str) {
    let path = format!("/v1/invoices/{id}/reimbursements");
    let body = json!({"enterprise": "buyer", "claim": "trip-b"});
    assert_eq!(node.write("platform-b", &path, "again", &body).status, 201);
    assert_eq!(node.write("platform-b", &format!("{path}/trip-b:close"), "close", &json!({"token": 2})).status, 201);
}
