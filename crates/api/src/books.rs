//! An invoice in somebody's books: who sees bookings and uses of VAT besides their authors, agencies and auditors.
//!
//! Under which voucher, in which month and for what is the business of whose books it is, and of those who file or read for
//! it. Neither the seller nor another party of the invoice is told; what was only tried is told to nobody but its author.
//! What a buyer says of an invoice, and what its seller says otherwise, is for everybody who sees the invoice.

use chain::identity::OrganisationId;
use invoice::InvoiceId;
use ledger::bookkeeping::{BookingRecord, UseRecord};
use ledger::organisation::Scope;
use ledger::outcome::Record;
use ledger::record::InvoiceRecord;
use replica::port::Store;
use replica::query::EventView;

use crate::auth::Caller;
use crate::problem::Problem;
use crate::service::Service;
use crate::views::{BookingView, CorrectionView, InvoiceView, ManifestationView, UseView};

/// Scopes of a mandate that open its giver's books.
pub(crate) const SEEING_BOOKS: [Scope; 2] = [Scope::File, Scope::Read];

/// Kinds of events about books.
const KINDS: [&str; 5] = ["book", "book-adjust", "book-revoke", "use", "use-revoke"];

/// In whose books an event is; `None` when it is about no books. Of one that was refused it is in nobody's.
pub(crate) fn in_books(event: &EventView) -> Result<Option<Vec<OrganisationId>>, Problem> {
    if !KINDS.contains(&event.kind()?) {
        return Ok(None);
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is of an accepted event about books")]
    Ok(Some(match event.record()? {
        Record::Booked { enterprise }
        | Record::BookingAdjusted { enterprise, .. }
        | Record::BookingRevoked { enterprise, .. } => vec![enterprise],
        Record::Used { buyer, .. } | Record::UseRevoked { buyer, .. } => vec![buyer],
        _ => Vec::new(),
    }))
}

impl<S: Store> Service<S> {
    /// Whether a caller sees what is in any of these books.
    pub(crate) fn sees_books(&self, caller: &Caller, whose: &[OrganisationId]) -> Result<bool, Problem> {
        if caller.sees_everything() {
            return Ok(true);
        }
        for of in whose {
            if self.sees_for(caller, of, &SEEING_BOOKS)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds to an invoice what only some have: what its parties say of it and, for those who see the books, whether it is
    /// booked and used.
    pub(crate) fn with_books(
        &self,
        caller: &Caller,
        id: &InvoiceId,
        record: &InvoiceRecord,
        view: InvoiceView,
    ) -> Result<InvoiceView, Problem> {
        let query = self.query();
        let (booking, used) = (query.booking(id)?, query.vat_use(id)?);
        let buyer = query.organisation_of(&record.buyer)?;
        let booked_by = booking.as_ref().map(|booking| booking.enterprise.clone()).or_else(|| buyer.clone());
        let used_by = used.as_ref().map(|used| used.buyer.clone()).or(buyer);
        let sees = |whose: Option<OrganisationId>| match whose {
            Some(whose) => self.sees_books(caller, &[whose]),
            None => Ok(caller.sees_everything()),
        };
        Ok(InvoiceView {
            booking: sees(booked_by)?.then(|| Box::new(BookingView::of(booking.as_ref()))),
            vat_use: sees(used_by)?.then(|| Box::new(UseView::of(used.as_ref()))),
            manifestation: query.manifestation(id)?.map(|said| Box::new(ManifestationView::from(&said))),
            correction: query.correction(id)?.map(|said| Box::new(CorrectionView::from(&said))),
            ..view
        })
    }
}

/// As what an invoice is booked: 01 for none, and 06 for one whose booking was taken back.
pub(crate) fn booking_code(booking: Option<&BookingRecord>) -> &'static str {
    match booking {
        None => "01",
        Some(BookingRecord { revoked_ms: Some(_), .. }) => "06",
        Some(booking) => booking.terms.code.as_str(),
    }
}

/// For what an invoice's VAT is used: `none` also after a use was taken back.
pub(crate) fn use_purpose(used: Option<&UseRecord>) -> &'static str {
    match used {
        None | Some(UseRecord { revoked_ms: Some(_), .. }) => "none",
        Some(used) => used.purpose.as_str(),
    }
}
