//! TLS through rustls and ring.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// The certificate chain and key of the door.
#[derive(Clone)]
pub struct Tls {
    /// The chain, leaf first, PEM.
    pub certificate_pem: Vec<u8>,
    /// The private key, PEM.
    pub key_pem: Zeroizing<Vec<u8>>,
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

/// An acceptor of TLS 1.2 and 1.3 connections that speak HTTP/1.1.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&tls.certificate_pem)
        .collect::<Result<_, _>>()
        .map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key_pem).map_err(TlsError::Key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
