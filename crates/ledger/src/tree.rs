//! The state tree: a Jellyfish Merkle tree (crate `jmt`, SHA-256) over the state records.
//!
//! A record's place has 32 bytes: the first 3 of SHA-256(its neighbourhood), then the first 29 of SHA-256(kind ‖ id).
//! The neighbourhood is kind ‖ id without the last part of the id, or, of an id of one part, without its last 3 bytes:
//! a thousand invoices with numbers in a row stand under one node, and so do one side's sums of a month. What comes
//! at one time changes few nodes then; under places by chance alone it changes nearly all of them, which was most of
//! what a checkpoint computed and wrote at a million events. Two records in one place would be a collision of 232
//! bits at least.
//!
//! The value is SHA-256(creator ‖ record), that is, of the stored bytes. The tree is computed once per state
//! checkpoint, never per block. Values are not kept here: a proof takes the record from the state as of the same
//! checkpoint.
//!
//! This module computes; where nodes are kept is the caller's. What is kept is rows: an inner
//! node together with the leaves right under it. Only the newest version is kept: a row takes the place of the one
//! that the node had before, and none is ever removed.

mod proof;
mod row;

use std::cell::RefCell;

use chain::hash::Hash;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, Version};

use crate::state::{Fault, StateKey};
use row::Leaves;

pub use proof::{PROOF_HASHES_MAX, RecordProof, prove};

/// Parts of an update: changes whose key hashes begin with the same four bits. They meet in the root
/// alone, so that one after the other writes what all at once would, in a fraction of the memory.
const PARTS: u64 = 16;

/// Bytes of a place that neighbours share.
const NEIGHBOURHOOD_BYTES: usize = 3;

/// The place of a record: see the module's head. Changing it forks the chain.
fn place(key: &StateKey) -> KeyHash {
    let neighbourhood = Hash::of(key.neighbourhood());
    let mut place = [0; size_of::<Hash>()];
    let (near, own) = place.split_at_mut(NEIGHBOURHOOD_BYTES);
    near.copy_from_slice(&neighbourhood.as_bytes()[..near.len()]);
    own.copy_from_slice(&Hash::of(key.as_bytes()).as_bytes()[..own.len()]);
    KeyHash(place)
}

/// Where rows of the tree are read from.
pub trait Nodes {
    /// The row under a key, as an update gave it.
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
}

/// What one version of the tree adds.
#[derive(Debug)]
pub struct TreeUpdate {
    /// The root of the new version.
    pub root: Hash,
    /// Rows that are new or take the place of older ones, with their keys, in order of keys.
    pub nodes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The tree as jmt sees it while one part after the other is taken in.
struct Reader<'n> {
    nodes: &'n dyn Nodes,
    /// The newest root: the one of the version before, or after the last part.
    root: Option<Node>,
    /// Leaves that were read with the nodes above them.
    leaves: RefCell<Leaves>,
}

impl Reader<'_> {
    fn row(&self, key: &[u8], version: Version) -> Result<Option<Node>, Fault> {
        let Some(bytes) = self.nodes.node(key)? else { return Ok(None) };
        let node = row::decode(key, version, &bytes, &mut self.leaves.borrow_mut());
        node.map(Some).ok_or_else(|| Fault::Tree { reason: format!("node {} is damaged", key.escape_ascii()) })
    }
}

impl TreeReader for Reader<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        if key.nibble_path().is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(leaf) = self.leaves.borrow().at(key.nibble_path()) {
            return Ok(Some(leaf.into()));
        }
        Ok(self.row(&row::key(key.nibble_path()), key.version())?)
    }

    fn get_value_option(&self, _max_version: Version, _key: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        // Values are not kept in the tree, and an update does not ask for them.
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        // Asked only when a tree is restored from a stream, which this ledger does not do.
        Ok(None)
    }
}

/// What the tree takes in of a record that was written: 64 bytes, however long it is.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Its place in the tree.
    key: KeyHash,
    /// SHA-256 of the stored value.
    value: Hash,
}

impl Change {
    /// That a record has this stored value now.
    pub fn new(key: &StateKey, stored: &[u8]) -> Self {
        Self { key: place(key), value: Hash::of(stored) }
    }

    fn leaf(&self) -> (KeyHash, OwnedValue) {
        (self.key, self.value.as_bytes().to_vec())
    }
}

fn fault(error: impl std::fmt::Display) -> Fault {
    Fault::Tree { reason: format!("{error:#}") }
}

/// Computes the next version of the tree. `version` counts up from 0 without gaps; `changes` must
/// not be empty, and name each record once.
///
/// # Errors
/// A fault of the reader, or of the tree (a node that should be there is not).
pub fn update(nodes: &dyn Nodes, version: u64, mut changes: Vec<Change>) -> Result<TreeUpdate, Fault> {
    let mut reader = Reader { nodes, root: None, leaves: RefCell::default() };
    if let Some(before) = version.checked_sub(1) {
        reader.root = reader.row(row::ROOT_KEY, before * PARTS)?;
        if reader.root.is_none() {
            // jmt would begin an empty tree here without a word.
            return Err(Fault::Tree { reason: format!("the root of version {before} is missing") });
        }
    }
    changes.sort_unstable_by_key(|change| change.key);
    let mut update = TreeUpdate { root: Hash::from_bytes([0; 32]), nodes: Vec::new() };
    let mut part = version * PARTS;
    let nibble = |change: &Change| change.key.0[0] >> 4;
    for changes in changes.chunk_by(|one, next| nibble(one) == nibble(next)) {
        take_in(&mut reader, part, changes.iter().map(Change::leaf).collect(), &mut update)?;
        part += 1;
    }
    let root = reader.root.as_ref().filter(|_| part > version * PARTS);
    let root = root.ok_or_else(|| Fault::Tree { reason: format!("version {version} would change nothing") })?;
    let row = encode(row::ROOT_KEY.to_vec(), version * PARTS, root, &reader.leaves.borrow())?;
    update.nodes.push(row);
    update.nodes.sort_unstable();
    Ok(update)
}

/// Takes one part of the changes into the tree.
fn take_in(
    reader: &mut Reader<'_>,
    part: Version,
    changes: Vec<(KeyHash, OwnedValue)>,
    update: &mut TreeUpdate,
) -> Result<(), Fault> {
    // All at once: every node that changes is hashed and written once, not once for each key below it.
    let tree = JellyfishMerkleTree::<_, sha2::Sha256>::new(&*reader);
    let (roots, batch) = tree.batch_put_value_sets(vec![changes], None, part).map_err(fault)?;
    let root = roots.first().ok_or_else(|| Fault::Tree { reason: format!("version {part} got no root") })?;
    update.root = Hash::from_bytes(root.0);
    let leaves = reader.leaves.get_mut();
    // Leaves are part of the rows above them, and roots of parts never become rows.
    let is_row = |key: &NodeKey| !key.nibble_path().is_empty();
    for (key, node) in batch.node_batch.nodes() {
        if let Node::Leaf(leaf) = node {
            leaves.put(key.nibble_path().num_nibbles(), leaf);
        }
    }
    for (key, node) in batch.node_batch.nodes().iter().filter(|(key, _)| is_row(key)) {
        if let Node::Internal(_) = node {
            update.nodes.push(encode(row::key(key.nibble_path()), key.version(), node, leaves)?);
        }
    }
    let root = batch.node_batch.nodes().iter().find(|(key, _)| key.nibble_path().is_empty());
    reader.root = root.map(|(_, node)| node.clone());
    reader.leaves.get_mut().forget_deep();
    Ok(())
}

fn encode(key: Vec<u8>, version: Version, node: &Node, leaves: &Leaves) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let row = row::encode(&key, version, node, leaves);
    let row = row.ok_or_else(|| Fault::Tree { reason: format!("node {} has no row", key.escape_ascii()) })?;
    Ok((key, row))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::leb128;
    use crate::party::{Party, Side};

    #[derive(Default)]
    struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Nodes for Memory {
        fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
            Ok(self.0.get(key).cloned())
        }
    }

    fn changes<'a>(records: impl IntoIterator<Item = (&'a StateKey, &'a Vec<u8>)>) -> Vec<Change> {
        records.into_iter().map(|(key, value)| Change::new(key, value)).collect()
    }

    fn key(index: u32) -> StateKey {
        StateKey::counter(&index.to_string())
    }

    #[test]
    fn the_root_depends_on_the_state_and_not_on_the_way_there() {
        let mut at_once = Memory::default();
        let records: Vec<_> = (0..200_u32).map(|index| (key(index), vec![u8::try_from(index).unwrap(); 40])).collect();
        let whole = update(&at_once, 0, changes(records.iter().map(|(key, value)| (key, value)))).unwrap();
        at_once.0.extend(whole.nodes);

        let mut in_steps = Memory::default();
        let mut root = None;
        for (version, part) in records.chunks(7).enumerate() {
            let part = changes(part.iter().map(|(key, value)| (key, value)));
            let version = u64::try_from(version).unwrap();
            let step = update(&in_steps, version, part).unwrap();
            in_steps.0.extend(step.nodes);
            root = Some(step.root);
        }
        assert_eq!(root, Some(whole.root));
        assert!(in_steps.0.keys().eq(at_once.0.keys()), "the same nodes, of other versions");
    }

    #[test]
    fn a_record_written_as_it_was_leaves_the_root() {
        let mut nodes = Memory::default();
        let records: BTreeMap<_, _> = (0..100).map(|index| (key(index), vec![7; 40])).collect();
        let before = update(&nodes, 0, changes(&records)).unwrap();
        nodes.0.extend(before.nodes);
        for (version, count) in [(1, 1), (2, 30), (3, 100)] {
            let again = update(&nodes, version, changes(records.iter().take(count))).unwrap();
            assert_eq!(again.root, before.root, "{count} records");
            nodes.0.extend(again.nodes);
        }
    }

    /// A tree in jmt's own form, in memory.
    #[derive(Default)]
    struct Whole(BTreeMap<NodeKey, Node>);

    impl TreeReader for Whole {
        fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
            Ok(self.0.get(key).cloned())
        }

        fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
            Ok(None)
        }

        fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
            Ok(None)
        }
    }

    #[test]
    fn rows_are_the_inner_nodes_of_the_newest_tree_and_its_root_is_jmt_s() {
        let (mut rows, mut whole) = (Memory::default(), Whole::default());
        for version in 0..14_u32 {
            // One record first, then new ones beside old ones that change, more of them with each version.
            let records: BTreeMap<_, _> = (version * version * 7..=version * version * 20)
                .map(|index| (key(index), version.to_be_bytes().repeat(9)))
                .chain((0..version).map(|index| (key(index * 5), index.to_be_bytes().repeat(8))))
                .collect();
            let version = u64::from(version);
            let ours = update(&rows, version, changes(&records)).unwrap();
            let tree = JellyfishMerkleTree::<_, sha2::Sha256>::new(&whole);
            let theirs = changes(&records).into_iter().map(|change| change.leaf()).map(|(key, hash)| (key, Some(hash)));
            let (root, batch) = tree.put_value_set(theirs, version).unwrap();
            assert_eq!(ours.root, Hash::from_bytes(root.0), "version {version}");

            rows.0.extend(ours.nodes);
            whole.0.extend(batch.node_batch.nodes().clone());
            for stale in &batch.stale_node_index_batch {
                whole.0.remove(&stale.node_key);
            }
            // A root, and paths of inner nodes.
            let ours: BTreeSet<_> = rows.0.keys().cloned().collect();
            let inner =
                whole.0.iter().filter(|(key, node)| key.nibble_path().is_empty() || matches!(node, Node::Internal(_)));
            assert_eq!(ours, inner.map(|(key, _)| row::key(key.nibble_path())).collect(), "version {version}");
        }
    }

    #[test]
    fn invoices_with_numbers_in_a_row_change_few_rows() {
        let invoice = |number: u32| StateKey::invoice(&format!("144032609110-{number:08}").parse().unwrap());
        let mut nodes = Memory::default();
        let old: BTreeMap<_, _> = (0..20_000).map(|number| (invoice(number), vec![7; 40])).collect();
        nodes.0.extend(update(&nodes, 0, changes(&old)).unwrap().nodes);
        let new: BTreeMap<_, _> = (20_000..22_000).map(|number| (invoice(number), vec![8; 40])).collect();
        let update = update(&nodes, 1, changes(&new)).unwrap();
        // Two groups of a thousand, and the nodes above them, however many there were before.
        assert!(update.nodes.len() < 800, "{} rows", update.nodes.len());
    }

    #[test]
    fn places_are_what_they_were() {
        let shown = |key: StateKey| Hash::from_bytes(place(&key).0).to_string();
        let one = shown(StateKey::invoice(&"144032609110-00000001".parse().unwrap()));
        let next = shown(StateKey::invoice(&"144032609110-00000999".parse().unwrap()));
        let far = shown(StateKey::invoice(&"144032609110-00001000".parse().unwrap()));
        assert_eq!(one, "cba8c94e6a61bbd4169c56979c1579b7a40a5d8d6b88f272d2efdf8e07d064d5");
        assert_eq!((one[..6] == next[..6], one[..6] == far[..6], one == next), (true, false, false));
        let [sales, purchases] = [Side::Seller, Side::Buyer].map(|side| {
            let period = "2026-10".parse().unwrap();
            ["91440300MA5DEM012D", "91440300MA5DEM0208"]
                .map(|id| shown(StateKey::accumulator(period, side, &Party::Taxpayer(id.parse().unwrap()))))
        });
        assert_eq!((&sales[0][..6], &purchases[0][..6]), (&sales[1][..6], &purchases[1][..6]));
        assert_ne!(&sales[0][..6], &purchases[0][..6]);
        // The shortest key of all.
        assert_eq!(shown(StateKey::parameters()), "e3b0c44bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c77");
    }

    #[test]
    fn bytes_that_are_no_row_are_told() {
        let records: Vec<_> = (0..300_u32).map(|index| (key(index), vec![7; 40])).collect();
        let update = update(&Memory::default(), 0, changes(records.iter().map(|(key, value)| (key, value)))).unwrap();
        for (key, value) in &update.nodes {
            let mut leaves = Leaves::default();
            let version = leb128::take(&mut value.as_slice()).unwrap();
            let node = row::decode(key, version, value, &mut leaves).unwrap();
            assert_eq!(row::encode(key, version, &node, &leaves).as_ref(), Some(value));
            for length in 0..value.len() {
                assert_eq!(row::decode(key, version, &value[..length], &mut leaves), None, "{length} bytes");
            }
            assert_eq!(row::decode(key, version, &[value.as_slice(), &[0]].concat(), &mut leaves), None);
            assert_eq!(row::decode(key, version + 1, value, &mut leaves), None, "a row of another version");
            assert_eq!(row::decode(&key[1..], version, value, &mut leaves), None);
        }
    }

    #[test]
    fn a_missing_node_is_a_fault_and_not_another_root() {
        let result = update(&Memory::default(), 3, vec![Change::new(&key(1), &[1; 40])]);
        assert!(matches!(result, Err(Fault::Tree { .. })), "{result:?}");
    }
}
