//! Replay of an archive, on top of the lighter levels.

use std::io::{self, Read};

use chain::block::{CommittedBlock, Outcome};
use chain::genesis::Genesis;
use chain::statement::Limits;
use chain::verify::{ArchiveRun, Finding, Level, LogEntry, Options, Report};
use serde::Serialize;

use super::examine::{Examined, Examiner};
use super::kept::Kept;
use super::scratch::{MemoryScratch, Scratch};
use super::space::Space;
use super::{ReplayError, ReplaySummary, Replayer};
use crate::genesis::{GenesisError, LedgerGenesis};
use crate::parallel::{Alone, Workers, map};
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

/// About how many bytes of statements and outcomes are examined at once, while as many are executed: 8 MiB.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// About how many bytes of memory the state takes before a scratch takes it: 256 MiB.
pub const STATE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What an empty block counts for in a batch, in bytes.
const BLOCK_BYTES: usize = 1024;

/// What a replay may use.
pub struct Resources<'a> {
    /// Who works.
    pub workers: &'a dyn Workers,
    /// About how many bytes of statements and outcomes are in memory twice: examined and executed.
    pub batch_bytes_max: usize,
    /// About how many bytes of memory the state takes.
    pub state_bytes_max: usize,
    /// Opens the scratch for a state that takes more. Called at most once.
    pub scratch: Box<dyn FnOnce() -> Result<Box<dyn Scratch>, Fault> + Send + 'a>,
}

impl std::fmt::Debug for Resources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources")
            .field("batch_bytes_max", &self.batch_bytes_max)
            .field("state_bytes_max", &self.state_bytes_max)
            .finish_non_exhaustive()
    }
}

impl Resources<'_> {
    /// One thread, and everything in memory: for archives of which one knows that they are small.
    pub fn small() -> Self {
        Self {
            workers: &Alone,
            batch_bytes_max: BATCH_BYTES_MAX,
            state_bytes_max: usize::MAX,
            scratch: Box::new(|| Ok(Box::new(MemoryScratch::default()))),
        }
    }
}

/// Verifies an archive at every level, this one included, with [`Resources::small`]. `progress` is called
/// after each block with its height.
///
/// # Errors
/// What kept the verification from going on; findings are in the report.
pub fn verify_archive<R: Read + Send>(
    source: R,
    genesis: &Genesis,
    options: Options,
    progress: impl FnMut(u64) + Send,
) -> Result<ReplayReport, ReplayFailure> {
    verify_archive_with(source, genesis, options, Resources::small(), progress)
}

/// Verifies an archive at every level, this one included. `progress` is called after each block with
/// its height. Whatever the resources, the report is the same.
///
/// Blocks go two ways at once, a batch at a time: while one batch is executed, the next is read from
/// the archive, its statements are read and their signatures verified on all workers, and the lighter
/// levels look at it.
///
/// # Errors
/// What kept the verification from going on; findings are in the report.
pub fn verify_archive_with<R: Read + Send>(
    source: R,
    genesis: &Genesis,
    options: Options,
    resources: Resources<'_>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<ReplayReport, ReplayFailure> {
    // The limits of statements are the rules', whatever lighter levels are told.
    let options = Options { limits: Limits::default(), ..options };
    let ledger = LedgerGenesis::read(genesis)?;
    let state = ledger.state(genesis);
    let examiner = Examiner::new(&ledger, &state)?;
    let Resources { workers, batch_bytes_max, state_bytes_max, scratch } = resources;
    let kept = Kept::new(Space::new(state_bytes_max, scratch));
    let run = ArchiveRun::new(source, genesis, Level::Log, options);
    let mut ahead = Ahead { run, examiner, workers, batch_bytes_max, clean: true };
    let replayer = Some(Replayer::new(genesis, state, kept)?);
    let mut turn = Turn { replayer, finding: None, summary: ReplaySummary::default() };
    let mut batch = ahead.batch(true)?;
    while !batch.is_empty() {
        let deep = turn.replayer.is_some();
        let (mut next, mut done) = (Ok(Vec::new()), Ok(()));
        let current = std::mem::take(&mut batch);
        let mut current = Some(current);
        workers.both(&mut || next = ahead.batch(deep), &mut || {
            done = turn.replay(current.take().unwrap_or_default(), &mut progress);
        });
        done?;
        batch = next?;
    }
    let mut report = ahead.run.finish();
    report.level = LEVEL;
    let (finding, summary) = turn.finish(workers)?;
    if let Some((place, finding)) = finding {
        report.insert_finding(place, finding);
    }
    Ok(ReplayReport { report, replay: summary })
}

/// A block that the lighter levels have seen.
struct Seen {
    block: Box<CommittedBlock>,
    offset: u64,
    /// How many findings were listed after it.
    place: usize,
    /// Its statements, when it may be executed: nothing was found in it.
    examined: Option<Vec<Examined>>,
}

/// What goes on ahead of execution.
struct Ahead<'a, R> {
    run: ArchiveRun<R>,
    examiner: Examiner,
    workers: &'a dyn Workers,
    batch_bytes_max: usize,
    /// Whether nothing was found in any block.
    clean: bool,
}

impl<R: Read> Ahead<'_, R> {
    /// The next blocks, verified up to the log, and when it goes deep, their statements examined.
    fn batch(&mut self, deep: bool) -> io::Result<Vec<Seen>> {
        let mut blocks = Vec::new();
        let mut bytes = 0;
        while bytes < self.batch_bytes_max {
            let Some((block, offset)) = self.run.next_block()? else { break };
            bytes = bytes.saturating_add(size(&block));
            blocks.push((block, offset));
        }
        let deep = deep && self.clean;
        let mut entries = read(self.workers, &self.examiner, &blocks, deep).into_iter();
        let mut seen = Vec::with_capacity(blocks.len());
        for (block, offset) in blocks {
            // Statements without outcomes are not read; the shape of their block is a finding.
            let of_block = entries.by_ref().take(block.body.block.statements.len()).flatten();
            let (entries, examined): (Vec<_>, Vec<_>) = of_block.unzip();
            let verifier = self.run.verifier();
            self.clean &= verifier.push_read(&block, Some(offset), entries).clean;
            let place = verifier.report().findings.len();
            let mut examined = examined.into_iter().collect::<Option<Vec<_>>>().filter(|_| self.clean && deep);
            for examined in examined.iter_mut().flatten() {
                self.examiner.learn(std::mem::take(&mut examined.brings));
            }
            seen.push(Seen { block, offset, place, examined });
        }
        Ok(seen)
    }
}

/// Reads the statements of all blocks, in order, on all workers, and examines them when it goes deep.
fn read(
    workers: &dyn Workers,
    examiner: &Examiner,
    blocks: &[(Box<CommittedBlock>, u64)],
    deep: bool,
) -> Vec<Option<(LogEntry, Option<Examined>)>> {
    let statements = |(index, (block, _)): (usize, &(Box<CommittedBlock>, u64))| {
        (0..block.body.block.statements.len()).map(move |statement| (index, statement))
    };
    let places: Vec<(usize, usize)> = blocks.iter().enumerate().flat_map(statements).collect();
    let limits = Limits::default();
    map(workers, &places, |_, (block, statement)| {
        let (block, _) = blocks.get(*block)?;
        let entry = LogEntry::read(&block.body, *statement, &limits)?;
        let time_ms = block.header().time_ms;
        let examined = entry.statement().ok().filter(|_| deep);
        let examined = examined.map(|statement| examiner.examine(statement, time_ms));
        Some((entry, examined))
    })
}

/// About how many bytes a block takes.
fn size(block: &CommittedBlock) -> usize {
    let statements: usize = block.body.block.statements.iter().map(Vec::len).sum();
    let outcome = |outcome: &Outcome| outcome.code.len() + outcome.subject.len() + outcome.record.len();
    let outcomes: usize = block.body.outcomes.iter().flatten().map(outcome).sum();
    BLOCK_BYTES + statements + outcomes
}

/// A finding, and behind how many others it stands.
type Found = (usize, Finding);

/// Blocks at their turn to be executed. Ends at the first difference while the lighter levels go on.
struct Turn<'s> {
    replayer: Option<Replayer<'s>>,
    finding: Option<Found>,
    summary: ReplaySummary,
}

impl Turn<'_> {
    fn replay(&mut self, batch: Vec<Seen>, progress: &mut dyn FnMut(u64)) -> Result<(), Fault> {
        for Seen { block, offset, place, examined } in batch {
            match (&mut self.replayer, examined) {
                (None, _) => {}
                // What follows a block that is not what it claims cannot be executed.
                (Some(_), None) => self.stop(),
                (Some(replayer), Some(examined)) => match replayer.replay(&block, examined) {
                    Ok(()) => {}
                    Err(ReplayError::Finding(finding)) => {
                        self.finding = Some((place, Finding { offset: Some(offset), ..*finding }));
                        self.stop();
                    }
                    Err(ReplayError::Fault(fault)) => return Err(fault),
                },
            }
            progress(block.header().height);
        }
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(replayer) = self.replayer.take() {
            self.summary = replayer.summary;
        }
    }

    /// What was found, and what was replayed.
    fn finish(self, workers: &dyn Workers) -> Result<(Option<Found>, ReplaySummary), Fault> {
        let Some(replayer) = self.replayer else {
            return Ok((self.finding, self.summary));
        };
        let summary = replayer.summary.clone();
        match replayer.finish(workers) {
            Ok(summary) => Ok((None, summary)),
            Err(ReplayError::Finding(finding)) => Ok((Some((usize::MAX, *finding)), summary)),
            Err(ReplayError::Fault(fault)) => Err(fault),
        }
    }
}
