//! A thousand who follow the ledger at once: everybody gets its events, each once, and soon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chain::statement::Mode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::head;
use super::consortium::document;
use super::node::{Node, Setup};
use crate::Options;

/// Invoices that are followed.
const INVOICES: usize = 99;

/// Who follows each of them.
const EACH: usize = 10;

/// Who follows everything.
const ALL: usize = 10;

/// Statements, each with an event about every invoice.
const ROUNDS: usize = 10;

/// How long between two of them.
const PACE: Duration = Duration::from_millis(100);

/// Follows until so many events came; gives when each came, by height.
async fn follow(address: std::net::SocketAddr, request: Vec<u8>, count: usize) -> Vec<(u64, Instant)> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let (mut text, mut seen, mut read) = (Vec::new(), Vec::new(), 0);
    let mark = b"\"height\":";
    while seen.len() < count {
        assert!(stream.read_buf(&mut text).await.unwrap() > 0, "the stream ended: {}", String::from_utf8_lossy(&text));
        // A height may be cut by the end of what has come; what follows it is not.
        while let Some(place) = text[read..].windows(mark.len()).position(|window| window == mark) {
            let number = &text[read + place + mark.len()..];
            let Some(end) = number.iter().position(|byte| !byte.is_ascii_digit()) else { break };
            let height = std::str::from_utf8(&number[..end]).unwrap().parse().unwrap();
            seen.push((height, Instant::now()));
            read += place + mark.len() + end;
        }
    }
    seen
}

/// Issues the invoices; gives their ids.
fn invoices(node: &Node) -> Vec<String> {
    let issues: Vec<_> =
        (0..INVOICES).map(|number| json!({"issue": {"document": document(&format!("I-{number}"))}})).collect();
    let answer = node.submit(&node.statement("shop", "issues", Mode::All, &issues));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let outcomes = answer.json()["outcomes"].as_array().unwrap().clone();
    outcomes.iter().map(|outcome| outcome["subject"].as_str().unwrap().to_owned()).collect()
}

/// An event about each invoice: a lock, then renewals of it.
fn round(invoices: &[String], round: usize) -> Vec<Value> {
    let event = |invoice: &String| match round {
        0 => json!({"lock": {"invoice": invoice, "enterprise": "buyer", "claim": "c", "lease_seconds": 60}}),
        _ => json!({"renew": {"invoice": invoice, "claim": "c", "token": 1, "lease_seconds": 60 + round}}),
    };
    invoices.iter().map(event).collect()
}

#[test]
fn a_thousand_who_follow_get_each_event_once_and_soon() {
    let options = Options {
        connections_max: 1_200,
        connections_an_address_max: 1_200,
        subscriptions_max: 1_000,
        subscriptions_an_organisation_max: 1_000,
        ..Options::default()
    };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let invoices = invoices(&node);
    let committed = Arc::new(Mutex::new(BTreeMap::new()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut heights, noted) = (node.app.finality.heights(), Arc::clone(&committed));
    runtime.spawn(async move {
        while heights.changed().await.is_ok() {
            noted.lock().unwrap().insert(*heights.borrow_and_update(), Instant::now());
        }
    });
    let bearer = node.bearer("buyer");
    let request = |query: &str| head("GET", &format!("/v1/events{query}"), &[("authorization", &bearer)], None);
    let mut following = Vec::new();
    for invoice in &invoices {
        let request = request(&format!("?invoice={invoice}"));
        following.extend((0..EACH).map(|_| runtime.spawn(follow(node.address, request.clone(), ROUNDS))));
    }
    let all = request("?kind=lock,renew");
    following.extend((0..ALL).map(|_| runtime.spawn(follow(node.address, all.clone(), INVOICES * ROUNDS))));
    super::server::eventually(|| {
        let metrics = super::client::send(node.address, "GET", "/metrics", &[], b"").text();
        metrics.contains(&format!("einvoice_api_subscriptions {}\n", INVOICES * EACH + ALL))
    });
    let mut due = Instant::now();
    for number in 0..ROUNDS {
        let statement = node.statement("platform-a", &format!("round-{number}"), Mode::Each, &round(&invoices, number));
        assert_eq!(node.submit(&statement).status, 201);
        due += PACE;
        // The pace of the load, not a wait for something.
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
    }
    let mut lags = Vec::new();
    for follower in following {
        let seen = runtime.block_on(follower).unwrap();
        let committed = committed.lock().unwrap();
        lags.extend(seen.iter().map(|(height, at)| at.saturating_duration_since(committed[height])));
    }
    assert_eq!(lags.len(), INVOICES * ROUNDS * (EACH + ALL));
    lags.sort();
    let at = |percent: usize| lags[(lags.len() - 1) * percent / 100];
    // A tenth of a second is what a release keeps on two cores of its own.
    assert!(at(99) < Duration::from_secs(5), "p99 {:?}", at(99));
}
