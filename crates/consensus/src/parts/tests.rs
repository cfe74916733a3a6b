//! Parts in order and out of it, of the right proposer and of others.

use chain::certificate::sign_proposal;
use chain::hash::Hash;
use chain::identity::ChainId;
use chain::key::SecretKey;
use chain::suite::Suite;
use chain::validators::{Validator, ValidatorSet as ChainSet};

use super::*;

const PEER: KeyBytes = [1; 32];

fn chain() -> ChainId {
    ChainId::new("test".parse().unwrap(), Hash::of(b"genesis"))
}

fn keys() -> Vec<SecretKey> {
    let mut keys: Vec<SecretKey> = (1..=4).map(|seed| SecretKey::from_seed([seed; 32])).collect();
    keys.sort_by_key(SecretKey::public);
    keys
}

fn scope(height: u64) -> Scope {
    let keys = keys();
    let validator = |(place, key): (usize, &SecretKey)| Validator {
        organisation: format!("agency-{place}").parse().unwrap(),
        key: key.public(),
        power: 1,
    };
    let set = ChainSet::new(keys.iter().enumerate().map(validator).collect()).unwrap();
    Scope { height, validators: ValidatorSet::of(&set) }
}

fn assembler() -> Assembler {
    Assembler::new(Domain { chain: chain(), suite: Suite::Ed25519Sha256 })
}

/// A block of a height, proposed in a round by the validator at a place of the set.
fn parts(height: u64, round: u32, place: usize, block: &[u8]) -> Vec<ProposalPart> {
    let key = &keys()[place];
    let id = Hash::of(block).into();
    let signature = sign_proposal(key, &chain(), Suite::Ed25519Sha256, height, round, None, &id);
    let proposer = *key.public().as_bytes();
    let proposal = wire::peer::Proposal { height, round, pol_round: None, block_id: id, proposer, signature };
    parts_of(b"stream", proposal, &Bytes::copy_from_slice(block))
}

fn take_all(assembler: &mut Assembler, parts: Vec<ProposalPart>) -> Result<Option<ProposedBlock>, Spoiled> {
    let mut whole = None;
    for part in parts {
        assert_eq!(whole, None, "it is whole with the last part");
        whole = assembler.take(PEER, PEER, part, &scope(5))?;
    }
    Ok(whole)
}

#[test]
fn a_block_is_whole_with_its_last_part() {
    for length in [0, 1, PART_BYTES_MAX, PART_BYTES_MAX + 1, 3 * PART_BYTES_MAX] {
        let block = vec![7; length];
        let whole = take_all(&mut assembler(), parts(5, 0, 1, &block)).unwrap().unwrap();
        assert_eq!(whole.block, block);
        assert_eq!(whole.proposal.message.height.0, 5);
    }
}

#[test]
fn only_the_validator_whose_turn_it_is_is_listened_to() {
    let mut assembler = assembler();
    assert_eq!(take_all(&mut assembler, parts(5, 0, 2, b"block")), Err(Spoiled::Proposal), "another's turn");
    let mut forged = parts(5, 0, 1, b"block");
    if let PartContent::Start { proposal, .. } = &mut forged[0].content {
        proposal.block_id = Hash::of(b"another").into();
    }
    assert_eq!(take_all(&mut assembler, forged), Err(Spoiled::Proposal), "another block than was signed");
    // The next round's turn, and the next height's.
    assert!(take_all(&mut assembler, parts(5, 1, 2, b"block")).unwrap().is_some());
    assert!(take_all(&mut assembler, parts(6, 0, 2, b"block")).unwrap().is_some());
}

#[test]
fn heights_that_are_far_away_are_not_collected() {
    let mut assembler = assembler();
    assert_eq!(take_all(&mut assembler, parts(4, 0, 0, b"block")), Ok(None));
    assert_eq!(take_all(&mut assembler, parts(8, 0, 0, b"block")), Ok(None));
    assert!(assembler.streams.is_empty());
}

#[test]
fn a_part_out_of_its_place_ends_its_stream() {
    let block = vec![7; 2 * PART_BYTES_MAX];
    let mut assembler = assembler();
    let mut gap = parts(5, 0, 1, &block);
    gap.remove(1);
    assert_eq!(take_all(&mut assembler, gap), Err(Spoiled::Order));
    assert!(assembler.streams.is_empty());
    let mut twice = parts(5, 0, 1, &block);
    twice.insert(1, twice[0].clone());
    assert_eq!(take_all(&mut assembler, twice), Err(Spoiled::Order));
    assembler.gone(&PEER);
    assert!(assembler.streams.is_empty());
}

#[test]
fn a_block_of_another_size_than_was_said_is_not_taken() {
    let mut assembler = assembler();
    for announced in [3, 5] {
        let mut wrong = parts(5, 0, 1, b"four");
        if let PartContent::Start { block_bytes, .. } = &mut wrong[0].content {
            *block_bytes = announced;
        }
        assert_eq!(take_all(&mut assembler, wrong), Err(Spoiled::Size));
        assert!(assembler.streams.is_empty());
    }
}

#[test]
fn a_proposer_cannot_have_more_than_its_share_under_way_and_a_new_height_clears_what_is_behind() {
    let mut assembler = assembler();
    let begin = |assembler: &mut Assembler, from: KeyBytes, round: u32, number: u8| {
        let place = usize::try_from((5 + round) % 4).unwrap();
        let mut start = parts(5, round, place, b"block").swap_remove(0);
        start.stream = vec![number];
        assert_eq!(assembler.take(from, from, start, &scope(5)), Ok(None));
    };
    begin(&mut assembler, [2; 32], 0, 0);
    begin(&mut assembler, PEER, 1, 0);
    for number in 10..100 {
        begin(&mut assembler, PEER, 0, number);
    }
    let open: Vec<_> = assembler.streams.keys().map(|(from, stream)| (from[0], stream[0])).collect();
    assert_eq!(open, [(1, 0), (1, 98), (1, 99), (2, 0)], "the oldest of that proposer went, and nobody else's");
    let end = ProposalPart { stream: vec![77], sequence: 3, content: PartContent::End };
    assert_eq!(assembler.take(PEER, PEER, end, &scope(6)), Ok(None));
    assert!(assembler.streams.is_empty(), "height 5 is decided");
}
