//! What goes wrong has the same code at both doors, and the status that the one table gives it.

use chain::statement::{Draft, Mode};
use serde_json::{Value, json};
use tonic::Code;
use wire::generated::event_outcome::Record;
use wire::generated::{
    BatchLockEvents, BatchLockRequest, BatchVerifyRequest, CloseEvent, CloseRequest, GetClaimRequest,
    GetInvoiceRequest, GetReceiptRequest, InvoiceDetails, ListClaimsRequest, ListInvoicesRequest, LockRequest,
    RenewEvent, RenewRequest, SubmitRequest, UnlockEvent, UnlockRequest, VerifyRequest, batch_lock_request,
    close_request, get_receipt_request, lock_request, renew_request, unlock_request, verify_request,
};

use super::client::{Client, Refused, lock_event, lock_request};
use crate::catalogue;
use crate::tests::client::Answer;
use crate::tests::consortium::{DAY, secret};
use crate::tests::node::{Node, Setup};
use crate::{DevControl as _, GrpcOptions, Options};

const UNKNOWN: &str = "144032609110-00009999";

/// Holds what the doors said against each other and against the table. Gives the code.
fn same(rest: &Answer, grpc: &Refused) -> String {
    let (status, code) = rest.problem();
    assert_eq!(grpc.reason, code, "{grpc:?}");
    let entry = catalogue::find(&code).unwrap();
    assert_eq!(grpc.code, catalogue::grpc_status(&code, entry.kind));
    assert_eq!(status, catalogue::status(&code, entry.kind).as_u16());
    assert!(!grpc.request_id.is_empty());
    code
}

/// Tries a lock with a hosted key at both doors.
fn lock_at_both(client: &Client<'_>, who: &str, invoice: &str, enterprise: &str, claim: &str, key: &str) -> String {
    let body = json!({"enterprise": enterprise, "claim": claim});
    let rest = client.node.write(who, &format!("/v1/invoices/{invoice}/reimbursements"), key, &body);
    let mut event = lock_event(invoice, claim);
    enterprise.clone_into(&mut event.enterprise);
    let message = LockRequest { form: Some(lock_request::Form::Lock(event)), idempotency_key: format!("{key}g") };
    let bytes = wire::encode_message(&message);
    let grpc = client.run(client.platforms().lock(client.covered(who, "Lock", message, &bytes)));
    same(&rest, &grpc.unwrap_err())
}

/// Tries to renew, unlock and close at both doors.
fn act_at_both(client: &Client<'_>, who: &str, invoice: &str, claim: &str, token: u64, key: &str) -> [String; 3] {
    let rest = |verb: &str| {
        let path = format!("/v1/invoices/{invoice}/reimbursements/{claim}:{verb}");
        client.node.write(who, &path, &format!("{key}-{verb}"), &json!({"token": token}))
    };
    let (invoice, claim) = (invoice.to_owned(), claim.to_owned());
    let key = |verb: &str| format!("{key}-{verb}-g");
    let renew = RenewEvent { invoice: invoice.clone(), claim: claim.clone(), token, lease_seconds: 0 };
    let renew = RenewRequest { form: Some(renew_request::Form::Renew(renew)), idempotency_key: key("renew") };
    let bytes = wire::encode_message(&renew);
    let renewed = client.run(client.platforms().renew(client.covered(who, "Renew", renew, &bytes)));
    let unlock = UnlockEvent { invoice: invoice.clone(), claim: claim.clone(), token };
    let unlock = UnlockRequest { form: Some(unlock_request::Form::Unlock(unlock)), idempotency_key: key("unlock") };
    let bytes = wire::encode_message(&unlock);
    let unlocked = client.run(client.platforms().unlock(client.covered(who, "Unlock", unlock, &bytes)));
    let close = CloseEvent { invoice, claim, token };
    let close = CloseRequest { form: Some(close_request::Form::Close(close)), idempotency_key: key("close") };
    let bytes = wire::encode_message(&close);
    let closed = client.run(client.platforms().close(client.covered(who, "Close", close, &bytes)));
    [
        same(&rest("renew"), &renewed.unwrap_err()),
        same(&rest("unlock"), &unlocked.unwrap_err()),
        same(&rest("close"), &closed.unwrap_err()),
    ]
}

#[test]
fn writes_are_refused_with_one_code_at_both_doors() {
    let node = Node::start();
    let client = Client::new(&node);
    let (free, held) = (node.issue("A1"), node.issue("A2"));
    client.lock("platform-a", &held, "7", "held").unwrap();
    for (row, (who, invoice, enterprise, expected)) in [
        ("platform-b", held.as_str(), "buyer", "reimbursement.already-locked"),
        ("platform-b", UNKNOWN, "buyer", "invoice.unknown"),
        ("platform-b", "no id", "buyer", "invoice.unknown"),
        ("platform-b", free.as_str(), "shop", "mandate.missing"),
        ("platform-b", free.as_str(), "nobody", "organisation.unknown"),
        ("shop", free.as_str(), "buyer", "organisation.role-missing"),
        ("stranger", free.as_str(), "buyer", "hosted.key-missing"),
    ]
    .into_iter()
    .enumerate()
    {
        let code = lock_at_both(&client, who, &invoice.replace(' ', "-"), enterprise, "9", &format!("row{row}"));
        assert_eq!(code, expected, "row {row}");
    }
    let stale = act_at_both(&client, "platform-a", &held, "7", 99, "stale");
    assert_eq!(stale, ["reimbursement.stale-token"; 3]);
    let foreign = act_at_both(&client, "platform-b", &held, "7", 1, "foreign");
    assert_eq!(foreign[0], foreign[2], "{foreign:?}");
    let never = act_at_both(&client, "platform-a", &free, "7", 1, "never");
    assert_eq!(never, ["reimbursement.not-locked"; 3]);
    node.clock.advance_clock(91 * DAY);
    let expired = act_at_both(&client, "platform-a", &held, "7", 1, "late");
    assert_eq!(expired, ["reimbursement.not-locked"; 3]);
}

#[test]
fn an_enterprise_that_handed_an_invoice_on_claims_it_no_more() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let hand = json!({"to": {"organisation": "stranger"}});
    assert_eq!(node.write("buyer", &format!("/v1/invoices/{invoice}/transfers"), "t", &hand).status, 201);
    // Its mandate is as good as ever.
    let code = lock_at_both(&client, "platform-b", &invoice, "buyer", "7", "k");
    assert_eq!(code, "reimbursement.not-holder");
}

#[test]
fn the_token_of_a_lock_that_has_gone_does_nothing_any_more() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let lock = |who: &str, claim: &str, key: &str| {
        let locked = client.lock(who, &invoice, claim, key).unwrap();
        let Some(Record::Locked(lease)) = locked.outcomes[0].record else { panic!("{locked:?}") };
        lease.token
    };
    let first = lock("platform-a", "7", "k1");
    node.clock.advance_clock(31 * DAY);
    let second = lock("platform-b", "8", "k2");
    // Its lease has ended, and another was there first.
    let late = act_at_both(&client, "platform-a", &invoice, "7", first, "late");
    assert_eq!(late, ["reimbursement.already-locked"; 3]);
    let unlock = format!("/v1/invoices/{invoice}/reimbursements/8:unlock");
    assert_eq!(node.write("platform-b", &unlock, "u", &json!({"token": second})).status, 201);
    // The same claim once more, under a token of its own.
    let third = lock("platform-a", "7", "k3");
    assert!(first < second && second < third, "{first} {second} {third}");
    for stale in [first, second] {
        let refused = act_at_both(&client, "platform-a", &invoice, "7", stale, &format!("stale-{stale}"));
        assert_eq!(refused, ["reimbursement.stale-token"; 3]);
    }
    let close = CloseEvent { invoice: invoice.clone(), claim: "7".to_owned(), token: third };
    let close = CloseRequest { form: Some(close_request::Form::Close(close)), idempotency_key: "c".to_owned() };
    let bytes = wire::encode_message(&close);
    let closed = client.run(client.platforms().close(client.covered("platform-a", "Close", close, &bytes))).unwrap();
    assert!(matches!(closed.result.unwrap().outcomes[0].record, Some(Record::Closed(_))));
}

#[test]
fn a_refusal_says_who_holds_it_since_and_until_when_and_by_which_leaf() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let first = client.lock("platform-a", &invoice, "7", "k").unwrap();
    let refused = client.lock("platform-b", &invoice, "8", "k").unwrap_err();
    assert_eq!(refused.short(), (Code::FailedPrecondition, "reimbursement.already-locked"));
    let refusal = refused.refusal.unwrap();
    let standing = refusal.standing.unwrap();
    assert_eq!(standing.holder, "platform-a");
    assert_eq!(
        (standing.leaf_index, &standing.leaf_hash),
        (first.outcomes[0].leaf_index, &first.outcomes[0].leaf_hash)
    );
    assert_eq!(standing.since_ms, first.time_ms);
    assert!(standing.until_ms.unwrap() > standing.since_ms);
    assert_eq!((refusal.code.as_str(), refusal.outcomes.len()), ("reimbursement.already-locked", 1));
    let over_rest = node.get("auditor", &format!("/v1/statements/{}", refusal.statement_id)).json();
    assert_eq!(over_rest["outcomes"][0]["code"], "reimbursement.already-locked", "it is on the ledger");
    assert!(!refused.facts.contains('7'), "never what for");
}

#[test]
fn signed_statements_are_rejected_with_one_code_at_both_doors() {
    let node = Node::start();
    let client = Client::new(&node);
    let event = json!({"lock": {"invoice": UNKNOWN, "enterprise": "buyer", "claim": "7"}});
    let events = [event.to_string()];
    let sign = |change: &dyn Fn(&mut chain::statement::StatementHeader)| {
        let mut header = node.header("platform-a", "n");
        change(&mut header);
        Draft::new(header, chain::statement::payload(Mode::Each, &events)).sign(&secret("platform-a", "statement"))
    };
    let rows: Vec<Vec<u8>> = vec![
        b"no statement".to_vec(),
        sign(&|header| header.chain = node.query.chain().to_string().replacen("test", "rest", 1).parse().unwrap()),
        sign(&|header| header.expires_at = 1),
        sign(&|header| header.key = "unknown".parse().unwrap()),
        sign(&|header| header.key = "old-statement".parse().unwrap()),
        sign(&|header| header.organisation = "platform-b".parse().unwrap()),
        node.statement("platform-a", "n", Mode::Each, &[json!({"lock": {"invoice": "x"}})]),
    ];
    for statement in rows {
        let rest = node.submit(&statement);
        let submit =
            SubmitRequest { statement: String::from_utf8(statement.clone()).unwrap(), attachments: Vec::new() };
        let grpc = client.run(client.ledger().submit(client.login("platform-a", submit))).unwrap_err();
        same(&rest, &grpc);
        assert_eq!(grpc.refusal, None, "it is not on the ledger");
    }
    // The same nonce for something else.
    node.submit(&node.statement("platform-a", "used", Mode::Each, std::slice::from_ref(&event)));
    let other = node.statement("platform-a", "used", Mode::All, &[event]);
    let submit = SubmitRequest { statement: String::from_utf8(other.clone()).unwrap(), attachments: Vec::new() };
    let grpc = client.run(client.ledger().submit(client.login("platform-a", submit))).unwrap_err();
    assert_eq!(same(&node.submit(&other), &grpc), "statement.nonce-reused");
    assert_eq!(grpc.code, Code::AlreadyExists);
}

#[test]
fn a_statement_must_say_what_its_call_is_for() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let lock = json!({"lock": {"invoice": invoice, "enterprise": "buyer", "claim": "7"}});
    let close = json!({"close": {"invoice": invoice, "claim": "7", "token": 1}});
    let text =
        |mode: Mode, events: &[Value]| String::from_utf8(node.statement("platform-a", "n", mode, events)).unwrap();
    let leaves = node.leaves();
    for statement in [text(Mode::Each, std::slice::from_ref(&close)), text(Mode::Each, &[lock.clone(), lock.clone()])] {
        let form = Some(lock_request::Form::Statement(statement));
        let request = LockRequest { form, idempotency_key: String::new() };
        let refused = client.run(client.platforms().lock(client.login("platform-a", request))).unwrap_err();
        assert_eq!(refused.short(), (Code::InvalidArgument, "statement.other-call"));
        assert_eq!(refused.fields, ["/statement"]);
    }
    for statement in [text(Mode::Each, std::slice::from_ref(&lock)), text(Mode::All, &[lock.clone(), close])] {
        let form = Some(batch_lock_request::Form::Statement(statement));
        let request = BatchLockRequest { form, idempotency_key: String::new() };
        let refused = client.run(client.platforms().batch_lock(client.login("platform-a", request))).unwrap_err();
        assert_eq!(refused.reason, "statement.other-call");
    }
    let form = Some(lock_request::Form::Statement(text(Mode::Each, &[lock])));
    let request = LockRequest { form, idempotency_key: "k".to_owned() };
    let refused = client.run(client.platforms().lock(client.login("platform-a", request))).unwrap_err();
    assert_eq!((refused.reason.as_str(), refused.fields), ("request.malformed", vec!["/idempotency_key".to_owned()]));
    assert_eq!(node.leaves(), leaves, "none of it reached the ledger");
}

#[test]
fn reads_are_refused_with_one_code_at_both_doors() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    for (who, invoice) in [("buyer", UNKNOWN), ("stranger", invoice.as_str()), ("buyer", "x")] {
        let rest = node.get(who, &format!("/v1/invoices/{invoice}"));
        let get = GetInvoiceRequest { invoice: invoice.to_owned() };
        let grpc = client.run(client.ledger().get_invoice(client.login(who, get))).unwrap_err();
        assert_eq!(same(&rest, &grpc), "invoice.unknown");
        let get = GetClaimRequest { invoice: invoice.to_owned() };
        let grpc = client.run(client.platforms().get_claim(client.login(who, get))).unwrap_err();
        assert_eq!(grpc.short(), (Code::NotFound, "invoice.unknown"));
    }
    for (who, leaf) in [("buyer", 99), ("stranger", 0)] {
        let rest = node.get(who, &format!("/v1/receipts/{leaf}"));
        let get = GetReceiptRequest { of: Some(get_receipt_request::Of::LeafIndex(leaf)) };
        let grpc = client.run(client.ledger().get_receipt(client.login(who, get))).unwrap_err();
        assert_eq!(same(&rest, &grpc), "event.unknown");
    }
    let rest = node.get("buyer", "/v1/invoices?side=buyer&cursor=x");
    let list = ListInvoicesRequest { side: 2, page_token: "x".to_owned(), ..ListInvoicesRequest::default() };
    let grpc = client.run(client.ledger().list_invoices(client.login("buyer", list))).unwrap_err();
    assert_eq!(same(&rest, &grpc), "request.cursor");
    let rest = node.get("buyer", "/v1/invoices?party=shop");
    let list = ListInvoicesRequest { party: "shop".to_owned(), ..ListInvoicesRequest::default() };
    let grpc = client.run(client.ledger().list_invoices(client.login("buyer", list))).unwrap_err();
    assert_eq!(same(&rest, &grpc), "organisation.unknown");
}

#[test]
fn guesses_are_counted_at_both_doors_together() {
    let node = Node::start();
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let (code, number) = invoice.split_once('-').unwrap();
    let guess = json!({"code": code, "number": number, "date": "2026-11-15", "amount": "1.00"});
    for _ in 0..3 {
        assert_eq!(node.post("/v1/verifications", &guess).json()["result"], "mismatch");
    }
    let details = InvoiceDetails {
        code: code.to_owned(),
        number: number.to_owned(),
        date: "2026-11-15".to_owned(),
        amount: "1.00".to_owned(),
        ..InvoiceDetails::default()
    };
    let verify = VerifyRequest { by: Some(verify_request::By::Details(details)) };
    let check = || client.run(client.platforms().verify(client.login("platform-a", verify.clone())));
    for _ in 0..2 {
        check().unwrap();
    }
    let refused = check().unwrap_err();
    assert_eq!(same(&node.post("/v1/verifications", &guess), &refused), "verification.mismatches");
    assert!(refused.retry.is_some());
}

#[test]
fn what_a_message_lacks_or_has_too_much_of_is_named() {
    let options = Options { grpc: GrpcOptions { batch_max: 2, ..GrpcOptions::default() }, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let client = Client::new(&node);
    let named = |refused: Refused| {
        assert_eq!(refused.code, Code::InvalidArgument, "{refused:?}");
        (refused.reason, refused.fields.join(" "))
    };
    let malformed = |field: &str| ("request.malformed".to_owned(), field.to_owned());
    let verify = |requests| {
        client.run(client.platforms().batch_verify(client.login("platform-a", BatchVerifyRequest { requests })))
    };
    assert_eq!(named(verify(Vec::new()).unwrap_err()), malformed("/requests"));
    assert_eq!(named(verify(vec![VerifyRequest::default(); 3]).unwrap_err()), malformed("/requests"));
    let check = VerifyRequest { by: Some(verify_request::By::Qr("x".repeat(2_000))) };
    assert_eq!(
        named(client.run(client.platforms().verify(client.login("platform-a", check))).unwrap_err()),
        malformed("/qr")
    );
    let write = |message: LockRequest| {
        let bytes = wire::encode_message(&message);
        named(client.run(client.platforms().lock(client.covered("platform-a", "Lock", message, &bytes))).unwrap_err())
    };
    assert_eq!(write(LockRequest::default()), malformed("/form"));
    assert_eq!(write(lock_request(UNKNOWN, "with space", "k")), malformed("/lock/claim"));
    assert_eq!(write(lock_request(UNKNOWN, "7", "")).0, "idempotency.key-missing");
    assert_eq!(write(lock_request(UNKNOWN, "7", "with space")).0, "idempotency.key-malformed");
    let locks = vec![lock_event(UNKNOWN, "7"); 3];
    let form = Some(batch_lock_request::Form::BatchLock(BatchLockEvents { locks }));
    let batch = BatchLockRequest { form, idempotency_key: "k".to_owned() };
    let bytes = wire::encode_message(&batch);
    let refused = client.run(client.platforms().batch_lock(client.covered("platform-a", "BatchLock", batch, &bytes)));
    assert_eq!(named(refused.unwrap_err()), malformed("/batch_lock/locks"));
    for (page_size, status, field) in [(501, 0, "/page_size"), (0, 9, "/status")] {
        let list = ListClaimsRequest { page_size, status, page_token: String::new() };
        let refused = client.run(client.platforms().list_claims(client.login("platform-a", list))).unwrap_err();
        assert_eq!(named(refused), malformed(field));
    }
    assert_eq!(node.leaves(), 0);
}
