//! A simulation: real nodes on Malachite's sans-IO core, under a virtual clock, network and disks. One seed, one history.
//!
//! Everything runs on one thread. The seed decides what goes wrong and when (`faults`), how long every frame and every
//! answer takes, and what clients do; then everything is healed, and what must hold is checked (`checker`).

mod checker;
mod clients;
mod disk;
mod faults;
mod history;
mod machine;
mod traitor;
mod wires;
mod world;

use std::collections::BTreeMap;

pub use faults::Sabotage;
use world::World;

/// What is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Faults beyond what the seed brings.
    pub sabotage: Sabotage,
    /// Whether the lines of the history are kept.
    pub keep_history: bool,
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What did not hold. Nothing is the only good answer.
    pub wrong: Vec<String>,
    /// The hash of the history.
    pub digest: u64,
    /// The history, as far as it was asked for.
    pub history: Vec<String>,
    /// The blocks that were decided.
    pub heights: u64,
    /// The statements that clients were told to be final.
    pub acknowledged: usize,
    /// Simulated time, seconds.
    pub seconds: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

/// Runs a seed.
pub fn run(seed: u64, options: Options) -> Run {
    World::new(seed, options).run()
}
