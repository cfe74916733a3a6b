//! What the tests of this crate share: a small consortium on an in-memory state, driven event by
//! event. Keys come from seeds, time is set by hand.

mod books;
mod contingency;
mod filings;
mod members;
mod quotas;
mod red;

use std::collections::{BTreeMap, BTreeSet};

use chain::block::Outcome;
use chain::certificate::{VoteKind, sign_vote};
use chain::equivocation::{Equivocation, Signed, Step};
use chain::genesis::{Genesis, GenesisBody, GenesisValidator};
use chain::hash::Hash;
use chain::identity::{ChainId, KeyId, OrganisationId};
use chain::key::SecretKey;
use chain::statement::{Draft, Mode, Nonce as StatementNonce, StatementHeader};
use chain::suite::Suite;
use invoice::taxpayer::TaxpayerKind;

use crate::admission::{Court, Parsed, Verdict};
use crate::event::Event;
use crate::execute::{Context, Executed, Executor};
use crate::genesis::LedgerGenesis;
use crate::organisation::{Custody, Key, Mandate, Organisation, Purpose, Role, Scope, Standing};
use crate::outcome::Record;
use crate::parameters::Parameters;
use crate::state::{Fault, Nonce, StateKey, View, Writes};

pub(crate) use books::*;
pub(crate) use contingency::*;
pub(crate) use filings::*;
pub(crate) use members::*;
pub(crate) use quotas::*;
pub(crate) use red::*;

/// 2026-11-15T04:00:00Z: noon in Shenzhen, in the middle of a month.
pub(crate) const NOON: i64 = 1_794_715_200_000;
/// The end of November 2026 in UTC+8, ms UTC.
pub(crate) const MONTH_END: i64 = 1_796_054_400_000;
pub(crate) const DAY: i64 = 24 * 60 * 60 * 1_000;

pub(crate) const SELLER: &str = "shop";
pub(crate) const PROVIDER: &str = "isp";
pub(crate) const BUYER: &str = "buyer";
pub(crate) const PLATFORM_A: &str = "platform-a";
pub(crate) const PLATFORM_B: &str = "platform-b";
pub(crate) const OUTSIDER: &str = "outsider";
pub(crate) const BUREAU: &str = "tax-bureau";
pub(crate) const AUDITOR: &str = "auditor";

const ORGANISATIONS: [(&str, &str, &[Role]); 8] = [
    (SELLER, "91440300708461136T", &[Role::Enterprise]),
    (PROVIDER, "91440300708437873H", &[Role::ServiceProvider]),
    (BUYER, "91350100M000100Y43", &[Role::Enterprise]),
    (PLATFORM_A, "91110000101623741K", &[Role::ReimbursementPlatform]),
    (PLATFORM_B, "92532528MA6L45LX6L", &[Role::ReimbursementPlatform]),
    (OUTSIDER, "915000000000011", &[Role::Enterprise, Role::ServiceProvider, Role::ReimbursementPlatform]),
    (BUREAU, "915000000000012", &[Role::Agency]),
    (AUDITOR, "915000000000013", &[Role::Auditor]),
];

pub(crate) fn organisation_id(name: &str) -> OrganisationId {
    OrganisationId::new(name).unwrap()
}

fn key_id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

/// The secret key of an organisation for one purpose, from its name.
pub(crate) fn secret(organisation: &str, purpose: &str) -> SecretKey {
    SecretKey::from_seed(*Hash::of(format!("{organisation}/{purpose}").as_bytes()).as_bytes())
}

fn organisations() -> Vec<Organisation> {
    ORGANISATIONS
        .iter()
        .map(|(id, taxpayer, roles)| Organisation {
            id: organisation_id(id),
            name: format!("{id} Ltd"),
            taxpayer_id: taxpayer.parse().unwrap(),
            taxpayer_kind: if taxpayer.len() == 18 { TaxpayerKind::Uscc } else { TaxpayerKind::Other },
            roles: roles.iter().copied().collect(),
            standing: Standing::Active,
            keys: if *id == BUREAU {
                vec![key(id, "s1", Purpose::Statement), key(id, "governance", Purpose::Governance)]
            } else {
                vec![key(id, "s1", Purpose::Statement)]
            },
        })
        .collect()
}

fn key(organisation: &str, id: &str, purpose: Purpose) -> Key {
    Key {
        id: key_id(id),
        public: secret(organisation, purpose.as_str()).public().into(),
        purposes: BTreeSet::from([purpose]),
        custody: Custody::Own,
        active: true,
        from_height: 0,
    }
}

fn mandate(from: &str, to: &str, scopes: &[Scope]) -> Mandate {
    Mandate {
        from: organisation_id(from),
        to: organisation_id(to),
        scopes: scopes.iter().copied().collect(),
        expires_ms: None,
        attested: false,
    }
}

/// The genesis all tests start from.
pub(crate) fn genesis() -> Genesis {
    let ledger = LedgerGenesis {
        parameters: Parameters::new(organisation_id(BUREAU)),
        organisations: organisations(),
        mandates: vec![
            mandate(SELLER, PROVIDER, &[Scope::Issue, Scope::File]),
            mandate(BUYER, PLATFORM_A, &[Scope::Lock]),
            mandate(BUYER, PLATFORM_B, &[Scope::Lock]),
        ],
    };
    let validator = GenesisValidator {
        organisation: organisation_id(BUREAU),
        power: 1,
        consensus: secret(BUREAU, "consensus").public(),
        governance: secret(BUREAU, "governance").public(),
        receipt: secret(BUREAU, "receipt").public(),
    };
    let body = GenesisBody {
        version: 1,
        name: "test".parse().unwrap(),
        suite: Suite::Ed25519Sha256,
        time_ms: NOON - DAY,
        validators: vec![validator],
        ledger: serde_json::value::RawValue::from_string(serde_json::to_string(&ledger).unwrap()).unwrap(),
    };
    let mut genesis = Genesis::assemble(&body).unwrap();
    genesis.countersign(&organisation_id(BUREAU), &key_id("governance"), &secret(BUREAU, "governance")).unwrap();
    genesis
}

/// A ledger under test: one block per call.
pub(crate) struct Ledger {
    pub(crate) chain: ChainId,
    pub(crate) state: Writes,
    nonces: BTreeMap<(OrganisationId, String), Nonce>,
    pub(crate) time_ms: i64,
    pub(crate) height: u64,
    pub(crate) log_size: u64,
    next_nonce: u64,
}

impl View for Ledger {
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.state.get(key).cloned())
    }

    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault> {
        Ok(self.nonces.get(&(organisation.clone(), nonce.to_owned())).cloned())
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let genesis = genesis();
        Self {
            chain: genesis.chain_id(),
            state: LedgerGenesis::read(&genesis).unwrap().state(&genesis),
            nonces: BTreeMap::new(),
            time_ms: NOON,
            height: 1,
            log_size: 0,
            next_nonce: 0,
        }
    }

    pub(crate) fn parameters(&mut self, change: impl FnOnce(&mut Parameters)) {
        let key = StateKey::parameters();
        let mut parameters: Parameters = crate::state::require(self, &key).unwrap();
        change(&mut parameters);
        self.state.insert(key, crate::state::encode(&Hash::of(b"test"), &parameters));
    }

    pub(crate) fn statement(&mut self, organisation: &str, mode: Mode, events: &[String]) -> Vec<u8> {
        self.next_nonce += 1;
        self.statement_under(&format!("n{}", self.next_nonce), organisation, mode, events)
    }

    pub(crate) fn statement_under(&self, nonce: &str, organisation: &str, mode: Mode, events: &[String]) -> Vec<u8> {
        let header = StatementHeader {
            organisation: organisation_id(organisation),
            key: key_id("s1"),
            chain: self.chain.clone(),
            nonce: StatementNonce::new(nonce).unwrap(),
            expires_at: u64::try_from(self.time_ms / 1_000).unwrap() + 600,
        };
        let payload = chain::statement::payload(mode, events);
        Draft::new(header, payload).sign(&secret(organisation, "statement"))
    }

    pub(crate) fn judge(&self, statement: &[u8]) -> Verdict {
        match Parsed::read(statement) {
            Ok(parsed) => Court::sit(self, self.chain.clone(), self.time_ms).unwrap().judge(&parsed, None).unwrap(),
            Err(rejection) => Verdict::Rejected(Box::new(rejection)),
        }
    }

    /// Executes statements as one block, all of which must be admitted.
    pub(crate) fn block(&mut self, statements: &[Vec<u8>]) -> Executed {
        let parsed: Vec<_> = statements.iter().map(|bytes| Parsed::read(bytes).unwrap()).collect();
        let context = Context::new(self.height, self.time_ms, self.log_size).unwrap();
        let mut court = Court::sit(self, self.chain.clone(), self.time_ms).unwrap();
        let mut executor = Executor::new(self, context).unwrap();
        for parsed in &parsed {
            let verdict = court.judge(parsed, None).unwrap();
            assert!(matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
            executor.execute(parsed).unwrap();
            court.take(parsed);
        }
        let executed = executor.finish();
        let live_until_ms = self.time_ms + DAY;
        for parsed in &parsed {
            let header = parsed.statement().header();
            let nonce = Nonce {
                statement: parsed.statement().id(),
                payload_hash: parsed.statement().payload_hash(),
                live_until_ms,
            };
            self.nonces.insert((header.organisation.clone(), header.nonce.to_string()), nonce);
        }
        let new = executed.writes.keys().filter(|key| !self.state.contains_key(*key));
        assert!(new.eq(&executed.created), "created: {:?}", executed.created);
        self.state.extend(executed.writes.clone());
        self.log_size += u64::try_from(executed.leaves.len()).unwrap();
        self.height += 1;
        self.time_ms += 1_000;
        executed
    }

    /// One event of one organisation in a block of its own: its outcome.
    pub(crate) fn event(&mut self, organisation: &str, event: impl Into<String>) -> Outcome {
        self.events(organisation, Mode::Each, &[event.into()]).remove(0)
    }

    /// The events of one statement in a block of its own: their outcomes.
    pub(crate) fn events(&mut self, organisation: &str, mode: Mode, events: &[String]) -> Vec<Outcome> {
        let statement = self.statement(organisation, mode, events);
        self.block(&[statement]).outcomes.remove(0)
    }

    /// Issues an invoice of the shop to the buyer: its id.
    pub(crate) fn issued(&mut self, reference: &str) -> String {
        let outcome = self.event(SELLER, issue(reference));
        assert_eq!(outcome.code, crate::outcome::ACCEPTED, "{:?}", record(&outcome));
        outcome.subject
    }
}

/// The record of an outcome.
pub(crate) fn record(outcome: &Outcome) -> Record {
    Record::decode(&outcome.record).unwrap()
}

/// What a refusal expected and found; it must be this one.
pub(crate) fn refused_with(outcome: &Outcome, code: &str) -> (String, String) {
    assert_eq!(outcome.code, code, "{:?}", record(outcome));
    let Record::Refused(refused) = record(outcome) else { panic!("{outcome:?}") };
    (refused.expected, refused.found)
}

/// What it found.
pub(crate) fn refused(outcome: &Outcome, code: &str) -> String {
    refused_with(outcome, code).1
}

/// What becomes of a statement at the door.
pub(crate) fn verdict(ledger: &Ledger, statement: &[u8]) -> &'static str {
    match ledger.judge(statement) {
        Verdict::Admitted(_) => "admitted",
        Verdict::Repeated(_) => "repeated",
        Verdict::Rejected(rejection) => rejection.code,
    }
}

/// An issue event of the shop to the buyer, 113.00 gross at 13 %.
pub(crate) fn issue(reference: &str) -> String {
    issue_to(reference, &format!(r#"{{"organisation":{{"name":"{BUYER} Ltd","taxpayer_id":"91350100M000100Y43"}}}}"#))
}

/// The same to any buyer.
pub(crate) fn issue_to(reference: &str, buyer: &str) -> String {
    format!(
        r#"{{"issue":{{"document":{{"profile":"blockchain-ordinary","reference":"{reference}",
        "seller":{{"name":"{SELLER} Ltd","taxpayer_id":"91440300708461136T"}},"buyer":{buyer},
        "lines":[{{"name":"*餐饮服务*餐费","tax_code":"3070401000000000000","net":"100.00","tax":{{"rate":"0.13"}},"tax_amount":"13.00"}}],
        "totals":{{"net":"100.00","tax":"13.00","gross":"113.00"}}}}}}}}"#
    )
}

pub(crate) fn lock(invoice: &str, claim: &str) -> String {
    format!(r#"{{"lock":{{"invoice":"{invoice}","enterprise":"{BUYER}","claim":"{claim}"}}}}"#)
}

pub(crate) fn claim_event(kind: &str, invoice: &str, claim: &str, token: u64) -> String {
    format!(r#"{{"{kind}":{{"invoice":"{invoice}","claim":"{claim}","token":{token}}}}}"#)
}

/// The bureau's end of a lock, on the ground of a decision that hashes to some digits.
pub(crate) fn override_lock(invoice: &str, token: u64) -> String {
    let decision = Hash::of(b"decision 7");
    format!(
        r#"{{"override":{{"invoice":"{invoice}","token":{token},"reason":"platform-gone","decision":"{decision}"}}}}"#
    )
}

pub(crate) fn void(invoice: &str) -> String {
    format!(r#"{{"void":{{"invoice":"{invoice}","reason":"issue-error"}}}}"#)
}

pub(crate) fn transfer(invoice: &str, to: &str) -> String {
    format!(r#"{{"transfer":{{"invoice":"{invoice}","to":{{"organisation":"{to}"}}}}}}"#)
}

pub(crate) fn file(period: &str, invoices: u64, net: &str, tax: &str) -> String {
    format!(
        r#"{{"file":{{"seller":"{SELLER}","period":"{period}","invoices":{invoices},
        "output":[{{"treatment":{{"rate":"0.13"}},"net":"{net}","tax":"{tax}"}}]}}}}"#
    )
}

/// Two prevotes of the bureau at a height, in round 0: one for nil, one for a block.
pub(crate) fn double_vote(chain: &ChainId, height: u64) -> Equivocation {
    let vote = |block: Option<chain::block::BlockId>| {
        let (key, suite) = (secret(BUREAU, "consensus"), Suite::Ed25519Sha256);
        let signature = sign_vote(&key, chain, suite, VoteKind::Prevote, height, 0, block.as_ref());
        Signed { block, pol_round: None, signature }
    };
    let block = Some(Hash::of(b"another").into());
    Equivocation::new(organisation_id(BUREAU), (height, 0, Step::Prevote), vote(None), vote(block))
}

pub(crate) fn evidence(equivocation: &Equivocation) -> String {
    Event::Evidence(Box::new(equivocation.clone())).to_json()
}
