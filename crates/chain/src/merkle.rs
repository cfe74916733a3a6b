//! Merkle trees as RFC 9162 §2.1 defines them, over SHA-256.
//!
//! Owns the hashes and the root; storage is `tile`'s.

use crate::hash::Hash;

/// The hash of a leaf: SHA-256(0x00 ‖ leaf) (RFC 9162 §2.1.1).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash::of_parts(&[&[0x00], leaf])
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right) (RFC 9162 §2.1.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[&[0x01], left.as_bytes(), right.as_bytes()])
}

/// The root of the tree over these leaf hashes (RFC 9162 §2.1.1), computed from scratch.
pub fn root(leaf_hashes: &[Hash]) -> Hash {
    match leaf_hashes {
        [] => Hash::EMPTY,
        [leaf] => *leaf,
        _ => {
            // The largest power of two below the number of leaves.
            let split = leaf_hashes.len().next_power_of_two() / 2;
            let (left, right) = leaf_hashes.split_at(split);
            node_hash(&root(left), &root(right))
        }
    }
}
