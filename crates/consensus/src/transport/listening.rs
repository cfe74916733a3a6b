//! The peer door: connections of other nodes.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use wire::generated::PeerFrames;
use wire::generated::peer_service_server::{PeerService, PeerServiceServer};
use wire::peer::KeyBytes;

use super::{Allowed, MESSAGE_BYTES_MAX, WINDOW_BYTES, outgoing, tls};
use crate::link::{Incoming, Opened};
use crate::switch::Switch;

/// Connections that may be in their handshake at once, in all and from one address: anybody can begin one. The oldest makes
/// room for a new one, so that silent ones keep nobody out; an honest handshake takes milliseconds.
const HANDSHAKES_MAX: usize = 64;
const HANDSHAKES_AN_ADDRESS_MAX: usize = 8;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// How often it is asked whether the key of a connected peer may still connect.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Connections that may wait to be served.
const WAITING_MAX: usize = 16;

/// How often a silent peer is asked whether it is there, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Streams that one connection may have: it needs one.
const STREAMS_MAX: u32 = 4;

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
struct Caller(KeyBytes);

/// A connection whose other end has proved its key.
struct Connection {
    stream: TlsStream<TcpStream>,
    caller: Caller,
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Takes connections until it is told to stop.
pub(super) async fn listen(
    listener: TcpListener,
    (acceptor, allowed): (TlsAcceptor, Allowed),
    switch: Arc<Switch>,
    stop: CancellationToken,
) {
    let (ready, connections) = mpsc::channel(WAITING_MAX);
    tokio::spawn(accept(listener, acceptor, ready, stop.clone()));
    let door = Door { switch, allowed, stop: stop.clone() };
    let service = PeerServiceServer::new(door)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let incoming = futures_util::stream::unfold(connections, async |mut connections: mpsc::Receiver<Connection>| {
        let connection = connections.recv().await?;
        Some((Ok::<_, io::Error>(connection), connections))
    });
    let served = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .serve_with_incoming_shutdown(service, incoming, stop.cancelled())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the peer door closed");
    }
}

/// Does the handshakes, several at once.
async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<Connection>,
    stop: CancellationToken,
) {
    let mut handshakes = Handshakes::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            // Out of file descriptors, say: it passes, and must not be asked for in a circle.
            Err(error) => {
                tracing::warn!(%error, "a connection of a peer could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        let done = CancellationToken::new();
        let over = done.clone().drop_guard();
        let task = tokio::spawn(async move {
            drop(stream.set_nodelay(true));
            let stream = match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::info!(%from, %error, "a connection to the peer door was refused");
                    return;
                }
                Err(_) => return,
            };
            // What waits behind is no handshake any more.
            drop(over);
            let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let Some(key) = certificate.and_then(tls::key_of) else { return };
            drop(ready.send(Connection { stream, caller: Caller(key) }).await);
        });
        handshakes.add(Handshake { from: from.ip(), done, task: task.abort_handle() });
    }
}

/// A connection that has not proved its key yet.
struct Handshake {
    from: IpAddr,
    /// Cancelled when it has, or has failed.
    done: CancellationToken,
    task: AbortHandle,
}

/// Those under way, the oldest first.
#[derive(Default)]
struct Handshakes(VecDeque<Handshake>);

impl Handshakes {
    /// Adds one, and ends the oldest when there are too many: of its address, or of all.
    fn add(&mut self, handshake: Handshake) {
        self.0.retain(|other| !other.done.is_cancelled());
        let of_address = self.0.iter().filter(|other| other.from == handshake.from).count();
        let oldest = if of_address >= HANDSHAKES_AN_ADDRESS_MAX {
            self.0.iter().position(|other| other.from == handshake.from)
        } else {
            (self.0.len() >= HANDSHAKES_MAX).then_some(0)
        };
        if let Some(ended) = oldest.and_then(|place| self.0.remove(place)) {
            ended.task.abort();
        }
        self.0.push_back(handshake);
    }
}

/// The service.
struct Door {
    switch: Arc<Switch>,
    allowed: Allowed,
    stop: CancellationToken,
}

type Frames = Pin<Box<dyn Stream<Item = Result<PeerFrames, Status>> + Send>>;

#[tonic::async_trait]
impl PeerService for Door {
    type ExchangeStream = Frames;

    async fn exchange(&self, request: Request<Streaming<PeerFrames>>) -> Result<Response<Frames>, Status> {
        let caller = request.extensions().get::<Caller>().copied();
        let Caller(peer) = caller.ok_or_else(|| Status::unauthenticated("no peer key"))?;
        let connected = self.switch.connected(peer, Opened::ByThem).await;
        let (frames, incoming) = connected.map_err(|refused| Status::unavailable(refused.to_string()))?;
        tokio::spawn(read(request.into_inner(), (peer, Arc::clone(&self.allowed)), incoming, self.stop.clone()));
        Ok(Response::new(Box::pin(outgoing(frames).map(Ok))))
    }
}

/// Reads what a peer sends, until it ends, breaks a rule, or its key is the ledger's no longer.
async fn read(
    mut stream: Streaming<PeerFrames>,
    (peer, allowed): (KeyBytes, Allowed),
    mut incoming: Incoming,
    stop: CancellationToken,
) {
    let mut look_again = tokio::time::interval(LOOK_AGAIN);
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => break,
            _ = look_again.tick() => {
                if allowed(&peer) {
                    continue;
                }
                tracing::warn!(peer = %crate::codec::peer_id(&peer), "the key of a connected peer has gone");
                break;
            }
            message = stream.message() => message,
        };
        let Ok(Some(message)) = message else { break };
        if let Err(refused) = incoming.take(message.frames).await {
            tracing::warn!(peer = %crate::codec::peer_id(&peer), %refused, "ending a peer's stream");
            break;
        }
    }
    incoming.end().await;
}
