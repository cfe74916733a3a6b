//! What consensus asks of the node around it, and tells it.

use std::time::Duration;

use chain::equivocation::{self, Signed, Step};
use chain::hash::StatementId;
use chain::validators::ValidatorSet;
use replica::replica::{Committed, Dropped, Fault, Tip};
use wire::peer::{ConsensusMessage, KeyBytes};

/// Two messages that one validator must never have signed both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivocation {
    /// The one that came first.
    pub first: ConsensusMessage,
    /// The other.
    pub second: ConsensusMessage,
}

/// Where a message stands, who signed it, and what it says there.
fn place(message: &ConsensusMessage) -> ((u64, u32, Step), &KeyBytes, Signed) {
    match message {
        ConsensusMessage::Vote(vote) => {
            let signed = Signed { block: vote.block_id, pol_round: None, signature: vote.signature };
            ((vote.height, vote.round, Step::from(vote.kind)), &vote.voter, signed)
        }
        ConsensusMessage::Proposal(it) => {
            let signed = Signed { block: Some(it.block_id), pol_round: it.pol_round, signature: it.signature };
            ((it.height, it.round, Step::Proposal), &it.proposer, signed)
        }
    }
}

impl Equivocation {
    /// The chain's form of it, which anybody verifies; `None` when the two are not of one step of one validator in this
    /// set.
    pub fn proof(&self, validators: &ValidatorSet) -> Option<equivocation::Equivocation> {
        let ((first_at, first_by, first), (second_at, second_by, second)) = (place(&self.first), place(&self.second));
        let mut members = validators.validators().iter();
        let accused = members.find(|validator| validator.key.as_bytes() == first_by)?;
        let same = first_at == second_at && first_by == second_by;
        same.then(|| equivocation::Equivocation::new(accused.organisation.clone(), first_at, first, second))
    }
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
