//! Outcomes: what became of one event.

use super::books::BookingTermsView;
use ledger::organisation::Role;
use ledger::outcome::{Record, RefusedRecord};
use ledger::party::Party;
use ledger::record::LeafRef;
use ledger::refusal::Standing;
use serde::Serialize;
use utoipa::ToSchema;

use crate::time::format_ms;

/// A leaf of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeafView {
    /// Its index in the log.
    pub leaf_index: u64,
    /// Its hash.
    pub leaf_hash: String,
}

impl From<LeafRef> for LeafView {
    fn from(leaf: LeafRef) -> Self {
        Self { leaf_index: leaf.index, leaf_hash: leaf.hash.to_string() }
    }
}

/// Who sells, buys or holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartyView {
    /// An organisation, under its taxpayer id.
    Taxpayer(String),
    /// A natural person, under an opaque id.
    Person(String),
}

impl From<&Party> for PartyView {
    fn from(party: &Party) -> Self {
        match party {
            Party::Taxpayer(id) => Self::Taxpayer(id.to_string()),
            Party::Person(id) => Self::Person(id.to_string()),
        }
    }
}

/// The earlier event that stands in the way: who and since when, never what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StandingView {
    /// Whose event it is.
    pub organisation: String,
    /// Since when.
    pub since: String,
    /// Until when; absent when for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The leaf of that event.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
}

impl From<&Standing> for StandingView {
    fn from(standing: &Standing) -> Self {
        Self {
            organisation: standing.organisation.to_string(),
            since: format_ms(standing.since_ms),
            until: standing.until_ms.map(format_ms),
            leaf_index: standing.leaf.index,
            leaf_hash: standing.leaf.hash.to_string(),
        }
    }
}

/// Why state refused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefusalView {
    /// What the rule expected.
    pub expected: String,
    /// What it found.
    pub found: String,
    /// The earlier event in the way, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
}

impl From<&RefusedRecord> for RefusalView {
    fn from(refused: &RefusedRecord) -> Self {
        Self {
            expected: refused.expected.clone(),
            found: refused.found.clone(),
            standing: refused.standing.as_ref().map(StandingView::from),
        }
    }
}

impl RefusalView {
    /// Without who stood in the way.
    pub(crate) fn without_standing(self) -> Self {
        Self { standing: None, ..self }
    }
}

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
    /// The view of a record; `None` for refusals and repetitions, which are no news.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        Some(match record {
            Record::Refused(_) | Record::Repeated { .. } => return None,
            Record::Issued { invoice, issued_ms, holder } => {
                Self::Issued { invoice: invoice.to_string(), issued_at: format_ms(*issued_ms), holder: holder.into() }
            }
            Record::Transferred { from, to } => Self::Transferred { from: from.into(), to: to.into() },
            Record::Locked { token, until_ms } => Self::Locked { token: Some(*token), until: format_ms(*until_ms) },
            Record::Renewed { token, until_ms } => Self::Renewed { token: Some(*token), until: format_ms(*until_ms) },
            Record::Unlocked { token } => Self::Unlocked { token: Some(*token) },
            Record::Closed { token, closed_ms } => {
                Self::Closed { token: Some(*token), closed_at: format_ms(*closed_ms) }
            }
            Record::Voided { voided_ms } => Self::Voided { voided_at: format_ms(*voided_ms) },
            Record::Filed { period, invoices, chain } => {
                Self::Filed { period: period.to_string(), invoices: *invoices, chain: chain.to_string() }
            }
            Record::Reported { number, key } => Self::Reported { number: *number, key: key.to_string() },
            Record::Admitted { .. }
            | Record::Registered { .. }
            | Record::Suspended { .. }
            | Record::Reinstated { .. }
            | Record::Rotated { .. }
            | Record::RolesSet { .. }
            | Record::Renamed { .. }
            | Record::Mandated { .. }
            | Record::Revoked { .. }
            | Record::Attested { .. } => return Self::of_members(record),
            Record::QuotaGranted { amount, used } => {
                Self::QuotaGranted { amount: amount.to_string(), used: used.to_string() }
            }
            Record::QuotaAdjusted { former, amount, used } => {
                Self::QuotaAdjusted { former: former.to_string(), amount: amount.to_string(), used: used.to_string() }
            }
            Record::QuotaPaused { amount, used } => {
                Self::QuotaPaused { amount: amount.to_string(), used: used.to_string() }
            }
            Record::QuotaResumed { amount, used } => {
                Self::QuotaResumed { amount: amount.to_string(), used: used.to_string() }
            }
            Record::Overridden { token, platform, enterprise, lock } => Self::Overridden {
                token: Some(*token),
                platform: platform.to_string(),
                enterprise: enterprise.to_string(),
                lock: Some(LeafView::from(*lock)),
            },
            Record::Booked { .. }
            | Record::BookingAdjusted { .. }
            | Record::BookingRevoked { .. }
            | Record::Used { .. }
            | Record::UseRevoked { .. }
            | Record::Manifested { .. }
            | Record::Corrected { .. }
            | Record::Amended { .. }
            | Record::PaymentRequested { .. }
            | Record::PaymentDecided { .. } => return Self::of_books(record),
            Record::SegmentGranted { .. }
            | Record::SegmentClosed { .. }
            | Record::IssuedOffline { .. }
            | Record::RedRequested { .. }
            | Record::RedConfirmed { .. }
            | Record::RedDenied { .. }
            | Record::RedWithdrawn { .. }
            | Record::RedIssued { .. } => return Self::of_letters(record),
        })
    }
}

impl RecordView {
    /// The view of a record of organisations or mandates.
    fn of_members(record: &Record) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
        Some(match record {
            Record::Admitted { from_height } => Self::Admitted { from_height: *from_height },
            Record::Registered { enterprises, from_height } => {
                Self::Registered { enterprises: *enterprises, from_height: *from_height }
            }
            Record::Suspended { from_height } => Self::Suspended { from_height: *from_height },
            Record::Reinstated { from_height } => Self::Reinstated { from_height: *from_height },
            Record::Rotated { added, revoked, from_height } => {
                Self::Rotated { added: *added, revoked: *revoked, from_height: *from_height }
            }
            Record::RolesSet { former, from_height } => {
                Self::RolesSet { former: former.iter().copied().collect(), from_height: *from_height }
            }
            Record::Renamed { former_name, former_taxpayer_id, from_height } => Self::Renamed {
                former_name: former_name.clone(),
                former_taxpayer_id: former_taxpayer_id.to_string(),
                from_height: *from_height,
            },
            Record::Mandated { replaced, from_height } => {
                Self::Mandated { replaced: *replaced, from_height: *from_height }
            }
            Record::Revoked { from_height } => Self::Revoked { from_height: *from_height },
            Record::Attested { mandates, replaced, from_height } => {
                Self::Attested { mandates: *mandates, replaced: *replaced, from_height: *from_height }
            }
            _ => return None,
        })
    }

    /// The view of a record of what is in books, or of what parties say.
    fn of_books(record: &Record) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about books")]
        Some(match record {
            Record::Booked { enterprise } => Self::Booked { enterprise: enterprise.to_string() },
            Record::BookingAdjusted { enterprise, former } => {
                Self::BookingAdjusted { enterprise: enterprise.to_string(), former: former.into() }
            }
            Record::BookingRevoked { enterprise, terms, booking } => Self::BookingRevoked {
                enterprise: enterprise.to_string(),
                terms: terms.into(),
                booking: LeafView::from(*booking),
            },
            Record::Used { buyer, net, tax } => {
                Self::Used { buyer: buyer.to_string(), net: net.to_string(), tax: tax.to_string() }
            }
            Record::UseRevoked { buyer, purpose, period, used } => Self::UseRevoked {
                buyer: buyer.to_string(),
                purpose: purpose.to_string(),
                period: period.to_string(),
                used: LeafView::from(*used),
            },
            Record::Manifested { buyer, former } => {
                Self::Manifested { buyer: buyer.to_string(), former: former.map(|former| former.as_str().to_owned()) }
            }
            Record::Corrected { number } => Self::Corrected { number: *number },
            Record::Amended { period, number, payable, carried } => Self::Amended {
                period: period.to_string(),
                number: *number,
                payable: payable.to_string(),
                carried: carried.to_string(),
            },
            Record::PaymentRequested { period, amount } => {
                Self::PaymentRequested { period: period.to_string(), amount: amount.to_string() }
            }
            Record::PaymentDecided { period, result, amount, request } => Self::PaymentDecided {
                period: period.to_string(),
                result: result.to_string(),
                amount: amount.to_string(),
                request: LeafView::from(*request),
            },
            _ => return None,
        })
    }

    /// The view of a record of red letters, or of what is issued offline.
    fn of_letters(record: &Record) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
        Some(match record {
            Record::SegmentGranted { first, last, holder, key, public, granted_ms, valid_until_ms, deadline_hours } => {
                Self::SegmentGranted {
                    first: first.to_string(),
                    last: last.to_string(),
                    holder: holder.to_string(),
                    key: key.to_string(),
                    public: public.to_string(),
                    granted_at: format_ms(*granted_ms),
                    valid_until: format_ms(*valid_until_ms),
                    deadline_hours: *deadline_hours,
                }
            }
            Record::SegmentClosed { last, used, gaps } => Self::SegmentClosed {
                last: last.to_string(),
                used: *used,
                gaps: gaps.iter().map(|gap| GapView { first: gap.first, last: gap.last }).collect(),
            },
            Record::IssuedOffline { invoice, issued_ms, holder, segment, issued_offline_ms, submit_by_ms, late } => {
                Self::IssuedOffline {
                    invoice: invoice.to_string(),
                    issued_at: format_ms(*issued_ms),
                    holder: holder.into(),
                    segment: segment.to_string(),
                    issued_offline_at: format_ms(*issued_offline_ms),
                    submit_by: format_ms(*submit_by_ms),
                    late: *late,
                }
            }
            Record::RedRequested { slip, asked_by, other, net, tax, until_ms } => Self::RedRequested {
                slip: *slip,
                asked_by: asked_by.as_str().to_owned(),
                other: other.to_string(),
                net: net.to_string(),
                tax: tax.to_string(),
                until: format_ms(*until_ms),
            },
            Record::RedConfirmed { slip, request } => {
                Self::RedConfirmed { slip: *slip, request: LeafView::from(*request) }
            }
            Record::RedDenied { slip, request } => Self::RedDenied { slip: *slip, request: LeafView::from(*request) },
            Record::RedWithdrawn { slip, request } => {
                Self::RedWithdrawn { slip: *slip, request: LeafView::from(*request) }
            }
            Record::RedIssued { invoice, blue, issued_ms, net, tax, validity, input, claim } => Self::RedIssued {
                invoice: invoice.to_string(),
                blue: blue.to_string(),
                issued_at: format_ms(*issued_ms),
                net: net.to_string(),
                tax: tax.to_string(),
                validity: validity.as_str().to_owned(),
                input: *input,
                claim: claim.map(|claim| claim.as_str().to_owned()),
            },
            _ => return None,
        })
    }

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

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OutcomeView {
    /// Which event of the statement, from 0.
    pub index: u32,
    /// What kind of event.
    #[schema(example = "lock")]
    pub kind: String,
    /// `accepted`, `repeated`, or the code of the refusal.
    pub code: String,
    /// What the event is about: an invoice's id, `reference:…`, `filing:…`, `evidence:…`, `organisation:…`,
    /// `organisations:…`, `mandate:…`, `mandates:…`, `quota:…` or `segment:…`.
    pub subject: String,
    /// The event's leaf in the log.
    pub leaf_index: u64,
    /// The hash of that leaf.
    pub leaf_hash: String,
    /// Of an issue in the blockchain profile: the last five hex digits of the leaf hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_code: Option<String>,
    /// What execution added; of a repeated event, what it added the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordView>,
    /// Of a repeated event: the leaf of the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<LeafView>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalView>,
    /// Where its receipt is.
    #[schema(example = "/v1/receipts/42")]
    pub receipt: String,
}
