//! `einvoice genesis`: the ceremony in which agencies found a chain, each with its own keys.
//!
//! `assemble` puts introductions together, the same bytes whoever does it; each agency signs its own copy when it has
//! seen that the genesis holds exactly what it introduced; `merge` brings the signatures together.

mod assemble;
pub(crate) mod sign;
mod view;

use std::path::PathBuf;

use chain::genesis::Genesis;
use clap::Subcommand;

use crate::copies;
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

use view::View;

/// Found a chain of several agencies.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put introductions together to a genesis that nobody has signed: the same files give the same bytes.
    Assemble(assemble::Args),
    /// Show what a genesis holds, who has signed it, and who is missing.
    Show(ShowArgs),
    /// Sign a genesis for an agency, when it holds exactly what the agency introduced.
    Sign(sign::Args),
    /// Bring the signatures of several copies of one genesis together.
    Merge(MergeArgs),
}

/// Show a genesis.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The genesis, signed or not; `-` is stdin.
    file: PathBuf,
}

/// Merge copies.
#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// The copies, in any order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where the merged one goes; a copy of the same genesis that is there is replaced, and its signatures are kept.
    #[arg(long, value_name = "FILE", default_value = "genesis.json")]
    out: PathBuf,
}

/// Does a step of the ceremony.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Assemble(args) => assemble::run(args, output),
        Command::Show(args) => {
            output.data(&View::of(&copies::read_copy(&args.file).or_exit(Exit::Usage)?, None)?)?;
            Ok(Exit::Done)
        }
        Command::Sign(args) => sign::run(args, output),
        Command::Merge(args) => {
            let mut merged = merged(&args.files).or_exit(Exit::Usage)?;
            copies::write(&mut merged, &args.out).or_exit(Exit::Usage)?;
            output.data(&View::of(&merged, Some(&args.out))?)?;
            Ok(Exit::Done)
        }
    }
}

/// One genesis with the signatures of all these copies.
fn merged(files: &[PathBuf]) -> anyhow::Result<Genesis> {
    let mut merged: Option<Genesis> = None;
    for path in files {
        let copy = copies::read_copy(path)?;
        copies::merge(merged.get_or_insert_with(|| copy.unsigned()), &copy, path)?;
    }
    merged.ok_or_else(|| anyhow::anyhow!("merge copies of a genesis: there is none"))
}
