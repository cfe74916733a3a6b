//! Logins: a token must hold in every part, and one for a write covers one body once.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use chain::identity::KeyId;
use chain::statement::{Mode, Nonce};
use serde_json::json;

use super::client::{Answer, send};
use super::consortium::{document, organisation, secret};
use super::node::Node;
use super::rights::{change_organisation, set_login};
use crate::DevControl as _;
use crate::service::Service;

fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.problem(), (status, code.to_owned()), "{}", answer.text());
}

#[test]
fn a_login_must_hold_in_every_part() {
    let node = Node::start();
    let sign = |change: &dyn Fn(&mut chain::login::LoginDraft), key: &str| {
        let mut draft = node.login("shop");
        change(&mut draft);
        format!("Bearer {}", draft.sign(&secret("shop", key)))
    };
    let now_s = node.now_s();
    let key = |id: &str| KeyId::new(id).unwrap();
    let table: Vec<(String, &str)> = vec![
        ("Bearer x".to_owned(), "login.malformed"),
        ("Basic eDp5".to_owned(), "auth.malformed"),
        (sign(&|draft| draft.audience = "other-node".to_owned(), "login"), "login.audience"),
        (sign(&|draft| draft.expires_at = now_s + 4_000, "login"), "login.lifetime"),
        (sign(&|draft| (draft.issued_at, draft.expires_at) = (now_s - 100, now_s), "login"), "login.expired"),
        (
            sign(&|draft| (draft.issued_at, draft.expires_at) = (now_s + 100, now_s + 200), "login"),
            "login.not-yet-valid",
        ),
        (sign(&|_| {}, "statement"), "login.signature"),
        (sign(&|draft| draft.key = key("statement"), "statement"), "auth.key-purpose"),
        (sign(&|draft| draft.key = key("old-login"), "old-login"), "auth.key-inactive"),
        (sign(&|draft| draft.key = key("none"), "login"), "auth.unknown-key"),
        (sign(&|draft| draft.organisation = organisation("none"), "login"), "auth.unknown-key"),
        (
            format!("Bearer {}", String::from_utf8(node.statement("shop", "n", Mode::All, &[json!({})])).unwrap()),
            "login.type",
        ),
    ];
    for (header, code) in table {
        let answer = send(node.address, "GET", "/v1/invoices", &[("authorization", &header)], b"");
        assert_eq!(answer.problem(), (401, code.to_owned()));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    check(&send(node.address, "GET", "/v1/invoices", &[], b""), 401, "auth.missing");
}

#[test]
fn a_token_for_a_write_covers_one_body_once() {
    let node = Node::start();
    let body = json!({"document": document("A1")}).to_string();
    let send_as = |bearer: &str, body: &str| {
        let headers = [("authorization", bearer), ("idempotency-key", "k1"), ("content-type", "application/json")];
        send(node.address, "POST", "/v1/invoices", &headers, body.as_bytes())
    };
    check(&send_as(&node.bearer("shop"), &body), 401, "login.body-mismatch");
    let mut draft = node.login("shop");
    draft.jti = Some(Nonce::new("only-jti").unwrap());
    let only_jti = format!("Bearer {}", draft.sign(&secret("shop", "login")));
    check(&send_as(&only_jti, &body), 401, "login.body-mismatch");
    check(&send_as(&node.bearer_for("shop", b"another body"), &body), 401, "login.body-mismatch");
    let good = node.bearer_for("shop", body.as_bytes());
    assert_eq!(send_as(&good, &body).status, 201);
    check(&send_as(&good, &body), 401, "auth.token-used");
    let stranger = node.bearer_for("stranger", body.as_bytes());
    check(&send_as(&stranger, &body), 403, "hosted.key-missing");
    assert_eq!(node.leaves(), 1);
}

#[test]
fn a_token_gives_nobody_a_name_any_more_when_it_has_expired_or_its_key_is_revoked() {
    let node = Node::start();
    let service = Service::new(Arc::clone(&node.app)).unwrap();
    let named = |headers: &HeaderMap| service.verified_tokens.organisation(headers, node.now_s());
    let logged_in = || {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, node.bearer("shop").parse().unwrap());
        assert_eq!(named(&headers), None, "nobody has verified it");
        service.login(&headers).unwrap();
        assert_eq!(named(&headers), Some(organisation("shop")));
        headers
    };
    let refused = |headers: &HeaderMap| service.login(headers).unwrap_err().code().to_owned();
    let expired = logged_in();
    node.clock.advance_clock(600_000);
    assert_eq!(named(&expired), None);
    assert_eq!(refused(&expired), "login.expired");
    let revoked = logged_in();
    change_organisation(&node, "shop", |shop| set_login(shop, false));
    assert_eq!(refused(&revoked), "auth.key-inactive");
    assert_eq!(named(&revoked), None, "it was forgotten when it was refused");
}
