//! One node: its connection, our login there, and since when it is not to be asked.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use chain::login::LoginDraft;
use tokio::time::Instant;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::backoff;
use crate::error::Error;
use crate::options::{Login, Node, Options, Roots};

/// How often an idle connection is tried, and how long its answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A token, and what it takes to know when it is old.
struct Token {
    header: MetadataValue<Ascii>,
    issued_at: u64,
    expires_at: u64,
}

/// What changes about a node.
#[derive(Default)]
struct State {
    token: Option<Token>,
    /// Until when it is not to be asked.
    rests_until: Option<Instant>,
    /// Failures in a row.
    failures: u32,
}

/// One node.
pub(crate) struct Door {
    id: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) channel: Channel,
    state: Mutex<State>,
}

impl Door {
    /// Prepares a node's connection; it is opened when it is needed, and again when it broke.
    pub(crate) fn new(node: &Node, options: &Options) -> Result<Self, Error> {
        let uri = node.uri()?;
        let secure = uri.scheme_str() == Some("https");
        let mut endpoint = Endpoint::from(uri)
            .connect_timeout(options.connect_max)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        if secure {
            let wrong = |error: tonic::transport::Error| Error::Option {
                what: "TLS",
                expected: "certificates and a key in PEM",
                found: error.to_string(),
            };
            endpoint = endpoint.tls_config(tls(options)).map_err(wrong)?;
        }
        let channel = endpoint.connect_lazy();
        Ok(Self { id: node.id.clone(), endpoint, channel, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a node's state")
    }

    /// A request with our login at this node.
    pub(crate) fn request<M>(&self, message: M, options: &Options) -> Result<Request<M>, Error> {
        let mut request = Request::new(message);
        match &options.login {
            Login::Tokens(_) => {
                let token = self.token(options)?;
                request.metadata_mut().insert("authorization", token);
            }
            Login::Certificate { key, .. } => {
                request.metadata_mut().insert("einvoice-key", ascii(&key.to_string())?);
            }
        }
        Ok(request)
    }

    /// A token with at least a quarter of its life before it.
    fn token(&self, options: &Options) -> Result<MetadataValue<Ascii>, Error> {
        let (now_s, lifetime_s) = (options.now_s(), options.token_lifetime_s);
        let mut state = self.state();
        // A clock that was put back makes tokens of the future.
        let good = |token: &&Token| token.issued_at <= now_s && now_s + lifetime_s / 4 < token.expires_at;
        if let Some(token) = state.token.as_ref().filter(good) {
            return Ok(token.header.clone());
        }
        let Login::Tokens(key) = &options.login else {
            return Err(Error::Option { what: "login", expected: "a login key", found: "a certificate".to_owned() });
        };
        let draft = LoginDraft {
            organisation: key.organisation.clone(),
            key: key.id.clone(),
            audience: self.id.clone(),
            issued_at: now_s,
            expires_at: now_s.saturating_add(lifetime_s),
            jti: None,
            request: None,
            body_sha256: None,
        };
        let mut header = ascii(&format!("Bearer {}", draft.sign(&key.secret)))?;
        header.set_sensitive(true);
        let token = Token { header: header.clone(), issued_at: now_s, expires_at: draft.expires_at };
        state.token = Some(token);
        Ok(header)
    }

    /// Forgets the token: the node takes it no more.
    pub(crate) fn log_out(&self) {
        self.state().token = None;
    }

    /// When it may be asked again.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        self.state().rests_until.filter(|until| *until > Instant::now())
    }

    /// It answered.
    pub(crate) fn well(&self) {
        let mut state = self.state();
        (state.failures, state.rests_until) = (0, None);
    }

    /// It did not answer, or not now: it is left alone for a while, at least as long as it asks for.
    pub(crate) fn rest(&self, asked: Option<Duration>, options: &Options) -> Result<(), Error> {
        let mut state = self.state();
        let wait = backoff::wait(state.failures, asked, options)?;
        state.failures = state.failures.saturating_add(1);
        state.rests_until = Some(Instant::now() + wait);
        Ok(())
    }
}

fn ascii(text: &str) -> Result<MetadataValue<Ascii>, Error> {
    text.parse().map_err(|_| Error::Option { what: "login", expected: "ASCII", found: "other characters".to_owned() })
}

fn tls(options: &Options) -> ClientTlsConfig {
    let config = ClientTlsConfig::new().timeout(options.connect_max);
    let config = match &options.roots {
        Roots::Web => config.with_webpki_roots(),
        Roots::Own(pem) => config.ca_certificate(Certificate::from_pem(pem)),
    };
    match &options.login {
        Login::Tokens(_) => config,
        Login::Certificate { certificate_pem, key_pem, .. } => {
            config.identity(Identity::from_pem(certificate_pem, key_pem.as_slice()))
        }
    }
}
