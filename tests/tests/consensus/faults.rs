//! A network that does not.

use tests::events::issue;
use tests::network::{Faults, Network};

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_away_catches_up_while_the_others_go_on() {
    let mut network = Network::start(4, 0, 2, Faults::default()).await;
    network.kill(3).await;
    for number in 0..6 {
        let statement = network.statement("shop", &issue(&format!("away-{number}")));
        network.members[number % 3].post(&statement);
        network.commit(&[0, 1, 2], &statement).await;
    }
    network.run(3).await;
    let height = network.members[0].seen.height();
    network.reach(&[3], height).await;
    network.check();
    network.end().await;
}
