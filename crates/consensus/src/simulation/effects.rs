//! The effects that the core has: on timers, the log, the network and the application; and signatures.

use arc_malachitebft_app_channel::AppMsg;
use arc_malachitebft_core_consensus::{
    ConsensusMsg, Effect, Error, Input, LivenessMsg, Resumable as _, Resume, VoteExtensionError,
};
use arc_malachitebft_core_types::{Value as _, ValueOrigin, ValueResponse};
use arc_malachitebft_engine::host::SyncedValueOutcome;
use arc_malachitebft_engine::network::Msg;
use arc_malachitebft_signing::{Signer as _, Verifier as _, VerifierExt as _};
use futures_util::FutureExt as _;
use replica::port::Store;
use tokio::sync::oneshot;

use super::Stopped;
use super::engine::{Answer, Around};
use crate::context::{Address, Context};
use crate::host::Host;

/// What signs and verifies does not wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits here for anything")
}

impl<S: Store, H: Host> Around<S, H> {
    /// Does what the core wants done.
    pub(super) fn effect(&mut self, effect: Effect<Context>) -> Result<Resume<Context>, Stopped> {
        match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.clear();
                Ok(r.resume_with(()))
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.retain(|(other, _)| *other != timeout);
                Ok(r.resume_with(()))
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.set_timer(timeout);
                Ok(r.resume_with(()))
            }
            Effect::WalAppend(height, entry, r) => {
                if self.validates && !self.recovering {
                    self.log.append(height.0, entry)?;
                }
                Ok(r.resume_with(()))
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.flush()?;
                self.say(Msg::PublishConsensusMsg(message))?;
                Ok(r.resume_with(()))
            }
            Effect::PublishLivenessMsg(message, r) => {
                self.say(Msg::PublishLivenessMsg(message))?;
                Ok(r.resume_with(()))
            }
            Effect::RepublishVote(vote, r) => {
                self.say(Msg::PublishLivenessMsg(LivenessMsg::Vote(vote)))?;
                Ok(r.resume_with(()))
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                self.say(Msg::PublishLivenessMsg(LivenessMsg::SkipRoundCertificate(certificate)))?;
                Ok(r.resume_with(()))
            }
            effect @ (Effect::StartRound(..)
            | Effect::GetValue(..)
            | Effect::RestreamProposal(..)
            | Effect::Decide(..)
            | Effect::Finalize(..)
            | Effect::CertVerifiedSyncValue(..)
            | Effect::CertRejectedSyncValue(..)) => self.effect_on_application(effect),
            effect @ (Effect::SignVote(..)
            | Effect::SignProposal(..)
            | Effect::VerifySignature(..)
            | Effect::VerifyCommitCertificate(..)
            | Effect::VerifyExtendedCommitCertificate(..)
            | Effect::VerifyPolkaCertificate(..)
            | Effect::VerifyRoundCertificate(..)
            | Effect::ExtendVote(..)
            | Effect::VerifyVoteExtension(..)) => Ok(self.signature(effect)),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whoever calls this names every effect")]
    fn effect_on_application(&mut self, effect: Effect<Context>) -> Result<Resume<Context>, Stopped> {
        match effect {
            Effect::StartRound(height, round, proposer, role, r) => {
                self.flush()?;
                self.counts.rounds += u64::from(round.as_u32() > Some(0));
                let ask = |reply_value| AppMsg::StartedRound { height, round, proposer, role, reply_value };
                for value in self.ask(ask)?.unwrap_or_default() {
                    self.answer(Answer::Input(Input::ProposedValue(value, ValueOrigin::Consensus)));
                }
                Ok(r.resume_with(()))
            }
            Effect::GetValue(height, round, timeout, r) => {
                let timeout = self.timeouts.duration_for(timeout);
                if let Some(value) = self.ask(|reply| AppMsg::GetValue { height, round, timeout, reply })? {
                    self.answer(Answer::Input(Input::Propose(value)));
                }
                Ok(r.resume_with(()))
            }
            Effect::RestreamProposal(height, round, valid_round, address, value_id, r) => {
                self.counts.proposed_again += 1;
                self.app.handle(AppMsg::RestreamProposal { height, round, valid_round, address, value_id })?;
                Ok(r.resume_with(()))
            }
            Effect::Decide(certificate, extensions, r) => {
                self.flush()?;
                let height = certificate.height;
                self.deciding = None;
                if self.ask(|reply| AppMsg::Decided { certificate, extensions, reply })?.is_some() {
                    self.answer(Answer::Committed(height));
                }
                Ok(r.resume_with(()))
            }
            Effect::Finalize(certificate, extensions, evidence, r) => {
                let (reply, next) = oneshot::channel();
                self.next = Some(next);
                self.app.handle(AppMsg::Finalized { certificate, extensions, evidence, reply })?;
                Ok(r.resume_with(()))
            }
            Effect::CertVerifiedSyncValue(value, proposer, r) => {
                self.certified(value, proposer)?;
                Ok(r.resume_with(()))
            }
            Effect::CertRejectedSyncValue(peer, _, error, r) => {
                let now = self.time.passed();
                if matches!(error, Error::InvalidCommitCertificate(..)) {
                    self.sync.fault(peer, now);
                } else {
                    self.sync.again(now);
                }
                Ok(r.resume_with(()))
            }
            _ => Err(Stopped::Core("an effect that is not the application's".to_owned())),
        }
    }

    /// A block came whose certificate holds: the application looks at the block.
    fn certified(&mut self, value: ValueResponse<Context>, proposer: Address) -> Result<(), Stopped> {
        let now = self.time.passed();
        let ValueResponse { peer, value_bytes, certificate } = value;
        let (height, round) = (certificate.height, certificate.round);
        let ask = |reply| AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply };
        match self.ask(ask)? {
            Some(SyncedValueOutcome::Verdict(mut proposed)) if proposed.value.id() == certificate.value_id => {
                proposed.round = round;
                self.counts.synced += 1;
                self.answer(Answer::Input(Input::ProposedValue(proposed, ValueOrigin::Sync)));
            }
            Some(SyncedValueOutcome::Verdict(_) | SyncedValueOutcome::PeerFault) => self.sync.fault(peer, now),
            Some(SyncedValueOutcome::LocalTransientError) | None => self.sync.again(now),
        }
        Ok(())
    }

    /// Signs and verifies.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whoever calls this names every effect")]
    fn signature(&self, effect: Effect<Context>) -> Resume<Context> {
        let verifier = &self.verifier;
        let signer = || self.signer.as_ref().expect("only a validator is asked to sign");
        match effect {
            Effect::SignVote(vote, r) => r.resume_with(at_once(signer().sign_vote(vote)).expect("it is our own")),
            Effect::SignProposal(proposal, r) => {
                r.resume_with(at_once(signer().sign_proposal(proposal)).expect("it is our own"))
            }
            Effect::VerifySignature(message, key, r) => {
                let signature = &message.signature;
                let result = match &message.message {
                    ConsensusMsg::Vote(vote) => at_once(verifier.verify_signed_vote(vote, signature, &key)),
                    ConsensusMsg::Proposal(proposal) => {
                        at_once(verifier.verify_signed_proposal(proposal, signature, &key))
                    }
                };
                r.resume_with(result.is_ok_and(|result| result.is_valid()))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, r) => {
                r.resume_with(at_once(verifier.verify_commit_certificate(&Context, &certificate, &set, thresholds)))
            }
            Effect::VerifyExtendedCommitCertificate(certificate, set, thresholds, policy, r) => {
                let verified =
                    verifier.verify_extended_commit_certificate(&Context, &certificate, &set, thresholds, policy);
                r.resume_with(at_once(verified))
            }
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, r) => {
                r.resume_with(at_once(verifier.verify_polka_certificate(&Context, &certificate, &set, thresholds)))
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, r) => {
                r.resume_with(at_once(verifier.verify_round_certificate(&Context, &certificate, &set, thresholds)))
            }
            // Extensions are off for every height.
            Effect::ExtendVote(_, _, _, _, r) => r.resume_with(None),
            Effect::VerifyVoteExtension(_, _, _, _, _, _, r) => {
                r.resume_with(Err(VoteExtensionError::InvalidVoteExtension))
            }
            // The core refuses to go on with this, should it ever come here.
            _ => Resume::Continue,
        }
    }
}
