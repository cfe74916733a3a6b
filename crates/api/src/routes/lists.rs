//! `GET /v1/invoices`: lists with filters and cursors.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use invoice::lifecycle::{Reimbursement, Validity};
use ledger::party::Side;
use replica::port::Store;

use crate::auth::Caller;
use crate::call::{Call, Params};
use crate::invoice_state::Documents;
use crate::listing::{Filter, PageRoom, wrong};
use crate::problem::Problem;
use crate::service::Service;
use crate::views::InvoicePage;

/// The parameters of the list.
const PARAMETERS: [&str; 6] = ["side", "party", "status", "period", "limit", "cursor"];

/// List invoices
///
/// Newest first. Without `party`, the caller's own on the given side (default: seller). Agencies and auditors that name
/// neither list everything, by id. A page may be short and still have a `next`.
#[utoipa::path(
    get, path = "/v1/invoices", operation_id = "list_invoices", tag = "invoices",
    params(
        ("side" = Option<String>, Query, description = "`seller`, `buyer`, `holder` or `platform`."),
        ("party" = Option<String>, Query, description = "An organisation's id, `taxpayer:<id>` or `person:<id>`: the caller, one that gave it a mandate, or for agencies and auditors anybody."),
        ("status" = Option<String>, Query, description = "`normal`, `void`, `open`, `locked` or `closed`."),
        ("period" = Option<String>, Query, description = "The month of issue, `YYYY-MM`."),
        ("limit" = Option<usize>, Query, description = "Rows, at most what /v1/limits says; 100 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before, under the same filters."),
    ),
    responses((status = 200, description = "A page of invoices.", body = InvoicePage)),
    security(("login" = []))
)]
pub(crate) async fn list<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<InvoicePage>, Problem> {
    service.read_as(call, move |service, caller, call| page(service, caller, &call.query(&PARAMETERS)?).map(Json)).await
}

fn page<S: Store>(service: &Service<S>, caller: &Caller, params: &Params) -> Result<InvoicePage, Problem> {
    let (validity, reimbursement) = status(params)?;
    let mut filter = Filter {
        side: side(params)?,
        party: params.text("party"),
        validity,
        reimbursement,
        period: params.parsed("period", "a month, YYYY-MM")?,
        limit: params.limit(service.app.options.page_rows_max)?,
        cursor: params.text("cursor"),
    };
    loop {
        let page = service.list_invoices(caller, &filter)?;
        let (mut documents, mut invoices, mut room) = (Documents::default(), Vec::new(), PageRoom::default());
        for (id, record) in &page.rows {
            let document = documents.read(service, record)?;
            let view = service.invoice_view_of(caller, id, record, document)?;
            if !room.takes(&view) {
                break;
            }
            invoices.push(view);
        }
        if invoices.len() == page.rows.len() {
            return Ok(InvoicePage { invoices, next: page.next });
        }
        // So many fit; the cursor must stand behind the last of them.
        filter.limit = invoices.len();
    }
}

fn side(params: &Params) -> Result<Option<Side>, Problem> {
    Ok(match params.text("side") {
        None => None,
        Some("seller") => Some(Side::Seller),
        Some("buyer") => Some(Side::Buyer),
        Some("holder") => Some(Side::Holder),
        Some("platform") => Some(Side::Platform),
        Some(other) => return Err(wrong("side", "seller, buyer, holder or platform", other)),
    })
}

/// The status to filter by: of one axis or the other.
fn status(params: &Params) -> Result<(Option<Validity>, Option<Reimbursement>), Problem> {
    let Some(text) = params.text("status") else {
        return Ok((None, None));
    };
    Ok(match text {
        "normal" => (Some(Validity::Normal), None),
        "void" => (Some(Validity::Void), None),
        "part-red" => (Some(Validity::PartRed), None),
        "full-red" => (Some(Validity::FullRed), None),
        "open" => (None, Some(Reimbursement::Open)),
        "locked" => (None, Some(Reimbursement::Locked)),
        "closed" => (None, Some(Reimbursement::Closed)),
        _ => return Err(wrong("status", "normal, void, part-red, full-red, open, locked or closed", text)),
    })
}
