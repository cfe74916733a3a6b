//! WeChat Pay applications: shapes, marks, prices, and what is refused as what it is.

use serde_json::{Value, json};

use super::*;
use crate::date::Date;
use crate::rate::TaxTreatment;
use crate::rules::Rules;

fn seller() -> Party {
    Party {
        name: "深圳市示例出行有限公司".to_owned(),
        taxpayer_id: "91440300708461136T".parse().unwrap(),
        address: None,
        phone: None,
        bank: None,
        account: None,
    }
}

/// An application of the older shape, with invented parties and the figures of the published fixtures.
fn application() -> Value {
    json!({
        "scene": "WITH_WECHATPAY",
        "fapiao_apply_id": "apply-1",
        "buyer_information": {
            "type": "ORGANIZATION", "name": "示例企业", "taxpayer_id": "202003261233701778", "address": "示例路1号",
            "telephone": "075500000000", "bank_name": "示例银行", "bank_account": "6200", "phone": "13000000000", "email": "a@example.com"
        },
        "fapiao_information": [{
            "fapiao_id": "F1", "total_amount": 382_895, "need_list": false, "remark": "备注",
            "items": [{
                "tax_code": "3010101020203000000", "goods_category": "运输服务", "goods_name": "客运服务", "specification": "A4",
                "unit": "次", "quantity": 100_000_000, "total_amount": 429_900, "tax_rate": 1300,
                "tax_prefer_mark": "NO_FAVORABLE", "discount": false
            }]
        }]
    })
}

fn convert_with(value: &Value, totals: TotalsFrom) -> Result<Vec<Converted>, ConvertError> {
    let seller = seller();
    let options = Options { seller: &seller, profile: None, totals, person_salt: b"salt" };
    convert(&serde_json::to_vec(value).unwrap(), &options)
}

fn one(value: &Value) -> Converted {
    let mut converted = convert_with(value, TotalsFrom::Lines).unwrap();
    assert_eq!(converted.len(), 1);
    converted.remove(0)
}

fn unexpected(value: &Value) -> (String, String, String) {
    match convert_with(value, TotalsFrom::Stated) {
        Err(ConvertError::Unexpected { path, expected, actual }) => (path, expected, actual),
        other => panic!("expected a complaint about a value, got {other:?}"),
    }
}

fn broken_rules(document: &Document) -> Vec<(String, &'static str)> {
    let date: Date = "2026-05-04".parse().unwrap();
    let violations = document.validate(&Rules::default(), date).violations;
    violations.into_iter().map(|violation| (violation.path, violation.rule)).collect()
}

#[test]
fn a_stated_total_that_is_not_the_sum_of_the_lines_is_the_only_violation() {
    let converted = convert_with(&application(), TotalsFrom::Stated).unwrap().remove(0);
    let date: Date = "2026-05-04".parse().unwrap();
    let violations = converted.document.validate(&Rules::default(), date).violations;
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0].path, "/totals/gross");
    assert_eq!(violations[0].rule, rule::TOTAL_GROSS);
    assert_eq!(violations[0].expected, "4299.00");
    assert_eq!(violations[0].actual, "3828.95");
}

#[test]
fn totals_from_the_lines_make_a_valid_document() {
    let converted = one(&application());
    let document = &converted.document;
    assert_eq!(broken_rules(document), []);
    assert_eq!(document.profile, Profile::BlockchainOrdinary);
    assert_eq!(document.reference, "F1");
    assert_eq!(document.totals.gross.to_string(), "4299.00");
    let line = &document.lines[0];
    assert_eq!((line.net.to_string(), line.tax_amount.to_string()), ("3804.42".to_owned(), "494.58".to_owned()));
    assert_eq!(line.quantity.unwrap().to_string(), "1");
    assert_eq!(line.unit_price.unwrap().to_string(), "3804.42");
    assert_eq!(line.preferential, None);
    // The check digit of the buyer's id is wrong: a doubt, no more.
    assert!(converted.warnings.iter().any(|warning| warning.path == "/buyer_information/taxpayer_id"));
}

#[test]
fn what_is_personal_of_an_organisation_is_only_who_takes_the_invoice() {
    let converted = one(&application());
    let Buyer::Organisation(buyer) = &converted.document.buyer else { panic!("an organisation buys") };
    assert_eq!(buyer.phone.as_deref(), Some("075500000000"));
    assert_eq!(buyer.account.as_deref(), Some("6200"));
    assert_eq!(converted.personal.buyer_phone.as_deref(), Some("13000000000"));
    assert_eq!(converted.personal.buyer_email.as_deref(), Some("a@example.com"));
    assert_eq!(converted.personal.buyer_name, None);
    let json = serde_json::to_string(&converted.document).unwrap();
    assert!(!json.contains("13000000000") && !json.contains("example.com"));
}

#[test]
fn an_individual_is_an_opaque_id_on_the_document() {
    let mut value = application();
    value["buyer_information"]["type"] = json!("INDIVIDUAL");
    value["buyer_information"]["user_apply_message"] = json!("谢谢");
    value["fapiao_information"] = value["fapiao_information"][0].clone();
    value["fapiao_information"]["billing_person"] = json!("张示例");
    value["fapiao_information"]["fapiao_bill_type"] = json!("COMM_FAPIAO");
    let converted = one(&value);
    let Buyer::Person(person) = &converted.document.buyer else { panic!("a person buys") };
    assert_eq!(person.id.len(), 32);
    assert_eq!(converted.document.profile, Profile::DigitalOrdinary);
    assert_eq!(converted.personal.buyer_name.as_deref(), Some("示例企业"));
    assert_eq!(converted.personal.buyer_account.as_deref(), Some("6200"));
    assert_eq!(converted.personal.buyer_message.as_deref(), Some("谢谢"));
    assert_eq!(converted.personal.drawer.as_deref(), Some("张示例"));
    let json = serde_json::to_string(&converted.document).unwrap();
    assert!(!json.contains("示例企业") && !json.contains("202003261233701778") && !json.contains("6200"));
    assert_eq!(broken_rules(&converted.document), []);

    let other = convert(
        &serde_json::to_vec(&value).unwrap(),
        &Options { seller: &seller(), profile: None, totals: TotalsFrom::Lines, person_salt: b"other" },
    );
    assert_ne!(other.unwrap()[0].document.buyer, converted.document.buyer);
}

#[test]
fn a_special_invoice_to_an_individual_is_left_for_the_rules_to_refuse() {
    let mut value = application();
    value["buyer_information"]["type"] = json!("INDIVIDUAL");
    value["fapiao_information"][0]["fapiao_bill_type"] = json!("VAT_FAPIAO");
    let converted = one(&value);
    assert_eq!(converted.document.profile, Profile::DigitalSpecial);
    assert_eq!(broken_rules(&converted.document), [("/buyer/person".to_owned(), rule::SPECIAL_TO_PERSON)]);
}

#[test]
fn attaching_hashes_the_personal_fields_into_the_document() {
    let (document, attachment) = one(&application()).attach(&[9; 16]).unwrap();
    assert_eq!(document.attachment, attachment.map(|attachment| attachment.hash()));
    assert!(document.attachment.is_some());
    let mut value = application();
    value["buyer_information"]["phone"] = Value::Null;
    value["buyer_information"]["email"] = json!("");
    let (document, attachment) = one(&value).attach(&[9; 16]).unwrap();
    assert!(document.attachment.is_none() && attachment.is_none());
}

#[test]
fn discounts_and_several_rates_add_up() {
    let mut value = application();
    let items = value["fapiao_information"][0]["items"].as_array_mut().unwrap();
    let mut discount = items[0].clone();
    discount["discount"] = json!(true);
    discount["total_amount"] = json!(-29_900);
    items.push(discount);
    let mut food = items[0].clone();
    food["tax_rate"] = json!(900);
    food["quantity"] = json!(300_000_000);
    food["total_amount"] = json!(10_000);
    items.push(food);
    value["fapiao_information"][0]["total_amount"] = json!(410_000);
    let converted = convert_with(&value, TotalsFrom::Stated).unwrap().remove(0);
    assert_eq!(broken_rules(&converted.document), []);
    let lines = &converted.document.lines;
    assert_eq!((lines[1].quantity, lines[1].unit_price), (None, None));
    assert_eq!(lines[1].net.to_string(), "-264.60");
    assert_eq!(lines[2].net.to_string(), "91.74");
    assert_eq!(lines[2].unit_price.unwrap().to_string(), "30.58");
    let totals = converted.document.totals_by_rate().unwrap();
    assert_eq!(totals.len(), 2);
    assert_eq!(totals[0].treatment.to_string(), "0.09");
    assert_eq!(totals[1].net.to_string(), "3539.82");
}

#[test]
fn marks_become_treatments() {
    let check = |field: &str, mark: Value, treatment: TaxTreatment| {
        let mut value = application();
        let item = &mut value["fapiao_information"][0]["items"][0];
        item["tax_rate"] = json!(0);
        item["tax_prefer_mark"] = Value::Null;
        item[field] = mark;
        let converted = one(&value);
        assert_eq!(converted.document.lines[0].tax, treatment);
        assert_eq!(converted.document.lines[0].net.to_string(), "4299.00");
        assert_eq!(broken_rules(&converted.document), []);
    };
    check("preferential_policy_code", json!(3), TaxTreatment::Exempt);
    check("preferential_policy_code", json!(4), TaxTreatment::NotTaxable);
    check("tax_prefer_mark", json!("TAX_FREE"), TaxTreatment::Exempt);
    check("tax_prefer_mark", json!("OUT_OF_TAX"), TaxTreatment::NotTaxable);
    check("tax_prefer_mark", json!("NO_FAVORABLE"), TaxTreatment::ZeroRated);
    check("tax_prefer_mark", json!("SOMETHING_NEW"), TaxTreatment::ZeroRated);
}

#[test]
fn an_unknown_mark_is_kept_and_warned_of() {
    let mut value = application();
    value["fapiao_information"][0]["items"][0]["tax_prefer_mark"] = json!("SOMETHING_NEW");
    let converted = one(&value);
    assert_eq!(converted.document.lines[0].preferential.as_deref(), Some("SOMETHING_NEW"));
    assert!(converted.warnings.iter().any(|warning| warning.rule == rule::SOURCE_UNMAPPED));
    value["fapiao_information"][0]["items"][0]["preferential_policy_code"] = json!(1);
    assert_eq!(one(&value).document.lines[0].preferential.as_deref(), Some("简易征收"));
    value["fapiao_information"][0]["items"][0]["preferential_policy_code"] = json!(99);
    assert_eq!(one(&value).document.lines[0].preferential.as_deref(), Some("99"));
}

#[test]
fn an_exempt_line_with_a_rate_is_a_contradiction() {
    let mut value = application();
    value["fapiao_information"][0]["items"][0]["preferential_policy_code"] = json!(3);
    let (path, expected, actual) = unexpected(&value);
    assert_eq!(path, "/fapiao_information/0/items/0/tax_rate");
    assert_eq!(expected, "no rate, as the line is exempt");
    assert_eq!(actual, "0.13");
}

#[test]
fn a_derived_price_gives_the_net_back() {
    let check = |quantity: i64, unit_price: &str| {
        let mut value = application();
        value["fapiao_information"][0]["items"][0]["quantity"] = json!(quantity);
        let converted = one(&value);
        assert_eq!(converted.document.lines[0].unit_price.unwrap().to_string(), unit_price);
        assert_eq!(broken_rules(&converted.document), []);
    };
    check(300_000_000, "1268.14");
    check(700_000_000, "543.4885714285714");
    check(1, "380442000000");
    check(900_000_000_000_000_000, "0.0000004227133");
}

#[test]
fn a_price_beyond_its_limit_of_characters_is_left_out_with_the_quantity() {
    let mut value = application();
    let item = &mut value["fapiao_information"][0]["items"][0];
    item["total_amount"] = json!(i64::MAX);
    item["quantity"] = json!(1);
    let converted = one(&value);
    assert_eq!((converted.document.lines[0].quantity, converted.document.lines[0].unit_price), (None, None));
    assert!(converted.warnings.iter().any(|warning| warning.path.ends_with("/quantity")));
}

#[test]
fn a_missing_quantity_is_one_and_a_bad_one_is_left_for_the_rules() {
    let mut value = application();
    value["fapiao_information"][0]["items"][0]["quantity"] = Value::Null;
    assert_eq!(one(&value).document.lines[0].quantity.unwrap().to_string(), "1");
    value["fapiao_information"][0]["items"][0]["quantity"] = json!(-100_000_000);
    let rules: Vec<_> = broken_rules(&one(&value).document).into_iter().map(|(_, rule)| rule).collect();
    assert_eq!(rules, [rule::PRICE_PAIR, rule::QUANTITY_SIGN]);
}

#[test]
fn a_given_price_and_split_are_kept_and_checked() {
    let mut value = application();
    let item = &mut value["fapiao_information"][0]["items"][0];
    item["unit_price"] = json!(380_442_000_000_i64);
    item["amount"] = json!(380_442);
    item["tax_amount"] = json!(49_458);
    let converted = one(&value);
    assert_eq!(broken_rules(&converted.document), []);
    value["fapiao_information"][0]["items"][0]["tax_amount"] = json!(49_457);
    assert_eq!(unexpected(&value).0, "/fapiao_information/0/items/0/total_amount");
}

#[test]
fn several_fapiao_become_several_documents() {
    let mut value = application();
    let mut second = value["fapiao_information"][0].clone();
    value["fapiao_information"].as_array_mut().unwrap().push(second.clone());
    assert_eq!(unexpected(&value).0, "/fapiao_information/1/fapiao_id");
    second["fapiao_id"] = json!("F2");
    value["fapiao_information"][1] = second;
    let converted = convert_with(&value, TotalsFrom::Stated).unwrap();
    let references: Vec<_> = converted.iter().map(|one| one.document.reference.as_str()).collect();
    assert_eq!(references, ["F1", "F2"]);
    for number in 3..=6 {
        let mut next = value["fapiao_information"][0].clone();
        next["fapiao_id"] = json!(format!("F{number}"));
        value["fapiao_information"].as_array_mut().unwrap().push(next);
    }
    assert_eq!(unexpected(&value).2, "6 of them");
    value["fapiao_information"] = json!([]);
    assert_eq!(unexpected(&value).2, "0 of them");
}

#[test]
fn facts_about_travellers_and_places_go_to_the_attachment() {
    let mut value = application();
    let item = &mut value["fapiao_information"][0]["items"][0];
    item["real_estate_leasing_information"] =
        json!({ "city": "某市", "cross_city_flag": true, "plate_no": ["粤B00000"], "nothing": null });
    item["passenger_information"] = json!({ "name": "某人" });
    let converted = one(&value);
    let facts: Vec<(&str, &str)> =
        converted.personal.details[0].facts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(
        facts,
        [
            ("passenger.name", "某人"),
            ("real_estate_leasing.city", "某市"),
            ("real_estate_leasing.cross_city_flag", "true"),
            ("real_estate_leasing.plate_no.0", "粤B00000"),
        ]
    );
    assert!(!serde_json::to_string(&converted.document).unwrap().contains("某"));
}

#[test]
fn numbers_are_integers_or_an_error() {
    for wrong in [json!(429_900.5), json!(429_900.0), json!("429900"), json!(true), json!(u64::MAX), json!(1e30)] {
        let mut value = application();
        value["fapiao_information"][0]["items"][0]["total_amount"] = wrong;
        let (path, expected, _) = unexpected(&value);
        assert_eq!(path, "/fapiao_information/0/items/0/total_amount");
        assert_eq!(expected, "an integer of 64 bits");
    }
}

#[test]
fn extreme_numbers_are_errors_and_never_a_panic() {
    for field in
        ["total_amount", "quantity", "unit_price", "tax_rate", "amount", "tax_amount", "preferential_policy_code"]
    {
        for extreme in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            let mut value = application();
            value["fapiao_information"][0]["items"][0][field] = json!(extreme);
            for totals in [TotalsFrom::Stated, TotalsFrom::Lines] {
                if let Ok(converted) = convert_with(&value, totals) {
                    let _ = broken_rules(&converted[0].document);
                }
            }
        }
    }
    let mut value = application();
    value["fapiao_information"][0]["items"][0]["total_amount"] = json!(i64::MAX);
    let item = value["fapiao_information"][0]["items"][0].clone();
    value["fapiao_information"][0]["items"].as_array_mut().unwrap().push(item);
    assert_eq!(unexpected(&value).2, "more");
}

#[test]
fn missing_and_mistyped_fields_are_named_with_their_path() {
    let cases = [
        ("/fapiao_information/0/fapiao_id", "/fapiao_information/0/fapiao_id"),
        ("/fapiao_information/0/items", "/fapiao_information/0/items"),
        ("/fapiao_information/0/total_amount", "/fapiao_information/0/total_amount"),
        ("/fapiao_information/0/items/0/goods_name", "/fapiao_information/0/items/0/goods_name"),
        ("/fapiao_information/0/items/0/tax_code", "/fapiao_information/0/items/0/tax_code"),
        ("/fapiao_information/0/items/0/tax_rate", "/fapiao_information/0/items/0/tax_rate"),
        ("/buyer_information/type", "/buyer_information/type"),
        ("/buyer_information/name", "/buyer_information/name"),
        ("/buyer_information/taxpayer_id", "/buyer_information/taxpayer_id"),
    ];
    for (pointer, path) in cases {
        for wrong in [Value::Null, json!({})] {
            let mut value = application();
            *value.pointer_mut(pointer).unwrap() = wrong;
            assert_eq!(unexpected(&value).0, path);
        }
    }
}

#[test]
fn what_is_no_application_is_named_for_what_it_is() {
    let check = |value: Value, code: &str| {
        let refused = convert_with(&value, TotalsFrom::Stated).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(CODES.iter().any(|entry| entry.code == code));
    };
    check(json!({ "reverse_reason": "退款", "fapiao_information": [{ "fapiao_id": "F1" }] }), "source.reversal");
    check(json!({ "fapiao_information": [{ "fapiao_id": "F1", "fapiao_number": "12345678" }] }), "source.reversal");
    check(json!({ "total_count": 1, "fapiao_information": [] }), "source.query-result");
    check(json!({ "fapiao_information": [{ "status": "ISSUED", "items": [] }] }), "source.query-result");
    check(json!({ "fapiao_card_information": [], "buyer_information": {} }), "source.card-insertion");
    check(json!({ "event_type": "FAPIAO.ISSUED", "resource": {} }), "source.notification");
    for nothing in [json!({}), json!([]), json!(1), json!({ "profile": "blockchain-ordinary", "lines": [] })] {
        check(nothing, "source.unrecognised");
    }
    let refused = convert_with(&json!({ "reverse_reason": "x" }), TotalsFrom::Stated).unwrap_err();
    assert_eq!(refused.to_string(), "this is a request to reverse fapiao, not an application to issue fapiao");
}

#[test]
fn json_that_can_be_read_two_ways_is_refused() {
    assert_eq!(recognise(b"{\"a\":1,\"a\":2}").unwrap_err().code(), "source.not-json");
    assert_eq!(recognise(b"{\"a\":{\"b\":1,\"b\":1}}").unwrap_err().code(), "source.not-json");
    assert_eq!(recognise(b"").unwrap_err().code(), "source.not-json");
    assert_eq!(recognise("[".repeat(100_000).as_bytes()).unwrap_err().code(), "source.not-json");
    assert_eq!(recognise(b"{}").unwrap(), None);
}

/// A document that nobody here wrote; none where the corpus is not at hand.
fn corpus(name: &str) -> Option<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus/wechat-pay/");
    std::fs::read(format!("{folder}{name}.json")).ok()
}

#[test]
fn published_applications_convert_and_only_their_stated_total_is_wrong() {
    let names = [
        ("CreateNewTaxControlFapiaoApplicationRequest", Profile::BlockchainOrdinary),
        ("CreateNewTaxControlFapiaoApplicationIssueGeneralRequest", Profile::DigitalOrdinary),
        ("CreateNewTaxControlFapiaoApplicationRealEstateLeasingRequest", Profile::DigitalOrdinary),
    ];
    let seller = seller();
    for (name, profile) in names {
        let Some(json) = corpus(name) else { continue };
        let options = |totals| Options { seller: &seller, profile: None, totals, person_salt: b"salt" };
        let stated = convert(&json, &options(TotalsFrom::Stated)).unwrap().remove(0);
        assert_eq!(stated.document.profile, profile);
        assert_eq!(broken_rules(&stated.document), [("/totals/gross".to_owned(), rule::TOTAL_GROSS)]);
        let lines = convert(&json, &options(TotalsFrom::Lines)).unwrap().remove(0);
        assert_eq!(broken_rules(&lines.document), []);
        assert!(lines.attach(&[1; 16]).unwrap().1.is_some());
    }
}

#[test]
fn published_documents_of_other_kinds_are_refused_as_what_they_are() {
    let kinds = [
        ("ReverseNewTaxControlFapiaoApplicationRequest", Kind::Reversal),
        ("GetNewTaxControlFapiaoApplicationByFapiaoApplyIdResponse", Kind::QueryResult),
    ];
    for (name, kind) in kinds {
        let Some(json) = corpus(name) else { continue };
        assert_eq!(recognise(&json).unwrap(), Some(kind));
    }
}
