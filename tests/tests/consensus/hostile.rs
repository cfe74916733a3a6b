//! Peers and validators that do what they should not.

use chain::archive::ArchiveWriter;
use chain::block::{Block, Header};
use chain::equivocation::Step;
use chain::hash::Hash;
use chain::verify::{Options, Status};
use ledger::outcome::Record;
use ledger::replay::verify_archive;
use tests::consortium::AGENCIES;
use tests::events::issue;
use tests::network::{Faults, Network};
use wire::peer::{BlocksResponse, ConsensusMessage, DecidedBlock, FrameContent, PeerStatus};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// A network that has come to a height, and that height.
async fn begun(seed: u64) -> (Network, u64) {
    let mut network = Network::start(4, 0, seed, Faults::default()).await;
    let statement = network.statement("shop", &issue("first"));
    network.members[0].post(&statement);
    network.commit(&ALL, &statement).await;
    let height = network.members.iter().map(|member| member.seen.height()).max().unwrap();
    network.reach(&ALL, height).await;
    (network, height)
}

/// A block on the tip that is right in all but one thing.
fn block(network: &Network, height: u64, proposer: usize, change: impl FnOnce(&mut Header)) -> Block {
    let mut block = network.members[(proposer + 1) % 4].block(height);
    block.statements.clear();
    let parent = block.header.id();
    let header = &mut block.header;
    header.height += 1;
    header.parent = parent;
    header.time_ms = network.clock.now_ms();
    header.proposer = network.members[proposer].key().unwrap().public();
    header.statement_count = 0;
    header.statements_root = chain::block::statements_root::<Vec<u8>>(&[]);
    change(header);
    block
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_blocks_of_a_proposer_are_passed_over() {
    let (mut network, height) = begun(11).await;
    let villain = network.proposer(height + 1, 0);
    let key = network.members[villain].key().unwrap().clone();
    network.kill(villain).await;
    let others: Vec<usize> = ALL.into_iter().filter(|place| *place != villain).collect();
    let mut stranger = network.stranger(0).await;
    let wrong = block(&network, height, villain, |header| header.log_root = Hash::of(b"made up"));
    stranger.propose(&network.genesis, &key, 0, &wrong).await;
    let statement = network.statement("shop", &issue("second"));
    network.members[others[0]].post(&statement);
    network.commit(&others, &statement).await;
    for place in &others {
        assert!(!network.members[*place].chain().contains(&wrong.header.id()));
        assert_eq!(*network.members[*place].seen.ended.lock().unwrap(), None);
    }
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_whose_turn_it_is_has_signed_is_not_collected() {
    let (mut network, height) = begun(12).await;
    let other = (network.proposer(height + 1, 0) + 1) % 4;
    let key = network.members[other].key().unwrap().clone();
    let mut stranger = network.stranger(0).await;
    let early = block(&network, height, other, |_| {});
    stranger.propose(&network.genesis, &key, 0, &early).await;
    let statement = network.statement("shop", &issue("second"));
    network.members[other].post(&statement);
    network.commit(&ALL, &statement).await;
    assert!(!network.members[0].chain().contains(&early.header.id()));
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_votes_twice_is_seen_with_both_votes_and_stands_on_the_ledger() {
    let (mut network, height) = begun(13).await;
    let villain = network.proposer(height + 1, 1);
    let key = network.members[villain].key().unwrap().clone();
    network.kill(villain).await;
    let others: Vec<usize> = ALL.into_iter().filter(|place| *place != villain).collect();
    let mut stranger = network.stranger(0).await;
    let genesis = std::sync::Arc::clone(&network.genesis);
    stranger.prevote(&genesis, &key, height + 1, 0, None).await;
    stranger.prevote(&genesis, &key, height + 1, 0, Some(Hash::of(b"another").into())).await;
    for number in 0..2 {
        let statement = network.statement("shop", &issue(&format!("second-{number}")));
        network.members[others[0]].post(&statement);
        network.commit(&others, &statement).await;
    }
    for place in &others {
        let seen = network.members[*place].seen.equivocations.lock().unwrap();
        let voters = seen.iter().map(|evidence| match (&evidence.first, &evidence.second) {
            (ConsensusMessage::Vote(first), ConsensusMessage::Vote(second)) => {
                assert_ne!(first.block_id, second.block_id);
                assert_eq!((first.height, first.round), (second.height, second.round));
                first.voter
            }
            other => panic!("these are votes: {other:?}"),
        });
        assert!(voters.into_iter().any(|voter| voter == *key.public().as_bytes()), "node {place} has seen it");
    }
    // The one that did it comes back, and finds it on its own ledger.
    network.run(villain).await;
    for member in &network.members {
        member.seen.until("the evidence", || member.evidence().count > 0).await;
    }
    let (accused, _, _) = AGENCIES[villain];
    for member in &network.members {
        let evidence = member.evidence();
        let [record] = evidence.newest.as_slice() else { panic!("there is one: {evidence:?}") };
        let place = (record.validator.as_str(), record.height, record.round, record.kind);
        assert_eq!((evidence.count, place), (1, (accused, height + 1, 0, Step::Prevote)));
        assert_ne!(record.by.as_str(), accused);
        let verified = member.receipt(record.leaf.index).verify(&network.genesis).unwrap();
        assert_eq!(verified.leaf.subject, format!("evidence:{accused}/{}/0/prevote", height + 1));
        assert_eq!(Record::decode(&verified.record).unwrap(), Record::Reported { number: 1, key: key.public().into() });
        let mut writer = ArchiveWriter::new(Vec::new(), &network.genesis).unwrap();
        for block in member.committed() {
            writer.push(&block).unwrap();
        }
        let archive = writer.finish().unwrap().0;
        let report = verify_archive(archive.as_slice(), &network.genesis, Options::default(), |_| {}).unwrap().report;
        assert_eq!(report.status, Status::Verified, "{:?}", report.findings);
    }
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_in_sync_is_not_believed() {
    let (mut network, height) = begun(14).await;
    network.kill(3).await;
    for number in 0..4 {
        let statement = network.statement("shop", &issue(&format!("meanwhile-{number}")));
        network.members[0].post(&statement);
        network.commit(&[0, 1, 2], &statement).await;
    }
    network.cables.part(&[3], &[0, 1, 2]);
    network.run(3).await;
    // The one that was away hears only the liar, who offers a history of its own.
    let mut liar = network.stranger(0).await;
    let status = PeerStatus { tip_height: height + 50, min_height: 1, neighbours: Vec::new() };
    liar.answer(3, FrameContent::Status(status.clone())).await;
    let mut lies = 0;
    while lies < 4 {
        for frame in liar.hears(3).await {
            let FrameContent::Call(id, request) = frame.content else { continue };
            let mut block = block(&network, height, 0, |header| header.height = request.first_height);
            if lies == 1 {
                block.statements = vec![b"nothing that was ever signed".to_vec()];
            }
            let mut certificate = network.members[0].certificate(height);
            if lies == 3 {
                // The true header with its true certificate, over another body.
                block = network.members[0].block(request.first_height);
                block.statements.push(b"nothing that was ever signed".to_vec());
                certificate = network.members[0].certificate(request.first_height);
            }
            let bytes = if lies == 2 { b"no block".to_vec() } else { block.encode() };
            let blocks = vec![DecidedBlock { block: bytes, certificate }];
            liar.answer(3, FrameContent::Answer(id, BlocksResponse { first_height: request.first_height, blocks }))
                .await;
            lies += 1;
        }
        liar.answer(3, FrameContent::Status(status.clone())).await;
    }
    network.cables.heal();
    let tip = network.members[0].seen.height();
    network.reach(&[3], tip).await;
    assert_eq!(*network.members[3].seen.ended.lock().unwrap(), None);
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_or_sends_nonsense_is_slowed_or_cut_off_and_the_others_go_on() {
    let (mut network, height) = begun(15).await;
    let mut nonsense = network.stranger(0).await;
    assert_eq!(nonsense.say_bytes(&[0xff; 100]).await, 0, "its streams are ended by everybody");
    let mut flood = network.stranger(1).await;
    let key = chain::key::SecretKey::from_seed([9; 32]);
    let genesis = std::sync::Arc::clone(&network.genesis);
    let flooding = tokio::spawn(async move {
        for number in 0_u32.. {
            let id = Hash::of(&number.to_be_bytes()).into();
            flood.prevote(&genesis, &key, height + 1, number % 8, Some(id)).await;
        }
    });
    for number in 0..4 {
        let statement = network.statement("shop", &issue(&format!("meanwhile-{number}")));
        network.members[number].post(&statement);
        network.commit(&ALL, &statement).await;
    }
    flooding.abort();
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_to_be_far_ahead_makes_nobody_decide_block_after_block() {
    let (mut network, height) = begun(16).await;
    let mut liar = network.stranger(0).await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while std::time::Instant::now() < until {
        for ahead in [1, 50] {
            let status = PeerStatus { tip_height: height + ahead, min_height: 1, neighbours: Vec::new() };
            liar.say(FrameContent::Status(status)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let reached = network.members.iter().map(|member| member.seen.height()).max().unwrap();
    assert!(reached <= height + 2, "{} empty blocks in two seconds", reached - height);
    let statement = network.statement("shop", &issue("second"));
    network.members[0].post(&statement);
    network.commit(&ALL, &statement).await;
    network.check();
    network.end().await;
}
