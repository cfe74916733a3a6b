//! Events about red letters.

use borsh::BorshSerialize;
use chain::hash::Hash;
use invoice::document::Document;
use invoice::id::InvoiceId;
use invoice::red::Part;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ClaimId, VoidReason};

/// Leads the bytes under a content hash of a red letter, so that no other structure can have the same. Changing this forks
/// the chain.
const CONTENT_TAG: &[u8; 14] = b"einvoice-red-1";

/// What of a blue is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// All that is left of it.
    Full,
    /// So much of these lines, in the blue's order.
    Lines(Vec<Part>),
}

/// Ask the other side to agree to a red letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedRequest {
    /// The blue.
    pub invoice: InvoiceId,
    /// The blue's document as it was issued: the ledger's state holds the hash of it alone.
    pub document: Document,
    /// Why.
    pub reason: VoidReason,
    /// What is to be taken back.
    pub take: Take,
}

/// Agree to the red letter that the other side asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedConfirm {
    /// The blue.
    pub invoice: InvoiceId,
    /// The slip's number: of the newest one.
    pub slip: u32,
}

/// Do not agree to the red letter that the other side asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedDeny {
    /// The blue.
    pub invoice: InvoiceId,
    /// The slip's number: of the newest one.
    pub slip: u32,
}

/// Ask for a red letter no longer, confirmed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedWithdraw {
    /// The blue.
    pub invoice: InvoiceId,
    /// The slip's number: of the newest one.
    pub slip: u32,
}

/// Issue a red letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueRed {
    /// The blue.
    pub invoice: InvoiceId,
    /// The blue's document as it was issued: the ledger's state holds the hash of it alone.
    pub document: Document,
    /// The seller's own number of the red letter, unique for this seller among all its documents, for ever: 1 to 64
    /// printable ASCII characters without space.
    #[serde(deserialize_with = "reference")]
    pub reference: String,
    /// Why.
    pub reason: VoidReason,
    /// What is taken back.
    pub take: Take,
    /// The slip that allows it: needed once the blue is booked, used, claimed or handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slip: Option<u32>,
}

impl IssueRed {
    /// SHA-256 over what it says: the same however its JSON was spelt. Changing this forks the chain.
    pub fn content_hash(&self) -> Hash {
        let blue = *self.document.content_hash().as_bytes();
        let said = (self.invoice.to_string(), blue, &self.reference, self.reason, &self.take, self.slip);
        let bytes = borsh::to_vec(&said).expect("writing to memory cannot fail below 4 GiB a field");
        Hash::of_parts(&[CONTENT_TAG, &bytes])
    }
}

/// What documents have for a reference is what claims have for an id.
fn reference<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let reference = <String as Deserialize>::deserialize(deserializer)?;
    match reference.parse::<ClaimId>() {
        Ok(_) => Ok(reference),
        Err(error) => Err(serde::de::Error::custom(error)),
    }
}
