//! Proposing: a block from what waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chain::block::statement_hash;
use chain::hash::{Hash, StatementId};
use chain::key::PublicKey;
use chain::merkle;
use ledger::admission::{Court, Parsed, Verdict};
use ledger::execute::Executor;

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
                // The executor is of no use after that; begin again without the statement.
                Err(Unexecutable { id, why }) => {
                    tracing::error!(statement = %id, why, "a statement cannot be executed; quarantined");
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
    ) -> Result<Result<Checked, Unexecutable>, Fault> {
        let place = self.place(now_ms.max(self.tip.progress.time_ms + 1))?;
        let limits = &self.tip.parameters().limits;
        let bytes_max = usize::try_from(limits.block_bytes_max).unwrap_or(usize::MAX);
        let view = StoreView(&*self.store);
        let mut court = self.court(&view, place.time_ms)?;
        let mut executor = Executor::new(&view, self.context(&place)?)?;
        let mut chosen = Vec::new();
        for entry in mempool.candidates(bytes_max, limits.block_work_max) {
            let id = entry.parsed.statement().id();
            if dropped.iter().any(|(gone, _)| *gone == id) {
                continue;
            }
            // One statement must not end every validator again and again: a panic is caught, and sums that leave their
            // range are as much a mistake of the rules that it has found.
            let taken = catch_unwind(AssertUnwindSafe(|| take(&court, &mut executor, &entry)));
            match taken {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(reason))) => {
                    dropped.push((id, reason));
                    continue;
                }
                Ok(Err(fault)) => {
                    let why = fault.of_sums().ok_or(fault)?;
                    return Ok(Err(Unexecutable { id, why }));
                }
                Err(_) => return Ok(Err(Unexecutable { id, why: "a panic".to_owned() })),
            }
            court.take(&entry.parsed);
            chosen.push(entry);
        }
        let executed = executor.finish();
        let parsed: Vec<&Parsed> = chosen.iter().map(|entry: &Arc<Entry>| &entry.parsed).collect();
        let hashes: Vec<Hash> = parsed.iter().map(|parsed| statement_hash(parsed.statement().bytes())).collect();
        let checked = self.assemble(&place, proposer, &parsed, merkle::root(&hashes), executed);
        let height = place.height;
        let shape = checked.body.block.check_shape_by(&hashes).and_then(|()| checked.body.check_outcomes());
        shape.map_err(|error| Fault::Ledger { height, what: error.to_string() })?;
        Ok(Ok(checked))
    }
}

/// The rules break on a statement.
struct Unexecutable {
    id: StatementId,
    why: String,
}

/// Judges a waiting statement at the block's time and executes it, or says why it is dropped.
fn take(court: &Court<'_>, executor: &mut Executor<'_>, entry: &Entry) -> Result<Option<Dropped>, Fault> {
    match court.judge(&entry.parsed, Some(&entry.verified))? {
        Verdict::Admitted(_) => {
            executor.execute(&entry.parsed)?;
            Ok(None)
        }
        Verdict::Repeated(nonce) => Ok(Some(Dropped::Repeated(nonce.statement))),
        Verdict::Rejected(rejection) => Ok(Some(Dropped::Rejected(rejection))),
    }
}
