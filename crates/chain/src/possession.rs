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

use crate::identity::{ChainId, OrganisationId};
use crate::jws::KeyReference;
use crate::key::{PublicKey, SecretKey, Signature, SignatureInvalid};

/// Begins everything that is signed as a proof of possession.
const TAG: &str = "einvoice-key/1";

/// Begins everything that is signed as the approval of a change of keys.
const CHANGE_TAG: &str = "einvoice-keys/1";

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

/// A change of an organisation's keys, as its governance key approves it.
///
/// It signs lines, each ended by a newline, so that an approval is good for one chain, one organisation and one change:
///
/// ```text
/// einvoice-keys/1
/// <chain id>
/// <organisation>
/// <each step, in the words and in the order of those who read it>
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'c> {
    /// On which chain.
    pub chain: &'c ChainId,
    /// Whose keys.
    pub organisation: &'c OrganisationId,
    /// What is done, a line each.
    pub steps: &'c [String],
}

impl Change<'_> {
    /// Signs the change with a governance key.
    ///
    /// # Panics
    /// When a step is more than one line.
    pub fn sign(&self, governance: &SecretKey) -> Signature {
        governance.sign(self.sign_bytes().as_bytes())
    }

    /// Verifies that a governance key has signed the change.
    ///
    /// # Panics
    /// When a step is more than one line.
    pub fn verify(&self, governance: &PublicKey, approval: &Signature) -> Result<(), SignatureInvalid> {
        governance.verify_strict(self.sign_bytes().as_bytes(), approval)
    }

    /// What is signed. Changing this forks the chain.
    fn sign_bytes(&self) -> String {
        let Self { chain, organisation, steps } = self;
        let mut text = format!("{CHANGE_TAG}\n{chain}\n{organisation}\n");
        for step in *steps {
            assert!(!step.contains('\n'), "a step is one line");
            text.push_str(step);
            text.push('\n');
        }
        text
    }
}
