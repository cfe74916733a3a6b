//! What consensus asks of the node around it, and tells it.

use std::time::Duration;

use chain::hash::StatementId;
use replica::replica::{Committed, Dropped, Fault, Tip};
use wire::peer::ConsensusMessage;

/// Two messages that one validator must never have signed both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivocation {
    /// The one that came first.
    pub first: ConsensusMessage,
    /// The other.
    pub second: ConsensusMessage,
}

/// The node around consensus. Everything is called on one thread, and must return soon.
pub trait Host: Send + 'static {
    /// What time it is, ms UTC.
    fn now_ms(&self) -> i64;

    /// Statements turned out to be inadmissible and are out of the mempool.
    fn dropped(&self, dropped: &[(StatementId, Dropped)]);

    /// A block is final: durable, and visible to readers. Only now may anybody be told.
    fn committed(&self, committed: &Committed);

    /// The disk has no room for this; it is tried again.
    fn no_room(&self, operation: &'static str);

    /// What did not fit has fitted.
    fn room(&self);

    /// How long after a block an empty one is due.
    ///
    /// # Errors
    /// A fault of the store.
    fn heartbeat(&mut self, tip: &Tip) -> Result<Duration, Fault>;

    /// Somebody signed two things that exclude each other.
    fn equivocated(&self, equivocation: Equivocation);
}
