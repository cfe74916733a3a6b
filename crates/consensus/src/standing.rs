//! How consensus stands, for those who ask.

use std::time::Instant;

use arc_malachitebft_core_types::Round;
use wire::peer::KeyBytes;

use crate::context::Address;

/// How consensus stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The newest block.
    pub tip_height: u64,
    /// The height that is worked on, or was last.
    pub height: u64,
    /// Its round.
    pub round: u32,
    /// The consensus key of who proposes in it, as far as it has begun.
    pub proposer: Option<KeyBytes>,
    /// Whether it is being worked on: else nothing waits.
    pub deciding: bool,
    /// Since when it is so.
    pub since: Instant,
}

impl Standing {
    pub(crate) fn new(tip_height: u64) -> Self {
        Self { tip_height, height: tip_height, round: 0, proposer: None, deciding: false, since: Instant::now() }
    }

    pub(crate) fn started(&mut self, height: u64) {
        let tip_height = self.tip_height;
        *self = Self { tip_height, height, round: 0, proposer: None, deciding: true, since: Instant::now() };
    }

    pub(crate) fn round(&mut self, height: u64, round: Round, proposer: Address) {
        self.height = height;
        self.round = round.as_u32().unwrap_or(0);
        self.proposer = Some(proposer.0);
    }

    pub(crate) fn decided(&mut self, height: u64) {
        self.tip_height = height;
        self.deciding = false;
        self.since = Instant::now();
    }
}
