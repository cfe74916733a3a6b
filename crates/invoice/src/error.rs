//! Everything that can be wrong with a single value of this room, before any rule about documents is asked.

use crate::violation::RuleEntry;

/// The codes of [`Error`]; all are the sender's to mend.
pub const CODES: &[RuleEntry] = &[
    entry(
        "invoice.amount-malformed",
        "An amount is a decimal number of yuan with at most two decimals.",
        "Write the amount in yuan, such as 3804.42.",
    ),
    entry("invoice.amount-overflow", "A sum of amounts fits 64 bits of fen.", "Split the invoice."),
    entry(
        "invoice.decimal-malformed",
        "A quantity or unit price is a plain decimal number of at most 18 digits.",
        "Write the number with digits and one point.",
    ),
    entry(
        "invoice.rate-malformed",
        "A rate is a decimal fraction from 0 to 1 with at most four decimals.",
        "Write 13 % as 0.13.",
    ),
    entry("invoice.date-malformed", "A date is a day of the calendar as YYYY-MM-DD.", "Give a day that exists."),
    entry("invoice.period-malformed", "A period is a month as YYYY-MM.", "Give a month that exists."),
    entry("invoice.time-out-of-range", "A time lies in the years 1970 to 9999.", "Compare the clock."),
    entry(
        "invoice.taxpayer-id-malformed",
        "A taxpayer id is 15, 17, 18 or 20 capital letters and digits.",
        "Give the id as registered, letters in capitals.",
    ),
    entry(
        "invoice.id-malformed",
        "An invoice id is 12 digits, a hyphen and 8 digits, or 20 digits.",
        "Give code and number with their leading zeros.",
    ),
    entry(
        "invoice.digits-malformed",
        "A code or number has exactly its count of digits.",
        "Give the number with its leading zeros.",
    ),
    entry(
        "invoice.number-part-too-large",
        "A part of a code or number fits its digits.",
        "Begin a new code; the old one is full.",
    ),
    entry("invoice.digest-malformed", "A digest is 64 lowercase hex digits.", "Give the SHA-256 in lowercase hex."),
    entry(
        "invoice.document-malformed",
        "A document is JSON of the shape described.",
        "Compare the document with its description; a dry run lists everything that is wrong.",
    ),
    entry(
        "invoice.attachment-malformed",
        "An attachment is JSON with a salt and personal fields, within its size.",
        "Compare the attachment with its description.",
    ),
    entry("invoice.personal-too-long", "A personal field keeps its limit.", "Shorten the field."),
    entry(
        "invoice.details-too-many",
        "An attachment keeps its limit of details.",
        "Leave out details that the invoice does not need.",
    ),
    entry("invoice.salt-length", "A salt has 16 to 32 bytes.", "Draw 16 random bytes."),
];

const fn entry(code: &'static str, summary: &'static str, cure: &'static str) -> RuleEntry {
    RuleEntry { code, summary, cure }
}

/// A value that cannot be what it claims to be.
///
/// All of these are the sender's to mend; none is ever a fault of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a decimal number of yuan with at most two decimals, or beyond 64 bits of fen.
    #[error("\"{found}\" is not an amount in yuan with at most two decimals")]
    AmountMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// A sum or difference that does not fit 64 bits of fen.
    #[error("an amount leaves the range of 64 bits of fen")]
    AmountOverflow,
    /// Not a plain decimal number of at most 18 digits and 18 decimals.
    #[error("\"{found}\" is not a plain decimal number of at most 18 digits")]
    DecimalMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// Not a decimal fraction from 0 to 1 with at most four decimals.
    #[error("\"{found}\" is not a tax rate from 0 to 1 with at most four decimals")]
    RateMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// Not a day of the Gregorian calendar as `YYYY-MM-DD`.
    #[error("\"{found}\" is not a date as YYYY-MM-DD")]
    DateMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// Not a month as `YYYY-MM`.
    #[error("\"{found}\" is not a month as YYYY-MM")]
    PeriodMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// A point in time outside the years 1970 to 9999.
    #[error("{unix_ms} ms is outside the years 1970 to 9999")]
    TimeOutOfRange {
        /// The time asked for, ms since 1970 UTC.
        unix_ms: i64,
    },
    /// Not 15, 17, 18 or 20 capital letters and digits.
    #[error("\"{found}\" is not a taxpayer id of 15, 17, 18 or 20 capital letters and digits")]
    TaxpayerIdMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// Not `code-number` (12 and 8 digits) or 20 digits.
    #[error("\"{found}\" is not an invoice id: 12 digits, a hyphen and 8 digits, or 20 digits")]
    InvoiceIdMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// Not exactly so many digits.
    #[error("\"{found}\" is not {digits} digits")]
    DigitsMalformed {
        /// How many digits were asked.
        digits: usize,
        /// An excerpt of what was given.
        found: String,
    },
    /// A part of an invoice code or number that is too large for its place.
    #[error("{part} {value} does not fit its {digits} digits")]
    NumberPartTooLarge {
        /// Which part of the code or number.
        part: &'static str,
        /// The value given.
        value: u64,
        /// The digits it has room for.
        digits: usize,
    },
    /// Not 64 lowercase hex digits.
    #[error("\"{found}\" is not 64 lowercase hex digits")]
    DigestMalformed {
        /// An excerpt of what was given.
        found: String,
    },
    /// Not a JSON document of the shape described.
    #[error("the document cannot be read: {reason}")]
    DocumentMalformed {
        /// What the JSON reader expected and where, as line and column.
        reason: String,
    },
    /// Not an attachment of the shape described.
    #[error("the attachment cannot be read: {reason}")]
    AttachmentMalformed {
        /// What was expected and where.
        reason: String,
    },
    /// A personal field beyond its limit.
    #[error("{field} has {found} characters, at most {limit} are allowed")]
    PersonalTooLong {
        /// The field's name in the attachment.
        field: String,
        /// Its length, characters.
        found: usize,
        /// The limit, characters.
        limit: usize,
    },
    /// More line details than an attachment may hold.
    #[error("{found} details in an attachment, at most {limit} are allowed")]
    DetailsTooMany {
        /// How many were given.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A salt too short to protect what it salts, or too long.
    #[error("a salt of {found} bytes, 16 to 32 are needed")]
    SaltLength {
        /// Its length, bytes.
        found: usize,
    },
}

impl Error {
    /// The stable code of this situation.
    pub fn code(&self) -> &'static str {
        match self {
            Error::AmountMalformed { .. } => "invoice.amount-malformed",
            Error::AmountOverflow => "invoice.amount-overflow",
            Error::DecimalMalformed { .. } => "invoice.decimal-malformed",
            Error::RateMalformed { .. } => "invoice.rate-malformed",
            Error::DateMalformed { .. } => "invoice.date-malformed",
            Error::PeriodMalformed { .. } => "invoice.period-malformed",
            Error::TimeOutOfRange { .. } => "invoice.time-out-of-range",
            Error::TaxpayerIdMalformed { .. } => "invoice.taxpayer-id-malformed",
            Error::InvoiceIdMalformed { .. } => "invoice.id-malformed",
            Error::DigitsMalformed { .. } => "invoice.digits-malformed",
            Error::NumberPartTooLarge { .. } => "invoice.number-part-too-large",
            Error::DigestMalformed { .. } => "invoice.digest-malformed",
            Error::DocumentMalformed { .. } => "invoice.document-malformed",
            Error::AttachmentMalformed { .. } => "invoice.attachment-malformed",
            Error::PersonalTooLong { .. } => "invoice.personal-too-long",
            Error::DetailsTooMany { .. } => "invoice.details-too-many",
            Error::SaltLength { .. } => "invoice.salt-length",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_in_the_catalogue() {
        let found = String::new;
        let errors = [
            Error::AmountMalformed { found: found() },
            Error::AmountOverflow,
            Error::DecimalMalformed { found: found() },
            Error::RateMalformed { found: found() },
            Error::DateMalformed { found: found() },
            Error::PeriodMalformed { found: found() },
            Error::TimeOutOfRange { unix_ms: 0 },
            Error::TaxpayerIdMalformed { found: found() },
            Error::InvoiceIdMalformed { found: found() },
            Error::DigitsMalformed { digits: 8, found: found() },
            Error::NumberPartTooLarge { part: "year", value: 100, digits: 2 },
            Error::DigestMalformed { found: found() },
            Error::DocumentMalformed { reason: found() },
            Error::AttachmentMalformed { reason: found() },
            Error::PersonalTooLong { field: found(), found: 2, limit: 1 },
            Error::DetailsTooMany { found: 2, limit: 1 },
            Error::SaltLength { found: 0 },
        ];
        let codes: Vec<&str> = errors.iter().map(Error::code).collect();
        let catalogue: Vec<&str> = CODES.iter().map(|entry| entry.code).collect();
        assert_eq!(codes, catalogue);
    }
}
