//! Mandates: given, replaced, ended, attested in bulk, and from which block on they hold.

use chain::statement::Mode;

use crate::fixture::*;
use crate::organisation::{GivenRecord, MANDATES_MAX, Mandate, Scope};
use crate::outcome::{ACCEPTED, Record};
use crate::record::RefusalBudgetRecord;
use crate::state::{StateKey, read};

fn between(ledger: &Ledger, from: &str, to: &str) -> Option<Mandate> {
    read(ledger, &StateKey::mandate(&organisation_id(from), &organisation_id(to))).unwrap()
}

#[test]
fn an_enterprise_gives_a_mandate_and_a_new_one_replaces_the_old() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.event(OUTSIDER, issue("a")).code, "mandate.missing");
    let given = ledger.event(SELLER, mandate_to(OUTSIDER, r#""issue","file""#));
    assert_eq!((given.code.as_str(), given.subject.as_str()), (ACCEPTED, "mandate:shop/outsider"));
    assert_eq!(record(&given), Record::Mandated { replaced: false, from_height: ledger.height });
    assert_eq!(ledger.event(OUTSIDER, issue("a")).code, ACCEPTED);
    let narrower = ledger.event(SELLER, mandate_to(OUTSIDER, r#""file""#));
    assert_eq!(record(&narrower), Record::Mandated { replaced: true, from_height: ledger.height });
    assert_eq!(ledger.event(OUTSIDER, issue("b")).code, "mandate.missing");
    let Some(mandate) = between(&ledger, SELLER, OUTSIDER) else { panic!() };
    assert_eq!((mandate.scopes, mandate.expires_ms), ([Scope::File].into(), None));
}

#[test]
fn a_mandate_holds_from_the_block_after_the_one_that_gives_it() {
    let mut ledger = Ledger::new();
    let give = ledger.statement(SELLER, Mode::Each, &[mandate_to(OUTSIDER, r#""issue""#)]);
    let inside = ledger.statement(OUTSIDER, Mode::Each, &[issue("a")]);
    let outcomes = ledger.block(&[give, inside]).outcomes;
    assert_eq!((outcomes[0][0].code.as_str(), outcomes[1][0].code.as_str()), (ACCEPTED, "mandate.missing"));
    assert_eq!(ledger.event(OUTSIDER, issue("a")).code, ACCEPTED);
}

#[test]
fn a_mandate_that_is_ended_holds_in_that_block_and_not_in_the_next() {
    let mut ledger = Ledger::new();
    let end = ledger.statement(SELLER, Mode::Each, &[revoke_mandate(SELLER, PROVIDER)]);
    let inside = ledger.statement(PROVIDER, Mode::Each, &[issue("a")]);
    let outcomes = ledger.block(&[end, inside]).outcomes;
    assert_eq!((outcomes[0][0].code.as_str(), outcomes[1][0].code.as_str()), (ACCEPTED, ACCEPTED));
    assert_eq!(record(&outcomes[0][0]), Record::Revoked { from_height: ledger.height });
    // However soon the next block comes: its time is later.
    ledger.time_ms -= 999;
    assert_eq!(ledger.event(PROVIDER, issue("b")).code, "mandate.missing");
}

#[test]
fn a_mandate_given_and_ended_in_one_block_never_holds() {
    let mut ledger = Ledger::new();
    let events =
        [mandate_to(OUTSIDER, r#""issue""#), revoke_mandate(SELLER, OUTSIDER), revoke_mandate(SELLER, OUTSIDER)];
    let codes: Vec<String> = ledger.events(SELLER, Mode::Each, &events).into_iter().map(|o| o.code).collect();
    assert_eq!(codes, [ACCEPTED, ACCEPTED, "mandate.unknown"]);
    assert_eq!(ledger.event(OUTSIDER, issue("a")).code, "mandate.missing");
    let events = [revoke_mandate(SELLER, PROVIDER), mandate_to(PROVIDER, r#""issue""#)];
    let codes: Vec<String> = ledger.events(SELLER, Mode::Each, &events).into_iter().map(|o| o.code).collect();
    assert_eq!(codes, [ACCEPTED, ACCEPTED]);
    assert_eq!(ledger.event(PROVIDER, issue("a")).code, ACCEPTED);
}

#[test]
fn giver_holder_and_tax_bureau_end_a_mandate_and_nobody_else_learns_whether_there_is_one() {
    for (actor, code) in
        [(SELLER, ACCEPTED), (PROVIDER, ACCEPTED), (BUREAU, ACCEPTED), (BUYER, "mandate.not-permitted")]
    {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.event(actor, revoke_mandate(SELLER, PROVIDER)).code, code, "{actor}");
        let again = if code == ACCEPTED { "mandate.unknown" } else { code };
        assert_eq!(ledger.event(actor, revoke_mandate(SELLER, PROVIDER)).code, again, "{actor}");
    }
}

#[test]
fn a_mandate_expires_by_block_time_and_at_that_very_instant() {
    let mut ledger = Ledger::new();
    let expires_ms = ledger.time_ms + DAY;
    let until = |expires_ms: i64| {
        let mandate = mandate_to(OUTSIDER, r#""issue""#);
        mandate.replace(r#""to""#, &format!(r#""expires_ms":{expires_ms},"to""#))
    };
    let late = ledger.event(SELLER, until(ledger.time_ms));
    assert_eq!(refused(&late, "mandate.expired"), NOON.to_string());
    assert_eq!(ledger.event(SELLER, until(expires_ms)).code, ACCEPTED);
    ledger.time_ms = expires_ms - 1;
    assert_eq!(ledger.event(OUTSIDER, issue("a")).code, ACCEPTED);
    ledger.time_ms = expires_ms;
    assert_eq!(ledger.event(OUTSIDER, issue("b")).code, "mandate.missing");
    assert_eq!(ledger.event(SELLER, revoke_mandate(SELLER, OUTSIDER)).code, "mandate.unknown");
    let anew = ledger.event(SELLER, mandate_to(OUTSIDER, r#""issue""#));
    assert!(matches!(record(&anew), Record::Mandated { replaced: false, .. }), "{anew:?}");
}

#[test]
fn a_mandate_is_given_by_an_enterprise_to_another_on_the_ledger() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.event(PROVIDER, mandate_to(OUTSIDER, r#""issue""#)).code, "organisation.role-missing");
    assert_eq!(ledger.event(SELLER, mandate_to("nobody", r#""issue""#)).code, "organisation.unknown");
    for other in [BUYER, AUDITOR, BUREAU] {
        let outcome = ledger.event(SELLER, mandate_to(other, r#""read""#));
        assert_eq!(outcome.code, "organisation.role-missing", "neither a provider nor a platform");
    }
    assert_eq!(ledger.event(SELLER, mandate_to(SELLER, r#""issue""#)).code, "mandate.to-itself");
}

#[test]
fn three_thousand_merchants_of_one_provider_fit_one_statement() {
    let mut ledger = Ledger::new();
    let ids: Vec<String> = (0..3_000).map(|number| format!("merchant-{number:05}")).collect();
    let taxpayers: Vec<String> = (0..3_000).map(|number| format!("91600000000{number:04}")).collect();
    let entries: Vec<(&str, &str)> = ids.iter().zip(&taxpayers).map(|(id, tax)| (id.as_str(), tax.as_str())).collect();
    let registrations: Vec<String> = entries.chunks(400).map(register).collect();
    let outcomes = ledger.events(BUREAU, Mode::All, &registrations);
    assert!(outcomes.iter().all(|outcome| outcome.code == ACCEPTED), "{outcomes:?}");
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let attested: Vec<String> = ids.chunks(1_000).map(|ids| attest(PROVIDER, r#""issue","file""#, ids)).collect();
    assert_eq!(attested.len(), 3);
    let outcomes = ledger.events(BUREAU, Mode::All, &attested);
    for outcome in &outcomes {
        assert_eq!((outcome.code.as_str(), outcome.subject.as_str()), (ACCEPTED, "mandates:isp"));
        assert_eq!(record(outcome), Record::Attested { mandates: 1_000, replaced: 0, from_height: ledger.height });
    }
    let issue = issue("a").replace("shop Ltd", "merchant-02999 Ltd").replace("91440300708461136T", &taxpayers[2_999]);
    assert_eq!(ledger.event(PROVIDER, issue).code, ACCEPTED);
    let again = ledger.event(BUREAU, attest(PROVIDER, r#""issue""#, &ids[..1]));
    assert_eq!(record(&again), Record::Attested { mandates: 1, replaced: 1, from_height: ledger.height });
}

#[test]
fn an_attestation_is_accepted_as_a_whole_or_names_the_first_in_the_way() {
    let mut ledger = Ledger::new();
    let merchants = [("m-1", "916000000000001"), ("m-2", "916000000000002")];
    assert_eq!(ledger.event(BUREAU, register(&merchants)).code, ACCEPTED);
    let event = |ids: &[&str]| attest(PLATFORM_A, r#""lock""#, ids);
    let found = refused(&ledger.event(BUREAU, event(&["m-1", "m", "m-2"])), "organisation.unknown");
    assert_eq!(found, "entry 1: m");
    let found = refused(&ledger.event(BUREAU, event(&["m-1", AUDITOR])), "organisation.role-missing");
    assert_eq!(found, "entry 1: auditor");
    assert_eq!(between(&ledger, "m-1", PLATFORM_A), None);
    let to_enterprise = attest(BUYER, r#""lock""#, &["m-1"]);
    assert_eq!(ledger.event(BUREAU, to_enterprise).code, "organisation.role-missing");
    let to_itself = attest(OUTSIDER, r#""lock""#, &["m-1", OUTSIDER]);
    assert_eq!(refused(&ledger.event(BUREAU, to_itself), "mandate.to-itself"), "entry 1: outsider");
    assert_eq!(ledger.event(BUREAU, attest("nobody", r#""lock""#, &["m-1"])).code, "organisation.unknown");
    let past = event(&["m-1"]).replace(r#""to""#, r#""expires_ms":1,"to""#);
    assert_eq!(ledger.event(BUREAU, past).code, "mandate.expired");
    assert_eq!(ledger.event(BUREAU, event(&["m-1", "m-2"])).code, ACCEPTED);
    assert!(between(&ledger, "m-1", PLATFORM_A).is_some_and(|mandate| mandate.attested));
    // The same again changes nothing, and costs like every refusal.
    let found = refused(&ledger.event(BUREAU, event(&["m-2", "m-1"])), "mandate.unchanged");
    assert_eq!(found, "entry 0: m-2 to platform-a");
}

#[test]
fn what_an_enterprise_with_a_key_has_ended_no_paper_revives_or_widens() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.event(SELLER, revoke_mandate(SELLER, PROVIDER)).code, ACCEPTED);
    for scopes in [r#""issue""#, r#""issue","file","read""#] {
        let found = refused(&ledger.event(BUREAU, attest(PROVIDER, scopes, &[SELLER])), "mandate.giver-signs");
        assert_eq!(found, "entry 0: shop");
    }
    // One that has lost its last key may have its mandates attested.
    let chain = ledger.chain.clone();
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &[], &["s1"])).code, ACCEPTED);
    assert_eq!(ledger.event(BUREAU, attest(PROVIDER, r#""issue""#, &[SELLER])).code, ACCEPTED);
    assert_eq!(ledger.event(PROVIDER, issue("a")).code, ACCEPTED);
}

#[test]
fn a_mandate_that_changes_nothing_is_refused_and_charged() {
    let mut ledger = Ledger::new();
    let give = || mandate_to(OUTSIDER, r#""issue""#);
    let events = [give(), give(), mandate_to(OUTSIDER, r#""issue","file""#), give()];
    let codes: Vec<String> = ledger.events(SELLER, Mode::Each, &events).into_iter().map(|o| o.code).collect();
    assert_eq!(codes, [ACCEPTED, "mandate.unchanged", ACCEPTED, ACCEPTED]);
    let budget: RefusalBudgetRecord =
        read(&ledger, &StateKey::refusal_budget(&organisation_id(SELLER))).unwrap().unwrap();
    assert_eq!(budget.refused, 1);
}

#[test]
fn an_enterprise_gives_a_limited_number_of_mandates_at_once() {
    let mut ledger = Ledger::new();
    let given = |ledger: &Ledger| -> Vec<String> {
        let given: Option<GivenRecord> = read(ledger, &StateKey::given(&organisation_id(SELLER))).unwrap();
        given.unwrap().mandates.iter().map(|given| given.to.to_string()).collect()
    };
    assert_eq!(given(&ledger), [PROVIDER]);
    let names: Vec<String> = (0..MANDATES_MAX).map(|number| format!("isp-{number:02}")).collect();
    let taxpayers: Vec<String> = (0..MANDATES_MAX).map(|number| format!("9160000000000{number:02}")).collect();
    let entries: Vec<(&str, &str)> =
        names.iter().zip(&taxpayers).map(|(id, tax)| (id.as_str(), tax.as_str())).collect();
    assert_eq!(ledger.event(BUREAU, register(&entries)).code, ACCEPTED);
    for name in &names {
        assert_eq!(ledger.event(BUREAU, roles(name, r#""service-provider""#)).code, ACCEPTED);
    }
    let soon = ledger.time_ms + 1_000_000;
    for (place, name) in names.iter().enumerate() {
        let give = mandate_to(name, r#""issue""#).replace(r#""to""#, &format!(r#""expires_ms":{soon},"to""#));
        let code = ledger.event(SELLER, give).code;
        assert_eq!(code, if place < MANDATES_MAX - 1 { ACCEPTED } else { "mandate.spent" });
    }
    let one_more = names[MANDATES_MAX - 1].as_str();
    // One to the same stands in its place.
    assert_eq!(ledger.event(SELLER, mandate_to(PROVIDER, r#""file""#)).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, revoke_mandate(SELLER, "isp-07")).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, mandate_to(one_more, r#""issue""#)).code, ACCEPTED);
    assert_eq!(given(&ledger).len(), MANDATES_MAX);
    // What has ended by itself counts no longer.
    ledger.time_ms = soon;
    assert_eq!(ledger.event(SELLER, mandate_to("isp-07", r#""issue""#)).code, ACCEPTED);
    assert_eq!(given(&ledger), [PROVIDER, "isp-07", one_more]);
}

#[test]
fn who_has_lost_its_role_acts_for_nobody_and_gets_nothing_more_of_what_it_held() {
    let mut ledger = Ledger::new();
    let (held, locked) = (ledger.issued("a"), ledger.issued("b"));
    assert_eq!(ledger.event(PLATFORM_A, lock(&locked, "c")).code, ACCEPTED);
    for platform_or_provider in [PROVIDER, PLATFORM_A] {
        assert_eq!(ledger.event(BUREAU, roles(platform_or_provider, r#""enterprise""#)).code, ACCEPTED);
    }
    for (actor, event, code) in [
        (PROVIDER, issue("c"), "organisation.role-missing"),
        (PROVIDER, file("2026-11", 2, "200.00", "26.00"), "organisation.role-missing"),
        (PROVIDER, void(&held), "invoice.unknown"),
        (PLATFORM_A, lock(&held, "d"), "organisation.role-missing"),
        (PLATFORM_A, transfer(&held, PLATFORM_A), "invoice.unknown"),
        (PLATFORM_A, claim_event("renew", &locked, "c", 1), "organisation.role-missing"),
        (PLATFORM_A, claim_event("unlock", &locked, "c", 1), "organisation.role-missing"),
        (PLATFORM_A, claim_event("close", &locked, "c", 1), "organisation.role-missing"),
    ] {
        assert_eq!(ledger.event(actor, event.clone()).code, code, "{actor}: {event}");
    }
    // A platform is no provider, whatever a mandate says.
    assert_eq!(ledger.event(SELLER, mandate_to(PLATFORM_B, r#""issue""#)).code, ACCEPTED);
    assert_eq!(ledger.event(PLATFORM_B, issue("d")).code, "organisation.role-missing");
}
