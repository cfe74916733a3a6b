//! What is passed on, to whom, and what is not.

use chain::certificate::VoteKind;
use chain::key::{SecretKey, Signature};
use chain::suite::Suite;
use wire::peer::{BlocksRequest, KeySignature, PolkaCertificate, Vote};

use super::*;
use crate::context::ValidatorSet;

fn key(number: u8) -> KeyBytes {
    [number; 32]
}

fn chain() -> chain::identity::ChainId {
    chain::identity::ChainId::new("test".parse().unwrap(), Hash::of(b"genesis"))
}

fn set() -> ValidatorSet {
    let validator =
        chain::validators::Validator { organisation: "agency".parse().unwrap(), key: validator().public(), power: 1 };
    ValidatorSet::of(&chain::validators::ValidatorSet::new(vec![validator]).unwrap())
}

fn switch() -> (Arc<Switch>, Ends) {
    let domain = Domain { chain: chain(), suite: Suite::Ed25519Sha256 };
    let scope = Scope { height: 7, validators: set() };
    Switch::new(key(0), domain, scope, Arc::new(Wake::default()), Clock::Machine)
}

/// The one validator's key.
fn validator() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

/// A vote by the validator.
fn vote(height: u64) -> FrameContent {
    let (kind, secret) = (VoteKind::Prevote, validator());
    let signature = chain::certificate::sign_vote(&secret, &chain(), Suite::Ed25519Sha256, kind, height, 0, None);
    said(Vote { kind, height, round: 0, block_id: None, voter: *secret.public().as_bytes(), signature })
}

fn said(vote: Vote) -> FrameContent {
    FrameContent::Consensus(ConsensusMessage::Vote(vote))
}

fn frame(origin: u8, content: FrameContent) -> Bytes {
    wire::encode(&PeerFrame { origin: key(origin), content }).into()
}

/// What a peer was sent, without waiting.
fn sent(outgoing: &mut Outgoing) -> usize {
    let mut count = 0;
    while outgoing.is_waiting() {
        let batch = futures_util::FutureExt::now_or_never(outgoing.batch());
        count += batch.flatten().map_or(0, |frames| frames.len());
    }
    count
}

#[test]
fn calls_while_an_earlier_one_stands_are_told_of_once_a_minute() {
    let now = Instant::now();
    let mut peer = Peer::new(now);
    let mut told = |now| (0..20).filter(|_| peer.calls_again_and_again(now)).count();
    assert_eq!((told(now), told(now), told(now + CALLS_AGAIN_WITHIN * 2)), (1, 0, 1));
    let broken_line = |peer: &mut Peer| peer.calls_again_and_again(now);
    assert!((1..CALLS_AGAIN_MAX).all(|_| !broken_line(&mut Peer::new(now))));
}

#[tokio::test]
async fn what_is_new_goes_to_all_but_its_origin_and_who_sent_it_and_only_once() {
    let (switch, mut ends) = switch();
    let mut peers = Vec::new();
    for number in 1..=4 {
        peers.push(switch.connected(key(number), Opened::ByThem).await.unwrap());
    }
    let bytes = frame(1, vote(7));
    switch.received(key(2), bytes.clone()).await.unwrap();
    switch.received(key(3), bytes).await.unwrap();
    let counts: Vec<usize> = peers.iter_mut().map(|(outgoing, _)| sent(outgoing)).collect();
    assert_eq!(counts, [0, 0, 1, 1], "1 said it and 2 passed it on");
    let mut taken = 0;
    while let Ok(event) = ends.events.try_recv() {
        taken += usize::from(matches!(event, Inbound::Frame(..)));
    }
    assert_eq!(taken, 1, "the engine hears it once");
}

#[tokio::test]
async fn neighbours_of_the_origin_are_spared() {
    let (switch, _ends) = switch();
    let mut peers = Vec::new();
    for number in 1..=3 {
        peers.push(switch.connected(key(number), Opened::ByThem).await.unwrap());
    }
    let status = PeerStatus { tip_height: 6, min_height: 1, neighbours: vec![key(1), key(2)] };
    switch.received(key(3), frame(3, FrameContent::Status(status))).await.unwrap();
    switch.received(key(1), frame(1, vote(7))).await.unwrap();
    let counts: Vec<usize> = peers.iter_mut().map(|(outgoing, _)| sent(outgoing)).collect();
    assert_eq!(counts, [0, 1, 0]);
    assert_eq!(switch.claimed_at(), 6);
    let (_, incoming) = peers.swap_remove(2);
    incoming.end().await;
    assert_eq!(switch.claimed_at(), 0, "who is gone claims nothing");
}

#[tokio::test]
async fn what_is_for_neighbours_alone_is_nobody_elses_to_say() {
    let (switch, _ends) = switch();
    let (_outgoing, mut incoming) = switch.connected(key(1), Opened::ByThem).await.unwrap();
    let call = FrameContent::Call(1, BlocksRequest { first_height: 1, last_height: 1 });
    assert!(matches!(incoming.take(vec![frame(2, call.clone())]).await, Err(Refused::NotItsOwn)));
    assert!(incoming.take(vec![frame(1, call)]).await.is_ok());
    assert!(matches!(incoming.take(vec![Bytes::from_static(b"\xff")]).await, Err(Refused::Frame(_))));
    let many = vec![frame(1, vote(7)); wire::peer::FRAMES_MAX + 1];
    assert!(matches!(incoming.take(many).await, Err(Refused::TooMany)));
}

#[tokio::test]
async fn heights_that_are_far_away_take_up_no_room() {
    let (switch, mut ends) = switch();
    let (_one, _other) = (switch.connected(key(1), Opened::ByThem).await, switch.connected(key(2), Opened::ByUs).await);
    for height in [0, 5, 18, u64::MAX] {
        switch.received(key(1), frame(1, vote(height))).await.unwrap();
    }
    for height in [6, 7, 17] {
        switch.received(key(1), frame(1, vote(height))).await.unwrap();
    }
    let mut taken = Vec::new();
    while let Ok(event) = ends.events.try_recv() {
        if let Inbound::Frame(_, frame) = event {
            taken.extend(height_of(&frame.content));
        }
    }
    assert_eq!(taken, [6, 7, 17]);
}

#[tokio::test]
async fn only_what_a_validator_has_signed_shows_that_validators_work_at_a_height() {
    let (switch, _ends) = switch();
    let _stream = switch.connected(key(1), Opened::ByThem).await;
    let secret = SecretKey::from_seed([1; 32]);
    let suite = Suite::Ed25519Sha256;
    let signed = |height: u64, voter: [u8; 32]| {
        let kind = VoteKind::Prevote;
        let signature = chain::certificate::sign_vote(&secret, &chain(), suite, kind, height, 0, None);
        let vote = Vote { kind, height, round: 0, block_id: None, voter, signature };
        frame(1, FrameContent::Consensus(ConsensusMessage::Vote(vote)))
    };
    switch.received(key(1), signed(9, [7; 32])).await.unwrap();
    assert_eq!(switch.wake.signed_at(), 0, "no member");
    switch.received(key(1), signed(8, *secret.public().as_bytes())).await.unwrap();
    assert_eq!(switch.wake.signed_at(), 8);
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_frames_and_nobody_else_does() {
    let (switch, _ends) = switch();
    let (mut slow, _in) = switch.connected(key(1), Opened::ByThem).await.unwrap();
    let statements = || FrameContent::Statements(vec![vec![b'x'; 1024 * 1024]]);
    for _ in 0..40 {
        switch.publish(statements());
    }
    let view = switch.views().into_iter().find(|view| view.key == key(1)).unwrap();
    assert!(view.dropped >= 10, "some 24 MiB wait for it at most: {} were dropped", view.dropped);
    let waited = sent(&mut slow);
    assert_eq!(u64::try_from(waited).unwrap() + view.dropped, 40);
    switch.publish(statements());
    assert_eq!(sent(&mut slow), 1, "when it reads again there is room again");
}

#[tokio::test]
async fn a_stream_that_was_replaced_takes_nothing_with_it_when_it_ends() {
    let (switch, _ends) = switch();
    let (_old_out, mut old) = switch.connected(key(1), Opened::ByThem).await.unwrap();
    let (_new_out, mut new) = switch.connected(key(1), Opened::ByThem).await.unwrap();
    assert!(matches!(old.take(vec![frame(1, vote(7))]).await, Err(Refused::Replaced)));
    assert!(new.take(vec![frame(1, vote(7))]).await.is_ok());
    old.end().await;
    assert_eq!(switch.neighbours(), [key(1)]);
    new.end().await;
    assert!(switch.neighbours().is_empty());
}

#[tokio::test]
async fn a_polka_counts_when_a_quorum_has_signed_it() {
    let (switch, _ends) = switch();
    let _stream = switch.connected(key(1), Opened::ByThem).await;
    let secret = SecretKey::from_seed([1; 32]);
    let (suite, block_id) = (Suite::Ed25519Sha256, BlockId::from(Hash::of(b"block")));
    let polka = |height: u64, signers: &[&SecretKey]| {
        let signature = |signer: &&SecretKey| KeySignature {
            validator: *signer.public().as_bytes(),
            signature: chain::certificate::sign_vote(
                signer,
                &chain(),
                suite,
                VoteKind::Prevote,
                height,
                2,
                Some(&block_id),
            ),
        };
        let signatures = signers.iter().map(signature).collect();
        let polka = PolkaCertificate { height, round: 2, block_id, signatures };
        frame(1, FrameContent::Liveness(LivenessMessage::Polka(polka)))
    };
    let stranger = SecretKey::from_seed([2; 32]);
    for wrong in [polka(7, &[]), polka(7, &[&stranger]), polka(7, &[&secret, &stranger])] {
        assert!(matches!(switch.received(key(1), wrong).await, Err(Refused::NotSigned)));
        assert!(!switch.has_polka(2, &block_id));
    }
    for other in [polka(8, &[&stranger]), polka(8, &[&secret])] {
        switch.received(key(1), other).await.unwrap();
        assert!(!switch.has_polka(2, &block_id));
    }
    switch.received(key(1), polka(7, &[&secret])).await.unwrap();
    assert!(switch.has_polka(2, &block_id) && !switch.has_polka(1, &block_id));
    switch.started(Scope { height: 8, validators: set() });
    assert!(!switch.has_polka(2, &block_id), "it was of height 7");
}

#[tokio::test]
async fn what_no_validator_has_signed_is_passed_on_to_nobody() {
    let (switch, mut ends) = switch();
    let (mut other, _in) = switch.connected(key(2), Opened::ByThem).await.unwrap();
    let _liar = switch.connected(key(1), Opened::ByThem).await.unwrap();
    let forged = |height: u64, voter: [u8; 32]| {
        let (kind, signature) = (VoteKind::Precommit, Signature::from_bytes([3; 64]));
        said(Vote { kind, height, round: 0, block_id: None, voter, signature })
    };
    let member = *validator().public().as_bytes();
    for voter in [member, [9; 32]] {
        let refused = switch.received(key(1), frame(3, forged(7, voter))).await;
        assert!(matches!(refused, Err(Refused::NotSigned)), "of this height everybody knows who validates it");
        switch.received(key(1), frame(3, forged(8, voter))).await.unwrap();
    }
    assert_eq!(sent(&mut other), 0);
    while let Ok(event) = ends.events.try_recv() {
        assert!(!matches!(event, Inbound::Frame(..)), "the engine hears nothing of it");
    }
}

#[tokio::test]
async fn a_stream_that_was_given_up_on_while_it_began_is_not_open() {
    let (switch, mut ends) = switch();
    // Nobody reads, so that who connects must wait.
    for number in 0..EVENTS_MAX {
        let place = u8::try_from(number % 200).unwrap();
        let event = Inbound::Down(key(place));
        switch.events.try_send(event).unwrap();
    }
    let begun = futures_util::FutureExt::now_or_never(switch.connected(key(1), Opened::ByThem));
    assert!(begun.is_none(), "it waits, and is given up on");
    while ends.events.try_recv().is_ok() {}
    loop {
        let Some(Inbound::Down(peer)) = ends.events.recv().await else { panic!("it only goes") };
        if peer == key(1) {
            break;
        }
    }
    assert!(switch.neighbours().is_empty());
}
