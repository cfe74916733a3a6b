//! `races`: 14 platforms at four nodes want the same invoices at the same moment, over gRPC and by the client crate.
//!
//! In one round everybody locks everything; in the next nodes are killed meanwhile; in the last leases are short, nodes
//! are killed, and half of the platforms vanish in the midst of it, with what they have won and with calls that nobody
//! hears the end of: others win it when the leases have run out, and who comes back late is refused. Every answer is
//! kept. At the end the four chains are replayed and read once more with a rule of their own: one holder at a time, each
//! loser told who, since when, until when and by which leaf.

mod ledger;
mod platforms;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chain::genesis::Genesis;
use client::Node;
use tokio::runtime::{Builder, Runtime};
use workload::{Consortium, Shape};

use super::binary::Binary;
use super::four::{Archive, Four, NODES};
use super::seed::Seed;
use super::{Broken, Report};

use ledger::Ledger;
use platforms::{Gone, Invoice, Outcome, Platforms, Terms, Told};

/// Platforms, each with a mandate of every buyer.
const PLATFORMS: usize = 14;
/// Sellers and buyers: who they are does not matter here.
const SELLERS: usize = 10;
const BUYERS: usize = 10;
/// A node is killed at most so long after the race began, or the last one was back, ms.
const KILL_MS_MAX: u64 = 400;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed.
    pub seed: u64,
    /// Invoices of each round.
    pub invoices: usize,
    /// Calls that each platform has under way.
    pub at_once: usize,
    /// The leases of the last round, seconds.
    pub lease_s: u32,
    /// Say what happens while it happens, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form.
    pub fn long(binary: Binary, seed: u64, invoices: usize) -> Self {
        Self { binary, seed, invoices, at_once: 16, lease_s: 15, talk: true }
    }

    /// The short form.
    pub fn short(binary: Binary, seed: u64) -> Self {
        Self { binary, seed, invoices: 30, at_once: 4, lease_s: 3, talk: false }
    }
}

/// Runs the rounds.
///
/// # Errors
/// What kept the trial from being carried out; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let directory = tempfile::Builder::new().prefix("einvoice-races-").tempdir()?;
    let mut seed = Seed::new(options.seed);
    let places = Four::on_loopback(&mut seed)?;
    let agencies = workload::consortium::AGENCIES.iter().zip(&places);
    let nodes: Vec<Node> =
        agencies.map(|((id, _), place)| Node::new(format!("http://{}", place.grpc), format!("{id}-1"))).collect();
    let shape = Shape { sellers: SELLERS, buyers: BUYERS, claimants: PLATFORMS, ..Shape::default() };
    let numbers = [options.seed, SELLERS as u64, BUYERS as u64, PLATFORMS as u64];
    let named = ["--seed", "--sellers", "--buyers", "--claimants"].into_iter().zip(numbers);
    let what: Vec<String> = named.flat_map(|(name, number)| [name.to_owned(), number.to_string()]).collect();
    let mut four = Four::generate(&options.binary, directory.path(), &places, &what)?;
    let all: Vec<usize> = (0..NODES).collect();
    all.iter().try_for_each(|place| four.start(*place))?;
    four.until_ready(&all)?;
    let chain = Genesis::parse(&std::fs::read(&four.genesis)?)?.chain_id();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let consortium = Consortium::new(options.seed, shape);
    let platforms = Arc::new(runtime.block_on(Platforms::connect(consortium, chain, &nodes))?);
    let report = Report::new("races", options.seed);
    let (told, alone) = (Vec::new(), BTreeMap::new());
    let mut trial = Trial { options, seed, four, runtime, platforms, report, told, alone, rounds: 0, killed: 0 };
    let outcome = trial.rounds().and_then(|()| trial.end());
    Ok(trial.report.end(outcome, directory))
}

struct Trial<'a> {
    options: &'a Options,
    seed: Seed,
    four: Four,
    runtime: Runtime,
    platforms: Arc<Platforms>,
    report: Report,
    /// Every answer.
    told: Vec<Told>,
    /// The invoices, and whether each is locked once and no more; else it is closed once and no more.
    alone: BTreeMap<String, bool>,
    rounds: u64,
    killed: u64,
}

impl Trial<'_> {
    fn rounds(&mut self) -> Result<(), Broken> {
        let terms = Terms { at_once: self.options.at_once, lease_s: None, closes: false };
        for (what, kills) in [("everybody locks everything", false), ("the same under kill -9", true)] {
            let (round, invoices) = self.invoices()?;
            let race = Arc::clone(&self.platforms).race(round, invoices.clone(), terms);
            let outcomes = self.race(what, kills, &invoices, true, race)?;
            self.one_winner_each(what, &invoices, &outcomes);
        }
        let (round, invoices) = self.invoices()?;
        let mut gone: Vec<usize> = (0..PLATFORMS).collect();
        while gone.len() > PLATFORMS / 2 {
            gone.swap_remove(self.seed.place(gone.len()));
        }
        let (seed, answers) = (&mut self.seed, invoices.len());
        let gone = gone.into_iter().map(|platform| Gone { platform, after: seed.place(answers) });
        let gone: Vec<Gone> = gone.collect();
        let terms = Terms { lease_s: Some(self.options.lease_s), ..terms };
        let race = Arc::clone(&self.platforms).vanish(round, invoices.clone(), gone.clone(), terms);
        let outcomes = self.race("half of them vanish, under kill -9", true, &invoices, false, race)?;
        let is_gone = |platform: usize| gone.iter().any(|gone| gone.platform == platform);
        let lost = outcomes.iter().filter(|told| told.won() && is_gone(told.platform)).count();
        self.report.fact("locks of those who vanished, won by others later", lost);
        Ok(())
    }

    fn invoices(&mut self) -> Result<(u64, Vec<Invoice>), Broken> {
        self.rounds += 1;
        let invoices = self.runtime.block_on(self.platforms.issue(self.rounds, self.options.invoices))?;
        // A lock at a node that has not got the invoice yet would be refused for that.
        self.four.until_level()?;
        Ok((self.rounds, invoices))
    }

    /// Carries a race through, while nodes are killed or not; gives what everybody was told.
    fn race(
        &mut self,
        what: &str,
        kills: bool,
        invoices: &[Invoice],
        alone: bool,
        race: impl Future<Output = Vec<Outcome>> + Send,
    ) -> Result<Vec<Told>, Broken> {
        let (began, racing, before) = (Instant::now(), AtomicBool::new(true), self.killed);
        let (four, seed, killed, runtime) = (&mut self.four, &mut self.seed, &mut self.killed, &self.runtime);
        let (outcomes, killing) = thread::scope(|scope| {
            let raced = scope.spawn(|| {
                let outcomes = runtime.block_on(race);
                racing.store(false, Ordering::SeqCst);
                outcomes
            });
            let killing = if kills { killing(four, seed, &racing, killed) } else { Ok(()) };
            (raced.join(), killing)
        });
        killing?;
        let outcomes = outcomes.map_err(|panic| super::panic_text(&*panic))?;
        let killed = self.killed - before;
        let (mut told, mut losses) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Ok(answer) => told.push(answer),
                Err(loss) => losses.push(loss),
            }
        }
        if kills && killed == 0 {
            losses.push("the race was over before anybody was killed".to_owned());
        }
        if self.options.talk {
            let (took, lost) = (began.elapsed().as_millis(), losses.len());
            eprintln!("{what}: {} answers, {killed} kills, {took} ms, {lost} losses", told.len());
        }
        self.alone.extend(invoices.iter().map(|invoice| (invoice.id.clone(), alone)));
        self.report.fact(&format!("{what}, ms"), began.elapsed().as_millis());
        self.report.round(what, killed, losses);
        self.told.extend(told.iter().cloned());
        Ok(told)
    }

    /// Exactly one of all was told that it has the invoice, and all others that this one has.
    fn one_winner_each(&mut self, what: &str, invoices: &[Invoice], told: &[Told]) {
        let mut losses = Vec::new();
        for invoice in invoices {
            let answers: Vec<&Told> = told.iter().filter(|told| told.invoice == invoice.id).collect();
            let winners: Vec<&str> =
                answers.iter().filter(|told| told.won()).map(|told| self.platforms.name(told.platform)).collect();
            let [winner] = winners[..] else {
                losses.push(format!("{} was won by {winners:?}", invoice.id));
                continue;
            };
            let misled = answers.iter().filter(|told| match &told.answer {
                platforms::Answer::Accepted(_) => false,
                platforms::Answer::Refused(_, standing) => {
                    standing.as_ref().is_none_or(|standing| standing.holder != winner)
                }
            });
            let misled: Vec<_> = misled.map(|told| &told.answer).collect();
            if answers.len() != PLATFORMS || !misled.is_empty() {
                let count = answers.len();
                losses.push(format!("{}: {winner} won of {count} who tried; otherwise told: {misled:?}", invoice.id));
            }
        }
        self.report.losses_of(what, losses);
    }

    /// Stops all, and holds the four chains against each other and against every answer.
    fn end(&mut self) -> Result<(), Broken> {
        self.four.until_level()?;
        let (archives, mut losses) = self.four.archives()?;
        let mut first: Option<Ledger> = None;
        for Archive { organisation, path } in &archives {
            let ledger = Ledger::read(path)?;
            losses.extend(ledger.check(&self.told).into_iter().map(|loss| format!("{organisation}: {loss}")));
            match &first {
                Some(first) if first.blocks != ledger.blocks => {
                    losses.push(format!("{organisation} has another chain"))
                }
                Some(_) => {}
                None => first = Some(ledger),
            }
        }
        let ledger = first.ok_or("no chain could be read")?;
        for (invoice, alone) in &self.alone {
            let found = ledger.invoices.get(invoice).map(|of| (of.tries, of.won, of.closed)).unwrap_or_default();
            let as_it_must_be = match found {
                (tries, won, closed) if *alone => (tries, won, closed) == (PLATFORMS as u64, 1, 0),
                (tries, won, closed) => tries >= won && won >= 1 && closed == 1,
            };
            if !as_it_must_be {
                losses.push(format!("{invoice} was tried, won and closed {found:?} times"));
            }
        }
        let unheard = self.platforms.unheard(&self.told);
        if unheard.is_empty() {
            losses.push("nobody vanished in the middle of a call".to_owned());
        }
        let decided = unheard.iter().filter(|statement| ledger.holds(statement)).count();
        self.report.fact("calls of which those who vanished never heard", unheard.len());
        self.report.fact("of these on the ledger", decided);
        self.report.round("four chains replayed at the end", 0, losses);
        self.report.fact("chains replayed and held against all answers", archives.len());
        self.report.fact("invoices", self.alone.len());
        self.report.fact("answers, each as it stands on the ledger", self.told.len());
        self.report.fact("blocks", ledger.blocks.len());
        self.report.fact("lives of the nodes", self.four.lives);
        Ok(())
    }
}

/// Kills one or two nodes, again and again, and starts them, until the race is over.
fn killing(four: &mut Four, seed: &mut Seed, racing: &AtomicBool, killed: &mut u64) -> Result<(), Broken> {
    loop {
        // The moment of the kill, nothing is waited for.
        thread::sleep(Duration::from_micros(seed.below(KILL_MS_MAX * 1_000)));
        if !racing.load(Ordering::SeqCst) {
            return Ok(());
        }
        let count = if seed.happens(30) { 2 } else { 1 };
        let mut victims: Vec<usize> = (0..NODES).collect();
        while victims.len() > count {
            victims.swap_remove(seed.place(victims.len()));
        }
        four.kill(&victims)?;
        *killed += victims.len() as u64;
        victims.iter().try_for_each(|place| four.start(*place))?;
        four.until_ready(&(0..NODES).collect::<Vec<_>>())?;
    }
}
