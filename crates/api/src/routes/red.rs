//! Red letters and the slips that allow them, with a hosted key. The node adds the invoice's document.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use invoice::InvoiceId;
use ledger::event::{Event, IssueRed, RedConfirm, RedDeny, RedRequest, RedWithdraw, Take, VoidReason};
use replica::port::Store;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::parse_id;
use crate::call::{Call, read_json};
use crate::hosted::{Shows, Write};
use crate::problem::Problem;
use crate::schema;
use crate::service::Service;
use crate::views::{EventResult, InvoiceView, StatementView};

/// A red letter to be issued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedLetterRequest {
    /// The seller's own number of the red letter, unique for this seller among all its documents, for ever: 1 to 64
    /// printable ASCII characters without space.
    reference: String,
    /// Why.
    #[schema(value_type = schema::VoidReason)]
    reason: VoidReason,
    /// What is taken back.
    #[schema(value_type = schema::Take)]
    take: Take,
    /// The slip that allows it: needed once the invoice is booked, used, claimed or handed on.
    #[serde(default)]
    slip: Option<u32>,
}

/// A slip to be asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlipRequest {
    /// Why.
    #[schema(value_type = schema::VoidReason)]
    reason: VoidReason,
    /// What is to be taken back.
    #[schema(value_type = schema::Take)]
    take: Take,
}

/// Nothing but what the path says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlipAnswerRequest {}

/// Issue a red letter
///
/// For the seller and who issues for it: alone while nobody relies on the invoice, else under a slip that the other side
/// has confirmed for just these amounts. It has a number of its own and takes back some or all of the invoice, at the
/// invoice's rates.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/red-letters", operation_id = "issue_red_letter", tag = "red-letters",
    request_body = RedLetterRequest,
    params(
        ("id" = String, Path, description = "The invoice to be taken back: `code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "The red letter was issued.", body = InvoiceView),
        (status = 200, description = "The same red letter had been issued before.", body = InvoiceView),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn issue<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let RedLetterRequest { reference, reason, take, slip } = read_json(&write.body)?;
    let document = service.document_to_take_back(&write, invoice).await?;
    let reference = reference.parse::<ledger::event::ClaimId>().map_err(|error| {
        let expected = "1 to 64 printable ASCII characters without space";
        Problem::new("event.malformed").at("/reference", expected, error.found)
    })?;
    let reference = reference.to_string();
    let event = Event::IssueRed(Box::new(IssueRed { invoice, document, reference, reason, take, slip }));
    service.sign_and_submit(&write, &event, None, Shows::Invoice).await
}

/// Ask the other side to agree to a red letter
///
/// For the seller and who issues for it, and for the buyer and who files for it. The slip lapses when the other side has
/// not answered within 72 hours of block time.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/slips", operation_id = "request_slip", tag = "red-letters",
    request_body = SlipRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Asked for.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn request<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let invoice = parse_id(&id)?;
    let SlipRequest { reason, take } = read_json(&write.body)?;
    let document = service.document_to_take_back(&write, invoice).await?;
    let event = Event::RedRequest(Box::new(RedRequest { invoice, document, reason, take }));
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Confirm, deny and withdraw share one route, because the verb stands in the last segment.
pub(crate) async fn act<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((id, target)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let (slip, action) = target.rsplit_once(':').ok_or_else(|| Problem::new("request.path"))?;
    if !["confirm", "deny", "withdraw"].contains(&action) {
        return Err(Problem::new("request.path"));
    }
    let invoice = parse_id(&id)?;
    let slip: u32 = slip
        .parse()
        .map_err(|_| Problem::new("red.slip-unknown").at("slip", "the number of a slip", "another text"))?;
    let event = match action {
        "confirm" => Event::RedConfirm(RedConfirm { invoice, slip }),
        "deny" => Event::RedDeny(RedDeny { invoice, slip }),
        _ => Event::RedWithdraw(RedWithdraw { invoice, slip }),
    };
    let write = service.write(call).await?;
    let SlipAnswerRequest {} = read_json(&write.body)?;
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// Agree to a red letter that the other side asks for
#[utoipa::path(
    post, path = "/v1/invoices/{id}/slips/{slip}:confirm", operation_id = "confirm_slip", tag = "red-letters",
    request_body = SlipAnswerRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("slip" = u32, Path, description = "The number of the invoice's newest slip."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Confirmed.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn confirm() {}

/// Do not agree to a red letter that the other side asks for
#[utoipa::path(
    post, path = "/v1/invoices/{id}/slips/{slip}:deny", operation_id = "deny_slip", tag = "red-letters",
    request_body = SlipAnswerRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("slip" = u32, Path, description = "The number of the invoice's newest slip."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Denied.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn deny() {}

/// Ask for a red letter no longer, confirmed or not
#[utoipa::path(
    post, path = "/v1/invoices/{id}/slips/{slip}:withdraw", operation_id = "withdraw_slip", tag = "red-letters",
    request_body = SlipAnswerRequest,
    params(
        ("id" = String, Path, description = "`code-number`, or the 20 digits."),
        ("slip" = u32, Path, description = "The number of the invoice's newest slip."),
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
    ),
    responses(
        (status = 201, description = "Withdrawn.", body = EventResult),
        (status = 200, description = "Decided before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn withdraw() {}

impl<S: Store> Service<S> {
    /// The document of an invoice that the caller may see: the ledger's state holds only its hash, so events about red
    /// letters carry it.
    async fn document_to_take_back(
        self: &Arc<Self>,
        write: &Write,
        invoice: InvoiceId,
    ) -> Result<invoice::Document, Problem> {
        let caller = write.caller.clone();
        let read = move |service: &Service<S>| {
            let record = service.visible(&caller, &invoice)?;
            Ok(service.query().document(&record)?)
        };
        self.run(&write.caller.name(), read).await
    }
}
