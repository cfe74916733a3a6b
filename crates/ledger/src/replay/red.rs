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
            kept.add_earlier(&StateKey::earlier(&blue.seller, invoice.period), &invoice.totals.gross)?;
        }
    }
    let left = sum(&blue.totals, &totals).ok_or_else(overflow)?;
    let validity = if left.net.is_zero() { Validity::FullRed } else { Validity::PartRed };
    let lines_tie = reversal
        .reversed
        .lines()
        .iter()
        .enumerate()
        .all(|(index, net)| by_line.get(&index).copied().unwrap_or_default() == i128::from(net.fen()));
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
