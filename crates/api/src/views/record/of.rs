//! From the ledger's records to their views.

use ledger::outcome::Record;

use super::super::outcome::LeafView;
use super::{GapView, RecordView};
use crate::time::format_ms;

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
}
