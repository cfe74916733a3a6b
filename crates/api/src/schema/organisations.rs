//! Schemas of events about organisations, their keys, and the mandates between them.

use utoipa::ToSchema;

/// Bring an organisation with keys of its own onto the ledger.
#[derive(ToSchema)]
pub struct Admit {
    /// What the organisation says of itself: the `member.json` that `einvoice keys member` makes.
    pub introduction: IntroductionFile,
    /// Whether it is to run a node without a vote, which is sent every block: for an auditor with a peer and a receipt key.
    pub observer: Option<bool>,
}

/// A JWS in JSON General Serialisation, signed with every key that it introduces.
#[derive(ToSchema)]
pub struct IntroductionFile {
    /// base64url of the introduction: version, suite, time and the organisation.
    pub payload: String,
    /// A signature for each key, sorted by `kid`.
    pub signatures: Vec<IntroductionSignature>,
}

/// A signature of an introduction.
#[derive(ToSchema)]
pub struct IntroductionSignature {
    /// base64url of the protected header: `alg`, `typ` (`einvoice-introduction+jws`) and `kid`.
    pub protected: String,
    /// The signature, base64url.
    pub signature: String,
}

/// Register enterprises without keys, many at once: all of them, or none.
#[derive(ToSchema)]
pub struct Register {
    /// 1 to 1,000, as many as fit in an event.
    pub enterprises: Vec<Enterprise>,
}

/// An enterprise as it is registered.
#[derive(ToSchema)]
pub struct Enterprise {
    /// Its id, for ever: 1 to 63 of `a-z 0-9 -`, not beginning with `-`.
    pub id: String,
    /// Its registered name: 1 to 200 characters.
    pub name: String,
    /// Its taxpayer id.
    #[schema(example = "91440300708461136T")]
    pub taxpayer_id: String,
    /// As what that id is registered.
    pub taxpayer_kind: TaxpayerKind,
}

/// As what a taxpayer id is registered.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum TaxpayerKind {
    /// A unified social credit code, whose check character must be right.
    Uscc,
    /// Any other number.
    Other,
}

/// Let an organisation do nothing, until it is reinstated. What it signed before stands.
#[derive(ToSchema)]
pub struct Suspend {
    /// The organisation.
    pub organisation: String,
    /// Why.
    pub reason: SuspensionReason,
}

/// Why an organisation is suspended.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
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

/// Let a suspended organisation act again.
#[derive(ToSchema)]
pub struct Reinstate {
    /// The organisation.
    pub organisation: String,
    /// Why.
    pub reason: ReinstatementReason,
}

/// Why an organisation is reinstated.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
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

/// Add and revoke keys of an organisation: at least one of the two.
#[derive(ToSchema)]
pub struct Rotate {
    /// Whose keys.
    pub organisation: String,
    /// The new keys: at most 16.
    pub add: Option<Vec<Addition>>,
    /// The ids of keys that may sign no longer: at most 16.
    pub revoke: Option<Vec<String>>,
    /// For keys of an agency with a seat: the signature of its governance key, base64url, over lines each ended by a newline:
    /// `einvoice-keys/1`; the chain id; the organisation; `add <id> <public> <purposes and custody as in a proof>` for each
    /// new key in order; and `revoke <id>` for each that goes.
    pub approval: Option<String>,
}

/// A key that an organisation is to have.
#[derive(ToSchema)]
pub struct Addition {
    /// Its id, which the organisation has never used: 1 to 63 of `a-z 0-9 -`, not beginning with `-`.
    pub id: String,
    /// The public half, base64url.
    pub public: String,
    /// What it may sign.
    pub purposes: Vec<RotatedPurpose>,
    /// Who holds the private half; the organisation itself when left out.
    pub custody: Option<Custody>,
    /// The key's own signature over five lines, each ended by a newline, base64url: `einvoice-key/1`; the chain id;
    /// `<organisation>/<id>`; the public half as it stands here; and the purposes in the order statement, login, peer,
    /// then `own` or `hosted-by <agency>`, with single spaces between.
    pub proof: String,
}

/// What a key may sign that comes or goes by an event.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum RotatedPurpose {
    /// Statements.
    Statement,
    /// Login tokens.
    Login,
    /// The peers of an auditor's node.
    Peer,
}

/// Who holds the private half of a key.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Custody {
    /// The organisation itself.
    Own,
    /// A node of this agency, for the organisation.
    HostedBy(String),
}

/// Set what an organisation may be. Nobody becomes an agency by it, or ceases to be one.
#[derive(ToSchema)]
pub struct SetRoles {
    /// The organisation.
    pub organisation: String,
    /// All the roles it is to have.
    pub roles: Vec<OrganisationRole>,
}

/// What an organisation may be.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum OrganisationRole {
    /// Runs a validator.
    Agency,
    /// Issues for sellers under their mandates.
    ServiceProvider,
    /// Sells, buys, holds.
    Enterprise,
    /// Locks and closes for enterprises under their mandates.
    ReimbursementPlatform,
    /// Reads everything and changes nothing.
    Auditor,
}

/// Write an organisation's new name, or its new taxpayer id, or both. What was issued before keeps the old ones, and the old
/// taxpayer id still leads to the organisation.
#[derive(ToSchema)]
pub struct Rename {
    /// The organisation.
    pub organisation: String,
    /// Its new registered name: 1 to 200 characters.
    pub name: Option<String>,
    /// Its new taxpayer id; together with `taxpayer_kind`.
    pub taxpayer_id: Option<String>,
    /// As what that id is registered.
    pub taxpayer_kind: Option<TaxpayerKind>,
    /// Whether the old id never was its own: it is released, leads nowhere from then on, and is free for its owner. Refused
    /// when something was issued under it.
    pub in_error: Option<bool>,
}

/// Let another organisation act for the enterprise that signs. A new mandate replaces the old one between the two.
#[derive(ToSchema)]
pub struct GiveMandate {
    /// Who may act.
    pub to: String,
    /// What for: at least one.
    pub scopes: Vec<MandateScope>,
    /// From when on it is void, ms since 1970 in UTC; no end when left out.
    pub expires_ms: Option<i64>,
}

/// What a mandate allows.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum MandateScope {
    /// Issue and void invoices for the seller, and hand on those that persons hold.
    Issue,
    /// Lock, close and hand on invoices that the enterprise holds.
    Lock,
    /// File the enterprise's months, and keep the books that they are made of: bookings, uses of VAT, and its word on what
    /// it bought.
    File,
    /// See what the enterprise sees.
    Read,
}

/// End a mandate: for who gave it, who holds it, and the tax bureau.
#[derive(ToSchema)]
pub struct RevokeMandate {
    /// Who gave it.
    pub from: String,
    /// Who may act under it.
    pub to: String,
}

/// Attest mandates that enterprises gave one service provider or reimbursement platform on paper: all of them, or none.
#[derive(ToSchema)]
pub struct Attest {
    /// Who may act.
    pub to: String,
    /// What for: at least one.
    pub scopes: Vec<MandateScope>,
    /// From when on they are void, ms since 1970 in UTC; no end when left out.
    pub expires_ms: Option<i64>,
    /// Who gave them: 1 to 1,000, each once.
    pub enterprises: Vec<String>,
}
