//! Calling a peer, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use wire::generated::peer_service_client::PeerServiceClient;

use super::{Address, MESSAGE_BYTES_MAX, WINDOW_BYTES, outgoing, tls};
use crate::codec::peer_id;
use crate::link::{Incoming, Opened, Outgoing};
use crate::switch::Switch;

/// The shortest and the longest pause between two calls.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long a connection and its handshake may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How often a silent peer is asked whether it is there, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// A stream that lasted so long was a good one: the next pause is short again.
const LASTED: Duration = Duration::from_secs(10);

/// Keeps a stream to a peer open until it is told to stop.
pub(super) async fn call(peer: Address, connector: TlsConnector, switch: Arc<Switch>, stop: CancellationToken) {
    let mut pause = PAUSE_MIN;
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = exchange(&peer, &connector, &switch, &stop) => ended,
        };
        if let Err(reason) = ended {
            tracing::debug!(peer = %peer_id(&peer.key), at = peer.at, reason, "no stream to a peer");
        }
        pause = if began.elapsed() >= LASTED { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(jittered(pause)) => {}
        }
    }
}

/// Between half of a pause and all of it, differently each time.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness everybody waits as long; that is all.
    let _ = getrandom::fill(&mut random);
    let half = pause / 2;
    half + half * u32::from(u16::from_be_bytes(random)) / u32::from(u16::MAX)
}

/// One stream, from its beginning to its end.
async fn exchange(
    peer: &Address,
    connector: &TlsConnector,
    switch: &Arc<Switch>,
    stop: &CancellationToken,
) -> Result<(), String> {
    let channel = connect(peer, connector).await?;
    let mut client = PeerServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let connected = switch.connected(peer.key, Opened::ByUs).await;
    let (frames, mut incoming) = connected.map_err(|refused| refused.to_string())?;
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = read(&mut client, frames, &mut incoming) => ended,
    };
    incoming.end().await;
    ended
}

async fn read(
    client: &mut PeerServiceClient<Channel>,
    frames: Outgoing,
    incoming: &mut Incoming,
) -> Result<(), String> {
    let answer = client.exchange(outgoing(frames)).await.map_err(|status| status.to_string())?;
    let mut stream = answer.into_inner();
    while let Some(message) = stream.message().await.map_err(|status| status.to_string())? {
        incoming.take(message.frames).await.map_err(|refused| refused.to_string())?;
    }
    Ok(())
}

/// Connects, and makes sure that it is the peer.
async fn connect(peer: &Address, connector: &TlsConnector) -> Result<Channel, String> {
    // The address is dialled below; what stands here is only the name in the requests.
    let endpoint = Endpoint::from_static("http://einvoice-peer")
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let (at, connector) = (peer.at.clone(), connector.clone());
    let dial = tower::service_fn(move |_| {
        let (at, connector) = (at.clone(), connector.clone());
        async move {
            let stream = TcpStream::connect(at.as_str()).await?;
            stream.set_nodelay(true)?;
            let name = tls::NAME.try_into().expect("it is a name");
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    endpoint
        .connect_with_connector(dial)
        .await
        .map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))
}
