//! `einvoice generate`: realistic invoices from a seed, as JSON or as signed statements, and the consortium they belong to.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use chain::genesis::Genesis;
use chain::identity::OrganisationId;
use chain::statement::Mode;
use invoice::date::Date;
use ledger::organisation::Purpose;
use workload::consortium::{HOSTED_KEY, LOGIN_KEY, STATEMENT_KEY, TAX_BUREAU};
use workload::{Consortium, Shape, Signers, Workload};

use crate::clock;
use crate::consortium::{NODES, node_toml};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files::{self, Staging};
use crate::keys::NamedKey;
use crate::output::Output;
use crate::plan::Ports;

/// For how long statements may be decided after they were made. Seconds; a ledger takes at most a day.
const VALID_S: u64 = 23 * 60 * 60;

/// What is generated: whose sales, of which day.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// The seed: the same seed gives the same consortium, with keys that everybody who knows the seed knows.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many sellers there are; a few of them are very large.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) sellers: u32,
    /// How many enterprises on the ledger buy.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) buyers: u32,
    /// How many of the 14 platforms each of them has given a mandate.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=14))]
    pub(crate) claimants: u8,
}

impl What {
    /// The consortium.
    pub(crate) fn consortium(&self) -> anyhow::Result<Arc<Consortium>> {
        let count = |count: u32| usize::try_from(count).context("count organisations");
        let (sellers, buyers, claimants) = (count(self.sellers)?, count(self.buyers)?, usize::from(self.claimants));
        let shape = Shape { sellers, buyers, claimants, ..Shape::default() };
        Ok(Arc::new(Consortium::new(self.seed, shape)))
    }
}

/// What every line of the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Lines {
    /// A document as JSON.
    Documents,
    /// A signed statement, as `einvoice submit` and POST /v1/statements take it.
    Statements,
}

/// Invent realistic invoices from a seed: one document or signed statement a line, on stdout.
///
/// The same seed, day and run give the same bytes on every machine. The secret keys of a generated consortium follow from
/// the seed: they are for tests and benches, never for a real chain.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    einvoice generate --count 3 | head -1                            one invoice to look at\n  \
    einvoice generate --consortium-out node --count 0                a node's directory\n  \
    einvoice start --config node/node.toml                           … that serves the consortium\n  \
    einvoice generate --as statements --genesis node/genesis.json --events-per-statement 100 --count 10")]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// How many lines.
    #[arg(long, default_value_t = 10)]
    count: u64,
    /// The day of issue, in UTC+8; today when absent. It decides the tax rates.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// What every line is.
    #[arg(long = "as", value_enum, default_value = "documents", value_name = "WHAT")]
    lines: Lines,
    /// Issues in one statement, all of one issuer.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    events_per_statement: u16,
    /// Leads every reference and nonce; another run loads the same chain with new invoices.
    #[arg(long, default_value = "g", value_parser = run_name)]
    run: String,
    /// The genesis of the chain that statements are for; it must be one of this seed.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Write the consortium's genesis, beginning now, to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "genesis")]
    genesis_out: Option<PathBuf>,
    /// Make the directory of the consortium's one node: genesis, keys and configuration, ready for `start`.
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["genesis", "genesis_out"])]
    consortium_out: Option<PathBuf>,
    /// With --consortium-out, the port of the first node's REST door; the others' follow.
    #[arg(long, value_name = "PORT", requires = "consortium_out", default_value_t = Ports::default().http)]
    http_port: u16,
    /// With --consortium-out, the port of the first node's gRPC door; the others' follow. No such door when absent.
    #[arg(long, value_name = "PORT", requires = "consortium_out")]
    grpc_port: Option<u16>,
    /// With --consortium-out, the port of the first node's peer door; the others' follow.
    #[arg(long, value_name = "PORT", requires = "consortium_out", default_value_t = Ports::default().peers)]
    peer_port: u16,
    /// How many agencies of the genesis run a validator.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    validators: u8,
}

/// The name of a run, for references and nonces.
pub(crate) fn run_name(text: &str) -> Result<String, String> {
    let fits = (1..=24).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err("expected 1 to 24 letters, digits and hyphens".to_owned()) }
}

/// Generates.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let consortium = args.what.consortium()?;
    let date = match args.date {
        Some(date) => date,
        None => Date::from_unix_ms(clock::machine_ms()).context("read the machine's clock")?,
    };
    let workload = Workload::new(Arc::clone(&consortium), &args.run, date).or_exit(Exit::Usage)?;
    let genesis = genesis(args, &consortium)?;
    let mut lines = Lined { out: BufWriter::new(io::stdout().lock()) };
    match (args.lines, genesis) {
        (Lines::Documents, _) => {
            for number in 0..args.count {
                let json = serde_json::to_vec(&workload.document(number)).context("write a document as JSON")?;
                if !lines.write(&json)? {
                    return Ok(Exit::Done);
                }
            }
        }
        (Lines::Statements, Some(genesis)) => {
            let signers = Signers::new(&consortium, genesis.chain_id());
            let expires_at = clock::machine_s() + VALID_S;
            for number in 0..args.count {
                let events = usize::from(args.events_per_statement);
                let made = workload.issue_statement(&signers, number, events, Mode::Each, expires_at);
                if !lines.write(&made.bytes)? {
                    return Ok(Exit::Done);
                }
            }
        }
        (Lines::Statements, None) => {
            let text =
                "sign statements: they are for one chain, so --genesis, --genesis-out or --consortium-out is needed";
            return Err(Failure::text(Exit::Usage, text));
        }
    }
    lines.out.flush().context("write to stdout")?;
    if let Some(directory) = &args.consortium_out {
        let configuration = files::quoted(&directory.join("node.toml"));
        output.talk(&format!("start it with: einvoice start --config {configuration}"));
    }
    Ok(Exit::Done)
}

/// Lines of data on stdout.
struct Lined<W: io::Write> {
    out: BufWriter<W>,
}

impl<W: io::Write> Lined<W> {
    /// Writes a line; false when nobody reads any more, as under `head`.
    fn write(&mut self, line: &[u8]) -> anyhow::Result<bool> {
        match self.out.write_all(line).and_then(|()| self.out.write_all(b"\n")) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("write to stdout"),
        }
    }
}

/// The genesis that is read or made.
fn genesis(args: &Args, consortium: &Consortium) -> Result<Option<Genesis>, Failure> {
    if let Some(path) = &args.genesis {
        let genesis = crate::copies::read_genesis(path).or_exit(Exit::Usage)?;
        must_be_of(consortium, &genesis).or_exit(Exit::Usage)?;
        return Ok(Some(genesis));
    }
    if args.genesis_out.is_none() && args.consortium_out.is_none() {
        return Ok(None);
    }
    let validators = usize::from(args.validators);
    let genesis = consortium.genesis_of(validators, clock::machine_ms(), |_| {}).context("make the genesis")?;
    if let Some(path) = &args.genesis_out {
        files::create_public(path, &genesis.to_bytes()).or_exit(Exit::Usage)?;
    }
    if let Some(directory) = &args.consortium_out {
        let ports = Ports { http: args.http_port, grpc: args.grpc_port, peers: args.peer_port };
        node_directory(directory, consortium, &genesis, ports)
            .with_context(|| format!("make a node in {}", directory.display()))
            .or_exit(Exit::Usage)?;
    }
    Ok(Some(genesis))
}

/// Refuses a genesis whose validator holds another key than the seed gives it.
pub(crate) fn must_be_of(consortium: &Consortium, genesis: &Genesis) -> anyhow::Result<()> {
    let expected = consortium.secret(TAX_BUREAU, "consensus-1").public();
    if genesis.body().validators.iter().any(|validator| validator.consensus == expected) {
        return Ok(());
    }
    Err(anyhow!("use this genesis: it is not of seed {}", consortium.seed()))
}

/// Everything that `start` needs, and the keys of everybody who has some; the genesis last.
fn node_directory(directory: &Path, consortium: &Consortium, genesis: &Genesis, ports: Ports) -> anyhow::Result<()> {
    if directory.join("genesis.json").exists() {
        return Err(anyhow!("there is one already"));
    }
    crate::consortium::must_be_unused(directory)?;
    let staging = Staging::begin(directory)?;
    let keys = staging.path().join("keys");
    let hosted = keys.join("hosted");
    files::directory(&hosted)?;
    let create = |path: &Path, organisation: &OrganisationId, id: &str, purpose: Purpose| -> anyhow::Result<()> {
        let secret = consortium.secret(organisation.as_str(), id);
        let key = NamedKey { organisation: organisation.clone(), key_id: id.parse()?, purpose, secret };
        key.create(path).map(drop)
    };
    let validators = &genesis.body().validators;
    let agencies: Vec<_> = validators.iter().map(|validator| validator.organisation.clone()).collect();
    let seat = |agency: &OrganisationId| (agency.clone(), consortium.secret(agency.as_str(), "peer-1").public());
    let all_seats: Vec<_> = agencies.iter().map(seat).collect();
    for (place, agency) in agencies.iter().enumerate() {
        let home =
            if place == 0 { staging.path().to_owned() } else { staging.path().join(NODES).join(agency.as_str()) };
        let keys = home.join("keys");
        files::directory(&keys)?;
        let mut seats = vec![Purpose::Consensus, Purpose::Governance, Purpose::Receipt];
        if agencies.len() > 1 {
            seats.push(Purpose::Peer);
        }
        for purpose in seats {
            let id = format!("{}-1", crate::keys::name(purpose));
            create(&keys.join(format!("{id}.json")), agency, &id, purpose)?;
        }
        let toml = node_toml(ports, &all_seats, all_seats.len(), place);
        files::create_public(&home.join("node.toml"), toml.as_bytes())?;
    }
    for organisation in consortium.keyed() {
        let own = keys.join(organisation.as_str());
        files::directory(&own)?;
        create(&own.join("statement-1.json"), organisation, STATEMENT_KEY, Purpose::Statement)?;
        create(&own.join("login-1.json"), organisation, LOGIN_KEY, Purpose::Login)?;
        create(&hosted.join(format!("{organisation}.json")), organisation, HOSTED_KEY, Purpose::Statement)?;
    }
    files::create_public(&staging.path().join("genesis.json"), &genesis.to_bytes())?;
    let nodes = (agencies.len() > 1).then_some(NODES);
    let published: Vec<&str> = ["keys", "node.toml"].into_iter().chain(nodes).chain(["genesis.json"]).collect();
    staging.publish(&published)
}
