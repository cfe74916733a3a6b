//! JWS in JSON General Serialisation (RFC 7515 §7.2.1): one payload under the signatures of several keys.
//!
//! Owns what genesis and introductions have in common: the file, its one spelling, the protected
//! header and the signing input. What a file means, and which keys must have signed it, is theirs.

use serde::{Deserialize, Serialize};

use super::{Algorithm, KeyReference};
use crate::encoding::{decode_base64url, encode_base64url};
use crate::json;
use crate::key::{PublicKey, SecretKey, Signature, SignatureInvalid};

/// The file. The order of the fields is that of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) payload: String,
    pub(crate) signatures: Vec<FileSignature>,
}

/// One signature of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSignature {
    /// base64url of the protected header, kept as it was signed.
    pub(crate) protected: String,
    pub(crate) signature: Signature,
}

/// The protected header of a signature, in the order we write it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedHeader {
    alg: Algorithm,
    typ: String,
    kid: KeyReference,
}

impl File {
    /// A file of a payload and its signatures.
    pub(crate) fn new(payload: &[u8], signatures: Vec<FileSignature>) -> Self {
        Self { payload: encode_base64url(payload), signatures }
    }

    /// The file's bytes, in its one spelling: compact JSON with the members in the order `payload`,
    /// `signatures`, `protected`, `signature`, and a newline at the end.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("the file has string keys only, and memory takes every write");
        bytes.push(b'\n');
        bytes
    }
}

impl FileSignature {
    /// Signs a payload as a kind of document.
    ///
    /// Changing what is signed makes every file invalid that was made before.
    pub(crate) fn new(typ: &str, by: &KeyReference, key: &SecretKey, payload: &[u8]) -> Self {
        let header = ProtectedHeader { alg: Algorithm::EdDsa, typ: typ.to_owned(), kid: by.clone() };
        let header = serde_json::to_vec(&header).expect("three strings, and memory takes every write");
        let protected = encode_base64url(&header);
        let signature = key.sign(signing_input(&protected, payload).as_bytes());
        Self { protected, signature }
    }

    /// Which key its protected header names, the header's form checked; else what is wrong with it.
    pub(crate) fn signer(&self, typ: &str) -> Result<KeyReference, String> {
        let bytes = decode_base64url(&self.protected).map_err(|error| error.to_string())?;
        let header: ProtectedHeader = json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if header.typ == typ { Ok(header.kid) } else { Err(format!("expected typ {typ}, found {:?}", header.typ)) }
    }

    /// Verifies it under a key.
    pub(crate) fn verify(&self, key: &PublicKey, payload: &[u8]) -> Result<(), SignatureInvalid> {
        key.verify_strict(signing_input(&self.protected, payload).as_bytes(), &self.signature)
    }
}

/// The JWS signing input (RFC 7515 §5.1).
fn signing_input(protected: &str, payload: &[u8]) -> String {
    format!("{protected}.{}", encode_base64url(payload))
}

/// Holds a file against its one spelling; its last newline may be missing. Else the first byte that differs.
pub(crate) fn check_spelling(found: &[u8], expected: &[u8]) -> Result<(), usize> {
    if found == expected || expected.strip_suffix(b"\n") == Some(found) {
        return Ok(());
    }
    Err(found.iter().zip(expected).take_while(|(found, expected)| found == expected).count())
}
