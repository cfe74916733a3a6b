//! Submitting: from the bytes of a statement to what became of it, or to a promise.
//!
//! Whoever waits is registered before the statement goes into the mempool, so that no verdict is
//! missed; a statement that was decided before is answered from the ledger.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use chain::hash::{Hash, StatementId};
use replica::mempool::{Entry, Full, Inserted};
use replica::port::Store;
use replica::query::{Admission, AdmitError};

use crate::finality::{Ticket, Verdict, Waited};
use crate::problem::Problem;
use crate::service::Service;
use crate::turns::Name;

/// Statements up to this size are admitted one after the other by a thread that is awake, bytes.
const BRIEF_BYTES_MAX: usize = 8 * 1024;

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
    /// In whose name it is worked on.
    pub(crate) name: Name,
    /// The statement's JWS.
    pub(crate) statement: Bytes,
    /// Attachments by hash: kept only once the statement is admitted.
    pub(crate) attachments: Vec<(Hash, Vec<u8>)>,
    /// How long to wait.
    pub(crate) patience: Duration,
    /// The body all this came in: it counts as under way until the statement is in the mempool.
    pub(crate) body: Bytes,
}

/// A statement behind the door.
enum Entered {
    /// It was decided before.
    Decided(StatementId),
    /// It waits, or one that stands for it does.
    Waiting(StatementId, Ticket),
}

/// What admission said.
enum Admitted {
    /// It may go in; these of its attachments are kept.
    Entry(Box<Entry>, Vec<Hash>),
    /// It was decided before, or one that stands for it.
    Decided(StatementId),
}

impl<S: Store> Service<S> {
    /// Submits a statement and waits for what becomes of it.
    pub(crate) async fn submit(self: &Arc<Self>, submission: Submission) -> Result<Submitted, Problem> {
        self.must_take_writes()?;
        let patience = submission.patience;
        let service = Arc::clone(self);
        // On a task of its own: a client that hangs up must not leave attachments without their statement.
        let entering = tokio::spawn(async move { service.enter(submission).await });
        match entering.await.map_err(|panicked| Problem::fault(&panicked))?? {
            Entered::Decided(id) => Ok(Submitted::Decided { id, fresh: false }),
            Entered::Waiting(id, ticket) => self.wait(id, ticket, patience).await,
        }
    }

    async fn enter(self: Arc<Self>, submission: Submission) -> Result<Entered, Problem> {
        let Submission { name, statement, attachments, body, .. } = submission;
        // One small statement is looked at in less time than a thread takes to be woken for it.
        let brief = statement.len() <= BRIEF_BYTES_MAX && attachments.is_empty();
        let look = move |service: &Self| service.at_the_door(&statement, attachments);
        let admitted = if brief { self.run_brief(&name, look).await? } else { self.run(&name, look).await? };
        let (entry, kept) = match admitted {
            Admitted::Entry(entry, kept) => (*entry, kept),
            Admitted::Decided(id) => return Ok(Entered::Decided(id)),
        };
        let (id, ticket, fresh) = match self.enqueue(entry) {
            Ok(queued) => queued,
            Err(problem) => {
                self.forget_attachments(kept).await;
                return Err(problem);
            }
        };
        drop(body);
        self.watch_attachments(id, ticket.clone(), kept);
        if !fresh && self.decided(&name, id).await? {
            // Decided between the mempool's answer and our place in the queue: no verdict may come any more.
            self.app.finality.found(&id);
            return Ok(Entered::Decided(id));
        }
        Ok(Entered::Waiting(id, ticket))
    }

    fn at_the_door(&self, statement: &[u8], attachments: Vec<(Hash, Vec<u8>)>) -> Result<Admitted, Problem> {
        match self.query().admit(statement, self.app.clock.now_ms()) {
            Ok(Admission::Decided(id)) => Ok(Admitted::Decided(id)),
            Ok(Admission::Admitted(entry)) => {
                let kept = self.keep_attachments(&entry.parsed, attachments)?;
                Ok(Admitted::Entry(entry, kept))
            }
            Err(AdmitError::Rejected(rejection)) => Err(self.rejected(statement, *rejection)),
            Err(AdmitError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Puts a statement into the mempool. Gives what is to be waited for, and whether it came in just now.
    fn enqueue(&self, entry: Entry) -> Result<(StatementId, Ticket, bool), Problem> {
        let finality = &self.app.finality;
        let id = entry.parsed.statement().id();
        let full = || Problem::new("mempool.full");
        let ticket = finality.expect(id).ok_or_else(full)?;
        let shared = self.app.sharing.as_ref().map(|sharing| (sharing, entry.parsed.statement().bytes().to_vec()));
        match self.app.mempool.insert(entry) {
            Ok(Inserted::Queued) => {
                if let Some((sharing, statement)) = shared {
                    sharing.share(&statement);
                }
                Ok((id, ticket, true))
            }
            Ok(Inserted::Waiting(other)) if other == id => Ok((id, ticket, false)),
            Ok(Inserted::Waiting(other)) => {
                finality.withdraw(&id, ticket);
                Ok((other, finality.expect(other).ok_or_else(full)?, false))
            }
            Err(refused) => {
                finality.withdraw(&id, ticket);
                Err(not_taken(refused))
            }
        }
    }

    async fn decided(self: &Arc<Self>, name: &Name, id: StatementId) -> Result<bool, Problem> {
        self.run(name, move |service| Ok(service.query().statement(&id)?.is_some())).await
    }

    async fn wait(&self, id: StatementId, ticket: Ticket, patience: Duration) -> Result<Submitted, Problem> {
        match self.app.finality.wait(ticket, patience).await {
            Waited::Pending => Ok(Submitted::Pending(id)),
            Waited::Verdict(Verdict::Decided) => Ok(Submitted::Decided { id, fresh: true }),
            Waited::Verdict(Verdict::Repeated(first)) => Ok(Submitted::Decided { id: first, fresh: false }),
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
