//! Statements: what a client signs.
//!
//! A statement is a compact JWS over a list of events. It is kept, hashed and handed on as the
//! very bytes that its author signed; nothing here encodes it again. Owns the header, the frame of
//! the payload and the limits; what an event says is for the rules to read.
//!
//! Changing what is accepted here, or the id, forks the chain.

mod draft;
mod error;
mod nonce;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::draft::{Draft, payload};
pub use self::error::{Part, StatementError};
pub use self::nonce::{NONCE_CHARS_MAX, Nonce, NonceError};
use crate::hash::{Hash, StatementId};
use crate::identity::{ChainId, KeyId, OrganisationId};
use crate::json::{self, JsonError, JsonLimits};
use crate::jws::{Algorithm, Compact, KeyReference};
use crate::key::{PreparedKey, PublicKey, Signature, SignatureInvalid};

/// The `typ` of every statement.
pub const STATEMENT_TYPE: &str = "einvoice-statement+jws";

/// The limits of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "a bound says that it is one, by its last word")]
pub struct Limits {
    /// How many bytes an event may have, as it stands in the payload.
    pub event_bytes_max: usize,
    /// How many bytes the JWS may have.
    pub statement_bytes_max: usize,
    /// How many events a statement may have.
    pub events_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event_bytes_max: 64 * 1024, statement_bytes_max: 2 * 1024 * 1024, events_max: 1_000 }
    }
}

/// How the events of a statement hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// All are accepted, or all are refused.
    All,
    /// Each is accepted or refused for itself.
    Each,
}

impl Mode {
    /// The mode as it stands in a payload.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::All => "all",
            Mode::Each => "each",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What stands in a statement's protected header, besides `alg` and `typ`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementHeader {
    /// Who states: the first half of `kid`.
    pub organisation: OrganisationId,
    /// With which of its keys: the second half of `kid`.
    pub key: KeyId,
    /// On which chain: `chain`.
    pub chain: ChainId,
    /// The idempotency key: `nonce`.
    pub nonce: Nonce,
    /// Until when, in unix seconds: `exp`.
    pub expires_at: u64,
}

/// The header as JSON, before its values are read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow)]
    chain: Cow<'a, str>,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
    exp: i64,
}

/// The payload as JSON, before its events are read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPayload<'a> {
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// A statement that is well-formed. Cheap to clone.
///
/// Whether its signature holds is told by [`Statement::verify`]; whether its key may sign, and
/// whether chain, time and nonce are right, only the ledger knows.
#[derive(Clone)]
pub struct Statement {
    parsed: Arc<Parsed>,
}

struct Parsed {
    bytes: Arc<[u8]>,
    /// How many of the bytes the signature covers.
    signing_input_bytes: usize,
    signature: Signature,
    id: StatementId,
    header: StatementHeader,
    mode: Mode,
    payload: Vec<u8>,
    payload_hash: Hash,
    /// Where each event stands in the payload.
    events: Vec<Range<usize>>,
}

impl Statement {
    /// Reads a statement, strictly.
    pub fn parse(bytes: impl Into<Arc<[u8]>>, limits: &Limits) -> Result<Self, StatementError> {
        let bytes = bytes.into();
        let jws = Compact::parse(&bytes, limits.statement_bytes_max)?;
        let header = read_header(&jws.header)?;
        let (mode, events) = read_payload(&jws.payload, limits)?;
        let parsed = Parsed {
            signing_input_bytes: jws.signing_input.len(),
            signature: jws.signature,
            id: Hash::of(jws.signing_input).into(),
            header,
            mode,
            payload_hash: Hash::of(&jws.payload),
            payload: jws.payload,
            events,
            bytes: Arc::clone(&bytes),
        };
        Ok(Self { parsed: Arc::new(parsed) })
    }

    /// The statement's id: SHA-256 of the signing input.
    ///
    /// Signing the same header and payload again gives the same id, whatever the signature.
    pub fn id(&self) -> StatementId {
        self.parsed.id
    }

    /// The header.
    pub fn header(&self) -> &StatementHeader {
        &self.parsed.header
    }

    /// How the events hang together.
    pub fn mode(&self) -> Mode {
        self.parsed.mode
    }

    /// The JWS as it was received: what is stored, gossiped and hashed into the statements root.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.parsed.bytes
    }

    /// What the signature covers.
    pub fn signing_input(&self) -> &[u8] {
        let end = self.parsed.signing_input_bytes;
        self.parsed.bytes.get(..end).unwrap_or_default()
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.parsed.signature
    }

    /// The payload, decoded.
    pub fn payload(&self) -> &[u8] {
        &self.parsed.payload
    }

    /// SHA-256 of the decoded payload: with the nonce, it tells a retry from something new.
    pub fn payload_hash(&self) -> Hash {
        self.parsed.payload_hash
    }

    /// How many events there are; at least one.
    pub fn event_count(&self) -> usize {
        self.parsed.events.len()
    }

    /// The exact bytes of an event, without the whitespace around it; nothing beyond the last.
    pub fn event(&self, index: usize) -> Option<&[u8]> {
        self.parsed.payload.get(self.parsed.events.get(index)?.clone())
    }

    /// The exact bytes of each event, in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.parsed.events.iter().map(|range| self.parsed.payload.get(range.clone()).unwrap_or_default())
    }

    /// SHA-256 of an event's exact bytes.
    pub fn event_hash(&self, index: usize) -> Option<Hash> {
        self.event(index).map(Hash::of)
    }

    /// Reads an event. Its JSON is checked already; paths and offsets count from the event.
    ///
    /// `T` must refuse unknown fields. There is no event beyond the last, so that is `None`.
    pub fn read_event<'a, T: Deserialize<'a>>(&'a self, index: usize) -> Option<Result<T, JsonError>> {
        self.event(index).map(json::from_checked_slice)
    }

    /// Verifies the signature.
    pub fn verify(&self, key: &PublicKey) -> Result<(), StatementError> {
        key.verify_strict(self.signing_input(), &self.parsed.signature).map_err(|invalid| self.unsigned(invalid))
    }

    /// Verifies the signature, with the same verdict, under a key that signs often.
    pub fn verify_prepared(&self, key: &PreparedKey) -> Result<(), StatementError> {
        key.verify_strict(self.signing_input(), &self.parsed.signature).map_err(|invalid| self.unsigned(invalid))
    }

    fn unsigned(&self, SignatureInvalid: SignatureInvalid) -> StatementError {
        let StatementHeader { organisation, key, .. } = &self.parsed.header;
        StatementError::Signature { key: KeyReference { organisation: organisation.clone(), key: key.clone() } }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("id", &self.parsed.id)
            .field("header", &self.parsed.header)
            .field("mode", &self.parsed.mode)
            .field("events", &self.parsed.events.len())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.parsed.bytes == other.parsed.bytes
    }
}

impl Eq for Statement {}

fn read_header(bytes: &[u8]) -> Result<StatementHeader, StatementError> {
    let raw: RawHeader<'_> = json::from_slice(bytes).map_err(StatementError::Header)?;
    raw.alg.parse::<Algorithm>().map_err(StatementError::Algorithm)?;
    if raw.typ != STATEMENT_TYPE {
        return Err(StatementError::Type { found: json::excerpt(&raw.typ) });
    }
    let KeyReference { organisation, key } =
        raw.kid.parse().map_err(|source| StatementError::KeyId { found: json::excerpt(&raw.kid), source })?;
    let chain =
        raw.chain.parse().map_err(|source| StatementError::ChainId { found: json::excerpt(&raw.chain), source })?;
    let nonce =
        raw.nonce.parse().map_err(|source| StatementError::Nonce { found: json::excerpt(&raw.nonce), source })?;
    let expires_at = u64::try_from(raw.exp).map_err(|_| StatementError::Expiry { found: raw.exp })?;
    Ok(StatementHeader { organisation, key, chain, nonce, expires_at })
}

/// Checks the whole payload once, and finds where its events stand.
fn read_payload(bytes: &[u8], limits: &Limits) -> Result<(Mode, Vec<Range<usize>>), StatementError> {
    json::check(bytes, &JsonLimits::default()).map_err(StatementError::Json)?;
    let raw: RawPayload<'_> = json::from_checked_slice(bytes).map_err(StatementError::Payload)?;
    let mode = match &*raw.mode {
        "all" => Mode::All,
        "each" => Mode::Each,
        other => {
            return Err(StatementError::Mode { found: json::excerpt(other) });
        }
    };
    if raw.events.is_empty() || raw.events.len() > limits.events_max {
        return Err(StatementError::EventCount { events_max: limits.events_max, found: raw.events.len() });
    }
    let mut ranges = Vec::with_capacity(raw.events.len());
    for (index, event) in raw.events.iter().enumerate() {
        let text = event.get();
        // The event borrows from the payload, so the difference is its offset there.
        let start = text.as_ptr().addr() - bytes.as_ptr().addr();
        if !text.starts_with('{') {
            return Err(StatementError::EventNotObject { event: index, offset: start, found: json::excerpt(text) });
        }
        if text.len() > limits.event_bytes_max {
            return Err(StatementError::EventTooLarge {
                event: index,
                offset: start,
                bytes_max: limits.event_bytes_max,
                found: text.len(),
            });
        }
        ranges.push(start..start + text.len());
    }
    Ok((mode, ranges))
}
