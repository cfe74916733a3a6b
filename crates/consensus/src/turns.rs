//! Whose turns were missed, and how long the next of them is waited for.
//!
//! A proposer that is gone would cost everybody the whole wait in each of its turns. So when somebody's last turn brought
//! nothing, the next is waited for only briefly, and now and then as long as anybody's: one that is back is slow at first,
//! and must not be shut out for ever by a wait that it cannot keep. Only how soon a round is given up depends on this, never
//! what is decided; each validator has its own mind about it; and waits still grow with the rounds.

use std::collections::BTreeMap;

use crate::context::Address;
use crate::options::Timeouts;

/// Of so many missed turns in a row, one is waited for as long as any other.
const WHOLE_EVERY: u32 = 8;

/// How many turns in a row each validator has missed. Bounded by the validators that there are.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    missed: BTreeMap<Address, u32>,
}

impl Turns {
    /// A height was decided in the round of the last of these proposers; the rounds of the others before it brought nothing.
    pub(crate) fn decided(&mut self, proposers: impl IntoIterator<Item = Address>) {
        let mut proposers = proposers.into_iter().peekable();
        while let Some(proposer) = proposers.next() {
            if proposers.peek().is_some() {
                *self.missed.entry(proposer).or_default() += 1;
            } else {
                self.missed.remove(&proposer);
            }
        }
    }

    /// How long to wait at a height whose first proposer is this one.
    pub(crate) fn timeouts(&self, first: &Address, usual: &Timeouts) -> Timeouts {
        let missed = self.missed.get(first).copied().unwrap_or(0);
        if missed == 0 || missed.is_multiple_of(WHOLE_EVERY) {
            return *usual;
        }
        Timeouts { propose: usual.missed, precommit: usual.missed.min(usual.precommit), ..*usual }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONE: Address = Address([1; 32]);
    const OTHER: Address = Address([2; 32]);

    fn waits(turns: &Turns, first: &Address) -> Duration {
        turns.timeouts(first, &Timeouts::default()).propose
    }

    #[test]
    fn who_missed_a_turn_is_waited_for_briefly_and_now_and_then_for_long_until_it_is_back() {
        let (long, short) = (Timeouts::default().propose, Timeouts::default().missed);
        let mut turns = Turns::default();
        assert_eq!(waits(&turns, &ONE), long);
        for round in 1..20 {
            turns.decided([ONE, OTHER]);
            assert_eq!(waits(&turns, &ONE), if round % WHOLE_EVERY == 0 { long } else { short }, "{round}");
            assert_eq!(waits(&turns, &OTHER), long);
        }
        turns.decided([ONE]);
        assert_eq!(waits(&turns, &ONE), long);
    }
}
