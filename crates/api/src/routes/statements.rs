//! `/v1/statements`: statements that their authors signed.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chain::hash::StatementId;
use chain::identity::{KeyId, OrganisationId};
use chain::statement::{Limits, Mode, Nonce, Statement};
use ledger::admission::{DOCUMENT_INVALID, EVENT_MALFORMED, Rejection};
use ledger::outcome::ACCEPTED;
use replica::port::Store;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::attachments::read_attachments;
use crate::call::{Call, JOSE, JSON, read_json};
use crate::drafting::{Wanted, admission, drafted, prepared, room_for_dry_run, unsigned, unsubmittable};
use crate::finality::Verdict;
use crate::outcomes::{DecidedStatement, Findings, pending};
use crate::problem::{Problem, cut};
use crate::routes::request_events::Events;
use crate::schema;
use crate::service::Service;
use crate::submit::{Submission, Submitted};
use crate::views::{Prepared, StatementState, StatementView, ValidationView, ViolationView};

/// A signed statement with its attachments.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitRequest {
    /// The statement: a compact JWS.
    statement: String,
    /// Attachments, base64url: the bytes whose SHA-256 the documents sign.
    #[serde(default)]
    attachments: Vec<String>,
}

/// What a statement is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrepareRequest {
    /// Who will sign.
    #[schema(value_type = String)]
    organisation: OrganisationId,
    /// With which of its keys.
    #[schema(value_type = String)]
    key: KeyId,
    /// The idempotency key; one is chosen when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    nonce: Option<Nonce>,
    /// Until when the statement may be decided, unix seconds; in an hour when absent.
    #[serde(default)]
    exp: Option<u64>,
    /// How the events hang together.
    #[schema(value_type = schema::Mode)]
    mode: RequestMode,
    /// The events.
    #[schema(value_type = Vec<schema::Event>)]
    events: Events,
}

/// A signed statement, or what one is to say.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its description is used; the body is told apart by its members")]
enum ValidateRequest {
    /// A signed statement.
    Submit(SubmitRequest),
    /// What a statement is to say.
    Prepare(PrepareRequest),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RequestMode {
    All,
    Each,
}

impl PrepareRequest {
    fn wanted(self) -> Wanted {
        let mode = match self.mode {
            RequestMode::All => Mode::All,
            RequestMode::Each => Mode::Each,
        };
        Wanted {
            organisation: self.organisation,
            key: self.key,
            nonce: self.nonce,
            expires_at: self.exp,
            mode,
            events: self.events.kept.iter().map(|event| event.get().to_owned()).collect(),
        }
    }
}

/// Submit a signed statement
///
/// Waits until the statement is decided. 201 when something of it was accepted, 200 when it had been decided before, and
/// the problem of the first refusal when nothing was accepted; that refusal is on the ledger too. 202 when the wait ends
/// first: poll `Location`. Sending the same statement again is always safe.
#[utoipa::path(
    post, path = "/v1/statements", operation_id = "submit_statement", tag = "statements",
    request_body(content((String = "application/jose"), (SubmitRequest = "application/json"))),
    params(("Prefer" = Option<String>, Header, description = "`respond-async`, or `wait=<seconds>`.")),
    responses(
        (status = 201, description = "Decided.", body = StatementView),
        (status = 200, description = "It had been decided before.", body = StatementView),
        (status = 202, description = "It waits.", body = StatementView),
    )
)]
pub(crate) async fn submit<S: Store>(State(service): State<Arc<Service<S>>>, call: Call) -> Result<Response, Problem> {
    service.must_take_writes()?;
    let patience = call.prefer().patience(service.app.options.finality_wait_ms);
    let name = service.name(&call);
    let place = call.place().cloned();
    let (media_type, body) = call.body(&service, &[JOSE, JSON]).await?;
    let (statement, attachments) = read_submission(media_type, &body)?;
    let attachments = read_attachments(&attachments)?;
    let submission = Submission { name: name.clone(), statement, attachments, patience, body };
    let submitted = service.submit(submission).await?;
    // It was signed by an organisation of the ledger.
    if let Some(place) = place {
        place.known();
    }
    match submitted {
        Submitted::Pending(id) => Ok(pending(&id)),
        Submitted::Decided { id, fresh } => match service.just_accepted(&id)? {
            // Handing over to a thread that may block costs more than this answer.
            Some(decided) => answer(&service, decided, fresh),
            None => service.run(&name, move |service| answer_from_ledger(service, &id, fresh)).await,
        },
    }
}

fn read_submission(media_type: &str, body: &Bytes) -> Result<(Bytes, Vec<String>), Problem> {
    if media_type == JOSE {
        return Ok((body.clone(), Vec::new()));
    }
    let SubmitRequest { statement, attachments } = read_json(body)?;
    Ok((statement.into(), attachments))
}

pub(crate) fn answer_from_ledger<S: Store>(
    service: &Service<S>,
    id: &StatementId,
    fresh: bool,
) -> Result<Response, Problem> {
    let decided = service.decided_statement(id)?.ok_or_else(|| Problem::new("statement.unknown"))?;
    answer(service, decided, fresh)
}

fn answer<S: Store>(service: &Service<S>, decided: DecidedStatement, fresh: bool) -> Result<Response, Problem> {
    if let Some(problem) = service.wholly_refused(&decided)? {
        return Err(problem);
    }
    // Nothing new came of it when all of it had been accepted before, under whatever nonce.
    let new = fresh && decided.outcomes.iter().any(|outcome| outcome.code == ACCEPTED);
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(decided.view)).into_response())
}

/// Prepare a statement for signing
///
/// Writes header and payload in the one form that is signed, for clients without a JWS library. Nothing is kept.
#[utoipa::path(
    post, path = "/v1/statements:prepare", operation_id = "prepare_statement", tag = "statements",
    request_body = PrepareRequest,
    responses((status = 200, description = "What is to be signed.", body = Prepared))
)]
pub(crate) async fn prepare<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<Prepared>, Problem> {
    let prepare = |service: &Service<S>, _: &str, body: &Bytes| {
        let request: PrepareRequest = read_json(body)?;
        request.events.check_count()?;
        prepared(service, request.wanted())
    };
    dry_run(&service, call, &[JSON], prepare).await
}

/// Makes a dry run. Nobody logs in for it, so that many at once could keep the node from its work.
async fn dry_run<S: Store, T: Send + 'static>(
    service: &Arc<Service<S>>,
    call: Call,
    accepted: &[&'static str],
    work: impl FnOnce(&Service<S>, &str, &Bytes) -> Result<T, Problem> + Send + 'static,
) -> Result<Json<T>, Problem> {
    let (name, network) = (service.name(&call), call.network());
    let (media_type, body) = call.body(service, accepted).await?;
    let share = room_for_dry_run(service, network)?;
    let work = move |service: &Service<S>| {
        let _share = share;
        work(service, media_type, &body).map(Json)
    };
    service.run(&name, work).await
}

/// Try a statement without submitting it
///
/// Takes what `/v1/statements` or `:prepare` take, and lists everything that is wrong. Nothing is kept or recorded. What
/// only the state of the ledger would refuse is not tried.
#[utoipa::path(
    post, path = "/v1/statements:validate", operation_id = "validate_statement", tag = "statements",
    request_body(content((String = "application/jose"), (ValidateRequest = "application/json"))),
    responses((status = 200, description = "The verdict.", body = ValidationView))
)]
pub(crate) async fn validate<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<ValidationView>, Problem> {
    dry_run(&service, call, &[JOSE, JSON], validated).await
}

fn validated<S: Store>(service: &Service<S>, media_type: &str, body: &Bytes) -> Result<ValidationView, Problem> {
    if media_type == JSON && serde_json::from_slice::<Shape>(body).is_ok_and(|shape| shape.events.is_some()) {
        let request: PrepareRequest = read_json(body)?;
        if let Err(rejection) = request.events.check_count() {
            return Ok(verdict(Findings::default(), Some(rejection)));
        }
        let unsigned = unsigned(&drafted(service, request.wanted())?);
        let rejection = unsubmittable(service, &unsigned)?;
        return Ok(verdict(examined(service, unsigned), rejection));
    }
    let (statement, attachments) = read_submission(media_type, body)?;
    read_attachments(&attachments)?;
    let rejection = admission(service, &statement)?;
    Ok(verdict(examined(service, statement.into()), rejection))
}

/// What is wrong in a statement's events; nothing when they cannot be told apart, which admission says.
fn examined<S: Store>(service: &Service<S>, statement: Vec<u8>) -> Findings {
    match Statement::parse(statement, &Limits::default()) {
        Ok(statement) => service.examine_events(statement.events()),
        Err(_) => Findings::default(),
    }
}

/// Enough of a body to tell what it is.
#[derive(Deserialize)]
struct Shape {
    events: Option<Box<RawValue>>,
}

fn verdict(findings: Findings, rejection: Option<Rejection>) -> ValidationView {
    // What examining the events found is told by that, in full; what it did not find stands as it is.
    let told = |rejection: &Rejection| match rejection.code {
        EVENT_MALFORMED => !findings.others.is_empty() || !findings.violations.is_empty(),
        DOCUMENT_INVALID => !findings.violations.is_empty(),
        _ => false,
    };
    let other = rejection.filter(|rejection| !told(rejection)).map(|rejection| ViolationView {
        path: rejection.path,
        rule: rejection.code.to_owned(),
        expected: rejection.expected,
        actual: cut(rejection.found),
    });
    let mut violations: Vec<_> = other.into_iter().chain(findings.others).collect();
    violations.extend(findings.violations.iter().map(ViolationView::from));
    let warnings = findings.warnings.iter().map(ViolationView::from).collect();
    ValidationView { valid: violations.is_empty(), violations, warnings, truncated: findings.truncated }
}

/// Where a statement stands
///
/// Everybody who knows the id may ask whether it is decided; outcomes are shown to its author, agencies and auditors.
#[utoipa::path(
    get, path = "/v1/statements/{id}", operation_id = "show_statement", tag = "statements",
    params(("id" = String, Path, description = "The statement's id.")),
    responses((status = 200, description = "Pending, decided or dropped.", body = StatementView)),
    security((), ("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<StatementView>, Problem> {
    service
        .read(call, move |service, call| {
            let caller = service.login_if_any(call.headers())?.inspect(|_| call.known());
            let id: StatementId = id.parse().map_err(|_| Problem::new("statement.unknown"))?;
            let Some(mut decided) = service.decided_statement(&id)? else {
                return undecided(service, &id);
            };
            let may = caller.is_some_and(|caller| caller.sees_everything() || *caller.id() == decided.organisation);
            if !may {
                decided.view.outcomes = None;
                decided.view.mode = None;
            }
            Ok(Json(decided.view))
        })
        .await
}

fn undecided<S: Store>(service: &Service<S>, id: &StatementId) -> Result<Json<StatementView>, Problem> {
    if service.app.finality.is_expected(id) {
        return Ok(Json(StatementView::bare(id.to_string(), StatementState::Pending)));
    }
    let code = match service.app.finality.dropped_verdict(id) {
        Some(Verdict::Rejected(rejection)) => rejection.code.to_owned(),
        Some(Verdict::Repeated(_)) => "statement.repeated".to_owned(),
        Some(Verdict::Quarantined) => "statement.quarantined".to_owned(),
        Some(Verdict::Decided | Verdict::Fault) | None => return Err(Problem::new("statement.unknown")),
    };
    let mut view = StatementView::bare(id.to_string(), StatementState::Dropped);
    view.problem = Some(code);
    Ok(Json(view))
}
