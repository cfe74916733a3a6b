//! What makes a statement wrong in itself.

use chain::statement::Mode;

use crate::admission::Verdict;
use crate::fixture::*;
use crate::outcome::ACCEPTED;

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Rejected(rejection) => rejection.code,
        Verdict::Admitted(_) => "admitted",
        Verdict::Repeated(_) => "repeated",
    }
}

#[test]
fn a_nonce_is_live_for_a_day_and_the_same_payload_is_a_retry() {
    let mut ledger = Ledger::new();
    let statement = ledger.statement_under("key", SELLER, Mode::Each, &[issue("a")]);
    let time_ms = ledger.time_ms;
    ledger.block(std::slice::from_ref(&statement));
    assert_eq!(code(&ledger.judge(&statement)), "repeated");
    // Signed again with a later `exp`: the same statement still.
    ledger.time_ms += 60_000;
    let again = ledger.statement_under("key", SELLER, Mode::Each, &[issue("a")]);
    assert_ne!(again, statement);
    assert_eq!(code(&ledger.judge(&again)), "repeated");
    let other = ledger.statement_under("key", SELLER, Mode::Each, &[issue("b")]);
    assert_eq!(code(&ledger.judge(&other)), "statement.nonce-reused");
    assert_eq!(code(&ledger.judge(&ledger.statement_under("key", PROVIDER, Mode::Each, &[issue("b")]))), "admitted");
    // Through its last instant, at which a statement with the longest `exp` is still in time.
    ledger.time_ms = time_ms + DAY;
    let last = ledger.statement_under("key", SELLER, Mode::Each, &[issue("b")]);
    assert_eq!(code(&ledger.judge(&last)), "statement.nonce-reused");
    ledger.time_ms = time_ms + DAY + 1;
    let later = ledger.statement_under("key", SELLER, Mode::Each, &[issue("b")]);
    assert_eq!(code(&ledger.judge(&later)), "admitted");
}

#[test]
fn a_statement_is_for_one_chain_one_key_and_a_limited_time() {
    let mut ledger = Ledger::new();
    let statement = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let (now, chain) = (ledger.time_ms, ledger.chain.clone());
    ledger.time_ms = now + 600_000;
    assert_eq!(code(&ledger.judge(&statement)), "admitted", "exp itself is still in time");
    ledger.time_ms = now + 600_001;
    assert_eq!(code(&ledger.judge(&statement)), "statement.expired");
    ledger.time_ms = now + 600_000 - DAY - 1;
    assert_eq!(code(&ledger.judge(&statement)), "statement.too-far-ahead");
    ledger.time_ms = now;
    ledger.chain = "other@0000000000000000000000000000000000000000000000000000000000000000".parse().unwrap();
    assert_eq!(code(&ledger.judge(&statement)), "statement.wrong-chain");
    ledger.chain = chain;
    let key = crate::state::StateKey::organisation(&organisation_id(SELLER));
    let stored = ledger.state.remove(&key).unwrap();
    assert_eq!(code(&ledger.judge(&statement)), "statement.unknown-key");
    let mut shop: crate::organisation::Organisation = crate::state::decode(&key, &stored).unwrap();
    shop.keys[0].active = false;
    ledger.state.insert(key.clone(), crate::state::encode(&chain::hash::Hash::of(b"test"), &shop));
    assert_eq!(code(&ledger.judge(&statement)), "statement.key-inactive");
    shop.keys[0].active = true;
    shop.keys[0].purposes = [crate::organisation::Purpose::Login].into();
    ledger.state.insert(key.clone(), crate::state::encode(&chain::hash::Hash::of(b"test"), &shop));
    assert_eq!(code(&ledger.judge(&statement)), "statement.key-purpose");
    shop.keys[0].purposes = [crate::organisation::Purpose::Statement].into();
    shop.keys[0].public = secret(BUYER, "statement").public().into();
    ledger.state.insert(key, crate::state::encode(&chain::hash::Hash::of(b"test"), &shop));
    assert_eq!(code(&ledger.judge(&statement)), "statement.signature");
}

#[test]
fn violations_of_documents_reject_the_whole_statement_and_name_the_event() {
    let mut ledger = Ledger::new();
    let wrong = issue("b").replace("\"gross\":\"113.00\"", "\"gross\":\"112.00\"");
    let statement = ledger.statement(SELLER, Mode::Each, &[issue("a"), wrong]);
    let Verdict::Rejected(rejection) = ledger.judge(&statement) else { panic!() };
    assert_eq!(rejection.code, "document.invalid");
    assert!(!rejection.violations.is_empty());
    assert!(rejection.violations.iter().all(|v| v.path.starts_with("/events/1/issue/document/")), "{rejection:?}");
}

#[test]
fn unknown_events_and_fields_are_malformed() {
    let mut ledger = Ledger::new();
    for event in [
        r#"{"shred":{}}"#,
        r#"{"void":{"invoice":"144032609110-00000001","reason":"issue-error","x":1}}"#,
        r#"{"void":{"invoice":"144032609110-1","reason":"issue-error"}}"#,
        r#"{"void":{"invoice":"144032609110-00000001","reason":"boredom"}}"#,
        r#"{"close":{"invoice":"144032609110-00000001","claim":"c","token":"1"}}"#,
        r#"{"lock":{"invoice":"144032609110-00000001","enterprise":"buyer","claim":"with space"}}"#,
        r#"{"void":{},"issue":{}}"#,
        r"{}",
    ] {
        let statement = ledger.statement(SELLER, Mode::Each, &[event.to_owned()]);
        assert_eq!(code(&ledger.judge(&statement)), "event.malformed", "{event}");
    }
}

#[test]
fn refusals_are_counted_by_the_hour_and_end_in_rejection() {
    let mut ledger = Ledger::new();
    ledger.parameters(|parameters| parameters.limits.refusals_an_hour_max = 3);
    ledger.time_ms = NOON;
    for _ in 0..3 {
        ledger.event(SELLER, void("144032609110-00000009"));
    }
    let fourth = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    assert_eq!(code(&ledger.judge(&fourth)), "statement.refusals-spent");
    assert_eq!(ledger.event(PROVIDER, issue("a")).code, ACCEPTED, "others are not concerned");
    ledger.time_ms = NOON + DAY / 24;
    let fifth = ledger.statement(SELLER, Mode::Each, &[issue("b")]);
    assert_eq!(code(&ledger.judge(&fifth)), "admitted");
}

#[test]
fn a_document_with_ten_mistakes_gets_ten_violations_whatever_their_kind() {
    let mut ledger = Ledger::new();
    let document = r#"{"issue":{"document":{"profile":"blockchain-ordinary","reference":"","seller":{"name":"shop <Ltd>","taxpayer_id":"short"},
        "buyer":{"organisation":{"name":"","taxpayer_id":"91350100M000100Y43"}},
        "lines":[{"name":"","tax_code":"12","net":"1,00","tax":{"rate":"0.12"},"tax_amount":"13.00"}],
        "totals":{"net":"-1.00","tax":"13.00","gross":"x"},"colour":"red"}}}"#;
    let statement = ledger.statement(SELLER, Mode::Each, &[issue("fine"), document.to_owned()]);
    let Err(rejection) = crate::admission::Parsed::read(&statement) else { panic!("it was read") };
    let court = crate::admission::Court::sit(&ledger, ledger.chain.clone(), ledger.time_ms).unwrap();
    let rejection = court.explain(&statement, rejection).unwrap();
    assert_eq!(rejection.code, "document.invalid");
    assert!(rejection.violations.len() >= 10, "{:#?}", rejection.violations);
    assert!(rejection.violations.iter().all(|violation| violation.path.starts_with("/events/1/issue/document/")));
}

#[test]
fn a_stranger_is_told_that_it_is_one_and_nothing_of_its_documents() {
    let mut ledger = Ledger::new();
    let malformed = issue("a").replace("\"13.00\"", "\"x\"");
    let mut statement = ledger.statement(SELLER, Mode::Each, &[malformed]);
    let last = statement.len() - 3;
    statement[last] = if statement[last] == b'A' { b'B' } else { b'A' };
    let Err(rejection) = crate::admission::Parsed::read(&statement) else { panic!("it was read") };
    let court = crate::admission::Court::sit(&ledger, ledger.chain.clone(), ledger.time_ms).unwrap();
    assert_eq!(court.explain(&statement, rejection).unwrap().code, "statement.signature");
}

#[test]
fn a_statement_may_not_be_spelled_as_arrays() {
    let mut ledger = Ledger::new();
    let array = r#"{"void":["144032609110-00000001","issue-error"]}"#;
    let statement = ledger.statement(SELLER, Mode::Each, &[array.to_owned()]);
    assert_eq!(code(&ledger.judge(&statement)), "event.malformed");
}

#[test]
fn what_was_verified_for_one_statement_says_nothing_of_another() {
    let mut ledger = Ledger::new();
    let honest = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let Verdict::Admitted(verified) = ledger.judge(&honest) else { panic!() };
    let mut forged = ledger.statement(SELLER, Mode::Each, &[issue("b")]);
    let last = forged.len() - 3;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let parsed = crate::admission::Parsed::read(&forged).unwrap();
    let court = crate::admission::Court::sit(&ledger, ledger.chain.clone(), ledger.time_ms).unwrap();
    let verdict = court.judge(&parsed, Some(&verified)).unwrap();
    assert_eq!(code(&verdict), "statement.signature");
}
