//! Rules about the totals: exact sums, and the tax error of the whole invoice.

use super::{Findings, exact_text};
use crate::amount::Amount;
use crate::view::{Path, View};
use crate::violation::rule;

/// Rates are in ten-thousandths, so exact taxes are in ten-thousandths of a fen.
const TEN_THOUSAND: i128 = 10_000;

pub(super) fn check(findings: &mut Findings<'_>, view: &View<'_>) {
    let stated = [("net", view.net), ("tax", view.tax), ("gross", view.gross)];
    for (field, amount) in stated {
        findings.amount_range(Path::Below("/totals", field), amount);
    }
    // The gross is held against the lines too, not against the other totals: one wrong total is one finding.
    let net = sum(view, |line| line.net);
    let tax = sum(view, |line| line.tax_amount);
    let gross = net.zip(tax).map(|(net, tax)| net + tax);
    let expected = [(net, rule::TOTAL_NET), (tax, rule::TOTAL_TAX), (gross, rule::TOTAL_GROSS)];
    for ((field, stated), (expected, code)) in stated.into_iter().zip(expected) {
        let (Some(stated), Some(expected)) = (stated, expected) else {
            continue;
        };
        let path = Path::Below("/totals", field);
        if i128::from(stated.fen()) != expected {
            findings.violation(path, code, exact_text(expected, 2), stated.to_string());
        } else if stated.is_negative() {
            findings.violation(path, rule::TOTAL_NEGATIVE, "0.00 or more", stated.to_string());
        }
    }
    if let (Some(exact), Some(tax)) = (tax_by_rates(findings, view), tax) {
        let tolerance = findings.rules.total_tax_tolerance;
        if (exact - tax * TEN_THOUSAND).abs() > i128::from(tolerance.fen()) * TEN_THOUSAND {
            let expected = format!("{} within {tolerance}", exact_text(exact, 6));
            findings.violation(Path::At("/totals/tax"), rule::TOTAL_TAX_OFF, expected, exact_text(tax, 2));
        }
    }
}

/// The sum over all lines in fen, if every line's amount is known. No document is long enough to overflow 128 bits.
fn sum(view: &View<'_>, amount: impl Fn(&crate::view::LineView<'_>) -> Option<Amount>) -> Option<i128> {
    let lines = view.lines.as_ref()?;
    lines.iter().try_fold(0_i128, |sum, line| Some(sum + i128::from(amount(line)?.fen())))
}

/// Net times rate over all lines in ten-thousandths of a fen, if every net and rate is known and in force.
///
/// Summing by line or by rate is the same: nothing is rounded on the way.
fn tax_by_rates(findings: &Findings<'_>, view: &View<'_>) -> Option<i128> {
    let lines = view.lines.as_ref()?;
    lines.iter().try_fold(0_i128, |sum, line| match line.tax?.rate() {
        Some(rate) if findings.rules.rates.is_in_force(rate, findings.date) => Some(sum + rate.tax_exact(line.net?)),
        Some(_) => None,
        None => Some(sum),
    })
}
