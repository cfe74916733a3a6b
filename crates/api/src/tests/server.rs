//! The server itself: limits, TLS, waiting, health, an orderly end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::client::{connect, head, parse, read, send};
use super::consortium::document;
use super::node::{Node, Setup};
use crate::{Listening, Options, ServeError, Tls, serve};

/// Waits for a condition, and fails when it does not come about.
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "the condition did not come about");
        // Not a turn given up only: what is waited for needs the core.
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn with(options: Options) -> Node {
    Node::start_with(Setup { options, ..Setup::default() })
}

#[test]
fn a_head_that_does_not_end_ends_the_connection() {
    let node = with(Options { header_read_timeout_ms: 50, ..Options::default() });
    for start in ["", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = connect(node.address);
        stream.write_all(start.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{start}");
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let node = with(Options { header_read_timeout_ms: 50, ..Options::default() });
    let mut stream = connect(node.address);
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(bytes.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_body_is_limited_in_size_and_time() {
    let options = Options { body_bytes_max: 1_000, body_read_timeout_ms: 50, ..Options::default() };
    let node = with(options);
    let json = ("content-type", "application/json");
    let announced = send(node.address, "POST", "/v1/verifications", &[json], &[b' '; 1_001]);
    assert_eq!(announced.problem(), (413, "request.too-large".to_owned()));
    let mut stream = connect(node.address);
    stream.write_all(&head("POST", "/v1/verifications", &[json, ("transfer-encoding", "chunked")], None)).unwrap();
    let _ = stream.write_all(format!("7d0\r\n{}\r\n0\r\n\r\n", " ".repeat(2_000)).as_bytes());
    assert_eq!(read(&mut stream).problem(), (413, "request.too-large".to_owned()));
    let mut slow = connect(node.address);
    slow.write_all(&head("POST", "/v1/verifications", &[json], Some(100))).unwrap();
    slow.write_all(b"{").unwrap();
    assert_eq!(read(&mut slow).problem(), (408, "request.timeout".to_owned()));
}

#[test]
fn a_wait_that_ends_first_is_a_promise_to_be_asked_about() {
    let node = with(Options { finality_wait_ms: 20, ..Options::default() });
    let held = node.hold_blocks();
    let body = json!({"document": document("A1")});
    for prefer in ["wait=0", "respond-async", "wait=600", "unknown"] {
        let answer = node.write_with("shop", "/v1/invoices", "k1", &body, &[("prefer", prefer)]);
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.json()["state"], "pending");
    }
    let answer = node.write("shop", "/v1/invoices", "k1", &body);
    let path = answer.header("location").unwrap().to_owned();
    assert_eq!(node.get("shop", &path).json()["state"], "pending");
    drop(held);
    eventually(|| node.get("shop", &path).json()["state"] == "decided");
    assert_eq!(node.write("shop", "/v1/invoices", "k1", &body).status, 200);
}

#[test]
fn an_orderly_end_lets_requests_under_way_finish() {
    let node = Node::start();
    let held = node.hold_blocks();
    std::thread::scope(|scope| {
        let issuing = scope.spawn(|| node.write("shop", "/v1/invoices", "k1", &json!({"document": document("A1")})));
        eventually(|| node.app.mempool.len() == 1);
        let mut idle = connect(node.address);
        node.shutdown.cancel();
        // The door is closed to others, idle ones are let go, and the request under way is answered.
        let _ = idle.read_to_end(&mut Vec::new());
        drop(held);
        assert_eq!(issuing.join().unwrap().status, 201);
    });
    node.closed();
    assert!(std::net::TcpStream::connect(node.address).is_err());
}

#[test]
fn an_end_does_not_wait_for_ever() {
    let node = with(Options { drain_ms: 50, ..Options::default() });
    let _held = node.hold_blocks();
    std::thread::scope(|scope| {
        let body = json!({"document": document("A1")}).to_string().into_bytes();
        let bearer = node.bearer_for("shop", &body);
        let mut stream = connect(node.address);
        scope.spawn(move || {
            let headers =
                [("authorization", bearer.as_str()), ("idempotency-key", "k"), ("content-type", "application/json")];
            stream.write_all(&head("POST", "/v1/invoices", &headers, Some(body.len()))).unwrap();
            stream.write_all(&body).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.is_empty(), "cut off without an answer");
        });
        eventually(|| node.app.mempool.len() == 1);
        node.shutdown.cancel();
        node.closed();
    });
}

#[test]
fn a_fault_of_the_node_wakes_those_who_wait() {
    let node = Node::start();
    let _held = node.hold_blocks();
    let answer = std::thread::scope(|scope| {
        let issuing = scope.spawn(|| node.write("shop", "/v1/invoices", "k1", &json!({"document": document("A1")})));
        eventually(|| node.app.mempool.len() == 1);
        node.app.health.fault("a secret of the disk");
        node.app.finality.fault();
        issuing.join().unwrap()
    });
    assert_eq!(answer.problem(), (503, "node.stopping".to_owned()));
    let alive = send(node.address, "GET", "/livez", &[], b"");
    assert_eq!(alive.status, 503);
    assert!(!alive.text().contains("secret"));
}

#[test]
fn without_tls_the_door_opens_on_loopback_alone() {
    let node = Node::start();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(serve(
        Arc::clone(&node.app),
        Listening { listener, tls: None },
        None,
        CancellationToken::new(),
    ));
    assert!(matches!(refused, Err(ServeError::Insecure { .. })));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = Tls { certificate_pem: b"x".to_vec(), key_pem: Zeroizing::new(b"x".to_vec()) };
    let refused = runtime.block_on(serve(
        Arc::clone(&node.app),
        Listening { listener, tls: Some(tls) },
        None,
        CancellationToken::new(),
    ));
    assert!(matches!(refused, Err(ServeError::Tls(_))));
}

#[test]
fn tls_carries_the_same_door() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate_pem: pair.cert.pem().into_bytes(),
        key_pem: Zeroizing::new(pair.key_pair.serialize_pem().into_bytes()),
    };
    let node = Node::start_with(Setup { tls: Some(tls), ..Setup::default() });
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, connect(node.address));
    stream.write_all(&head("GET", "/v1/status", &[], None)).unwrap();
    assert_eq!(read(&mut stream).json()["node"], "tax-bureau-1");
    // Plain HTTP on the same port is no way in.
    let mut plain = connect(node.address);
    plain.write_all(&head("GET", "/v1/status", &[], None)).unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn the_node_tells_limits_status_health_metrics_and_docs() {
    let node = Node::start();
    let get = |path: &str| send(node.address, "GET", path, &[], b"");
    let limits = get("/v1/limits").json();
    assert_eq!(limits["limits"]["events_a_statement"], 1_000);
    assert_eq!(limits["limits"]["body_bytes"], 4 * 1024 * 1024);
    assert_eq!(limits["chain"], node.query.chain().to_string());
    assert_eq!(get("/v1/status").json()["ready"], true);
    assert_eq!(get("/readyz").json()["status"], "ok");
    assert_eq!(get("/livez").status, 200);
    assert!(get("/metrics").text().contains("einvoice_api_ready 1"));
    assert_eq!(get("/openapi.json").json()["openapi"], "3.1.0");
    assert!(get("/docs").text().contains("/v1/invoices/{id}:void"));
    assert!(get("/docs/errors").text().contains("id=\"reimbursement.already-locked\""));
    node.app.health.caught_up(false);
    assert_eq!(get("/readyz").problem(), (503, "node.catching-up".to_owned()));
    assert_eq!(get("/livez").status, 200);
    let production = Node::start_with(Setup { dev: false, ..Setup::default() });
    assert_eq!(production.post("/v1/dev/clock", &json!({"advance_ms": 1})).problem(), (404, "request.path".to_owned()));
    for wrong in [
        json!({}),
        json!({"advance_ms": -1}),
        json!({"advance_ms": 1, "to": "x"}),
        json!({"to": "2000-01-01T00:00:00Z"}),
    ] {
        assert_eq!(node.post("/v1/dev/clock", &wrong).problem(), (400, "request.malformed".to_owned()));
    }
}

#[test]
fn what_is_no_http_is_answered_or_closed_and_never_hangs() {
    let node = Node::start();
    for bytes in [&b"\x16\x03\x01"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &vec![b'A'; 100_000]] {
        let mut stream = connect(node.address);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || (400..500).contains(&parse(&answer).status));
    }
}
