//! `simulation`: many seeds of the simulation, one after the other on each core.
//!
//! Unlike the other trials this one repeats exactly: a seed has one history, whose hash the report shows. Of a seed that
//! lost something the history is written down.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use super::report::Row;
use super::{Broken, Report};
use crate::simulation::{self, Run};

/// Seeds whose histories are written down.
const HISTORIES_MAX: usize = 5;

/// How often it says how far it is, seeds.
const TALK_EVERY: u64 = 250;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first seed; the others follow it.
    pub seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// How many at once.
    pub threads: usize,
    /// Say how far it is, on stderr.
    pub talk: bool,
    /// Faults beyond what the seeds bring.
    pub sabotage: simulation::Sabotage,
}

impl Options {
    /// The long form: a seed at a time on each core.
    pub fn long(seed: u64, seeds: u64) -> Self {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { seed, seeds, threads, talk: true, sabotage: simulation::Sabotage::None }
    }

    /// The short form.
    pub fn short(seed: u64, seeds: u64) -> Self {
        Self { talk: false, ..Self::long(seed, seeds) }
    }
}

/// What came of all seeds.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    digests: BTreeMap<u64, u64>,
    heights: u64,
    acknowledged: usize,
    seconds: u64,
    /// By kind: in how many seeds, and how often.
    faults: BTreeMap<&'static str, (u64, u64)>,
    wrong: BTreeMap<u64, Vec<String>>,
}

impl Tally {
    fn add(&mut self, run: Run) {
        self.runs += 1;
        self.digests.insert(run.seed, run.digest);
        self.heights += run.heights;
        self.acknowledged += run.acknowledged;
        self.seconds += run.seconds;
        for (kind, count) in run.faults.into_iter().filter(|(_, count)| *count > 0) {
            let (seeds, faults) = self.faults.entry(kind).or_default();
            *seeds += 1;
            *faults += count;
        }
        if !run.wrong.is_empty() {
            self.wrong.insert(run.seed, run.wrong);
        }
    }

    /// One number for all histories.
    fn digest(&self) -> u64 {
        self.digests.values().fold(0, |all, digest| all.rotate_left(1).wrapping_add(*digest))
    }
}

/// Runs the seeds.
///
/// # Errors
/// The history of a seed could not be written down; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let begun = Instant::now();
    let tally = Mutex::new(Tally::default());
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| work(options, &next, &tally));
        }
    });
    let tally = tally.into_inner().expect("a seed that panics is a loss, and no panic of the thread");
    let mut report = Report::new("simulation", options.seed);
    let losses = tally.wrong.values().map(|wrong| wrong.len() as u64).sum();
    let faults = tally.faults.values().map(|(_, count)| count).sum();
    report.rows.push(Row { what: "all seeds".to_owned(), rounds: tally.runs, faults, losses });
    for (kind, (rounds, faults)) in &tally.faults {
        report.rows.push(Row { what: (*kind).to_owned(), rounds: *rounds, faults: *faults, losses: 0 });
    }
    let elapsed = begun.elapsed();
    report.fact("blocks decided", tally.heights);
    report.fact("statements acknowledged", tally.acknowledged);
    report.fact("simulated time, s", tally.seconds);
    report.fact("real time, s", elapsed.as_secs());
    report
        .fact("a seed on its core, ms", elapsed.as_millis() * options.threads as u128 / u128::from(tally.runs.max(1)));
    report.fact("hash of all histories", format_args!("{:016x}", tally.digest()));
    tell_losses(options, &tally, &mut report)?;
    Ok(report)
}

fn work(options: &Options, next: &AtomicU64, tally: &Mutex<Tally>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= options.seeds {
            return;
        }
        let options_of_one = simulation::Options { sabotage: options.sabotage, keep_history: false };
        let run = simulation::run(options.seed.wrapping_add(number), options_of_one);
        let mut tally = tally.lock().expect("nothing panics while it holds the tally");
        if options.talk && !run.wrong.is_empty() {
            eprintln!("seed {}: {:?}", run.seed, run.wrong);
        }
        tally.add(run);
        if options.talk && tally.runs.is_multiple_of(TALK_EVERY) {
            eprintln!("{} seeds, {} of them lost something", tally.runs, tally.wrong.len());
        }
    }
}

/// Names what was lost, and writes down how it came to that.
fn tell_losses(options: &Options, tally: &Tally, report: &mut Report) -> Result<(), Broken> {
    for (seed, wrong) in &tally.wrong {
        report.losses.extend(wrong.iter().map(|wrong| format!("seed {seed}: {wrong}")));
    }
    if tally.wrong.is_empty() || !options.talk {
        return Ok(());
    }
    let directory = tempfile::Builder::new().prefix("einvoice-simulation-").tempdir()?.keep();
    for seed in tally.wrong.keys().take(HISTORIES_MAX) {
        write_history(options, *seed, &directory)?;
    }
    report.fact("histories", directory.display());
    Ok(())
}

fn write_history(options: &Options, seed: u64, directory: &Path) -> Result<(), Broken> {
    let run = simulation::run(seed, simulation::Options { sabotage: options.sabotage, keep_history: true });
    let lines: Vec<String> = run.history.into_iter().chain(run.wrong).collect();
    fs::write(directory.join(format!("seed-{seed}.txt")), lines.join("\n"))?;
    Ok(())
}
