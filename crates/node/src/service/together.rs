//! A node among others: consensus wired to the store, the door and the health of this one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{ConsensusView, Finality, Health, NodeIdentity, PeerStatusView, format_ms};
use chain::hash::StatementId;
use chain::identity::OrganisationId;
use chain::key::SecretKey;
use chain::suite::Suite;
use consensus::{Consensus, Equivocation, Host, NotStarted, PeerView, Shared, Started, Transport};
use replica::mempool::{Inserted, Mempool};
use replica::port::Store;
use replica::query::{Admission, AdmitError, Query};
use replica::replica::{Committed, Dropped, Fault, Replica, Tip};
use tokio::sync::mpsc;

use super::ending::{End, Ended};
use super::evidence::{self, Seen};
use super::parts::Together;
use super::peer_keys::PeerKeys;
use crate::clock::NodeClock;
use crate::config::Config;
use crate::coverage::Coverage;
use crate::exit::{Exit, Failure};

/// Where consensus keeps its write-ahead log, beside the store.
const DIRECTORY: &str = "consensus";

/// How often the health is told how the others are.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How far behind the others a node may be and still take writes, blocks.
const BEHIND_MAX: u64 = 10;

/// Frames of shared statements that are looked at together.
const FRAMES_MAX: usize = 16;

/// A block that takes so long has a reason worth telling.
const LATE: Duration = Duration::from_secs(5);

/// What a node is made of, as far as consensus needs it.
pub(crate) struct Around<S: Store> {
    pub(crate) query: Query<S>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) finality: Arc<Finality>,
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Arc<NodeClock>,
    pub(crate) config: Config,
}

impl<S: Store> Clone for Around<S> {
    fn clone(&self) -> Self {
        Self {
            query: self.query.clone(),
            mempool: Arc::clone(&self.mempool),
            finality: Arc::clone(&self.finality),
            health: Arc::clone(&self.health),
            clock: Arc::clone(&self.clock),
            config: self.config.clone(),
        }
    }
}

struct NodeHost<S: Store> {
    around: Around<S>,
    coverage: Coverage<S>,
    /// Where equivocations go; nowhere on a node that may not report them.
    seen: Option<Seen>,
    /// Bytes of all blocks that this process committed.
    block_bytes: Arc<AtomicU64>,
    peer_keys: Arc<PeerKeys>,
    /// A read that failed where nobody could be told: the node stops by it.
    failed: Mutex<Option<Fault>>,
}

impl<S: Store> Host for NodeHost<S> {
    fn now_ms(&self) -> i64 {
        self.around.clock.now_ms()
    }

    fn dropped(&self, dropped: &[(StatementId, Dropped)]) {
        self.around.finality.dropped(dropped);
    }

    fn committed(&self, committed: &Committed) {
        let (height, statements, events) = (committed.height, committed.statements.len(), committed.events);
        self.block_bytes.fetch_add(committed.bytes as u64, Ordering::Relaxed);
        self.around.health.committed(height, self.around.clock.now_ms());
        self.around.finality.committed(committed);
        self.note_peer_keys(committed);
        if statements == 0 {
            tracing::debug!(height, "committed a heartbeat");
        } else {
            tracing::info!(height, statements, events, "committed block");
        }
    }

    fn no_room(&self, operation: &'static str) {
        if self.around.health.no_room(format!("no room left for {operation}")) {
            tracing::error!(operation, "the disk is full: writes are refused until there is room");
        }
    }

    fn room(&self) {
        if self.around.health.room() {
            tracing::info!("there is room on the disk again");
        }
    }

    fn heartbeat(&mut self, tip: &Tip) -> Result<Duration, Fault> {
        if let Some(fault) = self.failed.get_mut().expect("nothing panics while it holds the fault").take() {
            return Err(fault);
        }
        Ok(self.around.config.heartbeat(self.coverage.is_short_of(&tip.progress)?))
    }

    fn equivocated(&self, equivocation: Equivocation) {
        let Equivocation { first, second } = &equivocation;
        tracing::error!(?first, ?second, "a validator signed two things that exclude each other");
        if let Some(seen) = &self.seen
            && let Some(proof) = equivocation.proof(&self.around.query.tip().validators)
        {
            seen.tell(proof);
        }
    }
}

impl<S: Store> NodeHost<S> {
    /// Lets those connect whom a block brought onto the ledger with a node of their own.
    fn note_peer_keys(&self, committed: &Committed) {
        for id in &committed.organisations {
            match self.around.query.organisation(id) {
                Ok(organisation) => organisation.iter().for_each(|organisation| self.peer_keys.note(organisation)),
                // Who may connect is not known any more.
                Err(fault) => *self.failed.lock().expect("nothing panics while it holds the fault") = Some(fault),
            }
        }
    }
}

/// Starts consensus; inside a runtime.
pub(super) async fn start<S: Store>(
    replica: Replica<S>,
    around: Around<S>,
    (key, identity): (Option<SecretKey>, Arc<NodeIdentity>),
    suite: Suite,
    together: Together,
    end: End,
) -> Result<Arc<Consensus>, Failure> {
    let Together { secret, peers, listener } = together;
    let peer_keys = PeerKeys::read(&around.query).context("read whose peer keys the ledger lists");
    let peer_keys = Arc::new(peer_keys.map_err(|error| Failure::new(Exit::Fault, error))?);
    let directory = around.config.node.data.join(DIRECTORY);
    crate::files::directory(&directory)?;
    let validators = replica.tip().validators.clone();
    let own =
        key.as_ref().and_then(|key| validators.get(&key.public())).map(|validator| validator.organisation.clone());
    let allowed = Arc::clone(&peer_keys);
    let reporting =
        evidence::reporting(&around, &identity, &directory).map_err(|error| Failure::new(Exit::Fault, error))?;
    let (seen, reports) = match reporting {
        Some(reporting) => {
            let (seen, reports) = evidence::channel();
            (Some(seen), Some((reporting, reports)))
        }
        None => (None, None),
    };
    let block_bytes = Arc::<AtomicU64>::default();
    let coverage = Coverage::new(around.query.clone());
    let parts = consensus::Parts {
        suite,
        mempool: Arc::clone(&around.mempool),
        host: NodeHost {
            around: around.clone(),
            coverage,
            seen,
            block_bytes: Arc::clone(&block_bytes),
            peer_keys: Arc::clone(&peer_keys),
            failed: Mutex::default(),
        },
        key,
        peer: *secret.public().as_bytes(),
        directory,
        options: around.config.consensus_options(),
        transport: Some(Transport {
            secret,
            listener,
            peers,
            allowed: Arc::new(move |key| allowed.owner(key).is_some()),
        }),
        replica,
    };
    let ended = move |outcome: Result<(), consensus::Ended>| end.report(Ended::Driver(outcome.map_err(Into::into)));
    let Started { consensus, shared } = Consensus::start(parts, ended).await.map_err(|error| {
        let exit = if matches!(error, NotStarted::Log(_)) { Exit::VotesUnknown } else { Exit::Fault };
        Failure::new(exit, anyhow::Error::new(error).context("start consensus"))
    })?;
    tokio::spawn(take_in(shared, around.clone(), Arc::clone(&consensus)));
    if let Some((reporting, reports)) = reports {
        tokio::spawn(evidence::report(reporting, reports, Arc::clone(&around.clock), Arc::clone(&consensus)));
    }
    let behind_since = Behind::now(&around, &block_bytes);
    let look = Look { behind_since, block_bytes, around, peer_keys, validators, own, caught_up: false };
    tokio::spawn(look.run(Arc::clone(&consensus)));
    Ok(consensus)
}

/// Takes in what other nodes share, as the door does, and passes on what was new.
async fn take_in<S: Store>(mut shared: mpsc::Receiver<Shared>, around: Around<S>, consensus: Arc<Consensus>) {
    let mut frames = Vec::with_capacity(FRAMES_MAX);
    while shared.recv_many(&mut frames, FRAMES_MAX).await > 0 {
        let (around, consensus) = (around.clone(), Arc::clone(&consensus));
        let frames = std::mem::take(&mut frames);
        // One after the other: while these are looked at, the peers wait.
        let looked = tokio::task::spawn_blocking(move || {
            for Shared { from, origin, statements } in frames {
                let now_ms = around.clock.now_ms();
                let new: Vec<Vec<u8>> =
                    statements.into_iter().filter(|statement| admit(&around, statement, now_ms)).collect();
                if !new.is_empty() {
                    consensus.pass_on(from, origin, new);
                }
            }
        });
        if looked.await.is_err() {
            tracing::error!("looking at a shared statement panicked; it is not taken in");
        }
    }
}

/// Whether a statement is new here and waits now.
fn admit<S: Store>(around: &Around<S>, statement: &[u8], now_ms: i64) -> bool {
    match around.query.admit(statement, now_ms) {
        Ok(Admission::Admitted(entry)) => matches!(around.mempool.insert(*entry), Ok(Inserted::Queued)),
        Ok(Admission::Decided(_)) => false,
        Err(AdmitError::Rejected(rejection)) => {
            tracing::debug!(%rejection, "a shared statement was not taken in");
            false
        }
        // Whoever commits meets it too, and stops the node.
        Err(AdmitError::Fault(fault)) => {
            tracing::error!(%fault, "a shared statement could not be judged");
            false
        }
    }
}

/// Looks how the others are, and tells the health.
struct Look<S: Store> {
    around: Around<S>,
    peer_keys: Arc<PeerKeys>,
    validators: chain::validators::ValidatorSet,
    /// Whose vote is cast here.
    own: Option<OrganisationId>,
    caught_up: bool,
    behind_since: Behind,
    block_bytes: Arc<AtomicU64>,
}

/// Since when a node has been behind the others, and where it stood then.
struct Behind {
    since: Instant,
    height: u64,
    events: u64,
    bytes: u64,
}

impl Behind {
    fn now<S: Store>(around: &Around<S>, block_bytes: &AtomicU64) -> Self {
        let tip = around.query.tip();
        let bytes = block_bytes.load(Ordering::Relaxed);
        Self { since: Instant::now(), height: tip.progress.height, events: tip.progress.log_size, bytes }
    }
}

impl<S: Store> Look<S> {
    async fn run(mut self, consensus: Arc<Consensus>) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            every.tick().await;
            self.look(&consensus);
        }
    }

    fn look(&mut self, consensus: &Consensus) {
        let (standing, peers) = (consensus.standing(), consensus.peers());
        let no_quorum = self.no_quorum(&peers);
        let highest = self.believable_tip(&peers);
        let behind = highest.saturating_sub(standing.tip_height);
        // Before enough of the others have said how far they are, a node cannot know it.
        let caught_up = if self.caught_up { behind <= BEHIND_MAX } else { self.is_told(&peers) && behind == 0 };
        self.note_catching_up(caught_up);
        self.around.health.caught_up(self.caught_up);
        let for_ms = u64::try_from(standing.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let proposer = standing.proposer.and_then(|key| {
            let validators = self.validators.validators().iter();
            validators
                .map(|validator| (validator.key.as_bytes(), &validator.organisation))
                .find(|(found, _)| **found == key)
        });
        let proposer = proposer.map(|(_, organisation)| organisation.to_string());
        let late = standing.deciding && standing.since.elapsed() >= LATE;
        let why = no_quorum.clone().or_else(|| {
            let who = proposer.as_deref().unwrap_or("nobody yet");
            late.then(|| format!("round {} is waiting for the block of {who}, or for votes on it", standing.round))
        });
        let view = ConsensusView {
            votes: self.own.is_some(),
            height: standing.height,
            round: standing.round,
            proposer,
            deciding: standing.deciding,
            for_ms,
            why,
            peers: peers.iter().map(|peer| self.peer(peer)).collect(),
        };
        self.around.health.consensus(view, no_quorum);
    }

    /// Says how long it took to catch up, and from where.
    fn note_catching_up(&mut self, caught_up: bool) {
        let before = std::mem::replace(&mut self.caught_up, caught_up);
        if before == caught_up {
            return;
        }
        let now = Behind::now(&self.around, &self.block_bytes);
        let from = std::mem::replace(&mut self.behind_since, now);
        if caught_up {
            let Behind { height, events, bytes, .. } = self.behind_since;
            let (blocks, events) = (height.saturating_sub(from.height), events.saturating_sub(from.events));
            let bytes = bytes.saturating_sub(from.bytes);
            let ms = u64::try_from(from.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let a_second = |count: u64| count.saturating_mul(1_000) / ms.max(1);
            let (events_a_second, bytes_a_second) = (a_second(events), a_second(bytes));
            tracing::info!(
                height,
                blocks,
                events,
                bytes,
                ms,
                events_a_second,
                bytes_a_second,
                "caught up with the others"
            );
        } else {
            tracing::warn!(height = self.behind_since.height, "fell behind the others");
        }
    }

    /// The highest block that more than a third of the voting power claims to have: one honest validator among them at
    /// least, whoever lies.
    fn believable_tip(&self, peers: &[PeerView]) -> u64 {
        let power = |peer: &PeerView| {
            let organisation = self.peer_keys.owner(&peer.key)?;
            let mut validators = self.validators.validators().iter();
            validators.find(|validator| validator.organisation == organisation).map(|validator| validator.power)
        };
        let connected = peers.iter().filter(|peer| peer.connected);
        let mut claims: Vec<(u64, u64)> = connected.filter_map(|peer| Some((peer.tip_height, power(peer)?))).collect();
        claims.sort_unstable_by(|one, other| other.cmp(one));
        let mut sum = 0;
        let tip = claims.into_iter().find(|(_, power)| {
            sum += power;
            sum * 3 > self.validators.total_power()
        });
        tip.map_or(0, |(tip, _)| tip)
    }

    fn peer(&self, peer: &PeerView) -> PeerStatusView {
        let ago = i64::try_from(Instant::now().duration_since(peer.heard).as_millis()).unwrap_or(i64::MAX);
        PeerStatusView {
            organisation: self.peer_keys.owner(&peer.key).map(|organisation| organisation.to_string()),
            key: chain::encoding::encode_base64url(&peer.key),
            connected: peer.connected,
            height: peer.tip_height,
            heard: format_ms(self.around.clock.now_ms().saturating_sub(ago)),
            dropped: peer.dropped,
        }
    }

    /// The power of those validators that are here or meet a condition, and the names of the others.
    fn in_reach(&self, peers: &[PeerView], condition: impl Fn(&PeerView) -> bool) -> (u64, Vec<&str>) {
        let own = self.own.as_ref();
        let meets = |organisation: &OrganisationId| {
            peers.iter().any(|peer| condition(peer) && self.peer_keys.owner(&peer.key).as_ref() == Some(organisation))
        };
        let (here, missing): (Vec<_>, Vec<_>) = self
            .validators
            .validators()
            .iter()
            .partition(|validator| own == Some(&validator.organisation) || meets(&validator.organisation));
        let power = here.iter().map(|validator| validator.power).sum();
        (power, missing.iter().map(|validator| validator.organisation.as_str()).collect())
    }

    /// Whether so many have said how far they are that they could decide a block.
    fn is_told(&self, peers: &[PeerView]) -> bool {
        let (power, _) = self.in_reach(peers, |peer| peer.connected && peer.told);
        power >= self.validators.quorum_power()
    }

    /// Why no block can be decided, when too little of the voting power is in reach.
    ///
    /// Only those count that are connected with this node: that others pass votes on is seen when blocks come.
    fn no_quorum(&self, peers: &[PeerView]) -> Option<String> {
        let (power, missing) = self.in_reach(peers, |peer| peer.connected);
        let needed = self.validators.quorum_power();
        (power < needed).then(|| {
            format!(
                "{power} of {} votes are in reach and {needed} are needed; not connected: {}",
                self.validators.total_power(),
                missing.join(", ")
            )
        })
    }
}
