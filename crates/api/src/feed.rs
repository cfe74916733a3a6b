//! The events of the ledger for those who follow it: in order, each once, from a cursor on.
//!
//! A committed event is decoded, looked at for who sees it, and rendered once; all who are at the tip share it. Who lies
//! behind reads the ledger, in turns with everybody else who reads. A cursor is a position in the one stream, so whoever was
//! cut off goes on where it was, on any node of the chain, and gets every event exactly once. Between the events stand the
//! ends of leases, which nobody signs: they follow from the times of blocks. A reader sees what the other
//! routes would show it, by the state as it stands when the event is looked at.
//!
//! The stream is served over REST by `routes::events`, over gRPC by `grpc::subscribe`, and to webhooks by `webhooks`; each
//! takes [`Subscription::next`] in its turn.

mod audience;
mod cursor;
mod filter;
mod item;
mod ring;
mod subscription;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use chain::identity::OrganisationId;
use replica::port::Store;
use replica::query::Placed;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use cursor::Cursor;
pub(crate) use filter::Filter;
pub(crate) use item::{Delivery, LEASE_ENDED, event_type};
pub(crate) use subscription::{Next, Reader, Subscription, scan};

use crate::options::Options;
use crate::problem::Problem;
use crate::service::Service;
use crate::shares::{Full, Share, Shares};
use item::Batch;
use ring::{Ahead, Ring};

/// Events given at once at most.
const ITEMS_MAX: usize = 64;

/// Events of the ledger read, and looked at in one turn.
const CHUNK_EVENTS_MAX: usize = 512;

/// Such chunks kept. Each may hold statements of a block of 4 MiB.
const CHUNKS_MAX: usize = 8;

/// Events decoded together at the tip.
const BATCH_EVENTS_MAX: usize = 1_000;

/// Events without one for the reader, after which it is told how far it has come.
const BOOKMARK_EVENTS: u64 = 1_000;

/// How long it may be quiet. As often it is looked again whether the reader may still read.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long it holds who sees an event, ms by the node's clock. What was looked at before is looked at again: mandates end,
/// and invoices change hands.
const LOOK_HOLDS_MS: i64 = 15_000;

/// How far the ring may lie behind the tip, in multiples of what it keeps: a block alone may have more events than that.
const BEHIND_MAX: u64 = 4;

/// How long to wait after a read that failed. The driver meets the same fault, and stops the node.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Items next to each other in the stream.
type Chunk = Arc<Vec<Placed>>;

/// The events of the ledger for those who follow it.
pub(crate) struct Feed {
    ring: RwLock<Ring>,
    /// Events read from the ledger last, for those who are behind: they come back for the next ones.
    chunks: Mutex<VecDeque<Chunk>>,
    /// The place in the stream up to which the ring has come.
    news: watch::Sender<u64>,
    shares: Arc<Shares<OrganisationId>>,
    /// Couriers of webhooks that follow, which hold no connection of the door.
    couriers: Arc<Shares<OrganisationId>>,
    pumping: AtomicBool,
    wanted: Notify,
    closing: CancellationToken,
}

impl Feed {
    pub(crate) fn new(options: &Options) -> Arc<Self> {
        let own_max = options.subscriptions_an_organisation_max.max(1);
        let couriers_max = options.webhooks.endpoints_max.max(1);
        Arc::new(Self {
            ring: RwLock::new(Ring::new(options.subscription_lag_events_max)),
            chunks: Mutex::default(),
            news: watch::channel(0).0,
            shares: Shares::new(options.subscriptions_max.max(1), own_max),
            couriers: Shares::new(couriers_max, couriers_max),
            pumping: AtomicBool::new(false),
            wanted: Notify::new(),
            closing: CancellationToken::new(),
        })
    }

    /// Ends every subscription: the node stops.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Cancelled when the node stops.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Whether anybody follows.
    fn is_followed(&self) -> bool {
        self.shares.taken() > 0 || self.couriers.taken() > 0
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().expect("nothing panics while it holds the ring")
    }

    fn ring_mut(&self) -> RwLockWriteGuard<'_, Ring> {
        self.ring.write().expect("nothing panics while it holds the ring")
    }

    /// Items of the stream among which that of a place is, unless the stream ends there.
    fn chunk<S: Store>(&self, service: &Service<S>, place: u64) -> Result<Chunk, Problem> {
        let holds = |chunk: &&Chunk| match (chunk.first(), chunk.last()) {
            (Some(first), Some(last)) => (first.place..=last.place).contains(&place),
            _ => false,
        };
        if let Some(chunk) = self.chunks().iter().find(holds) {
            return Ok(Arc::clone(chunk));
        }
        let chunk = Arc::new(service.query().stream_from(place, CHUNK_EVENTS_MAX)?);
        let mut chunks = self.chunks();
        chunks.push_front(Arc::clone(&chunk));
        chunks.truncate(CHUNKS_MAX);
        Ok(chunk)
    }

    fn chunks(&self) -> MutexGuard<'_, VecDeque<Chunk>> {
        self.chunks.lock().expect("nothing panics while it holds the chunks")
    }

    /// What lies from a position on, and how far that position is behind.
    fn ahead(&self, position: u64) -> (Ahead, u64) {
        let ring = self.ring();
        (ring.ahead(position), ring.behind(position))
    }
}

impl<S: Store> Service<S> {
    /// Follows the ledger from behind a cursor on; from now on without one.
    ///
    /// # Errors
    /// `events.subscriptions` when the organisation has as many as it may have, `node.busy` when the node has, and
    /// `node.stopping`.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        reader: Reader,
        filter: Filter,
        after: Option<&Cursor>,
    ) -> Result<Subscription<S>, Problem> {
        let feed = &self.feed;
        if feed.closing.is_cancelled() {
            return Err(Problem::new("node.stopping").retry_after(5));
        }
        let share = feed.shares.take(reader.organisation().clone(), 1).map_err(|full| match full {
            Full::One => {
                let expected = format!("at most {} subscriptions of an organisation", feed.shares.one_max());
                Problem::new("events.subscriptions").at("", expected, "more")
            }
            Full::All => {
                let expected = format!("at most {} subscriptions", feed.shares.max());
                Problem::new("node.busy").retry_after(30).at("", expected, "more")
            }
        })?;
        let position = after.map_or_else(|| self.query().tip().stream_size(), Cursor::place);
        Ok(self.begin(reader, filter, position, share))
    }

    /// Follows the ledger from a position on, for an endpoint of webhooks.
    ///
    /// # Errors
    /// `node.busy` when more endpoints follow than there may be, and `node.stopping`.
    pub(crate) fn follow(
        self: &Arc<Self>,
        reader: Reader,
        filter: Filter,
        position: u64,
    ) -> Result<Subscription<S>, Problem> {
        let feed = &self.feed;
        if feed.closing.is_cancelled() {
            return Err(Problem::new("node.stopping").retry_after(5));
        }
        let share = feed.couriers.take(reader.organisation().clone(), 1);
        let share = share.map_err(|_| Problem::new("node.busy").retry_after(30))?;
        Ok(self.begin(reader, filter, position, share))
    }

    fn begin(
        self: &Arc<Self>,
        reader: Reader,
        filter: Filter,
        position: u64,
        share: Share<OrganisationId>,
    ) -> Subscription<S> {
        let feed = &self.feed;
        let subscription = Subscription::new(Arc::clone(self), reader, filter, position, share);
        if !feed.pumping.swap(true, Ordering::SeqCst) {
            tokio::spawn(pump(Arc::clone(self)));
        }
        feed.wanted.notify_one();
        subscription
    }
}

/// Fills the ring with what is committed, while anybody follows.
async fn pump<S: Store>(service: Arc<Service<S>>) {
    let feed = Arc::clone(&service.feed);
    let mut heights = service.app.finality.heights();
    let mut idle = true;
    while !feed.closing.is_cancelled() {
        heights.borrow_and_update();
        if feed.is_followed() {
            match fill(&service, &mut idle).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(_logged) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        } else {
            // Nobody follows: nothing is decoded for nobody, and nothing kept.
            let next = feed.ring().next();
            feed.ring_mut().begin(next);
            feed.chunks().clear();
            idle = true;
        }
        tokio::select! {
            () = feed.closing.cancelled() => {}
            () = feed.wanted.notified() => {}
            // The sender lives as long as the service.
            _ = heights.changed() => {}
        }
    }
}

/// Adds a batch to the ring; `false` when there is none.
async fn fill<S: Store>(service: &Arc<Service<S>>, idle: &mut bool) -> Result<bool, Problem> {
    let feed = &service.feed;
    let (tip, next) = (service.query().tip().stream_size(), feed.ring().next());
    let behind_max = service.app.options.subscription_lag_events_max.saturating_mul(BEHIND_MAX);
    if std::mem::take(idle) || tip.saturating_sub(next) > behind_max {
        // What lies before is read from the ledger by those who need it.
        feed.ring_mut().begin(tip);
        feed.news.send_replace(tip);
        return Ok(false);
    }
    if next >= tip {
        return Ok(false);
    }
    let reading = Arc::clone(service);
    let read = tokio::task::spawn_blocking(move || Batch::read(&reading, next, BATCH_EVENTS_MAX));
    let Some(batch) = read.await.map_err(|panicked| Problem::fault(&panicked))?? else { return Ok(false) };
    let next = batch.next;
    feed.ring_mut().push(batch);
    feed.news.send_replace(next);
    Ok(true)
}
