//! A view with writes on top, and one level of undo.
//!
//! A block reads and writes the same records again and again (a seller's month, its quota, the counters), so rows are found
//! by hash, and put in order of keys once, when the block is done. Until then they stand in the order in which they were
//! first asked for, which is the same on every node.

use std::cell::RefCell;
use std::collections::BTreeSet;

use borsh::BorshSerialize;
use chain::hash::Hash;
use chain::identity::OrganisationId;
use indexmap::IndexMap;

use super::{CREATOR_BYTES, Fault, Nonce, StateKey, View, Writes, encode};

/// A record in the view below: a hot one is fetched once a block.
#[derive(Default)]
enum Fetched {
    #[default]
    NotYet,
    Nothing,
    Stored(Vec<u8>),
}

impl From<Option<Vec<u8>>> for Fetched {
    fn from(stored: Option<Vec<u8>>) -> Self {
        stored.map_or(Self::Nothing, Self::Stored)
    }
}

/// What is known of a record.
#[derive(Default)]
struct Row {
    /// As the view below has it.
    below: Fetched,
    /// As it was written last.
    written: Option<Vec<u8>>,
    /// Whether it is written, and is not in the view below.
    created: bool,
    /// In which unit of writes its undo was kept.
    kept_in: u64,
}

/// What the overlay held under a key before a unit of writes.
struct Undo {
    key: StateKey,
    written: Option<Vec<u8>>,
    created: bool,
}

/// A view with writes on top, and one level of undo.
pub struct Overlay<'v> {
    base: &'v dyn View,
    rows: RefCell<IndexMap<StateKey, Row>>,
    /// The unit of writes that is under way: how often [`Overlay::begin`] was called.
    unit: u64,
    /// What stood under the keys that were written in it.
    undo: Vec<Undo>,
}

impl<'v> Overlay<'v> {
    /// An overlay without writes.
    pub fn new(base: &'v dyn View) -> Self {
        Self { base, rows: RefCell::default(), unit: 1, undo: Vec::new() }
    }

    /// The view below: the parent's state, of a block. What is read there is remembered here.
    pub const fn below(&self) -> Below<'_, 'v> {
        Below(self)
    }

    /// Starts a unit of writes that [`Overlay::roll_back`] takes back.
    pub fn begin(&mut self) {
        self.undo.clear();
        self.unit += 1;
    }

    /// Takes back what was written since [`Overlay::begin`].
    pub fn roll_back(&mut self) {
        let rows = self.rows.get_mut();
        for Undo { key, written, created } in self.undo.drain(..) {
            let row = rows.entry(key).or_default();
            row.written = written;
            row.created = created;
        }
        // What is written from here on without another beginning is a unit of its own.
        self.unit += 1;
    }

    /// Writes a record; a new one is created by `creator`.
    ///
    /// # Errors
    /// A fault of the view below.
    pub fn put<T: BorshSerialize>(&mut self, key: StateKey, creator: &Hash, record: &T) -> Result<(), Fault> {
        let (mut creator, mut is_new) = (*creator, true);
        self.show(&key, &mut |stored| {
            is_new = false;
            if let Some(bytes) = stored.first_chunk::<CREATOR_BYTES>() {
                creator = Hash::from_bytes(*bytes);
            }
        })?;
        self.write(key, is_new, encode(&creator, record));
        Ok(())
    }

    /// Writes a record whose key nothing can have been written under before, as with a number just assigned: looking
    /// for what is not there is dear.
    pub fn put_new<T: BorshSerialize>(&mut self, key: StateKey, creator: &Hash, record: &T) {
        self.write(key, true, encode(creator, record));
    }

    fn write(&mut self, key: StateKey, is_new: bool, value: Vec<u8>) {
        let unit = self.unit;
        let rows = self.rows.get_mut();
        let Some(row) = rows.get_mut(&key) else {
            self.undo.push(Undo { key: key.clone(), written: None, created: false });
            rows.insert(key, Row { written: Some(value), created: is_new, kept_in: unit, ..Row::default() });
            return;
        };
        let (written, created) = (row.written.replace(value), row.created);
        row.created |= is_new;
        // What stood there between is nobody's any more: a record written a thousand times is kept once.
        if row.kept_in != unit {
            row.kept_in = unit;
            self.undo.push(Undo { key, written, created });
        }
    }

    /// Whether there is a record, as the overlay has left it so far.
    ///
    /// # Errors
    /// A fault of the view below.
    pub fn has(&self, key: &StateKey) -> Result<bool, Fault> {
        let mut found = false;
        self.show(key, &mut |_| found = true)?;
        Ok(found)
    }

    /// Whether the overlay itself holds a record: nothing else has changed since the view below.
    pub fn has_written(&self, key: &StateKey) -> bool {
        self.rows.borrow().get(key).is_some_and(|row| row.written.is_some())
    }

    /// The writes, and those of their keys that the view below does not have.
    pub fn into_writes(self) -> (Writes, BTreeSet<StateKey>) {
        let (mut writes, mut created) = (Vec::new(), Vec::new());
        for (key, row) in self.rows.into_inner() {
            let Some(value) = row.written else { continue };
            if row.created {
                created.push(key.clone());
            }
            writes.push((key, value));
        }
        (writes.into_iter().collect(), created.into_iter().collect())
    }

    /// Shows a record as the view below has it.
    fn show_below(&self, key: &StateKey, to: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        match self.rows.borrow().get(key).map_or(&Fetched::NotYet, |row| &row.below) {
            Fetched::NotYet => {}
            Fetched::Nothing => return Ok(()),
            Fetched::Stored(stored) => {
                to(stored);
                return Ok(());
            }
        }
        let stored = self.base.get(key)?;
        if let Some(stored) = &stored {
            to(stored);
        }
        let mut rows = self.rows.borrow_mut();
        if let Some(row) = rows.get_mut(key) {
            row.below = stored.into();
        } else {
            rows.insert(key.clone(), Row { below: stored.into(), ..Row::default() });
        }
        Ok(())
    }
}

impl View for Overlay<'_> {
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
        let mut found = None;
        self.show(key, &mut |stored| found = Some(stored.to_vec()))?;
        Ok(found)
    }

    fn show(&self, key: &StateKey, to: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        // One look for both: what was written hides what is below.
        if let Some(row) = self.rows.borrow().get(key) {
            match (&row.written, &row.below) {
                (Some(stored), _) | (None, Fetched::Stored(stored)) => {
                    to(stored);
                    return Ok(());
                }
                (None, Fetched::Nothing) => return Ok(()),
                (None, Fetched::NotYet) => {}
            }
        }
        self.show_below(key, to)
    }

    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault> {
        self.below().nonce(organisation, nonce)
    }
}

/// What an overlay lies on, without its writes.
#[derive(Clone, Copy)]
pub struct Below<'o, 'v>(&'o Overlay<'v>);

impl View for Below<'_, '_> {
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
        let mut found = None;
        self.show(key, &mut |stored| found = Some(stored.to_vec()))?;
        Ok(found)
    }

    fn show(&self, key: &StateKey, to: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        self.0.show_below(key, to)
    }

    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault> {
        self.0.base.nonce(organisation, nonce)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::state::Kind;

    /// A view that counts what is read of it.
    struct Counted {
        rows: BTreeMap<StateKey, Vec<u8>>,
        reads: RefCell<BTreeMap<StateKey, u32>>,
    }

    impl View for Counted {
        fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
            *self.reads.borrow_mut().entry(key.clone()).or_default() += 1;
            Ok(self.rows.get(key).cloned())
        }

        fn nonce(&self, _: &OrganisationId, _: &str) -> Result<Option<Nonce>, Fault> {
            Ok(None)
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin,
        RollBack,
        Put(u8, u16),
        Look(u8),
        LookBelow(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => Just(Step::Begin),
            1 => Just(Step::RollBack),
            6 => (0..12_u8, any::<u16>()).prop_map(|(key, value)| Step::Put(key, value)),
            2 => (0..12_u8).prop_map(Step::Look),
            1 => (0..12_u8).prop_map(Step::LookBelow),
        ];
        prop::collection::vec(step, 0..80)
    }

    fn key(number: u8) -> StateKey {
        StateKey::new(Kind::Quota, &[&[number + 1]])
    }

    fn creator(value: u16) -> Hash {
        Hash::of(&value.to_be_bytes())
    }

    proptest! {
        /// The keys from 6 on are not below, so they are written without looking.
        #[test]
        fn an_overlay_is_a_map_over_a_map_and_a_unit_is_taken_back_as_one(below in prop::collection::btree_map(0..6_u8, any::<u16>(), 0..6), steps in steps()) {
            let rows: BTreeMap<_, _> = below.iter().map(|(number, value)| (key(*number), encode(&creator(*value), value))).collect();
            let base = Counted { rows: rows.clone(), reads: RefCell::default() };
            let mut overlay = Overlay::new(&base);
            let (mut model, mut before) = (BTreeMap::new(), BTreeMap::new());
            overlay.begin();
            for step in steps {
                match step {
                    Step::Begin => {
                        overlay.begin();
                        before.clone_from(&model);
                    }
                    Step::RollBack => {
                        overlay.roll_back();
                        model.clone_from(&before);
                    }
                    Step::Put(number, value) => {
                        let key = key(number);
                        let known = model.get(&key).or_else(|| rows.get(&key));
                        let first = known.map_or(creator(value), |stored: &Vec<u8>| {
                            Hash::from_bytes(*stored.first_chunk().unwrap())
                        });
                        if known.is_none() && number >= 6 {
                            overlay.put_new(key.clone(), &creator(value), &value);
                        } else {
                            overlay.put(key.clone(), &creator(value), &value).unwrap();
                        }
                        model.insert(key, encode(&first, &value));
                    }
                    Step::Look(number) => {
                        let key = key(number);
                        let expected = model.get(&key).or_else(|| rows.get(&key)).cloned();
                        prop_assert_eq!(overlay.has(&key).unwrap(), expected.is_some());
                        prop_assert_eq!(overlay.has_written(&key), model.contains_key(&key));
                        prop_assert_eq!(overlay.get(&key).unwrap(), expected);
                    }
                    Step::LookBelow(number) => {
                        let key = key(number);
                        prop_assert_eq!(overlay.below().get(&key).unwrap(), rows.get(&key).cloned());
                    }
                }
            }
            let (writes, created) = overlay.into_writes();
            prop_assert_eq!(created, model.keys().filter(|key| !rows.contains_key(*key)).cloned().collect());
            prop_assert_eq!(writes, model);
            prop_assert!(base.reads.into_inner().values().all(|reads| *reads == 1), "what was read below is remembered");
        }
    }
}
