//! `engine`: the real engine of four validators and an observer, over a network in memory in which much goes wrong at once.
//!
//! Where `simulation` has one history a seed, here real threads, timers and channels run: a seed repeats what is done to
//! them and not what they do.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::report::Row;
use super::seed::Seed;
use super::{Broken, Report, panic_text};
use crate::chains;
use crate::events::{issue, lock};
use crate::network::{Faults, Network, Statement};

/// The validators' places.
const VALIDATORS: [usize; 4] = [0, 1, 2, 3];

/// Everybody's: the last is an observer.
const EVERYBODY: [usize; 5] = [0, 1, 2, 3, 4];

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// How often it says how far it is, runs.
const TALK_EVERY: u64 = 20;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first seed; the others follow it.
    pub seed: u64,
    /// How many runs, of a seed each.
    pub runs: u64,
    /// How many at once: each has five nodes.
    pub at_once: usize,
    /// Rounds of faults in a run.
    pub rounds: u64,
    /// Say how far it is, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form.
    pub fn long(seed: u64, runs: u64) -> Self {
        Self { seed, runs, at_once: 2, rounds: 8, talk: true }
    }

    /// The short form.
    pub fn short(seed: u64, runs: u64) -> Self {
        Self { rounds: 5, talk: false, ..Self::long(seed, runs) }
    }
}

/// What came of all runs.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    heights: u64,
    acknowledged: u64,
    duels: u64,
    /// By kind: in how many runs, and how often.
    faults: BTreeMap<&'static str, (u64, u64)>,
    losses: Vec<String>,
}

/// Runs the seeds.
///
/// # Errors
/// None so far: a run that ends in a panic is a loss.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let begun = Instant::now();
    let (tally, next) = (Mutex::new(Tally::default()), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..options.at_once.max(1) {
            scope.spawn(|| work(options, &next, &tally));
        }
    });
    let tally = tally.into_inner().expect("nothing panics while it holds the tally");
    let mut report = Report::new("engine", options.seed);
    let faults = tally.faults.values().map(|(_, count)| count).sum();
    report.rows.push(Row { what: "all runs".into(), rounds: tally.runs, faults, losses: tally.losses.len() as u64 });
    for (kind, (rounds, faults)) in &tally.faults {
        report.rows.push(Row { what: (*kind).to_owned(), rounds: *rounds, faults: *faults, losses: 0 });
    }
    report.fact("blocks decided", tally.heights);
    report.fact("statements acknowledged", tally.acknowledged);
    report.fact("duels of two platforms", tally.duels);
    report.fact("real time, s", begun.elapsed().as_secs());
    report.losses = tally.losses;
    Ok(report)
}

fn work(options: &Options, next: &AtomicU64, tally: &Mutex<Tally>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= options.runs {
            return;
        }
        let (seed, rounds) = (options.seed.wrapping_add(number), options.rounds);
        let life = move || {
            let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            threads.expect("a runtime starts").block_on(live(seed, rounds))
        };
        let outcome = thread::spawn(life).join();
        let mut tally = tally.lock().expect("nothing panics while it holds the tally");
        tally.runs += 1;
        match outcome {
            Ok(life) => tally.add(&life),
            Err(panic) => {
                let loss = format!("seed {seed}: {}", panic_text(&*panic));
                if options.talk {
                    eprintln!("{loss}");
                }
                tally.losses.push(loss);
            }
        }
        if options.talk && tally.runs.is_multiple_of(TALK_EVERY) {
            eprintln!("{} runs, {} losses", tally.runs, tally.losses.len());
        }
    }
}

impl Tally {
    fn add(&mut self, life: &Lived) {
        self.heights += life.heights;
        self.acknowledged += life.acknowledged;
        self.duels += life.duels;
        for (kind, count) in &life.faults {
            let (runs, faults) = self.faults.entry(kind).or_default();
            *runs += 1;
            *faults += count;
        }
    }
}

/// What a run came to.
#[derive(Debug, Default)]
struct Lived {
    heights: u64,
    acknowledged: u64,
    duels: u64,
    faults: BTreeMap<&'static str, u64>,
}

/// A consortium, and what is done to it.
struct Life {
    network: Network,
    dice: Seed,
    /// Issues that nobody has seen decided so far.
    issues: Vec<Statement>,
    /// Invoices that no duel was about.
    invoices: Vec<String>,
    /// The one validator that may lose its disk: who forgets what it signed counts as faulty, and one of four may be.
    forgetful: usize,
    lived: Lived,
}

async fn live(seed: u64, rounds: u64) -> Lived {
    let mut dice = Seed::new(seed);
    let network = Network::start(4, 1, dice.number(), Faults::default()).await;
    let forgetful = dice.place(VALIDATORS.len());
    let (issues, invoices) = (Vec::new(), Vec::new());
    let mut life = Life { network, dice, issues, invoices, forgetful, lived: Lived::default() };
    for round in 0..rounds {
        // One after the other without rest, so that they meet.
        for _ in 0..=life.dice.below(2) {
            life.fault().await;
        }
        life.post(round);
        let pause = life.dice.below(500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        life.duel(round);
        life.network.check();
        if life.dice.happens(60) {
            life.heal().await;
        }
    }
    life.end().await
}

impl Life {
    fn running(&self) -> Vec<usize> {
        EVERYBODY.into_iter().filter(|place| self.network.members[*place].runs()).collect()
    }

    async fn kill(&mut self, places: &[usize]) {
        for place in places {
            if self.network.members[*place].runs() {
                self.network.kill(*place).await;
            }
        }
    }

    async fn fault(&mut self) {
        let one = self.dice.place(VALIDATORS.len());
        let other = (one + 1 + self.dice.place(VALIDATORS.len() - 1)) % VALIDATORS.len();
        let rest: Vec<usize> = EVERYBODY.into_iter().filter(|place| *place != one).collect();
        let kind = match self.dice.below(10) {
            0 => {
                self.network.cables.part(&[one], &rest);
                "one cut off"
            }
            1 => {
                let rest: Vec<usize> = rest.into_iter().filter(|place| *place != other).collect();
                self.network.cables.part(&[one, other], &rest);
                "two and two"
            }
            2 => {
                self.network.cables.silence(&[one], &rest);
                "one not heard"
            }
            3 => {
                self.network.cables.silence(&rest, &[one]);
                "one deaf"
            }
            4 | 5 => {
                let (delay, lost, doubled) = (self.dice.below(60), self.dice.below(15), self.dice.below(15));
                let bad = Faults { delay_ms_max: delay, lost_percent: lost, doubled_percent: doubled };
                self.network.cables.worsen(bad);
                "frames lost, doubled and late"
            }
            6 => {
                self.kill(&[one]).await;
                "one killed"
            }
            7 => {
                self.kill(&[one, other]).await;
                "two killed"
            }
            8 => {
                self.kill(&EVERYBODY).await;
                "all killed"
            }
            _ if self.dice.happens(50) => {
                self.network.clock.advance(HOUR_MS);
                "an hour passes"
            }
            _ => {
                self.kill(&[self.forgetful]).await;
                self.network.wipe(self.forgetful);
                "a disk emptied"
            }
        };
        *self.lived.faults.entry(kind).or_default() += 1;
    }

    /// Lets everybody run and hear each other again.
    async fn heal(&mut self) {
        self.network.cables.heal();
        self.network.cables.worsen(Faults::default());
        for place in EVERYBODY {
            if !self.network.members[place].runs() {
                self.network.run(place).await;
            }
        }
    }

    /// Issues some invoices at whoever runs.
    fn post(&mut self, round: u64) {
        let running = self.running();
        for number in 0..=self.dice.below(3) {
            let statement = self.network.statement("shop", &issue(&format!("r-{round}-{number}")));
            if !running.is_empty() {
                self.network.members[running[self.dice.place(running.len())]].post(&statement);
                self.issues.push(statement);
            }
        }
    }

    /// Has two platforms lock one invoice, at two nodes if two run.
    fn duel(&mut self, round: u64) {
        let running = self.running();
        let Some(&first) = running.first() else { return };
        let reader = &self.network.members[first];
        let decided = reader.seen.acknowledged();
        let (known, unknown) = self.issues.drain(..).partition(|statement| decided.contains(&statement.id));
        let _: &Vec<Statement> = &known;
        self.issues = unknown;
        self.invoices.extend(known.iter().map(|statement| reader.subject(statement)));
        let Some(invoice) = self.invoices.pop() else { return };
        for platform in ["platform-a", "platform-b"] {
            let statement = self.network.statement(platform, &lock(&invoice, &format!("{platform}-{round}")));
            self.network.members[running[self.dice.place(running.len())]].post(&statement);
        }
        self.lived.duels += 1;
    }

    /// Heals everything, waits for what everybody must come to, and holds all chains against each other.
    async fn end(mut self) -> Lived {
        self.heal().await;
        for place in VALIDATORS {
            let statement = self.network.statement("shop", &issue(&format!("healed-{place}")));
            self.network.members[place].post(&statement);
            self.network.commit(&EVERYBODY, &statement).await;
        }
        let height = EVERYBODY.map(|place| self.network.members[place].seen.height()).into_iter().max();
        let height = height.expect("there are nodes");
        self.network.reach(&EVERYBODY, height).await;
        let members = &self.network.members;
        self.lived.heights = self.network.check();
        for member in members {
            assert_eq!(*member.seen.ended.lock().expect("nothing panics under it"), None, "a node gave up");
            let blocks = member.committed();
            assert_eq!(chains::verify(&self.network.genesis, &blocks), Ok(()));
            assert_eq!(chains::double_locks(&blocks), Vec::<String>::new());
        }
        self.lived.acknowledged = members[0].seen.acknowledged().len() as u64;
        // What is on its way through consensus may still be decided: states are compared where nodes stand alike.
        let states = || members.iter().map(|member| (member.seen.height(), member.state()));
        for (height, state) in states() {
            let same = states().filter(|(other, _)| *other == height);
            same.for_each(|(_, other)| assert_eq!(other, state, "two nodes differ in state at height {height}"));
        }
        let Self { network, lived, .. } = self;
        network.end().await;
        lived
    }
}
