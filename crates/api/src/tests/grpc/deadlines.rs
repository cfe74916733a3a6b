//! Time: deadlines, calls that are given up, and the end of the node. Nothing is lost, and nobody is left in doubt
//! without being told so.

use chain::hash::StatementId;
use tonic::Code;
use wire::generated::{
    ClaimStatus, GetClaimRequest, GetClaimResponse, LockRequest, LockResponse, StatementState, lock_request,
};

use super::client::{Client, lock_request as plain_lock, path, runtime};
use super::raw::{Raw, framed};
use crate::tests::node::{Node, Setup};
use crate::tests::server::eventually;
use crate::{GrpcOptions, Options, tests};

/// A signed lock by platform A, and its request.
fn signed_lock(node: &Node, invoice: &str, nonce: &str) -> Vec<u8> {
    let lock = serde_json::json!({"lock": {"invoice": invoice, "enterprise": "buyer", "claim": "7"}});
    let statement = node.statement("platform-a", nonce, chain::statement::Mode::Each, &[lock]);
    let form = Some(lock_request::Form::Statement(String::from_utf8(statement).unwrap()));
    wire::encode_message(&LockRequest { form, idempotency_key: String::new() })
}

fn result(bytes: &[u8]) -> wire::generated::StatementResult {
    wire::decode_message::<LockResponse>("LockResponse", bytes).unwrap().result.unwrap()
}

#[test]
fn a_deadline_before_the_block_says_that_the_statement_may_still_be_decided() {
    let node = Node::start();
    let invoice = node.issue("A1");
    let (runtime, token) = (runtime(), node.bearer("platform-a"));
    let message = signed_lock(&node, &invoice, "n");
    let held = node.hold_blocks();
    let call = |timeout: Option<&str>| {
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(timeout.map(|timeout| ("grpc-timeout", timeout)));
        runtime.block_on(async {
            let mut raw = Raw::connect(node.grpc_address).await;
            raw.call(&path("Lock"), &headers, &message).await
        })
    };
    let late = call(Some("300m")).unwrap_err();
    assert_eq!(late.short(), (Code::DeadlineExceeded, "request.deadline"));
    let undecided = late.undecided.unwrap();
    assert!(undecided.may_still_be_decided);
    let id: StatementId = undecided.statement_id.parse().unwrap();
    assert_eq!(node.app.mempool.len(), 1, "it waits");
    drop(held);
    eventually(|| node.query.statement(&id).unwrap().is_some());
    let again = result(&call(None).unwrap());
    assert_eq!((again.statement_id, again.fresh), (id.to_string(), false));
    assert_eq!(again.outcomes[0].code, "accepted");
}

#[test]
fn a_node_that_fails_with_a_statement_in_hand_says_that_it_may_still_be_decided() {
    let node = Node::start();
    let invoice = node.issue("A1");
    let (runtime, token) = (runtime(), node.bearer("platform-a"));
    let message = signed_lock(&node, &invoice, "n");
    let held = node.hold_blocks();
    let call = || {
        runtime.block_on(async {
            let mut raw = Raw::connect(node.grpc_address).await;
            raw.call(&path("Lock"), &[("authorization", token.as_str())], &message).await
        })
    };
    let failed = std::thread::scope(|scope| {
        let call = scope.spawn(call);
        eventually(|| node.app.mempool.len() == 1);
        node.app.finality.fault();
        call.join().unwrap().unwrap_err()
    });
    assert_eq!(failed.short(), (Code::Unavailable, "node.stopping"));
    let undecided = failed.undecided.unwrap();
    assert!(undecided.may_still_be_decided);
    let id: StatementId = undecided.statement_id.parse().unwrap();
    // And so it is.
    drop(held);
    eventually(|| node.query.statement(&id).unwrap().is_some());
}

#[test]
fn a_deadline_that_has_passed_leaves_nothing_behind() {
    let node = Node::start();
    let invoice = node.issue("A1");
    let (runtime, token) = (runtime(), node.bearer("platform-a"));
    let (message, leaves) = (signed_lock(&node, &invoice, "n"), node.leaves());
    let call = |timeout: &str| {
        let headers = [("authorization", token.as_str()), ("grpc-timeout", timeout)];
        runtime.block_on(async {
            let mut raw = Raw::connect(node.grpc_address).await;
            raw.call(&path("Lock"), &headers, &message).await.unwrap_err()
        })
    };
    let late = call("1n");
    assert_eq!(late.short(), (Code::DeadlineExceeded, "request.deadline"));
    assert!(late.undecided.is_none_or(|undecided| !undecided.may_still_be_decided));
    assert_eq!((node.app.mempool.len(), node.leaves()), (0, leaves));
    for wrong in ["", "soon", "-1S", "1000000000S"] {
        let refused = call(wrong);
        assert_eq!(refused.short(), (Code::InvalidArgument, "request.header"), "{wrong:?}");
    }
}

#[test]
fn a_wait_that_ends_first_is_a_promise_to_be_asked_about() {
    let options = Options { finality_wait_ms: 20, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let client = Client::new(&node);
    let body = serde_json::json!({"document": tests::consortium::document("A1")});
    eventually(|| node.write("shop", "/v1/invoices", "k1", &body).status == 200);
    let invoice = node.write("shop", "/v1/invoices", "k1", &body).json()["id"].as_str().unwrap().to_owned();
    let held = node.hold_blocks();
    let waiting = client.lock("platform-a", &invoice, "7", "k").unwrap();
    assert_eq!((waiting.state(), waiting.outcomes.len(), waiting.fresh), (StatementState::Pending, 0, false));
    drop(held);
    eventually(|| {
        let result = client.lock("platform-a", &invoice, "7", "k").unwrap();
        assert_eq!(result.statement_id, waiting.statement_id);
        result.state() == StatementState::Decided
    });
}

#[test]
fn a_call_that_is_given_up_is_decided_all_the_same() {
    let node = Node::start();
    let invoice = node.issue("A1");
    let (runtime, token) = (runtime(), node.bearer("platform-a"));
    let message = signed_lock(&node, &invoice, "n");
    let held = node.hold_blocks();
    runtime.block_on(async {
        let mut raw = Raw::connect(node.grpc_address).await;
        let call = tokio::spawn(async move {
            let headers = [("authorization", token.as_str())];
            let _ = raw.send(&path("Lock"), &headers, framed(&message)).await;
        });
        while node.app.mempool.is_empty() {
            tokio::task::yield_now().await;
        }
        // With the call its connection goes too.
        call.abort();
        let _ = call.await;
    });
    drop(held);
    eventually(|| node.get("buyer", &format!("/v1/invoices/{invoice}")).json()["reimbursement"]["status"] == "locked");
    let metrics = || tests::client::send(node.address, "GET", "/metrics", &[], b"").text();
    // This one and the one that asks.
    eventually(|| metrics().contains("einvoice_api_connections 1\n"));
    assert!(metrics().contains("einvoice_api_bodies_bytes 0\n"));
}

#[test]
fn a_call_that_is_given_up_on_a_connection_that_goes_on_is_decided_and_no_longer_under_way() {
    let grpc = GrpcOptions { calls_an_organisation_max: 1, ..GrpcOptions::default() };
    let options = Options { verifications_a_minute: 1_000, grpc, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let invoice = node.issue("A1");
    let (runtime, token) = (runtime(), node.bearer("platform-a"));
    let headers = [("authorization", token.as_str())];
    // From now on the organisation is known by it.
    assert_eq!(tests::client::send(node.address, "GET", "/v1/invoices", &headers, b"").status, 200);
    let lock = framed(&signed_lock(&node, &invoice, "n"));
    let get = wire::encode_message(&GetClaimRequest { invoice: invoice.clone() });
    let held = node.hold_blocks();
    let (full, status) = runtime.block_on(async {
        let (mut raw, lock_path) = (Raw::connect(node.grpc_address).await, path("Lock"));
        let another = async {
            while node.app.mempool.is_empty() {
                tokio::task::yield_now().await;
            }
            let mut other = Raw::connect(node.grpc_address).await;
            other.call(&path("GetClaim"), &headers, &get).await.unwrap_err()
        };
        // Whoever loses is dropped: the call is reset.
        let full = tokio::select! {
            answer = raw.send(&lock_path, &headers, lock) => panic!("{answer:?}"),
            full = another => full,
        };
        let mut claim = raw.call(&path("GetClaim"), &headers, &get).await;
        let started = std::time::Instant::now();
        while claim.as_ref().is_err_and(|refused| refused.reason == "organisation.calls-full") {
            assert!(started.elapsed() < std::time::Duration::from_secs(60), "it is still under way");
            claim = raw.call(&path("GetClaim"), &headers, &get).await;
        }
        let claim: GetClaimResponse = wire::decode_message("GetClaimResponse", &claim.unwrap()).unwrap();
        (full, claim.claim.unwrap().status())
    });
    assert_eq!(full.short(), (Code::ResourceExhausted, "organisation.calls-full"));
    assert_eq!(full.retry.map(|retry| retry.as_secs()), Some(1));
    assert_eq!((status, node.app.mempool.len()), (ClaimStatus::Open, 1));
    drop(held);
    eventually(|| node.get("buyer", &format!("/v1/invoices/{invoice}")).json()["reimbursement"]["status"] == "locked");
}

#[test]
fn without_room_to_wait_a_call_is_told_to_ask_again_and_not_that_its_time_is_up() {
    let node = Node::start_with(Setup { waits_max: 0, ..Setup::default() });
    let (runtime, token) = (runtime(), node.bearer("platform-a"));
    let message = signed_lock(&node, "144032609110-00009999", "n");
    let _held = node.hold_blocks();
    let answer = runtime.block_on(async {
        let mut raw = Raw::connect(node.grpc_address).await;
        let headers = [("authorization", token.as_str()), ("grpc-timeout", "9S")];
        raw.call(&path("Lock"), &headers, &message).await
    });
    assert_eq!(result(&answer.unwrap()).state(), StatementState::Pending);
}

#[test]
fn an_orderly_end_lets_calls_under_way_finish() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let held = node.hold_blocks();
    std::thread::scope(|scope| {
        let locking = scope.spawn(|| Client::new(&node).lock("platform-a", &invoice, "7", "k"));
        eventually(|| node.app.mempool.len() == 1);
        node.shutdown.cancel();
        // Nobody else is let in.
        eventually(|| std::net::TcpStream::connect(node.grpc_address).is_err());
        drop(held);
        assert_eq!(locking.join().unwrap().unwrap().outcomes[0].code, "accepted");
    });
    node.closed();
    let message = plain_lock(&invoice, "8", "k");
    let late = client.runtime.block_on(client.platforms().lock(client.login("platform-a", message)));
    assert_eq!(late.unwrap_err().code(), Code::Unavailable);
}
