//! `full`: a node on a disk that fills up, stays full, and has room again.
//!
//! The disk is a small one in memory, which only root can make; the rest of it is taken by ballast.
//! While it is full writes are refused with the reason, reads go on, and nothing is lost; when there
//! is room again the node takes writes by itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::binary::{Binary, Life, PATIENCE, eventually, odd_talk};
use super::cast::Cast;
use super::checks;
use super::client::Client;
use super::crash::{client, tail};
use super::load::{Meter, Worker};
use super::seed::Seed;
use super::{Broken, Report};

/// The size of the disk, MiB.
const DISK_MIB: u64 = 160;

/// What the node keeps free, bytes.
const RESERVE_BYTES: u64 = 24 * 1024 * 1024;

/// What the ballast leaves at first, bytes: less than the reserve.
const LEFT_BYTES: u64 = 12 * 1024 * 1024;

/// For how long the node is loaded in each stage.
const STAGE: Duration = Duration::from_secs(3);

/// Exit code of a node that stopped on a fault of its own.
const EXIT_FAULT: i32 = 5;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed.
    pub seed: u64,
    /// How often the disk fills up.
    pub rounds: u64,
    /// How many connections load the node.
    pub workers: usize,
}

/// A small disk of its own, until it is dropped.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Makes one; the reason when this is not possible here.
    pub fn mount(path: &Path) -> Result<Self, String> {
        fs::create_dir(path).map_err(|error| error.to_string())?;
        let size = format!("size={DISK_MIB}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self { path: path.to_owned() }),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Fills it until nothing fits any more, then gives some bytes back.
    pub fn fill(&self, left: u64) -> Result<(), Broken> {
        let mut file = File::options().create(true).append(true).open(self.ballast())?;
        let block = vec![0x5a; 256 * 1024];
        while file.write_all(&block).is_ok() {}
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(left))?;
        Ok(())
    }

    /// Takes the ballast away.
    pub fn make_room(&self) -> Result<(), Broken> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever looks at what was left behind has the archive, which is elsewhere.
        drop(Command::new("umount").arg(&self.path).output());
    }
}

/// Fills the disk again and again.
///
/// # Errors
/// What kept the trial from being carried out; losses are in the report, and there it stands when no disk could be made.
pub fn run(options: &Options) -> Result<Report, Broken> {
    let directory = tempfile::Builder::new().prefix("einvoice-full-").tempdir()?;
    let mut report = Report::new("full", options.seed);
    let disk = match Disk::mount(&directory.path().join("disk")) {
        Ok(disk) => disk,
        Err(reason) => {
            report.skipped.push(format!("a full disk: a small disk cannot be made here, which needs root: {reason}"));
            return Ok(report);
        }
    };
    let mut trial = Trial::begin(options, directory.path(), disk)?;
    let outcome = (0..options.rounds).try_for_each(|_| trial.round(&mut report));
    if let Err(error) = outcome.and_then(|()| trial.end(&mut report)) {
        report.losses.push(format!("the trial broke off: {error}"));
        if let Some(life) = &trial.life {
            report.losses.push(tail(&life.talk()));
        }
    }
    Ok(report)
}

struct Trial<'a> {
    options: &'a Options,
    directory: PathBuf,
    disk: Disk,
    lives: u64,
    life: Option<Life>,
    client: Client,
    workers: Vec<Worker>,
    meter: Meter,
}

impl<'a> Trial<'a> {
    fn begin(options: &'a Options, directory: &Path, disk: Disk) -> Result<Self, Broken> {
        let data = disk.path.join("node");
        let mut life = options.binary.dev(&data, &directory.join("life-0.log"))?;
        let ready = life.serves()?.map_err(|status| format!("the first start ended: {status}: {}", life.talk()))?;
        life.stop()?;
        let mut config = File::options().append(true).open(data.join("node.toml"))?;
        config.write_all(format!("[store]\nreserve-bytes = {RESERVE_BYTES}\n").as_bytes())?;
        let seed = Seed::new(options.seed);
        let cast = Arc::new(Cast::of(&ready)?);
        let workers = (0..options.workers).map(|number| Worker::new(number, &seed)).collect();
        let client = client(&ready, cast)?;
        let (directory, meter) = (directory.to_owned(), Meter::default());
        let mut trial = Self { options, directory, disk, lives: 1, life: None, client, workers, meter };
        trial.start()?;
        Ok(trial)
    }

    fn start(&mut self) -> Result<(), Broken> {
        let started = self.try_start()?;
        started.map_err(|(status, talk)| format!("it does not start: {status:?}: {}", tail(&talk)))?;
        Ok(())
    }

    /// Starts; how it ended and what it said, when it did not.
    fn try_start(&mut self) -> Result<Result<(), (Option<i32>, String)>, Broken> {
        let log = self.directory.join(format!("life-{}.log", self.lives));
        self.lives += 1;
        let mut life = self.options.binary.dev(&self.disk.path.join("node"), &log)?;
        let ready = match life.serves()? {
            Ok(ready) => ready,
            Err(status) => return Ok(Err((status.code(), life.talk()))),
        };
        self.client = client(&ready, Arc::clone(self.client.cast()))?;
        self.client.ask_time()?;
        self.life = Some(life);
        Ok(Ok(()))
    }

    fn alive(&mut self) -> Result<(), Broken> {
        let life = self.life.as_mut().ok_or("no node runs")?;
        if life.runs() { Ok(()) } else { Err(format!("the node ended: {}", tail(&life.talk())).into()) }
    }

    /// Loads the node for a while, with checkpoints due.
    fn load(&mut self, length: Duration) -> Result<(), Broken> {
        let (client, meter, workers) = (&self.client, &self.meter, &mut self.workers);
        let going = AtomicBool::new(true);
        thread::scope(|scope| {
            let going = &going;
            for worker in workers.iter_mut() {
                let client = client.another();
                scope.spawn(move || worker.work(&client, going, meter));
            }
            let begun = Instant::now();
            while begun.elapsed() < length {
                // The pace of the load, nothing is waited for.
                thread::sleep(Duration::from_millis(200));
                drop(client.advance_to_checkpoint());
            }
            going.store(false, Ordering::SeqCst);
        });
        self.alive()
    }

    /// What the node says to one more statement.
    fn probe(&mut self) -> Result<(u16, String), Broken> {
        let mut prober = Worker::new(9_000 + usize::try_from(self.lives)?, &Seed::new(self.options.seed));
        let statement = prober.probe(&self.client);
        let answer = self.client.submit(&statement, &[], PATIENCE)?;
        Ok((answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned()))
    }

    fn round(&mut self, report: &mut Report) -> Result<(), Broken> {
        self.load(STAGE)?;
        let before = self.meter.events.load(Ordering::SeqCst);
        self.disk.fill(LEFT_BYTES)?;
        self.load(STAGE)?;
        let losses = self.refuses_writes_alone()?;
        report.round("the reserve is reached", 1, losses);
        let losses = self.start_on_full()?;
        report.round("a start on a full disk", 1, losses);
        // Not a byte is left, and checkpoints are due.
        self.disk.fill(0)?;
        self.load(STAGE)?;
        let losses = self.reads()?;
        report.round("not a byte is left", 1, losses);
        let losses = self.start_without_a_byte(report)?;
        report.round("a start without a byte left", 1, losses);
        self.disk.make_room()?;
        if self.life.is_none() {
            self.start()?;
        }
        let begun = Instant::now();
        let taken = eventually(PATIENCE, || matches!(self.probe(), Ok((200 | 201, _))).then_some(()));
        let losses = if taken.is_some() { Vec::new() } else { vec![format!("no writes: {:?}", self.probe())] };
        report.fact("writes were taken again after, ms", begun.elapsed().as_millis());
        self.load(STAGE)?;
        report.round("there is room again", 0, losses);
        self.life.take().ok_or("no node runs")?.kill()?;
        self.start()?;
        let mut losses = checks::acknowledged(&mut self.workers, &self.client, &self.meter, 100)?;
        if self.meter.events.load(Ordering::SeqCst) == before {
            losses.push("nothing was acknowledged after there was room again".to_owned());
        }
        report.round("kill -9 after that", 1, losses);
        Ok(())
    }

    /// A write is refused with the reason, and reads go on.
    fn refuses_writes_alone(&mut self) -> Result<Vec<String>, Broken> {
        let mut losses = Vec::new();
        match self.probe()? {
            (503, code) if code == "node.disk-full" => {}
            (status, code) => losses.push(format!("a write on a full disk was answered {status} {code}")),
        }
        losses.extend(self.reads()?);
        Ok(losses)
    }

    /// A start on a disk that is full already: the node serves what it has.
    fn start_on_full(&mut self) -> Result<Vec<String>, Broken> {
        self.life.take().ok_or("no node runs")?.kill()?;
        self.start()?;
        // The first block that does not fit tells it so.
        let told = eventually(PATIENCE, || matches!(self.probe(), Ok((503, _))).then_some(()));
        let mut losses = self.refuses_writes_alone()?;
        if told.is_none() {
            losses.push("started on a full disk, it took writes".to_owned());
        }
        Ok(losses)
    }

    /// Where somebody else took the reserve too, a database cannot even be opened: the node says so and ends.
    fn start_without_a_byte(&mut self, report: &mut Report) -> Result<Vec<String>, Broken> {
        self.life.take().ok_or("no node runs")?.kill()?;
        match self.try_start()? {
            Ok(()) => {
                report.fact("a start without a byte left", "serves");
                self.refuses_writes_alone()
            }
            Err((code, talk)) => {
                let said = talk.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
                report.fact("a start without a byte left", format!("ends with {code:?}: {said}"));
                let clear = code == Some(EXIT_FAULT) && said.contains("No space left");
                Ok(if clear { Vec::new() } else { vec![format!("it ended with {code:?}: {}", tail(&talk))] })
            }
        }
    }

    /// Reads go on: everything a worker was told is still to be had.
    fn reads(&mut self) -> Result<Vec<String>, Broken> {
        let mut losses = Vec::new();
        for worker in &self.workers {
            for told in worker.acknowledged.iter().rev().take(20) {
                losses.extend(told.check(&self.client, true)?);
            }
        }
        Ok(losses)
    }

    fn end(&mut self, report: &mut Report) -> Result<(), Broken> {
        let genesis = self.disk.path.join("node/genesis.json");
        let archive = self.directory.join("archive");
        let binary = &self.options.binary;
        let mut losses = checks::chain(binary, &self.client, &genesis, &archive, "replay", &self.workers)?;
        let (status, talk) = self.life.take().ok_or("no node runs")?.stop()?;
        losses.extend(odd_talk(&talk));
        if !status.success() {
            losses.push(format!("stopped in order, it ended with {status}: {}", tail(&talk)));
        }
        report.round("export and replay at the end", 0, losses);
        report.fact(
            "statements acknowledged",
            self.workers.iter().map(|worker| worker.acknowledged.len()).sum::<usize>(),
        );
        report.fact("answers that said later", self.meter.put_off.load(Ordering::SeqCst));
        Ok(())
    }
}
