//! Reads: what facades ask. Shared by any number of threads, never in the way of commits.
//!
//! What is read together is immutable (leaves, bodies, tiles) or one row, so no snapshot is needed.
//! Every list has a limit and a cursor.

mod filings;
mod letters;
mod lists;
mod members;
mod numbers;
mod stream;

use std::ops::Bound;
use std::sync::Arc;

use chain::block::{BlockId, Header, Outcome};
use chain::certificate::CommitCertificate;
use chain::genesis::Genesis;
use chain::hash::{Hash, StatementId};
use chain::identity::{ChainId, OrganisationId};
use chain::key::PreparedKeys;
use chain::receipt::{DecidedHeader, Receipt, ValidatorChange};
use chain::statement::Statement;
use invoice::document::Document;
use invoice::id::InvoiceId;
use ledger::admission::{Court, Parsed, Rejection, Verdict};
use ledger::bookkeeping::{BookingRecord, UseRecord};
use ledger::event::Event;
use ledger::manifestation::{CorrectionRecord, ManifestationRecord};
use ledger::organisation::Organisation;
use ledger::outcome::Record;
use ledger::quota::{self, Quota, QuotaRecord};
use ledger::record::{FilingRecord, InvoiceRecord};
use ledger::state::{StateKey, read};

use crate::index::{self, HeightRow, StatementRow};
use crate::leaf;
use crate::list::{self, List};
use crate::mempool::Entry;
use crate::port::{Direction, Store, Table};
use crate::recent::Recent;
use crate::replica::{Fault, Replica, SharedTip, Tip};
use crate::view::{StoreTiles, StoreView};

pub use members::MemberPage;
pub use numbers::{CodeView, NumbersPage, ProvedCounter, Run, SEGMENTS_A_PAGE, Tally};
pub use stream::{LeaseEndView, Placed, StreamItem};

/// Rows a filtered list looks at before it hands back a cursor, found or not.
pub const SCANNED_MAX: usize = 5_000;

/// Bytes of a body in which its header stands.
const HEADER_BYTES_MAX: u32 = 1_024;

/// Reads on one node's replica.
pub struct Query<S: Store> {
    store: Arc<S>,
    tip: SharedTip,
    genesis: Arc<Genesis>,
    chain: ChainId,
    recent: Arc<Recent>,
    keys: Arc<PreparedKeys>,
}

impl<S: Store> Clone for Query<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            tip: Arc::clone(&self.tip),
            genesis: Arc::clone(&self.genesis),
            chain: self.chain.clone(),
            recent: Arc::clone(&self.recent),
            keys: Arc::clone(&self.keys),
        }
    }
}

/// What the door says to a statement.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It may go into the mempool.
    Admitted(Box<Entry>),
    /// It was decided before; this is the statement whose outcome stands.
    Decided(StatementId),
}

/// Why the door does not take a statement.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// It is wrong in itself.
    #[error(transparent)]
    Rejected(Box<Rejection>),
    /// This node failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// One event with what became of it.
#[derive(Clone, Debug)]
pub struct EventView {
    /// Its leaf in the log.
    pub leaf: u64,
    /// The block.
    pub height: u64,
    /// Block time, ms UTC.
    pub time_ms: i64,
    /// The statement it stands in.
    pub statement: Statement,
    /// Which event of that statement it is.
    pub index: u32,
    /// What became of it.
    pub outcome: Outcome,
}

impl EventView {
    /// The event, read.
    ///
    /// # Errors
    /// When a committed event cannot be read: damage.
    pub fn event(&self) -> Result<Event, Fault> {
        let index = usize::try_from(self.index).unwrap_or(usize::MAX);
        let slice = self.statement.event(index).ok_or_else(|| self.damaged(&"the statement has no such event"))?;
        chain::json::from_checked_slice(slice).map_err(|error| self.damaged(&error))
    }

    /// The event's kind, without reading the rest of it.
    ///
    /// # Errors
    /// When a committed event cannot be read: damage.
    pub fn kind(&self) -> Result<&'static str, Fault> {
        let index = usize::try_from(self.index).unwrap_or(usize::MAX);
        let slice = self.statement.event(index).ok_or_else(|| self.damaged(&"the statement has no such event"))?;
        // An event is an object of one member, whose name is the kind.
        let name = slice.strip_prefix(b"{").and_then(|rest| rest.trim_ascii_start().strip_prefix(b"\""));
        let name = name.and_then(|rest| rest.split(|byte| *byte == b'"').next());
        match Event::KINDS.iter().find(|kind| name == Some(kind.as_bytes())) {
            Some(kind) => Ok(kind),
            // Spelled with escapes.
            None => Ok(self.event()?.kind()),
        }
    }

    /// What execution added, read.
    ///
    /// # Errors
    /// When a committed record cannot be read: damage.
    pub fn record(&self) -> Result<Record, Fault> {
        Record::decode(&self.outcome.record).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::Ledger { height: self.height, what: format!("leaf {}: {error}", self.leaf) }
    }
}

/// Where a decided statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementView {
    /// The statement.
    pub id: StatementId,
    /// The block.
    pub height: u64,
    /// The leaf of its first event.
    pub first_leaf: u64,
    /// How many events it has.
    pub events: u32,
}

/// A block without its statements.
#[derive(Clone, Debug)]
pub struct BlockView {
    /// Its header.
    pub header: Header,
    /// Its certificate, as this node holds it.
    pub certificate: CommitCertificate,
}

/// A page of invoices.
#[derive(Clone, Debug)]
pub struct InvoicePage {
    /// The invoices with the cursor of each.
    pub rows: Vec<(InvoiceId, InvoiceRecord)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl<S: Store> Query<S> {
    /// Reads on a replica.
    pub fn new(replica: &Replica<S>, genesis: Arc<Genesis>) -> Self {
        Self {
            store: Arc::clone(replica.store()),
            tip: replica.shared_tip(),
            genesis,
            chain: replica.chain().clone(),
            recent: Arc::clone(&replica.recent),
            keys: Arc::clone(&replica.keys),
        }
    }

    /// The chain.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// Where the chain stands.
    pub fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.read().expect("nothing panics while it holds the tip"))
    }

    fn view(&self) -> StoreView<'_, S> {
        StoreView(&*self.store)
    }

    /// Judges a statement at the tip, as if a block were made at `now_ms`.
    ///
    /// # Errors
    /// A rejection, or a fault of ours.
    pub fn admit(&self, bytes: &[u8], now_ms: i64) -> Result<Admission, AdmitError> {
        let tip = self.tip();
        let time_ms = now_ms.max(tip.progress.time_ms + 1);
        let view = self.view();
        let (rules, keys) = (Arc::clone(&tip.rules), Arc::clone(&self.keys));
        let court = Court::sit_under(&view, self.chain.clone(), time_ms, rules, keys).map_err(Fault::from)?;
        let parsed = match Parsed::read(bytes) {
            Ok(parsed) => parsed,
            Err(rejection) => {
                let rejection = court.explain(bytes, rejection).map_err(Fault::from)?;
                return Err(AdmitError::Rejected(Box::new(rejection)));
            }
        };
        match court.judge(&parsed, None).map_err(Fault::from)? {
            Verdict::Admitted(verified) => Ok(Admission::Admitted(Box::new(Entry { parsed, verified }))),
            Verdict::Repeated(nonce) => Ok(Admission::Decided(nonce.statement)),
            Verdict::Rejected(rejection) => Err(AdmitError::Rejected(rejection)),
        }
    }

    /// An organisation.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn organisation(&self, id: &OrganisationId) -> Result<Option<Organisation>, Fault> {
        Ok(read(&self.view(), &StateKey::organisation(id))?)
    }

    /// An invoice as the rules know it.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn invoice(&self, id: &InvoiceId) -> Result<Option<InvoiceRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::invoice(id))?)
    }

    /// The document of an invoice, as its issuer signed it.
    ///
    /// # Errors
    /// A fault of ours: an invoice always has its document.
    pub fn document(&self, record: &InvoiceRecord) -> Result<Document, Fault> {
        let leaf = record.issue.index;
        let missing = || Fault::Ledger { height: 0, what: format!("leaf {leaf} is no issue") };
        match self.event(leaf)?.ok_or_else(missing)?.event()? {
            Event::Issue(issue) => Ok(issue.document),
            Event::OfflineIssue(issue) => Ok(issue.document),
            // A red letter has the document of its blue, and says how much of it is taken back.
            Event::IssueRed(red) => Ok(red.document),
            Event::Transfer(_)
            | Event::Lock(_)
            | Event::Renew(_)
            | Event::Unlock(_)
            | Event::Close(_)
            | Event::Void(_)
            | Event::File(_)
            | Event::Evidence(_)
            | Event::Admit(_)
            | Event::Register(_)
            | Event::Suspend(_)
            | Event::Reinstate(_)
            | Event::Rotate(_)
            | Event::Roles(_)
            | Event::Rename(_)
            | Event::Mandate(_)
            | Event::Revoke(_)
            | Event::Attest(_)
            | Event::QuotaGrant(_)
            | Event::QuotaAdjust(_)
            | Event::QuotaPause(_)
            | Event::QuotaResume(_)
            | Event::Override(_)
            | Event::Book(_)
            | Event::BookAdjust(_)
            | Event::BookRevoke(_)
            | Event::Use(_)
            | Event::UseRevoke(_)
            | Event::Manifest(_)
            | Event::Correct(_)
            | Event::Amend(_)
            | Event::PayRequest(_)
            | Event::PayResult(_)
            | Event::SegmentGrant(_)
            | Event::SegmentClose(_)
            | Event::RedRequest(_)
            | Event::RedConfirm(_)
            | Event::RedDeny(_)
            | Event::RedWithdraw(_) => Err(missing()),
        }
    }

    /// A filed month of a seller.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn filing(&self, seller: &OrganisationId, period: invoice::Period) -> Result<Option<FilingRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::filing(seller, period))?)
    }

    /// What a seller may issue in a month; `None` without limit.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn quota(&self, seller: &OrganisationId, period: invoice::Period) -> Result<Option<Quota>, Fault> {
        Ok(quota::of(&self.view(), seller, period)?)
    }

    /// A seller's quota of a month as it was granted, if it was.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn granted(&self, seller: &OrganisationId, period: invoice::Period) -> Result<Option<QuotaRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::quota(seller, period))?)
    }

    /// The newest booking of an invoice, in force or taken back.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn booking(&self, id: &InvoiceId) -> Result<Option<BookingRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::booking(id))?)
    }

    /// The newest use of an invoice's VAT, in force or taken back.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn vat_use(&self, id: &InvoiceId) -> Result<Option<UseRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::vat_use(id))?)
    }

    /// What the buyer said last of an invoice.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn manifestation(&self, id: &InvoiceId) -> Result<Option<ManifestationRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::manifestation(id))?)
    }

    /// What the seller says otherwise about an invoice.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn correction(&self, id: &InvoiceId) -> Result<Option<CorrectionRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::correction(id))?)
    }

    /// Where a statement stands, once it is decided.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn statement(&self, id: &StatementId) -> Result<Option<StatementView>, Fault> {
        let Some(bytes) = self.store.get(Table::Statement, id.as_bytes())? else {
            return Ok(None);
        };
        let StatementRow { height, first_leaf, events } = index::decode(Table::Statement, &bytes)?;
        Ok(Some(StatementView { id: *id, height, first_leaf, events }))
    }

    /// The events of a statement of at most so many, in order, when one of the newest blocks decided it; from memory.
    pub fn just_decided(&self, id: &StatementId, events_max: usize) -> Option<Vec<EventView>> {
        self.recent.events_of(id, events_max)
    }

    /// The events of a decided statement, in order, and what became of them.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn events_of(&self, id: &StatementId) -> Result<Option<Vec<EventView>>, Fault> {
        if let Some(events) = self.just_decided(id, usize::MAX) {
            return Ok(Some(events));
        }
        let Some(stands) = self.statement(id)? else {
            return Ok(None);
        };
        let Some(first) = self.event(stands.first_leaf)? else {
            return Ok(None);
        };
        if stands.events == 1 {
            return Ok(Some(vec![first]));
        }
        // Reading each event for itself would read the whole statement as often as it has events.
        let gone = |what: &str| Fault::Ledger { height: stands.height, what: format!("{what} is gone") };
        let block = self.committed_block(stands.height)?.ok_or_else(|| gone("its block"))?;
        let bytes = first.statement.bytes();
        let place = block.body.block.statements.iter().position(|statement| statement[..] == bytes[..]);
        let outcomes = place.and_then(|place| block.body.outcomes.get(place)).ok_or_else(|| gone("a statement"))?;
        let views = (0..).zip(outcomes).map(|(index, outcome)| EventView {
            leaf: stands.first_leaf + u64::from(index),
            index,
            outcome: outcome.clone(),
            ..first.clone()
        });
        Ok(Some(views.collect()))
    }

    fn height_row(&self, height: u64) -> Result<Option<HeightRow>, Fault> {
        let bytes = self.store.get(Table::Height, &height.to_be_bytes())?;
        Ok(bytes.map(|bytes| index::decode(Table::Height, &bytes)).transpose()?)
    }

    /// The id of the block at a height.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn block_id(&self, height: u64) -> Result<Option<BlockId>, Fault> {
        Ok(self.height_row(height)?.map(|row| row.id))
    }

    /// A block's header and certificate.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn block(&self, height: u64) -> Result<Option<BlockView>, Fault> {
        let Some(decided) = self.store.decided(height)? else {
            return Ok(None);
        };
        let damaged = |what: String| Fault::Ledger { height, what };
        let gone = || damaged(format!("the body of {} is gone", decided.id));
        // A header is short; a body shorter than this is read whole.
        let start = match self.store.body_part(&decided.id, 0, HEADER_BYTES_MAX)? {
            Some(start) => start,
            None => self.store.body(&decided.id)?.ok_or_else(gone)?,
        };
        let header = chain::block::Body::decode_header(&start).map_err(|error| damaged(error.to_string()))?;
        let certificate =
            CommitCertificate::decode(&decided.certificate).map_err(|error| damaged(error.to_string()))?;
        Ok(Some(BlockView { header, certificate }))
    }

    /// An event and what became of it, by its leaf.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn event(&self, leaf: u64) -> Result<Option<EventView>, Fault> {
        let Some(found) = leaf::find(&*self.store, leaf)? else {
            return Ok(None);
        };
        let damaged = |what: String| Fault::Ledger { height: found.height, what };
        let statement = found.statement(&*self.store)?;
        let outcome = found.part(&*self.store, found.place.outcome_offset, found.place.outcome_len)?;
        let outcome = chain::encoding::decode_exact::<Outcome>("outcome", &outcome, outcome.len())
            .map_err(|error| damaged(error.to_string()))?;
        let leaf::Found { height, block, place } = found;
        Ok(Some(EventView { leaf, height, time_ms: block.time_ms, statement, index: place.event, outcome }))
    }

    /// Leaves about a subject, oldest first, after a leaf.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn subject_leaves(&self, subject: &str, after: Option<u64>, limit: usize) -> Result<Vec<u64>, Fault> {
        let (store, list) = (&*self.store, List::of_subject(subject));
        Ok(list::oldest_first(store, &list, after, limit, |leaf| leaf::before(store, leaf))?)
    }

    /// The receipt of a leaf: under the header of the block that decided it.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn receipt(&self, leaf: u64) -> Result<Option<Receipt>, Fault> {
        let Some(event) = self.event(leaf)? else {
            return Ok(None);
        };
        let missing = || Fault::Ledger { height: event.height, what: "its block is gone".to_owned() };
        let BlockView { header, certificate } = self.block(event.height)?.ok_or_else(missing)?;
        let tiles = StoreTiles(&*self.store);
        let nodes = chain::tile::TileNodes::new(&tiles);
        let inclusion = chain::merkle::inclusion_proof(&nodes, leaf, header.log_size)
            .map_err(|error| Fault::Ledger { height: event.height, what: error.to_string() })?;
        let event_hash = usize::try_from(event.index).ok().and_then(|index| event.statement.event_hash(index));
        let event_hash = event_hash.ok_or_else(|| event.damaged(&"the statement has no such event"))?;
        let validator_changes = self.validator_changes(event.height)?;
        let leaf_record = chain::block::Leaf {
            statement: event.statement.id(),
            event: event.index,
            event_hash,
            code: event.outcome.code,
            subject: event.outcome.subject,
            height: event.height,
            record_hash: Hash::of(&event.outcome.record),
        };
        let record = event.outcome.record;
        Ok(Some(Receipt::new(leaf_record, record, leaf, inclusion, (header, certificate), validator_changes)))
    }

    /// The header of a height, with the proof that it is decided.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn decided_header(&self, height: u64) -> Result<Option<DecidedHeader>, Fault> {
        let Some(BlockView { header, certificate }) = self.block(height)? else { return Ok(None) };
        let validator_changes = self.validator_changes(height)?;
        Ok(Some(DecidedHeader { header, certificate, validator_changes }))
    }

    /// Every change of the validator set before a height, with its proof.
    fn validator_changes(&self, before: u64) -> Result<Vec<ValidatorChange>, Fault> {
        let range = (Bound::Included(index::set_change_key(0)), Bound::Excluded(index::set_change_key(before)));
        let rows = self.store.scan(Table::Meta, range, Direction::Forward, SCANNED_MAX)?;
        let mut changes = Vec::with_capacity(rows.len());
        for height in rows.iter().filter_map(|(key, _)| index::set_change_height(key)) {
            let body = crate::recover::decided_body(&*self.store, height)?;
            let certificate = self.block(height)?.map(|block| block.certificate);
            if let (Some(certificate), Some(next_validators)) = (certificate, body.block.next_validators) {
                changes.push(ValidatorChange { header: body.block.header, certificate, next_validators });
            }
        }
        Ok(changes)
    }

    /// A committed block with everything an archive holds of it.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn committed_block(&self, height: u64) -> Result<Option<chain::block::CommittedBlock>, Fault> {
        let Some(decided) = self.store.decided(height)? else {
            return Ok(None);
        };
        let body = crate::recover::decided_body(&*self.store, height)?;
        let certificate = CommitCertificate::decode(&decided.certificate)
            .map_err(|error| Fault::Ledger { height, what: error.to_string() })?;
        Ok(Some(chain::block::CommittedBlock { body, certificate }))
    }
}
