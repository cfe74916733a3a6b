//! Organisations, their keys, and the mandates between them.

use ledger::organisation::{Custody, Key, Mandate, Organisation, Purpose, RetiredKey, Role, Scope, Standing};
use ledger::record::FormerId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::schema;
use crate::time::format_ms;

/// An organisation on the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DirectoryView {
    /// Its id.
    pub id: String,
    /// Its registered name.
    pub name: String,
    /// Its taxpayer id.
    pub taxpayer_id: String,
    /// As what that id is registered; only for agencies, auditors and the organisation itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::TaxpayerKind>)]
    pub taxpayer_kind: Option<invoice::taxpayer::TaxpayerKind>,
    /// The taxpayer ids that it had before, oldest first: what stands under them is its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former_taxpayer_ids: Vec<FormerIdView>,
    /// What it may be.
    #[schema(value_type = Vec<String>, example = json!(["enterprise"]))]
    pub roles: Vec<Role>,
    /// `active` or `suspended`.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Its keys. Of one organisation revoked ones too, as many of them as a page has rows; in a list those that may sign.
    pub keys: Vec<DirectoryKey>,
}

impl DirectoryView {
    /// An organisation as somebody sees it: what is public, or all of it.
    pub(crate) fn of(
        organisation: &Organisation,
        (former, retired): (&[FormerId], &[RetiredKey]),
        whole: bool,
    ) -> Self {
        let keys = organisation.keys.iter().map(|key| DirectoryKey::of(key, None, whole));
        let retired = retired.iter().map(|retired| DirectoryKey::of(&retired.key, Some(retired.until_height), whole));
        Self {
            id: organisation.id.to_string(),
            name: organisation.name.clone(),
            taxpayer_id: organisation.taxpayer_id.to_string(),
            taxpayer_kind: whole.then_some(organisation.taxpayer_kind),
            former_taxpayer_ids: former.iter().map(FormerIdView::from).collect(),
            roles: organisation.roles.iter().copied().collect(),
            standing: organisation.standing,
            keys: keys.chain(retired).collect(),
        }
    }
}

/// A taxpayer id that an organisation had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FormerIdView {
    /// The id.
    pub taxpayer_id: String,
    /// When it was given another.
    pub until: String,
}

impl From<&FormerId> for FormerIdView {
    fn from(former: &FormerId) -> Self {
        Self { taxpayer_id: former.taxpayer_id.to_string(), until: format_ms(former.until_ms) }
    }
}

/// A key of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DirectoryKey {
    /// Its id inside the organisation.
    pub id: String,
    /// The public half, base64url.
    pub public: String,
    /// What it may sign.
    #[schema(value_type = Vec<String>)]
    pub purposes: Vec<Purpose>,
    /// Who holds the private half; only for agencies, auditors and the organisation itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Custody>)]
    pub custody: Option<Custody>,
    /// Whether it may still sign.
    pub active: bool,
    /// The first block in which it might; 0 for what genesis holds.
    pub from_height: u64,
    /// The first block in which it no longer may; absent while it may, and for what was revoked in genesis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_height: Option<u64>,
}

impl DirectoryKey {
    fn of(key: &Key, until_height: Option<u64>, whole: bool) -> Self {
        Self {
            id: key.id.to_string(),
            public: key.public.to_string(),
            purposes: key.purposes.iter().copied().collect(),
            custody: whole.then(|| key.custody.clone()),
            active: key.active,
            from_height: key.from_height,
            until_height,
        }
    }
}

/// A page of organisations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DirectoryPage {
    /// The organisations, in the order of their ids.
    pub organisations: Vec<DirectoryView>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What one organisation may do for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MandateView {
    /// Who gave it.
    pub from: String,
    /// Who may act.
    pub to: String,
    /// What for.
    #[schema(value_type = Vec<schema::MandateScope>)]
    pub scopes: Vec<Scope>,
    /// From when on it is void: its end as it was given, or when it was ended before that. Absent without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether it holds at the time of the newest block.
    pub in_force: bool,
    /// Whether the tax bureau attested that it was given on paper; otherwise the giver has signed it.
    pub attested: bool,
}

impl MandateView {
    /// A mandate as it stands at a time, ms UTC.
    pub(crate) fn at(mandate: &Mandate, time_ms: i64) -> Self {
        Self {
            from: mandate.from.to_string(),
            to: mandate.to.to_string(),
            scopes: mandate.scopes.iter().copied().collect(),
            expires: mandate.expires_ms.map(format_ms),
            in_force: mandate.stands(time_ms),
            attested: mandate.attested,
        }
    }
}

/// A page of mandates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MandatePage {
    /// The mandates, in the order of the other side's ids.
    pub mandates: Vec<MandateView>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
