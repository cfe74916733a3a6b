//! The mempool: statements that were admitted and wait for a block.
//!
//! Bounded in count and bytes; at most a quarter of it one organisation's, and blocks are filled
//! round-robin over organisations, so that one that sends ten times everybody else waits behind
//! nobody but itself. A statement leaves when a block that holds it is committed, when it is found
//! to be no longer admissible, or when executing it panicked (quarantine).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use chain::block::statement_hash;
use chain::hash::{Hash, StatementId};
use chain::identity::OrganisationId;
use ledger::admission::{Parsed, Verified};

/// Limits of a mempool.
#[expect(clippy::struct_field_names, reason = "bounds last: the house's way to name limits")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Statements in all.
    pub statements_max: usize,
    /// Bytes of statements in all.
    pub bytes_max: usize,
    /// Of both, the part one organisation may hold, in percent.
    pub organisation_percent_max: usize,
    /// Quarantined statements remembered.
    pub quarantine_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statements_max: 50_000,
            bytes_max: 64 * 1024 * 1024,
            organisation_percent_max: 25,
            quarantine_max: 1_000,
        }
    }
}

/// A statement that was admitted.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The statement, read.
    pub parsed: Parsed,
    /// What was verified when it was admitted.
    pub verified: Verified,
}

impl Entry {
    fn id(&self) -> StatementId {
        self.parsed.statement().id()
    }

    fn organisation(&self) -> &OrganisationId {
        &self.parsed.statement().header().organisation
    }

    fn bytes(&self) -> usize {
        self.parsed.statement().bytes().len()
    }

    /// Organisation and nonce, as one short key.
    fn nonce(&self) -> Hash {
        let nonce = self.parsed.statement().header().nonce.as_str();
        Hash::of([self.organisation().as_str(), "\0", nonce].concat().as_bytes())
    }
}

/// What became of a statement put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It waits.
    Queued,
    /// One with the same nonce and payload waits already: this one.
    Waiting(StatementId),
}

/// Why a statement was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Another payload waits under the same nonce.
    #[error("another payload waits under the same nonce")]
    NonceReused,
    /// The mempool is full.
    #[error("the mempool holds {held} of {max} {unit}")]
    Pool {
        /// How much it holds.
        held: usize,
        /// How much it may hold.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// The organisation's part is full.
    #[error("the organisation holds {held} of its {max} {unit} in the mempool")]
    Organisation {
        /// How much it holds.
        held: usize,
        /// How much it may hold.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Executing it panicked before.
    #[error("the statement is quarantined")]
    Quarantined,
}

#[derive(Default)]
struct Queue {
    /// In the order in which they came.
    entries: BTreeMap<u64, Arc<Entry>>,
    bytes: usize,
}

/// Where a statement waits.
struct Place {
    organisation: OrganisationId,
    arrival: u64,
    /// The hash of its bytes.
    bytes: Hash,
}

#[derive(Default)]
struct Inner {
    queues: BTreeMap<OrganisationId, Queue>,
    nonces: BTreeMap<Hash, (StatementId, Hash)>,
    /// What waits, by the hash of its bytes: signature and all.
    by_bytes: BTreeMap<Hash, Arc<Entry>>,
    by_id: BTreeMap<StatementId, Place>,
    /// How many came in since the start.
    arrivals: u64,
    bytes: usize,
    /// The organisation whose turn was last.
    last: Option<OrganisationId>,
    quarantine: BTreeSet<StatementId>,
    quarantine_order: VecDeque<StatementId>,
}

/// The mempool. Shared by everybody who submits and the one who proposes.
pub struct Mempool {
    limits: Limits,
    inner: Mutex<Inner>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Mempool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mempool").field("limits", &self.limits).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Mempool {
    /// An empty mempool; `wake` is called whenever a statement comes in.
    pub fn new(limits: Limits, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { limits, inner: Mutex::default(), wake: Box::new(wake) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the mempool")
    }

    /// Its limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many statements wait.
    pub fn len(&self) -> usize {
        self.inner().by_id.len()
    }

    /// How many bytes of statements wait.
    pub fn bytes(&self) -> usize {
        self.inner().bytes
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a statement in.
    ///
    /// # Errors
    /// Why it was not.
    pub fn insert(&self, entry: Entry) -> Result<Inserted, Full> {
        // Hashed before the lock is taken: statements may be large.
        let hash = statement_hash(entry.parsed.statement().bytes());
        let inserted = self.inner().insert(&self.limits, hash, entry)?;
        if inserted == Inserted::Queued {
            (self.wake)();
        }
        Ok(inserted)
    }

    /// What waits of statements given by their hashes: [`statement_hash`].
    pub fn waiting(&self, hashes: &[Hash]) -> Vec<Option<Arc<Entry>>> {
        let inner = self.inner();
        hashes.iter().map(|hash| inner.by_bytes.get(hash).cloned()).collect()
    }

    /// Statements for a block, fairly ordered: one of each organisation in turn, until `bytes_max`
    /// or `work_max` would be passed. They stay in the pool.
    pub fn candidates(&self, bytes_max: usize, work_max: u32) -> Vec<Arc<Entry>> {
        self.inner().candidates(bytes_max, work_max)
    }

    /// Removes statements: decided, or no longer admissible.
    pub fn remove<'i>(&self, ids: impl IntoIterator<Item = &'i StatementId>) {
        self.inner().remove(ids);
    }

    /// Removes a statement, and does not take it in again while it is among the newest quarantined.
    pub fn quarantine(&self, id: StatementId) {
        let mut inner = self.inner();
        inner.remove([&id]);
        if inner.quarantine.insert(id) {
            inner.quarantine_order.push_back(id);
        }
        if inner.quarantine_order.len() > self.limits.quarantine_max
            && let Some(oldest) = inner.quarantine_order.pop_front()
        {
            inner.quarantine.remove(&oldest);
        }
    }
}

impl Inner {
    fn insert(&mut self, limits: &Limits, hash: Hash, entry: Entry) -> Result<Inserted, Full> {
        let (id, bytes, nonce) = (entry.id(), entry.bytes(), entry.nonce());
        if self.quarantine.contains(&id) {
            return Err(Full::Quarantined);
        }
        if let Some((waiting, payload)) = self.nonces.get(&nonce) {
            let same = *payload == entry.parsed.statement().payload_hash();
            return if same { Ok(Inserted::Waiting(*waiting)) } else { Err(Full::NonceReused) };
        }
        let room = |held: usize, more: usize, max: usize| held.saturating_add(more) <= max;
        if !room(self.by_id.len(), 1, limits.statements_max) {
            return Err(Full::Pool { held: self.by_id.len(), max: limits.statements_max, unit: "statements" });
        }
        if !room(self.bytes, bytes, limits.bytes_max) {
            return Err(Full::Pool { held: self.bytes, max: limits.bytes_max, unit: "bytes" });
        }
        let queue = self.queues.entry(entry.organisation().clone()).or_default();
        let part = |max: usize| max.saturating_mul(limits.organisation_percent_max) / 100;
        if !room(queue.entries.len(), 1, part(limits.statements_max)) {
            let max = part(limits.statements_max);
            return Err(Full::Organisation { held: queue.entries.len(), max, unit: "statements" });
        }
        if !room(queue.bytes, bytes, part(limits.bytes_max)) {
            return Err(Full::Organisation { held: queue.bytes, max: part(limits.bytes_max), unit: "bytes" });
        }
        self.nonces.insert(nonce, (id, entry.parsed.statement().payload_hash()));
        queue.bytes += bytes;
        let (arrival, organisation) = (self.arrivals, entry.organisation().clone());
        self.arrivals += 1;
        let entry = Arc::new(entry);
        self.by_bytes.insert(hash, Arc::clone(&entry));
        queue.entries.insert(arrival, entry);
        self.by_id.insert(id, Place { organisation, arrival, bytes: hash });
        self.bytes += bytes;
        Ok(Inserted::Queued)
    }

    fn candidates(&mut self, bytes_max: usize, work_max: u32) -> Vec<Arc<Entry>> {
        let mut turns: VecDeque<_> = self.queues.values().map(|queue| queue.entries.values()).collect();
        if let Some(last) = &self.last {
            turns.rotate_left(self.queues.keys().take_while(|organisation| *organisation <= last).count());
        }
        let (mut bytes, mut work, mut chosen, mut left_out) = (0_usize, 0_u32, Vec::new(), false);
        while let Some(mut queue) = turns.pop_front() {
            let Some(entry) = queue.next() else { continue };
            let (more, harder) = (bytes.saturating_add(entry.bytes()), work.saturating_add(entry.parsed.work()));
            if more > bytes_max || harder > work_max {
                // What comes after it from the same organisation waits behind it; others may still fit.
                left_out = true;
                continue;
            }
            (bytes, work) = (more, harder);
            chosen.push(Arc::clone(entry));
            turns.push_back(queue);
        }
        if left_out {
            self.last = chosen.last().map(|entry: &Arc<Entry>| entry.organisation().clone());
        }
        chosen
    }

    fn remove<'i>(&mut self, ids: impl IntoIterator<Item = &'i StatementId>) {
        for id in ids {
            let Some(Place { organisation, arrival, bytes }) = self.by_id.remove(id) else { continue };
            self.by_bytes.remove(&bytes);
            let Some(queue) = self.queues.get_mut(&organisation) else { continue };
            let Some(entry) = queue.entries.remove(&arrival) else { continue };
            self.nonces.remove(&entry.nonce());
            queue.bytes -= entry.bytes();
            self.bytes -= entry.bytes();
            if queue.entries.is_empty() {
                self.queues.remove(&organisation);
            }
        }
    }
}
