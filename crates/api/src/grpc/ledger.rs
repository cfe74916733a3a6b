//! The service for whoever signs statements of any kind and reads invoices.

use chain::hash::StatementId;
use chain::statement::Mode;
use replica::port::Store;
use serde_json::value::RawValue;
use tonic::{Request, Response, Status};
use wire::generated::get_receipt_request::Of;
use wire::generated::ledger_service_server::LedgerService;
use wire::generated::{
    GetInvoiceRequest, GetInvoiceResponse, GetReceiptRequest, GetReceiptResponse, GetStatementRequest,
    GetStatementResponse, ListInvoicesRequest, ListInvoicesResponse, PrepareRequest, PrepareResponse, StatementMode,
    StatementResult, SubmitRequest, SubmitResponse, SubscribeRequest,
};

use super::events::{required, wrong};
use super::reimbursement::{said, wanted};
use super::subscribe::Events;
use super::writes::{Form, Purpose, Writing};
use super::{Handlers, convert, events};
use crate::access::parse_id;
use crate::attachments::ATTACHMENTS_MAX;
use crate::auth::Caller;
use crate::drafting::{check_count, prepared};
use crate::finality::Verdict;
use crate::invoice_state::Documents;
use crate::listing::{Filter, PAGE_BYTES_MAX};
use crate::problem::{Problem, cut};
use crate::service::Service;

/// Bytes of an invoice beside its document, at most about so many.
const ROW_BYTES: usize = 1_024;

#[tonic::async_trait]
impl<S: Store> LedgerService for Handlers<S> {
    type SubscribeStream = Events;

    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        self.read(request, |service, _, message| {
            check_count(message.events.len())?;
            let mode = match StatementMode::try_from(message.mode) {
                Ok(StatementMode::All) => Mode::All,
                Ok(StatementMode::Each) => Mode::Each,
                Ok(StatementMode::Unspecified) | Err(_) => {
                    return Err(wrong("/mode", "a value of StatementMode", message.mode.to_string()));
                }
            };
            for (index, event) in message.events.iter().enumerate() {
                // Else two events could hide in one.
                if serde_json::from_str::<&RawValue>(event).is_err() {
                    return Err(Problem::new("request.json").at(
                        format!("/events/{index}"),
                        "one value of JSON",
                        "none",
                    ));
                }
            }
            let prepared = prepared(service, wanted(message.terms, mode, message.events)?)?;
            Ok(PrepareResponse { prepared: Some(convert::prepared(prepared)) })
        })
        .await
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let read = |message: SubmitRequest, _| {
            let count = message.attachments.len();
            if count > ATTACHMENTS_MAX {
                let expected = format!("at most {ATTACHMENTS_MAX}");
                return Err(Problem::new("attachment.malformed").at("/attachments", expected, count.to_string()));
            }
            Ok(Writing {
                form: Form::Signed(message.statement),
                purpose: Purpose::Any,
                idempotency_key: String::new(),
                attachments: message.attachments,
            })
        };
        let result = Some(self.write(request, read).await?);
        Ok(Response::new(SubmitResponse { result }))
    }

    async fn get_statement(
        &self,
        request: Request<GetStatementRequest>,
    ) -> Result<Response<GetStatementResponse>, Status> {
        self.read(request, |service, caller, message| {
            let id = message.statement_id.parse();
            let id = id.map_err(|_| wrong("/statement_id", "64 hexadecimal digits", cut(message.statement_id)))?;
            Ok(GetStatementResponse { result: Some(became(service, caller, &id)?) })
        })
        .await
    }

    async fn get_invoice(&self, request: Request<GetInvoiceRequest>) -> Result<Response<GetInvoiceResponse>, Status> {
        self.read_brief(request, |service, caller, message| {
            let id = parse_id(&message.invoice)?;
            let record = service.visible(caller, &id)?;
            let view = service.invoice_view(caller, &id, &record)?;
            Ok(GetInvoiceResponse { invoice: Some(service.invoice_message(&record, &id, view)?) })
        })
        .await
    }

    async fn list_invoices(
        &self,
        request: Request<ListInvoicesRequest>,
    ) -> Result<Response<ListInvoicesResponse>, Status> {
        self.read(request, |service, caller, message| {
            let period =
                said(&message.period).map(|text| text.parse().map_err(|_| wrong("/period", "a month, YYYY-MM", text)));
            let mut filter = Filter {
                side: events::side(message.side)?,
                party: said(&message.party),
                validity: events::validity(message.validity)?,
                reimbursement: events::claim_status(message.claim_status, "/claim_status")?,
                period: period.transpose()?,
                limit: events::page_size(message.page_size, service.app.options.page_rows_max)?,
                cursor: said(&message.page_token),
            };
            loop {
                let page = service.list_invoices(caller, &filter)?;
                let (mut documents, mut invoices, mut bytes) = (Documents::default(), Vec::new(), 0);
                for (id, record) in &page.rows {
                    let document = documents.read(service, record)?;
                    let view = service.invoice_view_of(caller, id, record, document)?;
                    let invoice = service.invoice_message(record, id, view)?;
                    bytes += invoice.document.len() + ROW_BYTES;
                    if bytes > PAGE_BYTES_MAX && !invoices.is_empty() {
                        break;
                    }
                    invoices.push(invoice);
                }
                if invoices.len() == page.rows.len() {
                    return Ok(ListInvoicesResponse { invoices, next_page_token: page.next.unwrap_or_default() });
                }
                // So many fit; the cursor must stand behind the last of them.
                filter.limit = invoices.len();
            }
        })
        .await
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Events>, Status> {
        self.follow(request).await
    }

    async fn get_receipt(&self, request: Request<GetReceiptRequest>) -> Result<Response<GetReceiptResponse>, Status> {
        self.read(request, |service, caller, message| {
            let leaf = match required(message.of, "/of", "a leaf's index, or an invoice's id")? {
                Of::LeafIndex(leaf) => {
                    service.must_see_event(caller, leaf)?;
                    leaf
                }
                Of::Invoice(id) => service.visible(caller, &parse_id(&id)?)?.issue.index,
            };
            Ok(GetReceiptResponse { receipt: service.receipt_json(leaf)? })
        })
        .await
    }
}

/// What became of a statement, for whoever signed it or sees everything. Refused as a whole it is an answer all the same,
/// with every outcome: a status, which is what the write gets, has no room for a thousand.
fn became<S: Store>(service: &Service<S>, caller: &Caller, id: &StatementId) -> Result<StatementResult, Problem> {
    let unknown = || Problem::new("statement.unknown");
    let Some(decided) = service.decided_statement(id)? else {
        if service.app.finality.is_expected(id) {
            return Ok(convert::pending(id.to_string()));
        }
        return match service.app.finality.dropped_verdict(id) {
            Some(Verdict::Rejected(rejection)) => Err((*rejection).into()),
            // It is on the ledger, so this goes no deeper.
            Some(Verdict::Repeated(first)) if first != *id => became(service, caller, &first),
            Some(Verdict::Quarantined) => Err(Problem::new("statement.quarantined")),
            Some(Verdict::Repeated(_) | Verdict::Decided | Verdict::Fault) | None => Err(unknown()),
        };
    };
    if !caller.sees_everything() && *caller.id() != decided.organisation {
        return Err(unknown());
    }
    Ok(convert::decided(&decided, false))
}
