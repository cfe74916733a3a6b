//! The only place that prints: data to stdout, talk to stderr, progress on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// How data is written to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document, for programs.
    Json,
}

/// Data of a command, in both formats.
pub(crate) trait Report: Serialize {
    /// The data for people, without a newline at the end.
    fn text(&self) -> String;
}

/// Where a command's data and talk go.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    /// Output in a format.
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Writes a command's data to stdout.
    pub(crate) fn data(&self, report: &impl Report) -> Result<(), Failure> {
        let text = match self.format {
            Format::Text => report.text(),
            Format::Json => serde_json::to_string_pretty(report).context("write the data as JSON")?,
        };
        self.line(&text)
    }

    /// Writes one line of data to stdout, the same in both formats: a token, a statement, a value.
    #[expect(clippy::unused_self, reason = "whoever has no output must not print")]
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).context("write to stdout")?;
        Ok(())
    }

    /// One step of something that is shown while it happens: a line of text, or of JSON.
    pub(crate) fn step(&self, step: &impl Report) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.line(&step.text()),
            Format::Json => self.line(&serde_json::to_string(step).context("write a step as JSON")?),
        }
    }

    /// Says something to whoever sits there. That nobody listens is no failure.
    #[expect(clippy::unused_self, reason = "whoever has no output must not print")]
    pub(crate) fn talk(&self, text: &str) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// The one line about a failure.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.talk(&format!("error: failed to {failure}"));
    }

    /// A progress bar over `total` units; it is drawn on a terminal only.
    #[expect(clippy::unused_self, reason = "whoever has no output must not print")]
    pub(crate) fn progress(&self, what: &'static str, total: Option<u64>, bytes: bool) -> ProgressBar {
        let target =
            if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match (total, bytes) {
            (Some(_), true) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
            (None, true) => "{msg} {spinner} {bytes} {bytes_per_sec}",
            (Some(_), false) => "{msg} [{bar:30}] {pos}/{len} {per_sec}, {eta} left",
            (None, false) => "{msg} {spinner} {pos}",
        };
        let style = ProgressStyle::with_template(template).expect("the templates above are well-formed");
        bar.set_style(style);
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Prints what the command line says about itself or about a mistake in it.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Help and version go to stdout and are no mistake.
    drop(error.print());
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

/// Whether stderr is a terminal: decides the form of logs.
pub(crate) fn on_terminal() -> bool {
    io::stderr().is_terminal()
}
