//! Equivocations that consensus sees, on their way to the ledger.
//!
//! Consensus tells of them on its own thread and must not wait, so they go through a short queue to a task, which
//! reports them as `replica::evidence` says. What is still waiting when the process ends is forgotten: the other
//! validators saw the same, and report it too.

use std::sync::Arc;
use std::time::Duration;

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

/// Who reports on this node; `None` when its organisation is no agency: the ledger takes evidence from agencies alone.
///
/// # Errors
/// A fault of the store.
pub(super) fn reporter<S: Store>(around: &Around<S>, identity: &NodeIdentity) -> Result<Option<Reporter<S>>, Fault> {
    let own = around.query.organisation(&identity.organisation)?;
    if !own.is_some_and(|own| own.is(Role::Agency)) {
        return Ok(None);
    }
    let author = Author {
        organisation: identity.organisation.clone(),
        key: identity.receipt_key_id.clone(),
        secret: identity.receipt.clone(),
    };
    Ok(Some(Reporter::new(around.query.clone(), Arc::clone(&around.mempool), author)))
}

/// Reports what consensus tells of, until consensus ends.
pub(super) async fn report<S: Store>(
    mut reporter: Reporter<S>,
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
        if told.is_none() && reporter.pending() == 0 {
            continue;
        }
        let now_ms = clock.now_ms();
        // Reading and signing are no work for a thread that must not block.
        let looked = tokio::task::spawn_blocking(move || {
            let statements = look(&mut reporter, told, now_ms);
            (reporter, statements)
        });
        let Ok((back, statements)) = looked.await else {
            tracing::error!("looking at evidence panicked; nothing is reported any more");
            return;
        };
        reporter = back;
        match statements {
            Ok(statements) => statements.into_iter().for_each(|statement| consensus.share(statement)),
            // Whoever commits meets it too, and stops the node.
            Err(fault) => tracing::error!(%fault, "evidence could not be reported"),
        }
    }
}

/// Takes in what was told, and gives what is to be shared.
fn look<S: Store>(reporter: &mut Reporter<S>, told: Option<Equivocation>, now_ms: i64) -> Result<Vec<Vec<u8>>, Fault> {
    if let Some(told) = told {
        let (validator, height, round, kind) = (told.validator.clone(), told.height, told.round, told.kind);
        match reporter.take(told, now_ms)? {
            Taken::Pending => tracing::info!(%validator, height, round, %kind, "the equivocation will be reported"),
            Taken::Known => tracing::debug!(%validator, height, round, %kind, "the equivocation is known"),
            Taken::Own => {
                tracing::error!(height, round, %kind, "this node's own agency signed both: is its key in use twice?");
            }
            Taken::Full => tracing::warn!(%validator, height, "evidence is not reported: as much waits as may"),
            Taken::Unproven(why) => tracing::warn!(%validator, height, ?why, "what was seen proves no equivocation"),
        }
    }
    reporter.report(now_ms)
}
