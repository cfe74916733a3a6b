//! An organisation renamed or re-numbered: what is behind stays as it was, and stays its own.

use chain::block::Outcome;
use chain::statement::Mode;
use invoice::lifecycle::Validity;

use crate::execute::FORMER_IDS_MAX;
use crate::fixture::*;
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::party::{Party, Side};
use crate::record::{AccumulatorRecord, FilingRecord, FormerRecord, InvoiceRecord};
use crate::state::{StateKey, read, require};

const SHOP_ID: &str = "91440300708461136T";
const BUYER_ID: &str = "91350100M000100Y43";

fn invoice(ledger: &Ledger, id: &str) -> InvoiceRecord {
    require(ledger, &StateKey::invoice(&id.parse().unwrap())).unwrap()
}

fn accepted(ledger: &mut Ledger, actor: &str, event: impl Into<String>) -> Outcome {
    let outcome = ledger.event(actor, event);
    assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
    outcome
}

/// `domain.md` §2: seller renamed after issue; the ledger keeps names at the time of issue.
#[test]
fn a_renamed_seller_changes_nothing_behind_and_issues_under_its_new_name() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let before = invoice(&ledger, &id);
    let renamed = accepted(&mut ledger, BUREAU, rename(SELLER, "Shop & Sons"));
    let former = Record::Renamed {
        former_name: "shop Ltd".to_owned(),
        former_taxpayer_id: SHOP_ID.parse().unwrap(),
        from_height: ledger.height,
    };
    assert_eq!((renamed.subject.as_str(), record(&renamed)), ("organisation:shop", former));
    assert_eq!(invoice(&ledger, &id), before);
    // What was signed before the new name and is ordered after it names the seller wrongly.
    let late = ledger.event(SELLER, issue("b"));
    let names = ("Shop & Sons".to_owned(), "shop Ltd".to_owned());
    assert_eq!(refused_with(&late, "issue.seller-name-differs"), names);
    accepted(&mut ledger, SELLER, issue("b").replace("shop Ltd", "Shop & Sons"));
    // The same document again is answered with the first, under whichever name it was issued.
    assert_eq!(ledger.event(BUREAU, rename(SELLER, "Shop & Sons")).code, "organisation.unchanged");
}

#[test]
fn a_name_changes_from_the_next_block_on() {
    let mut ledger = Ledger::new();
    let rename =
        ledger.statement(BUREAU, Mode::Each, &[rename(SELLER, "Shop & Sons"), renumber(SELLER, FREE_TAXPAYER)]);
    let inside = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let outcomes = ledger.block(&[rename, inside]).outcomes;
    assert!(outcomes.iter().flatten().all(|outcome| outcome.code == ACCEPTED), "{outcomes:?}");
    let party = Party::Taxpayer(SHOP_ID.parse().unwrap());
    assert_eq!(invoice(&ledger, &outcomes[1][0].subject).seller_party, party);
}

/// `domain.md` §2: USCC changed after issue.
#[test]
fn a_renumbered_seller_issues_under_its_new_id_and_takes_back_what_it_issued_under_the_old() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let before = invoice(&ledger, &id);
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    assert_eq!(invoice(&ledger, &id), before);
    let old = ledger.event(SELLER, issue("b"));
    let ids = (FREE_TAXPAYER.to_owned(), SHOP_ID.to_owned());
    assert_eq!(refused_with(&old, "issue.seller-taxpayer-id-former"), ids);
    let new = accepted(&mut ledger, PROVIDER, issue("b").replace(SHOP_ID, FREE_TAXPAYER));
    assert_eq!(invoice(&ledger, &new.subject).seller_party, Party::Taxpayer(FREE_TAXPAYER.parse().unwrap()));
    accepted(&mut ledger, SELLER, void(&id));
    assert_eq!(invoice(&ledger, &id).validity, Validity::Void);
}

#[test]
fn a_renumbered_holder_holds_what_it_held() {
    let mut ledger = Ledger::new();
    let (first, second) = (ledger.issued("a"), ledger.issued("b"));
    accepted(&mut ledger, PLATFORM_A, lock(&first, "c"));
    accepted(&mut ledger, BUREAU, renumber(BUYER, FREE_TAXPAYER));
    // Its platform closes what it locked before, and locks what it holds under the old id.
    accepted(&mut ledger, PLATFORM_A, claim_event("close", &first, "c", 1));
    accepted(&mut ledger, PLATFORM_B, lock(&second, "d"));
    assert_eq!(ledger.event(PLATFORM_A, lock(&second, "e")).code, "reimbursement.already-locked");
    accepted(&mut ledger, PLATFORM_B, claim_event("unlock", &second, "d", 1));
    // Handing on to itself writes the new id; the document keeps the old one.
    accepted(&mut ledger, BUYER, transfer(&second, BUYER));
    let record = invoice(&ledger, &second);
    assert_eq!(record.holder, Party::Taxpayer(FREE_TAXPAYER.parse().unwrap()));
    assert_eq!(record.buyer, Party::Taxpayer(BUYER_ID.parse().unwrap()));
    accepted(&mut ledger, PLATFORM_B, lock(&second, "f"));
    // A seller that has not heard of it yet writes the old id, and the invoice is the buyer's all the same.
    let third = ledger.issued("c");
    accepted(&mut ledger, BUYER, transfer(&third, OUTSIDER));
}

#[test]
fn a_taxpayer_id_that_was_given_up_is_never_given_to_another_and_may_come_back() {
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    for event in [
        admit("mall", SHOP_ID),
        register(&[("mall", SHOP_ID)]),
        renumber(BUYER, SHOP_ID),
        renumber(BUYER, FREE_TAXPAYER),
    ] {
        assert_eq!(ledger.event(BUREAU, event.clone()).code, "organisation.taxpayer-id-taken", "{event}");
    }
    accepted(&mut ledger, BUREAU, renumber(SELLER, SHOP_ID));
    let former: FormerRecord = require(&ledger, &StateKey::former(&organisation_id(SELLER))).unwrap();
    let ids: Vec<String> = former.ids.iter().map(|former| former.taxpayer_id.to_string()).collect();
    assert_eq!(ids, [FREE_TAXPAYER]);
    accepted(&mut ledger, SELLER, issue("a"));
}

#[test]
fn the_kind_of_a_taxpayer_id_is_corrected_without_giving_the_id_up() {
    let mut ledger = Ledger::new();
    // A real code whose check character is wrong: registered as what it is, it is no longer in the way.
    let odd = renumber(SELLER, "91350211M0000XUF46").replace("uscc", "other");
    accepted(&mut ledger, BUREAU, odd);
    accepted(&mut ledger, SELLER, issue("a").replace(SHOP_ID, "91350211M0000XUF46"));
    let again = renumber(BUYER, BUYER_ID).replace("uscc", "other");
    accepted(&mut ledger, BUREAU, again);
    assert_eq!(read::<FormerRecord>(&ledger, &StateKey::former(&organisation_id(BUYER))).unwrap(), None);
}

#[test]
fn an_organisation_has_a_limited_number_of_taxpayer_ids() {
    let mut ledger = Ledger::new();
    for number in 0..FORMER_IDS_MAX {
        accepted(&mut ledger, BUREAU, renumber(SELLER, &format!("9160000000000{number:02}")));
    }
    assert_eq!(ledger.event(BUREAU, renumber(SELLER, FREE_TAXPAYER)).code, "organisation.taxpayer-ids-spent");
    accepted(&mut ledger, BUREAU, renumber(SELLER, "916000000000003"));
    accepted(&mut ledger, BUREAU, rename(SELLER, "Shop & Sons"));
}

#[test]
fn a_month_under_two_taxpayer_ids_is_filed_as_one() {
    let mut ledger = Ledger::new();
    ledger.issued("a");
    let voided = ledger.issued("b");
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    accepted(&mut ledger, SELLER, void(&voided));
    for reference in ["c", "d"] {
        accepted(&mut ledger, SELLER, issue(reference).replace(SHOP_ID, FREE_TAXPAYER));
    }
    let month = |taxpayer: &str| {
        let party = Party::Taxpayer(taxpayer.parse().unwrap());
        let key = StateKey::accumulator("2026-11".parse().unwrap(), Side::Seller, &party);
        require::<AccumulatorRecord>(&ledger, &key).unwrap()
    };
    let (old, new) = (month(SHOP_ID), month(FREE_TAXPAYER));
    assert_eq!((old.invoices, old.leaves, new.invoices, new.leaves), (1, 3, 2, 2));
    ledger.time_ms = MONTH_END;
    let wrong = ledger.event(SELLER, file("2026-11", 2, "200.00", "26.00"));
    let whole = "3 invoices; 0.13: net 300.00 tax 39.00".to_owned();
    assert_eq!(refused_with(&wrong, "filing.totals-differ").0, whole);
    let filed = accepted(&mut ledger, PROVIDER, file("2026-11", 3, "300.00", "39.00"));
    let chain = chain::hash::Hash::of_parts(&[old.chain.as_bytes(), new.chain.as_bytes()]);
    assert!(matches!(record(&filed), Record::Filed { invoices: 3, chain: found, .. } if found == chain), "{filed:?}");
    let key = StateKey::filing(&organisation_id(SELLER), "2026-11".parse().unwrap());
    assert_eq!(require::<FilingRecord>(&ledger, &key).unwrap().chain, chain);
    // Filed is filed, under every id.
    assert_eq!(ledger.event(SELLER, void("144032609110-00000003")).code, "void.period-filed");
}

#[test]
fn a_month_under_one_of_several_ids_is_that_month() {
    let mut ledger = Ledger::new();
    ledger.issued("a");
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    let party = Party::Taxpayer(SHOP_ID.parse().unwrap());
    let key = StateKey::accumulator("2026-11".parse().unwrap(), Side::Seller, &party);
    let month: AccumulatorRecord = require(&ledger, &key).unwrap();
    ledger.time_ms = MONTH_END;
    let filed = accepted(&mut ledger, SELLER, file("2026-11", 1, "100.00", "13.00"));
    assert!(matches!(record(&filed), Record::Filed { invoices: 1, chain, .. } if chain == month.chain), "{filed:?}");
}

#[test]
fn the_same_document_again_is_answered_with_the_first_whatever_the_seller_is_called_by_now() {
    let mut ledger = Ledger::new();
    let first = accepted(&mut ledger, SELLER, issue("a"));
    let again = |ledger: &mut Ledger, actor: &str| {
        let outcome = ledger.event(actor, issue("a"));
        assert_eq!(outcome.code, REPEATED, "{:?}", record(&outcome));
        let Record::Repeated { original } = record(&outcome) else { panic!("{outcome:?}") };
        assert_eq!(original, invoice(ledger, &first.subject).issue);
    };
    accepted(&mut ledger, BUREAU, rename(SELLER, "Shop & Sons"));
    again(&mut ledger, SELLER);
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    again(&mut ledger, SELLER);
    again(&mut ledger, PROVIDER);
    // Another document under the reference is told so, before it is told what else is wrong with it.
    let other = issue("a").replace("shop Ltd", "Shop & Sons");
    assert_eq!(ledger.event(SELLER, other).code, "issue.reference-reused");
}

#[test]
fn a_taxpayer_id_written_in_error_leads_nowhere_and_goes_to_its_owner_with_what_was_addressed_to_it() {
    let mut ledger = Ledger::new();
    // The bureau's clerk had given the buyer the mall's id.
    let (held, locked) = (ledger.issued("a"), ledger.issued("b"));
    accepted(&mut ledger, PLATFORM_A, lock(&locked, "c"));
    accepted(&mut ledger, BUREAU, correct(BUYER, FREE_TAXPAYER));
    assert_eq!(
        read::<FormerRecord>(&ledger, &StateKey::former(&organisation_id(BUYER))).unwrap(),
        Some(FormerRecord::default())
    );
    assert_eq!(ledger.event(BUYER, transfer(&held, BUYER)).code, "invoice.unknown");
    assert_eq!(ledger.event(PLATFORM_A, lock(&held, "d")).code, "reimbursement.not-holder");
    // What is locked for the wrong one is neither renewed nor closed, and may be given up.
    for kind in ["renew", "close"] {
        let outcome = ledger.event(PLATFORM_A, claim_event(kind, &locked, "c", 1));
        assert_eq!(refused(&outcome, "reimbursement.not-holder"), BUYER);
    }
    accepted(&mut ledger, PLATFORM_A, claim_event("unlock", &locked, "c", 1));
    accepted(&mut ledger, BUREAU, admit("mall", BUYER_ID));
    let hand_on = ledger.signed_with("mall", "statement", Mode::Each, &[transfer(&held, OUTSIDER)]);
    assert_eq!(ledger.block(&[hand_on]).outcomes[0][0].code, ACCEPTED);
    // It cannot come back to who never had it.
    assert_eq!(ledger.event(BUREAU, renumber(BUYER, BUYER_ID)).code, "organisation.taxpayer-id-taken");
}

#[test]
fn a_taxpayer_id_under_which_something_was_issued_is_given_up_and_not_released() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    accepted(&mut ledger, SELLER, void(&id));
    let found = refused(&ledger.event(BUREAU, correct(SELLER, FREE_TAXPAYER)), "organisation.taxpayer-id-used");
    assert_eq!(found, "2026-11");
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    // The new one was never used: a slip of the clerk's.
    accepted(&mut ledger, BUREAU, correct(SELLER, SHOP_ID));
    accepted(&mut ledger, BUREAU, register(&[("mall", FREE_TAXPAYER)]));
    accepted(&mut ledger, SELLER, issue("b"));
    // Nobody looks through all the months of an id that has long been there.
    ledger.time_ms += 25 * 31 * DAY;
    assert_eq!(ledger.event(BUREAU, correct(BUYER, "916000000000001")).code, "organisation.taxpayer-id-used");
    accepted(&mut ledger, BUREAU, renumber(BUYER, "916000000000001"));
}

#[test]
fn an_id_that_a_block_takes_from_its_seller_has_no_sale_in_that_block() {
    let mut ledger = Ledger::new();
    let rename = ledger.statement(BUREAU, Mode::Each, &[correct(SELLER, FREE_TAXPAYER)]);
    let inside = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let outcomes = ledger.block(&[rename, inside]).outcomes;
    assert_eq!((outcomes[0][0].code.as_str(), outcomes[1][0].code.as_str()), (ACCEPTED, "organisation.unknown"));
    // Whoever gets the id gets no sale with it, and what is granted now counts from nothing.
    assert_eq!(ledger.event(BUREAU, quota_grant(SELLER, "2026-11", "500.00")).code, ACCEPTED);
    assert_eq!(ledger.quota_used("2026-11").as_deref(), Some("0.00"));
    let id = ledger.event(SELLER, issue("a").replace(SHOP_ID, FREE_TAXPAYER)).subject;
    assert_eq!(ledger.event(SELLER, void(&id)).code, ACCEPTED);
}

#[test]
fn what_comes_to_an_organisation_in_the_block_that_corrects_its_id_comes_under_the_right_one() {
    let mut ledger = Ledger::new();
    let taken = ledger.event(SELLER, issue_to("p", r#"{"person":{"id":"p-1"}}"#)).subject;
    let rename = ledger.statement(BUREAU, Mode::Each, &[correct(OUTSIDER, FREE_TAXPAYER)]);
    let inside = ledger.statement(SELLER, Mode::Each, &[transfer(&taken, OUTSIDER)]);
    let outcomes = ledger.block(&[rename, inside]).outcomes;
    assert_eq!([&outcomes[0][0].code, &outcomes[1][0].code], [ACCEPTED, ACCEPTED]);
    assert_eq!(invoice(&ledger, &taken).holder, Party::Taxpayer(FREE_TAXPAYER.parse().unwrap()));
}

#[test]
fn a_red_letter_in_the_block_that_renumbers_its_seller_is_of_an_id_that_leads_to_it() {
    let second = "915000000000088";
    for (next, code) in [(renumber(SELLER, second), ACCEPTED), (correct(SELLER, second), "organisation.unknown")] {
        let mut ledger = Ledger::new();
        let id = ledger.issued("a");
        assert_eq!(ledger.event(BUREAU, renumber(SELLER, FREE_TAXPAYER)).code, ACCEPTED);
        let rename = ledger.statement(BUREAU, Mode::Each, &[next]);
        let letter = issue_red(&id, &issue("a"), "r", FULL);
        let inside = ledger.statement(SELLER, Mode::Each, std::slice::from_ref(&letter));
        let outcomes = ledger.block(&[rename, inside]).outcomes;
        assert_eq!([outcomes[0][0].code.as_str(), outcomes[1][0].code.as_str()], [ACCEPTED, code]);
        if code == ACCEPTED {
            let red = invoice(&ledger, &outcomes[1][0].subject);
            assert_eq!(red.seller_party, Party::Taxpayer(FREE_TAXPAYER.parse().unwrap()), "as the parent has it");
        } else {
            let red = ledger.event(SELLER, letter).subject;
            let red = invoice(&ledger, &red);
            assert_eq!(red.seller_party, Party::Taxpayer(second.parse().unwrap()), "in the next block");
        }
    }
}
