//! Keys: how they come and go, and what a statement is worth that was signed with one that has gone.

use chain::statement::{Mode, Statement};

use crate::event::{Addition, Event};
use crate::fixture::*;
use crate::organisation::{ADDITIONS_A_DAY_MAX, Custody, KEYS_MAX, Key, Organisation, Purpose, RetiredKey, Role};
use crate::outcome::{ACCEPTED, Record};
use crate::state::{StateKey, encode, require};

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
    let place = StateKey::retired_key(&organisation_id(SELLER), &"s1".parse().unwrap());
    let RetiredKey { key: old, until_height } = require(&ledger, &place).unwrap();
    assert!(!old.active && old.purposes.contains(&Purpose::Statement));
    let new = ledger.organisation(SELLER).keys.remove(0);
    assert_eq!((old.from_height, until_height, new.from_height), (0, 3, 3));
    assert_eq!((new.id.as_str(), new.active), ("s2", true));
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
    police.roles = [Role::Agency].into();
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
    let foreign = Addition { public: secret(BUYER, "other").public().into(), ..good.clone() };
    for wrong in [elsewhere, of_another, for_login, renamed, hosted, foreign] {
        let found = refused(&ledger.event(SELLER, rotate_with(SELLER, vec![wrong], &[])), "key.proof-invalid");
        assert!(found.starts_with("shop/s"), "{found}");
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
    let words = ("a key that a ledger admits".to_owned(), "shop/s2".to_owned());
    assert_eq!(refused_with(&ledger.event(SELLER, small), "key.proof-invalid"), words);
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
    assert_eq!(refused(&taken, "key.id-used"), "shop/s1");
    let twice = by_new(rotate(&chain, SELLER, &["s3", "s3"], &[]));
    assert_eq!(refused(&twice, "key.id-used"), "shop/s3");
    // The public half of a revoked key under another id, with a proof that holds.
    let key = chain::jws::KeyReference { organisation: organisation_id(SELLER), key: "s9".parse().unwrap() };
    let mut old = addition(&chain, SELLER, "s2", Purpose::Statement, Custody::Own);
    let offer = chain::possession::Offer { chain: &chain, key: &key, terms: "statement own" };
    old.proof = offer.sign(&secret(SELLER, "s2"));
    old.id = key.key;
    assert_eq!(refused(&by_new(rotate_with(SELLER, vec![old], &[])), "key.used"), "shop/s9");
    assert_eq!(refused(&by_new(rotate(&chain, SELLER, &[], &["s1"])), "key.revoked"), "shop/s1");
    assert_eq!(refused(&by_new(rotate(&chain, SELLER, &[], &["s9"])), "key.unknown"), "shop/s9");
    assert_eq!(refused(&by_new(rotate(&chain, SELLER, &[], &["s2", "s2"])), "key.revoked"), "shop/s2");
}

#[test]
fn an_agency_keeps_a_key_that_signs_statements_and_others_need_not() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let last = approved(&chain, &rotate(&chain, BUREAU, &[], &["s1"]));
    assert_eq!(refused(&ledger.event(BUREAU, last), "key.last-statement-key"), BUREAU);
    // A key for something else is no other.
    let login = addition(&chain, BUREAU, "l2", Purpose::Login, Custody::Own);
    let login = approved(&chain, &rotate_with(BUREAU, vec![login], &["s1"]));
    assert_eq!(ledger.event(BUREAU, login).code, "key.last-statement-key");
    // Of two rotations in one block that leave one key each, the second would leave none.
    let add = ledger.event(BUREAU, approved(&chain, &rotate(&chain, BUREAU, &["s2"], &[])));
    assert_eq!(add.code, ACCEPTED);
    let one = ledger.statement(BUREAU, Mode::Each, &[approved(&chain, &rotate(&chain, BUREAU, &[], &["s1"]))]);
    let two = ledger.signed_with(BUREAU, "s2", Mode::Each, &[approved(&chain, &rotate(&chain, BUREAU, &[], &["s2"]))]);
    let outcomes = ledger.block(&[one, two]).outcomes;
    assert_eq!((outcomes[0][0].code.as_str(), outcomes[1][0].code.as_str()), (ACCEPTED, "key.last-statement-key"));
    // The last key of another may go: the tax bureau gives it a new one.
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &[], &["s1"])).code, ACCEPTED);
    let bureau = ledger.signed_with(BUREAU, "s2", Mode::Each, &[rotate(&chain, SELLER, &["s2"], &[])]);
    assert_eq!(ledger.block(&[bureau]).outcomes[0][0].code, ACCEPTED);
}

#[test]
fn keys_of_seats_and_nodes_neither_come_nor_go_by_a_rotation() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    for purpose in ["consensus", "governance", "peer", "receipt"] {
        let event = rotate(&chain, BUREAU, &["x"], &[])
            .replace(r#""purposes":["statement"]"#, &format!(r#""purposes":["{purpose}"]"#));
        let statement = ledger.statement(BUREAU, Mode::Each, &[event]);
        if purpose == "peer" {
            let peer = vec![addition(&chain, BUREAU, "x", Purpose::Peer, Custody::Own)];
            let event = approved(&chain, &rotate_with(BUREAU, peer, &[]));
            assert_eq!(refused(&ledger.event(BUREAU, event), "key.purpose"), "tax-bureau/x");
        } else {
            assert_eq!(verdict(&ledger, &statement), "event.malformed");
        }
        let mut bureau = ledger.organisation(BUREAU);
        bureau.keys.push(Key {
            id: format!("{purpose}-2").parse().unwrap(),
            public: secret(BUREAU, &format!("{purpose}-2")).public().into(),
            purposes: [serde_json::from_str(&format!("\"{purpose}\"")).unwrap()].into(),
            custody: Custody::Own,
            active: true,
            from_height: 0,
        });
        write(&mut ledger, &bureau);
        let revoke = approved(&chain, &rotate(&chain, BUREAU, &[], &[&format!("{purpose}-2")]));
        assert_eq!(ledger.event(BUREAU, revoke).code, "key.purpose");
    }
}

#[test]
fn an_auditors_node_gets_new_peer_keys_and_nobody_else_gets_one() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let peer = |of: &str, id: &str, revoke: &[&str]| {
        rotate_with(of, vec![addition(&chain, of, id, Purpose::Peer, Custody::Own)], revoke)
    };
    assert_eq!(ledger.event(SELLER, peer(SELLER, "p1", &[])).code, "key.purpose");
    assert_eq!(ledger.event(BUREAU, peer(SELLER, "p1", &[])).code, "key.purpose", "no auditor");
    assert_eq!(ledger.event(AUDITOR, peer(AUDITOR, "p1", &[])).code, "key.purpose", "without a node");
    assert_eq!(ledger.event(BUREAU, peer(AUDITOR, "p1", &[])).code, ACCEPTED);
    assert_eq!(ledger.event(AUDITOR, peer(AUDITOR, "p2", &["p1"])).code, ACCEPTED);
    assert_eq!(ledger.event(AUDITOR, rotate(&chain, AUDITOR, &[], &["p2"])).code, ACCEPTED);
    assert_eq!(ledger.event(AUDITOR, peer(AUDITOR, "p3", &[])).code, "key.purpose");
}

#[test]
fn keys_of_a_seat_change_with_its_governance_key_alone_whoever_sends_the_change() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    // Whoever has stolen the statement key has no more than that.
    let change = rotate(&chain, BUREAU, &["s2"], &["s1"]);
    assert_eq!(refused(&ledger.event(BUREAU, change.clone()), "key.not-approved"), "no signature");
    // An approval is for one change: here of the same keys, the other way about.
    let Event::Rotate(other) = serde_json::from_str(&approved(&chain, &rotate(&chain, BUREAU, &["s3"], &[]))).unwrap()
    else {
        panic!()
    };
    let Event::Rotate(mut spoilt) = serde_json::from_str(&change).unwrap() else { panic!() };
    spoilt.approval = other.approval;
    let spoilt = Event::Rotate(spoilt).to_json();
    assert_eq!(refused(&ledger.event(BUREAU, spoilt), "key.not-approved"), "a signature that does not verify");
    // One that has lost every key is helped by another agency, and by nobody else.
    let mut police = introduced("police", FREE_TAXPAYER).organisation;
    police.roles = [Role::Agency].into();
    write(&mut ledger, &police);
    let change = approved(&chain, &change);
    assert_eq!(ledger.event(SELLER, change.clone()).code, "key.not-permitted");
    let helped = ledger.signed_with("police", "statement", Mode::Each, std::slice::from_ref(&change));
    assert_eq!(ledger.block(&[helped]).outcomes[0][0].code, ACCEPTED);
    // What was approved once is done once.
    let again = ledger.signed_with("police", "statement", Mode::Each, &[change]);
    assert_eq!(ledger.block(&[again]).outcomes[0][0].code, "key.revoked");
    // The agency's help ends there.
    let foreign = ledger.signed_with("police", "statement", Mode::Each, &[rotate(&chain, SELLER, &["s2"], &[])]);
    assert_eq!(ledger.block(&[foreign]).outcomes[0][0].code, "key.not-permitted");
}

#[test]
fn an_organisation_has_a_limited_number_of_active_keys_and_any_number_of_revoked_ones() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    let names: Vec<String> = (0..KEYS_MAX).map(|number| format!("k{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for keys in names[..KEYS_MAX - 1].chunks(16) {
        assert_eq!(ledger.event(BUREAU, rotate(&chain, SELLER, keys, &[])).code, ACCEPTED);
    }
    assert_eq!(ledger.organisation(SELLER).keys.len(), KEYS_MAX);
    assert_eq!(ledger.event(BUREAU, rotate(&chain, SELLER, &names[KEYS_MAX - 1..], &[])).code, "key.spent");
    // The one that goes makes room for the one that comes, however many went before.
    for keys in names[..KEYS_MAX - 1].chunks(16) {
        assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &[], keys)).code, ACCEPTED);
    }
    assert_eq!(ledger.organisation(SELLER).keys.len(), 1);
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &names[KEYS_MAX - 1..], &["s1"])).code, ACCEPTED);
}

#[test]
fn a_thief_adds_so_many_keys_a_day_and_the_tax_bureau_as_many_as_it_must() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    for round in 0..ADDITIONS_A_DAY_MAX / 16 - 1 {
        let names: Vec<String> = (0..16).map(|number| format!("k{round}-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &names, &[])).code, ACCEPTED);
        assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &[], &names)).code, ACCEPTED);
    }
    let more: Vec<String> = (0..16).map(|number| format!("m{number}")).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    assert_eq!(ledger.event(SELLER, rotate(&chain, SELLER, &more, &[])).code, ACCEPTED);
    assert_eq!(refused(&ledger.event(SELLER, rotate(&chain, SELLER, &["n"], &[])), "key.additions-spent"), "65");
    assert_eq!(ledger.event(BUREAU, rotate(&chain, SELLER, &["n"], &["s1"])).code, ACCEPTED, "the bureau ends it");
    ledger.time_ms += DAY;
    let next = ledger.signed_with(SELLER, "n", Mode::Each, &[rotate(&chain, SELLER, &["o"], &[])]);
    assert_eq!(ledger.block(&[next]).outcomes[0][0].code, ACCEPTED);
}

#[test]
fn a_public_key_is_one_organisations_for_ever() {
    let mut ledger = Ledger::new();
    let chain = ledger.chain.clone();
    // Also a key of a seat, which stands in no organisation's record.
    for (of, id) in [(BUYER, "statement"), (BUREAU, "governance"), (BUREAU, "consensus"), (BUREAU, "receipt")] {
        let key = chain::jws::KeyReference { organisation: organisation_id(SELLER), key: "s2".parse().unwrap() };
        let terms = crate::event::terms(&[Purpose::Statement].into(), &Custody::Own);
        let secret = secret(of, id);
        let proof = chain::possession::Offer { chain: &chain, key: &key, terms: &terms }.sign(&secret);
        let public = secret.public().into();
        let addition = Addition { public, proof, ..addition(&chain, SELLER, "s2", Purpose::Statement, Custody::Own) };
        let found = refused(&ledger.event(SELLER, rotate_with(SELLER, vec![addition], &[])), "key.used");
        assert_eq!(found, "shop/s2", "nothing is said of whose it is");
    }
    assert_eq!(ledger.event(BUREAU, rotate(&chain, SELLER, &["s2"], &["s1"])).code, ACCEPTED);
    let mut mall = introduced("mall", FREE_TAXPAYER);
    mall.organisation.keys[1].public = secret(SELLER, "statement").public().into();
    let mut secrets = std::collections::BTreeMap::new();
    let (login, stolen) = (secret("mall", "login"), secret(SELLER, "statement"));
    for (key, secret) in mall.organisation.keys.iter().zip([&login, &stolen]) {
        let by = chain::jws::KeyReference { organisation: mall.organisation.id.clone(), key: key.id.clone() };
        secrets.insert(by, secret);
    }
    let admit = Event::Admit(Box::new(crate::event::Admit::new(mall.sign(&secrets).unwrap()).unwrap())).to_json();
    assert_eq!(refused(&ledger.event(BUREAU, admit), "key.used"), "mall/statement");
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
