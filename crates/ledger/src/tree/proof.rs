//! Proofs that a record stands in a state tree, under its root.
//!
//! A proof is the hashes beside the way from the record's leaf up to the root, the lowest first; whoever has the record,
//! its key and a root that a certified header carries computes the root again:
//!
//! ```text
//! node = SHA-256("JMT::LeafNode" | place | SHA-256(SHA-256(creator ‖ record)))
//! for each of the n hashes: bit n-1, n-2, … 0 of the place says whether node is the right child (1) or the left (0)
//! node = SHA-256("JMT::IntrnalNode" | left | right)
//! ```

use borsh::{BorshDeserialize, BorshSerialize};
use chain::hash::Hash;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, Version};

use super::{Nodes, PARTS, Reader, fault, place, row};
use crate::state::{Fault, StateKey};

/// Hashes of a proof at most: a bit of the place for each.
pub const PROOF_HASHES_MAX: usize = 256;

/// What jmt takes for the hash of a child that is not there.
const NOTHING: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
const OF_LEAF: &[u8] = b"JMT::LeafNode";
const OF_INNER: &[u8] = b"JMT::IntrnalNode";

/// The hashes beside the way from a record's leaf to the root, the lowest first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordProof {
    /// The hashes; at most [`PROOF_HASHES_MAX`].
    pub siblings: Vec<Hash>,
}

impl RecordProof {
    /// The root under which the record with this key stands, if the proof is of it: whoever wants to know whether it is
    /// compares with a root from a certified header. `stored` is what is hashed, creator and record. None of a proof
    /// that is longer than any.
    pub fn root(&self, key: &StateKey, stored: &[u8]) -> Option<Hash> {
        let count = self.siblings.len();
        if count > PROOF_HASHES_MAX {
            return None;
        }
        let place = place(key).0;
        let value = Hash::of(Hash::of(stored).as_bytes());
        let leaf = Hash::of_parts(&[OF_LEAF, &place, value.as_bytes()]);
        let bit = |index: usize| place[index / 8] & (0x80 >> (index % 8)) != 0;
        Some((0..count).rev().zip(&self.siblings).fold(leaf, |node, (index, sibling)| {
            let (left, right) = if bit(index) { (sibling, &node) } else { (&node, sibling) };
            Hash::of_parts(&[OF_INNER, left.as_bytes(), right.as_bytes()])
        }))
    }
}

/// What jmt proves, as its borsh encoding has it: it keeps the hashes to itself.
#[derive(BorshDeserialize)]
struct Encoded {
    leaf: Option<[[u8; 32]; 2]>,
    siblings: Vec<Sibling>,
}

#[derive(BorshDeserialize)]
enum Sibling {
    Nothing,
    Inner([[u8; 32]; 2]),
    Leaf([[u8; 32]; 2]),
}

impl Sibling {
    fn hash(&self) -> Hash {
        match self {
            Self::Nothing => Hash::from_bytes(NOTHING),
            Self::Inner([left, right]) => Hash::of_parts(&[OF_INNER, left, right]),
            Self::Leaf([place, value]) => Hash::of_parts(&[OF_LEAF, place, value]),
        }
    }
}

/// A tree that is asked for proofs of what stands in it.
struct Proving<'r, 'n>(&'r Reader<'n>);

impl TreeReader for Proving<'_, '_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        self.0.get_node_option(key)
    }

    fn get_value_option(&self, _max_version: Version, _key: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        // Asked for a leaf that was found. Which value it has the leaf says, and that is compared with the record.
        Ok(Some(Vec::new()))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        self.0.get_rightmost_leaf()
    }
}

/// Proves that a record stands in a version of the tree, whose rows are the newest. None when it does not, or not with this
/// value.
///
/// # Errors
/// A fault of the reader, or of the tree (a node that should be there is not).
pub fn prove(nodes: &dyn Nodes, version: u64, key: &StateKey, stored: &[u8]) -> Result<Option<RecordProof>, Fault> {
    let mut reader = Reader { nodes, root: None, leaves: std::cell::RefCell::default() };
    reader.root = reader.row(row::ROOT_KEY, version * PARTS)?;
    if reader.root.is_none() {
        return Err(Fault::Tree { reason: format!("the root of version {version} is missing") });
    }
    let place = place(key);
    let proving = Proving(&reader);
    let tree = JellyfishMerkleTree::<_, sha2::Sha256>::new(&proving);
    let (found, proof) = tree.get_with_proof(place, version * PARTS).map_err(fault)?;
    let encoded = borsh::to_vec(&proof).map_err(fault)?;
    let Encoded { leaf, siblings } = borsh::from_slice(&encoded).map_err(fault)?;
    let value = Hash::of(Hash::of(stored).as_bytes());
    let stands = found.is_some() && leaf == Some([place.0, *value.as_bytes()]);
    Ok(stands.then(|| RecordProof { siblings: siblings.iter().map(Sibling::hash).collect() }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tree::{Change, update};

    #[derive(Default)]
    struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Nodes for Memory {
        fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
            Ok(self.0.get(key).cloned())
        }
    }

    /// Counters and invoices, which are many under one node.
    fn key(number: u32) -> StateKey {
        if number.is_multiple_of(10) {
            return StateKey::counter(&number.to_string());
        }
        StateKey::invoice(&format!("144032609110-{number:08}").parse().unwrap())
    }

    #[test]
    fn a_record_is_proved_under_the_root_of_its_version_and_no_other_value_is() {
        for count in [1_u32, 2, 17, 400] {
            let (mut nodes, mut root) = (Memory::default(), Hash::from_bytes([0; 32]));
            let stored = |number: u32| vec![u8::try_from(number % 251).unwrap(); 40];
            for version in 0..3 {
                let numbers = (0..count).filter(|number| version == 0 || number % 3 == version);
                let changes: Vec<_> =
                    numbers.map(|number| Change::new(&key(number), &stored(number + version))).collect();
                if changes.is_empty() {
                    break;
                }
                let step = update(&nodes, u64::from(version), changes).unwrap();
                nodes.0.extend(step.nodes);
                root = step.root;
                for number in (0..count).step_by(7) {
                    let last = (0..=version).rev().find(|version| *version == 0 || number % 3 == *version);
                    let value = stored(number + last.unwrap());
                    let proof = prove(&nodes, u64::from(version), &key(number), &value).unwrap().unwrap();
                    assert_eq!(proof.root(&key(number), &value), Some(root), "record {number} of {count}");
                    assert_ne!(proof.root(&key(number), b"another"), Some(root));
                    assert_ne!(proof.root(&key(number + 1), &value), Some(root));
                    for index in 0..proof.siblings.len() {
                        let mut other = proof.clone();
                        other.siblings[index] = Hash::from_bytes([7; 32]);
                        assert_ne!(other.root(&key(number), &value), Some(root));
                    }
                    assert_eq!(prove(&nodes, u64::from(version), &key(number), b"another").unwrap(), None);
                }
                assert_eq!(prove(&nodes, u64::from(version), &key(count + 1_000), b"").unwrap(), None);
            }
            assert_ne!(root, Hash::from_bytes([0; 32]));
        }
        let long = RecordProof { siblings: vec![Hash::from_bytes([0; 32]); PROOF_HASHES_MAX + 1] };
        assert_eq!(long.root(&key(1), b""), None);
    }
}
