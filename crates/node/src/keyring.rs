//! The keys that an organisation makes at once: one for each purpose, in one directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use chain::genesis::Genesis;
use chain::identity::OrganisationId;
use chain::jws::KeyReference;
use chain::key::SecretKey;
use ledger::organisation::{Custody, Key, Purpose};

use crate::files;
use crate::keys::{self, NamedKey};

/// Keys of one organisation, each for another purpose.
#[derive(Debug)]
pub(crate) struct Keyring(Vec<NamedKey>);

impl Keyring {
    /// Makes keys in a directory, each in `PURPOSE-1.json`.
    pub(crate) fn create(directory: &Path, id: &OrganisationId, purposes: &[Purpose]) -> anyhow::Result<Self> {
        files::directory(directory)?;
        let make = |purpose: &Purpose| -> anyhow::Result<NamedKey> {
            let name = format!("{}-1", keys::name(*purpose));
            let key = NamedKey::generate(id.clone(), name.parse()?, *purpose)?;
            key.create(&directory.join(format!("{name}.json")))?;
            Ok(key)
        };
        purposes.iter().map(make).collect::<anyhow::Result<_>>().map(Self)
    }

    /// The keys as the ledger lists them.
    pub(crate) fn entries(&self) -> Vec<Key> {
        self.0.iter().map(|key| entry(key, Custody::Own)).collect()
    }

    /// The key for a purpose.
    pub(crate) fn get(&self, purpose: Purpose) -> anyhow::Result<&NamedKey> {
        let found = self.0.iter().find(|key| key.purpose == purpose);
        found.with_context(|| format!("find the {} key that was just made", keys::name(purpose)))
    }

    /// The secrets by their references, to sign an introduction.
    pub(crate) fn secrets(&self) -> BTreeMap<KeyReference, &SecretKey> {
        self.0.iter().map(|key| (key.reference(), &key.secret)).collect()
    }

    /// Countersigns a genesis.
    pub(crate) fn countersign(&self, genesis: &mut Genesis) -> anyhow::Result<()> {
        let NamedKey { organisation, key_id, secret, .. } = self.get(Purpose::Governance)?;
        genesis.countersign(organisation, key_id, secret).context("countersign the genesis")
    }
}

/// A key as the ledger lists it.
pub(crate) fn entry(key: &NamedKey, custody: Custody) -> Key {
    Key {
        id: key.key_id.clone(),
        public: key.secret.public().into(),
        purposes: BTreeSet::from([key.purpose]),
        custody,
        active: true,
        from_height: 0,
    }
}
