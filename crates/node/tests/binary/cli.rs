//! The binary from outside: exit codes, key files, a node that is stopped, killed and started again, and two on one
//! directory.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::{DevNode, Talking, issue, run};
use serde_json::{Value, json};

#[test]
fn what_cannot_be_used_ends_with_2() {
    run(["frobnicate"]).ended(2);
    run(["verify"]).ended(2);
    let missing = run(["verify", "/nowhere/a", "--genesis", "/nowhere/g"]).ended(2);
    assert_eq!(missing.stderr.lines().count(), 1);
    assert!(missing.stderr.starts_with("error: failed to read /nowhere/g: "), "{}", missing.stderr);
    run(["config", "check", "--set", "http.lisen=1"]).ended(2);
    run(["status", "--url", "ftp://127.0.0.1"]).ended(2);
    run(["export", "--data", "/nowhere", "--out", "/nowhere/out"]).ended(2);
}

#[test]
fn where_no_node_answers_it_ends_with_4() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(["status".to_owned(), "--url".to_owned(), format!("http://{unused}")]).ended(4);
}

#[test]
fn a_key_is_private_made_once_and_its_secret_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("login.json");
    let new = || {
        let path = path.to_str().unwrap();
        run(["keys", "new", "--organisation", "demo-shop", "--purpose", "login", "--out", path, "--format", "json"])
    };
    let made = new().ended(0);
    assert_eq!(made.json().pointer("/key/purpose").and_then(Value::as_str), Some("login"));
    let file = fs::read_to_string(&path).unwrap();
    let seed = serde_json::from_str::<Value>(&file).unwrap()["seed"].as_str().unwrap().to_owned();
    assert!(!made.stdout.contains(&seed) && !made.stderr.contains(&seed));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    new().ended(2);
    assert_eq!(fs::read_to_string(&path).unwrap(), file);
    let token = run(["token", "--key", path.to_str().unwrap(), "--aud", "node-1"]).ended(0).stdout;
    assert_eq!(token.trim().split('.').count(), 3);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let open = run(["token", "--key", path.to_str().unwrap(), "--aud", "node-1"]).ended(2);
    assert!(open.stderr.contains("others may read it"), "{}", open.stderr);
}

#[test]
fn a_directory_is_initialised_once() {
    let directory = tempfile::tempdir().unwrap();
    let node = directory.path().join("node");
    let init = || run(["init", node.to_str().unwrap(), "--chain", "test-chain", "--format", "json"]);
    let made = init().ended(0).json();
    assert!(made["chain"].as_str().unwrap().starts_with("test-chain@"));
    init().ended(2);
    let config = node.join("node.toml");
    let shown = run(["config", "show", "--format", "json", "--config", config.to_str().unwrap()]).ended(0).json();
    assert_eq!(shown["node"]["id"], "tax-bureau-1");
    assert_eq!(Path::new(shown["node"]["genesis"].as_str().unwrap()), node.join("genesis.json"));
}

#[test]
fn an_init_that_was_refused_can_be_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let (node, members) = (directory.path().join("node"), directory.path().join("members.json"));
    let (node, members) = (node.to_str().unwrap(), members.to_str().unwrap());
    run(["init", node, "--chain", "Not A Name"]).ended(2);
    run(["init", node, "--node-id", "not an id"]).ended(2);
    fs::write(members, "[]").unwrap();
    let list = run(["init", node, "--members", members]).ended(2);
    assert!(!list.stderr.contains("struct"), "{}", list.stderr);
    // A member that has the validator's own id shows only when the genesis is put together.
    let member = json!({ "id": "tax-bureau", "name": "Second", "taxpayer_id": "11440300K31718010F",
        "taxpayer_kind": "uscc", "roles": ["agency"], "standing": "active", "keys": [] });
    fs::write(members, json!({ "organisations": [member] }).to_string()).unwrap();
    run(["init", node, "--members", members]).ended(2);
    run(["init", node]).ended(0);
    let key = Path::new(node).join("keys/consensus-1.json");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_token_file_that_holds_no_token_is_named_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (token, out) = (directory.path().join("token"), directory.path().join("archive"));
    fs::write(&token, "first-line\nsecond-line\n").unwrap();
    let (token, out) = (token.to_str().unwrap(), out.to_str().unwrap());
    let refused = run(["export", "--url", "http://127.0.0.1:9", "--token-file", token, "--out", out]).ended(2);
    assert!(refused.stderr.contains(token), "{}", refused.stderr);
    assert!(!refused.stderr.contains("first-line"), "{}", refused.stderr);
}

#[test]
fn an_archive_takes_no_place_that_is_not_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("dev");
    assert_eq!(DevNode::start(&data).stop().code(), Some(0));
    let (data, out) = (data.to_str().unwrap(), directory.path().join("archive"));
    let (out, genesis) = (out.to_str().unwrap(), format!("{data}/genesis.json"));
    fs::write(out, "mine").unwrap();
    run(["export", "--data", data, "--out", "-"]).ended(2);
    run(["export", "--data", data, "--out", data, "--force"]).ended(2);
    let refused = run(["export", "--data", data, "--out", out]).ended(2);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(out).unwrap(), "mine");
    run(["export", "--data", data, "--out", out, "--force"]).ended(0);
    run(["verify", out, "--genesis", &genesis]).ended(0);
    let refused = run(["verify", data, "--genesis", &genesis]).ended(2);
    assert!(refused.stderr.contains("it is a directory"), "{}", refused.stderr);
    // Nobody else enters where the store lives.
    let store = Path::new(data).join("data");
    for (name, mode) in [("", 0o700), ("attachments", 0o700), ("attachments/bytes", 0o600), ("lock", 0o600)] {
        assert_eq!(fs::metadata(store.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn a_receipt_that_proves_nothing_says_so_as_data() {
    let directory = tempfile::tempdir().unwrap();
    let genesis = initialised(directory.path()).replace("node.toml", "genesis.json");
    let receipt = directory.path().join("receipt.json");
    fs::write(&receipt, "[]").unwrap();
    let receipt = receipt.to_str().unwrap();
    let text = run(["receipt", "verify", receipt, "--genesis", &genesis]).ended(20);
    assert!(text.stdout.starts_with("status      findings\nfinding     "), "{}", text.stdout);
    assert!(!text.stdout.contains("struct"), "{}", text.stdout);
    let found = run(["receipt", "verify", receipt, "--genesis", &genesis, "--format", "json"]).ended(20).json();
    assert_eq!(found["status"], "findings");
    run(["receipt", "verify", directory.path().to_str().unwrap(), "--genesis", &genesis]).ended(2);
}

#[test]
fn a_node_serves_at_once_answers_and_stops_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let node = DevNode::start(&directory.path().join("dev"));
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
    let status = run(["status", "--format", "json", "--url", node.url()]).ended(0).json();
    assert_eq!((&status["chain"], &status["ready"]), (&node.ready["chain"], &json!(true)));
    let statement = node.sign("demo-shop", "first", &issue("CLI-1"), directory.path());
    let issued = node.submit(&statement).ended(0).json();
    assert_eq!(issued.pointer("/outcomes/0/code"), Some(&json!("accepted")));
    let invoice = issued.pointer("/outcomes/0/subject").and_then(Value::as_str).unwrap();
    let again = node.submit(&statement).ended(0).json();
    assert_eq!(again["statement"], issued["statement"]);
    let (seen, _) = node.get(&format!("/v1/invoices/{invoice}"), Some("demo-buyer"));
    let (hidden, _) = node.get(&format!("/v1/invoices/{invoice}"), Some("demo-platform-a"));
    assert_eq!((seen, hidden), (200, 200), "the buyer, and the platform under its mandate");
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_refusal_is_printed_with_its_reason_and_ends_with_3() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let issued = node.submit(&node.sign("demo-shop", "first", &issue("CLI-1"), directory.path())).ended(0).json();
    let invoice = issued.pointer("/outcomes/0/subject").unwrap();
    let lock = |claim: &str| json!({ "lock": { "invoice": invoice, "enterprise": "demo-buyer", "claim": claim } });
    let first = node.sign("demo-platform-a", "lock-a", &lock("a"), directory.path());
    node.submit(&first).ended(0);
    let second = node.sign("demo-platform-b", "lock-b", &lock("b"), directory.path());
    let refused = node.submit(&second).ended(3);
    let problem = refused.json();
    assert_eq!(problem["code"], "reimbursement.already-locked");
    assert_eq!(problem.pointer("/standing/organisation"), Some(&json!("demo-platform-a")));
    assert!(!refused.stdout.contains("\"claim\""), "what for is nobody else's business: {}", refused.stdout);
    assert!(refused.stderr.starts_with("error: failed to submit the statement: reimbursement.already-locked (409)"));
}

#[test]
fn a_quota_granted_from_the_command_line_is_what_a_seller_may_issue() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let issued = node.submit(&node.sign("demo-shop", "first", &issue("CLI-1"), directory.path())).ended(0).json();
    let invoice = issued.pointer("/outcomes/0/subject").and_then(Value::as_str).unwrap();
    let (_, invoice) = node.get(&format!("/v1/invoices/{invoice}"), Some("demo-shop"));
    let invoice: Value = serde_json::from_slice(&invoice).unwrap();
    let period = invoice["period"].as_str().unwrap();
    let gross = invoice.pointer("/totals/gross").unwrap();
    let quota = |command: &str, entry: &str| {
        let key = node.text("/keys/tax-bureau/statement");
        let signed = run(["quota", command, entry, "--period", period, "--key", key, "--chain", node.text("/chain")]);
        let statement = directory.path().join(format!("{command}.jws"));
        fs::write(&statement, signed.ended(0).stdout).unwrap();
        statement
    };
    // Exactly what was issued before: nothing is left.
    let grant = quota("grant", &format!("demo-shop={}", gross.as_str().unwrap()));
    let granted = node.submit(&grant).ended(0).json();
    let record = json!({"quota-granted": {"amount": gross, "used": gross}});
    assert_eq!(granted.pointer("/outcomes/0/record"), Some(&record));
    let key = node.text("/keys/tax-bureau/login");
    let over_grpc =
        ["submit", "--format", "json", "--url", node.url(), "--grpc-url", node.text("/grpc_url"), "--key", key];
    let again = run(over_grpc.map(OsStr::new).into_iter().chain([grant.as_os_str()])).ended(0).json();
    assert_eq!(again.pointer("/outcomes/0/record"), Some(&record), "the same over gRPC");
    let refused = node.submit(&node.sign("demo-shop", "second", &issue("CLI-2"), directory.path())).ended(3);
    assert_eq!(refused.json()["code"], "quota.exceeded");
    let paused = node.submit(&quota("pause", "demo-shop")).ended(0).json();
    assert_eq!(paused.pointer("/outcomes/0/kind"), Some(&json!("quota-pause")));
    let refused = node.submit(&node.sign("demo-shop", "third", &issue("CLI-2"), directory.path())).ended(3);
    assert_eq!(refused.json()["code"], "quota.paused");
    let (_, left) = node.get(&format!("/v1/quotas/demo-shop/{period}"), Some("demo-shop"));
    assert_eq!(serde_json::from_slice::<Value>(&left).unwrap()["left"], "0.00");
}

#[test]
fn a_statement_submitted_over_grpc_is_answered_in_the_words_of_rest() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let over_grpc = |grpc_url: &str, organisation: &str, statement: &Path| {
        let key = node.text(&format!("/keys/{organisation}/login"));
        let options = ["submit", "--format", "json", "--url", node.url(), "--grpc-url", grpc_url, "--key", key];
        run(options.map(OsStr::new).into_iter().chain([statement.as_os_str()]))
    };
    let submit = |organisation: &str, statement: &Path| over_grpc(node.text("/grpc_url"), organisation, statement);
    // Whatever the one says, the other says alike.
    let check = |told: &Value, rest: &Value, names: &[&str]| {
        assert!(names.iter().all(|name| !told[*name].is_null()), "{told:#}");
        for (name, value) in told.as_object().unwrap().iter().filter(|(name, _)| *name != "outcomes") {
            assert_eq!(*value, rest[name], "{name}");
        }
        let outcomes = |answer: &Value| answer["outcomes"].as_array().unwrap().clone();
        for (told, rest) in outcomes(told).iter().zip(outcomes(rest)) {
            for (name, value) in told.as_object().unwrap() {
                assert_eq!(*value, rest[name], "{name}");
            }
        }
    };
    let sign = |organisation: &str, name: &str, event: &Value| node.sign(organisation, name, event, directory.path());
    let statement = sign("demo-shop", "first", &issue("CLI-2"));
    let issued = submit("demo-shop", &statement).ended(0).json();
    check(&issued, &node.submit(&statement).ended(0).json(), &["statement", "state", "height", "time"]);
    let invoice = issued.pointer("/outcomes/0/subject").unwrap();
    let lock = |claim: &str| json!({ "lock": { "invoice": invoice, "enterprise": "demo-buyer", "claim": claim } });
    let first = sign("demo-platform-a", "lock-a", &lock("a"));
    let locked = submit("demo-platform-a", &first).ended(0).json();
    assert_eq!(locked.pointer("/outcomes/0/record/locked/token"), Some(&json!(1)));
    check(&locked, &node.submit(&first).ended(0).json(), &["statement"]);
    let second = sign("demo-platform-b", "lock-b", &lock("b"));
    let refused = submit("demo-platform-b", &second).ended(3);
    assert!(
        refused.stderr.contains("failed to submit the statement: reimbursement.already-locked"),
        "{}",
        refused.stderr
    );
    let (told, mut rest) = (refused.json(), node.submit(&second).ended(3).json());
    // Of these, gRPC has one text for two, and a request an id of its own.
    (rest["detail"], rest["instance"]) = (told["detail"].clone(), told["instance"].clone());
    check(&told, &rest, &["code", "path", "expected", "found", "standing", "statement", "outcomes"]);
    // A statement proves itself: another may hand it in.
    assert_eq!(submit("demo-buyer", &first).ended(0).json()["outcomes"], locked["outcomes"]);
    over_grpc("http://127.0.0.1:1", "demo-buyer", &first).ended(4);
    std::fs::write(&statement, "no statement").unwrap();
    submit("demo-shop", &statement).ended(2);
    run(["submit", "--url", node.url(), "--grpc-url", node.text("/grpc_url"), "-"]).ended(2);
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_second_process_on_a_directory_is_refused_with_6() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("dev");
    let node = DevNode::start(&data);
    let data = data.to_str().unwrap();
    let second = run(["dev", "--listen", "127.0.0.1:0", "--data", data]).ended(6);
    assert!(second.stderr.contains("is held by another process"), "{}", second.stderr);
    let out = directory.path().join("out");
    run(["export", "--data", data, "--out", out.to_str().unwrap()]).ended(6);
    assert!(!out.exists());
    let (alive, _) = node.get("/livez", None);
    assert_eq!(alive, 200);
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_exports_verified() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("dev");
    let mut acknowledged: Vec<(PathBuf, Value)> = Vec::new();
    for round in 0..3 {
        let node = DevNode::start(&data);
        for (statement, answer) in &acknowledged {
            let again: Value = node.submit(statement).ended(0).json();
            assert_eq!(again, *answer, "what was acknowledged before the kill");
        }
        for number in 0..5 {
            let name = format!("CLI-{round}-{number}");
            let statement = node.sign("demo-shop", &name, &issue(&name), directory.path());
            let answer = node.submit(&statement).ended(0).json();
            acknowledged.push((statement, answer));
        }
        node.kill();
    }
    let archive = directory.path().join("archive");
    let (data, archive) = (data.to_str().unwrap(), archive.to_str().unwrap());
    run(["export", "--data", data, "--out", archive]).ended(0);
    let genesis = format!("{data}/genesis.json");
    let verified = run(["verify", archive, "--genesis", &genesis, "--format", "json"]).ended(0).json();
    assert_eq!(verified.pointer("/replay/invoices"), Some(&json!(15)));
}

/// A directory made by `init`, with its configuration file.
fn initialised(directory: &Path) -> String {
    let node = directory.join("node");
    run([Path::new("init"), &node]).ended(0);
    node.join("node.toml").to_str().expect("its path is UTF-8").to_owned()
}

#[test]
fn a_node_with_nothing_to_do_still_shows_that_it_lives() {
    let directory = tempfile::tempdir().unwrap();
    let config = initialised(directory.path());
    let heartbeats = ["--set", "blocks.heartbeat-ms=150", "--set", "telemetry.filter=info,node=debug"];
    let mut node = Talking::start(["start", "--config", &config, "--listen", "127.0.0.1:0"].iter().chain(&heartbeats));
    node.until("the node serves at");
    for _ in 0..3 {
        node.until("committed a heartbeat");
    }
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_full_disk_stops_the_node_with_5_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let config = initialised(directory.path());
    let full =
        run(["start", "--config", &config, "--listen", "127.0.0.1:0", "--set", "store.reserve-bytes=1000000000000000"]);
    let full = full.ended(5);
    assert!(full.stderr.contains("no room left for"), "{}", full.stderr);
    // With room again it starts as if nothing had been.
    let mut node = Talking::start(["start", "--config", &config, "--listen", "127.0.0.1:0"]);
    node.until("the node serves at");
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_door_with_a_certificate_opens_to_who_trusts_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = initialised(directory.path());
    let door = directory.path().join("tls");
    let certify = |name: &str| run(["keys", "certificate", door.to_str().unwrap(), "--name", name, "--format", "json"]);
    certify("not a host\u{e9}").ended(2);
    let made = certify("127.0.0.1").ended(0).json();
    certify("127.0.0.1").ended(2);
    let [certificate, key] = ["certificate", "key"].map(|file| made[file].as_str().expect("a path is text").to_owned());
    let (certificate, key) = (certificate.as_str(), key.as_str());
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let tls = [format!("http.tls-certificate={certificate}"), format!("http.tls-key={key}")];
    let arguments = ["start", "--config", &config, "--listen", "127.0.0.1:0", "--set", &tls[0], "--set", &tls[1]];
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    run(arguments).ended(2);
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    let mut node = Talking::start(arguments);
    let line = node.until("the node serves at");
    let (_, url) = line.rsplit_once(' ').unwrap();
    assert!(url.starts_with("https://"), "{line}");
    run(["status", "--ready", "--url", url, "--ca", certificate]).ended(0);
    run(["status", "--url", url]).ended(4);
    assert_eq!(node.stop().code(), Some(0));
}
