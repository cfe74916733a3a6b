//! Consensus, put together and taken apart.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_malachitebft_app_channel::EngineHandle;
use chain::key::SecretKey;
use chain::suite::Suite;
use replica::mempool::Mempool;
use replica::port::Store;
use replica::replica::Replica;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::peer::{FrameContent, KeyBytes};

use crate::app::{App, Ended, Work};
use crate::clock::Clock;
use crate::context::{Address, ValidatorSet};
use crate::engine::{self, Ground, NotStarted};
use crate::host::Host;
use crate::link::{Incoming, Opened, Outgoing, Refused};
use crate::log;
use crate::network;
use crate::options::Options;
use crate::parts::Scope;
use crate::share;
use crate::signing::Domain;
use crate::standing::Standing;
use crate::switch::{PeerView, Shared, Switch};
use crate::transport::Transport;
use crate::wake::Wake;

/// What consensus is made of.
pub struct Parts<S: Store, H: Host> {
    /// What blocks are built on.
    pub replica: Replica<S>,
    /// Where statements wait.
    pub mempool: Arc<Mempool>,
    /// The node around it.
    pub host: H,
    /// The consensus key that it votes with; without one it follows, and passes on what it is given.
    pub key: Option<SecretKey>,
    /// The suite of the chain.
    pub suite: Suite,
    /// This node's peer key.
    pub peer: KeyBytes,
    /// Where the write-ahead log is.
    pub directory: PathBuf,
    /// What can be set.
    pub options: Options,
    /// How it is connected; none when whoever starts it connects it, stream by stream.
    pub transport: Option<Transport>,
}

/// How a node behaves.
enum Manner {
    Honest,
    #[cfg(feature = "byzantine")]
    Byzantine(crate::byzantine::Byzantine),
}

/// Consensus, while it runs.
#[derive(Debug)]
pub struct Consensus {
    pub(crate) switch: Arc<Switch>,
    wake: Arc<Wake>,
    standing: Arc<Mutex<Standing>>,
    statements: mpsc::Sender<Vec<u8>>,
}

/// Consensus that was started: the handle, what it needs to be ended, and what comes in.
#[derive(Debug)]
pub struct Started {
    /// The handle.
    pub consensus: Arc<Consensus>,
    /// Statements that peers share.
    pub shared: mpsc::Receiver<Shared>,
}

impl Consensus {
    /// Starts consensus. `ended` is called once, on its own thread, when it has ended.
    ///
    /// # Errors
    /// The engine could not be started, or the log of this validator's votes cannot be trusted.
    pub async fn start<S: Store, H: Host>(
        parts: Parts<S, H>,
        ended: impl FnOnce(Result<(), Ended>) + Send + 'static,
    ) -> Result<Started, NotStarted> {
        Self::start_as(Manner::Honest, parts, ended).await
    }

    /// Starts consensus of a validator that does what it should not.
    ///
    /// # Errors
    /// As [`Consensus::start`].
    #[cfg(feature = "byzantine")]
    pub async fn start_byzantine<S: Store, H: Host>(
        byzantine: crate::byzantine::Byzantine,
        parts: Parts<S, H>,
        ended: impl FnOnce(Result<(), Ended>) + Send + 'static,
    ) -> Result<Started, NotStarted> {
        Self::start_as(Manner::Byzantine(byzantine), parts, ended).await
    }

    async fn start_as<S: Store, H: Host>(
        manner: Manner,
        parts: Parts<S, H>,
        ended: impl FnOnce(Result<(), Ended>) + Send + 'static,
    ) -> Result<Started, NotStarted> {
        let Parts { replica, mempool, host, key, suite, peer, directory, options, transport } = parts;
        let tip = Arc::clone(replica.tip());
        // Who does not vote has nothing to remember.
        if key.is_some() {
            let alone = tip.validators.validators().len() == 1;
            log::check(&directory.join(engine::LOG), tip.progress.height, alone)?;
        }
        let domain = Domain { chain: replica.chain().clone(), suite };
        let wake = Arc::new(Wake::default());
        let validators = ValidatorSet::of(&tip.validators);
        let scope = Scope { height: tip.progress.height + 1, validators };
        let (switch, ends) = Switch::new(peer, domain.clone(), scope, Arc::clone(&wake), Clock::Machine);
        let me = key.as_ref().map(|key| Address::of(&key.public()));
        let running = network::spawn(Arc::clone(&switch), ends, Arc::clone(&wake), domain.clone(), me).await;
        let running = running.map_err(|error| NotStarted::Engine(error.to_string()))?;
        let ground = Ground::new(&domain, key.as_ref(), &running);
        let ground = match manner {
            Manner::Honest => ground,
            #[cfg(feature = "byzantine")]
            Manner::Byzantine(byzantine) => byzantine.corrupt(ground, &domain, key.as_ref()).await?,
        };
        let (channels, engine) = engine::start(&options, &directory, ground, &running).await?;
        // The engine syncs what it writes, not the log's name, and without its log this validator may not vote again.
        let named = File::open(&directory).and_then(|directory| directory.sync_all());
        named.map_err(|error| NotStarted::Engine(format!("sync {}: {error}", directory.display())))?;
        let standing = Arc::new(Mutex::new(Standing::new(tip.progress.height)));
        let streams = CancellationToken::new();
        if let Some(transport) = transport {
            transport.start(&switch, &streams).map_err(|error| NotStarted::Engine(error.to_string()))?;
        }
        let (statements, waiting) = mpsc::channel(share::WAITING_MAX);
        tokio::spawn(share::run(Arc::clone(&switch), waiting));
        let app = App {
            replica,
            mempool,
            host,
            proposer: key.as_ref().map(SecretKey::public),
            suite,
            options,
            switch: Arc::clone(&switch),
            wake: Arc::clone(&wake),
            standing: Arc::clone(&standing),
            runtime: Some(Handle::current()),
            clock: Clock::Machine,
            work: Work::new(process_number(), Instant::now()),
        };
        let (runtime, log) = (Handle::current(), directory.join(engine::LOG));
        let run = move || {
            let outcome = runtime.block_on(app.run(channels));
            streams.cancel();
            stop_engine(&engine, &log);
            ended(outcome);
        };
        thread::Builder::new()
            .name("consensus".to_owned())
            .spawn(run)
            .map_err(|error| NotStarted::Engine(format!("its thread: {error}")))?;
        let consensus = Arc::new(Self { switch, wake, standing, statements });
        Ok(Started { consensus, shared: running.shared })
    }

    /// Says that a statement waits in the mempool.
    pub fn work(&self) {
        self.wake.work();
    }

    /// Asks for a block now, even an empty one.
    pub fn beat(&self) {
        self.wake.beat();
    }

    /// Says that it is time to stop.
    pub fn stop(&self) {
        self.wake.stop();
    }

    /// Gives a statement that was taken in here to the other nodes. One that finds no room goes into a block that this
    /// node proposes.
    pub fn share(&self, statement: Vec<u8>) {
        drop(self.statements.try_send(statement));
    }

    /// Passes statements on that a peer shared and that were new here.
    pub fn pass_on(&self, from: KeyBytes, origin: KeyBytes, statements: Vec<Vec<u8>>) {
        self.switch.publish_for(origin, Some(from), FrameContent::Statements(statements));
    }

    /// A stream to a peer is open, by other means than our own transport: what to write on it, and whom to give what
    /// is read from it.
    ///
    /// # Errors
    /// The node is being taken apart.
    pub async fn open(&self, peer: KeyBytes) -> Result<(Outgoing, Incoming), Refused> {
        self.switch.connected(peer, Opened::ByUs).await
    }

    /// How consensus stands.
    pub fn standing(&self) -> Standing {
        self.standing.lock().expect("nothing panics while it holds this").clone()
    }

    /// How the peers are.
    pub fn peers(&self) -> Vec<PeerView> {
        self.switch.views()
    }
}

/// How long the engine may take to let go of its log, and how often that is looked at.
const RELEASE_MAX: Duration = Duration::from_secs(5);
const RELEASE_LOOK: Duration = Duration::from_millis(10);

/// Ends the engine's actors, and waits until they have let go of the log, so that another engine can be started on it.
/// Nothing is lost: what was signed is in the log, what was decided in the ledger.
fn stop_engine(engine: &EngineHandle, log: &Path) {
    engine.actor.stop(Some("the node stops".to_owned()));
    let until = Instant::now() + RELEASE_MAX;
    let is_held = || File::open(log).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    while is_held() && Instant::now() < until {
        thread::sleep(RELEASE_LOOK);
    }
}

/// A number that this process has and no earlier one had, as far as clocks go: names of streams are made of it.
fn process_number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
