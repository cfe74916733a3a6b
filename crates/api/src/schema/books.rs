//! Schemas of events about books, and of what parties say of an invoice.

use utoipa::ToSchema;

/// Book an invoice, for the enterprise that reimbursed it, else for its buyer.
#[derive(ToSchema)]
pub struct Book {
    /// The invoice.
    pub invoice: String,
    /// As what.
    pub code: BookingCode,
    /// Under which voucher: 1 to 40 printable ASCII or Han characters without space.
    #[schema(example = "记-0012")]
    pub voucher: String,
    /// In which month of the books, in UTC+8: from the month of issue to the one that is.
    #[schema(example = "2026-01")]
    pub period: String,
}

/// Book an invoice otherwise than it is booked.
#[derive(ToSchema)]
pub struct BookAdjust {
    /// The invoice.
    pub invoice: String,
    /// As what from now on.
    pub code: BookingCode,
    /// Under which voucher from now on.
    #[schema(example = "记-0012")]
    pub voucher: String,
    /// In which month of the books from now on.
    #[schema(example = "2026-01")]
    pub period: String,
}

/// As what an invoice is booked.
#[derive(ToSchema)]
pub enum BookingCode {
    /// Deductible from income for corporate income tax.
    #[schema(rename = "02")]
    Deductible,
    /// Not deductible from it.
    #[schema(rename = "03")]
    NotDeductible,
}

/// Take a booking back.
#[derive(ToSchema)]
pub struct BookRevoke {
    /// The invoice.
    pub invoice: String,
}

/// Use a special invoice's VAT in a month.
#[derive(ToSchema)]
pub struct Use {
    /// The invoice.
    pub invoice: String,
    /// For what.
    pub purpose: UsePurpose,
    /// Why it is not deducted; of `non-deduct`, and of nothing else.
    pub reason: Option<NonDeductReason>,
    /// The month of the buyer's VAT, in UTC+8: from the month of issue to the one that is.
    #[schema(example = "2026-01")]
    pub period: String,
}

/// What the buyer does with an invoice's VAT.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum UsePurpose {
    /// Deduct it from the VAT it owes.
    Deduct,
    /// Have it refunded, as an exporter.
    Refund,
    /// Have it refunded by way of the agency that exports for it.
    AgencyRefund,
    /// Neither, for a reason.
    NonDeduct,
}

/// Why an invoice's VAT is not deducted.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum NonDeductReason {
    /// What was bought serves what is not subject to VAT.
    NotTaxable,
    /// It serves what is exempt.
    Exempt,
    /// It serves collective welfare or personal consumption.
    WelfareOrConsumption,
    /// It was lost otherwise than in the ordinary course.
    AbnormalLoss,
    /// Any other.
    Other,
}

/// Take the use of an invoice's VAT back.
#[derive(ToSchema)]
pub struct UseRevoke {
    /// The invoice.
    pub invoice: String,
}

/// Say what the buyer has to say of an invoice, within 180 days of its issue. The newest word counts.
#[derive(ToSchema)]
pub struct Manifest {
    /// The invoice.
    pub invoice: String,
    /// What.
    pub kind: Stance,
    /// Why, in 15 to 200 characters; of `dispute`, `unknown` and `not-done`, and of nothing else. It is on the ledger:
    /// nothing personal belongs in it.
    pub reason: Option<String>,
}

/// What a buyer says of an invoice.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Stance {
    /// It knows of it, and says no more yet.
    Acknowledge,
    /// The sale took place as the invoice says.
    Confirm,
    /// The sale took place otherwise.
    Dispute,
    /// It knows of no such sale.
    Unknown,
    /// The sale was agreed on, and did not take place.
    NotDone,
}

/// Say otherwise what no tax depends on, at most 20 times. The document stays as it was signed.
#[derive(ToSchema)]
pub struct Correct {
    /// The invoice.
    pub invoice: String,
    /// The fields as they are meant; at least one.
    pub fields: Correction,
}

/// The fields of an invoice that a correction may name. What is absent stays as it is.
#[derive(ToSchema)]
pub struct Correction {
    /// The seller's lines.
    pub seller: Option<PartyLines>,
    /// The buyer's lines, when the buyer is an organisation.
    pub buyer: Option<PartyLines>,
    /// The remark. It is on the ledger: nothing personal belongs in it.
    pub remark: Option<String>,
}

/// The lines of an organisation on which no tax depends.
#[derive(ToSchema)]
pub struct PartyLines {
    /// Address.
    pub address: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Bank.
    pub bank: Option<String>,
    /// Account number.
    pub account: Option<String>,
}
