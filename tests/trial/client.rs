//! A client of the REST door, one connection each.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Broken;
use super::cast::Cast;
use crate::consortium::CHECKPOINT_MS;

/// How long an ordinary request may take.
pub const REQUEST: Duration = Duration::from_secs(30);

/// What the door said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client with a connection of its own.
#[derive(Clone)]
pub struct Client {
    url: String,
    cast: Arc<Cast>,
    agent: ureq::Agent,
}

impl Client {
    /// A client of the node at an address.
    pub fn new(url: &str, cast: Arc<Cast>) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(REQUEST)).build();
        Self { url: url.to_owned(), cast, agent: config.into() }
    }

    /// Another client of the same node.
    pub fn another(&self) -> Self {
        Self::new(&self.url, Arc::clone(&self.cast))
    }

    /// The organisations.
    pub fn cast(&self) -> &Arc<Cast> {
        &self.cast
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Gets a path, as an organisation or as nobody.
    ///
    /// # Errors
    /// No answer came.
    pub fn get(&self, path: &str, organisation: Option<&str>) -> Result<Answer, Broken> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(organisation) = organisation {
            request = request.header("authorization", format!("Bearer {}", self.cast.token(organisation)));
        }
        answer(request.call()?)
    }

    /// Submits a statement and waits for what becomes of it, for `limit` at most.
    ///
    /// # Errors
    /// No answer came: nobody knows what became of it.
    pub fn submit(&self, statement: &[u8], attachments: &[Vec<u8>], limit: Duration) -> Result<Answer, Broken> {
        let request = self.agent.post(format!("{}/v1/statements", self.url));
        let request = request.config().timeout_global(Some(limit)).build();
        if attachments.is_empty() {
            return answer(request.header("content-type", "application/jose").send(statement)?);
        }
        let attachments: Vec<String> =
            attachments.iter().map(|bytes| chain::encoding::encode_base64url(bytes)).collect();
        let body = json!({"statement": String::from_utf8_lossy(statement), "attachments": attachments});
        answer(request.header("content-type", "application/json").send(body.to_string())?)
    }

    /// Advances the node's clock, and with it the cast's.
    pub fn advance(&self, ms: u64) -> Result<(), Broken> {
        let request = self.agent.post(format!("{}/v1/dev/clock", self.url));
        let body = json!({"advance_ms": ms}).to_string();
        let answer = answer(request.header("content-type", "application/json").send(body)?)?;
        self.set_time(&answer)
    }

    /// Advances the clock until a state checkpoint is due, and with it one of the index.
    pub fn advance_to_checkpoint(&self) -> Result<(), Broken> {
        self.advance(CHECKPOINT_MS.unsigned_abs())
    }

    /// Asks the node what time it is.
    pub fn ask_time(&self) -> Result<Value, Broken> {
        let status = self.get("/v1/status", None)?;
        self.set_time(&status)?;
        Ok(status.json())
    }

    fn set_time(&self, answer: &Answer) -> Result<(), Broken> {
        let json = answer.json();
        let time = json["time"].as_str().ok_or_else(|| format!("no time in {}: {}", answer.status, answer.text()))?;
        self.cast.set_time(time)
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, Broken> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec()?;
    Ok(Answer { status, body })
}
