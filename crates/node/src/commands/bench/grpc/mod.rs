//! A running node, loaded at its gRPC door by the client for platforms: reads, locks, and many who follow.
//!
//! What is read or locked was issued beforehand, what is sent was signed beforehand. The load has one thread, and the
//! node the rest of the machine.

mod doors;
mod follow;
mod locks;
mod reads;
mod stock;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::machine::{Peak, Watched, cpu_us, since};
use super::recorder::Recorder;
use super::report::Report;
use super::{Args, Pace};
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

use doors::Doors;

/// Calls under way at once when nothing is said about how many.
const CLIENTS: usize = 64;

/// With what the gRPC door is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// Checks of one invoice each. --events counts checks.
    Verify,
    /// Checks of --batch invoices a call. --events counts invoices.
    BatchVerify,
    /// Locks of an invoice each, of all platforms in turn, until each is decided.
    Lock,
    /// Issues, and --subscribers who follow all of them at the first node.
    Subscribe,
}

/// How the gRPC door is loaded.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Load the gRPC door instead of the REST door, by the client for platforms: with what.
    #[arg(long = "grpc", value_enum, value_name = "KIND", requires_all = ["url", "grpc_url"], conflicts_with = "reads")]
    pub(super) kind: Option<Kind>,
    /// The gRPC doors of the nodes, in the order of --url.
    #[arg(long, value_name = "URL", requires = "kind")]
    pub(super) grpc_url: Vec<String>,
    /// Invoices of one call of `batch-verify`.
    #[arg(long, default_value_t = 500, requires = "kind", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) batch: u16,
    /// Who follow at once. They belong to the agencies and the auditor, who see everything; the node must allow so many
    /// (`http.subscriptions-max`) and a fifth of them to each (`http.subscriptions-an-organisation-max`).
    #[arg(long, default_value_t = 80, requires = "kind", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) subscribers: u16,
}

/// Measures a running node at its gRPC door.
pub(super) fn run(args: &Args, kind: Kind, output: &Output) -> Result<Report, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().context("start the clients")?;
    if args.url.len() != args.grpc.grpc_url.len() {
        let (rest, grpc) = (args.url.len(), args.grpc.grpc_url.len());
        let text = format!("find the nodes: expected a --grpc-url for each of {rest} --url, found {grpc}");
        return Err(Failure::text(Exit::Usage, text));
    }
    let consortium = args.what.consortium()?;
    runtime.block_on(async {
        let doors = Arc::new(Doors::open(args, consortium).await.or_exit(Exit::Unavailable)?);
        match kind {
            Kind::Verify => reads::run(args, &doors, None, output).await,
            Kind::BatchVerify => reads::run(args, &doors, Some(u64::from(args.grpc.batch)), output).await,
            Kind::Lock => locks::run(args, &doors, output).await,
            Kind::Subscribe => follow::run(args, &doors, output).await,
        }
    })
}

/// How many calls are under way at once.
fn clients(args: &Args) -> usize {
    args.clients.map_or(CLIENTS, usize::from)
}

/// The nodes' processes, while they are measured.
struct Watch {
    watched: Vec<Watched>,
    cpu_us: Option<u64>,
    peaks: Vec<Peak>,
}

impl Watch {
    fn begin(args: &Args) -> Self {
        let watched: Vec<Watched> = args.pid.iter().copied().map(Watched::Other).collect();
        let (cpu_us, peaks) = (cpu_us(&watched), watched.iter().copied().map(Peak::watch).collect());
        Self { watched, cpu_us, peaks }
    }

    /// CPU time of all since the begin, microseconds.
    fn cpu_us(&self) -> Option<u64> {
        since(&self.watched, self.cpu_us)
    }

    /// The most memory that one of them had, bytes.
    fn end(self) -> Option<u64> {
        self.peaks.into_iter().filter_map(Peak::end).max()
    }
}

/// Calls that are due one after the other.
struct Course {
    count: u64,
    next: AtomicU64,
    pace: Pace,
    recorder: Recorder,
}

impl Course {
    fn new(count: u64, rate: Option<u32>, limit: Duration) -> Arc<Self> {
        let (next, recorder) = (AtomicU64::new(0), Recorder::new());
        Arc::new(Self { count, next, pace: Pace::new(rate, limit), recorder })
    }

    /// Makes all calls, so many at once. A call is given its place among all, and says how much it did or why it failed.
    async fn run<F>(self: &Arc<Self>, clients: usize, call: impl Fn(u64) -> F + Clone + Send + 'static)
    where
        F: Future<Output = anyhow::Result<u64>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (course, call) = (Arc::clone(self), call.clone());
            tasks.spawn(async move {
                loop {
                    let place = course.next.fetch_add(1, Ordering::Relaxed);
                    let Some(due) = course.pace.due(place).filter(|_| place < course.count) else { return };
                    tokio::time::sleep_until(due.into()).await;
                    // Counted from when it was due: what is late because the node is slow must not hide it.
                    match call(place).await {
                        Ok(done) => course.recorder.done(due, done),
                        Err(error) => course.recorder.failed(|| format!("{error:#}")),
                    }
                }
            });
        }
        // A call that panics is a mistake of this program, and is told as such.
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                self.recorder.failed(|| error.to_string());
            }
        }
    }
}
