//! From messages to what the ledger knows: events, filters, what is said about an invoice. Every field that is wrong is
//! named.

use std::str::FromStr;

use chain::identity::OrganisationId;
use chain::statement::Nonce;
use invoice::lifecycle::{Reimbursement, Validity};
use ledger::event::{ClaimId, Close, Event, Lock, Renew, Unlock};
use ledger::party::Side;
use wire::generated::verify_request::By;
use wire::generated::{
    ClaimStatus, CloseEvent, InvoiceSide, InvoiceValidity, LockEvent, RenewEvent, UnlockEvent, VerifyRequest,
};

use crate::access::parse_id;
use crate::problem::Problem;
use crate::verification::{Claimed, VerificationRequest};

/// A field that is missing, or has a value that it cannot have.
pub(crate) fn wrong(path: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Problem {
    Problem::new("request.malformed").at(path, expected, found)
}

/// A field that must be there.
pub(crate) fn required<T>(value: Option<T>, path: &str, expected: &str) -> Result<T, Problem> {
    value.ok_or_else(|| wrong(path, expected, "nothing"))
}

fn parsed<T: FromStr>(text: &str, path: String, expected: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| wrong(path, expected, text))
}

fn claim(text: &str, at: &str) -> Result<ClaimId, Problem> {
    parsed(text, format!("{at}/claim"), "1 to 64 printable ASCII characters without space")
}

/// What is absent on the wire is 0, and for the ledger nothing.
fn lease(seconds: u32) -> Option<u32> {
    (seconds != 0).then_some(seconds)
}

/// A lock, as it stands at a path.
pub(crate) fn lock(event: &LockEvent, at: &str) -> Result<Event, Problem> {
    Ok(Event::Lock(Lock {
        invoice: parse_id(&event.invoice)?,
        enterprise: parsed::<OrganisationId>(&event.enterprise, format!("{at}/enterprise"), "an organisation's id")?,
        claim: claim(&event.claim, at)?,
        lease_seconds: lease(event.lease_seconds),
    }))
}

/// Locks of a batch of at most so many.
pub(crate) fn locks(events: &[LockEvent], batch_max: usize) -> Result<Vec<Event>, Problem> {
    if !(1..=batch_max).contains(&events.len()) {
        return Err(wrong("/batch_lock/locks", format!("1 to {batch_max}"), events.len().to_string()));
    }
    events.iter().enumerate().map(|(index, event)| lock(event, &format!("/batch_lock/locks/{index}"))).collect()
}

/// Closes of a batch of at most so many.
pub(crate) fn closes(events: &[CloseEvent], batch_max: usize) -> Result<Vec<Event>, Problem> {
    if !(1..=batch_max).contains(&events.len()) {
        return Err(wrong("/batch_close/closes", format!("1 to {batch_max}"), events.len().to_string()));
    }
    events.iter().enumerate().map(|(index, event)| close(event, &format!("/batch_close/closes/{index}"))).collect()
}

/// A renewal.
pub(crate) fn renew(event: &RenewEvent) -> Result<Event, Problem> {
    Ok(Event::Renew(Renew {
        invoice: parse_id(&event.invoice)?,
        claim: claim(&event.claim, "/renew")?,
        token: event.token,
        lease_seconds: lease(event.lease_seconds),
    }))
}

/// An unlock.
pub(crate) fn unlock(event: &UnlockEvent) -> Result<Event, Problem> {
    let (invoice, claim) = (parse_id(&event.invoice)?, claim(&event.claim, "/unlock")?);
    Ok(Event::Unlock(Unlock { invoice, claim, token: event.token }))
}

/// A close, as it stands at a path.
pub(crate) fn close(event: &CloseEvent, at: &str) -> Result<Event, Problem> {
    let (invoice, claim) = (parse_id(&event.invoice)?, claim(&event.claim, at)?);
    Ok(Event::Close(Close { invoice, claim, token: event.token }))
}

/// The idempotency key of a write with a hosted key.
pub(crate) fn idempotency_key(text: &str) -> Result<Nonce, Problem> {
    if text.is_empty() {
        return Err(Problem::new("idempotency.key-missing").at("/idempotency_key", "1 to 64 characters", "nothing"));
    }
    Nonce::new(text).map_err(|error| {
        let expected = "1 to 64 printable ASCII characters without spaces";
        Problem::new("idempotency.key-malformed").at("/idempotency_key", expected, error.to_string())
    })
}

/// What is said about an invoice.
pub(crate) fn claimed(request: VerifyRequest) -> Result<Claimed, Problem> {
    let said = |text: String| (!text.is_empty()).then_some(text);
    match required(request.by, "/by", "a QR code's text, or details")? {
        By::Qr(qr) => VerificationRequest { qr: Some(qr), ..VerificationRequest::default() },
        By::Details(details) => VerificationRequest {
            qr: None,
            code: said(details.code),
            number: said(details.number),
            date: said(details.date),
            amount: said(details.amount),
            check_code: said(details.check_code),
            leaf_hash: said(details.leaf_hash),
        },
    }
    .claimed()
}

/// How many rows a page may have.
pub(crate) fn page_size(asked: u32, rows_max: usize) -> Result<usize, Problem> {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => Ok(rows_max.min(100)),
        size if size <= rows_max => Ok(size),
        _ => Err(wrong("/page_size", format!("1 to {rows_max}, or 0"), asked.to_string())),
    }
}

/// A status to filter by.
pub(crate) fn claim_status(number: i32, path: &str) -> Result<Option<Reimbursement>, Problem> {
    Ok(match ClaimStatus::try_from(number) {
        Ok(ClaimStatus::Unspecified) => None,
        Ok(ClaimStatus::Open) => Some(Reimbursement::Open),
        Ok(ClaimStatus::Locked) => Some(Reimbursement::Locked),
        Ok(ClaimStatus::Closed) => Some(Reimbursement::Closed),
        Err(_) => return Err(wrong(path, "a value of ClaimStatus", number.to_string())),
    })
}

/// A validity to filter by.
pub(crate) fn validity(number: i32) -> Result<Option<Validity>, Problem> {
    Ok(match InvoiceValidity::try_from(number) {
        Ok(InvoiceValidity::Unspecified) => None,
        Ok(InvoiceValidity::Normal) => Some(Validity::Normal),
        Ok(InvoiceValidity::Void) => Some(Validity::Void),
        Ok(InvoiceValidity::PartRed) => Some(Validity::PartRed),
        Ok(InvoiceValidity::FullRed) => Some(Validity::FullRed),
        Err(_) => return Err(wrong("/validity", "a value of InvoiceValidity", number.to_string())),
    })
}

/// A side to list.
pub(crate) fn side(number: i32) -> Result<Option<Side>, Problem> {
    Ok(match InvoiceSide::try_from(number) {
        Ok(InvoiceSide::Unspecified) => None,
        Ok(InvoiceSide::Seller) => Some(Side::Seller),
        Ok(InvoiceSide::Buyer) => Some(Side::Buyer),
        Ok(InvoiceSide::Holder) => Some(Side::Holder),
        Ok(InvoiceSide::Platform) => Some(Side::Platform),
        Err(_) => return Err(wrong("/side", "a value of InvoiceSide", number.to_string())),
    })
}
