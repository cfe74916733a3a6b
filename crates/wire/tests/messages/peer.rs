//! What peers send each other: every message comes back, keeps its bytes, and is refused when it is wrong.

use std::fmt::Debug;

use chain::block::BLOCK_BYTES_MAX;
use chain::certificate::VoteKind;
use chain::key::Signature;
use proptest::collection::vec;
use proptest::prelude::*;
use wire::peer::{
    BLOCKS_MAX, BlocksRequest, BlocksResponse, ConsensusMessage, DecidedBlock, FRAME_STATEMENTS_MAX, FrameContent,
    KeySignature, LivenessMessage, PART_BYTES_MAX, PartContent, PeerFrame, PeerStatus, PolkaCertificate, Proposal,
    ProposalPart, ProposedValue, RoundCertificate, RoundCertificateKind, RoundSignature, STATEMENT_BYTES_MAX, Vote,
};
use wire::{Portable, decode, encode, generated};

use super::golden::line;
use super::hostile::{MALFORMED, MISSING, TOO_MANY, refuse};
use super::values;

/// One line a message, as in the golden file of the chain.
const GOLDEN: &str = include_str!("../../golden/peer.txt");

fn signature(number: u8) -> Signature {
    Signature::from_bytes([number; 64])
}

fn vote() -> Vote {
    let block_id = Some(values::digest(3).into());
    Vote { kind: VoteKind::Precommit, height: 7, round: 2, block_id, voter: [5; 32], signature: signature(6) }
}

fn proposal() -> Proposal {
    let block_id = values::digest(3).into();
    Proposal { height: 7, round: 2, pol_round: Some(1), block_id, proposer: [5; 32], signature: signature(6) }
}

fn signed(number: u8) -> KeySignature {
    KeySignature { validator: [number; 32], signature: signature(number) }
}

fn polka(count: u8) -> PolkaCertificate {
    let signatures = (0..count).map(signed).collect();
    PolkaCertificate { height: 7, round: 2, block_id: values::digest(3).into(), signatures }
}

fn round(count: u8) -> RoundCertificate {
    let nil = |number| RoundSignature { kind: VoteKind::Prevote, block_id: None, by: signed(number) };
    let block = |number| RoundSignature {
        kind: VoteKind::Precommit,
        block_id: Some(values::digest(number).into()),
        by: signed(number),
    };
    let signatures = (0..count).flat_map(|number| [nil(number), block(number)]).collect();
    RoundCertificate { kind: RoundCertificateKind::Skip, height: 7, round: 2, signatures }
}

fn part(sequence: u64, content: PartContent) -> ProposalPart {
    ProposalPart { stream: vec![1; 32], sequence, content }
}

fn decided() -> DecidedBlock {
    DecidedBlock { block: vec![8; 100], certificate: values::certificate(2) }
}

fn status() -> PeerStatus {
    PeerStatus { tip_height: 9, min_height: 1, neighbours: vec![[5; 32], [6; 32]] }
}

fn proposed() -> ProposedValue {
    let block_id = values::digest(3).into();
    ProposedValue { height: 7, round: 2, valid_round: Some(1), proposer: [5; 32], block_id, valid: true }
}

fn frame(content: FrameContent) -> PeerFrame {
    PeerFrame { origin: [4; 32], content }
}

fn frames() -> [PeerFrame; 7] {
    [
        frame(FrameContent::Consensus(ConsensusMessage::Vote(vote()))),
        frame(FrameContent::Liveness(LivenessMessage::Polka(polka(2)))),
        frame(FrameContent::Part(part(1, PartContent::Data(vec![9; 5])))),
        frame(FrameContent::Statements(vec![b"one".to_vec(), b"two".to_vec()])),
        frame(FrameContent::Status(status())),
        frame(FrameContent::Call(8, BlocksRequest { first_height: 3, last_height: 9 })),
        frame(FrameContent::Answer(8, BlocksResponse { first_height: 3, blocks: vec![decided()] })),
    ]
}

#[test]
fn the_bytes_of_every_message_stay() {
    let lines = [
        line(&vote()),
        line(&Vote { block_id: None, kind: VoteKind::Prevote, ..vote() }),
        line(&proposal()),
        line(&Proposal { pol_round: None, ..proposal() }),
        line(&ConsensusMessage::Vote(vote())),
        line(&ConsensusMessage::Proposal(proposal())),
        line(&LivenessMessage::Vote(vote())),
        line(&LivenessMessage::Polka(polka(2))),
        line(&LivenessMessage::Round(round(1))),
        line(&part(0, PartContent::Start { proposal: proposal(), block_bytes: 1_000 })),
        line(&part(1, PartContent::Data(vec![9; 5]))),
        line(&part(2, PartContent::End)),
        line(&status()),
        line(&proposed()),
        line(&BlocksRequest { first_height: 3, last_height: 9 }),
        line(&BlocksResponse { first_height: 3, blocks: vec![decided()] }),
    ];
    let lines = lines.concat() + &frames().iter().map(line).collect::<String>();
    assert_eq!(lines, GOLDEN, "the messages are now:\n{lines}");
}

#[test]
fn what_is_for_neighbours_alone_is_not_passed_on() {
    let gossip = frames().map(|frame| frame.content.is_gossip());
    assert_eq!(gossip, [true, true, true, true, false, false, false]);
}

fn check<T: Portable + PartialEq + Debug>(value: &T) {
    assert_eq!(decode::<T>(&encode(value)).as_ref(), Ok(value));
}

#[test]
fn the_largest_messages_fit() {
    check(&polka(128));
    check(&LivenessMessage::Round(round(128)));
    check(&part(u64::MAX, PartContent::Data(vec![7; PART_BYTES_MAX])));
    let largest = DecidedBlock { block: vec![0; BLOCK_BYTES_MAX], certificate: values::certificate(128) };
    check(&largest);
    let mut blocks = vec![decided(); BLOCKS_MAX - 1];
    blocks.push(largest);
    let response = BlocksResponse { first_height: u64::MAX - 64, blocks };
    check(&frame(FrameContent::Answer(u64::MAX, response.clone())));
    check(&response);
    check(&frame(FrameContent::Statements(vec![vec![b'x'; STATEMENT_BYTES_MAX]])));
    check(&frame(FrameContent::Statements(vec![vec![b'x'; 1_024]; FRAME_STATEMENTS_MAX])));
    check(&PeerStatus { neighbours: vec![[1; 32]; 256], ..status() });
    assert_eq!(STATEMENT_BYTES_MAX, chain::statement::Limits::default().statement_bytes_max);
}

prop_compose! {
    fn any_vote()(
        precommit in any::<bool>(),
        height in any::<u64>(),
        round in any::<u32>(),
        block_id in prop::option::of(any::<u8>()),
        voter in any::<[u8; 32]>(),
        signed in any::<u8>(),
    ) -> Vote {
        let kind = if precommit { VoteKind::Precommit } else { VoteKind::Prevote };
        let block_id = block_id.map(|number| values::digest(number).into());
        Vote { kind, height, round, block_id, voter, signature: signature(signed) }
    }
}

proptest! {
    #[test]
    fn votes_and_proposals_come_back(vote in any_vote(), before in prop::option::of(0..4_u32)) {
        check(&vote);
        check(&ConsensusMessage::Vote(vote.clone()));
        check(&LivenessMessage::Vote(vote));
        let proposal = Proposal { round: 4, pol_round: before, ..proposal() };
        check(&proposal);
        check(&ConsensusMessage::Proposal(proposal.clone()));
        check(&part(3, PartContent::Start { proposal, block_bytes: BLOCK_BYTES_MAX }));
    }

    #[test]
    fn nothing_that_a_stranger_sends_brings_the_program_down(
        bytes in vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        decode_as_everything(&bytes);
        let start = part(0, PartContent::Start { proposal: proposal(), block_bytes: 1_000 });
        let round = LivenessMessage::Round(round(2));
        let response = BlocksResponse { first_height: 3, blocks: vec![decided()] };
        let others = frames().map(|frame| encode(&frame));
        for mut bytes in [encode(&start), encode(&round), encode(&response)].into_iter().chain(others) {
            let place = at.index(bytes.len());
            bytes[place] ^= flip;
            decode_as_everything(&bytes);
        }
    }
}

/// What is decoded must come back from its own encoding.
fn decode_as_everything(bytes: &[u8]) {
    fn again<T: Portable + PartialEq + Debug>(bytes: &[u8]) {
        if let Ok(value) = decode::<T>(bytes) {
            assert_eq!(decode::<T>(&encode(&value)), Ok(value));
        }
    }
    again::<ConsensusMessage>(bytes);
    again::<LivenessMessage>(bytes);
    again::<ProposalPart>(bytes);
    again::<PeerStatus>(bytes);
    again::<BlocksRequest>(bytes);
    again::<BlocksResponse>(bytes);
    again::<ProposedValue>(bytes);
    again::<PeerFrame>(bytes);
}

#[test]
fn a_wrong_field_is_named() {
    refuse(&vote(), |m| m.kind = 0, [MALFORMED, "kind", "a kind of vote", "0"]);
    refuse(&vote(), |m| m.block_id = Some(vec![1; 31]), [MALFORMED, "block_id", "32 bytes", "31 bytes"]);
    refuse(&vote(), |m| m.voter.push(0), [MALFORMED, "voter", "32 bytes", "33 bytes"]);
    refuse(&proposal(), |m| m.pol_round = Some(2), [MALFORMED, "pol_round", "a round before 2", "2"]);
    let empty = |m: &mut generated::ConsensusMessage| m.message = None;
    refuse(&ConsensusMessage::Vote(vote()), empty, [MISSING, "message", "a vote or a proposal", "nothing"]);
    let crowd = |m: &mut generated::PolkaCertificate| m.signatures = vec![generated::CommitSignature::default(); 129];
    refuse(&polka(1), crowd, [TOO_MANY, "signatures", "at most 128 entries", "129 entries"]);
    refuse(&round(1), |m| m.kind = 9, [MALFORMED, "kind", "a kind of round certificate", "9"]);
    let start = part(0, PartContent::Start { proposal: proposal(), block_bytes: 1 });
    let large = |m: &mut generated::ProposalPart| {
        if let Some(generated::proposal_part::Content::Start(start)) = &mut m.content {
            start.block_bytes = u64::MAX;
        }
    };
    let limit = format!("at most {BLOCK_BYTES_MAX} bytes");
    refuse(&start, large, [MALFORMED, "start.block_bytes", &limit, &format!("{} bytes", u64::MAX)]);
    refuse(&start, |m| m.stream.push(1), [MALFORMED, "stream", "at most 32 bytes", "33 bytes"]);
    let request = BlocksRequest { first_height: 3, last_height: 3 };
    let expected = format!("a height from 3 on, {BLOCKS_MAX} blocks at most");
    refuse(&request, |m| m.last_height = 2, [MALFORMED, "last_height", &expected, "2"]);
    refuse(&request, |m| m.last_height = 67, [MALFORMED, "last_height", &expected, "67"]);
    let response = BlocksResponse { first_height: 3, blocks: vec![decided()] };
    let uncertified = |m: &mut generated::BlocksResponse| m.blocks[0].certificate = None;
    let path = "blocks[0].certificate";
    refuse(&response, uncertified, [MISSING, path, "the certificate that decided it", "nothing"]);
}

#[test]
fn a_wrong_field_of_a_frame_is_named() {
    let [consensus, .., status, call, answer] = frames();
    refuse(&consensus, |m| m.origin.truncate(31), [MALFORMED, "origin", "32 bytes", "31 bytes"]);
    let expected = "a message, a part, statements, a status, a call or an answer";
    refuse(&consensus, |m| m.content = None, [MISSING, "content", expected, "nothing"]);
    let asks_nothing = |m: &mut generated::PeerFrame| {
        if let Some(generated::peer_frame::Content::Call(call)) = &mut m.content {
            call.request = None;
        }
    };
    refuse(&call, asks_nothing, [MISSING, "call.request", "what is asked for", "nothing"]);
    let answers_nothing = |m: &mut generated::PeerFrame| {
        if let Some(generated::peer_frame::Content::Answer(answer)) = &mut m.content {
            answer.response = None;
        }
    };
    refuse(&answer, answers_nothing, [MISSING, "answer.response", "the blocks", "nothing"]);
    let short = |m: &mut generated::PeerFrame| {
        if let Some(generated::peer_frame::Content::Status(status)) = &mut m.content {
            status.neighbours[1].pop();
        }
    };
    refuse(&status, short, [MALFORMED, "status.neighbours[1]", "32 bytes", "31 bytes"]);
    let statements = frame(FrameContent::Statements(Vec::new()));
    let crowd = |m: &mut generated::PeerFrame| {
        let statements = vec![Vec::new(); FRAME_STATEMENTS_MAX + 1];
        m.content = Some(generated::peer_frame::Content::Statements(generated::WaitingStatements { statements }));
    };
    refuse(&statements, crowd, [TOO_MANY, "statements", "at most 256 entries", "257 entries"]);
}
