//! What a trial found, as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Broken;

/// How many losses the table shows, and how many characters of each; JSON has all of them.
const LOSSES_SHOWN: usize = 20;
const LOSS_CHARS: usize = 600;

/// One kind of round: how often it was tried, and what it did to the node.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// How many rounds did it.
    pub rounds: u64,
    /// How many faults were brought about.
    pub faults: u64,
    /// How many losses followed.
    pub losses: u64,
}

/// What a trial found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The trial.
    pub trial: &'static str,
    /// The seed it was planned from.
    pub seed: u64,
    /// The table.
    pub rows: Vec<Row>,
    /// Counts and measures beside the table.
    pub facts: Vec<(String, String)>,
    /// Everything that was lost, wrong or half-done, with where. None is the only good number.
    pub losses: Vec<String>,
    /// What could not be tried here, and why.
    pub skipped: Vec<String>,
    /// Lines of a curve over time, the first of them the head.
    pub curve: Vec<String>,
}

impl Report {
    /// Ends the report of a trial in a directory: one that broke off is a loss, and what was lost is kept for a look.
    pub(super) fn end(mut self, outcome: Result<(), Broken>, directory: TempDir) -> Self {
        if let Err(error) = outcome {
            self.losses.push(format!("the trial broke off: {error}"));
        }
        if !self.is_clean() {
            self.fact("kept for a look", directory.keep().display());
        }
        self
    }

    /// A report of nothing yet.
    pub fn new(trial: &'static str, seed: u64) -> Self {
        let (rows, facts, losses) = (Vec::new(), Vec::new(), Vec::new());
        Self { trial, seed, rows, facts, losses, skipped: Vec::new(), curve: Vec::new() }
    }

    /// The row of a kind of round.
    fn row(&mut self, what: &str) -> &mut Row {
        let place = self.rows.iter().position(|row| row.what == what).unwrap_or_else(|| {
            self.rows.push(Row { what: what.to_owned(), ..Row::default() });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }

    /// Counts a round of a kind, with its faults and losses.
    pub fn round(&mut self, what: &str, faults: u64, losses: Vec<String>) {
        let row = self.row(what);
        row.rounds += 1;
        row.faults += faults;
        self.losses_of(what, losses);
    }

    /// Adds what was found later about the rounds of a kind.
    pub fn losses_of(&mut self, what: &str, losses: Vec<String>) {
        self.row(what).losses += losses.len() as u64;
        self.losses.extend(losses.into_iter().map(|loss| format!("{what}: {loss}")));
    }

    /// Notes a count or a measure.
    pub fn fact(&mut self, name: &str, value: impl fmt::Display) {
        self.facts.push((name.to_owned(), value.to_string()));
    }

    /// Whether nothing was lost.
    pub fn is_clean(&self) -> bool {
        self.losses.is_empty()
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        let rows = self
            .rows
            .iter()
            .map(|row| json!({"what": row.what, "rounds": row.rounds, "faults": row.faults, "losses": row.losses}));
        json!({
            "trial": self.trial,
            "seed": self.seed,
            "rows": rows.collect::<Vec<_>>(),
            "facts": self.facts.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "losses": self.losses,
            "skipped": self.skipped,
            "curve": self.curve,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (seed {})", self.trial, self.seed)?;
        let wide = |text: &str| text.chars().count();
        let width = self.rows.iter().map(|row| wide(&row.what)).max().unwrap_or(0).max(5);
        if !self.rows.is_empty() {
            writeln!(f, "  {:<width$}  {:>7}  {:>7}  {:>7}", "round", "rounds", "faults", "losses")?;
        }
        for row in &self.rows {
            writeln!(f, "  {:<width$}  {:>7}  {:>7}  {:>7}", row.what, row.rounds, row.faults, row.losses)?;
        }
        for line in &self.curve {
            writeln!(f, "  {line}")?;
        }
        let width = self.facts.iter().map(|(name, _)| wide(name)).max().unwrap_or(0);
        for (name, value) in &self.facts {
            writeln!(f, "  {name:<width$}  {value}")?;
        }
        for skipped in &self.skipped {
            writeln!(f, "  NOT TRIED: {skipped}")?;
        }
        for loss in self.losses.iter().take(LOSSES_SHOWN) {
            writeln!(f, "  LOSS: {}", loss.chars().take(LOSS_CHARS).collect::<String>())?;
        }
        if let Some(more) = self.losses.len().checked_sub(LOSSES_SHOWN + 1) {
            writeln!(f, "  and {} more losses", more + 1)?;
        }
        write!(f, "  {}", if self.is_clean() { "nothing was lost" } else { "SOMETHING WAS LOST" })
    }
}
