//! Verification of an archive.

use std::error::Error;
use std::io::{self, Read};

use super::{Finding, Level, Options, Pushed, Report, Verifier};
use crate::archive::{ArchiveError, ArchiveProblem, ArchiveReader, Entry};
use crate::block::CommittedBlock;
use crate::genesis::Genesis;

/// Verifies an archive against the genesis that the auditor has from elsewhere.
///
/// `each` is called after each block, with the verifier, the block, what the verifier made of it,
/// and where it begins: deeper levels execute it there, and add their findings. An error is a
/// failure to read, which says nothing about the archive.
pub fn verify_archive<R, F>(
    source: R,
    genesis: &Genesis,
    level: Level,
    options: Options,
    mut each: F,
) -> io::Result<Report>
where
    R: Read,
    F: FnMut(&mut Verifier, &CommittedBlock, &Pushed, u64),
{
    let mut reader = ArchiveReader::new(source);
    let mut verifier = Verifier::new(genesis, level, options);
    loop {
        let frame = match reader.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(verifier.finish(None)),
            Err(error) => {
                note_damage(&mut verifier, error)?;
                return Ok(verifier.finish(None));
            }
        };
        match frame.entry {
            Entry::Genesis(found) => {
                if !check_genesis(&mut verifier, genesis, &found, frame.offset) {
                    return Ok(verifier.finish(None));
                }
            }
            Entry::Block(block) => {
                let pushed = verifier.push_at(&block, Some(frame.offset));
                each(&mut verifier, &block, &pushed, frame.offset);
            }
            Entry::End(end) => return Ok(verifier.finish_at(Some(&end), Some(frame.offset))),
        }
    }
}

/// Compares the archive's genesis with the auditor's; whether the blocks can belong to it.
fn check_genesis(verifier: &mut Verifier, expected: &Genesis, found: &Genesis, offset: u64) -> bool {
    let mut finding = |rule, expected, actual| {
        verifier.add_finding(Finding {
            height: Some(0),
            offset: Some(offset),
            statement: None,
            rule,
            expected,
            actual,
        });
    };
    if found.hash() != expected.hash() {
        finding("archive.other-genesis", format!("genesis {}", expected.hash()), format!("genesis {}", found.hash()));
        return false;
    }
    if let Err(error) = found.verify_countersignatures() {
        finding(error.code(), "the countersignature of every validator".to_owned(), error.to_string());
    }
    true
}

/// Notes why an archive cannot be read further. A failure to read is no finding.
fn note_damage(verifier: &mut Verifier, error: ArchiveError) -> io::Result<()> {
    let ArchiveError { offset, height, problem } = error;
    let rule = problem.code();
    match problem {
        ArchiveProblem::Io(error) => return Err(error),
        ArchiveProblem::Truncated => {
            verifier.add_missing(format!("the archive is cut off at byte {offset}, height {height}"));
        }
        problem @ (ArchiveProblem::Magic
        | ArchiveProblem::Kind { .. }
        | ArchiveProblem::TooLarge { .. }
        | ArchiveProblem::Checksum { .. }
        | ArchiveProblem::Order { .. }
        | ArchiveProblem::Genesis(_)
        | ArchiveProblem::Payload(_)
        | ArchiveProblem::Trailing) => {
            verifier.add_finding(Finding {
                height: Some(height),
                offset: Some(offset),
                statement: None,
                rule,
                expected: "an archive as it was written".to_owned(),
                actual: with_causes(&problem),
            });
            verifier.add_missing(format!("nothing was verified from byte {offset}, height {height} on"));
        }
    }
    Ok(())
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
