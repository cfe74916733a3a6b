//! Health and reflection: what anybody may ask without a login, and therefore little of it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::Limited;
use hyper::body::Frame;
use replica::port::Store;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::layer::{MEDIA_TYPES, Patience, State, refused_unread};
use super::{QUESTION_BYTES_MAX, status};
use crate::call::Call;
use crate::problem::Problem;
use crate::server::Endless;
use crate::service::Service;
use crate::shares::{Share, Shares};
use crate::turns::Name;

/// What is served, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// How the node is, once.
    Check,
    /// How the node is, again and again.
    Watch,
    /// What the services are.
    Reflection,
}

impl Asked {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/grpc.health.v1.Health/Check" | "/grpc.health.v1.Health/List" => Some(Self::Check),
            "/grpc.health.v1.Health/Watch" => Some(Self::Watch),
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Some(Self::Reflection),
            _ => None,
        }
    }
}

/// How long one may go on asking what the services are.
const REFLECTION_MAX: Duration = Duration::from_secs(10);

/// Bytes of all questions of one such stream.
const REFLECTION_BYTES_MAX: usize = 16 * QUESTION_BYTES_MAX;

/// Streams without a login that there may be at once, by address.
pub(crate) struct Streams {
    watches: Arc<Shares<IpAddr>>,
    reflections: Arc<Shares<IpAddr>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { watches: Shares::new(256, 16), reflections: Shares::new(32, 4) }
    }
}

impl Streams {
    fn begin(of: &Arc<Shares<IpAddr>>, network: IpAddr) -> Result<Share<IpAddr>, Problem> {
        of.take(network, 1).map_err(|_| {
            let expected = format!("at most {} such streams of an address, and {} in all", of.one_max(), of.max());
            Problem::new("node.calls-full").at("", expected, "more")
        })
    }
}

/// A call that was let in, and what it counts as.
struct Admitted {
    asked: Asked,
    under_way: Share<Name>,
    /// Of one that may go on.
    stream: Option<Share<IpAddr>>,
}

/// Lets such a call in, as long as there is room.
fn admitted<S: Store>(service: &Service<S>, call: &Call) -> Result<Admitted, Problem> {
    let asked = Asked::of(call.parts.uri.path()).ok_or_else(|| Problem::new("request.path"))?;
    // By address, whoever says it is: nobody has to show a token that holds.
    let network = call.network();
    let under_way = service.calls.begin(&Name::Address(network))?;
    let stream = match asked {
        Asked::Check => None,
        Asked::Watch => Some(Streams::begin(&service.streams.watches, network)?),
        Asked::Reflection => Some(Streams::begin(&service.streams.reflections, network)?),
    };
    Ok(Admitted { asked, under_way, stream })
}

/// Answers a call to a service that is not ours.
pub(super) async fn answered<S: Store>(
    state: &State<S>,
    mut call: Call,
    body: Body,
    next: Next,
    patience: &Patience,
    id: &str,
) -> Result<Response, Problem> {
    let service = &state.service;
    let Admitted { asked, under_way, stream } = match admitted(service, &call) {
        Ok(admitted) => admitted,
        Err(problem) => return Err(refused_unread(&service.calls, problem, body).await),
    };
    let beginning = async {
        let parts = call.parts.clone();
        let body = if asked == Asked::Reflection {
            Body::new(Limited::new(body, REFLECTION_BYTES_MAX))
        } else {
            call.body = body;
            Body::from(call.body(service, &MEDIA_TYPES).await?.1)
        };
        Ok::<_, Problem>(next.run(Request::from_parts(parts, body)).await)
    };
    let begun = tokio::time::timeout_at(patience.until, beginning).await;
    let response = begun.map_err(|_| patience.overdue(None))??;
    let Some(stream) = stream else { return Ok(response) };
    let until = if asked == Asked::Reflection { Some(Instant::now() + REFLECTION_MAX) } else { None };
    let mut response = response.map(|body| {
        Body::new(Stopping {
            body: Some(body),
            stopped: Box::pin(state.stop.clone().cancelled_owned()),
            until: until.map(|until| Box::pin(tokio::time::sleep_until(until))),
            id: id.to_owned(),
            _under_way: under_way,
            _stream: stream,
        })
    });
    response.extensions_mut().insert(Endless);
    Ok(response)
}

/// The body of an answer that may go on. It ends when its time is over or the door closes, with a status that says so.
struct Stopping {
    body: Option<Body>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    until: Option<Pin<Box<Sleep>>>,
    id: String,
    _under_way: Share<Name>,
    _stream: Share<IpAddr>,
}

impl hyper::body::Body for Stopping {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let over = if self.stopped.as_mut().poll(cx).is_ready() {
            Some(Problem::new("node.stopping").retry_after(5))
        } else if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            Some(Problem::new("request.overdue"))
        } else {
            None
        };
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Some(problem) = over else { return Pin::new(body).poll_frame(cx) };
        self.body = None;
        let mut trailers = HeaderMap::new();
        // Texts of ours, which headers can carry.
        if status::of(&problem, &self.id).add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", HeaderValue::from_static("14"));
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
