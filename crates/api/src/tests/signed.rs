//! Statements that their authors sign: submit, prepare, validate, ask.

use chain::key::SecretKey;
use chain::statement::{Draft, Mode};
use serde_json::json;

use super::client::send;
use super::consortium::{document, secret, ten_mistakes};
use super::node::Node;

#[test]
fn a_signed_statement_is_decided_and_answered_again() {
    let node = Node::start();
    let events = [json!({"issue": {"document": document("A1")}}), json!({"issue": {"document": document("A2")}})];
    let statement = node.statement("shop", "n1", Mode::Each, &events);
    let first = node.submit(&statement);
    assert_eq!(first.status, 201, "{}", first.text());
    let view = first.json();
    assert_eq!(view["state"], "decided");
    assert_eq!(view["mode"], "each");
    assert_eq!(view["outcomes"][1]["index"], 1);
    assert_eq!(view["outcomes"][1]["kind"], "issue");
    assert_eq!(view["outcomes"][1]["leaf_index"], 1);
    assert_eq!(node.get("shop", view["outcomes"][1]["receipt"].as_str().unwrap()).status, 200);
    let again = node.submit(&statement);
    assert_eq!((again.status, again.json()), (200, view.clone()));
    let anew = node.submit(&node.statement("shop", "n2", Mode::Each, &events));
    assert_eq!((anew.status, &anew.json()["outcomes"][0]["code"]), (200, &json!("repeated")));
    assert_eq!(anew.json()["outcomes"][0]["record"], view["outcomes"][0]["record"]);
    assert_eq!(anew.json()["outcomes"][0]["original"]["leaf_hash"], view["outcomes"][0]["leaf_hash"]);
    let path = format!("/v1/statements/{}", view["statement"].as_str().unwrap());
    assert_eq!(node.get("shop", &path).json(), view);
    // Others learn that it is decided, not what became of it.
    for answer in [node.get("buyer", &path), send(node.address, "GET", &path, &[], b"")] {
        assert_eq!(answer.json()["state"], "decided");
        assert!(answer.json().get("outcomes").is_none());
    }
}

#[test]
fn each_refusal_is_told_and_a_wholly_refused_statement_is_a_problem() {
    let node = Node::start();
    let id = node.issue("A1");
    let lock = |claim: &str| json!({"lock": {"invoice": id, "enterprise": "buyer", "claim": claim}});
    let partly = node.submit(&node.statement("platform-a", "n1", Mode::Each, &[lock("C1"), lock("C2")]));
    assert_eq!(partly.status, 201, "{}", partly.text());
    assert_eq!(partly.json()["outcomes"][1]["code"], "reimbursement.already-locked");
    assert_eq!(partly.json()["outcomes"][1]["refusal"]["standing"]["organisation"], "platform-a");
    let unknown = json!({"void": {"invoice": "144032609110-99999999", "reason": "issue-error"}});
    let issue = json!({"issue": {"document": document("A2")}});
    let wholly = node.submit(&node.statement("shop", "n2", Mode::All, &[issue, unknown]));
    assert_eq!(wholly.problem(), (404, "invoice.unknown".to_owned()));
    assert_eq!(wholly.json()["path"], "/events/1");
    assert_eq!(wholly.json()["outcomes"][0]["code"], "statement.all-refused");
}

#[test]
fn two_locks_in_one_block_have_one_winner() {
    let node = Node::start();
    let id = node.issue("A1");
    let lock = |name: &str| {
        let event = json!({"lock": {"invoice": id, "enterprise": "buyer", "claim": format!("claim-of-{name}")}});
        node.statement(name, "n1", Mode::Each, &[event])
    };
    let (a, b) = (lock("platform-a"), lock("platform-b"));
    let answers = std::thread::scope(|scope| {
        let held = node.hold_blocks();
        let (a, b) = (scope.spawn(|| node.submit(&a)), scope.spawn(|| node.submit(&b)));
        super::server::eventually(|| node.app.mempool.len() == 2);
        drop(held);
        [a.join().unwrap(), b.join().unwrap()]
    });
    assert_eq!(node.query.tip().progress.height, 2, "both were in one block");
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 1));
    assert_eq!(lost[0].problem(), (409, "reimbursement.already-locked".to_owned()));
    assert!(lost[0].json()["standing"]["until"].is_string());
    let winner = lost[0].json()["standing"]["organisation"].as_str().unwrap().to_owned();
    assert!(!lost[0].text().contains(&format!("claim-of-{winner}")));
}

#[test]
fn a_client_may_sign_what_the_node_prepared() {
    let node = Node::start();
    let request = json!({
        "organisation": "shop", "key": "statement", "nonce": "n1", "mode": "all",
        "events": [{"issue": {"document": document("A1")}}]
    });
    let prepared = node.post("/v1/statements:prepare", &request);
    assert_eq!(prepared.status, 200, "{}", prepared.text());
    let prepared = prepared.json();
    assert!(prepared["header"].as_str().unwrap().contains("\"kid\":\"shop/statement\""));
    assert!(prepared["payload"].as_str().unwrap().starts_with("{\"mode\":\"all\","));
    // No other code can sign bare bytes; a draft of the same header and payload signs the same.
    let mut header = node.header("shop", "n1");
    header.expires_at = node.now_s() + 3_600;
    let draft = Draft::new(header, prepared["payload"].as_str().unwrap());
    assert_eq!(prepared["signing_input"], draft.signing_input());
    let decided = node.submit(&draft.sign(&secret("shop", "statement")));
    assert_eq!(decided.status, 201, "{}", decided.text());
    assert_eq!(decided.json()["statement"], prepared["statement_id"]);
    let wrong = json!({
        "organisation": "shop", "key": "statement", "mode": "all", "events": [{"issue": {"document": ten_mistakes()}}]
    });
    assert_eq!(node.post("/v1/statements:prepare", &wrong).problem(), (422, "document.invalid".to_owned()));
}

#[test]
fn a_document_with_ten_mistakes_gets_ten_violations_at_every_door() {
    let node = Node::start();
    let count = |json: &serde_json::Value| json["violations"].as_array().unwrap().len();
    let hosted = node.write("shop", "/v1/invoices", "k1", &json!({"document": ten_mistakes()}));
    assert_eq!(hosted.problem(), (422, "document.invalid".to_owned()));
    assert!(count(&hosted.json()) >= 10, "{}", hosted.text());
    assert_eq!(hosted.json()["violations"][0]["path"], "/document/profile");
    let event = json!({"issue": {"document": ten_mistakes()}});
    let signed = node.submit(&node.statement("shop", "n1", Mode::All, std::slice::from_ref(&event)));
    assert_eq!(signed.problem(), (422, "document.invalid".to_owned()));
    assert_eq!(count(&signed.json()), count(&hosted.json()));
    assert!(signed.text().contains("/events/0/issue/document/totals/gross"));
    let dry = json!({"organisation": "shop", "key": "statement", "mode": "all", "events": [event.clone()]});
    let dry = node.post("/v1/statements:validate", &dry);
    assert_eq!((dry.status, &dry.json()["valid"]), (200, &json!(false)));
    assert_eq!(count(&dry.json()), count(&hosted.json()));
    let statement = String::from_utf8(node.statement("shop", "n2", Mode::All, &[event])).unwrap();
    let dry = node.post("/v1/statements:validate", &json!({"statement": statement}));
    assert_eq!(count(&dry.json()), count(&hosted.json()));
    assert_eq!(node.leaves(), 0, "nothing was recorded");
    assert!(node.app.mempool.is_empty());
}

#[test]
fn a_dry_run_tells_what_the_door_would_say() {
    let node = Node::start();
    let event = json!({"issue": {"document": document("A1")}});
    let good = node.statement("shop", "n1", Mode::All, std::slice::from_ref(&event));
    let dry = |statement: &[u8]| {
        send(node.address, "POST", "/v1/statements:validate", &[("content-type", "application/jose")], statement).json()
    };
    assert_eq!(dry(&good), json!({"valid": true, "violations": [], "warnings": []}));
    let events = [event.to_string()];
    let forged = Draft::new(node.header("shop", "n1"), chain::statement::payload(Mode::All, &events));
    let forged = dry(&forged.sign(&SecretKey::from_seed([1; 32])));
    assert_eq!(forged["violations"][0]["rule"], "statement.signature");
    assert_eq!(node.leaves(), 0);
}

#[test]
fn attachments_travel_beside_a_statement_and_must_be_signed_by_it() {
    let node = Node::start();
    let attachment = invoice::Attachment::build(
        &[7; 16],
        &invoice::Personal { buyer_name: Some("某人".to_owned()), ..invoice::Personal::default() },
    )
    .unwrap();
    let text = chain::encoding::encode_base64url(attachment.bytes());
    let mut signed = document("A1");
    signed["attachment"] = json!(attachment.hash().to_string());
    let statement = |nonce: &str, document: serde_json::Value| {
        String::from_utf8(node.statement("shop", nonce, Mode::All, &[json!({"issue": {"document": document}})]))
            .unwrap()
    };
    let post = |statement: &str, attachments: &[&str]| {
        node.post("/v1/statements", &json!({"statement": statement, "attachments": attachments}))
    };
    let unsigned = post(&statement("n1", document("A1")), &[&text]);
    assert_eq!(unsigned.problem(), (400, "attachment.unexpected".to_owned()));
    let padded = post(&statement("n1", signed.clone()), &[&format!("{text}=")]);
    assert_eq!(padded.problem(), (400, "attachment.malformed".to_owned()));
    let good = post(&statement("n1", signed), &[&text]);
    assert_eq!(good.status, 201, "{}", good.text());
    let path = format!("/v1/invoices/{}/attachment", good.json()["outcomes"][0]["subject"].as_str().unwrap());
    assert_eq!(node.get("shop", &path).body, attachment.bytes());
}
