//! Submitting: from the bytes of a statement to what became of it, or to a promise.
//!
//! Whoever waits is registered before the statement goes into the mempool, so that no verdict is
//! missed; a statement that was decided before is answered from the ledger.

use std::sync::Arc;
use std::time::Duration;

use chain::hash::{Hash, StatementId};
use replica::mempool::{Entry, Full, Inserted};
use replica::port::Store;
use replica::query::{Admission, AdmitError};

use crate::finality::{Ticket, Verdict, Waited};
use crate::problem::Problem;
use crate::service::Service;

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It is on the ledger. `fresh`: decided just now, not by an earlier request.
    Decided {
        /// The statement whose outcome stands; another than was sent when one with the same nonce and payload was first.
        id: StatementId,
        /// Whether it was decided for this request.
        fresh: bool,
    },
    /// It waits.
    Pending(StatementId),
}

/// What is to be submitted.
pub(crate) struct Submission {
    /// The statement's JWS.
    pub(crate) statement: Vec<u8>,
    /// Attachments by hash: kept only once the statement is admitted.
    pub(crate) attachments: Vec<(Hash, Vec<u8>)>,
    /// How long to wait.
    pub(crate) patience: Duration,
}

/// A statement that was admitted, or an earlier one that stands for it.
enum Door {
    Admitted(Box<Entry>, Vec<Hash>),
    Decided(StatementId),
}

impl<S: Store> Service<S> {
    /// Submits a statement and waits for what becomes of it.
    pub(crate) async fn submit(self: &Arc<Self>, submission: Submission) -> Result<Submitted, Problem> {
        self.must_take_writes()?;
        let Submission {
            statement,
            attachments,
            patience,
        } = submission;
        match self
            .run(move |service| service.at_the_door(&statement, attachments))
            .await?
        {
            Door::Decided(id) => Ok(Submitted::Decided { id, fresh: false }),
            Door::Admitted(entry, kept) => self.enqueue(*entry, kept, patience).await,
        }
    }

    fn at_the_door(&self, statement: &[u8], attachments: Vec<(Hash, Vec<u8>)>) -> Result<Door, Problem> {
        match self.query().admit(statement, self.app.clock.now_ms()) {
            Ok(Admission::Decided(id)) => Ok(Door::Decided(id)),
            Ok(Admission::Admitted(entry)) => {
                let kept = self.keep_attachments(&entry.parsed, attachments)?;
                Ok(Door::Admitted(entry, kept))
            }
            Err(AdmitError::Rejected(rejection)) => Err(self.rejected(statement, *rejection)),
            Err(AdmitError::Fault(fault)) => Err(fault.into()),
        }
    }

    async fn enqueue(
        self: &Arc<Self>,
        entry: Entry,
        kept: Vec<Hash>,
        patience: Duration,
    ) -> Result<Submitted, Problem> {
        let finality = &self.app.finality;
        let id = entry.parsed.statement().id();
        let full = || Problem::new("mempool.full");
        let ticket = finality.expect(id).ok_or_else(full)?;
        let (id, ticket, own) = match self.app.mempool.insert(entry) {
            Ok(Inserted::Queued) => (id, ticket, true),
            Ok(Inserted::Waiting(other)) if other == id => (id, ticket, true),
            Ok(Inserted::Waiting(other)) => {
                finality.withdraw(&id, ticket);
                (other, finality.expect(other).ok_or_else(full)?, false)
            }
            Err(refused) => {
                finality.withdraw(&id, ticket);
                self.forget_attachments(kept).await;
                return Err(not_taken(refused));
            }
        };
        self.watch_attachments(id, kept);
        if !own && self.decided(id).await? {
            // Decided between the mempool's answer and our place in the queue: no verdict will come.
            finality.withdraw(&id, ticket);
            return Ok(Submitted::Decided { id, fresh: false });
        }
        self.wait(id, ticket, patience).await
    }

    async fn decided(self: &Arc<Self>, id: StatementId) -> Result<bool, Problem> {
        self.run(move |service| Ok(service.query().statement(&id)?.is_some()))
            .await
    }

    async fn wait(&self, id: StatementId, ticket: Ticket, patience: Duration) -> Result<Submitted, Problem> {
        match self.app.finality.wait(ticket, patience).await {
            Waited::Pending => Ok(Submitted::Pending(id)),
            Waited::Verdict(Verdict::Committed(_)) => Ok(Submitted::Decided { id, fresh: true }),
            Waited::Verdict(Verdict::Repeated(first)) => Ok(Submitted::Decided {
                id: first,
                fresh: false,
            }),
            Waited::Verdict(Verdict::Rejected(rejection)) => Err((*rejection).into()),
            Waited::Verdict(Verdict::Quarantined) => Err(Problem::new("statement.quarantined")),
            Waited::Verdict(Verdict::Fault) => Err(Problem::new("node.stopping").retry_after(5)),
        }
    }
}

/// Why the mempool did not take a statement in.
fn not_taken(full: Full) -> Problem {
    match full {
        Full::NonceReused => Problem::new("statement.nonce-reused").at(
            "nonce",
            "a nonce that no other payload waits under",
            "a nonce in use",
        ),
        Full::Quarantined => Problem::new("statement.quarantined"),
        Full::Pool { held, max, unit } => {
            Problem::new("mempool.full").at("", format!("fewer than {max} {unit}"), format!("{held} {unit}"))
        }
        Full::Organisation { held, max, unit } => {
            let (expected, found) = (format!("fewer than {max} {unit}"), format!("{held} {unit}"));
            Problem::new("mempool.organisation-full").at("", expected, found)
        }
    }
}
