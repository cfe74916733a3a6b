//! `einvoice demo`.

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Play the life of real invoices.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Plays it.
pub(crate) fn run(_args: Args, _output: &Output) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
