//! `einvoice bench`: loads a node and says what it can do.
//!
//! Without `--url` the node is in this process: its real store, driver and mempool, without the REST door. With `--url` it
//! is a running one, loaded over HTTP/1.1 connections that are kept alive, or with `--grpc` by the client for platforms.
//! Everything is signed before the clock starts, and waits in a file, so that neither signing nor keeping it counts as
//! the node's.

mod commits;
mod embedded;
mod grpc;
mod http;
mod machine;
mod recorder;
mod report;
mod rest;
mod supply;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chain::identity::ChainId;
use invoice::date::Date;
use workload::{Consortium, Signers, Workload};

use crate::clock;
use crate::commands::generate::{What, run_name};
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

use report::Report;
use supply::Supply;

/// Load a node and measure it.
///
/// The load is the issue of generated invoices; see `einvoice generate`. A node that is given by its URL must serve the
/// consortium of the same seed and sellers: `einvoice generate --consortium-out DIRECTORY --count 0` makes one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    einvoice bench --events 200000                                  as fast as it goes, one event a statement\n  \
    einvoice bench --events 1000000 --events-per-statement 100 --rebuild\n  \
    einvoice bench --url http://127.0.0.1:8080 --rate 500 --seconds 60 --clients 64 --pid $(pidof einvoice)\n  \
    einvoice bench --url http://127.0.0.1:8080 --events 1000 --reads 100000\n\n\
    The gRPC door, with a generated consortium that has one (einvoice generate --grpc-port 9090 …):\n  \
    DOORS='--url http://127.0.0.1:8080 --grpc-url http://127.0.0.1:9090'\n  \
    einvoice bench $DOORS --grpc verify --events 200000\n  \
    einvoice bench $DOORS --grpc batch-verify --batch 500 --events 1000000 --clients 8\n  \
    einvoice bench $DOORS --grpc lock --rate 1000 --seconds 30 --clients 512\n  \
    einvoice bench $DOORS --grpc subscribe --subscribers 1000 --rate 10 --seconds 30\n    \
    … of a node that allows it: --set http.subscriptions-max=1000 --set http.subscriptions-an-organisation-max=200")]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// A running node, or several, among which the clients are divided; without one a node is made in this process.
    #[arg(long)]
    url: Vec<String>,
    /// The embedded node's directory, which must be empty; or that of a local node, to see what it needs on disk.
    /// A directory that is removed afterwards when absent.
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// The process of a local node, or of several, to see their CPU and the most memory that one takes.
    #[arg(long, requires = "url")]
    pid: Vec<u32>,
    #[command(flatten)]
    grpc: grpc::Options,
    /// Events in all, the warm-up not counted; rate × seconds when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    events: Option<u64>,
    /// Issues in one statement.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    events_per_statement: u16,
    /// Events that go ahead of the measurement.
    #[arg(long, default_value_t = 1_000)]
    warm_up: u64,
    /// Stop after so many seconds, whatever is left.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Statements a second, evenly; as fast as it goes when absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Clients at once: connections, or threads of an embedded node; as many as cores (embedded) or 64 when absent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    clients: Option<u16>,
    /// Events of an embedded node that may wait for a block; at most half of what its mempool holds.
    #[arg(long, default_value_t = 8_000, conflicts_with = "url", value_parser = clap::value_parser!(u64).range(1..=25_000))]
    in_flight: u64,
    /// After the writes, read so many invoices.
    #[arg(long, default_value_t = 0, requires = "url")]
    reads: u64,
    /// Throw the index of the embedded node away afterwards, and measure how fast it is built again.
    #[arg(long, conflicts_with = "url")]
    rebuild: bool,
    /// Leads every reference and nonce; one of the clock when absent, so that a chain can be loaded again.
    #[arg(long, value_parser = run_name)]
    run: Option<String>,
}

impl Args {
    fn events(&self) -> u64 {
        /// What is loaded when nothing is said about how much.
        const DEFAULT: u64 = 20_000;
        let per_statement = u64::from(self.events_per_statement);
        let of_rate = self.rate.map(|rate| u64::from(rate) * self.seconds * per_statement);
        self.events.or(of_rate).unwrap_or(DEFAULT)
    }

    fn statements(&self) -> u64 {
        self.events().div_ceil(u64::from(self.events_per_statement))
    }

    fn warm_up_statements(&self) -> u64 {
        self.warm_up.div_ceil(u64::from(self.events_per_statement))
    }
}

/// What is loaded: statements in a file, and who signed them.
struct Load {
    consortium: Arc<Consortium>,
    supply: Supply,
    warm_up: Supply,
}

impl Load {
    /// Signs everything for a chain.
    fn prepare(args: &Args, consortium: Arc<Consortium>, chain: ChainId, output: &Output) -> Result<Self, Failure> {
        let workload = workload(args, Arc::clone(&consortium)).or_exit(Exit::Usage)?;
        let signers = Signers::new(&consortium, chain);
        let (events, first) = (usize::from(args.events_per_statement), args.warm_up_statements());
        let bar = output.progress("signing statements", Some(first + args.statements()), false);
        let sign = |numbers| Supply::sign(&workload, &signers, numbers, events, &bar);
        let warm_up = sign(0..first)?;
        let supply = sign(first..first + args.statements())?;
        bar.finish_and_clear();
        Ok(Self { consortium, supply, warm_up })
    }
}

/// The documents of a run, of today.
fn workload(args: &Args, consortium: Arc<Consortium>) -> anyhow::Result<Workload> {
    let now_ms = clock::machine_ms();
    let date = Date::from_unix_ms(now_ms).context("read the machine's clock")?;
    let run = args.run.clone().unwrap_or_else(|| format!("b{now_ms:x}"));
    Ok(Workload::new(consortium, &run, date)?)
}

/// When the next statement is due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    begun: Instant,
    rate: Option<u32>,
    end: Instant,
}

impl Pace {
    fn new(rate: Option<u32>, limit: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, rate, end: begun + limit }
    }

    /// When the statement of that place is due: at once without a rate. None when the time is up.
    fn due(&self, place: u64) -> Option<Instant> {
        let due = match self.rate {
            // Nanoseconds of 584 years fit; a rate is at least one a second.
            Some(rate) => self.begun + Duration::from_nanos(place.saturating_mul(1_000_000_000) / u64::from(rate)),
            None => Instant::now(),
        };
        (due < self.end && Instant::now() < self.end).then_some(due)
    }
}

/// Measures.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let report: Report = match args.grpc.kind {
        Some(kind) => grpc::run(args, kind, output)?,
        None if args.url.is_empty() => embedded::run(args, output)?,
        None => rest::run(args, output)?,
    };
    output.data(&report)?;
    Ok(if report.failed == 0 { Exit::Done } else { Exit::Refused })
}
