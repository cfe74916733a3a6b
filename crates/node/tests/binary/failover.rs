//! What a platform notices of a node that dies under its call: nothing but the time.

use client::messages::SubscribeRequest;
use client::{Event, Held, Lock, Node};
use serde_json::{Value, json};
use tests::platform::{ClaimStatus, Platform, signer};

use crate::support::{eventually, issue};
use crate::together::Consortium;

/// The agencies' nodes, in the order of their places.
const NODES: [&str; 4] = ["tax-bureau-1", "police-1", "customs-1", "central-bank-1"];

#[test]
fn a_node_killed_in_the_middle_of_a_lock_and_asked_again_at_another_gives_one_lock() {
    let directory = tempfile::tempdir().unwrap();
    let mut consortium = Consortium::start(directory.path());
    consortium.until_ready(&[0, 1, 2, 3]);
    let issued = consortium.submit(0, &consortium.sign("failover", &issue("FAILOVER-1"))).ended(0).json();
    let invoice = issued.pointer("/outcomes/0/subject").and_then(Value::as_str).unwrap().to_owned();
    let home = consortium.directory.clone();
    let key = |name: &str| home.join(format!("keys/demo-platform-a/{name}-1.json"));
    let nodes = [0, 1].map(|place| Node::new(consortium.grpc_url(place), NODES[place]));
    let platform = Platform::connect(nodes.into(), key("login").to_str().unwrap());
    let signer = signer(key("statement").to_str().unwrap(), &consortium.chain);
    let mut watched = platform
        .run(platform.client.subscribe(SubscribeRequest { invoice: invoice.clone(), ..SubscribeRequest::default() }))
        .unwrap();
    let (enterprise, claim) = ("demo-buyer".to_owned(), "claim-1".to_owned());
    let lock = Lock { invoice: invoice.clone(), enterprise, claim: claim.clone(), lease_seconds: None };
    let signed = platform.client.sign(&signer, &Event::Lock(lock)).unwrap();

    // Two of four vote no more, so that the lock stays in the middle.
    for place in [2, 3] {
        consortium.nodes[place].as_ref().unwrap().signal("STOP");
    }
    let metrics = format!("{}/metrics", consortium.url(0));
    let locked = std::thread::scope(|scope| {
        let deciding = scope.spawn(|| platform.decide(&signed));
        eventually("the lock in the first node", || {
            let text = ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap();
            let waits = text.lines().find(|line| line.starts_with("einvoice_api_mempool_statements"));
            if waits.is_some_and(|line| line.ends_with(" 1")) { Ok(()) } else { Err(format!("{waits:?}")) }
        });
        consortium.nodes[0].take().unwrap().kill();
        for place in [2, 3] {
            consortium.nodes[place].as_ref().unwrap().signal("CONT");
        }
        deciding.join().unwrap()
    });
    let locked = locked.unwrap();
    let token = locked.lease().unwrap().token;
    assert_eq!((locked.statement, token), (signed.id(), 1));

    // Whoever is asked has the same one.
    for place in [1, 2, 3] {
        let there = Platform::connect(
            vec![Node::new(consortium.grpc_url(place), NODES[place])],
            key("login").to_str().unwrap(),
        );
        let again =
            eventually("the same lock at another node", || there.decide(&signed).map_err(|error| error.to_string()));
        assert_eq!((again.height, &again.outcomes), (locked.height, &locked.outcomes));
        assert!(!again.fresh, "it was decided before");
    }
    let closed = platform.run(platform.client.close(&signer, Held { invoice: invoice.clone(), claim, token }));
    closed.unwrap();
    assert_eq!(platform.claim(&invoice).unwrap().status(), ClaimStatus::Closed);
    // The stream broke with the first node, and goes on at the second: one lock, and the close.
    let seen: Vec<_> = ["lock", "close"].map(|_| platform.run(watched.next()).unwrap()).into();
    let seen: Vec<_> = seen.iter().map(|event| (event.r#type.as_str(), event.height)).collect();
    assert_eq!(seen[0], ("cn.einvoice.invoice.locked.v1", locked.height));
    assert_eq!(seen[1].0, "cn.einvoice.invoice.closed.v1");
    let status = ureq::get(format!("{}/v1/status", consortium.url(1))).call().unwrap().body_mut().read_to_string();
    let status: Value = serde_json::from_str(&status.unwrap()).unwrap();
    assert_eq!(status["ready"], json!(true), "{status}");
}
