//! Logs: to stderr, as text on a terminal and as JSON in service. Fields and ids only; no content, no keys.

use anyhow::{Context as _, anyhow};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};
use crate::output;

/// Starts logging, once a process.
pub(crate) fn start(config: &TelemetryConfig) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(&config.filter).with_context(|| format!("read telemetry.filter {:?}", config.filter))?;
    let json = match config.format {
        LogFormat::Auto => !output::on_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json { logs.json().flatten_event(true).try_init() } else { logs.try_init() };
    started.map_err(|error| anyhow!("start the logs: {error}"))
}
