//! Replay: the deepest level of verification. Every statement's signature is checked and every
//! event executed again, from genesis on, with the very code that validators run; what comes out
//! must be what the archive says, block by block.
//!
//! It trusts nothing but the genesis. The lighter levels (links, certificates, log) are
//! `chain::verify`'s; an auditor runs them on the same blocks. Replay ends at the first
//! difference: what follows a wrong state means nothing.

mod archive;
mod custody;
mod examine;
mod input;
mod kept;
mod numbers;
mod red;
mod returns;
mod scratch;
mod space;
mod sums;

use std::collections::BTreeMap;

use chain::block::{CommittedBlock, Header, Outcome};
use chain::genesis::Genesis;
use chain::hash::Hash;
use chain::validators::ValidatorSet;
use chain::verify::Finding;
use serde::Serialize;

use crate::admission::{Court, Parsed, Verdict, Verified};
use crate::event::Event;
use crate::execute::{Context, Executed, Executor};
use crate::organisation::{Custody, Organisation};
use crate::outcome::{ACCEPTED, REPEATED};
use crate::parallel::Workers;
use crate::parameters::Parameters;
use crate::schedule::Schedule;
use crate::state::{Fault, StateKey, Writes, decode, require, writes_hash};

use examine::Examined;
use kept::Kept;
use numbers::Numbers;

pub use archive::{
    BATCH_BYTES_MAX, LEVEL, ReplayFailure, ReplayReport, Resources, STATE_BYTES_MAX, verify_archive,
    verify_archive_with,
};
pub use custody::ByCustody;
pub use numbers::NumbersOfCode;
pub use scratch::{Changes, Entries, MemoryScratch, Scratch};

/// What a replay has seen, for the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplaySummary {
    /// Blocks replayed.
    pub blocks: u64,
    /// Statements whose signatures were verified.
    pub statements: u64,
    /// Events executed.
    pub events: u64,
    /// Of those, accepted.
    pub accepted: u64,
    /// Of those, answered with an earlier outcome.
    pub repeated: u64,
    /// Of those, refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Accepted events by in whose hands the keys were that signed them.
    pub accepted_by_custody: ByCustody,
    /// Refused events by the same. Nobody acts for another in one: there is none under a mandate.
    pub refused_by_custody: ByCustody,
    /// Invoices issued.
    pub invoices: u64,
    /// The numbers that they have, by code: from 1 to the last of each, without a gap.
    pub numbers: BTreeMap<String, NumbersOfCode>,
    /// Newest state checkpoint whose root was computed again and found in a header: its height.
    pub state_checkpoint_height: u64,
}

/// Why a replay cannot go on.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    /// The archive is not what the rules give.
    #[error("{0:?}")]
    Finding(Box<Finding>),
    /// The replay itself failed.
    #[error("the replay failed")]
    Fault(#[from] Fault),
}

/// A finding about a block.
fn found(height: u64, rule: &'static str, expected: impl Into<String>, actual: impl Into<String>) -> Finding {
    Finding {
        height: Some(height),
        offset: None,
        statement: None,
        rule,
        expected: expected.into(),
        actual: actual.into(),
    }
}

/// Replays a chain from genesis.
struct Replayer<'s> {
    genesis: Genesis,
    kept: Kept<'s>,
    schedule: Schedule,
    /// Roots of state checkpoints by number: the newest two.
    roots: BTreeMap<u64, (u64, Hash)>,
    time_ms: i64,
    log_size: u64,
    summary: ReplaySummary,
}

/// A statement of a block at its turn: read, and perhaps verified ahead.
type Ready = (Parsed, Option<Verified>);

impl<'s> Replayer<'s> {
    /// A replay that stands at genesis, whose state is given.
    fn new(genesis: &Genesis, state: Writes, mut kept: Kept<'s>) -> Result<Self, Fault> {
        kept.write(state)?;
        let root = kept.checkpoint()?;
        let time_ms = genesis.body().time_ms;
        Ok(Self {
            genesis: genesis.clone(),
            kept,
            schedule: Schedule::genesis(time_ms),
            roots: BTreeMap::from([(0, (0, root))]),
            time_ms,
            log_size: 0,
            summary: ReplaySummary::default(),
        })
    }

    /// Replays the next block, whose statements were examined.
    ///
    /// # Errors
    /// The first difference; no further block may be replayed then.
    fn replay(&mut self, committed: &CommittedBlock, examined: Vec<Examined>) -> Result<(), ReplayError> {
        let header = &committed.body.block.header;
        let height = header.height;
        let difference = |rule: &'static str, expected: String, actual: String| {
            ReplayError::Finding(Box::new(found(height, rule, expected, actual)))
        };
        let after = format!("a time after {}", self.time_ms);
        let context = Context::new(height, header.time_ms, self.log_size)
            .ok()
            .filter(|_| header.time_ms > self.time_ms)
            .ok_or_else(|| difference("replay.time", after, header.time_ms.to_string()))?;
        let parameters: Parameters = require(&self.kept, &StateKey::parameters())?;
        let parsed = Self::read(committed, &parameters, examined)?;
        let executed = self.execute(committed, context, &parsed)?;
        Self::compare_outcomes(committed, &parsed, &executed)?;
        self.compare_sets(header, &executed)?;
        let hash = writes_hash(&executed.writes);
        if hash != header.writes_hash {
            return Err(difference("replay.writes-hash", hash.to_string(), header.writes_hash.to_string()));
        }
        let schedule = self.schedule.after(&parameters.checkpoints, height, header.time_ms, self.log_size);
        let carried = (header.state_checkpoint.height, header.state_checkpoint.root);
        let published = self.roots.get(&schedule.published()).copied();
        if published != Some(carried) {
            let text = |(height, root): (u64, Hash)| format!("height {height}, root {root}");
            let expected = published.map_or_else(|| "none".to_owned(), text);
            return Err(difference("replay.state-checkpoint", expected, text(carried)));
        }
        self.advance(committed, schedule, &parameters, &parsed, executed)
    }

    /// Takes the statements as they were read, and holds the block against its limits.
    fn read(
        committed: &CommittedBlock,
        parameters: &Parameters,
        examined: Vec<Examined>,
    ) -> Result<Vec<Ready>, ReplayError> {
        let block = &committed.body.block;
        let mut parsed = Vec::with_capacity(examined.len());
        let (mut bytes, mut work) = (0_usize, 0_u32);
        for (index, Examined { parsed: read, verified, .. }) in examined.into_iter().enumerate() {
            let read = read.map_err(|rejection| {
                let expected = format!("statement {index} well-formed");
                let finding = found(block.header.height, "replay.statement", expected, rejection.to_string());
                ReplayError::Finding(Box::new(finding))
            })?;
            bytes = bytes.saturating_add(read.statement().bytes().len());
            work = work.saturating_add(read.work());
            parsed.push((read, verified));
        }
        let limits = &parameters.limits;
        if u32::try_from(bytes).map_or(true, |bytes| bytes > limits.block_bytes_max) || work > limits.block_work_max {
            let expected = format!("at most {} bytes and {} work units", limits.block_bytes_max, limits.block_work_max);
            let actual = format!("{bytes} bytes, {work} work units");
            let finding = found(block.header.height, "replay.limits", expected, actual);
            return Err(ReplayError::Finding(Box::new(finding)));
        }
        Ok(parsed)
    }

    /// Judges and executes the statements, as a validator would.
    fn execute(&self, committed: &CommittedBlock, context: Context, parsed: &[Ready]) -> Result<Executed, ReplayError> {
        let header = &committed.body.block.header;
        let mut court = Court::sit(&self.kept, self.genesis.chain_id(), header.time_ms)?;
        let mut executor = Executor::new(&self.kept, context)?;
        for (parsed, verified) in parsed {
            let id = parsed.statement().id();
            let actual = match court.judge(parsed, verified.as_ref())? {
                Verdict::Admitted(_) => None,
                Verdict::Repeated(nonce) => Some(format!("a nonce used for {}", nonce.statement)),
                Verdict::Rejected(rejection) => Some(rejection.to_string()),
            };
            if let Some(actual) = actual {
                let mut finding = found(header.height, "replay.statement", "an admissible statement", actual);
                finding.statement = Some(id);
                return Err(ReplayError::Finding(Box::new(finding)));
            }
            executor.execute(parsed)?;
            court.take(parsed);
        }
        Ok(executor.finish())
    }

    /// The sets that headers name are those of the state before and after the block: nobody votes
    /// because a header says so.
    fn compare_sets(&self, header: &Header, executed: &Executed) -> Result<(), ReplayError> {
        let key = StateKey::validators();
        let before: ValidatorSet = require(&self.kept, &key)?;
        let after = match executed.writes.get(&key) {
            Some(stored) => decode::<ValidatorSet>(&key, stored)?,
            None => before.clone(),
        };
        for (rule, ours, theirs) in [
            ("replay.validators", before.hash(), header.validators_hash),
            ("replay.next-validators", after.hash(), header.next_validators_hash),
        ] {
            if ours != theirs {
                let finding = found(header.height, rule, ours.to_string(), theirs.to_string());
                return Err(ReplayError::Finding(Box::new(finding)));
            }
        }
        Ok(())
    }

    fn compare_outcomes(committed: &CommittedBlock, parsed: &[Ready], executed: &Executed) -> Result<(), ReplayError> {
        let height = committed.body.block.header.height;
        let text = |outcome: Option<&Outcome>| match outcome {
            Some(outcome) => format!("{} {} {}", outcome.code, outcome.subject, Hash::of(&outcome.record)),
            None => "no outcome".to_owned(),
        };
        for (index, (parsed, _)) in parsed.iter().enumerate() {
            let ours = executed.outcomes.get(index).map_or(&[][..], Vec::as_slice);
            let theirs = committed.body.outcomes.get(index).map_or(&[][..], Vec::as_slice);
            for event in 0..ours.len().max(theirs.len()) {
                let (ours, theirs) = (ours.get(event), theirs.get(event));
                if ours != theirs {
                    let expected = format!("event {event}: {}", text(ours));
                    let mut finding = found(height, "replay.outcome", expected, text(theirs));
                    finding.statement = Some(parsed.statement().id());
                    return Err(ReplayError::Finding(Box::new(finding)));
                }
            }
        }
        Ok(())
    }

    /// Moves on after a block that was found right.
    fn advance(
        &mut self,
        committed: &CommittedBlock,
        schedule: Schedule,
        parameters: &Parameters,
        parsed: &[Ready],
        executed: Executed,
    ) -> Result<(), ReplayError> {
        let header = &committed.body.block.header;
        self.count(parsed, &executed)?;
        let live_until_ms = header.time_ms.saturating_add(parameters.limits.nonce_window_ms());
        for (parsed, _) in parsed {
            self.kept.use_nonce(parsed.statement(), live_until_ms)?;
        }
        self.log_size += u64::try_from(executed.leaves.len()).unwrap_or(u64::MAX);
        self.kept.write(executed.writes)?;
        if schedule.is_due_at(header.height) {
            let root = self.kept.checkpoint()?;
            self.roots.insert(schedule.number, (header.height, root));
            self.roots.retain(|number, _| number + 1 >= schedule.number);
        }
        self.summary.state_checkpoint_height = header.state_checkpoint.height;
        self.schedule = schedule;
        self.time_ms = header.time_ms;
        Ok(())
    }

    /// Counts what a block brought, on the state that it was judged by.
    fn count(&mut self, parsed: &[Ready], executed: &Executed) -> Result<(), Fault> {
        self.summary.blocks += 1;
        let mut leaves = executed.leaves.iter();
        for ((parsed, _), outcomes) in parsed.iter().zip(&executed.outcomes) {
            let header = parsed.statement().header();
            let organisation: Organisation = require(&self.kept, &StateKey::organisation(&header.organisation))?;
            let custody = organisation.key(&header.key).map_or(&Custody::Own, |key| &key.custody);
            self.summary.statements += 1;
            self.summary.events += u64::try_from(outcomes.len()).unwrap_or(u64::MAX);
            for ((event, outcome), leaf) in parsed.events().iter().zip(outcomes).zip(leaves.by_ref()) {
                match outcome.code.as_str() {
                    ACCEPTED => {
                        self.summary.accepted += 1;
                        self.summary.accepted_by_custody.count(custody, leaf.mandated);
                        if matches!(event, Event::Issue(_) | Event::OfflineIssue(_) | Event::IssueRed(_)) {
                            self.summary.invoices += 1;
                        }
                    }
                    REPEATED => self.summary.repeated += 1,
                    code => {
                        *self.summary.refused.entry(code.to_owned()).or_default() += 1;
                        self.summary.refused_by_custody.count(custody, false);
                    }
                }
            }
        }
        Ok(())
    }

    /// Holds the months' sums, what red letters took back, what is used of quotas, the input of buyers' months, what is returned and paid, and the counters of
    /// numbers against the invoices themselves, once all blocks are replayed.
    ///
    /// # Errors
    /// The first month, quota, input, return or number that does not tie.
    fn finish(mut self, workers: &dyn Workers) -> Result<ReplaySummary, ReplayError> {
        let mut numbers = Numbers::default();
        let mut differing = sums::differing_month(&mut self.kept, &mut numbers, workers)?;
        if differing.is_none() {
            differing = red::differing_red(&mut self.kept, &numbers)?;
        }
        if differing.is_none() {
            differing = sums::differing_quota(&mut self.kept)?;
        }
        if differing.is_none() {
            differing = input::differing_input(&mut self.kept)?;
        }
        if differing.is_none() {
            differing = returns::differing_return(&mut self.kept)?;
        }
        if let Some(differing) = differing {
            return Err(at_the_end("replay.sums", differing));
        }
        match numbers.against_counters(&mut self.kept)? {
            Ok(by_code) => self.summary.numbers = by_code,
            Err(gap) => return Err(at_the_end("replay.numbers", gap)),
        }
        Ok(self.summary)
    }
}

/// A finding about no block: what all of them come to does not tie.
fn at_the_end(rule: &'static str, (record, expected, actual): sums::Difference) -> ReplayError {
    let expected = format!("{record}: {expected}");
    ReplayError::Finding(Box::new(Finding { height: None, offset: None, statement: None, rule, expected, actual }))
}
