//! Red letters: how an issued invoice is taken back once its month is over, or once others rely on it.
//!
//! A red letter is an invoice with a number of its own and amounts below zero. It names the *blue* that it takes back, in
//! part or in full, at the blue's rates and for the blue's parties; it counts in its own month. While nobody relies on the
//! blue, its seller issues red letters alone. Once it is booked, used, claimed or handed on, the two sides agree on a
//! *slip* first: one side asks, the other answers within 72 hours of block time, and one red letter spends what was
//! confirmed. The other side is the buyer, who may have used it; of an invoice to a person, who reimbursed it, claims
//! it or holds it. Once that is somebody else, an open slip is superseded: nobody's invoice is taken back by what another
//! agreed to before.
//!
//! Whoever has used the VAT of a blue loses it as far as it is taken back: the red letter goes into the buyer's month in
//! which it is issued, for the same use. So no month that is filed changes, and nobody can forget it.

use borsh::{BorshDeserialize, BorshSerialize};
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::document::Totals;
use invoice::id::InvoiceId;
use invoice::lifecycle::{Sign, Validity};
use invoice::red::{Extent, Part, RedLine, Reversed};
use serde::{Deserialize, Serialize};

use crate::event::VoidReason;
use crate::party::Party;
use crate::record::{Claim, InvoiceRecord, LeafRef};
use crate::refusal::Standing;
use crate::state::{Kind, StateKey};

/// Red letters of one blue at most, before one over all that is left.
pub const RED_LETTERS_MAX: usize = 100;
/// For how long a slip waits for the other side, ms of block time: 72 hours (STA Announcement 2024 No. 11).
pub const SLIP_MS: i64 = 72 * 60 * 60 * 1_000;

/// What red letters took back of a blue.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReversalRecord {
    /// By line.
    pub reversed: Reversed,
    /// The sums of its red letters; below zero.
    pub totals: Totals,
    /// The red letters, oldest first.
    pub letters: Vec<InvoiceId>,
    /// The leaf of the newest.
    pub newest: LeafRef,
    /// What was taken back after it had been reimbursed, if anything was.
    pub claw_back: Option<ClawBack>,
}

impl Default for ReversalRecord {
    fn default() -> Self {
        let totals = Totals { net: Amount::ZERO, tax: Amount::ZERO, gross: Amount::ZERO };
        let newest = LeafRef { index: 0, hash: chain::hash::Hash::from_bytes([0; 32]) };
        Self { reversed: Reversed::default(), totals, letters: Vec::new(), newest, claw_back: None }
    }
}

/// The mark of an invoice that was reimbursed and then taken back: the enterprise paid for what was not sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct ClawBack {
    /// What was taken back since, with tax; above zero.
    pub gross: Amount,
    /// Block time of the first red letter after the close, ms UTC.
    pub since_ms: i64,
    /// Its leaf.
    pub leaf: LeafRef,
}

/// A red letter, beside its invoice's record.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RedLetterRecord {
    /// What it takes back.
    pub blue: InvoiceId,
    /// Why.
    pub reason: VoidReason,
    /// The slip that it spent, if it needed or named one.
    pub slip: Option<u32>,
    /// Its lines.
    pub lines: Vec<RedLine>,
}

/// Which side of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum SlipSide {
    /// The seller.
    Seller = 1,
    /// The buyer, or who stands in its place.
    Buyer = 2,
}

impl SlipSide {
    /// The side, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seller => "seller",
            Self::Buyer => "buyer",
        }
    }
}

/// The newest slip of a blue: what the two sides are to agree on, or have.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SlipRecord {
    /// How many slips of the blue there have been, this one included.
    pub number: u32,
    /// Who asks.
    pub asked_by: SlipSide,
    /// The seller.
    pub seller: OrganisationId,
    /// The other side.
    pub other: OrganisationId,
    /// Who signed the request.
    pub by: OrganisationId,
    /// Why.
    pub reason: VoidReason,
    /// What is to be taken back.
    pub parts: Vec<Part>,
    /// What that comes to; below zero.
    pub totals: Totals,
    /// Block time of the request, ms UTC.
    pub requested_ms: i64,
    /// The leaf of the request.
    pub leaf: LeafRef,
    /// What became of it, if something did.
    pub answer: Option<SlipAnswer>,
}

/// What became of a slip.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SlipAnswer {
    /// What.
    pub kind: SlipAnswerKind,
    /// Who signed that.
    pub by: OrganisationId,
    /// Block time, ms UTC.
    pub answered_ms: i64,
    /// The leaf of it.
    pub leaf: LeafRef,
}

/// What may become of a slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
pub enum SlipAnswerKind {
    /// The other side agrees.
    Confirmed = 1,
    /// The other side does not.
    Denied = 2,
    /// Who asked asks no longer.
    Withdrawn = 3,
    /// A red letter was issued under it.
    Spent = 4,
}

/// Where a slip stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlipState {
    /// It waits for the other side.
    Requested,
    /// Both sides agree; a red letter may spend it.
    Confirmed,
    /// The other side does not agree.
    Denied,
    /// Who asked asks no longer.
    Withdrawn,
    /// A red letter was issued under it.
    Spent,
    /// The other side said nothing in 72 hours.
    Lapsed,
    /// Somebody else is the other side by now: the invoice was handed on, claimed or used since.
    Superseded,
}

impl SlipState {
    /// The state, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Confirmed => "confirmed",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Spent => "spent",
            Self::Lapsed => "lapsed",
            Self::Superseded => "superseded",
        }
    }
}

impl SlipRecord {
    /// Until when it waits for the other side, ms UTC; lapsed at that very instant.
    pub const fn until_ms(&self) -> i64 {
        self.requested_ms.saturating_add(SLIP_MS)
    }

    /// Where it stands at a time at which that one is the other side of its blue.
    pub fn state_at(&self, time_ms: i64, other: Option<&OrganisationId>) -> SlipState {
        let open = match self.answer.as_ref().map(|answer| answer.kind) {
            None if time_ms < self.until_ms() => SlipState::Requested,
            None => return SlipState::Lapsed,
            Some(SlipAnswerKind::Confirmed) => SlipState::Confirmed,
            Some(SlipAnswerKind::Denied) => return SlipState::Denied,
            Some(SlipAnswerKind::Withdrawn) => return SlipState::Withdrawn,
            Some(SlipAnswerKind::Spent) => return SlipState::Spent,
        };
        if other == Some(&self.other) { open } else { SlipState::Superseded }
    }

    /// The party that is that side.
    pub const fn party(&self, side: SlipSide) -> &OrganisationId {
        match side {
            SlipSide::Seller => &self.seller,
            SlipSide::Buyer => &self.other,
        }
    }

    /// What became of it as a reason to refuse, or else its request.
    pub fn standing(&self) -> Standing {
        match &self.answer {
            Some(SlipAnswer { by, answered_ms, leaf, .. }) => {
                Standing { organisation: by.clone(), since_ms: *answered_ms, until_ms: None, leaf: *leaf }
            }
            None => Standing {
                organisation: self.by.clone(),
                since_ms: self.requested_ms,
                until_ms: Some(self.until_ms()),
                leaf: self.leaf,
            },
        }
    }
}

/// What a seller's red letters of a month come to whose blues are of months before: they give nothing back to the month's
/// quota, and stand in its sums all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EarlierRecord {
    /// With tax, in fen; below zero.
    pub gross_fen: i128,
}

impl InvoiceRecord {
    /// Whether it is a red letter: those alone come to less than nothing.
    pub const fn sign(&self) -> Sign {
        if self.totals.gross.is_negative() { Sign::Red } else { Sign::Blue }
    }
}

/// Who has to agree to red letters of a blue beside its seller: who has used the invoice's VAT, which it loses then, else
/// the buyer, or, of a person or one who is not on the ledger, who reimbursed the invoice, claims it or holds it. None when
/// nobody on the ledger could be asked.
///
/// `used` is who has used the VAT and not taken that back; `owner` finds the organisation behind a party.
///
/// # Errors
/// What `owner` says.
pub fn other_side<E>(
    blue: &InvoiceRecord,
    used: Option<OrganisationId>,
    time_ms: i64,
    owner: impl Fn(&Party) -> Result<Option<OrganisationId>, E>,
) -> Result<Option<OrganisationId>, E> {
    // The same as the buyer, unless the buyer's taxpayer id turned out to be another's.
    if let Some(used) = used {
        return Ok(Some(used));
    }
    if let Some(buyer) = owner(&blue.buyer)? {
        return Ok(Some(buyer));
    }
    if let Claim::Closed(closed) = &blue.claim {
        return Ok(Some(closed.enterprise.clone()));
    }
    match blue.claim.lock_at(time_ms) {
        Some(lock) => Ok(Some(lock.enterprise.clone())),
        None => owner(&blue.holder),
    }
}

/// The validity of a blue of which so much is taken back.
pub(crate) const fn validity(extent: Extent) -> Validity {
    match extent {
        Extent::Untouched => Validity::Normal,
        Extent::Part => Validity::PartRed,
        Extent::Full => Validity::FullRed,
    }
}

impl StateKey {
    /// What red letters took back of a blue.
    pub fn reversal(blue: &InvoiceId) -> Self {
        Self::new(Kind::Reversal, &[blue.to_string().as_bytes()])
    }

    /// The newest slip of a blue.
    pub fn slip(blue: &InvoiceId) -> Self {
        Self::new(Kind::Slip, &[blue.to_string().as_bytes()])
    }

    /// A red letter.
    pub fn red_letter(red: &InvoiceId) -> Self {
        Self::new(Kind::RedLetter, &[red.to_string().as_bytes()])
    }

    /// What a seller's red letters of a month come to whose blues are of months before.
    pub fn earlier(seller: &OrganisationId, period: Period) -> Self {
        Self::new(Kind::Earlier, &[period.to_string().as_bytes(), seller.as_str().as_bytes()])
    }

    /// The blue whose reversal it is the key of, when it is that of one.
    pub fn reversed_blue(&self) -> Option<InvoiceId> {
        self.invoice_under(Kind::Reversal)
    }
}
