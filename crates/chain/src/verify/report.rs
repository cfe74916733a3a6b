//! What a verification found.

use std::fmt;

use serde::Serialize;

use crate::block::BlockId;
use crate::hash::{Hash, StatementId};
use crate::identity::ChainId;

/// How many findings a report lists; what goes beyond is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The height it concerns.
    pub height: Option<u64>,
    /// Where in the archive the block begins, in bytes.
    pub offset: Option<u64>,
    /// The statement it concerns.
    pub statement: Option<StatementId>,
    /// The stable code of the rule that does not hold.
    pub rule: &'static str,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub actual: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        if let Some(height) = self.height {
            write!(f, " at height {height}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        if let Some(statement) = self.statement {
            write!(f, ", statement {statement}")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.actual)
    }
}

/// The verdict of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything is there, and nothing was found.
    Verified,
    /// Something was found, whatever may be missing.
    Findings,
    /// Nothing was found, but part of the chain is missing.
    Incomplete,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Verified => "verified",
            Self::Findings => "findings",
            Self::Incomplete => "incomplete",
        })
    }
}

/// What was verified, how deep, and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verdict.
    pub status: Status,
    /// The chain of the genesis given.
    pub chain: ChainId,
    /// How deep it was verified.
    pub level: &'static str,
    /// How many blocks were verified.
    pub blocks: u64,
    /// How many statements they hold.
    pub statements: u64,
    /// How many events the statements hold.
    pub events: u64,
    /// The height of the last block; 0 when there is none.
    pub tip_height: u64,
    /// The id of the last block; the genesis hash when there is none.
    pub tip_id: BlockId,
    /// The time of the last block, in ms since 1970-01-01 UTC; that of genesis when there is none.
    pub tip_time_ms: i64,
    /// How many leaves the log has after the last block.
    pub log_size: u64,
    /// The root of the log after the last block.
    pub log_root: Hash,
    /// What was found, in the order of the chain; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many findings are not listed.
    pub findings_omitted: u64,
    /// What is missing of the chain.
    pub missing: Vec<String>,
}

impl Report {
    /// Whether everything is there and nothing was found.
    pub fn is_verified(&self) -> bool {
        self.status == Status::Verified
    }

    /// Adds a finding, listed or counted, and corrects the verdict.
    pub fn add_finding(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_omitted = self.findings_omitted.saturating_add(1);
        }
        self.status = Status::Findings;
    }

    /// Adds a finding where it belongs in the order of the chain: before what was found beyond its
    /// block. `place` is how many findings were listed when its block had been verified.
    pub fn insert_finding(&mut self, place: usize, finding: Finding) {
        self.findings.insert(place.min(self.findings.len()), finding);
        if self.findings.len() > FINDINGS_MAX {
            self.findings.truncate(FINDINGS_MAX);
            self.findings_omitted = self.findings_omitted.saturating_add(1);
        }
        self.status = Status::Findings;
    }

    /// Notes that part of the chain is missing, and corrects the verdict.
    pub fn add_missing(&mut self, what: String) {
        self.missing.push(what);
        if self.status == Status::Verified {
            self.status = Status::Incomplete;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "status      {}", self.status)?;
        writeln!(f, "chain       {}", self.chain)?;
        writeln!(f, "level       {}", self.level)?;
        writeln!(f, "tip height  {}", self.tip_height)?;
        writeln!(f, "tip id      {}", self.tip_id)?;
        writeln!(f, "tip time    {}", Utc(self.tip_time_ms))?;
        writeln!(f, "log size    {}", self.log_size)?;
        writeln!(f, "log root    {}", self.log_root)?;
        writeln!(f, "verified    {} blocks, {} statements, {} events", self.blocks, self.statements, self.events)?;
        for what in &self.missing {
            writeln!(f, "missing     {what}")?;
        }
        for finding in &self.findings {
            writeln!(f, "finding     {finding}")?;
        }
        if self.findings_omitted > 0 {
            writeln!(f, "finding     and {} more", self.findings_omitted)?;
        }
        Ok(())
    }
}

/// A time in ms since 1970-01-01 UTC, shown as RFC 3339 has it.
struct Utc(i64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY_MS: i64 = 86_400_000;
        let (days, of_day) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil(days);
        let (seconds, ms) = (of_day / 1_000, of_day % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 0000-03-01 in eras of 400 years, so that a leap day ends its year.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::Utc;

    #[test]
    fn times_are_shown_as_utc() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_001, "2100-03-01T00:00:00.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "292278994-08-17T07:12:55.807Z"),
            (i64::MIN, "-292275055-05-16T16:47:04.192Z"),
        ] {
            assert_eq!(Utc(time_ms).to_string(), text);
        }
    }
}
