//! Following the ledger: order, cursors, filters, who sees what, limits, ends.

use std::time::{Duration, Instant};

use chain::encoding::decode_base64url;
use chain::statement::Mode;
use ledger::outcome::Record;
use serde_json::{Value, json};

use super::consortium::{ORGANISATIONS, document};
use super::follower::{Follower, Moved, leaves};
use super::node::{Node, Setup};
use super::server::eventually;
use crate::Options;

/// The life of two invoices, with refusals: who did what is in the order of the leaves.
pub(crate) fn lives(node: &Node) -> [String; 2] {
    let (one, two) = (node.issue("A1"), node.issue("A2"));
    let lock = |claim: &str| json!({"enterprise": "buyer", "claim": claim});
    let path = |id: &str| format!("/v1/invoices/{id}/reimbursements");
    let a = node.write("platform-a", &path(&one), "l1", &lock("trip-a"));
    assert_eq!(a.status, 201, "{}", a.text());
    assert_eq!(node.write("platform-b", &path(&one), "l2", &lock("trip-b")).status, 409);
    assert_eq!(
        node.write("shop", &format!("/v1/invoices/{one}:void"), "v", &json!({"reason": "issue-error"})).status,
        409
    );
    let close = node.write("platform-a", &format!("{}/trip-a:close", path(&one)), "c", &json!({"token": 1}));
    assert_eq!(close.status, 201, "{}", close.text());
    let hand = json!({"to": {"organisation": "stranger"}});
    assert_eq!(node.write("buyer", &format!("/v1/invoices/{two}/transfers"), "t1", &hand).status, 201);
    assert_eq!(node.write("buyer", &format!("/v1/invoices/{two}/transfers"), "t2", &hand).status, 404);
    // The holder is told who stands in the way.
    let refused = node.write("buyer", &format!("/v1/invoices/{one}/transfers"), "t3", &hand);
    assert_eq!((refused.status, &refused.json()["standing"]["organisation"]), (409, &json!("platform-a")));
    [one, two]
}

/// A statement of so many issues of the shop.
pub(crate) fn many(node: &Node, name: &str, count: usize) {
    let events: Vec<_> =
        (0..count).map(|number| json!({"issue": {"document": document(&format!("{name}-{number}"))}})).collect();
    let answer = node.submit(&node.statement("shop", name, Mode::All, &events));
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[test]
fn events_come_in_order_as_they_happen_and_say_what_happened() {
    let node = Node::start();
    let mut live = Follower::start(&node, "auditor", "");
    let [one, two] = lives(&node);
    let count = usize::try_from(node.leaves()).unwrap();
    let seen = live.take(count);
    let mut late = Follower::start(&node, "auditor", "?after=start");
    assert_eq!(late.take(count), seen, "read from memory and from the ledger it is the same");
    assert_eq!(leaves(&seen), (0..node.leaves()).collect::<Vec<_>>());
    let types: Vec<_> = seen.iter().map(|event| event.data["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "cn.einvoice.invoice.issued.v1",
            "cn.einvoice.invoice.issued.v1",
            "cn.einvoice.invoice.locked.v1",
            "cn.einvoice.invoice.lock-refused.v1",
            "cn.einvoice.invoice.void-refused.v1",
            "cn.einvoice.invoice.closed.v1",
            "cn.einvoice.invoice.transferred.v1",
            "cn.einvoice.invoice.transfer-refused.v1",
            "cn.einvoice.invoice.transfer-refused.v1",
        ]
    );
    for event in &seen {
        assert_eq!(
            (&event.data["specversion"], &event.data["datacontenttype"]),
            (&json!("1.0"), &json!("application/json"))
        );
        assert_eq!(
            (&event.data["id"], &event.data["source"]),
            (&json!(event.id), &json!(node.query.chain().to_string()))
        );
        assert_eq!(event.data["time"], event.data["data"]["time"]);
    }
    assert_eq!((&seen[5].data["subject"], &seen[6].data["subject"]), (&json!(one), &json!(two)));
    // Statements of many events, in more than one turn.
    many(&node, "bulk", 700);
    let more = live.take(700);
    assert_eq!(leaves(&more), (9..709).collect::<Vec<_>>());
    assert_eq!(Follower::start(&node, "auditor", &format!("?after={}", seen[8].id)).take(700), more);
}

#[test]
fn every_event_comes_once_however_often_the_stream_is_cut_and_on_whichever_node() {
    let node = Node::start();
    let other = Node::start_with(Setup { follows: Some(node.query.clone()), ..Setup::default() });
    let mut last = Follower::start(&node, "shop", "");
    assert_eq!(last.moved(), Moved::Id, "where it begins is said before anything happens");
    let (mut seen, mut id) = (Vec::new(), last.last_id);
    for round in 0..12_u64 {
        many(&node, &format!("round-{round}"), 3);
        eventually(|| other.leaves() == node.leaves());
        let at = if round % 2 == 0 { &node } else { &other };
        let mut follower = Follower::resume(at, "shop", "?after=start", Some(&id));
        // Cut off at every place of a statement.
        seen.extend(follower.take(usize::try_from(round % 4).unwrap()));
        // Who leaves before anything came goes on where it was.
        id = if follower.last_id.is_empty() { id } else { follower.last_id };
    }
    let rest = usize::try_from(node.leaves()).unwrap() - seen.len();
    seen.extend(Follower::resume(&other, "shop", "", Some(&id)).take(rest));
    assert_eq!(leaves(&seen), (0..36).collect::<Vec<_>>());
}

#[test]
fn read_in_a_row_the_ledger_is_what_it_is_one_by_one() {
    let node = Node::start();
    // More blocks than are kept in memory.
    for round in 0..12 {
        many(&node, &format!("round-{round}"), 3);
    }
    let names = |events: Vec<replica::query::EventView>| -> Vec<_> {
        events
            .iter()
            .map(|event| (event.leaf, event.height, event.index, event.statement.id(), event.outcome.clone()))
            .collect()
    };
    let one = |leaf: u64| node.query.event(leaf).unwrap().unwrap();
    for leaf in 0..36 {
        for limit in 0..=4 {
            let found = names(node.query.events_from(leaf, limit).unwrap());
            let height = one(leaf).height;
            let expected = (leaf..36).map(one).take_while(|event| event.height == height).take(limit);
            assert_eq!(found, names(expected.collect()), "{limit} from {leaf}");
        }
    }
    assert!(node.query.events_from(36, 1).unwrap().is_empty());
    let all = Follower::start(&node, "auditor", "?after=start").take(36);
    assert_eq!(leaves(&all), (0..36).collect::<Vec<_>>());
}

#[test]
fn filters_leave_out_the_rest_and_nothing_else() {
    let node = Node::start();
    let [one, two] = lives(&node);
    let cases = [
        ("auditor", "kind=lock,close".to_owned(), vec![2, 3, 5]),
        ("auditor", format!("invoice={one}"), vec![0, 2, 3, 4, 5, 8]),
        ("buyer", format!("invoice={two}&kind=transfer"), vec![6, 7]),
        ("auditor", "organisation=stranger".to_owned(), vec![1, 6, 7]),
        ("auditor", "organisation=platform-b&kind=lock".to_owned(), vec![2, 3]),
        ("isp", "organisation=shop&kind=void".to_owned(), vec![4]),
    ];
    for (filter, code) in [
        ("kind=locks", (400, "request.query")),
        ("kind=", (400, "request.query")),
        ("colour=red", (400, "request.query")),
        ("invoice=144032609110-99999999", (404, "invoice.unknown")),
        ("organisation=nobody", (404, "organisation.unknown")),
        ("organisation=shop", (404, "organisation.unknown")),
    ] {
        let answer = Follower::try_start(&node, "stranger", &format!("?{filter}"), None).err().unwrap();
        assert_eq!(answer.problem(), (code.0, code.1.to_owned()), "{filter}");
    }
    let mut open = Vec::new();
    for (who, filter, expected) in cases {
        let mut follower = Follower::start(&node, who, &format!("?after=start&{filter}"));
        assert_eq!(leaves(&follower.take(expected.len())), expected, "{who} {filter}");
        open.push(follower);
    }
    node.shutdown.cancel();
    for mut follower in open {
        assert_eq!(follower.end(), "node.stopping", "there was no more");
    }
}

/// What a reader is shown of each leaf by the routes that show one event or one invoice.
fn shown(node: &Node, who: &str, invoices: &[String]) -> Vec<Value> {
    let mut rows = std::collections::BTreeMap::new();
    for id in invoices {
        let page = node.get(who, &format!("/v1/invoices/{id}/events"));
        if page.status == 200 {
            for row in page.json()["events"].as_array().unwrap() {
                rows.insert(row["leaf_index"].as_u64().unwrap(), row.clone());
            }
        }
    }
    for leaf in 0..node.leaves() {
        let receipt = node.get(who, &format!("/v1/receipts/{leaf}")).status == 200;
        // Who may have the receipt sees all of the event; of what the list leaves out the rest is told nowhere else.
        let row = rows.entry(leaf).or_insert(Value::Null);
        assert_eq!(row.get("receipt").is_some() || (row.is_null() && receipt), receipt, "{who} {leaf}");
        if row.is_null() && receipt {
            *row = json!("receipt");
        }
    }
    rows.into_values().collect()
}

#[test]
fn everybody_is_given_what_the_other_routes_show() {
    let node = Node::start();
    let invoices = lives(&node);
    // A refused lock by one who has no part in it, and an issue that is refused.
    let lock = json!({"lock": {"invoice": invoices[0], "enterprise": "shop", "claim": "x"}});
    assert_eq!(node.submit(&node.statement("stranger", "n1", Mode::All, &[lock])).status, 403);
    let mut other = document("A1");
    other["lines"][0]["name"] = json!("Another meal");
    let issue = json!({"issue": {"document": other}});
    assert_eq!(node.submit(&node.statement("shop", "n2", Mode::All, &[issue])).status, 409);
    assert_eq!(node.leaves(), 11, "all of it is on the ledger");
    let told = compare(&node, &invoices);
    assert!(told > 50, "{told}");
}

/// Holds what everybody is given against what the other routes show them: how many events that were.
fn compare(node: &Node, invoices: &[String]) -> usize {
    let mut told = 0;
    for (who, ..) in ORGANISATIONS {
        let shown = shown(node, who, invoices);
        let expected: Vec<_> = (0_u64..).zip(&shown).filter(|(_, row)| !row.is_null()).collect();
        let events = Follower::start(node, who, "?after=start").take(expected.len());
        for (event, (leaf, row)) in events.iter().zip(expected) {
            assert_eq!(event.leaf(), leaf, "{who}");
            if row.is_string() {
                assert!(event.data["data"].get("receipt").is_some(), "{who} {leaf}");
            } else {
                assert_eq!(event.data["data"], *row, "{who} {leaf}");
            }
            told += 1;
        }
        for event in &events {
            let Some(receipt) = event.data["data"]["receipt"].as_str() else { continue };
            let receipt = node.get(who, receipt).json();
            let record = decode_base64url(receipt["record"].as_str().unwrap()).unwrap();
            if let Record::Refused(refused) = Record::decode(&record).unwrap() {
                let standing = event.data["data"]["refusal"].get("standing").is_some();
                assert_eq!(refused.standing.is_some(), standing, "{who} {}: no receipt tells more", event.leaf());
            }
        }
        let text = format!("{events:?}");
        assert!(!text.contains("trip-a") && !text.contains("trip-b"), "{who}: {text}");
    }
    told
}

#[test]
fn events_about_organisations_and_mandates_are_for_those_they_are_about() {
    let node = Node::start();
    let invoices = lives(&node);
    let before = node.leaves();
    let entry = json!({"id": "m-1", "name": "M", "taxpayer_id": "915000000000031", "taxpayer_kind": "other"});
    let renumber = json!({"organisation": "buyer", "taxpayer_id": "915000000000032", "taxpayer_kind": "other"});
    let by = |who: &str, nonce: &str, events: &[Value]| {
        let answer = node.submit(&node.statement(who, nonce, Mode::Each, events));
        assert_eq!(answer.status, 201, "{}", answer.text());
    };
    by("shop", "s", &[json!({"mandate": {"to": "platform-a", "scopes": ["read"]}})]);
    by("tax-bureau", "b1", &[json!({"register": {"enterprises": [entry]}}), json!({"rename": renumber})]);
    by(
        "tax-bureau",
        "b2",
        &[
            json!({"attest": {"to": "isp", "scopes": ["issue"], "enterprises": ["m-1"]}}),
            json!({"suspend": {"organisation": "shop", "reason": "investigation"}}),
            json!({"revoke": {"from": "buyer", "to": "platform-b"}}),
        ],
    );
    // In the order of the leaves: mandate, register, rename, attest, suspend, revoke.
    let sees = |who: &str| {
        let receipt = |leaf: &u64| node.get(who, &format!("/v1/receipts/{}", before + leaf)).status == 200;
        (0..node.leaves() - before).filter(receipt).collect::<Vec<_>>()
    };
    for (who, expected) in [
        ("police", vec![0, 1, 2, 3, 4, 5]),
        ("auditor", vec![0, 1, 2, 3, 4, 5]),
        ("tax-bureau", vec![0, 1, 2, 3, 4, 5]),
        ("shop", vec![0, 4]),
        ("stranger", vec![]),
        ("buyer", vec![2, 5]),
        ("isp", vec![3]),
        ("platform-a", vec![0, 4]),
        ("platform-b", vec![5]),
    ] {
        assert_eq!(sees(who), expected, "{who}");
    }
    // The renumbered buyer sees of its invoices what it saw, and so does everybody else.
    assert!(compare(&node, &invoices) > 60);
    assert_eq!(node.get("buyer", &format!("/v1/invoices/{}", invoices[0])).status, 200);
}

#[test]
fn who_sees_nothing_is_told_how_far_it_has_come() {
    let node = Node::start();
    for round in 0..3 {
        many(&node, &format!("round-{round}"), 800);
    }
    let mut nobody = Follower::start(&node, "stranger", "?after=start");
    let mut sizes = Vec::new();
    while sizes.last().is_none_or(|size| *size < 2_000) {
        assert_eq!(nobody.moved(), Moved::Id);
        let (_, size) = nobody.last_id.split_once(".s").unwrap();
        sizes.push(size.parse::<u64>().unwrap());
    }
    assert!(sizes.is_sorted() && sizes.len() <= 4, "{sizes:?}");
}

#[test]
fn a_cursor_that_does_not_fit_is_told_why() {
    let node = Node::start();
    node.issue("A1");
    let mut follower = Follower::start(&node, "shop", "?after=start");
    let id = follower.take(1)[0].id.clone();
    let refused = |after: &str, last: Option<&str>| {
        Follower::try_start(&node, "shop", &format!("?after={after}"), last).err().unwrap().problem()
    };
    let beyond = id.replace(".s1", ".s2");
    assert_eq!(refused(&beyond, None), (503, "events.beyond-tip".to_owned()));
    assert_eq!(refused("start", Some(&beyond)), (503, "events.beyond-tip".to_owned()));
    assert_eq!(refused(&id.replace(".s1", ".x1"), None), (400, "events.cursor".to_owned()));
    assert_eq!(refused("0123456789abcdef.s1", None), (400, "events.other-chain".to_owned()));
    let anonymous = super::client::send(node.address, "GET", "/v1/events", &[], b"");
    assert_eq!(anonymous.problem(), (401, "auth.missing".to_owned()));
}

#[test]
fn an_organisation_follows_sixteen_times_at_once() {
    let node = Node::start();
    let mut open: Vec<_> = (0..16).map(|_| Follower::start(&node, "shop", "")).collect();
    let refused = Follower::try_start(&node, "shop", "", None).err().unwrap();
    assert_eq!(refused.problem(), (429, "events.subscriptions".to_owned()));
    assert!(refused.header("retry-after").is_some());
    let _others = Follower::start(&node, "buyer", "");
    open.pop();
    eventually(|| Follower::try_start(&node, "shop", "", None).is_ok());
    node.issue("A1");
    for follower in &mut open {
        assert_eq!(leaves(&follower.take(1)), [0]);
    }
    let metrics = super::client::send(node.address, "GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("einvoice_api_subscriptions "), "{metrics}");
}

#[test]
fn one_who_reads_too_slowly_is_sent_away_and_loses_nothing() {
    let options = Options { subscription_lag_events_max: 500, verifications_a_minute: 1_000, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let mut slow = Follower::start(&node, "shop", "");
    let mut quick = Follower::start(&node, "shop", "");
    for round in 0..8 {
        many(&node, &format!("round-{round}"), 1_000);
        assert_eq!(quick.take(1_000).len(), 1_000, "nobody else is slowed");
    }
    let mut seen = Vec::new();
    let end = loop {
        let event = slow.next().expect("a stream says why it ends");
        if event.kind == "end" {
            break event;
        }
        seen.push(event);
        assert!(seen.len() < 8_000, "what the system keeps for it is less than all");
    };
    assert_eq!(end.data["code"], "events.lagging");
    let mut again = Follower::resume(&node, "shop", "", Some(&slow.last_id));
    seen.extend(again.take(8_000 - seen.len()));
    assert_eq!(leaves(&seen), (0..8_000).collect::<Vec<_>>());
}

#[test]
fn a_login_that_ends_ends_the_stream() {
    let node = Node::start();
    let mut follower = Follower::start(&node, "shop", "");
    node.issue("A1");
    follower.take(1);
    crate::DevControl::advance_clock(&*node.clock, 601 * 1_000);
    node.issue("A2");
    assert_eq!(follower.end(), "login.expired");
    assert_eq!(leaves(&Follower::resume(&node, "shop", "", Some(&follower.last_id)).take(1)), [1]);
}

#[test]
fn a_node_that_stops_tells_those_who_follow_and_does_not_wait_for_them() {
    let node = Node::start();
    let mut follower = Follower::start(&node, "shop", "");
    node.issue("A1");
    let id = follower.take(1)[0].id.clone();
    let started = Instant::now();
    node.shutdown.cancel();
    assert_eq!(follower.end(), "node.stopping");
    assert_eq!(follower.last_id, id);
    node.closed();
    assert!(started.elapsed() < Duration::from_secs(10), "the drain takes 15 seconds when somebody holds on");
}
