//! The rules about documents: each looks on its own, none stops at the first finding.
//!
//! A rule that needs a value which could not be read stays silent; that the value cannot be read is already a finding.

mod lines;
mod parties;
mod totals;

use crate::amount::Amount;
use crate::correction::{Correction, PartyLines};
use crate::date::Date;
use crate::rules::Rules;
use crate::view::{Path, View};
use crate::violation::{Validation, Violation, rule};

/// Judges a view by every rule.
pub(crate) fn validate(view: &View<'_>, rules: &Rules, date: Date) -> Validation {
    let validation = Validation { violations: view.unreadable.clone(), warnings: Vec::new() };
    let mut findings = Findings { rules, date, validation };
    parties::check(&mut findings, view);
    lines::check(&mut findings, view);
    totals::check(&mut findings, view);
    if let Some(remark) = view.remark {
        findings.text(Path::At("/remark"), remark, rules.remark_chars_max);
    }
    findings.validation
}

/// Judges a correction by the rules that the texts of a document are held to.
pub(crate) fn correction(correction: &Correction, rules: &Rules, date: Date) -> Vec<Violation> {
    let mut findings = Findings { rules, date, validation: Validation::default() };
    for (at, lines) in [("/seller", &correction.seller), ("/buyer", &correction.buyer)] {
        let Some(PartyLines { address, phone, bank, account }) = lines else { continue };
        parties::texts(&mut findings, at, [address, phone, bank, account].map(|text| text.as_deref()));
    }
    if let Some(remark) = &correction.remark {
        findings.text(Path::At("/remark"), remark, rules.remark_chars_max);
    }
    findings.validation.violations
}

/// The parameters of one judgement and what it has found so far.
struct Findings<'r> {
    rules: &'r Rules,
    date: Date,
    validation: Validation,
}

impl Findings<'_> {
    fn violation(&mut self, path: Path, rule: &'static str, expected: impl Into<String>, actual: impl AsRef<str>) {
        self.validation.violations.push(Violation::new(path.to_string(), rule, expected, actual));
    }

    /// A text that is not empty, has no control characters and at most so many characters.
    fn text(&mut self, path: Path, text: &str, chars_max: u32) {
        self.characters(path, text);
        let chars = text.chars().count();
        if exceeds(chars, chars_max) {
            self.violation(
                path,
                rule::TEXT_TOO_LONG,
                format!("at most {chars_max} characters"),
                format!("{chars} characters"),
            );
        }
    }

    /// The part of [`Findings::text`] that is not about length.
    fn characters(&mut self, path: Path, text: &str) {
        if text.trim().is_empty() {
            self.violation(path, rule::TEXT_EMPTY, "a text", text);
        }
        if text.chars().any(char::is_control) {
            self.violation(path, rule::TEXT_CONTROL, "no control characters", text);
        }
    }

    fn no_angle_brackets(&mut self, path: Path, text: &str) {
        if text.contains(['<', '>']) {
            self.violation(path, rule::TEXT_ANGLE, "no < and no >", text);
        }
    }

    fn amount_range(&mut self, path: Path, amount: Option<Amount>) {
        let max = self.rules.amount_max;
        if let Some(amount) = amount
            && amount.fen().unsigned_abs() > max.fen().unsigned_abs()
        {
            self.violation(path, rule::AMOUNT_RANGE, format!("at most {max} either way"), amount.to_string());
        }
    }
}

/// Whether a length is above a limit of the rules.
fn exceeds(length: usize, max: u32) -> bool {
    u32::try_from(length).map_or(true, |length| length > max)
}

/// Whether text is 1 to 64 bytes that all pass.
fn is_token(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// An exact number `value` / 10^`scale` of yuan as text, without trailing zeros beyond two decimals.
fn exact_text(value: i128, scale: u32) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let unit = 10_u128.pow(scale);
    let magnitude = value.unsigned_abs();
    let width = usize::try_from(scale).expect("a scale below 40 fits any usize");
    let mut text = format!("{sign}{}", magnitude / unit);
    if scale > 0 {
        let decimals = format!("{:0width$}", magnitude % unit);
        let kept = decimals.trim_end_matches('0').len().max(2).min(width);
        text.push('.');
        text.push_str(&decimals[..kept]);
    }
    text
}

#[cfg(test)]
mod tests;
