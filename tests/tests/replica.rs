//! The replica on a store: propose, check, commit, recover, read.

use std::sync::Arc;

use chain::certificate::{CommitCertificate, sign_precommit};
use chain::equivocation::{Equivocation, EquivocationError};
use chain::identity::KeyId;
use chain::statement::Mode;
use ledger::admission::Verdict;
use ledger::parallel::Alone;
use replica::evidence::{Author, PENDING_MAX, RETRY_MS, Reporter, TRIES_MAX, Taken};
use replica::memory::MemoryStore;
use replica::mempool::{Limits, Mempool};
use replica::port::Store;
use replica::replica::{Check, Dropped, Replica};
use tests::consortium::{CHECKPOINT_MS, DAY, Node, genesis, genesis_of, organisation_id, secret, statement_id};
use tests::events::{claim, double_vote, file, issue, lock, void};

fn node() -> Node<MemoryStore> {
    Node::start(genesis(|_| {}), Arc::new(MemoryStore::default()))
}

/// A life of one invoice, with a refusal, over several state checkpoints.
fn live<S: Store>(node: &mut Node<S>) -> String {
    let issued = node.decide("shop", Mode::Each, &[issue("a")]).remove(0);
    assert_eq!(issued.0, "accepted");
    let id = issued.1;
    assert_eq!(node.event("platform-a", &lock(&id, "c")), "accepted");
    node.now_ms += CHECKPOINT_MS;
    assert_eq!(node.event("platform-b", &lock(&id, "d")), "reimbursement.already-locked");
    assert_eq!(node.event("platform-a", &claim("close", &id, "c", 1)), "accepted");
    node.now_ms += CHECKPOINT_MS;
    assert_eq!(node.event("platform-b", &lock(&id, "d")), "reimbursement.already-closed");
    node.now_ms += 16 * DAY;
    assert_eq!(node.event("isp", &file(1, "100.00", "13.00")), "accepted");
    id
}

#[test]
fn an_invoice_lives_from_issue_to_filing() {
    let mut node = node();
    let id = live(&mut node).parse().unwrap();
    let record = node.query.invoice(&id).unwrap().unwrap();
    assert_eq!(record.locks, 1);
    assert_eq!(node.query.document(&record).unwrap().reference, "a");
    let leaves = node.query.subject_leaves(&id.to_string(), None, 100).unwrap();
    assert_eq!(leaves, [0, 1, 2, 3, 4], "the refused locks are part of its history");
    assert_eq!(node.query.subject_leaves(&id.to_string(), Some(1), 2).unwrap(), [2, 3]);
}

#[test]
fn another_validator_checks_and_commits_the_same_chain() {
    let (mut proposer, mut follower) = (node(), node());
    live(&mut proposer);
    for height in 1..=proposer.replica.tip().progress.height {
        let committed = proposer.query.committed_block(height).unwrap().unwrap();
        follower.follow(&committed.body.block, &committed.certificate);
    }
    assert_eq!(follower.replica.tip().progress, proposer.replica.tip().progress);
}

#[test]
fn a_start_on_an_old_index_catches_up_and_on_none_rebuilds() {
    let store = Arc::new(MemoryStore::default());
    let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
    live(&mut node);
    // After the newest checkpoint.
    assert_eq!(node.event("shop", &issue("later")), "accepted");
    let tip = node.replica.tip().progress.clone();
    drop(node);
    store.crash();
    assert!(store.index_tip().unwrap().unwrap().height < tip.height, "the index lost what no checkpoint kept");
    let again = Node::start(genesis(|_| {}), Arc::clone(&store));
    assert_eq!(again.replica.tip().progress, tip);
    drop(again);
    store.reset_index().unwrap();
    let mut rebuilt = Node::start(genesis(|_| {}), store);
    assert_eq!(rebuilt.replica.tip().progress, tip);
    assert_eq!(rebuilt.event("shop", &issue("b")), "accepted");
}

#[test]
fn a_start_on_another_genesis_is_refused() {
    let store = Arc::new(MemoryStore::default());
    live(&mut Node::start(genesis(|_| {}), Arc::clone(&store)));
    let other = genesis(|parameters| parameters.lease.term_seconds_max = 1);
    let error = Replica::recover(&other, store, Arc::new(Alone), |_| {}).unwrap_err();
    assert!(error.to_string().contains("the store grew from genesis"), "{error}");
}

#[test]
fn a_start_on_a_genesis_that_was_not_countersigned_is_refused() {
    let unsigned = chain::genesis::Genesis::assemble(genesis(|_| {}).body()).unwrap();
    let error = Replica::recover(&unsigned, Arc::new(MemoryStore::default()), Arc::new(Alone), |_| {}).unwrap_err();
    assert!(error.to_string().contains("countersigned"), "{error}");
}

#[test]
fn a_block_is_known_as_committed_ahead_or_another() {
    let (mut proposer, mut follower) = (node(), node());
    live(&mut proposer);
    let block = |height| proposer.query.committed_block(height).unwrap().unwrap();
    assert_eq!(follower.replica.check(&block(2).body.block, None, &follower.mempool).unwrap(), Check::Ahead);
    let first = block(1);
    follower.follow(&first.body.block, &first.certificate);
    assert_eq!(follower.replica.check(&first.body.block, None, &follower.mempool).unwrap(), Check::Committed);
    let mut forged = first.body.block.clone();
    forged.header.time_ms += 1;
    assert!(matches!(follower.replica.check(&forged, None, &follower.mempool).unwrap(), Check::Invalid(_)));
    // An engine that lost its note asks again, and is answered as before.
    let again = follower.replica.commit(&first.certificate).unwrap();
    assert_eq!((again.height, again.statements.len(), again.events), (1, 1, 1));
}

#[test]
fn another_body_under_a_known_header_is_not_what_was_checked() {
    let (mut proposer, mut follower) = (node(), node());
    let statement = proposer.statement("shop", Mode::Each, &[issue("a")]);
    proposer.submit(&statement);
    let block = proposer.propose().block;
    assert_eq!(follower.replica.check(&block, None, &follower.mempool).unwrap(), Check::Valid);
    let mut garbage = block.clone();
    garbage.statements = vec![b"garbage".to_vec()];
    assert!(matches!(follower.replica.check(&garbage, None, &follower.mempool).unwrap(), Check::Invalid(_)));
}

#[test]
fn a_candidate_that_fell_out_or_was_checked_in_an_earlier_life_can_still_be_decided() {
    let store = Arc::new(MemoryStore::default());
    let mut node = Node::start(genesis(|_| {}), Arc::clone(&store));
    let first = node.propose().block;
    for _ in 0..20 {
        node.propose();
    }
    let certificate = node.certify(&first);
    let mut again = Node::start(genesis(|_| {}), Arc::clone(&store));
    assert_eq!(again.replica.commit(&certificate).unwrap().id, first.header.id());
}

#[test]
fn what_does_not_fit_a_block_stands_in_nobodys_way() {
    let mut node = node();
    let large = node.statement("shop", Mode::Each, &(0..50).map(|i| issue(&format!("l{i}"))).collect::<Vec<_>>());
    let small = node.statement("isp", Mode::Each, &[issue("small")]);
    node.submit(&large);
    let id = node.submit(&small);
    let bytes = small.len() + 100;
    let chosen = node.mempool.candidates(bytes, u32::MAX);
    assert_eq!(chosen.iter().map(|entry| entry.parsed.statement().id()).collect::<Vec<_>>(), [id]);
}

#[test]
fn every_changed_field_of_a_header_makes_a_block_invalid() {
    let (mut proposer, mut follower) = (node(), node());
    let statement = proposer.statement("shop", Mode::Each, &[issue("a")]);
    proposer.submit(&statement);
    let block = proposer.propose().block;
    let other = chain::hash::Hash::of(b"other");
    type Change = fn(&mut chain::block::Block, chain::hash::Hash);
    let changes: [(&str, Change); 11] = [
        ("version", |block, _| block.header.version += 1),
        ("height", |block, _| block.header.height -= 1),
        ("parent", |block, other| block.header.parent = other.into()),
        ("time", |block, _| block.header.time_ms = 0),
        ("time beyond the calendar", |block, _| block.header.time_ms = i64::MAX),
        ("statements root", |block, other| block.header.statements_root = other),
        ("log root", |block, other| block.header.log_root = other),
        ("log size", |block, _| block.header.log_size += 1),
        ("writes hash", |block, other| block.header.writes_hash = other),
        ("state checkpoint", |block, other| block.header.state_checkpoint.root = other),
        ("validators", |block, other| block.header.next_validators_hash = other),
    ];
    for (what, change) in changes {
        let mut changed = block.clone();
        change(&mut changed, other);
        assert!(
            matches!(follower.replica.check(&changed, None, &follower.mempool).unwrap(), Check::Invalid(_)),
            "{what}"
        );
    }
    assert_eq!(follower.replica.check(&block, None, &follower.mempool).unwrap(), Check::Valid);
}

#[test]
fn a_block_with_a_statement_that_is_wrong_in_itself_is_invalid() {
    let (mut proposer, mut follower) = (node(), node());
    let mut waiting = node();
    let twice = proposer.statement_under("same", "shop", Mode::Each, &[issue("a")]);
    let again = proposer.statement_under("same", "shop", Mode::Each, &[issue("b")]);
    proposer.submit(&twice);
    let block = proposer.propose().block;
    let with = |statements: Vec<Vec<u8>>| {
        let mut changed = block.clone();
        changed.header.statement_count = u32::try_from(statements.len()).unwrap();
        changed.header.statements_root = chain::block::statements_root(&statements);
        changed.statements = statements;
        changed
    };
    let mut forged = twice.clone();
    let last = forged.len() - 1;
    forged[last - 5] = if forged[last - 5] == b'A' { b'B' } else { b'A' };
    for (what, statements) in [
        ("one nonce twice", vec![twice.clone(), again]),
        ("a forged signature", vec![forged.clone()]),
        ("no statement at all", vec![b"{}".to_vec()]),
        ("one left out", vec![]),
    ] {
        let verdict = follower.replica.check(&with(statements), None, &follower.mempool).unwrap();
        assert!(matches!(verdict, Check::Invalid(_)), "{what}: {verdict:?}");
    }
    // What waits here was verified when it came in: as it is, and under no other signature.
    waiting.submit(&twice);
    for (statement, valid) in [(forged, false), (twice, true)] {
        let verdict = waiting.replica.check(&with(vec![statement]), None, &waiting.mempool).unwrap();
        assert_eq!(verdict == Check::Valid, valid, "{verdict:?}");
    }
}

#[test]
fn timeliness_is_judged_for_fresh_proposals_alone() {
    let (mut proposer, mut follower) = (node(), node());
    let block = proposer.propose().block;
    let hour_later = block.header.time_ms + 60 * 60 * 1_000;
    assert!(matches!(follower.replica.check(&block, Some(hour_later), &follower.mempool).unwrap(), Check::Invalid(_)));
    assert_eq!(follower.replica.check(&block, None, &follower.mempool).unwrap(), Check::Valid);
    assert_eq!(
        follower.replica.check(&block, Some(block.header.time_ms + 5_000), &follower.mempool).unwrap(),
        Check::Valid
    );
}

#[test]
fn a_statement_that_is_late_or_decided_by_another_block_is_dropped_with_its_reason() {
    let mut node = node();
    let late = node.statement("shop", Mode::Each, &[issue("a")]);
    let late_id = node.submit(&late);
    let first = node.statement_under("same", "isp", Mode::Each, &[issue("b")]);
    let first_id = node.submit(&first);
    node.now_ms += 2 * 3_600 * 1_000;
    let proposal = node.propose();
    let codes: Vec<_> = proposal
        .dropped
        .iter()
        .map(|(id, dropped)| match dropped {
            Dropped::Rejected(rejection) => (*id, rejection.code),
            Dropped::Repeated(_) | Dropped::Quarantined => panic!("{dropped:?}"),
        })
        .collect();
    assert_eq!(codes.len(), 2);
    assert!(codes.contains(&(late_id, "statement.expired")) && codes.contains(&(first_id, "statement.expired")));
    assert!(node.mempool.is_empty());
}

#[test]
fn a_receipt_verifies_offline_and_names_its_leaf() {
    let mut node = node();
    let id = live(&mut node);
    node.event("shop", &void("144032609110-00000077"));
    for leaf in 0..node.replica.tip().progress.log_size {
        let receipt = node.query.receipt(leaf).unwrap().unwrap();
        let verified = receipt.verify(&node.genesis).unwrap();
        assert_eq!(verified.leaf_index, leaf);
        if leaf == 0 {
            assert_eq!(verified.leaf.subject, id);
        }
    }
    assert!(node.query.receipt(10_000).unwrap().is_none());
}

#[test]
fn the_door_answers_a_decided_nonce_with_the_first_statement() {
    let mut node = node();
    let statement = node.statement_under("key", "shop", Mode::Each, &[issue("a")]);
    node.submit(&statement);
    node.block();
    match node.query.admit(&statement, node.now_ms).unwrap() {
        replica::query::Admission::Decided(id) => assert_eq!(id, statement_id(&statement)),
        replica::query::Admission::Admitted(_) => panic!("admitted twice"),
    }
    // And the rules say the same to a validator.
    let view = replica::StoreView(&**node.replica.store());
    let parsed = ledger::admission::Parsed::read(&statement).unwrap();
    let court = ledger::admission::Court::sit(&view, node.chain(), node.now_ms).unwrap();
    assert!(matches!(court.judge(&parsed, None).unwrap(), Verdict::Repeated(_)));
}

#[test]
fn lists_are_paged_newest_first_and_by_id() {
    let mut node = node();
    let events: Vec<String> = (0..25).map(|index| issue(&format!("r{index}"))).collect();
    node.decide("shop", Mode::All, &events);
    let party = ledger::party::Party::Taxpayer("91350100M000100Y43".parse().unwrap());
    let mut seen = Vec::new();
    let mut cursor: Option<Vec<u8>> = None;
    loop {
        let side = ledger::party::Side::Buyer;
        let page =
            node.query.party_invoices(std::slice::from_ref(&party), side, cursor.as_deref(), 10, |_, _| true).unwrap();
        seen.extend(page.rows.iter().map(|(id, _)| id.to_string()));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let first = node.query.all_invoices(None, 10, |_, _| true).unwrap();
    let second = node.query.all_invoices(first.next.as_deref(), 100, |_, _| true).unwrap();
    assert_eq!((first.rows.len(), second.rows.len(), second.next), (10, 15, None));
}

#[test]
fn the_mempool_is_fair_and_bounded() {
    use replica::mempool::{Full, Inserted, Limits, Mempool};
    let mut node = node();
    let limits = Limits { statements_max: 40, organisation_percent_max: 25, ..Limits::default() };
    let pool = Mempool::new(limits, || {});
    let entry = |node: &Node<MemoryStore>, statement: &[u8]| match node.query.admit(statement, node.now_ms).unwrap() {
        replica::query::Admission::Admitted(entry) => *entry,
        replica::query::Admission::Decided(_) => unreachable!("nothing was decided"),
    };
    let mut refused = 0;
    for index in 0..12 {
        let statement = node.statement("shop", Mode::Each, &[issue(&format!("r{index}"))]);
        match pool.insert(entry(&node, &statement)) {
            Ok(inserted) => assert_eq!(inserted, Inserted::Queued),
            Err(full) => {
                assert!(matches!(full, Full::Organisation { max, .. } if max <= 10), "{full:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 2);
    let other = node.statement("isp", Mode::Each, &[issue("x")]);
    pool.insert(entry(&node, &other)).unwrap();
    let order: Vec<_> = pool
        .candidates(usize::MAX, u32::MAX)
        .iter()
        .map(|entry| entry.parsed.statement().header().organisation.to_string())
        .collect();
    assert_eq!(&order[..3], ["isp", "shop", "shop"], "the small one does not wait behind the large one");
    assert_eq!(pool.insert(entry(&node, &other)), Ok(Inserted::Waiting(statement_id(&other))));
}

/// The police among two validators, and its reporter.
fn witness(mempool: &Arc<Mempool>) -> (Node<MemoryStore>, Reporter<MemoryStore>) {
    let node = Node::start(genesis_of(2, |_| {}), Arc::new(MemoryStore::default()));
    let (organisation, key) = (organisation_id("police"), KeyId::new("receipt").unwrap());
    let author = Author { organisation, key, secret: secret("police", "receipt") };
    let reporter = Reporter::new(node.query.clone(), Arc::clone(mempool), author);
    (node, reporter)
}

/// A block of what waits, signed by both validators.
fn decide(node: &mut Node<MemoryStore>, mempool: &Mempool) {
    let proposal = node.replica.propose(node.now_ms, &secret("police", "consensus").public(), mempool).unwrap();
    assert_eq!(proposal.dropped, []);
    let (chain, suite) = (node.chain(), node.genesis.suite());
    let (height, id) = (proposal.block.header.height, proposal.block.header.id());
    let sign = |agency| sign_precommit(&secret(agency, "consensus"), &chain, suite, height, 0, &id);
    let signatures = ["tax-bureau", "police"].map(sign).to_vec();
    let committed = node.replica.commit(&CommitCertificate::new(suite, height, 0, id, signatures)).unwrap();
    mempool.remove(&committed.statements);
}

#[test]
fn what_a_node_has_seen_is_reported_until_the_ledger_holds_it() {
    let mempool = Arc::new(Mempool::new(Limits::default(), || {}));
    let (mut node, mut reporter) = witness(&mempool);
    let proof = double_vote(&node.genesis, "tax-bureau", 1);
    assert_eq!(reporter.take(proof.clone(), node.now_ms).unwrap(), Taken::Pending);
    assert_eq!(reporter.take(proof.clone(), node.now_ms).unwrap(), Taken::Known);
    // Its turn comes at once or after that of the other validator.
    node.now_ms += 2_000;
    let first = reporter.report(node.now_ms).unwrap();
    assert_eq!((first.len(), mempool.len(), reporter.pending()), (1, 1, 1));
    assert_eq!(reporter.report(node.now_ms).unwrap(), Vec::<Vec<u8>>::new(), "there is a pause");
    // The same bytes again, for nodes that have not heard it.
    node.now_ms += RETRY_MS;
    assert_eq!(reporter.report(node.now_ms).unwrap(), first);
    assert_eq!(mempool.len(), 1);
    // Lost, and out of time: signed anew under the same nonce.
    mempool.remove([&statement_id(&first[0])]);
    node.now_ms += 3_600_000;
    let later = reporter.report(node.now_ms).unwrap();
    assert_ne!(later, first);
    decide(&mut node, &mempool);
    let evidence = node.query.evidence(8).unwrap();
    assert_eq!((evidence.count, evidence.newest[0].by.as_str()), (1, "police"));
    node.now_ms += 3_600_000;
    assert_eq!(reporter.report(node.now_ms).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(reporter.pending(), 0);
    // Seen again, by this process or the next.
    assert_eq!(reporter.take(proof, node.now_ms).unwrap(), Taken::Known);
}

#[test]
fn what_cannot_be_reported_is_not_and_nothing_grows_without_end() {
    let mempool = Arc::new(Mempool::new(Limits::default(), || {}));
    let (mut node, mut reporter) = witness(&mempool);
    let take = |reporter: &mut Reporter<MemoryStore>, proof: Equivocation| reporter.take(proof, node.now_ms).unwrap();
    let proof = double_vote(&node.genesis, "tax-bureau", 1);
    assert_eq!(take(&mut reporter, double_vote(&node.genesis, "police", 1)), Taken::Own);
    assert_eq!(take(&mut reporter, double_vote(&node.genesis, "shop", 1)), Taken::Unproven(None));
    let same = Equivocation { second: proof.first, ..proof };
    assert_eq!(take(&mut reporter, same), Taken::Unproven(Some(EquivocationError::Same)));
    for height in 1..=PENDING_MAX as u64 {
        assert_eq!(take(&mut reporter, double_vote(&node.genesis, "tax-bureau", height)), Taken::Pending);
    }
    assert_eq!(take(&mut reporter, double_vote(&node.genesis, "tax-bureau", 1_000)), Taken::Full);
    // No block ever comes.
    for _ in 0..TRIES_MAX {
        assert_eq!(reporter.pending(), PENDING_MAX);
        node.now_ms += 3_600_000;
        assert_eq!(reporter.report(node.now_ms).unwrap().len(), PENDING_MAX);
        let waiting = mempool.candidates(usize::MAX, u32::MAX);
        mempool.remove(waiting.iter().map(|entry| entry.parsed.statement().id()).collect::<Vec<_>>().iter());
    }
    assert_eq!(reporter.pending(), 0);
}
