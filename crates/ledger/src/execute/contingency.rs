//! Segments of numbers for a contingency, and the invoices issued from them offline.

use std::sync::Arc;

use chain::hash::{Hash, StatementId};
use chain::identity::{ChainId, OrganisationId};
use invoice::id::{DigitalNumber, InvoiceId, InvoiceNumber, blockchain_code, digital_number};

use super::issue::{Issuing, named_as_registered};
use super::{Accepted, Change, Decision, Executor, permit, refuse, repeated, role};
use crate::contingency::{
    NumberSet, NumberingKind, OfflineRecord, OpenSegmentsRecord, SEGMENT_BATCH, SEGMENT_CHANNEL, SEGMENTS_OPEN_MAX,
    SegmentEnd, SegmentRecord, latest_end_ms,
};
use crate::event::{OfflineIssue, SegmentClose, SegmentGrant};
use crate::organisation::{AdmittedKey, Organisation, Purpose, Role, Standing as OrganisationStanding};
use crate::outcome::Record;
use crate::record::{CounterRecord, InvoiceRecord, LeafRef, ReferenceRecord};
use crate::refusal::{Reason, Refusal, Standing};
use crate::state::{Fault, StateKey, read};

/// A segment about to be written.
pub(super) struct SegmentChange {
    segment: SegmentRecord,
    /// Whether it is new, or else closed.
    granted: bool,
}

/// An invoice about to be written that was issued offline.
pub(super) struct OfflineChange {
    issuing: Issuing,
    offline: OfflineRecord,
    segment: SegmentRecord,
}

impl Executor<'_> {
    pub(super) fn decide_segment_grant(&self, actor: &Organisation, grant: &SegmentGrant) -> Decision {
        permit!(self.bureau(actor));
        let Some(holder) = self.organisation(&grant.to)? else {
            let found = grant.to.to_string();
            return refuse(Refusal::new(Reason::OrganisationUnknown, "an organisation on the ledger", found));
        };
        permit!(role(&holder, &[Role::Enterprise, Role::ServiceProvider]));
        if holder.standing == OrganisationStanding::Suspended {
            return refuse(Refusal::new(Reason::Suspended, "an active holder", holder.id.to_string()));
        }
        let signs = |key: &&crate::organisation::Key| key.active && key.purposes.contains(&Purpose::Statement);
        let Some(key) = holder.key(&grant.key).filter(signs) else {
            let found = format!("{}/{}", holder.id, grant.key);
            return refuse(Refusal::new(Reason::SegmentKey, "an active key that signs statements", found));
        };
        let (now, latest_ms) = (self.context.time_ms, latest_end_ms(self.context.time_ms));
        if grant.valid_until_ms <= now || grant.valid_until_ms > latest_ms {
            let expected = format!("an end after {now}, at most {latest_ms}");
            return refuse(Refusal::new(Reason::SegmentTerm, expected, grant.valid_until_ms.to_string()));
        }
        let open = self.open_segments(&holder.id)?.firsts.len();
        if open >= SEGMENTS_OPEN_MAX {
            let expected = format!("fewer than {SEGMENTS_OPEN_MAX} open segments");
            return refuse(Refusal::new(Reason::SegmentsSpent, expected, open.to_string()));
        }
        let Some(first) = self.next_segment(grant.numbering, grant.count)? else {
            return refuse(Refusal::new(Reason::NumbersExhausted, "so many numbers left for segments", "fewer"));
        };
        let segment = SegmentRecord {
            holder: holder.id.clone(),
            key: key.id.clone(),
            public: key.public,
            first,
            count: grant.count,
            granted_ms: now,
            valid_until_ms: grant.valid_until_ms,
            deadline_hours: grant.deadline_hours,
            // The leaf is not known yet; `apply_segment` sets it.
            granted: LeafRef { index: 0, hash: Hash::from_bytes([0; 32]) },
            used: NumberSet::default(),
            closed: None,
        };
        let record = Record::SegmentGranted {
            first,
            last: segment.last(),
            holder: segment.holder.clone(),
            key: segment.key.clone(),
            public: segment.public,
            granted_ms: now,
            valid_until_ms: segment.valid_until_ms,
            deadline_hours: segment.deadline_hours,
        };
        Ok(Ok(change(record, SegmentChange { segment, granted: true })))
    }

    /// The first number of a new segment: segments of a code follow each other without a gap, as invoices do elsewhere.
    /// `None` when there are not so many numbers left.
    fn next_segment(&self, numbering: NumberingKind, count: u32) -> Result<Option<InvoiceId>, Fault> {
        let (year, parts) = (self.context.today.year_of_century(), &self.parameters.numbering);
        let none = match numbering {
            NumberingKind::Blockchain => {
                // Parameters that do not fit their digits leave no numbers to grant.
                let code = blockchain_code(parts.blockchain_region, year, SEGMENT_BATCH, parts.blockchain_copies).ok();
                let zero = InvoiceNumber::from_number(0).ok();
                code.zip(zero).map(|(code, number)| InvoiceId::Blockchain { code, number })
            }
            NumberingKind::Digital => digital_number(year, parts.digital_province, SEGMENT_CHANNEL, 0)
                .ok()
                .map(|number: DigitalNumber| InvoiceId::Digital { number }),
        };
        let Some(none) = none else { return Ok(None) };
        let next = self.next_number(&StateKey::counter_of(&none.code()))?;
        let last = next.saturating_add(u64::from(count.saturating_sub(1)));
        Ok(none.with_number(last).and_then(|_| none.with_number(next)))
    }

    pub(super) fn decide_segment_close(&self, actor: &Organisation, close: &SegmentClose) -> Decision {
        let segment = read::<SegmentRecord>(&self.state, &StateKey::segment(&close.segment))?;
        let theirs = |segment: &SegmentRecord| segment.holder == actor.id || self.parameters.tax_bureau == actor.id;
        let Some(mut segment) = segment.filter(theirs) else { return refuse(unknown(&close.segment)) };
        permit!(still_open(&segment));
        let (used, gaps) = (segment.used.len(), segment.used.missing(segment.count));
        let record = Record::SegmentClosed { last: segment.last(), used, gaps };
        // The leaf is not known yet; `apply_segment` sets it.
        let leaf = segment.granted;
        segment.closed = Some(SegmentEnd { by: actor.id.clone(), closed_ms: self.context.time_ms, leaf });
        Ok(Ok(change(record, SegmentChange { segment, granted: false })))
    }

    pub(super) fn decide_offline_issue(&self, actor: &Organisation, chain: &ChainId, issue: &OfflineIssue) -> Decision {
        let OfflineIssue { document, certificate } = issue;
        let claims = certificate.claims();
        permit!(role(actor, &[Role::Enterprise, Role::ServiceProvider]));
        let segment = read::<SegmentRecord>(&self.state, &StateKey::segment(&claims.segment))?;
        // Whose segments there are is nothing to others.
        let Some(mut segment) = segment.filter(|segment| segment.holder == actor.id) else {
            return refuse(unknown(&claims.segment));
        };
        let seller = permit!(self.seller(actor, document)?);
        let known = read::<OfflineRecord>(&self.state, &StateKey::offline(&claims.invoice))?;
        // The same invoice again is answered with the first, also when its key signs no longer.
        if let Some(first) = &known
            && first.segment == segment.first
            && first.content == claims.content
            && claims.are_of(document)
        {
            return self.number_used(first, issue);
        }
        permit!(self.certified(chain, &segment, issue)?);
        let Some(index) = segment.index_of(&claims.invoice) else {
            let expected = format!("{} to {}", segment.first, segment.last());
            return refuse(Refusal::new(Reason::ContingencyNumber, expected, claims.invoice.to_string()));
        };
        if let Some(first) = &known {
            return self.number_used(first, issue);
        }
        permit!(still_open(&segment));
        permit!(self.in_time(&segment, claims.issued_ms));
        if let Some(reference) =
            read::<ReferenceRecord>(&self.state, &StateKey::reference(&seller.id, &document.reference))?
        {
            return self.issued_elsewhere(&seller, &reference, claims.content);
        }
        permit!(named_as_registered(&seller, document));
        let quota = permit!(self.with_issued(&seller.id, document.totals.gross)?);
        segment.used.insert(index);
        let record = self.record(&seller, document)?;
        let offline = OfflineRecord {
            segment: segment.first,
            issued_offline_ms: claims.issued_ms,
            submit_by_ms: claims.submit_by_ms,
            late: self.context.time_ms > claims.submit_by_ms,
            certificate: certificate.signed().hash(),
            content: claims.content,
        };
        let outcome = Record::IssuedOffline {
            invoice: claims.invoice,
            issued_ms: self.context.time_ms,
            holder: record.holder.clone(),
            segment: offline.segment,
            issued_offline_ms: offline.issued_offline_ms,
            submit_by_ms: offline.submit_by_ms,
            late: offline.late,
        };
        let issuing = Issuing { id: claims.invoice, counted: None, content: claims.content, record, quota };
        let change = Change::Offline(Box::new(OfflineChange { issuing, offline, segment }));
        Ok(Ok(Accepted { record: outcome, change, mandated: seller.id != actor.id }))
    }

    /// Refuses a certificate that is not of this document, chain and segment, or that the segment's key did not sign, and
    /// all of a key that signs no longer: who has it could have signed them at any time.
    fn certified(
        &self,
        chain: &ChainId,
        segment: &SegmentRecord,
        issue: &OfflineIssue,
    ) -> Result<Result<(), Refusal>, Fault> {
        let OfflineIssue { document, certificate } = issue;
        let (claims, signed) = (certificate.claims(), certificate.signed());
        let key = signed.key();
        let invalid =
            |expected: &str, found: String| Err(Refusal::new(Reason::ContingencyCertificate, expected, found));
        if signed.chain() != chain {
            return Ok(invalid("a certificate for this chain", signed.chain().to_string()));
        }
        if (&key.organisation, &key.key) != (&segment.holder, &segment.key) {
            return Ok(invalid(&format!("one signed by {}/{}", segment.holder, segment.key), key.to_string()));
        }
        if !claims.are_of(document) {
            return Ok(invalid("one of this very document", claims.content.to_string()));
        }
        if claims.submit_by_ms != segment.submit_by_ms(claims.issued_ms) {
            let expected = format!("a deadline {} hours after the issue", segment.deadline_hours);
            return Ok(invalid(&expected, claims.submit_by_ms.to_string()));
        }
        if !self.still_signs(segment)? {
            let expected = "the segment's key, not revoked";
            return Ok(Err(Refusal::new(Reason::ContingencyKeyRevoked, expected, key.to_string())));
        }
        let point = segment.public.point().map_err(|_| Fault::Missing { key: point_of(&segment.public) })?;
        if !signed.verify(&point) {
            return Ok(invalid("a signature of the segment's key", signed.hash().to_string()));
        }
        Ok(Ok(()))
    }

    fn still_signs(&self, segment: &SegmentRecord) -> Result<bool, Fault> {
        let holder = self.organisation(&segment.holder)?;
        Ok(holder.is_some_and(|holder| holder.key(&segment.key).is_some_and(|key| key.active)))
    }

    /// The same invoice again is answered with the first; another under its number is refused, with the first as evidence.
    fn number_used(&self, first: &OfflineRecord, issue: &OfflineIssue) -> Decision {
        let claims = issue.certificate.claims();
        let key = StateKey::invoice(&claims.invoice);
        let invoice = read::<InvoiceRecord>(&self.state, &key)?;
        let invoice = invoice.ok_or_else(|| Fault::Missing { key: key.to_string() })?;
        if first.content == claims.content {
            return repeated(invoice.issue);
        }
        let (since_ms, leaf) = (invoice.issued_ms, invoice.issue);
        let standing = Standing { organisation: invoice.seller, since_ms, until_ms: None, leaf };
        let expected = format!("the invoice of certificate {}", first.certificate);
        let found = format!("another, of certificate {}", issue.certificate.signed().hash());
        refuse(Refusal::new(Reason::ContingencyNumberUsed, expected, found).because_of(standing))
    }

    /// A document that was issued under another number, or its reference for another document.
    fn issued_elsewhere(&self, seller: &Arc<Organisation>, reference: &ReferenceRecord, content: Hash) -> Decision {
        if reference.content != content {
            return self.issued_before(&seller.id, reference, content);
        }
        let since_ms = read::<InvoiceRecord>(&self.state, &StateKey::invoice(&reference.invoice))?
            .map_or(self.context.time_ms, |invoice| invoice.issued_ms);
        let standing = Standing { organisation: seller.id.clone(), since_ms, until_ms: None, leaf: reference.issue };
        let found = format!("{}, issued with this content", reference.invoice);
        let expected = "a document not issued before";
        refuse(Refusal::new(Reason::ContingencyIssuedBefore, expected, found).because_of(standing))
    }

    /// Refuses what says to be issued outside of the segment's term, or later than now.
    fn in_time(&self, segment: &SegmentRecord, issued_ms: i64) -> Result<(), Refusal> {
        let until_ms = segment.valid_until_ms.min(self.context.time_ms);
        if (segment.granted_ms..=until_ms).contains(&issued_ms) {
            return Ok(());
        }
        let expected = format!("a time from {} to {until_ms}", segment.granted_ms);
        Err(Refusal::new(Reason::ContingencyTime, expected, issued_ms.to_string()))
    }

    fn open_segments(&self, holder: &OrganisationId) -> Result<OpenSegmentsRecord, Fault> {
        Ok(read(&self.state, &StateKey::open_segments(holder))?.unwrap_or_default())
    }

    pub(super) fn apply_segment(&mut self, change: SegmentChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let SegmentChange { mut segment, granted } = change;
        let mut open = self.open_segments(&segment.holder)?;
        if granted {
            segment.granted = leaf;
            open.firsts.push(segment.first);
            let next = segment.last().number_in_code() + 1;
            let counter = StateKey::counter_of(&segment.first.code());
            self.state.put(counter, &by.hash(), &CounterRecord { next })?;
        } else if let Some(end) = &mut segment.closed {
            end.leaf = leaf;
            open.firsts.retain(|first| *first != segment.first);
        }
        self.state.put(StateKey::open_segments(&segment.holder), &by.hash(), &open)?;
        self.state.put(StateKey::segment(&segment.first), &by.hash(), &segment)
    }

    pub(super) fn apply_offline(&mut self, change: OfflineChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let OfflineChange { issuing, offline, segment } = change;
        self.state.put_new(StateKey::offline(&issuing.id), &by.hash(), &offline);
        self.state.put(StateKey::segment(&segment.first), &by.hash(), &segment)?;
        self.apply_issue(issuing, by, leaf)
    }
}

/// The refusal of a segment that does not exist, for all the actor may know.
fn unknown(segment: &InvoiceId) -> Refusal {
    Refusal::new(Reason::SegmentUnknown, "a segment of the organisation", segment.to_string())
}

fn still_open(segment: &SegmentRecord) -> Result<(), Refusal> {
    match segment.closed_standing() {
        None => Ok(()),
        Some(standing) => {
            let refusal = Refusal::new(Reason::SegmentClosed, "a segment that is open", "closed");
            Err(refusal.because_of(standing))
        }
    }
}

/// The record that is damaged when a key that was admitted is none.
fn point_of(public: &AdmittedKey) -> String {
    StateKey::public_key(public.as_bytes()).to_string()
}

/// Accepts a change of a segment: nobody makes one under a mandate.
fn change(record: Record, change: SegmentChange) -> Accepted {
    Accepted { record, change: Change::Segment(Box::new(change)), mandated: false }
}

/// The subject of a segment, by its first number.
pub(super) fn subject(first: &InvoiceId) -> String {
    format!("segment:{first}")
}

/// The subject of a grant: the segment that it became, or for whom it became none.
pub(super) fn subject_of_grant(grant: &SegmentGrant, result: &Result<Record, Refusal>) -> String {
    match result {
        Ok(Record::SegmentGranted { first, .. }) => subject(first),
        Ok(_) | Err(_) => subject_of_none(&grant.to),
    }
}

/// The subject of a grant that became no segment.
pub(super) fn subject_of_none(holder: &OrganisationId) -> String {
    format!("segment:{holder}")
}
