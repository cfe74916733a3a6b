//! Statements: what a platform signs, once, and sends as often as it must.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chain::hash::{Hash, StatementId};
use chain::identity::ChainId;
use chain::statement::{Draft, Limits, Mode, Nonce, Statement, StatementHeader, payload};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::backoff;
use crate::client::Client;
use crate::error::Error;
use crate::key::Key;

/// For how long a statement may be decided when nothing else is said, seconds.
const LIFETIME_S: u64 = 3_600;

/// An event that a platform signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Lock an invoice for a claim.
    Lock(Lock),
    /// Extend the lease of a lock.
    Renew(Renew),
    /// Give a lock up.
    Unlock(Held),
    /// Close an invoice: reimbursed, once and for all.
    Close(Held),
}

/// Locks an invoice for a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// The invoice's id.
    pub invoice: String,
    /// The enterprise that reimburses: the invoice's holder, whose mandate the platform has.
    pub enterprise: String,
    /// The platform's own id of the claim: 1 to 64 printable ASCII characters without space.
    pub claim: String,
    /// For how long, seconds; the longest term when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

/// Extends the lease of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Renew {
    /// The invoice's id.
    pub invoice: String,
    /// The claim it was locked for.
    pub claim: String,
    /// The lock's fencing token.
    pub token: u64,
    /// For how long from now, seconds; the longest term when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

/// A lock that is held, to be given up or closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The invoice's id.
    pub invoice: String,
    /// The claim it was locked for.
    pub claim: String,
    /// The lock's fencing token.
    pub token: u64,
}

/// By which call a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Lock,
    BatchLock,
    Renew,
    Unlock,
    Close,
    BatchClose,
    Submit,
}

/// Who signs, and on which chain.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Key,
    chain: ChainId,
    lifetime_s: u64,
}

impl Signer {
    /// Signs with this statement key for this chain; a statement may be decided within the hour.
    pub fn new(key: Key, chain: ChainId) -> Self {
        Self { key, chain, lifetime_s: LIFETIME_S }
    }

    /// The same, with another time within which a statement may be decided; at most a day, seconds.
    #[must_use]
    pub fn with_lifetime_s(self, lifetime_s: u64) -> Self {
        Self { lifetime_s, ..self }
    }

    /// Signs events. The nonce makes it one statement: a new one is drawn when none is given, and whoever signs the same
    /// events under the same nonce within 24 hours is given the first answer. `now_s` is in unix seconds.
    ///
    /// # Errors
    /// [`Error::Statement`] for events that no node would read, [`Error::Randomness`].
    pub fn sign<E: AsRef<str>>(
        &self,
        nonce: Option<Nonce>,
        mode: Mode,
        events: &[E],
        now_s: u64,
    ) -> Result<Signed, Error> {
        self.signed(Method::Submit, nonce, mode, events, now_s)
    }

    fn signed<E: AsRef<str>>(
        &self,
        method: Method,
        nonce: Option<Nonce>,
        mode: Mode,
        events: &[E],
        now_s: u64,
    ) -> Result<Signed, Error> {
        let nonce = match nonce {
            Some(nonce) => nonce,
            None => backoff::nonce()?,
        };
        let header = StatementHeader {
            organisation: self.key.organisation.clone(),
            key: self.key.id.clone(),
            chain: self.chain.clone(),
            nonce,
            expires_at: now_s.saturating_add(self.lifetime_s),
        };
        let jws = Draft::new(header, payload(mode, events)).sign(&self.key.secret);
        Signed::read(method, jws)
    }
}

/// A signed statement. Sending it again, anywhere, is the same statement.
#[derive(Clone)]
pub struct Signed {
    statement: Statement,
    text: Arc<str>,
    pub(crate) method: Method,
    pub(crate) attachments: Vec<Vec<u8>>,
}

impl Signed {
    /// A statement of any events that was signed before, here or elsewhere: a compact JWS.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(Method::Submit, text.trim().as_bytes().to_vec())
    }

    fn read(method: Method, jws: Vec<u8>) -> Result<Self, Error> {
        let statement = Statement::parse(jws, &Limits::default())?;
        let text = std::str::from_utf8(statement.bytes()).expect("a compact JWS is ASCII").into();
        Ok(Self { statement, text, method, attachments: Vec::new() })
    }

    /// The same with attachments of personal data, whose SHA-256 its documents sign; at most 1,000.
    #[must_use]
    pub fn with_attachments(self, attachments: Vec<Vec<u8>>) -> Self {
        Self { attachments, ..self }
    }

    /// Its id.
    pub fn id(&self) -> StatementId {
        self.statement.id()
    }

    /// Until when it may be decided, unix seconds.
    pub fn expires_at_s(&self) -> u64 {
        self.statement.header().expires_at
    }

    /// The compact JWS.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many events it has.
    pub(crate) fn event_count(&self) -> usize {
        self.statement.event_count()
    }

    /// The kind of an event: the name of its only member.
    pub(crate) fn event_kind(&self, index: u32) -> Option<String> {
        let event = self.statement.event(usize::try_from(index).ok()?)?;
        let members: BTreeMap<String, &RawValue> = serde_json::from_slice(event).ok()?;
        members.into_keys().next()
    }

    /// SHA-256 of an event, which a receipt repeats.
    pub(crate) fn event_hash(&self, index: u32) -> Option<Hash> {
        self.statement.event_hash(usize::try_from(index).ok()?)
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({})", self.id())
    }
}

impl Client {
    /// Signs one event under a nonce of its own, by the client's clock.
    ///
    /// # Errors
    /// Those of [`Signer::sign`].
    pub fn sign(&self, signer: &Signer, event: &Event) -> Result<Signed, Error> {
        let method = match event {
            Event::Lock(_) => Method::Lock,
            Event::Renew(_) => Method::Renew,
            Event::Unlock(_) => Method::Unlock,
            Event::Close(_) => Method::Close,
        };
        signer.signed(method, None, Mode::All, &[json(event)], self.options().now_s())
    }

    /// Signs locks of which all are to be accepted or none: 1 to 1,000.
    ///
    /// # Errors
    /// Those of [`Signer::sign`].
    pub fn sign_locks(&self, signer: &Signer, locks: Vec<Lock>) -> Result<Signed, Error> {
        let events: Vec<String> = locks.into_iter().map(|lock| json(&Event::Lock(lock))).collect();
        signer.signed(Method::BatchLock, None, Mode::All, &events, self.options().now_s())
    }

    /// Signs closes of which all are to be accepted or none: 1 to 1,000.
    ///
    /// # Errors
    /// Those of [`Signer::sign`].
    pub fn sign_closes(&self, signer: &Signer, closes: Vec<Held>) -> Result<Signed, Error> {
        let events: Vec<String> = closes.into_iter().map(|held| json(&Event::Close(held))).collect();
        signer.signed(Method::BatchClose, None, Mode::All, &events, self.options().now_s())
    }
}

fn json(event: &Event) -> String {
    serde_json::to_string(event).expect("texts and numbers always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_has_a_nonce_of_its_own_and_the_events_as_the_ledger_reads_them() {
        let genesis = Hash::from_bytes([3; 32]);
        let key = Key {
            organisation: "platform-a".parse().expect("an id"),
            id: "statement-1".parse().expect("an id"),
            secret: chain::key::SecretKey::from_seed([1; 32]),
        };
        let signer = Signer::new(key, ChainId::new("demo".parse().expect("a name"), genesis)).with_lifetime_s(60);
        let held = Held { invoice: "i".to_owned(), claim: "c".to_owned(), token: 7 };
        let event = json(&Event::Close(held));
        assert_eq!(event, r#"{"close":{"invoice":"i","claim":"c","token":7}}"#);
        let sign = |nonce| signer.sign(nonce, Mode::All, &[&event], 1_000).expect("it can be signed");
        let (one, other) = (sign(None), sign(None));
        assert_ne!(one.id(), other.id());
        assert_eq!(one.expires_at_s(), 1_060);
        let nonce = Nonce::new("again").expect("a nonce");
        assert_eq!(sign(Some(nonce.clone())).id(), sign(Some(nonce)).id());
        assert_eq!(Signed::parse(one.as_str()).expect("it is one").id(), one.id());
        assert_eq!(one.event_hash(0), Some(Hash::of(event.as_bytes())));
        assert_eq!((one.event_count(), one.event_kind(0).as_deref(), one.event_kind(1)), (1, Some("close"), None));
        assert!(signer.sign(None, Mode::All, &["nothing"], 1_000).is_err(), "an event is an object");
    }
}
