//! Evidence of equivocation: who may report, what is proven, and with which key it is signed.

use std::collections::BTreeSet;

use chain::block::Outcome;
use chain::equivocation::Equivocation;
use chain::hash::Hash;
use chain::identity::KeyId;
use chain::statement::{Draft, Mode, Nonce, StatementHeader, payload};

use crate::admission::{Court, Parsed, Verdict};
use crate::fixture::*;
use crate::organisation::{Custody, Key, Organisation, Purpose};
use crate::outcome::{ACCEPTED, REPEATED, Record};
use crate::parallel::Alone;
use crate::record::{CounterRecord, EvidenceRecord};
use crate::state::{StateKey, decode, encode, read};

/// Gives the bureau another key.
fn add_key(ledger: &mut Ledger, id: &str, purpose: Purpose, active: bool) {
    let place = StateKey::organisation(&organisation_id(BUREAU));
    let mut bureau: Organisation = decode(&place, &ledger.state[&place]).unwrap();
    bureau.keys.push(Key {
        id: KeyId::new(id).unwrap(),
        public: secret(BUREAU, id).public().into(),
        purposes: BTreeSet::from([purpose]),
        custody: Custody::Own,
        active,
        from_height: 0,
    });
    ledger.state.insert(place, encode(&Hash::of(b"test"), &bureau));
}

/// A statement of the bureau under one of its keys.
fn signed_with(ledger: &Ledger, id: &str, events: &[String]) -> Vec<u8> {
    let header = StatementHeader {
        organisation: organisation_id(BUREAU),
        key: KeyId::new(id).unwrap(),
        chain: ledger.chain.clone(),
        nonce: Nonce::new("n").unwrap(),
        expires_at: u64::try_from(ledger.time_ms / 1_000).unwrap() + 600,
    };
    Draft::new(header, payload(Mode::Each, events)).sign(&secret(BUREAU, id))
}

fn evidence_of(ledger: &Ledger, proof: &Equivocation) -> Option<EvidenceRecord> {
    read(ledger, &StateKey::evidence(proof.height, proof.round, proof.kind, &proof.validator)).unwrap()
}

fn refused(outcome: &Outcome) -> (String, String) {
    assert_eq!(outcome.code, "evidence.invalid");
    let Record::Refused(refused) = record(outcome) else { panic!("{outcome:?}") };
    (refused.expected, refused.found)
}

#[test]
fn an_equivocation_is_written_down_once_and_whoever_reports_it_again_is_given_the_first_leaf() {
    let mut ledger = Ledger::new();
    let proof = double_vote(&ledger.chain, 1);
    let executed = {
        let statement = ledger.statement(BUREAU, Mode::Each, &[evidence(&proof)]);
        ledger.block(&[statement])
    };
    let first = &executed.outcomes[0][0];
    assert_eq!((first.code.as_str(), first.subject.as_str()), (ACCEPTED, "evidence:tax-bureau/1/0/prevote"));
    let Record::Reported { number: 1, key } = record(first) else { panic!("{first:?}") };
    assert_eq!(key, secret(BUREAU, "consensus").public().into());
    let kept = evidence_of(&ledger, &proof).unwrap();
    assert_eq!((kept.leaf.index, kept.leaf.hash), (0, executed.leaves[0].hash));
    assert_eq!((kept.by.as_str(), kept.number, kept.reported_ms), (BUREAU, 1, NOON));
    let again = ledger.event(BUREAU, evidence(&proof));
    assert_eq!(again.code, REPEATED);
    assert_eq!(record(&again), Record::Repeated { original: kept.leaf });
    assert_eq!(evidence_of(&ledger, &proof).unwrap(), kept);
    // Another height is another equivocation.
    let second = ledger.event(BUREAU, evidence(&double_vote(&ledger.chain, 2)));
    assert!(matches!(record(&second), Record::Reported { number: 2, .. }), "{second:?}");
    let counter: CounterRecord = read(&ledger, &StateKey::evidence_counter()).unwrap().unwrap();
    assert_eq!(counter.next, 3);
}

#[test]
fn what_proves_nothing_is_refused_with_what_was_expected() {
    let mut ledger = Ledger::new();
    ledger.height = 5;
    let proof = double_vote(&ledger.chain, 5);
    let swapped = Equivocation { first: proof.second, second: proof.first, ..proof.clone() };
    let same = Equivocation { second: proof.first, ..proof.clone() };
    let elsewhere = Equivocation { round: 1, ..proof.clone() };
    let other_chain =
        double_vote(&"other@0000000000000000000000000000000000000000000000000000000000000000".parse().unwrap(), 5);
    for (wrong, expected, found) in [
        (swapped, "the lesser block first", "first and second stand in the wrong order"),
        (same, "two that differ", "first and second say the same"),
        (elsewhere, "a prevote of height 5, round 1 on this chain", "the signature of first does not verify"),
        (other_chain, "(1 on the ledger)", "the signature of first does not verify"),
    ] {
        ledger.height = 5;
        let (said, saw) = refused(&ledger.event(BUREAU, evidence(&wrong)));
        assert!(said.contains(expected), "{said}");
        assert_eq!(saw, found);
        assert_eq!(evidence_of(&ledger, &wrong), None);
    }
    // Of a height that is still to come, or never was.
    for height in [0, 6] {
        ledger.height = 5;
        let outcome = ledger.event(BUREAU, evidence(&double_vote(&ledger.chain, height)));
        assert_eq!(refused(&outcome), ("a height from 1 to 5".to_owned(), height.to_string()));
    }
    let innocent = Equivocation { validator: organisation_id(SELLER), ..proof.clone() };
    let (said, _) = refused(&ledger.event(BUREAU, evidence(&innocent)));
    assert!(said.contains("consensus key of shop (0 on the ledger)"), "{said}");
    let nobody = Equivocation { validator: organisation_id("nobody"), ..proof.clone() };
    assert_eq!(ledger.event(BUREAU, evidence(&nobody)).code, "organisation.unknown");
    assert_eq!(ledger.event(BUREAU, evidence(&proof)).code, ACCEPTED);
}

#[test]
fn a_revoked_consensus_key_still_accuses_and_no_other_key_does() {
    let mut ledger = Ledger::new();
    let sign = |ledger: &Ledger, id: &str| {
        let mut proof = double_vote(&ledger.chain, 1);
        for signed in [&mut proof.first, &mut proof.second] {
            let (kind, suite) = (chain::certificate::VoteKind::Prevote, chain::suite::Suite::Ed25519Sha256);
            let block = signed.block.as_ref();
            signed.signature =
                chain::certificate::sign_vote(&secret(BUREAU, id), &ledger.chain, suite, kind, 1, 0, block);
        }
        proof
    };
    add_key(&mut ledger, "old", Purpose::Consensus, false);
    add_key(&mut ledger, "login", Purpose::Login, true);
    let (said, _) = refused(&ledger.event(BUREAU, evidence(&sign(&ledger, "login"))));
    assert!(said.contains("(2 on the ledger)"), "{said}");
    // Each thing under a key of its own is no contradiction of one key.
    let (old, current) = (sign(&ledger, "old"), double_vote(&ledger.chain, 1));
    let mixed = Equivocation { second: current.second, ..old.clone() };
    let (_, found) = refused(&ledger.event(BUREAU, evidence(&mixed)));
    assert_eq!(found, "the signature of second does not verify");
    let outcome = ledger.event(BUREAU, evidence(&old));
    assert!(matches!(record(&outcome), Record::Reported { key, .. } if key == secret(BUREAU, "old").public().into()));
}

#[test]
fn a_receipt_key_signs_evidence_and_nothing_else() {
    let mut ledger = Ledger::new();
    add_key(&mut ledger, "receipt", Purpose::Receipt, true);
    add_key(&mut ledger, "revoked", Purpose::Receipt, false);
    add_key(&mut ledger, "login", Purpose::Login, true);
    let proof = evidence(&double_vote(&ledger.chain, 1));
    let events = |events: &[&String]| events.iter().map(|event| (*event).clone()).collect::<Vec<_>>();
    let malformed = String::from(r#"{"evidence":{}}"#);
    for (key, events, expected) in [
        ("receipt", events(&[&proof]), "admitted"),
        ("receipt", events(&[&proof, &proof]), "admitted"),
        ("receipt", events(&[&issue("a")]), "statement.key-purpose"),
        ("receipt", events(&[&proof, &issue("a")]), "statement.key-purpose"),
        ("revoked", events(&[&proof]), "statement.key-inactive"),
        ("login", events(&[&proof]), "statement.key-purpose"),
        ("receipt", events(&[&malformed]), "event.malformed"),
    ] {
        let statement = signed_with(&ledger, key, &events);
        let code = match ledger.judge(&statement) {
            Verdict::Admitted(_) => "admitted",
            Verdict::Repeated(_) => "repeated",
            Verdict::Rejected(rejection) => rejection.code,
        };
        assert_eq!(code, expected, "{key}: {events:?}");
        // Whoever verifies ahead, many together, finds nothing in order that judging does not admit.
        let Ok(parsed) = Parsed::read(&statement) else { continue };
        let court = Court::sit(&ledger, ledger.chain.clone(), ledger.time_ms).unwrap();
        let verified = court.verify_together(&[&parsed], &Alone).unwrap().remove(0);
        assert_eq!(verified.is_some(), expected == "admitted", "{key}: {events:?}");
    }
    let statement = signed_with(&ledger, "receipt", &[proof]);
    let executed = ledger.block(&[statement]);
    assert_eq!(executed.outcomes[0][0].code, ACCEPTED);
}

#[test]
fn two_signatures_are_paid_for() {
    let ledger = Ledger::new();
    let statement =
        signed_with(&ledger, "s1", &[evidence(&double_vote(&ledger.chain, 1)), void("144032609110-00000001")]);
    assert_eq!(Parsed::read(&statement).unwrap().work(), 50 + 10);
}
