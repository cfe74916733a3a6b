//! Returns with input and sales without invoices, their amendments, and their payments.

use crate::filing::{AMENDMENTS_MAX, Filed};
use crate::fixture::*;
use crate::outcome::{ACCEPTED, REPEATED, Record};

const MONTH: &str = "2026-11";

/// A ledger on which November has ended with one invoice of the shop, 100.00 and 13.00.
fn ended() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.issued("a");
    ledger.time_ms = MONTH_END;
    ledger
}

/// The same, filed: 13.00 are payable.
fn filed() -> Ledger {
    let mut ledger = ended();
    accepted(&mut ledger, file(MONTH, 1, "100.00", "13.00"));
    ledger
}

fn accepted(ledger: &mut Ledger, event: String) {
    let outcome = ledger.event(SELLER, event);
    assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
}

fn month(ledger: &Ledger, taxpayer: &str) -> Filed {
    Filed::read(ledger, &organisation_id(taxpayer), MONTH.parse().unwrap()).unwrap().unwrap()
}

/// Payable, carried, paid, and what is neither paid nor requested, in fen.
fn standing(ledger: &Ledger) -> (i64, i64, i64, i128) {
    let filed = month(ledger, SELLER);
    (filed.due().payable.fen(), filed.due().carried.fen(), filed.dues.paid.fen(), filed.open_fen())
}

/// A ledger on which the buyer has used one invoice for deduction and one for nothing, and November has ended.
fn bought() -> Ledger {
    let mut ledger = Ledger::new();
    for (reference, purpose) in [("a", "deduct"), ("b", "refund")] {
        let id = ledger.event(SELLER, special(reference)).subject;
        assert_eq!(ledger.event(BUYER, use_vat(&id, purpose, MONTH)).code, ACCEPTED);
    }
    ledger.time_ms = MONTH_END;
    ledger
}

fn buyers() -> String {
    file(MONTH, 0, "0.00", "0.00").replace(SELLER, BUYER)
}

#[test]
fn input_ties_by_use_and_a_refusal_names_the_uses_that_differ() {
    let mut ledger = bought();
    let both = [used("refund", 1, "100.00", "13.00"), used("deduct", 1, "100.00", "13.00")].join(",");
    let none = refused_with(&ledger.event(BUYER, buyers()), "filing.totals-differ");
    let uses = "deduct: 1 invoices net 100.00 tax 13.00; refund: 1 invoices net 100.00 tax 13.00";
    assert_eq!(none.0, format!("0 invoices; {uses}"));
    assert_eq!(none.1, "0 invoices; deduct: none; refund: none");
    let wrong = file_all(&buyers(), &both.replace("\"refund\"", "\"non-deduct\""), "0.00", "0.00");
    let wrong = refused_with(&ledger.event(BUYER, wrong), "filing.totals-differ");
    assert_eq!(wrong.0, "0 invoices; refund: 1 invoices net 100.00 tax 13.00; non-deduct: none");
    assert_eq!(wrong.1, "0 invoices; refund: none; non-deduct: 1 invoices net 100.00 tax 13.00");
    let twice = format!("{both},{}", used("deduct", 1, "100.00", "13.00"));
    assert_eq!(ledger.event(BUYER, file_all(&buyers(), &twice, "0.00", "0.00")).code, "filing.totals-differ");
    let right = file_all(&buyers(), &both, "1000.00", "30.00");
    assert_eq!(ledger.event(BUYER, right.clone()).code, ACCEPTED);
    assert_eq!(ledger.event(BUYER, right).code, REPEATED);
    let other = refused_with(&ledger.event(BUYER, file_all(&buyers(), &both, "0.00", "0.00")), "filing.already-filed");
    assert_eq!(other.0, "0 invoices; without invoices: net 1000.00 tax 30.00");
    // 30.00 less the 13.00 that are deducted; what is refunded is another matter.
    assert_eq!(month(&ledger, BUYER).due().payable.to_string(), "17.00");
}

#[test]
fn what_is_deducted_beyond_the_tax_is_carried_and_nothing_is_due() {
    let mut ledger = bought();
    let event = ledger.prefilled(BUYER, MONTH);
    assert_eq!(ledger.event(BUYER, event).code, ACCEPTED);
    let due = month(&ledger, BUYER).due();
    assert_eq!((due.payable.to_string(), due.carried.to_string()), ("0.00".to_owned(), "13.00".to_owned()));
    let request = pay_request(MONTH, "p1", "0.00").replace(SELLER, BUYER);
    assert_eq!(ledger.event(BUYER, request).code, "payment.nothing-due");
}

#[test]
fn sales_without_invoices_are_said_in_one_way() {
    let sale = |rate: &str, net: &str| format!(r#"{{"treatment":{{"rate":"{rate}"}},"net":"{net}","tax":"1.00"}}"#);
    let many: Vec<_> = (10..=42).map(|rate| sale(&format!("0.{rate}"), "1.00")).collect();
    let read = |sales: &str| {
        let event = amend(MONTH, 1, "0.00", "0.00").replace("[]", &format!("[{sales}]"));
        serde_json::from_str::<crate::event::Event>(&event)
    };
    assert!(read(&many[..32].join(",")).is_ok());
    for (wrong, sales) in [
        ("below zero", sale("0.03", "-1.00")),
        ("twice", [sale("0.03", "1.00"), sale("0.03", "1.00")].join(",")),
        ("descending", [sale("0.13", "1.00"), sale("0.03", "1.00")].join(",")),
        ("nothing", sale("0.03", "0.00").replace("1.00", "0.00")),
        ("more than 32", many.join(",")),
    ] {
        assert!(read(&sales).is_err(), "{wrong}");
    }
}

#[test]
fn a_filed_month_is_amended_in_order_and_every_version_stays() {
    let mut ledger = ended();
    assert_eq!(ledger.event(SELLER, amend(MONTH, 1, "100.00", "3.00")).code, "filing.not-filed");
    accepted(&mut ledger, file(MONTH, 1, "100.00", "13.00"));
    assert_eq!(ledger.event(BUYER, amend(MONTH, 1, "100.00", "3.00")).code, "mandate.missing");
    let unchanged = ledger.event(SELLER, amend(MONTH, 1, "0.00", "0.00"));
    assert_eq!(unchanged.code, "filing.amendment-unchanged");
    assert_eq!(ledger.event(SELLER, amend(MONTH, 2, "100.00", "3.00")).code, "filing.amendment-number");
    assert_eq!(ledger.event(SELLER, amend(MONTH, 0, "100.00", "3.00")).code, "filing.amendment-number");
    let amended = ledger.event(PROVIDER, amend(MONTH, 1, "100.00", "3.00"));
    assert_eq!((amended.code.as_str(), amended.subject.as_str()), (ACCEPTED, "filing:shop/2026-11"));
    assert!(matches!(record(&amended), Record::Amended { number: 1, payable, .. } if payable.fen() == 1_600));
    assert_eq!(ledger.event(SELLER, amend(MONTH, 1, "100.00", "3.00")).code, REPEATED);
    let reused = refused_with(&ledger.event(SELLER, amend(MONTH, 1, "200.00", "6.00")), "filing.amendment-reused");
    assert_eq!(reused.0, "omitted-sales; without invoices: net 100.00 tax 3.00");
    for number in 2..=AMENDMENTS_MAX {
        accepted(&mut ledger, amend(MONTH, number, &format!("{number}00.00"), "6.00"));
    }
    assert_eq!(ledger.event(SELLER, amend(MONTH, 21, "1.00", "1.00")).code, "filing.amendments-spent");
    assert_eq!(ledger.event(SELLER, amend(MONTH, 1, "100.00", "3.00")).code, REPEATED, "the first can still be read");
    let filed = month(&ledger, SELLER);
    assert_eq!((filed.dues.amendments, filed.first.payable.fen()), (AMENDMENTS_MAX, 1_300));
    // The first declaration is answered as it was, whatever was amended since.
    assert_eq!(ledger.event(SELLER, file(MONTH, 1, "100.00", "13.00")).code, REPEATED);
}

#[test]
fn what_is_payable_is_requested_and_paid_once() {
    let mut ledger = ended();
    assert_eq!(ledger.event(SELLER, pay_request(MONTH, "p1", "13.00")).code, "filing.not-filed");
    accepted(&mut ledger, file(MONTH, 1, "100.00", "13.00"));
    let wrong = refused_with(&ledger.event(SELLER, pay_request(MONTH, "p1", "12.99")), "payment.amount-differs");
    assert_eq!(wrong, ("13.00: 13.00 payable, 0.00 paid".to_owned(), "12.99".to_owned()));
    assert_eq!(ledger.event(BUYER, pay_request(MONTH, "p1", "13.00")).code, "mandate.missing");
    assert_eq!(ledger.event(SELLER, pay_result(MONTH, "p1", "paid")).code, "payment.unknown");
    accepted(&mut ledger, pay_request(MONTH, "p1", "13.00"));
    assert_eq!(standing(&ledger), (1_300, 0, 0, 0));
    assert_eq!(ledger.event(PROVIDER, pay_request(MONTH, "p1", "13.00")).code, REPEATED);
    assert_eq!(ledger.event(SELLER, pay_request(MONTH, "p1", "1.00")).code, "payment.order-reused");
    assert_eq!(ledger.event(SELLER, pay_request(MONTH, "p2", "13.00")).code, "payment.under-way");
    assert_eq!(ledger.event(SELLER, pay_result("2026-10", "p1", "paid")).code, "payment.unknown");
    assert_eq!(ledger.event(BUYER, pay_result(MONTH, "p1", "paid")).code, "mandate.missing");
    assert_eq!(ledger.event(BUREAU, pay_result(MONTH, "p1", "paid")).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, pay_result(MONTH, "p1", "paid")).code, REPEATED);
    let decided = ledger.event(SELLER, pay_result(MONTH, "p1", "failed"));
    assert_eq!(decided.code, "payment.already-decided");
    assert_eq!(ledger.event(SELLER, pay_request(MONTH, "p2", "13.00")).code, "payment.nothing-due");
    assert_eq!(standing(&ledger), (1_300, 0, 1_300, 0));
}

#[test]
fn what_failed_is_ordered_again_under_another_id() {
    let mut ledger = filed();
    accepted(&mut ledger, pay_request(MONTH, "p1", "13.00"));
    accepted(&mut ledger, pay_result(MONTH, "p1", "failed"));
    assert_eq!(standing(&ledger), (1_300, 0, 0, 1_300));
    let again = ledger.event(SELLER, pay_request(MONTH, "p1", "13.00"));
    assert_eq!(again.code, REPEATED, "the order that failed, not another");
    accepted(&mut ledger, pay_request(MONTH, "p2", "13.00"));
    accepted(&mut ledger, pay_result(MONTH, "p2", "paid"));
    assert_eq!(standing(&ledger), (1_300, 0, 1_300, 0));
}

#[test]
fn an_amendment_asks_for_the_difference_and_leaves_an_order_under_way_alone() {
    let mut ledger = filed();
    accepted(&mut ledger, amend(MONTH, 1, "100.00", "3.00"));
    accepted(&mut ledger, pay_request(MONTH, "p1", "16.00"));
    let less = refused_with(&ledger.event(SELLER, amend(MONTH, 2, "0.00", "0.00")), "payment.under-way");
    assert_eq!(less, ("no less than 0.00 paid and 16.00 requested".to_owned(), "13.00 payable".to_owned()));
    accepted(&mut ledger, amend(MONTH, 2, "200.00", "6.00"));
    accepted(&mut ledger, pay_result(MONTH, "p1", "paid"));
    assert_eq!(standing(&ledger), (1_900, 0, 1_600, 300));
    accepted(&mut ledger, pay_request(MONTH, "p2", "3.00"));
    accepted(&mut ledger, pay_result(MONTH, "p2", "paid"));
    // A return must be put right also when too much was paid.
    accepted(&mut ledger, amend(MONTH, 3, "0.00", "0.00"));
    assert_eq!(standing(&ledger), (1_300, 0, 1_900, -600));
    assert_eq!(ledger.event(SELLER, pay_request(MONTH, "p3", "6.00")).code, "payment.nothing-due");
}

#[test]
fn sums_beyond_any_amount_and_more_orders_than_a_month_may_have_are_refused() {
    let mut ledger = ended();
    let most = "92233720368547758.07";
    let event = file_all(&file(MONTH, 1, "100.00", "13.00"), "", "1.00", most);
    assert_eq!(ledger.event(SELLER, event).code, "filing.sum-overflow");
    accepted(&mut ledger, file(MONTH, 1, "100.00", "13.00"));
    assert_eq!(ledger.event(SELLER, amend(MONTH, 1, "1.00", most)).code, "filing.sum-overflow");
    for order in 0..crate::filing::ORDERS_MAX {
        accepted(&mut ledger, pay_request(MONTH, &format!("p{order}"), "13.00"));
        accepted(&mut ledger, pay_result(MONTH, &format!("p{order}"), "failed"));
    }
    assert_eq!(ledger.event(SELLER, pay_request(MONTH, "one-more", "13.00")).code, "payment.orders-spent");
}
