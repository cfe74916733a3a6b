//! Commit certificates. Whether one proves anything is for `chain` to say.

use chain::certificate::{CERTIFICATE_BYTES_MAX, CommitCertificate, CommitSignature};
use chain::validators::VALIDATORS_MAX;

use crate::error::Error;
use crate::{Portable, field, generated, message_bytes_max};

impl From<&CommitSignature> for generated::CommitSignature {
    fn from(signature: &CommitSignature) -> Self {
        Self { validator: signature.validator.as_bytes().to_vec(), signature: signature.signature.as_bytes().to_vec() }
    }
}

impl TryFrom<generated::CommitSignature> for CommitSignature {
    type Error = Error;

    fn try_from(message: generated::CommitSignature) -> Result<Self, Error> {
        Ok(Self {
            validator: field::public_key(&message.validator, "validator")?,
            signature: field::signature(&message.signature, "signature")?,
        })
    }
}

impl From<&CommitCertificate> for generated::CommitCertificate {
    fn from(certificate: &CommitCertificate) -> Self {
        Self {
            suite: field::suite_number(certificate.suite),
            height: certificate.height,
            round: certificate.round,
            block_id: certificate.block_id.as_bytes().to_vec(),
            signatures: certificate.signatures.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<generated::CommitCertificate> for CommitCertificate {
    type Error = Error;

    fn try_from(message: generated::CommitCertificate) -> Result<Self, Error> {
        Ok(Self {
            suite: field::suite(message.suite, "suite")?,
            height: message.height,
            round: message.round,
            block_id: field::hash(&message.block_id, "block_id")?.into(),
            signatures: field::list(message.signatures, "signatures", VALIDATORS_MAX)?,
        })
    }
}

impl Portable for CommitCertificate {
    type Message = generated::CommitCertificate;
    const NAME: &'static str = "CommitCertificate";
    const BYTES_MAX: usize = message_bytes_max(CERTIFICATE_BYTES_MAX);
}
