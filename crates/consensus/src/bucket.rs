//! Token buckets, without floating point.

use std::time::{Duration, Instant};

/// How much in the long run, and how much at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: u64,
    pub(crate) burst: u64,
}

/// A bucket that empties with time.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    level: u64,
    drained: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, level: 0, drained: now }
    }

    /// Takes some; says how long to wait before the next.
    pub(crate) fn take(&mut self, amount: u64, now: Instant) -> Option<Duration> {
        let elapsed_us = u64::try_from(now.duration_since(self.drained).as_micros()).unwrap_or(u64::MAX);
        let drained = elapsed_us.saturating_mul(self.rate.per_second) / 1_000_000;
        if drained > 0 {
            self.level = self.level.saturating_sub(drained);
            self.drained = now;
        }
        self.level = self.level.saturating_add(amount);
        let over = self.level.saturating_sub(self.rate.burst);
        (over > 0).then(|| Duration::from_micros(over.saturating_mul(1_000_000) / self.rate.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 1_000, burst: 10 }, now);
        assert!((0..10).all(|_| bucket.take(1, now).is_none()));
        assert_eq!(bucket.take(1, now), Some(Duration::from_millis(1)));
        assert_eq!(bucket.take(1, now + Duration::from_millis(20)), None);
    }
}
