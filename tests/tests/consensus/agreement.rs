//! A network that works.

use tests::events::issue;
use tests::network::{Faults, Network};

#[tokio::test(flavor = "multi_thread")]
async fn statements_posted_anywhere_are_on_everybodys_chain() {
    let mut network = Network::start(4, 0, 1, Faults::default()).await;
    let all = [0, 1, 2, 3];
    for round in 0..3 {
        for place in all {
            let statement = network.statement("shop", &issue(&format!("r-{round}-{place}")));
            network.members[place].post(&statement);
            network.commit(&all, &statement).await;
        }
    }
    assert!(network.check() >= 3);
    network.end().await;
}
