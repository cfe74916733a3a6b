//! Keys: how they come and go, and what a statement is worth that was signed with one that has gone.

use chain::block::Outcome;
use chain::statement::{Mode, Statement};

use crate::admission::Verdict;
use crate::event::Addition;
use crate::fixture::*;
use crate::organisation::{Custody, KEYS_MAX, Key, Organisation, Purpose};
use crate::outcome::{ACCEPTED, Record};
use crate::state::{StateKey, encode};

fn refused(outcome: &Outcome, code: &str) -> String {
    assert_eq!(outcome.code, code, "{:?}", record(outcome));
    let Record::Refused(refused) = record(outcome) else { panic!("{outcome:?}") };
    refused.found
}

fn verdict(ledger: &Ledger, statement: &[u8]) -> &'static str {
    match ledger.judge(statement) {
        Verdict::Admitted(_) => "admitted",
        Verdict::Repeated(_) => "repeated",
        Verdict::Rejected(rejection) => rejection.code,
    }
}

fn write(ledger: &mut Ledger, organisation: &Organisation) {
    let stored = encode(&chain::hash::Hash::of(b"test"), organisation);
    ledger.state.insert(StateKey::organisation(&organisation.id), stored);
}

#[test]
fn an_organisation_adds_and_revokes_its_own_keys() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let rotated = ledger.event(SELLER, rotate(&chain, SELLER, &["s2"], &["s1"]));
    assert_eq!((rotated.code.as_str(), rotated.subject.as_str()), (ACCEPTED, "organisation:shop"));
    assert_eq!(record(&rotated), Record::Rotated { added: 1, revoked: 1, from_height: ledger.height });
    let old = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    assert_eq!(verdict(&ledger, &old), "statement.key-inactive");
    let new = ledger.signed_with(SELLER, "s2", Mode::Each, &[issue("a")]);
    assert_eq!(ledger.block(&[new]).outcomes[0][0].code, ACCEPTED);
}

/// `domain.md` §2: key revoked between signing and ordering.
#[test]
fn a_key_revoked_between_signing_and_ordering_signs_nothing_from_the_next_block_on() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let signed_before = ledger.statement(SELLER, Mode::Each, &[issue("late")]);
    let revoked = ledger.statement(BUREAU, Mode::Each, &[rotate(&chain, SELLER, &["s2"], &["s1"])]);
    // In the very block that revokes the key, behind the revocation, it still signs, and the new one does not yet.
    let inside = ledger.statement(SELLER, Mode::Each, &[issue("inside")]);
    let too_early = ledger.signed_with(SELLER, "s2", Mode::Each, &[issue("early")]);
    assert_eq!(verdict(&ledger, &too_early), "statement.unknown-key");
    let executed = ledger.block(&[revoked, inside]);
    assert!(executed.outcomes.iter().flatten().all(|outcome| outcome.code == ACCEPTED), "{:?}", executed.outcomes);
    // One block after, whatever was signed and is not ordered yet is worth nothing, and the new key signs.
    assert_eq!(verdict(&ledger, &signed_before), "statement.key-inactive");
    assert_eq!(verdict(&ledger, &too_early), "admitted");
}

#[test]
fn what_a_revoked_key_signed_verifies_at_its_height_for_ever() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let statement = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let invoice = ledger.block(std::slice::from_ref(&statement)).outcomes[0][0].subject.clone();
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &["s2"], &["s1"])).code, ACCEPTED);
    // The key stays, with what it may sign and who held it; only active it is not.
    let shop = ledger.organisation(SELLER);
    let old = shop.key(&"s1".parse().unwrap()).unwrap();
    assert!(!old.active && old.purposes.contains(&Purpose::Statement));
    let statement = Statement::parse(statement, &chain::statement::Limits::default()).unwrap();
    assert_eq!(statement.verify(&old.public.point().unwrap()), Ok(()));
    assert_eq!(ledger.event(PLATFORM_A, lock(&invoice, "c")).code, ACCEPTED, "what it signed stands");
}

#[test]
fn the_tax_bureau_rotates_for_one_that_lost_its_keys_and_for_no_other_agency() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let found = refused(&ledger.event(BUYER, rotate(&chain, SELLER, &["s2"], &[])), "key.not-permitted");
    assert_eq!(found, BUYER);
    assert_eq!(ledger.event(BUREAU, rotate(&chain, SELLER, &["s2"], &["s1"])).code, ACCEPTED);
    let mut police = introduced("police", FREE_TAXPAYER).organisation;
    police.roles = [crate::organisation::Role::Agency].into();
    write(&mut ledger, &police);
    assert_eq!(ledger.event(BUREAU, rotate(&chain, "police", &["s2"], &[])).code, "organisation.is-agency");
    let own =
        ledger.signed_with("police", "statement", Mode::Each, &[rotate(&chain, "police", &["s2"], &["statement"])]);
    assert_eq!(ledger.block(&[own]).outcomes[0][0].code, ACCEPTED);
    assert_eq!(ledger.event(BUREAU, rotate(&chain, "nobody", &["s2"], &[])).code, "organisation.unknown");
}

#[test]
fn an_enterprise_without_keys_gets_one_that_an_agency_hosts() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    assert_eq!(ledger.event(BUREAU, register(&[("m", FREE_TAXPAYER)])).code, ACCEPTED);
    let hosted_by = |agency: &str| {
        let custody = Custody::HostedBy(organisation_id(agency));
        rotate_with("m", vec![addition(&chain, "m", "h1", Purpose::Statement, custody)], &[])
    };
    assert_eq!(refused(&ledger.event(BUREAU, hosted_by(PROVIDER)), "key.custodian-unknown"), PROVIDER);
    assert_eq!(ledger.event(BUREAU, hosted_by("nobody")).code, "key.custodian-unknown");
    assert_eq!(ledger.event(BUREAU, hosted_by(BUREAU)).code, ACCEPTED);
    let statement = ledger.signed_with("m", "h1", Mode::Each, &[mandate_to(PROVIDER, r#""issue""#)]);
    assert_eq!(ledger.block(&[statement]).outcomes[0][0].code, ACCEPTED);
}

#[test]
fn a_proof_of_possession_is_for_one_chain_organisation_id_and_use() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let other = "other@0000000000000000000000000000000000000000000000000000000000000000".parse().unwrap();
    let good = addition(&chain, SELLER, "s2", Purpose::Statement, Custody::Own);
    let elsewhere = addition(&other, SELLER, "s2", Purpose::Statement, Custody::Own);
    let of_another = addition(&chain, BUYER, "s2", Purpose::Statement, Custody::Own);
    let for_login = Addition { purposes: [Purpose::Login].into(), ..good.clone() };
    let renamed = Addition { id: "s3".parse().unwrap(), ..good.clone() };
    let hosted = Addition { custody: Custody::HostedBy(organisation_id(BUREAU)), ..good.clone() };
    let foreign = Addition { public: secret(BUYER, "statement").public().into(), ..good.clone() };
    for wrong in [elsewhere, of_another, for_login, renamed, hosted, foreign] {
        let found = refused(&ledger.event(SELLER, rotate_with(SELLER, vec![wrong], &[])), "key.proof-invalid");
        assert!(found.ends_with("the signature does not verify under the key"), "{found}");
    }
    assert_eq!(ledger.event(SELLER, rotate_with(SELLER, vec![good], &[])).code, ACCEPTED);
}

#[test]
fn bytes_that_are_no_key_are_refused_and_never_kept() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let good = rotate(&chain, SELLER, &["s2"], &[]);
    let public = secret(SELLER, "s2").public().to_string();
    // The neutral point, of small order: every signature with `R` and `S` to fit would verify.
    let small = good.replace(&public, "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let found = refused(&ledger.event(SELLER, small), "key.proof-invalid");
    assert_eq!(found, "shop/s2: the public key is a point of small order");
    assert_eq!(ledger.organisation(SELLER).keys.len(), 1);
}

#[test]
fn a_key_id_is_never_used_twice_nor_a_public_half() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &["s2"], &["s1"])).code, ACCEPTED);
    let mut by_new = |event: String| {
        let statement = ledger.signed_with(SELLER, "s2", Mode::Each, &[event]);
        ledger.block(&[statement]).outcomes.remove(0).remove(0)
    };
    let taken = by_new(rotate(&chain, SELLER, &["s1"], &[]));
    assert_eq!(refused(&taken, "key.id-used"), "shop/s1, where s1 stands");
    let twice = by_new(rotate(&chain, SELLER, &["s3", "s3"], &[]));
    assert_eq!(refused(&twice, "key.id-used"), "shop/s3, where s3 stands");
    // The public half of a revoked key under another id, with a proof that holds.
    let key = chain::jws::KeyReference { organisation: organisation_id(SELLER), key: "s9".parse().unwrap() };
    let mut old = addition(&chain, SELLER, "s2", Purpose::Statement, Custody::Own);
    let offer = chain::possession::Offer { chain: &chain, key: &key, terms: "statement own" };
    old.proof = offer.sign(&secret(SELLER, "s2"));
    old.id = key.key;
    assert_eq!(refused(&by_new(rotate_with(SELLER, vec![old], &[])), "key.id-used"), "shop/s9, where s2 stands");
    assert_eq!(refused(&by_new(rotate(&chain, SELLER, &[], &["s1"])), "key.revoked"), "shop/s1");
    assert_eq!(refused(&by_new(rotate(&chain, SELLER, &[], &["s9"])), "key.unknown"), "shop/s9");
    assert_eq!(refused(&by_new(rotate(&chain, SELLER, &[], &["s2", "s2"])), "key.revoked"), "shop/s2");
}

#[test]
fn an_agency_keeps_a_key_that_signs_statements_and_others_need_not() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let last = rotate(&chain, BUREAU, &[], &["s1"]);
    assert_eq!(refused(&ledger.event(BUREAU, last), "key.last-statement-key"), BUREAU);
    // A key for something else is no other.
    let receipt = addition(&chain, BUREAU, "r2", Purpose::Receipt, Custody::Own);
    assert_eq!(ledger.event(BUREAU, rotate_with(BUREAU, vec![receipt], &["s1"])).code, "key.last-statement-key");
    // Of two rotations in one block that leave one key each, the second would leave none.
    let add = ledger.event(BUREAU, rotate(&chain, BUREAU, &["s2"], &[]));
    assert_eq!(add.code, ACCEPTED);
    let one = ledger.statement(BUREAU, Mode::Each, &[rotate(&chain, BUREAU, &[], &["s1"])]);
    let two = ledger.signed_with(BUREAU, "s2", Mode::Each, &[rotate(&chain, BUREAU, &[], &["s2"])]);
    let outcomes = ledger.block(&[one, two]).outcomes;
    assert_eq!((outcomes[0][0].code.as_str(), outcomes[1][0].code.as_str()), (ACCEPTED, "key.last-statement-key"));
    // The last key of another may go: the tax bureau gives it a new one.
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &[], &["s1"])).code, ACCEPTED);
    let bureau = ledger.signed_with(BUREAU, "s2", Mode::Each, &[rotate(&chain, SELLER, &["s2"], &[])]);
    assert_eq!(ledger.block(&[bureau]).outcomes[0][0].code, ACCEPTED);
}

#[test]
fn receipt_keys_are_for_agencies_and_keys_of_seats_and_nodes_for_neither() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let receipt = |of: &str| rotate_with(of, vec![addition(&chain, of, "r1", Purpose::Receipt, Custody::Own)], &[]);
    assert_eq!(refused(&ledger.event(SELLER, receipt(SELLER)), "key.purpose"), "shop/r1");
    assert_eq!(ledger.event(BUREAU, receipt(BUREAU)).code, ACCEPTED);
    for purpose in ["consensus", "governance", "peer"] {
        let event = rotate(&chain, BUREAU, &["x"], &[])
            .replace(r#""purposes":["statement"]"#, &format!(r#""purposes":["{purpose}"]"#));
        let statement = ledger.statement(BUREAU, Mode::Each, &[event]);
        assert_eq!(verdict(&ledger, &statement), "event.malformed");
        let mut bureau = ledger.organisation(BUREAU);
        bureau.keys.push(Key {
            id: purpose.parse().unwrap(),
            public: secret(BUREAU, purpose).public().into(),
            purposes: [serde_json::from_str(&format!("\"{purpose}\"")).unwrap()].into(),
            custody: Custody::Own,
            active: true,
        });
        write(&mut ledger, &bureau);
        assert_eq!(ledger.event(BUREAU, rotate(&chain, BUREAU, &[], &[purpose])).code, "key.purpose");
    }
}

#[test]
fn an_organisation_has_a_limited_number_of_keys() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let mut shop = ledger.organisation(SELLER);
    let old = shop.keys[0].clone();
    while shop.keys.len() < KEYS_MAX - 1 {
        let id = format!("old-{}", shop.keys.len());
        shop.keys.push(Key { id: id.parse().unwrap(), active: false, ..old.clone() });
    }
    write(&mut ledger, &shop);
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &["s2", "s3"], &[])).code, "key.spent");
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &["s2"], &[])).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &["s3"], &["s1"])).code, "key.spent");
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &[], &["s1"])).code, ACCEPTED);
}

#[test]
fn a_suspended_organisation_rotates_nothing_and_the_tax_bureau_does_it_for_it() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    assert_eq!(ledger.event(BUREAU, suspend(SELLER)).code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &["s2"], &["s1"])).code, "organisation.suspended");
    assert_eq!(ledger.event(BUREAU, rotate(&chain, SELLER, &["s2"], &["s1"])).code, ACCEPTED);
    assert_eq!(ledger.event(BUREAU, reinstate(SELLER)).code, ACCEPTED);
    let new = ledger.signed_with(SELLER, "s2", Mode::Each, &[issue("a")]);
    assert_eq!(ledger.block(&[new]).outcomes[0][0].code, ACCEPTED);
}
