//! What an invoice is in the books of an enterprise: booked once, and its VAT used once.
//!
//! The taxpayer itself signs, or who files for it under its mandate: bookings and uses are what its filings are made of, so
//! whoever answers for those answers for these. A mandate to lock is for one claim and one invoice at a time, and lets
//! nobody into the books.

use chain::hash::{Hash, StatementId};
use chain::identity::OrganisationId;
use invoice::date::Period;
use invoice::id::InvoiceId;
use invoice::lifecycle::{Reimbursement, Relation, Sign, Validity};

use super::{Accepted, Acting, Change, Decision, Executor, permit, refuse, role_missing, suspended};
use crate::bookkeeping::{BookingRecord, BookingTerms, InputRecord, UseRecord};
use crate::event::{Book, BookAdjust, BookRevoke, Use, UseRevoke};
use crate::organisation::{Organisation, Scope};
use crate::outcome::Record;
use crate::record::{Claim, FilingRecord, InvoiceRecord, LeafRef, SumOverflow};
use crate::refusal::{Reason, Refusal, Standing};
use crate::state::{Fault, StateKey, read};

/// The leaf of an event that has none yet; applying sets it.
pub(super) const NO_LEAF: LeafRef = LeafRef { index: 0, hash: Hash::from_bytes([0; 32]) };

/// A booking about to be written.
pub(super) struct BookingChange {
    invoice: InvoiceId,
    record: BookingRecord,
    /// Whether it begins with this event, whose leaf it then gets.
    begins: bool,
}

/// A use about to be written, and the buyer's month with it.
pub(super) struct UseChange {
    invoice: InvoiceId,
    record: UseRecord,
    input: InputRecord,
}

/// What of an invoice is in somebody's books: while anything is, its seller alone can neither take it back nor write it
/// down.
pub(super) struct TakenUp {
    /// It is booked.
    pub(super) booked: bool,
    /// Its VAT is used.
    pub(super) used: bool,
}

/// What is wrong with a month, as the code of bookings and of uses has it.
#[derive(Clone, Copy)]
struct Months {
    outside: Reason,
    filed: Reason,
}

const OF_BOOKINGS: Months = Months { outside: Reason::BookingPeriod, filed: Reason::BookingPeriodFiled };
const OF_USES: Months = Months { outside: Reason::UsePeriod, filed: Reason::UsePeriodFiled };

impl Executor<'_> {
    /// Whether an invoice is booked or its VAT used.
    pub(super) fn taken_up(&self, invoice: &InvoiceId) -> Result<TakenUp, Fault> {
        Ok(TakenUp { booked: self.booking(invoice)?.is_some(), used: self.use_of(invoice)?.is_some() })
    }

    pub(super) fn decide_book(&self, actor: &Organisation, book: &Book) -> Decision {
        let Book { invoice, code, voucher, period } = book;
        let record = permit!(self.invoice(invoice)?);
        let whose = permit!(self.books(actor, invoice, &record)?);
        permit!(left(&record));
        if let Some(booked) = self.booking(invoice)? {
            return refuse(already_booked(&booked, whose.contains(&booked.enterprise)));
        }
        let enterprise = permit!(self.booker(&record, &whose)?);
        permit!(self.open_month(&enterprise, &record, *period, OF_BOOKINGS)?);
        let (invoice, mandated) = (*invoice, enterprise != actor.id);
        let terms = BookingTerms { code: *code, voucher: voucher.clone(), period: *period };
        let record = Record::Booked { enterprise: enterprise.clone() };
        let booked_ms = self.context.time_ms;
        let booking = BookingRecord { enterprise, terms, booked_ms, leaf: NO_LEAF, revoked_ms: None };
        let change = Change::Booking(Box::new(BookingChange { invoice, record: booking, begins: true }));
        Ok(Ok(Accepted { record, change, mandated }))
    }

    pub(super) fn decide_book_adjust(&self, actor: &Organisation, adjust: &BookAdjust) -> Decision {
        let BookAdjust { invoice, code, voucher, period } = adjust;
        let record = permit!(self.invoice(invoice)?);
        let whose = permit!(self.books(actor, invoice, &record)?);
        permit!(standing(&record));
        let mut booking = permit!(self.own_booking(invoice, &whose)?);
        // What another has reimbursed since is no longer this enterprise's to book; to take its booking back is.
        permit!(self.booker(&record, std::slice::from_ref(&booking.enterprise))?);
        let terms = BookingTerms { code: *code, voucher: voucher.clone(), period: *period };
        if booking.terms == terms {
            let found = format!("{} under {} in {} already", code.as_str(), terms.voucher, terms.period);
            return refuse(Refusal::new(Reason::BookingUnchanged, "a change", found));
        }
        for period in [booking.terms.period, *period] {
            permit!(self.open_month(&booking.enterprise, &record, period, OF_BOOKINGS)?);
        }
        let former = std::mem::replace(&mut booking.terms, terms);
        let (enterprise, mandated) = (booking.enterprise.clone(), booking.enterprise != actor.id);
        let change = Change::Booking(Box::new(BookingChange { invoice: *invoice, record: booking, begins: false }));
        Ok(Ok(Accepted { record: Record::BookingAdjusted { enterprise, former }, change, mandated }))
    }

    pub(super) fn decide_book_revoke(&self, actor: &Organisation, revoke: &BookRevoke) -> Decision {
        let record = permit!(self.invoice(&revoke.invoice)?);
        let booked = self.booking(&revoke.invoice)?;
        // Who booked may take it back, also when it has no part in the invoice any more.
        let whose = match &booked {
            Some(booked) if matches!(self.in_the_books_of(actor, &booked.enterprise)?, Some(Ok(()))) => {
                vec![booked.enterprise.clone()]
            }
            Some(_) | None => permit!(self.books(actor, &revoke.invoice, &record)?),
        };
        let mut booking = permit!(self.own_booking(&revoke.invoice, &whose)?);
        permit!(self.not_filed(&booking.enterprise, booking.terms.period, OF_BOOKINGS)?);
        booking.revoked_ms = Some(self.context.time_ms);
        let BookingRecord { enterprise, terms, leaf, .. } = booking.clone();
        let mandated = enterprise != actor.id;
        let change =
            Change::Booking(Box::new(BookingChange { invoice: revoke.invoice, record: booking, begins: false }));
        Ok(Ok(Accepted { record: Record::BookingRevoked { enterprise, terms, booking: leaf }, change, mandated }))
    }

    pub(super) fn decide_use(&self, actor: &Organisation, used: &Use) -> Decision {
        let Use { invoice, purpose, reason, period } = used;
        let record = permit!(self.invoice(invoice)?);
        let buyer = permit!(self.buyer(actor, invoice, &record)?);
        // What a red letter takes back, the ledger takes out of the buyer's month itself.
        if record.sign() == Sign::Red {
            return refuse(red_letter());
        }
        permit!(left(&record));
        if !record.profile.is_special() {
            let found = record.profile.as_str();
            return refuse(Refusal::new(Reason::UseOrdinary, "a special invoice", found));
        }
        if record.seller == buyer {
            return refuse(Refusal::new(Reason::UseOwn, "an invoice of another seller", buyer.to_string()));
        }
        if let Some(used) = self.use_of(invoice)? {
            // Under a taxpayer id that was another's by error, the month is that other's business.
            let found =
                if used.buyer == buyer { format!("{} in {}", used.purpose, used.period) } else { "used".into() };
            let refusal = Refusal::new(Reason::AlreadyUsed, "an invoice whose VAT nobody has used", found);
            return refuse(refusal.because_of(used.standing()));
        }
        permit!(self.open_month(&buyer, &record, *period, OF_USES)?);
        let mut input = self.input(&buyer, *period)?;
        let totals = self.left_of(invoice, &record)?;
        input.add(*purpose, &totals).map_err(|SumOverflow| Fault::Sums { party: buyer.to_string() })?;
        let mandated = buyer != actor.id;
        let said = Record::Used { buyer: buyer.clone(), net: totals.net, tax: totals.tax };
        let record = UseRecord {
            buyer,
            purpose: *purpose,
            reason: *reason,
            period: *period,
            used_ms: self.context.time_ms,
            leaf: NO_LEAF,
            revoked_ms: None,
        };
        let change = Change::Use(Box::new(UseChange { invoice: *invoice, record, input }));
        Ok(Ok(Accepted { record: said, change, mandated }))
    }

    pub(super) fn decide_use_revoke(&self, actor: &Organisation, revoke: &UseRevoke) -> Decision {
        let record = permit!(self.invoice(&revoke.invoice)?);
        let used = self.use_of(&revoke.invoice)?;
        // Who used it may take that back, also when the invoice turned out to be another's.
        let buyer = match &used {
            Some(used) if matches!(self.in_the_books_of(actor, &used.buyer)?, Some(Ok(()))) => used.buyer.clone(),
            Some(_) | None => permit!(self.buyer(actor, &revoke.invoice, &record)?),
        };
        let Some(mut used) = used.filter(|used| used.buyer == buyer) else {
            return refuse(Refusal::new(Reason::NotUsed, "an invoice whose VAT is used", "none"));
        };
        permit!(self.not_filed(&buyer, used.period, OF_USES)?);
        permit!(self.not_red_since(&revoke.invoice, &used)?);
        let mut input = self.input(&buyer, used.period)?;
        input
            .remove(used.purpose, &self.left_of(&revoke.invoice, &record)?)
            .map_err(|SumOverflow| Fault::Sums { party: buyer.to_string() })?;
        used.revoked_ms = Some(self.context.time_ms);
        let mandated = buyer != actor.id;
        let (purpose, period, leaf) = (used.purpose, used.period, used.leaf);
        let change = Change::Use(Box::new(UseChange { invoice: revoke.invoice, record: used, input }));
        Ok(Ok(Accepted { record: Record::UseRevoked { buyer, purpose, period, used: leaf }, change, mandated }))
    }

    pub(super) fn apply_booking(&mut self, change: BookingChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let BookingChange { invoice, mut record, begins } = change;
        if begins {
            record.leaf = leaf;
        }
        self.state.put(StateKey::booking(&invoice), &by.hash(), &record)
    }

    pub(super) fn apply_use(&mut self, change: UseChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let UseChange { invoice, mut record, input } = change;
        if record.revoked_ms.is_none() {
            record.leaf = leaf;
        }
        self.state.put(StateKey::input(&record.buyer, record.period), &by.hash(), &input)?;
        self.state.put(StateKey::vat_use(&invoice), &by.hash(), &record)
    }

    /// The buyer of an invoice, when the actor is it or files for it. Whoever has another part in the invoice is told that
    /// this one is not its own, and everybody else that there is no such invoice.
    pub(super) fn buyer(
        &self,
        actor: &Organisation,
        id: &InvoiceId,
        record: &InvoiceRecord,
    ) -> Result<Result<OrganisationId, Refusal>, Fault> {
        if let Some(buyer) = self.organisation_of(&record.buyer)?
            && let Some(permitted) = self.in_the_books_of(actor, &buyer)?
        {
            return Ok(permitted.map(|()| buyer));
        }
        self.refused_another_part(actor, id, record).map(Err)
    }

    /// Whose books an invoice may come to stand in, of those that the actor keeps: its buyer's, its holder's, and those of
    /// the enterprise that reimbursed it.
    fn books(
        &self,
        actor: &Organisation,
        id: &InvoiceId,
        record: &InvoiceRecord,
    ) -> Result<Result<Vec<OrganisationId>, Refusal>, Fault> {
        let reimbursed = match &record.claim {
            Claim::Closed(closed) => Some(closed.enterprise.clone()),
            Claim::Open | Claim::Locked(_) => None,
        };
        let parties = [reimbursed, self.organisation_of(&record.buyer)?, self.organisation_of(&record.holder)?];
        let (mut whose, mut hindered) = (Vec::new(), None);
        for party in parties.into_iter().flatten() {
            match self.in_the_books_of(actor, &party)? {
                Some(Ok(())) => whose.push(party),
                Some(Err(refusal)) => hindered = hindered.or(Some(refusal)),
                None => {}
            }
        }
        if !whose.is_empty() {
            return Ok(Ok(whose));
        }
        match hindered {
            Some(refusal) => Ok(Err(refusal)),
            None => self.refused_another_part(actor, id, record).map(Err),
        }
    }

    /// Who books an invoice, when it is one of those: the enterprise that reimbursed it, else its buyer. A person has no
    /// books; what was issued to one is booked by who reimbursed it, and by nobody before.
    fn booker(
        &self,
        record: &InvoiceRecord,
        whose: &[OrganisationId],
    ) -> Result<Result<OrganisationId, Refusal>, Fault> {
        let not_reimbursed =
            |expected: &str| Ok(Err(Refusal::new(Reason::NotReimbursed, expected, "not reimbursed by it")));
        let now = self.context.time_ms;
        match (&record.claim, record.claim.at(now)) {
            (Claim::Closed(closed), _) if whose.contains(&closed.enterprise) => Ok(Ok(closed.enterprise.clone())),
            (Claim::Closed(_), _) => not_reimbursed("the enterprise that reimbursed the invoice"),
            (Claim::Open | Claim::Locked(_), reimbursement) => {
                let Some(buyer) = self.organisation_of(&record.buyer)?.filter(|buyer| whose.contains(buyer)) else {
                    return not_reimbursed("the buyer, or an enterprise that reimbursed the invoice");
                };
                match record.claim.lock_at(now) {
                    // It may be another that will have reimbursed it in a moment.
                    Some(lock) if reimbursement == Reimbursement::Locked && lock.enterprise != buyer => {
                        let expected = "an invoice that nobody else is about to reimburse";
                        Ok(Err(Refusal::new(Reason::BookingLocked, expected, "locked").because_of(lock.standing())))
                    }
                    Some(_) | None => Ok(Ok(buyer)),
                }
            }
        }
    }

    fn own_booking(&self, id: &InvoiceId, whose: &[OrganisationId]) -> Result<Result<BookingRecord, Refusal>, Fault> {
        let expected = "an invoice that the enterprise has booked";
        Ok(match self.booking(id)? {
            Some(booking) if whose.contains(&booking.enterprise) => Ok(booking),
            Some(booking) => {
                let refusal = Refusal::new(Reason::NotBooked, expected, "booked by another");
                Err(refusal.because_of(booking.standing()))
            }
            None => Err(Refusal::new(Reason::NotBooked, expected, "none")),
        })
    }

    /// Whether the actor may write into an enterprise's books; `None` when it has nothing to do with them.
    fn in_the_books_of(
        &self,
        actor: &Organisation,
        enterprise: &OrganisationId,
    ) -> Result<Option<Result<(), Refusal>>, Fault> {
        self.may_act(actor, enterprise, Scope::File)
    }

    /// Whether the actor may act for a party in a scope; `None` when it has nothing to do with it.
    pub(super) fn may_act(
        &self,
        actor: &Organisation,
        party: &OrganisationId,
        scope: Scope,
    ) -> Result<Option<Result<(), Refusal>>, Fault> {
        Ok(match self.acting(actor, party, scope)? {
            Acting::Freely => Some(Ok(())),
            Acting::ForSuspended => Some(Err(suspended(party))),
            Acting::WithoutRole => Some(Err(role_missing(&actor.roles, scope.roles()))),
            Acting::Not => None,
        })
    }

    /// The refusal of what is for another party of the invoice to do.
    pub(super) fn refused_another_part(
        &self,
        actor: &Organisation,
        id: &InvoiceId,
        record: &InvoiceRecord,
    ) -> Result<Refusal, Fault> {
        let relations = self.relations(actor, record)?;
        if relations == [Relation::Stranger] {
            // As if there were none: whoever has no part in an invoice learns nothing of it.
            return Ok(super::invoices::unknown(id));
        }
        Ok(Refusal::new(Reason::NotPermitted, format!("a party of {id} that may"), actor.id.to_string()))
    }

    /// Refuses a month before that of the issue, one that has not begun, and one that the taxpayer has filed.
    fn open_month(
        &self,
        taxpayer: &OrganisationId,
        record: &InvoiceRecord,
        period: Period,
        months: Months,
    ) -> Result<Result<(), Refusal>, Fault> {
        let (issued, now) = (record.period, self.context.today.period());
        if !(issued..=now).contains(&period) {
            let expected = format!("a month from {issued} to {now}");
            return Ok(Err(Refusal::new(months.outside, expected, period.to_string())));
        }
        self.not_filed(taxpayer, period, months)
    }

    fn not_filed(
        &self,
        taxpayer: &OrganisationId,
        period: Period,
        months: Months,
    ) -> Result<Result<(), Refusal>, Fault> {
        Ok(match read::<FilingRecord>(&self.state, &StateKey::filing(taxpayer, period))? {
            None => Ok(()),
            Some(filed) => {
                let (organisation, since_ms, leaf) = (filed.by, filed.filed_ms, filed.leaf);
                let standing = Standing { organisation, since_ms, until_ms: None, leaf };
                let refusal = Refusal::new(months.filed, "a month that is not filed", period.to_string());
                Err(refusal.because_of(standing))
            }
        })
    }

    /// Refuses to take a use back of which red letters have taken something since: they stand in months of their own.
    fn not_red_since(&self, invoice: &InvoiceId, used: &UseRecord) -> Result<Result<(), Refusal>, Fault> {
        let reversal = self.reversal(invoice)?;
        if reversal.letters.is_empty() || reversal.newest.index < used.leaf.index {
            return Ok(Ok(()));
        }
        let found = format!("{} red letters", reversal.letters.len());
        Ok(Err(Refusal::new(Reason::UseReversed, "a use of which no red letter has taken anything", found)))
    }

    /// The booking in force.
    fn booking(&self, invoice: &InvoiceId) -> Result<Option<BookingRecord>, Fault> {
        let record = read::<BookingRecord>(&self.state, &StateKey::booking(invoice))?;
        Ok(record.filter(|booking| booking.revoked_ms.is_none()))
    }

    /// The use in force.
    pub(super) fn use_of(&self, invoice: &InvoiceId) -> Result<Option<UseRecord>, Fault> {
        let record = read::<UseRecord>(&self.state, &StateKey::vat_use(invoice))?;
        Ok(record.filter(|used| used.revoked_ms.is_none()))
    }

    pub(super) fn input(&self, buyer: &OrganisationId, period: Period) -> Result<InputRecord, Fault> {
        Ok(read(&self.state, &StateKey::input(buyer, period))?.unwrap_or_default())
    }
}

/// Refuses what needs an invoice that stands; one that was taken back by red letters does, as they do.
pub(super) fn standing(record: &InvoiceRecord) -> Result<(), Refusal> {
    match record.validity {
        Validity::Normal | Validity::PartRed | Validity::FullRed => Ok(()),
        Validity::Void => Err(Refusal::new(Reason::InvoiceVoid, "an invoice that stands", "void")),
    }
}

/// Refuses what needs an invoice of which something is left.
fn left(record: &InvoiceRecord) -> Result<(), Refusal> {
    match record.validity {
        Validity::Normal | Validity::PartRed => Ok(()),
        Validity::Void => standing(record),
        Validity::FullRed => Err(fully_red()),
    }
}

/// The refusal of an invoice of which nothing is left.
pub(super) fn fully_red() -> Refusal {
    Refusal::new(Reason::FullyRed, "an invoice of which something is left", "taken back in full")
}

/// The refusal of what is done to blue invoices alone.
pub(super) fn red_letter() -> Refusal {
    Refusal::new(Reason::RedLetter, "a blue invoice", "a red letter")
}

/// The refusal of a second booking: since when there is one is for everybody who may book, its voucher for who booked.
fn already_booked(booked: &BookingRecord, own: bool) -> Refusal {
    let found = if own {
        format!("booked under {} in {}", booked.terms.voucher, booked.terms.period)
    } else {
        "booked by another".to_owned()
    };
    Refusal::new(Reason::AlreadyBooked, "an invoice that is not booked", found).because_of(booked.standing())
}
