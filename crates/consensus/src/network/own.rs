//! What this validator signed itself, and what others say that it signed.
//!
//! What it signed it has in its own log. A validator that lost its disk may have signed other things before: in its new
//! log, in front of its new votes, those would keep it from ever starting again at that height. So nothing that carries
//! its key is taken from others, neither alone nor inside of a round certificate.

use std::sync::{Arc, Mutex};

use arc_malachitebft_core_consensus::{MAX_FUTURE_ROUND_LOOKAHEAD, SignedConsensusMsg};
use arc_malachitebft_core_types::{RoundCertificate, SignedVote};

use super::lock;
use crate::context::{Address, Context, Height};

/// What a validator signed itself: shared by the side that speaks for the engine and the side that listens for it.
#[derive(Clone)]
pub(super) struct Own {
    /// The validator that this node is.
    me: Option<Address>,
    /// Of which height and round it signed something last.
    last: Arc<Mutex<(Height, i64)>>,
}

impl Own {
    pub(super) fn new(me: Option<Address>) -> Self {
        Self { me, last: Arc::default() }
    }

    /// The engine sends what it signed, at its round.
    pub(super) fn signed(&self, message: &SignedConsensusMsg<Context>) {
        let (height, round) = match message {
            SignedConsensusMsg::Vote(vote) => (vote.message.height, vote.message.round),
            SignedConsensusMsg::Proposal(proposal) => (proposal.message.height, proposal.message.round),
        };
        *lock(&self.last) = (height, round.as_i64());
    }

    /// Whether this node itself is said to have signed something that comes from others.
    pub(super) fn is(&self, signer: &Address) -> bool {
        self.me.as_ref() == Some(signer)
    }

    /// The votes of others in a round certificate that has one of this validator's. One by one they lead to the same round
    /// as the certificate, with the vote that is in this validator's log, or that it gives when it is there. Nothing if the
    /// certificate has none of its votes, or if it leads so far ahead that the engine takes no single vote from there:
    /// then it is taken whole, for whoever is kept out of a round may hold up all others.
    pub(super) fn votes_of_others(&self, certificate: &RoundCertificate<Context>) -> Option<Vec<SignedVote<Context>>> {
        let (height, round) = *lock(&self.last);
        let here = if height == certificate.height { round } else { 0 };
        let near = certificate.round.as_i64() <= here.saturating_add(i64::from(MAX_FUTURE_ROUND_LOOKAHEAD));
        let votes = certificate.votes(&Context);
        let (own, others): (Vec<_>, Vec<_>) = votes.partition(|vote| self.is(&vote.message.voter));
        (near && !own.is_empty()).then_some(others)
    }
}
