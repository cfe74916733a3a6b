//! TLS through rustls and ring.
//!
//! Over gRPC a client may show a certificate. Of it nothing but the key is read: no authority, no name and no date is
//! looked at, and whose the key is, the ledger says with every call.

use std::sync::{Arc, Mutex, MutexGuard};

use chain::identity::OrganisationId;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ParsedCertificate};
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use zeroize::Zeroizing;

use crate::server::Speech;

/// The certificate chain and key of the door.
#[derive(Clone)]
pub struct Tls {
    /// The chain, leaf first, PEM.
    pub certificate_pem: Vec<u8>,
    /// The private key, PEM.
    pub key_pem: Zeroizing<Vec<u8>>,
}

impl Tls {
    /// Says whether a door can be opened with them.
    ///
    /// # Errors
    /// What is wrong with the certificate or key.
    pub fn check(&self) -> Result<(), TlsError> {
        acceptor(self, Speech::Rest).map(drop)
    }
}

/// What is wrong with the certificate or key. Never shows either.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text holds no certificate, or a broken one.
    #[error("failed to read the certificate chain")]
    Certificate(#[source] tokio_rustls::rustls::pki_types::pem::Error),
    /// The PEM text holds no private key, or a broken one.
    #[error("failed to read the private key")]
    Key(#[source] tokio_rustls::rustls::pki_types::pem::Error),
    /// The certificate does not go with the key, or one of them cannot be used.
    #[error("the certificate and key cannot be used")]
    Pair(#[source] tokio_rustls::rustls::Error),
}

/// An Ed25519 public key in a certificate begins so, and its 32 bytes follow (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that the peer of a connection has proved in the handshake.
#[derive(Debug)]
pub(crate) struct PeerKey {
    /// The public key's bytes.
    pub(crate) bytes: [u8; 32],
    of: Mutex<Option<OrganisationId>>,
}

impl PeerKey {
    /// A key of which nobody knows yet whose it is.
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self { bytes, of: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Option<OrganisationId>> {
        self.of.lock().expect("nothing panics while it holds whose a key is")
    }

    /// Whose it was found to be by a call before. For taking turns, not for access.
    pub(crate) fn of(&self) -> Option<OrganisationId> {
        self.known().clone()
    }

    /// Says whose it was found to be now. The first stays, until it is nobody's any more: a connection must not go on in
    /// the name of an organisation that has revoked its key.
    pub(crate) fn found(&self, of: Option<&OrganisationId>) {
        let mut known = self.known();
        match of {
            Some(of) => drop(known.get_or_insert_with(|| of.clone())),
            None => *known = None,
        }
    }
}

/// The key that a certificate is about; `None` for other keys than Ed25519's.
pub(crate) fn key_of(certificate: &CertificateDer<'_>) -> Option<PeerKey> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let spki = parsed.subject_public_key_info();
    let bytes = spki.as_ref().strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
    Some(PeerKey::new(bytes))
}

/// Takes every certificate whose key its owner proves, and none at all too.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// An acceptor of TLS 1.2 and 1.3 connections of a door.
pub(crate) fn acceptor(tls: &Tls, speech: Speech) -> Result<TlsAcceptor, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&tls.certificate_pem)
        .collect::<Result<_, _>>()
        .map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key_pem).map_err(TlsError::Key)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = match speech {
        Speech::Rest => builder.with_no_client_auth(),
        Speech::Grpc => builder.with_client_cert_verifier(Arc::new(AnyKey(provider))),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
    match speech {
        Speech::Rest => config.alpn_protocols = vec![b"http/1.1".to_vec()],
        Speech::Grpc => {
            config.alpn_protocols = vec![b"h2".to_vec()];
            // A session that is resumed would skip the proof of the key.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}
