//! The routes: paths to handlers. Handlers extract, convert, call and convert.

pub(crate) mod archive;
pub(crate) mod books;
pub(crate) mod events;
pub(crate) mod filings;
pub(crate) mod invoices;
pub(crate) mod issue;
pub(crate) mod ledger_reads;
pub(crate) mod lists;
pub(crate) mod node_routes;
pub(crate) mod numbers;
pub(crate) mod organisations;
pub(crate) mod payments;
pub(crate) mod quotas;
pub(crate) mod red;
pub(crate) mod reimbursements;
mod request_events;
pub(crate) mod segments;
pub(crate) mod statements;
pub(crate) mod verifications;
pub(crate) mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use replica::port::Store;
use tower_http::catch_panic::CatchPanicLayer;

use crate::docs;
use crate::layer;
use crate::service::Service;

/// Every route of the door, behind its layers.
pub(crate) fn router<S: Store>(service: Arc<Service<S>>) -> Router {
    let mut router = Router::new()
        .route("/v1/statements", post(statements::submit::<S>))
        .route("/v1/statements:prepare", post(statements::prepare::<S>))
        .route("/v1/statements:validate", post(statements::validate::<S>))
        .route("/v1/statements/{id}", get(statements::show::<S>))
        .route("/v1/invoices", get(lists::list::<S>).post(issue::issue::<S>))
        .route("/v1/invoices/{id}", get(invoices::show::<S>).post(invoices::act::<S>))
        .route("/v1/invoices/{id}/events", get(invoices::events::<S>))
        .route("/v1/invoices/{id}/receipt", get(invoices::receipt::<S>))
        .route("/v1/invoices/{id}/attachment", get(invoices::attachment::<S>).delete(invoices::erase_attachment::<S>))
        .route("/v1/invoices/{id}/transfers", post(invoices::transfer::<S>))
        .route("/v1/invoices/{id}/reimbursements", post(reimbursements::lock::<S>))
        .route("/v1/invoices/{id}/reimbursements/{claim}", post(reimbursements::act::<S>))
        .route("/v1/invoices/{id}/bookings", post(books::book::<S>))
        .route("/v1/invoices/{id}/bookings:adjust", post(books::adjust::<S>))
        .route("/v1/invoices/{id}/bookings:revoke", post(books::revoke_booking::<S>))
        .route("/v1/invoices/{id}/uses", post(books::use_vat::<S>))
        .route("/v1/invoices/{id}/uses:revoke", post(books::revoke_use::<S>))
        .route("/v1/invoices/{id}/manifestations", post(books::manifest::<S>))
        .route("/v1/invoices/{id}/corrections", post(books::correct::<S>))
        .route("/v1/invoices/{id}/red-letters", post(red::issue::<S>))
        .route("/v1/invoices/{id}/slips", post(red::request::<S>))
        .route("/v1/invoices/{id}/slips/{slip}", post(red::act::<S>))
        .route("/v1/filings", get(filings::list::<S>).post(filings::file::<S>))
        .route("/v1/filings:group", post(filings::file_group::<S>))
        .route("/v1/filings/{seller}/{period}", get(filings::show::<S>))
        .route("/v1/filings/{seller}/{period}/amendments", post(payments::amend::<S>))
        .route("/v1/filings/{seller}/{period}/payments", post(payments::request::<S>))
        .route("/v1/filings/{seller}/{period}/payments/{order}", post(payments::decide::<S>))
        .route("/v1/quotas/{seller}/{period}", get(quotas::show::<S>))
        .route("/v1/numbers", get(numbers::list::<S>))
        .route("/v1/numbers/{code}", get(numbers::show::<S>))
        .route("/v1/receipts/{leaf}", get(ledger_reads::receipt::<S>))
        .route("/v1/blocks/{height}", get(ledger_reads::block::<S>))
        .route("/v1/checkpoints/latest", get(ledger_reads::checkpoint::<S>))
        .route("/v1/organisations", get(organisations::list::<S>))
        .route("/v1/organisations/{id}", get(organisations::show::<S>))
        .route("/v1/organisations/{id}/mandates", get(organisations::mandates::<S>))
        .route("/v1/organisations/{id}/segments", get(segments::list::<S>))
        .route("/v1/segments/{first}", get(segments::show::<S>))
        .route("/v1/events", get(events::follow::<S>))
        .route("/v1/webhooks", get(webhooks::list::<S>).post(webhooks::register::<S>))
        .route(
            "/v1/webhooks/{id}",
            get(webhooks::show::<S>).put(webhooks::change::<S>).delete(webhooks::remove::<S>).post(webhooks::act::<S>),
        )
        .route("/v1/webhooks/{id}/dead-letters", get(webhooks::dead_letters::<S>))
        .route("/v1/webhooks/{id}/dead-letters/{message}", post(webhooks::resend_one::<S>))
        .route("/v1/archive", get(archive::archive::<S>))
        .route("/v1/verifications", post(verifications::verify::<S>))
        .route("/v1/limits", get(node_routes::limits::<S>))
        .route("/v1/status", get(node_routes::status::<S>))
        .route("/livez", get(node_routes::livez::<S>))
        .route("/readyz", get(node_routes::readyz::<S>))
        .route("/metrics", get(node_routes::metrics::<S>))
        .route("/openapi.json", get(docs::openapi_json))
        .route("/docs", get(docs::page))
        .route("/docs/errors", get(docs::errors_page));
    if service.app.dev.is_some() {
        router = router.route("/v1/dev/clock", post(node_routes::advance_clock::<S>));
    }
    layered(router, service)
}

/// Puts the layers around routes: a panic ends one request, and the outermost has the last word.
pub(crate) fn layered<S: Store>(router: Router<Arc<Service<S>>>, service: Arc<Service<S>>) -> Router {
    router
        .layer(CatchPanicLayer::custom(layer::panicked))
        .layer(from_fn_with_state(Arc::clone(&service), layer::finish::<S>))
        .with_state(service)
}
