//! Recovery: what is true after a start, however the process ended before.
//!
//! The ledger is the truth. The index is taken as far as its newest whole checkpoint and brought up
//! to the ledger's tip by the ordinary path of a commit; one that is missing or half written is
//! rebuilt from genesis the same way. An index ahead of the ledger means that the ledger lost data:
//! the node refuses to start.

use std::collections::VecDeque;
use std::sync::{Arc, RwLock};

use chain::block::{BlockId, Body, StateCheckpoint};
use chain::genesis::Genesis;
use chain::merkle;
use chain::tile::RightEdge;
use ledger::genesis::LedgerGenesis;
use ledger::parallel::Workers;
use ledger::schedule::Schedule;

use crate::checkpoint;
use crate::index::{self, HeightRow, PROGRESS, Progress};
use crate::list;
use crate::port::{IndexWrites, Store, StoreFault, Table};
use crate::replica::{DecidedBlock, Fault, Replica, identity, tip_from};
use crate::view::StoreTiles;

/// How a recovery goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovering {
    /// The height applied last.
    pub height: u64,
    /// The ledger's tip.
    pub tip: u64,
}

impl<S: Store> Replica<S> {
    /// Starts from genesis or from what the store holds, and catches the index up with the ledger.
    /// `workers` read and verify statements for as long as the replica lives.
    ///
    /// # Errors
    /// A fault: damage, a ledger that lost data, another genesis or one that not all have signed.
    pub fn recover(
        genesis: &Genesis,
        store: Arc<S>,
        workers: Arc<dyn Workers>,
        progress: impl FnMut(Recovering),
    ) -> Result<Self, Fault> {
        genesis.verify_countersignatures().map_err(Fault::Countersignatures)?;
        let ledger_tip = store.ledger_tip()?;
        check_genesis(genesis, &*store, ledger_tip)?;
        let start = match store.index_tip()? {
            Some(index) if index.height > ledger_tip => {
                let what = format!("the index has height {} and the ledger only {ledger_tip}", index.height);
                return Err(Fault::Ledger { height: ledger_tip, what });
            }
            Some(index) => {
                let mut progress = require_progress(&*store)?;
                check_branch(&*store, &progress)?;
                if progress.height == 0 {
                    // Checkpoint 0 was computed from the very rows that would name its root.
                    progress.state_checkpoint = StateCheckpoint { height: 0, root: index.checkpoint.root };
                }
                progress
            }
            None => plant_genesis(genesis, &*store)?,
        };
        let (chain, suite) = identity(genesis);
        let edge = RightEdge::open(start.log_size, &StoreTiles(&*store))
            .map_err(|error| Fault::Ledger { height: start.height, what: error.to_string() })?;
        if edge.root() != start.log_root {
            return Err(StoreFault::Damaged {
                place: format!("the tiles of the log at height {}", start.height),
                expected: start.log_root.to_string(),
                found: edge.root().to_string(),
            }
            .into());
        }
        let first = start.height;
        let tip = Arc::new(tip_from(&*store, start)?);
        let shared = Arc::new(RwLock::new(Arc::clone(&tip)));
        let mut replica = Self {
            store,
            chain,
            suite,
            edge,
            nonces_end_ms: i64::MIN,
            leases_quiet_until_ms: i64::MIN,
            tip,
            shared,
            candidates: VecDeque::new(),
            recent: Arc::default(),
            keys: Arc::default(),
            workers,
        };
        replica.catch_up(first, ledger_tip, progress)?;
        Ok(replica)
    }

    /// Executes and applies the decided blocks above a height. The next one is read meanwhile.
    fn catch_up(&mut self, height: u64, tip: u64, mut progress: impl FnMut(Recovering)) -> Result<(), Fault> {
        let (store, workers) = (Arc::clone(&self.store), Arc::clone(&self.workers));
        let read = |height| {
            let body = || DecidedBlock::read(decided_body(&*store, height)?, &*workers);
            (height <= tip).then(body).transpose()
        };
        let mut height = height + 1;
        let mut read_ahead = read(height)?;
        while let Some(block) = read_ahead {
            let (mut next, mut applied) = (Ok(None), Ok(()));
            workers.both(&mut || next = read(height + 1), &mut || {
                applied = self.execute_decided(&block).and_then(|checked| self.apply(checked));
            });
            applied?;
            read_ahead = next?;
            progress(Recovering { height, tip });
            height += 1;
        }
        Ok(())
    }
}

/// A store belongs to one genesis: its first block names it.
fn check_genesis<S: Store>(genesis: &Genesis, store: &S, ledger_tip: u64) -> Result<(), Fault> {
    if ledger_tip == 0 {
        return Ok(());
    }
    let parent = decided_body(store, 1)?.block.header.parent;
    if parent == BlockId::from(genesis.hash()) {
        return Ok(());
    }
    Err(Fault::OtherGenesis { expected: genesis.hash(), found: parent.hash() })
}

/// The index must have grown from the very blocks the ledger holds: a ledger restored from elsewhere
/// under an index of its own would be built on a wrong state.
fn check_branch<S: Store>(store: &S, progress: &Progress) -> Result<(), Fault> {
    let Some(decided) = store.decided(progress.height)? else { return Ok(()) };
    if decided.id == progress.id {
        return Ok(());
    }
    let height = progress.height;
    let what = format!(
        "the index knows block {} there, and the ledger {}; remove the index to have it rebuilt",
        progress.id, decided.id
    );
    Err(Fault::Ledger { height, what })
}

fn require_progress<S: Store>(store: &S) -> Result<Progress, Fault> {
    let bytes = store.get(Table::Meta, PROGRESS)?.ok_or_else(|| StoreFault::Damaged {
        place: "the index".to_owned(),
        expected: "a row that says how far it has come".to_owned(),
        found: "none".to_owned(),
    })?;
    Ok(index::decode(Table::Meta, &bytes)?)
}

/// The body of a decided block, held against its id.
pub(crate) fn decided_body<S: Store + ?Sized>(store: &S, height: u64) -> Result<Body, Fault> {
    let damaged = |what: String| Fault::Ledger { height, what };
    let decided = store.decided(height)?.ok_or_else(|| damaged("no block is recorded".to_owned()))?;
    let bytes = store.body(&decided.id)?.ok_or_else(|| damaged(format!("the body of {} is gone", decided.id)))?;
    let body = Body::decode(&bytes).map_err(|error| damaged(error.to_string()))?;
    if body.block.header.id() != decided.id {
        return Err(damaged(format!("the body under {} is that of {}", decided.id, body.block.header.id())));
    }
    Ok(body)
}

/// Writes the state at height 0, with checkpoint 0.
fn plant_genesis<S: Store>(genesis: &Genesis, store: &S) -> Result<Progress, Fault> {
    let ledger = LedgerGenesis::read(genesis)?;
    let time_ms = genesis.body().time_ms;
    let mut progress = Progress {
        height: 0,
        id: BlockId::from(genesis.hash()),
        time_ms,
        log_size: 0,
        log_root: merkle::root(&[]),
        schedule: Schedule::genesis(time_ms),
        state_checkpoint: StateCheckpoint { height: 0, root: merkle::root(&[]) },
    };
    let mut rows = IndexWrites::new();
    for (key, value) in ledger.state(genesis) {
        rows.extend(index::mandate_row(&key));
        rows.insert((index::table_of_state(key.as_bytes()), key.into_bytes()), Some(list::state_row(&value)));
    }
    let row = HeightRow { id: progress.id, time_ms, log_size: 0 };
    rows.insert((Table::Height, 0_u64.to_be_bytes().to_vec()), Some(index::encode(&row)));
    rows.insert((Table::Meta, PROGRESS.to_vec()), Some(index::encode(&progress)));
    store.apply(0, rows)?;
    checkpoint::begin(store, &progress)?;
    // Block 1 carries checkpoint 0.
    progress.state_checkpoint = checkpoint::published(store, 0)?;
    Ok(progress)
}
