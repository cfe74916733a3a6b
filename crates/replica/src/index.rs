//! The index: which rows a block leaves behind, and how their keys are formed.
//!
//! Keys that grow with time are big-endian and come first wherever it matters, so that a database
//! appends instead of rewriting. Everything here can be rebuilt from the ledger.
//!
//! | Table | Key | Value |
//! | --- | --- | --- |
//! | `State`, `Reference` | kind ‖ id | heads of lists ‖ creator ‖ record: see `list` |
//! | `LogTile` | level (1) ‖ tile (8) | up to 64 hashes |
//! | `Leaf` | index of the last leaf of a group (8) | where the group's leaves stand, and the events before: see `leaf` |
//! | `Statement` | statement id (32) | [`StatementRow`] |
//! | `Height` | height (8) | [`HeightRow`] |
//! | `Nonce` | organisation ‖ 0 ‖ nonce | [`NonceRow`] |
//! | `NonceExpiry` | end, ms (8) ‖ first leaf (8) | the keys of nonces that end then |
//! | `ListHead` | kind ‖ id, or 0 ‖ subject | heads of lists: see `list` |
//! | `ListMilestone` | kind ‖ id, or 0 ‖ subject, ‖ 0 ‖ list (1) ‖ leaf index (8) | empty |
//! | `PartyInvoice` | index of the last leaf of a group (8) | the invoices its leaves gave parties: see `involvement` |
//! | `LeaseDue`, `LeaseEnded` | | when leases are due, and which have ended: see `lease` |
//! | `MandateTo` | who may act ‖ 0 ‖ who gave the mandate | empty |
//! | `Meta` | `progress` | [`Progress`] |
//! | `Meta` | `set` ‖ height (8) | empty: the block at that height changed the validator set |

use borsh::{BorshDeserialize, BorshSerialize};
use chain::block::{BlockId, Body, StateCheckpoint};
use chain::hash::Hash;
use chain::identity::OrganisationId;
use chain::statement::Statement;
use chain::tile::TileId;
use ledger::execute::Executed;
use ledger::schedule::Schedule;
use ledger::state::{Kind, StateKey};

use crate::involvement;
use crate::leaf::{self, GROUP_LEAVES, LeafPlace};
use crate::lease;
use crate::list::{Growth, List};
use crate::port::{IndexKey, IndexWrites, Store, StoreFault, Table};

/// Where a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StatementRow {
    /// The block.
    pub height: u64,
    /// The leaf of its first event.
    pub first_leaf: u64,
    /// How many events it has.
    pub events: u32,
}

/// What a live nonce was used for. Hashes of statement and payload stand in the ledger: they are asked
/// for only when a nonce comes again, and would be most of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NonceRow {
    /// The first leaf of its statement.
    pub first_leaf: u64,
    /// Until when it is live, ms UTC.
    pub live_until_ms: i64,
}

/// What was decided at a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeightRow {
    /// The block.
    pub id: BlockId,
    /// Its time, ms UTC.
    pub time_ms: i64,
    /// The log's size after it.
    pub log_size: u64,
}

/// How far the index has come, written with every block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Progress {
    /// The height applied last.
    pub height: u64,
    /// Its block; the genesis hash at height 0.
    pub id: BlockId,
    /// Its time, ms UTC.
    pub time_ms: i64,
    /// The log's size after it.
    pub log_size: u64,
    /// The log's root after it.
    pub log_root: Hash,
    /// The due block reached last.
    pub schedule: Schedule,
    /// The state checkpoint its header carries.
    pub state_checkpoint: StateCheckpoint,
}

/// The key of [`Progress`].
pub const PROGRESS: &[u8] = b"progress";

/// Nonces that share a row of [`Table::NonceExpiry`] at most.
const NONCES_A_ROW: usize = 64;

const SET: &[u8] = b"set";

/// The key that marks a height at which the validator set changed.
pub fn set_change_key(height: u64) -> Vec<u8> {
    [SET, &height.to_be_bytes()].concat()
}

/// The height in a key of [`set_change_key`].
pub fn set_change_height(key: &[u8]) -> Option<u64> {
    key.strip_prefix(SET)?.try_into().ok().map(u64::from_be_bytes)
}

/// The key of a tile.
pub fn tile_key(id: TileId) -> Vec<u8> {
    let mut key = vec![id.level];
    key.extend_from_slice(&id.index.to_be_bytes());
    key
}

/// The table of a state record, by its key.
pub fn table_of_state(key: &[u8]) -> Table {
    if key.first() == Some(&(Kind::Reference as u8)) { Table::Reference } else { Table::State }
}

/// The row under which the holder of a new mandate finds it, when the key is that of a mandate.
pub fn mandate_row(key: &StateKey) -> Option<(IndexKey, Option<Vec<u8>>)> {
    let (from, to) = key.mandate_between()?;
    Some(((Table::MandateTo, mandate_to_key(to, from)), Some(Vec::new())))
}

/// The key of a mandate by who may act under it; all of one begin alike.
pub fn mandate_to_key(to: &str, from: &str) -> Vec<u8> {
    [to.as_bytes(), &[0], from.as_bytes()].concat()
}

/// The key of a nonce.
pub fn nonce_key(organisation: &OrganisationId, nonce: &str) -> Vec<u8> {
    [organisation.as_str().as_bytes(), &[0], nonce.as_bytes()].concat()
}

/// The key under which nonces expire. Block times are positive, so big-endian keeps their order.
pub fn nonce_expiry_key(live_until_ms: i64, first_leaf: u64) -> Vec<u8> {
    [live_until_ms.max(0).to_be_bytes(), first_leaf.to_be_bytes()].concat()
}

/// When the nonces under a key of [`nonce_expiry_key`] end, ms UTC.
///
/// # Errors
/// [`StoreFault::Damaged`] when it is no such key.
pub fn nonce_expiry(key: &[u8]) -> Result<i64, StoreFault> {
    let end = key.first_chunk::<8>().map(|end| i64::from_be_bytes(*end));
    end.ok_or_else(|| StoreFault::Damaged {
        place: "a key of NonceExpiry".to_owned(),
        expected: "a time and a leaf".to_owned(),
        found: format!("{} bytes", key.len()),
    })
}

/// The leaf index at the end of a key.
pub fn leaf_of(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Encodes a row.
pub fn encode<T: BorshSerialize>(row: &T) -> Vec<u8> {
    // `borsh::to_vec` would begin with a kilobyte, and millions of rows wait in memory.
    let mut bytes = Vec::with_capacity(borsh::object_length(row).expect("counting bytes cannot fail"));
    borsh::to_writer(&mut bytes, row).expect("writing to a vector cannot fail");
    bytes
}

/// Decodes a row.
///
/// # Errors
/// [`StoreFault::Damaged`] when the bytes are not one whole row.
pub fn decode<T: BorshDeserialize>(table: Table, bytes: &[u8]) -> Result<T, StoreFault> {
    T::try_from_slice(bytes).map_err(|error| StoreFault::Damaged {
        place: format!("a row of {table:?}"),
        expected: "the encoding of this version".to_owned(),
        found: error.to_string(),
    })
}

/// What the rows of a block are made from.
pub struct BlockRows<'b> {
    /// The block with its outcomes.
    pub body: &'b Body,
    /// Its statements, in order.
    pub statements: &'b [Statement],
    /// What execution produced.
    pub executed: &'b Executed,
    /// Tiles of the log that changed.
    pub tiles: Vec<(TileId, Vec<u8>)>,
    /// How far the index has come with it.
    pub progress: &'b Progress,
    /// For how long a nonce is live, ms.
    pub nonce_window_ms: i64,
}

impl BlockRows<'_> {
    /// The rows, on top of what the store holds of the blocks before.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn rows<S: Store + ?Sized>(self, store: &S) -> Result<IndexWrites, StoreFault> {
        let (mut rows, mut lists) = (IndexWrites::new(), Growth::new(store, self.executed));
        let header = &self.body.block.header;
        let mut distances = Vec::with_capacity(self.executed.leaves.len());
        for (index, leaf) in (self.first_leaf()..).zip(&self.executed.leaves) {
            let events = lists.open(List::of_subject(&leaf.subject))?;
            distances.push(lists.add(events, index)?);
        }
        self.statement_rows(&distances, &mut rows);
        rows.extend(self.executed.created.iter().filter_map(mandate_row));
        lease::due_rows(&self.executed.lease_ends, &mut rows);
        involvement::rows(header, &self.executed.involvements, &mut lists, &mut rows)?;
        lists.finish(&mut rows)?;
        let height = HeightRow { id: self.progress.id, time_ms: header.time_ms, log_size: header.log_size };
        rows.insert((Table::Height, header.height.to_be_bytes().to_vec()), Some(encode(&height)));
        if self.body.block.next_validators.is_some() {
            rows.insert((Table::Meta, set_change_key(header.height)), Some(Vec::new()));
        }
        rows.insert((Table::Meta, PROGRESS.to_vec()), Some(encode(self.progress)));
        for (tile, hashes) in self.tiles {
            rows.insert((Table::LogTile, tile_key(tile)), Some(hashes));
        }
        Ok(rows)
    }

    fn first_leaf(&self) -> u64 {
        let count = u64::try_from(self.executed.leaves.len()).expect("a block has fewer than 2^64 leaves");
        self.body.block.header.log_size - count
    }

    /// Rows of statements, nonces and leaves; `distances` says for each leaf how far the subject's last one is.
    fn statement_rows(&self, distances: &[u64], rows: &mut IndexWrites) {
        let header = &self.body.block.header;
        let live_until_ms = header.time_ms + self.nonce_window_ms;
        let first_leaf = self.first_leaf();
        let mut leaf = first_leaf;
        let (mut leaves, mut nonces) = (Vec::with_capacity(distances.len()), Vec::new());
        let mut distances = distances.iter();
        for (statement, place) in self.statements.iter().zip(self.body.layout()) {
            let events = u32::try_from(place.outcomes.len()).expect("a statement has at most 1,000 events");
            let row = StatementRow { height: header.height, first_leaf: leaf, events };
            rows.insert((Table::Statement, statement.id().as_bytes().to_vec()), Some(encode(&row)));
            let key = nonce_key(&statement.header().organisation, statement.header().nonce.as_str());
            nonces.push((leaf, key.clone()));
            rows.insert((Table::Nonce, key), Some(encode(&NonceRow { first_leaf: leaf, live_until_ms })));
            for (event, (outcome_offset, outcome_len)) in (0..).zip(place.outcomes) {
                let (statement_offset, statement_len) = (place.offset, place.len);
                let distance = *distances.next().expect("an outcome for each leaf");
                leaves.push(LeafPlace {
                    event,
                    statement_offset,
                    statement_len,
                    outcome_offset,
                    outcome_len,
                    distance,
                });
            }
            leaf += u64::from(events);
        }
        let mut last = first_leaf;
        for group in leaves.chunks(GROUP_LEAVES) {
            last += u64::try_from(group.len()).expect("a group is small");
            let key = (last - 1).to_be_bytes().to_vec();
            rows.insert((Table::Leaf, key), Some(leaf::encode(header.height, group)));
        }
        for group in nonces.chunks(NONCES_A_ROW) {
            let Some((first_leaf, _)) = group.first() else { continue };
            let keys: Vec<&[u8]> = group.iter().map(|(_, key)| key.as_slice()).collect();
            rows.insert((Table::NonceExpiry, nonce_expiry_key(live_until_ms, *first_leaf)), Some(encode(&keys)));
        }
    }
}
