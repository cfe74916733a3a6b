//! Honest clients: some organisations that go on issuing, reimbursing and reading, at an ordinary pace, and how they are
//! served; and one of them that sends ten times as much as all others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chain::statement::Mode;
use client::Error;
use client::messages::ListInvoicesRequest;
use serde_json::{Value, json};

use crate::platform::Platform;
use crate::trial::client::{Client, REQUEST};
use crate::trial::load::{Came, Meter, Worker};
use crate::trial::seed::Seed;

/// How long an honest client rests between two requests.
const PACE: Duration = Duration::from_millis(20);

/// What is read, and as whom: by a party, by another, and by nobody in particular.
const READS: [(&str, Option<&str>); 4] = [
    ("/v1/invoices?limit=20", Some("demo-shop")),
    ("/v1/checkpoints/latest", None),
    ("/v1/invoices?limit=20", Some("demo-buyer")),
    ("/v1/status", None),
];

/// Issues for the shop in its own name: the one that sends too much.
const HOT: &str = "demo-isp";

/// How the honest were served for a while.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    /// Times until answers came, sorted, µs.
    times_us: Vec<u64>,
    /// Requests that were told to come again later.
    pub(super) refused: u64,
    /// Requests that nobody answered, by what became of them.
    lost: BTreeMap<String, u64>,
    /// Answers that were wrong.
    pub(super) wrong: Vec<String>,
}

impl Served {
    /// Requests that were answered.
    pub(super) fn done(&self) -> u64 {
        self.times_us.len() as u64
    }

    /// The time below which so many percent of the answers came.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let place = (self.times_us.len() * percent / 100).min(self.times_us.len().saturating_sub(1));
        Duration::from_micros(self.times_us.get(place).copied().unwrap_or(0))
    }

    fn with(mut self, other: Self) -> Self {
        self.times_us.extend(other.times_us);
        self.wrong.extend(other.wrong);
        for (why, count) in other.lost {
            *self.lost.entry(why).or_default() += count;
        }
        Self { refused: self.refused + other.refused, ..self }
    }

    /// Requests that nobody answered.
    pub(super) fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// The same by what became of them.
    pub(super) fn lost_by(&self) -> String {
        self.lost.iter().map(|(why, count)| format!("{count} × {why}")).collect::<Vec<_>>().join(", ")
    }

    fn lose(&mut self, why: String) {
        *self.lost.entry(why).or_default() += 1;
    }

    fn took(&mut self, began: Instant) {
        self.times_us.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// The honest clients.
pub(super) struct Honest {
    /// Those who issue, lock and close, with what they were told.
    pub(super) writers: Vec<Worker>,
    /// What they count together.
    pub(super) meter: Meter,
    readers: usize,
    /// Reads over gRPC.
    platform: Platform,
}

impl Honest {
    /// So many of each kind, and one over gRPC.
    pub(super) fn new(writers: usize, readers: usize, platform: Platform, seed: &Seed) -> Self {
        let writers = (0..writers).map(|number| Worker::new(number, seed)).collect();
        Self { writers, meter: Meter::default(), readers, platform }
    }

    /// Goes on while something else does.
    pub(super) fn meanwhile<T>(&mut self, client: &Client, goes_on: impl FnOnce() -> T) -> (Served, T) {
        let going = AtomicBool::new(true);
        let (meter, readers, platform) = (&self.meter, self.readers, &self.platform);
        let writers = &mut self.writers;
        thread::scope(|scope| {
            let going = &going;
            let writing = writers.iter_mut().map(|worker| {
                let client = client.another();
                scope.spawn(move || write(worker, &client, meter, going))
            });
            let reading = (0..readers).map(|number| scope.spawn(move || read(client, number, going)));
            let mut threads: Vec<_> =
                writing.collect::<Vec<_>>().into_iter().chain(reading.collect::<Vec<_>>()).collect();
            threads.push(scope.spawn(|| list(platform, going)));
            let came_out = goes_on();
            going.store(false, Ordering::SeqCst);
            let served = threads.into_iter().map(|thread| thread.join().expect("the honest do not panic"));
            let mut served = served.fold(Served::default(), Served::with);
            served.times_us.sort_unstable();
            (served, came_out)
        })
    }
}

/// Writes on one connection that is kept.
fn write(worker: &mut Worker, client: &Client, meter: &Meter, going: &AtomicBool) -> Served {
    let mut served = Served::default();
    while going.load(Ordering::SeqCst) {
        let began = Instant::now();
        match worker.once(client, meter) {
            Came::Settled => served.took(began),
            Came::PutOff => served.refused += 1,
            Came::Unanswered(why) => served.lose(format!("writing: {why}")),
        }
        // The pace of an honest client, nothing is waited for.
        thread::sleep(PACE);
    }
    served
}

/// Reads, each time on a connection of its own.
fn read(client: &Client, number: usize, going: &AtomicBool) -> Served {
    let mut served = Served::default();
    for (path, organisation) in READS.iter().cycle().skip(number) {
        if !going.load(Ordering::SeqCst) {
            break;
        }
        let began = Instant::now();
        match client.another().get(path, *organisation) {
            Err(why) => served.lose(format!("reading: {why}")),
            // Before its first block a node has no checkpoint, and says so.
            Ok(answer) if answer.status == 200 || (answer.status, *organisation) == (404, None) => served.took(began),
            Ok(answer) if [429, 503].contains(&answer.status) => served.refused += 1,
            Ok(answer) => served.wrong.push(format!("{path} was answered {}: {}", answer.status, answer.text())),
        }
        thread::sleep(PACE);
    }
    served
}

/// Lists invoices over gRPC, on one connection, again by itself when that breaks.
fn list(platform: &Platform, going: &AtomicBool) -> Served {
    let mut served = Served::default();
    while going.load(Ordering::SeqCst) {
        let began = Instant::now();
        let mut pages =
            platform.client.invoices(ListInvoicesRequest { page_size: 20, ..ListInvoicesRequest::default() });
        match platform.run(pages.next()) {
            Ok(_) => served.took(began),
            Err(Error::Unavailable { last, .. }) => served.lose(format!("listing over gRPC: {last:?}")),
            Err(error) => served.wrong.push(format!("listing over gRPC: {error}: {error:?}")),
        }
        thread::sleep(PACE);
    }
    served
}

/// What the hot organisation did.
#[derive(Debug, Default)]
pub(super) struct Hot {
    /// Statements it sent.
    pub(super) sent: AtomicU64,
    /// Of these, how many were not taken: too many, no room, no answer.
    pub(super) refused: AtomicU64,
}

impl Hot {
    /// Sends from so many connections, as fast as answers come, for as long as it goes on.
    pub(super) fn rush(&self, client: &Client, connections: usize, run: u64, going: &AtomicBool) {
        let sample: Value = serde_json::from_str(invoice::samples::all()[0].json).expect("samples are JSON");
        thread::scope(|scope| {
            for connection in 0..connections {
                let (client, mut document) = (client.another(), sample.clone());
                scope.spawn(move || {
                    for number in 0_u64.. {
                        if !going.load(Ordering::SeqCst) {
                            break;
                        }
                        let name = format!("hot-{run}-{connection}-{number}");
                        document["reference"] = json!(name);
                        let event = json!({"issue": {"document": document}}).to_string();
                        let statement = client.cast().statement(HOT, &name, Mode::All, &[event]);
                        self.sent.fetch_add(1, Ordering::Relaxed);
                        let answer = client.submit(&statement, &[], REQUEST);
                        if !answer.is_ok_and(|answer| answer.status == 201) {
                            self.refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
    }
}
