//! Records: what execution added to an accepted event.

mod of;

use ledger::organisation::Role;
use serde::Serialize;
use utoipa::ToSchema;

use super::books::BookingTermsView;
use super::outcome::{LeafView, PartyView};
/// What execution added to an accepted event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordView {
    /// An invoice was issued.
    Issued {
        /// Its id: `code-number`, or the 20 digits.
        invoice: String,
        /// Block time.
        issued_at: String,
        /// Who holds it.
        holder: PartyView,
    },
    /// An invoice changed hands.
    Transferred {
        /// Who held it.
        from: PartyView,
        /// Who holds it now.
        to: PartyView,
    },
    /// An invoice was locked.
    Locked {
        /// The fencing token; only for the platform and the enterprise.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// End of the lease.
        until: String,
    },
    /// A lease was extended.
    Renewed {
        /// The fencing token; only for the platform and the enterprise.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// End of the lease.
        until: String,
    },
    /// A lock was given up.
    Unlocked {
        /// The fencing token; only for the platform and the enterprise.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
    },
    /// Reimbursed.
    Closed {
        /// The fencing token it was closed under; only for the platform and the enterprise.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// Block time.
        closed_at: String,
    },
    /// Taken back.
    Voided {
        /// Block time.
        voided_at: String,
    },
    /// A month was filed.
    Filed {
        /// The month.
        period: String,
        /// How many invoices it covers.
        invoices: u64,
        /// The accumulator's chain over the month.
        chain: String,
    },
    /// An equivocation of a validator was reported.
    Reported {
        /// How many have been, this one included.
        number: u64,
        /// The consensus key that both things are signed with, base64url.
        key: String,
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
        #[schema(value_type = Vec<String>)]
        former: Vec<Role>,
        /// The first block in which it has the new ones.
        from_height: u64,
    },
    /// An organisation was given another name or taxpayer id.
    Renamed {
        /// The name it had.
        former_name: String,
        /// The taxpayer id it had.
        former_taxpayer_id: String,
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
        /// What its invoices of the month may come to, gross.
        amount: String,
        /// What they come to already.
        used: String,
    },
    /// A quota was given another amount.
    QuotaAdjusted {
        /// What the invoices of the month might come to.
        former: String,
        /// What they may come to now, gross.
        amount: String,
        /// What they come to already.
        used: String,
    },
    /// A quota was paused.
    QuotaPaused {
        /// What the invoices of the month may come to once it is resumed, gross.
        amount: String,
        /// What they come to already.
        used: String,
    },
    /// A quota was resumed.
    QuotaResumed {
        /// What the invoices of the month may come to, gross.
        amount: String,
        /// What they come to already.
        used: String,
    },
    /// The tax bureau ended a lock.
    Overridden {
        /// The fencing token of the lock; only for the platform and the enterprise.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// The platform that held it.
        platform: String,
        /// The enterprise it had locked for.
        enterprise: String,
        /// The leaf of the lock; only for the platform and the enterprise.
        #[serde(skip_serializing_if = "Option::is_none")]
        lock: Option<LeafView>,
    },
    /// An invoice was booked.
    Booked {
        /// The enterprise in whose books it is.
        enterprise: String,
    },
    /// A booking was given other terms.
    BookingAdjusted {
        /// The enterprise in whose books it is.
        enterprise: String,
        /// The terms it had.
        former: BookingTermsView,
    },
    /// A booking was taken back.
    BookingRevoked {
        /// The enterprise in whose books it was.
        enterprise: String,
        /// The terms it had.
        terms: BookingTermsView,
        /// The leaf of the booking.
        booking: LeafView,
    },
    /// An invoice's VAT was used.
    Used {
        /// The buyer, whose month has it.
        buyer: String,
        /// What the invoice comes to without tax.
        net: String,
        /// Its tax.
        tax: String,
    },
    /// The use of an invoice's VAT was taken back.
    UseRevoked {
        /// The buyer, whose month had it.
        buyer: String,
        /// For what it was used.
        purpose: String,
        /// In which month.
        period: String,
        /// The leaf of the use.
        used: LeafView,
    },
    /// A buyer said what it has to say of an invoice.
    Manifested {
        /// The buyer.
        buyer: String,
        /// What it had said before.
        #[serde(skip_serializing_if = "Option::is_none")]
        former: Option<String>,
    },
    /// A seller said otherwise what no tax depends on.
    Corrected {
        /// How many corrections of the invoice there have been, this one included.
        number: u32,
    },
    /// A lease ended. No record of an event: nobody signed it.
    LeaseEnded {
        /// The fencing token of the lock; only for the platform and the enterprise.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// The end of the lease.
        until: String,
    },
    /// A filed month was amended.
    Amended {
        /// The month.
        period: String,
        /// Which amendment of it this is, from 1.
        number: u32,
        /// What is to be paid from now on, in all.
        payable: String,
        /// What more was deducted than there was tax.
        carried: String,
    },
    /// The payment of what a filed month leaves to pay was ordered.
    PaymentRequested {
        /// The month.
        period: String,
        /// How much.
        amount: String,
    },
    /// What became of a payment order was said.
    PaymentDecided {
        /// The month.
        period: String,
        /// `paid` or `failed`.
        result: String,
        /// How much was ordered.
        amount: String,
        /// The leaf of the order.
        request: LeafView,
    },
    /// A segment of numbers was granted.
    SegmentGranted {
        /// The first number: the segment's id.
        first: String,
        /// The last number.
        last: String,
        /// Who issues from it.
        holder: String,
        /// With which of its keys.
        key: String,
        /// That key, base64url.
        public: String,
        /// When: the holder may issue offline from then on.
        granted_at: String,
        /// Until when the holder may issue offline.
        valid_until: String,
        /// Within how many hours after that an invoice must be submitted.
        deadline_hours: u16,
    },
    /// A segment was closed, and what it has not used declared as gaps.
    SegmentClosed {
        /// The last number.
        last: String,
        /// How many of its numbers have an invoice.
        used: u32,
        /// Those that have none and never will, counted from 0 at the segment's first.
        gaps: Vec<GapView>,
    },
    /// An invoice that was issued offline came onto the ledger.
    IssuedOffline {
        /// Its id: `code-number`, or the 20 digits.
        invoice: String,
        /// Block time: the invoice is of that day and month.
        issued_at: String,
        /// Who holds it.
        holder: PartyView,
        /// The segment, by its first number.
        segment: String,
        /// When its issuer says to have issued it.
        issued_offline_at: String,
        /// Until when it was to be submitted.
        submit_by: String,
        /// Whether it came later.
        late: bool,
    },
    /// A red letter was asked for.
    RedRequested {
        /// The slip's number.
        slip: u32,
        /// Which side asks: `seller` or `buyer`.
        asked_by: String,
        /// Who is to answer.
        other: String,
        /// What is to be taken back, without tax; below zero.
        net: String,
        /// Its tax.
        tax: String,
        /// Until when the other side may answer.
        until: String,
    },
    /// The other side agreed to a red letter.
    RedConfirmed {
        /// The slip's number.
        slip: u32,
        /// The leaf of the request.
        request: LeafView,
    },
    /// The other side did not agree to a red letter.
    RedDenied {
        /// The slip's number.
        slip: u32,
        /// The leaf of the request.
        request: LeafView,
    },
    /// A red letter is asked for no longer.
    RedWithdrawn {
        /// The slip's number.
        slip: u32,
        /// The leaf of the request.
        request: LeafView,
    },
    /// A red letter was issued.
    RedIssued {
        /// Its id: `code-number`, or the 20 digits.
        invoice: String,
        /// What it takes back.
        blue: String,
        /// Block time.
        issued_at: String,
        /// What is taken back, without tax; below zero.
        net: String,
        /// Its tax.
        tax: String,
        /// What has become of the blue: `part-red` or `full-red`.
        validity: String,
        /// Whether the blue's VAT was used: then the buyer's month of this block loses this much of it.
        input: bool,
        /// What that does to the claim on the blue, if there is one: `kept`, `released` or `claw-back`.
        #[serde(skip_serializing_if = "Option::is_none")]
        claim: Option<String>,
    },
}

/// Numbers of a segment that follow each other, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GapView {
    /// The first.
    pub first: u32,
    /// The last, itself included.
    pub last: u32,
}

impl RecordView {
    /// Without the fencing token.
    pub(crate) fn without_token(mut self) -> Self {
        match &mut self {
            Self::Locked { token, .. }
            | Self::Renewed { token, .. }
            | Self::Unlocked { token }
            | Self::Closed { token, .. }
            | Self::LeaseEnded { token, .. } => *token = None,
            // The hash of the lock's leaf covers the claim's id.
            Self::Overridden { token, lock, .. } => (*token, *lock) = (None, None),
            Self::Issued { .. }
            | Self::Transferred { .. }
            | Self::Voided { .. }
            | Self::Filed { .. }
            | Self::Reported { .. }
            | Self::Admitted { .. }
            | Self::Registered { .. }
            | Self::Suspended { .. }
            | Self::Reinstated { .. }
            | Self::Rotated { .. }
            | Self::RolesSet { .. }
            | Self::Renamed { .. }
            | Self::Mandated { .. }
            | Self::Revoked { .. }
            | Self::Attested { .. }
            | Self::QuotaGranted { .. }
            | Self::QuotaAdjusted { .. }
            | Self::QuotaPaused { .. }
            | Self::QuotaResumed { .. }
            | Self::Booked { .. }
            | Self::BookingAdjusted { .. }
            | Self::BookingRevoked { .. }
            | Self::Used { .. }
            | Self::UseRevoked { .. }
            | Self::Manifested { .. }
            | Self::Corrected { .. }
            | Self::Amended { .. }
            | Self::PaymentRequested { .. }
            | Self::PaymentDecided { .. }
            | Self::SegmentGranted { .. }
            | Self::SegmentClosed { .. }
            | Self::IssuedOffline { .. }
            | Self::RedRequested { .. }
            | Self::RedConfirmed { .. }
            | Self::RedDenied { .. }
            | Self::RedWithdrawn { .. }
            | Self::RedIssued { .. } => {}
        }
        self
    }
}
