//! How the log is kept: in tiles of 64 hashes, so that a leaf costs 32 bytes and a proof a few reads.
//!
//! A tile spans six levels of the tree. On tile level 0 its hashes are leaf hashes, on level `l`
//! they are the roots of complete subtrees of 64^l leaves. A tile grows at its end until it is
//! full, and never changes otherwise: a reader of an older tree may read a newer tile. Where tiles
//! are stored is not for here to say; what is read back is only checked for its shape, and the
//! caller compares the root with one that it trusts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use crate::hash::Hash;
use crate::merkle::{self, Frontier, LogFull, Nodes};

#[cfg(test)]
mod tests;

/// How many levels of the tree a tile spans.
pub const TILE_HEIGHT: u8 = 6;

/// How many hashes a full tile has.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;

const HASH_BYTES: usize = 32;

/// How many bytes a full tile has.
pub const TILE_BYTES_MAX: usize = TILE_WIDTH * HASH_BYTES;

/// How many tiles an adapter remembers; a proof touches no more than two on each of 11 levels.
const REMEMBERED_TILES_MAX: usize = 64;

/// Which tile: its level, and its index on that level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// The tile level: 0 holds leaf hashes.
    pub level: u8,
    /// The index on its level: tile `i` holds the hashes from `64 * i` on.
    pub index: u64,
}

impl TileId {
    /// The id as nine bytes that sort like the ids: level, then index, big endian.
    pub fn to_key(self) -> [u8; 9] {
        let mut key = [0; 9];
        let (level, index) = key.split_at_mut(1);
        level.copy_from_slice(&[self.level]);
        index.copy_from_slice(&self.index.to_be_bytes());
        key
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level, self.index)
    }
}

/// Where tiles can be read.
pub trait Tiles {
    /// Why a tile cannot be read.
    type Error;

    /// The tile as it was last written, or nothing when it never was.
    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Why the tree cannot be read from its tiles. All but the first mean lost or damaged data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError<E> {
    /// The tile could not be read.
    #[error("tile {id} of the log cannot be read")]
    Unreadable {
        /// Which tile.
        id: TileId,
        /// Why.
        #[source]
        source: E,
    },
    /// The tile is missing, or holds fewer hashes than the tree has.
    #[error("tile {id} of the log holds {found} hashes, {needed} are needed")]
    Short {
        /// Which tile.
        id: TileId,
        /// How many hashes the tree has there.
        needed: usize,
        /// How many the tile holds; none when it is missing.
        found: usize,
    },
    /// The tile's size is no number of hashes that a tile can hold.
    #[error("tile {id} of the log has {found_bytes} bytes, at most 64 times 32 are expected")]
    Shape {
        /// Which tile.
        id: TileId,
        /// The tile's size in bytes.
        found_bytes: usize,
    },
    /// The subtree asked for is in no tree at all.
    #[error("the log has no subtree {index} on level {level}")]
    NoSuchNode {
        /// The level asked for.
        level: u8,
        /// The index asked for.
        index: u64,
    },
}

/// Reads at least `needed` hashes of a tile.
fn read_tile<T: Tiles>(tiles: &T, id: TileId, needed: usize) -> Result<Vec<Hash>, TileError<T::Error>> {
    let bytes = tiles.tile(id).map_err(|source| TileError::Unreadable { id, source })?.unwrap_or_default();
    let (chunks, rest) = bytes.as_chunks::<HASH_BYTES>();
    if !rest.is_empty() || chunks.len() > TILE_WIDTH {
        return Err(TileError::Shape { id, found_bytes: bytes.len() });
    }
    if chunks.len() < needed {
        return Err(TileError::Short { id, needed, found: chunks.len() });
    }
    Ok(chunks.iter().copied().map(Hash::from_bytes).collect())
}

/// The tile that is filled at present on one level.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Partial {
    /// Its index: how many full tiles stand before it.
    index: u64,
    /// Its hashes; always fewer than [`TILE_WIDTH`].
    hashes: Vec<Hash>,
    /// Whether it changed since the last [`RightEdge::take_dirty`].
    dirty: bool,
}

/// The right edge of the log: what grows, as tiles.
///
/// Appending hashes each node of the tree once, and touches one tile, or one on each level that a
/// full tile reaches up to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RightEdge {
    frontier: Frontier,
    /// From tile level 0 up.
    levels: Vec<Partial>,
    /// Tiles that were filled since the last [`RightEdge::take_dirty`].
    full: Vec<(TileId, Vec<u8>)>,
}

impl RightEdge {
    /// The edge of the empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a log of `size` leaves, read from its stored tiles.
    ///
    /// Reads one tile a level. Nothing tells here that the tiles are the right ones: compare
    /// [`RightEdge::root`] with the root of the last block.
    pub fn open<T: Tiles>(size: u64, tiles: &T) -> Result<Self, TileError<T::Error>> {
        let mut levels = Vec::new();
        // The peaks from the lowest up; each level of tiles holds six of the size's bits.
        let mut peaks = Vec::new();
        let mut count = size;
        for level in 0.. {
            if count == 0 {
                break;
            }
            let index = count / TILE_WIDTH_U64;
            let width = width_of(count);
            let mut hashes = Vec::new();
            if width > 0 {
                hashes = read_tile(tiles, TileId { level, index }, width)?;
                hashes.truncate(width);
                push_peaks(&hashes, &mut peaks);
            }
            levels.push(Partial { index, hashes, dirty: false });
            count = index;
        }
        peaks.reverse();
        let frontier = Frontier::from_peaks(size, peaks).ok_or(TileError::NoSuchNode { level: 0, index: size })?;
        Ok(Self { frontier, levels, full: Vec::new() })
    }

    /// How many leaves the log has.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the log.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The frontier of the log.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf_hash: Hash) -> Result<(), LogFull> {
        let Self { frontier, levels, full } = self;
        frontier.append_with(leaf_hash, |level, hash| {
            let height = u32::from(TILE_HEIGHT);
            if level % height == 0 {
                push_hash(levels, full, level / height, hash);
            }
        })
    }

    /// The tiles that changed since this was last called, sorted by id: to be stored together with
    /// what the leaves belong to.
    pub fn take_dirty(&mut self) -> Vec<(TileId, Vec<u8>)> {
        let mut dirty = std::mem::take(&mut self.full);
        for (level, partial) in (0..).zip(&mut self.levels) {
            if partial.dirty {
                let index = partial.index;
                dirty.push((TileId { level, index }, encode(&partial.hashes)));
                partial.dirty = false;
            }
        }
        dirty.sort_unstable_by_key(|(id, _)| *id);
        dirty
    }
}

const TILE_WIDTH_U64: u64 = 1 << TILE_HEIGHT;

/// How many hashes the tile at the edge has, on a level of `count` hashes.
fn width_of(count: u64) -> usize {
    usize::try_from(count % TILE_WIDTH_U64).expect("below 64")
}

fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(Hash::as_bytes).copied().collect()
}

/// The peaks of a partial tile, the lowest (rightmost) first.
fn push_peaks(hashes: &[Hash], peaks: &mut Vec<Hash>) {
    let mut rest = hashes;
    for bit in 0..TILE_HEIGHT {
        let width = 1 << bit;
        if hashes.len() & width != 0 {
            let (before, last) = rest.split_at(rest.len() - width);
            peaks.push(merkle::root(last));
            rest = before;
        }
    }
}

/// Puts a hash at the end of a tile level, and moves the tile out when that filled it.
fn push_hash(levels: &mut Vec<Partial>, full: &mut Vec<(TileId, Vec<u8>)>, level: u32, hash: Hash) {
    let place = usize::try_from(level).expect("at most 10");
    if levels.len() == place {
        levels.push(Partial::default());
    }
    // Levels are completed from the lowest up, so the one above the last is the next to come.
    let partial = levels.get_mut(place).expect("levels come one by one");
    partial.hashes.push(hash);
    partial.dirty = true;
    if partial.hashes.len() == TILE_WIDTH {
        let id = TileId { level: u8::try_from(level).expect("at most 10"), index: partial.index };
        full.push((id, encode(&partial.hashes)));
        partial.index += 1;
        partial.hashes.clear();
        partial.dirty = false;
    }
}

/// Gives the nodes of the tree out of stored tiles, for making proofs.
///
/// Remembers the tiles it read; made for one proof or a few, then dropped. The tiles may be newer
/// than the tree a proof is made for.
#[derive(Debug)]
pub struct TileNodes<'a, T> {
    tiles: &'a T,
    read: RefCell<BTreeMap<TileId, Vec<Hash>>>,
}

impl<'a, T: Tiles> TileNodes<'a, T> {
    /// The nodes out of these tiles.
    pub fn new(tiles: &'a T) -> Self {
        Self { tiles, read: RefCell::new(BTreeMap::new()) }
    }
}

impl<T: Tiles> Nodes for TileNodes<'_, T> {
    type Error = TileError<T::Error>;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        // A node that is no tile's own hash is computed from the 2^bits hashes below it, all of
        // which stand in one tile.
        let bits = level % TILE_HEIGHT;
        let width = 1_usize << bits;
        let first = index.checked_mul(1 << bits).ok_or(TileError::NoSuchNode { level, index })?;
        let id = TileId { level: level / TILE_HEIGHT, index: first / TILE_WIDTH_U64 };
        let start = width_of(first);
        let needed = start + width;
        let mut read = self.read.borrow_mut();
        if let Some(hashes) = read.get(&id).and_then(|tile| tile.get(start..needed)) {
            return Ok(merkle::root(hashes));
        }
        let tile = read_tile(self.tiles, id, needed)?;
        let node = tile.get(start..needed).map(merkle::root);
        if read.len() >= REMEMBERED_TILES_MAX {
            read.clear();
        }
        read.insert(id, tile);
        node.ok_or(TileError::NoSuchNode { level, index })
    }
}
