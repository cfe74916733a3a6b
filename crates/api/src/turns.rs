//! Taking turns: only so much work at once, and whoever waits is served in turn with the others.
//!
//! Work is done in somebody's name. While there is room nobody waits; when there is none, names are
//! served round-robin, so that one who asks ten times as often as everybody else waits behind
//! nobody but itself, and nobody waits behind it for more than one turn.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use chain::identity::OrganisationId;
use tokio::sync::oneshot;

/// From how many waiting in one name on those are looked for who have gone away.
const SWEEP_FROM: usize = 256;

/// In whose name work is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Name {
    /// The node's own.
    Node,
    /// Somebody who has shown nothing but an address; IPv6 by network.
    Address(IpAddr),
    /// An organisation that has shown who it is.
    Organisation(OrganisationId),
}

/// So many turns at once.
pub(crate) struct Turns {
    inner: Mutex<Inner>,
}

struct Inner {
    /// Turns that nobody has. While there are any, nobody waits.
    free: usize,
    waiting: BTreeMap<Name, VecDeque<oneshot::Sender<Turn>>>,
    /// Whose turn was last.
    last: Option<Name>,
}

/// A turn. Passed on when it is dropped.
pub(crate) struct Turn {
    turns: Option<Arc<Turns>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.pass_on();
        }
    }
}

impl Turns {
    pub(crate) fn new(at_once_max: usize) -> Arc<Self> {
        let inner = Inner { free: at_once_max.max(1), waiting: BTreeMap::new(), last: None };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the turns")
    }

    fn turn(self: &Arc<Self>) -> Turn {
        Turn { turns: Some(Arc::clone(self)) }
    }

    /// Waits for a turn. Whoever stops waiting loses its place and nothing else.
    pub(crate) async fn take(self: &Arc<Self>, name: &Name) -> Turn {
        let receiver = {
            let mut inner = self.inner();
            if inner.free > 0 {
                inner.free -= 1;
                return self.turn();
            }
            let (sender, receiver) = oneshot::channel();
            let queue = inner.waiting.entry(name.clone()).or_default();
            if queue.len() >= SWEEP_FROM {
                queue.retain(|sender| !sender.is_closed());
            }
            queue.push_back(sender);
            receiver
        };
        receiver.await.expect("a queue outlives those who wait in it")
    }

    /// Gives a turn that has ended to whoever is next.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut inner = self.inner();
                let next = inner.next();
                if next.is_none() {
                    inner.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(self.turn()) {
                Ok(()) => return,
                // Gone away. This very turn goes to the next, and not by way of its end.
                Err(mut turn) => turn.turns = None,
            }
        }
    }
}

impl Inner {
    /// The first in the queue of the name after the one that was last.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let after = match &self.last {
            Some(last) => self.waiting.range((Bound::Excluded(last.clone()), Bound::Unbounded)).next(),
            None => None,
        };
        let name = after.or_else(|| self.waiting.first_key_value())?.0.clone();
        let queue = self.waiting.get_mut(&name)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&name);
        }
        self.last = Some(name);
        next
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    fn name(text: &str) -> Name {
        Name::Organisation(OrganisationId::new(text).unwrap())
    }

    type Waiting = Pin<Box<dyn Future<Output = Turn>>>;

    /// Waits in somebody's name, and holds the place.
    async fn waiting(turns: &Arc<Turns>, of: &str) -> Waiting {
        let (turns, name) = (Arc::clone(turns), name(of));
        let mut waiting: Waiting = Box::pin(async move { turns.take(&name).await });
        assert!(polled(&mut waiting).await.is_none());
        waiting
    }

    async fn polled(waiting: &mut Waiting) -> Option<Turn> {
        std::future::poll_fn(|cx| match waiting.as_mut().poll(cx) {
            Poll::Ready(turn) => Poll::Ready(Some(turn)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn one_who_asks_ten_times_as_often_waits_behind_nobody_but_itself() {
        let turns = Turns::new(1);
        let turn = turns.take(&name("hot")).await;
        let mut hot = Vec::new();
        for _ in 0..10 {
            hot.push(waiting(&turns, "hot").await);
        }
        let mut quiet = waiting(&turns, "quiet").await;
        drop(turn);
        let turn = polled(&mut hot[0]).await.expect("it is the first in the order of names");
        drop(turn);
        assert!(polled(&mut hot[1]).await.is_none());
        assert!(polled(&mut quiet).await.is_some(), "behind one turn of the other, not ten");
    }

    #[tokio::test]
    async fn who_goes_away_takes_no_turn_along() {
        let turns = Turns::new(1);
        let turn = turns.take(&Name::Node).await;
        let gone = waiting(&turns, "gone").await;
        let told = waiting(&turns, "told").await;
        let mut last = waiting(&turns, "last").await;
        drop(gone);
        drop(turn);
        let turn = polled(&mut last).await.expect("the one before has gone");
        drop(told);
        drop(turn);
        assert_eq!(turns.inner().free, 1);
        assert!(turns.inner().waiting.is_empty());
    }
}
