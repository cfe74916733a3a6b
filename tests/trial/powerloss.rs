//! `powerloss`: the disk of a replica as a power cut may leave it, again and again.
//!
//! A writer in a process of its own runs the real replica on the real store; a shim between it and
//! the C library journals every write, sync, rename and so on. From the journal images are built:
//! everything up to some moment, and of what was not synced by then only what chance keeps. Each
//! image is opened, recovered, held against what had been acknowledged, replayed, and built upon.

mod image;
mod journal;
mod verify;
mod writer;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::seed::Seed;
use super::{Broken, Report};
use super::{copy_directory, panic_text};
use image::Moment;
use journal::Journal;
pub use writer::write;

/// The source of the shim.
const SHIM: &str = include_str!("powerloss/shim.c");

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program `trial`, which has the writer.
    pub program: PathBuf,
    /// The seed.
    pub seed: u64,
    /// How many images.
    pub images: u64,
    /// How many blocks the writer makes.
    pub blocks: u64,
    /// Whether every fourth image is one of a disk that lies about the index.
    pub lies: bool,
    /// Say what happens while it happens, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form.
    pub fn long(program: PathBuf, seed: u64, images: u64) -> Self {
        Self { program, seed, images, blocks: 120, lies: true, talk: true }
    }

    /// The short form.
    pub fn short(program: PathBuf, seed: u64, images: u64) -> Self {
        Self { program, seed, images, blocks: 16, lies: false, talk: false }
    }
}

/// Builds and checks the images.
///
/// # Errors
/// What kept the trial from being carried out, a missing C compiler among it; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let directory = tempfile::Builder::new().prefix("einvoice-powerloss-").tempdir()?;
    let journal = record(options, directory.path())?;
    let mut report = Report::new("powerloss", options.seed);
    let mut seed = Seed::new(options.seed).part(2);
    let mut tally = verify::Tally::default();
    for number in 0..options.images {
        let moment = Moment::choose(number, options.lies, &journal, &mut seed);
        let image = directory.path().join(format!("image-{number}"));
        let cut = image::build(&journal, &moment, &mut seed, &image)?;
        let mut losses = check(&image, &cut, options.seed, &mut tally)?;
        if moment.lies() && !losses.is_empty() {
            // What was met only when it was read stops the node, and the next start rebuilds the index. The store that
            // failed stays locked until the process ends, so that start happens on a copy.
            tally.second_start();
            let copy = image.with_extension("second");
            copy_directory(&image, &copy)?;
            losses = check(&copy, &cut, options.seed, &mut tally)?;
            fs::remove_dir_all(&copy)?;
        }
        if options.talk {
            eprintln!("image {number}: {moment}, tip {:?}: {} losses", cut.height, losses.len());
        }
        if losses.is_empty() {
            fs::remove_dir_all(&image)?;
        }
        let named = losses.into_iter().map(|loss| format!("image {number}, {moment}: {loss}")).collect();
        report.round(moment.name(), cut.dropped, named);
    }
    report.fact("operations journalled", journal.operations.len());
    report.fact("index checkpoints journalled", journal.checkpoints.len());
    report.fact("reopenings of a database seen", journal.reopened);
    tally.tell(&mut report);
    if !report.is_clean() {
        report.fact("kept for a look", directory.keep().display());
    }
    Ok(report)
}

/// Checks an image. That it panics is a loss too.
fn check(image: &Path, cut: &image::Cut, seed: u64, tally: &mut verify::Tally) -> Result<Vec<String>, Broken> {
    match catch_unwind(AssertUnwindSafe(|| verify::check(image, cut, seed, tally))) {
        Ok(outcome) => Ok(outcome.unwrap_or_else(|error| vec![format!("it cannot be read: {error}")])),
        Err(panic) => Ok(vec![format!("it panicked: {}", panic_text(panic.as_ref()))]),
    }
}

/// Lets the writer write under the shim, and reads the journal.
fn record(options: &Options, directory: &Path) -> Result<Journal, Broken> {
    let (source, shim) = (directory.join("shim.c"), directory.join("shim.so"));
    fs::write(&source, SHIM)?;
    let compiler = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).output();
    let compiled = compiler.map_err(|error| format!("simulating a power cut needs a C compiler, `cc`: {error}"))?;
    if !compiled.status.success() {
        return Err(format!("cc: {}", String::from_utf8_lossy(&compiled.stderr)).into());
    }
    let root = directory.join("disk");
    fs::create_dir(&root)?;
    let journal = directory.join("journal");
    let wrote = Command::new(&options.program)
        .arg("powerloss-writer")
        .args([options.seed.to_string(), options.blocks.to_string()])
        .arg(&root)
        .env("LD_PRELOAD", &shim)
        .env("TRIAL_ROOT", &root)
        .env("TRIAL_JOURNAL", &journal)
        .stdin(Stdio::null())
        .output()?;
    if !wrote.status.success() {
        return Err(format!("the writer failed: {}", String::from_utf8_lossy(&wrote.stderr)).into());
    }
    Journal::read(&journal, &root)
}
