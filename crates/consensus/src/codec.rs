//! The engine's messages as the messages of `wire`, and back.
//!
//! What the engine writes into its log and what travels between nodes are the same bytes. Inwards every field is
//! checked by `wire`; a vote that carries what the chain does not sign cannot be expressed.

use arc_malachitebft_codec::{Codec, HasEncodedLen};
use arc_malachitebft_core_consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate, PolkaSignature, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, Validity, VoteType,
};
use arc_malachitebft_peer::PeerId;
use arc_malachitebft_sync::{RawDecidedValue, Request, Response, Status, ValueRequest, ValueResponse};
use bytes::Bytes;
use chain::block::BlockId;
use chain::certificate::{CommitCertificate, VoteKind};
use wire::peer::{self, FrameContent};
use wire::{Portable, decode, encode};

use crate::context::{Address, Context, Height, Proposal, SignedProposal, SignedVote, Value, Vote, signed_proposal};

/// What cannot be read, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// The bytes are no such message.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// The engine named a round that does not exist.
    #[error("a message of no round")]
    NoRound,
    /// Nothing of ours is sent in this form.
    #[error("{0} is not sent in this form")]
    Unused(&'static str),
}

/// Reads and writes the engine's messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire;

fn round_number(round: Round) -> Result<u32, CodecError> {
    round.as_u32().ok_or(CodecError::NoRound)
}

fn maybe_round(round: Option<u32>) -> Round {
    round.map_or(Round::Nil, Round::new)
}

fn kind_of(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

fn type_of(kind: VoteKind) -> VoteType {
    match kind {
        VoteKind::Prevote => VoteType::Prevote,
        VoteKind::Precommit => VoteType::Precommit,
    }
}

fn id_of(value: &NilOrVal<BlockId>) -> Option<BlockId> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(id) => Some(*id),
    }
}

fn value_of(id: Option<BlockId>) -> NilOrVal<BlockId> {
    id.map_or(NilOrVal::Nil, NilOrVal::Val)
}

pub(crate) fn vote_out(vote: &SignedVote) -> Result<peer::Vote, CodecError> {
    Ok(peer::Vote {
        kind: kind_of(vote.message.kind),
        height: vote.message.height.0,
        round: round_number(vote.message.round)?,
        block_id: id_of(&vote.message.value),
        voter: vote.message.voter.0,
        signature: vote.signature,
    })
}

pub(crate) fn vote_in(vote: &peer::Vote) -> SignedVote {
    let message = Vote {
        kind: type_of(vote.kind),
        height: Height(vote.height),
        round: Round::new(vote.round),
        value: value_of(vote.block_id),
        voter: Address(vote.voter),
    };
    SignedVote::new(message, vote.signature)
}

pub(crate) fn proposal_out(proposal: &SignedProposal) -> Result<peer::Proposal, CodecError> {
    Ok(peer::Proposal {
        height: proposal.message.height.0,
        round: round_number(proposal.message.round)?,
        pol_round: proposal.message.pol_round.as_u32(),
        block_id: proposal.message.value.0,
        proposer: proposal.message.proposer.0,
        signature: proposal.signature,
    })
}

pub(crate) fn proposal_in(proposal: &peer::Proposal) -> SignedProposal {
    let message = Proposal {
        height: Height(proposal.height),
        round: Round::new(proposal.round),
        value: Value(proposal.block_id),
        pol_round: maybe_round(proposal.pol_round),
        proposer: Address(proposal.proposer),
    };
    signed_proposal(message, proposal.signature)
}

fn message_out(message: &SignedConsensusMsg<Context>) -> Result<peer::ConsensusMessage, CodecError> {
    Ok(match message {
        SignedConsensusMsg::Vote(vote) => peer::ConsensusMessage::Vote(vote_out(vote)?),
        SignedConsensusMsg::Proposal(proposal) => peer::ConsensusMessage::Proposal(proposal_out(proposal)?),
    })
}

fn message_in(message: &peer::ConsensusMessage) -> SignedConsensusMsg<Context> {
    match message {
        peer::ConsensusMessage::Vote(vote) => SignedConsensusMsg::Vote(vote_in(vote)),
        peer::ConsensusMessage::Proposal(proposal) => SignedConsensusMsg::Proposal(proposal_in(proposal)),
    }
}

fn polka_out(polka: &PolkaCertificate<Context>) -> Result<peer::PolkaCertificate, CodecError> {
    let signed = |signed: &PolkaSignature<Context>| peer::KeySignature {
        validator: signed.address.0,
        signature: signed.signature,
    };
    Ok(peer::PolkaCertificate {
        height: polka.height.0,
        round: round_number(polka.round)?,
        block_id: polka.value_id,
        signatures: polka.polka_signatures.iter().map(signed).collect(),
    })
}

pub(crate) fn polka_in(polka: &peer::PolkaCertificate) -> PolkaCertificate<Context> {
    let signed = |signed: &peer::KeySignature| PolkaSignature::new(Address(signed.validator), signed.signature);
    PolkaCertificate {
        height: Height(polka.height),
        round: Round::new(polka.round),
        value_id: polka.block_id,
        polka_signatures: polka.signatures.iter().map(signed).collect(),
    }
}

fn round_out(certificate: &RoundCertificate<Context>) -> Result<peer::RoundCertificate, CodecError> {
    let signed = |signed: &RoundSignature<Context>| peer::RoundSignature {
        kind: kind_of(signed.vote_type),
        block_id: id_of(&signed.value_id),
        by: peer::KeySignature { validator: signed.address.0, signature: signed.signature },
    };
    Ok(peer::RoundCertificate {
        kind: match certificate.cert_type {
            RoundCertificateType::Skip => peer::RoundCertificateKind::Skip,
            RoundCertificateType::Precommit => peer::RoundCertificateKind::Precommit,
        },
        height: certificate.height.0,
        round: round_number(certificate.round)?,
        signatures: certificate.round_signatures.iter().map(signed).collect(),
    })
}

pub(crate) fn round_in(certificate: &peer::RoundCertificate) -> RoundCertificate<Context> {
    let signed = |signed: &peer::RoundSignature| {
        let address = Address(signed.by.validator);
        RoundSignature::new(type_of(signed.kind), value_of(signed.block_id), address, signed.by.signature)
    };
    RoundCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        cert_type: match certificate.kind {
            peer::RoundCertificateKind::Skip => RoundCertificateType::Skip,
            peer::RoundCertificateKind::Precommit => RoundCertificateType::Precommit,
        },
        round_signatures: certificate.signatures.iter().map(signed).collect(),
    }
}

/// What drives a height, as a frame's content.
pub(crate) fn consensus_frame(message: &SignedConsensusMsg<Context>) -> Result<FrameContent, CodecError> {
    Ok(FrameContent::Consensus(message_out(message)?))
}

/// What helps within a height, as a frame's content.
pub(crate) fn liveness_frame(message: &LivenessMsg<Context>) -> Result<FrameContent, CodecError> {
    Ok(FrameContent::Liveness(match message {
        LivenessMsg::Vote(vote) => peer::LivenessMessage::Vote(vote_out(vote)?),
        LivenessMsg::PolkaCertificate(polka) => peer::LivenessMessage::Polka(polka_out(polka)?),
        LivenessMsg::SkipRoundCertificate(certificate) => peer::LivenessMessage::Round(round_out(certificate)?),
    }))
}

/// The certificate of a decided block, as the engine holds it.
pub(crate) fn certificate_in(certificate: &CommitCertificate) -> ExtendedCommitCertificate<Context> {
    let signatures = certificate.signatures.iter();
    ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block_id,
        commit_signatures: signatures
            .map(|signed| ExtendedCommitSignature::new(Address::of(&signed.validator), signed.signature, None))
            .collect(),
    }
}

/// A decided block as the engine carries it. Its bytes hold the certificate too, so that whoever checks the block can
/// tell one that was certified from one that was made up.
pub(crate) fn decided_in(decided: &peer::DecidedBlock) -> RawDecidedValue<Context> {
    RawDecidedValue::new(encode(decided).into(), certificate_in(&decided.certificate))
}

/// The blocks of an answer.
pub(crate) fn response_in(response: &peer::BlocksResponse) -> Response<Context> {
    let values = response.blocks.iter().map(decided_in).collect();
    Response::ValueResponse(ValueResponse::new(Height(response.first_height), values))
}

/// An answer with the blocks that the application read.
pub(crate) fn response_out(response: &Response<Context>) -> Result<peer::BlocksResponse, CodecError> {
    let Response::ValueResponse(response) = response;
    let blocks = response.values.iter().map(|value| decode(&value.value_bytes)).collect::<Result<_, _>>()?;
    Ok(peer::BlocksResponse { first_height: response.start_height.0, blocks })
}

/// What is asked for.
pub(crate) fn request_out(request: &Request<Context>) -> peer::BlocksRequest {
    let Request::ValueRequest(request) = request;
    peer::BlocksRequest { first_height: request.range.start().0, last_height: request.range.end().0 }
}

/// What is asked for.
pub(crate) fn request_in(request: &peer::BlocksRequest) -> Request<Context> {
    Request::ValueRequest(ValueRequest::new(Height(request.first_height)..=Height(request.last_height)))
}

fn read<T: Portable>(bytes: &Bytes) -> Result<T, CodecError> {
    Ok(decode(bytes)?)
}

impl Codec<SignedConsensusMsg<Context>> for Wire {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<SignedConsensusMsg<Context>, CodecError> {
        read(&bytes).map(|message| message_in(&message))
    }

    fn encode(&self, message: &SignedConsensusMsg<Context>) -> Result<Bytes, CodecError> {
        Ok(encode(&message_out(message)?).into())
    }
}

impl Codec<PolkaCertificate<Context>> for Wire {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<PolkaCertificate<Context>, CodecError> {
        read(&bytes).map(|polka| polka_in(&polka))
    }

    fn encode(&self, polka: &PolkaCertificate<Context>) -> Result<Bytes, CodecError> {
        Ok(encode(&polka_out(polka)?).into())
    }
}

impl Codec<ProposedValue<Context>> for Wire {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<ProposedValue<Context>, CodecError> {
        let value: peer::ProposedValue = read(&bytes)?;
        Ok(ProposedValue {
            height: Height(value.height),
            round: Round::new(value.round),
            valid_round: maybe_round(value.valid_round),
            proposer: Address(value.proposer),
            value: Value(value.block_id),
            validity: Validity::from_bool(value.valid),
        })
    }

    fn encode(&self, value: &ProposedValue<Context>) -> Result<Bytes, CodecError> {
        let value = peer::ProposedValue {
            height: value.height.0,
            round: round_number(value.round)?,
            valid_round: value.valid_round.as_u32(),
            proposer: value.proposer.0,
            block_id: value.value.0,
            valid: value.validity.to_bool(),
        };
        Ok(encode(&value).into())
    }
}

/// The engine asks for this form, and our own network sends statuses otherwise: with the neighbours in them.
impl Codec<Status<Context>> for Wire {
    type Error = CodecError;

    fn decode(&self, _: Bytes) -> Result<Status<Context>, CodecError> {
        Err(CodecError::Unused("a status"))
    }

    fn encode(&self, _: &Status<Context>) -> Result<Bytes, CodecError> {
        Err(CodecError::Unused("a status"))
    }
}

impl Codec<Request<Context>> for Wire {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Request<Context>, CodecError> {
        read(&bytes).map(|request| request_in(&request))
    }

    fn encode(&self, request: &Request<Context>) -> Result<Bytes, CodecError> {
        Ok(encode(&request_out(request)).into())
    }
}

impl Codec<Response<Context>> for Wire {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Response<Context>, CodecError> {
        read(&bytes).map(|response| response_in(&response))
    }

    fn encode(&self, response: &Response<Context>) -> Result<Bytes, CodecError> {
        Ok(encode(&response_out(response)?).into())
    }
}

impl HasEncodedLen<Response<Context>> for Wire {
    fn encoded_len(&self, response: &Response<Context>) -> Result<usize, CodecError> {
        let Response::ValueResponse(response) = response;
        // Each value's bytes are its message already; a tag and a length come to each.
        Ok(response.values.iter().map(|value| value.value_bytes.len() + 8).sum::<usize>() + 16)
    }
}

/// The engine's name of a peer: its peer key, as it is.
pub(crate) fn peer_id(key: &peer::KeyBytes) -> PeerId {
    let multihash = multihash::Multihash::wrap(0, key).expect("32 bytes fit into 64");
    PeerId::from_multihash(multihash).expect("an identity of 32 bytes names a peer")
}
