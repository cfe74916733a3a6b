//! Quotas: granted, used, given back, and gone with their month.

use chain::block::Outcome;
use chain::statement::Mode;
use invoice::amount::Amount;
use invoice::date::Period;

use crate::fixture::*;
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::quota::Quota;
use crate::state::{StateKey, read};

const NOVEMBER: &str = "2026-11";
const DECEMBER: &str = "2026-12";

fn november() -> Period {
    NOVEMBER.parse().unwrap()
}

fn december() -> Period {
    DECEMBER.parse().unwrap()
}

fn yuan(text: &str) -> Amount {
    text.parse().unwrap()
}

/// A quota that is not paused.
fn quota(used: &str, amount: &str) -> Quota {
    Quota { amount: yuan(amount), used: yuan(used), paused: false }
}

fn codes(outcomes: &[Outcome]) -> Vec<&str> {
    outcomes.iter().map(|outcome| outcome.code.as_str()).collect()
}

/// A ledger on which the shop has a quota for November. Each of its invoices is one of 113.00.
fn granted(amount: &str) -> Ledger {
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, amount));
    ledger
}

fn accepted(ledger: &mut Ledger, actor: &str, event: String) -> Record {
    let outcome = ledger.event(actor, event);
    assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
    record(&outcome)
}

/// The code of a refusal, with what it expected and found.
fn refused(ledger: &mut Ledger, actor: &str, event: String) -> (String, String, String) {
    let outcome = ledger.event(actor, event);
    let Record::Refused(refused) = record(&outcome) else { panic!("{outcome:?}") };
    (outcome.code, refused.expected, refused.found)
}

#[test]
fn a_seller_issues_up_to_the_last_fen_and_not_one_more() {
    let mut ledger = granted("226.00");
    ledger.issued("a");
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("113.00", "226.00")));
    ledger.issued("b");
    assert_eq!(ledger.quota(SELLER, november()).unwrap().left(), Amount::ZERO);
    accepted(&mut ledger, BUREAU, quota_adjust(SELLER, NOVEMBER, "338.99"));
    let (code, expected, found) = refused(&mut ledger, SELLER, issue("c"));
    assert_eq!(code, "quota.exceeded");
    assert_eq!(expected, "a gross total of at most 112.99, left of 338.99 for 2026-11");
    assert_eq!(found, "113.00");
    accepted(&mut ledger, BUREAU, quota_adjust(SELLER, NOVEMBER, "339.00"));
    // Refused, it was given no number.
    assert_eq!(ledger.issued("c"), "144032609110-00000003");
}

#[test]
fn a_seller_that_was_never_granted_a_quota_issues_without_limit() {
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, quota_grant(BUYER, NOVEMBER, "0.00"));
    assert_eq!(ledger.quota(SELLER, november()), None);
    let statement = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let executed = ledger.block(&[statement]);
    assert!(executed.writes.keys().all(|key| key.quota_of().is_none()), "nothing is counted that nobody limits");
}

#[test]
fn an_invoice_that_comes_to_nothing_needs_no_quota() {
    let mut ledger = granted("0.00");
    let discounted = issue("a")
        .replace(
            r#"}],
        "totals""#,
            r#"},{"name":"*餐饮服务*餐费","tax_code":"3070401000000000000","net":"-100.00","tax":{"rate":"0.13"},
            "tax_amount":"-13.00","discount":true}],
        "totals""#,
        )
        .replace(r#"{"net":"100.00","tax":"13.00","gross":"113.00"}"#, r#"{"net":"0.00","tax":"0.00","gross":"0.00"}"#);
    accepted(&mut ledger, SELLER, discounted.clone());
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("0.00", "0.00")));
    // Also in a month that was granted nothing.
    ledger.time_ms = MONTH_END;
    accepted(&mut ledger, SELLER, discounted.replace("\"a\"", "\"b\""));
    assert!(read::<()>(&ledger, &StateKey::quota(&organisation_id(SELLER), december())).unwrap().is_none());
}

#[test]
fn what_was_issued_before_the_grant_counts() {
    let mut ledger = Ledger::new();
    ledger.issued("a");
    let taken_back = ledger.issued("b");
    ledger.issued("c");
    accepted(&mut ledger, SELLER, void(&taken_back));
    let (code, expected, found) = refused(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "225.99"));
    assert_eq!((code.as_str(), found.as_str()), ("quota.below-used", "225.99"));
    assert_eq!(expected, "no less than the 226.00 that is issued");
    let given = accepted(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "300.00"));
    assert_eq!(given, Record::QuotaGranted { amount: yuan("300.00"), used: yuan("226.00") });
    assert_eq!(refused(&mut ledger, SELLER, issue("d")).0, "quota.exceeded");
}

#[test]
fn what_was_issued_in_the_block_of_the_grant_counts() {
    let mut ledger = Ledger::new();
    let issued = ledger.statement(SELLER, Mode::All, &[issue("a")]);
    let grant = ledger.statement(BUREAU, Mode::All, &[quota_grant(SELLER, NOVEMBER, "200.00")]);
    let more = ledger.statement(PROVIDER, Mode::All, &[issue("b")]);
    let executed = ledger.block(&[issued, grant, more]);
    assert_eq!(codes(&executed.outcomes.concat()), [ACCEPTED, ACCEPTED, "quota.exceeded"]);
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("113.00", "200.00")));
}

#[test]
fn a_month_ends_to_the_millisecond_and_nothing_goes_over_into_the_next() {
    let mut ledger = granted("1000.00");
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, DECEMBER, "113.00"));
    ledger.time_ms = MONTH_END - 1;
    ledger.issued("a");
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("113.00", "1000.00")));
    assert_eq!(ledger.quota(SELLER, december()), Some(quota("0.00", "113.00")));
    ledger.time_ms = MONTH_END;
    ledger.issued("b");
    assert_eq!(refused(&mut ledger, SELLER, issue("c")).0, "quota.exceeded", "887.00 were left of November");
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("113.00", "1000.00")));
    assert_eq!(ledger.quota(SELLER, december()), Some(quota("113.00", "113.00")));
}

#[test]
fn a_statement_under_way_at_the_turn_of_the_month_is_the_new_months() {
    let mut ledger = granted("1000.00");
    // Signed in November, in a block of December.
    ledger.time_ms = MONTH_END - 1;
    let statement = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    ledger.time_ms = MONTH_END;
    let outcomes = ledger.block(&[statement]).outcomes.concat();
    assert_eq!(codes(&outcomes), ["quota.exceeded"]);
    let Record::Refused(refused) = record(&outcomes[0]) else { panic!("{outcomes:?}") };
    assert_eq!(refused.expected, "a gross total of at most 0.00, left of 0.00 for 2026-12");
}

#[test]
fn a_month_without_a_grant_has_nothing_once_there_was_one_and_no_limit_before() {
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, DECEMBER, "113.00"));
    assert_eq!(ledger.quota(SELLER, november()), None);
    ledger.issued("a");
    ledger.issued("b");
    ledger.time_ms = MONTH_END;
    ledger.issued("c");
    assert_eq!(refused(&mut ledger, SELLER, issue("d")).0, "quota.exceeded");
    // January was granted nothing.
    ledger.time_ms = MONTH_END + 31 * DAY;
    assert_eq!(refused(&mut ledger, SELLER, issue("d")).0, "quota.exceeded");
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, "2027-01", "113.00"));
    accepted(&mut ledger, SELLER, issue("d"));
    // A grant for the month that is brings it under quota too; those to come stay so.
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, "2027-01", "113.00"));
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "113.00"));
    assert_eq!(ledger.quota(SELLER, december()), Some(quota("0.00", "0.00")));
}

#[test]
fn no_statement_issues_more_than_is_left_in_either_mode() {
    let three = [issue("a"), issue("b"), issue("c")];
    let mut ledger = granted("226.00");
    let all = ledger.events(SELLER, Mode::All, &three);
    assert_eq!(codes(&all), ["statement.all-refused", "statement.all-refused", "quota.exceeded"]);
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("0.00", "226.00")), "taken back as a whole");
    let each = ledger.events(SELLER, Mode::Each, &three);
    assert_eq!(codes(&each), [ACCEPTED, ACCEPTED, "quota.exceeded"]);
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("226.00", "226.00")));
}

#[test]
fn no_block_issues_more_than_is_left_whoever_signs() {
    let mut ledger = granted("300.00");
    let own = ledger.statement(SELLER, Mode::Each, &[issue("a"), issue("b")]);
    let of_provider = ledger.statement(PROVIDER, Mode::Each, &[issue("c"), issue("d")]);
    let outcomes = ledger.block(&[own, of_provider]).outcomes.concat();
    assert_eq!(codes(&outcomes), [ACCEPTED, ACCEPTED, "quota.exceeded", "quota.exceeded"]);
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("226.00", "300.00")));
}

#[test]
fn a_change_of_a_quota_applies_to_the_very_next_event() {
    let mut ledger = granted("113.00");
    let issue_of = |ledger: &mut Ledger, reference: &str| ledger.statement(SELLER, Mode::Each, &[issue(reference)]);
    let change = |ledger: &mut Ledger, event: String| ledger.statement(BUREAU, Mode::Each, &[event]);
    let block = [
        issue_of(&mut ledger, "a"),
        change(&mut ledger, quota_adjust(SELLER, NOVEMBER, "226.00")),
        issue_of(&mut ledger, "b"),
        change(&mut ledger, quota_adjust(SELLER, NOVEMBER, "225.00")),
        change(&mut ledger, quota_adjust(SELLER, NOVEMBER, "500.00")),
        change(&mut ledger, quota_pause(SELLER, NOVEMBER)),
        issue_of(&mut ledger, "c"),
        change(&mut ledger, quota_resume(SELLER, NOVEMBER)),
        issue_of(&mut ledger, "c"),
    ];
    let outcomes = ledger.block(&block).outcomes.concat();
    let (ok, below, paused) = (ACCEPTED, "quota.below-used", "quota.paused");
    assert_eq!(codes(&outcomes), [ok, ok, ok, below, ok, ok, paused, ok, ok]);
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("339.00", "500.00")));
}

#[test]
fn a_paused_quota_lets_nothing_be_issued_and_everything_else() {
    let mut ledger = granted("500.00");
    let id = ledger.issued("a");
    let paused = accepted(&mut ledger, BUREAU, quota_pause(SELLER, NOVEMBER));
    assert_eq!(paused, Record::QuotaPaused { amount: yuan("500.00"), used: yuan("113.00") });
    assert_eq!(refused(&mut ledger, SELLER, issue("b")).0, "quota.paused");
    assert_eq!(refused(&mut ledger, PROVIDER, issue("b")).0, "quota.paused");
    // What was issued before is answered, may be claimed, and may be taken back.
    assert_eq!(ledger.event(SELLER, issue("a")).code, REPEATED);
    accepted(&mut ledger, PLATFORM_A, lock(&id, "c"));
    accepted(&mut ledger, PLATFORM_A, claim_event("unlock", &id, "c", 1));
    accepted(&mut ledger, SELLER, void(&id));
    // An adjustment does not resume it.
    let adjusted = accepted(&mut ledger, BUREAU, quota_adjust(SELLER, NOVEMBER, "200.00"));
    let (former, amount, used) = (yuan("500.00"), yuan("200.00"), Amount::ZERO);
    assert_eq!(adjusted, Record::QuotaAdjusted { former, amount, used });
    assert_eq!(refused(&mut ledger, SELLER, issue("b")).0, "quota.paused");
    let resumed = accepted(&mut ledger, BUREAU, quota_resume(SELLER, NOVEMBER));
    assert_eq!(resumed, Record::QuotaResumed { amount, used });
    ledger.issued("b");
    // A pause ends with its month.
    accepted(&mut ledger, BUREAU, quota_pause(SELLER, NOVEMBER));
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, DECEMBER, "113.00"));
    ledger.time_ms = MONTH_END;
    ledger.issued("c");
}

#[test]
fn what_is_taken_back_gives_back_to_its_own_month_alone() {
    let mut ledger = granted("226.00");
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, DECEMBER, "113.00"));
    let (first, second) = (ledger.issued("a"), ledger.issued("b"));
    accepted(&mut ledger, PROVIDER, void(&first));
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("113.00", "226.00")));
    // Taken back in a statement that is taken back itself: nothing is given back.
    let all = ledger.events(SELLER, Mode::All, &[void(&second), issue("c"), issue("d"), issue("e")]);
    assert_eq!(all[3].code, "quota.exceeded");
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("113.00", "226.00")));
    // In one that stands, the next invoice takes its place.
    let each = ledger.events(SELLER, Mode::All, &[issue("c"), void(&second), issue("d")]);
    assert_eq!(codes(&each), [ACCEPTED, ACCEPTED, ACCEPTED]);
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("226.00", "226.00")));
    ledger.time_ms = MONTH_END;
    assert_eq!(refused(&mut ledger, SELLER, void(&each[0].subject)).0, "void.period-ended");
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("226.00", "226.00")));
    assert_eq!(ledger.quota(SELLER, december()), Some(quota("0.00", "113.00")));
}

#[test]
fn an_invoice_issued_before_the_grant_gives_back_too() {
    let mut ledger = Ledger::new();
    let id = ledger.issued("a");
    accepted(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "113.00"));
    assert_eq!(refused(&mut ledger, SELLER, issue("b")).0, "quota.exceeded");
    accepted(&mut ledger, SELLER, void(&id));
    ledger.issued("b");
}

#[test]
fn a_retry_is_answered_though_nothing_is_left() {
    let mut ledger = granted("113.00");
    ledger.issued("a");
    assert_eq!(ledger.event(SELLER, issue("a")).code, REPEATED);
    assert_eq!(ledger.event(PROVIDER, issue("a")).code, REPEATED);
    assert_eq!(ledger.quota(SELLER, november()), Some(quota("113.00", "113.00")));
}

#[test]
fn a_quota_is_granted_once_and_the_refusal_names_the_grant() {
    let mut ledger = granted("500.00");
    let again = ledger.event(BUREAU, quota_grant(SELLER, NOVEMBER, "500.00"));
    assert_eq!((again.code.as_str(), again.subject.as_str()), ("quota.already-granted", "quota:shop/2026-11"));
    let Record::Refused(refused_grant) = record(&again) else { panic!("{again:?}") };
    assert_eq!(refused_grant.found, "500.00");
    let standing = refused_grant.standing.unwrap();
    assert_eq!((standing.organisation.as_str(), standing.since_ms, standing.leaf.index), (BUREAU, NOON, 0));
    // What was adjusted since does not change who granted it, and when.
    accepted(&mut ledger, BUREAU, quota_adjust(SELLER, NOVEMBER, "600.00"));
    let Record::Refused(refused_grant) = record(&ledger.event(BUREAU, quota_grant(SELLER, NOVEMBER, "1.00"))) else {
        panic!("granted twice")
    };
    assert_eq!((refused_grant.found.as_str(), refused_grant.standing.unwrap().leaf.index), ("600.00", 0));
    // A grant in a statement that is taken back is no evidence.
    let twice = [quota_grant(BUYER, NOVEMBER, "1.00"), quota_grant(BUYER, NOVEMBER, "2.00")];
    let outcomes = ledger.events(BUREAU, Mode::All, &twice);
    let Record::Refused(refused_grant) = record(&outcomes[1]) else { panic!("{outcomes:?}") };
    assert_eq!((refused_grant.found.as_str(), refused_grant.standing), ("an earlier event of this statement", None));
    assert_eq!(ledger.quota(BUYER, november()), None);
}

#[test]
fn what_cannot_be_changed_says_why() {
    let mut ledger = granted("500.00");
    let mut code = |actor: &str, event: String| refused(&mut ledger, actor, event).0;
    for event in [
        quota_grant(BUYER, NOVEMBER, "1.00"),
        quota_adjust(SELLER, NOVEMBER, "1.00"),
        quota_pause(SELLER, NOVEMBER),
        quota_resume(SELLER, NOVEMBER),
    ] {
        assert_eq!(code(SELLER, event), "organisation.tax-bureau-only");
    }
    assert_eq!(code(BUREAU, quota_grant("nobody", NOVEMBER, "1.00")), "organisation.unknown");
    assert_eq!(code(BUREAU, quota_grant(PLATFORM_A, NOVEMBER, "1.00")), "organisation.role-missing");
    assert_eq!(code(BUREAU, quota_adjust(BUYER, NOVEMBER, "1.00")), "quota.unknown");
    assert_eq!(code(BUREAU, quota_pause(SELLER, DECEMBER)), "quota.unknown");
    assert_eq!(code(BUREAU, quota_adjust(SELLER, NOVEMBER, "500")), "quota.unchanged");
    assert_eq!(code(BUREAU, quota_resume(SELLER, NOVEMBER)), "quota.unchanged");
    assert_eq!(code(BUREAU, quota_grant(SELLER, "2026-10", "1.00")), "quota.period-ended");
    accepted(&mut ledger, BUREAU, quota_pause(SELLER, NOVEMBER));
    assert_eq!(refused(&mut ledger, BUREAU, quota_pause(SELLER, NOVEMBER)).0, "quota.unchanged");
    // What is gone with its month is not changed any more.
    ledger.time_ms = MONTH_END;
    for event in [
        quota_adjust(SELLER, NOVEMBER, "1.00"),
        quota_pause(SELLER, NOVEMBER),
        quota_resume(SELLER, NOVEMBER),
        quota_grant(BUYER, NOVEMBER, "1.00"),
    ] {
        assert_eq!(refused(&mut ledger, BUREAU, event).0, "quota.period-ended");
    }
}

#[test]
fn a_suspended_seller_is_granted_nothing_and_a_registered_one_at_once() {
    let mut ledger = Ledger::new();
    accepted(&mut ledger, BUREAU, suspend(SELLER));
    assert_eq!(refused(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "1.00")).0, "organisation.suspended");
    // Reinstated with a quota before it may issue again.
    let back = [reinstate(SELLER), quota_grant(SELLER, NOVEMBER, "113.00")];
    assert_eq!(codes(&ledger.events(BUREAU, Mode::All, &back)), [ACCEPTED, ACCEPTED]);
    let new = [register(&[("mall", FREE_TAXPAYER)]), quota_grant("mall", NOVEMBER, "1.00")];
    assert_eq!(codes(&ledger.events(BUREAU, Mode::All, &new)), [ACCEPTED, ACCEPTED]);
    assert_eq!(ledger.quota("mall", november()), Some(quota("0.00", "1.00")));
}

#[test]
fn an_amount_below_nothing_is_none() {
    for event in [quota_grant(SELLER, NOVEMBER, "-0.01"), quota_adjust(SELLER, NOVEMBER, "-0.01")] {
        let error = serde_json::from_str::<crate::event::Event>(&event).unwrap_err().to_string();
        assert!(error.contains("expected an amount of 0.00 or more, found -0.01"), "{error}");
    }
    assert!(serde_json::from_str::<crate::event::Event>(&quota_pause(SELLER, "2026-13")).is_err());
}

#[test]
fn a_new_taxpayer_id_is_no_new_quota() {
    let under = |reference: &str, taxpayer: &str| issue(reference).replace("91440300708461136T", taxpayer);
    let mut ledger = Ledger::new();
    ledger.issued("a");
    accepted(&mut ledger, BUREAU, renumber(SELLER, FREE_TAXPAYER));
    accepted(&mut ledger, SELLER, under("b", FREE_TAXPAYER));
    let granted = accepted(&mut ledger, BUREAU, quota_grant(SELLER, NOVEMBER, "339.00"));
    assert_eq!(granted, Record::QuotaGranted { amount: yuan("339.00"), used: yuan("226.00") });
    // Renumbered, granted and issued in one block: what it issues there, it issues under the id it had.
    let renumbered = ledger.statement(BUREAU, Mode::All, &[renumber(SELLER, "915000000000079")]);
    let issued = ledger.statement(SELLER, Mode::All, &[under("c", FREE_TAXPAYER)]);
    let outcomes = ledger.block(&[renumbered, issued]).outcomes.concat();
    assert_eq!(codes(&outcomes), [ACCEPTED, ACCEPTED]);
    assert_eq!(refused(&mut ledger, SELLER, under("d", "915000000000079")).0, "quota.exceeded");
    let mut ledger = Ledger::new();
    ledger.issued("a");
    let renumbered = ledger.statement(BUREAU, Mode::All, &[renumber(SELLER, FREE_TAXPAYER)]);
    let issued = ledger.statement(SELLER, Mode::All, &[issue("b")]);
    let grant = ledger.statement(BUREAU, Mode::All, &[quota_grant(SELLER, NOVEMBER, "500.00")]);
    let outcomes = ledger.block(&[renumbered, issued, grant]).outcomes.concat();
    let granted = Record::QuotaGranted { amount: yuan("500.00"), used: yuan("226.00") };
    assert_eq!(record(&outcomes[2]), granted);
}
