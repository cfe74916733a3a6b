//! State checkpoints: when a due block is committed, the index is frozen and the tree's next
//! version is computed from the frozen writes, in the background, on the store's thread.

mod proved;

use std::fmt::Display;
use std::ops::Bound;

use chain::block::StateCheckpoint;
use ledger::state::{Fault as StateFault, StateKey};
use ledger::tree::{self, Change, Nodes};

use crate::index::{self, NonceRow, Progress};
use crate::list;
use crate::port::{CheckpointJob, CheckpointOutput, CheckpointView, Direction, IndexWrites, Store, StoreFault, Table};
use crate::replica::Fault;

pub(crate) use proved::counter;

/// The key of the tree's newest version and root. Of the nodes only the root's key is one byte, and that is 0.
const NEWEST: &[u8] = &[0xff];

/// Rows of expired nonces removed with one block at most: some 25,000 nonces, more than a block adds.
const EXPIRED_ROWS_MAX: usize = 400;

/// Starts the checkpoint of the due block just applied.
pub(crate) fn begin<S: Store + ?Sized>(store: &S, progress: &Progress) -> Result<(), StoreFault> {
    store.begin_checkpoint(CheckpointJob {
        number: progress.schedule.number,
        height: progress.height,
        compute: Box::new(compute),
    })
}

/// The checkpoint that headers begin to carry: waits until it is there.
pub(crate) fn published<S: Store + ?Sized>(store: &S, number: u64) -> Result<StateCheckpoint, Fault> {
    let mark = store.await_checkpoint(number)?.ok_or_else(|| StoreFault::CheckpointLost {
        number,
        reason: "it was never begun in this process, and is not the newest on disk".to_owned(),
    })?;
    Ok(StateCheckpoint { height: mark.height, root: mark.root })
}

/// Adds the removal of nonces that are no longer live at a block's time, and returns until when none
/// of those that are left in the store ends, ms UTC; nothing is removed before that.
pub(crate) fn expire_nonces<S: Store + ?Sized>(
    store: &S,
    time_ms: i64,
    rows: &mut IndexWrites,
) -> Result<i64, StoreFault> {
    // A nonce is live through its last instant.
    let now = time_ms.max(0).to_be_bytes().to_vec();
    let (expired, left) = ((Bound::Unbounded, Bound::Excluded(now.clone())), (Bound::Included(now), Bound::Unbounded));
    let expired = store.scan(Table::NonceExpiry, expired, Direction::Forward, EXPIRED_ROWS_MAX)?;
    let next = if expired.len() < EXPIRED_ROWS_MAX {
        let next = store.scan(Table::NonceExpiry, left, Direction::Forward, 1)?;
        next.first().map_or(Ok(i64::MAX), |(key, _)| index::nonce_expiry(key))?
    } else {
        i64::MIN
    };
    for (key, row) in expired {
        for nonce in index::decode::<Vec<Vec<u8>>>(Table::NonceExpiry, &row)? {
            // A nonce used again since is live again, in this very block or one before: its row stays.
            let written = rows.contains_key(&(Table::Nonce, nonce.clone()));
            let live = match store.get(Table::Nonce, &nonce)? {
                Some(row) => index::decode::<NonceRow>(Table::Nonce, &row)?.live_until_ms >= time_ms,
                None => false,
            };
            if !written && !live {
                rows.insert((Table::Nonce, nonce), None);
            }
        }
        rows.insert((Table::NonceExpiry, key), None);
    }
    Ok(next)
}

struct Previous<'v>(&'v dyn CheckpointView);

impl Nodes for Previous<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateFault> {
        self.0.previous(Table::TreeNode, key).map_err(|fault| StateFault::Read(Box::new(fault)))
    }
}

fn damaged(found: &dyn Display) -> StoreFault {
    StoreFault::Damaged {
        place: "the state tree".to_owned(),
        expected: "every node of its newest version".to_owned(),
        found: found.to_string(),
    }
}

/// The records that are not what the tree knows.
fn changes(view: &dyn CheckpointView) -> Result<Vec<Change>, StoreFault> {
    let mut changes = Vec::new();
    for (key, row) in view.frozen(Table::State).chain(view.frozen(Table::Reference)) {
        let Some(row) = row else { continue };
        let record = list::record(row)?;
        // The root would be the same with them, and the tree's rows would be written for nothing.
        if list::may_be_same_record(row)
            && let Some(before) = view.previous(Table::State, key)?
            && list::record(&before)? == record
        {
            continue;
        }
        changes.push(Change::new(&StateKey::from_bytes(key.to_vec()), record));
    }
    Ok(changes)
}

/// Computes the tree's next version. Its rows take the place of the last one's: nobody asks for an older one, but for
/// the counters, which are proved now for that.
fn compute(view: &dyn CheckpointView) -> Result<CheckpointOutput, StoreFault> {
    let newest = view.previous(Table::TreeNode, NEWEST)?;
    let newest: Option<(u64, chain::hash::Hash)> =
        newest.map(|bytes| borsh::from_slice(&bytes)).transpose().map_err(|error| damaged(&error))?;
    let changes = changes(view)?;
    let mut writes = IndexWrites::new();
    let (version, root) = match newest {
        // Nothing changed: the tree stands, and so does its version.
        Some((version, root)) if changes.is_empty() => (version, root),
        _ => {
            let version = newest.map_or(0, |(version, _)| version + 1);
            let update = tree::update(&Previous(view), version, changes).map_err(|fault| damaged(&fault))?;
            for (key, node) in update.nodes {
                writes.insert((Table::TreeNode, key), Some(node));
            }
            if let Some(proved) = proved::with(view, version, update.root, &writes)? {
                writes.insert((Table::TreeNode, proved::KEY.to_vec()), Some(proved));
            }
            (version, update.root)
        }
    };
    let record = borsh::to_vec(&(version, root)).expect("writing to a vector cannot fail");
    writes.insert((Table::TreeNode, NEWEST.to_vec()), Some(record));
    Ok(CheckpointOutput { root, writes })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chain::hash::Hash;
    use chain::identity::OrganisationId;
    use ledger::execute::Executed;
    use ledger::state::Writes;

    use super::*;
    use crate::list::{Growth, List};
    use crate::memory::MemoryStore;
    use crate::port::Row;

    /// A store that is given blocks of records to write and subjects to name.
    #[derive(Default)]
    pub(super) struct Chain {
        pub(super) store: MemoryStore,
        height: u64,
        checkpoints: u64,
    }

    impl Chain {
        pub(super) fn block(&mut self, writes: &Writes, subjects: &[&str]) {
            let executed = Executed {
                writes: writes.clone(),
                created: BTreeSet::new(),
                leaves: Vec::new(),
                outcomes: Vec::new(),
                involvements: Vec::new(),
                lease_ends: Vec::new(),
            };
            let (mut rows, mut growth) = (IndexWrites::new(), Growth::new(&self.store, &executed));
            for (leaf, subject) in (self.height * 1_000..).zip(subjects) {
                let list = growth.open(List::of_subject(subject)).unwrap();
                growth.add(list, leaf).unwrap();
            }
            growth.finish(&mut rows).unwrap();
            self.store.apply(self.height, rows).unwrap();
            self.height += 1;
        }

        /// The root, and the rows of the tree.
        pub(super) fn checkpoint(&mut self) -> (Hash, Vec<Row>) {
            let (number, height) = (self.checkpoints, self.height - 1);
            self.store.begin_checkpoint(CheckpointJob { number, height, compute: Box::new(compute) }).unwrap();
            self.checkpoints += 1;
            let mark = self.store.await_checkpoint(number).unwrap().unwrap();
            let everything = (Bound::Unbounded, Bound::Unbounded);
            (mark.root, self.store.scan(Table::TreeNode, everything, Direction::Forward, usize::MAX).unwrap())
        }
    }

    fn subjects() -> Vec<String> {
        (0..40).map(|number| format!("144032609110-{number:08}")).collect()
    }

    fn records(value: u8, numbers: impl IntoIterator<Item = usize>) -> Writes {
        let subjects = subjects();
        let key = |number: usize| StateKey::invoice(&subjects[number].parse().unwrap());
        numbers.into_iter().map(|number| (key(number), vec![value; 40])).collect()
    }

    #[test]
    fn lists_that_grow_beside_records_leave_the_tree_as_it_is() {
        let subjects = subjects();
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        let mut chain = Chain::default();
        chain.block(&records(1, 0..30), &[]);
        let genesis = chain.checkpoint();
        chain.block(&Writes::new(), &subjects[..20]);
        chain.block(&Writes::new(), &subjects[10..35]);
        assert_eq!(chain.checkpoint(), genesis);

        // Written before its list grows, after it, in the same block, to what it was, and for the first time.
        chain.block(&records(2, [3, 4]), &subjects[4..6]);
        chain.block(&Writes::new(), &subjects[2..4]);
        chain.block(&records(2, [2]), &[]);
        chain.block(&records(1, [7]), &subjects[7..8]);
        chain.block(&records(2, [30, 36]), &subjects[30..32]);
        chain.block(&Writes::new(), &subjects[36..]);
        let (root, _) = chain.checkpoint();
        let mut at_once = records(1, 0..30);
        at_once.extend(records(2, [2, 3, 4, 30, 36]));
        let mut other = Chain::default();
        other.block(&at_once, &[]);
        assert_eq!(root, other.checkpoint().0);
        assert_ne!(root, genesis.0);
    }

    #[test]
    fn a_nonce_used_again_outlives_its_first_expiry() {
        let store = MemoryStore::default();
        let organisation = OrganisationId::new("shop").unwrap();
        let key = index::nonce_key(&organisation, "n");
        let nonce = NonceRow { first_leaf: 3, live_until_ms: 200 };
        let (keys, first, second) =
            (index::encode(&vec![key.clone()]), index::nonce_expiry_key(100, 1), index::nonce_expiry_key(200, 3));
        let rows = IndexWrites::from([
            ((Table::Nonce, key.clone()), Some(index::encode(&nonce))),
            ((Table::NonceExpiry, first.clone()), Some(keys.clone())),
            ((Table::NonceExpiry, second), Some(keys)),
        ]);
        store.apply(0, rows).unwrap();
        let mut rows = IndexWrites::new();
        assert_eq!(expire_nonces(&store, 150, &mut rows).unwrap(), 200);
        let first = (Table::NonceExpiry, first);
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), [(first, None)]);
        let mut rows = IndexWrites::new();
        assert_eq!(expire_nonces(&store, 200, &mut rows).unwrap(), 200);
        assert_eq!(rows.get(&(Table::Nonce, key.clone())), None, "live through its last instant");
        let mut rows = IndexWrites::new();
        assert_eq!(expire_nonces(&store, 201, &mut rows).unwrap(), i64::MAX);
        assert_eq!(rows.get(&(Table::Nonce, key)), Some(&None));
    }
}
