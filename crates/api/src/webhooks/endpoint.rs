//! What is kept of an endpoint: as its owner registered it, how far it was served, what could not be delivered.
//!
//! Rows are JSON, so that a newer node can add fields; one that it does not know is damage to an older one.

use std::fmt;

use chain::identity::{KeyId, OrganisationId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How an endpoint's id begins.
const PREFIX: &str = "we_";

/// Hex digits of an endpoint's id.
const DIGITS: usize = 32;

/// The id of an endpoint: random, and never given twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndpointId(String);

impl EndpointId {
    /// An id from random bytes.
    pub(crate) fn from_random(bytes: &[u8; 16]) -> Self {
        Self(format!("{PREFIX}{}", hex::encode(bytes)))
    }

    /// Reads an id.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == DIGITS && digits.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the message that ends at a position of the log: the same in every try, and after a restart.
    pub(crate) fn message(&self, through: u64) -> String {
        format!("msg_{}_{through}", self.0.strip_prefix(PREFIX).unwrap_or(&self.0))
    }

    /// The position at which a message of this endpoint ends.
    pub(super) fn position_of(&self, message: &str) -> Option<u64> {
        let (_, position) = message.rsplit_once('_')?;
        let position = position.parse().ok()?;
        (self.message(position) == message).then_some(position)
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EndpointId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EndpointId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| serde::de::Error::custom("expected the id of an endpoint"))
    }
}

/// What the owner chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where events go.
    pub(crate) url: String,
    /// Kinds of events; all when empty.
    pub(crate) kinds: Vec<String>,
    /// Only events about this invoice.
    pub(crate) invoice: Option<String>,
    /// Only events that this organisation may see too.
    pub(crate) of: Option<OrganisationId>,
    /// Events in one delivery, at most.
    pub(crate) events_max: usize,
}

/// An endpoint as it is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// Its id.
    pub(crate) id: EndpointId,
    /// Whose it is.
    pub(crate) organisation: OrganisationId,
    /// The login key that registered, changed or enabled it last. It is served while that key may log in.
    pub(crate) key: KeyId,
    /// What the owner chose.
    pub(crate) settings: Settings,
    /// When it was registered, ms UTC.
    pub(crate) created_ms: i64,
    /// How often its secret was rotated.
    pub(crate) generation: u32,
    /// When it was rotated last, ms UTC.
    pub(crate) rotated_ms: Option<i64>,
    /// Why nothing is sent, when that is so.
    pub(crate) disabled: Option<Disabled>,
}

/// Why nothing is sent, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disabled {
    /// One of [`Disabled::OWNER`] and those after it, or the code of the problem that the owner would get.
    pub(crate) reason: String,
    /// Since when, ms UTC.
    pub(crate) since_ms: i64,
}

impl Disabled {
    /// The owner wants it.
    pub(crate) const OWNER: &str = "owner";
    /// The node's operator wants it; only the operator takes it back.
    pub(crate) const OPERATOR: &str = "operator";
    /// The receiver answered 410.
    pub(crate) const GONE: &str = "gone";
    /// There is no room for another dead letter.
    pub(crate) const DEAD_LETTERS_FULL: &str = "dead-letters-full";

    pub(crate) fn new(reason: &str, since_ms: i64) -> Self {
        Self { reason: reason.to_owned(), since_ms }
    }
}

/// How far an endpoint was served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Everything in the log before this leaf was delivered, put among the dead letters, or is not for this endpoint.
    pub(crate) position: u64,
    /// What is being delivered, when that is decided.
    pub(crate) sending: Option<Sending>,
    /// When something was delivered last, ms UTC.
    pub(crate) delivered_ms: Option<i64>,
}

/// A delivery that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sending {
    /// The position behind the last of its events.
    pub(crate) through: u64,
    /// How often it was tried.
    pub(crate) tries: u32,
    /// When it is to be tried next, ms UTC.
    pub(crate) next_ms: i64,
    /// Why the last try failed.
    pub(crate) failure: Option<Failure>,
}

/// A try that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    /// When, ms UTC.
    pub(crate) at_ms: i64,
    /// Why.
    pub(crate) reason: Reason,
    /// The status of the answer, if there was one.
    pub(crate) status: Option<u16>,
}

/// Why a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    /// The URL is none that may be called any more.
    Url,
    /// The name leads to no address.
    Unresolved,
    /// The name leads to no address that may be called.
    AddressRefused,
    /// Nobody answers there.
    Unreachable,
    /// The TLS handshake failed: a wrong certificate, most often.
    Tls,
    /// There was no answer in time.
    Timeout,
    /// What came was no answer of HTTP.
    Broken,
    /// The answer has a status other than 2xx.
    Status,
}

impl Reason {
    /// As it is shown.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Unresolved => "unresolved",
            Self::AddressRefused => "address-refused",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Status => "status",
        }
    }
}

/// A delivery that was given up.
///
/// The events themselves are on the ledger, and are read there again when they are sent once more: what the owner may not
/// see any more by then it does not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLetter {
    /// The leaf of its first event.
    pub(crate) from: u64,
    /// The position behind its last.
    pub(crate) through: u64,
    /// How many events.
    pub(crate) events: usize,
    /// When it was given up, ms UTC.
    pub(crate) died_ms: i64,
    /// How often it was tried.
    pub(crate) tries: u32,
    /// Why the last try failed.
    pub(crate) failure: Failure,
    /// Whether it is to be sent once more.
    pub(crate) asked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_messages_have_one_spelling() {
        let id = EndpointId::from_random(&[0xab; 16]);
        assert_eq!(EndpointId::read(id.as_str()), Some(id.clone()));
        for wrong in ["", "we_", "we_AB", "wh_abababababababababababababababab", &id.as_str().to_uppercase()] {
            assert_eq!(EndpointId::read(wrong), None, "{wrong}");
        }
        let message = id.message(42);
        assert_eq!(message, format!("msg_{}_42", "ab".repeat(16)));
        assert_eq!(id.position_of(&message), Some(42));
        for wrong in ["msg_42", "42", &message.replace("42", "042"), &message.replace("ab", "cd")] {
            assert_eq!(id.position_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rows_come_back_and_their_form_does_not_move() {
        let failure = Failure { at_ms: 1, reason: Reason::AddressRefused, status: None };
        let progress = Progress {
            position: 3,
            sending: Some(Sending { through: 5, tries: 2, next_ms: 9, failure: Some(failure.clone()) }),
            delivered_ms: None,
        };
        let text = serde_json::to_string(&progress).unwrap();
        let expected = concat!(
            r#"{"position":3,"sending":{"through":5,"tries":2,"next_ms":9,"#,
            r#""failure":{"at_ms":1,"reason":"address-refused","status":null}},"delivered_ms":null}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        let letter = DeadLetter { from: 3, through: 5, events: 2, died_ms: 7, tries: 10, failure, asked: true };
        let text = serde_json::to_string(&letter).unwrap();
        assert_eq!(serde_json::from_str::<DeadLetter>(&text).unwrap(), letter);
    }
}
