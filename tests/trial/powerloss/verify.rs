//! An image after a power cut: opened, recovered, held against what was acknowledged, replayed, built upon.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chain::archive::ArchiveWriter;
use chain::hash::Hash;
use chain::statement::Mode;
use chain::verify::{Options as VerifyOptions, Status};
use ledger::replay::verify_archive;
use replica::port::Store as _;
use store::SledStore;
use tracing_subscriber::fmt::MakeWriter;

use super::image::Cut;
use super::writer::{attachment, options};
use super::{Broken, Report};
use crate::consortium::{CHECKPOINT_MS, Node, genesis};
use crate::events::issue;

/// What was seen of the index.
#[derive(Debug, Default)]
pub(super) struct Tally {
    whole: u64,
    absent: u64,
    half: u64,
    unreadable: u64,
    second: u64,
    reasons: Vec<String>,
}

impl Tally {
    pub(super) fn tell(&self, report: &mut Report) {
        report.fact("images with a whole index", self.whole);
        report.fact("images with no index yet", self.absent);
        report.fact("images with a half-applied index, detected and rebuilt", self.half);
        report.fact("images with an index emptied for another reason", self.unreadable);
        report.fact("images whose damage was met later, and healed by a second start", self.second);
        for reason in &self.reasons {
            report.fact("  reason", reason);
        }
    }

    /// Counts a damage that was met only when it was read.
    pub(super) fn second_start(&mut self) {
        self.second += 1;
    }

    /// Sorts an opening by what the store said of its index.
    fn count(&mut self, said: &str, is_there: bool) {
        let Some(reason) = said.lines().find(|line| line.contains("emptying the index")) else {
            *(if is_there { &mut self.whole } else { &mut self.absent }) += 1;
            return;
        };
        // Marks and rows of the checkpoint that disagree are half a one; anything else is another damage.
        let half = ["stands otherwise", "marks of the checkpoint disagree", "one mark", "a row of evidence"];
        *(if half.iter().any(|text| reason.contains(text)) { &mut self.half } else { &mut self.unreadable }) += 1;
        let reason = reason.split("reason=").nth(1).unwrap_or(reason).to_owned();
        if !self.reasons.contains(&reason) && self.reasons.len() < 20 {
            self.reasons.push(reason);
        }
    }
}

/// What is said while an image is opened.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nothing panics while it writes").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Said {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Checks an image: everything that is not as it must be.
pub(super) fn check(image: &Path, cut: &Cut, seed: u64, tally: &mut Tally) -> Result<Vec<String>, Broken> {
    let said = Said::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(said.clone()).finish();
    let opened = tracing::subscriber::with_default(subscriber, || SledStore::open(&options(image)));
    let said = String::from_utf8_lossy(&said.0.lock().expect("nothing panics while it reads")).into_owned();
    let store = match opened {
        Ok(store) => Arc::new(store),
        Err(fault) => return Ok(vec![format!("the store does not open: {}", with_causes(&fault))]),
    };
    tally.count(&said, store.index_tip()?.is_some());
    let mut losses = Vec::new();
    for line in &cut.acknowledged {
        let mut words = line.split(' ');
        if let (Some("attachment"), Some(number), Some(hash)) = (words.next(), words.next(), words.next()) {
            let bytes = attachment(number.parse()?, seed);
            match store.attachment(&Hash::of(&bytes)) {
                Ok(Some(found)) if found == bytes => {}
                found => losses.push(format!("the attachment {hash} was acknowledged, and is {found:?}")),
            }
        }
    }
    let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
    let tip = node.replica.tip().progress.height;
    if let Some((height, _)) = &cut.height
        && tip < *height
    {
        losses.push(format!("height {height} was acknowledged, and the tip is {tip}"));
    }
    for line in &cut.acknowledged {
        let Some((height, id)) = line.strip_prefix("block ").and_then(|rest| rest.split_once(' ')) else { continue };
        let found = node.query.block_id(height.parse()?)?.map(|id| id.to_string());
        if found.as_deref() != Some(id) {
            losses.push(format!("block {id} was acknowledged at height {height}, and there is {found:?}"));
        }
    }
    losses.extend(replay(&node)?);
    // The chain goes on from here.
    let signed = node.statement("shop", Mode::Each, &[issue("after-the-power-cut")]);
    node.submit(&signed);
    node.now_ms += CHECKPOINT_MS;
    let height = node.block().height;
    if height != tip + 1 {
        losses.push(format!("the block after the power cut has height {height}, expected {}", tip + 1));
    }
    losses.extend(receipts(&node)?);
    drop(node);
    if let Err(fault) = store.close() {
        losses.push(format!("the store does not close: {}", with_causes(&fault)));
    }
    Ok(losses)
}

fn replay(node: &Node<SledStore>) -> Result<Vec<String>, Broken> {
    let mut writer = ArchiveWriter::new(Vec::new(), &node.genesis)?;
    for height in 1..=node.replica.tip().progress.height {
        let block = node.query.committed_block(height)?.ok_or_else(|| format!("block {height} is gone"))?;
        writer.push(&block)?;
    }
    let (archive, _) = writer.finish()?;
    let report = verify_archive(archive.as_slice(), &node.genesis, VerifyOptions::default(), |_| {})?;
    if report.report.status == Status::Verified {
        return Ok(Vec::new());
    }
    Ok(report.report.findings.iter().map(|finding| format!("replay: {finding:?}")).collect())
}

/// Receipts from all over the log hold.
fn receipts(node: &Node<SledStore>) -> Result<Vec<String>, Broken> {
    let size = node.replica.tip().progress.log_size;
    let mut losses = Vec::new();
    for leaf in [0, size / 3, size / 2, size - 1] {
        let receipt = node.query.receipt(leaf)?.ok_or_else(|| format!("leaf {leaf} has no receipt"))?;
        if let Err(error) = receipt.verify(&node.genesis) {
            losses.push(format!("the receipt of leaf {leaf} does not hold: {error}"));
        }
    }
    Ok(losses)
}

fn with_causes(fault: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(fault.source(), |cause| cause.source());
    causes.fold(fault.to_string(), |text, cause| format!("{text}: {cause}"))
}
