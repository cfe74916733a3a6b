//! What validators sign, and the commit certificate that proves a block decided.
//!
//! Owns the bytes of votes and proposals, and the one verdict on a certificate: consensus adapts
//! its engine to these bytes, so that an auditor needs no engine. A certificate stands beside its
//! block and is never part of a hash, because two honest nodes hold different signature sets.

mod error;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::block::{BlockId, Header};
use crate::encoding::{DecodeError, decode_exact};
use crate::identity::ChainId;
use crate::key::{PublicKey, SecretKey, Signature};
use crate::suite::Suite;
use crate::validators::{VALIDATORS_MAX, Validator, ValidatorSet};

pub use error::CertificateError;

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
    signed_bytes(&VoteBytes { tag: VOTE_TAG, suite, chain, kind, height, round, block_id, voter })
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
    signed_bytes(&ProposalBytes { tag: PROPOSAL_TAG, suite, chain, height, round, pol_round, block_id, proposer })
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
    key.sign(&vote_sign_bytes(chain, suite, kind, height, round, block_id, &key.public()))
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
    key.sign(&proposal_sign_bytes(chain, suite, height, round, pol_round, block_id, &key.public()))
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

impl CommitCertificate {
    /// Makes a certificate of precommits in any order. A validator that signed twice stays in
    /// twice, and [`CommitCertificate::verify`] refuses it.
    pub fn new(suite: Suite, height: u64, round: u32, block_id: BlockId, mut signatures: Vec<CommitSignature>) -> Self {
        signatures.sort_by_key(|signature| signature.validator);
        Self { suite, height, round, block_id, signatures }
    }

    /// Checks that more than two thirds of the power of `validators` precommitted `block_id` at
    /// this height and round on `chain`.
    ///
    /// Every signature listed must be of a member, in its place, and verify strictly: one that is
    /// not needed for the quorum is no place to hide bytes in.
    pub fn verify(&self, chain: &ChainId, suite: Suite, validators: &ValidatorSet) -> Result<(), CertificateError> {
        if self.suite != suite {
            return Err(CertificateError::Suite { expected: suite, found: self.suite });
        }
        let members = self.members(validators)?;
        // No overflow: each member once, and the total power is below 2^53.
        let signed = members.iter().map(|member| member.power).sum();
        let needed = validators.quorum_power();
        if signed < needed {
            return Err(CertificateError::TooLittlePower { signed, needed, total: validators.total_power() });
        }
        for (CommitSignature { validator, signature }, member) in self.signatures.iter().zip(members) {
            let (height, round, block_id) = (self.height, self.round, Some(&self.block_id));
            let bytes = vote_sign_bytes(chain, suite, VoteKind::Precommit, height, round, block_id, validator);
            if validator.verify_strict(&bytes, signature).is_err() {
                let organisation = member.organisation.clone();
                return Err(CertificateError::Signature { organisation, validator: Box::new(*validator) });
            }
        }
        Ok(())
    }

    /// Checks that this certificate decides `header` under the validators of its height.
    ///
    /// That `validators` is the set the header names is the caller's to check.
    pub fn verify_header(&self, header: &Header, validators: &ValidatorSet) -> Result<(), CertificateError> {
        if self.height != header.height {
            return Err(CertificateError::Height { expected: header.height, found: self.height });
        }
        let expected = header.id();
        if self.block_id != expected {
            return Err(CertificateError::BlockId { expected, found: self.block_id });
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
                return Err(CertificateError::UnknownValidator { validator, height: self.height });
            };
            if members.last().is_some_and(|before| before.key >= member.key) {
                return Err(CertificateError::NotSorted { validator: Box::new(*validator) });
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
