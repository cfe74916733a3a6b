//! The replica: propose, check, commit. One thread owns it; a BFT engine on top asks and obeys.
//!
//! A block is executed once, when it is proposed here or checked here, and committed from what that
//! execution produced. Its body is durable before [`Replica::check`] or [`Replica::propose`]
//! answers, because a validator votes on the answer. Commit is one straight path: certificate,
//! ledger (durable from here), index, tip.

mod check;
mod execution;
mod propose;

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, RwLock};

use chain::block::{Block, BlockId, Body};
use chain::certificate::CommitCertificate;
use chain::genesis::Genesis;
use chain::hash::StatementId;
use chain::identity::{ChainId, OrganisationId};
use chain::key::PreparedKeys;
use chain::statement::Statement;
use chain::suite::Suite;
use chain::tile::RightEdge;
use chain::validators::ValidatorSet;
use ledger::admission::{InForce, Rejection};
use ledger::execute::Executed;
use ledger::parallel::Workers;
use ledger::parameters::Parameters;
use ledger::state::{self, StateKey, require};

use crate::checkpoint;
use crate::index::{BlockRows, Progress};
use crate::lease;
use crate::port::{Decided, Store, StoreFault};
use crate::recent::{Recent, RecentBlock};
use crate::recover::decided_body;
use crate::view::StoreView;
pub(crate) use check::DecidedBlock;

/// The version of the rules, from block 1 on.
pub const VERSION: u16 = 1;

/// How far from a validator's clock the time of a fresh proposal may be, ms.
pub const TIMELINESS_MS: i64 = 5_000;

/// Candidate blocks of one height kept in memory at most: each may be tens of megabytes.
const CANDIDATES_MAX: usize = 8;

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
    /// The store belongs to another genesis.
    #[error("the store grew from genesis {found}, and the genesis given is {expected}")]
    OtherGenesis {
        /// Hash of the genesis given.
        expected: chain::hash::Hash,
        /// Hash of the genesis it grew from.
        found: chain::hash::Hash,
    },
    /// The genesis cannot be started from.
    #[error("genesis cannot be started from")]
    Genesis(#[from] ledger::genesis::GenesisError),
    /// Not every validator of the genesis has countersigned it.
    #[error("genesis is not countersigned by all of its validators")]
    Countersignatures(#[source] chain::genesis::GenesisError),
}

impl Fault {
    /// What it says when sums left their range: then a statement has found a mistake of the rules, which is every node's,
    /// and not one of this node. None of all others.
    fn of_sums(&self) -> Option<String> {
        match self {
            Self::State(fault @ state::Fault::Sums { .. }) => Some(fault.to_string()),
            Self::Store(_)
            | Self::State(_)
            | Self::Diverged { .. }
            | Self::NeverChecked { .. }
            | Self::Certificate { .. }
            | Self::Ledger { .. }
            | Self::OtherGenesis { .. }
            | Self::Genesis(_)
            | Self::Countersignatures(_) => None,
        }
    }
}

/// Where the chain stands: what the next block is built on.
#[derive(Clone, Debug)]
pub struct Tip {
    /// How far it has come.
    pub progress: Progress,
    /// The validator set of the next block.
    pub validators: ValidatorSet,
    /// The parameters in force for the next block.
    pub rules: Arc<InForce>,
    /// How many leases have ended, so that it was told to those who follow.
    pub lease_ends: u64,
}

impl Tip {
    /// The parameters in force for the next block.
    pub fn parameters(&self) -> &Parameters {
        self.rules.parameters()
    }

    /// How many places of the stream are taken: by the leaves of the log, and by the ends of leases.
    pub const fn stream_size(&self) -> u64 {
        self.progress.log_size + self.lease_ends
    }
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
    /// It is committed already.
    Committed,
    /// It is above the next height: its parent must come first.
    Ahead,
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
        Self { what, expected: expected.to_string(), found: found.to_string() }
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
    /// Bytes of the block, as it is proposed and synced.
    pub bytes: usize,
    /// Organisations that it brought or changed; none of a block that had been committed before.
    pub organisations: Vec<OrganisationId>,
}

/// A block that was executed and may be committed.
pub(crate) struct Checked {
    pub(crate) body: Body,
    pub(crate) executed: Executed,
    pub(crate) statements: Vec<Statement>,
    pub(crate) edge: RightEdge,
    pub(crate) progress: Progress,
}

/// One node's replica of the chain.
pub struct Replica<S: Store> {
    pub(crate) store: Arc<S>,
    pub(crate) chain: ChainId,
    pub(crate) suite: Suite,
    pub(crate) edge: RightEdge,
    /// No nonce in the index ends before this, ms UTC.
    pub(crate) nonces_end_ms: i64,
    /// No lease ends before this, ms UTC.
    pub(crate) leases_quiet_until_ms: i64,
    pub(crate) tip: Arc<Tip>,
    pub(crate) shared: SharedTip,
    /// Blocks of the next height that may be decided, the newest last. One that fell out is executed
    /// again from its body, which is durable.
    pub(crate) candidates: VecDeque<Checked>,
    /// The newest blocks, for those who waited for them.
    pub(crate) recent: Arc<Recent>,
    /// Keys that sign often.
    pub(crate) keys: Arc<PreparedKeys>,
    /// Who reads and verifies statements, perhaps several at once.
    pub(crate) workers: Arc<dyn Workers>,
}

impl<S: Store> std::fmt::Debug for Replica<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("chain", &self.chain).field("tip", &self.tip.progress).finish_non_exhaustive()
    }
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

    /// Makes a decided block final on this node, and visible, in that order.
    ///
    /// # Errors
    /// A fault: what reached the disk is unknown, and only recovery may decide.
    pub fn commit(&mut self, certificate: &CommitCertificate) -> Result<Committed, Fault> {
        let (height, id) = (certificate.height, certificate.block_id);
        if height <= self.tip.progress.height {
            return self.committed_before(height, id);
        }
        if height != self.tip.progress.height + 1 {
            return Err(Fault::NeverChecked { height, id });
        }
        // Checked again although the engine checked it: this is the last place before the disk.
        certificate
            .verify(&self.chain, self.suite, &self.tip.validators)
            .map_err(|source| Fault::Certificate { height, source })?;
        if !self.candidates.iter().any(|checked| checked.progress.id == id) {
            let kept = self.execute_kept(height, id)?;
            self.candidates.push_back(kept);
        }
        // From here on the block is final on this node. A disk without room says so before anything is
        // written: then everything stands as before, and this may be called again.
        self.store.append(height, &Decided { id, certificate: certificate.encode() })?;
        let decided = std::mem::take(&mut self.candidates).into_iter().find(|checked| checked.progress.id == id);
        let checked = decided.expect("it was found or put among the candidates above");
        let statements = checked.statements.iter().map(Statement::id).collect();
        let committed = Committed {
            height,
            id,
            time_ms: checked.progress.time_ms,
            statements,
            events: checked.executed.leaves.len(),
            bytes: checked.body.block.encoded_len(),
            organisations: checked.executed.organisations(),
        };
        self.apply(checked)?;
        Ok(committed)
    }

    /// The answer for a block that was committed before: an engine that lost its note of it asks again.
    fn committed_before(&self, height: u64, id: BlockId) -> Result<Committed, Fault> {
        let body = decided_body(&*self.store, height)?;
        if body.header().id() != id {
            let (ours, decided) = (body.header().id().to_string(), id.to_string());
            return Err(Fault::Diverged { height, what: "block", ours, decided });
        }
        let parsed = check::read_statements(&body.block, &*self.workers)
            .map_err(|invalid| Fault::Ledger { height, what: invalid.to_string() })?;
        Ok(Committed {
            height,
            id,
            time_ms: body.header().time_ms,
            statements: parsed.iter().map(|parsed| parsed.statement().id()).collect(),
            events: body.outcomes.iter().map(Vec::len).sum(),
            bytes: body.block.encoded_len(),
            organisations: Vec::new(),
        })
    }

    /// Executes a block that is decided and no longer among the candidates, or was checked before this
    /// process began: its body was kept when it was checked.
    fn execute_kept(&self, height: u64, id: BlockId) -> Result<Checked, Fault> {
        let bytes = self.store.body(&id)?.ok_or(Fault::NeverChecked { height, id })?;
        let body = Body::decode(&bytes).map_err(|error| Fault::Ledger { height, what: error.to_string() })?;
        if body.header().id() != id {
            return Err(Fault::Ledger { height, what: format!("the body under {id} is that of another block") });
        }
        self.execute_decided(&DecidedBlock::read(body, &*self.workers)?)
    }

    /// Applies a final block to the index and moves the tip. Recovery comes this way too.
    pub(crate) fn apply(&mut self, checked: Checked) -> Result<(), Fault> {
        let Checked { body, executed, statements, mut edge, progress } = checked;
        let parameters = self.tip.parameters();
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
        let set_or_rules = [StateKey::validators(), StateKey::parameters()];
        let changed = set_or_rules.iter().any(|key| executed.writes.contains_key(key));
        let mut rows = rows.rows(&*self.store)?;
        // Looking in the store for what is not there would be most of what an empty block costs.
        if self.nonces_end_ms < progress.time_ms {
            self.nonces_end_ms = checkpoint::expire_nonces(&*self.store, progress.time_ms, &mut rows)?;
        }
        self.nonces_end_ms = self.nonces_end_ms.min(progress.time_ms.saturating_add(window_ms));
        let mut lease_ends = self.tip.lease_ends;
        if self.leases_quiet_until_ms <= progress.time_ms {
            let ended = lease::end(&*self.store, &progress, lease_ends, &mut rows)?;
            (lease_ends, self.leases_quiet_until_ms) = (ended.ends, ended.quiet_until_ms);
        }
        let next_end_ms = executed.lease_ends.iter().map(|end| end.until_ms).min().unwrap_or(i64::MAX);
        self.leases_quiet_until_ms = self.leases_quiet_until_ms.min(next_end_ms);
        self.store.apply(progress.height, rows)?;
        if progress.schedule.is_due_at(progress.height) {
            checkpoint::begin(&*self.store, &progress)?;
        }
        let leaves = u64::try_from(executed.leaves.len()).expect("a block has fewer than 2^64 leaves");
        let first_leaf = progress.log_size - leaves;
        self.recent.add(RecentBlock::new(progress.height, progress.time_ms, first_leaf, statements, body.outcomes));
        self.edge = edge;
        self.tip = Arc::new(if changed {
            tip_from(&*self.store, progress)?
        } else {
            Tip { progress, lease_ends, ..Tip::clone(&self.tip) }
        });
        *self.shared.write().expect("nothing panics while it holds the tip") = Arc::clone(&self.tip);
        Ok(())
    }
}

/// The tip that goes with how far the index has come.
pub(crate) fn tip_from<S: Store>(store: &S, progress: Progress) -> Result<Tip, Fault> {
    let view = StoreView(store);
    let (validators, rules) = (require(&view, &StateKey::validators())?, Arc::new(InForce::read(&view)?));
    Ok(Tip { validators, rules, lease_ends: lease::count(store)?, progress })
}

/// What a replica needs to know of its genesis.
pub(crate) fn identity(genesis: &Genesis) -> (ChainId, Suite) {
    (genesis.chain_id(), genesis.body().suite)
}
