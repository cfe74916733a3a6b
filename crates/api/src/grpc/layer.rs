//! The outermost layer of the gRPC door: ids, quotas, deadlines, the message, and the last word on every answer.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Polling, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Extracted};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Frame;
use replica::port::Store;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::context::Context;
use super::status;
use crate::call::{Call, header_value, single};
use crate::layer::{X_REQUEST_ID, own_id};
use crate::problem::Problem;
use crate::server::{Endless, UnderWay};
use crate::service::Service;
use crate::shares::Share;
use crate::tls::PeerKey;
use crate::turns::Name;

/// How long the caller waits (the gRPC protocol over HTTP/2).
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Media types of calls.
const MEDIA_TYPES: [&str; 2] = ["application/grpc", "application/grpc+proto"];

/// Paths of calls with one message each way. The others (health, reflection) may go on for ever.
const OWN_PATHS: &str = "/einvoice.v1.";

/// The one of them whose answer has no end.
const SUBSCRIBE: &str = "/einvoice.v1.LedgerService/Subscribe";

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// What the layer needs.
pub(super) struct State<S: Store> {
    pub(super) service: Arc<Service<S>>,
    /// When the door closes.
    pub(super) stop: CancellationToken,
}

impl<S: Store> Clone for State<S> {
    fn clone(&self) -> Self {
        Self { service: Arc::clone(&self.service), stop: self.stop.clone() }
    }
}

/// Wraps every call: see the module.
pub(super) async fn finish<S: Store>(Extracted(state): Extracted<State<S>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let service = Arc::clone(&state.service);
    let id = own_id(&request).unwrap_or_else(|| service.request_id());
    let path = known(request.uri().path());
    let span = tracing::info_span!("api.call", request_id = %id);
    let response = match admitted(state, request, next, &id).instrument(span).await {
        Ok(response) => rendered(response, &id),
        Err(problem) => refused(&problem, &id),
    };
    let (mut response, code) = response;
    response.headers_mut().insert(X_REQUEST_ID, header_value(&id));
    let elapsed = started.elapsed();
    service.metrics.answered_call(code, elapsed);
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    if code == Code::Ok {
        // Thousands a second.
        tracing::debug!(path, elapsed_us, request_id = %id, "answered a call");
    } else {
        tracing::info!(path, ?code, elapsed_us, request_id = %id, "answered a call");
    }
    response
}

/// A path as logs may show it: those of our own services.
fn known(path: &str) -> String {
    let own = path.len() <= 64 && path.starts_with(OWN_PATHS) && path.bytes().all(|byte| byte.is_ascii_graphic());
    if own { path.to_owned() } else { "-".to_owned() }
}

/// Lets a call in, as long as there is room and time, and gives its answer.
async fn admitted<S: Store>(state: State<S>, request: Request, next: Next, id: &str) -> Result<Response, Problem> {
    let service = state.service;
    let longest = Duration::from_millis(service.app.options.request_timeout_ms);
    let asked = timeout(request.headers())?;
    let deadline = asked.map(|asked| tokio::time::Instant::now() + asked.min(longest));
    let until = deadline.unwrap_or_else(|| tokio::time::Instant::now() + longest);
    let mut parts = request.into_parts();
    let key = parts.0.extensions.remove::<Arc<PeerKey>>();
    let call = Call { parts: parts.0, body: std::mem::take(&mut parts.1) };
    let name = service.caller_name(call.headers(), key.as_deref(), call.network());
    let share = service.calls.begin(&name)?;
    if !call.parts.uri.path().starts_with(OWN_PATHS) {
        let beginning = next.run(Request::from_parts(call.parts, call.body));
        let late = |_| overdue(asked.is_some_and(|asked| asked <= longest), None);
        let response = tokio::time::timeout_at(until, beginning).await.map_err(late)?;
        let stopped = Box::pin(state.stop.cancelled_owned());
        let mut response =
            response.map(|body| Body::new(Stopping { body: Some(body), stopped, id: id.to_owned(), share }));
        response.extensions_mut().insert(Endless);
        return Ok(response);
    }
    let follows = call.parts.uri.path() == SUBSCRIBE;
    let context = Context {
        id: id.to_owned(),
        path: call.parts.uri.path().to_owned(),
        name,
        place: call.place().cloned(),
        key,
        deadline: asked.and(deadline),
        message: None,
        entered: OnceLock::new(),
    };
    let entered = Arc::new(OnceLock::new());
    let told = Arc::clone(&entered);
    let answered = async {
        let (request, context) = read(&service, call, context).await?;
        let _ = told.set(Arc::clone(&context));
        let mut request = request;
        request.extensions_mut().insert(context);
        Ok::<_, Problem>(next.run(request).await)
    };
    let mut answered = tokio::time::timeout_at(until, answered).await;
    // A handler that panicked left a problem and no more.
    if let (Ok(Ok(response)), Some(context)) = (&mut answered, entered.get())
        && let Some(problem) = response.extensions_mut().remove::<Problem>()
    {
        response.extensions_mut().insert(context.left_open(problem));
    }
    if let Ok(Ok(response)) = &mut answered {
        // Subscriptions are counted by the feed, other calls until their answer was taken.
        if follows {
            response.extensions_mut().insert(Endless);
        } else {
            response.extensions_mut().insert(UnderWay(Arc::new(share)));
        }
    }
    answered.unwrap_or_else(|_| Err(overdue(asked.is_some_and(|asked| asked <= longest), entered.get())))
}

/// The problem of a call that took too long: for its caller, or for the node.
fn overdue(by_caller: bool, context: Option<&Arc<Context>>) -> Problem {
    let problem = Problem::new(if by_caller { "request.deadline" } else { "request.overdue" });
    match context.and_then(|context| context.entered.get()) {
        Some(statement) => problem.undecided(Some(statement.clone()), true),
        None => problem,
    }
}

/// Reads the message of a call, within the limits of bodies.
async fn read<S: Store>(
    service: &Arc<Service<S>>,
    call: Call,
    mut context: Context,
) -> Result<(Request, Arc<Context>), Problem> {
    let (parts, body) = (call.parts.clone(), call);
    let (_, bytes) = body.body(service, &MEDIA_TYPES).await?;
    context.message = plain(&bytes);
    Ok((Request::from_parts(parts, Body::from(bytes)), Arc::new(context)))
}

/// The bytes of the one message, unless it is compressed.
fn plain(bytes: &Bytes) -> Option<Bytes> {
    (bytes.first() == Some(&0) && bytes.len() >= PREFIX_BYTES).then(|| bytes.slice(PREFIX_BYTES..))
}

/// How long the caller waits: up to eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(text) = single(headers, &GRPC_TIMEOUT)? else { return Ok(None) };
    let wrong = || {
        let found: String = text.chars().take(40).collect();
        Problem::new("request.header").at("grpc-timeout", "1 to 8 digits and one of H, M, S, m, u, n", found)
    };
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let amount: u64 = digits.parse().map_err(|_| wrong())?;
    Ok(Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return Err(wrong()),
    }))
}

/// The last word on an answer: what the framework refused gets a code too.
fn rendered(mut response: Response, id: &str) -> (Response, Code) {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return refused(&problem, id);
    }
    // A method that is unknown has no more than the header.
    let status = response.extensions_mut().remove::<Status>().or_else(|| Status::from_header_map(response.headers()));
    match status {
        Some(status) if status.code() == Code::Ok => (response, Code::Ok),
        Some(status) if status.details().is_empty() => refused(&status::foreign(&status), id),
        Some(status) => (response, status.code()),
        None if response.status().is_success() => (response, Code::Ok),
        // Not of gRPC: another method, another media type.
        None => refused(&Problem::new("request.malformed"), id),
    }
}

fn refused(problem: &Problem, id: &str) -> (Response, Code) {
    let status = status::of(problem, id);
    let code = status.code();
    (status.into_http(), code)
}

/// The body of an answer that may go on for ever. It ends when the door closes, with a status that says so.
struct Stopping {
    body: Option<Body>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    id: String,
    #[expect(dead_code, reason = "the call is under way until it is dropped")]
    share: Share<Name>,
}

impl hyper::body::Body for Stopping {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Polling<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if self.stopped.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.body = None;
        let mut trailers = HeaderMap::new();
        let status = status::of(&Problem::new("node.stopping").retry_after(5), &self.id);
        // Texts of ours, which headers can carry.
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", HeaderValue::from_static("14"));
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, text.parse().unwrap());
            timeout(&headers)
        };
        assert_eq!(read("5S").unwrap(), Some(Duration::from_secs(5)));
        assert_eq!(read("99999999H").unwrap(), Some(Duration::from_secs(99_999_999 * 3_600)));
        assert_eq!(read("1n").unwrap(), Some(Duration::from_nanos(1)));
        for wrong in ["", "S", "5", "-1S", "5s", "123456789S", "5 S", "0x1m"] {
            assert_eq!(read(wrong).unwrap_err().code(), "request.header", "{wrong:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()).unwrap(), None);
    }
}
