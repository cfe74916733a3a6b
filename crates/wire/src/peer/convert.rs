//! From the values to their messages, and back.

use chain::block::{BLOCK_BYTES_MAX, BlockId};
use chain::certificate::{CERTIFICATE_BYTES_MAX, VoteKind};
use chain::validators::VALIDATORS_MAX;

use super::{
    BLOCKS_BYTES_MAX, BLOCKS_MAX, BlocksRequest, BlocksResponse, ConsensusMessage, DecidedBlock, KeySignature,
    LivenessMessage, NEIGHBOURS_MAX, PART_BYTES_MAX, PartContent, PeerStatus, PolkaCertificate, Proposal, ProposalPart,
    ProposedValue, ROUND_SIGNATURES_MAX, RoundCertificate, RoundCertificateKind, RoundSignature, STREAM_BYTES_MAX,
    VOTE_BYTES_MAX, Vote,
};
use crate::error::Error;
use crate::{Portable, field, generated, message_bytes_max};

fn vote_kind(number: i32) -> Result<VoteKind, Error> {
    match generated::VoteKind::try_from(number) {
        Ok(generated::VoteKind::Prevote) => Ok(VoteKind::Prevote),
        Ok(generated::VoteKind::Precommit) => Ok(VoteKind::Precommit),
        Ok(generated::VoteKind::Unspecified) | Err(_) => Err(Error::malformed("kind", "a kind of vote", number)),
    }
}

fn vote_kind_number(kind: VoteKind) -> i32 {
    let kind = match kind {
        VoteKind::Prevote => generated::VoteKind::Prevote,
        VoteKind::Precommit => generated::VoteKind::Precommit,
    };
    kind.into()
}

fn block_id(bytes: Option<&Vec<u8>>) -> Result<Option<BlockId>, Error> {
    bytes.map(|bytes| field::hash(bytes, "block_id").map(BlockId::from)).transpose()
}

fn block_id_bytes(id: Option<&BlockId>) -> Option<Vec<u8>> {
    id.map(|id| id.as_bytes().to_vec())
}

fn missing(field: &str, expected: &'static str) -> Error {
    Error::Missing { path: field.to_owned(), expected }
}

impl From<&Vote> for generated::Vote {
    fn from(vote: &Vote) -> Self {
        Self {
            kind: vote_kind_number(vote.kind),
            height: vote.height,
            round: vote.round,
            block_id: block_id_bytes(vote.block_id.as_ref()),
            voter: vote.voter.to_vec(),
            signature: vote.signature.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<generated::Vote> for Vote {
    type Error = Error;

    fn try_from(message: generated::Vote) -> Result<Self, Error> {
        Ok(Self {
            kind: vote_kind(message.kind)?,
            height: message.height,
            round: message.round,
            block_id: block_id(message.block_id.as_ref())?,
            voter: field::array(&message.voter, "voter")?,
            signature: field::signature(&message.signature, "signature")?,
        })
    }
}

impl From<&Proposal> for generated::Proposal {
    fn from(proposal: &Proposal) -> Self {
        Self {
            height: proposal.height,
            round: proposal.round,
            pol_round: proposal.pol_round,
            block_id: proposal.block_id.as_bytes().to_vec(),
            proposer: proposal.proposer.to_vec(),
            signature: proposal.signature.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<generated::Proposal> for Proposal {
    type Error = Error;

    fn try_from(message: generated::Proposal) -> Result<Self, Error> {
        let (round, pol_round) = (message.round, message.pol_round);
        if let Some(pol_round) = pol_round.filter(|pol_round| *pol_round >= round) {
            return Err(Error::malformed("pol_round", format_args!("a round before {round}"), pol_round));
        }
        Ok(Self {
            height: message.height,
            round,
            pol_round,
            block_id: field::hash(&message.block_id, "block_id")?.into(),
            proposer: field::array(&message.proposer, "proposer")?,
            signature: field::signature(&message.signature, "signature")?,
        })
    }
}

impl From<&ConsensusMessage> for generated::ConsensusMessage {
    fn from(message: &ConsensusMessage) -> Self {
        use generated::consensus_message::Message;
        let message = match message {
            ConsensusMessage::Vote(vote) => Message::Vote(vote.into()),
            ConsensusMessage::Proposal(proposal) => Message::Proposal(proposal.into()),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<generated::ConsensusMessage> for ConsensusMessage {
    type Error = Error;

    fn try_from(message: generated::ConsensusMessage) -> Result<Self, Error> {
        use generated::consensus_message::Message;
        match message.message {
            Some(Message::Vote(vote)) => Ok(Self::Vote(field::required(Some(vote), "vote", "a vote")?)),
            Some(Message::Proposal(proposal)) => {
                Ok(Self::Proposal(field::required(Some(proposal), "proposal", "a proposal")?))
            }
            None => Err(missing("message", "a vote or a proposal")),
        }
    }
}

impl From<&KeySignature> for generated::CommitSignature {
    fn from(signed: &KeySignature) -> Self {
        Self { validator: signed.validator.to_vec(), signature: signed.signature.as_bytes().to_vec() }
    }
}

impl TryFrom<generated::CommitSignature> for KeySignature {
    type Error = Error;

    fn try_from(message: generated::CommitSignature) -> Result<Self, Error> {
        Ok(Self {
            validator: field::array(&message.validator, "validator")?,
            signature: field::signature(&message.signature, "signature")?,
        })
    }
}

impl From<&PolkaCertificate> for generated::PolkaCertificate {
    fn from(certificate: &PolkaCertificate) -> Self {
        Self {
            height: certificate.height,
            round: certificate.round,
            block_id: certificate.block_id.as_bytes().to_vec(),
            signatures: certificate.signatures.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<generated::PolkaCertificate> for PolkaCertificate {
    type Error = Error;

    fn try_from(message: generated::PolkaCertificate) -> Result<Self, Error> {
        Ok(Self {
            height: message.height,
            round: message.round,
            block_id: field::hash(&message.block_id, "block_id")?.into(),
            signatures: field::list(message.signatures, "signatures", VALIDATORS_MAX)?,
        })
    }
}

impl From<&RoundSignature> for generated::RoundSignature {
    fn from(signed: &RoundSignature) -> Self {
        Self {
            kind: vote_kind_number(signed.kind),
            block_id: block_id_bytes(signed.block_id.as_ref()),
            voter: signed.by.validator.to_vec(),
            signature: signed.by.signature.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<generated::RoundSignature> for RoundSignature {
    type Error = Error;

    fn try_from(message: generated::RoundSignature) -> Result<Self, Error> {
        Ok(Self {
            kind: vote_kind(message.kind)?,
            block_id: block_id(message.block_id.as_ref())?,
            by: KeySignature {
                validator: field::array(&message.voter, "voter")?,
                signature: field::signature(&message.signature, "signature")?,
            },
        })
    }
}

impl From<&RoundCertificate> for generated::RoundCertificate {
    fn from(certificate: &RoundCertificate) -> Self {
        let kind = match certificate.kind {
            RoundCertificateKind::Skip => generated::RoundCertificateKind::Skip,
            RoundCertificateKind::Precommit => generated::RoundCertificateKind::Precommit,
        };
        Self {
            kind: kind.into(),
            height: certificate.height,
            round: certificate.round,
            signatures: certificate.signatures.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<generated::RoundCertificate> for RoundCertificate {
    type Error = Error;

    fn try_from(message: generated::RoundCertificate) -> Result<Self, Error> {
        let kind = match generated::RoundCertificateKind::try_from(message.kind) {
            Ok(generated::RoundCertificateKind::Skip) => RoundCertificateKind::Skip,
            Ok(generated::RoundCertificateKind::Precommit) => RoundCertificateKind::Precommit,
            Ok(generated::RoundCertificateKind::Unspecified) | Err(_) => {
                return Err(Error::malformed("kind", "a kind of round certificate", message.kind));
            }
        };
        Ok(Self {
            kind,
            height: message.height,
            round: message.round,
            signatures: field::list(message.signatures, "signatures", ROUND_SIGNATURES_MAX)?,
        })
    }
}

impl From<&LivenessMessage> for generated::LivenessMessage {
    fn from(message: &LivenessMessage) -> Self {
        use generated::liveness_message::Message;
        let message = match message {
            LivenessMessage::Vote(vote) => Message::Vote(vote.into()),
            LivenessMessage::Polka(certificate) => Message::Polka(certificate.into()),
            LivenessMessage::Round(certificate) => Message::Round(certificate.into()),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<generated::LivenessMessage> for LivenessMessage {
    type Error = Error;

    fn try_from(message: generated::LivenessMessage) -> Result<Self, Error> {
        use generated::liveness_message::Message;
        match message.message {
            Some(Message::Vote(vote)) => Ok(Self::Vote(field::required(Some(vote), "vote", "a vote")?)),
            Some(Message::Polka(polka)) => Ok(Self::Polka(field::required(Some(polka), "polka", "prevotes")?)),
            Some(Message::Round(round)) => Ok(Self::Round(field::required(Some(round), "round", "votes")?)),
            None => Err(missing("message", "a vote or a certificate")),
        }
    }
}

impl From<&ProposalPart> for generated::ProposalPart {
    fn from(part: &ProposalPart) -> Self {
        use generated::proposal_part::Content;
        let content = match &part.content {
            PartContent::Start { proposal, block_bytes } => Content::Start(generated::ProposalStart {
                proposal: Some(proposal.into()),
                block_bytes: u64::try_from(*block_bytes).unwrap_or(u64::MAX),
            }),
            PartContent::Data(bytes) => Content::Data(bytes.clone()),
            PartContent::End => Content::End(generated::ProposalEnd {}),
        };
        Self { stream: part.stream.clone(), sequence: part.sequence, content: Some(content) }
    }
}

impl TryFrom<generated::ProposalPart> for ProposalPart {
    type Error = Error;

    fn try_from(message: generated::ProposalPart) -> Result<Self, Error> {
        use generated::proposal_part::Content;
        field::size(message.stream.len(), "stream", STREAM_BYTES_MAX)?;
        let content = match message.content {
            Some(Content::Start(start)) => {
                let block_bytes = usize::try_from(start.block_bytes).unwrap_or(usize::MAX);
                field::size(block_bytes, "start.block_bytes", BLOCK_BYTES_MAX)?;
                let proposal = field::required(start.proposal, "proposal", "the proposal of the parts");
                PartContent::Start { proposal: proposal.map_err(|error| error.within("start"))?, block_bytes }
            }
            Some(Content::Data(bytes)) => {
                field::size(bytes.len(), "data", PART_BYTES_MAX)?;
                PartContent::Data(bytes)
            }
            Some(Content::End(generated::ProposalEnd {})) => PartContent::End,
            None => return Err(missing("content", "the start, bytes of the block, or the end")),
        };
        Ok(Self { stream: message.stream, sequence: message.sequence, content })
    }
}

impl From<&ProposedValue> for generated::ProposedValue {
    fn from(value: &ProposedValue) -> Self {
        Self {
            height: value.height,
            round: value.round,
            valid_round: value.valid_round,
            proposer: value.proposer.to_vec(),
            block_id: value.block_id.as_bytes().to_vec(),
            valid: value.valid,
        }
    }
}

impl TryFrom<generated::ProposedValue> for ProposedValue {
    type Error = Error;

    fn try_from(message: generated::ProposedValue) -> Result<Self, Error> {
        Ok(Self {
            height: message.height,
            round: message.round,
            valid_round: message.valid_round,
            proposer: field::array(&message.proposer, "proposer")?,
            block_id: field::hash(&message.block_id, "block_id")?.into(),
            valid: message.valid,
        })
    }
}

impl From<&PeerStatus> for generated::PeerStatus {
    fn from(status: &PeerStatus) -> Self {
        let neighbours = status.neighbours.iter().map(|key| key.to_vec()).collect();
        Self { tip_height: status.tip_height, min_height: status.min_height, neighbours }
    }
}

impl TryFrom<generated::PeerStatus> for PeerStatus {
    type Error = Error;

    fn try_from(message: generated::PeerStatus) -> Result<Self, Error> {
        let key = |bytes: Vec<u8>| field::array(&bytes, "");
        let neighbours = field::list_with(message.neighbours, "neighbours", NEIGHBOURS_MAX, key)?;
        Ok(Self { tip_height: message.tip_height, min_height: message.min_height, neighbours })
    }
}

impl From<&BlocksRequest> for generated::BlocksRequest {
    fn from(request: &BlocksRequest) -> Self {
        Self { first_height: request.first_height, last_height: request.last_height }
    }
}

impl TryFrom<generated::BlocksRequest> for BlocksRequest {
    type Error = Error;

    fn try_from(message: generated::BlocksRequest) -> Result<Self, Error> {
        let (first_height, last_height) = (message.first_height, message.last_height);
        let more = last_height.checked_sub(first_height).and_then(|more| usize::try_from(more).ok());
        if more.is_none_or(|more| more >= BLOCKS_MAX) {
            let expected = format_args!("a height from {first_height} on, {BLOCKS_MAX} blocks at most");
            return Err(Error::malformed("last_height", expected, last_height));
        }
        Ok(Self { first_height, last_height })
    }
}

impl From<&DecidedBlock> for generated::DecidedBlock {
    fn from(decided: &DecidedBlock) -> Self {
        Self { block: decided.block.clone(), certificate: Some((&decided.certificate).into()) }
    }
}

impl TryFrom<generated::DecidedBlock> for DecidedBlock {
    type Error = Error;

    fn try_from(message: generated::DecidedBlock) -> Result<Self, Error> {
        field::size(message.block.len(), "block", BLOCK_BYTES_MAX)?;
        let certificate = field::required(message.certificate, "certificate", "the certificate that decided it")?;
        Ok(Self { block: message.block, certificate })
    }
}

impl From<&BlocksResponse> for generated::BlocksResponse {
    fn from(response: &BlocksResponse) -> Self {
        Self { first_height: response.first_height, blocks: response.blocks.iter().map(Into::into).collect() }
    }
}

impl TryFrom<generated::BlocksResponse> for BlocksResponse {
    type Error = Error;

    fn try_from(message: generated::BlocksResponse) -> Result<Self, Error> {
        let blocks = field::list(message.blocks, "blocks", BLOCKS_MAX)?;
        Ok(Self { first_height: message.first_height, blocks })
    }
}

/// Names the message of a value, and how many bytes it may have.
macro_rules! portable {
    ($value:ident, $bytes_max:expr) => {
        impl Portable for $value {
            type Message = generated::$value;
            const NAME: &'static str = stringify!($value);
            const BYTES_MAX: usize = $bytes_max;
        }
    };
}

portable!(Vote, VOTE_BYTES_MAX);
portable!(Proposal, VOTE_BYTES_MAX);
portable!(ConsensusMessage, VOTE_BYTES_MAX + 16);
portable!(PolkaCertificate, message_bytes_max(VALIDATORS_MAX * 96));
portable!(RoundCertificate, message_bytes_max(ROUND_SIGNATURES_MAX * 144));
portable!(LivenessMessage, message_bytes_max(ROUND_SIGNATURES_MAX * 144) + 16);
portable!(ProposalPart, PART_BYTES_MAX + 1024);
portable!(ProposedValue, VOTE_BYTES_MAX);
portable!(PeerStatus, NEIGHBOURS_MAX * 36 + 64);
portable!(BlocksRequest, 64);
portable!(DecidedBlock, BLOCK_BYTES_MAX + message_bytes_max(CERTIFICATE_BYTES_MAX) + 64);
portable!(BlocksResponse, BLOCKS_BYTES_MAX + BLOCK_BYTES_MAX + BLOCKS_MAX * message_bytes_max(CERTIFICATE_BYTES_MAX));
