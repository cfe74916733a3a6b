//! The rules, each on the smallest change of a good document that breaks it.

use super::*;
use crate::document::{Buyer, Document, Person, Profile};
use crate::rate::TaxTreatment;
use crate::samples;

/// The hotel sample: a sale, its discount, and a sale at another rate.
fn hotel() -> Document {
    Document::parse(samples::all()[1].json.as_bytes()).unwrap()
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn violations(document: &Document) -> Vec<Violation> {
    document.validate(&Rules::default(), date("2026-05-04")).violations
}

/// Changes the hotel sample and compares paths and rules of what is found.
fn check(change: impl FnOnce(&mut Document), expected: &[(&str, &str)]) {
    let mut document = hotel();
    change(&mut document);
    let found = violations(&document);
    let found: Vec<(&str, &str)> = found.iter().map(|found| (found.path.as_str(), found.rule)).collect();
    assert_eq!(found, expected);
}

/// Makes the totals those of the lines, so that a test finds only what it is about.
fn tie(document: &mut Document) {
    document.totals.net = Amount::checked_sum(document.lines.iter().map(|line| line.net)).unwrap();
    document.totals.tax = Amount::checked_sum(document.lines.iter().map(|line| line.tax_amount)).unwrap();
    document.totals.gross = document.totals.net.checked_add(document.totals.tax).unwrap();
}

#[test]
fn exact_numbers_keep_two_decimals_at_least() {
    assert_eq!(exact_text(4_945_746, 4), "494.5746");
    assert_eq!(exact_text(4_945_000, 4), "494.50");
    assert_eq!(exact_text(-5, 2), "-0.05");
    assert_eq!(exact_text(7, 0), "7");
    assert_eq!(exact_text(i128::MAX, 38), "1.70141183460469231731687303715884105727");
}

#[test]
fn an_untouched_sample_keeps_every_rule() {
    check(|_| (), &[]);
}

#[test]
fn one_wrong_total_is_one_finding_with_both_numbers() {
    check(|d| d.totals.net = amount("771.01"), &[("/totals/net", rule::TOTAL_NET)]);
    check(|d| d.totals.tax = amount("47.30"), &[("/totals/tax", rule::TOTAL_TAX)]);
    check(|d| d.totals.gross = amount("818.30"), &[("/totals/gross", rule::TOTAL_GROSS)]);
    let mut document = hotel();
    document.totals.gross = amount("818.30");
    let found = violations(&document);
    assert_eq!((found[0].expected.as_str(), found[0].actual.as_str()), ("818.31", "818.30"));
}

#[test]
fn line_tax_may_be_off_by_six_fen_and_no_more() {
    let with_tax = |tax: &'static str, expected: &[(&str, &str)]| {
        check(
            |d| {
                d.lines[2].tax_amount = amount(tax);
                tie(d);
            },
            expected,
        );
    };
    with_tax("2.01", &[]);
    with_tax("1.89", &[]);
    with_tax("2.02", &[("/lines/2/tax_amount", rule::LINE_TAX)]);
    with_tax("1.88", &[("/lines/2/tax_amount", rule::LINE_TAX)]);
}

#[test]
fn the_published_fixture_is_within_the_tolerance() {
    check(
        |d| {
            d.lines.truncate(1);
            let line = &mut d.lines[0];
            line.tax = TaxTreatment::Rate("0.13".parse().unwrap());
            (line.net, line.tax_amount) = (amount("3804.42"), amount("494.58"));
            (line.quantity, line.unit_price) = (None, None);
            tie(d);
        },
        &[],
    );
}

#[test]
fn price_times_quantity_may_be_off_by_one_fen() {
    let with_price = |price: &'static str, expected: &[(&str, &str)]| {
        check(|d| d.lines[2].unit_price = Some(price.parse().unwrap()), expected);
    };
    with_price("2.5016666666666", &[]);
    with_price("2.4983333333334", &[]);
    with_price("2.5016666666667", &[("/lines/2/net", rule::LINE_NET)]);
    with_price("2.4983333333333", &[("/lines/2/net", rule::LINE_NET)]);
}

#[test]
fn small_tax_errors_must_not_add_up_beyond_the_invoice_tolerance() {
    let with_lines = |count: usize, expected: &[(&str, &str)]| {
        check(
            |d| {
                let mut line = d.lines[2].clone();
                line.tax_amount = amount("2.01");
                d.lines = vec![line; count];
                tie(d);
            },
            expected,
        );
    };
    with_lines(21, &[]); // 1.26 yuan off.
    with_lines(22, &[("/totals/tax", rule::TOTAL_TAX_OFF)]); // 1.32 yuan off.
}

#[test]
fn rates_are_those_of_the_day() {
    let rules = Rules::default();
    let mut document = hotel();
    document.lines[2].tax = TaxTreatment::Rate("0.16".parse().unwrap());
    document.lines[2].tax_amount = amount("2.40");
    tie(&mut document);
    assert!(document.validate(&rules, date("2019-03-31")).is_valid());
    let found = document.validate(&rules, date("2019-04-01")).violations;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].path.as_str(), found[0].rule), ("/lines/2/tax/rate", rule::RATE_IN_FORCE));
    assert_eq!(found[0].expected, "one of 0.015, 0.02, 0.03, 0.05, 0.06, 0.09, 0.13 on 2019-04-01");
    assert_eq!(found[0].actual, "0.16");
}

#[test]
fn exempt_and_zero_rated_lines_have_no_tax_and_a_zero_rate_is_a_mark() {
    for mark in [TaxTreatment::Exempt, TaxTreatment::NotTaxable, TaxTreatment::ZeroRated] {
        let untaxed = |tax: &'static str, expected: &[(&str, &str)]| {
            check(
                |d| {
                    d.lines[2].tax = mark;
                    d.lines[2].tax_amount = amount(tax);
                    tie(d);
                },
                expected,
            );
        };
        untaxed("0", &[]);
        untaxed("0.01", &[("/lines/2/tax_amount", rule::TAX_ON_UNTAXED)]);
    }
    check(
        |d| {
            d.lines[2].tax = TaxTreatment::Rate("0".parse().unwrap());
            d.lines[2].tax_amount = Amount::ZERO;
            tie(d);
        },
        &[("/lines/2/tax/rate", rule::RATE_IN_FORCE)],
    );
}

#[test]
fn a_special_invoice_is_neither_for_a_person_nor_for_an_exempt_sale() {
    check(|d| d.profile = Profile::DigitalSpecial, &[]);
    check(
        |d| {
            d.profile = Profile::DigitalSpecial;
            d.buyer = Buyer::Person(Person { id: "p".to_owned() });
            d.lines[2].tax = TaxTreatment::Exempt;
            d.lines[2].tax_amount = Amount::ZERO;
            tie(d);
        },
        &[("/buyer/person", rule::SPECIAL_TO_PERSON), ("/lines/2/tax", rule::SPECIAL_EXEMPT)],
    );
}

#[test]
fn a_discount_follows_its_line_and_looks_like_it() {
    check(
        |d| {
            d.lines.swap(0, 1);
        },
        &[("/lines/0/discount", rule::DISCOUNT_ALONE)],
    );
    check(
        |d| {
            let discount = d.lines[1].clone();
            d.lines.insert(2, discount);
            tie(d);
        },
        &[("/lines/2/discount", rule::DISCOUNT_ALONE)],
    );
    check(
        |d| {
            d.lines[1].name = "别的".to_owned();
            d.lines[1].tax_code = "3070401000000000000".to_owned();
            d.lines[1].tax = TaxTreatment::Rate("0.13".parse().unwrap());
            d.lines[1].tax_amount = amount("-10.92");
            tie(d);
        },
        &[
            ("/lines/1/name", rule::DISCOUNT_UNLIKE),
            ("/lines/1/tax_code", rule::DISCOUNT_UNLIKE),
            ("/lines/1/tax", rule::DISCOUNT_UNLIKE),
        ],
    );
}

#[test]
fn a_discount_takes_off_at_most_its_line() {
    let with_discount = |net: &'static str, tax: &'static str, expected: &[(&str, &str)]| {
        check(
            |d| {
                (d.lines[1].net, d.lines[1].tax_amount) = (amount(net), amount(tax));
                tie(d);
            },
            expected,
        );
    };
    with_discount("-840.00", "-50.40", &[]);
    let exceeds = [("/lines/1/net", rule::DISCOUNT_EXCEEDS), ("/lines/1/tax_amount", rule::DISCOUNT_EXCEEDS)];
    with_discount("-840.01", "-50.41", &exceeds);
    let signs = [("/lines/1/net", rule::DISCOUNT_SIGN), ("/lines/1/tax_amount", rule::DISCOUNT_SIGN)];
    with_discount("84.00", "5.04", &signs);
    with_discount("0", "0", &[("/lines/1/net", rule::DISCOUNT_SIGN)]);
}

#[test]
fn a_discount_has_no_quantity() {
    check(
        |d| {
            d.lines[1].quantity = Some("1".parse().unwrap());
            d.lines[1].unit_price = Some("-84".parse().unwrap());
        },
        &[("/lines/1/quantity", rule::DISCOUNT_QUANTITY), ("/lines/1/unit_price", rule::DISCOUNT_QUANTITY)],
    );
}

#[test]
fn a_total_of_zero_after_a_full_discount_is_allowed() {
    check(
        |d| {
            d.lines.truncate(2);
            (d.lines[1].net, d.lines[1].tax_amount) = (amount("-840"), amount("-50.40"));
            tie(d);
        },
        &[],
    );
}

#[test]
fn lines_of_a_blue_invoice_are_positive() {
    check(
        |d| {
            let line = &mut d.lines[2];
            (line.net, line.tax_amount) = (amount("-15"), amount("-1.95"));
            (line.quantity, line.unit_price) = (Some("-6".parse().unwrap()), Some("2.5".parse().unwrap()));
            tie(d);
        },
        &[
            ("/lines/2/net", rule::LINE_NOT_POSITIVE),
            ("/lines/2/tax_amount", rule::LINE_TAX_SIGN),
            ("/lines/2/quantity", rule::QUANTITY_SIGN),
        ],
    );
    check(
        |d| {
            d.lines.remove(0);
            d.lines.remove(1);
            tie(d);
        },
        &[
            ("/lines/0/discount", rule::DISCOUNT_ALONE),
            ("/totals/net", rule::TOTAL_NEGATIVE),
            ("/totals/tax", rule::TOTAL_NEGATIVE),
            ("/totals/gross", rule::TOTAL_NEGATIVE),
        ],
    );
}

#[test]
fn quantity_and_price_come_in_pairs_and_within_limits() {
    check(|d| d.lines[2].quantity = None, &[("/lines/2/quantity", rule::PRICE_PAIR)]);
    check(|d| d.lines[2].unit_price = None, &[("/lines/2/unit_price", rule::PRICE_PAIR)]);
    check(
        |d| d.lines[2].unit_price = Some("2.50000000000001".parse().unwrap()),
        &[("/lines/2/unit_price", rule::NUMBER_PRECISION)],
    );
    check(
        |d| {
            d.lines[2].quantity = Some("0.000000000006".parse().unwrap());
            d.lines[2].unit_price = Some("2500000000000.0001".parse().unwrap());
        },
        &[("/lines/2/unit_price", rule::NUMBER_LENGTH)],
    );
}

#[test]
fn names_are_measured_in_gbk_bytes_and_other_texts_in_characters() {
    check(|d| d.seller.name = "深".repeat(50), &[]);
    check(|d| d.seller.name = format!("{}a", "深".repeat(50)), &[("/seller/name", rule::TEXT_TOO_LONG)]);
    check(|d| d.seller.name = "\u{20BB7}".repeat(26), &[("/seller/name", rule::TEXT_TOO_LONG)]);
    check(|d| d.seller.name = "<甲>".to_owned(), &[("/seller/name", rule::TEXT_ANGLE)]);
    check(|d| d.seller.address = Some("深".repeat(128)), &[]);
    check(
        |d| {
            d.seller.address = Some("深".repeat(129));
            d.seller.phone = Some("1".repeat(33));
            d.seller.bank = Some("深".repeat(129));
            d.seller.account = Some("1".repeat(33));
            d.remark = Some("深".repeat(201));
        },
        &[
            ("/seller/address", rule::TEXT_TOO_LONG),
            ("/seller/phone", rule::TEXT_TOO_LONG),
            ("/seller/bank", rule::TEXT_TOO_LONG),
            ("/seller/account", rule::TEXT_TOO_LONG),
            ("/remark", rule::TEXT_TOO_LONG),
        ],
    );
}

#[test]
fn texts_are_neither_empty_nor_with_control_characters() {
    check(
        |d| {
            d.seller.name = " ".to_owned();
            d.lines[2].unit = Some(String::new());
            d.lines[2].specification = Some("a\u{7}".to_owned());
            d.remark = Some("a\nb".to_owned());
        },
        &[
            ("/seller/name", rule::TEXT_EMPTY),
            ("/lines/2/specification", rule::TEXT_CONTROL),
            ("/lines/2/unit", rule::TEXT_EMPTY),
            ("/remark", rule::TEXT_CONTROL),
        ],
    );
}

#[test]
fn identifiers_have_their_shapes() {
    for reference in ["", "a b", "文", &"x".repeat(65)] {
        check(|d| d.reference = reference.to_owned(), &[("/reference", rule::REFERENCE)]);
    }
    for id in ["", "a b", "张三", "a/b", &"x".repeat(65)] {
        check(|d| d.buyer = Buyer::Person(Person { id: id.to_owned() }), &[("/buyer/person/id", rule::PERSON_ID)]);
    }
    for tax_code in ["", "301010102020300000", "30101010202030000000", "301010102020300000x", "３０１"] {
        check(|d| d.lines[2].tax_code = tax_code.to_owned(), &[("/lines/2/tax_code", rule::TAX_CODE)]);
    }
}

#[test]
fn an_invoice_has_one_to_a_hundred_lines() {
    check(
        |d| {
            d.lines.clear();
            tie(d);
        },
        &[("/lines", rule::LINE_COUNT)],
    );
    let with_lines = |count: usize, expected: &[(&str, &str)]| {
        check(
            |d| {
                d.lines = vec![d.lines[2].clone(); count];
                tie(d);
            },
            expected,
        );
    };
    with_lines(100, &[]);
    with_lines(101, &[("/lines", rule::LINE_COUNT)]);
}

#[test]
fn extreme_amounts_are_findings_never_a_panic() {
    for extreme in [i64::MIN, i64::MAX] {
        let mut document = hotel();
        for line in &mut document.lines {
            line.net = Amount::from_fen(extreme);
            line.tax_amount = Amount::from_fen(extreme);
            line.quantity = Some("999999999999999999".parse().unwrap());
            line.unit_price = Some("0.000000000000000001".parse().unwrap());
        }
        document.totals.net = Amount::from_fen(extreme);
        document.totals.tax = Amount::from_fen(extreme);
        document.totals.gross = Amount::from_fen(extreme);
        let found = violations(&document);
        let rules: Vec<&str> = found.iter().map(|found| found.rule).collect();
        assert!(rules.contains(&rule::AMOUNT_RANGE) && rules.contains(&rule::TOTAL_NET), "{rules:?}");
        assert!(document.totals_by_rate().is_err());
    }
}

#[test]
fn doubtful_taxpayer_ids_warn_and_forbid_nothing() {
    let mut document = hotel();
    document.seller.taxpayer_id = "91350211M0000XUF46".parse().unwrap();
    let validation = document.validate(&Rules::default(), date("2026-05-04"));
    assert!(validation.is_valid());
    assert_eq!(validation.warnings.len(), 1);
    assert_eq!(validation.warnings[0].path, "/seller/taxpayer_id");
    assert_eq!(validation.warnings[0].rule, rule::TAXPAYER_CHECK_CHARACTER);
}

#[test]
fn tolerances_and_limits_are_parameters() {
    let mut document = hotel();
    document.lines[2].tax_amount = amount("2.01");
    tie(&mut document);
    let rules = Rules { line_tax_tolerance: Amount::ZERO, lines_max: 2, ..Rules::default() };
    let found = document.validate(&rules, date("2026-05-04")).violations;
    // Lines beyond the limit are not looked at.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].expected, "1 to 2 lines");
    let rules = Rules { line_tax_tolerance: Amount::ZERO, ..Rules::default() };
    assert_eq!(document.validate(&rules, date("2026-05-04")).violations[0].rule, rule::LINE_TAX);
}

#[test]
fn ten_mistakes_are_ten_violations() {
    check(
        |d| {
            d.reference = "with space".to_owned();
            d.seller.name = "a<b".to_owned();
            d.seller.phone = Some("1".repeat(40));
            d.lines[0].tax_amount = amount("50.50");
            d.lines[1].name = "别的".to_owned();
            d.lines[2].tax_code = "123".to_owned();
            d.lines[2].quantity = None;
            d.lines[2].tax = TaxTreatment::Exempt;
            d.lines[2].tax_amount = amount("0.05");
            tie(d);
            d.totals.net = amount("1.00");
            d.remark = Some("\u{0}".to_owned());
        },
        &[
            ("/reference", rule::REFERENCE),
            ("/seller/name", rule::TEXT_ANGLE),
            ("/seller/phone", rule::TEXT_TOO_LONG),
            ("/lines/0/tax_amount", rule::LINE_TAX),
            ("/lines/1/name", rule::DISCOUNT_UNLIKE),
            ("/lines/2/tax_code", rule::TAX_CODE),
            ("/lines/2/quantity", rule::PRICE_PAIR),
            ("/lines/2/tax_amount", rule::TAX_ON_UNTAXED),
            ("/totals/net", rule::TOTAL_NET),
            ("/remark", rule::TEXT_CONTROL),
        ],
    );
}
