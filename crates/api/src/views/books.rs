//! An invoice in its buyer's books, and what its parties say of it.

use ledger::bookkeeping::{BookingRecord, BookingTerms, UseRecord};
use ledger::manifestation::{CorrectionRecord, ManifestationRecord};
use serde::Serialize;
use utoipa::ToSchema;

use crate::books::{booking_code, use_purpose};
use crate::schema;
use crate::time::format_ms;

/// How an invoice is booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BookingTermsView {
    /// `02`, deductible from income for corporate income tax, or `03`, not deductible.
    #[schema(example = "02")]
    pub code: String,
    /// Under which voucher.
    #[schema(example = "记-0012")]
    pub voucher: String,
    /// In which month of the books.
    #[schema(example = "2026-01")]
    pub period: String,
}

impl From<&BookingTerms> for BookingTermsView {
    fn from(terms: &BookingTerms) -> Self {
        Self {
            code: terms.code.as_str().to_owned(),
            voucher: terms.voucher.to_string(),
            period: terms.period.to_string(),
        }
    }
}

/// Whether an invoice is booked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BookingView {
    /// `01` not booked, `02` booked and deductible for corporate income tax, `03` booked and not deductible, `06` its
    /// booking was taken back.
    #[schema(example = "02")]
    pub code: String,
    /// The enterprise that booked it, then or now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<String>,
    /// Under which voucher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voucher: Option<String>,
    /// In which month of the books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The leaf of the booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_index: Option<u64>,
}

impl BookingView {
    pub(crate) fn of(record: Option<&BookingRecord>) -> Self {
        let code = booking_code(record).to_owned();
        let Some(record) = record else { return Self { code, ..Self::default() } };
        Self {
            code,
            enterprise: Some(record.enterprise.to_string()),
            voucher: Some(record.terms.voucher.to_string()),
            period: Some(record.terms.period.to_string()),
            since: Some(format_ms(record.booked_ms)),
            revoked_at: record.revoked_ms.map(format_ms),
            leaf_index: Some(record.leaf.index),
        }
    }
}

/// Whether an invoice's VAT is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UseView {
    /// `none`, `deduct`, `refund`, `agency-refund` or `non-deduct`.
    #[schema(example = "deduct")]
    pub purpose: String,
    /// Why it is not deducted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The month of the buyer's VAT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When the use was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The leaf of the use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_index: Option<u64>,
}

impl UseView {
    pub(crate) fn of(record: Option<&UseRecord>) -> Self {
        let purpose = use_purpose(record).to_owned();
        let Some(record) = record else { return Self { purpose, ..Self::default() } };
        Self {
            purpose,
            reason: record.reason.map(|reason| reason.as_str().to_owned()),
            period: Some(record.period.to_string()),
            since: Some(format_ms(record.used_ms)),
            revoked_at: record.revoked_ms.map(format_ms),
            leaf_index: Some(record.leaf.index),
        }
    }
}

/// What the buyer said last of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ManifestationView {
    /// `acknowledge`, `confirm`, `dispute`, `unknown` or `not-done`.
    #[schema(example = "confirm")]
    pub kind: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The buyer.
    pub buyer: String,
    /// When.
    pub at: String,
    /// The leaf that says so.
    pub leaf_index: u64,
}

impl From<&ManifestationRecord> for ManifestationView {
    fn from(record: &ManifestationRecord) -> Self {
        Self {
            kind: record.kind.as_str().to_owned(),
            reason: record.reason.as_ref().map(ToString::to_string),
            buyer: record.buyer.to_string(),
            at: format_ms(record.manifested_ms),
            leaf_index: record.leaf.index,
        }
    }
}

/// What the seller says otherwise about an invoice: all its corrections together. The document itself stays as it was
/// signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CorrectionView {
    /// How many corrections there have been.
    pub count: u32,
    /// The fields as the newest of them have it.
    #[schema(value_type = schema::Correction)]
    pub fields: invoice::correction::Correction,
    /// When it was corrected last.
    pub at: String,
    /// The leaf of the newest correction.
    pub leaf_index: u64,
}

impl From<&CorrectionRecord> for CorrectionView {
    fn from(record: &CorrectionRecord) -> Self {
        Self {
            count: record.count,
            fields: record.fields.clone(),
            at: format_ms(record.corrected_ms),
            leaf_index: record.leaf.index,
        }
    }
}
