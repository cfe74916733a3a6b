//! Blocks that others decided: taken from peers, and given to them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arc_malachitebft_app_channel::Reply;
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_core_types::{Round, Validity};
use arc_malachitebft_engine::host::{ProposedValue, SyncedValueOutcome};
use bytes::Bytes;
use chain::block::{Block, Body};
use chain::certificate::CommitCertificate;
use replica::port::{Store, StoreFault};
use replica::replica::{Check, Fault};
use wire::peer::{BLOCKS_BYTES_MAX, BLOCKS_MAX, DecidedBlock};

use super::{App, Room};
use crate::codec::decided_in;
use crate::context::{Address, Context, Height, Value};
use crate::host::Host;

impl<S: Store, H: Host> App<S, H> {
    /// A block that a peer says was decided. It is checked like any other, and its certificate first.
    ///
    /// A block that is certified and not what this node computes is our fault: the node stops and blames nobody.
    pub(super) fn synced(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        bytes: &Bytes,
    ) -> Result<SyncedValueOutcome<Context>, Fault> {
        let Ok(decided) = wire::decode::<DecidedBlock>(bytes) else { return Ok(SyncedValueOutcome::PeerFault) };
        let Ok(block) = Block::decode(&decided.block) else { return Ok(SyncedValueOutcome::PeerFault) };
        if block.header.height != height.0 {
            return Ok(SyncedValueOutcome::PeerFault);
        }
        if height.0 != self.next_height() {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        // The certificate speaks of the header alone, and for the chain that the header names. Whatever else is in the
        // block is the peer's word until it fits that header: only then is a difference to what we compute ours.
        let header = &block.header;
        let ours = header.chain == *self.replica.chain() && header.suite == self.suite;
        let certified = decided.certificate.verify_header(header, &self.replica.tip().validators).is_ok();
        if !ours || !certified || block.check_shape().is_err() {
            return Ok(SyncedValueOutcome::PeerFault);
        }
        let checked = self.with_room(|app| app.replica.check(&block, None, &app.mempool))?;
        match checked {
            Room::Done(Check::Valid) => {
                self.work.synced = true;
                Ok(SyncedValueOutcome::Verdict(ProposedValue {
                    height,
                    round,
                    valid_round: Round::Nil,
                    proposer,
                    value: Value(block.header.id()),
                    validity: Validity::Valid,
                }))
            }
            Room::Done(Check::Invalid(invalid)) => Err(Fault::Diverged {
                height: height.0,
                what: invalid.what,
                ours: invalid.expected,
                decided: invalid.found,
            }),
            Room::Done(Check::Committed | Check::Ahead) | Room::None => Ok(SyncedValueOutcome::LocalTransientError),
        }
    }

    /// Gives decided blocks to a peer, as many as fit into one answer. Read beside the application's thread.
    pub(super) fn serve(&self, range: &RangeInclusive<Height>, reply: Reply<Vec<RawDecidedValue<Context>>>) {
        let (first, last) = (range.start().0, range.end().0);
        let store = Arc::clone(self.replica.store());
        let read = move || {
            let mut values = Vec::new();
            let mut bytes = 0;
            for height in (first..=last).take(BLOCKS_MAX) {
                let decided = match decided_block(&*store, height) {
                    Ok(Some(decided)) => decided,
                    Ok(None) => break,
                    // The thread that commits meets it too, and stops the node; here it is only an answer less.
                    Err(fault) => {
                        tracing::error!(height, %fault, "a decided block cannot be read");
                        break;
                    }
                };
                bytes += decided.block.len();
                if bytes > BLOCKS_BYTES_MAX && !values.is_empty() {
                    break;
                }
                values.push(decided_in(&decided));
            }
            drop(reply.send(values));
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn_blocking(read)),
            None => read(),
        }
    }
}

/// A decided block with its certificate.
fn decided_block<S: Store>(store: &S, height: u64) -> Result<Option<DecidedBlock>, Fault> {
    let damaged = |what: String| Fault::Ledger { height, what };
    let Some(decided) = store.decided(height)? else { return Ok(None) };
    let body = store.body(&decided.id)?.ok_or_else(|| damaged(format!("the body of {} is gone", decided.id)))?;
    let body = Body::decode(&body).map_err(|error| damaged(error.to_string()))?;
    let certificate = CommitCertificate::decode(&decided.certificate).map_err(|error| damaged(error.to_string()))?;
    if body.header().id() != decided.id {
        return Err(StoreFault::Damaged {
            place: format!("the body of the block at height {height}"),
            expected: decided.id.to_string(),
            found: body.header().id().to_string(),
        }
        .into());
    }
    Ok(Some(DecidedBlock { block: body.block.encode(), certificate }))
}
