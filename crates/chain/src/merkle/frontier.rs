//! The right edge of a growing tree: all that is needed to append and to give the root.

use borsh::{BorshDeserialize, BorshSerialize};

use super::node_hash;
use crate::encoding::invalid_borsh;
use crate::hash::Hash;

/// A log that has no room for another leaf: it has 2^63 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has no room for another leaf")]
pub struct LogFull;

/// A tree's size and its peaks: the roots of the complete subtrees it falls apart into, the
/// largest (leftmost) first, one for each bit that is set in the size.
///
/// Borsh: the size as `u64`, the peaks as a list; checked when read.
#[derive(Clone, Debug, PartialEq, Eq, Default, BorshSerialize)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// How many leaves a log may have; half of what a `u64` counts, so that no sum overflows.
const SIZE_MAX: u64 = 1 << 63;

impl Frontier {
    /// The frontier of the empty tree.
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// The frontier with these peaks, unless their number does not fit the size.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        let fits = size <= SIZE_MAX && u32::try_from(peaks.len()) == Ok(size.count_ones());
        fits.then_some(Self { size, peaks })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf_hash: Hash) -> Result<(), LogFull> {
        self.append_with(leaf_hash, |_, _| {})
    }

    /// Appends a leaf, and shows each subtree that it completes: level 0, the leaf itself, first.
    pub(crate) fn append_with(&mut self, leaf_hash: Hash, mut completed: impl FnMut(u32, Hash)) -> Result<(), LogFull> {
        if self.size >= SIZE_MAX {
            return Err(LogFull);
        }
        let mut node = leaf_hash;
        completed(0, node);
        // As adding one carries over the trailing ones of the size, the leaf merges with the
        // peaks that stand for them.
        for level in 1..=self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit of the size");
            node = node_hash(&left, &node);
            completed(level, node);
        }
        self.peaks.push(node);
        self.size += 1;
        Ok(())
    }

    /// The root of the tree (RFC 9162 §2.1.1).
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Hash::EMPTY,
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

impl BorshDeserialize for Frontier {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let size = u64::deserialize_reader(reader)?;
        let count = u32::deserialize_reader(reader)?;
        // Checked before the peaks are read: a size has at most 64 of them.
        if count != size.count_ones() {
            return Err(invalid_borsh("a frontier has one peak for each bit of its size"));
        }
        let peaks = (0..count).map(|_| Hash::deserialize_reader(reader)).collect::<borsh::io::Result<Vec<_>>>()?;
        Self::from_peaks(size, peaks).ok_or_else(|| invalid_borsh("a log has at most 2^63 leaves"))
    }
}
