//! Exact decimal numbers: quantities and unit prices.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::error::Error;
use crate::text::{shown, text_serde};

/// Longest text that is looked at, characters; nothing shorter than a page of zeros needs more.
const TEXT_MAX: usize = 40;
/// Most digits that a scanned number may have: 38 of them fit 128 bits.
const DIGITS_MAX: usize = 38;

/// A plain decimal number as scanned from text, before any type claims it.
pub(crate) struct Scanned {
    negative: bool,
    magnitude: i128,
    /// Decimals written, trailing zeros included.
    pub(crate) scale: u32,
}

impl Scanned {
    /// The number times 10^`scale`, when that is at least its own scale and fits.
    pub(crate) fn scaled_to(&self, scale: u32) -> Option<i128> {
        let factor = 10_i128.checked_pow(scale.checked_sub(self.scale)?)?;
        let magnitude = self.magnitude.checked_mul(factor)?;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

/// Reads `-?(0|[1-9][0-9]*)(\.[0-9]+)?`, but no minus before zero: one value, one sign.
pub(crate) fn scan(text: &str) -> Option<Scanned> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, decimals) = match unsigned.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, decimals)) => (whole, decimals),
        None => (unsigned, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    if whole.len() + decimals.len() > DIGITS_MAX {
        return None;
    }
    let mut magnitude = 0_i128;
    for byte in whole.bytes().chain(decimals.bytes()) {
        magnitude = magnitude.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    if negative && magnitude == 0 {
        return None;
    }
    let scale = u32::try_from(decimals.len()).ok()?;
    Some(Scanned { negative, magnitude, scale })
}

/// An exact decimal number of at most 18 digits, of which at most 18 are decimals.
///
/// Kept without trailing zeros, so that equal numbers are equal bytes. How many decimals a quantity or a price may have
/// is a rule ([`crate::Rules`]), not a property of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize)]
pub struct Decimal {
    mantissa: i64,
    scale: u8,
}

impl Decimal {
    /// Most digits, before and after the point together.
    pub const DIGITS_MAX: u32 = 18;

    /// The number `mantissa` / 10^`scale`, or [`Error::DecimalMalformed`] when it needs more than 18 digits or decimals.
    pub fn new(mantissa: i128, scale: u32) -> Result<Decimal, Error> {
        let malformed = || Error::DecimalMalformed { found: format!("{mantissa}e-{scale}") };
        let (mut reduced, mut decimals) = (mantissa, scale);
        while decimals > 0 && reduced % 10 == 0 {
            reduced /= 10;
            decimals -= 1;
        }
        let fits = reduced.unsigned_abs() < 10_u128.pow(Self::DIGITS_MAX) && decimals <= Self::DIGITS_MAX;
        let (true, Ok(mantissa), Ok(scale)) = (fits, i64::try_from(reduced), u8::try_from(decimals)) else {
            return Err(malformed());
        };
        Ok(Decimal { mantissa, scale })
    }

    /// The digits of the number as an integer; the number is this over 10^[`Decimal::scale`].
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// Decimals after the point, without trailing zeros.
    pub fn scale(self) -> u32 {
        u32::from(self.scale)
    }

    /// Whether the number is above zero.
    pub const fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// The exact product as (integer, scale): 36 digits and 36 decimals fit 128 bits.
    pub fn product(self, other: Decimal) -> (i128, u32) {
        (i128::from(self.mantissa) * i128::from(other.mantissa), self.scale() + other.scale())
    }
}

impl BorshDeserialize for Decimal {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let mantissa = i64::deserialize_reader(reader)?;
        let scale = u8::deserialize_reader(reader)?;
        let decimal = Decimal::new(i128::from(mantissa), u32::from(scale))
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
        // A second spelling of the same number would be a second hash of the same content.
        if (decimal.mantissa, decimal.scale) != (mantissa, scale) {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "decimal with trailing zeros"));
        }
        Ok(decimal)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        // 18 digits shifted by at most 18 places fit 128 bits.
        let scale = self.scale().max(other.scale());
        let left = i128::from(self.mantissa) * 10_i128.pow(scale - self.scale());
        let right = i128::from(other.mantissa) * 10_i128.pow(scale - other.scale());
        left.cmp(&right)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let magnitude = self.mantissa.unsigned_abs();
        if self.scale == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        let unit = 10_u64.pow(self.scale());
        let width = usize::from(self.scale);
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit)
    }
}

impl FromStr for Decimal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Decimal, Error> {
        let malformed = || Error::DecimalMalformed { found: shown(text) };
        let number = scan(text).ok_or_else(malformed)?;
        let signed = number.scaled_to(number.scale).ok_or_else(malformed)?;
        Decimal::new(signed, number.scale).map_err(|_| malformed())
    }
}

text_serde!(Decimal, "a decimal number as a string, such as \"1.5\"");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, canonical: &str) {
        assert_eq!(text.parse::<Decimal>().unwrap().to_string(), canonical);
    }

    #[test]
    fn trailing_zeros_are_no_content() {
        check("1.50", "1.5");
        check("1", "1");
        check("100", "100");
        check("0", "0");
        check("0.000", "0");
        check("-0.25", "-0.25");
        check("0.000000000000000001", "0.000000000000000001");
        check("999999999999999999", "999999999999999999");
    }

    #[test]
    fn what_is_not_a_plain_decimal_is_refused() {
        for text in
            ["", "-", "+1", "1e3", "01", "1.", ".1", "-0", "1 ", "1,5", "1000000000000000000", "0.0000000000000000001"]
        {
            assert!(text.parse::<Decimal>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_second_encoding_of_a_number_is_refused() {
        let bytes = borsh::to_vec(&(10_i64, 1_u8)).unwrap();
        assert!(borsh::from_slice::<Decimal>(&bytes).is_err());
        let bytes = borsh::to_vec(&(1_i64, 19_u8)).unwrap();
        assert!(borsh::from_slice::<Decimal>(&bytes).is_err());
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        let number = |text: &str| text.parse::<Decimal>().unwrap();
        assert!(number("1.5") < number("15"));
        assert!(number("-2") < number("0.1"));
        assert_eq!(number("2.0").cmp(&number("2")), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn text_json_and_bytes_give_the_number_back(mantissa in -999_999_999_999_999_999_i128..=999_999_999_999_999_999, scale in 0_u32..=18) {
            let decimal = Decimal::new(mantissa, scale).unwrap();
            prop_assert_eq!(decimal.to_string().parse::<Decimal>().unwrap(), decimal);
            let json = serde_json::to_string(&decimal).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).unwrap(), decimal);
            let bytes = borsh::to_vec(&decimal).unwrap();
            prop_assert_eq!(borsh::from_slice::<Decimal>(&bytes).unwrap(), decimal);
        }

        #[test]
        fn products_are_exact(a in -999_999_999_999_999_999_i64..=999_999_999_999_999_999, b: i32) {
            let product = Decimal::new(i128::from(a), 0).unwrap().product(Decimal::new(i128::from(b), 3).unwrap());
            let scale = product.1;
            prop_assert_eq!(product.0 * 10_i128.pow(3 - scale), i128::from(a) * i128::from(b));
        }

        #[test]
        fn reading_any_text_never_panics(text: String) {
            let _ = text.parse::<Decimal>();
        }

        #[test]
        fn reading_any_bytes_never_panics(bytes: Vec<u8>) {
            let _ = borsh::from_slice::<Decimal>(&bytes);
        }
    }
}
