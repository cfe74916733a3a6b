//! The `node` room: the only door. Binary `einvoice`: command line, configuration, telemetry, wiring, exit codes.
//!
//! It owns time, randomness, files and the process; it has no rules of its own. Everything that is printed goes through
//! [`output`], and every way to end through [`exit`].

mod args;
mod client;
mod clock;
mod commands;
mod config;
mod consortium;
mod driver;
mod exit;
mod files;
mod keys;
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

fn main() -> ExitCode {
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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
