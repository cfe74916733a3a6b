//! Statements of as many events as there may be: what became of each can be read, also when none was accepted.

use chain::statement::Mode;
use serde_json::json;
use tonic::Code;
use wire::generated::{
    BatchLockEvents, BatchLockRequest, GetStatementRequest, StatementResult, StatementState, batch_lock_request,
};

use super::client::{Client, Refused, lock_event, path};
use super::raw::Raw;
use crate::tests::consortium::document;
use crate::tests::node::Node;

/// Events of a statement at most.
const EVENTS: usize = 1_000;

/// Issues so many invoices; gives their ids.
fn invoices(node: &Node) -> Vec<String> {
    let issues: Vec<_> =
        (0..EVENTS).map(|number| json!({"issue": {"document": document(&format!("I-{number}"))}})).collect();
    let answer = node.submit(&node.statement("shop", "issues", Mode::All, &issues));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let outcomes = answer.json()["outcomes"].as_array().unwrap().clone();
    outcomes.iter().map(|outcome| outcome["subject"].as_str().unwrap().to_owned()).collect()
}

fn batch(invoices: &[String], key: &str) -> BatchLockRequest {
    let locks = invoices.iter().map(|invoice| lock_event(invoice, "7")).collect();
    let form = Some(batch_lock_request::Form::BatchLock(BatchLockEvents { locks }));
    BatchLockRequest { form, idempotency_key: key.to_owned() }
}

fn statement(client: &Client<'_>, who: &str, id: &str) -> Result<StatementResult, Refused> {
    let get = GetStatementRequest { statement_id: id.to_owned() };
    client.run(client.ledger().get_statement(client.login(who, get))).map(|answer| answer.result.unwrap())
}

#[test]
fn a_thousand_refused_locks_fit_into_a_status_and_each_of_them_can_be_read() {
    let node = Node::start();
    let (client, invoices) = (Client::new(&node), invoices(&node));
    let (held, message) = (batch(&invoices[..EVENTS / 2], "k"), wire::encode_message(&batch(&invoices, "k")));
    let bytes = wire::encode_message(&held);
    client.run(client.platforms().batch_lock(client.covered("platform-a", "BatchLock", held, &bytes))).unwrap();
    // By one that counts the metadata of each answer.
    let lock_all = || {
        let request = format!("POST {}", path("BatchLock"));
        let token = node.bearer_covering("platform-b", &request, &message);
        let refused = client.runtime.block_on(async {
            let mut raw = Raw::connect(node.grpc_address).await;
            raw.call(&path("BatchLock"), &[("authorization", &token)], &message).await.unwrap_err()
        });
        assert_eq!(refused.short(), (Code::FailedPrecondition, "reimbursement.already-locked"));
        *refused.refusal.unwrap()
    };
    let refusal = lock_all();
    assert!(refusal.outcomes.is_empty() && refusal.standing.is_some(), "all of them would not fit: {refusal:?}");

    for who in ["platform-b", "auditor"] {
        let result = statement(&client, who, &refusal.statement_id).unwrap();
        assert_eq!((result.state(), result.fresh), (StatementState::Decided, false));
        assert_eq!(result.outcomes.len(), EVENTS);
        for (place, outcome) in result.outcomes.iter().enumerate() {
            assert_eq!(outcome.event_index, u32::try_from(place).unwrap());
            let expected = if place < EVENTS / 2 { "reimbursement.already-locked" } else { "statement.all-refused" };
            assert_eq!((outcome.code.as_str(), &outcome.subject), (expected, &invoices[place]));
            let standing = outcome.refusal.as_ref().unwrap().standing.as_ref();
            let holder = standing.map(|standing| standing.holder.as_str());
            assert_eq!(holder, (place < EVENTS / 2).then_some("platform-a"), "{place}");
        }
    }
    let unknown = statement(&client, "platform-a", &refusal.statement_id).unwrap_err();
    assert_eq!(unknown.short(), (Code::NotFound, "statement.unknown"));
    assert_eq!(lock_all(), refusal, "the write is answered as before");
}
