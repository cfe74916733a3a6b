//! Inclusion and consistency proofs: made from complete subtrees, verified with nothing but hashes.

use super::node_hash;
use crate::hash::Hash;

/// Gives the hashes of complete subtrees.
pub trait Nodes {
    /// Why a hash cannot be given.
    type Error;

    /// The root of the subtree over the leaves from `index * 2^level` up to `(index + 1) * 2^level`.
    ///
    /// Only asked for subtrees that are complete in the tree a proof is made for.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Why a proof cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E> {
    /// The leaf stands beyond the end of the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    BeyondEnd {
        /// The leaf asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The older tree is larger than the newer.
    #[error("a tree of {old} leaves is no beginning of one of {new}")]
    Shrunk {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// A subtree could not be read.
    #[error("a node of the tree cannot be read")]
    Nodes(#[source] E),
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The leaf stands beyond the end of the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    BeyondEnd {
        /// The leaf's index.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The older tree is larger than the newer.
    #[error("a tree of {old} leaves is no beginning of one of {new}")]
    Shrunk {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// The proof has too few or too many hashes.
    #[error("the proof has the wrong number of hashes, {found}")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The proof leads to another root.
    #[error("the proof leads to the root {found}, expected {expected}")]
    Root {
        /// The root that was to be proven.
        expected: Hash,
        /// The root to which the proof leads.
        found: Hash,
    },
}

/// The level of the largest complete subtree that is smaller than a tree of `size` >= 2 leaves.
fn split_level(size: u64) -> u32 {
    (size - 1).ilog2()
}

/// `MTH(D[start:end])`: the root over a range of leaves as RFC 9162 §2.1.1 splits it.
///
/// `start` is a multiple of the smallest power of two that is not below the range's size.
fn range_root<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, ProofError<N::Error>> {
    let size = end - start;
    if size.is_power_of_two() {
        let level = size.ilog2();
        let small = u8::try_from(level).expect("a u64 has 64 bits");
        return nodes.node(small, start >> level).map_err(ProofError::Nodes);
    }
    let middle = start + (1 << split_level(size));
    let left = range_root(nodes, start, middle)?;
    let right = range_root(nodes, middle, end)?;
    Ok(node_hash(&left, &right))
}

/// The inclusion proof `PATH(index, D_size)` of a leaf (RFC 9162 §2.1.3.1), lowest node first.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, ProofError<N::Error>> {
    if index >= size {
        return Err(ProofError::BeyondEnd { index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    // From the root down; the RFC writes the path from the leaf up.
    while end - start > 1 {
        let middle = start + (1 << split_level(end - start));
        if index < middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The consistency proof `PROOF(old, D_new)` (RFC 9162 §2.1.4.1), lowest node first.
///
/// Empty when the older tree is empty or both are the same: there is nothing to prove.
pub fn consistency_proof<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, ProofError<N::Error>> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    // SUBPROOF from the root down; it ends where the older tree ends at a subtree's end.
    while end != old {
        let middle = start + (1 << split_level(end - start));
        if old <= middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // The verifier knows the older root; it needs the last subtree only when that is another.
    if start != 0 {
        proof.push(range_root(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Verifies an inclusion proof (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(
    leaf_hash: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), VerifyError> {
    // 1. The leaf index must be below the tree size.
    if index >= size {
        return Err(VerifyError::BeyondEnd { index, size });
    }
    let length = VerifyError::Length { found: proof.len() };
    // 2. and 3.
    let (mut f, mut s) = (index, size - 1);
    let mut found = *leaf_hash;
    // 4. For each value in the path:
    for p in proof {
        if s == 0 {
            return Err(length);
        }
        if f & 1 == 1 || f == s {
            found = node_hash(p, &found);
            while f & 1 == 0 && f != 0 {
                f >>= 1;
                s >>= 1;
            }
        } else {
            found = node_hash(&found, p);
        }
        f >>= 1;
        s >>= 1;
    }
    // 5. The path must end at the root.
    if s != 0 {
        return Err(length);
    }
    expect_root(root, &found)
}

/// Verifies a consistency proof (RFC 9162 §2.1.4.2).
///
/// Of an empty or an equal tree the proof must be empty; then only the roots are compared.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), VerifyError> {
    if old > new {
        return Err(VerifyError::Shrunk { old, new });
    }
    let length = VerifyError::Length { found: proof.len() };
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(length);
        }
        let expected = if old == new { new_root } else { &Hash::EMPTY };
        return expect_root(expected, old_root);
    }
    // 2. The root of an older tree that is a complete subtree begins the path.
    let mut path = proof.iter();
    let first = if old.is_power_of_two() {
        old_root
    } else {
        // 1. An empty path proves nothing.
        path.next().ok_or(length)?
    };
    // 3. and 4.
    let shift = (old - 1).trailing_ones();
    let (mut f, mut s) = ((old - 1) >> shift, (new - 1) >> shift);
    // 5.
    let (mut found_old, mut found_new) = (*first, *first);
    // 6. For each further value in the path:
    for c in path {
        if s == 0 {
            return Err(length);
        }
        if f & 1 == 1 || f == s {
            found_old = node_hash(c, &found_old);
            found_new = node_hash(c, &found_new);
            while f & 1 == 0 && f != 0 {
                f >>= 1;
                s >>= 1;
            }
        } else {
            found_new = node_hash(&found_new, c);
        }
        f >>= 1;
        s >>= 1;
    }
    // 7. Both roots must come out, at the top.
    if s != 0 {
        return Err(length);
    }
    expect_root(old_root, &found_old)?;
    expect_root(new_root, &found_new)
}

fn expect_root(expected: &Hash, found: &Hash) -> Result<(), VerifyError> {
    if found == expected {
        return Ok(());
    }
    Err(VerifyError::Root { expected: *expected, found: *found })
}
