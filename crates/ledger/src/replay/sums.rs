//! The months' sums, added up from the invoices themselves: a second way to the same numbers.

use std::collections::BTreeMap;

use chain::hash::Hash;
use invoice::lifecycle::Validity;

use super::memory::Memory;
use crate::party::Side;
use crate::record::{AccumulatorRecord, InvoiceRecord, RateSum, SumOverflow};
use crate::state::{Fault, Kind, StateKey, decode};

/// What two ways of adding up a month disagree on: the month, what the invoices give, what the
/// accumulator says.
pub(super) type Difference = (String, String, String);

/// The first month whose accumulator does not hold what its invoices give.
pub(super) fn differing_month(memory: &Memory) -> Result<Option<Difference>, Fault> {
    let mut months: BTreeMap<StateKey, AccumulatorRecord> = BTreeMap::new();
    for (key, stored) in of_kind(memory, Kind::Invoice) {
        let invoice: InvoiceRecord = decode(key, stored)?;
        for (party, side) in [(&invoice.seller_party, Side::Seller), (&invoice.buyer, Side::Buyer)] {
            let month = months.entry(StateKey::accumulator(invoice.period, side, party)).or_default();
            // Leaf hashes go into the accumulators' chains, which the replay itself has compared.
            let no_leaf = Hash::from_bytes([0; 32]);
            if invoice.validity == Validity::Normal && month.add(&invoice.by_rate, &no_leaf) == Err(SumOverflow) {
                return Ok(Some((key.to_string(), "a sum that fits".to_owned(), "an overflow".to_owned())));
            }
        }
    }
    for (key, stored) in of_kind(memory, Kind::Accumulator) {
        let accumulator: AccumulatorRecord = decode(key, stored)?;
        let added = months.remove(key).unwrap_or_default();
        if added.invoices != accumulator.invoices || standing(&added) != standing(&accumulator) {
            let text = |month: &AccumulatorRecord| format!("{} invoices, {:?}", month.invoices, standing(month));
            return Ok(Some((key.to_string(), text(&added), text(&accumulator))));
        }
    }
    // Months of voided invoices alone still have accumulators; one without is missing.
    Ok(months.into_keys().next().map(|key| (key.to_string(), "an accumulator".to_owned(), "none".to_owned())))
}

fn of_kind(memory: &Memory, kind: Kind) -> impl Iterator<Item = (&StateKey, &Vec<u8>)> {
    let start = StateKey::from_bytes(vec![kind as u8]);
    let end = StateKey::from_bytes(vec![kind as u8 + 1]);
    memory.records().range(start..end)
}

/// Sums by rate without those that come to nothing: a voided invoice leaves its rate behind.
fn standing(month: &AccumulatorRecord) -> Vec<RateSum> {
    month.by_rate.iter().filter(|sum| sum.net_fen != 0 || sum.tax_fen != 0).copied().collect()
}
