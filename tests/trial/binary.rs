//! The binary under trial, and lives of a node in processes of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Broken;

/// How often a condition is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How long a node may take to serve, or to end.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The binary `einvoice`.
#[derive(Clone, Debug)]
pub struct Binary {
    path: PathBuf,
}

/// What a run of the binary left behind.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its exit code; −1 when a signal ended it.
    pub code: i32,
    /// Its data.
    pub stdout: String,
    /// Its talk.
    pub stderr: String,
}

/// Waits until something is there, or the limit has passed.
pub fn eventually<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() > limit {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

impl Binary {
    /// The binary that stands beside the running program.
    ///
    /// # Errors
    /// There is none; the text says how it is built.
    pub fn beside() -> Result<Self, Broken> {
        let own = std::env::current_exe()?;
        let path = own.with_file_name("einvoice");
        if path.is_file() {
            return Ok(Self { path });
        }
        Err(format!("{} is not there; build it first: cargo build --release -p node", path.display()).into())
    }

    /// The binary at a path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_remove("EINVOICE_CONFIG").env_remove("EINVOICE_URL").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Run, Broken> {
        let output = self.command().args(arguments).output()?;
        Ok(Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a `dev` node on a directory; its talk goes to `log`, and its ready file beside that.
    pub fn dev(&self, data: &Path, log: &Path) -> Result<Life, Broken> {
        self.dev_of(1, data, log)
    }

    /// The same with so many validators, 1 to 4, in one process.
    pub fn dev_of(&self, validators: u8, data: &Path, log: &Path) -> Result<Life, Broken> {
        let ready = log.with_extension("ready.json");
        if ready.exists() {
            fs::remove_file(&ready)?;
        }
        let mut command = self.command();
        // A port of our own choice, because a door that was just killed must be found again at once; for several doors
        // in a row nobody can choose, and the ready file says where they are.
        let listen = if validators == 1 { free_address()?.to_string() } else { "127.0.0.1:0".to_owned() };
        let validators = validators.to_string();
        command.args(["dev", "--validators", &validators, "--listen", &listen, "--log", "info"].map(OsStr::new));
        command.args([OsStr::new("--data"), data.as_os_str(), OsStr::new("--ready-file"), ready.as_os_str()]);
        command.stdout(Stdio::null()).stderr(File::create(log)?);
        Ok(Life { child: command.spawn()?, log: log.to_owned(), ready })
    }

    /// Starts a node in service, with settings beside its configuration, on this machine or in a network namespace of
    /// it; its talk is added to `log`.
    pub fn start(
        &self,
        config: &Path,
        settings: &[String],
        log: &Path,
        namespace: Option<&str>,
    ) -> Result<Life, Broken> {
        let mut command = match namespace {
            // It becomes the node, so the process that is killed later is the node itself.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.path).stdin(Stdio::null());
                command.env_remove("EINVOICE_CONFIG").env_remove("EINVOICE_URL");
                command
            }
            None => self.command(),
        };
        command.arg("start").arg("--config").arg(config);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let talk = File::options().create(true).append(true).open(log)?;
        command.stdout(Stdio::null()).stderr(talk);
        Ok(Life { child: command.spawn()?, log: log.to_owned(), ready: log.with_extension("ready.json") })
    }
}

/// The ports that rows are taken from: above those that the README names, whose commands a test runs meanwhile, and below
/// those that the system gives to whoever asks for any.
const ROWS: Range<u16> = 20_000..32_000;

/// Ports of one row.
const ROW_PORTS: u16 = 16;

/// So many ports in a row that nobody has now, and that this process gives to nobody else: whoever gets them opens them later.
pub(super) fn free_row(count: u16, seed: &mut super::seed::Seed) -> Result<u16, Broken> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    if count > ROW_PORTS {
        return Err(format!("{count} ports in a row, and a row has {ROW_PORTS}").into());
    }
    let rows = u64::from((ROWS.end - ROWS.start) / ROW_PORTS);
    let mut given = GIVEN.lock().map_err(|_| "another thread failed while it looked for ports")?;
    let free = |first: u16| (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let mut tries = (0..1_000).map(|_| ROWS.start + ROW_PORTS * u16::try_from(seed.below(rows)).unwrap_or(0));
    let found = tries.find(|first| !given.contains(first) && free(*first)).ok_or("there are no free ports in a row")?;
    given.insert(found);
    Ok(found)
}

fn free_address() -> Result<SocketAddr, Broken> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// One life of a node.
#[derive(Debug)]
pub struct Life {
    child: Child,
    log: PathBuf,
    ready: PathBuf,
}

impl Life {
    /// Waits until it serves, and gives what it tells about itself; how it ended, when it did instead.
    pub fn serves(&mut self) -> Result<Result<Value, ExitStatus>, Broken> {
        let found = eventually(PATIENCE, || {
            if let Ok(bytes) = fs::read(&self.ready) {
                return Some(serde_json::from_slice(&bytes).map(Ok).map_err(Broken::from));
            }
            self.child.try_wait().map_err(Broken::from).transpose().map(|status| status.map(Err))
        });
        found.ok_or_else(|| format!("it neither serves nor ends within {PATIENCE:?}:\n{}", self.talk()))?
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has said so far.
    pub fn talk(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Kills it as a power cut would, and gives its talk.
    pub fn kill(mut self) -> Result<String, Broken> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.talk())
    }

    /// The talk and exit code of a node that ended by itself.
    pub fn ended(mut self) -> Result<(String, Option<i32>), Broken> {
        let status = self.child.wait()?;
        Ok((self.talk(), Some(status.code().unwrap_or(-1))))
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> Result<(ExitStatus, String), Broken> {
        let sent = Command::new("kill").arg("-TERM").arg(self.id().to_string()).status()?;
        if !sent.success() {
            return Err("the node could not be asked to stop".into());
        }
        let ended = eventually(PATIENCE, || self.child.try_wait().transpose());
        let status = ended.ok_or("the node does not stop")??;
        Ok((status, self.talk()))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Ended already, unless the trial broke off.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What must never stand in a node's talk.
pub fn odd_talk(talk: &str) -> Vec<String> {
    let odd = |line: &&str| line.contains("panicked") || line.contains("overflow") || line.contains("invariant");
    talk.lines().filter(odd).map(|line| format!("the node said: {line}")).collect()
}
