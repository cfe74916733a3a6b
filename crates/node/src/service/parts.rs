//! What a node is made of, as its configuration names it: genesis, keys, certificate, store, replica.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use api::{HostedKey, NodeIdentity, Tls};
use chain::genesis::Genesis;
use ledger::organisation::Purpose;
use replica::port::StoreFault;
use replica::replica::{Fault, Replica};
use store::SledStore;

use crate::config::Config;
use crate::consortium::read_genesis;
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
    /// What the node votes with.
    pub(super) consensus: NamedKey,
    /// Who the node is.
    pub(super) identity: NodeIdentity,
    /// The statement keys it holds.
    pub(super) hosted: Vec<HostedKey>,
    /// Certificate and key of its door.
    pub(super) tls: Option<Tls>,
}

impl Parts {
    /// Reads them; whatever cannot be used is the operator's to mend.
    pub(super) fn load(config: &Config) -> Result<Self, Failure> {
        let genesis = Arc::new(read_genesis(&config.node.genesis).or_exit(Exit::Usage)?);
        let consensus = NamedKey::load(&config.keys.consensus, Purpose::Consensus).or_exit(Exit::Usage)?;
        let receipt = NamedKey::load(&config.keys.receipt, Purpose::Receipt).or_exit(Exit::Usage)?;
        check_validator(&genesis, &consensus, &receipt)?;
        let identity = NodeIdentity {
            id: config.node.id.clone(),
            organisation: receipt.organisation.clone(),
            receipt_key_id: receipt.key_id.clone(),
            receipt: receipt.secret,
            salt_secret: keys::secret_file(&config.keys.attachment_salt).or_exit(Exit::Usage)?,
        };
        let hosted = hosted(&config.keys.hosted).or_exit(Exit::Usage)?;
        let tls = tls(config).or_exit(Exit::Usage)?;
        Ok(Self { genesis, consensus, identity, hosted, tls })
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

/// A validator on its own needs the one key of the set, and the receipt key that stands beside it.
fn check_validator(genesis: &Genesis, consensus: &NamedKey, receipt: &NamedKey) -> Result<(), Failure> {
    let (organisation, key) = (&receipt.organisation, &receipt.key_id);
    let listed =
        genesis.body().validator(organisation).is_some_and(|validator| validator.receipt == receipt.secret.public());
    if !listed {
        let text = format!("sign log checkpoints with {organisation}/{key}: it is no receipt key of this genesis");
        return Err(Failure::text(Exit::Usage, text));
    }
    let set = genesis.validator_set();
    let known = set.get(&consensus.secret.public());
    if known.is_some_and(|validator| validator.power >= set.quorum_power()) {
        return Ok(());
    }
    let (organisation, key) = (&consensus.organisation, &consensus.key_id);
    let text = match known {
        None => format!("validate with {organisation}/{key}: it is no consensus key of this genesis"),
        Some(_) => format!("validate with {organisation}/{key} alone: the genesis asks for more validators"),
    };
    Err(Failure::text(Exit::Usage, text))
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

fn tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    match (&config.http.tls_certificate, &config.http.tls_key) {
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
