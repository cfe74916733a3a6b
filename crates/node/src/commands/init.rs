//! `einvoice init`: the directory of a node on a genesis, of a single validator, or of a whole consortium for
//! development, ready for `start`.

mod seat;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::identity::{ChainName, OrganisationId};
use invoice::taxpayer::TaxpayerId;
use ledger::founding::Founding;
use ledger::organisation::{Mandate, Organisation, Role};
use ledger::parameters::Parameters;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::consortium::{Consortium, genesis, must_be_unused};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files::{self, Staging};
use crate::introductions::{self, About, taxpayer_kind};
use crate::node_file::NodeFile;
use crate::output::{Output, Report};
use crate::plan::{AUDITOR, Plan, Ports, organisation};

/// How many bytes a file of members may have.
const MEMBERS_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Make a node's directory: on a genesis that all agencies have signed, of a single validator, or of a consortium for
/// development.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory; it must not hold a node yet. With --genesis it holds the organisation's keys, as `keys agency` or
    /// `keys member --observer` made them.
    directory: PathBuf,
    /// The chain's short name.
    #[arg(long, default_value = "local")]
    chain: ChainName,
    /// The organisation that runs the validator: the tax bureau of this chain.
    #[arg(long, default_value = "tax-bureau")]
    organisation: OrganisationId,
    /// Its registered name.
    #[arg(long, default_value = "Tax Bureau")]
    name: String,
    /// Its taxpayer id.
    #[arg(long, default_value = "11440300K31718010F")]
    taxpayer_id: TaxpayerId,
    /// The node's id; the organisation and a 1 when absent.
    #[arg(long)]
    node_id: Option<String>,
    /// Makes a whole consortium of so many validators in one place instead, 1 to 4, with demo organisations: for
    /// development.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4),
          conflicts_with_all = ["chain", "organisation", "name", "taxpayer_id", "node_id", "members"])]
    local: Option<u8>,
    /// With --local, one node more that has no vote: the demo auditor's.
    #[arg(long, requires = "local")]
    observer: bool,
    /// With --local, the port of the first node's REST door; the others' follow.
    #[arg(long, value_name = "PORT", requires = "local", default_value_t = Ports::default().http)]
    http_port: u16,
    /// With --local, the port of the first node's gRPC door; the others' follow. No such door when absent.
    #[arg(long, value_name = "PORT", requires = "local")]
    grpc_port: Option<u16>,
    /// With --local, the port of the first node's peer door; the others' follow.
    #[arg(long, value_name = "PORT", requires = "local", default_value_t = Ports::default().peers)]
    peer_port: u16,
    /// Makes the node of the organisation whose directory this is, on this genesis, which all its agencies have signed: an
    /// agency's votes, any other's follows.
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["chain", "organisation", "name", "taxpayer_id", "members", "local"])]
    genesis: Option<PathBuf>,
    /// With --genesis, where the REST door listens; 127.0.0.1:8080 when absent.
    #[arg(long, value_name = "ADDRESS", requires = "genesis")]
    listen: Option<SocketAddr>,
    /// With --genesis, the certificate chain of the REST door, PEM; a door that is not loopback needs one.
    #[arg(long, value_name = "FILE", requires_all = ["genesis", "tls_key"])]
    tls_certificate: Option<PathBuf>,
    /// With --genesis, the key of that certificate, PEM, readable by its owner alone.
    #[arg(long, value_name = "FILE", requires_all = ["genesis", "tls_certificate"])]
    tls_key: Option<PathBuf>,
    /// With --genesis, where the gRPC door listens. No such door when absent.
    #[arg(long, value_name = "ADDRESS", requires = "genesis")]
    grpc_listen: Option<SocketAddr>,
    /// With --grpc-listen, the certificate chain of that door, PEM; the REST door's when absent.
    #[arg(long, value_name = "FILE", requires_all = ["grpc_listen", "grpc_tls_key"])]
    grpc_tls_certificate: Option<PathBuf>,
    /// With --grpc-listen, the key of that certificate, PEM; the REST door's when absent.
    #[arg(long, value_name = "FILE", requires_all = ["grpc_listen", "grpc_tls_certificate"])]
    grpc_tls_key: Option<PathBuf>,
    /// With --genesis, where other nodes call this one.
    #[arg(long, value_name = "ADDRESS", requires = "genesis")]
    peer_listen: Option<SocketAddr>,
    /// With --genesis, where another agency's node is called; once for each. The organisation's own is passed over, so
    /// that all can have the same list.
    #[arg(long = "peer", value_name = "ID=HOST:PORT", requires = "genesis", value_parser = seat::peer)]
    peers: Vec<seat::Peer>,
    /// The other organisations and the mandates: JSON `{"organisations":[…],"mandates":[…]}` as in a genesis.
    #[arg(long, value_name = "FILE")]
    members: Option<PathBuf>,
}

/// The members of a chain besides its validator.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with organisations and mandates")]
pub(crate) struct Members {
    /// The organisations.
    #[serde(default)]
    pub(crate) organisations: Vec<Organisation>,
    /// The mandates.
    #[serde(default)]
    pub(crate) mandates: Vec<Mandate>,
}

impl Members {
    /// Reads them from a file; without one there are none.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = file else { return Ok(Self::default()) };
        chain::json::from_slice(&files::read(path, MEMBERS_BYTES_MAX)?)
            .with_context(|| format!("read the members in {}", path.display()))
    }
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    directory: PathBuf,
    configuration: PathBuf,
    genesis: PathBuf,
    chain: String,
    node: String,
}

impl Report for Made {
    fn text(&self) -> String {
        format!(
            "chain          {}\nnode           {}\ngenesis        {}\nconfiguration  {}\nstart it with  einvoice start --config {}",
            self.chain,
            self.node,
            self.genesis.display(),
            self.configuration.display(),
            files::quoted(&self.configuration)
        )
    }
}

/// Makes keys, genesis and configuration.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let directory = &args.directory;
    let context = || format!("make a node in {}", directory.display());
    let configuration = directory.join("node.toml");
    let genesis_path = directory.join("genesis.json");
    // An agency may have its copy of the genesis beside its keys already.
    if configuration.exists() || (args.genesis.is_none() && genesis_path.exists()) {
        return Err(anyhow!("there is one already")).with_context(context).or_exit(Exit::Usage);
    }
    if let Some(genesis) = &args.genesis {
        return seat::run(args, genesis, output);
    }
    must_be_unused(directory).with_context(context).or_exit(Exit::Usage)?;
    if let Some(validators) = args.local {
        return local(args, validators, output);
    }
    let Members { organisations: members, mandates } = Members::read(args.members.as_deref()).or_exit(Exit::Usage)?;
    // Whatever is refused from here on leaves nothing behind that would stand in the way of the next attempt.
    let staging = Staging::begin(directory).or_exit(Exit::Usage)?;
    let keys = staging.path().join("keys");
    let about = About {
        id: args.organisation.clone(),
        name: args.name.clone(),
        taxpayer_id: args.taxpayer_id.clone(),
        taxpayer_kind: taxpayer_kind(&args.taxpayer_id),
        chain: None,
        roles: BTreeSet::from([Role::Agency]),
        power: Some(1),
        observer: false,
    };
    let (keyring, introduction) = introductions::keys_of(about, &keys)?;
    files::directory(&keys.join("hosted"))?;
    let founding = Founding {
        name: args.chain.clone(),
        time_ms: introduction.time_ms,
        parameters: Parameters::new(args.organisation.clone()),
        agencies: vec![(introduction.organisation, 1)],
        members,
        mandates,
    };
    let genesis = genesis(&founding, [&keyring]).with_context(context).or_exit(Exit::Usage)?;
    let node = args.node_id.clone().unwrap_or_else(|| format!("{}-1", args.organisation));
    let toml = NodeFile { id: node.clone(), ..NodeFile::default() }.text();
    let staged = staging.path().join("node.toml");
    files::create_public(&staged, toml.as_bytes())?;
    Config::load(Some(&staged), [], &[]).with_context(context).or_exit(Exit::Usage)?;
    files::create_public(&staging.path().join("genesis.json"), &genesis.to_bytes())?;
    staging.publish(&["keys", "node.toml", "genesis.json"])?;
    let chain = genesis.chain_id().to_string();
    output.data(&Made { directory: directory.clone(), configuration, genesis: genesis_path, chain, node })?;
    Ok(Exit::Done)
}

/// A consortium in one place.
#[derive(Debug, Serialize)]
struct MadeLocal {
    directory: PathBuf,
    genesis: PathBuf,
    chain: String,
    /// The configuration of each node.
    configurations: Vec<PathBuf>,
}

impl Report for MadeLocal {
    fn text(&self) -> String {
        let start = |path: &PathBuf| format!("start it with  einvoice start --config {}", files::quoted(path));
        let mut lines = vec![format!("chain          {}", self.chain)];
        lines.push(format!("genesis        {}", self.genesis.display()));
        lines.extend(self.configurations.iter().map(start));
        lines.join("\n")
    }
}

/// Makes a consortium with everybody's keys in one place.
fn local(args: &Args, validators: u8, output: &Output) -> Result<Exit, Failure> {
    let ports = Ports { http: args.http_port, grpc: args.grpc_port, peers: args.peer_port };
    let observers = if args.observer { vec![organisation(AUDITOR)?] } else { Vec::new() };
    let plan = Plan { validators: usize::from(validators), observers, ports, ..Plan::demo()? };
    let consortium = Consortium::establish(&args.directory, &plan).or_exit(Exit::Usage)?;
    let homes = std::iter::once(&consortium.config).chain(&consortium.others);
    let configurations = homes.filter_map(|config| Some(config.keys.consensus.parent()?.parent()?.join("node.toml")));
    output.data(&MadeLocal {
        directory: args.directory.clone(),
        genesis: consortium.genesis_path.clone(),
        chain: consortium.genesis.chain_id().to_string(),
        configurations: configurations.collect(),
    })?;
    Ok(Exit::Done)
}
