//! Webhooks: order and completeness, signatures, tries, dead letters, rights, restarts.

mod changes;
mod deliveries;
mod owners;
mod receiver;
mod rights;

use serde_json::{Value, json};

use super::client::{Answer, send};
use super::node::Node;
use super::server::eventually;
use crate::DevControl as _;
use receiver::Receiver;

/// Somebody's write of a body; an empty text is none.
fn call(node: &Node, name: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let bearer = node.bearer_covering(name, &format!("{method} {path}"), &body);
    send(node.address, method, path, &[("authorization", &bearer), ("content-type", "application/json")], &body)
}

/// Somebody's write without a body.
fn act(node: &Node, name: &str, id: &str, action: &str) -> Answer {
    call(node, name, "POST", &format!("/v1/webhooks/{id}{action}"), &Value::Null)
}

/// Registers an endpoint for all events from the start; gives its id and its secret.
fn register(node: &Node, name: &str, receiver: &Receiver) -> (String, String) {
    register_with(node, name, &json!({"url": receiver.url, "after": "start"}))
}

fn register_with(node: &Node, name: &str, body: &Value) -> (String, String) {
    let answer = call(node, name, "POST", "/v1/webhooks", body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let json = answer.json();
    let id = json["webhook"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("/v1/webhooks/{id}").as_str()));
    (id, json["secret"].as_str().unwrap().to_owned())
}

fn show(node: &Node, name: &str, id: &str) -> Value {
    let answer = node.get(name, &format!("/v1/webhooks/{id}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits until an endpoint has a status.
fn until(node: &Node, name: &str, id: &str, status: &str) -> Value {
    eventually(|| show(node, name, id)["status"] == status);
    show(node, name, id)
}

fn ms(value: &Value) -> i64 {
    crate::parse_ms(value.as_str().unwrap_or_else(|| panic!("no time: {value}"))).unwrap()
}

/// Waits until so many tries of what is under way have failed, and moves the clock to the next one. Gives the pause.
fn to_next_try(node: &Node, name: &str, id: &str, tries: u64) -> i64 {
    eventually(|| show(node, name, id)["failing"]["tries"] == tries);
    let failing = &show(node, name, id)["failing"];
    let next = ms(&failing["next"]);
    node.clock.advance_clock(next - crate::Clock::now_ms(&*node.clock));
    next - ms(&failing["failure"]["time"])
}
