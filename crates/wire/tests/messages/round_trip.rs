//! Every value comes back from its message as it was.

use std::fmt::Debug;

use proptest::prelude::*;
use wire::Portable;

use super::values;
use super::values::{
    any_block, any_body, any_certificate, any_checkpoint, any_committed_block, any_header, any_leaf, any_outcome,
    any_receipt, any_set,
};

fn check<T: Portable + PartialEq + Debug>(value: &T) {
    let decoded = wire::decode::<T>(&wire::encode(value)).expect("what was encoded can be decoded");
    assert_eq!(&decoded, value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_header_comes_back_and_keeps_its_id(header in any_header()) {
        check(&header);
        let decoded: chain::block::Header = wire::decode(&wire::encode(&header)).expect("what was encoded");
        prop_assert_eq!(decoded.id(), header.id());
    }

    #[test]
    fn a_validator_set_comes_back(set in any_set()) {
        check(&set);
    }

    #[test]
    fn a_certificate_comes_back(certificate in any_certificate()) {
        check(&certificate);
    }

    #[test]
    fn an_outcome_comes_back(outcome in any_outcome()) {
        check(&outcome);
    }

    #[test]
    fn a_leaf_comes_back(leaf in any_leaf()) {
        check(&leaf);
    }

    #[test]
    fn a_block_comes_back(block in any_block()) {
        check(&block);
    }

    #[test]
    fn a_body_comes_back(body in any_body()) {
        check(&body);
    }

    #[test]
    fn a_committed_block_comes_back(block in any_committed_block()) {
        check(&block);
    }

    #[test]
    fn a_receipt_comes_back(receipt in any_receipt()) {
        check(&receipt);
    }

    #[test]
    fn a_checkpoint_comes_back(checkpoint in any_checkpoint()) {
        check(&checkpoint);
    }
}

#[test]
fn the_largest_lists_fit() {
    check(&values::set(128));
    check(&values::certificate(128));
    let mut receipt = values::receipt();
    receipt.record = vec![0; 64 * 1024];
    let mut change = receipt.validator_changes[0].clone();
    (change.certificate, change.next_validators) = (values::certificate(0), values::set(1));
    receipt.validator_changes = vec![change; 4096];
    check(&receipt);
    let mut body = values::body();
    let smallest = chain::block::Outcome { code: "a".to_owned(), subject: String::new(), record: Vec::new() };
    let largest = chain::block::Outcome { code: "a".repeat(64), subject: "b".repeat(256), record: vec![0; 64 * 1024] };
    body.outcomes = vec![vec![smallest; 1000], vec![largest; 100]];
    check(&body);
}
