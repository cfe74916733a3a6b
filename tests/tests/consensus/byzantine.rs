//! One validator of four that betrays the others, by upstream's own means.
//!
//! The others must agree, go on, and keep what they acknowledged; and what two signatures of it prove is on the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chain::archive::ArchiveWriter;
use chain::certificate::VoteKind;
use chain::equivocation::Step;
use chain::verify::{Options, Status};
use consensus::Consensus;
use consensus::byzantine::{Byzantine, Signed};
use ledger::replay::verify_archive;
use tests::consortium::AGENCIES;
use tests::events::issue;
use tests::network::{Faults, Network, vote_in};
use wire::peer::{ConsensusMessage, FrameContent, LivenessMessage};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// The place of the one that betrays.
const VILLAIN: usize = 2;

const HONEST: [usize; 3] = [0, 1, 3];

/// Four validators, one of which does this.
async fn betrayed(byzantine: Byzantine, faults: Faults) -> (Network, Arc<Signed>) {
    let signed = Arc::clone(&byzantine.signed);
    let mut network = Network::prepare(4, 0, byzantine.seed, faults);
    network.members[VILLAIN]
        .start_by(Box::new(move |parts, ended| Box::pin(Consensus::start_byzantine(byzantine.clone(), parts, ended))));
    for place in ALL {
        network.run(place).await;
    }
    (network, signed)
}

/// Posts at the honest nodes in turn, each when the one before is final at all of them.
async fn issue_some(network: &mut Network, count: usize) {
    for number in 0..count {
        let statement = network.statement("shop", &issue(&format!("issue-{number}")));
        network.members[HONEST[number % HONEST.len()]].post(&statement);
        network.commit(&HONEST, &statement).await;
    }
}

/// One chain, everything that was acknowledged, nobody honest ended, and an auditor who finds nothing.
fn check(network: &Network) {
    network.check();
    for place in HONEST {
        assert_eq!(*network.members[place].seen.ended.lock().unwrap(), None);
        let mut writer = ArchiveWriter::new(Vec::new(), &network.genesis).unwrap();
        for block in network.members[place].committed() {
            writer.push(&block).unwrap();
        }
        let archive = writer.finish().unwrap().0;
        let report = verify_archive(archive.as_slice(), &network.genesis, Options::default(), |_| {}).unwrap().report;
        assert_eq!(report.status, Status::Verified, "{:?}", report.findings);
    }
}

/// The steps of which a node has seen two, all of the villain.
fn seen(network: &Network, place: usize) -> BTreeSet<Step> {
    let villain = *network.members[VILLAIN].key().unwrap().public().as_bytes();
    let seen = network.members[place].seen.equivocations.lock().unwrap();
    let step = |message: &ConsensusMessage| match message {
        ConsensusMessage::Vote(vote) => (vote.voter, Step::from(vote.kind)),
        ConsensusMessage::Proposal(proposal) => (proposal.proposer, Step::Proposal),
    };
    let steps = seen.iter().map(|pair| step(&pair.first));
    steps
        .map(|(who, step)| {
            assert_eq!(who, villain, "an honest validator is accused");
            step
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_everything_in_two_ways_stops_nobody_and_stands_on_the_ledger() {
    let byzantine = Byzantine { other_votes: 100, other_proposals: 100, seed: 21, ..Byzantine::default() };
    let (mut network, _) = betrayed(byzantine, Faults::default()).await;
    issue_some(&mut network, 6).await;
    // It has its turn among any four heights, and each report takes one.
    for place in HONEST {
        let all = [Step::Proposal, Step::Prevote, Step::Precommit].into();
        network.members[place].seen.until("both of each step", || seen(&network, place) == all).await;
        network.members[place].seen.until("evidence", || network.members[place].evidence().count >= 3).await;
    }
    let (accused, _, _) = AGENCIES[VILLAIN];
    for place in HONEST {
        for record in network.members[place].evidence().newest {
            assert_eq!(record.validator.as_str(), accused);
            assert_ne!(record.by.as_str(), accused, "it reports nothing of its own");
        }
    }
    check(&network);
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_votes_and_blocks_to_itself_delays_and_is_accused_of_nothing() {
    let byzantine = Byzantine { lost_votes: 60, lost_proposals: 60, seed: 22, ..Byzantine::default() };
    let (mut network, _) = betrayed(byzantine, Faults::default()).await;
    issue_some(&mut network, 8).await;
    for place in HONEST {
        assert_eq!(seen(&network, place), [].into());
        assert_eq!(network.members[place].evidence().count, 0);
    }
    check(&network);
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_no_proposal_and_never_precommits_is_outvoted() {
    let byzantine = Byzantine { deaf_to_proposals: 70, nil_precommits: 100, seed: 23, ..Byzantine::default() };
    let (mut network, signed) = betrayed(byzantine, Faults::default()).await;
    issue_some(&mut network, 8).await;
    assert!(signed.nil_precommits.load(Ordering::Relaxed) > 0, "it precommitted as it should");
    for height in 1..=network.check() {
        let key = network.members[VILLAIN].key().unwrap().public();
        let certificate = network.members[0].certificate(height);
        assert!(!certificate.signatures.iter().any(|signed| signed.validator == key), "it has signed {height}");
    }
    check(&network);
    network.end().await;
}

/// The villain is locked on a block that the others did not lock on, and votes for the next one as if it were not.
#[tokio::test(flavor = "multi_thread")]
async fn who_forgets_its_lock_makes_nobody_decide_twice() {
    let byzantine = Byzantine { amnesia: 100, seed: 24, ..Byzantine::default() };
    let (mut network, signed) = betrayed(byzantine, Faults::default()).await;
    // A height at which it proposes in neither of the first two rounds.
    let mut height;
    loop {
        issue_some(&mut network, 1).await;
        height = network.members.iter().map(|member| member.seen.height()).max().unwrap();
        network.reach(&ALL, height).await;
        if network.proposer(height + 1, 2) == VILLAIN {
            break;
        }
    }
    height += 1;
    let [first, second, late] = [0, 1, 3].map(|round| network.proposer(height, round));
    let key = |place: usize| *network.members[place].key().unwrap().public().as_bytes();
    let (first_key, second_key) = (key(first), key(second));
    let before = signed.amnesia.load(Ordering::Relaxed);
    // Whoever passes it on: nodes that have just met do not know who is connected with whom.
    network.cables.lose(Box::new(move |_, to, content| match content {
        // One never gets a block, so that there are two opinions.
        FrameContent::Part(_) => to == late,
        // The lock is known to the villain alone.
        FrameContent::Liveness(LivenessMessage::Polka(_)) => true,
        content => vote_in(content).is_some_and(|vote| {
            let apart = (vote.voter, to) == (first_key, second) || (vote.voter, to) == (second_key, first);
            apart && vote.kind == VoteKind::Prevote && (vote.height, vote.round) == (height, 0)
        }),
    }));
    let statement = network.statement("shop", &issue("forgotten"));
    network.members[first].post(&statement);
    network.commit(&HONEST, &statement).await;
    assert!(signed.amnesia.load(Ordering::Relaxed) > before, "it kept its lock");
    assert!(network.members[first].certificate(height).round > 0, "the first round was decided");
    network.cables.lose(Box::new(|_, _, _| false));
    issue_some(&mut network, 2).await;
    check(&network);
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_all_of_it_on_a_bad_network_changes_nothing_that_was_acknowledged() {
    let byzantine = Byzantine {
        other_votes: 40,
        other_proposals: 40,
        amnesia: 50,
        deaf_to_proposals: 20,
        seed: 25,
        ..Byzantine::default()
    };
    // Parts of a block that overtake each other are no block: on such a network it takes many rounds.
    let bad = Faults { delay_ms_max: 2, lost_percent: 3, doubled_percent: 3 };
    let (mut network, _) = betrayed(byzantine, bad).await;
    let mut posted = Vec::new();
    for cut_off in [0, VILLAIN, 3] {
        let statement = network.statement("shop", &issue(&format!("without-{cut_off}")));
        network.members[1].post(&statement);
        posted.push(statement);
        network.cables.part(&[cut_off], &ALL);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        network.cables.heal();
        network.check();
    }
    network.cables.worsen(Faults::default());
    for statement in &posted {
        network.commit(&ALL, statement).await;
    }
    check(&network);
    network.end().await;
}
