//! The verifier: what it knows of the chain so far, and what it asks of the next block.

use super::{Finding, Level, LogEntry, Options, Report, Status};
use crate::archive::ArchiveEnd;
use crate::block::{Body, CommittedBlock, HEADER_VERSION, Header, StateCheckpoint};
use crate::checkpoint::Checkpoint;
use crate::genesis::Genesis;
use crate::hash::{Hash, StatementId};
use crate::merkle::Frontier;
use crate::statement::Statement;
use crate::suite::Suite;
use crate::validators::ValidatorSet;

/// What the verifier made of one block.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Whether nothing was found in it.
    pub clean: bool,
    /// Its statements, read. Complete exactly at [`Level::Log`] when `clean`.
    pub statements: Vec<Statement>,
}

/// Verifies a chain incrementally, from genesis on.
#[derive(Debug)]
pub struct Verifier {
    level: Level,
    options: Options,
    suite: Suite,
    /// Which of the checkpoints the log has reached the size of.
    size_judged: Vec<bool>,
    /// The set that decides the next height, as far as the blocks gave it.
    validators: ValidatorSet,
    /// The hash that the set of the next height must have.
    validators_hash: Hash,
    state_checkpoint: Option<StateCheckpoint>,
    frontier: Frontier,
    /// Set when the log could not be rebuilt; comparing roots means nothing from there on.
    log_lost: bool,
    /// The report so far; its tip is what the next block is compared with.
    report: Report,
}

/// Where findings about a block stand.
#[derive(Clone, Copy)]
struct Place {
    height: u64,
    offset: Option<u64>,
}

impl Verifier {
    /// Begins at genesis, and checks its countersignatures.
    pub fn new(genesis: &Genesis, level: Level, options: Options) -> Self {
        let validators = genesis.validator_set().clone();
        let report = Report {
            status: Status::Verified,
            chain: genesis.chain_id(),
            level: level.as_str(),
            blocks: 0,
            statements: 0,
            events: 0,
            tip_height: 0,
            tip_id: genesis.block_id(),
            tip_time_ms: genesis.time_ms(),
            log_size: 0,
            log_root: Hash::EMPTY,
            findings: Vec::new(),
            findings_omitted: 0,
            missing: Vec::new(),
        };
        let mut verifier = Self {
            level,
            suite: genesis.suite(),
            size_judged: vec![false; options.checkpoints.len()],
            options,
            validators_hash: validators.hash(),
            validators,
            state_checkpoint: None,
            frontier: Frontier::new(),
            log_lost: false,
            report,
        };
        let place = Place { height: 0, offset: None };
        if let Err(error) = genesis.verify_countersignatures() {
            verifier.find(place, error.code(), "the countersignature of every validator".to_owned(), error.to_string());
        }
        verifier.judge_checkpoints(place, None);
        verifier
    }

    /// Verifies the next block.
    pub fn push(&mut self, block: &CommittedBlock) -> Pushed {
        self.push_at(block, None)
    }

    /// Verifies the next block, which begins at this offset of an archive.
    pub fn push_at(&mut self, block: &CommittedBlock, offset: Option<u64>) -> Pushed {
        let limits = self.options.limits;
        let count = if self.level >= Level::Log { block.body.block.statements.len() } else { 0 };
        let entries = (0..count).map_while(|index| LogEntry::read(&block.body, index, &limits)).collect();
        self.push_read(block, offset, entries)
    }

    /// Verifies the next block, whose statements somebody has read already: those and no others, in their
    /// order, under the limits of this verification. Levels below the log do not look at them.
    pub fn push_read(&mut self, block: &CommittedBlock, offset: Option<u64>, entries: Vec<LogEntry>) -> Pushed {
        let before = self.found();
        let header = block.header();
        let place = Place { height: header.height, offset };
        self.check_links(place, header);
        self.check_body(place, &block.body);
        if self.level >= Level::Certificates
            && let Err(error) = block.certificate.verify_header(header, &self.validators)
        {
            self.find(place, error.code(), error.expected(), error.found());
        }
        let statements =
            if self.level >= Level::Log { self.check_log(place, &block.body, entries) } else { Vec::new() };
        self.advance(place, &block.body);
        Pushed { clean: self.found() == before, statements }
    }

    /// Ends the verification. `end` is what the chain's keeper says the blocks amount to; without
    /// it, the chain counts as incomplete.
    pub fn finish(self, end: Option<&ArchiveEnd>) -> Report {
        self.finish_at(end, None)
    }

    /// Ends the verification of an archive whose end frame begins at this offset.
    pub(super) fn finish_at(mut self, end: Option<&ArchiveEnd>, offset: Option<u64>) -> Report {
        let tip = self.report.tip_height;
        match end {
            None if self.report.missing.is_empty() => self.add_missing("the end of the archive".to_owned()),
            None => {}
            Some(end) => self.check_end(end, offset),
        }
        if let Some(height) = self.options.at_least_height.filter(|&height| height > tip) {
            self.add_missing(format!(
                "heights {} to {height}, which the chain is known to have",
                tip.saturating_add(1)
            ));
        }
        let beyond = self.options.checkpoints.iter().filter(|checkpoint| checkpoint.height > tip);
        let missing: Vec<String> = beyond
            .map(|checkpoint| format!("height {}, of which there is a log checkpoint", checkpoint.height))
            .collect();
        for what in missing {
            self.add_missing(what);
        }
        self.report
    }

    /// The report so far. Its verdict holds for the blocks pushed, not for the whole chain.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The validators that decide the next height.
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// Adds a finding of a deeper level.
    pub fn add_finding(&mut self, finding: Finding) {
        self.report.add_finding(finding);
    }

    /// Notes that part of the chain is missing.
    pub fn add_missing(&mut self, what: String) {
        self.report.add_missing(what);
    }

    fn found(&self) -> (usize, u64) {
        (self.report.findings.len(), self.report.findings_omitted)
    }

    fn find(&mut self, place: Place, rule: &'static str, expected: String, actual: String) {
        self.find_in(place, None, rule, expected, actual);
    }

    fn find_in(
        &mut self,
        Place { height, offset }: Place,
        statement: Option<StatementId>,
        rule: &'static str,
        expected: String,
        actual: String,
    ) {
        self.report.add_finding(Finding { height: Some(height), offset, statement, rule, expected, actual });
    }

    fn expect<T: PartialEq + ToString>(&mut self, place: Place, rule: &'static str, expected: &T, actual: &T) {
        if expected != actual {
            self.find(place, rule, expected.to_string(), actual.to_string());
        }
    }

    /// What a header says about the one before.
    fn check_links(&mut self, place: Place, header: &Header) {
        let height = self.report.tip_height.saturating_add(1);
        self.expect(place, "links.height", &height, &header.height);
        let (parent, chain) = (self.report.tip_id, self.report.chain.clone());
        self.expect(place, "links.parent", &parent, &header.parent);
        self.expect(place, "links.chain", &chain, &header.chain);
        self.expect(place, "links.version", &HEADER_VERSION, &header.version);
        let (suite, validators_hash) = (self.suite, self.validators_hash);
        self.expect(place, "links.suite", &suite, &header.suite);
        self.expect(place, "links.validators", &validators_hash, &header.validators_hash);
        let before_ms = self.report.tip_time_ms;
        if header.time_ms <= before_ms {
            self.find(place, "links.time", format!("a time above {before_ms} ms"), format!("{} ms", header.time_ms));
        }
        if self.validators.get(&header.proposer).is_none() {
            self.find(place, "links.proposer", "a validator of this height".to_owned(), header.proposer.to_string());
        }
        self.check_state_checkpoint(place, header);
    }

    /// State checkpoints are of earlier heights, and only ever move on.
    fn check_state_checkpoint(&mut self, place: Place, header: &Header) {
        let rule = "links.state-checkpoint";
        let StateCheckpoint { height, root } = header.state_checkpoint;
        if height >= header.height {
            self.find(place, rule, "a checkpoint of an earlier height".to_owned(), format!("height {height}"));
        }
        let Some(before) = self.state_checkpoint.replace(header.state_checkpoint) else {
            return;
        };
        if height < before.height {
            self.find(place, rule, format!("height {} or above", before.height), format!("height {height}"));
        } else if height == before.height && root != before.root {
            self.find(place, rule, format!("root {}, as before", before.root), format!("root {root}"));
        }
    }

    /// What a header says about its own block.
    fn check_body(&mut self, place: Place, body: &Body) {
        if let Err(error) = body.check_shape() {
            self.find(place, error.code(), error.expected(), error.found());
        }
        let size = self.report.log_size.saturating_add(body.event_count());
        self.expect(place, "links.log-size", &size, &body.header().log_size);
    }

    /// Appends the leaves of the block, and compares the log's root with the header's.
    fn check_log(&mut self, place: Place, body: &Body, entries: Vec<LogEntry>) -> Vec<Statement> {
        let mut statements = Vec::with_capacity(entries.len());
        for ((number, entry), outcomes) in (0..).zip(entries).zip(&body.outcomes) {
            let LogEntry { statement, leaves } = entry;
            let statement: Statement = match statement {
                Ok(statement) => statement,
                Err(error) => {
                    self.log_lost = true;
                    let actual = format!("{error}, in statement {number} of the block");
                    self.find(place, error.code(), error.expected(), actual);
                    continue;
                }
            };
            if statement.event_count() != outcomes.len() {
                self.log_lost = true;
                let expected = format!("{} outcomes, one for each event", statement.event_count());
                let rule = "log.outcome-count";
                self.find_in(place, Some(statement.id()), rule, expected, outcomes.len().to_string());
            }
            for leaf in leaves {
                // A full log is lost too; no chain comes near it.
                self.log_lost |= self.frontier.append(leaf).is_err();
            }
            statements.push(statement);
        }
        if !self.log_lost {
            let (root, size) = (self.frontier.root(), self.frontier.size());
            let header = body.header();
            self.log_lost = root != header.log_root || size != header.log_size;
            self.expect(place, "log.root", &root, &header.log_root);
        }
        statements
    }

    /// Goes on from what the block says, whether or not it should say so.
    fn advance(&mut self, place: Place, body: &Body) {
        let header = body.header();
        let size_before = self.report.log_size;
        let report = &mut self.report;
        report.blocks = report.blocks.saturating_add(1);
        report.statements = report.statements.saturating_add(body.statement_count());
        report.events = report.events.saturating_add(body.event_count());
        report.tip_height = header.height;
        report.tip_id = header.id();
        report.tip_time_ms = header.time_ms;
        report.log_size = header.log_size;
        report.log_root = header.log_root;
        self.validators_hash = header.next_validators_hash;
        if let Some(set) = &body.block.next_validators
            && set.hash() == header.next_validators_hash
        {
            self.validators = set.clone();
        }
        self.judge_checkpoints(place, Some(size_before));
    }

    /// Compares the tip with the checkpoints that it reaches.
    fn judge_checkpoints(&mut self, place: Place, size_before: Option<u64>) {
        for number in 0..self.options.checkpoints.len() {
            let Some(checkpoint) = self.options.checkpoints.get(number).cloned() else {
                continue;
            };
            if size_before.is_none() {
                let chain = self.report.chain.clone();
                self.expect(place, "checkpoint.chain", &chain, &checkpoint.chain);
            }
            self.judge_size(place, number, &checkpoint);
            if self.report.tip_height == checkpoint.height {
                let Report { tip_id, tip_time_ms, log_size, .. } = self.report;
                self.expect(place, "checkpoint.block-id", &checkpoint.block_id, &tip_id);
                self.expect(place, "checkpoint.size", &checkpoint.size, &log_size);
                self.expect(place, "checkpoint.time", &checkpoint.time_ms, &tip_time_ms);
            }
        }
    }

    /// Compares the root once the log reaches the checkpoint's size, which some block must end at.
    fn judge_size(&mut self, place: Place, number: usize, checkpoint: &Checkpoint) {
        let Some(judged) = self.size_judged.get_mut(number) else {
            return;
        };
        if *judged || self.report.log_size < checkpoint.size {
            return;
        }
        *judged = true;
        let (size, root) = (self.report.log_size, self.report.log_root);
        if size == checkpoint.size {
            self.expect(place, "checkpoint.root", &checkpoint.root, &root);
        } else {
            self.find(
                place,
                "checkpoint.size",
                format!("a block that ends at leaf {}", checkpoint.size),
                size.to_string(),
            );
        }
    }

    fn check_end(&mut self, end: &ArchiveEnd, offset: Option<u64>) {
        let place = Place { height: self.report.tip_height, offset };
        let Report { blocks, tip_height, tip_id, log_size, log_root, .. } = self.report;
        self.expect(place, "archive.end-blocks", &blocks, &end.blocks);
        self.expect(place, "archive.end-height", &tip_height, &end.tip_height);
        self.expect(place, "archive.end-tip", &tip_id, &end.tip);
        self.expect(place, "archive.end-log-size", &log_size, &end.log_size);
        self.expect(place, "archive.end-log-root", &log_root, &end.log_root);
    }
}
