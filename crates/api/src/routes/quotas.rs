//! `/v1/quotas`: what a seller may issue in a month.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chain::identity::OrganisationId;
use invoice::Period;
use replica::port::Store;

use crate::call::Call;
use crate::problem::Problem;
use crate::service::Service;
use crate::views::QuotaView;

/// Look at a seller's quota of a month
///
/// What it may issue, what it has used, and what is left. For the seller, those who issue or read for it, agencies and
/// auditors.
#[utoipa::path(
    get, path = "/v1/quotas/{seller}/{period}", operation_id = "show_quota", tag = "quotas",
    params(
        ("seller" = String, Path, description = "The seller's id on the ledger."),
        ("period" = String, Path, description = "The month, `YYYY-MM`."),
    ),
    responses((status = 200, description = "The quota.", body = QuotaView)),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((seller, period)): Path<(String, String)>,
    call: Call,
) -> Result<Json<QuotaView>, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let unknown = || {
                Problem::new("organisation.unknown").at("seller", "a seller whose quotas the caller may see", &*seller)
            };
            let id = OrganisationId::new(seller.clone()).map_err(|_| unknown())?;
            let period: Period = period
                .parse()
                .map_err(|_| Problem::new("request.malformed").at("period", "a month, YYYY-MM", "another text"))?;
            if !service.sees_quotas(caller, &id)? || service.query().organisation(&id)?.is_none() {
                return Err(unknown());
            }
            service.quota_view(&id, period).map(Json)
        })
        .await
}

impl<S: Store> Service<S> {
    /// What a seller may issue in a month, as it stands now.
    pub(crate) fn quota_view(&self, seller: &OrganisationId, period: Period) -> Result<QuotaView, Problem> {
        let (quota, granted) = (self.query().quota(seller, period)?, self.query().granted(seller, period)?);
        Ok(QuotaView::of(seller, period, quota, granted.as_ref()))
    }
}
