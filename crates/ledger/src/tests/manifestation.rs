//! What a buyer says of an invoice, and what its seller says otherwise.

use crate::event::Stance;
use crate::fixture::*;
use crate::manifestation::{CorrectionRecord, ManifestationRecord};
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::record::InvoiceRecord;
use crate::state::{StateKey, require};

fn accepted(ledger: &mut Ledger, actor: &str, event: String) -> Record {
    let outcome = ledger.event(actor, event);
    assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
    record(&outcome)
}

fn code(ledger: &mut Ledger, actor: &str, event: String) -> String {
    ledger.event(actor, event).code
}

fn said(ledger: &Ledger, id: &str) -> ManifestationRecord {
    require(ledger, &StateKey::manifestation(&id.parse().unwrap())).unwrap()
}

fn corrected(ledger: &Ledger, id: &str) -> CorrectionRecord {
    require(ledger, &StateKey::correction(&id.parse().unwrap())).unwrap()
}

#[test]
fn the_newest_word_of_the_buyer_counts() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let buyer = organisation_id(BUYER);
    let first = accepted(&mut ledger, BUYER, manifest(&id, "dispute"));
    assert_eq!(first, Record::Manifested { buyer: buyer.clone(), former: None });
    assert_eq!(said(&ledger, &id).reason.unwrap().as_str(), "we know of no such order");
    let leaf = said(&ledger, &id).leaf;
    let again = ledger.event(BUYER, manifest(&id, "dispute"));
    assert_eq!((again.code.as_str(), record(&again)), (REPEATED, Record::Repeated { original: leaf }));
    let second = accepted(&mut ledger, BUYER, manifest(&id, "confirm"));
    assert_eq!(second, Record::Manifested { buyer, former: Some(Stance::Dispute) });
    assert_eq!((said(&ledger, &id).kind, said(&ledger, &id).reason), (Stance::Confirm, None));
}

#[test]
fn a_buyer_has_180_days_to_the_millisecond() {
    let mut ledger = Ledger::new();
    let issued_ms = ledger.time_ms;
    let id = ledger.issued("a");
    ledger.time_ms = issued_ms + 180 * DAY - 1;
    accepted(&mut ledger, BUYER, manifest(&id, "acknowledge"));
    ledger.time_ms = issued_ms + 180 * DAY;
    // What was said in time is answered again, and nothing else is said.
    assert_eq!(code(&mut ledger, BUYER, manifest(&id, "acknowledge")), REPEATED);
    assert_eq!(code(&mut ledger, BUYER, manifest(&id, "confirm")), "manifest.too-late");
    assert_eq!(said(&ledger, &id).kind, Stance::Acknowledge);
}

#[test]
fn only_the_buyer_and_who_files_for_it_speak_for_the_buyer() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    for (actor, refusal) in [
        (SELLER, "invoice.not-permitted"),
        (PROVIDER, "invoice.not-permitted"),
        (PLATFORM_A, "invoice.not-permitted"),
        (BUREAU, "invoice.not-permitted"),
        (OUTSIDER, "invoice.unknown"),
    ] {
        assert_eq!(code(&mut ledger, actor, manifest(&id, "confirm")), refusal, "{actor}");
    }
    accepted(&mut ledger, BUYER, mandate_to(PROVIDER, r#""file""#));
    accepted(&mut ledger, PROVIDER, manifest(&id, "confirm"));
    let taken_back = ledger.issued("b");
    accepted(&mut ledger, SELLER, void(&taken_back));
    assert_eq!(code(&mut ledger, BUYER, manifest(&taken_back, "unknown")), "invoice.void");
    let of_a_person = ledger.event(SELLER, issue_to("c", r#"{"person":{"id":"p1"}}"#)).subject;
    assert_eq!(code(&mut ledger, SELLER, manifest(&of_a_person, "confirm")), "invoice.not-permitted");
}

#[test]
fn a_correction_stands_beside_the_invoice_and_changes_nothing_of_it() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let key = StateKey::invoice(&id.parse().unwrap());
    let before: InvoiceRecord = require(&ledger, &key).unwrap();
    let one = r#"{"seller":{"phone":"1","address":"Road 1"}}"#;
    assert_eq!(accepted(&mut ledger, SELLER, correct_fields(&id, one)), Record::Corrected { number: 1 });
    let two = r#"{"seller":{"phone":"2"},"buyer":{"bank":"Bank"},"remark":"order 7"}"#;
    assert_eq!(accepted(&mut ledger, PROVIDER, correct_fields(&id, two)), Record::Corrected { number: 2 });
    let both = r#"{"seller":{"address":"Road 1","phone":"2"},"buyer":{"bank":"Bank"},"remark":"order 7"}"#;
    assert_eq!(serde_json::to_string(&corrected(&ledger, &id).fields).unwrap(), both);
    let again = ledger.event(SELLER, correct_fields(&id, r#"{"seller":{"phone":"2"}}"#));
    assert_eq!(again.code, "correction.unchanged");
    let Record::Refused(refused) = record(&again) else { panic!("{again:?}") };
    assert_eq!(refused.standing.unwrap().leaf, corrected(&ledger, &id).leaf);
    assert_eq!(require::<InvoiceRecord>(&ledger, &key).unwrap(), before);
}

#[test]
fn an_invoice_is_corrected_twenty_times_and_no_more() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    for number in 1..=20 {
        let remark = format!(r#"{{"remark":"order {number}"}}"#);
        assert_eq!(accepted(&mut ledger, SELLER, correct_fields(&id, &remark)), Record::Corrected { number });
    }
    assert_eq!(code(&mut ledger, SELLER, correct_fields(&id, r#"{"remark":"order 21"}"#)), "correction.spent");
    assert_eq!(code(&mut ledger, SELLER, correct_fields(&id, r#"{"remark":"order 20"}"#)), "correction.unchanged");
}

#[test]
fn only_the_seller_corrects_and_nothing_of_a_person_or_of_what_is_void() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let remark = r#"{"remark":"order 7"}"#;
    assert_eq!(code(&mut ledger, BUYER, correct_fields(&id, remark)), "invoice.not-permitted");
    assert_eq!(code(&mut ledger, OUTSIDER, correct_fields(&id, remark)), "invoice.unknown");
    let of_a_person = ledger.event(SELLER, issue_to("b", r#"{"person":{"id":"p1"}}"#)).subject;
    let phone = r#"{"buyer":{"phone":"1"}}"#;
    assert_eq!(code(&mut ledger, SELLER, correct_fields(&of_a_person, phone)), "correction.person");
    accepted(&mut ledger, SELLER, correct_fields(&of_a_person, remark));
    accepted(&mut ledger, SELLER, void(&id));
    assert_eq!(code(&mut ledger, SELLER, correct_fields(&id, remark)), "invoice.void");
}

#[test]
fn a_text_that_no_document_may_have_is_rejected_at_the_door() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let long = format!(r#"{{"remark":"{}"}}"#, "x".repeat(201));
    for (fields, rejection) in
        [(long.as_str(), "document.invalid"), (r#"{"remark":" "}"#, "document.invalid"), ("{}", "event.malformed")]
    {
        let statement = ledger.statement(SELLER, chain::statement::Mode::Each, &[correct_fields(&id, fields)]);
        assert_eq!(verdict(&ledger, &statement), rejection, "{fields}");
    }
}
