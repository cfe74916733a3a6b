//! The document: its one binary encoding, its JSON, and that any document survives both.

use proptest::prelude::*;

use super::*;
use crate::samples;

fn sample(index: usize) -> Document {
    Document::parse(samples::all()[index].json.as_bytes()).unwrap()
}

/// Changing this forks the chain.
#[test]
fn the_bytes_under_a_content_hash_are_fixed() {
    let minimal = Document {
        profile: Profile::DigitalOrdinary,
        reference: "R1".to_owned(),
        seller: sample(0).seller,
        buyer: Buyer::Person(Person { id: "p".to_owned() }),
        lines: vec![Line {
            name: "n".to_owned(),
            tax_code: "3010101020203000000".to_owned(),
            specification: None,
            unit: Some("u".to_owned()),
            quantity: Some("1.50".parse().unwrap()),
            unit_price: Some("2".parse().unwrap()),
            net: Amount::from_fen(300),
            tax: TaxTreatment::Rate("0.13".parse().unwrap()),
            tax_amount: Amount::from_fen(39),
            discount: false,
            preferential: None,
        }],
        totals: Totals { net: Amount::from_fen(300), tax: Amount::from_fen(39), gross: Amount::from_fen(339) },
        payment_ref: Some(Digest::from_bytes([0x11; 32])),
        remark: None,
        attachment: None,
    };
    let mut minimal = minimal;
    minimal.seller = Party {
        name: "s".to_owned(),
        taxpayer_id: "440300708461136".parse().unwrap(),
        address: None,
        phone: Some("1".to_owned()),
        bank: None,
        account: None,
    };
    let expected = concat!(
        "65696e766f6963652d646f63756d656e742d31",           // einvoice-document-1
        "01",                                               // digital-ordinary
        "020000005231",                                     // reference
        "0100000073",                                       // seller name
        "0f000000343430333030373038343631313336",           // taxpayer id
        "00010100000031",                                   // no address, phone
        "0000",                                             // no bank, no account
        "010100000070",                                     // a person
        "01000000",                                         // one line
        "010000006e",                                       // name
        "1300000033303130313031303230323033303030303030",   // tax code
        "00010100000075",                                   // no specification, unit
        "010f0000000000000001",                             // quantity 15 / 10^1
        "01020000000000000000",                             // unit price 2 / 10^0
        "2c01000000000000",                                 // net
        "001405",                                           // rate 1300
        "2700000000000000",                                 // tax
        "0000",                                             // no discount, no policy
        "2c0100000000000027000000000000005301000000000000", // totals
        "011111111111111111111111111111111111111111111111111111111111111111", // payment reference
        "0000",                                             // no remark, no attachment
    );
    assert_eq!(hex::encode(minimal.content_bytes()), expected);
    assert_eq!(
        sample(0).content_hash().to_string(),
        "031a55ac1b391206b43ccdcbfddbe4ea30fbca628d788b1309c4299f50eb48fa"
    );
}

#[test]
fn another_spelling_of_the_same_content_has_the_same_hash() {
    let json = samples::all()[1].json;
    let compact = serde_json::to_string(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap();
    let spelt = compact
        .replace("\"840.00\"", "\"840\"")
        .replace("\"0.06\"", "\"0.0600\"")
        .replace("\"2.5\"", "\"2.50\"")
        .replace("\"晚\"", "\"\\u665a\"")
        .replace("\"quantity\":\"6\"", "\"preferential\":null,\"quantity\":\"6.000\"");
    assert_ne!(spelt, compact);
    let respelt = Document::parse(spelt.as_bytes()).unwrap();
    assert_eq!(respelt.content_hash(), sample(1).content_hash());
    assert_eq!(respelt, sample(1));
}

#[test]
fn every_field_is_part_of_the_content() {
    let hash = sample(1).content_hash();
    let differs = |change: &dyn Fn(&mut Document)| {
        let mut document = sample(1);
        change(&mut document);
        assert_ne!(document.content_hash(), hash);
    };
    differs(&|d| d.profile = Profile::DigitalOrdinary);
    differs(&|d| d.reference.push('x'));
    differs(&|d| d.seller.name.push('x'));
    differs(&|d| d.buyer = Buyer::Person(Person { id: "p".to_owned() }));
    differs(&|d| d.lines.swap(0, 2));
    differs(&|d| d.lines[1].discount = false);
    differs(&|d| d.lines[0].unit = None);
    differs(&|d| d.totals.gross = Amount::ZERO);
    differs(&|d| d.payment_ref = Some(Digest::from_bytes([0; 32])));
    differs(&|d| d.attachment = Some(Digest::from_bytes([0; 32])));
    differs(&|d| d.remark = None);
}

#[test]
fn json_leaves_out_what_is_not_given_and_keeps_its_order() {
    let json = serde_json::to_string(&sample(0)).unwrap();
    let expected = concat!(
        r#"{"profile":"blockchain-ordinary","reference":"SAMPLE-0001","seller":{"name":"深圳市示例综合服务有限公司","#,
        r#""taxpayer_id":"91440300MA5DEM012D","address":"深圳市示例区示例路1号","phone":"0755-00000001","#,
        r#""bank":"示例银行深圳分行","account":"6200000000000001"},"buyer":{"organisation":{"name":"#,
        r#""深圳市示例科技有限公司","taxpayer_id":"91440300MA5DEM0208"}},"lines":[{"name":"#,
        r#""*运输服务*出租汽车客运服务","tax_code":"3010101020203000000","unit":"次","quantity":"1","#,
        r#""unit_price":"41.75","net":"41.75","tax":{"rate":"0.03"},"tax_amount":"1.25","discount":false}],"#,
        r#""totals":{"net":"41.75","tax":"1.25","gross":"43.00"}}"#,
    );
    assert_eq!(json, expected);
}

#[test]
fn json_that_is_not_the_shape_described_is_refused_with_the_place() {
    let json = samples::all()[0].json;
    let refused = |from: &str, to: &str, reason: &str| {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        let error = Document::parse(changed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refused("\"profile\"", "\"kind\"", "unknown field `kind`");
    refused("blockchain-ordinary", "paper", "unknown variant `paper`");
    refused("\"gross\": \"43.00\"", "\"gross\": 43.00", "expected an amount in yuan");
    refused("\"0.03\"", "0.03", "expected a tax rate");
    refused("{ \"rate\": \"0.03\" }", "\"free\"", "unknown variant `free`");
    refused("91440300MA5DEM0208", "9144", "is not a taxpayer id");
    refused("\"reference\"", "\"reference\": \"a\", \"reference\"", "duplicate field `reference`");
    refused("\"totals\"", "\"totals\": {}, \"lines\"", "missing field `net`");
}

#[test]
fn totals_by_rate_are_sorted_and_net_of_discounts() {
    let totals = sample(1).totals_by_rate().unwrap();
    let shown: Vec<String> = totals.iter().map(|t| format!("{} {} {}", t.treatment, t.net, t.tax)).collect();
    assert_eq!(shown, ["0.06 756.00 45.36", "0.13 15.00 1.95"]);
    let totals = sample(2).totals_by_rate().unwrap();
    assert_eq!(totals[1].treatment, TaxTreatment::Exempt);
}

#[test]
fn work_grows_with_the_lines() {
    assert_eq!(sample(0).work_units(), 5);
    assert_eq!(sample(1).work_units(), 7);
}

prop_compose! {
    fn any_party()(name in ".{0,60}", taxpayer_id in "[A-Z0-9]{15}|[A-Z0-9]{17}|[A-Z0-9]{18}|[A-Z0-9]{20}", address in any::<Option<String>>()) -> Party {
        Party { name, taxpayer_id: taxpayer_id.parse().unwrap(), address, phone: None, bank: None, account: None }
    }
}

fn any_amount() -> impl Strategy<Value = Amount> {
    prop_oneof![any::<i64>(), -1_000_000_i64..1_000_000, Just(i64::MIN), Just(i64::MAX), Just(0)]
        .prop_map(Amount::from_fen)
}

fn any_decimal() -> impl Strategy<Value = Option<Decimal>> {
    let digits = 999_999_999_999_999_999_i128;
    prop::option::of(
        (-digits..=digits, 0_u32..=18).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap()),
    )
}

fn any_treatment() -> impl Strategy<Value = TaxTreatment> {
    let rate = prop_oneof![0_u16..=10_000, Just(1_300), Just(300)];
    prop_oneof![
        rate.prop_map(|rate| TaxTreatment::Rate(crate::rate::Rate::from_ten_thousandths(rate).unwrap())),
        Just(TaxTreatment::ZeroRated),
        Just(TaxTreatment::Exempt),
        Just(TaxTreatment::NotTaxable),
    ]
}

prop_compose! {
    fn any_line()(
        name in prop_oneof![Just("n".to_owned()), any::<String>()],
        tax_code in "[0-9]{19}|.{0,20}",
        unit in any::<Option<String>>(),
        quantity in any_decimal(),
        unit_price in any_decimal(),
        net in any_amount(),
        tax in any_treatment(),
        tax_amount in any_amount(),
        discount: bool,
    ) -> Line {
        Line { name, tax_code, specification: None, unit, quantity, unit_price, net, tax, tax_amount, discount, preferential: None }
    }
}

prop_compose! {
    fn any_document()(
        profile in prop::sample::select(&[Profile::BlockchainOrdinary, Profile::DigitalOrdinary, Profile::DigitalSpecial][..]),
        reference: String,
        seller in any_party(),
        buyer in prop_oneof![any_party().prop_map(Buyer::Organisation), ".{0,70}".prop_map(|id| Buyer::Person(Person { id }))],
        lines in prop::collection::vec(any_line(), 0..12),
        totals in (any_amount(), any_amount(), any_amount()),
        remark in any::<Option<String>>(),
        attachment in any::<Option<[u8; 32]>>(),
    ) -> Document {
        Document {
            profile, reference, seller, buyer, lines,
            totals: Totals { net: totals.0, tax: totals.1, gross: totals.2 },
            payment_ref: None, remark,
            attachment: attachment.map(Digest::from_bytes),
        }
    }
}

proptest! {
    #[test]
    fn json_and_bytes_give_any_document_back(document in any_document()) {
        let json = serde_json::to_vec(&document).unwrap();
        let read = Document::parse(&json).unwrap();
        prop_assert_eq!(&read, &document);
        prop_assert_eq!(read.content_hash(), document.content_hash());
        let bytes = borsh::to_vec(&document).unwrap();
        prop_assert_eq!(borsh::from_slice::<Document>(&bytes).unwrap(), document);
    }

    #[test]
    fn judging_any_document_never_panics_and_a_draft_of_it_is_judged_alike(document in any_document(), day in 0_i64..2_932_000) {
        let date = Date::from_unix_ms(day * 86_400_000).unwrap();
        let rules = Rules::default();
        let validation = document.validate(&rules, date);
        let draft = crate::Draft::parse(&serde_json::to_vec(&document).unwrap()).unwrap();
        prop_assert_eq!(draft.validate(&rules, date), validation);
        let _ = document.totals_by_rate();
    }

    #[test]
    fn reading_any_bytes_never_panics(bytes: Vec<u8>) {
        let _ = borsh::from_slice::<Document>(&bytes);
        let _ = Document::parse(&bytes);
    }
}
