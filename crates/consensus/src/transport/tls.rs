//! TLS between nodes: certificates that say nothing but a key.
//!
//! A node's certificate is made at each start and signed by its own peer key. Who may connect is decided by the key
//! alone, as the ledger lists it: no authority, no name and no date is looked at, so the network goes on when every
//! calendar is wrong. Sessions are never resumed, because that would skip the question whose key it is.

use std::sync::Arc;

use chain::key::SecretKey;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wire::peer::KeyBytes;

use super::{Allowed, TransportError};

/// The protocol that both ends must name (RFC 7301).
const ALPN: &[u8] = b"h2";

/// What every node calls itself in TLS; nobody looks at it.
pub(super) const NAME: &str = "einvoice-peer";

/// An Ed25519 key in PKCS #8 begins so, and its 32 bytes follow (RFC 8410 §7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An Ed25519 public key in a certificate begins so, and its 32 bytes follow (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The key that a certificate is about.
pub(super) fn key_of(certificate: &CertificateDer<'_>) -> Option<KeyBytes> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let spki = parsed.subject_public_key_info();
    spki.as_ref().strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

/// Says whether a certificate is of a peer that is wanted here.
struct ByKey {
    wanted: Allowed,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for ByKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByKey").finish_non_exhaustive()
    }
}

impl ByKey {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let known = key_of(certificate).is_some_and(|key| (self.wanted)(&key));
        if known { Ok(()) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
}

/// TLS 1.2 is off, so nobody asks for this.
fn only_tls13() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.3 is asked for".to_owned()))
}

impl ServerCertVerifier for ByKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        only_tls13()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for ByKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        only_tls13()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// What this node proves its key with.
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

fn tls_error(error: impl std::fmt::Display) -> TransportError {
    TransportError::Tls(error.to_string())
}

impl Identity {
    pub(super) fn new(secret: &SecretKey) -> Result<Self, TransportError> {
        let mut pkcs8 = PKCS8_PREFIX.to_vec();
        pkcs8.extend_from_slice(&*secret.to_seed());
        let key = PrivatePkcs8KeyDer::from(pkcs8);
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519).map_err(tls_error)?;
        let mut parameters = CertificateParams::new(vec![NAME.to_owned()]).map_err(tls_error)?;
        parameters.distinguished_name.push(DnType::CommonName, NAME);
        // No date is looked at; these are for those who show certificates to people.
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(4096, 1, 1);
        let certificate = parameters.self_signed(&pair).map_err(tls_error)?.der().clone();
        Ok(Self { certificate, key, provider: Arc::new(rustls::crypto::ring::default_provider()) })
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }

    /// Takes connections of those who are allowed.
    pub(super) fn server(&self, allowed: Allowed) -> Result<TlsAcceptor, TransportError> {
        let verifier = Arc::new(ByKey { wanted: allowed, provider: Arc::clone(&self.provider) });
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.certificate.clone()], self.private_key())
            .map_err(tls_error)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Calls the one peer that has this key.
    pub(super) fn client(&self, peer: KeyBytes) -> Result<TlsConnector, TransportError> {
        let verifier =
            Arc::new(ByKey { wanted: Arc::new(move |key| *key == peer), provider: Arc::clone(&self.provider) });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(vec![self.certificate.clone()], self.private_key())
            .map_err(tls_error)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_the_key_it_was_made_with() {
        let secret = SecretKey::from_seed([7; 32]);
        let identity = Identity::new(&secret).unwrap();
        assert_eq!(key_of(&identity.certificate), Some(*secret.public().as_bytes()));
        assert_eq!(key_of(&CertificateDer::from(vec![0x30, 0x00])), None);
    }

    #[test]
    fn a_certificate_of_another_kind_of_key_is_nobodys() {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&pair).unwrap();
        assert_eq!(key_of(certificate.der()), None);
    }
}
