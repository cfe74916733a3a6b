//! `crash`: a node that is loaded, killed, hurt and started again, and must lose nothing.
//!
//! A round is: load from many connections; kill -9 at some moment; perhaps a fault of the disk while
//! it is down; perhaps more kills while it starts; a start; every check. The node is a real one in a
//! process of its own.

mod damage;
mod faults;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::binary::{Binary, Life, eventually, odd_talk};
use super::cast::Cast;
use super::checks;
use super::client::Client;
use super::load::{Meter, Worker};
use super::seed::Seed;
use super::{Broken, Report};
use faults::Fault;

/// How long a trial waits for a checkpoint of the index to kill it in.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(10);

/// How long a node may take to end that met a fault.
const ENDING: Duration = Duration::from_secs(10);

/// Exit code of a node that stopped on a fault of its own.
const EXIT_FAULT: i32 = 5;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed.
    pub seed: u64,
    /// How many rounds.
    pub rounds: u64,
    /// How many connections load the node.
    pub workers: usize,
    /// For how long it is loaded in a round at most, ms.
    pub load_ms_max: u64,
    /// Every how many rounds the chain is replayed; else it is verified at a lighter level.
    pub replay_every: u64,
    /// Say what happens while it happens, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form.
    pub fn long(binary: Binary, seed: u64) -> Self {
        Self { binary, seed, rounds: 100, workers: 16, load_ms_max: 1_200, replay_every: 10, talk: true }
    }

    /// The short form: `rounds` rounds of a few kills and faults.
    pub fn short(binary: Binary, seed: u64, rounds: u64) -> Self {
        Self { binary, seed, rounds, workers: 6, load_ms_max: 250, replay_every: u64::MAX, talk: false }
    }
}

/// Runs the rounds.
///
/// # Errors
/// What kept the trial from being carried out; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let directory = tempfile::Builder::new().prefix("einvoice-crash-").tempdir()?;
    let mut trial = Trial::begin(options, directory.path())?;
    let outcome = (0..options.rounds).try_for_each(|round| trial.round(round)).and_then(|()| trial.end());
    Ok(trial.report.end(outcome, directory))
}

struct Trial<'a> {
    options: &'a Options,
    seed: Seed,
    data: PathBuf,
    lives: u64,
    life: Option<Life>,
    client: Client,
    workers: Vec<Worker>,
    meter: Meter,
    report: Report,
    /// Starts that a damaged index ended before it was rebuilt.
    stopped_by_index: u64,
    rebuilt: u64,
    /// What to show of the damage done to copies of the ledger.
    damages: damage::Tally,
}

impl<'a> Trial<'a> {
    fn begin(options: &'a Options, directory: &Path) -> Result<Self, Broken> {
        let seed = Seed::new(options.seed);
        let data = directory.join("node");
        let mut life = options.binary.dev(&data, &directory.join("life-0.log"))?;
        let ready = life.serves()?.map_err(|status| format!("the first start ended: {status}\n{}", life.talk()))?;
        let cast = Arc::new(Cast::of(&ready)?);
        let workers = (0..options.workers).map(|number| Worker::new(number, &seed)).collect();
        let trial = Self {
            options,
            data,
            lives: 1,
            client: client(&ready, cast)?,
            life: Some(life),
            workers,
            meter: Meter::default(),
            report: Report::new("crash", options.seed),
            stopped_by_index: 0,
            rebuilt: 0,
            damages: damage::Tally::default(),
            seed,
        };
        trial.client.ask_time()?;
        Ok(trial)
    }

    fn store(&self) -> PathBuf {
        self.data.join("data")
    }

    fn round(&mut self, round: u64) -> Result<(), Broken> {
        let fault = Fault::of(round);
        let began = Instant::now();
        let mut losses = self.load_and_end(fault)?;
        let mut faults = 1;
        if let Some(harm) = fault.harm(&self.store(), &mut self.seed)? {
            faults += 1;
            self.say(&format!("round {round}: {harm}"));
        }
        if fault == Fault::DamagedLedger {
            losses.extend(self.damaged_copy()?);
        }
        if fault == Fault::Twice {
            let kills = 1 + self.seed.below(3);
            for _ in 0..kills {
                losses.extend(self.killed_start()?);
            }
            faults += kills;
        }
        losses.extend(self.start_and_check(fault, round)?);
        if fault.keeps_index() {
            faults::keep_index(&self.store())?;
        }
        self.say(&format!("round {round}: {}, {:?}, {} losses", fault.name(), began.elapsed(), losses.len()));
        self.report.round(fault.name(), faults, losses);
        Ok(())
    }

    /// Loads the node and ends it, at a moment that goes with the fault.
    fn load_and_end(&mut self, fault: Fault) -> Result<Vec<String>, Broken> {
        let mut life = self.life.take().ok_or("no node runs")?;
        let mut seed = self.seed.part(self.lives);
        let load = Duration::from_millis(self.options.load_ms_max / 4 + seed.below(self.options.load_ms_max));
        let (client, meter, store) = (&self.client, &self.meter, self.store());
        let going = AtomicBool::new(true);
        let advancing = AtomicBool::new(true);
        let workers = &mut self.workers;
        let ended: Result<(String, Option<i32>), Broken> = thread::scope(|scope| {
            let going = &going;
            for worker in workers.iter_mut() {
                let client = client.another();
                scope.spawn(move || worker.work(&client, going, meter));
            }
            let (advancing, mut pace) = (&advancing, seed.part(1));
            scope.spawn(move || {
                let client = client.another();
                while advancing.load(Ordering::SeqCst) && client.advance_to_checkpoint().is_ok() {
                    // The pace of the load, nothing is waited for.
                    thread::sleep(Duration::from_millis(20 + pace.below(150)));
                }
            });
            let until = Instant::now() + load;
            while Instant::now() < until && life.runs() {
                thread::sleep(Duration::from_millis(1));
            }
            if fault == Fault::AtCheckpoint {
                await_checkpoint(&store);
                thread::sleep(Duration::from_micros(seed.below(6_000)));
            }
            let ended = if !life.runs() {
                life.ended()
            } else if fault == Fault::InOrder {
                // What is under way is answered while it stops.
                advancing.store(false, Ordering::SeqCst);
                life.stop().map(|(status, talk)| (talk, status.code()))
            } else {
                life.kill().map(|talk| (talk, None))
            };
            going.store(false, Ordering::SeqCst);
            advancing.store(false, Ordering::SeqCst);
            ended
        });
        let (talk, code) = ended?;
        let mut losses = odd_talk(&talk);
        // Damage from a round before may come to light under load: the node tells of a fault and ends on it, unless it
        // is killed before it has.
        if tells_of_index(&talk) {
            self.workers.iter_mut().for_each(Worker::forgive_faults);
        }
        match code {
            None => {}
            Some(0) if fault == Fault::InOrder => {}
            code if stopped_by_index(code, &talk) => self.stopped_by_index += 1,
            Some(code) => losses.push(format!("the node ended by itself with {code}: {}", tail(&talk))),
        }
        Ok(losses)
    }

    /// Starts it and kills it before it serves, or right after.
    fn killed_start(&mut self) -> Result<Vec<String>, Broken> {
        let mut life = self.next_life()?;
        let moment = Duration::from_micros(self.seed.below(150_000));
        let begun = Instant::now();
        while begun.elapsed() < moment && life.runs() {
            thread::sleep(Duration::from_micros(200));
        }
        Ok(odd_talk(&life.kill()?))
    }

    fn next_life(&mut self) -> Result<Life, Broken> {
        let log = self.data.with_file_name(format!("life-{}.log", self.lives));
        self.lives += 1;
        self.options.binary.dev(&self.data, &log)
    }

    /// Starts it for good. A damaged index may end it once more before it is rebuilt; nothing else may.
    fn start(&mut self, fault: Fault) -> Result<Vec<String>, Broken> {
        let mut losses = Vec::new();
        for _ in 0..4 {
            let mut life = self.next_life()?;
            match life.serves()? {
                Ok(ready) => {
                    let talk = life.talk();
                    losses.extend(odd_talk(&talk));
                    let rebuilt = talk.contains("emptying the index");
                    self.rebuilt += u64::from(rebuilt);
                    if fault.must_rebuild() && !rebuilt && !talk.contains("catching the index up") {
                        losses.push(format!("nothing was said of the index being rebuilt: {}", tail(&talk)));
                    }
                    self.client = client(&ready, Arc::clone(self.client.cast()))?;
                    self.client.ask_time()?;
                    self.life = Some(life);
                    return Ok(losses);
                }
                Err(status) => {
                    let talk = life.talk();
                    losses.extend(odd_talk(&talk));
                    if status.code() == Some(EXIT_FAULT) && fault.hurts_index() {
                        self.stopped_by_index += 1;
                    } else {
                        losses.push(format!("it does not start: {status}: {}", tail(&talk)));
                    }
                }
            }
        }
        Err(format!("it does not start any more: {losses:?}").into())
    }

    /// Starts it for good and checks it. What was done to the index may come to light only then: the node stops on it
    /// once more, and the next start rebuilds.
    fn start_and_check(&mut self, fault: Fault, round: u64) -> Result<Vec<String>, Broken> {
        for _ in 0..4 {
            let mut losses = self.start(fault)?;
            let checked = self.check(round);
            // A node that answers no more is still about to end.
            let life = self.life.as_mut().ok_or("no node runs")?;
            let sound = matches!(&checked, Ok(found) if found.is_empty());
            let mut ends = || eventually(ENDING, || (!life.runs()).then_some(())).is_some();
            if sound || !fault.hurts_index() || !ends() {
                losses.extend(checked?);
                return Ok(losses);
            }
            let (talk, code) = self.life.take().ok_or("no node runs")?.ended()?;
            losses.extend(odd_talk(&talk));
            if !stopped_by_index(code, &talk) {
                losses.push(format!("{checked:?}, and the node ended with {code:?}: {}", tail(&talk)));
            }
            if !losses.is_empty() {
                return Ok(losses);
            }
            self.stopped_by_index += 1;
            // What a node answered that was about to end is asked again, and the replay holds all answers.
            self.workers.iter_mut().for_each(|worker| drop(worker.take_losses()));
        }
        Err("it stops on its index again and again".into())
    }

    /// Everything that was acknowledged, and the chain.
    fn check(&mut self, round: u64) -> Result<Vec<String>, Broken> {
        let mut losses = checks::acknowledged(&mut self.workers, &self.client, &self.meter, 40)?;
        let replay = (round + 1).is_multiple_of(self.options.replay_every) || round + 1 == self.options.rounds;
        let (genesis, archive) = (self.data.join("genesis.json"), self.data.with_extension("archive"));
        let level = if replay { "replay" } else { "links" };
        losses.extend(checks::chain(&self.options.binary, &self.client, &genesis, &archive, level, &self.workers)?);
        Ok(losses)
    }

    /// A copy of the store with bytes of its ledger destroyed: found, or not in what is used.
    fn damaged_copy(&mut self) -> Result<Vec<String>, Broken> {
        let told = self.workers.iter().flat_map(|worker| &worker.acknowledged);
        damage::try_copies(&self.options.binary, &self.data, &self.client, &mut self.seed, told, &mut self.damages)
    }

    fn end(&mut self) -> Result<(), Broken> {
        let life = self.life.take().ok_or("no node runs")?;
        let (status, talk) = life.stop()?;
        let mut losses = odd_talk(&talk);
        if !status.success() {
            losses.push(format!("stopped in order, it ended with {status}: {}", tail(&talk)));
        }
        self.report.round("the last stop, in order", 0, losses);
        let told: usize = self.workers.iter().map(|worker| worker.acknowledged.len()).sum();
        let count = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::SeqCst);
        let report = &mut self.report;
        report.fact("statements acknowledged", told);
        report.fact("events acknowledged", count(&self.meter.events));
        report.fact("retried after a crash", count(&self.meter.retried));
        report.fact("retried by ten connections at once", count(&self.meter.retried_by_ten));
        report.fact("lives of the node", self.lives);
        report.fact("indexes emptied and rebuilt", self.rebuilt);
        report.fact("stops by a damaged index before it was rebuilt", self.stopped_by_index);
        self.damages.tell(report);
        Ok(())
    }

    fn say(&self, text: &str) {
        if self.options.talk {
            eprintln!("{text}");
        }
    }
}

/// A client of a node that says it is ready.
pub(super) fn client(ready: &Value, cast: Arc<Cast>) -> Result<Client, Broken> {
    let url = ready["url"].as_str().ok_or("the ready file names no address")?;
    Ok(Client::new(url, cast))
}

/// Whether a node ended because it met damage in its index.
fn stopped_by_index(code: Option<i32>, talk: &str) -> bool {
    code == Some(EXIT_FAULT) && tells_of_index(talk)
}

/// Whether a node says that it met damage in its index.
fn tells_of_index(talk: &str) -> bool {
    talk.contains("index") && talk.contains("damage")
}

/// The end of a node's talk.
pub(super) fn tail(talk: &str) -> String {
    let lines: Vec<&str> = talk.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

/// Waits until a checkpoint of the index begins to be written: its evidence takes its place.
fn await_checkpoint(store: &Path) {
    let evidence = store.join("index-evidence");
    let written = || fs::metadata(&evidence).and_then(|found| found.modified()).ok();
    let before = written();
    eventually(CHECKPOINT_WAIT, || (written() != before).then_some(()));
}
