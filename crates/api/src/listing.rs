//! Lists of invoices: whose, under which filters, from where on.

use chain::identity::OrganisationId;
use invoice::lifecycle::{Reimbursement, Validity};
use invoice::{InvoiceId, Period};
use ledger::organisation::Organisation;
use ledger::party::{Party, Side};
use ledger::record::InvoiceRecord;
use replica::port::Store;
use serde::Serialize;

use crate::access::is_claimant;
use crate::auth::Caller;
use crate::cursor::List;
use crate::invoice_state::status;
use crate::problem::Problem;
use crate::service::Service;

/// Bytes of a page after which it ends early: gRPC clients take 4 MiB when nothing else is said.
pub(crate) const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What is listed.
#[derive(Debug, Default)]
pub(crate) struct Filter<'f> {
    /// On which side the party stands; the seller's when nothing is said.
    pub(crate) side: Option<Side>,
    /// Whose invoices; the caller's own when nothing is said.
    pub(crate) party: Option<&'f str>,
    pub(crate) validity: Option<Validity>,
    pub(crate) reimbursement: Option<Reimbursement>,
    pub(crate) period: Option<Period>,
    /// Rows of the page at most.
    pub(crate) limit: usize,
    /// Where the page before ended.
    pub(crate) cursor: Option<&'f str>,
}

/// A page.
pub(crate) struct Page {
    pub(crate) rows: Vec<(InvoiceId, InvoiceRecord)>,
    /// The cursor of the next one.
    pub(crate) next: Option<String>,
}

/// Whose invoices are listed.
enum Whose {
    /// Everybody's.
    All,
    /// A party's on one side.
    Party(Whom, Side),
}

/// A party whose invoices are listed.
struct Whom {
    /// Under which names.
    listed: Vec<Party>,
    /// Its organisation, if it is on the ledger.
    organisation: Option<OrganisationId>,
    /// All names that it has: an organisation has one for each taxpayer id.
    names: Vec<Party>,
}

impl Filter<'_> {
    /// The list as its cursors know it.
    fn list(&self, caller: &Caller) -> List {
        let side = match self.side {
            None => "",
            Some(Side::Seller) => "seller",
            Some(Side::Buyer) => "buyer",
            Some(Side::Holder) => "holder",
            Some(Side::Platform) => "platform",
        };
        let period = self.period.map(|period| period.to_string()).unwrap_or_default();
        let (validity, reimbursement) =
            (self.validity.map_or("", Validity::as_str), self.reimbursement.map_or("", status));
        let party = self.party.unwrap_or_default();
        List::new("invoices", &[caller.id().as_str(), side, party, validity, reimbursement, &period])
    }
}

impl<S: Store> Service<S> {
    /// A page of a list.
    pub(crate) fn list_invoices(&self, caller: &Caller, filter: &Filter<'_>) -> Result<Page, Problem> {
        let whose = whose(self, caller, filter)?;
        let list = filter.list(caller);
        let cursor = match (filter.cursor, &whose) {
            (None, _) => None,
            (Some(text), Whose::All) => Some(list.read_invoice(text)?.to_string().into_bytes()),
            (Some(text), Whose::Party(..)) => Some(list.read_leaf(text)?.to_be_bytes().to_vec()),
        };
        let now_ms = self.now_ms();
        let fits = |record: &InvoiceRecord| {
            filter.period.is_none_or(|period| record.period == period)
                && filter.validity.is_none_or(|validity| record.validity == validity)
                && filter.reimbursement.is_none_or(|reimbursement| record.claim.at(now_ms) == reimbursement)
        };
        let found = match &whose {
            Whose::All => {
                self.query().all_invoices(cursor.as_deref(), filter.limit, |_: &InvoiceId, record| fits(record))?
            }
            Whose::Party(whom, side) => {
                let sees = |record: &InvoiceRecord| caller.sees_everything() || stands_in(whom, record);
                let keep = |_: &InvoiceId, record: &InvoiceRecord| fits(record) && sees(record);
                self.query().party_invoices(&whom.listed, *side, cursor.as_deref(), filter.limit, keep)?
            }
        };
        Ok(Page { rows: found.rows, next: found.next.map(|place| list.write(&place)) })
    }
}

/// Whether a party still has to do with an invoice: a list remembers who once held or locked it.
fn stands_in(whom: &Whom, record: &InvoiceRecord) -> bool {
    [&record.seller_party, &record.buyer, &record.holder].into_iter().any(|party| whom.names.contains(party))
        || whom.organisation.as_ref().is_some_and(|id| is_claimant(id, &record.claim))
}

/// How much of a page is left: rows of REST lists may be large.
pub(crate) struct PageRoom(usize);

impl Default for PageRoom {
    fn default() -> Self {
        Self(PAGE_BYTES_MAX)
    }
}

impl PageRoom {
    /// Whether a row still fits, written as JSON; the first always does.
    pub(crate) fn takes(&mut self, row: &impl Serialize) -> bool {
        let mut counted = Counting(0);
        // What cannot be written is no row; whoever sends it is told.
        let fits = serde_json::to_writer(&mut counted, row).is_err() || counted.0 <= self.0 || self.0 == PAGE_BYTES_MAX;
        self.0 = self.0.saturating_sub(counted.0);
        fits
    }
}

/// Counts what is written to it.
struct Counting(usize);

impl std::io::Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A filter with a value that it cannot have.
pub(crate) fn wrong(name: &str, expected: &str, found: &str) -> Problem {
    Problem::new("request.query").at(name, expected, found.chars().take(80).collect::<String>())
}

fn whose<S: Store>(service: &Service<S>, caller: &Caller, filter: &Filter<'_>) -> Result<Whose, Problem> {
    let side = filter.side.unwrap_or(Side::Seller);
    let Some(text) = filter.party else {
        if filter.side.is_none() && caller.sees_everything() {
            return Ok(Whose::All);
        }
        return Ok(Whose::Party(whom(service, &caller.organisation)?, side));
    };
    let whom = named(service, text)?;
    let may = match &whom.organisation {
        Some(id) => service.sees_list(caller, id, side)?,
        None => caller.sees_everything(),
    };
    if !may {
        // Whether there is such a party is none of the caller's business.
        return Err(Problem::new("organisation.unknown").at("party", "a party the caller may see for", text));
    }
    Ok(Whose::Party(whom, side))
}

/// An organisation under every name.
fn whom<S: Store>(service: &Service<S>, organisation: &Organisation) -> Result<Whom, Problem> {
    let names = service.query().parties_of(organisation)?;
    Ok(Whom { listed: names.clone(), organisation: Some(organisation.id.clone()), names })
}

/// The party of a text: an organisation's id, which means it under every taxpayer id, or a party's own form.
fn named<S: Store>(service: &Service<S>, text: &str) -> Result<Whom, Problem> {
    let unknown = || Problem::new("organisation.unknown").at("party", "a party the caller may see for", text);
    if text.contains(':') {
        let expected = "an organisation's id, taxpayer:<id> or person:<id>";
        let party: Party = text.parse().map_err(|_| wrong("party", expected, text))?;
        let organisation = match service.query().organisation_of(&party)? {
            Some(id) => service.query().organisation(&id)?,
            None => None,
        };
        return Ok(match organisation {
            Some(organisation) => Whom { listed: vec![party], ..whom(service, &organisation)? },
            None => Whom { listed: vec![party.clone()], organisation: None, names: vec![party] },
        });
    }
    let id = OrganisationId::new(text).map_err(|_| unknown())?;
    let organisation = service.query().organisation(&id)?.ok_or_else(unknown)?;
    whom(service, &organisation)
}
