//! The index seen as the rules want to see it: state and nonces after the last applied block.

use chain::identity::OrganisationId;
use chain::tile::{TileId, Tiles};
use ledger::state::{Fault, Nonce, StateKey, View};

use crate::index;
use crate::port::{Store, StoreFault, Table};

/// A store, seen as state.
pub struct StoreView<'s, S: Store + ?Sized>(pub &'s S);

fn read_fault(fault: StoreFault) -> Fault {
    Fault::Read(Box::new(fault))
}

impl<S: Store + ?Sized> View for StoreView<'_, S> {
    fn get(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(Table::State, key.as_bytes()).map_err(read_fault)
    }

    fn nonce(&self, organisation: &OrganisationId, nonce: &str) -> Result<Option<Nonce>, Fault> {
        let row = self.0.get(Table::Nonce, &index::nonce_key(organisation, nonce)).map_err(read_fault)?;
        row.map(|bytes| index::decode(Table::Nonce, &bytes)).transpose().map_err(read_fault)
    }
}

/// A store, seen as the tiles of the log.
pub struct StoreTiles<'s, S: Store + ?Sized>(pub &'s S);

impl<S: Store + ?Sized> Tiles for StoreTiles<'_, S> {
    type Error = StoreFault;

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, StoreFault> {
        self.0.get(Table::LogTile, &index::tile_key(id))
    }
}
