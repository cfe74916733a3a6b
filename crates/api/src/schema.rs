//! Schemas of what clients sign: events, documents, attachments.
//!
//! Those types live in rooms that know no OpenAPI, so their shapes are written down here once more,
//! for the description alone. A test holds every field against what the rooms themselves write.

mod books;
mod filings;
mod letters;
mod organisations;
mod quotas;

use std::collections::BTreeMap;

use utoipa::ToSchema;

pub use books::{
    Book, BookAdjust, BookRevoke, BookingCode, Correct, Correction, Manifest, NonDeductReason, PartyLines, Stance, Use,
    UsePurpose, UseRevoke,
};
pub use filings::{Amend, AmendReason, File, FileTotal, InputTotal, PayRequest, PayResult, PaymentResult};
pub use letters::{
    IssueRed, NumberingKind, OfflineIssue, Part, RedConfirm, RedDeny, RedRequest, RedWithdraw, SegmentClose,
    SegmentGrant, Take,
};
pub use organisations::{
    Addition, Admit, Attest, Custody, Enterprise, GiveMandate, IntroductionFile, IntroductionSignature, MandateScope,
    OrganisationRole, Register, Reinstate, ReinstatementReason, Rename, RevokeMandate, Rotate, RotatedPurpose,
    SetRoles, Suspend, SuspensionReason, TaxpayerKind,
};
pub use quotas::{QuotaAdjust, QuotaGrant, QuotaPause, QuotaResume};

/// The payload of a statement.
#[derive(ToSchema)]
pub struct Payload {
    /// `all`: everything or nothing. `each`: every event for itself.
    pub mode: Mode,
    /// 1 to 1,000 events of at most 64 KiB each.
    pub events: Vec<Event>,
}

/// How the events of a statement hang together.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Mode {
    /// All are accepted, or all are refused.
    All,
    /// Each is accepted or refused for itself.
    Each,
}

/// One step in the life of an invoice or an organisation: an object with one member, named after the kind.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Event {
    /// Issue an invoice; the ledger assigns code, number and time.
    Issue(Box<Issue>),
    /// Hand an invoice to another holder.
    Transfer(Transfer),
    /// Lock an invoice for a claim.
    Lock(Lock),
    /// Extend the lease of a lock.
    Renew(Renew),
    /// Give a lock up.
    Unlock(Unlock),
    /// Close: reimbursed, once and for all.
    Close(Close),
    /// Take an invoice back in the month of issue.
    Void(Void),
    /// File a seller's ended month.
    File(File),
    /// Report that a validator signed two things that exclude each other. For agencies; a statement of nothing but
    /// evidence may be signed with a receipt key.
    Evidence(Box<Evidence>),
    /// Bring an organisation with keys of its own onto the ledger. For the tax bureau.
    Admit(Box<Admit>),
    /// Register enterprises without keys, many at once. For the tax bureau.
    Register(Register),
    /// Let an organisation do nothing, until it is reinstated. For the tax bureau.
    Suspend(Suspend),
    /// Let a suspended organisation act again. For the tax bureau.
    Reinstate(Reinstate),
    /// Add and revoke keys of an organisation. For itself, and for the tax bureau when it lost its keys.
    Rotate(Box<Rotate>),
    /// Set what an organisation may be. For the tax bureau.
    Roles(SetRoles),
    /// Write an organisation's new name or taxpayer id. For the tax bureau.
    Rename(Box<Rename>),
    /// Let another organisation act for the enterprise that signs.
    Mandate(GiveMandate),
    /// End a mandate. For who gave it, who holds it, and the tax bureau.
    Revoke(RevokeMandate),
    /// Attest mandates that enterprises gave on paper, many at once. For the tax bureau.
    Attest(Attest),
    /// Grant a seller a quota for a month: from the first such month on, it issues what it was granted. For the tax
    /// bureau.
    QuotaGrant(QuotaGrant),
    /// Write another amount into a quota. For the tax bureau.
    QuotaAdjust(QuotaAdjust),
    /// Let a seller issue nothing in a month, until its quota is resumed. For the tax bureau.
    QuotaPause(QuotaPause),
    /// Let a seller use a paused quota again. For the tax bureau.
    QuotaResume(QuotaResume),
    /// End another's lock. For the tax bureau.
    Override(Override),
    /// Book an invoice. For the enterprise that reimbursed it, else for its buyer, and who files for it.
    Book(Book),
    /// Book an invoice otherwise than it is booked. For who booked it.
    BookAdjust(BookAdjust),
    /// Take a booking back, while its month is not filed. For who booked it.
    BookRevoke(BookRevoke),
    /// Use a special invoice's VAT in a month. For the buyer, and who files for it.
    Use(Use),
    /// Take the use of an invoice's VAT back, while its month is not filed. For the buyer.
    UseRevoke(UseRevoke),
    /// Say what the buyer has to say of an invoice. For the buyer, and who files for it.
    Manifest(Manifest),
    /// Say otherwise what no tax depends on. For the seller, and who issues for it.
    Correct(Box<Correct>),
    /// Declare otherwise what was sold without invoices in a filed month.
    Amend(Amend),
    /// Order the payment of what a filed month leaves to pay.
    PayRequest(PayRequest),
    /// Say what became of a payment order. For the taxpayer, who files for it, and the tax bureau.
    PayResult(PayResult),
    /// Grant a segment of numbers for a contingency. For the tax bureau.
    SegmentGrant(SegmentGrant),
    /// Close a segment, and declare its gaps. For its holder and the tax bureau.
    SegmentClose(SegmentClose),
    /// Submit an invoice that was issued offline. For the segment's holder.
    OfflineIssue(Box<OfflineIssue>),
    /// Ask the other side to agree to a red letter. For either side of the sale.
    RedRequest(Box<RedRequest>),
    /// Agree to a red letter. For the side that did not ask.
    RedConfirm(RedConfirm),
    /// Do not agree to a red letter. For the side that did not ask.
    RedDeny(RedDeny),
    /// Ask for a red letter no longer. For the side that asked.
    RedWithdraw(RedWithdraw),
    /// Issue a red letter. For the seller, and who issues for it.
    IssueRed(Box<IssueRed>),
}

/// End another's lock, as the tax bureau has decided.
#[derive(ToSchema)]
pub struct Override {
    /// The invoice.
    pub invoice: String,
    /// The fencing token of the lock.
    pub token: u64,
    /// Why.
    pub reason: OverrideReason,
    /// SHA-256 of the decision in writing, which stays with the bureau.
    pub decision: String,
}

/// Why the tax bureau ends a lock.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum OverrideReason {
    /// The platform has gone, or does not answer.
    PlatformGone,
    /// The platform holds it for a claim that nobody made.
    ClaimUnfounded,
    /// The holder asked for it, and the platform does not let go.
    HolderRequest,
    /// It is looked into.
    Investigation,
    /// A court has ordered it.
    CourtOrder,
}

/// Issue an invoice.
#[derive(ToSchema)]
pub struct Issue {
    /// The document, without code, number and time.
    pub document: Document,
}

/// What a seller says about one sale.
#[derive(ToSchema)]
pub struct Document {
    /// The kind of invoice: `blockchain-ordinary`, `digital-ordinary` or `digital-special`.
    #[schema(example = "blockchain-ordinary")]
    pub profile: String,
    /// The seller's own document number, unique for this seller for ever.
    #[schema(example = "ORDER-2026-000017")]
    pub reference: String,
    /// Who sold.
    pub seller: DocumentParty,
    /// Who bought.
    pub buyer: Buyer,
    /// What was sold; a discount line follows the line that it discounts.
    pub lines: Vec<Line>,
    /// The totals over all lines.
    pub totals: Totals,
    /// SHA-256 of the payment order that the invoice belongs to.
    pub payment_ref: Option<String>,
    /// A remark. It is on the ledger: nothing personal belongs in it.
    pub remark: Option<String>,
    /// SHA-256 of the attachment's bytes.
    pub attachment: Option<String>,
}

/// An organisation as seller or buyer.
#[derive(ToSchema)]
pub struct DocumentParty {
    /// Name as registered.
    pub name: String,
    /// Taxpayer id: 15, 17, 18 or 20 capital letters and digits.
    #[schema(example = "91440300708461136T")]
    pub taxpayer_id: String,
    /// Address.
    pub address: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Bank.
    pub bank: Option<String>,
    /// Account number.
    pub account: Option<String>,
}

/// Who bought.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Buyer {
    /// An organisation.
    Organisation(DocumentParty),
    /// A natural person.
    Person(Person),
}

/// A natural person as buyer.
#[derive(ToSchema)]
pub struct Person {
    /// An opaque id: 1 to 64 of `A-Z a-z 0-9 . _ -`. Never a name or a citizen number.
    pub id: String,
}

/// One line.
#[derive(ToSchema)]
pub struct Line {
    /// Name of the goods or services.
    pub name: String,
    /// Tax classification code, 19 digits.
    #[schema(example = "3040203000000000000")]
    pub tax_code: String,
    /// Specification or model.
    pub specification: Option<String>,
    /// Unit of the quantity.
    pub unit: Option<String>,
    /// Quantity: a decimal string.
    #[schema(example = "1.5")]
    pub quantity: Option<String>,
    /// Price of a unit without tax, in yuan: a decimal string.
    pub unit_price: Option<String>,
    /// Amount without tax.
    #[schema(example = "3804.42")]
    pub net: String,
    /// How the line is taxed.
    pub tax: TaxTreatment,
    /// The tax.
    #[schema(example = "494.58")]
    pub tax_amount: String,
    /// Whether the line discounts the line before it. False when left out.
    pub discount: Option<bool>,
    /// The preferential policy that the line uses.
    pub preferential: Option<String>,
}

/// How a line is taxed: `{"rate":"0.13"}`, `"zero-rated"`, `"exempt"` or `"not-taxable"`.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum TaxTreatment {
    /// At a rate: a decimal string from 0 to 1 with at most four decimals.
    Rate(String),
    /// Taxable at zero.
    ZeroRated,
    /// Exempt.
    Exempt,
    /// Not taxable.
    NotTaxable,
}

/// The totals that the seller states.
#[derive(ToSchema)]
pub struct Totals {
    /// Without tax.
    pub net: String,
    /// Tax.
    pub tax: String,
    /// With tax: exactly net plus tax.
    pub gross: String,
}

/// Hand an invoice to another holder.
#[derive(ToSchema)]
pub struct Transfer {
    /// The invoice.
    pub invoice: String,
    /// The new holder.
    pub to: Recipient,
}

/// To whom an invoice goes.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Recipient {
    /// An organisation on the ledger, by its id.
    Organisation(String),
    /// A natural person, under an opaque id.
    Person(String),
}

/// Lock an invoice for a claim.
#[derive(ToSchema)]
pub struct Lock {
    /// The invoice.
    pub invoice: String,
    /// The enterprise that reimburses: the invoice's holder.
    pub enterprise: String,
    /// The platform's own id of the claim: 1 to 64 printable ASCII characters without space.
    pub claim: String,
    /// For how long, in seconds; the longest term when absent.
    pub lease_seconds: Option<u32>,
}

/// Extend the lease of a lock.
#[derive(ToSchema)]
pub struct Renew {
    /// The invoice.
    pub invoice: String,
    /// The claim it was locked for.
    pub claim: String,
    /// The lock's fencing token.
    pub token: u64,
    /// For how long from now, in seconds; the longest term when absent.
    pub lease_seconds: Option<u32>,
}

/// Give a lock up.
#[derive(ToSchema)]
pub struct Unlock {
    /// The invoice.
    pub invoice: String,
    /// The claim it was locked for.
    pub claim: String,
    /// The lock's fencing token.
    pub token: u64,
}

/// Close an invoice: reimbursed.
#[derive(ToSchema)]
pub struct Close {
    /// The invoice.
    pub invoice: String,
    /// The claim it was locked for.
    pub claim: String,
    /// The lock's fencing token.
    pub token: u64,
}

/// Take an invoice back.
#[derive(ToSchema)]
pub struct Void {
    /// The invoice.
    pub invoice: String,
    /// Why.
    pub reason: VoidReason,
}

/// Why an invoice is taken back.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum VoidReason {
    /// Issued in error.
    IssueError,
    /// Goods came back.
    SalesReturn,
    /// The service was stopped.
    ServiceSuspension,
    /// A discount was granted afterwards.
    SalesDiscount,
}

/// Personal fields of an invoice. All optional, each at most 512 characters; never on the ledger.
#[derive(ToSchema)]
pub struct Personal {
    /// Name of a natural person who bought.
    pub buyer_name: Option<String>,
    /// Citizen or taxpayer number of a natural person who bought.
    pub buyer_taxpayer_id: Option<String>,
    /// Address of a natural person who bought.
    pub buyer_address: Option<String>,
    /// Telephone on the invoice of a natural person who bought.
    pub buyer_telephone: Option<String>,
    /// Bank of a natural person who bought.
    pub buyer_bank: Option<String>,
    /// Account of a natural person who bought.
    pub buyer_account: Option<String>,
    /// Mobile phone to which the invoice is sent.
    pub buyer_phone: Option<String>,
    /// Mail address to which the invoice is sent.
    pub buyer_email: Option<String>,
    /// What the buyer wrote with the application.
    pub buyer_message: Option<String>,
    /// Who drew the invoice (开票人).
    pub drawer: Option<String>,
    /// The drawer's number in the seller's system.
    pub drawer_id: Option<String>,
    /// Who took the money (收款人).
    pub payee: Option<String>,
    /// Who checked the invoice (复核人).
    pub reviewer: Option<String>,
    /// Details of lines that name persons or places.
    pub details: Option<Vec<Detail>>,
}

/// Personal facts about one line.
#[derive(ToSchema)]
pub struct Detail {
    /// The line, counted from 0.
    pub line: u32,
    /// The facts by name, such as `address` or `plate_no`.
    pub facts: BTreeMap<String, String>,
}

/// An attachment: these bytes, exactly as they were sent, hash to the document's `attachment`.
#[derive(ToSchema)]
pub struct Attachment {
    /// 16 to 32 unguessable bytes, base64url.
    pub salt: String,
    /// The personal fields.
    pub personal: Personal,
}

/// Two different things that one validator signed for the same step of the same round of the same height.
#[derive(ToSchema)]
pub struct Evidence {
    /// Whose consensus key signed both.
    pub validator: String,
    /// The height; not above the height of the block that takes the report in.
    pub height: u64,
    /// The round, from 0.
    pub round: u32,
    /// The step.
    pub kind: Step,
    /// The lesser of the two: by block, null before all, then by `pol_round`, none before all.
    pub first: Signed,
    /// The greater.
    pub second: Signed,
}

/// A step of a round that a validator signs once.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Step {
    /// The proposal.
    Proposal,
    /// The first vote.
    Prevote,
    /// The second vote.
    Precommit,
}

/// What was signed, and the signature.
#[derive(ToSchema)]
pub struct Signed {
    /// The block's id; null for a vote for nil.
    #[schema(required = true)]
    pub block: Option<String>,
    /// Of a proposal, the round whose prevotes justify proposing the block again. Votes have none.
    pub pol_round: Option<u32>,
    /// The signature, base64url.
    pub signature: String,
}
