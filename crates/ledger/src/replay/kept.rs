//! What a replay keeps: records, used nonces, the nodes of the state tree, and the sums of its second
//! pass, each under a prefix of one space.

use std::collections::BTreeSet;

use chain::hash::Hash;
use chain::identity::OrganisationId;
use chain::statement::Statement;
use invoice::amount::Amount;

use super::scratch::Entries;
use super::space::Space;
use crate::bookkeeping::InputRecord;
use crate::record::AccumulatorRecord;
use crate::red::EarlierRecord;
use crate::state::{Fault, Kind, Nonce, StateKey, View, Writes};
use crate::tree::{self, Change, Nodes};

/// How many changed records are taken into the tree at once. The root depends on the state alone, so
/// there may be versions between two checkpoints; this bounds what one of them takes of memory.
const TREE_CHANGES_MAX: usize = 131_072;

const STATE: u8 = b's';
const NONCE: u8 = b'n';
const NODE: u8 = b't';
const MONTH: u8 = b'm';
const INPUT: u8 = b'i';
const EARLIER: u8 = b'e';

/// State, nonces and tree.
pub(super) struct Kept<'s> {
    space: Space<'s>,
    /// The tree's newest version and root.
    tree: Option<(u64, Hash)>,
    /// Records changed since that version.
    changed: BTreeSet<StateKey>,
}

fn prefixed(prefix: u8, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(prefix);
    bytes.extend_from_slice(key);
    bytes
}

fn nonce_key(organisation: &OrganisationId, nonce: &str) -> Vec<u8> {
    // No id contains a zero byte, so the parts stay apart.
    [&[NONCE], organisation.as_str().as_bytes(), &[0], nonce.as_bytes()].concat()
}

struct TreeNodes<'k, 's>(&'k Space<'s>);

impl Nodes for TreeNodes<'_, '_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(&prefixed(NODE, key))
    }
}

impl View for Kept<'_> {
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
        self.space.get(&prefixed(STATE, key.as_bytes()))
    }

    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault> {
        let key = nonce_key(organisation, nonce);
        self.space.get(&key)?.map(|bytes| decode(&key, &bytes)).transpose()
    }
}

fn decode<T: borsh::BorshDeserialize>(key: &[u8], bytes: &[u8]) -> Result<T, Fault> {
    borsh::from_slice(bytes).map_err(|source| Fault::Damaged { key: key.escape_ascii().to_string(), source })
}

fn encode(value: &impl borsh::BorshSerialize) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to a vector cannot fail")
}

impl<'s> Kept<'s> {
    /// Nothing yet.
    pub(super) const fn new(space: Space<'s>) -> Self {
        Self { space, tree: None, changed: BTreeSet::new() }
    }

    /// Applies the writes of a block.
    pub(super) fn write(&mut self, writes: Writes) -> Result<(), Fault> {
        for (key, stored) in writes {
            self.space.put(prefixed(STATE, key.as_bytes()), Some(stored))?;
            self.changed.insert(key);
        }
        if self.changed.len() >= TREE_CHANGES_MAX { self.grow_tree() } else { Ok(()) }
    }

    /// The root of the state as it stands. Nodes of older versions are forgotten.
    pub(super) fn checkpoint(&mut self) -> Result<Hash, Fault> {
        self.grow_tree()?;
        self.tree.map(|(_, root)| root).ok_or_else(|| Fault::Tree { reason: "a state without records".to_owned() })
    }

    fn grow_tree(&mut self) -> Result<(), Fault> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(self.changed.len());
        for key in std::mem::take(&mut self.changed) {
            if let Some(stored) = self.get(&key)? {
                changes.push(Change::new(&key, &stored));
            }
        }
        let version = self.tree.map_or(0, |(version, _)| version + 1);
        let update = tree::update(&TreeNodes(&self.space), version, changes)?;
        for (key, node) in update.nodes {
            self.space.put(prefixed(NODE, &key), Some(node))?;
        }
        self.tree = Some((version, update.root));
        Ok(())
    }

    /// Records a statement's nonce as used. It stays when it is no longer live: judging looks at its end.
    pub(super) fn use_nonce(&mut self, statement: &Statement, live_until_ms: i64) -> Result<(), Fault> {
        let header = statement.header();
        let used = Nonce { statement: statement.id(), payload_hash: statement.payload_hash(), live_until_ms };
        self.space.put(nonce_key(&header.organisation, header.nonce.as_str()), Some(encode(&used)))
    }

    /// Up to `entries_max` records of a kind in order of keys, after a key or from the first on.
    pub(super) fn records(
        &mut self,
        kind: Kind,
        after: Option<&StateKey>,
        entries_max: usize,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Fault> {
        self.page(STATE, kind, after, entries_max)
    }

    /// What was added up of a month.
    pub(super) fn month(&self, key: &StateKey) -> Result<Option<AccumulatorRecord>, Fault> {
        self.space.get(&prefixed(MONTH, key.as_bytes()))?.map(|bytes| decode(key.as_bytes(), &bytes)).transpose()
    }

    /// Keeps what was added up of a month.
    pub(super) fn put_month(&mut self, key: &StateKey, month: &AccumulatorRecord) -> Result<(), Fault> {
        self.space.put(prefixed(MONTH, key.as_bytes()), Some(encode(month)))
    }

    /// Up to `entries_max` of the months that were added up, as [`Kept::records`] gives records.
    pub(super) fn months(
        &mut self,
        after: Option<&StateKey>,
        entries_max: usize,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Fault> {
        self.page(MONTH, Kind::Accumulator, after, entries_max)
    }

    /// What was added up of the input of a buyer's month.
    pub(super) fn input(&self, key: &StateKey) -> Result<Option<InputRecord>, Fault> {
        self.space.get(&prefixed(INPUT, key.as_bytes()))?.map(|bytes| decode(key.as_bytes(), &bytes)).transpose()
    }

    /// Keeps what was added up of the input of a buyer's month.
    pub(super) fn put_input(&mut self, key: &StateKey, month: &InputRecord) -> Result<(), Fault> {
        self.space.put(prefixed(INPUT, key.as_bytes()), Some(encode(month)))
    }

    /// Up to `entries_max` of the months whose input was added up, as [`Kept::records`] gives records.
    pub(super) fn inputs(
        &mut self,
        after: Option<&StateKey>,
        entries_max: usize,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Fault> {
        self.page(INPUT, Kind::Input, after, entries_max)
    }

    /// What was added up of a month's red letters whose blues are of months before.
    pub(super) fn earlier(&self, key: &StateKey) -> Result<Option<EarlierRecord>, Fault> {
        self.space.get(&prefixed(EARLIER, key.as_bytes()))?.map(|bytes| decode(key.as_bytes(), &bytes)).transpose()
    }

    /// Adds a red letter to a month's of earlier blues.
    pub(super) fn add_earlier(&mut self, key: &StateKey, gross: Amount) -> Result<(), Fault> {
        let mut earlier = self.earlier(key)?.unwrap_or_default();
        let fen = earlier.gross_fen.checked_add(i128::from(gross.fen()));
        earlier.gross_fen = fen.ok_or_else(|| Fault::Sums { party: key.to_string() })?;
        self.space.put(prefixed(EARLIER, key.as_bytes()), Some(encode(&earlier)))
    }

    /// Up to `entries_max` of the months whose red letters of earlier blues were added up, as [`Kept::records`] gives records.
    pub(super) fn earlier_months(
        &mut self,
        after: Option<&StateKey>,
        entries_max: usize,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Fault> {
        self.page(EARLIER, Kind::Earlier, after, entries_max)
    }

    fn page(
        &mut self,
        prefix: u8,
        kind: Kind,
        after: Option<&StateKey>,
        entries_max: usize,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Fault> {
        let from = match after {
            // The least key above another one.
            Some(key) => prefixed(prefix, &[key.as_bytes(), &[0]].concat()),
            None => vec![prefix, kind as u8],
        };
        let entries: Entries = self.space.page(&from, &[prefix, kind as u8 + 1], entries_max)?;
        let unprefixed = |key: &[u8]| StateKey::from_bytes(key.get(1..).unwrap_or_default().to_vec());
        Ok(entries.into_iter().map(|(key, value)| (unprefixed(&key), value)).collect())
    }
}
