//! Listening: the accept loop with its limits, TLS, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use replica::port::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::app::App;
use crate::call::Peer;
use crate::options::Options;
use crate::routes;
use crate::service::Service;
use crate::stream::Impatient;
use crate::tls::{self, Tls, TlsError};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

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
        let room = Arc::new(Semaphore::new(self.options().connections_max.clamp(1, Semaphore::MAX_PERMITS)));
        let mut connections = JoinSet::new();
        loop {
            // Beyond the limit nobody is accepted: the system's own queue is bounded too.
            let next = async {
                let permit = Arc::clone(&room).acquire_owned().await.ok()?;
                Some((permit, listener.accept().await))
            };
            let accepted = tokio::select! {
                () = shutdown.cancelled() => None,
                Some(_) = connections.join_next() => continue,
                accepted = next => accepted,
            };
            let Some((permit, accepted)) = accepted else { break };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.connection(stream, peer);
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(error = %error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        let open = connections.len();
        let drain = Duration::from_millis(self.options().drain_ms);
        let drained = tokio::time::timeout(drain, self.graceful.shutdown()).await.is_ok();
        tracing::info!(open, drained, "the door is closed");
        // Dropping the set ends what is still under way.
    }

    /// One connection, from handshake to end.
    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send + 'static {
        let (acceptor, watcher) = (self.acceptor.clone(), self.graceful.watcher());
        let (service, router) = (Arc::clone(&self.service), self.router.clone());
        async move {
            let options = &service.app.options;
            let open = service.metrics.connections.inc();
            tracing::debug!(%peer, open, "a connection began");
            // Answers are small and somebody waits for them.
            let _ = stream.set_nodelay(true);
            let stream = Impatient::new(stream, Duration::from_millis(options.write_stall_timeout_ms));
            match acceptor {
                None => speak(stream, peer, router, options, watcher).await,
                Some(acceptor) => {
                    let limit = Duration::from_millis(options.handshake_timeout_ms);
                    match tokio::time::timeout(limit, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => speak(stream, peer, router, options, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%peer, error = %error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
                    }
                }
            }
            service.metrics.connections.dec();
        }
    }
}

/// Speaks HTTP/1.1 on a connection until it ends.
async fn speak<I>(stream: I, peer: SocketAddr, router: Router, options: &Options, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
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
