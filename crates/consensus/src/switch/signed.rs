//! Whether what comes in is signed by validators: looked at before anything is passed on.

use std::collections::BTreeSet;

use chain::certificate::VoteKind;
use wire::peer::{
    ConsensusMessage, FrameContent, KeySignature, LivenessMessage, PolkaCertificate, RoundCertificate, Vote,
};

use super::{POLKAS_MAX, Switch, height_of, lock};
use crate::codec::{proposal_in, vote_in};
use crate::context::Address;
use crate::parts::Scope;

impl Switch {
    /// Whether every signature in it is a validator's. What bears none is not.
    pub(super) fn is_signed(&self, content: &FrameContent) -> bool {
        match content {
            FrameContent::Consensus(ConsensusMessage::Vote(vote))
            | FrameContent::Liveness(LivenessMessage::Vote(vote)) => self.are_signed([vote.clone()]),
            FrameContent::Consensus(ConsensusMessage::Proposal(proposal)) => {
                let validators = self.scope().validators;
                let key = validators.key(&Address(proposal.proposer));
                key.is_some_and(|key| self.domain.verify_proposal(&proposal_in(proposal), key))
            }
            FrameContent::Liveness(LivenessMessage::Polka(polka)) => self.are_signed(prevotes(polka)),
            FrameContent::Liveness(LivenessMessage::Round(round)) => self.are_signed(votes(round)),
            FrameContent::Part(_)
            | FrameContent::Statements(_)
            | FrameContent::Status(_)
            | FrameContent::Call(..)
            | FrameContent::Answer(..) => false,
        }
    }

    /// Whether this node knows for certain who validates what a frame is about: of other heights others may know better.
    pub(super) fn knows_validators_of(&self, content: &FrameContent) -> bool {
        height_of(content) == Some(self.scope().height)
    }

    fn are_signed(&self, votes: impl IntoIterator<Item = Vote>) -> bool {
        let validators = self.scope().validators;
        let mut votes = votes.into_iter().peekable();
        votes.peek().is_some()
            && votes.all(|vote| {
                let key = validators.key(&Address(vote.voter));
                key.is_some_and(|key| self.domain.verify_vote(&vote_in(&vote), key))
            })
    }

    /// Notes prevotes, each signed, that prove that a block was proposed before.
    pub(super) fn note_polka(&self, polka: &PolkaCertificate) {
        let Scope { height, validators } = self.scope();
        let voters: BTreeSet<Address> = polka.signatures.iter().map(|signed| Address(signed.validator)).collect();
        let mut polkas = lock(&self.polkas);
        if polka.height == height && polkas.len() < POLKAS_MAX && validators.is_quorum(&voters) {
            polkas.insert((polka.round, polka.block_id));
        }
    }
}

fn prevotes(polka: &PolkaCertificate) -> impl Iterator<Item = Vote> {
    polka.signatures.iter().map(|KeySignature { validator, signature }| Vote {
        kind: VoteKind::Prevote,
        height: polka.height,
        round: polka.round,
        block_id: Some(polka.block_id),
        voter: *validator,
        signature: *signature,
    })
}

fn votes(round: &RoundCertificate) -> impl Iterator<Item = Vote> {
    round.signatures.iter().map(|signed| Vote {
        kind: signed.kind,
        height: round.height,
        round: round.round,
        block_id: signed.block_id,
        voter: signed.by.validator,
        signature: signed.by.signature,
    })
}
