//! One statement by its bytes, and every way in which a statement can be wrong.

use proptest::prelude::*;

use super::*;
use crate::catalogue::CODES;
use crate::identity::ChainName;
use crate::jws::signing_input;
use crate::key::SecretKey;

/// Changing these bytes forks the chain.
const GOLDEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6ImVpbnZvaWNlLXN0YXRlbWVudCtqd3MiLCJraWQiOiJhY21\
    lL2tleS0xIiwiY2hhaW4iOiJkZW1vQGUzYjBjNDQyOThmYzFjMTQ5YWZiZjRjODk5NmZiOTI0MjdhZTQxZTQ2NDliOTM0Y2\
    E0OTU5OTFiNzg1MmI4NTUiLCJub25jZSI6Im4tXCIxXFwiLCJleHAiOjE3MDAwMDAwMDB9.eyJtb2RlIjoiYWxsIiwiZXZl\
    bnRzIjpbeyJhIjoi5Y-R56WoIn0seyAiYiIgOiAyIH1dfQ.HXTgSQP-zLfoqj59lDMPhJTW1jRhJ3zwg5AfbVb8T6meLMH\
    m67Kj-YCJ9FpTuOL6CzJ-AXun2gCqs9kBm8uFDg";
const GOLDEN_ID: &str = "f70e8fcd36f515c46c71267d9fd6b1b51f70662ab549de6251c2cd8fccffa622";
const GOLDEN_PAYLOAD_HASH: &str = "cd5bf864891fd595a70c290b061c75d6ea06a8b8edbfa86968f4fe0f4175196c";

const CHAIN: &str = "demo@e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn secret() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn header() -> StatementHeader {
    StatementHeader {
        organisation: OrganisationId::new("acme").unwrap(),
        key: KeyId::new("key-1").unwrap(),
        chain: ChainId::new(ChainName::new("demo").unwrap(), Hash::EMPTY),
        nonce: Nonce::new("n-\"1\\").unwrap(),
        expires_at: 1_700_000_000,
    }
}

/// A header with one member replaced or, with an empty value, left out.
fn header_with(member: &str, value: &str) -> String {
    let members = [
        ("alg", "\"EdDSA\""),
        ("typ", "\"einvoice-statement+jws\""),
        ("kid", "\"acme/key-1\""),
        ("chain", &format!("\"{CHAIN}\"")),
        ("nonce", "\"n\""),
        ("exp", "1700000000"),
    ]
    .map(|(name, usual)| (name, if name == member { value } else { usual }))
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| format!("\"{name}\":{value}"))
    .collect::<Vec<_>>();
    format!("{{{}}}", members.join(","))
}

fn jws_of(header: &str, payload: &str) -> Vec<u8> {
    let signing_input = signing_input(header.as_bytes(), payload.as_bytes());
    let signature = secret().sign(signing_input.as_bytes());
    format!("{signing_input}.{signature}").into_bytes()
}

fn parse(bytes: impl Into<Arc<[u8]>>) -> Result<Statement, StatementError> {
    Statement::parse(bytes, &Limits::default())
}

fn rejected(bytes: Vec<u8>) -> (&'static str, String, Option<usize>) {
    let error = parse(bytes).expect_err("the statement is to be rejected");
    assert!(CODES.iter().any(|entry| entry.code == error.code()));
    assert!(!error.expected().is_empty() && !error.found().is_empty());
    (error.code(), error.path(), error.offset())
}

fn rejected_header(header: &str) -> (&'static str, String) {
    let payload = r#"{"mode":"all","events":[{}]}"#;
    let (code, path, _) = rejected(jws_of(header, payload));
    (code, path)
}

fn rejected_payload(payload: &str) -> (&'static str, String, Option<usize>) {
    rejected(jws_of(&header_with("", ""), payload))
}

#[test]
fn the_bytes_and_the_id_of_a_statement_are_fixed() {
    let payload = payload(Mode::All, &["{\"a\":\"发票\"}", "{ \"b\" : 2 }"]);
    let draft = Draft::new(header(), &payload);
    let bytes = draft.sign(&secret());
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), GOLDEN);
    let signature = secret().sign(draft.signing_input().as_bytes());
    assert_eq!(draft.with_signature(&signature), bytes);

    let statement = parse(bytes.clone()).unwrap();
    assert_eq!(statement.id().to_string(), GOLDEN_ID);
    assert_eq!(statement.payload_hash().to_string(), GOLDEN_PAYLOAD_HASH);
    assert_eq!(&**statement.bytes(), bytes);
    assert_eq!(statement.signing_input(), draft.signing_input().as_bytes());
    assert_eq!(statement.signature(), &signature);
    assert_eq!(statement.header(), &header());
    assert_eq!(statement.mode(), Mode::All);
    assert_eq!(statement.payload(), payload);
    statement.verify(&secret().public()).unwrap();
    assert_eq!(statement.clone(), statement);
}

#[test]
fn events_are_exact_slices_of_the_payload() {
    let text = " {\t\"events\": [ {\"a\":\"x\\u0041\"} ,\n{ \"b\" : 2 }\r\n] , \"mode\":\"each\"} ";
    let statement = parse(jws_of(&header_with("", ""), text)).unwrap();
    assert_eq!(statement.mode(), Mode::Each);
    assert_eq!(statement.event_count(), 2);
    assert_eq!(statement.event(0).unwrap(), b"{\"a\":\"x\\u0041\"}");
    assert_eq!(statement.event(1).unwrap(), b"{ \"b\" : 2 }");
    assert_eq!(statement.event(2), None);
    assert_eq!(statement.events().len(), 2);
    assert_eq!(statement.event_hash(1), Some(Hash::of(b"{ \"b\" : 2 }")));
    let event: std::collections::BTreeMap<String, u8> = statement.read_event(1).unwrap().unwrap();
    assert_eq!(event["b"], 2);
    let error = statement.read_event::<std::collections::BTreeMap<String, u8>>(0).unwrap().unwrap_err();
    assert_eq!(error.path, "/a");
}

#[test]
fn another_key_or_another_byte_does_not_verify() {
    let statement = parse(GOLDEN.as_bytes()).unwrap();
    let other = SecretKey::from_seed([8; 32]).public();
    let error = statement.verify(&other).unwrap_err();
    assert_eq!(error.code(), "statement.signature");
    assert_eq!(error.to_string(), "the signature does not verify under the key acme/key-1");
    for place in 0..GOLDEN.len() {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        if let Ok(statement) = parse(bytes) {
            assert!(statement.verify(&secret().public()).is_err(), "{place}");
        }
    }
}

#[test]
fn every_field_of_the_header_is_needed_once_and_no_other() {
    for member in ["alg", "typ", "kid", "chain", "nonce", "exp"] {
        assert_eq!(rejected_header(&header_with(member, "")), ("statement.header", String::new()), "{member}");
        assert_eq!(rejected_header(&header_with(member, "[]")), ("statement.header", format!("/{member}")));
        let twice = header_with("", "").replace('}', &format!(",\"{member}\":\"x\"}}"));
        assert_eq!(rejected_header(&twice), ("statement.header", format!("/{member}")));
    }
    for (field, path) in [("\"crit\":[\"b64\"]", "/crit"), ("\"b64\":false", "/b64"), ("\"jku\":\"x\"", "/jku")] {
        let more = header_with("", "").replace('}', &format!(",{field}}}"));
        assert_eq!(rejected_header(&more), ("statement.header", path.to_owned()));
    }
    for text in ["", "[]", "null", "{}", "{\"alg\":"] {
        assert_eq!(rejected_header(text).0, "statement.header");
    }
}

#[test]
fn each_value_of_the_header_has_its_own_code() {
    for (member, value, code) in [
        ("alg", "\"none\"", "statement.algorithm"),
        ("alg", "\"HS256\"", "statement.algorithm"),
        ("alg", "\"Ed448\"", "statement.algorithm"),
        ("typ", "\"JWT\"", "statement.type"),
        ("typ", "\"einvoice-login+jwt\"", "statement.type"),
        ("typ", "\"EINVOICE-STATEMENT+JWS\"", "statement.type"),
        ("kid", "\"acme\"", "statement.key-id"),
        ("kid", "\"acme/\"", "statement.key-id"),
        ("kid", "\"acme/a/b\"", "statement.key-id"),
        ("kid", "\"Acme/a\"", "statement.key-id"),
        ("chain", "\"demo\"", "statement.chain-id"),
        ("chain", "\"demo@E3B0\"", "statement.chain-id"),
        ("nonce", "\"\"", "statement.nonce"),
        ("nonce", "\"a b\"", "statement.nonce"),
        ("nonce", "\"é\"", "statement.nonce"),
        ("nonce", "\"a\\n\"", "statement.nonce"),
        ("nonce", &format!("\"{}\"", "x".repeat(65)), "statement.nonce"),
        ("exp", "-1", "statement.expiry"),
    ] {
        assert_eq!(rejected_header(&header_with(member, value)), (code, format!("/{member}")), "{value}");
    }
    for (member, value) in [("exp", "1.5"), ("exp", "\"1\""), ("exp", "1e3"), ("nonce", "1")] {
        assert_eq!(rejected_header(&header_with(member, value)), ("statement.header", format!("/{member}")), "{value}");
    }
    let payload = r#"{"mode":"all","events":[{}]}"#;
    let longest = format!("\"{}\"", "~".repeat(64));
    parse(jws_of(&header_with("nonce", &longest), payload)).unwrap();
    parse(jws_of(&header_with("alg", "\"Ed25519\""), payload)).unwrap();
}

#[test]
fn a_payload_is_a_mode_and_events() {
    for (payload, code, path) in [
        ("", "statement.json", ""),
        ("{\"mode\":\"all\",\"events\":[{\"a\":1,\"a\":2}]}", "statement.json", "/events/0/a"),
        ("{\"mode\":\"all\",\"events\":[{\"a\":1.0}]}", "statement.json", "/events/0/a"),
        ("[]", "statement.payload", ""),
        ("{}", "statement.payload", ""),
        ("{\"mode\":\"all\"}", "statement.payload", ""),
        ("{\"mode\":1,\"events\":[{}]}", "statement.payload", "/mode"),
        ("{\"mode\":\"all\",\"events\":{}}", "statement.payload", "/events"),
        ("{\"mode\":\"all\",\"events\":[{}],\"x\":1}", "statement.payload", "/x"),
        ("{\"mode\":\"some\",\"events\":[{}]}", "statement.mode", "/mode"),
        ("{\"mode\":\"ALL\",\"events\":[{}]}", "statement.mode", "/mode"),
        ("{\"mode\":\"all\",\"events\":[]}", "statement.events", "/events"),
        ("{\"mode\":\"all\",\"events\":[{},1]}", "statement.events", "/events/1"),
        ("{\"mode\":\"all\",\"events\":[[]]}", "statement.events", "/events/0"),
        ("{\"mode\":\"all\",\"events\":[\"{}\"]}", "statement.events", "/events/0"),
    ] {
        let (found, found_path, _) = rejected_payload(payload);
        assert_eq!((found, found_path.as_str()), (code, path), "{payload}");
    }
    let (_, _, offset) = rejected_payload("{\"mode\":\"all\",\"events\":[{}, 1]}");
    assert_eq!(offset, Some(28));
}

#[test]
fn sizes_and_counts_are_bounded() {
    let full = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let frame = |events: &str| format!("{{\"mode\":\"each\",\"events\":[{events}]}}");
    let header = header_with("", "");
    parse(jws_of(&header, &frame(&full(65_536)))).unwrap();
    assert_eq!(
        rejected_payload(&frame(&format!("{{}},{}", full(65_537)))),
        ("statement.event-too-large", "/events/1".to_owned(), Some(28))
    );
    let many = |count: usize| frame(&vec!["{}"; count].join(","));
    assert_eq!(parse(jws_of(&header, &many(1_000))).unwrap().event_count(), 1_000);
    assert_eq!(rejected_payload(&many(1_001)).0, "statement.events");
    assert_eq!(parse(vec![b'a'; 2 * 1024 * 1024 + 1]).unwrap_err().code(), "statement.too-large");
    assert_eq!(parse(vec![b'a'; 2 * 1024 * 1024]).unwrap_err().code(), "statement.malformed");
}

#[test]
fn bytes_that_are_no_compact_jws_are_malformed() {
    let end = GOLDEN.len();
    for (bytes, offset) in [
        (String::new(), None),
        (GOLDEN.replace('.', ""), None),
        (format!("{GOLDEN}."), None),
        (format!("{GOLDEN}="), Some(end - 86)),
        (format!("{GOLDEN}\n"), Some(end)),
        (format!(" {GOLDEN}"), Some(0)),
        (format!("{}h", &GOLDEN[..end - 1]), Some(end - 1)),
        (GOLDEN[..end - 1].to_owned(), Some(end - 86)),
        (GOLDEN[..end - 2].to_owned(), Some(end - 86)),
    ] {
        assert_eq!(rejected(bytes.clone().into_bytes()), ("statement.malformed", String::new(), offset), "{bytes}");
    }
    let json = r#"{"payload":"e30","signatures":[]}"#;
    assert_eq!(rejected(json.into()).0, "statement.malformed");
}

#[test]
fn an_error_never_repeats_more_than_an_excerpt() {
    let long = "é".repeat(2_000);
    let header = header_with("nonce", &format!("\"{}\"", &long[..2_000]));
    for bytes in [
        jws_of(&header, "{}"),
        jws_of(&header_with("", ""), &format!("{{\"mode\":\"{long}\",\"events\":[{{}}]}}")),
        jws_of(&header_with("", ""), &format!("{{\"{long}\":1}}")),
        jws_of(&header_with("", ""), &format!("{{\"mode\":\"all\",\"events\":[\"{long}\"]}}")),
    ] {
        let error = parse(bytes).unwrap_err();
        assert!(error.to_string().len() < 700 && error.found().len() < 700);
    }
}

proptest! {
    #[test]
    fn what_is_drafted_is_read_back(
        nonce in "[!-~]{1,64}",
        exp in 0_u64..(1 << 53),
        texts in prop::collection::vec("[^\u{0}]{0,20}", 1..8),
        each in any::<bool>(),
    ) {
        let mode = if each { Mode::Each } else { Mode::All };
        let header = StatementHeader {
            nonce: Nonce::new(nonce).unwrap(),
            expires_at: exp,
            ..header()
        };
        let events: Vec<String> = texts
            .iter()
            .map(|text| serde_json::json!({ "text": text }).to_string())
            .collect();
        let bytes = Draft::new(header.clone(), payload(mode, &events)).sign(&secret());
        let statement = parse(bytes).unwrap();
        prop_assert_eq!(statement.header(), &header);
        prop_assert_eq!(statement.mode(), mode);
        prop_assert!(statement.events().eq(events.iter().map(String::as_bytes)));
        prop_assert!(statement.verify(&secret().public()).is_ok());
    }

    #[test]
    fn damaged_statements_never_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(statement) = parse(bytes.clone()) {
            let same = byte == GOLDEN.as_bytes()[at];
            prop_assert_eq!(statement.verify(&secret().public()).is_ok(), same);
        }
        bytes.truncate(cut.index(GOLDEN.len()));
        prop_assert!(parse(bytes).is_err());
    }

    #[test]
    fn random_headers_and_payloads_never_panic(
        header in prop::collection::vec(any::<u8>(), 0..40),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let signing_input = signing_input(&header, &payload);
        let signature = secret().sign(b"");
        drop(parse(format!("{signing_input}.{signature}").into_bytes()));
        drop(parse(payload));
    }
}
