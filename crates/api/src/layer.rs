//! The outermost layer: request ids, the log line, the time limit, and the last word on every answer.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Response as HttpResponse, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use replica::port::Store;
use tracing::Instrument;

use crate::call::header_value;
use crate::connections::Place;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::server::Ready;
use crate::service::Service;
use crate::turns::Name;
use crate::unread::Unread;

/// Answers up to this size are not counted, bytes: as many as connections, they are no danger.
const UNCOUNTED_BYTES_MAX: u64 = 16 * 1024;

/// The header of request ids.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps every request: see the module.
pub(crate) async fn finish<S: Store>(State(service): State<Arc<Service<S>>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = own_id(&request).unwrap_or_else(|| service.request_id());
    let method = request.method().clone();
    let path =
        request.extensions().get::<MatchedPath>().map_or_else(|| "-".to_owned(), |path| path.as_str().to_owned());
    let limit = Duration::from_millis(service.app.options.request_timeout_ms);
    let span = tracing::info_span!("api.request", request_id = %id);
    let (headers, place) = (request.headers().clone(), request.extensions().get::<Arc<Place>>().cloned());
    let response = match tokio::time::timeout(limit, next.run(request).instrument(span)).await {
        Ok(response) => counted(&service, response, &headers, place).await.unwrap_or_else(IntoResponse::into_response),
        Err(_) => Problem::new("request.overdue").into_response(),
    };
    let mut response = rendered(response, &id);
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, header_value(&id));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    service.metrics.answered(status, elapsed);
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status, elapsed_us, request_id = %id, "answered a request");
    response
}

/// Counts a large answer until its caller has taken it: who asks for many and reads none must not fill the memory. What has
/// no length yet is made as it is taken.
async fn counted<S: Store>(
    service: &Service<S>,
    response: Response,
    headers: &HeaderMap,
    place: Option<Arc<Place>>,
) -> Result<Response, Problem> {
    let large = response.body().size_hint().exact().is_some_and(|bytes| bytes > UNCOUNTED_BYTES_MAX);
    let Some(network) = place.as_ref().map(|place| place.network()).filter(|_| large) else { return Ok(response) };
    // A login that was good for this request is known by now.
    let organisation = service.verified_tokens.organisation(headers, service.now_s());
    let name = organisation.map_or(Name::Address(network), Name::Organisation);
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(|error| Problem::fault(&error))?;
    let unread = Unread::begin(&service.answers, &name, bytes.len(), None, place)?;
    // Said here, for the framework would say the length of the body that is left.
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    parts.extensions.insert(Ready { unread, bytes, whole: true });
    Ok(Response::from_parts(parts, Body::empty()))
}

/// The request id that the client brings, if it is harmless in logs and headers.
pub(crate) fn own_id(request: &Request) -> Option<String> {
    let text = request.headers().get(&X_REQUEST_ID)?.to_str().ok()?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=64).contains(&text.len()) && text.bytes().all(harmless)).then(|| text.to_owned())
}

/// Renders problems; what others answered with an error status becomes a problem too.
fn rendered(mut response: Response, id: &str) -> Response {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => {
            if response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == PROBLEM_JSON.as_bytes()) {
                return response;
            }
            foreign(status)
        }
        None => return response,
    };
    let allow = response.headers_mut().remove(ALLOW);
    let mut response = problem.render(id);
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// The problem behind a status that the framework set.
fn foreign(status: StatusCode) -> Problem {
    Problem::new(match status {
        StatusCode::NOT_FOUND => "request.path",
        StatusCode::METHOD_NOT_ALLOWED => "request.method",
        StatusCode::PAYLOAD_TOO_LARGE => "request.too-large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "request.media-type",
        StatusCode::REQUEST_TIMEOUT => "request.timeout",
        status if status.is_client_error() => "request.malformed",
        _ => "internal.fault",
    })
}

/// A panic in a handler: a fault of ours that ends one request.
#[expect(clippy::needless_pass_by_value, reason = "the signature is the layer's")]
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> HttpResponse<axum::body::Body> {
    tracing::error!(panic = words(panic.as_ref()), "a handler panicked");
    Problem::new("internal.fault").into_response()
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("not a text")
}
