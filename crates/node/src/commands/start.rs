//! `einvoice start`: a node in service.

use crate::commands::config::Source;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::service::{Kind, Service};
use crate::telemetry;

/// Run a node.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// Where the REST door listens: short for `--set http.listen=…`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
}

/// Serves until a signal or a fault.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let mut source = args.source.clone();
    if let Some(listen) = args.listen {
        source.overrides.push(format!("http.listen={listen}"));
    }
    let config = source.load()?;
    telemetry::start(&config.telemetry)?;
    let service = Service::start(config, Kind::Service, output)?;
    output.talk(&format!("the node serves at {}", service.url()));
    service.serve()
}
