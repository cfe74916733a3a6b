//! Many at once: connections, bodies, addresses; those who send little, nothing or without end.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use super::client::{connect, head, parse, read, send};
use super::consortium::{document, organisation};
use super::node::{Node, Setup};
use super::server::eventually;
use crate::call::Peer;
use crate::service::Service;
use crate::{DevControl, Options, routes};

const JSON: (&str, &str) = ("content-type", "application/json");
const VERIFICATIONS: &str = "/v1/verifications";

fn with(options: Options) -> Node {
    Node::start_with(Setup { options, ..Setup::default() })
}

/// A connection from an address of one's own: every address of 127/8 is this machine.
fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Asks and is answered, and leaves the connection open.
fn alive(stream: &mut TcpStream) -> bool {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    while !bytes.ends_with(b"}") && stream.read_exact(&mut byte).is_ok() {
        bytes.push(byte[0]);
    }
    bytes.starts_with(b"HTTP/1.1 200") && bytes.ends_with(b"}")
}

fn ended(stream: &mut TcpStream) -> bool {
    // By a timeout it would not have ended.
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn metric(node: &Node, name: &str) -> u64 {
    let text = send(node.address, "GET", "/metrics", &[], b"").text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("einvoice_api_{name} ")));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

#[test]
fn idle_connections_go_when_there_is_no_room_and_those_at_work_stay() {
    let node = with(Options { connections_max: 2, ..Options::default() });
    let held = node.hold_blocks();
    std::thread::scope(|scope| {
        let issuing = scope.spawn(|| node.write("shop", "/v1/invoices", "k1", &json!({"document": document("A1")})));
        eventually(|| node.app.mempool.len() == 1);
        let mut idle = connect(node.address);
        assert!(alive(&mut idle));
        let mut next = connect(node.address);
        assert!(alive(&mut next), "somebody has made room");
        assert!(ended(&mut idle), "the idle one has");
        drop(held);
        assert_eq!(issuing.join().unwrap().status, 201, "who was at work was not disturbed");
    });
}

#[test]
fn beyond_the_limit_of_connections_at_work_one_waits_for_another_to_end() {
    let node = with(Options { connections_max: 1, ..Options::default() });
    let held = node.hold_blocks();
    std::thread::scope(|scope| {
        let issuing = scope.spawn(|| node.write("shop", "/v1/invoices", "k1", &json!({"document": document("A1")})));
        eventually(|| node.app.mempool.len() == 1);
        let mut second = connect(node.address);
        second.write_all(&head("GET", "/livez", &[], None)).unwrap();
        second.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(second.read(&mut [0; 1]).is_err(), "nobody answers yet");
        drop(held);
        assert_eq!(issuing.join().unwrap().status, 201);
        second.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(read(&mut second).status, 200);
    });
}

#[test]
fn one_address_keeps_to_its_share_and_others_are_served() {
    let node = with(Options { connections_max: 8, connections_an_address_max: 4, ..Options::default() });
    let mut quiet = connect_from(9, node.address);
    assert!(alive(&mut quiet));
    let mut crowd: Vec<TcpStream> = (0..20).map(|_| connect_from(2, node.address)).collect();
    assert!(alive(&mut connect_from(3, node.address)));
    assert!(alive(&mut quiet), "its idle connection was not the price");
    assert!(alive(crowd.last_mut().unwrap()), "the newest of the crowd is there");
    assert!(crowd[..16].iter_mut().all(ended), "the oldest made room for the newer");
    assert_eq!(metric(&node, "connections_pushed_out_total"), 16);
}

#[test]
fn the_bytes_of_bodies_have_a_budget_and_an_address_a_share_of_it() {
    let options = Options {
        body_bytes_max: 200_000,
        bodies_bytes_max: 170_000,
        bodies_bytes_an_address_max: 100_000,
        ..Options::default()
    };
    let node = with(options);
    let half_sent = |last: u8| {
        let mut stream = connect_from(last, node.address);
        stream.write_all(&head("POST", VERIFICATIONS, &[JSON], Some(100_000))).unwrap();
        stream.write_all(&vec![b' '; 80_000]).unwrap();
        stream
    };
    let large = |last: u8| {
        let mut stream = connect_from(last, node.address);
        stream.write_all(&head("POST", VERIFICATIONS, &[JSON], Some(120_000))).unwrap();
        read(&mut stream)
    };
    let one = half_sent(2);
    eventually(|| metric(&node, "bodies_bytes") >= 80_000 - 16 * 1_024);
    let own = large(2);
    assert_eq!(own.problem(), (429, "address.bodies-full".to_owned()), "refused before any of it was read");
    assert_eq!(own.header("retry-after"), Some("1"));
    let two = half_sent(3);
    eventually(|| metric(&node, "bodies_bytes") >= 2 * (80_000 - 16 * 1_024));
    // By now less than 43 kB of the budget are left.
    let mut other = connect_from(4, node.address);
    other.write_all(&head("POST", VERIFICATIONS, &[JSON], Some(70_000))).unwrap();
    assert_eq!(read(&mut other).problem(), (503, "node.bodies-full".to_owned()));
    let small = node.post(VERIFICATIONS, &json!({"qr": "x".repeat(1_000)}));
    assert_ne!(small.status, 503, "{}", small.text());
    drop((one, two));
    eventually(|| metric(&node, "bodies_bytes") == 0);
    let taken = send(node.address, "POST", VERIFICATIONS, &[JSON], &vec![b' '; 60_000]);
    assert_eq!(taken.problem(), (400, "request.json".to_owned()), "read whole");
    eventually(|| metric(&node, "bodies_bytes") == 0);
}

#[test]
fn a_body_without_end_meets_the_budget_too() {
    let node = with(Options { bodies_bytes_max: 100_000, bodies_bytes_an_address_max: 50_000, ..Options::default() });
    let mut stream = connect(node.address);
    stream.write_all(&head("POST", VERIFICATIONS, &[JSON, ("transfer-encoding", "chunked")], None)).unwrap();
    let chunk = format!("2710\r\n{}\r\n", " ".repeat(10_000));
    // Until the answer comes; the other side stops reading then.
    while stream.write_all(chunk.as_bytes()).is_ok() {}
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    // The answer may be lost with the reset that what was sent in vain brings about.
    assert!(answer.is_empty() || parse(&answer).problem() == (429, "address.bodies-full".to_owned()));
    eventually(|| metric(&node, "bodies_bytes") == 0);
}

#[test]
fn a_body_that_drips_is_cut_long_before_its_time_is_up() {
    let node = with(Options {
        body_read_timeout_ms: 600_000,
        body_pace_window_ms: 100,
        body_bytes_a_second_min: 1_000,
        ..Options::default()
    });
    let mut stream = connect(node.address);
    stream.write_all(&head("POST", VERIFICATIONS, &[JSON], Some(4_000))).unwrap();
    stream.write_all(b"{").unwrap();
    let cut = read(&mut stream);
    assert_eq!(cut.problem(), (408, "request.timeout".to_owned()));
    assert_eq!(cut.json()["found"], "1 bytes so far");
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let node = with(Options { write_stall_timeout_ms: 100, ..Options::default() });
    let mut deaf = connect(node.address);
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    deaf.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    // As many as the other side takes: the answers fill every buffer between the two.
    for _ in 0..2_000 {
        if deaf.write_all(request).is_err() {
            break;
        }
    }
    eventually(|| metric(&node, "connections") == 1);
    drop(deaf);
}

#[test]
fn archives_are_few_at_once_and_one_organisation_has_half() {
    let node = Node::start();
    let service = Arc::new(Service::new(Arc::clone(&node.app)).unwrap());
    let router = routes::router(Arc::clone(&service));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ask = |name: &str| {
        let mut request = Request::get("/v1/archive").header("authorization", node.bearer(name)).body(Body::empty());
        let peer = Peer((IpAddr::from([127, 0, 0, 1]), 1).into());
        request.as_mut().unwrap().extensions_mut().insert(peer);
        runtime.block_on(async {
            let response = router.clone().oneshot(request.unwrap()).await.unwrap();
            let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), retry)
        })
    };
    let busy = (503, Some("30".to_owned()));
    let take = |name: &str| service.archives.take(organisation(name), 1);
    let auditor = [take("auditor").unwrap(), take("auditor").unwrap()];
    assert_eq!(ask("auditor"), busy);
    let bureau = [take("tax-bureau").unwrap(), take("tax-bureau").unwrap()];
    assert_eq!(ask("police"), busy);
    drop((auditor, bureau));
    assert_eq!(ask("auditor"), (200, None));
}

#[test]
fn what_a_caller_sent_is_echoed_in_two_hundred_characters() {
    let node = Node::start();
    let long = "x".repeat(5_000);
    let answer = send(node.address, "POST", VERIFICATIONS, &[JSON, ("content-encoding", &long)], b"{}");
    assert_eq!(answer.problem(), (415, "request.encoding".to_owned()));
    assert_eq!(answer.json()["found"].as_str().unwrap().chars().count(), 201);
    let answer = node.post(VERIFICATIONS, &json!({long.as_str(): 1}));
    assert_eq!(answer.problem(), (400, "request.json".to_owned()));
    assert!(answer.body.len() < 2_000, "{}", answer.text());
}

#[test]
fn a_login_that_was_verified_is_still_held_against_time_and_its_every_letter() {
    let node = Node::start();
    let bearer = node.bearer("shop");
    let ask = |bearer: &str| send(node.address, "GET", "/v1/invoices", &[("authorization", bearer)], b"");
    assert_eq!((ask(&bearer).status, ask(&bearer).status), (200, 200));
    // The same token with another signature was never verified.
    let stranger = node.bearer("stranger");
    let (claims, signature) = (bearer.rsplit_once('.').unwrap().0, stranger.rsplit_once('.').unwrap().1);
    assert_eq!(ask(&format!("{claims}.{signature}")).problem(), (401, "login.signature".to_owned()));
    node.clock.advance_clock(601_000);
    assert_eq!(ask(&bearer).problem(), (401, "login.expired".to_owned()));
}
