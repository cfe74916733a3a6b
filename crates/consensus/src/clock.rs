//! How much time has passed: by the machine's clock, or by a simulation's.

use std::time::Instant;

use crate::simulation::Time;

/// What says how much time has passed.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The machine.
    Machine,
    /// A simulation, which lets time pass as it likes.
    Simulated(Time),
}

impl Clock {
    /// Now.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Machine => Instant::now(),
            Self::Simulated(time) => time.instant(),
        }
    }
}
