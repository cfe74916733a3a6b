//! What handlers know of a call beside its message: who, until when, under which id.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use chain::jws::KeyReference;
use replica::port::Store;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{Handlers, status};
use crate::auth::{Caller, bearer};
use crate::call::single;
use crate::connections::Place;
use crate::problem::Problem;
use crate::service::Service;
use crate::tls::PeerKey;
use crate::turns::Name;

/// Which login key the connection was opened with: `<organisation>/<key>`.
pub(crate) const EINVOICE_KEY: axum::http::HeaderName = axum::http::HeaderName::from_static("einvoice-key");

/// Codes that end a write without a verdict on its statement.
const OPEN_ENDED: [&str; 4] = ["internal.fault", "node.answers-full", "node.stopping", "organisation.answers-full"];

/// The part of a caller's time that is kept for the answer's way back: a tenth, and no more than this.
const WAY_BACK_MAX: Duration = Duration::from_millis(100);

/// A call, without its message.
pub(crate) struct Context {
    /// The request's id.
    pub(crate) id: String,
    /// The method's path.
    pub(crate) path: String,
    /// Who calls.
    pub(crate) caller: Caller,
    /// In whose name it is worked on: the caller's.
    pub(crate) name: Name,
    /// When the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
    /// The message's bytes as they were sent; `None` when they were compressed.
    pub(crate) message: Option<Bytes>,
    /// The statement that was handed in, once one was.
    pub(crate) entered: OnceLock<String>,
}

impl Context {
    /// Until when there must be an answer, if the caller says so: a little before it stops waiting.
    pub(crate) fn answer_by(&self) -> Option<Instant> {
        let deadline = self.deadline?;
        let left = deadline.saturating_duration_since(Instant::now());
        Some(deadline - (left / 10).min(WAY_BACK_MAX))
    }
}

impl Context {
    /// What a problem says of the statement that was handed in, when nobody knows any more what becomes of it: a node
    /// that ends or fails may have it in its mempool, and so may others.
    pub(crate) fn left_open(&self, problem: Problem) -> Problem {
        match self.entered.get() {
            Some(id) if problem.may_still_be_decided().is_none() && OPEN_ENDED.contains(&problem.code()) => {
                problem.undecided(Some(id.clone()), true)
            }
            Some(_) | None => problem,
        }
    }
}

impl<S: Store> Service<S> {
    /// In whose name a call is worked on before it is known who calls.
    pub(crate) fn caller_name(&self, headers: &HeaderMap, key: Option<&PeerKey>, network: IpAddr) -> Name {
        let by_token = self.verified_tokens.organisation(headers, self.now_s());
        match by_token.or_else(|| key?.of()) {
            Some(organisation) => Name::Organisation(organisation),
            None => Name::Address(network),
        }
    }

    /// Who calls: by a token, or by the key that the connection was opened with.
    pub(crate) fn grpc_login(
        &self,
        headers: &HeaderMap,
        key: Option<&PeerKey>,
        place: Option<&Place>,
    ) -> Result<Caller, Problem> {
        let caller = match key {
            Some(key) if bearer(headers)?.is_none() => {
                let missing = || Problem::new("auth.missing").at("einvoice-key", "<organisation>/<key>", "nothing");
                let named = single(headers, &EINVOICE_KEY)?.ok_or_else(missing)?;
                let named: KeyReference = named.parse().map_err(|_| {
                    Problem::new("auth.malformed").at("einvoice-key", "<organisation>/<key>", "something else")
                })?;
                let caller = self.login_by_connection(&named, &key.bytes);
                key.found(caller.as_ref().ok().map(Caller::id));
                caller?
            }
            Some(_) | None => self.login(headers)?,
        };
        if let Some(place) = place {
            place.known();
        }
        Ok(caller)
    }
}

/// A call in the hands of its handler.
pub(crate) struct Asked<M> {
    pub(crate) context: Arc<Context>,
    pub(crate) message: M,
}

impl<M> Asked<M> {
    /// Takes a request apart. The layer has put the context into it.
    pub(crate) fn from(request: Request<M>) -> Result<Self, Status> {
        let (_, extensions, message) = request.into_parts();
        let context = extensions.get::<Arc<Context>>().cloned();
        let context = context.ok_or_else(|| status::of(&Problem::new("internal.fault"), ""))?;
        Ok(Self { context, message })
    }
}

impl<S: Store> Handlers<S> {
    /// Answers a call that only reads.
    pub(crate) async fn read<M: Send + 'static, R: Send + 'static>(
        &self,
        request: Request<M>,
        work: impl FnOnce(&Service<S>, &Caller, M) -> Result<R, Problem> + Send + 'static,
    ) -> Result<Response<R>, Status> {
        let Asked { context, message } = Asked::from(request)?;
        let asked = Arc::clone(&context);
        let read = self.service.run(&context.name, move |service| work(service, &asked.caller, message));
        read.await.map(Response::new).map_err(|problem| status::of(&problem, &context.id))
    }
}
