//! Tax rates, the marks that stand in place of a rate, and which rates were in force when.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::date::Date;
use crate::decimal::scan;
use crate::error::Error;
use crate::text::{shown, text_serde};

/// A tax rate in ten-thousandths, from 0 to 1. As text a decimal fraction: `0.13`, `0.015`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Rate {
    ten_thousandths: u16,
}

impl Rate {
    /// How many ten-thousandths make a whole.
    pub const WHOLE: u16 = 10_000;

    /// A rate of so many ten-thousandths (1300 is 13 %), or [`Error::RateMalformed`] above 1.
    pub fn from_ten_thousandths(ten_thousandths: u16) -> Result<Rate, Error> {
        if ten_thousandths > Self::WHOLE {
            return Err(Error::RateMalformed { found: format!("{ten_thousandths}/10000") });
        }
        Ok(Rate { ten_thousandths })
    }

    /// The rate in ten-thousandths.
    pub const fn ten_thousandths(self) -> u16 {
        self.ten_thousandths
    }

    /// The exact tax on a net amount, in ten-thousandths of a fen.
    pub(crate) fn tax_exact(self, net: Amount) -> i128 {
        i128::from(net.fen()) * i128::from(self.ten_thousandths)
    }

    /// Splits an amount that includes the tax: net = gross / (1 + rate), rounded to the nearest fen with halves away from
    /// zero, and the tax is what remains, so that net + tax is exactly the gross.
    pub fn split_gross(self, gross: Amount) -> Result<(Amount, Amount), Error> {
        let whole = i128::from(Self::WHOLE);
        let divisor = whole + i128::from(self.ten_thousandths);
        let scaled = i128::from(gross.fen()) * whole;
        let magnitude = (scaled.abs() * 2 + divisor) / (divisor * 2);
        let net = Amount::try_from_fen(magnitude * scaled.signum())?;
        Ok((net, gross.checked_sub(net)?))
    }
}

impl BorshDeserialize for Rate {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let ten_thousandths = u16::deserialize_reader(reader)?;
        Rate::from_ten_thousandths(ten_thousandths)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.ten_thousandths / Self::WHOLE, self.ten_thousandths % Self::WHOLE);
        if decimals == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{decimals:04}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Rate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Rate, Error> {
        let malformed = || Error::RateMalformed { found: shown(text) };
        let scaled = scan(text).and_then(|number| number.scaled_to(4)).ok_or_else(malformed)?;
        let ten_thousandths = u16::try_from(scaled).map_err(|_| malformed())?;
        Rate::from_ten_thousandths(ten_thousandths).map_err(|_| malformed())
    }
}

text_serde!(Rate, "a tax rate as a decimal string, such as \"0.13\"");

/// How a line is taxed: at a rate, or under a mark that excludes one.
///
/// The order is that of [`crate::RateTotal`]s: rates ascending, then the marks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TaxTreatment {
    /// Taxed at this rate.
    Rate(Rate),
    /// Taxed at zero (普通零税率): still a taxed sale.
    ZeroRated,
    /// Exempt from tax (免税).
    Exempt,
    /// Outside the tax (不征税).
    NotTaxable,
}

impl TaxTreatment {
    /// The rate, unless a mark stands in its place.
    pub const fn rate(self) -> Option<Rate> {
        match self {
            TaxTreatment::Rate(rate) => Some(rate),
            TaxTreatment::ZeroRated | TaxTreatment::Exempt | TaxTreatment::NotTaxable => None,
        }
    }
}

impl fmt::Display for TaxTreatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaxTreatment::Rate(rate) => write!(f, "{rate}"),
            TaxTreatment::ZeroRated => f.write_str("zero-rated"),
            TaxTreatment::Exempt => f.write_str("exempt"),
            TaxTreatment::NotTaxable => f.write_str("not-taxable"),
        }
    }
}

/// One rate and the days on which it may stand on an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct RateEntry {
    /// The rate.
    pub rate: Rate,
    /// First day, UTC+8.
    pub from: Date,
    /// Last day, UTC+8; none while the rate has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Date>,
    /// The text that the entry rests on, and what it is for.
    pub source: String,
}

impl RateEntry {
    /// Whether the entry covers the day.
    pub fn covers(&self, date: Date) -> bool {
        self.from <= date && self.to.is_none_or(|to| date <= to)
    }
}

/// Which rates may stand on an invoice of which day. A ledger parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(transparent)]
pub struct RateTable {
    entries: Vec<RateEntry>,
}

impl RateTable {
    /// A table of these entries; they may overlap.
    pub fn new(entries: Vec<RateEntry>) -> RateTable {
        RateTable { entries }
    }

    /// The entries in the order given.
    pub fn entries(&self) -> &[RateEntry] {
        &self.entries
    }

    /// Whether the rate may stand on an invoice of that day.
    pub fn is_in_force(&self, rate: Rate, date: Date) -> bool {
        self.entries.iter().any(|entry| entry.rate == rate && entry.covers(date))
    }

    /// The rates of that day, ascending, each once.
    pub fn in_force(&self, date: Date) -> Vec<Rate> {
        let mut rates: Vec<Rate> =
            self.entries.iter().filter(|entry| entry.covers(date)).map(|entry| entry.rate).collect();
        rates.sort_unstable();
        rates.dedup();
        rates
    }
}

/// The default table: rate in ten-thousandths, first day, last day, source.
type Row = (u16, (u16, u8, u8), Option<(u16, u8, u8)>, &'static str);

const CAI_SHUI_2018_32: &str = "MOF/STA Cai Shui (2018) No.32";
const ANN_2019_39: &str = "MOF/STA/Customs Ann. 2019 No.39";
const CAI_SHUI_2016_36: &str = "MOF/STA Cai Shui (2016) No.36";
const VAT_LAW_10: &str = "VAT Law Art. 10";
const LAW_START: (u16, u8, u8) = (2026, 1, 1);
const BEFORE_LAW: Option<(u16, u8, u8)> = Some((2025, 12, 31));
const RELIEF_END: Option<(u16, u8, u8)> = Some((2027, 12, 31));
/// The ledger's years begin with the rates of 2018-05-01; no invoice on it is older.
const LEDGER_START: (u16, u8, u8) = (2018, 5, 1);

const DEFAULT_ROWS: &[Row] = &[
    (1_600, LEDGER_START, Some((2019, 3, 31)), CAI_SHUI_2018_32),
    (1_000, LEDGER_START, Some((2019, 3, 31)), CAI_SHUI_2018_32),
    (1_300, (2019, 4, 1), BEFORE_LAW, ANN_2019_39),
    (900, (2019, 4, 1), BEFORE_LAW, ANN_2019_39),
    (600, LEDGER_START, BEFORE_LAW, CAI_SHUI_2016_36),
    (300, LEDGER_START, BEFORE_LAW, "levy rate before the VAT Law"),
    (1_300, LAW_START, None, VAT_LAW_10),
    (900, LAW_START, None, VAT_LAW_10),
    (600, LAW_START, None, VAT_LAW_10),
    (300, LAW_START, None, "VAT Law Art. 11, levy rate"),
    (100, (2023, 1, 1), BEFORE_LAW, "small-scale taxpayers, MOF/STA Ann. 2023 No.19"),
    (100, LAW_START, RELIEF_END, "small-scale taxpayers, Ann. 2026 No.10"),
    (500, LEDGER_START, BEFORE_LAW, "old real estate, Cai Shui (2016) No.36"),
    (500, LAW_START, RELIEF_END, "old real estate, Ann. 2026 No.10"),
    (200, LEDGER_START, BEFORE_LAW, "used fixed assets, relief before the VAT Law"),
    (200, LAW_START, RELIEF_END, "used fixed assets, Ann. 2026 No.10"),
    (150, LEDGER_START, BEFORE_LAW, "individuals' housing rent, Cai Shui (2016) No.36"),
    (150, LAW_START, RELIEF_END, "individuals' housing rent, Ann. 2026 No.10"),
    (50, (2020, 5, 1), RELIEF_END, "used-car dealers, believed, not verified"),
];

impl Default for RateTable {
    fn default() -> RateTable {
        let day = |(year, month, day)| Date::new(year, month, day).expect("a day of the constant table exists");
        let entry = |row: &Row| RateEntry {
            rate: Rate { ten_thousandths: row.0 },
            from: day(row.1),
            to: row.2.map(day),
            source: row.3.to_owned(),
        };
        RateTable { entries: DEFAULT_ROWS.iter().map(entry).collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates_on(day: &str) -> Vec<String> {
        RateTable::default().in_force(day.parse().unwrap()).iter().map(Rate::to_string).collect()
    }

    #[test]
    fn every_spelling_of_a_rate_is_the_same_rate() {
        for (text, ten_thousandths, canonical) in [
            ("0.13", 1_300, "0.13"),
            ("0.1300", 1_300, "0.13"),
            ("0.015", 150, "0.015"),
            ("0", 0, "0"),
            ("1", 10_000, "1"),
            ("0.0001", 1, "0.0001"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.ten_thousandths(), ten_thousandths);
            assert_eq!(rate.to_string(), canonical);
        }
    }

    #[test]
    fn what_is_not_a_rate_is_refused() {
        for text in ["", "13%", "13", "1.0001", "0.00001", "0.00010", "-0.13", ".13", "0.13 ", "1e-1"] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
        assert!(serde_json::from_str::<Rate>("0.13").is_err());
    }

    #[test]
    fn treatments_are_a_rate_or_a_mark() {
        let check = |treatment: TaxTreatment, json: &str| {
            assert_eq!(serde_json::to_string(&treatment).unwrap(), json);
            assert_eq!(serde_json::from_str::<TaxTreatment>(json).unwrap(), treatment);
        };
        check(TaxTreatment::Rate("0.13".parse().unwrap()), "{\"rate\":\"0.13\"}");
        check(TaxTreatment::ZeroRated, "\"zero-rated\"");
        check(TaxTreatment::Exempt, "\"exempt\"");
        check(TaxTreatment::NotTaxable, "\"not-taxable\"");
        assert!(serde_json::from_str::<TaxTreatment>("\"free\"").is_err());
        assert!(serde_json::from_str::<TaxTreatment>("{\"rate\":\"0.13\",\"mark\":1}").is_err());
    }

    #[test]
    fn rates_change_on_the_day_the_law_says() {
        assert_eq!(rates_on("2018-04-30"), Vec::<String>::new());
        assert_eq!(rates_on("2019-03-31"), ["0.015", "0.02", "0.03", "0.05", "0.06", "0.1", "0.16"]);
        assert_eq!(rates_on("2019-04-01"), ["0.015", "0.02", "0.03", "0.05", "0.06", "0.09", "0.13"]);
        assert_eq!(rates_on("2025-12-31"), ["0.005", "0.01", "0.015", "0.02", "0.03", "0.05", "0.06", "0.09", "0.13"]);
        assert_eq!(rates_on("2027-12-31"), rates_on("2026-01-01"));
        assert_eq!(rates_on("2028-01-01"), ["0.03", "0.06", "0.09", "0.13"]);
    }

    #[test]
    fn a_gross_amount_splits_as_the_published_fixture_does() {
        let rate: Rate = "0.13".parse().unwrap();
        let (net, tax) = rate.split_gross(Amount::from_fen(429_900)).unwrap();
        assert_eq!((net.fen(), tax.fen()), (380_442, 49_458));
        let (net, tax) = rate.split_gross(Amount::from_fen(-429_900)).unwrap();
        assert_eq!((net.fen(), tax.fen()), (-380_442, -49_458));
    }

    proptest! {
        #[test]
        fn text_json_and_bytes_give_the_rate_back(ten_thousandths in 0_u16..=10_000) {
            let rate = Rate::from_ten_thousandths(ten_thousandths).unwrap();
            prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
            let json = serde_json::to_string(&rate).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rate>(&json).unwrap(), rate);
            prop_assert_eq!(borsh::from_slice::<Rate>(&borsh::to_vec(&rate).unwrap()).unwrap(), rate);
        }

        #[test]
        fn a_split_is_exact_and_off_by_at_most_half_a_fen(fen: i64, ten_thousandths in 0_u16..=10_000) {
            let rate = Rate::from_ten_thousandths(ten_thousandths).unwrap();
            let (net, tax) = rate.split_gross(Amount::from_fen(fen)).unwrap();
            prop_assert_eq!(net.checked_add(tax).unwrap(), Amount::from_fen(fen));
            // |net * (1 + rate) - gross| is at most half a fen times (1 + rate).
            let off = i128::from(net.fen()) * (10_000 + i128::from(ten_thousandths)) - i128::from(fen) * 10_000;
            prop_assert!(off.abs() * 2 <= 10_000 + i128::from(ten_thousandths));
        }
    }
}
