//! What the tests of the binary share: running it, a node in a process of its own, and waiting without sleeping.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub(crate) const EINVOICE: &str = env!("CARGO_BIN_EXE_einvoice");

/// What a run of the binary left behind.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its exit code.
    pub(crate) code: i32,
    /// Its data.
    pub(crate) stdout: String,
    /// Its talk.
    pub(crate) stderr: String,
}

impl Run {
    /// The same, which must have ended so.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The data as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs the binary to its end.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    let mut command = Command::new(EINVOICE);
    command.args(arguments).env_remove("EINVOICE_CONFIG").env_remove("EINVOICE_URL").stdin(Stdio::null());
    let output = command.output().expect("the binary under test can be run");
    Run {
        code: output.status.code().expect("the binary ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("data is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("talk is UTF-8"),
    }
}

/// A process that talks while it runs.
pub(crate) struct Talking {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Talking {
    /// Starts one.
    pub(crate) fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(EINVOICE);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary under test can be run");
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        Self { child, lines }
    }

    /// Waits until it says something, and gives that line.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut talk = Vec::new();
        for line in self.lines.by_ref().map_while(Result::ok) {
            if line.contains(text) {
                return line;
            }
            talk.push(line);
        }
        panic!("it ended without saying {text:?}:\n{}", talk.join("\n"));
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, &self.child);
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        signal("TERM", &self.child);
        // Whoever does not listen would stop it before its time.
        self.lines.by_ref().for_each(drop);
        self.child.wait().expect("a child can be waited for")
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A `dev` node in a process of its own.
pub(crate) struct DevNode {
    node: Talking,
    /// What its ready file says.
    pub(crate) ready: Value,
}

impl DevNode {
    /// Starts one on a directory, and waits until it serves.
    pub(crate) fn start(data: &Path) -> Self {
        let ready = data.with_extension("ready.json");
        let arguments = ["dev", "--validators", "1", "--listen", "127.0.0.1:0", "--data"].map(OsStr::new).into_iter();
        // Warnings alone, so that nobody has to read along while the test goes on.
        let arguments = arguments.chain([data.as_os_str(), OsStr::new("--ready-file"), ready.as_os_str()]);
        let mut node = Talking::start(arguments.chain([OsStr::new("--log"), OsStr::new("warn")]));
        node.until("the consortium serves at");
        let bytes = std::fs::read(&ready).expect("the ready file is there before it is announced");
        let ready = serde_json::from_slice(&bytes).expect("the ready file is JSON");
        Self { node, ready }
    }

    /// A text of the ready file.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("the ready file has {pointer}"))
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        self.text("/url")
    }

    /// Gets a path, as an organisation or as nobody.
    pub(crate) fn get(&self, path: &str, organisation: Option<&str>) -> (u16, Vec<u8>) {
        let mut request = ureq::get(format!("{}{path}", self.url())).config().http_status_as_error(false).build();
        if let Some(organisation) = organisation {
            let token = self.text(&format!("/tokens/{organisation}"));
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().expect("the node answers");
        let bytes = response.body_mut().read_to_vec().expect("the answer can be read");
        (response.status().as_u16(), bytes)
    }

    /// Signs events with an organisation's own key, under a nonce; gives the statement's file.
    pub(crate) fn sign(&self, organisation: &str, nonce: &str, events: &Value, directory: &Path) -> PathBuf {
        let (events_path, jws_path) = (directory.join(format!("{nonce}.json")), directory.join(format!("{nonce}.jws")));
        std::fs::write(&events_path, events.to_string()).expect("the directory can be written");
        let key = self.text(&format!("/keys/{organisation}/statement"));
        let signed = run(["sign", "--key", key, "--chain", self.text("/chain"), "--nonce", nonce, "--mode", "each"]
            .map(OsStr::new)
            .into_iter()
            .chain([events_path.as_os_str()]))
        .ended(0);
        std::fs::write(&jws_path, signed.stdout).expect("the directory can be written");
        jws_path
    }

    /// Submits a statement.
    pub(crate) fn submit(&self, statement: &Path) -> Run {
        run(["submit", "--format", "json", "--url", self.url()]
            .map(OsStr::new)
            .into_iter()
            .chain([statement.as_os_str()]))
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) -> ExitStatus {
        self.node.stop()
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(self) {
        self.node.kill();
    }
}

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, ask: impl Fn() -> Result<T, String>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(found) => assert!(Instant::now() < until, "waited in vain for {what}; the last answer was {found}"),
        }
        // Another process has nothing to wake us by.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How far on the next test looks for ports: tests ask at the same time, before any node has taken one.
static TAKEN: AtomicU16 = AtomicU16::new(0);

/// So many ports in a row that nobody has, below those that the system gives to whoever asks for any.
pub(crate) fn free_ports(count: u16) -> u16 {
    let free = |first: u16| (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let first = 10_000 + u16::try_from(std::process::id() % 15_000).expect("it is below 15,000");
    let first = first + TAKEN.fetch_add(100, Ordering::Relaxed);
    (first..30_000).step_by(usize::from(count)).find(|first| free(*first)).expect("there are free ports")
}

fn signal(name: &str, child: &Child) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(sent.expect("kill can be run").success());
}

/// An issue event of the demo's shop, for its buyer.
pub(crate) fn issue(reference: &str) -> Value {
    let mut document: Value = serde_json::from_str(invoice::samples::all()[0].json).expect("the samples are JSON");
    document["reference"] = reference.into();
    serde_json::json!({ "issue": { "document": document } })
}

/// Runs a script in bash, in a directory, with the binary in the path; gives its exit code, stdout and stderr.
pub(crate) fn bash(script: &str, directory: &Path) -> Run {
    let binary = Path::new(EINVOICE).parent().expect("the binary stands in a directory");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("there is a PATH"));
    let mut child = Command::new("bash")
        .arg("-s")
        .current_dir(directory)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash can be run");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(script.as_bytes()).expect("bash reads its script");
    drop(stdin);
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let talk = std::thread::spawn(move || {
        let mut text = String::new();
        drop(stderr.read_to_string(&mut text));
        text
    });
    let output = child.wait_with_output().expect("bash ends");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: talk.join().expect("reading does not panic"),
    }
}
