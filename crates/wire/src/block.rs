//! Headers, blocks and bodies.
//!
//! As in `chain`, what a block says about itself (counts, roots, sizes together) is not checked by
//! reading it: that is `check_shape`.

use chain::block::{
    BLOCK_BYTES_MAX, BODY_BYTES_MAX, Block, Body, COMMITTED_BLOCK_BYTES_MAX, CommittedBlock, HEADER_BYTES_MAX, Header,
    STATEMENTS_MAX, StateCheckpoint,
};

use crate::error::Error;
use crate::{Portable, field, generated, message_bytes_max};

impl From<&StateCheckpoint> for generated::StateCheckpoint {
    fn from(checkpoint: &StateCheckpoint) -> Self {
        Self { height: checkpoint.height, root: checkpoint.root.as_bytes().to_vec() }
    }
}

impl TryFrom<generated::StateCheckpoint> for StateCheckpoint {
    type Error = Error;

    fn try_from(message: generated::StateCheckpoint) -> Result<Self, Error> {
        Ok(Self { height: message.height, root: field::hash(&message.root, "root")? })
    }
}

impl From<&Header> for generated::Header {
    fn from(header: &Header) -> Self {
        Self {
            version: header.version.into(),
            suite: field::suite_number(header.suite),
            chain_id: header.chain.to_string(),
            height: header.height,
            parent: header.parent.as_bytes().to_vec(),
            time_ms: header.time_ms,
            proposer: header.proposer.as_bytes().to_vec(),
            statements_root: header.statements_root.as_bytes().to_vec(),
            statement_count: header.statement_count,
            log_root: header.log_root.as_bytes().to_vec(),
            log_size: header.log_size,
            writes_hash: header.writes_hash.as_bytes().to_vec(),
            state_checkpoint: Some((&header.state_checkpoint).into()),
            validators_hash: header.validators_hash.as_bytes().to_vec(),
            next_validators_hash: header.next_validators_hash.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<generated::Header> for Header {
    type Error = Error;

    fn try_from(message: generated::Header) -> Result<Self, Error> {
        Ok(Self {
            version: field::narrow(message.version, "version", "at most 65535")?,
            suite: field::suite(message.suite, "suite")?,
            chain: field::chain_id(&message.chain_id, "chain_id")?,
            height: message.height,
            parent: field::hash(&message.parent, "parent")?.into(),
            time_ms: message.time_ms,
            proposer: field::public_key(&message.proposer, "proposer")?,
            statements_root: field::hash(&message.statements_root, "statements_root")?,
            statement_count: message.statement_count,
            log_root: field::hash(&message.log_root, "log_root")?,
            log_size: message.log_size,
            writes_hash: field::hash(&message.writes_hash, "writes_hash")?,
            state_checkpoint: field::required(message.state_checkpoint, "state_checkpoint", "a state checkpoint")?,
            validators_hash: field::hash(&message.validators_hash, "validators_hash")?,
            next_validators_hash: field::hash(&message.next_validators_hash, "next_validators_hash")?,
        })
    }
}

impl Portable for Header {
    type Message = generated::Header;
    const NAME: &'static str = "Header";
    const BYTES_MAX: usize = message_bytes_max(HEADER_BYTES_MAX);
}

impl From<&Block> for generated::Block {
    fn from(block: &Block) -> Self {
        Self {
            header: Some((&block.header).into()),
            statements: block.statements.clone(),
            next_validators: block.next_validators.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<generated::Block> for Block {
    type Error = Error;

    fn try_from(message: generated::Block) -> Result<Self, Error> {
        Ok(Self {
            header: field::required(message.header, "header", "a header")?,
            statements: field::list_with(message.statements, "statements", STATEMENTS_MAX, Ok)?,
            next_validators: field::optional(message.next_validators, "next_validators")?,
        })
    }
}

impl Portable for Block {
    type Message = generated::Block;
    const NAME: &'static str = "Block";
    const BYTES_MAX: usize = message_bytes_max(BLOCK_BYTES_MAX);
}

impl From<&Body> for generated::Body {
    fn from(body: &Body) -> Self {
        let outcomes = body
            .outcomes
            .iter()
            .map(|outcomes| generated::StatementOutcomes { outcomes: outcomes.iter().map(Into::into).collect() });
        Self { block: Some((&body.block).into()), outcomes: outcomes.collect() }
    }
}

impl TryFrom<generated::Body> for Body {
    type Error = Error;

    fn try_from(message: generated::Body) -> Result<Self, Error> {
        let of_statement = |message: generated::StatementOutcomes| {
            field::list(message.outcomes, "outcomes", chain::statement::Limits::default().events_max)
        };
        Ok(Self {
            block: field::required(message.block, "block", "a block")?,
            outcomes: field::list_with(message.outcomes, "outcomes", STATEMENTS_MAX, of_statement)?,
        })
    }
}

impl Portable for Body {
    type Message = generated::Body;
    const NAME: &'static str = "Body";
    const BYTES_MAX: usize = message_bytes_max(BODY_BYTES_MAX);
}

impl From<&CommittedBlock> for generated::CommittedBlock {
    fn from(block: &CommittedBlock) -> Self {
        Self { body: block.body.encode(), certificate: Some((&block.certificate).into()) }
    }
}

impl TryFrom<generated::CommittedBlock> for CommittedBlock {
    type Error = Error;

    fn try_from(message: generated::CommittedBlock) -> Result<Self, Error> {
        let body = Body::decode(&message.body);
        Ok(Self {
            body: body.map_err(|error| Error::undecodable("body", "an encoded body", &error))?,
            certificate: field::required(message.certificate, "certificate", "a commit certificate")?,
        })
    }
}

impl Portable for CommittedBlock {
    type Message = generated::CommittedBlock;
    const NAME: &'static str = "CommittedBlock";
    const BYTES_MAX: usize = message_bytes_max(COMMITTED_BLOCK_BYTES_MAX);
}
