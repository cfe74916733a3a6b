//! Keys and signatures: Ed25519 (RFC 8032), verified strictly everywhere.
//!
//! Owns which public keys are admitted and the one verdict on a signature. Two validators that
//! disagreed on a crafted key or signature would split the chain, so both are as narrow as they
//! can be: canonical encodings, no small order, no torsion component, `S` below the group order.
//!
//! There is no public "sign these bytes": each purpose has a named function in its own module.

mod multiples;
mod prepared;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

pub use self::prepared::{PreparedKey, PreparedKeys};

use crate::encoding::{Base64Error, decode_base64url_array, deserialize_from_str, encode_base64url, invalid_borsh};

/// A public key that is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes of base64url.
    #[error("the public key is not 32 bytes of base64url")]
    Encoding(#[from] Base64Error),
    /// No point of the curve has this encoding.
    #[error("the public key is no point of the curve")]
    NotOnCurve,
    /// The point has another, canonical encoding.
    #[error("the public key is encoded in a second spelling")]
    NotCanonical,
    /// The point has order 8 or less: signatures under it prove nothing.
    #[error("the public key is a point of small order")]
    SmallOrder,
    /// The point has a component of small order: verifiers could disagree about its signatures.
    #[error("the public key has a torsion component")]
    Torsion,
}

/// A signature that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under the key")]
pub struct SignatureInvalid;

/// An admitted Ed25519 public key.
///
/// Ordered by its bytes. JSON and text: base64url. Borsh: the 32 bytes. Both are checked when
/// read, which costs about as much as verifying a signature; keep the value, do not read it twice.
#[derive(Clone, Copy)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Admits a key from its 32 bytes (RFC 8032 §5.1.5).
    ///
    /// Refused: bytes that are no point, a second spelling (`y >= p`, or the sign bit set although
    /// `x = 0`), points of small order, and points with a torsion component.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let compressed = CompressedEdwardsY(*bytes);
        let point = compressed.decompress().ok_or(KeyError::NotOnCurve)?;
        // Decompression reduces y and ignores the sign of zero; compression tells them apart.
        if point.compress() != compressed {
            return Err(KeyError::NotCanonical);
        }
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(KeyError::Torsion);
        }
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
        Ok(Self(key))
    }

    /// A key from bytes that were admitted before, by [`PublicKey::from_bytes`] on this or another
    /// validator: what a ledger keeps. Costs a tenth of admitting them again.
    ///
    /// Never for bytes that somebody sends.
    pub fn from_admitted_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Verifies a signature as RFC 8032 §5.1.7 without the cofactor, and refuses `S` at or above
    /// the group order, and an `R` of small order or in a second spelling.
    ///
    /// This is the only verdict there is: mempool, check, sync and audit all come here, or to [`PreparedKey`], which
    /// computes the same point faster.
    pub fn verify_strict(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureInvalid> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|_| SignatureInvalid)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl std::hash::Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode_base64url(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&decode_base64url_array(text)?)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_str(deserializer, "a public key, 32 bytes of base64url")
    }
}

impl BorshSerialize for PublicKey {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        writer.write_all(self.as_bytes())
    }
}

impl BorshDeserialize for PublicKey {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let bytes: [u8; 32] = BorshDeserialize::deserialize_reader(reader)?;
        Self::from_bytes(&bytes).map_err(invalid_borsh)
    }
}

/// An Ed25519 signature: 64 bytes, judged only by [`PublicKey::verify_strict`].
///
/// JSON and text: base64url. Borsh: the 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature([u8; 64]);

impl Signature {
    /// A signature from its bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The signature's bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode_base64url(&self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = Base64Error;

    fn from_str(text: &str) -> Result<Self, Base64Error> {
        decode_base64url_array(text).map(Self)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_from_str(deserializer, "a signature, 64 bytes of base64url")
    }
}

/// An Ed25519 secret key. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key that grows from a seed (RFC 8032 §5.1.5). The caller brings the randomness.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&Zeroizing::new(seed)))
    }

    /// The seed, for key files.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key that belongs to this one.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs bytes of this crate's making. Each purpose has its own public function.
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public())
    }
}
