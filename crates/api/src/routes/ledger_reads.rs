//! Reads of the chain itself: receipts, blocks, log checkpoints.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chain::checkpoint::Checkpoint;
use chain::encoding::encode_base64url;
use replica::port::Store;

use crate::call::Call;
use crate::problem::Problem;
use crate::service::Service;
use crate::time::format_ms;
use crate::views::{BlockView, CommitView};

/// The receipt of a leaf, as an answer.
pub(crate) fn receipt_of<S: Store>(service: &Service<S>, leaf: u64) -> Result<Response, Problem> {
    let receipt = service.receipt_json(leaf)?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], receipt).into_response())
}

/// The receipt of an event
///
/// For the event's author, those who may see its invoice or month, agencies and auditors; of a lock, renewal, unlock or
/// close, for its author, the platform and the enterprise of the claim, agencies and auditors; of what was refused because
/// of a lock or close, not for those who may not see whose that is. Check it offline with `einvoice receipt verify`.
#[utoipa::path(
    get, path = "/v1/receipts/{leaf}", operation_id = "show_receipt", tag = "chain",
    params(("leaf" = u64, Path, description = "The leaf's index in the log.")),
    responses((status = 200, description = "The receipt.", content_type = "application/json")),
    security(("login" = []))
)]
pub(crate) async fn receipt<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(leaf): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let unknown = || Problem::new("event.unknown");
            let leaf: u64 = leaf.parse().map_err(|_| unknown())?;
            service.must_see_event(caller, leaf)?;
            receipt_of(service, leaf)
        })
        .await
}

/// A block
///
/// Its header and commit certificate, without statements.
#[utoipa::path(
    get, path = "/v1/blocks/{height}", operation_id = "show_block", tag = "chain",
    params(("height" = u64, Path, description = "The height, from 1.")),
    responses((status = 200, description = "The block.", body = BlockView)),
    security(("login" = []))
)]
pub(crate) async fn block<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(height): Path<String>,
    call: Call,
) -> Result<Json<BlockView>, Problem> {
    service
        .read_as(call, move |service, _, _| {
            let unknown = || Problem::new("block.unknown");
            let height: u64 = height.parse().map_err(|_| unknown())?;
            let block = service.query().block(height)?.ok_or_else(unknown)?;
            let (header, certificate) = (&block.header, &block.certificate);
            let set = &service.query().tip().validators;
            let signed_by = certificate.signatures.iter().map(|signature| CommitView {
                organisation: set.get(&signature.validator).map(|validator| validator.organisation.to_string()),
                validator: encode_base64url(signature.validator.as_bytes()),
            });
            Ok(Json(BlockView {
                height: header.height,
                id: header.id().to_string(),
                parent: header.parent.to_string(),
                time: format_ms(header.time_ms),
                version: header.version,
                proposer: encode_base64url(header.proposer.as_bytes()),
                statement_count: header.statement_count,
                statements_root: header.statements_root.to_string(),
                log_root: header.log_root.to_string(),
                log_size: header.log_size,
                writes_hash: header.writes_hash.to_string(),
                state_checkpoint_height: header.state_checkpoint.height,
                state_checkpoint_root: header.state_checkpoint.root.to_string(),
                validators_hash: header.validators_hash.to_string(),
                next_validators_hash: header.next_validators_hash.to_string(),
                header: encode_base64url(&header.encode()),
                certificate: encode_base64url(&certificate.encode()),
                signed_by: signed_by.collect(),
            }))
        })
        .await
}

/// The newest log checkpoint
///
/// Size and root of the log, signed with this node's receipt key, as a C2SP signed note. Public: keep it, and hold
/// archives and receipts against it. 404 while there is no block.
#[utoipa::path(
    get, path = "/v1/checkpoints/latest", operation_id = "latest_checkpoint", tag = "chain",
    responses((status = 200, description = "The signed note.", body = String, content_type = "text/plain"))
)]
pub(crate) async fn checkpoint<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Response, Problem> {
    let height = service.query().tip().progress.height;
    // Everybody asks for the same note until the next block: it is signed once.
    let known = service.note().as_ref().filter(|(of, _)| *of == height).map(|(_, note)| note.clone());
    let note = match known {
        Some(note) => note,
        None => service.read(call, move |service, _| sign_note(service, height)).await?,
    };
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(CONTENT_TYPE, media_type)], note).into_response())
}

/// Signs the checkpoint of a height, and keeps it for those who ask next.
fn sign_note<S: Store>(service: &Service<S>, height: u64) -> Result<Bytes, Problem> {
    let block = service.query().block(height)?.ok_or_else(|| Problem::new("block.unknown"))?;
    let identity = &service.app.identity;
    let signed = Checkpoint::of(&block.header).sign(&identity.organisation, &identity.receipt);
    let note = Bytes::from(signed.to_note());
    *service.note() = Some((height, note.clone()));
    Ok(note)
}
