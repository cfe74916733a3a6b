//! What can be set.

use std::time::Duration;

use arc_malachitebft_core_types::LinearTimeouts;

/// How long rounds wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the block of the round's proposer.
    pub propose: Duration,
    /// For the block of one that brought none in its last turn, and for the rest of the precommits then.
    pub missed: Duration,
    /// For the rest of the prevotes, when more than two thirds do not agree.
    pub prevote: Duration,
    /// For the rest of the precommits, likewise.
    pub precommit: Duration,
    /// How much longer each wait is in every further round.
    pub more_each_round: Duration,
    /// The longest that any of them becomes.
    pub max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            propose: Duration::from_millis(1_500),
            missed: Duration::from_millis(200),
            prevote: Duration::from_millis(500),
            precommit: Duration::from_millis(500),
            more_each_round: Duration::from_millis(500),
            max: Duration::from_secs(30),
        }
    }
}

impl From<&Timeouts> for LinearTimeouts {
    fn from(timeouts: &Timeouts) -> Self {
        let Timeouts { propose, missed: _, prevote, precommit, more_each_round, max } = *timeouts;
        Self {
            propose,
            propose_delta: more_each_round,
            prevote,
            prevote_delta: more_each_round,
            precommit,
            precommit_delta: more_each_round,
            rebroadcast: propose + prevote + precommit,
            max_timeout: max,
        }
    }
}

/// How consensus is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's name in the log.
    pub name: String,
    /// How long rounds wait.
    pub timeouts: Timeouts,
    /// The shortest time from one height to the next while statements wait: blocks are filled meanwhile.
    pub interval: Duration,
    /// How often peers are told how far this node has come.
    pub status_every: Duration,
    /// How long an answer with blocks is waited for.
    pub blocks_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "node".to_owned(),
            timeouts: Timeouts::default(),
            interval: Duration::from_millis(50),
            status_every: Duration::from_secs(1),
            blocks_timeout: Duration::from_secs(5),
        }
    }
}
