//! `/v1/segments`: numbers for a contingency.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chain::identity::OrganisationId;
use ledger::contingency::SegmentRecord;
use replica::port::Store;

use crate::auth::Caller;
use crate::call::Call;
use crate::members::SEEING_MEMBERS;
use crate::problem::Problem;
use crate::service::Service;
use crate::views::{SegmentList, SegmentView};

/// Look at a segment of numbers
///
/// For its holder, those who read for it, agencies and auditors. The receipt of its grant is what a buyer verifies offline
/// certificates with.
#[utoipa::path(
    get, path = "/v1/segments/{first}", operation_id = "show_segment", tag = "segments",
    params(("first" = String, Path, description = "Its first number: `code-number`, or the 20 digits.")),
    responses((status = 200, description = "The segment.", body = SegmentView)),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(first): Path<String>,
    call: Call,
) -> Result<Json<SegmentView>, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let unknown = || Problem::new("segment.unknown").at("first", "a segment that the caller may see", &*first);
            let id = first.parse().map_err(|_| unknown())?;
            let segment = service.query().segment(&id)?.ok_or_else(unknown)?;
            if !service.sees_segment(caller, &segment)? {
                return Err(unknown());
            }
            Ok(Json(SegmentView::at(&segment, service.now_ms())))
        })
        .await
}

/// Look at an organisation's open segments of numbers
#[utoipa::path(
    get, path = "/v1/organisations/{id}/segments", operation_id = "list_segments", tag = "segments",
    params(("id" = String, Path, description = "The organisation's id on the ledger.")),
    responses((status = 200, description = "Its open segments: at most 64.", body = SegmentList)),
    security(("login" = []))
)]
pub(crate) async fn list<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<SegmentList>, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let unknown =
                || Problem::new("organisation.unknown").at("id", "one whose segments the caller may see", &*id);
            let holder = OrganisationId::new(id.clone()).map_err(|_| unknown())?;
            let query = service.query();
            if !service.sees_for(caller, &holder, &SEEING_MEMBERS)? || query.organisation(&holder)?.is_none() {
                return Err(unknown());
            }
            let mut segments = Vec::new();
            for first in query.open_segments(&holder)? {
                // One that was closed between the two reads is open no longer.
                if let Some(segment) = query.segment(&first)?.filter(|segment| segment.closed.is_none()) {
                    segments.push(SegmentView::at(&segment, service.now_ms()));
                }
            }
            Ok(Json(SegmentList { segments }))
        })
        .await
}

impl<S: Store> Service<S> {
    /// Whether a caller sees a segment.
    pub(crate) fn sees_segment(&self, caller: &Caller, segment: &SegmentRecord) -> Result<bool, Problem> {
        self.sees_for(caller, &segment.holder, &SEEING_MEMBERS)
    }
}
