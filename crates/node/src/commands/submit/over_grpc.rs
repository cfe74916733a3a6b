//! Submitting over gRPC. What comes back is shown in the words of the REST door, so that a script need not know by which
//! one it came.

use anyhow::Context as _;
use client::messages::event_outcome::Record;
use client::messages::{
    BookingTerms, EventOutcome, InvoiceParty, LeafReference, RedAnsweredRecord, RefusalReason, StandingEvent,
    invoice_party,
};
use client::{Client, Decided, Error, Options, Refused, Signed};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::Answer;
use crate::exit::{Exit, Exits as _, Failure};
use crate::grpc;
use crate::output::Output;

/// What fails when something does.
const WHAT: &str = "submit the statement";

/// Sends a statement until it is decided, and shows what became of it.
pub(super) fn run(options: Options, jws: &[u8], output: &Output) -> Result<Exit, Failure> {
    let text = std::str::from_utf8(jws).context("read the statement").or_exit(Exit::Usage)?;
    let signed = Signed::parse(text).map_err(|error| grpc::failure(error, "read the statement"))?;
    let runtime = Builder::new_current_thread().enable_all().build().context("start the client")?;
    let decided = runtime.block_on(async { Client::connect(options).await?.decide(&signed).await });
    match decided {
        Ok(decided) => {
            output.data(&Answer(decision(&decided)))?;
            Ok(Exit::Done)
        }
        Err(error) => {
            // Why it was refused is data, and so are the outcomes of a refused statement.
            if let Error::Refused(refused) = &error {
                output.data(&Answer(problem(refused)))?;
            }
            Err(grpc::failure(error, WHAT))
        }
    }
}

/// An object of what there is.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    fields.into_iter().filter(|(_, value)| !empty(value)).collect()
}

fn time(ms: i64) -> Value {
    api::format_ms(ms).into()
}

/// What was decided, as data.
pub(in crate::commands) fn decision(of: &Decided) -> Value {
    object([
        ("statement", of.statement.to_string().into()),
        ("state", "decided".into()),
        ("height", of.height.into()),
        ("time", time(of.time_ms)),
        ("outcomes", of.outcomes.iter().map(outcome).collect()),
    ])
}

/// Why it was refused, as data.
pub(in crate::commands) fn problem(of: &Refused) -> Value {
    let violation = |of: &client::Violation| {
        let client::Violation { field, rule, description } = of;
        object([
            ("path", field.as_str().into()),
            ("rule", rule.as_str().into()),
            ("actual", description.as_str().into()),
        ])
    };
    object([
        ("code", of.code.as_str().into()),
        ("detail", of.message.as_str().into()),
        ("instance", of.request_id.as_str().into()),
        ("path", of.path.as_str().into()),
        ("expected", of.expected.as_str().into()),
        ("found", of.found.as_str().into()),
        ("violations", of.violations.iter().map(violation).collect()),
        ("standing", of.standing().map_or(Value::Null, standing)),
        ("original", of.original_invoice().into()),
        ("statement", of.statement_id().map(|id| id.to_string()).into()),
        ("outcomes", of.outcomes().iter().map(outcome).collect()),
    ])
}

fn outcome(of: &EventOutcome) -> Value {
    object([
        ("index", of.event_index.into()),
        ("kind", of.kind.as_str().into()),
        ("code", of.code.as_str().into()),
        ("subject", of.subject.as_str().into()),
        ("leaf_index", of.leaf_index.into()),
        ("leaf_hash", of.leaf_hash.as_str().into()),
        ("record", of.record.as_ref().map_or(Value::Null, record)),
        ("original", of.original.as_ref().map_or(Value::Null, leaf)),
        ("refusal", of.refusal.as_ref().map_or(Value::Null, refusal)),
        ("receipt", format!("/v1/receipts/{}", of.leaf_index).into()),
    ])
}

fn record(of: &Record) -> Value {
    let party = |of: &Option<InvoiceParty>| of.as_ref().map_or(Value::Null, party);
    let quota = |amount: &str, used: &str| json!({"amount": amount, "used": used});
    match of {
        Record::Issued(of) => json!({"issued": {
            "invoice": of.invoice, "issued_at": time(of.issued_at_ms), "holder": party(&of.holder)}}),
        Record::Transferred(of) => json!({"transferred": {"from": party(&of.from), "to": party(&of.to)}}),
        Record::Locked(of) => json!({"locked": {"token": of.token, "until": time(of.until_ms)}}),
        Record::Renewed(of) => json!({"renewed": {"token": of.token, "until": time(of.until_ms)}}),
        Record::Unlocked(of) => json!({"unlocked": {"token": of.token}}),
        Record::Closed(of) => json!({"closed": {"token": of.token, "closed_at": time(of.closed_at_ms)}}),
        Record::Voided(of) => json!({"voided": {"voided_at": time(of.voided_at_ms)}}),
        Record::Filed(of) => {
            json!({"filed": {"period": of.period, "invoices": of.invoices, "chain": of.chain}})
        }
        Record::Reported(of) => json!({"reported": {"number": of.number, "key": of.key}}),
        Record::LeaseEnded(of) => json!({"lease-ended": {"token": of.token, "until": time(of.until_ms)}}),
        Record::Admitted(of) => json!({"admitted": {"from_height": of.from_height}}),
        Record::Registered(of) => {
            json!({"registered": {"enterprises": of.enterprises, "from_height": of.from_height}})
        }
        Record::Suspended(of) => json!({"suspended": {"from_height": of.from_height}}),
        Record::Reinstated(of) => json!({"reinstated": {"from_height": of.from_height}}),
        Record::Rotated(of) => {
            json!({"rotated": {"added": of.added, "revoked": of.revoked, "from_height": of.from_height}})
        }
        Record::RolesSet(of) => json!({"roles-set": {"former": of.former, "from_height": of.from_height}}),
        Record::Renamed(of) => json!({"renamed": {
            "former_name": of.former_name, "former_taxpayer_id": of.former_taxpayer_id, "from_height": of.from_height}}),
        Record::Mandated(of) => json!({"mandated": {"replaced": of.replaced, "from_height": of.from_height}}),
        Record::Revoked(of) => json!({"revoked": {"from_height": of.from_height}}),
        Record::Attested(of) => {
            json!({"attested": {"mandates": of.mandates, "replaced": of.replaced, "from_height": of.from_height}})
        }
        Record::QuotaGranted(of) => json!({"quota-granted": quota(&of.amount, &of.used)}),
        Record::QuotaAdjusted(of) => {
            json!({"quota-adjusted": {"former": of.former, "amount": of.amount, "used": of.used}})
        }
        Record::QuotaPaused(of) => json!({"quota-paused": quota(&of.amount, &of.used)}),
        Record::QuotaResumed(of) => json!({"quota-resumed": quota(&of.amount, &of.used)}),
        Record::Overridden(of) => json!({"overridden": {
            "token": of.token, "platform": of.platform, "enterprise": of.enterprise,
            "lock": of.lock.as_ref().map_or(Value::Null, leaf)}}),
        Record::Booked(_)
        | Record::BookingAdjusted(_)
        | Record::BookingRevoked(_)
        | Record::Used(_)
        | Record::UseRevoked(_)
        | Record::Manifested(_)
        | Record::Corrected(_)
        | Record::Amended(_)
        | Record::PaymentRequested(_)
        | Record::PaymentDecided(_) => record_of_books(of),
        Record::RedRequested(_)
        | Record::RedConfirmed(_)
        | Record::RedDenied(_)
        | Record::RedWithdrawn(_)
        | Record::RedIssued(_)
        | Record::SegmentGranted(_)
        | Record::SegmentClosed(_)
        | Record::IssuedOffline(_) => record_of_letters(of),
    }
}

/// The same of red letters, and of what is issued offline.
fn record_of_letters(of: &Record) -> Value {
    let answered =
        |of: &RedAnsweredRecord| json!({"slip": of.slip, "request": of.request.as_ref().map_or(Value::Null, leaf)});
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
    match of {
        Record::RedRequested(of) => json!({"red-requested": {
            "slip": of.slip, "asked_by": of.asked_by, "other": of.other, "net": of.net, "tax": of.tax,
            "until": time(of.until_ms)}}),
        Record::RedConfirmed(of) => json!({"red-confirmed": answered(of)}),
        Record::RedDenied(of) => json!({"red-denied": answered(of)}),
        Record::RedWithdrawn(of) => json!({"red-withdrawn": answered(of)}),
        Record::RedIssued(of) => json!({"red-issued": object([
            ("invoice", of.invoice.as_str().into()), ("blue", of.blue.as_str().into()),
            ("issued_at", time(of.issued_at_ms)), ("net", of.net.as_str().into()), ("tax", of.tax.as_str().into()),
            ("validity", of.validity.as_str().into()), ("input", of.input.into()), ("claim", of.claim.as_str().into())])}),
        Record::SegmentGranted(of) => json!({"segment-granted": {
            "first": of.first, "last": of.last, "holder": of.holder, "key": of.key, "public": of.public,
            "granted_at": time(of.granted_at_ms), "valid_until": time(of.valid_until_ms),
            "deadline_hours": of.deadline_hours}}),
        Record::SegmentClosed(of) => json!({"segment-closed": {
            "last": of.last, "used": of.used,
            "gaps": of.gaps.iter().map(|gap| json!({"first": gap.first, "last": gap.last})).collect::<Vec<_>>()}}),
        Record::IssuedOffline(of) => json!({"issued-offline": {
            "invoice": of.invoice, "issued_at": time(of.issued_at_ms),
            "holder": of.holder.as_ref().map_or(Value::Null, party), "segment": of.segment,
            "issued_offline_at": time(of.issued_offline_at_ms), "submit_by": time(of.submit_by_ms), "late": of.late}}),
        _ => Value::Null,
    }
}

/// The same of what is in books, and of what parties say.
fn record_of_books(of: &Record) -> Value {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about books")]
    match of {
        Record::Booked(of) => json!({"booked": {"enterprise": of.enterprise}}),
        Record::BookingAdjusted(of) => {
            json!({"booking-adjusted": {"enterprise": of.enterprise, "former": terms(of.former.as_ref())}})
        }
        Record::BookingRevoked(of) => json!({"booking-revoked": {
            "enterprise": of.enterprise, "terms": terms(of.terms.as_ref()),
            "booking": of.booking.as_ref().map_or(Value::Null, leaf)}}),
        Record::Used(of) => json!({"used": {"buyer": of.buyer, "net": of.net, "tax": of.tax}}),
        Record::UseRevoked(of) => json!({"use-revoked": {
            "buyer": of.buyer, "purpose": of.purpose, "period": of.period,
            "used": of.used.as_ref().map_or(Value::Null, leaf)}}),
        Record::Manifested(of) => json!({"manifested": object([
            ("buyer", of.buyer.as_str().into()), ("former", of.former.as_str().into())])}),
        Record::Corrected(of) => json!({"corrected": {"number": of.number}}),
        Record::Amended(of) => json!({"amended": {
            "period": of.period, "number": of.number, "payable": of.payable, "carried": of.carried}}),
        Record::PaymentRequested(of) => json!({"payment-requested": {"period": of.period, "amount": of.amount}}),
        Record::PaymentDecided(of) => json!({"payment-decided": {
            "period": of.period, "result": of.result, "amount": of.amount,
            "request": of.request.as_ref().map_or(Value::Null, leaf)}}),
        _ => Value::Null,
    }
}

fn terms(of: Option<&BookingTerms>) -> Value {
    of.map_or(Value::Null, |of| json!({"code": of.code, "voucher": of.voucher, "period": of.period}))
}

fn party(of: &InvoiceParty) -> Value {
    match &of.party {
        Some(invoice_party::Party::Taxpayer(id)) => json!({"taxpayer": id}),
        Some(invoice_party::Party::Person(id)) => json!({"person": id}),
        None => Value::Null,
    }
}

fn leaf(of: &LeafReference) -> Value {
    json!({"leaf_index": of.leaf_index, "leaf_hash": of.leaf_hash})
}

fn refusal(of: &RefusalReason) -> Value {
    object([
        ("expected", of.expected.as_str().into()),
        ("found", of.found.as_str().into()),
        ("standing", of.standing.as_ref().map_or(Value::Null, standing)),
    ])
}

fn standing(of: &StandingEvent) -> Value {
    object([
        ("organisation", of.holder.as_str().into()),
        ("since", time(of.since_ms)),
        ("until", of.until_ms.map_or(Value::Null, time)),
        ("leaf_index", of.leaf_index.into()),
        ("leaf_hash", of.leaf_hash.as_str().into()),
    ])
}
