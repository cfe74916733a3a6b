//! Red letters: alone while nobody relies on the blue, else under a slip; never more than the blue.

use chain::block::Outcome;
use chain::statement::Mode;
use invoice::amount::Amount;
use invoice::lifecycle::{Reimbursement, Sign, Validity};

use crate::bookkeeping::InputRecord;
use crate::fixture::*;
use crate::outcome::{ACCEPTED, ClaimEffect, REPEATED, Record};
use crate::party::{Party, Side};
use crate::record::{AccumulatorRecord, Claim, InvoiceRecord};
use crate::red::{SLIP_MS, SlipSide, SlipState};
use crate::state::{StateKey, read, require};

const NOVEMBER: &str = "2026-11";
const DECEMBER: &str = "2026-12";

fn accepted(ledger: &mut Ledger, actor: &str, event: String) -> Outcome {
    let outcome = ledger.event(actor, event);
    assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
    outcome
}

fn code(ledger: &mut Ledger, actor: &str, event: String) -> String {
    ledger.event(actor, event).code
}

fn invoice(ledger: &Ledger, id: &str) -> InvoiceRecord {
    require(ledger, &StateKey::invoice(&id.parse().unwrap())).unwrap()
}

/// Invoices of a month on the seller's side, and their net and tax in fen.
fn sold(ledger: &Ledger, period: &str) -> (u64, i128, i128) {
    let party = Party::Taxpayer(ledger.organisation(SELLER).taxpayer_id);
    let key = StateKey::accumulator(period.parse().unwrap(), Side::Seller, &party);
    let month: AccumulatorRecord = read(ledger, &key).unwrap().unwrap_or_default();
    let sums = month.by_rate.iter();
    (month.invoices, sums.clone().map(|sum| sum.net_fen).sum(), sums.map(|sum| sum.tax_fen).sum())
}

/// Invoices used in the buyer's month for a credit, and their tax in fen.
fn deducted(ledger: &Ledger, period: &str) -> (u64, i128) {
    let key = StateKey::input(&organisation_id(BUYER), period.parse().unwrap());
    let input: InputRecord = read(ledger, &key).unwrap().unwrap_or_default();
    input.by_purpose.first().map_or((0, 0), |sum| (sum.invoices, sum.tax_fen))
}

/// A slip for that, asked for by the shop and confirmed by the buyer.
fn confirmed(ledger: &mut Ledger, id: &str, issue: &str, take: &str) -> u32 {
    accepted(ledger, SELLER, red_request(id, issue, take));
    let number = ledger.slip(id).unwrap().number;
    accepted(ledger, BUYER, red_answer("red-confirm", id, number));
    number
}

#[test]
fn an_invoice_that_nobody_relies_on_is_taken_back_by_its_seller_alone() {
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "300.00"));
    let id = ledger.issued("a");
    for stranger in [BUYER, PLATFORM_A, BUREAU] {
        let refused = code(&mut ledger, stranger, issue_red(&id, &issue("a"), "red-1", FULL));
        assert_eq!(refused, "invoice.not-permitted", "{stranger}");
    }
    assert_eq!(code(&mut ledger, OUTSIDER, issue_red(&id, &issue("a"), "red-1", FULL)), "invoice.unknown");
    let part = accepted(&mut ledger, PROVIDER, issue_red(&id, &issue("a"), "red-1", &of_line("40.00")));
    assert_eq!(part.subject, "144032609110-00000002", "a number of its own, the next");
    let red = invoice(&ledger, &part.subject);
    let blue = invoice(&ledger, &id);
    assert_eq!((red.sign(), blue.sign()), (Sign::Red, Sign::Blue));
    assert_eq!((red.totals.net.to_string(), red.totals.tax.to_string()), ("-40.00".to_owned(), "-5.20".to_owned()));
    assert_eq!((red.by_rate.len(), red.by_rate[0].treatment), (1, blue.by_rate[0].treatment));
    assert_eq!((&red.seller, &red.buyer, red.validity), (&blue.seller, &blue.buyer, Validity::Normal));
    assert_eq!((blue.validity, blue.totals.gross.to_string()), (Validity::PartRed, "113.00".to_owned()));
    assert_eq!((sold(&ledger, NOVEMBER), ledger.quota_used(NOVEMBER)), ((2, 6_000, 780), Some("67.80".to_owned())));
    let rest = accepted(&mut ledger, SELLER, issue_red(&id, &issue("a"), "red-2", FULL));
    assert_eq!(invoice(&ledger, &rest.subject).totals.gross.to_string(), "-67.80");
    assert_eq!(invoice(&ledger, &id).validity, Validity::FullRed);
    assert_eq!((sold(&ledger, NOVEMBER), ledger.quota_used(NOVEMBER)), ((3, 0, 0), Some("0.00".to_owned())));
    let Record::RedIssued { blue, validity, claim, input, .. } = record(&rest) else { panic!("{rest:?}") };
    assert_eq!((blue.to_string(), validity, claim, input), (id.clone(), Validity::FullRed, None, false));
    let letters: Vec<_> = ledger.reversal(&id).letters.iter().map(ToString::to_string).collect();
    assert_eq!(letters, [part.subject, rest.subject]);
    // Nothing is left, and the same letters again are answered with the first.
    assert_eq!(code(&mut ledger, SELLER, issue_red(&id, &issue("a"), "red-3", FULL)), "red.fully-red");
    assert_eq!(code(&mut ledger, SELLER, issue_red(&id, &issue("a"), "red-2", FULL)), REPEATED);
    let other = issue_red(&id, &issue("a"), "red-1", &of_line("39.00"));
    assert_eq!(code(&mut ledger, SELLER, other), "issue.reference-reused");
    assert_eq!(code(&mut ledger, SELLER, issue("red-1")), "issue.reference-reused", "one room for all documents");
}

#[test]
fn what_is_taken_back_is_never_more_than_the_blue_in_a_line_or_in_total() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let red = |reference: &str, take: &str| issue_red(&id, &issue("a"), reference, take);
    for (take, expected) in [
        (of_line("100.01"), "red.line-exceeded"),
        (of_line("-0.01"), "red.line-exceeded"),
        (of_line("0.00"), "red.nothing"),
        (r#"{"lines":[]}"#.to_owned(), "red.nothing"),
        (r#"{"lines":[{"line":1,"net":"1.00"}]}"#.to_owned(), "red.no-such-line"),
        (r#"{"lines":[{"line":0,"net":"1.00"},{"line":0,"net":"1.00"}]}"#.to_owned(), "red.line-order"),
    ] {
        assert_eq!(code(&mut ledger, SELLER, red("r", &take)), expected, "{take}");
    }
    // Several letters in one statement, and in one block, count together.
    let codes: Vec<_> = ledger
        .events(SELLER, Mode::Each, &[red("r1", &of_line("60.00")), red("r2", &of_line("60.00")), red("r3", FULL)])
        .into_iter()
        .map(|outcome| outcome.code)
        .collect();
    assert_eq!(codes, [ACCEPTED, "red.line-exceeded", ACCEPTED]);
    assert_eq!(ledger.reversal(&id).totals.gross.to_string(), "-113.00");
    // A discount stays behind that was given on the goods: the rest would come to less than nothing.
    let with_discount = issue("b").replace(
        r#""lines":["#,
        r#""lines":[{"name":"*餐饮服务*酒","tax_code":"3070401000000000000","net":"50.00","tax":{"rate":"0.13"},"tax_amount":"6.50"},{"name":"*餐饮服务*酒","tax_code":"3070401000000000000","net":"-20.00","tax":{"rate":"0.13"},"tax_amount":"-2.60","discount":true},"#,
    );
    let with_discount = with_discount.replace(
        r#""totals":{"net":"100.00","tax":"13.00","gross":"113.00"}"#,
        r#""totals":{"net":"130.00","tax":"16.90","gross":"146.90"}"#,
    );
    let id = accepted(&mut ledger, SELLER, with_discount.clone()).subject;
    let goods = r#"{"lines":[{"line":0,"net":"50.00"},{"line":2,"net":"100.00"}]}"#;
    assert_eq!(code(&mut ledger, SELLER, issue_red(&id, &with_discount, "r4", goods)), "red.total-exceeded");
    let discount = r#"{"lines":[{"line":1,"net":"-20.00"}]}"#;
    assert_eq!(code(&mut ledger, SELLER, issue_red(&id, &with_discount, "r4", discount)), "red.total-exceeded");
    accepted(&mut ledger, SELLER, issue_red(&id, &with_discount, "r4", FULL));
    assert_eq!(ledger.reversal(&id).totals.gross.to_string(), "-146.90");
}

#[test]
fn the_document_is_the_blues_own() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let dearer = issue("a").replace("100.00", "200.00").replace("13.00", "26.00").replace("113.00", "226.00");
    assert_eq!(code(&mut ledger, SELLER, issue_red(&id, &dearer, "r", FULL)), "red.document-differs");
    assert_eq!(code(&mut ledger, SELLER, red_request(&id, &issue("b"), FULL)), "red.document-differs");
    // Spelt otherwise it is the same.
    let spelt = issue("a").replace(r#""rate":"0.13""#, r#" "rate" : "0.13" "#);
    accepted(&mut ledger, SELLER, issue_red(&id, &spelt, "r", FULL));
}

#[test]
fn a_red_letter_of_a_red_letter_is_refused_and_nothing_else_becomes_of_one() {
    let mut ledger = Ledger::new();
    let event = special("a");
    let id = accepted(&mut ledger, SELLER, event.clone()).subject;
    let red = accepted(&mut ledger, SELLER, issue_red(&id, &event, "r", &of_line("40.00"))).subject;
    for (actor, event) in [
        (SELLER, issue_red(&red, &event, "r2", FULL)),
        (SELLER, red_request(&red, &event, FULL)),
        (SELLER, void(&red)),
        (BUYER, transfer(&red, OUTSIDER)),
        (PLATFORM_A, lock(&red, "c")),
        (BUYER, use_vat(&red, "deduct", NOVEMBER)),
    ] {
        assert_eq!(code(&mut ledger, actor, event.clone()), "red.is-red-letter", "{event}");
    }
    // It is booked as any invoice is, and its buyer may have its say.
    accepted(&mut ledger, BUYER, book(&red, "02", "1", NOVEMBER));
    accepted(&mut ledger, BUYER, manifest(&red, "confirm"));
    // Voiding the blue would leave the letter behind.
    assert_eq!(code(&mut ledger, SELLER, void(&id)), "red.part-red");
}

/// What somebody does who relies on an invoice.
type Reliance<'r> = &'r dyn Fn(&mut Ledger, &str);

#[test]
fn what_others_rely_on_needs_a_slip_that_the_other_side_confirmed_for_just_that() {
    let reliances: [(&str, Reliance<'_>); 5] = [
        ("relied on", &|ledger, id| drop(accepted(ledger, BUYER, book(id, "02", "1", NOVEMBER)))),
        ("relied on", &|ledger, id| drop(accepted(ledger, BUYER, use_vat(id, "deduct", NOVEMBER)))),
        ("locked", &|ledger, id| drop(accepted(ledger, PLATFORM_A, lock(id, "c")))),
        ("reimbursed", &|ledger, id| {
            accepted(ledger, PLATFORM_A, lock(id, "c"));
            accepted(ledger, PLATFORM_A, claim_event("close", id, "c", 1));
        }),
        ("relied on", &|ledger, id| drop(accepted(ledger, BUYER, transfer(id, OUTSIDER)))),
    ];
    for (found, rely) in reliances {
        let mut ledger = Ledger::new();
        let event = special("a");
        let id = accepted(&mut ledger, SELLER, event.clone()).subject;
        rely(&mut ledger, &id);
        let letter = issue_red(&id, &event, "r", FULL);
        assert_eq!(refused(&ledger.event(SELLER, letter.clone()), "red.slip-needed"), found);
        let under = |slip: u32, take: &str| issue_red_under(slip, &id, &event, "r", take);
        assert_eq!(code(&mut ledger, SELLER, under(1, FULL)), "red.slip-unknown", "{found}");
        accepted(&mut ledger, SELLER, red_request(&id, &event, FULL));
        assert_eq!(refused(&ledger.event(SELLER, under(1, FULL)), "red.slip-unconfirmed"), "requested");
        assert_eq!(code(&mut ledger, SELLER, red_answer("red-confirm", &id, 1)), "red.slip-side", "{found}");
        accepted(&mut ledger, BUYER, red_answer("red-confirm", &id, 1));
        assert_eq!(code(&mut ledger, SELLER, under(1, &of_line("50.00"))), "red.slip-differs", "{found}");
        let other_reason = under(1, FULL).replace("sales-return", "issue-error");
        assert_eq!(code(&mut ledger, SELLER, other_reason), "red.slip-differs", "{found}");
        assert_eq!(code(&mut ledger, SELLER, letter), "red.slip-needed", "{found}");
        accepted(&mut ledger, PROVIDER, under(1, FULL));
        assert_eq!(ledger.slip(&id).unwrap().state_at(ledger.time_ms, None), SlipState::Spent);
        assert_eq!(invoice(&ledger, &id).validity, Validity::FullRed);
    }
}

#[test]
fn a_slip_is_spent_once() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    let slip = confirmed(&mut ledger, &id, &event, &of_line("10.00"));
    let letter = |reference: &str| issue_red_under(slip, &id, &event, reference, &of_line("10.00"));
    accepted(&mut ledger, SELLER, letter("r1"));
    let (_, found) = refused_with(&ledger.event(SELLER, letter("r2")), "red.slip-unconfirmed");
    assert_eq!(found, "spent");
    assert_eq!(code(&mut ledger, SELLER, red_answer("red-withdraw", &id, slip)), "red.slip-answered");
    // The next one is another slip.
    assert_eq!(confirmed(&mut ledger, &id, &event, FULL), slip + 1);
    accepted(&mut ledger, SELLER, issue_red_under(slip + 1, &id, &event, "r2", FULL));
}

#[test]
fn either_side_asks_and_the_other_answers_within_72_hours() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    assert_eq!(code(&mut ledger, OUTSIDER, red_request(&id, &event, FULL)), "invoice.unknown");
    assert_eq!(code(&mut ledger, OUTSIDER, red_answer("red-confirm", &id, 1)), "invoice.unknown");
    assert_eq!(code(&mut ledger, PLATFORM_A, red_request(&id, &event, FULL)), "invoice.not-permitted");
    assert_eq!(code(&mut ledger, BUYER, red_answer("red-confirm", &id, 1)), "red.slip-unknown");
    // The buyer asks; the seller's provider answers for it.
    let request = accepted(&mut ledger, BUYER, red_request(&id, &event, &of_line("30.00")));
    let Record::RedRequested { slip, asked_by, other, net, until_ms, .. } = record(&request) else { panic!() };
    assert_eq!((slip, asked_by, other.as_str(), net.to_string()), (1, SlipSide::Buyer, SELLER, "-30.00".to_owned()));
    assert_eq!(until_ms, ledger.slip(&id).unwrap().requested_ms + SLIP_MS);
    let open = ledger.event(SELLER, red_request(&id, &event, FULL));
    assert_eq!(refused(&open, "red.slip-open"), "slip 1, requested");
    assert_eq!(code(&mut ledger, BUYER, red_answer("red-deny", &id, 1)), "red.slip-side");
    assert_eq!(code(&mut ledger, SELLER, red_answer("red-withdraw", &id, 1)), "red.slip-side");
    accepted(&mut ledger, PROVIDER, red_answer("red-deny", &id, 1));
    assert_eq!(refused(&ledger.event(SELLER, red_answer("red-confirm", &id, 1)), "red.slip-answered"), "denied");
    // Withdrawn, before and after it was confirmed.
    accepted(&mut ledger, SELLER, red_request(&id, &event, FULL));
    accepted(&mut ledger, SELLER, red_answer("red-withdraw", &id, 2));
    assert_eq!(confirmed(&mut ledger, &id, &event, FULL), 3);
    accepted(&mut ledger, SELLER, red_answer("red-withdraw", &id, 3));
    let spent = ledger.event(SELLER, issue_red_under(3, &id, &event, "r", FULL));
    assert_eq!(refused(&spent, "red.slip-unconfirmed"), "withdrawn");
    assert_eq!(code(&mut ledger, BUYER, red_answer("red-confirm", &id, 3)), "red.slip-answered");
}

#[test]
fn a_slip_lapses_at_the_very_end_of_72_hours_and_a_confirmed_one_does_not() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    accepted(&mut ledger, SELLER, red_request(&id, &event, FULL));
    let until_ms = ledger.slip(&id).unwrap().until_ms();
    ledger.time_ms = until_ms;
    let late = ledger.event(BUYER, red_answer("red-confirm", &id, 1));
    assert_eq!(refused(&late, "red.slip-lapsed"), until_ms.to_string());
    assert_eq!(code(&mut ledger, SELLER, red_answer("red-withdraw", &id, 1)), "red.slip-lapsed");
    accepted(&mut ledger, SELLER, red_request(&id, &event, FULL));
    ledger.time_ms = ledger.slip(&id).unwrap().until_ms() - 1;
    accepted(&mut ledger, BUYER, red_answer("red-confirm", &id, 2));
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    ledger.time_ms += 10 * DAY;
    accepted(&mut ledger, SELLER, issue_red_under(2, &id, &event, "r", FULL));
}

#[test]
fn a_lock_goes_on_for_what_is_left_and_ends_with_the_last_of_it() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    accepted(&mut ledger, PLATFORM_A, lock(&id, "c"));
    let slip = confirmed(&mut ledger, &id, &event, &of_line("10.00"));
    let part = accepted(&mut ledger, SELLER, issue_red_under(slip, &id, &event, "r1", &of_line("10.00")));
    assert!(matches!(record(&part), Record::RedIssued { claim: Some(ClaimEffect::Kept), .. }));
    accepted(&mut ledger, PLATFORM_A, claim_event("renew", &id, "c", 1));
    let slip = confirmed(&mut ledger, &id, &event, FULL);
    let rest = accepted(&mut ledger, SELLER, issue_red_under(slip, &id, &event, "r2", FULL));
    assert!(matches!(record(&rest), Record::RedIssued { claim: Some(ClaimEffect::Released), .. }));
    assert_eq!(invoice(&ledger, &id).claim.at(ledger.time_ms - 1_000), Reimbursement::Open, "at that very time");
    assert_eq!(ledger.reversal(&id).claw_back, None);
    for event in [claim_event("close", &id, "c", 1), lock(&id, "d")] {
        assert_eq!(code(&mut ledger, PLATFORM_A, event), "red.fully-red");
    }
    // A part-red invoice is locked and reimbursed for what is left.
    let id = ledger.issued("b");
    accepted(&mut ledger, SELLER, issue_red(&id, &issue("b"), "r3", &of_line("99.99")));
    accepted(&mut ledger, PLATFORM_A, lock(&id, "c"));
    accepted(&mut ledger, PLATFORM_A, claim_event("close", &id, "c", 1));
}

#[test]
fn what_was_reimbursed_and_then_taken_back_is_marked_for_a_claw_back() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    accepted(&mut ledger, SELLER, issue_red(&id, &event, "r0", &of_line("1.00")));
    accepted(&mut ledger, PLATFORM_A, lock(&id, "c"));
    accepted(&mut ledger, PLATFORM_A, claim_event("close", &id, "c", 1));
    for (reference, take) in [("r1", of_line("10.00")), ("r2", FULL.to_owned())] {
        let slip = confirmed(&mut ledger, &id, &event, &take);
        let outcome = accepted(&mut ledger, SELLER, issue_red_under(slip, &id, &event, reference, &take));
        assert!(matches!(record(&outcome), Record::RedIssued { claim: Some(ClaimEffect::ClawBack), .. }));
    }
    let mark = ledger.reversal(&id).claw_back.unwrap();
    assert_eq!(mark.gross.to_string(), "111.87", "what was taken back since, not before");
    assert!(matches!(invoice(&ledger, &id).claim, Claim::Closed(_)), "it stays reimbursed");
}

#[test]
fn the_buyers_month_loses_the_vat_that_it_had_used() {
    let mut ledger = Ledger::new();
    let event = special("a");
    let id = accepted(&mut ledger, SELLER, event.clone()).subject;
    // Used after a red letter, it is what is left.
    accepted(&mut ledger, SELLER, issue_red(&id, &event, "r1", &of_line("10.00")));
    let used = accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    assert!(matches!(record(&used), Record::Used { tax, .. } if tax.to_string() == "11.70"));
    assert_eq!(deducted(&ledger, NOVEMBER), (1, 1_170));
    accepted(&mut ledger, BUYER, revoke_use(&id));
    assert_eq!(deducted(&ledger, NOVEMBER), (0, 0));
    accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    // Taken back after the month was filed, it comes out of the month of the letter.
    ledger.time_ms = MONTH_END;
    let month = ledger.prefilled(BUYER, NOVEMBER);
    accepted(&mut ledger, BUYER, month);
    let slip = confirmed(&mut ledger, &id, &event, FULL);
    let letter = accepted(&mut ledger, SELLER, issue_red_under(slip, &id, &event, "r2", FULL));
    assert!(matches!(record(&letter), Record::RedIssued { input: true, .. }));
    assert_eq!((deducted(&ledger, NOVEMBER), deducted(&ledger, DECEMBER)), ((1, 1_170), (1, -1_170)));
    assert_eq!(code(&mut ledger, BUYER, use_vat(&id, "refund", DECEMBER)), "red.fully-red");
    // Both months of December are filed as they are: below zero.
    ledger.time_ms += 31 * DAY;
    assert_eq!((sold(&ledger, NOVEMBER), sold(&ledger, DECEMBER)), ((2, 9_000, 1_170), (1, -9_000, -1_170)));
    for taxpayer in [SELLER, BUYER] {
        let month = ledger.prefilled(taxpayer, DECEMBER);
        assert!(month.contains("-11.70"), "{month}");
        accepted(&mut ledger, taxpayer, month);
    }
}

#[test]
fn a_use_of_which_red_letters_took_something_stands() {
    let mut ledger = Ledger::new();
    let event = special("a");
    let id = accepted(&mut ledger, SELLER, event.clone()).subject;
    accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    let slip = confirmed(&mut ledger, &id, &event, &of_line("10.00"));
    accepted(&mut ledger, SELLER, issue_red_under(slip, &id, &event, "r1", &of_line("10.00")));
    assert_eq!(deducted(&ledger, NOVEMBER), (2, 1_170));
    assert_eq!(refused(&ledger.event(BUYER, revoke_use(&id)), "vat.use-reversed"), "1 red letters");
}

#[test]
fn whoever_used_an_invoice_answers_for_it_also_when_the_buyers_id_was_anothers() {
    let mut ledger = Ledger::new();
    let event = special("a");
    let id = accepted(&mut ledger, SELLER, event.clone()).subject;
    accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    let buyers = ledger.organisation(BUYER).taxpayer_id.to_string();
    accepted(&mut ledger, BUREAU, correct(BUYER, "915000000000080"));
    accepted(&mut ledger, BUREAU, renumber(OUTSIDER, &buyers));
    let request = accepted(&mut ledger, SELLER, red_request(&id, &event, FULL));
    assert!(matches!(record(&request), Record::RedRequested { other, .. } if other.as_str() == BUYER));
    assert_ne!(code(&mut ledger, OUTSIDER, red_answer("red-confirm", &id, 1)), ACCEPTED);
    accepted(&mut ledger, BUYER, red_answer("red-confirm", &id, 1));
    accepted(&mut ledger, SELLER, issue_red_under(1, &id, &event, "r", FULL));
    assert_eq!(deducted(&ledger, NOVEMBER), (2, 0));
}

#[test]
fn a_quota_gets_back_only_what_was_issued_in_the_same_month() {
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "300.00"));
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, DECEMBER, "300.00"));
    let (old, event) = (ledger.issued("a"), issue("a"));
    ledger.time_ms = MONTH_END;
    let new = ledger.issued("b");
    accepted(&mut ledger, SELLER, issue_red(&old, &event, "r1", &of_line("50.00")));
    assert_eq!(
        (ledger.quota_used(NOVEMBER), ledger.quota_used(DECEMBER)),
        (Some("113.00".into()), Some("113.00".into()))
    );
    accepted(&mut ledger, SELLER, issue_red(&new, &issue("b"), "r2", &of_line("50.00")));
    assert_eq!(ledger.quota_used(DECEMBER), Some("56.50".into()));
    // A grant in the middle of a month counts what was issued in it, and no letter of an earlier month.
    let mut ledger = Ledger::new();
    let old = ledger.issued("a");
    ledger.time_ms = MONTH_END;
    let new = ledger.issued("b");
    accepted(&mut ledger, SELLER, issue_red(&old, &event, "r1", FULL));
    accepted(&mut ledger, SELLER, issue_red(&new, &issue("b"), "r2", &of_line("50.00")));
    assert_eq!(code(&mut ledger, BUREAU, quota_grant(SELLER, DECEMBER, "56.49")), "quota.below-used");
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, DECEMBER, "56.50"));
    assert_eq!(ledger.quota_used(DECEMBER), Some("56.50".into()));
}

#[test]
fn of_an_invoice_to_a_person_whoever_reimbursed_it_is_the_other_side() {
    let mut ledger = Ledger::new();
    let event = issue_to("p", r#"{"person":{"id":"p1"}}"#);
    let id = accepted(&mut ledger, SELLER, event.clone()).subject;
    assert_eq!(code(&mut ledger, SELLER, red_request(&id, &event, FULL)), "red.no-other-side");
    accepted(&mut ledger, SELLER, transfer(&id, BUYER));
    assert_eq!(refused(&ledger.event(SELLER, issue_red(&id, &event, "r", FULL)), "red.slip-needed"), "relied on");
    accepted(&mut ledger, PLATFORM_A, lock(&id, "c"));
    accepted(&mut ledger, PLATFORM_A, claim_event("close", &id, "c", 1));
    let slip = confirmed(&mut ledger, &id, &event, FULL);
    accepted(&mut ledger, SELLER, issue_red_under(slip, &id, &event, "r", FULL));
    // While the person has it, the seller takes it back alone.
    let event = issue_to("q", r#"{"person":{"id":"p1"}}"#);
    let id = accepted(&mut ledger, SELLER, event.clone()).subject;
    accepted(&mut ledger, SELLER, issue_red(&id, &event, "r2", FULL));
}

#[test]
fn who_files_for_the_buyer_answers_for_it_and_a_suspended_side_does_not() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    accepted(&mut ledger, BUYER, book(&id, "02", "1", NOVEMBER));
    accepted(&mut ledger, SELLER, red_request(&id, &event, FULL));
    let confirm = red_answer("red-confirm", &id, 1);
    assert_eq!(code(&mut ledger, PROVIDER, confirm.clone()), "red.slip-side", "it acts for the seller alone");
    accepted(&mut ledger, BUYER, mandate_to(PROVIDER, r#""file""#));
    accepted(&mut ledger, BUREAU, suspend(BUYER));
    assert_eq!(code(&mut ledger, BUYER, confirm.clone()), "organisation.suspended");
    assert_eq!(code(&mut ledger, PROVIDER, confirm.clone()), "organisation.suspended");
    accepted(&mut ledger, BUREAU, reinstate(BUYER));
    accepted(&mut ledger, PROVIDER, confirm);
}

#[test]
fn a_seller_renumbered_since_takes_back_under_the_id_that_it_has_now() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    let red = accepted(&mut ledger, SELLER, issue_red(&id, &event, "r", FULL)).subject;
    assert_eq!(invoice(&ledger, &red).seller_party, Party::Taxpayer(FREE_TAXPAYER.parse().unwrap()));
    assert_eq!(sold(&ledger, NOVEMBER), (1, -10_000, -1_300), "both ids' months are one return");
}

#[test]
fn an_invoice_has_only_so_many_red_letters() {
    let mut ledger = Ledger::new();
    let event = issue("a");
    let id = ledger.issued("a");
    let letters: Vec<_> = (0..crate::red::RED_LETTERS_MAX)
        .map(|at| issue_red(&id, &event, &format!("r{at}"), &of_line("0.10")))
        .collect();
    for outcome in ledger.events(SELLER, Mode::Each, &letters) {
        assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
    }
    let one_more = issue_red(&id, &event, "rest", &of_line("0.10"));
    assert_eq!(refused(&ledger.event(SELLER, one_more), "red.letters-spent"), "100");
    accepted(&mut ledger, SELLER, issue_red(&id, &event, "rest", FULL));
}

/// An invoice to a person that its seller handed to an enterprise, which handed it on after it had agreed to a slip of
/// its own; a platform has reimbursed it for the enterprise that has it since.
fn handed_on_under_a_slip(asks: &str, answers: &str, take: &str) -> (Ledger, String, String) {
    let mut ledger = Ledger::new();
    let blue = issue_to("p", r#"{"person":{"id":"p-7f3a"}}"#);
    let id = accepted(&mut ledger, SELLER, blue.clone()).subject;
    for (actor, event) in [
        (SELLER, transfer(&id, OUTSIDER)),
        (asks, red_request(&id, &blue, take)),
        (answers, red_answer("red-confirm", &id, 1)),
        (OUTSIDER, transfer(&id, BUYER)),
        (PLATFORM_A, lock(&id, "c")),
        (PLATFORM_A, claim_event("close", &id, "c", 1)),
    ] {
        accepted(&mut ledger, actor, event);
    }
    ledger.time_ms += 300 * DAY;
    (ledger, id, blue)
}

#[test]
fn what_a_former_holder_agreed_to_takes_nothing_from_who_paid_since() {
    let (mut ledger, id, blue) = handed_on_under_a_slip(SELLER, OUTSIDER, FULL);
    assert_eq!(refused(&ledger.event(SELLER, issue_red(&id, &blue, "r", FULL)), "red.slip-needed"), "reimbursed");
    let under = ledger.event(SELLER, issue_red_under(1, &id, &blue, "r", FULL));
    assert_eq!(refused(&under, "red.slip-superseded"), "slip 1 with outsider");
    accepted(&mut ledger, SELLER, red_request(&id, &blue, FULL));
    accepted(&mut ledger, BUYER, red_answer("red-confirm", &id, 2));
    accepted(&mut ledger, SELLER, issue_red_under(2, &id, &blue, "r", FULL));
}

#[test]
fn a_slip_with_a_former_holder_stands_in_nobodys_way() {
    let (mut ledger, id, blue) = handed_on_under_a_slip(OUTSIDER, SELLER, &of_line("1.00"));
    for kind in ["red-confirm", "red-deny"] {
        assert_eq!(code(&mut ledger, SELLER, red_answer(kind, &id, 1)), "red.slip-superseded");
    }
    accepted(&mut ledger, BUYER, red_request(&id, &blue, &of_line("2.00")));
    assert_eq!(code(&mut ledger, SELLER, red_request(&id, &blue, FULL)), "red.slip-open");
    accepted(&mut ledger, SELLER, red_answer("red-confirm", &id, 2));
}

#[test]
fn a_seller_is_not_told_what_its_buyer_does_in_its_books() {
    let mut ledger = Ledger::new();
    let blue = special("a");
    let id = accepted(&mut ledger, SELLER, blue.clone()).subject;
    accepted(&mut ledger, BUYER, use_vat(&id, "deduct", NOVEMBER));
    assert_eq!(refused(&ledger.event(SELLER, issue_red(&id, &blue, "r", FULL)), "red.slip-needed"), "relied on");
    accepted(&mut ledger, BUYER, revoke_use(&id));
    accepted(&mut ledger, BUYER, book(&id, "02", "V1", NOVEMBER));
    assert_eq!(refused(&ledger.event(SELLER, issue_red(&id, &blue, "r", FULL)), "red.slip-needed"), "relied on");
}

/// An issue event of pairs of goods and their discount.
fn discounted(pairs: usize, goods: [&str; 2], discount: [&str; 2], totals: [&str; 3]) -> String {
    let line = |[net, tax]: [&str; 2], mark: &str| {
        format!(
            r#"{{"name":"x","tax_code":"3070401000000000000",{mark}"net":"{net}","tax":{{"rate":"0.13"}},"tax_amount":"{tax}"}}"#
        )
    };
    let pair = format!("{},{}", line(goods, ""), line(discount, r#""discount":true,"#));
    let start = special("z");
    let (head, rest) = start.split_once(r#""lines":["#).unwrap();
    let tail = rest.split_once("],").unwrap().1;
    let [net, tax, gross] = totals;
    format!(r#"{head}"lines":[{}],{tail}"#, vec![pair; pairs].join(",")).replace(
        r#""totals":{"net":"100.00","tax":"13.00","gross":"113.00"}"#,
        &format!(r#""totals":{{"net":"{net}","tax":"{tax}","gross":"{gross}"}}"#),
    )
}

#[test]
fn an_invoice_that_comes_to_tax_alone_is_taken_back_in_full() {
    let mut ledger = Ledger::new();
    let blue = discounted(10, ["100.00", "13.06"], ["-100.00", "-12.94"], ["0.00", "1.20", "1.20"]);
    let id = accepted(&mut ledger, SELLER, blue.clone()).subject;
    assert_eq!(code(&mut ledger, SELLER, issue_red(&id, &blue, "p", &of_line("100.00"))), "red.total-exceeded");
    ledger.time_ms = MONTH_END;
    let red = accepted(&mut ledger, SELLER, issue_red(&id, &blue, "r", FULL)).subject;
    let (red, blue) = (invoice(&ledger, &red), invoice(&ledger, &id));
    assert_eq!((red.sign(), red.totals.tax.to_string(), blue.validity), (Sign::Red, "-1.20".into(), Validity::FullRed));
}

#[test]
fn goods_without_their_discounts_may_be_more_than_any_amount() {
    let mut ledger = Ledger::new();
    // More than a genesis may allow.
    ledger.parameters(|parameters| parameters.rules.amount_max = Amount::from_fen(i64::MAX));
    let goods = ["92233720368547758.00", "0.00"];
    let blue = discounted(2, goods, ["-92233720368547757.00", "0.00"], ["2.00", "0.00", "2.00"]);
    let blue = blue.replace(r#"{"rate":"0.13"}"#, r#""not-taxable""#);
    let id = accepted(&mut ledger, SELLER, blue.clone()).subject;
    let take = format!(r#"{{"lines":[{{"line":0,"net":"{0}"}},{{"line":2,"net":"{0}"}}]}}"#, goods[0]);
    assert_eq!(code(&mut ledger, SELLER, issue_red(&id, &blue, "r", &take)), "red.total-exceeded");
}
