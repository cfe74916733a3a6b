//! `hostile`: a node whose door is attacked while honest organisations go on.
//!
//! Each attack is tried from one address and from many, which never give up, at the REST door and at the gRPC door; and
//! one organisation sends ten times as much as everybody else. Meanwhile the honest issue, reimburse and read, at both
//! doors. The node must keep its memory within what its limits add up to, lose nothing it acknowledged, and serve the
//! honest.

mod attack;
mod grpc;
mod honest;

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use client::Node;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use super::binary::{Binary, Life, odd_talk};
use super::cast::Cast;
use super::checks;
use super::client::Client;
use super::crash::{self, tail};
use super::seed::Seed;
use super::soak::resident_kib;
use super::{Broken, Report};
use crate::platform::Platform;
use attack::{Attack, Crowd, Did};
use honest::{Honest, Hot, Served};

/// How often the node's memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Open files that this program needs besides the attackers' connections.
const OTHER_FILES: u64 = 1_000;

/// What of honest requests may be lost, in a thousand: a connection that is closed in the very moment in which a request
/// is sent on it answers nothing.
const LOST_MAX: u64 = 10;

/// The attack of an organisation that sends too much.
const HOT: &str = "hot organisation";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: Binary,
    /// The seed of the honest clients.
    pub seed: u64,
    /// Connections of the attackers.
    pub connections: u32,
    /// How long each attack lasts.
    pub lasts: Duration,
    /// How long the honest are watched before it.
    pub before: Duration,
    /// Honest clients that write, and as many that read.
    pub honest: usize,
    /// Written to the node's configuration.
    pub config: &'static str,
    /// How long an honest request may take, for 99 of 100.
    pub p99_max: Duration,
    /// One attack alone, by its name.
    pub only: Option<String>,
    /// Say what happens while it happens, on stderr.
    pub talk: bool,
}

impl Options {
    /// The long form, against the limits a node has by default.
    pub fn long(binary: Binary, seed: u64, connections: u32, seconds: u64) -> Self {
        let (lasts, before) = (Duration::from_secs(seconds), Duration::from_secs(3));
        // Attackers, node and honest share one machine here, and its few cores.
        let p99_max = Duration::from_secs(5);
        Self { binary, seed, connections, lasts, before, honest: 4, config: "", p99_max, only: None, talk: true }
    }

    /// The short form, against limits that some hundred connections exhaust.
    pub fn short(binary: Binary, seed: u64) -> Self {
        let (lasts, before) = (Duration::from_millis(1_200), Duration::from_millis(300));
        let config = "[http]\nconnections-max = 128\nconnections-an-address-max = 64\nbodies-bytes-max = 8388608\n\
                      bodies-bytes-an-address-max = 4194304\n\
                      [grpc]\nconnections-max = 64\nconnections-an-address-max = 32\n";
        // Tests run beside each other, so nobody can promise more than an answer.
        let p99_max = Duration::from_secs(20);
        Self { binary, seed, connections: 300, lasts, before, honest: 3, config, p99_max, only: None, talk: false }
    }
}

/// Attacks.
///
/// # Errors
/// What kept the trial from being carried out; losses are in the report.
pub fn run(options: &Options) -> Result<Report, Broken> {
    raise_open_files(u64::from(options.connections) + OTHER_FILES)?;
    let directory = tempfile::Builder::new().prefix("einvoice-hostile-").tempdir()?;
    let mut trial = Trial::begin(options, directory.path())?;
    let outcome = trial.attacks().and_then(|()| trial.end());
    Ok(trial.report.end(outcome, directory))
}

/// Lets this process, and the node it starts, have so many open files, as far as the system allows.
fn raise_open_files(needed: u64) -> Result<(), Broken> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < needed) {
        return Err(format!("{needed} open files are needed and {maximum:?} allowed; see `ulimit -Hn`").into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })?)
}

/// A member that is no friend of the others.
const MEMBER: &str = "demo-auditor";

/// What a node's limits add up to: bytes that an attack may add to its memory.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    bodies: u64,
    connections: u64,
    /// Connections of the gRPC door, calls that nobody knows yet or that are being refused, and answers not taken.
    grpc: u64,
    mempool: u64,
    /// What the store keeps in memory of what was read, and of the ledger that was written: it grows with the honest.
    store: u64,
}

impl Allowed {
    /// A connection has a buffer of each direction, the part of a body that does not count, and its task.
    const CONNECTION_BYTES: u64 = 96 * 1024;
    /// Over gRPC, also what its peer may send ahead.
    const GRPC_CONNECTION_BYTES: u64 = Self::CONNECTION_BYTES + 256 * 1024;
    /// A call that is under way has a head, which may have 8 KiB, and its task.
    const CALL_BYTES: u64 = 24 * 1024;
    /// Calls that are not logged in yet, and those that are being refused.
    const STRANGERS: u64 = 4_096 + 1_024;

    /// Of what the node says about itself.
    fn of(limits: &Value) -> Result<Self, Broken> {
        let limit = |name: &str| limits[name].as_u64().ok_or_else(|| format!("the node names no limit {name}"));
        let connections = limit("connections")?.saturating_mul(Self::CONNECTION_BYTES);
        let grpc = limit("grpc_connections")?.saturating_mul(Self::GRPC_CONNECTION_BYTES)
            + limit("grpc_answers_bytes")?
            + (Self::STRANGERS + limit("grpc_calls_an_organisation")?).saturating_mul(Self::CALL_BYTES);
        let store = store::Options::new("");
        let caches = store.ledger_cache_bytes + store.segment_cache_bytes + store.index_cache_bytes;
        let store = store.ledger_reopen_bytes + caches as u64;
        let (bodies, mempool) = (limit("bodies_bytes")?, limit("mempool_bytes")?);
        Ok(Self { bodies, connections, grpc, mempool, store })
    }

    fn bytes(self, against: Against) -> u64 {
        // Twice: a body that grows is moved, and pieces of every size leave gaps in the allocator's pages. That freed
        // pages are given back a moment later makes little of it.
        let both = (self.bodies + self.connections) * 2 + self.store;
        match against {
            Against::Rest => both,
            Against::Grpc => both + self.grpc,
            Against::Mempool => both + self.mempool,
        }
    }
}

/// What is attacked, and may need memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Against {
    Rest,
    Grpc,
    Mempool,
}

struct Trial<'a> {
    options: &'a Options,
    data: PathBuf,
    life: Life,
    client: Client,
    door: SocketAddr,
    grpc_door: SocketAddr,
    allowed: Allowed,
    honest: Honest,
    report: Report,
}

/// What was seen of one attack.
struct Seen {
    calm: Served,
    meanwhile: Served,
    before_kib: u64,
    peak_kib: u64,
}

impl<'a> Trial<'a> {
    fn begin(options: &'a Options, directory: &Path) -> Result<Self, Broken> {
        let data = directory.join("node");
        let serves = |life: &mut Life| life.serves()?.map_err(|status| Broken::from(format!("it ended: {status}")));
        let mut life = options.binary.dev(&data, &directory.join("life-0.log"))?;
        serves(&mut life)?;
        life.stop()?;
        File::options().append(true).open(data.join("node.toml"))?.write_all(options.config.as_bytes())?;
        let mut life = options.binary.dev(&data, &directory.join("life-1.log"))?;
        let ready = serves(&mut life)?;
        let client = crash::client(&ready, Arc::new(Cast::of(&ready)?))?;
        client.ask_time()?;
        let door = client.url().trim_start_matches("http://").parse()?;
        let grpc_url = ready["grpc_url"].as_str().ok_or("the ready file names no gRPC door")?;
        let grpc_door = grpc_url.trim_start_matches("http://").parse()?;
        let allowed = Allowed::of(&client.get("/v1/limits", None)?.json()["limits"])?;
        let platform = platform(&ready, grpc_url)?;
        let honest = Honest::new(options.honest, options.honest, platform, &Seed::new(options.seed));
        let mut report = Report::new("hostile", options.seed);
        report.curve.push(row([
            "attack",
            "from",
            "opened",
            "ended",
            "sent MiB",
            "RSS",
            "peak",
            "limit MiB",
            "calm p50",
            "p99",
            "p50",
            "p99 ms",
            "done",
            "refused",
            "lost",
        ]));
        Ok(Self { options, data, life, client, door, grpc_door, allowed, honest, report })
    }

    fn attacks(&mut self) -> Result<(), Broken> {
        let connections = self.options.connections;
        let wanted = |name: &str| self.options.only.as_ref().is_none_or(|only| only == name);
        let (attacks, hot) = (Attack::all().into_iter().filter(|attack| wanted(attack.name)), wanted(HOT));
        for attack in attacks.collect::<Vec<_>>() {
            for addresses in [1, connections.div_ceil(64), connections] {
                let crowd = Crowd { connections, addresses };
                let door = self.door;
                let (seen, did) = self.watch(|_, going| attack.rush(door, crowd, going))?;
                self.judge(attack.name, &addresses.to_string(), &seen, did, Against::Rest)?;
            }
        }
        let member = self.client.cast().token(MEMBER);
        for attack in Attack::all_grpc(&member).into_iter().filter(|attack| wanted(attack.name)) {
            for addresses in [1, connections] {
                let (crowd, door) = (Crowd { connections, addresses }, self.grpc_door);
                let (seen, did) = self.watch(|_, going| attack.rush(door, crowd, going))?;
                self.judge(attack.name, &addresses.to_string(), &seen, did, Against::Grpc)?;
            }
        }
        if !hot {
            return Ok(());
        }
        let (hot, run) = (Hot::default(), self.report.rows.len() as u64);
        let connections = self.options.honest * 10;
        let (seen, ()) = self.watch(|client, going| hot.rush(client, connections, run, going))?;
        let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let did = Did { opened: count(&hot.sent), ended: count(&hot.refused), ..Did::default() };
        self.judge(HOT, "-", &seen, did, Against::Mempool)
    }

    /// Watches the honest before an attack and while it lasts, and the node's memory.
    fn watch<T: Send>(&mut self, attack: impl FnOnce(&Client, &AtomicBool) -> T + Send) -> Result<(Seen, T), Broken> {
        let (client, process, options) = (&self.client, self.life.id(), self.options);
        let (calm, ()) = self.honest.meanwhile(client, || thread::sleep(options.before));
        let before_kib = resident_kib(process);
        let (going, watching) = (AtomicBool::new(true), AtomicBool::new(true));
        let ((meanwhile, did), peak_kib) = thread::scope(|scope| {
            let memory = scope.spawn(|| {
                let mut peak = 0;
                while watching.load(Ordering::SeqCst) {
                    peak = peak.max(resident_kib(process));
                    thread::sleep(LOOK);
                }
                peak
            });
            let seen = self.honest.meanwhile(client, || {
                thread::scope(|scope| {
                    let attack = scope.spawn(|| attack(client, &going));
                    thread::sleep(options.lasts);
                    going.store(false, Ordering::SeqCst);
                    attack.join().expect("attackers do not panic")
                })
            });
            watching.store(false, Ordering::SeqCst);
            (seen, memory.join().expect("looking does not panic"))
        });
        if !self.life.runs() {
            return Err(format!("the node ended: {}", tail(&self.life.talk())).into());
        }
        Ok((Seen { calm, meanwhile, before_kib, peak_kib }, did))
    }

    /// Holds what was seen against what must be, and asks again for everything that was acknowledged.
    fn judge(&mut self, name: &str, from: &str, seen: &Seen, did: Did, against: Against) -> Result<(), Broken> {
        let Seen { calm, meanwhile, before_kib, peak_kib } = seen;
        let limit_kib = before_kib + self.allowed.bytes(against) / 1_024;
        let mut losses = calm.wrong.clone();
        losses.extend(meanwhile.wrong.iter().cloned());
        if *peak_kib > limit_kib {
            losses.push(format!("from {from}: {peak_kib} KiB of memory, and its limits add up to {limit_kib}"));
        }
        let p99 = meanwhile.percentile(99);
        if meanwhile.done() == 0 || p99 > self.options.p99_max {
            losses.push(format!("from {from}: {} honest requests were served, p99 {p99:?}", meanwhile.done()));
        }
        let lost = meanwhile.lost();
        if lost > 0 {
            self.report.fact(&format!("lost: {name} from {from}"), meanwhile.lost_by());
        }
        if lost > meanwhile.done() * LOST_MAX / 1_000 + 1 {
            losses.push(format!("from {from}: {lost} honest requests got no answer"));
        }
        if did.failed > did.opened / 100 {
            losses.push(format!("from {from}: {} connections could not even be begun", did.failed));
        }
        losses.extend(checks::acknowledged(&mut self.honest.writers, &self.client, &self.honest.meter, 20)?);
        let ms = |time: Duration| format!("{}.{}", time.as_millis(), time.subsec_micros() / 100 % 10);
        let number = |number: u64| number.to_string();
        let line = row([
            name,
            from,
            &number(did.opened),
            &number(did.ended),
            &number(did.sent >> 20),
            &number(before_kib >> 10),
            &number(peak_kib >> 10),
            &number(limit_kib >> 10),
            &ms(calm.percentile(50)),
            &ms(calm.percentile(99)),
            &ms(meanwhile.percentile(50)),
            &ms(p99),
            &number(meanwhile.done()),
            &number(meanwhile.refused),
            &number(lost),
        ]);
        if self.options.talk {
            eprintln!("{line}");
        }
        self.report.curve.push(line);
        self.report.round(name, did.opened, losses);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        let genesis = self.data.join("genesis.json");
        let archive = self.data.with_extension("archive");
        let (binary, writers) = (&self.options.binary, &self.honest.writers);
        let mut losses = checks::chain(binary, &self.client, &genesis, &archive, "replay", writers)?;
        losses.extend(odd_talk(&self.life.talk()));
        self.report.round("export and replay at the end", 0, losses);
        let told: usize = writers.iter().map(|worker| worker.acknowledged.len()).sum();
        let Allowed { bodies, connections, grpc, mempool, store } = self.allowed;
        let report = &mut self.report;
        report.fact("honest statements acknowledged", told);
        report.fact("honest statements sent again", self.honest.meter.retried.load(Ordering::SeqCst));
        report.fact("  of these by ten at once", self.honest.meter.retried_by_ten.load(Ordering::SeqCst));
        let per = Allowed::CONNECTION_BYTES >> 10;
        report.fact(
            "the limit of memory",
            format!(
                "RSS before, twice bodies-bytes-max {} MiB, twice connections-max of {per} KiB each {} MiB, the store {} MiB; \
                 over gRPC {} MiB for connections and calls, for the hot organisation mempool.bytes-max {} MiB too",
                bodies >> 20,
                connections >> 20,
                store >> 20,
                grpc >> 20,
                mempool >> 20
            ),
        );
        report.fact("the limit of honest requests", format!("p99 {:?}, lost {LOST_MAX} of 1000", self.options.p99_max));
        fs::remove_file(archive)?;
        Ok(())
    }
}

/// An honest platform at the gRPC door.
fn platform(ready: &Value, grpc_url: &str) -> Result<Platform, Broken> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("the ready file lacks a text");
    let node = Node::new(grpc_url, text(&ready["node_id"])?);
    Ok(Platform::connect(vec![node], &text(&ready["keys"]["demo-platform-a"]["login"])?))
}

fn row(cells: [&str; 15]) -> String {
    let [name, rest @ ..] = cells;
    rest.iter().fold(format!("{name:<18}"), |line, cell| format!("{line} {cell:>9}"))
}
