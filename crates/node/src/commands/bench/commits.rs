//! How long blocks take: read off the driver's own log, so that the driver runs as it always does.

use std::sync::{Arc, Mutex};

use anyhow::anyhow;
use hdrhistogram::Histogram;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::recorder::{Latency, histogram, latency};

/// The times that the driver logged, from proposing a block to its commit.
#[derive(Clone, Debug)]
pub(super) struct Commits(Arc<Mutex<Histogram<u64>>>);

impl Commits {
    /// Begins to listen; warnings go to stderr. Once a process.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let commits = Self(Arc::new(Mutex::new(histogram())));
        let warnings = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(LevelFilter::WARN);
        let listening =
            tracing_subscriber::registry().with(commits.clone().with_filter(LevelFilter::INFO)).with(warnings);
        listening.try_init().map_err(|error| anyhow!("listen to the driver: {error}"))?;
        Ok(commits)
    }

    /// Forgets the blocks of the warm-up.
    pub(super) fn reset(&self) {
        self.0.lock().expect("nothing panics while it holds the times").reset();
    }

    /// The times; none when no block was logged.
    pub(super) fn latency(&self) -> Option<Latency> {
        let histogram = self.0.lock().expect("nothing panics while it holds the times");
        (!histogram.is_empty()).then(|| latency(&histogram))
    }
}

impl<S: Subscriber> Layer<S> for Commits {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut block = Block::default();
        if *event.metadata().level() == Level::INFO {
            event.record(&mut block);
        }
        if let (Some(elapsed_ms), true) = (block.elapsed_ms, block.has_events) {
            let mut histogram = self.0.lock().expect("nothing panics while it holds the times");
            histogram.saturating_record(elapsed_ms.saturating_mul(1_000));
        }
    }
}

/// What the driver says of a block.
#[derive(Debug, Default)]
struct Block {
    elapsed_ms: Option<u64>,
    has_events: bool,
}

impl Visit for Block {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "elapsed_ms" => self.elapsed_ms = Some(value),
            "events" => self.has_events = value > 0,
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
