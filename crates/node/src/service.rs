//! A running node: store, replica, driver thread and REST door wired together, and taken apart in order.
//!
//! Shutdown: stop accepting → drain what is under way → driver → store → exit. Each step has a limit and a log line; a
//! step that passes its limit is a fault, because what it left behind is unknown.

mod ending;
mod evidence;
pub(crate) mod parts;
mod peer_keys;
mod together;

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{App, DevControl, Finality, Health, Listening};
use replica::mempool::Mempool;
use replica::query::Query;
use store::SledStore;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::clock::NodeClock;
use crate::config::Config;
use crate::driver::{Driver, Wake};
use crate::exit::{Exit, Exits as _, Failure};
use crate::motor::Motor;
use crate::open_files;
use crate::output::Output;

use ending::{End, Ended, Endings, MOMENT_MS, Signals, close, elapsed_ms, spawn_driver};
pub(crate) use parts::open_store;
use parts::{Parts, recover};
pub(crate) use together::Around;

/// How long nodes of one process may take to find each other, and how often that is looked at.
const READY_MAX: Duration = Duration::from_secs(20);
const READY_LOOK: Duration = Duration::from_millis(20);

/// Whether the node's clock may be advanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A node in service.
    Service,
    /// A `dev` or `demo` node.
    Development,
}

/// What a node gets from whoever runs several in one process.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The clock that all of them share.
    pub(crate) clock: Option<Arc<NodeClock>>,
    /// Where the others call it: opened before the first of them starts, because they name each other's addresses.
    pub(crate) peer_door: Option<TcpListener>,
}

/// A node that serves.
#[derive(Debug)]
pub(crate) struct Service {
    config: Config,
    address: SocketAddr,
    grpc_address: Option<SocketAddr>,
    store: Arc<SledStore>,
    clock: Arc<NodeClock>,
    health: Arc<Health>,
    motor: Arc<Motor>,
    shutdown: CancellationToken,
    ended: mpsc::Receiver<Ended>,
    runtime: Runtime,
}

/// The clock of a `dev` or `demo` node, in the hands of its users.
struct DevClock {
    clock: Arc<NodeClock>,
    motor: Arc<Motor>,
}

impl DevControl for DevClock {
    fn advance_clock(&self, ms: i64) -> i64 {
        let now_ms = self.clock.advance(ms);
        // Without a block of the new time the chain would seem to stand still.
        self.motor.beat();
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
        Self::start_among(config, kind, Given::default(), output)
    }

    /// The same, for one of several nodes in this process.
    pub(crate) fn start_among(config: Config, kind: Kind, given: Given, output: &Output) -> Result<Self, Failure> {
        let Given { clock, peer_door } = given;
        let Parts { genesis, consensus, together, identity, hosted, tls, grpc_tls, webhook_ca } =
            Parts::load(&config, peer_door)?;
        open_files::for_connections(config.connections_max())?;
        let (address, rest) = listen(config.http.listen, tls)?;
        let grpc = config.grpc.listen.map(|at| listen(at, grpc_tls)).transpose()?;
        let (grpc_address, grpc) = grpc.unzip();
        let store = Arc::new(open_store(&config)?);
        let replica = recover(&genesis, &store, output)?;
        let clock = clock.unwrap_or_else(|| {
            Arc::new(match kind {
                Kind::Service => NodeClock::default(),
                Kind::Development => NodeClock::not_before(replica.tip().progress.time_ms),
            })
        });
        let motor = Arc::new(match &together {
            None => Motor::Alone(Arc::new(Wake::default())),
            Some(_) => Motor::Together(OnceLock::new()),
        });
        // A reader met a fault: the driver is the one who stops on it, and the next block meets it too.
        let beat = Arc::clone(&motor);
        store.on_fault(move || beat.beat());
        let waker = Arc::clone(&motor);
        let app = App {
            query: Query::new(&replica, Arc::clone(&genesis)),
            mempool: Arc::new(Mempool::new(config.mempool_limits(), move || waker.work())),
            finality: Arc::new(Finality::new(config.api_options().waits_max())),
            clock: Arc::clone(&clock) as Arc<dyn api::Clock>,
            identity: Arc::new(identity),
            hosted,
            options: options(&config, webhook_ca),
            health: Arc::new(Health::new()),
            sharing: together.is_some().then(|| Arc::clone(&motor) as Arc<dyn api::Sharing>),
            dev: (kind == Kind::Development).then(|| dev_control(&clock, &motor)),
        };
        let health = Arc::clone(&app.health);
        health.committed(replica.tip().progress.height, clock.now_ms());
        let (report, ended) = mpsc::channel();
        let runtime = runtime(&config)?;
        let shutdown = CancellationToken::new();
        stop_on_signal(&runtime, shutdown.clone())?;
        let around = Around {
            query: app.query.clone(),
            mempool: Arc::clone(&app.mempool),
            finality: Arc::clone(&app.finality),
            health: Arc::clone(&app.health),
            clock: Arc::clone(&clock),
            config: config.clone(),
        };
        let end = End { finality: Arc::clone(&app.finality), health: Arc::clone(&app.health), report: report.clone() };
        let key = consensus.map(|key| key.secret);
        let suite = genesis.suite();
        match (&*motor, together, key) {
            (Motor::Together(running), Some(together), key) => {
                let starting = together::start(replica, around, (key, Arc::clone(&app.identity)), suite, together, end);
                // Set once, here.
                drop(running.set(runtime.block_on(starting)?));
            }
            (Motor::Alone(wake), _, Some(key)) => {
                health.caught_up(true);
                spawn_driver(Driver::new(replica, around, key, suite, Arc::clone(wake)), end)?;
            }
            (Motor::Alone(_) | Motor::Together(_), ..) => {
                return Err(Failure::text(Exit::Usage, "follow a chain: the configuration names no other node"));
            }
        }
        let door = api::serve(Arc::new(app), rest, grpc, shutdown.clone());
        // Nobody listens only when the process ends anyway.
        runtime.spawn(async move { drop(report.send(Ended::Door(door.await))) });
        let grpc = grpc_address.map(tracing::field::display);
        tracing::info!(node = config.node.id, %address, grpc, chain = %genesis.chain_id(), "the node serves");
        Ok(Self { config, address, grpc_address, store, clock, health, motor, shutdown, ended, runtime })
    }

    /// Where the REST door is.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.config.http.tls_key.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Where the gRPC door is, if there is one.
    pub(crate) fn grpc_url(&self) -> Option<String> {
        let scheme = if self.config.grpc.tls_key.is_some() { "https" } else { "http" };
        self.grpc_address.map(|address| format!("{scheme}://{address}"))
    }

    /// Who it is.
    pub(crate) fn id(&self) -> &str {
        &self.config.node.id
    }

    /// Waits until it takes writes, for a while: who comes later is told to come again.
    pub(crate) fn until_it_takes_writes(&self) {
        let until = Instant::now() + READY_MAX;
        while !self.health.readiness().caught_up && Instant::now() < until {
            std::thread::sleep(READY_LOOK);
        }
    }

    /// The node's clock.
    pub(crate) fn clock(&self) -> &Arc<NodeClock> {
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
        tracing::info!(elapsed_ms = elapsed, limit_ms, drained = endings.door, "the doors are closed");
        self.motor.stop();
        endings.wait(&self.ended, limits.driver_ms_max.saturating_add(MOMENT_MS), |endings| endings.driver);
        if !endings.driver {
            let text = format!("stop the driver within {} ms", limits.driver_ms_max);
            return Err(endings.failure.unwrap_or_else(|| Failure::text(Exit::Fault, text)));
        }
        self.runtime.shutdown_timeout(Duration::from_millis(MOMENT_MS));
        let closed = close(self.store, limits.store_ms_max);
        match endings.failure {
            Some(failure) => Err(failure),
            None => closed.map(|()| Exit::Done),
        }
    }
}

/// What the doors are allowed.
fn options(config: &Config, webhook_ca: Option<Vec<u8>>) -> api::Options {
    let options = config.api_options();
    let webhooks = api::WebhookOptions { ca_pem: webhook_ca, ..options.webhooks };
    api::Options { webhooks, ..options }
}

/// Opens a door's socket. Gives the address it got.
fn listen(at: SocketAddr, tls: Option<api::Tls>) -> Result<(SocketAddr, Listening), Failure> {
    let listener = TcpListener::bind(at).with_context(|| format!("listen on {at}")).or_exit(Exit::Usage)?;
    let address = listener.local_addr().context("read the address it listens on")?;
    Ok((address, Listening { listener, tls }))
}

fn dev_control(clock: &Arc<NodeClock>, motor: &Arc<Motor>) -> Arc<dyn DevControl> {
    Arc::new(DevClock { clock: Arc::clone(clock), motor: Arc::clone(motor) })
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
