//! An invoice in its buyer's books, and what its parties say of it, with a hosted key.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use invoice::Period;
use invoice::correction::Correction;
use ledger::event::{
    Book, BookAdjust, BookRevoke, BookingCode, Correct, Event, Grounds, Manifest, NonDeductReason, Stance, Use,
    UsePurpose, UseRevoke, Voucher,
};
use replica::port::Store;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::parse_id;
use crate::call::{Call, read_json};
use crate::hosted::Shows;
use crate::problem::Problem;
use crate::schema;
use crate::service::Service;
use crate::views::{EventResult, StatementView};

/// How an invoice is to be booked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookRequest {
    /// As what.
    #[schema(value_type = schema::BookingCode)]
    code: BookingCode,
    /// Under which voucher: 1 to 40 printable ASCII or Han characters without space.
    #[schema(value_type = String, example = "记-0012")]
    voucher: Voucher,
    /// In which month of the books, in UTC+8.
    #[schema(value_type = String, example = "2026-01")]
    period: Period,
}

/// For what an invoice's VAT is to be used.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UseRequest {
    /// For what.
    #[schema(value_type = schema::UsePurpose)]
    purpose: UsePurpose,
    /// Why it is not deducted; of `non-deduct`, and of nothing else.
    #[serde(default)]
    #[schema(value_type = Option<schema::NonDeductReason>)]
    reason: Option<NonDeductReason>,
    /// The month of the buyer's VAT, in UTC+8.
    #[schema(value_type = String, example = "2026-01")]
    period: Period,
}

/// What the buyer says of an invoice.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestRequest {
    /// What.
    #[schema(value_type = schema::Stance)]
    kind: Stance,
    /// Why, in 15 to 200 characters; of `dispute`, `unknown` and `not-done`, and of nothing else. It is on the ledger:
    /// nothing personal belongs in it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reason: Option<Grounds>,
}

/// What is said otherwise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrectRequest {
    /// The fields as they are meant; at least one.
    #[schema(value_type = schema::Correction)]
    fields: Correction,
}

/// Nothing but what the path says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeRequest {}

/// The problem of an event whose parts do not fit together.
fn unfit(path: &'static str, error: &dyn std::fmt::Display) -> Problem {
    Problem::new("event.malformed").at(path, "what the API description says", error.to_string())
}

/// Book an invoice
///
/// Once: for the enterprise that reimbursed it, else for its buyer. For that enterprise and who files for it; whoever books
/// it again is told since when it is booked and, of its own booking, under which voucher.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/bookings", operation_id = "book_invoice", tag = "books",
    request_body = BookRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Booked.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn book<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let BookRequest { code, voucher, period } = read_json(&write.body)?;
    let event = Event::Book(Book { invoice, code, voucher, period });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Book an invoice otherwise
///
/// While neither the month it is booked in nor the one it comes to is filed.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/bookings:adjust", operation_id = "adjust_booking", tag = "books",
    request_body = BookRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Adjusted.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn adjust<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let BookRequest { code, voucher, period } = read_json(&write.body)?;
    let event = Event::BookAdjust(BookAdjust { invoice, code, voucher, period });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Take a booking back
///
/// While its month is not filed; then the invoice may be booked again.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/bookings:revoke", operation_id = "revoke_booking", tag = "books",
    request_body = RevokeRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Taken back.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn revoke_booking<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let RevokeRequest {} = read_json(&write.body)?;
    let event = Event::BookRevoke(BookRevoke { invoice });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Use an invoice's VAT
///
/// Once, in a month of the buyer's that is not filed. For the buyer of a special invoice and who files for it.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/uses", operation_id = "use_invoice", tag = "books",
    request_body = UseRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Used.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn use_vat<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let UseRequest { purpose, reason, period } = read_json(&write.body)?;
    let event = Event::Use(Use::new(invoice, purpose, reason, period).map_err(|error| unfit("/reason", &error))?);
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Take the use of an invoice's VAT back
///
/// While its month is not filed; then it may be used again.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/uses:revoke", operation_id = "revoke_use", tag = "books",
    request_body = RevokeRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Taken back.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn revoke_use<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let RevokeRequest {} = read_json(&write.body)?;
    let event = Event::UseRevoke(UseRevoke { invoice });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Say what the buyer has to say of an invoice
///
/// Within 180 days of its issue; the newest word counts. For the buyer and who files for it.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/manifestations", operation_id = "manifest_invoice", tag = "invoices",
    request_body = ManifestRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Said.", body = EventResult),
        (status = 200, description = "The same had been said before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn manifest<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let ManifestRequest { kind, reason } = read_json(&write.body)?;
    let event = Event::Manifest(Manifest::new(invoice, kind, reason).map_err(|error| unfit("/reason", &error))?);
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Say otherwise what no tax depends on
///
/// Addresses, phone numbers, bank lines and the remark, at most 20 times. The document stays as it was signed, and the
/// correction is shown beside it. For the seller and who issues for it.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/corrections", operation_id = "correct_invoice", tag = "invoices",
    request_body = CorrectRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Corrected.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn correct<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let CorrectRequest { fields } = read_json(&write.body)?;
    if fields.is_empty() {
        return Err(unfit("/fields", &"no field to correct"));
    }
    let event = Event::Correct(Box::new(Correct { invoice, fields }));
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}
