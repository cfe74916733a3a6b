//! The published vectors of Certificate Transparency, and a naive tree to compare with.

use proptest::prelude::*;

use super::*;

/// The leaves of the published tree.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The published roots of its first 0 to 8 leaves.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const NODE_0: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
const NODE_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const NODE_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const NODE_6: &str = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f";
const NODE_01: &str = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
const NODE_23: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const NODE_45: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const NODE_67: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const NODE_0123: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
const NODE_4567: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

/// The naive tree: all leaf hashes, and the hashes of all complete subtrees by level.
struct Naive(Vec<Hash>, Vec<Vec<Hash>>);

impl Naive {
    fn published() -> Self {
        let leaf = |leaf| leaf_hash(&hex::decode(leaf).unwrap());
        Self::over(LEAVES.map(leaf).to_vec())
    }

    fn of(size: usize) -> Self {
        let leaf = |leaf: usize| leaf_hash(&leaf.to_be_bytes());
        Self::over((0..size).map(leaf).collect())
    }

    fn over(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves.clone()];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let (pairs, _) = below.as_chunks();
            levels.push(pairs.iter().map(|[a, b]| node_hash(a, b)).collect());
        }
        Self(leaves, levels)
    }

    /// The tree of the first `size` leaves.
    fn root(&self, size: u64) -> Hash {
        root(&self.0[..usize::try_from(size).unwrap()])
    }
}

impl Nodes for Naive {
    type Error = String;

    fn node(&self, level: u8, index: u64) -> Result<Hash, String> {
        let level_hashes = self.1.get(usize::from(level));
        level_hashes
            .and_then(|hashes| hashes.get(usize::try_from(index).unwrap()))
            .copied()
            .ok_or_else(|| format!("{level}/{index}"))
    }
}

/// `PATH(m, D_n)`, word for word as RFC 9162 §2.1.3.1 defines it.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if index < k { (naive_path(index, left), root(right)) } else { (naive_path(index - k, right), root(left)) };
    path.push(sibling);
    path
}

/// `SUBPROOF(m, D_n, b)`, word for word as RFC 9162 §2.1.4.1 defines it.
fn naive_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if old <= k {
        (naive_subproof(old, left, whole), root(right))
    } else {
        (naive_subproof(old - k, right, false), root(left))
    };
    proof.push(sibling);
    proof
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_published_roots_come_out() {
    let tree = Naive::published();
    let mut frontier = Frontier::new();
    for (size, expected) in (0_u64..).zip(ROOTS) {
        assert_eq!(tree.root(size).to_string(), expected);
        assert_eq!(frontier.root().to_string(), expected);
        if let Some(leaf) = tree.0.get(usize::try_from(size).unwrap()) {
            frontier.append(*leaf).unwrap();
        }
    }
}

#[test]
fn the_published_inclusion_proofs_come_out() {
    let tree = Naive::published();
    for (index, size, expected) in [
        (0, 1, &[][..]),
        (0, 2, &[NODE_1]),
        (1, 2, &[NODE_0]),
        (2, 3, &[NODE_01]),
        (1, 5, &[NODE_0, NODE_23, NODE_4]),
        (0, 8, &[NODE_1, NODE_23, NODE_4567]),
        (5, 8, &[NODE_4, NODE_67, NODE_0123]),
    ] {
        let proof = inclusion_proof(&tree, index, size).unwrap();
        assert_eq!(proof, hashes(expected), "{index} in {size}");
        let leaf = tree.0[usize::try_from(index).unwrap()];
        verify_inclusion(&leaf, index, size, &proof, &tree.root(size)).unwrap();
    }
}

#[test]
fn the_published_consistency_proofs_come_out() {
    let tree = Naive::published();
    for (old, new, expected) in [
        (1, 1, &[][..]),
        (1, 8, &[NODE_1, NODE_23, NODE_4567]),
        (2, 5, &[NODE_23, NODE_4]),
        (6, 7, &[NODE_45, NODE_6, NODE_0123]),
        (6, 8, &[NODE_45, NODE_67, NODE_0123]),
    ] {
        let proof = consistency_proof(&tree, old, new).unwrap();
        assert_eq!(proof, hashes(expected), "{old} to {new}");
        verify_consistency(old, new, &proof, &tree.root(old), &tree.root(new)).unwrap();
    }
}

#[test]
fn every_inclusion_proof_up_to_130_leaves_is_the_rfcs_and_verifies() {
    let tree = Naive::of(130);
    for size in 1..=130 {
        let root = tree.root(size);
        for index in 0..size {
            let proof = inclusion_proof(&tree, index, size).unwrap();
            let place = usize::try_from(index).unwrap();
            let leaves = &tree.0[..usize::try_from(size).unwrap()];
            assert_eq!(proof, naive_path(place, leaves), "{index} in {size}");
            verify_inclusion(&leaves[place], index, size, &proof, &root).unwrap();
        }
        assert_eq!(inclusion_proof(&tree, size, size), Err(ProofError::BeyondEnd { index: size, size }));
    }
}

#[test]
fn every_consistency_proof_up_to_130_leaves_is_the_rfcs_and_verifies() {
    let tree = Naive::of(130);
    let roots: Vec<Hash> = (0..=130).map(|size| tree.root(size)).collect();
    for new in 0..=130_usize {
        let big = u64::try_from(new).unwrap();
        for old in 0..=new {
            let small = u64::try_from(old).unwrap();
            let proof = consistency_proof(&tree, small, big).unwrap();
            if old > 0 {
                assert_eq!(proof, naive_subproof(old, &tree.0[..new], true));
            }
            verify_consistency(small, big, &proof, &roots[old], &roots[new]).unwrap();
        }
        assert_eq!(consistency_proof(&tree, big + 1, big), Err(ProofError::Shrunk { old: big + 1, new: big }));
    }
}

#[test]
fn a_proof_for_another_place_size_leaf_or_root_does_not_verify() {
    let tree = Naive::of(20);
    for size in 1..=20 {
        let root = tree.root(size);
        for index in 0..size {
            let leaf = tree.0[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(&tree, index, size).unwrap();
            for other in 0..=size {
                if other != index {
                    verify_inclusion(&leaf, other, size, &proof, &root).unwrap_err();
                }
            }
            verify_inclusion(&Hash::EMPTY, index, size, &proof, &root).unwrap_err();
            verify_inclusion(&leaf, index, size, &proof, &Hash::EMPTY).unwrap_err();
            for place in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[place] = Hash::EMPTY;
                verify_inclusion(&leaf, index, size, &wrong, &root).unwrap_err();
                wrong.remove(place);
                verify_inclusion(&leaf, index, size, &wrong, &root).unwrap_err();
            }
            let longer = [&proof[..], &[Hash::EMPTY]].concat();
            assert_eq!(
                verify_inclusion(&leaf, index, size, &longer, &root),
                Err(VerifyError::Length { found: longer.len() })
            );
        }
    }
    verify_inclusion(&Hash::EMPTY, 0, 0, &[], &Hash::EMPTY).unwrap_err();
}

#[test]
fn a_rewritten_history_is_not_consistent() {
    let tree = Naive::of(20);
    let mut rewritten = Naive::of(20);
    rewritten.0[0] = Hash::EMPTY;
    for new in 1..=20 {
        for old in 1..=new {
            let proof = consistency_proof(&rewritten, old, new).unwrap();
            let (before, after) = (tree.root(old), rewritten.root(new));
            verify_consistency(old, new, &proof, &before, &after).unwrap_err();
            let proof = consistency_proof(&tree, old, new).unwrap();
            let after = tree.root(new);
            for place in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[place] = Hash::EMPTY;
                verify_consistency(old, new, &wrong, &before, &after).unwrap_err();
                wrong.remove(place);
                verify_consistency(old, new, &wrong, &before, &after).unwrap_err();
            }
            let longer = [&proof[..], &[Hash::EMPTY]].concat();
            verify_consistency(old, new, &longer, &before, &after).unwrap_err();
        }
    }
    let one = tree.root(1);
    verify_consistency(0, 1, &[], &one, &one).unwrap_err();
    verify_consistency(0, 1, &[one], &Hash::EMPTY, &one).unwrap_err();
    verify_consistency(2, 1, &[], &one, &one).unwrap_err();
}

#[test]
fn the_bytes_of_a_frontier_are_fixed() {
    let tree = Naive::published();
    let mut frontier = Frontier::new();
    assert_eq!(borsh::to_vec(&frontier).unwrap(), [0; 12]);
    for leaf in &tree.0[..7] {
        frontier.append(*leaf).unwrap();
    }
    // Changing these bytes forks the chain.
    let expected = format!("070000000000000003000000{NODE_0123}{NODE_45}{NODE_6}");
    let bytes = borsh::to_vec(&frontier).unwrap();
    assert_eq!(hex::encode(&bytes), expected);
    let read: Frontier = borsh::from_slice(&bytes).unwrap();
    assert_eq!((read.size(), read.root()), (7, tree.root(7)));
    for place in 0..12 {
        let mut wrong = bytes.clone();
        wrong[place] ^= 8;
        assert!(borsh::from_slice::<Frontier>(&wrong).is_err(), "{place}");
    }
    assert!(borsh::from_slice::<Frontier>(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn a_full_log_takes_no_leaf() {
    let mut full = Frontier::from_peaks(1 << 63, vec![Hash::EMPTY]).unwrap();
    assert_eq!(full.append(Hash::EMPTY), Err(LogFull));
    assert_eq!(Frontier::from_peaks((1 << 63) + 1, vec![Hash::EMPTY; 2]), None);
    assert_eq!(Frontier::from_peaks(3, vec![Hash::EMPTY]), None);
    let mut last = Frontier::from_peaks((1 << 63) - 1, vec![Hash::EMPTY; 63]).unwrap();
    last.append(Hash::EMPTY).unwrap();
    assert_eq!(last.peaks().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_frontier_agrees_with_the_naive_tree(size in 0_usize..1_500) {
        let tree = Naive::of(size);
        let mut frontier = Frontier::new();
        for leaf in &tree.0 {
            frontier.append(*leaf).unwrap();
        }
        prop_assert_eq!(frontier.root(), root(&tree.0));
        let bytes = borsh::to_vec(&frontier).unwrap();
        prop_assert_eq!(borsh::from_slice::<Frontier>(&bytes).unwrap(), frontier);
    }

    #[test]
    fn proofs_of_larger_trees_verify(
        size in 1_usize..1_500, index in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
    ) {
        let tree = Naive::of(size);
        let (place, old) = (index.index(size), old.index(size + 1));
        let leaf = tree.0[place];
        let [index, old, size] = [place, old, size].map(|n| u64::try_from(n).unwrap());
        let root = tree.root(size);
        let proof = inclusion_proof(&tree, index, size).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
        let proof = consistency_proof(&tree, old, size).unwrap();
        prop_assert_eq!(verify_consistency(old, size, &proof, &tree.root(old), &root), Ok(()));
    }

    #[test]
    fn random_proofs_neither_verify_nor_panic(
        a in any::<u64>(), b in any::<u64>(), length in 0_usize..70,
    ) {
        let proof = vec![Hash::of(b"x"); length];
        let root = Hash::of(b"root");
        prop_assert!(verify_inclusion(&Hash::EMPTY, a, b, &proof, &root).is_err());
        prop_assert!(verify_consistency(a, b, &proof, &Hash::EMPTY, &root).is_err() || a == 0);
    }
}
