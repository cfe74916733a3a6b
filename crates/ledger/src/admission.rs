//! Admission: what makes a statement wrong in itself.
//!
//! A block that holds a statement which is not admitted is invalid, so the door, the proposer and
//! every checker ask the same function. What is wrong in itself is *rejected*: never on the
//! ledger, and it burns no nonce. What only the state says no to is *refused* by execution.

mod together;

use std::collections::BTreeSet;
use std::sync::Arc;

use chain::catalogue::{CodeEntry, Kind};
use chain::hash::{Hash, StatementId};
use chain::identity::{ChainId, OrganisationId};
use chain::key::{PreparedKey, PreparedKeys};
use chain::statement::{self, Statement};
use invoice::date::Date;
use invoice::violation::Violation;
use serde::Deserialize;

use crate::event::Event;
use crate::organisation::{AdmittedKey, Purpose, RetiredKey};
use crate::organisations::Organisations;
use crate::parameters::Parameters;
use crate::record::{RefusalBudgetRecord, refusal_hour};
use crate::state::{Fault, Nonce, StateKey, View, decode, read};

/// Why a statement is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: expected {expected}, found {found}")]
pub struct Rejection {
    /// The stable code.
    pub code: &'static str,
    /// Where: a JSON pointer or a header field; empty for the statement as a whole.
    pub path: String,
    /// What was expected there.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// What is wrong in documents, all of it; paths start at the payload's root.
    pub violations: Vec<Violation>,
}

impl Rejection {
    fn new(code: &'static str, path: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { code, path: path.to_owned(), expected: expected.into(), found: found.into(), violations: Vec::new() }
    }
}

impl From<statement::StatementError> for Rejection {
    fn from(error: statement::StatementError) -> Self {
        Self {
            code: error.code(),
            path: error.path(),
            expected: error.expected(),
            found: error.found(),
            violations: Vec::new(),
        }
    }
}

/// The code of an event that is not what the ledger knows.
pub const EVENT_MALFORMED: &str = "event.malformed";
/// The code of documents that break rules of documents.
pub const DOCUMENT_INVALID: &str = "document.invalid";
/// The chain's own code: the statement is larger than may be.
const TOO_LARGE: &str = "statement.too-large";
const WORK: &str = "statement.too-much-work";
const WRONG_CHAIN: &str = "statement.wrong-chain";
const EXPIRED: &str = "statement.expired";
const TOO_FAR_AHEAD: &str = "statement.too-far-ahead";
const UNKNOWN_KEY: &str = "statement.unknown-key";
const KEY_INACTIVE: &str = "statement.key-inactive";
const KEY_PURPOSE: &str = "statement.key-purpose";
const NONCE_REUSED: &str = "statement.nonce-reused";
const REFUSALS_SPENT: &str = "statement.refusals-spent";

/// The catalogue of what admission rejects.
pub const CODES: &[CodeEntry] = &[
    CodeEntry {
        code: EVENT_MALFORMED,
        kind: Kind::Malformed,
        summary: "An event is not what the ledger knows: an unknown kind, an unknown or missing field, a value of the wrong form.",
        cure: "See the path, and the schema of events in the API description.",
    },
    CodeEntry {
        code: DOCUMENT_INVALID,
        kind: Kind::Violation,
        summary: "A document breaks rules of documents; all violations are listed.",
        cure: "Mend every violation listed; nothing was recorded and the nonce is still free.",
    },
    CodeEntry {
        code: WORK,
        kind: Kind::Limit,
        summary: "The statement alone would spend the work budget of a block.",
        cure: "Send fewer or smaller events in one statement.",
    },
    CodeEntry {
        code: WRONG_CHAIN,
        kind: Kind::Malformed,
        summary: "The statement was signed for another chain.",
        cure: "Sign with the chain id that this node shows under /v1/limits.",
    },
    CodeEntry {
        code: EXPIRED,
        kind: Kind::Malformed,
        summary: "The statement's `exp` is past.",
        cure: "Sign it again with a later `exp`; the same nonce may be used.",
    },
    CodeEntry {
        code: TOO_FAR_AHEAD,
        kind: Kind::Malformed,
        summary: "The statement's `exp` is further ahead than the nonce window.",
        cure: "Choose an `exp` at most 24 hours ahead.",
    },
    CodeEntry {
        code: UNKNOWN_KEY,
        kind: Kind::Unauthenticated,
        summary: "The ledger knows no such organisation or key.",
        cure: "Check `kid`; it is <organisation>/<key>.",
    },
    CodeEntry {
        code: KEY_INACTIVE,
        kind: Kind::Unauthenticated,
        summary: "The key was revoked.",
        cure: "Sign with an active key.",
    },
    CodeEntry {
        code: KEY_PURPOSE,
        kind: Kind::Unauthenticated,
        summary: "The key may not sign statements.",
        cure: "Sign with a key whose purposes include `statement`; evidence alone may also be signed with one for `receipt`.",
    },
    CodeEntry {
        code: NONCE_REUSED,
        kind: Kind::Conflict,
        summary: "The organisation used the nonce in the last 24 hours for another payload.",
        cure: "Use a nonce of its own for every statement; repeat one only to ask for the first answer.",
    },
    CodeEntry {
        code: REFUSALS_SPENT,
        kind: Kind::Limit,
        summary: "The organisation has had too many refused events in this hour of block time.",
        cure: "Wait for the next hour, and find out why so much is refused.",
    },
];

/// What the key may be for that signs a statement.
const STATEMENT_SIGNERS: [Purpose; 1] = [Purpose::Statement];
/// The same for a statement of nothing but evidence: a node has a receipt key anyway, and no person is there to sign.
const EVIDENCE_SIGNERS: [Purpose; 2] = [Purpose::Statement, Purpose::Receipt];

/// Violations listed for one statement at most.
pub const VIOLATIONS_MAX: usize = 1_000;

/// A statement whose events have been read. Depends on its bytes alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Parsed {
    statement: Statement,
    events: Arc<[Event]>,
    work: u32,
}

impl Parsed {
    /// Reads a statement and its events, strictly.
    ///
    /// # Errors
    /// The first thing that is not as it must be, with its place.
    pub fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        Self::of(Statement::parse(bytes, &statement::Limits::default())?)
    }

    /// Reads the events of a statement that was read under the default limits.
    ///
    /// # Errors
    /// The first thing that is not as it must be, with its place.
    pub fn of(statement: Statement) -> Result<Self, Rejection> {
        let mut events = Vec::with_capacity(statement.event_count());
        let mut work = 0_u32;
        for (index, bytes) in statement.events().enumerate() {
            // The whole payload was read strictly before it was cut into events.
            let event: Event = chain::json::from_checked_slice(bytes).map_err(|error| Rejection {
                code: EVENT_MALFORMED,
                path: format!("/events/{index}{}", error.path),
                expected: "an event as the API description has it".to_owned(),
                found: error.kind.to_string(),
                violations: Vec::new(),
            })?;
            work = work.saturating_add(event.work());
            events.push(event);
        }
        Ok(Self { statement, events: events.into(), work })
    }

    /// The statement.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Its events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What the key may be for that signs it: one for statements, and if it holds nothing but evidence, also the one
    /// with which a node speaks for its agency.
    fn signers(&self) -> &'static [Purpose] {
        let evidence = self.events.iter().all(|event| matches!(event, Event::Evidence(_)));
        if evidence { &EVIDENCE_SIGNERS } else { &STATEMENT_SIGNERS }
    }

    /// What executing it costs at most, in units of the block's budget.
    pub const fn work(&self) -> u32 {
        self.work
    }

    /// What is wrong in its documents on a day: all of it, up to [`VIOLATIONS_MAX`].
    pub fn violations(&self, parameters: &Parameters, date: Date) -> Vec<Violation> {
        let mut found = Vec::new();
        for (index, event) in self.events.iter().enumerate() {
            if found.len() >= VIOLATIONS_MAX {
                break;
            }
            if let Event::Issue(issue) = event {
                let validation = issue.document.validate(&parameters.rules, date);
                found.extend(validation.violations.into_iter().map(|mut violation| {
                    violation.path = format!("/events/{index}/issue/document{}", violation.path);
                    violation
                }));
            }
            if let Event::OfflineIssue(issue) = event {
                // Its buyer has held it since: the rules are those of the day it says to be issued on.
                let date = Date::from_unix_ms(issue.certificate.claims().issued_ms).unwrap_or(date);
                let validation = issue.document.validate(&parameters.rules, date);
                found.extend(validation.violations.into_iter().map(|mut violation| {
                    violation.path = format!("/events/{index}/offline-issue/document{}", violation.path);
                    violation
                }));
            }
            if let Event::Correct(correct) = event {
                found.extend(correct.fields.violations(&parameters.rules, date).into_iter().map(|mut violation| {
                    violation.path = format!("/events/{index}/correct/fields{}", violation.path);
                    violation
                }));
            }
        }
        found.truncate(VIOLATIONS_MAX);
        found
    }
}

/// An issue event whose document may be anything.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct IssueDraft<'a> {
    #[serde(borrow)]
    issue: Option<DocumentDraft<'a>>,
    #[serde(borrow)]
    offline_issue: Option<DocumentDraft<'a>>,
}

#[derive(Deserialize)]
struct DocumentDraft<'a> {
    #[serde(borrow)]
    document: &'a serde_json::value::RawValue,
}

/// What was found in order once, so that it is not looked at twice: the signature, and the
/// documents for one day under one set of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The statement.
    pub statement: StatementId,
    /// The key the signature was verified with.
    pub key: AdmittedKey,
    /// The day the documents were judged on.
    pub date: Date,
    /// Hash of the parameters they were judged by.
    pub parameters: Hash,
}

/// The parameters in force, with the hash of their record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    parameters: Parameters,
    hash: Hash,
}

impl InForce {
    /// What a state says.
    ///
    /// # Errors
    /// A fault of the view.
    pub fn read(view: &dyn View) -> Result<Self, Fault> {
        let key = StateKey::parameters();
        let stored = view.get(&key)?.ok_or_else(|| Fault::Missing { key: key.to_string() })?;
        Ok(Self { parameters: decode(&key, &stored)?, hash: Hash::of(&stored) })
    }

    /// The parameters.
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// Where and when a statement is judged: the tip for the door, the parent for a block.
pub struct Court<'v> {
    view: &'v dyn View,
    chain: ChainId,
    time_ms: i64,
    date: Date,
    rules: Arc<InForce>,
    /// Keys that sign often, as they are remembered beyond this sitting.
    keys: Arc<PreparedKeys>,
    organisations: Organisations,
    /// Nonces used earlier in the same block: live, though not in the view yet.
    used: BTreeSet<(OrganisationId, statement::Nonce)>,
}

/// The verdict on a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be in a block here and now.
    Admitted(Verified),
    /// It was decided before, under the same nonce with the same payload.
    Repeated(Nonce),
    /// It is wrong in itself.
    Rejected(Box<Rejection>),
}

impl<'v> Court<'v> {
    /// Sits on a state, at a time (ms UTC), and reads the parameters in force there.
    ///
    /// # Errors
    /// A fault of the view.
    pub fn sit(view: &'v dyn View, chain: ChainId, time_ms: i64) -> Result<Self, Fault> {
        let rules = Arc::new(InForce::read(view)?);
        Self::sit_under(view, chain, time_ms, rules, Arc::default())
    }

    /// Sits on a state under the parameters in force there, which the caller keeps, with the keys that it remembers.
    ///
    /// # Errors
    /// When the time is outside the calendar.
    pub fn sit_under(
        view: &'v dyn View,
        chain: ChainId,
        time_ms: i64,
        rules: Arc<InForce>,
        keys: Arc<PreparedKeys>,
    ) -> Result<Self, Fault> {
        let date = Date::from_unix_ms(time_ms).map_err(|error| Fault::Read(error.into()))?;
        Ok(Self {
            view,
            chain,
            time_ms,
            date,
            rules,
            keys,
            organisations: Organisations::default(),
            used: BTreeSet::new(),
        })
    }

    /// The parameters in force.
    pub fn parameters(&self) -> &Parameters {
        &self.rules.parameters
    }

    /// A key of the ledger, to verify under.
    fn prepared(&self, key: &AdmittedKey) -> Result<Arc<PreparedKey>, Fault> {
        self.keys.get(key.as_bytes()).map_err(|error| Fault::Read(error.into()))
    }

    /// Judges a statement. `before` is what was verified earlier of these very bytes, if it was: an id
    /// does not cover the signature.
    ///
    /// # Errors
    /// A fault of the view.
    pub fn judge(&self, parsed: &Parsed, before: Option<&Verified>) -> Result<Verdict, Fault> {
        let header = parsed.statement().header();
        let before = before.filter(|before| before.statement == parsed.statement().id());
        if let Err(rejection) = self.judge_header(parsed) {
            return Ok(Verdict::Rejected(Box::new(rejection)));
        }
        let key = match self.judge_key(parsed.statement(), parsed.signers())? {
            Ok(key) => key,
            Err(rejection) => return Ok(Verdict::Rejected(Box::new(rejection))),
        };
        // The signature before the nonce: what a nonce was used for is for its owner alone.
        if before.is_none_or(|before| before.key != key)
            && let Err(error) = parsed.statement().verify_prepared(&*self.prepared(&key)?)
        {
            return Ok(Verdict::Rejected(Box::new(error.into())));
        }
        if let Some(verdict) = self.judge_nonce(parsed)? {
            return Ok(verdict);
        }
        let budget_key = StateKey::refusal_budget(&header.organisation);
        if let Some(budget) = read::<RefusalBudgetRecord>(self.view, &budget_key)? {
            let max = self.rules.parameters.limits.refusals_an_hour_max;
            if budget.hour == refusal_hour(self.time_ms) && budget.refused >= max {
                let expected = format!("fewer than {max} refused events in an hour");
                let rejection = Rejection::new(REFUSALS_SPENT, "", expected, budget.refused.to_string());
                return Ok(Verdict::Rejected(Box::new(rejection)));
            }
        }
        let judged = before.is_some_and(|before| before.date == self.date && before.parameters == self.rules.hash);
        if !judged {
            let violations = parsed.violations(&self.rules.parameters, self.date);
            if !violations.is_empty() {
                let found = format!("{} violations", violations.len());
                let mut rejection = Rejection::new(DOCUMENT_INVALID, "/events", "documents that keep the rules", found);
                rejection.violations = violations;
                return Ok(Verdict::Rejected(Box::new(rejection)));
            }
        }
        Ok(Verdict::Admitted(Verified {
            statement: parsed.statement().id(),
            key,
            date: self.date,
            parameters: self.rules.hash,
        }))
    }

    /// Says more about a statement whose events could not be read: reading stops at the first value
    /// of a wrong form, and an author wants to mend all of them at once. It is rejected all the same;
    /// one whose author is not known by its signature is told that and no more.
    ///
    /// # Errors
    /// A fault of the view.
    pub fn explain(&self, bytes: &[u8], rejection: Rejection) -> Result<Rejection, Fault> {
        if rejection.code != EVENT_MALFORMED {
            return Ok(rejection);
        }
        let Ok(statement) = Statement::parse(bytes, &statement::Limits::default()) else { return Ok(rejection) };
        // What its events are nobody could read, so any key that signs statements of some kind tells whose it is.
        match self.judge_key(&statement, &EVIDENCE_SIGNERS)? {
            Err(rejection) => return Ok(rejection),
            Ok(key) => {
                if let Err(error) = statement.verify_prepared(&*self.prepared(&key)?) {
                    return Ok(error.into());
                }
            }
        }
        let mut violations = Vec::new();
        for (index, event) in statement.events().enumerate() {
            if violations.len() >= VIOLATIONS_MAX {
                break;
            }
            let Ok(draft) = serde_json::from_slice::<IssueDraft<'_>>(event) else { continue };
            let (kind, document) = match (draft.issue, draft.offline_issue) {
                (Some(DocumentDraft { document }), None) => ("issue", document),
                (None, Some(DocumentDraft { document })) => ("offline-issue", document),
                (Some(_), Some(_)) | (None, None) => continue,
            };
            let examined = invoice::draft::examine(document.get().as_bytes(), &self.rules.parameters.rules, self.date);
            violations.extend(examined.validation.violations.into_iter().map(|mut violation| {
                violation.path = format!("/events/{index}/{kind}/document{}", violation.path);
                violation
            }));
        }
        if violations.is_empty() {
            return Ok(rejection);
        }
        violations.truncate(VIOLATIONS_MAX);
        let found = format!("{} violations", violations.len());
        let mut rejection = Rejection::new(DOCUMENT_INVALID, "/events", "documents that keep the rules", found);
        rejection.violations = violations;
        Ok(rejection)
    }

    /// Counts an admitted statement as part of the block: its nonce is live for those after it.
    pub fn take(&mut self, parsed: &Parsed) {
        let header = parsed.statement().header();
        self.used.insert((header.organisation.clone(), header.nonce.clone()));
    }

    fn judge_header(&self, parsed: &Parsed) -> Result<(), Rejection> {
        let header = parsed.statement().header();
        if header.chain != self.chain {
            return Err(Rejection::new(WRONG_CHAIN, "chain", self.chain.to_string(), header.chain.to_string()));
        }
        let expires_ms = i64::try_from(header.expires_at).ok().and_then(|seconds| seconds.checked_mul(1_000));
        let latest_ms = self.time_ms.saturating_add(self.rules.parameters.limits.nonce_window_ms());
        match expires_ms {
            Some(expires_ms) if expires_ms < self.time_ms => {
                // The first whole second that is not past.
                let expected = format!("at least {}", self.time_ms.saturating_add(999).div_euclid(1_000));
                Err(Rejection::new(EXPIRED, "exp", expected, header.expires_at.to_string()))
            }
            Some(expires_ms) if expires_ms <= latest_ms => self.judge_size(parsed),
            Some(_) | None => {
                let expected = format!("at most {}", latest_ms.div_euclid(1_000));
                Err(Rejection::new(TOO_FAR_AHEAD, "exp", expected, header.expires_at.to_string()))
            }
        }
    }

    /// Whether it fits a block at all.
    fn judge_size(&self, parsed: &Parsed) -> Result<(), Rejection> {
        let limits = &self.rules.parameters.limits;
        let bytes = parsed.statement().bytes().len();
        if u32::try_from(bytes).map_or(true, |bytes| bytes > limits.block_bytes_max) {
            let expected = format!("at most {} bytes", limits.block_bytes_max);
            return Err(Rejection::new(TOO_LARGE, "", expected, format!("{bytes} bytes")));
        }
        if parsed.work() > limits.block_work_max {
            let expected = format!("at most {} work units", limits.block_work_max);
            return Err(Rejection::new(WORK, "/events", expected, parsed.work().to_string()));
        }
        Ok(())
    }

    /// The key that a statement names: one of the organisation, active, and for one of these purposes.
    fn judge_key(&self, statement: &Statement, signers: &[Purpose]) -> Result<Result<AdmittedKey, Rejection>, Fault> {
        let header = statement.header();
        let reject = |code, expected: &str| {
            let kid = format!("{}/{}", header.organisation, header.key);
            Ok(Err(Rejection::new(code, "kid", expected, kid)))
        };
        let Some(organisation) = self.organisations.get(self.view, &header.organisation)? else {
            return reject(UNKNOWN_KEY, "an organisation on the ledger");
        };
        let retired;
        let key = match organisation.key(&header.key) {
            Some(key) => key,
            None => match read::<RetiredKey>(self.view, &StateKey::retired_key(&organisation.id, &header.key))? {
                Some(found) => {
                    retired = found;
                    &retired.key
                }
                None => return reject(UNKNOWN_KEY, "a key of the organisation"),
            },
        };
        if !signers.iter().any(|purpose| key.purposes.contains(purpose)) {
            return reject(KEY_PURPOSE, "a key that signs statements");
        }
        if !key.active {
            return reject(KEY_INACTIVE, "an active key");
        }
        Ok(Ok(key.public))
    }

    fn judge_nonce(&self, parsed: &Parsed) -> Result<Option<Verdict>, Fault> {
        let header = parsed.statement().header();
        let reused = || {
            let rejection =
                Rejection::new(NONCE_REUSED, "nonce", "a nonce not used in the last 24 hours", header.nonce.as_str());
            Some(Verdict::Rejected(Box::new(rejection)))
        };
        if self.used.contains(&(header.organisation.clone(), header.nonce.clone())) {
            return Ok(reused());
        }
        let Some(nonce) = self.view.nonce(&header.organisation, header.nonce.as_str())? else {
            return Ok(None);
        };
        // Live through its last instant: a statement may still be in time at that very instant.
        if nonce.live_until_ms < self.time_ms {
            return Ok(None);
        }
        if nonce.payload_hash == parsed.statement().payload_hash() {
            return Ok(Some(Verdict::Repeated(nonce)));
        }
        Ok(reused())
    }
}
