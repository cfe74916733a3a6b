//! Items: events as those who follow the ledger get them, decoded and rendered once for all.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use chain::identity::{ChainId, OrganisationId};
use ledger::outcome::{ACCEPTED, REPEATED};
use replica::port::Store;
use replica::query::{Placed, StreamItem};
use tokio::time::Instant;

use super::LOOK_HOLDS_MS;
use super::audience::{Audience, Looker, Sight};
use super::cursor::Cursor;
use crate::claims::{claim_of, overridden};
use crate::problem::Problem;
use crate::service::Service;
use crate::views::{CloudEvent, DERIVED, EventRow};

/// The kind of what is told when a lease has ended. Nobody signs it, so it is none of [`ledger::event::Event::KINDS`].
pub(crate) const LEASE_ENDED: &str = "lease-ended";

/// One event or one end of a lease, as different readers see it.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its place in the stream.
    pub(crate) place: u64,
    /// The position behind it.
    pub(crate) cursor: Cursor,
    /// What kind of event.
    pub(crate) kind: &'static str,
    /// What it is about: an invoice's id, `reference:…`, `filing:…`, `evidence:…`, an organisation, a mandate.
    pub(crate) subject: String,
    chain: ChainId,
    whole: Rendered,
    /// Only where somebody sees a part.
    part: Option<Rendered>,
    audience: Audience,
    /// When it was looked at for who sees it, ms by the node's clock.
    looked_ms: i64,
}

#[derive(Debug)]
struct Rendered {
    row: EventRow,
    frame: OnceLock<Bytes>,
}

impl Rendered {
    fn new(row: EventRow) -> Self {
        Self { row, frame: OnceLock::new() }
    }
}

impl Item {
    /// An item of the stream and those who see it.
    pub(crate) fn new<S: Store>(service: &Service<S>, placed: &Placed, audience: Audience) -> Result<Self, Problem> {
        let (kind, subject, row, claim) = match &placed.item {
            StreamItem::Event(event) => {
                let claim = claim_of(&event.event()?).is_some() || overridden(event)?.is_some();
                (event.kind()?, event.outcome.subject.clone(), service.event_row(event)?, claim)
            }
            StreamItem::LeaseEnd(end) => (LEASE_ENDED, end.invoice.to_string(), EventRow::from(end), true),
        };
        let part = audience.values().any(|sight| *sight == Sight::Part).then(|| {
            let row = row.clone();
            Rendered::new(if claim { row.without_claim() } else { row.without_standing() })
        });
        let chain = service.query().chain().clone();
        Ok(Self {
            place: placed.place,
            cursor: Cursor::new(&chain, placed.place.saturating_add(1)),
            kind,
            subject,
            chain,
            whole: Rendered::new(row),
            part,
            audience,
            looked_ms: service.now_ms(),
        })
    }

    /// Who sees it.
    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Whether it was looked at so long ago that it is to be looked at again. A clock that was set back tells nothing.
    fn is_stale(&self, now_ms: i64) -> bool {
        !(self.looked_ms..self.looked_ms.saturating_add(LOOK_HOLDS_MS)).contains(&now_ms)
    }

    fn rendered(&self, sight: Sight) -> &Rendered {
        match sight {
            Sight::Whole => &self.whole,
            // Without a rendering of its own a part is never given.
            Sight::Part => self.part.as_ref().unwrap_or(&self.whole),
        }
    }
}

/// An item for one reader.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// The item.
    pub(crate) item: Arc<Item>,
    /// How much the reader sees of it.
    sight: Sight,
}

impl Delivery {
    pub(crate) fn new(item: &Arc<Item>, sight: Sight) -> Self {
        Self { item: Arc::clone(item), sight }
    }

    /// Whether it is to be looked at again for what its reader sees.
    pub(crate) fn is_stale(&self, now_ms: i64) -> bool {
        self.item.is_stale(now_ms)
    }

    /// The event, as the reader sees it.
    pub(crate) fn row(&self) -> &EventRow {
        &self.item.rendered(self.sight).row
    }

    /// The same in the JSON format of `CloudEvents` 1.0.
    pub(crate) fn json(&self) -> Vec<u8> {
        let (item, row) = (&self.item, self.row());
        let event = CloudEvent {
            specversion: "1.0",
            id: item.cursor.to_string(),
            source: item.chain.to_string(),
            kind: event_type(item.kind, &row.code),
            subject: item.subject.clone(),
            time: row.time.clone(),
            datacontenttype: "application/json",
            data: row.clone(),
        };
        serde_json::to_vec(&event).expect("strings and numbers always serialise")
    }

    /// The same as a server-sent event, rendered once for all.
    pub(crate) fn frame(&self) -> Bytes {
        let render = || {
            let mut frame = format!("id: {}\ndata: ", self.item.cursor).into_bytes();
            frame.extend_from_slice(&self.json());
            frame.extend_from_slice(b"\n\n");
            frame.into()
        };
        self.item.rendered(self.sight).frame.get_or_init(render).clone()
    }
}

/// The type of an event in `CloudEvents`: what happened to what, whether it was refused or repeated, and the version of its data.
pub(crate) fn event_type(kind: &str, code: &str) -> String {
    let (thing, done) = match kind {
        "issue" => ("invoice", "issued"),
        "transfer" => ("invoice", "transferred"),
        "lock" => ("invoice", "locked"),
        "renew" => ("invoice", "renewed"),
        "unlock" => ("invoice", "unlocked"),
        "close" => ("invoice", "closed"),
        "void" => ("invoice", "voided"),
        "file" => ("filing", "filed"),
        "admit" => ("organisation", "admitted"),
        "register" => ("organisation", "registered"),
        "suspend" => ("organisation", "suspended"),
        "reinstate" => ("organisation", "reinstated"),
        "rotate" => ("organisation", "rotated"),
        "roles" => ("organisation", "roles-set"),
        "rename" => ("organisation", "renamed"),
        "mandate" => ("mandate", "given"),
        "revoke" => ("mandate", "revoked"),
        "attest" => ("mandate", "attested"),
        "quota-grant" => ("quota", "granted"),
        "quota-adjust" => ("quota", "adjusted"),
        "quota-pause" => ("quota", "paused"),
        "quota-resume" => ("quota", "resumed"),
        "override" => ("invoice", "overridden"),
        "book" => ("invoice", "booked"),
        "book-adjust" => ("invoice", "booking-adjusted"),
        "book-revoke" => ("invoice", "booking-revoked"),
        "use" => ("invoice", "used"),
        "use-revoke" => ("invoice", "use-revoked"),
        "manifest" => ("invoice", "manifested"),
        "correct" => ("invoice", "corrected"),
        "amend" => ("filing", "amended"),
        "pay-request" => ("payment", "requested"),
        "pay-result" => ("payment", "decided"),
        "segment-grant" => ("segment", "granted"),
        "segment-close" => ("segment", "closed"),
        "offline-issue" => ("invoice", "issued-offline"),
        "red-request" => ("red-letter", "requested"),
        "red-confirm" => ("red-letter", "confirmed"),
        "red-deny" => ("red-letter", "denied"),
        "red-withdraw" => ("red-letter", "withdrawn"),
        "issue-red" => ("red-letter", "issued"),
        LEASE_ENDED => ("invoice", LEASE_ENDED),
        _ => ("evidence", "reported"),
    };
    let of_thing = ["quota-", "pay-", "segment-", "red-"].into_iter().find_map(|thing| kind.strip_prefix(thing));
    let kind = of_thing.or_else(|| kind.strip_suffix("-red")).unwrap_or(kind);
    match code {
        ACCEPTED | DERIVED => format!("cn.einvoice.{thing}.{done}.v1"),
        REPEATED => format!("cn.einvoice.{thing}.{kind}-repeated.v1"),
        _ => format!("cn.einvoice.{thing}.{kind}-refused.v1"),
    }
}

/// Items next to each other in the stream.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The place of the first.
    pub(crate) first: u64,
    /// The place behind the last.
    pub(crate) next: u64,
    /// Since when they are known here.
    pub(crate) since: Instant,
    items: Vec<Arc<Item>>,
    /// Which of them each organisation sees: most readers see few of a block.
    seen: BTreeMap<OrganisationId, Vec<usize>>,
}

impl Batch {
    /// The batch of the items from a place on, at most `limit`; `None` where the stream ends.
    pub(crate) fn read<S: Store>(service: &Service<S>, first: u64, limit: usize) -> Result<Option<Self>, Problem> {
        let since = Instant::now();
        let stream = service.query().stream_from(first, limit)?;
        let Some(last) = stream.last() else { return Ok(None) };
        let next = last.place.saturating_add(1);
        let mut looker = Looker::new(service);
        let (mut items, mut seen) = (Vec::with_capacity(stream.len()), BTreeMap::<_, Vec<_>>::new());
        for placed in &stream {
            let audience = looker.audience_of(&placed.item)?;
            for id in audience.keys() {
                seen.entry(id.clone()).or_default().push(items.len());
            }
            items.push(Arc::new(Item::new(service, placed, audience)?));
        }
        Ok(Some(Self { first, next, since, items, seen }))
    }

    /// Whether its items are to be looked at again.
    pub(crate) fn is_stale(&self, now_ms: i64) -> bool {
        self.items.first().is_some_and(|item| item.is_stale(now_ms))
    }

    /// Its items from a place on that an organisation sees; all of them for those who see everything.
    pub(crate) fn from(&self, place: u64, of: Option<&OrganisationId>) -> Box<dyn Iterator<Item = &Arc<Item>> + '_> {
        match of {
            None => {
                let skipped = self.items.partition_point(|item| item.place < place);
                Box::new(self.items[skipped..].iter())
            }
            Some(of) => {
                let places = self.seen.get(of).map(Vec::as_slice).unwrap_or_default();
                Box::new(places.iter().map(|index| &self.items[*index]).filter(move |item| item.place >= place))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::event::Event;

    use super::*;

    #[test]
    fn the_types_of_events_do_not_move() {
        let types = Event::KINDS.map(|kind| event_type(kind, ACCEPTED));
        assert_eq!(
            types,
            [
                "cn.einvoice.invoice.issued.v1",
                "cn.einvoice.invoice.transferred.v1",
                "cn.einvoice.invoice.locked.v1",
                "cn.einvoice.invoice.renewed.v1",
                "cn.einvoice.invoice.unlocked.v1",
                "cn.einvoice.invoice.closed.v1",
                "cn.einvoice.invoice.voided.v1",
                "cn.einvoice.filing.filed.v1",
                "cn.einvoice.evidence.reported.v1",
                "cn.einvoice.organisation.admitted.v1",
                "cn.einvoice.organisation.registered.v1",
                "cn.einvoice.organisation.suspended.v1",
                "cn.einvoice.organisation.reinstated.v1",
                "cn.einvoice.organisation.rotated.v1",
                "cn.einvoice.organisation.roles-set.v1",
                "cn.einvoice.organisation.renamed.v1",
                "cn.einvoice.mandate.given.v1",
                "cn.einvoice.mandate.revoked.v1",
                "cn.einvoice.mandate.attested.v1",
                "cn.einvoice.quota.granted.v1",
                "cn.einvoice.quota.adjusted.v1",
                "cn.einvoice.quota.paused.v1",
                "cn.einvoice.quota.resumed.v1",
                "cn.einvoice.invoice.overridden.v1",
                "cn.einvoice.invoice.booked.v1",
                "cn.einvoice.invoice.booking-adjusted.v1",
                "cn.einvoice.invoice.booking-revoked.v1",
                "cn.einvoice.invoice.used.v1",
                "cn.einvoice.invoice.use-revoked.v1",
                "cn.einvoice.invoice.manifested.v1",
                "cn.einvoice.invoice.corrected.v1",
                "cn.einvoice.filing.amended.v1",
                "cn.einvoice.payment.requested.v1",
                "cn.einvoice.payment.decided.v1",
                "cn.einvoice.segment.granted.v1",
                "cn.einvoice.segment.closed.v1",
                "cn.einvoice.invoice.issued-offline.v1",
                "cn.einvoice.red-letter.requested.v1",
                "cn.einvoice.red-letter.confirmed.v1",
                "cn.einvoice.red-letter.denied.v1",
                "cn.einvoice.red-letter.withdrawn.v1",
                "cn.einvoice.red-letter.issued.v1",
            ]
        );
        assert_eq!(event_type("issue-red", "red.slip-needed"), "cn.einvoice.red-letter.issue-refused.v1");
        assert_eq!(event_type("lock", "reimbursement.already-locked"), "cn.einvoice.invoice.lock-refused.v1");
        assert_eq!(event_type("quota-grant", "quota.already-granted"), "cn.einvoice.quota.grant-refused.v1");
        assert_eq!(event_type(LEASE_ENDED, DERIVED), "cn.einvoice.invoice.lease-ended.v1");
        assert_eq!(event_type("file", REPEATED), "cn.einvoice.filing.file-repeated.v1");
    }
}
