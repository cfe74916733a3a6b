//! What must hold, whatever goes wrong.

use std::collections::BTreeMap;

use chain::block::{BlockId, CommittedBlock};
use chain::genesis::Genesis;
use chain::hash::StatementId;
use replica::port::Store as _;
use replica::replica::Committed;

use super::machine::{Machine, chain_of};
use crate::chains;
use crate::consortium::statement_id;

/// Holds what nodes say against each other.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// The block of each height, and who said so first.
    chain: BTreeMap<u64, (BlockId, usize)>,
    /// What clients were told to be final, at which height and by whom.
    acknowledged: BTreeMap<StatementId, (u64, usize)>,
    /// How far each node said it is.
    said: BTreeMap<usize, u64>,
    /// What does not hold.
    pub(super) wrong: Vec<String>,
}

impl Checker {
    fn wrong(&mut self, what: String) {
        // The first few say what happened; a fork makes everything after it wrong too.
        if self.wrong.len() < 12 {
            self.wrong.push(what);
        }
    }

    /// An honest node has committed a block.
    pub(super) fn committed(&mut self, place: usize, committed: &Committed) {
        let Committed { height, id, .. } = committed;
        let (first, by) = *self.chain.entry(*height).or_insert((*id, place));
        if first != *id {
            self.wrong(format!("FORK at height {height}: node {by} has {first}, node {place} has {id}"));
        }
        let before = self.said.insert(place, *height).unwrap_or(0);
        if before + 1 != *height {
            self.wrong(format!("node {place} committed height {height} after height {before}"));
        }
    }

    /// A client was told that a statement is final.
    pub(super) fn acknowledged(&mut self, id: StatementId, height: u64, place: usize) {
        let (first, by) = *self.acknowledged.entry(id).or_insert((height, place));
        if first != height {
            self.wrong(format!("{id} is final at height {first} by node {by}, at height {height} by node {place}"));
        }
    }

    /// A node starts again: what it said is still there, unless its disk was taken away.
    pub(super) fn restarted(&mut self, place: usize, height: u64, empty: bool) {
        let said = self.said.get(&place).copied().unwrap_or(0);
        if height < said && !empty {
            self.wrong(format!("LOSS: node {place} had committed height {said}, and starts again with {height}"));
        }
        self.said.insert(place, height);
    }

    /// The height that some node has reached.
    pub(super) fn height(&self) -> u64 {
        self.chain.last_key_value().map_or(0, |(height, _)| *height)
    }

    /// How many statements were told to be final.
    pub(super) fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// Holds the chains of all honest nodes against each other and against what was said of them. One of them is read and
    /// verified in full: the others have the same blocks by then, or something is wrong anyway.
    pub(super) fn check(&mut self, genesis: &Genesis, machines: &[&Machine], sample: usize) {
        let mut first: Option<(usize, Vec<BlockId>, String)> = None;
        for machine in machines {
            let (place, state) = (machine.place, state(machine));
            let ids = match ids(machine) {
                Ok(ids) => ids,
                Err(what) => {
                    self.wrong(format!("the chain of node {place} cannot be read: {what}"));
                    continue;
                }
            };
            let Some((other, others, others_state)) = &first else {
                first = Some((place, ids, state));
                continue;
            };
            if *others != ids {
                let what = format!("nodes {other} and {place} have chains of {} and {}", others.len(), ids.len());
                self.wrong(format!("FORK or lag at the end: {what} blocks"));
            } else if *others_state != state {
                self.wrong(format!("nodes {other} and {place} differ in state: {others_state}, {state}"));
            }
        }
        let sample = machines[sample % machines.len()];
        match blocks(sample) {
            Ok(blocks) => {
                self.check_statements(sample.place, &blocks);
                // No lease ends within a simulation, and nothing is unlocked in it.
                for what in chains::double_locks(&blocks) {
                    self.wrong(format!("node {}: {what}", sample.place));
                }
                if let Err(what) = chains::verify(genesis, &blocks) {
                    self.wrong(format!("the archive of node {} does not verify: {what}", sample.place));
                }
            }
            Err(what) => self.wrong(format!("the chain of node {} cannot be read: {what}", sample.place)),
        }
    }

    fn check_statements(&mut self, place: usize, blocks: &[CommittedBlock]) {
        let mut found = BTreeMap::new();
        for block in blocks {
            let height = block.body.header().height;
            for bytes in &block.body.block.statements {
                let id = statement_id(bytes);
                if let Some(before) = found.insert(id, height) {
                    self.wrong(format!("node {place} has {id} twice, at heights {before} and {height}"));
                }
            }
        }
        for (id, (height, by)) in self.acknowledged.clone() {
            if found.get(&id) != Some(&height) {
                let what = found.get(&id).map_or("not at all".to_owned(), |found| format!("at height {found}"));
                self.wrong(format!(
                    "LOSS: node {by} said {id} is final at height {height}; node {place} has it {what}"
                ));
            }
        }
    }
}

fn ids(machine: &Machine) -> Result<Vec<BlockId>, String> {
    let query = machine.query().ok_or("it does not run")?;
    let mut ids = Vec::new();
    for height in 1..=query.tip().progress.height {
        let id = query.block_id(height).map_err(|fault| chain_of(&fault))?;
        ids.push(id.ok_or_else(|| format!("there is no block at height {height}"))?);
    }
    Ok(ids)
}

fn blocks(machine: &Machine) -> Result<Vec<CommittedBlock>, String> {
    let query = machine.query().ok_or("it does not run")?;
    let mut blocks = Vec::new();
    for height in 1..=query.tip().progress.height {
        let block = query.committed_block(height).map_err(|fault| chain_of(&fault))?;
        blocks.push(block.ok_or_else(|| format!("there is no block at height {height}"))?);
    }
    Ok(blocks)
}

/// The state as a node has it: the log, the root of the newest state checkpoint, and everything else the tip says.
fn state(machine: &Machine) -> String {
    let Some(query) = machine.query() else { return "it does not run".to_owned() };
    let (tip, computed) = (query.tip(), query.store().index_tip());
    let checkpoint = computed.ok().flatten().map(|tip| tip.checkpoint);
    format!("{:?}", (&tip.progress, &tip.validators, tip.parameters(), checkpoint))
}
