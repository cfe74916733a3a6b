//! Findings about a document: what is wrong, where, what was expected, what was found; and the catalogue of the rules.

use serde::Serialize;

use crate::text::shown;

/// One thing that a document does wrong, or, as a warning, that is doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where in the document, as a JSON pointer (RFC 6901): `/lines/0/net`. Empty for a value that stands alone.
    pub path: String,
    /// The stable code of the rule, one of [`RULES`].
    pub rule: &'static str,
    /// What the rule asks.
    pub expected: String,
    /// What the document says; long values are cut.
    pub actual: String,
}

impl Violation {
    /// A finding; what was found is cut to a safe excerpt.
    pub(crate) fn new(
        path: impl Into<String>,
        rule: &'static str,
        expected: impl Into<String>,
        actual: impl AsRef<str>,
    ) -> Violation {
        Violation { path: path.into(), rule, expected: expected.into(), actual: shown(actual.as_ref()) }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}: expected {}, found {}", self.rule, self.path, self.expected, self.actual)
    }
}

/// The verdict on a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Validation {
    /// Everything that forbids the document, in document order.
    pub violations: Vec<Violation>,
    /// Doubts that forbid nothing.
    pub warnings: Vec<Violation>,
}

impl Validation {
    /// Whether the document may be issued.
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }
}

/// One rule of the catalogue, or one code of this room's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleEntry {
    /// Stable code.
    pub code: &'static str,
    /// What the rule asks, one sentence.
    pub summary: &'static str,
    /// What to do about a violation, one sentence.
    pub cure: &'static str,
}

/// Declares each rule once: its constant, code, summary and cure.
macro_rules! rules {
    ($($name:ident = $code:literal, $summary:literal, $cure:literal;)*) => {
        /// The stable codes by name.
        pub mod rule {
            $(#[doc = $summary] pub const $name: &str = $code;)*
        }

        /// Every rule about documents, violations first, then the rules that only warn.
        pub const RULES: &[RuleEntry] = &[$(RuleEntry { code: $code, summary: $summary, cure: $cure }),*];
    };
}

rules! {
    MALFORMED = "document.malformed", "A document is JSON of the shape described.", "Compare the document with its description; expected says what the reader wanted and where.";
    FIELD_MISSING = "document.field-missing", "A mandatory field is given.", "Give the field.";
    FIELD_UNKNOWN = "document.field-unknown", "A document has no fields but those described.", "Remove the field, or correct its name.";
    FIELD_TYPE = "document.field-type", "A field has its described JSON type; amounts, rates and numbers are strings.", "Give the field as expected says.";
    VALUE_UNKNOWN = "document.value-unknown", "A field with a list of values has one of them.", "Use one of the values in expected.";
    TEXT_EMPTY = "document.text-empty", "A text that is given is not empty.", "Fill the field or leave it out.";
    TEXT_TOO_LONG = "document.text-too-long", "A text keeps its limit.", "Shorten the text to the limit in expected.";
    TEXT_CONTROL = "document.text-control-character", "A text has no control characters.", "Remove line breaks, tabs and other control characters.";
    TEXT_ANGLE = "document.text-angle-bracket", "A name has no < and no >.", "Remove the angle brackets.";
    REFERENCE = "document.reference-malformed", "The seller's reference is 1 to 64 printable ASCII characters without space.", "Use your own document number, without spaces.";
    TAXPAYER_ID = "document.taxpayer-id-malformed", "A taxpayer id is 15, 17, 18 or 20 capital letters and digits.", "Give the id as registered, letters in capitals.";
    PERSON_ID = "document.person-id-malformed", "A person's id is 1 to 64 of A-Z, a-z, 0-9, point, underscore and hyphen.", "Use an opaque id; names and numbers of persons belong in the attachment.";
    TAX_CODE = "document.tax-code-malformed", "A tax code is 19 digits.", "Give the full classification code, with leading and trailing zeros.";
    DIGEST = "document.digest-malformed", "A digest is 64 lowercase hex digits.", "Give the SHA-256 in lowercase hex.";
    AMOUNT = "document.amount-malformed", "An amount is a decimal number of yuan with at most two decimals.", "Write the amount in yuan, such as 3804.42, without thousands separators.";
    AMOUNT_RANGE = "document.amount-out-of-range", "An amount stays within the ledger's limit.", "Split the invoice.";
    NUMBER = "document.number-malformed", "A quantity or unit price is a plain decimal number.", "Write the number with digits and one point.";
    NUMBER_PRECISION = "document.number-too-precise", "A quantity or unit price keeps its limit of decimals.", "Round the number.";
    NUMBER_LENGTH = "document.number-too-long", "A quantity or unit price keeps its limit of characters.", "Round the number or use a larger unit.";
    RATE = "document.rate-malformed", "A rate is a decimal fraction from 0 to 1 with at most four decimals.", "Write 13 % as 0.13.";
    RATE_IN_FORCE = "document.rate-not-in-force", "A rate is in force on the day of issue.", "Use a rate of that day; a zero rate is written zero-rated, and exempt or not-taxable sales carry those marks.";
    TAX_ON_UNTAXED = "document.tax-on-untaxed-line", "A line without a rate has no tax.", "Set the tax amount to 0.00 or give the rate.";
    LINE_COUNT = "document.line-count", "An invoice has at least one line and at most the limit.", "Split or fill the invoice.";
    LINE_TAX = "document.line-tax-off", "A line's tax is net times rate within the tolerance.", "Compute the tax of the line anew.";
    LINE_NET = "document.line-net-off", "A line's net is unit price times quantity within the tolerance.", "Compute the net anew, or give the price with more decimals.";
    PRICE_PAIR = "document.price-and-quantity-not-paired", "Quantity and unit price are both given or both left out.", "Give the missing one or leave both out.";
    QUANTITY_SIGN = "document.quantity-not-positive", "A quantity is above zero.", "Give what was sold as a positive number.";
    PRICE_SIGN = "document.unit-price-not-positive", "A unit price is above zero.", "Give the price as a positive number.";
    LINE_NOT_POSITIVE = "document.line-not-positive", "A line that is no discount has a net above zero.", "Mark discounts as discount lines; reversals are red-letter invoices.";
    LINE_TAX_SIGN = "document.line-tax-negative", "A line that is no discount has no negative tax.", "Give the tax as a positive amount.";
    DISCOUNT_ALONE = "document.discount-without-line", "A discount line follows the line that it discounts, and no other discount.", "Put one discount directly after its line.";
    DISCOUNT_UNLIKE = "document.discount-unlike-line", "A discount has the name, tax code and tax treatment of its line.", "Repeat the fields of the discounted line.";
    DISCOUNT_SIGN = "document.discount-not-negative", "A discount has a net below zero and no positive tax.", "Give the discount as negative amounts.";
    DISCOUNT_EXCEEDS = "document.discount-exceeds-line", "A discount is at most its line, in net and in tax.", "Lower the discount.";
    DISCOUNT_QUANTITY = "document.discount-with-quantity", "A discount line has no quantity and no unit price.", "Leave quantity and unit price out.";
    TOTAL_NET = "document.net-not-sum-of-lines", "The net total is exactly the sum of the lines.", "Add the net amounts of all lines, discounts included.";
    TOTAL_TAX = "document.tax-not-sum-of-lines", "The tax total is exactly the sum of the lines.", "Add the tax amounts of all lines, discounts included.";
    TOTAL_GROSS = "document.gross-not-net-plus-tax", "The gross total is exactly net plus tax of all lines.", "Add net and tax of all lines.";
    TOTAL_NEGATIVE = "document.total-negative", "No total of a blue invoice is below zero.", "Lower the discounts; reversals are red-letter invoices.";
    TOTAL_TAX_OFF = "document.total-tax-off", "The tax of all lines is their net times rate within the tolerance for the whole invoice.", "Compute the taxes anew; many small errors have added up.";
    SPECIAL_TO_PERSON = "document.special-to-person", "A special invoice is never issued to a natural person.", "Use an ordinary profile.";
    SPECIAL_EXEMPT = "document.special-for-exempt-sale", "A special invoice is never issued for an exempt sale.", "Use an ordinary profile.";
    TAXPAYER_USCC_SHAPE = "taxpayer.uscc-shape", "An id of 18 characters usually has the shape of a unified social credit code.", "Compare the id with the registration.";
    TAXPAYER_CHECK_CHARACTER = "taxpayer.check-character", "The last character of a unified social credit code is its check character.", "Compare the id with the registration.";
    TAXPAYER_ORGANISATION_CODE = "taxpayer.organisation-code", "The organisation code inside a unified social credit code carries its own check character.", "Compare the id with the registration.";
    CODE_CLASS = "invoice.code-class", "A blockchain invoice code has 09 as eighth and ninth digit.", "Compare the code with the invoice.";
    CODE_LAST_DIGIT = "invoice.code-last-digit", "A blockchain invoice code usually ends in 0.", "Compare the code with the invoice.";
    SOURCE_UNMAPPED = "source.not-carried-over", "A field of a foreign document has no place in ours or no defined meaning.", "Nothing, unless the field matters to you.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_lowercase() {
        let mut codes: Vec<&str> = RULES.iter().map(|entry| entry.code).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        for entry in RULES {
            assert!(
                entry.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.' || byte == b'-'),
                "{}",
                entry.code
            );
            assert!(entry.summary.ends_with('.') && entry.cure.ends_with('.'), "{}", entry.code);
        }
    }
}
