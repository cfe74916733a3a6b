//! Organisations, their keys, and the mandates between them.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::encoding::encode_base64url;
use chain::identity::{KeyId, OrganisationId};
use chain::key::{KeyError, PublicKey};
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an organisation may be. One may be several.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum Role {
    /// Runs a validator: tax bureau, police, customs, central bank.
    Agency = 1,
    /// Issues for sellers under their mandates.
    ServiceProvider = 2,
    /// Sells, buys, holds.
    Enterprise = 3,
    /// Locks and closes for enterprises under their mandates.
    ReimbursementPlatform = 4,
    /// Reads everything and changes nothing.
    Auditor = 5,
}

/// Whether an organisation may act.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum Standing {
    /// It may.
    Active = 1,
    /// It may not, until reinstated; what it signed before stands.
    Suspended = 2,
}

/// What a key may sign. A key with one purpose is worth nothing for another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum Purpose {
    /// Statements.
    Statement = 1,
    /// Login tokens.
    Login = 2,
    /// What a node says for its agency: log checkpoints and standard receipts, after commit, and evidence.
    Receipt = 3,
    /// Genesis, and votes on rules and members.
    Governance = 4,
    /// Votes of a validator.
    Consensus = 5,
    /// The peer transport.
    Peer = 6,
}

/// Who holds the private half of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Custody {
    /// The organisation itself.
    Own,
    /// A node of this agency, for the organisation.
    HostedBy(OrganisationId),
}

/// The bytes of a public key that was admitted when it came onto the ledger.
///
/// Admitting a key costs more than verifying a signature under it, and a point costs more than its
/// bytes, so state keeps the bytes and nobody admits them twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct AdmittedKey([u8; 32]);

impl AdmittedKey {
    /// The key as a point, to verify under.
    ///
    /// # Errors
    /// When the bytes are no key: the record is damaged.
    pub fn point(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_admitted_bytes(&self.0)
    }

    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<PublicKey> for AdmittedKey {
    fn from(key: PublicKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl std::fmt::Display for AdmittedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&encode_base64url(&self.0))
    }
}

impl Serialize for AdmittedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AdmittedKey {
    /// Reads what somebody wrote, so it is admitted here.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <PublicKey as Deserialize>::deserialize(deserializer).map(Self::from)
    }
}

/// A key of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Unique inside the organisation, for ever.
    pub id: KeyId,
    /// The public half.
    pub public: AdmittedKey,
    /// What it may sign.
    pub purposes: BTreeSet<Purpose>,
    /// Who holds the private half.
    pub custody: Custody,
    /// Whether it may still sign.
    #[serde(default = "active")]
    pub active: bool,
}

const fn active() -> bool {
    true
}

/// An organisation on the ledger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// Its id, for ever.
    pub id: OrganisationId,
    /// Its registered name.
    pub name: String,
    /// Its taxpayer id, unique on the ledger.
    pub taxpayer_id: TaxpayerId,
    /// As what that id is registered: decides whether its check digit is a rule or a warning.
    pub taxpayer_kind: TaxpayerKind,
    /// What it may be.
    pub roles: BTreeSet<Role>,
    /// Whether it may act.
    #[serde(default = "standing")]
    pub standing: Standing,
    /// Its keys.
    pub keys: Vec<Key>,
}

const fn standing() -> Standing {
    Standing::Active
}

impl Organisation {
    /// Whether it has a role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// A key of it, whatever its purposes and whether or not it is active.
    pub fn key(&self, id: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == *id)
    }
}

/// What a mandate allows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum Scope {
    /// Issue and void invoices for the seller, and hand on those that persons hold.
    Issue = 1,
    /// Lock, close and hand on invoices that the enterprise holds.
    Lock = 2,
    /// File the seller's months.
    File = 3,
    /// See what the enterprise sees.
    Read = 4,
}

/// A mandate: what one organisation may do for another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mandate {
    /// Who gives it.
    pub from: OrganisationId,
    /// Who may act.
    pub to: OrganisationId,
    /// What for.
    pub scopes: BTreeSet<Scope>,
    /// From when on it is void, ms UTC; `None` for no end.
    #[serde(default)]
    pub expires_ms: Option<i64>,
}

impl Mandate {
    /// Whether it allows `scope` at `time_ms`.
    pub fn allows(&self, scope: Scope, time_ms: i64) -> bool {
        self.scopes.contains(&scope) && self.expires_ms.is_none_or(|expires| time_ms < expires)
    }
}
