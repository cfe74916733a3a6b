//! Reporting: what a node has seen goes onto the ledger, signed with the key it speaks for its agency with.

use std::collections::BTreeMap;
use std::sync::Arc;

use chain::encoding::encode_base64url;
use chain::equivocation::{Equivocation, EquivocationError, Step};
use chain::hash::Hash;
use chain::identity::{KeyId, OrganisationId};
use chain::key::SecretKey;
use chain::statement::{Draft, Mode, Nonce, StatementHeader, payload};
use chain::suite::Suite;
use ledger::event::Event;

use crate::mempool::{Inserted, Mempool};
use crate::port::Store;
use crate::query::{Admission, AdmitError, Query};
use crate::replica::Fault;

/// Equivocations that wait for the ledger at once. A validator that signs two things again and again is known after the
/// first.
pub const PENDING_MAX: usize = 64;

/// How often a report is tried. With the pauses between, that is most of a working day.
pub const TRIES_MAX: u32 = 50;

/// The pause after the first try, ms; each further one is twice as long.
pub const RETRY_MS: i64 = 5_000;

/// The longest pause between two tries, ms.
const RETRY_MS_MAX: i64 = 600_000;

/// By how much validators report one after the other, ms: who comes later mostly finds it on the ledger.
const TURN_MS: i64 = 2_000;

/// How long a statement is in time, seconds.
const LIFE_S: i64 = 600;

/// How long it must be in time still to be sent again, seconds.
const LEFT_S_MIN: i64 = 60;

/// Who reports.
pub struct Author {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The id of its key.
    pub key: KeyId,
    /// The key.
    pub secret: SecretKey,
}

/// What became of an equivocation that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It will be reported.
    Pending,
    /// It waits already, or the ledger holds it.
    Known,
    /// The author itself is accused: the others report it.
    Own,
    /// As many wait as may.
    Full,
    /// It proves nothing under the accused validator's key; nothing at all when there is no such validator.
    Unproven(Option<EquivocationError>),
}

struct Pending {
    equivocation: Equivocation,
    /// The statement, and until when it is in time, unix seconds.
    signed: Option<(Vec<u8>, i64)>,
    tries: u32,
    due_ms: i64,
}

/// What is to be reported and is not on the ledger yet.
pub struct Reporter<S: Store> {
    query: Query<S>,
    mempool: Arc<Mempool>,
    suite: Suite,
    author: Author,
    pending: BTreeMap<(u64, u32, Step, OrganisationId), Pending>,
}

impl<S: Store> Reporter<S> {
    /// One that has seen nothing.
    pub fn new(query: Query<S>, mempool: Arc<Mempool>, author: Author) -> Self {
        let suite = query.genesis().suite();
        Self { query, mempool, suite, author, pending: BTreeMap::new() }
    }

    /// How many equivocations wait for the ledger.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Those that wait for the ledger, in the order of their places there.
    pub fn waiting(&self) -> impl Iterator<Item = &Equivocation> {
        self.pending.values().map(|pending| &pending.equivocation)
    }

    /// Takes an equivocation in, to be reported.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn take(&mut self, equivocation: Equivocation, now_ms: i64) -> Result<Taken, Fault> {
        if equivocation.validator == self.author.organisation {
            return Ok(Taken::Own);
        }
        let tip = self.query.tip();
        let validators = tip.validators.validators();
        let Some(accused) = validators.iter().find(|validator| validator.organisation == equivocation.validator) else {
            return Ok(Taken::Unproven(None));
        };
        // A refused report is on the ledger for ever, and spends the author's budget.
        if let Err(error) = equivocation.verify(self.query.chain(), self.suite, &accused.key) {
            return Ok(Taken::Unproven(Some(error)));
        }
        let place = (equivocation.height, equivocation.round, equivocation.kind, equivocation.validator.clone());
        if self.pending.contains_key(&place) || self.query.evidence_of(&equivocation)?.is_some() {
            return Ok(Taken::Known);
        }
        if self.pending.len() >= PENDING_MAX {
            return Ok(Taken::Full);
        }
        let own = validators.iter().position(|validator| validator.organisation == self.author.organisation);
        let turn = own.map_or(validators.len() as u64, |own| {
            let count = validators.len() as u64;
            (own as u64 + equivocation.height % count) % count
        });
        let due_ms = now_ms.saturating_add(TURN_MS.saturating_mul(i64::try_from(turn).unwrap_or(i64::MAX)));
        self.pending.insert(place, Pending { equivocation, signed: None, tries: 0, due_ms });
        Ok(Taken::Pending)
    }

    /// Reports what is due and not on the ledger: puts it into the mempool, and gives the statements to share.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn report(&mut self, now_ms: i64) -> Result<Vec<Vec<u8>>, Fault> {
        let mut statements = Vec::new();
        let due = self.pending.iter().filter(|(_, pending)| pending.due_ms <= now_ms);
        for place in due.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
            let Some(mut pending) = self.pending.remove(&place) else { continue };
            if self.query.evidence_of(&pending.equivocation)?.is_some() {
                continue;
            }
            let statement = self.statement(&mut pending, now_ms);
            let (height, validator) = (pending.equivocation.height, &pending.equivocation.validator);
            match self.query.admit(&statement, now_ms) {
                Ok(Admission::Admitted(entry)) => match self.mempool.insert(*entry) {
                    // One that waits here may not have reached the others.
                    Ok(Inserted::Queued | Inserted::Waiting(_)) => statements.push(statement),
                    Err(full) => tracing::debug!(height, %validator, %full, "evidence finds no room"),
                },
                // Decided, and yet not on the ledger: it was refused, and would be again.
                Ok(Admission::Decided(id)) => {
                    tracing::warn!(height, %validator, statement = %id, "evidence was refused by the ledger");
                    continue;
                }
                Err(AdmitError::Rejected(rejection)) => {
                    tracing::warn!(height, %validator, %rejection, "evidence is not admitted");
                }
                Err(AdmitError::Fault(fault)) => return Err(fault),
            }
            pending.due_ms = now_ms.saturating_add((RETRY_MS << pending.tries.min(16)).min(RETRY_MS_MAX));
            pending.tries += 1;
            if pending.tries < TRIES_MAX {
                self.pending.insert(place, pending);
            } else {
                tracing::error!(height, %validator, tries = TRIES_MAX, "evidence did not come onto the ledger");
            }
        }
        Ok(statements)
    }

    /// The statement of a report: the same bytes as long as they are in time, and the same nonce for ever.
    fn statement(&self, pending: &mut Pending, now_ms: i64) -> Vec<u8> {
        let now_s = now_ms.div_euclid(1_000);
        if let Some((bytes, expires_s)) = &pending.signed
            && *expires_s >= now_s + LEFT_S_MIN
        {
            return bytes.clone();
        }
        let event = Event::Evidence(Box::new(pending.equivocation.clone())).to_json();
        let hash = encode_base64url(Hash::of(event.as_bytes()).as_bytes());
        let expires_s = now_s + LIFE_S;
        let header = StatementHeader {
            organisation: self.author.organisation.clone(),
            key: self.author.key.clone(),
            chain: self.query.chain().clone(),
            nonce: Nonce::new(format!("evidence-{hash}")).expect("52 printable characters"),
            expires_at: u64::try_from(expires_s).unwrap_or_default(),
        };
        let bytes = Draft::new(header, payload(Mode::Each, &[event])).sign(&self.author.secret);
        pending.signed = Some((bytes.clone(), expires_s));
        bytes
    }
}
