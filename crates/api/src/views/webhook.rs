//! Webhooks as their owners and the node's operator see them. Secrets are shown once, when they are made.

use serde::Serialize;
use utoipa::ToSchema;

use crate::time::format_ms;
use crate::webhooks::State;
use crate::webhooks::endpoint::{DeadLetter, EndpointId, Failure};
use crate::webhooks::sender::Outcome;

/// An endpoint that events are posted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookView {
    /// Its id.
    #[schema(example = "we_0123456789abcdef0123456789abcdef")]
    pub id: String,
    /// Whose it is.
    pub organisation: String,
    /// The login key that registered, changed or enabled it last: it is served as long as that key may log in.
    pub key: String,
    /// Where events go. The node's operator sees scheme, host and port alone: a path may be a secret.
    pub url: String,
    /// Kinds of events; all when empty.
    pub kinds: Vec<String>,
    /// Only events about this invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    /// Only events that this organisation may see too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_organisation: Option<String>,
    /// Events in one delivery, at most.
    pub events_max: u64,
    /// When it was registered.
    pub created: String,
    /// When its secret was rotated last; the one before signs too for a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotated: Option<String>,
    /// The public key under which signatures `v1a` verify.
    #[schema(example = "whpk_")]
    pub public_key: String,
    /// `active`; `failing` while a delivery waits for its next try; `disabled`.
    pub status: String,
    /// Why it is disabled: `owner`, `operator`, `gone` (the receiver answered 410), `dead-letters-full`, or a code such as
    /// `auth.key-inactive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_since: Option<String>,
    /// How far it was served: a cursor of the stream of events.
    pub cursor: String,
    /// When something was delivered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<String>,
    /// The delivery that failed and is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<FailingView>,
    /// Deliveries that were given up, and are kept.
    pub dead_letters: u64,
}

/// A delivery that failed and is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailingView {
    /// Its message's id.
    pub message: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub next: String,
    /// Why the last try failed; absent when there was none since the endpoint was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

/// A try that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailureView {
    /// When.
    pub time: String,
    /// `url`, `unresolved`, `address-refused`, `unreachable`, `tls`, `timeout`, `broken` or `status`.
    pub reason: String,
    /// The status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self { time: format_ms(failure.at_ms), reason: failure.reason.as_str().to_owned(), status: failure.status }
    }
}

/// What only the door knows of an endpoint: its keys, and what cursors of its chain look like.
pub(crate) struct Shown {
    /// The public key.
    pub(crate) public_key: String,
    /// How far it was served.
    pub(crate) cursor: String,
    /// Whether its owner looks at it.
    pub(crate) by_owner: bool,
}

impl WebhookView {
    pub(crate) fn new(state: &State, shown: Shown) -> Self {
        let (endpoint, progress) = (&state.endpoint, &state.progress);
        let settings = &endpoint.settings;
        let failing = progress.sending.as_ref().filter(|sending| sending.failure.is_some());
        let status = match (&endpoint.disabled, failing) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "failing",
            (None, None) => "active",
        };
        Self {
            id: endpoint.id.to_string(),
            organisation: endpoint.organisation.to_string(),
            key: endpoint.key.to_string(),
            url: if shown.by_owner { settings.url.clone() } else { origin(&settings.url) },
            kinds: settings.kinds.clone(),
            invoice: settings.invoice.clone(),
            filter_organisation: settings.of.as_ref().map(ToString::to_string),
            events_max: count(settings.events_max),
            created: format_ms(endpoint.created_ms),
            rotated: endpoint.rotated_ms.map(format_ms),
            public_key: shown.public_key,
            status: status.to_owned(),
            disabled_reason: endpoint.disabled.as_ref().map(|disabled| disabled.reason.clone()),
            disabled_since: endpoint.disabled.as_ref().map(|disabled| format_ms(disabled.since_ms)),
            cursor: shown.cursor,
            delivered: progress.delivered_ms.map(format_ms),
            failing: failing.map(|sending| FailingView {
                message: endpoint.id.message(endpoint.revision, sending.through),
                tries: sending.tries,
                next: format_ms(sending.next_ms),
                failure: sending.failure.as_ref().map(FailureView::from),
            }),
            dead_letters: count(state.letters),
        }
    }
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> String {
    let end = url.match_indices(['/', '?']).nth(2).map_or(url.len(), |(at, _)| at);
    url.get(..end).unwrap_or_default().to_owned()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// An endpoint with its secret, which is shown this once.
#[derive(Clone, Serialize, ToSchema)]
pub struct WebhookSecretView {
    /// The endpoint.
    pub webhook: WebhookView,
    /// The secret of signatures `v1`: `whsec_` and the base64 of 32 bytes. It is not shown again.
    #[schema(example = "whsec_")]
    pub secret: String,
}

/// Endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookList {
    /// All of them, in the order of their ids.
    pub webhooks: Vec<WebhookView>,
}

/// How a test went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookTestView {
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was not taken, as in a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, ms.
    pub elapsed_ms: u64,
}

impl WebhookTestView {
    pub(crate) fn new(outcome: &Outcome, elapsed: std::time::Duration) -> Self {
        let (status, reason) = match outcome {
            Outcome::Delivered(status) => (Some(*status), None),
            Outcome::Gone => (Some(410), Some("status".to_owned())),
            Outcome::Failed { reason, status, .. } => (*status, Some(reason.as_str().to_owned())),
        };
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Self { delivered: reason.is_none(), status, reason, elapsed_ms }
    }
}

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadLetterView {
    /// Its message's id.
    #[schema(example = "msg_0123456789abcdef0123456789abcdef_42")]
    pub message: String,
    /// The leaf of its first event: `/v1/receipts/` has its receipt.
    pub first_leaf: u64,
    /// The leaf of its last event.
    pub last_leaf: u64,
    /// How many events.
    pub events: u64,
    /// When it was given up.
    pub died: String,
    /// How often it was tried.
    pub tries: u32,
    /// Why the last try failed.
    pub failure: FailureView,
    /// Whether it is to be sent once more.
    pub resending: bool,
}

impl DeadLetterView {
    pub(crate) fn new(of: &EndpointId, letter: &DeadLetter) -> Self {
        Self {
            message: letter.message(of),
            first_leaf: letter.from,
            last_leaf: letter.through.saturating_sub(1),
            events: count(letter.events),
            died: format_ms(letter.died_ms),
            tries: letter.tries,
            failure: FailureView::from(&letter.failure),
            resending: letter.asked,
        }
    }
}

/// A page of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadLetterPage {
    /// In the order of the log.
    pub dead_letters: Vec<DeadLetterView>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What is sent once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ResendView {
    /// How many dead letters of the endpoint are to be sent once more.
    pub resending: u64,
}

/// How the webhooks of a node stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhooksView {
    /// Endpoints that are registered.
    pub endpoints: u64,
    /// Of these, disabled.
    pub disabled: u64,
    /// Of these, with a delivery that is tried again.
    pub failing: u64,
    /// Deliveries given up, and kept.
    pub dead_letters: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_sees_where_an_endpoint_is_and_not_its_path() {
        for (url, shown) in [
            ("https://example.com/in/secret?token=x", "https://example.com"),
            ("https://example.com:8443?token=x", "https://example.com:8443"),
            ("https://example.com", "https://example.com"),
            ("http://[::1]:9000/x", "http://[::1]:9000"),
        ] {
            assert_eq!(origin(url), shown);
        }
    }
}
