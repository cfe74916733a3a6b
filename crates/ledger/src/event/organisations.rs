//! Events about organisations, their keys, and the mandates between them.
//!
//! What is wrong in such an event itself (no key in it, a list that is too long, a check character that is not right) its
//! reader refuses; what state says no to, execution does.

use std::collections::BTreeSet;

use chain::identity::{KeyId, OrganisationId};
use chain::introduction::SignedIntroduction;
use chain::key::Signature;
use invoice::taxpayer::{TaxpayerId, TaxpayerKind};
use serde::{Deserialize, Deserializer, Serialize};

use crate::introduction::Glance;
use crate::organisation::{Custody, OfferedKey, Purpose, RegisteredName, Role, Scope};

/// Entries of an event in bulk at most. Its bytes are limited too.
pub const BULK_MAX: usize = 1_000;

/// Keys that one event adds, and keys that it revokes, at most.
pub const ROTATED_MAX: usize = 16;

/// Bring an organisation with keys of its own onto the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AdmitForm")]
pub struct Admit {
    /// What it says of itself, signed by every key in it.
    introduction: SignedIntroduction,
    /// Whose introduction it is.
    #[serde(skip_serializing)]
    organisation: OrganisationId,
    /// Whether it is to run a node without a vote, which is sent every block.
    #[serde(skip_serializing_if = "is_false")]
    observer: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdmitForm {
    introduction: SignedIntroduction,
    #[serde(default)]
    observer: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl TryFrom<AdmitForm> for Admit {
    type Error = String;

    fn try_from(AdmitForm { introduction, observer }: AdmitForm) -> Result<Self, String> {
        Ok(Self { observer, ..Self::new(introduction)? })
    }
}

impl Admit {
    /// The event of an introduction, looked at briefly: whose it is, and that it has as many signatures as keys. Opening
    /// it costs as much as its keys, and is for execution.
    ///
    /// # Errors
    /// What is wrong with it at first sight.
    pub fn new(introduction: SignedIntroduction) -> Result<Self, String> {
        let Glance { organisation, keys } = Glance::at(&introduction).map_err(|error| error.to_string())?;
        let signatures = introduction.signature_count();
        if keys != signatures {
            return Err(format!("expected a signature of each of the {keys} keys introduced, found {signatures}"));
        }
        Ok(Self { introduction, organisation, observer: false })
    }

    /// The same, as of one that is to run a node without a vote.
    #[must_use]
    pub fn observing(self) -> Self {
        Self { observer: true, ..self }
    }

    /// Whether it is to run a node without a vote.
    pub const fn observer(&self) -> bool {
        self.observer
    }

    /// The introduction.
    pub const fn introduction(&self) -> &SignedIntroduction {
        &self.introduction
    }

    /// Whose introduction it is, as it says itself.
    pub const fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }
}

/// Register enterprises without keys, many at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The enterprises.
    pub enterprises: Bulk<Enterprise>,
}

/// An enterprise as it is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EnterpriseForm")]
pub struct Enterprise {
    /// Its id, for ever.
    pub id: OrganisationId,
    /// Its registered name.
    pub name: RegisteredName,
    /// Its taxpayer id.
    pub taxpayer_id: TaxpayerId,
    /// As what that id is registered.
    pub taxpayer_kind: TaxpayerKind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnterpriseForm {
    id: OrganisationId,
    name: RegisteredName,
    taxpayer_id: TaxpayerId,
    taxpayer_kind: TaxpayerKind,
}

impl TryFrom<EnterpriseForm> for Enterprise {
    type Error = String;

    fn try_from(form: EnterpriseForm) -> Result<Self, String> {
        let EnterpriseForm { id, name, taxpayer_id, taxpayer_kind } = form;
        check_taxpayer(&taxpayer_id, taxpayer_kind)?;
        Ok(Self { id, name, taxpayer_id, taxpayer_kind })
    }
}

/// Why an organisation is suspended. A closed list, because free text would carry personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuspensionReason {
    /// It is looked into.
    Investigation,
    /// It cannot be found under its address, or does not answer.
    Untraceable,
    /// It has not filed.
    NotFiled,
    /// Its registration has ended.
    Deregistered,
    /// A court has ordered it.
    CourtOrder,
    /// Somebody else may have its keys.
    KeysCompromised,
    /// It asked for it.
    OwnRequest,
}

/// Let an organisation do nothing, until it is reinstated. What it signed before stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// The organisation.
    pub organisation: OrganisationId,
    /// Why.
    pub reason: SuspensionReason,
}

/// Why an organisation is reinstated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReinstatementReason {
    /// What it was suspended for is mended.
    Resolved,
    /// It was suspended in error.
    Error,
    /// A court has ordered it.
    CourtOrder,
    /// It had asked to be suspended, and asks for this.
    OwnRequest,
}

/// Let a suspended organisation act again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reinstate {
    /// The organisation.
    pub organisation: OrganisationId,
    /// Why.
    pub reason: ReinstatementReason,
}

/// Add and revoke keys of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RotateForm")]
pub struct Rotate {
    /// Whose keys.
    pub organisation: OrganisationId,
    /// The new keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Addition>,
    /// The ids of keys that may sign no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revoke: Vec<KeyId>,
    /// The signature of the governance key over the change (`chain::possession::Change`), whose steps are
    /// [`Rotate::steps`]: for keys of an agency with a seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Signature>,
}

impl Rotate {
    /// The change as a governance key signs it: the keys to add and then those to revoke, in the order of the event, as in
    /// `add s2 <public> statement own` and `revoke s1`. Changing this forks the chain.
    pub fn steps(&self) -> Vec<String> {
        let add = self.add.iter().map(|addition| {
            let Addition { id, public, purposes, custody, .. } = addition;
            format!("add {id} {public} {}", terms(purposes, custody))
        });
        add.chain(self.revoke.iter().map(|id| format!("revoke {id}"))).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateForm {
    organisation: OrganisationId,
    #[serde(default)]
    add: Vec<Addition>,
    #[serde(default)]
    revoke: Vec<KeyId>,
    #[serde(default)]
    approval: Option<Signature>,
}

impl TryFrom<RotateForm> for Rotate {
    type Error = String;

    fn try_from(form: RotateForm) -> Result<Self, String> {
        let RotateForm { organisation, add, revoke, approval } = form;
        let (added, revoked) = (add.len(), revoke.len());
        if added + revoked == 0 || added > ROTATED_MAX || revoked > ROTATED_MAX {
            return Err(format!(
                "expected a key to add or to revoke, and at most {ROTATED_MAX} of each, found {added} and {revoked}"
            ));
        }
        Ok(Self { organisation, add, revoke, approval })
    }
}

/// A key that an organisation is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// Its id, which the organisation has never used.
    pub id: KeyId,
    /// The public half, which nobody has admitted yet.
    pub public: OfferedKey,
    /// What it may sign: of [`ROTATED_PURPOSES`].
    #[serde(deserialize_with = "rotated_purposes")]
    pub purposes: BTreeSet<Purpose>,
    /// Who holds the private half.
    #[serde(default = "own", skip_serializing_if = "is_own")]
    pub custody: Custody,
    /// The key's own signature over the offer (`chain::possession`), whose terms are [`terms`].
    pub proof: Signature,
}

const fn own() -> Custody {
    Custody::Own
}

fn is_own(custody: &Custody) -> bool {
    *custody == Custody::Own
}

/// What a key is for, as its proof of possession says it: the purposes in the order of their numbers, and who holds the
/// key, as in `statement login own` and `statement hosted-by tax-bureau`. Changing this forks the chain.
pub fn terms(purposes: &BTreeSet<Purpose>, custody: &Custody) -> String {
    let mut words: Vec<&str> = purposes.iter().map(|purpose| purpose.as_str()).collect();
    match custody {
        Custody::Own => words.push("own"),
        Custody::HostedBy(agency) => words.extend(["hosted-by", agency.as_str()]),
    }
    words.join(" ")
}

/// The purposes of keys that come and go by an event; peer keys only of organisations without a seat. Consensus, governance
/// and receipt keys belong to the seat of a validator or to a node, and change with those: whoever verifies what a node
/// says looks for the keys that genesis names.
pub const ROTATED_PURPOSES: [Purpose; 3] = [Purpose::Statement, Purpose::Login, Purpose::Peer];

fn rotated_purposes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Purpose>, D::Error> {
    let purposes: BTreeSet<Purpose> = some(deserializer)?;
    match purposes.iter().find(|purpose| !ROTATED_PURPOSES.contains(purpose)) {
        None => Ok(purposes),
        Some(other) => {
            let text = format!("expected statement, login or peer, found {}", other.as_str());
            Err(serde::de::Error::custom(text))
        }
    }
}

/// Set what an organisation may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// The organisation.
    pub organisation: OrganisationId,
    /// All the roles it is to have.
    #[serde(deserialize_with = "some")]
    pub roles: BTreeSet<Role>,
}

/// Write an organisation's new name, or its new taxpayer id, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RenameForm")]
pub struct Rename {
    /// The organisation.
    pub organisation: OrganisationId,
    /// Its new registered name; the old one stays when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<RegisteredName>,
    /// Its new taxpayer id; the old one stays when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taxpayer_id: Option<TaxpayerId>,
    /// As what that id is registered: there if and only if the id is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taxpayer_kind: Option<TaxpayerKind>,
    /// Whether the old id never was its own: it is released, and leads nowhere until its owner has it. Otherwise it was
    /// given up, and leads to the organisation for ever.
    #[serde(skip_serializing_if = "is_false")]
    pub in_error: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameForm {
    organisation: OrganisationId,
    #[serde(default)]
    name: Option<RegisteredName>,
    #[serde(default)]
    taxpayer_id: Option<TaxpayerId>,
    #[serde(default)]
    taxpayer_kind: Option<TaxpayerKind>,
    #[serde(default)]
    in_error: bool,
}

impl TryFrom<RenameForm> for Rename {
    type Error = String;

    fn try_from(form: RenameForm) -> Result<Self, String> {
        let RenameForm { organisation, name, taxpayer_id, taxpayer_kind, in_error } = form;
        match (&taxpayer_id, taxpayer_kind) {
            (Some(id), Some(kind)) => check_taxpayer(id, kind)?,
            (None, None) if in_error => {
                return Err("expected a taxpayer_id in place of the error, found none".to_owned());
            }
            (None, None) if name.is_some() => {}
            (None, None) => return Err("expected a name or a taxpayer_id, found neither".to_owned()),
            (Some(_), None) | (None, Some(_)) => {
                return Err("expected taxpayer_id and taxpayer_kind together, found one of them".to_owned());
            }
        }
        Ok(Self { organisation, name, taxpayer_id, taxpayer_kind, in_error })
    }
}

/// Let another organisation act for the one that signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveMandate {
    /// Who may act.
    pub to: OrganisationId,
    /// What for.
    #[serde(deserialize_with = "some")]
    pub scopes: BTreeSet<Scope>,
    /// From when on it is void, ms UTC; no end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
}

/// End a mandate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeMandate {
    /// Who gave it.
    pub from: OrganisationId,
    /// Who may act under it.
    pub to: OrganisationId,
}

/// Attest mandates that enterprises gave one organisation on paper, many at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attest {
    /// Who may act.
    pub to: OrganisationId,
    /// What for.
    #[serde(deserialize_with = "some")]
    pub scopes: BTreeSet<Scope>,
    /// From when on they are void, ms UTC; no end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Who gave them, each once.
    #[serde(deserialize_with = "each_once")]
    pub enterprises: Bulk<OrganisationId>,
}

fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bulk<OrganisationId>, D::Error> {
    let ids = <Bulk<OrganisationId> as Deserialize>::deserialize(deserializer)?;
    let mut seen = BTreeSet::new();
    match ids.entries().iter().find(|id| !seen.insert(*id)) {
        None => Ok(ids),
        Some(twice) => Err(serde::de::Error::custom(format!("expected each enterprise once, found {twice} twice"))),
    }
}

/// The entries of an event in bulk: 1 to [`BULK_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Bulk<T>(Vec<T>);

impl<T> Bulk<T> {
    /// The entries, in the order of the event.
    pub fn entries(&self) -> &[T] {
        &self.0
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).expect("an event has at most 1,000 entries")
    }
}

impl<T> TryFrom<Vec<T>> for Bulk<T> {
    type Error = String;

    fn try_from(entries: Vec<T>) -> Result<Self, String> {
        if (1..=BULK_MAX).contains(&entries.len()) {
            return Ok(Self(entries));
        }
        Err(format!("expected 1 to {BULK_MAX} entries, found {}", entries.len()))
    }
}

/// Reads a set that is not empty.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord>(deserializer: D) -> Result<BTreeSet<T>, D::Error> {
    let set = <BTreeSet<T> as Deserialize>::deserialize(deserializer)?;
    if set.is_empty() { Err(serde::de::Error::custom("expected at least one, found none")) } else { Ok(set) }
}

/// Holds a taxpayer id against what it is registered as: of a unified social credit code the check character is a rule.
fn check_taxpayer(id: &TaxpayerId, kind: TaxpayerKind) -> Result<(), String> {
    id.check_registered(kind).map_err(|doubts| {
        let expected = doubts.first().map_or_else(String::new, |doubt| doubt.expected.clone());
        format!("expected a unified social credit code ({expected}), found {id}")
    })
}
