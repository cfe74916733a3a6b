//! The proof that a header is decided, for what is proved against a header and is no event: the state that it vouches for.

use serde::{Deserialize, Serialize};

use super::{Decided, ReceiptError, ValidatorChange, serde_bytes};
use crate::block::Header;
use crate::certificate::CommitCertificate;
use crate::genesis::Genesis;

/// A header, and the proof that the validators of its chain decided it. JSON with exactly these members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecidedHeader {
    /// The header; JSON: base64url of its bytes.
    #[serde(with = "serde_bytes::header")]
    pub header: Header,
    /// Its block's certificate.
    pub certificate: CommitCertificate,
    /// The changes of the validator set before that block, in order.
    pub validator_changes: Vec<ValidatorChange>,
}

impl DecidedHeader {
    /// Checks the proof against a genesis that the verifier has from elsewhere, and gives the header.
    ///
    /// # Errors
    /// Those of [`Receipt::verify`](super::Receipt::verify) that are about the header.
    pub fn verify(&self, genesis: &Genesis) -> Result<&Header, ReceiptError> {
        let mut decided = Decided { genesis, validators: genesis.validator_set(), height: 0 };
        for change in &self.validator_changes {
            decided = decided.change(change)?;
        }
        decided.check(&self.header, &self.certificate)?;
        Ok(&self.header)
    }
}
