//! The state of a replay, in memory: records, live nonces, and the nodes of the state tree.

use std::collections::{BTreeMap, BTreeSet};

use chain::hash::Hash;
use chain::identity::OrganisationId;
use chain::statement::Statement;

use crate::state::{Fault, Nonce, StateKey, View, Writes};
use crate::tree::{self, Nodes};

/// State, nonces and tree.
#[derive(Default)]
pub(super) struct Memory {
    state: Writes,
    nonces: BTreeMap<(OrganisationId, String), Nonce>,
    expiry: BTreeSet<(i64, OrganisationId, String)>,
    nodes: TreeNodes,
    /// The tree's newest version and root.
    tree: Option<(u64, Hash)>,
    /// Records changed since the newest version.
    changed: BTreeSet<StateKey>,
}

#[derive(Default)]
struct TreeNodes(BTreeMap<Vec<u8>, Vec<u8>>);

impl Nodes for TreeNodes {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(key).cloned())
    }
}

impl View for Memory {
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.state.get(key).cloned())
    }

    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault> {
        Ok(self.nonces.get(&(organisation.clone(), nonce.to_owned())).cloned())
    }
}

impl Memory {
    /// Every record, in order of keys.
    pub(super) const fn records(&self) -> &Writes {
        &self.state
    }

    /// Applies the writes of a block.
    pub(super) fn write(&mut self, writes: Writes) {
        self.changed.extend(writes.keys().cloned());
        self.state.extend(writes);
    }

    /// Computes the root of the state as it stands. Nodes of older versions are forgotten.
    pub(super) fn checkpoint(&mut self) -> Result<Hash, Fault> {
        let changed = std::mem::take(&mut self.changed);
        let version = match self.tree {
            Some((_, root)) if changed.is_empty() => return Ok(root),
            Some((version, _)) => version + 1,
            None => 0,
        };
        let state = &self.state;
        let changes = changed.iter().filter_map(|key| Some((key, state.get(key)?.as_slice())));
        let update = tree::update(&self.nodes, version, changes)?;
        self.nodes.0.extend(update.nodes);
        for stale in &update.stale {
            self.nodes.0.remove(stale);
        }
        self.tree = Some((version, update.root));
        Ok(update.root)
    }

    /// Forgets nonces that are no longer live at a time.
    pub(super) fn forget_nonces(&mut self, time_ms: i64) {
        while let Some((end, ..)) = self.expiry.first()
            && *end < time_ms
        {
            if let Some((_, organisation, nonce)) = self.expiry.pop_first() {
                self.nonces.remove(&(organisation, nonce));
            }
        }
    }

    /// Records a statement's nonce as used.
    pub(super) fn use_nonce(&mut self, statement: &Statement, live_until_ms: i64) {
        let header = statement.header();
        let (organisation, nonce) = (header.organisation.clone(), header.nonce.to_string());
        self.expiry.insert((live_until_ms, organisation.clone(), nonce.clone()));
        let used = Nonce { statement: statement.id(), payload_hash: statement.payload_hash(), live_until_ms };
        self.nonces.insert((organisation, nonce), used);
    }
}
