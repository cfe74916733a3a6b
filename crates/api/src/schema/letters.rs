//! Schemas of events about red letters, and about what is issued offline.

use utoipa::ToSchema;

use super::{Document, VoidReason};

/// Ask the other side of a sale to agree to a red letter. For either side, and who issues for the seller or files for the
/// buyer.
#[derive(ToSchema)]
pub struct RedRequest {
    /// The invoice.
    pub invoice: String,
    /// Its document, as it was issued.
    pub document: Document,
    /// Why.
    pub reason: VoidReason,
    /// What is to be taken back.
    pub take: Take,
}

/// What of an invoice is taken back.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Take {
    /// All that is left of it.
    Full,
    /// So much of these lines, in the invoice's order.
    Lines(Vec<Part>),
}

/// How much of a line.
#[derive(ToSchema)]
pub struct Part {
    /// The line, from 0.
    pub line: u32,
    /// How much, without tax and with the sign of the line: below zero on a discount.
    #[schema(example = "100.00")]
    pub net: String,
}

/// Agree to the red letter that the other side asks for, within 72 hours of block time.
#[derive(ToSchema)]
pub struct RedConfirm {
    /// The invoice.
    pub invoice: String,
    /// The number of its newest slip.
    pub slip: u32,
}

/// Do not agree to the red letter that the other side asks for.
#[derive(ToSchema)]
pub struct RedDeny {
    /// The invoice.
    pub invoice: String,
    /// The number of its newest slip.
    pub slip: u32,
}

/// Ask for a red letter no longer, confirmed or not.
#[derive(ToSchema)]
pub struct RedWithdraw {
    /// The invoice.
    pub invoice: String,
    /// The number of its newest slip.
    pub slip: u32,
}

/// Issue a red letter: an invoice with a number of its own, and amounts below zero at the blue's rates.
#[derive(ToSchema)]
pub struct IssueRed {
    /// The invoice that it takes back.
    pub invoice: String,
    /// That invoice's document, as it was issued.
    pub document: Document,
    /// The seller's own number of the red letter, unique for this seller among all its documents, for ever.
    pub reference: String,
    /// Why.
    pub reason: VoidReason,
    /// What is taken back.
    pub take: Take,
    /// The slip that allows it: needed once the invoice is booked, used, claimed or handed on.
    pub slip: Option<u32>,
}

/// Grant a seller or a service provider a segment of numbers for a contingency. For the tax bureau.
#[derive(ToSchema)]
pub struct SegmentGrant {
    /// Who issues from it.
    pub to: String,
    /// With which of its keys for statements it signs offline.
    pub key: String,
    /// How the invoices are numbered.
    pub numbering: NumberingKind,
    /// How many numbers: 1 to 1,000. The ledger says which.
    pub count: u32,
    /// Until when it may issue offline, ms UTC.
    pub valid_until_ms: i64,
    /// Within how many hours after that an invoice must be submitted: 1 to 168.
    pub deadline_hours: u16,
}

/// How invoices are numbered.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum NumberingKind {
    /// Code and number of the blockchain profile.
    Blockchain,
    /// The 20 digits of the digital profiles.
    Digital,
}

/// Close a segment, and declare the numbers of it that no invoice has as gaps. For its holder and the tax bureau.
#[derive(ToSchema)]
pub struct SegmentClose {
    /// The segment, by its first number.
    pub segment: String,
}

/// Submit an invoice that was issued offline. For the segment's holder.
#[derive(ToSchema)]
pub struct OfflineIssue {
    /// The document, as the buyer has it.
    pub document: Document,
    /// The certificate that was signed then: a compact JWS of type `einvoice-offline+jws`.
    pub certificate: String,
}
