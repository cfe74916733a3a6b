//! Schemas of events about filed months and their payments.

use utoipa::ToSchema;

use super::TaxTreatment;

/// File a taxpayer's ended month.
#[derive(ToSchema)]
pub struct File {
    /// The taxpayer.
    pub seller: String,
    /// The month, in UTC+8.
    #[schema(example = "2026-01")]
    pub period: String,
    /// How many invoices stand.
    pub invoices: u64,
    /// Their net and tax by rate; rates that sum to nothing may be left out.
    pub output: Vec<FileTotal>,
    /// What is used of the VAT of invoices that it was given, by use; none when absent.
    pub input: Option<Vec<InputTotal>>,
    /// What it sold without invoices, by rate: each rate once, ascending, nothing below 0.00. None when absent.
    #[schema(max_items = 32)]
    pub uninvoiced: Option<Vec<FileTotal>>,
}

/// Net and tax of a month under one treatment.
#[derive(ToSchema)]
pub struct FileTotal {
    /// The treatment.
    pub treatment: TaxTreatment,
    /// Without tax.
    pub net: String,
    /// Tax.
    pub tax: String,
}

/// What the invoices used in a month for one purpose come to.
#[derive(ToSchema)]
pub struct InputTotal {
    /// For what their VAT is used: `deduct`, `refund`, `agency-refund` or `non-deduct`.
    #[schema(example = "deduct")]
    pub purpose: String,
    /// How many there are.
    pub invoices: u64,
    /// Without tax.
    pub net: String,
    /// Tax.
    pub tax: String,
}

/// Declare otherwise what was sold without invoices in a filed month. What the ledger holds of it stands.
#[derive(ToSchema)]
pub struct Amend {
    /// The taxpayer.
    pub taxpayer: String,
    /// The month, in UTC+8.
    #[schema(example = "2026-01")]
    pub period: String,
    /// Which amendment of the month it is: 1, 2 and so on, at most 20.
    pub number: u32,
    /// Why.
    pub reason: AmendReason,
    /// What was sold without invoices, by rate, in place of what was declared before; none when empty.
    #[schema(max_items = 32)]
    pub uninvoiced: Vec<FileTotal>,
}

/// Why a filed month is amended.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum AmendReason {
    /// Sales without invoices were left out.
    OmittedSales,
    /// There were fewer of them.
    OverstatedSales,
    /// They stood under another rate.
    WrongRate,
    /// The tax bureau asked for it.
    Examination,
    /// Any other.
    Other,
}

/// Order the payment of what a filed month leaves to pay.
#[derive(ToSchema)]
pub struct PayRequest {
    /// The taxpayer.
    pub taxpayer: String,
    /// The month, in UTC+8.
    #[schema(example = "2026-01")]
    pub period: String,
    /// The payment order's id, used once by a taxpayer: 1 to 64 printable ASCII characters without space.
    pub order: String,
    /// What is to be paid: all that is payable and not paid yet.
    #[schema(example = "1300.00")]
    pub amount: String,
}

/// Say what became of a payment order.
#[derive(ToSchema)]
pub struct PayResult {
    /// The taxpayer.
    pub taxpayer: String,
    /// The month, in UTC+8.
    #[schema(example = "2026-01")]
    pub period: String,
    /// The payment order.
    pub order: String,
    /// What became of it.
    pub result: PaymentResult,
    /// SHA-256 of the bank's receipt, or of its notice that it did not pay.
    pub receipt: String,
}

/// What became of a payment order.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum PaymentResult {
    /// The bank paid it.
    Paid,
    /// The bank did not.
    Failed,
}
