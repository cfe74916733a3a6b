//! A validator that does what it should not, made of an honest one: for tests.
//!
//! What it does is upstream's, `arc-malachitebft-engine-byzantine`: an actor between the engine and the network says more,
//! less and other things than the engine does, and hears less. Two deeds cannot be done there, because the engine has
//! locked by the time it speaks; they are done where votes are signed: a vote in spite of a lock, and no precommit.
//!
//! It stands behind a feature that only tests ask for, so a node that serves anybody is built without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_malachitebft_core_types::{NilOrVal, Round, SignedMessage, ValidatorProof, VoteExtensionScope, VoteType};
use arc_malachitebft_engine_byzantine::{Amnesia, ByzantineConfig, ByzantineNetworkProxy, Trigger};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use bytes::Bytes;
use chain::block::BlockId;
use chain::hash::Hash;
use chain::key::{PublicKey, SecretKey, Signature};

use crate::context::{Address, Context, Proposal, SignedProposal, SignedVote, Value, Vote};
use crate::engine::{Ground, NotStarted};
use crate::signing::{ChainSigner, ChainVerifier, Domain};

/// What a validator does, each with how often of a hundred times; 0 is never, 100 always.
///
/// Votes are either lost or doubled, and so are proposals: one of each pair is 0.
#[derive(Clone, Debug, Default)]
pub struct Byzantine {
    /// A second vote of the same step, for a block that does not exist.
    pub other_votes: u8,
    /// A second proposal of the same round, for a block that does not exist.
    pub other_proposals: u8,
    /// It keeps a vote to itself.
    pub lost_votes: u8,
    /// It keeps a proposal to itself, and with it the block.
    pub lost_proposals: u8,
    /// It prevotes what is proposed, where it should prevote nil: because it is locked on another block, or because it
    /// found the block invalid, or has not got it.
    pub amnesia: u8,
    /// It precommits nil where it should precommit a block; not together with `other_votes`.
    pub nil_precommits: u8,
    /// It does not hear a proposal.
    pub deaf_to_proposals: u8,
    /// What chance is drawn from.
    pub seed: u64,
    /// What it has signed instead of what the engine asked for.
    pub signed: Arc<Signed>,
}

/// Votes that were signed instead of what the engine asked for.
#[derive(Debug, Default)]
pub struct Signed {
    /// Prevotes for a block instead of nil.
    pub amnesia: AtomicU64,
    /// Precommits for nil instead of a block.
    pub nil_precommits: AtomicU64,
}

#[expect(clippy::float_arithmetic, reason = "upstream states chances so, and nothing depends on the last bit")]
fn trigger(percent: u8) -> Trigger {
    match percent {
        0 => Trigger::Never,
        1..=99 => Trigger::Random { probability: f64::from(percent) / 100.0 },
        100.. => Trigger::Always,
    }
}

/// Another block in the place of one: there is none, and everybody can ask for it.
fn other(id: Option<&BlockId>) -> BlockId {
    Hash::of(id.map_or(b"no block".as_slice(), |id| id.as_bytes())).into()
}

impl Byzantine {
    /// Puts the engine on other ground than an honest one's.
    pub(crate) async fn corrupt(
        &self,
        ground: Ground,
        domain: &Domain,
        key: Option<&SecretKey>,
    ) -> Result<Ground, NotStarted> {
        let Some(key) = key else {
            return Err(NotStarted::Engine("who has no vote has nothing to betray".to_owned()));
        };
        let (address, signer) = (Address::of(&key.public()), ChainSigner::new(domain.clone(), key.clone()));
        let config = ByzantineConfig::new(Some(self.seed))
            .with_equivocate_votes(trigger(self.other_votes))
            .with_equivocate_proposals(trigger(self.other_proposals))
            .with_drop_votes(trigger(self.lost_votes))
            .with_drop_proposals(trigger(self.lost_proposals))
            .with_ignore_locks(trigger(self.amnesia))
            .with_force_precommit_nil(trigger(self.nil_precommits))
            .with_drop_inbound_proposals(trigger(self.deaf_to_proposals));
        let network = ByzantineNetworkProxy::spawn(
            config,
            ground.network,
            Box::new(signer.clone()),
            Context,
            address,
            tracing::info_span!("consensus.byzantine"),
            Some(Box::new(|value| Value(other(Some(&value.0))))),
            Some(Box::new(other)),
        );
        let network = network.await.map_err(|report| NotStarted::Engine(format!("{report:#}")))?;
        let hand = Arc::new(Hand {
            amnesia: Amnesia::new(trigger(self.amnesia), Some(self.seed)),
            // The same draw for another deed: upstream draws for this one in no place that we have.
            nil: Amnesia::new(trigger(self.nil_precommits), Some(self.seed)),
            signed: Arc::clone(&self.signed),
        });
        let verifier = Box::new(Recording { verifier: ChainVerifier(domain.clone()), hand: Arc::clone(&hand) });
        Ok(Ground { network, verifier, signer: Some((address, Box::new(Forging { signer, hand }))) })
    }
}

/// Who changes votes before they are signed.
struct Hand {
    amnesia: Amnesia<Context>,
    nil: Amnesia<Context>,
    signed: Arc<Signed>,
}

impl Hand {
    fn proposed(&self, proposal: &Proposal) {
        self.amnesia.record_proposed_value(proposal.height, proposal.round, proposal.value.0);
    }

    fn turn(&self, vote: Vote) -> Vote {
        let (height, round): (_, Round) = (vote.height, vote.round);
        match (vote.kind, &vote.value) {
            (VoteType::Prevote, NilOrVal::Nil) => match self.amnesia.try_override_nil_prevote(height, round) {
                Some(id) => {
                    self.signed.amnesia.fetch_add(1, Ordering::Relaxed);
                    Vote { value: NilOrVal::Val(id), ..vote }
                }
                None => vote,
            },
            (VoteType::Precommit, NilOrVal::Val(_)) if self.nil.should_ignore_locks(height, round) => {
                self.signed.nil_precommits.fetch_add(1, Ordering::Relaxed);
                Vote { value: NilOrVal::Nil, ..vote }
            }
            _ => vote,
        }
    }
}

/// Signs what the hand makes of it.
struct Forging {
    signer: ChainSigner,
    hand: Arc<Hand>,
}

#[async_trait]
impl Signer<Context> for Forging {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedVote, Error> {
        self.signer.sign_vote(self.hand.turn(vote)).await
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedProposal, Error> {
        self.hand.proposed(&proposal);
        self.signer.sign_proposal(proposal).await
    }

    async fn sign_vote_extension(
        &self,
        scope: VoteExtensionScope<Context>,
        extension: Bytes,
    ) -> Result<SignedMessage<Context, Bytes>, Error> {
        self.signer.sign_vote_extension(scope, extension).await
    }

    async fn sign_validator_proof(&self, key: Vec<u8>, peer: Vec<u8>) -> Result<ValidatorProof<Context>, Error> {
        self.signer.sign_validator_proof(key, peer).await
    }
}

/// Verifies as an honest one does, and shows the hand what was proposed.
struct Recording {
    verifier: ChainVerifier,
    hand: Arc<Hand>,
}

#[async_trait]
impl Verifier<Context> for Recording {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        self.verifier.verify_signed_vote(vote, signature, key).await
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let verified = self.verifier.verify_signed_proposal(proposal, signature, key).await?;
        if verified.is_valid() {
            self.hand.proposed(proposal);
        }
        Ok(verified)
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
