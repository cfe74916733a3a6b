//! The state tree: a Jellyfish Merkle tree (crate `jmt`, SHA-256) over the state records.
//!
//! Key = SHA-256(kind ‖ id); value = SHA-256(creator ‖ record), that is, of the stored bytes. It is
//! computed once per state checkpoint, never per block. Values are not kept here: a proof takes
//! the record from the state as of the same checkpoint.
//!
//! This module computes; where nodes are kept is the caller's.

use std::collections::BTreeMap;

use chain::hash::Hash;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, Version};

use crate::state::{Fault, StateKey};

/// How many versions of the tree are kept: enough to prove what the newest headers carry. A version
/// keeps the nodes that the next one replaced.
pub const VERSIONS_KEPT: u64 = 4;

/// Where nodes are read from.
pub trait Nodes {
    /// The node under a key: version (8 bytes big-endian), then path.
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
}

/// What one version of the tree adds.
#[derive(Debug)]
pub struct TreeUpdate {
    /// The root of the new version.
    pub root: Hash,
    /// New nodes, by key.
    pub nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Keys of nodes that no version from this one on reaches.
    pub stale: Vec<Vec<u8>>,
}

/// The key of a node: version (8 bytes big-endian, so that keys are ordered by age), then its path.
fn node_key_bytes(key: &NodeKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(borsh::object_length(key).expect("counting bytes cannot fail"));
    borsh::to_writer(&mut bytes, key).expect("writing to a vector cannot fail");
    // jmt writes the version first, as 8 bytes little-endian.
    bytes[..8].copy_from_slice(&key.version().to_be_bytes());
    bytes
}

/// The key of a version's root: the version and an empty path.
fn root_key(version: u64) -> Vec<u8> {
    const EMPTY_PATH: [u8; 12] = [0; 12];
    [version.to_be_bytes().as_slice(), &EMPTY_PATH].concat()
}

struct Reader<'n>(&'n dyn Nodes);

impl TreeReader for Reader<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let bytes = self.0.node(&node_key_bytes(key))?;
        Ok(bytes.map(|bytes| borsh::from_slice::<Node>(&bytes)).transpose()?)
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

/// What the tree holds of a record: the hash of its key, and the hash of the stored value.
fn leaf(key: &StateKey, stored: &[u8]) -> (KeyHash, OwnedValue) {
    (KeyHash(*Hash::of(key.as_bytes()).as_bytes()), Hash::of(stored).as_bytes().to_vec())
}

fn fault(error: impl std::fmt::Display) -> Fault {
    Fault::Tree { reason: format!("{error:#}") }
}

/// Computes the next version of the tree. `version` counts up from 0 without gaps; `changes` must
/// not be empty. A change is a state key and the stored value.
///
/// # Errors
/// A fault of the reader, or of the tree (a node that should be there is not).
pub fn update<'a>(
    nodes: &dyn Nodes,
    version: u64,
    changes: impl IntoIterator<Item = (&'a StateKey, &'a [u8])>,
) -> Result<TreeUpdate, Fault> {
    if let Some(before) = version.checked_sub(1)
        && nodes.node(&root_key(before))?.is_none()
    {
        // jmt would begin an empty tree here without a word.
        return Err(Fault::Tree { reason: format!("the root of version {before} is missing") });
    }
    let reader = Reader(nodes);
    let tree = JellyfishMerkleTree::<_, sha2::Sha256>::new(&reader);
    let values: Vec<_> = changes.into_iter().map(|(key, stored)| leaf(key, stored)).collect();
    if values.is_empty() {
        return Err(Fault::Tree { reason: format!("version {version} would change nothing") });
    }
    // All at once: every node that changes is hashed and written once, not once for each key below it.
    let (roots, batch) = tree.batch_put_value_sets(vec![values], None, version).map_err(fault)?;
    let root = roots.first().ok_or_else(|| Fault::Tree { reason: format!("version {version} got no root") })?;
    let encode = |node: &Node| {
        // Not `borsh::to_vec`: it begins with a kilobyte, and a version may have a million nodes.
        let mut bytes = Vec::with_capacity(borsh::object_length(node).expect("counting bytes cannot fail"));
        borsh::to_writer(&mut bytes, node).expect("writing to a vector cannot fail");
        bytes
    };
    Ok(TreeUpdate {
        root: Hash::from_bytes(root.0),
        nodes: batch.node_batch.nodes().iter().map(|(key, node)| (node_key_bytes(key), encode(node))).collect(),
        stale: batch.stale_node_index_batch.iter().map(|index| node_key_bytes(&index.node_key)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Nodes for Memory {
        fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
            Ok(self.0.get(key).cloned())
        }
    }

    fn key(index: u32) -> StateKey {
        StateKey::counter(&index.to_string())
    }

    #[test]
    fn the_root_depends_on_the_state_and_not_on_the_way_there() {
        let mut at_once = Memory::default();
        let records: Vec<_> = (0..200_u32).map(|index| (key(index), vec![u8::try_from(index).unwrap(); 40])).collect();
        let whole = update(&at_once, 0, records.iter().map(|(key, value)| (key, value.as_slice()))).unwrap();
        at_once.0.extend(whole.nodes);

        let mut in_steps = Memory::default();
        let mut root = None;
        for (version, part) in records.chunks(7).enumerate() {
            let part = part.iter().map(|(key, value)| (key, value.as_slice()));
            let version = u64::try_from(version).unwrap();
            let step = update(&in_steps, version, part).unwrap();
            assert!(step.nodes.contains_key(&root_key(version)), "the root is where it will be looked for");
            in_steps.0.extend(step.nodes);
            // Stale nodes may go: the newest version never needs them.
            for stale in &step.stale {
                in_steps.0.remove(stale);
            }
            root = Some(step.root);
        }
        assert_eq!(root, Some(whole.root));
    }

    #[test]
    fn all_at_once_gives_the_very_nodes_that_one_by_one_gives() {
        let mut nodes = Memory::default();
        for version in 0..12_u32 {
            // New records beside old ones that change, more of them with each version.
            let records: Vec<_> = (version * 7..=version * 20)
                .map(|index| (key(index), version.to_be_bytes().repeat(9)))
                .chain((0..version).map(|index| (key(index * 5), index.to_be_bytes().repeat(8))))
                .collect::<BTreeMap<_, _>>()
                .into_iter()
                .collect();
            let version = u64::from(version);
            let together = update(&nodes, version, records.iter().map(|(key, value)| (key, value.as_slice()))).unwrap();
            let reader = Reader(&nodes);
            let tree = JellyfishMerkleTree::<_, sha2::Sha256>::new(&reader);
            let one_by_one = records.iter().map(|(key, stored)| leaf(key, stored)).map(|(key, hash)| (key, Some(hash)));
            let (root, batch) = tree.put_value_set(one_by_one, version).unwrap();
            assert_eq!(together.root, Hash::from_bytes(root.0));
            let keys: Vec<_> = batch.node_batch.nodes().keys().map(node_key_bytes).collect();
            assert_eq!(
                together.nodes.keys().cloned().collect::<std::collections::BTreeSet<_>>(),
                keys.into_iter().collect()
            );
            let stale: std::collections::BTreeSet<_> =
                batch.stale_node_index_batch.iter().map(|index| node_key_bytes(&index.node_key)).collect();
            assert_eq!(together.stale.iter().cloned().collect::<std::collections::BTreeSet<_>>(), stale);
            nodes.0.extend(together.nodes);
        }
    }

    #[test]
    fn a_missing_node_is_a_fault_and_not_another_root() {
        let value = [1_u8; 40];
        let result = update(&Memory::default(), 3, [(&key(1), value.as_slice())]);
        assert!(matches!(result, Err(Fault::Tree { .. })), "{result:?}");
    }
}
