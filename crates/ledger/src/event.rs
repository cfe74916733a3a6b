//! Events: what a statement's payload holds, one JSON object each.
//!
//! Externally tagged, so that the kind stands in front and unknown kinds and fields are refused
//! by the reader itself: `{"lock":{"invoice":"…","enterprise":"…","claim":"…"}}`.

mod bookkeeping;
mod contingency;
mod filing;
mod manifestation;
mod organisations;
mod overriding;
mod quotas;
mod red;

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::equivocation::Equivocation;
use chain::identity::OrganisationId;
use invoice::document::Document;
use invoice::id::InvoiceId;
use serde::{Deserialize, Deserializer, Serialize};

use crate::execute::RELEASE_MONTHS_MAX;
use crate::party::PersonId;

pub use bookkeeping::{
    Book, BookAdjust, BookRevoke, BookingCode, NonDeductReason, Use, UseError, UsePurpose, UseRevoke, Voucher,
    VoucherError,
};
pub use contingency::{OfflineIssue, SegmentClose, SegmentGrant};
pub use filing::{Amend, AmendReason, File, InputTotal, OrderId, PayRequest, PayResult, PaymentResult, UNINVOICED_MAX};
pub use manifestation::{Correct, Grounds, GroundsError, Manifest, ManifestError, Stance};
pub use organisations::{
    Addition, Admit, Attest, BULK_MAX, Bulk, Enterprise, GiveMandate, ROTATED_MAX, ROTATED_PURPOSES, Register,
    Reinstate, ReinstatementReason, Rename, RevokeMandate, Rotate, SetRoles, Suspend, SuspensionReason, terms,
};
pub use overriding::{Override, OverrideReason};
pub use quotas::{QuotaAdjust, QuotaGrant, QuotaPause, QuotaResume};
pub use red::{IssueRed, RedConfirm, RedDeny, RedRequest, RedWithdraw, Take};

/// One step in the life of an invoice, or of an organisation, as its author signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Report that a validator signed two things that exclude each other.
    Evidence(Box<Equivocation>),
    /// Bring an organisation with keys of its own onto the ledger.
    Admit(Box<Admit>),
    /// Register enterprises without keys, many at once.
    Register(Register),
    /// Let an organisation do nothing, until it is reinstated.
    Suspend(Suspend),
    /// Let a suspended organisation act again.
    Reinstate(Reinstate),
    /// Add and revoke keys of an organisation.
    Rotate(Box<Rotate>),
    /// Set what an organisation may be.
    Roles(SetRoles),
    /// Write an organisation's new name, or its new taxpayer id.
    Rename(Box<Rename>),
    /// Let another organisation act for the one that signs.
    Mandate(GiveMandate),
    /// End a mandate.
    Revoke(RevokeMandate),
    /// Attest mandates that enterprises gave on paper, many at once.
    Attest(Attest),
    /// Grant a seller a quota for a month.
    QuotaGrant(QuotaGrant),
    /// Write another amount into a quota.
    QuotaAdjust(QuotaAdjust),
    /// Let a seller issue nothing in a month, until its quota is resumed.
    QuotaPause(QuotaPause),
    /// Let a seller use a paused quota again.
    QuotaResume(QuotaResume),
    /// End another's lock, as the tax bureau has decided.
    Override(Override),
    /// Book an invoice.
    Book(Book),
    /// Book an invoice otherwise than it is booked.
    BookAdjust(BookAdjust),
    /// Take a booking back.
    BookRevoke(BookRevoke),
    /// Use an invoice's VAT in a month.
    Use(Use),
    /// Take the use of an invoice's VAT back.
    UseRevoke(UseRevoke),
    /// Say what the buyer has to say of an invoice.
    Manifest(Manifest),
    /// Say otherwise what no tax depends on.
    Correct(Box<Correct>),
    /// Declare otherwise what was sold without invoices in a filed month.
    Amend(Amend),
    /// Order the payment of what a filed month leaves to pay.
    PayRequest(PayRequest),
    /// Say what became of a payment order.
    PayResult(PayResult),
    /// Grant a segment of numbers for a contingency.
    SegmentGrant(SegmentGrant),
    /// Close a segment, and declare its gaps.
    SegmentClose(SegmentClose),
    /// Submit an invoice that was issued offline.
    OfflineIssue(Box<OfflineIssue>),
    /// Ask the other side to agree to a red letter.
    RedRequest(Box<RedRequest>),
    /// Agree to a red letter.
    RedConfirm(RedConfirm),
    /// Do not agree to a red letter.
    RedDeny(RedDeny),
    /// Ask for a red letter no longer.
    RedWithdraw(RedWithdraw),
    /// Issue a red letter.
    IssueRed(Box<IssueRed>),
}

impl Event {
    /// The event's kind, as it is written.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Issue(_) => "issue",
            Self::Transfer(_) => "transfer",
            Self::Lock(_) => "lock",
            Self::Renew(_) => "renew",
            Self::Unlock(_) => "unlock",
            Self::Close(_) => "close",
            Self::Void(_) => "void",
            Self::File(_) => "file",
            Self::Evidence(_) => "evidence",
            Self::Admit(_) => "admit",
            Self::Register(_) => "register",
            Self::Suspend(_) => "suspend",
            Self::Reinstate(_) => "reinstate",
            Self::Rotate(_) => "rotate",
            Self::Roles(_) => "roles",
            Self::Rename(_) => "rename",
            Self::Mandate(_) => "mandate",
            Self::Revoke(_) => "revoke",
            Self::Attest(_) => "attest",
            Self::QuotaGrant(_) => "quota-grant",
            Self::QuotaAdjust(_) => "quota-adjust",
            Self::QuotaPause(_) => "quota-pause",
            Self::QuotaResume(_) => "quota-resume",
            Self::Override(_) => "override",
            Self::Book(_) => "book",
            Self::BookAdjust(_) => "book-adjust",
            Self::BookRevoke(_) => "book-revoke",
            Self::Use(_) => "use",
            Self::UseRevoke(_) => "use-revoke",
            Self::Manifest(_) => "manifest",
            Self::Correct(_) => "correct",
            Self::Amend(_) => "amend",
            Self::PayRequest(_) => "pay-request",
            Self::PayResult(_) => "pay-result",
            Self::SegmentGrant(_) => "segment-grant",
            Self::SegmentClose(_) => "segment-close",
            Self::OfflineIssue(_) => "offline-issue",
            Self::RedRequest(_) => "red-request",
            Self::RedConfirm(_) => "red-confirm",
            Self::RedDeny(_) => "red-deny",
            Self::RedWithdraw(_) => "red-withdraw",
            Self::IssueRed(_) => "issue-red",
        }
    }

    /// Every kind, in order.
    pub const KINDS: [&'static str; 42] = [
        "issue",
        "transfer",
        "lock",
        "renew",
        "unlock",
        "close",
        "void",
        "file",
        "evidence",
        "admit",
        "register",
        "suspend",
        "reinstate",
        "rotate",
        "roles",
        "rename",
        "mandate",
        "revoke",
        "attest",
        "quota-grant",
        "quota-adjust",
        "quota-pause",
        "quota-resume",
        "override",
        "book",
        "book-adjust",
        "book-revoke",
        "use",
        "use-revoke",
        "manifest",
        "correct",
        "amend",
        "pay-request",
        "pay-result",
        "segment-grant",
        "segment-close",
        "offline-issue",
        "red-request",
        "red-confirm",
        "red-deny",
        "red-withdraw",
        "issue-red",
    ];

    /// The event as a statement's payload holds it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event has text for keys, and memory takes every write")
    }

    /// What executing it costs at most, in units of the block's budget.
    pub fn work(&self) -> u32 {
        const EVENT: u32 = 10;
        // Verified while the block is executed, one after the other: each costs about as much as issuing an invoice.
        const SIGNATURE: u64 = 20;
        // A key is admitted (canonical, torsion-free) before its proof is verified, which costs more than that.
        const NEW_KEY: u64 = 30 + SIGNATURE;
        // An organisation that comes has two records, each looked for and written.
        const ORGANISATION: u64 = 10;
        // One that changes is decoded and written with all the keys that it may have.
        const CHANGED: u64 = 30;
        // A mandate has a record, and stands in that of its giver, who is read too.
        const MANDATE: u64 = 15;
        // A key that comes or goes has a record of its own.
        const KEY_RECORD: u64 = 5;
        // What a seller issued is looked for under each taxpayer id that it has or had.
        const GRANT: u64 = 10;
        // What only some invoices have stands in records of its own.
        const RECORDS: u64 = 5;
        let keys = |count: usize| (NEW_KEY + KEY_RECORD).saturating_mul(u64::try_from(count).unwrap_or(u64::MAX));
        let gone = |count: usize| KEY_RECORD.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX));
        let months = |in_error: bool| if in_error { u64::try_from(RELEASE_MONTHS_MAX).unwrap_or(u64::MAX) } else { 0 };
        let extra = match self {
            Self::Issue(issue) => issue.document.work_units(),
            Self::File(file) => {
                u64::try_from(file.output.len() + file.input.len() + file.uninvoiced.len()).unwrap_or(u64::MAX)
            }
            Self::Evidence(_) => 2 * SIGNATURE,
            Self::Admit(admit) => ORGANISATION.saturating_add(keys(admit.introduction().signature_count())),
            Self::Register(register) => ORGANISATION * u64::from(register.enterprises.count()),
            Self::Rotate(rotate) => {
                let approval = rotate.approval.map_or(0, |_| SIGNATURE);
                (CHANGED + approval).saturating_add(keys(rotate.add.len())).saturating_add(gone(rotate.revoke.len()))
            }
            Self::Rename(rename) => CHANGED + months(rename.in_error),
            Self::Suspend(_) | Self::Reinstate(_) | Self::Roles(_) => CHANGED,
            Self::Mandate(_) | Self::Revoke(_) => MANDATE,
            Self::Attest(attest) => MANDATE * u64::from(attest.enterprises.count()),
            Self::QuotaGrant(_) => GRANT,
            Self::Transfer(_)
            | Self::Lock(_)
            | Self::Renew(_)
            | Self::Unlock(_)
            | Self::Close(_)
            | Self::Void(_)
            | Self::QuotaAdjust(_)
            | Self::QuotaPause(_)
            | Self::QuotaResume(_)
            | Self::Override(_) => 0,
            // A month and a use are looked for and written, beside the invoice and who acts for whom.
            Self::Book(_)
            | Self::BookAdjust(_)
            | Self::BookRevoke(_)
            | Self::Use(_)
            | Self::UseRevoke(_)
            | Self::Manifest(_)
            | Self::Correct(_)
            | Self::Amend(_)
            | Self::PayRequest(_)
            | Self::PayResult(_)
            | Self::SegmentGrant(_)
            | Self::SegmentClose(_)
            | Self::RedConfirm(_)
            | Self::RedDeny(_)
            | Self::RedWithdraw(_) => RECORDS,
            Self::RedRequest(request) => request.document.work_units().saturating_add(RECORDS),
            // The blue, what is taken back of it, the slip and the buyer's month are written beside the letter.
            Self::IssueRed(red) => red.document.work_units().saturating_add(3 * RECORDS),
            Self::OfflineIssue(issue) => issue.document.work_units().saturating_add(RECORDS + SIGNATURE),
        };
        EVENT.saturating_add(u32::try_from(extra).unwrap_or(u32::MAX))
    }
}

/// Issue an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// The document, without code, number and time.
    pub document: Document,
}

/// To whom an invoice goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipient {
    /// An organisation on the ledger.
    Organisation(OrganisationId),
    /// A natural person, under an opaque id.
    Person(PersonId),
}

/// Hand an invoice to another holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The new holder.
    pub to: Recipient,
}

/// Lock an invoice for a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The enterprise that reimburses: the invoice's holder.
    pub enterprise: OrganisationId,
    /// The platform's own id of the claim.
    pub claim: ClaimId,
    /// For how long, in seconds; the longest term when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

/// Extend the lease of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The claim it was locked for.
    pub claim: ClaimId,
    /// The lock's fencing token.
    pub token: u64,
    /// For how long from now, in seconds; the longest term when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

/// Give a lock up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The claim it was locked for.
    pub claim: ClaimId,
    /// The lock's fencing token.
    pub token: u64,
}

/// Close an invoice: reimbursed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The claim it was locked for.
    pub claim: ClaimId,
    /// The lock's fencing token.
    pub token: u64,
}

/// Why an invoice is taken back. A closed list, because free text would carry personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum VoidReason {
    /// Issued in error.
    IssueError = 1,
    /// Goods came back.
    SalesReturn = 2,
    /// The service was stopped.
    ServiceSuspension = 3,
    /// A discount was granted afterwards.
    SalesDiscount = 4,
}

impl VoidReason {
    /// The reason, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IssueError => "issue-error",
            Self::SalesReturn => "sales-return",
            Self::ServiceSuspension => "service-suspension",
            Self::SalesDiscount => "sales-discount",
        }
    }
}

/// Take an invoice back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Void {
    /// The invoice.
    pub invoice: InvoiceId,
    /// Why.
    pub reason: VoidReason,
}

/// A platform's own id of a claim: 1 to 64 printable ASCII characters without space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct ClaimId(String);

/// A text that is no claim id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 printable ASCII characters without space, found {found:?}")]
pub struct ClaimIdError {
    /// The text, cut at 80 characters.
    pub found: String,
}

impl ClaimId {
    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClaimId {
    type Err = ClaimIdError;

    fn from_str(text: &str) -> Result<Self, ClaimIdError> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(ClaimIdError { found: text.chars().take(80).collect() }) }
    }
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClaimId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl BorshDeserialize for ClaimId {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        String::deserialize_reader(reader)?
            .parse()
            .map_err(|error: ClaimIdError| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, error.to_string()))
    }
}
