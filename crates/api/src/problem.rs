//! Problems: every answer that is no success, in the form of RFC 9457.
//!
//! A handler says which code and what was expected and found; status, title and cure come from the
//! catalogue. The outermost layer renders the problem, because it knows the request's id.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chain::catalogue::Kind;
use invoice::violation::Violation;
use ledger::admission::Rejection;
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalogue;
use crate::views::{OutcomeView, StandingView, ViolationView};

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A problem as clients see it (RFC 9457, with members of our own).
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Where the problem is described: a reference into `/docs/errors`.
    #[serde(rename = "type")]
    #[schema(example = "/docs/errors#reimbursement.already-locked")]
    pub kind: String,
    /// What the code means, in one sentence.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What the caller can do about it, in one sentence.
    pub detail: Cow<'static, str>,
    /// The request's id, as in `X-Request-Id`.
    pub instance: String,
    /// The stable code.
    #[schema(example = "reimbursement.already-locked")]
    pub code: Cow<'static, str>,
    /// Where: a JSON pointer, a header or a parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Everything that is wrong in documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<ViolationView>,
    /// Whether more violations were found than are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub truncated: bool,
    /// The earlier event that stands in the way: who and since when, never what for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
    /// The invoice that was issued under the same reference before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// Whether that invoice has the same content; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_content: Option<bool>,
    /// The statement, when the refusal is on the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What became of every event of the statement, when the refusal is on the ledger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<OutcomeView>,
}

/// The code of a node without room on its disk.
const DISK_FULL: &str = "node.disk-full";

/// When to come back to a node without room: somebody has to make some first. Seconds.
const DISK_FULL_RETRY_S: u64 = 30;

/// Longest text of the caller's that is echoed, characters.
const ECHOED_CHARS_MAX: usize = 200;

/// Text that may be the caller's own, cut: an answer must not be as large as the caller likes.
pub(crate) fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(ECHOED_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A problem before it is rendered.
#[derive(Clone, Debug)]
pub struct Problem {
    body: Box<ProblemBody>,
    retry_after_s: Option<u64>,
    /// Of a write that ran out of time: whether its statement may still be decided.
    undecided: Option<bool>,
}

impl Problem {
    /// The problem of a code.
    pub fn new(code: impl Into<Cow<'static, str>>) -> Self {
        let code = code.into();
        let (kind, title, cure) = match catalogue::find(&code) {
            Some(entry) => (entry.kind, entry.summary, entry.cure),
            // Only rules newer than this door can say a code that is not in its table.
            None => (Kind::Lifecycle, "The ledger refused the event.", "See the documentation of newer versions."),
        };
        let status = catalogue::status(&code, kind);
        let retry_after_s = match status {
            _ if code == DISK_FULL => Some(DISK_FULL_RETRY_S),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        };
        let body = ProblemBody {
            kind: format!("/docs/errors#{code}"),
            title: title.into(),
            status: status.as_u16(),
            detail: cure.into(),
            code,
            ..ProblemBody::default()
        };
        Self { body: Box::new(body), retry_after_s, undecided: None }
    }

    /// What it says.
    pub(crate) fn body(&self) -> &ProblemBody {
        &self.body
    }

    /// After how many seconds to try again, if that helps.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    /// Of a write that ran out of time: whether its statement may still be decided.
    pub(crate) fn may_still_be_decided(&self) -> Option<bool> {
        self.undecided
    }

    /// Says of a write that ran out of time whether its statement may still be decided.
    #[must_use]
    pub(crate) fn undecided(mut self, statement: Option<String>, may_still_be_decided: bool) -> Self {
        self.body.statement = statement;
        self.undecided = Some(may_still_be_decided);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.body.code
    }

    /// What the code means, and what can be done about it.
    pub(crate) fn texts(&self) -> (&str, &str) {
        (&self.body.title, &self.body.detail)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Says where, what was expected and what was found.
    #[must_use]
    pub(crate) fn at(mut self, path: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let path = path.into();
        self.body.path = if path.is_empty() { None } else { Some(path) };
        self.body.expected = Some(expected.into());
        self.body.found = Some(cut(found.into()));
        self
    }

    /// Says what is wrong in documents.
    #[must_use]
    pub(crate) fn violations<'v>(mut self, violations: impl IntoIterator<Item = &'v Violation>) -> Self {
        self.body.violations = violations.into_iter().map(ViolationView::from).collect();
        self
    }

    /// Says after how many seconds to try again.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Adds what only some problems have.
    #[must_use]
    pub(crate) fn with(mut self, change: impl FnOnce(&mut ProblemBody)) -> Self {
        change(&mut self.body);
        self
    }

    /// Our own failure: logged here, once, with its causes; the client learns the request id.
    pub(crate) fn fault(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push_str(": ");
            causes.push_str(&cause.to_string());
            source = cause.source();
        }
        tracing::error!(causes, "a request failed");
        Self::new("internal.fault")
    }

    /// The final answer, under the request's id.
    pub(crate) fn render(mut self, request_id: &str) -> Response {
        request_id.clone_into(&mut self.body.instance);
        let status = self.status();
        let bytes = serde_json::to_vec(&self.body).expect("strings and numbers always serialise");
        let mut response = (status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Not rendered yet: the outermost layer takes the problem out of the extensions.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let Rejection { code, path, expected, found, violations } = rejection;
        Self::new(code).at(path, expected, found).violations(&violations)
    }
}

impl From<replica::replica::Fault> for Problem {
    fn from(fault: replica::replica::Fault) -> Self {
        if let replica::replica::Fault::Store(fault) = fault { fault.into() } else { Self::fault(&fault) }
    }
}

impl From<replica::port::StoreFault> for Problem {
    fn from(fault: replica::port::StoreFault) -> Self {
        if let replica::port::StoreFault::Full { operation } = fault {
            tracing::warn!(operation, "a request was refused for want of room");
            return Self::new(DISK_FULL);
        }
        Self::fault(&fault)
    }
}

impl From<ledger::state::Fault> for Problem {
    fn from(fault: ledger::state::Fault) -> Self {
        Self::fault(&fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_echoed_is_cut() {
        let problem = Problem::new("request.json").at("", "less", "年".repeat(10_000));
        assert_eq!(problem.body.found.unwrap().chars().count(), ECHOED_CHARS_MAX + 1);
        assert_eq!(cut("年".repeat(ECHOED_CHARS_MAX)), "年".repeat(ECHOED_CHARS_MAX));
    }

    #[test]
    fn a_full_disk_is_no_fault_of_ours() {
        let full = || replica::port::StoreFault::Full { operation: "keep an attachment" };
        for problem in [Problem::from(full()), Problem::from(replica::replica::Fault::Store(full()))] {
            assert_eq!((problem.status(), problem.code()), (StatusCode::SERVICE_UNAVAILABLE, "node.disk-full"));
        }
    }
}
