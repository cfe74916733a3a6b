//! Clocks: the only place in the workspace that asks what time it is.

use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far a clock can be advanced: the year 2100, ms UTC. Far enough to play with, and far from the calendar's end,
/// where times can no longer be written and a node would have to stop.
const TIME_MS_MAX: i64 = 4_102_444_800_000;

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

    /// Advances the clock, never back and never beyond 2100; gives the time that it is now. Ms.
    pub(crate) fn advance(&self, ms: i64) -> i64 {
        let mut ahead = self.ahead_ms();
        let machine = machine_ms();
        // A chain that is later already, because an older node let it, stays where it is.
        let most = TIME_MS_MAX.saturating_sub(machine).max(*ahead);
        *ahead = ahead.saturating_add(ms.max(0)).min(most);
        machine.saturating_add(*ahead)
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
    fn a_clock_stops_short_of_the_end_of_the_calendar() {
        let clock = NodeClock::default();
        for _ in 0..20 {
            // It runs on from where it was stopped, as every clock does: a minute is more than this test takes.
            assert!(clock.advance(i64::MAX / 16) <= TIME_MS_MAX + 60_000);
        }
        let later = NodeClock::not_before(TIME_MS_MAX + 60_000);
        assert!(later.advance(1) >= TIME_MS_MAX + 50_000, "it never goes back");
    }

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
