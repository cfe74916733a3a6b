//! Which numbers were given: who sees what of it, page by page, and the proof that it is so.

use chain::encoding::decode_base64url;
use chain::hash::Hash;
use chain::receipt::DecidedHeader;
use chain::statement::Mode;
use ledger::record::CounterRecord;
use ledger::state::{StateKey, decode};
use ledger::tree::RecordProof;
use serde_json::{Value, json};

use super::consortium::{DAY, NOON, document, genesis};
use super::node::Node;
use crate::DevControl as _;

/// More than lies between two state checkpoints, ms.
const CHECKPOINT_MS: i64 = 61_000;

/// Issues with a hosted key; gives the invoice's id.
fn issue(node: &Node, reference: &str) -> String {
    let issued = node.write("shop", "/v1/invoices", reference, &json!({"document": document(reference)}));
    assert_eq!(issued.status, 201, "{}", issued.text());
    issued.json()["id"].as_str().unwrap().to_owned()
}

fn accepted(node: &Node, who: &str, nonce: &str, event: &Value) -> Value {
    let answer = node.submit(&node.statement(who, nonce, Mode::Each, std::slice::from_ref(event)));
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["outcomes"][0].clone()
}

/// Grants the shop a segment of ten numbers; gives its first.
fn grant(node: &Node, nonce: &str) -> String {
    let event = json!({"segment-grant": {
        "to": "shop", "key": "statement", "numbering": "blockchain", "count": 10,
        "valid_until_ms": NOON + 30 * DAY, "deadline_hours": 24}});
    let outcome = accepted(node, "tax-bureau", nonce, &event);
    outcome["record"]["segment-granted"]["first"].as_str().unwrap().to_owned()
}

fn code_of(id: &str) -> String {
    id.split('-').next().unwrap().to_owned()
}

#[test]
fn auditors_and_the_tax_bureau_see_every_number_of_a_code_and_nobody_else_does() {
    let node = Node::start();
    assert_eq!(node.get("auditor", "/v1/numbers").json(), json!({"codes": []}));
    let ids = ["r1", "r2", "r3"].map(|reference| issue(&node, reference));
    let code = code_of(&ids[0]);
    let voided = node.write("shop", &format!("/v1/invoices/{}:void", ids[1]), "v", &json!({"reason": "issue-error"}));
    assert_eq!(voided.status, 201, "{}", voided.text());
    let path = format!("/v1/numbers/{code}");
    for who in ["auditor", "tax-bureau"] {
        let listed = node.get(who, "/v1/numbers").json();
        assert_eq!(listed, json!({"codes": [{"code": code, "of_segments": false, "next_number": 4}]}), "{who}");
        let seen = node.get(who, &path).json();
        assert_eq!((&seen["first_number"], &seen["next_number"]), (&json!(1), &json!(4)));
        assert_eq!(seen["page"], json!({"first": 1, "last": 3}));
        let tally = json!({"used": 3, "void": 1, "part_red": 0, "full_red": 0, "red_letters": 0});
        assert_eq!((&seen["tally"], &seen["missing"], &seen["segments"]), (&tally, &json!([]), &json!([])));
        assert_eq!(seen.get("next"), None);
    }
    for who in ["shop", "isp", "buyer", "police", "platform-a"] {
        assert_eq!(node.get(who, "/v1/numbers").json(), json!({"codes": []}), "{who}");
        assert_eq!(node.get(who, &path).problem(), (404, "numbers.unknown".to_owned()), "{who}");
    }
    for unknown in ["144032609919", "12", "evidence", "digital:26442"] {
        let asked = node.get("auditor", &format!("/v1/numbers/{unknown}"));
        assert_eq!(asked.problem(), (404, "numbers.unknown".to_owned()), "{unknown}");
    }
    assert_eq!(node.get("auditor", &format!("{path}?cursor=AQ")).problem(), (400, "request.cursor".to_owned()));
}

#[test]
fn the_next_number_is_proved_against_a_header_that_the_validators_decided() {
    let node = Node::start();
    let code = code_of(&issue(&node, "r1"));
    let path = format!("/v1/numbers/{code}");
    for reference in ["r2", "r3", "r4"] {
        node.clock.advance_clock(CHECKPOINT_MS);
        issue(&node, reference);
    }
    let seen = node.get("auditor", &path).json();
    let proof = &seen["proof"];
    // The checkpoint that headers carry is the one before the newest.
    assert_eq!((&seen["next_number"], &proof["next_number"]), (&json!(5), &json!(4)), "{seen}");
    let decided: DecidedHeader = serde_json::from_value(proof["decided"].clone()).unwrap();
    let checkpoint = &decided.verify(&genesis()).unwrap().state_checkpoint;
    assert_eq!(proof["state_height"], json!(checkpoint.height));
    assert_eq!(proof["state_root"], json!(checkpoint.root.to_string()));
    let bytes = |member: &str| decode_base64url(proof[member].as_str().unwrap()).unwrap();
    let siblings: Vec<Hash> = serde_json::from_value(proof["siblings"].clone()).unwrap();
    let (key, stored) = (StateKey::counter_of(&code), bytes("stored"));
    assert_eq!(bytes("key"), key.as_bytes());
    assert_eq!(RecordProof { siblings }.root(&key, &stored), Some(checkpoint.root));
    assert_eq!(decode::<CounterRecord>(&key, &stored).unwrap(), CounterRecord { next: 4 });
}

#[test]
fn holders_see_their_segments_and_the_gaps_that_they_declared() {
    let node = Node::start();
    issue(&node, "r1");
    let firsts: Vec<String> = (0..7).map(|number| grant(&node, &format!("g{number}"))).collect();
    let code = code_of(&firsts[0]);
    let path = format!("/v1/numbers/{code}");
    accepted(&node, "shop", "c1", &json!({"segment-close": {"segment": firsts[0]}}));
    let codes = node.get("shop", "/v1/numbers").json();
    assert_eq!(codes, json!({"codes": [{"code": code, "of_segments": true}]}));
    for who in ["auditor", "tax-bureau", "shop"] {
        let page = node.get(who, &path).json();
        let numbers = |page: &Value| -> Vec<String> {
            let segments = page["segments"].as_array().unwrap().iter();
            segments.map(|segment| segment["segment"]["first"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(numbers(&page), firsts[..5], "{who}");
        assert_eq!(page["page"], json!({"first": 1, "last": 50}), "{who}");
        assert_eq!(page.get("next_number").is_some(), who != "shop");
        assert_eq!(page["tally"]["used"], json!(0));
        let [closed, open] = [0, 1].map(|index| page["segments"][index]["segment"].clone());
        let last = format!("{code}-00000010");
        assert_eq!(closed["unused"], json!([{"first": firsts[0], "last": last}]));
        assert!(closed.get("closed_at").is_some() && open.get("closed_at").is_none());
        let next = node.get(who, &format!("{path}?cursor={}", page["next"].as_str().unwrap())).json();
        assert_eq!(numbers(&next), firsts[5..], "{who}");
        assert!(next.get("next").is_none() && next.get("proof").is_none());
    }
    // A cursor that another was given opens nothing.
    let cursor = node.get("shop", &path).json()["next"].as_str().unwrap().to_owned();
    for who in ["buyer", "police", "stranger", "isp", "platform-a"] {
        for path in [&path, &format!("{path}?cursor={cursor}")] {
            assert_eq!(node.get(who, path).problem(), (404, "numbers.unknown".to_owned()), "{who} {path}");
        }
    }
    // A mandate opens them, if it is one to read.
    accepted(&node, "shop", "m1", &json!({"mandate": {"to": "platform-a", "scopes": ["read"]}}));
    assert_eq!(node.get("platform-a", &path).json()["page"], json!({"first": 1, "last": 50}));
    assert_eq!(node.get("platform-a", &format!("{path}?cursor={cursor}")).json()["page"]["first"], json!(51));
}

#[test]
fn a_long_code_has_pages_and_each_counts_what_became_of_its_own_numbers() {
    const A_STATEMENT: u32 = 1_000;
    let node = Node::start();
    let issues = |first: u32, count: u32| -> Vec<Value> {
        (first..first + count).map(|nth| json!({"issue": {"document": document(&format!("r{nth}"))}})).collect()
    };
    for first in [1, 1_001, 2_001, 3_001, 4_001] {
        let statement = node.statement("shop", &format!("bulk{first}"), Mode::All, &issues(first, A_STATEMENT));
        assert_eq!(node.submit(&statement).status, 201);
    }
    let [part, full] = [1, 5_000].map(|nth| format!("144032609110-{nth:08}"));
    for (blue, reference, take) in
        [(&part, "part", json!({"lines": [{"line": 0, "net": "1.00"}]})), (&full, "full", json!("full"))]
    {
        let letter = json!({"reference": reference, "reason": "sales-return", "take": take});
        let red = node.write("shop", &format!("/v1/invoices/{blue}/red-letters"), reference, &letter);
        assert_eq!(red.status, 201, "{}", red.text());
    }
    let path = "/v1/numbers/144032609110";
    let seen = node.get("auditor", path).json();
    assert_eq!((&seen["next_number"], &seen["page"]), (&json!(5_003), &json!({"first": 1, "last": 5_000})));
    let tally = json!({"used": 5_000, "void": 0, "part_red": 1, "full_red": 1, "red_letters": 0});
    assert_eq!((&seen["tally"], &seen["missing"]), (&tally, &json!([])));
    let next = node.get("auditor", &format!("{path}?cursor={}", seen["next"].as_str().unwrap())).json();
    assert_eq!(next["page"], json!({"first": 5_001, "last": 5_002}));
    let tally = json!({"used": 2, "void": 0, "part_red": 0, "full_red": 0, "red_letters": 2});
    assert_eq!((&next["tally"], &next["missing"]), (&tally, &json!([])));
    assert_eq!(next.get("next"), None);
}

#[test]
fn how_many_segments_a_code_has_is_none_of_a_strangers_business() {
    // More than are looked at for a page, by as many as one may have open.
    const ROUNDS: usize = 79;
    const A_ROUND: usize = 64;
    let node = Node::start();
    let grant = json!({"segment-grant": {
        "to": "shop", "key": "statement", "numbering": "blockchain", "count": 1,
        "valid_until_ms": NOON + 30 * DAY, "deadline_hours": 24}});
    let mut code = String::new();
    for round in 0..ROUNDS {
        let grants =
            node.submit(&node.statement("tax-bureau", &format!("g{round}"), Mode::All, &vec![grant.clone(); A_ROUND]));
        assert_eq!(grants.status, 201, "{}", grants.text());
        let outcomes = grants.json()["outcomes"].as_array().unwrap().clone();
        let close =
            |outcome: &Value| json!({"segment-close": {"segment": outcome["record"]["segment-granted"]["first"]}});
        let closes: Vec<Value> = outcomes.iter().map(close).collect();
        let closed = node.submit(&node.statement("shop", &format!("c{round}"), Mode::All, &closes));
        assert_eq!(closed.status, 201, "{}", closed.text());
        code = code_of(outcomes[0]["record"]["segment-granted"]["first"].as_str().unwrap());
    }
    let path = format!("/v1/numbers/{code}");
    assert_eq!(node.get("shop", &path).json()["segments"].as_array().unwrap().len(), 5);
    for who in ["buyer", "police", "stranger"] {
        assert_eq!(node.get(who, &path).problem(), (404, "numbers.unknown".to_owned()), "{who}");
    }
}
