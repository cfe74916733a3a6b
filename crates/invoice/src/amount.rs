//! Money: whole fen, exact, never wrapping.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::decimal::scan;
use crate::error::Error;
use crate::text::{shown, text_serde};

/// An amount of money in fen (1/100 yuan).
///
/// Negative only on red-letter and discount lines. As text, yuan with a point and two decimals: `3804.42`. One or no
/// decimals are read too; every spelling of a value is the same amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Amount {
    fen: i64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount { fen: 0 };

    /// An amount of so many fen.
    pub const fn from_fen(fen: i64) -> Amount {
        Amount { fen }
    }

    /// The amount in fen.
    pub const fn fen(self) -> i64 {
        self.fen
    }

    /// Whether the amount is below zero.
    pub const fn is_negative(self) -> bool {
        self.fen < 0
    }

    /// Whether the amount is nothing.
    pub const fn is_zero(self) -> bool {
        self.fen == 0
    }

    /// The sum, or [`Error::AmountOverflow`].
    pub fn checked_add(self, other: Amount) -> Result<Amount, Error> {
        let fen = self.fen.checked_add(other.fen).ok_or(Error::AmountOverflow)?;
        Ok(Amount { fen })
    }

    /// The difference, or [`Error::AmountOverflow`].
    pub fn checked_sub(self, other: Amount) -> Result<Amount, Error> {
        let fen = self.fen.checked_sub(other.fen).ok_or(Error::AmountOverflow)?;
        Ok(Amount { fen })
    }

    /// The opposite amount, or [`Error::AmountOverflow`].
    pub fn checked_neg(self) -> Result<Amount, Error> {
        let fen = self.fen.checked_neg().ok_or(Error::AmountOverflow)?;
        Ok(Amount { fen })
    }

    /// The sum of all, or [`Error::AmountOverflow`] when it does not fit.
    ///
    /// Only the result counts: the order of the amounts, and what the sum reaches on the way, do not change the answer.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Amount>) -> Result<Amount, Error> {
        let mut fen = 0_i128;
        for amount in amounts {
            // 2^64 amounts of 64 bits fit 128 bits; no iterator is that long.
            fen = fen.checked_add(i128::from(amount.fen)).ok_or(Error::AmountOverflow)?;
        }
        Amount::try_from_fen(fen)
    }

    /// An amount of so many fen, or [`Error::AmountOverflow`] beyond 64 bits.
    pub fn try_from_fen(fen: i128) -> Result<Amount, Error> {
        i64::try_from(fen).map(Amount::from_fen).map_err(|_| Error::AmountOverflow)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.fen < 0 { "-" } else { "" };
        let fen = self.fen.unsigned_abs();
        write!(f, "{sign}{}.{:02}", fen / 100, fen % 100)
    }
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Amount, Error> {
        let malformed = || Error::AmountMalformed { found: shown(text) };
        let number = scan(text).filter(|number| number.scale <= 2).ok_or_else(malformed)?;
        let fen = number.scaled_to(2).ok_or_else(malformed)?;
        Amount::try_from_fen(fen).map_err(|_| malformed())
    }
}

text_serde!(Amount, "an amount in yuan as a decimal string with at most two decimals, such as \"3804.42\"");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, fen: i64, canonical: &str) {
        let amount: Amount = text.parse().unwrap();
        assert_eq!(amount.fen(), fen);
        assert_eq!(amount.to_string(), canonical);
    }

    #[test]
    fn every_spelling_of_a_value_is_the_same_amount() {
        check("3804.42", 380_442, "3804.42");
        check("5", 500, "5.00");
        check("5.1", 510, "5.10");
        check("0", 0, "0.00");
        check("0.00", 0, "0.00");
        check("-0.01", -1, "-0.01");
        check("-92233720368547758.08", i64::MIN, "-92233720368547758.08");
        check("92233720368547758.07", i64::MAX, "92233720368547758.07");
    }

    #[test]
    fn what_is_not_plainly_an_amount_is_refused() {
        let wrong = [
            "",
            " 5",
            "5 ",
            "+5",
            "-",
            ".5",
            "5.",
            "05",
            "00",
            "-0",
            "-0.00",
            "5.123",
            "5.000",
            "1e3",
            "5,00",
            "1_0",
            "５",
            "NaN",
            "0x10",
            "92233720368547758.08",
            "--5",
            "5.-1",
            "5..1",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Amount>(), Err(Error::AmountMalformed { found: text.to_owned() }), "{text:?}");
        }
        assert!("9".repeat(10_000).parse::<Amount>().is_err());
    }

    #[test]
    fn a_json_number_is_not_an_amount() {
        assert!(serde_json::from_str::<Amount>("5").is_err());
        assert!(serde_json::from_str::<Amount>("5.0").is_err());
        assert_eq!(serde_json::from_str::<Amount>("\"5\"").unwrap(), Amount::from_fen(500));
    }

    #[test]
    fn a_sum_that_only_overflows_on_the_way_is_right() {
        let amounts = [i64::MAX, 1, -5].map(Amount::from_fen);
        assert_eq!(Amount::checked_sum(amounts).unwrap(), Amount::from_fen(i64::MAX - 4));
        assert_eq!(Amount::checked_sum(amounts.into_iter().take(2)), Err(Error::AmountOverflow));
    }

    proptest! {
        #[test]
        fn text_and_json_give_the_amount_back(fen: i64) {
            let amount = Amount::from_fen(fen);
            prop_assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
            let bytes = borsh::to_vec(&amount).unwrap();
            prop_assert_eq!(borsh::from_slice::<Amount>(&bytes).unwrap(), amount);
        }

        #[test]
        fn sums_never_wrap(fen: Vec<i64>) {
            let exact: i128 = fen.iter().copied().map(i128::from).sum();
            match Amount::checked_sum(fen.iter().copied().map(Amount::from_fen)) {
                Ok(sum) => prop_assert_eq!(i128::from(sum.fen()), exact),
                Err(_) => prop_assert!(i64::try_from(exact).is_err()),
            }
        }

        #[test]
        fn adding_and_subtracting_never_wrap(a: i64, b: i64) {
            let (x, y) = (Amount::from_fen(a), Amount::from_fen(b));
            prop_assert_eq!(x.checked_add(y).ok().map(Amount::fen), a.checked_add(b));
            prop_assert_eq!(x.checked_sub(y).ok().map(Amount::fen), a.checked_sub(b));
            prop_assert_eq!(x.checked_neg().ok().map(Amount::fen), a.checked_neg());
        }

        #[test]
        fn reading_any_text_never_panics(text: String) {
            let _ = text.parse::<Amount>();
        }
    }
}
