//! Verification of a chain, block by block, as far as it goes without the rules of the ledger.
//!
//! Three levels, each including the ones before: *links* (what headers say about each other and
//! about their blocks), *certificates* (more than two thirds of the power in force decided each
//! block), *log* (the Merkle log, rebuilt from statements and outcomes). Replay, the deepest
//! level, is the ledger's: it pushes blocks here, and executes them itself.
//!
//! The verifier trusts the genesis it was given and nothing else. It never stops at the first
//! finding; it goes on from what a bad block claims, so that one bad block is one finding and not
//! a finding for every block after it.

mod archive;
mod entry;
mod report;
mod verifier;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::statement::Limits;

pub use archive::{ArchiveRun, verify_archive};
pub use entry::LogEntry;
pub use report::{FINDINGS_MAX, Finding, Report, Status};
pub use verifier::{Pushed, Verifier};

/// How deep to verify; each level includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Heights, parents, times, counts, roots and sizes.
    Links,
    /// Commit certificates.
    Certificates,
    /// The log, rebuilt from statements and outcomes.
    Log,
}

impl Level {
    /// Every level, the shallowest first.
    pub const ALL: [Level; 3] = [Self::Links, Self::Certificates, Self::Log];

    /// The level's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Certificates => "certificates",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that names no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of links, certificates, log")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(UnknownLevel)
    }
}

/// What the auditor knows from elsewhere, and the limits that hold.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The limits of statements.
    pub limits: Limits,
    /// The height that the chain must have reached; a lower tip means that the tail is cut off.
    pub at_least_height: Option<u64>,
    /// Log checkpoints that the chain must agree with, their signatures verified already.
    pub checkpoints: Vec<Checkpoint>,
}

#[cfg(test)]
mod tests;
