//! A network that works.

use tests::events::{issue, lock};
use tests::network::{Faults, Network};

const ALL: [usize; 4] = [0, 1, 2, 3];

#[tokio::test(flavor = "multi_thread")]
async fn statements_posted_anywhere_are_on_everybodys_chain() {
    let mut network = Network::start(4, 0, 1, Faults::default()).await;
    for round in 0..3 {
        for place in ALL {
            let statement = network.statement("shop", &issue(&format!("r-{round}-{place}")));
            network.members[place].post(&statement);
            network.commit(&ALL, &statement).await;
        }
    }
    assert!(network.check() >= 3);
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_platforms_lock_one_invoice_at_two_agencies_and_one_wins() {
    let mut network = Network::start(4, 0, 2, Faults::default()).await;
    let statement = network.statement("shop", &issue("raced"));
    network.members[0].post(&statement);
    network.commit(&ALL, &statement).await;
    let invoice = network.members[0].subject(&statement);
    let first = network.statement("platform-a", &lock(&invoice, "claim-a"));
    let second = network.statement("platform-b", &lock(&invoice, "claim-b"));
    network.members[1].post(&first);
    network.members[2].post(&second);
    network.commit(&ALL, &first).await;
    network.commit(&ALL, &second).await;
    for member in &network.members {
        let mut codes = [member.code(&first), member.code(&second)];
        codes.sort();
        assert_eq!(codes, ["accepted", "reimbursement.already-locked"]);
        assert_eq!(member.code(&first), network.members[0].code(&first), "everybody names the same winner");
    }
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_and_so_no_block_is_made() {
    let mut network = Network::start(4, 0, 3, Faults::default()).await;
    let statement = network.statement("shop", &issue("only"));
    network.members[0].post(&statement);
    network.commit(&ALL, &statement).await;
    let height = network.members.iter().map(|member| member.seen.height()).max().unwrap();
    network.reach(&ALL, height).await;
    // Longer than any round takes: who started a height without a reason would have come to another one.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    for member in &network.members {
        assert_eq!(member.seen.height(), height, "the heartbeat is ten minutes away");
        assert!(!member.standing().deciding, "the engine is held where it finalized");
    }
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_follows_and_passes_on_what_it_is_given() {
    let mut network = Network::start(4, 1, 4, Faults::default()).await;
    let everybody = [0, 1, 2, 3, 4];
    for number in 0..5 {
        let statement = network.statement("shop", &issue(&format!("observed-{number}")));
        network.members[4].post(&statement);
        network.commit(&everybody, &statement).await;
    }
    network.check();
    network.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_in_a_line_pass_on_what_they_see() {
    let mut network = Network::start(4, 1, 5, Faults::default()).await;
    // 0 – 1 – 2 – 3 – 4, the last of them an observer.
    for one in 0..5_usize {
        for other in 0..5_usize {
            if one.abs_diff(other) > 1 {
                network.disconnect(one, other);
            }
        }
    }
    for place in [0, 3, 4] {
        let statement = network.statement("shop", &issue(&format!("line-{place}")));
        network.members[place].post(&statement);
        network.commit(&[0, 1, 2, 3, 4], &statement).await;
    }
    network.check();
    network.end().await;
}
