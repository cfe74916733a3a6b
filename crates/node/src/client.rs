//! A client of a node's REST door, for the commands that talk to one.
//!
//! Blocking, bounded in time and size. It knows statuses and problem documents, no rules.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::clock;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take, without its body: longer than any node waits for finality.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes an answer may have, but for archives.
const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How many bytes a file of certificates may have.
const CERTIFICATES_BYTES_MAX: u64 = 1024 * 1024;

/// Where a node is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NodeAddress {
    /// The node, such as `http://127.0.0.1:8080`.
    #[arg(long, env = "EINVOICE_URL")]
    pub(crate) url: String,
    /// Certificates to trust for an https address, PEM; without them, those that browsers trust.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<std::path::PathBuf>,
}

/// Whose clock a command goes by.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ClockSource {
    /// Goes by the clock of the node at this address: the clock of a `dev` node may be ahead.
    #[arg(long, value_name = "URL")]
    clock_of: Option<String>,
}

impl ClockSource {
    /// The time, unix seconds.
    pub(crate) fn now_s(&self) -> Result<u64, Failure> {
        match &self.clock_of {
            None => Ok(clock::machine_s()),
            Some(url) => Client::new(url, None)?.now_s(),
        }
    }
}

/// A node's door.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

/// Which node answers.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Its id: the audience of login tokens.
    pub(crate) node: String,
    /// Its time, ms UTC.
    pub(crate) now_ms: i64,
}

impl Identity {
    /// Its time, unix seconds.
    pub(crate) fn now_s(&self) -> u64 {
        u64::try_from(self.now_ms / 1_000).unwrap_or(0)
    }
}

/// A node's answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// A request to be made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call<'a> {
    /// The login token.
    pub(crate) token: Option<&'a str>,
    /// The idempotency key.
    pub(crate) idempotency_key: Option<&'a str>,
    /// The content type of the body.
    pub(crate) content_type: Option<&'a str>,
    /// The body.
    pub(crate) body: Option<&'a [u8]>,
}

impl Client {
    /// A client of the node at `url`; `ca` are certificates to trust, PEM.
    pub(crate) fn new(url: &str, ca: Option<&Path>) -> Result<Self, Failure> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Failure::text(Exit::Usage, format!("use the address {url}: expected http://… or https://…")));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .max_redirects(0)
            .proxy(None);
        if let Some(path) = ca {
            let pem = files::read(path, CERTIFICATES_BYTES_MAX).or_exit(Exit::Usage)?;
            let roots: Result<Vec<Certificate<'static>>, _> = ureq::tls::parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                })
                .collect();
            let roots =
                roots.with_context(|| format!("read the certificates in {}", path.display())).or_exit(Exit::Usage)?;
            config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(roots)).build());
        }
        Ok(Self { agent: config.build().into(), base: url.trim_end_matches('/').to_owned() })
    }

    /// A client of the node that the command line names.
    pub(crate) fn of(address: &NodeAddress) -> Result<Self, Failure> {
        Self::new(&address.url, address.ca.as_deref())
    }

    /// The node's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Asks for a path.
    pub(crate) fn get(&self, path: &str, token: Option<&str>) -> Result<Reply, Failure> {
        self.call(&Method::GET, path, Call { token, ..Call::default() })
    }

    /// Makes a request and reads the whole answer, whatever its status.
    pub(crate) fn call(&self, method: &Method, path: &str, call: Call<'_>) -> Result<Reply, Failure> {
        let (status, body) = self.open(method, path, call)?;
        let mut bytes = Vec::new();
        body.take(BODY_BYTES_MAX)
            .read_to_end(&mut bytes)
            .with_context(|| format!("read the answer of {}{path}", self.base))
            .or_exit(Exit::Unavailable)?;
        Ok(Reply { status, body: bytes })
    }

    /// Makes a request and gives the status and the body to be read.
    pub(crate) fn open(
        &self,
        method: &Method,
        path: &str,
        call: Call<'_>,
    ) -> Result<(u16, impl Read + use<>), Failure> {
        let address = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method.clone()).uri(&address);
        if let Some(token) = call.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(content_type) = call.content_type {
            request = request.header("content-type", content_type);
        }
        let request = request
            .body(call.body.unwrap_or_default().to_vec())
            .with_context(|| format!("make a request to {address}"))
            .or_exit(Exit::Usage)?;
        let response = self.agent.run(request).map_err(|error| {
            let hint = hint(&error);
            Failure::new(Exit::Unavailable, anyhow::Error::new(error).context(format!("reach {address}{hint}")))
        })?;
        Ok((response.status().as_u16(), response.into_body().into_reader()))
    }

    /// Which node it is, and what time it has.
    pub(crate) fn identify(&self) -> Result<Identity, Failure> {
        let status = self.get("/v1/status", None)?.succeeded("ask the node who it is")?.json()?;
        let text = |key: &str| status.get(key).and_then(Value::as_str);
        let node = text("node").ok_or_else(|| anyhow!("read the node's id in its status"))?;
        let now_ms = text("time").and_then(api::parse_ms);
        let now_ms = now_ms.ok_or_else(|| anyhow!("read the time in the node's status"))?;
        Ok(Identity { node: node.to_owned(), now_ms })
    }

    /// The node's time, unix seconds.
    pub(crate) fn now_s(&self) -> Result<u64, Failure> {
        Ok(self.identify()?.now_s())
    }
}

/// What to look at when something answers that is no REST door, or not in the way the address says.
fn hint(error: &ureq::Error) -> &'static str {
    let silent = |error: &std::io::Error| {
        matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::TimedOut | ErrorKind::HostUnreachable)
    };
    let nobody = if let ureq::Error::Io(error) = error {
        silent(error)
    } else {
        matches!(error, ureq::Error::HostNotFound | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed)
    };
    if nobody { "" } else { " (is this a node's REST door, and is http or https right?)" }
}

/// What was expected and what was found. A found text that is a whole complaint speaks for itself.
fn contrast(expected: &str, found: &str) -> String {
    if found.contains("expected ") {
        format!("expected {expected}: {found}")
    } else {
        format!("expected {expected}, found {found}")
    }
}

impl Reply {
    /// Whether the node did what it was asked.
    pub(crate) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).context("read the node's answer as JSON").or_exit(Exit::Unexpected)
    }

    /// The answer, or a failure to do `what` with the node's reason.
    pub(crate) fn succeeded(self, what: &str) -> Result<Self, Failure> {
        if self.is_success() { Ok(self) } else { Err(Failure::text(self.exit(), format!("{what}: {}", self.reason()))) }
    }

    /// How a command ends on this answer.
    pub(crate) const fn exit(&self) -> Exit {
        match self.status {
            200..=299 => Exit::Done,
            500 => Exit::Fault,
            502..=504 => Exit::Unavailable,
            400..=499 => Exit::Refused,
            _ => Exit::Unexpected,
        }
    }

    /// Why the node did not, in one line: status, code, detail, and what was expected and found.
    pub(crate) fn reason(&self) -> String {
        let Ok(problem) = serde_json::from_slice::<Value>(&self.body) else {
            return format!("it answered {} and does not say why: is this a node's REST door?", self.status);
        };
        let text = |key: &str| problem.get(key).and_then(Value::as_str);
        let code = text("code").unwrap_or("without a code");
        let detail = text("detail").or_else(|| text("title")).unwrap_or_default();
        let mut parts = vec![format!("{code} ({}): {detail}", self.status)];
        if let (Some(expected), Some(found)) = (text("expected"), text("found")) {
            parts.push(contrast(expected, found));
        }
        for violation in problem.get("violations").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| violation.get(key).and_then(Value::as_str).unwrap_or_default();
            let (path, rule, expected, actual) = (text("path"), text("rule"), text("expected"), text("actual"));
            parts.push(format!("{path} {rule}: {}", contrast(expected, actual)));
        }
        parts.join("; ")
    }
}
