//! Four agencies found a chain, each with its own keys in its own directory; and every way in which that must not work.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use chain::encoding::{decode_base64url, decode_base64url_array};
use chain::introduction::SignedIntroduction;
use chain::jws::KeyReference;
use chain::key::SecretKey;
use ledger::introduction::Introduction;
use ledger::organisation::Purpose;
use serde_json::{Value, json};

use crate::support::{Run, Talking, eventually, free_ports, issue, run};

/// The agencies with their taxpayer ids, sorted as a genesis has them.
const AGENCIES: [(&str, &str); 4] = [
    ("central-bank", "11440300K317180452"),
    ("customs", "11440300K317180377"),
    ("police", "11440300K31718029C"),
    ("tax-bureau", "11440300K31718010F"),
];

/// A directory in which every agency has one of its own.
struct Town {
    directory: tempfile::TempDir,
}

impl Town {
    /// The agencies, with their keys.
    fn new() -> Self {
        let town = Self { directory: tempfile::tempdir().expect("there is a place for files") };
        for (agency, taxpayer) in AGENCIES {
            town.run(&keys_agency(agency, agency, taxpayer)).ended(0);
        }
        town
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the binary; a word with a leading `@` is a path below the directory.
    fn run(&self, words: &str) -> Run {
        run(words.split_whitespace().map(|word| match word.split_once('@') {
            Some(("", name)) => self.path(name).into_os_string(),
            _ => word.into(),
        }))
    }

    fn json(&self, words: &str) -> Value {
        self.run(&format!("{words} --format json")).ended(0).json()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file is there")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("the directory can be written");
    }

    /// Assembles the introductions of all agencies.
    fn assemble(&self, out: &str) {
        self.run(&format!("{} {}", assemble(out), introductions())).ended(0);
    }

    /// All agencies sign copies of their own, which are merged.
    fn found(&self) {
        self.assemble("genesis.json");
        for (agency, _) in AGENCIES {
            self.run(&sign("genesis.json", agency, &format!("{agency}/genesis.json"))).ended(0);
        }
        let copies = AGENCIES.map(|(agency, _)| format!("@{agency}/genesis.json")).join(" ");
        self.run(&format!("genesis merge {copies} --out @genesis.json")).ended(0);
    }

    /// The secret of a key file.
    fn secret(&self, file: &str) -> SecretKey {
        let file: Value = serde_json::from_slice(&self.bytes(file)).expect("a key file is JSON");
        let seed = file["seed"].as_str().expect("it has a seed");
        SecretKey::from_seed(decode_base64url_array(seed).expect("a seed is base64url"))
    }

    /// Rewrites an introduction, signed again with these keys of the agency's directory, or with others.
    fn forge(&self, agency: &str, change: impl FnOnce(&mut Introduction), secrets: &[(&str, &str)]) {
        let file = format!("{agency}/agency.json");
        let signed = SignedIntroduction::parse(&self.bytes(&file)).expect("it was honest");
        let mut introduction = Introduction::open(&signed).expect("it was honest");
        change(&mut introduction);
        let reference = |key: &str| format!("{agency}/{key}").parse::<KeyReference>().expect("a reference");
        let secrets: BTreeMap<_, _> = secrets.iter().map(|(key, file)| (reference(key), self.secret(file))).collect();
        let payload = serde_json::to_vec(&introduction).expect("it is JSON");
        let signed = SignedIntroduction::sign(payload, &secrets.iter().map(|(by, key)| (by.clone(), key)).collect());
        self.write(&file, signed.to_bytes());
    }
}

fn keys_agency(directory: &str, agency: &str, taxpayer: &str) -> String {
    format!("keys agency @{directory} --organisation {agency} --name {agency} --taxpayer-id {taxpayer}")
}

fn assemble(out: &str) -> String {
    format!("genesis assemble --chain test-chain --tax-bureau tax-bureau --out @{out}")
}

fn introductions() -> String {
    AGENCIES.map(|(agency, _)| format!("@{agency}/agency.json")).join(" ")
}

fn sign(file: &str, agency: &str, out: &str) -> String {
    format!("genesis sign @{file} --agency @{agency} --out @{out}")
}

/// The names in a list of a view.
fn names(view: &Value, list: &str) -> Vec<String> {
    let names = view[list].as_array().expect("a view has this list").iter();
    names.map(|name| name.as_str().expect("a name is text").to_owned()).collect()
}

/// Four nodes, each in a process of its own.
struct Nodes {
    http: u16,
    running: Vec<Talking>,
}

impl Nodes {
    /// Makes the node of every agency, and starts it.
    fn start(town: &Town) -> Self {
        let http = free_ports(8);
        let place = |first: u16, place: u16| format!("127.0.0.1:{}", first + place);
        let peers: Vec<String> = (0..)
            .zip(AGENCIES)
            .map(|(number, (agency, _))| format!("--peer {agency}={}", place(http + 4, number)))
            .collect();
        let peers = peers.join(" ");
        let mut running = Vec::new();
        for (number, (agency, _)) in (0..).zip(AGENCIES) {
            let (listen, peer) = (place(http, number), place(http + 4, number));
            let init = format!("init @{agency} --genesis @genesis.json --listen {listen} --peer-listen {peer} {peers}");
            let made = town.json(&init);
            assert_eq!(made["waits_for"], json!([]), "it calls everybody");
            town.run(&init).ended(2);
            let config = town.path(agency).join("node.toml");
            let arguments = ["start", "--set", "telemetry.filter=warn", "--config"].map(Into::into);
            let mut node = Talking::start(arguments.into_iter().chain([config.into_os_string()]));
            node.until("the node serves at");
            running.push(node);
        }
        Self { http, running }
    }

    fn url(&self, place: u16) -> String {
        format!("http://127.0.0.1:{}", self.http + place)
    }

    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        for place in 0..4 {
            eventually(what, || {
                let status = run(["status", "--format", "json", "--url", &self.url(place)]).ended(0).json();
                if holds(&status) { Ok(()) } else { Err(status.to_string()) }
            });
        }
    }
}

#[test]
fn four_agencies_found_a_chain_each_with_its_own_keys() {
    let town = Town::new();
    let shop = "--name 深圳市示例综合服务有限公司 --taxpayer-id 91440300MA5DEM012D --role enterprise";
    town.run(&format!("keys member @demo-shop --organisation demo-shop {shop}")).ended(0);
    let assembled = town.json(&format!("{} {} @demo-shop/member.json", assemble("genesis.json"), introductions()));
    assert_eq!(names(&assembled["genesis"], "missing"), AGENCIES.map(|(agency, _)| agency));
    let turned = AGENCIES.iter().rev().map(|(agency, _)| format!("@{agency}/agency.json")).collect::<Vec<_>>();
    town.run(&format!("{} @demo-shop/member.json {}", assemble("again.json"), turned.join(" "))).ended(0);
    assert_eq!(town.bytes("genesis.json"), town.bytes("again.json"), "whoever assembles it, in whatever order");
    town.run(&format!("{} {}", assemble("again.json"), introductions())).ended(2);
    for (agency, _) in AGENCIES {
        town.run(&sign("again.json", agency, &format!("{agency}/genesis.json"))).ended(0);
    }
    // In another order than the genesis has; the one without signatures is replaced.
    let copies = "@police/genesis.json @tax-bureau/genesis.json @customs/genesis.json @central-bank/genesis.json";
    let merged = town.json(&format!("genesis merge {copies} --out @genesis.json"));
    assert_eq!((&merged["complete"], names(&merged, "missing")), (&json!(true), Vec::new()));

    let nodes = Nodes::start(&town);
    nodes.until("a node that is ready", |status| status["ready"] == json!(true));
    let chain = merged["chain"].as_str().unwrap();
    town.write("issue.json", issue("CEREMONY-1").to_string());
    let signed = format!("sign --key @demo-shop/keys/statement-1.json --chain {chain} @issue.json");
    town.write("issue.jws", town.run(&signed).ended(0).stdout);
    let issued = town.json(&format!("submit --url {} @issue.jws", nodes.url(1)));
    assert_eq!(issued.pointer("/outcomes/0/code"), Some(&json!("accepted")), "{issued}");
    let height = issued["height"].as_u64().unwrap();
    nodes.until("the block", |status| status["height"].as_u64().is_some_and(|found| found >= height));
    for node in nodes.running {
        assert_eq!(node.stop().code(), Some(0));
    }
    town.run("export --data @customs --out @archive").ended(0);
    town.run("verify @archive --genesis @genesis.json").ended(0);
    let unsigned = town.run("verify @archive --genesis @again.json").ended(20);
    assert!(unsigned.stdout.contains("genesis.missing-signature"), "{}", unsigned.stdout);
}

#[test]
fn a_node_without_a_vote_is_founded_with_keys_of_its_own_and_opens_doors_with_tls() {
    let town = Town::new();
    let who = |id: &str, taxpayer: &str, more: &str| {
        format!("keys member @{id} --organisation {id} --name {id} --taxpayer-id {taxpayer} {more}")
    };
    town.run(&who("auditor", "91440300MA5DEM0208", "--role auditor --observer")).ended(0);
    town.run(&who("shop", "91440300MA5DEM012D", "--role enterprise")).ended(0);
    assert!(!town.path("auditor/keys/consensus-1.json").exists(), "it has no vote");
    let members = "@auditor/member.json @shop/member.json";
    town.run(&format!("{} {} {members}", assemble("genesis.json"), introductions())).ended(0);
    for (agency, _) in AGENCIES {
        town.run(&format!("genesis sign @genesis.json --agency @{agency}")).ended(0);
    }
    let refused = town.run("genesis sign @genesis.json --agency @auditor --key @auditor/keys/login-1.json").ended(2);
    assert!(refused.stderr.contains("it is a login key"), "{}", refused.stderr);

    let nodes = Nodes::start(&town);
    let first = free_ports(2);
    let peers: Vec<_> = (0..)
        .zip(AGENCIES)
        .map(|(place, (agency, _))| format!("--peer {agency}=127.0.0.1:{}", nodes.http + 4 + place))
        .collect();
    let peers = peers.join(" ");
    let doors = format!("--listen 0.0.0.0:{first} --grpc-listen 0.0.0.0:{}", first + 1);
    let init = |directory: &str, more: &str| format!("init @{directory} --genesis @genesis.json {more}");
    let tls = "--tls-certificate @auditor/tls/certificate.pem --tls-key @auditor/tls/key.pem";
    town.run("keys certificate @auditor/tls --name localhost --name 127.0.0.1").ended(0);
    town.run("keys certificate @other --name localhost").ended(0);
    for (words, expected) in [
        (init("shop", &peers), "shop introduced no keys of a node: `keys member --observer` makes them"),
        (init("auditor", ""), "name those that it calls with --peer"),
        (init("auditor", &format!("{peers} {doors}")), "is not loopback, which needs tls-certificate and tls-key"),
        (init("auditor", &format!("{peers} {}", tls.replace("@auditor/tls/key", "@other/key"))), "cannot be used"),
        (init("auditor", &format!("{peers} {}", tls.replace("key.pem", "certificate.pem"))), "others may read it"),
    ] {
        let refused = town.run(&words).ended(2);
        assert!(refused.stderr.contains(expected), "{words}: {}", refused.stderr);
        assert!(!town.path("auditor/node.toml").exists(), "{words}");
    }
    let made = town.json(&init("auditor", &format!("{peers} {doors} {tls}")));
    assert_eq!((&made["votes"], names(&made, "waits_for"), names(&made, "calls").len()), (&json!(false), vec![], 4));
    let file = String::from_utf8(town.bytes("auditor/node.toml")).unwrap();
    let named = "tls-certificate = \"tls/certificate.pem\"\ntls-key = \"tls/key.pem\"\n";
    assert_eq!(file.matches(named).count(), 2, "both doors, and it can be moved: {file}");

    let config = town.path("auditor/node.toml").into_os_string();
    let arguments = ["start", "--set", "telemetry.filter=warn", "--config"].map(Into::into);
    let mut observer = Talking::start(arguments.into_iter().chain([config]));
    observer.until("the node serves at");
    let url = format!("https://localhost:{first}");
    eventually("an observer that is ready", || {
        let ready = town.run(&format!("status --ready --url {url} --ca @auditor/tls/certificate.pem"));
        if ready.code == 0 { Ok(()) } else { Err(format!("{}{}", ready.stdout, ready.stderr)) }
    });
    let status = town.json(&format!("status --url {url} --ca @auditor/tls/certificate.pem"));
    assert_eq!(status.pointer("/consensus/votes"), Some(&json!(false)), "{status}");
    assert_eq!(observer.stop().code(), Some(0));
    drop(nodes);
}

#[test]
fn an_agency_chooses_another_certificate_for_its_grpc_door() {
    let town = Town::new();
    town.found();
    town.run("keys certificate @police/tls --name localhost").ended(0);
    town.run("keys certificate @far --name localhost").ended(0);
    let grpc = "--grpc-tls-certificate @far/certificate.pem --grpc-tls-key @far/key.pem";
    town.run(&format!("init @police --genesis @genesis.json {grpc}")).ended(2);
    town.run("init @police --genesis @genesis.json --tls-certificate @police/tls/certificate.pem").ended(2);
    town.run("init @police --tls-certificate @police/tls/certificate.pem --tls-key @police/tls/key.pem").ended(2);
    let tls = "--tls-certificate @police/tls/certificate.pem --tls-key @police/tls/key.pem";
    town.run(&format!("init @police --genesis @genesis.json {tls} --grpc-listen 127.0.0.1:9443 {grpc}")).ended(0);
    let file: toml::Table = String::from_utf8(town.bytes("police/node.toml")).unwrap().parse().unwrap();
    assert_eq!(file["http"]["tls-key"].as_str(), Some("tls/key.pem"));
    let far = town.path("far/key.pem").canonicalize().unwrap();
    assert_eq!(file["grpc"]["tls-key"].as_str(), far.to_str(), "it stays where it is");
    town.run("config check --config @police/node.toml").ended(0);
}

#[test]
fn what_an_agency_hands_out_holds_no_secret_and_its_keys_are_its_own() {
    let town = Town::new();
    let handed_out = String::from_utf8(town.bytes("police/agency.json")).unwrap();
    let file: Value = serde_json::from_str(&handed_out).unwrap();
    let payload = String::from_utf8(decode_base64url(file["payload"].as_str().unwrap()).unwrap()).unwrap();
    for purpose in ["consensus", "governance", "login", "peer", "receipt", "statement"] {
        let path = format!("police/keys/{purpose}-1.json");
        assert_eq!(fs::metadata(town.path(&path)).unwrap().permissions().mode() & 0o777, 0o600, "{purpose}");
        let key: Value = serde_json::from_slice(&town.bytes(&path)).unwrap();
        let seed = key["seed"].as_str().unwrap();
        assert!(!handed_out.contains(seed) && !payload.contains(seed), "{purpose}");
        assert!(payload.contains(key["public"].as_str().unwrap()), "{purpose}");
    }
    let before = town.bytes("police/keys/consensus-1.json");
    town.run(&keys_agency("police", "police", AGENCIES[2].1)).ended(2);
    fs::remove_file(town.path("police/agency.json")).unwrap();
    town.run(&keys_agency("police", "police", AGENCIES[2].1)).ended(2);
    assert_eq!(town.bytes("police/keys/consensus-1.json"), before, "keys are never overwritten");
    assert!(!town.path("police/agency.json").exists());
}

#[test]
fn a_node_starts_only_on_a_genesis_that_all_have_signed() {
    let town = Town::new();
    town.assemble("genesis.json");
    for agency in ["police", "tax-bureau"] {
        town.run(&format!("genesis sign @genesis.json --agency @{agency}")).ended(0);
    }
    let view = town.json("genesis show @genesis.json");
    assert_eq!(names(&view, "signed"), ["police", "tax-bureau"]);
    assert_eq!(names(&view, "missing"), ["central-bank", "customs"]);
    let refused = town.run("init @police --genesis @genesis.json").ended(2);
    let missing = "the countersignature of central-bank, customs is missing";
    assert!(refused.stderr.contains(missing), "{}", refused.stderr);
    assert!(!town.path("police/node.toml").exists() && !town.path("police/genesis.json").exists());
    town.write("police/node.toml", "[node]\ngenesis = \"../genesis.json\"\n");
    let refused = town.run("start --config @police/node.toml --listen 127.0.0.1:0").ended(2);
    assert!(refused.stderr.contains(missing), "{}", refused.stderr);
    assert!(!town.path("police/data").exists(), "nothing was begun");
    town.write("receipt.json", "{}");
    let refused = town.run("receipt verify @receipt.json --genesis @genesis.json").ended(20);
    assert!(refused.stdout.contains(missing), "{}", refused.stdout);
}

#[test]
fn an_agency_signs_only_what_it_introduced() {
    let town = Town::new();
    let taxpayer = AGENCIES[2].1;
    town.run(&keys_agency("mallory", "police", taxpayer)).ended(0);
    town.run(&format!("{} --power 2", keys_agency("strong", "police", taxpayer))).ended(0);
    for (instead, expected) in [("mallory", "consensus key: introduced "), ("strong", "power: introduced 1, found 2")] {
        let genesis = format!("{instead}.json");
        let files = introductions().replace("@police", &format!("@{instead}"));
        town.run(&format!("{} {files}", assemble(&genesis))).ended(0);
        let before = town.bytes(&genesis);
        let refused = town.run(&format!("genesis sign @{genesis} --agency @police")).ended(2);
        assert!(refused.stderr.contains("what police introduced"), "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
        assert_eq!(town.bytes(&genesis), before);
    }
    // What a name may not do is look like something that we say.
    let member = json!({ "id": "odd", "name": "Odd\nsigned by    police", "taxpayer_id": "915000000000031",
        "taxpayer_kind": "other", "roles": ["enterprise"], "keys": [] });
    town.write("members.json", json!({ "organisations": [member] }).to_string());
    let odd = town.run(&format!("{} --members @members.json {}", assemble("odd.json"), introductions())).ended(0);
    assert!(odd.stdout.contains(r"odd: Odd\nsigned by    police, 9150"), "{}", odd.stdout);
    let without = introductions().replace("@police/agency.json", "");
    town.run(&format!("{} {without}", assemble("without.json"))).ended(0);
    let refused = town.run("genesis sign @without.json --agency @police").ended(2);
    assert!(refused.stderr.contains("organisation: introduced police, found nothing"), "{}", refused.stderr);
}

#[test]
fn a_signature_by_a_wrong_key_is_refused_everywhere() {
    let town = Town::new();
    town.assemble("genesis.json");
    let refused =
        town.run("genesis sign @genesis.json --agency @customs --key @police/keys/governance-1.json").ended(2);
    assert!(refused.stderr.contains("holds police/governance-1"), "{}", refused.stderr);
    let refused = town.run("genesis sign @genesis.json --agency @customs --key @customs/keys/login-1.json").ended(2);
    assert!(refused.stderr.contains("it is a login key"), "{}", refused.stderr);
    assert!(names(&town.json("genesis show @genesis.json"), "signed").is_empty());
    fs::remove_file(town.path("genesis.json")).unwrap();
    town.found();
    // The signature of customs (the second) in the place of the police's (the third).
    let mut file: Value = serde_json::from_slice(&town.bytes("genesis.json")).unwrap();
    file["signatures"][2]["signature"] = file["signatures"][1]["signature"].clone();
    let member = |signature: &Value| {
        format!("{{\"protected\":{},\"signature\":{}}}", signature["protected"], signature["signature"])
    };
    let signatures: Vec<String> = file["signatures"].as_array().unwrap().iter().map(member).collect();
    town.write(
        "forged.json",
        format!("{{\"payload\":{},\"signatures\":[{}]}}\n", file["payload"], signatures.join(",")),
    );
    let view = town.json("genesis show @forged.json");
    assert_eq!((names(&view, "wrong"), &view["complete"]), (vec!["police".to_owned()], &json!(false)));
    let wrong = "the countersignature of police does not verify";
    for words in [
        "init @police --genesis @forged.json",
        "genesis sign @forged.json --agency @customs",
        "genesis merge @genesis.json @forged.json --out @merged.json",
    ] {
        let refused = town.run(words).ended(2);
        assert!(refused.stderr.contains(wrong), "{words}: {}", refused.stderr);
    }
    town.write("police/node.toml", "[node]\ngenesis = \"../forged.json\"\n");
    let refused = town.run("start --config @police/node.toml --listen 127.0.0.1:0").ended(2);
    assert!(refused.stderr.contains(wrong), "{}", refused.stderr);
}

#[test]
fn a_file_changed_by_one_byte_is_refused() {
    let town = Town::new();
    town.found();
    let good = town.bytes("genesis.json");
    // The last byte, a newline, is the one that does not count.
    for place in (0..good.len() - 1).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        town.write("bad.json", bad);
        town.run("init @police --genesis @bad.json").ended(2);
    }
    let good = town.bytes("police/agency.json");
    for place in (0..good.len() - 1).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        town.write("police/agency.json", bad);
        town.run(&format!("{} {}", assemble("other.json"), introductions())).ended(2);
    }
    town.write("police/agency.json", good);
    town.assemble("other.json");
    assert_eq!(town.json("genesis show @other.json")["genesis"], town.json("genesis show @genesis.json")["genesis"]);
}

#[test]
fn a_key_has_one_owner_who_has_shown_that_it_is_his() {
    let town = Town::new();
    let own = ["consensus-1", "governance-1", "login-1", "peer-1", "receipt-1", "statement-1"];
    let files = own.map(|key| format!("customs/keys/{key}.json"));
    let mut secrets: Vec<(&str, &str)> = own.iter().copied().zip(files.iter().map(String::as_str)).collect();
    let theirs = town.secret("police/keys/peer-1.json").public();
    let take = |introduction: &mut Introduction| {
        let keys = &mut introduction.organisation.keys;
        let peer = keys.iter_mut().find(|key| key.purposes.contains(&Purpose::Peer));
        peer.unwrap().public = theirs.into();
    };
    let honest = town.bytes("customs/agency.json");
    town.forge("customs", take, &secrets);
    let stolen = town.run(&format!("{} {}", assemble("genesis.json"), introductions())).ended(2);
    assert!(stolen.stderr.contains("the signature of customs/peer-1 does not verify"), "{}", stolen.stderr);
    // With the police's help it gets further.
    secrets[3].1 = "police/keys/peer-1.json";
    town.write("customs/agency.json", &honest);
    town.forge("customs", take, &secrets);
    let shared = town.run(&format!("{} {}", assemble("genesis.json"), introductions())).ended(2);
    let expected = format!("public key {theirs} (customs/peer-1, police/peer-1) stands twice");
    assert!(shared.stderr.contains(&expected), "{}", shared.stderr);
    town.write("customs/agency.json", &honest);
    let twice = town.run(&format!("{} {} @police/agency.json", assemble("genesis.json"), introductions())).ended(2);
    assert!(twice.stderr.contains("organisation police stands twice"), "{}", twice.stderr);
    let bureau = assemble("genesis.json").replace("--tax-bureau tax-bureau", "--tax-bureau mint");
    town.run(&format!("{bureau} {}", introductions())).ended(2);
    assert!(!town.path("genesis.json").exists());
}

#[test]
fn copies_of_different_genesis_are_not_merged_and_the_difference_is_named() {
    let town = Town::new();
    town.found();
    let merge = |other: &str| town.run(&format!("genesis merge @genesis.json @{other} --out @merged.json")).ended(2);
    let renamed = assemble("renamed.json").replace("test-chain", "other-chain");
    town.run(&format!("{renamed} {}", introductions())).ended(0);
    let refused = merge("renamed.json").stderr;
    assert!(refused.contains("/name: expected \"test-chain\", found \"other-chain\""), "{refused}");
    town.write("parameters.json", r#"{"lease":{"term_seconds_max":1000}}"#);
    let strict = format!("{} --parameters @parameters.json {}", assemble("strict.json"), introductions());
    let view = town.json(&strict);
    assert_eq!(view.pointer("/genesis/parameters/lease/term_seconds_max"), Some(&json!(1000)));
    let refused = merge("strict.json").stderr;
    assert!(refused.contains("/ledger/parameters/lease/term_seconds_max: expected 2592000, found 1000"), "{refused}");
    assert!(!town.path("merged.json").exists());
    // Nothing else is ever overwritten: not by a copy of another genesis, and not what is none at all.
    let before = town.bytes("renamed.json");
    town.run("genesis merge @genesis.json --out @renamed.json").ended(2);
    assert_eq!(town.bytes("renamed.json"), before);
    town.run("genesis merge @genesis.json --out @police/agency.json").ended(2);
    for bad in [r#"{"leese":{}}"#, r#"{"lease":{"term_seconds_max":0}}"#, r#"{"tax_bureau":"police"}"#] {
        town.write("parameters.json", bad);
        town.run(&strict.replace("strict.json", "bad.json")).ended(2);
    }
    let late = format!("{} --time 2999-01-01T00:00:00Z {}", assemble("late.json"), introductions());
    assert!(town.run(&late).ended(2).stderr.contains("ahead of this machine's clock"));
}

#[test]
fn a_node_is_made_of_keys_that_the_genesis_lists() {
    let town = Town::new();
    town.found();
    let init = |agency: &str, more: &str| town.run(&format!("init @{agency} --genesis @genesis.json {more}")).ended(2);
    assert!(init("police", "--peer mint=host:1").stderr.contains("mint, which is not in this genesis"));
    assert!(init("police", "--peer customs").stderr.contains("expected ID=HOST:PORT"));
    let twice = init("police", "--peer customs=a:1 --peer customs=b:2");
    assert!(twice.stderr.contains("--peer names customs twice"), "{}", twice.stderr);
    assert!(init("nobody", "").stderr.contains("agency.json"));
    assert!(init("police", "--listen 0.0.0.0:80").stderr.contains("not loopback"));
    let (own, other) = (town.path("police/keys/peer-1.json"), town.path("customs/keys/peer-1.json"));
    fs::rename(&own, town.path("kept")).unwrap();
    fs::copy(other, &own).unwrap();
    assert!(init("police", "").stderr.contains("is no key that police introduced"));
    assert!(!town.path("police/node.toml").exists());
    fs::rename(town.path("kept"), &own).unwrap();
    let made = town.json("init @police --genesis @genesis.json --peer customs=host:1 --peer police=host:2");
    assert_eq!((&made["calls"], &made["waits_for"]), (&json!(["customs"]), &json!(["central-bank", "tax-bureau"])));
    // Where the copy with the own signature alone stood, there is the one that all have signed.
    assert_eq!(town.bytes("police/genesis.json"), town.bytes("genesis.json"));
    let config = town.json("config show --config @police/node.toml");
    assert_eq!(config.pointer("/node/id"), Some(&json!("police-1")));
    assert_eq!(config.pointer("/peers/nodes/0/address"), Some(&json!("host:1")));
}
