//! Signatures by the Standard Webhooks specification, symmetric (`v1`) and asymmetric (`v1a`).
//!
//! No secret is stored: each is derived from the node's own secret, the endpoint's id and how often it was rotated. What
//! a copy of the store holds signs nothing, and an answer can show a secret only by deriving it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::endpoint::EndpointId;
use crate::service::keyed_hash;

/// The secret of an endpoint, of one generation.
pub(crate) struct Secret {
    symmetric: Zeroizing<[u8; 32]>,
    key: SigningKey,
}

impl Secret {
    /// Derives it from the node's secret.
    pub(crate) fn derive(node: &[u8; 32], endpoint: &EndpointId, generation: u32) -> Self {
        let generation = generation.to_be_bytes();
        let of =
            |purpose: &[u8]| Zeroizing::new(keyed_hash(node, &[purpose, endpoint.as_str().as_bytes(), &generation]));
        Self {
            symmetric: of(b"einvoice-webhook-secret-1"),
            key: SigningKey::from_bytes(&of(b"einvoice-webhook-key-1")),
        }
    }

    /// The symmetric secret as its owner gets it, once: `whsec_` and base64.
    pub(crate) fn to_text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(*self.symmetric))
    }

    /// The public key under which the asymmetric signatures verify: `whpk_` and base64. No secret.
    pub(crate) fn public_text(&self) -> String {
        format!("whpk_{}", STANDARD.encode(self.key.verifying_key().as_bytes()))
    }

    /// Both signatures of a message, as the header `webhook-signature` has them.
    pub(crate) fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let signed = signed(id, timestamp_s, body);
        let asymmetric = STANDARD.encode(self.key.sign(&signed).to_bytes());
        format!("v1,{} v1a,{asymmetric}", symmetric(&*self.symmetric, &signed))
    }
}

/// The bytes that are signed: id, timestamp and body, with points between them.
fn signed(id: &str, timestamp_s: u64, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp_s.to_string().as_bytes(), b".", body].concat()
}

fn symmetric(secret: &[u8], signed: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signature;

    use super::*;

    #[test]
    fn the_vector_that_the_specification_s_libraries_are_tested_with_comes_out() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(symmetric(&secret, &signed), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_endpoint_and_generation_has_a_secret_of_its_own_which_comes_back() {
        let (one, two) = (EndpointId::from_random(&[1; 16]), EndpointId::from_random(&[2; 16]));
        let text = |node: u8, endpoint: &EndpointId, generation| {
            let secret = Secret::derive(&[node; 32], endpoint, generation);
            (secret.to_text(), secret.public_text())
        };
        let first = text(7, &one, 0);
        assert_eq!(first, text(7, &one, 0));
        for other in [text(8, &one, 0), text(7, &two, 0), text(7, &one, 1)] {
            assert!(other.0 != first.0 && other.1 != first.1);
        }
        assert!(first.0.starts_with("whsec_") && first.1.starts_with("whpk_"), "{first:?}");
    }

    #[test]
    fn both_signatures_verify_with_what_the_owner_has() {
        let secret = Secret::derive(&[7; 32], &EndpointId::from_random(&[1; 16]), 0);
        let header = secret.sign("msg_1", 1_700_000_000, b"{}");
        let (first, second) = header.split_once(' ').unwrap();
        let own = STANDARD.decode(secret.to_text().strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(first, format!("v1,{}", symmetric(&own, b"msg_1.1700000000.{}")));
        let signature = STANDARD.decode(second.strip_prefix("v1a,").unwrap()).unwrap();
        let public = STANDARD.decode(secret.public_text().strip_prefix("whpk_").unwrap()).unwrap();
        let public = ed25519_dalek::VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        public.verify_strict(b"msg_1.1700000000.{}", &signature).unwrap();
        assert!(public.verify_strict(b"msg_1.1700000001.{}", &signature).is_err());
    }
}
