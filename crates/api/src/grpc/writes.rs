//! Calls that write: a statement that its author signed, or a plain event that the node signs with a hosted key.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use chain::hash::Hash;
use chain::statement::{Limits, Mode, Statement};
use invoice::Attachment;
use ledger::admission::Rejection;
use ledger::event::Event;
use ledger::outcome::ACCEPTED;
use replica::port::Store;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Status};
use wire::generated::StatementResult;

use super::context::{Asked, Context};
use super::{Handlers, convert, events, status};
use crate::problem::Problem;
use crate::service::Service;
use crate::submit::{Submission, Submitted};

/// What a write consists of.
pub(crate) enum Form {
    /// A signed statement.
    Signed(String),
    /// Events, which the node signs.
    Plain(Mode, Vec<Event>),
}

/// What a call is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// One event of a kind.
    One(&'static str),
    /// Events of a kind, all or none.
    All(&'static str),
    /// Everything.
    Any,
}

/// A write, read from its message.
pub(crate) struct Writing {
    pub(crate) form: Form,
    pub(crate) purpose: Purpose,
    /// Empty beside a signed statement.
    pub(crate) idempotency_key: String,
    /// Attachments as they were sent.
    pub(crate) attachments: Vec<Vec<u8>>,
}

impl Writing {
    /// One event, in either form.
    pub(crate) fn one(form: Form, kind: &'static str, idempotency_key: String) -> Self {
        Self { form, purpose: Purpose::One(kind), idempotency_key, attachments: Vec::new() }
    }
}

impl<S: Store> Handlers<S> {
    /// Answers a call that writes.
    pub(crate) async fn write<M>(
        &self,
        request: Request<M>,
        read: impl FnOnce(M, usize) -> Result<Writing, Problem>,
    ) -> Result<StatementResult, Status> {
        let Asked { context, message } = Asked::from(request)?;
        let batch_max = self.service.app.options.grpc.batch_max;
        let written = async {
            self.service.must_take_writes()?;
            let writing = read(message, batch_max)?;
            let asked = Arc::clone(&context);
            let form = move |service: &Service<S>| service.statement(&asked.caller, &asked, writing);
            let (statement, attachments) = self.service.run(&context.name, form).await?;
            self.submit(&context, &context.name, statement, attachments).await
        };
        written.await.map_err(|problem| status::of(&context.left_open(problem), &context.id))
    }

    /// Submits a statement and waits for what becomes of it, no longer than the caller does.
    async fn submit(
        &self,
        context: &Arc<Context>,
        name: &crate::turns::Name,
        statement: Bytes,
        attachments: Vec<(Hash, Vec<u8>)>,
    ) -> Result<StatementResult, Problem> {
        let wait_max = Duration::from_millis(self.service.app.options.finality_wait_ms);
        let id = Statement::parse(&*statement, &Limits::default()).ok().map(|statement| statement.id().to_string());
        let answer_by = context.answer_by();
        let left = answer_by.map_or(wait_max, |answer_by| answer_by.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(Problem::new("request.deadline").undecided(id, false));
        }
        if let Some(id) = &id {
            let _ = context.entered.set(id.clone());
        }
        let submission = Submission {
            name: name.clone(),
            body: statement.clone(),
            statement,
            attachments,
            patience: left.min(wait_max),
        };
        let submitting = self.service.submit(submission);
        // Entering the mempool may take its time too. It goes on by itself, so from here on the statement may be decided.
        let overdue = || Problem::new("request.deadline").undecided(id.clone(), true);
        let submitted = match answer_by {
            Some(answer_by) => {
                let a_moment_more = answer_by + Duration::from_millis(5);
                timeout_at(a_moment_more, submitting).await.map_err(|_| overdue())??
            }
            None => submitting.await?,
        };
        match submitted {
            // There may have been no room to wait: then the caller still has time to ask.
            Submitted::Pending(_) if answer_by.is_some_and(|answer_by| Instant::now() >= answer_by) => Err(overdue()),
            Submitted::Pending(id) => Ok(convert::pending(id.to_string())),
            Submitted::Decided { id, fresh } => {
                let answer = move |service: &Service<S>| {
                    let unknown = || Problem::new("statement.unknown");
                    let decided = service.decided_statement(&id)?.ok_or_else(unknown)?;
                    if let Some(problem) = service.wholly_refused(&decided)? {
                        return Err(problem);
                    }
                    let accepted = decided.outcomes.iter().any(|outcome| outcome.code == ACCEPTED);
                    Ok(convert::decided(&decided, fresh && accepted))
                };
                self.service.run(name, answer).await
            }
        }
    }
}

/// A statement's bytes, and attachments by hash.
type Formed = (Bytes, Vec<(Hash, Vec<u8>)>);

impl<S: Store> Service<S> {
    /// The statement of a write: as it was signed, or signed here.
    fn statement(&self, caller: &crate::auth::Caller, context: &Context, writing: Writing) -> Result<Formed, Problem> {
        let Writing { form, purpose, idempotency_key, attachments } = writing;
        match form {
            Form::Signed(text) => {
                if !idempotency_key.is_empty() {
                    return Err(events::wrong(
                        "/idempotency_key",
                        "nothing beside a statement, which has a nonce",
                        "one",
                    ));
                }
                self.check_purpose(&text, purpose)?;
                let attachments = attachments.into_iter().enumerate().map(read_attachment);
                Ok((Bytes::from(text), attachments.collect::<Result<_, _>>()?))
            }
            Form::Plain(mode, plain) => {
                self.hosted_key(&caller.organisation)?;
                let nonce = events::idempotency_key(&idempotency_key)?;
                let covered = context.message.as_deref();
                let compressed =
                    || Problem::new("request.encoding").at("grpc-encoding", "nothing", "a compressed message");
                self.cover(caller, &Method::POST, &context.path, covered.ok_or_else(compressed)?)?;
                Ok((self.sign_hosted(&caller.organisation, &nonce, mode, &plain)?.into(), Vec::new()))
            }
        }
    }

    /// Holds a signed statement against what its call is for.
    fn check_purpose(&self, text: &str, purpose: Purpose) -> Result<(), Problem> {
        let (kind, expected) = match purpose {
            // What is wrong with it admission will say.
            Purpose::Any => return Ok(()),
            Purpose::One(kind) => (kind, format!("one event, a {kind}")),
            Purpose::All(kind) => (kind, format!("{kind}s with the mode `all`")),
        };
        let bytes = text.as_bytes();
        let statement = Statement::parse(bytes, &Limits::default())
            .map_err(|error| self.rejected(bytes, Rejection::from(error)))?;
        let fits = |event: &[u8]| match chain::json::from_checked_slice::<Event>(event) {
            Ok(event) => event.kind() == kind,
            Err(_) => true,
        };
        let shape = match purpose {
            Purpose::One(_) | Purpose::Any => statement.event_count() == 1,
            Purpose::All(_) => statement.mode() == Mode::All,
        };
        if shape && statement.events().all(fits) {
            return Ok(());
        }
        let found = format!("{} events with the mode `{}`", statement.event_count(), statement.mode());
        Err(Problem::new("statement.other-call").at("/statement", expected, found))
    }
}

fn read_attachment((index, bytes): (usize, Vec<u8>)) -> Result<(Hash, Vec<u8>), Problem> {
    let attachment = Attachment::parse(bytes).map_err(|error| {
        Problem::new("attachment.malformed").at(format!("/attachments/{index}"), "an attachment", error.to_string())
    })?;
    Ok((Hash::of(attachment.bytes()), attachment.into_bytes()))
}
