//! Login tokens whose signature was verified: whoever reads much with one token is verified once.
//!
//! Only the signature is remembered, with the key it was verified by. Time, and whether the ledger
//! still has that very key, active and for logins, are looked at with every request. Tokens are
//! found by their SHA-256, so that how long a look-up takes tells nothing about a token.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use chain::hash::Hash;
use chain::identity::OrganisationId;
use chain::login::LoginToken;
use ledger::organisation::Key;

use crate::auth::bearer;

/// A token and the key that verified it.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) token: LoginToken,
    key: Key,
}

impl Verified {
    /// Whether a key of today is the one that verified the token.
    pub(crate) fn by(&self, key: &Key) -> bool {
        self.key.public == key.public
    }
}

type Generation = BTreeMap<Hash, Arc<Verified>>;

/// Tokens that were verified. Bounded: of two generations the older is forgotten when the younger is full.
pub(crate) struct VerifiedTokens {
    generation_max: usize,
    generations: Mutex<(Generation, Generation)>,
}

impl VerifiedTokens {
    pub(crate) fn new(max: usize) -> Self {
        Self { generation_max: max / 2, generations: Mutex::default() }
    }

    /// A token of that text, if it was verified and is remembered.
    pub(crate) fn find(&self, text: &str) -> Option<Arc<Verified>> {
        let hash = Hash::of(text.as_bytes());
        let mut generations = self.generations.lock().expect("nothing panics while it holds the tokens");
        if let Some(known) = generations.0.get(&hash) {
            return Some(Arc::clone(known));
        }
        let known = generations.1.remove(&hash)?;
        self.keep(&mut generations, hash, Arc::clone(&known));
        Some(known)
    }

    /// Remembers a token as verified by a key. One for a write is used once, and not worth a place.
    pub(crate) fn remember(&self, text: &str, token: &LoginToken, key: &Key) {
        if token.jti().is_some() {
            return;
        }
        let verified = Arc::new(Verified { token: token.clone(), key: key.clone() });
        let mut generations = self.generations.lock().expect("nothing panics while it holds the tokens");
        self.keep(&mut generations, Hash::of(text.as_bytes()), verified);
    }

    fn keep(&self, (young, old): &mut (Generation, Generation), hash: Hash, verified: Arc<Verified>) {
        if self.generation_max == 0 {
            return;
        }
        if young.len() >= self.generation_max {
            *old = std::mem::take(young);
        }
        young.insert(hash, verified);
    }

    /// Forgets a token with which nobody can log in any more.
    pub(crate) fn forget(&self, text: &str) {
        let hash = Hash::of(text.as_bytes());
        let mut generations = self.generations.lock().expect("nothing panics while it holds the tokens");
        generations.0.remove(&hash);
        generations.1.remove(&hash);
    }

    /// Who a caller was found to be before, by a token that is not for a write and has not expired at `now_s` (unix
    /// seconds). For taking turns, not for access: what is done in somebody's name counts against that name, so a token
    /// that no longer holds must not give one.
    pub(crate) fn organisation(&self, headers: &HeaderMap, now_s: u64) -> Option<OrganisationId> {
        let text = bearer(headers).ok().flatten()?;
        let known = self.find(text)?;
        if now_s >= known.token.expires_at() {
            self.forget(text);
            return None;
        }
        Some(known.token.organisation().clone())
    }
}
