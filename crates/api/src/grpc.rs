//! The gRPC door: the services of `proto/einvoice/v1` for clients, with health and reflection.
//!
//! It shares with the REST door everything but its words: login, turns, quotas, submitting, who sees what, and the one
//! table of codes. A call is admitted and its message read by [`layer`], before anything of it is looked at; handlers
//! convert, call and convert again; [`status`] says every problem as gRPC says it.

mod context;
mod convert;
mod events;
mod foreign;
mod health;
mod layer;
mod ledger;
mod letters;
mod reimbursement;
mod status;
mod subscribe;
mod writes;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use replica::port::Store;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tower_http::catch_panic::CatchPanicLayer;
use wire::generated::ledger_service_server::{LedgerServiceServer, SERVICE_NAME as LEDGER};
use wire::generated::reimbursement_service_server::{ReimbursementServiceServer, SERVICE_NAME as REIMBURSEMENT};

use crate::service::Service;

pub(crate) use foreign::Streams;

/// Bytes of a message to health and reflection, which need no login and are not counted with the other bodies.
const QUESTION_BYTES_MAX: usize = 4 * 1024;

/// The calls' handlers.
pub(crate) struct Handlers<S: Store> {
    service: Arc<Service<S>>,
}

/// Every service of the door, behind its layers. Answers that have no end go on until `stop`.
pub(crate) fn router<S: Store>(service: Arc<Service<S>>, stop: &CancellationToken) -> Router {
    let message_bytes_max = service.app.options.body_bytes_max;
    let handlers = || Handlers { service: Arc::clone(&service) };
    let reimbursement = ReimbursementServiceServer::new(handlers())
        .max_decoding_message_size(message_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let ledger = LedgerServiceServer::new(handlers())
        .max_decoding_message_size(message_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let mut routes = Routes::builder();
    routes.add_service(reimbursement).add_service(ledger);
    let health = health::watched(Arc::clone(&service), stop.clone());
    routes.add_service(health.max_decoding_message_size(QUESTION_BYTES_MAX));
    if let Some((v1, v1alpha)) = reflection() {
        routes.add_service(v1.max_decoding_message_size(QUESTION_BYTES_MAX));
        routes.add_service(v1alpha.max_decoding_message_size(QUESTION_BYTES_MAX));
    }
    let state = layer::State::new(service, stop.clone());
    routes
        .routes()
        .into_axum_router()
        .layer(CatchPanicLayer::custom(crate::layer::panicked))
        .layer(from_fn_with_state(state, layer::finish::<S>))
}

/// Reflection, under the name it has today and the one that older tools ask for.
fn reflection() -> Option<(
    tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>,
    tonic_reflection::server::v1alpha::ServerReflectionServer<impl tonic_reflection::server::v1alpha::ServerReflection>,
)> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::CLIENT_DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Fails for descriptors that are none, which a test would see.
    Some((builder().build_v1().ok()?, builder().build_v1alpha().ok()?))
}
