//! Events about numbers for a contingency, and the invoices that were issued from them offline.

use chain::identity::{KeyId, OrganisationId};
use invoice::document::Document;
use invoice::id::InvoiceId;
use serde::{Deserialize, Deserializer, Serialize};

use crate::contingency::{DEADLINE_HOURS_MAX, NumberingKind, OfflineCertificate, SEGMENT_NUMBERS_MAX};

/// Grant a seller or a service provider a segment of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentGrant {
    /// Who issues from it.
    pub to: OrganisationId,
    /// With which of its keys for statements it signs offline.
    pub key: KeyId,
    /// How the invoices are numbered.
    pub numbering: NumberingKind,
    /// How many numbers: 1 to 1,000. The ledger says which.
    #[serde(deserialize_with = "count")]
    pub count: u32,
    /// Until when it may issue offline, ms UTC.
    pub valid_until_ms: i64,
    /// Within how many hours after that an invoice must be submitted: 1 to 168.
    #[serde(deserialize_with = "hours")]
    pub deadline_hours: u16,
}

/// Close a segment, and declare the numbers of it that no invoice has as gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentClose {
    /// The segment, by its first number.
    pub segment: InvoiceId,
}

/// Submit an invoice that was issued offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineIssue {
    /// The document, as the buyer has it.
    pub document: Document,
    /// The certificate that was signed then: it names the number, the time and the document.
    pub certificate: OfflineCertificate,
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let count = <u32 as Deserialize>::deserialize(deserializer)?;
    if (1..=SEGMENT_NUMBERS_MAX).contains(&count) {
        return Ok(count);
    }
    Err(serde::de::Error::custom(format!("expected 1 to {SEGMENT_NUMBERS_MAX} numbers, found {count}")))
}

fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let hours = <u16 as Deserialize>::deserialize(deserializer)?;
    if (1..=DEADLINE_HOURS_MAX).contains(&hours) {
        return Ok(hours);
    }
    Err(serde::de::Error::custom(format!("expected 1 to {DEADLINE_HOURS_MAX} hours, found {hours}")))
}
