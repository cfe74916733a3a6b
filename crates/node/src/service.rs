//! A running node: store, replica, driver thread and REST door wired together, and taken apart in order.
//!
//! Shutdown: stop accepting → drain what is under way → driver → store → exit. Each step has a limit and a log line; a
//! step that passes its limit is a fault, because what it left behind is unknown.

mod ending;
mod parts;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{App, DevControl, Finality, Health};
use replica::mempool::Mempool;
use replica::query::Query;
use store::SledStore;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::clock::NodeClock;
use crate::config::Config;
use crate::driver::{Covered, Driver, Wake};
use crate::exit::{Exit, Exits as _, Failure};
use crate::open_files;
use crate::output::Output;

use ending::{Ended, Endings, MOMENT_MS, Signals, close, elapsed_ms, spawn_driver};
pub(crate) use parts::open_store;
use parts::{Parts, recover};

/// Whether the node's clock may be advanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A node in service.
    Service,
    /// A `dev` or `demo` node.
    Development,
}

/// A node that serves.
#[derive(Debug)]
pub(crate) struct Service {
    config: Config,
    address: SocketAddr,
    store: Arc<SledStore>,
    clock: Arc<NodeClock>,
    health: Arc<Health>,
    wake: Arc<Wake>,
    shutdown: CancellationToken,
    ended: mpsc::Receiver<Ended>,
    driver: JoinHandle<()>,
    runtime: Runtime,
}

/// The clock of a `dev` or `demo` node, in the hands of its users.
struct DevClock {
    clock: Arc<NodeClock>,
    wake: Arc<Wake>,
}

impl DevControl for DevClock {
    fn advance_clock(&self, ms: i64) -> i64 {
        let now_ms = self.clock.advance(ms);
        // Without a block of the new time the chain would seem to stand still.
        self.wake.beat();
        tracing::info!(ms, now_ms, "the clock was advanced");
        now_ms
    }
}

/// The runtime of the doors. Threads that block are limited: without, each burst of reads leaves hundreds of them.
fn runtime(config: &Config) -> Result<Runtime, Failure> {
    let blocking = config.api_options().blocking_threads_max();
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(blocking).build();
    Ok(runtime.context("start the runtime of the REST door")?)
}

impl Service {
    /// Starts a node: it serves when this returns.
    pub(crate) fn start(config: Config, kind: Kind, output: &Output) -> Result<Self, Failure> {
        let Parts { genesis, consensus, identity, hosted, tls } = Parts::load(&config)?;
        open_files::for_connections(config.http.connections_max)?;
        let listener = TcpListener::bind(config.http.listen)
            .with_context(|| format!("listen on {}", config.http.listen))
            .or_exit(Exit::Usage)?;
        let address = listener.local_addr().context("read the address it listens on")?;
        let store = Arc::new(open_store(&config)?);
        let replica = recover(&genesis, &store, output)?;
        let clock = Arc::new(match kind {
            Kind::Service => NodeClock::default(),
            Kind::Development => NodeClock::not_before(replica.tip().progress.time_ms),
        });
        let wake = Arc::new(Wake::default());
        // A reader met a fault: the driver is the one who stops on it, and the next block meets it too.
        let beat = Arc::clone(&wake);
        store.on_fault(move || beat.beat());
        let waker = Arc::clone(&wake);
        let app = App {
            query: Query::new(&replica, Arc::clone(&genesis)),
            mempool: Arc::new(Mempool::new(config.mempool_limits(), move || waker.work())),
            finality: Arc::new(Finality::new(config.http.connections_max)),
            clock: Arc::clone(&clock) as Arc<dyn api::Clock>,
            identity: Arc::new(identity),
            hosted,
            options: config.api_options(),
            health: Arc::new(Health::new()),
            dev: (kind == Kind::Development).then(|| dev_control(&clock, &wake)),
        };
        let driver = Driver {
            replica,
            query: app.query.clone(),
            mempool: Arc::clone(&app.mempool),
            finality: Arc::clone(&app.finality),
            health: Arc::clone(&app.health),
            clock: Arc::clone(&clock),
            key: consensus.secret,
            suite: genesis.suite(),
            wake: Arc::clone(&wake),
            config: config.clone(),
            covered: Covered::default(),
            unkept: None,
        };
        let health = Arc::clone(&app.health);
        health.caught_up(true);
        health.committed(driver.replica.tip().progress.height, clock.now_ms());
        let (report, ended) = mpsc::channel();
        let runtime = runtime(&config)?;
        let shutdown = CancellationToken::new();
        stop_on_signal(&runtime, shutdown.clone())?;
        let driver = spawn_driver(driver, report.clone())?;
        let door = api::serve(Arc::new(app), listener, tls, shutdown.clone());
        // Nobody listens only when the process ends anyway.
        runtime.spawn(async move { drop(report.send(Ended::Door(door.await))) });
        tracing::info!(node = config.node.id, %address, chain = %genesis.chain_id(), "the node serves");
        Ok(Self { config, address, store, clock, health, wake, shutdown, ended, driver, runtime })
    }

    /// Where the REST door is.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.config.http.tls_key.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The node's clock.
    pub(crate) fn clock(&self) -> &NodeClock {
        &self.clock
    }

    /// Serves until a signal or a fault, then takes the node apart.
    pub(crate) fn serve(self) -> Result<Exit, Failure> {
        // The first part that ends, in order or not, ends the node.
        let first = self.ended.recv().context("hear from the node's own threads")?;
        self.take_apart(Some(first))
    }

    /// Stops the node and takes it apart.
    pub(crate) fn stop(self) -> Result<Exit, Failure> {
        self.take_apart(None)
    }

    fn take_apart(self, first: Option<Ended>) -> Result<Exit, Failure> {
        let limits = &self.config.shutdown;
        let mut endings = Endings::default();
        if let Some(first) = first {
            endings.note(first);
        }
        self.health.stopping();
        self.shutdown.cancel();
        let started = Instant::now();
        // The door keeps to the limit by itself, and gets a moment more to say so.
        endings.wait(&self.ended, limits.drain_ms_max.saturating_add(MOMENT_MS), |endings| endings.door);
        let (elapsed, limit_ms) = (elapsed_ms(started), limits.drain_ms_max);
        tracing::info!(elapsed_ms = elapsed, limit_ms, drained = endings.door, "the REST door is closed");
        self.wake.stop();
        endings.wait(&self.ended, limits.driver_ms_max.saturating_add(MOMENT_MS), |endings| endings.driver);
        if !endings.driver {
            let text = format!("stop the driver within {} ms", limits.driver_ms_max);
            return Err(endings.failure.unwrap_or_else(|| Failure::text(Exit::Fault, text)));
        }
        // It said that it ended, so this does not wait.
        drop(self.driver.join());
        self.runtime.shutdown_timeout(Duration::from_millis(MOMENT_MS));
        let closed = close(self.store, limits.store_ms_max);
        match endings.failure {
            Some(failure) => Err(failure),
            None => closed.map(|()| Exit::Done),
        }
    }
}

fn dev_control(clock: &Arc<NodeClock>, wake: &Arc<Wake>) -> Arc<dyn DevControl> {
    Arc::new(DevClock { clock: Arc::clone(clock), wake: Arc::clone(wake) })
}

/// Closes the door when a signal asks for it; from now on none is missed.
fn stop_on_signal(runtime: &Runtime, shutdown: CancellationToken) -> Result<(), Failure> {
    let _inside = runtime.enter();
    let mut signals = Signals::catch()?;
    runtime.spawn(async move {
        let signal = signals.next().await;
        tracing::info!(signal, "stopping: no new connections");
        shutdown.cancel();
    });
    Ok(())
}
