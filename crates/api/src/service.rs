//! What the handlers share: the app, and the door's own small state.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use chain::encoding::encode_base64url;
use chain::identity::OrganisationId;
use hmac::{Hmac, Mac};
use ledger::organisation::{Custody, Key, Organisation};
use replica::port::Store;
use replica::query::Query;
use sha2::Sha256;

use crate::app::{App, HostedKey};
use crate::attachments::UnderWay;
use crate::auth::{Caller, TokenIds};
use crate::brief::Brief;
use crate::call::Call;
use crate::connections::Connections;
use crate::feed::Feed;
use crate::grpc::Streams;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::quota::{CallQuotas, Quotas};
use crate::shares::Shares;
use crate::tls::TlsError;
use crate::tokens::VerifiedTokens;
use crate::turns::{Name, Turns};
use crate::views::{EvidenceView, HealthView};
use crate::webhooks::Webhooks;

/// Equivocations that the status shows.
const EVIDENCE_SHOWN: usize = 8;

/// What the handlers share.
pub(crate) struct Service<S: Store> {
    pub(crate) app: Arc<App<S>>,
    pub(crate) metrics: Metrics,
    pub(crate) token_ids: TokenIds,
    pub(crate) quotas: Quotas,
    pub(crate) verified_tokens: VerifiedTokens,
    pub(crate) archives: Arc<Shares<OrganisationId>>,
    pub(crate) attachments: UnderWay,
    pub(crate) bodies: Arc<Shares<IpAddr>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) dry_runs: Arc<Shares<IpAddr>>,
    pub(crate) grpc_connections: Arc<Connections>,
    pub(crate) calls: CallQuotas,
    /// Answers over gRPC that wait to be taken, bytes.
    pub(crate) answers: Arc<Shares<Name>>,
    pub(crate) streams: Streams,
    pub(crate) feed: Arc<Feed>,
    pub(crate) webhooks: Webhooks,
    turns: Arc<Turns>,
    /// Of those who have not shown who they are, before they come to the others: each may have many addresses.
    strangers: Arc<Turns>,
    brief: Arc<Brief>,
    /// The log checkpoint signed last, and of which height it is.
    note: Mutex<Option<(u64, Bytes)>>,
    /// What the ledger held of equivocations, and at which height.
    evidence: Mutex<Option<(u64, EvidenceView)>>,
    request_prefix: String,
    requests: AtomicU64,
    /// When this process began, unix seconds by the node's clock.
    pub(crate) started_s: u64,
}

/// Logs the caller of a request in, and works in its name.
fn as_caller<S: Store, T>(
    service: &Service<S>,
    call: &Call,
    work: impl FnOnce(&Service<S>, &Caller, &Call) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let caller = service.login(call.headers())?;
    call.known();
    work(service, &caller, call)
}

impl<S: Store> Service<S> {
    /// # Errors
    /// When the certificates that webhooks are to trust cannot be read.
    pub(crate) fn new(app: Arc<App<S>>) -> Result<Self, TlsError> {
        let started = app.clock.now_ms().to_be_bytes();
        let prefix = chain::hash::Hash::of_parts(&[app.identity.id.as_bytes(), &started]);
        let secret = keyed_hash(&app.identity.salt_secret, &[b"einvoice-mismatch-slots-1"]);
        Ok(Self {
            metrics: Metrics::new(),
            attachments: UnderWay::default(),
            token_ids: TokenIds::new(app.options.token_ids_max),
            quotas: Quotas::new(&app.options, secret),
            verified_tokens: VerifiedTokens::new(app.options.verified_tokens_max),
            archives: halves(crate::routes::archive::archives_max()),
            bodies: Shares::new(app.options.bodies_bytes_max, app.options.bodies_bytes_an_address_max),
            connections: Connections::new(app.options.connections_max, app.options.connections_an_address_max),
            grpc_connections: Connections::new(
                app.options.grpc.connections_max,
                app.options.grpc.connections_an_address_max,
            ),
            calls: CallQuotas::new(&app.options.grpc),
            answers: Shares::new(
                app.options.grpc.answers_bytes_max,
                app.options.grpc.answers_bytes_an_organisation_max,
            ),
            streams: Streams::default(),
            dry_runs: halves(app.options.dry_runs_at_once_max),
            feed: Feed::new(&app.options),
            webhooks: Webhooks::new(&app)?,
            turns: Turns::new(app.options.reads_max),
            strangers: Turns::new((app.options.reads_max / 2).max(1)),
            brief: Brief::new(),
            note: Mutex::default(),
            evidence: Mutex::default(),
            request_prefix: encode_base64url(&prefix.as_bytes()[..6]),
            requests: AtomicU64::new(0),
            started_s: u64::try_from(app.clock.now_ms().div_euclid(1_000)).unwrap_or(0),
            app,
        })
    }

    pub(crate) fn query(&self) -> &Query<S> {
        &self.app.query
    }

    /// The time at which statements and leases are judged: the node's clock, never before the tip. ms UTC.
    pub(crate) fn now_ms(&self) -> i64 {
        self.app.clock.now_ms().max(self.query().tip().progress.time_ms.saturating_add(1))
    }

    /// The node's clock in whole seconds.
    pub(crate) fn now_s(&self) -> u64 {
        u64::try_from(self.app.clock.now_ms().div_euclid(1_000)).unwrap_or(0)
    }

    /// A new request id: unique on this node, and guessable, for it is no secret.
    pub(crate) fn request_id(&self) -> String {
        format!("{}-{:x}", self.request_prefix, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Works on the store on a thread that may block, when it is that name's turn: never more at once than the limit, and
    /// half of it for those who have not shown who they are. Of these few wait where names are served one after the
    /// other, or whoever calls from thousands of addresses had thousands of turns for one of everybody else.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        name: &Name,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = tokio::task::spawn_blocking(self.in_turn(name, work).await);
        done.await.map_err(|panicked| Problem::fault(&panicked))?
    }

    /// The same for work that is [brief](Brief): to look a record up, or a few.
    pub(crate) async fn run_brief<T: Send + 'static>(
        self: &Arc<Self>,
        name: &Name,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = self.brief.run(self.in_turn(name, work).await);
        done.await.map_err(|lost| Problem::fault(&lost))?
    }

    /// Waits until it is that name's turn, which ends with the work.
    async fn in_turn<T>(
        self: &Arc<Self>,
        name: &Name,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        let stranger = match name {
            Name::Address(_) => Some(self.strangers.take(name).await),
            Name::Node | Name::Organisation(_) => None,
        };
        let turn = self.turns.take(name).await;
        let service = Arc::clone(self);
        move || {
            let _turn = (turn, stranger);
            work(&service)
        }
    }

    /// Answers a call that only reads.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl FnOnce(&Self, &Call) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let name = self.name(&call);
        self.run(&name, move |service| work(service, &call)).await
    }

    /// Answers a call that only reads, of a caller who must log in.
    pub(crate) async fn read_as<T: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl FnOnce(&Self, &Caller, &Call) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.read(call, move |service, call| as_caller(service, call, work)).await
    }

    /// The same for work that is [brief](Brief).
    pub(crate) async fn read_brief_as<T: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        work: impl FnOnce(&Self, &Caller, &Call) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let name = self.name(&call);
        self.run_brief(&name, move |service| as_caller(service, &call, work)).await
    }

    /// What the ledger holds of equivocations. Read once a height, and in nobody's turn: who asks how a node is must
    /// be answered while it has much to do.
    pub(crate) async fn evidence(self: &Arc<Self>) -> Result<EvidenceView, Problem> {
        let service = Arc::clone(self);
        let height = self.query().tip().progress.height;
        let fresh = move |kept: &Option<(u64, EvidenceView)>| {
            kept.as_ref().filter(|(kept, _)| *kept >= height).map(|(_, evidence)| evidence.clone())
        };
        if let Some(evidence) = fresh(&self.kept_evidence()) {
            return Ok(evidence);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut kept = service.kept_evidence();
            // Others may have waited for this one with the same question.
            if let Some(evidence) = fresh(&kept) {
                return Ok(evidence);
            }
            let evidence = EvidenceView::from(&service.query().evidence(EVIDENCE_SHOWN)?);
            *kept = Some((height, evidence.clone()));
            Ok(evidence)
        });
        read.await.map_err(|panicked| Problem::fault(&panicked))?
    }

    fn kept_evidence(&self) -> MutexGuard<'_, Option<(u64, EvidenceView)>> {
        self.evidence.lock().expect("nothing panics while it holds the evidence")
    }

    /// The log checkpoint signed last, and of which height it is.
    pub(crate) fn note(&self) -> MutexGuard<'_, Option<(u64, Bytes)>> {
        self.note.lock().expect("nothing panics while it holds the note")
    }

    /// In whose name a call is worked on before it is known who calls: the organisation whose token was verified
    /// before, else the address.
    pub(crate) fn name(&self, call: &Call) -> Name {
        match self.verified_tokens.organisation(call.headers(), self.now_s()) {
            Some(organisation) => Name::Organisation(organisation),
            None => Name::Address(call.network()),
        }
    }

    /// The statement key that this node holds for an organisation: of several, the first that the ledger lists as active,
    /// since keys are rotated there. Without an active one the door says so to what is signed.
    pub(crate) fn hosted_key(&self, organisation: &Organisation) -> Result<&HostedKey, Problem> {
        let mut held = self.app.hosted.iter().filter(|held| held.organisation == organisation.id).peekable();
        let first = held.peek().copied().ok_or_else(|| {
            let found = organisation.id.as_str();
            Problem::new("hosted.key-missing").at("", "an organisation whose key is hosted here", found)
        })?;
        let agency = &self.app.identity.organisation;
        let here = |key: &Key| match &key.custody {
            Custody::Own => organisation.id == *agency,
            Custody::HostedBy(host) => host == agency,
        };
        let active = |held: &HostedKey| {
            let same = |key: &&Key| key.active && key.public.as_bytes() == held.secret.public().as_bytes();
            organisation.key(&held.key).filter(same)
        };
        if let Some(found) = held.clone().find(|held| active(held).is_some_and(here)) {
            return Ok(found);
        }
        // What the ledger says is in other hands must not be signed with here: whoever audits would count it as theirs.
        match held.find_map(active) {
            Some(key) => {
                let found = format!("{}/{}", organisation.id, key.id);
                Err(Problem::new("hosted.custody").at("", format!("a key hosted by {agency}"), found))
            }
            None => Ok(first),
        }
    }

    /// The salt of an attachment: the same for the same seller and reference, unguessable outside.
    pub(crate) fn salt(&self, document: &invoice::Document) -> [u8; 32] {
        let (seller, reference) = (document.seller.taxpayer_id.as_str(), &document.reference);
        keyed_hash(&self.app.identity.salt_secret, &[seller.as_bytes(), &[0], reference.as_bytes()])
    }

    /// Refuses writes while the node is not in order.
    pub(crate) fn must_take_writes(&self) -> Result<(), Problem> {
        let readiness = self.app.health.readiness();
        if readiness.stopping || readiness.fault.is_some() {
            return Err(Problem::new("node.stopping").retry_after(5));
        }
        if !readiness.caught_up {
            return Err(Problem::new("node.catching-up").retry_after(5));
        }
        if readiness.no_room.is_some() {
            return Err(Problem::new("node.disk-full"));
        }
        Ok(())
    }

    /// How the node is, and whether that is ready for work.
    pub(crate) fn health(&self) -> (bool, HealthView) {
        let readiness = self.app.health.readiness();
        let age_ms = self.app.clock.now_ms().saturating_sub(readiness.last_commit_ms);
        let stall_ms = i64::try_from(self.app.options.stall_ms).unwrap_or(i64::MAX);
        let status = if readiness.fault.is_some() {
            "failed"
        } else if readiness.stopping {
            "stopping"
        } else if !readiness.caught_up {
            "catching-up"
        } else if readiness.no_room.is_some() {
            "disk-full"
        } else if readiness.no_quorum.is_some() {
            "no-quorum"
        } else if age_ms > stall_ms {
            "stalled"
        } else {
            "ok"
        };
        let view = HealthView {
            status: status.to_owned(),
            height: readiness.height,
            last_commit: crate::time::format_ms(readiness.last_commit_ms),
        };
        (status == "ok", view)
    }
}

/// So many at once, and half of them for one.
fn halves<K: Ord + Clone>(max: usize) -> Arc<Shares<K>> {
    Shares::new(max.max(1), max.div_ceil(2).max(1))
}

/// HMAC-SHA256 over parts.
pub(crate) fn keyed_hash(secret: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
