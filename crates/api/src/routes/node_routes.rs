//! The node itself: limits, status, health, metrics, and on `dev` nodes the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ledger::parameters::Parameters;
use replica::port::Store;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::{Call, JSON, read_json};
use crate::metrics::Reading;
use crate::options::Options;
use crate::problem::{Problem, ProblemBody};
use crate::service::Service;
use crate::time::{format_ms, parse_ms};
use crate::views::{HealthView, LimitsView, StatusView};

/// How far a `dev` node's clock may be moved at once: ten years, ms.
const ADVANCE_MS_MAX: i64 = 10 * 366 * 24 * 60 * 60 * 1_000;

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The limits of this node and of the ledger
#[utoipa::path(
    get, path = "/v1/limits", operation_id = "show_limits", tag = "node",
    responses((status = 200, description = "The limits.", body = LimitsView))
)]
pub(crate) async fn limits<S: Store>(State(service): State<Arc<Service<S>>>) -> Json<LimitsView> {
    let mut limits = door_limits(&service.app.options);
    limits.extend(ledger_limits(service.query().tip().parameters()));
    let mempool = service.app.mempool.limits();
    limits.extend([
        ("mempool_bytes", count(mempool.bytes_max)),
        ("mempool_organisation_percent", count(mempool.organisation_percent_max)),
        ("mempool_statements", count(mempool.statements_max)),
    ]);
    std::future::ready(Json(LimitsView {
        chain: service.query().chain().to_string(),
        node: service.app.identity.id.clone(),
        time: format_ms(service.app.clock.now_ms()),
        limits,
    }))
    .await
}

/// What the door allows.
fn door_limits(options: &Options) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("answer_bytes_a_second", options.answer_bytes_a_second_min),
        ("archives_at_once", count(super::archive::archives_max())),
        ("bodies_bytes", count(options.bodies_bytes_max)),
        ("bodies_bytes_an_address", count(options.bodies_bytes_an_address_max)),
        ("body_bytes", count(options.body_bytes_max)),
        ("body_bytes_a_second", options.body_bytes_a_second_min),
        ("body_pace_window_ms", options.body_pace_window_ms),
        ("body_read_timeout_ms", options.body_read_timeout_ms),
        ("connections", count(options.connections_max)),
        ("connections_an_address", count(options.connections_an_address_max)),
        ("drain_ms", options.drain_ms),
        ("dry_runs_at_once", count(options.dry_runs_at_once_max)),
        ("event_page_rows", count(super::invoices::EVENTS_PAGE_MAX.min(options.page_rows_max))),
        ("finality_wait_ms", options.finality_wait_ms),
        ("grpc_answers_bytes", count(options.grpc.answers_bytes_max)),
        ("grpc_answers_bytes_an_organisation", count(options.grpc.answers_bytes_an_organisation_max)),
        ("grpc_batch_invoices", count(options.grpc.batch_max)),
        ("grpc_calls_a_connection", u64::from(options.grpc.calls_a_connection_max)),
        ("grpc_calls_a_second", u64::from(options.grpc.calls_a_second_max)),
        ("grpc_calls_an_organisation", count(options.grpc.calls_an_organisation_max)),
        ("grpc_connections", count(options.grpc.connections_max)),
        ("grpc_connections_an_address", count(options.grpc.connections_an_address_max)),
        ("grpc_keep_alive_ms", options.grpc.keep_alive_ms),
        ("handshake_timeout_ms", options.handshake_timeout_ms),
        ("header_read_timeout_ms", options.header_read_timeout_ms),
        ("login_token_ids", count(options.token_ids_max)),
        ("login_token_seconds", chain::login::LIFETIME_S_MAX),
        ("mismatches_an_invoice_and_day", u64::from(options.mismatches_an_invoice_and_day)),
        ("mismatches_an_organisation_and_day", u64::from(options.mismatches_an_organisation_and_day)),
        ("page_rows", count(options.page_rows_max)),
        ("prepared_statement_seconds", crate::drafting::PREPARED_FOR_S),
        ("qr_bytes", count(crate::verification::QR_BYTES_MAX)),
        ("reads_at_once", count(options.reads_max)),
        ("request_timeout_ms", options.request_timeout_ms),
        ("stall_ms", options.stall_ms),
        ("subscription_lag_events", options.subscription_lag_events_max),
        ("subscriptions", count(options.subscriptions_max)),
        ("subscriptions_an_organisation", count(options.subscriptions_an_organisation_max)),
        ("webhook_answer_bytes", count(options.webhooks.answer_bytes_max)),
        ("webhook_connect_timeout_ms", options.webhooks.connect_timeout_ms),
        ("webhook_dead_letters_an_endpoint", count(options.webhooks.dead_letters_an_endpoint_max)),
        ("webhook_delivery_bytes", count(crate::webhooks::DELIVERY_BYTES_MAX)),
        ("webhook_delivery_timeout_ms", options.webhooks.delivery_timeout_ms),
        ("webhook_events_a_delivery", count(crate::webhooks::EVENTS_A_DELIVERY_MAX)),
        ("webhook_tests", count(crate::webhooks::TESTS_MAX)),
        ("webhook_tries", u64::from(crate::webhooks::TRIES_MAX)),
        ("webhook_url_bytes", count(crate::webhooks::URL_BYTES_MAX)),
        ("webhooks", count(options.webhooks.endpoints_max)),
        ("webhooks_an_organisation", count(options.webhooks.endpoints_an_organisation_max)),
        ("verified_login_tokens", count(options.verified_tokens_max)),
        ("verifications_an_address_and_minute", u64::from(options.verifications_a_minute)),
        ("write_stall_timeout_ms", options.write_stall_timeout_ms),
    ])
}

/// What statements, documents and blocks may be.
fn ledger_limits(parameters: &Parameters) -> BTreeMap<&'static str, u64> {
    let statement = chain::statement::Limits::default();
    BTreeMap::from([
        ("attachment_bytes", count(invoice::attachment::BYTES_MAX)),
        ("block_bytes", u64::from(parameters.limits.block_bytes_max)),
        ("block_work_units", u64::from(parameters.limits.block_work_max)),
        ("document_lines", u64::from(parameters.rules.lines_max)),
        ("event_bytes", count(statement.event_bytes_max)),
        ("events_a_statement", count(statement.events_max)),
        ("lease_term_seconds", u64::from(parameters.lease.term_seconds_max)),
        ("lease_total_seconds", u64::from(parameters.lease.total_seconds_max)),
        ("lease_pause_seconds", u64::from(parameters.lease.pause_seconds_min)),
        ("nonce_window_seconds", u64::from(parameters.limits.nonce_window_seconds)),
        ("refusals_an_organisation_and_hour", u64::from(parameters.limits.refusals_an_hour_max)),
        ("statement_bytes", count(statement.statement_bytes_max)),
        ("violations_listed", count(ledger::admission::VIOLATIONS_MAX)),
    ])
}

/// Where the node stands
#[utoipa::path(
    get, path = "/v1/status", operation_id = "show_status", tag = "node",
    responses((status = 200, description = "The status.", body = StatusView))
)]
pub(crate) async fn status<S: Store>(State(service): State<Arc<Service<S>>>) -> Result<Json<StatusView>, Problem> {
    let evidence = service.evidence().await?;
    let tip = service.query().tip();
    let progress = &tip.progress;
    let (ready, health) = service.health();
    Ok(Json(StatusView {
        node: service.app.identity.id.clone(),
        organisation: service.app.identity.organisation.to_string(),
        chain: service.query().chain().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        height: progress.height,
        block: progress.id.to_string(),
        block_time: format_ms(progress.time_ms),
        time: format_ms(service.app.clock.now_ms()),
        log_size: progress.log_size,
        log_root: progress.log_root.to_string(),
        mempool_statements: count(service.app.mempool.len()),
        mempool_bytes: count(service.app.mempool.bytes()),
        ready,
        health: health.status,
        evidence,
        webhooks: service.webhooks.view(),
        consensus: service.app.health.readiness().consensus,
    }))
}

/// Whether the process is alive
#[utoipa::path(
    get, path = "/livez", operation_id = "livez", tag = "node",
    responses((status = 200, description = "It is.", body = HealthView), (status = 503, description = "It failed and will end.", body = ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn livez<S: Store>(State(service): State<Arc<Service<S>>>) -> Response {
    let (_, view) = service.health();
    std::future::ready(health(view.status != "failed", view)).await
}

/// Whether the node is ready for work
///
/// It has come up to the tip of the chain, and the chain moves.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "node",
    responses((status = 200, description = "It is.", body = HealthView), (status = 503, description = "Not now.", body = ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn readyz<S: Store>(State(service): State<Arc<Service<S>>>) -> Response {
    let (ready, view) = service.health();
    std::future::ready(health(ready, view)).await
}

fn health(fine: bool, view: HealthView) -> Response {
    if fine {
        return Json(view).into_response();
    }
    let problem = match view.status.as_str() {
        "catching-up" => Problem::new("node.catching-up").retry_after(5),
        "disk-full" => Problem::new("node.disk-full"),
        _ => Problem::new("node.unready").retry_after(5),
    };
    problem.at("", "ok", view.status).into_response()
}

/// Metrics as Prometheus text
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "node",
    responses((status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn metrics<S: Store>(State(service): State<Arc<Service<S>>>) -> Response {
    let tip = service.query().tip();
    let reading = Reading {
        height: tip.progress.height,
        log_size: tip.progress.log_size,
        bodies_bytes: count(service.bodies.taken()),
        mempool_statements: count(service.app.mempool.len()),
        mempool_bytes: count(service.app.mempool.bytes()),
        ready: service.health().0,
    };
    let media_type = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    std::future::ready(([(CONTENT_TYPE, media_type)], service.metrics.text(&reading)).into_response()).await
}

/// How to move the clock: one of both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockRequest {
    /// Ahead by this many milliseconds.
    #[serde(default)]
    advance_ms: Option<i64>,
    /// To this time, RFC 3339 in UTC.
    #[serde(default)]
    to: Option<String>,
}

/// The clock after it was moved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClockView {
    /// The node's time.
    time: String,
}

/// Move the clock ahead
///
/// Only on `dev` and `demo` nodes; elsewhere there is no such path.
#[utoipa::path(
    post, path = "/v1/dev/clock", operation_id = "advance_clock", tag = "node",
    request_body = ClockRequest,
    responses((status = 200, description = "Moved.", body = ClockView))
)]
pub(crate) async fn advance_clock<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<(StatusCode, Json<ClockView>), Problem> {
    let (_, body) = call.body(&service, &[JSON]).await?;
    let control = service.app.dev.as_ref().ok_or_else(|| Problem::new("request.path"))?;
    let wrong = |expected: &str| Problem::new("request.malformed").at("", expected, "something else");
    let ms = match read_json::<ClockRequest>(&body)? {
        ClockRequest { advance_ms: Some(ms), to: None } => ms,
        ClockRequest { advance_ms: None, to: Some(to) } => {
            let to = parse_ms(&to).ok_or_else(|| wrong("a time in RFC 3339, UTC"))?;
            to.saturating_sub(service.app.clock.now_ms())
        }
        ClockRequest { .. } => return Err(wrong("either advance_ms or to")),
    };
    if !(0..=ADVANCE_MS_MAX).contains(&ms) {
        return Err(wrong("a time ahead, by ten years at most"));
    }
    let time = format_ms(control.advance_clock(ms));
    Ok((StatusCode::OK, Json(ClockView { time })))
}
