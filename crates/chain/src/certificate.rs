//! What validators sign, and the commit certificate that proves a block decided.
//!
//! Owns the bytes of votes and proposals, and the one verdict on a certificate: consensus adapts
//! its engine to these bytes, so that an auditor needs no engine. A certificate stands beside its
//! block and is never part of a hash, because two honest nodes hold different signature sets.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::block::{BlockId, Header};
use crate::encoding::{DecodeError, decode_exact};
use crate::identity::{ChainId, OrganisationId};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::suite::Suite;
use crate::validators::{VALIDATORS_MAX, Validator, ValidatorSet};

/// How many bytes an encoded certificate may have: every validator's signature and the fields.
pub const CERTIFICATE_BYTES_MAX: usize = 256 + VALIDATORS_MAX * 96;

/// Begins everything that is signed as a vote.
const VOTE_TAG: [u8; 13] = *b"chain/vote/v1";
/// Begins everything that is signed as a proposal.
const PROPOSAL_TAG: [u8; 17] = *b"chain/proposal/v1";
/// Begins an encoded certificate.
const CERTIFICATE_TAG: [u8; 20] = *b"chain/certificate/v1";

/// Which vote of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum VoteKind {
    /// The first vote: this proposal is valid here.
    Prevote = 1,
    /// The second vote: more than two thirds have prevoted for it. These make a certificate.
    Precommit = 2,
}

/// What a vote signs, in order. Changing this forks the chain.
#[derive(BorshSerialize)]
struct VoteBytes<'a> {
    tag: [u8; 13],
    suite: Suite,
    chain: &'a ChainId,
    kind: VoteKind,
    height: u64,
    round: u32,
    block_id: Option<&'a BlockId>,
    voter: &'a PublicKey,
}

/// What a proposal signs, in order. Changing this forks the chain.
#[derive(BorshSerialize)]
struct ProposalBytes<'a> {
    tag: [u8; 17],
    suite: Suite,
    chain: &'a ChainId,
    height: u64,
    round: u32,
    pol_round: Option<u32>,
    block_id: &'a BlockId,
    proposer: &'a PublicKey,
}

fn signed_bytes(value: &impl BorshSerialize) -> Vec<u8> {
    borsh::to_vec(value).expect("the fields are bounded, and memory takes every write")
}

/// The bytes that a vote signs; `block_id` is `None` for nil.
///
/// Changing this forks the chain.
pub fn vote_sign_bytes(
    chain: &ChainId,
    suite: Suite,
    kind: VoteKind,
    height: u64,
    round: u32,
    block_id: Option<&BlockId>,
    voter: &PublicKey,
) -> Vec<u8> {
    signed_bytes(&VoteBytes {
        tag: VOTE_TAG,
        suite,
        chain,
        kind,
        height,
        round,
        block_id,
        voter,
    })
}

/// The bytes that a proposal signs; `pol_round` is the round whose prevotes justify proposing the
/// block again, `None` for a fresh one.
///
/// Changing this forks the chain.
pub fn proposal_sign_bytes(
    chain: &ChainId,
    suite: Suite,
    height: u64,
    round: u32,
    pol_round: Option<u32>,
    block_id: &BlockId,
    proposer: &PublicKey,
) -> Vec<u8> {
    signed_bytes(&ProposalBytes {
        tag: PROPOSAL_TAG,
        suite,
        chain,
        height,
        round,
        pol_round,
        block_id,
        proposer,
    })
}

/// Signs a vote with a consensus key.
pub fn sign_vote(
    key: &SecretKey,
    chain: &ChainId,
    suite: Suite,
    kind: VoteKind,
    height: u64,
    round: u32,
    block_id: Option<&BlockId>,
) -> Signature {
    key.sign(&vote_sign_bytes(
        chain,
        suite,
        kind,
        height,
        round,
        block_id,
        &key.public(),
    ))
}

/// Signs a precommit for a block: one signature of a certificate.
pub fn sign_precommit(
    key: &SecretKey,
    chain: &ChainId,
    suite: Suite,
    height: u64,
    round: u32,
    block_id: &BlockId,
) -> CommitSignature {
    CommitSignature {
        validator: key.public(),
        signature: sign_vote(key, chain, suite, VoteKind::Precommit, height, round, Some(block_id)),
    }
}

/// Signs a proposal with a consensus key.
pub fn sign_proposal(
    key: &SecretKey,
    chain: &ChainId,
    suite: Suite,
    height: u64,
    round: u32,
    pol_round: Option<u32>,
    block_id: &BlockId,
) -> Signature {
    key.sign(&proposal_sign_bytes(
        chain,
        suite,
        height,
        round,
        pol_round,
        block_id,
        &key.public(),
    ))
}

/// One validator's precommit in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitSignature {
    /// The validator's consensus key.
    pub validator: PublicKey,
    /// Its signature over [`vote_sign_bytes`] of the precommit.
    pub signature: Signature,
}

/// The proof that a block was decided: precommits of more than two thirds of the voting power.
///
/// Nothing in it is believed before [`CommitCertificate::verify`] or
/// [`CommitCertificate::verify_header`] has passed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitCertificate {
    /// The suite of its signatures.
    pub suite: Suite,
    /// The height decided.
    pub height: u64,
    /// The round that decided it.
    pub round: u32,
    /// The block decided.
    pub block_id: BlockId,
    /// The precommits, sorted by validator key, each validator once.
    pub signatures: Vec<CommitSignature>,
}

/// A certificate that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate is of another suite than the chain.
    #[error("expected suite {expected}, found {found}")]
    Suite {
        /// The chain's suite.
        expected: Suite,
        /// The certificate's.
        found: Suite,
    },
    /// The certificate is of another height than the header.
    #[error("expected height {expected}, found {found}")]
    Height {
        /// The header's height.
        expected: u64,
        /// The certificate's.
        found: u64,
    },
    /// The certificate is of another block.
    #[error("expected block {expected}, found {found}")]
    BlockId {
        /// The id of the header.
        expected: BlockId,
        /// The certificate's.
        found: BlockId,
    },
    /// A signature is not in its place, or stands twice.
    #[error("the signature of validator {validator} is not in its place: sorted by key, each validator once")]
    NotSorted {
        /// Whose signature it claims to be.
        validator: Box<PublicKey>,
    },
    /// A signature of a key outside the set.
    #[error("{validator} is no validator of height {height}")]
    UnknownValidator {
        /// The key.
        validator: Box<PublicKey>,
        /// The certificate's height.
        height: u64,
    },
    /// Too few have signed.
    #[error("validators with power {signed} of {total} signed, needed {needed}")]
    TooLittlePower {
        /// The power of those who signed.
        signed: u64,
        /// The least power that decides.
        needed: u64,
        /// The power of the whole set.
        total: u64,
    },
    /// A signature does not verify.
    #[error("the signature of {organisation} under validator key {validator} does not verify")]
    Signature {
        /// The validator's organisation.
        organisation: OrganisationId,
        /// Its key.
        validator: Box<PublicKey>,
    },
}

impl CertificateError {
    /// The stable code of the situation.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Suite { .. } => "certificate.suite",
            Self::Height { .. } => "certificate.height",
            Self::BlockId { .. } => "certificate.block-id",
            Self::NotSorted { .. } => "certificate.not-sorted",
            Self::UnknownValidator { .. } => "certificate.unknown-validator",
            Self::TooLittlePower { .. } => "certificate.too-little-power",
            Self::Signature { .. } => "certificate.signature",
        }
    }

    /// What should stand in the certificate, for a report.
    pub fn expected(&self) -> String {
        match self {
            Self::Suite { expected, .. } => format!("suite {expected}"),
            Self::Height { expected, .. } => format!("height {expected}"),
            Self::BlockId { expected, .. } => format!("block {expected}"),
            Self::NotSorted { .. } => "signatures sorted by key, each validator once".to_owned(),
            Self::UnknownValidator { height, .. } => format!("signatures of validators of height {height}"),
            Self::TooLittlePower { needed, total, .. } => format!("power {needed} of {total}"),
            Self::Signature { organisation, .. } => format!("a signature of {organisation}"),
        }
    }

    /// What stands there, for a report.
    pub fn found(&self) -> String {
        match self {
            Self::Suite { found, .. } => format!("suite {found}"),
            Self::Height { found, .. } => format!("height {found}"),
            Self::BlockId { found, .. } => format!("block {found}"),
            Self::NotSorted { validator } => format!("{validator} out of place"),
            Self::UnknownValidator { validator, .. } => format!("one of {validator}"),
            Self::TooLittlePower { signed, .. } => format!("power {signed}"),
            Self::Signature { validator, .. } => format!("one that does not verify under {validator}"),
        }
    }
}

impl CommitCertificate {
    /// Makes a certificate of precommits in any order. A validator that signed twice stays in
    /// twice, and [`CommitCertificate::verify`] refuses it.
    pub fn new(suite: Suite, height: u64, round: u32, block_id: BlockId, mut signatures: Vec<CommitSignature>) -> Self {
        signatures.sort_by_key(|signature| signature.validator);
        Self {
            suite,
            height,
            round,
            block_id,
            signatures,
        }
    }

    /// Checks that more than two thirds of the power of `validators` precommitted `block_id` at
    /// this height and round on `chain`.
    ///
    /// Every signature listed must be of a member, in its place, and verify strictly: one that is
    /// not needed for the quorum is no place to hide bytes in.
    pub fn verify(&self, chain: &ChainId, suite: Suite, validators: &ValidatorSet) -> Result<(), CertificateError> {
        if self.suite != suite {
            return Err(CertificateError::Suite {
                expected: suite,
                found: self.suite,
            });
        }
        let members = self.members(validators)?;
        // No overflow: each member once, and the total power is below 2^53.
        let signed = members.iter().map(|member| member.power).sum();
        let needed = validators.quorum_power();
        if signed < needed {
            return Err(CertificateError::TooLittlePower {
                signed,
                needed,
                total: validators.total_power(),
            });
        }
        for (CommitSignature { validator, signature }, member) in self.signatures.iter().zip(members) {
            let (height, round, block_id) = (self.height, self.round, Some(&self.block_id));
            let bytes = vote_sign_bytes(chain, suite, VoteKind::Precommit, height, round, block_id, validator);
            if validator.verify_strict(&bytes, signature).is_err() {
                let organisation = member.organisation.clone();
                return Err(CertificateError::Signature {
                    organisation,
                    validator: Box::new(*validator),
                });
            }
        }
        Ok(())
    }

    /// Checks that this certificate decides `header` under the validators of its height.
    ///
    /// That `validators` is the set the header names is the caller's to check.
    pub fn verify_header(&self, header: &Header, validators: &ValidatorSet) -> Result<(), CertificateError> {
        if self.height != header.height {
            return Err(CertificateError::Height {
                expected: header.height,
                found: self.height,
            });
        }
        let expected = header.id();
        if self.block_id != expected {
            return Err(CertificateError::BlockId {
                expected,
                found: self.block_id,
            });
        }
        self.verify(&header.chain, header.suite, validators)
    }

    /// Who signed, in the order of the signatures: members, sorted by key, each once. Nothing is
    /// verified yet.
    fn members<'a>(&self, validators: &'a ValidatorSet) -> Result<Vec<&'a Validator>, CertificateError> {
        let mut members: Vec<&Validator> = Vec::new();
        for CommitSignature { validator, .. } in &self.signatures {
            let Some(member) = validators.get(validator) else {
                let validator = Box::new(*validator);
                return Err(CertificateError::UnknownValidator {
                    validator,
                    height: self.height,
                });
            };
            if members.last().is_some_and(|before| before.key >= member.key) {
                return Err(CertificateError::NotSorted {
                    validator: Box::new(*validator),
                });
            }
            members.push(member);
        }
        Ok(members)
    }

    /// The certificate's bytes: a domain tag and the fields in order. Stored and archived, never
    /// hashed.
    pub fn encode(&self) -> Vec<u8> {
        signed_bytes(&(CERTIFICATE_TAG, self))
    }

    /// Reads a certificate from exactly these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (tag, certificate) = decode_exact("commit certificate", bytes, CERTIFICATE_BYTES_MAX)?;
        crate::block::check_tag("commit certificate", tag, CERTIFICATE_TAG)?;
        Ok(certificate)
    }
}

#[cfg(test)]
mod tests;
