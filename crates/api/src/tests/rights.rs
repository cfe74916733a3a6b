//! Rights that come and go: records of the state, changed as a block would that no event makes yet.

use borsh::BorshSerialize;
use chain::identity::KeyId;
use ledger::organisation::Organisation;
use ledger::state::StateKey;
use replica::port::{IndexWrites, Store as _, Table};

use super::consortium::organisation;
use super::node::Node;

/// Changes a record of the state. The node makes no block afterwards.
fn change<T: BorshSerialize>(node: &Node, key: &StateKey, mut record: T, change: impl FnOnce(&mut T)) {
    let store = node.query.store();
    let row = store.get(Table::State, key.as_bytes()).unwrap().unwrap();
    // The record stands at the end of its row.
    let before = row.strip_suffix(borsh::to_vec(&record).unwrap().as_slice()).unwrap();
    change(&mut record);
    let row = [before, &borsh::to_vec(&record).unwrap()].concat();
    let height = store.index_tip().unwrap().unwrap().height;
    let writes: IndexWrites = [((Table::State, key.as_bytes().to_vec()), Some(row))].into();
    store.apply(height + 1, writes).unwrap();
}

/// Changes an organisation.
pub(crate) fn change_organisation(node: &Node, name: &str, by: impl FnOnce(&mut Organisation)) {
    let id = organisation(name);
    change(node, &StateKey::organisation(&id), node.query.organisation(&id).unwrap().unwrap(), by);
}

/// Revokes an organisation's login key, or takes that back.
pub(crate) fn set_login(organisation: &mut Organisation, active: bool) {
    let login = KeyId::new("login").unwrap();
    organisation.keys.iter_mut().filter(|key| key.id == login).for_each(|key| key.active = active);
}

/// Takes a mandate back.
pub(crate) fn end_mandate(node: &Node, from: &str, to: &str) {
    let (from, to) = (organisation(from), organisation(to));
    let mandate = node.query.mandates_of(&from).unwrap().into_iter().find(|mandate| mandate.to == to).unwrap();
    change(node, &StateKey::mandate(&from, &to), mandate, |mandate| mandate.scopes.clear());
}
