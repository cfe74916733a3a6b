//! `einvoice config`: what the configuration comes to, before a node is started on it.

use std::path::PathBuf;

use clap::Subcommand;

use crate::config::Config;
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::{Output, Report};

/// Check or show the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say whether a node could be started on it.
    Check(Source),
    /// Print the effective values.
    Show(Source),
}

/// Where a configuration comes from.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Source {
    /// The configuration file. Without one: environment and defaults.
    #[arg(long, env = "EINVOICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Sets one value: `section.key=value`. It wins over environment and file.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

impl Source {
    /// The effective configuration.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        // What is not Unicode is none of our names.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Config::load(self.config.as_deref(), environment, &self.overrides).or_exit(Exit::Usage)
    }
}

impl Report for Config {
    fn text(&self) -> String {
        self.to_toml().unwrap_or_default().trim_end().to_owned()
    }
}

/// Checks or shows it.
pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Check(source) => {
            source.load()?;
            output.talk("the configuration holds");
        }
        Command::Show(source) => output.data(&source.load()?)?,
    }
    Ok(Exit::Done)
}
