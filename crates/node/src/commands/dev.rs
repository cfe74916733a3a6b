//! `einvoice dev`: a whole local consortium in one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chain::identity::OrganisationId;
use ledger::organisation::Purpose;
use serde::Serialize;
use tempfile::TempDir;

use crate::commands::token;
use crate::config::TelemetryConfig;
use crate::consortium::{Consortium, OwnKeys};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::NamedKey;
use crate::local::Local;
use crate::output::Output;
use crate::plan::Plan;
use crate::service::Service;
use crate::telemetry;

/// For how long the tokens in the ready files are valid, seconds.
const TOKEN_TTL_S: u64 = 3_600;

/// Run a local consortium.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where keys, genesis and ledger live, and stay; without it a temporary directory, removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the first node's REST door listens, and the others at the ports after it; port 0 takes free ones.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the first node's gRPC door listens, and the others at the ports after it; 1,010 above the REST door's port
    /// when absent.
    #[arg(long, value_name = "ADDRESS:PORT")]
    grpc_listen: Option<SocketAddr>,
    /// How many agencies run a validator, 1 to 4; all of them in this process. A consortium that is there stays as it is.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    validators: u8,
    /// Writes address, chain, tokens and the paths of the keys here, as JSON, once the node serves.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// What is logged, as tracing directives.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// Writes the same here as shell variables, to be sourced.
    #[arg(long, value_name = "FILE")]
    ready_env: Option<PathBuf>,
}

/// What a consortium that serves tells about itself. It holds login tokens, so its file is private.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    url: String,
    /// The gRPC door.
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_url: Option<String>,
    node_id: String,
    chain: String,
    genesis: PathBuf,
    data: PathBuf,
    /// Read tokens, valid for an hour.
    tokens: BTreeMap<OrganisationId, String>,
    /// Key files.
    keys: BTreeMap<OrganisationId, ReadyKeys>,
    /// All nodes, the first one too.
    nodes: Vec<ReadyNode>,
}

/// One node of a consortium that serves.
#[derive(Debug, Serialize)]
struct ReadyNode {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_url: Option<String>,
    node_id: String,
    /// Read tokens for this node, valid for an hour.
    tokens: BTreeMap<OrganisationId, String>,
}

/// The key files of an organisation.
#[derive(Debug, Serialize)]
struct ReadyKeys {
    login: PathBuf,
    statement: PathBuf,
}

impl Ready {
    fn of(consortium: &Consortium, local: &Local) -> anyhow::Result<Self> {
        let service = &local.first;
        let now_s = u64::try_from(service.clock().now_ms() / 1_000).unwrap_or(0);
        let node_id = consortium.config.node.id.clone();
        let tokens = |node: &str| -> anyhow::Result<BTreeMap<OrganisationId, String>> {
            let mint = |(organisation, own): (&OrganisationId, &OwnKeys)| {
                let login = NamedKey::load(&own.login, Purpose::Login)?;
                Ok((organisation.clone(), token::mint(&login, node, now_s, TOKEN_TTL_S, None, None)?))
            };
            consortium.keys.iter().map(mint).collect()
        };
        let node = |service: &Service| -> anyhow::Result<ReadyNode> {
            let node_id = service.id().to_owned();
            Ok(ReadyNode { url: service.url(), grpc_url: service.grpc_url(), tokens: tokens(&node_id)?, node_id })
        };
        let mut keys = BTreeMap::new();
        for (organisation, own) in &consortium.keys {
            keys.insert(organisation.clone(), ReadyKeys { login: own.login.clone(), statement: own.statement.clone() });
        }
        Ok(Self {
            url: service.url(),
            grpc_url: service.grpc_url(),
            node_id,
            chain: consortium.genesis.chain_id().to_string(),
            genesis: consortium.genesis_path.clone(),
            data: consortium.genesis_path.parent().unwrap_or_else(|| Path::new(".")).to_owned(),
            tokens: tokens(service.id())?,
            keys,
            nodes: local.services().map(node).collect::<anyhow::Result<_>>()?,
        })
    }

    /// The same as shell variables.
    fn env(&self) -> String {
        let mut lines = Vec::new();
        let mut set = |name: &str, value: &str| lines.push(format!("{name}={}\n", files::quote(value)));
        set("EINVOICE_URL", &self.url);
        if let Some(grpc_url) = &self.grpc_url {
            set("EINVOICE_GRPC_URL", grpc_url);
        }
        for (place, node) in self.nodes.iter().enumerate() {
            set(&format!("EINVOICE_URL_{}", place + 1), &node.url);
            if let Some(grpc_url) = &node.grpc_url {
                set(&format!("EINVOICE_GRPC_URL_{}", place + 1), grpc_url);
            }
        }
        set("EINVOICE_NODE", &self.node_id);
        set("EINVOICE_CHAIN", &self.chain);
        set("EINVOICE_GENESIS", &self.genesis.display().to_string());
        set("EINVOICE_DATA", &self.data.display().to_string());
        for (organisation, token) in &self.tokens {
            set(&format!("{}_TOKEN", variable(organisation)), token);
        }
        for (organisation, keys) in &self.keys {
            set(&format!("{}_LOGIN_KEY", variable(organisation)), &keys.login.display().to_string());
            set(&format!("{}_STATEMENT_KEY", variable(organisation)), &keys.statement.display().to_string());
        }
        lines.concat()
    }
}

/// An organisation's id as the beginning of a variable's name.
fn variable(organisation: &OrganisationId) -> String {
    organisation.as_str().replace('-', "_").to_ascii_uppercase()
}

/// A directory that goes away with its owner, unless somebody asked for it.
#[derive(Debug)]
pub(crate) enum Home {
    /// Asked for.
    Kept(PathBuf),
    /// Nobody's.
    Temporary(TempDir),
}

impl Home {
    /// The directory asked for, or a temporary one.
    pub(crate) fn new(asked: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = asked {
            return Ok(Self::Kept(path));
        }
        let made = tempfile::Builder::new().prefix("einvoice-").tempdir();
        Ok(Self::Temporary(made.context("make a temporary directory")?))
    }

    /// Leaves it where it is.
    pub(crate) fn keep(self) {
        if let Self::Temporary(directory) = self {
            drop(directory.keep());
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// How far above the REST door's port the gRPC door's is: 9090 beside 8080.
const GRPC_ABOVE: u16 = 1_010;

/// Where the gRPC door listens when nothing is said: beside the REST door, and anywhere when that does.
fn grpc_beside(rest: SocketAddr) -> SocketAddr {
    let port = if rest.port() == 0 { 0 } else { rest.port().checked_add(GRPC_ABOVE).unwrap_or(0) };
    SocketAddr::new(rest.ip(), port)
}

/// Runs a consortium until a signal or a fault.
pub(crate) fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let home = Home::new(args.data)?;
    let plan = Plan { validators: usize::from(args.validators), ..Plan::demo()? };
    let consortium = Consortium::establish(home.path(), &plan).or_exit(Exit::Usage)?;
    let grpc = args.grpc_listen.unwrap_or_else(|| grpc_beside(args.listen));
    if let Some(listen) = [args.listen, grpc].into_iter().find(|listen| !listen.ip().is_loopback()) {
        return Err(Failure::text(Exit::Usage, format!("listen on {listen}: dev serves loopback addresses only")));
    }
    telemetry::start(&TelemetryConfig { filter: args.log, ..TelemetryConfig::default() })?;
    let local = Local::start(&consortium, args.listen, Some(grpc), output)?;
    let ready = Ready::of(&consortium, &local)?;
    if let Some(path) = &args.ready_env {
        files::replace(path, ready.env().as_bytes(), true).or_exit(Exit::Usage)?;
    }
    if let Some(path) = &args.ready_file {
        let json = serde_json::to_vec_pretty(&ready).context("write the ready file as JSON")?;
        files::replace(path, &json, true).or_exit(Exit::Usage)?;
    }
    output.talk(&format!("the consortium serves at {}; keys and genesis are in {}", ready.url, home.path().display()));
    local.serve()
}
