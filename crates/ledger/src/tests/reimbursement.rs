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
