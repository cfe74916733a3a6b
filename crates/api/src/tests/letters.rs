//! Red letters, slips, segments and what is issued offline, at the door.

use invoice::document::Document;
use ledger::contingency::{OfflineCertificate, OfflineClaims};
use ledger::red::SLIP_MS;
use serde_json::{Value, json};

use super::books::Desk;
use super::consortium::{DAY, NOON, document, secret};
use super::follower::Follower;
use crate::{DevControl as _, parse_ms};

const NOVEMBER: &str = "2026-11";

fn letter(reference: &str, take: &Value) -> Value {
    json!({"reference": reference, "reason": "sales-return", "take": take})
}

fn under(slip: u32, reference: &str, take: &Value) -> Value {
    let mut letter = letter(reference, take);
    letter["slip"] = json!(slip);
    letter
}

fn asked(take: &Value) -> Value {
    json!({"reason": "sales-return", "take": take})
}

fn of_line(net: &str) -> Value {
    json!({"lines": [{"line": 0, "net": net}]})
}

#[test]
fn a_seller_takes_back_alone_what_nobody_relies_on() {
    let desk = Desk::new();
    let id = desk.special("A1");
    let red = desk.done("shop", &id, "red-letters", &letter("R1", &of_line("40.00")));
    assert_eq!([&red["sign"], &red["validity"], &red["seller"]], ["red", "normal", "shop"]);
    assert_eq!(red["totals"], json!({"net": "-40.00", "tax": "-2.40", "gross": "-42.40"}));
    let lines = json!([{"line": 0, "net": "-40.00", "tax": "-2.40"}]);
    assert_eq!(red["red_letter"], json!({"blue": id, "reason": "sales-return", "lines": lines}));
    let red_id = red["id"].as_str().unwrap();
    let blue = desk.invoice("shop", &id);
    assert_eq!([&blue["sign"], &blue["validity"]], ["blue", "part-red"]);
    assert_eq!(blue["reversal"]["letters"], json!([red_id]));
    assert_eq!(blue["reversal"]["totals"]["gross"], "-42.40");
    // The same letter again under another key is answered with the first.
    let again = desk.write("shop", &id, "red-letters", &letter("R1", &of_line("40.00")));
    assert_eq!((again.status, &again.json()["id"]), (200, &json!(red_id)));
    let reused =
        desk.refused("shop", &id, "red-letters", &letter("R1", &json!("full")), (409, "issue.reference-reused"));
    assert_eq!(reused["original"], red_id);
    for (body, (status, code)) in [
        (letter("R2", &of_line("60.01")), (409, "red.line-exceeded")),
        (letter("R2", &of_line("0.00")), (422, "red.nothing")),
        (letter("R2", &json!({"lines": [{"line": 7, "net": "1.00"}]})), (422, "red.no-such-line")),
        (
            letter("R2", &json!({"lines": [{"line": 0, "net": "1.00"}, {"line": 0, "net": "1.00"}]})),
            (422, "red.line-order"),
        ),
        (under(1, "R2", &json!("full")), (404, "red.slip-unknown")),
        (letter("with space", &json!("full")), (400, "event.malformed")),
        (letter("R2", &json!("half")), (400, "request.json")),
    ] {
        desk.refused("shop", &id, "red-letters", &body, (status, code));
    }
    desk.refused("buyer", &id, "red-letters", &letter("R2", &json!("full")), (403, "invoice.not-permitted"));
    let voided = desk.node.write("shop", &format!("/v1/invoices/{id}:void"), "v", &json!({"reason": "issue-error"}));
    assert_eq!(voided.problem(), (409, "red.part-red".to_owned()));
    desk.done("shop", &id, "red-letters", &letter("R2", &json!("full")));
    desk.refused("shop", &id, "red-letters", &letter("R3", &json!("full")), (409, "red.fully-red"));
    desk.refused("shop", red_id, "red-letters", &letter("R3", &json!("full")), (409, "red.is-red-letter"));
    let other_document = json!({"issue-red": {
        "invoice": id, "document": document("A2"), "reference": "R3", "reason": "sales-return", "take": "full"}});
    assert_eq!(desk.submit("shop", &other_document).problem().1, "red.fully-red");
    assert_eq!(desk.submit("stranger", &other_document).problem(), (404, "invoice.unknown".to_owned()));
    // Lists say which is which, and are asked for one or the other.
    let listed = desk.node.get("shop", "/v1/invoices?side=seller&status=full-red").json();
    assert_eq!((listed["invoices"].as_array().unwrap().len(), &listed["invoices"][0]["id"]), (1, &json!(id)));
}

#[test]
fn what_others_rely_on_is_taken_back_under_a_slip_and_everybody_concerned_is_told() {
    let desk = Desk::new();
    let id = desk.node.issue("A1");
    desk.done("platform-a", &id, "reimbursements", &json!({"enterprise": "buyer", "claim": "trip"}));
    desk.done("platform-a", &id, "reimbursements/trip:close", &json!({"token": 1}));
    let refused = desk.refused("shop", &id, "red-letters", &letter("R1", &json!("full")), (409, "red.slip-needed"));
    assert_eq!(refused["found"], "reimbursed");
    assert!(refused.get("standing").is_none(), "who claims it is nothing to the seller");
    let none = json!({});
    desk.refused("buyer", &id, "slips/1:confirm", &none, (404, "red.slip-unknown"));
    let slip = desk.done("shop", &id, "slips", &asked(&of_line("30.00")));
    assert_eq!(slip["record"]["red-requested"]["other"], "buyer");
    desk.refused("buyer", &id, "slips", &asked(&json!("full")), (409, "red.slip-open"));
    desk.refused("shop", &id, "slips/1:confirm", &none, (403, "red.slip-side"));
    desk.refused("shop", &id, "red-letters", &under(1, "R1", &of_line("30.00")), (409, "red.slip-unconfirmed"));
    desk.done("buyer", &id, "slips/1:deny", &none);
    desk.refused("buyer", &id, "slips/1:confirm", &none, (409, "red.slip-answered"));
    desk.done("buyer", &id, "slips", &asked(&json!("full")));
    desk.done("buyer", &id, "slips/2:withdraw", &none);
    desk.done("shop", &id, "slips", &asked(&json!("full")));
    desk.node.clock.advance_clock(SLIP_MS + 1_000);
    desk.refused("buyer", &id, "slips/3:confirm", &none, (409, "red.slip-lapsed"));
    assert_eq!(desk.invoice("buyer", &id)["slip"]["state"], "lapsed");
    desk.done("shop", &id, "slips", &asked(&of_line("30.00")));
    desk.done("buyer", &id, "slips/4:confirm", &none);
    desk.refused("shop", &id, "red-letters", &under(4, "R1", &of_line("31.00")), (409, "red.slip-differs"));
    let red = desk.done("isp", &id, "red-letters", &under(4, "R1", &of_line("30.00")));
    let red_id = red["id"].as_str().unwrap();
    for (path, code) in
        [("slips/x:confirm", "red.slip-unknown"), ("slips/4:spend", "request.path"), ("slips/4", "request.path")]
    {
        assert_eq!(desk.write("buyer", &id, path, &none).problem().1, code, "{path}");
    }
    // Who reimbursed it sees the letter and what is to be clawed back; a stranger sees neither.
    for who in ["shop", "isp", "buyer", "platform-a", "auditor", "police"] {
        let blue = desk.invoice(who, &id);
        assert_eq!(blue["slip"]["state"], "spent", "{who}");
        assert_eq!(blue["reversal"]["claw_back"]["gross"], "31.80", "{who}");
        assert_eq!(desk.invoice(who, red_id)["red_letter"]["blue"], *id, "{who}");
        let types = format!("?after=start&kind=issue-red&invoice={red_id}");
        let told = Follower::start(&desk.node, who, &types).take(1).remove(0);
        assert_eq!(told.data["type"], "cn.einvoice.red-letter.issued.v1", "{who}");
        let record = &told.data["data"]["record"]["red-issued"];
        assert_eq!((&record["claim"], &record["input"]), (&json!("claw-back"), &json!(false)), "{who}");
        let leaf = told.data["data"]["leaf_index"].as_u64().unwrap();
        assert_eq!(desk.node.get(who, &format!("/v1/receipts/{leaf}")).status, 200, "{who}");
    }
    for unknown in [&*id, red_id] {
        assert_eq!(desk.node.get("stranger", &format!("/v1/invoices/{unknown}")).status, 404);
    }
    assert!(!desk.node.get("shop", &format!("/v1/invoices/{red_id}/events")).text().contains("platform-a"));
}

#[test]
fn a_platform_is_told_that_its_lock_ended_with_the_last_of_an_invoice() {
    let desk = Desk::new();
    let id = desk.node.issue("A1");
    desk.done("platform-a", &id, "reimbursements", &json!({"enterprise": "buyer", "claim": "trip"}));
    desk.done("shop", &id, "slips", &asked(&json!("full")));
    desk.done("buyer", &id, "slips/1:confirm", &json!({}));
    desk.done("shop", &id, "red-letters", &under(1, "R1", &json!("full")));
    let told = Follower::start(&desk.node, "platform-a", "?after=start&kind=issue-red").take(1).remove(0);
    assert_eq!(told.data["data"]["record"]["red-issued"]["claim"], "released");
    assert_eq!(desk.invoice("platform-a", &id)["reimbursement"]["status"], "open");
    let lock = json!({"enterprise": "buyer", "claim": "other"});
    desk.refused("platform-b", &id, "reimbursements", &lock, (409, "red.fully-red"));
}

#[test]
fn a_use_of_which_a_letter_took_something_stands_and_the_month_says_so() {
    let desk = Desk::new();
    let id = desk.special("A1");
    desk.done("buyer", &id, "uses", &json!({"purpose": "deduct", "period": NOVEMBER}));
    desk.done("shop", &id, "slips", &asked(&of_line("50.00")));
    desk.done("buyer", &id, "slips/1:confirm", &json!({}));
    desk.done("shop", &id, "red-letters", &under(1, "R1", &of_line("50.00")));
    desk.refused("buyer", &id, "uses:revoke", &json!({}), (409, "vat.use-reversed"));
    let month = desk.node.get("buyer", &format!("/v1/filings/buyer/{NOVEMBER}")).json();
    assert_eq!(month["input"], json!([{"purpose": "deduct", "invoices": 2, "net": "50.00", "tax": "3.00"}]));
}

/// What a holder of a segment signs without any node.
fn certificate(desk: &Desk, document: &Value, numbers: (&str, &str), issued_ms: i64, deadline_ms: i64) -> String {
    let typed: Document = serde_json::from_value(document.clone()).unwrap();
    let (segment, number) = (numbers.0.parse().unwrap(), numbers.1.parse().unwrap());
    let claims = OfflineClaims::new(&typed, segment, number, issued_ms, issued_ms + deadline_ms);
    let (kid, chain) = ("isp/statement".parse().unwrap(), desk.node.header("isp", "n").chain);
    OfflineCertificate::sign(kid, chain, claims, &secret("isp", "statement")).to_string()
}

#[test]
fn a_segment_is_granted_used_offline_and_closed_with_its_gaps_declared() {
    let desk = Desk::new();
    let grant = |key: &str, days: i64| {
        json!({"segment-grant": {
        "to": "isp", "key": key, "numbering": "blockchain", "count": 4, "valid_until_ms": NOON + days * DAY,
        "deadline_hours": 24}})
    };
    assert_eq!(desk.submit("tax-bureau", &grant("login", 10)).problem().1, "segment.key");
    assert_eq!(desk.submit("tax-bureau", &grant("statement", -1)).problem().1, "segment.term");
    assert_eq!(desk.submit("isp", &grant("statement", 10)).problem().1, "organisation.tax-bureau-only");
    desk.signed("tax-bureau", &grant("statement", 10));
    let list = desk.node.get("isp", "/v1/organisations/isp/segments").json();
    let first = list["segments"][0]["first"].as_str().unwrap().to_owned();
    let shown = |who: &str| desk.node.get(who, &format!("/v1/segments/{first}"));
    assert_eq!((shown("isp").json()["used"].clone(), shown("shop").status), (json!(0), 404));
    assert_eq!(desk.node.get("shop", "/v1/organisations/isp/segments").status, 404);
    let granted_ms = parse_ms(shown("isp").json()["granted_at"].as_str().unwrap()).unwrap();
    let number = |nth: u32| format!("144032609010-{nth:08}");
    let offline = |document: &Value, number: &str, issued_ms: i64| {
        json!({"offline-issue": {
        "document": document, "certificate": certificate(&desk, document, (&first, number), issued_ms, DAY)}})
    };
    let (one, two) = (document("O1"), document("O2"));
    desk.signed("isp", &offline(&one, &number(1), granted_ms));
    let seen = desk.invoice("buyer", &number(1));
    assert_eq!((&seen["offline"]["late"], &seen["offline"]["segment"]), (&json!(false), &json!(first)));
    // Another document under the number is refused, with the leaf of the first as evidence.
    let used = desk.submit("isp", &offline(&two, &number(1), granted_ms));
    assert_eq!(used.problem().1, "contingency.number-used");
    assert_eq!(used.json()["standing"]["leaf_index"], seen["leaf_index"]);
    assert_eq!(desk.submit("isp", &offline(&one, &number(2), granted_ms)).problem().1, "contingency.issued-before");
    assert_eq!(desk.submit("isp", &offline(&two, &number(7), granted_ms)).problem().1, "contingency.number-outside");
    assert_eq!(desk.submit("isp", &offline(&two, &number(2), granted_ms - 1)).problem().1, "contingency.time-outside");
    let mut forged = offline(&two, &number(2), granted_ms);
    forged["offline-issue"]["document"]["remark"] = json!("another");
    assert_eq!(desk.submit("isp", &forged).problem().1, "contingency.certificate-invalid");
    // What is wrong with the document rejects the statement, and is named.
    let mut wrong = offline(&two, &number(2), granted_ms);
    wrong["offline-issue"]["document"]["totals"]["gross"] = json!("1.00");
    let rejected = desk.submit("isp", &wrong);
    assert_eq!(rejected.problem().1, "document.invalid", "{}", rejected.text());
    let path = rejected.json()["violations"][0]["path"].as_str().unwrap().to_owned();
    assert!(path.starts_with("/events/0/offline-issue/document"), "{path}");
    // Personal data comes with what was issued offline as with anything else.
    let personal = json!({"document": document("O4"), "personal": {"buyer_name": "某人"}});
    let online = desk.node.write("shop", "/v1/invoices", "o4", &personal).json();
    let bytes = desk.node.get("shop", online["links"]["attachment"].as_str().unwrap()).body;
    let mut three = document("O5");
    three["attachment"] = online["document"]["attachment"].clone();
    let event = offline(&three, &number(4), granted_ms);
    let jws = desk.node.statement("isp", "o5", chain::statement::Mode::Each, &[event]);
    let jws = String::from_utf8(jws).unwrap();
    let with = json!({"statement": jws, "attachments": [chain::encoding::encode_base64url(&bytes)]});
    assert_eq!(desk.node.post("/v1/statements", &with).status, 201);
    assert_eq!(desk.invoice("shop", &number(4))["attachment"], "present");
    // Submitted after its deadline it is marked.
    desk.node.clock.advance_clock(2 * DAY);
    desk.signed("isp", &offline(&two, &number(2), granted_ms));
    assert_eq!(desk.invoice("shop", &number(2))["offline"]["late"], true);
    desk.signed("isp", &json!({"segment-close": {"segment": first}}));
    let page = desk.node.get("auditor", "/v1/numbers/144032609010").json();
    let tally = json!({"used": 3, "void": 0, "part_red": 0, "full_red": 0, "red_letters": 0});
    assert_eq!((&page["tally"], &page["segments"][0]["tally"], &page["missing"]), (&tally, &tally, &json!([])));
    let closed = shown("isp").json();
    assert_eq!(closed["unused"], json!([{"first": number(3), "last": number(3)}]));
    assert!(closed["closed_at"].is_string());
    let late = desk.submit("isp", &offline(&document("O3"), &number(3), granted_ms));
    assert_eq!(late.problem().1, "segment.closed");
    assert_eq!(desk.submit("stranger", &json!({"segment-close": {"segment": first}})).problem().1, "segment.unknown");
    let told = Follower::start(&desk.node, "isp", "?after=start&kind=segment-close").take(1).remove(0);
    assert_eq!(told.data["data"]["record"]["segment-closed"]["gaps"], json!([{"first": 2, "last": 2}]));
}

#[test]
fn a_slip_with_a_former_holder_is_superseded_for_everybody_to_see() {
    let desk = Desk::new();
    let id = desk.issued("P1", |document| document["buyer"] = json!({"person": {"id": "p-1"}}));
    let to = |organisation: &str| json!({"to": {"organisation": organisation}});
    desk.done("shop", &id, "transfers", &to("stranger"));
    desk.done("shop", &id, "slips", &asked(&json!("full")));
    desk.signed("stranger", &json!({"red-confirm": {"invoice": id, "slip": 1}}));
    assert_eq!(desk.invoice("shop", &id)["slip"]["state"], "confirmed");
    desk.signed("stranger", &json!({"transfer": {"invoice": id, "to": {"organisation": "buyer"}}}));
    for who in ["shop", "buyer"] {
        assert_eq!(desk.invoice(who, &id)["slip"]["state"], "superseded", "{who}");
    }
    desk.refused("shop", &id, "red-letters", &under(1, "R1", &json!("full")), (409, "red.slip-superseded"));
    desk.refused("shop", &id, "slips/1:withdraw", &json!({}), (409, "red.slip-superseded"));
    desk.done("shop", &id, "slips", &asked(&json!("full")));
    desk.done("buyer", &id, "slips/2:confirm", &json!({}));
    desk.done("shop", &id, "red-letters", &under(2, "R1", &json!("full")));
}
