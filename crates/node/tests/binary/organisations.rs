//! `einvoice organisation`: an organisation comes onto a chain that runs, rotates its keys and gives a mandate; and what no
//! node would take is told before it goes anywhere.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{DevNode, Run, run};

/// A node, and a directory for what is made beside it.
struct Town {
    node: DevNode,
    directory: tempfile::TempDir,
}

impl Town {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        Self { node: DevNode::start(&directory.path().join("node")), directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("its path is UTF-8").to_owned()
    }

    fn key(&self, organisation: &str) -> String {
        self.node.text(&format!("/keys/{organisation}/statement")).to_owned()
    }

    /// Runs `organisation …`, signed with a key.
    fn form(&self, key: &str, arguments: &[&str]) -> Run {
        let signing = ["--key", key, "--chain", self.node.text("/chain")];
        run(["organisation"].iter().chain(arguments).chain(&signing))
    }

    /// The same, submitted: what the node answers.
    fn submit(&self, key: &str, arguments: &[&str]) -> Run {
        let formed = self.form(key, arguments).ended(0);
        let path = self.directory.path().join("statement.jws");
        fs::write(&path, formed.stdout).expect("the directory can be written");
        self.node.submit(&path)
    }

    fn new_key(&self, organisation: &str, id: &str, purpose: &str) -> String {
        let path = self.path(&format!("{organisation}-{id}.json"));
        let options = ["--organisation", organisation, "--purpose", purpose, "--key-id", id, "--out", &path];
        run(["keys", "new"].iter().chain(&options)).ended(0);
        path
    }
}

fn outcome(answer: &Run) -> Value {
    answer.json()["outcomes"][0].clone()
}

#[test]
fn an_organisation_is_admitted_rotates_its_keys_and_gives_a_mandate() {
    let town = Town::start();
    let (bureau, chain) = (town.key("tax-bureau"), town.node.text("/chain").to_owned());
    let mall = town.path("mall");
    let who = ["--organisation", "mall", "--name", "Mall", "--taxpayer-id", "915000000000091", "--role", "enterprise"];
    run(["keys", "member", &mall, "--chain", &chain].iter().chain(&who)).ended(0);
    let admitted = outcome(&town.submit(&bureau, &["admit", &mall]).ended(0));
    assert_eq!(
        (admitted["code"].as_str(), admitted["subject"].as_str()),
        (Some("accepted"), Some("organisation:mall"))
    );
    // Its own keys are at work from the next block on: the next one comes.
    let first = Path::new(&mall).join("keys/statement-1.json").to_str().expect("its path is UTF-8").to_owned();
    let second = town.new_key("mall", "statement-2", "statement");
    let rotated = outcome(&town.submit(&first, &["rotate", "--add", &second, "--revoke", "statement-1"]).ended(0));
    assert_eq!(rotated["code"], "accepted");
    let given = town.submit(&second, &["mandate", "--to", "demo-isp", "--scope", "issue"]).ended(0);
    assert_eq!(outcome(&given)["subject"], "mandate:mall/demo-isp");
    let gone = town.submit(&first, &["mandate", "--to", "demo-isp", "--scope", "file"]).ended(3);
    assert!(gone.stderr.contains("statement.key-inactive"), "{}", gone.stderr);
    let ended = town.submit(&bureau, &["revoke", "--from", "mall", "--to", "demo-isp"]).ended(0);
    assert_eq!(outcome(&ended)["code"], "accepted");
    let renamed = town.submit(&bureau, &["rename", "mall", "--name", "Mall & Sons"]).ended(0);
    assert_eq!(outcome(&renamed)["code"], "accepted");
}

#[test]
fn a_stolen_statement_key_does_not_take_an_agency_over() {
    let town = Town::start();
    let (bureau, chain) = (town.key("tax-bureau"), town.node.text("/chain").to_owned());
    let own = town.new_key("tax-bureau", "statement-9", "statement");
    let refused = town.submit(&bureau, &["rotate", "--add", &own]).ended(3);
    assert!(refused.stderr.contains("key.not-approved"), "{}", refused.stderr);
    // Nor with a governance key that the thief made.
    let other = town.new_key("tax-bureau", "governance-9", "governance");
    let refused = town.submit(&bureau, &["rotate", "--add", &own, "--governance", &other]).ended(3);
    assert!(refused.stderr.contains("key.not-approved"), "{}", refused.stderr);
    let approved = ["organisation", "approve", "--governance", &other, "--add", &own, "--chain", &chain];
    let event = run(approved).ended(0).json();
    assert!(event["rotate"]["approval"].is_string());
}

#[test]
fn what_no_node_would_take_is_told_before_it_goes_anywhere() {
    let town = Town::start();
    let (bureau, shop) = (town.key("tax-bureau"), town.key("demo-shop"));
    let foreign = town.new_key("mall", "statement-2", "statement");
    let receipt = town.new_key("demo-shop", "receipt-1", "receipt");
    let lines = town.path("enterprises.jsonl");
    fs::write(&lines, "{\"id\":\"m\",\"name\":\"M\",\"taxpayer_id\":\"91440300708461136X\"}\n").expect("it is written");
    let many: Vec<String> = (0..17).flat_map(|number| ["--revoke".to_owned(), format!("k{number}")]).collect();
    let many: Vec<&str> = ["rotate"].into_iter().chain(many.iter().map(String::as_str)).collect();
    for (key, arguments, why) in [
        (&shop, &["rotate"][..], "found 0 and 0"),
        (&shop, &many, "found 0 and 17"),
        (&shop, &["rotate", "--add", &foreign], "holds a key of mall"),
        (&shop, &["rotate", "--add", &receipt], "it is a receipt key"),
        (&bureau, &["register", &lines], "has not the check character"),
        (&bureau, &["rename", "demo-shop", "--taxpayer-id", "91440300708461136X"], "has not the check character"),
    ] {
        let refused = town.form(key, arguments).ended(2);
        assert!(refused.stderr.contains(why), "{arguments:?}: {}", refused.stderr);
    }
    let said = ["rename", "demo-shop", "--taxpayer-id", "91440300708461136X", "--taxpayer-kind", "other", "--in-error"];
    town.form(&bureau, &said).ended(0);
}
