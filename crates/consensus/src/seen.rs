//! What was seen before, so that everything is passed on once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chain::hash::Hash;

/// Remembers at least the newest entries, and forgets the oldest: two generations that take turns.
#[derive(Debug)]
pub(crate) struct Seen {
    young: BTreeSet<Hash>,
    old: BTreeSet<Hash>,
    generation_max: usize,
    /// How long a generation is kept, when that is limited.
    lifetime: Option<Duration>,
    since: Instant,
}

impl Seen {
    pub(crate) fn new(generation_max: usize, lifetime: Option<Duration>, now: Instant) -> Self {
        Self { young: BTreeSet::new(), old: BTreeSet::new(), generation_max, lifetime, since: now }
    }

    /// Notes an entry; says whether it is new.
    pub(crate) fn note(&mut self, hash: Hash, now: Instant) -> bool {
        let aged = self.lifetime.is_some_and(|lifetime| now.duration_since(self.since) >= lifetime);
        if aged || self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
        !self.old.contains(&hash) && self.young.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_new_once_and_forgotten_only_after_a_whole_generation() {
        let now = Instant::now();
        let mut seen = Seen::new(4, None, now);
        let hash = |number: u8| Hash::of(&[number]);
        for number in 0..4 {
            assert!(seen.note(hash(number), now));
            assert!(!seen.note(hash(number), now));
        }
        assert!(seen.note(hash(4), now));
        assert!(!seen.note(hash(0), now), "the generation before is remembered");
        for number in 5..10 {
            assert!(seen.note(hash(number), now));
        }
        assert!(seen.note(hash(0), now), "and forgotten after the next one");
    }

    #[test]
    fn what_is_repeated_on_purpose_is_new_again_after_a_while() {
        let now = Instant::now();
        let mut seen = Seen::new(100, Some(Duration::from_secs(1)), now);
        assert!(seen.note(Hash::of(b"vote"), now));
        assert!(!seen.note(Hash::of(b"vote"), now + Duration::from_millis(1_500)));
        assert!(seen.note(Hash::of(b"vote"), now + Duration::from_millis(2_600)));
    }
}
