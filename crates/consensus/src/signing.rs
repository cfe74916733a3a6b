//! Signing and verifying for the engine, over the bytes that the chain defines.
//!
//! An auditor verifies certificates without Malachite, so nothing here invents what is signed: votes and proposals are
//! signed as `chain::certificate` says. Certificates are verified by forming the votes again; they can be, because a
//! vote's bytes hold no extension. Extensions and proofs of validators are not used, and refused.

use std::fmt;

use arc_malachitebft_core_types::{
    NilOrVal, Round, SignedMessage, SigningScheme, ValidatorProof, VoteExtensionScope, VoteType,
};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use bytes::Bytes;
use chain::block::BlockId;
use chain::certificate::{VoteKind, proposal_sign_bytes, sign_proposal, sign_vote, vote_sign_bytes};
use chain::identity::ChainId;
use chain::key::{PublicKey, SecretKey, Signature};
use chain::suite::Suite;

use crate::context::{Address, Context, Proposal, SignedProposal, SignedVote, Vote};

/// The chain's signatures: Ed25519, verified strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ed25519;

/// Bytes that are no key or signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDecoded;

impl fmt::Display for NotDecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an admissible key or signature")
    }
}

/// A secret key in the hands of the signer alone: the scheme asks for a type and never sees one.
#[derive(Clone)]
pub(crate) struct NoSecret;

impl SigningScheme for Ed25519 {
    type DecodingError = NotDecoded;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = NoSecret;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, NotDecoded> {
        bytes.try_into().map(Signature::from_bytes).map_err(|_| NotDecoded)
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, NotDecoded> {
        let bytes = bytes.try_into().map_err(|_| NotDecoded)?;
        PublicKey::from_bytes(bytes).map_err(|_| NotDecoded)
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

/// Which chain is signed for. It is in every vote, so that none counts on another chain.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    pub(crate) chain: ChainId,
    pub(crate) suite: Suite,
}

impl Domain {
    /// The bytes of a vote; `None` when it cannot be one of this chain.
    pub(crate) fn vote_bytes(&self, vote: &Vote, key: &PublicKey) -> Option<Vec<u8>> {
        let (kind, block_id) = (kind_of(vote.kind), id_of(&vote.value));
        let round = vote.round.as_u32()?;
        let own = Address::of(key) == vote.voter;
        own.then(|| vote_sign_bytes(&self.chain, self.suite, kind, vote.height.0, round, block_id, key))
    }

    /// The bytes of a proposal; `None` when it cannot be one of this chain.
    pub(crate) fn proposal_bytes(&self, proposal: &Proposal, key: &PublicKey) -> Option<Vec<u8>> {
        let round = proposal.round.as_u32()?;
        let (height, id) = (proposal.height.0, &proposal.value.0);
        let own = Address::of(key) == proposal.proposer;
        let pol_round = proposal.pol_round.as_u32();
        own.then(|| proposal_sign_bytes(&self.chain, self.suite, height, round, pol_round, id, key))
    }

    /// Whether a vote is signed by this key.
    pub(crate) fn verify_vote(&self, vote: &SignedVote, key: &PublicKey) -> bool {
        verify(self.vote_bytes(&vote.message, key), key, &vote.signature)
    }

    /// Whether a proposal is signed by this key.
    pub(crate) fn verify_proposal(&self, proposal: &SignedProposal, key: &PublicKey) -> bool {
        verify(self.proposal_bytes(&proposal.message, key), key, &proposal.signature)
    }
}

fn kind_of(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

fn id_of(value: &NilOrVal<BlockId>) -> Option<&BlockId> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(id) => Some(id),
    }
}

fn verify(bytes: Option<Vec<u8>>, key: &PublicKey, signature: &Signature) -> bool {
    bytes.is_some_and(|bytes| key.verify_strict(&bytes, signature).is_ok())
}

fn refused(what: &'static str) -> Error {
    Error::from_source(std::io::Error::other(what))
}

/// Signs with a validator's consensus key.
#[derive(Clone)]
pub(crate) struct ChainSigner {
    domain: Domain,
    key: SecretKey,
    public: PublicKey,
}

impl ChainSigner {
    pub(crate) fn new(domain: Domain, key: SecretKey) -> Self {
        let public = key.public();
        Self { domain, key, public }
    }

    /// The engine signs under our address and in rounds it has entered.
    fn round(&self, signer: &Address, round: Round) -> Result<u32, Error> {
        let own = *signer == Address::of(&self.public);
        round.as_u32().filter(|_| own).ok_or_else(|| refused("not a vote or proposal of this validator"))
    }
}

#[async_trait]
impl Signer<Context> for ChainSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedVote, Error> {
        let round = self.round(&vote.voter, vote.round)?;
        let (kind, id) = (kind_of(vote.kind), id_of(&vote.value));
        let Domain { chain, suite } = &self.domain;
        let signature = sign_vote(&self.key, chain, *suite, kind, vote.height.0, round, id);
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedProposal, Error> {
        let round = self.round(&proposal.proposer, proposal.round)?;
        let Domain { chain, suite } = &self.domain;
        let (height, pol_round, id) = (proposal.height.0, proposal.pol_round.as_u32(), &proposal.value.0);
        let signature = sign_proposal(&self.key, chain, *suite, height, round, pol_round, id);
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Context>,
        _: Bytes,
    ) -> Result<SignedMessage<Context, Bytes>, Error> {
        Err(refused("vote extensions are not used"))
    }

    async fn sign_validator_proof(&self, _: Vec<u8>, _: Vec<u8>) -> Result<ValidatorProof<Context>, Error> {
        Err(refused("proofs of validators are not used"))
    }
}

/// Verifies what others signed.
#[derive(Clone, Debug)]
pub(crate) struct ChainVerifier(pub(crate) Domain);

#[async_trait]
impl Verifier<Context> for ChainVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(verify(self.0.vote_bytes(vote, key), key, signature)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(verify(self.0.proposal_bytes(proposal, key), key, signature)))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Context>,
        _: &Bytes,
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, _: &ValidatorProof<Context>) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }
}
