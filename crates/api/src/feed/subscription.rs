//! A subscription: one reader who follows the ledger from a cursor on.
//!
//! Nothing is buffered for it: whoever is behind reads when there is room to write, so a slow reader slows nobody else
//! and costs no memory. All it is, is a position.

use std::sync::Arc;

use chain::identity::{KeyId, OrganisationId};
use chain::login::LoginError;
use replica::port::Store;
use replica::query::{Placed, StreamItem};
use tokio::sync::watch;
use tokio::time::Instant;

use super::audience::{Audience, Looker, Sight};
use super::cursor::Cursor;
use super::filter::Filter;
use super::item::{Batch, Delivery, Item, LEASE_ENDED};
use super::ring::Ahead;
use super::{BOOKMARK_EVENTS, ITEMS_MAX, KEEP_ALIVE};
use crate::auth::{self, Caller};
use crate::problem::Problem;
use crate::service::Service;
use crate::shares::Share;
use crate::turns::Name;

/// Events of one invoice, and ends of its leases, looked at in a turn.
const INVOICE_ITEMS_MAX: usize = 128;

/// Who reads.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    organisation: OrganisationId,
    everything: bool,
    /// The key of the login, and until when it holds, unix seconds.
    login: (KeyId, u64),
    /// Whether nobody minds how far behind it is.
    patient: bool,
}

impl From<&Caller> for Reader {
    fn from(caller: &Caller) -> Self {
        Self {
            organisation: caller.id().clone(),
            everything: caller.sees_everything(),
            login: (caller.key().clone(), caller.expires_at()),
            patient: false,
        }
    }
}

impl Reader {
    /// The same, who is never too slow: it takes what it can, and nobody waits for it at the other end.
    pub(crate) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// In whose name it reads.
    pub(super) fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    /// Whose items are looked for; `None` for all.
    fn of(&self) -> Option<&OrganisationId> {
        if self.everything { None } else { Some(&self.organisation) }
    }

    fn sight(&self, audience: &Audience) -> Option<Sight> {
        if self.everything { Some(Sight::Whole) } else { audience.get(&self.organisation).copied() }
    }

    /// Looks again whether the login still holds: a key may have been revoked, a role taken away.
    fn look_again<S: Store>(&mut self, service: &Service<S>) -> Result<(), Problem> {
        let (key, expires_at) = &self.login;
        let organisation = service.query().organisation(&self.organisation)?;
        let organisation = organisation.ok_or_else(|| Problem::new("auth.unknown-key"))?;
        auth::login_key(&organisation, key)?;
        let now_s = service.now_s();
        if now_s >= *expires_at {
            return Err(auth::rejected(&LoginError::Expired { expires_at: *expires_at, now_s }));
        }
        self.everything = auth::reads_everything(&organisation);
        Ok(())
    }
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Events in order; at least one.
    Items(Vec<Delivery>),
    /// Nothing for this reader up to here. Comes first, now and then while nothing is found, and when it is quiet, so
    /// that nobody who resumes looks at the same events again.
    Bookmark(Cursor),
    /// The end. What the reader got last says where to go on.
    End(Box<Problem>),
}

/// One reader who follows the ledger.
pub(crate) struct Subscription<S: Store> {
    service: Arc<Service<S>>,
    reader: Reader,
    filter: Filter,
    name: Name,
    /// Everything in the stream before this place was looked at.
    position: u64,
    /// The position that the reader knows of.
    told: Option<u64>,
    /// Whether it has been at the tip: only then it may lag.
    caught_up: bool,
    looked_again: Instant,
    over: bool,
    news: watch::Receiver<u64>,
    #[expect(dead_code, reason = "it is there for when it is dropped")]
    share: Share<OrganisationId>,
}

impl<S: Store> Subscription<S> {
    pub(super) fn new(
        service: Arc<Service<S>>,
        reader: Reader,
        filter: Filter,
        position: u64,
        share: Share<OrganisationId>,
    ) -> Self {
        let news = service.feed.news();
        service.metrics.subscriptions.inc();
        Self {
            name: Name::Organisation(reader.organisation.clone()),
            service,
            reader,
            filter,
            position,
            told: None,
            caught_up: false,
            looked_again: Instant::now(),
            over: false,
            news,
            share,
        }
    }

    /// What comes next, when it comes; `None` behind the end. Whoever stops waiting misses nothing.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        if self.over {
            return None;
        }
        let quiet = Instant::now() + KEEP_ALIVE;
        loop {
            if self.told.is_none() {
                return Some(self.bookmark());
            }
            match self.step(quiet).await {
                Ok(Some(next)) => return Some(next),
                Ok(None) => {}
                Err(problem) => {
                    self.over = true;
                    return Some(Next::End(Box::new(problem)));
                }
            }
        }
    }

    /// Reads on, or waits; `None` when there is nothing to tell yet.
    async fn step(&mut self, quiet: Instant) -> Result<Option<Next>, Problem> {
        let feed = Arc::clone(&self.service.feed);
        if feed.closing().is_cancelled() {
            return Err(Problem::new("node.stopping").retry_after(5));
        }
        if self.looked_again.elapsed() >= KEEP_ALIVE || self.service.now_s() >= self.reader.login.1 {
            let mut reader = self.reader.clone();
            let look = move |service: &Service<S>| reader.look_again(service).map(|()| reader);
            self.reader = self.service.run(&self.name, look).await?;
            self.looked_again = Instant::now();
        }
        // Before looking: what comes after is news.
        self.news.borrow_and_update();
        let items = match feed.ahead(self.position) {
            (Ahead::Gone, behind) if self.caught_up && behind > self.lag_max() && !self.reader.patient => {
                self.service.metrics.subscriptions_lagging.inc();
                return Err(Problem::new("events.lagging"));
            }
            (Ahead::Gone, _) => self.scan().await?,
            // The oldest is the first.
            (Ahead::Batches(batches), _) if batches.first().is_some_and(|oldest| oldest.is_stale(self.now_ms())) => {
                self.scan().await?
            }
            (Ahead::Batches(batches), _) => self.pick(&batches),
            (Ahead::Nothing, _) => {
                // The ring may only begin to fill.
                self.caught_up |= self.position >= self.service.query().tip().stream_size();
                tokio::select! {
                    biased;
                    () = feed.closing().cancelled() => {}
                    // The feed outlives those who follow it.
                    _ = self.news.changed() => {}
                    () = tokio::time::sleep_until(quiet) => return Ok(Some(self.bookmark())),
                }
                return Ok(None);
            }
        };
        if !items.is_empty() {
            self.told = Some(self.position);
            self.service.metrics.subscription_items.inc_by(u64::try_from(items.len()).unwrap_or(u64::MAX));
            return Ok(Some(Next::Items(items)));
        }
        let unseen = self.position.saturating_sub(self.told.unwrap_or_default());
        Ok((unseen >= BOOKMARK_EVENTS || Instant::now() >= quiet).then(|| self.bookmark()))
    }

    fn now_ms(&self) -> i64 {
        self.service.now_ms()
    }

    fn lag_max(&self) -> u64 {
        self.service.app.options.subscription_lag_events_max
    }

    fn bookmark(&mut self) -> Next {
        self.told = Some(self.position);
        Next::Bookmark(Cursor::new(self.service.query().chain(), self.position))
    }

    /// Picks from the newest events, and moves on.
    fn pick(&mut self, batches: &[Arc<Batch>]) -> Vec<Delivery> {
        let mut found = Vec::new();
        let organisation = self.filter.organisation.clone().filter(|_| self.reader.everything);
        // Who sees everything and asks for one organisation's events need not look at all of them.
        let of = organisation.as_ref().or(self.reader.of());
        for batch in batches {
            for item in batch.from(self.position, of) {
                if let Some(sight) = self.reader.sight(item.audience())
                    && self.filter.takes(item)
                {
                    if found.is_empty() {
                        self.service.metrics.subscription_lag.observe(batch.since.elapsed().as_secs_f64());
                    }
                    found.push(Delivery::new(item, sight));
                    if found.len() == ITEMS_MAX {
                        self.position = item.place.saturating_add(1);
                        return found;
                    }
                }
            }
            self.position = batch.next;
        }
        found
    }

    /// Reads the ledger, when it is this reader's turn, and moves on.
    async fn scan(&mut self) -> Result<Vec<Delivery>, Problem> {
        let (reader, filter, from) = (self.reader.clone(), self.filter.clone(), self.position);
        let scan = move |service: &Service<S>| scan(service, &reader, &filter, from);
        let (found, position) = self.service.run(&self.name, scan).await?;
        self.position = position;
        Ok(found)
    }
}

impl<S: Store> Drop for Subscription<S> {
    fn drop(&mut self) {
        self.service.metrics.subscriptions.dec();
    }
}

/// Looks through the ledger for one reader.
struct Search<'s, S: Store> {
    service: &'s Service<S>,
    reader: &'s Reader,
    filter: &'s Filter,
    looker: Looker<'s, S>,
    found: Vec<Delivery>,
}

impl<'s, S: Store> Search<'s, S> {
    fn new(service: &'s Service<S>, reader: &'s Reader, filter: &'s Filter) -> Self {
        Self { service, reader, filter, looker: Looker::new(service), found: Vec::new() }
    }

    /// Whether as much was found as is given at once.
    fn is_full(&self) -> bool {
        self.found.len() >= ITEMS_MAX
    }

    /// Looks at an item; only what the reader gets is rendered.
    fn look(&mut self, placed: &Placed) -> Result<(), Problem> {
        let kind = match &placed.item {
            StreamItem::Event(event) => event.kind()?,
            StreamItem::LeaseEnd(_) => LEASE_ENDED,
        };
        if !self.filter.takes_kind(kind) {
            return Ok(());
        }
        let audience = self.looker.audience_of(&placed.item)?;
        if let Some(sight) = self.reader.sight(&audience)
            && self.filter.takes_audience(&audience)
        {
            let item = Item::new(self.service, placed, audience)?;
            self.found.push(Delivery::new(&Arc::new(item), sight));
        }
        Ok(())
    }
}

/// Reads the stream from a place on for one reader; gives what was found, and the place where to go on.
pub(crate) fn scan<S: Store>(
    service: &Service<S>,
    reader: &Reader,
    filter: &Filter,
    from: u64,
) -> Result<(Vec<Delivery>, u64), Problem> {
    match &filter.invoice {
        Some(invoice) => scan_invoice(service, reader, filter, invoice, from),
        None => scan_all(service, reader, filter, from),
    }
}

/// Reads the stream from a place on; gives what was found, and the place where to go on.
fn scan_all<S: Store>(
    service: &Service<S>,
    reader: &Reader,
    filter: &Filter,
    from: u64,
) -> Result<(Vec<Delivery>, u64), Problem> {
    let mut search = Search::new(service, reader, filter);
    let mut position = from;
    for placed in service.feed.chunk(service, from)?.iter().skip_while(|placed| placed.place < from) {
        search.look(placed)?;
        position = placed.place.saturating_add(1);
        if search.is_full() {
            break;
        }
    }
    Ok((search.found, position))
}

/// The same of one invoice, which has an index of its own.
fn scan_invoice<S: Store>(
    service: &Service<S>,
    reader: &Reader,
    filter: &Filter,
    invoice: &str,
    from: u64,
) -> Result<(Vec<Delivery>, u64), Problem> {
    let query = service.query();
    // Before looking: what is found beyond it may not be all there is.
    let end = query.tip().stream_size();
    let leaves = query.subject_leaves(invoice, query.leaf_behind(from)?.checked_sub(1), INVOICE_ITEMS_MAX)?;
    let ends = query.lease_end_places(invoice, from, INVOICE_ITEMS_MAX)?;
    let leaves = leaves.into_iter().map(|leaf| query.place_of(leaf)).collect::<Result<Vec<_>, _>>()?;
    // What lies behind the last of a list that was cut is not known of it, and so not looked at in the other.
    let cut = |list: &[u64]| list.last().filter(|_| list.len() >= INVOICE_ITEMS_MAX).map(|last| last.saturating_add(1));
    let horizon = [cut(&leaves), cut(&ends)].into_iter().flatten().fold(end, u64::min);
    let mut places = [leaves, ends].concat();
    places.retain(|place| *place < horizon);
    places.sort_unstable();
    let mut search = Search::new(service, reader, filter);
    for place in places {
        for placed in query.stream_from(place, 1)? {
            search.look(&placed)?;
        }
        if search.is_full() {
            return Ok((search.found, place.saturating_add(1)));
        }
    }
    Ok((search.found, horizon))
}
