//! Receipts. Whether one proves anything is for `chain` to say.

use chain::block::OUTCOME_RECORD_BYTES_MAX;
use chain::merkle::PROOF_HASHES_MAX;
use chain::receipt::{RECEIPT_BYTES_MAX, Receipt, ValidatorChange};

use crate::error::Error;
use crate::{Portable, field, generated};

/// How many changes of the validator set a receipt may follow. As JSON, where each takes more than
/// a kilobyte, a receipt has room for fewer.
const VALIDATOR_CHANGES_MAX: usize = 4096;

impl From<&ValidatorChange> for generated::ValidatorChange {
    fn from(change: &ValidatorChange) -> Self {
        Self {
            header: Some(Box::new((&change.header).into())),
            certificate: Some(Box::new((&change.certificate).into())),
            next_validators: Some((&change.next_validators).into()),
        }
    }
}

impl TryFrom<generated::ValidatorChange> for ValidatorChange {
    type Error = Error;

    fn try_from(message: generated::ValidatorChange) -> Result<Self, Error> {
        Ok(Self {
            header: field::required(message.header.map(|header| *header), "header", "a header")?,
            certificate: field::required(
                message.certificate.map(|certificate| *certificate),
                "certificate",
                "a commit certificate",
            )?,
            next_validators: field::required(message.next_validators, "next_validators", "a validator set")?,
        })
    }
}

impl From<&Receipt> for generated::Receipt {
    fn from(receipt: &Receipt) -> Self {
        Self {
            version: receipt.version.into(),
            suite: field::suite_number(receipt.suite),
            chain_id: receipt.chain.to_string(),
            leaf: Some((&receipt.leaf).into()),
            record: receipt.record.clone(),
            leaf_index: receipt.leaf_index,
            tree_size: receipt.tree_size,
            inclusion: receipt.inclusion.iter().map(|node| node.as_bytes().to_vec()).collect(),
            header: Some((&receipt.header).into()),
            certificate: Some((&receipt.certificate).into()),
            validator_changes: receipt.validator_changes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<generated::Receipt> for Receipt {
    type Error = Error;

    fn try_from(message: generated::Receipt) -> Result<Self, Error> {
        field::size(message.record.len(), "record", OUTCOME_RECORD_BYTES_MAX)?;
        let node = |bytes: Vec<u8>| field::hash(&bytes, "");
        Ok(Self {
            version: field::narrow(message.version, "version", "at most 65535")?,
            suite: field::suite(message.suite, "suite")?,
            chain: field::chain_id(&message.chain_id, "chain_id")?,
            leaf: field::required(message.leaf, "leaf", "a leaf")?,
            record: message.record,
            leaf_index: message.leaf_index,
            tree_size: message.tree_size,
            inclusion: field::list_with(message.inclusion, "inclusion", PROOF_HASHES_MAX, node)?,
            header: field::required(message.header, "header", "a header")?,
            certificate: field::required(message.certificate, "certificate", "a commit certificate")?,
            validator_changes: field::list(message.validator_changes, "validator_changes", VALIDATOR_CHANGES_MAX)?,
        })
    }
}

impl Portable for Receipt {
    type Message = generated::Receipt;
    const NAME: &'static str = "Receipt";
    // Its JSON, with every byte in base64url or hexadecimal, is larger.
    const BYTES_MAX: usize = RECEIPT_BYTES_MAX;
}
