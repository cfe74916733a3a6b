//! The `node` room: the only door. Binary `einvoice`: command line, configuration, telemetry, wiring, exit codes.
//!
//! It owns time, randomness, files and the process; it has no rules of its own. Everything that is printed goes through
//! `output`, and every way to end through `exit`.

mod args;
mod client;
mod clock;
mod commands;
mod config;
mod consortium;
mod copies;
mod coverage;
mod driver;
mod exit;
mod files;
mod grpc;
mod introductions;
mod keyring;
mod keys;
mod local;
mod memory;
mod motor;
mod node_file;
mod open_files;
mod output;
mod plan;
mod service;
mod telemetry;
mod threads;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use exit::Exit;
use output::Output;

/// Runs the program on the arguments of the command line, to its end.
pub fn main() -> ExitCode {
    memory::by_small_pages();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    let output = Output::new(cli.format);
    let exit = match commands::run(cli.command, &output) {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit()
        }
    };
    exit.into()
}

/// Reads the text of a configuration file as far as that goes without the file, and gives the effective
/// configuration as TOML.
///
/// # Errors
/// What is wrong with it, on one line that names the line or the key.
pub fn check_config(text: &str) -> Result<String, String> {
    config::Config::check_text(text).map_err(|error| format!("{error:#}"))
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
