//! Who sees what.

use serde_json::{Value, json};

use super::node::Node;

#[test]
fn everybody_sees_what_their_part_in_the_invoice_allows() {
    let node = Node::start();
    let id = node.issue("A1");
    let path = format!("/v1/invoices/{id}");
    let before = |who: &str| node.get(who, &path).status;
    // Platforms hold the buyer's mandate, the service provider the seller's.
    for who in ["shop", "buyer", "isp", "platform-a", "platform-b", "tax-bureau", "police", "auditor"] {
        assert_eq!(before(who), 200, "{who}");
    }
    let stranger = node.get("stranger", &path);
    let unknown = node.get("stranger", "/v1/invoices/144032609110-99999999");
    assert_eq!(stranger.problem(), (404, "invoice.unknown".to_owned()));
    assert_eq!(unknown.problem(), stranger.problem());
    assert_eq!(unknown.json()["title"], stranger.json()["title"]);
    for more in ["/events", "/receipt", "/attachment"] {
        assert_eq!(node.get("stranger", &format!("{path}{more}")).problem(), (404, "invoice.unknown".to_owned()));
    }
    assert_eq!(node.get("stranger", "/v1/receipts/0").problem(), (404, "event.unknown".to_owned()));
    assert_eq!(node.get("buyer", "/v1/receipts/0").status, 200);
    assert_eq!(node.get("stranger", "/v1/filings/shop/2026-11").problem(), (404, "organisation.unknown".to_owned()));
}

#[test]
fn the_claim_is_for_its_platform_and_the_enterprise_alone() {
    let node = Node::start();
    let id = node.issue("A1");
    let path = format!("/v1/invoices/{id}");
    let lock = json!({"enterprise": "buyer", "claim": "trip-to-beijing"});
    assert_eq!(node.write("platform-a", &format!("{path}/reimbursements"), "l1", &lock).status, 201);
    for (who, told) in [
        ("platform-a", true),
        ("buyer", true),
        ("shop", false),
        ("platform-b", false),
        ("police", false),
        ("auditor", false),
    ] {
        let view = node.get(who, &path).json();
        assert_eq!(view["reimbursement"]["status"], "locked");
        assert_eq!(view["reimbursement"].get("platform").is_some(), who != "shop", "{who}");
        assert_eq!(view["reimbursement"].get("claim").is_some(), told, "{who}");
        let events = node.get(who, &format!("{path}/events")).text();
        assert!(!events.contains("trip-to-beijing"), "{who}");
    }
}

fn ids(page: &Value) -> Vec<String> {
    page["invoices"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_list_keeps_to_what_the_caller_may_see() {
    let node = Node::start();
    let all: Vec<String> = (0..5).map(|number| node.issue(&format!("A{number}"))).collect();
    let newest: Vec<String> = all.iter().rev().cloned().collect();
    assert_eq!(ids(&node.get("shop", "/v1/invoices").json()), newest);
    assert_eq!(ids(&node.get("buyer", "/v1/invoices?side=buyer").json()), newest);
    assert_eq!(ids(&node.get("buyer", "/v1/invoices").json()), Vec::<String>::new());
    assert_eq!(ids(&node.get("isp", "/v1/invoices?party=shop").json()), newest);
    assert_eq!(ids(&node.get("auditor", "/v1/invoices").json()), all);
    assert_eq!(ids(&node.get("police", "/v1/invoices?party=taxpayer:91350100M000100Y43&side=holder").json()), newest);
    let none = node.get("stranger", "/v1/invoices?party=shop");
    assert_eq!(none.problem(), (404, "organisation.unknown".to_owned()));
    assert_eq!(node.get("stranger", "/v1/invoices?party=nobody").problem(), none.problem());
}

#[test]
fn a_list_goes_on_where_its_page_ended() {
    let node = Node::start();
    let all: Vec<String> = (0..5).map(|number| node.issue(&format!("A{number}"))).collect();
    for (who, first) in [("shop", "/v1/invoices?limit=2"), ("auditor", "/v1/invoices?limit=2")] {
        let (mut found, mut path) = (Vec::new(), first.to_owned());
        loop {
            let page = node.get(who, &path).json();
            found.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("{first}&cursor={next}");
        }
        found.sort();
        assert_eq!(found, all, "{who}");
    }
    let next = node.get("shop", "/v1/invoices?limit=2").json()["next"].as_str().unwrap().to_owned();
    let other = node.get("shop", &format!("/v1/invoices?limit=2&status=open&cursor={next}"));
    assert_eq!(other.problem(), (400, "request.cursor".to_owned()));
    // The right tag before a place of another form.
    let mut forged = chain::encoding::decode_base64url(&next).unwrap();
    forged.pop();
    let forged = chain::encoding::encode_base64url(&forged);
    let short = node.get("shop", &format!("/v1/invoices?limit=2&cursor={forged}"));
    assert_eq!(short.problem(), (400, "request.cursor".to_owned()));
}

#[test]
fn a_list_is_filtered_by_what_stands_now() {
    let node = Node::start();
    let all: Vec<String> = (0..5).map(|number| node.issue(&format!("A{number}"))).collect();
    let lock = json!({"enterprise": "buyer", "claim": "C1"});
    assert_eq!(node.write("platform-a", &format!("/v1/invoices/{}/reimbursements", all[0]), "l", &lock).status, 201);
    assert_eq!(ids(&node.get("shop", "/v1/invoices?status=locked").json()), [all[0].clone()]);
    assert_eq!(ids(&node.get("shop", "/v1/invoices?status=open&period=2026-11").json()).len(), 4);
    assert_eq!(ids(&node.get("shop", "/v1/invoices?period=2026-10").json()).len(), 0);
    assert_eq!(ids(&node.get("platform-a", "/v1/invoices?side=platform").json()), [all[0].clone()]);
    let hand = json!({"to": {"person": "p1"}});
    assert_eq!(node.write("buyer", &format!("/v1/invoices/{}/transfers", all[1]), "t", &hand).status, 201);
    assert_eq!(
        ids(&node.get("buyer", "/v1/invoices?side=holder").json()).len(),
        5,
        "a buyer still sees what it bought"
    );
    let events = node.get("buyer", &format!("/v1/invoices/{}/events?limit=1", all[0])).json();
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    let next = events["next"].as_str().unwrap();
    let events = node.get("buyer", &format!("/v1/invoices/{}/events?limit=1&cursor={next}", all[0])).json();
    assert_eq!(events["events"][0]["kind"], "lock");
}
