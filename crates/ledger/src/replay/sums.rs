//! The months' sums, added up from the invoices themselves: a second way to the same numbers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chain::hash::Hash;
use invoice::lifecycle::Validity;

use super::kept::Kept;
use crate::parallel::{Workers, map};
use crate::party::Side;
use crate::record::{AccumulatorRecord, InvoiceRecord, RateSum, SumOverflow};
use crate::state::{Fault, Kind, StateKey, View as _, decode};

/// How many records are looked at at once.
const PAGE_RECORDS: usize = 8_192;

/// What two ways of adding up a month disagree on: the month, what the invoices give, what the
/// accumulator says.
pub(super) type Difference = (String, String, String);

/// The first month whose accumulator does not hold what its invoices give.
pub(super) fn differing_month(kept: &mut Kept<'_>, workers: &dyn Workers) -> Result<Option<Difference>, Fault> {
    let added = match add_up(kept, workers)? {
        Ok(months) => months,
        Err(month) => {
            return Ok(Some((month.to_string(), "a sum that fits".to_owned(), "an overflow".to_owned())));
        }
    };
    let mut met = 0_u64;
    let mut after = None;
    loop {
        let page = kept.records(Kind::Accumulator, after.as_ref(), PAGE_RECORDS)?;
        for (key, stored) in &page {
            let accumulator: AccumulatorRecord = decode(key, stored)?;
            let month = kept.month(key)?;
            met += u64::from(month.is_some());
            let month = month.unwrap_or_default();
            if month.invoices != accumulator.invoices || standing(&month) != standing(&accumulator) {
                let text = |month: &AccumulatorRecord| format!("{} invoices, {:?}", month.invoices, standing(month));
                return Ok(Some((key.to_string(), text(&month), text(&accumulator))));
            }
        }
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
    }
    // Months of voided invoices alone still have accumulators; one without is missing.
    let missing = if met == added { None } else { without_accumulator(kept)? };
    Ok(missing.map(|key| (key.to_string(), "an accumulator".to_owned(), "none".to_owned())))
}

/// Adds up the invoices: how many months there are, or the one whose sums do not fit.
fn add_up(kept: &mut Kept<'_>, workers: &dyn Workers) -> Result<Result<u64, StateKey>, Fault> {
    let mut count = 0;
    let mut after = None;
    loop {
        let page = kept.records(Kind::Invoice, after.as_ref(), PAGE_RECORDS)?;
        let Some((last, _)) = page.last() else { return Ok(Ok(count)) };
        after = Some(last.clone());
        let invoices = map(workers, &page, |_, (key, stored)| decode::<InvoiceRecord>(key, stored));
        let mut months: BTreeMap<StateKey, AccumulatorRecord> = BTreeMap::new();
        for invoice in invoices {
            let invoice = invoice?;
            for (party, side) in [(&invoice.seller_party, Side::Seller), (&invoice.buyer, Side::Buyer)] {
                let key = StateKey::accumulator(invoice.period, side, party);
                let month = match months.entry(key.clone()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        let before = kept.month(&key)?;
                        count += u64::from(before.is_none());
                        entry.insert(before.unwrap_or_default())
                    }
                };
                // Leaf hashes go into the accumulators' chains, which the replay itself has compared.
                let no_leaf = Hash::from_bytes([0; 32]);
                if invoice.validity == Validity::Normal && month.add(&invoice.by_rate, &no_leaf) == Err(SumOverflow) {
                    return Ok(Err(key));
                }
            }
        }
        for (key, month) in &months {
            kept.put_month(key, month)?;
        }
    }
}

/// The first month that was added up and has no accumulator.
fn without_accumulator(kept: &mut Kept<'_>) -> Result<Option<StateKey>, Fault> {
    let mut after = None;
    loop {
        let page = kept.months(after.as_ref(), PAGE_RECORDS)?;
        for (key, _) in &page {
            if kept.get(key)?.is_none() {
                return Ok(Some(key.clone()));
            }
        }
        let Some((key, _)) = page.last() else { return Ok(None) };
        after = Some(key.clone());
    }
}

/// Sums by rate without those that come to nothing: a voided invoice leaves its rate behind.
fn standing(month: &AccumulatorRecord) -> Vec<RateSum> {
    month.by_rate.iter().filter(|sum| sum.net_fen != 0 || sum.tax_fen != 0).copied().collect()
}
