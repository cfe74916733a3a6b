//! What every chain must hold, however it came about.

use std::collections::BTreeMap;

use chain::archive::ArchiveWriter;
use chain::block::CommittedBlock;
use chain::genesis::Genesis;
use chain::verify::{Options, Status};
use ledger::outcome::{ACCEPTED, Record};
use ledger::replay::verify_archive;

/// Verifies a chain as an auditor does who was given its archive.
///
/// # Errors
/// What does not verify.
pub fn verify(genesis: &Genesis, blocks: &[CommittedBlock]) -> Result<(), String> {
    let mut writer = ArchiveWriter::new(Vec::new(), genesis).map_err(|error| error.to_string())?;
    for block in blocks {
        writer.push(block).map_err(|error| error.to_string())?;
    }
    let (archive, ..) = writer.finish().map_err(|error| error.to_string())?;
    let report =
        verify_archive(&archive[..], genesis, Options::default(), |_| {}).map_err(|error| error.to_string())?;
    if report.report.status == Status::Verified { Ok(()) } else { Err(format!("{:?}", report.report)) }
}

/// Invoices with more than one lock at a time, or closed without the lock that they have, by the outcomes alone: of a
/// chain on which no lease ends and nothing is unlocked.
pub fn double_locks(blocks: &[CommittedBlock]) -> Vec<String> {
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for outcome in blocks.iter().flat_map(|block| block.body.outcomes.iter().flatten()) {
        if outcome.code != ACCEPTED {
            continue;
        }
        let subject = outcome.subject.clone();
        match Record::decode(&outcome.record) {
            Ok(Record::Locked { token, .. }) => {
                if let Some(before) = held.insert(subject.clone(), token) {
                    wrong.push(format!("DOUBLE LOCK: {subject} is locked under {before} and {token}"));
                }
            }
            Ok(Record::Closed { token, .. }) if held.get(&subject) != Some(&token) => {
                wrong.push(format!("{subject} is closed under {token}, which holds no lock"));
            }
            Ok(_) => {}
            Err(error) => wrong.push(format!("the record of {subject} cannot be read: {error}")),
        }
    }
    wrong
}
