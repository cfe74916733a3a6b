//! Everything that can be wrong with a single value of this room, before any rule about documents is asked.

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
