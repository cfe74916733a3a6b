//! What is refused and where; and that whatever is accepted means the same to `serde_json`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn check_text(text: impl AsRef<[u8]>) -> Result<(), JsonError> {
    check(text.as_ref(), &JsonLimits::default())
}

fn refused(text: impl AsRef<[u8]>) -> (usize, String, JsonErrorKind) {
    let error = check_text(text).expect_err("the text is to be refused");
    (error.offset, error.path, error.kind)
}

#[test]
fn ordinary_json_is_accepted() {
    for text in [
        "{}",
        "[]",
        " {\"a\" : [ 1 , -2, 0, true,false,null , \"x\" ] }\r\n\t",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uD83D\\uDE00 发票\"",
        "9007199254740991",
        "-9007199254740991",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":[{\"a\":1},{\"a\":2}]}}",
        "{\"\":1,\" \":2}",
    ] {
        assert_eq!(check_text(text), Ok(()), "{text}");
        serde_json::from_str::<Value>(text).unwrap();
    }
}

#[test]
fn a_duplicate_key_is_refused_after_unescaping() {
    assert_eq!(refused(r#"{"a":1,"b":{"x":1,"\u0078":2}}"#), (18, "/b/x".to_owned(), JsonErrorKind::DuplicateKey));
    let members: Vec<String> = (0..500).map(|n| format!("\"k{n}\":{n},")).collect();
    let many = members.concat();
    assert_eq!(check_text(format!("{{{many}\"k\":0}}")), Ok(()));
    assert_eq!(refused(format!("{{{many}\"k7\":0}}")), (1 + many.len(), "/k7".to_owned(), JsonErrorKind::DuplicateKey));
}

#[test]
fn a_number_is_an_integer_in_its_one_spelling() {
    for (text, kind) in [
        ("1.0", JsonErrorKind::NotAnInteger),
        ("1e2", JsonErrorKind::NotAnInteger),
        ("0E0", JsonErrorKind::NotAnInteger),
        ("-0.0", JsonErrorKind::NotAnInteger),
        ("-0", JsonErrorKind::NumberSpelling),
        ("01", JsonErrorKind::NumberSpelling),
        ("-01", JsonErrorKind::NumberSpelling),
        ("00", JsonErrorKind::NumberSpelling),
        ("9007199254740992", JsonErrorKind::NumberTooLarge),
        ("-9007199254740992", JsonErrorKind::NumberTooLarge),
        ("18446744073709551617", JsonErrorKind::NumberTooLarge),
        (&"9".repeat(400), JsonErrorKind::NumberTooLarge),
    ] {
        let inside = format!("{{\"n\":[0,{text}]}}");
        assert_eq!(refused(inside), (8, "/n/1".to_owned(), kind), "{text}");
    }
    for text in ["-", "+1", ".5", "0x1", "NaN", "Infinity", "1_0"] {
        check_text(text).unwrap_err();
    }
}

#[test]
fn a_string_is_unicode_without_nul() {
    for (text, offset, kind) in [
        (r#""a\ud83d""#, 2, JsonErrorKind::UnpairedSurrogate),
        (r#""\ud83dx""#, 1, JsonErrorKind::UnpairedSurrogate),
        (r#""\ud83d\u0041""#, 1, JsonErrorKind::UnpairedSurrogate),
        (r#""\ud83d\ud83d""#, 1, JsonErrorKind::UnpairedSurrogate),
        (r#""\ude00""#, 1, JsonErrorKind::UnpairedSurrogate),
        (r#""\u0000""#, 1, JsonErrorKind::NulCharacter),
        ("\"a\u{0}\"", 2, JsonErrorKind::ControlCharacter),
        ("\"a\n\"", 2, JsonErrorKind::ControlCharacter),
        (r#""\x41""#, 1, JsonErrorKind::Escape),
        (r#""\u00g0""#, 1, JsonErrorKind::Escape),
        (r#""\u+041""#, 1, JsonErrorKind::Escape),
        (r#""\u00"#, 1, JsonErrorKind::Escape),
        (r#""\u00""#, 1, JsonErrorKind::Escape),
    ] {
        assert_eq!(refused(text), (offset, String::new(), kind), "{text:?}");
    }
    assert_eq!(refused(b"[\"\xff\"]"), (2, String::new(), JsonErrorKind::NotUtf8));
    // An encoded surrogate (CESU-8) and an overlong form are no UTF-8.
    assert_eq!(refused(b"\"\xed\xa0\xbd\"").2, JsonErrorKind::NotUtf8);
    assert_eq!(refused(b"\"\xc0\xaf\"").2, JsonErrorKind::NotUtf8);
    assert_eq!(refused("\u{feff}{}"), (0, String::new(), JsonErrorKind::ByteOrderMark));
    assert_eq!(check_text("\"\u{feff}\""), Ok(()));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(check_text(nested(16)), Ok(()));
    assert_eq!(refused(nested(17)), (16, "/0".repeat(16), JsonErrorKind::TooDeep { depth_max: 16 }));
    assert!(check_text("[".repeat(1_000_000)).is_err());
    assert!(check_text("{\"a\":".repeat(1_000_000)).is_err());
    assert!(check(b"[]", &JsonLimits { depth_max: 0 }).is_err());
}

#[test]
fn a_text_is_one_value_and_nothing_more() {
    for text in ["{} {}", "1 2", "[]]", "null,", "{}\u{0}", "{}//", "\"\"x"] {
        assert_eq!(refused(text).2, JsonErrorKind::TrailingBytes, "{text:?}");
    }
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "{\"a\" 1}",
        "tru",
        "nul",
        "True",
        "\"",
        "\"\\",
        "/**/1",
        "]",
        "}",
        ",",
        "{,}",
        "[}",
        "{]",
        "\u{a0}1",
    ] {
        assert!(matches!(refused(text).2, JsonErrorKind::Syntax { .. } | JsonErrorKind::Escape), "{text:?}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
    }
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    items: Vec<Item>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    name: String,
    count: u8,
}

fn reading_fails(text: &str) -> (String, String) {
    let error = from_slice::<Order>(text.as_bytes()).expect_err("the text is to be refused");
    (error.path, error.kind.to_string())
}

#[test]
fn a_value_that_was_not_asked_for_is_refused_with_its_path() {
    assert_eq!(
        from_slice::<Order>(br#"{"items":[{"name":"a","count":7}]}"#).unwrap().items,
        [Item { name: "a".to_owned(), count: 7 }]
    );
    assert_eq!(
        reading_fails(r#"{"items":[{"name":"a","count":"7"}]}"#),
        ("/items/0/count".to_owned(), "invalid type: string \"7\", expected u8".to_owned())
    );
    assert_eq!(
        reading_fails(r#"{"items":[{"name":"a","count":7,"more/less":1}]}"#),
        ("/items/0/more~1less".to_owned(), "unknown field `more/less`, expected `name` or `count`".to_owned())
    );
    assert_eq!(
        reading_fails(r#"{"items":[{"name":"a"}]}"#),
        ("/items/0".to_owned(), "missing field `count`".to_owned())
    );
    let (path, message) = reading_fails(&format!("{{\"{}\":1}}", "é".repeat(10_000)));
    assert!(path.len() < 200 && message.len() < 200);
}

#[test]
fn the_offset_of_an_unexpected_value_is_near_it() {
    let text = "{\"items\":[\n\n  {\"name\":\"a\",\n   \"count\":300}]}";
    let error = from_slice::<Order>(text.as_bytes()).unwrap_err();
    assert_eq!(error.path, "/items/0/count");
    assert!(text[..=error.offset].ends_with("300"), "{error}");
}

#[test]
fn elements_are_exact_slices() {
    let text = b" [ {\"a\" : 1} ,[ 2],\"x\" , 7]";
    assert_eq!(elements(text).unwrap(), [&b"{\"a\" : 1}"[..], b"[ 2]", b"\"x\"", b"7"]);
    assert!(elements(b"{}").is_err());
}

/// JSON values as this crate knows them, and texts that come close to JSON.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        "[^\u{0}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"\\\\é]{0,3}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_serde_json_writes_of_such_values_is_accepted(value in value()) {
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(check_text(&text), Ok(()));
        prop_assert_eq!(from_slice::<Value>(&text).unwrap(), value.clone());
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        prop_assert_eq!(from_slice::<Value>(&pretty).unwrap(), value);
    }

    #[test]
    fn what_is_accepted_serde_json_reads_and_writes_back_equal(
        text in r#"[\[\]{}:,"\\u0d8e 1\-.a\n]{0,24}"#,
    ) {
        if check_text(&text).is_ok() {
            let value: Value = serde_json::from_str(&text).unwrap();
            let again = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(check_text(&again), Ok(()));
            prop_assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), value);
        }
    }

    #[test]
    fn a_damaged_text_is_judged_no_looser_than_by_serde_json(
        value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        if check_text(&text).is_ok() {
            serde_json::from_slice::<Value>(&text).unwrap();
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if check_text(&bytes).is_ok() {
            serde_json::from_slice::<Value>(&bytes).unwrap();
        }
        drop(elements(&bytes));
        drop(from_slice::<Order>(&bytes));
    }
}
