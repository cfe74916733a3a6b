//! Introductions, the genesis they become, and what the two say of each other.

use chain::identity::{KeyId, OrganisationId};
use invoice::taxpayer::TaxpayerKind;

use super::*;
use crate::fixture::{NOON, secret};
use crate::founding::{Founding, FoundingError};
use crate::genesis::GenesisError;
use crate::organisation::{Mandate, Scope};
use crate::parameters::Parameters;

fn id(name: &str) -> OrganisationId {
    name.parse().expect("an id")
}

fn key(organisation: &str, purpose: Purpose) -> Key {
    let name = spelled(&purpose);
    Key {
        id: KeyId::new(format!("{name}-1")).expect("an id"),
        public: secret(organisation, &name).public().into(),
        purposes: BTreeSet::from([purpose]),
        custody: Custody::Own,
        active: true,
        from_height: 0,
    }
}

fn introduction(name: &str, taxpayer: &str, purposes: &[Purpose]) -> Introduction {
    let is_agency = purposes.contains(&Purpose::Consensus);
    Introduction {
        version: INTRODUCTION_VERSION,
        suite: Suite::Ed25519Sha256,
        time_ms: NOON,
        power: is_agency.then_some(1),
        chain: None,
        organisation: Organisation {
            id: id(name),
            name: name.to_owned(),
            taxpayer_id: taxpayer.parse().expect("a taxpayer id"),
            taxpayer_kind: TaxpayerKind::Other,
            roles: BTreeSet::from([if is_agency { Role::Agency } else { Role::Enterprise }]),
            standing: Standing::Active,
            keys: purposes.iter().map(|purpose| key(name, *purpose)).collect(),
        },
    }
}

fn agency(name: &str, taxpayer: &str) -> Introduction {
    introduction(name, taxpayer, &AGENCY_PURPOSES)
}

fn sign(introduction: &Introduction) -> Result<SignedIntroduction, IntroductionError> {
    let organisation = &introduction.organisation;
    let secrets = organisation.keys.iter().map(|key| {
        let purpose = key.purposes.first().map(spelled).unwrap_or_default();
        (
            KeyReference { organisation: organisation.id.clone(), key: key.id.clone() },
            secret(organisation.id.as_str(), &purpose),
        )
    });
    let secrets: BTreeMap<_, _> = secrets.collect();
    introduction.sign(&secrets.iter().map(|(by, secret)| (by.clone(), secret)).collect())
}

fn founding(agencies: &[Introduction], members: &[Introduction]) -> Founding {
    let agencies = agencies.iter().filter_map(|agency| Some((agency.organisation.clone(), agency.power?)));
    Founding {
        name: "test".parse().expect("a name"),
        time_ms: NOON,
        parameters: Parameters::new(id("bureau")),
        agencies: agencies.collect(),
        members: members.iter().map(|member| member.organisation.clone()).collect(),
        mandates: Vec::new(),
    }
}

fn four() -> [Introduction; 4] {
    [
        agency("bureau", "915000000000021"),
        agency("police", "915000000000022"),
        agency("customs", "915000000000023"),
        agency("bank", "915000000000024"),
    ]
}

#[test]
fn what_was_introduced_is_opened_as_it_was() {
    let shop = |purposes: &[Purpose]| introduction("shop", "915000000000031", purposes);
    let (member, observer) = (shop(&MEMBER_PURPOSES), shop(&OBSERVER_PURPOSES));
    assert_eq!((member.observes(), observer.observes()), (false, true));
    for introduced in [agency("bureau", "915000000000021"), member, observer] {
        let signed = sign(&introduced).unwrap();
        let read = SignedIntroduction::parse(&signed.to_bytes()).unwrap();
        assert_eq!(Introduction::open(&read), Ok(introduced));
    }
}

#[test]
fn an_introduction_that_breaks_a_rule_is_refused_by_its_place() {
    let check = |path: &str, spoil: &dyn Fn(&mut Introduction)| {
        let mut spoilt = agency("bureau", "915000000000021");
        spoil(&mut spoilt);
        match sign(&spoilt).unwrap_err() {
            IntroductionError::Malformed { path: found, .. } => assert_eq!(found, path),
            other @ (IntroductionError::File(_) | IntroductionError::Body(_)) => panic!("{path}: {other}"),
        }
    };
    check("/version", &|it| it.version = 2);
    check("/time_ms", &|it| it.time_ms = -1);
    check("/power", &|it| it.power = Some(0));
    check("/organisation/name", &|it| it.organisation.name.clear());
    check("/organisation/name", &|it| it.organisation.name = "n".repeat(201));
    check("/organisation/name", &|it| it.organisation.name = "Police\nsigned by all".to_owned());
    check("/organisation/taxpayer_id", &|it| it.organisation.taxpayer_kind = TaxpayerKind::Uscc);
    check("/organisation/roles", &|it| it.organisation.roles = BTreeSet::from([Role::Auditor]));
    check("/organisation/standing", &|it| it.organisation.standing = Standing::Suspended);
    check("/organisation/keys", &|it| drop(it.organisation.keys.pop()));
    check("/organisation/keys/0/purposes", &|it| it.power = None);
    check("/organisation/keys/1/purposes", &|it| it.organisation.keys[1] = it.organisation.keys[0].clone());
    check("/organisation/keys/0/purposes", &|it| {
        it.organisation.keys[0].purposes.insert(Purpose::Login);
    });
    check("/organisation/keys/1/public", &|it| it.organisation.keys[1].public = it.organisation.keys[0].public);
    check("/organisation/keys/1/id", &|it| it.organisation.keys[1].id = it.organisation.keys[0].id.clone());
    check("/organisation/keys/3/active", &|it| it.organisation.keys[3].active = false);
    check("/organisation/keys/3/custody", &|it| it.organisation.keys[3].custody = Custody::HostedBy(id("bank")));
}

#[test]
fn a_node_without_a_vote_has_both_keys_of_a_node_and_no_more() {
    let check = |purposes: &[Purpose], path: &str| {
        let refused = sign(&introduction("shop", "915000000000031", purposes)).unwrap_err();
        let IntroductionError::Malformed { path: found, .. } = refused else { panic!("{refused}") };
        assert_eq!(found, path);
    };
    check(&[Purpose::Login, Purpose::Peer, Purpose::Statement], "/organisation/keys");
    check(&[Purpose::Login, Purpose::Receipt, Purpose::Statement], "/organisation/keys");
    check(&[Purpose::Peer, Purpose::Receipt], "/organisation/keys");
    let more = [Purpose::Login, Purpose::Peer, Purpose::Receipt, Purpose::Statement, Purpose::Governance];
    check(&more, "/organisation/keys/4/purposes");
}

#[test]
fn a_key_that_its_owner_did_not_sign_with_is_refused() {
    let mut stolen = agency("bureau", "915000000000021");
    stolen.organisation.keys[3].public = key("police", Purpose::Peer).public;
    let refused = sign(&stolen).unwrap_err();
    assert!(matches!(refused, IntroductionError::File(introduction::IntroductionError::Signature { .. })), "{refused}");
}

#[test]
fn a_key_that_verifiers_could_disagree_about_is_refused() {
    let honest = agency("bureau", "915000000000021");
    let payload = serde_json::to_string(&honest).unwrap();
    let public = honest.organisation.keys[0].public.to_string();
    for (bad, why) in [
        ("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "small order"),
        ("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA", "second spelling"),
        // Of mixed order: the key of speccheck's cases 3 to 5.
        ("zbJnzkDFzUUwb6XS8pcxRZOH2_nrkzt71a7Zp2W4jU0", "torsion component"),
    ] {
        let spoilt = payload.replace(&public, bad);
        assert_ne!(spoilt, payload);
        let signed = SignedIntroduction::sign(spoilt.into_bytes(), &BTreeMap::new());
        let Err(IntroductionError::Body(error)) = Introduction::open(&signed) else { panic!("{why} is read") };
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn the_same_founding_gives_the_same_bytes_in_any_order() {
    let [bureau, police, customs, bank] = four();
    let shop = introduction("shop", "915000000000031", &MEMBER_PURPOSES);
    let buyer = introduction("buyer", "915000000000032", &MEMBER_PURPOSES);
    let [shop, buyer] = [shop, buyer].map(|mut it| {
        it.organisation.roles.insert(Role::ServiceProvider);
        it
    });
    let mandate = |from: &str, to: &str| Mandate {
        from: id(from),
        to: id(to),
        scopes: BTreeSet::from([Scope::Read]),
        expires_ms: None,
        attested: false,
    };
    let mandates = [mandate("shop", "buyer"), mandate("buyer", "shop")];
    let form = |agencies: &[Introduction], members: &[Introduction], mandates: Vec<Mandate>| {
        let mut founding = Founding { mandates, ..founding(agencies, members) };
        founding.sort();
        founding.genesis().unwrap().to_bytes()
    };
    let one = form(
        &[bureau.clone(), police.clone(), customs.clone(), bank.clone()],
        &[shop.clone(), buyer.clone()],
        mandates.to_vec(),
    );
    let other = form(&[customs, bank, bureau, police], &[buyer, shop], mandates.into_iter().rev().collect());
    assert_eq!(one, other);
}

#[test]
fn a_genesis_holds_what_was_introduced_or_the_difference_is_named() {
    let all = four();
    let honest = founding(&all, &[]);
    let genesis = honest.genesis().unwrap();
    let ledger = LedgerGenesis::read(&genesis).unwrap();
    for introduced in &all {
        assert_eq!(introduced.differences(&genesis, &ledger), []);
    }
    let police = &all[1];
    let check = |expected: &[&str], spoil: &dyn Fn(&mut Founding)| {
        let mut spoilt = honest.clone();
        spoil(&mut spoilt);
        let genesis = spoilt.genesis().unwrap();
        let differences = police.differences(&genesis, &LedgerGenesis::read(&genesis).unwrap());
        let what: Vec<_> = differences.iter().map(|difference| difference.what.as_str()).collect();
        assert_eq!(what, expected);
        for other in [&all[0], &all[2], &all[3]] {
            assert_eq!(other.differences(&genesis, &LedgerGenesis::read(&genesis).unwrap()), [], "not theirs");
        }
    };
    let mallory = |purpose| key("mallory", purpose).public;
    check(&["power"], &|it| it.agencies[1].1 = 2);
    check(&["consensus key", "key consensus-1"], &|it| it.agencies[1].0.keys[0].public = mallory(Purpose::Consensus));
    check(&["governance key", "key governance-1"], &|it| {
        it.agencies[1].0.keys[1].public = mallory(Purpose::Governance);
    });
    check(&["key login-1"], &|it| it.agencies[1].0.keys[2].public = mallory(Purpose::Login));
    check(&["key peer-1"], &|it| it.agencies[1].0.keys[3].public = mallory(Purpose::Peer));
    check(&["key peer-1"], &|it| it.agencies[1].0.keys[3].active = false);
    check(&["key statement-2"], &|it| {
        let id = KeyId::new("statement-2").expect("an id");
        it.agencies[1].0.keys.push(Key {
            id,
            public: mallory(Purpose::Statement),
            ..key("police", Purpose::Statement)
        });
    });
    check(&["order of keys"], &|it| it.agencies[1].0.keys.reverse());
    check(&["name"], &|it| it.agencies[1].0.name = "Police of Another Town".to_owned());
    check(&["roles"], &|it| {
        it.agencies[1].0.roles.insert(Role::Auditor);
    });
    check(&["validator", "organisation"], &|it| drop(it.agencies.remove(1)));
    check(&["validator"], &|it| {
        let (organisation, _) = it.agencies.remove(1);
        it.members.push(organisation);
    });
}

#[test]
fn a_founding_whose_parts_do_not_fit_is_refused_by_name() {
    let refused = |spoil: &dyn Fn(&mut Founding)| {
        let mut spoilt = founding(&four(), &[]);
        spoil(&mut spoilt);
        spoilt.genesis().unwrap_err()
    };
    let shared = refused(&|it| it.agencies[1].0.keys[0].public = it.agencies[2].0.keys[4].public);
    assert!(shared.to_string().contains("(police/consensus-1, and customs as a validator)"), "{shared}");
    let login = refused(&|it| it.agencies[1].0.keys[2].public = it.agencies[2].0.keys[2].public);
    assert!(login.to_string().contains("(police/login-1, customs/login-1)"), "{login}");
    let twice = refused(&|it| it.agencies.push(it.agencies[0].clone()));
    assert!(matches!(twice, FoundingError::Ledger(GenesisError::Twice { .. })), "{twice}");
    let no_key = refused(&|it| drop(it.agencies[0].0.keys.remove(0)));
    assert_eq!(no_key, FoundingError::Seat { organisation: id("bureau") });
    let no_bureau = refused(&|it| it.parameters.tax_bureau = id("nobody"));
    assert!(matches!(no_bureau, FoundingError::Ledger(GenesisError::NotThere { .. })), "{no_bureau}");
    let nobody = refused(&|it| {
        let agencies = std::mem::take(&mut it.agencies);
        it.members = agencies.into_iter().map(|(organisation, _)| organisation).collect();
    });
    assert!(matches!(nobody, FoundingError::Chain(_)), "{nobody}");
}
