//! Webhooks of a node in a process of its own: kills, and the command of operators.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{DevNode, Run, eventually, issue, run};

/// Ids of messages, each with the leaf of its event.
type Got = Arc<Mutex<Vec<(String, u64)>>>;

/// A receiver that takes everything; gives its URL.
fn receiver(got: &Got) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let url = format!("http://127.0.0.1:{}/in", listener.local_addr().expect("it listens").port());
    let got = Arc::clone(got);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection is accepted");
            // Who was killed in the middle says no more.
            let Some(message) = read(&stream) else { continue };
            got.lock().expect("nobody panics with it").push(message);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    url
}

fn read(stream: &TcpStream) -> Option<(String, u64)> {
    let mut reader = BufReader::new(stream);
    let (mut id, mut length, mut line) = (String::new(), 0, String::new());
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("webhook-id", value)) => value.clone_into(&mut id),
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) | None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let event: Value = serde_json::from_slice(&body).ok()?;
    // A test event is of no leaf.
    Some((id, event["data"]["leaf_index"].as_u64().unwrap_or(u64::MAX)))
}

/// Registers an endpoint of an organisation; gives the answer.
fn register(node: &DevNode, organisation: &str, body: &Value, directory: &Path) -> Value {
    let path = directory.join("webhook.json");
    std::fs::write(&path, body.to_string()).expect("the directory can be written");
    let key = node.text(&format!("/keys/{organisation}/login")).to_owned();
    let path = path.to_str().expect("its name is UTF-8");
    let write = ["--request", "POST /v1/webhooks", "--body", path, "--clock-of", node.url()];
    let token = run(["token", "--key", &key, "--aud", node.text("/node_id")].into_iter().chain(write)).ended(0).stdout;
    let mut response = ureq::post(format!("{}/v1/webhooks", node.url()))
        .header("authorization", format!("Bearer {}", token.trim()))
        .header("content-type", "application/json")
        .send(body.to_string().as_bytes())
        .expect("an endpoint is registered");
    let bytes = response.body_mut().read_to_vec().expect("the answer can be read");
    serde_json::from_slice(&bytes).expect("it is JSON")
}

/// The command, as an organisation.
fn webhooks(node: &DevNode, organisation: &str, arguments: &[&str]) -> Run {
    let key = node.text(&format!("/keys/{organisation}/login"));
    let all = ["--format", "json", "webhooks", "--url", node.url(), "--key", key];
    run(all.into_iter().chain(arguments.iter().copied()))
}

/// Issues so many invoices in one statement.
fn issue_many(node: &DevNode, name: &str, count: usize, directory: &Path) {
    let events: Vec<Value> = (0..count).map(|number| issue(&format!("{name}-{number}"))).collect();
    let statement = node.sign("demo-shop", name, &json!(events), directory);
    node.submit(&statement).ended(0);
}

#[test]
fn no_event_is_lost_however_often_the_node_is_killed_and_doubles_have_one_id() {
    const ROUNDS: usize = 4;
    const EACH: usize = 12;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("dev");
    let (got, mut node) = (Got::default(), DevNode::start(&data));
    let url = receiver(&got);
    let registered = register(&node, "demo-shop", &json!({"url": url, "after": "start"}), directory.path());
    let id = registered["webhook"]["id"].as_str().unwrap().to_owned();
    for round in 0..ROUNDS {
        let before = got.lock().unwrap().len();
        issue_many(&node, &format!("round-{round}"), EACH, directory.path());
        // In the middle, as near as that can be said.
        let some = || if got.lock().unwrap().len() > before + 2 { Ok(()) } else { Err("fewer".to_owned()) };
        eventually("some of the events", some);
        node.kill();
        node = DevNode::start(&data);
    }
    let last = u64::try_from(ROUNDS * EACH).unwrap() - 1;
    eventually("the last event", || match got.lock().unwrap().last() {
        Some((_, leaf)) if *leaf == last => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let mut messages = got.lock().unwrap().clone();
    messages.dedup();
    let leaves: Vec<u64> = messages.iter().map(|(_, leaf)| *leaf).collect();
    assert_eq!(leaves, (0..=last).collect::<Vec<_>>(), "in order, all of them, and doubles under the id they had");
    let shown = webhooks(&node, "demo-shop", &["show", &id]).ended(0).json();
    assert_eq!((&shown["status"], &shown["url"]), (&json!("active"), &json!(url)));
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn who_runs_the_node_looks_at_all_endpoints_stops_them_and_sends_again() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let got = Got::default();
    let url = receiver(&got);
    let registered = register(&node, "demo-shop", &json!({"url": url}), directory.path());
    let id = registered["webhook"]["id"].as_str().unwrap();
    let list = |organisation: &str, arguments: &[&str]| webhooks(&node, organisation, arguments).ended(0).json();
    let listed = list("tax-bureau", &["list", "--all"]);
    assert_eq!(
        (&listed["webhooks"][0]["id"], &listed["webhooks"][0]["organisation"]),
        (&json!(id), &json!("demo-shop"))
    );
    assert_eq!(listed["webhooks"][0]["url"], url.strip_suffix("/in").unwrap());
    assert_eq!(list("tax-bureau", &["list"])["webhooks"], json!([]));
    assert_eq!(list("tax-bureau", &["list", "--organisation", "demo-shop"]), listed);
    let refused = webhooks(&node, "demo-buyer", &["list", "--all"]).ended(3);
    assert!(refused.stderr.contains("auth.role-missing"), "{}", refused.stderr);
    assert_eq!(list("demo-shop", &["test", id])["delivered"], true);
    assert_eq!(got.lock().unwrap().len(), 1);
    assert_eq!(list("tax-bureau", &["disable", id])["disabled_reason"], "operator");
    let refused = webhooks(&node, "demo-shop", &["enable", id]).ended(3);
    assert!(refused.stderr.contains("webhook.stopped-by-operator"), "{}", refused.stderr);
    assert_eq!(list("tax-bureau", &["enable", id])["status"], "active");
    assert_eq!(list("tax-bureau", &["dead-letters", id])["dead_letters"], json!([]));
    assert_eq!(list("tax-bureau", &["resend", id])["resending"], 0);
    let unknown = webhooks(&node, "tax-bureau", &["resend", id, "msg_1"]).ended(3);
    assert!(unknown.stderr.contains("webhook.dead-letter-unknown"), "{}", unknown.stderr);
    webhooks(&node, "tax-bureau", &["show", "we_1/../x"]).ended(2);
    assert_eq!(node.stop().code(), Some(0));
}
