//! Four agencies as four processes on one machine, and what becomes of them when some are killed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Run, Talking, eventually, free_ports, issue, run};

/// Four nodes, and room for one more.
const PROCESSES: u16 = 5;

pub(crate) struct Consortium {
    pub(crate) directory: PathBuf,
    pub(crate) chain: String,
    http_port: u16,
    configurations: Vec<PathBuf>,
    pub(crate) nodes: Vec<Option<Talking>>,
}

impl Consortium {
    pub(crate) fn start(directory: &Path) -> Self {
        let ports = free_ports(15);
        let (http, peers) = (ports.to_string(), (ports + PROCESSES).to_string());
        let grpc = (ports + 2 * PROCESSES).to_string();
        let home = directory.join("consortium");
        let init = ["init", "--format", "json", "--local", "4", "--http-port", &http, "--peer-port", &peers];
        let init = init.into_iter().chain(["--grpc-port", &grpc]);
        let made = run(init.map(OsStr::new).chain([home.as_os_str()])).ended(0).json();
        let configurations = made["configurations"].as_array().expect("init lists them").iter();
        let configurations: Vec<PathBuf> =
            configurations.map(|path| path.as_str().expect("a path is text").into()).collect();
        assert_eq!(configurations.len(), 4);
        let chain = made["chain"].as_str().expect("init names it").to_owned();
        let mut consortium = Self { directory: home, chain, http_port: ports, configurations, nodes: Vec::new() };
        consortium.nodes = (0..4).map(|place| Some(consortium.process(place))).collect();
        consortium
    }

    fn process(&self, place: usize) -> Talking {
        let config = self.configurations[place].as_os_str();
        let arguments = ["start", "--set", "telemetry.filter=warn", "--config"].map(OsStr::new).into_iter();
        let mut node = Talking::start(arguments.chain([config]));
        node.until("the node serves at");
        node
    }

    /// Changes the configuration of a node that does not run.
    fn configure(&self, place: usize, change: impl FnOnce(&mut toml::Table)) {
        let path = &self.configurations[place];
        let mut table: toml::Table =
            std::fs::read_to_string(path).expect("init wrote it").parse().expect("init writes TOML");
        change(&mut table);
        std::fs::write(path, table.to_string()).expect("the directory can be written");
    }

    /// A second home with the keys of a node, and nothing of what the first has decided.
    fn twin_of(&mut self, place: usize) {
        let home = self.configurations[place].parent().expect("a file is in a directory");
        let twin = home.with_file_name("twin");
        std::fs::create_dir_all(twin.join("keys/hosted")).expect("the directory can be written");
        for folder in ["", "keys", "keys/hosted"] {
            for file in std::fs::read_dir(home.join(folder)).into_iter().flatten() {
                let path = file.expect("the directory can be read").path();
                if path.is_file() {
                    let name = path.file_name().expect("a file has a name");
                    std::fs::copy(&path, twin.join(folder).join(name)).expect("the file can be copied");
                }
            }
        }
        self.configurations.push(twin.join("node.toml"));
        self.nodes.push(None);
    }

    pub(crate) fn kill(&mut self, place: usize) {
        self.nodes[place].take().expect("it runs").kill();
    }

    pub(crate) fn run_again(&mut self, place: usize) {
        self.nodes[place] = Some(self.process(place));
    }

    pub(crate) fn url(&self, place: usize) -> String {
        format!("http://127.0.0.1:{}", usize::from(self.http_port) + place)
    }

    pub(crate) fn status(&self, place: usize) -> Value {
        run(["status", "--format", "json", "--url", &self.url(place)]).ended(0).json()
    }

    /// The address of a node's gRPC door.
    pub(crate) fn grpc_url(&self, place: usize) -> String {
        format!("http://127.0.0.1:{}", usize::from(self.http_port + 2 * PROCESSES) + place)
    }

    pub(crate) fn until_ready(&self, places: &[usize]) {
        for place in places {
            eventually("a node that is ready", || {
                let status = self.status(*place);
                if status["ready"] == json!(true) { Ok(()) } else { Err(status.to_string()) }
            });
        }
    }

    pub(crate) fn sign(&self, nonce: &str, event: &Value) -> PathBuf {
        let key = self.directory.join("keys/demo-shop/statement-1.json");
        let path = |end: &str| self.directory.join(format!("{nonce}.{end}"));
        std::fs::write(path("json"), event.to_string()).expect("the directory can be written");
        let arguments = ["sign", "--chain", &self.chain, "--nonce", nonce, "--key"].map(OsStr::new).into_iter();
        let signed = run(arguments.chain([key.as_os_str(), path("json").as_os_str()])).ended(0);
        std::fs::write(path("jws"), signed.stdout).expect("the directory can be written");
        path("jws")
    }

    pub(crate) fn submit(&self, place: usize, statement: &Path) -> Run {
        let url = self.url(place);
        let arguments = ["submit", "--format", "json", "--url", &url].map(OsStr::new).into_iter();
        run(arguments.chain([statement.as_os_str()]))
    }

    /// Issues at a node, and waits until these have it on their chains.
    fn issue(&self, name: &str, place: usize, seen_by: &[usize]) -> String {
        let statement = self.sign(name, &issue(name));
        let issued = self.submit(place, &statement).ended(0).json();
        assert_eq!(issued.pointer("/outcomes/0/code"), Some(&json!("accepted")), "{issued}");
        let id = issued["statement"].as_str().expect("it has an id").to_owned();
        let height = issued["height"].as_u64().expect("it has a height");
        self.reach(seen_by, height);
        id
    }

    fn reach(&self, places: &[usize], height: u64) {
        for place in places {
            eventually("a height", || {
                let found = self.status(*place)["height"].as_u64().expect("a status has a height");
                if found >= height { Ok(()) } else { Err(format!("height {found} of {height} at node {place}")) }
            });
        }
    }
}

#[test]
fn four_processes_agree_and_kill_9_of_one_of_two_and_of_all_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut consortium = Consortium::start(directory.path());
    let all = [0, 1, 2, 3];
    consortium.until_ready(&all);
    for place in all {
        consortium.issue(&format!("whole-{place}"), place, &all);
    }
    consortium.kill(3);
    consortium.issue("one-is-gone", 1, &[0, 1, 2]);
    consortium.kill(2);
    let why = eventually("a node that says what is missing", || {
        let status = consortium.status(0);
        let why = status.pointer("/consensus/why").and_then(Value::as_str).map(str::to_owned);
        why.filter(|_| status["health"] == json!("no-quorum")).ok_or_else(|| status.to_string())
    });
    assert!(why.contains("customs") && why.contains("central-bank") && why.contains("2 of 4"), "{why}");
    run(["status", "--ready", "--url", &consortium.url(0)]).ended(4);
    consortium.run_again(2);
    consortium.until_ready(&[0, 1, 2]);
    let last = consortium.issue("one-is-back", 0, &[0, 1, 2]);
    for place in [0, 1, 2] {
        consortium.kill(place);
    }
    for place in all {
        consortium.run_again(place);
    }
    consortium.until_ready(&all);
    consortium.issue("all-are-back", 3, &all);
    for place in all {
        let tip = consortium.status(place)["height"].as_u64().unwrap();
        assert!(tip >= 7, "{tip}");
        let path = format!("{}/v1/statements/{last}", consortium.url(place));
        let known = ureq::get(path).config().http_status_as_error(false).build().call().unwrap();
        assert_ne!(known.status().as_u16(), 404, "node {place} does not know what was acknowledged");
    }
    for place in all {
        let node = consortium.nodes[place].take().unwrap();
        assert_eq!(node.stop().code(), Some(0));
        let data = consortium.configurations[place].with_file_name("data");
        let archive = directory.path().join(format!("archive-{place}"));
        let export = ["export", "--data"].map(OsStr::new).into_iter();
        run(export.chain([data.parent().unwrap().as_os_str(), OsStr::new("--out"), archive.as_os_str()])).ended(0);
        let genesis = consortium.directory.join("genesis.json");
        let verify = ["verify", "--level", "replay", "--genesis"].map(OsStr::new).into_iter();
        run(verify.chain([genesis.as_os_str(), archive.as_os_str()])).ended(0);
    }
}

/// Leaves those of the nodes it knows that stand on these ports, and sets its own ports.
fn among(table: &mut toml::Table, own: Option<(u16, u16)>, known: &[u16]) {
    let peers = table["peers"].as_table_mut().expect("init writes peers");
    peers["nodes"].as_array_mut().expect("init writes nodes").retain(|peer| {
        let address = peer["address"].as_str().expect("a node has an address");
        known.iter().any(|port| address.ends_with(&format!(":{port}")))
    });
    if let Some((http, listen)) = own {
        peers.insert("listen".to_owned(), format!("127.0.0.1:{listen}").into());
        let door = table["http"].as_table_mut().expect("init writes the door");
        door.insert("listen".to_owned(), format!("127.0.0.1:{http}").into());
        table.remove("grpc");
    }
}

#[test]
fn two_processes_with_the_keys_of_one_agency_are_found_out_and_stand_on_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let mut consortium = Consortium::start(directory.path());
    consortium.until_ready(&[0, 1, 2, 3]);
    for place in 0..4 {
        consortium.kill(place);
    }
    // The central bank runs twice: the tax bureau and the police know one process, the customs the other.
    consortium.twin_of(3);
    let http = consortium.http_port;
    let peer = |place: u16| http + PROCESSES + place;
    consortium.configure(2, |table| {
        let twin = format!("127.0.0.1:{}", peer(4)).into();
        let nodes = table["peers"]["nodes"].as_array_mut().unwrap();
        let bank = nodes.iter_mut().find(|node| node["address"].as_str().unwrap().ends_with(&peer(3).to_string()));
        bank.unwrap().as_table_mut().unwrap().insert("address".to_owned(), twin);
    });
    consortium.configure(3, |table| among(table, None, &[peer(0), peer(1)]));
    consortium.configure(4, |table| among(table, Some((http + 4, peer(4))), &[peer(2)]));
    for place in 0..5 {
        let beats = [("heartbeat-ms", 500), ("checkpoint-heartbeat-ms", 500)];
        let blocks: toml::Table = beats.into_iter().map(|(key, ms)| (key.to_owned(), ms.into())).collect();
        consortium.configure(place, |table| drop(table.insert("blocks".to_owned(), blocks.into())));
        consortium.run_again(place);
    }
    for place in [0, 1, 2] {
        eventually("evidence", || {
            let evidence = consortium.status(place)["evidence"].clone();
            let newest = evidence.pointer("/newest/0/validator");
            if newest == Some(&json!("central-bank")) { Ok(()) } else { Err(evidence.to_string()) }
        });
    }
    let text = run(["status", "--url", &consortium.url(0)]).ended(0).stdout;
    assert!(text.contains("evidence.newest.0.validator: central-bank"), "{text}");
    consortium.kill(4);
    assert_eq!(consortium.nodes[0].take().unwrap().stop().code(), Some(0));
    let archive = directory.path().join("archive");
    let export = ["export", "--data"].map(OsStr::new).into_iter();
    run(export.chain([consortium.directory.as_os_str(), OsStr::new("--out"), archive.as_os_str()])).ended(0);
    let genesis = consortium.directory.join("genesis.json");
    let verify = ["verify", "--level", "replay", "--genesis"].map(OsStr::new).into_iter();
    run(verify.chain([genesis.as_os_str(), archive.as_os_str()])).ended(0);
}
