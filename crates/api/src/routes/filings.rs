//! `/v1/filings`: taxpayers' months, and how they are filed.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use chain::identity::OrganisationId;
use invoice::Period;
use invoice::document::RateTotal;
use ledger::event::{Event, File, InputTotal};
use ledger::filing::{self, Due};
use ledger::party::Side;
use replica::port::Store;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::call::{Call, read_json};
use crate::hosted::Shows;
use crate::listing::{PageRoom, wrong};
use crate::problem::Problem;
use crate::schema;
use crate::service::Service;
use crate::time::format_ms;
use crate::views::{
    DifferenceView, EventResult, FiledView, FilingList, FilingView, InputTotalView, RateTotalView, StatementView,
};

/// Taxpayers of one list at most: their ids must fit into a line of a request.
const LISTED_MAX: usize = 200;

/// Taxpayers of one group at most: each has an event of its own in one statement.
const GROUP_MAX: usize = 1_000;

/// A month to be filed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRequest {
    /// The taxpayer.
    #[schema(value_type = String)]
    seller: OrganisationId,
    /// The month, in UTC+8.
    #[schema(value_type = String, example = "2026-01")]
    period: Period,
    /// How many invoices stand.
    invoices: u64,
    /// Their net and tax by rate; rates that sum to nothing may be left out.
    #[schema(value_type = Vec<schema::FileTotal>)]
    output: Vec<RateTotal>,
    /// What is used of the VAT of invoices that it was given, by use; none when absent.
    #[serde(default)]
    #[schema(value_type = Vec<schema::InputTotal>)]
    input: Vec<InputTotal>,
    /// What it sold without invoices, by rate: each rate once, ascending. None when absent.
    #[serde(default)]
    #[schema(value_type = Vec<schema::FileTotal>, max_items = 32)]
    uninvoiced: Vec<RateTotal>,
}

/// The months of many taxpayers to be filed as the ledger holds them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupRequest {
    /// The month, in UTC+8.
    #[schema(value_type = String, example = "2026-01")]
    period: Period,
    /// The taxpayers, each once.
    #[schema(max_items = 1_000)]
    entities: Vec<GroupEntity>,
}

/// One taxpayer of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupEntity {
    /// The taxpayer.
    #[schema(value_type = String)]
    taxpayer: OrganisationId,
    /// What it sold without invoices, by rate: each rate once, ascending. None when absent.
    #[serde(default)]
    #[schema(value_type = Vec<schema::FileTotal>, max_items = 32)]
    uninvoiced: Vec<RateTotal>,
}

/// File a taxpayer's ended month
///
/// The totals must be those of the ledger; `GET /v1/filings/{seller}/{period}` shows them. What was sold without invoices
/// the ledger cannot know.
#[utoipa::path(
    post, path = "/v1/filings", operation_id = "file_month", tag = "filings",
    request_body = FileRequest,
    params(("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried.")),
    responses(
        (status = 201, description = "Filed.", body = EventResult),
        (status = 200, description = "Filed with these totals before.", body = EventResult),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn file<S: Store>(State(service): State<Arc<Service<S>>>, call: Call) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let FileRequest { seller, period, invoices, output, input, uninvoiced } = read_json(&write.body)?;
    let event = Event::File(File { seller, period, invoices, output, input, uninvoiced });
    service.sign_and_submit(&write, &event, None, Shows::Event).await
}

/// File the ended month of many taxpayers at once
///
/// Each month is filed as the ledger holds it, with what was sold without invoices beside it. All stand in one statement,
/// each for itself: the answer says what became of each, in their order. A retry under the same key is safe, and so is
/// another request: months that are filed as they are asked to be are answered with their filing.
#[utoipa::path(
    post, path = "/v1/filings:group", operation_id = "file_months", tag = "filings",
    request_body = GroupRequest,
    params(("Idempotency-Key" = String, Header, description = "Chosen for this write, repeated when it is retried.")),
    responses(
        (status = 201, description = "Something of it was filed.", body = StatementView),
        (status = 200, description = "All that is filed of it had been filed before.", body = StatementView),
        (status = 202, description = "It waits.", body = StatementView),
    ),
    security(("login" = []))
)]
pub(crate) async fn file_group<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Response, Problem> {
    let write = service.write(call).await?;
    let GroupRequest { period, entities } = read_json(&write.body)?;
    if !(1..=GROUP_MAX).contains(&entities.len()) {
        let (expected, found) = (format!("1 to {GROUP_MAX} taxpayers"), entities.len().to_string());
        return Err(Problem::new("request.malformed").at("/entities", expected, found));
    }
    let caller = write.caller.clone();
    let fill = move |service: &Service<S>| {
        let file = |entity: GroupEntity| {
            let mut file = service.prefilled(&caller, &entity.taxpayer, period)?;
            file.uninvoiced = entity.uninvoiced;
            Ok(Event::File(file))
        };
        entities.into_iter().map(file).collect::<Result<Vec<_>, Problem>>()
    };
    let events = service.run(&write.caller.name(), fill).await?;
    service.sign_and_submit_each(&write, &events).await
}

/// Look at the months of several taxpayers
///
/// What the ledger holds of each, ready to be filed as it is, and whether it was filed.
#[utoipa::path(
    get, path = "/v1/filings", operation_id = "list_months", tag = "filings",
    params(
        ("period" = String, Query, description = "The month, `YYYY-MM`."),
        ("taxpayers" = String, Query, description = "Their ids on the ledger, with commas between them; at most 200."),
    ),
    responses((status = 200, description = "The months.", body = FilingList)),
    security(("login" = []))
)]
pub(crate) async fn list<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<FilingList>, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            let params = call.query(&["period", "taxpayers"])?;
            let expected = "a month, YYYY-MM";
            let period = params.parsed("period", expected)?.ok_or_else(|| wrong("period", expected, "nothing"))?;
            let taxpayers: Vec<&str> = params.text("taxpayers").unwrap_or_default().split(',').collect();
            if taxpayers.len() > LISTED_MAX {
                return Err(wrong("taxpayers", &format!("at most {LISTED_MAX}"), &taxpayers.len().to_string()));
            }
            let mut once = BTreeSet::new();
            if let Some(again) = taxpayers.iter().find(|taxpayer| !once.insert(**taxpayer)) {
                return Err(wrong("taxpayers", "each taxpayer once", again));
            }
            let mut list = FilingList { filings: Vec::new(), unknown: Vec::new(), left: Vec::new() };
            let (mut room, mut taxpayers) = (PageRoom::default(), taxpayers.into_iter());
            for taxpayer in taxpayers.by_ref() {
                match service.filing_view(caller, taxpayer, period)? {
                    Some(view) if room.takes(&view) => list.filings.push(view),
                    Some(_) => {
                        list.left.push(taxpayer.to_owned());
                        break;
                    }
                    None => list.unknown.push(crate::problem::cut(taxpayer.to_owned())),
                }
            }
            list.left.extend(taxpayers.map(str::to_owned));
            Ok(Json(list))
        })
        .await
}

/// Look at a taxpayer's month
///
/// What the ledger holds, ready to be filed as it is; and when it was filed, what was declared, every amendment, and what
/// was paid.
#[utoipa::path(
    get, path = "/v1/filings/{seller}/{period}", operation_id = "show_month", tag = "filings",
    params(
        ("seller" = String, Path, description = "The taxpayer's id on the ledger."),
        ("period" = String, Path, description = "The month, `YYYY-MM`."),
    ),
    responses((status = 200, description = "The month.", body = FilingView)),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((seller, period)): Path<(String, String)>,
    call: Call,
) -> Result<Json<FilingView>, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let unknown = || {
                Problem::new("organisation.unknown").at("seller", "a seller whose months the caller may see", &*seller)
            };
            // Whose month it is comes first: who may not see it learns nothing about the rest.
            let id = OrganisationId::new(seller.clone()).map_err(|_| unknown())?;
            let period = read_period(&period)?;
            service.filing_view(caller, id.as_str(), period)?.map(Json).ok_or_else(unknown)
        })
        .await
}

/// The month of a path.
pub(crate) fn read_period(text: &str) -> Result<Period, Problem> {
    text.parse().map_err(|_| Problem::new("request.malformed").at("period", "a month, YYYY-MM", "another text"))
}

impl<S: Store> Service<S> {
    /// A taxpayer's month; `None` when there is none that the caller may see.
    fn filing_view(&self, caller: &Caller, taxpayer: &str, period: Period) -> Result<Option<FilingView>, Problem> {
        let Ok(id) = OrganisationId::new(taxpayer.to_owned()) else { return Ok(None) };
        let Some(held) = self.held(caller, &id, period)? else { return Ok(None) };
        let filed = self.query().filed(&id, period)?;
        let differences = filed.as_ref().map(|filed| {
            // What was sold without invoices the ledger does not hold.
            filing::differences(&held, &File { uninvoiced: Vec::new(), ..filed.returned(&id, period) })
        });
        let filed = match filed {
            None => None,
            Some(filed) => {
                let missing = |what: String| Problem::fault(&replica::replica::Fault::Ledger { height: 0, what });
                let amendments = (1..=filed.dues.amendments).map(|number| {
                    let found = self.query().amendment(&id, period, number)?;
                    found.ok_or_else(|| missing(format!("amendment {number} of {id}/{period} is missing")))
                });
                let amendments = amendments.collect::<Result<Vec<_>, Problem>>()?;
                let payments = filed.dues.orders.iter().map(|order| {
                    let found = self.query().payment(&id, order)?;
                    found.ok_or_else(|| missing(format!("payment order {order} of {id} is missing")))
                });
                let payments = payments.collect::<Result<Vec<_>, Problem>>()?;
                Some(FiledView::of(&filed, &amendments, &payments))
            }
        };
        let due = Due::of(&held.output, &[], &held.input).ok_or_else(|| Problem::new("filing.sum-overflow"))?;
        Ok(Some(FilingView {
            seller: id.to_string(),
            period: period.to_string(),
            invoices: held.invoices,
            output: held.output.iter().map(RateTotalView::from).collect(),
            input: held.input.iter().map(InputTotalView::from).collect(),
            due: due.into(),
            ends_at: format_ms(period.end_ms()),
            ended: self.now_ms() >= period.end_ms(),
            differences: differences.unwrap_or_default().into_iter().map(DifferenceView::from).collect(),
            filed,
        }))
    }

    /// A month as it is to be filed: as it was, when it was filed before, so that a retry says the same. Of a taxpayer
    /// whose months the caller may not see it is an empty one, which the ledger refuses for that.
    fn prefilled(&self, caller: &Caller, taxpayer: &OrganisationId, period: Period) -> Result<File, Problem> {
        let Some(held) = self.held(caller, taxpayer, period)? else {
            let (seller, none) = (taxpayer.clone(), Vec::new);
            return Ok(File { seller, period, invoices: 0, output: vec![], input: none(), uninvoiced: vec![] });
        };
        let filed = self.query().filed(taxpayer, period)?;
        Ok(filed.map_or(held, |filed| filed.returned(taxpayer, period)))
    }

    /// What the ledger holds of a month; `None` when there is none that the caller may see.
    fn held(&self, caller: &Caller, taxpayer: &OrganisationId, period: Period) -> Result<Option<File>, Problem> {
        if !self.sees_months(caller, taxpayer)? {
            return Ok(None);
        }
        let Some(organisation) = self.query().organisation(taxpayer)? else { return Ok(None) };
        let overflow = || Problem::new("filing.sum-overflow");
        let month = self.query().month(period, Side::Seller, &organisation)?.ok_or_else(overflow)?;
        let input = self.query().input_of(taxpayer, period)?;
        Ok(Some(File {
            seller: taxpayer.clone(),
            period,
            invoices: month.invoices,
            output: month.output().ok_or_else(overflow)?,
            input: filing::declarable(&input).ok_or_else(overflow)?,
            uninvoiced: Vec::new(),
        }))
    }
}
