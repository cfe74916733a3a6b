//! `einvoice follow`: the events of the ledger as they are decided, through the client that platforms use.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use client::messages::{LedgerEvent, SubscribeRequest};
use client::{Error, Options};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::client::NodeAddress;
use crate::exit::{Exit, Failure};
use crate::grpc;
use crate::output::{Output, Report};

/// How long a door may take to begin a stream. One that broke later is looked for as long as the client does.
const BEGIN_MAX: Duration = Duration::from_secs(15);

/// Follow the ledger over gRPC: every event that concerns an organisation, as it is decided.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    node: NodeAddress,
    /// The node's gRPC door, such as `http://127.0.0.1:9090`.
    #[arg(long, env = "EINVOICE_GRPC_URL")]
    grpc_url: String,
    /// The login key of who follows.
    #[arg(long, value_name = "FILE", env = "EINVOICE_LOGIN_KEY")]
    key: PathBuf,
    /// Where to begin: the cursor of an event, or `start` for the first; now when absent.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Only these kinds, such as `lock,close`.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    kind: Vec<String>,
    /// Only events about this invoice.
    #[arg(long, value_name = "ID")]
    invoice: Option<String>,
    /// Only what this organisation may see too, which gave a mandate to who follows.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// End after so many events; never when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// An event as data: what stands in the message, and the cursor behind it.
#[derive(Debug, Serialize)]
struct Followed {
    cursor: String,
    #[serde(rename = "type")]
    kind: String,
    organisation: String,
    height: u64,
    time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    statement_id: String,
    code: String,
    subject: String,
    leaf_index: u64,
}

impl Followed {
    fn new(cursor: String, event: LedgerEvent) -> Self {
        let LedgerEvent { r#type, organisation, height, time_ms, statement_id, outcome } = event;
        let outcome = outcome.unwrap_or_default();
        Self {
            cursor,
            kind: r#type,
            organisation,
            height,
            time: api::format_ms(time_ms),
            statement_id,
            code: outcome.code,
            subject: outcome.subject,
            leaf_index: outcome.leaf_index,
        }
    }
}

impl Report for Followed {
    fn text(&self) -> String {
        let Self { cursor, kind, organisation, height, time, code, subject, .. } = self;
        format!("{time} height {height} {kind} {subject} by {organisation}: {code} ({cursor})")
    }
}

/// Follows until it is ended, or has shown as many as were asked for.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let options = grpc::options(&args.node, &args.grpc_url, &args.key)?;
    let request = SubscribeRequest {
        after: args.after.clone().unwrap_or_default(),
        kinds: args.kind.clone(),
        invoice: args.invoice.clone().unwrap_or_default(),
        organisation: args.organisation.clone().unwrap_or_default(),
    };
    let runtime = Builder::new_current_thread().enable_all().build().context("start the client")?;
    runtime.block_on(follow(options, request, args.count, output))?;
    Ok(Exit::Done)
}

async fn follow(
    options: Options,
    request: SubscribeRequest,
    count: Option<u64>,
    output: &Output,
) -> Result<(), Failure> {
    let door = options.nodes.iter().map(|node| node.url.as_str()).collect::<Vec<_>>().join(", ");
    let failure = |error: Error| grpc::failure(error, "follow the ledger");
    let client = client::Client::connect(options).await.map_err(failure)?;
    let begun = timeout(BEGIN_MAX, client.subscribe(request)).await;
    let nobody = || format!("follow the ledger: no gRPC door answers at {door} within {} s", BEGIN_MAX.as_secs());
    let begun = begun.map_err(|_| Failure::text(Exit::Unavailable, nobody()))?;
    let mut subscription = begun.map_err(failure)?;
    let mut left = count;
    while left != Some(0) {
        let delivery = subscription.advance().await.map_err(failure)?;
        if let Some(event) = delivery.event {
            output.step(&Followed::new(delivery.cursor, event))?;
            left = left.map(|left| left - 1);
        }
    }
    Ok(())
}
