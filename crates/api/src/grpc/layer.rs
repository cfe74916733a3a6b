//! The outermost layer of the gRPC door: ids, quotas, deadlines, the message, and the last word on every answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Extracted};
use axum::http::HeaderMap;
use axum::http::header::HeaderName;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use replica::port::Store;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::Instrument as _;
use wire::lists::List;

use super::context::Context;
use super::{events, foreign, status};
use crate::auth::{Caller, bearer};
use crate::bodies;
use crate::call::{Call, header_value, single};
use crate::connections::Place;
use crate::layer::{X_REQUEST_ID, own_id};
use crate::problem::Problem;
use crate::quota::CallQuotas;
use crate::server::{Endless, Ready};
use crate::service::Service;
use crate::shares::Share;
use crate::tls::PeerKey;
use crate::turns::Name;
use crate::unread::Unread;

/// How long the caller waits (the gRPC protocol over HTTP/2).
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How the message is compressed (the same).
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Media types of calls.
pub(super) const MEDIA_TYPES: [&str; 2] = ["application/grpc", "application/grpc+proto"];

/// Paths of our own services; the others are health and reflection.
const OWN_PATHS: &str = "/einvoice.v1.";

/// The one of them whose answer has no end.
const SUBSCRIBE: &str = "/einvoice.v1.LedgerService/Subscribe";

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Bytes of a message that is looked through where it came in.
const SMALL_BYTES: usize = 16 * 1024;

/// How long it takes at most to refuse a call.
const REFUSED_MAX: Duration = Duration::from_secs(1);

/// The lists of messages, by the path of their method.
type Lists = BTreeMap<String, Vec<List>>;

/// What the layer needs.
pub(super) struct State<S: Store> {
    pub(super) service: Arc<Service<S>>,
    /// When the door closes.
    pub(super) stop: CancellationToken,
    lists: Arc<Lists>,
}

impl<S: Store> State<S> {
    pub(super) fn new(service: Arc<Service<S>>, stop: CancellationToken) -> Self {
        Self { service, stop, lists: Arc::new(wire::lists::lists()) }
    }
}

impl<S: Store> Clone for State<S> {
    fn clone(&self) -> Self {
        Self { service: Arc::clone(&self.service), stop: self.stop.clone(), lists: Arc::clone(&self.lists) }
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
    if matches!(code, Code::Ok | Code::Unauthenticated) {
        // Thousands a second, and of strangers as many as they like.
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

/// How long a call may take.
pub(super) struct Patience {
    /// When its caller stops waiting, if it says so.
    asked: Option<tokio::time::Instant>,
    /// When whatever is no stream must be over.
    pub(super) until: tokio::time::Instant,
}

impl Patience {
    pub(super) fn of<S: Store>(service: &Service<S>, headers: &HeaderMap) -> Result<Self, Problem> {
        let now = tokio::time::Instant::now();
        let longest = now + Duration::from_millis(service.app.options.request_timeout_ms);
        // One beyond all clocks is none.
        let asked = timeout(headers)?.and_then(|asked| now.checked_add(asked));
        Ok(Self { asked, until: asked.map_or(longest, |asked| asked.min(longest)) })
    }

    /// The problem of a call that took too long: for its caller, or for the node.
    pub(super) fn overdue(&self, context: Option<&Arc<Context>>) -> Problem {
        let by_caller = self.asked == Some(self.until);
        let problem = Problem::new(if by_caller { "request.deadline" } else { "request.overdue" });
        match context.and_then(|context| context.entered.get()) {
            Some(statement) => problem.undecided(Some(statement.clone()), true),
            None => problem,
        }
    }
}

/// Lets a call in, as long as there is room and time, and gives its answer.
async fn admitted<S: Store>(state: State<S>, request: Request, next: Next, id: &str) -> Result<Response, Problem> {
    let patience = Patience::of(&state.service, request.headers())?;
    let (mut parts, body) = request.into_parts();
    let key = parts.extensions.remove::<Arc<PeerKey>>();
    // Apart from the rest until it is known who sends it.
    let call = Call { parts, body: Body::empty() };
    if !call.parts.uri.path().starts_with(OWN_PATHS) {
        return foreign::answered(&state, call, body, next, &patience, id).await;
    }
    let place = call.place().cloned();
    let follows = call.parts.uri.path() == SUBSCRIBE;
    // Of what became of it whoever waits must hear, also when there is no time left.
    let told = Arc::new(OnceLock::new());
    let answered = async {
        let (caller, share, mut call) = match logged_in(&state.service, call, key).await {
            Ok(known) => known,
            Err(problem) => return Err(refused_unread(&state.service.calls, problem, body).await),
        };
        call.body = body;
        let context = Context {
            id: id.to_owned(),
            path: call.parts.uri.path().to_owned(),
            name: caller.name(),
            caller,
            // A stream goes on for as long as its caller wants.
            deadline: if follows { patience.asked } else { patience.asked.and(Some(patience.until)) },
            message: None,
            entered: OnceLock::new(),
        };
        let (mut request, context) = read(&state, call, context).await?;
        let _ = told.set(Arc::clone(&context));
        request.extensions_mut().insert(Arc::clone(&context));
        let mut response = next.run(request).await;
        // A handler that panicked left a problem and no more.
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response.extensions_mut().insert(context.left_open(problem));
            return Ok(response);
        }
        if follows {
            // Subscriptions are counted by the feed.
            response.extensions_mut().insert(Endless);
            return Ok(response);
        }
        let counted = ready(&state.service, response, &context.name, share, place).await;
        counted.map_err(|problem| context.left_open(problem))
    };
    let answered = tokio::time::timeout_at(patience.until, answered).await;
    answered.unwrap_or_else(|_| Err(patience.overdue(told.get())))
}

/// Refuses a call whose message was not read, and takes in what is on its way of it. For HTTP/2 a message that goes on
/// behind its answer is an error of the peer, and a connection with many of them ends, with all its calls.
pub(super) async fn refused_unread(calls: &CallQuotas, problem: Problem, mut body: Body) -> Problem {
    // Of a flood nothing is taken in.
    let Some(_place) = calls.refuse() else { return problem };
    let coming = async {
        let mut bytes = 0;
        while bytes <= SMALL_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Whoever keeps it waiting is not waited for.
    let _ = tokio::time::timeout(REFUSED_MAX, coming).await;
    problem
}

/// Finds out who calls before anything of the message is read, and counts the call as theirs.
async fn logged_in<S: Store>(
    service: &Arc<Service<S>>,
    call: Call,
    key: Option<Arc<PeerKey>>,
) -> Result<(Caller, Share<Name>, Call), Problem> {
    if key.is_none() && bearer(call.headers())?.is_none() {
        // Takes nobody's turn.
        return Err(Problem::new("auth.missing"));
    }
    let name = service.caller_name(call.headers(), key.as_deref(), call.network());
    let share = service.calls.begin(&name)?;
    let stranger = matches!(name, Name::Address(_)).then(|| service.calls.stranger()).transpose()?;
    let login = move |service: &Service<S>| {
        let place = call.place().map(|place| &**place);
        let caller = service.grpc_login(call.headers(), key.as_deref(), place)?;
        Ok((caller, call))
    };
    let (caller, call) = match stranger {
        // A signature is verified, and records are read that may be anywhere.
        Some(_stranger) => service.run(&name, login).await?,
        // Somebody whose login was verified before: to look one warm record up takes less than to change threads.
        None => login(service)?,
    };
    let known = caller.name();
    let share = if known == name { share } else { service.calls.begin(&known)? };
    Ok((caller, share, call))
}

/// Reads the message of a call, within the limits of bodies and of its lists.
async fn read<S: Store>(
    state: &State<S>,
    call: Call,
    mut context: Context,
) -> Result<(Request, Arc<Context>), Problem> {
    let (mut parts, network) = (call.parts.clone(), call.network());
    let (_, mut bytes) = call.body(&state.service, &MEDIA_TYPES).await?;
    let compressed = framed(&bytes, state.service.app.options.body_bytes_max)?;
    let gzip = compressed && single(&parts.headers, &GRPC_ENCODING)?.is_some_and(|encoding| encoding == "gzip");
    if gzip {
        parts.headers.remove(GRPC_ENCODING);
    }
    // A megabyte of small elements takes as long as a read of the store.
    if gzip || bytes.len() > SMALL_BYTES {
        let (lists, path) = (Arc::clone(&state.lists), context.path.clone());
        let examine = move |service: &Service<S>| {
            if gzip {
                bytes = inflated(service, network, &bytes)?;
            }
            check_lists(service, &lists, &path, &bytes)?;
            Ok(bytes)
        };
        bytes = state.service.run(&context.name, examine).await?;
    } else if !compressed {
        check_lists(&state.service, &state.lists, &context.path, &bytes)?;
    }
    context.message = (!compressed && bytes.len() >= PREFIX_BYTES).then(|| bytes.slice(PREFIX_BYTES..));
    Ok((Request::from_parts(parts, Body::from(bytes)), Arc::new(context)))
}

/// Whether a body's one message is compressed. A body that is not one message whole is refused; an empty one is for the
/// framework to refuse.
fn framed(bytes: &Bytes, bytes_max: usize) -> Result<bool, Problem> {
    let Some((prefix, message)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(false) };
    let [compressed, length @ ..] = *prefix;
    let announced = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if announced == message.len() {
        return Ok(compressed == 1);
    }
    if announced > bytes_max {
        let found = format!("{announced} bytes announced");
        return Err(Problem::new("request.too-large").at("", format!("at most {bytes_max} bytes"), found));
    }
    let found = format!("{} bytes, and {announced} announced", message.len());
    Err(Problem::new("request.malformed").at("", "one message of the method's request", found))
}

/// A message inflated, as one that was never compressed.
fn inflated<S: Store>(service: &Service<S>, network: IpAddr, bytes: &Bytes) -> Result<Bytes, Problem> {
    let compressed = bytes.get(PREFIX_BYTES..).unwrap_or_default();
    let mut whole = bodies::inflated(service, network, compressed, &[0; PREFIX_BYTES])?;
    let length = u32::try_from(whole.bytes_mut().len().saturating_sub(PREFIX_BYTES)).unwrap_or(u32::MAX);
    if let Some(place) = whole.bytes_mut().get_mut(1..PREFIX_BYTES) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(whole.into_bytes())
}

/// Holds the lists of a message against what they may have, before anything is made of them.
fn check_lists<S: Store>(service: &Service<S>, lists: &Lists, path: &str, bytes: &Bytes) -> Result<(), Problem> {
    let message = bytes.get(PREFIX_BYTES..).unwrap_or_default();
    for list in lists.get(path).into_iter().flatten() {
        let max = match list.path.as_str() {
            "/requests" | "/batch_lock/locks" => service.app.options.grpc.batch_max,
            // Events, attachments, kinds: a statement has no more.
            _ => chain::statement::Limits::default().events_max,
        };
        let found = list.count(message);
        if found > max {
            return Err(events::wrong(&list.path, format!("1 to {max}"), found.to_string()));
        }
    }
    Ok(())
}

/// Counts the message of an answer, and its call, until the caller has taken it.
async fn ready<S: Store>(
    service: &Service<S>,
    response: Response,
    name: &Name,
    share: Share<Name>,
    place: Option<Arc<Place>>,
) -> Result<Response, Problem> {
    let (mut parts, mut body) = response.into_parts();
    // Made at once: handlers have answered. What ended in a status has none.
    let bytes = match body.frame().await {
        Some(Ok(frame)) => frame.into_data().map_err(|_| Problem::new("internal.fault"))?,
        Some(Err(error)) => return Err(Problem::fault(&error)),
        None => return Ok(Response::from_parts(parts, Body::empty())),
    };
    let unread = Unread::begin(&service.answers, name, bytes.len(), Some(share), place)?;
    parts.extensions.insert(Ready { unread, bytes, whole: false });
    Ok(Response::from_parts(parts, body))
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
