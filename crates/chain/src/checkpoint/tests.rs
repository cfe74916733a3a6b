//! Checkpoints as signed notes: their text, their signatures, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::fixture::{self, Chain};

fn signed() -> SignedCheckpoint {
    let chain = Chain::small();
    Checkpoint::of(chain.blocks[2].header()).sign(&fixture::agency(1), &fixture::receipt_key(1))
}

fn genesis() -> Genesis {
    fixture::genesis(&[1])
}

fn code(note: impl AsRef<[u8]>) -> &'static str {
    match SignedCheckpoint::parse(note.as_ref()).and_then(|signed| signed.verify(&genesis())) {
        Ok(_) => "verified",
        Err(error) => error.code(),
    }
}

/// Changing this text, or how it is signed, makes every checkpoint signed before unreadable.
#[test]
fn the_note_of_a_checkpoint_is_fixed() {
    assert_eq!(signed().to_note(), include_str!("../../golden/checkpoint.note"));
    assert_eq!(
        verifier_key(&fixture::agency(1), &fixture::receipt_key(1).public()),
        "agency-1+5421ca87+AZPbny7g9+OelC+1lEEZC/ILnEPPzIoFGhUkmc85K3o3"
    );
}

#[test]
fn a_checkpoint_survives_its_note_and_names_its_signers() {
    let mut signed = signed();
    assert_eq!(SignedCheckpoint::parse(signed.to_note().as_bytes()).unwrap(), signed);
    assert_eq!(signed.verify(&genesis()), Ok(vec![fixture::agency(1)]));
    // Witnesses whom genesis does not know may sign too.
    signed.add_signature(&fixture::agency(9), &fixture::receipt_key(9));
    signed.add_signature(&fixture::agency(1), &fixture::receipt_key(1));
    let again = SignedCheckpoint::parse(signed.to_note().as_bytes()).unwrap();
    assert_eq!(again.signatures().len(), 3);
    assert_eq!(again.verify(&genesis()), Ok(vec![fixture::agency(1)]));
}

#[test]
fn only_receipt_keys_of_genesis_count() {
    let checkpoint = signed().checkpoint().clone();
    let nobody = |organisation: u8, key: &SecretKey| {
        let signed = checkpoint.clone().sign(&fixture::agency(organisation), key);
        assert_eq!(code(signed.to_note()), "checkpoint.nobody-known");
    };
    nobody(1, &fixture::consensus_key(1));
    nobody(1, &fixture::governance_key(1));
    nobody(2, &fixture::receipt_key(1));
    nobody(2, &fixture::receipt_key(2));
    let empty = SignedCheckpoint { checkpoint: checkpoint.clone(), signatures: Vec::new() };
    assert_eq!(empty.verify(&genesis()), Err(CheckpointError::NobodyKnown));
}

#[test]
fn a_known_key_with_a_false_signature_spoils_the_note() {
    let mut signed = signed();
    let mut false_one = signed.signatures[0].clone();
    false_one.signature[0] ^= 1;
    signed.signatures.push(false_one.clone());
    assert_eq!(code(signed.to_note()), "checkpoint.signature");
    false_one.signature.truncate(63);
    signed.signatures[1] = false_one;
    assert_eq!(code(signed.to_note()), "checkpoint.signature");
}

#[test]
fn a_checkpoint_of_another_chain_is_refused() {
    let other = fixture::genesis(&[2]);
    assert_eq!(signed().verify(&other).unwrap_err().code(), "checkpoint.chain");
}

#[test]
fn a_note_in_a_second_spelling_is_refused() {
    let note = signed().to_note();
    for (from, to, code_expected) in [
        ("\n4\n", "\n04\n", "checkpoint.line"),
        ("\n4\n", "\n+4\n", "checkpoint.line"),
        ("\n4\n", "\n5\n", "checkpoint.signature"),
        ("height 3", "height 03", "checkpoint.line"),
        ("height 3", "height  3", "checkpoint.line"),
        ("height 3", "Height 3", "checkpoint.line"),
        ("\n\n", " \n\n", "checkpoint.line"),
        ("\n\n", "\nmore\n\n", "checkpoint.line"),
        ("\n\n", "\r\n\n", "checkpoint.line"),
        ("\n\n", "\n", "checkpoint.line"),
        ("\n\n", "\n\n\n", "checkpoint.line"),
        ("demo@", "Demo@", "checkpoint.line"),
        ("\u{2014}", "-", "checkpoint.line"),
        ("agency-1", "agency+1", "checkpoint.line"),
        ("agency-1", "", "checkpoint.line"),
        ("=\n\u{2014}", "\n\u{2014}", "checkpoint.line"),
    ] {
        let changed = note.replacen(from, to, 1);
        if changed != note {
            assert_eq!(code(&changed), code_expected, "{from:?} -> {to:?}");
        }
    }
    assert_eq!(code(note.trim_end()), "checkpoint.line");
    assert_eq!(code([note.as_bytes(), b"\xff"].concat()), "checkpoint.not-utf8");
    assert_eq!(code(vec![b'\n'; NOTE_BYTES_MAX + 1]), "checkpoint.too-large");
    assert_eq!(code(""), "checkpoint.line");
    let line = note.lines().last().unwrap();
    let many = note.clone() + &format!("{line}\n").repeat(NOTE_SIGNATURES_MAX);
    assert_eq!(code(many), "checkpoint.too-many-signatures");
}

#[test]
fn a_changed_byte_anywhere_in_the_note_is_noticed() {
    let note = signed().to_note().into_bytes();
    for place in 0..note.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bad = note.clone();
            bad[place] ^= flip;
            assert_ne!(code(&bad), "verified", "byte {place} ^ {flip:#x}");
        }
    }
}

proptest! {
    #![proptest_config(fixture::cases(64))]

    #[test]
    fn no_change_to_a_document_makes_the_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bad = signed().to_note().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bad.len());
            bad[place] = byte;
        }
        let _ = SignedCheckpoint::parse(&bad).map(|signed| signed.verify(&genesis()));
        bad.truncate(cut.index(bad.len()));
        let _ = SignedCheckpoint::parse(&bad).map(|signed| signed.verify(&genesis()));
    }
}
