//! From what is on the ledger to answers: outcomes, results of writes, rejections with all violations.

use axum::Json;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chain::block::Leaf;
use chain::hash::{Hash, StatementId};
use invoice::date::Date;
use invoice::violation::Violation;
use ledger::admission::{Rejection, VIOLATIONS_MAX};
use ledger::event::Event;
use ledger::outcome::{ACCEPTED, REPEATED, Record};
use ledger::record::LeafRef;
use replica::port::Store;
use replica::query::EventView;

use crate::call::header_value;
use crate::problem::Problem;
use crate::service::Service;
use crate::time::format_ms;
use crate::views::{EventRow, LeafView, OutcomeView, RecordView, RefusalView, StatementState, StatementView};

/// The code of an event that only went down with another.
const ALL_REFUSED: &str = "statement.all-refused";

/// Refusals are counted by the hour of block time.
const HOUR_S: i64 = 60 * 60;

/// Events of a statement that are told of without a thread that may block.
const EVENTS_AT_ONCE_MAX: usize = 8;

/// The code of a reference used for another document.
const REFERENCE_REUSED: &str = "issue.reference-reused";

/// A decided statement, as answers need it.
pub(crate) struct DecidedStatement {
    pub(crate) view: StatementView,
    pub(crate) organisation: chain::identity::OrganisationId,
    pub(crate) outcomes: Vec<OutcomeView>,
}

/// The hash of an event's leaf.
pub(crate) fn leaf_hash(event: &EventView) -> Result<Hash, Problem> {
    let statement = &event.statement;
    let index = usize::try_from(event.index).unwrap_or(usize::MAX);
    let event_hash = statement.event_hash(index).ok_or_else(|| {
        let what = format!("leaf {} names an event that its statement does not have", event.leaf);
        Problem::fault(&replica::replica::Fault::Ledger { height: event.height, what })
    })?;
    Ok(Leaf::new(statement.id(), event.index, event_hash, &event.outcome, event.height).hash())
}

impl<S: Store> Service<S> {
    /// The events of a decided statement, in order.
    pub(crate) fn events_of(&self, id: &StatementId) -> Result<Option<Vec<EventView>>, Problem> {
        Ok(self.query().events_of(id)?)
    }

    /// A decided statement with its outcomes.
    pub(crate) fn decided_statement(&self, id: &StatementId) -> Result<Option<DecidedStatement>, Problem> {
        self.events_of(id)?.map_or(Ok(None), |events| self.decided_by(id, &events))
    }

    /// A statement that one of the newest blocks decided, of few events and all of them accepted: telling what became of
    /// it reads nothing from the store.
    pub(crate) fn just_accepted(&self, id: &StatementId) -> Result<Option<DecidedStatement>, Problem> {
        let accepted = |events: &Vec<EventView>| events.iter().all(|event| event.outcome.code == ACCEPTED);
        let events = self.query().just_decided(id, EVENTS_AT_ONCE_MAX).filter(accepted);
        events.map_or(Ok(None), |events| self.decided_by(id, &events))
    }

    fn decided_by(&self, id: &StatementId, events: &[EventView]) -> Result<Option<DecidedStatement>, Problem> {
        let Some(first) = events.first() else { return Ok(None) };
        let outcomes = events.iter().map(|event| self.outcome(event)).collect::<Result<Vec<_>, _>>()?;
        let view = StatementView {
            statement: id.to_string(),
            state: StatementState::Decided,
            height: Some(first.height),
            time: Some(format_ms(first.time_ms)),
            mode: Some(first.statement.mode().to_string()),
            outcomes: Some(outcomes.clone()),
            problem: None,
        };
        let organisation = first.statement.header().organisation.clone();
        Ok(Some(DecidedStatement { view, organisation, outcomes }))
    }

    /// What became of one event.
    pub(crate) fn outcome(&self, event: &EventView) -> Result<OutcomeView, Problem> {
        let hash = leaf_hash(event)?;
        let record = event.record()?;
        let mut view = OutcomeView {
            index: event.index,
            kind: event.kind()?.to_owned(),
            code: event.outcome.code.clone(),
            subject: event.outcome.subject.clone(),
            leaf_index: event.leaf,
            leaf_hash: hash.to_string(),
            check_code: None,
            record: RecordView::of(&record),
            original: None,
            refusal: None,
            receipt: format!("/v1/receipts/{}", event.leaf),
        };
        match &record {
            Record::Refused(refused) => view.refusal = Some(RefusalView::from(refused)),
            Record::Repeated { original } => {
                view.original = Some(LeafView::from(*original));
                view.record = self.original_record(*original)?;
            }
            Record::Issued { invoice, .. }
            | Record::IssuedOffline { invoice, .. }
            | Record::RedIssued { invoice, .. } => view.check_code = check_code(invoice, &hash),
            Record::Transferred { .. }
            | Record::Locked { .. }
            | Record::Renewed { .. }
            | Record::Unlocked { .. }
            | Record::Closed { .. }
            | Record::Voided { .. }
            | Record::Filed { .. }
            | Record::Reported { .. }
            | Record::Admitted { .. }
            | Record::Registered { .. }
            | Record::Suspended { .. }
            | Record::Reinstated { .. }
            | Record::Rotated { .. }
            | Record::RolesSet { .. }
            | Record::Renamed { .. }
            | Record::Mandated { .. }
            | Record::Revoked { .. }
            | Record::Attested { .. }
            | Record::QuotaGranted { .. }
            | Record::QuotaAdjusted { .. }
            | Record::QuotaPaused { .. }
            | Record::QuotaResumed { .. }
            | Record::Overridden { .. }
            | Record::Booked { .. }
            | Record::BookingAdjusted { .. }
            | Record::BookingRevoked { .. }
            | Record::Used { .. }
            | Record::UseRevoked { .. }
            | Record::Manifested { .. }
            | Record::Corrected { .. }
            | Record::Amended { .. }
            | Record::PaymentRequested { .. }
            | Record::PaymentDecided { .. }
            | Record::SegmentGranted { .. }
            | Record::SegmentClosed { .. }
            | Record::RedRequested { .. }
            | Record::RedConfirmed { .. }
            | Record::RedDenied { .. }
            | Record::RedWithdrawn { .. } => {}
        }
        Ok(view)
    }

    /// An event with all that became of it, for those who may see all of it.
    pub(crate) fn event_row(&self, event: &EventView) -> Result<EventRow, Problem> {
        let outcome = self.outcome(event)?;
        Ok(EventRow {
            leaf_index: event.leaf,
            leaf_hash: Some(outcome.leaf_hash),
            kind: outcome.kind,
            code: outcome.code,
            organisation: event.statement.header().organisation.to_string(),
            statement: Some(event.statement.id().to_string()),
            height: event.height,
            time: format_ms(event.time_ms),
            record: outcome.record,
            original: outcome.original,
            refusal: outcome.refusal,
            receipt: Some(outcome.receipt),
        })
    }

    fn original_record(&self, original: LeafRef) -> Result<Option<RecordView>, Problem> {
        let Some(first) = self.query().event(original.index)? else {
            return Ok(None);
        };
        Ok(RecordView::of(&first.record()?))
    }

    /// The problem of a statement of which nothing was accepted; `None` when something was.
    pub(crate) fn wholly_refused(&self, decided: &DecidedStatement) -> Result<Option<Problem>, Problem> {
        let outcomes = &decided.outcomes;
        if outcomes.iter().any(|outcome| [ACCEPTED, REPEATED].contains(&outcome.code.as_str())) {
            return Ok(None);
        }
        let Some(first) = outcomes.iter().find(|outcome| outcome.code != ALL_REFUSED).or(outcomes.first()) else {
            return Ok(None);
        };
        let mut problem = Problem::new(first.code.clone());
        if let Some(refusal) = &first.refusal {
            problem = problem.at(format!("/events/{}", first.index), refusal.expected.clone(), refusal.found.clone());
        }
        let standing = first.refusal.as_ref().and_then(|refusal| refusal.standing.clone());
        let original = match &standing {
            Some(standing) if first.code == REFERENCE_REUSED => self.issued_at(standing.leaf_index)?,
            Some(_) | None => None,
        };
        Ok(Some(problem.with(|body| {
            body.same_content = original.as_ref().map(|_| false);
            body.original = original;
            body.standing = standing;
            body.statement = Some(decided.view.statement.clone());
            body.outcomes.clone_from(outcomes);
        })))
    }

    /// The id of the invoice that a leaf issued.
    fn issued_at(&self, leaf: u64) -> Result<Option<String>, Problem> {
        let Some(event) = self.query().event(leaf)? else {
            return Ok(None);
        };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "no other record is of an invoice that came onto the ledger"
        )]
        Ok(match event.record()? {
            Record::Issued { invoice, .. }
            | Record::IssuedOffline { invoice, .. }
            | Record::RedIssued { invoice, .. } => Some(invoice.to_string()),
            _ => None,
        })
    }

    /// A rejection as a problem. The reader stops at the first value in a document that cannot be read; here the
    /// documents are read once more, to name everything that is wrong with them.
    pub(crate) fn rejected(&self, statement: &[u8], rejection: Rejection) -> Problem {
        if rejection.code == "statement.refusals-spent" {
            let rest_s = HOUR_S - self.now_ms().div_euclid(1_000).rem_euclid(HOUR_S);
            return Problem::from(rejection).retry_after(u64::try_from(rest_s).unwrap_or(1));
        }
        if rejection.code != "event.malformed" {
            return rejection.into();
        }
        let limits = chain::statement::Limits::default();
        let Ok(statement) = chain::statement::Statement::parse(statement, &limits) else {
            return rejection.into();
        };
        let events = (0..statement.event_count()).filter_map(|index| statement.event(index));
        let findings = self.examine_events(events);
        // Documents alone are at fault: nothing else was malformed.
        if findings.malformed || findings.violations.is_empty() {
            return rejection.into();
        }
        let found = format!("{} violations", findings.violations.len());
        Problem::new("document.invalid")
            .at("/events", "documents that keep the rules", found)
            .violations(&findings.violations)
            .with(|body| body.truncated = findings.truncated)
    }

    /// What is wrong or doubtful in events, as things stand now, up to [`VIOLATIONS_MAX`] of each. Paths start at the
    /// payload.
    pub(crate) fn examine_events<'e>(&self, events: impl Iterator<Item = &'e [u8]>) -> Findings {
        let mut findings = Findings::default();
        let tip = self.query().tip();
        let rules = &tip.parameters().rules;
        let date = self.today();
        for (index, event) in events.enumerate() {
            if findings.violations.len() + findings.others.len() >= VIOLATIONS_MAX {
                findings.truncated = true;
                break;
            }
            let at = format!("/events/{index}");
            if let Some(document) = document_of(event)
                && let Some(date) = date
            {
                let examined = invoice::examine(document, rules, date);
                let at = format!("{at}/issue/document");
                findings.violations.extend(placed(examined.validation.violations, &at));
                findings.warnings.extend(placed(examined.validation.warnings, &at));
            } else {
                match (chain::json::from_slice::<Event>(event), date) {
                    (Ok(Event::Correct(correct)), Some(date)) => {
                        let at = format!("{at}/correct/fields");
                        findings.violations.extend(placed(correct.fields.violations(rules, date), &at));
                    }
                    (Ok(Event::OfflineIssue(issue)), Some(today)) => {
                        let at = format!("{at}/offline-issue/document");
                        let date = Date::from_unix_ms(issue.certificate.claims().issued_ms).unwrap_or(today);
                        let validation = issue.document.validate(rules, date);
                        findings.violations.extend(placed(validation.violations, &at));
                        findings.warnings.extend(placed(validation.warnings, &at));
                    }
                    (Ok(_), _) => {}
                    (Err(error), _) => {
                        findings.malformed = true;
                        findings.others.push(crate::views::ViolationView {
                            path: format!("{at}{}", error.path),
                            rule: "event.malformed".to_owned(),
                            expected: error.kind.expected(),
                            actual: crate::problem::cut(error.to_string()),
                        });
                    }
                }
            }
        }
        findings.capped()
    }

    /// Today in UTC+8.
    pub(crate) fn today(&self) -> Option<Date> {
        Date::from_unix_ms(self.now_ms()).ok()
    }
}

/// What examining events found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    pub(crate) warnings: Vec<Violation>,
    /// What is wrong outside documents.
    pub(crate) others: Vec<crate::views::ViolationView>,
    pub(crate) malformed: bool,
    /// Whether more was found than is listed.
    pub(crate) truncated: bool,
}

impl Findings {
    fn capped(mut self) -> Self {
        let violations_max = VIOLATIONS_MAX.saturating_sub(self.others.len());
        self.truncated |= self.violations.len() > violations_max || self.warnings.len() > VIOLATIONS_MAX;
        self.violations.truncate(violations_max);
        self.warnings.truncate(VIOLATIONS_MAX);
        self
    }
}

fn placed(found: Vec<Violation>, at: &str) -> impl Iterator<Item = Violation> {
    found.into_iter().map(move |mut violation| {
        violation.path = format!("{at}{}", violation.path);
        violation
    })
}

/// The document's bytes in an event that issues one and says nothing else.
fn document_of(event: &[u8]) -> Option<&[u8]> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Outer<'a> {
        #[serde(borrow)]
        issue: Inner<'a>,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner<'a> {
        #[serde(borrow)]
        document: &'a serde_json::value::RawValue,
    }
    let outer: Outer<'_> = chain::json::from_slice(event).ok()?;
    Some(outer.issue.document.get().as_bytes())
}

/// The check code of an invoice: only the blockchain profile has one.
pub(crate) fn check_code(id: &invoice::InvoiceId, leaf_hash: &Hash) -> Option<String> {
    match id {
        invoice::InvoiceId::Blockchain { .. } => Some(invoice::check_code(leaf_hash.as_bytes())),
        invoice::InvoiceId::Digital { .. } => None,
    }
}

/// The answer to a submission that still waits.
pub(crate) fn pending(id: &StatementId) -> Response {
    let view = StatementView::bare(id.to_string(), StatementState::Pending);
    let mut response = (StatusCode::ACCEPTED, Json(view)).into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, header_value(&format!("/v1/statements/{id}")));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
