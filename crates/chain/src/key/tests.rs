//! RFC 8032 and RFC 8037, and the published signatures on which verifiers disagree.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

use super::*;

fn bytes_of<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// The lines of a vector file, in words.
fn vectors<const N: usize>(file: &str) -> Vec<[&str; N]> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            words.try_into().unwrap()
        })
        .collect()
}

/// What our one path says about a signature.
fn verdict(public: &[u8; 32], message: &[u8], signature: [u8; 64]) -> &'static str {
    match PublicKey::from_bytes(public) {
        Err(KeyError::Encoding(_) | KeyError::NotOnCurve) => "not-on-curve",
        Err(KeyError::NotCanonical) => "not-canonical",
        Err(KeyError::SmallOrder) => "small-order",
        Err(KeyError::Torsion) => "torsion",
        Ok(key) => {
            let signature = Signature::from_bytes(signature);
            let verdict = key.verify_strict(message, &signature);
            let prepared = PreparedKey::with_table(key);
            assert_eq!(prepared.verify_strict(message, &signature), verdict, "the table says otherwise of {signature}");
            match verdict {
                Ok(()) => "valid",
                Err(SignatureInvalid) => "signature",
            }
        }
    }
}

#[test]
fn the_vectors_of_rfc_8032_hold() {
    let vectors = vectors::<5>(include_str!("rfc8032.txt"));
    assert_eq!(vectors.len(), 5);
    for [test, seed, public, message, signature] in vectors {
        let secret = SecretKey::from_seed(bytes_of(seed));
        let message = hex::decode(message.trim_matches('-')).unwrap();
        let signature = bytes_of(signature);
        assert_eq!(secret.public().as_bytes(), &bytes_of(public), "{test}");
        assert_eq!(secret.sign(&message).as_bytes(), &signature, "{test}");
        assert_eq!(verdict(&bytes_of(public), &message, signature), "valid");
        assert_eq!(*secret.to_seed(), bytes_of(seed));
        for place in 0..64 {
            let mut other = signature;
            other[place] ^= 1;
            assert_eq!(verdict(&bytes_of(public), &message, other), "signature");
        }
    }
}

#[test]
fn the_key_of_rfc_8037_is_read_and_written() {
    // Appendix A.1 and A.2.
    let secret = SecretKey::from_seed(decode_base64url_array("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap());
    let text = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let public: PublicKey = text.parse().unwrap();
    assert_eq!(secret.public(), public);
    assert_eq!(public.to_string(), text);
    assert_eq!(format!("{secret:?}"), format!("SecretKey(of PublicKey({text}))"));
}

#[test]
fn every_published_edge_case_is_refused() {
    let vectors = vectors::<5>(include_str!("speccheck.txt"));
    assert_eq!(vectors.len(), 12);
    for [case, expected, message, public, signature] in vectors {
        let message = hex::decode(message).unwrap();
        let found = verdict(&bytes_of(public), &message, bytes_of(signature));
        assert_eq!(found, expected, "case {case}");
    }
}

#[test]
fn a_key_that_is_not_canonical_is_refused() {
    let p_plus = |n: u8| {
        // p = 2^255 - 19, little endian.
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed + n;
        bytes[31] = 0x7f;
        bytes
    };
    for n in 0..=18 {
        for sign in [0x00, 0x80] {
            let mut bytes = p_plus(n);
            bytes[31] |= sign;
            let found = PublicKey::from_bytes(&bytes);
            assert!(matches!(found, Err(KeyError::NotCanonical | KeyError::NotOnCurve)), "y = p + {n}: {found:?}");
        }
    }
    // x = 0 with the sign bit set: y = 1 and y = -1.
    let mut one = [0; 32];
    one[0] = 1;
    one[31] = 0x80;
    assert_eq!(PublicKey::from_bytes(&one), Err(KeyError::NotCanonical));
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    assert_eq!(PublicKey::from_bytes(&minus_one), Err(KeyError::NotCanonical));
    // y = 2 is no point of the curve.
    let mut two = [0; 32];
    two[0] = 2;
    assert_eq!(PublicKey::from_bytes(&two), Err(KeyError::NotOnCurve));
}

#[test]
fn a_key_of_small_order_or_with_torsion_is_refused() {
    let good = SecretKey::from_seed([7; 32]).public();
    let point = CompressedEdwardsY(*good.as_bytes()).decompress().unwrap();
    assert_eq!(PublicKey::from_bytes(&point.compress().to_bytes()), Ok(good));
    for (order, torsion) in EIGHT_TORSION.iter().enumerate() {
        assert_eq!(PublicKey::from_bytes(&torsion.compress().to_bytes()), Err(KeyError::SmallOrder));
        if order > 0 {
            assert_eq!(PublicKey::from_bytes(&(point + torsion).compress().to_bytes()), Err(KeyError::Torsion));
        }
    }
}

/// Signs with a chosen `R` in a chosen spelling, as RFC 8032 does with its own.
fn sign_with(seed: [u8; 32], nonce: Scalar, r_bytes: [u8; 32], message: &[u8]) -> [u8; 64] {
    let key = SigningKey::from_bytes(&seed);
    let mut hasher = Sha512::new();
    hasher.update(r_bytes);
    hasher.update(key.verifying_key().as_bytes());
    hasher.update(message);
    let challenge = Scalar::from_bytes_mod_order_wide(&hasher.finalize().into());
    let s = nonce + challenge * key.to_scalar();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r_bytes);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

#[test]
fn a_signature_with_a_chosen_r_is_judged_strictly() {
    let seed = [9; 32];
    let public = *SecretKey::from_seed(seed).public().as_bytes();
    let nonce = Scalar::from(123_456_789_u64);
    let r = EdwardsPoint::mul_base(&nonce);
    let sound = sign_with(seed, nonce, r.compress().to_bytes(), b"m");
    assert_eq!(verdict(&public, b"m", sound), "valid");
    // R is the identity, in both spellings: the equation holds, the signature is refused.
    let identity = EIGHT_TORSION[0].compress().to_bytes();
    let mut spelled_twice = identity;
    spelled_twice[31] |= 0x80;
    for r_bytes in [identity, spelled_twice] {
        let forged = sign_with(seed, Scalar::ZERO, r_bytes, b"m");
        assert_eq!(verdict(&public, b"m", forged), "signature");
    }
    // R with a torsion component: only a cofactored verifier would accept.
    let mixed = (r + EIGHT_TORSION[1]).compress().to_bytes();
    let forged = sign_with(seed, nonce, mixed, b"m");
    assert_eq!(verdict(&public, b"m", forged), "signature");
}

#[test]
fn s_at_or_above_the_group_order_is_refused() {
    // L = 2^252 + 27742317777372353535851937790883648493, little endian.
    let order: [u8; 32] = bytes_of("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let secret = SecretKey::from_seed([1; 32]);
    let public = *secret.public().as_bytes();
    let mut signature = *secret.sign(b"m").as_bytes();
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    assert_eq!(verdict(&public, b"m", signature), "signature");
    signature[32..].copy_from_slice(&order);
    assert_eq!(verdict(&public, b"m", signature), "signature");
}

#[test]
fn keys_and_signatures_keep_their_forms() {
    let secret = SecretKey::from_seed([3; 32]);
    let public = secret.public();
    let signature = secret.sign(b"m");
    let json = serde_json::to_string(&(public, signature)).unwrap();
    assert_eq!(json, format!("[\"{public}\",\"{signature}\"]"));
    let read: (PublicKey, Signature) = serde_json::from_str(&json).unwrap();
    assert_eq!(read, (public, signature));
    let bytes = borsh::to_vec(&(public, signature)).unwrap();
    assert_eq!(bytes, [&public.as_bytes()[..], signature.as_bytes()].concat());
    let read: (PublicKey, Signature) = borsh::from_slice(&bytes).unwrap();
    assert_eq!(read, (public, signature));
    assert!(borsh::from_slice::<PublicKey>(&[0; 32]).is_err());
    assert!(serde_json::from_str::<PublicKey>("\"AAAA\"").is_err());
}
