//! What makes the blocks of a node: its own driver on a chain of one, or consensus with others.

use std::sync::{Arc, OnceLock};

use consensus::Consensus;

use crate::driver::Wake;

/// Wakes and stops whatever makes the blocks.
#[derive(Debug)]
pub(crate) enum Motor {
    /// The driver of a node that validates alone.
    Alone(Arc<Wake>),
    /// Consensus, once it runs. What happens before it sees by itself.
    Together(OnceLock<Arc<Consensus>>),
}

impl Motor {
    fn each(&self, alone: impl FnOnce(&Wake), together: impl FnOnce(&Consensus)) {
        match self {
            Self::Alone(wake) => alone(wake),
            Self::Together(consensus) => {
                if let Some(consensus) = consensus.get() {
                    together(consensus);
                }
            }
        }
    }

    /// Says that a statement waits.
    pub(crate) fn work(&self) {
        self.each(Wake::work, Consensus::work);
    }

    /// Asks for a block now, even an empty one.
    pub(crate) fn beat(&self) {
        self.each(Wake::beat, Consensus::beat);
    }

    /// Says that it is time to stop.
    pub(crate) fn stop(&self) {
        self.each(Wake::stop, Consensus::stop);
    }
}

impl api::Sharing for Motor {
    fn share(&self, statement: &[u8]) {
        self.each(|_| {}, |consensus| consensus.share(statement.to_vec()));
    }
}
