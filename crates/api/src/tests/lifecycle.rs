//! The main job: issue, lock, lock again, close, file; retries; attachments.

use std::sync::Barrier;
use std::thread;

use chain::archive::{ArchiveReader, Entry};
use chain::checkpoint::SignedCheckpoint;
use chain::receipt::Receipt;
use serde_json::{Value, json};

use super::client::send;
use super::consortium::{DAY, document};
use super::node::Node;
use crate::DevControl;

#[test]
fn an_invoice_is_issued_locked_closed_and_filed() {
    let node = Node::start();
    let answer = node.write("shop", "/v1/invoices", "k1", &json!({"document": document("A1")}));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let invoice = answer.json();
    let id = invoice["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("/v1/invoices/{id}").as_str()));
    assert_eq!(invoice["validity"], "normal");
    assert_eq!(invoice["reimbursement"], json!({"status": "open"}));
    assert_eq!(invoice["holder"], json!({"taxpayer": "91350100M000100Y43"}));
    assert_eq!(invoice["check_code"], json!(&invoice["leaf_hash"].as_str().unwrap()[59..]));
    assert_eq!(invoice["attachment"], "none");
    assert_eq!(invoice["document"], document_as_kept(&invoice));

    let path = format!("/v1/invoices/{id}/reimbursements");
    let lock = node.write("platform-a", &path, "l1", &json!({"enterprise": "buyer", "claim": "C:1"}));
    assert_eq!(lock.status, 201, "{}", lock.text());
    assert_eq!(lock.json()["record"]["locked"]["token"], 1);
    assert_eq!(lock.json()["invoice"]["reimbursement"]["claim"], "C:1");

    let second = node.write("platform-b", &path, "l2", &json!({"enterprise": "buyer", "claim": "secret-claim"}));
    assert_eq!(second.problem(), (409, "reimbursement.already-locked".to_owned()));
    let problem = second.json();
    assert_eq!(problem["standing"]["organisation"], "platform-a");
    assert_eq!(problem["standing"]["leaf_index"], lock.json()["leaf_index"]);
    assert!(problem["standing"]["since"].is_string() && problem["standing"]["until"].is_string());
    assert!(!second.text().contains("C:1"), "what for is told to nobody");
    // The attempt is evidence: it is on the ledger, under its own leaf.
    assert_eq!(problem["outcomes"][0]["code"], "reimbursement.already-locked");
    assert_eq!(problem["outcomes"][0]["leaf_index"], 2);

    let close = node.write("platform-a", &format!("{path}/C:1:close"), "c1", &json!({"token": 1}));
    assert_eq!(close.status, 201, "{}", close.text());
    assert_eq!(close.json()["invoice"]["reimbursement"]["status"], "closed");
    let again = node.write("platform-a", &format!("{path}/C%3A1:close"), "c2", &json!({"token": 1}));
    assert_eq!((again.status, &again.json()["code"]), (200, &json!("repeated")));
    assert_eq!(again.json()["record"], close.json()["record"]);

    file_the_month(&node);
    let events = node.get("auditor", &format!("/v1/invoices/{id}/events")).json();
    let codes: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| event["code"].clone()).collect();
    assert_eq!(codes, ["accepted", "accepted", "reimbursement.already-locked", "accepted", "repeated"]);
}

/// What the ledger keeps writes defaults out.
fn document_as_kept(invoice: &Value) -> Value {
    let mut expected = document("A1");
    expected["lines"][0]["discount"] = json!(false);
    assert_eq!(invoice["document"]["lines"][0]["discount"], false);
    expected
}

fn file_the_month(node: &Node) {
    let month = node.get("shop", "/v1/filings/shop/2026-11").json();
    assert_eq!((&month["invoices"], &month["ended"]), (&json!(1), &json!(false)));
    let filing =
        json!({"seller": "shop", "period": "2026-11", "invoices": month["invoices"], "output": month["output"]});
    let early = node.write("shop", "/v1/filings", "f1", &filing);
    assert_eq!(early.problem(), (409, "filing.period-open".to_owned()));
    let moved = node.post("/v1/dev/clock", &json!({"to": "2026-12-02T00:00:00.000Z"}));
    assert_eq!(moved.json(), json!({"time": "2026-12-02T00:00:00.000Z"}));
    let filed = node.write("isp", "/v1/filings", "f2", &filing);
    assert_eq!(filed.status, 201, "{}", filed.text());
    let month = node.get("shop", "/v1/filings/shop/2026-11").json();
    assert_eq!(month["filed"]["by"], "isp");
    let mut other = filing.clone();
    other["invoices"] = json!(2);
    let other = node.write("shop", "/v1/filings", "f3", &other);
    assert_eq!(other.problem(), (409, "filing.already-filed".to_owned()));
}

#[test]
fn retries_from_ten_connections_at_once_give_one_invoice() {
    let node = Node::start();
    let start = Barrier::new(10);
    let body = json!({"document": document("A1"), "personal": {"buyer_name": "某人"}});
    let answers: Vec<_> = thread::scope(|scope| {
        let one = || {
            start.wait();
            node.write("shop", "/v1/invoices", "the-key", &body)
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let first = answers[0].json();
    for answer in &answers {
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        assert_eq!(answer.json()["id"], first["id"]);
        assert_eq!(answer.json()["leaf_hash"], first["leaf_hash"]);
    }
    assert_eq!(node.leaves(), 1);
}

#[test]
fn the_same_document_after_a_week_is_answered_with_the_original() {
    let node = Node::start();
    let body = json!({"document": document("A1"), "personal": {"buyer_name": "某人", "drawer": "开票人"}});
    let first = node.write("shop", "/v1/invoices", "k1", &body);
    assert_eq!(first.status, 201, "{}", first.text());
    node.clock.advance_clock(7 * DAY);
    let again = node.write("shop", "/v1/invoices", "k2", &body);
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.json()["id"], first.json()["id"]);
    let receipt = again.json()["links"]["receipt"].as_str().unwrap().to_owned();
    assert_eq!(node.get("shop", &receipt).status, 200);
    let mut other = body.clone();
    other["document"]["remark"] = json!("another");
    let other = node.write("shop", "/v1/invoices", "k3", &other);
    assert_eq!(other.problem(), (409, "issue.reference-reused".to_owned()));
    let problem = other.json();
    assert_eq!(problem["original"], first.json()["id"]);
    assert_eq!(problem["same_content"], false);
    assert_eq!(problem["standing"]["leaf_index"], first.json()["leaf_index"]);
}

#[test]
fn personal_data_is_kept_served_to_the_entitled_and_erased_for_good() {
    let node = Node::start();
    let body = json!({"document": document("A1"), "personal": {"buyer_name": "某人"}});
    let issued = node.write("shop", "/v1/invoices", "k1", &body).json();
    assert_eq!(issued["attachment"], "present");
    let path = issued["links"]["attachment"].as_str().unwrap();
    let kept = node.get("buyer", path);
    assert_eq!(kept.json()["personal"], json!({"buyer_name": "某人"}));
    let hash = invoice::Digest::of(&kept.body).to_string();
    assert_eq!(issued["document"]["attachment"], hash.as_str());
    for (who, status) in [("isp", 200), ("tax-bureau", 200), ("police", 403), ("auditor", 403), ("stranger", 404)] {
        assert_eq!(node.get(who, path).status, status, "{who}");
    }
    let read_token = send(node.address, "DELETE", path, &[("authorization", &node.bearer("shop"))], b"");
    assert_eq!(read_token.status, 401, "a token for reading erases nothing");
    let erase = |who: &str| {
        send(
            node.address,
            "DELETE",
            path,
            &[("authorization", &node.bearer_covering(who, &format!("DELETE {path}"), b""))],
            b"",
        )
    };
    assert_eq!(erase("buyer").problem(), (403, "attachment.forbidden".to_owned()));
    assert_eq!(erase("shop").status, 204);
    assert_eq!(erase("shop").status, 204);
    assert_eq!(node.get("buyer", path).problem(), (404, "attachment.not-held".to_owned()));
    // A retry, under the same key or another, does not bring it back.
    for key in ["k1", "k2"] {
        let again = node.write("shop", "/v1/invoices", key, &body);
        assert_eq!((again.status, &again.json()["attachment"]), (200, &json!("redacted")), "{key}");
    }
}

#[test]
fn personal_data_of_a_refused_issue_is_not_kept() {
    let node = Node::start();
    let mut body = json!({"document": document("A1"), "personal": {"buyer_name": "某人"}});
    body["document"]["seller"]["name"] = json!("Another name");
    let refused = node.write("shop", "/v1/invoices", "k1", &body);
    assert_eq!(refused.problem(), (409, "issue.seller-name-differs".to_owned()));
    let event = node.query.event(0).unwrap().unwrap().event().unwrap();
    let ledger::event::Event::Issue(issue) = event else { panic!("an issue") };
    let place = crate::attachments::place(&issue.document).unwrap();
    super::server::eventually(|| replica::port::Store::attachment(&**node.query.store(), &place).unwrap().is_none());
}

#[test]
fn who_signs_a_foreign_attachment_gets_none_of_it_and_takes_none_away() {
    let node = Node::start();
    let body = json!({"document": document("A1"), "personal": {"buyer_name": "某人"}});
    let issued = node.write("shop", "/v1/invoices", "k1", &body).json();
    let path = issued["links"]["attachment"].as_str().unwrap().to_owned();
    let bytes = node.get("shop", &path).body;
    // The hash is on the ledger for many to see. A second invoice that signs it, without the bytes:
    let mut other = json!({"document": document("A2")});
    other["document"]["attachment"] = issued["document"]["attachment"].clone();
    let other = node.write("isp", "/v1/invoices", "k2", &other).json();
    assert_eq!(other["attachment"], "redacted", "{other}");
    let other_path = format!("/v1/invoices/{}/attachment", other["id"].as_str().unwrap());
    assert_eq!(node.get("isp", &other_path).problem(), (404, "attachment.not-held".to_owned()));
    let erase = |path: &str| {
        send(
            node.address,
            "DELETE",
            path,
            &[("authorization", &node.bearer_covering("shop", &format!("DELETE {path}"), b""))],
            b"",
        )
    };
    assert_eq!(erase(&other_path).status, 204);
    assert_eq!(node.get("shop", &path).body, bytes, "the first invoice's is where it was");
    // And what was erased does not come back with another invoice.
    assert_eq!(erase(&path).status, 204);
    let third = json!({"issue": {"document": {}}});
    let mut third = third;
    third["issue"]["document"] = document("A3");
    third["issue"]["document"]["attachment"] = issued["document"]["attachment"].clone();
    let jws = String::from_utf8(node.statement("shop", "k3", chain::statement::Mode::Each, &[third])).unwrap();
    let with = json!({"statement": jws, "attachments": [chain::encoding::encode_base64url(&bytes)]});
    assert_eq!(node.post("/v1/statements", &with).status, 201);
    assert_eq!(node.get("shop", &path).problem(), (404, "attachment.not-held".to_owned()));
}

#[test]
fn the_same_personal_data_under_many_keys_at_once_is_one_invoice() {
    let node = Node::start();
    let body = json!({"document": document("A1"), "personal": {"buyer_name": "某人"}});
    let answers: Vec<_> = std::thread::scope(|scope| {
        let write = |key: String, who: &'static str| {
            let (node, body) = (&node, &body);
            scope.spawn(move || node.write(who, "/v1/invoices", &key, body))
        };
        let threads: Vec<_> =
            (0..8).map(|index| write(format!("k{index}"), if index % 2 == 0 { "shop" } else { "isp" })).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for answer in &answers {
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        assert_eq!(answer.json()["id"], answers[0].json()["id"]);
    }
}

#[test]
fn a_token_for_an_unlock_closes_nothing() {
    let node = Node::start();
    let id = node.issue("A1");
    let lock = json!({"enterprise": "buyer", "claim": "c"});
    let locks = format!("/v1/invoices/{id}/reimbursements");
    assert_eq!(node.write("platform-a", &locks, "k1", &lock).status, 201);
    let body = json!({"token": 1}).to_string();
    let token = node.bearer_covering("platform-a", &format!("POST {locks}/c:unlock"), body.as_bytes());
    let headers = [("authorization", token.as_str()), ("idempotency-key", "k2"), ("content-type", "application/json")];
    let answer = send(node.address, "POST", &format!("{locks}/c:close"), &headers, body.as_bytes());
    assert_eq!(answer.problem(), (401, "login.request-mismatch".to_owned()));
}

#[test]
fn a_write_token_older_than_the_node_is_not_taken() {
    let node = Node::start();
    let body = json!({"document": document("A1")}).to_string();
    let mut login = node.login("shop");
    login.issued_at -= 120;
    login.jti = Some(chain::statement::Nonce::new("old").unwrap());
    login.request = Some("POST /v1/invoices".to_owned());
    login.body_sha256 = Some(chain::hash::Hash::of(body.as_bytes()));
    let token = format!("Bearer {}", login.sign(&super::consortium::secret("shop", "login")));
    let headers = [("authorization", token.as_str()), ("idempotency-key", "k"), ("content-type", "application/json")];
    let answer = send(node.address, "POST", "/v1/invoices", &headers, body.as_bytes());
    assert_eq!(answer.problem(), (401, "auth.token-too-old".to_owned()));
}

#[test]
fn receipts_checkpoint_and_archive_verify_offline() {
    let node = Node::start();
    let id = node.issue("A1");
    node.issue("A2");
    let genesis = super::consortium::genesis();
    let receipt = node.get("buyer", &format!("/v1/invoices/{id}/receipt"));
    let verified = Receipt::parse(&receipt.body).unwrap().verify(&genesis).unwrap();
    assert_eq!(verified.leaf.subject, id);
    let note = send(node.address, "GET", "/v1/checkpoints/latest", &[], b"");
    let signed = SignedCheckpoint::parse(&note.body).unwrap();
    assert_eq!(signed.checkpoint().size, 2);
    signed.verify(&genesis).unwrap();
    assert_eq!(node.get("shop", "/v1/archive").problem(), (403, "auth.role-missing".to_owned()));
    let archive = node.get("auditor", "/v1/archive");
    let mut reader = ArchiveReader::new(archive.body.as_slice());
    let (mut blocks, mut ended) = (0, false);
    while let Some(frame) = reader.next_frame().unwrap() {
        match frame.entry {
            Entry::Block(_) => blocks += 1,
            Entry::End(_) => ended = true,
            Entry::Genesis(_) => {}
        }
    }
    assert_eq!((blocks, ended), (2, true));
    let block = node.get("shop", "/v1/blocks/2").json();
    assert_eq!(block["log_size"], 2);
    assert_eq!(block["signed_by"][0]["organisation"], "tax-bureau");
}

#[test]
fn an_entity_tag_spares_an_answer_until_something_changes() {
    let node = Node::start();
    let id = node.issue("A1");
    let path = format!("/v1/invoices/{id}");
    let first = node.get("shop", &path);
    let tag = first.header("etag").unwrap().to_owned();
    let conditional = || {
        let bearer = node.bearer("shop");
        send(node.address, "GET", &path, &[("authorization", bearer.as_str()), ("if-none-match", tag.as_str())], b"")
    };
    let same = conditional();
    assert_eq!((same.status, same.body.len()), (304, 0));
    let lock = json!({"enterprise": "buyer", "claim": "C1", "lease_seconds": 60});
    assert_eq!(node.write("platform-a", &format!("{path}/reimbursements"), "l1", &lock).status, 201);
    assert_eq!(conditional().json()["reimbursement"]["status"], "locked");
    // The lease ends by itself, and the invoice stands as it did.
    node.clock.advance_clock(61_000);
    assert_eq!(conditional().status, 304);
    assert_eq!(node.get("shop", &path).json()["reimbursement"], json!({"status": "open"}));
}

#[test]
fn an_invoice_is_transferred_renewed_unlocked_and_voided() {
    let node = Node::start();
    let id = node.issue("A1");
    let path = format!("/v1/invoices/{id}");
    let locks = format!("{path}/reimbursements");
    let lock = json!({"enterprise": "buyer", "claim": "C1", "lease_seconds": 60});
    assert_eq!(node.write("platform-a", &locks, "1", &lock).status, 201);
    let renewed =
        node.write("platform-a", &format!("{locks}/C1:renew"), "2", &json!({"token": 1, "lease_seconds": 600}));
    assert_eq!(renewed.status, 201, "{}", renewed.text());
    let stale = node.write("platform-a", &format!("{locks}/C1:unlock"), "3", &json!({"token": 7}));
    assert_eq!(stale.problem(), (409, "reimbursement.stale-token".to_owned()));
    assert_eq!(node.write("platform-a", &format!("{locks}/C1:unlock"), "4", &json!({"token": 1})).status, 201);
    let transfer = node.write("buyer", &format!("{path}/transfers"), "5", &json!({"to": {"person": "p-17"}}));
    assert_eq!(transfer.status, 201, "{}", transfer.text());
    assert_eq!(transfer.json()["record"]["transferred"]["to"], json!({"person": "p-17"}));
    let void = node.write("shop", &format!("{path}:void"), "6", &json!({"reason": "issue-error"}));
    assert_eq!(void.status, 201, "{}", void.text());
    assert_eq!(void.json()["invoice"]["validity"], "void");
}
