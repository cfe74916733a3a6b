//! What a run measured, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::recorder::{Latency, Recorder};
use super::{Args, machine};
use crate::output;

/// What a run measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `embedded`, `rest`, or `grpc` and the kind of load.
    pub(super) mode: &'static str,
    /// Cores that this process may use.
    pub(super) cores: usize,
    /// The seed of the load.
    pub(super) seed: u64,
    /// Sellers of the consortium.
    pub(super) sellers: u32,
    /// Clients at once.
    pub(super) clients: usize,
    /// Events in one statement.
    pub(super) events_per_statement: u16,
    /// Statements a second that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<u32>,
    /// Invoices of one call, where a call checks many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch: Option<u64>,
    /// Events that became durable; of a load of checks, invoices that were checked.
    pub(super) events: u64,
    /// From the first send to the last answer, ms.
    pub(super) elapsed_ms: u64,
    /// Events a second.
    pub(super) events_per_second: u64,
    /// Statements that did not become durable, or calls that failed; and arrivals that did not come, or twice.
    pub(super) failed: u64,
    /// Why the first of them did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complaint: Option<String>,
    /// CPU time of the node for each event, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_us_per_event: Option<u64>,
    /// From the moment a statement was due to its finality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finality: Option<Latency>,
    /// From the moment a check was due to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Latency>,
    /// From proposing a block to its commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) commit: Option<Latency>,
    /// Events a second while the first tenth of them was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_tenth: Option<u64>,
    /// Events a second while the last tenth of them was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_tenth: Option<u64>,
    /// Peak of the node's resident memory during the run, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resident_bytes_max: Option<u64>,
    /// What the node takes on disk for each event, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk_bytes_per_event: Option<u64>,
    /// Closing the store and opening it again, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reopen_ms: Option<u64>,
    /// Building the index again, events a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rebuild_events_per_second: Option<u64>,
    /// Reads of invoices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reads: Option<Reading>,
    /// Those who followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) following: Option<Following>,
}

/// What those who followed measured.
#[derive(Debug, Serialize)]
pub(super) struct Following {
    /// Who followed at once.
    pub(super) subscribers: u64,
    /// Arrivals: each event at each of them.
    pub(super) arrived: u64,
    /// Arrivals that did not come.
    pub(super) missed: u64,
    /// Arrivals of what had arrived before.
    pub(super) twice: u64,
    /// CPU time of the nodes for each, microseconds; their whole work is divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_us_per_arrival: Option<u64>,
    /// From the time of the block, which is before its commit by what agreeing on it takes; in whole milliseconds of the
    /// proposer's clock.
    pub(super) from_block: Latency,
    /// From the answer to whoever had sent the statement, which is after the commit; nothing for those that were earlier.
    pub(super) from_answer: Latency,
}

/// What reading measured.
#[derive(Debug, Serialize)]
pub(super) struct Reading {
    /// Invoices that were read.
    pub(super) reads: u64,
    /// Reads a second.
    pub(super) reads_per_second: u64,
    /// CPU time of the node for each, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_us_per_read: Option<u64>,
    /// From request to answer.
    pub(super) latency: Latency,
    /// Reads that failed.
    pub(super) failed: u64,
}

impl Report {
    /// The report of the writes.
    pub(super) fn of(
        args: &Args,
        mode: &'static str,
        clients: usize,
        recorder: &Recorder,
        cpu_us: Option<u64>,
    ) -> Self {
        let (events, elapsed) = recorder.total();
        let (failed, complaint) = recorder.failures();
        let tenths = recorder.tenths();
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Self {
            mode,
            cores: machine::cores(),
            seed: args.what.seed,
            sellers: args.what.sellers,
            clients,
            events_per_statement: args.events_per_statement,
            rate: args.rate,
            batch: None,
            events,
            elapsed_ms,
            events_per_second: events * 1_000 / elapsed_ms.max(1),
            failed,
            complaint,
            cpu_us_per_event: cpu_us.map(|cpu_us| cpu_us / events.max(1)),
            finality: Some(recorder.latency()),
            answer: None,
            commit: None,
            first_tenth: tenths.map(|tenths| tenths.0),
            last_tenth: tenths.map(|tenths| tenths.1),
            resident_bytes_max: None,
            disk_bytes_per_event: None,
            reopen_ms: None,
            rebuild_events_per_second: None,
            reads: None,
            following: None,
        }
    }
}

impl output::Report for Report {
    fn text(&self) -> String {
        const MIB: u64 = 1024 * 1024;
        let mut text = format!(
            "load           {} node, {} clients, {} events a statement, seed {}, {} sellers, {} cores\n",
            self.mode, self.clients, self.events_per_statement, self.seed, self.sellers, self.cores
        );
        let mut row = |name: &str, value: String| {
            writeln!(text, "{name:<15}{value}").expect("writing to a string cannot fail");
        };
        let (counted, a_second, each, failed) = match self.answer {
            None => ("events", "events/s", "µs an event", "statements"),
            Some(_) => ("invoices", "invoices/s", "µs an invoice", "calls"),
        };
        row(counted, format!("{} in {} ms, {} {failed} failed", self.events, self.elapsed_ms, self.failed));
        if let Some(complaint) = &self.complaint {
            row("first failure", complaint.clone());
        }
        row(a_second, self.events_per_second.to_string());
        let optional = |value: Option<u64>, unit: &str| value.map(|value| format!("{value} {unit}"));
        let following = self.following.as_ref();
        let tenths = self.first_tenth.zip(self.last_tenth).map(|(first, last)| format!("{first} and {last} events/s"));
        for (name, value) in [
            ("a call", self.batch.map(|batch| format!("{batch} invoices"))),
            ("node's CPU", optional(self.cpu_us_per_event, each)),
            ("finality", self.finality.as_ref().map(shown)),
            ("answer", self.answer.as_ref().map(shown)),
            ("commit", self.commit.as_ref().map(shown)),
            ("first and last", tenths.map(|tenths| format!("tenth: {tenths}"))),
            ("memory", optional(self.resident_bytes_max.map(|bytes| bytes / MIB), "MiB at most")),
            ("disk", optional(self.disk_bytes_per_event, "bytes an event")),
            ("reopen", optional(self.reopen_ms, "ms")),
            ("rebuild", optional(self.rebuild_events_per_second, "events/s")),
            (
                "reads/s",
                self.reads.as_ref().map(|reads| format!("{}, {} failed", reads.reads_per_second, reads.failed)),
            ),
            ("read", self.reads.as_ref().map(|reads| shown(&reads.latency))),
            ("followed by", following.map(Following::counts)),
            ("after block", following.map(|following| shown(&following.from_block))),
            ("after answer", following.map(|following| shown(&following.from_answer))),
            ("arrival's CPU", optional(following.and_then(|following| following.cpu_us_per_arrival), "µs an arrival")),
            ("read's CPU", optional(self.reads.as_ref().and_then(|reads| reads.cpu_us_per_read), "µs a read")),
        ] {
            if let Some(value) = value {
                row(name, value);
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl Following {
    fn counts(&self) -> String {
        let Self { subscribers, arrived, missed, twice, .. } = self;
        format!("{subscribers}, {arrived} arrivals, {missed} missed, {twice} twice")
    }
}

fn shown(latency: &Latency) -> String {
    let Latency { p50_ms, p90_ms, p99_ms, max_ms, .. } = latency;
    format!("p50 {p50_ms:.1} ms, p90 {p90_ms:.1} ms, p99 {p99_ms:.1} ms, max {max_ms:.1} ms")
}
