//! `/v1/webhooks`: endpoints that the events of the ledger are posted to.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{ALLOW, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chain::identity::OrganisationId;
use replica::port::Store;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::call::{Call, JSON, header_value, read_json};
use crate::cursor::List;
use crate::feed::Cursor;
use crate::problem::Problem;
use crate::service::Service;
use crate::views::{
    DeadLetterPage, DeadLetterView, ResendView, Shown, WebhookList, WebhookSecretView, WebhookTestView, WebhookView,
};
use crate::webhooks::State as Standing;
use crate::webhooks::endpoint::Settings;
use crate::webhooks::signing::Secret;

/// What is sent where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookRequest {
    /// Where events are posted: an https URL of at most 2,048 characters, at an address that anybody may reach.
    url: String,
    /// Kinds of events, as in the stream; all when absent.
    #[serde(default)]
    kinds: Vec<String>,
    /// Only of this invoice, which the caller may see.
    #[serde(default)]
    invoice: Option<String>,
    /// Only what this organisation may see too: the caller, one that gave it a mandate, or for agencies and auditors any.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// Events in one delivery, 1 to 64. With 1, which it is when absent, each delivery is one `CloudEvent`; with more, each
    /// is an array of at least one.
    #[serde(default)]
    events_max: Option<usize>,
    /// Where to begin: a cursor of the stream, or `start`. Now when absent. Only when it is registered.
    #[serde(default)]
    after: Option<String>,
}

impl WebhookRequest {
    fn read(body: &[u8]) -> Result<(Settings, Option<String>), Problem> {
        let Self { url, kinds, invoice, organisation, events_max, after } = read_json(body)?;
        let settings = Settings { url, kinds, invoice, of: organisation, events_max: events_max.unwrap_or(1) };
        Ok((settings, after))
    }
}

impl<S: Store> Service<S> {
    /// Reads and proves a write that is not for the ledger: login, body if it has one, and the token's cover of
    /// that body.
    async fn local_write(self: &Arc<Self>, call: Call, with_body: bool) -> Result<(Caller, Bytes), Problem> {
        let headers = call.headers().clone();
        let (method, path) = (call.parts.method.clone(), call.parts.uri.path().to_owned());
        let caller = self.run(&self.name(&call), move |service| service.login(&headers)).await?;
        call.known();
        call.query(&[])?;
        let body = if with_body { call.body(self, &[JSON]).await?.1 } else { Bytes::new() };
        self.cover(&caller, &method, &path, &body)?;
        Ok((caller, body))
    }

    fn webhook_view(&self, caller: &Caller, state: &Standing) -> WebhookView {
        let endpoint = &state.endpoint;
        let shown = Shown {
            public_key: self.webhook_secret(endpoint, endpoint.generation).public_text(),
            cursor: Cursor::new(self.query().chain(), state.progress.position).to_string(),
            by_owner: endpoint.organisation == *caller.id(),
        };
        WebhookView::new(state, shown)
    }

    fn webhook_secret_view(&self, caller: &Caller, (state, secret): &(Standing, Secret)) -> WebhookSecretView {
        WebhookSecretView { webhook: self.webhook_view(caller, state), secret: secret.to_text() }
    }
}

/// Register an endpoint
///
/// From now on, or from a cursor on, events are posted to it as `CloudEvents` 1.0 in JSON, in the order of the log, signed by
/// the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` and `webhook-signature`, with a `v1` of the secret
/// and a `v1a` of the public key. What is not answered with 2xx is tried again, ten times over three days, before anything
/// behind it is sent; then it is kept as a dead letter. A delivery may come twice, always under the same `webhook-id`, until
/// other events are chosen. 410 disables the endpoint; redirects are not followed. The registration holds at this node alone, and as long as the login
/// key that made it.
#[utoipa::path(
    post, path = "/v1/webhooks", operation_id = "register_webhook", tag = "webhooks",
    request_body = WebhookRequest,
    responses((status = 201, description = "Registered. The secret is shown this once.", body = WebhookSecretView)),
    security(("login" = []))
)]
pub(crate) async fn register<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Response, Problem> {
    let (caller, body) = service.local_write(call, true).await?;
    let (settings, after) = WebhookRequest::read(&body)?;
    service.must_take_writes()?;
    let name = caller.name();
    let registering = Arc::clone(&service);
    let view = service.run(&name, move |service| {
        let registered = registering.register_webhook(&caller, settings, after.as_deref())?;
        Ok(service.webhook_secret_view(&caller, &registered))
    });
    let view = view.await?;
    let location = header_value(&format!("/v1/webhooks/{}", view.webhook.id));
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

/// List endpoints
///
/// Those of the caller. Who runs this node may ask for those of another organisation, or for `all`.
#[utoipa::path(
    get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks",
    params(("organisation" = Option<String>, Query, description = "Whose: the caller's when absent; another's, or `all`, for who runs this node.")),
    responses((status = 200, description = "The endpoints.", body = WebhookList)),
    security(("login" = []))
)]
pub(crate) async fn list<S: Store>(
    State(service): State<Arc<Service<S>>>,
    call: Call,
) -> Result<Json<WebhookList>, Problem> {
    service
        .read_as(call, |service, caller, call| {
            let params = call.query(&["organisation"])?;
            let of = match params.text("organisation") {
                None => Some(caller.id().clone()),
                Some(own) if own == caller.id().as_str() => Some(caller.id().clone()),
                Some(_) if !service.operates(caller) => return Err(Problem::new("auth.role-missing")),
                Some("all") => None,
                Some(id) => Some(OrganisationId::new(id).map_err(|_| Problem::new("organisation.unknown"))?),
            };
            let states = service.webhooks_of(of.as_ref());
            Ok(Json(WebhookList { webhooks: states.iter().map(|state| service.webhook_view(caller, state)).collect() }))
        })
        .await
}

/// Look at an endpoint
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", operation_id = "show_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "The endpoint.", body = WebhookView)),
    security(("login" = []))
)]
pub(crate) async fn show<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<WebhookView>, Problem> {
    service
        .read_as(call, move |service, caller, _| {
            let hook = service.webhook(caller, &id, true)?;
            Ok(Json(service.webhook_view(caller, &hook.state())))
        })
        .await
}

/// Change an endpoint
///
/// All of what is chosen for it, but where it began. What waits to be tried again is tried at once: when other events are
/// chosen, anew from its first event, under another `webhook-id`, also when the receiver took it a moment ago. Each event has
/// the id that it had. From now on the endpoint stands by the login key of this very request.
#[utoipa::path(
    put, path = "/v1/webhooks/{id}", operation_id = "change_webhook", tag = "webhooks",
    request_body = WebhookRequest,
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "Changed.", body = WebhookView)),
    security(("login" = []))
)]
pub(crate) async fn change<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<WebhookView>, Problem> {
    let (caller, body) = service.local_write(call, true).await?;
    let (settings, after) = WebhookRequest::read(&body)?;
    if after.is_some() {
        return Err(Problem::new("request.malformed").at("/after", "nothing: where it began stays", "a cursor"));
    }
    let name = caller.name();
    let change = move |service: &Service<S>| {
        let state = service.change_webhook(&caller, &id, settings)?;
        Ok(Json(service.webhook_view(&caller, &state)))
    };
    service.run(&name, change).await
}

/// Remove an endpoint
///
/// With its dead letters, for good. What is under way may still arrive. With a token that covers the empty body.
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", operation_id = "remove_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 204, description = "Removed.")),
    security(("login" = []))
)]
pub(crate) async fn remove<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<StatusCode, Problem> {
    let (caller, _) = service.local_write(call, false).await?;
    let name = caller.name();
    let remove = move |service: &Service<S>| service.remove_webhook(&caller, &id).map(|()| StatusCode::NO_CONTENT);
    service.run(&name, remove).await
}

/// List dead letters
///
/// What was given up after its last try, in the order of the log, for the owner and for who runs this node. The events
/// themselves are on the ledger.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/dead-letters", operation_id = "list_dead_letters", tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint's id."),
        ("limit" = Option<usize>, Query, description = "Rows."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = DeadLetterPage)),
    security(("login" = []))
)]
pub(crate) async fn dead_letters<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<DeadLetterPage>, Problem> {
    service
        .read_as(call, move |service, caller, call| {
            let of = service.webhook(caller, &id, true)?.state().endpoint.id;
            let params = call.query(&["limit", "cursor"])?;
            let limit = params.limit(service.app.options.page_rows_max)?;
            let list = List::new("dead-letters", &[of.as_str()]);
            let after = params.text("cursor").map(|text| list.read_leaf(text)).transpose()?;
            let letters = service.dead_letters(&of, after.unwrap_or(0), limit)?;
            let next = letters.last().filter(|_| letters.len() == limit).map(|last| last.through);
            Ok(Json(DeadLetterPage {
                dead_letters: letters.iter().map(|letter| DeadLetterView::new(&of, letter)).collect(),
                next: next.map(|through| list.write(&through.to_be_bytes())),
            }))
        })
        .await
}

/// Send a dead letter again
///
/// Once, before anything that is new, and under the id it had, unless other events were chosen since. It leaves the list when
/// it is taken. For the owner and for who runs this node, with a token that covers the empty body.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/dead-letters/{message}:resend", operation_id = "resend_dead_letter", tag = "webhooks",
    params(
        ("id" = String, Path, description = "The endpoint's id."),
        ("message" = String, Path, description = "The message's id."),
    ),
    responses((status = 202, description = "It will be sent.", body = ResendView)),
    security(("login" = []))
)]
pub(crate) async fn resend_one<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path((id, target)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    match target.rsplit_once(':') {
        Some((message, "resend")) => resend(service, id, Some(message.to_owned()), call).await,
        Some(_) | None => Err(Problem::new("request.path")),
    }
}

async fn resend<S: Store>(
    service: Arc<Service<S>>,
    id: String,
    message: Option<String>,
    call: Call,
) -> Result<Response, Problem> {
    let (caller, _) = service.local_write(call, false).await?;
    let name = caller.name();
    let ask = move |service: &Service<S>| service.resend(&caller, &id, message.as_deref());
    let asked = service.run(&name, ask).await?;
    let view = ResendView { resending: u64::try_from(asked).unwrap_or(u64::MAX) };
    Ok((StatusCode::ACCEPTED, Json(view)).into_response())
}

/// What is done with an endpoint shares one route, because the verb stands in the last segment.
pub(crate) async fn act<S: Store>(
    State(service): State<Arc<Service<S>>>,
    Path(target): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let Some((id, action)) = target.rsplit_once(':') else {
        let allow = HeaderValue::from_static("GET,HEAD,PUT,DELETE");
        return Ok(([(ALLOW, allow)], Problem::new("request.method")).into_response());
    };
    let id = id.to_owned();
    match action {
        "rotate-secret" => rotate(service, id, call).await,
        "test" => test(service, id, call).await,
        "enable" => switch(service, id, true, call).await,
        "disable" => switch(service, id, false, call).await,
        "resend" => resend(service, id, None, call).await,
        _ => Err(Problem::new("request.path")),
    }
}

async fn rotate<S: Store>(service: Arc<Service<S>>, id: String, call: Call) -> Result<Response, Problem> {
    let (caller, _) = service.local_write(call, false).await?;
    let name = caller.name();
    let rotate = move |service: &Service<S>| {
        let rotated = service.rotate_webhook(&caller, &id)?;
        Ok(Json(service.webhook_secret_view(&caller, &rotated)).into_response())
    };
    service.run(&name, rotate).await
}

async fn test<S: Store>(service: Arc<Service<S>>, id: String, call: Call) -> Result<Response, Problem> {
    let (caller, _) = service.local_write(call, false).await?;
    let name = caller.name();
    let find = move |service: &Service<S>| {
        service.registrant(caller.id(), caller.key())?;
        Ok(service.webhook(&caller, &id, false)?.state())
    };
    let state = service.run(&name, find).await?;
    let (outcome, elapsed) = service.test_webhook(&state).await?;
    Ok(Json(WebhookTestView::new(&outcome, elapsed)).into_response())
}

async fn switch<S: Store>(service: Arc<Service<S>>, id: String, on: bool, call: Call) -> Result<Response, Problem> {
    let (caller, _) = service.local_write(call, false).await?;
    let name = caller.name();
    let switch = move |service: &Service<S>| {
        let state = service.switch_webhook(&caller, &id, on)?;
        Ok(Json(service.webhook_view(&caller, &state)).into_response())
    };
    service.run(&name, switch).await
}

/// Rotate an endpoint's secret
///
/// And its public key. Those before sign too for a day, beside the new ones. With a token that covers the empty body.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}:rotate-secret", operation_id = "rotate_webhook_secret", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "Rotated. The secret is shown this once.", body = WebhookSecretView)),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn rotate_secret() {}

/// Try an endpoint
///
/// Sends it an event of type `cn.einvoice.webhook.test.v1` and answers how that went. Once, whether or not the endpoint is
/// disabled. With a token that covers the empty body.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}:test", operation_id = "test_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "How it went.", body = WebhookTestView)),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn test_one() {}

/// Serve an endpoint again
///
/// From where it stopped. What waits to be tried again is tried at once. From now on the endpoint stands by the login key of
/// this request. What the node's operator disabled, only the operator enables. With a token that covers the empty body.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}:enable", operation_id = "enable_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "Enabled.", body = WebhookView)),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn enable() {}

/// Serve an endpoint no further
///
/// For the owner and for who runs this node. Its position stays. With a token that covers the empty body.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}:disable", operation_id = "disable_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "Disabled.", body = WebhookView)),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn disable() {}

/// Send all dead letters again
///
/// Each once, before anything that is new, and under the id it had, unless other events were chosen since. For the owner and
/// for who runs this node, with a token that covers the empty body.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}:resend", operation_id = "resend_dead_letters", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 202, description = "They will be sent.", body = ResendView)),
    security(("login" = []))
)]
#[expect(dead_code, reason = "only its description is used; `act` answers")]
pub(crate) const fn resend_all() {}
