//! Replay of an archive, on top of the lighter levels.

use std::io::{self, Read};

use chain::genesis::Genesis;
use chain::verify::{Finding, Level, Options, Report, Verifier};
use serde::Serialize;

use super::{ReplayError, ReplaySummary, Replayer};
use crate::genesis::GenesisError;
use crate::state::Fault;

/// The name of this level in a report.
pub const LEVEL: &str = "replay";

/// What a replay of an archive says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// The report of all levels.
    #[serde(flatten)]
    pub report: Report,
    /// What was replayed, as far as it got.
    pub replay: ReplaySummary,
}

/// Why an archive could not be replayed: nothing that says anything about the archive.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFailure {
    /// It could not be read.
    #[error("failed to read the archive")]
    Read(#[from] io::Error),
    /// The genesis given cannot be started from.
    #[error("failed to start from the genesis")]
    Genesis(#[from] GenesisError),
    /// The replay itself failed.
    #[error("the replay failed")]
    Fault(#[from] Fault),
}

/// Verifies an archive at every level, this one included. `progress` is called after each block
/// with its height.
///
/// # Errors
/// What kept the verification from going on; findings are in the report.
pub fn verify_archive<R: Read>(
    source: R,
    genesis: &Genesis,
    options: Options,
    mut progress: impl FnMut(u64),
) -> Result<ReplayReport, ReplayFailure> {
    let mut replay = Replay { replayer: Some(Replayer::new(genesis)?), fault: None, summary: ReplaySummary::default() };
    let mut report =
        chain::verify::verify_archive(source, genesis, Level::Log, options, |verifier, block, pushed, offset| {
            if pushed.clean {
                replay.block(verifier, block, offset);
            } else {
                // What follows a block that is not what it claims cannot be executed.
                replay.stop();
            }
            progress(block.body.block.header.height);
        })?;
    report.level = LEVEL;
    let (finding, summary) = replay.finish()?;
    if let Some(finding) = finding {
        report.add_finding(finding);
    }
    Ok(ReplayReport { report, replay: summary })
}

/// A replay that ends at the first difference while the lighter levels go on.
struct Replay {
    replayer: Option<Replayer>,
    fault: Option<Fault>,
    summary: ReplaySummary,
}

impl Replay {
    fn block(&mut self, verifier: &mut Verifier, block: &chain::block::CommittedBlock, offset: u64) {
        let Some(replayer) = &mut self.replayer else { return };
        match replayer.replay(block) {
            Ok(()) => {}
            Err(ReplayError::Finding(finding)) => {
                verifier.add_finding(Finding { offset: Some(offset), ..*finding });
                self.stop();
            }
            Err(ReplayError::Fault(fault)) => {
                self.fault = Some(fault);
                self.stop();
            }
        }
    }

    fn stop(&mut self) {
        if let Some(replayer) = self.replayer.take() {
            self.summary = replayer.summary().clone();
        }
    }

    fn finish(self) -> Result<(Option<Finding>, ReplaySummary), ReplayFailure> {
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        let Some(replayer) = self.replayer else {
            return Ok((None, self.summary));
        };
        let summary = replayer.summary().clone();
        match replayer.finish() {
            Ok(summary) => Ok((None, summary)),
            Err(ReplayError::Finding(finding)) => Ok((Some(*finding), summary)),
            Err(ReplayError::Fault(fault)) => Err(fault.into()),
        }
    }
}
