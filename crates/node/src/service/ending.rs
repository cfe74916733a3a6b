//! How a node comes to its end: the parts that report it, and the limits of each step.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{Finality, Health};
use replica::port::Store;
use store::SledStore;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::driver::Driver;
use crate::exit::{Exit, Failure};

/// Why the driver failed.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How one part of the node ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The driver.
    Driver(Result<(), BoxError>),
    /// The driver panicked.
    DriverPanicked,
    /// The REST door.
    Door(Result<(), api::ServeError>),
}

/// What a step gets beyond its limit to say how it ended, ms.
pub(super) const MOMENT_MS: u64 = 1_000;

/// Which parts have ended, and the first thing that went wrong.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// The REST door.
    pub(super) door: bool,
    /// The driver.
    pub(super) driver: bool,
    /// What went wrong first.
    pub(super) failure: Option<Failure>,
}

impl Endings {
    /// Takes note of an ending.
    pub(super) fn note(&mut self, ended: Ended) {
        let failure = match ended {
            Ended::Door(result) => {
                self.door = true;
                result.err().map(|error| {
                    Failure::new(Exit::Fault, anyhow::Error::new(error).context("keep the REST door open"))
                })
            }
            Ended::Driver(result) => {
                self.driver = true;
                result
                    .err()
                    .map(|fault| Failure::new(Exit::Fault, anyhow::Error::from_boxed(fault).context("keep the ledger")))
            }
            Ended::DriverPanicked => {
                self.driver = true;
                Some(Failure::text(Exit::Fault, "keep the ledger: the driver panicked"))
            }
        };
        if self.failure.is_none() {
            self.failure = failure;
        }
    }

    /// Waits until enough has ended, no longer than the limit.
    pub(super) fn wait(&mut self, ended: &mpsc::Receiver<Ended>, limit_ms: u64, enough: fn(&Self) -> bool) {
        let started = Instant::now();
        while !enough(self) {
            let left = Duration::from_millis(limit_ms).saturating_sub(started.elapsed());
            match ended.recv_timeout(left) {
                Ok(ended) => self.note(ended),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Since when, ms.
pub(super) fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Closes the store on a thread of its own, so that it can be given a limit.
pub(super) fn close(store: Arc<SledStore>, limit_ms: u64) -> Result<(), Failure> {
    let started = Instant::now();
    let (send, receive) = mpsc::channel();
    let thread =
        std::thread::Builder::new().name("store-close".to_owned()).spawn(move || drop(send.send(store.close())));
    thread.context("start the thread that closes the store")?;
    match receive.recv_timeout(Duration::from_millis(limit_ms)) {
        Ok(Ok(())) => {
            tracing::info!(elapsed_ms = elapsed_ms(started), limit_ms, "the store is closed");
            Ok(())
        }
        Ok(Err(fault)) => Err(Failure::new(Exit::Fault, anyhow::Error::new(fault).context("close the store"))),
        Err(_) => Err(Failure::text(Exit::Fault, format!("close the store within {limit_ms} ms"))),
    }
}

/// Runs the driver of a node that validates alone, on a thread of its own.
pub(super) fn spawn_driver<S: Store>(driver: Driver<S>, end: End) -> Result<(), Failure> {
    let run = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| driver.run()));
        end.report(match outcome {
            Ok(result) => Ended::Driver(result.map_err(Into::into)),
            Err(_) => Ended::DriverPanicked,
        });
    };
    std::thread::Builder::new().name("driver".to_owned()).spawn(run).context("start the driver")?;
    Ok(())
}

/// What happens when the driver, whichever it is, has ended: a fault is logged here, once, and wakes everybody who waits.
pub(super) struct End {
    pub(super) finality: Arc<Finality>,
    pub(super) health: Arc<Health>,
    pub(super) report: mpsc::Sender<Ended>,
}

impl End {
    /// Says how it ended.
    pub(super) fn report(self, ended: Ended) {
        let fault = match &ended {
            Ended::Driver(Err(fault)) => Some(chain_of(&**fault)),
            Ended::DriverPanicked => Some("the driver panicked".to_owned()),
            Ended::Driver(Ok(())) | Ended::Door(_) => None,
        };
        if let Some(fault) = fault {
            tracing::error!(fault, "the node stops");
            self.health.fault(fault);
            self.finality.fault();
        }
        // Nobody listens only when the process ends anyway.
        drop(self.report.send(ended));
    }
}

/// An error with its causes, in one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

/// The signals that end a process in order. Caught from when this is made.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to catch them; inside a runtime.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("catch the signals that stop a node");
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    /// Waits for one; gives its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
