//! Logs: to stderr, as text on a terminal and as JSON in service. Fields and ids only; no content, no keys.

use anyhow::{Context as _, anyhow};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};
use crate::output;

/// What sled has to say comes as faults of the store, and each ordinary end it calls an error; Malachite tells every
/// round as if it were news. Of its network only the subscriptions are in use here, which call it an error that whoever
/// stops listens no more; should the engine itself end, the node does.
const QUIET: &str = "sled=off,arc_malachitebft_app=warn,arc_malachitebft_app_channel=warn,\
    arc_malachitebft_core_consensus=warn,arc_malachitebft_core_driver=warn,arc_malachitebft_core_votekeeper=warn,\
    arc_malachitebft_engine=warn,arc_malachitebft_engine::network=off,arc_malachitebft_sync=warn,arc_malachitebft_wal=warn";

/// Starts logging, once a process.
pub(crate) fn start(config: &TelemetryConfig) -> anyhow::Result<()> {
    // What is said about the same later in the filter overrules this.
    let filter = format!("{QUIET},{}", config.filter);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("read telemetry.filter {:?}", config.filter))?;
    let json = match config.format {
        LogFormat::Auto => !output::on_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json { logs.json().flatten_event(true).try_init() } else { logs.try_init() };
    started.map_err(|error| anyhow!("start the logs: {error}"))
}
