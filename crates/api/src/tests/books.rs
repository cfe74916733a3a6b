//! Bookings, uses of VAT, manifestations and corrections at the door: every refusal by its code, and who sees what.

use chain::statement::Mode;
use serde_json::{Value, json};

use super::client::Answer;
use super::consortium::{DAY, document};
use super::follower::{Follower, leaves};
use super::node::Node;
use crate::DevControl as _;

const NOVEMBER: &str = "2026-11";
const DECEMBER: &str = "2026-12";

/// A node, and writes under keys that nobody has to think of.
pub(super) struct Desk {
    pub(super) node: Node,
    written: std::cell::Cell<u32>,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self { node: Node::start(), written: std::cell::Cell::default() }
    }

    pub(super) fn key(&self) -> String {
        self.written.set(self.written.get() + 1);
        format!("k{}", self.written.get())
    }

    pub(super) fn write(&self, who: &str, id: &str, what: &str, body: &Value) -> Answer {
        self.node.write(who, &format!("/v1/invoices/{id}/{what}"), &self.key(), body)
    }

    #[track_caller]
    pub(super) fn done(&self, who: &str, id: &str, what: &str, body: &Value) -> Value {
        let answer = self.write(who, id, what, body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    #[track_caller]
    pub(super) fn refused(&self, who: &str, id: &str, what: &str, body: &Value, (status, code): (u16, &str)) -> Value {
        let answer = self.write(who, id, what, body);
        assert_eq!(answer.problem(), (status, code.to_owned()), "{}", answer.text());
        answer.json()
    }

    /// An event that its author signs itself.
    pub(super) fn submit(&self, who: &str, event: &Value) -> Answer {
        self.node.submit(&self.node.statement(who, &self.key(), Mode::All, std::slice::from_ref(event)))
    }

    #[track_caller]
    pub(super) fn signed(&self, who: &str, event: &Value) {
        let answer = self.submit(who, event);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// Issues a document of the shop.
    #[track_caller]
    pub(super) fn issued(&self, reference: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut document = document(reference);
        change(&mut document);
        let answer = self.node.write("shop", "/v1/invoices", &self.key(), &json!({"document": document}));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn special(&self, reference: &str) -> String {
        self.issued(reference, |document| document["profile"] = json!("digital-special"))
    }

    pub(super) fn invoice(&self, who: &str, id: &str) -> Value {
        self.node.get(who, &format!("/v1/invoices/{id}")).json()
    }

    /// The buyer files a month in which it sold nothing.
    pub(super) fn buyer_files(&self, period: &str) {
        let month = self.node.get("buyer", &format!("/v1/filings/buyer/{period}")).json();
        let input = &month["input"];
        let file = json!({"seller": "buyer", "period": period, "invoices": 0, "output": [], "input": input});
        self.signed("buyer", &json!({"file": file}));
    }
}

fn booking(voucher: &str, period: &str) -> Value {
    json!({"code": "02", "voucher": voucher, "period": period})
}

fn deduct(period: &str) -> Value {
    json!({"purpose": "deduct", "period": period})
}

#[test]
fn an_invoice_is_booked_once_and_each_refusal_has_its_code() {
    let desk = Desk::new();
    let id = desk.node.issue("A1");
    let revoke = json!({});
    desk.refused("buyer", &id, "bookings:revoke", &revoke, (409, "booking.not-booked"));
    desk.refused("buyer", &id, "bookings", &booking("1", DECEMBER), (409, "booking.period"));
    let booked = desk.done("buyer", &id, "bookings", &booking("记-0012", NOVEMBER));
    assert_eq!(booked["record"], json!({"booked": {"enterprise": "buyer"}}));
    let shown = &booked["invoice"]["booking"];
    assert_eq!([&shown["code"], &shown["voucher"], &shown["period"]], ["02", "记-0012", NOVEMBER]);
    let problem =
        desk.refused("buyer", &id, "bookings", &booking("记-0013", NOVEMBER), (409, "booking.already-booked"));
    assert_eq!(problem["found"], "booked under 记-0012 in 2026-11");
    assert_eq!(problem["standing"]["since"], shown["since"]);
    assert_eq!(problem["standing"]["leaf_index"], shown["leaf_index"]);
    desk.refused("buyer", &id, "bookings:adjust", &booking("记-0012", NOVEMBER), (409, "booking.unchanged"));
    let voided = desk.node.write("shop", &format!("/v1/invoices/{id}:void"), "v", &json!({"reason": "issue-error"}));
    assert_eq!(voided.problem(), (409, "booking.stands".to_owned()));
    assert!(voided.json().get("standing").is_none(), "{}", voided.text());
    let adjusted = desk.done("buyer", &id, "bookings:adjust", &booking("记-0014", NOVEMBER));
    assert_eq!(adjusted["record"]["booking-adjusted"]["former"]["voucher"], "记-0012");
    desk.node.clock.advance_clock(20 * DAY);
    desk.buyer_files(NOVEMBER);
    desk.refused("buyer", &id, "bookings:revoke", &revoke, (409, "booking.period-filed"));
    let other = json!({"code": "01", "voucher": "1", "period": NOVEMBER});
    desk.refused("buyer", &id, "bookings", &other, (400, "request.json"));
    desk.refused("shop", &id, "bookings", &booking("1", NOVEMBER), (403, "invoice.not-permitted"));
    desk.refused("platform-a", &id, "bookings", &booking("1", NOVEMBER), (403, "invoice.not-permitted"));
    let book = json!({"book": {"invoice": id, "code": "02", "voucher": "1", "period": NOVEMBER}});
    assert_eq!(desk.submit("stranger", &book).problem(), (404, "invoice.unknown".to_owned()));
}

#[test]
fn who_reimbursed_an_invoice_books_it() {
    let desk = Desk::new();
    let id = desk.node.issue("A1");
    desk.signed("stranger", &json!({"mandate": {"to": "platform-a", "scopes": ["lock"]}}));
    desk.done("buyer", &id, "transfers", &json!({"to": {"organisation": "stranger"}}));
    let book = |voucher: &str| json!({"book": {"invoice": id, "code": "03", "voucher": voucher, "period": NOVEMBER}});
    assert_eq!(desk.submit("stranger", &book("1")).problem(), (409, "booking.not-reimbursed".to_owned()));
    let lock = json!({"enterprise": "stranger", "claim": "trip"});
    desk.done("platform-a", &id, "reimbursements", &lock);
    let problem = desk.refused("buyer", &id, "bookings", &booking("1", NOVEMBER), (409, "booking.locked"));
    assert_eq!(problem["standing"]["organisation"], "platform-a");
    desk.done("platform-a", &id, "reimbursements/trip:close", &json!({"token": 1}));
    desk.signed("stranger", &book("secret-7"));
    let problem = desk.refused("buyer", &id, "bookings", &booking("1", NOVEMBER), (409, "booking.already-booked"));
    assert_eq!(
        (&problem["found"], &problem["standing"]["organisation"]),
        (&json!("booked by another"), &json!("stranger"))
    );
    for who in ["shop", "isp", "buyer", "platform-a", "platform-b"] {
        let told = desk.node.get(who, &format!("/v1/invoices/{id}/events")).text();
        assert!(!told.contains("secret-7") && !told.contains(r#""kind":"book","code":"accepted""#), "{who}: {told}");
        assert!(desk.invoice(who, &id).get("booking").is_none(), "{who}");
    }
    for who in ["stranger", "tax-bureau", "auditor"] {
        assert_eq!(desk.invoice(who, &id)["booking"]["voucher"], "secret-7", "{who}");
    }
}

#[test]
fn the_vat_of_a_special_invoice_is_used_once_and_each_refusal_has_its_code() {
    let desk = Desk::new();
    let (id, ordinary) = (desk.special("A1"), desk.node.issue("A2"));
    let own = desk.issued("A3", |document| {
        document["profile"] = json!("digital-special");
        document["buyer"] = json!({"organisation": document["seller"].clone()});
    });
    desk.refused("buyer", &ordinary, "uses", &deduct(NOVEMBER), (409, "vat.ordinary-invoice"));
    desk.refused("shop", &own, "uses", &deduct(NOVEMBER), (409, "vat.own-invoice"));
    desk.refused("buyer", &id, "uses", &deduct(DECEMBER), (409, "vat.period"));
    desk.refused("buyer", &id, "uses:revoke", &json!({}), (409, "vat.not-used"));
    let without = json!({"purpose": "non-deduct", "period": NOVEMBER});
    desk.refused("buyer", &id, "uses", &without, (400, "event.malformed"));
    let used = desk.done("buyer", &id, "uses", &deduct(NOVEMBER));
    assert_eq!(used["record"], json!({"used": {"buyer": "buyer", "net": "100.00", "tax": "6.00"}}));
    assert_eq!(used["invoice"]["vat_use"]["purpose"], "deduct");
    let problem = desk.refused("buyer", &id, "uses", &deduct(NOVEMBER), (409, "vat.already-used"));
    assert_eq!(
        (&problem["found"], &problem["standing"]["organisation"]),
        (&json!("deduct in 2026-11"), &json!("buyer"))
    );
    let voided = desk.node.write("shop", &format!("/v1/invoices/{id}:void"), "v", &json!({"reason": "issue-error"}));
    assert_eq!(voided.problem(), (409, "vat.use-stands".to_owned()));
    desk.done("buyer", &id, "uses:revoke", &json!({}));
    assert_eq!(desk.invoice("buyer", &id)["vat_use"]["purpose"], "none");
    let reason = json!({"purpose": "non-deduct", "reason": "abnormal-loss", "period": NOVEMBER});
    desk.done("buyer", &id, "uses", &reason);
    assert_eq!(desk.invoice("buyer", &id)["vat_use"]["reason"], "abnormal-loss");
    desk.node.clock.advance_clock(20 * DAY);
    desk.buyer_files(NOVEMBER);
    desk.refused("buyer", &id, "uses:revoke", &json!({}), (409, "vat.period-filed"));
    desk.refused("shop", &id, "uses", &deduct(NOVEMBER), (403, "invoice.not-permitted"));
}

#[test]
fn both_parties_speak_of_an_invoice_and_everybody_who_sees_it_listens() {
    let desk = Desk::new();
    let id = desk.node.issue("A1");
    let document_before = desk.invoice("shop", &id)["document"].clone();
    let dispute = json!({"kind": "dispute", "reason": "we know of no such order"});
    desk.done("buyer", &id, "manifestations", &dispute);
    let again = desk.write("buyer", &id, "manifestations", &dispute);
    assert_eq!((again.status, &again.json()["code"]), (200, &json!("repeated")));
    let short = json!({"kind": "dispute", "reason": "no"});
    desk.refused("buyer", &id, "manifestations", &short, (400, "request.json"));
    desk.refused("buyer", &id, "manifestations", &json!({"kind": "unknown"}), (400, "event.malformed"));
    let corrected = desk.done("shop", &id, "corrections", &json!({"fields": {"seller": {"phone": "1"}}}));
    assert_eq!(corrected["record"], json!({"corrected": {"number": 1}}));
    let same = json!({"fields": {"seller": {"phone": "1"}}});
    let problem = desk.refused("shop", &id, "corrections", &same, (409, "correction.unchanged"));
    assert_eq!(problem["standing"]["leaf_index"], corrected["leaf_index"]);
    desk.refused("shop", &id, "corrections", &json!({"fields": {}}), (400, "event.malformed"));
    let long = json!({"fields": {"remark": "x".repeat(201)}});
    let problem = desk.refused("shop", &id, "corrections", &long, (422, "document.invalid"));
    assert_eq!(problem["violations"][0]["rule"], "document.text-too-long", "{problem}");
    desk.refused("buyer", &id, "corrections", &same, (403, "invoice.not-permitted"));
    for who in ["shop", "isp", "buyer", "platform-a", "auditor"] {
        let seen = desk.invoice(who, &id);
        assert_eq!(seen["manifestation"]["reason"], "we know of no such order", "{who}");
        assert_eq!(seen["correction"]["fields"], json!({"seller": {"phone": "1"}}), "{who}");
        assert_eq!(seen["document"], document_before, "{who}");
    }
    let person = desk.issued("A2", |document| document["buyer"] = json!({"person": {"id": "p-7f3a"}}));
    let phone = json!({"fields": {"buyer": {"phone": "1"}}});
    desk.refused("shop", &person, "corrections", &phone, (409, "correction.person"));
    for number in 1..=20 {
        desk.done("shop", &person, "corrections", &json!({"fields": {"remark": format!("order {number}")}}));
    }
    let last = json!({"fields": {"remark": "order 21"}});
    desk.refused("shop", &person, "corrections", &last, (429, "correction.spent"));
    desk.node.clock.advance_clock(180 * DAY);
    desk.refused("buyer", &id, "manifestations", &json!({"kind": "confirm"}), (409, "manifest.too-late"));
}

#[test]
fn books_are_followed_by_whose_they_are_and_who_files_for_them() {
    let desk = Desk::new();
    let id = desk.special("A1");
    desk.done("buyer", &id, "bookings", &booking("1", NOVEMBER));
    desk.done("buyer", &id, "uses", &deduct(NOVEMBER));
    desk.refused("buyer", &id, "uses", &deduct(NOVEMBER), (409, "vat.already-used"));
    desk.done("buyer", &id, "manifestations", &json!({"kind": "confirm"}));
    desk.signed("buyer", &json!({"mandate": {"to": "isp", "scopes": ["file"]}}));
    let told = |who: &str, count: usize| {
        let query = format!("?after=start&invoice={id}");
        leaves(&Follower::start(&desk.node, who, &query).take(count))
    };
    // The seller sees the issue and what the buyer says; who files for the buyer also its books, and nobody what was
    // refused but its author.
    assert_eq!(told("shop", 2), [0, 4]);
    assert_eq!(told("isp", 4), [0, 1, 2, 4]);
    assert_eq!(told("buyer", 5), [0, 1, 2, 3, 4]);
    assert_eq!(told("police", 5), [0, 1, 2, 3, 4]);
    let rows = |who: &str| {
        let rows = desk.node.get(who, &format!("/v1/invoices/{id}/events")).json()["events"].clone();
        rows.as_array().unwrap().iter().map(|row| row["leaf_index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((rows("shop"), rows("isp"), rows("buyer")), (vec![0, 4], vec![0, 1, 2, 4], vec![0, 1, 2, 3, 4]));
    for (who, statuses) in [("shop", [404, 404, 404, 200]), ("isp", [200, 200, 404, 200]), ("buyer", [200; 4])] {
        let of = |leaf: usize| desk.node.get(who, &format!("/v1/receipts/{leaf}")).status;
        assert_eq!([of(1), of(2), of(3), of(4)], statuses, "{who}");
    }
    let booked = Follower::start(&desk.node, "isp", "?after=start&kind=book").take(1).remove(0);
    assert_eq!(booked.data["type"], "cn.einvoice.invoice.booked.v1");
}
