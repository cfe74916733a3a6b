//! The newest events in memory, for those who are at the tip.

use std::collections::VecDeque;
use std::sync::Arc;

use super::item::Batch;

/// The newest events, without gaps.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Events kept at most, besides the newest batch: as far as a subscription may lie behind.
    events_max: u64,
    batches: VecDeque<Arc<Batch>>,
    /// The place of the first item that is kept.
    first: u64,
    /// The place behind the last.
    next: u64,
}

/// What lies from a position on.
pub(crate) enum Ahead {
    /// Nothing yet.
    Nothing,
    /// These.
    Batches(Vec<Arc<Batch>>),
    /// What is no longer kept.
    Gone,
}

impl Ring {
    pub(crate) fn new(events_max: u64) -> Self {
        Self { events_max, batches: VecDeque::new(), first: 0, next: 0 }
    }

    /// The place behind the last item.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Forgets everything, and begins at a place.
    pub(crate) fn begin(&mut self, at: u64) {
        self.batches.clear();
        (self.first, self.next) = (at, at);
    }

    /// Adds a batch that begins where the last ended, and forgets what is too old.
    pub(crate) fn push(&mut self, batch: Batch) {
        assert_eq!(batch.first, self.next, "a batch begins where the last ended");
        let (first, next) = (batch.first, batch.next);
        self.next = next;
        self.batches.push_back(Arc::new(batch));
        while self.batches.front().is_some_and(|oldest| first.saturating_sub(oldest.first) > self.events_max) {
            self.batches.pop_front();
        }
        self.first = self.batches.front().map_or(next, |oldest| oldest.first);
    }

    /// How many events somebody at a position has left unread, not counting the newest batch.
    pub(crate) fn behind(&self, position: u64) -> u64 {
        self.batches.back().map_or(0, |newest| newest.first.saturating_sub(position))
    }

    /// What lies from a position on.
    pub(crate) fn ahead(&self, position: u64) -> Ahead {
        if position >= self.next {
            return Ahead::Nothing;
        }
        if position < self.first {
            return Ahead::Gone;
        }
        let read = self.batches.partition_point(|batch| batch.next <= position);
        Ahead::Batches(self.batches.iter().skip(read).cloned().collect())
    }
}
