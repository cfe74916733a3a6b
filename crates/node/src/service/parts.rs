//! What a node is made of, as its configuration names it: genesis, keys, certificate, store, replica.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use api::{HostedKey, NodeIdentity, Tls};
use chain::genesis::Genesis;
use chain::identity::OrganisationId;
use chain::key::SecretKey;
use ledger::genesis::LedgerGenesis;
use ledger::organisation::Purpose;
use replica::port::StoreFault;
use replica::replica::{Fault, Replica};
use store::SledStore;

use crate::config::{Config, Part, PeerConfig};
use crate::copies::read_genesis;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::{self, NamedKey};
use crate::output::Output;
use crate::threads::Threads;

/// How many bytes a certificate or its key may have.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// What is read before anything is started.
pub(super) struct Parts {
    /// The genesis, countersigned.
    pub(super) genesis: Arc<Genesis>,
    /// What the node votes with; a node that follows has nothing.
    pub(super) consensus: Option<NamedKey>,
    /// What it has with other nodes; a chain of one has nothing.
    pub(super) together: Option<Together>,
    /// Who the node is.
    pub(super) identity: NodeIdentity,
    /// The statement keys it holds.
    pub(super) hosted: Vec<HostedKey>,
    /// Certificate and key of its REST door.
    pub(super) tls: Option<Tls>,
    /// The same of its gRPC door.
    pub(super) grpc_tls: Option<Tls>,
    /// Certificates that webhooks trust besides those that browsers trust.
    pub(super) webhook_ca: Option<Vec<u8>>,
}

impl Parts {
    /// Reads them; whatever cannot be used is the operator's to mend.
    pub(super) fn load(config: &Config, peer_door: Option<TcpListener>) -> Result<Self, Failure> {
        let genesis = Arc::new(read_genesis(&config.node.genesis).or_exit(Exit::Usage)?);
        let ledger = LedgerGenesis::read(&genesis).context("read the genesis").or_exit(Exit::Usage)?;
        let consensus = match config.node.part {
            Part::Validator => Some(NamedKey::load(&config.keys.consensus, Purpose::Consensus).or_exit(Exit::Usage)?),
            Part::Observer => None,
        };
        let receipt = NamedKey::load(&config.keys.receipt, Purpose::Receipt).or_exit(Exit::Usage)?;
        check_receipt(config, &ledger, &receipt)?;
        if let Some(consensus) = &consensus {
            check_validator(&genesis, consensus)?;
        }
        let alone = genesis.validator_set().validators().len() == 1 && !config.has_peers();
        let together = if alone { None } else { Some(Together::load(config, &ledger, peer_door)?) };
        let identity = NodeIdentity {
            id: config.node.id.clone(),
            organisation: receipt.organisation.clone(),
            receipt_key_id: receipt.key_id.clone(),
            receipt: receipt.secret,
            salt_secret: keys::secret_file(&config.keys.attachment_salt).or_exit(Exit::Usage)?,
        };
        let hosted = hosted(&config.keys.hosted).or_exit(Exit::Usage)?;
        let http = &config.http;
        let grpc_tls = tls(config.grpc.tls_certificate.as_deref(), config.grpc.tls_key.as_deref());
        let grpc_tls = grpc_tls.or_exit(Exit::Usage)?;
        let tls = tls(http.tls_certificate.as_deref(), http.tls_key.as_deref()).or_exit(Exit::Usage)?;
        let webhook_ca = config.webhooks.ca.as_deref().map(|path| files::read(path, PEM_BYTES_MAX)).transpose();
        let webhook_ca = webhook_ca.or_exit(Exit::Usage)?;
        Ok(Self { genesis, consensus, together, identity, hosted, tls, grpc_tls, webhook_ca })
    }
}

/// How a store's fault ends the process.
pub(crate) fn store_exit(fault: &StoreFault) -> Exit {
    match fault {
        StoreFault::Held { .. } => Exit::Held,
        StoreFault::Io { .. }
        | StoreFault::Damaged { .. }
        | StoreFault::CheckpointLost { .. }
        | StoreFault::Full { .. } => Exit::Fault,
    }
}

/// Opens the store of a node.
pub(crate) fn open_store(config: &Config) -> Result<SledStore, Failure> {
    SledStore::open(&config.store_options()).map_err(|fault| {
        let exit = store_exit(&fault);
        let context = format!("open the store in {}", config.node.data.display());
        Failure::new(exit, anyhow::Error::new(fault).context(context))
    })
}

/// A node signs log checkpoints with a receipt key that the ledger lists.
fn check_receipt(config: &Config, ledger: &LedgerGenesis, receipt: &NamedKey) -> Result<(), Failure> {
    let listed = listed(ledger, Purpose::Receipt).any(|(organisation, public)| {
        *organisation == receipt.organisation && public == *receipt.secret.public().as_bytes()
    });
    if listed || came_later(config, ledger, receipt) {
        return Ok(());
    }
    let (organisation, key) = (&receipt.organisation, &receipt.key_id);
    let text = format!("sign log checkpoints with {organisation}/{key}: it is no receipt key of this genesis");
    Err(Failure::text(Exit::Usage, text))
}

/// A validator votes with a key of the set.
fn check_validator(genesis: &Genesis, consensus: &NamedKey) -> Result<(), Failure> {
    if genesis.validator_set().get(&consensus.secret.public()).is_some() {
        return Ok(());
    }
    let (organisation, key) = (&consensus.organisation, &consensus.key_id);
    let text = format!("validate with {organisation}/{key}: it is no consensus key of this genesis");
    Err(Failure::text(Exit::Usage, text))
}

/// Whether a key may be one of an organisation that was admitted after genesis and runs a node without a vote. Before such
/// a node has caught up it cannot know; the others let it connect or not.
fn came_later(config: &Config, ledger: &LedgerGenesis, key: &NamedKey) -> bool {
    let known = ledger.organisations.iter().any(|organisation| organisation.id == key.organisation);
    config.node.part == Part::Observer && !known
}

/// The active keys of a purpose, and whose they are.
fn listed(ledger: &LedgerGenesis, purpose: Purpose) -> impl Iterator<Item = (&OrganisationId, [u8; 32])> {
    ledger.organisations.iter().flat_map(move |organisation| {
        let keys = organisation.keys.iter().filter(move |key| key.active && key.purposes.contains(&purpose));
        keys.map(move |key| (&organisation.id, *key.public.as_bytes()))
    })
}

/// What a node has with others.
pub(super) struct Together {
    /// What it proves itself with.
    pub(super) secret: SecretKey,
    /// The nodes that it calls.
    pub(super) peers: Vec<consensus::Address>,
    /// Where they call it.
    pub(super) listener: Option<TcpListener>,
}

impl Together {
    fn load(config: &Config, ledger: &LedgerGenesis, given: Option<TcpListener>) -> Result<Self, Failure> {
        let key = NamedKey::load(&config.keys.peer, Purpose::Peer).or_exit(Exit::Usage)?;
        let own = *key.secret.public().as_bytes();
        let mut listed = listed(ledger, Purpose::Peer);
        if !listed.any(|(_, public)| public == own) && !came_later(config, ledger, &key) {
            let text = format!(
                "speak to other nodes as {}/{}: it is no peer key of this genesis",
                key.organisation, key.key_id
            );
            return Err(Failure::text(Exit::Usage, text));
        }
        let peer = |peer: &PeerConfig| consensus::Address { key: *peer.key.as_bytes(), at: peer.address.clone() };
        // A list that all nodes share names this one too.
        let peers = config.peers.nodes.iter().map(peer).filter(|peer| peer.key != own).collect();
        let bind = |listen| TcpListener::bind(listen).with_context(|| format!("listen for other nodes on {listen}"));
        let listener = match given {
            Some(listener) => Some(listener),
            None => config.peers.listen.map(bind).transpose().or_exit(Exit::Usage)?,
        };
        Ok(Self { secret: key.secret, peers, listener })
    }
}

/// How often a node that catches up says in its log how far it has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Brings the index up to the ledger's tip, and shows how that goes on: a bar on a terminal, and lines in the log,
/// because a node in service has none.
pub(super) fn recover(
    genesis: &Genesis,
    store: &Arc<SledStore>,
    output: &Output,
) -> Result<Replica<SledStore>, Failure> {
    let mut bar = None;
    let mut logged: Option<Instant> = None;
    let replica = Replica::recover(genesis, Arc::clone(store), Arc::new(Threads), |recovering| {
        let (height, tip) = (recovering.height, recovering.tip);
        if height == tip || logged.is_none_or(|logged| logged.elapsed() >= PROGRESS_EVERY) {
            logged = Some(Instant::now());
            tracing::info!(height, tip, "catching the index up with the ledger");
        }
        let bar = bar.get_or_insert_with(|| {
            output.progress("catching the index up with the ledger", Some(recovering.tip), false)
        });
        bar.set_position(recovering.height);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    replica.map_err(|fault| {
        let exit = match &fault {
            // A genesis that nobody can start from is the operator's mistake; everything else is damage.
            Fault::Genesis(_) | Fault::Countersignatures(_) | Fault::OtherGenesis { .. } => Exit::Usage,
            Fault::Store(fault) => store_exit(fault),
            Fault::State(_)
            | Fault::Diverged { .. }
            | Fault::NeverChecked { .. }
            | Fault::Certificate { .. }
            | Fault::Ledger { .. } => Exit::Fault,
        };
        Failure::new(exit, anyhow::Error::new(fault).context("recover the ledger"))
    })
}

/// The statement keys in a directory; none when it is missing.
fn hosted(directory: &Path) -> anyhow::Result<Vec<HostedKey>> {
    let mut keys = Vec::new();
    if !directory.exists() {
        return Ok(keys);
    }
    let context = || format!("read the hosted keys in {}", directory.display());
    for file in std::fs::read_dir(directory).with_context(context)? {
        let path = file.with_context(context)?.path();
        let name = path.to_string_lossy();
        if name.ends_with(".json") && !name.ends_with(".pub.json") {
            let NamedKey { organisation, key_id, secret, .. } = NamedKey::load(&path, Purpose::Statement)?;
            keys.push(HostedKey { organisation, key: key_id, secret });
        }
    }
    Ok(keys)
}

/// Reads certificate and key of a door.
pub(crate) fn tls(certificate: Option<&Path>, key: Option<&Path>) -> anyhow::Result<Option<Tls>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            files::must_be_private(key)?;
            Ok(Some(Tls {
                certificate_pem: files::read(certificate, PEM_BYTES_MAX)?,
                key_pem: files::read(key, PEM_BYTES_MAX)?.into(),
            }))
        }
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(anyhow!("use TLS: it needs a certificate and a key")),
    }
}
