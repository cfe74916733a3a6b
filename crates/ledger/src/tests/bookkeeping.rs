//! An invoice in its buyer's books: booked once, its VAT used once, each in a month that is not filed.

use chain::statement::Mode;
use invoice::date::Period;

use crate::bookkeeping::{BookingRecord, BookingTerms, InputRecord, UseRecord};
use crate::event::{BookingCode, UsePurpose};
use crate::fixture::*;
use crate::outcome::{ACCEPTED, Record};
use crate::party::PersonId;
use crate::refusal::Standing;
use crate::state::{StateKey, read, require};

const NOVEMBER: &str = "2026-11";
const DECEMBER: &str = "2026-12";

fn accepted(ledger: &mut Ledger, actor: &str, event: String) -> Record {
    let outcome = ledger.event(actor, event);
    assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
    record(&outcome)
}

fn code(ledger: &mut Ledger, actor: &str, event: String) -> String {
    ledger.event(actor, event).code
}

/// What a refusal found and who stood in the way of it.
fn in_the_way(ledger: &mut Ledger, actor: &str, event: String, code: &str) -> (String, Option<Standing>) {
    let outcome = ledger.event(actor, event);
    assert_eq!(outcome.code, code, "{:?}", record(&outcome));
    let Record::Refused(refused) = record(&outcome) else { panic!("{outcome:?}") };
    (refused.found, refused.standing)
}

fn special_invoice(ledger: &mut Ledger) -> String {
    let outcome = ledger.event(SELLER, special("special"));
    assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
    outcome.subject
}

fn booking(ledger: &Ledger, id: &str) -> BookingRecord {
    require(ledger, &StateKey::booking(&id.parse().unwrap())).unwrap()
}

/// What a buyer's month has: purpose, invoices, net and tax in fen.
fn input(ledger: &Ledger, buyer: &str, period: &str) -> Vec<(UsePurpose, u64, i128, i128)> {
    let key = StateKey::input(&organisation_id(buyer), period.parse().unwrap());
    let input: InputRecord = read(ledger, &key).unwrap().unwrap_or_default();
    input.by_purpose.iter().map(|sum| (sum.purpose, sum.invoices, sum.net_fen, sum.tax_fen)).collect()
}

/// The buyer files a month in which it sold nothing.
fn buyer_files(ledger: &mut Ledger, period: &str) {
    let month = ledger.prefilled(BUYER, period);
    accepted(ledger, BUYER, month);
}

/// The outsider, an enterprise and a platform, reimburses what it holds.
fn outsider_reimburses(ledger: &mut Ledger, id: &str) {
    accepted(ledger, OUTSIDER, lock(id, "c").replace(BUYER, OUTSIDER));
    accepted(ledger, OUTSIDER, claim_event("close", id, "c", 1));
}

#[test]
fn an_invoice_is_booked_once_and_its_buyer_is_told_under_which_voucher() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let at = ledger.time_ms;
    let said = accepted(&mut ledger, BUYER, book(&id, "02", "记-0012", NOVEMBER));
    assert_eq!(said, Record::Booked { enterprise: organisation_id(BUYER) });
    let booked = booking(&ledger, &id);
    assert_eq!((booked.booked_ms, booked.revoked_ms, booked.terms.code), (at, None, BookingCode::Deductible));
    for voucher in ["记-0012", "记-0013"] {
        let event = book(&id, "02", voucher, NOVEMBER);
        let (found, standing) = in_the_way(&mut ledger, BUYER, event, "booking.already-booked");
        assert_eq!(found, "booked under 记-0012 in 2026-11");
        assert_eq!(standing, Some(booked.standing()));
    }
    // Also in the same statement, of which nothing then names a leaf that never was.
    let other = ledger.issued("b");
    let twice = [book(&other, "02", "1", NOVEMBER), book(&other, "02", "2", NOVEMBER)];
    let outcomes = ledger.events(BUYER, Mode::All, &twice);
    assert_eq!(outcomes[1].code, "booking.already-booked");
    assert!(matches!(record(&outcomes[1]), Record::Refused(refused) if refused.standing.is_none()));
    assert_eq!(read::<BookingRecord>(&ledger, &StateKey::booking(&other.parse().unwrap())).unwrap(), None);
}

#[test]
fn what_another_reimbursed_is_for_that_other_to_book() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    accepted(&mut ledger, BUYER, transfer(&id, OUTSIDER));
    assert_eq!(code(&mut ledger, OUTSIDER, book(&id, "02", "1", NOVEMBER)), "booking.not-reimbursed");
    accepted(&mut ledger, OUTSIDER, lock(&id, "c").replace(BUYER, OUTSIDER));
    let (_, standing) = in_the_way(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER), "booking.locked");
    assert_eq!(standing.unwrap().organisation, organisation_id(OUTSIDER));
    accepted(&mut ledger, OUTSIDER, claim_event("close", &id, "c", 1));
    assert_eq!(code(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER)), "booking.not-reimbursed");
    let said = accepted(&mut ledger, OUTSIDER, book(&id, "03", "1", NOVEMBER));
    assert_eq!(said, Record::Booked { enterprise: organisation_id(OUTSIDER) });
    // The buyer is told since when, and nothing of another's voucher.
    let event = book(&id, "02", "1", NOVEMBER);
    let (found, standing) = in_the_way(&mut ledger, BUYER, event, "booking.already-booked");
    assert_eq!((found.as_str(), standing), ("booked by another", Some(booking(&ledger, &id).standing())));
    assert_eq!(code(&mut ledger, BUYER, adjust_booking(&id, "02", "2", NOVEMBER)), "booking.not-booked");
    assert_eq!(code(&mut ledger, BUYER, revoke_booking(&id)), "booking.not-booked");
}

#[test]
fn who_booked_before_another_reimbursed_takes_its_booking_back_first() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    accepted(&mut ledger, BUYER, transfer(&id, OUTSIDER));
    outsider_reimburses(&mut ledger, &id);
    assert_eq!(code(&mut ledger, OUTSIDER, book(&id, "02", "9", NOVEMBER)), "booking.already-booked");
    assert_eq!(code(&mut ledger, BUYER, adjust_booking(&id, "02", "2", NOVEMBER)), "booking.not-reimbursed");
    accepted(&mut ledger, BUYER, revoke_booking(&id));
    accepted(&mut ledger, OUTSIDER, book(&id, "02", "9", NOVEMBER));
}

#[test]
fn what_was_issued_to_a_person_is_booked_by_who_reimbursed_it_alone() {
    let mut ledger = Ledger::new();
    let person: PersonId = "p1".parse().unwrap();
    let id = ledger.event(SELLER, issue_to("a", &format!(r#"{{"person":{{"id":"{person}"}}}}"#))).subject;
    assert_eq!(code(&mut ledger, OUTSIDER, book(&id, "02", "1", NOVEMBER)), "invoice.unknown");
    accepted(&mut ledger, SELLER, transfer(&id, OUTSIDER));
    assert_eq!(code(&mut ledger, OUTSIDER, book(&id, "02", "1", NOVEMBER)), "booking.not-reimbursed");
    outsider_reimburses(&mut ledger, &id);
    accepted(&mut ledger, OUTSIDER, book(&id, "02", "1", NOVEMBER));
    assert_eq!(code(&mut ledger, SELLER, book(&id, "02", "1", NOVEMBER)), "invoice.not-permitted");
}

#[test]
fn a_booking_is_adjusted_and_taken_back_while_its_month_is_not_filed() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    assert_eq!(code(&mut ledger, BUYER, revoke_booking(&id)), "booking.not-booked");
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    let since = booking(&ledger, &id).standing();
    assert_eq!(code(&mut ledger, BUYER, adjust_booking(&id, "02", "1", NOVEMBER)), "booking.unchanged");
    let former = booking(&ledger, &id).terms;
    let said = accepted(&mut ledger, BUYER, adjust_booking(&id, "03", "2", NOVEMBER));
    assert_eq!(said, Record::BookingAdjusted { enterprise: organisation_id(BUYER), former });
    assert_eq!(booking(&ledger, &id).standing(), since, "it is booked since then");
    let terms = booking(&ledger, &id).terms;
    let said = accepted(&mut ledger, BUYER, revoke_booking(&id));
    let enterprise = organisation_id(BUYER);
    assert_eq!(said, Record::BookingRevoked { enterprise, terms: terms.clone(), booking: since.leaf });
    assert_eq!(
        terms,
        BookingTerms { code: BookingCode::NotDeductible, voucher: "2".parse().unwrap(), ..terms.clone() }
    );
    assert_eq!(code(&mut ledger, BUYER, adjust_booking(&id, "03", "2", NOVEMBER)), "booking.not-booked");
    accepted(&mut ledger, BUYER, book(&id, "02", "3", NOVEMBER));
    ledger.time_ms = MONTH_END;
    buyer_files(&mut ledger, NOVEMBER);
    let (found, standing) = in_the_way(&mut ledger, BUYER, revoke_booking(&id), "booking.period-filed");
    assert_eq!((found.as_str(), standing.unwrap().organisation), (NOVEMBER, organisation_id(BUYER)));
    // Neither out of the filed month nor into it.
    assert_eq!(code(&mut ledger, BUYER, adjust_booking(&id, "02", "3", DECEMBER)), "booking.period-filed");
    let other = ledger.event(SELLER, issue("b"));
    assert_eq!(code(&mut ledger, BUYER, book(&other.subject, "02", "4", NOVEMBER)), "booking.period");
    accepted(&mut ledger, BUYER, book(&other.subject, "02", "4", DECEMBER));
}

#[test]
fn an_invoice_is_booked_and_used_from_its_month_of_issue_to_the_month_that_is() {
    let mut ledger = Ledger::new();
    let id = special_invoice(&mut ledger);
    for period in ["2026-10", DECEMBER] {
        for (event, refusal) in
            [(book(&id, "02", "1", period), "booking.period"), (use_vat(&id, "deduct", period), "vat.period")]
        {
            let (expected, found) = refused_with(&ledger.event(BUYER, event), refusal);
            assert_eq!((expected.as_str(), found.as_str()), ("a month from 2026-11 to 2026-11", period));
        }
    }
    ledger.time_ms = MONTH_END;
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    accepted(&mut ledger, BUYER, use_vat(&id, "deduct", DECEMBER));
}

#[test]
fn the_vat_of_a_special_invoice_is_used_once_and_its_month_adds_up() {
    let mut ledger = Ledger::new();
    let id = special_invoice(&mut ledger);
    assert_eq!(code(&mut ledger, BUYER, revoke_use(&id)), "vat.not-used");
    let said = accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    let (net, tax) = ("100.00".parse().unwrap(), "13.00".parse().unwrap());
    assert_eq!(said, Record::Used { buyer: organisation_id(BUYER), net, tax });
    assert_eq!(input(&ledger, BUYER, NOVEMBER), [(UsePurpose::Deduct, 1, 10_000, 1_300)]);
    let used: UseRecord = require(&ledger, &StateKey::vat_use(&id.parse().unwrap())).unwrap();
    for event in
        [use_vat(&id, "deduct", NOVEMBER), use_vat(&id, "refund", NOVEMBER), non_deduct(&id, "other", NOVEMBER)]
    {
        let (found, standing) = in_the_way(&mut ledger, BUYER, event, "vat.already-used");
        assert_eq!((found.as_str(), standing), ("deduct in 2026-11", Some(used.standing())));
    }
    let said = accepted(&mut ledger, BUYER, revoke_use(&id));
    let (buyer, purpose, period): (_, _, Period) =
        (organisation_id(BUYER), UsePurpose::Deduct, NOVEMBER.parse().unwrap());
    assert_eq!(said, Record::UseRevoked { buyer, purpose, period, used: used.leaf });
    assert_eq!(input(&ledger, BUYER, NOVEMBER), [(UsePurpose::Deduct, 0, 0, 0)]);
    ledger.time_ms = MONTH_END;
    accepted(&mut ledger, BUYER, non_deduct(&id, "abnormal-loss", DECEMBER));
    assert_eq!(input(&ledger, BUYER, DECEMBER), [(UsePurpose::NonDeduct, 1, 10_000, 1_300)]);
}

#[test]
fn a_filed_month_keeps_its_input() {
    let mut ledger = Ledger::new();
    let [used, other] = ["a", "b"].map(|reference| ledger.event(SELLER, special(reference)).subject);
    accepted(&mut ledger, BUYER, use_vat(&used, "deduct", NOVEMBER));
    ledger.time_ms = MONTH_END;
    buyer_files(&mut ledger, NOVEMBER);
    assert_eq!(code(&mut ledger, BUYER, revoke_use(&used)), "vat.period-filed");
    assert_eq!(code(&mut ledger, BUYER, use_vat(&other, "deduct", NOVEMBER)), "vat.period-filed");
    accepted(&mut ledger, BUYER, use_vat(&other, "deduct", DECEMBER));
    assert_eq!(input(&ledger, BUYER, NOVEMBER), [(UsePurpose::Deduct, 1, 10_000, 1_300)]);
}

#[test]
fn neither_ordinary_invoices_nor_ones_own_give_credit() {
    let mut ledger = Ledger::new();
    let ordinary = ledger.issued("a");
    assert_eq!(code(&mut ledger, BUYER, use_vat(&ordinary, "deduct", NOVEMBER)), "vat.ordinary-invoice");
    let digital = ledger.event(SELLER, issue("b").replace("blockchain-ordinary", "digital-ordinary")).subject;
    assert_eq!(code(&mut ledger, BUYER, use_vat(&digital, "deduct", NOVEMBER)), "vat.ordinary-invoice");
    let to_itself = special("c").replace("91350100M000100Y43", "91440300708461136T").replace("buyer Ltd", "shop Ltd");
    let own = ledger.event(SELLER, to_itself).subject;
    assert_eq!(code(&mut ledger, SELLER, use_vat(&own, "deduct", NOVEMBER)), "vat.own-invoice");
}

#[test]
fn what_is_in_books_is_not_taken_back() {
    let mut ledger = Ledger::new();
    let id = special_invoice(&mut ledger);
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    let (found, standing) = in_the_way(&mut ledger, SELLER, void(&id), "booking.stands");
    assert_eq!(
        (found.as_str(), standing),
        ("booked", None),
        "who booked, and under what, is not the seller's business"
    );
    accepted(&mut ledger, BUYER, revoke_booking(&id));
    assert_eq!(in_the_way(&mut ledger, SELLER, void(&id), "vat.use-stands"), ("used".to_owned(), None));
    accepted(&mut ledger, BUYER, revoke_use(&id));
    accepted(&mut ledger, SELLER, void(&id));
    assert_eq!(code(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER)), "invoice.void");
    assert_eq!(code(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER)), "invoice.void");
}

#[test]
fn who_files_for_an_enterprise_keeps_its_books_and_who_locks_for_it_does_not() {
    let mut ledger = Ledger::new();
    let id = special_invoice(&mut ledger);
    assert_eq!(code(&mut ledger, PLATFORM_A, book(&id, "02", "1", NOVEMBER)), "invoice.not-permitted");
    assert_eq!(code(&mut ledger, SELLER, use_vat(&id, "deduct", NOVEMBER)), "invoice.not-permitted");
    assert_eq!(code(&mut ledger, OUTSIDER, book(&id, "02", "1", NOVEMBER)), "invoice.unknown");
    accepted(&mut ledger, BUYER, mandate_to(OUTSIDER, r#""file""#));
    accepted(&mut ledger, OUTSIDER, book(&id, "02", "1", NOVEMBER));
    accepted(&mut ledger, OUTSIDER, use_vat(&id, "deduct", NOVEMBER));
    accepted(&mut ledger, BUREAU, suspend(BUYER));
    assert_eq!(code(&mut ledger, OUTSIDER, revoke_use(&id)), "organisation.suspended");
    assert_eq!(code(&mut ledger, OUTSIDER, revoke_booking(&id)), "organisation.suspended");
    accepted(&mut ledger, BUREAU, reinstate(BUYER));
    accepted(&mut ledger, BUREAU, roles(OUTSIDER, r#""enterprise""#));
    assert_eq!(code(&mut ledger, OUTSIDER, revoke_use(&id)), "organisation.role-missing");
}

#[test]
fn what_came_under_a_wrong_taxpayer_id_leaves_the_books_of_whom_it_came_to() {
    let mut ledger = Ledger::new();
    let id = special_invoice(&mut ledger);
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    accepted(&mut ledger, BUREAU, correct(BUYER, FREE_TAXPAYER));
    accepted(&mut ledger, BUREAU, renumber(OUTSIDER, "91350100M000100Y43"));
    let (found, _) = in_the_way(&mut ledger, OUTSIDER, book(&id, "02", "9", NOVEMBER), "booking.already-booked");
    assert_eq!(found, "booked by another");
    let (found, _) = in_the_way(&mut ledger, OUTSIDER, use_vat(&id, "deduct", NOVEMBER), "vat.already-used");
    assert_eq!(found, "used");
    assert_eq!(code(&mut ledger, OUTSIDER, revoke_use(&id)), "vat.not-used");
    accepted(&mut ledger, BUYER, revoke_booking(&id));
    accepted(&mut ledger, BUYER, revoke_use(&id));
    assert_eq!(code(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER)), "invoice.unknown");
    accepted(&mut ledger, OUTSIDER, book(&id, "02", "9", NOVEMBER));
    accepted(&mut ledger, OUTSIDER, use_vat(&id, "deduct", NOVEMBER));
    assert_eq!(input(&ledger, BUYER, NOVEMBER), [(UsePurpose::Deduct, 0, 0, 0)]);
    assert_eq!(input(&ledger, OUTSIDER, NOVEMBER), [(UsePurpose::Deduct, 1, 10_000, 1_300)]);
}
