//! Red letters: who sees them, and what an invoice's view says of what was taken back.
//!
//! A red letter is seen by whoever sees the invoice that it takes back: also by who claims that one, or reimbursed it.

use invoice::InvoiceId;
use invoice::lifecycle::{Sign, Validity};
use ledger::record::InvoiceRecord;
use ledger::red::{ReversalRecord, other_side};
use replica::port::Store;

use crate::problem::Problem;
use crate::service::Service;
use crate::views::{InvoiceView, OfflineView, RedLetterView, ReversalView, SlipView};

impl<S: Store> Service<S> {
    /// The blue of a red letter: by that it is judged who sees it. None of a blue invoice, which is judged by itself.
    pub(crate) fn blue_of(&self, id: &InvoiceId, record: &InvoiceRecord) -> Result<Option<InvoiceRecord>, Problem> {
        if record.sign() == Sign::Blue {
            return Ok(None);
        }
        match self.query().red_letter(id)? {
            Some(letter) => Ok(self.query().invoice(&letter.blue)?),
            None => Ok(None),
        }
    }

    /// What red letters took back of an invoice; most have none, and are not looked for.
    pub(crate) fn reversal_of(
        &self,
        id: &InvoiceId,
        record: &InvoiceRecord,
    ) -> Result<Option<ReversalRecord>, Problem> {
        match record.validity {
            Validity::PartRed | Validity::FullRed => Ok(self.query().reversal(id)?),
            Validity::Normal | Validity::Void => Ok(None),
        }
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
        let reversal = self.reversal_of(id, record)?;
        let letter = match record.sign() {
            Sign::Red => query.red_letter(id)?,
            Sign::Blue => None,
        };
        let slip = match query.slip(id)? {
            Some(slip) => {
                let now_ms = self.now_ms();
                let used = query.vat_use(id)?.filter(|used| used.revoked_ms.is_none()).map(|used| used.buyer);
                let other = other_side(record, used, now_ms, |party| query.organisation_of(party))?;
                Some(Box::new(SlipView::of(&slip, slip.state_at(now_ms, other.as_ref()))))
            }
            None => None,
        };
        Ok(InvoiceView {
            reversal: reversal.map(|reversal| Box::new(ReversalView::from(&reversal))),
            red_letter: letter.map(|letter| Box::new(RedLetterView::from(&letter))),
            slip,
            offline: query.offline(id)?.map(|offline| Box::new(OfflineView::from(&offline))),
            ..view
        })
    }
}
