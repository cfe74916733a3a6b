//! Every call, as it should go.

use std::pin::pin;

use chain::statement::{Draft, Mode};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use wire::generated::event_outcome::Record;
use wire::generated::{
    BatchCloseEvents, BatchCloseRequest, BatchLockEvents, BatchLockRequest, BatchVerifyRequest, ClaimStatus,
    CloseEvent, CloseRequest, GetClaimRequest, GetInvoiceRequest, GetReceiptRequest, InvoiceDetails, InvoiceSide,
    InvoiceValidity, ListClaimsRequest, ListInvoicesRequest, PrepareClaimRequest, PrepareRequest, PreparedStatement,
    RenewEvent, RenewRequest, SigningTerms, StatementMode, StatementState, SubmitRequest, UnlockEvent, UnlockRequest,
    VerifyRequest, VerifyResult, batch_close_request, batch_lock_request, batch_verify_answer, close_request,
    get_receipt_request, prepare_claim_request, renew_request, unlock_request, verify_request,
};

use super::client::{Client, lock_event, runtime};
use crate::tests::consortium::secret;
use crate::tests::node::Node;
use crate::tests::server::eventually;

/// A claim that is to be signed by platform A.
fn to_sign(content: prepare_claim_request::Content, nonce: &str) -> PrepareClaimRequest {
    PrepareClaimRequest { terms: Some(terms("platform-a", nonce)), content: Some(content) }
}

fn terms(organisation: &str, nonce: &str) -> SigningTerms {
    SigningTerms {
        organisation: organisation.to_owned(),
        key: "statement".to_owned(),
        nonce: nonce.to_owned(),
        expires_at_s: 0,
    }
}

/// Signs the very bytes that were prepared.
fn sign(node: &Node, prepared: &PreparedStatement, who: &str) -> String {
    let said: serde_json::Value = serde_json::from_str(&prepared.header).unwrap();
    let mut header = node.header(who, said["nonce"].as_str().unwrap());
    header.expires_at = said["exp"].as_u64().unwrap();
    let draft = Draft::new(header, prepared.payload.as_str());
    assert_eq!(draft.signing_input(), prepared.signing_input);
    String::from_utf8(draft.sign(&secret(who, "statement"))).unwrap()
}

/// Prepares a claim and signs it.
fn signed(client: &Client<'_>, content: prepare_claim_request::Content, nonce: &str) -> String {
    let request = client.login("platform-a", to_sign(content, nonce));
    let prepared = client.run(client.platforms().prepare_claim(request)).unwrap().prepared.unwrap();
    assert!(prepared.payload.starts_with("{\"mode\":"), "{}", prepared.payload);
    sign(client.node, &prepared, "platform-a")
}

#[test]
fn a_claim_goes_from_verify_to_close_with_signed_statements() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let qr = node.get("buyer", &format!("/v1/invoices/{invoice}")).json()["qr"].as_str().unwrap().to_owned();
    let verify = VerifyRequest { by: Some(verify_request::By::Qr(qr)) };
    let verified = client.run(client.platforms().verify(client.login("platform-a", verify.clone()))).unwrap();
    assert_eq!((verified.result(), verified.validity()), (VerifyResult::Match, InvoiceValidity::Normal));
    assert_eq!(verified.claim_status(), ClaimStatus::Open);
    let progress = &client.node.query.tip().progress;
    assert_eq!((verified.as_of_height, verified.as_of_ms), (progress.height, progress.time_ms));

    let statement = signed(&client, prepare_claim_request::Content::Lock(lock_event(&invoice, "7")), "lock-1");
    let request = || wire::generated::LockRequest {
        form: Some(wire::generated::lock_request::Form::Statement(statement.clone())),
        idempotency_key: String::new(),
    };
    let lock = || client.run(client.platforms().lock(client.login("platform-a", request()))).unwrap().result.unwrap();
    let (first, again) = (lock(), lock());
    assert_eq!((first.state(), first.fresh, again.fresh), (StatementState::Decided, true, false));
    assert_eq!(first.outcomes, again.outcomes, "a retry is the same");
    let Some(Record::Locked(lease)) = first.outcomes[0].record else { panic!("{first:?}") };
    let (token, claim) = (lease.token, "7".to_owned());

    let renew = RenewEvent { invoice: invoice.clone(), claim: claim.clone(), token, lease_seconds: 3_600 };
    let renew = signed(&client, prepare_claim_request::Content::Renew(renew), "renew-1");
    let renew = RenewRequest { form: Some(renew_request::Form::Statement(renew)), idempotency_key: String::new() };
    let renewed = client.run(client.platforms().renew(client.login("platform-a", renew))).unwrap().result.unwrap();
    assert!(matches!(renewed.outcomes[0].record, Some(Record::Renewed(_))), "{renewed:?}");

    let claim_now = || {
        let get = GetClaimRequest { invoice: invoice.clone() };
        client.run(client.platforms().get_claim(client.login("platform-a", get))).unwrap().claim.unwrap()
    };
    let now = claim_now();
    assert_eq!((now.status(), now.platform.as_str(), now.claim.as_str()), (ClaimStatus::Locked, "platform-a", "7"));
    assert_eq!((now.token, now.amount.as_str()), (token, "106.00"));
    assert!(now.until_ms.is_some_and(|until| until > now.since_ms));

    let close = CloseEvent { invoice: invoice.clone(), claim, token };
    let close = signed(&client, prepare_claim_request::Content::Close(close), "close-1");
    let close = CloseRequest { form: Some(close_request::Form::Statement(close)), idempotency_key: String::new() };
    let closed = client.run(client.platforms().close(client.login("platform-a", close))).unwrap().result.unwrap();
    assert!(matches!(closed.outcomes[0].record, Some(Record::Closed(_))), "{closed:?}");
    assert_eq!(claim_now().status(), ClaimStatus::Closed);
    let verified = client.run(client.platforms().verify(client.login("platform-b", verify))).unwrap();
    assert_eq!(verified.claim_status(), ClaimStatus::Closed);
}

#[test]
fn a_claim_goes_with_a_hosted_key_too_and_can_be_given_up() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let locked = client.lock("platform-a", &invoice, "7", "k1").unwrap();
    let again = client.lock("platform-a", &invoice, "7", "k1").unwrap();
    assert_eq!((locked.fresh, again.fresh), (true, false));
    assert_eq!(locked.statement_id, again.statement_id, "one idempotency key is one statement");
    let renew = RenewRequest {
        form: Some(renew_request::Form::Renew(RenewEvent {
            invoice: invoice.clone(),
            claim: "7".to_owned(),
            token: 1,
            lease_seconds: 0,
        })),
        idempotency_key: "k2".to_owned(),
    };
    let bytes = wire::encode_message(&renew);
    let renewed = client.run(client.platforms().renew(client.covered("platform-a", "Renew", renew, &bytes))).unwrap();
    assert_eq!(renewed.result.unwrap().outcomes[0].code, "accepted");
    let unlock = UnlockRequest {
        form: Some(unlock_request::Form::Unlock(UnlockEvent {
            invoice: invoice.clone(),
            claim: "7".to_owned(),
            token: 1,
        })),
        idempotency_key: "k3".to_owned(),
    };
    let bytes = wire::encode_message(&unlock);
    let unlocked = client.run(client.platforms().unlock(client.covered("platform-a", "Unlock", unlock, &bytes)));
    assert!(matches!(unlocked.unwrap().result.unwrap().outcomes[0].record, Some(Record::Unlocked(_))));
    assert_eq!(client.lock("platform-b", &invoice, "8", "k1").unwrap().outcomes[0].code, "accepted");
}

#[test]
fn a_batch_is_locked_whole_or_not_at_all_and_listed_page_by_page() {
    let node = Node::start();
    let client = Client::new(&node);
    let invoices: Vec<String> = (0..3).map(|number| node.issue(&format!("A{number}"))).collect();
    let batch = |invoices: &[String], claim: &str, key: &str| {
        let locks = invoices.iter().map(|invoice| lock_event(invoice, claim)).collect();
        let form = Some(batch_lock_request::Form::BatchLock(BatchLockEvents { locks }));
        let message = BatchLockRequest { form, idempotency_key: key.to_owned() };
        let bytes = wire::encode_message(&message);
        let who = if claim == "a" { "platform-a" } else { "platform-b" };
        client.run(client.platforms().batch_lock(client.covered(who, "BatchLock", message, &bytes)))
    };
    let locked = batch(&invoices[..2], "a", "k").unwrap().result.unwrap();
    assert_eq!(locked.outcomes.iter().map(|outcome| outcome.event_index).collect::<Vec<_>>(), [0, 1]);
    let refused = batch(&invoices[1..], "b", "k").unwrap_err();
    assert_eq!(refused.short(), (Code::FailedPrecondition, "reimbursement.already-locked"));
    let refusal = refused.refusal.unwrap();
    assert_eq!((refusal.outcomes.len(), refusal.standing.unwrap().holder.as_str()), (2, "platform-a"));
    let free = GetClaimRequest { invoice: invoices[2].clone() };
    let free = client.run(client.platforms().get_claim(client.login("platform-b", free))).unwrap().claim.unwrap();
    assert_eq!(free.status(), ClaimStatus::Open, "the innocent one stayed free");

    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let list = ListClaimsRequest { page_size: 1, page_token, status: ClaimStatus::Locked.into() };
        let page = client.run(client.platforms().list_claims(client.login("platform-a", list))).unwrap();
        found.extend(page.claims.into_iter().map(|claim| (claim.invoice, claim.claim)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = invoices[..2].iter().rev().map(|invoice| (invoice.clone(), "a".to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_batch_is_closed_whole_or_not_at_all() {
    let node = Node::start();
    let client = Client::new(&node);
    let invoices: Vec<String> = (0..3).map(|number| node.issue(&format!("A{number}"))).collect();
    for (number, invoice) in invoices.iter().enumerate() {
        client.lock("platform-a", invoice, "7", &format!("l{number}")).unwrap();
    }
    let close = |newest: u64, key: &str| {
        let token = |number: usize| if number == 2 { newest } else { 1 };
        let close = |(number, invoice): (usize, &String)| CloseEvent {
            invoice: invoice.clone(),
            claim: "7".to_owned(),
            token: token(number),
        };
        let closes = invoices.iter().enumerate().map(close).collect();
        let form = Some(batch_close_request::Form::BatchClose(BatchCloseEvents { closes }));
        let message = BatchCloseRequest { form, idempotency_key: key.to_owned() };
        let bytes = wire::encode_message(&message);
        client.run(client.platforms().batch_close(client.covered("platform-a", "BatchClose", message, &bytes)))
    };
    let refused = close(2, "k1").unwrap_err();
    assert_eq!(refused.short(), (Code::FailedPrecondition, "reimbursement.stale-token"));
    assert_eq!(refused.refusal.unwrap().outcomes.len(), 3);
    let status = |invoice: &String| {
        let request = GetClaimRequest { invoice: invoice.clone() };
        client.run(client.platforms().get_claim(client.login("platform-a", request))).unwrap().claim.unwrap().status()
    };
    assert!(invoices.iter().all(|invoice| status(invoice) == ClaimStatus::Locked), "the innocent stayed locked");
    let closed = close(1, "k2").unwrap().result.unwrap();
    assert!(closed.outcomes.iter().all(|outcome| matches!(outcome.record, Some(Record::Closed(_)))));
    assert!(invoices.iter().all(|invoice| status(invoice) == ClaimStatus::Closed));
    // A statement of locks is for another call.
    let statement = node.statement(
        "platform-a",
        "n",
        Mode::All,
        &[serde_json::json!({"lock": {
        "invoice": invoices[0], "enterprise": "buyer", "claim": "8"}})],
    );
    let form = Some(batch_close_request::Form::Statement(String::from_utf8(statement).unwrap()));
    let message = BatchCloseRequest { form, idempotency_key: String::new() };
    let other = client.run(client.platforms().batch_close(client.login("platform-a", message))).unwrap_err();
    assert_eq!(other.short(), (Code::InvalidArgument, "statement.other-call"));
}

#[test]
fn many_checks_in_one_call_have_an_answer_each() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let view = node.get("buyer", &format!("/v1/invoices/{invoice}")).json();
    let details = |amount: &str, number: &str| VerifyRequest {
        by: Some(verify_request::By::Details(InvoiceDetails {
            code: view["code"].as_str().unwrap().to_owned(),
            number: number.to_owned(),
            date: view["date"].as_str().unwrap().to_owned(),
            amount: amount.to_owned(),
            ..InvoiceDetails::default()
        })),
    };
    let number = view["number"].as_str().unwrap();
    let requests =
        vec![details("106.00", number), details("106.01", number), details("106.00", "x"), VerifyRequest::default()];
    let request = client.login("platform-a", BatchVerifyRequest { requests });
    let answers = client.run(client.platforms().batch_verify(request)).unwrap().answers;
    let told: Vec<String> = answers
        .into_iter()
        .map(|answer| match answer.answer.unwrap() {
            batch_verify_answer::Answer::Response(response) => format!("{:?}", response.result()),
            batch_verify_answer::Answer::Problem(problem) => format!("{} {}", problem.code, problem.path),
        })
        .collect();
    assert_eq!(told, ["Match", "Mismatch", "request.malformed /number", "request.malformed /by"]);
}

#[test]
fn whoever_signs_prepares_submits_and_reads_what_became_of_it() {
    let node = Node::start();
    let client = Client::new(&node);
    let event = serde_json::json!({"issue": {"document": crate::tests::consortium::document("A1")}}).to_string();
    let prepare =
        PrepareRequest { terms: Some(terms("shop", "")), mode: StatementMode::Each.into(), events: vec![event] };
    let prepared = client.run(client.ledger().prepare(client.login("shop", prepare))).unwrap().prepared.unwrap();
    let statement = sign(&node, &prepared, "shop");
    let submit = SubmitRequest { statement, attachments: Vec::new() };
    let submitted = client.run(client.ledger().submit(client.login("shop", submit))).unwrap().result.unwrap();
    assert_eq!(submitted.statement_id, prepared.statement_id);
    let Some(Record::Issued(issued)) = submitted.outcomes[0].record.clone() else { panic!("{submitted:?}") };

    let get = GetInvoiceRequest { invoice: issued.invoice.clone() };
    let invoice = client.run(client.ledger().get_invoice(client.login("buyer", get))).unwrap().invoice.unwrap();
    assert_eq!((invoice.id.as_str(), invoice.gross.as_str()), (issued.invoice.as_str(), "106.00"));
    assert_eq!(invoice.issued_at_ms, issued.issued_at_ms);
    let document: serde_json::Value = serde_json::from_str(&invoice.document).unwrap();
    assert_eq!(document["reference"], "A1");

    let list = ListInvoicesRequest {
        side: InvoiceSide::Buyer.into(),
        claim_status: ClaimStatus::Open.into(),
        ..ListInvoicesRequest::default()
    };
    let listed = client.run(client.ledger().list_invoices(client.login("buyer", list))).unwrap();
    assert_eq!((listed.invoices, listed.next_page_token.as_str()), (vec![invoice.clone()], ""));

    let leaf = submitted.outcomes[0].leaf_index;
    let of = [get_receipt_request::Of::LeafIndex(leaf), get_receipt_request::Of::Invoice(issued.invoice)];
    let receipts = of.map(|of| {
        let request = client.login("buyer", GetReceiptRequest { of: Some(of) });
        client.run(client.ledger().get_receipt(request)).unwrap().receipt
    });
    assert_eq!(receipts[0], receipts[1]);
    assert_eq!(receipts[0], node.get("buyer", &format!("/v1/receipts/{leaf}")).text(), "as over REST");
}

#[test]
fn messages_may_be_compressed_both_ways() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let mut compressed =
        client.ledger().send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    let get = client.login("buyer", GetInvoiceRequest { invoice });
    let response = client.runtime.block_on(compressed.get_invoice(get)).unwrap();
    assert_eq!(response.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(response.into_inner().invoice.unwrap().gross, "106.00");
}

#[test]
fn health_follows_the_node_and_ends_with_it() {
    let node = Node::start();
    let client = Client::new(&node);
    let health = || HealthClient::new(client.channel.clone());
    let status = |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.runtime.block_on(health().check(request)).unwrap().into_inner().status
    };
    let (serving, not_serving) = (1, 2);
    eventually(|| status("") == serving);
    node.app.health.caught_up(false);
    for service in ["", "einvoice.v1.ReimbursementService", "einvoice.v1.LedgerService"] {
        eventually(|| status(service) == not_serving);
    }
    node.app.health.caught_up(true);
    eventually(|| status("einvoice.v1.LedgerService") == serving);
    client.runtime.block_on(async {
        let mut watch = health().watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status, serving);
        node.shutdown.cancel();
        // Either the news or the end comes first; the end comes with its reason.
        let ended = loop {
            match watch.message().await {
                Ok(Some(news)) => assert_eq!(news.status, not_serving),
                Ok(None) => panic!("it ended without a reason"),
                Err(status) => break status,
            }
        };
        assert_eq!(super::client::Refused::from(ended).short(), (Code::Unavailable, "node.stopping"));
    });
    node.closed();
}

#[test]
fn reflection_describes_the_services_for_clients_alone() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

    let node = Node::start();
    let runtime = runtime();
    let ask = |question: MessageRequest| {
        runtime.block_on(async {
            let channel = super::client::channel(node.grpc_address).await;
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
            let questions = futures_util::stream::once(async { request });
            let mut client = ServerReflectionClient::new(channel);
            let mut answers = pin!(client.server_reflection_info(questions).await.unwrap().into_inner());
            let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
            answer.message_response.unwrap()
        })
    };
    let MessageResponse::ListServicesResponse(listed) = ask(MessageRequest::ListServices(String::new())) else {
        panic!("no list")
    };
    let mut names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
    names.sort();
    for name in ["einvoice.v1.LedgerService", "einvoice.v1.ReimbursementService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("Peer")), "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol("einvoice.v1.LockRequest".to_owned());
    assert!(matches!(ask(symbol), MessageResponse::FileDescriptorResponse(_)));
}
