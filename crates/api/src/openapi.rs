//! The description of the door: OpenAPI 3.1, generated from the handlers and the shapes they use.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, OpenApi as Description, Ref, RefOr, ResponseBuilder, Type};
use utoipa::{Modify, OpenApi};

use crate::problem::{PROBLEM_JSON, ProblemBody};
use crate::routes::{
    archive, books, events, filings, invoices, issue, ledger_reads, lists, node_routes, numbers, organisations,
    payments, quotas, red, reimbursements, segments, statements, verifications, webhooks,
};
use crate::schema;

/// The description of every route and shape.
pub fn openapi() -> Description {
    Rest::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "E-invoice ledger",
        description = "Every step in the life of an invoice, as signed events on one ledger. Amounts are decimal strings, times RFC 3339 in UTC with milliseconds, hashes lowercase hex. What is wrong is answered with a problem (RFC 9457); its codes are explained at /docs/errors. What is not HTTP/1.1, or has a head above 16 KiB or 64 headers, is answered with a bare 400 or 431, and a head that comes too slowly with nothing: the connection is closed. JSON with duplicate keys, unknown fields or fractional numbers is refused.",
    ),
    tags(
        (name = "statements", description = "Statements that their authors sign."),
        (name = "invoices", description = "Invoices, with keys that this node holds for the caller."),
        (name = "reimbursements", description = "Locks and closes, with keys that this node holds for the platform."),
        (name = "books", description = "Bookings and uses of VAT, with keys that this node holds for the enterprise."),
        (name = "red-letters", description = "Red letters, and the slips that allow them, with keys that this node holds."),
        (name = "segments", description = "Numbers for invoices that are issued while every node is out of reach."),
        (name = "filings", description = "Taxpayers' months: returns, amendments and payments."),
        (name = "quotas", description = "What a seller may issue in a month."),
        (name = "numbers", description = "Which numbers of invoices were given, and what became of them."),
        (name = "verifications", description = "The public check."),
        (name = "events", description = "The events of the ledger, as they happen."),
        (name = "webhooks", description = "The same events, posted to endpoints that are registered at this node."),
        (name = "organisations", description = "Who is on the ledger, with which keys, and who may act for whom."),
        (name = "chain", description = "Receipts, blocks, checkpoints, the archive."),
        (name = "node", description = "This node."),
    ),
    paths(
        statements::submit, statements::prepare, statements::validate, statements::show,
        issue::issue, lists::list, invoices::show, invoices::events, invoices::receipt, invoices::attachment,
        invoices::erase_attachment, invoices::transfer, invoices::act,
        reimbursements::lock, reimbursements::renew, reimbursements::unlock, reimbursements::close,
        books::book, books::adjust, books::revoke_booking, books::use_vat, books::revoke_use, books::manifest,
        books::correct, red::issue, red::request, red::confirm, red::deny, red::withdraw, segments::show, segments::list, events::follow, filings::file, filings::file_group, filings::list, filings::show, payments::amend, payments::request,
        payments::decide, quotas::show, verifications::verify,
        webhooks::register, webhooks::list, webhooks::show, webhooks::change, webhooks::remove, webhooks::rotate_secret,
        webhooks::test_one, webhooks::enable, webhooks::disable, webhooks::dead_letters, webhooks::resend_one,
        webhooks::resend_all,
        numbers::list, numbers::show, ledger_reads::receipt, ledger_reads::block, ledger_reads::checkpoint,
        organisations::list, organisations::show, organisations::mandates, archive::archive,
        node_routes::limits, node_routes::status, node_routes::livez, node_routes::readyz, node_routes::metrics,
        node_routes::advance_clock,
    ),
    components(schemas(ProblemBody, schema::Payload, schema::Event, schema::Attachment)),
    modifiers(&Common)
)]
struct Rest;

/// What every operation has.
struct Common;

impl Modify for Common {
    fn modify(&self, description: &mut Description) {
        let login = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "A JWT of typ einvoice-login+jwt that the organisation signs with a login key on the ledger; aud is this \
                 node's id, exp at most an hour after iat. Writes also need jti, request (method and path, as in \
                 POST /v1/invoices) and body_sha256 (base64url of the SHA-256 of the body), and a token is good for one \
                 write.",
            ))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("login", SecurityScheme::Http(login));
        let problem = ResponseBuilder::new()
            .description("A problem.")
            .header("Retry-After", retry_after())
            .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build())
            .build();
        for item in description.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.clone()));
                describe_headers(operation);
            }
        }
    }
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
    HeaderBuilder::new().schema(Some(seconds)).description(Some("After how many seconds to ask again.")).build()
}

/// What answers carry besides their bodies: where the statement or the new invoice is, and when to ask.
fn describe_headers(operation: &mut Operation) {
    let issues = operation.operation_id.as_deref() == Some("issue_invoice");
    let location = |what: &str| {
        let path = ObjectBuilder::new().schema_type(Type::String).build();
        RefOr::T(HeaderBuilder::new().schema(Some(path)).description(Some(what)).build())
    };
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        match status.as_str() {
            "202" => {
                response.headers.insert("Location".to_owned(), location("The statement that waits."));
                response.headers.insert("Retry-After".to_owned(), RefOr::T(retry_after()));
            }
            "200" | "201" if issues => {
                response.headers.insert("Location".to_owned(), location("The invoice."));
            }
            _ => {}
        }
    }
}
