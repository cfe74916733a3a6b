//! Who sees what: parties to an invoice, those with their mandate, agencies and auditors.
//!
//! What a caller may not see is answered like what does not exist.

use chain::identity::OrganisationId;
use invoice::InvoiceId;
use ledger::organisation::Scope;
use ledger::party::{Party, Side};
use ledger::record::{Claim, InvoiceRecord};
use replica::port::Store;

use crate::auth::Caller;
use crate::members::SEEING_QUOTAS;
use crate::problem::Problem;
use crate::service::Service;

/// Scopes that let one see what the mandate's giver sees.
pub(crate) const SEEING: [Scope; 4] = [Scope::Issue, Scope::Lock, Scope::File, Scope::Read];

/// Scopes that let one see personal data.
const PERSONAL: [Scope; 2] = [Scope::Issue, Scope::Read];

/// Scopes that let one see an organisation's months.
pub(crate) const SEEING_MONTHS: [Scope; 2] = [Scope::File, Scope::Read];

/// The problem of an invoice that is unknown, or none of the caller's business.
pub(crate) fn unknown_invoice(id: impl std::fmt::Display) -> Problem {
    Problem::new("invoice.unknown").at("id", "an invoice that the caller may see", id.to_string())
}

/// Reads an invoice id from a path.
pub(crate) fn parse_id(text: &str) -> Result<InvoiceId, Problem> {
    // A text that is no id names no invoice.
    text.parse().map_err(|_| unknown_invoice(text.chars().take(40).collect::<String>()))
}

impl<S: Store> Service<S> {
    /// An invoice that the caller may see.
    pub(crate) fn visible(&self, caller: &Caller, id: &InvoiceId) -> Result<InvoiceRecord, Problem> {
        let record = self.query().invoice(id)?.ok_or_else(|| unknown_invoice(id))?;
        let blue = self.blue_of(id, &record)?;
        if self.sees(caller, blue.as_ref().unwrap_or(&record))? { Ok(record) } else { Err(unknown_invoice(id)) }
    }

    /// Whether the caller may see an invoice.
    pub(crate) fn sees(&self, caller: &Caller, record: &InvoiceRecord) -> Result<bool, Problem> {
        if caller.sees_everything() || self.is_party(caller, record)? || is_claimant(caller.id(), &record.claim) {
            return Ok(true);
        }
        self.mandated_by_party(caller, record, &SEEING)
    }

    /// Whether the caller may see an invoice's personal data: its parties, those they let read or issue, the tax
    /// bureau. Other agencies and auditors do not need it.
    pub(crate) fn sees_personal(&self, caller: &Caller, record: &InvoiceRecord) -> Result<bool, Problem> {
        if self.is_tax_bureau(caller) || self.is_party(caller, record)? {
            return Ok(true);
        }
        self.mandated_by_party(caller, record, &PERSONAL)
    }

    /// Whether the caller may erase an invoice's personal data.
    pub(crate) fn may_erase(&self, caller: &Caller, record: &InvoiceRecord) -> bool {
        record.seller == *caller.id() || self.is_tax_bureau(caller)
    }

    /// Whether the caller sold, bought or holds, under whichever taxpayer id.
    fn is_party(&self, caller: &Caller, record: &InvoiceRecord) -> Result<bool, Problem> {
        Ok(record.seller == *caller.id() || self.is(caller, &record.buyer)? || self.is(caller, &record.holder)?)
    }

    /// Whether the caller is a party: under the taxpayer id that it has, or one that it had.
    pub(crate) fn is(&self, caller: &Caller, party: &Party) -> Result<bool, Problem> {
        Ok(self.query().organisation_of(party)?.as_ref() == Some(caller.id()))
    }

    /// Whether the caller is the tax bureau.
    pub(crate) fn is_tax_bureau(&self, caller: &Caller) -> bool {
        self.query().tip().parameters().tax_bureau == *caller.id()
    }

    fn mandated_by_party(&self, caller: &Caller, record: &InvoiceRecord, scopes: &[Scope]) -> Result<bool, Problem> {
        let mut givers = vec![record.seller.clone()];
        for party in [&record.buyer, &record.holder] {
            givers.extend(self.query().organisation_of(party)?);
        }
        givers.dedup();
        for giver in &givers {
            if self.query().mandated(giver, caller.id(), scopes)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the caller may see the months of a seller.
    pub(crate) fn sees_months(&self, caller: &Caller, seller: &OrganisationId) -> Result<bool, Problem> {
        self.sees_for(caller, seller, &SEEING_MONTHS)
    }

    /// Whether the caller may see what a seller may issue.
    pub(crate) fn sees_quotas(&self, caller: &Caller, seller: &OrganisationId) -> Result<bool, Problem> {
        self.sees_for(caller, seller, &SEEING_QUOTAS)
    }

    /// Whether the caller may see the list of an organisation's invoices on one side: a mandate opens the side it is
    /// about, and no other.
    pub(crate) fn sees_list(&self, caller: &Caller, of: &OrganisationId, side: Side) -> Result<bool, Problem> {
        let scopes: &[Scope] = match side {
            Side::Seller => &[Scope::Issue, Scope::File, Scope::Read],
            Side::Buyer | Side::Holder => &[Scope::Lock, Scope::Read],
            Side::Platform => &[Scope::Read],
        };
        self.sees_for(caller, of, scopes)
    }

    /// Whether the caller may see something of an organisation: its own, or under a mandate with one of the scopes.
    pub(crate) fn sees_for(
        &self,
        caller: &Caller,
        organisation: &OrganisationId,
        scopes: &[Scope],
    ) -> Result<bool, Problem> {
        Ok(caller.sees_everything()
            || caller.id() == organisation
            || self.query().mandated(organisation, caller.id(), scopes)?)
    }
}

/// Whether an organisation is the platform or the enterprise of an invoice's newest lock, or of its close.
pub(crate) fn is_claimant(id: &OrganisationId, claim: &Claim) -> bool {
    match claim {
        Claim::Open => false,
        Claim::Locked(lock) => lock.platform == *id || lock.enterprise == *id,
        Claim::Closed(closed) => closed.platform == *id || closed.enterprise == *id,
    }
}
