//! Drafts: every kind of mistake at once, and no JSON that panics.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::samples;

fn sample() -> Value {
    serde_json::from_str(samples::all()[1].json).unwrap()
}

fn date() -> Date {
    "2026-05-04".parse().unwrap()
}

fn check(change: impl FnOnce(&mut Value), expected: &[(&str, &str)]) {
    let mut value = sample();
    change(&mut value);
    let examined = examine(&serde_json::to_vec(&value).unwrap(), &Rules::default(), date());
    let found: Vec<(&str, &str)> =
        examined.validation.violations.iter().map(|found| (found.path.as_str(), found.rule)).collect();
    assert_eq!(found, expected);
    assert!(examined.document.is_none());
}

#[test]
fn a_draft_of_a_good_document_is_as_good() {
    for sample in samples::all() {
        let examined = examine(sample.json.as_bytes(), &Rules::default(), date());
        assert_eq!(examined.document, Document::parse(sample.json.as_bytes()).ok());
        assert_eq!(examined.validation, Validation::default());
        let draft = Draft::parse(sample.json.as_bytes()).unwrap();
        assert_eq!(draft.validate(&Rules::default(), date()), Validation::default());
    }
}

#[test]
fn mistakes_of_every_kind_are_all_found_at_once() {
    check(
        |value| {
            value["profile"] = json!("paper");
            value["colour"] = json!("red");
            value["reference"] = json!(17);
            value["seller"]["taxpayer_id"] = json!("short");
            value["seller"]["name"] = Value::Null;
            value["buyer"]["organisation"]["taxpayer_id"] = json!("91440300ma5dem0208");
            value["lines"][0]["net"] = json!(840.0);
            value["lines"][0]["tax"]["rate"] = json!("13%");
            value["lines"][1]["discount"] = json!("yes");
            value["lines"][2]["quantity"] = json!("six");
            value["lines"][2]["tax"] = json!("free");
            value["totals"]["gross"] = json!("1,000.00");
            value["attachment"] = json!("ABC");
        },
        &[
            ("/colour", rule::FIELD_UNKNOWN),
            ("/profile", rule::VALUE_UNKNOWN),
            ("/reference", rule::FIELD_TYPE),
            ("/seller/name", rule::FIELD_MISSING),
            ("/lines/0/net", rule::FIELD_TYPE),
            ("/lines/0/tax/rate", rule::RATE),
            ("/lines/1/discount", rule::FIELD_TYPE),
            ("/lines/2/quantity", rule::NUMBER),
            ("/lines/2/tax", rule::VALUE_UNKNOWN),
            ("/totals/gross", rule::AMOUNT),
            ("/attachment", rule::DIGEST),
            ("/seller/taxpayer_id", rule::TAXPAYER_ID),
            ("/buyer/organisation/taxpayer_id", rule::TAXPAYER_ID),
        ],
    );
}

#[test]
fn what_a_number_was_given_as_is_shown() {
    let mut value = sample();
    value["lines"][0]["net"] = json!(840.5);
    let examined = examine(&serde_json::to_vec(&value).unwrap(), &Rules::default(), date());
    let found = &examined.validation.violations[0];
    assert_eq!(found.actual, "the number 840.5");
    assert!(found.expected.contains("as a string"));
}

#[test]
fn an_organisation_without_taxpayer_id_is_refused() {
    check(
        |value| {
            value["buyer"]["organisation"].as_object_mut().unwrap().remove("taxpayer_id");
        },
        &[("/buyer/organisation/taxpayer_id", rule::FIELD_MISSING)],
    );
}

#[test]
fn a_buyer_is_one_or_the_other() {
    check(|value| value["buyer"]["person"] = json!({ "id": "p" }), &[("/buyer", rule::FIELD_TYPE)]);
    check(|value| value["buyer"] = json!({}), &[("/buyer", rule::FIELD_MISSING)]);
    check(
        |value| value["buyer"] = json!({ "person": { "name": "张三" } }),
        &[("/buyer/person/name", rule::FIELD_UNKNOWN), ("/buyer/person/id", rule::FIELD_MISSING)],
    );
}

#[test]
fn shapes_that_are_no_document_are_one_finding() {
    let found = |json: &[u8]| {
        let examined = examine(json, &Rules::default(), date());
        assert!(examined.document.is_none());
        examined.validation.violations
    };
    for json in [&b""[..], b"{", b"\xff", b"{\"profile\":\"digital-ordinary\",\"profile\":\"digital-ordinary\"}"] {
        assert!(!found(json).is_empty());
    }
    assert_eq!(found(b"[]")[0].rule, rule::FIELD_TYPE);
    assert_eq!(found(b"{").first().map(|found| found.rule), Some(rule::MALFORMED));
}

#[test]
fn a_field_given_twice_is_malformed_even_if_both_are_good() {
    let json = samples::all()[0].json.replacen('{', "{\"reference\":\"SAMPLE-0001\",", 1);
    let examined = examine(json.as_bytes(), &Rules::default(), date());
    assert_eq!(examined.validation.violations.len(), 1);
    assert_eq!(examined.validation.violations[0].rule, rule::MALFORMED);
    assert!(examined.validation.violations[0].actual.contains("duplicate field"));
}

#[test]
fn hostile_names_and_values_are_cut_in_findings() {
    let mut value = sample();
    value["x".repeat(10_000)] = json!("y");
    value["reference"] = json!("z ".repeat(10_000));
    let examined = examine(&serde_json::to_vec(&value).unwrap(), &Rules::default(), date());
    for found in examined.validation.violations {
        assert!(found.path.len() < 200 && found.actual.len() < 400, "{found}");
    }
}

/// Names that documents use, and one that is hard on JSON pointers.
const NAMES: &[&str] =
    &["profile", "reference", "seller", "buyer", "lines", "totals", "net", "tax", "rate", "organisation", "x/~"];

/// Any JSON of a small depth, with the names that documents use.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "-?[0-9]{1,20}(\\.[0-9]{0,20})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(NAMES), inner, 0..8)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn judging_any_json_never_panics_and_never_admits_what_is_no_document(value in any_json()) {
        let examined = examine(&serde_json::to_vec(&value).unwrap(), &Rules::default(), date());
        prop_assert!(examined.document.is_some() || !examined.validation.is_valid());
    }

    /// One value of a good document replaced by anything.
    #[test]
    fn a_damaged_document_never_panics(index in 0_usize..200, damage in any_json()) {
        let mut value = sample();
        let mut pointers = Vec::new();
        collect("", &value, &mut pointers);
        let pointer = pointers[index % pointers.len()].clone();
        *value.pointer_mut(&pointer).unwrap() = damage;
        let examined = examine(&serde_json::to_vec(&value).unwrap(), &Rules::default(), date());
        prop_assert!(examined.document.is_some() || !examined.validation.is_valid());
    }
}

fn collect(at: &str, value: &Value, pointers: &mut Vec<String>) {
    pointers.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| collect(&format!("{at}/{name}"), value, pointers));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| collect(&format!("{at}/{index}"), value, pointers));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
