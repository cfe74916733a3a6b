//! `POST /v1/verifications`: the public check. No login.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use replica::port::Store;
use serde::Serialize;
use utoipa::ToSchema;

use crate::call::{Call, JSON, read_json};
use crate::invoice_state;
use crate::problem::Problem;
use crate::service::Service;
use crate::time::format_ms;
use crate::verification::VerificationRequest;

/// The answer: a wrong detail and an unknown invoice look alike.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct VerificationView {
    /// `match` or `mismatch`.
    #[schema(example = "match")]
    result: &'static str,
    /// The invoice's present status; only of a match.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<VerifiedStatus>,
    /// How much of the ledger was asked.
    as_of: AsOf,
}

/// The last block that the node knew. What was issued in a later one is a mismatch here.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AsOf {
    /// Its height.
    height: u64,
    /// Its time; the genesis's before the first block.
    #[schema(example = "2026-11-15T04:00:00.000Z")]
    time: String,
}

/// An invoice's present status.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct VerifiedStatus {
    /// `normal`, `part-red`, `full-red` or `void`.
    validity: &'static str,
    /// `open`, `locked` or `closed`.
    reimbursement: &'static str,
}

/// Check an invoice
///
/// Tells whether an invoice with these details is on the ledger, and its present status. Five wrong answers an invoice
/// and day; a check with the full leaf hash has no such limit.
#[utoipa::path(
    post, path = "/v1/verifications", operation_id = "verify_invoice", tag = "verifications",
    request_body = VerificationRequest,
    responses((status = 200, description = "Match or mismatch.", body = VerificationView))
)]
pub(crate) async fn verify<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<VerificationView>, Problem> {
    service.quotas.check_address(call.address()).map_err(|seconds| {
        let a_minute = service.app.options.verifications_a_minute;
        Problem::new("verification.rate").at("", format!("{a_minute} a minute"), "more").retry_after(seconds)
    })?;
    let name = service.name(&call);
    let (_, body) = call.body(&service, &[JSON]).await?;
    let claimed = read_json::<VerificationRequest>(&body)?.claimed()?;
    let checked = service.run_brief(&name, move |service| service.verified(&claimed, None)).await?;
    Ok(Json(VerificationView {
        result: if checked.verified.is_some() { "match" } else { "mismatch" },
        as_of: AsOf { height: checked.height, time: format_ms(checked.time_ms) },
        status: checked.verified.map(|verified| VerifiedStatus {
            validity: verified.validity.as_str(),
            reimbursement: invoice_state::status(verified.reimbursement),
        }),
    }))
}
