//! What a chain says about races, read with a rule of its own: one holder at a time, until its lease ends, and nobody
//! after a close. Knows nothing of the ledger's state.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use chain::archive::{ArchiveReader, Entry as Frame};
use chain::block::{BlockId, CommittedBlock, Leaf, Outcome};
use ledger::admission::Parsed;
use ledger::event::Event;
use ledger::outcome::{ACCEPTED, Record};
use ledger::refusal::Standing;

use super::platforms::{ALREADY_CLOSED, ALREADY_LOCKED, Answer, Standing as Seen, Told};
use crate::trial::Broken;

/// What became of a statement of one event.
struct Decided {
    code: String,
    height: u64,
    time_ms: i64,
    leaf_index: u64,
    leaf_hash: String,
    record: Record,
}

/// What there was to an invoice.
#[derive(Default)]
pub(super) struct History {
    /// Locks, accepted or not.
    pub(super) tries: u64,
    /// Locks that were accepted.
    pub(super) won: u64,
    /// Closes that were accepted.
    pub(super) closed: u64,
    /// Who has it, and the token.
    holder: Option<(Seen, u64)>,
}

/// A chain.
pub(super) struct Ledger {
    decided: BTreeMap<String, Decided>,
    /// What there was to every invoice that somebody tried to lock.
    pub(super) invoices: BTreeMap<String, History>,
    /// The ids of its blocks.
    pub(super) blocks: Vec<BlockId>,
    leaves: u64,
    losses: Vec<String>,
}

impl Ledger {
    /// Reads an archive.
    pub(super) fn read(path: &Path) -> Result<Self, Broken> {
        let (decided, invoices, blocks) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut ledger = Self { decided, invoices, blocks, leaves: 0, losses: Vec::new() };
        let mut reader = ArchiveReader::new(BufReader::new(File::open(path)?));
        while let Some(frame) = reader.next_frame()? {
            if let Frame::Block(block) = frame.entry {
                ledger.block(&block)?;
            }
        }
        Ok(ledger)
    }

    fn block(&mut self, block: &CommittedBlock) -> Result<(), Broken> {
        let header = &block.body.block.header;
        self.blocks.push(header.id());
        for (bytes, outcomes) in block.body.block.statements.iter().zip(&block.body.outcomes) {
            let parsed = Parsed::read(bytes).map_err(|rejection| format!("a statement of the chain: {rejection:?}"))?;
            let statement = parsed.statement();
            let id = statement.id().to_string();
            for (index, (event, outcome)) in parsed.events().iter().zip(outcomes).enumerate() {
                let event_hash = statement.event_hash(index).ok_or("an outcome without an event")?;
                let leaf = Leaf::new(statement.id(), u32::try_from(index)?, event_hash, outcome, header.height);
                let decided = Decided {
                    code: outcome.code.clone(),
                    height: header.height,
                    time_ms: header.time_ms,
                    leaf_index: self.leaves,
                    leaf_hash: leaf.hash().to_string(),
                    record: Record::decode(&outcome.record)?,
                };
                self.leaves += 1;
                self.event(statement.header().organisation.as_str(), event, outcome, &decided);
                if index == 0 && self.decided.insert(id.clone(), decided).is_some() {
                    self.losses.push(format!("{id} stands on the chain twice"));
                }
            }
        }
        Ok(())
    }

    /// Follows who holds what.
    fn event(&mut self, organisation: &str, event: &Event, outcome: &Outcome, decided: &Decided) {
        let (invoice, is_lock, token) = match event {
            Event::Lock(lock) => (lock.invoice.to_string(), true, 0),
            Event::Close(close) => (close.invoice.to_string(), false, close.token),
            _ => return,
        };
        let history = self.invoices.entry(invoice.clone()).or_default();
        let now_ms = decided.time_ms;
        let holder = history.holder.clone().filter(|(seen, _)| seen.until_ms.is_none_or(|until| now_ms < until));
        history.tries += u64::from(is_lock);
        let mut seen = Seen {
            holder: organisation.to_owned(),
            since_ms: now_ms,
            until_ms: None,
            leaf_hash: decided.leaf_hash.clone(),
        };
        let wrong = match (&decided.record, holder) {
            (Record::Locked { token, until_ms }, None) => {
                history.won += 1;
                seen.until_ms = Some(*until_ms);
                history.holder = Some((seen, *token));
                None
            }
            (Record::Closed { .. }, Some((held, own)))
                if held.holder == organisation && own == token && held.until_ms.is_some() =>
            {
                history.closed += 1;
                history.holder = Some((seen, own));
                None
            }
            (Record::Refused(refused), holder) => {
                let told = refused.standing.as_ref().map(seen_of);
                let others = matches!(outcome.code.as_str(), ALREADY_LOCKED | ALREADY_CLOSED);
                let expected = holder.map(|(held, _)| held).filter(|_| is_lock || others);
                (told != expected).then(|| format!("was refused for {told:?}, and {expected:?} stands in the way"))
            }
            (record, holder) => Some(format!("was answered {record:?} while {holder:?} had it")),
        };
        self.losses.extend(wrong.map(|wrong| format!("{invoice}: {organisation} {wrong}")));
    }

    /// Whether a statement stands on the chain.
    pub(super) fn holds(&self, statement: &str) -> bool {
        self.decided.contains_key(statement)
    }

    /// Everything about the chain itself, and about what was told, that is not as it must be.
    pub(super) fn check(&self, told: &[Told]) -> Vec<String> {
        let mut losses = self.losses.clone();
        for told in told {
            let Some(decided) = self.decided.get(&told.statement) else {
                losses.push(format!("{} was answered and is not on the chain", told.statement));
                continue;
            };
            let same = match (&told.answer, &decided.record) {
                (Answer::Accepted(accepted), record) => {
                    let lease = match record {
                        Record::Locked { token, until_ms } => Some((*token, *until_ms)),
                        _ => None,
                    };
                    decided.code == ACCEPTED
                        && (accepted.height, accepted.time_ms) == (decided.height, decided.time_ms)
                        && (accepted.leaf_index, &accepted.leaf_hash) == (decided.leaf_index, &decided.leaf_hash)
                        && accepted.lease == lease
                }
                (Answer::Refused(code, standing), Record::Refused(refused)) => {
                    *code == decided.code && *standing == refused.standing.as_ref().map(seen_of)
                }
                (Answer::Refused(..), _) => false,
            };
            if !same {
                let Decided { code, height, leaf_index, record, .. } = decided;
                let chain = format!("{code} at height {height}, leaf {leaf_index}: {record:?}");
                losses.push(format!("{} was told {:?}; the chain says {chain}", told.statement, told.answer));
            }
        }
        losses
    }
}

fn seen_of(standing: &Standing) -> Seen {
    Seen {
        holder: standing.organisation.to_string(),
        since_ms: standing.since_ms,
        until_ms: standing.until_ms,
        leaf_hash: standing.leaf.hash.to_string(),
    }
}
