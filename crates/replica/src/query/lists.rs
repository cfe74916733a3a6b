//! Lists of invoices: a party's, and everybody's.

use std::ops::Bound;

use invoice::id::InvoiceId;
use ledger::party::{Party, Side};
use ledger::record::InvoiceRecord;
use ledger::state::StateKey;

use super::{InvoicePage, Query, SCANNED_MAX};
use crate::index;
use crate::involvement::Together;
use crate::list;
use crate::port::{Direction, Store, StoreFault, Table};
use crate::replica::Fault;

impl<S: Store> Query<S> {
    /// Invoices of a party on one side, newest first, that `keep` keeps. An organisation that was given another taxpayer
    /// id is several parties.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn party_invoices(
        &self,
        parties: &[Party],
        side: Side,
        cursor: Option<&[u8]>,
        limit: usize,
        keep: impl Fn(&InvoiceId, &InvoiceRecord) -> bool,
    ) -> Result<InvoicePage, Fault> {
        let months = (self.genesis.body().time_ms, self.tip().progress.time_ms);
        let below = cursor.and_then(index::leaf_of);
        let mut invoices = Together::below(&*self.store, (parties, side), below, months)?;
        let mut page = InvoicePage { rows: Vec::new(), next: None };
        for _ in 0..SCANNED_MAX {
            let Some((leaf, id)) = invoices.next()? else {
                page.next = None;
                return Ok(page);
            };
            if page.rows.len() == limit {
                return Ok(page);
            }
            // A party may have come to an invoice more than once: as holder twice, say.
            if let Some(record) = self.invoice(&id)?
                && keep(&id, &record)
                && !page.rows.iter().any(|(known, _)| *known == id)
            {
                page.rows.push((id, record));
            }
            page.next = Some(leaf.to_be_bytes().to_vec());
        }
        Ok(page)
    }

    /// All invoices in order of their ids, that `keep` keeps.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn all_invoices(
        &self,
        cursor: Option<&[u8]>,
        limit: usize,
        keep: impl Fn(&InvoiceId, &InvoiceRecord) -> bool,
    ) -> Result<InvoicePage, Fault> {
        let prefix = vec![ledger::state::Kind::Invoice as u8];
        let start = match cursor {
            Some(id) => Bound::Excluded([prefix.as_slice(), id].concat()),
            None => Bound::Included(prefix.clone()),
        };
        let end = Bound::Excluded(vec![ledger::state::Kind::Invoice as u8 + 1]);
        let rows = self.store.scan(Table::State, (start, end), Direction::Forward, SCANNED_MAX)?;
        let mut page = InvoicePage { rows: Vec::new(), next: None };
        let whole = rows.len() < SCANNED_MAX;
        for (key, value) in rows {
            if page.rows.len() == limit {
                return Ok(page);
            }
            let id_text = key[1..].to_vec();
            let key = StateKey::from_bytes(key);
            let id = std::str::from_utf8(&id_text).ok().and_then(|text| text.parse::<InvoiceId>().ok());
            let id = id.ok_or_else(|| StoreFault::Damaged {
                place: key.to_string(),
                expected: "an invoice id".to_owned(),
                found: "something else".to_owned(),
            })?;
            let record: InvoiceRecord = ledger::state::decode(&key, list::record(&value)?)?;
            if keep(&id, &record) {
                page.rows.push((id, record));
            }
            page.next = Some(id_text);
        }
        if whole {
            page.next = None;
        }
        Ok(page)
    }
}
