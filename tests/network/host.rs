//! The node around consensus, as far as a test needs one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chain::equivocation;
use chain::hash::StatementId;
use consensus::{Equivocation, Host};
use replica::memory::MemoryStore;
use replica::query::Query;
use replica::replica::{Committed, Dropped, Fault, Tip};
use tokio::sync::{mpsc, watch};

use super::{Clock, PATIENCE};

/// What a node has said.
#[derive(Debug)]
pub struct Seen {
    height: watch::Sender<u64>,
    committed: Mutex<BTreeSet<StatementId>>,
    /// Pairs of messages that exclude each other.
    pub equivocations: Mutex<Vec<Equivocation>>,
    /// Why consensus ended, when it did so by itself.
    pub ended: Mutex<Option<String>>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            height: watch::Sender::new(0),
            committed: Mutex::default(),
            equivocations: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// Everything it said was final.
    pub fn acknowledged(&self) -> Vec<StatementId> {
        self.committed.lock().unwrap().iter().copied().collect()
    }

    /// The height it said last.
    pub fn height(&self) -> u64 {
        *self.height.borrow()
    }

    async fn wait(&self, what: &str, there: impl Fn(&Self) -> bool) {
        let mut height = self.height.subscribe();
        let until = tokio::time::Instant::now() + PATIENCE;
        while !there(self) {
            let changed = tokio::time::timeout_at(until, height.changed()).await;
            assert!(changed.is_ok(), "waited in vain for {what}: height {}, ended {:?}", self.height(), self.ended);
        }
    }

    /// Waits until it has said a height.
    pub async fn reach(&self, height: u64) {
        self.wait(&format!("height {height}"), |seen| seen.height() >= height).await;
    }

    /// Waits until something holds, looked at after each height that it says.
    pub async fn until(&self, what: &str, there: impl Fn() -> bool) {
        self.wait(what, |_| there()).await;
    }

    /// Waits until it has said that a statement is final.
    pub async fn commit(&self, id: StatementId) {
        self.wait(&format!("statement {id}"), |seen| seen.committed.lock().unwrap().contains(&id)).await;
    }
}

/// A node, as consensus knows it.
pub struct TestHost {
    pub(super) clock: Arc<Clock>,
    pub(super) seen: Arc<Seen>,
    pub(super) heartbeat: Duration,
    pub(super) query: Query<MemoryStore>,
    /// Whoever reports what was seen.
    pub(super) reports: mpsc::UnboundedSender<equivocation::Equivocation>,
}

impl Host for TestHost {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn dropped(&self, _: &[(StatementId, Dropped)]) {}

    fn committed(&self, committed: &Committed) {
        self.seen.committed.lock().unwrap().extend(&committed.statements);
        self.seen.height.send_replace(committed.height);
    }

    fn no_room(&self, operation: &'static str) {
        panic!("memory has no room for {operation}");
    }

    fn room(&self) {}

    fn heartbeat(&mut self, _: &Tip) -> Result<Duration, Fault> {
        Ok(self.heartbeat)
    }

    fn equivocated(&self, equivocation: Equivocation) {
        let proof = equivocation.proof(&self.query.tip().validators).expect("both are of one step of one validator");
        self.seen.equivocations.lock().unwrap().push(equivocation);
        // Nobody listens on an observer, or when the node ends.
        let _ = self.reports.send(proof);
    }
}
