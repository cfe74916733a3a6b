//! A taxpayer's month: what the ledger holds of it, what was declared, and what became of that.

use invoice::document::RateTotal;
use ledger::event::{InputTotal, OrderId};
use ledger::filing::{AmendmentRecord, Difference, Due, Filed, PaymentRecord};
use ledger::record::LeafRef;
use serde::Serialize;
use utoipa::ToSchema;

use super::RateTotalView;
use crate::time::format_ms;

/// A taxpayer's month: what the ledger holds, ready to be filed as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FilingView {
    /// The taxpayer.
    pub seller: String,
    /// The month.
    pub period: String,
    /// How many invoices stand.
    pub invoices: u64,
    /// Their net and tax by rate.
    pub output: Vec<RateTotalView>,
    /// What is used of the VAT of invoices that it was given, by use.
    pub input: Vec<InputTotalView>,
    /// What the month leaves to pay as the ledger holds it: without sales that have no invoices.
    pub due: DueView,
    /// When the month ends and may be filed.
    pub ends_at: String,
    /// Whether it has ended in block time.
    pub ended: bool,
    /// Where what was declared is not what the ledger holds; always empty, as long as the ledger keeps its rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<DifferenceView>,
    /// The filing, when it was filed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filed: Option<FiledView>,
}

/// The months of several taxpayers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FilingList {
    /// The months that the caller may see, in the order asked for.
    pub filings: Vec<FilingView>,
    /// The taxpayers that are none, or whose months the caller may not see.
    pub unknown: Vec<String>,
    /// Taxpayers for whose months this answer had no room: ask for them next. Absent when it had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// One figure of two returns that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DifferenceView {
    /// Which: `invoices`, `output` and the rate, or `input` and the use.
    #[schema(example = "output 0.13")]
    pub figure: String,
    /// What the ledger holds.
    pub held: String,
    /// What was declared.
    pub declared: String,
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        let Difference { figure, held, declared } = difference;
        Self { figure, held, declared }
    }
}

/// What the invoices used in a month for one purpose come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InputTotalView {
    /// `deduct`, `refund`, `agency-refund` or `non-deduct`.
    pub purpose: String,
    /// How many there are.
    pub invoices: u64,
    /// Without tax.
    pub net: String,
    /// Tax.
    pub tax: String,
}

impl From<&InputTotal> for InputTotalView {
    fn from(total: &InputTotal) -> Self {
        Self {
            purpose: total.purpose.to_string(),
            invoices: total.invoices,
            net: total.net.to_string(),
            tax: total.tax.to_string(),
        }
    }
}

/// What a month leaves to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DueView {
    /// The tax of what was sold less what is deducted; never below 0.00.
    #[schema(example = "1300.00")]
    pub payable: String,
    /// What more was deducted than there was tax.
    #[schema(example = "0.00")]
    pub carried: String,
}

impl From<Due> for DueView {
    fn from(due: Due) -> Self {
        Self { payable: due.payable.to_string(), carried: due.carried.to_string() }
    }
}

/// A filed month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FiledView {
    /// Block time of the filing.
    pub filed_at: String,
    /// Who filed.
    pub by: String,
    /// How many invoices stood.
    pub invoices: u64,
    /// Their net and tax by rate.
    pub output: Vec<RateTotalView>,
    /// What was used of the VAT that it paid, by use.
    pub input: Vec<InputTotalView>,
    /// What it sold without invoices, by rate, as it was filed.
    pub uninvoiced: Vec<RateTotalView>,
    /// What it left to pay as it was filed.
    pub due: DueView,
    /// The leaf of the filing.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
    /// Where its receipt is.
    pub receipt: String,
    /// What was declared otherwise since, in order. The last one counts.
    pub amendments: Vec<AmendmentView>,
    /// What is to be paid now, and what was.
    pub payment: PaymentsView,
}

/// An amendment of a filed month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AmendmentView {
    /// Which one, from 1.
    pub number: u32,
    /// Why.
    #[schema(example = "omitted-sales")]
    pub reason: String,
    /// What was sold without invoices, by rate.
    pub uninvoiced: Vec<RateTotalView>,
    /// What is to be paid from then on, in all.
    pub due: DueView,
    /// Block time.
    pub amended_at: String,
    /// Who amended.
    pub by: String,
    /// The leaf of the amendment.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
    /// Where its receipt is.
    pub receipt: String,
}

impl AmendmentView {
    fn of(number: u32, record: &AmendmentRecord) -> Self {
        Self {
            number,
            reason: record.reason.as_str().to_owned(),
            uninvoiced: rates(&record.uninvoiced),
            due: record.due.into(),
            amended_at: format_ms(record.amended_ms),
            by: record.by.to_string(),
            leaf_index: record.leaf.index,
            leaf_hash: record.leaf.hash.to_string(),
            receipt: receipt(record.leaf),
        }
    }
}

/// What is to be paid of a filed month, and what was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PaymentsView {
    /// `declared`, `requested`, `paid`, `failed` or `nothing-due`.
    #[schema(example = "requested")]
    pub status: &'static str,
    /// What is to be paid in all, as it was amended.
    pub payable: String,
    /// What more was deducted than there was tax, as it was amended.
    pub carried: String,
    /// What was paid.
    pub paid: String,
    /// What is neither paid nor requested; below 0.00 when an amendment left less than was paid.
    pub open: String,
    /// The payment orders, oldest first.
    pub orders: Vec<OrderView>,
}

/// A payment order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderView {
    /// Its id.
    pub order: String,
    /// How much.
    pub amount: String,
    /// `requested`, `paid` or `failed`.
    pub status: &'static str,
    /// Block time of the request.
    pub requested_at: String,
    /// Who requested it.
    pub by: String,
    /// The leaf of the request.
    pub leaf_index: u64,
    /// Block time at which its result was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// Who said it: the taxpayer, who files for it, or the tax bureau.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// SHA-256 of the bank's receipt or notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_receipt: Option<String>,
    /// The leaf that says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_leaf_index: Option<u64>,
}

impl OrderView {
    fn of(order: &OrderId, record: &PaymentRecord) -> Self {
        let decided = record.decided.as_ref();
        Self {
            order: order.to_string(),
            amount: record.amount.to_string(),
            status: decided.map_or("requested", |decided| decided.result.as_str()),
            requested_at: format_ms(record.requested_ms),
            by: record.by.to_string(),
            leaf_index: record.leaf.index,
            decided_at: decided.map(|decided| format_ms(decided.decided_ms)),
            decided_by: decided.map(|decided| decided.by.to_string()),
            bank_receipt: decided.map(|decided| decided.receipt.to_string()),
            decided_leaf_index: decided.map(|decided| decided.leaf.index),
        }
    }
}

impl FiledView {
    /// A filed month with its amendments and payment orders, each in order.
    pub(crate) fn of(filed: &Filed, amendments: &[AmendmentRecord], payments: &[PaymentRecord]) -> Self {
        let orders = filed.dues.orders.iter().zip(payments).map(|(order, record)| OrderView::of(order, record));
        let orders: Vec<_> = orders.collect();
        let due = filed.due();
        let status = match orders.last() {
            _ if filed.open_fen() > 0 => match orders.last() {
                Some(newest) if newest.status == "failed" => "failed",
                Some(_) | None => "declared",
            },
            None => "nothing-due",
            Some(_) if filed.dues.requested.is_some() => "requested",
            Some(_) if filed.dues.paid.is_zero() => "nothing-due",
            Some(_) => "paid",
        };
        let numbered = (1..).zip(amendments);
        Self {
            filed_at: format_ms(filed.filing.filed_ms),
            by: filed.filing.by.to_string(),
            invoices: filed.filing.invoices,
            output: rates(&filed.filing.output),
            input: filed.declared.input.iter().map(InputTotalView::from).collect(),
            uninvoiced: rates(&filed.declared.uninvoiced),
            due: filed.first.into(),
            leaf_index: filed.filing.leaf.index,
            leaf_hash: filed.filing.leaf.hash.to_string(),
            receipt: receipt(filed.filing.leaf),
            amendments: numbered.map(|(number, record)| AmendmentView::of(number, record)).collect(),
            payment: PaymentsView {
                status,
                payable: due.payable.to_string(),
                carried: due.carried.to_string(),
                paid: filed.dues.paid.to_string(),
                open: yuan(filed.open_fen()),
                orders,
            },
        }
    }
}

fn rates(totals: &[RateTotal]) -> Vec<RateTotalView> {
    totals.iter().map(RateTotalView::from).collect()
}

fn receipt(leaf: LeafRef) -> String {
    format!("/v1/receipts/{}", leaf.index)
}

/// Fen as yuan: what is open is no amount that a document could have, it may be below all of them.
fn yuan(fen: i128) -> String {
    let (sign, fen) = (if fen < 0 { "-" } else { "" }, fen.unsigned_abs());
    format!("{sign}{}.{:02}", fen / 100, fen % 100)
}
