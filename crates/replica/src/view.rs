//! The index seen as the rules want to see it: state and nonces after the last applied block.

use chain::identity::OrganisationId;
use chain::tile::{TileId, Tiles};
use ledger::state::{Fault, Nonce, StateKey, View};

use crate::index::{self, NonceRow};
use crate::leaf;
use crate::list;
use crate::port::{Store, StoreFault, Table};

/// A store, seen as state.
pub struct StoreView<'s, S: Store + ?Sized>(pub &'s S);

fn read_fault(fault: StoreFault) -> Fault {
    Fault::Read(Box::new(fault))
}

impl<S: Store + ?Sized> View for StoreView<'_, S> {
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
        let row = self.0.get(index::table_of_state(key.as_bytes()), key.as_bytes()).map_err(read_fault)?;
        row.map(list::into_record).transpose().map_err(read_fault)
    }

    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault> {
        nonce_of(self.0, &index::nonce_key(organisation, nonce)).map_err(read_fault)
    }
}

/// A nonce that came again, and what it was used for.
fn nonce_of<S: Store + ?Sized>(store: &S, key: &[u8]) -> Result<Option<Nonce>, StoreFault> {
    let Some(row) = store.get(Table::Nonce, key)? else {
        return Ok(None);
    };
    let row: NonceRow = index::decode(Table::Nonce, &row)?;
    let found = leaf::find(store, row.first_leaf)?.ok_or_else(|| StoreFault::Damaged {
        place: "a row of Nonce".to_owned(),
        expected: "a leaf of the log".to_owned(),
        found: row.first_leaf.to_string(),
    })?;
    let statement = found.statement(store)?;
    let (statement, payload_hash) = (statement.id(), statement.payload_hash());
    Ok(Some(Nonce { statement, payload_hash, live_until_ms: row.live_until_ms }))
}

/// A store, seen as the tiles of the log.
pub struct StoreTiles<'s, S: Store + ?Sized>(pub &'s S);

impl<S: Store + ?Sized> Tiles for StoreTiles<'_, S> {
    type Error = StoreFault;

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, StoreFault> {
        self.0.get(Table::LogTile, &index::tile_key(id))
    }
}
