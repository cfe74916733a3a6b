//! Proofs of the counters of numbers, made with each state checkpoint.
//!
//! Rows of the tree are those of its newest version, and headers carry the checkpoint before: what is to be proved
//! against a header cannot be proved any more when somebody asks. Of the counters there are a few for each year, so that
//! they are proved whenever the tree changes, and kept for the two newest roots, one of which headers carry. They stand
//! in one row beside the tree's:
//!
//! ```text
//! fe -> the newest root with each counter: key, stored record, proof | the same of the root before
//! ```

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::hash::Hash;
use ledger::state::{Fault as StateFault, Kind, StateKey};
use ledger::tree::{self, Nodes, RecordProof};

use super::{damaged, list};
use crate::port::{CheckpointView, IndexWrites, Store, StoreFault, Table};

/// The key of the row. Of the nodes of the tree only the root's key is one byte, and that is 0.
pub(super) const KEY: &[u8] = &[0xfe];

/// Roots whose proofs are kept.
const ROOTS: usize = 2;

/// A counter as it stood under a root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Counter {
    key: Vec<u8>,
    /// Creator and record: what is hashed.
    stored: Vec<u8>,
    proof: RecordProof,
}

/// All counters under a root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Counters {
    root: Hash,
    counters: Vec<Counter>,
}

/// The tree as this checkpoint leaves it.
struct Newest<'c> {
    view: &'c dyn CheckpointView,
    writes: &'c IndexWrites,
}

impl Nodes for Newest<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateFault> {
        match self.writes.get(&(Table::TreeNode, key.to_vec())) {
            Some(row) => Ok(row.clone()),
            None => self.view.previous(Table::TreeNode, key).map_err(|fault| StateFault::Read(Box::new(fault))),
        }
    }
}

fn read(row: Option<Vec<u8>>) -> Result<Vec<Counters>, StoreFault> {
    row.map_or(Ok(Vec::new()), |row| borsh::from_slice(&row).map_err(|error| damaged(&error)))
}

/// The row with the proofs under a new root; none while there is no counter.
pub(super) fn with(
    view: &dyn CheckpointView,
    version: u64,
    root: Hash,
    writes: &IndexWrites,
) -> Result<Option<Vec<u8>>, StoreFault> {
    let mut kept = read(view.previous(Table::TreeNode, KEY)?)?;
    let before = kept.first().map(|newest| newest.counters.as_slice()).unwrap_or_default();
    let mut records: BTreeMap<Vec<u8>, Vec<u8>> =
        before.iter().map(|counter| (counter.key.clone(), counter.stored.clone())).collect();
    let changed = view.frozen(Table::State).filter(|(key, _)| key.first() == Some(&(Kind::Counter as u8)));
    for (key, row) in changed {
        if let Some(row) = row {
            records.insert(key.to_vec(), list::record(row)?.to_vec());
        }
    }
    if records.is_empty() {
        return Ok(None);
    }
    let nodes = Newest { view, writes };
    let prove = |(key, stored): (Vec<u8>, Vec<u8>)| {
        let proof = tree::prove(&nodes, version, &StateKey::from_bytes(key.clone()), &stored);
        let proof = proof.map_err(|fault| damaged(&fault))?;
        let proof = proof.ok_or_else(|| damaged(&format!("no counter {}", key.escape_ascii())))?;
        Ok(Counter { key, stored, proof })
    };
    let counters = records.into_iter().map(prove).collect::<Result<_, StoreFault>>()?;
    kept.insert(0, Counters { root, counters });
    kept.truncate(ROOTS);
    Ok(Some(borsh::to_vec(&kept).expect("writing to a vector cannot fail")))
}

/// A counter as it stood under a root, which is one of the two newest, and the proof of that. None when there was none.
pub(crate) fn counter<S: Store + ?Sized>(
    store: &S,
    root: Hash,
    key: &StateKey,
) -> Result<Option<(Vec<u8>, RecordProof)>, StoreFault> {
    let kept = read(store.get(Table::TreeNode, KEY)?)?;
    let under = kept.into_iter().find(|counters| counters.root == root);
    let mut counters = under.map(|under| under.counters).unwrap_or_default().into_iter();
    let found = counters.find(|counter| counter.key == key.as_bytes());
    Ok(found.map(|Counter { stored, proof, .. }| (stored, proof)))
}

#[cfg(test)]
mod tests {
    use ledger::state::Writes;

    use super::super::tests::Chain;
    use super::*;

    fn records(of: impl IntoIterator<Item = (StateKey, u8)>) -> Writes {
        of.into_iter().map(|(key, value)| (key, vec![value; 40])).collect()
    }

    fn invoice(number: u32) -> StateKey {
        StateKey::invoice(&format!("144032609110-{number:08}").parse().unwrap())
    }

    #[test]
    fn counters_are_proved_under_the_two_newest_roots() {
        let (one, two) = (StateKey::counter("144032609110"), StateKey::counter("digital:26442"));
        let mut chain = Chain::default();
        chain.block(&records((0..50).map(|number| (invoice(number), 1))), &[]);
        let genesis = chain.checkpoint().0;
        assert_eq!(counter(&chain.store, genesis, &one).unwrap(), None);

        let proved = |chain: &Chain, root: Hash, key: &StateKey| {
            counter(&chain.store, root, key).unwrap().map(|(stored, proof)| {
                assert_eq!(proof.root(key, &stored), Some(root));
                stored[0]
            })
        };
        chain.block(&records([(one.clone(), 1)]), &[]);
        let first = chain.checkpoint().0;
        assert_eq!((proved(&chain, first, &one), proved(&chain, first, &two)), (Some(1), None));
        // Another counter comes, the first stays, and is proved beside new neighbours.
        chain.block(&records([(two.clone(), 2), (invoice(60), 1)]), &[]);
        let second = chain.checkpoint().0;
        assert_eq!((proved(&chain, second, &one), proved(&chain, second, &two)), (Some(1), Some(2)));
        assert_eq!(proved(&chain, first, &one), Some(1));
        // Nothing changes: both stay.
        chain.block(&Writes::new(), &[]);
        assert_eq!(chain.checkpoint().0, second);
        assert_eq!((proved(&chain, first, &one), proved(&chain, second, &two)), (Some(1), Some(2)));
        // No counter changes, but the tree does.
        chain.block(&records([(invoice(61), 1)]), &[]);
        let third = chain.checkpoint().0;
        assert_eq!((proved(&chain, third, &one), proved(&chain, second, &one)), (Some(1), Some(1)));
        assert_eq!(proved(&chain, first, &one), None);
    }
}
