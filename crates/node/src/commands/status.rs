//! `einvoice status`: how a node is.

use serde_json::Value;

use crate::client::{Client, NodeAddress};
use crate::commands::submit::Answer;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Say how a node is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    node: NodeAddress,
    /// Ends with 4 while the node is not ready for work, as /readyz answers: for health checks.
    #[arg(long)]
    ready: bool,
}

/// Asks the node.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let reply = Client::of(&args.node)?.get("/v1/status", None)?.succeeded("ask the node how it is")?;
    let status = reply.json()?;
    let fine = !args.ready || status.get("ready") == Some(&Value::Bool(true));
    output.data(&Answer(status))?;
    Ok(if fine { Exit::Done } else { Exit::Unavailable })
}
