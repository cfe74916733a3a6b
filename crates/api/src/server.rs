//! Listening: the accept loop with its limits, TLS, and an orderly end. Both doors have it: REST speaks HTTP/1.1 behind
//! it, gRPC HTTP/2.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use replica::port::{Store, StoreFault};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::app::App;
use crate::call::Peer;
use crate::connections::{Connections, Place, Refused};
use crate::grpc;
use crate::options::Options;
use crate::routes;
use crate::service::Service;
use crate::stream::Impatient;
use crate::tls::{self, PeerKey, Tls, TlsError};
use crate::unread::Unread;

/// Bytes of a request's head. Also what each connection may buffer of what comes in, so it counts once for every
/// connection there may be.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Connections that the system keeps until they are accepted, as far as it allows. The 128 of the standard library are
/// full at once when thousands knock, and whoever is not among them knocks again only a second later.
const BACKLOG: i32 = 4_096;

/// Bytes of each direction of a connection that the system keeps. Left to itself it goes up to several megabytes for
/// whoever takes nothing of its answers, and as many answers are made in vain.
const SYSTEM_BYTES: usize = 256 * 1024;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can be reached from elsewhere, and there is no TLS.
    #[error("{address} is not loopback: a certificate and a key are needed")]
    Insecure {
        /// The address.
        address: SocketAddr,
    },
    /// The certificate or key cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[from] TlsError),
    /// The system refused.
    #[error("failed to listen")]
    Listen(#[from] io::Error),
    /// The endpoints of webhooks cannot be read.
    #[error("failed to read the webhooks that are registered")]
    Webhooks(#[from] StoreFault),
}

/// Bytes of the head of a call over gRPC: what clients send by themselves.
const CALL_HEAD_BYTES_MAX: u32 = 8 * 1024;

/// Bytes that a caller of gRPC may send ahead, on one call and on all calls of a connection.
const CALL_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes of answers that a connection of gRPC keeps for each call while its peer takes nothing.
const CALL_ANSWER_BYTES: usize = 64 * 1024;

/// Calls of a connection that were given up by the peer and are not dealt with yet. More, and the connection ends.
const GIVEN_UP_MAX: usize = 64;

/// Where a door listens, and behind which certificate.
pub struct Listening {
    /// The socket.
    pub listener: std::net::TcpListener,
    /// Certificate and key; without them it opens on loopback alone.
    pub tls: Option<Tls>,
}

/// Which door it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/1.1.
    Rest,
    /// HTTP/2.
    Grpc,
}

/// Serves the doors until `shutdown`, then lets requests under way finish, within a limit.
///
/// # Errors
/// When a door does not open: without TLS it does so on loopback alone.
pub async fn serve<S: Store>(
    app: Arc<App<S>>,
    rest: Listening,
    grpc: Option<Listening>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let service = Arc::new(Service::new(app)?);
    service.open_webhooks()?;
    let served = serve_doors(&service, rest, grpc, &shutdown).await;
    service.feed.close();
    service.webhooks.stopped().await;
    served
}

async fn serve_doors<S: Store>(
    service: &Arc<Service<S>>,
    rest: Listening,
    grpc: Option<Listening>,
    shutdown: &CancellationToken,
) -> Result<(), ServeError> {
    let (listener, door) = Door::open(service, rest, Speech::Rest, shutdown)?;
    let rest = door.run(listener, shutdown);
    let Some(grpc) = grpc else {
        rest.await;
        return Ok(());
    };
    let (listener, door) = Door::open(service, grpc, Speech::Grpc, shutdown)?;
    tokio::join!(rest, door.run(listener, shutdown));
    Ok(())
}

struct Door<S: Store> {
    service: Arc<Service<S>>,
    speech: Speech,
    connections: Arc<Connections>,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    graceful: GracefulShutdown,
}

impl<S: Store> Door<S> {
    fn open(
        service: &Arc<Service<S>>,
        Listening { listener, tls }: Listening,
        speech: Speech,
        shutdown: &CancellationToken,
    ) -> Result<(TcpListener, Self), ServeError> {
        let address = listener.local_addr()?;
        if tls.is_none() && !address.ip().to_canonical().is_loopback() {
            return Err(ServeError::Insecure { address });
        }
        let acceptor = tls.as_ref().map(|tls| tls::acceptor(tls, speech)).transpose()?;
        let socket = SockRef::from(&listener);
        // Connections take over what their listener has.
        socket.set_send_buffer_size(SYSTEM_BYTES)?;
        socket.set_recv_buffer_size(SYSTEM_BYTES)?;
        // It listens already; once more sets how many may wait.
        socket.listen(BACKLOG)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (router, connections) = match speech {
            Speech::Rest => (routes::router(Arc::clone(service)), &service.connections),
            Speech::Grpc => (grpc::router(Arc::clone(service), shutdown), &service.grpc_connections),
        };
        tracing::info!(%address, tls = acceptor.is_some(), ?speech, "the door is open");
        let (service, connections) = (Arc::clone(service), Arc::clone(connections));
        let graceful = GracefulShutdown::new();
        Ok((listener, Self { service, speech, connections, router, acceptor, graceful }))
    }

    fn options(&self) -> &Options {
        &self.service.app.options
    }

    async fn run(self, listener: TcpListener, shutdown: &CancellationToken) {
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = tasks.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // While there is no room nobody else is accepted: the system's own queue is bounded too.
                    let place = tokio::select! {
                        () = shutdown.cancelled() => break,
                        place = self.place(peer) => place,
                    };
                    if let Some(place) = place {
                        tasks.spawn(self.connection(stream, peer, place));
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        // Streams of events never end by themselves.
        self.service.feed.close();
        let open = tasks.len();
        let drain = Duration::from_millis(self.options().drain_ms);
        let drained = tokio::time::timeout(drain, self.graceful.shutdown()).await.is_ok();
        tracing::info!(open, drained, speech = ?self.speech, "the door is closed");
        // Dropping the set ends what is still under way.
    }

    /// A place for a connection, as soon as there is one; `None` when its address has enough of them.
    async fn place(&self, peer: SocketAddr) -> Option<Arc<Place>> {
        let (connections, metrics) = (&self.connections, &self.service.metrics);
        loop {
            match connections.admit(peer.ip()) {
                Ok((place, pushed_out)) => {
                    if pushed_out {
                        metrics.pushed_out.inc();
                    }
                    return Some(Arc::new(place));
                }
                Err(Refused::Address) => {
                    metrics.refused.inc();
                    tracing::debug!(%peer, "an address has as many connections as one may have, all at work");
                    return None;
                }
                Err(Refused::Full) => connections.changed().await,
            }
        }
    }

    /// One connection, from handshake to end.
    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Arc<Place>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (acceptor, watcher) = (self.acceptor.clone(), self.graceful.watcher());
        let service = Arc::clone(&self.service);
        let served =
            Served { router: self.router.clone(), speech: self.speech, peer, place: Arc::clone(&place), key: None };
        async move {
            let open = service.metrics.connections.inc();
            tracing::debug!(%peer, open, "a connection began");
            let speaking = shake_hands_and_speak(&service.app.options, stream, acceptor, served, watcher);
            // Listens once, lets the system say what has come in, and listens again.
            let heard = async {
                tokio::task::yield_now().await;
                place.heard();
                std::future::pending::<()>().await;
            };
            let patience = Duration::from_millis(service.app.options.write_stall_timeout_ms);
            tokio::select! {
                biased;
                () = place.pushed_out() => tracing::debug!(%peer, "a connection that waited was closed for another"),
                () = place.unread.stalled(patience) => tracing::debug!(%peer, "nobody took an answer"),
                () = speaking => {}
                () = heard => {}
            }
            service.metrics.connections.dec();
        }
    }
}

/// What a connection is served with.
#[derive(Clone)]
struct Served {
    router: Router,
    speech: Speech,
    peer: SocketAddr,
    place: Arc<Place>,
    /// The key that the peer proved in the handshake.
    key: Option<Arc<PeerKey>>,
}

impl Served {
    async fn answer(
        self,
        request: hyper::Request<hyper::body::Incoming>,
    ) -> Result<hyper::Response<Answer>, Infallible> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(self.peer));
        request.extensions_mut().insert(Arc::clone(&self.place));
        if let Some(key) = self.key {
            request.extensions_mut().insert(key);
        }
        if !self.place.works() {
            // The connection is being closed for another.
            std::future::pending::<()>().await;
        }
        // From here on, also when the peer gives the call up.
        let at_work = AtWork(self.place);
        let mut response = self.router.oneshot(request).await?;
        // An answer that has no end keeps nobody else out.
        let at_work = response.extensions().get::<Endless>().is_none().then_some(at_work);
        let (unread, rest, whole) = match response.extensions_mut().remove() {
            Some(Ready { unread, bytes, whole }) => (Some(unread), bytes, whole),
            None => (None, Bytes::new(), false),
        };
        Ok(response.map(|body| Answer { body, at_work, unread, rest, whole }))
    }
}

/// What is ready to answer a request or a call, in front of what its body still holds.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) unread: Arc<Unread>,
    pub(crate) bytes: Bytes,
    /// Whether the body holds nothing more.
    pub(crate) whole: bool,
}

/// Marks an answer that goes on until one of both ends stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

async fn shake_hands_and_speak(
    options: &Options,
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    mut served: Served,
    watcher: Watcher,
) {
    let peer = served.peer;
    // Answers are small and somebody waits for them.
    let _ = stream.set_nodelay(true);
    let patience = Duration::from_millis(options.write_stall_timeout_ms);
    let limit = Duration::from_millis(options.handshake_timeout_ms);
    let Some(acceptor) = acceptor else {
        // HTTP/2 begins with bytes of the client; one that sends none is gone.
        if served.speech == Speech::Grpc
            && !matches!(tokio::time::timeout(limit, stream.peek(&mut [0])).await, Ok(Ok(1)))
        {
            tracing::debug!(%peer, "a connection said nothing");
            return;
        }
        let stream = Impatient::new(stream, patience, options.answer_bytes_a_second_min);
        return speak(stream, options, served, watcher).await;
    };
    let stream = Impatient::new(stream, patience, options.answer_bytes_a_second_min);
    match tokio::time::timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let chain = stream.get_ref().1.peer_certificates();
            served.key = chain.and_then(<[_]>::first).and_then(tls::key_of).map(Arc::new);
            speak(stream, options, served, watcher).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, error = %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// Speaks on a connection until it ends.
async fn speak<I>(stream: I, options: &Options, served: Served, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (peer, speech) = (served.peer, served.speech);
    let service = hyper::service::service_fn(move |request| served.clone().answer(request));
    let stream = TokioIo::new(stream);
    let ended = match speech {
        Speech::Rest => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                // Runs while the next request's head is awaited too, so it also ends idle connections.
                .header_read_timeout(Duration::from_millis(options.header_read_timeout_ms))
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(stream, service);
            watcher.watch(connection).await
        }
        Speech::Grpc => {
            let keep_alive = Duration::from_millis(options.grpc.keep_alive_ms);
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(keep_alive)
                .keep_alive_timeout(keep_alive)
                .max_concurrent_streams(options.grpc.calls_a_connection_max)
                .max_header_list_size(CALL_HEAD_BYTES_MAX)
                .max_pending_accept_reset_streams(GIVEN_UP_MAX)
                .max_local_error_reset_streams(GIVEN_UP_MAX)
                .initial_stream_window_size(CALL_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_send_buf_size(CALL_ANSWER_BYTES)
                .serve_connection(stream, service);
            watcher.watch(connection).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %error, "a connection ended");
    }
}

/// A connection at work, until this is dropped.
struct AtWork(Arc<Place>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.waits();
    }
}

/// The body of an answer. The connection is at work until all of it has been handed over.
struct Answer {
    body: Body,
    #[expect(dead_code, reason = "it is there for when it is dropped")]
    at_work: Option<AtWork>,
    /// Of what is counted: it is handed over in pieces, as the peer takes them.
    unread: Option<Arc<Unread>>,
    /// What is left of it.
    rest: Bytes,
    /// Whether nothing comes behind it.
    whole: bool,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(unread) = &this.unread
            && !this.rest.is_empty()
        {
            return Poll::Ready(Some(Ok(hyper::body::Frame::data(unread.piece(&mut this.rest)))));
        }
        Pin::new(&mut this.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match &self.unread {
            None => self.body.size_hint(),
            Some(_) if self.whole => hyper::body::SizeHint::with_exact(self.rest.len() as u64),
            // Of a call nobody asks: its length is in front of its message.
            Some(_) => hyper::body::SizeHint::default(),
        }
    }
}
