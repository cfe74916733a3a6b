//! Answers that are large: pages end by bytes too, and what nobody takes is counted.

use std::io::Write as _;
use std::net::TcpStream;

use chain::statement::Mode;
use serde_json::{Value, json};

use super::client::connect;
use super::consortium::{ORGANISATIONS, document};
use super::node::{Node, Setup};
use super::server::eventually;
use crate::listing::PAGE_BYTES_MAX;
use crate::{GrpcOptions, Options};

/// Invoices of a test: more than a page of bytes has room for, and fewer than a page of rows.
const FAT: usize = 200;

/// Answers that are asked for on a connection at once, two megabytes each.
const ANSWERS: usize = 32;

/// A document of as many lines as there may be: some ten thousand bytes.
fn fat(reference: &str) -> Value {
    let mut document = document(reference);
    let line = json!({
        "name": "Meal for the whole of the sales department, third floor, with drinks", "tax_code": "3070401000000000000",
        "net": "1.00", "tax": {"rate": "0.06"}, "tax_amount": "0.06"});
    document["lines"] = json!(vec![line; 100]);
    document
}

fn issue_fat(node: &Node) {
    for part in 0..4 {
        let events: Vec<Value> =
            (0..FAT / 4).map(|number| json!({"issue": {"document": fat(&format!("fat-{part}-{number}"))}})).collect();
        let answer = node.submit(&node.statement("shop", &format!("fat-{part}"), Mode::All, &events));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

#[test]
fn a_page_of_fat_invoices_ends_early_and_the_next_goes_on_behind_it() {
    let node = Node::start();
    issue_fat(&node);
    let (mut seen, mut pages, mut path) = (Vec::new(), 0, "/v1/invoices?limit=500".to_owned());
    loop {
        let page = node.get("shop", &path);
        assert!(page.body.len() < PAGE_BYTES_MAX + 64 * 1024, "{} bytes", page.body.len());
        assert_eq!(page.header("content-length"), Some(page.body.len().to_string().as_str()));
        let page = page.json();
        let ids = page["invoices"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/invoices?limit=500&cursor={next}");
    }
    seen.sort();
    seen.dedup();
    assert!(seen.len() == FAT && pages > 1, "{} invoices on {pages} pages", seen.len());
}

#[test]
fn large_answers_that_nobody_reads_are_counted_and_come_back() {
    let grpc =
        GrpcOptions { answers_bytes_an_organisation_max: 2 * PAGE_BYTES_MAX + 500_000, ..GrpcOptions::default() };
    let options = Options { grpc, write_stall_timeout_ms: 600_000, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    issue_fat(&node);
    let token = node.bearer("shop");
    // The login is known from here on.
    assert_eq!(node.get("shop", "/v1/invoices?limit=1").status, 200);
    // More answers on each connection than what the system's own buffers take in: some megabytes on a fast loopback.
    let ask = || -> TcpStream {
        let mut stream = connect(node.address);
        let head = format!("GET /v1/invoices?limit=500 HTTP/1.1\r\nhost: door\r\nauthorization: {token}\r\n\r\n");
        stream.write_all(head.repeat(ANSWERS).as_bytes()).unwrap();
        stream
    };
    let refused = |who: &str| node.get(who, "/v1/invoices?side=seller&party=shop&limit=500").status == 429;
    let unread: Vec<TcpStream> = (0..4).map(|_| ask()).collect();
    eventually(|| refused("shop"));
    assert_eq!(node.get("shop", "/v1/invoices?limit=500").problem(), (429, "organisation.answers-full".to_owned()));
    assert_eq!(node.get("shop", "/v1/invoices?limit=1").status, 200, "what is small is answered");
    assert!(!refused("auditor"), "others have a share of their own");
    drop(unread);
    eventually(|| !refused("shop"));
}

#[test]
fn a_list_of_months_names_each_taxpayer_once() {
    let node = Node::start();
    let twice = node.get("shop", "/v1/filings?period=2026-11&taxpayers=shop,isp,shop");
    assert_eq!(twice.problem(), (400, "request.query".to_owned()));
    let found = twice.json();
    assert_eq!([&found["path"], &found["found"]], ["taxpayers", "shop"]);
    let list = node.get("shop", "/v1/filings?period=2026-11&taxpayers=shop,nobody").json();
    assert_eq!((list["filings"].as_array().unwrap().len(), &list["unknown"]), (1, &json!(["nobody"])));
    assert_eq!(list.get("left"), None);
}

#[test]
fn a_page_of_organisations_ends_by_bytes_too() {
    const REGISTERED: usize = 3_600;
    let node =
        Node::start_with(Setup { options: Options { page_rows_max: 5_000, ..Options::default() }, ..Setup::default() });
    let entry = |number: usize| {
        json!({"id": format!("m-{number:04}"), "name": "贸".repeat(200), "taxpayer_id": format!("91600000000{number:04}"),
            "taxpayer_kind": "other"})
    };
    // As many as an event of names this long has room for, in each.
    let register =
        |nth: usize| json!({"register": {"enterprises": (nth * 90..(nth + 1) * 90).map(entry).collect::<Vec<_>>()}});
    for part in 0..4 {
        let events: Vec<Value> = (part * 10..(part + 1) * 10).map(register).collect();
        let answer = node.submit(&node.statement("tax-bureau", &format!("r{part}"), Mode::All, &events));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let (mut seen, mut pages, mut path) = (Vec::new(), 0, "/v1/organisations?limit=5000".to_owned());
    loop {
        let page = node.get("police", &path);
        assert!(page.body.len() < PAGE_BYTES_MAX + 64 * 1024, "{} bytes", page.body.len());
        let page = page.json();
        let ids = page["organisations"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/organisations?limit=5000&cursor={next}");
    }
    // In order and each once: nothing is left out where a page ends early.
    assert!(seen.is_sorted_by(|one, other| one < other));
    assert!(seen.len() == REGISTERED + ORGANISATIONS.len() && pages > 1, "{} on {pages} pages", seen.len());
}
