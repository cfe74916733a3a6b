//! How organisations come onto the ledger, and what the tax bureau changes about them.

use std::collections::BTreeSet;

use chain::statement::Mode;

use crate::admission::Parsed;
use crate::fixture::*;
use crate::organisation::{Custody, Purpose, Role, Standing};
use crate::outcome::{ACCEPTED, Record};
use crate::state::{StateKey, read};

/// What an event is malformed for, and where.
fn malformed(event: &str) -> (String, String) {
    let statement = Ledger::new().statement(BUREAU, Mode::Each, &[event.to_owned()]);
    let rejection = Parsed::read(&statement).expect_err(event);
    assert_eq!(rejection.code, "event.malformed");
    (rejection.path, rejection.found)
}

#[test]
fn who_is_admitted_by_its_introduction_acts_from_the_next_block_on() {
    let mut ledger = Ledger::new();
    let height = ledger.height;
    let admitted = ledger.event(BUREAU, admit("mall", FREE_TAXPAYER));
    assert_eq!((admitted.code.as_str(), admitted.subject.as_str()), (ACCEPTED, "organisation:mall"));
    assert_eq!(record(&admitted), Record::Admitted { from_height: height + 1 });
    let mut introduced = introduced("mall", FREE_TAXPAYER).organisation;
    introduced.keys.iter_mut().for_each(|key| key.from_height = height + 1);
    assert_eq!(ledger.organisation("mall"), introduced);
    let mandate = ledger.signed_with("mall", "statement", Mode::Each, &[mandate_to(PROVIDER, r#""issue""#)]);
    assert_eq!(ledger.block(&[mandate]).outcomes[0][0].code, ACCEPTED);
    let issue = issue("a").replace("shop Ltd", "mall Ltd").replace("91440300708461136T", FREE_TAXPAYER);
    assert_eq!(ledger.event(PROVIDER, issue).code, ACCEPTED);
}

#[test]
fn what_an_admission_brings_is_there_for_others_from_the_next_block_on() {
    let mut ledger = Ledger::new();
    let held = ledger.issued("a");
    let issue = issue("b").replace("shop Ltd", "mall Ltd").replace("91440300708461136T", FREE_TAXPAYER);
    let admit = ledger.statement(BUREAU, Mode::Each, &[admit("mall", FREE_TAXPAYER)]);
    let others = ledger.statement(BUYER, Mode::Each, &[issue.clone(), transfer(&held, "mall")]);
    let outcomes = ledger.block(&[admit, others]).outcomes;
    assert_eq!(outcomes[0][0].code, ACCEPTED);
    assert_eq!(outcomes[1][0].code, "organisation.unknown");
    assert_eq!(outcomes[1][1].code, "organisation.unknown");
    assert_eq!(ledger.event(BUYER, issue).code, "mandate.missing");
    assert_eq!(ledger.event(BUYER, transfer(&held, "mall")).code, ACCEPTED);
}

#[test]
fn an_introduction_that_does_not_hold_is_refused_with_what_is_wrong() {
    let mut ledger = Ledger::new();
    let mut check = |expected: &str, spoil: &dyn Fn(&mut crate::introduction::Introduction)| {
        let mut introduction = introduced("mall", FREE_TAXPAYER);
        spoil(&mut introduction);
        let found = refused(&ledger.event(BUREAU, admit_as(&introduction)), "organisation.introduction-invalid");
        assert!(found.contains(expected), "{found}");
    };
    check("/organisation/name", &|it| it.organisation.name = "a\nb".to_owned());
    check("/organisation/roles", &|it| it.organisation.roles.clear());
    check("/organisation/standing", &|it| it.organisation.standing = Standing::Suspended);
    check("/organisation/keys", &|it| drop(it.organisation.keys.remove(0)));
    check("/organisation/keys/0/custody", &|it| {
        it.organisation.keys[0].custody = Custody::HostedBy(organisation_id(BUREAU));
    });
    // Signed with a key of that id that is not the one introduced.
    check("not its key's", &|it| it.organisation.keys[0].public = secret("other", "login").public().into());
    assert_eq!(read::<String>(&ledger, &StateKey::organisation(&organisation_id("mall"))).unwrap(), None);
}

#[test]
fn an_introduction_is_for_one_chain_and_for_ninety_days() {
    let mut ledger = Ledger::new();
    let other = "other@0000000000000000000000000000000000000000000000000000000000000000".parse().unwrap();
    for chain in [None, Some(other)] {
        let introduction = crate::introduction::Introduction { chain, ..introduced("mall", FREE_TAXPAYER) };
        assert_eq!(ledger.event(BUREAU, admit_as(&introduction)).code, "organisation.introduction-elsewhere");
    }
    ledger.time_ms = NOON + 90 * DAY + 1;
    let stale = ledger.event(BUREAU, admit("mall", FREE_TAXPAYER));
    assert_eq!(refused(&stale, "organisation.introduction-stale"), NOON.to_string());
    ledger.time_ms = NOON - 60 * 60 * 1_000 - 1;
    assert_eq!(ledger.event(BUREAU, admit("mall", FREE_TAXPAYER)).code, "organisation.introduction-stale");
    ledger.time_ms = NOON + 90 * DAY;
    assert_eq!(ledger.event(BUREAU, admit("mall", FREE_TAXPAYER)).code, ACCEPTED);
}

#[test]
fn who_runs_a_node_reads_everything_so_it_is_admitted_as_that_and_is_an_auditor() {
    let with_node = |roles: &[Role]| {
        let mut introduction = introduced("watch", FREE_TAXPAYER);
        introduction.organisation.roles = roles.iter().copied().collect();
        for purpose in [Purpose::Peer, Purpose::Receipt] {
            introduction.organisation.keys.push(crate::organisation::Key {
                id: purpose.as_str().parse().unwrap(),
                public: secret("watch", purpose.as_str()).public().into(),
                purposes: [purpose].into(),
                custody: Custody::Own,
                active: true,
                from_height: 0,
            });
        }
        introduction
    };
    let observer = |event: String| event.replacen(r#""introduction""#, r#""observer":true,"introduction""#, 1);
    let auditor = admit_as(&with_node(&[Role::Auditor]));
    for wrong in
        [auditor.clone(), observer(admit_as(&with_node(&[Role::Enterprise]))), observer(admit("mall", FREE_TAXPAYER))]
    {
        assert_eq!(Ledger::new().event(BUREAU, wrong).code, "organisation.observer");
    }
    assert_eq!(Ledger::new().event(BUREAU, observer(auditor)).code, ACCEPTED);
}

#[test]
fn an_introduction_is_looked_at_before_it_is_opened() {
    let admit = admit("mall", FREE_TAXPAYER);
    let mut value: serde_json::Value = serde_json::from_str(&admit).unwrap();
    value["admit"]["introduction"]["signatures"].as_array_mut().unwrap().pop();
    let (path, found) = malformed(&value.to_string());
    assert_eq!(path, "/events/0/admit");
    assert!(found.contains("a signature of each of the 2 keys introduced, found 1"), "{found}");
    value["admit"]["introduction"]["payload"] = "e30".into();
    assert!(malformed(&value.to_string()).1.contains("missing field"), "no introduction at all");
}

#[test]
fn no_event_makes_an_agency_or_unmakes_one() {
    let mut ledger = Ledger::new();
    let mut agency = introduced("mall", FREE_TAXPAYER);
    agency.organisation.roles.insert(Role::Agency);
    for event in [
        admit_as(&agency),
        roles(SELLER, r#""agency","enterprise""#),
        roles(BUREAU, r#""enterprise""#),
        suspend(BUREAU),
        reinstate(BUREAU),
    ] {
        assert_eq!(ledger.event(BUREAU, event.clone()).code, "organisation.is-agency", "{event}");
    }
    assert_eq!(ledger.event(BUREAU, roles(BUREAU, r#""agency","auditor""#)).code, ACCEPTED);
}

#[test]
fn ids_and_taxpayer_ids_are_given_once() {
    let mut ledger = Ledger::new();
    let again = ledger.event(BUREAU, admit(SELLER, FREE_TAXPAYER));
    assert_eq!(refused(&again, "organisation.id-taken"), SELLER);
    let taxpayer = ledger.event(BUREAU, admit("mall", "915000000000011"));
    assert_eq!(refused(&taxpayer, "organisation.taxpayer-id-taken"), "915000000000011");
    // In the same block as well.
    let first = ledger.statement(BUREAU, Mode::Each, &[admit("mall", FREE_TAXPAYER)]);
    let second = ledger.statement(BUREAU, Mode::Each, &[register(&[("kiosk", FREE_TAXPAYER)])]);
    let outcomes = ledger.block(&[first, second]).outcomes;
    assert_eq!(outcomes[0][0].code, ACCEPTED);
    assert_eq!(refused(&outcomes[1][0], "organisation.taxpayer-id-taken"), format!("entry 0: {FREE_TAXPAYER}"));
}

#[test]
fn a_registration_is_accepted_as_a_whole_or_names_the_first_in_the_way() {
    let mut ledger = Ledger::new();
    let ids: Vec<(String, String)> =
        (0..400).map(|number| (format!("m-{number}"), format!("91600000000{number:04}"))).collect();
    let mut entries: Vec<(&str, &str)> = ids.iter().map(|(id, taxpayer)| (id.as_str(), taxpayer.as_str())).collect();
    entries[7].1 = "915000000000011";
    entries[9].0 = SELLER;
    let before = ledger.state.clone();
    let found = refused(&ledger.event(BUREAU, register(&entries)), "organisation.taxpayer-id-taken");
    assert_eq!(found, "entry 7: 915000000000011");
    entries[7].1 = &ids[7].1;
    assert_eq!(refused(&ledger.event(BUREAU, register(&entries)), "organisation.id-taken"), "entry 9: shop");
    entries[9].0 = "m-3";
    assert_eq!(refused(&ledger.event(BUREAU, register(&entries)), "organisation.id-taken"), "entry 9: m-3");
    entries[9] = ("m-9", &ids[3].1);
    let found = refused(&ledger.event(BUREAU, register(&entries)), "organisation.taxpayer-id-taken");
    assert_eq!(found, format!("entry 9: {}", ids[3].1));
    let records = |ledger: &Ledger| ledger.state.keys().filter(|key| [3, 4].contains(&key.as_bytes()[0])).count();
    assert_eq!(records(&ledger), before.keys().filter(|key| [3, 4].contains(&key.as_bytes()[0])).count());
    entries[9].1 = &ids[9].1;
    let registered = ledger.event(BUREAU, register(&entries));
    assert_eq!((registered.code.as_str(), registered.subject.as_str()), (ACCEPTED, "organisations:m-0"));
    let from_height = ledger.height;
    assert_eq!(record(&registered), Record::Registered { enterprises: 400, from_height });
    let merchant = ledger.organisation("m-399");
    assert_eq!((merchant.roles, merchant.keys), (BTreeSet::from([Role::Enterprise]), Vec::new()));
    // Without keys nobody signs.
    let statement = ledger.signed_with("m-399", "s1", Mode::Each, &[issue("a")]);
    assert_eq!(verdict(&ledger, &statement), "statement.unknown-key");
}

#[test]
fn lists_that_are_empty_too_long_or_wrong_in_themselves_are_no_events() {
    let entry = |id: usize| format!("m-{id}");
    let many: Vec<String> = (0..1_001).map(entry).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let wrong_check = register(&[("m", "91440300708461136X")]).replace("other", "uscc");
    for (event, path, found) in [
        (register(&[]), "/register/enterprises", "expected 1 to 1000 entries, found 0"),
        (attest(PROVIDER, r#""issue""#, &many), "/attest/enterprises", "found 1001"),
        (attest(PROVIDER, r#""issue""#, &["a", "b", "a"]), "/attest/enterprises", "found a twice"),
        (attest(PROVIDER, "", &["a"]), "/attest/scopes", "expected at least one"),
        (mandate_to(PROVIDER, ""), "/mandate/scopes", "expected at least one"),
        (roles(SELLER, ""), "/roles/roles", "expected at least one"),
        (wrong_check, "/register/enterprises/0", "check character T"),
        (register(&[("m", FREE_TAXPAYER)]).replace("m Ltd", r"a\nb"), "/register/enterprises/0/name", "control"),
        (rename(SELLER, ""), "/rename/name", "1 to 200 characters"),
        (rename(SELLER, "n").replace("\"name\"", "\"names\""), "/rename/names", "unknown field"),
        (renumber(SELLER, FREE_TAXPAYER).replace("_kind", "_id2"), "/rename/taxpayer_id2", "unknown field"),
        (r#"{"rename":{"organisation":"shop"}}"#.to_owned(), "/rename", "found neither"),
        (
            r#"{"rename":{"organisation":"shop","taxpayer_id":"915000000000077"}}"#.to_owned(),
            "/rename",
            "found one of them",
        ),
        (renumber(SELLER, "91440300708461136X"), "/rename", "check character T"),
        (suspend(SELLER).replace("investigation", "a grudge"), "/suspend/reason", "unknown variant"),
        (r#"{"rotate":{"organisation":"shop"}}"#.to_owned(), "/rotate", "found 0 and 0"),
        (
            format!(r#"{{"rotate":{{"organisation":"shop","revoke":[{}]}}}}"#, ["\"k\""; 17].join(",")),
            "/rotate",
            "found 0 and 17",
        ),
    ] {
        let (place, text) = malformed(&event);
        assert_eq!(place, format!("/events/0{path}"), "{event}: {text}");
        assert!(text.contains(found), "{event}: {text}");
    }
}

#[test]
fn who_is_suspended_acts_in_that_block_and_not_in_the_next() {
    let mut ledger = Ledger::new();
    let suspend = ledger.statement(BUREAU, Mode::Each, &[suspend(SELLER)]);
    let inside = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let outcomes = ledger.block(&[suspend, inside]).outcomes;
    assert_eq!((outcomes[0][0].code.as_str(), outcomes[1][0].code.as_str()), (ACCEPTED, ACCEPTED));
    assert_eq!(record(&outcomes[0][0]), Record::Suspended { from_height: ledger.height });
    let id = outcomes[1][0].subject.clone();
    assert_eq!(ledger.event(SELLER, void(&id)).code, "organisation.suspended");
    assert_eq!(ledger.event(PROVIDER, issue("b")).code, "organisation.suspended", "nor does anybody for it");
    // What it signed before stands.
    assert_eq!(ledger.event(PLATFORM_A, lock(&id, "c")).code, ACCEPTED);
    assert_eq!(refused(&ledger.event(BUREAU, crate::fixture::suspend(SELLER)), "organisation.unchanged").len(), 26);
    let back = ledger.event(BUREAU, reinstate(SELLER));
    assert_eq!(record(&back), Record::Reinstated { from_height: ledger.height });
    assert_eq!(ledger.event(SELLER, issue("b")).code, ACCEPTED);
    assert_eq!(ledger.event(BUREAU, reinstate(SELLER)).code, "organisation.unchanged");
    assert_eq!(ledger.event(BUREAU, crate::fixture::suspend("nobody")).code, "organisation.unknown");
}

#[test]
fn roles_apply_from_the_next_block_on() {
    let mut ledger = Ledger::new();
    let set = ledger.statement(BUREAU, Mode::Each, &[roles(SELLER, r#""auditor""#)]);
    let inside = ledger.statement(SELLER, Mode::Each, &[issue("a")]);
    let outcomes = ledger.block(&[set, inside]).outcomes;
    let former = BTreeSet::from([Role::Enterprise]);
    assert_eq!(record(&outcomes[0][0]), Record::RolesSet { former, from_height: ledger.height });
    assert_eq!(outcomes[1][0].code, ACCEPTED);
    assert_eq!(ledger.event(SELLER, issue("b")).code, "organisation.role-missing");
    assert_eq!(ledger.event(BUREAU, roles(SELLER, r#""auditor""#)).code, "organisation.unchanged");
}

#[test]
fn two_changes_of_one_organisation_in_one_block_both_take_effect() {
    let mut ledger = Ledger::new();
    let (chain, height) = (ledger.chain.clone(), ledger.height);
    let one = ledger.statement(BUREAU, Mode::Each, &[suspend(SELLER), rename(SELLER, "Shop & Sons")]);
    let two = ledger.statement(BUREAU, Mode::Each, &[roles(SELLER, r#""enterprise","auditor""#)]);
    let three = ledger.statement(SELLER, Mode::Each, &[rotate(&chain, SELLER, &["s2"], &[])]);
    let four = ledger.statement(BUREAU, Mode::Each, &[rotate(&chain, SELLER, &["s3"], &["s1"])]);
    let outcomes = ledger.block(&[one, two, three, four]).outcomes;
    assert!(outcomes.iter().flatten().all(|outcome| outcome.code == ACCEPTED), "{outcomes:?}");
    assert_eq!(ledger.height, height + 1);
    let shop = ledger.organisation(SELLER);
    assert_eq!((shop.standing, shop.name.as_str()), (Standing::Suspended, "Shop & Sons"));
    assert_eq!(shop.roles, BTreeSet::from([Role::Enterprise, Role::Auditor]));
    let keys: Vec<_> = shop.keys.iter().map(|key| (key.id.as_str(), key.active)).collect();
    assert_eq!(keys, [("s2", true), ("s3", true)]);
}

#[test]
fn what_a_statement_takes_back_it_takes_back_of_organisations_too() {
    let mut ledger = Ledger::new();
    let before = ledger.state.clone();
    let events = [register(&[("mall", FREE_TAXPAYER)]), attest(PROVIDER, r#""issue""#, &["mall"]), suspend("nobody")];
    let codes: Vec<String> = ledger.events(BUREAU, Mode::All, &events).into_iter().map(|o| o.code).collect();
    assert_eq!(codes, ["statement.all-refused", "statement.all-refused", "organisation.unknown"]);
    let mut after = ledger.state.clone();
    after.remove(&StateKey::refusal_budget(&organisation_id(BUREAU)));
    assert_eq!(after, before);
    let codes: Vec<String> = ledger.events(BUREAU, Mode::All, &events[..2]).into_iter().map(|o| o.code).collect();
    assert_eq!(codes, [ACCEPTED, ACCEPTED], "whom a statement brings, it may go on with");
}

#[test]
fn what_is_verified_and_written_is_paid_for() {
    let work = |event: String| {
        let statement = Ledger::new().statement(BUREAU, Mode::Each, &[event]);
        Parsed::read(&statement).unwrap().work()
    };
    let chain = Ledger::new().chain;
    assert_eq!(work(admit("mall", FREE_TAXPAYER)), 10 + 10 + 2 * 55);
    let three = rotate(&chain, SELLER, &["a", "b", "c"], &["s1"]);
    assert_eq!(work(three.clone()), 10 + 30 + 3 * 55 + 5);
    assert_eq!(work(approved(&chain, &three)), 10 + 30 + 20 + 3 * 55 + 5);
    assert_eq!(work(register(&[("m", FREE_TAXPAYER), ("n", "915000000000078")])), 10 + 2 * 10);
    assert_eq!(work(attest(PROVIDER, r#""issue""#, &["a", "b"])), 10 + 2 * 15);
    assert_eq!(work(mandate_to(PROVIDER, r#""issue""#)), 10 + 15);
    assert_eq!(work(suspend(SELLER)), 10 + 30);
    assert_eq!(work(renumber(SELLER, FREE_TAXPAYER)), 10 + 30);
    assert_eq!(work(correct(SELLER, FREE_TAXPAYER)), 10 + 30 + 24);
    let purposes = [Purpose::Statement, Purpose::Login];
    let all = purposes.map(|purpose| addition(&chain, SELLER, purpose.as_str(), purpose, Custody::Own));
    assert_eq!(work(rotate_with(SELLER, all.into(), &[])), 10 + 30 + 2 * 55);
}
