//! The layers around every route: panics, time limits, log lines; and the description against the routes.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

use super::client::send;
use super::consortium::document;
use super::node::{Node, Setup};
use crate::Options;
use crate::routes::layered;
use crate::service::Service;

async fn panics() -> &'static str {
    std::future::ready(()).await;
    panic!("a secret of ours")
}

#[test]
fn a_panic_and_a_handler_that_never_ends_end_one_request_each() {
    let options = Options { request_timeout_ms: 20, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let service = Arc::new(Service::new(Arc::clone(&node.app)).unwrap());
    let routes = Router::new().route("/panics", get(panics)).route("/hangs", get(std::future::pending::<()>));
    let router = layered(routes, service);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let json: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["instance"], id);
            assert!(!json.to_string().contains("secret"));
            (status, json["code"].as_str().unwrap().to_owned())
        })
    };
    assert_eq!(ask("/panics"), (500, "internal.fault".to_owned()));
    assert_eq!(ask("/hangs"), (503, "request.overdue".to_owned()));
}

#[test]
fn every_described_route_is_there() {
    let node = Node::start();
    let description = serde_json::to_value(crate::openapi()).unwrap();
    for (path, item) in description["paths"].as_object().unwrap() {
        let concrete =
            path.replace("{id}", "1").replace("{claim}", "c").replace("{leaf}", "0").replace("{height}", "1");
        let concrete = concrete.replace("{seller}", "shop").replace("{period}", "2026-11");
        for method in item.as_object().unwrap().keys() {
            let answer = send(node.address, &method.to_uppercase(), &concrete, &[], b"");
            if answer.status >= 400 {
                let (_, code) = answer.problem();
                assert!(!["request.path", "request.method"].contains(&code.as_str()), "{method} {path}: {code}");
            }
        }
    }
}

/// What was logged by every test of this process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[test]
fn log_lines_name_routes_and_never_hold_bodies_tokens_or_content() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(lines.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let node = Node::start();
    let body = json!({"document": document("zz-reference"), "personal": {"buyer_name": "zz-person"}});
    let issued = node.write("shop", "/v1/invoices", "zz-key", &body);
    assert_eq!(issued.status, 201);
    let id = issued.json()["id"].as_str().unwrap().to_owned();
    let lock = json!({"enterprise": "buyer", "claim": "zz-claim"});
    assert_eq!(node.write("platform-a", &format!("/v1/invoices/{id}/reimbursements"), "l", &lock).status, 201);
    let bearer = node.bearer("shop");
    // Nodes of other tests log here too, under ids that are like those of this node.
    let headers = [("authorization", bearer.as_str()), ("x-request-id", "only-this-one")];
    let secret = send(node.address, "GET", "/v1/invoices?cursor=zz-query", &headers, b"");
    assert_eq!(secret.status, 400);
    let request_id = secret.header("x-request-id").unwrap().to_owned();
    let logged = || String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    super::server::eventually(|| logged().contains(&request_id));
    let logged = logged();
    let line = logged.lines().find(|line| line.contains(&request_id) && line.contains("answered")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["fields"]["path"], "/v1/invoices");
    assert_eq!((&line["fields"]["method"], &line["fields"]["status"]), (&json!("GET"), &json!(400)));
    let token = bearer.strip_prefix("Bearer ").unwrap();
    for content in ["zz-reference", "zz-person", "zz-claim", "zz-query", token, "106.00"] {
        assert!(!logged.contains(content), "{content}");
    }
}
