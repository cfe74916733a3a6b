//! Merkle trees as RFC 9162 §2.1 defines them (the same as RFC 6962), over SHA-256.
//!
//! Owns hashes, roots, the frontier by which a log grows, proofs and their verification. Where the
//! nodes of a large tree are kept is `tile`'s matter: proofs are made from anything that can give
//! the hash of a complete subtree.
//!
//! Changing a hash here forks the chain.

mod frontier;
mod proof;

#[cfg(test)]
mod tests;

use crate::hash::Hash;

pub use self::frontier::{Frontier, LogFull};
pub use self::proof::{
    Nodes, ProofError, VerifyError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};

/// How many hashes a proof may have: trees have fewer than 2^64 leaves.
pub const PROOF_HASHES_MAX: usize = 64;

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
