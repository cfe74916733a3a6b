//! What is delivered: all of it, in order, signed, again and again until it is taken.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::events::{lives, many};
use super::super::follower::Follower;
use super::super::node::{Node, Setup};
use super::super::server::eventually;
use super::receiver::{Got, Receiver};
use super::{act, register, register_with, show, to_next_try, until};

#[test]
fn events_are_posted_in_order_each_once_and_signed() {
    let node = Node::start();
    let receiver = Receiver::start();
    let (id, secret) = register(&node, "auditor", &receiver);
    lives(&node);
    let count = usize::try_from(node.leaves()).unwrap();
    eventually(|| receiver.count() == count);
    let streamed = Follower::start(&node, "auditor", "?after=start").take(count);
    let got = receiver.got().clone();
    for (got, streamed) in got.iter().zip(&streamed) {
        assert_eq!(got.json(), streamed.data, "it is what the stream shows");
        assert_eq!(got.header("content-type"), "application/cloudevents+json");
        assert_eq!(got.header("webhook-timestamp"), node.now_s().to_string());
        let position = streamed.leaf() + 1;
        assert_eq!(got.id(), format!("msg_{}_{position}", id.strip_prefix("we_").unwrap()));
        assert!(got.is_signed(&secret), "{got:?}");
    }
    assert_eq!(receiver.leaves(), (0..node.leaves()).collect::<Vec<_>>());
    eventually(|| show(&node, "auditor", &id)["cursor"] == streamed[count - 1].id);
    let shown = show(&node, "auditor", &id);
    assert_eq!((&shown["status"], &shown["dead_letters"]), (&json!("active"), &json!(0)));
    assert!(shown["delivered"].is_string() && shown["failing"].is_null());
}

#[test]
fn a_filter_and_a_start_leave_out_the_rest() {
    let node = Node::start();
    let [one, _] = lives(&node);
    let locks = Receiver::start();
    let body = json!({"url": locks.url, "kinds": ["lock", "close"], "invoice": one, "after": "start"});
    register_with(&node, "auditor", &body);
    let late = Receiver::start();
    register_with(&node, "shop", &json!({"url": late.url}));
    node.issue("B1");
    eventually(|| locks.count() == 3 && late.count() == 1);
    let types: Vec<Value> = locks.got().iter().map(|got| got.json()["type"].clone()).collect();
    let expected = ["locked", "lock-refused", "closed"].map(|done| json!(format!("cn.einvoice.invoice.{done}.v1")));
    assert_eq!(types, expected);
    assert_eq!(late.leaves(), [9]);
}

#[test]
fn many_go_together_when_their_owner_wants_it_and_stay_together_when_they_fail() {
    let receiver = Receiver::start();
    receiver.answer(&[None, Some("500 No")]);
    let webhooks = crate::WebhookOptions { delivery_timeout_ms: 500, ..crate::WebhookOptions::default() };
    let options = crate::Options { webhooks, ..crate::Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    many(&node, "bulk", 150);
    let body = json!({"url": receiver.url, "events_max": 64, "after": "start"});
    let (id, secret) = register_with(&node, "auditor", &body);
    to_next_try(&node, "auditor", &id, 1);
    // What came meanwhile goes with the next, and not with this one.
    many(&node, "more", 10);
    to_next_try(&node, "auditor", &id, 2);
    eventually(|| receiver.leaves().last() == Some(&159));
    let got = receiver.got().clone();
    let sizes: Vec<usize> = got.iter().map(|got| got.events().len()).collect();
    assert_eq!(sizes[..3], [64, 64, 64], "two tries in vain");
    assert!(got[0].id() == got[1].id() && got[1].id() == got[2].id());
    assert!(got[0].body == got[1].body && got[1].body == got[2].body);
    assert!(got.iter().all(|got| got.header("content-type") == "application/cloudevents-batch+json"));
    assert!(got.iter().all(|got| got.is_signed(&secret)));
    let leaves: Vec<u64> = got[2..].iter().flat_map(Got::leaves).collect();
    assert_eq!(leaves, (0..160).collect::<Vec<_>>());
}

#[test]
fn what_fails_is_tried_again_by_the_schedule_and_nothing_overtakes_it() {
    let node = Node::start();
    let receiver = Receiver::start();
    receiver.answer(&[Some("500 No"), Some("404 No"), Some("302 Found\r\nLocation: /else")]);
    let (id, _) = register(&node, "shop", &receiver);
    node.issue("A1");
    node.issue("A2");
    let within = |pause: i64, least: i64| assert!((least..=least + least / 10).contains(&pause), "{pause}");
    within(to_next_try(&node, "shop", &id, 1), 5_000);
    within(to_next_try(&node, "shop", &id, 2), 300_000);
    let failing = until(&node, "shop", &id, "failing");
    assert_eq!(failing["failing"]["failure"]["reason"], "status");
    within(to_next_try(&node, "shop", &id, 3), 1_800_000);
    eventually(|| receiver.count() == 5);
    assert_eq!(receiver.leaves(), [0, 0, 0, 0, 1]);
    let ids: Vec<String> = receiver.got().iter().map(|got| got.id().to_owned()).collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "{ids:?}");
    let shown = until(&node, "shop", &id, "active");
    assert!(shown["failing"].is_null());
    let stamps: Vec<u64> = receiver.got().iter().map(|got| got.header("webhook-timestamp").parse().unwrap()).collect();
    assert!(stamps[0] < stamps[1] && stamps[1] < stamps[2], "each try is signed when it is made: {stamps:?}");
}

#[test]
fn a_receiver_may_ask_for_a_pause_and_its_owner_may_end_it() {
    let node = Node::start();
    let receiver = Receiver::start();
    receiver.answer(&[Some("503 Busy\r\nRetry-After: 7200"), Some("429 Slow\r\nRetry-After: 1")]);
    let (id, _) = register(&node, "shop", &receiver);
    node.issue("A1");
    assert_eq!(to_next_try(&node, "shop", &id, 1), 7_200_000);
    eventually(|| show(&node, "shop", &id)["failing"]["tries"] == 2);
    assert_eq!(act(&node, "shop", &id, ":enable").status, 200);
    eventually(|| receiver.count() == 3);
    until(&node, "shop", &id, "active");
}

#[test]
fn gone_is_the_end_until_the_owner_says_otherwise_and_nothing_is_lost() {
    let node = Node::start();
    let receiver = Receiver::start();
    receiver.answer(&[Some("200 OK"), Some("410 Gone")]);
    let (id, _) = register(&node, "shop", &receiver);
    for name in ["A1", "A2", "A3"] {
        node.issue(name);
    }
    assert_eq!(until(&node, "shop", &id, "disabled")["disabled_reason"], "gone");
    assert_eq!(receiver.leaves(), [0, 1]);
    assert_eq!(act(&node, "shop", &id, ":enable").status, 200);
    eventually(|| receiver.count() == 4);
    assert_eq!(receiver.leaves(), [0, 1, 1, 2]);
}

#[test]
fn after_the_last_try_an_event_is_a_dead_letter_that_is_listed_and_sent_again() {
    let node = Node::start();
    let receiver = Receiver::start();
    receiver.answer(&[Some("500 No"); 10]);
    let (id, _) = register(&node, "shop", &receiver);
    node.issue("A1");
    node.issue("A2");
    for tries in 1..10 {
        to_next_try(&node, "shop", &id, tries);
    }
    eventually(|| receiver.count() == 11);
    assert_eq!(receiver.leaves(), [[0; 10].as_slice(), &[1]].concat(), "the next one's turn comes");
    let list = |name: &str| node.get(name, &format!("/v1/webhooks/{id}/dead-letters"));
    for name in ["shop", "tax-bureau"] {
        let letters = list(name).json();
        let letter = &letters["dead_letters"][0];
        assert_eq!((&letter["tries"], &letter["events"], &letter["first_leaf"]), (&json!(10), &json!(1), &json!(0)));
        assert_eq!((&letter["failure"]["status"], &letter["resending"]), (&json!(500), &json!(false)));
        assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 1);
    }
    assert_eq!(list("buyer").problem(), (404, "webhook.unknown".to_owned()));
    assert_eq!(show(&node, "shop", &id)["dead_letters"], 1);
    let status = node.get("shop", "/v1/status").json();
    assert_eq!(status["webhooks"], json!({"endpoints": 1, "disabled": 0, "failing": 0, "dead_letters": 1}));
    let message = list("shop").json()["dead_letters"][0]["message"].as_str().unwrap().to_owned();
    // Once more in vain, asked for by its owner; then it is taken, asked for by the operator.
    receiver.answer(&[Some("500 No")]);
    assert_eq!(act(&node, "shop", &id, &format!("/dead-letters/{message}:resend")).json()["resending"], 1);
    eventually(|| list("shop").json()["dead_letters"][0]["tries"] == 11);
    assert_eq!(act(&node, "tax-bureau", &id, ":resend").status, 202);
    eventually(|| list("shop").json()["dead_letters"] == json!([]));
    let got = receiver.got().clone();
    assert_eq!(got.len(), 13);
    assert!(got[12].id() == got[0].id() && got[0].id() == message && got[12].body == got[0].body);
    assert_eq!(show(&node, "shop", &id)["dead_letters"], 0);
    let unknown = act(&node, "shop", &id, &format!("/dead-letters/{message}:resend"));
    assert_eq!(unknown.problem(), (404, "webhook.dead-letter-unknown".to_owned()));
}

#[test]
fn without_room_for_another_dead_letter_an_endpoint_is_served_no_further() {
    let webhooks = crate::WebhookOptions { dead_letters_an_endpoint_max: 1, ..crate::WebhookOptions::default() };
    let options = crate::Options { webhooks, ..crate::Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let receiver = Receiver::start();
    receiver.answer(&[Some("500 No"); 20]);
    let (id, _) = register(&node, "shop", &receiver);
    node.issue("A1");
    node.issue("A2");
    for _ in 0..2 {
        for tries in 1..10 {
            to_next_try(&node, "shop", &id, tries);
        }
    }
    assert_eq!(until(&node, "shop", &id, "disabled")["disabled_reason"], "dead-letters-full");
    assert_eq!(act(&node, "shop", &id, ":enable").status, 200);
    eventually(|| receiver.leaves().last() == Some(&1) && receiver.count() == 21);
    assert_eq!(act(&node, "shop", &id, ":resend").status, 202);
    eventually(|| receiver.count() == 22);
    assert_eq!(receiver.leaves().last(), Some(&0));
}

#[test]
fn one_that_does_not_answer_holds_up_nobody_else() {
    let node = Node::start();
    let (dead, live) = (Receiver::start(), Receiver::start());
    dead.answer(&[None; 8]);
    for number in 0..4 {
        register_with(&node, "shop", &json!({"url": format!("{}/{number}", dead.url), "after": "start"}));
        register_with(&node, "buyer", &json!({"url": format!("{}/{number}", dead.url), "after": "start"}));
    }
    register(&node, "auditor", &live);
    node.issue("A1");
    eventually(|| dead.count() == 8);
    node.issue("A2");
    eventually(|| live.count() == 2);
    assert_eq!((live.leaves(), dead.count()), (vec![0, 1], 8));
}

#[test]
fn a_restart_goes_on_where_it_was_and_repeats_only_what_was_under_way() {
    let node = Node::start();
    let receiver = Receiver::start();
    let body = json!({"url": receiver.url, "after": "start", "events_max": 7});
    let (id, secret) = register_with(&node, "auditor", &body);
    let (single, _) = register_with(&node, "shop", &json!({"url": format!("{}/single", receiver.url)}));
    let store = Arc::clone(node.query.store());
    let mut node = Some(node);
    for round in 0..6_usize {
        let running = node.as_ref().unwrap();
        // One message is taken, and the node dies before it knows.
        receiver.answer(&vec![Some("200 OK"); round]);
        receiver.answer(&[None, None]);
        let before = receiver.count();
        many(running, &format!("round-{round}"), 20);
        eventually(|| receiver.count() > before + round);
        drop(node.take());
        receiver.answer_as_ever();
        node = Some(Node::start_with(Setup { store: Some(Arc::clone(&store)), ..Setup::default() }));
    }
    let mine = |id: &str| {
        let prefix = format!("msg_{}_", id.strip_prefix("we_").unwrap());
        let mut got: Vec<_> = receiver.got().iter().filter(|got| got.id().starts_with(&prefix)).cloned().collect();
        got.dedup_by(|next, before| next.id() == before.id());
        got
    };
    for id in [&id, &single] {
        eventually(|| mine(id).last().is_some_and(|last| last.leaves().last() == Some(&119)));
        let got = mine(id);
        let leaves: Vec<u64> = got.iter().flat_map(Got::leaves).collect();
        assert_eq!(leaves, (0..120).collect::<Vec<_>>(), "nothing is lost, and doubles have the id they had");
    }
    assert!(mine(&id).iter().all(|got| got.is_signed(&secret)), "the secret outlives the process");
}
