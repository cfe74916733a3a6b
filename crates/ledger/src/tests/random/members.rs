//! Organisations, keys and mandates in the random life: what an outsider knows of them from the accepted events alone.

use std::collections::{BTreeMap, BTreeSet};

use chain::block::Outcome;
use chain::identity::ChainId;
use proptest::prelude::*;

use crate::event::{Amend, Event, PayRequest, PayResult, Rename};
use crate::execute::FORMER_IDS_MAX;
use crate::fixture::*;
use crate::organisation::{Mandate, Organisation, RetiredKey, Scope, Standing};
use crate::outcome::ACCEPTED;
use crate::record::{FormerRecord, TaxpayerRecord};
use crate::state::{Kind, StateKey, decode, read, require};

const NEW: [&str; 3] = ["mall", "kiosk", "stall"];

fn chain() -> ChainId {
    genesis().chain_id()
}

/// Events about members, most of which somebody may do. Keys that are revoked are those that came by rotation, so that
/// everybody goes on signing.
pub(super) fn event() -> impl Strategy<Value = String> {
    let member = || prop::sample::select(vec![SELLER, PROVIDER, BUYER, PLATFORM_A, OUTSIDER, BUREAU, "mall", "kiosk"]);
    let taxpayer = || (0_u8..6).prop_map(|number| format!("91700000000000{number}"));
    let key = || prop::sample::select(vec!["k1", "k2", "k3"]);
    let scopes = || prop::sample::select(vec![r#""issue""#, r#""lock""#, r#""issue","lock","file""#, r#""read""#]);
    prop_oneof![
        1 => (prop::sample::select(NEW.to_vec()), taxpayer()).prop_map(|(id, taxpayer)| admit(id, &taxpayer)),
        1 => (prop::sample::select(NEW.to_vec()), taxpayer(), taxpayer()).prop_map(|(id, one, other)| {
            register(&[(id, &one), (&format!("{id}-2"), &other)])
        }),
        1 => key().prop_map(|key| approved(&chain(), &rotate(&chain(), BUREAU, &[key], &[]))),
        1 => member().prop_map(suspend),
        2 => member().prop_map(reinstate),
        2 => (member(), key()).prop_map(|(of, key)| rotate(&chain(), of, &[key], &[])),
        1 => (member(), key()).prop_map(|(of, key)| rotate(&chain(), of, &[], &[key])),
        1 => (member(), key(), key()).prop_map(|(of, add, revoke)| rotate(&chain(), of, &[add], &[revoke])),
        1 => (member(), prop::sample::select(vec![r#""enterprise""#, r#""enterprise","auditor""#]))
            .prop_map(|(of, set)| roles(of, set)),
        1 => (member(), prop::sample::select(vec!["One", "Two"])).prop_map(|(of, name)| rename(of, name)),
        1 => (member(), taxpayer()).prop_map(|(of, taxpayer)| renumber(of, &taxpayer)),
        1 => (member(), taxpayer()).prop_map(|(of, taxpayer)| correct(of, &taxpayer)),
        2 => (member(), scopes()).prop_map(|(to, scopes)| mandate_to(to, scopes)),
        1 => (member(), member()).prop_map(|(from, to)| revoke_mandate(from, to)),
        1 => (member(), scopes(), member(), member()).prop_map(|(to, scopes, one, other)| {
            let ids = [one, other];
            attest(to, scopes, if one == other { &ids[..1] } else { &ids })
        }),
    ]
}

/// An organisation as outsiders know it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: String,
    taxpayer: String,
    former: BTreeSet<String>,
    suspended: bool,
    keys: BTreeMap<String, bool>,
}

/// Everybody, as outsiders know them.
pub(super) struct Members {
    known: BTreeMap<String, Known>,
    mandates: BTreeMap<(String, String), BTreeSet<Scope>>,
}

impl Members {
    pub(super) fn new(ledger: &Ledger) -> Self {
        let (mut known, mut mandates) = (BTreeMap::new(), BTreeMap::new());
        for (key, stored) in &ledger.state {
            if key.as_bytes()[0] == Kind::Organisation as u8 {
                let it: Organisation = decode(key, stored).unwrap();
                known.insert(it.id.to_string(), Known::of(&it));
            } else if key.as_bytes()[0] == Kind::Mandate as u8 {
                let it: Mandate = decode(key, stored).unwrap();
                mandates.insert((it.from.to_string(), it.to.to_string()), it.scopes);
            }
        }
        Self { known, mandates }
    }

    pub(super) fn is_suspended(&self, id: &str) -> bool {
        self.known[id].suspended
    }

    fn allows(&self, from: &str, to: &str, scope: Scope) -> bool {
        let mandate = self.mandates.get(&(from.to_owned(), to.to_owned()));
        from == to || mandate.is_some_and(|scopes| scopes.contains(&scope))
    }

    /// Holds what was accepted of invoices against what was known before the block.
    pub(super) fn justify(&self, actor: &str, event: &str, outcome: &Outcome) {
        if outcome.code != ACCEPTED {
            return;
        }
        match serde_json::from_str(event).unwrap() {
            Event::Issue(_) | Event::Correct(_) | Event::OfflineIssue(_) | Event::IssueRed(_) => {
                assert!(self.allows(SELLER, actor, Scope::Issue), "{actor}: {event}");
            }
            Event::Lock(_) => assert!(self.allows(BUYER, actor, Scope::Lock), "{actor}: {event}"),
            Event::File(file) => {
                assert!(self.allows(file.seller.as_str(), actor, Scope::File), "{actor}: {event}");
            }
            Event::Admit(_)
            | Event::Register(_)
            | Event::Suspend(_)
            | Event::Reinstate(_)
            | Event::Roles(_)
            | Event::Rename(_)
            | Event::Attest(_)
            | Event::QuotaGrant(_)
            | Event::QuotaAdjust(_)
            | Event::QuotaPause(_)
            | Event::QuotaResume(_)
            | Event::SegmentGrant(_)
            | Event::Override(_) => assert_eq!(actor, BUREAU, "{event}"),
            Event::Rotate(rotate) => {
                assert!(actor == BUREAU || actor == rotate.organisation.as_str(), "{actor}: {event}");
            }
            Event::Transfer(_)
            | Event::Renew(_)
            | Event::Unlock(_)
            | Event::Close(_)
            | Event::Void(_)
            | Event::Evidence(_)
            | Event::Mandate(_)
            | Event::Revoke(_)
            | Event::SegmentClose(_) => {}
            Event::Book(_)
            | Event::BookAdjust(_)
            | Event::BookRevoke(_)
            | Event::Use(_)
            | Event::UseRevoke(_)
            | Event::Manifest(_) => {
                let record = record(outcome);
                let whose = super::books::in_whose_books(&record).expect("it says in whose books");
                assert!(self.allows(whose.as_str(), actor, Scope::File), "{actor}: {event}");
            }
            // Either side of the sale, or who holds or reimbursed what was sold to a person.
            Event::RedRequest(_) | Event::RedConfirm(_) | Event::RedDeny(_) | Event::RedWithdraw(_) => {
                let other = [BUYER, OUTSIDER].iter().any(|other| self.allows(other, actor, Scope::File));
                assert!(other || self.allows(SELLER, actor, Scope::Issue), "{actor}: {event}");
            }
            Event::Amend(Amend { taxpayer, .. }) | Event::PayRequest(PayRequest { taxpayer, .. }) => {
                assert!(self.allows(taxpayer.as_str(), actor, Scope::File), "{actor}: {event}");
            }
            Event::PayResult(PayResult { taxpayer, .. }) => {
                assert!(actor == BUREAU || self.allows(taxpayer.as_str(), actor, Scope::File), "{actor}: {event}");
            }
        }
    }

    /// Takes an accepted event in.
    pub(super) fn note(&mut self, actor: &str, event: &str, outcome: &Outcome) {
        if outcome.code != ACCEPTED {
            return;
        }
        let event: Event = serde_json::from_str(event).unwrap();
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other event touches organisations and mandates")]
        match event {
            Event::Admit(admit) => {
                let introduced = crate::introduction::Introduction::open(admit.introduction()).unwrap();
                self.come(Known::of(&introduced.organisation), admit.organisation().as_str());
            }
            Event::Register(register) => {
                for entry in register.enterprises.entries() {
                    let (name, taxpayer) = (entry.name.to_string(), entry.taxpayer_id.to_string());
                    let (former, keys) = (BTreeSet::new(), BTreeMap::new());
                    self.come(Known { name, taxpayer, former, suspended: false, keys }, entry.id.as_str());
                }
            }
            Event::Suspend(suspend) => {
                assert_ne!(suspend.organisation.as_str(), BUREAU);
                assert!(!std::mem::replace(&mut self.of(suspend.organisation.as_str()).suspended, true));
            }
            Event::Reinstate(reinstate) => {
                assert!(std::mem::replace(&mut self.of(reinstate.organisation.as_str()).suspended, false));
            }
            Event::Rotate(rotate) => {
                let keys = &mut self.of(rotate.organisation.as_str()).keys;
                for id in &rotate.revoke {
                    assert_eq!(keys.insert(id.to_string(), false), Some(true), "revoked what was active");
                }
                for addition in &rotate.add {
                    assert_eq!(keys.insert(addition.id.to_string(), true), None, "an id used twice");
                }
            }
            Event::Rename(rename) => self.rename(&rename),
            Event::Mandate(give) => {
                self.mandates.insert((actor.to_owned(), give.to.to_string()), give.scopes);
            }
            Event::Revoke(revoke) => {
                let pair = (revoke.from.to_string(), revoke.to.to_string());
                assert!(self.mandates.remove(&pair).is_some(), "ended what was there");
            }
            Event::Attest(attest) => {
                for from in attest.enterprises.entries() {
                    self.mandates.insert((from.to_string(), attest.to.to_string()), attest.scopes.clone());
                }
            }
            _ => {}
        }
    }

    fn rename(&mut self, rename: &Rename) {
        let (id, taken) = (rename.organisation.to_string(), rename.taxpayer_id.as_ref().map(ToString::to_string));
        assert!(taken.is_none_or(|taken| self.known.iter().all(|(other, it)| *other == id || !it.had(&taken))));
        let it = self.of(&id);
        if let Some(name) = &rename.name {
            it.name = name.to_string();
        }
        if let Some(taxpayer) = rename.taxpayer_id.as_ref().map(ToString::to_string) {
            it.former.remove(&taxpayer);
            let old = std::mem::replace(&mut it.taxpayer, taxpayer);
            if old != it.taxpayer && !rename.in_error {
                it.former.insert(old);
            }
        }
    }

    fn come(&mut self, new: Known, id: &str) {
        assert!(self.known.values().all(|it| !it.had(&new.taxpayer)), "a taxpayer id given twice");
        assert!(self.known.insert(id.to_owned(), new).is_none(), "an id given twice");
    }

    fn of(&mut self, id: &str) -> &mut Known {
        self.known.get_mut(id).unwrap()
    }

    /// Holds the state against what is known.
    pub(super) fn compare(&self, ledger: &Ledger) {
        let mut there = Self::new(ledger);
        there.mandates.retain(|(from, to), _| {
            let key = StateKey::mandate(&organisation_id(from), &organisation_id(to));
            read::<Mandate>(ledger, &key).unwrap().unwrap().stands(ledger.time_ms)
        });
        assert_eq!(there.mandates, self.mandates);
        for (id, it) in &mut there.known {
            let former = StateKey::former(&organisation_id(id));
            let former: FormerRecord = read(ledger, &former).unwrap().unwrap_or_default();
            for (key, stored) in &ledger.state {
                let prefix = [&[Kind::RetiredKey as u8], id.as_bytes(), &[0]].concat();
                if key.as_bytes().starts_with(&prefix) {
                    let retired: RetiredKey = decode(key, stored).unwrap();
                    assert_eq!(it.keys.insert(retired.key.id.to_string(), false), None, "in one place");
                }
            }
            it.former = former.ids.iter().map(|former| former.taxpayer_id.to_string()).collect();
            assert!(former.ids.len() == it.former.len() && it.former.len() <= FORMER_IDS_MAX);
            // Every id that it has or had leads to it.
            for taxpayer in it.former.iter().chain([&it.taxpayer]) {
                let owner: TaxpayerRecord = require(ledger, &StateKey::taxpayer(&taxpayer.parse().unwrap())).unwrap();
                assert_eq!(owner.organisation, Some(organisation_id(id)));
            }
        }
        assert_eq!(there.known, self.known);
    }
}

impl Known {
    fn of(it: &Organisation) -> Self {
        Self {
            name: it.name.clone(),
            taxpayer: it.taxpayer_id.to_string(),
            former: BTreeSet::new(),
            suspended: it.standing == Standing::Suspended,
            keys: it.keys.iter().map(|key| (key.id.to_string(), key.active)).collect(),
        }
    }

    fn had(&self, taxpayer: &str) -> bool {
        self.taxpayer == taxpayer || self.former.contains(taxpayer)
    }
}
