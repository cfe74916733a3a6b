//! A network that does not work, and nodes that go away.

use std::time::{SystemTime, UNIX_EPOCH};

use tests::events::issue;
use tests::network::{Faults, Network};
use tests::trial::engine;

const ALL: [usize; 4] = [0, 1, 2, 3];

/// Posts invoices at these nodes in turn, and waits until they have them.
async fn issue_some(network: &mut Network, name: &str, count: usize, at: &[usize]) {
    for number in 0..count {
        let statement = network.statement("shop", &issue(&format!("{name}-{number}")));
        network.members[at[number % at.len()]].post(&statement);
        network.commit(at, &statement).await;
    }
}

async fn level(network: &Network, places: &[usize]) {
    let height = places.iter().map(|place| network.members[*place].seen.height()).max().unwrap();
    network.reach(places, height).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_away_catches_up_while_the_others_go_on() {
    let mut network = Network::start(4, 0, 2, Faults::default()).await;
    network.kill(3).await;
    issue_some(&mut network, "away", 6, &[0, 1, 2]).await;
    network.run(3).await;
    level(&network, &ALL).await;
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_with_an_empty_disk_catches_up_from_genesis() {
    let mut network = Network::start(4, 0, 3, Faults::default()).await;
    issue_some(&mut network, "before", 8, &ALL).await;
    network.kill(2).await;
    network.wipe(2);
    issue_some(&mut network, "meanwhile", 3, &[0, 1, 3]).await;
    network.run(2).await;
    level(&network, &ALL).await;
    issue_some(&mut network, "after", 2, &ALL).await;
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_two_of_four_nothing_is_decided_and_with_one_back_it_goes_on() {
    let mut network = Network::start(4, 0, 4, Faults::default()).await;
    issue_some(&mut network, "whole", 2, &ALL).await;
    level(&network, &ALL).await;
    network.kill(0).await;
    network.kill(1).await;
    let height = network.members[2].seen.height();
    let waiting = network.statement("shop", &issue("waiting"));
    network.members[2].post(&waiting);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(network.members[2].seen.height(), height, "two of four are no quorum");
    network.run(1).await;
    network.commit(&[1, 2, 3], &waiting).await;
    network.run(0).await;
    network.commit(&ALL, &waiting).await;
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_end_at_once_and_go_on_from_what_they_wrote_down() {
    let mut network = Network::start(4, 0, 5, Faults::default()).await;
    for round in 0..3 {
        issue_some(&mut network, &format!("life-{round}"), 3, &ALL).await;
        let half_way = network.statement("shop", &issue(&format!("half-way-{round}")));
        network.members[round].post(&half_way);
        for place in ALL {
            network.kill(place).await;
        }
        for place in ALL {
            network.run(place).await;
        }
    }
    issue_some(&mut network, "end", 1, &ALL).await;
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_that_is_cut_off_decides_nothing_and_comes_back() {
    let mut network = Network::start(4, 0, 6, Faults::default()).await;
    issue_some(&mut network, "whole", 2, &ALL).await;
    network.cables.part(&[0], &[1, 2, 3]);
    issue_some(&mut network, "cut", 3, &[1, 2, 3]).await;
    network.cables.heal();
    level(&network, &ALL).await;
    // Only what it says is lost: it hears the others, and they do without it.
    network.cables.silence(&[1], &[0, 2, 3]);
    issue_some(&mut network, "silenced", 3, &[0, 2, 3]).await;
    network.cables.heal();
    level(&network, &ALL).await;
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_of_an_hour_is_no_reason_to_refuse_the_block_that_was_locked() {
    let mut network = Network::start(4, 0, 7, Faults::default()).await;
    issue_some(&mut network, "before", 2, &ALL).await;
    level(&network, &ALL).await;
    let height = network.members[0].seen.height();
    let locked = network.statement("shop", &issue("locked"));
    // Blocks and votes spread, and nobody hears a precommit: a block is locked and not decided.
    network.cables.lose_precommits(true);
    network.members[0].post(&locked);
    for place in ALL {
        network.locked(place, height + 1).await;
    }
    network.cables.part(&[0, 1], &[2, 3]);
    network.clock.advance(3_600_000);
    network.cables.lose_precommits(false);
    network.cables.heal();
    network.commit(&ALL, &locked).await;
    assert_eq!(network.members[0].height_of(&locked), height + 1, "the block from before the halt was decided");
    assert!(network.members[0].time_of(height + 1) < network.clock.now_ms() - 3_000_000);
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_off_hurts_its_own_blocks_alone() {
    let mut network = Network::start(4, 0, 8, Faults::default()).await;
    issue_some(&mut network, "right", 1, &ALL).await;
    network.kill(3).await;
    network.members[3].own_clock().advance(3_600_000);
    network.run(3).await;
    // At every door: what the others share is in time for it, and what it takes in is decided by their blocks.
    let from = network.members[0].seen.height();
    issue_some(&mut network, "wrong", 8, &ALL).await;
    level(&network, &ALL).await;
    let tip = network.members[0].seen.height();
    assert!(tip > from, "nothing was decided");
    let late = (1..=tip).filter(|height| network.members[3].time_of(*height) > network.clock.now_ms() + 5_000);
    assert_eq!(late.collect::<Vec<_>>(), [0; 0], "a block has the wrong time");
    network.check();
    network.end().await;
}

#[test]
fn much_that_goes_wrong_at_once_changes_nothing_that_was_acknowledged() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let report = engine::run(&engine::Options::short(seed, 3)).unwrap();
    println!("{report}");
    assert_eq!(report.losses, Vec::<String>::new());
}
