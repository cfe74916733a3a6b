//! Numbers: how far each code has come, and what became of its numbers.
//!
//! What [`ledger::replay`] counts over a whole chain is counted here page by page, from the same records.

use std::ops::Bound;

use chain::identity::OrganisationId;
use chain::receipt::DecidedHeader;
use invoice::id::InvoiceId;
use invoice::lifecycle::{Sign, Validity};
use ledger::contingency::{SegmentRecord, is_of_segments};
use ledger::record::{CounterRecord, InvoiceRecord};
use ledger::state::{Kind, StateKey, decode, read};
use ledger::tree::RecordProof;

use super::{Query, SCANNED_MAX};
use crate::checkpoint;
use crate::list;
use crate::port::{Direction, Store, Table};
use crate::replica::Fault;

/// Segments of a page: all of their numbers are at most [`SCANNED_MAX`].
pub const SEGMENTS_A_PAGE: usize = 5;

/// What stands before the code of digital numbers in the name of their counter.
const DIGITAL: &str = "digital:";

/// A code, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeView {
    /// The code, or the digits of digital numbers that say year, province and channel.
    pub code: String,
    /// The number that is given next. The first was 1.
    pub next: u64,
}

/// Numbers that follow each other, both themselves included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// What became of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many have an invoice.
    pub used: u64,
    /// Of these, how many were voided.
    pub void: u64,
    /// How many red letters took back in part.
    pub part_red: u64,
    /// How many red letters took back in full.
    pub full_red: u64,
    /// How many are red letters.
    pub red_letters: u64,
}

/// A page of the numbers of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumbersPage {
    /// Which numbers it is about; none when there are none left.
    pub run: Option<Run>,
    /// What became of them.
    pub tally: Tally,
    /// Numbers without an invoice that no segment accounts for: there must be none.
    pub missing: Vec<Run>,
    /// The segments it is about, in the order of their numbers; each with what became of its own.
    pub segments: Vec<(SegmentRecord, Tally)>,
    /// The number at which the next page begins; none at the end.
    pub next: Option<u64>,
}

/// A counter as headers vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedCounter {
    /// The newest header, with the proof that it is decided. It carries the root of the state checkpoint.
    pub decided: DecidedHeader,
    /// The key of the record.
    pub key: StateKey,
    /// What is hashed: creator and record.
    pub stored: Vec<u8>,
    /// The number that was given next then.
    pub next: u64,
    /// The proof.
    pub proof: RecordProof,
}

impl<S: Store> Query<S> {
    /// Codes in order, after one, at most so many; those whose numbers are all in segments, or all.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn codes(&self, after: Option<&str>, limit: usize, of_segments: bool) -> Result<Vec<CodeView>, Fault> {
        // A code of a century has a counter at most, and the equivocations have one: far fewer than are looked at.
        let everything = (Bound::Included(vec![Kind::Counter as u8]), Bound::Excluded(vec![Kind::Counter as u8 + 1]));
        let rows = self.store.scan(Table::State, everything, Direction::Forward, SCANNED_MAX)?;
        let mut codes = Vec::new();
        for (key, row) in rows {
            let key = StateKey::from_bytes(key);
            let Some(code) = code_of(&key) else { continue };
            if after.is_none_or(|after| after < code) && (!of_segments || is_of_segments(code)) {
                let CounterRecord { next } = decode(&key, list::record(&row)?)?;
                codes.push(CodeView { code: code.to_owned(), next });
            }
        }
        // Those of digital numbers stand behind the others under their names.
        codes.sort_by(|one, other| one.code.cmp(&other.code));
        codes.truncate(limit);
        Ok(codes)
    }

    /// How far a code has come; none when no number of it was given, or the text is no code.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn code(&self, code: &str) -> Result<Option<CodeView>, Fault> {
        if nth(code, 1).is_none() {
            return Ok(None);
        }
        let counter = read::<CounterRecord>(&self.view(), &StateKey::counter_of(code))?;
        Ok(counter.map(|CounterRecord { next }| CodeView { code: code.to_owned(), next }))
    }

    /// What became of the numbers of a code from one on: of [`SCANNED_MAX`] at most, or of the next [`SEGMENTS_A_PAGE`]
    /// segments.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn numbers(&self, of: &CodeView, from: u64) -> Result<NumbersPage, Fault> {
        let from = from.max(1);
        if is_of_segments(&of.code) {
            return self.segments(of, from, |_| Ok(true));
        }
        let count = u64::try_from(SCANNED_MAX).unwrap_or(u64::MAX);
        // The counter was read before the invoices: what came since is not of this page.
        let last = from.saturating_add(count - 1).min(of.next.saturating_sub(1));
        if last < from {
            return Ok(NumbersPage::empty());
        }
        let run = Run { first: from, last };
        let (tally, missing) = self.tally(&of.code, run)?;
        let next = Some(last + 1).filter(|next| *next < of.next);
        Ok(NumbersPage { run: Some(run), tally, missing, segments: Vec::new(), next })
    }

    /// What became of the numbers of those segments of a code that some organisations hold, from a number on.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn numbers_held(
        &self,
        of: &CodeView,
        from: u64,
        holds: impl Fn(&OrganisationId) -> Result<bool, Fault>,
    ) -> Result<NumbersPage, Fault> {
        self.segments(of, from.max(1), |segment| holds(&segment.holder))
    }

    /// A code's counter, proved against the state checkpoint that the newest header carries. None while that checkpoint
    /// is from before the first number.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn proved_counter(&self, code: &str) -> Result<Option<ProvedCounter>, Fault> {
        let Some(decided) = self.decided_header(self.tip().progress.height)? else { return Ok(None) };
        let (root, key) = (decided.header.state_checkpoint.root, StateKey::counter_of(code));
        let Some((stored, proof)) = checkpoint::counter(&*self.store, root, &key)? else { return Ok(None) };
        let CounterRecord { next } = decode(&key, &stored)?;
        Ok(Some(ProvedCounter { decided, key, stored, next, proof }))
    }

    /// Segments of a code from a number on that are kept, as many as a page has.
    fn segments(
        &self,
        of: &CodeView,
        from: u64,
        keep: impl Fn(&SegmentRecord) -> Result<bool, Fault>,
    ) -> Result<NumbersPage, Fault> {
        let mut page = NumbersPage::empty();
        let (Some(first), Some(last)) = (nth(&of.code, from), nth(&of.code, of.next.saturating_sub(1))) else {
            return Ok(page);
        };
        if from >= of.next {
            return Ok(page);
        }
        let [first, last] = [first, last].map(|id| StateKey::segment(&id).into_bytes());
        let range = (Bound::Included(first), Bound::Included(last));
        let rows = self.store.scan(Table::State, range, Direction::Forward, SCANNED_MAX)?;
        let whole = rows.len() < SCANNED_MAX;
        let mut looked_at = None;
        for (key, row) in rows {
            let key = StateKey::from_bytes(key);
            let segment: SegmentRecord = decode(&key, list::record(&row)?)?;
            let run = Run { first: segment.first.number_in_code(), last: segment.last().number_in_code() };
            if page.segments.len() == SEGMENTS_A_PAGE {
                page.next = Some(run.first);
                return Ok(page);
            }
            looked_at = Some(run.last);
            if !keep(&segment)? {
                continue;
            }
            let (tally, _) = self.tally(&of.code, run)?;
            page.tally.add(tally);
            page.run = Some(Run { first: page.run.map_or(run.first, |page| page.first), last: run.last });
            page.segments.push((segment, tally));
        }
        page.next = looked_at.map(|last| last + 1).filter(|_| !whole);
        Ok(page)
    }

    /// What became of numbers, and which have no invoice.
    fn tally(&self, code: &str, run: Run) -> Result<(Tally, Vec<Run>), Fault> {
        let (mut tally, mut missing, mut expected) = (Tally::default(), Vec::new(), run.first);
        let (Some(first), Some(last)) = (nth(code, run.first), nth(code, run.last)) else {
            return Ok((tally, vec![run]));
        };
        let [first, last] = [first, last].map(|id| StateKey::invoice(&id).into_bytes());
        let limit = usize::try_from(run.last - run.first).unwrap_or(usize::MAX).saturating_add(1);
        let range = (Bound::Included(first), Bound::Included(last));
        for (key, row) in self.store.scan(Table::State, range, Direction::Forward, limit)? {
            let key = StateKey::from_bytes(key);
            let Some(id) = key.invoice_of() else { continue };
            let record: InvoiceRecord = decode(&key, list::record(&row)?)?;
            let number = id.number_in_code();
            if expected < number {
                missing.push(Run { first: expected, last: number - 1 });
            }
            expected = number + 1;
            tally.note(record.validity, record.sign());
        }
        if expected <= run.last {
            missing.push(Run { first: expected, last: run.last });
        }
        Ok((tally, missing))
    }
}

impl NumbersPage {
    fn empty() -> Self {
        Self { run: None, tally: Tally::default(), missing: Vec::new(), segments: Vec::new(), next: None }
    }
}

impl Tally {
    fn note(&mut self, validity: Validity, sign: Sign) {
        self.used += 1;
        match validity {
            Validity::Normal => {}
            Validity::Void => self.void += 1,
            Validity::PartRed => self.part_red += 1,
            Validity::FullRed => self.full_red += 1,
        }
        self.red_letters += u64::from(sign == Sign::Red);
    }

    fn add(&mut self, other: Self) {
        let Self { used, void, part_red, full_red, red_letters } = other;
        self.used += used;
        self.void += void;
        self.part_red += part_red;
        self.full_red += full_red;
        self.red_letters += red_letters;
    }
}

/// The code whose counter has a key; none of the counter of something else.
fn code_of(key: &StateKey) -> Option<&str> {
    let name = std::str::from_utf8(key.as_bytes().get(1..)?).ok()?;
    let code = name.strip_prefix(DIGITAL).unwrap_or(name);
    code.bytes().all(|byte| byte.is_ascii_digit()).then_some(code)
}

/// The invoice with a number of a code; none when there is no room for such a number, or the text is no code.
fn nth(code: &str, number: u64) -> Option<InvoiceId> {
    [format!("{code}-{number:08}"), format!("{code}{number:015}")]
        .iter()
        .filter_map(|text| text.parse::<InvoiceId>().ok())
        .find(|id| id.code() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_profiles_are_named_and_other_texts_are_no_codes() {
        let check = |code: &str, expected: Option<&str>| {
            assert_eq!(nth(code, 7).map(|id| id.to_string()).as_deref(), expected, "{code}");
        };
        check("144032609110", Some("144032609110-00000007"));
        check("26442", Some("26442000000000000007"));
        check("evidence", None);
        check("digital:26442", None);
        check("264420", None);
        check("", None);
        assert_eq!(nth("144032609110", 100_000_000), None);
        assert_eq!(code_of(&StateKey::counter("digital:26442")), Some("26442"));
        assert_eq!(code_of(&StateKey::evidence_counter()), None);
    }
}
