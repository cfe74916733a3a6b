//! Offline certificates: what an organisation signs for others while it cannot reach a node.
//!
//! A compact JWS, so that every language verifies it with a library it has. Header: `alg`, `typ`, `kid`, `chain`. Its
//! type keeps it apart from statements, which the same key signs. What it claims is for the rules to say; here it is JSON
//! that is read strictly.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::identity::ChainId;
use crate::json::JsonError;
use crate::jws::{self, Algorithm, Compact, JwsError, KeyReference};
use crate::key::{PublicKey, SecretKey, Signature};

/// The `typ` of every offline certificate.
pub const CERTIFICATE_TYPE: &str = "einvoice-offline+jws";
/// Bytes of a certificate at most.
pub const CERTIFICATE_BYTES_MAX: usize = 4 * 1024;

/// Text that is no offline certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    /// Not a compact JWS in its canonical spelling.
    #[error("the certificate is not a compact JWS: {0}")]
    Jws(#[source] JwsError),
    /// The header is not strict JSON with exactly `alg`, `typ`, `kid` and `chain`.
    #[error("the certificate's header is malformed: {0}")]
    Header(#[source] JsonError),
    /// The payload is not strict JSON with exactly what a certificate claims.
    #[error("the certificate's claims are malformed: {0}")]
    Claims(#[source] JsonError),
    /// `typ` is another type.
    #[error("the certificate's typ is not {CERTIFICATE_TYPE}")]
    Type,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: Algorithm,
    typ: String,
    kid: KeyReference,
    chain: ChainId,
}

/// An offline certificate that is well-formed. It proves nothing until [`Offline::verify`] says so.
#[derive(Clone, PartialEq, Eq)]
pub struct Offline {
    text: String,
    /// How many bytes of the text the signature covers.
    signing: usize,
    payload: Vec<u8>,
    signature: Signature,
    key: KeyReference,
    chain: ChainId,
}

impl Offline {
    /// Signs claims, which are JSON, for a chain.
    pub fn sign(key: KeyReference, chain: ChainId, payload: Vec<u8>, secret: &SecretKey) -> Self {
        let header = Header { alg: Algorithm::EdDsa, typ: CERTIFICATE_TYPE.to_owned(), kid: key, chain };
        let head = serde_json::to_vec(&header).expect("strings always serialise");
        let input = jws::signing_input(&head, &payload);
        let signature = secret.sign(input.as_bytes());
        let text = jws::complete(&input, &signature);
        Self { signing: input.len(), text, payload, signature, key: header.kid, chain: header.chain }
    }

    /// Reads a certificate, strictly; what it claims is not looked at.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn parse(text: &str) -> Result<Self, OfflineError> {
        let jws = Compact::parse(text.as_bytes(), CERTIFICATE_BYTES_MAX).map_err(OfflineError::Jws)?;
        let header: Header = jws::read_header(&jws.header).map_err(OfflineError::Header)?;
        if header.typ != CERTIFICATE_TYPE {
            return Err(OfflineError::Type);
        }
        let (signing, signature, payload) = (jws.signing_input.len(), jws.signature, jws.payload);
        Ok(Self { text: text.to_owned(), signing, payload, signature, key: header.kid, chain: header.chain })
    }

    /// Who signed it, with which key, as it says itself.
    pub const fn key(&self) -> &KeyReference {
        &self.key
    }

    /// For which chain.
    pub const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// What it claims, as JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The compact JWS.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the compact JWS.
    pub fn hash(&self) -> Hash {
        Hash::of(self.text.as_bytes())
    }

    /// Whether the signature is that of a key.
    pub fn verify(&self, key: &PublicKey) -> bool {
        let input = self.text.as_bytes().get(..self.signing).unwrap_or_default();
        key.verify_strict(input, &self.signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Statement;

    fn certificate(payload: &str) -> Offline {
        let chain = format!("test@{}", Hash::of(b"genesis")).parse().unwrap();
        let secret = SecretKey::from_seed([7; 32]);
        Offline::sign("isp/s1".parse().unwrap(), chain, payload.as_bytes().to_vec(), &secret)
    }

    #[test]
    fn what_was_signed_is_read_again_and_verifies_under_its_key_alone() {
        let signed = certificate(r#"{"a":"b"}"#);
        let read = Offline::parse(signed.as_str()).unwrap();
        assert!(read == signed && read.payload() == br#"{"a":"b"}"#);
        assert_eq!(read.key().to_string(), "isp/s1");
        assert!(read.verify(&SecretKey::from_seed([7; 32]).public()));
        assert!(!read.verify(&SecretKey::from_seed([8; 32]).public()));
        // Another payload under the same signature is another certificate, and does not hold.
        let other = certificate(r#"{"a":"c"}"#);
        let parts: Vec<&str> = signed.as_str().split('.').collect();
        let payload = other.as_str().split('.').nth(1).unwrap();
        let forged = Offline::parse(&format!("{}.{payload}.{}", parts[0], parts[2])).unwrap();
        assert!(!forged.verify(&SecretKey::from_seed([7; 32]).public()));
    }

    #[test]
    fn it_is_no_statement_and_a_statement_is_none() {
        let signed = certificate(r#"{"mode":"all","events":[{}]}"#);
        assert!(Statement::parse(signed.as_str().as_bytes(), &crate::statement::Limits::default()).is_err());
        for wrong in ["", "a.b", "e30.e30.AA", "\u{0}"] {
            assert!(Offline::parse(wrong).is_err(), "{wrong}");
        }
        let long = format!("{}.e30.AA", "A".repeat(CERTIFICATE_BYTES_MAX));
        assert!(matches!(Offline::parse(&long), Err(OfflineError::Jws(_))));
    }
}
