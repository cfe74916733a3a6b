//! `POST /v1/invoices`: issue with a hosted key.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chain::json::JsonErrorKind;
use invoice::{Document, Personal};
use ledger::event::{Event, Issue};
use replica::port::Store;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::call::{Call, read_json};
use crate::hosted::Shows;
use crate::problem::Problem;
use crate::schema;
use crate::service::Service;
use crate::views::{InvoiceView, StatementView};

/// An invoice to be issued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueRequest {
    /// The document, without code, number and time.
    #[schema(value_type = schema::Document)]
    document: Box<RawValue>,
    /// Personal data: stays on this node, and the document signs its hash.
    #[serde(default)]
    #[schema(value_type = Option<schema::Personal>)]
    personal: Option<Personal>,
}

/// Issue an invoice
///
/// Signs with the caller's key that this node holds. 201 with the invoice; 200 with the original when the seller issued
/// the same document under the same reference before, whenever that was; 409 when it was another document, with the id
/// of the original.
#[utoipa::path(
    post, path = "/v1/invoices", operation_id = "issue_invoice", tag = "invoices",
    request_body = IssueRequest,
    params(
        ("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`, or `wait=<seconds>`."),
    ),
    responses(
        (status = 201, description = "Issued.", body = InvoiceView),
        (status = 200, description = "Issued before, with the same content.", body = InvoiceView),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn issue<S: Store>(State(service): State<Arc<Service<S>>>, call: Call) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let (write, document, attachment) = service
        .run(&write.caller.name(), move |service| {
            let IssueRequest { document, personal } = read(service, &write.body)?;
            let mut document = examined(service, &document)?;
            let attachment = service.attach(&mut document, &personal.unwrap_or_default())?;
            Ok((write, document, attachment))
        })
        .await?;
    let event = issue_event(document);
    service.sign_and_submit(&write, &event, attachment, Shows::Invoice).await
}

fn issue_event(document: Document) -> Event {
    Event::Issue(Box::new(Issue { document }))
}

/// Reads the request strictly. A number where a string is due is the document's mistake, to be listed with its others.
fn read<S: Store>(service: &Service<S>, body: &[u8]) -> Result<IssueRequest, Problem> {
    let Err(error) = chain::json::check(body, &chain::json::JsonLimits::default()) else {
        return read_json(body);
    };
    let number = matches!(
        error.kind,
        JsonErrorKind::NotAnInteger | JsonErrorKind::NumberSpelling | JsonErrorKind::NumberTooLarge
    );
    if number
        && error.path.starts_with("/document")
        && let Ok(request) = serde_json::from_slice::<IssueRequest>(body)
    {
        examined(service, &request.document)?;
    }
    read_json(body)
}

/// The document, or everything that is wrong with it.
fn examined<S: Store>(service: &Service<S>, document: &RawValue) -> Result<Document, Problem> {
    let tip = service.query().tip();
    let date = service.today().ok_or_else(|| Problem::new("node.catching-up"))?;
    let examined = invoice::examine(document.get().as_bytes(), &tip.parameters().rules, date);
    match examined.document {
        Some(document) if examined.validation.is_valid() => Ok(document),
        Some(_) | None => {
            let mut violations = examined.validation.violations;
            for violation in &mut violations {
                violation.path = format!("/document{}", violation.path);
            }
            let found = format!("{} violations", violations.len());
            let problem = Problem::new("document.invalid").at("/document", "a document that keeps the rules", found);
            Err(problem.violations(&violations))
        }
    }
}
