//! What red letters took back, added up from the letters themselves: a second way to the same numbers.

use std::collections::BTreeMap;

use invoice::amount::Amount;
use invoice::document::Totals;
use invoice::lifecycle::{Sign, Validity};

use super::kept::Kept;
use super::numbers::Numbers;
use super::returns::count;
use super::sums::{Difference, PAGE_RECORDS};
use crate::execute::sum;
use crate::record::{Claim, InvoiceRecord};
use crate::red::{EarlierRecord, RedLetterRecord, ReversalRecord};
use crate::state::{Fault, Kind, StateKey, View as _, decode, require};

/// What was expected of a record, and what was found instead.
type Differing = (String, String);

/// The first blue that is not taken back by what its red letters come to, the first letter of none, or the first month whose
/// letters of earlier blues come to something else. The invoices' numbers must have been noted.
pub(super) fn differing_red(kept: &mut Kept<'_>, numbers: &Numbers) -> Result<Option<Difference>, Fault> {
    let (mut letters, mut after) = (0_u64, None);
    loop {
        let page = kept.records(Kind::Reversal, after.as_ref(), PAGE_RECORDS)?;
        for (key, stored) in &page {
            let reversal: ReversalRecord = decode(key, stored)?;
            if let Some((expected, found)) = examine(kept, key, &reversal)? {
                return Ok(Some((key.to_string(), expected, found)));
            }
            letters += u64::try_from(reversal.letters.len()).unwrap_or(u64::MAX);
        }
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
    }
    let records = count(kept, Kind::RedLetter)?;
    if (records, numbers.red()) != (letters, letters) {
        let expected = format!("{letters} red letters, as the invoices say that they take back");
        let found = format!("{records}, and {} invoices below zero", numbers.red());
        return Ok(Some(("red letters".to_owned(), expected, found)));
    }
    differing_earlier(kept)
}

/// Holds what is said of a blue against its red letters, and notes those of other months.
fn examine(kept: &mut Kept<'_>, key: &StateKey, reversal: &ReversalRecord) -> Result<Option<Differing>, Fault> {
    let missing = || Fault::Missing { key: key.to_string() };
    let id = key.reversed_blue().ok_or_else(missing)?;
    let blue: InvoiceRecord = require(kept, &StateKey::invoice(&id))?;
    let closed = match &blue.claim {
        Claim::Closed(closed) => Some(closed.leaf.index),
        Claim::Open | Claim::Locked(_) => None,
    };
    let overflow = || Fault::Sums { party: id.to_string() };
    let mut totals = Totals { net: Amount::ZERO, tax: Amount::ZERO, gross: Amount::ZERO };
    let mut by_line: BTreeMap<usize, i128> = BTreeMap::new();
    let (mut newest, mut clawed_back_fen) = (None, 0_i128);
    for red in &reversal.letters {
        let letter: RedLetterRecord = require(kept, &StateKey::red_letter(red))?;
        let invoice: InvoiceRecord = require(kept, &StateKey::invoice(red))?;
        if letter.blue != id || !is_red_letter_of(&invoice, &blue) || !comes_to(&letter, &invoice.totals) {
            let expected = format!("{red} to be a red letter of {id}, with its parties");
            return Ok(Some((expected, format!("{letter:?}, {:?}", invoice.totals))));
        }
        totals = sum(&totals, &invoice.totals).ok_or_else(overflow)?;
        for line in &letter.lines {
            *by_line.entry(usize::try_from(line.line).unwrap_or(usize::MAX)).or_default() -= i128::from(line.net.fen());
        }
        if closed.is_some_and(|closed| closed < invoice.issue.index) {
            clawed_back_fen -= i128::from(invoice.totals.gross.fen());
        }
        newest = Some(invoice.issue);
        if invoice.period != blue.period {
            kept.add_earlier(&StateKey::earlier(&blue.seller, invoice.period), invoice.totals.gross)?;
        }
    }
    let left = sum(&blue.totals, &totals).ok_or_else(overflow)?;
    let validity = if left.net.is_zero() { Validity::FullRed } else { Validity::PartRed };
    let said = reversal.reversed.lines().iter().map(|net| i128::from(net.fen())).enumerate();
    let lines_tie = by_line.into_iter().eq(said.filter(|(_, net)| *net != 0));
    let claw_back = reversal.claw_back.map_or(0, |mark| i128::from(mark.gross.fen()));
    let within = !left.net.is_negative() && !left.tax.is_negative();
    if !within || !lines_tie || (totals, validity, newest) != (reversal.totals, blue.validity, Some(reversal.newest)) {
        let expected = format!("{totals:?} taken back in all and by line, {validity:?}");
        return Ok(Some((expected, format!("{:?}, {:?} of {:?}", reversal.totals, blue.validity, blue.totals))));
    }
    if claw_back != clawed_back_fen {
        return Ok(Some((format!("{clawed_back_fen} fen to claw back"), format!("{claw_back} fen"))));
    }
    Ok(None)
}

/// Whether an invoice could be a red letter of a blue.
fn is_red_letter_of(red: &InvoiceRecord, blue: &InvoiceRecord) -> bool {
    let parties = (&red.seller, &red.buyer, red.profile) == (&blue.seller, &blue.buyer, blue.profile);
    let signs = (red.sign(), blue.sign()) == (Sign::Red, Sign::Blue);
    parties && signs && red.validity == Validity::Normal && red.period >= blue.period
}

/// Whether the lines of a red letter come to its totals.
fn comes_to(letter: &RedLetterRecord, totals: &Totals) -> bool {
    let fen = |amount: Amount| i128::from(amount.fen());
    let net: i128 = letter.lines.iter().map(|line| fen(line.net)).sum();
    let tax: i128 = letter.lines.iter().map(|line| fen(line.tax)).sum();
    (net, tax, net + tax) == (fen(totals.net), fen(totals.tax), fen(totals.gross))
}

/// The first month whose red letters of earlier blues come to something else than it says.
fn differing_earlier(kept: &mut Kept<'_>) -> Result<Option<Difference>, Fault> {
    let (mut met, mut after) = (0_u64, None);
    loop {
        let page = kept.records(Kind::Earlier, after.as_ref(), PAGE_RECORDS)?;
        for (key, stored) in &page {
            let said = decode::<EarlierRecord>(key, stored)?.gross_fen;
            let added = kept.earlier(key)?.map(|record| record.gross_fen);
            if added != Some(said) {
                return Ok(Some((key.to_string(), format!("{added:?} fen"), format!("{said} fen"))));
            }
            met += 1;
        }
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
    }
    let mut after = None;
    loop {
        let page = kept.earlier_months(after.as_ref(), PAGE_RECORDS)?;
        for (key, _) in &page {
            if kept.get(key)?.is_none() {
                return Ok(Some((key.to_string(), "a record of earlier blues".to_owned(), "none".to_owned())));
            }
            met = met.saturating_sub(1);
        }
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
    }
    Ok((met != 0).then(|| ("earlier blues".to_owned(), "no other month".to_owned(), format!("{met} more"))))
}

#[cfg(test)]
mod tests {
    use chain::hash::Hash;

    use super::super::scratch::{MemoryScratch, Scratch};
    use super::super::space::Space;
    use super::super::sums;
    use super::*;
    use crate::fixture::*;
    use crate::outcome::ACCEPTED;
    use crate::parallel::Alone;
    use crate::state::{Writes, encode};

    /// What an auditor finds in a state of this kind: of months, letters, quotas and input.
    fn difference(state: &Writes) -> Option<String> {
        let open = Box::new(|| Ok(Box::new(MemoryScratch::default()) as Box<dyn Scratch>));
        let mut kept = Kept::new(Space::new(usize::MAX, open));
        kept.write(state.clone()).unwrap();
        let mut numbers = Numbers::default();
        let found = sums::differing_month(&mut kept, &mut numbers, &Alone).unwrap();
        let found = found.or_else(|| differing_red(&mut kept, &numbers).unwrap());
        let found = found.or_else(|| sums::differing_quota(&mut kept).unwrap());
        let found = found.or_else(|| super::super::input::differing_input(&mut kept).unwrap());
        found.map(|(record, expected, found)| format!("{record}: {expected}: {found}"))
    }

    /// A life with letters of the same month and of the next, of a quota, of what was used and of what was reimbursed.
    fn ledger() -> (Ledger, String, String) {
        let mut ledger = Ledger::new();
        let mut play = |actor: &str, event: String| {
            let outcome = ledger.event(actor, event);
            assert_eq!(outcome.code, ACCEPTED, "{:?}", record(&outcome));
            outcome.subject
        };
        play(BUREAU, quota_grant(SELLER, "2026-11", "500.00"));
        play(BUREAU, quota_grant(SELLER, "2026-12", "500.00"));
        let (first, second) = (special("a"), issue("b"));
        let (used, reimbursed) = (play(SELLER, first.clone()), play(SELLER, second.clone()));
        play(SELLER, issue_red(&used, &first, "r1", &of_line("10.00")));
        play(BUYER, use_vat(&used, "deduct", "2026-11"));
        play(PLATFORM_A, lock(&reimbursed, "c"));
        play(PLATFORM_A, claim_event("close", &reimbursed, "c", 1));
        ledger.time_ms = MONTH_END;
        for (id, issued, reference) in [(&used, &first, "r2"), (&reimbursed, &second, "r3")] {
            let take = of_line("20.00");
            for (actor, event) in [
                (SELLER, red_request(id, issued, &take)),
                (BUYER, red_answer("red-confirm", id, 1)),
                (SELLER, issue_red_under(1, id, issued, reference, &take)),
            ] {
                assert_eq!(ledger.event(actor, event).code, ACCEPTED);
            }
        }
        (ledger, used, reimbursed)
    }

    fn tampered<T: borsh::BorshSerialize + borsh::BorshDeserialize>(
        ledger: &Ledger,
        key: &StateKey,
        change: impl FnOnce(&mut T),
    ) -> Option<String> {
        let (mut state, mut record) = (ledger.state.clone(), require(ledger, key).unwrap());
        change(&mut record);
        state.insert(key.clone(), encode(&Hash::of(b"test"), &record));
        difference(&state)
    }

    #[test]
    fn what_red_letters_took_back_is_what_they_come_to() {
        let (ledger, used, reimbursed) = ledger();
        assert_eq!(difference(&ledger.state), None);
        let key = |id: &str| StateKey::reversal(&id.parse().unwrap());
        let blue = |id: &str| StateKey::invoice(&id.parse().unwrap());
        let fen = Amount::from_fen;
        for found in [
            tampered(&ledger, &key(&used), |it: &mut ReversalRecord| it.totals.tax = fen(-391)),
            tampered(&ledger, &key(&used), |it: &mut ReversalRecord| it.letters.truncate(1)),
            tampered(&ledger, &key(&used), |it: &mut ReversalRecord| it.letters.swap(0, 1)),
            tampered(&ledger, &key(&used), |it: &mut ReversalRecord| it.reversed = ReversalRecord::default().reversed),
            tampered(&ledger, &key(&reimbursed), |it: &mut ReversalRecord| it.claw_back = None),
            tampered(&ledger, &blue(&used), |it: &mut InvoiceRecord| it.validity = Validity::Normal),
            tampered(&ledger, &blue(&used), |it: &mut InvoiceRecord| it.validity = Validity::FullRed),
        ] {
            let found = found.expect("what was changed is found");
            assert!(found.contains("24:") || found.starts_with("red letters"), "{found}");
        }
        let letter = ledger.reversal(&used).letters[0];
        let found = tampered(&ledger, &StateKey::red_letter(&letter), |it: &mut RedLetterRecord| {
            it.lines[0].net = fen(-1_001);
        });
        assert!(found.unwrap().contains("a red letter of"));
        let mut stray = ledger.state.clone();
        stray.remove(&key(&used));
        assert!(difference(&stray).unwrap().starts_with("red letters: 1 red letters"));
    }

    #[test]
    fn letters_of_earlier_blues_are_kept_apart_from_what_a_quota_gets_back() {
        let (ledger, ..) = ledger();
        let december = StateKey::earlier(&organisation_id(SELLER), "2026-12".parse().unwrap());
        let said: EarlierRecord = require(&ledger, &december).unwrap();
        assert_eq!(said.gross_fen, -4_520);
        let found = tampered(&ledger, &december, |it: &mut EarlierRecord| it.gross_fen = 0);
        assert!(found.unwrap().contains("Some(-4520) fen"));
        let mut without = ledger.state.clone();
        without.remove(&december);
        assert!(difference(&without).unwrap().contains("a record of earlier blues"));
        let mut another = ledger.state.clone();
        let january = StateKey::earlier(&organisation_id(SELLER), "2027-01".parse().unwrap());
        another.insert(january, encode(&Hash::of(b"test"), &EarlierRecord { gross_fen: -1 }));
        assert!(difference(&another).unwrap().contains("None fen"));
    }

    #[test]
    fn months_and_quotas_tie_whatever_stands_in_the_block_that_renumbers_their_seller() {
        use chain::statement::Mode;
        let second = "915000000000088";
        for next in [correct(SELLER, second), renumber(SELLER, second)] {
            let mut ledger = Ledger::new();
            let blue = ledger.issued("a");
            assert_eq!(ledger.event(BUREAU, renumber(SELLER, FREE_TAXPAYER)).code, ACCEPTED);
            let mut signed = |actor: &str, event: String| ledger.statement(actor, Mode::Each, &[event]);
            let block = [
                signed(BUREAU, next.clone()),
                signed(SELLER, issue_red(&blue, &issue("a"), "r", &of_line("40.00"))),
                signed(SELLER, issue("b").replace("91440300708461136T", FREE_TAXPAYER)),
                signed(BUREAU, quota_grant(SELLER, "2026-11", "500.00")),
            ];
            ledger.block(&block);
            assert_eq!(ledger.event(SELLER, issue_red(&blue, &issue("a"), "s", FULL)).code, ACCEPTED);
            assert_eq!(difference(&ledger.state), None, "{next}");
        }
    }
}
