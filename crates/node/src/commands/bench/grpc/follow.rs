//! Many who follow the ledger at one node, and how soon each of them has each event.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use client::messages::{LedgerEvent, SubscribeRequest};
use client::{Signed, Subscription};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use workload::consortium::{AGENCIES, AUDITOR};

use super::doors::Doors;
use super::{Course, Watch, clients};
use crate::commands::bench::recorder::{histogram, latency, micros};
use crate::commands::bench::report::{Following, Report};
use crate::commands::bench::supply::Supply;
use crate::commands::bench::{Args, Load};
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

/// Streams of one connection; nodes take 256 calls on one when nothing else is configured.
const STREAMS: usize = 100;
/// Events of one run: each follower keeps a bit for each.
const EVENTS_MAX: u64 = 1_000_000;
/// For how long the last events are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether all have come.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long events took.
struct Delays {
    /// From the time of the block.
    from_block: Histogram<u64>,
    /// From the answer to whoever sent the statement.
    from_answer: Histogram<u64>,
}

/// What all followers share.
struct Board {
    /// The size of the log before anything was sent. An event is told from others by its leaf: which one of its statement
    /// it is, the feed does not say.
    begin: u64,
    /// The statements that were sent, and when their answers came.
    sent: Mutex<BTreeMap<String, Option<Instant>>>,
    delays: Mutex<Delays>,
    /// Events sent that were decided.
    events: AtomicU64,
    /// Arrivals, those of one event at one follower once.
    arrived: AtomicU64,
    /// Arrivals of what had arrived before.
    twice: AtomicU64,
}

impl Board {
    fn new(begin: u64) -> Arc<Self> {
        let delays = Delays { from_block: histogram(), from_answer: histogram() };
        Arc::new(Self {
            begin,
            sent: Mutex::default(),
            delays: Mutex::new(delays),
            events: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            twice: AtomicU64::new(0),
        })
    }

    fn sent(&self) -> MutexGuard<'_, BTreeMap<String, Option<Instant>>> {
        self.sent.lock().expect("nothing panics while it looks for a statement")
    }

    /// Takes note of an event at a follower, who has seen those of `seen`.
    fn arrive(&self, event: &LedgerEvent, seen: &mut Vec<u64>) {
        let now = Instant::now();
        let leaf = event.outcome.as_ref().map_or(0, |outcome| outcome.leaf_index);
        // Somebody else's, or of the warm-up.
        let Some(answered) = self.sent().get(&event.statement_id).copied() else { return };
        let Some(number) = leaf.checked_sub(self.begin) else { return };
        if !mark(seen, number) {
            self.twice.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let since_block = machine_us().saturating_sub(u64::try_from(event.time_ms).unwrap_or(0) * 1_000);
        let since_answer = answered.map_or(Duration::ZERO, |answered| now.saturating_duration_since(answered));
        let mut delays = self.delays.lock().expect("nothing panics while it takes note");
        delays.from_block.saturating_record(since_block);
        delays.from_answer.saturating_record(micros(since_answer));
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    /// How many arrivals are missing.
    fn missing(&self, followers: u64) -> u64 {
        let expected = self.events.load(Ordering::Relaxed).saturating_mul(followers);
        expected.saturating_sub(self.arrived.load(Ordering::Relaxed))
    }
}

/// Marks a number; false when it was marked before.
fn mark(seen: &mut Vec<u64>, number: u64) -> bool {
    let (word, bit) = (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64));
    if seen.len() <= word {
        seen.resize(word.saturating_add(1), 0);
    }
    let fresh = seen[word] & bit == 0;
    seen[word] |= bit;
    fresh
}

/// The machine's time, microseconds since 1970 in UTC.
fn machine_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Measures how soon events arrive.
pub(super) async fn run(args: &Args, doors: &Arc<Doors>, output: &Output) -> Result<Report, Failure> {
    if args.events() > EVENTS_MAX {
        return Err(Failure::text(
            Exit::Usage,
            format!("follow {} events: expected at most {EVENTS_MAX}", args.events()),
        ));
    }
    let load = Load::prepare(args, Arc::clone(&doors.consortium), doors.chain.clone(), output)?;
    let (warm_up, supply, limit) = (Arc::new(load.warm_up), Arc::new(load.supply), Duration::from_secs(args.seconds));
    drive(args, doors, warm_up, args.warm_up_statements(), None, limit, &Board::new(doors.log_before())).await;
    let watch = Watch::begin(args);
    let board = Board::new(doors.log_before());
    let subscriptions = subscribe(args, doors).await.or_exit(Exit::Refused)?;
    let count = u64::try_from(subscriptions.len()).context("count who follow")?;
    let mut followers = JoinSet::new();
    for subscription in subscriptions {
        followers.spawn(follow(subscription, Arc::clone(&board)));
    }
    let course = drive(args, doors, supply, args.statements(), args.rate, limit, &board).await;
    let until = Instant::now() + PATIENCE;
    while board.missing(count) > 0 && Instant::now() < until {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // Whoever follows does so until it fails.
    while let Some(ended) = followers.try_join_next() {
        let error = ended.map_or_else(|error| error.to_string(), |error| format!("{error:#}"));
        course.recorder.failed(|| format!("one ceased to follow: {error}"));
    }
    let cpu_us = watch.cpu_us();
    let mut report = Report::of(args, "grpc subscribe", clients(args), &course.recorder, cpu_us);
    report.resident_bytes_max = watch.end();
    let delays = board.delays.lock().expect("nothing panics while it takes note");
    let (arrived, twice) = (board.arrived.load(Ordering::Relaxed), board.twice.load(Ordering::Relaxed));
    let missed = board.missing(count);
    report.failed += missed + twice;
    report.following = Some(Following {
        subscribers: count,
        arrived,
        missed,
        twice,
        cpu_us_per_arrival: cpu_us.map(|cpu_us| cpu_us / arrived.max(1)),
        from_block: latency(&delays.from_block),
        from_answer: latency(&delays.from_answer),
    });
    Ok(report)
}

/// Begins to follow, as those who see everything, at the first node.
async fn subscribe(args: &Args, doors: &Doors) -> anyhow::Result<Vec<Subscription>> {
    let readers: Vec<&str> = AGENCIES.iter().map(|(id, _)| *id).chain([AUDITOR]).collect();
    let count = usize::from(args.grpc.subscribers);
    let mut subscriptions = Vec::with_capacity(count);
    for (place, reader) in readers.iter().enumerate() {
        // The first ones take what does not divide.
        let own = count / readers.len() + usize::from(place < count % readers.len());
        for begin in (0..own).step_by(STREAMS) {
            let client = doors.connect(reader, 0).await?;
            for _ in begin..own.min(begin + STREAMS) {
                let following = client.subscribe(SubscribeRequest::default()).await;
                subscriptions.push(following.with_context(|| format!("follow as {reader}"))?);
            }
        }
    }
    Ok(subscriptions)
}

/// One who follows until that fails; says why it does.
async fn follow(mut subscription: Subscription, board: Arc<Board>) -> anyhow::Error {
    let mut seen = Vec::new();
    loop {
        match subscription.next().await {
            Ok(event) => board.arrive(&event, &mut seen),
            Err(error) => return error.into(),
        }
    }
}

/// Sends every statement, to all nodes in turn, and waits until it is decided.
async fn drive(
    args: &Args,
    doors: &Arc<Doors>,
    supply: Arc<Supply>,
    count: u64,
    rate: Option<u32>,
    limit: Duration,
    board: &Arc<Board>,
) -> Arc<Course> {
    let course = Course::new(count, rate, limit);
    let (doors, board) = (Arc::clone(doors), Arc::clone(board));
    let call = move |_| {
        let (doors, board, supply) = (Arc::clone(&doors), Arc::clone(&board), Arc::clone(&supply));
        async move {
            let (place, bytes) = supply.next()?.ok_or_else(|| anyhow!("there are no more statements"))?;
            let signed = Signed::parse(&String::from_utf8(bytes).context("read a statement")?)?;
            let id = signed.id().to_string();
            // Before it is sent: its events may arrive before its answer.
            board.sent().insert(id.clone(), None);
            doors.any(place).decide(&signed).await.context("issue")?;
            if let Some(answered) = board.sent().get_mut(&id) {
                *answered = Some(Instant::now());
            }
            board.events.fetch_add(supply.events, Ordering::Relaxed);
            Ok(supply.events)
        }
    };
    course.run(clients(args), call).await;
    course
}

#[cfg(test)]
mod tests {
    use client::messages::EventOutcome;

    use super::*;

    #[test]
    fn every_event_counts_once_for_each_who_follows_and_those_of_others_not_at_all() {
        let board = Board::new(100);
        board.sent().insert("a".to_owned(), Some(Instant::now()));
        board.events.fetch_add(2, Ordering::Relaxed);
        // As nodes send it: which event of the statement it is, stays 0.
        let event = |statement: &str, leaf_index| LedgerEvent {
            statement_id: statement.to_owned(),
            outcome: Some(EventOutcome { leaf_index, ..EventOutcome::default() }),
            ..LedgerEvent::default()
        };
        let (mut one, mut other) = (Vec::new(), Vec::new());
        board.arrive(&event("a", 170), &mut one);
        board.arrive(&event("a", 171), &mut one);
        board.arrive(&event("a", 170), &mut other);
        board.arrive(&event("b", 172), &mut other);
        assert_eq!((board.missing(2), board.twice.load(Ordering::Relaxed)), (1, 0));
        board.arrive(&event("a", 170), &mut other);
        assert_eq!((board.missing(2), board.twice.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(board.delays.lock().unwrap().from_answer.len(), 3);
    }
}
