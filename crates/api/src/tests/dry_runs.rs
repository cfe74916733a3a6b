//! Dry runs: bounded, and of one mind with the door.

use chain::hash::{Hash, StatementId};
use chain::statement::{Draft, Mode};
use ledger::admission::VIOLATIONS_MAX;
use serde_json::{Value, json};

use super::client::{Answer, send};
use super::consortium::{document, secret};
use super::node::Node;
use crate::drafting::room_for_dry_run;

const PREPARE: &str = "/v1/statements:prepare";
const VALIDATE: &str = "/v1/statements:validate";

fn request(events: &Value) -> Value {
    json!({"organisation": "shop", "key": "statement", "nonce": "n1", "mode": "each", "events": events})
}

fn rules(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let violations = json["violations"].as_array().unwrap();
    assert_eq!(json["valid"], violations.is_empty());
    violations.iter().map(|violation| violation["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn more_events_than_a_statement_may_have_are_not_looked_at() {
    let node = Node::start();
    for count in [0, 1_001, 100_000] {
        let body = request(&json!(vec![json!({}); count]));
        let refused = node.post(PREPARE, &body);
        assert_eq!(refused.problem(), (400, "statement.events".to_owned()));
        assert_eq!(refused.json()["found"], format!("{count} events"));
        assert_eq!(rules(&node.post(VALIDATE, &body)), ["statement.events"], "{count}");
    }
}

#[test]
fn a_list_of_violations_ends_and_says_so() {
    let node = Node::start();
    let mut wrong = document("A1");
    wrong["lines"] = json!(vec![json!({}); 100]);
    let body = request(&json!(vec![json!({"issue": {"document": wrong}}); 100]));
    let dry = node.post(VALIDATE, &body);
    assert_eq!(rules(&dry).len(), VIOLATIONS_MAX);
    assert_eq!(dry.json()["truncated"], true);
    let refused = node.post(PREPARE, &body);
    assert_eq!(refused.problem(), (422, "document.invalid".to_owned()));
    assert_eq!(refused.json()["violations"].as_array().unwrap().len(), VIOLATIONS_MAX);
    assert_eq!(refused.json()["truncated"], true);
    let malformed = node.post(VALIDATE, &request(&json!(vec![json!({"pay": {}}); 1_000])));
    assert_eq!(rules(&malformed).len(), 1_000);
    assert_eq!(malformed.json().get("truncated"), None, "that was all");
}

#[test]
fn only_so_many_dry_runs_go_on_at_once() {
    let node = Node::start();
    let body = request(&json!([{"issue": {"document": document("A1")}}]));
    let service = std::sync::Arc::new(crate::service::Service::new(std::sync::Arc::clone(&node.app)).unwrap());
    let take = |network: [u8; 4]| room_for_dry_run(&service, network.into());
    let mut held: Vec<_> = std::iter::from_fn(|| take([10, 0, 0, 1]).ok()).collect();
    assert_eq!(held.len(), node.app.options.dry_runs_at_once_max / 2, "one address has half");
    held.extend(std::iter::from_fn(|| take([10, 0, 0, 2]).ok()));
    assert_eq!(held.len(), node.app.options.dry_runs_at_once_max);
    let busy = take([10, 0, 0, 3]).unwrap_err();
    assert_eq!((busy.status().as_u16(), busy.code()), (503, "node.busy"));
    assert_eq!(busy.render("r").headers()["retry-after"], "1");
    drop(held);
    assert!(take([10, 0, 0, 1]).is_ok());
    for _ in 0..10 {
        assert_eq!(node.post(PREPARE, &body).status, 200, "permits come back");
    }
}

#[test]
fn what_the_door_would_reject_for_its_form_is_not_valid() {
    let node = Node::start();
    let array = json!({"void": ["144032609110-00000001", "issue-error"]});
    let mut document_array = document("A1");
    let totals = document_array["totals"].clone();
    document_array["totals"] = json!([totals["net"], totals["tax"], totals["gross"]]);
    let document_array = json!({"issue": {"document": document_array}});
    let outer_array = json!({"issue": [document("A1")]});
    for event in [array, document_array, outer_array, json!([]), json!({"pay": {}})] {
        let events = [event.to_string()];
        let payload = chain::statement::payload(Mode::Each, &events);
        let statement = Draft::new(node.header("shop", "n1"), payload).sign(&secret("shop", "statement"));
        let accepted = node.submit(&statement).status;
        assert!([400, 422].contains(&accepted), "{event}");
        let signed = send(node.address, "POST", VALIDATE, &[("content-type", "application/jose")], &statement);
        assert!(!rules(&signed).is_empty(), "{event}");
        let body = request(&json!([event]));
        assert!(!rules(&node.post(VALIDATE, &body)).is_empty(), "{event}");
        assert_eq!(node.post(PREPARE, &body).status, accepted, "{event}");
    }
    let garbage = send(node.address, "POST", VALIDATE, &[("content-type", "application/jose")], b"garbage");
    assert_eq!(rules(&garbage), ["statement.malformed"]);
}

#[test]
fn what_could_not_be_submitted_is_not_prepared() {
    let node = Node::start();
    let good = request(&json!([{"issue": {"document": document("A1")}}]));
    assert_eq!(rules(&node.post(VALIDATE, &good)), Vec::<String>::new());
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, status, code) in [
        (with("exp", json!(node.now_s() - 1)), 400, "statement.expired"),
        (with("exp", json!(node.now_s() + 90_000)), 400, "statement.too-far-ahead"),
        (with("exp", json!(1_u64 << 50)), 400, "statement.too-far-ahead"),
        (with("key", json!("login")), 401, "statement.key-purpose"),
    ] {
        assert_eq!(node.post(PREPARE, &body).problem(), (status, code.to_owned()));
        assert_eq!(rules(&node.post(VALIDATE, &body)), [code]);
    }
    for path in [PREPARE, VALIDATE] {
        assert_eq!(node.post(path, &with("nonce", json!("a b"))).problem(), (400, "request.json".to_owned()));
    }
}

#[test]
fn a_statement_that_left_for_an_earlier_one_says_so_by_a_code_of_the_catalogue() {
    let node = Node::start();
    let [dropped, first] = [b"dropped", b"_first_"].map(|text| StatementId::from(Hash::of(text)));
    node.app.finality.dropped(&[(dropped, replica::replica::Dropped::Repeated(first))]);
    let view = send(node.address, "GET", &format!("/v1/statements/{dropped}"), &[], b"").json();
    assert_eq!((&view["state"], &view["problem"]), (&json!("dropped"), &json!("statement.repeated")));
    assert!(crate::catalogue::find("statement.repeated").is_some());
}

#[test]
fn the_limits_tell_every_bound_of_the_door() {
    let node = Node::start();
    let limits = send(node.address, "GET", "/v1/limits", &[], b"").json()["limits"].clone();
    for (name, value) in [
        ("archives_at_once", 4),
        ("dry_runs_at_once", 4),
        ("event_page_rows", 100),
        ("events_a_statement", 1_000),
        ("reads_at_once", 32),
        ("violations_listed", 1_000),
    ] {
        assert_eq!(limits[name], value, "{name}");
    }
}
