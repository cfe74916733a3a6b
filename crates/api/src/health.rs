//! How the node is, as its driver says and its health routes show.

use std::sync::{Mutex, MutexGuard};

use crate::views::ConsensusView;

/// How far a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it has come up to the tip of the chain.
    pub caught_up: bool,
    /// The height it has committed.
    pub height: u64,
    /// The node's time of the last commit, ms UTC.
    pub last_commit_ms: i64,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// Why nothing is written for want of room on the disk, while that is so. For operators; clients never see it.
    pub no_room: Option<String>,
    /// Why no block can be decided, while that is so: too few validators are in reach.
    pub no_quorum: Option<String>,
    /// How the node stands with the others, where there are any.
    pub consensus: Option<ConsensusView>,
    /// What went wrong, once and for all. For operators; clients never see it.
    pub fault: Option<String>,
}

/// The health of a node, shared between its driver and the door.
#[derive(Debug, Default)]
pub struct Health {
    readiness: Mutex<Readiness>,
}

impl Health {
    /// The health of a node that has just begun: alive, not caught up.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Readiness> {
        self.readiness.lock().expect("nothing panics while it holds the health")
    }

    /// Says whether the node has come up to the tip of the chain.
    pub fn caught_up(&self, caught_up: bool) {
        self.lock().caught_up = caught_up;
    }

    /// Says that a block was committed, and when by the node's clock (ms UTC).
    pub fn committed(&self, height: u64, now_ms: i64) {
        let mut readiness = self.lock();
        readiness.height = height;
        readiness.last_commit_ms = now_ms;
    }

    /// Says that nothing is written for want of room, until [`Health::room`]. Reads go on; whoever writes is told to
    /// come back. The text is for operators. Gives whether that is news, which is worth a line in the log.
    pub fn no_room(&self, why: impl Into<String>) -> bool {
        self.lock().no_room.replace(why.into()).is_none()
    }

    /// Says that there is room again. Gives whether that is news.
    pub fn room(&self) -> bool {
        self.lock().no_room.take().is_some()
    }

    /// Says how the node stands with the others, and why no block can be decided, if that is so.
    pub fn consensus(&self, view: ConsensusView, no_quorum: Option<String>) {
        let mut readiness = self.lock();
        readiness.consensus = Some(view);
        readiness.no_quorum = no_quorum;
    }

    /// Says that the node stops in order.
    pub fn stopping(&self) {
        self.lock().stopping = true;
    }

    /// Says that the node failed and stops. The text is for operators.
    pub fn fault(&self, what: impl Into<String>) {
        self.lock().fault = Some(what.into());
    }

    /// How the node is now.
    pub fn readiness(&self) -> Readiness {
        self.lock().clone()
    }
}
