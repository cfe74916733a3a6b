//! What the benches share: a node on a store in memory, and statements for it. Speed is measured
//! here and never asserted; the machine is shared, so compare ratios.

use std::sync::Arc;

use chain::statement::Mode;
use replica::memory::MemoryStore;
use tests::consortium::{Node, genesis};
use tests::events::issue;

/// A node at genesis.
pub fn node() -> Node<MemoryStore> {
    Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()))
}

/// So many statements of so many issues each, every reference once.
pub fn statements(node: &mut Node<MemoryStore>, statements: usize, events: usize) -> Vec<Vec<u8>> {
    (0..statements)
        .map(|statement| {
            let events: Vec<_> = (0..events).map(|event| issue(&format!("{statement}-{event}"))).collect();
            node.statement("shop", Mode::Each, &events)
        })
        .collect()
}
