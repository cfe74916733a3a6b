//! Organisations on the ledger, and the mandates between them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chain::identity::OrganisationId;
use invoice::taxpayer::TaxpayerId;
use ledger::organisation::{Mandate, Organisation, RetiredKey, Role, Standing};
use ledger::party::Party;
use replica::port::Store;
use replica::query::MemberPage;

use crate::auth::Caller;
use crate::call::{Call, Params};
use crate::cursor::List;
use crate::listing::{PageRoom, wrong};
use crate::problem::Problem;
use crate::service::Service;
use crate::views::{DirectoryPage, DirectoryView, MandatePage, MandateView};

/// The parameters of the list of organisations.
const LIST_PARAMETERS: [&str; 5] = ["role", "standing", "taxpayer_id", "limit", "cursor"];

/// The parameters of the list of mandates.
const MANDATE_PARAMETERS: [&str; 3] = ["side", "limit", "cursor"];

/// The roles, in order.
const ROLES: [Role; 5] =
    [Role::Agency, Role::ServiceProvider, Role::Enterprise, Role::ReimbursementPlatform, Role::Auditor];

fn unknown() -> Problem {
    Problem::new("organisation.unknown")
}

fn view<S: Store>(
    service: &Service<S>,
    caller: &Caller,
    organisation: &Organisation,
    retired: &[RetiredKey],
) -> Result<DirectoryView, Problem> {
    let former = service.query().former_ids(&organisation.id)?;
    let whole = caller.sees_everything() || *caller.id() == organisation.id;
    Ok(DirectoryView::of(organisation, (&former, retired), whole))
}

/// An organisation on the ledger
///
/// Its name, taxpayer ids, roles, standing, and the public halves of its keys. Agencies, auditors and the organisation
/// itself are also told who holds the private halves, and as what the taxpayer id is registered.
#[utoipa::path(
    get, path = "/v1/organisations/{id}", operation_id = "show_organisation", tag = "organisations",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The organisation.", body = DirectoryView)),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<DirectoryView>, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let id = OrganisationId::new(id).map_err(|_| unknown())?;
            let organisation = service.query().organisation(&id)?.ok_or_else(unknown)?;
            let retired = service.query().retired_keys(&id, service.app.options.page_rows_max)?;
            view(service, caller, &organisation, &retired).map(Json)
        })
        .await
}

/// List organisations
///
/// In the order of their ids. For agencies and auditors. A page may be short and still have a `next`.
#[utoipa::path(
    get, path = "/v1/organisations", operation_id = "list_organisations", tag = "organisations",
    params(
        ("role" = Option<String>, Query, description = "`agency`, `service-provider`, `enterprise`, `reimbursement-platform` or `auditor`."),
        ("standing" = Option<String>, Query, description = "`active` or `suspended`."),
        ("taxpayer_id" = Option<String>, Query, description = "The one that has this taxpayer id, or had it."),
        ("limit" = Option<usize>, Query, description = "Rows, at most what /v1/limits says; 100 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before, under the same filters."),
    ),
    responses((status = 200, description = "A page of organisations.", body = DirectoryPage)),
    security(("login" = []))
)]
pub(crate) async fn list<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<DirectoryPage>, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            if !caller.sees_everything() {
                let found = caller.id().as_str();
                return Err(Problem::new("auth.role-missing").at("", "an agency or auditor", found));
            }
            page(service, caller, &call.query(&LIST_PARAMETERS)?).map(Json)
        })
        .await
}

fn page<S: Store>(service: &Service<S>, caller: &Caller, params: &Params) -> Result<DirectoryPage, Problem> {
    let role = params.text("role").map(role).transpose()?;
    let standing = params.text("standing").map(standing).transpose()?;
    let taxpayer: Option<TaxpayerId> = params.parsed("taxpayer_id", "a taxpayer id")?;
    let limit = params.limit(service.app.options.page_rows_max)?;
    let filters = ["role", "standing", "taxpayer_id"].map(|name| params.text(name).unwrap_or_default());
    let list = List::new("organisations", &filters);
    let after = params.text("cursor").map(|text| list.read_organisation(text)).transpose()?;
    let keep = |organisation: &Organisation| {
        role.is_none_or(|role| organisation.is(role))
            && standing.is_none_or(|standing| organisation.standing == standing)
    };
    let found = match taxpayer {
        None => service.query().organisations(after.as_ref(), limit, keep)?,
        // One at most, found by its id.
        Some(taxpayer) => {
            let organisation = match service.query().organisation_of(&Party::Taxpayer(taxpayer))? {
                Some(id) if after.is_none() => service.query().organisation(&id)?,
                Some(_) | None => None,
            };
            MemberPage { rows: organisation.into_iter().filter(keep).collect(), next: None }
        }
    };
    let (mut organisations, mut room) = (Vec::<DirectoryView>::new(), PageRoom::default());
    for organisation in &found.rows {
        let row = view(service, caller, organisation, &[])?;
        if !room.takes(&row) {
            // The next page begins behind the last that had room.
            let next = organisations.last().map(|last| list.write(last.id.as_bytes()));
            return Ok(DirectoryPage { organisations, next });
        }
        organisations.push(row);
    }
    Ok(DirectoryPage { organisations, next: found.next.map(|id| list.write(id.as_str().as_bytes())) })
}

fn role(text: &str) -> Result<Role, Problem> {
    let known = ROLES.into_iter().find(|role| role.as_str() == text);
    known.ok_or_else(|| wrong("role", &ROLES.map(Role::as_str).join(", "), text))
}

fn standing(text: &str) -> Result<Standing, Problem> {
    match text {
        "active" => Ok(Standing::Active),
        "suspended" => Ok(Standing::Suspended),
        _ => Err(wrong("standing", "active or suspended", text)),
    }
}

/// List mandates
///
/// Those that the organisation gave, or those that it holds, in the order of the other side's ids, ended ones too. The
/// organisation itself, agencies and auditors see all of them; everybody else those between the organisation and
/// themselves.
#[utoipa::path(
    get, path = "/v1/organisations/{id}/mandates", operation_id = "list_mandates", tag = "organisations",
    params(
        ("id" = String, Path, description = "The organisation's id."),
        ("side" = Option<String>, Query, description = "`given` or `held`; `given` when absent."),
        ("limit" = Option<usize>, Query, description = "Rows, at most what /v1/limits says; 100 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before, of the same side."),
    ),
    responses((status = 200, description = "A page of mandates.", body = MandatePage)),
    security(("login" = []))
)]
pub(crate) async fn mandates<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<MandatePage>, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            let id = OrganisationId::new(id).map_err(|_| unknown())?;
            service.query().organisation(&id)?.ok_or_else(unknown)?;
            mandate_page(service, caller, &id, &call.query(&MANDATE_PARAMETERS)?).map(Json)
        })
        .await
}

fn mandate_page<S: Store>(
    service: &Service<S>,
    caller: &Caller,
    id: &OrganisationId,
    params: &Params,
) -> Result<MandatePage, Problem> {
    let query = service.query();
    let given = match params.text("side") {
        None | Some("given") => true,
        Some("held") => false,
        Some(other) => return Err(wrong("side", "given or held", other)),
    };
    let limit = params.limit(service.app.options.page_rows_max)?;
    let list = List::new("mandates", &[caller.id().as_str(), id.as_str(), if given { "given" } else { "held" }]);
    let after = params.text("cursor").map(|text| list.read_organisation(text)).transpose()?;
    let found: MemberPage<Mandate> = if caller.sees_everything() || caller.id() == id {
        if given {
            query.mandates_given(id, after.as_ref(), limit)?
        } else {
            query.mandates_held(id, after.as_ref(), limit)?
        }
    } else {
        let (from, to) = if given { (id, caller.id()) } else { (caller.id(), id) };
        let between = if after.is_none() { query.mandate(from, to)? } else { None };
        MemberPage { rows: between.into_iter().collect(), next: None }
    };
    let time_ms = query.tip().progress.time_ms;
    Ok(MandatePage {
        mandates: found.rows.iter().map(|mandate| MandateView::at(mandate, time_ms)).collect(),
        next: found.next.map(|id| list.write(id.as_str().as_bytes())),
    })
}
