//! `GET /v1/events`: the events of the ledger as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use replica::port::Store;
use serde::Serialize;

use crate::call::{Call, single};
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
        ("kind" = Option<String>, Query, description = "Kinds of events, with commas: `issue`, `transfer`, `lock`, `renew`, `unlock`, `close`, `void`, `file`, `evidence`, `admit`, `register`, `suspend`, `reinstate`, `rotate`, `roles`, `rename`, `mandate`, `revoke`, `attest`, `override`, and `lease-ended` for the ends of leases."),
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
        let [kind, invoice, organisation] = ["kind", "invoice", "organisation"].map(|name| params.text(name));
        let filter = Filter::read(service, caller, kind, invoice, organisation)?;
        let last = single(call.headers(), &LAST_EVENT_ID)?.filter(|last| !last.is_empty());
        let after = last.or(params.text("after")).map(|text| Cursor::read_here(text, service)).transpose()?;
        Ok((Reader::from(caller), filter, after))
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
