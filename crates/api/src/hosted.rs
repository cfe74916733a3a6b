//! Writes with hosted keys: the node signs for an organisation that showed a token for exactly this body.
//!
//! The Idempotency-Key becomes the statement's nonce, so that a retry is the same statement with the
//! same answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use chain::hash::{Hash, StatementId};
use chain::statement::{Draft, Mode, Nonce, StatementHeader, payload};
use invoice::{Attachment, Document, InvoiceId, Personal};
use ledger::event::Event;
use ledger::organisation::Organisation;
use ledger::outcome::ACCEPTED;
use ledger::record::InvoiceRecord;
use replica::port::Store;

use crate::auth::Caller;
use crate::call::{Call, JSON, header_value};
use crate::outcomes::{DecidedStatement, pending};
use crate::problem::Problem;
use crate::routes::statements::answer_from_ledger;
use crate::service::Service;
use crate::submit::{Submission, Submitted};
use crate::views::{EventResult, OutcomeView, QuotaView, RecordView};

/// How long a statement signed here may wait for a block, seconds.
const EXPIRES_AFTER_S: u64 = 3_600;

/// A write that its caller has proved.
pub(crate) struct Write {
    pub(crate) caller: Caller,
    nonce: Nonce,
    patience: Duration,
    pub(crate) body: Bytes,
}

/// What the answer to a write shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The event's result.
    Event,
    /// The invoice that was issued.
    Invoice,
}

impl<S: Store> Service<S> {
    /// Reads and proves a write: login, key, body, and the token's cover of that body.
    pub(crate) async fn write(self: &Arc<Self>, call: Call) -> Result<Write, Problem> {
        let headers = call.headers().clone();
        let (method, path) = (call.parts.method.clone(), call.parts.uri.path().to_owned());
        let caller = self.run(&self.name(&call), move |service| service.login(&headers)).await?;
        call.known();
        self.hosted_key(&caller.organisation)?;
        self.must_take_writes()?;
        let nonce = call.idempotency_key()?;
        let patience = call.prefer().patience(self.app.options.finality_wait_ms);
        let (_, body) = call.body(self, &[JSON]).await?;
        self.cover(&caller, &method, &path, &body)?;
        Ok(Write { caller, nonce, patience, body })
    }

    /// Signs an event with the caller's hosted key, submits it, and answers.
    pub(crate) async fn sign_and_submit(
        self: &Arc<Self>,
        write: &Write,
        event: &Event,
        attachment: Option<(Hash, Vec<u8>)>,
        shows: Shows,
    ) -> Result<Response, Problem> {
        let statement = self.signed(write, event)?.into();
        let attachments = attachment.into_iter().collect();
        let (name, body) = (write.caller.name(), write.body.clone());
        let submission = Submission { name, statement, attachments, patience: write.patience, body };
        match self.submit(submission).await? {
            Submitted::Pending(id) => Ok(pending(&id)),
            Submitted::Decided { id, fresh } => {
                let caller = write.caller.clone();
                self.run(&write.caller.name(), move |service| service.answer_write(&caller, &id, fresh, shows)).await
            }
        }
    }

    /// Signs events that stand each for itself with the caller's hosted key, submits them as one statement, and answers
    /// what became of each.
    pub(crate) async fn sign_and_submit_each(
        self: &Arc<Self>,
        write: &Write,
        events: &[Event],
    ) -> Result<Response, Problem> {
        let statement = self.sign_hosted(&write.caller.organisation, &write.nonce, Mode::Each, events)?.into();
        let (name, body) = (write.caller.name(), write.body.clone());
        let submission =
            Submission { name: name.clone(), statement, attachments: Vec::new(), patience: write.patience, body };
        match self.submit(submission).await? {
            Submitted::Pending(id) => Ok(pending(&id)),
            Submitted::Decided { id, fresh } => {
                self.run(&name, move |service| answer_from_ledger(service, &id, fresh)).await
            }
        }
    }

    fn signed(&self, write: &Write, event: &Event) -> Result<Vec<u8>, Problem> {
        self.sign_hosted(&write.caller.organisation, &write.nonce, Mode::Each, std::slice::from_ref(event))
    }

    /// Signs events with an organisation's hosted key.
    pub(crate) fn sign_hosted(
        &self,
        of: &Organisation,
        nonce: &Nonce,
        mode: Mode,
        events: &[Event],
    ) -> Result<Vec<u8>, Problem> {
        let held = self.hosted_key(of)?;
        let events: Vec<String> = events.iter().map(Event::to_json).collect();
        let now_s = u64::try_from(self.now_ms().div_euclid(1_000)).unwrap_or(0);
        let header = StatementHeader {
            organisation: held.organisation.clone(),
            key: held.key.clone(),
            chain: self.query().chain().clone(),
            nonce: nonce.clone(),
            expires_at: now_s.saturating_add(EXPIRES_AFTER_S),
        };
        Ok(Draft::new(header, payload(mode, &events)).sign(&held.secret))
    }

    fn answer_write(&self, caller: &Caller, id: &StatementId, fresh: bool, shows: Shows) -> Result<Response, Problem> {
        let missing = || Problem::new("statement.unknown");
        let decided = self.decided_statement(id)?.ok_or_else(missing)?;
        if let Some(problem) = self.wholly_refused(&decided)? {
            return Err(problem);
        }
        let outcome = decided.outcomes.first().ok_or_else(missing)?;
        let new = fresh && outcome.code == ACCEPTED;
        let status = if new { StatusCode::CREATED } else { StatusCode::OK };
        match (shows, issued(outcome)) {
            (Shows::Invoice, Some(id)) => {
                let record = self.query().invoice(&id)?.ok_or_else(missing)?;
                let mut view = self.invoice_view(caller, &id, &record)?;
                view.quota = self.quota_left(caller, &record)?.map(Box::new);
                let mut response = (status, Json(view)).into_response();
                response.headers_mut().insert(LOCATION, header_value(&format!("/v1/invoices/{id}")));
                Ok(response)
            }
            (Shows::Invoice | Shows::Event, _) => {
                Ok((status, Json(self.event_result(caller, &decided, outcome)?)).into_response())
            }
        }
    }

    /// What the seller of an invoice may still issue in its month, for who may know it; `None` without limit.
    fn quota_left(&self, caller: &Caller, record: &InvoiceRecord) -> Result<Option<QuotaView>, Problem> {
        if !self.sees_quotas(caller, &record.seller)? {
            return Ok(None);
        }
        let view = self.quota_view(&record.seller, record.period)?;
        Ok(Some(view).filter(|view| view.limited))
    }

    fn event_result(
        &self,
        caller: &Caller,
        decided: &DecidedStatement,
        outcome: &OutcomeView,
    ) -> Result<EventResult, Problem> {
        let about = outcome.subject.parse::<InvoiceId>().ok();
        let invoice = match about {
            Some(id) => match self.query().invoice(&id)? {
                Some(record) if self.sees(caller, &record)? => Some(self.invoice_view(caller, &id, &record)?),
                Some(_) | None => None,
            },
            None => None,
        };
        Ok(EventResult {
            statement: decided.view.statement.clone(),
            height: decided.view.height.unwrap_or_default(),
            time: decided.view.time.clone().unwrap_or_default(),
            code: outcome.code.clone(),
            subject: outcome.subject.clone(),
            leaf_index: outcome.leaf_index,
            leaf_hash: outcome.leaf_hash.clone(),
            record: outcome.record.clone(),
            original: outcome.original.clone(),
            receipt: outcome.receipt.clone(),
            invoice: invoice.map(Box::new),
        })
    }

    /// Builds the attachment of personal data and puts its hash into the document.
    ///
    /// The salt follows from seller and reference, which name the invoice for ever: whoever sends the same content
    /// again, under whatever key and however late, means the same attachment.
    pub(crate) fn attach(
        &self,
        document: &mut Document,
        personal: &Personal,
    ) -> Result<Option<(Hash, Vec<u8>)>, Problem> {
        if personal.is_empty() {
            return Ok(None);
        }
        if document.attachment.is_some() {
            return Err(Problem::new("attachment.both"));
        }
        let attachment = Attachment::build(&self.salt(document), personal).map_err(|error| {
            let expected = "personal data within its limits";
            Problem::new("attachment.malformed").at("/personal", expected, error.to_string())
        })?;
        document.attachment = Some(attachment.hash());
        let hash = Hash::from_bytes(*attachment.hash().as_bytes());
        Ok(Some((hash, attachment.into_bytes())))
    }
}

/// The invoice that an event issued, now or when it was first accepted.
fn issued(outcome: &OutcomeView) -> Option<InvoiceId> {
    match &outcome.record {
        Some(RecordView::Issued { invoice, .. } | RecordView::RedIssued { invoice, .. }) => invoice.parse().ok(),
        Some(_) | None => None,
    }
}
