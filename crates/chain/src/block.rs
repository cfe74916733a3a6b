//! Blocks.

use crate::hash::Hash;

/// The id of a block: SHA-256 of its encoded header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockId(Hash);

impl From<Hash> for BlockId {
    fn from(hash: Hash) -> Self {
        Self(hash)
    }
}

impl BlockId {
    /// The id as a digest.
    pub const fn hash(&self) -> Hash {
        self.0
    }
}
