//! Problems as gRPC says them: a status, with the details of `google.rpc` and our own.

use std::time::Duration;

use axum::body::Bytes;
use chain::catalogue::Kind;
use tonic::{Code, Status};
use tonic_types::pb;
use wire::generated::{Refusal, Undecided};

use super::convert;
use crate::catalogue;
use crate::problem::{Problem, ProblemBody};

/// Whose codes the reasons are.
pub(crate) const DOMAIN: &str = "einvoice.v1";

/// Bytes of details at most: they travel in the trailers, of which clients take 8 KiB, in base64.
const DETAILS_BYTES_MAX: usize = 4 * 1024;

/// Violations that a status lists at most.
const VIOLATIONS_MAX: usize = 20;

/// A problem as a status, under the request's id.
pub(crate) fn of(problem: &Problem, request_id: &str) -> Status {
    let body = problem.body();
    let kind = catalogue::find(&body.code).map_or(Kind::Lifecycle, |entry| entry.kind);
    let code = catalogue::grpc_status(&body.code, kind);
    let message = format!("{} {}", body.title, body.detail);
    let mut details = pb::Status { code: code.into(), message: message.clone(), details: Vec::new() };
    details.details.push(wire::any("google.rpc.ErrorInfo", &error_info(body)));
    let request = pb::RequestInfo { request_id: request_id.to_owned(), ..pb::RequestInfo::default() };
    details.details.push(wire::any("google.rpc.RequestInfo", &request));
    if let Some(seconds) = problem.retry_after_s() {
        let retry = pb::RetryInfo { retry_delay: Duration::from_secs(seconds).try_into().ok() };
        details.details.push(wire::any("google.rpc.RetryInfo", &retry));
    }
    if let Some(may_still_be_decided) = problem.may_still_be_decided() {
        let statement_id = body.statement.clone().unwrap_or_default();
        let undecided = Undecided { statement_id, may_still_be_decided };
        details.details.push(wire::any("einvoice.v1.Undecided", &undecided));
    }
    if code == Code::InvalidArgument {
        let push = |details: &mut pb::Status, bad: &pb::BadRequest| {
            details.details.push(wire::any("google.rpc.BadRequest", bad));
        };
        fit(&mut details, bad_request(body), push, |bad| bad.field_violations.pop().is_some());
    }
    if !body.outcomes.is_empty() {
        let push = |details: &mut pb::Status, refusal: &Refusal| {
            details.details.push(wire::any("einvoice.v1.Refusal", refusal));
        };
        // All of them or none: a part would look like the whole.
        let shorten = |refusal: &mut Refusal| !std::mem::take(&mut refusal.outcomes).is_empty();
        fit(&mut details, refusal(body), push, shorten);
    }
    Status::with_details(code, message, Bytes::from(wire::encode_message(&details)))
}

/// Adds a detail, shortened until it fits.
fn fit<M>(
    details: &mut pb::Status,
    mut detail: M,
    push: impl Fn(&mut pb::Status, &M),
    shorten: impl Fn(&mut M) -> bool,
) {
    loop {
        push(details, &detail);
        if wire::encode_message(details).len() <= DETAILS_BYTES_MAX || !shorten(&mut detail) {
            return;
        }
        details.details.pop();
    }
}

fn error_info(body: &ProblemBody) -> pb::ErrorInfo {
    let facts = [("path", &body.path), ("expected", &body.expected), ("found", &body.found)];
    let facts = facts.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact.clone()?)));
    pb::ErrorInfo { reason: body.code.to_string(), domain: DOMAIN.to_owned(), metadata: facts.collect() }
}

fn bad_request(body: &ProblemBody) -> pb::BadRequest {
    let violation = |field: &str, reason: &str, expected: &str, found: &str| pb::bad_request::FieldViolation {
        field: field.to_owned(),
        description: format!("expected {expected}, found {found}"),
        reason: reason.to_owned(),
        localized_message: None,
    };
    let mut violations: Vec<_> = body
        .violations
        .iter()
        .take(VIOLATIONS_MAX)
        .map(|of| violation(&of.path, &of.rule, &of.expected, &of.actual))
        .collect();
    if violations.is_empty()
        && let (Some(expected), Some(found)) = (&body.expected, &body.found)
    {
        violations.push(violation(body.path.as_deref().unwrap_or_default(), &body.code, expected, found));
    }
    pb::BadRequest { field_violations: violations }
}

fn refusal(body: &ProblemBody) -> Refusal {
    Refusal {
        code: body.code.to_string(),
        statement_id: body.statement.clone().unwrap_or_default(),
        standing: body.standing.as_ref().map(convert::standing),
        outcomes: body.outcomes.iter().map(convert::outcome).collect(),
        original_invoice: body.original.clone().unwrap_or_default(),
    }
}

/// The problem behind a status that the framework made, which has no details.
pub(crate) fn foreign(status: &Status) -> Problem {
    let found = || status.message().chars().take(120).collect::<String>();
    match status.code() {
        Code::Unimplemented if status.message().is_empty() => Problem::new("request.path"),
        Code::Unimplemented => Problem::new("request.encoding").at("grpc-encoding", "gzip, or nothing", found()),
        Code::OutOfRange | Code::ResourceExhausted => {
            Problem::new("request.too-large").at("", "a smaller message", found())
        }
        Code::NotFound => Problem::new("request.path"),
        // Our own faults have details.
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => {
            Problem::new("request.malformed").at("", "one message of the method's request", found())
        }
    }
}
