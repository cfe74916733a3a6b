//! RFC 7515 and RFC 8037, and everything that is narrower here.

use super::*;
use crate::key::PublicKey;

/// A header with nothing but its algorithm, as in RFC 8037.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    alg: Algorithm,
}

const RFC_8037_A4: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_\
    MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn parse(text: &str) -> Result<Compact<'_>, JwsError> {
    Compact::parse(text.as_bytes(), 4096)
}

#[test]
fn the_signature_of_rfc_8037_verifies() {
    let jws = parse(RFC_8037_A4).unwrap();
    assert_eq!(jws.header, br#"{"alg":"EdDSA"}"#);
    assert_eq!(jws.payload, b"Example of Ed25519 signing");
    assert_eq!(read_header::<Bare>(&jws.header).unwrap().alg, Algorithm::EdDsa);
    let key: PublicKey = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".parse().unwrap();
    key.verify_strict(jws.signing_input, &jws.signature).unwrap();
    let text = signing_input(&jws.header, &jws.payload);
    assert_eq!(complete(&text, &jws.signature), RFC_8037_A4);
}

#[test]
fn the_examples_of_rfc_7515_are_refused_for_their_algorithms() {
    // Appendix A.1 (HS256, and line breaks within the JSON), A.2 (RS256), A.3 (ES256), A.4.
    for (header, alg) in [
        ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "HS256"),
        ("eyJhbGciOiJSUzI1NiJ9", "RS256"),
        ("eyJhbGciOiJFUzI1NiJ9", "ES256"),
        ("eyJhbGciOiJFUzUxMiJ9", "ES512"),
    ] {
        #[derive(Debug, Deserialize)]
        struct Loose {
            alg: String,
        }
        let header = decode_base64url(header).unwrap();
        assert_eq!(read_header::<Loose>(&header).unwrap().alg, alg);
        assert!(alg.parse::<Algorithm>().is_err());
        assert!(read_header::<Bare>(&header).is_err());
    }
    // A.1 whole: a signature of 32 bytes is none of ours.
    let a1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4\
        MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p\
        1r_wW1gFWFOEjXk";
    assert!(matches!(
        parse(a1),
        Err(JwsError::Base64 { segment: Segment::Signature, source: Base64Error::Size { found: 32, .. }, .. })
    ));
    // A.5: no algorithm, no signature.
    assert!(parse("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ.").is_err());
}

#[test]
fn fields_that_change_the_meaning_of_a_header_are_refused() {
    for header in [
        r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","b64":true}"#,
        r#"{"alg":"EdDSA","crit":[]}"#,
        r#"{"alg":"EdDSA","jwk":{}}"#,
        r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
        r#"{"alg":"eddsa"}"#,
        r#"{"alg":["EdDSA"]}"#,
        "{}",
    ] {
        assert!(read_header::<Bare>(header.as_bytes()).is_err(), "{header}");
    }
}

#[test]
fn a_second_spelling_of_a_segment_is_refused() {
    let (start, _) = RFC_8037_A4.rsplit_once('.').unwrap();
    for text in [
        RFC_8037_A4.replace("eyJhbGciOiJFZERTQSJ9", "eyJhbGciOiJFZERTQSJ9="),
        RFC_8037_A4.replace("IHNpZ25pbmc", "IHNp Z25pbmc"),
        RFC_8037_A4.replace("pbmc.", "pbmd."),
        RFC_8037_A4.replace("0KAg", "0KAh"),
        RFC_8037_A4.replace("il_", "il/"),
        RFC_8037_A4.replace("7-09", "7+09"),
        format!("{RFC_8037_A4}="),
        format!("{RFC_8037_A4}\n"),
        format!(" {RFC_8037_A4}"),
    ] {
        assert_ne!(text, RFC_8037_A4);
        assert!(matches!(parse(&text), Err(JwsError::Base64 { .. })), "{text}");
    }
    assert_eq!(parse(&RFC_8037_A4.replace("pbmc.", "pbmd.")).unwrap_err().offset(), Some(start.len() - 1));
}

#[test]
fn a_compact_jws_has_three_segments_and_a_size() {
    for (text, found) in [("", 1), ("a.b", 2), ("a.b.c.d", 4), ("a.b.c.d.e.f", 4)] {
        assert_eq!(parse(text), Err(JwsError::Segments { found }), "{text}");
    }
    assert_eq!(
        Compact::parse(RFC_8037_A4.as_bytes(), 10),
        Err(JwsError::TooLarge { bytes_max: 10, found: RFC_8037_A4.len() })
    );
    let long = RFC_8037_A4.replace("eyJ", &"eyJ0".repeat(2000));
    assert!(matches!(Compact::parse(long.as_bytes(), 100_000), Err(JwsError::HeaderTooLarge { .. })));
}

#[test]
fn a_key_reference_names_organisation_and_key() {
    let text = "tax-bureau/key-1";
    let reference: KeyReference = text.parse().unwrap();
    assert_eq!(reference.organisation.as_str(), "tax-bureau");
    assert_eq!(reference.key.as_str(), "key-1");
    assert_eq!(reference.to_string(), text);
    for bad in ["", "a", "a/", "/a", "a/b/c", "A/b", "a /b"] {
        assert!(bad.parse::<KeyReference>().is_err(), "{bad}");
    }
}
