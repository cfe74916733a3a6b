//! The arithmetic of red letters: how much of a blue invoice is taken back, and how much of it may still be.
//!
//! A red letter says of each line that it touches how much net it takes back. The tax follows from the blue's own line
//! and not from a rate of the calendar: an invoice of 2018 is taken back at the 16 % that it was issued with.
//!
//! Invariant: what all red letters of a blue take back together never goes beyond it, in any line, nor in total.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::document::{Document, Line, RateTotal, Totals};
use crate::error::Error;
use crate::rate::TaxTreatment;

/// Net that is taken back from one line of a blue invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Which line of the blue, from 0.
    pub line: u32,
    /// How much, without tax and with the sign of the blue's line: below zero on a discount.
    pub net: Amount,
}

/// A line of a red letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct RedLine {
    /// Which line of the blue it takes back, from 0.
    pub line: u32,
    /// Without tax; the opposite sign of the blue's line.
    pub net: Amount,
    /// The tax; the opposite sign of the blue's line.
    pub tax: Amount,
}

/// What a red letter amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedAmounts {
    /// The lines, in the blue's order.
    pub lines: Vec<RedLine>,
    /// Their sums; net and gross are below zero.
    pub totals: Totals,
    /// Their sums by the blue's tax treatments, in their order.
    pub by_rate: Vec<RateTotal>,
}

/// How much of a blue invoice is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Untouched,
    /// Some of it.
    Part,
    /// Nothing.
    Full,
}

/// Why a red letter may not take back what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It takes back nothing at all, or nothing from a line that it names.
    #[error("nothing is taken back")]
    Nothing,
    /// The blue has no such line.
    #[error("the blue invoice has no line {line}")]
    NoSuchLine {
        /// The line, from 0.
        line: u32,
    },
    /// Lines are named twice, or not in the blue's order.
    #[error("line {line} is named twice or out of order")]
    LineOrder {
        /// The line, from 0.
        line: u32,
    },
    /// More than is left of a line, or with the wrong sign.
    #[error("line {line} has {left} left, not {wanted}")]
    LineExceeded {
        /// The line, from 0.
        line: u32,
        /// What is left of it, without tax.
        left: Amount,
        /// What was to be taken back.
        wanted: Amount,
    },
    /// More than is left in total, because discounts of the blue would be left behind, or an amount that adds to it.
    #[error("the total does not stay between nothing and what is left")]
    TotalExceeded,
    /// A sum does not fit.
    #[error("a sum of amounts does not fit")]
    Overflow,
}

impl From<Error> for Refused {
    /// Everything here was read already, so a sum that does not fit is all that can be wrong with an amount.
    fn from(_: Error) -> Refused {
        Refused::Overflow
    }
}

/// What the red letters of one blue invoice took back so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reversed {
    /// Net by line, with the sign of the blue's line; empty before the first red letter.
    lines: Vec<Amount>,
}

impl Reversed {
    /// Net by line, with the sign of the blue's line; empty before the first red letter.
    pub fn lines(&self) -> &[Amount] {
        &self.lines
    }

    /// How much of the blue is left.
    pub fn extent(&self, blue: &Document) -> Extent {
        let full = blue.lines.iter().enumerate().all(|(index, line)| self.net(index) == line.net);
        if self.lines.iter().all(|net| net.is_zero()) {
            Extent::Untouched
        } else if full {
            Extent::Full
        } else {
            Extent::Part
        }
    }

    /// Everything that is left of the blue, as the parts of a full red letter.
    pub fn rest(&self, blue: &Document) -> Result<Vec<Part>, Refused> {
        let mut parts = Vec::new();
        for (line, (index, of)) in (0_u32..).zip(blue.lines.iter().enumerate()) {
            let net = of.net.checked_sub(self.net(index))?;
            if !net.is_zero() {
                parts.push(Part { line, net });
            }
        }
        Ok(parts)
    }

    /// What a red letter over these parts amounts to, and what is taken back after it; or why it may not be.
    pub fn take(&self, blue: &Document, parts: &[Part]) -> Result<(RedAmounts, Reversed), Refused> {
        let mut after = Reversed { lines: (0..blue.lines.len()).map(|index| self.net(index)).collect() };
        let mut lines: Vec<RedLine> = Vec::with_capacity(parts.len());
        for part in parts {
            if lines.last().is_some_and(|before| before.line >= part.line) {
                return Err(Refused::LineOrder { line: part.line });
            }
            let no_such_line = || Refused::NoSuchLine { line: part.line };
            let index = usize::try_from(part.line).map_err(|_| no_such_line())?;
            let of = blue.lines.get(index).ok_or_else(no_such_line)?;
            let before = self.net(index);
            after.lines[index] = advanced(of, before, *part)?;
            let tax = tax_of(of, after.lines[index])?.checked_sub(tax_of(of, before)?)?;
            lines.push(RedLine { line: part.line, net: part.net.checked_neg()?, tax: tax.checked_neg()? });
        }
        let totals = totals(&lines)?;
        // A blue never adds to what another blue left: without this, taking back a discount alone would be a sale.
        if totals.net.fen() > 0 || totals.tax.fen() > 0 || totals.gross.is_zero() {
            return Err(if lines.is_empty() { Refused::Nothing } else { Refused::TotalExceeded });
        }
        after.within(blue)?;
        let by_rate = by_rate(blue, &lines)?;
        Ok((RedAmounts { lines, totals, by_rate }, after))
    }

    /// Net taken back from a line.
    fn net(&self, index: usize) -> Amount {
        self.lines.get(index).copied().unwrap_or(Amount::ZERO)
    }

    /// Nothing, or that more is taken back in total than the blue has: of its goods, while its discounts stay.
    fn within(&self, blue: &Document) -> Result<(), Refused> {
        let mut taxes = Vec::with_capacity(blue.lines.len());
        for (index, line) in blue.lines.iter().enumerate() {
            taxes.push(tax_of(line, self.net(index))?);
        }
        let net = Amount::checked_sum(self.lines.iter().copied())?;
        let tax = Amount::checked_sum(taxes)?;
        // Goods and discounts that are left and come to nothing could never be taken back: no letter would be below zero.
        let stuck = net == blue.totals.net && self.extent(blue) != Extent::Full;
        if net > blue.totals.net || tax > blue.totals.tax || stuck {
            return Err(Refused::TotalExceeded);
        }
        Ok(())
    }
}

/// What is taken back from the line once the part is, too.
fn advanced(line: &Line, before: Amount, part: Part) -> Result<Amount, Refused> {
    let left = line.net.checked_sub(before)?;
    if part.net.is_zero() {
        return Err(Refused::Nothing);
    }
    let beyond = part.net.fen().unsigned_abs() > left.fen().unsigned_abs();
    if beyond || part.net.is_negative() != left.is_negative() {
        return Err(Refused::LineExceeded { line: part.line, left, wanted: part.net });
    }
    Ok(before.checked_add(part.net)?)
}

/// The tax on so much net of the line: its share of the blue's tax, to the nearest fen, halves away from zero.
///
/// Of all that is taken back so far and not of each part, so that the parts' roundings cannot add up: the whole line has
/// exactly the blue's tax, in however many parts it is taken.
fn tax_of(line: &Line, net: Amount) -> Result<Amount, Refused> {
    let whole = i128::from(line.net.fen()).abs();
    if whole == 0 {
        return Ok(Amount::ZERO);
    }
    // 64 bits by 64 bits, and a half: fits 128 bits.
    let share = i128::from(line.tax_amount.fen()).abs() * i128::from(net.fen()).abs();
    let tax = (share + whole / 2) / whole;
    Ok(Amount::try_from_fen(if line.tax_amount.is_negative() { -tax } else { tax })?)
}

/// The sums of the lines.
fn totals(lines: &[RedLine]) -> Result<Totals, Refused> {
    let net = Amount::checked_sum(lines.iter().map(|line| line.net))?;
    let tax = Amount::checked_sum(lines.iter().map(|line| line.tax))?;
    Ok(Totals { net, tax, gross: net.checked_add(tax)? })
}

/// The sums by the treatment that the blue's lines have: it is taken back at the rates that it was issued with.
fn by_rate(blue: &Document, lines: &[RedLine]) -> Result<Vec<RateTotal>, Refused> {
    let mut sums: BTreeMap<TaxTreatment, (i128, i128)> = BTreeMap::new();
    for red in lines {
        let line = usize::try_from(red.line).ok().and_then(|index| blue.lines.get(index));
        let of = line.ok_or(Refused::NoSuchLine { line: red.line })?;
        // 128 bits: no document is long enough to overflow them on the way.
        let (net, tax) = sums.entry(of.tax).or_default();
        *net += i128::from(red.net.fen());
        *tax += i128::from(red.tax.fen());
    }
    let total = |(treatment, (net, tax))| {
        Ok(RateTotal { treatment, net: Amount::try_from_fen(net)?, tax: Amount::try_from_fen(tax)? })
    };
    sums.into_iter().map(total).collect()
}

#[cfg(test)]
mod tests;
