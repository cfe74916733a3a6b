//! `soak`: a long life of a node under mixed load, with restarts in order and by kill, as a curve over time.
//!
//! Between the restarts invoices are issued, locked, given up and closed; once in a while the month
//! ends, and the shop files what it issued. At the end the whole chain is replayed and held against
//! every answer that was given.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chain::statement::Mode;
use serde_json::{Value, json};

use super::archive::Chain;
use super::binary::{Binary, Life, PATIENCE, eventually, odd_talk};
use super::cast::{Cast, parse_time};
use super::checks;
use super::client::{Client, REQUEST};
use super::crash::{client, tail};
use super::load::{Meter, Worker};
use super::seed::Seed;
use super::{Broken, Report};

/// A day, ms.
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// A month in any case, ms.
const MONTH_MS: u64 = 32 * 24 * 3_600 * 1_000;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed.
    pub seed: u64,
    /// How many points the curve has.
    pub points: u64,
    /// How long each of them is.
    pub point: Duration,
    /// How many connections load the node.
    pub workers: usize,
    /// Say what happens while it happens, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form: a point a minute.
    pub fn long(binary: Binary, seed: u64, minutes: u64) -> Self {
        Self { binary, seed, points: minutes, point: Duration::from_secs(60), workers: 16, talk: true }
    }

    /// The short form.
    pub fn short(binary: Binary, seed: u64) -> Self {
        Self { binary, seed, points: 3, point: Duration::from_millis(600), workers: 4, talk: false }
    }
}

/// Lives.
///
/// # Errors
/// What kept the trial from being carried out; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let directory = tempfile::Builder::new().prefix("einvoice-soak-").tempdir()?;
    let mut soak = Soak::begin(options, directory.path())?;
    let outcome = (0..options.points).try_for_each(|point| soak.point(point)).and_then(|()| soak.end());
    Ok(soak.report.end(outcome, directory))
}

struct Soak<'a> {
    options: &'a Options,
    seed: Seed,
    data: PathBuf,
    lives: u64,
    life: Option<Life>,
    client: Client,
    workers: Vec<Worker>,
    meter: Meter,
    report: Report,
    months: u64,
}

impl<'a> Soak<'a> {
    fn begin(options: &'a Options, directory: &Path) -> Result<Self, Broken> {
        let (seed, data) = (Seed::new(options.seed), directory.join("node"));
        let mut life = options.binary.dev(&data, &directory.join("life-0.log"))?;
        let ready = life.serves()?.map_err(|status| format!("the first start ended: {status}\n{}", life.talk()))?;
        let cast = Arc::new(Cast::of(&ready)?);
        let mut report = Report::new("soak", options.seed);
        let head = ["point", "events/s", "p50 ms", "p99 ms", "max ms", "RSS MiB", "disk MiB", "put off", "then"];
        report.curve.push(row(&head.map(str::to_owned)));
        let soak = Self {
            options,
            workers: (0..options.workers).map(|number| Worker::new(number, &seed)).collect(),
            seed,
            data,
            lives: 1,
            client: client(&ready, cast)?,
            life: Some(life),
            meter: Meter::default(),
            report,
            months: 0,
        };
        soak.client.ask_time()?;
        Ok(soak)
    }

    fn point(&mut self, point: u64) -> Result<(), Broken> {
        let mut life = self.life.take().ok_or("no node runs")?;
        let (events, put_off) = (self.meter.events.load(Ordering::SeqCst), self.meter.put_off.load(Ordering::SeqCst));
        let began = Instant::now();
        let kills = self.seed.happens(30);
        let restarts = kills || self.seed.happens(20);
        let month_ends = !kills && (point + 1).is_multiple_of(5.min(self.options.points));
        let going = AtomicBool::new(true);
        let (client, meter, length) = (&self.client, &self.meter, self.options.point);
        let workers = &mut self.workers;
        let mut rss = 0;
        thread::scope(|scope| {
            let going = &going;
            for worker in workers.iter_mut() {
                let client = client.another();
                scope.spawn(move || worker.work(&client, going, meter));
            }
            let mut advanced = Instant::now();
            while began.elapsed() < length && life.runs() {
                // The pace of the load, nothing is waited for.
                thread::sleep(Duration::from_millis(20));
                if advanced.elapsed() > length / 12 {
                    advanced = Instant::now();
                    drop(client.advance_to_checkpoint());
                }
            }
            rss = resident_kib(life.id());
            if kills {
                drop(life.kill());
            } else {
                self.life = Some(life);
            }
            going.store(false, Ordering::SeqCst);
        });
        let elapsed_ms = began.elapsed().as_millis().max(1) as u64;
        let events = (self.meter.events.load(Ordering::SeqCst) - events) * 1_000 / elapsed_ms;
        let put_off = self.meter.put_off.load(Ordering::SeqCst) - put_off;
        let mut losses = self.losses();
        let mut then = String::new();
        if month_ends {
            losses.extend(self.month()?);
            then.push_str("month filed ");
        }
        if restarts {
            losses.extend(self.restart()?);
            then.push_str(if kills { "kill -9" } else { "restart" });
        }
        let [p50, p99, max] = self.percentiles();
        let disk = disk_bytes(&self.data)? >> 20;
        let numbers = [point + 1, events].map(|number| number.to_string()).into_iter();
        let numbers = numbers.chain([p50, p99, max]).chain([rss >> 10, disk, put_off].map(|number| number.to_string()));
        let line = row(&numbers.chain([then]).collect::<Vec<_>>());
        if self.options.talk {
            eprintln!("{line}");
        }
        self.report.curve.push(line);
        let what = if kills {
            "ended by kill -9"
        } else if restarts {
            "ended by a restart in order"
        } else {
            "went on"
        };
        self.report.round(what, u64::from(restarts), losses);
        Ok(())
    }

    fn settle(&mut self) -> Result<Vec<String>, Broken> {
        checks::acknowledged(&mut self.workers, &self.client, &self.meter, 100)
    }

    fn losses(&mut self) -> Vec<String> {
        self.workers.iter_mut().flat_map(Worker::take_losses).collect()
    }

    /// p50, p99 and the longest wait for finality since the last point, ms.
    fn percentiles(&self) -> [String; 3] {
        let taken = std::mem::take(&mut *self.meter.latencies_us.lock().expect("no worker panics while it holds this"));
        let mut sorted = taken;
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        [50, 99, 100]
            .map(|percent| at(percent).map_or_else(|| "-".to_owned(), |us| format!("{}.{}", us / 1_000, us / 100 % 10)))
    }

    /// Ends the node if it still runs, starts it again, and checks what every worker was told.
    fn restart(&mut self) -> Result<Vec<String>, Broken> {
        let mut losses = Vec::new();
        if let Some(life) = self.life.take() {
            let (status, talk) = life.stop()?;
            losses.extend(odd_talk(&talk));
            if !status.success() {
                losses.push(format!("stopped in order, it ended with {status}: {}", tail(&talk)));
            }
        }
        let log = self.data.with_file_name(format!("life-{}.log", self.lives));
        self.lives += 1;
        let mut life = self.options.binary.dev(&self.data, &log)?;
        let ready = life.serves()?.map_err(|status| format!("it does not start: {status}: {}", tail(&life.talk())))?;
        losses.extend(odd_talk(&life.talk()));
        self.client = client(&ready, Arc::clone(self.client.cast()))?;
        self.client.ask_time()?;
        self.life = Some(life);
        losses.extend(self.settle()?);
        Ok(losses)
    }

    /// The month ends: the clock goes on, and the shop files what the ledger holds.
    fn month(&mut self) -> Result<Vec<String>, Broken> {
        let mut losses = Vec::new();
        // Statements are signed for hours, so none may be on its way when a month passes.
        while self.workers.iter().any(|worker| worker.waiting() > 0) {
            losses.extend(self.settle()?);
        }
        let now = self.client.ask_time()?;
        let period = now["block_time"].as_str().and_then(|time| time.get(..7)).ok_or("no block time")?.to_owned();
        self.client.advance(MONTH_MS)?;
        // A block that is under way has the time before: a statement signed for the new one would be too far ahead in it.
        let of_new_time = || {
            let status = self.client.ask_time().ok()?;
            let time = parse_time(status["block_time"].as_str()?)?;
            (time > self.client.cast().now_ms() - DAY_MS).then_some(())
        };
        eventually(PATIENCE, of_new_time).ok_or("no block of the new month is made")?;
        for worker in &mut self.workers {
            worker.forget_invoices();
        }
        let month = self.client.get(&format!("/v1/filings/demo-shop/{period}"), Some("demo-shop"))?;
        let found = month.json();
        if month.status != 200 || found["invoices"].as_u64().unwrap_or(0) == 0 {
            losses.push(format!("the month {period} cannot be read: {} {}", month.status, month.text()));
            return Ok(losses);
        }
        let (invoices, output) = (&found["invoices"], &found["output"]);
        let event: Value = json!({"file": {
            "seller": "demo-shop", "period": period, "invoices": invoices, "output": output}});
        let nonce = format!("file-{period}");
        let statement = self.client.cast().statement("demo-shop", &nonce, Mode::All, &[event.to_string()]);
        let answer = self.client.submit(&statement, &[], REQUEST)?;
        if answer.status != 201 {
            losses.push(format!("filing {period} was answered {}: {}", answer.status, answer.text()));
        }
        self.months += u64::from(answer.status == 201);
        Ok(losses)
    }

    fn end(&mut self) -> Result<(), Broken> {
        let mut losses = self.restart()?;
        let life = self.life.take().ok_or("no node runs")?;
        let (status, talk) = life.stop()?;
        losses.extend(odd_talk(&talk));
        if !status.success() {
            losses.push(format!("stopped in order, it ended with {status}: {}", tail(&talk)));
        }
        let archive = self.data.with_extension("archive");
        let path = |path: &Path| path.display().to_string();
        let binary = &self.options.binary;
        let exported = binary.run(["export", "--data", &path(&self.data), "--out", &path(&archive)])?;
        let genesis = path(&self.data.join("genesis.json"));
        let began = Instant::now();
        let verified = binary.run(["verify", &path(&archive), "--genesis", &genesis, "--level", "replay"])?;
        let took = began.elapsed();
        if exported.code != 0 || verified.code != 0 {
            let said = exported.stderr + &verified.stdout + &verified.stderr;
            losses.push(format!("export ended with {}, verify with {}: {said}", exported.code, verified.code));
        } else {
            let chain = Chain::read(&archive)?;
            losses.extend(chain.check(self.workers.iter().flat_map(|worker| &worker.acknowledged)));
            self.report.fact("blocks", chain.tip);
            self.report.fact("events on the chain", chain.leaves);
        }
        let told: usize = self.workers.iter().map(|worker| worker.acknowledged.len()).sum();
        self.report.round("export and replay at the end", 0, losses);
        self.report.fact("statements acknowledged", told);
        self.report.fact("months filed", self.months);
        self.report.fact("lives of the node", self.lives);
        self.report.fact("replay took, ms", took.as_millis());
        Ok(())
    }
}

fn row(cells: &[String]) -> String {
    cells.iter().map(|cell| format!("{cell:>9}")).collect::<Vec<_>>().join(" ")
}

/// The memory a process has in use, KiB; 0 when the system does not say.
pub(super) fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// The bytes that the files below a directory take on the disk.
fn disk_bytes(directory: &Path) -> Result<u64, Broken> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            // What is removed meanwhile takes nothing.
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                left.push(entry.path());
            }
        }
    }
    Ok(bytes)
}
