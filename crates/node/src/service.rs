//! A running node: store, replica, driver thread and REST door wired together, and taken apart in order.
//!
//! Shutdown: stop accepting → drain what is under way → driver → store → exit. Each step has a limit and a log line; a
//! step that passes its limit is a fault, because what it left behind is unknown.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use api::{App, DevControl, Finality, Health, HostedKey, NodeIdentity, Tls};
use chain::genesis::Genesis;
use ledger::organisation::Purpose;
use replica::mempool::Mempool;
use replica::port::{Store as _, StoreFault};
use replica::query::Query;
use replica::replica::{Fault, Replica};
use store::SledStore;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::clock::NodeClock;
use crate::config::Config;
use crate::consortium::read_genesis;
use crate::driver::{Driver, Wake};
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::keys::{self, NamedKey};
use crate::output::Output;

/// How many bytes a certificate or its key may have.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Whether the node's clock may be advanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A node in service.
    Service,
    /// A `dev` or `demo` node.
    Development,
}

/// How one part of the node ended.
#[derive(Debug)]
enum Ended {
    /// The driver.
    Driver(Result<(), Fault>),
    /// The driver panicked.
    DriverPanicked,
    /// The REST door.
    Door(Result<(), api::ServeError>),
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

impl DevControl for NodeClock {
    fn advance_clock(&self, ms: i64) -> i64 {
        let now_ms = self.advance(ms);
        tracing::info!(ms, now_ms, "the clock was advanced");
        now_ms
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

impl Service {
    /// Starts a node: it serves when this returns.
    pub(crate) fn start(config: Config, kind: Kind, output: &Output) -> Result<Self, Failure> {
        let genesis = Arc::new(read_genesis(&config.node.genesis).or_exit(Exit::Usage)?);
        let consensus = NamedKey::load(&config.keys.consensus, Purpose::Consensus).or_exit(Exit::Usage)?;
        check_validator(&genesis, &consensus)?;
        let receipt = NamedKey::load(&config.keys.receipt, Purpose::Receipt).or_exit(Exit::Usage)?;
        let identity = NodeIdentity {
            id: config.node.id.clone(),
            organisation: receipt.organisation.clone(),
            receipt_key_id: receipt.key_id.clone(),
            receipt: receipt.secret,
            salt_secret: keys::secret_file(&config.keys.attachment_salt).or_exit(Exit::Usage)?,
        };
        let hosted = hosted(&config.keys.hosted).or_exit(Exit::Usage)?;
        let tls = tls(&config).or_exit(Exit::Usage)?;
        let listener = TcpListener::bind(config.http.listen)
            .with_context(|| format!("listen on {}", config.http.listen))
            .or_exit(Exit::Usage)?;
        let address = listener.local_addr().context("read the address it listens on")?;
        let store = Arc::new(open_store(&config)?);
        let replica = recover(&genesis, &store, output)?;
        let tip_ms = replica.tip().progress.time_ms;
        let clock = Arc::new(match kind {
            Kind::Service => NodeClock::default(),
            Kind::Development => NodeClock::not_before(tip_ms),
        });
        let wake = Arc::new(Wake::default());
        let waker = Arc::clone(&wake);
        let mempool = Arc::new(Mempool::new(config.mempool_limits(), move || waker.work()));
        let finality = Arc::new(Finality::new(config.http.connections_max));
        let health = Arc::new(Health::new());
        let query = Query::new(&replica, Arc::clone(&genesis));
        let (report, ended) = mpsc::channel();
        let driver = spawn_driver(
            Driver {
                replica,
                query: query.clone(),
                mempool: Arc::clone(&mempool),
                finality: Arc::clone(&finality),
                health: Arc::clone(&health),
                clock: Arc::clone(&clock),
                key: consensus.secret,
                suite: genesis.suite(),
                wake: Arc::clone(&wake),
                config: config.clone(),
            },
            report.clone(),
        )?;
        let dev: Option<Arc<dyn DevControl>> = match kind {
            Kind::Service => None,
            Kind::Development => Some(Arc::clone(&clock) as Arc<dyn DevControl>),
        };
        let app = App {
            query,
            mempool,
            finality,
            clock: Arc::clone(&clock) as Arc<dyn api::Clock>,
            identity: Arc::new(identity),
            hosted,
            options: config.api_options(),
            health: Arc::clone(&health),
            dev,
        };
        let runtime = Runtime::new().context("start the runtime of the REST door")?;
        let shutdown = CancellationToken::new();
        let door = api::serve(Arc::new(app), listener, tls, shutdown.clone());
        runtime.spawn(async move {
            // Nobody listens only when the process ends anyway.
            drop(report.send(Ended::Door(door.await)));
        });
        tracing::info!(node = config.node.id, %address, chain = %genesis.chain_id(), "the node serves");
        Ok(Self {
            config,
            address,
            store,
            clock,
            health,
            wake,
            shutdown,
            ended,
            driver,
            runtime,
        })
    }

    /// Where the REST door is.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.config.http.tls_key.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The node's clock.
    pub(crate) fn clock(&self) -> &NodeClock {
        &self.clock
    }

    /// Serves until a signal or a fault, then takes the node apart.
    pub(crate) fn serve(self) -> Result<Exit, Failure> {
        let shutdown = self.shutdown.clone();
        self.runtime.spawn(async move {
            let signal = signalled().await;
            tracing::info!(signal, "stopping: no new connections");
            shutdown.cancel();
        });
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
        endings.wait(&self.ended, limits.drain_ms_max.saturating_add(MOMENT_MS), |endings| {
            endings.door
        });
        let (elapsed, limit_ms) = (elapsed_ms(started), limits.drain_ms_max);
        tracing::info!(
            elapsed_ms = elapsed,
            limit_ms,
            drained = endings.door,
            "the REST door is closed"
        );
        self.wake.stop();
        endings.wait(&self.ended, limits.driver_ms_max.saturating_add(MOMENT_MS), |endings| {
            endings.driver
        });
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

/// What a step gets beyond its limit to say how it ended, ms.
const MOMENT_MS: u64 = 1_000;

/// Which parts have ended, and the first thing that went wrong.
#[derive(Debug, Default)]
struct Endings {
    door: bool,
    driver: bool,
    failure: Option<Failure>,
}

impl Endings {
    fn note(&mut self, ended: Ended) {
        let failure = match ended {
            Ended::Door(result) => {
                self.door = true;
                result.err().map(|error| {
                    Failure::new(
                        Exit::Fault,
                        anyhow::Error::new(error).context("keep the REST door open"),
                    )
                })
            }
            Ended::Driver(result) => {
                self.driver = true;
                result
                    .err()
                    .map(|fault| Failure::new(Exit::Fault, anyhow::Error::new(fault).context("keep the ledger")))
            }
            Ended::DriverPanicked => {
                self.driver = true;
                Some(Failure::text(Exit::Fault, "keep the ledger: the driver panicked"))
            }
        };
        if self.failure.is_none() {
            self.failure = failure;
        }
    }

    /// Waits until enough has ended, no longer than the limit.
    fn wait(&mut self, ended: &mpsc::Receiver<Ended>, limit_ms: u64, enough: fn(&Self) -> bool) {
        let started = Instant::now();
        while !enough(self) {
            let left = Duration::from_millis(limit_ms).saturating_sub(started.elapsed());
            match ended.recv_timeout(left) {
                Ok(ended) => self.note(ended),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Closes the store on a thread of its own, so that it can be given a limit.
fn close(store: Arc<SledStore>, limit_ms: u64) -> Result<(), Failure> {
    let started = Instant::now();
    let (send, receive) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("store-close".to_owned())
        .spawn(move || drop(send.send(store.close())));
    thread.context("start the thread that closes the store")?;
    match receive.recv_timeout(Duration::from_millis(limit_ms)) {
        Ok(Ok(())) => {
            tracing::info!(elapsed_ms = elapsed_ms(started), limit_ms, "the store is closed");
            Ok(())
        }
        Ok(Err(fault)) => Err(Failure::new(
            Exit::Fault,
            anyhow::Error::new(fault).context("close the store"),
        )),
        Err(_) => Err(Failure::text(
            Exit::Fault,
            format!("close the store within {limit_ms} ms"),
        )),
    }
}

/// A validator on its own needs the one key of the set.
fn check_validator(genesis: &Genesis, consensus: &NamedKey) -> Result<(), Failure> {
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

/// Brings the index up to the ledger's tip, with a progress bar when there is much to do.
fn recover(genesis: &Genesis, store: &Arc<SledStore>, output: &Output) -> Result<Replica<SledStore>, Failure> {
    let mut bar = None;
    let replica = Replica::recover(genesis, Arc::clone(store), |recovering| {
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
            Fault::Genesis(_) | Fault::Countersignatures(_) => Exit::Usage,
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

fn spawn_driver(driver: Driver<SledStore>, report: mpsc::Sender<Ended>) -> Result<JoinHandle<()>, Failure> {
    let (finality, health) = (Arc::clone(&driver.finality), Arc::clone(&driver.health));
    let run = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| driver.run()));
        let ended = match outcome {
            Ok(result) => Ended::Driver(result),
            Err(_) => Ended::DriverPanicked,
        };
        let fault = match &ended {
            Ended::Driver(Err(fault)) => Some(chain_of(fault)),
            Ended::DriverPanicked => Some("the driver panicked".to_owned()),
            Ended::Driver(Ok(())) | Ended::Door(_) => None,
        };
        if let Some(fault) = fault {
            tracing::error!(fault, "the node stops");
            health.fault(fault);
            finality.fault();
        }
        drop(report.send(ended));
    };
    let thread = std::thread::Builder::new()
        .name("driver".to_owned())
        .spawn(run)
        .context("start the driver")?;
    Ok(thread)
}

/// An error with its causes, in one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
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
            let NamedKey {
                organisation,
                key_id,
                secret,
                ..
            } = NamedKey::load(&path, Purpose::Statement)?;
            keys.push(HostedKey {
                organisation,
                key: key_id,
                secret,
            });
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

/// Waits for the signals that end a process in order; gives the name of the one that came.
async fn signalled() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("signals cannot be received; only a kill ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
