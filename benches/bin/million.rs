//! Drives a replica on sled to a million events and prints how speed, memory and disk develop.
//!
//! `million DIRECTORY [--events N] [--block N] [--rate N] [--flat] [--rebuild] [--tables] [--pages]`
//!
//! The statements are the invented life of invoices (crate `workload`: 5,000 sellers, issue to close),
//! made between the blocks, each step some blocks after the one before; their signatures count as
//! verified, as the mempool's do. Only proposing and committing is timed. Block time goes on as if
//! `--rate` events came a second (default 10,000); they do, unless `--flat` lets one block follow the
//! other at once. What the inventing of invoices takes of memory is part of what is printed.
//! At the end the store is opened again, and with `--rebuild` its index is thrown away and rebuilt.
//! What the store says of its checkpoints goes to stderr. With `--tables` it also prints what each table of the index
//! holds; with `--pages` what checkpoints wrote of each in the last tenth, from keys kept in memory (see `benches::pages`).
//! Speed is measured here and never asserted.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::Cores;
use benches::pages::{Counted, Group, Written};
use chain::block::{Block, Body};
use chain::certificate::{CommitCertificate, sign_precommit};
use chain::hash::StatementId;
use chain::identity::{ChainId, OrganisationId};
use chain::suite::Suite;
use invoice::Date;
use ledger::admission::{Parsed, Verified};
use replica::index::Progress;
use replica::mempool::Entry;
use replica::port::{Direction, Store, Table};
use replica::query::Admission;
use replica::replica::Committed;
use store::{Options, SledStore};
use tests::consortium::{DAY, NOON, Node};
use workload::consortium::{Consortium, Shape, TAX_BUREAU};
use workload::{Answer, Life, Made, Signers, Ticket, Workload};

/// Blocks between one step in an invoice's life and the next: more than a state checkpoint apart.
const STEP_BLOCKS: usize = 110;

/// Tenths of the load.
const PARTS: usize = 10;

/// The node's allocator: memory and speed are its own only with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Arguments {
    directory: PathBuf,
    events: usize,
    block: usize,
    rate: usize,
    flat: bool,
    rebuild: bool,
    tables: bool,
    pages: bool,
}

impl Arguments {
    fn read() -> Self {
        let mut words = std::env::args().skip(1);
        let directory = words.next().expect("a directory").into();
        let mut arguments = Self {
            directory,
            events: 1_000_000,
            block: 1_000,
            rate: 10_000,
            flat: false,
            rebuild: false,
            tables: false,
            pages: false,
        };
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
            match word.as_str() {
                "--events" => arguments.events = number(),
                "--block" => arguments.block = number(),
                "--rate" => arguments.rate = number(),
                "--flat" => arguments.flat = true,
                "--rebuild" => arguments.rebuild = true,
                "--tables" => arguments.tables = true,
                "--pages" => arguments.pages = true,
                other => panic!("what is {other}?"),
            }
        }
        arguments
    }
}

/// Makes the statements of one block after the other.
struct Author {
    consortium: Arc<Consortium>,
    life: Life,
    /// What was answered in blocks that nobody has reacted to yet, the oldest first.
    answers: VecDeque<Vec<(Ticket, Vec<Answer>)>>,
    /// What the door found out about one statement of each organisation.
    seen: BTreeMap<OrganisationId, Verified>,
    /// The statements of the block under way.
    asked: BTreeMap<StatementId, Ticket>,
}

impl Author {
    fn new(consortium: Arc<Consortium>, chain: ChainId) -> Self {
        let date = Date::from_unix_ms(NOON).expect("a date");
        let workload = Workload::new(Arc::clone(&consortium), "million", date).expect("rates");
        let life = Life::new(workload, Signers::new(&consortium, chain));
        Self { consortium, life, answers: VecDeque::new(), seen: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Puts the statements of a block into the mempool.
    fn fill<S: Store>(&mut self, node: &Node<S>, events: usize) {
        if self.answers.len() >= STEP_BLOCKS {
            for (ticket, answers) in self.answers.pop_front().unwrap_or_default() {
                self.life.answered(ticket, &answers);
            }
        }
        let expires_at = u64::try_from(node.now_ms / 1_000).expect("after 1970") + 3_600;
        for _ in 0..events {
            let (ticket, made) = self.life.next(1, expires_at);
            let entry = self.entry(node, &made);
            self.asked.insert(entry.parsed.statement().id(), ticket);
            node.mempool.insert(entry).expect("there is room");
        }
    }

    /// A statement as the mempool holds it, its signature taken for verified.
    fn entry<S: Store>(&mut self, node: &Node<S>, made: &Made) -> Entry {
        let Some(verified) = self.seen.get(&made.organisation) else {
            let Admission::Admitted(entry) = node.query.admit(&made.bytes, node.now_ms).expect("admissible") else {
                panic!("decided before");
            };
            self.seen.insert(made.organisation.clone(), entry.verified.clone());
            return *entry;
        };
        let parsed = Parsed::read(&made.bytes).expect("well-formed");
        let verified = Verified { statement: parsed.statement().id(), ..verified.clone() };
        Entry { parsed, verified }
    }

    /// Takes in what came of a block; returns how many events were accepted.
    fn answered<S: Store>(&mut self, node: &Node<S>, committed: &Committed) -> usize {
        let body = node.replica.store().body(&committed.id).expect("readable").expect("kept");
        let body = Body::decode(&body).expect("a body");
        let mut answers = Vec::new();
        for (id, outcomes) in committed.statements.iter().zip(&body.outcomes) {
            let ticket = self.asked.remove(id).expect("asked for");
            answers.push((ticket, outcomes.iter().map(Answer::of).collect::<Vec<_>>()));
        }
        let accepted = answers.iter().flat_map(|(_, answers)| answers).filter(|answer| answer.code == "accepted");
        let accepted = accepted.count();
        self.answers.push_back(answers);
        accepted
    }

    fn certify(&self, chain: &ChainId, block: &Block) -> CommitCertificate {
        let (suite, height, id) = (Suite::Ed25519Sha256, block.header.height, block.header.id());
        let consensus = self.consortium.secret(TAX_BUREAU, "consensus-1");
        CommitCertificate::new(suite, height, 0, id, vec![sign_precommit(&consensus, chain, suite, height, 0, &id)])
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
    tracing_subscriber::fmt().with_env_filter("store=info").with_writer(std::io::stderr).init();
    let directory = &arguments.directory;
    let consortium = Arc::new(Consortium::new(1, Shape::default()));
    println!(
        "{} cores; {} events in blocks of {}, {} a second{}",
        std::thread::available_parallelism().map_or(0, usize::from),
        arguments.events,
        arguments.block,
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
    let progress = if arguments.pages {
        loaded(&arguments, &consortium, Counted::new(open(directory)), |store| print_pages(&store.take()))
    } else {
        loaded(&arguments, &consortium, open(directory), |_| {})
    };
    let reopening = Instant::now();
    let node = start(&consortium, directory);
    println!("reopen {:.2} s, RSS {} MiB", reopening.elapsed().as_secs_f64(), memory().0);
    assert_eq!(node.replica.tip().progress, progress, "what was committed is there");
    if arguments.tables {
        print_tables(&**node.replica.store(), progress.log_size);
    }
    node.replica.store().close().expect("closes");
    drop(node);
    if arguments.rebuild {
        fs::remove_dir_all(directory.join("index")).expect("there is an index");
        let (rebuilding, cpu) = (Instant::now(), process_cpu());
        let node = start(&consortium, directory);
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

fn open(directory: &Path) -> SledStore {
    SledStore::open(&Options::new(directory)).expect("opens")
}

fn start(consortium: &Consortium, directory: &Path) -> Node<SledStore> {
    start_on(consortium, open(directory))
}

fn start_on<S: Store>(consortium: &Consortium, store: S) -> Node<S> {
    let genesis = consortium.genesis(NOON - DAY, |_| {}).expect("a genesis");
    Node::start_with(genesis, Arc::new(store), Arc::new(Cores))
}

/// Loads a store and closes it; returns where the chain stood. `tenth` is called after each tenth of the load.
fn loaded<S: Store>(arguments: &Arguments, consortium: &Arc<Consortium>, store: S, tenth: impl Fn(&S)) -> Progress {
    let mut node = start_on(consortium, store);
    load(arguments, consortium, &mut node, tenth);
    println!("RSS {} MiB without the invented lives", memory().0);
    let closing = Instant::now();
    node.replica.store().close().expect("closes");
    println!("close {:.2} s", closing.elapsed().as_secs_f64());
    node.replica.tip().progress.clone()
}

fn load<S: Store>(arguments: &Arguments, consortium: &Arc<Consortium>, node: &mut Node<S>, tenth: impl Fn(&S)) {
    let chain = node.chain();
    let mut author = Author::new(Arc::clone(consortium), chain.clone());
    let consensus = consortium.secret(TAX_BUREAU, "consensus-1").public();
    let (begun, first_ms) = (Instant::now(), node.now_ms);
    let (mut done, mut accepted) = (0, 0);
    let (mut part, mut other_cpu, mut part_cpu) = (Part::default(), Duration::ZERO, process_cpu());
    while done < arguments.events {
        let due = Duration::from_secs_f64(done as f64 / arguments.rate as f64);
        node.now_ms = first_ms + i64::try_from(due.as_millis()).expect("small") + 1;
        let cpu = thread_cpu();
        author.fill(node, arguments.block);
        other_cpu += thread_cpu() - cpu;
        if !arguments.flat {
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let (cpu, proposing) = (thread_cpu(), Instant::now());
        let proposal = node.replica.propose(node.now_ms, &consensus, &node.mempool).expect("proposes");
        assert_eq!(proposal.dropped, []);
        let certificate = author.certify(&chain, &proposal.block);
        part.proposals.push(proposing.elapsed());
        let committing = Instant::now();
        let committed = node.replica.commit(&certificate).expect("commits");
        part.commits.push(committing.elapsed());
        part.busy += proposing.elapsed();
        part.commit_cpu += thread_cpu() - cpu;
        let cpu = thread_cpu();
        node.mempool.remove(&committed.statements);
        accepted += author.answered(node, &committed);
        other_cpu += thread_cpu() - cpu;
        part.events += committed.events;
        done += committed.events;
        if part.events >= arguments.events / PARTS {
            let cpu = process_cpu();
            report(&arguments.directory, done, &mut part, (cpu - part_cpu).saturating_sub(other_cpu));
            tenth(node.replica.store());
            (part, other_cpu, part_cpu) = (Part::default(), Duration::ZERO, cpu);
        }
    }
    println!("{accepted} of {done} events accepted; {:.1} s in all", begun.elapsed().as_secs_f64());
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

/// What each table of the index holds: rows, and bytes of keys and values, an event.
fn print_tables(store: &dyn Store, events: u64) {
    println!("{:<14} {:>10} {:>7} {:>8} {:>8}  (an event)", "table", "rows", "rows", "keys B", "values B");
    for table in Table::ALL {
        let (mut rows, mut keys, mut values, mut from) = (0_u64, 0, 0, Bound::Unbounded);
        loop {
            let found = store.scan(table, (from, Bound::Unbounded), Direction::Forward, 10_000).expect("readable");
            let Some((last, _)) = found.last() else { break };
            rows += found.len() as u64;
            keys += found.iter().map(|(key, _)| key.len()).sum::<usize>();
            values += found.iter().map(|(_, value)| value.len()).sum::<usize>();
            from = Bound::Excluded(last.clone());
        }
        let each = |number: f64| number / events as f64;
        let (keys, values) = (each(keys as f64), each(values as f64));
        println!("{:<14} {rows:>10} {:>7.2} {keys:>8.1} {values:>8.1}", format!("{table:?}"), each(rows as f64));
    }
}

/// What checkpoints wrote of each table since the last time, and what it holds, in pages.
fn print_pages(tables: &[(Group, Written)]) {
    let (rows, pages) = tables.iter().fold((0, 0), |sums, (_, one)| (sums.0 + one.rows, sums.1 + one.pages));
    println!("  {:<14} {rows:>10} rows {pages:>9} pages", "all tables");
    if rows == 0 {
        return;
    }
    for ((table, kind), Written { rows, pages, held }) in tables {
        let name = kind.map_or(format!("{table:?}"), |kind| format!("{table:?} {kind}"));
        println!("  {name:<14} {rows:>10} rows {pages:>9} pages, of {held} it has");
    }
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
