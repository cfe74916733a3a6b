//! What proves an equivocation, and what does not.

use super::*;
use crate::certificate::{sign_proposal, sign_vote};
use crate::fixture::{agency, consensus_key};
use crate::hash::Hash;
use crate::identity::ChainName;

const SUITE: Suite = Suite::Ed25519Sha256;

fn chain(name: &str) -> ChainId {
    ChainId::new(ChainName::new(name).unwrap(), Hash::of(b"genesis"))
}

fn block(name: &str) -> BlockId {
    Hash::of(name.as_bytes()).into()
}

fn vote(kind: VoteKind, block: Option<BlockId>) -> Signed {
    let signature = sign_vote(&consensus_key(1), &chain("demo"), SUITE, kind, 7, 2, block.as_ref());
    Signed { block, pol_round: None, signature }
}

fn proposal(block: BlockId, pol_round: Option<u32>) -> Signed {
    let signature = sign_proposal(&consensus_key(1), &chain("demo"), SUITE, 7, 2, pol_round, &block);
    Signed { block: Some(block), pol_round, signature }
}

fn of(kind: Step, one: Signed, other: Signed) -> Equivocation {
    Equivocation::new(agency(1), (7, 2, kind), one, other)
}

fn prevotes(one: Option<BlockId>, other: Option<BlockId>) -> Equivocation {
    of(Step::Prevote, vote(VoteKind::Prevote, one), vote(VoteKind::Prevote, other))
}

fn verify(equivocation: &Equivocation) -> Result<(), EquivocationError> {
    equivocation.verify(&chain("demo"), SUITE, &consensus_key(1).public())
}

#[test]
fn two_different_votes_of_a_round_are_an_equivocation_and_nil_is_one_of_them() {
    assert_eq!(verify(&prevotes(Some(block("a")), Some(block("b")))), Ok(()));
    assert_eq!(verify(&prevotes(None, Some(block("b")))), Ok(()));
    let (one, other) = (vote(VoteKind::Precommit, Some(block("a"))), vote(VoteKind::Precommit, None));
    assert_eq!(verify(&of(Step::Precommit, one, other)), Ok(()));
}

#[test]
fn two_proposals_are_one_even_if_they_differ_in_the_round_of_the_prevotes_alone() {
    let check = |one, other| assert_eq!(verify(&of(Step::Proposal, one, other)), Ok(()));
    check(proposal(block("a"), None), proposal(block("b"), None));
    check(proposal(block("a"), None), proposal(block("a"), Some(1)));
    check(proposal(block("a"), Some(0)), proposal(block("a"), Some(1)));
}

#[test]
fn the_same_thing_twice_is_none() {
    assert_eq!(verify(&prevotes(Some(block("a")), Some(block("a")))), Err(EquivocationError::Same));
    assert_eq!(verify(&prevotes(None, None)), Err(EquivocationError::Same));
    // Another signature of the same thing is still the same thing.
    let mut again = vote(VoteKind::Prevote, Some(block("a")));
    again.signature = Signature::from_bytes([1; 64]);
    let twice = of(Step::Prevote, vote(VoteKind::Prevote, Some(block("a"))), again);
    assert_eq!(verify(&twice), Err(EquivocationError::Same));
    let one = proposal(block("a"), Some(1));
    assert_eq!(verify(&of(Step::Proposal, one, one)), Err(EquivocationError::Same));
}

#[test]
fn one_equivocation_has_one_spelling() {
    let (one, other) = (vote(VoteKind::Prevote, Some(block("a"))), vote(VoteKind::Prevote, Some(block("b"))));
    let equivocation = of(Step::Prevote, one, other);
    assert_eq!(of(Step::Prevote, other, one), equivocation);
    let Equivocation { first, second, .. } = equivocation;
    let swapped = Equivocation { first: second, second: first, ..equivocation };
    assert_eq!(verify(&swapped), Err(EquivocationError::Order));
    assert_eq!(prevotes(Some(block("a")), None).first.block, None, "nil stands first");
}

#[test]
fn signatures_count_on_their_chain_under_their_key_at_their_place_only() {
    let right = prevotes(None, Some(block("b")));
    let first = Err(EquivocationError::Signature { which: Which::First });
    assert_eq!(right.verify(&chain("other"), SUITE, &consensus_key(1).public()), first);
    assert_eq!(right.verify(&chain("demo"), SUITE, &consensus_key(2).public()), first);
    assert_eq!(verify(&Equivocation { height: 8, ..right.clone() }), first);
    assert_eq!(verify(&Equivocation { round: 3, ..right.clone() }), first);
    assert_eq!(verify(&Equivocation { kind: Step::Precommit, ..right.clone() }), first);
    // One vote of each kind: a validator signs both in every round.
    let mixed = of(Step::Prevote, vote(VoteKind::Prevote, None), vote(VoteKind::Precommit, Some(block("b"))));
    assert_eq!(verify(&mixed), Err(EquivocationError::Signature { which: Which::Second }));
    let mut forged = right;
    forged.second.signature = Signature::from_bytes([7; 64]);
    assert_eq!(verify(&forged), Err(EquivocationError::Signature { which: Which::Second }));
}

#[test]
fn proposals_have_a_block_and_votes_no_round_of_prevotes() {
    let mut votes = prevotes(None, Some(block("b")));
    votes.second.pol_round = Some(0);
    assert_eq!(verify(&votes), Err(EquivocationError::PolRound { which: Which::Second }));
    let mut proposals = of(Step::Proposal, proposal(block("a"), None), proposal(block("b"), None));
    proposals.first.block = None;
    assert_eq!(verify(&proposals), Err(EquivocationError::NoBlock { which: Which::First }));
}

#[test]
fn the_json_is_strict_and_comes_back_as_it_was() {
    let equivocation = of(Step::Proposal, proposal(block("a"), None), proposal(block("a"), Some(1)));
    let json = serde_json::to_string(&equivocation).unwrap();
    assert_eq!(crate::json::from_slice::<Equivocation>(json.as_bytes()).unwrap(), equivocation);
    let votes = serde_json::to_string(&prevotes(None, Some(block("b")))).unwrap();
    assert!(votes.contains(r#""first":{"block":null,"signature":""#), "{votes}");
    let refused = [
        votes.replace(r#""block":null,"#, ""),
        votes.replace("prevote", "vote"),
        votes.replace(r#""height":7"#, r#""height":"7""#),
        votes.replace(r#""height":7"#, r#""height":7,"more":1"#),
    ];
    for text in refused {
        assert!(crate::json::from_slice::<Equivocation>(text.as_bytes()).is_err(), "{text}");
    }
}
