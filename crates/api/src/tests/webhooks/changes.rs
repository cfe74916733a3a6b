//! What becomes of a delivery when its owner chooses other events: an id stands for the same events in every try.

use chain::statement::Mode;
use serde_json::{Value, json};

use super::super::consortium::document;
use super::super::node::Node;
use super::super::server::eventually;
use super::receiver::{Got, Receiver};
use super::{act, call, register_with, show, to_next_try, until};

/// An endpoint of the auditor that gets the issues alone, many at once.
fn issues(node: &Node, receiver: &Receiver) -> String {
    register_with(node, "auditor", &settings(receiver, &["issue"])).0
}

fn settings(receiver: &Receiver, kinds: &[&str]) -> Value {
    json!({"url": receiver.url, "kinds": kinds, "events_max": 64})
}

fn choose(node: &Node, id: &str, settings: &Value) {
    let changed = call(node, "auditor", "PUT", &format!("/v1/webhooks/{id}"), settings);
    assert_eq!(changed.status, 200, "{}", changed.text());
}

/// An issue, another event, and an issue, in one block.
fn three_events(node: &Node) {
    let issue = |name: &str| json!({"issue": {"document": document(name)}});
    let void = json!({"void": {"invoice": "144032609110-99999999", "reason": "issue-error"}});
    let statement = node.statement("shop", "n", Mode::Each, &[issue("A1"), void, issue("A2")]);
    assert_eq!(node.submit(&statement).status, 201);
}

fn told(got: &[Got]) -> Vec<(String, Vec<u64>)> {
    got.iter().map(|got| (got.id().to_owned(), got.leaves())).collect()
}

#[test]
fn what_failed_is_sent_with_the_events_chosen_now_under_another_id() {
    let node = Node::start();
    let receiver = Receiver::start();
    receiver.answer(&[Some("500 No"); 2]);
    let id = issues(&node, &receiver);
    three_events(&node);
    eventually(|| show(&node, "auditor", &id)["failing"]["tries"] == 1);
    // Changed to what it is: another try of the same message.
    choose(&node, &id, &settings(&receiver, &["issue"]));
    eventually(|| receiver.count() == 2 && show(&node, "auditor", &id)["failing"]["tries"] == 1);
    choose(&node, &id, &settings(&receiver, &[]));
    eventually(|| receiver.count() == 3);
    until(&node, "auditor", &id, "active");
    let short = id.strip_prefix("we_").unwrap();
    let (issues, all) = (format!("msg_{short}_3"), format!("msg_{short}_r1_3"));
    let expected = [(issues.clone(), vec![0, 2]), (issues, vec![0, 2]), (all, vec![0, 1, 2])];
    assert_eq!(told(&receiver.got()), expected);
}

#[test]
fn what_is_taken_while_other_events_are_chosen_is_sent_again_with_all_of_them() {
    let node = Node::start();
    let receiver = Receiver::start();
    let id = issues(&node, &receiver);
    let held = receiver.hold_answers();
    three_events(&node);
    eventually(|| receiver.count() == 1);
    choose(&node, &id, &settings(&receiver, &[]));
    drop(held);
    eventually(|| receiver.count() == 2);
    let told = told(&receiver.got());
    assert_eq!((&told[0].1, &told[1].1), (&vec![0, 2], &vec![0, 1, 2]), "none of them is lost");
    assert_ne!(told[0].0, told[1].0);
}

#[test]
fn a_dead_letter_has_the_id_it_was_tried_under_and_is_sent_as_what_is_chosen_now() {
    let node = Node::start();
    let receiver = Receiver::start();
    receiver.answer(&[Some("500 No"); 10]);
    let id = issues(&node, &receiver);
    three_events(&node);
    for tries in 1..10 {
        to_next_try(&node, "auditor", &id, tries);
    }
    let letters = || node.get("auditor", &format!("/v1/webhooks/{id}/dead-letters")).json()["dead_letters"].clone();
    eventually(|| letters() != json!([]));
    let first = receiver.got()[0].id().to_owned();
    choose(&node, &id, &settings(&receiver, &[]));
    assert_eq!(letters()[0]["message"], first);
    let another = format!("/dead-letters/{}:resend", first.replace("_3", "_r1_3"));
    assert_eq!(act(&node, "auditor", &id, &another).problem().1, "webhook.dead-letter-unknown");
    assert_eq!(act(&node, "auditor", &id, &format!("/dead-letters/{first}:resend")).status, 202);
    eventually(|| letters() == json!([]));
    let last = told(&receiver.got()).pop().unwrap();
    assert_eq!((last.0 == first, last.1), (false, vec![0, 1, 2]));
}
