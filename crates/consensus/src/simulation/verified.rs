//! Signatures that were verified before, by any node of a simulation: verifying is most of what one costs.
//!
//! Only what the core asks for comes here. What the switch, the parts and the replica verify, they verify every time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_malachitebft_core_types::{ValidatorProof, VoteExtensionScope};
use arc_malachitebft_signing::{Error, VerificationResult, Verifier};
use async_trait::async_trait;
use bytes::Bytes;
use chain::hash::Hash;
use chain::key::{PublicKey, Signature};

use crate::context::{Context, Proposal, Vote};
use crate::signing::{ChainVerifier, Domain};

/// Verdicts by what was signed, its signature and its key. The nodes of a simulation share one.
#[derive(Clone, Debug, Default)]
pub struct Verified(Arc<Mutex<BTreeMap<Hash, bool>>>);

/// Verifies as a node does, and nothing twice.
#[derive(Clone, Debug)]
pub(super) struct Remembering {
    verifier: ChainVerifier,
    verified: Verified,
}

impl Remembering {
    pub(super) fn new(domain: Domain, verified: Verified) -> Self {
        Self { verifier: ChainVerifier(domain), verified }
    }

    fn verdict(&self, bytes: Option<Vec<u8>>, signature: &Signature, key: &PublicKey) -> VerificationResult {
        let Some(mut signed) = bytes else { return VerificationResult::Invalid };
        let message = signed.len();
        signed.extend(signature.as_bytes());
        signed.extend(key.as_bytes());
        let mut verified = self.verified.0.lock().expect("nothing panics while it holds the verdicts");
        let verify = || key.verify_strict(&signed[..message], signature).is_ok();
        VerificationResult::from_bool(*verified.entry(Hash::of(&signed)).or_insert_with(verify))
    }
}

#[async_trait]
impl Verifier<Context> for Remembering {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(self.verdict(self.verifier.0.vote_bytes(vote, key), signature, key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(self.verdict(self.verifier.0.proposal_bytes(proposal, key), signature, key))
    }

    async fn verify_signed_vote_extension(
        &self,
        scope: &VoteExtensionScope<Context>,
        extension: &Bytes,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        self.verifier.verify_signed_vote_extension(scope, extension, signature, key).await
    }

    async fn verify_validator_proof(&self, proof: &ValidatorProof<Context>) -> Result<VerificationResult, Error> {
        self.verifier.verify_validator_proof(proof).await
    }
}
