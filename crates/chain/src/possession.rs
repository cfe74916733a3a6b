//! Possession: that whoever brings a new key onto a chain holds its private half.
//!
//! What an introduction shows of all its keys at once, a key that comes later shows for itself. It signs five lines, each
//! ended by a newline, which any language writes:
//!
//! ```text
//! einvoice-key/1
//! <chain id>
//! <organisation>/<key id>
//! <the public key, base64url>
//! <what the key is for, in the words of those who read it>
//! ```
//!
//! So a proof is good for one chain, one organisation, one key id and one use, and for nothing that is signed elsewhere.

#[cfg(test)]
mod tests;

use crate::identity::ChainId;
use crate::jws::KeyReference;
use crate::key::{PublicKey, SecretKey, Signature, SignatureInvalid};

/// Begins everything that is signed as a proof of possession.
const TAG: &str = "einvoice-key/1";

/// What a new key is to be: what it signs besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer<'o> {
    /// On which chain.
    pub chain: &'o ChainId,
    /// Whose key, and under which id.
    pub key: &'o KeyReference,
    /// What for: one line.
    pub terms: &'o str,
}

impl Offer<'_> {
    /// Signs the offer with the key that is offered.
    ///
    /// # Panics
    /// When the terms are more than one line: two offers could be the same bytes.
    pub fn sign(&self, key: &SecretKey) -> Signature {
        key.sign(self.sign_bytes(&key.public()).as_bytes())
    }

    /// Verifies that the key itself has signed the offer.
    ///
    /// # Panics
    /// When the terms are more than one line.
    pub fn verify(&self, public: &PublicKey, proof: &Signature) -> Result<(), SignatureInvalid> {
        public.verify_strict(self.sign_bytes(public).as_bytes(), proof)
    }

    /// What is signed. Changing this forks the chain.
    fn sign_bytes(&self, public: &PublicKey) -> String {
        let Self { chain, key, terms } = self;
        assert!(!terms.contains('\n'), "the terms of a key are one line");
        format!("{TAG}\n{chain}\n{key}\n{public}\n{terms}\n")
    }
}
