//! Generated invoices and the bench: short runs of every mode. Nobody looks at how fast they are.

use std::path::Path;

use serde_json::Value;

use crate::support::{Talking, run};

/// What every run here draws from.
const SMALL: [&str; 6] = ["--seed", "7", "--sellers", "50", "--buyers", "20"];

/// Runs a command on the small consortium, and gives its data as JSON.
fn bench(arguments: &[&str]) -> Value {
    let all = ["--format", "json", "bench"].into_iter().chain(SMALL).chain(arguments.iter().copied());
    run(all).ended(0).json()
}

#[track_caller]
fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("the report has {pointer}: {report}"))
}

#[test]
fn generated_lines_are_the_same_every_time_and_of_their_kind() {
    let generate = || {
        let arguments = ["generate", "--count", "5", "--date", "2026-11-15"].into_iter().chain(SMALL);
        run(arguments).ended(0).stdout
    };
    let documents = generate();
    assert_eq!(documents.lines().count(), 5);
    assert_eq!(documents, generate());
    for line in documents.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        assert!(document["lines"][0]["net"].is_string(), "{line}");
    }
    let refused = run(["generate", "--date", "2018-04-30"]).ended(2);
    assert!(refused.stderr.contains("no tax rate"), "{}", refused.stderr);
    run(["generate", "--as", "statements"]).ended(2);
}

#[test]
fn a_genesis_takes_statements_of_its_own_seed_alone() {
    let directory = tempfile::tempdir().unwrap();
    let genesis = directory.path().join("genesis.json");
    let genesis = genesis.to_str().unwrap();
    let of = |option: &str, seed: &str| {
        let arguments = ["generate", "--as", "statements", "--count", "2", "--events-per-statement", "3"];
        let consortium = ["--seed", seed, "--sellers", "50", "--buyers", "20", option, genesis];
        run(arguments.into_iter().chain(consortium))
    };
    let made = of("--genesis-out", "7").ended(0);
    assert!(made.stdout.lines().all(|line| line.split('.').count() == 3), "{}", made.stdout);
    of("--genesis", "7").ended(0);
    assert!(of("--genesis", "8").ended(2).stderr.contains("not of seed 8"));
}

#[test]
fn an_embedded_node_is_measured_and_its_index_built_again() {
    let report = bench(&["--events", "600", "--events-per-statement", "20", "--warm-up", "40", "--rebuild"]);
    assert_eq!((number(&report, "/events"), number(&report, "/failed")), (600, 0), "{report}");
    assert_eq!(number(&report, "/finality/count"), 30);
    let longest = report["finality"]["max_ms"].as_f64().unwrap();
    assert!(longest > 0.0, "nothing is final at once: {report}");
    assert!(number(&report, "/disk_bytes_per_event") > 0);
    assert!(number(&report, "/resident_bytes_max") > 0);
    assert!(report.pointer("/rebuild_events_per_second").is_some() && report.pointer("/reopen_ms").is_some());
    assert!(number(&report, "/commit/count") > 0);
}

#[test]
fn a_running_node_is_measured_over_rest() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("node");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    run(["generate", "--count", "0", "--consortium-out", &text(&home)].into_iter().chain(SMALL)).ended(0);
    let config = text(&home.join("node.toml"));
    std::fs::write(&config, "[node]\nid = \"tax-bureau-1\"\n[http]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut node = Talking::start(["start", "--config", &config]);
    let line = node.until("the node serves");
    let served: Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", served["address"].as_str().unwrap());
    let writes =
        ["--url", &url, "--events", "60", "--warm-up", "10", "--clients", "4", "--reads", "50", "--rate", "500"];
    let report = bench(&writes);
    assert_eq!((number(&report, "/events"), number(&report, "/failed")), (60, 0), "{report}");
    assert_eq!((number(&report, "/reads/reads"), number(&report, "/reads/failed")), (50, 0), "{report}");
    // Another seed's keys are not on this ledger.
    let other = ["bench", "--url", &url, "--seed", "8", "--sellers", "50", "--events", "2", "--warm-up", "1"];
    assert!(run(other).ended(3).stdout.contains("statement.signature"));
    assert!(node.stop().success());
}
