//! Who calls: tokens as over REST, and client certificates whose key is on the ledger.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use chain::identity::KeyId;
use chain::statement::Nonce;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use wire::generated::reimbursement_service_client::ReimbursementServiceClient;
use wire::generated::{GetClaimRequest, LockResponse};
use zeroize::Zeroizing;

use super::client::{Client, Refused, lock_request, path, with_token};
use crate::service::Service;
use crate::tests::client::send;
use crate::tests::consortium::{organisation, secret};
use crate::tests::node::{Node, Setup};
use crate::tests::rights::{change_organisation, set_login};
use crate::tls::PeerKey;
use crate::turns::Name;
use crate::{DevControl as _, GrpcOptions, Options, Tls};

#[test]
fn a_token_that_does_not_hold_has_one_code_at_both_doors() {
    let node = Node::start();
    let client = Client::new(&node);
    let sign = |change: &dyn Fn(&mut chain::login::LoginDraft), key: &str| {
        let mut draft = node.login("platform-a");
        change(&mut draft);
        format!("Bearer {}", draft.sign(&secret("platform-a", key)))
    };
    let now_s = node.now_s();
    let rows = [
        "Bearer x".to_owned(),
        "Basic eDp5".to_owned(),
        sign(&|draft| draft.audience = "other-node".to_owned(), "login"),
        sign(&|draft| draft.expires_at = now_s + 4_000, "login"),
        sign(&|draft| (draft.issued_at, draft.expires_at) = (now_s - 100, now_s), "login"),
        sign(&|_| {}, "statement"),
        sign(&|draft| draft.key = KeyId::new("old-login").unwrap(), "old-login"),
        sign(&|draft| draft.key = KeyId::new("none").unwrap(), "login"),
        sign(&|draft| draft.organisation = organisation("none"), "login"),
    ];
    let get = || GetClaimRequest { invoice: "144032609110-00000001".to_owned() };
    for token in rows {
        let (_, code) = send(node.address, "GET", "/v1/invoices", &[("authorization", &token)], b"").problem();
        let refused = client.run(client.platforms().get_claim(with_token(get(), &token))).unwrap_err();
        assert_eq!(refused.short(), (Code::Unauthenticated, code.as_str()));
    }
    let refused = client.run(client.platforms().get_claim(get())).unwrap_err();
    assert_eq!(refused.short(), (Code::Unauthenticated, "auth.missing"));
}

#[test]
fn a_token_for_a_write_covers_one_message_of_one_method_once() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let (message, other) = (lock_request(&invoice, "7", "k"), lock_request(&invoice, "8", "k"));
    let bytes = wire::encode_message(&message);
    let lock = |token: &str, message: &wire::generated::LockRequest| {
        client.run(client.platforms().lock(with_token(message.clone(), token))).map(|answer| answer.result.unwrap())
    };
    let token =
        |method: &str, bytes: &[u8]| node.bearer_covering("platform-a", &format!("POST {}", path(method)), bytes);
    let refused = |token: &str| lock(token, &message).unwrap_err().reason;
    assert!(refused(&node.bearer("platform-a")).starts_with("login."), "for reads");
    assert_eq!(lock(&token("Lock", &bytes), &other).unwrap_err().code, Code::Unauthenticated);
    assert!(refused(&token("Unlock", &bytes)).starts_with("login."), "of another method");
    let good = token("Lock", &bytes);
    assert_eq!(lock(&good, &message).unwrap().outcomes[0].code, "accepted");
    assert_eq!(lock(&good, &message).unwrap_err().short(), (Code::Unauthenticated, "auth.token-used"));
    let compressed = client.platforms().send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let request = with_token(message.clone(), &token("Lock", &bytes));
    let mut compressed = compressed;
    let refused: Refused = client.runtime.block_on(compressed.lock(request)).unwrap_err().into();
    assert_eq!(refused.short(), (Code::Unimplemented, "request.encoding"));
    let mut draft = node.login("platform-a");
    draft.jti = Some(Nonce::new("j").unwrap());
    let token = format!("Bearer {}", draft.sign(&secret("platform-a", "login")));
    assert!(lock(&token, &message).unwrap_err().reason.starts_with("login."), "it covers nothing");
}

/// A certificate with an organisation's key in it.
fn certificate(seed: [u8; 32]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let prefix = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let key = PrivatePkcs8KeyDer::from([prefix.as_slice(), seed.as_slice()].concat());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519).unwrap();
    let made = CertificateParams::new(vec!["anybody".to_owned()]).unwrap().self_signed(&pair).unwrap();
    (made.der().clone(), PrivateKeyDer::Pkcs8(key))
}

/// A channel over TLS, with a client certificate or without.
async fn secured(node: &Node, roots: RootCertStore, own: Option<[u8; 32]>) -> Channel {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some(seed) => {
            let (certificate, key) = certificate(seed);
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (connector, address) = (TlsConnector::from(Arc::new(config)), node.grpc_address);
    let connect = tower::service_fn(move |_: axum::http::Uri| {
        let connector = connector.clone();
        async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").unwrap();
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connect).await.unwrap()
}

#[test]
fn a_client_certificate_logs_in_whoever_has_its_key_on_the_ledger() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate_pem: pair.cert.pem().into_bytes(),
        key_pem: Zeroizing::new(pair.key_pair.serialize_pem().into_bytes()),
    };
    let node = Node::start_with(Setup { grpc_tls: Some(tls), ..Setup::default() });
    let invoice = node.issue("A1");
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let runtime = super::client::runtime();
    let seed = |who: &str, key: &str| *secret(who, key).to_seed();
    let lock = |own: Option<[u8; 32]>, named: Option<&str>, token: Option<&str>, claim: &str| {
        let mut request = Request::new(lock_request(&invoice, claim, &format!("k{claim}")));
        for (name, value) in [("einvoice-key", named), ("authorization", token)] {
            if let Some(value) = value {
                request.metadata_mut().insert(name, value.parse().unwrap());
            }
        }
        runtime.block_on(async {
            let channel = secured(&node, roots.clone(), own).await;
            let answer: Result<LockResponse, Status> =
                ReimbursementServiceClient::new(channel).lock(request).await.map(tonic::Response::into_inner);
            answer.map(|answer| answer.result.unwrap()).map_err(Refused::from)
        })
    };
    let own = Some(seed("platform-a", "login"));
    let refused = |own, named, token| lock(own, named, token, "x").unwrap_err().reason;
    assert_eq!(refused(own, None, None), "auth.missing");
    assert_eq!(refused(None, Some("platform-a/login"), None), "auth.missing", "a name proves nothing");
    assert_eq!(refused(own, Some("platform-b/login"), None), "auth.unknown-key", "another's name");
    assert_eq!(refused(own, Some("nonsense"), None), "auth.malformed");
    assert_eq!(refused(Some(seed("platform-a", "statement")), Some("platform-a/statement"), None), "auth.key-purpose");
    assert_eq!(refused(Some(seed("platform-a", "old-login")), Some("platform-a/old-login"), None), "auth.key-inactive");
    assert_eq!(refused(Some([9; 32]), Some("platform-a/login"), None), "auth.unknown-key");
    assert_eq!(refused(own, Some("platform-a/login"), Some("Bearer x")), "login.malformed", "a token is never ignored");
    // The connection proves the key, so no token has to cover the message.
    let locked = lock(own, Some("platform-a/login"), None, "7").unwrap();
    assert_eq!(locked.outcomes[0].code, "accepted");
    let bytes = wire::encode_message(&lock_request(&invoice, "8", "k8"));
    let token = node.bearer_covering("platform-b", &format!("POST {}", path("Lock")), &bytes);
    assert_eq!(lock(None, None, Some(&token), "8").unwrap_err().reason, "reimbursement.already-locked");
}

#[test]
fn an_expired_token_costs_its_organisation_nothing() {
    let grpc = GrpcOptions { calls_a_second_max: 1, ..GrpcOptions::default() };
    let options = Options { verifications_a_minute: 1_000, grpc, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let client = Client::new(&node);
    let known = |token: &str| send(node.address, "GET", "/v1/invoices", &[("authorization", token)], b"").status;
    let ask = |token: &str| {
        let get = GetClaimRequest { invoice: "144032609110-00000001".to_owned() };
        client.run(client.platforms().get_claim(with_token(get, token))).unwrap_err().reason
    };
    let leaked = node.bearer("platform-a");
    assert_eq!(known(&leaked), 200);
    node.clock.advance_clock(601_000);
    let own = node.bearer("platform-a");
    assert_eq!(known(&own), 200);
    assert_eq!(ask(&leaked), "login.expired");
    assert_eq!(ask(&own), "invoice.unknown", "the organisation has its one call in this second");
}

#[test]
fn a_connection_whose_key_was_revoked_costs_its_organisation_nothing() {
    let node = Node::start();
    let service = Service::new(Arc::clone(&node.app)).unwrap();
    let (key, mut headers) = (PeerKey::new(*secret("platform-a", "login").public().as_bytes()), HeaderMap::new());
    headers.insert("einvoice-key", "platform-a/login".parse().unwrap());
    let address = IpAddr::from([10, 0, 0, 1]);
    let name = || service.caller_name(&headers, Some(&key), address);
    assert_eq!(name(), Name::Address(address));
    service.grpc_login(&headers, Some(&key), None).unwrap();
    assert_eq!(name(), Name::Organisation(organisation("platform-a")));
    change_organisation(&node, "platform-a", |platform| set_login(platform, false));
    let refused = service.grpc_login(&headers, Some(&key), None).unwrap_err();
    assert_eq!((refused.code(), name()), ("auth.key-inactive", Name::Address(address)));
}
