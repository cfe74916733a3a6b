//! One token by its bytes, and every way in which a token can be wrong.

use super::*;

const NOW: u64 = 1_700_000_000;

const GOLDEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6ImVpbnZvaWNlLWxvZ2luK2p3dCIsImtpZCI6ImFjbWUvbG9\
    naW4tMSJ9.eyJhdWQiOiJub2RlLTEiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMzYwMCwianRpIjoidC0xIiwi\
    Ym9keV9zaGEyNTYiOiJSQk52bzFXelo0b1JScTBXOS1oa25wVDdUOElmNTM2REVNQmc5aHlxXzRvIn0.IBur7-O1Rtlhm-\
    FGEhTgN0j0d3wm6VqgSyzVF6UL7SHUHS8mE1tXDgQR7wd-bNo0XFjgWTiWTDhygNEwY9e9DQ";

fn secret() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn draft() -> LoginDraft {
    LoginDraft {
        organisation: OrganisationId::new("acme").unwrap(),
        key: KeyId::new("login-1").unwrap(),
        audience: "node-1".to_owned(),
        issued_at: NOW,
        expires_at: NOW + 3_600,
        jti: Some(Nonce::new("t-1").unwrap()),
        request: Some("POST /v1/invoices".to_owned()),
        body_sha256: Some(Hash::of(b"{}")),
    }
}

/// The code with which a token is rejected at a time, or nothing.
fn check(draft: &LoginDraft, now_s: u64) -> Option<&'static str> {
    let token = LoginToken::parse(&draft.sign(&secret())).unwrap();
    let verdict = token.verify(&secret().public(), "node-1", now_s);
    verdict.err().map(|error| error.code())
}

/// A token over any header and claims, with a good signature.
fn signed(header: &str, claims: &str) -> String {
    let signing_input = jws::signing_input(header.as_bytes(), claims.as_bytes());
    let signature = secret().sign(signing_input.as_bytes());
    jws::complete(&signing_input, &signature)
}

#[test]
fn the_bytes_of_a_token_are_fixed() {
    assert_eq!(LoginDraft { request: None, ..draft() }.sign(&secret()), GOLDEN);
    let claims = r#"{"aud":"node-1","iat":1700000000,"exp":1700003600,"jti":"t-1","request":"POST /v1/invoices","body_sha256":"RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o"}"#;
    let header = r#"{"alg":"EdDSA","typ":"einvoice-login+jwt","kid":"acme/login-1"}"#;
    assert_eq!(draft().sign(&secret()), signed(header, claims));
    let token = LoginToken::parse(GOLDEN).unwrap();
    token.verify(&secret().public(), "node-1", NOW).unwrap();
    assert_eq!(token.organisation().as_str(), "acme");
    assert_eq!(token.key().as_str(), "login-1");
    assert_eq!(token.audience(), "node-1");
    assert_eq!(token.issued_at(), NOW);
    assert_eq!(token.expires_at(), NOW + 3_600);
    assert_eq!(token.jti().map(Nonce::as_str), Some("t-1"));
    assert_eq!(token.body_sha256(), Some(Hash::of(b"{}")));
}

#[test]
fn a_token_is_valid_from_a_minute_before_its_issue_until_its_end() {
    assert_eq!(check(&draft(), NOW - 61), Some("login.not-yet-valid"));
    assert_eq!(check(&draft(), NOW - 60), None);
    assert_eq!(check(&draft(), NOW + 3_599), None);
    assert_eq!(check(&draft(), NOW + 3_600), Some("login.expired"));
    assert_eq!(check(&draft(), u64::MAX), Some("login.expired"));
}

#[test]
fn a_token_lives_an_hour_at_most() {
    for (expires_at, code) in [
        (NOW + 3_600, None),
        (NOW + 3_601, Some("login.lifetime")),
        (NOW, Some("login.lifetime")),
        (NOW - 1, Some("login.lifetime")),
        ((1 << 53) - 1, Some("login.lifetime")),
    ] {
        let draft = LoginDraft { expires_at, ..draft() };
        assert_eq!(check(&draft, NOW), code, "{expires_at}");
    }
}

#[test]
fn a_token_opens_one_node_under_one_key() {
    let token = LoginToken::parse(GOLDEN).unwrap();
    let code = |key: &SecretKey, audience| {
        let verdict = token.verify(&key.public(), audience, NOW);
        verdict.err().map(|error| error.code())
    };
    let other = SecretKey::from_seed([8; 32]);
    assert_eq!(code(&secret(), "node-2"), Some("login.audience"));
    assert_eq!(code(&secret(), ""), Some("login.audience"));
    assert_eq!(code(&other, "node-1"), Some("login.signature"));
}

#[test]
fn a_body_is_covered_or_refused() {
    let token = LoginToken::parse(&draft().sign(&secret())).unwrap();
    assert_eq!(token.verify_write("POST /v1/invoices", b"{}").unwrap().as_str(), "t-1");
    assert_eq!(token.verify_write("POST /v1/invoices", b"{ }").unwrap_err().code(), "login.body-mismatch");
    assert_eq!(token.verify_write("POST /v1/filings", b"{}").unwrap_err().code(), "login.request-mismatch");
    for draft in [
        LoginDraft { jti: None, ..draft() },
        LoginDraft { request: None, ..draft() },
        LoginDraft { body_sha256: None, ..draft() },
    ] {
        assert_eq!(check(&draft, NOW), None);
        let token = LoginToken::parse(&draft.sign(&secret())).unwrap();
        assert_eq!(token.verify_write("POST /v1/invoices", b"{}").unwrap_err().code(), "login.body-mismatch");
    }
}

#[test]
fn a_token_of_another_shape_is_refused() {
    let header = r#"{"alg":"EdDSA","typ":"einvoice-login+jwt","kid":"acme/login-1"}"#;
    let claims = r#"{"aud":"n","iat":1,"exp":2}"#;
    LoginToken::parse(&signed(header, claims)).unwrap();
    for (header, claims, code) in [
        (
            r#"{"alg":"EdDSA","typ":"einvoice-statement+jws","kid":"acme/k","chain":"x","nonce":"n","exp":1}"#,
            claims,
            "login.type",
        ),
        (r#"{"alg":"EdDSA","typ":"JWT","kid":"a/b"}"#, claims, "login.type"),
        (r#"{"alg":"EdDSA","kid":"a/b"}"#, claims, "login.malformed"),
        (r#"{"alg":"none","typ":"einvoice-login+jwt","kid":"a/b"}"#, claims, "login.malformed"),
        (r#"{"alg":"EdDSA","typ":"einvoice-login+jwt","kid":"a"}"#, claims, "login.malformed"),
        (r#"{"alg":"EdDSA","typ":"einvoice-login+jwt","kid":"a/b","crit":[]}"#, claims, "login.malformed"),
        (header, r#"{"aud":["n"],"iat":1,"exp":2}"#, "login.malformed"),
        (header, r#"{"aud":"n","iat":1}"#, "login.malformed"),
        (header, r#"{"aud":"n","iat":-1,"exp":2}"#, "login.malformed"),
        (header, r#"{"aud":"n","iat":1.5,"exp":2}"#, "login.malformed"),
        (header, r#"{"aud":"n","iat":1,"exp":2,"iss":"x"}"#, "login.malformed"),
        (header, r#"{"aud":"n","iat":1,"exp":2,"exp":3}"#, "login.malformed"),
        (header, r#"{"aud":"n","iat":1,"exp":2,"jti":""}"#, "login.malformed"),
        (header, r#"{"aud":"n","iat":1,"exp":2,"body_sha256":"AA"}"#, "login.malformed"),
    ] {
        let error = LoginToken::parse(&signed(header, claims)).unwrap_err();
        assert_eq!(error.code(), code, "{header} {claims}: {error}");
    }
    for token in ["", "a.b.c", &format!("{GOLDEN}="), &"a".repeat(5_000)] {
        assert_eq!(LoginToken::parse(token).unwrap_err().code(), "login.malformed");
    }
}
