//! `einvoice field`: one value out of a JSON document, so that a shell script needs no other tool.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::output::Output;

/// How many bytes a document may have.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Print one field of a JSON document.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The document; `-` is stdin.
    file: PathBuf,
    /// Which field, as a JSON pointer: `/reimbursement/status`, `/lines/0/net`.
    pointer: String,
}

/// Prints a field: text as it is, everything else as JSON.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let bytes = files::read(&args.file, FILE_BYTES_MAX).or_exit(Exit::Usage)?;
    let document: Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("read {} as JSON", args.file.display()))
        .or_exit(Exit::Usage)?;
    let field = document
        .pointer(&args.pointer)
        .ok_or_else(|| anyhow!("find {} in {}", args.pointer, args.file.display()))
        .or_exit(Exit::Usage)?;
    match field.as_str() {
        Some(text) => output.line(text)?,
        None => output.line(&field.to_string())?,
    }
    Ok(Exit::Done)
}
