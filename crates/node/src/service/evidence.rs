//! Equivocations that consensus sees, on their way to the ledger.
//!
//! Consensus tells of them on its own thread and must not wait, so they go through a short queue to a task, which
//! reports them as `replica::evidence` says. What is to be reported is on the disk before anybody is told of it, and
//! until the ledger holds it, so that the next process reports it again. The task has it there a moment after consensus
//! has told of it; a process that ends in that moment forgets it.

mod kept;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::NodeIdentity;
use chain::equivocation::Equivocation;
use consensus::Consensus;
use ledger::organisation::Role;
use replica::evidence::{Author, Reporter, Taken};
use replica::port::Store;
use replica::replica::Fault;
use tokio::sync::mpsc;

use super::together::Around;
use crate::clock::NodeClock;
use kept::Kept;

/// Equivocations that the task has not looked at yet.
const QUEUE_MAX: usize = 64;

/// How often it is looked whether a report is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where consensus leaves what it has seen.
pub(super) struct Seen(mpsc::Sender<Equivocation>);

impl Seen {
    /// Hands one on, without waiting.
    pub(super) fn tell(&self, equivocation: Equivocation) {
        if self.0.try_send(equivocation).is_err() {
            tracing::warn!("evidence is not reported: as much waits as may");
        }
    }
}

/// The way from consensus to the task.
pub(super) fn channel() -> (Seen, mpsc::Receiver<Equivocation>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    (Seen(sender), receiver)
}

/// What reports on this node, with what an earlier process left.
pub(super) struct Reporting<S: Store> {
    reporter: Reporter<S>,
    kept: Kept,
}

/// What reports on this node; `None` when its organisation is no agency: the ledger takes evidence from agencies alone.
///
/// # Errors
/// A fault of the store, or what an earlier process left cannot be read.
pub(super) fn reporting<S: Store>(
    around: &Around<S>,
    identity: &NodeIdentity,
    directory: &Path,
) -> anyhow::Result<Option<Reporting<S>>> {
    let own = around.query.organisation(&identity.organisation).context("read who may report")?;
    if !own.is_some_and(|own| own.is(Role::Agency)) {
        return Ok(None);
    }
    let author = Author {
        organisation: identity.organisation.clone(),
        key: identity.receipt_key_id.clone(),
        secret: identity.receipt.clone(),
    };
    let reporter = Reporter::new(around.query.clone(), Arc::clone(&around.mempool), author);
    let reporting = Reporting::new(reporter, Kept::open(directory)?, around.clock.now_ms());
    Ok(Some(reporting.context("read evidence that waits")?))
}

/// Reports what consensus tells of, until consensus ends.
pub(super) async fn report<S: Store>(
    mut reporting: Reporting<S>,
    mut seen: mpsc::Receiver<Equivocation>,
    clock: Arc<NodeClock>,
    consensus: Arc<Consensus>,
) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let told = tokio::select! {
            told = seen.recv() => match told {
                Some(told) => Some(told),
                None => return,
            },
            _ = every.tick() => None,
        };
        if told.is_none() && reporting.is_idle() {
            continue;
        }
        let now_ms = clock.now_ms();
        // Reading, signing and writing are no work for a thread that must not block.
        let looked = tokio::task::spawn_blocking(move || {
            let statements = reporting.look(told, now_ms);
            (reporting, statements)
        });
        let Ok((back, statements)) = looked.await else {
            tracing::error!("looking at evidence panicked; nothing is reported any more");
            return;
        };
        reporting = back;
        match statements {
            Ok(statements) => statements.into_iter().for_each(|statement| consensus.share(statement)),
            // Whoever commits meets it too, and stops the node.
            Err(fault) => tracing::error!(%fault, "evidence could not be reported"),
        }
    }
}

impl<S: Store> Reporting<S> {
    /// Takes in what an earlier process left.
    fn new(reporter: Reporter<S>, kept: Kept, now_ms: i64) -> Result<Self, Fault> {
        let mut reporting = Self { reporter, kept };
        for left in reporting.kept.written().to_vec() {
            reporting.take(left, now_ms)?;
        }
        reporting.kept.keep(reporting.reporter.waiting());
        Ok(reporting)
    }

    /// Whether nothing waits, neither here nor on the disk.
    fn is_idle(&self) -> bool {
        self.reporter.pending() == 0 && self.kept.written().is_empty()
    }

    /// Takes in what was told, and gives what is to be shared.
    fn look(&mut self, told: Option<Equivocation>, now_ms: i64) -> Result<Vec<Vec<u8>>, Fault> {
        if let Some(told) = told {
            self.take(told, now_ms)?;
        }
        self.kept.keep(self.reporter.waiting());
        let statements = self.reporter.report(now_ms);
        self.kept.keep(self.reporter.waiting());
        statements
    }

    fn take(&mut self, told: Equivocation, now_ms: i64) -> Result<(), Fault> {
        let (validator, height, round, kind) = (told.validator.clone(), told.height, told.round, told.kind);
        match self.reporter.take(told, now_ms)? {
            Taken::Pending => tracing::info!(%validator, height, round, %kind, "the equivocation will be reported"),
            Taken::Known => tracing::debug!(%validator, height, round, %kind, "the equivocation is known"),
            Taken::Own => {
                tracing::error!(height, round, %kind, "this node's own agency signed both: is its key in use twice?");
            }
            Taken::Full => tracing::warn!(%validator, height, "evidence is not reported: as much waits as may"),
            Taken::Unproven(why) => tracing::warn!(%validator, height, ?why, "what was seen proves no equivocation"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ::tests::consortium::{Node, genesis_of, organisation_id, secret};
    use ::tests::events::double_vote;
    use chain::certificate::{CommitCertificate, sign_precommit};
    use chain::identity::KeyId;
    use replica::memory::MemoryStore;
    use replica::mempool::{Limits, Mempool};

    use super::*;

    /// The police's, on what a directory holds.
    fn reporting(node: &Node<MemoryStore>, mempool: &Arc<Mempool>, directory: &Path) -> Reporting<MemoryStore> {
        let (organisation, key) = (organisation_id("police"), KeyId::new("receipt").unwrap());
        let author = Author { organisation, key, secret: secret("police", "receipt") };
        let reporter = Reporter::new(node.query.clone(), Arc::clone(mempool), author);
        Reporting::new(reporter, Kept::open(directory).unwrap(), node.now_ms).unwrap()
    }

    /// A block of what waits, signed by both validators.
    fn decide(node: &mut Node<MemoryStore>, mempool: &Mempool) {
        let proposer = secret("police", "consensus").public();
        let header = node.replica.propose(node.now_ms, &proposer, mempool).unwrap().block.header;
        let (chain, suite) = (node.chain(), node.genesis.suite());
        let sign = |agency| sign_precommit(&secret(agency, "consensus"), &chain, suite, header.height, 0, &header.id());
        let signatures = ["tax-bureau", "police"].map(sign).to_vec();
        let certificate = CommitCertificate::new(suite, header.height, 0, header.id(), signatures);
        mempool.remove(&node.replica.commit(&certificate).unwrap().statements);
    }

    #[test]
    fn what_one_process_saw_the_next_one_reports_until_the_ledger_holds_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut node = Node::start(genesis_of(2, |_| {}), Arc::new(MemoryStore::default()));
        let proof = double_vote(&node.genesis, "tax-bureau", 1);
        let lost = Arc::new(Mempool::new(Limits::default(), || {}));
        let mut first = reporting(&node, &lost, directory.path());
        assert!(first.is_idle());
        first.look(Some(proof.clone()), node.now_ms).unwrap();
        // Reported or not, the process ends, and with it everything that waits in memory.
        drop((first, lost));
        let mempool = Arc::new(Mempool::new(Limits::default(), || {}));
        let mut second = reporting(&node, &mempool, directory.path());
        assert!(second.reporter.waiting().eq([&proof]));
        node.now_ms += 60_000;
        assert_eq!(second.look(None, node.now_ms).unwrap().len(), 1);
        assert_eq!(Kept::open(directory.path()).unwrap().written(), [proof], "it is not on the ledger yet");
        decide(&mut node, &mempool);
        let left = fs_copy(directory.path());
        node.now_ms += 60_000;
        assert_eq!(second.look(None, node.now_ms).unwrap().len(), 0);
        assert!(second.is_idle());
        assert_eq!(Kept::open(directory.path()).unwrap().written(), []);
        // One that ended before it could remove it.
        let third = reporting(&node, &mempool, left.path());
        assert!(third.is_idle());
        assert_eq!((node.query.evidence(8).unwrap().count, mempool.len()), (1, 0));
    }

    /// A copy of what a directory holds.
    fn fs_copy(directory: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }
}
