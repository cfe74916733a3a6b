//! Drives a replica on sled to a million events and prints how speed, memory and disk develop.
//!
//! `million DIRECTORY [--events N] [--block N] [--rate N] [--flat] [--rebuild]`
//!
//! The statements are the life of invoices (issue, lock, renew, close, each some blocks after the one
//! before, each signed by itself), made between the blocks; their signatures count as verified, as
//! the mempool's do. Only proposing and committing is timed. Block time goes on as if `--rate` events
//! came a second (default 10,000); they do, unless `--flat` lets one block follow the other at once.
//! At the end the store is opened again, and with `--rebuild` its index is thrown away and rebuilt.
//! Speed is measured here and never asserted.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chain::key::PublicKey;
use chain::statement::Mode;
use ledger::admission::{Parsed, Verified};
use replica::mempool::Entry;
use replica::port::Store;
use replica::query::Admission;
use store::{Options, SledStore};
use tests::consortium::{Node, genesis, secret};
use tests::events::{claim, issue, lock};

/// Blocks between one step in an invoice's life and the next: more than a state checkpoint apart.
const STEP_BLOCKS: usize = 110;

/// Tenths of the load.
const PARTS: usize = 10;

struct Arguments {
    directory: PathBuf,
    events: usize,
    block: usize,
    rate: usize,
    flat: bool,
    rebuild: bool,
}

impl Arguments {
    fn read() -> Self {
        let mut words = std::env::args().skip(1);
        let directory = words.next().expect("a directory").into();
        let mut arguments =
            Self { directory, events: 1_000_000, block: 1_000, rate: 10_000, flat: false, rebuild: false };
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
            match word.as_str() {
                "--events" => arguments.events = number(),
                "--block" => arguments.block = number(),
                "--rate" => arguments.rate = number(),
                "--flat" => arguments.flat = true,
                "--rebuild" => arguments.rebuild = true,
                other => panic!("what is {other}?"),
            }
        }
        arguments
    }
}

/// Makes the events of one block after the other.
struct Author {
    per_step: usize,
    /// Invoices in the order of their numbers.
    issued: usize,
    code: String,
    first_number: u64,
    /// What the door found out about one statement of each organisation.
    seen: Vec<(String, Verified)>,
}

impl Author {
    fn invoice(&self, index: usize) -> String {
        format!("{}-{:08}", self.code, self.first_number + index as u64)
    }

    /// The events of a block: who signs, and what.
    fn block(&mut self, number: usize) -> Vec<(&'static str, String)> {
        let mut events = Vec::new();
        for index in 0..self.per_step {
            events.push(("shop", issue(&format!("2026-{:08}", self.issued + index))));
        }
        self.issued += self.per_step;
        for (age, kind) in [(1, "lock"), (2, "renew"), (3, "close")] {
            let Some(block) = number.checked_sub(age * STEP_BLOCKS) else { continue };
            for index in block * self.per_step..(block + 1) * self.per_step {
                let (invoice, name) = (self.invoice(index), format!("claim-{index}"));
                let event = if kind == "lock" { lock(&invoice, &name) } else { claim(kind, &invoice, &name, 1) };
                events.push(("platform-a", event));
            }
        }
        events
    }

    /// A statement as the mempool holds it, its signature taken for verified.
    fn entry(&mut self, node: &mut Node<SledStore>, organisation: &str, event: String) -> Entry {
        let bytes = node.statement(organisation, Mode::Each, &[event]);
        let known = self.seen.iter().find(|(known, _)| known == organisation);
        let Some((_, verified)) = known else {
            let Admission::Admitted(entry) = node.query.admit(&bytes, node.now_ms).expect("admissible") else {
                panic!("decided before");
            };
            self.seen.push((organisation.to_owned(), entry.verified.clone()));
            return *entry;
        };
        let parsed = Parsed::read(&bytes).expect("well-formed");
        let verified = Verified { statement: parsed.statement().id(), ..verified.clone() };
        Entry { parsed, verified }
    }
}

/// What is measured of one tenth.
#[derive(Default)]
struct Part {
    events: usize,
    busy: Duration,
    commit_cpu: Duration,
    proposals: Vec<Duration>,
    commits: Vec<Duration>,
}

fn main() {
    let arguments = Arguments::read();
    let directory = &arguments.directory;
    let mut node = start(directory);
    let first = arguments.block;
    println!(
        "{} cores; {} events in blocks of {first}, {} a second{}",
        std::thread::available_parallelism().map_or(0, usize::from),
        arguments.events,
        arguments.rate,
        if arguments.flat { " of block time, flat out" } else { "" }
    );
    println!(
        "{:>9} {:>8} {:>7} {:>7} | {:>6} {:>6} {:>6} | {:>6} {:>6} {:>6} | {:>5} {:>5} | {:>6} {:>6} {:>6}",
        "events",
        "ev/s",
        "own µs",
        "all µs",
        "prop50",
        "99",
        "max",
        "comm50",
        "99",
        "max",
        "RSS",
        "peak",
        "ledger",
        "index",
        "all"
    );
    load(&arguments, &mut node);
    let closing = Instant::now();
    node.replica.store().close().expect("closes");
    println!("close {:.2} s", closing.elapsed().as_secs_f64());
    let progress = node.replica.tip().progress.clone();
    drop(node);
    let reopening = Instant::now();
    let node = start(directory);
    println!("reopen {:.2} s, RSS {} MiB", reopening.elapsed().as_secs_f64(), memory().0);
    assert_eq!(node.replica.tip().progress, progress, "what was committed is there");
    node.replica.store().close().expect("closes");
    drop(node);
    if arguments.rebuild {
        fs::remove_dir_all(directory.join("index")).expect("there is an index");
        let (rebuilding, cpu) = (Instant::now(), process_cpu());
        let node = start(directory);
        let seconds = rebuilding.elapsed().as_secs_f64();
        let events = node.replica.tip().progress.log_size;
        let cpu = (process_cpu() - cpu).as_micros() as f64 / events as f64;
        let (rss, peak) = memory();
        println!(
            "rebuild {seconds:.1} s, {:.0} events/s, {cpu:.1} CPU µs an event, RSS {rss} MiB, peak {peak}",
            events as f64 / seconds
        );
        assert_eq!(node.replica.tip().progress, progress, "what was committed is there");
        node.replica.store().close().expect("closes");
    }
}

fn start(directory: &Path) -> Node<SledStore> {
    Node::start(genesis(|_| {}), Arc::new(SledStore::open(&Options::new(directory)).expect("opens")))
}

fn load(arguments: &Arguments, node: &mut Node<SledStore>) {
    let consensus: PublicKey = secret("tax-bureau", "consensus").public();
    let mut author =
        Author { per_step: arguments.block / 4, issued: 0, code: String::new(), first_number: 0, seen: Vec::new() };
    let begun = Instant::now();
    let first_ms = node.now_ms;
    let (mut done, mut part, mut other_cpu, mut part_cpu) = (0, Part::default(), Duration::ZERO, process_cpu());
    for number in 0.. {
        if done >= arguments.events {
            break;
        }
        let cpu = thread_cpu();
        let events = author.block(number);
        for (organisation, event) in events {
            let entry = author.entry(node, organisation, event);
            node.mempool.insert(entry).expect("there is room");
        }
        other_cpu += thread_cpu() - cpu;
        let due = Duration::from_secs_f64(done as f64 / arguments.rate as f64);
        node.now_ms = first_ms + i64::try_from(due.as_millis()).expect("small") + 1;
        if !arguments.flat {
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let (cpu, proposing) = (thread_cpu(), Instant::now());
        let proposal = node.replica.propose(node.now_ms, &consensus, &node.mempool).expect("proposes");
        assert_eq!(proposal.dropped, []);
        let certificate = node.certify(&proposal.block);
        part.proposals.push(proposing.elapsed());
        let committing = Instant::now();
        let committed = node.replica.commit(&certificate).expect("commits");
        part.commits.push(committing.elapsed());
        part.busy += proposing.elapsed();
        part.commit_cpu += thread_cpu() - cpu;
        node.mempool.remove(&committed.statements);
        part.events += committed.events;
        done += committed.events;
        if number == 0 {
            let outcome = node.query.event(0).expect("readable").expect("decided").outcome;
            assert_eq!(outcome.code, "accepted");
            let (code, digits) = outcome.subject.split_once('-').expect("a code and a number");
            (author.code, author.first_number) = (code.to_owned(), digits.parse().expect("digits"));
        }
        if part.events >= arguments.events / PARTS {
            let cpu = process_cpu();
            report(&arguments.directory, done, &mut part, (cpu - part_cpu).saturating_sub(other_cpu));
            (part, other_cpu, part_cpu) = (Part::default(), Duration::ZERO, cpu);
        }
    }
    let last = node.replica.tip().progress.log_size - 1;
    let outcome = node.query.event(last).expect("readable").expect("decided").outcome;
    println!("the last event was {}; {:.1} s in all", outcome.code, begun.elapsed().as_secs_f64());
}

fn report(directory: &Path, done: usize, part: &mut Part, cpu: Duration) {
    let micros = |time: Duration| time.as_micros() as f64 / part.events as f64;
    let (rss, peak) = memory();
    let mut line = format!(
        "{done:>9} {:>8.0} {:>7.1} {:>7.1} |",
        part.events as f64 / part.busy.as_secs_f64(),
        micros(part.commit_cpu),
        micros(cpu)
    );
    for times in [&mut part.proposals, &mut part.commits] {
        times.sort();
        for place in [times.len() / 2, times.len() * 99 / 100, times.len() - 1] {
            let _ = write!(line, " {:>6.1}", times[place].as_secs_f64() * 1e3);
        }
        line.push_str(" |");
    }
    let _ = write!(line, " {rss:>5} {peak:>5} |");
    for area in ["ledger", "index", ""] {
        let _ = write!(line, " {:>6.1}", disk_bytes(&directory.join(area)) as f64 / done as f64);
    }
    println!("{line}");
}

/// Bytes that a directory takes on the disk.
fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let bytes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}

/// MiB resident now and at most so far.
fn memory() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1_024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// CPU time of all threads so far.
fn process_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// CPU time of this thread so far.
fn thread_cpu() -> Duration {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(statistics.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or_default())
}
