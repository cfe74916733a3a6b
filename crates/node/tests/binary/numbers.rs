//! The report of a running node about the numbers it gave.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::support::{DevNode, Run, issue, run};

/// More than lies between two state checkpoints, ms.
const CHECKPOINT_MS: u64 = 61_000;

impl DevNode {
    /// Asks about numbers with an organisation's login key.
    fn numbers(&self, who: &str, last: &[&str]) -> Run {
        let key = self.text(&format!("/keys/{who}/login"));
        let arguments = ["numbers", "--format", "json", "--url", self.url(), "--key", key];
        run(arguments.iter().chain(last).map(OsStr::new))
    }
}

#[test]
fn a_node_says_which_numbers_it_gave_and_proves_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let genesis = node.text("/genesis").to_owned();
    let issued = |reference: &str| {
        let statement = node.sign("demo-shop", reference, &issue(reference), directory.path());
        let decided = node.submit(&statement).ended(0).json();
        decided.pointer("/outcomes/0/subject").and_then(Value::as_str).unwrap().to_owned()
    };
    let first = issued("NUMBERS-1");
    let code = first.split_once('-').unwrap().0;
    let listed = node.numbers("demo-auditor", &[]).ended(0).json();
    let codes: Vec<&Value> = listed["codes"].as_array().unwrap().iter().map(|row| &row["code"]).collect();
    assert!(codes.contains(&&json!(code)), "{listed}");
    let before = node.numbers("demo-auditor", &[code, "--genesis", &genesis]).ended(21);
    assert!(before.stderr.contains("nothing is proved yet"), "{}", before.stderr);
    for reference in ["NUMBERS-2", "NUMBERS-3", "NUMBERS-4"] {
        let url = format!("{}/v1/dev/clock", node.url());
        ureq::post(url).send_json(json!({"advance_ms": CHECKPOINT_MS})).unwrap();
        issued(reference);
    }
    let report = node.numbers("demo-auditor", &[code, "--genesis", &genesis]).ended(0).json();
    let next = report["next_number"].as_u64().unwrap();
    assert_eq!((&report["tally"]["used"], &report["missing"]), (&json!(next - 1), &json!([])), "{report}");
    // How far behind it is depends on the empty blocks between.
    let proved = report["proved"]["next_number"].as_u64().unwrap();
    assert!((2..=next).contains(&proved), "{report}");
    // Of another chain nothing is proved; the shop has no segment, and learns nothing about the others.
    let other = directory.path().join("other");
    let init = ["init", "--local", "1"].map(OsStr::new).into_iter();
    run(init.chain([other.as_os_str()])).ended(0);
    let other = other.join("genesis.json");
    let refused = node.numbers("demo-auditor", &[code, "--genesis", other.to_str().unwrap()]).ended(20);
    assert!(refused.stderr.contains("verify the header of the proof"), "{}", refused.stderr);
    assert!(node.numbers("demo-shop", &[code]).ended(3).stderr.contains("numbers.unknown"));
    assert_eq!(node.stop().code(), Some(0));
}
