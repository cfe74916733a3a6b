//! Waiting for finality: requests wait here for their statements, and the driver wakes them.
//!
//! A statement that goes into the mempool through this door is *expected* until the driver says
//! what became of it. Verdicts of the recent past stay for those who ask later. Everything is
//! bounded; whoever finds no room to wait is told to ask again, never lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chain::hash::StatementId;
use ledger::admission::Rejection;
use replica::replica::{Committed, Dropped};
use tokio::sync::{Semaphore, watch};

/// Statements expected at most; the mempool holds fewer.
const EXPECTED_MAX: usize = 100_000;

/// Verdicts on dropped statements remembered.
const DROPPED_MAX: usize = 10_000;

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is on the ledger, by the newest block or an earlier one.
    Decided,
    /// The same payload had been decided under its nonce: this statement.
    Repeated(StatementId),
    /// It is wrong in itself, by now.
    Rejected(Box<Rejection>),
    /// Executing it failed.
    Quarantined,
    /// The node failed; nobody knows what became of it.
    Fault,
}

/// How waiting ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The statement was decided or dropped.
    Verdict(Verdict),
    /// Not in time, or there is no room to wait.
    Pending,
}

/// A place to wait for one statement.
#[derive(Clone, Debug)]
pub struct Ticket {
    receiver: watch::Receiver<Option<Verdict>>,
}

#[derive(Default)]
struct Inner {
    expected: BTreeMap<StatementId, watch::Sender<Option<Verdict>>>,
    dropped: BTreeMap<StatementId, Verdict>,
    dropped_order: VecDeque<StatementId>,
    fault: bool,
}

/// Where requests wait for their statements.
pub struct Finality {
    waiters: Arc<Semaphore>,
    /// The height that was committed last in this process.
    height: watch::Sender<u64>,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for Finality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let expected = self.inner().expected.len();
        f.debug_struct("Finality").field("expected", &expected).finish_non_exhaustive()
    }
}

impl Finality {
    /// Room for `max_waiters` requests that wait at once.
    pub fn new(max_waiters: usize) -> Self {
        let waiters = Arc::new(Semaphore::new(max_waiters.min(Semaphore::MAX_PERMITS)));
        Self { waiters, height: watch::channel(0).0, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the waiters")
    }

    /// Tells those who wait that a block was committed. Called after the index shows it.
    pub fn committed(&self, committed: &Committed) {
        let mut inner = self.inner();
        for id in &committed.statements {
            inner.tell(id, Verdict::Decided);
        }
        drop(inner);
        self.height.send_replace(committed.height);
    }

    /// Says when a block was committed: for those who follow the ledger as a whole.
    pub(crate) fn heights(&self) -> watch::Receiver<u64> {
        self.height.subscribe()
    }

    /// Tells those who wait that statements left the mempool without a block.
    pub fn dropped(&self, dropped: &[(StatementId, Dropped)]) {
        let mut inner = self.inner();
        for (id, why) in dropped {
            let verdict = match why {
                Dropped::Rejected(rejection) => Verdict::Rejected(rejection.clone()),
                Dropped::Repeated(first) => Verdict::Repeated(*first),
                Dropped::Quarantined => Verdict::Quarantined,
            };
            inner.remember(*id, verdict.clone());
            inner.tell(id, verdict);
        }
    }

    /// Tells everybody that the node failed.
    pub fn fault(&self) {
        let mut inner = self.inner();
        inner.fault = true;
        for (_, sender) in std::mem::take(&mut inner.expected) {
            sender.send_replace(Some(Verdict::Fault));
        }
    }

    /// Expects a statement: called before it goes into the mempool, so that no verdict is missed.
    /// `None` when no more can be expected.
    pub fn expect(&self, id: StatementId) -> Option<Ticket> {
        let mut inner = self.inner();
        if inner.fault {
            let (_, receiver) = watch::channel(Some(Verdict::Fault));
            return Some(Ticket { receiver });
        }
        if let Some(sender) = inner.expected.get(&id) {
            return Some(Ticket { receiver: sender.subscribe() });
        }
        if inner.expected.len() >= EXPECTED_MAX {
            return None;
        }
        inner.forget(&id);
        let (sender, receiver) = watch::channel(None);
        inner.expected.insert(id, sender);
        Some(Ticket { receiver })
    }

    /// No longer expects a statement that the mempool did not take in, unless others wait for it.
    pub(crate) fn withdraw(&self, id: &StatementId, ticket: Ticket) {
        drop(ticket);
        let mut inner = self.inner();
        if inner.expected.get(id).is_some_and(|sender| sender.receiver_count() == 0) {
            inner.expected.remove(id);
        }
    }

    /// Tells those who wait for a statement that it was found on the ledger: nobody else may say so any more.
    pub(crate) fn found(&self, id: &StatementId) {
        self.inner().tell(id, Verdict::Decided);
    }

    /// Whether a statement that came in here still waits.
    pub(crate) fn is_expected(&self, id: &StatementId) -> bool {
        self.inner().expected.contains_key(id)
    }

    /// Why a statement was dropped, if it was not long ago.
    pub(crate) fn dropped_verdict(&self, id: &StatementId) -> Option<Verdict> {
        self.inner().dropped.get(id).cloned()
    }

    /// Waits for the verdict on a statement, no longer than `patience`.
    pub(crate) async fn wait(&self, mut ticket: Ticket, patience: Duration) -> Waited {
        let Ok(_permit) = Arc::clone(&self.waiters).try_acquire_owned() else {
            return Waited::Pending;
        };
        match tokio::time::timeout(patience, ticket.verdict()).await {
            Ok(verdict) => Waited::Verdict(verdict),
            Err(_) => Waited::Pending,
        }
    }
}

impl Ticket {
    /// Whether the statement came onto the ledger, whenever that is known: for who waits in the node's own process.
    pub async fn decided(&mut self) -> bool {
        on_ledger(&self.verdict().await)
    }

    /// The same, if it is known already.
    pub fn decided_by_now(&self) -> Option<bool> {
        self.receiver.borrow().as_ref().map(on_ledger)
    }

    /// The verdict, whenever it comes.
    pub(crate) async fn verdict(&mut self) -> Verdict {
        match self.receiver.wait_for(Option::is_some).await {
            Ok(verdict) => verdict.clone().unwrap_or(Verdict::Fault),
            // The sender went away without a word: the node is going down.
            Err(_) => Verdict::Fault,
        }
    }
}

fn on_ledger(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Decided | Verdict::Repeated(_) => true,
        Verdict::Rejected(_) | Verdict::Quarantined | Verdict::Fault => false,
    }
}

impl Inner {
    fn tell(&mut self, id: &StatementId, verdict: Verdict) {
        if let Some(sender) = self.expected.remove(id) {
            sender.send_replace(Some(verdict));
        }
    }

    fn remember(&mut self, id: StatementId, verdict: Verdict) {
        if self.dropped.insert(id, verdict).is_none() {
            self.dropped_order.push_back(id);
        }
        while self.dropped_order.len() > DROPPED_MAX {
            if let Some(oldest) = self.dropped_order.pop_front() {
                self.dropped.remove(&oldest);
            }
        }
    }

    fn forget(&mut self, id: &StatementId) {
        if self.dropped.remove(id).is_some() {
            self.dropped_order.retain(|known| known != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use chain::block::BlockId;
    use chain::hash::Hash;

    use super::*;

    fn id(text: &str) -> StatementId {
        Hash::of(text.as_bytes()).into()
    }

    fn block(height: u64, statements: Vec<StatementId>) -> Committed {
        let id = BlockId::from(Hash::of(b"block"));
        Committed { height, id, time_ms: 0, statements, events: 1, bytes: 0, organisations: Vec::new() }
    }

    #[tokio::test]
    async fn every_waiter_of_a_statement_hears_of_its_commit() {
        let finality = Finality::new(10);
        let tickets: Vec<_> = (0..3).map(|_| finality.expect(id("a")).unwrap()).collect();
        finality.committed(&block(7, vec![id("a"), id("b")]));
        for ticket in tickets {
            let waited = finality.wait(ticket, Duration::from_secs(60)).await;
            assert_eq!(waited, Waited::Verdict(Verdict::Decided));
        }
        assert!(!finality.is_expected(&id("a")));
    }

    #[tokio::test]
    async fn a_dropped_statement_is_remembered_until_it_is_tried_again() {
        let finality = Finality::new(10);
        let ticket = finality.expect(id("a")).unwrap();
        finality.dropped(&[(id("a"), Dropped::Repeated(id("first")))]);
        let waited = finality.wait(ticket, Duration::from_secs(60)).await;
        assert_eq!(waited, Waited::Verdict(Verdict::Repeated(id("first"))));
        assert_eq!(finality.dropped_verdict(&id("a")), Some(Verdict::Repeated(id("first"))));
        let _ticket = finality.expect(id("a")).unwrap();
        assert_eq!(finality.dropped_verdict(&id("a")), None);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_told_or_beyond_the_limit() {
        let finality = Finality::new(1);
        let ticket = finality.expect(id("a")).unwrap();
        assert_eq!(finality.wait(ticket, Duration::ZERO).await, Waited::Pending);
        let (one, two) = (finality.expect(id("a")).unwrap(), finality.expect(id("a")).unwrap());
        let first = finality.wait(one, Duration::from_secs(60));
        tokio::pin!(first);
        // Polled once, so that it holds the only place.
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
        assert_eq!(finality.wait(two, Duration::from_secs(60)).await, Waited::Pending);
        finality.fault();
        assert_eq!(first.await, Waited::Verdict(Verdict::Fault));
        let late = finality.expect(id("b")).unwrap();
        assert_eq!(finality.wait(late, Duration::from_secs(60)).await, Waited::Verdict(Verdict::Fault));
    }

    #[test]
    fn a_statement_that_was_not_taken_in_is_no_longer_expected() {
        let finality = Finality::new(1);
        let (one, two) = (finality.expect(id("a")).unwrap(), finality.expect(id("a")).unwrap());
        finality.withdraw(&id("a"), one);
        assert!(finality.is_expected(&id("a")));
        finality.withdraw(&id("a"), two);
        assert!(!finality.is_expected(&id("a")));
    }
}
