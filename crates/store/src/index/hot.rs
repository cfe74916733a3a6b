//! State records that are read again and again: organisations, mandates, parameters, and that there
//! is none.
//!
//! Finding a row in sled costs something even when its page is in memory, and executing a statement
//! asks for half a dozen of the same rows each time. What this saves was not measured by itself.
//!
//! Kept is what the database holds, never what the layers hold, which are asked first. A finished
//! checkpoint changes the database, so then what it wrote takes the place of what is kept; what was read
//! before that moment and comes to be kept after it is recognised by its generation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes kept of each half, rows and keys.
const HALF_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a kept row costs beside its bytes.
const ROW_BYTES: usize = 100;

/// Rows of the database by their keys; `None` for those it does not have.
type Rows = HashMap<Vec<u8>, Option<Vec<u8>>, ahash::RandomState>;

/// Rows asked for lately: those of the younger half and, until it is full, of the older.
#[derive(Debug, Default)]
pub(super) struct HotRows {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    young: Rows,
    old: Rows,
    young_bytes: usize,
    generation: u64,
}

/// What was found, or under which generation to keep what the database says.
pub(super) enum Looked {
    Found(Option<Vec<u8>>),
    Missing { generation: u64 },
}

impl HotRows {
    pub(super) fn look(&self, key: &[u8]) -> Looked {
        let mut kept = self.kept();
        if let Some(value) = kept.young.get(key) {
            return Looked::Found(value.clone());
        }
        match kept.old.remove_entry(key) {
            Some((key, value)) => {
                kept.keep(key, value.clone());
                Looked::Found(value)
            }
            None => Looked::Missing { generation: kept.generation },
        }
    }

    /// Keeps what the database said, unless it has changed since `generation`.
    pub(super) fn keep(&self, generation: u64, key: Vec<u8>, value: Option<Vec<u8>>) {
        let mut kept = self.kept();
        if kept.generation == generation {
            kept.keep(key, value);
        }
    }

    /// Puts what a checkpoint wrote in the place of what is kept: `written` has the value of a key, if it wrote one.
    /// Called when the database holds the rows of the checkpoint, and before the frozen memtable, which hides what is
    /// kept here of them, goes away.
    pub(super) fn renew(&self, written: impl Fn(&[u8]) -> Option<Option<Vec<u8>>>) {
        let mut kept = self.kept();
        let Kept { young, old, young_bytes, generation } = &mut *kept;
        for (key, value) in young.iter_mut().chain(old.iter_mut()) {
            if let Some(newest) = written(key) {
                *value = newest;
            }
        }
        *young_bytes = young.iter().map(|(key, value)| row_bytes(key, value.as_deref())).sum();
        *generation += 1;
    }

    /// Forgets everything.
    pub(super) fn forget(&self) {
        let mut kept = self.kept();
        *kept = Kept { generation: kept.generation + 1, ..Kept::default() };
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic in between can only lose a row that is kept.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.young_bytes += row_bytes(&key, value.as_deref());
        self.young.insert(key, value);
        if self.young_bytes > HALF_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

/// What a row costs that is kept.
fn row_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    ROW_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &HotRows, key: &[u8]) -> Result<Option<Vec<u8>>, ()> {
        match rows.look(key) {
            Looked::Found(value) => Ok(value),
            Looked::Missing { .. } => Err(()),
        }
    }

    fn generation(rows: &HotRows) -> u64 {
        match rows.look(b"never kept") {
            Looked::Missing { generation } => generation,
            Looked::Found(_) => panic!("kept"),
        }
    }

    #[test]
    fn what_was_read_before_a_checkpoint_is_not_kept_after_it() {
        let rows = HotRows::default();
        let before = generation(&rows);
        rows.keep(before, b"a".to_vec(), Some(b"old".to_vec()));
        rows.keep(before, b"b".to_vec(), None);
        assert_eq!(found(&rows, b"a"), Ok(Some(b"old".to_vec())));
        assert_eq!(found(&rows, b"b"), Ok(None));
        rows.forget();
        assert_eq!(found(&rows, b"a"), Err(()));
        rows.keep(before, b"a".to_vec(), Some(b"old".to_vec()));
        assert_eq!(found(&rows, b"a"), Err(()));
        rows.keep(generation(&rows), b"a".to_vec(), Some(b"new".to_vec()));
        assert_eq!(found(&rows, b"a"), Ok(Some(b"new".to_vec())));
    }

    #[test]
    fn what_a_checkpoint_wrote_takes_the_place_of_what_is_kept() {
        let rows = HotRows::default();
        let before = generation(&rows);
        for key in [b"stays", b"grows", b"comes", b"goes!"] {
            let value = (key != b"comes").then(|| b"old".to_vec());
            rows.keep(before, key.to_vec(), value);
        }
        let long = vec![7; HALF_BYTES_MAX];
        rows.renew(|key| match key {
            b"grows" => Some(Some(long.clone())),
            b"comes" => Some(Some(b"new".to_vec())),
            b"goes!" => Some(None),
            _ => None,
        });
        assert_eq!(found(&rows, b"stays"), Ok(Some(b"old".to_vec())));
        assert_eq!(found(&rows, b"grows"), Ok(Some(long)));
        assert_eq!(found(&rows, b"comes"), Ok(Some(b"new".to_vec())));
        assert_eq!(found(&rows, b"goes!"), Ok(None));
        // What was read before the checkpoint is not kept after it.
        rows.keep(before, b"late!".to_vec(), Some(b"old".to_vec()));
        assert_eq!(found(&rows, b"late!"), Err(()));
        // The bytes are of what is kept now, so that the next row makes the halves change places.
        rows.keep(generation(&rows), b"next!".to_vec(), None);
        assert_eq!(rows.kept().young_bytes, 0);
    }

    #[test]
    fn rows_that_are_asked_for_outlive_those_that_are_not_and_memory_is_bounded() {
        let rows = HotRows::default();
        let now = generation(&rows);
        for number in 0..1_000_u32 {
            rows.keep(now, number.to_be_bytes().to_vec(), Some(vec![7; 20_000]));
            if number > 0 {
                assert!(found(&rows, &0_u32.to_be_bytes()).is_ok(), "{number}");
            }
        }
        assert_eq!(found(&rows, &1_u32.to_be_bytes()), Err(()));
        let kept = rows.kept();
        let bytes: usize = kept.young.values().chain(kept.old.values()).flatten().map(Vec::len).sum();
        assert!(bytes <= 2 * HALF_BYTES_MAX + 40_000, "{bytes}");
    }
}
