//! The service for reimbursement platforms.

use chain::identity::KeyId;
use chain::statement::{Mode, Nonce};
use ledger::event::Event;
use ledger::party::Side;
use replica::port::Store;
use tonic::{Request, Response, Status};
use wire::generated::reimbursement_service_server::ReimbursementService;
use wire::generated::{
    BatchCloseRequest, BatchCloseResponse, BatchLockRequest, BatchLockResponse, BatchVerifyAnswer, BatchVerifyProblem,
    BatchVerifyRequest, BatchVerifyResponse, CloseRequest, CloseResponse, GetClaimRequest, GetClaimResponse,
    ListClaimsRequest, ListClaimsResponse, LockRequest, LockResponse, PrepareClaimRequest, PrepareClaimResponse,
    RenewRequest, RenewResponse, SigningTerms, UnlockRequest, UnlockResponse, VerifyRequest, VerifyResponse,
    VerifyResult, batch_close_request, batch_lock_request, batch_verify_answer, close_request, lock_request,
    prepare_claim_request, renew_request, unlock_request,
};

use super::events::{required, wrong};
use super::writes::{Form, Purpose, Writing};
use super::{Handlers, convert, events};
use crate::access::{is_claimant, parse_id};
use crate::auth::Caller;
use crate::drafting::{Wanted, prepared};
use crate::listing::Filter;
use crate::problem::Problem;
use crate::service::Service;

/// What a writing call must have.
const FORM: &str = "a statement, or the plain event";

#[tonic::async_trait]
impl<S: Store> ReimbursementService for Handlers<S> {
    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        self.read_brief(request, |service, caller, message| verified(service, caller, message)).await
    }

    async fn batch_verify(
        &self,
        request: Request<BatchVerifyRequest>,
    ) -> Result<Response<BatchVerifyResponse>, Status> {
        self.read(request, |service, caller, message| {
            let (count, max) = (message.requests.len(), service.app.options.grpc.batch_max);
            if !(1..=max).contains(&count) {
                return Err(wrong("/requests", format!("1 to {max}"), count.to_string()));
            }
            let answers = message.requests.into_iter().map(|request| answer(verified(service, caller, request)));
            Ok(BatchVerifyResponse { answers: answers.collect::<Result<_, _>>()? })
        })
        .await
    }

    async fn prepare_claim(
        &self,
        request: Request<PrepareClaimRequest>,
    ) -> Result<Response<PrepareClaimResponse>, Status> {
        self.read(request, |service, _, message| {
            let (mode, events) = claim_events(message.content, service.app.options.grpc.batch_max)?;
            let events = events.iter().map(Event::to_json).collect();
            let prepared = prepared(service, wanted(message.terms, mode, events)?)?;
            Ok(PrepareClaimResponse { prepared: Some(convert::prepared(prepared)) })
        })
        .await
    }

    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let read = |message: LockRequest, _| {
            let form = match required(message.form, "/form", FORM)? {
                lock_request::Form::Statement(statement) => Form::Signed(statement),
                lock_request::Form::Lock(event) => plain(events::lock(&event, "/lock")?),
            };
            Ok(Writing::one(form, "lock", message.idempotency_key))
        };
        let result = Some(self.write(request, read).await?);
        Ok(Response::new(LockResponse { result }))
    }

    async fn batch_lock(&self, request: Request<BatchLockRequest>) -> Result<Response<BatchLockResponse>, Status> {
        let read = |message: BatchLockRequest, batch_max| {
            let form = match required(message.form, "/form", FORM)? {
                batch_lock_request::Form::Statement(statement) => Form::Signed(statement),
                batch_lock_request::Form::BatchLock(batch) => {
                    Form::Plain(Mode::All, events::locks(&batch.locks, batch_max)?)
                }
            };
            let idempotency_key = message.idempotency_key;
            Ok(Writing { form, purpose: Purpose::All("lock"), idempotency_key, attachments: Vec::new() })
        };
        let result = Some(self.write(request, read).await?);
        Ok(Response::new(BatchLockResponse { result }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let read = |message: RenewRequest, _| {
            let form = match required(message.form, "/form", FORM)? {
                renew_request::Form::Statement(statement) => Form::Signed(statement),
                renew_request::Form::Renew(event) => plain(events::renew(&event)?),
            };
            Ok(Writing::one(form, "renew", message.idempotency_key))
        };
        let result = Some(self.write(request, read).await?);
        Ok(Response::new(RenewResponse { result }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let read = |message: UnlockRequest, _| {
            let form = match required(message.form, "/form", FORM)? {
                unlock_request::Form::Statement(statement) => Form::Signed(statement),
                unlock_request::Form::Unlock(event) => plain(events::unlock(&event)?),
            };
            Ok(Writing::one(form, "unlock", message.idempotency_key))
        };
        let result = Some(self.write(request, read).await?);
        Ok(Response::new(UnlockResponse { result }))
    }

    async fn close(&self, request: Request<CloseRequest>) -> Result<Response<CloseResponse>, Status> {
        let read = |message: CloseRequest, _| {
            let form = match required(message.form, "/form", FORM)? {
                close_request::Form::Statement(statement) => Form::Signed(statement),
                close_request::Form::Close(event) => plain(events::close(&event, "/close")?),
            };
            Ok(Writing::one(form, "close", message.idempotency_key))
        };
        let result = Some(self.write(request, read).await?);
        Ok(Response::new(CloseResponse { result }))
    }

    async fn batch_close(&self, request: Request<BatchCloseRequest>) -> Result<Response<BatchCloseResponse>, Status> {
        let read = |message: BatchCloseRequest, batch_max| {
            let form = match required(message.form, "/form", FORM)? {
                batch_close_request::Form::Statement(statement) => Form::Signed(statement),
                batch_close_request::Form::BatchClose(batch) => {
                    Form::Plain(Mode::All, events::closes(&batch.closes, batch_max)?)
                }
            };
            let idempotency_key = message.idempotency_key;
            Ok(Writing { form, purpose: Purpose::All("close"), idempotency_key, attachments: Vec::new() })
        };
        let result = Some(self.write(request, read).await?);
        Ok(Response::new(BatchCloseResponse { result }))
    }

    async fn get_claim(&self, request: Request<GetClaimRequest>) -> Result<Response<GetClaimResponse>, Status> {
        self.read_brief(request, |service, caller, message| {
            let id = parse_id(&message.invoice)?;
            let record = service.visible(caller, &id)?;
            Ok(GetClaimResponse { claim: Some(service.claim(caller, &id, &record)?) })
        })
        .await
    }

    async fn list_claims(&self, request: Request<ListClaimsRequest>) -> Result<Response<ListClaimsResponse>, Status> {
        self.read(request, |service, caller, message| {
            let filter = Filter {
                side: Some(Side::Platform),
                reimbursement: events::claim_status(message.status, "/status")?,
                limit: events::page_size(message.page_size, service.app.options.page_rows_max)?,
                cursor: said(&message.page_token),
                ..Filter::default()
            };
            let page = service.list_invoices(caller, &filter)?;
            let own = page.rows.iter().filter(|(_, record)| is_claimant(caller.id(), &record.claim));
            let claims = own.map(|(id, record)| service.claim(caller, id, record)).collect::<Result<_, _>>()?;
            Ok(ListClaimsResponse { claims, next_page_token: page.next.unwrap_or_default() })
        })
        .await
    }
}

/// What is absent on the wire is empty.
pub(super) fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn plain(event: Event) -> Form {
    Form::Plain(Mode::Each, vec![event])
}

fn verified<S: Store>(
    service: &Service<S>,
    caller: &Caller,
    message: VerifyRequest,
) -> Result<VerifyResponse, Problem> {
    let checked = service.verified(&events::claimed(message)?, Some(caller.id()))?;
    let mut response = VerifyResponse {
        result: VerifyResult::Mismatch.into(),
        as_of_height: checked.height,
        as_of_ms: checked.time_ms,
        ..VerifyResponse::default()
    };
    if let Some(verified) = checked.verified {
        response.result = VerifyResult::Match.into();
        response.validity = convert::validity(verified.validity).into();
        response.claim_status = convert::claim_status(verified.reimbursement).into();
    }
    Ok(response)
}

/// One answer of many. What the caller has wrong concerns that one; a fault of ours concerns all.
fn answer(verified: Result<VerifyResponse, Problem>) -> Result<BatchVerifyAnswer, Problem> {
    let answer = match verified {
        Ok(response) => batch_verify_answer::Answer::Response(response),
        Err(problem) if problem.status().is_server_error() => return Err(problem),
        Err(problem) => {
            let body = problem.body();
            let (path, expected) = (body.path.clone(), body.expected.clone());
            batch_verify_answer::Answer::Problem(BatchVerifyProblem {
                code: body.code.to_string(),
                path: path.unwrap_or_default(),
                expected: expected.unwrap_or_default(),
            })
        }
    };
    Ok(BatchVerifyAnswer { answer: Some(answer) })
}

fn claim_events(
    content: Option<prepare_claim_request::Content>,
    batch_max: usize,
) -> Result<(Mode, Vec<Event>), Problem> {
    use prepare_claim_request::Content;
    Ok(match required(content, "/content", "what is to be signed")? {
        Content::Lock(event) => (Mode::Each, vec![events::lock(&event, "/lock")?]),
        Content::BatchLock(batch) => (Mode::All, events::locks(&batch.locks, batch_max)?),
        Content::Renew(event) => (Mode::Each, vec![events::renew(&event)?]),
        Content::Unlock(event) => (Mode::Each, vec![events::unlock(&event)?]),
        Content::Close(event) => (Mode::Each, vec![events::close(&event, "/close")?]),
        Content::BatchClose(batch) => (Mode::All, events::closes(&batch.closes, batch_max)?),
    })
}

/// What a statement is to say.
pub(super) fn wanted(terms: Option<SigningTerms>, mode: Mode, events: Vec<String>) -> Result<Wanted, Problem> {
    let terms = required(terms, "/terms", "who signs")?;
    let nonce = said(&terms.nonce).map(|text| {
        let expected = "1 to 64 printable ASCII characters without spaces";
        Nonce::new(text).map_err(|error| wrong("/terms/nonce", expected, error.to_string()))
    });
    let key = KeyId::new(terms.key.as_str()).map_err(|_| wrong("/terms/key", "the id of a key", terms.key.as_str()))?;
    let organisation = terms.organisation.parse();
    Ok(Wanted {
        organisation: organisation
            .map_err(|_| wrong("/terms/organisation", "an organisation's id", terms.organisation.as_str()))?,
        key,
        nonce: nonce.transpose()?,
        expires_at: (terms.expires_at_s != 0).then_some(terms.expires_at_s),
        mode,
        events,
    })
}
