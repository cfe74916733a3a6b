//! `GET /v1/invoices`: lists with filters and cursors.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chain::identity::OrganisationId;
use invoice::lifecycle::{Reimbursement, Validity};
use invoice::{InvoiceId, Period};
use ledger::party::{Party, Side};
use ledger::record::InvoiceRecord;
use replica::port::Store;

use crate::access::is_claimant;
use crate::auth::Caller;
use crate::call::{Call, Params};
use crate::cursor::List;
use crate::invoice_state::Documents;
use crate::problem::Problem;
use crate::service::Service;
use crate::views::InvoicePage;

/// The parameters of the list.
const PARAMETERS: [&str; 6] = ["side", "party", "status", "period", "limit", "cursor"];

/// A status to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Validity(Validity),
    Reimbursement(Reimbursement),
}

/// Whose invoices are listed.
enum Whose {
    /// Everybody's.
    All,
    /// A party's on one side, with its organisation if it is on the ledger.
    Party(Party, Side, Option<OrganisationId>),
}

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
    let status = status(params)?;
    let period: Option<Period> = params.parsed("period", "a month, YYYY-MM")?;
    let whose = whose(service, caller, params)?;
    let limit = params.limit(service.app.options.page_rows_max)?;
    let filters = ["side", "party", "status", "period"].map(|name| params.text(name).unwrap_or_default());
    let list = List::new("invoices", &[caller.id().as_str(), filters[0], filters[1], filters[2], filters[3]]);
    let cursor = match (params.text("cursor"), &whose) {
        (None, _) => None,
        (Some(text), Whose::All) => Some(list.read_invoice(text)?.to_string().into_bytes()),
        (Some(text), Whose::Party(..)) => Some(list.read_leaf(text)?.to_be_bytes().to_vec()),
    };
    let now_ms = service.now_ms();
    let fits = |record: &InvoiceRecord| {
        period.is_none_or(|period| record.period == period)
            && status.is_none_or(|status| match status {
                Status::Validity(validity) => record.validity == validity,
                Status::Reimbursement(reimbursement) => record.claim.at(now_ms) == reimbursement,
            })
    };
    let found = match &whose {
        Whose::All => service.query().all_invoices(cursor.as_deref(), limit, |_: &InvoiceId, record| fits(record))?,
        Whose::Party(party, side, organisation) => {
            let sees =
                |record: &InvoiceRecord| caller.sees_everything() || stands_in(party, organisation.as_ref(), record);
            let keep = |_: &InvoiceId, record: &InvoiceRecord| fits(record) && sees(record);
            service.query().party_invoices(party, *side, cursor.as_deref(), limit, keep)?
        }
    };
    let mut documents = Documents::default();
    let invoices = found.rows.iter().map(|(id, record)| {
        let document = documents.read(service, record)?;
        service.invoice_view_of(caller, id, record, document)
    });
    Ok(InvoicePage {
        invoices: invoices.collect::<Result<_, Problem>>()?,
        next: found.next.map(|place| list.write(&place)),
    })
}

/// Whether a party still has to do with an invoice: a list remembers who once held or locked it.
fn stands_in(party: &Party, organisation: Option<&OrganisationId>, record: &InvoiceRecord) -> bool {
    [&record.seller_party, &record.buyer, &record.holder].contains(&party)
        || organisation.is_some_and(|id| is_claimant(id, &record.claim))
}

fn status(params: &Params) -> Result<Option<Status>, Problem> {
    let Some(text) = params.text("status") else {
        return Ok(None);
    };
    Ok(Some(match text {
        "normal" => Status::Validity(Validity::Normal),
        "void" => Status::Validity(Validity::Void),
        "open" => Status::Reimbursement(Reimbursement::Open),
        "locked" => Status::Reimbursement(Reimbursement::Locked),
        "closed" => Status::Reimbursement(Reimbursement::Closed),
        _ => return Err(wrong("status", "normal, void, open, locked or closed", text)),
    }))
}

fn wrong(name: &str, expected: &str, found: &str) -> Problem {
    Problem::new("request.query").at(name, expected, found.chars().take(80).collect::<String>())
}

fn whose<S: Store>(service: &Service<S>, caller: &Caller, params: &Params) -> Result<Whose, Problem> {
    let side = match params.text("side") {
        None => None,
        Some("seller") => Some(Side::Seller),
        Some("buyer") => Some(Side::Buyer),
        Some("holder") => Some(Side::Holder),
        Some("platform") => Some(Side::Platform),
        Some(other) => return Err(wrong("side", "seller, buyer, holder or platform", other)),
    };
    let Some(text) = params.text("party") else {
        if side.is_none() && caller.sees_everything() {
            return Ok(Whose::All);
        }
        let own = Party::Taxpayer(caller.organisation.taxpayer_id.clone());
        return Ok(Whose::Party(own, side.unwrap_or(Side::Seller), Some(caller.id().clone())));
    };
    let (party, organisation) = named(service, text)?;
    let may = match &organisation {
        Some(id) => service.sees_list(caller, id, side.unwrap_or(Side::Seller))?,
        None => caller.sees_everything(),
    };
    if !may {
        // Whether there is such a party is none of the caller's business.
        return Err(Problem::new("organisation.unknown").at("party", "a party the caller may see for", text));
    }
    Ok(Whose::Party(party, side.unwrap_or(Side::Seller), organisation))
}

/// The party of a text: an organisation's id, or a party's own form.
fn named<S: Store>(service: &Service<S>, text: &str) -> Result<(Party, Option<OrganisationId>), Problem> {
    let unknown = || Problem::new("organisation.unknown").at("party", "a party the caller may see for", text);
    if text.contains(':') {
        let expected = "an organisation's id, taxpayer:<id> or person:<id>";
        let party: Party = text.parse().map_err(|_| wrong("party", expected, text))?;
        let organisation = service.query().organisation_of(&party)?;
        return Ok((party, organisation));
    }
    let id = OrganisationId::new(text).map_err(|_| unknown())?;
    let organisation = service.query().organisation(&id)?.ok_or_else(unknown)?;
    Ok((Party::Taxpayer(organisation.taxpayer_id), Some(id)))
}
