//! Verification of an archive.

use std::error::Error;
use std::io::{self, Read};

use super::{Finding, Level, Options, Pushed, Report, Verifier};
use crate::archive::{ArchiveEnd, ArchiveError, ArchiveProblem, ArchiveReader, Entry};
use crate::block::CommittedBlock;
use crate::genesis::Genesis;

/// An archive being verified: the blocks it gives, and the verifier they are pushed into.
///
/// Blocks may be read ahead of being pushed: what is wrong with the archive itself is noted at the
/// end, behind what was found in its blocks.
#[derive(Debug)]
pub struct ArchiveRun<R> {
    reader: ArchiveReader<R>,
    verifier: Verifier,
    genesis: Genesis,
    ending: Ending,
}

/// How the blocks ended.
#[derive(Debug)]
enum Ending {
    /// They go on, or end without a word.
    Open,
    /// With an end frame, at this offset.
    Frame(ArchiveEnd, u64),
    /// The archive belongs to another chain.
    Foreign,
    /// It cannot be read further.
    Damage(ArchiveError),
}

impl<R: Read> ArchiveRun<R> {
    /// Begins to verify an archive against the genesis that the auditor has from elsewhere.
    pub fn new(source: R, genesis: &Genesis, level: Level, options: Options) -> Self {
        Self {
            reader: ArchiveReader::new(source),
            verifier: Verifier::new(genesis, level, options),
            genesis: genesis.clone(),
            ending: Ending::Open,
        }
    }

    /// The next block and where it begins; nothing is verified about it yet. `None` when there are no more.
    ///
    /// # Errors
    /// A failure to read, which says nothing about the archive.
    pub fn next_block(&mut self) -> io::Result<Option<(Box<CommittedBlock>, u64)>> {
        while matches!(self.ending, Ending::Open) {
            let frame = match self.reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(ArchiveError { problem: ArchiveProblem::Io(error), .. }) => return Err(error),
                Err(error) => {
                    self.ending = Ending::Damage(error);
                    return Ok(None);
                }
            };
            match frame.entry {
                Entry::Genesis(found) => {
                    if !check_genesis(&mut self.verifier, &self.genesis, &found, frame.offset) {
                        self.ending = Ending::Foreign;
                    }
                }
                Entry::Block(block) => return Ok(Some((block, frame.offset))),
                Entry::End(end) => self.ending = Ending::Frame(end, frame.offset),
            }
        }
        Ok(None)
    }

    /// The verifier, to push the blocks into in their order.
    pub fn verifier(&mut self) -> &mut Verifier {
        &mut self.verifier
    }

    /// Ends the verification.
    pub fn finish(self) -> Report {
        let Self { mut verifier, ending, .. } = self;
        match ending {
            Ending::Open | Ending::Foreign => verifier.finish(None),
            Ending::Frame(end, offset) => verifier.finish_at(Some(&end), Some(offset)),
            Ending::Damage(error) => {
                note_damage(&mut verifier, error);
                verifier.finish(None)
            }
        }
    }
}

/// Verifies an archive against the genesis that the auditor has from elsewhere.
///
/// `each` is called after each block, with the verifier, the block, what the verifier made of it,
/// and where it begins. An error is a failure to read, which says nothing about the archive.
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
    let mut run = ArchiveRun::new(source, genesis, level, options);
    while let Some((block, offset)) = run.next_block()? {
        let pushed = run.verifier.push_at(&block, Some(offset));
        each(&mut run.verifier, &block, &pushed, offset);
    }
    Ok(run.finish())
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

/// Notes why an archive cannot be read further.
fn note_damage(verifier: &mut Verifier, error: ArchiveError) {
    let ArchiveError { offset, height, problem } = error;
    if matches!(problem, ArchiveProblem::Truncated) {
        verifier.add_missing(format!("the archive is cut off at byte {offset}, height {height}"));
        return;
    }
    verifier.add_finding(Finding {
        height: Some(height),
        offset: Some(offset),
        statement: None,
        rule: problem.code(),
        expected: "an archive as it was written".to_owned(),
        actual: with_causes(&problem),
    });
    verifier.add_missing(format!("nothing was verified from byte {offset}, height {height} on"));
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
