//! Edge cases that lie between two rules: a turn of the month or of the law while a statement is under way, a purchase
//! that changes hands, numbers that look alike. `tests/tests/tidy/edges.rs` lists the others with their tests.

use chain::statement::Mode;
use invoice::InvoiceId;

use crate::fixture::*;
use crate::outcome::ACCEPTED;
use crate::record::InvoiceRecord;
use crate::state::{StateKey, read};

/// 2028-01-01 in Shenzhen, ms UTC: the first day without the reduced rates.
const RATES_END: i64 = 1_830_268_800_000;

#[test]
fn a_void_signed_before_midnight_and_ordered_after_it_is_too_late() {
    let mut ledger = Ledger::new();
    let (first, second) = (ledger.issued("a"), ledger.issued("b"));
    // Midnight in Shenzhen ends the month, eight hours before it ends in Greenwich.
    ledger.time_ms = MONTH_END - 1;
    let in_time = ledger.statement(SELLER, Mode::Each, &[void(&first)]);
    let late = ledger.statement(SELLER, Mode::Each, &[void(&second)]);
    assert_eq!(ledger.block(&[in_time]).outcomes[0][0].code, ACCEPTED);
    ledger.time_ms = MONTH_END;
    assert_eq!(ledger.block(&[late]).outcomes[0][0].code, "void.period-ended");
}

/// An issue event at 1 %, a rate until the end of 2027.
fn reduced(reference: &str) -> String {
    issue(reference).replace("113.00", "101.00").replace("13.00", "1.00").replace("0.13", "0.01")
}

#[test]
fn a_rate_is_one_of_the_day_of_issue_which_is_the_blocks_and_not_the_signatures() {
    let mut ledger = Ledger::new();
    ledger.time_ms = RATES_END - 1;
    let statement = ledger.statement(SELLER, Mode::Each, &[reduced("a")]);
    assert_eq!(verdict(&ledger, &statement), "admitted");
    ledger.time_ms = RATES_END;
    assert_eq!(verdict(&ledger, &statement), "document.invalid");
}

#[test]
fn the_blues_rate_is_the_red_letters_whatever_the_calendar_says() {
    let mut ledger = Ledger::new();
    ledger.time_ms = RATES_END - 1;
    let id = ledger.event(SELLER, reduced("a")).subject;
    ledger.time_ms = RATES_END + DAY;
    assert_eq!(ledger.event(SELLER, issue_red(&id, &reduced("a"), "r", &of_line("40.00"))).code, ACCEPTED);
    assert_eq!(ledger.reversal(&id).totals.tax.to_string(), "-0.40");
    assert_eq!(ledger.event(SELLER, issue_red(&id, &reduced("a"), "s", FULL)).code, ACCEPTED);
    assert_eq!(ledger.reversal(&id).totals.tax.to_string(), "-1.00");
}

#[test]
fn what_a_person_bought_is_reimbursed_by_the_employer_it_was_handed_to_and_by_nobody_else() {
    let mut ledger = Ledger::new();
    let id = ledger.event(SELLER, issue_to("p", r#"{"person":{"id":"p-7f3a"}}"#)).subject;
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, "reimbursement.not-holder", "still the person's");
    assert_eq!(ledger.event(SELLER, transfer(&id, BUYER)).code, ACCEPTED);
    let elsewhere = lock(&id, "d").replace(BUYER, OUTSIDER);
    assert_ne!(ledger.event(PLATFORM_B, elsewhere.clone()).code, ACCEPTED, "another employer");
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, ACCEPTED);
    assert_eq!(ledger.event(PLATFORM_A, claim_event("close", &id, "c", 1)).code, ACCEPTED);
    // Paid once, it goes neither to another enterprise nor back to the person.
    assert_eq!(ledger.event(BUYER, transfer(&id, OUTSIDER)).code, "reimbursement.already-closed");
    assert_ne!(ledger.event(PLATFORM_B, elsewhere).code, ACCEPTED);
    assert_eq!(ledger.event(PLATFORM_B, lock(&id, "d")).code, "reimbursement.already-closed");
    let kept: InvoiceRecord = read(&ledger, &StateKey::invoice(&id.parse().unwrap())).unwrap().unwrap();
    assert_eq!(kept.holder.to_string(), "taxpayer:91350100M000100Y43", "the buyer");
}

#[test]
fn eight_digits_under_a_code_and_twenty_digits_never_meet() {
    let old: InvoiceId = "144032609110-00000001".parse().unwrap();
    let digital: InvoiceId = "14403260911000000001".parse().unwrap();
    assert_ne!(old, digital);
    assert_ne!(StateKey::invoice(&old), StateKey::invoice(&digital));
    assert_eq!(old.to_string().replace('-', ""), digital.to_string(), "the same digits");
    // Known under the one, it is unknown under the other, and without its leading zeros no number at all.
    let mut ledger = Ledger::new();
    assert_eq!(ledger.issued("a"), old.to_string());
    assert_eq!(ledger.event(PLATFORM_A, lock(&digital.to_string(), "c")).code, "invoice.unknown");
    let short = ledger.statement(PLATFORM_A, Mode::Each, &[lock("144032609110-1", "c")]);
    assert_eq!(verdict(&ledger, &short), "event.malformed");
    assert_eq!(ledger.event(PLATFORM_A, lock(&old.to_string(), "c")).code, ACCEPTED);
}
