//! What the benches share: a node on a store in memory, and statements for it. Speed is measured
//! here and never asserted; the machine is shared, so compare ratios.

pub mod pages;

use std::sync::Arc;

use chain::statement::Mode;
use ledger::parallel::Workers;
use rayon::prelude::*;
use replica::memory::MemoryStore;
use replica::port::Store;
use tests::consortium::{Node, genesis};
use tests::events::issue;

/// A node at genesis.
pub fn node() -> Node<MemoryStore> {
    Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()))
}

/// So many statements of so many issues each, every reference once.
pub fn statements<S: Store>(node: &mut Node<S>, statements: usize, events: usize) -> Vec<Vec<u8>> {
    (0..statements)
        .map(|statement| {
            let events: Vec<_> = (0..events).map(|event| issue(&format!("{statement}-{event}"))).collect();
            node.statement("shop", Mode::Each, &events)
        })
        .collect()
}

/// All cores of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Cores;

impl Workers for Cores {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).into_par_iter().for_each(job);
    }

    fn both(&self, one: &mut (dyn FnMut() + Send), other: &mut (dyn FnMut() + Send)) {
        rayon::join(one, other);
    }
}
