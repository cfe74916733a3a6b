//! Numbers: each code's from the first on, each used by one invoice, none left out. Counted from the invoices themselves
//! and held against the ledger's counters.

use std::collections::BTreeMap;

use invoice::id::InvoiceId;
use invoice::lifecycle::Validity;
use serde::Serialize;

use super::kept::Kept;
use super::sums::Difference;
use crate::record::CounterRecord;
use crate::state::{Fault, Kind, StateKey, decode};

/// The numbers of one code that invoices have: all from 1 to the last, so that a report of gaps is a report of none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NumbersOfCode {
    /// The last number; the first is 1.
    pub last: u64,
    /// How many of the invoices were taken back. Their numbers stay theirs.
    pub void: u64,
}

/// The invoices' numbers by code, noted in order.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    by_code: BTreeMap<String, NumbersOfCode>,
    gap: Option<Difference>,
}

impl Numbers {
    /// Takes the next invoice in; those of a code come in the order of their numbers, as the order of keys is.
    pub(super) fn note(&mut self, key: &StateKey, validity: Validity) -> Result<(), Fault> {
        let missing = || Fault::Missing { key: key.to_string() };
        let (code, number) = key.invoice_of().map(code_and_number).ok_or_else(missing)?;
        let of_code = self.by_code.entry(code).or_default();
        if number != of_code.last + 1 && self.gap.is_none() {
            self.gap = Some((key.to_string(), format!("number {}", of_code.last + 1), format!("number {number}")));
        }
        of_code.last = number;
        of_code.void += u64::from(validity == Validity::Void);
        Ok(())
    }

    /// The numbers by code, or the first that is not where it must be.
    pub(super) fn against_counters(
        self,
        kept: &mut Kept<'_>,
    ) -> Result<Result<BTreeMap<String, NumbersOfCode>, Difference>, Fault> {
        if let Some(gap) = self.gap {
            return Ok(Err(gap));
        }
        // A counter for each code, one for the equivocations: far fewer than a page.
        let counters = kept.records(Kind::Counter, None, COUNTERS_MAX)?;
        let mut counted: BTreeMap<StateKey, u64> = BTreeMap::new();
        for (key, stored) in counters.into_iter().filter(|(key, _)| *key != StateKey::evidence_counter()) {
            counted.insert(key.clone(), decode::<CounterRecord>(&key, &stored)?.next);
        }
        for (code, of_code) in &self.by_code {
            let key = StateKey::counter(&series(code));
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
}

/// How many codes a chain has at most: nine batches and one digital series a year, for a century.
const COUNTERS_MAX: usize = 1_024;

/// How many digits of a digital number say year, province and channel.
const DIGITAL_CODE: usize = 5;

/// The code of an invoice, which for the digital profile is what its numbers begin with, and its number in it.
fn code_and_number(id: InvoiceId) -> (String, u64) {
    match id {
        InvoiceId::Blockchain { code, number } => {
            (code.to_string(), u64::try_from(number.number()).unwrap_or(u64::MAX))
        }
        InvoiceId::Digital { number } => {
            let mut code = number.to_string();
            let sequence = code.split_off(DIGITAL_CODE);
            (code, sequence.parse().unwrap_or(u64::MAX))
        }
    }
}

/// The ledger's counter of a code.
fn series(code: &str) -> String {
    if code.len() == DIGITAL_CODE { format!("digital:{code}") } else { code.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(ids: &[&str]) -> Numbers {
        let mut numbers = Numbers::default();
        for id in ids {
            numbers.note(&StateKey::invoice(&id.parse().unwrap()), Validity::Void).unwrap();
        }
        numbers
    }

    #[test]
    fn numbers_of_both_profiles_are_counted_by_code() {
        let numbers = noted(&["144032609110-00000001", "144032609110-00000002", "26442000000000000001"]);
        assert_eq!(numbers.gap, None);
        assert_eq!(numbers.by_code["144032609110"], NumbersOfCode { last: 2, void: 2 });
        assert_eq!(numbers.by_code["26442"], NumbersOfCode { last: 1, void: 1 });
        assert_eq!(["144032609110", "26442"].map(series), ["144032609110", "digital:26442"]);
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
