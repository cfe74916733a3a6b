//! Invoices and their events.

use invoice::document::{RateTotal, Totals};
use replica::query::LeaseEndView;
use serde::Serialize;
use utoipa::ToSchema;

use super::books::{BookingView, CorrectionView, ManifestationView, UseView};
use super::contingency::OfflineView;
use super::outcome::{LeafView, PartyView, RefusalView};
use super::quota::QuotaView;
use super::record::RecordView;
use super::red::{RedLetterView, ReversalView, SlipView};
use crate::feed::LEASE_ENDED;
use crate::schema::Document;
use crate::time::format_ms;

/// Stated totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TotalsView {
    /// Without tax.
    #[schema(example = "3804.42")]
    pub net: String,
    /// Tax.
    #[schema(example = "494.58")]
    pub tax: String,
    /// With tax.
    #[schema(example = "4299.00")]
    pub gross: String,
}

impl From<&Totals> for TotalsView {
    fn from(totals: &Totals) -> Self {
        Self { net: totals.net.to_string(), tax: totals.tax.to_string(), gross: totals.gross.to_string() }
    }
}

/// Where an invoice's reimbursement stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReimbursementView {
    /// `open`, `locked` or `closed`. A lock whose lease has ended is open.
    #[schema(example = "locked")]
    pub status: String,
    /// Since when it is locked or closed; as `until` and `platform` only for those who could claim it themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// End of the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The enterprise that reimburses; only for it and its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<String>,
    /// The platform's claim; only for it and the enterprise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The fencing token; only for the platform and the enterprise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
}

/// Where to look further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Links {
    /// The invoice.
    #[serde(rename = "self")]
    pub this: String,
    /// The receipt of its issue.
    pub receipt: String,
    /// Its events.
    pub events: String,
    /// Its attachment, when this node holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
}

/// An invoice as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvoiceView {
    /// Its id: `code-number`, or the 20 digits.
    #[schema(example = "144032609110-00000001")]
    pub id: String,
    /// Its code; the digital profiles have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its number: 8 digits, or 20.
    pub number: String,
    /// Its profile.
    #[schema(example = "blockchain-ordinary")]
    pub profile: String,
    /// `blue`, or `red` of a red letter: its amounts are below zero, and its document is that of the invoice that it takes
    /// back.
    #[schema(example = "blue")]
    pub sign: String,
    /// `normal`, `void`, `part-red` or `full-red`.
    #[schema(example = "normal")]
    pub validity: String,
    /// Where its reimbursement stands.
    pub reimbursement: ReimbursementView,
    /// The seller's month it belongs to.
    #[schema(example = "2026-01")]
    pub period: String,
    /// Whether the seller has filed that month.
    pub filed: bool,
    /// The seller's id on the ledger.
    pub seller: String,
    /// Who holds it.
    pub holder: PartyView,
    /// Block time of issue.
    pub issued_at: String,
    /// Day of issue in UTC+8.
    #[schema(example = "2026-01-31")]
    pub date: String,
    /// In the blockchain profile: the last five hex digits of the leaf hash. A lookup aid, never proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_code: Option<String>,
    /// What the seller stated; of a red letter, what it takes back.
    pub totals: TotalsView,
    /// The document as its issuer signed it.
    #[schema(value_type = Document)]
    pub document: invoice::Document,
    /// `present`, `redacted` or `none`: whether this node holds the personal data.
    #[schema(example = "none")]
    pub attachment: String,
    /// The leaf of its issue.
    pub leaf_index: u64,
    /// The hash of that leaf: with number and amount it proves the invoice in the public check.
    pub leaf_hash: String,
    /// The text of the invoice's QR code, for the public check.
    pub qr: String,
    /// In the answer to issuing: what the seller may still issue in the month, when it has a quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Box<QuotaView>>,
    /// Whether it is booked; for the enterprise that booked it, else for its buyer, and who files or reads for it. Absent,
    /// as those below, in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booking: Option<Box<BookingView>>,
    /// Whether its VAT is used; for its buyer and who files or reads for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vat_use: Option<Box<UseView>>,
    /// What the buyer said last of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifestation: Option<Box<ManifestationView>>,
    /// What the seller says otherwise about it. The document stays as it was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<Box<CorrectionView>>,
    /// What red letters took back of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reversal: Option<Box<ReversalView>>,
    /// Of a red letter: what it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub red_letter: Option<Box<RedLetterView>>,
    /// The newest slip, with which its two sides agree on a red letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slip: Option<Box<SlipView>>,
    /// How it was issued offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<Box<OfflineView>>,
    /// Where to look further.
    pub links: Links,
}

/// A page of invoices, newest first; agencies and auditors that name no party see ids ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvoicePage {
    /// The invoices. A page may have fewer rows than asked for and still have a next one.
    pub invoices: Vec<InvoiceView>,
    /// Where to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One event in the life of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventRow {
    /// Its leaf in the log. The end of a lease has none of its own: of it, the leaf of the lock.
    pub leaf_index: u64,
    /// The hash of that leaf; absent, as statement and receipt are, of a claim that is none of the caller's business,
    /// and of what such a claim stood in the way of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_hash: Option<String>,
    /// What kind of event; `lease-ended` for the end of a lease, which nobody signed.
    pub kind: String,
    /// `accepted`, `repeated`, or the code of the refusal; `derived` of what follows from the time of a block.
    pub code: String,
    /// Who signed it; of the end of a lease, the platform that held it.
    pub organisation: String,
    /// The statement it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The block's height.
    pub height: u64,
    /// Block time.
    pub time: String,
    /// What execution added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordView>,
    /// Of a repeated event: the leaf of the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<LeafView>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalView>,
    /// Where its receipt is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// The code of what is no event, but follows from the time of a block.
pub(crate) const DERIVED: &str = "derived";

impl From<&LeaseEndView> for EventRow {
    fn from(LeaseEndView { height, time_ms, lock, .. }: &LeaseEndView) -> Self {
        Self {
            leaf_index: lock.leaf.index,
            leaf_hash: Some(lock.leaf.hash.to_string()),
            kind: LEASE_ENDED.to_owned(),
            code: DERIVED.to_owned(),
            organisation: lock.platform.to_string(),
            statement: None,
            height: *height,
            time: format_ms(*time_ms),
            record: Some(RecordView::LeaseEnded { token: Some(lock.token), until: format_ms(lock.until_ms) }),
            original: None,
            refusal: None,
            receipt: Some(format!("/v1/receipts/{}", lock.leaf.index)),
        }
    }
}

impl EventRow {
    /// What those see to whom the claim is no business: that there is one. Hashes that cover its id count as the id.
    pub(crate) fn without_claim(mut self) -> Self {
        self.record = self.record.map(RecordView::without_token);
        (self.leaf_hash, self.statement, self.receipt) = (None, None, None);
        (self.original, self.refusal) = (None, None);
        self
    }

    /// Without who stood in the way of it, if anybody did. The leaf covers who, since and until when: with the
    /// statement's id these few values are found by trying.
    pub(crate) fn without_standing(mut self) -> Self {
        if let Some(refusal) = self.refusal.take_if(|refusal| refusal.standing.is_some()) {
            self.refusal = Some(refusal.without_standing());
            (self.leaf_hash, self.statement, self.receipt) = (None, None, None);
        }
        self
    }
}

/// A page of events, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventPage {
    /// The events.
    pub events: Vec<EventRow>,
    /// Where to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Net and tax under one treatment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RateTotalView {
    /// The treatment.
    #[schema(value_type = crate::schema::TaxTreatment)]
    pub treatment: invoice::TaxTreatment,
    /// Without tax.
    pub net: String,
    /// Tax.
    pub tax: String,
}

impl From<&RateTotal> for RateTotalView {
    fn from(total: &RateTotal) -> Self {
        Self { treatment: total.treatment, net: total.net.to_string(), tax: total.tax.to_string() }
    }
}
