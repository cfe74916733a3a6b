//! The write-ahead log of a simulated node: entries of one height, in the bytes that a real log holds.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_malachitebft_codec::Codec as _;
use arc_malachitebft_core_consensus::{Input, SignedConsensusMsg};
use arc_malachitebft_core_types::{Timeout, ValueOrigin};
use bytes::Bytes;

use crate::codec::{CodecError, Wire};
use crate::context::Context;

/// The log could not be written: its disk is gone, or the engine wrote what is not for a log.
#[derive(Debug, thiserror::Error)]
#[error("the write-ahead log failed: {0}")]
pub struct LogFailed(String);

impl From<CodecError> for LogFailed {
    fn from(error: CodecError) -> Self {
        Self(error.to_string())
    }
}

#[derive(Clone, Debug)]
enum Entry {
    Message(Bytes),
    Value(Bytes),
    Polka(Bytes),
    Timeout(Timeout),
}

#[derive(Debug, Default)]
struct State {
    height: u64,
    entries: Vec<Entry>,
    /// How many of the entries are durable.
    flushed: usize,
}

/// A write-ahead log on a simulated disk. Clones are the same log; it outlives the node that writes it.
#[derive(Clone)]
pub struct Log {
    state: Arc<Mutex<State>>,
    may_write: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Log {
    /// An empty log. `may_write` is asked before each write and each flush; the node stops when it says no.
    pub fn new(may_write: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), may_write: Arc::new(may_write) }
    }

    /// The power goes: what was not flushed is lost, but for the first so many entries of it, which had reached the disk.
    pub fn crash(&self, more: usize) {
        let mut state = self.state();
        let kept = (state.flushed + more).min(state.entries.len());
        state.entries.truncate(kept);
        state.flushed = kept;
    }

    /// Loses everything, as no disk should.
    pub fn wipe(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the log")
    }

    fn check_power(&self) -> Result<(), LogFailed> {
        if (self.may_write)() { Ok(()) } else { Err(LogFailed("the power is gone".to_owned())) }
    }

    /// A height begins: what the log holds of it, from an earlier life.
    pub(super) fn started(&self, height: u64) -> Result<Vec<Input<Context>>, LogFailed> {
        if self.state().height != height {
            self.reset(height)?;
        }
        let entries = self.state().entries.clone();
        entries.iter().map(read).collect()
    }

    /// Begins a height with nothing in the log.
    pub(super) fn reset(&self, height: u64) -> Result<(), LogFailed> {
        self.check_power()?;
        *self.state() = State { height, ..State::default() };
        Ok(())
    }

    pub(super) fn append(&self, height: u64, entry: Input<Context>) -> Result<(), LogFailed> {
        self.check_power()?;
        let entry = written(entry)?;
        let mut state = self.state();
        if state.height == height {
            state.entries.push(entry);
        }
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), LogFailed> {
        self.check_power()?;
        let mut state = self.state();
        state.flushed = state.entries.len();
        Ok(())
    }
}

fn written(entry: Input<Context>) -> Result<Entry, LogFailed> {
    Ok(match entry {
        Input::Vote(vote) => Entry::Message(Wire.encode(&SignedConsensusMsg::Vote(vote))?),
        Input::Proposal(proposal) => Entry::Message(Wire.encode(&SignedConsensusMsg::Proposal(proposal))?),
        Input::ProposedValue(value, _) => Entry::Value(Wire.encode(&value)?),
        Input::PolkaCertificate(polka) => Entry::Polka(Wire.encode(&polka)?),
        Input::TimeoutElapsed(timeout) => Entry::Timeout(timeout),
        Input::StartHeight(..) | Input::Propose(..) | Input::RoundCertificate(..) | Input::SyncValueResponse(..) => {
            return Err(LogFailed("what the engine wrote is not for a log".to_owned()));
        }
    })
}

fn read(entry: &Entry) -> Result<Input<Context>, LogFailed> {
    Ok(match entry {
        Entry::Message(bytes) => match Wire.decode(bytes.clone())? {
            SignedConsensusMsg::Vote(vote) => Input::Vote(vote),
            SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal),
        },
        // A real log does not say either where a value came from.
        Entry::Value(bytes) => Input::ProposedValue(Wire.decode(bytes.clone())?, ValueOrigin::Consensus),
        Entry::Polka(bytes) => Input::PolkaCertificate(Wire.decode(bytes.clone())?),
        Entry::Timeout(timeout) => Input::TimeoutElapsed(*timeout),
    })
}
