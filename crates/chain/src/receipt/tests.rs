//! Receipts: their JSON, what they prove, and every way to spoil one.

use proptest::prelude::*;

use super::*;
use crate::block::StateCheckpoint;
use crate::certificate::CommitSignature;
use crate::fixture::{self, Chain};

/// A chain on which the set changes twice before the newest block.
fn changing_chain() -> Chain {
    let mut chain = Chain::small();
    chain.push_change(4);
    chain.push(&[&[r#"{"e":5}"#]]);
    chain
}

fn check(change: &dyn Fn(&mut Receipt), code: &str) {
    let chain = changing_chain();
    let mut receipt = chain.receipt(4);
    assert!(receipt.verify(&chain.genesis).is_ok());
    change(&mut receipt);
    assert_eq!(receipt.verify(&chain.genesis).unwrap_err().code(), code);
}

/// Changing this form makes receipts that are out in the world unreadable.
#[test]
fn the_json_of_a_receipt_is_fixed() {
    let chain = Chain::small();
    assert_eq!(chain.receipt(2).to_json() + "\n", include_str!("../../golden/receipt.json"));
}

#[test]
fn a_receipt_proves_leaf_record_and_time() {
    let chain = changing_chain();
    for (index, leaf) in chain.leaves.iter().enumerate() {
        let receipt = Receipt::parse(chain.receipt(index).to_json().as_bytes()).unwrap();
        let verified = receipt.verify(&chain.genesis).unwrap();
        assert_eq!(&verified.leaf, leaf);
        assert_eq!(verified.record, chain.records[index]);
        assert_eq!(verified.header, *chain.blocks[4].header());
        assert_eq!(verified.time_ms, fixture::GENESIS_TIME_MS + 5_000);
    }
}

#[test]
fn a_receipt_of_one_validator_is_below_2_kb() {
    let mut chain = Chain::new(1);
    chain.push(&[&[r#"{"a":1}"#, r#"{"b":2}"#], &[r#"{"c":3}"#]]);
    let json = chain.receipt(1).to_json();
    assert!(json.len() < 2_000, "{} bytes", json.len());
}

#[test]
fn a_receipt_under_another_genesis_proves_nothing() {
    let chain = changing_chain();
    let mut other = fixture::genesis_body(&[1]);
    other.time_ms += 1;
    let other = Genesis::assemble(&other).unwrap();
    assert_eq!(chain.receipt(0).verify(&other).unwrap_err().code(), "receipt.chain");
}

#[test]
fn a_false_leaf_or_record_is_found() {
    check(&|receipt| receipt.version = 2, "receipt.version");
    check(&|receipt| receipt.leaf.event += 1, "receipt.inclusion");
    check(&|receipt| receipt.leaf.code = "repeated".to_owned(), "receipt.inclusion");
    check(&|receipt| receipt.leaf.subject.push('x'), "receipt.inclusion");
    check(&|receipt| receipt.leaf.event_hash = Hash::EMPTY, "receipt.inclusion");
    check(&|receipt| receipt.leaf.height -= 1, "receipt.inclusion");
    check(&|receipt| receipt.leaf.height = 0, "receipt.leaf-height");
    check(&|receipt| receipt.leaf.height = 6, "receipt.leaf-height");
    check(&|receipt| receipt.record.push(0), "receipt.record");
    check(&|receipt| receipt.leaf.record_hash = Hash::EMPTY, "receipt.record");
    check(&|receipt| receipt.leaf_index -= 1, "receipt.inclusion");
    check(&|receipt| receipt.leaf_index = u64::MAX, "receipt.inclusion");
    check(&|receipt| receipt.tree_size += 1, "receipt.tree-size");
    check(&|receipt| receipt.inclusion.clear(), "receipt.inclusion");
    check(&|receipt| receipt.inclusion.push(Hash::EMPTY), "receipt.inclusion");
    check(&|receipt| receipt.inclusion = vec![Hash::EMPTY; 10_000], "receipt.inclusion");
}

#[test]
fn a_false_header_or_certificate_is_found() {
    check(&|receipt| receipt.header.log_root = Hash::EMPTY, "receipt.certificate");
    check(&|receipt| receipt.header.time_ms += 1, "receipt.certificate");
    check(&|receipt| receipt.header.version = 2, "receipt.header-version");
    check(&|receipt| receipt.header.chain = ChainId::new(receipt.chain.name().clone(), Hash::EMPTY), "receipt.chain");
    check(&|receipt| receipt.header.validators_hash = Hash::EMPTY, "receipt.validators");
    check(&|receipt| receipt.certificate.round += 1, "receipt.certificate");
    check(&|receipt| receipt.certificate.signatures.truncate(2), "receipt.certificate");
    check(
        &|receipt| {
            // A header that a minority of the validators made up.
            receipt.header.state_checkpoint = StateCheckpoint { height: 1, root: Hash::EMPTY };
            receipt.certificate = fixture::certify(&receipt.header, [1, 2]);
        },
        "receipt.certificate",
    );
}

#[test]
fn the_chain_of_validator_sets_is_followed_from_genesis() {
    let strangers = || fixture::validator_set(&[5, 1]);
    check(&|receipt| receipt.validator_changes.clear(), "receipt.validators");
    check(&|receipt| drop(receipt.validator_changes.remove(0)), "receipt.validators");
    check(&|receipt| receipt.validator_changes.truncate(1), "receipt.validators");
    check(&|receipt| receipt.validator_changes.swap(0, 1), "receipt.validators");
    check(&|receipt| receipt.validator_changes[1] = receipt.validator_changes[0].clone(), "receipt.order");
    check(&|receipt| receipt.validator_changes[0].next_validators = strangers(), "receipt.next-validators");
    check(
        &|receipt| {
            let change = &mut receipt.validator_changes[0];
            change.next_validators = strangers();
            change.header.next_validators_hash = strangers().hash();
        },
        "receipt.certificate",
    );
    // Those of the newest set cannot bring themselves in.
    check(
        &|receipt| {
            let change = &mut receipt.validator_changes[1];
            change.certificate = fixture::certify(&change.header, [3, 4]);
        },
        "receipt.certificate",
    );
    // Nor does an old set decide once it has been replaced.
    let old: &dyn Fn(&mut Receipt) = &|receipt| {
        let signatures: Vec<CommitSignature> = fixture::certify(&receipt.header, [1]).signatures;
        receipt.certificate.signatures = signatures;
    };
    check(old, "receipt.certificate");
}

#[test]
fn a_decided_header_is_proved_without_any_event() {
    let chain = changing_chain();
    let Receipt { header, certificate, validator_changes, .. } = chain.receipt(4);
    let decided = DecidedHeader { header, certificate, validator_changes };
    let json = serde_json::to_string(&decided).unwrap();
    let read: DecidedHeader = json::from_slice(json.as_bytes()).unwrap();
    assert_eq!(read.verify(&chain.genesis).unwrap(), chain.blocks[4].header());
    let check = |change: &dyn Fn(&mut DecidedHeader), code: &str| {
        let mut other = decided.clone();
        change(&mut other);
        assert_eq!(other.verify(&chain.genesis).unwrap_err().code(), code);
    };
    check(&|of| of.header.state_checkpoint.root = Hash::of(b"another state"), "receipt.certificate");
    check(&|of| of.validator_changes.clear(), "receipt.validators");
    check(&|of| of.header.height = 1, "receipt.order");
}

#[test]
fn what_is_no_receipt_is_refused() {
    let json = Chain::small().receipt(2).to_json();
    for (from, to) in [
        ("{\"version\":1", "{\"version\":1,\"version\":1"),
        ("{\"version\":1", "{\"version\":1,\"extra\":1"),
        ("{\"version\":1", "{\"version\":1.0"),
        ("\"suite\":1", "\"suite\":2"),
        ("\"record\":\"", "\"record\":\"="),
        ("\"header\":\"", "\"header\":\"A"),
        ("\"leaf_index\":2", "\"leaf_index\":-2"),
        ("\"leaf_index\":2", "\"leaf_index\":\"2\""),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        assert_eq!(Receipt::parse(changed.as_bytes()).unwrap_err().code(), "receipt.malformed", "{to}");
    }
    assert_eq!(Receipt::parse(&vec![b' '; RECEIPT_BYTES_MAX + 1]).unwrap_err().code(), "receipt.too-large");
    assert_eq!(Receipt::parse(b"").unwrap_err().code(), "receipt.malformed");
}

#[test]
fn a_changed_byte_anywhere_in_the_receipt_is_noticed() {
    let chain = Chain::small();
    let json = chain.receipt(3).to_json().into_bytes();
    for place in 0..json.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bad = json.clone();
            bad[place] ^= flip;
            let verdict = Receipt::parse(&bad).and_then(|receipt| receipt.verify(&chain.genesis));
            assert!(verdict.is_err(), "byte {place} ^ {flip:#x}");
        }
    }
}

proptest! {
    #![proptest_config(fixture::cases(24))]

    #[test]
    fn every_event_of_any_chain_has_a_receipt(sizes in prop::collection::vec(0_usize..5, 1..8)) {
        let mut chain = Chain::new(1);
        for size in sizes {
            let events = vec![r#"{"x":1}"#; size];
            let statement: &[&str] = &events;
            chain.push(if size == 0 { &[] } else { std::slice::from_ref(&statement) });
        }
        for index in 0..chain.leaves.len() {
            prop_assert!(chain.receipt(index).verify(&chain.genesis).is_ok());
        }
    }

    #[test]
    fn no_change_to_a_document_makes_the_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let chain = Chain::small();
        let mut bad = chain.receipt(3).to_json().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bad.len());
            bad[place] = byte;
        }
        let _ = Receipt::parse(&bad).map(|receipt| receipt.verify(&chain.genesis));
        bad.truncate(cut.index(bad.len()));
        let _ = Receipt::parse(&bad).map(|receipt| receipt.verify(&chain.genesis));
    }
}
