//! `einvoice demo`: the life of real invoices on a local consortium, over its REST door, then exported and verified.
//!
//! It plays on a `dev` consortium of its own, in this process, and keeps what is needed to verify again by hand.

mod input;
mod letters;
mod life;
mod proof;
mod stage;
mod story;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::commands::dev::Home;
use crate::config::TelemetryConfig;
use crate::consortium::Consortium;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::local::Local;
use crate::output::Output;
use crate::telemetry;

use stage::Stage;
use story::Story;

/// Play the life of real invoices.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Invoices to play with: our own JSON (a document, or what `POST /v1/invoices` takes) or a WeChat Pay fapiao
    /// application. Without any, the samples that the program brings.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    input: Vec<PathBuf>,
    /// Where the stated totals are refused, takes them from the lines and issues the invoice so.
    #[arg(long)]
    totals_from_lines: bool,
    /// How much of an invoice's life is played.
    #[arg(long, value_enum, default_value_t)]
    story: Length,
    /// Where keys and ledger live, and stay; without it a temporary directory, removed at the end. It must not hold
    /// a consortium yet.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where archive, genesis, checkpoint and receipts go, to be verified again; a new temporary directory when absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// How much is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Length {
    /// Issue, reimburse once and for all, file.
    #[default]
    Short,
    /// Also what tax bureau, provider and merchants do around it: registration, mandates, quotas, names, leases, books, payments.
    Full,
}

/// Plays.
pub(crate) fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    telemetry::start(&TelemetryConfig { filter: "warn".to_owned(), ..TelemetryConfig::default() })?;
    let input = input::read(&args.input)?;
    let home = Home::new(args.data)?;
    if home.path().join("genesis.json").exists() {
        let text = format!(
            "play in {}: it holds a consortium already, and the demo begins with one of its own",
            home.path().display()
        );
        return Err(Failure::text(Exit::Usage, text));
    }
    let out = out_directory(args.out.as_deref())?;
    let consortium = Consortium::establish(home.path(), &input.plan).or_exit(Exit::Usage)?;
    let local = Local::start(&consortium, SocketAddr::from(([127, 0, 0, 1], 0)), None, output)?;
    let stage = Stage::new(output, &local, &consortium)?;
    let played =
        Story::new(stage, &consortium, out.path(), args.totals_from_lines, args.story == Length::Full).play(&input);
    // In order even after a failure, whose own words come first.
    let stopped = local.stop();
    let exit = played?;
    stopped?;
    out.keep();
    Ok(exit)
}

/// The directory for what stays: asked for, or a temporary one that is kept only when the demo comes to its end.
fn out_directory(asked: Option<&Path>) -> Result<Home, Failure> {
    if let Some(path) = asked {
        files::directory(path).or_exit(Exit::Usage)?;
        let absolute = path.canonicalize().with_context(|| format!("find {}", path.display()))?;
        return Ok(Home::Kept(absolute));
    }
    let made = tempfile::Builder::new().prefix("einvoice-demo-").tempdir();
    Ok(Home::Temporary(made.context("make a directory for the archive")?))
}
