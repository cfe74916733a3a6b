//! When a delivery that failed is tried again: the schedule that the Standard Webhooks specification gives.

use std::time::SystemTime;

/// Pauses before the second try and those after it, ms: five seconds to a day, three days in all.
const PAUSES_MS: [i64; 9] =
    [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000];

/// Tries, the first one too.
pub(crate) const TRIES_MAX: u32 = 10;

/// The part of a pause that chance may add, so that what failed together does not come back together: a tenth.
const JITTER_DIVISOR: i64 = 10;

/// The longest pause that a receiver may ask for, ms: a day.
const RETRY_AFTER_MS_MAX: i64 = 86_400_000;

/// The pause behind so many tries, ms; `None` behind the last. `asked_ms` is what the receiver asks for; `chance` is any
/// number.
pub(crate) fn pause_ms(tries: u32, asked_ms: Option<i64>, chance: u64) -> Option<i64> {
    let place = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause_ms = *PAUSES_MS.get(place)?;
    let jitter_max = u64::try_from(pause_ms / JITTER_DIVISOR).unwrap_or(0).saturating_add(1);
    let jitter_ms = i64::try_from(chance % jitter_max).unwrap_or(0);
    let asked_ms = asked_ms.unwrap_or(0).clamp(0, RETRY_AFTER_MS_MAX);
    Some(pause_ms.saturating_add(jitter_ms).max(asked_ms))
}

/// What a `Retry-After` header asks for, ms from now: seconds or a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after_ms(text: &str, now_ms: i64) -> Option<i64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(1_000));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date_ms = date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis();
    Some(i64::try_from(date_ms).ok()?.saturating_sub(now_ms).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_one_of_the_specification_and_chance_adds_at_most_a_tenth() {
        let minutes = |ms: Option<i64>| ms.map(|ms| ms / 60_000);
        let pauses: Vec<_> = (1..=TRIES_MAX).map(|tries| pause_ms(tries, None, 0)).collect();
        assert_eq!(pauses[0], Some(5_000));
        let rest: Vec<_> = pauses[1..].iter().copied().map(minutes).collect();
        let expected = [5, 30, 120, 300, 600, 840, 1_200, 1_440].map(Some);
        assert_eq!(rest, [expected.as_slice(), &[None]].concat());
        for tries in 1..TRIES_MAX {
            let least = pause_ms(tries, None, 0).unwrap();
            for chance in [1, 499, 501, 12_345_678_901, u64::MAX] {
                let pause = pause_ms(tries, None, chance).unwrap();
                assert!((least..=least + least / 10).contains(&pause), "{tries} {chance}: {pause}");
            }
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_but_for_no_shorter_one_and_for_a_day_at_most() {
        assert_eq!(pause_ms(1, Some(60_000), 0), Some(60_000));
        assert_eq!(pause_ms(2, Some(60_000), 0), Some(300_000));
        assert_eq!(pause_ms(1, Some(i64::MAX), 0), Some(86_400_000));
        assert_eq!(pause_ms(1, Some(-5), 0), Some(5_000));
        assert_eq!(pause_ms(TRIES_MAX, Some(60_000), 0), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now_ms = 784_111_777_000;
        assert_eq!(retry_after_ms("120", now_ms), Some(120_000));
        assert_eq!(retry_after_ms(" 0 ", now_ms), Some(0));
        assert_eq!(retry_after_ms("99999999999999999999", now_ms), Some(i64::MAX));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:47 GMT", now_ms), Some(10_000));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:30 GMT", now_ms), Some(0));
        for wrong in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after_ms(wrong, now_ms), None, "{wrong}");
        }
    }
}
