//! `einvoice submit`: a signed statement to a node, at its REST door or, by the client of platforms, at its gRPC door.

mod over_grpc;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;
use ureq::http::Method;

use crate::client::{Call, Client, NodeAddress};
use crate::commands::outbox;
use crate::exit::{Exit, Exits as _, Failure};
use crate::files;
use crate::grpc;
use crate::output::{Output, Report};

pub(super) use over_grpc::{decision, problem};

/// How many bytes a statement's file may have.
const FILE_BYTES_MAX: u64 = 3 * 1024 * 1024;

/// Submit a signed statement.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The statement, as `einvoice sign` prints it; `-` is stdin.
    statement: PathBuf,
    #[command(flatten)]
    node: NodeAddress,
    /// Submit at the node's gRPC door instead, such as `http://127.0.0.1:9090`: sent again until it is decided, for up to a
    /// minute.
    #[arg(long, requires = "key")]
    grpc_url: Option<String>,
    /// The login key of who submits over gRPC; the REST door asks for none.
    #[arg(long, value_name = "FILE", requires = "grpc_url")]
    key: Option<PathBuf>,
    /// Keep the statement in this directory, on the disk, before it is sent and until its receipts hold; what it keeps from
    /// before is sent first. For one process at a time.
    #[arg(long, value_name = "DIR", requires_all = ["grpc_url", "genesis"])]
    outbox: Option<PathBuf>,
    /// The genesis, which the receipts are held against.
    #[arg(long, value_name = "FILE", requires = "outbox")]
    genesis: Option<PathBuf>,
}

/// A node's answer as data.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Answer(pub(crate) Value);

impl Report for Answer {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        flatten("", &self.0, &mut lines);
        if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") }
    }
}

/// One line for each value, under its path.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    let inner = |key: &str| {
        if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&inner(key), value, lines)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| flatten(&inner(&index.to_string()), value, lines));
        }
        Value::String(text) => lines.push(format!("{path}: {text}")),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => lines.push(format!("{path}: {value}")),
    }
}

/// Submits and waits for the answer.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let jws = files::read(&args.statement, FILE_BYTES_MAX).or_exit(Exit::Usage)?;
    if let (Some(grpc_url), Some(key)) = (&args.grpc_url, &args.key) {
        let door = || grpc::options(&args.node, grpc_url, key);
        if let (Some(directory), Some(genesis)) = (&args.outbox, &args.genesis) {
            return outbox::submit(directory, genesis, jws.trim_ascii(), door, output);
        }
        return over_grpc::run(door()?, &jws, output);
    }
    let client = Client::of(&args.node)?;
    let call = Call { content_type: Some("application/jose"), body: Some(jws.trim_ascii()), ..Call::default() };
    let reply = client.call(&Method::POST, "/v1/statements", call)?;
    if !reply.is_success() {
        // The problem document is the data: it holds the outcomes of a refused statement.
        if let Ok(problem) = reply.json() {
            output.data(&Answer(problem))?;
        }
        return reply.succeeded("submit the statement").map(|_| Exit::Done);
    }
    if reply.status == 202 {
        output.talk("the statement waits and is not final yet: ask again under its location");
    }
    output.data(&Answer(reply.json()?))?;
    Ok(Exit::Done)
}
