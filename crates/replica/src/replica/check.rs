//! Checking: whether somebody's block is what this node would decide on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chain::block::{Block, Body, Header};
use chain::hash::Hash;
use ledger::admission::{Court, Parsed, Verdict, Verified};
use ledger::execute::Executor;
use ledger::parallel::{Workers, map};

use super::{Check, Checked, Fault, Invalid, Replica, TIMELINESS_MS};
use crate::mempool::Mempool;
use crate::port::Store;
use crate::view::StoreView;

impl<S: Store> Replica<S> {
    /// Judges a block that somebody proposed, or that was synced.
    ///
    /// `received_ms` is this node's clock for a fresh proposal (timeliness is judged once, when
    /// `pol_round` is nil), and `None` for re-proposals and synced blocks. Statements that wait in the
    /// mempool were read and verified when they came in, and are not verified again.
    ///
    /// # Errors
    /// A fault of ours; what is wrong with the block is a verdict.
    pub fn check(&mut self, block: &Block, received_ms: Option<i64>, mempool: &Mempool) -> Result<Check, Fault> {
        let header = &block.header;
        let next = self.tip.progress.height + 1;
        if header.height > next {
            return Ok(Check::Ahead);
        }
        if header.height < next && self.store.decided(header.height)?.is_some_and(|decided| decided.id == header.id()) {
            return Ok(Check::Committed);
        }
        if let Some(now_ms) = received_ms
            && header.time_ms.abs_diff(now_ms) > TIMELINESS_MS.unsigned_abs()
        {
            let expected = format!("within {TIMELINESS_MS} ms of {now_ms}");
            return Ok(Check::Invalid(Invalid::new("time", &expected, &header.time_ms)));
        }
        // The whole block, not its id alone: another body under a known header is not what was checked.
        if self.candidates.iter().any(|checked| checked.body.block == *block) {
            return Ok(Check::Valid);
        }
        // Before a block is decided a panic is a verdict: this validator votes nil and lives.
        let examined = catch_unwind(AssertUnwindSafe(|| self.examine(block, mempool))).unwrap_or_else(|_| {
            tracing::error!(block = %header.id(), height = header.height, "checking a proposed block panicked");
            Ok(Err(Invalid::new("block", &"one that can be executed", &"a panic")))
        });
        // So are sums that leave their range: who proposes such a statement drops it.
        let examined = match examined {
            Err(fault) => {
                let why = fault.of_sums().ok_or(fault)?;
                tracing::error!(block = %header.id(), height = header.height, why, "a proposed block cannot be executed");
                Err(Invalid::new("block", &"one that can be executed", &why))
            }
            Ok(examined) => examined,
        };
        match examined {
            Ok(checked) => {
                self.keep(checked)?;
                Ok(Check::Valid)
            }
            Err(invalid) => Ok(Check::Invalid(invalid)),
        }
    }

    fn examine(&self, block: &Block, mempool: &Mempool) -> Result<Result<Checked, Invalid>, Fault> {
        let header = &block.header;
        let hashes = block.statement_hashes();
        if let Err(invalid) = self.examine_header(block, &hashes) {
            return Ok(Err(invalid));
        }
        let (parsed, waiting) = match self.read_known(block, &hashes, mempool) {
            Ok(read) => read,
            Err(invalid) => return Ok(Err(invalid)),
        };
        let place = self.place(header.time_ms)?;
        let view = StoreView(&*self.store);
        let mut court = self.court(&view, header.time_ms)?;
        let limits = court.parameters().limits.clone();
        let work = parsed.iter().fold(0_u32, |work, parsed| work.saturating_add(parsed.work()));
        if work > limits.block_work_max {
            return Ok(Err(Invalid::new("work units", &format!("at most {}", limits.block_work_max), &work)));
        }
        let verified = self.verify_unknown(&court, &parsed, &waiting)?;
        let mut executor = Executor::new(&view, self.context(&place)?)?;
        for (parsed, verified) in parsed.iter().zip(&verified) {
            let id = parsed.statement().id();
            match court.judge(parsed, verified.as_ref())? {
                Verdict::Admitted(_) => {}
                Verdict::Repeated(nonce) => {
                    return Ok(Err(Invalid::new("statement", &"a fresh nonce", &nonce.statement)));
                }
                Verdict::Rejected(rejection) => {
                    return Ok(Err(Invalid::new("statement", &format!("{id} admissible"), &rejection)));
                }
            }
            executor.execute(parsed)?;
            court.take(parsed);
        }
        let executed = executor.finish();
        let parsed: Vec<&Parsed> = parsed.iter().collect();
        // The root was held against these very bytes above.
        let checked = self.assemble(&place, &header.proposer, &parsed, header.statements_root, executed);
        if let Some(invalid) = differing(&checked.body.block.header, header) {
            return Ok(Err(invalid));
        }
        Ok(match checked.body.check_outcomes() {
            Ok(()) => Ok(checked),
            Err(error) => Err(Invalid::new("outcomes", &"outcomes within their limits", &error)),
        })
    }

    /// Reads a block's statements; with those that wait here, byte for byte, comes what was verified of them.
    fn read_known(
        &self,
        block: &Block,
        hashes: &[Hash],
        mempool: &Mempool,
    ) -> Result<(Vec<Parsed>, Vec<Option<Verified>>), Invalid> {
        let waiting = mempool.waiting(hashes);
        let read = map(&*self.workers, &waiting, |index, waiting| match waiting {
            Some(entry) => Ok((entry.parsed.clone(), Some(entry.verified.clone()))),
            None => read(&block.statements[index]).map(|parsed| (parsed, None)),
        });
        read.into_iter().collect::<Result<Vec<_>, _>>().map(|read| read.into_iter().unzip())
    }

    /// Verifies what was not verified before, several statements at once.
    fn verify_unknown(
        &self,
        court: &Court<'_>,
        parsed: &[Parsed],
        waiting: &[Option<Verified>],
    ) -> Result<Vec<Option<Verified>>, Fault> {
        let unknown: Vec<&Parsed> =
            parsed.iter().zip(waiting).filter_map(|(parsed, known)| known.is_none().then_some(parsed)).collect();
        let mut fresh = court.verify_together(&unknown, &*self.workers)?.into_iter();
        Ok(waiting.iter().map(|known| known.clone().or_else(|| fresh.next().flatten())).collect())
    }

    /// What can be told from the header alone and the parent.
    fn examine_header(&self, block: &Block, statement_hashes: &[Hash]) -> Result<(), Invalid> {
        let header = &block.header;
        let parent = &self.tip.progress;
        let expect = |what, fits: bool, expected: String, found: String| {
            if fits { Ok(()) } else { Err(Invalid { what, expected, found }) }
        };
        let height = parent.height + 1;
        expect("height", header.height == height, height.to_string(), header.height.to_string())?;
        expect("parent", header.parent == parent.id, parent.id.to_string(), header.parent.to_string())?;
        let after = format!("after {}", parent.time_ms);
        expect("time", header.time_ms > parent.time_ms, after, header.time_ms.to_string())?;
        let calendar = invoice::Date::from_unix_ms(header.time_ms).is_ok();
        expect("time", calendar, "a time in the calendar".to_owned(), header.time_ms.to_string())?;
        let member = self.tip.validators.get(&header.proposer).is_some();
        expect("proposer", member, "a validator".to_owned(), header.proposer.to_string())?;
        let bytes: usize = block.statements.iter().map(Vec::len).fold(0, usize::saturating_add);
        let max = self.tip.parameters().limits.block_bytes_max;
        let fits = u32::try_from(bytes).is_ok_and(|bytes| bytes <= max);
        expect("bytes of statements", fits, format!("at most {max}"), bytes.to_string())?;
        block.check_shape_by(statement_hashes).map_err(|error| Invalid::new("shape", &"a well-formed block", &error))
    }

    /// Executes a decided block again, without judging its statements: it was certified, and its
    /// bytes are what this node wrote.
    pub(crate) fn execute_decided(&self, decided: &DecidedBlock) -> Result<Checked, Fault> {
        let DecidedBlock { body, parsed } = decided;
        let header = &body.block.header;
        let damaged = |what: String| Fault::Ledger { height: header.height, what };
        self.examine_header(&body.block, &body.block.statement_hashes())
            .map_err(|invalid| damaged(invalid.to_string()))?;
        let place = self.place(header.time_ms)?;
        let view = StoreView(&*self.store);
        let mut executor = Executor::new(&view, self.context(&place)?)?;
        for parsed in parsed {
            executor.execute(parsed)?;
        }
        let parsed: Vec<&Parsed> = parsed.iter().collect();
        let root = header.statements_root;
        let checked = self.assemble(&place, &header.proposer, &parsed, root, executor.finish());
        match differing(&checked.body.block.header, header) {
            None => Ok(checked),
            Some(Invalid { what, expected, found }) => {
                Err(Fault::Diverged { height: header.height, what, ours: expected, decided: found })
            }
        }
    }
}

/// A decided block with its statements read.
pub(crate) struct DecidedBlock {
    body: Body,
    parsed: Vec<Parsed>,
}

impl DecidedBlock {
    /// Reads the statements of a body, several at once.
    pub(crate) fn read(body: Body, workers: &dyn Workers) -> Result<Self, Fault> {
        let height = body.block.header.height;
        let parsed = read_statements(&body.block, workers)
            .map_err(|invalid| Fault::Ledger { height, what: invalid.to_string() })?;
        Ok(Self { body, parsed })
    }
}

/// Reads the statements of a block, several at once.
pub(super) fn read_statements(block: &Block, workers: &dyn Workers) -> Result<Vec<Parsed>, Invalid> {
    map(workers, &block.statements, |_, bytes| read(bytes)).into_iter().collect()
}

fn read(bytes: &[u8]) -> Result<Parsed, Invalid> {
    Parsed::read(bytes).map_err(|error| Invalid::new("statement", &"a well-formed statement", &error))
}

/// The first field in which a header differs from what this node computes.
fn differing(ours: &Header, theirs: &Header) -> Option<Invalid> {
    let hash = |what, ours: &Hash, theirs: &Hash| (ours != theirs).then(|| Invalid::new(what, &ours, &theirs));
    let number = |what, ours: u64, theirs: u64| (ours != theirs).then(|| Invalid::new(what, &ours, &theirs));
    number("version", ours.version.into(), theirs.version.into())
        .or_else(|| (ours.chain != theirs.chain).then(|| Invalid::new("chain", &ours.chain, &theirs.chain)))
        .or_else(|| hash("statements root", &ours.statements_root, &theirs.statements_root))
        .or_else(|| number("statement count", ours.statement_count.into(), theirs.statement_count.into()))
        .or_else(|| number("log size", ours.log_size, theirs.log_size))
        .or_else(|| hash("log root", &ours.log_root, &theirs.log_root))
        .or_else(|| hash("writes hash", &ours.writes_hash, &theirs.writes_hash))
        .or_else(|| {
            let (ours, theirs) = (&ours.state_checkpoint, &theirs.state_checkpoint);
            number("height of the state checkpoint", ours.height, theirs.height)
                .or_else(|| hash("root of the state checkpoint", &ours.root, &theirs.root))
        })
        .or_else(|| hash("validators hash", &ours.validators_hash, &theirs.validators_hash))
        .or_else(|| hash("next validators hash", &ours.next_validators_hash, &theirs.next_validators_hash))
        // Whatever else a header may hold one day: the ids decide.
        .or_else(|| hash("block id", &ours.id().hash(), &theirs.id().hash()))
}
