//! One delivery on one connection: resolve, judge, connect, prove, post, read the status.
//!
//! Each delivery has a connection of its own, so that each is judged by itself and none is held open by strangers. A
//! receiver gets no more of the node than the request, and so much time; of its answer nothing but the status and
//! `Retry-After` is looked at, and nothing is kept or shown.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::{Host, Reach, Target};
use super::endpoint::Reason;
use crate::options::WebhookOptions;
use crate::tls::TlsError;

/// Addresses of one name that are looked at, and of those that may be called the ones that are tried.
const ADDRESSES_MAX: usize = 16;
const CONNECTS_MAX: usize = 3;

/// Bytes of an answer's head, and its headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// How long the rest of an answer is read, of which nothing is needed: whoever writes it should not find the
/// connection closed.
const DRAIN: Duration = Duration::from_secs(1);

/// Bytes of `Retry-After` that are looked at.
const RETRY_AFTER_BYTES_MAX: usize = 64;

/// Memory of a thread that looks a name up. The system's resolver blocks, and needs little.
const LOOKUP_STACK_BYTES: usize = 256 * 1024;

/// What is sent: signed headers and a body.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// `webhook-id`.
    pub(crate) id: String,
    /// `webhook-timestamp`, unix seconds.
    pub(crate) timestamp_s: u64,
    /// `webhook-signature`.
    pub(crate) signature: String,
    /// `Content-Type`.
    pub(crate) media_type: &'static str,
    /// The body.
    pub(crate) body: Bytes,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A status of 2xx.
    Delivered(u16),
    /// 410: the receiver wants no more.
    Gone,
    /// It did not work.
    Failed {
        /// Why.
        reason: Reason,
        /// The status, if there was one.
        status: Option<u16>,
        /// What the receiver asks for, as it wrote it.
        retry_after: Option<String>,
    },
}

impl From<Reason> for Outcome {
    fn from(reason: Reason) -> Self {
        Self::Failed { reason, status: None, retry_after: None }
    }
}

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Sends messages.
pub(crate) struct Sender {
    reach: Reach,
    tls: Arc<ClientConfig>,
    /// Names being looked up: each has a thread, which may wait for a name server longer than anybody waits for it.
    lookups: Arc<Semaphore>,
    lookup: Arc<Lookup>,
    connect_timeout: Duration,
    timeout: Duration,
    answer_bytes_max: usize,
}

impl Sender {
    /// # Errors
    /// When the certificates to trust cannot be read.
    pub(crate) fn new(options: &WebhookOptions) -> Result<Self, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in options.ca_pem.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem)) {
            roots.add(certificate.map_err(TlsError::Certificate)?).map_err(TlsError::Pair)?;
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A connection is made for one message, most often after a long pause.
        tls.resumption = Resumption::disabled();
        Ok(Self {
            reach: Reach::new(options.loopback, options.networks.clone()),
            tls: Arc::new(tls),
            lookups: Arc::new(Semaphore::new(options.endpoints_max.max(1))),
            lookup: Arc::new(|name, port| Ok((name, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect())),
            connect_timeout: Duration::from_millis(options.connect_timeout_ms),
            timeout: Duration::from_millis(options.delivery_timeout_ms),
            answer_bytes_max: options.answer_bytes_max,
        })
    }

    /// Which addresses it calls.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Posts a message to a URL. Ends in time, whatever the receiver does.
    pub(crate) async fn post(&self, url: &str, message: Message) -> Outcome {
        let Ok(target) = Target::read(url, &self.reach) else { return Reason::Url.into() };
        match timeout(self.timeout, self.attempt(&target, message)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(reason)) => reason.into(),
            Err(_) => Reason::Timeout.into(),
        }
    }

    async fn attempt(&self, target: &Target, message: Message) -> Result<Outcome, Reason> {
        let addresses = self.addresses(target).await?;
        let stream = self.connect(&addresses, target.port).await?;
        // A message is one small write, and somebody waits for the answer.
        let _ = stream.set_nodelay(true);
        let request = request(target, message);
        if !target.tls {
            return self.speak(stream, request).await;
        }
        let name = match &target.host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Reason::Url)?,
        };
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(|_| Reason::Tls)?;
        self.speak(stream, request).await
    }

    /// The addresses of a target that may be called.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, Reason> {
        let found = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolve(name, target.port).await?,
        };
        let allowed: Vec<IpAddr> =
            found.into_iter().filter_map(|address| self.reach.judge(address, target.tls)).take(CONNECTS_MAX).collect();
        if allowed.is_empty() { Err(Reason::AddressRefused) } else { Ok(allowed) }
    }

    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<IpAddr>, Reason> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(|_| Reason::Unresolved)?;
        let (told, found) = oneshot::channel();
        let (lookup, name) = (Arc::clone(&self.lookup), name.to_owned());
        // Not among the threads that read for callers: a slow name server would hold those up.
        let thread = thread::Builder::new().name("webhook-lookup".to_owned()).stack_size(LOOKUP_STACK_BYTES);
        let spawned = thread.spawn(move || {
            let _permit = permit;
            // Nobody may wait any more.
            drop(told.send(lookup(&name, port)));
        });
        spawned.map_err(|_| Reason::Unresolved)?;
        let found = found.await.ok().and_then(Result::ok).ok_or(Reason::Unresolved)?;
        if found.is_empty() {
            return Err(Reason::Unresolved);
        }
        Ok(found.into_iter().take(ADDRESSES_MAX).map(|address| address.ip()).collect())
    }

    /// A connection to the first address that answers.
    async fn connect(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, Reason> {
        for address in addresses {
            // The very address that was judged.
            let connecting = TcpStream::connect(SocketAddr::new(*address, port));
            if let Ok(Ok(stream)) = timeout(self.connect_timeout, connecting).await {
                return Ok(stream);
            }
        }
        Err(Reason::Unreachable)
    }

    async fn speak<I>(&self, stream: I, request: Request<Full<Bytes>>) -> Result<Outcome, Reason>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| Reason::Broken)?;
        let asking = async {
            let response = sender.send_request(request).await.map_err(|_| Reason::Broken)?;
            let outcome = outcome(&response);
            // Whatever follows the head changes nothing.
            let _ = timeout(DRAIN, self.drain(response.into_body())).await;
            Ok(outcome)
        };
        tokio::pin!(asking, connection);
        // The connection is driven here and not by a task of its own, which could outlive the delivery.
        tokio::select! {
            biased;
            outcome = &mut asking => outcome,
            // It has ended; what came before stands, if anything did.
            _ = &mut connection => asking.await,
        }
    }

    async fn drain(&self, mut body: Incoming) {
        let mut left = self.answer_bytes_max;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

fn request(target: &Target, message: Message) -> Request<Full<Bytes>> {
    let Message { id, timestamp_s, signature, media_type, body } = message;
    Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, concat!("einvoice/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, media_type)
        .header(CONNECTION, "close")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp_s)
        .header("webhook-signature", signature)
        .body(Full::new(body))
        .expect("what was read from a URL is fit for a request")
}

fn outcome(response: &Response<Incoming>) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Delivered(status.as_u16());
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.filter(|text| text.len() <= RETRY_AFTER_BYTES_MAX).map(str::to_owned);
    Outcome::Failed { reason: Reason::Status, status: Some(status.as_u16()), retry_after }
}

#[cfg(test)]
mod tests;
