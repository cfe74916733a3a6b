//! Queries about filed months: what was declared, amended and paid.

use chain::identity::OrganisationId;
use invoice::date::Period;
use ledger::bookkeeping::InputRecord;
use ledger::event::OrderId;
use ledger::filing::{AmendmentRecord, Filed, PaymentRecord};
use ledger::state::{StateKey, read};

use super::Query;
use crate::port::Store;
use crate::replica::Fault;

impl<S: Store> Query<S> {
    /// A filed month of a taxpayer as it stands now, with what it was filed with, amended to and paid.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn filed(&self, taxpayer: &OrganisationId, period: Period) -> Result<Option<Filed>, Fault> {
        Ok(Filed::read(&self.view(), taxpayer, period)?)
    }

    /// What is used of the VAT that a taxpayer paid, in a month.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn input_of(&self, taxpayer: &OrganisationId, period: Period) -> Result<InputRecord, Fault> {
        Ok(read(&self.view(), &StateKey::input(taxpayer, period))?.unwrap_or_default())
    }

    /// An amendment of a filed month.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn amendment(
        &self,
        taxpayer: &OrganisationId,
        period: Period,
        number: u32,
    ) -> Result<Option<AmendmentRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::amendment(taxpayer, period, number))?)
    }

    /// A payment order of a taxpayer.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn payment(&self, taxpayer: &OrganisationId, order: &OrderId) -> Result<Option<PaymentRecord>, Fault> {
        Ok(read(&self.view(), &StateKey::payment(taxpayer, order))?)
    }
}
