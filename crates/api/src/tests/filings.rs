//! Returns, amendments and payments at the door.

use ledger::filing::ORDERS_MAX;
use serde_json::{Value, json};

use super::client::Answer;
use super::consortium::DAY;
use super::follower::Follower;
use super::node::Node;
use crate::DevControl as _;

const MONTH: &str = "/v1/filings/shop/2026-11";

/// A node on which November has ended with one invoice of the shop, 100.00 and 6.00.
fn ended() -> Node {
    let node = Node::start();
    node.issue("r1");
    node.clock.advance_clock(20 * DAY);
    node
}

fn filing(uninvoiced: &Value) -> Value {
    let output = json!([{"treatment": {"rate": "0.06"}, "net": "100.00", "tax": "6.00"}]);
    json!({"seller": "shop", "period": "2026-11", "invoices": 1, "output": output, "uninvoiced": uninvoiced})
}

fn sales(tax: &str) -> Value {
    json!([{"treatment": {"rate": "0.03"}, "net": "100.00", "tax": tax}])
}

fn written(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer.json()
}

fn amendment(number: u32, uninvoiced: &Value) -> Value {
    json!({"number": number, "reason": "omitted-sales", "uninvoiced": uninvoiced})
}

fn receipt() -> String {
    "ab".repeat(32)
}

#[test]
fn a_month_is_shown_prefilled_filed_amended_and_paid() {
    let node = ended();
    let open = node.get("shop", MONTH).json();
    assert_eq!((&open["due"], &open["input"]), (&json!({"payable": "6.00", "carried": "0.00"}), &json!([])));
    written(&node.write("isp", "/v1/filings", "f1", &filing(&json!([]))), 201);
    let path = format!("{MONTH}/amendments");
    let amended = written(&node.write("shop", &path, "a1", &amendment(1, &sales("3.00"))), 201);
    assert_eq!(
        amended["record"],
        json!({"amended": {"period": "2026-11", "number": 1, "payable": "9.00", "carried": "0.00"}})
    );
    written(&node.write("shop", &path, "a2", &amendment(1, &sales("3.00"))), 200);
    let payments = format!("{MONTH}/payments");
    let order = json!({"order": "p1", "amount": "9.00"});
    written(&node.write("shop", &payments, "p1", &order), 201);
    written(&node.write("isp", &payments, "p1", &order), 200);
    assert_eq!(node.get("shop", MONTH).json()["filed"]["payment"]["status"], "requested");
    let said = json!({"result": "failed", "receipt": receipt()});
    written(&node.write("shop", &format!("{payments}/p1"), "p2", &said), 201);
    assert_eq!(node.get("shop", MONTH).json()["filed"]["payment"]["status"], "failed");
    written(&node.write("shop", &payments, "p3", &json!({"order": "p2", "amount": "9.00"})), 201);
    let said = json!({"result": "paid", "receipt": receipt()});
    let decided = written(&node.write("shop", &format!("{payments}/p2"), "p4", &said), 201);
    assert_eq!(decided["record"]["payment-decided"]["amount"], "9.00");
    let filed = &node.get("auditor", MONTH).json()["filed"];
    let payment = &filed["payment"];
    let standing = [&payment["status"], &payment["payable"], &payment["paid"], &payment["open"]];
    assert_eq!(standing, [&json!("paid"), &json!("9.00"), &json!("9.00"), &json!("0.00")]);
    assert_eq!((&filed["due"]["payable"], &filed["amendments"][0]["due"]["payable"]), (&json!("6.00"), &json!("9.00")));
    assert_eq!(payment["orders"][0]["status"], "failed");
    assert_eq!(
        (&payment["orders"][1]["decided_by"], &payment["orders"][1]["bank_receipt"]),
        (&json!("shop"), &json!(receipt()))
    );
    let types = ["filing.filed", "filing.amended", "filing.amend-repeated", "payment.requested"];
    let followed = Follower::start(&node, "isp", "?after=start&kind=file,amend,pay-request").take(4);
    for (event, kind) in followed.iter().zip(types) {
        assert_eq!(event.data["type"], format!("cn.einvoice.{kind}.v1"));
    }
}

#[test]
fn each_refusal_has_its_code() {
    let node = ended();
    let check = |path: &str, key: &str, body: &Value, status: u16, code: &str| {
        assert_eq!(node.write("shop", path, key, body).problem(), (status, code.to_owned()), "{body}");
    };
    let (amendments, payments) = (format!("{MONTH}/amendments"), format!("{MONTH}/payments"));
    let order = |id: &str, amount: &str| json!({"order": id, "amount": amount});
    check(&amendments, "1", &amendment(1, &sales("3.00")), 404, "filing.not-filed");
    check(&payments, "2", &order("p1", "6.00"), 404, "filing.not-filed");
    let mut wrong = filing(&json!([]));
    wrong["input"] = json!([{"purpose": "deduct", "invoices": 1, "net": "1.00", "tax": "0.06"}]);
    check("/v1/filings", "3", &wrong, 409, "filing.totals-differ");
    check("/v1/filings", "4", &filing(&sales("92233720368547758.07")), 409, "filing.sum-overflow");
    check("/v1/filings", "5", &filing(&sales("-3.00")), 400, "event.malformed");
    written(&node.write("shop", "/v1/filings", "6", &filing(&json!([]))), 201);
    check("/v1/filings", "7", &filing(&sales("3.00")), 409, "filing.already-filed");
    check(&amendments, "8", &amendment(2, &sales("3.00")), 409, "filing.amendment-number");
    check(&amendments, "9", &amendment(1, &json!([])), 409, "filing.amendment-unchanged");
    written(&node.write("shop", &amendments, "10", &amendment(1, &sales("3.00"))), 201);
    check(&amendments, "11", &amendment(1, &sales("4.00")), 409, "filing.amendment-reused");
    for number in 2..=20 {
        let sales = sales(&format!("{number}.00"));
        written(&node.write("shop", &amendments, &format!("a{number}"), &amendment(number, &sales)), 201);
    }
    check(&amendments, "12", &amendment(21, &sales("3.00")), 429, "filing.amendments-spent");
    check(&payments, "13", &order("p1", "6.00"), 409, "payment.amount-differs");
    check(&format!("{payments}/p1"), "14", &json!({"result": "paid", "receipt": receipt()}), 404, "payment.unknown");
    written(&node.write("shop", &payments, "15", &order("p1", "26.00")), 201);
    check(&payments, "16", &order("p1", "1.00"), 409, "payment.order-reused");
    check(&payments, "17", &order("p2", "26.00"), 409, "payment.under-way");
    written(
        &node.write("shop", &format!("{payments}/p1"), "18", &json!({"result": "paid", "receipt": receipt()})),
        201,
    );
    let other = json!({"result": "failed", "receipt": receipt()});
    check(&format!("{payments}/p1"), "19", &other, 409, "payment.already-decided");
    check(&payments, "20", &order("p2", "26.00"), 409, "payment.nothing-due");
}

#[test]
fn a_month_has_so_many_payment_orders() {
    let node = ended();
    written(&node.write("shop", "/v1/filings", "f", &filing(&json!([]))), 201);
    let payments = format!("{MONTH}/payments");
    let order = |id: &str| json!({"order": id, "amount": "6.00"});
    let failed = json!({"result": "failed", "receipt": receipt()});
    for nth in 0..ORDERS_MAX {
        let id = format!("p{nth}");
        written(&node.write("shop", &payments, &format!("order-{id}"), &order(&id)), 201);
        written(&node.write("shop", &format!("{payments}/{id}"), &format!("said-{id}"), &failed), 201);
    }
    let spent = node.write("shop", &payments, "one-more", &order("one-more"));
    assert_eq!(spent.problem(), (429, "payment.orders-spent".to_owned()));
}

#[test]
fn a_group_is_filed_in_one_request_and_each_has_a_result() {
    let node = ended();
    let entities =
        json!([{"taxpayer": "shop", "uninvoiced": sales("3.00")}, {"taxpayer": "buyer"}, {"taxpayer": "nobody"}]);
    let body = json!({"period": "2026-11", "entities": entities});
    let list = node.get("isp", "/v1/filings?period=2026-11&taxpayers=shop,buyer,nobody").json();
    assert_eq!((&list["filings"][0]["invoices"], &list["unknown"]), (&json!(1), &json!(["buyer", "nobody"])));
    let filed = written(&node.write("isp", "/v1/filings:group", "g1", &body), 201);
    let codes: Vec<_> = filed["outcomes"].as_array().unwrap().iter().map(|outcome| outcome["code"].clone()).collect();
    assert_eq!(codes, ["accepted", "mandate.missing", "organisation.unknown"]);
    // The same again is the same statement; another request is answered with the filing.
    let again = written(&node.write("isp", "/v1/filings:group", "g1", &body), 200);
    assert_eq!(again["statement"], filed["statement"]);
    let other = written(&node.write("isp", "/v1/filings:group", "g2", &body), 200);
    assert_eq!(other["outcomes"][0]["code"], "repeated");
    assert_eq!(node.get("shop", MONTH).json()["filed"]["payment"]["payable"], "9.00");
    let none = json!({"period": "2026-11", "entities": []});
    assert_eq!(node.write("isp", "/v1/filings:group", "g3", &none).problem(), (400, "request.malformed".to_owned()));
    let many = vec!["shop"; 201].join(",");
    let many = node.get("isp", &format!("/v1/filings?period=2026-11&taxpayers={many}"));
    assert_eq!(many.problem(), (400, "request.query".to_owned()));
}
