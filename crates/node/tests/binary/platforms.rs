//! The gRPC door of a node in a process of its own.

use serde_json::{Value, json};
use tests::platform::{ClaimStatus, Platform, VerifyResult};

use crate::support::{DevNode, issue};

#[test]
fn two_platforms_race_for_an_invoice_over_grpc_and_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let issued = node.submit(&node.sign("demo-shop", "first", &issue("GRPC-1"), directory.path())).ended(0).json();
    let invoice = issued.pointer("/outcomes/0/subject").and_then(Value::as_str).unwrap();
    let platforms = ["demo-platform-a", "demo-platform-b"]
        .map(|who| (who, Platform::connect(node.text("/grpc_url"), node.text(&format!("/tokens/{who}")))));
    let (_, seen) = node.get(&format!("/v1/invoices/{invoice}"), Some("demo-buyer"));
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    let verified = platforms[0].1.verify(seen["qr"].as_str().unwrap()).unwrap();
    assert_eq!((verified.result(), verified.claim_status()), (VerifyResult::Match, ClaimStatus::Open));
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let locks: Vec<_> = platforms
            .iter()
            .map(|(who, platform)| {
                let lock = json!({"lock": {"invoice": invoice, "enterprise": "demo-buyer", "claim": "c"}});
                let statement = node.sign(who, &format!("lock-{who}"), &lock, directory.path());
                let statement = std::fs::read_to_string(statement).unwrap();
                scope.spawn(move || platform.lock(&statement))
            })
            .collect();
        locks.into_iter().map(|lock| lock.join().unwrap()).collect()
    });
    let winner = outcomes.iter().position(Result::is_ok).expect("one of them wins");
    let loser = outcomes[1 - winner].as_ref().expect_err("the other one loses");
    assert!(loser.message().contains("locked"), "{loser:?}");
    let claim = platforms[winner].1.claim(invoice).unwrap();
    assert_eq!((claim.status(), claim.platform.as_str()), (ClaimStatus::Locked, platforms[winner].0));
    assert_eq!((claim.claim.as_str(), claim.token), ("c", 1));
    assert_eq!(node.stop().code(), Some(0), "open connections do not keep it");
}
