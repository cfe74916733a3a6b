//! Red letters: who sees them, and what an invoice's view says of what was taken back.
//!
//! A red letter is seen by whoever sees the invoice that it takes back: also by who claims that one, or reimbursed it.

use invoice::InvoiceId;
use invoice::lifecycle::{Sign, Validity};
use ledger::record::{Claim, InvoiceRecord};
use replica::port::Store;

use crate::problem::Problem;
use crate::service::Service;
use crate::views::{InvoiceView, OfflineView, RedLetterView, ReversalView, SlipView};

impl<S: Store> Service<S> {
    /// The record by which it is judged who sees an invoice: of a red letter, that of its blue.
    pub(crate) fn seen_by(&self, id: &InvoiceId, record: InvoiceRecord) -> Result<InvoiceRecord, Problem> {
        if record.sign() == Sign::Blue {
            return Ok(record);
        }
        let Some(letter) = self.query().red_letter(id)? else { return Ok(record) };
        Ok(self.query().invoice(&letter.blue)?.unwrap_or(record))
    }

    /// Adds to an invoice what only some have: what was taken back of it, what it takes back itself, its slip, and how it
    /// was issued offline.
    pub(crate) fn with_letters(
        &self,
        id: &InvoiceId,
        record: &InvoiceRecord,
        view: InvoiceView,
    ) -> Result<InvoiceView, Problem> {
        let query = self.query();
        let now_ms = self.now_ms();
        let reversal = match record.validity {
            Validity::PartRed | Validity::FullRed => query.reversal(id)?,
            Validity::Normal | Validity::Void => None,
        };
        let letter = match record.sign() {
            Sign::Red => query.red_letter(id)?,
            Sign::Blue => None,
        };
        Ok(InvoiceView {
            reversal: reversal.map(|reversal| Box::new(ReversalView::from(&reversal))),
            red_letter: letter.map(|letter| Box::new(RedLetterView::from(&letter))),
            slip: query.slip(id)?.map(|slip| Box::new(SlipView::at(&slip, now_ms))),
            offline: query.offline(id)?.map(|offline| Box::new(OfflineView::from(&offline))),
            ..view
        })
    }
}

/// The platform whose lock ended with the last of an invoice: nobody else's can come after it.
pub(crate) fn released(record: &InvoiceRecord) -> Option<&chain::identity::OrganisationId> {
    let over = record.validity == Validity::FullRed && record.claim == Claim::Open;
    record.tenure.as_ref().filter(|_| over).map(|tenure| &tenure.platform)
}
