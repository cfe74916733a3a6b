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

    /// The id of the message that ends at a position of the log: the same in every try, and after a restart. Once the
    /// owner has chosen other events, the same end may have others before it, so the revision of that choice is a part of
    /// the id; the first has none to show.
    pub(crate) fn message(&self, revision: u64, through: u64) -> String {
        let id = self.0.strip_prefix(PREFIX).unwrap_or(&self.0);
        if revision == 0 { format!("msg_{id}_{through}") } else { format!("msg_{id}_r{revision}_{through}") }
    }

    /// The revision of a message of this endpoint, and the position at which it ends.
    pub(super) fn read_message(&self, message: &str) -> Option<(u64, u64)> {
        let rest = message.strip_prefix("msg_")?.strip_prefix(self.0.strip_prefix(PREFIX)?)?.strip_prefix('_')?;
        let (revision, through) = match rest.strip_prefix('r') {
            None => (0, rest.parse().ok()?),
            Some(rest) => {
                let (revision, through) = rest.split_once('_')?;
                (revision.parse().ok()?, through.parse().ok()?)
            }
        };
        (self.message(revision, through) == message).then_some((revision, through))
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

impl Settings {
    /// Whether the same events go together as under others, wherever they go.
    pub(super) fn sends_as(&self, others: &Self) -> bool {
        let Self { url: _, kinds, invoice, of, events_max } = self;
        *kinds == others.kinds && *invoice == others.invoice && *of == others.of && *events_max == others.events_max
    }
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
    /// How often the owner has chosen other events since it was registered. Rows of older nodes have none.
    #[serde(default)]
    pub(crate) revision: u64,
    /// When it was registered, ms UTC.
    pub(crate) created_ms: i64,
    /// How often its secret was rotated.
    pub(crate) generation: u32,
    /// When it was rotated last, ms UTC.
    pub(crate) rotated_ms: Option<i64>,
    /// Why nothing is sent, when that is so.
    pub(crate) disabled: Option<Disabled>,
}

impl Endpoint {
    /// Takes what the owner chooses from now on. Says whether that is other events, which go under other ids.
    pub(super) fn choose(&mut self, settings: Settings) -> bool {
        let others = !settings.sends_as(&self.settings);
        self.revision += u64::from(others);
        self.settings = settings;
        others
    }
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
    /// Everything in the stream before this place was delivered, put among the dead letters, or is not for this endpoint.
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
    /// Under which revision of the endpoint it was tried last. Rows of older nodes have none.
    #[serde(default)]
    pub(crate) revision: u64,
    /// The place of its first event in the stream.
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

impl DeadLetter {
    /// The id that its message had when it was tried last.
    pub(crate) fn message(&self, of: &EndpointId) -> String {
        of.message(self.revision, self.through)
    }
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
        let (message, changed) = (id.message(0, 42), id.message(7, 42));
        assert_eq!(message, format!("msg_{}_42", "ab".repeat(16)));
        assert_eq!(changed, format!("msg_{}_r7_42", "ab".repeat(16)));
        assert_eq!((id.read_message(&message), id.read_message(&changed)), (Some((0, 42)), Some((7, 42))));
        let zero = changed.replace("r7", "r0");
        for wrong in ["", "msg_42", "42", &zero, &message.replace("42", "042"), &message.replace("ab", "cd")] {
            assert_eq!(id.read_message(wrong), None, "{wrong}");
        }
    }

    fn letter(revision: u64, through: u64) -> DeadLetter {
        let failure = Failure { at_ms: 1, reason: Reason::AddressRefused, status: None };
        DeadLetter { revision, from: 3, through, events: 2, died_ms: 7, tries: 10, failure, asked: true }
    }

    #[test]
    fn rows_come_back_and_their_form_does_not_move() {
        let failure = Failure { at_ms: 1, reason: Reason::AddressRefused, status: None };
        let progress = Progress {
            position: 3,
            sending: Some(Sending { through: 5, tries: 2, next_ms: 9, failure: Some(failure) }),
            delivered_ms: None,
        };
        let text = serde_json::to_string(&progress).unwrap();
        let expected = concat!(
            r#"{"position":3,"sending":{"through":5,"tries":2,"next_ms":9,"#,
            r#""failure":{"at_ms":1,"reason":"address-refused","status":null}},"delivered_ms":null}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        let text = serde_json::to_string(&letter(0, 5)).unwrap();
        assert_eq!(serde_json::from_str::<DeadLetter>(&text).unwrap(), letter(0, 5));
        let older = text.replace(r#""revision":0,"#, "");
        assert_ne!(older, text);
        assert_eq!(serde_json::from_str::<DeadLetter>(&older).unwrap(), letter(0, 5), "as it was written before");
    }

    #[test]
    fn an_endpoint_of_an_older_row_has_its_first_revision() {
        let row = concat!(
            r#"{"id":"we_abababababababababababababababab","organisation":"shop","key":"login","#,
            r#""settings":{"url":"https://example.com/","kinds":[],"invoice":null,"of":null,"events_max":1},"#,
            r#""created_ms":0,"generation":0,"rotated_ms":null,"disabled":null}"#
        );
        let endpoint: Endpoint = serde_json::from_str(row).unwrap();
        assert_eq!(endpoint.revision, 0);
        let other = |change: &dyn Fn(&mut Settings)| {
            let mut settings = endpoint.settings.clone();
            change(&mut settings);
            endpoint.settings.sends_as(&settings)
        };
        assert!(other(&|settings| settings.url.push('x')), "elsewhere it is the same message");
        assert!(!other(&|settings| settings.kinds.push("lock".to_owned())));
        assert!(!other(&|settings| settings.invoice = Some(String::new())));
        assert!(!other(&|settings| settings.of = OrganisationId::new("shop").ok()));
        assert!(!other(&|settings| settings.events_max = 2));
    }
}
