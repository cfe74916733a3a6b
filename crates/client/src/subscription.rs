//! Following the ledger, over the ends of connections, logins and nodes.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Streaming};
use wire::generated::{LedgerEvent, SubscribeRequest, SubscribeResponse};

use crate::backoff;
use crate::client::{Client, Course};
use crate::error::{Error, Refused};
use crate::writes::ledger;

/// How long a stream may be silent: a node says something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// A stream of events. Every event comes once, in the order of the log, from whichever node has it.
pub struct Subscription {
    client: Client,
    /// Its `after` is the cursor behind the last message.
    request: SubscribeRequest,
    open: Option<Open>,
    /// Streams that broke one after the other, none of which brought an event or lasted.
    breaks: u32,
    /// When the first of them broke.
    broken_since: Option<Instant>,
}

/// A stream that a node sends.
struct Open {
    messages: Streaming<SubscribeResponse>,
    place: usize,
    since: Instant,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Where to go on behind it.
    pub cursor: String,
    /// The event; none when it only says how far the node has looked.
    pub event: Option<LedgerEvent>,
}

impl Client {
    /// Follows the ledger from a cursor on, `start`, or now when `after` is empty. From this moment nothing is missed.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`].
    pub async fn subscribe(&self, request: SubscribeRequest) -> Result<Subscription, Error> {
        let mut subscription =
            Subscription { client: self.clone(), request, open: None, breaks: 0, broken_since: None };
        let mut course = Course::new(self.options().resume_max);
        subscription.open(&mut course).await?;
        if subscription.request.after.is_empty() {
            // What now is, the node says first; without its word a break would leave a gap.
            subscription.delivery(&mut course).await?;
        }
        Ok(subscription)
    }
}

impl Subscription {
    /// Where to go on behind the last delivery: good at every node of the chain.
    pub fn cursor(&self) -> &str {
        &self.request.after
    }

    /// The next event, however long that takes. What a break interrupts goes on at any node, from the last cursor. Safe to
    /// be dropped while it waits.
    ///
    /// # Errors
    /// [`Error::Refused`] when it may not go on, [`Error::Unavailable`] when no node did in time. Either may be tried again.
    pub async fn next(&mut self) -> Result<LedgerEvent, Error> {
        loop {
            if let Some(event) = self.advance().await?.event {
                return Ok(event);
            }
        }
    }

    /// The next delivery, which may be no more than a cursor; one comes at least every 15 seconds.
    ///
    /// # Errors
    /// Those of [`Subscription::next`].
    pub async fn advance(&mut self) -> Result<Delivery, Error> {
        // Each message begins a new course, unless streams break as soon as they are open: breaks in a row have an end.
        let resume_max = self.client.options().resume_max;
        let mut course = Course::new(resume_max);
        if let Some(since) = self.broken_since {
            course.until = course.until.min(since + resume_max);
        }
        let delivery = self.delivery(&mut course).await;
        if delivery.is_err() {
            // Whoever tries again has all the time again.
            self.broken_since = None;
        }
        delivery
    }

    async fn delivery(&mut self, course: &mut Course) -> Result<Delivery, Error> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => self.open(course).await?,
            };
            let (place, since) = (open.place, open.since);
            let refused = match timeout(SILENCE_MAX, open.messages.message()).await {
                Ok(Ok(Some(SubscribeResponse { cursor, event }))) => {
                    self.request.after.clone_from(&cursor);
                    if event.is_some() {
                        (self.breaks, self.broken_since) = (0, None);
                    }
                    return Ok(Delivery { cursor, event });
                }
                Ok(Ok(None)) => Refused::on_the_way(Code::Unavailable, "the stream ended without a status"),
                Ok(Err(status)) => Refused::from(status),
                Err(_) => Refused::on_the_way(Code::DeadlineExceeded, "the stream fell silent"),
            };
            self.open = None;
            self.client.after(course, place, refused).await?;
            self.rest(course, since).await?;
        }
    }

    /// Waits when streams break again and again, longer each time: that they can be opened says nothing of the nodes'
    /// health, so the waits of nodes do not grow.
    async fn rest(&mut self, course: &mut Course, opened: Instant) -> Result<(), Error> {
        let options = self.client.options();
        if opened.elapsed() >= options.backoff_max {
            (self.breaks, self.broken_since) = (0, None);
        }
        self.broken_since.get_or_insert_with(Instant::now);
        let earlier = self.breaks;
        self.breaks = self.breaks.saturating_add(1);
        // One break is nothing: another node goes on at once.
        let Some(failures) = earlier.checked_sub(1) else { return Ok(()) };
        let wait = backoff::wait(failures, None, options)?;
        if Instant::now() + wait >= course.until {
            return Err(course.given_up());
        }
        sleep(wait).await;
        Ok(())
    }

    async fn open(&mut self, course: &mut Course) -> Result<&mut Open, Error> {
        let call = |channel, ask| async move { ledger(channel).subscribe(ask).await };
        let messages = self.client.ask(course, &self.request, false, call).await?;
        Ok(self.open.insert(Open { messages, place: course.place, since: Instant::now() }))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("request", &self.request).finish_non_exhaustive()
    }
}
