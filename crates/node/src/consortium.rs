//! A development consortium: a [`Plan`] with keys and a genesis, in one directory.
//!
//! ```text
//! DIRECTORY/
//!   genesis.json
//!   node.toml               the first validator's, so that `einvoice start --config` serves it too
//!   keys/
//!     attachment-salt
//!     consensus-1.json …    the first validator's
//!     ORGANISATION/         login-1.json, statement-1.json: the organisation's own
//!     hosted/               ORGANISATION.json: statement keys that the node holds
//!   data/                   the store
//!   nodes/
//!     AGENCY/               node.toml, keys and data of each further validator
//!     ORGANISATION/         … and of each observer
//! ```
//!
//! Real consortia make their keys apart (`keys new`) and countersign one genesis; here one machine plays everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::genesis::{GENESIS_BYTES_MAX, GENESIS_VERSION, Genesis, GenesisBody, GenesisValidator};
use chain::identity::{ChainName, OrganisationId};
use chain::key::PublicKey;
use chain::suite::Suite;
use ledger::genesis::LedgerGenesis;
use ledger::organisation::{Custody, Key, Mandate, Organisation, Purpose, Standing};
use ledger::parameters::Parameters;
use serde_json::value::RawValue;

use crate::clock;
use crate::config::Config;
use crate::files::{self, Staging};
use crate::keys::{self, NamedKey};
use crate::plan::{Plan, Planned, Ports, TAX_BUREAU, organisation};

/// The keys of one organisation that it holds itself.
#[derive(Clone, Debug)]
pub(crate) struct OwnKeys {
    /// Its login key.
    pub(crate) login: PathBuf,
    /// Its statement key.
    pub(crate) statement: PathBuf,
}

/// A consortium in a directory.
#[derive(Debug)]
pub(crate) struct Consortium {
    /// Its genesis.
    pub(crate) genesis: Genesis,
    /// Where the genesis stands.
    pub(crate) genesis_path: PathBuf,
    /// What its first node is configured to.
    pub(crate) config: Config,
    /// What the others are configured to.
    pub(crate) others: Vec<Config>,
    /// The organisations' own keys.
    pub(crate) keys: BTreeMap<OrganisationId, OwnKeys>,
}

impl Consortium {
    /// Opens the consortium in a directory, or makes it as planned when there is none.
    pub(crate) fn establish(directory: &Path, plan: &Plan) -> anyhow::Result<Self> {
        files::directory(directory)?;
        // Absolute, because the paths are handed out.
        let directory = &directory.canonicalize().with_context(|| format!("find {}", directory.display()))?;
        let genesis_path = directory.join("genesis.json");
        if !genesis_path.exists() {
            let context = || format!("make a consortium in {}", directory.display());
            must_be_unused(directory).with_context(context)?;
            create(directory, plan).with_context(context)?;
        }
        let genesis = read_genesis(&genesis_path)?;
        let ledger = LedgerGenesis::read(&genesis).with_context(|| format!("read {}", genesis_path.display()))?;
        let config = Config::load(Some(&directory.join("node.toml")), [], &[])?;
        let others = others(directory, &genesis, &ledger)?;
        let keys =
            ledger.organisations.iter().map(|member| (member.id.clone(), own_keys(directory, &member.id))).collect();
        Ok(Self { genesis, genesis_path, config, others, keys })
    }
}

/// Refuses a directory with keys of a node that was never finished: they may be somebody's, so nobody else removes them.
pub(crate) fn must_be_unused(directory: &Path) -> anyhow::Result<()> {
    let left: Vec<PathBuf> =
        ["keys", NODES].map(|name| directory.join(name)).into_iter().filter(|path| path.exists()).collect();
    if left.is_empty() {
        return Ok(());
    }
    let left: Vec<String> = left.iter().map(|path| files::quoted(path)).collect();
    let (left, place) = (left.join(" and "), directory.display());
    Err(anyhow!(
        "{place} has keys and no genesis: an earlier attempt was broken off, and nothing was served with them; remove \
         {left} (or take another directory) and try again"
    ))
}

/// Reads a genesis that all its validators have signed.
pub(crate) fn read_genesis(path: &Path) -> anyhow::Result<Genesis> {
    let limit = u64::try_from(GENESIS_BYTES_MAX).unwrap_or(u64::MAX);
    let context = || format!("read the genesis {}", path.display());
    let genesis = Genesis::parse(&files::read(path, limit)?).with_context(context)?;
    genesis.verify_countersignatures().with_context(context)?;
    Ok(genesis)
}

/// Makes a key of a node in its directory of keys.
fn node_key(directory: &Path, id: &OrganisationId, purpose: Purpose) -> anyhow::Result<NamedKey> {
    let name = format!("{}-1", keys::name(purpose));
    let key = NamedKey::generate(id.clone(), name.parse()?, purpose)?;
    key.create(&directory.join(format!("{name}.json")))?;
    Ok(key)
}

/// The keys of a node that follows.
struct ObserverKeys {
    /// Signs log checkpoints.
    receipt: NamedKey,
    /// Proves to other nodes which node it is.
    peer: NamedKey,
}

impl ObserverKeys {
    fn create(directory: &Path, id: &OrganisationId) -> anyhow::Result<Self> {
        files::directory(directory)?;
        let make = |purpose| node_key(directory, id, purpose);
        Ok(Self { receipt: make(Purpose::Receipt)?, peer: make(Purpose::Peer)? })
    }

    fn entries(&self) -> [Key; 2] {
        [&self.receipt, &self.peer].map(|key| entry(key, Custody::Own))
    }
}

/// A validator's keys, and the genesis body's entry for it.
pub(crate) struct ValidatorKeys {
    /// Votes.
    pub(crate) consensus: NamedKey,
    /// Countersigns genesis.
    pub(crate) governance: NamedKey,
    /// Signs log checkpoints.
    pub(crate) receipt: NamedKey,
    /// Proves to other nodes which node it is.
    pub(crate) peer: NamedKey,
}

impl ValidatorKeys {
    /// Makes the keys of a validator in a directory of keys.
    pub(crate) fn create(directory: &Path, id: &OrganisationId) -> anyhow::Result<Self> {
        files::directory(directory)?;
        let make = |purpose| node_key(directory, id, purpose);
        Ok(Self {
            consensus: make(Purpose::Consensus)?,
            governance: make(Purpose::Governance)?,
            receipt: make(Purpose::Receipt)?,
            peer: make(Purpose::Peer)?,
        })
    }

    /// The keys as the ledger lists them.
    pub(crate) fn entries(&self) -> Vec<Key> {
        [&self.consensus, &self.governance, &self.receipt, &self.peer].map(|key| entry(key, Custody::Own)).to_vec()
    }

    fn genesis_validator(&self) -> GenesisValidator {
        GenesisValidator {
            organisation: self.governance.organisation.clone(),
            power: 1,
            consensus: self.consensus.secret.public(),
            governance: self.governance.secret.public(),
            receipt: self.receipt.secret.public(),
        }
    }
}

/// A genesis of these validators, countersigned by all of them.
pub(crate) fn genesis(
    name: &ChainName,
    ledger: &LedgerGenesis,
    validators: &[ValidatorKeys],
) -> anyhow::Result<Genesis> {
    let ledger = serde_json::to_string(ledger).and_then(RawValue::from_string).context("write the ledger's genesis")?;
    let body = GenesisBody {
        version: GENESIS_VERSION,
        name: name.clone(),
        suite: Suite::Ed25519Sha256,
        time_ms: clock::machine_ms(),
        validators: validators.iter().map(ValidatorKeys::genesis_validator).collect(),
        ledger,
    };
    let mut genesis = Genesis::assemble(&body).context("assemble the genesis")?;
    for ValidatorKeys { governance, .. } in validators {
        genesis
            .countersign(&governance.organisation, &governance.key_id, &governance.secret)
            .context("countersign the genesis")?;
    }
    LedgerGenesis::read(&genesis).context("start from the genesis")?;
    Ok(genesis)
}

/// A key as the ledger lists it.
pub(crate) fn entry(key: &NamedKey, custody: Custody) -> Key {
    Key {
        id: key.key_id.clone(),
        public: key.secret.public().into(),
        purposes: BTreeSet::from([key.purpose]),
        custody,
        active: true,
    }
}

fn own_keys(directory: &Path, id: &OrganisationId) -> OwnKeys {
    let own = directory.join("keys").join(id.as_str());
    OwnKeys { login: own.join("login-1.json"), statement: own.join("statement-1.json") }
}

/// Where the further nodes are, below the directory of a consortium.
pub(crate) const NODES: &str = "nodes";

/// What the further nodes are configured to: validators in the order of the genesis, then observers.
fn others(directory: &Path, genesis: &Genesis, ledger: &LedgerGenesis) -> anyhow::Result<Vec<Config>> {
    let agencies: Vec<_> = genesis.body().validators.iter().map(|validator| &validator.organisation).collect();
    let observers = ledger.organisations.iter().map(|member| &member.id).filter(|id| !agencies.contains(id));
    let nodes = agencies.iter().copied().chain(observers);
    let files = nodes.map(|id| directory.join(NODES).join(id.as_str()).join("node.toml"));
    files.filter(|file| file.exists()).map(|file| Config::load(Some(&file), [], &[])).collect()
}

/// Makes keys, configuration and genesis; the genesis last, because it says that the rest is there.
fn create(directory: &Path, plan: &Plan) -> anyhow::Result<()> {
    let staging = Staging::begin(directory)?;
    let directory = staging.path();
    let bureau = organisation(TAX_BUREAU)?;
    let agencies = plan.agencies();
    let home = |id: &OrganisationId| {
        if agencies.first() == Some(id) { directory.to_owned() } else { directory.join(NODES).join(id.as_str()) }
    };
    let mut validators = Vec::new();
    for agency in &agencies {
        let keys = home(agency).join("keys");
        validators.push(ValidatorKeys::create(&keys, agency)?);
        files::directory(&keys.join("hosted"))?;
    }
    let mut observers = Vec::new();
    for id in &plan.observers {
        observers.push(ObserverKeys::create(&home(id).join("keys"), id)?);
    }
    let mut organisations = Vec::new();
    for planned in &plan.organisations {
        let mut member = member(directory, planned, &bureau)?;
        let own = validators.iter().filter(|validator| validator.governance.organisation == planned.id);
        member.keys.extend(own.flat_map(ValidatorKeys::entries));
        let own = observers.iter().filter(|observer| observer.peer.organisation == planned.id);
        member.keys.extend(own.flat_map(ObserverKeys::entries));
        organisations.push(member);
    }
    let mandates = plan.mandates.iter().map(|planned| Mandate {
        from: planned.from.clone(),
        to: planned.to.clone(),
        scopes: planned.scopes.iter().copied().collect(),
        expires_ms: None,
    });
    let ledger = LedgerGenesis { parameters: Parameters::new(bureau), organisations, mandates: mandates.collect() };
    let genesis = genesis(&"demo".parse().context("name the chain")?, &ledger, &validators)?;
    let peers = validators.iter().map(|validator| &validator.peer).chain(observers.iter().map(|keys| &keys.peer));
    let seats: Vec<_> = peers.map(|key| (key.organisation.clone(), key.secret.public())).collect();
    for (place, (id, _)) in seats.iter().enumerate() {
        let toml = node_toml(plan.ports, &seats, validators.len(), place);
        files::create_public(&home(id).join("node.toml"), toml.as_bytes())?;
    }
    files::create_public(&directory.join("genesis.json"), &genesis.to_bytes())?;
    let nodes = (seats.len() > 1).then_some(NODES);
    let published: Vec<&str> = ["keys", "node.toml"].into_iter().chain(nodes).chain(["genesis.json"]).collect();
    staging.publish(&published)
}

/// The configuration of one node among others (organisations and their peer keys: first so many validators, then
/// observers), so that each can be started by itself on one machine.
pub(crate) fn node_toml(
    ports: Ports,
    seats: &[(OrganisationId, PublicKey)],
    validators: usize,
    place: usize,
) -> String {
    use std::fmt::Write as _;
    let after = |first: u16, place: usize| first.saturating_add(u16::try_from(place).unwrap_or(u16::MAX));
    let mut toml = format!("[node]\nid = \"{}-1\"\n", seats[place].0);
    if place > 0 {
        toml.push_str("genesis = \"../../genesis.json\"\n");
    }
    if place >= validators {
        toml.push_str("part = \"observer\"\n");
    }
    if place > 0 || ports.http != Ports::default().http {
        let _ = write!(toml, "\n[http]\nlisten = \"127.0.0.1:{}\"\n", after(ports.http, place));
    }
    if seats.len() == 1 {
        return toml;
    }
    // An observer only calls, so nobody needs its address.
    if place < validators {
        let _ = write!(toml, "\n[peers]\nlisten = \"127.0.0.1:{}\"\n", after(ports.peers, place));
    }
    for (other, (_, key)) in seats.iter().enumerate().take(validators).filter(|(other, _)| *other != place) {
        let port = after(ports.peers, other);
        let _ = write!(toml, "\n[[peers.nodes]]\naddress = \"127.0.0.1:{port}\"\nkey = \"{key}\"\n");
    }
    toml
}

/// An organisation with two keys of its own and one that the node holds for it.
fn member(directory: &Path, planned: &Planned, host: &OrganisationId) -> anyhow::Result<Organisation> {
    let own = own_keys(directory, &planned.id);
    let own_directory = own.login.parent().ok_or_else(|| anyhow!("keys stand in a directory"))?;
    files::directory(own_directory)?;
    let hosted = directory.join("keys/hosted").join(format!("{}.json", planned.id));
    let mut keys = Vec::new();
    for (name, purpose, path, custody) in [
        ("login-1", Purpose::Login, &own.login, Custody::Own),
        ("statement-1", Purpose::Statement, &own.statement, Custody::Own),
        ("hosted-1", Purpose::Statement, &hosted, Custody::HostedBy(host.clone())),
    ] {
        let key = NamedKey::generate(planned.id.clone(), name.parse()?, purpose)?;
        key.create(path)?;
        keys.push(entry(&key, custody));
    }
    Ok(Organisation {
        id: planned.id.clone(),
        name: planned.name.clone(),
        taxpayer_id: planned.taxpayer_id.clone(),
        taxpayer_kind: planned.taxpayer_kind(),
        roles: BTreeSet::from([planned.role]),
        standing: Standing::Active,
        keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consortium_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let plan = Plan::demo().unwrap();
        let made = Consortium::establish(directory.path(), &plan).unwrap();
        let found = Consortium::establish(directory.path(), &plan).unwrap();
        assert_eq!(made.genesis.hash(), found.genesis.hash());
        assert_eq!(made.keys.len(), plan.organisations.len());
        for own in found.keys.values() {
            NamedKey::load(&own.login, Purpose::Login).unwrap();
            NamedKey::load(&own.statement, Purpose::Statement).unwrap();
        }
    }

    #[test]
    fn an_observer_has_keys_of_its_own_calls_every_validator_and_is_called_by_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let auditor = organisation(crate::plan::AUDITOR).unwrap();
        let plan = Plan { validators: 2, observers: vec![auditor.clone()], ..Plan::demo().unwrap() };
        let made = Consortium::establish(directory.path(), &plan).unwrap();
        let [police, observer] = made.others.as_slice() else { panic!("two more nodes: {:?}", made.others) };
        assert_eq!(observer.node.part, crate::config::Part::Observer);
        assert_eq!((observer.peers.listen, observer.peers.nodes.len()), (None, 2));
        assert_eq!((police.peers.nodes.len(), made.config.peers.nodes.len()), (1, 1));
        assert!(!observer.keys.consensus.exists(), "what follows has nothing to vote with");
        let ledger = LedgerGenesis::read(&made.genesis).unwrap();
        let member = ledger.organisations.iter().find(|member| member.id == auditor).unwrap();
        for (path, purpose) in [(&observer.keys.receipt, Purpose::Receipt), (&observer.keys.peer, Purpose::Peer)] {
            let public = NamedKey::load(path, purpose).unwrap().secret.public().into();
            assert!(member.keys.iter().any(|key| key.public == public && key.purposes.contains(&purpose)));
        }
    }

    #[test]
    fn an_attempt_that_was_broken_off_is_no_obstacle_or_says_how_to_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let plan = Plan::demo().unwrap();
        // Killed while it made keys: they are out of sight.
        files::directory(&directory.path().join(".unfinished-x/keys/hosted")).unwrap();
        Consortium::establish(directory.path(), &plan).unwrap();
        // Killed between the last two steps.
        std::fs::remove_file(directory.path().join("genesis.json")).unwrap();
        let refused = Consortium::establish(directory.path(), &plan).unwrap_err();
        assert!(refused.root_cause().to_string().contains("remove "), "{refused:#}");
        for left in ["keys", NODES] {
            std::fs::remove_dir_all(directory.path().join(left)).unwrap();
        }
        Consortium::establish(directory.path(), &plan).unwrap();
    }
}
