//! What owners and operators do with endpoints, and what everybody else is told.

use serde_json::{Value, json};

use super::super::client::send;
use super::super::node::{Node, Setup};
use super::super::server::eventually;
use super::receiver::Receiver;
use super::{act, call, register, register_with, show, until};
use crate::DevControl as _;

#[test]
fn a_secret_is_shown_once_and_an_endpoint_to_its_owner_and_the_operator_alone() {
    let node = Node::start();
    let receiver = Receiver::start();
    let (id, secret) = register(&node, "shop", &receiver);
    let path = format!("/v1/webhooks/{id}");
    let own = node.get("shop", &path);
    assert!(!own.text().contains(&secret) && !own.text().contains("whsec_"), "{}", own.text());
    assert_eq!(own.json()["url"], receiver.url);
    assert!(own.json()["public_key"].as_str().unwrap().starts_with("whpk_"));
    let operator = node.get("tax-bureau", &path).json();
    assert_eq!(operator["url"], receiver.url.strip_suffix("/in").unwrap(), "a path may be a secret");
    for other in ["buyer", "police", "auditor"] {
        assert_eq!(node.get(other, &path).problem(), (404, "webhook.unknown".to_owned()));
        assert_eq!(act(&node, other, &id, ":disable").problem().1, "webhook.unknown");
        assert_eq!(call(&node, other, "DELETE", &path, &Value::Null).problem().1, "webhook.unknown");
    }
    for action in [":rotate-secret", ":test"] {
        assert_eq!(act(&node, "tax-bureau", &id, action).problem().1, "webhook.unknown", "{action}");
    }
    let ids = |name: &str, query: &str| -> Vec<Value> {
        let list = node.get(name, &format!("/v1/webhooks{query}")).json();
        list["webhooks"].as_array().unwrap().iter().map(|webhook| webhook["id"].clone()).collect()
    };
    assert_eq!(ids("shop", ""), [json!(id)]);
    assert_eq!(ids("shop", "?organisation=shop"), [json!(id)]);
    assert_eq!(ids("buyer", ""), [json!(null); 0]);
    assert_eq!(ids("tax-bureau", ""), [json!(null); 0]);
    assert_eq!(ids("tax-bureau", "?organisation=all"), [json!(id)]);
    assert_eq!(ids("tax-bureau", "?organisation=shop"), [json!(id)]);
    let foreign = node.get("police", "/v1/webhooks?organisation=shop");
    assert_eq!(foreign.problem(), (403, "auth.role-missing".to_owned()));
}

#[test]
fn every_write_needs_a_token_that_covers_it() {
    let node = Node::start();
    let receiver = Receiver::start();
    let (id, _) = register(&node, "shop", &receiver);
    let body = json!({"url": receiver.url}).to_string();
    let (path, json) = (format!("/v1/webhooks/{id}"), ("content-type", "application/json"));
    let writes = [
        ("POST", "/v1/webhooks".to_owned(), body.as_bytes()),
        ("PUT", path.clone(), body.as_bytes()),
        ("DELETE", path.clone(), b"".as_slice()),
        ("POST", format!("{path}:rotate-secret"), b""),
        ("POST", format!("{path}:test"), b""),
        ("POST", format!("{path}:disable"), b""),
        ("POST", format!("{path}:resend"), b""),
        ("POST", format!("{path}/dead-letters/msg_1:resend"), b""),
    ];
    for (method, path, body) in writes {
        let nobody = send(node.address, method, &path, &[json], body);
        assert_eq!(nobody.problem(), (401, "auth.missing".to_owned()), "{method} {path}");
        let reader = node.bearer("shop");
        let read = send(node.address, method, &path, &[json, ("authorization", &reader)], body);
        assert_eq!(read.status, 401, "{method} {path}: {}", read.text());
        let other = node.bearer_covering("shop", &format!("{method} /v1/invoices"), body);
        let other = send(node.address, method, &path, &[json, ("authorization", &other)], body);
        assert_eq!(other.status, 401, "{method} {path}: {}", other.text());
    }
    assert_eq!(show(&node, "shop", &id)["status"], "active");
    assert_eq!(receiver.count(), 0);
}

#[test]
fn every_wrong_registration_is_told_apart() {
    let node = Node::start();
    let id = node.issue("A1");
    let code = |body: Value| call(&node, "shop", "POST", "/v1/webhooks", &body).problem();
    let url = "https://hooks.example.com/in";
    let malformed = |code: &str| (400, code.to_owned());
    for wrong in ["", "hooks.example.com", "http://hooks.example.com:bad/", "ftp://example.com/", "https://10.0.0.1/"] {
        assert_eq!(code(json!({"url": wrong})), malformed("webhook.url"), "{wrong}");
    }
    for wrong in ["https://169.254.169.254/latest/meta-data", "https://[fd00::1]/", "https://user:secret@example.com/"]
    {
        let answer = call(&node, "shop", "POST", "/v1/webhooks", &json!({"url": wrong}));
        assert_eq!(answer.problem(), malformed("webhook.url"), "{wrong}");
        assert!(!answer.text().contains("secret"), "what was sent is not said again");
    }
    assert_eq!(code(json!({})), malformed("request.json"));
    assert_eq!(code(json!({"url": url, "colour": "red"})), malformed("request.json"));
    assert_eq!(code(json!({"url": url, "kinds": ["issue", "sale"]})), malformed("request.malformed"));
    assert_eq!(code(json!({"url": url, "kinds": ["issue,lock"]})), malformed("request.malformed"));
    assert_eq!(code(json!({"url": url, "events_max": 0})), malformed("request.malformed"));
    assert_eq!(code(json!({"url": url, "events_max": 65})), malformed("request.malformed"));
    assert_eq!(code(json!({"url": url, "after": "yesterday"})), malformed("events.cursor"));
    let unknown = |code: &str| (404, code.to_owned());
    assert_eq!(code(json!({"url": url, "invoice": "144032609110-99999999"})), unknown("invoice.unknown"));
    assert_eq!(code(json!({"url": url, "organisation": "buyer"})), unknown("organisation.unknown"));
    let stranger = call(&node, "stranger", "POST", "/v1/webhooks", &json!({"url": url, "invoice": id}));
    assert_eq!(stranger.problem(), unknown("invoice.unknown"), "a foreign invoice is none");
    assert_eq!(act(&node, "shop", "we_1", ":test").problem().1, "webhook.unknown");
    let (mine, _) = register_with(&node, "shop", &json!({"url": url, "kinds": ["issue"]}));
    assert_eq!(code(json!({"url": url, "kinds": ["issue"]})), (409, "webhook.exists".to_owned()));
    assert_eq!(act(&node, "shop", &mine, ":paint").problem().1, "request.path");
    assert_eq!(act(&node, "shop", &mine, "").problem(), (405, "request.method".to_owned()));
    let moved = json!({"url": url, "after": "start"});
    let moved = call(&node, "shop", "PUT", &format!("/v1/webhooks/{mine}"), &moved);
    assert_eq!(moved.problem(), malformed("request.malformed"));
}

#[test]
fn in_service_only_https_to_the_outside_is_called() {
    let node = Node::start_with(Setup { dev: false, ..Setup::default() });
    let receiver = Receiver::start();
    let answer = call(&node, "shop", "POST", "/v1/webhooks", &json!({"url": receiver.url}));
    assert_eq!(answer.problem(), (400, "webhook.url".to_owned()));
    let port = receiver.url.rsplit_once(':').unwrap().1;
    let (id, _) = register_with(&node, "shop", &json!({"url": format!("https://localhost:{port}")}));
    let test = act(&node, "shop", &id, ":test").json();
    assert_eq!((&test["delivered"], &test["reason"]), (&json!(false), &json!("address-refused")));
    assert_eq!(receiver.count(), 0);
}

#[test]
fn there_are_only_so_many_endpoints() {
    let webhooks = crate::WebhookOptions {
        endpoints_max: 3,
        endpoints_an_organisation_max: 2,
        ..crate::WebhookOptions::default()
    };
    let options = crate::Options { webhooks, ..crate::Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let url = |number: u8| json!({"url": format!("https://hooks.example.com/{number}")});
    let (first, _) = register_with(&node, "shop", &url(1));
    register_with(&node, "shop", &url(2));
    let more = |name: &str| call(&node, name, "POST", "/v1/webhooks", &url(3)).problem();
    assert_eq!(more("shop"), (429, "webhook.organisation-full".to_owned()));
    register_with(&node, "buyer", &url(1));
    assert_eq!(more("buyer"), (503, "node.webhooks-full".to_owned()));
    assert_eq!(call(&node, "shop", "DELETE", &format!("/v1/webhooks/{first}"), &Value::Null).status, 204);
    assert_eq!(node.get("shop", &format!("/v1/webhooks/{first}")).problem().0, 404);
    register_with(&node, "buyer", &url(3));
    let limits = node.get("shop", "/v1/limits").json();
    assert_eq!((&limits["limits"]["webhooks"], &limits["limits"]["webhooks_an_organisation"]), (&json!(3), &json!(2)));
}

#[test]
fn a_rotated_secret_signs_beside_the_new_one_for_a_day() {
    let node = Node::start();
    let receiver = Receiver::start();
    let (id, first) = register(&node, "shop", &receiver);
    let public = show(&node, "shop", &id)["public_key"].clone();
    node.issue("A1");
    eventually(|| receiver.count() == 1);
    let rotated = act(&node, "shop", &id, ":rotate-secret").json();
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert!(first != second && rotated["webhook"]["public_key"] != public);
    node.issue("A2");
    eventually(|| receiver.count() == 2);
    node.clock.advance_clock(24 * 60 * 60 * 1_000);
    node.issue("A3");
    eventually(|| receiver.count() == 3);
    let signed: Vec<_> = receiver.got().iter().map(|got| (got.is_signed(&first), got.is_signed(&second))).collect();
    assert_eq!(signed, [(true, false), (true, true), (false, true)]);
}

#[test]
fn an_owner_tries_moves_stops_and_removes_an_endpoint() {
    let node = Node::start();
    let (old, new) = (Receiver::start(), Receiver::start());
    let (id, secret) = register(&node, "shop", &old);
    let test = act(&node, "shop", &id, ":test").json();
    assert_eq!((&test["delivered"], &test["status"]), (&json!(true), &json!(200)));
    let got = old.got()[0].clone();
    assert_eq!(got.json()["type"], "cn.einvoice.webhook.test.v1");
    assert!(got.is_signed(&secret) && got.json()["subject"] == id.as_str());
    old.answer(&[Some("418 Teapot")]);
    let test = act(&node, "shop", &id, ":test").json();
    assert_eq!((&test["delivered"], &test["status"], &test["reason"]), (&json!(false), &json!(418), &json!("status")));

    assert_eq!(act(&node, "shop", &id, ":disable").json()["disabled_reason"], "owner");
    node.issue("A1");
    let moved = json!({"url": new.url, "kinds": ["issue"]});
    assert_eq!(call(&node, "shop", "PUT", &format!("/v1/webhooks/{id}"), &moved).json()["url"], new.url);
    assert_eq!(act(&node, "shop", &id, ":enable").json()["status"], "active");
    eventually(|| new.leaves() == [0]);
    assert_eq!(old.count(), 2);

    assert_eq!(act(&node, "tax-bureau", &id, ":disable").json()["disabled_reason"], "operator");
    let refused = act(&node, "shop", &id, ":enable").problem();
    assert_eq!(refused, (403, "webhook.stopped-by-operator".to_owned()));
    assert_eq!(act(&node, "shop", &id, ":disable").json()["disabled_reason"], "operator", "it stays the operator's");
    assert_eq!(act(&node, "tax-bureau", &id, ":enable").status, 200);
    until(&node, "shop", &id, "active");

    assert_eq!(call(&node, "shop", "DELETE", &format!("/v1/webhooks/{id}"), &Value::Null).status, 204);
    node.issue("A2");
    let witness = Receiver::start();
    register(&node, "shop", &witness);
    eventually(|| witness.count() == 2);
    assert_eq!((old.count(), new.count()), (2, 1));
}
