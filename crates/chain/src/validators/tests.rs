//! Validator sets: their bytes, order, limits and quorum.

use proptest::prelude::*;

use super::*;
use crate::fixture::{self, validator, validator_set as set};

/// Changing these bytes forks the chain.
#[test]
fn the_bytes_and_the_hash_of_a_set_are_fixed() {
    let set = set(&[1, 2]);
    assert_eq!(
        hex::encode(borsh::to_vec(&set).unwrap()),
        concat!(
            "02000000",
            "080000006167656e63792d32",
            "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394",
            "0200000000000000",
            "080000006167656e63792d31",
            "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
            "0100000000000000",
        )
    );
    assert_eq!(set.hash().to_string(), "26df710bc1a1e5950edec70b96f60169563cb14c9171d383e1dbb042501c841f");
}

#[test]
fn a_set_has_one_order_whatever_order_it_was_given_in() {
    let forward = ValidatorSet::new(vec![validator(1, 1), validator(2, 1), validator(3, 1)]).unwrap();
    let backward = ValidatorSet::new(vec![validator(3, 1), validator(2, 1), validator(1, 1)]).unwrap();
    assert_eq!(forward, backward);
    assert_eq!(forward.hash(), backward.hash());
    assert!(forward.validators().is_sorted_by_key(|validator| validator.key));

    let mut reversed: Vec<Validator> = forward.into();
    reversed.reverse();
    assert!(matches!(ValidatorSet::try_from(reversed.clone()), Err(ValidatorSetError::NotSorted { .. })));
    assert!(borsh::from_slice::<ValidatorSet>(&borsh::to_vec(&reversed).unwrap()).is_err());
    assert!(serde_json::from_value::<ValidatorSet>(serde_json::to_value(&reversed).unwrap()).is_err());
}

#[test]
fn what_is_no_set_is_refused_with_its_reason() {
    let twin = |mut validator: Validator| {
        validator.organisation = OrganisationId::new("another").unwrap();
        validator
    };
    let mut same_organisation = validator(2, 1);
    same_organisation.organisation = validator(1, 1).organisation;
    for (validators, code) in [
        (vec![], "validators.empty"),
        (vec![validator(1, 1), twin(validator(1, 1))], "validators.duplicate-key"),
        (vec![validator(1, 1), same_organisation], "validators.duplicate-organisation"),
        (vec![validator(1, 0)], "validators.no-power"),
        (vec![validator(1, TOTAL_POWER_MAX), validator(2, 1)], "validators.too-much-power"),
        (vec![validator(1, u64::MAX), validator(2, u64::MAX)], "validators.too-much-power"),
        ((0..129).map(|seed| validator(seed, 1)).collect(), "validators.too-many"),
    ] {
        let bytes = borsh::to_vec(&validators).unwrap();
        assert!(borsh::from_slice::<ValidatorSet>(&bytes).is_err(), "{code}");
        assert_eq!(ValidatorSet::new(validators).unwrap_err().code(), code);
    }
    assert!(ValidatorSet::new((0..128).map(|seed| validator(seed, 1)).collect()).is_ok());
    assert!(ValidatorSet::new(vec![validator(1, TOTAL_POWER_MAX)]).is_ok());
}

#[test]
fn a_set_claiming_a_huge_length_is_refused() {
    assert!(borsh::from_slice::<ValidatorSet>(&[0xff; 4]).is_err());
    assert!(borsh::from_slice::<ValidatorSet>(&[1, 0, 0, 0]).is_err());
}

#[test]
fn a_quorum_is_strictly_more_than_two_thirds() {
    for (powers, quorum) in [
        (&[1][..], 1),
        (&[1, 1], 2),
        (&[1, 1, 1], 3),
        (&[1, 1, 1, 1], 3),
        (&[1, 1, 1, 1, 1, 1], 5),
        (&[1, 1, 1, 1, 1, 1, 1], 5),
        (&[10, 20, 30, 40], 67),
    ] {
        assert_eq!(set(powers).quorum_power(), quorum, "{powers:?}");
    }
}

#[test]
fn a_validator_is_found_by_its_key() {
    let set = set(&[1, 2, 3]);
    assert_eq!(set.get(&validator(2, 2).key), Some(&validator(2, 2)));
    assert_eq!(set.get(&validator(4, 1).key), None);
    assert_eq!(set.total_power(), 6);
}

proptest! {
    #![proptest_config(fixture::cases(64))]

    #[test]
    fn the_quorum_is_the_least_power_above_two_thirds(power in 1..=TOTAL_POWER_MAX) {
        let set = set(&[power]);
        let (quorum, total) = (u128::from(set.quorum_power()), u128::from(power));
        prop_assert!(quorum * 3 > total * 2);
        prop_assert!((quorum - 1) * 3 <= total * 2);
        prop_assert!(quorum <= total);
    }

    #[test]
    fn a_set_survives_borsh_and_json(powers in prop::collection::vec(1_u64..1000, 1..8)) {
        let set = set(&powers);
        prop_assert_eq!(&borsh::from_slice::<ValidatorSet>(&borsh::to_vec(&set).unwrap()).unwrap(), &set);
        let json = serde_json::to_string(&set).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ValidatorSet>(&json).unwrap(), &set);
    }
}
