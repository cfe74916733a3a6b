//! A node in this process: real store, driver thread and mempool, entered where the REST door enters them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use api::{Finality, Health, Ticket};
use chain::genesis::Genesis;
use replica::mempool::{Inserted, Mempool};
use replica::port::Store as _;
use replica::query::{Admission, Query};
use replica::replica::{Fault, Replica};
use store::SledStore;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use workload::Consortium;
use workload::consortium::TAX_BUREAU;

use super::commits::Commits;
use super::machine::{Peak, Watched, cores, disk_bytes};
use super::recorder::Recorder;
use super::report::Report;
use super::supply::Supply;
use super::{Args, Load, Pace};
use crate::clock::{self, NodeClock};
use crate::config::Config;
use crate::driver::{Driver, Wake};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::Output;
use crate::service::Around;
use crate::service::open_store;
use crate::threads::Threads;

/// A statement that was sent and waits for its block.
struct Sent {
    due: Instant,
    ticket: Ticket,
}

/// What clients share.
struct Door {
    query: Query<SledStore>,
    mempool: Arc<Mempool>,
    finality: Arc<Finality>,
    clock: Arc<NodeClock>,
    /// Statements that one client may have waiting.
    window: usize,
}

/// A node that makes blocks.
struct Node {
    config: Config,
    genesis: Arc<Genesis>,
    store: Arc<SledStore>,
    door: Arc<Door>,
    wake: Arc<Wake>,
    driver: JoinHandle<Result<(), Fault>>,
    /// Removed at the end, unless a directory was given.
    _home: Option<TempDir>,
}

/// Measures an embedded node.
pub(super) fn run(args: &Args, output: &Output) -> Result<Report, Failure> {
    let commits = Commits::listen()?;
    let consortium = args.what.consortium()?;
    let clients = args.clients.map_or_else(cores, usize::from);
    let node = Node::start(args, &consortium, clients)?;
    let load = Load::prepare(args, Arc::clone(&consortium), node.genesis.chain_id(), output)?;
    let limit = Duration::from_secs(args.seconds);
    let warm_up = Recorder::new();
    drive(&node.door, &load.warm_up, &warm_up, clients, Pace::new(None, limit))?;
    commits.reset();
    let before = node.store_bytes();
    let (cpu, peak) = (Watched::Own.cpu_us(), Peak::watch(Watched::Own));
    let recorder = Recorder::new();
    drive(&node.door, &load.supply, &recorder, clients, Pace::new(args.rate, limit))?;
    let cpu_us = Watched::Own.cpu_us().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    let mut report = Report::of(args, "embedded", clients, &recorder, cpu_us);
    report.resident_bytes_max = peak.end();
    report.commit = commits.latency();
    let leaves = node.door.query.tip().progress.log_size;
    // Of everything that stands there, warm-up too: the store grows by segments, not by events.
    report.disk_bytes_per_event = Some(node.store_bytes().max(before) / leaves.max(1));
    node.finish(args, &mut report)?;
    Ok(report)
}

impl Node {
    fn start(args: &Args, consortium: &Consortium, clients: usize) -> Result<Self, Failure> {
        let (home, data) = directory(args).or_exit(Exit::Usage)?;
        let mut config = Config::default();
        config.node.data = data;
        let genesis = Arc::new(consortium.genesis(clock::machine_ms(), |_| {}).context("make a genesis")?);
        let store = Arc::new(open_store(&config)?);
        let replica = recover(&genesis, &store)?;
        let (clock, wake) = (Arc::new(NodeClock::default()), Arc::new(Wake::default()));
        let waker = Arc::clone(&wake);
        let in_flight =
            usize::try_from(args.in_flight / u64::from(args.events_per_statement)).context("count statements")?;
        let door = Arc::new(Door {
            query: Query::new(&replica, Arc::clone(&genesis)),
            mempool: Arc::new(Mempool::new(config.mempool_limits(), move || waker.work())),
            finality: Arc::new(Finality::new(config.http.connections_max)),
            clock: Arc::clone(&clock),
            window: (in_flight / clients).max(1),
        });
        let around = Around {
            query: door.query.clone(),
            mempool: Arc::clone(&door.mempool),
            finality: Arc::clone(&door.finality),
            health: Arc::new(Health::new()),
            clock,
            config: config.clone(),
        };
        let key = consortium.secret(TAX_BUREAU, "consensus-1");
        let driver = Driver::new(replica, around, key, genesis.suite(), Arc::clone(&wake));
        let finality = Arc::clone(&door.finality);
        let run = move || {
            let ended = driver.run();
            // Whoever waits must hear that no block comes any more.
            finality.fault();
            ended
        };
        let driver = std::thread::Builder::new().name("driver".to_owned()).spawn(run).context("start the driver")?;
        Ok(Self { config, genesis, store, door, wake, driver, _home: home })
    }

    fn store_bytes(&self) -> u64 {
        disk_bytes(&self.config.node.data)
    }

    /// Stops the node, and opens its store again.
    fn finish(self, args: &Args, report: &mut Report) -> Result<(), Failure> {
        let Self { config, genesis, store, door, wake, driver, _home } = self;
        wake.stop();
        let ended = driver.join().map_err(|_| Failure::text(Exit::Fault, "keep the ledger: the driver panicked"))?;
        ended.context("keep the ledger").or_exit(Exit::Fault)?;
        drop(door);
        store.close().context("close the store").or_exit(Exit::Fault)?;
        drop(store);
        let begun = Instant::now();
        let store = Arc::new(open_store(&config)?);
        let replica = recover(&genesis, &store)?;
        report.reopen_ms = u64::try_from(begun.elapsed().as_millis()).ok();
        if args.rebuild {
            drop(replica);
            store.reset_index().context("throw the index away").or_exit(Exit::Fault)?;
            let begun = Instant::now();
            let leaves = recover(&genesis, &store)?.tip().progress.log_size;
            let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            report.rebuild_events_per_second = Some(leaves * 1_000 / elapsed_ms);
        }
        store.close().context("close the store").or_exit(Exit::Fault)
    }
}

fn recover(genesis: &Genesis, store: &Arc<SledStore>) -> Result<Replica<SledStore>, Failure> {
    Replica::recover(genesis, Arc::clone(store), Arc::new(Threads), |_| {})
        .context("recover the ledger")
        .or_exit(Exit::Fault)
}

/// Where the node keeps its store.
fn directory(args: &Args) -> anyhow::Result<(Option<TempDir>, PathBuf)> {
    let Some(path) = &args.data else {
        let home = tempfile::tempdir().context("make a temporary directory")?;
        let data = home.path().join("data");
        return Ok((Some(home), data));
    };
    files::directory(path)?;
    let mut entries = std::fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    if entries.next().is_some() {
        return Err(anyhow!("make a node in {}: it is not empty", path.display()));
    }
    Ok((None, path.clone()))
}

/// Sends everything with so many clients, and waits until all of it was decided.
fn drive(door: &Arc<Door>, supply: &Supply, recorder: &Recorder, clients: usize, pace: Pace) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(|| client(door, supply, recorder, pace))).collect();
        for thread in threads {
            thread.join().map_err(|_| Failure::text(Exit::Unexpected, "load the node: a client panicked"))??;
        }
        Ok(())
    })
}

/// One client: sends what is due, and takes note of what was decided.
fn client(door: &Door, supply: &Supply, recorder: &Recorder, pace: Pace) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().build().context("wait for finality")?;
    let mut sent: VecDeque<Sent> = VecDeque::new();
    while let Some((place, bytes)) = supply.next()? {
        let Some(due) = pace.due(place) else { break };
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if sent.len() >= door.window {
            settle_first(&runtime, &mut sent, recorder, supply.events);
        }
        match door.enter(&bytes) {
            Ok(ticket) => sent.push_back(Sent { due, ticket }),
            Err(error) => recorder.failed(|| format!("{error:#}")),
        }
        while let Some(decided) = sent.front().and_then(|first| first.ticket.decided_by_now()) {
            note(recorder, sent.pop_front(), decided, supply.events);
        }
    }
    while !sent.is_empty() {
        settle_first(&runtime, &mut sent, recorder, supply.events);
    }
    Ok(())
}

/// Waits for the statement that waits longest.
fn settle_first(runtime: &Runtime, sent: &mut VecDeque<Sent>, recorder: &Recorder, events: u64) {
    let Some(mut first) = sent.pop_front() else { return };
    let decided = runtime.block_on(first.ticket.decided());
    note(recorder, Some(first), decided, events);
}

fn note(recorder: &Recorder, sent: Option<Sent>, decided: bool, events: u64) {
    match sent {
        Some(sent) if decided => recorder.done(sent.due, events),
        Some(_) => recorder.failed(|| "it left the mempool without a block".to_owned()),
        None => {}
    }
}

impl Door {
    /// What the REST door does with a statement, up to the wait.
    fn enter(&self, bytes: &[u8]) -> anyhow::Result<Ticket> {
        let Admission::Admitted(entry) = self.query.admit(bytes, self.clock.now_ms()).context("admit a statement")?
        else {
            return Err(anyhow!("admit a statement: it was decided before"));
        };
        let id = entry.parsed.statement().id();
        let ticket = self.finality.expect(id).context("wait for a statement: too many wait")?;
        match self.mempool.insert(*entry).context("put a statement into the mempool")? {
            Inserted::Queued => Ok(ticket),
            Inserted::Waiting(other) => Err(anyhow!("put a statement into the mempool: {other} waits already")),
        }
    }
}
