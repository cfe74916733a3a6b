//! What happened when: latencies, and how much was done in each tenth of a second.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The grain of the curve, ms.
const GRAIN_MS: u64 = 100;

/// Latencies, from a histogram of microseconds with three digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    /// How many were measured.
    pub(super) count: u64,
    /// Half took at most this. Milliseconds.
    pub(super) p50_ms: f64,
    /// Nine of ten took at most this.
    pub(super) p90_ms: f64,
    /// Ninety-nine of a hundred took at most this.
    pub(super) p99_ms: f64,
    /// The longest.
    pub(super) max_ms: f64,
}

#[derive(Debug)]
struct Record {
    histogram: Histogram<u64>,
    /// Events done, by tenths of a second since the begin.
    done: Vec<u64>,
    failed: u64,
    /// The first thing that went wrong.
    complaint: Option<String>,
    last: Instant,
}

/// Takes note of everything that was done.
#[derive(Debug)]
pub(super) struct Recorder {
    begun: Instant,
    record: Mutex<Record>,
}

impl Recorder {
    /// Begins now.
    pub(super) fn new() -> Self {
        let begun = Instant::now();
        let record = Record { histogram: histogram(), done: Vec::new(), failed: 0, complaint: None, last: begun };
        Self { begun, record: Mutex::new(record) }
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().expect("nothing panics while it takes note")
    }

    /// So many events were done just now that were due at `due`.
    pub(super) fn done(&self, due: Instant, events: u64) {
        let now = Instant::now();
        let mut record = self.record();
        record.histogram.saturating_record(micros(now.saturating_duration_since(due)));
        let place = usize::try_from(micros(now.duration_since(self.begun)) / 1_000 / GRAIN_MS).unwrap_or(usize::MAX);
        if record.done.len() <= place {
            record.done.resize(place.saturating_add(1), 0);
        }
        record.done[place] += events;
        record.last = record.last.max(now);
    }

    /// Something was not done.
    pub(super) fn failed(&self, complaint: impl FnOnce() -> String) {
        let mut record = self.record();
        record.failed += 1;
        if record.complaint.is_none() {
            record.complaint = Some(complaint());
        }
    }

    /// What was not done, and the first reason.
    pub(super) fn failures(&self) -> (u64, Option<String>) {
        let record = self.record();
        (record.failed, record.complaint.clone())
    }

    /// Events done, and from begin to the last of them.
    pub(super) fn total(&self) -> (u64, Duration) {
        let record = self.record();
        (record.done.iter().sum(), record.last - self.begun)
    }

    /// The latencies.
    pub(super) fn latency(&self) -> Latency {
        latency(&self.record().histogram)
    }

    /// Events a second while the first and the last tenth of all events were done. None when that was too quick to tell.
    pub(super) fn tenths(&self) -> Option<(u64, u64)> {
        let record = self.record();
        let (forward, backward) = (record.done.iter().copied(), record.done.iter().rev().copied());
        let tenth = record.done.iter().sum::<u64>() / 10;
        Some((speed(forward, tenth)?, speed(backward.skip_while(|done| *done == 0), tenth)?))
    }
}

/// Events a second until so many were done; none when that took less than three grains.
fn speed(done: impl Iterator<Item = u64>, enough: u64) -> Option<u64> {
    let (mut grains, mut sum) = (0, 0);
    for events in done {
        (grains, sum) = (grains + 1, sum + events);
        if sum >= enough {
            break;
        }
    }
    (grains >= 3).then(|| sum * 1_000 / (grains * GRAIN_MS))
}

/// An empty histogram of microseconds, with three digits. What is longer than an hour counts as an hour.
pub(super) fn histogram() -> Histogram<u64> {
    const HOUR_US: u64 = 3_600_000_000;
    Histogram::new_with_max(HOUR_US, 3).expect("an hour in three digits is a range that histograms know")
}

/// A histogram of microseconds, as it is reported.
pub(super) fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| millis(histogram.value_at_quantile(quantile));
    Latency {
        count: histogram.len(),
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        max_ms: millis(histogram.max()),
    }
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a time to be read by people")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_that_slows_down_is_seen() {
        // Ten events a grain, then two.
        let done: Vec<u64> = [vec![10; 50], vec![2; 250]].concat();
        assert_eq!(speed(done.iter().copied(), 100), Some(100));
        assert_eq!(speed(done.iter().rev().copied(), 100), Some(20));
        assert_eq!(speed([100].into_iter(), 100), None);
    }

    #[test]
    fn what_is_done_and_what_is_not_is_counted() {
        let recorder = Recorder::new();
        recorder.done(Instant::now(), 7);
        recorder.failed(|| "first".to_owned());
        recorder.failed(|| "second".to_owned());
        assert_eq!(recorder.total().0, 7);
        assert_eq!(recorder.failures(), (2, Some("first".to_owned())));
        recorder.done(Instant::now().checked_sub(Duration::from_secs(2)).unwrap(), 1);
        let latency = recorder.latency();
        assert_eq!(latency.count, 2);
        assert!((2_000.0..60_000.0).contains(&latency.max_ms), "{latency:?}");
    }
}
