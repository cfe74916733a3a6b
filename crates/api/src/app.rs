//! What `node` hands to the door.

use std::sync::Arc;

use chain::identity::{KeyId, OrganisationId};
use chain::key::SecretKey;
use replica::mempool::Mempool;
use replica::port::Store;
use replica::query::Query;
use zeroize::Zeroizing;

use crate::finality::Finality;
use crate::health::Health;
use crate::options::Options;

/// The node's clock.
pub trait Clock: Send + Sync {
    /// Now, ms UTC.
    fn now_ms(&self) -> i64;
}

/// Control over the clock of a `dev` or `demo` node.
pub trait DevControl: Send + Sync {
    /// Moves the clock ahead by `ms`; gives the new time, ms UTC.
    fn advance_clock(&self, ms: i64) -> i64;
}

/// Gives statements that were taken in here to the other nodes.
pub trait Sharing: Send + Sync {
    /// Gives one, without waiting.
    fn share(&self, statement: &[u8]);
}

/// A statement key that this node holds for an organisation.
pub struct HostedKey {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Which of its keys.
    pub key: KeyId,
    /// The private half.
    pub secret: SecretKey,
}

/// Who this node is.
pub struct NodeIdentity {
    /// The `aud` of login tokens for this node, such as `tax-bureau-1`.
    pub id: String,
    /// The organisation that runs it.
    pub organisation: OrganisationId,
    /// The key it signs log checkpoints with.
    pub receipt_key_id: KeyId,
    /// Its private half.
    pub receipt: SecretKey,
    /// What attachment salts and the secrets of webhooks are derived from; whoever knows it can guess at personal data,
    /// and sign webhooks.
    pub salt_secret: Zeroizing<[u8; 32]>,
}

/// Everything the door needs of a node.
pub struct App<S: Store> {
    /// Reads.
    pub query: Query<S>,
    /// Where statements wait.
    pub mempool: Arc<Mempool>,
    /// Where requests wait for their statements.
    pub finality: Arc<Finality>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who this node is.
    pub identity: Arc<NodeIdentity>,
    /// The statement keys it holds.
    pub hosted: Vec<HostedKey>,
    /// The limits.
    pub options: Options,
    /// How the node is.
    pub health: Arc<Health>,
    /// The way to the other nodes, where there are any.
    pub sharing: Option<Arc<dyn Sharing>>,
    /// Control over the clock; only on `dev` and `demo` nodes.
    pub dev: Option<Arc<dyn DevControl>>,
}
