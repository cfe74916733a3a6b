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
//! Real agencies make their keys apart (`keys agency`) and each countersigns (`genesis sign`); here one machine plays
//! everybody. What becomes a genesis is the same [`Founding`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::genesis::Genesis;
use chain::identity::OrganisationId;
use chain::key::PublicKey;
use ledger::founding::Founding;
use ledger::genesis::LedgerGenesis;
use ledger::organisation::{Custody, Mandate, Organisation, Purpose, Standing};
use ledger::parameters::Parameters;

use crate::clock;
use crate::config::Config;
use crate::copies::read_genesis;
use crate::files::{self, Staging};
use crate::introductions::taxpayer_kind;
use crate::keyring::{Keyring, entry};
use crate::keys::NamedKey;
use crate::node_file::NodeFile;
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

/// The purposes for which a validator has a key.
pub(crate) const SEAT: [Purpose; 4] = [Purpose::Consensus, Purpose::Governance, Purpose::Receipt, Purpose::Peer];

/// A genesis that the agencies of a founding countersign at once, because their keys are all here.
pub(crate) fn genesis<'a>(
    founding: &Founding,
    agencies: impl IntoIterator<Item = &'a Keyring>,
) -> anyhow::Result<Genesis> {
    let mut genesis = founding.genesis().context("put the genesis together")?;
    for keyring in agencies {
        keyring.countersign(&mut genesis)?;
    }
    Ok(genesis)
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
    let mut rings = Vec::new();
    for agency in &agencies {
        let keys = home(agency).join("keys");
        rings.push((agency, Keyring::create(&keys, agency, &SEAT)?));
        files::directory(&keys.join("hosted"))?;
    }
    let mut observers = Vec::new();
    for id in &plan.observers {
        observers.push((id, Keyring::create(&home(id).join("keys"), id, &[Purpose::Receipt, Purpose::Peer])?));
    }
    let mut founding = Founding {
        name: "demo".parse().context("name the chain")?,
        time_ms: clock::machine_ms(),
        parameters: Parameters::new(bureau.clone()),
        agencies: Vec::new(),
        members: Vec::new(),
        mandates: Vec::new(),
    };
    for planned in &plan.organisations {
        let mut member = member(directory, planned, &bureau)?;
        let own = |(id, _): &&(&OrganisationId, Keyring)| **id == planned.id;
        member.keys.extend(observers.iter().find(own).into_iter().flat_map(|(_, ring)| ring.entries()));
        match rings.iter().find(own) {
            Some((_, ring)) => {
                member.keys.extend(ring.entries());
                founding.agencies.push((member, 1));
            }
            None => founding.members.push(member),
        }
    }
    let mandates = plan.mandates.iter().map(|planned| Mandate {
        from: planned.from.clone(),
        to: planned.to.clone(),
        scopes: planned.scopes.iter().copied().collect(),
        expires_ms: None,
        attested: false,
    });
    founding.mandates = mandates.collect();
    let genesis = genesis(&founding, rings.iter().map(|(_, ring)| ring))?;
    let seat = |(id, ring): &(&OrganisationId, Keyring)| -> anyhow::Result<_> {
        Ok(((*id).clone(), ring.get(Purpose::Peer)?.secret.public()))
    };
    let seats = rings.iter().chain(&observers).map(seat).collect::<anyhow::Result<Vec<_>>>()?;
    for (place, (id, _)) in seats.iter().enumerate() {
        let toml = node_toml(plan.ports, &seats, rings.len(), place);
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
    let local = |first: u16, place: usize| {
        let port = first.saturating_add(u16::try_from(place).unwrap_or(u16::MAX));
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    };
    let others = seats.iter().enumerate().take(validators).filter(|(other, _)| *other != place);
    let node = |(other, (organisation, key)): (usize, &'_ (OrganisationId, PublicKey))| {
        (organisation.clone(), local(ports.peers, other).to_string(), *key)
    };
    NodeFile {
        id: format!("{}-1", seats[place].0),
        genesis: (place > 0).then_some("../../genesis.json"),
        observer: place >= validators,
        http: (place > 0 || ports.http != Ports::default().http).then(|| local(ports.http, place)),
        http_tls: None,
        grpc: ports.grpc.map(|first| local(first, place)),
        grpc_tls: None,
        // An observer only calls, so nobody needs its address.
        peers: (seats.len() > 1 && place < validators).then(|| local(ports.peers, place)),
        nodes: others.map(node).collect(),
    }
    .text()
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
        taxpayer_kind: taxpayer_kind(&planned.taxpayer_id),
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
