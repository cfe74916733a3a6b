//! One node of the simulation: its disk, its clock, and its lives.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chain::genesis::Genesis;
use chain::hash::StatementId;
use chain::key::SecretKey;
use consensus::simulation::{Counts, Log, Node, Stopped, Time, Verified};
use consensus::{Equivocation, Host, Options, Parts};
use ledger::parallel::Alone;
use replica::mempool::{Limits, Mempool};
use replica::query::{Admission, AdmitError, Query};
use replica::replica::{Committed, Dropped, Fault, Replica, Tip};
use wire::peer::KeyBytes;

use super::disk::{Disk, Power};
use crate::consortium::NOON;
use crate::network::peer_secret;
use crate::trial::seed::Seed;

/// How often nodes tell each other how far they are.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How long after a block an empty one is due.
const HEARTBEAT: Duration = Duration::from_secs(8);

/// A node's clock: the simulation's time, and how far it is off.
#[derive(Debug)]
pub(super) struct Clock {
    time: Time,
    off_ms: AtomicI64,
}

impl Clock {
    pub(super) fn now_ms(&self) -> i64 {
        let passed = i64::try_from(self.time.passed().as_millis()).expect("a simulation is short");
        NOON + passed + self.off_ms.load(Ordering::Relaxed)
    }

    pub(super) fn set_off(&self, off_ms: i64) {
        self.off_ms.store(off_ms, Ordering::Relaxed);
    }

    pub(super) fn jump(&self, ms: i64) {
        self.off_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// What a node told those around it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) committed: Vec<Committed>,
    pub(super) equivocations: u64,
}

/// What is around a node.
pub(super) struct Around {
    clock: Arc<Clock>,
    told: Arc<Mutex<Told>>,
}

impl Host for Around {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn dropped(&self, _: &[(StatementId, Dropped)]) {}

    fn committed(&self, committed: &Committed) {
        lock(&self.told).committed.push(committed.clone());
    }

    fn no_room(&self, _: &'static str) {}

    fn room(&self) {}

    fn heartbeat(&mut self, _: &Tip) -> Result<Duration, Fault> {
        Ok(HEARTBEAT)
    }

    fn equivocated(&self, _: Equivocation) {
        lock(&self.told).equivocations += 1;
    }
}

/// A running node.
struct Life {
    node: Hosted,
    mempool: Arc<Mempool>,
    query: Query<Disk>,
}

/// A node as it is run here.
pub(super) type Hosted = Node<Disk, Around>;

/// What came of posting a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// It waits.
    Waits,
    /// It was decided before.
    Decided,
    /// The node does not run, or does not take it now.
    Not,
}

/// A node, running or not.
pub(super) struct Machine {
    pub(super) place: usize,
    pub(super) peer: KeyBytes,
    pub(super) key: Option<SecretKey>,
    pub(super) disk: Arc<Disk>,
    pub(super) log: Log,
    pub(super) power: Arc<Power>,
    pub(super) clock: Arc<Clock>,
    genesis: Arc<Genesis>,
    time: Time,
    verified: Verified,
    told: Arc<Mutex<Told>>,
    life: Option<Life>,
    counts: Counts,
    /// How often it was started.
    pub(super) lives: u64,
    /// When it is looked after next.
    pub(super) wakes: Option<Duration>,
    dice: Seed,
}

impl Machine {
    pub(super) fn new(
        place: usize,
        key: Option<SecretKey>,
        genesis: &Arc<Genesis>,
        (time, verified): (&Time, &Verified),
        disk_lies: bool,
        dice: Seed,
    ) -> Self {
        let power = Arc::new(Power::default());
        let log_power = Arc::clone(&power);
        Self {
            place,
            peer: *peer_secret(place).public().as_bytes(),
            key,
            disk: Arc::new(Disk::new(Arc::clone(&power), disk_lies)),
            log: Log::new(move || log_power.write()),
            power,
            clock: Arc::new(Clock { time: time.clone(), off_ms: AtomicI64::new(0) }),
            genesis: Arc::clone(genesis),
            time: time.clone(),
            verified: verified.clone(),
            told: Arc::default(),
            life: None,
            counts: Counts::default(),
            lives: 0,
            wakes: None,
            dice,
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.life.is_some()
    }

    /// Starts it on what its disk holds.
    pub(super) fn start(&mut self) -> Result<(), String> {
        self.lives += 1;
        let replica = Replica::recover(&self.genesis, Arc::clone(&self.disk), Arc::new(Alone), |_| {});
        let replica = replica.map_err(|fault| format!("it did not recover: {}", chain_of(&fault)))?;
        let query = Query::new(&replica, Arc::clone(&self.genesis));
        let mempool = Arc::new(Mempool::new(Limits::default(), || {}));
        let parts = Parts {
            replica,
            mempool: Arc::clone(&mempool),
            host: Around { clock: Arc::clone(&self.clock), told: Arc::clone(&self.told) },
            key: self.key.clone(),
            suite: self.genesis.suite(),
            peer: self.peer,
            directory: std::path::PathBuf::new(),
            options: Options { status_every: STATUS_EVERY, ..Options::default() },
            transport: None,
        };
        let mut dice = self.dice.part(self.lives);
        // Mostly at once, and sometimes as slow as a busy disk.
        let latency = move || Duration::from_micros(if dice.happens(3) { dice.below(80_000) } else { dice.below(900) });
        let (log, time, verified) = (self.log.clone(), self.time.clone(), self.verified.clone());
        let node = Node::start(parts, log, time, verified, latency);
        let node = node.map_err(|stopped| format!("it did not start: {}", chain_of(&stopped)))?;
        self.life = Some(Life { node, mempool, query });
        Ok(())
    }

    /// What became necessary in its lives so far.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.counts;
        if let Some(life) = &self.life {
            let Counts { replayed, rounds, proposed_again, synced } = life.node.counts();
            counts.replayed += replayed;
            counts.rounds += rounds;
            counts.proposed_again += proposed_again;
            counts.synced += synced;
        }
        counts
    }

    /// Ends it at once.
    pub(super) fn end(&mut self) {
        self.counts = self.counts();
        self.life = None;
        self.wakes = None;
    }

    /// Does something with the node, if it runs.
    pub(super) fn with<T>(
        &mut self,
        doing: impl FnOnce(&mut Hosted) -> Result<T, Stopped>,
    ) -> Result<Option<T>, String> {
        let Some(life) = &mut self.life else { return Ok(None) };
        doing(&mut life.node).map(Some).map_err(|stopped| chain_of(&stopped))
    }

    /// When something of it is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.life.as_ref()?.node.due()
    }

    /// What it says, and to whom.
    pub(super) fn take_said(&mut self) -> Vec<(KeyBytes, Bytes)> {
        self.life.as_mut().map(|life| life.node.take_said()).unwrap_or_default()
    }

    /// What it told since it was asked last.
    pub(super) fn take_told(&mut self) -> Told {
        std::mem::take(&mut *lock(&self.told))
    }

    /// Takes in what others share, as the door does, and passes on what is new.
    pub(super) fn take_shared(&mut self) -> Result<(), String> {
        loop {
            let Some(life) = &mut self.life else { return Ok(()) };
            let shared = life.node.take_shared();
            if shared.is_empty() {
                return Ok(());
            }
            for shared in shared {
                let mut new = Vec::new();
                for statement in shared.statements {
                    if let Ok(Admission::Admitted(entry)) = life.query.admit(&statement, self.clock.now_ms())
                        && life.mempool.insert(*entry).is_ok()
                    {
                        new.push(statement);
                    }
                }
                if !new.is_empty() {
                    life.node.work().map_err(|stopped| chain_of(&stopped))?;
                    life.node.pass_on(shared.from, shared.origin, new);
                }
            }
        }
    }

    /// Posts a statement, as a client does at the door.
    pub(super) fn post(&mut self, statement: &[u8]) -> Result<Posted, String> {
        let Some(life) = &mut self.life else { return Ok(Posted::Not) };
        match life.query.admit(statement, self.clock.now_ms()) {
            Ok(Admission::Decided(_)) => Ok(Posted::Decided),
            Ok(Admission::Admitted(entry)) => {
                if life.mempool.insert(*entry).is_err() {
                    return Ok(Posted::Not);
                }
                life.node.work().map_err(|stopped| chain_of(&stopped))?;
                life.node.share(statement.to_vec());
                Ok(Posted::Waits)
            }
            Err(AdmitError::Rejected(rejection)) => Err(format!("its door rejected an honest statement: {rejection}")),
            Err(AdmitError::Fault(fault)) => Err(chain_of(&fault)),
        }
    }

    /// Its reader.
    pub(super) fn query(&self) -> Option<&Query<Disk>> {
        self.life.as_ref().map(|life| &life.query)
    }

    /// The height of its newest block.
    pub(super) fn height(&self) -> Option<u64> {
        self.life.as_ref().map(|life| life.node.replica().tip().progress.height)
    }
}

// Nothing is half told when a node panics.
fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error with all its causes.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
