//! How lists grow: what a block adds to them, and the rows it leaves of them.

use indexmap::IndexMap;
use indexmap::map::Entry;
use ledger::execute::Executed;

use super::{
    Head, Heads, List, MILESTONE, SAME_RECORD, damaged, heads_alone, heads_in_state, may_have_heads, milestone_key,
    record, row_under, state_row,
};
use crate::index::table_of_state;
use crate::port::{IndexWrites, Store, StoreFault, Table};

/// The lists of a row, while a block adds to them.
struct Grown {
    heads: Heads,
    found: Found,
    /// New milestones: of which list, and at which leaf.
    milestones: Vec<(usize, u64)>,
}

/// Where heads stood before a block.
enum Found {
    /// In front of a record of state: its row.
    State(Vec<u8>),
    /// In a row of their own.
    Alone,
    Nowhere,
}

impl Grown {
    fn read<S: Store + ?Sized>(store: &S, executed: &Executed, row: &[u8]) -> Result<Self, StoreFault> {
        let may_be_there = may_have_heads(row) && !executed.created.contains(row);
        let in_state = if may_be_there { store.get(Table::State, row)? } else { None };
        let (heads, found) = if let Some(row) = in_state {
            (heads_in_state(&row)?, Found::State(row))
        } else if let Some(heads) = heads_alone(store, row)? {
            (heads, Found::Alone)
        } else {
            (Heads::default(), Found::Nowhere)
        };
        Ok(Self { heads, found, milestones: Vec::new() })
    }
}

/// A list that grows: which of a [`Growth`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growing {
    place: usize,
    slot: usize,
}

/// What a block adds to lists.
pub(crate) struct Growth<'s, S: ?Sized> {
    store: &'s S,
    executed: &'s Executed,
    /// Where in `grown` the lists of a row are: found by hash, for every leaf opens some.
    places: IndexMap<Vec<u8>, usize>,
    grown: Vec<Grown>,
}

impl<'s, S: Store + ?Sized> Growth<'s, S> {
    /// Nothing yet, on what the store holds of the blocks before. `executed` is what the block did.
    pub(crate) fn new(store: &'s S, executed: &'s Executed) -> Self {
        Self { store, executed, places: IndexMap::new(), grown: Vec::new() }
    }

    /// A list that leaves are added to. Finding it costs more than adding to it: whoever adds often asks once.
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn open(&mut self, list: List) -> Result<Growing, StoreFault> {
        let place = match self.places.entry(list.row) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.grown.push(Grown::read(self.store, self.executed, new.key())?);
                *new.insert(self.grown.len() - 1)
            }
        };
        Ok(Growing { place, slot: list.slot })
    }

    /// Adds a leaf to a list, and returns how far before it the one before is: 0 when it is the first.
    ///
    /// # Errors
    /// Damage when the list has a leaf that is not older.
    pub(crate) fn add(&mut self, list: Growing, leaf: u64) -> Result<u64, StoreFault> {
        let Growing { place, slot } = list;
        let Grown { heads, milestones, .. } = &mut self.grown[place];
        let head = &mut heads.0[slot];
        let (distance, length) = match head {
            None => (0, 1),
            Some(head) if head.newest < leaf => (leaf - head.newest, head.length.saturating_add(1)),
            Some(head) => {
                return Err(damaged("the head of a list", format!("leaf {} before leaf {leaf}", head.newest)));
            }
        };
        *head = Some(Head { newest: leaf, length });
        if length.is_multiple_of(MILESTONE) {
            milestones.push((slot, leaf));
        }
        Ok(distance)
    }

    /// The rows: those of the state records that are written, with heads in front, and those of the lists.
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn finish(mut self, rows: &mut IndexWrites) -> Result<(), StoreFault> {
        for (key, record) in &self.executed.writes {
            let key = key.as_bytes();
            if !may_have_heads(key) {
                rows.insert((table_of_state(key), key.to_vec()), Some(state_row(record)));
                continue;
            }
            let (row, grown) = match self.places.swap_remove_entry(key) {
                Some((row, place)) => {
                    put_milestones(&row, &self.grown[place], rows);
                    (row, &self.grown[place])
                }
                None => (key.to_vec(), &Grown::read(self.store, self.executed, key)?),
            };
            if matches!(grown.found, Found::Alone) {
                rows.insert((Table::ListHead, row.clone()), None);
            }
            rows.insert((Table::State, row), Some(row_under(&grown.heads, 0, record)));
        }
        for (row, place) in self.places {
            let grown = &self.grown[place];
            put_milestones(&row, grown, rows);
            let (table, value) = match &grown.found {
                Found::State(before) => (Table::State, row_under(&grown.heads, SAME_RECORD, record(before)?)),
                Found::Alone | Found::Nowhere => (Table::ListHead, row_under(&grown.heads, 0, &[])),
            };
            rows.insert((table, row), Some(value));
        }
        Ok(())
    }
}

fn put_milestones(row: &[u8], grown: &Grown, rows: &mut IndexWrites) {
    let keys = grown.milestones.iter().map(|(slot, leaf)| milestone_key(row, *slot, *leaf));
    rows.extend(keys.map(|key| ((Table::ListMilestone, key), Some(Vec::new()))));
}
