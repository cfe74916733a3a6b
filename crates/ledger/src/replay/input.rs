//! The input of buyers' months, added up from the uses themselves: a second way to the same numbers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use invoice::date::Period;
use invoice::document::Totals;
use invoice::id::InvoiceId;
use invoice::lifecycle::{Sign, Validity};

use super::kept::Kept;
use super::sums::{Difference, PAGE_RECORDS};
use crate::bookkeeping::{InputRecord, InputSum, UseRecord};
use crate::execute::sum;
use crate::record::{InvoiceRecord, SumOverflow};
use crate::red::ReversalRecord;
use crate::state::{Fault, Kind, StateKey, View as _, decode, require};

/// The first month of a buyer whose input is not what the uses of it come to, or the first use of what nobody may use.
pub(super) fn differing_input(kept: &mut Kept<'_>) -> Result<Option<Difference>, Fault> {
    let added = match add_up(kept)? {
        Ok(months) => months,
        Err(difference) => return Ok(Some(difference)),
    };
    let (mut met, mut after) = (0_u64, None);
    loop {
        let page = kept.records(Kind::Input, after.as_ref(), PAGE_RECORDS)?;
        for (key, stored) in &page {
            let input: InputRecord = decode(key, stored)?;
            let month = kept.input(key)?;
            met += u64::from(month.is_some());
            let (expected, actual) = (text(&month.unwrap_or_default()), text(&input));
            // One without invoices must be nothing, so the sums of all are looked at.
            if expected != actual || input.by_purpose.iter().any(|sum| sum.invoices == 0 && !is_nothing(sum)) {
                return Ok(Some((key.to_string(), expected, actual)));
            }
        }
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
    }
    let missing = if met == added { None } else { without_record(kept)? };
    Ok(missing.map(|key| (key.to_string(), "the input of a month".to_owned(), "none".to_owned())))
}

/// Adds up the uses in force: how many months there are, or what is wrong with one of them.
fn add_up(kept: &mut Kept<'_>) -> Result<Result<u64, Difference>, Fault> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = kept.records(Kind::VatUse, after.as_ref(), PAGE_RECORDS)?;
        let Some((last, _)) = page.last() else { return Ok(Ok(count)) };
        after = Some(last.clone());
        let mut months: BTreeMap<StateKey, InputRecord> = BTreeMap::new();
        for (key, stored) in &page {
            let used: UseRecord = decode(key, stored)?;
            if used.revoked_ms.is_some() {
                continue;
            }
            let id = key.used_invoice().ok_or_else(|| Fault::Missing { key: key.to_string() })?;
            let invoice: InvoiceRecord = require(kept, &StateKey::invoice(&id))?;
            let may_be_used = invoice.profile.is_special() && invoice.sign() == Sign::Blue;
            if !may_be_used || invoice.validity == Validity::Void || used.period < invoice.period {
                let expected = format!("a special invoice that stands, of {} or before", used.period);
                let actual = format!("{} of {}, {:?}", invoice.profile, invoice.period, invoice.validity);
                return Ok(Err((key.to_string(), expected, actual)));
            }
            for (period, totals) in taken_in(kept, &id, &invoice, &used)? {
                let month = StateKey::input(&used.buyer, period);
                let sums = match months.entry(month.clone()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        let before = kept.input(&month)?;
                        count += u64::from(before.is_none());
                        entry.insert(before.unwrap_or_default())
                    }
                };
                if sums.add(used.purpose, &totals) == Err(SumOverflow) {
                    return Ok(Err((month.to_string(), "a sum that fits".to_owned(), "an overflow".to_owned())));
                }
            }
        }
        for (key, month) in &months {
            kept.put_input(key, month)?;
        }
    }
}

/// What a use brings into which months: what was left of the invoice when it was used, and each red letter since.
fn taken_in(
    kept: &Kept<'_>,
    id: &InvoiceId,
    invoice: &InvoiceRecord,
    used: &UseRecord,
) -> Result<Vec<(Period, Totals)>, Fault> {
    let mut totals = invoice.totals;
    let mut since = Vec::new();
    if matches!(invoice.validity, Validity::PartRed | Validity::FullRed) {
        let reversal: ReversalRecord = require(kept, &StateKey::reversal(id))?;
        for red in &reversal.letters {
            let red: InvoiceRecord = require(kept, &StateKey::invoice(red))?;
            if red.issue.index < used.leaf.index {
                totals = sum(&totals, &red.totals).ok_or_else(|| Fault::Sums { party: id.to_string() })?;
            } else {
                since.push((red.period, red.totals));
            }
        }
    }
    Ok(std::iter::once((used.period, totals)).chain(since).collect())
}

/// The first month that was added up and has no record.
fn without_record(kept: &mut Kept<'_>) -> Result<Option<StateKey>, Fault> {
    let mut after = None;
    loop {
        let page = kept.inputs(after.as_ref(), PAGE_RECORDS)?;
        for (key, _) in &page {
            if kept.get(key)?.is_none() {
                return Ok(Some(key.clone()));
            }
        }
        let Some((key, _)) = page.last() else { return Ok(None) };
        after = Some(key.clone());
    }
}

fn is_nothing(sum: &InputSum) -> bool {
    (sum.net_fen, sum.tax_fen) == (0, 0)
}

fn text(input: &InputRecord) -> String {
    let sum = |sum: &InputSum| format!("{} {}: {} + {} fen", sum.invoices, sum.purpose, sum.net_fen, sum.tax_fen);
    let sums: Vec<String> = input.standing().map(sum).collect();
    if sums.is_empty() { "nothing".to_owned() } else { sums.join("; ") }
}

#[cfg(test)]
mod tests {
    use chain::hash::Hash;
    use invoice::document::Profile;

    use super::super::scratch::{MemoryScratch, Scratch};
    use super::super::space::Space;
    use super::*;
    use crate::fixture::*;
    use crate::state::{Writes, encode};

    /// What an auditor finds in a state of this kind.
    fn difference(state: &Writes) -> Option<(String, String)> {
        let open = Box::new(|| Ok(Box::new(MemoryScratch::default()) as Box<dyn Scratch>));
        let mut kept = Kept::new(Space::new(usize::MAX, open));
        kept.write(state.clone()).unwrap();
        differing_input(&mut kept).unwrap().map(|(_, expected, actual)| (expected, actual))
    }

    fn tampered<T: borsh::BorshSerialize + borsh::BorshDeserialize>(
        ledger: &Ledger,
        key: &StateKey,
        change: impl FnOnce(&mut T),
    ) -> Writes {
        let (mut state, mut record) = (ledger.state.clone(), require(ledger, key).unwrap());
        change(&mut record);
        state.insert(key.clone(), encode(&Hash::of(b"test"), &record));
        state
    }

    #[test]
    fn the_input_of_a_month_is_what_the_uses_come_to() {
        let mut ledger = Ledger::new();
        let [one, two, three] = ["a", "b", "c"].map(|reference| ledger.event(SELLER, special(reference)).subject);
        for event in [
            use_vat(&one, "deduct", "2026-11"),
            use_vat(&two, "deduct", "2026-11"),
            non_deduct(&three, "exempt", "2026-11"),
            revoke_use(&two),
        ] {
            assert_eq!(ledger.event(BUYER, event).code, crate::outcome::ACCEPTED);
        }
        assert_eq!(difference(&ledger.state), None);
        let right = "1 deduct: 10000 + 1300 fen; 1 non-deduct: 10000 + 1300 fen".to_owned();
        let month = StateKey::input(&organisation_id(BUYER), "2026-11".parse().unwrap());
        let wrong = tampered(&ledger, &month, |input: &mut InputRecord| input.by_purpose[0].tax_fen += 1);
        let found = "1 deduct: 10000 + 1301 fen; 1 non-deduct: 10000 + 1300 fen".to_owned();
        assert_eq!(difference(&wrong), Some((right.clone(), found)));
        let mut without = ledger.state.clone();
        without.remove(&month);
        assert_eq!(difference(&without), Some(("the input of a month".to_owned(), "none".to_owned())));
        let key = StateKey::vat_use(&two.parse().unwrap());
        let again = tampered(&ledger, &key, |used: &mut UseRecord| used.revoked_ms = None);
        assert_eq!(difference(&again).unwrap().1, right);
        let key = StateKey::invoice(&one.parse().unwrap());
        let void = tampered(&ledger, &key, |invoice: &mut InvoiceRecord| invoice.validity = Validity::Void);
        let ordinary =
            tampered(&ledger, &key, |invoice: &mut InvoiceRecord| invoice.profile = Profile::DigitalOrdinary);
        let expected = "a special invoice that stands, of 2026-11 or before".to_owned();
        let found = "digital-special of 2026-11, Void".to_owned();
        assert_eq!(difference(&void), Some((expected.clone(), found)));
        let found = "digital-ordinary of 2026-11, Normal".to_owned();
        assert_eq!(difference(&ordinary), Some((expected, found)));
    }
}
