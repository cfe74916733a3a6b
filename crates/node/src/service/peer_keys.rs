//! Whose the peer keys are that the ledger lists: who may connect, and who is at the other end.
//!
//! They come with genesis, with organisations that are admitted later and with rotations, and go with a revocation or when
//! their organisation is suspended: whenever a block changes an organisation, its keys are read anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use chain::identity::OrganisationId;
use ledger::organisation::{Organisation, Purpose, Standing};
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

    /// Takes in the peer keys of an organisation as a block left it, in place of those that it had.
    pub(super) fn note(&self, organisation: &Organisation) {
        let peers = organisation.keys.iter().filter(|key| key.active && key.purposes.contains(&Purpose::Peer));
        let mut keys = self.keys();
        keys.retain(|_, owner| *owner != organisation.id);
        if organisation.standing == Standing::Active {
            keys.extend(peers.map(|key| (*key.public.as_bytes(), organisation.id.clone())));
        }
    }

    /// Whose key it is, if the ledger lists it.
    pub(super) fn owner(&self, key: &PeerKey) -> Option<OrganisationId> {
        self.keys().get(key).cloned()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<PeerKey, OrganisationId>> {
        self.0.lock().expect("nothing panics while it holds the keys")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chain::key::SecretKey;
    use invoice::taxpayer::TaxpayerKind;
    use ledger::organisation::{Custody, Key, Role};

    use super::*;

    fn key(seed: u8) -> Key {
        Key {
            id: format!("peer-{seed}").parse().unwrap(),
            public: SecretKey::from_seed([seed; 32]).public().into(),
            purposes: BTreeSet::from([Purpose::Peer]),
            custody: Custody::Own,
            active: true,
            from_height: 0,
        }
    }

    #[test]
    fn a_key_that_was_revoked_or_whose_owner_is_suspended_is_nobodys() {
        let mut auditor = Organisation {
            id: "auditor".parse().unwrap(),
            name: "Auditor".to_owned(),
            taxpayer_id: "915000000000013".parse().unwrap(),
            taxpayer_kind: TaxpayerKind::Other,
            roles: BTreeSet::from([Role::Auditor]),
            standing: Standing::Active,
            keys: vec![key(1)],
        };
        let keys = PeerKeys::default();
        let owners = |organisation: &Organisation| {
            keys.note(organisation);
            [1, 2].map(|seed| keys.owner(SecretKey::from_seed([seed; 32]).public().as_bytes()).is_some())
        };
        assert_eq!(owners(&auditor), [true, false]);
        auditor.keys = vec![key(2)];
        assert_eq!(owners(&auditor), [false, true], "rotated");
        auditor.standing = Standing::Suspended;
        assert_eq!(owners(&auditor), [false, false]);
        auditor.standing = Standing::Active;
        assert_eq!(owners(&auditor), [false, true]);
    }
}
