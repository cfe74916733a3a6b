//! `GET /v1/events`: the events of the ledger as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use chain::identity::OrganisationId;
use ledger::event::Event;
use replica::port::Store;
use serde::Serialize;

use crate::access::{SEEING, parse_id};
use crate::auth::Caller;
use crate::call::{Call, Params, single};
use crate::feed::{Cursor, Delivery, Filter, Next, Reader, Subscription};
use crate::problem::Problem;
use crate::service::Service;
use crate::views::CloudEvent;

/// The parameters of the stream.
const PARAMETERS: [&str; 4] = ["after", "invoice", "kind", "organisation"];

/// The cursor a client had last, as it sends it when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Says to proxies that they must not wait for more before they pass on what they have.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The cursor of those who want everything there is.
const START: &str = "start";

/// When a client that was cut off is to come back, ms.
const RETRY_MS: u64 = 1_000;

/// Follow the ledger
///
/// Every event that the caller may see, in the order of the log, as server-sent events (WHATWG HTML §9.2) without end:
/// `id` is a cursor, `data` a `CloudEvent`. Begins now, or behind a cursor. Whoever comes back with the last id, here or at
/// another node of the chain, gets every event once. Now and then an `id` comes without data, at least every 15 seconds:
/// it says how far the caller was served, and that the stream lives. Before the node ends a stream it sends an event of
/// type `end` with a code: `node.stopping`, `events.lagging` (too far behind), or one about the login, which is looked at
/// all along and holds an hour at most. Which events are shown follows the rules of the invoices they are about, as
/// things stand when they are sent: an invoice that comes into the caller's view later does not bring its earlier events
/// along.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "follow_events", tag = "events",
    params(
        ("after" = Option<String>, Query, description = "Where to begin: an `id` of this chain, or `start`. Now when absent."),
        ("kind" = Option<String>, Query, description = "Kinds of events, with commas: `issue`, `transfer`, `lock`, `renew`, `unlock`, `close`, `void`, `file`, `evidence`."),
        ("invoice" = Option<String>, Query, description = "Only of this invoice, which the caller may see."),
        ("organisation" = Option<String>, Query, description = "Only what this organisation may see too: the caller, one that gave it a mandate, or for agencies and auditors any."),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` that came last; goes before `after`."),
    ),
    responses((status = 200, description = "The stream. The schema is that of each event's `data`.", body = CloudEvent, content_type = "text/event-stream")),
    security(("login" = []))
)]
pub(crate) async fn follow<S: Store>(State(service): State<Arc<Service<S>>>, call: Call) -> Result<Response, Problem> {
    let asked = service.read_as(call, |service, caller, call| {
        let params = call.query(&PARAMETERS)?;
        let filter = filter(service, caller, &params)?;
        Ok((Reader::from(caller), filter, after(service, call.headers(), &params)?))
    });
    let (reader, filter, after) = asked.await?;
    let subscription = service.subscribe(reader, filter, after.as_ref())?;
    let frames = futures_util::stream::unfold((subscription, true), |(mut subscription, first)| async move {
        let frame = frame(&mut subscription, first).await?;
        Some((Ok::<_, Infallible>(frame), (subscription, false)))
    });
    let mut response = Body::from_stream(frames).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

fn after<S: Store>(service: &Service<S>, headers: &HeaderMap, params: &Params) -> Result<Option<Cursor>, Problem> {
    let last = single(headers, &LAST_EVENT_ID)?.filter(|last| !last.is_empty());
    let chain = service.query().chain();
    match last.or(params.text("after")) {
        None => Ok(None),
        Some(START) => Ok(Some(Cursor::new(chain, 0))),
        Some(text) => Cursor::read(text, chain, service.query().tip().progress.log_size).map(Some),
    }
}

fn filter<S: Store>(service: &Service<S>, caller: &Caller, params: &Params) -> Result<Filter, Problem> {
    let mut filter = Filter::default();
    if let Some(text) = params.text("kind") {
        filter.kinds = kinds(text)?;
    }
    if let Some(text) = params.text("invoice") {
        let id = parse_id(text)?;
        service.visible(caller, &id)?;
        filter.invoice = Some(id.to_string());
    }
    if let Some(text) = params.text("organisation") {
        let unknown = || Problem::new("organisation.unknown");
        let id = OrganisationId::new(text).map_err(|_| unknown())?;
        service.query().organisation(&id)?.ok_or_else(unknown)?;
        if !service.sees_for(caller, &id, &SEEING)? {
            return Err(unknown());
        }
        filter.organisation = Some(id);
    }
    Ok(filter)
}

/// Kinds of events, with commas between them.
fn kinds(text: &str) -> Result<Vec<&'static str>, Problem> {
    let kind = |name: &str| {
        let known = Event::KINDS.into_iter().find(|kind| *kind == name);
        let expected = || format!("one or more of: {}", Event::KINDS.join(", "));
        known.ok_or_else(|| Problem::new("request.query").at("kind", expected(), name))
    };
    text.split(',').map(kind).collect()
}

/// What comes next, as it is written; `None` behind the end.
async fn frame<S: Store>(subscription: &mut Subscription<S>, first: bool) -> Option<Bytes> {
    Some(match subscription.next().await? {
        Next::Items(items) => match &items[..] {
            [one] => one.frame(),
            many => many.iter().flat_map(Delivery::frame).collect(),
        },
        // An event without data is none: it moves the cursor of the client, and that is all.
        Next::Bookmark(cursor) if first => format!("retry: {RETRY_MS}\nid: {cursor}\n\n").into(),
        Next::Bookmark(cursor) => format!("id: {cursor}\n\n").into(),
        Next::End(problem) => end(&problem),
    })
}

/// Why a stream ends.
#[derive(Serialize)]
struct End<'e> {
    code: &'e str,
    title: &'e str,
    detail: &'e str,
}

fn end(problem: &Problem) -> Bytes {
    let (title, detail) = problem.texts();
    let end = End { code: problem.code(), title, detail };
    let json = serde_json::to_string(&end).expect("strings always serialise");
    format!("event: end\ndata: {json}\n\n").into()
}
