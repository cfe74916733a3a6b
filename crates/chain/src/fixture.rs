//! Small chains for the tests of this crate: always the same keys, times and bytes.

use serde_json::value::RawValue;

use crate::block::{Header, StateCheckpoint};
use crate::certificate::{CommitCertificate, sign_precommit};
use crate::genesis::{GENESIS_VERSION, Genesis, GenesisBody, GenesisValidator};
use crate::hash::Hash;
use crate::identity::{ChainName, KeyId, OrganisationId};
use crate::key::SecretKey;
use crate::suite::Suite;
use crate::validators::{Validator, ValidatorSet};

/// The time of genesis: 2025-01-01T00:00:00Z.
pub(crate) const GENESIS_TIME_MS: i64 = 1_735_689_600_000;

pub(crate) fn agency(number: u8) -> OrganisationId {
    OrganisationId::new(format!("agency-{number}")).expect("a name")
}

pub(crate) fn consensus_key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(crate) fn governance_key(number: u8) -> SecretKey {
    SecretKey::from_seed([number + 64; 32])
}

pub(crate) fn receipt_key(number: u8) -> SecretKey {
    SecretKey::from_seed([number + 128; 32])
}

pub(crate) fn validator(number: u8, power: u64) -> Validator {
    Validator {
        organisation: agency(number),
        key: consensus_key(number).public(),
        power,
    }
}

/// The set of agencies 1, 2, … with these powers.
pub(crate) fn validator_set(powers: &[u64]) -> ValidatorSet {
    let validators = (1..)
        .zip(powers)
        .map(|(number, &power)| validator(number, power))
        .collect();
    ValidatorSet::new(validators).expect("a set")
}

pub(crate) fn genesis_body(powers: &[u64]) -> GenesisBody {
    let validators = (1..).zip(powers).map(|(number, &power)| GenesisValidator {
        organisation: agency(number),
        power,
        consensus: consensus_key(number).public(),
        governance: governance_key(number).public(),
        receipt: receipt_key(number).public(),
    });
    GenesisBody {
        version: GENESIS_VERSION,
        name: ChainName::new("demo").expect("a name"),
        suite: Suite::Ed25519Sha256,
        time_ms: GENESIS_TIME_MS,
        validators: validators.collect(),
        ledger: RawValue::from_string(r#"{"organisations":[]}"#.to_owned()).expect("JSON"),
    }
}

/// A genesis that all its validators have countersigned.
pub(crate) fn genesis(powers: &[u64]) -> Genesis {
    let mut genesis = Genesis::assemble(&genesis_body(powers)).expect("a genesis");
    for (number, _) in (1..).zip(powers) {
        countersign(&mut genesis, number);
    }
    genesis
}

pub(crate) fn countersign(genesis: &mut Genesis, number: u8) {
    let key_id = KeyId::new("governance-1").expect("a name");
    genesis
        .countersign(&agency(number), &key_id, &governance_key(number))
        .expect("the agency's key");
}

/// A header of height 1 without statements.
pub(crate) fn first_header(genesis: &Genesis) -> Header {
    let validators_hash = genesis.validator_set().hash();
    Header {
        version: crate::block::HEADER_VERSION,
        suite: genesis.suite(),
        chain: genesis.chain_id(),
        height: 1,
        parent: genesis.block_id(),
        time_ms: GENESIS_TIME_MS + 1_000,
        proposer: consensus_key(1).public(),
        statements_root: Hash::EMPTY,
        statement_count: 0,
        log_root: Hash::EMPTY,
        log_size: 0,
        writes_hash: Hash::EMPTY,
        state_checkpoint: StateCheckpoint {
            height: 0,
            root: Hash::EMPTY,
        },
        validators_hash,
        next_validators_hash: validators_hash,
    }
}

/// A certificate of these agencies for a header, in round 0.
pub(crate) fn certify(header: &Header, signers: impl IntoIterator<Item = u8>) -> CommitCertificate {
    let id = header.id();
    let sign = |number| {
        sign_precommit(
            &consensus_key(number),
            &header.chain,
            header.suite,
            header.height,
            0,
            &id,
        )
    };
    CommitCertificate::new(
        header.suite,
        header.height,
        0,
        id,
        signers.into_iter().map(sign).collect(),
    )
}
