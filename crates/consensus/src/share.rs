//! Statements that were taken in here, on their way to the other nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::peer::{FRAME_STATEMENTS_BYTES_MAX, FRAME_STATEMENTS_MAX, FrameContent};

use crate::switch::Switch;

/// Statements that may wait to be sent. What does not fit still waits here for a block that this node proposes.
pub(crate) const WAITING_MAX: usize = 16_384;

/// Frames follow each other at least so far apart: under load a frame costs each neighbour more than a statement in it,
/// and what is needed to check one is at hand for those that come with it. The first after a pause goes at once. Several
/// frames fit into the time of a block.
const APART: Duration = Duration::from_millis(40);

/// Sends what is taken in to all peers, several at once when several came.
pub(crate) async fn run(switch: Arc<Switch>, mut statements: mpsc::Receiver<Vec<u8>>) {
    let mut waiting = Vec::with_capacity(FRAME_STATEMENTS_MAX);
    let mut next = Instant::now();
    while statements.recv_many(&mut waiting, FRAME_STATEMENTS_MAX).await > 0 {
        tokio::time::sleep_until(next).await;
        while waiting.len() < FRAME_STATEMENTS_MAX
            && let Ok(statement) = statements.try_recv()
        {
            waiting.push(statement);
        }
        next = Instant::now() + APART;
        let mut frame = Vec::new();
        let mut bytes = 0;
        for statement in waiting.drain(..) {
            if !frame.is_empty() && bytes + statement.len() > FRAME_STATEMENTS_BYTES_MAX {
                switch.publish(FrameContent::Statements(std::mem::take(&mut frame)));
                bytes = 0;
            }
            bytes += statement.len();
            frame.push(statement);
        }
        switch.publish(FrameContent::Statements(frame));
    }
}
