//! Generated invoices and the bench: short runs of every mode. Nobody looks at how fast they are.

use std::path::Path;

use serde_json::Value;

use crate::support::{Talking, free_ports, run};

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

/// A node that serves the small consortium, and its REST and gRPC doors.
fn serving(home: &Path) -> (Talking, [String; 2]) {
    let text = |path: &Path| path.to_str().expect("the path is text").to_owned();
    run(["generate", "--count", "0", "--consortium-out", &text(home)].into_iter().chain(SMALL)).ended(0);
    let (config, rest) = (text(&home.join("node.toml")), free_ports(2));
    let grpc = rest + 1;
    let settings = format!(
        "[node]\nid = \"tax-bureau-1\"\n[http]\nlisten = \"127.0.0.1:{rest}\"\n\
         subscriptions-an-organisation-max = 25\n[grpc]\nlisten = \"127.0.0.1:{grpc}\"\n\
         [telemetry]\nfilter = \"warn\"\n"
    );
    std::fs::write(&config, settings).expect("the directory can be written");
    let mut node = Talking::start(["start", "--config", &config]);
    node.until("the node serves");
    (node, [rest, grpc].map(|port| format!("http://127.0.0.1:{port}")))
}

#[test]
fn a_running_node_is_measured_over_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (node, [url, _]) = serving(&directory.path().join("node"));
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

#[test]
fn a_running_node_is_measured_over_grpc() {
    let directory = tempfile::tempdir().unwrap();
    let (node, [rest, grpc]) = serving(&directory.path().join("node"));
    let pid = node.id().to_string();
    let doors = ["--url", &rest, "--grpc-url", &grpc, "--pid", &pid, "--warm-up", "10", "--clients", "8"];
    let loaded = |kind: &str, arguments: &[&str]| {
        let all: Vec<&str> = doors.iter().copied().chain(["--grpc", kind]).chain(arguments.iter().copied()).collect();
        let report = bench(&all);
        assert_eq!(number(&report, "/failed"), 0, "{report}");
        assert_eq!(report["mode"], format!("grpc {kind}"));
        assert!(number(&report, "/resident_bytes_max") > 0 && report["cpu_us_per_event"].is_u64(), "{report}");
        report
    };
    let verified = loaded("verify", &["--events", "200"]);
    assert_eq!((number(&verified, "/events"), number(&verified, "/answer/count")), (200, 200), "{verified}");
    let verified = loaded("batch-verify", &["--events", "1000", "--batch", "100"]);
    assert_eq!((number(&verified, "/events"), number(&verified, "/answer/count")), (1_000, 10), "{verified}");
    let locked = loaded("lock", &["--events", "150", "--rate", "300"]);
    assert_eq!((number(&locked, "/events"), number(&locked, "/finality/count")), (150, 150), "{locked}");
    // More than one organisation may have when nothing is configured.
    let followed = loaded("subscribe", &["--events", "40", "--rate", "40", "--subscribers", "123"]);
    let following = |what: &str| number(&followed, &format!("/following/{what}"));
    assert_eq!((following("subscribers"), following("arrived")), (123, 123 * 40), "{followed}");
    assert_eq!((following("missed"), following("twice"), following("from_block/count")), (0, 0, 123 * 40));
    let statements = ["--events", "40", "--events-per-statement", "5", "--rate", "40", "--subscribers", "4"];
    let followed = loaded("subscribe", &statements);
    let following = |what: &str| number(&followed, &format!("/following/{what}"));
    assert_eq!((following("arrived"), following("missed"), following("twice")), (4 * 40, 0, 0), "{followed}");
    let too_many = ["bench", "--url", &rest, "--grpc-url", &grpc, "--grpc", "subscribe", "--subscribers", "130"];
    let refused = run(too_many.into_iter().chain(SMALL).chain(["--events", "1"])).ended(3);
    assert!(refused.stderr.contains("subscriptions"), "{}", refused.stderr);
    let unmatched = ["bench", "--url", &rest, "--grpc-url", &grpc, "--grpc-url", &grpc, "--grpc", "verify"];
    assert!(run(unmatched).ended(2).stderr.contains("a --grpc-url for each"));
    assert!(node.stop().success());
}
