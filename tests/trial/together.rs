//! `together`: four nodes on one machine, loaded at all doors, and kill -9 of one, of two, of all, at any moment.
//!
//! A round is: load; kill -9, or one is frozen for a while and goes on where it was; with two gone, the other two must halt and say whom they miss; starts, some of them killed
//! again while they start; all are ready and level; every answer is asked for again. At the end the four chains are
//! replayed and held against each other and against every answer.

use std::thread;
use std::time::{Duration, Instant};

use super::binary::{Binary, eventually};
use super::four::{Crowd, Four, NODES};
use super::seed::Seed;
use super::{Broken, Report};

/// A round without a kill.
const FROZEN: &str = "one stands still, then goes on";

/// How soon a node must say that it misses others: it knows at once that a process is gone.
const NO_QUORUM_MAX: Duration = Duration::from_secs(15);

/// How soon the chain must go on when enough are back.
const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed.
    pub seed: u64,
    /// How many rounds.
    pub rounds: u64,
    /// Clients at each door.
    pub per_door: usize,
    /// Pairs of platforms that want the same invoices.
    pub duellists: usize,
    /// For how long the nodes are loaded before a kill at most, ms.
    pub load_ms_max: u64,
    /// Say what happens while it happens, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form.
    pub fn long(binary: Binary, seed: u64, rounds: u64) -> Self {
        Self { binary, seed, rounds, per_door: 1, duellists: 2, load_ms_max: 3_000, talk: true }
    }

    /// The short form: a round of each kind.
    pub fn short(binary: Binary, seed: u64) -> Self {
        Self { binary, seed, rounds: 4, per_door: 1, duellists: 1, load_ms_max: 600, talk: false }
    }
}

/// Runs the rounds.
///
/// # Errors
/// What kept the trial from being carried out; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let directory = tempfile::Builder::new().prefix("einvoice-together-").tempdir()?;
    let mut seed = Seed::new(options.seed);
    let places = Four::on_loopback(&mut seed)?;
    let mut four = Four::make(&options.binary, directory.path(), places)?;
    let all: Vec<usize> = (0..NODES).collect();
    all.iter().try_for_each(|place| four.start(*place))?;
    four.until_ready(&all)?;
    let crowd = Crowd::new(&seed, options.per_door, options.duellists);
    let report = Report::new("together", options.seed);
    let mut trial = Trial { options, seed, four, crowd, report, killed_starting: 0, longest: Duration::ZERO };
    let outcome = (0..options.rounds).try_for_each(|round| trial.round(round)).and_then(|()| trial.end());
    Ok(trial.report.end(outcome, directory))
}

struct Trial<'a> {
    options: &'a Options,
    seed: Seed,
    four: Four,
    crowd: Crowd,
    report: Report,
    /// Kills of nodes that had not come to serve.
    killed_starting: u64,
    /// The longest time from the last start of a round to the last node that was ready.
    longest: Duration,
}

impl Trial<'_> {
    fn round(&mut self, round: u64) -> Result<(), Broken> {
        let began = Instant::now();
        // One of each kind first, then as the seed says.
        let draw = if round < 4 { round * 30 } else { self.seed.below(100) };
        let (what, count) = match draw {
            0..30 => ("kill -9 of one", 1),
            30..60 => ("kill -9 of two", 2),
            60..90 => ("kill -9 of all four", NODES),
            _ => (FROZEN, 1),
        };
        let mut victims: Vec<usize> = (0..NODES).collect();
        while victims.len() > count {
            victims.swap_remove(self.seed.place(victims.len()));
        }
        let doors = self.four.doors();
        let (four, seed, options) = (&mut self.four, &mut self.seed, self.options);
        let killed_starting = &mut self.killed_starting;
        let mut losses = self.crowd.load(&doors, || {
            let mut losses = Vec::new();
            let moment = Duration::from_micros(seed.below(options.load_ms_max * 1_000));
            // The moment of the kill, nothing is waited for.
            thread::sleep(moment);
            if what == FROZEN {
                losses.extend(frozen(four, seed, victims[0])?);
                return Ok(losses);
            }
            four.kill(&victims)?;
            if count == 2 {
                losses.extend(halts(four, &victims)?);
            } else if count == 1 {
                thread::sleep(moment / 2);
            }
            *killed_starting += restart(four, seed, &victims)?;
            four.until_ready(&(0..NODES).collect::<Vec<_>>())?;
            Ok(losses)
        })?;
        self.longest = self.longest.max(began.elapsed());
        self.four.until_level()?;
        losses.extend(self.crowd.check(&doors)?);
        if self.options.talk {
            let (names, heights) = (self.four.names(&victims), self.four.heights());
            let (took, lost) = (began.elapsed().as_millis(), losses.len());
            eprintln!("round {round}: {what} ({names}), {took} ms, heights {heights:?}, {lost} losses");
        }
        self.report.round(what, victims.len() as u64, losses);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        let doors = self.four.doors();
        let mut losses = self.crowd.settle(&doors)?;
        self.four.until_level()?;
        losses.extend(self.four.verdict(&self.crowd, &mut self.report)?);
        self.report.round("four chains replayed at the end", 0, losses);
        self.report.fact("killed while they started", self.killed_starting);
        self.report.fact("longest round, ms", self.longest.as_millis());
        Ok(())
    }
}

/// One stands still with all its connections open, long enough that it is missed, and then goes on.
fn frozen(four: &mut Four, seed: &mut Seed, victim: usize) -> Result<Vec<String>, Broken> {
    four.freeze(victim, true)?;
    let others: Vec<usize> = (0..NODES).filter(|place| *place != victim).collect();
    let before = four.height(others[0]);
    let goes_on = || (four.height(others[0]) > before).then_some(());
    let went_on = eventually(PROGRESS_MAX, goes_on).is_some();
    // For how long it is frozen, nothing is waited for.
    thread::sleep(Duration::from_millis(1_000 + seed.below(9_000)));
    four.freeze(victim, false)?;
    four.until_ready(&[0, 1, 2, 3])?;
    Ok(if went_on { Vec::new() } else { vec![format!("three do not go on without {victim}: {:?}", four.heights())] })
}

/// Two of four are gone: the others halt, say whom they miss, and go on when one is back.
fn halts(four: &mut Four, gone: &[usize]) -> Result<Vec<String>, Broken> {
    let left: Vec<usize> = (0..NODES).filter(|place| !gone.contains(place)).collect();
    let mut losses = Vec::new();
    for place in &left {
        losses.extend(four.says_no_quorum(*place, gone, NO_QUORUM_MAX));
    }
    let before = four.heights();
    let moved = || (four.heights() != before).then(|| four.heights());
    if let Some(after) = eventually(Duration::from_secs(1), moved) {
        losses.push(format!("two of four went on by themselves, from {before:?} to {after:?}"));
    }
    let first = gone[0];
    four.start(first)?;
    four.until_ready(&[left[0], left[1], first])?;
    let highest = before.into_iter().flatten().max().unwrap_or(0);
    // There is load, so there are blocks.
    let goes_on = || (four.height(left[0]) > Some(highest)).then_some(());
    if eventually(PROGRESS_MAX, goes_on).is_none() {
        losses.push(format!("three of four do not go on from {highest}: {:?}", four.heights()));
    }
    four.kill(&[first])?;
    Ok(losses)
}

/// Starts those that were killed, some of them twice, because they are killed again while they start.
fn restart(four: &mut Four, seed: &mut Seed, victims: &[usize]) -> Result<u64, Broken> {
    let mut killed = 0;
    for place in victims {
        four.start(*place)?;
        while seed.happens(35) {
            // The moment of the kill, nothing is waited for.
            thread::sleep(Duration::from_micros(seed.below(400_000)));
            four.kill(&[*place])?;
            four.start(*place)?;
            killed += 1;
        }
    }
    Ok(killed)
}
