//! Who loses a right gets nothing more, and what it did not get is there when it is given the right back.

use chain::statement::Mode;
use ledger::organisation::Standing;
use serde_json::{Value, json};

use super::super::events::many;
use super::super::follower::{Follower, leaves};
use super::super::node::Node;
use super::super::rights::{change_organisation, end_mandate, set_login};
use super::super::server::eventually;
use super::receiver::Receiver;
use super::{act, register, register_with, show, to_next_try, until};
use crate::DevControl as _;

/// An endpoint of the shop that got one event, and waits to be tried again with the second.
fn waiting(node: &Node, body: &Value, receiver: &Receiver) -> String {
    receiver.answer(&[Some("200 OK"), Some("500 No")]);
    let (id, _) = register_with(node, "shop", body);
    node.issue("A1");
    node.issue("A2");
    eventually(|| show(node, "shop", &id)["failing"]["tries"] == 1);
    id
}

#[test]
fn a_revoked_login_ends_what_it_registered_until_the_owner_comes_with_one_that_holds() {
    let node = Node::start();
    let receiver = Receiver::start();
    let id = waiting(&node, &json!({"url": receiver.url}), &receiver);
    change_organisation(&node, "shop", |shop| set_login(shop, false));
    node.clock.advance_clock(60_000);
    assert_eq!(until(&node, "tax-bureau", &id, "disabled")["disabled_reason"], "auth.key-inactive");
    assert_eq!(receiver.leaves(), [0, 1], "one was taken, one was tried before");
    assert_eq!(act(&node, "shop", &id, ":enable").problem(), (401, "auth.key-inactive".to_owned()));
    assert_eq!(act(&node, "tax-bureau", &id, ":enable").problem(), (401, "auth.key-inactive".to_owned()));
    change_organisation(&node, "shop", |shop| set_login(shop, true));
    assert_eq!(act(&node, "shop", &id, ":enable").status, 200);
    eventually(|| receiver.leaves() == [0, 1, 1]);
}

#[test]
fn a_suspended_organisation_gets_nothing_more_and_registers_nothing() {
    let node = Node::start();
    let receiver = Receiver::start();
    let id = waiting(&node, &json!({"url": receiver.url}), &receiver);
    change_organisation(&node, "shop", |shop| shop.standing = Standing::Suspended);
    node.clock.advance_clock(60_000);
    assert_eq!(until(&node, "shop", &id, "disabled")["disabled_reason"], "organisation.suspended");
    assert_eq!(receiver.leaves(), [0, 1]);
    assert_eq!(act(&node, "shop", &id, ":enable").problem(), (403, "organisation.suspended".to_owned()));
    assert_eq!(act(&node, "shop", &id, ":test").problem(), (403, "organisation.suspended".to_owned()));
    let another = json!({"url": "https://hooks.example.com/"});
    let refused = super::call(&node, "shop", "POST", "/v1/webhooks", &another);
    assert_eq!(refused.problem(), (403, "organisation.suspended".to_owned()));
}

#[test]
fn what_one_saw_under_a_mandate_it_gets_no_more_without() {
    let node = Node::start();
    let receiver = Receiver::start();
    receiver.answer(&[Some("200 OK"), Some("500 No")]);
    let (id, _) = register_with(&node, "isp", &json!({"url": receiver.url, "organisation": "shop"}));
    let all = Receiver::start();
    all.answer(&[Some("200 OK"), Some("500 No")]);
    let (unfiltered, _) = register(&node, "isp", &all);
    node.issue("A1");
    node.issue("A2");
    eventually(|| show(&node, "isp", &id)["failing"]["tries"] == 1);
    eventually(|| show(&node, "isp", &unfiltered)["failing"]["tries"] == 1);
    end_mandate(&node, "shop", "isp");
    to_next_try(&node, "isp", &unfiltered, 1);
    node.clock.advance_clock(60_000);
    assert_eq!(until(&node, "isp", &id, "disabled")["disabled_reason"], "organisation.unknown");
    // Nothing of it is its business any more: it is passed over.
    eventually(|| show(&node, "isp", &unfiltered)["status"] == "active");
    assert_eq!((receiver.leaves(), all.leaves()), (vec![0, 1], vec![0, 1]));
}

#[test]
fn what_was_read_while_it_was_ones_business_is_not_sent_any_more_when_it_is_not() {
    let node = Node::start();
    let receiver = Receiver::start();
    register(&node, "isp", &receiver);
    let held = receiver.hold_answers();
    many(&node, "bulk", 3);
    // An event of its own, which it always sees. State refuses it.
    let lock = json!({"lock": {"invoice": "144032609110-00000001", "enterprise": "buyer", "claim": "x"}});
    assert_eq!(node.submit(&node.statement("isp", "n", Mode::All, &[lock])).status, 403);
    eventually(|| receiver.leaves() == [0]);
    end_mandate(&node, "shop", "isp");
    node.clock.advance_clock(16_000);
    drop(held);
    eventually(|| receiver.leaves().last() == Some(&3));
    assert_eq!(receiver.leaves(), [0, 3]);
    // Nor does anybody who begins to follow now get it from memory.
    let begun = Follower::start(&node, "isp", "?after=start").take(1);
    assert_eq!(leaves(&begun), [3]);
}
