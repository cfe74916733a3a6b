//! The organisations of one state, each read once: a block's statements come from few of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use chain::identity::OrganisationId;
use invoice::taxpayer::TaxpayerId;

use crate::organisation::Organisation;
use crate::record::TaxpayerRecord;
use crate::state::{Fault, StateKey, View, read};

/// Organisations as they were found in one state, by their ids and by the taxpayer ids that they have or had. A block looks
/// at the state of its parent: what it changes in organisations applies from the next block on.
#[derive(Default)]
pub(crate) struct Organisations {
    by_id: RefCell<BTreeMap<OrganisationId, Option<Arc<Organisation>>>>,
    by_taxpayer: RefCell<BTreeMap<TaxpayerId, Option<OrganisationId>>>,
}

impl Organisations {
    /// An organisation, if the state has it; always of the same state.
    pub(crate) fn get(&self, state: &dyn View, id: &OrganisationId) -> Result<Option<Arc<Organisation>>, Fault> {
        if let Some(known) = self.by_id.borrow().get(id) {
            return Ok(known.clone());
        }
        let found = read(state, &StateKey::organisation(id))?.map(Arc::new);
        self.by_id.borrow_mut().insert(id.clone(), found.clone());
        Ok(found)
    }

    /// The organisation that has a taxpayer id, or had it; always of the same state.
    pub(crate) fn of_taxpayer(&self, state: &dyn View, id: &TaxpayerId) -> Result<Option<OrganisationId>, Fault> {
        if let Some(known) = self.by_taxpayer.borrow().get(id) {
            return Ok(known.clone());
        }
        let found = read::<TaxpayerRecord>(state, &StateKey::taxpayer(id))?.and_then(|record| record.organisation);
        self.by_taxpayer.borrow_mut().insert(id.clone(), found.clone());
        Ok(found)
    }
}
