//! The stage: who acts over REST, with which token, and how a step is shown.

use std::collections::BTreeMap;

use anyhow::anyhow;
use chain::identity::{ChainId, OrganisationId};
use chain::statement::{Draft, Mode, StatementHeader, payload};
use ledger::organisation::Purpose;
use serde::Serialize;
use serde_json::Value;
use ureq::http::Method;

use crate::client::{Call, Client, Reply};
use crate::commands::sign::random_nonce;
use crate::commands::token;
use crate::consortium::Consortium;
use crate::exit::{Exit, Failure};
use crate::keys::NamedKey;
use crate::local::Local;
use crate::output::{Output, Report};
use crate::plan::organisation;
use crate::service::Service;

/// For how long a token of the demo is valid, seconds.
const TOKEN_TTL_S: u64 = 300;

/// One step, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    number: u32,
    act: &'static str,
    what: String,
    facts: Vec<Fact>,
}

/// One fact of a step.
#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

impl Report for Step {
    fn text(&self) -> String {
        let mut lines = vec![format!("{:>3}  {:<10}  {}", self.number, self.act, self.what)];
        lines.extend(self.facts.iter().map(|fact| format!("     {:>13}  {}", fact.name, fact.value)));
        lines.join("\n")
    }
}

/// Where the demo plays.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    output: &'a Output,
    service: &'a Service,
    client: Client,
    node_id: String,
    chain: ChainId,
    logins: BTreeMap<OrganisationId, NamedKey>,
    signers: BTreeMap<OrganisationId, NamedKey>,
    steps: u32,
}

impl<'a> Stage<'a> {
    /// A stage on a node that serves.
    pub(super) fn new(output: &'a Output, local: &'a Local, consortium: &Consortium) -> Result<Self, Failure> {
        let service = &local.first;
        let (mut logins, mut signers) = (BTreeMap::new(), BTreeMap::new());
        for (id, own) in &consortium.keys {
            logins.insert(id.clone(), NamedKey::load(&own.login, Purpose::Login)?);
            signers.insert(id.clone(), NamedKey::load(&own.statement, Purpose::Statement)?);
        }
        let client = Client::new(&service.url(), None)?;
        let (node_id, chain) = (consortium.config.node.id.clone(), consortium.genesis.chain_id().clone());
        Ok(Self { output, service, client, node_id, chain, logins, signers, steps: 0 })
    }

    /// Where data and talk go.
    pub(super) const fn output(&self) -> &'a Output {
        self.output
    }

    /// The node's door.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Shows a step that was done.
    pub(super) fn show(
        &mut self,
        act: &'static str,
        what: impl Into<String>,
        facts: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Failure> {
        self.steps += 1;
        let facts = facts.into_iter().map(|(name, value)| Fact { name, value }).collect();
        self.output.step(&Step { number: self.steps, act, what: what.into(), facts })
    }

    /// A token of an organisation, for reads or for one write.
    pub(super) fn token(&self, who: &OrganisationId, write: Option<token::Write<'_>>) -> Result<String, Failure> {
        let key = self.logins.get(who).ok_or_else(|| anyhow!("log in as {who}: it has no key here"))?;
        Ok(token::mint(key, &self.node_id, self.now_s(), TOKEN_TTL_S, write, None)?)
    }

    /// Reads as an organisation.
    pub(super) fn read(&self, who: &str, path: &str) -> Result<Reply, Failure> {
        let token = self.token(&organisation(who)?, None)?;
        self.client.get(path, Some(&token))
    }

    /// Writes as an organisation, with the key that the node holds for it.
    pub(super) fn write(&self, who: &str, path: &str, key: &str, body: &Value) -> Result<Reply, Failure> {
        let bytes = body.to_string().into_bytes();
        let request = format!("POST {path}");
        let covered = token::Write { request: &request, body: &bytes };
        let token = self.token(&organisation(who)?, Some(covered))?;
        let call = Call {
            token: Some(&token),
            idempotency_key: Some(key),
            content_type: Some("application/json"),
            body: Some(&bytes),
        };
        self.client.call(&Method::POST, path, call)
    }

    /// States events as an organisation, signed with its own key.
    pub(super) fn state(&self, who: &str, mode: Mode, events: &[Value]) -> Result<Reply, Failure> {
        let key = self.signer(who)?;
        let header = StatementHeader {
            organisation: key.organisation.clone(),
            key: key.key_id.clone(),
            chain: self.chain.clone(),
            nonce: random_nonce()?,
            expires_at: self.now_s().saturating_add(TOKEN_TTL_S),
        };
        let events: Vec<String> = events.iter().map(Value::to_string).collect();
        let jws = Draft::new(header, payload(mode, &events)).sign(&key.secret);
        let call = Call { content_type: Some("application/jose"), body: Some(&jws), ..Call::default() };
        self.client.call(&Method::POST, "/v1/statements", call)
    }

    /// The key that an organisation signs statements with.
    pub(super) fn signer(&self, who: &str) -> Result<&NamedKey, Failure> {
        let who = organisation(who)?;
        Ok(self.signers.get(&who).ok_or_else(|| anyhow!("sign as {who}: it has no key here"))?)
    }

    /// The node's time, ms UTC.
    pub(super) fn now_ms(&self) -> i64 {
        self.service.clock().now_ms()
    }

    /// The node's time, seconds.
    fn now_s(&self) -> u64 {
        u64::try_from(self.now_ms() / 1_000).unwrap_or(0)
    }

    /// Advances the node's clock to a time.
    pub(super) fn advance_clock(&self, to: &str) -> Result<Value, Failure> {
        self.set_clock(&serde_json::json!({ "to": to }))
    }

    /// Advances the node's clock by so many milliseconds.
    pub(super) fn advance_clock_by(&self, ms: i64) -> Result<Value, Failure> {
        self.set_clock(&serde_json::json!({ "advance_ms": ms }))
    }

    fn set_clock(&self, how: &Value) -> Result<Value, Failure> {
        let bytes = how.to_string().into_bytes();
        let call = Call { content_type: Some("application/json"), body: Some(&bytes), ..Call::default() };
        self.client.call(&Method::POST, "/v1/dev/clock", call)?.succeeded("advance the clock")?.json()
    }
}

/// A text in an answer; empty when there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(found) => found.as_str().map_or_else(|| found.to_string(), str::to_owned),
    }
}

/// A refusal that the demo expects; anything else ends it.
pub(super) fn refused(reply: &Reply, what: &str, code: &str) -> Result<Value, Failure> {
    let problem = reply.json()?;
    let found = text(&problem, "/code");
    if !reply.is_success() && found == code {
        return Ok(problem);
    }
    let found = if reply.is_success() { "no refusal".to_owned() } else { reply.reason() };
    Err(Failure::text(Exit::Unexpected, format!("{what}: expected the refusal {code}, found {found}")))
}
