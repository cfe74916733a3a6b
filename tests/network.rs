//! Several nodes around the real engine, over a network that a seed makes unreliable.
//!
//! Each node has the replica, mempool and consensus of a real one, on a store that outlives it; what is between them
//! delays, drops, doubles and reorders frames, and is cut in pieces, as the seed and the test say.

mod cable;
mod host;
mod node;
mod stranger;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chain::genesis::Genesis;
use chain::key::SecretKey;
use chain::statement::Mode;

use crate::consortium::{AGENCIES, NOON, genesis_of, secret};
use crate::trial::seed::Seed;

pub use cable::{Cables, Faults, Losing, vote_in};
pub use host::{Seen, TestHost};
pub use node::{Member, NodeParts, OnEnd, Start, Starting, Statement};
pub use stranger::Stranger;

/// How long something may take that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The clock of all nodes: the real one, from [`NOON`] on, and more when a test says so.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    more_ms: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { began: Instant::now(), more_ms: AtomicI64::new(0) }
    }
}

impl Clock {
    /// What time it is, ms UTC.
    pub fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.began.elapsed().as_millis()).expect("a test is short");
        NOON + elapsed + self.more_ms.load(Ordering::SeqCst)
    }

    /// Time passes.
    pub fn advance(&self, ms: i64) {
        self.more_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

/// A consortium.
pub struct Network {
    /// Its genesis.
    pub genesis: Arc<Genesis>,
    /// What is between the nodes.
    pub cables: Arc<Cables>,
    /// Their clock.
    pub clock: Arc<Clock>,
    /// The nodes; validators first.
    pub members: Vec<Member>,
    /// Where their logs are.
    directory: tempfile::TempDir,
    nonces: u64,
}

/// The peer key of a node.
pub fn peer_secret(place: usize) -> SecretKey {
    secret(&format!("node-{place}"), "peer")
}

impl Network {
    /// Starts so many validators and observers, all connected with each other.
    pub async fn start(validators: usize, observers: usize, seed: u64, faults: Faults) -> Self {
        let mut network = Self::prepare(validators, observers, seed, faults);
        for place in 0..network.members.len() {
            network.run(place).await;
        }
        network
    }

    /// So many validators and observers, none of which runs yet.
    pub fn prepare(validators: usize, observers: usize, seed: u64, faults: Faults) -> Self {
        let genesis = Arc::new(genesis_of(validators, |_| {}));
        let directory = tempfile::tempdir().unwrap();
        let cables = Arc::new(Cables::new(validators + observers, Seed::new(seed), faults));
        let clock = Arc::new(Clock::default());
        let mut network = Self { genesis, cables, clock, members: Vec::new(), directory, nonces: 0 };
        for place in 0..validators + observers {
            let key = AGENCIES.get(place).filter(|_| place < validators);
            let key = key.map(|(agency, _, _)| secret(agency, "consensus"));
            let member = Member::new(place, key, Arc::clone(&network.genesis), Arc::clone(&network.clock));
            network.members.push(member);
        }
        network
    }

    fn log(&self, place: usize) -> std::path::PathBuf {
        self.directory.path().join(place.to_string())
    }

    /// Starts a node, again, on what it kept.
    pub async fn run(&mut self, place: usize) {
        let log = self.log(place);
        std::fs::create_dir_all(&log).unwrap();
        self.members[place].start(&log).await;
        for other in 0..self.members.len() {
            self.connect(place, other).await;
        }
    }

    /// Takes the cable between two nodes away, as if there had never been one.
    pub fn disconnect(&self, one: usize, other: usize) {
        self.cables.remove(one, other);
    }

    /// Waits until a node has precommitted a block at a height.
    pub async fn locked(&self, place: usize, height: u64) {
        self.cables.precommitted(place, height).await;
    }

    async fn connect(&self, one: usize, other: usize) {
        let running = |place: usize| self.members[place].consensus();
        let (Some(here), Some(there)) = (running(one), running(other)) else { return };
        if one == other {
            return;
        }
        cable::connect(&self.cables, (one, &here), (other, &there)).await;
    }

    /// Ends a node as `kill -9` does: nothing more of it is heard.
    pub async fn kill(&mut self, place: usize) {
        self.cables.unplug(place);
        self.members[place].end().await;
    }

    /// Takes a node's disk away, log and all.
    pub fn wipe(&mut self, place: usize) {
        self.members[place].wipe();
        let log: &Path = &self.log(place);
        // It may have been taken away before, while the node did not run.
        if log.exists() {
            std::fs::remove_dir_all(log).unwrap();
        }
    }

    /// A statement of one event.
    pub fn statement(&mut self, organisation: &str, event: &str) -> Statement {
        self.nonces += 1;
        let nonce = format!("n{}", self.nonces);
        Statement::sign(&self.genesis, &nonce, organisation, Mode::Each, &[event.to_owned()], self.clock.now_ms())
    }

    /// Waits until these nodes have reached a height.
    pub async fn reach(&self, places: &[usize], height: u64) {
        for place in places {
            self.members[*place].seen.reach(height).await;
        }
    }

    /// Waits until these nodes have committed a statement.
    pub async fn commit(&self, places: &[usize], statement: &Statement) {
        for place in places {
            self.members[*place].seen.commit(statement.id).await;
        }
    }

    /// Holds what the nodes have committed against each other: one chain, each statement once, and everything that was
    /// acknowledged. Returns the height that all of them have.
    pub fn check(&self) -> u64 {
        let chains: Vec<Vec<_>> = self.members.iter().map(Member::chain).collect();
        let common = chains.iter().map(Vec::len).min().expect("there are nodes");
        for chain in &chains {
            assert_eq!(chain[..common], chains[0][..common], "two nodes committed different blocks");
        }
        for member in &self.members {
            let statements = member.statements();
            let once: BTreeSet<_> = statements.iter().collect();
            assert_eq!(once.len(), statements.len(), "a statement stands on the chain twice");
            for id in member.seen.acknowledged() {
                assert!(once.contains(&id), "{id} was acknowledged and is gone");
            }
        }
        common as u64
    }

    /// Ends all nodes.
    pub async fn end(mut self) {
        for place in 0..self.members.len() {
            self.kill(place).await;
        }
    }
}
