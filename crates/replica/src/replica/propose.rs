//! Proposing: a block from what waits.

use std::sync::Arc;

use chain::hash::StatementId;
use chain::key::PublicKey;
use ledger::admission::{Court, Parsed, Verdict};
use ledger::execute::Executor;

use super::execution::{Panicked, execute};
use super::{Checked, Dropped, Fault, Proposal, Replica};
use crate::mempool::{Entry, Mempool};
use crate::port::Store;
use crate::view::StoreView;

impl<S: Store> Replica<S> {
    /// Builds a block on the tip from what waits, at the given time (ms UTC) or just after the parent.
    ///
    /// Deterministic but for the mempool. The body is durable when this returns.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn propose(&mut self, now_ms: i64, proposer: &PublicKey, mempool: &Mempool) -> Result<Proposal, Fault> {
        let mut dropped = Vec::new();
        loop {
            match self.build(now_ms, proposer, mempool, &mut dropped)? {
                Ok(checked) => {
                    let block = checked.body.block.clone();
                    self.keep(checked)?;
                    mempool.remove(dropped.iter().map(|(id, _)| id));
                    return Ok(Proposal { block, dropped });
                }
                // The executor is of no use after a panic; begin again without the statement.
                Err(Panicked(id)) => {
                    tracing::error!(statement = %id, "executing a statement panicked; quarantined");
                    mempool.quarantine(id);
                    dropped.push((id, Dropped::Quarantined));
                }
            }
        }
    }

    fn build(
        &self,
        now_ms: i64,
        proposer: &PublicKey,
        mempool: &Mempool,
        dropped: &mut Vec<(StatementId, Dropped)>,
    ) -> Result<Result<Checked, Panicked>, Fault> {
        let place = self.place(now_ms.max(self.tip.progress.time_ms + 1))?;
        let limits = &self.tip.parameters.limits;
        let bytes_max = usize::try_from(limits.block_bytes_max).unwrap_or(usize::MAX);
        let view = StoreView(&*self.store);
        let mut court = Court::sit(&view, self.chain.clone(), place.time_ms)?;
        let mut executor = Executor::new(&view, self.context(&place)?)?;
        let mut chosen = Vec::new();
        for entry in mempool.candidates(bytes_max, limits.block_work_max) {
            let id = entry.parsed.statement().id();
            if dropped.iter().any(|(gone, _)| *gone == id) {
                continue;
            }
            match court.judge(&entry.parsed, Some(&entry.verified))? {
                Verdict::Admitted(_) => {}
                Verdict::Repeated(nonce) => {
                    dropped.push((id, Dropped::Repeated(nonce.statement)));
                    continue;
                }
                Verdict::Rejected(rejection) => {
                    dropped.push((id, Dropped::Rejected(rejection)));
                    continue;
                }
            }
            if let Err(panicked) = execute(&mut executor, &entry.parsed)? {
                return Ok(Err(panicked));
            }
            court.take(&entry.parsed);
            chosen.push(entry);
        }
        let executed = executor.finish();
        let parsed: Vec<&Parsed> = chosen.iter().map(|entry: &Arc<Entry>| &entry.parsed).collect();
        Ok(Ok(self.assemble(&place, proposer, &parsed, executed)))
    }
}
