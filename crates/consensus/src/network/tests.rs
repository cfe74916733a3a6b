//! What the engine is told of what comes in.

use arc_malachitebft_core_consensus::MAX_FUTURE_ROUND_LOOKAHEAD;
use chain::certificate::{VoteKind, sign_vote};
use chain::hash::Hash;
use chain::identity::ChainId;
use chain::key::SecretKey;
use chain::suite::Suite;
use chain::validators::{Validator, ValidatorSet};
use wire::peer::{KeySignature, RoundCertificate, RoundCertificateKind, RoundSignature, Vote};

use super::*;
use crate::clock::Clock;
use crate::context;
use crate::parts::Scope;

/// The listening side of the first of two validators, and what goes with it.
struct Heard {
    keys: [SecretKey; 2],
    chain: ChainId,
    fanning: Fanning,
    speaking: State,
}

fn heard() -> Heard {
    let chain = ChainId::new("test".parse().unwrap(), Hash::of(b"genesis"));
    let keys = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]));
    let validator =
        |key: &SecretKey, name: &str| Validator { organisation: name.parse().unwrap(), key: key.public(), power: 1 };
    let set = ValidatorSet::new(vec![validator(&keys[0], "one"), validator(&keys[1], "two")]).unwrap();
    let domain = Domain { chain: chain.clone(), suite: Suite::Ed25519Sha256 };
    let scope = Scope { height: 7, validators: context::ValidatorSet::of(&set) };
    let wake = Arc::new(Wake::default());
    let (switch, _ends) = Switch::new([0; 32], domain.clone(), scope, Arc::clone(&wake), Clock::Machine);
    let me = Address::of(&keys[0].public());
    let (speaking, fanning, _said) = sides(switch, wake, domain, Some(me));
    Heard { keys, chain, fanning, speaking }
}

impl Heard {
    fn vote(&self, of: usize, round: u32) -> Vote {
        let (kind, key) = (VoteKind::Precommit, &self.keys[of]);
        let signature = sign_vote(key, &self.chain, Suite::Ed25519Sha256, kind, 7, round, None);
        Vote { kind, height: 7, round, block_id: None, voter: *key.public().as_bytes(), signature }
    }

    /// The precommits of some, as what leads beyond a round.
    fn certificate(&self, of: &[usize], round: u32) -> FrameContent {
        let signatures = of.iter().map(|of| {
            let vote = self.vote(*of, round);
            let by = KeySignature { validator: vote.voter, signature: vote.signature };
            RoundSignature { kind: vote.kind, block_id: None, by }
        });
        let signatures = signatures.collect();
        let kind = RoundCertificateKind::Precommit;
        FrameContent::Liveness(LivenessMessage::Round(RoundCertificate { kind, height: 7, round, signatures }))
    }

    /// What the engine is told of a frame.
    fn told(&mut self, content: FrameContent) -> Vec<Event> {
        self.fanning.inbound(Inbound::Frame([9; 32], Box::new(PeerFrame { origin: [9; 32], content })))
    }
}

#[tokio::test]
async fn what_a_node_is_said_to_have_signed_comes_from_its_own_log_alone() {
    let mut heard = heard();
    let [own, other] = [0, 1].map(|of| heard.told(FrameContent::Consensus(ConsensusMessage::Vote(heard.vote(of, 0)))));
    // Signed in a life of which the disk is lost, it would stand in front of what this life signs.
    assert!(own.is_empty());
    assert!(matches!(&other[..], [NetworkEvent::Vote(..)]), "{other:?}");
}

#[tokio::test]
async fn of_a_round_certificate_with_its_own_vote_a_node_takes_the_votes_of_the_others() {
    let mut heard = heard();
    let voters = |told: &[Event]| -> Option<Vec<Address>> {
        told.iter()
            .map(|event| {
                let NetworkEvent::Vote(_, vote) = event else { return None };
                Some(vote.message.voter)
            })
            .collect()
    };
    let other = Address::of(&heard.keys[1].public());
    let told = heard.told(heard.certificate(&[0, 1], 3));
    assert_eq!(voters(&told), Some(vec![other]));
    let told = heard.told(heard.certificate(&[0], 3));
    assert_eq!(voters(&told), Some(vec![]));
    let told = heard.told(heard.certificate(&[1], 3));
    assert!(matches!(&told[..], [NetworkEvent::RoundCertificate(..)]), "{told:?}");
}

#[tokio::test]
async fn a_round_certificate_from_far_ahead_is_taken_whole() {
    let mut heard = heard();
    let far = MAX_FUTURE_ROUND_LOOKAHEAD + 1;
    let whole = |told: &[Event]| matches!(told, [NetworkEvent::RoundCertificate(..)]);
    assert!(whole(&heard.told(heard.certificate(&[0, 1], far))), "no vote from there would be taken");
    assert!(!whole(&heard.told(heard.certificate(&[0, 1], far - 1))));
    // It comes nearer: what it signs says at which round it is.
    let vote = SignedConsensusMsg::Vote(crate::codec::vote_in(&heard.vote(0, 1)));
    heard.speaking.take(Msg::PublishConsensusMsg(vote)).unwrap();
    assert!(!whole(&heard.told(heard.certificate(&[0, 1], far))));
    assert!(whole(&heard.told(heard.certificate(&[0, 1], far + 1))));
}
