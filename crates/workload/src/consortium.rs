//! A consortium from a seed: agencies, service providers, platforms, an auditor, sellers and buyers, their keys and
//! mandates, and the genesis that lists them.

use std::collections::{BTreeMap, BTreeSet};

use chain::genesis::{GENESIS_VERSION, Genesis, GenesisBody, GenesisError, GenesisValidator};
use chain::hash::Hash;
use chain::identity::{KeyId, OrganisationId};
use chain::key::SecretKey;
use chain::suite::Suite;
use invoice::document::Party;
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use ledger::genesis::LedgerGenesis;
use ledger::organisation::{Custody, Key, Mandate, Organisation, Purpose, Role, Scope, Standing};
use ledger::parameters::Parameters;
use serde_json::value::RawValue;

use crate::dice::{Dice, Throw, Weights};
use crate::names;
use crate::trade::{TRADES, Trade};

/// The agency that runs the one validator.
pub const TAX_BUREAU: &str = "tax-bureau";
/// Reads everything.
pub const AUDITOR: &str = "auditor";
/// The id of every statement key that its organisation holds.
pub const STATEMENT_KEY: &str = "statement-1";
/// The id of every login key.
pub const LOGIN_KEY: &str = "login-1";
/// The id of every statement key that the bureau's node holds for the organisation.
pub const HOSTED_KEY: &str = "hosted-1";

/// The keys of a validator.
const SEAT: [(&str, Purpose); 3] =
    [("consensus-1", Purpose::Consensus), ("governance-1", Purpose::Governance), ("receipt-1", Purpose::Receipt)];

/// The agencies: id, name.
pub const AGENCIES: [(&str, &str); 4] =
    [(TAX_BUREAU, "示例税务局"), ("police", "示例公安局"), ("customs", "示例海关"), ("central-bank", "示例中央银行")];

/// Regions of taxpayer ids: Shenzhen, then others.
const SHENZHEN: &str = "440300";

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Issuing service providers, at least one.
    pub providers: usize,
    /// Reimbursement platforms, at least two: a double reimbursement needs them.
    pub platforms: usize,
    /// Sellers, at least one. Their sizes follow Zipf's law.
    pub sellers: usize,
    /// Enterprises on the ledger that buy and reimburse, at least one.
    pub buyers: usize,
    /// Platforms that each of them has given a mandate, next to each other in the ring: two or more, as far as there are.
    pub claimants: usize,
}

impl Default for Shape {
    /// Shenzhen's in 2021: 22 service providers and 14 platforms; sellers and buyers in proportion to a node under test.
    fn default() -> Self {
        Self { providers: 22, platforms: 14, sellers: 5_000, buyers: 1_000, claimants: 2 }
    }
}

impl Shape {
    /// The default with other numbers of sellers and buyers, for tests that want to be quick.
    pub fn small(sellers: usize, buyers: usize) -> Self {
        Self { providers: 3, platforms: 3, sellers, buyers, claimants: 2 }
    }

    /// The shape with at least one of everything, so that every draw finds somebody.
    fn floored(self) -> Self {
        let platforms = self.platforms.max(2);
        Self {
            providers: self.providers.max(1),
            platforms,
            sellers: self.sellers.max(1),
            buyers: self.buyers.max(1),
            claimants: self.claimants.clamp(2, platforms),
        }
    }
}

/// An enterprise that sells or buys.
#[derive(Clone, Debug)]
pub struct Enterprise {
    /// Its id.
    pub id: OrganisationId,
    /// As it stands on documents.
    pub party: Party,
    /// Who acts for it: the signer of its invoices when it sells, its platforms when it buys. Habits know the first two.
    pub agents: Vec<OrganisationId>,
    /// What it trades in.
    pub(crate) trade: &'static Trade,
    /// Whether it is taxed as a small-scale taxpayer.
    pub(crate) small_scale: bool,
}

/// Who signs issues, and for which sellers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    pub(crate) sellers: Vec<usize>,
    pub(crate) weights: Weights,
}

/// A consortium. **Its secret keys follow from the seed: for tests, demos and benches only.**
#[derive(Clone, Debug)]
pub struct Consortium {
    seed: u64,
    shape: Shape,
    pub(crate) sellers: Vec<Enterprise>,
    pub(crate) buyers: Vec<Enterprise>,
    pub(crate) by_size: Weights,
    pub(crate) buyers_by_size: Weights,
    pub(crate) clients: BTreeMap<OrganisationId, Clients>,
    platforms: Vec<OrganisationId>,
    /// The places of sellers and buyers by their taxpayer ids.
    sellers_by_id: BTreeMap<TaxpayerId, usize>,
    buyers_by_id: BTreeMap<TaxpayerId, usize>,
    /// Everybody with keys.
    keyed: Vec<(OrganisationId, Member)>,
}

/// What genesis says of an organisation with keys.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    taxpayer_id: TaxpayerId,
    role: Role,
}

impl Consortium {
    /// The consortium of a seed. Numbers of a shape that are too small are raised to the least that works.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let shape = shape.floored();
        let mut made = Self {
            seed,
            shape,
            sellers: Vec::with_capacity(shape.sellers),
            buyers: Vec::with_capacity(shape.buyers),
            by_size: Weights::default(),
            buyers_by_size: Weights::default(),
            clients: BTreeMap::new(),
            platforms: Vec::new(),
            sellers_by_id: BTreeMap::new(),
            buyers_by_id: BTreeMap::new(),
            keyed: Vec::new(),
        };
        made.services();
        for rank in 0..shape.sellers {
            made.seller(rank);
        }
        for rank in 0..shape.buyers {
            made.buyer(rank);
        }
        made
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// How many there are of each kind.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The sellers, the largest first.
    pub fn sellers(&self) -> &[Enterprise] {
        &self.sellers
    }

    /// The enterprises on the ledger that buy, the largest first.
    pub fn buyers(&self) -> &[Enterprise] {
        &self.buyers
    }

    pub(crate) fn seller_of(&self, taxpayer_id: &TaxpayerId) -> Option<usize> {
        self.sellers_by_id.get(taxpayer_id).copied()
    }

    pub(crate) fn buyer_of(&self, taxpayer_id: &TaxpayerId) -> Option<usize> {
        self.buyers_by_id.get(taxpayer_id).copied()
    }

    /// The reimbursement platforms.
    pub fn platforms(&self) -> &[OrganisationId] {
        &self.platforms
    }

    /// Whoever signs issues: service providers, and the largest sellers for themselves.
    pub fn issuers(&self) -> impl Iterator<Item = &OrganisationId> {
        self.clients.keys()
    }

    /// Everybody with keys of its own: [`STATEMENT_KEY`] and [`LOGIN_KEY`], and [`HOSTED_KEY`] at the bureau's node.
    pub fn keyed(&self) -> impl Iterator<Item = &OrganisationId> {
        self.keyed.iter().map(|(id, _)| id)
    }

    /// The secret key of an organisation under a key id. **Everybody who knows the seed knows it.**
    pub fn secret(&self, organisation: &str, key: &str) -> SecretKey {
        let text = format!("einvoice workload, known to everybody/{}/{organisation}/{key}", self.seed);
        SecretKey::from_seed(*Hash::of(text.as_bytes()).as_bytes())
    }

    /// The genesis of a chain that begins at `time_ms`, with parameters changed as the caller likes. The bureau runs the
    /// one validator, under the keys `consensus-1`, `governance-1` and `receipt-1`.
    ///
    /// # Errors
    /// When the file would be larger than a genesis may be, or the parameters make no sense.
    pub fn genesis(&self, time_ms: i64, change: impl FnOnce(&mut Parameters)) -> Result<Genesis, GenesisError> {
        self.genesis_of(1, time_ms, change)
    }

    /// The same with so many of the [`AGENCIES`] as validators; several have the key `peer-1` each, to speak to each other.
    ///
    /// # Errors
    /// As [`Consortium::genesis`].
    pub fn genesis_of(
        &self,
        validators: usize,
        time_ms: i64,
        change: impl FnOnce(&mut Parameters),
    ) -> Result<Genesis, GenesisError> {
        let agencies = &AGENCIES[..validators.min(AGENCIES.len())];
        let ledger = self.ledger_of(agencies, change);
        let ledger = serde_json::to_string(&ledger).expect("a genesis has string keys only, and memory takes it");
        let validator = |(agency, _): &(&str, &str)| {
            let public = |key: &str| self.secret(agency, key).public();
            GenesisValidator {
                organisation: organisation(agency),
                power: 1,
                consensus: public("consensus-1"),
                governance: public("governance-1"),
                receipt: public("receipt-1"),
            }
        };
        let body = GenesisBody {
            version: GENESIS_VERSION,
            name: "workload".parse().expect("a chain name"),
            suite: Suite::Ed25519Sha256,
            time_ms,
            validators: agencies.iter().map(validator).collect(),
            ledger: RawValue::from_string(ledger).expect("what was written as JSON is JSON"),
        };
        let mut genesis = Genesis::assemble(&body)?;
        let governance = key_id("governance-1");
        for (agency, _) in agencies {
            genesis.countersign(&organisation(agency), &governance, &self.secret(agency, "governance-1"))?;
        }
        Ok(genesis)
    }

    /// What the genesis says to the ledger: everybody, and the mandates between them.
    pub fn ledger_genesis(&self, change: impl FnOnce(&mut Parameters)) -> LedgerGenesis {
        self.ledger_of(&AGENCIES[..1], change)
    }

    fn ledger_of(&self, validators: &[(&str, &str)], change: impl FnOnce(&mut Parameters)) -> LedgerGenesis {
        let mut parameters = Parameters::new(organisation(TAX_BUREAU));
        change(&mut parameters);
        let mut organisations: Vec<_> = self
            .keyed
            .iter()
            .map(|(id, member)| self.listed(id, &member.name, &member.taxpayer_id, member.role))
            .collect();
        for (agency, _) in validators {
            let listed = organisations.iter_mut().find(|member| member.id.as_str() == *agency);
            listed.expect("every agency has keys").keys.extend(self.seat(agency, validators.len() > 1));
        }
        let keyed: BTreeSet<&OrganisationId> = self.keyed().collect();
        let enterprises = self.sellers.iter().chain(&self.buyers).filter(|enterprise| !keyed.contains(&enterprise.id));
        organisations.extend(enterprises.map(|enterprise| Organisation {
            // Most enterprises hold no keys: their service provider or platform acts for them.
            keys: Vec::new(),
            ..self.listed(&enterprise.id, &enterprise.party.name, &enterprise.party.taxpayer_id, Role::Enterprise)
        }));
        let given = |from: &Enterprise, scopes: &[Scope]| {
            let mandate = |to: &OrganisationId| Mandate {
                from: from.id.clone(),
                to: to.clone(),
                scopes: scopes.iter().copied().collect(),
                expires_ms: None,
                attested: false,
            };
            from.agents.iter().filter(|to| **to != from.id).map(mandate).collect::<Vec<_>>()
        };
        let sales = self.sellers.iter().flat_map(|seller| given(seller, &[Scope::Issue, Scope::File]));
        let claims = self.buyers.iter().flat_map(|buyer| given(buyer, &[Scope::Lock, Scope::Read]));
        LedgerGenesis { parameters, organisations, mandates: sales.chain(claims).collect() }
    }

    /// Agencies, auditor, service providers, platforms.
    fn services(&mut self) {
        for (number, (id, name)) in (0..).zip(AGENCIES) {
            self.keep(id, name.to_owned(), names::taxpayer_id(SHENZHEN, "AG", number), Role::Agency);
        }
        let auditor = names::taxpayer_id(SHENZHEN, "AU", 0);
        self.keep(AUDITOR, "示例审计局".to_owned(), auditor, Role::Auditor);
        for number in 1..=self.shape.providers {
            let (id, tax) = (format!("provider-{number:02}"), names::taxpayer_id(SHENZHEN, "PR", rank64(number)));
            self.clients.insert(organisation(&id), Clients::default());
            self.keep(&id, format!("示例开票服务商{number}"), tax, Role::ServiceProvider);
        }
        for number in 1..=self.shape.platforms {
            let (id, tax) = (format!("platform-{number:02}"), names::taxpayer_id(SHENZHEN, "PF", rank64(number)));
            self.platforms.push(organisation(&id));
            self.keep(&id, format!("示例报销平台{number}"), tax, Role::ReimbursementPlatform);
        }
    }

    fn seller(&mut self, rank: usize) {
        let mut dice = Dice::new(self.seed, Throw::Enterprise, rank64(rank));
        let id = organisation(&format!("seller-{:05}", rank + 1));
        // One in a hundred, the largest, sign for themselves.
        let own = rank < self.shape.sellers.div_ceil(100);
        let trade = dice.weighted(&TRADES.each_ref().map(|trade| (trade.weight, trade)));
        let enterprise = Enterprise {
            party: party(&mut dice, trade, "MA", rank),
            // Service providers take sellers in turn, so that each has large and small ones.
            agents: vec![if own { id.clone() } else { organisation(&provider(rank % self.shape.providers)) }],
            trade,
            small_scale: !own && dice.per_mille(400),
            id,
        };
        if own {
            let Party { name, taxpayer_id, .. } = &enterprise.party;
            self.keep(enterprise.id.as_str(), name.clone(), taxpayer_id.clone(), Role::Enterprise);
        }
        let clients = self.clients.entry(enterprise.agents[0].clone()).or_default();
        clients.sellers.push(rank);
        clients.weights.push(Weights::zipf(rank));
        self.by_size.push(Weights::zipf(rank));
        self.sellers_by_id.insert(enterprise.party.taxpayer_id.clone(), rank);
        self.sellers.push(enterprise);
    }

    fn buyer(&mut self, rank: usize) {
        // Above every seller, so that no two enterprises share dice.
        let mut dice = Dice::new(self.seed, Throw::Enterprise, (1 << 32) + rank64(rank));
        let trade = dice.pick(&TRADES);
        let first = dice.index(self.platforms.len());
        let ring = self.platforms.iter().cycle().skip(first);
        let agents = ring.take(self.shape.claimants).cloned().collect();
        let party = party(&mut dice, trade, "BU", rank);
        self.buyers_by_id.insert(party.taxpayer_id.clone(), rank);
        self.buyers.push(Enterprise {
            id: organisation(&format!("buyer-{:05}", rank + 1)),
            party,
            agents,
            trade,
            small_scale: false,
        });
        // Flatter than the sellers: the largest buyer is no tenth of everything.
        self.buyers_by_size.push(Weights::zipf(rank + 20));
    }

    fn keep(&mut self, id: &str, name: String, taxpayer_id: TaxpayerId, role: Role) {
        self.keyed.push((organisation(id), Member { name, taxpayer_id, role }));
    }

    fn key(&self, organisation: &str, name: &str, purpose: Purpose, custody: Custody) -> Key {
        Key {
            id: key_id(name),
            public: self.secret(organisation, name).public().into(),
            purposes: BTreeSet::from([purpose]),
            custody,
            active: true,
            from_height: 0,
        }
    }

    /// The keys of a validator; one among others has one more.
    fn seat(&self, agency: &str, among_others: bool) -> Vec<Key> {
        let mut seats = SEAT.to_vec();
        if among_others {
            seats.push(("peer-1", Purpose::Peer));
        }
        seats.into_iter().map(|(name, purpose)| self.key(agency, name, purpose, Custody::Own)).collect()
    }

    fn listed(&self, id: &OrganisationId, name: &str, taxpayer_id: &TaxpayerId, role: Role) -> Organisation {
        let key = |name: &str, purpose, custody| self.key(id.as_str(), name, purpose, custody);
        let mut keys = Vec::new();
        // Keys are costly to make and to admit, so enterprises without any are not asked.
        if self.keyed.iter().any(|(keyed, _)| keyed == id) {
            keys.push(key(STATEMENT_KEY, Purpose::Statement, Custody::Own));
            keys.push(key(LOGIN_KEY, Purpose::Login, Custody::Own));
            keys.push(key(HOSTED_KEY, Purpose::Statement, Custody::HostedBy(organisation(TAX_BUREAU))));
        }
        Organisation {
            id: id.clone(),
            name: name.to_owned(),
            taxpayer_id: taxpayer_id.clone(),
            taxpayer_kind: TaxpayerKind::Uscc,
            roles: BTreeSet::from([role]),
            standing: Standing::Active,
            keys,
        }
    }
}

/// The id of a service provider by its place.
fn provider(place: usize) -> String {
    format!("provider-{:02}", place + 1)
}

fn party(dice: &mut Dice, trade: &Trade, kind: &str, rank: usize) -> Party {
    let name = names::enterprise(dice, trade.name);
    let taxpayer_id = names::taxpayer_id(SHENZHEN, kind, rank64(rank));
    let detailed = dice.per_mille(500);
    Party {
        name,
        taxpayer_id,
        address: detailed.then(|| names::address(dice)),
        phone: detailed.then(|| names::phone(dice)),
        bank: detailed.then(|| names::bank(dice).to_owned()),
        account: detailed.then(|| names::account(dice)),
    }
}

fn organisation(id: &str) -> OrganisationId {
    OrganisationId::new(id).expect("ids of this crate are lowercase, digits and hyphens")
}

fn key_id(id: &str) -> KeyId {
    KeyId::new(id).expect("key ids of this crate are lowercase, digits and hyphens")
}

fn rank64(rank: usize) -> u64 {
    u64::try_from(rank).expect("a count fits 64 bits")
}
