//! Statements that were taken in here, on their way to the other nodes.

use std::sync::Arc;

use tokio::sync::mpsc;
use wire::peer::{FRAME_STATEMENTS_BYTES_MAX, FRAME_STATEMENTS_MAX, FrameContent};

use crate::switch::Switch;

/// Statements that may wait to be sent. What does not fit still waits here for a block that this node proposes.
pub(crate) const WAITING_MAX: usize = 16_384;

/// Sends what is taken in to all peers, several at once when several wait.
pub(crate) async fn run(switch: Arc<Switch>, mut statements: mpsc::Receiver<Vec<u8>>) {
    let mut waiting = Vec::with_capacity(FRAME_STATEMENTS_MAX);
    while statements.recv_many(&mut waiting, FRAME_STATEMENTS_MAX).await > 0 {
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
