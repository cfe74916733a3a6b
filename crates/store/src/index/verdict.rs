//! What the index on disk is, judged at a start.

use std::path::Path;

use replica::port::{CheckpointMark, Direction, StoreFault};

use super::evidence::{self, Evidence, RowEvidence, Stand};
use super::layout::{BEGIN_KEY, END_KEY, Marks};
use crate::database::Database;
use crate::fault;

/// What may be done with an index that was found.
#[derive(Debug)]
pub(super) enum Verdict {
    /// There is none.
    Empty,
    /// It holds this checkpoint, wholly, and nothing of another.
    Whole(CheckpointMark),
    /// It may hold half a checkpoint, for this reason.
    Doubt(String),
}

/// Judges the index in an open database. Damage is doubt; only the machine's faults are faults.
pub(super) fn judge(database: &Database, directory: &Path) -> Result<Verdict, StoreFault> {
    match weigh(database, directory) {
        Err(fault @ StoreFault::Damaged { .. }) => Ok(Verdict::Doubt(fault.to_string())),
        outcome => outcome,
    }
}

/// The end mark, of which checkpoint ever.
pub(super) fn newest_end_mark(database: &Database) -> Result<Option<Marks>, StoreFault> {
    let place = || "index, end mark".to_owned();
    let Some(row) = database.get(place, END_KEY)? else { return Ok(None) };
    let marks = Marks::of_end_row(&row);
    marks.map(Some).ok_or_else(|| fault::damaged(place(), "an end mark", "other bytes"))
}

fn weigh(database: &Database, directory: &Path) -> Result<Verdict, StoreFault> {
    let place = || "index, marks".to_owned();
    let begin = database.get(place, BEGIN_KEY)?;
    let end = database.get(place, END_KEY)?;
    let bytes = evidence::read(directory)?;
    let evidence = bytes.as_deref().and_then(Evidence::decode);
    let marks = match (begin, end) {
        (None, None) => None,
        (Some(begin), Some(end)) => match Marks::read(&begin, &end) {
            Some(marks) => Some(marks),
            None => return Ok(doubt("the marks of the checkpoint disagree")),
        },
        (Some(_), None) | (None, Some(_)) => return Ok(doubt("one mark of the checkpoint is missing")),
    };
    if let Some(form) = bytes.as_deref().and_then(evidence::of_another_form) {
        return Ok(doubt(&form));
    }
    let Some(evidence) = evidence else {
        let everything = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let is_empty = database.rows(place, everything, Direction::Forward, 1)?.is_empty();
        return Ok(if is_empty && bytes.is_none() {
            Verdict::Empty
        } else {
            doubt("the evidence of the checkpoint is missing or damaged")
        });
    };
    let Some(marks) = marks else {
        return under_way(database, &evidence, None);
    };
    if evidence.number == marks.mark.number {
        let expected = bytes.map(|bytes| evidence::digest(&bytes));
        if expected != Some(marks.evidence) || evidence.rows != marks.rows {
            return Ok(doubt("the evidence is not the one the marks speak of"));
        }
        return Ok(match odd_row(database, &evidence, |row| row.after)? {
            None => Verdict::Whole(marks.mark),
            Some(row) => doubt(&format!("checkpoint {} is marked, but {row}", evidence.number)),
        });
    }
    if marks.mark.number.checked_add(1) == Some(evidence.number) {
        return under_way(database, &evidence, Some(marks.mark));
    }
    Ok(doubt("the evidence is of another checkpoint"))
}

/// The evidence is of a checkpoint that was not finished: nothing of it may be there.
fn under_way(database: &Database, evidence: &Evidence, before: Option<CheckpointMark>) -> Result<Verdict, StoreFault> {
    Ok(match (odd_row(database, evidence, |row| row.before)?, before) {
        (None, Some(mark)) => Verdict::Whole(mark),
        // The first checkpoint: what is there is at most a bare database.
        (None, None) => doubt("its first checkpoint was not finished"),
        (Some(row), _) => doubt(&format!("checkpoint {} is not marked, but {row}", evidence.number)),
    })
}

fn doubt(reason: &str) -> Verdict {
    Verdict::Doubt(reason.to_owned())
}

/// Says which row of evidence stands otherwise than it must, if there is one.
fn odd_row(
    database: &Database,
    evidence: &Evidence,
    expected: impl Fn(&RowEvidence) -> Stand,
) -> Result<Option<String>, StoreFault> {
    for row in &evidence.sample {
        let value = database.get(|| "index, a row of evidence".to_owned(), &row.key)?;
        let found = evidence::stand(value.as_deref());
        if found != expected(row) {
            return Ok(Some(format!("row {:02x?} stands otherwise", row.key)));
        }
    }
    Ok(None)
}
