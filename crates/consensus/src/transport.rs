//! The streams between nodes: tonic over TLS, each end known by its peer key.
//!
//! Every node calls the peers it has addresses of, and sends on the streams it opened; to a peer that it cannot call it
//! sends on the stream that the peer opened. A stream that breaks is opened again, later each time and never at the same
//! moment as everybody else's.

mod calling;
mod listening;
mod tls;

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;

use bytes::Bytes;
use chain::key::SecretKey;
use tokio_util::sync::CancellationToken;
use wire::Portable as _;
use wire::generated::PeerFrames;
use wire::peer::{FRAMES_BYTES_MAX, KeyBytes, PeerFrame};

use crate::link::Outgoing;
use crate::switch::Switch;

/// Bytes that one message on a stream may have: frames together, or a single large one.
const MESSAGE_BYTES_MAX: usize = PeerFrame::BYTES_MAX + FRAMES_BYTES_MAX + 4_096;

/// Bytes that a peer may send before they are read, of a stream and of a connection.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Whether a key is one of a node that may connect; asked again while it is connected.
pub type Allowed = Arc<dyn Fn(&KeyBytes) -> bool + Send + Sync>;

/// A peer that can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its peer key: whoever else answers there is refused.
    pub key: KeyBytes,
    /// Host and port.
    pub at: String,
}

/// How the node is connected.
pub struct Transport {
    /// Its peer key.
    pub secret: SecretKey,
    /// Where it listens; a node that only calls has none.
    pub listener: Option<TcpListener>,
    /// Whom it calls.
    pub peers: Vec<Address>,
    /// Who may call it.
    pub allowed: Allowed,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("peers", &self.peers).finish_non_exhaustive()
    }
}

/// Why the transport could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The peer key or its certificate cannot be used.
    #[error("the peer key cannot be used for TLS: {0}")]
    Tls(String),
    /// The listener cannot be used.
    #[error("the peer door cannot be used")]
    Listen(#[from] std::io::Error),
}

impl Transport {
    /// Opens streams and takes them until it is told to stop.
    pub(crate) fn start(self, switch: &Arc<Switch>, stop: &CancellationToken) -> Result<(), TransportError> {
        let Self { secret, listener, peers, allowed } = self;
        let identity = tls::Identity::new(&secret)?;
        if let Some(listener) = listener {
            let acceptor = identity.server(Arc::clone(&allowed))?;
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(listening::listen(listener, (acceptor, allowed), Arc::clone(switch), stop.clone()));
        }
        for peer in peers {
            switch.expect(peer.key);
            let connector = identity.client(peer.key)?;
            tokio::spawn(calling::call(peer, connector, Arc::clone(switch), stop.clone()));
        }
        Ok(())
    }
}

/// What is sent on a stream, until its other end or the switch gives it up.
fn outgoing(frames: Outgoing) -> impl futures_util::Stream<Item = PeerFrames> + Send + 'static {
    futures_util::stream::unfold(frames, async |mut frames| {
        let batch: Vec<Bytes> = frames.batch().await?;
        Some((PeerFrames { frames: batch }, frames))
    })
}
