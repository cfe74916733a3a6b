//! What state remembers of an invoice in its buyer's books: its booking, the use of its VAT, and what the buyer's months
//! have of such uses.
//!
//! An invoice is booked once: by the enterprise that reimbursed it, else by its buyer. Its VAT is used once, by its buyer,
//! in one month. Both can be taken back while that month is not filed, and then done again. Records of their own, keyed by
//! the invoice, because most invoices have neither.

use borsh::{BorshDeserialize, BorshSerialize};
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::Totals;
use invoice::id::InvoiceId;
use serde::Serialize;

use crate::event::{BookingCode, NonDeductReason, UsePurpose, Voucher};
use crate::record::{LeafRef, SumOverflow};
use crate::refusal::Standing;
use crate::state::{Kind, StateKey};

/// As what, under which voucher and in which month an invoice is booked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct BookingTerms {
    /// As what.
    pub code: BookingCode,
    /// Under which voucher.
    pub voucher: Voucher,
    /// In which month of the books.
    pub period: Period,
}

/// The newest booking of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BookingRecord {
    /// The enterprise that booked it.
    pub enterprise: OrganisationId,
    /// How.
    pub terms: BookingTerms,
    /// Block time of the booking, ms UTC; an adjustment does not change it.
    pub booked_ms: i64,
    /// The leaf of the booking.
    pub leaf: LeafRef,
    /// Block time at which it was taken back, ms UTC.
    pub revoked_ms: Option<i64>,
}

impl BookingRecord {
    /// The booking as a reason to refuse: who and since when.
    pub fn standing(&self) -> Standing {
        Standing { organisation: self.enterprise.clone(), since_ms: self.booked_ms, until_ms: None, leaf: self.leaf }
    }
}

/// The newest use of an invoice's VAT.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UseRecord {
    /// The buyer, whose month has it.
    pub buyer: OrganisationId,
    /// For what.
    pub purpose: UsePurpose,
    /// Why it is not deducted, if it is not.
    pub reason: Option<NonDeductReason>,
    /// The month.
    pub period: Period,
    /// Block time of the use, ms UTC.
    pub used_ms: i64,
    /// The leaf of the use.
    pub leaf: LeafRef,
    /// Block time at which it was taken back, ms UTC.
    pub revoked_ms: Option<i64>,
}

impl UseRecord {
    /// The use as a reason to refuse: who and since when.
    pub fn standing(&self) -> Standing {
        Standing { organisation: self.buyer.clone(), since_ms: self.used_ms, until_ms: None, leaf: self.leaf }
    }
}

/// What a buyer's month has of input VAT, by use. It is what a filing of the month ties with.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InputRecord {
    /// The sums, ascending by purpose. One that every invoice was taken out of stays, and is nothing.
    pub by_purpose: Vec<InputSum>,
}

/// What one use comes to in a month, in fen. Wide enough that no number of invoices fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InputSum {
    /// The use.
    pub purpose: UsePurpose,
    /// How many invoices.
    pub invoices: u64,
    /// What they come to without tax.
    pub net_fen: i128,
    /// Their tax.
    pub tax_fen: i128,
}

impl InputRecord {
    /// Takes an invoice in.
    ///
    /// # Errors
    /// When a sum would not fit.
    pub fn add(&mut self, purpose: UsePurpose, totals: &Totals) -> Result<(), SumOverflow> {
        let sum = self.sum_of(purpose);
        sum.invoices = sum.invoices.checked_add(1).ok_or(SumOverflow)?;
        sum.step(totals, i128::checked_add)
    }

    /// Takes an invoice out.
    ///
    /// # Errors
    /// When it never went in.
    pub fn remove(&mut self, purpose: UsePurpose, totals: &Totals) -> Result<(), SumOverflow> {
        let sum = self.sum_of(purpose);
        sum.invoices = sum.invoices.checked_sub(1).ok_or(SumOverflow)?;
        sum.step(totals, i128::checked_sub)
    }

    /// The uses that have invoices.
    pub fn standing(&self) -> impl Iterator<Item = &InputSum> {
        self.by_purpose.iter().filter(|sum| sum.invoices > 0)
    }

    fn sum_of(&mut self, purpose: UsePurpose) -> &mut InputSum {
        let place = match self.by_purpose.binary_search_by_key(&purpose, |sum| sum.purpose) {
            Ok(place) => place,
            Err(place) => {
                self.by_purpose.insert(place, InputSum { purpose, invoices: 0, net_fen: 0, tax_fen: 0 });
                place
            }
        };
        &mut self.by_purpose[place]
    }
}

impl InputSum {
    fn step(&mut self, totals: &Totals, step: fn(i128, i128) -> Option<i128>) -> Result<(), SumOverflow> {
        let next = |sum: i128, amount: Amount| step(sum, i128::from(amount.fen())).ok_or(SumOverflow);
        (self.net_fen, self.tax_fen) = (next(self.net_fen, totals.net)?, next(self.tax_fen, totals.tax)?);
        Ok(())
    }
}

impl StateKey {
    /// The booking of an invoice.
    pub fn booking(id: &InvoiceId) -> Self {
        Self::new(Kind::Booking, &[id.to_string().as_bytes()])
    }

    /// The use of an invoice's VAT.
    pub fn vat_use(id: &InvoiceId) -> Self {
        Self::new(Kind::VatUse, &[id.to_string().as_bytes()])
    }

    /// What a buyer's month has of input VAT.
    pub fn input(buyer: &OrganisationId, period: Period) -> Self {
        Self::new(Kind::Input, &[period.to_string().as_bytes(), buyer.as_str().as_bytes()])
    }
}
