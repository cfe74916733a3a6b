//! One item of a fapiao as a line: the split of its gross, its treatment, its unit price.

use std::collections::BTreeMap;

use serde_json::Value;

use super::source::{ConvertError, Cursor};
use crate::amount::Amount;
use crate::decimal::Decimal;
use crate::document::Line;
use crate::rate::{Rate, TaxTreatment};
use crate::violation::{Violation, rule};

/// Quantities and unit prices are scaled by 10^8.
const SCALE: u32 = 8;
/// Most decimals of a derived unit price.
const PRICE_DECIMALS_MAX: u32 = 13;
/// Most characters of a derived unit price, point included.
const PRICE_CHARS_MAX: u32 = 17;

/// The preferential policies by their code, as the tax bureau names them on invoices.
const POLICIES: [&str; 18] = [
    "简易征收",
    "稀土产品",
    "免税",
    "不征税",
    "先征后退",
    "100%先征后退",
    "50%先征后退",
    "按3%简易征收",
    "按5%简易征收",
    "按5%简易征收减按1.5%计征",
    "即征即退30%",
    "即征即退50%",
    "即征即退70%",
    "即征即退100%",
    "超税负3%即征即退",
    "超税负8%即征即退",
    "超税负12%即征即退",
    "超税负6%即征即退",
];

pub(super) fn convert(item: &Cursor<'_>, warnings: &mut Vec<Violation>) -> Result<Line, ConvertError> {
    let gross = Amount::from_fen(item.required_integer("total_amount")?);
    let (tax, preferential) = treatment(item, warnings)?;
    let (net, tax_amount) = amounts(item, gross, tax)?;
    let discount = item.flag("discount")?;
    let owned = |name: &str| -> Result<Option<String>, ConvertError> { Ok(item.text(name)?.map(str::to_owned)) };
    // A discount line has no quantity of its own, whatever stands in the application.
    let (quantity, unit_price) = if discount { (None, None) } else { price(item, net, warnings)? };
    Ok(Line {
        name: item.required_text("goods_name")?.to_owned(),
        tax_code: item.required_text("tax_code")?.to_owned(),
        specification: owned("specification")?,
        unit: if discount { None } else { owned("unit")? },
        quantity,
        unit_price,
        net,
        tax,
        tax_amount,
        discount,
        preferential,
    })
}

/// Net and tax: those given, or split from the gross at the rate.
fn amounts(item: &Cursor<'_>, gross: Amount, tax: TaxTreatment) -> Result<(Amount, Amount), ConvertError> {
    if let (Some(net), Some(tax_amount)) = (item.integer("amount")?, item.integer("tax_amount")?) {
        let (net, tax_amount) = (Amount::from_fen(net), Amount::from_fen(tax_amount));
        if net.checked_add(tax_amount) != Ok(gross) {
            let expected = format!("amount {net} plus tax_amount {tax_amount}");
            return Err(ConvertError::unexpected(format!("{}/total_amount", item.path()), expected, gross.to_string()));
        }
        return Ok((net, tax_amount));
    }
    match tax.rate() {
        Some(rate) => rate.split_gross(gross).map_err(|_| ConvertError::out_of_range(item.path())),
        None => Ok((gross, Amount::ZERO)),
    }
}

/// How the line is taxed, and the preferential policy that it uses.
fn treatment(item: &Cursor<'_>, warnings: &mut Vec<Violation>) -> Result<(TaxTreatment, Option<String>), ConvertError> {
    let (untaxed, preferential) = mark(item, warnings)?;
    let path = format!("{}/tax_rate", item.path());
    let rate = match item.integer("tax_rate")? {
        None | Some(0) => None,
        Some(scaled) => {
            let rate = u16::try_from(scaled).ok().and_then(|scaled| Rate::from_ten_thousandths(scaled).ok());
            let wrong = || ConvertError::unexpected(&path, "ten-thousandths from 0 to 10000", scaled.to_string());
            Some(rate.ok_or_else(wrong)?)
        }
    };
    let treatment = match (untaxed, rate) {
        (Some(untaxed), None) => untaxed,
        (Some(untaxed), Some(rate)) => {
            return Err(ConvertError::unexpected(path, format!("no rate, as the line is {untaxed}"), rate.to_string()));
        }
        (None, Some(rate)) => TaxTreatment::Rate(rate),
        (None, None) if item.integer("tax_rate")?.is_some() => TaxTreatment::ZeroRated,
        (None, None) => {
            return Err(ConvertError::unexpected(path, "ten-thousandths from 0 to 10000", "none"));
        }
    };
    Ok((treatment, preferential))
}

/// The mark that stands in place of a rate, and the policy in words: the older shape has names, the newer ones codes.
fn mark(
    item: &Cursor<'_>,
    warnings: &mut Vec<Violation>,
) -> Result<(Option<TaxTreatment>, Option<String>), ConvertError> {
    let unknown = |field: &str, actual: &str| {
        Violation::new(
            format!("{}/{field}", item.path()),
            rule::SOURCE_UNMAPPED,
            "a policy with a known meaning",
            actual,
        )
    };
    if let Some(code) = item.integer("preferential_policy_code")? {
        let index = code.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let Some(policy) = index.and_then(|index| POLICIES.get(index)) else {
            warnings.push(unknown("preferential_policy_code", &code.to_string()));
            return Ok((None, Some(code.to_string())));
        };
        let mark = match code {
            3 => Some(TaxTreatment::Exempt),
            4 => Some(TaxTreatment::NotTaxable),
            _ => None,
        };
        return Ok((mark, Some((*policy).to_owned())));
    }
    match item.text("tax_prefer_mark")? {
        None | Some("NO_FAVORABLE") => Ok((None, None)),
        Some("TAX_FREE") => Ok((Some(TaxTreatment::Exempt), Some(POLICIES[2].to_owned()))),
        Some("OUT_OF_TAX") => Ok((Some(TaxTreatment::NotTaxable), Some(POLICIES[3].to_owned()))),
        Some(other) => {
            warnings.push(unknown("tax_prefer_mark", other));
            Ok((None, Some(other.to_owned())))
        }
    }
}

type Price = (Option<Decimal>, Option<Decimal>);

/// Quantity and unit price: a missing quantity is one, a missing price is derived from the net.
fn price(item: &Cursor<'_>, net: Amount, warnings: &mut Vec<Violation>) -> Result<Price, ConvertError> {
    let number = |name: &str, scaled: i64| {
        let wrong =
            |_| ConvertError::unexpected(format!("{}/{name}", item.path()), "at most 18 digits", scaled.to_string());
        Decimal::new(i128::from(scaled), SCALE).map_err(wrong)
    };
    let quantity = number("quantity", item.integer("quantity")?.unwrap_or(10_i64.pow(SCALE)))?;
    if let Some(unit_price) = item.integer("unit_price")? {
        return Ok((Some(quantity), Some(number("unit_price", unit_price)?)));
    }
    if !quantity.is_positive() {
        // Carried over as it is, for the rules to refuse.
        return Ok((Some(quantity), None));
    }
    if let Some(unit_price) = derive_price(net, quantity) {
        return Ok((Some(quantity), Some(unit_price)));
    }
    let expected = "a quantity that gives a unit price within the limits of decimals";
    let path = format!("{}/quantity", item.path());
    warnings.push(Violation::new(path, rule::SOURCE_UNMAPPED, expected, quantity.to_string()));
    Ok((None, None))
}

/// The unit price with as many decimals as allowed, if it gives the net back within one fen.
fn derive_price(net: Amount, quantity: Decimal) -> Option<Decimal> {
    if !quantity.is_positive() || net.fen() <= 0 {
        return None;
    }
    let (mantissa, scale) = (i128::from(quantity.mantissa()), quantity.scale());
    // Yuan whole per unit: as many digits before the point leave fewer after it.
    let whole = i128::from(net.fen()).checked_mul(10_i128.checked_pow(scale)?)? / (mantissa * 100);
    let whole_chars = u32::try_from(whole.to_string().len()).ok()?;
    let decimals = PRICE_DECIMALS_MAX.min(PRICE_CHARS_MAX.checked_sub(whole_chars + 1)?);
    // Price in units of 10^-decimals yuan = net fen × 10^(decimals + scale) / (100 × mantissa), to the nearest.
    let numerator = i128::from(net.fen()).checked_mul(10_i128.checked_pow(decimals + scale)?)?;
    let denominator = mantissa.checked_mul(100)?;
    let rounded = numerator.checked_mul(2)?.checked_add(denominator)? / denominator.checked_mul(2)?;
    let price = Decimal::new(rounded, decimals).ok()?;
    let (product, product_scale) = price.product(quantity);
    let common = product_scale.max(2);
    let product = product.checked_mul(10_i128.pow(common - product_scale))?;
    let fen = 10_i128.pow(common - 2);
    let off = product.checked_sub(i128::from(net.fen()).checked_mul(fen)?)?.checked_abs()?;
    (price.is_positive() && off <= fen).then_some(price)
}

/// What an item says about travellers, let property, pumps and the like: everything in its `…_information` objects.
///
/// Such facts name persons or places, so they belong in the attachment.
pub(super) fn personal_facts(item: &Cursor<'_>) -> Result<BTreeMap<String, String>, ConvertError> {
    let mut facts = BTreeMap::new();
    for (name, value) in item.object()? {
        if let Some(subject) = name.strip_suffix("_information") {
            collect(value, subject, &mut facts);
        }
    }
    Ok(facts)
}

/// Flattens a value into named texts; the depth is bounded by the JSON reader's.
fn collect(value: &Value, name: &str, facts: &mut BTreeMap<String, String>) {
    let mut keep = |text: String| {
        facts.insert(name.to_owned(), text);
    };
    match value {
        Value::Null => {}
        Value::Bool(value) => keep(value.to_string()),
        Value::Number(number) => keep(number.to_string()),
        Value::String(text) => keep(text.clone()),
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                collect(element, &format!("{name}.{index}"), facts);
            }
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                collect(value, &format!("{name}.{field}"), facts);
            }
        }
    }
}
