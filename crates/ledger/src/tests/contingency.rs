//! Segments of numbers, and what is issued from them offline.

use chain::statement::Mode;

use crate::contingency::{NumberRange, OfflineClaims, OfflineRecord, SEGMENTS_OPEN_MAX};
use crate::fixture::*;
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::record::InvoiceRecord;
use crate::state::{StateKey, require};

const HOUR: i64 = 3_600_000;

/// A ledger on which the provider has a segment, a second after its grant.
fn cut_off() -> (Ledger, String) {
    let mut ledger = Ledger::new();
    let first = ledger.segment_of(PROVIDER);
    assert_eq!(first, segment_number(1));
    (ledger, first)
}

/// Submits an invoice that was issued offline a second after noon.
fn submit(ledger: &mut Ledger, reference: &str, number: u64) -> chain::block::Outcome {
    let event = offline_issue(&ledger.chain, PROVIDER, reference, number, NOON + 1_000);
    ledger.event(PROVIDER, event)
}

fn standing_leaf(outcome: &chain::block::Outcome) -> u64 {
    let Record::Refused(refused) = record(outcome) else { panic!("{outcome:?}") };
    refused.standing.expect("an earlier event stands in the way").leaf.index
}

#[test]
fn segments_follow_each_other_without_a_gap_in_codes_of_their_own() {
    let (mut ledger, first) = cut_off();
    let second = ledger.segment_of(SELLER);
    assert_eq!((first.as_str(), second), ("144032609010-00000001", segment_number(4)));
    let digital = segment_grant(SELLER).replace("blockchain", "digital");
    assert_eq!(ledger.event(BUREAU, digital).subject, "segment:26449000000000000001");
    // The ledger's own numbers go on as ever.
    assert_eq!(ledger.issued("a"), "144032609110-00000001");
    let segment = ledger.segment(&first);
    assert_eq!(segment.last().to_string(), segment_number(3));
    assert_eq!(segment.index_of(&segment_number(3).parse().unwrap()), Some(2));
    assert_eq!(segment.index_of(&segment_number(4).parse().unwrap()), None);
    assert_eq!(segment.index_of(&"144032609110-00000001".parse().unwrap()), None);
}

#[test]
fn only_the_tax_bureau_grants_and_only_to_who_may_issue_with_a_key_that_signs() {
    let mut ledger = Ledger::new();
    let grant = |to: &str| segment_grant(to);
    assert_eq!(ledger.event(PROVIDER, grant(PROVIDER)).code, "organisation.tax-bureau-only");
    assert_eq!(ledger.event(BUREAU, grant("nobody")).code, "organisation.unknown");
    assert_eq!(ledger.event(BUREAU, grant(PLATFORM_A)).code, "organisation.role-missing");
    assert_eq!(ledger.event(BUREAU, grant(PROVIDER).replace("\"s1\"", "\"s9\"")).code, "segment.key");
    let until = |ms: i64| grant(PROVIDER).replace(&(NOON + 10 * DAY).to_string(), &ms.to_string());
    let now = ledger.time_ms;
    for end in [now, now + 400 * DAY, 0] {
        assert_eq!(ledger.event(BUREAU, until(end)).code, "segment.term", "{end}");
    }
    ledger.event(BUREAU, suspend(PROVIDER));
    let refused = ledger.event(BUREAU, grant(PROVIDER));
    assert_eq!((refused.code.as_str(), refused.subject.as_str()), ("organisation.suspended", "segment:isp"));
    for wrong in [r#""count":0"#, r#""count":1001"#, r#""count":-1"#] {
        let statement = ledger.statement(BUREAU, Mode::All, &[grant(SELLER).replace(r#""count":3"#, wrong)]);
        assert_eq!(verdict(&ledger, &statement), "event.malformed");
    }
    let hours = grant(SELLER).replace(r#""deadline_hours":24"#, r#""deadline_hours":169"#);
    let statement = ledger.statement(BUREAU, Mode::All, &[hours]);
    assert_eq!(verdict(&ledger, &statement), "event.malformed");
}

#[test]
fn a_holder_has_so_many_open_segments_and_may_have_more_when_one_is_closed() {
    let mut ledger = Ledger::new();
    let grants = vec![segment_grant(PROVIDER); SEGMENTS_OPEN_MAX + 1];
    let outcomes = ledger.events(BUREAU, Mode::Each, &grants);
    assert!(outcomes[..SEGMENTS_OPEN_MAX].iter().all(|outcome| outcome.code == ACCEPTED));
    assert_eq!(outcomes[SEGMENTS_OPEN_MAX].code, "segment.spent");
    assert_eq!(ledger.event(PROVIDER, segment_close(&segment_number(4))).code, ACCEPTED);
    assert_eq!(ledger.segment_of(PROVIDER), segment_number(SEGMENT * 64 + 1));
}

#[test]
fn what_was_issued_offline_is_of_the_day_and_month_it_comes_in() {
    let (mut ledger, first) = cut_off();
    assert_eq!(ledger.event(BUREAU, quota_grant(SELLER, "2026-11", "200.00")).code, ACCEPTED);
    let time_ms = ledger.time_ms;
    let outcome = submit(&mut ledger, "a", 2);
    assert_eq!((outcome.code.as_str(), outcome.subject.as_str()), (ACCEPTED, "144032609010-00000002"));
    let Record::IssuedOffline { invoice, issued_ms, issued_offline_ms, submit_by_ms, late, segment, .. } =
        record(&outcome)
    else {
        panic!("{outcome:?}")
    };
    assert_eq!((issued_ms, issued_offline_ms, late), (time_ms, NOON + 1_000, false));
    assert_eq!((submit_by_ms, segment.to_string()), (NOON + 1_000 + HOURS * HOUR, first.clone()));
    let kept: InvoiceRecord = require(&ledger, &StateKey::invoice(&invoice)).unwrap();
    assert_eq!((kept.issued_ms, kept.period.to_string()), (time_ms, "2026-11".to_owned()));
    let offline: OfflineRecord = require(&ledger, &StateKey::offline(&invoice)).unwrap();
    assert_eq!((offline.segment.to_string(), offline.late), (first, false));
    assert_eq!(ledger.quota(SELLER, "2026-11".parse().unwrap()).unwrap().used.to_string(), "113.00");
    // The quota holds for it as for any other, and the number is still there when there is more.
    assert_eq!(submit(&mut ledger, "b", 3).code, "quota.exceeded");
    assert_eq!(ledger.event(BUREAU, quota_adjust(SELLER, "2026-11", "226.00")).code, ACCEPTED);
    assert_eq!(submit(&mut ledger, "b", 3).code, ACCEPTED);
    // From here on it is an invoice like any other.
    assert_eq!(ledger.event(PLATFORM_A, lock(&segment_number(2), "c")).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, void(&segment_number(3))).code, ACCEPTED);
    assert_eq!(submit(&mut ledger, "b", 3).code, REPEATED, "a number is never given again");
}

#[test]
fn nothing_comes_into_a_month_that_has_ended_and_what_is_late_is_marked() {
    let (mut ledger, _) = cut_off();
    let late = ledger.chain.clone();
    let issued = NOON + 9 * DAY;
    ledger.time_ms = issued + HOURS * HOUR;
    let event = |reference: &str, number: u64| offline_issue(&late, PROVIDER, reference, number, issued);
    let in_time = ledger.event(PROVIDER, event("a", 1));
    assert!(matches!(record(&in_time), Record::IssuedOffline { late: false, .. }), "at its very deadline");
    let marked = ledger.event(PROVIDER, event("b", 2));
    assert!(matches!(record(&marked), Record::IssuedOffline { late: true, .. }), "a second after it");
    ledger.time_ms = MONTH_END;
    assert_eq!(ledger.event(SELLER, file("2026-11", 2, "200.00", "26.00")).code, ACCEPTED);
    let outcome = ledger.event(PROVIDER, event("c", 3));
    let Record::IssuedOffline { invoice, late: true, .. } = record(&outcome) else { panic!("{outcome:?}") };
    let kept: InvoiceRecord = require(&ledger, &StateKey::invoice(&invoice)).unwrap();
    assert_eq!(kept.period.to_string(), "2026-12", "the filed month stays as it was filed");
}

#[test]
fn a_number_has_one_invoice_for_ever_and_a_second_is_refused_with_the_first() {
    let (mut ledger, first) = cut_off();
    let leaf = ledger.log_size;
    assert_eq!(submit(&mut ledger, "a", 1).code, ACCEPTED);
    let again = submit(&mut ledger, "a", 1);
    let Record::Repeated { original } = record(&again) else { panic!("{again:?}") };
    assert_eq!(original.index, leaf);
    let conflict = submit(&mut ledger, "b", 1);
    let (expected, found) = refused_with(&conflict, "contingency.number-used");
    assert_eq!(standing_leaf(&conflict), leaf);
    let offline: OfflineRecord = require(&ledger, &StateKey::offline(&segment_number(1).parse().unwrap())).unwrap();
    assert!(expected.contains(&offline.certificate.to_string()), "{expected}");
    assert!(found.starts_with("another, of certificate "), "{found}");
    // Also after the segment is closed: what was issued is repeated, what conflicts is shown.
    assert_eq!(ledger.event(PROVIDER, segment_close(&first)).code, ACCEPTED);
    assert_eq!(submit(&mut ledger, "a", 1).code, REPEATED);
    assert_eq!(submit(&mut ledger, "b", 1).code, "contingency.number-used");
    // In one statement too, and taken back with it.
    let second = ledger.segment_of(PROVIDER);
    assert_eq!(second, segment_number(4));
    let chain = ledger.chain.clone();
    let at = ledger.time_ms;
    let events: Vec<_> = ["c", "d"].map(|it| offline_issue(&chain, PROVIDER, it, 4, at - 1_000)).into();
    let codes: Vec<_> = ledger.events(PROVIDER, Mode::All, &events).into_iter().map(|it| it.code).collect();
    assert_eq!(codes, ["statement.all-refused", "contingency.number-used"]);
    assert!(ledger.segment(&second).used.is_empty());
    let codes: Vec<_> = ledger.events(PROVIDER, Mode::Each, &events).into_iter().map(|it| it.code).collect();
    assert_eq!(codes, [ACCEPTED, "contingency.number-used"]);
}

#[test]
fn one_document_has_one_number() {
    let (mut ledger, _) = cut_off();
    let online = ledger.log_size;
    ledger.issued("a");
    let refused = submit(&mut ledger, "a", 1);
    assert_eq!((refused.code.as_str(), standing_leaf(&refused)), ("contingency.issued-before", online));
    assert_eq!(submit(&mut ledger, "b", 1).code, ACCEPTED);
    assert_eq!(submit(&mut ledger, "b", 2).code, "contingency.issued-before");
    assert_eq!(ledger.event(SELLER, issue("b")).code, REPEATED, "and online it is the one issued offline");
    let other = document_of(&issue_to("b", r#"{"person":{"id":"p1"}}"#));
    let claims = claims(&other, 3, NOON + 1_000);
    let event = submission(&ledger.chain, PROVIDER, other, claims);
    assert_eq!(ledger.event(PROVIDER, event).code, "issue.reference-reused");
}

#[test]
fn numbers_and_times_outside_of_the_segment_are_refused() {
    let (mut ledger, _) = cut_off();
    let chain = ledger.chain.clone();
    ledger.time_ms = NOON + 5 * DAY;
    for issued in [NOON - 1, NOON + 6 * DAY, NOON + 10 * DAY + 1] {
        let event = offline_issue(&chain, PROVIDER, "a", 1, issued);
        refused(&ledger.event(PROVIDER, event), "contingency.time-outside");
    }
    ledger.time_ms = NOON + 11 * DAY;
    for (issued, code) in [(NOON + 10 * DAY + 1, "contingency.time-outside"), (NOON + 10 * DAY, ACCEPTED)] {
        let event = offline_issue(&chain, PROVIDER, "a", 1, issued);
        assert_eq!(ledger.event(PROVIDER, event).code, code);
    }
    let document = document_of(&issue("b"));
    let mut beyond = claims(&document, 4, NOON);
    beyond.segment = segment_number(1).parse().unwrap();
    let event = submission(&chain, PROVIDER, document, beyond);
    refused(&ledger.event(PROVIDER, event), "contingency.number-outside");
    let event = offline_issue(&chain, PROVIDER, "b", 4, NOON);
    assert_eq!(ledger.event(PROVIDER, event).code, "segment.unknown", "there is none from 4 on");
}

#[test]
fn a_certificate_holds_for_one_document_one_chain_and_one_key() {
    let (mut ledger, _) = cut_off();
    let chain = ledger.chain.clone();
    let elsewhere = chain.to_string().replace("test", "other");
    let (document, other) = (document_of(&issue("a")), document_of(&issue("b")));
    let good = claims(&document, 1, NOON);
    let mut soon = good.clone();
    soon.submit_by_ms += 1;
    let mut digital = good.clone();
    digital.invoice = "26449000000000000001".parse().unwrap();
    let others = submission(&chain, SELLER, document.clone(), good.clone());
    for (what, event) in [
        ("another document", submission(&chain, PROVIDER, other, good.clone())),
        ("another deadline", submission(&chain, PROVIDER, document.clone(), soon)),
        ("a number of another profile", submission(&chain, PROVIDER, document.clone(), digital)),
        ("another chain", submission(&elsewhere.parse().unwrap(), PROVIDER, document.clone(), good.clone())),
        ("another's key", others),
    ] {
        assert_eq!(ledger.event(PROVIDER, event).code, "contingency.certificate-invalid", "{what}");
    }
    let event = submission(&chain, PROVIDER, document.clone(), good.clone());
    assert_eq!(ledger.event(SELLER, event.clone()).code, "segment.unknown", "the segment is another's");
    assert_eq!(ledger.event(OUTSIDER, segment_close(&segment_number(1))).code, "segment.unknown");
    // Under the right name, with the wrong key.
    let (signed, signature) = event.rsplit_once('.').unwrap();
    let spoilt = format!("{signed}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    assert_eq!(ledger.event(PROVIDER, spoilt).code, "contingency.certificate-invalid");
    assert_eq!(ledger.event(PROVIDER, event).code, ACCEPTED);
}

#[test]
fn a_key_that_was_revoked_certifies_nothing_any_more() {
    let (mut ledger, first) = cut_off();
    let event = offline_issue(&ledger.chain, PROVIDER, "a", 1, NOON);
    let rotated = rotate(&ledger.chain, PROVIDER, &["s2"], &["s1"]);
    assert_eq!(ledger.event(BUREAU, rotated).code, ACCEPTED);
    let statement = ledger.signed_with(PROVIDER, "s2", Mode::All, &[event]);
    assert_eq!(ledger.block(&[statement]).outcomes[0][0].code, "contingency.key-revoked");
    assert_eq!(ledger.event(BUREAU, segment_close(&first)).code, ACCEPTED);
}

#[test]
fn closing_a_segment_declares_what_it_has_not_used() {
    let (mut ledger, first) = cut_off();
    assert_eq!(submit(&mut ledger, "a", 2).code, ACCEPTED);
    let leaf = ledger.log_size;
    let outcome = ledger.event(PROVIDER, segment_close(&first));
    let range = |at: u32| NumberRange { first: at, last: at };
    let last = segment_number(3).parse().unwrap();
    assert_eq!(record(&outcome), Record::SegmentClosed { last, used: 1, gaps: vec![range(0), range(2)] });
    assert_eq!(outcome.subject, format!("segment:{first}"));
    for event in [segment_close(&first), offline_issue(&ledger.chain, PROVIDER, "b", 3, NOON)] {
        let refused = ledger.event(PROVIDER, event);
        assert_eq!((refused.code.as_str(), standing_leaf(&refused)), ("segment.closed", leaf));
    }
    // The tax bureau closes what a provider that is gone has left.
    let second = ledger.segment_of(SELLER);
    assert!(!ledger.segment(&second).is_overdue_at(NOON + 11 * DAY));
    assert!(ledger.segment(&second).is_overdue_at(NOON + 11 * DAY + 1));
    assert_eq!(ledger.event(BUREAU, segment_close(&second)).code, ACCEPTED);
}

#[test]
fn documents_are_held_to_the_rules_of_the_day_they_were_issued_on() {
    let (mut ledger, _) = cut_off();
    let chain = ledger.chain.clone();
    let mut document = document_of(&issue("a"));
    document.lines[0].tax_amount = "20.00".parse().unwrap();
    let (invalid, claimed) = (document.clone(), claims(&document, 1, NOON));
    let statement = ledger.statement(PROVIDER, Mode::All, &[submission(&chain, PROVIDER, invalid, claimed)]);
    let crate::admission::Verdict::Rejected(rejection) = ledger.judge(&statement) else { panic!("admitted") };
    assert_eq!(rejection.code, "document.invalid");
    assert!(rejection.violations[0].path.starts_with("/events/0/offline-issue/document/"), "{rejection:?}");
    // 16 % was a rate until March 2019: of what says to be issued in that month the rate is no violation, which its
    // segment then refuses.
    let old = document_of(&issue("b").replace("0.13", "0.16").replace("13.00", "16.00").replace("113.00", "116.00"));
    for (issued_ms, code) in [(1_551_400_000_000, "admitted"), (NOON, "document.invalid")] {
        let event = submission(&chain, PROVIDER, old.clone(), claims(&old, 1, issued_ms));
        let statement = ledger.statement(PROVIDER, Mode::All, &[event]);
        assert_eq!(verdict(&ledger, &statement), code);
    }
}

#[test]
fn the_same_invoice_again_is_answered_with_the_first_also_when_its_key_is_gone() {
    let (mut ledger, _) = cut_off();
    let chain = ledger.chain.clone();
    let event = offline_issue(&chain, PROVIDER, "a", 1, NOON + 1_000);
    assert_eq!(ledger.event(PROVIDER, event.clone()).code, ACCEPTED);
    assert_eq!(ledger.event(PROVIDER, rotate(&chain, PROVIDER, &["s2"], &["s1"])).code, ACCEPTED);
    let again = ledger.signed_with(PROVIDER, "s2", Mode::Each, &[event]);
    let outcome = ledger.block(&[again]).outcomes.concat().remove(0);
    assert_eq!((outcome.code.as_str(), outcome.subject.as_str()), (REPEATED, segment_number(1).as_str()));
}

#[test]
fn what_is_refused_says_nothing_about_the_invoice_that_it_names() {
    let (mut ledger, _) = cut_off();
    let id = ledger.issued("another");
    let document = document_of(&issue("forged"));
    let claims = OfflineClaims::new(&document, id.parse().unwrap(), id.parse().unwrap(), NOON, NOON);
    let event = submission(&ledger.chain.clone(), OUTSIDER, document, claims);
    let outcome = ledger.event(OUTSIDER, event);
    assert_eq!((outcome.code.as_str(), outcome.subject.as_str()), ("segment.unknown", "reference:outsider/forged"));
}
