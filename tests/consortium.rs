//! One validator on any store, driven by hand: an engine of one vote.

use std::collections::BTreeSet;
use std::sync::Arc;

use chain::certificate::{CommitCertificate, sign_precommit};
use chain::genesis::{Genesis, GenesisBody, GenesisValidator};
use chain::hash::{Hash, StatementId};
use chain::identity::{ChainId, KeyId, OrganisationId};
use chain::key::SecretKey;
use chain::statement::{Draft, Mode, Nonce, Statement, StatementHeader, payload};
use chain::suite::Suite;
use invoice::taxpayer::TaxpayerKind;
use ledger::genesis::LedgerGenesis;
use ledger::organisation::{Custody, Key, Mandate, Organisation, Purpose, Role, Scope, Standing};
use ledger::parallel::{Alone, Workers};
use ledger::parameters::Parameters;
use replica::mempool::{Limits, Mempool};
use replica::port::Store;
use replica::query::{Admission, Query};
use replica::replica::{Check, Committed, Proposal, Replica};

/// 2026-11-15T04:00:00Z: noon in Shenzhen, in the middle of a month.
pub const NOON: i64 = 1_794_715_200_000;

/// The end of November 2026 in UTC+8, ms UTC.
pub const MONTH_END: i64 = 1_796_054_400_000;

/// A day in milliseconds.
pub const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Block time after which a state checkpoint is due with the default parameters, ms.
pub const CHECKPOINT_MS: i64 = 61_000;

/// The organisations: id, taxpayer id, role.
pub const ORGANISATIONS: [(&str, &str, Role); 7] = [
    ("tax-bureau", "915000000000012", Role::Agency),
    ("shop", "91440300708461136T", Role::Enterprise),
    ("isp", "91440300708437873H", Role::ServiceProvider),
    ("buyer", "91350100M000100Y43", Role::Enterprise),
    ("platform-a", "91110000101623741K", Role::ReimbursementPlatform),
    ("platform-b", "92532528MA6L45LX6L", Role::ReimbursementPlatform),
    ("auditor", "915000000000013", Role::Auditor),
];

/// An organisation's id.
pub fn organisation_id(name: &str) -> OrganisationId {
    OrganisationId::new(name).unwrap()
}

/// The secret key of an organisation for a purpose.
pub fn secret(organisation: &str, purpose: &str) -> SecretKey {
    SecretKey::from_seed(*Hash::of(format!("{organisation}/{purpose}").as_bytes()).as_bytes())
}

fn key(organisation: &str, id: &str, purpose: Purpose) -> Key {
    Key {
        id: KeyId::new(id).unwrap(),
        public: secret(organisation, id).public().into(),
        purposes: BTreeSet::from([purpose]),
        custody: Custody::Own,
        active: true,
        from_height: 0,
    }
}

/// The keys of an organisation; an agency's nodes speak for it with one of their own.
fn keys(id: &str, role: Role) -> Vec<Key> {
    let mut keys = vec![key(id, "statement", Purpose::Statement), key(id, "login", Purpose::Login)];
    if role == Role::Agency {
        keys.push(key(id, "receipt", Purpose::Receipt));
    }
    keys
}

fn mandate(from: &str, to: &str, scopes: &[Scope]) -> Mandate {
    let scopes = scopes.iter().copied().collect();
    Mandate { from: organisation_id(from), to: organisation_id(to), scopes, expires_ms: None, attested: false }
}

/// The agencies that may validate: as many of them as a test asks for.
pub const AGENCIES: [(&str, &str, Role); 7] = [
    ("tax-bureau", "915000000000012", Role::Agency),
    ("police", "915000000000014", Role::Agency),
    ("customs", "915000000000015", Role::Agency),
    ("central-bank", "915000000000016", Role::Agency),
    ("audit-office", "915000000000017", Role::Agency),
    ("treasury", "915000000000018", Role::Agency),
    ("statistics", "915000000000019", Role::Agency),
];

/// The genesis of one validator, with parameters changed as the test likes.
pub fn genesis(change: impl FnOnce(&mut Parameters)) -> Genesis {
    genesis_of(1, change)
}

/// The genesis of the first so many [`AGENCIES`] as validators.
pub fn genesis_of(validators: usize, change: impl FnOnce(&mut Parameters)) -> Genesis {
    genesis_with(&vec![1; validators], change)
}

/// The genesis of the first [`AGENCIES`] as validators of these powers.
pub fn genesis_with(powers: &[u64], change: impl FnOnce(&mut Parameters)) -> Genesis {
    let mut parameters = Parameters::new(organisation_id("tax-bureau"));
    change(&mut parameters);
    let agencies = &AGENCIES[..powers.len()];
    let organisations = ORGANISATIONS.iter().chain(&agencies[1..]).map(|(id, taxpayer, role)| Organisation {
        id: organisation_id(id),
        name: format!("{id} Ltd"),
        taxpayer_id: taxpayer.parse().unwrap(),
        taxpayer_kind: if taxpayer.len() == 18 { TaxpayerKind::Uscc } else { TaxpayerKind::Other },
        roles: BTreeSet::from([*role]),
        standing: Standing::Active,
        keys: keys(id, *role),
    });
    let ledger = LedgerGenesis {
        parameters,
        organisations: organisations.collect(),
        mandates: vec![
            mandate("shop", "isp", &[Scope::Issue, Scope::File]),
            mandate("buyer", "platform-a", &[Scope::Lock]),
            mandate("buyer", "platform-b", &[Scope::Lock]),
        ],
    };
    let ledger = serde_json::value::RawValue::from_string(serde_json::to_string(&ledger).unwrap()).unwrap();
    let validator = |((agency, _, _), power): (&(&str, &str, Role), &u64)| GenesisValidator {
        organisation: organisation_id(agency),
        power: *power,
        consensus: secret(agency, "consensus").public(),
        governance: secret(agency, "governance").public(),
        receipt: secret(agency, "receipt").public(),
    };
    let body = GenesisBody {
        version: 1,
        name: "test".parse().unwrap(),
        suite: Suite::Ed25519Sha256,
        time_ms: NOON - DAY,
        validators: agencies.iter().zip(powers).map(validator).collect(),
        ledger,
    };
    let mut genesis = Genesis::assemble(&body).unwrap();
    let governance = KeyId::new("governance").unwrap();
    for (agency, _, _) in agencies {
        genesis.countersign(&organisation_id(agency), &governance, &secret(agency, "governance")).unwrap();
    }
    genesis
}

/// A node under test.
pub struct Node<S: Store> {
    /// Its genesis.
    pub genesis: Arc<Genesis>,
    /// Its replica.
    pub replica: Replica<S>,
    /// Its mempool.
    pub mempool: Mempool,
    /// Reads.
    pub query: Query<S>,
    /// Its clock, ms UTC.
    pub now_ms: i64,
    nonces: u64,
}

impl<S: Store> Node<S> {
    /// Starts on a store, as after any end of the process.
    pub fn start(genesis: Genesis, store: Arc<S>) -> Self {
        Self::start_with(genesis, store, Arc::new(Alone))
    }

    /// The same, with somebody to share the work.
    pub fn start_with(genesis: Genesis, store: Arc<S>, workers: Arc<dyn Workers>) -> Self {
        let genesis = Arc::new(genesis);
        let replica = Replica::recover(&genesis, store, workers, |_| {}).unwrap();
        let query = Query::new(&replica, Arc::clone(&genesis));
        let now_ms = NOON.max(replica.tip().progress.time_ms + 1);
        // Nonces of an earlier life are not used again.
        let nonces = replica.tip().progress.log_size * 1_000;
        Self { genesis, replica, mempool: Mempool::new(Limits::default(), || {}), query, now_ms, nonces }
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        self.genesis.chain_id()
    }

    /// A statement under a nonce of its own.
    pub fn statement(&mut self, organisation: &str, mode: Mode, events: &[String]) -> Vec<u8> {
        self.nonces += 1;
        let nonce = format!("n{}", self.nonces);
        self.statement_under(&nonce, organisation, mode, events)
    }

    /// A statement under a nonce.
    pub fn statement_under(&self, nonce: &str, organisation: &str, mode: Mode, events: &[String]) -> Vec<u8> {
        let header = StatementHeader {
            organisation: organisation_id(organisation),
            key: KeyId::new("statement").unwrap(),
            chain: self.chain(),
            nonce: Nonce::new(nonce).unwrap(),
            expires_at: u64::try_from(self.now_ms / 1_000).unwrap() + 3_600,
        };
        Draft::new(header, payload(mode, events)).sign(&secret(organisation, "statement"))
    }

    /// Puts a statement into the mempool, as the door does.
    pub fn submit(&self, statement: &[u8]) -> StatementId {
        match self.query.admit(statement, self.now_ms).unwrap() {
            Admission::Admitted(entry) => {
                let id = entry.parsed.statement().id();
                self.mempool.insert(*entry).unwrap();
                id
            }
            Admission::Decided(id) => panic!("{id} was decided before"),
        }
    }

    /// Proposes a block from what waits.
    pub fn propose(&mut self) -> Proposal {
        self.now_ms += 1_000;
        self.replica.propose(self.now_ms, &secret("tax-bureau", "consensus").public(), &self.mempool).unwrap()
    }

    /// Signs a block as the one validator.
    pub fn certify(&self, block: &chain::block::Block) -> CommitCertificate {
        certify(&self.chain(), block)
    }

    /// Proposes and commits a block from what waits.
    pub fn block(&mut self) -> Committed {
        let proposal = self.propose();
        assert_eq!(proposal.dropped, []);
        let certificate = self.certify(&proposal.block);
        let committed = self.replica.commit(&certificate).unwrap();
        self.mempool.remove(&committed.statements);
        committed
    }

    /// One statement in a block of its own: code and subject of each event.
    pub fn decide(&mut self, organisation: &str, mode: Mode, events: &[String]) -> Vec<(String, String)> {
        let statement = self.statement(organisation, mode, events);
        let id = self.submit(&statement);
        self.block();
        let view = self.query.statement(&id).unwrap().unwrap();
        (0..u64::from(view.events))
            .map(|event| {
                let outcome = self.query.event(view.first_leaf + event).unwrap().unwrap().outcome;
                (outcome.code, outcome.subject)
            })
            .collect()
    }

    /// One event in a block of its own: its code.
    pub fn event(&mut self, organisation: &str, event: &str) -> String {
        self.decide(organisation, Mode::Each, &[event.to_owned()]).remove(0).0
    }

    /// Checks a block and commits it, as a validator that did not propose it.
    pub fn follow(&mut self, block: &chain::block::Block, certificate: &CommitCertificate) {
        assert_eq!(self.replica.check(block, None, &self.mempool).unwrap(), Check::Valid);
        self.replica.commit(certificate).unwrap();
        self.now_ms = self.now_ms.max(block.header.time_ms);
    }
}

/// Signs a block as the one validator.
pub fn certify(chain: &ChainId, block: &chain::block::Block) -> CommitCertificate {
    let (suite, height, id) = (Suite::Ed25519Sha256, block.header.height, block.header.id());
    let consensus = secret("tax-bureau", "consensus");
    let signature = sign_precommit(&consensus, chain, suite, height, 0, &id);
    CommitCertificate::new(suite, height, 0, id, vec![signature])
}

/// The id of a statement.
pub fn statement_id(statement: &[u8]) -> StatementId {
    Statement::parse(statement, &chain::statement::Limits::default()).unwrap().id()
}
