//! What only some invoices have: red letters, slips, and an issue without any node.

use chain::identity::OrganisationId;
use invoice::id::InvoiceId;
use ledger::contingency::{OfflineRecord, OpenSegmentsRecord, SegmentRecord};
use ledger::red::{RedLetterRecord, ReversalRecord, SlipRecord};
use ledger::state::{StateKey, read};

use super::Query;
use crate::port::Store;
use crate::replica::Fault;

impl<S: Store> Query<S> {
    /// What red letters took back of an invoice.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn reversal(&self, blue: &InvoiceId) -> Result<Option<ReversalRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::reversal(blue))?)
    }

    /// What a red letter takes back.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn red_letter(&self, red: &InvoiceId) -> Result<Option<RedLetterRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::red_letter(red))?)
    }

    /// The newest slip of an invoice.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn slip(&self, blue: &InvoiceId) -> Result<Option<SlipRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::slip(blue))?)
    }

    /// How an invoice was issued offline.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn offline(&self, id: &InvoiceId) -> Result<Option<OfflineRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::offline(id))?)
    }

    /// A segment of numbers, by its first number.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn segment(&self, first: &InvoiceId) -> Result<Option<SegmentRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::segment(first))?)
    }

    /// The first numbers of an organisation's open segments, oldest first.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn open_segments(&self, holder: &OrganisationId) -> Result<Vec<InvoiceId>, Fault> {
        let open: OpenSegmentsRecord = read(&self.view(), &StateKey::open_segments(holder))?.unwrap_or_default();
        Ok(open.firsts)
    }

    /// Whether an organisation holds a segment, or ever held one.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn held_segments(&self, holder: &OrganisationId) -> Result<bool, Fault> {
        // The list came with its first segment, and stays when the last is closed.
        Ok(read::<OpenSegmentsRecord>(&self.view(), &StateKey::open_segments(holder))?.is_some())
    }
}
