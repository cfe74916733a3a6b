//! Quotas at the door: who sees what of them, and what issuing says is left.

use chain::statement::Mode;
use serde_json::{Value, json};

use super::client::{Answer, send};
use super::consortium::{DAY, document};
use super::follower::{Follower, leaves};
use super::node::Node;
use crate::DevControl as _;

const PATH: &str = "/v1/quotas/shop/2026-11";

/// One event of the bureau.
fn bureau(node: &Node, nonce: &str, event: &Value) -> Answer {
    node.submit(&node.statement("tax-bureau", nonce, Mode::Each, std::slice::from_ref(event)))
}

fn accepted(node: &Node, nonce: &str, event: &Value) -> Value {
    let answer = bureau(node, nonce, event);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["outcomes"][0].clone()
}

fn grant(amount: &str) -> Value {
    json!({"quota-grant": {"seller": "shop", "period": "2026-11", "amount": amount}})
}

/// Issues an invoice of 106.00 with a hosted key.
fn issue(node: &Node, who: &str, reference: &str) -> Answer {
    node.write(who, "/v1/invoices", reference, &json!({"document": document(reference)}))
}

/// Limit, used, left, paused.
fn amounts(view: &Value) -> [&Value; 4] {
    [&view["amount"], &view["used"], &view["left"], &view["paused"]]
}

#[test]
fn issuing_says_what_is_left_and_a_refusal_what_was() {
    let node = Node::start();
    let free = issue(&node, "shop", "r0");
    assert_eq!(free.status, 201, "{}", free.text());
    assert!(free.json().get("quota").is_none(), "nothing is left of what nobody limits");
    let outcome = accepted(&node, "n1", &grant("300.00"));
    assert_eq!((&outcome["kind"], &outcome["subject"]), (&json!("quota-grant"), &json!("quota:shop/2026-11")));
    assert_eq!(outcome["record"], json!({"quota-granted": {"amount": "300.00", "used": "106.00"}}));
    let issued = issue(&node, "isp", "r1");
    assert_eq!(issued.status, 201, "{}", issued.text());
    let quota = &issued.json()["quota"];
    assert_eq!(amounts(quota), [&json!("300.00"), &json!("212.00"), &json!("88.00"), &json!(false)]);
    assert_eq!(
        (&quota["seller"], &quota["period"], &quota["limited"]),
        (&json!("shop"), &json!("2026-11"), &json!(true))
    );
    // Looked at later, the invoice says nothing of it: its buyer looks too.
    let id = issued.json()["id"].as_str().unwrap().to_owned();
    assert!(node.get("shop", &format!("/v1/invoices/{id}")).json().get("quota").is_none());
    let refused = issue(&node, "shop", "r2");
    assert_eq!(refused.problem(), (409, "quota.exceeded".to_owned()));
    let problem = refused.json();
    assert_eq!(problem["expected"], "a gross total of at most 88.00, left of 300.00 for 2026-11");
    assert_eq!(problem["found"], "106.00");
    // Answered again, it says what is left by now.
    accepted(&node, "n2", &json!({"quota-adjust": {"seller": "shop", "period": "2026-11", "amount": "400.00"}}));
    let again = issue(&node, "isp", "r1");
    assert_eq!((again.status, &again.json()["quota"]["left"]), (200, &json!("188.00")));
}

#[test]
fn a_quota_is_seen_by_the_seller_and_those_who_issue_for_it() {
    let node = Node::start();
    let unlimited = json!({"seller": "shop", "period": "2026-11", "limited": false});
    assert_eq!(node.get("shop", PATH).json(), unlimited);
    accepted(&node, "n1", &grant("300.00"));
    accepted(&node, "n2", &json!({"quota-pause": {"seller": "shop", "period": "2026-11"}}));
    for who in ["shop", "isp", "tax-bureau", "police", "auditor"] {
        let view = node.get(who, PATH).json();
        assert_eq!(amounts(&view), [&json!("300.00"), &json!("0.00"), &json!("300.00"), &json!(true)], "{who}");
        assert_eq!(view["granted"]["granted_at"], "2026-11-15T04:00:00.000Z", "{view}");
        assert_eq!(node.get(who, view["granted"]["receipt"].as_str().unwrap()).status, 200, "{who}");
        assert_eq!(node.get(who, "/v1/receipts/1").status, 200, "{who}");
    }
    for who in ["buyer", "stranger", "platform-a"] {
        assert_eq!(node.get(who, PATH).problem(), (404, "organisation.unknown".to_owned()), "{who}");
        assert_eq!(node.get(who, "/v1/receipts/0").problem(), (404, "event.unknown".to_owned()), "{who}");
    }
    // The stream gives everybody what the receipts do; an event that all see comes behind.
    accepted(&node, "n3", &json!({"suspend": {"organisation": "stranger", "reason": "investigation"}}));
    let followed = |who: &str, count: usize| leaves(&Follower::start(&node, who, "?after=start").take(count));
    assert_eq!((followed("shop", 2), followed("isp", 2)), (vec![0, 1], vec![0, 1]));
    assert_eq!((followed("stranger", 1), followed("police", 3)), (vec![2], vec![0, 1, 2]));
    let granted = Follower::start(&node, "isp", "?after=start&kind=quota-grant").take(1).remove(0);
    assert_eq!(granted.data["type"], "cn.einvoice.quota.granted.v1");
    assert_eq!(send(node.address, "GET", PATH, &[], b"").problem(), (401, "auth.missing".to_owned()));
    assert_eq!(node.get("police", "/v1/quotas/nobody/2026-11").problem(), (404, "organisation.unknown".to_owned()));
    assert_eq!(node.get("shop", "/v1/quotas/shop/2026-13").problem(), (400, "request.malformed".to_owned()));
    assert_eq!(issue(&node, "shop", "r1").problem(), (409, "quota.paused".to_owned()));
    // A month that nobody granted anything for has nothing, and says so.
    let december = node.get("shop", "/v1/quotas/shop/2026-12").json();
    assert_eq!(amounts(&december), [&json!("0.00"), &json!("0.00"), &json!("0.00"), &json!(false)]);
    assert!(december.get("granted").is_none());
}

#[test]
fn what_the_bureau_may_not_do_is_refused_with_its_code() {
    let node = Node::start();
    accepted(&node, "n1", &grant("300.00"));
    let again = bureau(&node, "n2", &grant("300.00"));
    assert_eq!(again.problem(), (409, "quota.already-granted".to_owned()));
    assert_eq!(again.json()["standing"]["leaf_index"], 0);
    let other = json!({"quota-pause": {"seller": "buyer", "period": "2026-11"}});
    assert_eq!(bureau(&node, "n3", &other).problem(), (404, "quota.unknown".to_owned()));
    let negative = bureau(&node, "n4", &grant("-1.00"));
    assert_eq!(negative.problem(), (400, "event.malformed".to_owned()));
    let own = node.submit(&node.statement("shop", "n1", Mode::Each, &[grant("300.00")]));
    assert_eq!(own.problem(), (403, "organisation.tax-bureau-only".to_owned()));
    // A month later nothing is left of it.
    node.clock.advance_clock(20 * DAY);
    assert_eq!(issue(&node, "shop", "r1").problem(), (409, "quota.exceeded".to_owned()));
    let late = json!({"quota-adjust": {"seller": "shop", "period": "2026-11", "amount": "1.00"}});
    assert_eq!(bureau(&node, "n5", &late).problem(), (409, "quota.period-ended".to_owned()));
}
