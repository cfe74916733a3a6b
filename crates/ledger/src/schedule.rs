//! When state checkpoints are due, and which one a header carries (`design.md` §3, State tree).
//!
//! Due block k is the first block whose time is at least the interval past that of due block k−1,
//! or whose parent's log has grown by the interval of leaves since due block k−1. Checkpoint k is
//! the state after due block k; genesis is due block 0. Headers from due block k until before due
//! block k+1 carry checkpoint k−1 (checkpoint 0 before due block 2), so that there is a whole
//! interval to compute it. Only block times and sizes decide, so everybody agrees.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::parameters::Checkpoints;

/// The due block reached last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Schedule {
    /// Its number, k.
    pub number: u64,
    /// Its height.
    pub height: u64,
    /// Its time, ms UTC.
    pub time_ms: i64,
    /// The log's size at its parent.
    pub log_size: u64,
}

impl Schedule {
    /// The schedule at genesis.
    pub const fn genesis(time_ms: i64) -> Self {
        Self { number: 0, height: 0, time_ms, log_size: 0 }
    }

    /// The schedule after a block; the same as before unless the block is due.
    #[must_use]
    pub fn after(&self, rules: &Checkpoints, height: u64, time_ms: i64, parent_log_size: u64) -> Self {
        let waited = time_ms.saturating_sub(self.time_ms) >= i64::from(rules.interval_ms);
        let grown = parent_log_size.saturating_sub(self.log_size) >= u64::from(rules.interval_leaves);
        if waited || grown {
            Self { number: self.number + 1, height, time_ms, log_size: parent_log_size }
        } else {
            *self
        }
    }

    /// Whether the block at `height` is due block `number`.
    pub const fn is_due_at(&self, height: u64) -> bool {
        self.height == height
    }

    /// The checkpoint that headers carry under this schedule.
    pub const fn published(&self) -> u64 {
        self.number.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_due_by_time_or_by_size_and_headers_lag_by_one() {
        let rules = Checkpoints { interval_ms: 10_000, interval_leaves: 100 };
        let genesis = Schedule::genesis(1_000);
        assert_eq!(genesis.published(), 0);
        let early = genesis.after(&rules, 1, 10_999, 0);
        assert_eq!(early, genesis);
        let by_time = early.after(&rules, 2, 11_000, 5);
        assert_eq!((by_time.number, by_time.height, by_time.published()), (1, 2, 0));
        assert_eq!(by_time.after(&rules, 3, 11_001, 104), by_time);
        let by_size = by_time.after(&rules, 4, 11_002, 105);
        assert_eq!((by_size.number, by_size.height, by_size.published()), (2, 4, 1));
    }

    #[test]
    fn one_block_is_due_once_however_long_the_pause() {
        let rules = Checkpoints { interval_ms: 10_000, interval_leaves: 100 };
        let after_a_day = Schedule::genesis(0).after(&rules, 1, 86_400_000, 0);
        assert_eq!(after_a_day.number, 1);
    }
}
