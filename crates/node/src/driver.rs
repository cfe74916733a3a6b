//! The driver: the one thread that makes blocks on a node that validates alone.
//!
//! It sleeps until a statement waits or a heartbeat is due, proposes, signs the commit certificate with its own consensus
//! key, and commits: an engine of one vote. It never polls. A fault ends it, and with it the process: what reached the
//! disk is unknown then, and only recovery decides what is true.
//!
//! A full disk is no fault: the store says so before it writes anything. Writes are refused until there is room, reads go
//! on, and the very block that did not fit is decided first: no second vote is ever signed for its height.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use api::{Finality, Health};
use chain::certificate::{CommitCertificate, sign_precommit};
use chain::key::SecretKey;
use chain::suite::Suite;
use replica::mempool::Mempool;
use replica::port::{Store, StoreFault};
use replica::replica::{Fault, Replica};

use crate::clock::NodeClock;
use crate::config::Config;
use crate::coverage::Coverage;
use crate::service::Around;

/// How long to wait before a full disk is tried again.
const ROOM_PAUSE: Duration = Duration::from_secs(1);

/// What came of making a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// One was committed.
    Block,
    /// There was no reason for one.
    Nothing,
    /// The disk has no room for one.
    NoRoom,
}

/// Why the driver woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// A statement came in.
    Work,
    /// A heartbeat is due.
    Heartbeat,
    /// It is to stop.
    Stop,
}

#[derive(Debug, Default)]
struct Signals {
    work: bool,
    beat: bool,
    stop: bool,
}

/// Wakes the driver. Shared with the mempool and whoever shuts the node down.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    signals: Mutex<Signals>,
    changed: Condvar,
}

impl Wake {
    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().expect("nothing panics while it holds the signals")
    }

    /// Says that a statement waits.
    pub(crate) fn work(&self) {
        self.signals().work = true;
        self.changed.notify_one();
    }

    /// Asks for a block now, even an empty one.
    pub(crate) fn beat(&self) {
        self.signals().beat = true;
        self.changed.notify_one();
    }

    /// Says that it is time to stop.
    pub(crate) fn stop(&self) {
        self.signals().stop = true;
        self.changed.notify_one();
    }

    /// Sleeps for a while, or until it is to stop; says whether it is.
    fn pause(&self, pause: Duration) -> bool {
        let (signals, _) = self
            .changed
            .wait_timeout_while(self.signals(), pause, |signals| !signals.stop)
            .expect("nothing panics while it holds the signals");
        signals.stop
    }

    /// Sleeps until there is a reason not to.
    fn wait(&self, until: Instant) -> Woken {
        let patience = until.saturating_duration_since(Instant::now());
        let idle = |signals: &mut Signals| !signals.work && !signals.beat && !signals.stop;
        let (mut signals, _) = self
            .changed
            .wait_timeout_while(self.signals(), patience, idle)
            .expect("nothing panics while it holds the signals");
        let (work, beat) = (std::mem::take(&mut signals.work), std::mem::take(&mut signals.beat));
        if signals.stop {
            Woken::Stop
        } else if work && !beat {
            Woken::Work
        } else {
            Woken::Heartbeat
        }
    }
}

/// Makes blocks.
pub(crate) struct Driver<S: Store> {
    /// What blocks are built on.
    replica: Replica<S>,
    /// Where statements wait.
    mempool: Arc<Mempool>,
    /// Where requests wait for their statements.
    finality: Arc<Finality>,
    /// How the node is.
    health: Arc<Health>,
    /// What time it is.
    clock: Arc<NodeClock>,
    /// What it votes with.
    key: SecretKey,
    /// The suite of the chain.
    suite: Suite,
    /// What wakes it.
    wake: Arc<Wake>,
    /// When heartbeats are due.
    config: Config,
    /// How far the published state checkpoint reaches.
    coverage: Coverage<S>,
    /// A decision that is signed and did not fit on the disk yet.
    unkept: Option<CommitCertificate>,
}

impl<S: Store> Driver<S> {
    /// A driver of a replica, for the node around it.
    pub(crate) fn new(replica: Replica<S>, around: Around<S>, key: SecretKey, suite: Suite, wake: Arc<Wake>) -> Self {
        let Around { query, mempool, finality, health, clock, config } = around;
        let coverage = Coverage::new(query);
        Self { replica, mempool, finality, health, clock, key, suite, wake, config, coverage, unkept: None }
    }

    /// Makes blocks until it is told to stop; then those for what still waits, within the limit.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let mut last = Instant::now();
        let mut uncovered = self.uncovered()?;
        loop {
            let woken = self.wake.wait(last + self.config.heartbeat(uncovered));
            match woken {
                Woken::Stop => return self.finish(),
                // All of what was announced may have gone into the block before.
                Woken::Work if self.mempool.is_empty() => continue,
                Woken::Work | Woken::Heartbeat => {}
            }
            match self.block(woken == Woken::Heartbeat)? {
                Made::Block => {
                    last = Instant::now();
                    uncovered = self.uncovered()?;
                    // What did not fit is reason enough for the next block.
                    if !self.mempool.is_empty() {
                        self.wake.work();
                    }
                }
                Made::Nothing => {}
                Made::NoRoom => {
                    if self.wake.pause(ROOM_PAUSE) {
                        return self.finish();
                    }
                    // Even an empty block tells whether there is room again.
                    self.wake.beat();
                }
            }
        }
    }

    /// Makes one block, or says why not: an empty one only for a heartbeat.
    fn block(&mut self, even_empty: bool) -> Result<Made, Fault> {
        let made = match self.try_block(even_empty) {
            Err(Fault::Store(StoreFault::Full { operation })) => {
                if self.health.no_room(format!("no room left for {operation}")) {
                    tracing::error!(operation, "the disk is full: writes are refused until there is room");
                }
                return Ok(Made::NoRoom);
            }
            Err(fault) => return Err(fault),
            Ok(made) => made,
        };
        if made == Made::Block && self.health.room() {
            tracing::info!("there is room on the disk again");
        }
        Ok(made)
    }

    fn try_block(&mut self, even_empty: bool) -> Result<Made, Fault> {
        let started = Instant::now();
        let certificate = match self.unkept.clone() {
            Some(certificate) => certificate,
            None => match self.decide(even_empty)? {
                Some(certificate) => certificate,
                None => return Ok(Made::Nothing),
            },
        };
        self.unkept = Some(certificate.clone());
        let committed = self.replica.commit(&certificate)?;
        self.unkept = None;
        // Durable, and visible to readers. Only now may anybody be told.
        self.mempool.remove(&committed.statements);
        self.health.committed(committed.height, self.clock.now_ms());
        self.finality.committed(&committed);
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (height, statements, events) = (committed.height, committed.statements.len(), committed.events);
        if statements == 0 {
            tracing::debug!(height, elapsed_ms, "committed a heartbeat");
        } else {
            tracing::info!(height, statements, events, elapsed_ms, "committed block");
        }
        Ok(Made::Block)
    }

    /// Proposes a block and decides on it with the one vote there is.
    fn decide(&mut self, even_empty: bool) -> Result<Option<CommitCertificate>, Fault> {
        let proposal = self.replica.propose(self.clock.now_ms(), &self.key.public(), &self.mempool)?;
        self.finality.dropped(&proposal.dropped);
        if proposal.block.statements.is_empty() && !even_empty {
            return Ok(None);
        }
        let header = &proposal.block.header;
        let vote = sign_precommit(&self.key, &header.chain, self.suite, header.height, 0, &header.id());
        Ok(Some(CommitCertificate::new(self.suite, header.height, 0, header.id(), vec![vote])))
    }

    fn uncovered(&mut self) -> Result<bool, Fault> {
        self.coverage.is_short_of(&self.replica.tip().progress)
    }

    /// Commits what still waits.
    fn finish(&mut self) -> Result<(), Fault> {
        let limit = Duration::from_millis(self.config.shutdown.driver_ms_max);
        let started = Instant::now();
        while !self.mempool.is_empty() && started.elapsed() < limit {
            if self.block(false)? != Made::Block {
                break;
            }
        }
        let left = self.mempool.len();
        tracing::info!(left, height = self.replica.tip().progress.height, "the driver stopped");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_wakes_at_once_a_stop_wins_and_else_the_heartbeat_comes() {
        let wake = Wake::default();
        let now = Instant::now();
        assert_eq!(wake.wait(now), Woken::Heartbeat);
        wake.work();
        assert_eq!(wake.wait(now + Duration::from_secs(600)), Woken::Work);
        assert_eq!(wake.wait(Instant::now()), Woken::Heartbeat, "work is announced once");
        wake.beat();
        assert_eq!(wake.wait(now + Duration::from_secs(600)), Woken::Heartbeat, "one that is asked for comes at once");
        wake.work();
        wake.stop();
        assert_eq!(wake.wait(now + Duration::from_secs(600)), Woken::Stop);
    }

    #[test]
    fn a_sleeping_driver_is_woken_by_another_thread() {
        let wake = Arc::new(Wake::default());
        let waker = Arc::clone(&wake);
        let thread = std::thread::spawn(move || waker.work());
        assert_eq!(wake.wait(Instant::now() + Duration::from_secs(600)), Woken::Work);
        thread.join().unwrap();
    }
}
