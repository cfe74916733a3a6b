//! Values of every kind: any at all for properties, and always the same for golden bytes.

use chain::block::{Block, Body, CommittedBlock, Header, Leaf, Outcome, StateCheckpoint};
use chain::certificate::{CommitCertificate, CommitSignature};
use chain::checkpoint::{Checkpoint, SignedCheckpoint};
use chain::hash::Hash;
use chain::identity::{ChainId, ChainName, OrganisationId};
use chain::key::{PublicKey, SecretKey, Signature};
use chain::receipt::{Receipt, ValidatorChange};
use chain::suite::Suite;
use chain::validators::{Validator, ValidatorSet};
use proptest::collection::vec;
use proptest::prelude::*;

/// The public key of a seed that is `number` 32 times.
pub(crate) fn key(number: u8) -> PublicKey {
    SecretKey::from_seed([number; 32]).public()
}

/// A digest that is `number` 32 times.
pub(crate) fn digest(number: u8) -> Hash {
    Hash::from_bytes([number; 32])
}

/// A set of this many validators, with the longest names.
pub(crate) fn set(count: u8) -> ValidatorSet {
    let validator = |number: u8| Validator {
        organisation: OrganisationId::new(format!("{number:0>63}")).expect("63 digits are a name"),
        key: key(number),
        power: u64::from(number) + 1,
    };
    ValidatorSet::new((0..count).map(validator).collect()).expect("the keys differ")
}

/// A header whose fields all differ.
pub(crate) fn header() -> Header {
    Header {
        version: 1,
        suite: Suite::Ed25519Sha256,
        chain: ChainId::new(ChainName::new("demo").expect("a name"), digest(1)),
        height: 300,
        parent: digest(2).into(),
        time_ms: 1_735_689_600_000,
        proposer: key(1),
        statements_root: digest(3),
        statement_count: 2,
        log_root: digest(4),
        log_size: 1_000_000,
        writes_hash: digest(5),
        state_checkpoint: StateCheckpoint { height: 290, root: digest(6) },
        validators_hash: digest(7),
        next_validators_hash: digest(8),
    }
}

/// A certificate with this many signatures. They do not verify.
pub(crate) fn certificate(count: u8) -> CommitCertificate {
    let sign = |number: u8| CommitSignature { validator: key(number), signature: Signature::from_bytes([number; 64]) };
    let block_id = header().id();
    CommitCertificate::new(Suite::Ed25519Sha256, 300, 1, block_id, (0..count).map(sign).collect())
}

/// A body of two statements with three outcomes.
pub(crate) fn body() -> Body {
    let outcome = |code: &str, subject: &str| Outcome {
        code: code.to_owned(),
        subject: subject.to_owned(),
        record: vec![1, 2, 3],
    };
    Body {
        block: Block {
            header: header(),
            statements: vec![b"a.b.c".to_vec(), b"d.e.f".to_vec()],
            next_validators: Some(set(2)),
        },
        outcomes: vec![
            vec![outcome("accepted", "144032500110-00000001")],
            vec![outcome("accepted", ""), outcome("statement.all-refused", "x")],
        ],
    }
}

/// The leaf of one event.
pub(crate) fn leaf() -> Leaf {
    let outcome = &body().outcomes[0][0];
    Leaf::new(digest(9).into(), 3, digest(10), outcome, 300)
}

/// A receipt that follows one change of the validator set.
pub(crate) fn receipt() -> Receipt {
    let change = ValidatorChange { header: header(), certificate: certificate(1), next_validators: set(2) };
    let decided = (header(), certificate(2));
    Receipt::new(leaf(), vec![1, 2, 3], 7, vec![digest(11), digest(12)], decided, vec![change])
}

/// The checkpoint of the header, with one signature.
pub(crate) fn checkpoint() -> SignedCheckpoint {
    let organisation = OrganisationId::new("tax-bureau").expect("a name");
    Checkpoint::of(&header()).sign(&organisation, &SecretKey::from_seed([1; 32]))
}

prop_compose! {
    fn any_digest()(bytes in any::<[u8; 32]>()) -> Hash {
        Hash::from_bytes(bytes)
    }
}

prop_compose! {
    fn any_key()(seed in any::<[u8; 32]>()) -> PublicKey {
        SecretKey::from_seed(seed).public()
    }
}

prop_compose! {
    fn any_state_checkpoint()(height in any::<u64>(), root in any_digest()) -> StateCheckpoint {
        StateCheckpoint { height, root }
    }
}

prop_compose! {
    pub(crate) fn any_header()(
        (name, genesis) in ("[a-z0-9][a-z0-9-]{0,62}", any_digest()),
        (version, height, time_ms, statement_count, log_size) in any::<(u16, u64, i64, u32, u64)>(),
        hashes in proptest::array::uniform6(any_digest()),
        state_checkpoint in any_state_checkpoint(),
        proposer in any_key(),
    ) -> Header {
        let [parent, statements_root, log_root, writes_hash, validators_hash, next_validators_hash] = hashes;
        Header {
            version,
            suite: Suite::Ed25519Sha256,
            chain: ChainId::new(ChainName::new(name).expect("the pattern of a name"), genesis),
            height,
            parent: parent.into(),
            time_ms,
            proposer,
            statements_root,
            statement_count,
            log_root,
            log_size,
            writes_hash,
            state_checkpoint,
            validators_hash,
            next_validators_hash,
        }
    }
}

prop_compose! {
    pub(crate) fn any_set()(
        members in vec(("[a-z0-9][a-z0-9-]{0,62}", any::<[u8; 32]>(), 1_u64..1 << 40), 1..6),
    ) -> ValidatorSet {
        let validator = |(index, (name, seed, power)): (usize, (String, [u8; 32], u64))| Validator {
            // Unique whatever the pattern gave.
            organisation: OrganisationId::new(format!("{index}{name:.60}")).expect("the pattern of a name"),
            key: SecretKey::from_seed(seed).public(),
            power,
        };
        let validators = members.into_iter().enumerate().map(validator).collect();
        ValidatorSet::new(validators).expect("two random keys are never equal")
    }
}

prop_compose! {
    pub(crate) fn any_certificate()(
        height in any::<u64>(),
        round in any::<u32>(),
        block_id in any_digest(),
        signatures in vec((any_key(), vec(any::<u8>(), 64)), 0..5),
    ) -> CommitCertificate {
        let sign = |(validator, bytes): (PublicKey, Vec<u8>)| CommitSignature {
            validator,
            signature: Signature::from_bytes(bytes.try_into().expect("64 bytes were asked for")),
        };
        let signatures = signatures.into_iter().map(sign).collect();
        CommitCertificate::new(Suite::Ed25519Sha256, height, round, block_id.into(), signatures)
    }
}

prop_compose! {
    pub(crate) fn any_outcome()(
        code in "[a-z0-9.-]{0,64}",
        subject in "\\PC{0,64}",
        record in vec(any::<u8>(), 0..200),
    ) -> Outcome {
        Outcome { code, subject, record }
    }
}

prop_compose! {
    pub(crate) fn any_leaf()(
        (statement, event_hash, record_hash) in (any_digest(), any_digest(), any_digest()),
        (event, height) in any::<(u32, u64)>(),
        outcome in any_outcome(),
    ) -> Leaf {
        Leaf {
            statement: statement.into(),
            event,
            event_hash,
            code: outcome.code,
            subject: outcome.subject,
            height,
            record_hash,
        }
    }
}

prop_compose! {
    pub(crate) fn any_block()(
        header in any_header(),
        statements in vec(vec(any::<u8>(), 0..100), 0..5),
        next_validators in proptest::option::of(any_set()),
    ) -> Block {
        Block { header, statements, next_validators }
    }
}

prop_compose! {
    pub(crate) fn any_body()(
        block in any_block(),
        outcomes in vec(vec(any_outcome(), 0..4), 0..5),
    ) -> Body {
        Body { block, outcomes }
    }
}

prop_compose! {
    pub(crate) fn any_committed_block()(body in any_body(), certificate in any_certificate()) -> CommittedBlock {
        CommittedBlock { body, certificate }
    }
}

prop_compose! {
    fn any_change()(
        header in any_header(),
        certificate in any_certificate(),
        next_validators in any_set(),
    ) -> ValidatorChange {
        ValidatorChange { header, certificate, next_validators }
    }
}

prop_compose! {
    pub(crate) fn any_receipt()(
        (version, leaf_index, tree_size) in any::<(u16, u64, u64)>(),
        (leaf, record) in (any_leaf(), vec(any::<u8>(), 0..200)),
        inclusion in vec(any_digest(), 0..=64),
        (header, certificate) in (any_header(), any_certificate()),
        changes in vec(any_change(), 0..3),
    ) -> Receipt {
        let receipt = Receipt::new(leaf, record, leaf_index, inclusion, (header, certificate), changes);
        Receipt { version, tree_size, ..receipt }
    }
}

prop_compose! {
    pub(crate) fn any_checkpoint()(header in any_header(), seeds in vec(any::<[u8; 32]>(), 1..4)) -> SignedCheckpoint {
        let organisation = OrganisationId::new("agency").expect("a name");
        let mut seeds = seeds.into_iter().map(SecretKey::from_seed);
        let first = seeds.next().expect("at least one was asked for");
        let mut signed = Checkpoint::of(&header).sign(&organisation, &first);
        seeds.for_each(|key| signed.add_signature(&organisation, &key));
        signed
    }
}
