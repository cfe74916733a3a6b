//! Tiles against frontiers and the naive tree.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::merkle::{
    ProofError, consistency_proof, inclusion_proof, leaf_hash, root, verify_consistency, verify_inclusion,
};

/// Stored tiles, as a store would keep them.
#[derive(Default)]
struct Stored(BTreeMap<TileId, Vec<u8>>);

impl Stored {
    fn put(&mut self, edge: &mut RightEdge) {
        self.0.extend(edge.take_dirty());
    }
}

impl Tiles for Stored {
    type Error = Infallible;

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.get(&id).cloned())
    }
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn size_of(leaves: &[Hash]) -> u64 {
    u64::try_from(leaves.len()).unwrap()
}

/// A log of some leaves, stored in blocks of `block` leaves.
fn log(size: u64, block: u64) -> (Vec<Hash>, RightEdge, Stored) {
    let (mut edge, mut stored) = (RightEdge::new(), Stored::default());
    let leaves: Vec<Hash> = (0..size).map(leaf).collect();
    for (count, leaf) in (1..).zip(&leaves) {
        edge.append(*leaf).unwrap();
        if count % block == 0 {
            stored.put(&mut edge);
        }
    }
    stored.put(&mut edge);
    (leaves, edge, stored)
}

fn check(size: u64, block: u64) {
    let (leaves, edge, stored) = log(size, block);
    assert_eq!(edge.size(), size);
    assert_eq!(edge.root(), root(&leaves), "{size}");
    let opened = RightEdge::open(size, &stored).unwrap();
    assert_eq!(opened, edge, "{size}");
}

#[test]
fn an_edge_opened_from_its_tiles_is_the_edge_that_wrote_them() {
    for size in 0..=200 {
        check(size, 7);
    }
    for size in [4_095, 4_096, 4_097, 4_160, 8_192] {
        check(size, 1_000);
    }
}

#[test]
fn tiles_hold_what_they_say() {
    let (leaves, _, stored) = log(4_096 + 65, 1_000);
    let ids: Vec<TileId> = stored.0.keys().copied().collect();
    assert_eq!(ids.len(), 66 + 2 + 1);
    assert_eq!(ids[65], TileId { level: 0, index: 65 });
    let tile = |level, index| &stored.0[&TileId { level, index }];
    assert_eq!(tile(0, 65), leaves[64 * 65].as_bytes());
    assert_eq!(tile(0, 1)[..32], leaves[64].as_bytes()[..]);
    assert_eq!(tile(1, 0).len(), TILE_BYTES_MAX);
    assert_eq!(tile(1, 0)[..32], root(&leaves[..64]).as_bytes()[..]);
    assert_eq!(tile(1, 1)[..], root(&leaves[4_096..4_160]).as_bytes()[..]);
    assert_eq!(tile(2, 0)[..], root(&leaves[..4_096]).as_bytes()[..]);
    assert_eq!(ids[66].to_string(), "1/0");
    assert!(ids.is_sorted_by(|a, b| a.to_key() < b.to_key()));
    assert_eq!(TileId { level: 1, index: 0x0203 }.to_key(), [1, 0, 0, 0, 0, 0, 0, 2, 3]);
}

#[test]
fn only_what_changed_is_written() {
    let mut edge = RightEdge::new();
    assert_eq!(edge.take_dirty(), []);
    for index in 0..63 {
        edge.append(leaf(index)).unwrap();
    }
    assert_eq!(edge.take_dirty().len(), 1);
    assert_eq!(edge.take_dirty(), []);
    edge.append(leaf(63)).unwrap();
    // The tile that is now full, and the one above it that holds its root.
    assert_eq!(edge.take_dirty().len(), 2);
    edge.append(leaf(64)).unwrap();
    let dirty = edge.take_dirty();
    assert_eq!(dirty.len(), 1);
    assert_eq!(dirty[0], (TileId { level: 0, index: 1 }, leaf(64).as_bytes().to_vec()));
}

#[test]
fn lost_or_damaged_tiles_are_named() {
    let (_, _, stored) = log(100, 100);
    let id = TileId { level: 0, index: 1 };
    let damaged = |change: fn(&mut Vec<u8>)| {
        let mut tiles = stored.0.clone();
        change(tiles.get_mut(&id).unwrap());
        RightEdge::open(100, &Stored(tiles)).unwrap_err()
    };
    assert_eq!(damaged(|tile| tile.truncate(35 * 32)), TileError::Short { id, needed: 36, found: 35 });
    assert_eq!(damaged(|tile| tile.truncate(35)), TileError::Shape { id, found_bytes: 35 });
    assert_eq!(damaged(|tile| tile.resize(65 * 32, 0)), TileError::Shape { id, found_bytes: 65 * 32 });
    assert_eq!(RightEdge::open(100, &Stored::default()).unwrap_err(), TileError::Short { id, needed: 36, found: 0 });
    assert!(RightEdge::open(u64::MAX, &Stored::default()).is_err());
    assert!(RightEdge::open((1 << 63) + (1 << 62), &Stored::default()).is_err());
    let nodes = TileNodes::new(&stored);
    assert!(matches!(
        inclusion_proof(&nodes, 0, 101),
        Err(ProofError::Nodes(TileError::Short { needed: 37, found: 36, .. }))
    ));
    nodes.node(0, u64::MAX).unwrap_err();
    nodes.node(5, u64::MAX).unwrap_err();
    nodes.node(255, 0).unwrap_err();
}

#[test]
fn proofs_out_of_tiles_verify_for_every_older_size() {
    let (leaves, _, stored) = log(150, 150);
    for size in 1..=150_u64 {
        let nodes = TileNodes::new(&stored);
        let whole = root(&leaves[..usize::try_from(size).unwrap()]);
        for index in (0..size).step_by(3) {
            let proof = inclusion_proof(&nodes, index, size).unwrap();
            verify_inclusion(&leaf(index), index, size, &proof, &whole).unwrap();
            let proof = consistency_proof(&nodes, index, size).unwrap();
            let older = root(&leaves[..usize::try_from(index).unwrap()]);
            verify_consistency(index, size, &proof, &older, &whole).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn tiles_agree_with_the_tree_at_any_size(
        size in 1_u64..9_000, block in 1_u64..600,
        index in any::<prop::sample::Index>(), old in any::<prop::sample::Index>(),
    ) {
        let (leaves, edge, stored) = log(size, block);
        prop_assert_eq!(edge.root(), root(&leaves));
        prop_assert_eq!(&RightEdge::open(size, &stored).unwrap(), &edge);
        let nodes = TileNodes::new(&stored);
        let (place, old) = (index.index(leaves.len()), &leaves[..old.index(leaves.len())]);
        let index = size_of(&leaves[..place]);
        let proof = inclusion_proof(&nodes, index, size).unwrap();
        prop_assert_eq!(
            verify_inclusion(&leaves[place], index, size, &proof, &edge.root()), Ok(()));
        let proof = consistency_proof(&nodes, size_of(old), size).unwrap();
        prop_assert_eq!(
            verify_consistency(size_of(old), size, &proof, &root(old), &edge.root()), Ok(()));
    }

    #[test]
    fn an_edge_goes_on_where_it_was_opened(before in 0_u64..400, after in 0_u64..400) {
        let (_, _, mut stored) = log(before, 50);
        let mut edge = RightEdge::open(before, &stored).unwrap();
        for index in before..before + after {
            edge.append(leaf(index)).unwrap();
        }
        stored.put(&mut edge);
        let (_, expected, all) = log(before + after, 1_000);
        prop_assert_eq!(edge, expected);
        prop_assert_eq!(stored.0, all.0);
    }
}
