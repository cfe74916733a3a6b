//! The room a replay has: memory up to a bound, and behind it a scratch that is opened only when the
//! bound is passed.
//!
//! Changes gather in memory. When they take half of the bound they are written to the scratch, and
//! stay readable in memory, with what is read back, until that takes the other half.

use std::cell::RefCell;

use super::scratch::{Changes, Entries, Scratch};
use crate::state::Fault;

/// What an entry costs in memory besides its bytes: two vectors, their allocations, a place in a tree.
const ENTRY_BYTES: usize = 112;

/// Opens the scratch, once.
pub(super) type Open<'s> = Box<dyn FnOnce() -> Result<Box<dyn Scratch>, Fault> + Send + 's>;

/// An ordered map of any size.
pub(super) struct Space<'s> {
    scratch: Behind<'s>,
    /// Changes that the scratch does not have.
    fresh: Bounded,
    /// What the scratch has, as far as it was written or read lately.
    known: RefCell<Bounded>,
}

/// The scratch, once there is one.
enum Behind<'s> {
    Closed(Option<Open<'s>>),
    Open(Box<dyn Scratch>),
}

/// Entries and about how much memory they take.
struct Bounded {
    entries: Changes,
    bytes: usize,
    bytes_max: usize,
}

impl Bounded {
    const fn new(bytes_max: usize) -> Self {
        Self { entries: Changes::new(), bytes: 0, bytes_max }
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let cost = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        self.bytes = self.bytes.saturating_add(cost(&value));
        let key_bytes = key.len();
        match self.entries.insert(key, value) {
            Some(before) => self.bytes = self.bytes.saturating_sub(cost(&before)),
            None => self.bytes = self.bytes.saturating_add(key_bytes).saturating_add(ENTRY_BYTES),
        }
    }

    const fn is_full(&self) -> bool {
        self.bytes > self.bytes_max
    }
}

impl<'s> Space<'s> {
    /// An empty space that takes about `bytes_max` bytes of memory.
    pub(super) fn new(bytes_max: usize, open: Open<'s>) -> Self {
        let half = bytes_max / 2;
        Self { scratch: Behind::Closed(Some(open)), fresh: Bounded::new(half), known: RefCell::new(Bounded::new(half)) }
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(value) = self.fresh.entries.get(key) {
            return Ok(value.clone());
        }
        let Behind::Open(scratch) = &self.scratch else { return Ok(None) };
        let mut known = self.known.borrow_mut();
        if let Some(value) = known.entries.get(key) {
            return Ok(value.clone());
        }
        let value = scratch.get(key)?;
        if known.is_full() {
            *known = Bounded::new(known.bytes_max);
        }
        known.put(key.to_vec(), value.clone());
        Ok(value)
    }

    /// Puts a value, or removes what is there.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), Fault> {
        self.fresh.put(key, value);
        if self.fresh.is_full() { self.spill() } else { Ok(()) }
    }

    /// Up to `entries_max` entries from `from` on, in order of keys, all below `to`.
    pub(super) fn page(&mut self, from: &[u8], to: &[u8], entries_max: usize) -> Result<Entries, Fault> {
        let mut fresh = self.fresh.entries.range(from.to_vec()..to.to_vec());
        if let Behind::Closed(_) = self.scratch {
            let there = fresh.filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
            return Ok(there.take(entries_max).collect());
        }
        if fresh.next().is_some() {
            self.spill()?;
        }
        match &self.scratch {
            Behind::Open(scratch) => scratch.page(from, to, entries_max),
            Behind::Closed(_) => Ok(Entries::new()),
        }
    }

    fn spill(&mut self) -> Result<(), Fault> {
        if let Behind::Closed(open) = &mut self.scratch
            && let Some(open) = open.take()
        {
            self.scratch = Behind::Open(open()?);
        }
        if let Behind::Open(scratch) = &mut self.scratch {
            scratch.write(&self.fresh.entries)?;
            let bytes_max = self.fresh.bytes_max;
            *self.known.borrow_mut() = std::mem::replace(&mut self.fresh, Bounded::new(bytes_max));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scratch::MemoryScratch;
    use super::*;

    fn space(bytes_max: usize) -> Space<'static> {
        Space::new(bytes_max, Box::new(|| Ok(Box::new(MemoryScratch::default()))))
    }

    #[test]
    fn every_bound_gives_the_same_answers() {
        let key = |index: u32| format!("k{:03}", index * 7_919 % 200).into_bytes();
        for bytes_max in [0, 1, 300, 5_000, usize::MAX] {
            let mut space = space(bytes_max);
            let mut model = Changes::new();
            for index in 0..1_000_u32 {
                let value = (!index.is_multiple_of(3)).then(|| index.to_be_bytes().to_vec());
                space.put(key(index), value.clone()).unwrap();
                model.insert(key(index), value);
                let other = key(index.wrapping_mul(31));
                assert_eq!(space.get(&other).unwrap(), model.get(&other).cloned().flatten(), "{bytes_max} {index}");
            }
            let there: Entries = model.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
            assert_eq!(space.page(b"", b"z", usize::MAX).unwrap(), there, "{bytes_max}");
            let part: Entries = there.iter().filter(|(key, _)| key.as_slice() >= b"k050").take(9).cloned().collect();
            assert_eq!(space.page(b"k050", b"z", 9).unwrap(), part, "{bytes_max}");
            assert!(space.fresh.bytes <= bytes_max, "{bytes_max}");
        }
    }

    #[test]
    fn what_fits_never_opens_a_scratch() {
        let mut space = Space::new(100_000, Box::new(|| Err(Fault::Missing { key: "scratch".to_owned() })));
        for index in 0..100_u8 {
            space.put(vec![index], Some(vec![index; 100])).unwrap();
        }
        assert_eq!(space.page(&[5], &[7], 10).unwrap(), [(vec![5], vec![5; 100]), (vec![6], vec![6; 100])]);
        let failed = (0..=255_u8).try_for_each(|index| space.put(vec![index], Some(vec![index; 1_000])));
        assert!(matches!(failed, Err(Fault::Missing { .. })), "{failed:?}");
    }
}
