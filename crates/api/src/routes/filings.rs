//! `/v1/filings`: a seller's months.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use chain::identity::OrganisationId;
use invoice::Period;
use invoice::document::RateTotal;
use ledger::event::{Event, File};
use ledger::party::Side;
use replica::port::Store;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::call::{Call, read_json};
use crate::hosted::Shows;
use crate::problem::Problem;
use crate::schema;
use crate::service::Service;
use crate::time::format_ms;
use crate::views::{EventResult, FiledView, FilingView, RateTotalView, StatementView};

/// A month to be filed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRequest {
    /// The seller.
    #[schema(value_type = String)]
    seller: OrganisationId,
    /// The month, in UTC+8.
    #[schema(value_type = String, example = "2026-01")]
    period: Period,
    /// How many invoices stand.
    invoices: u64,
    /// Their net and tax by rate; rates that sum to nothing may be left out.
    #[schema(value_type = Vec<schema::FileTotal>)]
    output: Vec<RateTotal>,
}

/// File a seller's ended month
///
/// The totals must be those of the ledger; `GET /v1/filings/{seller}/{period}` shows them.
#[utoipa::path(
    post, path = "/v1/filings", operation_id = "file_month", tag = "filings",
    request_body = FileRequest,
    params(("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried.")),
    responses(
        (status = 201, description = "Filed.", body = EventResult),
        (status = 200, description = "Filed with these totals before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn file<S: Store>(State(service): State<Arc<Service<S>>>, call: Call) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let FileRequest { seller, period, invoices, output } = read_json(&write.body)?;
    let event = Event::File(File { seller, period, invoices, output });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Look at a seller's month
///
/// What the ledger holds, ready to be filed as it is, and whether it was filed.
#[utoipa::path(
    get, path = "/v1/filings/{seller}/{period}", operation_id = "show_month", tag = "filings",
    params(
        ("seller" = String, Path, description = "The seller's id on the ledger."),
        ("period" = String, Path, description = "The month, `YYYY-MM`."),
    ),
    responses((status = 200, description = "The month.", body = FilingView)),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((seller, period)): Path<(String, String)>,
    call: Call,
) -> Result<Json<FilingView>, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let unknown = || {
                Problem::new("organisation.unknown").at("seller", "a seller whose months the caller may see", &*seller)
            };
            let id = OrganisationId::new(seller.clone()).map_err(|_| unknown())?;
            let period: Period = period
                .parse()
                .map_err(|_| Problem::new("request.malformed").at("period", "a month, YYYY-MM", "another text"))?;
            if !service.sees_months(caller, &id)? {
                return Err(unknown());
            }
            let organisation = service.query().organisation(&id)?.ok_or_else(unknown)?;
            let overflow = || Problem::new("filing.sum-overflow");
            let month = service.query().month(period, Side::Seller, &organisation)?.ok_or_else(overflow)?;
            let filed = service.query().filing(&id, period)?;
            Ok(Json(FilingView {
                seller: id.to_string(),
                period: period.to_string(),
                invoices: month.invoices,
                output: month.output().ok_or_else(overflow)?.iter().map(RateTotalView::from).collect(),
                ends_at: format_ms(period.end_ms()),
                ended: service.now_ms() >= period.end_ms(),
                filed: filed.as_ref().map(FiledView::from),
            }))
        })
        .await
}
