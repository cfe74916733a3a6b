//! Inputs to begin with, from a small chain that is always the same.

use std::sync::{Arc, LazyLock};

use chain::archive::ArchiveWriter;
use chain::genesis::Genesis;
use chain::introduction::SignedIntroduction;
use chain::jws::KeyReference;
use chain::key::SecretKey;
use chain::statement::Mode;
use chain::suite::Suite;
use invoice::taxpayer::TaxpayerKind;
use ledger::introduction::{INTRODUCTION_VERSION, Introduction};
use ledger::organisation::{Custody, Key, Organisation, Purpose, Role, Standing};
use replica::memory::MemoryStore;

use crate::consortium::{NOON, Node, genesis as known_genesis, organisation_id, secret};
use crate::events::{claim, double_vote, evidence, issue, issue_to, lock, void};

/// The small chain.
#[derive(Debug)]
pub struct Known {
    /// Its genesis.
    pub genesis: Genesis,
    /// Statements of it.
    pub statements: Vec<Vec<u8>>,
    /// Encoded headers, blocks, bodies, certificates, leaves and committed blocks.
    pub encodings: Vec<Vec<u8>>,
    /// The whole of it.
    pub archive: Vec<u8>,
    /// Receipts of it.
    pub receipts: Vec<Vec<u8>>,
}

/// The small chain of every run.
pub static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut node = Node::start(known_genesis(|_| {}), Arc::new(MemoryStore::default()));
    let statements = vec![
        node.statement("shop", Mode::All, &[issue("a")]),
        node.statement(
            "shop",
            Mode::Each,
            &[issue_to("b", r#"{"person":{"id":"p-1"}}"#), void("144032609110-00000001")],
        ),
        node.statement("tax-bureau", Mode::Each, &[evidence(&double_vote(&node.genesis, "tax-bureau", 1))]),
    ];
    let id = node.decide("shop", Mode::All, &[issue("c")]).remove(0).1;
    node.event("platform-a", &lock(&id, "claim"));
    node.event("platform-b", &lock(&id, "other"));
    node.event("platform-a", &claim("close", &id, "claim", 1));
    node.event("tax-bureau", &evidence(&double_vote(&node.genesis, "tax-bureau", 1)));
    let tip = node.replica.tip().progress.height;
    let blocks: Vec<_> = (1..=tip).map(|height| node.query.committed_block(height).unwrap().unwrap()).collect();
    let mut writer = ArchiveWriter::new(Vec::new(), &node.genesis).unwrap();
    for block in &blocks {
        writer.push(block).unwrap();
    }
    let first = &blocks[0];
    let receipt = |leaf| node.query.receipt(leaf).unwrap().unwrap();
    let encodings = vec![
        first.header().encode(),
        first.body.block.encode(),
        first.body.encode(),
        first.certificate.encode(),
        receipt(0).leaf.encode(),
        first.encode(),
    ];
    Known {
        statements,
        encodings,
        archive: writer.finish().unwrap().0,
        receipts: (0..2).map(|leaf| receipt(leaf).to_json().into_bytes()).collect(),
        genesis: (*node.genesis).clone(),
    }
});

/// Documents as people write them.
pub(super) fn documents() -> Vec<Vec<u8>> {
    invoice::samples::all().iter().map(|sample| sample.json.as_bytes().to_vec()).collect()
}

/// An organisation that introduced itself.
pub(super) static INTRODUCTION: LazyLock<SignedIntroduction> = LazyLock::new(|| {
    let id = organisation_id("newcomer");
    let secrets = [("login-1", Purpose::Login), ("statement-1", Purpose::Statement)]
        .map(|(name, purpose)| (name, purpose, secret("newcomer", name)));
    let key = |(name, purpose, secret): &(&str, Purpose, SecretKey)| Key {
        id: name.parse().unwrap(),
        public: secret.public().into(),
        purposes: [*purpose].into(),
        custody: Custody::Own,
        active: true,
        from_height: 0,
    };
    let introduction = Introduction {
        version: INTRODUCTION_VERSION,
        suite: Suite::Ed25519Sha256,
        time_ms: NOON,
        power: None,
        chain: None,
        organisation: Organisation {
            id: id.clone(),
            name: "Newcomer".to_owned(),
            taxpayer_id: "915000000000021".parse().unwrap(),
            taxpayer_kind: TaxpayerKind::Other,
            roles: [Role::Enterprise].into(),
            standing: Standing::Active,
            keys: secrets.iter().map(key).collect(),
        },
    };
    let reference = |name: &str| KeyReference { organisation: id.clone(), key: name.parse().unwrap() };
    introduction.sign(&secrets.iter().map(|(name, _, secret)| (reference(name), secret)).collect()).unwrap()
});

/// A genesis and an introduction, as files and as what stands in them.
pub(super) fn genesis() -> Vec<Vec<u8>> {
    let (genesis, introduction) = (&KNOWN.genesis, &INTRODUCTION);
    let bodies = [genesis.body_bytes().to_vec(), introduction.payload().to_vec()];
    [genesis.to_bytes(), introduction.to_bytes()].into_iter().chain(bodies).collect()
}
