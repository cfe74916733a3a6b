//! The replica whose power is cut: it makes blocks and keeps attachments, and says what it acknowledged.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chain::hash::Hash;
use chain::statement::Mode;
use replica::port::Store as _;
use store::{Options, SledStore};
use tracing_subscriber::fmt::MakeWriter;

use super::Broken;
use super::journal::ACKNOWLEDGED;
use crate::consortium::{CHECKPOINT_MS, Node, genesis};
use crate::events::{issue, lock};
use crate::trial::seed::Seed;

/// Small enough for many reopenings and many checkpoints in a short run.
pub(super) fn options(directory: &Path) -> Options {
    Options {
        segment_bytes: 4 * 1024,
        ledger_reopen_bytes: 400_000,
        index_reopen_bytes: 600_000,
        // Where a lie makes sled look for a row for ever.
        open_timeout: Duration::from_secs(5),
        // Checkpoints in several flushes.
        slice_rows_max: 64,
        generation_rows_full: 100,
        reserve_bytes: 0,
        ..Options::new(directory.join("store"))
    }
}

/// Says on the acknowledgements when a database is opened again, for the report to count.
#[derive(Clone)]
struct Reopenings(Arc<File>);

impl std::io::Write for Reopenings {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.windows(9).any(|word| word == b"reopening") {
            (&*self.0).write_all(b"reopened\n")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Reopenings {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The bytes of an attachment.
pub(super) fn attachment(number: u64, seed: u64) -> Vec<u8> {
    let mut bytes = Seed::new(seed).part(number);
    (0..40 + number % 400).map(|_| bytes.number().to_le_bytes()[0]).collect()
}

/// Writes `blocks` blocks into `directory`, acknowledging each in a file there.
///
/// # Errors
/// The store failed.
pub fn write(seed: u64, directory: &Path, blocks: u64) -> Result<(), Broken> {
    let mut told = File::options().append(true).create(true).open(directory.join(ACKNOWLEDGED))?;
    let reopenings = Reopenings(Arc::new(told.try_clone()?));
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(reopenings).init();
    let store = Arc::new(SledStore::open(&options(directory))?);
    let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
    let mut random = Seed::new(seed).part(3);
    let mut open: Vec<String> = Vec::new();
    for block in 0..blocks {
        // A state checkpoint, and with it one of the index, every few blocks.
        node.now_ms += if random.happens(40) { CHECKPOINT_MS } else { 500 };
        let mut issues = Vec::new();
        for statement in 0..1 + random.below(3) {
            let events: Vec<String> =
                (0..1 + random.below(12)).map(|event| issue(&format!("{block}-{statement}-{event}"))).collect();
            let signed = node.statement("shop", Mode::Each, &events);
            issues.push(node.submit(&signed));
        }
        for invoice in open.drain(..open.len().min(3)) {
            let signed = node.statement("platform-a", Mode::Each, &[lock(&invoice, "claim")]);
            node.submit(&signed);
        }
        if random.happens(50) {
            let bytes = attachment(block, seed);
            let hash = Hash::of(&bytes);
            store.put_attachment(&hash, &bytes)?;
            told.write_all(format!("attachment {block} {hash}\n").as_bytes())?;
        }
        let committed = node.block();
        told.write_all(format!("block {} {}\n", committed.height, committed.id).as_bytes())?;
        for id in issues {
            let view = node.query.statement(&id)?.ok_or("a statement that was decided a moment ago is unknown")?;
            let event = node.query.event(view.first_leaf)?.ok_or("a leaf is unknown")?;
            open.push(event.outcome.subject);
        }
    }
    store.close()?;
    Ok(())
}
