//! Sign bytes, certificates, and what does not make one.

use proptest::prelude::*;

use super::*;
use crate::fixture;
use crate::hash::Hash;
use crate::identity::ChainName;

fn chain() -> ChainId {
    ChainId::new(ChainName::new("demo").unwrap(), Hash::of(b"genesis"))
}

fn block_id() -> BlockId {
    Hash::of(b"block").into()
}

/// A certificate for height 7, round 2, by these agencies.
fn certificate(signers: impl IntoIterator<Item = u8>) -> CommitCertificate {
    let sign = |number| {
        let key = fixture::consensus_key(number);
        sign_precommit(&key, &chain(), Suite::Ed25519Sha256, 7, 2, &block_id())
    };
    CommitCertificate::new(Suite::Ed25519Sha256, 7, 2, block_id(), signers.into_iter().map(sign).collect())
}

fn verify(certificate: &CommitCertificate, powers: &[u64]) -> Result<(), CertificateError> {
    certificate.verify(&chain(), Suite::Ed25519Sha256, &fixture::validator_set(powers))
}

/// Changing these bytes forks the chain.
#[test]
fn the_bytes_that_a_vote_signs_are_fixed() {
    let voter = fixture::consensus_key(1).public();
    let bytes = |kind, block_id: Option<&BlockId>| {
        hex::encode(vote_sign_bytes(&chain(), Suite::Ed25519Sha256, kind, 7, 2, block_id, &voter))
    };
    let head = concat!("636861696e2f766f74652f7631", "0100", "0400000064656d6f");
    let genesis = Hash::of(b"genesis");
    let voter = hex::encode(voter.as_bytes());
    assert_eq!(
        bytes(VoteKind::Precommit, Some(&block_id())),
        format!("{head}{genesis}0207000000000000000200000001{}{voter}", block_id())
    );
    assert_eq!(
        bytes(VoteKind::Prevote, Some(&block_id())),
        format!("{head}{genesis}0107000000000000000200000001{}{voter}", block_id())
    );
    assert_eq!(bytes(VoteKind::Precommit, None), format!("{head}{genesis}0207000000000000000200000000{voter}"));
    let whole = vote_sign_bytes(
        &chain(),
        Suite::Ed25519Sha256,
        VoteKind::Precommit,
        7,
        2,
        Some(&block_id()),
        &fixture::consensus_key(1).public(),
    );
    assert_eq!(Hash::of(&whole).to_string(), "65533d146170fc318eacfc8f9bce432fff3141d6307acaf5f556ae85f57fbc6c");
}

/// Changing these bytes forks the chain.
#[test]
fn the_bytes_that_a_proposal_signs_are_fixed() {
    let proposer = fixture::consensus_key(1).public();
    let bytes = |pol_round| {
        hex::encode(proposal_sign_bytes(&chain(), Suite::Ed25519Sha256, 7, 2, pol_round, &block_id(), &proposer))
    };
    let genesis = Hash::of(b"genesis");
    let head = concat!("636861696e2f70726f706f73616c2f7631", "0100", "0400000064656d6f");
    let tail = format!("{}{}", block_id(), hex::encode(proposer.as_bytes()));
    assert_eq!(bytes(None), format!("{head}{genesis}07000000000000000200000000{tail}"));
    assert_eq!(bytes(Some(1)), format!("{head}{genesis}0700000000000000020000000101000000{tail}"));
}

/// Changing these bytes makes stored and archived certificates unreadable.
#[test]
fn the_bytes_and_the_json_of_a_certificate_are_fixed() {
    let certificate = certificate([1]);
    let bytes = certificate.encode();
    let signature = certificate.signatures[0];
    assert_eq!(
        hex::encode(&bytes),
        format!(
            concat!(
                "636861696e2f63657274696669636174652f7631",
                "0100",
                "0700000000000000",
                "02000000",
                "{}01000000{}{}"
            ),
            block_id(),
            hex::encode(signature.validator.as_bytes()),
            hex::encode(signature.signature.as_bytes()),
        )
    );
    assert_eq!(CommitCertificate::decode(&bytes).unwrap(), certificate);
    assert_eq!(
        serde_json::to_string(&certificate).unwrap(),
        concat!(
            r#"{"suite":1,"height":7,"round":2,"#,
            r#""block_id":"496aca80e4d8f29fb8e8cd816c3afb48d3f103970b3a2ee1600c08ca67326dee","signatures":["#,
            r#"{"validator":"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w","#,
            r#""signature":"VJrOOcZR99eRsuBxomyTotXIH5VjUQoU8avFyGwWb_bqji9I5QuvPs_NvpvdxII7cQ3FMDCDqAwe0RTyuePHCw"}]}"#,
        )
    );
}

#[test]
fn decoding_a_certificate_is_exact() {
    let bytes = certificate([1, 2]).encode();
    for length in 0..bytes.len() {
        assert!(CommitCertificate::decode(&bytes[..length]).is_err());
    }
    assert!(CommitCertificate::decode(&[&bytes[..], &[0]].concat()).is_err());
    let mut another = bytes.clone();
    another[0] ^= 1;
    assert!(CommitCertificate::decode(&another).is_err());
    // The largest set there may be still fits.
    assert!(CERTIFICATE_BYTES_MAX >= bytes.len() + (VALIDATORS_MAX - 2) * 96);
}

#[test]
fn more_than_two_thirds_of_the_power_decide() {
    assert_eq!(verify(&certificate([1]), &[1]), Ok(()));
    assert_eq!(verify(&certificate([1, 2, 3]), &[1, 1, 1, 1]), Ok(()));
    assert_eq!(verify(&certificate([1, 2, 3, 4]), &[1, 1, 1, 1]), Ok(()));
    assert_eq!(verify(&certificate([1]), &[5, 1, 1]), Ok(()));
    // Exactly two thirds are too few.
    assert_eq!(
        verify(&certificate([1, 2]), &[1, 1, 1]),
        Err(CertificateError::TooLittlePower { signed: 2, needed: 3, total: 3 })
    );
    assert_eq!(
        verify(&certificate([2, 3, 4]), &[5, 1, 1, 1]),
        Err(CertificateError::TooLittlePower { signed: 3, needed: 6, total: 8 })
    );
    assert_eq!(
        verify(&certificate([]), &[1]),
        Err(CertificateError::TooLittlePower { signed: 0, needed: 1, total: 1 })
    );
}

#[test]
fn a_validator_counts_once() {
    let certificate = certificate([1, 1, 1]);
    let validator = Box::new(fixture::consensus_key(1).public());
    assert_eq!(verify(&certificate, &[1, 1, 1, 1]), Err(CertificateError::NotSorted { validator }));
}

#[test]
fn signatures_stand_in_one_order() {
    let mut certificate = certificate([1, 2, 3]);
    certificate.signatures.swap(0, 2);
    assert_eq!(verify(&certificate, &[1, 1, 1]).unwrap_err().code(), "certificate.not-sorted");
}

#[test]
fn a_stranger_spoils_a_certificate() {
    let certificate = certificate([1, 2, 3, 9]);
    let validator = Box::new(fixture::consensus_key(9).public());
    assert_eq!(verify(&certificate, &[1, 1, 1]), Err(CertificateError::UnknownValidator { validator, height: 7 }));
}

#[test]
fn every_signature_listed_must_verify_even_beyond_the_quorum() {
    for place in 0..4 {
        let mut certificate = certificate([1, 2, 3, 4]);
        let mut bytes = *certificate.signatures[place].signature.as_bytes();
        bytes[5] ^= 1;
        certificate.signatures[place].signature = Signature::from_bytes(bytes);
        assert_eq!(verify(&certificate, &[1, 1, 1, 1]).unwrap_err().code(), "certificate.signature");
    }
}

#[test]
fn a_certificate_holds_for_nothing_else() {
    let good = certificate([1]);
    let set = fixture::validator_set(&[1]);
    let other_chain = ChainId::new(ChainName::new("demo").unwrap(), Hash::of(b"another genesis"));
    assert_eq!(good.verify(&other_chain, good.suite, &set).unwrap_err().code(), "certificate.signature");
    for change in [
        |certificate: &mut CommitCertificate| certificate.height += 1,
        |certificate: &mut CommitCertificate| certificate.round += 1,
        |certificate: &mut CommitCertificate| certificate.block_id = Hash::of(b"another").into(),
    ] {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(verify(&changed, &[1]).unwrap_err().code(), "certificate.signature");
    }
}

#[test]
fn neither_a_prevote_nor_a_nil_precommit_nor_a_proposal_decides() {
    let key = fixture::consensus_key(1);
    let (chain, suite, id) = (chain(), Suite::Ed25519Sha256, block_id());
    for signature in [
        sign_vote(&key, &chain, suite, VoteKind::Prevote, 7, 2, Some(&id)),
        sign_vote(&key, &chain, suite, VoteKind::Precommit, 7, 2, None),
        sign_proposal(&key, &chain, suite, 7, 2, None, &id),
    ] {
        let mut certificate = certificate([1]);
        certificate.signatures[0].signature = signature;
        assert_eq!(verify(&certificate, &[1]).unwrap_err().code(), "certificate.signature");
    }
}

#[test]
fn a_certificate_decides_its_own_header_only() {
    let genesis = fixture::genesis(&[1]);
    let header = fixture::first_header(&genesis);
    let certificate = fixture::certify(&header, [1]);
    assert_eq!(certificate.verify_header(&header, genesis.validator_set()), Ok(()));
    let mut other = header.clone();
    other.time_ms += 1;
    assert_eq!(
        certificate.verify_header(&other, genesis.validator_set()),
        Err(CertificateError::BlockId { expected: other.id(), found: header.id() })
    );
    other.height = 2;
    assert_eq!(
        certificate.verify_header(&other, genesis.validator_set()),
        Err(CertificateError::Height { expected: 2, found: 1 })
    );
}

proptest! {
    #![proptest_config(fixture::cases(32))]

    #[test]
    fn a_certificate_verifies_exactly_with_a_quorum(
        powers in prop::collection::vec(1_u64..10, 1..5),
        signs in prop::collection::vec(any::<bool>(), 4),
    ) {
        let signers: Vec<u8> =
            (1..).zip(&powers).zip(&signs).filter(|(_, signs)| **signs).map(|((number, _), _)| number).collect();
        let signed: u64 = signers.iter().map(|&number| powers[usize::from(number) - 1]).sum();
        let total: u64 = powers.iter().sum();
        let verdict = verify(&certificate(signers), &powers);
        prop_assert_eq!(verdict.is_ok(), signed * 3 > total * 2);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let tagged = [&CERTIFICATE_TAG[..], &bytes].concat();
        let _ = CommitCertificate::decode(&bytes);
        let _ = CommitCertificate::decode(&tagged);
    }
}
