//! Locks, leases and tokens.

use chain::statement::Mode;

use crate::fixture::*;
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::refusal::Standing;

fn standing(outcome: &chain::block::Outcome) -> Standing {
    let Record::Refused(refused) = record(outcome) else { panic!("{outcome:?}") };
    refused.standing.expect("something stands in the way")
}

#[test]
fn of_two_locks_in_one_block_the_first_wins_and_the_second_learns_who_and_until_when() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let first = ledger.statement(PLATFORM_A, Mode::Each, &[lock(&id, "claim-a")]);
    let second = ledger.statement(PLATFORM_B, Mode::Each, &[lock(&id, "claim-b")]);
    let time_ms = ledger.time_ms;
    let outcomes = ledger.block(&[first, second]).outcomes;
    assert_eq!(outcomes[0][0].code, ACCEPTED);
    assert_eq!(outcomes[1][0].code, "reimbursement.already-locked");
    let standing = standing(&outcomes[1][0]);
    assert_eq!(standing.organisation.as_str(), PLATFORM_A);
    assert_eq!((standing.since_ms, standing.until_ms), (time_ms, Some(time_ms + 30 * DAY)));
    assert_eq!(standing.leaf.index, 1);
    assert!(!String::from_utf8_lossy(&outcomes[1][0].record).contains("claim-a"), "not what for");
}

#[test]
fn a_closed_invoice_stays_closed_and_says_since_when() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(PLATFORM_A, lock(&id, "c"));
    let closed_ms = ledger.time_ms;
    assert_eq!(ledger.event(PLATFORM_A, claim_event("close", &id, "c", 1)).code, ACCEPTED);
    let second = ledger.event(PLATFORM_B, lock(&id, "d"));
    assert_eq!(second.code, "reimbursement.already-closed");
    assert_eq!(standing(&second).since_ms, closed_ms);
    assert_eq!(standing(&second).until_ms, None);
    assert_eq!(ledger.event(PLATFORM_A, claim_event("close", &id, "c", 1)).code, REPEATED);
    assert_eq!(ledger.event(PLATFORM_A, claim_event("unlock", &id, "c", 1)).code, "reimbursement.already-closed");
}

#[test]
fn a_lock_asked_again_for_the_same_claim_is_the_same_lock() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(PLATFORM_A, lock(&id, "c"));
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, REPEATED);
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "other")).code, "reimbursement.already-locked");
}

#[test]
fn a_lease_that_has_ended_is_open_by_itself_and_its_token_is_stale() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let short = lock(&id, "c").replace("\"claim\"", "\"lease_seconds\":60,\"claim\"");
    let locked_ms = ledger.time_ms;
    assert_eq!(ledger.event(PLATFORM_A, short).code, ACCEPTED);
    ledger.time_ms = locked_ms + 59_999;
    assert_eq!(ledger.event(PLATFORM_B, lock(&id, "d")).code, "reimbursement.already-locked");
    ledger.time_ms = locked_ms + 60_000;
    assert_eq!(ledger.event(PLATFORM_A, claim_event("close", &id, "c", 1)).code, "reimbursement.not-locked");
    let taken = ledger.event(PLATFORM_B, lock(&id, "d"));
    assert!(matches!(record(&taken), Record::Locked { token: 2, .. }), "{taken:?}");
    let late = ledger.event(PLATFORM_A, claim_event("close", &id, "c", 1));
    assert_eq!(late.code, "reimbursement.already-locked");
    assert_eq!(standing(&late).organisation.as_str(), PLATFORM_B);
    assert_eq!(ledger.event(PLATFORM_B, claim_event("close", &id, "d", 1)).code, "reimbursement.stale-token");
    assert_eq!(ledger.event(PLATFORM_B, claim_event("close", &id, "c", 2)).code, "reimbursement.wrong-claim");
    assert_eq!(ledger.event(PLATFORM_B, claim_event("close", &id, "d", 2)).code, ACCEPTED);
}

#[test]
fn a_lease_is_renewed_up_to_its_total_and_never_shortened() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let since = ledger.time_ms;
    ledger.event(PLATFORM_A, lock(&id, "c"));
    let shorter = claim_event("renew", &id, "c", 1).replace("\"claim\"", "\"lease_seconds\":1,\"claim\"");
    let renewed = ledger.event(PLATFORM_A, shorter);
    assert!(matches!(record(&renewed), Record::Renewed { until_ms, .. } if until_ms == since + 30 * DAY));
    ledger.time_ms = since + 29 * DAY;
    assert_eq!(ledger.event(PLATFORM_A, claim_event("renew", &id, "c", 1)).code, ACCEPTED);
    ledger.time_ms = since + 58 * DAY;
    assert_eq!(ledger.event(PLATFORM_A, claim_event("renew", &id, "c", 1)).code, ACCEPTED);
    ledger.time_ms = since + 87 * DAY;
    assert_eq!(ledger.event(PLATFORM_A, claim_event("renew", &id, "c", 1)).code, "reimbursement.lease-too-long");
    let too_long = lock(&id, "c").replace("\"claim\"", "\"lease_seconds\":2592001,\"claim\"");
    ledger.time_ms = since + 200 * DAY;
    assert_eq!(ledger.event(PLATFORM_B, too_long).code, "reimbursement.lease-too-long");
}

#[test]
fn nobody_locks_for_an_enterprise_without_its_mandate() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    assert_eq!(ledger.event(OUTSIDER, lock(&id, "c")).code, "mandate.missing");
    assert_eq!(ledger.event(BUYER, lock(&id, "c")).code, "organisation.role-missing");
    let other = lock(&id, "c").replace("\"enterprise\":\"buyer\"", "\"enterprise\":\"outsider\"");
    assert_eq!(ledger.event(OUTSIDER, other).code, "reimbursement.not-holder");
    let unknown = lock("144032609110-00000777", "c");
    assert_eq!(ledger.event(PLATFORM_A, unknown).code, "invoice.unknown");
}

#[test]
fn an_unlocked_invoice_can_be_locked_by_another() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(PLATFORM_A, lock(&id, "c"));
    assert_eq!(ledger.event(PLATFORM_B, claim_event("unlock", &id, "c", 1)).code, "reimbursement.already-locked");
    assert_eq!(ledger.event(PLATFORM_A, claim_event("unlock", &id, "c", 1)).code, ACCEPTED);
    let locked = ledger.event(PLATFORM_B, lock(&id, "d"));
    assert!(matches!(record(&locked), Record::Locked { token: 2, .. }), "{locked:?}");
}

#[test]
fn giving_a_lock_up_and_taking_it_again_does_not_begin_the_total_anew() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let since = ledger.time_ms;
    ledger.event(PLATFORM_A, lock(&id, "c"));
    for (round, day) in [29, 58].into_iter().enumerate() {
        ledger.time_ms = since + day * DAY;
        let unlock = claim_event("unlock", &id, "c", u64::try_from(round).unwrap() + 1);
        let outcomes = ledger.events(PLATFORM_A, Mode::All, &[unlock, lock(&id, "c")]);
        assert!(outcomes.iter().all(|outcome| outcome.code == ACCEPTED), "{outcomes:?}");
    }
    ledger.time_ms = since + 87 * DAY;
    let again = [claim_event("unlock", &id, "c", 3), lock(&id, "c")];
    let outcomes = ledger.events(PLATFORM_A, Mode::All, &again);
    assert_eq!(outcomes[1].code, "reimbursement.lease-too-long");
    // After a day in which others could come it may begin again; another platform may at once.
    assert_eq!(ledger.event(PLATFORM_A, claim_event("unlock", &id, "c", 3)).code, ACCEPTED);
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, "reimbursement.lease-too-long");
    ledger.time_ms += DAY;
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, ACCEPTED);
}

#[test]
fn the_bureau_ends_a_lock_and_its_token_is_good_for_nothing_any_more() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    assert_eq!(ledger.event(BUREAU, override_lock(&id, 1)).code, "reimbursement.not-locked");
    let locked = ledger.event(PLATFORM_A, lock(&id, "c"));
    for actor in [SELLER, BUYER, PLATFORM_A, PLATFORM_B] {
        assert_eq!(ledger.event(actor, override_lock(&id, 1)).code, "invoice.not-permitted", "{actor}");
    }
    assert_eq!(ledger.event(OUTSIDER, override_lock(&id, 1)).code, "invoice.unknown");
    let ended = ledger.event(BUREAU, override_lock(&id, 1));
    let Record::Overridden { token, platform, enterprise, lock: leaf } = record(&ended) else { panic!("{ended:?}") };
    assert_eq!((token, platform.as_str(), enterprise.as_str(), leaf.index), (1, PLATFORM_A, BUYER, 2));
    assert_eq!(locked.code, ACCEPTED);
    for kind in ["renew", "unlock", "close"] {
        assert_eq!(ledger.event(PLATFORM_A, claim_event(kind, &id, "c", 1)).code, "reimbursement.not-locked", "{kind}");
    }
    assert_eq!(ledger.event(BUREAU, override_lock(&id, 1)).code, "reimbursement.not-locked");
    // Another is first now, and the platform that comes back late learns so.
    let taken = ledger.event(PLATFORM_B, lock(&id, "d"));
    assert!(matches!(record(&taken), Record::Locked { token: 2, .. }), "{taken:?}");
    let late = ledger.event(PLATFORM_A, claim_event("close", &id, "c", 1));
    assert_eq!(standing(&late).organisation.as_str(), PLATFORM_B);
}

#[test]
fn the_bureau_ends_the_lock_it_decided_about_and_not_the_one_after_it() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(PLATFORM_A, lock(&id, "c"));
    ledger.event(PLATFORM_A, claim_event("unlock", &id, "c", 1));
    ledger.event(PLATFORM_B, lock(&id, "d"));
    assert_eq!(ledger.event(BUREAU, override_lock(&id, 1)).code, "reimbursement.stale-token");
    assert_eq!(ledger.event(PLATFORM_B, claim_event("close", &id, "d", 2)).code, ACCEPTED);
    // What is reimbursed stays so.
    let closed = ledger.event(BUREAU, override_lock(&id, 2));
    assert_eq!(closed.code, "reimbursement.already-closed");
    assert_eq!(standing(&closed).organisation.as_str(), PLATFORM_B);
}

#[test]
fn a_lease_that_has_ended_needs_no_override() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let until_ms = ledger.time_ms + 30 * DAY;
    ledger.event(PLATFORM_A, lock(&id, "c"));
    ledger.time_ms = until_ms;
    assert_eq!(ledger.event(BUREAU, override_lock(&id, 1)).code, "reimbursement.not-locked");
}

#[test]
fn the_bureau_ends_a_lock_that_its_platform_can_no_longer_give_up() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(PLATFORM_A, lock(&id, "c"));
    assert_eq!(ledger.event(BUREAU, suspend(PLATFORM_A)).code, ACCEPTED);
    assert_eq!(ledger.event(PLATFORM_A, claim_event("unlock", &id, "c", 1)).code, "organisation.suspended");
    assert_eq!(ledger.event(BUREAU, override_lock(&id, 1)).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, void(&id)).code, ACCEPTED, "nobody claims it any more");
}

#[test]
fn an_override_begins_no_new_total() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let since = ledger.time_ms;
    ledger.event(PLATFORM_A, lock(&id, "c"));
    for (token, day) in [(1, 29), (2, 58)] {
        ledger.time_ms = since + day * DAY;
        assert_eq!(ledger.event(BUREAU, override_lock(&id, token)).code, ACCEPTED);
        assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, ACCEPTED);
    }
    ledger.time_ms = since + 87 * DAY;
    assert_eq!(ledger.event(BUREAU, override_lock(&id, 3)).code, ACCEPTED);
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, "reimbursement.lease-too-long");
    assert_eq!(ledger.event(PLATFORM_B, lock(&id, "d")).code, ACCEPTED);
}

#[test]
fn an_override_says_which_lock_why_and_on_what_ground_and_nothing_else() {
    let read = |text: &str| serde_json::from_str::<crate::event::Event>(text);
    let good = override_lock("144032609110-00000001", 1);
    assert_eq!(read(&good).unwrap().to_json(), good);
    for bad in [
        good.replace("platform-gone", "because"),
        good.replace("\"token\":1,", ""),
        good.replace("\"token\":1", "\"token\":1,\"note\":\"Mr Li\""),
        good.replace(&chain::hash::Hash::of(b"decision 7").to_string(), "7f"),
    ] {
        assert_ne!(bad, good);
        assert!(read(&bad).is_err(), "{bad}");
    }
}

#[test]
fn many_invoices_are_locked_and_closed_together_or_not_at_all() {
    let mut ledger = Ledger::new();
    let ids: Vec<String> = ["a", "b", "c"].map(|reference| ledger.issued(reference)).into();
    ledger.event(PLATFORM_B, lock(&ids[2], "d"));
    let all: Vec<String> = ids.iter().map(|id| lock(id, "c")).collect();
    let codes = |outcomes: &[chain::block::Outcome]| outcomes.iter().map(|it| it.code.clone()).collect::<Vec<_>>();
    let refused = ledger.events(PLATFORM_A, Mode::All, &all);
    let expected = ["statement.all-refused", "statement.all-refused", "reimbursement.already-locked"];
    assert_eq!(codes(&refused), expected);
    // Nothing of it is left: the tokens are the first ones.
    assert_eq!(ledger.event(PLATFORM_B, claim_event("unlock", &ids[2], "d", 1)).code, ACCEPTED);
    let locked = ledger.events(PLATFORM_A, Mode::All, &all);
    let tokens: Vec<u64> = (locked.iter().map(record))
        .map(|record| if let Record::Locked { token, .. } = record { token } else { panic!("{record:?}") })
        .collect();
    assert_eq!(tokens, [1, 1, 2]);
    let close =
        |newest| [(0, 1), (1, 1), (2, newest)].map(|(place, token)| claim_event("close", &ids[place], "c", token));
    let stale = ledger.events(PLATFORM_A, Mode::All, &close(1));
    assert_eq!(codes(&stale), ["statement.all-refused", "statement.all-refused", "reimbursement.stale-token"]);
    assert_eq!(codes(&ledger.events(PLATFORM_A, Mode::All, &close(2))), [ACCEPTED; 3]);
    assert_eq!(codes(&ledger.events(PLATFORM_A, Mode::All, &close(2))), [REPEATED; 3], "the same again is the same");
}

#[test]
fn a_claim_hinders_transfers_and_a_lease_that_has_ended_does_not() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    ledger.event(PLATFORM_A, lock(&id, "c"));
    let locked = ledger.event(BUYER, transfer(&id, OUTSIDER));
    assert_eq!(locked.code, "reimbursement.already-locked");
    assert_eq!(standing(&locked).organisation.as_str(), PLATFORM_A);
    ledger.time_ms += 30 * DAY;
    assert_eq!(ledger.event(BUYER, transfer(&id, "nobody-here")).code, "organisation.unknown");
    assert_eq!(ledger.event(BUYER, transfer(&id, OUTSIDER)).code, ACCEPTED);
    // Who handed it on has it no longer, and neither has the platform of who handed it on.
    assert_eq!(ledger.event(BUYER, transfer(&id, BUYER)).code, "invoice.unknown");
    assert_eq!(ledger.event(PLATFORM_B, lock(&id, "d")).code, "reimbursement.not-holder");
    let own = lock(&id, "e").replace("\"enterprise\":\"buyer\"", "\"enterprise\":\"outsider\"");
    assert_eq!(ledger.event(OUTSIDER, own).code, ACCEPTED);
    assert_eq!(ledger.event(OUTSIDER, claim_event("close", &id, "e", 2)).code, ACCEPTED);
    assert_eq!(ledger.event(OUTSIDER, transfer(&id, BUYER)).code, "reimbursement.already-closed");
}

#[test]
fn the_ends_of_leases_are_told_as_they_are_set_and_not_what_was_rolled_back() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    let since = ledger.time_ms;
    let ends = |ledger: &mut Ledger, mode, events: &[String]| {
        let statement = ledger.statement(PLATFORM_A, mode, events);
        let executed = ledger.block(&[statement]);
        executed.lease_ends.iter().map(|end| (end.leaf, end.token, end.until_ms)).collect::<Vec<_>>()
    };
    let nothing = ends(&mut ledger, Mode::All, &[lock(&id, "c"), lock(&id, "other")]);
    assert_eq!(nothing, []);
    assert_eq!(ends(&mut ledger, Mode::All, &[lock(&id, "c")]), [(3, 1, since + 1_000 + 30 * DAY)]);
    let shorter = claim_event("renew", &id, "c", 1).replace("\"claim\"", "\"lease_seconds\":1,\"claim\"");
    assert_eq!(ends(&mut ledger, Mode::All, &[shorter]), [], "the end is what it was");
    let renewed = ends(&mut ledger, Mode::All, &[claim_event("renew", &id, "c", 1)]);
    assert_eq!(renewed, [(5, 1, since + 3_000 + 30 * DAY)]);
    assert_eq!(ends(&mut ledger, Mode::All, &[claim_event("close", &id, "c", 1)]), []);
}
