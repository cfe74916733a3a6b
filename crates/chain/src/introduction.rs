//! Introduction: the one file that an organisation hands out before it is on a ledger, signed by every key in it.
//!
//! The file is a JWS in JSON General Serialisation (RFC 7515 §7.2.1). Its payload is JSON that this
//! crate does not read: the ledger knows what an organisation is. What stands here is that every key
//! which the payload names has signed it, so that nobody brings a key that is not his, and that a
//! changed byte is always noticed. The same object stands in the event that brings an organisation
//! onto a chain that runs; spelled as the event is, since that is signed as a whole.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::encoding::{Base64Error, decode_base64url};
use crate::hash::Hash;
use crate::json::{self, JsonError};
use crate::jws::KeyReference;
use crate::jws::general::{self, File, FileSignature};
use crate::key::{PublicKey, SecretKey};

/// How many bytes an introduction may have: 64 KiB.
pub const INTRODUCTION_BYTES_MAX: usize = 64 * 1024;

/// The `typ` of a signature's protected header.
pub const INTRODUCTION_TYP: &str = "einvoice-introduction+jws";

/// An introduction that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntroductionError {
    /// The file is too large.
    #[error("the introduction exceeds the limit of {bytes_max} bytes")]
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The file is no JWS in JSON General Serialisation.
    #[error("the introduction is malformed")]
    File(#[source] JsonError),
    /// The file means what it should, in another spelling.
    #[error("the introduction is not in its one spelling, first seen at byte {offset}")]
    Spelling {
        /// The first byte that differs.
        offset: usize,
    },
    /// The payload is no base64url.
    #[error("the introduction's payload is malformed")]
    Payload(#[source] Base64Error),
    /// A signature's protected header is malformed.
    #[error("the protected header of signature {place} is malformed: {reason}")]
    Protected {
        /// The signature's place, from 0.
        place: usize,
        /// What is wrong.
        reason: String,
    },
    /// A signature that is not in its place, or stands twice.
    #[error("the signature of {key} is not in its place: sorted by key reference, each once")]
    NotSorted {
        /// The key that signed.
        key: KeyReference,
    },
    /// A signature by a key that the introduction does not name.
    #[error("{key} signed the introduction and is no key of it")]
    UnknownSigner {
        /// The key.
        key: KeyReference,
    },
    /// A signature that does not verify.
    #[error("the signature of {key} does not verify under {public}: nobody has shown that it is its owner's")]
    Signature {
        /// The key.
        key: KeyReference,
        /// Its public half.
        public: Box<PublicKey>,
    },
    /// A key that has not signed.
    #[error("{key} has not signed: nobody has shown that it is its owner's")]
    Missing {
        /// The key.
        key: KeyReference,
    },
}

/// The file of an introduction: its payload's exact bytes, and the signatures it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIntroduction {
    payload: Vec<u8>,
    signatures: Vec<(KeyReference, FileSignature)>,
}

impl SignedIntroduction {
    /// Signs a payload with all these keys.
    pub fn sign(payload: Vec<u8>, keys: &BTreeMap<KeyReference, &SecretKey>) -> Self {
        let sign = |(by, key): (&KeyReference, &&SecretKey)| {
            (by.clone(), FileSignature::new(INTRODUCTION_TYP, by, key, &payload))
        };
        let signatures = keys.iter().map(sign).collect();
        Self { payload, signatures }
    }

    /// Reads a file. Whether its signatures verify, and are those that must be there, is for
    /// [`SignedIntroduction::verify`], because the keys stand in the payload.
    pub fn parse(bytes: &[u8]) -> Result<Self, IntroductionError> {
        if bytes.len() > INTRODUCTION_BYTES_MAX {
            return Err(IntroductionError::TooLarge { bytes_max: INTRODUCTION_BYTES_MAX });
        }
        let read = Self::from_file(json::from_slice(bytes).map_err(IntroductionError::File)?)?;
        general::check_spelling(bytes, &read.to_bytes()).map_err(|offset| IntroductionError::Spelling { offset })?;
        Ok(read)
    }

    fn from_file(file: File) -> Result<Self, IntroductionError> {
        let payload = decode_base64url(&file.payload).map_err(IntroductionError::Payload)?;
        let mut signatures: Vec<(KeyReference, FileSignature)> = Vec::new();
        for (place, signature) in file.signatures.into_iter().enumerate() {
            let key =
                signature.signer(INTRODUCTION_TYP).map_err(|reason| IntroductionError::Protected { place, reason })?;
            if signatures.last().is_some_and(|(before, _)| *before >= key) {
                return Err(IntroductionError::NotSorted { key });
            }
            signatures.push((key, signature));
        }
        Ok(Self { payload, signatures })
    }

    fn to_file(&self) -> File {
        File::new(&self.payload, self.signatures.iter().map(|(_, signature)| signature.clone()).collect())
    }

    /// The file's bytes, in its one spelling: the signatures sorted by key reference, and a newline
    /// at the end (the only byte that may be missing).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_file().to_bytes()
    }

    /// What is introduced, as JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// How many keys have signed it, each once.
    pub fn signature_count(&self) -> usize {
        self.signatures.len()
    }

    /// SHA-256 of the payload: what two people compare to know that they have the same file.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&self.payload)
    }

    /// Checks that exactly these keys have signed.
    pub fn verify(&self, keys: &BTreeMap<KeyReference, PublicKey>) -> Result<(), IntroductionError> {
        for (by, signature) in &self.signatures {
            let public = keys.get(by).ok_or_else(|| IntroductionError::UnknownSigner { key: by.clone() })?;
            if signature.verify(public, &self.payload).is_err() {
                return Err(IntroductionError::Signature { key: by.clone(), public: Box::new(*public) });
            }
        }
        // Each signed once, since `parse` sees to it.
        match keys.keys().find(|key| !self.signatures.iter().any(|(by, _)| by == *key)) {
            Some(key) => Err(IntroductionError::Missing { key: key.clone() }),
            None => Ok(()),
        }
    }
}

impl Serialize for SignedIntroduction {
    /// As the object of its file.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_file().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SignedIntroduction {
    /// From the object of a file, inside of a text whose own spelling somebody else sees to.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_file(File::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
