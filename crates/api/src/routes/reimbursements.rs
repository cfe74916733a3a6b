//! `/v1/invoices/{id}/reimbursements`: lock, renew, unlock, close with a hosted key.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use chain::identity::OrganisationId;
use ledger::event::{ClaimId, Close, Event, Lock, Renew, Unlock};
use replica::port::Store;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::parse_id;
use crate::call::{Call, read_json};
use crate::hosted::Shows;
use crate::problem::Problem;
use crate::service::Service;
use crate::views::{EventResult, StatementView};

/// A lock that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockRequest {
    /// The enterprise that reimburses: the invoice's holder.
    #[schema(value_type = String)]
    enterprise: OrganisationId,
    /// The platform's own id of the claim: 1 to 64 printable ASCII characters without space.
    #[schema(value_type = String)]
    claim: ClaimId,
    /// For how long, in seconds; the longest term when absent.
    #[serde(default)]
    lease_seconds: Option<u32>,
}

/// The lock that is acted on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// The lock's fencing token.
    token: u64,
}

/// The lock that is extended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewRequest {
    /// The lock's fencing token.
    token: u64,
    /// For how long from now, in seconds; the longest term when absent.
    #[serde(default)]
    lease_seconds: Option<u32>,
}

/// Lock an invoice for a claim
///
/// The first platform wins; the second gets 409 with who holds the invoice since when and until when, never what for.
/// The answer's `record.locked.token` is the fencing token that renew, unlock and close need.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/reimbursements", operation_id = "lock_invoice", tag = "reimbursements",
    request_body = LockRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Locked.", body = EventResult),
        (status = 200, description = "Locked for that claim before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn lock<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let LockRequest { enterprise, claim, lease_seconds } = read_json(&write.body)?;
    let event = Event::Lock(Lock { invoice: parse_id(&id)?, enterprise, claim, lease_seconds });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Renew, unlock and close share one route, because the verb stands in the last segment.
pub(crate) async fn act<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((id, target)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    // A claim may hold colons; the verb is behind the last.
    let (claim, action) = target.rsplit_once(':').ok_or_else(|| Problem::new("request.path"))?;
    if !["renew", "unlock", "close"].contains(&action) {
        return Err(Problem::new("request.path"));
    }
    let invoice = parse_id(&id)?;
    let claim: ClaimId = claim
        .parse()
        .map_err(|_| Problem::new("reimbursement.not-locked").at("claim", "a claim's id", "no claim's id"))?;
    let write = service.write(call).await?;
    let event = match action {
        "renew" => {
            let RenewRequest { token, lease_seconds } = read_json(&write.body)?;
            Event::Renew(Renew { invoice, claim, token, lease_seconds })
        }
        "unlock" => Event::Unlock(Unlock { invoice, claim, token: read_json::<TokenRequest>(&write.body)?.token }),
        _ => Event::Close(Close { invoice, claim, token: read_json::<TokenRequest>(&write.body)?.token }),
    };
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Extend the lease of a lock
#[utoipa::path(
    post, path = "/v1/invoices/{id}/reimbursements/{claim}:renew", operation_id = "renew_lock", tag = "reimbursements",
    request_body = RenewRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("claim" = String, Path, description = "The claim it was locked for."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Renewed.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn renew() {}

/// Give a lock up
#[utoipa::path(
    post, path = "/v1/invoices/{id}/reimbursements/{claim}:unlock", operation_id = "unlock_invoice", tag = "reimbursements",
    request_body = TokenRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("claim" = String, Path, description = "The claim it was locked for."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Unlocked.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn unlock() {}

/// Close an invoice: reimbursed, once and for all
#[utoipa::path(
    post, path = "/v1/invoices/{id}/reimbursements/{claim}:close", operation_id = "close_invoice", tag = "reimbursements",
    request_body = TokenRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("claim" = String, Path, description = "The claim it was locked for."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Closed.", body = EventResult),
        (status = 200, description = "Closed for that claim before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn close() {}
