//! Where a replay puts what does not fit into memory.

use std::collections::BTreeMap;

use crate::state::Fault;

/// Changes in order of keys: a value is put, `None` removes.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Entries in order of keys.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// An ordered map beyond memory, for the time of one replay. Nothing needs to outlive the process.
pub trait Scratch: Send {
    /// The value under a key.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Makes changes, all of them.
    ///
    /// # Errors
    /// Whatever keeps them from being made; the scratch is of no use then.
    fn write(&mut self, changes: &Changes) -> Result<(), Fault>;

    /// Up to `entries_max` entries, the first from `from` on, in order of keys, all below `to`.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn page(&self, from: &[u8], to: &[u8], entries_max: usize) -> Result<Entries, Fault>;
}

/// A scratch in memory: for archives of which one knows that they are small, and for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryScratch(BTreeMap<Vec<u8>, Vec<u8>>);

impl Scratch for MemoryScratch {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(key).cloned())
    }

    fn write(&mut self, changes: &Changes) -> Result<(), Fault> {
        for (key, value) in changes {
            match value {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
        Ok(())
    }

    fn page(&self, from: &[u8], to: &[u8], entries_max: usize) -> Result<Entries, Fault> {
        let range = self.0.range(from.to_vec()..to.to_vec());
        Ok(range.take(entries_max).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
