//! `einvoice status`: how a node is.

use crate::client::{Client, NodeAddress};
use crate::commands::submit::Answer;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Say how a node is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    node: NodeAddress,
}

/// Asks the node.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let reply = Client::of(&args.node)?.get("/v1/status", None)?.succeeded("ask the node how it is")?;
    output.data(&Answer(reply.json()?))?;
    Ok(Exit::Done)
}
