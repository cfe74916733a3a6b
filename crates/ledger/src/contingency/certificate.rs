//! Offline certificates: what a holder of a segment signs when it issues an invoice without a node.
//!
//! It names the document by the hash of its content, so a buyer holds it against the document that it was given.

use std::fmt;
use std::str::FromStr;

use chain::hash::Hash;
use chain::identity::ChainId;
use chain::json;
use chain::jws::KeyReference;
use chain::key::SecretKey;
use chain::offline::{Offline, OfflineError};
use invoice::amount::Amount;
use invoice::document::{Document, Profile};
use invoice::id::InvoiceId;
use invoice::taxpayer::TaxpayerId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a certificate claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineClaims {
    /// The segment, by its first number.
    pub segment: InvoiceId,
    /// The invoice's number out of it.
    pub invoice: InvoiceId,
    /// The seller.
    pub seller: TaxpayerId,
    /// What the invoice comes to with tax.
    pub gross: Amount,
    /// Hash of the document's content, however its JSON was written.
    pub content: Hash,
    /// When it was issued offline, ms UTC.
    pub issued_ms: i64,
    /// Until when it must be on the ledger, ms UTC.
    pub submit_by_ms: i64,
}

impl OfflineClaims {
    /// What a certificate of a document claims.
    pub fn new(document: &Document, segment: InvoiceId, invoice: InvoiceId, issued_ms: i64, submit_by_ms: i64) -> Self {
        Self {
            segment,
            invoice,
            seller: document.seller.taxpayer_id.clone(),
            gross: document.totals.gross,
            content: content_of(document),
            issued_ms,
            submit_by_ms,
        }
    }

    /// Whether these are claims about a document, and the number is one that its profile has.
    pub fn are_of(&self, document: &Document) -> bool {
        let numbered = match self.invoice {
            InvoiceId::Blockchain { .. } => document.profile == Profile::BlockchainOrdinary,
            InvoiceId::Digital { .. } => document.profile != Profile::BlockchainOrdinary,
        };
        numbered && *self == Self::new(document, self.segment, self.invoice, self.issued_ms, self.submit_by_ms)
    }
}

fn content_of(document: &Document) -> Hash {
    Hash::from_bytes(*document.content_hash().as_bytes())
}

/// An offline certificate whose claims are read. It proves nothing until [`Offline::verify`] says so.
#[derive(Clone, PartialEq, Eq)]
pub struct OfflineCertificate {
    offline: Offline,
    claims: OfflineClaims,
}

impl OfflineCertificate {
    /// Signs claims with the key that the segment was granted for.
    pub fn sign(key: KeyReference, chain: ChainId, claims: OfflineClaims, secret: &SecretKey) -> Self {
        let payload = serde_json::to_vec(&claims).expect("texts and numbers always serialise");
        Self { offline: Offline::sign(key, chain, payload, secret), claims }
    }

    /// Who signed it, with which key, for which chain.
    pub const fn signed(&self) -> &Offline {
        &self.offline
    }

    /// What it claims.
    pub const fn claims(&self) -> &OfflineClaims {
        &self.claims
    }
}

impl FromStr for OfflineCertificate {
    type Err = OfflineError;

    /// Reads a certificate, strictly.
    fn from_str(text: &str) -> Result<Self, OfflineError> {
        let offline = Offline::parse(text)?;
        let claims = json::from_slice(offline.payload()).map_err(OfflineError::Claims)?;
        Ok(Self { offline, claims })
    }
}

impl fmt::Display for OfflineCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.offline.as_str())
    }
}

impl fmt::Debug for OfflineCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfflineCertificate({} by {})", self.claims.invoice, self.offline.key())
    }
}

impl Serialize for OfflineCertificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.offline.as_str())
    }
}

impl<'de> Deserialize<'de> for OfflineCertificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
