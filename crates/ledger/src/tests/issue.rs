//! Issue, transfer, void, and what statements of several events do.

use chain::statement::Mode;

use crate::fixture::*;
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::record::CounterRecord;
use crate::state::{StateKey, read};

const PERSON: &str = r#"{"person":{"id":"p-7f3a"}}"#;

#[test]
fn numbers_follow_each_other_without_gaps_whatever_is_refused_between() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.issued("a"), "144032609110-00000001");
    assert_eq!(ledger.event(OUTSIDER, issue("b")).code, "mandate.missing");
    assert_eq!(ledger.issued("c"), "144032609110-00000002");
    let all = ledger.events(SELLER, Mode::All, &[issue("d"), void("144032609110-00009999")]);
    assert_eq!(all[0].code, "statement.all-refused");
    assert_eq!(all[0].subject, "reference:shop/d");
    assert_eq!(all[1].code, "invoice.unknown");
    assert_eq!(ledger.issued("d"), "144032609110-00000003");
}

#[test]
fn a_full_code_is_followed_by_the_next_batch() {
    let mut ledger = Ledger::new();
    let creator = chain::hash::Hash::of(b"test");
    let last = CounterRecord { next: 99_999_999 };
    ledger.state.insert(StateKey::counter("144032609110"), crate::state::encode(&creator, &last));
    assert_eq!(ledger.issued("a"), "144032609110-99999999");
    assert_eq!(ledger.issued("b"), "144032609210-00000001");
}

#[test]
fn a_provider_issues_under_mandate_and_nobody_else_does() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.event(PROVIDER, issue("a")).code, ACCEPTED);
    assert_eq!(ledger.event(OUTSIDER, issue("b")).code, "mandate.missing");
    assert_eq!(ledger.event(BUYER, issue("c")).code, "mandate.missing");
    assert_eq!(ledger.event(PLATFORM_A, issue("d")).code, "organisation.role-missing");
    assert_eq!(ledger.event(AUDITOR, issue("e")).code, "organisation.role-missing");
}

#[test]
fn the_same_document_again_is_answered_with_the_first_leaf_for_ever() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.time_ms += 400 * DAY;
    // Other white space, another issuer: the content counts.
    let again = ledger.event(PROVIDER, issue("a").replace('\n', "  "));
    assert_eq!(again.code, REPEATED);
    let Record::Repeated { original } = record(&again) else { panic!("{again:?}") };
    assert_eq!(original.index, 0);
    let other = ledger.event(SELLER, issue("a").replace("餐费", "住宿费"));
    assert_eq!(other.code, "issue.reference-reused");
    let Record::Refused(refused) = record(&other) else { panic!("{other:?}") };
    assert!(refused.found.contains(&id), "{refused:?}");
    assert_eq!(refused.standing.unwrap().leaf.index, 0);
}

#[test]
fn the_seller_is_named_as_the_ledger_names_it() {
    let mut ledger = Ledger::new();
    let wrong = issue("a").replace("\"shop Ltd\"", "\"Shop Ltd\"");
    assert_eq!(ledger.event(SELLER, wrong).code, "issue.seller-name-differs");
    let unknown = issue("a").replace("91440300708461136T", "91440300000000000X");
    assert_eq!(ledger.event(SELLER, unknown).code, "organisation.unknown");
}

#[test]
fn an_invoice_to_a_person_is_handed_on_by_the_sellers_side_once_it_is_with_a_person() {
    let mut ledger = Ledger::new();
    let id = ledger.event(SELLER, issue_to("a", PERSON)).subject;
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, "reimbursement.not-holder");
    assert_eq!(ledger.event(OUTSIDER, transfer(&id, BUYER)).code, "invoice.unknown");
    assert_eq!(ledger.event(PROVIDER, transfer(&id, BUYER)).code, ACCEPTED);
    // Now an organisation holds it, and only that may hand it on.
    assert_eq!(ledger.event(PROVIDER, transfer(&id, SELLER)).code, "invoice.not-permitted");
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, ACCEPTED);
    assert_eq!(ledger.event(BUYER, transfer(&id, SELLER)).code, "reimbursement.already-locked");
}

#[test]
fn an_invoice_is_taken_back_in_its_month_only_and_its_number_is_gone() {
    let mut ledger = Ledger::new();
    let (first, second) = (ledger.issued("a"), ledger.issued("b"));
    assert_eq!(ledger.event(BUYER, void(&first)).code, "invoice.not-permitted");
    assert_eq!(ledger.event(PROVIDER, void(&first)).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, void(&first)).code, "invoice.void");
    assert_eq!(ledger.event(PLATFORM_A, lock(&first, "c")).code, "invoice.void");
    assert_eq!(ledger.issued("c"), "144032609110-00000003");
    // The last millisecond of the month is still the month.
    ledger.time_ms = MONTH_END - 1;
    let third = ledger.issued("d");
    assert_eq!(ledger.time_ms, MONTH_END + 999);
    assert_eq!(ledger.event(SELLER, void(&third)).code, "void.period-ended");
    assert_eq!(ledger.event(SELLER, void(&second)).code, "void.period-ended");
}

#[test]
fn all_takes_back_everything_and_each_keeps_what_is_accepted() {
    let mut ledger = Ledger::new();
    let before = ledger.state.clone();
    let codes = |outcomes: Vec<chain::block::Outcome>| outcomes.into_iter().map(|o| o.code).collect::<Vec<_>>();
    let events = [issue("a"), transfer("144032609110-00000009", BUYER), issue("b")];
    let all = codes(ledger.events(SELLER, Mode::All, &events));
    assert_eq!(all, ["statement.all-refused", "invoice.unknown", "statement.all-refused"]);
    let mut after = ledger.state.clone();
    // Only the refusals were counted.
    after.remove(&StateKey::refusal_budget(&organisation_id(SELLER)));
    assert_eq!(after, before);
    let each = codes(ledger.events(SELLER, Mode::Each, &events));
    assert_eq!(each, [ACCEPTED, "invoice.unknown", ACCEPTED]);
}

#[test]
fn a_statement_of_all_sees_its_own_events() {
    let mut ledger = Ledger::new();
    let events = [issue("a"), void("144032609110-00000001"), issue("b")];
    let outcomes = ledger.events(SELLER, Mode::All, &events);
    assert!(outcomes.iter().all(|outcome| outcome.code == ACCEPTED), "{outcomes:?}");
    assert_eq!(outcomes[2].subject, "144032609110-00000002");
}

#[test]
fn every_event_has_one_leaf_and_records_keep_their_creator() {
    let mut ledger = Ledger::new();
    let statement = ledger.statement(SELLER, Mode::Each, &[issue("a"), void("144032609110-00000001"), issue("a")]);
    let executed = ledger.block(&[statement]);
    assert_eq!(executed.leaves.len(), 3);
    let id = "144032609110-00000001".parse().unwrap();
    let created = ledger.state[&StateKey::invoice(&id)][..32].to_vec();
    let mandate = StateKey::mandate(&organisation_id(SELLER), &organisation_id(PROVIDER));
    assert_ne!(created, ledger.state[&mandate][..32]);
    let counter = read::<CounterRecord>(&ledger, &StateKey::counter("144032609110")).unwrap().unwrap();
    assert_eq!(counter.next, 2);
}

#[test]
fn what_a_roll_back_took_away_is_no_evidence() {
    let mut ledger = Ledger::new();
    let other = issue("a").replace("餐费", "住宿费");
    let outcomes = ledger.events(SELLER, Mode::All, &[issue("a"), other]);
    assert_eq!(outcomes[1].code, "issue.reference-reused");
    let Record::Refused(refused) = record(&outcomes[1]) else { panic!("{outcomes:?}") };
    assert_eq!((refused.found.as_str(), refused.standing), ("an earlier event of this statement", None));
}

#[test]
fn who_claims_a_buyers_invoice_is_nothing_to_the_seller_or_a_stranger() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(PLATFORM_A, lock(&id, "c"));
    let refused = ledger.event(SELLER, void(&id));
    assert_eq!(refused.code, "reimbursement.already-locked");
    assert!(!String::from_utf8_lossy(&refused.record).contains(PLATFORM_A));
    let stranger = ledger.event(OUTSIDER, void(&id));
    let nothing = ledger.event(OUTSIDER, void("144032609110-00000099"));
    assert_eq!(stranger.code, nothing.code);
    let foreign = ledger.event(OUTSIDER, issue("b"));
    assert!(!String::from_utf8_lossy(&foreign.record).contains(SELLER), "no id behind a taxpayer id");
}

#[test]
fn what_an_organisation_handed_to_a_person_is_no_longer_the_sellers_to_hand_on() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let to_person = format!(r#"{{"transfer":{{"invoice":"{id}","to":{{"person":"p9"}}}}}}"#);
    assert_eq!(ledger.event(BUYER, to_person).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, transfer(&id, SELLER)).code, "invoice.not-permitted");
}
