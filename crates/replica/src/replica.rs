//! The replica: propose, check, commit. One thread owns it; a BFT engine on top asks and obeys.
//!
//! A block is executed once, when it is proposed here or checked here, and committed from what that
//! execution produced. Its body is durable before [`Replica::check`] or [`Replica::propose`]
//! answers, because a validator votes on the answer. Commit is one straight path: certificate,
//! ledger (durable from here), index, tip.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, RwLock};

use chain::block::{Block, BlockId, Body, Header, StateCheckpoint, statements_root};
use chain::certificate::CommitCertificate;
use chain::genesis::Genesis;
use chain::hash::{Hash, StatementId};
use chain::identity::ChainId;
use chain::key::PublicKey;
use chain::suite::Suite;
use chain::tile::RightEdge;
use chain::validators::ValidatorSet;
use ledger::admission::{Court, Parsed, Rejection, Verdict};
use ledger::execute::{Context, Executed, Executor};
use ledger::parameters::Parameters;
use ledger::schedule::Schedule;
use ledger::state::{self, StateKey, require, writes_hash};

use crate::checkpoint;
use crate::index::{BlockRows, Progress, StatementRef};
use crate::mempool::{Entry, Mempool};
use crate::port::{Decided, Store, StoreFault};
use crate::view::StoreView;

/// The version of the rules, from block 1 on.
pub const VERSION: u16 = 1;

/// How far from a validator's clock the time of a fresh proposal may be, ms.
pub const TIMELINESS_MS: i64 = 5_000;

/// Candidate blocks of one height kept at most: proposals of as many rounds.
const CANDIDATES_MAX: usize = 64;

/// A fault of ours: the process stops, and only recovery decides what is true.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreFault),
    /// State could not be read, or the rules found it broken.
    #[error("the state failed")]
    State(#[from] state::Fault),
    /// What was decided is not what this node computes. Nobody else is to blame.
    #[error("at height {height} this node computes {what} {ours}, and the decided block says {decided}")]
    Diverged {
        /// The height.
        height: u64,
        /// What differs.
        what: &'static str,
        /// What this node computes.
        ours: String,
        /// What was decided.
        decided: String,
    },
    /// The engine decided a block this node never checked.
    #[error("block {id} was decided at height {height} without having been checked")]
    NeverChecked {
        /// The height.
        height: u64,
        /// The block.
        id: BlockId,
    },
    /// The engine decided on a certificate that does not hold.
    #[error("the certificate for height {height} does not hold")]
    Certificate {
        /// The height.
        height: u64,
        /// Why not.
        #[source]
        source: chain::certificate::CertificateError,
    },
    /// The ledger is not what this node wrote, or lost something.
    #[error("the ledger is damaged at height {height}: {what}")]
    Ledger {
        /// The height.
        height: u64,
        /// What is wrong.
        what: String,
    },
    /// The genesis cannot be started from.
    #[error("genesis cannot be started from")]
    Genesis(#[from] ledger::genesis::GenesisError),
}

/// Where the chain stands: what the next block is built on.
#[derive(Clone, Debug)]
pub struct Tip {
    /// How far it has come.
    pub progress: Progress,
    /// The validator set of the next block.
    pub validators: ValidatorSet,
    /// The parameters in force for the next block.
    pub parameters: Parameters,
}

/// The tip, for readers.
pub type SharedTip = Arc<RwLock<Arc<Tip>>>;

/// A block about to be proposed.
#[derive(Debug)]
pub struct Proposal {
    /// The block; its body is durable.
    pub block: Block,
    /// Statements that turned out to be inadmissible, out of the mempool now.
    pub dropped: Vec<(StatementId, Dropped)>,
}

/// Why a waiting statement was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is wrong in itself, by now.
    Rejected(Box<Rejection>),
    /// The same payload was decided under its nonce: this statement.
    Repeated(StatementId),
    /// Executing it panicked; it is quarantined.
    Quarantined,
}

/// The verdict on somebody's block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is what this node would decide on; its body is durable.
    Valid,
    /// It is not.
    Invalid(Invalid),
}

/// Why a block is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: expected {expected}, found {found}")]
pub struct Invalid {
    /// What is wrong.
    pub what: &'static str,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Invalid {
    pub(crate) fn new(what: &'static str, expected: &dyn Display, found: &dyn Display) -> Self {
        Self {
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// A committed block, for those who wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub id: BlockId,
    /// Its time, ms UTC.
    pub time_ms: i64,
    /// Its statements, in order.
    pub statements: Vec<StatementId>,
    /// How many events they hold.
    pub events: usize,
}

/// A block that was executed and may be committed.
pub(crate) struct Checked {
    pub(crate) body: Body,
    pub(crate) executed: Executed,
    pub(crate) statements: Vec<StatementRef>,
    pub(crate) edge: RightEdge,
    pub(crate) progress: Progress,
}

/// One node's replica of the chain.
pub struct Replica<S: Store> {
    pub(crate) store: Arc<S>,
    pub(crate) chain: ChainId,
    pub(crate) suite: Suite,
    pub(crate) edge: RightEdge,
    pub(crate) tip: Arc<Tip>,
    pub(crate) shared: SharedTip,
    pub(crate) checked: BTreeMap<BlockId, Checked>,
}

impl<S: Store> std::fmt::Debug for Replica<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("chain", &self.chain)
            .field("tip", &self.tip.progress)
            .finish_non_exhaustive()
    }
}

/// The time and place of a block that is being built or looked at.
struct Place {
    height: u64,
    time_ms: i64,
    schedule: Schedule,
    state_checkpoint: StateCheckpoint,
}

impl<S: Store> Replica<S> {
    /// Where the chain stands.
    pub fn tip(&self) -> &Arc<Tip> {
        &self.tip
    }

    /// The chain.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// The tip as readers see it: replaced after every commit.
    pub fn shared_tip(&self) -> SharedTip {
        Arc::clone(&self.shared)
    }

    /// Builds a block on the tip from what waits, at the given time (ms UTC) or just after the parent.
    ///
    /// Deterministic but for the mempool. The body is durable when this returns.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn propose(&mut self, now_ms: i64, proposer: &PublicKey, mempool: &Mempool) -> Result<Proposal, Fault> {
        let mut dropped = Vec::new();
        loop {
            match self.build(now_ms, proposer, mempool, &mut dropped)? {
                Ok(checked) => {
                    let block = checked.body.block.clone();
                    self.keep(checked)?;
                    mempool.remove(dropped.iter().map(|(id, _)| id));
                    return Ok(Proposal { block, dropped });
                }
                // The executor is of no use after a panic; begin again without the statement.
                Err(Panicked(id)) => {
                    tracing::error!(statement = %id, "executing a statement panicked; quarantined");
                    mempool.quarantine(id);
                    dropped.push((id, Dropped::Quarantined));
                }
            }
        }
    }

    fn build(
        &self,
        now_ms: i64,
        proposer: &PublicKey,
        mempool: &Mempool,
        dropped: &mut Vec<(StatementId, Dropped)>,
    ) -> Result<Result<Checked, Panicked>, Fault> {
        let place = self.place(now_ms.max(self.tip.progress.time_ms + 1))?;
        let limits = &self.tip.parameters.limits;
        let bytes_max = usize::try_from(limits.block_bytes_max).unwrap_or(usize::MAX);
        let view = StoreView(&*self.store);
        let mut court = Court::sit(&view, self.chain.clone(), place.time_ms)?;
        let mut executor = Executor::new(&view, self.context(&place)?)?;
        let mut chosen = Vec::new();
        for entry in mempool.candidates(bytes_max, limits.block_work_max) {
            let id = entry.parsed.statement().id();
            if dropped.iter().any(|(gone, _)| *gone == id) {
                continue;
            }
            match court.judge(&entry.parsed, Some(&entry.verified))? {
                Verdict::Admitted(_) => {}
                Verdict::Repeated(nonce) => {
                    dropped.push((id, Dropped::Repeated(nonce.statement)));
                    continue;
                }
                Verdict::Rejected(rejection) => {
                    dropped.push((id, Dropped::Rejected(rejection)));
                    continue;
                }
            }
            if let Err(panicked) = execute(&mut executor, &entry.parsed)? {
                return Ok(Err(panicked));
            }
            court.take(&entry.parsed);
            chosen.push(entry);
        }
        let executed = executor.finish();
        let parsed: Vec<&Parsed> = chosen.iter().map(|entry: &Arc<Entry>| &entry.parsed).collect();
        Ok(Ok(self.assemble(&place, proposer, &parsed, executed)))
    }

    /// Judges a block that somebody proposed, or that was synced.
    ///
    /// `received_ms` is this node's clock for a fresh proposal (timeliness is judged once, when
    /// `pol_round` is nil), and `None` for re-proposals and synced blocks.
    ///
    /// # Errors
    /// A fault of ours; what is wrong with the block is a verdict.
    pub fn check(&mut self, block: &Block, received_ms: Option<i64>) -> Result<Check, Fault> {
        let header = &block.header;
        if let Some(now_ms) = received_ms
            && header.time_ms.abs_diff(now_ms) > TIMELINESS_MS.unsigned_abs()
        {
            let expected = format!("within {TIMELINESS_MS} ms of {now_ms}");
            return Ok(Check::Invalid(Invalid::new("time", &expected, &header.time_ms)));
        }
        if self.checked.contains_key(&header.id()) {
            return Ok(Check::Valid);
        }
        match self.examine(block)? {
            Ok(checked) => {
                self.keep(checked)?;
                Ok(Check::Valid)
            }
            Err(invalid) => Ok(Check::Invalid(invalid)),
        }
    }

    fn examine(&self, block: &Block) -> Result<Result<Checked, Invalid>, Fault> {
        let header = &block.header;
        if let Err(invalid) = self.examine_header(block) {
            return Ok(Err(invalid));
        }
        let parsed = match read_statements(block) {
            Ok(parsed) => parsed,
            Err(invalid) => return Ok(Err(invalid)),
        };
        let place = self.place(header.time_ms)?;
        let view = StoreView(&*self.store);
        let mut court = Court::sit(&view, self.chain.clone(), header.time_ms)?;
        let limits = court.parameters().limits.clone();
        let work = parsed
            .iter()
            .fold(0_u32, |work, parsed| work.saturating_add(parsed.work()));
        if work > limits.block_work_max {
            return Ok(Err(Invalid::new(
                "work units",
                &format!("at most {}", limits.block_work_max),
                &work,
            )));
        }
        let mut executor = Executor::new(&view, self.context(&place)?)?;
        for parsed in &parsed {
            let id = parsed.statement().id();
            match court.judge(parsed, None)? {
                Verdict::Admitted(_) => {}
                Verdict::Repeated(nonce) => {
                    return Ok(Err(Invalid::new("statement", &"a fresh nonce", &nonce.statement)));
                }
                Verdict::Rejected(rejection) => {
                    return Ok(Err(Invalid::new("statement", &format!("{id} admissible"), &rejection)));
                }
            }
            if let Err(Panicked(id)) = execute(&mut executor, parsed)? {
                // Before a block is decided a panic is a verdict: this validator votes nil.
                tracing::error!(statement = %id, "executing a proposed statement panicked");
                return Ok(Err(Invalid::new("statement", &"one that can be executed", &id)));
            }
            court.take(parsed);
        }
        let executed = executor.finish();
        let parsed: Vec<&Parsed> = parsed.iter().collect();
        let checked = self.assemble(&place, &header.proposer, &parsed, executed);
        Ok(match differing(&checked.body.block.header, header) {
            None => Ok(checked),
            Some(invalid) => Err(invalid),
        })
    }

    /// What can be told from the header alone and the parent.
    fn examine_header(&self, block: &Block) -> Result<(), Invalid> {
        let header = &block.header;
        let parent = &self.tip.progress;
        let expect = |what, fits: bool, expected: String, found: String| {
            if fits {
                Ok(())
            } else {
                Err(Invalid { what, expected, found })
            }
        };
        let height = parent.height + 1;
        expect(
            "height",
            header.height == height,
            height.to_string(),
            header.height.to_string(),
        )?;
        expect(
            "parent",
            header.parent == parent.id,
            parent.id.to_string(),
            header.parent.to_string(),
        )?;
        let after = format!("after {}", parent.time_ms);
        expect(
            "time",
            header.time_ms > parent.time_ms,
            after,
            header.time_ms.to_string(),
        )?;
        let calendar = invoice::Date::from_unix_ms(header.time_ms).is_ok();
        expect(
            "time",
            calendar,
            "a time in the calendar".to_owned(),
            header.time_ms.to_string(),
        )?;
        let member = self.tip.validators.get(&header.proposer).is_some();
        expect(
            "proposer",
            member,
            "a validator".to_owned(),
            header.proposer.to_string(),
        )?;
        let bytes: usize = block.statements.iter().map(Vec::len).fold(0, usize::saturating_add);
        let max = self.tip.parameters.limits.block_bytes_max;
        let fits = u32::try_from(bytes).is_ok_and(|bytes| bytes <= max);
        expect("bytes of statements", fits, format!("at most {max}"), bytes.to_string())?;
        block
            .check_shape()
            .map_err(|error| Invalid::new("shape", &"a well-formed block", &error))
    }

    /// Time, schedule and published checkpoint of a block on the tip. Waits for a checkpoint that
    /// is due to be published and still being computed.
    fn place(&self, time_ms: i64) -> Result<Place, Fault> {
        let parent = &self.tip.progress;
        let height = parent.height + 1;
        let rules = &self.tip.parameters.checkpoints;
        let schedule = parent.schedule.after(rules, height, time_ms, parent.log_size);
        let state_checkpoint = if schedule.published() == parent.schedule.published() {
            parent.state_checkpoint
        } else {
            checkpoint::published(&*self.store, schedule.published())?
        };
        Ok(Place {
            height,
            time_ms,
            schedule,
            state_checkpoint,
        })
    }

    fn context(&self, place: &Place) -> Result<Context, Fault> {
        Context::new(place.height, place.time_ms, self.tip.progress.log_size).map_err(|error| Fault::Ledger {
            height: place.height,
            what: error.to_string(),
        })
    }

    /// Forms block, body and progress from what was executed.
    fn assemble(&self, place: &Place, proposer: &PublicKey, parsed: &[&Parsed], executed: Executed) -> Checked {
        let Place {
            height,
            time_ms,
            schedule,
            state_checkpoint,
        } = *place;
        let mut edge = self.edge.clone();
        for leaf in &executed.leaves {
            edge.append(leaf.hash).expect("a log of 2^64 leaves is out of reach");
        }
        let statements: Vec<Vec<u8>> = parsed
            .iter()
            .map(|parsed| parsed.statement().bytes().to_vec())
            .collect();
        let validators_hash = self.tip.validators.hash();
        let header = Header {
            version: VERSION,
            suite: self.suite,
            chain: self.chain.clone(),
            height,
            parent: self.tip.progress.id,
            time_ms,
            proposer: *proposer,
            statements_root: statements_root(&statements),
            statement_count: u32::try_from(statements.len()).expect("a block has fewer than 2^32 statements"),
            log_root: edge.root(),
            log_size: edge.size(),
            writes_hash: writes_hash(&executed.writes),
            state_checkpoint,
            validators_hash,
            // No event of these rules changes the set.
            next_validators_hash: validators_hash,
        };
        let progress = Progress {
            height,
            id: header.id(),
            time_ms,
            log_size: header.log_size,
            log_root: header.log_root,
            schedule,
            state_checkpoint,
        };
        let block = Block {
            header,
            statements,
            next_validators: None,
        };
        let body = Body {
            block,
            outcomes: executed.outcomes.clone(),
        };
        let statements = parsed.iter().map(|parsed| statement_ref(parsed)).collect();
        Checked {
            body,
            executed,
            statements,
            edge,
            progress,
        }
    }

    /// Makes a body durable and remembers what executing it produced.
    fn keep(&mut self, checked: Checked) -> Result<(), Fault> {
        let id = checked.progress.id;
        self.store
            .put_body(checked.progress.height, &id, &checked.body.encode())?;
        if self.checked.len() >= CANDIDATES_MAX {
            self.checked.pop_first();
        }
        self.checked.insert(id, checked);
        Ok(())
    }

    /// Makes a decided block final on this node, and visible, in that order.
    ///
    /// # Errors
    /// A fault: what reached the disk is unknown, and only recovery may decide.
    pub fn commit(&mut self, certificate: &CommitCertificate) -> Result<Committed, Fault> {
        let height = self.tip.progress.height + 1;
        assert_eq!(certificate.height, height, "the engine decided another height");
        // Checked again although the engine checked it: this is the last place before the disk.
        certificate
            .verify(&self.chain, self.suite, &self.tip.validators)
            .map_err(|source| Fault::Certificate { height, source })?;
        let id = certificate.block_id;
        let checked = self.checked.remove(&id).ok_or(Fault::NeverChecked { height, id })?;
        // From here on the block is final on this node.
        self.store.append(
            height,
            &Decided {
                id,
                certificate: certificate.encode(),
            },
        )?;
        self.checked.clear();
        let statements = checked.statements.iter().map(|statement| statement.id).collect();
        let committed = Committed {
            height,
            id,
            time_ms: checked.progress.time_ms,
            statements,
            events: checked.executed.leaves.len(),
        };
        self.apply(checked)?;
        Ok(committed)
    }

    /// Applies a final block to the index and moves the tip. Recovery comes this way too.
    pub(crate) fn apply(&mut self, checked: Checked) -> Result<(), Fault> {
        let Checked {
            body,
            executed,
            statements,
            mut edge,
            progress,
        } = checked;
        let parameters = &self.tip.parameters;
        let window_ms = parameters.limits.nonce_window_ms();
        let tiles = edge.take_dirty();
        let rows = BlockRows {
            body: &body,
            statements: &statements,
            executed: &executed,
            tiles,
            progress: &progress,
            nonce_window_ms: window_ms,
        };
        let mut rows = rows.rows();
        checkpoint::expire_nonces(&*self.store, progress.time_ms, &mut rows)?;
        self.store.apply(progress.height, rows)?;
        if progress.schedule.is_due_at(progress.height) {
            checkpoint::begin(&*self.store, &progress)?;
        }
        self.edge = edge;
        self.tip = Arc::new(tip_from(&*self.store, progress)?);
        *self.shared.write().expect("nothing panics while it holds the tip") = Arc::clone(&self.tip);
        Ok(())
    }

    /// Executes a decided block again, without judging its statements: it was certified, and its
    /// bytes are what this node wrote.
    pub(crate) fn execute_decided(&self, body: &Body) -> Result<Checked, Fault> {
        let header = &body.block.header;
        let damaged = |what: String| Fault::Ledger {
            height: header.height,
            what,
        };
        self.examine_header(&body.block)
            .map_err(|invalid| damaged(invalid.to_string()))?;
        let parsed = read_statements(&body.block).map_err(|invalid| damaged(invalid.to_string()))?;
        let place = self.place(header.time_ms)?;
        let view = StoreView(&*self.store);
        let mut executor = Executor::new(&view, self.context(&place)?)?;
        for parsed in &parsed {
            executor.execute(parsed)?;
        }
        let parsed: Vec<&Parsed> = parsed.iter().collect();
        let checked = self.assemble(&place, &header.proposer, &parsed, executor.finish());
        match differing(&checked.body.block.header, header) {
            None => Ok(checked),
            Some(Invalid { what, expected, found }) => Err(Fault::Diverged {
                height: header.height,
                what,
                ours: expected,
                decided: found,
            }),
        }
    }
}

/// Executing a statement panicked.
struct Panicked(StatementId);

/// Executes a statement; a panic is caught, because one statement must not kill every validator
/// again and again. After one the executor must not be used.
fn execute(executor: &mut Executor<'_>, parsed: &Parsed) -> Result<Result<(), Panicked>, Fault> {
    match catch_unwind(AssertUnwindSafe(|| executor.execute(parsed))) {
        Ok(result) => Ok(Ok(result?)),
        Err(_) => Ok(Err(Panicked(parsed.statement().id()))),
    }
}

fn read_statements(block: &Block) -> Result<Vec<Parsed>, Invalid> {
    block
        .statements
        .iter()
        .map(|bytes| Parsed::read(bytes).map_err(|error| Invalid::new("statement", &"a well-formed statement", &error)))
        .collect()
}

fn statement_ref(parsed: &Parsed) -> StatementRef {
    let statement = parsed.statement();
    StatementRef {
        id: statement.id(),
        organisation: statement.header().organisation.clone(),
        nonce: statement.header().nonce.to_string(),
        payload_hash: statement.payload_hash(),
    }
}

/// The first field in which a header differs from what this node computes.
fn differing(ours: &Header, theirs: &Header) -> Option<Invalid> {
    let hash = |what, ours: &Hash, theirs: &Hash| (ours != theirs).then(|| Invalid::new(what, &ours, &theirs));
    let number = |what, ours: u64, theirs: u64| (ours != theirs).then(|| Invalid::new(what, &ours, &theirs));
    number("version", ours.version.into(), theirs.version.into())
        .or_else(|| (ours.chain != theirs.chain).then(|| Invalid::new("chain", &ours.chain, &theirs.chain)))
        .or_else(|| hash("statements root", &ours.statements_root, &theirs.statements_root))
        .or_else(|| {
            number(
                "statement count",
                ours.statement_count.into(),
                theirs.statement_count.into(),
            )
        })
        .or_else(|| number("log size", ours.log_size, theirs.log_size))
        .or_else(|| hash("log root", &ours.log_root, &theirs.log_root))
        .or_else(|| hash("writes hash", &ours.writes_hash, &theirs.writes_hash))
        .or_else(|| {
            let (ours, theirs) = (&ours.state_checkpoint, &theirs.state_checkpoint);
            number("height of the state checkpoint", ours.height, theirs.height)
                .or_else(|| hash("root of the state checkpoint", &ours.root, &theirs.root))
        })
        .or_else(|| hash("validators hash", &ours.validators_hash, &theirs.validators_hash))
        .or_else(|| {
            hash(
                "next validators hash",
                &ours.next_validators_hash,
                &theirs.next_validators_hash,
            )
        })
        // Whatever else a header may hold one day: the ids decide.
        .or_else(|| hash("block id", &ours.id().hash(), &theirs.id().hash()))
}

/// The tip that goes with how far the index has come.
pub(crate) fn tip_from<S: Store>(store: &S, progress: Progress) -> Result<Tip, Fault> {
    let view = StoreView(store);
    Ok(Tip {
        validators: require(&view, &StateKey::validators())?,
        parameters: require(&view, &StateKey::parameters())?,
        progress,
    })
}

/// What a replica needs to know of its genesis.
pub(crate) fn identity(genesis: &Genesis) -> (ChainId, Suite) {
    (genesis.chain_id(), genesis.body().suite)
}
