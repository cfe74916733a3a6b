//! Clocks: the only place in the workspace that asks what time it is.

use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock, which in `dev` and `demo` can be advanced.
#[derive(Debug, Default)]
pub(crate) struct NodeClock {
    ahead_ms: Mutex<i64>,
}

impl NodeClock {
    /// A clock that is at `floor_ms` (ms UTC) at least: a chain whose clock was advanced does not go back.
    pub(crate) fn not_before(floor_ms: i64) -> Self {
        Self { ahead_ms: Mutex::new(floor_ms.saturating_sub(machine_ms()).max(0)) }
    }

    fn ahead_ms(&self) -> MutexGuard<'_, i64> {
        self.ahead_ms.lock().expect("nothing panics while it holds the clock")
    }

    /// The time, ms UTC.
    pub(crate) fn now_ms(&self) -> i64 {
        machine_ms().saturating_add(*self.ahead_ms())
    }

    /// Advances the clock, never back; gives the new time. Ms.
    pub(crate) fn advance(&self, ms: i64) -> i64 {
        let mut ahead = self.ahead_ms();
        *ahead = ahead.saturating_add(ms.max(0));
        machine_ms().saturating_add(*ahead)
    }
}

impl api::Clock for NodeClock {
    fn now_ms(&self) -> i64 {
        self.now_ms()
    }
}

/// The machine's time, ms UTC; 0 for a clock that stands before 1970.
pub(crate) fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The machine's time, seconds UTC.
pub(crate) fn machine_s() -> u64 {
    u64::try_from(machine_ms() / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advanced_clock_runs_on_and_never_goes_back() {
        let clock = NodeClock::not_before(machine_ms() + 60_000);
        let ahead = clock.now_ms();
        assert!(ahead >= machine_ms() + 50_000);
        assert!(clock.advance(3_600_000) >= ahead + 3_600_000);
        assert!(clock.advance(-5) >= ahead + 3_600_000);
        assert!(NodeClock::not_before(0).now_ms() <= machine_ms());
    }
}
