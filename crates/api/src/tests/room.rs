//! A full disk: writes are refused with a reason, reads go on, and all goes on by itself.

use serde_json::json;

use super::client::send;
use super::consortium::document;
use super::node::Node;

#[test]
fn without_room_writes_are_refused_reads_go_on_and_all_recovers_by_itself() {
    let node = Node::start();
    let id = node.issue("A1");
    let body = json!({"document": document("A2")});
    let get = |path: &str| send(node.address, "GET", path, &[], b"");
    assert!(node.app.health.no_room("12 bytes left of a reserve of 100"));
    assert!(!node.app.health.no_room("11 bytes left of a reserve of 100"), "no news");

    let full = (503, "node.disk-full".to_owned());
    let refused = node.write("shop", "/v1/invoices", "k2", &body);
    assert_eq!(refused.problem(), full);
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(node.submit(b"never looked at").problem(), full);
    let ready = get("/readyz");
    assert_eq!(ready.problem(), full);
    assert_eq!(ready.json()["found"], "disk-full");
    assert!(!ready.text().contains("reserve"), "how the disk is divided is the operator's business");
    let status = get("/v1/status").json();
    assert_eq!((&status["ready"], &status["health"]), (&json!(false), &json!("disk-full")));
    assert_eq!(get("/livez").status, 200);
    assert_eq!(node.get("shop", &format!("/v1/invoices/{id}")).status, 200);

    assert!(node.app.health.room());
    assert!(!node.app.health.room(), "no news");
    assert_eq!(get("/readyz").status, 200);
    assert_eq!(node.write("shop", "/v1/invoices", "k2", &body).status, 201);
    assert_eq!(get("/v1/status").json()["health"], "ok");
}
