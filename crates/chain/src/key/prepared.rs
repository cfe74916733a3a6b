//! Keys that sign often, prepared: read once, and multiplied by table.
//!
//! Verifying multiplies two points by scalars: the curve's base point, and the key. Both are known
//! beforehand when a service provider signs thousands of statements, and with a table of its multiples a
//! point is multiplied without doublings. The equation stays that of [`PublicKey::verify_strict`]: the
//! same point `R' = [S]B - [k]A` comes out however it is computed, and is compared with the same bytes.
//! No batch is verified together, where crafted signatures could pass by chance of the coefficients.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};

use super::multiples::{Multiples, Summands};
use super::{KeyError, PublicKey, Signature, SignatureInvalid};

/// After how many signatures a key gets its table. Making one costs as much as it saves on some twenty.
const USES_MIN: u32 = 64;

/// Keys of one generation. At most two generations are kept: 256 keys, some 54 MiB when all have tables.
const GENERATION_MAX: usize = 128;

/// Multiples of a key's negative, 215 KiB: half of the additions of a signature, in a table that many keys can have.
type KeyTable = Multiples<6>;

/// Multiples of the base point, 660 KiB, once for all keys.
static BASE: LazyLock<Multiples<8>> = LazyLock::new(|| Multiples::of(&ED25519_BASEPOINT_POINT));

/// A key that was admitted, read, with a table once it was used often. Verdicts never depend on the table.
pub struct PreparedKey {
    key: PublicKey,
    uses: AtomicU32,
    table: OnceLock<KeyTable>,
}

impl std::fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedKey")
            .field("key", &self.key)
            .field("table", &self.table.get().is_some())
            .finish_non_exhaustive()
    }
}

impl PreparedKey {
    /// A key without a table yet.
    pub const fn new(key: PublicKey) -> Self {
        Self { key, uses: AtomicU32::new(0), table: OnceLock::new() }
    }

    /// Verifies a signature: the same verdict as [`PublicKey::verify_strict`] for every key, message and signature.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify_strict(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureInvalid> {
        if let Some(table) = self.table.get() {
            return self.verify_by(table, message, signature);
        }
        // Whoever comes just then makes the table; the others do without in the meantime.
        if self.uses.fetch_add(1, Ordering::Relaxed) == USES_MIN {
            self.make_table();
        }
        self.key.verify_strict(message, signature)
    }

    /// A key with its table made at once.
    #[cfg(test)]
    pub(super) fn with_table(key: PublicKey) -> Self {
        let prepared = Self::new(key);
        prepared.make_table();
        assert!(prepared.table.get().is_some(), "an admitted key is a point");
        prepared
    }

    fn make_table(&self) {
        // An admitted key is a point; should it not be, it is judged without a table.
        if let Some(point) = CompressedEdwardsY(*self.key.as_bytes()).decompress() {
            let _ = self.table.set(Multiples::of(&-point));
        }
    }

    fn verify_by(&self, table: &KeyTable, message: &[u8], signature: &Signature) -> Result<(), SignatureInvalid> {
        let (r, s) = signature.as_bytes().split_at(32);
        let s: [u8; 32] = s.try_into().map_err(|_| SignatureInvalid)?;
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).ok_or(SignatureInvalid)?;
        let mut hasher = Sha512::new();
        hasher.update(r);
        hasher.update(self.key.as_bytes());
        hasher.update(message);
        let challenge = Scalar::from_bytes_mod_order_wide(&hasher.finalize().into());
        let mut summands = Summands::for_two();
        BASE.of_scalar(&s, &mut summands);
        table.of_scalar(&challenge, &mut summands);
        let expected = summands.sum();
        // Equal bytes say that R is this very point in its one spelling. It has no torsion component, because neither
        // B nor an admitted key has one, so of the points of small order it can only be the neutral one.
        if expected.is_identity() || expected.compress().as_bytes() != r {
            return Err(SignatureInvalid);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Generations {
    new: BTreeMap<[u8; 32], Arc<PreparedKey>>,
    old: BTreeMap<[u8; 32], Arc<PreparedKey>>,
}

impl Generations {
    fn find(&mut self, admitted: &[u8; 32]) -> Option<Arc<PreparedKey>> {
        if let Some(known) = self.new.get(admitted) {
            return Some(Arc::clone(known));
        }
        let known = self.old.remove(admitted)?;
        self.insert(*admitted, Arc::clone(&known));
        Some(known)
    }

    fn insert(&mut self, admitted: [u8; 32], key: Arc<PreparedKey>) {
        if self.new.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(admitted, key);
    }
}

/// Prepared keys by their bytes, bounded: what is not used while a generation fills up is forgotten.
#[derive(Default)]
pub struct PreparedKeys {
    generations: Mutex<Generations>,
}

impl std::fmt::Debug for PreparedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedKeys").finish_non_exhaustive()
    }
}

impl PreparedKeys {
    /// The key with these bytes, which were admitted before: never bytes that somebody sends.
    ///
    /// # Errors
    /// When the bytes are no key: what kept them is damaged.
    pub fn get(&self, admitted: &[u8; 32]) -> Result<Arc<PreparedKey>, KeyError> {
        if let Some(known) = self.generations().find(admitted) {
            return Ok(known);
        }
        // Read without the lock: it takes a while, and whoever reads it too meanwhile reads the same.
        let key = Arc::new(PreparedKey::new(PublicKey::from_admitted_bytes(admitted)?));
        self.generations().insert(*admitted, Arc::clone(&key));
        Ok(key)
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().expect("nothing panics while it holds the keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn a_key_that_is_used_often_gets_a_table_and_says_the_same() {
        let secret = SecretKey::from_seed([9; 32]);
        let prepared = PreparedKey::new(secret.public());
        for round in 0..=USES_MIN + 3 {
            let message = round.to_be_bytes();
            assert_eq!(prepared.verify_strict(&message, &secret.sign(&message)), Ok(()), "{round}");
            assert_eq!(prepared.verify_strict(b"another", &secret.sign(&message)), Err(SignatureInvalid), "{round}");
        }
        assert!(prepared.table.get().is_some());
    }

    #[test]
    fn keys_that_are_used_stay_and_others_are_forgotten() {
        let keys = PreparedKeys::default();
        let bytes = |n: u16| {
            let mut seed = [3; 32];
            seed[..2].copy_from_slice(&n.to_be_bytes());
            *SecretKey::from_seed(seed).public().as_bytes()
        };
        let first = keys.get(&bytes(0)).unwrap();
        let once = keys.get(&bytes(1)).unwrap();
        for n in 2..1_000 {
            keys.get(&bytes(n)).unwrap();
            assert!(Arc::ptr_eq(&first, &keys.get(&bytes(0)).unwrap()), "{n}");
        }
        assert!(!Arc::ptr_eq(&once, &keys.get(&bytes(1)).unwrap()));
        let generations = keys.generations.lock().unwrap();
        assert!(generations.new.len() <= GENERATION_MAX && generations.old.len() <= GENERATION_MAX);
    }

    #[test]
    fn bytes_that_are_no_key_are_told() {
        let mut two = [0; 32];
        two[0] = 2;
        assert!(matches!(PreparedKeys::default().get(&two), Err(KeyError::NotOnCurve)));
    }
}
