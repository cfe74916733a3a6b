//! Days and months of the tax calendar, which runs in UTC+8 whatever the machine's zone is.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::error::Error;
use crate::text::{shown, text_serde};

/// Milliseconds in a day; China has had no daylight saving since 1991, so every day has them.
const DAY_MS: i64 = 86_400_000;
/// China Standard Time is eight hours ahead of UTC.
const ZONE_MS: i64 = 8 * 3_600_000;
/// First year that is understood.
const YEAR_MIN: u16 = 1970;
/// Last year that is understood.
const YEAR_MAX: u16 = 9999;

/// A day in UTC+8, in the years 1970 to 9999. As text `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The given day, or [`Error::DateMalformed`] if the calendar has none.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Date, Error> {
        if (YEAR_MIN..=YEAR_MAX).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
        {
            return Ok(Date { year, month, day });
        }
        Err(Error::DateMalformed { found: format!("{year:04}-{month:02}-{day:02}") })
    }

    /// The day in UTC+8 at a point in time given as ms since 1970 UTC, or [`Error::TimeOutOfRange`].
    pub fn from_unix_ms(unix_ms: i64) -> Result<Date, Error> {
        let out_of_range = || Error::TimeOutOfRange { unix_ms };
        let days = unix_ms.checked_add(ZONE_MS).ok_or_else(out_of_range)?.div_euclid(DAY_MS);
        date_of_days(days).ok_or_else(out_of_range)
    }

    /// The year.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// The month that the day belongs to.
    pub const fn period(self) -> Period {
        Period { year: self.year, month: self.month }
    }

    /// When the day begins in UTC+8, in ms since 1970 UTC.
    pub fn start_ms(self) -> i64 {
        days_of_date(self) * DAY_MS - ZONE_MS
    }

    /// The last two digits of the year, as invoice codes carry them.
    pub fn year_of_century(self) -> u8 {
        u8::try_from(self.year % 100).expect("a number below 100 fits a byte")
    }
}

impl BorshDeserialize for Date {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let (year, month, day) = <(u16, u8, u8)>::deserialize_reader(reader)?;
        Date::new(year, month, day).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Date, Error> {
        let malformed = || Error::DateMalformed { found: shown(text) };
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return Err(malformed());
        }
        let year = digits(&bytes[..4]).ok_or_else(malformed)?;
        let month = digits(&bytes[5..7]).and_then(|n| u8::try_from(n).ok()).ok_or_else(malformed)?;
        let day = digits(&bytes[8..]).and_then(|n| u8::try_from(n).ok()).ok_or_else(malformed)?;
        Date::new(year, month, day)
    }
}

text_serde!(Date, "a date as YYYY-MM-DD");

/// A month in UTC+8: what is filed at once. As text `YYYY-MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Period {
    year: u16,
    month: u8,
}

impl Period {
    /// The given month, or [`Error::PeriodMalformed`].
    pub fn new(year: u16, month: u8) -> Result<Period, Error> {
        if (YEAR_MIN..=YEAR_MAX).contains(&year) && (1..=12).contains(&month) {
            return Ok(Period { year, month });
        }
        Err(Error::PeriodMalformed { found: format!("{year:04}-{month:02}") })
    }

    /// The month at a point in time given as ms since 1970 UTC, or [`Error::TimeOutOfRange`].
    pub fn from_unix_ms(unix_ms: i64) -> Result<Period, Error> {
        Date::from_unix_ms(unix_ms).map(Date::period)
    }

    /// The year.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The first day of the month.
    pub const fn first_day(self) -> Date {
        Date { year: self.year, month: self.month, day: 1 }
    }

    /// The last day of the month.
    pub fn last_day(self) -> Date {
        Date { year: self.year, month: self.month, day: days_in_month(self.year, self.month) }
    }

    /// When the month begins in UTC+8, in ms since 1970 UTC.
    pub fn start_ms(self) -> i64 {
        self.first_day().start_ms()
    }

    /// When the month has ended in UTC+8, in ms since 1970 UTC: the first instant that no longer belongs to it.
    pub fn end_ms(self) -> i64 {
        self.last_day().start_ms() + DAY_MS
    }
}

impl BorshDeserialize for Period {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let (year, month) = <(u16, u8)>::deserialize_reader(reader)?;
        Period::new(year, month).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Period, Error> {
        let malformed = || Error::PeriodMalformed { found: shown(text) };
        let bytes = text.as_bytes();
        if bytes.len() != 7 || bytes[4] != b'-' {
            return Err(malformed());
        }
        let year = digits(&bytes[..4]).ok_or_else(malformed)?;
        let month = digits(&bytes[5..]).and_then(|n| u8::try_from(n).ok()).ok_or_else(malformed)?;
        Period::new(year, month)
    }
}

text_serde!(Period, "a month as YYYY-MM");

/// Up to four ASCII digits as a number.
fn digits(bytes: &[u8]) -> Option<u16> {
    bytes.iter().try_fold(0_u16, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of January of `year`.
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400;
    // 719,162 days lie between 0001-01-01 and 1970-01-01.
    past * 365 + leap_days - 719_162
}

fn days_of_date(date: Date) -> i64 {
    let in_year: i64 = (1..date.month).map(|month| i64::from(days_in_month(date.year, month))).sum();
    days_before_year(i64::from(date.year)) + in_year + i64::from(date.day) - 1
}

fn date_of_days(days: i64) -> Option<Date> {
    if !(0..days_before_year(i64::from(YEAR_MAX) + 1)).contains(&days) {
        return None;
    }
    // A guess by the average length of a year is off by one at most; the loops settle it.
    let mut year = 1970 + days * 400 / 146_097;
    while days_before_year(year) > days {
        year -= 1;
    }
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let year_u16 = u16::try_from(year).ok()?;
    let mut rest = days - days_before_year(year);
    for month in 1..=12_u8 {
        let length = i64::from(days_in_month(year_u16, month));
        if rest < length {
            return Some(Date { year: year_u16, month, day: u8::try_from(rest + 1).ok()? });
        }
        rest -= length;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(unix_ms: i64, text: &str) {
        assert_eq!(Date::from_unix_ms(unix_ms).unwrap().to_string(), text);
    }

    #[test]
    fn the_day_changes_at_sixteen_hours_utc() {
        check(0, "1970-01-01");
        check(16 * 3_600_000 - 1, "1970-01-01");
        check(16 * 3_600_000, "1970-01-02");
        // 2019-03-31T16:00:00Z is the first instant of the 13 % rate.
        check(1_554_047_999_999, "2019-03-31");
        check(1_554_048_000_000, "2019-04-01");
        check(1_582_905_600_000, "2020-02-29");
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        for unix_ms in [i64::MIN, -ZONE_MS - 1, i64::MAX, 253_402_300_800_000] {
            assert!(Date::from_unix_ms(unix_ms).is_err(), "{unix_ms}");
        }
    }

    #[test]
    fn a_month_is_half_open() {
        let period: Period = "2024-02".parse().unwrap();
        assert_eq!(period.first_day().to_string(), "2024-02-01");
        assert_eq!(period.last_day().to_string(), "2024-02-29");
        assert_eq!(Period::from_unix_ms(period.start_ms()).unwrap(), period);
        assert_eq!(Period::from_unix_ms(period.end_ms() - 1).unwrap(), period);
        assert_eq!(Period::from_unix_ms(period.end_ms()).unwrap().to_string(), "2024-03");
        assert_eq!(Period::from_unix_ms(period.start_ms() - 1).unwrap().to_string(), "2024-01");
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        let wrong = [
            "2023-02-29",
            "2100-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-04-31",
            "1969-12-31",
            "2024-1-01",
            "2024-01-1",
            "20240101",
            "",
            "2024-01-0x",
        ];
        for text in wrong {
            assert!(text.parse::<Date>().is_err(), "{text:?}");
        }
        for text in ["2024-13", "2024-00", "2024-1", "1969-12", "", "2024/01"] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn days_and_times_agree(days in 0_i64..2_932_896) {
            let date = date_of_days(days).unwrap();
            prop_assert_eq!(days_of_date(date), days);
            prop_assert_eq!(Date::from_unix_ms(date.start_ms()).unwrap(), date);
            prop_assert_eq!(date.to_string().parse::<Date>().unwrap(), date);
            prop_assert_eq!(borsh::from_slice::<Date>(&borsh::to_vec(&date).unwrap()).unwrap(), date);
            let period = date.period();
            prop_assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
            prop_assert_eq!(borsh::from_slice::<Period>(&borsh::to_vec(&period).unwrap()).unwrap(), period);
            prop_assert!(period.first_day() <= date && date <= period.last_day());
        }

        #[test]
        fn the_next_day_is_greater(days in 0_i64..2_932_895) {
            prop_assert!(date_of_days(days) < date_of_days(days + 1));
        }

        #[test]
        fn no_input_panics(unix_ms: i64, text: String) {
            let _ = Date::from_unix_ms(unix_ms);
            let _ = text.parse::<Date>();
            let _ = text.parse::<Period>();
        }
    }
}
