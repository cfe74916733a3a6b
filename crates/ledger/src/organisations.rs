//! The organisations of one state, each read once: a block's statements come from few of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use chain::identity::OrganisationId;

use crate::organisation::Organisation;
use crate::state::{Fault, StateKey, View, read};

/// Organisations as they were found in one state. A block looks at the state of its parent: what it changes in
/// organisations applies from the next block on.
#[derive(Default)]
pub(crate) struct Organisations(RefCell<BTreeMap<OrganisationId, Option<Arc<Organisation>>>>);

impl Organisations {
    /// An organisation, if the state has it; always of the same state.
    pub(crate) fn get(&self, state: &dyn View, id: &OrganisationId) -> Result<Option<Arc<Organisation>>, Fault> {
        if let Some(known) = self.0.borrow().get(id) {
            return Ok(known.clone());
        }
        let found = read(state, &StateKey::organisation(id))?.map(Arc::new);
        self.0.borrow_mut().insert(id.clone(), found.clone());
        Ok(found)
    }
}
