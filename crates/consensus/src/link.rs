//! Streams between two nodes, as the switch sees them: frames to write, and frames that were read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use wire::peer::{FRAMES_BYTES_MAX, FRAMES_MAX, KeyBytes};

use crate::bucket::{Bucket, Rate};
use crate::switch::Switch;

/// Frames of votes and the like that may wait for one peer.
const URGENT_FRAMES_MAX: usize = 4_096;

/// Frames of blocks and statements that may wait for one peer.
const BULK_FRAMES_MAX: usize = 1_024;

/// Bytes of blocks and statements that may wait for one peer, unless it is a single frame.
const BULK_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Frames a second that a peer may send in the long run; it is slowed down to that.
const PACE: Rate = Rate { per_second: 5_000, burst: 10_000 };

/// KiB a second that a peer may send in the long run; the burst is two answers of blocks.
const PACE_KIB: Rate = Rate { per_second: 64 * 1_024, burst: 48 * 1_024 };

/// Who called: which way a stream between two nodes was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Opened {
    /// We called.
    ByUs,
    /// The peer called.
    ByThem,
}

/// Why a peer's stream is ended.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It sent what is no frame.
    #[error("it sent no frame")]
    Frame(#[from] wire::Error),
    /// It spoke in another's name where nobody else may.
    #[error("it passed on what is for neighbours alone")]
    NotItsOwn,
    /// It passed on what no validator has signed.
    #[error("it passed on what no validator has signed")]
    NotSigned,
    /// It sent more frames together than anybody may.
    #[error("it sent too many frames at once")]
    TooMany,
    /// The peer has opened another in its place.
    #[error("it was replaced by another")]
    Replaced,
    /// The node is being taken apart.
    #[error("the node stops")]
    Stopping,
}

/// Where the switch puts what is to be written.
#[derive(Debug)]
pub(crate) struct Link {
    /// Which of the streams it is: another may have come in its place.
    pub(crate) id: u64,
    urgent: mpsc::Sender<Bytes>,
    bulk: mpsc::Sender<Bytes>,
    bulk_bytes: Arc<AtomicUsize>,
}

impl Link {
    /// A link, and its other end.
    pub(crate) fn new(id: u64) -> (Self, Outgoing) {
        let (urgent, urgent_end) = mpsc::channel(URGENT_FRAMES_MAX);
        let (bulk, bulk_end) = mpsc::channel(BULK_FRAMES_MAX);
        let bulk_bytes = Arc::new(AtomicUsize::new(0));
        let outgoing = Outgoing { urgent: urgent_end, bulk: bulk_end, bulk_bytes: Arc::clone(&bulk_bytes) };
        (Self { id, urgent, bulk, bulk_bytes }, outgoing)
    }

    /// Puts a frame into its queue; false when there is no room.
    pub(crate) fn send(&self, frame: Bytes, urgent: bool) -> bool {
        if urgent {
            return self.urgent.try_send(frame).is_ok();
        }
        let bytes = frame.len();
        let before = self.bulk_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before == 0 || before + bytes <= BULK_BYTES_MAX;
        let sent = fits && self.bulk.try_send(frame).is_ok();
        if !sent {
            self.bulk_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }
}

/// What is to be written on a stream.
#[derive(Debug)]
pub struct Outgoing {
    urgent: mpsc::Receiver<Bytes>,
    bulk: mpsc::Receiver<Bytes>,
    bulk_bytes: Arc<AtomicUsize>,
}

impl Outgoing {
    /// The next frames to send together, votes before blocks; `None` when the stream is to end.
    pub async fn batch(&mut self) -> Option<Vec<Bytes>> {
        let (first, bulk) = tokio::select! {
            biased;
            frame = self.urgent.recv() => (frame?, false),
            frame = self.bulk.recv() => (frame?, true),
        };
        let mut bytes = first.len();
        self.taken(&first, bulk);
        let mut frames = vec![first];
        while frames.len() < FRAMES_MAX && bytes < FRAMES_BYTES_MAX {
            let next = match self.urgent.try_recv() {
                Ok(frame) => frame,
                Err(_) => match self.bulk.try_recv() {
                    Ok(frame) => {
                        self.taken(&frame, true);
                        frame
                    }
                    Err(_) => break,
                },
            };
            bytes += next.len();
            frames.push(next);
        }
        Some(frames)
    }

    /// Whether anything is to be sent.
    #[cfg(test)]
    pub(crate) fn is_waiting(&self) -> bool {
        !self.urgent.is_empty() || !self.bulk.is_empty()
    }

    fn taken(&self, frame: &Bytes, bulk: bool) {
        if bulk {
            self.bulk_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        }
    }
}

/// What is read from a stream.
#[derive(Debug)]
pub struct Incoming {
    switch: Arc<Switch>,
    peer: KeyBytes,
    opened: Opened,
    id: u64,
    pace: Bucket,
    bytes: Bucket,
    ended: bool,
}

impl Incoming {
    pub(crate) fn new(switch: Arc<Switch>, peer: KeyBytes, opened: Opened, id: u64) -> Self {
        let now = Instant::now();
        let (pace, bytes) = (Bucket::new(PACE, now), Bucket::new(PACE_KIB, now));
        Self { switch, peer, opened, id, pace, bytes, ended: false }
    }

    /// Takes frames that came together. Waits while those behind are busy, and so slows the peer down.
    ///
    /// # Errors
    /// What the stream is to be ended for.
    pub async fn take(&mut self, frames: Vec<Bytes>) -> Result<(), Refused> {
        if frames.len() > FRAMES_MAX {
            return Err(Refused::TooMany);
        }
        // Each stream has a pace of its own, so a peer has only one of each kind.
        if !self.switch.is_current(&self.peer, self.opened, self.id) {
            return Err(Refused::Replaced);
        }
        for frame in frames {
            let now = Instant::now();
            let kib = u64::try_from(frame.len() / 1_024).unwrap_or(u64::MAX);
            if let Some(wait) = self.pace.take(1, now).max(self.bytes.take(kib, now)) {
                tokio::time::sleep(wait).await;
            }
            self.switch.received(self.peer, frame).await?;
        }
        Ok(())
    }

    /// The stream has ended.
    pub async fn end(mut self) {
        self.ended = true;
        self.switch.disconnected(self.peer, self.opened, self.id).await;
    }
}

impl Drop for Incoming {
    /// Whoever read it was given up on: the stream must not stay as if it were open.
    fn drop(&mut self) {
        if !self.ended
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (switch, peer, opened, id) = (Arc::clone(&self.switch), self.peer, self.opened, self.id);
            runtime.spawn(async move { switch.disconnected(peer, opened, id).await });
        }
    }
}
