//! Times as text: RFC 3339 in UTC with milliseconds, `2026-01-31T08:00:00.000Z`, and nothing else.

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Formats ms since 1970 UTC as RFC 3339 with milliseconds.
///
/// Times outside the years 0 to 9999, which no block has, come out as the nearest time inside.
pub fn format_ms(unix_ms: i64) -> String {
    let unix_ms = unix_ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let (day, rest) = (unix_ms.div_euclid(DAY_MS), unix_ms.rem_euclid(DAY_MS));
    let (year, month, date) = civil(day);
    let (seconds, ms) = (rest / 1_000, rest % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Reads an RFC 3339 time in UTC, with or without milliseconds, as ms since 1970.
pub fn parse_ms(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (whole, ms) = match text.split_once('.') {
        Some((whole, ms)) if ms.len() == 3 => (whole, number(ms)?),
        Some(_) => return None,
        None => (text, 0),
    };
    let bytes = whole.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if bytes.len() != 19 || !separators.iter().all(|(at, expected)| bytes[*at] == *expected) {
        return None;
    }
    let part = |from: usize, to: usize| whole.get(from..to).and_then(number);
    let (year, month, date) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let day = days(year, month, date);
    if civil(day) != (year, month, date) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(day * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000 + ms)
}

fn number(digits: &str) -> Option<i64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Days since 1970-01-01 to year, month, day. Counts years from March, so that leap days come last.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, date)
}

/// The inverse of [`civil`]. Dates that do not exist give the day they would run over to.
fn days(year: i64, month: i64, date: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + date - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written_and_read() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(format_ms(ms), text);
            assert_eq!(parse_ms(text), Some(ms));
        }
        assert_eq!(parse_ms("2026-01-31T08:00:00Z"), Some(1_769_846_400_000));
        assert_eq!(format_ms(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -1_000..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
    }

    #[test]
    fn other_spellings_are_no_times() {
        for text in [
            "",
            "Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+08:00",
            "2026-01-01T00:00:00.1Z",
            "2026-01-01 00:00:00Z",
            "+026-01-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026年-1-01T00:00Z",
        ] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }
}
