//! `/v1/numbers`: which numbers of each code were given, and what became of them.
//!
//! How far a code has come, and how much of it was taken back, says what all sellers together do: that is for auditors and
//! the tax bureau. Who holds segments for a contingency, or has a mandate that opens a holder's, sees those segments and nothing
//! about the numbers of others; the numbers of its own invoices elsewhere are in its list of invoices.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chain::identity::OrganisationId;
use ledger::contingency::is_of_segments;
use ledger::organisation::Mandate;
use replica::port::Store;
use replica::query::{CodeView, NumbersPage};

use crate::auth::Caller;
use crate::call::Call;
use crate::cursor::List;
use crate::members::SEEING_MEMBERS;
use crate::problem::{Problem, cut};
use crate::service::Service;
use crate::views::{CodePage, CodeRow, NumbersView};

/// List codes
///
/// For auditors and the tax bureau every code of which a number was given, and how far it has come; for everybody else the
/// codes of segments for a contingency.
#[utoipa::path(
    get, path = "/v1/numbers", operation_id = "list_codes", tag = "numbers",
    params(
        ("limit" = Option<usize>, Query, description = "Rows, at most what /v1/limits says; 100 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "A page of codes.", body = CodePage)),
    security(("login" = []))
)]
pub(crate) async fn list<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<CodePage>, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            let params = call.query(&["limit", "cursor"])?;
            let limit = params.limit(service.app.options.page_rows_max)?;
            let whole = service.sees_all_numbers(caller);
            let list = List::new("codes", &[]);
            let after = params.text("cursor").map(|cursor| list.read_code(cursor)).transpose()?;
            let mut codes = service.query().codes(after.as_deref(), limit + 1, !whole)?;
            let more = codes.len() > limit;
            codes.truncate(limit);
            let next = codes.last().filter(|_| more).map(|last| list.write(last.code.as_bytes()));
            Ok(Json(CodePage { codes: codes.iter().map(|code| CodeRow::of(code, whole)).collect(), next }))
        })
        .await
}

/// Look at the numbers of a code
///
/// What became of them, at most 5,000 or five segments a page: without gaps from 1 to the next, but for segments for a
/// contingency, whose unused numbers are declared when they are closed. The first page proves the next number. Who is
/// neither auditor nor the tax bureau sees the segments that it holds, or that a mandate opens to it.
#[utoipa::path(
    get, path = "/v1/numbers/{code}", operation_id = "show_numbers", tag = "numbers",
    params(
        ("code" = String, Path, description = "The 12 digits of a code, or the first 5 of digital numbers."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "A page of the code's numbers.", body = NumbersView)),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(code): Path<String>,
    call: Call,
) -> Result<Json<NumbersView>, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            let params = call.query(&["cursor"])?;
            let unknown = || {
                let expected = "a code with numbers that the caller may see";
                Problem::new("numbers.unknown").at("code", expected, cut(code.clone()))
            };
            let whole = service.sees_all_numbers(caller);
            let known = service.query().code(&code)?.filter(|known| whole || is_of_segments(&known.code));
            let known = known.ok_or_else(unknown)?;
            // Where a page ends says how many segments others have: that is told to those alone who may have some on it.
            if !whole && !service.sees_segments(caller)? {
                return Err(unknown());
            }
            let list = List::new("numbers", &[&known.code]);
            let from = params.text("cursor").map(|cursor| list.read_leaf(cursor)).transpose()?;
            let page = service.numbers_for(caller, &known, from.unwrap_or(1))?;
            if !whole && from.is_none() && page.segments.is_empty() && page.next.is_none() {
                return Err(unknown());
            }
            let proof = if whole && from.is_none() { service.query().proved_counter(&known.code)? } else { None };
            let next = page.next.map(|next| list.write(&next.to_be_bytes()));
            let row = CodeRow::of(&known, whole);
            let time_ms = service.now_ms();
            Ok(Json(NumbersView::of(row, &page, proof.as_ref(), next, time_ms)))
        })
        .await
}

/// Mandates of a caller that are looked at for one that opens segments: as many rows as of segments for a page.
const MANDATES_LOOKED_AT: usize = 5_000;

impl<S: Store> Service<S> {
    fn sees_all_numbers(&self, caller: &Caller) -> bool {
        caller.is_auditor() || self.is_tax_bureau(caller)
    }

    /// Whether the caller ever held a segment, or a mandate opens those of one who did.
    fn sees_segments(&self, caller: &Caller) -> Result<bool, Problem> {
        let query = self.query();
        if query.held_segments(caller.id())? {
            return Ok(true);
        }
        let (mut after, mut looked_at) = (None, 0);
        loop {
            let page = query.mandates_held(caller.id(), after.as_ref(), self.app.options.page_rows_max)?;
            looked_at += page.rows.len();
            for Mandate { from, .. } in &page.rows {
                if query.held_segments(from)? && query.mandated(from, caller.id(), &SEEING_MEMBERS)? {
                    return Ok(true);
                }
            }
            after = page.next;
            if after.is_none() || looked_at >= MANDATES_LOOKED_AT {
                // Whom so many have given a mandate is no stranger, and finds on the page what it may see.
                return Ok(after.is_some());
            }
        }
    }

    /// What the caller may see of a page of a code's numbers.
    fn numbers_for(&self, caller: &Caller, code: &CodeView, from: u64) -> Result<NumbersPage, Problem> {
        if self.sees_all_numbers(caller) {
            return Ok(self.query().numbers(code, from)?);
        }
        // Thousands of segments have a few holders.
        let known: RefCell<BTreeMap<OrganisationId, bool>> = RefCell::default();
        let holds = |holder: &OrganisationId| {
            if let Some(holds) = known.borrow().get(holder) {
                return Ok(*holds);
            }
            let holds = caller.id() == holder || self.query().mandated(holder, caller.id(), &SEEING_MEMBERS)?;
            known.borrow_mut().insert(holder.clone(), holds);
            Ok(holds)
        };
        Ok(self.query().numbers_held(code, from, holds)?)
    }
}
