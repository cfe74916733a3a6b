//! From views of red letters, of what is issued offline and of books to messages.

use ledger::record::InvoiceRecord;
use ledger::red::ReversalRecord;
use wire::generated::event_outcome::Record;
use wire::generated::{
    Booking, Claim, IssuedOfflineRecord, Offline, RedAnsweredRecord, RedIssuedRecord, RedLetter, RedLine,
    RedRequestedRecord, Reversal, SegmentClosedRecord, SegmentGap, SegmentGrantedRecord, Slip,
};

use super::convert::{leaf, ms, party};
use crate::views::{BookingView, LeafView, OfflineView, RecordView, RedLetterView, ReversalView, SlipView, UseView};

/// What execution added to an event about these.
pub(super) fn record(view: &RecordView) -> Option<Record> {
    let answered = |slip: &u32, request: &LeafView| RedAnsweredRecord { slip: *slip, request: Some(leaf(request)) };
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
    Some(match view {
        RecordView::SegmentGranted { first, last, holder, key, public, granted_at, valid_until, deadline_hours } => {
            Record::SegmentGranted(SegmentGrantedRecord {
                first: first.clone(),
                last: last.clone(),
                holder: holder.clone(),
                key: key.clone(),
                public: public.clone(),
                granted_at_ms: ms(granted_at),
                valid_until_ms: ms(valid_until),
                deadline_hours: u32::from(*deadline_hours),
            })
        }
        RecordView::SegmentClosed { last, used, gaps } => Record::SegmentClosed(SegmentClosedRecord {
            last: last.clone(),
            used: *used,
            gaps: gaps.iter().map(|gap| SegmentGap { first: gap.first, last: gap.last }).collect(),
        }),
        RecordView::IssuedOffline { invoice, issued_at, holder, segment, issued_offline_at, submit_by, late } => {
            Record::IssuedOffline(IssuedOfflineRecord {
                invoice: invoice.clone(),
                issued_at_ms: ms(issued_at),
                holder: Some(party(holder)),
                segment: segment.clone(),
                issued_offline_at_ms: ms(issued_offline_at),
                submit_by_ms: ms(submit_by),
                late: *late,
            })
        }
        RecordView::RedRequested { slip, asked_by, other, net, tax, until } => {
            Record::RedRequested(RedRequestedRecord {
                slip: *slip,
                asked_by: asked_by.clone(),
                other: other.clone(),
                net: net.clone(),
                tax: tax.clone(),
                until_ms: ms(until),
            })
        }
        RecordView::RedConfirmed { slip, request } => Record::RedConfirmed(answered(slip, request)),
        RecordView::RedDenied { slip, request } => Record::RedDenied(answered(slip, request)),
        RecordView::RedWithdrawn { slip, request } => Record::RedWithdrawn(answered(slip, request)),
        RecordView::RedIssued { invoice, blue, issued_at, net, tax, validity, input, claim } => {
            Record::RedIssued(RedIssuedRecord {
                invoice: invoice.clone(),
                blue: blue.clone(),
                issued_at_ms: ms(issued_at),
                net: net.clone(),
                tax: tax.clone(),
                validity: validity.clone(),
                input: *input,
                claim: claim.clone().unwrap_or_default(),
            })
        }
        _ => return None,
    })
}

/// A claim with what red letters have left of its invoice.
pub(super) fn claim(claim: Claim, of: &InvoiceRecord, reversal: Option<&ReversalRecord>) -> Claim {
    let Some(reversal) = reversal else { return claim };
    let left = of.totals.gross.checked_add(reversal.totals.gross);
    Claim {
        left: left.map(|left| left.to_string()).unwrap_or_default(),
        claw_back: reversal.claw_back.map(|mark| mark.gross.to_string()).unwrap_or_default(),
        ..claim
    }
}

/// What red letters took back.
pub(super) fn reversal(view: &ReversalView) -> Reversal {
    let totals = view.totals.clone();
    Reversal { net: totals.net, tax: totals.tax, gross: totals.gross, letters: view.letters.clone() }
}

/// What a red letter takes back.
pub(super) fn red_letter(view: &RedLetterView) -> RedLetter {
    let line =
        |line: &crate::views::RedLineView| RedLine { line: line.line, net: line.net.clone(), tax: line.tax.clone() };
    RedLetter {
        blue: view.blue.clone(),
        reason: view.reason.clone(),
        slip: view.slip.unwrap_or_default(),
        lines: view.lines.iter().map(line).collect(),
    }
}

/// The newest slip of an invoice.
pub(super) fn slip(view: &SlipView) -> Slip {
    Slip {
        number: view.number,
        state: view.state.clone(),
        asked_by: view.asked_by.clone(),
        other: view.other.clone(),
        reason: view.reason.clone(),
        gross: view.totals.gross.clone(),
        until_ms: ms(&view.until),
    }
}

/// How an invoice was issued offline.
pub(super) fn offline(view: &OfflineView) -> Offline {
    Offline {
        segment: view.segment.clone(),
        issued_at_ms: ms(&view.issued_at),
        submit_by_ms: ms(&view.submit_by),
        late: view.late,
    }
}

/// How an invoice is booked now; `None` when it is not.
pub(super) fn booking(view: &BookingView) -> Option<Booking> {
    let in_force = view.revoked_at.is_none();
    let (Some(enterprise), Some(voucher), Some(period)) = (&view.enterprise, &view.voucher, &view.period) else {
        return None;
    };
    in_force.then(|| Booking {
        enterprise: enterprise.clone(),
        code: view.code.clone(),
        voucher: voucher.clone(),
        period: period.clone(),
    })
}

/// For what an invoice's VAT is used; empty when it is not.
pub(super) fn purpose(view: &UseView) -> String {
    if view.purpose == "none" { String::new() } else { view.purpose.clone() }
}
