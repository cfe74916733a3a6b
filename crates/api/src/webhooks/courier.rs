//! The courier of one endpoint: takes what is next, delivers it, moves on. One thing at a time, in the order of the log.
//!
//! What a crash may leave: a delivery that the receiver took and that is not written down as taken. It is sent again, with
//! the same id and the same events: a single event's id follows from its place in the log, and where several go
//! together, which ones is written down before they go. When its owner chooses other events meanwhile, it begins again from
//! where it was, under another id.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use replica::port::Store;

use super::endpoint::{DeadLetter, Disabled, Endpoint, Failure, Progress, Reason, Sending};
use super::schedule::{TRIES_MAX, pause_ms, retry_after_ms};
use super::sender::Outcome;
use super::shelf::{self, Put};
use super::{BATCH_JSON, DELIVERY_BYTES_MAX, EVENT_JSON, EVENTS_A_DELIVERY_MAX, Hook, State, random};
use crate::feed::{Delivery, Filter, Next, Reader, Subscription};
use crate::problem::Problem;
use crate::service::Service;
use crate::turns::Name;

/// How often a courier that waits for a time looks at the node's clock, which `dev` nodes move.
const LOOK: Duration = Duration::from_millis(250);

/// How long to wait while the node has no room, stops, or is busy; and after a fault, which only a start mends.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
const FAULT_PAUSE: Duration = Duration::from_secs(60);

/// How often a position that moves without deliveries is written down, ms. What was looked at since is looked at again
/// after a crash.
const BOOKMARK_MS: i64 = 60_000;

/// What to do next.
enum Step {
    /// Look again.
    Again,
    /// Wait until something changes, for so long at most.
    Wait(Option<Duration>),
    /// The endpoint was removed.
    End,
}

/// Serves an endpoint until it is removed or the node stops.
pub(super) fn run<S: Store>(service: Arc<Service<S>>, hook: Arc<Hook>) -> impl Future<Output = ()> + Send {
    let name = Name::Organisation(hook.locked().endpoint.organisation.clone());
    let courier = Courier { service, hook, name, stream: None, waiting: VecDeque::new(), version: 0, marked_ms: 0 };
    // On the heap, where it is as large as it has to be.
    Box::pin(courier.run())
}

struct Courier<S: Store> {
    service: Arc<Service<S>>,
    hook: Arc<Hook>,
    name: Name,
    /// Where new events come from. There is none while the endpoint waits to be tried again.
    stream: Option<Subscription<S>>,
    /// Events that have come and are to be delivered.
    waiting: VecDeque<Delivery>,
    /// Under which settings they have come.
    version: u64,
    /// When the position was written down last, ms UTC.
    marked_ms: i64,
}

/// Events that go together.
struct Parcel {
    /// The leaf of the first.
    from: u64,
    /// The position behind the last.
    through: u64,
    events: usize,
    media_type: &'static str,
    body: Bytes,
}

impl<S: Store> Courier<S> {
    async fn run(mut self) {
        let closing = self.service.feed.closing().clone();
        loop {
            let step = tokio::select! {
                biased;
                () = closing.cancelled() => return,
                step = self.step() => step,
            };
            let wait = match step {
                Ok(Step::Again) => continue,
                Ok(Step::Wait(wait)) => wait,
                Ok(Step::End) => return,
                Err(problem) => {
                    self.let_go();
                    self.stumbled(&problem).await
                }
            };
            let waited = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = closing.cancelled() => return,
                () = self.hook.changed.notified() => {}
                () = waited => {}
            }
        }
    }

    /// Holds nothing any more: what it had is read again.
    fn let_go(&mut self) {
        self.stream = None;
        self.waiting.clear();
    }

    fn now_ms(&self) -> i64 {
        self.service.app.clock.now_ms()
    }

    async fn step(&mut self) -> Result<Step, Problem> {
        let state = self.hook.state();
        if state.removed {
            return Ok(Step::End);
        }
        if state.version != self.version {
            self.let_go();
            self.version = state.version;
        }
        if state.endpoint.disabled.is_some() {
            self.let_go();
            return Ok(Step::Wait(None));
        }
        if self.service.app.health.readiness().no_room.is_some() {
            // What is taken could not be written down, and would be sent again and again.
            self.let_go();
            return Ok(Step::Wait(Some(TROUBLE_PAUSE)));
        }
        if state.asked > 0 {
            return self.resend(&state).await;
        }
        let Some(sending) = state.progress.sending.clone() else { return self.next(&state).await };
        let left_ms = sending.next_ms.saturating_sub(self.now_ms());
        if left_ms > 0 {
            self.let_go();
            let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
            return Ok(Step::Wait(Some(left.min(LOOK))));
        }
        let (reader, filter) = self.rights(&state.endpoint).await?;
        match self.collect(&reader, &filter, &state, state.progress.position, sending.through).await? {
            Some(parcel) => self.deliver(&state, parcel, sending.tries).await,
            // Nothing of it is this endpoint's business any more.
            None => self.arrived(state.endpoint.revision, sending.through, false).await,
        }
    }

    /// Whose events it gets, and which, as things stand.
    async fn rights(&self, endpoint: &Endpoint) -> Result<(Reader, Filter), Problem> {
        let endpoint = endpoint.clone();
        self.service.run(&self.name, move |service| service.rights(&endpoint)).await
    }

    /// Waits for new events, and delivers the first of them.
    async fn next(&mut self, state: &State) -> Result<Step, Problem> {
        if self.waiting.is_empty() {
            let stream = if let Some(stream) = &mut self.stream {
                stream
            } else {
                let (reader, filter) = self.rights(&state.endpoint).await?;
                self.stream.insert(self.service.follow(reader, filter, state.progress.position)?)
            };
            let next = tokio::select! {
                biased;
                () = self.hook.changed.notified() => return Ok(Step::Again),
                next = stream.next() => next,
            };
            match next {
                Some(Next::Items(items)) => self.waiting = items.into(),
                Some(Next::Bookmark(cursor)) => return self.moved(state.endpoint.revision, cursor.place()).await,
                Some(Next::End(problem)) => return Err(*problem),
                None => self.stream = None,
            }
            return Ok(Step::Again);
        }
        // Minutes may have gone by since they were asked for.
        self.rights(&state.endpoint).await?;
        let now_ms = self.service.now_ms();
        if self.waiting.front().is_some_and(|first| first.is_stale(now_ms)) {
            // And what it may see of each may be less by now.
            self.let_go();
            return Ok(Step::Again);
        }
        let events_max = state.endpoint.settings.events_max;
        let Some(parcel) = pack(&mut self.waiting, events_max, events_max > 1) else { return Ok(Step::Again) };
        if parcel.events > 1 {
            let sending = Sending { through: parcel.through, tries: 0, next_ms: self.now_ms(), failure: None };
            let position = parcel.from;
            self.keep(state.endpoint.revision, move |state| {
                state.progress = Progress { position, sending: Some(sending), ..state.progress.clone() };
            })
            .await?;
        }
        self.deliver(state, parcel, 0).await
    }

    /// The events of a range of the log that went together before, read from the ledger again.
    async fn collect(
        &self,
        reader: &Reader,
        filter: &Filter,
        state: &State,
        from: u64,
        through: u64,
    ) -> Result<Option<Parcel>, Problem> {
        let (mut found, mut position) = (VecDeque::new(), from);
        while position < through {
            let (reader, filter) = (reader.clone(), filter.clone());
            let scan = move |service: &Service<S>| crate::feed::scan(service, &reader, &filter, position);
            let (items, next) = self.service.run(&self.name, scan).await?;
            if next <= position {
                // The log ends before: it cannot, for what was sent stood in it.
                break;
            }
            position = next;
            found.extend(items.into_iter().filter(|item| item.item.place < through));
            if found.len() >= EVENTS_A_DELIVERY_MAX {
                break;
            }
        }
        let batch = state.endpoint.settings.events_max > 1 || found.len() > 1;
        let mut parcel = pack(&mut found, EVENTS_A_DELIVERY_MAX, batch);
        if let Some(parcel) = &mut parcel
            && found.is_empty()
            && position >= through
        {
            // It is the same message also when its last events are no longer for this endpoint.
            parcel.through = through;
        }
        Ok(parcel)
    }

    /// One try, and what follows from it.
    async fn deliver(&mut self, state: &State, parcel: Parcel, tries: u32) -> Result<Step, Problem> {
        let Parcel { from, through, events, .. } = parcel;
        let (version, revision) = (state.version, state.endpoint.revision);
        let outcome = self.attempt(&state.endpoint, parcel).await;
        let (failure, asked_ms) = match outcome {
            Outcome::Delivered(_) => return self.arrived(revision, through, true).await,
            Outcome::Gone => return self.disable(Disabled::GONE).await,
            Outcome::Failed { reason, status, retry_after } => self.failure(reason, status, retry_after.as_deref()),
        };
        let tries = tries.saturating_add(1);
        tracing::debug!(endpoint = %state.endpoint.id, through, tries, reason = failure.reason.as_str(), "a webhook failed");
        self.let_go();
        let chance = random::<8>().map_or(0, u64::from_be_bytes);
        if let Some(pause_ms) = pause_ms(tries, asked_ms, chance) {
            let next_ms = failure.at_ms.saturating_add(pause_ms);
            self.keep(revision, move |state| {
                // What the owner changed meanwhile is tried at once.
                let changed = state.version != version;
                let (tries, next_ms) = if changed { (0, failure.at_ms) } else { (tries, next_ms) };
                let sending = Sending { through, tries, next_ms, failure: Some(failure) };
                state.progress = Progress { position: from, sending: Some(sending), ..state.progress.clone() };
            })
            .await?;
            return Ok(Step::Again);
        }
        let died_ms = failure.at_ms;
        self.died(DeadLetter { revision, from, through, events, died_ms, tries, failure, asked: false }).await
    }

    async fn attempt(&self, endpoint: &Endpoint, parcel: Parcel) -> Outcome {
        let Parcel { through, media_type, body, .. } = parcel;
        let id = endpoint.id.message(endpoint.revision, through);
        let message = self.service.message(endpoint, id, media_type, body);
        let outcome = self.service.webhooks.sender.post(&endpoint.settings.url, message).await;
        let metrics = &self.service.metrics;
        match outcome {
            Outcome::Delivered(_) => metrics.webhook_deliveries.inc(),
            Outcome::Gone | Outcome::Failed { .. } => metrics.webhook_failures.inc(),
        };
        outcome
    }

    fn failure(&self, reason: Reason, status: Option<u16>, retry_after: Option<&str>) -> (Failure, Option<i64>) {
        let at_ms = self.now_ms();
        let asked_ms = retry_after.and_then(|text| retry_after_ms(text, at_ms));
        (Failure { at_ms, reason, status }, asked_ms)
    }

    /// Everything before a position is dealt with.
    async fn arrived(&mut self, revision: u64, position: u64, delivered: bool) -> Result<Step, Problem> {
        let now_ms = self.now_ms();
        self.keep(revision, move |state| {
            let delivered_ms = if delivered { Some(now_ms) } else { state.progress.delivered_ms };
            state.progress = Progress { position, sending: None, delivered_ms };
        })
        .await?;
        self.marked_ms = now_ms;
        Ok(Step::Again)
    }

    /// There was nothing for this endpoint before a position. Not written down each time: it is no loss to look again.
    async fn moved(&mut self, revision: u64, position: u64) -> Result<Step, Problem> {
        let now_ms = self.now_ms();
        if position > self.hook.locked().progress.position && now_ms.saturating_sub(self.marked_ms) >= BOOKMARK_MS {
            return self.arrived(revision, position, false).await;
        }
        Ok(Step::Again)
    }

    /// A delivery was given up: it is kept, and the next one's turn comes.
    async fn died(&mut self, letter: DeadLetter) -> Result<Step, Problem> {
        let letters_max = self.service.webhooks.letters_max;
        if self.hook.locked().letters >= letters_max {
            return self.disable(Disabled::DEAD_LETTERS_FULL).await;
        }
        let (revision, through) = (letter.revision, letter.through);
        let changed = self.change(move |_, state| {
            if state.endpoint.revision != revision {
                return Ok(Put::default());
            }
            state.progress = Progress { position: through, sending: None, ..state.progress.clone() };
            state.letters += 1;
            let id = &state.endpoint.id;
            Ok(Put::default().progress(id, &state.progress).letter(id, &letter))
        });
        let endpoint = changed.await?.endpoint;
        if endpoint.revision != revision {
            return Ok(Step::Again);
        }
        self.service.metrics.webhook_dead_letters.inc();
        let endpoint = endpoint.id;
        tracing::warn!(%endpoint, through, tries = TRIES_MAX, "a webhook was given up, and is kept as a dead letter");
        Ok(Step::Again)
    }

    /// Sends the first dead letter that is asked for, once.
    async fn resend(&mut self, state: &State) -> Result<Step, Problem> {
        let (reader, filter) = self.rights(&state.endpoint).await?;
        let id = state.endpoint.id.clone();
        let asked = move |service: &Service<S>| {
            let letters = shelf::letters(&**service.query().store(), &id, 0, usize::MAX)?;
            Ok(letters.into_iter().find(|letter| letter.asked))
        };
        let Some(letter) = self.service.run(&self.name, asked).await? else {
            self.keep(state.endpoint.revision, |state| state.asked = 0).await?;
            return Ok(Step::Again);
        };
        let parcel = self.collect(&reader, &filter, state, letter.from, letter.through).await?;
        let sent = parcel.as_ref().map_or(letter.through, |parcel| parcel.through);
        let outcome = match parcel {
            Some(parcel) => self.attempt(&state.endpoint, parcel).await,
            // Nothing of it is this endpoint's business any more.
            None => Outcome::Delivered(204),
        };
        let failure = match outcome {
            Outcome::Delivered(_) => None,
            Outcome::Gone => return self.disable(Disabled::GONE).await,
            Outcome::Failed { reason, status, .. } => Some(self.failure(reason, status, None).0),
        };
        let (through, revision) = (letter.through, state.endpoint.revision);
        self.change(move |service, state| {
            let id = &state.endpoint.id;
            if failure.is_none() && sent < through {
                // The rest of it is next.
                return Ok(Put::default().letter(id, &DeadLetter { from: sent, ..letter }));
            }
            state.asked = state.asked.saturating_sub(1);
            let Some(failure) = failure else {
                shelf::remove_letter(&**service.query().store(), id, through)?;
                state.letters = state.letters.saturating_sub(1);
                return Ok(Put::default());
            };
            let tries = letter.tries.saturating_add(1);
            let letter = DeadLetter { revision, asked: false, tries, failure, ..letter };
            Ok(Put::default().letter(id, &letter))
        })
        .await?;
        Ok(Step::Again)
    }

    /// Serves the endpoint no further until its owner says so. Nothing is lost: its position stays where it is.
    async fn disable(&mut self, reason: &str) -> Result<Step, Problem> {
        self.let_go();
        let disabled = Disabled::new(reason, self.now_ms());
        let changed = self.change(move |_, state| {
            if state.endpoint.disabled.is_none() {
                state.endpoint.disabled = Some(disabled);
            }
            Ok(state.put())
        });
        let endpoint = changed.await?.endpoint.id;
        tracing::warn!(%endpoint, reason, "a webhook is served no further");
        Ok(Step::Again)
    }

    /// Something is in the way: the owner's rights, or the node's own trouble. Gives how long to wait.
    async fn stumbled(&mut self, problem: &Problem) -> Option<Duration> {
        let (status, code) = (problem.status().as_u16(), problem.code());
        if code == "webhook.unknown" {
            // It was removed in the middle of this.
            return Some(Duration::ZERO);
        }
        if matches!(status, 401 | 403 | 404) && self.disable(code).await.is_ok() {
            return Some(Duration::ZERO);
        }
        Some(if status == 500 { FAULT_PAUSE } else { TROUBLE_PAUSE })
    }

    /// Changes the progress alone, unless the owner has chosen other events since a revision: what was done for those
    /// before says nothing of these, and it begins again.
    async fn keep(&self, revision: u64, change: impl FnOnce(&mut State) + Send + 'static) -> Result<State, Problem> {
        self.change(move |_, state| {
            if state.endpoint.revision != revision {
                return Ok(Put::default());
            }
            change(state);
            Ok(Put::default().progress(&state.endpoint.id, &state.progress))
        })
        .await
    }

    /// Changes the state, durably.
    async fn change(
        &self,
        change: impl FnOnce(&Service<S>, &mut State) -> Result<Put, Problem> + Send + 'static,
    ) -> Result<State, Problem> {
        let hook = Arc::clone(&self.hook);
        let work = move |service: &Service<S>| hook.change(&**service.query().store(), |state| change(service, state));
        self.service.run(&self.name, work).await
    }
}

/// Takes events that go together from the front: so many, of so many bytes.
fn pack(waiting: &mut VecDeque<Delivery>, events_max: usize, batch: bool) -> Option<Parcel> {
    let first = waiting.pop_front()?;
    let from = first.item.place;
    let (mut last, mut events, mut body) = (from, 1, first.json());
    if batch {
        body.insert(0, b'[');
        while events < events_max
            && let Some(next) = waiting.front()
        {
            let json = next.json();
            if body.len() + json.len() + 2 > DELIVERY_BYTES_MAX {
                break;
            }
            body.push(b',');
            body.extend_from_slice(&json);
            (last, events) = (next.item.place, events + 1);
            waiting.pop_front();
        }
        body.push(b']');
    }
    let media_type = if batch { BATCH_JSON } else { EVENT_JSON };
    Some(Parcel { from, through: last.saturating_add(1), events, media_type, body: body.into() })
}
