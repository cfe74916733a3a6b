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

#[cfg(test)]
mod tests {
    use chain::certificate::{VoteKind, sign_proposal, sign_vote};
    use chain::hash::Hash;
    use chain::identity::{ChainId, ChainName, OrganisationId};
    use chain::key::SecretKey;
    use chain::suite::Suite;
    use chain::validators::Validator;
    use wire::peer::{Proposal, Vote};

    use super::*;

    const SUITE: Suite = Suite::Ed25519Sha256;

    fn chain() -> ChainId {
        ChainId::new(ChainName::new("demo").unwrap(), Hash::of(b"genesis"))
    }

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed([number; 32])
    }

    fn vote(height: u64, block: &str) -> ConsensusMessage {
        let (kind, block_id) = (VoteKind::Precommit, Some(Hash::of(block.as_bytes()).into()));
        let signature = sign_vote(&key(1), &chain(), SUITE, kind, height, 2, block_id.as_ref());
        let voter = *key(1).public().as_bytes();
        ConsensusMessage::Vote(Vote { kind, height, round: 2, block_id, voter, signature })
    }

    fn proposal(number: u8, pol_round: Option<u32>) -> ConsensusMessage {
        let block_id = Hash::of(b"a").into();
        let signature = sign_proposal(&key(number), &chain(), SUITE, 7, 2, pol_round, &block_id);
        let proposer = *key(number).public().as_bytes();
        ConsensusMessage::Proposal(Proposal { height: 7, round: 2, pol_round, block_id, proposer, signature })
    }

    fn proof(first: ConsensusMessage, second: ConsensusMessage) -> Option<equivocation::Equivocation> {
        let organisation = OrganisationId::new("agency").unwrap();
        let set = ValidatorSet::new(vec![Validator { organisation, key: key(1).public(), power: 1 }]).unwrap();
        Equivocation { first, second }.proof(&set)
    }

    #[test]
    fn what_consensus_hands_on_proves_itself_under_the_key_of_the_set() {
        for (first, second, step) in [
            (vote(7, "a"), vote(7, "b"), Step::Precommit),
            (vote(7, "b"), vote(7, "a"), Step::Precommit),
            (proposal(1, None), proposal(1, Some(1)), Step::Proposal),
        ] {
            let proof = proof(first, second).unwrap();
            assert_eq!((proof.validator.as_str(), proof.height, proof.round, proof.kind), ("agency", 7, 2, step));
            assert_eq!(proof.verify(&chain(), SUITE, &key(1).public()), Ok(()));
        }
    }

    #[test]
    fn messages_of_two_places_or_of_a_stranger_prove_nothing() {
        assert_eq!(proof(vote(7, "a"), vote(8, "b")), None);
        assert_eq!(proof(vote(7, "a"), proposal(1, None)), None);
        assert_eq!(proof(proposal(1, None), proposal(2, Some(1))), None);
        assert_eq!(proof(proposal(2, None), proposal(2, Some(1))), None);
    }
}
