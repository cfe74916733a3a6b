//! `einvoice export`: the whole chain into an archive, from a stopped node's directory or from a running node.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chain::archive::{ArchiveEnd, ArchiveReader, ArchiveWriter, Entry};
use chain::block::{Body, CommittedBlock};
use chain::certificate::CommitCertificate;
use replica::port::Store;
use serde::Serialize;

use ureq::http::Method;

use crate::client::{Call, Client};
use crate::config::Config;
use crate::copies::read_genesis;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files::{self, Replacement};
use crate::output::{Output, Report};
use crate::service::open_store;

/// How many bytes are copied at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// How many bytes a token's file may have.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// Export the chain.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["data", "config", "url"]))]
pub(crate) struct Args {
    /// The directory of a stopped node, as `init` or `dev` made it: with node.toml, genesis and store.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration of a stopped node.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A running node; needs a token of an auditor or an agency.
    #[arg(long, requires = "auth")]
    url: Option<String>,
    /// The login token for a running node.
    #[arg(long, group = "auth", env = "EINVOICE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with the login token.
    #[arg(long, group = "auth", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates to trust for an https address, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The archive to write, a file; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
}

/// What was exported.
#[derive(Debug, Serialize)]
pub(crate) struct Exported {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
    /// How many blocks it has.
    pub(crate) blocks: u64,
    /// The height of the last.
    pub(crate) tip_height: u64,
    /// The id of the last.
    pub(crate) tip_id: String,
    /// Leaves of the log.
    pub(crate) log_size: u64,
    /// The log's root.
    pub(crate) log_root: String,
}

impl Exported {
    fn of(archive: &Path, bytes: u64, end: &ArchiveEnd) -> Self {
        Self {
            archive: archive.to_owned(),
            bytes,
            blocks: end.blocks,
            tip_height: end.tip_height,
            tip_id: end.tip.to_string(),
            log_size: end.log_size,
            log_root: end.log_root.to_string(),
        }
    }
}

impl Report for Exported {
    fn text(&self) -> String {
        format!(
            "archive     {} ({} bytes)\nblocks      {}\ntip         height {}, {}\nlog         {} leaves, root {}",
            self.archive.display(),
            self.bytes,
            self.blocks,
            self.tip_height,
            self.tip_id,
            self.log_size,
            self.log_root
        )
    }
}

/// Exports.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    can_be_written(&args.out, args.force)
        .with_context(|| format!("export to {}", args.out.display()))
        .or_exit(Exit::Usage)?;
    let exported = if let Some(url) = &args.url {
        let client = Client::new(url, args.ca.as_deref())?;
        let token = match (&args.token, &args.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => String::from_utf8(files::read(path, TOKEN_BYTES_MAX).or_exit(Exit::Usage)?)
                .ok()
                .filter(|token| token.trim().bytes().all(|byte| byte.is_ascii_graphic()))
                .ok_or_else(|| {
                    anyhow!("read the token in {}: expected one line, as `einvoice token` prints it", path.display())
                })
                .or_exit(Exit::Usage)?,
            (None, None) => {
                return Err(Failure::text(Exit::Usage, "export from a running node: it needs a token"));
            }
        };
        from_node(&client, token.trim(), &args.out, output)?
    } else {
        let path = match (&args.config, &args.data) {
            (Some(config), _) => config.clone(),
            (None, Some(data)) => data.join("node.toml"),
            (None, None) => return Err(Failure::text(Exit::Usage, "export: there is no source")),
        };
        from_directory(&Config::load(Some(&path), [], &[]).or_exit(Exit::Usage)?, &args.out, output)?
    };
    output.data(&exported)?;
    Ok(Exit::Done)
}

/// Refuses a place that no archive can take, before anything is asked or opened.
fn can_be_written(out: &Path, force: bool) -> anyhow::Result<()> {
    if out == Path::new("-") {
        return Err(anyhow!("an archive is read back before it counts, so it needs a file and cannot go to stdout"));
    }
    match std::fs::symlink_metadata(out) {
        Ok(found) if found.is_dir() => Err(anyhow!("it is a directory")),
        Ok(_) if !force => Err(anyhow!("there is a file already; --force replaces it")),
        // That it is missing is as it should be; whatever else is wrong shows when it is written.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Streams the archive of a running node into a file.
pub(crate) fn from_node(client: &Client, token: &str, out: &Path, output: &Output) -> Result<Exported, Failure> {
    let call = Call { token: Some(token), ..Call::default() };
    let (status, mut body) = client.open(&Method::GET, "/v1/archive", call)?;
    if status != 200 {
        let mut reply = crate::client::Reply { status, body: Vec::new() };
        body.take(64 * 1024)
            .read_to_end(&mut reply.body)
            .context("read the node's answer")
            .or_exit(Exit::Unavailable)?;
        return Err(reply
            .succeeded("export from the node")
            .err()
            .unwrap_or_else(|| Failure::text(Exit::Unexpected, "export")));
    }
    let mut new = Replacement::begin(out, false).or_exit(Exit::Usage)?;
    let bar = output.progress("exporting", None, true);
    let copied = std::io::copy(&mut body, &mut bar.wrap_write(new.file()));
    bar.finish_and_clear();
    let bytes =
        copied.with_context(|| format!("receive the archive of {}", client.base())).or_exit(Exit::Unavailable)?;
    // Read back before it takes its name: a stream that broke off must not pass for an archive.
    let end = end_of(new.temporary()).context("receive a whole archive").or_exit(Exit::Unavailable)?;
    new.finish()?;
    Ok(Exported::of(out, bytes, &end))
}

/// Reads an archive to its end.
fn end_of(path: &Path) -> anyhow::Result<ArchiveEnd> {
    let file = std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut reader = ArchiveReader::new(BufReader::with_capacity(BUFFER_BYTES, file));
    while let Some(frame) = reader.next_frame()? {
        if let Entry::End(end) = frame.entry {
            return Ok(end);
        }
    }
    Err(anyhow!("it has no end"))
}

/// Writes the archive of a stopped node. Its index is not touched: the ledger holds all there is.
pub(crate) fn from_directory(config: &Config, out: &Path, output: &Output) -> Result<Exported, Failure> {
    let genesis = read_genesis(&config.node.genesis).or_exit(Exit::Usage)?;
    if !config.node.data.join("lock").exists() {
        let text = format!("export {}: there is no store", config.node.data.display());
        return Err(Failure::text(Exit::Usage, text));
    }
    let store = open_store(config)?;
    let fault = |fault| Failure::new(Exit::Fault, anyhow::Error::new(fault).context("read the ledger"));
    let tip = store.ledger_tip().map_err(fault)?;
    let mut new = Replacement::begin(out, false).or_exit(Exit::Usage)?;
    let target = BufWriter::with_capacity(BUFFER_BYTES, new.file());
    let mut writer = ArchiveWriter::new(target, &genesis).context("write the archive")?;
    let bar = output.progress("exporting", Some(tip), false);
    for height in 1..=tip {
        let block = committed(&store, height).or_exit(Exit::Fault)?;
        writer.push(&block).context("write the archive")?;
        bar.set_position(height);
    }
    bar.finish_and_clear();
    let (mut target, end) = writer.finish().context("write the archive")?;
    target.flush().context("write the archive")?;
    drop(target);
    let bytes = new.file().metadata().context("read the archive's size")?.len();
    new.finish()?;
    store.close().map_err(fault)?;
    Ok(Exported::of(out, bytes, &end))
}

/// The block that was decided at a height, with its certificate.
fn committed(store: &impl Store, height: u64) -> anyhow::Result<CommittedBlock> {
    let context = || format!("read the ledger at height {height}");
    let decided = store
        .decided(height)
        .with_context(context)?
        .ok_or_else(|| anyhow!("nothing is recorded"))
        .with_context(context)?;
    let bytes = store
        .body(&decided.id)
        .with_context(context)?
        .ok_or_else(|| anyhow!("its body is gone"))
        .with_context(context)?;
    let body = Body::decode(&bytes).with_context(context)?;
    if body.header().id() != decided.id {
        return Err(anyhow!("its body is another block's")).with_context(context);
    }
    let certificate = CommitCertificate::decode(&decided.certificate).with_context(context)?;
    Ok(CommittedBlock { body, certificate })
}
