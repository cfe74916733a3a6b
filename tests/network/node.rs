//! One node of the network.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chain::block::{Block, BlockId, Body, CommittedBlock};
use chain::certificate::CommitCertificate;
use chain::equivocation::Equivocation;
use chain::genesis::Genesis;
use chain::hash::StatementId;
use chain::identity::KeyId;
use chain::key::SecretKey;
use chain::receipt::Receipt;
use chain::statement::{Draft, Mode, Nonce, StatementHeader, payload};
use consensus::{Consensus, NotStarted, Options, Parts, PeerView, Started, Timeouts, Transport};
use ledger::parallel::Alone;
use replica::evidence::{Author, Evidence, Reporter};
use replica::memory::MemoryStore;
use replica::mempool::{Inserted, Limits, Mempool};
use replica::port::Store as _;
use replica::query::{Admission, Query};
use replica::replica::Replica;
use tokio::sync::{mpsc, oneshot};

use super::host::TestHost;
use super::{Clock, Seen, peer_secret};
use crate::consortium::{AGENCIES, organisation_id, secret, statement_id};

/// A signed statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its id.
    pub id: StatementId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Statement {
    /// Signs one.
    pub fn sign(
        genesis: &Genesis,
        nonce: &str,
        organisation: &str,
        mode: Mode,
        events: &[String],
        now_ms: i64,
    ) -> Self {
        let header = StatementHeader {
            organisation: organisation_id(organisation),
            key: KeyId::new("statement").unwrap(),
            chain: genesis.chain_id(),
            nonce: Nonce::new(nonce).unwrap(),
            // Less than a day ahead of the slowest clock, and after all the hours by which clocks jump in simulations.
            expires_at: u64::try_from(now_ms / 1_000).unwrap() + 20 * 3_600,
        };
        let bytes = Draft::new(header, payload(mode, events)).sign(&secret(organisation, "statement"));
        Self { id: statement_id(&bytes), bytes }
    }
}

struct Life {
    consensus: Arc<Consensus>,
    mempool: Arc<Mempool>,
    query: Query<MemoryStore>,
    ended: oneshot::Receiver<()>,
}

/// What a node of the network is made of.
pub type NodeParts = Parts<MemoryStore, TestHost>;

/// Whom consensus tells that it has ended.
pub type OnEnd = Box<dyn FnOnce(Result<(), consensus::Ended>) + Send>;

/// Consensus on its way to run.
pub type Starting = Pin<Box<dyn Future<Output = Result<Started, NotStarted>> + Send>>;

/// How consensus is started.
pub type Start = Box<dyn Fn(NodeParts, OnEnd) -> Starting + Send + Sync>;

/// A node, running or not.
pub struct Member {
    place: usize,
    key: Option<SecretKey>,
    genesis: Arc<Genesis>,
    clock: Arc<Clock>,
    store: Arc<MemoryStore>,
    /// What it said, in all its lives.
    pub seen: Arc<Seen>,
    life: Option<Life>,
    starter: Start,
}

/// Fast enough for a test, slow enough for two cores.
fn options(place: usize) -> Options {
    let timeouts = Timeouts {
        propose: Duration::from_millis(800),
        missed: Duration::from_millis(200),
        prevote: Duration::from_millis(300),
        precommit: Duration::from_millis(300),
        more_each_round: Duration::from_millis(200),
        max: Duration::from_secs(5),
    };
    Options {
        name: format!("node-{place}"),
        timeouts,
        interval: Duration::from_millis(5),
        status_every: Duration::from_millis(300),
        blocks_timeout: Duration::from_secs(2),
    }
}

/// Reports what was seen, as a node in service does.
async fn report_seen(
    mut reporter: Reporter<MemoryStore>,
    mut seen: mpsc::UnboundedReceiver<Equivocation>,
    clock: Arc<Clock>,
    consensus: Arc<Consensus>,
) {
    let mut every = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            told = seen.recv() => match told {
                Some(told) => drop(reporter.take(told, clock.now_ms()).unwrap()),
                None => return,
            },
            _ = every.tick() => {}
        }
        for statement in reporter.report(clock.now_ms()).unwrap() {
            consensus.work();
            consensus.share(statement);
        }
    }
}

impl Member {
    /// A node that does not run yet.
    pub fn new(place: usize, key: Option<SecretKey>, genesis: Arc<Genesis>, clock: Arc<Clock>) -> Self {
        let (store, seen) = (Arc::new(MemoryStore::default()), Arc::new(Seen::new()));
        let starter: Start = Box::new(|parts, ended| Box::pin(Consensus::start(parts, ended)));
        Self { place, key, genesis, clock, store, seen, life: None, starter }
    }

    /// Starts the node in another way from its next start on.
    pub fn start_by(&mut self, starter: Start) {
        self.starter = starter;
    }

    /// Gives the node a clock of its own from its next start on.
    pub fn own_clock(&mut self) -> Arc<Clock> {
        self.clock = Arc::new(Clock::default());
        Arc::clone(&self.clock)
    }

    pub(super) fn consensus(&self) -> Option<Arc<Consensus>> {
        self.life.as_ref().map(|life| Arc::clone(&life.consensus))
    }

    pub(super) async fn start(&mut self, log: &Path) {
        self.start_over(log, None).await;
    }

    /// Starts it over a transport of its own, instead of the network's cables.
    pub async fn start_over(&mut self, log: &Path, transport: Option<Transport>) {
        let replica = Replica::recover(&self.genesis, Arc::clone(&self.store), Arc::new(Alone), |_| {}).unwrap();
        let query = Query::new(&replica, Arc::clone(&self.genesis));
        let mempool = Arc::new(Mempool::new(Limits::default(), || {}));
        let (reports, reported) = mpsc::unbounded_channel();
        let host = TestHost {
            clock: Arc::clone(&self.clock),
            seen: Arc::clone(&self.seen),
            heartbeat: Duration::from_secs(600),
            query: query.clone(),
            reports,
        };
        let parts = Parts {
            replica,
            mempool: Arc::clone(&mempool),
            host,
            key: self.key.clone(),
            suite: self.genesis.suite(),
            peer: *peer_secret(self.place).public().as_bytes(),
            directory: log.to_owned(),
            options: options(self.place),
            transport,
        };
        let (report, ended) = oneshot::channel();
        let seen = Arc::clone(&self.seen);
        let end = move |outcome: Result<(), consensus::Ended>| {
            if let Err(reason) = outcome {
                *seen.ended.lock().unwrap() = Some(format!("{reason}"));
            }
            let _ = report.send(());
        };
        let Started { consensus, mut shared } = (self.starter)(parts, Box::new(end)).await.unwrap();
        // Takes in what others share, as the door does.
        let (taken, pool, reader, clock) =
            (Arc::clone(&consensus), Arc::clone(&mempool), query.clone(), Arc::clone(&self.clock));
        tokio::spawn(async move {
            while let Some(shared) = shared.recv().await {
                let mut new = Vec::new();
                for statement in shared.statements {
                    if let Ok(Admission::Admitted(entry)) = reader.admit(&statement, clock.now_ms())
                        && let Ok(Inserted::Queued) = pool.insert(*entry)
                    {
                        new.push(statement);
                    }
                }
                if !new.is_empty() {
                    taken.work();
                    taken.pass_on(shared.from, shared.origin, new);
                }
            }
        });
        if self.key.is_some() {
            let organisation = organisation_id(AGENCIES[self.place].0);
            let secret = secret(organisation.as_str(), "receipt");
            let author = Author { organisation, key: KeyId::new("receipt").unwrap(), secret };
            let reporter = Reporter::new(query.clone(), Arc::clone(&mempool), author);
            tokio::spawn(report_seen(reporter, reported, Arc::clone(&self.clock), Arc::clone(&consensus)));
        }
        self.life = Some(Life { consensus, mempool, query, ended });
    }

    /// Ends it, as a crash would.
    pub async fn end(&mut self) {
        let Some(life) = self.life.take() else { return };
        life.consensus.stop();
        // It may have ended by itself.
        let _ = life.ended.await;
        self.store.crash();
    }

    pub(super) fn wipe(&mut self) {
        assert!(self.life.is_none(), "a disk is taken from a node that does not run");
        self.store = Arc::new(MemoryStore::default());
        self.seen = Arc::new(Seen::new());
    }

    /// Posts a statement at this node, as a door does.
    pub fn post(&self, statement: &Statement) {
        let life = self.life.as_ref().expect("the node runs");
        match life.query.admit(&statement.bytes, self.clock.now_ms()).unwrap() {
            Admission::Admitted(entry) => {
                life.mempool.insert(*entry).unwrap();
                life.consensus.work();
                life.consensus.share(statement.bytes.clone());
            }
            Admission::Decided(id) => panic!("{id} was decided before"),
        }
    }

    /// How it sees its peers.
    pub fn peers(&self) -> Vec<PeerView> {
        self.life.as_ref().expect("the node runs").consensus.peers()
    }

    /// The genesis of its chain.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The key it votes with.
    pub fn key(&self) -> Option<&SecretKey> {
        self.key.as_ref()
    }

    /// A block of its chain.
    pub fn block(&self, height: u64) -> Block {
        let decided = self.store.decided(height).unwrap().expect("there is such a block");
        Body::decode(&self.store.body(&decided.id).unwrap().expect("a decided block has a body")).unwrap().block
    }

    /// The certificate of a block of its chain.
    pub fn certificate(&self, height: u64) -> CommitCertificate {
        let decided = self.store.decided(height).unwrap().expect("there is such a block");
        CommitCertificate::decode(&decided.certificate).unwrap()
    }

    /// How consensus stands here.
    pub fn standing(&self) -> consensus::Standing {
        self.life.as_ref().expect("the node runs").consensus.standing()
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.life.is_some()
    }

    /// Its state: the log, the root of the newest state checkpoint, and everything else that the tip says.
    pub fn state(&self) -> String {
        let tip = self.query().tip();
        let checkpoint = self.store.index_tip().unwrap().map(|tip| tip.checkpoint);
        format!("{:?}", (&tip.progress, &tip.validators, tip.parameters(), checkpoint))
    }

    fn query(&self) -> &Query<MemoryStore> {
        &self.life.as_ref().expect("the node runs").query
    }

    fn event(&self, statement: &Statement) -> (u64, chain::block::Outcome) {
        let view = self.query().statement(&statement.id).unwrap().expect("it is decided");
        let event = self.query().event(view.first_leaf).unwrap().expect("it has an event");
        (view.height, event.outcome)
    }

    /// The code of a statement's first outcome.
    pub fn code(&self, statement: &Statement) -> String {
        self.event(statement).1.code
    }

    /// What a statement's first outcome is about.
    pub fn subject(&self, statement: &Statement) -> String {
        self.event(statement).1.subject
    }

    /// The height at which a statement was decided.
    pub fn height_of(&self, statement: &Statement) -> u64 {
        self.event(statement).0
    }

    /// The time of a block, ms UTC.
    pub fn time_of(&self, height: u64) -> i64 {
        self.query().block(height).unwrap().expect("there is such a block").header.time_ms
    }

    /// What its ledger holds of equivocations.
    pub fn evidence(&self) -> Evidence {
        self.query().evidence(8).unwrap()
    }

    /// A receipt of an event.
    pub fn receipt(&self, leaf: u64) -> Receipt {
        self.query().receipt(leaf).unwrap().expect("there is such a leaf")
    }

    /// Its chain, as an auditor is given it.
    pub fn committed(&self) -> Vec<CommittedBlock> {
        (1..).map_while(|height| self.query().committed_block(height).unwrap()).collect()
    }

    /// The ids of its blocks, from height 1 on.
    pub fn chain(&self) -> Vec<BlockId> {
        (1..).map_while(|height| self.store.decided(height).unwrap()).map(|decided| decided.id).collect()
    }

    /// The statements on its chain.
    pub fn statements(&self) -> Vec<StatementId> {
        let body = |id: BlockId| Body::decode(&self.store.body(&id).unwrap().unwrap()).unwrap();
        let bodies = self.chain().into_iter().map(body);
        bodies.flat_map(|body| body.block.statements).map(|bytes| statement_id(&bytes)).collect()
    }
}
