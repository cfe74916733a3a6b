//! `/v1/filings/{seller}/{period}/…`: amendments of filed months, payment orders, and what became of them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::Period;
use invoice::amount::Amount;
use invoice::document::RateTotal;
use ledger::event::{Amend, AmendReason, Event, OrderId, PayRequest, PayResult, PaymentResult};
use replica::port::Store;
use serde::Deserialize;
use utoipa::ToSchema;

use super::filings::read_period;
use crate::call::{Call, read_json};
use crate::hosted::Shows;
use crate::problem::Problem;
use crate::schema;
use crate::service::Service;
use crate::views::{EventResult, StatementView};

/// What is declared otherwise of a filed month.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmendRequest {
    /// Which amendment of the month it is: 1, 2 and so on, at most 20.
    number: u32,
    /// Why.
    #[schema(value_type = schema::AmendReason)]
    reason: AmendReason,
    /// What was sold without invoices, by rate, in place of what was declared before: each rate once, ascending.
    #[serde(default)]
    #[schema(value_type = Vec<schema::FileTotal>, max_items = 32)]
    uninvoiced: Vec<RateTotal>,
}

/// A payment order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentRequest {
    /// Its id, used once by a taxpayer: 1 to 64 printable ASCII characters without space.
    #[schema(value_type = String)]
    order: OrderId,
    /// All that is payable and not paid yet.
    #[schema(value_type = String, example = "1300.00")]
    amount: Amount,
}

/// What became of a payment order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideRequest {
    /// What became of it.
    #[schema(value_type = schema::PaymentResult)]
    result: PaymentResult,
    /// SHA-256 of the bank's receipt, or of its notice that it did not pay.
    #[schema(value_type = String)]
    receipt: Hash,
}

/// Amend a filed month
///
/// What was sold without invoices is declared otherwise; what the ledger holds stands. Every version can still be read.
#[utoipa::path(
    post, path = "/v1/filings/{seller}/{period}/amendments", operation_id = "amend_month", tag = "filings",
    request_body = AmendRequest,
    params(
        ("seller" = String, Path, description = "The taxpayer's id on the ledger."),
        ("period" = String, Path, description = "The month, `YYYY-MM`."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Amended.", body = EventResult),
        (status = 200, description = "Amended so before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn amend<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((seller, period)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let (taxpayer, period) = month(&seller, &period)?;
    let AmendRequest { number, reason, uninvoiced } = read_json(&write.body)?;
    let event = Event::Amend(Amend { taxpayer, period, number, reason, uninvoiced });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Order a payment
///
/// Of a filed month, for all that is payable and not paid yet. One order of a month is under way at a time.
#[utoipa::path(
    post, path = "/v1/filings/{seller}/{period}/payments", operation_id = "request_payment", tag = "filings",
    request_body = PaymentRequest,
    params(
        ("seller" = String, Path, description = "The taxpayer's id on the ledger."),
        ("period" = String, Path, description = "The month, `YYYY-MM`."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Ordered.", body = EventResult),
        (status = 200, description = "Ordered before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn request<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((seller, period)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let (taxpayer, period) = month(&seller, &period)?;
    let PaymentRequest { order, amount } = read_json(&write.body)?;
    let event = Event::PayRequest(PayRequest { taxpayer, period, order, amount });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Say what became of a payment order
///
/// For the taxpayer, who files for it, and the tax bureau. It is said once.
#[utoipa::path(
    post, path = "/v1/filings/{seller}/{period}/payments/{order}", operation_id = "decide_payment", tag = "filings",
    request_body = DecideRequest,
    params(
        ("seller" = String, Path, description = "The taxpayer's id on the ledger."),
        ("period" = String, Path, description = "The month, `YYYY-MM`."),
        ("order" = String, Path, description = "The payment order."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Said.", body = EventResult),
        (status = 200, description = "Said before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn decide<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((seller, period, order)): Path<(String, String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let (taxpayer, period) = month(&seller, &period)?;
    let order = order.parse().map_err(|_| Problem::new("payment.unknown").at("order", "a payment order", &*order))?;
    let DecideRequest { result, receipt } = read_json(&write.body)?;
    let event = Event::PayResult(PayResult { taxpayer, period, order, result, receipt });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Whose month a path is about.
fn month(taxpayer: &str, period: &str) -> Result<(OrganisationId, Period), Problem> {
    let unknown = |_| Problem::new("organisation.unknown").at("seller", "a taxpayer on the ledger", taxpayer);
    Ok((OrganisationId::new(taxpayer.to_owned()).map_err(unknown)?, read_period(period)?))
}
