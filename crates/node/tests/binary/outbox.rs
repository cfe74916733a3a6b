//! The outbox: what survives when the client, and the node that has its statement in memory alone, are killed together.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{DevNode, Run, Talking, eventually, issue, run};
use crate::together::Consortium;

/// `submit --outbox` or `outbox send`, but for what they are given last.
fn command(words: &[&str], node: (&str, &str), key: &Path, genesis: &Path) -> Vec<OsString> {
    let door = ["--format", "json", "--url", node.0, "--grpc-url", node.1, "--key"];
    let mut all: Vec<OsString> = words.iter().chain(&door).map(OsString::from).collect();
    all.extend([key.into(), "--genesis".into(), genesis.into()]);
    all
}

fn list(outbox: &Path) -> Run {
    run([OsStr::new("outbox"), OsStr::new("list"), OsStr::new("--format=json"), outbox.as_os_str()])
}

/// The statements of an outbox and their states.
fn kept(outbox: &Path) -> Vec<(String, String)> {
    let listed = list(outbox).ended(0).json();
    let text = |of: &Value, key: &str| of[key].as_str().expect("it is a text").to_owned();
    let rows = listed["statements"].as_array().expect("it is a list");
    rows.iter().map(|row| (text(row, "statement"), text(row, "state"))).collect()
}

impl DevNode {
    /// One of the commands at this node, as the demo's shop.
    fn outbox(&self, words: &[&str], last: &[&Path]) -> Run {
        let key = PathBuf::from(self.text("/keys/demo-shop/login"));
        let node = (self.url(), self.text("/grpc_url"));
        let mut arguments = command(words, node, &key, Path::new(self.text("/genesis")));
        arguments.extend(last.iter().map(|path| path.as_os_str().to_owned()));
        run(arguments)
    }
}

#[test]
fn a_statement_survives_its_node_and_its_client_killed_between_send_and_receipt() {
    let directory = tempfile::tempdir().unwrap();
    let mut consortium = Consortium::start(directory.path());
    consortium.until_ready(&[0, 1, 2, 3]);
    let home = consortium.directory.clone();
    let (key, genesis) = (home.join("keys/demo-shop/login-1.json"), home.join("genesis.json"));
    let outbox = home.join("outbox");
    let first = consortium.sign("outbox-1", &issue("OUTBOX-1"));
    let second = consortium.sign("outbox-2", &issue("OUTBOX-2"));
    // Two of four vote no more, so that what is sent stays in the memory of the first.
    for place in [2, 3] {
        consortium.nodes[place].as_ref().unwrap().signal("STOP");
    }
    let (url, grpc_url) = (consortium.url(0), consortium.grpc_url(0));
    let with = |words: &[&str], last: [&Path; 2]| {
        let mut all = command(words, (&url, &grpc_url), &key, &genesis);
        all.extend(last.map(|path| path.as_os_str().to_owned()));
        all
    };
    let option = |statement: &Path| {
        let mut all = with(&["submit"], [Path::new("--outbox"), &outbox]);
        all.push(statement.into());
        all
    };
    let sending = Talking::start(option(&first));
    let metrics = format!("{url}/metrics");
    eventually("the statement in the node's memory", || {
        let text = ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap();
        let waits = text.lines().find(|line| line.starts_with("einvoice_api_mempool_statements"));
        if waits.is_some_and(|line| line.ends_with(" 1")) { Ok(()) } else { Err(format!("{waits:?}")) }
    });
    // Nobody else sends from the same outbox meanwhile, or looks into it.
    let held = run(option(&second)).ended(6);
    assert!(held.stderr.contains("outbox.held") && held.stderr.contains(&sending.id().to_string()), "{}", held.stderr);
    list(&outbox).ended(6);

    sending.kill();
    // And with all nodes goes what none of them had decided.
    (0..4).for_each(|place| consortium.kill(place));
    let waiting = kept(&outbox);
    assert_eq!(waiting.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>(), ["waits"]);

    // Without a node the next one is kept as well.
    let unheard = run(option(&second)).ended(4);
    assert!(unheard.stderr.contains("einvoice outbox send"), "{}", unheard.stderr);
    let waiting = kept(&outbox);
    assert_eq!(waiting.len(), 2);

    (0..4).for_each(|place| consortium.run_again(place));
    consortium.until_ready(&[0, 1, 2, 3]);
    let before = consortium.status(0)["height"].as_u64().unwrap();
    let mut send = command(&["outbox", "send"], (&url, &grpc_url), &key, &genesis);
    send.push(outbox.as_os_str().to_owned());
    let sent = run(&send).ended(0);
    let sent: Vec<Value> = sent.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = sent.iter().map(|answer| answer["statement"].as_str().unwrap()).collect();
    assert_eq!(ids, waiting.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), "the same ones, in their order");
    assert!(sent.iter().all(|answer| answer["outcomes"][0]["code"] == json!("accepted")), "{sent:?}");
    let heights = [&sent[0], &sent[1]].map(|answer| answer["height"].as_u64().unwrap());
    assert!(before < heights[0] && heights[0] < heights[1], "no node had it any more: {before}, {heights:?}");
    assert!(kept(&outbox).is_empty());
    assert_eq!(run(&send).ended(0).stdout, "");
    // Put again, it is the same statement, decided once.
    let again = run(option(&first)).ended(0).json();
    assert_eq!((&again["height"], &again["outcomes"]), (&sent[0]["height"], &sent[0]["outcomes"]));
}

#[test]
fn what_nodes_turn_away_is_set_aside_and_what_is_damaged_stops_what_is_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let outbox = directory.path().join("outbox");
    let sign = |nonce: &str, events: Value| node.sign("demo-shop", nonce, &events, directory.path());
    let submit = |statement: &Path| node.outbox(&["submit"], &[Path::new("--outbox"), &outbox, statement]);
    let decided = submit(&sign("good", issue("OUTBOX-3"))).ended(0).json();
    assert_eq!(decided["outcomes"][0]["code"], json!("accepted"));
    // What the ledger refuses is decided too.
    let refused = submit(&sign("twice", issue("OUTBOX-3"))).ended(0).json();
    assert_eq!(refused["outcomes"][0]["code"], json!("repeated"));
    assert!(kept(&outbox).is_empty());

    let mut broken = issue("OUTBOX-4");
    broken["issue"]["document"]["totals"]["gross"] = json!("1.00");
    let turned_away = submit(&sign("broken", broken)).ended(3);
    assert_eq!(turned_away.json()["code"], json!("document.invalid"), "{}", turned_away.stderr);
    let aside = kept(&outbox);
    assert_eq!(aside[0].1, "set-aside");
    // It is in nobody's way.
    submit(&sign("behind", issue("OUTBOX-5"))).ended(0);
    let left = node.outbox(&["outbox", "send"], &[&outbox]).ended(3);
    assert!(left.stderr.contains("1 are set aside"), "{}", left.stderr);
    assert_eq!(kept(&outbox), aside);
    let discard = |id: &str| run([OsStr::new("outbox"), OsStr::new("discard"), outbox.as_os_str(), OsStr::new(id)]);
    discard(&aside[0].0).ended(0);
    assert!(discard(&aside[0].0).ended(2).stderr.contains("outbox.unknown"));
    assert!(kept(&outbox).is_empty());

    // A file that is damaged while nobody looks: kept while no node was there, cut in half, and the next one behind it.
    let nowhere = |statement: &Path| {
        let (key, genesis) = (PathBuf::from(node.text("/keys/demo-shop/login")), PathBuf::from(node.text("/genesis")));
        let mut all = command(&["submit"], ("http://127.0.0.1:9", "http://127.0.0.1:9"), &key, &genesis);
        all.extend(["--outbox".into(), outbox.as_os_str().to_owned(), statement.as_os_str().to_owned()]);
        run(all).ended(4)
    };
    nowhere(&sign("damaged", issue("OUTBOX-6")));
    let files = std::fs::read_dir(&outbox).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "statement")).unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let behind = submit(&sign("last", issue("OUTBOX-7"))).ended(5);
    assert!(behind.stderr.contains("outbox.damaged"), "{}", behind.stderr);
    let listed = list(&outbox).ended(5).json();
    let states: Vec<&Value> = listed["statements"].as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["damaged", "waits"]);
    std::fs::write(&file, &whole).unwrap();
    let sent = node.outbox(&["outbox", "send"], &[&outbox]).ended(0);
    assert_eq!(sent.stdout.lines().count(), 2);
    assert!(kept(&outbox).is_empty());
    assert_eq!(node.stop().code(), Some(0));
}
