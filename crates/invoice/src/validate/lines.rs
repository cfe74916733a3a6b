//! Rules about each line, and about a discount and the line before it.

use super::{Findings, exact_text, exceeds};
use crate::amount::Amount;
use crate::decimal::Decimal;
use crate::rate::TaxTreatment;
use crate::view::{Given, LineView, Path, View};
use crate::violation::rule;

/// Rates are in ten-thousandths, so exact taxes are in ten-thousandths of a fen.
const TEN_THOUSAND: i128 = 10_000;

pub(super) fn check(findings: &mut Findings<'_>, view: &View<'_>) {
    let Some(lines) = &view.lines else { return };
    let lines_max = findings.rules.lines_max;
    if lines.is_empty() || exceeds(lines.len(), lines_max) {
        findings.violation(
            Path::At("/lines"),
            rule::LINE_COUNT,
            format!("1 to {lines_max} lines"),
            format!("{} lines", lines.len()),
        );
    }
    // Lines beyond the limit are not looked at: the work and the findings stay bounded.
    let looked_at = usize::try_from(lines_max).unwrap_or(usize::MAX);
    let special = view.profile.is_some_and(crate::document::Profile::is_special);
    let mut before: Option<&LineView<'_>> = None;
    for (index, line) in lines.iter().take(looked_at).enumerate() {
        texts(findings, index, line);
        numbers(findings, index, line);
        taxes(findings, index, line);
        if special && line.tax == Some(TaxTreatment::Exempt) {
            findings.violation(Path::Line(index, "tax"), rule::SPECIAL_EXEMPT, "a taxed sale", "exempt");
        }
        match line.discount {
            Some(true) => discount(findings, index, line, before),
            Some(false) => sale(findings, index, line),
            None => {}
        }
        before = Some(line);
    }
}

fn texts(findings: &mut Findings<'_>, index: usize, line: &LineView<'_>) {
    let rules = findings.rules;
    let texts = [
        ("name", line.name, rules.item_name_chars_max),
        ("specification", line.specification, rules.specification_chars_max),
        ("unit", line.unit, rules.unit_chars_max),
        ("preferential", line.preferential, rules.preferential_chars_max),
    ];
    for (field, text, chars_max) in texts {
        if let Some(text) = text {
            findings.text(Path::Line(index, field), text, chars_max);
        }
    }
    if let Some(name) = line.name {
        findings.no_angle_brackets(Path::Line(index, "name"), name);
    }
    if let Some(tax_code) = line.tax_code
        && !(tax_code.len() == 19 && tax_code.bytes().all(|byte| byte.is_ascii_digit()))
    {
        findings.violation(Path::Line(index, "tax_code"), rule::TAX_CODE, "19 digits", tax_code);
    }
}

fn numbers(findings: &mut Findings<'_>, index: usize, line: &LineView<'_>) {
    findings.amount_range(Path::Line(index, "net"), line.net);
    findings.amount_range(Path::Line(index, "tax_amount"), line.tax_amount);
    for (field, number) in [("quantity", line.quantity), ("unit_price", line.unit_price)] {
        if let Given::Known(number) = number {
            precision(findings, Path::Line(index, field), number);
        }
    }
    match (line.quantity.is_given(), line.unit_price.is_given()) {
        (true, false) => findings.violation(
            Path::Line(index, "unit_price"),
            rule::PRICE_PAIR,
            "a unit price, as there is a quantity",
            "none",
        ),
        (false, true) => findings.violation(
            Path::Line(index, "quantity"),
            rule::PRICE_PAIR,
            "a quantity, as there is a unit price",
            "none",
        ),
        (true, true) | (false, false) => {}
    }
    if let (Given::Known(quantity), Given::Known(unit_price), Some(net)) = (line.quantity, line.unit_price, line.net)
        && line.discount == Some(false)
    {
        net_of_price(findings, index, quantity, unit_price, net);
    }
}

fn precision(findings: &mut Findings<'_>, path: Path, number: Decimal) {
    let (decimals_max, chars_max) = (findings.rules.number_decimals_max, findings.rules.number_chars_max);
    let text = number.to_string();
    if number.scale() > decimals_max {
        findings.violation(path, rule::NUMBER_PRECISION, format!("at most {decimals_max} decimals"), &text);
    }
    if exceeds(text.len(), chars_max) {
        findings.violation(path, rule::NUMBER_LENGTH, format!("at most {chars_max} characters"), &text);
    }
}

/// |unit price × quantity − net| within the tolerance.
fn net_of_price(findings: &mut Findings<'_>, index: usize, quantity: Decimal, unit_price: Decimal, net: Amount) {
    let tolerance = findings.rules.line_net_tolerance;
    let (product, scale) = quantity.product(unit_price);
    // Everything in units of 10^-common yuan. The product has at most 36 digits, so two more fit.
    let common = scale.max(2);
    let product = product * 10_i128.pow(common - scale);
    let unit = 10_i128.pow(common - 2);
    let within = || {
        let off = product.checked_sub(i128::from(net.fen()).checked_mul(unit)?)?.checked_abs()?;
        Some(off <= i128::from(tolerance.fen()).checked_mul(unit)?)
    };
    // What overflows 128 bits is further off than any tolerance.
    if !within().unwrap_or(false) {
        let expected = format!("{} within {tolerance}", exact_text(product, common));
        findings.violation(Path::Line(index, "net"), rule::LINE_NET, expected, net.to_string());
    }
}

fn taxes(findings: &mut Findings<'_>, index: usize, line: &LineView<'_>) {
    let Some(treatment) = line.tax else { return };
    let path = Path::Line(index, "tax_amount");
    let Some(rate) = treatment.rate() else {
        if let Some(tax_amount) = line.tax_amount.filter(|amount| !amount.is_zero()) {
            findings.violation(
                path,
                rule::TAX_ON_UNTAXED,
                format!("0.00, as the line is {treatment}"),
                tax_amount.to_string(),
            );
        }
        return;
    };
    if !findings.rules.rates.is_in_force(rate, findings.date) {
        let rates: Vec<String> = findings.rules.rates.in_force(findings.date).iter().map(ToString::to_string).collect();
        let expected = format!("one of {} on {}", rates.join(", "), findings.date);
        findings.violation(Path::Line(index, "tax/rate"), rule::RATE_IN_FORCE, expected, rate.to_string());
        // The tax of a rate that does not exist is not worth a second finding.
        return;
    }
    if let (Some(net), Some(tax_amount)) = (line.net, line.tax_amount) {
        let tolerance = findings.rules.line_tax_tolerance;
        let exact = rate.tax_exact(net);
        let off = (exact - i128::from(tax_amount.fen()) * TEN_THOUSAND).abs();
        if off > i128::from(tolerance.fen()) * TEN_THOUSAND {
            findings.violation(
                path,
                rule::LINE_TAX,
                format!("{} within {tolerance}", exact_text(exact, 6)),
                tax_amount.to_string(),
            );
        }
    }
}

/// A line of a blue invoice that is no discount.
fn sale(findings: &mut Findings<'_>, index: usize, line: &LineView<'_>) {
    if let Some(net) = line.net.filter(|net| net.fen() <= 0) {
        findings.violation(Path::Line(index, "net"), rule::LINE_NOT_POSITIVE, "above 0.00", net.to_string());
    }
    if let Some(tax_amount) = line.tax_amount.filter(|amount| amount.is_negative()) {
        findings.violation(
            Path::Line(index, "tax_amount"),
            rule::LINE_TAX_SIGN,
            "0.00 or more",
            tax_amount.to_string(),
        );
    }
    let signs = [("quantity", line.quantity, rule::QUANTITY_SIGN), ("unit_price", line.unit_price, rule::PRICE_SIGN)];
    for (field, number, code) in signs {
        if let Some(number) = number.known().filter(|number| !number.is_positive()) {
            findings.violation(Path::Line(index, field), code, "above 0", number.to_string());
        }
    }
}

fn discount(findings: &mut Findings<'_>, index: usize, line: &LineView<'_>, before: Option<&LineView<'_>>) {
    for (field, number) in [("quantity", line.quantity), ("unit_price", line.unit_price)] {
        if number.is_given() {
            let actual = number.known().map_or_else(|| "a number".to_owned(), |number| number.to_string());
            findings.violation(Path::Line(index, field), rule::DISCOUNT_QUANTITY, "none on a discount line", actual);
        }
    }
    if let Some(net) = line.net.filter(|net| net.fen() >= 0) {
        findings.violation(Path::Line(index, "net"), rule::DISCOUNT_SIGN, "below 0.00", net.to_string());
    }
    if let Some(tax_amount) = line.tax_amount.filter(|amount| amount.fen() > 0) {
        findings.violation(
            Path::Line(index, "tax_amount"),
            rule::DISCOUNT_SIGN,
            "0.00 or less",
            tax_amount.to_string(),
        );
    }
    let Some(sale) = before.filter(|before| before.discount != Some(true)) else {
        let actual = if before.is_some() { "a discount line before it" } else { "the first line" };
        findings.violation(
            Path::Line(index, "discount"),
            rule::DISCOUNT_ALONE,
            "the line that it discounts before it",
            actual,
        );
        return;
    };
    discount_of(findings, index, line, sale);
}

/// Rules about a discount and the line that it discounts.
fn discount_of(findings: &mut Findings<'_>, index: usize, line: &LineView<'_>, sale: &LineView<'_>) {
    for (field, own, other) in [("name", line.name, sale.name), ("tax_code", line.tax_code, sale.tax_code)] {
        if let (Some(own), Some(other)) = (own, other)
            && own != other
        {
            findings.violation(Path::Line(index, field), rule::DISCOUNT_UNLIKE, crate::text::shown(other), own);
        }
    }
    if let (Some(own), Some(other)) = (line.tax, sale.tax)
        && own != other
    {
        findings.violation(Path::Line(index, "tax"), rule::DISCOUNT_UNLIKE, other.to_string(), own.to_string());
    }
    for (field, own, other) in [("net", line.net, sale.net), ("tax_amount", line.tax_amount, sale.tax_amount)] {
        if let (Some(own), Some(other)) = (own, other)
            && own.is_negative()
            && own.fen().unsigned_abs() > other.fen().unsigned_abs()
        {
            findings.violation(
                Path::Line(index, field),
                rule::DISCOUNT_EXCEEDS,
                format!("at most {other} off"),
                own.to_string(),
            );
        }
    }
}
