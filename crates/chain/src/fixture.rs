//! Small chains for the tests of this crate: always the same keys, times and bytes.

use proptest::test_runner::{Config, RngSeed};
use serde_json::value::RawValue;

use crate::archive::ArchiveWriter;
use crate::block::{Block, Body, CommittedBlock, Header, Leaf, Outcome, StateCheckpoint, statements_root};
use crate::certificate::{CommitCertificate, sign_precommit};
use crate::genesis::{GENESIS_VERSION, Genesis, GenesisBody, GenesisValidator};
use crate::hash::Hash;
use crate::identity::{ChainName, KeyId, OrganisationId};
use crate::key::SecretKey;
use crate::merkle;
use crate::receipt::{Receipt, ValidatorChange};
use crate::statement::{Draft, Limits, Mode, Nonce, Statement, StatementHeader, payload};
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
    Validator { organisation: agency(number), key: consensus_key(number).public(), power }
}

/// So many cases, the same in every run; `PROPTEST_RNG_SEED` asks for others.
pub(crate) fn cases(cases: u32) -> Config {
    let config = Config::with_cases(cases);
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(2_025),
        chosen @ RngSeed::Fixed(_) => chosen,
    };
    Config { rng_seed, ..config }
}

/// The set of agencies 1, 2, … with these powers.
pub(crate) fn validator_set(powers: &[u64]) -> ValidatorSet {
    let validators = (1..).zip(powers).map(|(number, &power)| validator(number, power)).collect();
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
    genesis.countersign(&agency(number), &key_id, &governance_key(number)).expect("the agency's key");
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
        state_checkpoint: StateCheckpoint { height: 0, root: Hash::EMPTY },
        validators_hash,
        next_validators_hash: validators_hash,
    }
}

/// A certificate of these agencies for a header, in round 0.
pub(crate) fn certify(header: &Header, signers: impl IntoIterator<Item = u8>) -> CommitCertificate {
    let id = header.id();
    let sign = |number| sign_precommit(&consensus_key(number), &header.chain, header.suite, header.height, 0, &id);
    CommitCertificate::new(header.suite, header.height, 0, id, signers.into_iter().map(sign).collect())
}

/// A chain under construction, with everything that was ever put on it.
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<CommittedBlock>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) records: Vec<Vec<u8>>,
    /// How many agencies, 1, 2, …, decide the next height.
    agencies: u8,
}

impl Chain {
    /// A chain that agencies 1, 2, … begin with one vote each.
    pub(crate) fn new(agencies: u8) -> Self {
        let genesis = genesis(&vec![1; agencies.into()]);
        Self { genesis, blocks: Vec::new(), leaves: Vec::new(), records: Vec::new(), agencies }
    }

    /// The chain of the golden files: three blocks, of which the second is empty and changes the
    /// validator set.
    pub(crate) fn small() -> Self {
        let mut chain = Self::new(1);
        chain.push(&[&[r#"{"a":1}"#, r#"{"b":2}"#]]);
        chain.push_change(2);
        chain.push(&[&[r#"{"c":3}"#], &[r#"{"d":4}"#]]);
        chain
    }

    /// How many agencies decide the next height.
    pub(crate) fn agencies(&self) -> u8 {
        self.agencies
    }

    /// Decides a block with these statements, each a list of events.
    pub(crate) fn push(&mut self, statements: &[&[&str]]) {
        let body = self.body(statements);
        self.commit(body);
    }

    /// Decides an empty block from which on agencies 1, 2, … of this number decide.
    pub(crate) fn push_change(&mut self, agencies: u8) {
        let mut body = self.body(&[]);
        let set = validator_set(&vec![1; agencies.into()]);
        body.block.header.next_validators_hash = set.hash();
        body.block.next_validators = Some(set);
        self.commit(body);
        self.agencies = agencies;
    }

    /// The body of a next block.
    pub(crate) fn body(&self, statements: &[&[&str]]) -> Body {
        let height = u64::try_from(self.blocks.len()).expect("few blocks") + 1;
        let mut log: Vec<Hash> = self.leaves.iter().map(Leaf::hash).collect();
        let signed: Vec<Vec<u8>> =
            (0..).zip(statements).map(|(number, events)| self.statement(height, number, events)).collect();
        let mut outcomes = Vec::new();
        for (bytes, events) in signed.iter().zip(statements) {
            let statement = Statement::parse(bytes.as_slice(), &Limits::default()).expect("a statement");
            let mut of_statement = Vec::new();
            for (event, bytes) in (0..).zip(*events) {
                let outcome = outcome(log.len());
                let leaf = Leaf::new(statement.id(), event, Hash::of(bytes.as_bytes()), &outcome, height);
                log.push(leaf.hash());
                of_statement.push(outcome);
            }
            outcomes.push(of_statement);
        }
        let mut header = first_header(&self.genesis);
        header.height = height;
        header.time_ms = GENESIS_TIME_MS + 1_000 * i64::try_from(height).expect("few blocks");
        header.statement_count = u32::try_from(signed.len()).expect("few statements");
        header.statements_root = statements_root(&signed);
        header.log_root = merkle::root(&log);
        header.log_size = u64::try_from(log.len()).expect("few leaves");
        header.validators_hash = validator_set(&vec![1; self.agencies.into()]).hash();
        header.next_validators_hash = header.validators_hash;
        if let Some(before) = self.blocks.last() {
            header.parent = before.header().id();
        }
        Body { block: Block { header, statements: signed, next_validators: None }, outcomes }
    }

    /// Lets everybody decide a body, whatever is in it.
    pub(crate) fn commit(&mut self, body: Body) {
        for (bytes, outcomes) in body.block.statements.iter().zip(&body.outcomes) {
            let Ok(statement) = Statement::parse(bytes.as_slice(), &Limits::default()) else {
                continue;
            };
            for ((event, bytes), outcome) in (0..).zip(statement.events()).zip(outcomes) {
                let height = body.header().height;
                self.leaves.push(Leaf::new(statement.id(), event, Hash::of(bytes), outcome, height));
                self.records.push(outcome.record.clone());
            }
        }
        let certificate = certify(body.header(), 1..=self.agencies);
        self.blocks.push(CommittedBlock { body, certificate });
    }

    fn statement(&self, height: u64, number: usize, events: &[&str]) -> Vec<u8> {
        let header = StatementHeader {
            organisation: agency(1),
            key: KeyId::new("statement-1").expect("a name"),
            chain: self.genesis.chain_id(),
            nonce: Nonce::new(format!("nonce-{height}-{number}")).expect("a nonce"),
            expires_at: 1_735_700_000,
        };
        Draft::new(header, payload(Mode::Each, events)).sign(&SecretKey::from_seed([250; 32]))
    }

    /// The receipt of a leaf, in the log as the newest block left it.
    pub(crate) fn receipt(&self, index: usize) -> Receipt {
        let log: Vec<Hash> = self.leaves.iter().map(Leaf::hash).collect();
        let newest = self.blocks.last().expect("a block");
        let earlier = &self.blocks[..self.blocks.len() - 1];
        let changes = earlier.iter().filter_map(|block| {
            Some(ValidatorChange {
                header: block.header().clone(),
                certificate: block.certificate.clone(),
                next_validators: block.body.block.next_validators.clone()?,
            })
        });
        Receipt::new(
            self.leaves[index].clone(),
            self.records[index].clone(),
            u64::try_from(index).expect("few leaves"),
            path(index, &log),
            (newest.header().clone(), newest.certificate.clone()),
            changes.collect(),
        )
    }

    /// The chain as an archive.
    pub(crate) fn archive(&self) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new(), &self.genesis).expect("memory takes every write");
        for block in &self.blocks {
            writer.push(block).expect("blocks in order");
        }
        writer.finish().expect("memory takes every write").0
    }
}

fn outcome(leaf: usize) -> Outcome {
    let code = if leaf == 1 { "custody.not-the-holder" } else { Outcome::ACCEPTED };
    Outcome { code: code.to_owned(), subject: format!("subject-{leaf}"), record: format!("record {leaf}").into_bytes() }
}

/// `PATH(index, D_n)` as RFC 9162 §2.1.3.1 writes it down.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, sibling) = if index < split {
        (path(index, left), merkle::root(right))
    } else {
        (path(index - split, right), merkle::root(left))
    };
    path.push(sibling);
    path
}
