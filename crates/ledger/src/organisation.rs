//! Organisations, their keys, and the mandates between them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::encoding::{Base64Error, decode_base64url_array, encode_base64url};
use chain::identity::{KeyId, OrganisationId};
use chain::key::{KeyError, PublicKey};
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::parameters::NAME_CHARS_MAX;

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

impl Role {
    /// The role, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agency => "agency",
            Self::ServiceProvider => "service-provider",
            Self::Enterprise => "enterprise",
            Self::ReimbursementPlatform => "reimbursement-platform",
            Self::Auditor => "auditor",
        }
    }
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

impl Purpose {
    /// The purpose, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Login => "login",
            Self::Receipt => "receipt",
            Self::Governance => "governance",
            Self::Consensus => "consensus",
            Self::Peer => "peer",
        }
    }
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

impl fmt::Display for AdmittedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// The bytes of a public key that somebody offers: nothing is known of them but how many they are. Admitting a key costs
/// more than most events do, so it is for execution, when the offer comes from somebody who may make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedKey([u8; 32]);

impl OfferedKey {
    /// Whether these are the bytes of a key that the ledger has.
    pub fn is(&self, admitted: &AdmittedKey) -> bool {
        self.0 == admitted.0
    }

    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Admits the key.
    ///
    /// # Errors
    /// Why it is not admitted.
    pub fn admit(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_bytes(&self.0)
    }
}

impl fmt::Display for OfferedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_base64url(&self.0))
    }
}

impl From<PublicKey> for OfferedKey {
    fn from(key: PublicKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl Serialize for OfferedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OfferedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        let bytes = decode_base64url_array(text).map_err(|error: Base64Error| serde::de::Error::custom(error))?;
        Ok(Self(bytes))
    }
}

/// Active keys of one organisation at most: they are read with every statement that it signs.
pub const KEYS_MAX: usize = 64;

/// Keys that an organisation adds itself in a day of block time at most: revoked keys stay on the ledger for ever.
pub const ADDITIONS_A_DAY_MAX: u32 = 64;

/// Mandates in force that one organisation gives at most: whoever looks for who may see its invoices reads each of them.
pub const MANDATES_MAX: usize = 64;

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
    /// The first block in which it may; 0 for what genesis holds.
    #[serde(default, skip_serializing_if = "is_genesis")]
    pub from_height: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
const fn is_genesis(height: &u64) -> bool {
    *height == 0
}

/// A key that was revoked. It has left the organisation's record, and stays on the ledger: what it signed verifies at its
/// height, and neither its id nor its public half is ever used again.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RetiredKey {
    /// The key.
    pub key: Key,
    /// The first block in which it signs no longer.
    pub until_height: u64,
}

const fn active() -> bool {
    true
}

/// A name under which an organisation is registered: 1 to 200 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RegisteredName(String);

/// A text that no organisation can be registered under.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct RegisteredNameError {
    /// What a name is.
    pub expected: String,
    /// What the text has instead.
    pub found: String,
}

impl RegisteredName {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RegisteredName {
    type Err = RegisteredNameError;

    fn from_str(text: &str) -> Result<Self, RegisteredNameError> {
        let length = text.chars().count();
        if length == 0 || length > NAME_CHARS_MAX {
            let expected = format!("1 to {NAME_CHARS_MAX} characters");
            return Err(RegisteredNameError { expected, found: format!("{length} characters") });
        }
        match text.chars().find(|character| character.is_control()) {
            None => Ok(Self(text.to_owned())),
            Some(control) => {
                let expected = "no control characters".to_owned();
                Err(RegisteredNameError { expected, found: control.escape_debug().to_string() })
            }
        }
    }
}

impl fmt::Display for RegisteredName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RegisteredName> for String {
    fn from(name: RegisteredName) -> Self {
        name.0
    }
}

impl<'de> Deserialize<'de> for RegisteredName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
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

    /// A key of it, whatever its purposes. One that an event revoked has a record of its own; one that was not active in
    /// genesis stands here.
    pub fn key(&self, id: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == *id)
    }

    /// Whether it has a key that may sign statements.
    pub fn signs_statements(&self) -> bool {
        self.keys.iter().any(|key| key.active && key.purposes.contains(&Purpose::Statement))
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
    /// File the enterprise's months, and keep the books that they are made of: bookings, uses of VAT, and its word on what
    /// it bought.
    File = 3,
    /// See what the enterprise sees.
    Read = 4,
}

/// Who may hold a mandate: providers and platforms.
pub const MANDATE_ROLES: [Role; 2] = [Role::ServiceProvider, Role::ReimbursementPlatform];

impl Scope {
    /// The roles of which one is needed to act under a mandate with it.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Issue | Self::File => &[Role::ServiceProvider],
            Self::Lock => &[Role::ReimbursementPlatform],
            Self::Read => &MANDATE_ROLES,
        }
    }
}

/// A mandate: what one organisation may do for another. Between two there is one; one that was revoked expired then.
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
    /// Whether the tax bureau attested that it was given on paper; otherwise the giver has signed it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub attested: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The mandates in force of one giver: to whom each is, in the order of ids, and when it ends. What each allows stands in
/// its own record.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GivenRecord {
    /// The mandates; some of them may have ended by now.
    pub mandates: Vec<Given>,
}

/// A mandate in short.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Given {
    /// Who may act.
    pub to: OrganisationId,
    /// From when on it is void, ms UTC; `None` for no end.
    pub expires_ms: Option<i64>,
}

impl GivenRecord {
    /// Writes down that the giver has this mandate in place of any other to the same, and leaves out what has ended at
    /// `time_ms`.
    pub fn put(&mut self, mandate: &Mandate, time_ms: i64) {
        self.mandates.push(Given { to: mandate.to.clone(), expires_ms: mandate.expires_ms });
        let newest = self.mandates.len() - 1;
        let mut place = 0;
        self.mandates.retain(|given| {
            place += 1;
            let replaced = place <= newest && given.to == mandate.to;
            !replaced && given.expires_ms.is_none_or(|expires| time_ms < expires)
        });
        self.mandates.sort_by(|one, other| one.to.cmp(&other.to));
    }
}

impl Mandate {
    /// Whether it has not ended at `time_ms`.
    pub fn stands(&self, time_ms: i64) -> bool {
        self.expires_ms.is_none_or(|expires| time_ms < expires)
    }

    /// Whether it allows `scope` at `time_ms`.
    pub fn allows(&self, scope: Scope, time_ms: i64) -> bool {
        self.scopes.contains(&scope) && self.stands(time_ms)
    }
}
