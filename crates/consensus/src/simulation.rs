//! A node without threads, sockets and clocks: for simulations, which let a seed decide what happens when.
//!
//! Everything of this room runs here as in a real node, the application, the switch, the parts, the encodings, and under
//! them Malachite's own core. What is played is what Malachite's actors do around that core: timers, the write-ahead log,
//! asking peers for blocks, and that answers of the application take their time. Nothing here waits, asks for the time or
//! draws a random number: whoever drives a node says how much time has passed ([`Time`]), hands it frames and takes what it
//! says.
//!
//! It is no part of a node that serves anybody: nothing of `node` uses it.

mod effects;
mod engine;
mod log;
mod sync;
mod verified;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use replica::port::Store;
use replica::replica::Replica;
use tokio::sync::mpsc;
use wire::peer::{FrameContent, KeyBytes};

use crate::app::Ended;
use crate::host::Host;
use crate::link::{Opened, Outgoing};
use crate::network::{Fan, Fanning};
use crate::start::Parts;
use crate::switch::{Inbound, Shared, Switch};

use engine::Engine;
pub use log::{Log, LogFailed};
pub use verified::Verified;

/// The time of a simulation, which passes when its driver says so. All clones show the same time.
#[derive(Clone, Debug)]
pub struct Time {
    began: Instant,
    passed_us: Arc<AtomicU64>,
}

impl Default for Time {
    fn default() -> Self {
        Self { began: Instant::now(), passed_us: Arc::default() }
    }
}

impl Time {
    /// How much has passed since it began; whole microseconds.
    pub fn passed(&self) -> Duration {
        Duration::from_micros(self.passed_us.load(Ordering::Relaxed))
    }

    /// Lets it pass up to here; it never goes back.
    pub fn pass_to(&self, passed: Duration) {
        let passed_us = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        self.passed_us.fetch_max(passed_us, Ordering::Relaxed);
    }

    pub(crate) fn instant(&self) -> Instant {
        self.began + self.passed()
    }

    fn since_begin(&self, instant: Instant) -> Duration {
        instant.duration_since(self.began)
    }
}

/// Why a node stopped by itself. None of these is a reason to go on with it: it is started again from its disk.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Its write-ahead log could not be written.
    #[error(transparent)]
    Log(#[from] LogFailed),
    /// The application ended.
    #[error(transparent)]
    Application(#[from] Ended),
    /// Malachite's core refused to go on.
    #[error("the consensus core stopped: {0}")]
    Core(String),
}

/// What became necessary, in one life of a node: whoever plans faults sees by it what they reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries of the log that were replayed.
    pub replayed: u64,
    /// Rounds after the first of a height.
    pub rounds: u64,
    /// Blocks that were proposed again in a later round, by this node.
    pub proposed_again: u64,
    /// Blocks that were got from peers who had them decided, and found right.
    pub synced: u64,
}

/// A node.
pub struct Node<S: Store, H: Host> {
    engine: Engine<S, H>,
    switch: Arc<Switch>,
    fanning: Fanning,
    inbound: mpsc::Receiver<Inbound>,
    said: mpsc::UnboundedReceiver<Fan>,
    shared_end: mpsc::Receiver<Shared>,
    shared: Vec<Shared>,
    links: BTreeMap<KeyBytes, Outgoing>,
}

impl<S: Store, H: Host> std::fmt::Debug for Node<S, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("links", &self.links.len()).finish_non_exhaustive()
    }
}

impl<S: Store, H: Host> Node<S, H> {
    /// Starts a node on what its disk holds. Directory and transport of the parts are not used. `verified` and `time` are
    /// those of the simulation; `latency` says how long each answer of the application takes.
    ///
    /// # Errors
    /// It stopped at once.
    pub fn start(
        parts: Parts<S, H>,
        log: Log,
        time: Time,
        verified: Verified,
        latency: impl FnMut() -> Duration + Send + 'static,
    ) -> Result<Self, Stopped> {
        let (mut engine, ends, fanning, said) = engine::assemble(parts, log, time, verified, Box::new(latency));
        engine.begin()?;
        let switch = Arc::clone(&engine.around.app.switch);
        let mut node = Self {
            engine,
            switch,
            fanning,
            inbound: ends.events,
            said,
            shared_end: ends.shared,
            shared: Vec::new(),
            links: BTreeMap::new(),
        };
        node.settle()?;
        Ok(node)
    }

    /// What blocks are built on.
    pub fn replica(&self) -> &Replica<S> {
        &self.engine.around.app.replica
    }

    /// What became necessary since it was started.
    pub fn counts(&self) -> Counts {
        self.engine.around.counts
    }

    /// A stream to a peer is open; one that was open before is replaced.
    ///
    /// # Errors
    /// It stopped.
    pub fn connect(&mut self, peer: KeyBytes) -> Result<(), Stopped> {
        // Neither this nor what follows waits: everything is taken out of the queues each time.
        let opened = self.switch.connected(peer, Opened::ByUs).now_or_never();
        if let Some(Ok((outgoing, _))) = opened {
            self.links.insert(peer, outgoing);
        }
        self.settle()
    }

    /// The stream to a peer has ended.
    ///
    /// # Errors
    /// It stopped.
    pub fn disconnect(&mut self, peer: KeyBytes) -> Result<(), Stopped> {
        if self.links.remove(&peer).is_some() {
            let id = self.switch.link(&peer, Opened::ByUs);
            if let Some(id) = id {
                let _ = self.switch.disconnected(peer, Opened::ByUs, id).now_or_never();
            }
        }
        self.settle()
    }

    /// A frame came from a peer. What is no frame, or not the peer's to say, ends the stream, as it does over a network.
    ///
    /// # Errors
    /// It stopped.
    pub fn hear(&mut self, from: KeyBytes, frame: Bytes) -> Result<(), Stopped> {
        if !self.links.contains_key(&from) {
            return Ok(());
        }
        if let Some(Err(_)) = self.switch.received(from, frame).now_or_never() {
            return self.disconnect(from);
        }
        self.settle()
    }

    /// Does what was due by now.
    ///
    /// # Errors
    /// It stopped.
    pub fn elapse(&mut self) -> Result<(), Stopped> {
        self.engine.elapse()?;
        self.settle()
    }

    /// When something is due next, by the simulation's time.
    pub fn due(&self) -> Option<Duration> {
        self.engine.due()
    }

    /// Frames that it says since it was asked last, and to whom.
    pub fn take_said(&mut self) -> Vec<(KeyBytes, Bytes)> {
        let mut said = Vec::new();
        for (peer, outgoing) in &mut self.links {
            while let Some(Some(frames)) = outgoing.batch().now_or_never() {
                said.extend(frames.into_iter().map(|frame| (*peer, frame)));
            }
        }
        said
    }

    /// Statements that peers shared since it was asked last.
    pub fn take_shared(&mut self) -> Vec<Shared> {
        std::mem::take(&mut self.shared)
    }

    /// Says that a statement waits in the mempool.
    ///
    /// # Errors
    /// It stopped.
    pub fn work(&mut self) -> Result<(), Stopped> {
        self.engine.around.app.wake.work();
        self.settle()
    }

    /// Gives a statement that was taken in here to the other nodes.
    pub fn share(&self, statement: Vec<u8>) {
        self.switch.publish(FrameContent::Statements(vec![statement]));
    }

    /// Passes statements on that a peer shared and that were new here.
    pub fn pass_on(&self, from: KeyBytes, origin: KeyBytes, statements: Vec<Vec<u8>>) {
        self.switch.publish_for(origin, Some(from), FrameContent::Statements(statements));
    }

    /// Lets everything that came in have its effect.
    fn settle(&mut self) -> Result<(), Stopped> {
        loop {
            let mut quiet = true;
            while let Ok(inbound) = self.inbound.try_recv() {
                quiet = false;
                for event in self.fanning.inbound(inbound) {
                    self.engine.event(event)?;
                }
            }
            while let Ok(said) = self.said.try_recv() {
                quiet = false;
                if let Fan::Event(event) = said {
                    self.engine.event(*event)?;
                }
            }
            while let Ok(shared) = self.shared_end.try_recv() {
                self.shared.push(shared);
            }
            self.engine.look_around()?;
            if quiet {
                return Ok(());
            }
        }
    }
}
