//! The client over TLS: whom it believes, and logins by certificate.

use std::path::Path;

use client::messages::ListInvoicesRequest;
use client::{Client, Error, Key, Login, Node, Options, Roots};
use rcgen::{CertificateParams, KeyPair};
use tests::platform::Platform;
use workload::consortium::LOGIN_KEY;
use workload::{Consortium, Shape};
use zeroize::Zeroizing;

use crate::support::{Talking, free_ports, run};

/// The seed of the consortium.
const SEED: u64 = 7;

/// A node whose gRPC door has a certificate of its own making.
struct Secured {
    node: Talking,
    consortium: Consortium,
    url: String,
    /// What its clients trust.
    certificate: Vec<u8>,
}

impl Secured {
    fn start(directory: &Path) -> Self {
        let text = |path: &Path| path.to_str().expect("the path is text").to_owned();
        let (home, tls, seed) = (directory.join("node"), directory.join("tls"), SEED.to_string());
        let of = ["generate", "--count", "0", "--seed", &seed, "--sellers", "5", "--buyers", "2"];
        run(of.into_iter().chain(["--consortium-out", &text(&home)])).ended(0);
        run(["keys", "certificate", &text(&tls), "--name", "localhost"]).ended(0);
        let (config, rest) = (text(&home.join("node.toml")), free_ports(2));
        let settings = format!(
            "[node]\nid = \"tax-bureau-1\"\n[http]\nlisten = \"127.0.0.1:{rest}\"\n[grpc]\nlisten = \"127.0.0.1:{}\"\n\
             tls-certificate = \"../tls/certificate.pem\"\ntls-key = \"../tls/key.pem\"\n[telemetry]\nfilter = \"warn\"\n",
            rest + 1
        );
        std::fs::write(&config, settings).expect("the directory can be written");
        let mut node = Talking::start(["start", "--config", &config]);
        node.until("the node serves");
        let certificate = std::fs::read(tls.join("certificate.pem")).expect("it was made");
        let consortium = Consortium::new(SEED, Shape { sellers: 5, buyers: 2, ..Shape::default() });
        Self { node, consortium, url: format!("https://localhost:{}", rest + 1), certificate }
    }

    fn options(&self, login: Login, roots: Roots) -> Options {
        Options { roots, ..Options::new(vec![Node::new(&self.url, "tax-bureau-1")], login) }
    }

    fn own(&self) -> Roots {
        Roots::Own(self.certificate.clone())
    }

    fn tokens(&self, who: &str) -> Login {
        let secret = self.consortium.secret(who, LOGIN_KEY);
        let organisation = who.parse().expect("it is an id");
        Login::Tokens(Key { organisation, id: LOGIN_KEY.parse().expect("it is an id"), secret })
    }

    /// A login by a certificate with the login key of one, in the name of another.
    fn certificate(&self, of: &str, named: &str) -> Login {
        // PKCS #8 of an Ed25519 key (RFC 8410 §7) is this prefix and the seed.
        let prefix = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let seed = self.consortium.secret(of, LOGIN_KEY).to_seed();
        let der = [prefix.as_slice(), seed.as_slice()].concat();
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der.as_slice().into(), &rcgen::PKCS_ED25519);
        let pair = pair.expect("it is a key");
        let params = CertificateParams::new(vec!["anybody".to_owned()]).expect("it is a name");
        let made = params.self_signed(&pair).expect("it can be signed");
        Login::Certificate {
            key: format!("{named}/{LOGIN_KEY}").parse().expect("it names a key"),
            certificate_pem: made.pem().into_bytes(),
            key_pem: Zeroizing::new(pair.serialize_pem().into_bytes()),
        }
    }
}

/// Asks for something that needs a login.
fn listed(platform: &Platform) -> Result<usize, Error> {
    let mut pages = platform.client.invoices(ListInvoicesRequest::default());
    Ok(platform.run(pages.next())?.expect("there is a first page").len())
}

#[test]
fn a_client_believes_the_certificates_that_it_is_told_to_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let secured = Secured::start(directory.path());
    let login = || secured.tokens("platform-01");
    assert_eq!(listed(&Platform::connect_with(secured.options(login(), secured.own()))).unwrap(), 0);

    let other = directory.path().join("other");
    run(["keys".as_ref(), "certificate".as_ref(), other.as_os_str(), "--name".as_ref(), "localhost".as_ref()]).ended(0);
    let other = Roots::Own(std::fs::read(other.join("certificate.pem")).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = |options| runtime.block_on(Client::connect(options)).unwrap_err();
    for roots in [Roots::Web, other] {
        let error = refused(secured.options(login(), roots));
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    // Another name than the certificate's.
    let mut elsewhere = secured.options(login(), secured.own());
    elsewhere.nodes[0].url = secured.url.replace("localhost", "127.0.0.1");
    assert!(matches!(refused(elsewhere), Error::Unavailable { .. }));
    // Whoever speaks without TLS gets nothing, and no token leaves the machine.
    let mut plain = secured.options(login(), secured.own());
    plain.nodes[0].url = secured.url.replace("https", "http");
    plain.read_max = std::time::Duration::from_secs(2);
    let spoken = runtime.block_on(async {
        let client = Client::connect(plain).await?;
        client.invoices(ListInvoicesRequest::default()).next().await.map(|_| ())
    });
    assert!(matches!(spoken, Err(Error::Unavailable { .. })), "{spoken:?}");
    let nonsense = refused(secured.options(login(), Roots::Own(b"no certificate".to_vec())));
    assert!(matches!(nonsense, Error::Option { what: "TLS", .. } | Error::Unavailable { .. }), "{nonsense:?}");
    assert_eq!(secured.node.stop().code(), Some(0));
}

#[test]
fn a_certificate_with_a_login_key_logs_in_its_organisation_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let secured = Secured::start(directory.path());
    let ask = |of: &str, named: &str| {
        listed(&Platform::connect_with(secured.options(secured.certificate(of, named), secured.own())))
    };
    assert_eq!(ask("platform-01", "platform-01").unwrap(), 0);
    assert_eq!(ask("platform-01", "platform-02").unwrap_err().code(), Some("auth.unknown-key"));
    assert_eq!(ask("platform-01", "nobody").unwrap_err().code(), Some("auth.unknown-key"));
    // Without TLS there is nothing that a certificate could prove.
    let mut plain = secured.options(secured.certificate("platform-01", "platform-01"), secured.own());
    plain.nodes[0].url = secured.url.replace("https", "http");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(Client::connect(plain)).unwrap_err();
    assert!(matches!(error, Error::Option { what: "a login by certificate", .. }), "{error:?}");
    assert_eq!(secured.node.stop().code(), Some(0));
}
