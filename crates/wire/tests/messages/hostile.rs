//! What strangers send: refused with the field that is wrong, never a panic, never taken for a value.

use std::fmt::Debug;

use chain::block::{Block, Body, CommittedBlock, Header, Leaf, Outcome};
use chain::certificate::CommitCertificate;
use chain::checkpoint::SignedCheckpoint;
use chain::receipt::Receipt;
use chain::validators::ValidatorSet;
use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Error, Portable, decode, generated};

use super::values;

/// Changes the message of a value, and expects the refusal with this code, path and evidence.
pub(crate) fn refuse<T: Portable + Debug>(value: &T, change: impl FnOnce(&mut T::Message), refusal: [&str; 4]) {
    let mut message = T::Message::from(value);
    change(&mut message);
    let error = T::try_from(message).expect_err("the message is not a value");
    let [code, path, expected, found] = refusal;
    assert_eq!((error.code(), error.path()), (code, path), "{error}");
    assert_eq!(error.expected(), expected, "{error}");
    assert!(error.found().contains(found), "{error}");
}

pub(crate) const MALFORMED: &str = "wire.malformed-field";
pub(crate) const MISSING: &str = "wire.missing-field";
pub(crate) const TOO_MANY: &str = "wire.too-many-entries";

#[test]
fn a_wrong_field_of_a_header_is_named() {
    let header = values::header();
    refuse(&header, |m| m.parent.truncate(31), [MALFORMED, "parent", "32 bytes", "31 bytes"]);
    refuse(&header, |m| m.log_root.clear(), [MALFORMED, "log_root", "32 bytes", "0 bytes"]);
    refuse(&header, |m| m.version = 65_536, [MALFORMED, "version", "at most 65535", "65536"]);
    refuse(&header, |m| m.suite = 0, [MALFORMED, "suite", "a known suite", "0"]);
    refuse(&header, |m| m.suite = 77, [MALFORMED, "suite", "a known suite", "77"]);
    refuse(&header, |m| m.chain_id.push('0'), [MALFORMED, "chain_id", "a chain id", "genesis hash"]);
    refuse(&header, |m| m.state_checkpoint = None, [MISSING, "state_checkpoint", "a state checkpoint", "nothing"]);
    let shorten = |m: &mut generated::Header| m.state_checkpoint.as_mut().expect("it is there").root.truncate(31);
    refuse(&header, shorten, [MALFORMED, "state_checkpoint.root", "32 bytes", "31 bytes"]);
    // The point of order 1, which every message would verify under.
    let mut identity = vec![0; 32];
    identity[0] = 1;
    refuse(&header, |m| m.proposer = identity, [MALFORMED, "proposer", "an admissible public key", "order"]);
}

#[test]
fn a_wrong_entry_of_a_list_is_named_with_its_place() {
    let set = values::set(3);
    refuse(&set, |m| m.validators[2].key.truncate(31), [MALFORMED, "validators[2].key", "32 bytes", "31 bytes"]);
    let name = |m: &mut generated::ValidatorSet| m.validators[1].organisation.insert(0, 'A');
    refuse(&set, name, [MALFORMED, "validators[1].organisation", "an organisation id", "64 bytes"]);
    refuse(&set, |m| m.validators.swap(0, 1), [MALFORMED, "validators", "a validator set", "not in its place"]);
    refuse(&set, |m| m.validators.clear(), [MALFORMED, "validators", "a validator set", "never empty"]);
    let certificate = values::certificate(2);
    let shorten = |m: &mut generated::CommitCertificate| m.signatures[1].signature.truncate(63);
    refuse(&certificate, shorten, [MALFORMED, "signatures[1].signature", "64 bytes", "63 bytes"]);
    let body = values::body();
    let lengthen = |m: &mut generated::Body| m.outcomes[1].outcomes[0].subject = "x".repeat(257);
    refuse(&body, lengthen, [MALFORMED, "outcomes[1].outcomes[0].subject", "at most 256 bytes", "257 bytes"]);
}

#[test]
fn a_list_longer_than_its_limit_is_refused_before_its_entries_are_read() {
    let certificate = values::certificate(1);
    let grow = |m: &mut generated::CommitCertificate| m.signatures.resize_with(129, Default::default);
    refuse(&certificate, grow, [TOO_MANY, "signatures", "at most 128 entries", "129 entries"]);
    let body = values::body();
    let grow = |m: &mut generated::Body| m.outcomes[0].outcomes.resize_with(1001, Default::default);
    refuse(&body, grow, [TOO_MANY, "outcomes[0].outcomes", "at most 1000 entries", "1001 entries"]);
    let grow = |m: &mut generated::Block| m.statements.resize_with(16_385, Default::default);
    refuse(&body.block, grow, [TOO_MANY, "statements", "at most 16384 entries", "16385 entries"]);
}

#[test]
fn the_body_of_a_committed_block_is_read_strictly() {
    let block = CommittedBlock { body: values::body(), certificate: values::certificate(1) };
    let refusal = [MALFORMED, "body", "an encoded body", "not a well-formed block body"];
    refuse(&block, |m| m.body.push(0), refusal);
    refuse(&block, |m| m.body[0] ^= 1, refusal);
    refuse(&block, |m| m.certificate = None, [MISSING, "certificate", "a commit certificate", "nothing"]);
}

#[test]
fn a_wrong_field_deep_in_a_receipt_is_named() {
    let receipt = values::receipt();
    let node = |m: &mut generated::Receipt| m.inclusion[1].truncate(31);
    refuse(&receipt, node, [MALFORMED, "inclusion[1]", "32 bytes", "31 bytes"]);
    let grow = |m: &mut generated::Receipt| m.inclusion.resize(65, vec![0; 32]);
    refuse(&receipt, grow, [TOO_MANY, "inclusion", "at most 64 entries", "65 entries"]);
    let lose = |m: &mut generated::Receipt| m.validator_changes[0].header = None;
    refuse(&receipt, lose, [MISSING, "validator_changes[0].header", "a header", "nothing"]);
    let grow = |m: &mut generated::Receipt| m.record = vec![0; 64 * 1024 + 1];
    refuse(&receipt, grow, [MALFORMED, "record", "at most 65536 bytes", "65537 bytes"]);
}

#[test]
fn a_note_that_is_no_checkpoint_is_refused() {
    let refusal = [MALFORMED, "note", "a signed log checkpoint", "line"];
    refuse(&values::checkpoint(), |m| m.note.insert(0, '\n'), refusal);
}

#[test]
fn an_empty_entry_of_a_list_takes_little_memory() {
    // Two bytes on the wire each; `wire::decode` says how much they may become.
    for size in [
        size_of::<generated::Outcome>(),
        size_of::<generated::StatementOutcomes>(),
        size_of::<generated::Validator>(),
        size_of::<generated::ValidatorChange>(),
        size_of::<generated::CommitSignature>(),
    ] {
        assert!(size <= 80, "{size} bytes");
    }
}

#[test]
fn too_many_bytes_are_refused_before_they_are_read() {
    let bytes = vec![0; Leaf::BYTES_MAX + 1];
    let error = decode::<Leaf>(&bytes).expect_err("one byte too many");
    assert_eq!(error.code(), "wire.too-large");
    assert!(matches!(decode::<Leaf>(&bytes[1..]), Err(Error::NotProtobuf { message: "Leaf", .. })));
}

#[test]
fn fields_that_nobody_knows_yet_are_passed_over() {
    let leaf = values::leaf();
    let mut bytes = wire::encode(&leaf);
    bytes.extend([0xf8, 0x07, 0x01]); // Field 127, varint 1.
    assert_eq!(decode::<Leaf>(&bytes), Ok(leaf));
}

/// Decodes the bytes as every message. What is decoded must come back from its own encoding.
fn decode_as_everything(bytes: &[u8]) {
    fn check<T: Portable + PartialEq + Debug>(bytes: &[u8]) {
        match decode::<T>(bytes) {
            Ok(value) => assert_eq!(decode::<T>(&wire::encode(&value)), Ok(value)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    check::<Header>(bytes);
    check::<Block>(bytes);
    check::<Body>(bytes);
    check::<CommittedBlock>(bytes);
    check::<CommitCertificate>(bytes);
    check::<ValidatorSet>(bytes);
    check::<Outcome>(bytes);
    check::<Leaf>(bytes);
    check::<Receipt>(bytes);
    check::<SignedCheckpoint>(bytes);
}

proptest! {
    #[test]
    fn no_bytes_bring_the_program_down(bytes in vec(any::<u8>(), 0..300)) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn no_damage_brings_the_program_down(at in any::<prop::sample::Index>(), flip in 1_u8.., cut in any::<prop::sample::Index>()) {
        let block = CommittedBlock { body: values::body(), certificate: values::certificate(2) };
        for mut bytes in [wire::encode(&block), wire::encode(&block.body), wire::encode(&values::receipt())] {
            let place = at.index(bytes.len());
            bytes[place] ^= flip;
            decode_as_everything(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            decode_as_everything(&bytes);
        }
    }
}
