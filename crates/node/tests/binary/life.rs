//! What only some invoices go through, on the command line: books, red letters, and an issue without a node.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chain::encoding::decode_base64url;
use chain::key::SecretKey;
use ledger::contingency::{OfflineCertificate, OfflineClaims};
use serde_json::{Value, json};

use crate::support::{DevNode, Run, issue, run};

/// A day in milliseconds, which is also the deadline of the segment here.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A place for files, and a node to sign for.
struct Desk {
    directory: tempfile::TempDir,
    node: DevNode,
    signed: std::cell::Cell<u32>,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for files");
        let node = DevNode::start(&directory.path().join("dev"));
        Self { directory, node, signed: std::cell::Cell::new(0) }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("the directory can be written");
        path
    }

    /// A command that signs for somebody.
    fn signs(&self, who: &str, words: &[&str]) -> Run {
        let key = self.node.text(&format!("/keys/{who}/statement")).to_owned();
        let rest = ["--key", &key, "--chain", self.node.text("/chain"), "--clock-of", self.node.url()];
        run(words.iter().chain(&rest).map(OsString::from))
    }

    /// The same, submitted: what became of its event.
    fn states(&self, who: &str, words: &[&str]) -> Value {
        self.signed.set(self.signed.get() + 1);
        let statement = self.signs(who, words).ended(0).stdout;
        let path = self.file(&format!("{}.jws", self.signed.get()), statement.trim());
        // What was refused is a problem, which says the same.
        self.node.submit(&path).json()["outcomes"][0].clone()
    }

    /// What a node shows to an auditor.
    fn shown(&self, path: &str) -> Value {
        let (status, bytes) = self.node.get(path, Some("demo-auditor"));
        assert_eq!(status, 200, "{path}");
        serde_json::from_slice(&bytes).expect("the answer is JSON")
    }

    /// An event that somebody signs as it is: its subject.
    fn stated(&self, who: &str, event: &Value) -> String {
        self.signed.set(self.signed.get() + 1);
        let nonce = format!("life-{}", self.signed.get());
        let statement = self.node.sign(who, &nonce, event, self.directory.path());
        let outcome = self.node.submit(&statement).ended(0).json()["outcomes"][0].clone();
        assert_eq!(outcome["code"], "accepted", "{outcome}");
        outcome["subject"].as_str().expect("an outcome has a subject").to_owned()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

#[test]
fn an_invoice_is_booked_used_confirmed_corrected_and_taken_back() {
    let desk = Desk::new();
    let mut special = issue("LIFE-1");
    special["issue"]["document"]["profile"] = json!("digital-special");
    let document = desk.file("document.json", &special["issue"]["document"].to_string());
    let id = desk.stated("demo-shop", &special);
    let period = desk.states("demo-buyer", &["book", &id, "--code", "02", "--voucher", "1", "--period", "1999-01"]);
    assert_eq!(period["code"], "booking.period", "{period}");
    let months = period["refusal"]["expected"].as_str().unwrap().to_owned();
    let month = &months[months.len() - 7..];
    for (who, words) in [
        ("demo-buyer", vec!["book", &id, "--code", "02", "--voucher", "记-0012", "--period", month]),
        ("demo-buyer", vec!["use", &id, "--purpose", "deduct", "--period", month]),
        ("demo-buyer", vec!["manifest", &id, "confirm"]),
        ("demo-shop", vec!["correct", &id, "--remark", "order 7"]),
    ] {
        let outcome = desk.states(who, &words);
        assert_eq!(outcome["code"], "accepted", "{outcome}");
    }
    let what = [id.as_str(), "--document", text(&document), "--reason", "sales-return"];
    let alone = [&["red", "issue"], &what[..], &["--reference", "RED-1"]].concat();
    assert_eq!(desk.states("demo-shop", &alone)["code"], "red.slip-needed");
    let request = [&["red", "request"], &what[..]].concat();
    assert_eq!(desk.states("demo-shop", &request)["record"]["red-requested"]["slip"], 1);
    assert_eq!(desk.states("demo-buyer", &["red", "deny", &id, "1"])["code"], "accepted");
    assert_eq!(desk.states("demo-buyer", &request)["record"]["red-requested"]["slip"], 2);
    assert_eq!(desk.states("demo-buyer", &["red", "withdraw", &id, "2"])["code"], "accepted");
    assert_eq!(desk.states("demo-shop", &request)["record"]["red-requested"]["slip"], 3);
    assert_eq!(desk.states("demo-buyer", &["red", "confirm", &id, "3"])["code"], "accepted");
    let under = [&alone[..], &["--slip", "3"]].concat();
    let red = desk.states("demo-shop", &under);
    assert_eq!(red["record"]["red-issued"]["validity"], "full-red", "{red}");
    assert_eq!(red["record"]["red-issued"]["input"], true);
    assert_eq!(desk.node.stop().code(), Some(0));
}

/// What the provider signs with its own key past its command, by other sums if any are given.
fn lie(desk: &Desk, key: &str, number: &str, gross: &str, at_ms: i64) -> Value {
    let key: Value =
        serde_json::from_slice(&std::fs::read(key).expect("the key can be read")).expect("a key file is JSON");
    let word = |field: &str| key[field].as_str().expect("a key file has texts");
    let seed = decode_base64url(word("seed")).expect("a seed is base64url");
    let mut document = issue("OFFLINE-1")["issue"]["document"].clone();
    if !gross.is_empty() {
        document["totals"]["gross"] = json!(gross);
    }
    let number = number.parse().expect("it was granted");
    let read = serde_json::from_value(document.clone()).expect("it has the form of a document");
    let claims = OfflineClaims::new(&read, number, number, at_ms, at_ms + DAY_MS);
    let by = format!("demo-isp/{}", word("key_id")).parse().expect("the key has a name");
    let secret = SecretKey::from_seed(seed.try_into().expect("a seed is 32 bytes"));
    let chain = desk.node.text("/chain").parse().expect("the node says its chain");
    let certificate = OfflineCertificate::sign(by, chain, claims, &secret);
    json!({"offline-issue": {"document": document, "certificate": certificate}})
}

#[test]
fn a_provider_cut_off_issues_from_a_segment_and_its_buyer_verifies_that_alone() {
    let desk = Desk::new();
    let genesis = desk.node.text("/genesis").to_owned();
    let key = desk.node.text("/keys/demo-isp/statement").to_owned();
    let signer: Value = serde_json::from_slice(&std::fs::read(&key).unwrap()).unwrap();
    let signer = signer["key_id"].as_str().unwrap().to_owned();
    let now = desk.shown("/v1/status")["time"].as_str().unwrap().to_owned();
    let soon = api::format_ms(api::parse_ms(&now).unwrap() + 5 * DAY_MS);
    let grant = ["segment", "grant", "demo-isp", "--signs-with", &signer, "--numbering", "blockchain", "--count", "2"];
    let grant = [&grant[..], &["--until", &soon, "--deadline-hours", "24"]].concat();
    let granted = desk.states("tax-bureau", &grant);
    assert_eq!(granted["code"], "accepted", "{granted}");
    let first = granted["record"]["segment-granted"]["first"].as_str().unwrap().to_owned();
    let issued_at = granted["record"]["segment-granted"]["granted_at"].as_str().unwrap().to_owned();
    let receipt = desk.shown(granted["receipt"].as_str().unwrap());
    let receipt = desk.file("grant.json", &receipt.to_string());
    // From here on no node is asked.
    let document = desk.file("document.json", &issue("OFFLINE-1")["issue"]["document"].to_string());
    let with = [text(&receipt), "--genesis", &genesis];
    let offline = |words: &[&str]| run(words.iter().map(OsString::from));
    let form = ["offline", "issue", text(&document), "--number", &first, "--at", &issued_at, "--key", &key];
    let issued = offline(&[&form[..], &with[..]].concat()).ended(0).stdout;
    let invoice = desk.file("invoice.json", &issued);
    let verified = offline(&[&["--format", "json", "offline", "verify", text(&invoice)], &with[..]].concat());
    let verified = verified.ended(0).json();
    assert_eq!((&verified["status"], &verified["invoice"]), (&json!("verified"), &json!(first)));
    let seller = issue("OFFLINE-1")["issue"]["document"]["seller"]["taxpayer_id"]
        .as_str()
        .expect("a seller has an id")
        .to_owned();
    assert_eq!(verified["unproven"][0], json!(format!("that demo-isp may issue for {seller}")));
    // Its holder can sign what is no invoice, and what is yet to be issued: neither is verified.
    let granted_ms = api::parse_ms(&issued_at).expect("a record has times");
    for (gross, at_ms, wrong) in [("9999999.00", granted_ms, "/totals/gross"), ("", granted_ms + DAY_MS, "issued at")] {
        let lie = desk.file("lie.json", &lie(&desk, &key, &first, gross, at_ms).to_string());
        let found = offline(&[&["offline", "verify", text(&lie)], &with[..]].concat()).ended(20);
        assert!(found.stderr.contains(wrong), "{}", found.stderr);
    }
    let mut forged: Value = serde_json::from_str(&issued).unwrap();
    forged["offline-issue"]["document"]["remark"] = json!("another");
    let forged = desk.file("forged.json", &forged.to_string());
    let found = offline(&[&["offline", "verify", text(&forged)], &with[..]].concat()).ended(20);
    assert!(found.stderr.contains("not one of this document"), "{}", found.stderr);
    let outside = form.map(|word| if word == first { "144032609110-00000001" } else { word });
    assert!(offline(&[&outside[..], &with[..]].concat()).ended(2).stderr.contains("none of the numbers"));
    // Nodes can be reached again.
    assert_eq!(desk.states("demo-isp", &["sign", text(&invoice)])["code"], "accepted");
    let closed = desk.states("demo-isp", &["segment", "close", &first]);
    assert_eq!(closed["record"]["segment-closed"]["gaps"], json!([{"first": 1, "last": 1}]), "{closed}");
    assert_eq!(desk.node.stop().code(), Some(0));
}
