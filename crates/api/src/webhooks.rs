//! Webhooks: the events of the ledger, posted to those who registered an endpoint at this node.
//!
//! An endpoint is a position in the log, as a subscription is, and nothing is queued for it: what it has not got yet
//! stands on the ledger. Each has a courier, which takes events from the feed, posts them signed (Standard Webhooks), and
//! moves the position on, durably, only behind a 2xx. What was under way when the node died is sent again under the same
//! id. A receiver that is slow, or fails, holds up nobody but itself: its courier waits, holding nothing.
//!
//! Endpoints are local to a node and not on the ledger. One is served as long as the login key that registered it may log
//! in, the organisation stands, and what it filters for is still its business; all of that is looked at before each
//! delivery.

mod address;
mod courier;
pub(crate) mod endpoint;
mod schedule;
pub(crate) mod sender;
mod shelf;
pub(crate) mod signing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use chain::identity::OrganisationId;
use ledger::event::Event;
use replica::port::{Store, StoreFault};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::auth::Caller;
use crate::feed::{Cursor, Filter, Reader};
use crate::options::WebhookOptions;
use crate::problem::Problem;
use crate::service::Service;
use crate::shares::{Full, Shares};
use crate::time::format_ms;
use crate::tls::TlsError;
use crate::views::WebhooksView;
use address::Target;
pub(crate) use address::URL_BYTES_MAX;
use endpoint::{DeadLetter, Disabled, Endpoint, EndpointId, Progress, Settings};
pub(crate) use schedule::TRIES_MAX;
use sender::{Message, Outcome, Sender};
use shelf::Put;
use signing::Secret;

/// Events in one delivery, at most.
pub(crate) const EVENTS_A_DELIVERY_MAX: usize = 64;

/// Bytes of a delivery's body; an event that is larger by itself goes alone.
pub(crate) const DELIVERY_BYTES_MAX: usize = 1024 * 1024;

/// How long the secret before the last rotation signs too, ms: a receiver has a day to take over the new one.
pub(crate) const OVERLAP_MS: i64 = 24 * 60 * 60 * 1_000;

/// Test events under way at once; an organisation has one.
pub(crate) const TESTS_MAX: usize = 8;

/// How long couriers may take to stop. They give up what is under way, and a write to the store is short.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The media types of one event and of several (`CloudEvents` 1.0, HTTP binding §3.2 and §3.3).
pub(crate) const EVENT_JSON: &str = "application/cloudevents+json";
pub(crate) const BATCH_JSON: &str = "application/cloudevents-batch+json";

/// All endpoints of this node.
pub(crate) struct Webhooks {
    sender: Sender,
    endpoints_max: usize,
    own_max: usize,
    letters_max: usize,
    hooks: Mutex<BTreeMap<EndpointId, Arc<Hook>>>,
    /// Held while one more comes: they are counted first.
    registering: Mutex<()>,
    testing: Arc<Shares<OrganisationId>>,
    couriers: TaskTracker,
}

/// An endpoint and how it stands.
pub(crate) struct Hook {
    state: Mutex<State>,
    /// Held from reading the state until a change of it is durable.
    changing: Mutex<()>,
    /// Wakes the courier.
    changed: Notify,
}

/// How an endpoint stands.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// As it is registered.
    pub(crate) endpoint: Endpoint,
    /// How far it was served.
    pub(crate) progress: Progress,
    /// How many dead letters it has.
    pub(crate) letters: usize,
    /// How many of them are to be sent once more.
    asked: usize,
    /// Whether it was removed meanwhile.
    removed: bool,
    /// Grows with each change of what is sent where.
    version: u64,
}

impl Hook {
    fn new(state: State) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), changing: Mutex::new(()), changed: Notify::new() })
    }

    /// How it stands now.
    pub(crate) fn state(&self) -> State {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a webhook")
    }

    /// Changes it, durably. Blocks.
    fn change<S: Store>(
        &self,
        store: &S,
        change: impl FnOnce(&mut State) -> Result<Put, Problem>,
    ) -> Result<State, Problem> {
        let _changing = self.changing.lock().expect("nothing panics while it changes a webhook");
        let mut next = self.state();
        if next.removed {
            return Err(unknown(next.endpoint.id.as_str()));
        }
        change(&mut next)?.keep(store)?;
        self.locked().clone_from(&next);
        self.changed.notify_one();
        Ok(next)
    }
}

impl State {
    /// Tries what is under way anew, at once.
    fn begin_again(&mut self, now_ms: i64) {
        self.version += 1;
        if let Some(sending) = &mut self.progress.sending {
            (sending.tries, sending.next_ms) = (0, now_ms);
        }
    }

    fn put(&self) -> Put {
        Put::default().endpoint(&self.endpoint).progress(&self.endpoint.id, &self.progress)
    }
}

/// The problem of an endpoint that is unknown, or none of the caller's business.
fn unknown(id: &str) -> Problem {
    Problem::new("webhook.unknown").at("id", "an endpoint of the caller", id)
}

/// A text of random hex digits.
fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Problem::fault(&error))?;
    Ok(bytes)
}

impl Webhooks {
    /// No endpoint yet.
    pub(crate) fn new<S: Store>(app: &App<S>) -> Result<Self, TlsError> {
        let options = &app.options.webhooks;
        let sender =
            Sender::new(&WebhookOptions { loopback: options.loopback || app.dev.is_some(), ..options.clone() })?;
        Ok(Self {
            sender,
            endpoints_max: options.endpoints_max,
            own_max: options.endpoints_an_organisation_max,
            letters_max: options.dead_letters_an_endpoint_max,
            hooks: Mutex::default(),
            registering: Mutex::new(()),
            testing: Shares::new(TESTS_MAX, 1),
            couriers: TaskTracker::new(),
        })
    }

    fn hooks(&self) -> MutexGuard<'_, BTreeMap<EndpointId, Arc<Hook>>> {
        self.hooks.lock().expect("nothing panics while it holds the webhooks")
    }

    /// Waits until no courier works any more.
    pub(crate) async fn stopped(&self) {
        self.couriers.close();
        if tokio::time::timeout(STOP_MAX, self.couriers.wait()).await.is_err() {
            tracing::warn!(couriers = self.couriers.len(), "couriers of webhooks did not stop in time");
        }
    }

    /// How all of them stand.
    pub(crate) fn view(&self) -> WebhooksView {
        let mut view = WebhooksView::default();
        for hook in self.hooks().values() {
            let state = hook.locked();
            view.endpoints += 1;
            view.disabled += u64::from(state.endpoint.disabled.is_some());
            view.failing += u64::from(state.progress.sending.as_ref().is_some_and(|sending| sending.tries > 0));
            view.dead_letters += u64::try_from(state.letters).unwrap_or(u64::MAX);
        }
        view
    }
}

impl<S: Store> Service<S> {
    /// Reads the endpoints that are registered, and begins to serve them. Blocks.
    pub(crate) fn open_webhooks(self: &Arc<Self>) -> Result<(), StoreFault> {
        for found in shelf::load(&**self.query().store())? {
            let shelf::Found { endpoint, progress, letters, asked } = found;
            let id = endpoint.id.clone();
            let hook = Hook::new(State { endpoint, progress, letters, asked, removed: false, version: 0 });
            self.webhooks.hooks().insert(id, Arc::clone(&hook));
            self.serve_webhook(hook);
        }
        Ok(())
    }

    fn serve_webhook(self: &Arc<Self>, hook: Arc<Hook>) {
        self.webhooks.couriers.spawn(courier::run(Arc::clone(self), hook));
    }

    /// Whether a caller runs this node.
    pub(crate) fn operates(&self, caller: &Caller) -> bool {
        *caller.id() == self.app.identity.organisation
    }

    /// Whose events an endpoint gets, and which, as things stand.
    ///
    /// # Errors
    /// When it is to get no more: the key may not log in, the organisation is suspended, or what it filters for is not
    /// its business.
    fn rights(&self, endpoint: &Endpoint) -> Result<(Reader, Filter), Problem> {
        let caller = self.registrant(&endpoint.organisation, &endpoint.key)?;
        let filter = self.filter(&caller, &endpoint.settings)?;
        Ok((Reader::from(&caller).patient(), filter))
    }

    fn filter(&self, caller: &Caller, settings: &Settings) -> Result<Filter, Problem> {
        let kinds = settings.kinds.join(",");
        let kinds = (!kinds.is_empty()).then_some(kinds.as_str());
        let of = settings.of.as_ref().map(OrganisationId::as_str);
        Filter::read(self, caller, kinds, settings.invoice.as_deref(), of)
    }

    /// Whether a caller may have what it chooses.
    fn check_settings(&self, caller: &Caller, settings: &Settings) -> Result<(), Problem> {
        self.registrant(caller.id(), caller.key())?;
        Target::read(&settings.url, self.webhooks.sender.reach())
            .map_err(|expected| Problem::new("webhook.url").at("/url", expected, "another text"))?;
        let unknown = |kind: &&String| !Event::KINDS.contains(&kind.as_str());
        if let Some(kind) = settings.kinds.iter().find(unknown) {
            let expected = format!("any of: {}", Event::KINDS.join(", "));
            return Err(Problem::new("request.malformed").at("/kinds", expected, kind.as_str()));
        }
        if settings.kinds.len() > Event::KINDS.len() {
            return Err(Problem::new("request.malformed").at("/kinds", "each kind once", "more"));
        }
        if !(1..=EVENTS_A_DELIVERY_MAX).contains(&settings.events_max) {
            let expected = format!("1 to {EVENTS_A_DELIVERY_MAX}");
            return Err(Problem::new("request.malformed").at("/events_max", expected, settings.events_max.to_string()));
        }
        self.filter(caller, settings).map(drop)
    }

    /// Registers an endpoint that begins behind a cursor, or now. Gives its secret too. Blocks.
    pub(crate) fn register_webhook(
        self: &Arc<Self>,
        caller: &Caller,
        settings: Settings,
        after: Option<&str>,
    ) -> Result<(State, Secret), Problem> {
        self.check_settings(caller, &settings)?;
        let after = after.map(|text| Cursor::read_here(text, self)).transpose()?;
        let position = after.map_or_else(|| self.query().tip().stream_size(), |cursor| cursor.place());
        let webhooks = &self.webhooks;
        let _registering = webhooks.registering.lock().expect("nothing panics while it registers a webhook");
        let own: Vec<State> = {
            let hooks = webhooks.hooks();
            if hooks.len() >= webhooks.endpoints_max {
                let expected = format!("at most {} endpoints", webhooks.endpoints_max);
                return Err(Problem::new("node.webhooks-full").at("", expected, "more").retry_after(3_600));
            }
            let states = hooks.values().map(|hook| hook.state());
            states.filter(|state| state.endpoint.organisation == *caller.id()).collect()
        };
        if own.len() >= webhooks.own_max {
            let expected = format!("at most {} endpoints of an organisation", webhooks.own_max);
            return Err(Problem::new("webhook.organisation-full").at("", expected, "more").retry_after(3_600));
        }
        if let Some(same) = own.iter().find(|state| state.endpoint.settings == settings) {
            let found = same.endpoint.id.as_str();
            return Err(Problem::new("webhook.exists").at("", "an endpoint that differs from all others", found));
        }
        let endpoint = Endpoint {
            id: EndpointId::from_random(&random()?),
            organisation: caller.id().clone(),
            key: caller.key().clone(),
            settings,
            revision: 0,
            created_ms: self.app.clock.now_ms(),
            generation: 0,
            rotated_ms: None,
            disabled: None,
        };
        let progress = Progress { position, sending: None, delivered_ms: None };
        let state = State { endpoint, progress, letters: 0, asked: 0, removed: false, version: 0 };
        state.put().keep(&**self.query().store())?;
        let hook = Hook::new(state.clone());
        let id = &state.endpoint.id;
        webhooks.hooks().insert(id.clone(), Arc::clone(&hook));
        self.serve_webhook(hook);
        tracing::info!(endpoint = %id, by = %caller.id(), position, "registered a webhook");
        let secret = self.webhook_secret(&state.endpoint, 0);
        Ok((state, secret))
    }

    /// The endpoints of an organisation, or all of them.
    pub(crate) fn webhooks_of(&self, organisation: Option<&OrganisationId>) -> Vec<State> {
        let hooks: Vec<Arc<Hook>> = self.webhooks.hooks().values().cloned().collect();
        let states = hooks.iter().map(|hook| hook.state());
        states.filter(|state| organisation.is_none_or(|id| state.endpoint.organisation == *id)).collect()
    }

    /// An endpoint of a caller; the node's operator may look at all of them.
    pub(crate) fn webhook(&self, caller: &Caller, id: &str, operator_too: bool) -> Result<Arc<Hook>, Problem> {
        let hook = EndpointId::read(id).and_then(|id| self.webhooks.hooks().get(&id).cloned());
        let hook = hook.ok_or_else(|| unknown(id))?;
        let owns = hook.locked().endpoint.organisation == *caller.id();
        if owns || (operator_too && self.operates(caller)) { Ok(hook) } else { Err(unknown(id)) }
    }

    /// Changes what an owner chose. From now on the endpoint stands by the caller's key. Blocks.
    pub(crate) fn change_webhook(&self, caller: &Caller, id: &str, settings: Settings) -> Result<State, Problem> {
        let hook = self.webhook(caller, id, false)?;
        self.check_settings(caller, &settings)?;
        let now_ms = self.app.clock.now_ms();
        let changed = hook.change(&**self.query().store(), |state| {
            if state.endpoint.choose(settings) {
                // It would have other events the next time.
                state.progress.sending = None;
            }
            state.endpoint.key = caller.key().clone();
            state.begin_again(now_ms);
            Ok(state.put())
        })?;
        tracing::info!(endpoint = id, by = %caller.id(), "changed a webhook");
        Ok(changed)
    }

    /// Gives an endpoint a new secret; the one before signs too for a while. Blocks.
    pub(crate) fn rotate_webhook(&self, caller: &Caller, id: &str) -> Result<(State, Secret), Problem> {
        let hook = self.webhook(caller, id, false)?;
        let now_ms = self.app.clock.now_ms();
        let state = hook.change(&**self.query().store(), |state| {
            let endpoint = &mut state.endpoint;
            let generation = endpoint.generation.checked_add(1);
            endpoint.generation = generation.ok_or_else(|| Problem::new("webhook.exists"))?;
            endpoint.rotated_ms = Some(now_ms);
            Ok(state.put())
        })?;
        tracing::info!(endpoint = id, by = %caller.id(), "rotated the secret of a webhook");
        let secret = self.webhook_secret(&state.endpoint, state.endpoint.generation);
        Ok((state, secret))
    }

    /// Serves an endpoint again, or no more. What its operator stopped, an owner does not begin again. Blocks.
    pub(crate) fn switch_webhook(&self, caller: &Caller, id: &str, on: bool) -> Result<State, Problem> {
        let hook = self.webhook(caller, id, true)?;
        let now_ms = self.app.clock.now_ms();
        let changed = hook.change(&**self.query().store(), |state| {
            let endpoint = &mut state.endpoint;
            let owns = endpoint.organisation == *caller.id();
            let by_operator = |disabled: &Disabled| disabled.reason == Disabled::OPERATOR;
            if on {
                if endpoint.disabled.as_ref().is_some_and(by_operator) && !self.operates(caller) {
                    return Err(Problem::new("webhook.stopped-by-operator"));
                }
                if owns {
                    endpoint.key = caller.key().clone();
                }
                self.rights(endpoint)?;
                endpoint.disabled = None;
                state.begin_again(now_ms);
            } else if !endpoint.disabled.as_ref().is_some_and(by_operator) {
                let reason = if owns { Disabled::OWNER } else { Disabled::OPERATOR };
                endpoint.disabled = Some(Disabled::new(reason, now_ms));
            }
            Ok(state.put())
        })?;
        tracing::info!(endpoint = id, by = %caller.id(), on, "switched a webhook");
        Ok(changed)
    }

    /// Removes an endpoint with all that is kept of it. Blocks.
    pub(crate) fn remove_webhook(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        let hook = self.webhook(caller, id, false)?;
        let _changing = hook.changing.lock().expect("nothing panics while it changes a webhook");
        let endpoint = hook.state().endpoint.id;
        hook.locked().removed = true;
        self.webhooks.hooks().remove(&endpoint);
        hook.changed.notify_one();
        shelf::remove(&**self.query().store(), &endpoint)?;
        tracing::info!(endpoint = id, by = %caller.id(), "removed a webhook");
        Ok(())
    }

    /// Dead letters of an endpoint that end behind a position. Blocks.
    pub(crate) fn dead_letters(&self, of: &EndpointId, after: u64, limit: usize) -> Result<Vec<DeadLetter>, Problem> {
        Ok(shelf::letters(&**self.query().store(), of, after, limit)?)
    }

    /// Asks for dead letters to be sent once more: one of them by its message's id, or all. Gives how many are. Blocks.
    pub(crate) fn resend(&self, caller: &Caller, id: &str, message: Option<&str>) -> Result<usize, Problem> {
        let hook = self.webhook(caller, id, true)?;
        let store = &**self.query().store();
        let changed = hook.change(store, |state| {
            let of = state.endpoint.id.clone();
            let letters = match message {
                None => shelf::letters(store, &of, 0, usize::MAX)?,
                Some(message) => {
                    let unknown = || Problem::new("webhook.dead-letter-unknown").at("letter", "a dead letter", message);
                    let (revision, through) = of.read_message(message).ok_or_else(unknown)?;
                    let letter = shelf::letter(store, &of, through)?.filter(|letter| letter.revision == revision);
                    vec![letter.ok_or_else(unknown)?]
                }
            };
            let mut put = Put::default();
            for letter in letters.into_iter().filter(|letter| !letter.asked) {
                state.asked += 1;
                put = put.letter(&of, &DeadLetter { asked: true, ..letter });
            }
            Ok(put)
        })?;
        tracing::info!(endpoint = id, by = %caller.id(), asked = changed.asked, "dead letters are to be sent again");
        Ok(changed.asked)
    }

    /// Sends a test event to an endpoint, now and once, whether or not it is served. Gives how long that took too.
    pub(crate) async fn test_webhook(&self, state: &State) -> Result<(Outcome, Duration), Problem> {
        let endpoint = &state.endpoint;
        let _share = self.webhooks.testing.take(endpoint.organisation.clone(), 1).map_err(|full| match full {
            Full::One => Problem::new("webhook.testing").at("", "one test of an organisation at once", "more"),
            Full::All => Problem::new("node.busy").retry_after(5),
        })?;
        let id = format!("msg_test_{}", hex::encode(random::<16>()?));
        let event = TestEvent {
            specversion: "1.0",
            id: &id,
            source: self.query().chain().to_string(),
            kind: "cn.einvoice.webhook.test.v1",
            subject: endpoint.id.as_str(),
            time: format_ms(self.app.clock.now_ms()),
            datacontenttype: "application/json",
            data: Empty {},
        };
        let body = serde_json::to_vec(&event).expect("strings always serialise");
        let message = self.message(endpoint, id.clone(), EVENT_JSON, body.into());
        let began = Instant::now();
        let outcome = self.webhooks.sender.post(&endpoint.settings.url, message).await;
        Ok((outcome, began.elapsed()))
    }

    /// The secret of an endpoint, of one generation.
    pub(crate) fn webhook_secret(&self, endpoint: &Endpoint, generation: u32) -> Secret {
        Secret::derive(&self.app.identity.salt_secret, &endpoint.id, generation)
    }

    /// A message to an endpoint, signed now.
    fn message(&self, endpoint: &Endpoint, id: String, media_type: &'static str, body: Bytes) -> Message {
        let (timestamp_s, now_ms) = (self.now_s(), self.app.clock.now_ms());
        let mut signature = self.webhook_secret(endpoint, endpoint.generation).sign(&id, timestamp_s, &body);
        let overlaps = |rotated_ms: i64| now_ms.saturating_sub(rotated_ms) < OVERLAP_MS;
        if let Some(before) = endpoint.generation.checked_sub(1)
            && endpoint.rotated_ms.is_some_and(overlaps)
        {
            signature.push(' ');
            signature.push_str(&self.webhook_secret(endpoint, before).sign(&id, timestamp_s, &body));
        }
        Message { id, timestamp_s, signature, media_type, body }
    }
}

/// An event of no ledger, to try an endpoint with.
#[derive(Serialize)]
struct TestEvent<'e> {
    specversion: &'static str,
    id: &'e str,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'e str,
    time: String,
    datacontenttype: &'static str,
    data: Empty,
}

#[derive(Serialize)]
struct Empty {}
