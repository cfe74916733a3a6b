//! `/v1/invoices/{id}`: one invoice, its events, receipt and attachment, and what is done with it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chain::hash::Hash;
use chain::identity::OrganisationId;
use ledger::event::{ClaimId, Event, Recipient, Transfer, Void, VoidReason};
use ledger::record::InvoiceRecord;
use replica::port::Store;
use replica::query::EventView;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::parse_id;
use crate::attachments;
use crate::auth::Caller;
use crate::books::in_books;
use crate::call::{Call, header_value, read_json};
use crate::claims::{claim_of, overridden, sees_claim};
use crate::cursor::List;
use crate::hosted::Shows;
use crate::problem::Problem;
use crate::schema;
use crate::service::Service;
use crate::views::{EventPage, EventResult, EventRow, InvoiceView, StatementView};

/// Events of a page at most: each may stand in a statement of 2 MiB.
pub(crate) const EVENTS_PAGE_MAX: usize = 100;

/// Events read for a page at most, shown or not.
const EVENTS_READ_MAX: usize = 200;

/// Look at an invoice
///
/// For its seller, buyer and holder, the platform of its claim, those with their mandate, agencies and auditors;
/// everybody else is told that there is none.
#[utoipa::path(
    get, path = "/v1/invoices/{id}", operation_id = "show_invoice", tag = "invoices",
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier answer."),
    ),
    responses(
        (status = 200, description = "The invoice.", body = InvoiceView, headers(("ETag" = String, description = "Changes whenever the answer does."))),
        (status = 304, description = "Nothing changed."),
    ),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    service
        .read_brief_as(call, move |service, caller, call| {
            let id = parse_id(&id)?;
            let record = service.visible(caller, &id)?;
            let view = service.invoice_view(caller, &id, &record)?;
            tagged(call.headers(), &view)
        })
        .await
}

/// An answer with its entity tag, or 304.
fn tagged(headers: &HeaderMap, view: &InvoiceView) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(view).map_err(|error| Problem::fault(&error))?;
    let tag = format!("\"{}\"", hex::encode(&Hash::of(&bytes).as_bytes()[..16]));
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
    };
    response.headers_mut().insert(ETAG, header_value(&tag));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// The life of an invoice
///
/// Every event about it in order, refused ones too. Bookings and uses of its VAT are listed for those whose books they are
/// in, and who files or reads for them. Locks, renewals, unlocks and closes are listed for those who could
/// claim it themselves; their tokens and hashes, for the platform and the enterprise of the claim, agencies and auditors.
#[utoipa::path(
    get, path = "/v1/invoices/{id}/events", operation_id = "list_invoice_events", tag = "invoices",
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("limit" = Option<usize>, Query, description = "Rows, at most 100."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "A page of events.", body = EventPage)),
    security(("login" = []))
)]
pub(crate) async fn events<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<EventPage>, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            let id = parse_id(&id)?;
            let record = service.visible(caller, &id)?;
            let params = call.query(&["limit", "cursor"])?;
            let limit = params.limit(service.app.options.page_rows_max.min(EVENTS_PAGE_MAX))?;
            let subject = id.to_string();
            let list = List::new("events", &[&subject]);
            let after = params.text("cursor").map(|text| list.read_leaf(text)).transpose()?;
            let reader = Reader { service, caller, sees_lock: service.sees_lock(caller, &record)?, record: &record };
            let (events, next) = reader.page(&subject, after, limit)?;
            Ok(Json(EventPage { events, next: next.map(|leaf| list.write(&leaf.to_be_bytes())) }))
        })
        .await
}

/// Who reads the life of which invoice.
struct Reader<'r, S: Store> {
    service: &'r Service<S>,
    caller: &'r Caller,
    record: &'r InvoiceRecord,
    sees_lock: bool,
}

impl<S: Store> Reader<'_, S> {
    /// So many events behind a leaf, and the leaf where to go on. Goes on reading where the reader sees nothing: neither
    /// a short page nor the cursor is to tell where a hidden event stands.
    fn page(
        &self,
        subject: &str,
        mut after: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<EventRow>, Option<u64>), Problem> {
        let (mut rows, mut read) = (Vec::new(), 0);
        while rows.len() < limit && read < EVENTS_READ_MAX {
            let wanted = limit - rows.len();
            let leaves = self.service.query().subject_leaves(subject, after, wanted)?;
            read += leaves.len();
            let whole = leaves.len() < wanted;
            after = leaves.last().copied().or(after);
            for leaf in leaves {
                rows.extend(self.row(leaf)?);
            }
            if whole {
                return Ok((rows, None));
            }
        }
        Ok((rows, after))
    }

    /// An event as the reader may see it; `None` when that is nothing.
    fn row(&self, leaf: u64) -> Result<Option<EventRow>, Problem> {
        let Some(event) = self.service.query().event(leaf)? else {
            return Ok(None);
        };
        let signed = event.event()?;
        let claim = claim_of(&signed);
        // When a lock began is told by its very place between the other events.
        if claim.is_some() && !self.sees_lock {
            return Ok(None);
        }
        if let Some(whose) = in_books(&event)?
            && event.statement.header().organisation != *self.caller.id()
            && !self.service.sees_books(self.caller, &whose)?
        {
            return Ok(None);
        }
        let row = self.service.event_row(&event)?;
        if let Some(between) = overridden(&event)? {
            let whole = self.caller.sees_everything() || between.contains(self.caller.id());
            return Ok(if whole { Some(row) } else { self.sees_lock.then(|| row.without_claim()) });
        }
        Ok(Some(match claim {
            Some((claim, enterprise)) if !self.sees_claim(&event, claim, enterprise) => row.without_claim(),
            // A lock in the way of another event is a lock all the same. What one signed is no secret to one.
            None if !self.sees_lock && event.statement.header().organisation != *self.caller.id() => {
                row.without_standing()
            }
            Some(_) | None => row,
        }))
    }

    fn sees_claim(&self, event: &EventView, claim: &ClaimId, enterprise: Option<&OrganisationId>) -> bool {
        self.caller.sees_everything() || sees_claim(self.caller.id(), event, claim, enterprise, self.record)
    }
}

/// The receipt of an invoice's issue
///
/// Proves offline, with the genesis alone, that the invoice is on the ledger.
#[utoipa::path(
    get, path = "/v1/invoices/{id}/receipt", operation_id = "show_invoice_receipt", tag = "invoices",
    params(("id" = String, Path, description = "`code-number`, or the 20 digits.")),
    responses((status = 200, description = "The receipt.", content_type = "application/json")),
    security(("login" = []))
)]
pub(crate) async fn receipt<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let id = parse_id(&id)?;
            let record = service.visible(caller, &id)?;
            super::ledger_reads::receipt_of(service, record.issue.index)
        })
        .await
}

/// An invoice's personal data
///
/// The attachment's bytes exactly as they were sent: their SHA-256 is what the document signs. For the parties, those
/// they let issue or read, and the tax bureau.
#[utoipa::path(
    get, path = "/v1/invoices/{id}/attachment", operation_id = "show_attachment", tag = "invoices",
    params(("id" = String, Path, description = "`code-number`, or the 20 digits.")),
    responses((status = 200, description = "The attachment.", body = schema::Attachment)),
    security(("login" = []))
)]
pub(crate) async fn attachment<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let id = parse_id(&id)?;
            let record = service.visible(caller, &id)?;
            if !service.sees_personal(caller, &record)? {
                return Err(Problem::new("attachment.forbidden"));
            }
            let not_held = || Problem::new("attachment.not-held");
            let place = attachments::place(&service.query().document(&record)?).ok_or_else(not_held)?;
            let bytes = service.query().store().attachment(&place)?.ok_or_else(not_held)?;
            Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response())
        })
        .await
}

/// Erase an invoice's personal data
///
/// For good, on this node. The chain verifies without it and reports `redacted`. For the seller and the tax bureau, with
/// a token that covers the empty body, as for every write.
#[utoipa::path(
    delete, path = "/v1/invoices/{id}/attachment", operation_id = "erase_attachment", tag = "invoices",
    params(("id" = String, Path, description = "`code-number`, or the 20 digits.")),
    responses((status = 204, description = "It is not held here, or no longer.")),
    security(("login" = []))
)]
pub(crate) async fn erase_attachment<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<StatusCode, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            let id = parse_id(&id)?;
            let record = service.visible(caller, &id)?;
            if !service.may_erase(caller, &record) {
                return Err(Problem::new("attachment.forbidden"));
            }
            // For good: no token that was minted for reading does it, nor one that was seen before.
            service.cover(caller, &call.parts.method, call.parts.uri.path(), b"")?;
            if let Some(place) = attachments::place(&service.query().document(&record)?) {
                service.query().store().erase_attachment(&place)?;
                tracing::info!(invoice = %id, by = %caller.id(), "erased an attachment");
            }
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

/// To whom an invoice is handed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferRequest {
    /// The new holder.
    #[schema(value_type = schema::Recipient)]
    to: Recipient,
}

/// Hand an invoice to another holder
#[utoipa::path(
    post, path = "/v1/invoices/{id}/transfers", operation_id = "transfer_invoice", tag = "invoices",
    request_body = TransferRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Transferred.", body = EventResult),
        (status = 200, description = "The same had been done before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn transfer<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let TransferRequest { to } = read_json(&write.body)?;
    let event = Event::Transfer(Transfer { invoice: parse_id(&id)?, to });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Why an invoice is taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoidRequest {
    /// The reason.
    #[schema(value_type = schema::VoidReason)]
    reason: VoidReason,
}

/// Take an invoice back
///
/// In the month of issue, while nobody has locked or closed it.
#[utoipa::path(
    post, path = "/v1/invoices/{id}:void", operation_id = "void_invoice", tag = "invoices",
    request_body = VoidRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Voided.", body = EventResult),
        (status = 200, description = "The same had been done before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn act<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(target): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let Some((id, action)) = target.rsplit_once(':') else {
        // Without a verb this is the invoice itself, which is only read.
        return Ok(([(ALLOW, HeaderValue::from_static("GET,HEAD"))], Problem::new("request.method")).into_response());
    };
    if action != "void" {
        return Err(Problem::new("request.path"));
    }
    let id = parse_id(id)?;
    let write = service.write(call).await?;
    let VoidRequest { reason } = read_json(&write.body)?;
    let event = Event::Void(Void { invoice: id, reason });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}
