//! Whose the peer keys are that the ledger lists: who may connect, and who is at the other end.
//!
//! They come with genesis and with organisations that are admitted later, and no event takes one away, so what was read
//! at the start is only added to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use chain::identity::OrganisationId;
use ledger::organisation::{Organisation, Purpose};
use replica::port::Store;
use replica::query::Query;
use replica::replica::Fault;

/// Organisations read at once.
const ORGANISATIONS_A_SCAN: usize = 500;

/// A peer key.
type PeerKey = [u8; 32];

/// Peer keys and their owners.
#[derive(Debug, Default)]
pub(super) struct PeerKeys(Mutex<BTreeMap<PeerKey, OrganisationId>>);

impl PeerKeys {
    /// Reads those that the ledger lists now.
    pub(super) fn read<S: Store>(query: &Query<S>) -> Result<Self, Fault> {
        let (keys, mut after) = (Self::default(), None);
        loop {
            let page = query.organisations(after.as_ref(), ORGANISATIONS_A_SCAN, |_| true)?;
            page.rows.iter().for_each(|organisation| keys.note(organisation));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(keys),
            }
        }
    }

    /// Takes in the peer keys of an organisation as a block left it.
    pub(super) fn note(&self, organisation: &Organisation) {
        let peers = organisation.keys.iter().filter(|key| key.active && key.purposes.contains(&Purpose::Peer));
        let mut keys = self.keys();
        keys.extend(peers.map(|key| (*key.public.as_bytes(), organisation.id.clone())));
    }

    /// Whose key it is, if the ledger lists it.
    pub(super) fn owner(&self, key: &PeerKey) -> Option<OrganisationId> {
        self.keys().get(key).cloned()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<PeerKey, OrganisationId>> {
        self.0.lock().expect("nothing panics while it holds the keys")
    }
}
