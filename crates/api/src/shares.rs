//! Something there is only so much of, and of which nobody may hold more than a share.
//!
//! Bytes of bodies, dry runs, archives: each is counted in all and by who holds it, and given back
//! when what holds it is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// So much of something, and the most that one may hold of it.
#[derive(Debug)]
pub(crate) struct Shares<K: Ord> {
    max: usize,
    one_max: usize,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    all: usize,
    each: BTreeMap<K, usize>,
}

/// Why no more is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Nothing is left for anybody.
    All,
    /// This one holds its share.
    One,
}

impl<K: Ord + Clone> Shares<K> {
    /// `max` in all, `one_max` of it for one.
    pub(crate) fn new(max: usize, one_max: usize) -> Arc<Self> {
        Arc::new(Self { max, one_max, held: Mutex::new(Held { all: 0, each: BTreeMap::new() }) })
    }

    fn held(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().expect("nothing panics while it holds the shares")
    }

    /// How much there is in all.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// How much one may hold.
    pub(crate) fn one_max(&self) -> usize {
        self.one_max
    }

    /// How much is held now.
    pub(crate) fn taken(&self) -> usize {
        self.held().all
    }

    /// Whether so much more could be given now. Takes nothing.
    pub(crate) fn has_room(&self, of: &K, amount: usize) -> Result<(), Full> {
        self.room_in(&self.held(), of, amount)
    }

    fn room_in(&self, held: &Held<K>, of: &K, amount: usize) -> Result<(), Full> {
        let own = held.each.get(of).copied().unwrap_or(0);
        // The own share first: whoever holds too much is told so, and not that the node is full.
        if amount > self.one_max.saturating_sub(own) {
            return Err(Full::One);
        }
        if amount > self.max.saturating_sub(held.all) { Err(Full::All) } else { Ok(()) }
    }

    /// Takes so much, until the share is dropped.
    pub(crate) fn take(self: &Arc<Self>, of: K, amount: usize) -> Result<Share<K>, Full> {
        let mut share = Share { shares: Arc::clone(self), of, amount: 0 };
        share.grow(amount)?;
        Ok(share)
    }
}

/// What one holds. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Ord + Clone> {
    shares: Arc<Shares<K>>,
    of: K,
    amount: usize,
}

impl<K: Ord + Clone> Share<K> {
    /// Takes so much more.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Full> {
        if more == 0 {
            return Ok(());
        }
        let mut held = self.shares.held();
        self.shares.room_in(&held, &self.of, more)?;
        held.all += more;
        *held.each.entry(self.of.clone()).or_default() += more;
        self.amount += more;
        Ok(())
    }

    /// How much it is.
    pub(crate) fn amount(&self) -> usize {
        self.amount
    }
}

impl<K: Ord + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut held = self.shares.held();
        held.all -= self.amount;
        if let Some(own) = held.each.get_mut(&self.of) {
            *own -= self.amount;
            if *own == 0 {
                held.each.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_a_share_and_all_of_it_comes_back() {
        let shares = Shares::new(10, 6);
        let mut one = shares.take("one", 4).unwrap();
        assert_eq!(one.grow(3), Err(Full::One));
        one.grow(2).unwrap();
        assert_eq!(shares.take("two", 5).unwrap_err(), Full::All);
        let two = shares.take("two", 4).unwrap();
        assert_eq!((shares.taken(), shares.has_room(&"two", 1)), (10, Err(Full::All)));
        drop(one);
        assert_eq!((shares.taken(), shares.has_room(&"two", 2)), (4, Ok(())));
        drop(two);
        assert_eq!(shares.taken(), 0);
        assert!(shares.held().each.is_empty(), "nobody is remembered for nothing");
    }
}
