//! The types that Malachite asks for, made of the chain's own.
//!
//! A validator's address is its consensus key. The value that is decided is the block's id alone; the block itself
//! travels beside it, in parts.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arc_malachitebft_core_types as malachite;
use bytes::Bytes;
use chain::block::BlockId;
use chain::key::{PublicKey, Signature};
use malachite::{LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType};

use crate::signing::Ed25519;

/// A validator's consensus key, as bytes: whoever verifies looks the admitted key up in the set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(pub(crate) [u8; 32]);

impl Address {
    pub(crate) fn of(key: &PublicKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl malachite::Address for Address {}

/// A height of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Height(pub(crate) u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl malachite::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        // Peers name heights: one at the end of the numbers must not end the process.
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// What is decided: a block, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value(pub(crate) BlockId);

impl malachite::Value for Value {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.0
    }
}

/// A proposal, as the chain signs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: Value,
    pub(crate) pol_round: Round,
    pub(crate) proposer: Address,
}

impl malachite::Proposal<Context> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// A whole block with the signed proposal it belongs to. The parts are put together before the engine hears of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProposedBlock {
    /// The neighbour it came from.
    pub(crate) from: [u8; 32],
    /// The node that sent it first, as that neighbour says.
    pub(crate) origin: [u8; 32],
    pub(crate) proposal: malachite::SignedProposal<Context>,
    pub(crate) block: Bytes,
}

impl malachite::ProposalPart<Context> for ProposedBlock {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

/// A vote, as the chain signs it. It carries no extension, ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) kind: VoteType,
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: NilOrVal<BlockId>,
    pub(crate) voter: Address,
}

impl malachite::Vote<Context> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.voter
    }

    fn extension(&self) -> Option<&SignedExtension<Context>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Context>> {
        None
    }

    fn extend(self, _: SignedExtension<Context>) -> Self {
        // Extensions are off for every height, so nobody asks for this.
        self
    }
}

/// One validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validator {
    pub(crate) address: Address,
    key: PublicKey,
    power: u64,
}

impl malachite::Validator<Context> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// The validators of a height, sorted by key as the chain has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValidatorSet(Arc<Vec<Validator>>);

impl ValidatorSet {
    pub(crate) fn of(set: &chain::validators::ValidatorSet) -> Self {
        let validator = |validator: &chain::validators::Validator| Validator {
            address: Address::of(&validator.key),
            key: validator.key,
            power: validator.power,
        };
        Self(Arc::new(set.validators().iter().map(validator).collect()))
    }

    /// Who may propose at a height in a round: in turn, one place on with each round.
    pub(crate) fn proposer(&self, height: Height, round: Round) -> &Validator {
        let count = self.0.len() as u64;
        let turn = (height.0 % count + u64::from(round.as_u32().unwrap_or(0)) % count) % count;
        &self.0[usize::try_from(turn).expect("it is less than the number of validators")]
    }

    /// Verifies a proposal: by a validator whose turn it is, and signed.
    pub(crate) fn may_propose(&self, proposal: &Proposal) -> bool {
        self.proposer(proposal.height, proposal.round).address == proposal.proposer
    }

    /// Whether these hold more than two thirds of the power.
    pub(crate) fn is_quorum(&self, voters: &BTreeSet<Address>) -> bool {
        use malachite::ValidatorSet as _;
        let voted = self.0.iter().filter(|validator| voters.contains(&validator.address));
        let power: u64 = voted.map(|validator| validator.power).sum();
        // No overflow: the total is below 2^53.
        power * 3 > self.total_voting_power() * 2
    }

    /// The key of a validator.
    pub(crate) fn key(&self, address: &Address) -> Option<&PublicKey> {
        use malachite::ValidatorSet as _;
        self.get_by_address(address).map(|validator| &validator.key)
    }
}

impl malachite::ValidatorSet<Context> for ValidatorSet {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.0.iter().map(|validator| validator.power).sum()
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        let place = self.0.binary_search_by_key(address, |validator| validator.address).ok()?;
        self.0.get(place)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.0.get(index)
    }
}

/// What is agreed on, in the chain's own types.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context;

impl malachite::Context for Context {
    type Address = Address;
    type Height = Height;
    type ProposalPart = ProposedBlock;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = Bytes;
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, set: &'a ValidatorSet, height: Height, round: Round) -> &'a Validator {
        set.proposer(height, round)
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, proposer }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<BlockId>, voter: Address) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, voter }
    }

    fn new_precommit(&self, height: Height, round: Round, value: NilOrVal<BlockId>, voter: Address) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, voter }
    }
}

/// A signature, for Malachite's own names.
pub(crate) type SignedProposal = malachite::SignedMessage<Context, Proposal>;
/// A signed vote.
pub(crate) type SignedVote = malachite::SignedMessage<Context, Vote>;

/// A signed proposal from its fields.
pub(crate) fn signed_proposal(proposal: Proposal, signature: Signature) -> SignedProposal {
    SignedProposal::new(proposal, signature)
}

#[cfg(test)]
mod tests {
    use chain::key::SecretKey;
    use chain::validators;

    use super::*;

    fn set(count: u8) -> ValidatorSet {
        let validator = |seed: u8| validators::Validator {
            organisation: format!("agency-{seed}").parse().unwrap(),
            key: SecretKey::from_seed([seed; 32]).public(),
            power: 1,
        };
        ValidatorSet::of(&validators::ValidatorSet::new((0..count).map(validator).collect()).unwrap())
    }

    #[test]
    fn everybody_proposes_in_turn_and_the_next_one_in_the_next_round() {
        let set = set(4);
        let at = |height, round| set.proposer(Height(height), Round::new(round)).address;
        let turn: Vec<Address> = (0..4).map(|height| at(height, 0)).collect();
        assert_eq!(turn.iter().collect::<BTreeSet<_>>().len(), 4);
        for height in 0..20 {
            assert_eq!(at(height, 0), turn[usize::try_from(height % 4).unwrap()]);
            assert_eq!(at(height, 1), at(height + 1, 0));
        }
        assert_eq!(at(u64::MAX, u32::MAX), at(3, 3), "no overflow at the end of the numbers");
    }

    #[test]
    fn a_member_is_found_by_its_key() {
        use malachite::ValidatorSet as _;
        let set = set(4);
        for index in 0..4 {
            let validator = set.get_by_index(index).unwrap();
            assert_eq!(set.get_by_address(&validator.address), Some(validator));
        }
        assert_eq!(set.get_by_address(&Address([0; 32])), None);
        assert_eq!(set.total_voting_power(), 4);
    }
}
