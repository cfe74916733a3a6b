//! Outcomes: what execution answered to an event, and the record that goes into its leaf.
//!
//! Codes are strings on the chain (`chain::block::Outcome`); records are the borsh encoding of
//! [`Record`]. Both are part of what is hashed: new variants go at the end, old ones stay.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use chain::block::Outcome;
use chain::hash::Hash;
use chain::identity::{KeyId, OrganisationId};
use invoice::amount::Amount;
use invoice::date::Period;
use invoice::id::InvoiceId;
use invoice::lifecycle::Validity;
use invoice::taxpayer::TaxpayerId;
use serde::Serialize;

use crate::bookkeeping::BookingTerms;
use crate::contingency::NumberRange;
use crate::event::{PaymentResult, Stance, UsePurpose};
use crate::organisation::{AdmittedKey, Role};
use crate::party::Party;
use crate::record::LeafRef;
use crate::red::SlipSide;
use crate::refusal::{Refusal, Standing};

/// The code of an accepted event.
pub const ACCEPTED: &str = "accepted";
/// The code of an event that had been accepted before: nothing changed, the first answer stands.
pub const REPEATED: &str = "repeated";

/// What execution added to an event.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// State refused it.
    Refused(RefusedRecord),
    /// It had been accepted before.
    Repeated {
        /// The leaf of the first answer.
        original: LeafRef,
    },
    /// An invoice was issued.
    Issued {
        /// Its id: code and number, or the 20 digits.
        invoice: InvoiceId,
        /// Block time of issue, ms UTC.
        issued_ms: i64,
        /// Who holds it now.
        holder: Party,
    },
    /// An invoice changed hands.
    Transferred {
        /// Who held it.
        from: Party,
        /// Who holds it now.
        to: Party,
    },
    /// An invoice was locked.
    Locked {
        /// The fencing token.
        token: u64,
        /// End of the lease, ms UTC.
        until_ms: i64,
    },
    /// A lease was extended.
    Renewed {
        /// The fencing token.
        token: u64,
        /// End of the lease, ms UTC.
        until_ms: i64,
    },
    /// A lock was given up.
    Unlocked {
        /// The fencing token.
        token: u64,
    },
    /// Reimbursed.
    Closed {
        /// The fencing token it was closed under.
        token: u64,
        /// Block time, ms UTC.
        closed_ms: i64,
    },
    /// Taken back.
    Voided {
        /// Block time, ms UTC.
        voided_ms: i64,
    },
    /// A month was filed.
    Filed {
        /// The month.
        period: Period,
        /// How many invoices it covers.
        invoices: u64,
        /// The accumulator's chain over the month.
        chain: Hash,
    },
    /// An equivocation was reported.
    Reported {
        /// How many have been, this one included.
        number: u64,
        /// The consensus key that both things are signed with.
        key: AdmittedKey,
    },
    /// An organisation came onto the ledger.
    Admitted {
        /// The first block in which it may act.
        from_height: u64,
    },
    /// Enterprises came onto the ledger.
    Registered {
        /// How many.
        enterprises: u32,
        /// The first block in which they are there for others.
        from_height: u64,
    },
    /// An organisation was suspended.
    Suspended {
        /// The first block in which it may not act.
        from_height: u64,
    },
    /// An organisation was reinstated.
    Reinstated {
        /// The first block in which it may act again.
        from_height: u64,
    },
    /// An organisation's keys changed.
    Rotated {
        /// How many it got.
        added: u32,
        /// How many may sign no longer.
        revoked: u32,
        /// The first block in which that is so.
        from_height: u64,
    },
    /// An organisation's roles were set.
    RolesSet {
        /// Those it had.
        former: BTreeSet<Role>,
        /// The first block in which it has the new ones.
        from_height: u64,
    },
    /// An organisation was given another name or taxpayer id.
    Renamed {
        /// The name it had.
        former_name: String,
        /// The taxpayer id it had.
        former_taxpayer_id: TaxpayerId,
        /// The first block in which it has the new ones.
        from_height: u64,
    },
    /// A mandate was given.
    Mandated {
        /// Whether one between the two stood in its place.
        replaced: bool,
        /// The first block in which it holds.
        from_height: u64,
    },
    /// A mandate was ended.
    Revoked {
        /// The first block in which it holds no longer.
        from_height: u64,
    },
    /// Mandates were attested.
    Attested {
        /// How many.
        mandates: u32,
        /// How many of them stand in the place of one between the same two.
        replaced: u32,
        /// The first block in which they hold.
        from_height: u64,
    },
    /// A seller was granted a quota.
    QuotaGranted {
        /// What its invoices of the month may come to.
        amount: Amount,
        /// What they come to already.
        used: Amount,
    },
    /// A quota was given another amount.
    QuotaAdjusted {
        /// What the invoices of the month might come to.
        former: Amount,
        /// What they may come to now.
        amount: Amount,
        /// What they come to already.
        used: Amount,
    },
    /// A quota was paused.
    QuotaPaused {
        /// What the invoices of the month may come to once it is resumed.
        amount: Amount,
        /// What they come to already.
        used: Amount,
    },
    /// A quota was resumed.
    QuotaResumed {
        /// What the invoices of the month may come to.
        amount: Amount,
        /// What they come to already.
        used: Amount,
    },
    /// The tax bureau ended a lock.
    Overridden {
        /// The fencing token of the lock.
        token: u64,
        /// The platform that held it.
        platform: OrganisationId,
        /// The enterprise it had locked for.
        enterprise: OrganisationId,
        /// The leaf of the lock.
        lock: LeafRef,
    },
    /// An invoice was booked.
    Booked {
        /// The enterprise in whose books it is.
        enterprise: OrganisationId,
    },
    /// A booking was given other terms.
    BookingAdjusted {
        /// The enterprise in whose books it is.
        enterprise: OrganisationId,
        /// The terms it had.
        former: BookingTerms,
    },
    /// A booking was taken back.
    BookingRevoked {
        /// The enterprise in whose books it was.
        enterprise: OrganisationId,
        /// The terms it had.
        terms: BookingTerms,
        /// The leaf of the booking.
        booking: LeafRef,
    },
    /// An invoice's VAT was used.
    Used {
        /// The buyer, whose month has it.
        buyer: OrganisationId,
        /// What the invoice comes to without tax.
        net: Amount,
        /// Its tax.
        tax: Amount,
    },
    /// The use of an invoice's VAT was taken back.
    UseRevoked {
        /// The buyer, whose month had it.
        buyer: OrganisationId,
        /// For what it was used.
        purpose: UsePurpose,
        /// In which month.
        period: Period,
        /// The leaf of the use.
        used: LeafRef,
    },
    /// A buyer said what it has to say of an invoice.
    Manifested {
        /// The buyer.
        buyer: OrganisationId,
        /// What it had said before.
        former: Option<Stance>,
    },
    /// A seller said otherwise what no tax depends on.
    Corrected {
        /// How many corrections of the invoice there have been, this one included.
        number: u32,
    },
    /// A filed month was amended.
    Amended {
        /// The month.
        period: Period,
        /// Which amendment of it this is.
        number: u32,
        /// What is to be paid from now on, in all.
        payable: Amount,
        /// What more was deducted than there was tax.
        carried: Amount,
    },
    /// The payment of what a filed month leaves to pay was ordered.
    PaymentRequested {
        /// The month.
        period: Period,
        /// How much.
        amount: Amount,
    },
    /// What became of a payment order was said.
    PaymentDecided {
        /// The month.
        period: Period,
        /// What became of it.
        result: PaymentResult,
        /// How much was ordered.
        amount: Amount,
        /// The leaf of the order.
        request: LeafRef,
    },
    /// A segment of numbers was granted. All that a buyer needs to verify an offline certificate stands here.
    SegmentGranted {
        /// The first number: the segment's id.
        first: InvoiceId,
        /// The last number.
        last: InvoiceId,
        /// Who issues from it.
        holder: OrganisationId,
        /// With which of its keys.
        key: KeyId,
        /// That key.
        public: AdmittedKey,
        /// Block time of the grant, ms UTC: it may issue offline from then on.
        granted_ms: i64,
        /// Until when it may issue offline, ms UTC.
        valid_until_ms: i64,
        /// Within how many hours after that an invoice must be submitted.
        deadline_hours: u16,
    },
    /// A segment was closed, and what it has not used declared as gaps.
    SegmentClosed {
        /// The last number.
        last: InvoiceId,
        /// How many of its numbers have an invoice.
        used: u32,
        /// Those that have none and never will, counted from 0 at the segment's first.
        gaps: Vec<NumberRange>,
    },
    /// An invoice that was issued offline came onto the ledger.
    IssuedOffline {
        /// Its id: code and number, or the 20 digits.
        invoice: InvoiceId,
        /// Block time, ms UTC: the invoice is of that day and month.
        issued_ms: i64,
        /// Who holds it now.
        holder: Party,
        /// The segment, by its first number.
        segment: InvoiceId,
        /// When its issuer says to have issued it, ms UTC.
        issued_offline_ms: i64,
        /// Until when it was to be submitted, ms UTC.
        submit_by_ms: i64,
        /// Whether it came later.
        late: bool,
    },
    /// A red letter was asked for.
    RedRequested {
        /// The slip's number.
        slip: u32,
        /// Which side asks.
        asked_by: SlipSide,
        /// Who is to answer.
        other: OrganisationId,
        /// What is to be taken back, without tax; below zero.
        net: Amount,
        /// Its tax.
        tax: Amount,
        /// Until when the other side may answer, ms UTC.
        until_ms: i64,
    },
    /// The other side agreed to a red letter.
    RedConfirmed {
        /// The slip's number.
        slip: u32,
        /// The leaf of the request.
        request: LeafRef,
    },
    /// The other side did not agree to a red letter.
    RedDenied {
        /// The slip's number.
        slip: u32,
        /// The leaf of the request.
        request: LeafRef,
    },
    /// A red letter is asked for no longer.
    RedWithdrawn {
        /// The slip's number.
        slip: u32,
        /// The leaf of the request.
        request: LeafRef,
    },
    /// A red letter was issued.
    RedIssued {
        /// Its id: code and number, or the 20 digits.
        invoice: InvoiceId,
        /// What it takes back.
        blue: InvoiceId,
        /// Block time of issue, ms UTC.
        issued_ms: i64,
        /// What is taken back, without tax; below zero.
        net: Amount,
        /// Its tax.
        tax: Amount,
        /// What has become of the blue.
        validity: Validity,
        /// Whether the blue's VAT was used: then the buyer's month of this block loses this much of it.
        input: bool,
        /// What that does to the claim on the blue, if there is one. Who claims it is nothing to the seller.
        claim: Option<ClaimEffect>,
    },
}

/// What a red letter does to a claim on its blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = true)]
pub enum ClaimEffect {
    /// The lock goes on, for what is left.
    Kept = 1,
    /// The lock has ended: nothing is left.
    Released = 2,
    /// What was reimbursed is to be clawed back.
    ClawBack = 3,
}

impl ClaimEffect {
    /// The effect, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Released => "released",
            Self::ClawBack => "claw-back",
        }
    }
}

/// Why state refused an event, as it stands on the ledger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct RefusedRecord {
    /// What the rule expected.
    pub expected: String,
    /// What it found.
    pub found: String,
    /// What stands in the way, if an earlier event does.
    pub standing: Option<Standing>,
}

impl Record {
    /// Decodes a record from an outcome or receipt.
    ///
    /// # Errors
    /// When the bytes are no record.
    pub fn decode(bytes: &[u8]) -> Result<Self, std::io::Error> {
        Self::try_from_slice(bytes)
    }

    /// Encodes the record.
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to a vector cannot fail")
    }
}

/// An answer, before it has its leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the event is about.
    pub subject: String,
    /// The record, or the refusal.
    pub result: Result<Record, Refusal>,
}

impl Answer {
    /// The outcome as the chain keeps it.
    pub fn outcome(&self) -> Outcome {
        let (code, record) = match &self.result {
            Ok(record @ Record::Repeated { .. }) => (REPEATED, record.encode()),
            Ok(record) => (ACCEPTED, record.encode()),
            Err(refusal) => (refusal.code(), Record::Refused(refusal.record()).encode()),
        };
        Outcome { code: code.to_owned(), subject: self.subject.clone(), record }
    }
}
