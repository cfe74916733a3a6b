//! A running node, loaded over REST. The wait for finality is the node's own: a request is answered when its statement is
//! durable.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use chain::identity::{ChainId, KeyId, OrganisationId};
use chain::login::LoginDraft;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use workload::Consortium;
use workload::consortium::{AUDITOR, LOGIN_KEY};

use super::http::Connection;
use super::machine::{Peak, Watched, cpu_us, disk_bytes, since};
use super::recorder::Recorder;
use super::report::{Reading, Report};
use super::supply::Supply;
use super::{Args, Load, Pace};
use crate::clock;
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

/// Connections when nothing is said about how many.
const CLIENTS: usize = 64;
/// For how long the reader's token is valid. Seconds.
const TOKEN_S: u64 = 3_600;

/// The node under load.
pub(super) struct Target {
    /// Its REST door.
    pub(super) address: SocketAddr,
    /// Its chain.
    pub(super) chain: ChainId,
    /// Its id.
    pub(super) node: String,
    /// How large its log is.
    pub(super) log_size: u64,
}

/// Measures a running node.
pub(super) fn run(args: &Args, output: &Output) -> Result<Report, Failure> {
    // The load has one thread, the node has the rest of the machine.
    let runtime = Builder::new_current_thread().enable_all().build().context("start the clients")?;
    let addresses: Vec<SocketAddr> =
        args.url.iter().map(|url| address(url)).collect::<Result<_, _>>().or_exit(Exit::Usage)?;
    let first = *addresses.first().context("name a node").or_exit(Exit::Usage)?;
    let target = runtime.block_on(Target::find(first)).or_exit(Exit::Unavailable)?;
    let load = Load::prepare(args, args.what.consortium()?, target.chain.clone(), output)?;
    let clients = args.clients.map_or(CLIENTS, usize::from);
    let limit = Duration::from_secs(args.seconds);
    let watched: Vec<Watched> = args.pid.iter().copied().map(Watched::Other).collect();
    let (warm_up, supply) = (Arc::new(load.warm_up), Arc::new(load.supply));
    drive(&runtime, &addresses, &warm_up, &Arc::new(Recorder::new()), clients, Pace::new(None, limit))?;
    let disk = args.data.as_deref().map(disk_bytes);
    let (cpu, peaks) = (cpu_us(&watched), watched.iter().copied().map(Peak::watch).collect::<Vec<_>>());
    let recorder = Arc::new(Recorder::new());
    drive(&runtime, &addresses, &supply, &recorder, clients, Pace::new(args.rate, limit))?;
    let mut report = Report::of(args, "rest", clients, &recorder, since(&watched, cpu));
    if args.reads > 0 {
        report.reads = Some(read(&runtime, args, &target, &load.consortium, clients)?);
    }
    report.resident_bytes_max = peaks.into_iter().filter_map(Peak::end).max();
    let leaves = runtime.block_on(Target::find(first)).or_exit(Exit::Unavailable)?.log_size;
    if let (Some(directory), Some(before)) = (&args.data, disk) {
        let grown = disk_bytes(directory).saturating_sub(before);
        report.disk_bytes_per_event = Some(grown / leaves.saturating_sub(target.log_size).max(1));
    }
    Ok(report)
}

/// The address of a URL without TLS.
pub(super) fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.strip_prefix("http://").ok_or_else(|| anyhow!("load {url}: expected http://<host>:<port>"))?;
    let mut found = rest.trim_end_matches('/').to_socket_addrs().with_context(|| format!("find {url}"))?;
    found.next().ok_or_else(|| anyhow!("find {url}: it has no address"))
}

impl Target {
    /// Asks the node at a REST door who it is.
    pub(super) async fn find(address: SocketAddr) -> anyhow::Result<Self> {
        let answer = Connection::open(address).await?.ask("GET /v1/status", "", b"").await?;
        let status: Value = serde_json::from_slice(&answer.body).context("read the node's status")?;
        let text =
            |name: &str| status[name].as_str().ok_or_else(|| anyhow!("read the node's status: it has no {name}"));
        Ok(Self {
            address,
            chain: text("chain")?.parse().context("read the node's status")?,
            node: text("node")?.to_owned(),
            log_size: status["log_size"].as_u64().unwrap_or_default(),
        })
    }
}

/// Sends everything over so many connections.
fn drive(
    runtime: &Runtime,
    addresses: &[SocketAddr],
    supply: &Arc<Supply>,
    recorder: &Arc<Recorder>,
    clients: usize,
    pace: Pace,
) -> Result<(), Failure> {
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for address in addresses.iter().copied().cycle().take(clients) {
            tasks.spawn(writer(address, Arc::clone(supply), Arc::clone(recorder), pace));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.context("run a client")?.or_exit(Exit::Unavailable)?;
        }
        Ok(())
    })
}

/// One client: sends what is due, and waits for its finality.
async fn writer(address: SocketAddr, supply: Arc<Supply>, recorder: Arc<Recorder>, pace: Pace) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    while let Some((place, bytes)) = supply.next()? {
        let Some(due) = pace.due(place) else { break };
        tokio::time::sleep_until(due.into()).await;
        // Counted from when it was due: a client that is late because the node is slow must not hide it.
        let asked = connection.ask("POST /v1/statements", "content-type: application/jose\r\n", &bytes).await;
        match asked {
            Ok(answer) if matches!(answer.status, 200 | 201) => recorder.done(due, supply.events),
            Ok(answer) => recorder.failed(|| answer.excerpt()),
            Err(error) => {
                recorder.failed(|| format!("{error:#}"));
                connection = Connection::open(address).await?;
            }
        }
    }
    Ok(())
}

/// Reads invoices over so many connections.
fn read(
    runtime: &Runtime,
    args: &Args,
    target: &Target,
    consortium: &Consortium,
    clients: usize,
) -> Result<Reading, Failure> {
    let token = token(consortium, &target.node)?;
    let headers: Arc<str> = format!("authorization: Bearer {token}\r\n").into();
    let address = target.address;
    let paths = runtime.block_on(invoices(address, &headers)).or_exit(Exit::Unavailable)?;
    if paths.is_empty() {
        return Err(Failure::text(Exit::Usage, "read invoices: there are none on this chain"));
    }
    let (paths, next) = (Arc::new(paths), Arc::new(AtomicU64::new(0)));
    let watched: Vec<Watched> = args.pid.iter().copied().map(Watched::Other).collect();
    let cpu = cpu_us(&watched);
    let recorder = Arc::new(Recorder::new());
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let reader = Reader {
                paths: Arc::clone(&paths),
                headers: Arc::clone(&headers),
                next: Arc::clone(&next),
                count: args.reads,
            };
            tasks.spawn(reader.run(address, Arc::clone(&recorder)));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.context("run a client")?.or_exit(Exit::Unavailable)?;
        }
        Ok::<(), Failure>(())
    })?;
    let cpu_us = since(&watched, cpu);
    let (reads, elapsed) = recorder.total();
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    Ok(Reading {
        reads,
        reads_per_second: reads * 1_000 / elapsed_ms,
        cpu_us_per_read: cpu_us.map(|cpu_us| cpu_us / reads.max(1)),
        latency: recorder.latency(),
        failed: recorder.failures().0,
    })
}

/// One client that reads.
struct Reader {
    paths: Arc<Vec<String>>,
    headers: Arc<str>,
    next: Arc<AtomicU64>,
    count: u64,
}

impl Reader {
    async fn run(self, address: SocketAddr, recorder: Arc<Recorder>) -> anyhow::Result<()> {
        let mut connection = Connection::open(address).await?;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(());
            }
            let place = usize::try_from(number).context("count reads")? % self.paths.len();
            let begun = Instant::now();
            let answer = connection.ask(&self.paths[place], &self.headers, b"").await?;
            if answer.status == 200 {
                recorder.done(begun, 1);
            } else {
                recorder.failed(|| answer.excerpt());
            }
        }
    }
}

/// The auditor's login: it sees every invoice.
fn token(consortium: &Consortium, node: &str) -> anyhow::Result<String> {
    let now_s = clock::machine_s();
    let draft = LoginDraft {
        organisation: OrganisationId::new(AUDITOR).context("name the auditor")?,
        key: KeyId::new(LOGIN_KEY).context("name the auditor's key")?,
        audience: node.to_owned(),
        issued_at: now_s,
        expires_at: now_s + TOKEN_S,
        jti: None,
        request: None,
        body_sha256: None,
    };
    Ok(draft.sign(&consortium.secret(AUDITOR, LOGIN_KEY)))
}

/// Requests for some invoices of the chain.
async fn invoices(address: SocketAddr, headers: &str) -> anyhow::Result<Vec<String>> {
    let answer = Connection::open(address).await?.ask("GET /v1/invoices?limit=500", headers, b"").await?;
    if answer.status != 200 {
        return Err(anyhow!("list invoices: {}", answer.excerpt()));
    }
    let page: Value = serde_json::from_slice(&answer.body).context("read a list of invoices")?;
    let rows = page["invoices"].as_array().ok_or_else(|| anyhow!("read a list of invoices: it has none"))?;
    let request = |row: &Value| row["id"].as_str().map(|id| format!("GET /v1/invoices/{id}"));
    Ok(rows.iter().filter_map(request).collect())
}
