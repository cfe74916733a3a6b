//! `einvoice verify`: an archive against the genesis that the auditor has from elsewhere. Streams; needs no node.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use chain::checkpoint::SignedCheckpoint;
use chain::genesis::Genesis;
use chain::verify::{self, Options, Report as ChainReport, Status};
use clap::ValueEnum;
use ledger::replay::{self, BATCH_BYTES_MAX, ByCustody, NumbersOfCode, ReplayFailure, ReplayReport, Resources};
use serde::Serialize;
use store::DiskScratch;

use crate::copies::read_copy;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::{Output, Report};
use crate::threads::Threads;

/// How many bytes of an archive are read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// How many bytes a checkpoint's file may have.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;

/// How much of the state a replay keeps in memory unless told otherwise, in MiB.
pub(crate) const MEMORY_MIB: u32 = 256;

/// Verify an archive.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// The genesis, from a source other than the archive's.
    #[arg(long)]
    pub(crate) genesis: PathBuf,
    /// How deep; each level includes the ones before.
    #[arg(long, value_enum, default_value_t = LevelName::Replay)]
    pub(crate) level: LevelName,
    /// The height that the chain is known to have reached; catches a tail that was cut off.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) at_least: Option<u64>,
    /// A signed log checkpoint that the chain must agree with; catches another chain, and a cut tail. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Where a replay may put a state that does not fit into its memory, in a file without a name; the system's
    /// directory for temporary files unless given. Must be a disk, not memory.
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// How much of the state a replay keeps in memory, in MiB. What else it needs does not grow with the archive.
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) memory: u32,
}

/// A level, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelName {
    /// Heights, parents, times, counts, roots and sizes.
    Links,
    /// Also the commit certificates: more than two thirds of the power in force.
    Certificates,
    /// Also the Merkle log, rebuilt from statements and outcomes.
    Log,
    /// Also every signature and every rule, executed again from genesis.
    Replay,
}

/// What a verification found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Verdict {
    /// Up to the log.
    Chain(Box<ChainReport>),
    /// With replay.
    Replay(Box<ReplayReport>),
}

impl Verdict {
    /// The report of the chain.
    pub(crate) fn chain(&self) -> &ChainReport {
        match self {
            Self::Chain(report) => report,
            Self::Replay(replay) => &replay.report,
        }
    }

    /// How the process ends on it.
    pub(crate) fn exit(&self) -> Exit {
        match self.chain().status {
            Status::Verified => Exit::Done,
            Status::Findings => Exit::Findings,
            Status::Incomplete => Exit::Incomplete,
        }
    }
}

impl Report for Verdict {
    fn text(&self) -> String {
        let mut lines = vec![self.chain().to_string().trim_end().to_owned()];
        if let Self::Replay(replay) = self {
            let summary = &replay.replay;
            let refused: u64 = summary.refused.values().sum();
            lines.push(format!(
                "replayed    {} events: {} accepted, {} repeated, {refused} refused; {} invoices issued",
                summary.events, summary.accepted, summary.repeated, summary.invoices
            ));
            lines.extend(
                summary.numbers.iter().map(|(code, of_code)| format!("numbers     of {code}: {}", text(of_code))),
            );
            let ByCustody { itself, under_mandate, hosted } = &summary.accepted_by_custody;
            lines.push(format!(
                "signed by   the party itself: {itself} events; a provider or platform under mandate: {under_mandate}"
            ));
            let refused_by = &summary.refused_by_custody;
            let refused_hosted: u64 = refused_by.hosted.values().sum();
            let hosted = hosted.iter();
            lines.extend(
                hosted.map(|(agency, events)| format!("signed with a key hosted at {agency}: {events} events")),
            );
            if refused > 0 {
                let own = refused_by.itself;
                lines.push(format!(
                    "refused were  {own} events under a key of the party's own, {refused_hosted} hosted"
                ));
            }
        }
        lines.join("\n")
    }
}

/// Verifies, prints the report, and ends as it says.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let verdict = verify(args, output)?;
    output.data(&verdict)?;
    Ok(verdict.exit())
}

/// Verifies.
pub(crate) fn verify(args: &Args, output: &Output) -> Result<Verdict, Failure> {
    let genesis = genesis(&args.genesis)?;
    let mut options = Options { at_least_height: args.at_least, ..Options::default() };
    for path in &args.checkpoint {
        let context = || format!("use the log checkpoint {}", path.display());
        let bytes = files::read(path, CHECKPOINT_BYTES_MAX).or_exit(Exit::Usage)?;
        let signed = SignedCheckpoint::parse(&bytes).with_context(context).or_exit(Exit::Usage)?;
        signed.verify(&genesis).with_context(context).or_exit(Exit::Usage)?;
        options.checkpoints.push(signed.checkpoint().clone());
    }
    let context = || format!("read the archive {}", args.archive.display());
    let file = File::open(&args.archive).with_context(context).or_exit(Exit::Usage)?;
    let metadata = file.metadata().with_context(context).or_exit(Exit::Usage)?;
    if metadata.is_dir() {
        return Err(anyhow!("it is a directory; `einvoice export` makes an archive of a node's"))
            .with_context(context)
            .or_exit(Exit::Usage);
    }
    let bytes = metadata.len();
    let bar = output.progress("verifying", Some(bytes), true);
    let source = BufReader::with_capacity(BUFFER_BYTES, bar.wrap_read(file));
    let verdict = at_level(source, &genesis, args, options);
    bar.finish_and_clear();
    verdict
}

fn at_level(source: impl Read + Send, genesis: &Genesis, args: &Args, options: Options) -> Result<Verdict, Failure> {
    let level = match args.level {
        LevelName::Links => verify::Level::Links,
        LevelName::Certificates => verify::Level::Certificates,
        LevelName::Log => verify::Level::Log,
        LevelName::Replay => {
            let replayed = replay(source, genesis, args, options)?;
            return Ok(Verdict::Replay(Box::new(replayed)));
        }
    };
    let report = verify::verify_archive(source, genesis, level, options, |_, _, _, _| {})
        .context("read the archive")
        .or_exit(Exit::Usage)?;
    Ok(Verdict::Chain(Box::new(report)))
}

/// Replays, on every core, with as much of the state in memory as may be.
fn replay(source: impl Read + Send, genesis: &Genesis, args: &Args, options: Options) -> Result<ReplayReport, Failure> {
    const MIB: usize = 1024 * 1024;
    let directory = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let resources = Resources {
        workers: &Threads,
        state_bytes_max: usize::try_from(args.memory).unwrap_or(usize::MAX).saturating_mul(MIB),
        batch_bytes_max: BATCH_BYTES_MAX,
        scratch: Box::new(move || Ok(Box::new(DiskScratch::open(&directory)?))),
    };
    replay::verify_archive_with(source, genesis, options, resources, |_| {}).map_err(|failure| {
        let exit = match &failure {
            ReplayFailure::Genesis(_) | ReplayFailure::Read(_) => Exit::Usage,
            ReplayFailure::Fault(_) => Exit::Unexpected,
        };
        Failure::new(exit, anyhow::Error::new(failure).context("verify the archive"))
    })
}

/// Reads a genesis to verify against; whether all have signed it is part of the verification.
pub(crate) fn genesis(path: &std::path::Path) -> Result<Genesis, Failure> {
    read_copy(path).or_exit(Exit::Usage)
}

/// What became of the numbers of a code. What a replay found without a gap has none.
fn text(NumbersOfCode { last, used, void, red, declared, open }: &NumbersOfCode) -> String {
    if used == last {
        return format!("1 to {last}, each used once, no gap; {void} void, {red} red");
    }
    format!(
        "1 to {last}, {used} used once, {declared} declared as gaps, {open} to be used, no silent gap; {void} void, {red} red"
    )
}
