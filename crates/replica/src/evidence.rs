//! Equivocations: what the ledger holds of them, and how a node gets there what it has seen itself.
//!
//! A [`Reporter`] owns what is to be reported until the ledger holds it. It has no clock and no network: its caller says
//! what time it is, gives what it hands out to the other nodes, and keeps on its disk what waits.

mod reporter;

use std::ops::Bound;

use chain::equivocation::Equivocation;
use ledger::record::{CounterRecord, EvidenceRecord};
use ledger::state::{Kind, StateKey, decode, read};

use crate::list;
use crate::port::{Direction, Store, Table};
use crate::query::Query;
use crate::replica::Fault;
use crate::view::StoreView;

pub use reporter::{Author, PENDING_MAX, RETRY_MS, Reporter, TRIES_MAX, Taken};

/// What the ledger holds of equivocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How many there are.
    pub count: u64,
    /// Those of the greatest heights, greatest first.
    pub newest: Vec<EvidenceRecord>,
}

impl<S: Store> Query<S> {
    /// How many equivocations the ledger holds, and at most `limit` of them. Costs as many rows as it gives.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn evidence(&self, limit: usize) -> Result<Evidence, Fault> {
        let view = StoreView(&**self.store());
        let counter = read::<CounterRecord>(&view, &StateKey::evidence_counter())?;
        let count = counter.map_or(0, |counter| counter.next.saturating_sub(1));
        if count == 0 {
            return Ok(Evidence { count, newest: Vec::new() });
        }
        let prefix = Kind::Evidence as u8;
        let range = (Bound::Included(vec![prefix]), Bound::Excluded(vec![prefix + 1]));
        let rows = self.store().scan(Table::State, range, Direction::Backward, limit)?;
        let newest = rows.into_iter().map(|(key, row)| Ok(decode(&StateKey::from_bytes(key), list::record(&row)?)?));
        Ok(Evidence { count, newest: newest.collect::<Result<_, Fault>>()? })
    }

    /// What the ledger holds of this equivocation, whichever two things prove it.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn evidence_of(&self, equivocation: &Equivocation) -> Result<Option<EvidenceRecord>, Fault> {
        let Equivocation { validator, height, round, kind, .. } = equivocation;
        let key = StateKey::evidence(*height, *round, *kind, validator);
        Ok(read(&StoreView(&**self.store()), &key)?)
    }
}
