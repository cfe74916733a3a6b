//! What a buyer says of an invoice in its own books: booked for income tax, and used for VAT.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use invoice::date::Period;
use invoice::id::InvoiceId;
use serde::{Deserialize, Deserializer, Serialize};

/// As what an invoice is booked, by the codes of accounting systems. 01 is an invoice that nobody has booked, 06 one whose
/// booking was revoked; neither is ever signed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[borsh(use_discriminant = true)]
pub enum BookingCode {
    /// Booked, and deductible from income for corporate income tax.
    #[serde(rename = "02")]
    Deductible = 2,
    /// Booked, and not deductible from it.
    #[serde(rename = "03")]
    NotDeductible = 3,
}

impl BookingCode {
    /// The code, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deductible => "02",
            Self::NotDeductible => "03",
        }
    }
}

/// The number of the voucher under which an invoice is booked: 1 to 40 printable ASCII characters or Han characters, without
/// space. The number alone: nothing of what the voucher says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct Voucher(String);

/// A text that is no voucher number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 40 printable ASCII or Han characters without space, found {found:?}")]
pub struct VoucherError {
    /// The text, cut at 80 characters.
    pub found: String,
}

impl Voucher {
    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Voucher {
    type Err = VoucherError;

    fn from_str(text: &str) -> Result<Self, VoucherError> {
        // A block of its own of Unicode, because which characters are letters changes with every version of it.
        let fits = |character: char| character.is_ascii_graphic() || ('\u{4E00}'..='\u{9FA5}').contains(&character);
        if (1..=40).contains(&text.chars().count()) && text.chars().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(VoucherError { found: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Voucher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl BorshDeserialize for Voucher {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        String::deserialize_reader(reader)?
            .parse()
            .map_err(|error: VoucherError| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, error.to_string()))
    }
}

/// Book an invoice: for the enterprise that reimbursed it, else for its buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// The invoice.
    pub invoice: InvoiceId,
    /// As what.
    pub code: BookingCode,
    /// Under which voucher.
    pub voucher: Voucher,
    /// In which month of the books, in UTC+8.
    pub period: Period,
}

/// Book an invoice otherwise than it is booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookAdjust {
    /// The invoice.
    pub invoice: InvoiceId,
    /// As what from now on.
    pub code: BookingCode,
    /// Under which voucher from now on.
    pub voucher: Voucher,
    /// In which month of the books from now on, in UTC+8.
    pub period: Period,
}

/// Take a booking back: the invoice may be booked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookRevoke {
    /// The invoice.
    pub invoice: InvoiceId,
}

/// What the buyer does with an invoice's VAT.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum UsePurpose {
    /// Deduct it from the VAT it owes.
    Deduct = 1,
    /// Have it refunded, as an exporter.
    Refund = 2,
    /// Have it refunded by way of the agency that exports for it.
    AgencyRefund = 3,
    /// Neither, for a reason.
    NonDeduct = 4,
}

impl UsePurpose {
    /// Every purpose, in order.
    pub const ALL: [Self; 4] = [Self::Deduct, Self::Refund, Self::AgencyRefund, Self::NonDeduct];

    /// The purpose, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deduct => "deduct",
            Self::Refund => "refund",
            Self::AgencyRefund => "agency-refund",
            Self::NonDeduct => "non-deduct",
        }
    }
}

impl fmt::Display for UsePurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an invoice's VAT is not deducted: reasons 1 to 5 of the platform for fully digital invoices.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum NonDeductReason {
    /// What was bought serves what is not subject to VAT.
    NotTaxable = 1,
    /// It serves what is exempt.
    Exempt = 2,
    /// It serves collective welfare or personal consumption.
    WelfareOrConsumption = 3,
    /// It was lost otherwise than in the ordinary course.
    AbnormalLoss = 4,
    /// Any other.
    Other = 5,
}

impl NonDeductReason {
    /// The reason, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTaxable => "not-taxable",
            Self::Exempt => "exempt",
            Self::WelfareOrConsumption => "welfare-or-consumption",
            Self::AbnormalLoss => "abnormal-loss",
            Self::Other => "other",
        }
    }
}

/// Use an invoice's VAT in a month. With a reason when it is not deducted, and without one otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "UseFields")]
pub struct Use {
    /// The invoice.
    pub invoice: InvoiceId,
    /// For what.
    pub purpose: UsePurpose,
    /// Why it is not deducted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<NonDeductReason>,
    /// The month of the buyer's VAT, in UTC+8.
    pub period: Period,
}

#[derive(Deserialize)]
#[serde(rename = "use", deny_unknown_fields)]
struct UseFields {
    invoice: InvoiceId,
    purpose: UsePurpose,
    #[serde(default)]
    reason: Option<NonDeductReason>,
    period: Period,
}

/// A reason where there must be none, or none where there must be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UseError {
    /// Nobody said why.
    #[error("expected a reason of what is not deducted, found none")]
    ReasonMissing,
    /// There is nothing to give a reason for.
    #[error("expected no reason of what is not non-deduct, found one")]
    ReasonUnexpected,
}

impl Use {
    /// A use whose reason fits its purpose.
    ///
    /// # Errors
    /// When it does not.
    pub fn new(
        invoice: InvoiceId,
        purpose: UsePurpose,
        reason: Option<NonDeductReason>,
        period: Period,
    ) -> Result<Self, UseError> {
        match (purpose == UsePurpose::NonDeduct, reason.is_some()) {
            (true, false) => Err(UseError::ReasonMissing),
            (false, true) => Err(UseError::ReasonUnexpected),
            (true, true) | (false, false) => Ok(Self { invoice, purpose, reason, period }),
        }
    }
}

impl TryFrom<UseFields> for Use {
    type Error = UseError;

    fn try_from(fields: UseFields) -> Result<Self, UseError> {
        Self::new(fields.invoice, fields.purpose, fields.reason, fields.period)
    }
}

/// Take the use of an invoice's VAT back: it may be used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseRevoke {
    /// The invoice.
    pub invoice: InvoiceId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn a_voucher_number_is_short_and_of_plain_characters() {
        for voucher in ["1", "记-0012", "2026-11/转字第12号", &"9".repeat(40)] {
            assert_eq!(voucher.parse::<Voucher>().unwrap().as_str(), voucher);
        }
        for other in ["", "记 12", "a\nb", "é", &"9".repeat(41)] {
            assert!(other.parse::<Voucher>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_reason_stands_where_nothing_is_deducted_and_nowhere_else() {
        let of = |rest: &str| {
            let text = format!(r#"{{"use":{{"invoice":"26442000000000000001","period":"2026-11",{rest}}}}}"#);
            serde_json::from_str::<Event>(&text).map(|event| event.to_json()).map_err(|error| error.to_string())
        };
        assert!(of(r#""purpose":"deduct""#).unwrap().ends_with(r#""purpose":"deduct","period":"2026-11"}}"#));
        assert!(of(r#""purpose":"non-deduct","reason":"exempt""#).is_ok());
        assert!(of(r#""purpose":"non-deduct""#).unwrap_err().starts_with("expected a reason"));
        assert!(of(r#""purpose":"refund","reason":"exempt""#).unwrap_err().starts_with("expected no reason"));
        assert!(of(r#""purpose":"refund","voucher":"1""#).is_err());
    }
}
