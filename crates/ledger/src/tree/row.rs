//! Rows of the state tree: an inner node together with the leaves right under it.
//!
//! Most nodes are leaves, and each is read and written with the node above it, whose hash depends on
//! it: as rows of their own they would treble the number of rows.
//!
//! ```text
//! key:   the path, two nibbles a byte | nibbles of the path (1)
//! value: version (LEB128), then
//!        00                                        no node: an empty tree
//!        01 | key hash (32) | value hash (32)      the only leaf, which is the root then
//!        02 | which children are leaves (2) | which are inner nodes (2)
//!           | then each child in order, a leaf as: key hash without the bytes of the path | value hash (32),
//!             an inner node as: hash (32) | how much older it is (LEB128) | leaves below it (LEB128)
//! ```
//!
//! A node's row takes the place of the one it had in the version before: an update reads and writes in the
//! same few pages, and removes nothing, for records are never deleted. The version that a row was written with
//! is what the row above it says, or the tree is damaged.
//!
//! Numbers are big-endian unless LEB128. A leaf's hash is computed when it is read. jmt keeps the
//! inside of a node to itself, so that rows are made from its borsh encoding, and nodes from rows by
//! way of it.

use std::collections::BTreeMap;

use jmt::storage::{LeafNode, NibblePath, Node};
use jmt::{KeyHash, ValueHash};

use super::PARTS;
use crate::leb128;

const CHILDREN: usize = 16;
const HASH_BYTES: usize = 32;

const EMPTY: u8 = 0;
const LEAF: u8 = 1;
const INNER: u8 = 2;

/// The key of a node's row.
pub(super) fn key(path: &NibblePath) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.num_nibbles().div_ceil(2) + 1);
    bytes.extend_from_slice(&packed(path)[..path.num_nibbles().div_ceil(2)]);
    bytes.push(u8::try_from(path.num_nibbles()).expect("a path has at most 64 nibbles"));
    bytes
}

/// The key of the root.
pub(super) const ROOT_KEY: &[u8] = &[0];

/// A path, two nibbles a byte, filled up with zeros.
fn packed(path: &NibblePath) -> [u8; HASH_BYTES] {
    let mut bytes = [0; HASH_BYTES];
    for index in 0..path.num_nibbles() {
        let nibble = u8::try_from(path.get_nibble(index).as_usize()).expect("four bits");
        bytes[index / 2] |= if index % 2 == 0 { nibble << 4 } else { nibble };
    }
    bytes
}

/// What a key and a version say.
struct Place {
    /// Children are no younger than this.
    youngest: u64,
    nibbles: usize,
    path: [u8; HASH_BYTES],
}

impl Place {
    fn read(key: &[u8], version: u64) -> Option<Self> {
        let (nibbles, rest) = key.split_last()?;
        let (nibbles, mut path) = (usize::from(*nibbles), [0; HASH_BYTES]);
        path.get_mut(..rest.len()).filter(|_| rest.len() == nibbles.div_ceil(2))?.copy_from_slice(rest);
        // A root is kept under the first version of its parts, and has children of each.
        let youngest = if nibbles == 0 { version.checked_add(PARTS)? } else { version };
        Some(Self { youngest, nibbles, path })
    }

    /// The path of a child, filled up with zeros.
    fn child(&self, nibble: usize) -> Option<[u8; HASH_BYTES]> {
        let (mut path, nibble) = (self.path, u8::try_from(nibble).ok()?);
        *path.get_mut(self.nibbles / 2)? |= if self.nibbles.is_multiple_of(2) { nibble << 4 } else { nibble };
        Some(path)
    }
}

/// Leaves by their key hashes, with the number of nibbles in their paths.
#[derive(Debug, Default)]
pub(super) struct Leaves(BTreeMap<[u8; HASH_BYTES], (usize, LeafNode)>);

impl Leaves {
    /// The leaf at a path.
    pub(super) fn at(&self, path: &NibblePath) -> Option<LeafNode> {
        self.find(&packed(path), path.num_nibbles())
    }

    /// The leaf at a path of so many nibbles, which is filled up with zeros.
    fn find(&self, path: &[u8; HASH_BYTES], nibbles: usize) -> Option<LeafNode> {
        let (key, (depth, leaf)) = self.0.range(*path..).next()?;
        let (whole, odd) = (nibbles / 2, !nibbles.is_multiple_of(2));
        let under = key.get(..whole)? == path.get(..whole)? && (!odd || key.get(whole)? >> 4 == path.get(whole)? >> 4);
        (*depth == nibbles && under).then(|| leaf.clone())
    }

    /// Takes a leaf in, at a path of so many nibbles.
    pub(super) fn put(&mut self, nibbles: usize, leaf: &LeafNode) {
        self.0.insert(leaf.key_hash().0, (nibbles, leaf.clone()));
    }

    /// Forgets all but the leaves right under the root.
    pub(super) fn forget_deep(&mut self) {
        self.0.retain(|_, (nibbles, _)| *nibbles <= 1);
    }
}

/// Makes a row of a node. The leaves right under it must be among `leaves`.
pub(super) fn encode(key: &[u8], version: u64, node: &Node, leaves: &Leaves) -> Option<Vec<u8>> {
    let place = Place::read(key, version)?;
    let mut row = Vec::with_capacity(8);
    leb128::put(&mut row, version);
    let borsh = borsh::to_vec(node).ok()?;
    let mut borsh = Reader(&borsh);
    match node {
        Node::Null => return Some([row.as_slice(), &[EMPTY]].concat()),
        Node::Leaf(leaf) => return Some([row.as_slice(), &[LEAF], borsh::to_vec(leaf).ok()?.as_slice()].concat()),
        Node::Internal(_) => borsh.bytes(1)?,
    };
    let (mut leaf_bits, mut inner_bits, mut children) = (0_u16, 0_u16, Vec::with_capacity(16 * 72));
    for nibble in 0..CHILDREN {
        if borsh.byte()? == 0 {
            continue;
        }
        let (hash, version) = (borsh.bytes(HASH_BYTES)?, borsh.number()?);
        if borsh.byte()? == 0 {
            leaf_bits |= 1 << nibble;
            let leaf = leaves.find(&place.child(nibble)?, place.nibbles + 1)?;
            children.extend_from_slice(borsh::to_vec(&leaf).ok()?.get(place.nibbles / 2..)?);
        } else {
            inner_bits |= 1 << nibble;
            children.extend_from_slice(hash);
            leb128::put(&mut children, place.youngest.checked_sub(version)?);
            leb128::put(&mut children, borsh.number()?);
        }
    }
    Some([row.as_slice(), &[INNER], &leaf_bits.to_be_bytes(), &inner_bits.to_be_bytes(), &children].concat())
}

/// Makes a node of a row, and takes the leaves right under it in. `None` also for a row of another version.
pub(super) fn decode(key: &[u8], version: u64, row: &[u8], leaves: &mut Leaves) -> Option<Node> {
    let place = Place::read(key, version)?;
    let mut row = Reader(row);
    if row.leb128()? != version {
        return None;
    }
    match row.byte()? {
        EMPTY => return row.0.is_empty().then_some(Node::Null),
        LEAF => {
            let leaf = borsh::from_slice::<LeafNode>(row.0).ok()?;
            leaves.put(0, &leaf);
            return Some(leaf.into());
        }
        INNER => {}
        _ => return None,
    }
    let (leaf_bits, inner_bits) = (row.bits()?, row.bits()?);
    if leaf_bits & inner_bits != 0 {
        return None;
    }
    let (mut borsh, mut leaf_count) = (vec![1], 0_u64);
    for nibble in 0..CHILDREN {
        let (is_leaf, is_inner) = (leaf_bits >> nibble & 1 == 1, inner_bits >> nibble & 1 == 1);
        borsh.push(u8::from(is_leaf || is_inner));
        if is_leaf {
            let mut key_hash = place.path;
            key_hash.get_mut(place.nibbles / 2..)?.copy_from_slice(row.bytes(HASH_BYTES - place.nibbles / 2)?);
            let value_hash = row.bytes(HASH_BYTES)?.try_into().ok()?;
            let leaf = LeafNode::new(KeyHash(key_hash), ValueHash(value_hash));
            borsh.extend_from_slice(&leaf.hash::<sha2::Sha256>());
            // Leaves are found by their paths alone.
            borsh.extend_from_slice(&[0; 8 + 1]);
            leaf_count = leaf_count.checked_add(1)?;
            leaves.put(place.nibbles + 1, &leaf);
        } else if is_inner {
            borsh.extend_from_slice(row.bytes(HASH_BYTES)?);
            borsh.extend_from_slice(&place.youngest.checked_sub(row.leb128()?)?.to_le_bytes());
            borsh.push(1);
            let below = row.leb128()?;
            borsh.extend_from_slice(&below.to_le_bytes());
            leaf_count = leaf_count.checked_add(below)?;
        }
    }
    let children = u64::from((leaf_bits | inner_bits).count_ones());
    borsh.extend_from_slice(&children.to_le_bytes());
    borsh.extend_from_slice(&leaf_count.to_le_bytes());
    borsh::from_slice(&borsh).ok().filter(|_| row.0.is_empty())
}

struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    fn bytes(&mut self, count: usize) -> Option<&'r [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    fn bits(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A number as borsh writes it.
    fn number(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn leb128(&mut self) -> Option<u64> {
        leb128::take(&mut self.0)
    }
}
