//! Replay: what an auditor finds in chains whose validators are honest, and in those whose are not.

use std::collections::BTreeSet;
use std::sync::Arc;

use chain::archive::ArchiveWriter;
use chain::block::{Body, CommittedBlock, Leaf, statements_root};
use chain::genesis::Genesis;
use chain::hash::Hash;
use chain::identity::KeyId;
use chain::jws::KeyReference;
use chain::merkle::Frontier;
use chain::possession::Offer;
use chain::statement::{Draft, Mode, Nonce, Statement, StatementHeader, payload};
use chain::verify::{Options, Status};
use ledger::event::{Addition, Event, Rotate, terms};
use ledger::organisation::{Custody, Purpose};
use ledger::parallel::Workers;
use ledger::replay::{ByCustody, ReplayFailure, ReplayReport, Resources, Scratch, verify_archive, verify_archive_with};
use ledger::state::Fault;
use replica::memory::MemoryStore;
use store::DiskScratch;
use tests::consortium::{CHECKPOINT_MS, DAY, Node, certify, genesis, organisation_id, secret};
use tests::events::{claim, double_vote, evidence, file, issue, lock, void};

/// A chain with a bit of everything, and its blocks.
fn blocks() -> (Genesis, Vec<CommittedBlock>) {
    let mut node = Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()));
    let id = node.decide("shop", Mode::All, &[issue("a"), issue("b"), issue("c")]).remove(0).1;
    node.event("platform-a", &lock(&id, "claim"));
    node.now_ms += CHECKPOINT_MS;
    node.event("platform-b", &lock(&id, "other"));
    node.event("platform-a", &claim("close", &id, "claim", 1));
    node.event("shop", &void("144032609110-00000002"));
    node.now_ms += 16 * DAY;
    node.event("shop", &file(2, "200.00", "26.00"));
    node.now_ms += CHECKPOINT_MS;
    node.event("shop", &issue("d"));
    let tip = node.replica.tip().progress.height;
    let blocks = (1..=tip).map(|height| node.query.committed_block(height).unwrap().unwrap()).collect();
    (Arc::unwrap_or_clone(Arc::clone(&node.genesis)), blocks)
}

fn archive(genesis: &Genesis, blocks: &[CommittedBlock]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new(), genesis).unwrap();
    for block in blocks {
        writer.push(block).unwrap();
    }
    writer.finish().unwrap().0
}

/// Two threads, whatever the machine has.
struct Threads;

impl Workers for Threads {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            scope.spawn(|| (0..count).step_by(2).for_each(job));
            (1..count).step_by(2).for_each(job);
        });
    }

    fn both(&self, one: &mut (dyn FnMut() + Send), other: &mut (dyn FnMut() + Send)) {
        std::thread::scope(|scope| {
            scope.spawn(one);
            other();
        });
    }
}

/// Verifies with so much memory, and a scratch on disk behind it.
fn verify_within(archive: &[u8], genesis: &Genesis, options: &Options, bytes_max: usize) -> ReplayReport {
    let directory = tempfile::tempdir().unwrap();
    let resources = Resources {
        workers: &Threads,
        batch_bytes_max: bytes_max,
        state_bytes_max: bytes_max,
        scratch: Box::new(|| Ok(Box::new(DiskScratch::open(directory.path())?))),
    };
    let report = verify_archive_with(archive, genesis, options.clone(), resources, |_| {}).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the scratch left something behind");
    report
}

/// Verifies with all kinds of resources, which must not be seen in the report.
fn verify(genesis: &Genesis, blocks: &[CommittedBlock]) -> ReplayReport {
    verify_bytes(&archive(genesis, blocks), genesis, &Options::default())
}

fn verify_bytes(archive: &[u8], genesis: &Genesis, options: &Options) -> ReplayReport {
    let report = verify_archive(archive, genesis, options.clone(), |_| {}).unwrap();
    for bytes_max in [1, 6_000] {
        assert_eq!(verify_within(archive, genesis, options, bytes_max), report, "{bytes_max} bytes");
    }
    report
}

/// Signs a chain anew from a height on, after its validator changed what it pleased: every lighter
/// level is satisfied.
fn resign(genesis: &Genesis, blocks: &mut [CommittedBlock]) {
    let mut parent = chain::block::BlockId::from(genesis.hash());
    let mut log = Frontier::new();
    for block in blocks {
        let Body { block: inner, outcomes } = &mut block.body;
        inner.header.parent = parent;
        inner.header.statement_count = u32::try_from(inner.statements.len()).unwrap();
        inner.header.statements_root = statements_root(&inner.statements);
        for (bytes, outcomes) in inner.statements.iter().zip(outcomes.iter()) {
            let statement = Statement::parse(bytes.clone(), &chain::statement::Limits::default()).unwrap();
            for (event, outcome) in outcomes.iter().enumerate() {
                let leaf = Leaf {
                    statement: statement.id(),
                    event: u32::try_from(event).unwrap(),
                    event_hash: statement.event_hash(event).unwrap(),
                    code: outcome.code.clone(),
                    subject: outcome.subject.clone(),
                    height: inner.header.height,
                    record_hash: Hash::of(&outcome.record),
                };
                log.append(leaf.hash()).unwrap();
            }
        }
        (inner.header.log_root, inner.header.log_size) = (log.root(), log.size());
        parent = inner.header.id();
        block.certificate = certify(&genesis.chain_id(), inner);
    }
}

fn rules(report: &ReplayReport) -> Vec<&'static str> {
    report.report.findings.iter().map(|finding| finding.rule).collect()
}

#[test]
fn an_honest_chain_replays_and_is_counted() {
    let (genesis, blocks) = blocks();
    let report = verify(&genesis, &blocks);
    assert_eq!(report.report.status, Status::Verified, "{:?}", report.report.findings);
    let replay = &report.replay;
    assert_eq!((replay.events, replay.accepted, replay.invoices), (9, 8, 4));
    let numbered: u64 = replay.numbers.values().map(|of_code| of_code.last).sum();
    assert_eq!(numbered, replay.invoices, "every number has its invoice");
    assert_eq!(replay.numbers.values().map(|of_code| of_code.void).sum::<u64>(), 1);
    assert_eq!(replay.refused.get("reimbursement.already-locked"), Some(&1));
    let ByCustody { itself, under_mandate, hosted } = &replay.accepted_by_custody;
    assert_eq!((*itself, *under_mandate, hosted.len()), (6, 2, 0), "a lock and a close under the buyer's mandate");
    assert!(replay.state_checkpoint_height > 0, "a root of the state was compared");
}

/// A key that the shop is to have, in somebody's hands.
fn addition(node: &Node<MemoryStore>, id: &str, custody: Custody) -> Addition {
    let (chain, purposes) = (node.chain(), BTreeSet::from([Purpose::Statement]));
    let key = KeyReference { organisation: organisation_id("shop"), key: KeyId::new(id).unwrap() };
    let proof = Offer { chain: &chain, key: &key, terms: &terms(&purposes, &custody) }.sign(&secret("shop", id));
    Addition { id: key.key, public: secret("shop", id).public().into(), purposes, custody, proof }
}

/// One event of the shop under one of its keys.
fn signed_with(node: &mut Node<MemoryStore>, key: &str, nonce: &str, event: &str) {
    let header = StatementHeader {
        organisation: organisation_id("shop"),
        key: KeyId::new(key).unwrap(),
        chain: node.chain(),
        nonce: Nonce::new(nonce).unwrap(),
        expires_at: u64::try_from(node.now_ms / 1_000).unwrap() + 3_600,
    };
    node.submit(&Draft::new(header, payload(Mode::Each, &[event.to_owned()])).sign(&secret("shop", key)));
    node.block();
}

#[test]
fn keys_that_come_and_go_replay_and_events_are_counted_by_custody() {
    let mut node = Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()));
    let hosted = Custody::HostedBy(organisation_id("tax-bureau"));
    let add = vec![addition(&node, "own-2", Custody::Own), addition(&node, "hosted", hosted)];
    let shop = organisation_id("shop");
    let rotate =
        Event::Rotate(Box::new(Rotate { organisation: shop, add, revoke: Vec::new(), approval: None })).to_json();
    let revoke = r#"{"rotate":{"organisation":"shop","revoke":["statement"]}}"#;
    let mandate = r#"{"mandate":{"to":"isp","scopes":["issue"]}}"#;
    let register = r#"{"register":{"enterprises":[{"id":"m","name":"M","taxpayer_id":"915000000000031","taxpayer_kind":"other"}]}}"#;
    assert_eq!(node.event("shop", &issue("a")), "accepted");
    assert_eq!(node.event("shop", &rotate), "accepted");
    assert_eq!(node.event("shop", revoke), "accepted");
    // The key that signed the first three is gone, and they replay all the same.
    signed_with(&mut node, "own-2", "k1", &issue("b"));
    signed_with(&mut node, "hosted", "k2", &issue("c"));
    signed_with(&mut node, "hosted", "k3", mandate);
    // Refused events count apart, and repeated ones nowhere.
    signed_with(&mut node, "hosted", "k4", &issue("c"));
    signed_with(&mut node, "hosted", "k5", revoke);
    assert_eq!(node.event("isp", &issue("d")), "accepted");
    assert_eq!(node.event("platform-a", &lock("144032609110-00000001", "x")), "accepted");
    assert_eq!(node.event("tax-bureau", register), "accepted");
    let tip = node.replica.tip().progress.height;
    let blocks: Vec<_> = (1..=tip).map(|height| node.query.committed_block(height).unwrap().unwrap()).collect();
    let report = verify(&node.genesis, &blocks);
    assert_eq!(report.report.status, Status::Verified, "{:?}", report.report.findings);
    assert_eq!((report.replay.accepted, report.replay.repeated), (9, 1));
    let expected = ByCustody { itself: 5, under_mandate: 2, hosted: [("tax-bureau".to_owned(), 2)].into() };
    assert_eq!(report.replay.accepted_by_custody, expected);
    let refused = ByCustody { hosted: [("tax-bureau".to_owned(), 1)].into(), ..ByCustody::default() };
    assert_eq!(report.replay.refused_by_custody, refused);
}

#[test]
fn a_statement_under_a_key_that_was_revoked_before_is_found() {
    let mut node = Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()));
    let late = node.statement("shop", Mode::Each, &[issue("late")]);
    let add = vec![addition(&node, "own-2", Custody::Own)];
    let revoke = vec![KeyId::new("statement").unwrap()];
    let rotate = Event::Rotate(Box::new(Rotate { organisation: organisation_id("shop"), add, revoke, approval: None }))
        .to_json();
    assert_eq!(node.event("shop", &rotate), "accepted");
    signed_with(&mut node, "own-2", "k1", &issue("a"));
    let mut blocks: Vec<_> = (1..=2).map(|height| node.query.committed_block(height).unwrap().unwrap()).collect();
    assert_eq!(verify(&node.genesis, &blocks).report.status, Status::Verified);
    blocks[1].body.block.statements[0] = late;
    resign(&node.genesis, &mut blocks);
    let report = verify(&node.genesis, &blocks);
    assert_eq!(rules(&report), ["replay.statement"]);
    assert!(report.report.findings[0].actual.contains("statement.key-inactive"), "{:?}", report.report.findings);
}

#[test]
fn a_chain_signed_anew_without_a_change_is_the_same_chain() {
    let (genesis, mut blocks) = blocks();
    let before = blocks.clone();
    resign(&genesis, &mut blocks);
    assert_eq!(blocks, before);
}

#[test]
fn what_a_dishonest_validator_changes_is_found_at_its_height() {
    type Change = fn(&mut Vec<CommittedBlock>);
    let changes: [(&str, &str, u64, Change); 7] = [
        ("a refusal turned into nothing", "replay.outcome", 3, |blocks| {
            blocks[2].body.outcomes[0][0].code = "accepted".to_owned();
        }),
        ("another number", "replay.outcome", 1, |blocks| {
            blocks[0].body.outcomes[0][0].subject = "144032609110-00000009".to_owned();
        }),
        ("a statement left out", "replay.writes-hash", 4, |blocks| {
            blocks[3].body.block.statements.clear();
            blocks[3].body.outcomes.clear();
        }),
        ("a statement twice", "replay.statement", 5, |blocks| {
            let (statement, outcomes) =
                (blocks[0].body.block.statements[0].clone(), blocks[0].body.outcomes[0].clone());
            blocks[4].body.block.statements.push(statement);
            blocks[4].body.outcomes.push(outcomes);
        }),
        ("another hash of writes", "replay.writes-hash", 2, |blocks| {
            blocks[1].body.block.header.writes_hash = Hash::of(b"other");
        }),
        ("another root of the state", "replay.state-checkpoint", 7, |blocks| {
            blocks[6].body.block.header.state_checkpoint.root = Hash::of(b"other");
        }),
        ("a block of another day, for which the statement's end is too far ahead", "replay.statement", 6, |blocks| {
            blocks[5].body.block.header.time_ms -= 15 * DAY;
        }),
    ];
    for (what, rule, height, change) in changes {
        let (genesis, mut blocks) = blocks();
        change(&mut blocks);
        resign(&genesis, &mut blocks);
        let report = verify(&genesis, &blocks);
        assert_eq!(report.report.status, Status::Findings, "{what}");
        let finding = report.report.findings.iter().find(|finding| finding.rule.starts_with("replay.")).expect(what);
        assert_eq!((finding.rule, finding.height), (rule, Some(height)), "{what}: {:?}", rules(&report));
    }
}

#[test]
fn a_validator_set_that_no_rule_changed_is_found() {
    let (genesis, mut blocks) = blocks();
    let stranger = chain::validators::Validator {
        organisation: tests::consortium::organisation_id("stranger"),
        key: tests::consortium::secret("stranger", "consensus").public(),
        power: 1,
    };
    let set = chain::validators::ValidatorSet::new(vec![stranger]).unwrap();
    let last = blocks.last_mut().unwrap();
    last.body.block.header.next_validators_hash = set.hash();
    last.body.block.next_validators = Some(set);
    resign(&genesis, &mut blocks);
    assert_eq!(rules(&verify(&genesis, &blocks)), ["replay.next-validators"]);
}

/// A report as a node makes it: signed with the key with which it speaks for its agency.
fn report_of(genesis: &Genesis, now_ms: i64, equivocation: &chain::equivocation::Equivocation) -> Vec<u8> {
    let header = StatementHeader {
        organisation: organisation_id("tax-bureau"),
        key: KeyId::new("receipt").unwrap(),
        chain: genesis.chain_id(),
        nonce: Nonce::new("report").unwrap(),
        expires_at: u64::try_from(now_ms / 1_000).unwrap() + 600,
    };
    Draft::new(header, payload(Mode::Each, &[evidence(equivocation)])).sign(&secret("tax-bureau", "receipt"))
}

#[test]
fn evidence_replays_and_what_proves_nothing_is_found_though_all_validators_took_it() {
    let mut node = Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()));
    node.event("shop", &issue("a"));
    let proof = double_vote(&node.genesis, "tax-bureau", 1);
    let statement = report_of(&node.genesis, node.now_ms, &proof);
    node.submit(&statement);
    node.block();
    assert_eq!(node.event("tax-bureau", &evidence(&proof)), "repeated");
    let mut blocks: Vec<_> = (1..=3).map(|height| node.query.committed_block(height).unwrap().unwrap()).collect();
    let report = verify(&node.genesis, &blocks);
    assert_eq!(report.report.status, Status::Verified, "{:?}", report.report.findings);
    assert_eq!((report.replay.events, report.replay.accepted), (3, 2));
    let mut forged = proof;
    forged.second.signature = chain::key::Signature::from_bytes([7; 64]);
    blocks[1].body.block.statements[0] = report_of(&node.genesis, node.now_ms, &forged);
    resign(&node.genesis, &mut blocks);
    let report = verify(&node.genesis, &blocks);
    let finding = report.report.findings.iter().find(|finding| finding.rule.starts_with("replay.")).unwrap();
    assert_eq!((finding.rule, finding.height), ("replay.outcome", Some(2)), "{:?}", rules(&report));
}

#[test]
fn a_month_issued_beyond_its_quota_is_found_though_all_validators_took_it() {
    let mut node = Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()));
    let quota = |kind: &str, amount: &str| {
        format!(r#"{{"quota-{kind}":{{"seller":"shop","period":"2026-11","amount":"{amount}"}}}}"#)
    };
    node.event("shop", &issue("a"));
    assert_eq!(node.event("tax-bureau", &quota("grant", "300.00")), "accepted");
    let taken_back = void("144032609110-00000001");
    let outcomes = node.decide("shop", Mode::Each, &[issue("b"), taken_back, issue("c"), issue("d")]);
    assert_eq!(outcomes.last().map(|(code, _)| code.as_str()), Some("quota.exceeded"));
    assert_eq!(node.event("tax-bureau", &quota("adjust", "226.00")), "accepted");
    node.now_ms += CHECKPOINT_MS;
    assert_eq!(node.event("shop", &issue("d")), "quota.exceeded");
    let mut blocks: Vec<_> = (1..=5).map(|height| node.query.committed_block(height).unwrap().unwrap()).collect();
    let report = verify(&node.genesis, &blocks);
    assert_eq!(report.report.status, Status::Verified, "{:?}", report.report.findings);
    assert_eq!(report.replay.refused.get("quota.exceeded"), Some(&2));
    // What is said to have been issued, beyond what was left.
    blocks[4].body.outcomes[0][0] = blocks[0].body.outcomes[0][0].clone();
    resign(&node.genesis, &mut blocks);
    let report = verify(&node.genesis, &blocks);
    let finding = report.report.findings.iter().find(|finding| finding.rule.starts_with("replay.")).unwrap();
    assert_eq!((finding.rule, finding.height), ("replay.outcome", Some(5)), "{:?}", rules(&report));
}

#[test]
fn no_changed_byte_of_an_archive_is_verified() {
    let (genesis, blocks) = blocks();
    let whole = archive(&genesis, &blocks[..2]);
    // Every byte would take minutes with signatures; a stride that is prime to the fields' sizes
    // reaches every kind of field. `chain` tests every byte at the lighter levels.
    for place in (0..whole.len()).step_by(37) {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        let report = verify_archive(flipped.as_slice(), &genesis, Options::default(), |_| {}).unwrap().report;
        assert_ne!(report.status, Status::Verified, "byte {place}");
    }
}

#[test]
fn replays_of_one_archive_say_the_same() {
    let (genesis, blocks) = blocks();
    assert_eq!(verify(&genesis, &blocks), verify(&genesis, &blocks));
}

#[test]
fn findings_of_all_levels_stand_in_the_order_of_the_chain() {
    let (genesis, mut blocks) = blocks();
    blocks[1].body.block.header.writes_hash = Hash::of(b"other");
    resign(&genesis, &mut blocks);
    // Behind the block whose replay differs: one with a broken certificate, and the end cut off.
    blocks[3].certificate = blocks[2].certificate.clone();
    let whole = archive(&genesis, &blocks);
    let cut = &whole[..whole.len() - 40];
    let options = Options { at_least_height: Some(100), ..Options::default() };
    let report = verify_bytes(cut, &genesis, &options);
    let heights: Vec<_> = report.report.findings.iter().map(|finding| (finding.rule, finding.height)).collect();
    assert_eq!(heights[0], ("replay.writes-hash", Some(2)), "{heights:?}");
    assert!(heights.len() > 1 && heights[1..].iter().all(|(_, height)| *height == Some(4)), "{heights:?}");
    assert_eq!(report.report.missing.len(), 2, "{:?}", report.report.missing);
    assert_eq!(report.replay.blocks, 1, "what came before the difference");
}

#[test]
fn an_archive_without_its_end_and_one_of_another_chain_are_the_same_to_all_resources() {
    let (genesis, blocks) = blocks();
    let whole = archive(&genesis, &blocks);
    for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
        let report = verify_bytes(&whole[..cut], &genesis, &Options::default());
        assert_eq!(report.report.status, Status::Incomplete, "{cut}");
    }
    let other = tests::consortium::genesis(|parameters| parameters.limits.refusals_an_hour_max = 7);
    let report = verify_bytes(&whole, &other, &Options::default());
    assert_eq!(rules(&report), ["archive.other-genesis"]);
}

#[test]
fn a_scratch_that_fails_is_a_fault_and_no_finding() {
    /// Takes a few writes, then none.
    struct Failing(u32);

    impl Scratch for Failing {
        fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
            Err(Fault::Scratch("no disk".into()))
        }

        fn write(&mut self, _changes: &ledger::replay::Changes) -> Result<(), Fault> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| Fault::Scratch("no disk".into()))?;
            Ok(())
        }

        fn page(&self, _from: &[u8], _to: &[u8], _max: usize) -> Result<ledger::replay::Entries, Fault> {
            Err(Fault::Scratch("no disk".into()))
        }
    }

    let (genesis, blocks) = blocks();
    let archive = archive(&genesis, &blocks);
    for (writes, state_bytes_max) in [(0, 1), (1, 1), (9, 6_000)] {
        let resources = Resources {
            workers: &Threads,
            batch_bytes_max: 1,
            state_bytes_max,
            scratch: Box::new(move || Ok(Box::new(Failing(writes)))),
        };
        let failure = verify_archive_with(archive.as_slice(), &genesis, Options::default(), resources, |_| {});
        // The tree wraps what keeps it from reading.
        let fault = failure.expect_err("the scratch failed");
        assert!(matches!(fault, ReplayFailure::Fault(Fault::Scratch(_) | Fault::Tree { .. })), "{writes}: {fault:?}");
    }
}
