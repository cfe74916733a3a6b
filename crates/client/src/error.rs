//! What can go wrong, in the words of who has to do something about it.

use std::fmt;
use std::time::Duration;

use chain::hash::{Hash, StatementId};
use chain::receipt::ReceiptError;
use chain::statement::StatementError;
use ledger::outcome::{ACCEPTED, REPEATED};
use tonic::{Code, ConnectError, Status};
use tonic_types::{StatusExt as _, pb};
use wire::generated::{EventOutcome, Refusal, StandingEvent, Undecided};

use crate::outbox::OutboxError;
use crate::statement::Signed;

/// Whose codes the reasons are; a status with another domain was not made by a node.
const DOMAIN: &str = "einvoice.v1";

/// The code of an event that only went down with another.
const ALL_REFUSED: &str = "statement.all-refused";

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the client was given cannot be: an option, a key, a file.
    #[error("{what}: expected {expected}, found {found}")]
    Option {
        /// Which one.
        what: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is, never a secret.
        found: String,
    },
    /// The events make no statement that any node would read.
    #[error("the events make no statement")]
    Statement(#[from] StatementError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// A node or the ledger refuses it, and would again.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// Nobody could say what became of the statement, in time or because whoever was asked last did not let us in; it may
    /// still be decided. Ask again with [`Client::decide`](crate::Client::decide): it stays one statement, however often it
    /// is sent.
    #[error("the statement {} may still be decided until {} (unix seconds)", .statement.id(), .statement.expires_at_s())]
    Undecided {
        /// The statement, as it was signed.
        statement: Box<Signed>,
        /// What the last node said, if one did.
        last: Option<Box<Refused>>,
    },
    /// The statement has expired, and no node said what became of it: a node that had it may not be in reach, and those
    /// that are may not have its block yet. Ask with [`Client::statement`](crate::Client::statement) later.
    #[error("the statement {statement} has expired, and no node says what became of it")]
    Expired {
        /// The statement.
        statement: StatementId,
    },
    /// No node answered, or all of them are too busy. Nothing was written.
    #[error("no node answered in {attempts} attempts{}", last.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
    Unavailable {
        /// How often it was tried.
        attempts: u32,
        /// What the last node said, if one did.
        last: Option<Box<Refused>>,
    },
    /// A node's answer has no sense, or is about something else than was asked.
    #[error("the node's answer is wrong: {what}: expected {expected}, found {found}")]
    Answer {
        /// Which part of it.
        what: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The receipt proves nothing. Whoever gave it is wrong, or lies.
    #[error("the receipt does not hold")]
    Receipt(#[from] ReceiptError),
    /// The receipt holds, but proves something else than was asked for or answered. Whoever gave it is wrong, or lies.
    #[error("the receipt is another's: {what}: expected {expected}, found {found}")]
    OtherReceipt {
        /// What differs.
        what: &'static str,
        /// What was asked for, or answered.
        expected: String,
        /// What the receipt proves.
        found: String,
    },
    /// The outbox does not do what it was asked.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

impl Error {
    /// The stable code: of a refusal, as `/docs/errors` of a node lists it, or of an outbox.
    pub fn code(&self) -> Option<&str> {
        if let Self::Outbox(error) = self {
            return Some(error.code());
        }
        self.refused().map(|refused| refused.code.as_str())
    }

    /// What a node said, if one did.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Undecided { last, .. } | Self::Unavailable { last, .. } => last.as_deref(),
            Self::Option { .. }
            | Self::Statement(_)
            | Self::Randomness(_)
            | Self::Expired { .. }
            | Self::Answer { .. }
            | Self::Receipt(_)
            | Self::OtherReceipt { .. }
            | Self::Outbox(_) => None,
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON pointer or the name of a field.
    pub field: String,
    /// The rule's stable name.
    pub rule: String,
    /// What was expected and found.
    pub description: String,
}

/// A status that is no success, read.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The stable code, such as `reimbursement.already-locked`; empty when no node said it but something on the way.
    pub code: String,
    /// The status.
    pub status: Code,
    /// What the code means and what to do about it.
    pub message: String,
    /// Where in the request; empty when that says nothing.
    pub path: String,
    /// What was expected; empty when the code says all.
    pub expected: String,
    /// What was found; empty when the code says all.
    pub found: String,
    /// Under what the operator finds the call.
    pub request_id: String,
    /// When to come back; none when the same call fails the same way.
    pub retry_after: Option<Duration>,
    /// Everything that is wrong with the request.
    pub violations: Vec<Violation>,
    refusal: Option<Refusal>,
    undecided: Option<Undecided>,
    /// Whether there was no connection that anything could have been sent on.
    unsent: bool,
}

impl Refused {
    /// Whether a node said it, and not something on the way to it.
    pub fn is_of_a_node(&self) -> bool {
        !self.code.is_empty()
    }

    /// Whether the refusal is on the ledger: its statement is decided, and was refused.
    pub fn is_on_the_ledger(&self) -> bool {
        self.refusal.is_some()
    }

    /// The earlier event in the way.
    pub fn standing(&self) -> Option<&StandingEvent> {
        self.refusal.as_ref()?.standing.as_ref()
    }

    /// Who holds what was asked for: of a lock or close, the platform.
    pub fn holder(&self) -> Option<&str> {
        self.standing().map(|standing| standing.holder.as_str())
    }

    /// Since when, ms since 1970 in UTC.
    pub fn since_ms(&self) -> Option<i64> {
        self.standing().map(|standing| standing.since_ms)
    }

    /// Until when, ms since 1970 in UTC; none when for ever.
    pub fn until_ms(&self) -> Option<i64> {
        self.standing().and_then(|standing| standing.until_ms)
    }

    /// The hash of the leaf of the earlier event.
    pub fn leaf_hash(&self) -> Option<Hash> {
        self.standing().and_then(|standing| standing.leaf_hash.parse().ok())
    }

    /// The invoice that was issued under the same reference before.
    pub fn original_invoice(&self) -> Option<&str> {
        self.refusal.as_ref().map(|refusal| refusal.original_invoice.as_str()).filter(|id| !id.is_empty())
    }

    /// The statement that was refused, when the refusal is on the ledger.
    pub fn statement_id(&self) -> Option<StatementId> {
        self.refusal.as_ref().and_then(|refusal| refusal.statement_id.parse().ok())
    }

    /// What became of every event of the statement. None when there were too many for a status, which has room for about
    /// ten: [`Client::statement`](crate::Client::statement) has them all.
    pub fn outcomes(&self) -> &[EventOutcome] {
        self.refusal.as_ref().map_or(&[], |refusal| &refusal.outcomes)
    }

    /// Of a write that ran out of time: whether its statement may still be decided.
    pub fn may_still_be_decided(&self) -> Option<bool> {
        self.undecided.as_ref().map(|undecided| undecided.may_still_be_decided)
    }

    /// Whether there was no connection that anything could have been sent on.
    pub(crate) fn is_unsent(&self) -> bool {
        self.unsent
    }

    /// The refusal of a statement of which nothing was accepted, as its outcomes tell it; none when something was. What
    /// they do not tell is missing: a request's id, and the invoice that was issued under the same reference before.
    pub(crate) fn by_outcomes(statement: StatementId, outcomes: &[EventOutcome]) -> Option<Self> {
        if outcomes.iter().any(|outcome| [ACCEPTED, REPEATED].contains(&outcome.code.as_str())) {
            return None;
        }
        let first = outcomes.iter().find(|outcome| outcome.code != ALL_REFUSED).or(outcomes.first())?;
        let (code, reason) = (first.code.clone(), first.refusal.clone().unwrap_or_default());
        let refusal = Refusal {
            code: code.clone(),
            statement_id: statement.to_string(),
            standing: reason.standing,
            outcomes: outcomes.to_vec(),
            original_invoice: String::new(),
        };
        Some(Self {
            code,
            path: format!("/events/{}", first.event_index),
            expected: reason.expected,
            found: reason.found,
            refusal: Some(refusal),
            ..Self::on_the_way(Code::FailedPrecondition, "The ledger refused it.")
        })
    }

    /// What somebody on the way, and no node, said.
    pub(crate) fn on_the_way(status: Code, message: impl Into<String>) -> Self {
        Self::from(Status::new(status, message))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.is_of_a_node() { self.code.as_str() } else { "no answer of a node" };
        write!(f, "{code}: {}", self.message)?;
        if !self.expected.is_empty() {
            write!(f, " ({}: expected {}, found {})", self.path, self.expected, self.found)?;
        }
        if let (Some(holder), Some(since_ms)) = (self.holder(), self.since_ms()) {
            write!(f, " (held by {holder} since {since_ms})")?;
        }
        Ok(())
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let fact = |name: &str| info.and_then(|info| info.metadata.get(name)).cloned().unwrap_or_default();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        let violations = violations.iter().map(|of| Violation {
            field: of.field.clone(),
            // The richer model of `tonic-types` leaves the reason out.
            rule: String::new(),
            description: of.description.clone(),
        });
        let mut refused = Self {
            code: info.map(|info| info.reason.clone()).unwrap_or_default(),
            status: status.code(),
            message: status.message().to_owned(),
            path: fact("path"),
            expected: fact("expected"),
            found: fact("found"),
            request_id: details.request_info().map(|request| request.request_id.clone()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            violations: violations.collect(),
            refusal: None,
            undecided: None,
            unsent: is_unsent(&status),
        };
        // Our own details, and what the model above leaves out.
        let whole: pb::Status = wire::decode_message("google.rpc.Status", status.details()).unwrap_or_default();
        for detail in &whole.details {
            let name = detail.type_url.rsplit('/').next().unwrap_or_default();
            match name {
                "einvoice.v1.Refusal" => refused.refusal = wire::decode_message("Refusal", &detail.value).ok(),
                "einvoice.v1.Undecided" => refused.undecided = wire::decode_message("Undecided", &detail.value).ok(),
                "google.rpc.BadRequest" => {
                    let bad: pb::BadRequest = wire::decode_message("BadRequest", &detail.value).unwrap_or_default();
                    for (violation, of) in refused.violations.iter_mut().zip(bad.field_violations) {
                        violation.rule = of.reason;
                    }
                }
                _ => {}
            }
        }
        refused
    }
}

/// Whether a status says that no connection could be made.
fn is_unsent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
