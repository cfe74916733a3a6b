//! What the engine is told of what comes in.

use chain::certificate::{VoteKind, sign_vote};
use chain::hash::Hash;
use chain::identity::ChainId;
use chain::key::SecretKey;
use chain::suite::Suite;
use chain::validators::{Validator, ValidatorSet};
use wire::peer::Vote;

use super::*;
use crate::clock::Clock;
use crate::context;
use crate::parts::Scope;

#[tokio::test]
async fn what_a_node_is_said_to_have_signed_comes_from_its_own_log_alone() {
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
    let (_state, mut fanning, _said) = sides(switch, wake, domain, Some(me));
    let heard = keys.each_ref().map(|key| {
        let kind = VoteKind::Precommit;
        let signature = sign_vote(key, &chain, Suite::Ed25519Sha256, kind, 7, 0, None);
        let voter = *key.public().as_bytes();
        let vote = Vote { kind, height: 7, round: 0, block_id: None, voter, signature };
        let content = FrameContent::Consensus(ConsensusMessage::Vote(vote));
        fanning.inbound(Inbound::Frame([9; 32], Box::new(PeerFrame { origin: [9; 32], content }))).len()
    });
    // Signed in a life of which the disk is lost, it would stand in front of what this life signs.
    assert_eq!(heard, [0, 1]);
}
