//! The `Store` port: what a replica needs kept, and what it may rely on.
//!
//! Two areas with different promises, as measured in the storage study behind `design.md` §6:
//!
//! - the *ledger* is the truth: bodies, and which body was decided at each height with its
//!   certificate. Every write there is durable when the call returns.
//! - the *index* is derived: state records, log tiles, look-up tables, tree nodes. A write there
//!   is visible at once and durable with the next index checkpoint; after a crash the index may
//!   be behind the ledger (the replica catches up) but never ahead of it.
//!
//! Beside them stand the *attachments*: personal data that never reaches the ledger; and *local* rows: what this node
//! keeps for itself and no other node has.
//!
//! An implementation owns threads, files and key prefixes; it knows nothing of blocks' contents.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chain::block::BlockId;
use chain::hash::Hash;

/// A fault of the store: the disk, the database, or a promise of theirs that does not hold.
///
/// Never the caller's mistake. What reached the disk is unknown; the process stops, and only
/// `recover` decides what is true. [`StoreFault::Full`] alone is none of this: see there.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The operating system or the database failed.
    #[error("{operation} failed")]
    Io {
        /// What was being done, for the log.
        operation: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Bytes are not what was written.
    #[error("{place} is damaged: expected {expected}, found {found}")]
    Damaged {
        /// Where: table, key or height.
        place: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The background checkpoint ended without a result.
    #[error("index checkpoint {number} ended without a result: {reason}")]
    CheckpointLost {
        /// The checkpoint's number.
        number: u64,
        /// What the background thread left behind.
        reason: String,
    },
    /// The disk is full. The call did nothing, and the very same call may be made again, in this
    /// process, as often as it takes: when there is room it succeeds as if it were the first.
    ///
    /// Only [`Store::put_body`], [`Store::append`], [`Store::put_attachment`],
    /// [`Store::erase_attachment`], [`Store::put_local`], [`Store::begin_checkpoint`] and
    /// [`Store::await_checkpoint`] answer so. Reads, and [`Store::apply`], never do. Each leaves less room alone than the one
    /// that comes before it in the life of a block, so a block whose body was kept finds the room
    /// for its commit, unless somebody else takes it.
    #[error("no room left for {operation}")]
    Full {
        /// What was being done.
        operation: &'static str,
    },
    /// Another process holds the directory.
    #[error("{place} is held by another process")]
    Held {
        /// The directory.
        place: String,
    },
}

/// A table of the index. The store maps each to a key prefix; keys inside are the replica's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// State records, under (kind, id): what the rules read, and what the state tree commits to. Those of
    /// references stand in a table of their own.
    State,
    /// Tiles of the log, under (level, index).
    LogTile,
    /// Where a leaf stands in the ledger, under its leaf index.
    Leaf,
    /// Where a statement stands, under its id.
    Statement,
    /// What was decided at a height, under the height.
    Height,
    /// Live nonces, under (organisation, nonce).
    Nonce,
    /// Which nonces stop being live when, under (time, first leaf).
    NonceExpiry,
    /// Where lists of leaves end that no state record stands beside, under the list's name.
    ListHead,
    /// Leaves in the middle of long lists, under (list, leaf index).
    ListMilestone,
    /// Invoices that parties came to, under the index of the last of some leaves.
    PartyInvoice,
    /// Rows of the state tree. Written by checkpoints alone.
    TreeNode,
    /// State records of sellers' references, under (kind, id).
    Reference,
    /// Single records of the replica about the index itself.
    Meta,
    /// Who gave mandates to whom, under (who may act, who gave it).
    MandateTo,
    /// Which leases are due when, under (time, leaf that set the time).
    LeaseDue,
    /// Which leases have ended, in the order in which it is told.
    LeaseEnded,
}

impl Table {
    /// Every table, in the order of their prefixes.
    pub const ALL: [Table; 16] = [
        Table::State,
        Table::LogTile,
        Table::Leaf,
        Table::Statement,
        Table::Height,
        Table::Nonce,
        Table::NonceExpiry,
        Table::ListHead,
        Table::ListMilestone,
        Table::PartyInvoice,
        Table::TreeNode,
        Table::Reference,
        Table::Meta,
        Table::MandateTo,
        Table::LeaseDue,
        Table::LeaseEnded,
    ];

    /// Whether new rows come in no order of their keys and are hardly ever written again: ids, names that others
    /// chose. Such a table is asked for whole keys and never scanned, so that a store need not keep it in order.
    pub fn comes_by_chance(self) -> bool {
        matches!(self, Table::Statement | Table::Nonce | Table::Reference)
    }
}

/// A table of local rows. The store maps each to a key prefix; keys inside are the door's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::enum_variant_names, reason = "each says what it is of; webhooks are only the first to need such rows")]
pub enum LocalTable {
    /// Webhook endpoints as their owners registered them, under their ids.
    WebhookEndpoint,
    /// How far each endpoint was served, under its id.
    WebhookProgress,
    /// What could not be delivered, under (endpoint, position in the log).
    WebhookDeadLetter,
}

/// Local rows to put, sorted.
pub type LocalRows = BTreeMap<(LocalTable, Vec<u8>), Vec<u8>>;

/// Where one write of the index goes.
pub type IndexKey = (Table, Vec<u8>);

/// Writes of the index, sorted: a value to put, or `None` to delete.
pub type IndexWrites = BTreeMap<IndexKey, Option<Vec<u8>>>;

/// One row of a scan: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// What was decided at a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The block.
    pub id: BlockId,
    /// Its certificate, encoded.
    pub certificate: Vec<u8>,
}

/// In which direction a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// A range of keys inside one table.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// How far the index has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexTip {
    /// The last height applied, in memory.
    pub height: u64,
    /// The newest checkpoint that is complete and durable.
    pub checkpoint: CheckpointMark,
}

/// A durable checkpoint of the index: everything up to `height`, and the tree root of the state there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointMark {
    /// 0 for genesis, then counting up.
    pub number: u64,
    /// The height after which the state stood so.
    pub height: u64,
    /// The root of the state tree.
    pub root: Hash,
}

/// A write that a checkpoint makes durable: key, and value or deletion.
pub type FrozenWrite<'f> = (&'f [u8], Option<&'f [u8]>);

/// What a checkpoint's computation may read while commits go on.
pub trait CheckpointView {
    /// A value as of the *previous* checkpoint: below everything this checkpoint writes.
    fn previous(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault>;
    /// The writes of a table that this checkpoint makes durable, in no order.
    fn frozen(&self, table: Table) -> Box<dyn Iterator<Item = FrozenWrite<'_>> + '_>;
}

/// What a checkpoint's computation adds: the root, and writes of its own (tree nodes).
#[derive(Debug)]
pub struct CheckpointOutput {
    /// The root of the state tree.
    pub root: Hash,
    /// Rows to write with the checkpoint; only [`Table::TreeNode`].
    pub writes: IndexWrites,
}

/// Computes a checkpoint from what the view shows. Runs on the store's thread.
pub type Compute = Box<dyn FnOnce(&dyn CheckpointView) -> Result<CheckpointOutput, StoreFault> + Send>;

/// A checkpoint to be made.
pub struct CheckpointJob {
    /// Its number; the one before it must have been begun.
    pub number: u64,
    /// The height whose state it fixes: the height applied last.
    pub height: u64,
    /// How root and tree nodes come about.
    pub compute: Compute,
}

impl std::fmt::Debug for CheckpointJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointJob")
            .field("number", &self.number)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

/// What a replica keeps, and where.
///
/// Implementations are shared between the one thread that commits and any number of readers. A
/// reader who reads twice may see two heights; what must be read together is immutable (leaves, tiles
/// of complete subtrees), one row, or a row that names rows of its own height or an earlier one.
pub trait Store: Send + Sync + 'static {
    // --- ledger -------------------------------------------------------------------------------

    /// Keeps a body under its block id. Durable when this returns; writing it again is a no-op.
    ///
    /// [`StoreFault::Full`] while there is no room for the body, its commit, and the checkpoint of
    /// everything that was applied: new work is refused here first.
    fn put_body(&self, height: u64, id: &BlockId, body: &[u8]) -> Result<(), StoreFault>;

    /// A body, whole.
    fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault>;

    /// `len` bytes of a body from `offset`, without decompressing the rest. `None` when there is no
    /// such body or it is shorter.
    fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Records what was decided at `height` in one atomic batch and one flush. Durable when this
    /// returns. Bodies of other proposals at or below `height` may be dropped from here on.
    ///
    /// `height` is one above the ledger's tip, and the body is there. After [`StoreFault::Full`] the
    /// block is not final on this node, and its body is still kept.
    fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault>;

    /// What was decided at a height.
    fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault>;

    /// The highest decided height; 0 when there is none.
    fn ledger_tip(&self) -> Result<u64, StoreFault>;

    // --- index --------------------------------------------------------------------------------

    /// How far the index has come; `None` before its first checkpoint is durable, or when it was
    /// found missing or half written and has been emptied for a rebuild from the ledger.
    fn index_tip(&self) -> Result<Option<IndexTip>, StoreFault>;

    /// Empties the index, to be rebuilt from the ledger.
    fn reset_index(&self) -> Result<(), StoreFault>;

    /// Applies the writes of one height. All of them become visible together, and durable with the next
    /// checkpoint.
    fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault>;

    /// A value of the index.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault>;

    /// At most `limit` rows of a range of one table, which is not one that [comes by chance](Table::comes_by_chance).
    fn scan(&self, table: Table, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreFault>;

    /// Freezes what was applied since the last checkpoint and begins to make it durable in the
    /// background. Returns at once, unless the checkpoint before is still under way: then it
    /// waits for that one.
    ///
    /// A checkpoint that meets a full disk is not lost: it waits in memory and tries again until
    /// there is room. [`StoreFault::Full`] is for a caller that would have to wait for such a one.
    /// Nobody meets it here who awaited the checkpoint before, and that also bounds what waits in
    /// memory: the rows of one checkpoint and those applied since.
    fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault>;

    /// Waits until checkpoint `number` is durable, and returns its mark. `None` when it was never
    /// begun in this process and is not the newest on disk, or is more than a thousand ago.
    ///
    /// [`StoreFault::Full`] at once, while it waits for room: nothing is lost, ask again later.
    fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault>;

    // --- attachments --------------------------------------------------------------------------

    /// Keeps an attachment at a place of the caller's choosing, until it is erased. Durable when this
    /// returns; a place that is taken keeps what it has. [`StoreFault::Full`] while there is no room.
    fn put_attachment(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault>;

    /// An attachment, when this node holds it.
    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Erases an attachment. Durable when this returns; erasing what is not there is a no-op.
    /// [`StoreFault::Full`] only when even the reserve is used up.
    fn erase_attachment(&self, hash: &Hash) -> Result<(), StoreFault>;

    // --- local --------------------------------------------------------------------------------

    /// Puts rows that this node keeps for itself, all of them or none. Durable when this returns.
    /// [`StoreFault::Full`] while there is no room.
    fn put_local(&self, rows: &LocalRows) -> Result<(), StoreFault>;

    /// Removes such rows, one after the other. Durable when this returns; removing what is not there is a no-op.
    fn remove_local(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault>;

    /// At most `limit` rows of a range of one local table, in the order of their keys.
    fn scan_local(&self, table: LocalTable, range: KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault>;

    // --- end ----------------------------------------------------------------------------------

    /// Waits for what is under way and flushes. Called once, before the process ends in order.
    fn close(&self) -> Result<(), StoreFault>;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn put_body(&self, height: u64, id: &BlockId, body: &[u8]) -> Result<(), StoreFault> {
        (**self).put_body(height, id, body)
    }
    fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreFault> {
        (**self).body(id)
    }
    fn body_part(&self, id: &BlockId, offset: u32, len: u32) -> Result<Option<Vec<u8>>, StoreFault> {
        (**self).body_part(id, offset, len)
    }
    fn append(&self, height: u64, decided: &Decided) -> Result<(), StoreFault> {
        (**self).append(height, decided)
    }
    fn decided(&self, height: u64) -> Result<Option<Decided>, StoreFault> {
        (**self).decided(height)
    }
    fn ledger_tip(&self) -> Result<u64, StoreFault> {
        (**self).ledger_tip()
    }
    fn index_tip(&self) -> Result<Option<IndexTip>, StoreFault> {
        (**self).index_tip()
    }
    fn reset_index(&self) -> Result<(), StoreFault> {
        (**self).reset_index()
    }
    fn apply(&self, height: u64, writes: IndexWrites) -> Result<(), StoreFault> {
        (**self).apply(height, writes)
    }
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        (**self).get(table, key)
    }
    fn scan(&self, table: Table, range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreFault> {
        (**self).scan(table, range, direction, limit)
    }
    fn begin_checkpoint(&self, job: CheckpointJob) -> Result<(), StoreFault> {
        (**self).begin_checkpoint(job)
    }
    fn await_checkpoint(&self, number: u64) -> Result<Option<CheckpointMark>, StoreFault> {
        (**self).await_checkpoint(number)
    }
    fn put_attachment(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreFault> {
        (**self).put_attachment(hash, bytes)
    }
    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreFault> {
        (**self).attachment(hash)
    }
    fn erase_attachment(&self, hash: &Hash) -> Result<(), StoreFault> {
        (**self).erase_attachment(hash)
    }
    fn put_local(&self, rows: &LocalRows) -> Result<(), StoreFault> {
        (**self).put_local(rows)
    }
    fn remove_local(&self, keys: &[(LocalTable, Vec<u8>)]) -> Result<(), StoreFault> {
        (**self).remove_local(keys)
    }
    fn scan_local(&self, table: LocalTable, range: KeyRange, limit: usize) -> Result<Vec<Row>, StoreFault> {
        (**self).scan_local(table, range, limit)
    }
    fn close(&self) -> Result<(), StoreFault> {
        (**self).close()
    }
}
