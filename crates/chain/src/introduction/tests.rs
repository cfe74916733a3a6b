//! The introduction's file: its bytes, its signatures, and every way to spoil it.

use super::*;
use crate::encoding::encode_base64url;
use crate::fixture;

const PAYLOAD: &[u8] = br#"{"version":1}"#;

fn reference(key: &str) -> KeyReference {
    format!("agency-1/{key}").parse().expect("a key reference")
}

fn secrets() -> [(KeyReference, SecretKey); 2] {
    [(reference("consensus-1"), fixture::consensus_key(1)), (reference("governance-1"), fixture::governance_key(1))]
}

fn publics() -> BTreeMap<KeyReference, PublicKey> {
    secrets().into_iter().map(|(reference, secret)| (reference, secret.public())).collect()
}

fn signed() -> SignedIntroduction {
    let secrets = secrets();
    SignedIntroduction::sign(PAYLOAD.to_vec(), &secrets.iter().map(|(by, secret)| (by.clone(), secret)).collect())
}

fn outcome(bytes: &[u8]) -> Result<(), IntroductionError> {
    SignedIntroduction::parse(bytes)?.verify(&publics())
}

/// Changing these bytes makes every introduction invalid that was handed out.
#[test]
fn what_is_signed_is_fixed() {
    let protected =
        encode_base64url(br#"{"alg":"EdDSA","typ":"einvoice-introduction+jws","kid":"agency-1/consensus-1"}"#);
    let signature = fixture::consensus_key(1).sign(format!("{protected}.{}", encode_base64url(PAYLOAD)).as_bytes());
    let first = format!(r#""signatures":[{{"protected":"{protected}","signature":"{signature}"}},"#);
    let file = String::from_utf8(signed().to_bytes()).unwrap();
    assert!(file.starts_with(&format!(r#"{{"payload":"{}",{first}"#, encode_base64url(PAYLOAD))), "{file}");
    assert_eq!(outcome(file.as_bytes()), Ok(()));
    assert_eq!(outcome(file.trim_end().as_bytes()), Ok(()), "the last newline may be missing");
    assert_eq!(signed().fingerprint(), Hash::of(PAYLOAD));
}

#[test]
fn exactly_the_keys_named_have_signed() {
    let whole = signed();
    let check = |spoil: &dyn Fn(&mut SignedIntroduction)| {
        let mut spoilt = whole.clone();
        spoil(&mut spoilt);
        outcome(&spoilt.to_bytes()).unwrap_err()
    };
    let missing = check(&|file| drop(file.signatures.remove(1)));
    assert_eq!(missing, IntroductionError::Missing { key: reference("governance-1") });
    let swapped = check(&|file| file.signatures[0].1.signature = file.signatures[1].1.signature);
    assert!(matches!(&swapped, IntroductionError::Signature { key, .. } if *key == reference("consensus-1")));
    let other = check(&|file| file.payload = br#"{"version":2}"#.to_vec());
    assert!(matches!(other, IntroductionError::Signature { .. }));
    let turned = check(&|file| file.signatures.reverse());
    assert_eq!(turned, IntroductionError::NotSorted { key: reference("consensus-1") });
    let twice = check(&|file| file.signatures.insert(0, file.signatures[0].clone()));
    assert_eq!(twice, IntroductionError::NotSorted { key: reference("consensus-1") });
    let stranger = check(&|file| {
        let by = reference("login-1");
        file.signatures
            .push((by.clone(), FileSignature::new(INTRODUCTION_TYP, &by, &fixture::receipt_key(1), PAYLOAD)));
    });
    assert_eq!(stranger, IntroductionError::UnknownSigner { key: reference("login-1") });
    let genesis = check(&|file| {
        let (by, old) = &mut file.signatures[0];
        *old = FileSignature::new(crate::genesis::GENESIS_TYP, by, &fixture::consensus_key(1), PAYLOAD);
    });
    assert!(matches!(genesis, IntroductionError::Protected { place: 0, .. }), "signed as something else");
}

#[test]
fn a_changed_byte_anywhere_in_the_file_is_noticed() {
    let good = signed().to_bytes();
    for place in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= flip;
            assert!(outcome(&bad).is_err(), "byte {place} ^ {flip:#x}");
        }
    }
    for length in 0..good.len() - 1 {
        assert!(outcome(&good[..length]).is_err(), "cut at {length}");
    }
    assert!(matches!(
        outcome(&vec![b' '; INTRODUCTION_BYTES_MAX + 1]),
        Err(IntroductionError::TooLarge { bytes_max: INTRODUCTION_BYTES_MAX })
    ));
}

#[test]
fn inside_of_another_text_an_introduction_is_the_same_object() {
    let whole = signed();
    let object = serde_json::to_string(&whole).unwrap();
    assert_eq!(format!("{object}\n").as_bytes(), whole.to_bytes());
    let spaced = object.replace(':', " : ");
    assert_eq!(json::from_slice::<SignedIntroduction>(spaced.as_bytes()).unwrap(), whole, "that text has an author");
    assert_eq!(whole.signature_count(), 2);
    for (spoilt, expected) in [
        (object.replacen("\"payload\"", "\"payloads\"", 1), "unknown field"),
        (object.replacen("\"payload\":\"", "\"payload\":\"=", 1), "the introduction's payload is malformed"),
        (
            object.replacen("\"protected\":\"", "\"protected\":\"e", 1),
            "the protected header of signature 0 is malformed",
        ),
    ] {
        let error = json::from_slice::<SignedIntroduction>(spoilt.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
