//! The months' sums and what is used of quotas, added up from the invoices themselves: a second way to the same numbers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chain::hash::Hash;
use chain::identity::OrganisationId;
use invoice::date::Period;
use invoice::lifecycle::Validity;

use super::kept::Kept;
use super::numbers::Numbers;
use crate::organisation::Organisation;
use crate::parallel::{Workers, map};
use crate::party::{Party, Side};
use crate::quota::{Quota, QuotaRecord};
use crate::record::{AccumulatorRecord, FormerRecord, InvoiceRecord, RateSum, SumOverflow};
use crate::state::{Fault, Kind, StateKey, View as _, decode, read, require};

/// How many records are looked at at once.
pub(super) const PAGE_RECORDS: usize = 8_192;

/// What two ways of adding up disagree on: the record of the month, quota or input, what the invoices give, what the record
/// says.
pub(super) type Difference = (String, String, String);

/// The first month whose accumulator does not hold what its invoices give. The invoices' numbers are noted on the way.
pub(super) fn differing_month(
    kept: &mut Kept<'_>,
    numbers: &mut Numbers,
    workers: &dyn Workers,
) -> Result<Option<Difference>, Fault> {
    let added = match add_up(kept, numbers, workers)? {
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

/// The first quota of which another amount is used than the seller's invoices of the month come to, or more than was
/// granted. The months must have been added up, and the red letters of earlier blues.
pub(super) fn differing_quota(kept: &mut Kept<'_>) -> Result<Option<Difference>, Fault> {
    let mut after = None;
    loop {
        let page = kept.records(Kind::Quota, after.as_ref(), PAGE_RECORDS)?;
        for (key, stored) in &page {
            let Quota { amount, used, .. } = decode::<QuotaRecord>(key, stored)?.quota;
            let issued = issued_fen(kept, key)?;
            if issued != Some(i128::from(used.fen())) || used > amount {
                let issued = issued.map_or_else(|| "an overflow".to_owned(), |fen| format!("{fen} fen"));
                let expected = format!("{issued} used, and no more than is granted");
                return Ok(Some((key.to_string(), expected, format!("{used} used of {amount}"))));
            }
        }
        let Some((key, _)) = page.last() else { return Ok(None) };
        after = Some(key.clone());
    }
}

/// What the invoices of a quota's seller and month come to, under every taxpayer id that the seller has or had, less what
/// red letters of the month took back of them.
fn issued_fen(kept: &Kept<'_>, quota: &StateKey) -> Result<Option<i128>, Fault> {
    let missing = || Fault::Missing { key: quota.to_string() };
    let (seller, period) = quota.quota_of().ok_or_else(missing)?;
    let earlier_fen = kept.earlier(&StateKey::earlier(&seller, period))?.unwrap_or_default().gross_fen;
    Ok(month_of(kept, &seller, period)?.and_then(|month| month.gross_fen()?.checked_sub(earlier_fen)))
}

/// What a seller's invoices of a month come to, under every taxpayer id that it has or had; `None` when that does not fit.
/// The months must have been added up; their chains are none.
pub(super) fn month_of(
    kept: &Kept<'_>,
    seller: &OrganisationId,
    period: Period,
) -> Result<Option<AccumulatorRecord>, Fault> {
    let present: Organisation = require(kept, &StateKey::organisation(seller))?;
    let former = read::<FormerRecord>(kept, &StateKey::former(seller))?.unwrap_or_default();
    let mut months = Vec::with_capacity(former.ids.len() + 1);
    for id in former.ids.into_iter().map(|former| former.taxpayer_id).chain([present.taxpayer_id]) {
        let month = kept.month(&StateKey::accumulator(period, Side::Seller, &Party::Taxpayer(id)))?;
        months.push(month.unwrap_or_default());
    }
    Ok(AccumulatorRecord::joined(months))
}

/// Adds up the invoices: how many months there are, or the one whose sums do not fit.
fn add_up(kept: &mut Kept<'_>, numbers: &mut Numbers, workers: &dyn Workers) -> Result<Result<u64, StateKey>, Fault> {
    let mut count = 0;
    let mut after = None;
    loop {
        let page = kept.records(Kind::Invoice, after.as_ref(), PAGE_RECORDS)?;
        let Some((last, _)) = page.last() else { return Ok(Ok(count)) };
        after = Some(last.clone());
        let invoices = map(workers, &page, |_, (key, stored)| decode::<InvoiceRecord>(key, stored));
        let mut months: BTreeMap<StateKey, AccumulatorRecord> = BTreeMap::new();
        for ((key, _), invoice) in page.iter().zip(invoices) {
            let invoice = invoice?;
            numbers.note(key, invoice.validity, invoice.sign())?;
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
                if invoice.validity != Validity::Void && month.add(&invoice.by_rate, &no_leaf) == Err(SumOverflow) {
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

#[cfg(test)]
mod tests {
    use super::super::scratch::MemoryScratch;
    use super::super::space::Space;
    use super::*;
    use crate::fixture::*;
    use crate::parallel::Alone;
    use crate::state::{Writes, encode};

    /// What an auditor finds in a state of this kind.
    fn difference(state: Writes) -> Option<Difference> {
        let open = Box::new(|| Ok(Box::new(MemoryScratch::default()) as Box<dyn super::super::Scratch>));
        let mut kept = Kept::new(Space::new(usize::MAX, open));
        kept.write(state).unwrap();
        assert_eq!(differing_month(&mut kept, &mut Numbers::default(), &Alone).unwrap(), None);
        differing_quota(&mut kept).unwrap()
    }

    #[test]
    fn what_is_used_of_a_quota_is_what_the_invoices_come_to() {
        let mut ledger = Ledger::new();
        ledger.issued("a");
        ledger.event(BUREAU, renumber(SELLER, FREE_TAXPAYER));
        ledger.event(BUREAU, quota_grant(SELLER, "2026-11", "500.00"));
        ledger.event(SELLER, issue("b").replace("91440300708461136T", FREE_TAXPAYER));
        assert_eq!(difference(ledger.state.clone()), None);
        let key = StateKey::quota(&organisation_id(SELLER), "2026-11".parse().unwrap());
        let right: QuotaRecord = require(&ledger, &key).unwrap();
        let mut tampered = |amount: &str, used: &str| {
            let quota = Quota { amount: amount.parse().unwrap(), used: used.parse().unwrap(), paused: false };
            let record = QuotaRecord { quota, ..right.clone() };
            ledger.state.insert(key.clone(), encode(&Hash::of(b"test"), &record));
            difference(ledger.state.clone()).map(|(_, expected, found)| (expected, found))
        };
        let expected = "22600 fen used, and no more than is granted".to_owned();
        assert_eq!(tampered("500.00", "226.00"), None);
        assert_eq!(tampered("500.00", "113.00"), Some((expected.clone(), "113.00 used of 500.00".to_owned())));
        assert_eq!(tampered("225.99", "226.00"), Some((expected, "226.00 used of 225.99".to_owned())));
    }
}
