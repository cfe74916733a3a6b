//! What the handlers share: the app, and the door's own small state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chain::encoding::encode_base64url;
use chain::identity::OrganisationId;
use hmac::{Hmac, Mac};
use replica::port::Store;
use replica::query::Query;
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::app::{App, HostedKey};
use crate::attachments::UnderWay;
use crate::auth::TokenIds;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::quota::Quotas;
use crate::views::HealthView;

/// What the handlers share.
pub(crate) struct Service<S: Store> {
    pub(crate) app: Arc<App<S>>,
    pub(crate) metrics: Metrics,
    pub(crate) token_ids: TokenIds,
    pub(crate) quotas: Quotas,
    pub(crate) archives: Arc<Semaphore>,
    pub(crate) attachments: UnderWay,
    pub(crate) dry_runs: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    request_prefix: String,
    requests: AtomicU64,
    /// When this process began, unix seconds by the node's clock.
    pub(crate) started_s: u64,
}

impl<S: Store> Service<S> {
    pub(crate) fn new(app: Arc<App<S>>) -> Self {
        let started = app.clock.now_ms().to_be_bytes();
        let prefix = chain::hash::Hash::of_parts(&[app.identity.id.as_bytes(), &started]);
        let secret = keyed_hash(&app.identity.salt_secret, &[b"einvoice-mismatch-slots-1"]);
        Self {
            metrics: Metrics::new(),
            attachments: UnderWay::default(),
            token_ids: TokenIds::new(app.options.token_ids_max),
            quotas: Quotas::new(&app.options, secret),
            archives: Arc::new(Semaphore::new(crate::routes::archive::archives_max())),
            dry_runs: Arc::new(Semaphore::new(app.options.dry_runs_at_once_max.clamp(1, Semaphore::MAX_PERMITS))),
            reads: Arc::new(Semaphore::new(app.options.reads_max.clamp(1, Semaphore::MAX_PERMITS))),
            request_prefix: encode_base64url(&prefix.as_bytes()[..6]),
            requests: AtomicU64::new(0),
            started_s: u64::try_from(app.clock.now_ms().div_euclid(1_000)).unwrap_or(0),
            app,
        }
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

    /// Reads the store on a thread that may block, never more at once than the limit.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|closed| Problem::fault(&closed))?;
        let service = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&service)
        });
        done.await.map_err(|panicked| Problem::fault(&panicked))?
    }

    /// The statement key that this node holds for an organisation.
    pub(crate) fn hosted_key(&self, organisation: &OrganisationId) -> Result<&HostedKey, Problem> {
        let held = self.app.hosted.iter().find(|held| held.organisation == *organisation);
        held.ok_or_else(|| {
            Problem::new("hosted.key-missing").at("", "an organisation whose key is hosted here", organisation.as_str())
        })
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

/// HMAC-SHA256 over parts.
pub(crate) fn keyed_hash(secret: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
