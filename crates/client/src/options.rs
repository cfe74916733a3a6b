//! What a client is told: which nodes, who logs in, whom to trust, and every limit.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chain::jws::KeyReference;
use tonic::codegen::http::Uri;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::key::Key;

/// Nodes at most.
pub const NODES_MAX: usize = 128;

/// A node's gRPC door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where: `https://<host>:<port>`, or `http://` for a loopback address.
    pub url: String,
    /// Its id, as `/v1/status` tells it: the audience of login tokens, which no other node takes.
    pub id: String,
}

impl Node {
    /// A node's door and its id.
    pub fn new(url: impl Into<String>, id: impl Into<String>) -> Self {
        Self { url: url.into(), id: id.into() }
    }

    /// Its address, when a client may use it: secrets travel over TLS, or not beyond this machine.
    pub(crate) fn uri(&self) -> Result<Uri, Error> {
        let expected = "https://<host>:<port>, or http:// and a loopback address";
        let wrong = || Error::Option { what: "the URL of a node", expected, found: self.url.clone() };
        let uri: Uri = self.url.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let has_nothing_else = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        let no_user = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        match uri.scheme_str() {
            Some("https") if has_nothing_else && no_user => Ok(uri),
            Some("http") if loopback && has_nothing_else && no_user => Ok(uri),
            _ => Err(wrong()),
        }
    }
}

/// Who logs in, and how.
#[derive(Clone)]
pub enum Login {
    /// With tokens, one a node, made and renewed from a login key.
    Tokens(Key),
    /// With a certificate whose key is a login key on the ledger; only over TLS.
    Certificate {
        /// Whose key it is, and which.
        key: KeyReference,
        /// The certificate, PEM.
        certificate_pem: Vec<u8>,
        /// Its secret key, PKCS #8 in PEM.
        key_pem: Zeroizing<Vec<u8>>,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(key) => write!(f, "Tokens({key:?})"),
            Self::Certificate { key, .. } => write!(f, "Certificate({key})"),
        }
    }
}

/// Whose certificates a node's is to come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The authorities of the web, as Mozilla lists them, compiled in.
    #[default]
    Web,
    /// These and no others, PEM.
    Own(Vec<u8>),
}

/// What time it is, ms since 1970 in UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a client is told.
#[derive(Clone)]
pub struct Options {
    /// The nodes, 1 to [`NODES_MAX`], the preferred one first. All of one chain.
    pub nodes: Vec<Node>,
    /// Who logs in.
    pub login: Login,
    /// Whose certificates the nodes' come from.
    pub roots: Roots,
    /// What time it is. The machine's clock when nothing is said.
    pub clock: Clock,
    /// How long connecting to one node may take.
    pub connect_max: Duration,
    /// How long one attempt at one node may take; longer than the 10 s that a node waits for a block.
    pub attempt_max: Duration,
    /// How long a read may take with all its attempts.
    pub read_max: Duration,
    /// How long a write may take with all its attempts, after which it is undecided.
    pub decision_max: Duration,
    /// How long a subscription looks for a node that goes on with it.
    pub resume_max: Duration,
    /// For how long a login token is valid, seconds; at most an hour. A new one is made when a quarter is left.
    pub token_lifetime_s: u64,
    /// The first wait after a failure; it doubles with each one in a row, and half of it is chance.
    pub backoff_min: Duration,
    /// The longest wait of our own making. Nodes may ask for a longer one.
    pub backoff_max: Duration,
}

impl Options {
    /// The defaults, for these nodes and this login.
    pub fn new(nodes: Vec<Node>, login: Login) -> Self {
        Self {
            nodes,
            login,
            roots: Roots::default(),
            clock: Arc::new(machine_ms),
            connect_max: Duration::from_secs(5),
            attempt_max: Duration::from_secs(15),
            read_max: Duration::from_secs(30),
            decision_max: Duration::from_secs(60),
            resume_max: Duration::from_secs(300),
            token_lifetime_s: 900,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
        }
    }

    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what, expected, found: String| Err(Error::Option { what, expected, found });
        if !(1..=NODES_MAX).contains(&self.nodes.len()) {
            return wrong("nodes", "1 to 128", self.nodes.len().to_string());
        }
        if !(1..=chain::login::LIFETIME_S_MAX).contains(&self.token_lifetime_s) {
            return wrong("token_lifetime_s", "1 to 3600", self.token_lifetime_s.to_string());
        }
        let waits = [self.connect_max, self.attempt_max, self.read_max, self.decision_max, self.resume_max];
        if waits.iter().chain([&self.backoff_min]).any(Duration::is_zero) || self.backoff_max < self.backoff_min {
            return wrong("waits", "more than nothing, the longest last", "another".to_owned());
        }
        let certificate = matches!(self.login, Login::Certificate { .. });
        if let Some(plain) = self.nodes.iter().find(|node| certificate && !node.url.starts_with("https:")) {
            return wrong("a login by certificate", "https:// for every node", plain.url.clone());
        }
        Ok(())
    }

    /// The time, unix seconds.
    pub(crate) fn now_s(&self) -> u64 {
        u64::try_from((self.clock)().div_euclid(1_000)).unwrap_or(0)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("nodes", &self.nodes).field("login", &self.login).finish_non_exhaustive()
    }
}

/// The machine's time, ms UTC; 0 for a clock that stands before 1970.
fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_stay_on_the_machine() {
        let check = |url: &str, expected: bool| assert_eq!(Node::new(url, "n").uri().is_ok(), expected, "{url}");
        check("http://127.0.0.1:9090", true);
        check("http://localhost:9090/", true);
        check("http://[::1]:9090", true);
        check("https://ledger.example:9443", true);
        check("http://ledger.example:9090", false);
        check("http://10.0.0.1:9090", false);
        check("http://127.0.0.1.example:9090", false);
        check("http://localhost@ledger.example:9090", false);
        check("https://user:secret@ledger.example", false);
        check("https://ledger.example/path", false);
        check("127.0.0.1:9090", false);
        check("", false);
    }
}
