//! `einvoice init`: the directory of a single validator, or of a whole consortium for development, ready for `start`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::identity::{ChainName, OrganisationId};
use invoice::taxpayer::TaxpayerId;
use ledger::genesis::LedgerGenesis;
use ledger::organisation::{Custody, Mandate, Organisation, Purpose, Role, Standing};
use ledger::parameters::Parameters;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::consortium::{Consortium, ValidatorKeys, entry, genesis, must_be_unused};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files::{self, Staging};
use crate::keys::{self, NamedKey};
use crate::output::{Output, Report};
use crate::plan::{AUDITOR, Plan, Planned, Ports, organisation};

/// How many bytes a file of members may have.
const MEMBERS_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Make the directory of a single validator, or of a consortium for development.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory; it must not hold a node yet.
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
    /// With --local, the port of the first node's peer door; the others' follow.
    #[arg(long, value_name = "PORT", requires = "local", default_value_t = Ports::default().peers)]
    peer_port: u16,
    /// The other organisations and the mandates: JSON `{"organisations":[…],"mandates":[…]}` as in a genesis.
    #[arg(long, value_name = "FILE")]
    members: Option<PathBuf>,
}

/// The members of a chain besides its validator.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with organisations and mandates")]
struct Members {
    organisations: Vec<Organisation>,
    #[serde(default)]
    mandates: Vec<Mandate>,
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
    if configuration.exists() || genesis_path.exists() {
        return Err(anyhow!("there is one already")).with_context(context).or_exit(Exit::Usage);
    }
    must_be_unused(directory).with_context(context).or_exit(Exit::Usage)?;
    if let Some(validators) = args.local {
        return local(args, validators, output);
    }
    let members = members(args)?;
    // Whatever is refused from here on leaves nothing behind that would stand in the way of the next attempt.
    let staging = Staging::begin(directory).or_exit(Exit::Usage)?;
    let keys = staging.path().join("keys");
    let validator = ValidatorKeys::create(&keys, &args.organisation)?;
    files::directory(&keys.join("hosted"))?;
    let mut organisations = vec![bureau(args, &keys, &validator)?];
    organisations.extend(members.organisations);
    let ledger = LedgerGenesis {
        parameters: Parameters::new(args.organisation.clone()),
        organisations,
        mandates: members.mandates,
    };
    let genesis =
        genesis(&args.chain, &ledger, std::slice::from_ref(&validator)).with_context(context).or_exit(Exit::Usage)?;
    let node = args.node_id.clone().unwrap_or_else(|| format!("{}-1", args.organisation));
    let toml =
        format!("# What differs from the defaults; `einvoice config show` prints them all.\n[node]\nid = {node:?}\n");
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
    let ports = Ports { http: args.http_port, peers: args.peer_port };
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

fn members(args: &Args) -> Result<Members, Failure> {
    let Some(path) = &args.members else {
        return Ok(Members::default());
    };
    let bytes = files::read(path, MEMBERS_BYTES_MAX).or_exit(Exit::Usage)?;
    chain::json::from_slice(&bytes)
        .with_context(|| format!("read the members in {}", path.display()))
        .or_exit(Exit::Usage)
}

/// The validator's organisation, with a login and a statement key besides those of a validator.
fn bureau(args: &Args, directory: &Path, validator: &ValidatorKeys) -> anyhow::Result<Organisation> {
    let mut listed = validator.entries();
    for purpose in [Purpose::Login, Purpose::Statement] {
        let name = format!("{}-1", keys::name(purpose));
        let key = NamedKey::generate(args.organisation.clone(), name.parse()?, purpose)?;
        key.create(&directory.join(format!("{name}.json")))?;
        listed.push(entry(&key, Custody::Own));
    }
    let planned = Planned {
        id: args.organisation.clone(),
        name: args.name.clone(),
        taxpayer_id: args.taxpayer_id.clone(),
        role: Role::Agency,
    };
    Ok(Organisation {
        taxpayer_kind: planned.taxpayer_kind(),
        id: planned.id,
        name: planned.name,
        taxpayer_id: planned.taxpayer_id,
        roles: BTreeSet::from([planned.role]),
        standing: Standing::Active,
        keys: listed,
    })
}
