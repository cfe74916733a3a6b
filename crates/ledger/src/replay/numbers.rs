//! Numbers: each code's from the first on, each used by one invoice, none left out. Counted from the invoices themselves
//! and held against the ledger's counters.
//!
//! Numbers of segments for a contingency are given beforehand: each has its invoice, or was declared as a gap, or is still
//! to be used. Their segments follow each other without a gap, and say of each number which it is.

use std::collections::BTreeMap;

use invoice::lifecycle::{Sign, Validity};
use serde::Serialize;

use super::kept::Kept;
use super::sums::{Difference, PAGE_RECORDS};
use crate::contingency::{OfflineRecord, SegmentRecord, is_of_segments};
use crate::record::CounterRecord;
use crate::state::{Fault, Kind, StateKey, View as _, decode, read};

/// The numbers of one code that were given: all from 1 to the last, so that a report of gaps is a report of none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NumbersOfCode {
    /// The last number; the first is 1.
    pub last: u64,
    /// How many have an invoice: all, but of a code of segments.
    pub used: u64,
    /// How many of the invoices were taken back. Their numbers stay theirs.
    pub void: u64,
    /// How many of the invoices are red letters.
    pub red: u64,
    /// How many have none and never will, as who closed their segment declared.
    pub declared: u64,
    /// How many may still be used, of segments that are open.
    pub open: u64,
}

/// The invoices' numbers by code, noted in order.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    by_code: BTreeMap<String, NumbersOfCode>,
    gap: Option<Difference>,
}

impl Numbers {
    /// Takes the next invoice in; those of a code come in the order of their numbers, as the order of keys is.
    pub(super) fn note(&mut self, key: &StateKey, validity: Validity, sign: Sign) -> Result<(), Fault> {
        let missing = || Fault::Missing { key: key.to_string() };
        let id = key.invoice_of().ok_or_else(missing)?;
        let (code, number) = (id.code(), id.number_in_code());
        let of_segments = is_of_segments(&code);
        let of_code = self.by_code.entry(code).or_default();
        of_code.used += 1;
        of_code.void += u64::from(validity == Validity::Void);
        of_code.red += u64::from(sign == Sign::Red);
        if of_segments {
            // Which it may be is for its segment to say, once all are counted.
            return Ok(());
        }
        if number != of_code.last + 1 && self.gap.is_none() {
            self.gap = Some((key.to_string(), format!("number {}", of_code.last + 1), format!("number {number}")));
        }
        of_code.last = number;
        Ok(())
    }

    /// How many of the invoices noted are red letters.
    pub(super) fn red(&self) -> u64 {
        self.by_code.values().map(|of_code| of_code.red).sum()
    }

    /// The numbers by code, or the first that is not where it must be.
    pub(super) fn against_counters(
        mut self,
        kept: &mut Kept<'_>,
    ) -> Result<Result<BTreeMap<String, NumbersOfCode>, Difference>, Fault> {
        if let Some(gap) = self.gap {
            return Ok(Err(gap));
        }
        if let Some(differing) = self.against_segments(kept)? {
            return Ok(Err(differing));
        }
        // A counter for each code, one for the equivocations: far fewer than a page.
        let counters = kept.records(Kind::Counter, None, COUNTERS_MAX)?;
        let mut counted: BTreeMap<StateKey, u64> = BTreeMap::new();
        for (key, stored) in counters.into_iter().filter(|(key, _)| *key != StateKey::evidence_counter()) {
            counted.insert(key.clone(), decode::<CounterRecord>(&key, &stored)?.next);
        }
        for (code, of_code) in &self.by_code {
            let key = StateKey::counter_of(code);
            let next = counted.remove(&key);
            if next != Some(of_code.last + 1) {
                let found = next.map_or_else(|| "no counter".to_owned(), |next| format!("next number {next}"));
                return Ok(Err((key.to_string(), format!("next number {}", of_code.last + 1), found)));
            }
        }
        let without_invoices = counted.into_iter().next();
        Ok(match without_invoices {
            Some((key, next)) => {
                Err((key.to_string(), "an invoice for each number".to_owned(), format!("next number {next}")))
            }
            None => Ok(self.by_code),
        })
    }

    /// The first segment that does not begin where the one before it ends, or that says of a number what is not so.
    fn against_segments(&mut self, kept: &mut Kept<'_>) -> Result<Option<Difference>, Fault> {
        let mut said: BTreeMap<String, u64> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = kept.records(Kind::Segment, after.as_ref(), PAGE_RECORDS)?;
            for (key, stored) in &page {
                let segment: SegmentRecord = decode(key, stored)?;
                let code = segment.first.code();
                let of_code = self.by_code.entry(code.clone()).or_default();
                let expected = of_code.last + 1;
                if segment.first.number_in_code() != expected || *key != StateKey::segment(&segment.first) {
                    let found = format!("a segment from {} on", segment.first);
                    return Ok(Some((key.to_string(), format!("number {expected}"), found)));
                }
                if let Some(differing) = without_invoice(kept, key, &segment)? {
                    return Ok(Some(differing));
                }
                let (used, count) = (u64::from(segment.used.len()), u64::from(segment.count));
                *said.entry(code).or_default() += used;
                of_code.last += count;
                let unused = count.saturating_sub(used);
                *(if segment.closed.is_some() { &mut of_code.declared } else { &mut of_code.open }) += unused;
            }
            let Some((key, _)) = page.last() else { break };
            after = Some(key.clone());
        }
        // Each number that a segment calls used has its invoice; so no other invoice has one when there are as many.
        let of_segments = self.by_code.iter().filter(|(code, _)| is_of_segments(code));
        let differing = of_segments.map(|(code, of_code)| (code, of_code.used, said.get(code).copied().unwrap_or(0)));
        let found = differing.into_iter().find(|(_, invoices, said)| invoices != said);
        Ok(found.map(|(code, invoices, said)| {
            (StateKey::counter_of(code).to_string(), format!("{invoices} numbers used"), format!("{said} in segments"))
        }))
    }
}

/// The first number that a segment says is used and that has no invoice issued offline from it, or the first after its end.
fn without_invoice(kept: &Kept<'_>, key: &StateKey, segment: &SegmentRecord) -> Result<Option<Difference>, Fault> {
    let gaps = segment.used.missing(segment.count);
    if segment.used.len() + gaps.iter().map(|gap| gap.count()).sum::<u32>() != segment.count {
        let expected = format!("{} numbers", segment.count);
        return Ok(Some((key.to_string(), expected, "a number after its last".to_owned())));
    }
    for index in (0..segment.count).filter(|index| segment.used.contains(*index)) {
        let id = segment.nth(index);
        let offline = read::<OfflineRecord>(kept, &StateKey::offline(&id))?;
        let issued = offline.is_some_and(|offline| offline.segment == segment.first);
        if !issued || kept.get(&StateKey::invoice(&id))?.is_none() {
            return Ok(Some((key.to_string(), format!("an invoice with number {id}"), "none".to_owned())));
        }
    }
    Ok(None)
}

/// How many codes a chain has at most: ten batches and two digital series a year, for a century.
const COUNTERS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(ids: &[&str]) -> Numbers {
        let mut numbers = Numbers::default();
        for id in ids {
            numbers.note(&StateKey::invoice(&id.parse().unwrap()), Validity::Void, Sign::Blue).unwrap();
        }
        numbers
    }

    #[test]
    fn numbers_of_both_profiles_are_counted_by_code() {
        let numbers = noted(&["144032609110-00000001", "144032609110-00000002", "26442000000000000001"]);
        assert_eq!(numbers.gap, None);
        assert_eq!(
            numbers.by_code["144032609110"],
            NumbersOfCode { last: 2, used: 2, void: 2, ..NumbersOfCode::default() }
        );
        assert_eq!(numbers.by_code["26442"], NumbersOfCode { last: 1, used: 1, void: 1, ..NumbersOfCode::default() });
        let counter = |code: &str| StateKey::counter_of(code);
        assert_eq!(counter("26442"), StateKey::counter("digital:26442"));
        assert_eq!(counter("144032609110"), StateKey::counter("144032609110"));
    }

    #[test]
    fn a_number_left_out_or_a_first_that_is_not_one_is_a_gap() {
        for (ids, expected) in [
            (&["144032609110-00000001", "144032609110-00000003"][..], "number 2"),
            (&["144032609110-00000002"][..], "number 1"),
            (&["26442000000000000001", "26442000000000000003"][..], "number 2"),
        ] {
            assert_eq!(noted(ids).gap.unwrap().1, expected);
        }
    }
}
