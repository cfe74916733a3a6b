//! Equivocation: two things that one validator signed and that exclude each other.
//!
//! Owns what such a proof is made of and the one verdict on it; whoever holds the validator's consensus key verifies it
//! without an engine and without the chain. Whose key that is, the caller knows.

#[cfg(test)]
mod tests;

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize};

use crate::block::BlockId;
use crate::certificate::{VoteKind, proposal_sign_bytes, vote_sign_bytes};
use crate::identity::{ChainId, OrganisationId};
use crate::key::{PublicKey, Signature};
use crate::suite::Suite;

/// Which step of a round was signed twice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Step {
    /// The proposal of the round.
    Proposal = 1,
    /// The first vote.
    Prevote = 2,
    /// The second vote.
    Precommit = 3,
}

impl Step {
    /// The step, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Prevote => "prevote",
            Self::Precommit => "precommit",
        }
    }
}

impl From<VoteKind> for Step {
    fn from(kind: VoteKind) -> Self {
        match kind {
            VoteKind::Prevote => Self::Prevote,
            VoteKind::Precommit => Self::Precommit,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One of the two things: what was signed beside height, round and step, and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The block; `None` for a vote for nil.
    #[serde(deserialize_with = "required")]
    pub block: Option<BlockId>,
    /// Of a proposal, the round whose prevotes justify proposing the block again. Votes have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pol_round: Option<u32>,
    /// The signature.
    pub signature: Signature,
}

/// Reads a field that may be null but must be there: a vote for nil says so.
fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BlockId>, D::Error> {
    <Option<BlockId> as Deserialize>::deserialize(deserializer)
}

impl Signed {
    /// What was signed, without the signature: two signatures of the same thing prove nothing. Its order is the order
    /// in which a proof is written.
    const fn content(&self) -> (Option<BlockId>, Option<u32>) {
        (self.block, self.pol_round)
    }
}

/// Two things that one validator signed for the same step of the same round of the same height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivocation {
    /// Whose consensus key signed both.
    pub validator: OrganisationId,
    /// The height.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The step.
    pub kind: Step,
    /// The lesser of the two: by block, nil first, then by round of the prevotes, none first.
    pub first: Signed,
    /// The greater.
    pub second: Signed,
}

/// Which of the two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first.
    First,
    /// The second.
    Second,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
        })
    }
}

/// Why something is no proof of an equivocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationError {
    /// Both say the same: that is no contradiction, whatever the signatures.
    #[error("first and second say the same")]
    Same,
    /// The greater stands first: one equivocation has one spelling.
    #[error("first and second stand in the wrong order")]
    Order,
    /// A proposal without a block.
    #[error("{which} is a proposal of no block")]
    NoBlock {
        /// Which of the two.
        which: Which,
    },
    /// A vote with a round that only proposals name.
    #[error("{which} is a vote with a pol_round")]
    PolRound {
        /// Which of the two.
        which: Which,
    },
    /// A signature that does not verify under the key.
    #[error("the signature of {which} does not verify")]
    Signature {
        /// Which of the two.
        which: Which,
    },
}

impl Equivocation {
    /// Makes a proof of two things in any order; nothing is verified yet.
    pub fn new(validator: OrganisationId, (height, round, kind): (u64, u32, Step), one: Signed, other: Signed) -> Self {
        let (first, second) = if one.content() <= other.content() { (one, other) } else { (other, one) };
        Self { validator, height, round, kind, first, second }
    }

    /// Both things, with which is which.
    fn both(&self) -> [(Which, &Signed); 2] {
        [(Which::First, &self.first), (Which::Second, &self.second)]
    }

    /// Checks the form: two different things that can have been signed, in order.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), EquivocationError> {
        for (which, signed) in self.both() {
            match self.kind {
                Step::Proposal if signed.block.is_none() => return Err(EquivocationError::NoBlock { which }),
                Step::Prevote | Step::Precommit if signed.pol_round.is_some() => {
                    return Err(EquivocationError::PolRound { which });
                }
                Step::Proposal | Step::Prevote | Step::Precommit => {}
            }
        }
        match self.first.content().cmp(&self.second.content()) {
            std::cmp::Ordering::Less => Ok(()),
            std::cmp::Ordering::Equal => Err(EquivocationError::Same),
            std::cmp::Ordering::Greater => Err(EquivocationError::Order),
        }
    }

    /// The bytes that one of the two signs; `None` for a proposal of no block, which nobody can sign.
    fn sign_bytes(&self, signed: &Signed, chain: &ChainId, suite: Suite, key: &PublicKey) -> Option<Vec<u8>> {
        let vote = |kind| vote_sign_bytes(chain, suite, kind, self.height, self.round, signed.block.as_ref(), key);
        match self.kind {
            Step::Proposal => {
                let block = signed.block.as_ref()?;
                Some(proposal_sign_bytes(chain, suite, self.height, self.round, signed.pol_round, block, key))
            }
            Step::Prevote => Some(vote(VoteKind::Prevote)),
            Step::Precommit => Some(vote(VoteKind::Precommit)),
        }
    }

    /// Verifies the proof: its form, and both signatures on this chain under this consensus key.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self, chain: &ChainId, suite: Suite, key: &PublicKey) -> Result<(), EquivocationError> {
        self.check()?;
        for (which, signed) in self.both() {
            let bytes = self.sign_bytes(signed, chain, suite, key).ok_or(EquivocationError::NoBlock { which })?;
            key.verify_strict(&bytes, &signed.signature).map_err(|_| EquivocationError::Signature { which })?;
        }
        Ok(())
    }
}
