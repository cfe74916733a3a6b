//! Listening: the accept loop with its limits, TLS, and an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use replica::port::Store;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::app::App;
use crate::call::Peer;
use crate::connections::{Place, Refused};
use crate::options::Options;
use crate::routes;
use crate::service::Service;
use crate::stream::Impatient;
use crate::tls::{self, Tls, TlsError};

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
}

/// Serves the door until `shutdown`, then lets requests under way finish, within a limit.
///
/// # Errors
/// When the door does not open: without TLS it does so on loopback alone.
pub async fn serve<S: Store>(
    app: Arc<App<S>>,
    listener: std::net::TcpListener,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    if tls.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(ServeError::Insecure { address });
    }
    let acceptor = tls.as_ref().map(tls::acceptor).transpose()?;
    let socket = SockRef::from(&listener);
    // Connections take over what their listener has.
    socket.set_send_buffer_size(SYSTEM_BYTES)?;
    socket.set_recv_buffer_size(SYSTEM_BYTES)?;
    // It listens already; once more sets how many may wait.
    socket.listen(BACKLOG)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let service = Arc::new(Service::new(app));
    let router = routes::router(Arc::clone(&service));
    tracing::info!(%address, tls = acceptor.is_some(), "the door is open");
    let door = Door { service, router, acceptor, graceful: GracefulShutdown::new() };
    door.run(listener, &shutdown).await;
    Ok(())
}

struct Door<S: Store> {
    service: Arc<Service<S>>,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    graceful: GracefulShutdown,
}

impl<S: Store> Door<S> {
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
        tracing::info!(open, drained, "the door is closed");
        // Dropping the set ends what is still under way.
    }

    /// A place for a connection, as soon as there is one; `None` when its address has enough of them.
    async fn place(&self, peer: SocketAddr) -> Option<Arc<Place>> {
        let (connections, metrics) = (&self.service.connections, &self.service.metrics);
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
        let (service, router) = (Arc::clone(&self.service), self.router.clone());
        async move {
            let open = service.metrics.connections.inc();
            tracing::debug!(%peer, open, "a connection began");
            let speaking = shake_hands_and_speak(&service, stream, peer, acceptor, router, Arc::clone(&place), watcher);
            // Listens once, lets the system say what has come in, and listens again.
            let heard = async {
                tokio::task::yield_now().await;
                place.heard();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = place.pushed_out() => tracing::debug!(%peer, "a connection that waited was closed for another"),
                () = speaking => {}
                () = heard => {}
            }
            service.metrics.connections.dec();
        }
    }
}

async fn shake_hands_and_speak<S: Store>(
    service: &Service<S>,
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    place: Arc<Place>,
    watcher: Watcher,
) {
    let options = &service.app.options;
    // Answers are small and somebody waits for them.
    let _ = stream.set_nodelay(true);
    let patience = Duration::from_millis(options.write_stall_timeout_ms);
    let stream = Impatient::new(stream, patience, options.answer_bytes_a_second_min);
    match acceptor {
        None => speak(stream, peer, router, options, place, watcher).await,
        Some(acceptor) => {
            let limit = Duration::from_millis(options.handshake_timeout_ms);
            match tokio::time::timeout(limit, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => speak(stream, peer, router, options, place, watcher).await,
                Ok(Err(error)) => tracing::debug!(%peer, error = %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            }
        }
    }
}

/// Speaks HTTP/1.1 on a connection until it ends.
async fn speak<I>(stream: I, peer: SocketAddr, router: Router, options: &Options, place: Arc<Place>, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(Arc::clone(&place));
        let (router, place) = (router.clone(), Arc::clone(&place));
        async move {
            if !place.works() {
                // The connection is being closed for another.
                std::future::pending::<()>().await;
            }
            let response = router.oneshot(request).await?;
            Ok::<_, Infallible>(response.map(|body| Answer { body, at_work: AtWork(place) }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Runs while the next request's head is awaited too, so it also ends idle connections.
        .header_read_timeout(Duration::from_millis(options.header_read_timeout_ms))
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
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
    at_work: AtWork,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
