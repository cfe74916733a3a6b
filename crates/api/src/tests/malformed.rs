//! Bad input of every kind: the right code and status, and nothing recorded.

use chain::hash::Hash;
use chain::identity::{ChainId, KeyId};
use chain::statement::{Draft, Mode, payload};
use serde_json::{Value, json};

use super::client::{Answer, send};
use super::consortium::{document, organisation, secret};
use super::node::Node;

fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.problem(), (status, code.to_owned()), "{}", answer.text());
}

/// Sends statements that are wrong, then one that is right under the same nonce.
fn check_rejected(node: &Node, table: Vec<(&str, Vec<u8>, u16, &str)>) {
    for (what, statement, status, code) in table {
        let answer = node.submit(&statement);
        assert_eq!(answer.problem(), (status, code.to_owned()), "{what}");
    }
    assert_eq!(node.leaves(), 0, "nothing was recorded");
    assert!(node.app.mempool.is_empty());
    let good = node.statement("shop", "n1", Mode::All, &[json!({"issue": {"document": document("A1")}})]);
    assert_eq!(node.submit(&good).status, 201, "and no nonce was burnt");
}

#[test]
fn a_statement_that_is_no_statement_is_rejected_by_name() {
    let node = Node::start();
    let event = json!({"issue": {"document": document("A1")}});
    let good = String::from_utf8(node.statement("shop", "n1", Mode::All, &[event])).unwrap();
    let login = node.login("shop").sign(&secret("shop", "login")).into_bytes();
    let table = vec![
        ("empty", vec![], 400, "statement.malformed"),
        ("not a JWS", b"{}".to_vec(), 400, "statement.malformed"),
        ("padded", format!("{good}=").into_bytes(), 400, "statement.malformed"),
        ("a line behind", format!("{good}\n").into_bytes(), 400, "statement.malformed"),
        ("too large", vec![b'a'; 2 * 1024 * 1024 + 1], 413, "statement.too-large"),
        ("a login token", login, 400, "statement.header"),
    ];
    check_rejected(&node, table);
}

#[test]
fn a_statement_with_a_wrong_header_or_signature_is_rejected_by_name() {
    let node = Node::start();
    let events = [json!({"issue": {"document": document("A1")}}).to_string()];
    let sign = |change: &dyn Fn(&mut chain::statement::StatementHeader)| {
        let mut header = node.header("shop", "n1");
        change(&mut header);
        Draft::new(header, payload(Mode::All, &events)).sign(&secret("shop", "statement"))
    };
    let now_s = node.now_s();
    let other = ChainId::new("other".parse().unwrap(), Hash::of(b"x"));
    let key = |id: &str| sign(&|header| header.key = KeyId::new(id).unwrap());
    let expires = |at: u64| sign(&|header| header.expires_at = at);
    let by = |name: &str| sign(&|header| header.organisation = organisation(name));
    let chain = sign(&|header| header.chain = other.clone());
    let table = vec![
        ("another's signature", by("isp"), 401, "statement.signature"),
        ("nobody", by("none"), 401, "statement.unknown-key"),
        ("another chain", chain, 400, "statement.wrong-chain"),
        ("expired", expires(now_s - 1), 400, "statement.expired"),
        ("too far ahead", expires(now_s + 86_500), 400, "statement.too-far-ahead"),
        ("no such key", key("none"), 401, "statement.unknown-key"),
        ("a login key", key("login"), 401, "statement.key-purpose"),
        ("a revoked key", key("old-statement"), 401, "statement.key-inactive"),
    ];
    check_rejected(&node, table);
}

#[test]
fn a_statement_with_a_wrong_payload_is_rejected_by_name() {
    let node = Node::start();
    let raw = |payload: &str| Draft::new(node.header("shop", "n1"), payload).sign(&secret("shop", "statement"));
    let one = |event: &str| raw(&format!("{{\"mode\":\"all\",\"events\":[{event}]}}"));
    let more = "{\"void\":{\"invoice\":\"144032609110-00000001\",\"reason\":\"issue-error\",\"x\":1}}";
    check_rejected(
        &node,
        vec![
            ("not JSON", raw("{"), 400, "statement.json"),
            ("a duplicate key", raw("{\"mode\":\"all\",\"mode\":\"all\",\"events\":[{}]}"), 400, "statement.json"),
            ("a fraction", one("{\"a\":1.5}"), 400, "statement.json"),
            ("a lone surrogate", one("{\"a\":\"\\ud800\"}"), 400, "statement.json"),
            ("too deep", one(&format!("{}{}", "[".repeat(40), "]".repeat(40))), 400, "statement.json"),
            ("no events", one(""), 400, "statement.events"),
            ("no object", one("1"), 400, "statement.events"),
            ("another mode", raw("{\"mode\":\"some\",\"events\":[{}]}"), 400, "statement.mode"),
            ("another member", raw("{\"mode\":\"all\",\"events\":[{}],\"x\":1}"), 400, "statement.payload"),
            (
                "too large an event",
                one(&format!("{{\"a\":\"{}\"}}", "x".repeat(65_536))),
                400,
                "statement.event-too-large",
            ),
            ("an unknown event", one("{\"pay\":{}}"), 400, "event.malformed"),
            ("an unknown field", one(more), 400, "event.malformed"),
        ],
    );
}

#[test]
fn a_nonce_belongs_to_one_payload() {
    let node = Node::start();
    assert_eq!(node.write("shop", "/v1/invoices", "k1", &json!({"document": document("A1")})).status, 201);
    let other = node.write("shop", "/v1/invoices", "k1", &json!({"document": document("A2")}));
    check(&other, 409, "statement.nonce-reused");
    // While the first still waits, too.
    let held = node.hold_blocks();
    let body = json!({"document": document("A3")});
    let waits = node.write_with("shop", "/v1/invoices", "k3", &body, &[("prefer", "respond-async")]);
    assert_eq!(waits.status, 202, "{}", waits.text());
    let other = node.write("shop", "/v1/invoices", "k3", &json!({"document": document("A4")}));
    check(&other, 409, "statement.nonce-reused");
    drop(held);
}

#[test]
fn a_malformed_body_is_refused_by_name() {
    let node = Node::start();
    let write = |body: &[u8]| {
        let bearer = node.bearer_for("shop", body);
        let headers =
            [("authorization", bearer.as_str()), ("idempotency-key", "k1"), ("content-type", "application/json")];
        send(node.address, "POST", "/v1/invoices", &headers, body)
    };
    let good = json!({"document": document("A1")}).to_string();
    let table: Vec<(Vec<u8>, u16, &str)> = vec![
        (b"".to_vec(), 400, "request.json"),
        (b"[]".to_vec(), 400, "request.json"),
        (b"{\"document\":{}".to_vec(), 400, "request.json"),
        (b"\xff\xfe".to_vec(), 400, "request.json"),
        (format!("\u{feff}{good}").into_bytes(), 400, "request.json"),
        (good.replacen("{\"document\"", "{\"x\":1,\"document\"", 1).into_bytes(), 400, "request.json"),
        (
            good.replacen("\"lines\"", "\"remark\":\"a\",\"remark\":\"a\",\"lines\"", 1).into_bytes(),
            400,
            "request.json",
        ),
        ("[".repeat(100_000).into_bytes(), 400, "request.json"),
        (good.replace("\"100.00\"", "100.5").into_bytes(), 422, "document.invalid"),
        (good.replace("\"106.00\"", "\"107.00\"").into_bytes(), 422, "document.invalid"),
        (b"{\"document\":null}".to_vec(), 422, "document.invalid"),
        (json!({"document": document("A1"), "personal": {"name": "x"}}).to_string().into_bytes(), 400, "request.json"),
        (
            json!({"document": document("A1"), "personal": {"drawer": "x".repeat(600)}}).to_string().into_bytes(),
            400,
            "attachment.malformed",
        ),
    ];
    for (body, status, code) in table {
        assert_eq!(
            write(&body).problem(),
            (status, code.to_owned()),
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(200)])
        );
    }
    assert_eq!(node.leaves(), 0);
}

#[test]
fn headers_and_paths_are_refused_by_name() {
    let node = Node::start();
    let body = json!({"document": document("A1")}).to_string();
    let write = |headers: &[(&str, &str)]| {
        let bearer = node.bearer_for("shop", body.as_bytes());
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        send(node.address, "POST", "/v1/invoices", &all, body.as_bytes())
    };
    let (json, key) = (("content-type", "application/json"), ("idempotency-key", "k1"));
    check(&write(&[json]), 400, "idempotency.key-missing");
    check(&write(&[json, ("idempotency-key", "a b")]), 400, "idempotency.key-malformed");
    check(&write(&[json, key, key]), 400, "request.header");
    check(&write(&[key]), 415, "request.media-type");
    check(&write(&[key, ("content-type", "text/plain")]), 415, "request.media-type");
    check(&write(&[key, json, ("content-encoding", "gzip")]), 415, "request.encoding");
    let get = |path: &str| node.get("shop", path);
    check(&get("/"), 404, "request.path");
    check(&get("/v1/invoices/144032609110-00000001/x"), 404, "request.path");
    check(&get("/v1/invoices/%ff"), 400, "request.malformed");
    check(&get("/v1/invoices?side=left"), 400, "request.query");
    check(&get("/v1/invoices?limit=0"), 400, "request.query");
    check(&get("/v1/invoices?limit=501"), 400, "request.query");
    check(&get("/v1/invoices?limit=1&limit=2"), 400, "request.query");
    check(&get("/v1/invoices?colour=red"), 400, "request.query");
    check(&get("/v1/invoices?cursor=AAAA"), 400, "request.cursor");
    check(&get("/v1/invoices?period=2026-13"), 400, "request.query");
    check(&get("/v1/filings/shop/2026"), 400, "request.malformed");
    check(&get("/v1/blocks/99"), 404, "block.unknown");
    check(&get("/v1/blocks/x"), 404, "block.unknown");
    check(&get("/v1/receipts/99"), 404, "event.unknown");
    check(&get("/v1/organisations/none"), 404, "organisation.unknown");
    check(&get("/v1/statements/abc"), 404, "statement.unknown");
    let method = send(node.address, "PUT", "/v1/invoices", &[], b"");
    check(&method, 405, "request.method");
    assert!(method.header("allow").unwrap().contains("POST"));
    let verbless = send(node.address, "POST", "/v1/invoices/144032609110-00000001", &[], b"");
    check(&verbless, 405, "request.method");
    assert_eq!(verbless.header("allow"), Some("GET,HEAD"));
    let own = send(node.address, "GET", "/v1/status", &[("x-request-id", "my.id-1")], b"");
    assert_eq!(own.header("x-request-id"), Some("my.id-1"));
    let odd = send(node.address, "GET", "/v1/status", &[("x-request-id", "a b\"c")], b"");
    assert_ne!(odd.header("x-request-id"), Some("a b\"c"));
}

#[test]
fn a_full_mempool_and_a_node_that_is_not_in_order_say_when_to_come_back() {
    let setup = super::node::Setup {
        mempool: replica::mempool::Limits { statements_max: 8, ..replica::mempool::Limits::default() },
        ..super::node::Setup::default()
    };
    let node = Node::start_with(setup);
    let _held = node.hold_blocks();
    let mut codes = std::collections::BTreeSet::new();
    let asynchronous = [("prefer", "respond-async")];
    for number in 0..6 {
        let body = json!({"document": document(&format!("A{number}"))});
        let answer = node.write_with("shop", "/v1/invoices", &format!("k{number}"), &body, &asynchronous);
        if answer.status != 202 {
            assert_eq!(answer.header("retry-after"), Some("1"));
            codes.insert(answer.problem());
        }
    }
    assert_eq!(Vec::from_iter(codes), [(429, "mempool.organisation-full".to_owned())]);
    node.app.health.caught_up(false);
    let answer = node.write("shop", "/v1/invoices", "late", &Value::Null);
    check(&answer, 503, "node.catching-up");
    assert_eq!(answer.header("retry-after"), Some("5"));
    node.app.health.stopping();
    let statement = node.statement("shop", "n1", Mode::All, &[json!({"issue": {"document": document("B1")}})]);
    check(&node.submit(&statement), 503, "node.stopping");
}
