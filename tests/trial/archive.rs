//! An exported chain, held against what clients were told.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use chain::archive::{ArchiveReader, Entry};
use chain::block::{BlockId, CommittedBlock, Leaf};
use chain::statement::{Limits, Statement};
use serde_json::Value;

use super::Broken;
use super::load::Acknowledged;

struct Decided {
    height: u64,
    first_leaf: u64,
    codes: Vec<String>,
    hashes: Vec<String>,
}

/// The statements of an exported chain.
pub struct Chain {
    statements: BTreeMap<String, Decided>,
    references: BTreeMap<String, u32>,
    /// The height of its last block.
    pub tip: u64,
    /// The leaves of its log.
    pub leaves: u64,
    /// The ids of its blocks, from height 1 on.
    pub blocks: Vec<BlockId>,
    /// How many locks were accepted.
    pub locks: u64,
    /// What is locked or closed: who did it last.
    held: BTreeMap<String, String>,
    losses: Vec<String>,
}

impl Chain {
    /// Reads an archive.
    pub fn read(path: &Path) -> Result<Self, Broken> {
        let mut chain = Self {
            statements: BTreeMap::new(),
            references: BTreeMap::new(),
            tip: 0,
            leaves: 0,
            blocks: Vec::new(),
            locks: 0,
            held: BTreeMap::new(),
            losses: Vec::new(),
        };
        let mut reader = ArchiveReader::new(BufReader::new(File::open(path)?));
        while let Some(frame) = reader.next_frame()? {
            if let Entry::Block(block) = frame.entry {
                chain.block(&block)?;
            }
        }
        Ok(chain)
    }

    fn block(&mut self, block: &CommittedBlock) -> Result<(), Broken> {
        let height = block.body.block.header.height;
        self.tip = height;
        self.blocks.push(block.body.block.header.id());
        for (bytes, outcomes) in block.body.block.statements.iter().zip(&block.body.outcomes) {
            let statement = Statement::parse(bytes.clone(), &Limits::default())?;
            let id = statement.id().to_string();
            let mut decided = Decided { height, first_leaf: self.leaves, codes: Vec::new(), hashes: Vec::new() };
            for (index, outcome) in outcomes.iter().enumerate() {
                let event_hash = statement.event_hash(index).ok_or("an outcome without an event")?;
                let leaf = Leaf::new(statement.id(), u32::try_from(index)?, event_hash, outcome, height);
                decided.codes.push(outcome.code.clone());
                decided.hashes.push(leaf.hash().to_string());
            }
            self.leaves += outcomes.len() as u64;
            let payload = bytes.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
            let payload: Value = serde_json::from_slice(&chain::encoding::decode_base64url(payload)?)?;
            for (event, code) in payload["events"].as_array().into_iter().flatten().zip(&decided.codes) {
                let document = &event["issue"]["document"];
                if let (Some(reference), "accepted") = (document["reference"].as_str(), code.as_str()) {
                    let seller = document["seller"]["taxpayer_id"].as_str().unwrap_or_default();
                    *self.references.entry(format!("{seller}/{reference}")).or_default() += 1;
                }
                if code == "accepted" {
                    self.held(&id, event);
                }
            }
            if let Some(first) = self.statements.insert(id.clone(), decided) {
                self.losses.push(format!("{id} stands on the chain twice, first at height {}", first.height));
            }
        }
        Ok(())
    }

    /// Follows who holds an invoice, without the ledger's own rule: one at a time, and nobody after it is closed.
    fn held(&mut self, id: &str, event: &Value) {
        if let Some(invoice) = event["lock"]["invoice"].as_str() {
            self.locks += 1;
            if let Some(holder) = self.held.insert(invoice.to_owned(), id.to_owned()) {
                self.losses.push(format!("{invoice} was locked by {id} while {holder} held it"));
            }
        }
        if let Some(invoice) = event["unlock"]["invoice"].as_str() {
            self.held.remove(invoice);
        }
    }

    /// Where another chain differs from this one, if it does: in a block that both have.
    pub fn fork(&self, other: &Self) -> Option<String> {
        let differ = self.blocks.iter().zip(&other.blocks).position(|(one, other)| one != other)?;
        Some(format!("at height {} one has {} and the other {}", differ + 1, self.blocks[differ], other.blocks[differ]))
    }

    /// What of the chain is not as it was acknowledged, or stands on it twice.
    pub fn check<'a>(&self, acknowledged: impl IntoIterator<Item = &'a Acknowledged>) -> Vec<String> {
        let mut losses = self.losses.clone();
        let twice = self.references.iter().filter(|(_, count)| **count > 1);
        losses.extend(twice.map(|(reference, count)| format!("{reference} was issued {count} times")));
        for told in acknowledged {
            let Some(decided) = self.statements.get(&told.id) else {
                losses.push(format!("{} was acknowledged and is not on the chain", told.id));
                continue;
            };
            if decided.codes.first() != Some(&told.code) {
                losses.push(format!("{} was told {}, the chain says {:?}", told.id, told.code, decided.codes));
            }
            let view = told.view();
            let outcomes = view["outcomes"].as_array().map(Vec::as_slice).unwrap_or_default();
            for (index, outcome) in outcomes.iter().enumerate() {
                let leaf = decided.first_leaf + index as u64;
                let same = outcome["leaf_index"] == leaf
                    && outcome["leaf_hash"].as_str() == decided.hashes.get(index).map(String::as_str)
                    && view["height"] == decided.height;
                if !same {
                    let height = decided.height;
                    losses.push(format!("{} was told {outcome}, the chain has leaf {leaf} at {height}", told.id));
                }
            }
        }
        losses
    }
}
