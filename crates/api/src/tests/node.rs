//! A node under test: one validator on a store in memory, a driver thread, a clock to be moved, the door.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::Duration;

use chain::certificate::{CommitCertificate, sign_precommit};
use chain::hash::Hash;
use chain::identity::{ChainId, KeyId};
use chain::login::LoginDraft;
use chain::statement::{Draft, Mode, Nonce, StatementHeader, payload};
use chain::suite::Suite;
use replica::memory::MemoryStore;
use replica::mempool::{Limits, Mempool};
use replica::query::Query;
use replica::replica::{Check, Replica};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::client::{Answer, send};
use super::consortium::{NOON, ORGANISATIONS, genesis, organisation, secret};
use crate::{
    App, Clock, DevControl, Finality, Health, HostedKey, Listening, NodeIdentity, Options, ServeError, Tls, serve,
};

/// The `aud` of login tokens.
pub(crate) const NODE: &str = "tax-bureau-1";

/// A clock that stands still until it is moved.
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl DevControl for TestClock {
    fn advance_clock(&self, ms: i64) -> i64 {
        self.0.fetch_add(ms, Ordering::SeqCst) + ms
    }
}

/// How a node is to be.
pub(crate) struct Setup {
    pub(crate) options: Options,
    pub(crate) mempool: Limits,
    pub(crate) tls: Option<Tls>,
    pub(crate) grpc_tls: Option<Tls>,
    pub(crate) dev: bool,
    /// The node whose blocks it takes over; it makes none of its own.
    pub(crate) follows: Option<Query<MemoryStore>>,
    /// What a node before it left behind.
    pub(crate) store: Option<Arc<MemoryStore>>,
    /// How many requests may wait for finality.
    pub(crate) waits_max: usize,
}

impl Default for Setup {
    fn default() -> Self {
        let options = Options { verifications_a_minute: 1_000, ..Options::default() };
        Self {
            options,
            mempool: Limits::default(),
            tls: None,
            grpc_tls: None,
            dev: true,
            follows: None,
            store: None,
            waits_max: 1_000,
        }
    }
}

/// A node under test.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) grpc_address: SocketAddr,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) query: Query<MemoryStore>,
    pub(crate) app: Arc<App<MemoryStore>>,
    pub(crate) shutdown: CancellationToken,
    runtime: Option<Runtime>,
    serving: Mutex<Option<JoinHandle<Result<(), ServeError>>>>,
    /// Held by the driver while it makes a block.
    gate: Arc<Mutex<()>>,
    tokens: AtomicU64,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.app.health.stopping();
        self.shutdown.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::start_with(Setup::default())
    }

    pub(crate) fn start_with(setup: Setup) -> Self {
        let genesis = Arc::new(genesis());
        let store = setup.store.unwrap_or_default();
        let replica = Replica::recover(&genesis, store, Arc::new(ledger::parallel::Alone), |_| {}).unwrap();
        let query = Query::new(&replica, genesis);
        let clock = Arc::new(TestClock(AtomicI64::new(NOON)));
        let (wake, woken) = mpsc::channel();
        let mempool = Mempool::new(setup.mempool, move || {
            let _ = wake.send(());
        });
        let identity = NodeIdentity {
            id: NODE.to_owned(),
            organisation: organisation("tax-bureau"),
            receipt_key_id: KeyId::new("receipt").unwrap(),
            receipt: secret("tax-bureau", "receipt"),
            salt_secret: Zeroizing::new([42; 32]),
        };
        // Of each the key that genesis has, and one that may come onto the ledger.
        let held = ORGANISATIONS.iter().flat_map(|(id, ..)| [(*id, "statement"), (*id, "hosted")]);
        let hosted = held.filter(|(id, _)| *id != "stranger").map(|(id, key)| HostedKey {
            organisation: organisation(id),
            key: KeyId::new(key).unwrap(),
            secret: secret(id, key),
        });
        let app = Arc::new(App {
            query: query.clone(),
            mempool: Arc::new(mempool),
            finality: Arc::new(Finality::new(setup.waits_max)),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            identity: Arc::new(identity),
            hosted: hosted.collect(),
            options: setup.options,
            health: Arc::new(Health::new()),
            sharing: None,
            dev: setup.dev.then(|| Arc::clone(&clock) as Arc<dyn DevControl>),
        });
        app.health.caught_up(true);
        app.health.committed(0, NOON);
        let gate = Arc::new(Mutex::new(()));
        let (driven, driver_gate) = (Arc::clone(&app), Arc::clone(&gate));
        match setup.follows {
            None => thread::spawn(move || drive(replica, &driven, &woken, &driver_gate)),
            Some(other) => thread::spawn(move || follow(replica, &driven, &other)),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let shutdown = CancellationToken::new();
        let rest = Listening { listener, tls: setup.tls };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let grpc_address = listener.local_addr().unwrap();
        let grpc = Listening { listener, tls: setup.grpc_tls };
        let serving = runtime.spawn(serve(Arc::clone(&app), rest, Some(grpc), shutdown.clone()));
        Self {
            address,
            grpc_address,
            clock,
            query,
            app,
            shutdown,
            runtime: Some(runtime),
            serving: Mutex::new(Some(serving)),
            gate,
            tokens: AtomicU64::new(0),
        }
    }

    /// Stops the driver from making blocks while the guard lives.
    pub(crate) fn hold_blocks(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    /// The clock in whole seconds.
    pub(crate) fn now_s(&self) -> u64 {
        u64::try_from(self.clock.now_ms() / 1_000).unwrap()
    }

    /// Waits until the door has closed.
    pub(crate) fn closed(&self) {
        let serving = self.serving.lock().unwrap().take().unwrap();
        self.runtime.as_ref().unwrap().block_on(serving).unwrap().unwrap();
    }

    /// The draft of a login token for this node.
    pub(crate) fn login(&self, name: &str) -> LoginDraft {
        LoginDraft {
            organisation: organisation(name),
            key: KeyId::new("login").unwrap(),
            audience: NODE.to_owned(),
            issued_at: self.now_s(),
            expires_at: self.now_s() + 600,
            jti: None,
            request: None,
            body_sha256: None,
        }
    }

    /// An Authorization header for reads.
    pub(crate) fn bearer(&self, name: &str) -> String {
        format!("Bearer {}", self.login(name).sign(&secret(name, "login")))
    }

    /// An Authorization header for one issue of a body.
    pub(crate) fn bearer_for(&self, name: &str, body: &[u8]) -> String {
        self.bearer_covering(name, "POST /v1/invoices", body)
    }

    /// An Authorization header for one write of a body.
    pub(crate) fn bearer_covering(&self, name: &str, request: &str, body: &[u8]) -> String {
        let mut draft = self.login(name);
        draft.request = Some(request.to_owned());
        draft.jti = Some(Nonce::new(format!("t{}", self.tokens.fetch_add(1, Ordering::SeqCst))).unwrap());
        draft.body_sha256 = Some(Hash::of(body));
        format!("Bearer {}", draft.sign(&secret(name, "login")))
    }

    /// Reads as an organisation.
    pub(crate) fn get(&self, name: &str, path: &str) -> Answer {
        send(self.address, "GET", path, &[("authorization", &self.bearer(name))], b"")
    }

    /// Writes with a hosted key.
    pub(crate) fn write(&self, name: &str, path: &str, key: &str, body: &Value) -> Answer {
        self.write_with(name, path, key, body, &[])
    }

    /// Writes with a hosted key and more headers.
    pub(crate) fn write_with(&self, name: &str, path: &str, key: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
        let body = body.to_string().into_bytes();
        let bearer = self.bearer_covering(name, &format!("POST {path}"), &body);
        let mut headers =
            vec![("authorization", bearer.as_str()), ("idempotency-key", key), ("content-type", "application/json")];
        headers.extend_from_slice(more);
        send(self.address, "POST", path, &headers, &body)
    }

    /// Posts JSON without a login.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.address, "POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Posts a statement.
    pub(crate) fn submit(&self, statement: &[u8]) -> Answer {
        send(self.address, "POST", "/v1/statements", &[("content-type", "application/jose")], statement)
    }

    /// The header of a statement.
    pub(crate) fn header(&self, name: &str, nonce: &str) -> StatementHeader {
        StatementHeader {
            organisation: organisation(name),
            key: KeyId::new("statement").unwrap(),
            chain: self.query.chain().clone(),
            nonce: Nonce::new(nonce).unwrap(),
            expires_at: self.now_s() + 600,
        }
    }

    /// A signed statement of events.
    pub(crate) fn statement(&self, name: &str, nonce: &str, mode: Mode, events: &[Value]) -> Vec<u8> {
        let events: Vec<String> = events.iter().map(Value::to_string).collect();
        Draft::new(self.header(name, nonce), payload(mode, &events)).sign(&secret(name, "statement"))
    }

    /// Issues an invoice of the shop; gives its id.
    pub(crate) fn issue(&self, reference: &str) -> String {
        let body = serde_json::json!({"document": super::consortium::document(reference)});
        let answer = self.write("shop", "/v1/invoices", &format!("issue-{reference}"), &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// How many leaves the log has.
    pub(crate) fn leaves(&self) -> u64 {
        self.query.tip().progress.log_size
    }
}

/// The driver of one validator: proposes, votes, commits, tells those who wait.
fn drive(mut replica: Replica<MemoryStore>, app: &App<MemoryStore>, woken: &mpsc::Receiver<()>, gate: &Mutex<()>) {
    let consensus = secret("tax-bureau", "consensus");
    while woken.recv().is_ok() {
        let Ok(_guard) = gate.lock() else { return };
        while !app.mempool.is_empty() {
            let proposal = replica.propose(app.clock.now_ms(), &consensus.public(), &app.mempool).unwrap();
            app.finality.dropped(&proposal.dropped);
            let certificate = certify(replica.chain(), &proposal.block);
            let committed = replica.commit(&certificate).unwrap();
            app.mempool.remove(&committed.statements);
            app.health.committed(committed.height, app.clock.now_ms());
            app.finality.committed(&committed);
        }
    }
}

/// Takes over the blocks of another node, as soon as it has them, until the door closes.
fn follow(mut replica: Replica<MemoryStore>, app: &App<MemoryStore>, other: &Query<MemoryStore>) {
    while !app.health.readiness().stopping {
        let next = replica.tip().progress.height + 1;
        if other.tip().progress.height < next {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let Some(block) = other.committed_block(next).unwrap() else { continue };
        assert_eq!(replica.check(&block.body.block, None, &app.mempool).unwrap(), Check::Valid);
        let committed = replica.commit(&block.certificate).unwrap();
        app.health.committed(committed.height, app.clock.now_ms());
        app.finality.committed(&committed);
    }
}

fn certify(chain: &ChainId, block: &chain::block::Block) -> CommitCertificate {
    let (suite, height, id) = (Suite::Ed25519Sha256, block.header.height, block.header.id());
    let signature = sign_precommit(&secret("tax-bureau", "consensus"), chain, suite, height, 0, &id);
    CommitCertificate::new(suite, height, 0, id, vec![signature])
}
