//! What a taxpayer declares of an ended month, and what it pays.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::RateTotal;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ClaimId, ClaimIdError, UsePurpose};

/// Rates under which sales without invoices may be declared at most: more than there are, and few enough for a record.
pub const UNINVOICED_MAX: usize = 32;

/// File a taxpayer's ended month: what it sold, what it used of the VAT it paid, and what it sold without invoices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The taxpayer, as seller of what it sold and buyer of what it used.
    pub seller: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
    /// How many invoices stand (voided ones do not count).
    pub invoices: u64,
    /// Their net and tax by rate, ascending; rates that sum to nothing may be left out.
    pub output: Vec<RateTotal>,
    /// What is used of the VAT of invoices that it was given, by use; none when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<InputTotal>,
    /// What it sold without invoices, by rate: the ledger cannot know. None when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "uninvoiced")]
    pub uninvoiced: Vec<RateTotal>,
}

/// What the invoices used in a month for one purpose come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct InputTotal {
    /// For what their VAT is used.
    pub purpose: UsePurpose,
    /// How many there are.
    pub invoices: u64,
    /// Without tax.
    pub net: Amount,
    /// Tax.
    pub tax: Amount,
}

/// Why a filed month is amended. A closed list, because free text would carry personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum AmendReason {
    /// Sales without invoices were left out.
    OmittedSales = 1,
    /// There were fewer of them.
    OverstatedSales = 2,
    /// They stood under another rate.
    WrongRate = 3,
    /// The tax bureau asked for it.
    Examination = 4,
    /// Any other.
    Other = 5,
}

impl AmendReason {
    /// The reason, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OmittedSales => "omitted-sales",
            Self::OverstatedSales => "overstated-sales",
            Self::WrongRate => "wrong-rate",
            Self::Examination => "examination",
            Self::Other => "other",
        }
    }
}

/// Declare otherwise what was sold without invoices in a filed month. What the ledger holds of it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amend {
    /// The taxpayer.
    pub taxpayer: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
    /// Which amendment of the month it is, from 1.
    pub number: u32,
    /// Why.
    pub reason: AmendReason,
    /// What was sold without invoices, by rate, in place of what was declared before.
    #[serde(default, deserialize_with = "uninvoiced")]
    pub uninvoiced: Vec<RateTotal>,
}

/// Order the payment of what a filed month leaves to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayRequest {
    /// The taxpayer.
    pub taxpayer: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
    /// The payment order's id, used once by a taxpayer.
    pub order: OrderId,
    /// What is to be paid: all that is payable and not paid yet.
    pub amount: Amount,
}

/// What became of a payment order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum PaymentResult {
    /// The bank paid it.
    Paid = 1,
    /// The bank did not.
    Failed = 2,
}

impl PaymentResult {
    /// The result, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for PaymentResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Say what became of a payment order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayResult {
    /// The taxpayer.
    pub taxpayer: OrganisationId,
    /// The month, in UTC+8.
    pub period: Period,
    /// The payment order.
    pub order: OrderId,
    /// What became of it.
    pub result: PaymentResult,
    /// SHA-256 of the bank's receipt, or of its notice that it did not pay. It stays with the taxpayer.
    pub receipt: Hash,
}

/// The id of a payment order: 1 to 64 printable ASCII characters without space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(ClaimId);

impl OrderId {
    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for OrderId {
    type Err = ClaimIdError;

    fn from_str(text: &str) -> Result<Self, ClaimIdError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Sales without invoices: each rate once, ascending, nothing below zero, and not nothing at all. So there is one way to
/// say them, and the same again is the same.
fn uninvoiced<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RateTotal>, D::Error> {
    let totals = <Vec<RateTotal> as Deserialize>::deserialize(deserializer)?;
    let refuse = |expected: String| Err(serde::de::Error::custom(expected));
    if totals.len() > UNINVOICED_MAX {
        return refuse(format!("expected at most {UNINVOICED_MAX} rates, found {}", totals.len()));
    }
    if let Some(total) = totals.iter().find(|total| total.net.is_negative() || total.tax.is_negative()) {
        return refuse(format!("expected sales of 0.00 or more, found net {} tax {}", total.net, total.tax));
    }
    if totals.iter().any(|total| total.net.is_zero() && total.tax.is_zero()) {
        return refuse("expected no rate without sales".to_owned());
    }
    if !totals.is_sorted_by(|one, next| one.treatment < next.treatment) {
        return refuse("expected each rate once, ascending".to_owned());
    }
    Ok(totals)
}
