//! How far the published state checkpoint reaches: heartbeats come sooner while it does not reach the end.

use replica::index::Progress;
use replica::port::Store;
use replica::query::Query;
use replica::replica::Fault;

/// What the published state checkpoint covers, as far as it was asked; at first nothing.
pub(crate) struct Coverage<S: Store> {
    query: Query<S>,
    height: u64,
    log_size: u64,
}

impl<S: Store> Coverage<S> {
    /// Reads on a replica.
    pub(crate) fn new(query: Query<S>) -> Self {
        Self { query, height: 0, log_size: 0 }
    }

    /// Whether events are on the ledger that no published state checkpoint covers yet.
    pub(crate) fn is_short_of(&mut self, progress: &Progress) -> Result<bool, Fault> {
        let height = progress.state_checkpoint.height;
        // Asked after every block, and the answer changes only with the checkpoint.
        if self.height != height {
            let log_size = self.query.block(height)?.map_or(0, |block| block.header.log_size);
            (self.height, self.log_size) = (height, log_size);
        }
        Ok(progress.log_size > self.log_size)
    }
}
