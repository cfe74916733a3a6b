//! Decompressed segments that readers asked for lately.
//!
//! Readers of neighbouring events (receipts of one block, the pages of a list) ask for the same
//! segment again and again; decompressing it costs about 100 µs, finding it here none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chain::block::BlockId;
use replica::port::StoreFault;

/// A block and the number of a segment.
pub(super) type SegmentKey = (BlockId, u32);

/// Segments, the least lately used dropped first. Bounded in bytes.
#[derive(Debug)]
pub(super) struct SegmentCache {
    capacity_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    segments: BTreeMap<SegmentKey, (Arc<Vec<u8>>, u64)>,
    /// The same keys by the time of their last use.
    by_use: BTreeMap<u64, SegmentKey>,
    uses: u64,
    bytes: usize,
}

impl SegmentCache {
    pub(super) fn new(capacity_bytes: usize) -> Self {
        Self { capacity_bytes, kept: Mutex::default() }
    }

    /// A segment from the cache, or from `fill`. Two readers may fill the same one at once.
    pub(super) fn get_or_fill(
        &self,
        key: SegmentKey,
        fill: impl FnOnce() -> Result<Vec<u8>, StoreFault>,
    ) -> Result<Arc<Vec<u8>>, StoreFault> {
        if let Some(segment) = self.kept().touch(key) {
            return Ok(segment);
        }
        let segment = Arc::new(fill()?);
        self.kept().insert(key, Arc::clone(&segment), self.capacity_bytes);
        Ok(segment)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn touch(&mut self, key: SegmentKey) -> Option<Arc<Vec<u8>>> {
        let (segment, used) = self.segments.get_mut(&key)?;
        self.uses += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.uses, key);
        *used = self.uses;
        Some(Arc::clone(segment))
    }

    fn insert(&mut self, key: SegmentKey, segment: Arc<Vec<u8>>, capacity_bytes: usize) {
        if self.segments.contains_key(&key) {
            return;
        }
        self.uses += 1;
        self.bytes += segment.len();
        self.by_use.insert(self.uses, key);
        self.segments.insert(key, (segment, self.uses));
        while self.bytes > capacity_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                return;
            };
            if let Some((segment, _)) = self.segments.remove(&oldest) {
                self.bytes -= segment.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chain::hash::Hash;

    use super::*;

    fn key(number: u32) -> SegmentKey {
        (BlockId::from(Hash::from_bytes([1; 32])), number)
    }

    /// Whether a segment is kept; asking counts as a use.
    fn is_kept(cache: &SegmentCache, number: u32) -> bool {
        cache.kept().touch(key(number)).is_some()
    }

    #[test]
    fn the_least_lately_used_segment_goes_first() {
        let cache = SegmentCache::new(250);
        for number in 0..2 {
            cache.get_or_fill(key(number), || Ok(vec![0; 100])).unwrap();
        }
        assert!(is_kept(&cache, 0));
        cache.get_or_fill(key(2), || Ok(vec![0; 100])).unwrap();
        assert!(!is_kept(&cache, 1));
        assert!(is_kept(&cache, 0) && is_kept(&cache, 2));
        assert_eq!(cache.kept().bytes, 200);
    }

    #[test]
    fn a_segment_larger_than_the_cache_is_not_kept() {
        let cache = SegmentCache::new(10);
        cache.get_or_fill(key(0), || Ok(vec![0; 100])).unwrap();
        assert!(!is_kept(&cache, 0));
        assert_eq!(cache.kept().bytes, 0);
    }
}
