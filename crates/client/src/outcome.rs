//! What the ledger keeps of an outcome, in the words of the door: what an answer says is held against it.

use std::fmt::Debug;

use chain::receipt::Verified;
use ledger::outcome::{Record, RefusedRecord};
use ledger::party::Party;
use ledger::record::LeafRef;
use wire::generated::event_outcome::Record as Told;
use wire::generated::{
    AmendedRecord, AppliedRecord, AttestedRecord, BookedRecord, BookingAdjustedRecord, BookingRevokedRecord,
    BookingTerms, ClosedRecord, CorrectedRecord, EventOutcome, FiledRecord, InvoiceParty, IssuedOfflineRecord,
    IssuedRecord, LeafReference, LeaseRecord, MandatedRecord, ManifestedRecord, OverriddenRecord, PaymentDecidedRecord,
    PaymentRequestedRecord, QuotaAdjustedRecord, QuotaRecord, RedAnsweredRecord, RedIssuedRecord, RedRequestedRecord,
    RefusalReason, RegisteredRecord, RenamedRecord, ReportedRecord, RolesSetRecord, RotatedRecord, SegmentClosedRecord,
    SegmentGap, SegmentGrantedRecord, StandingEvent, TransferredRecord, UnlockedRecord, UseRevokedRecord, UsedRecord,
    VoidedRecord, invoice_party,
};

use crate::error::Error;

/// The record that a receipt has proved.
pub(crate) fn proved(verified: &Verified) -> Result<Record, Error> {
    Record::decode(&verified.record).map_err(|error| Error::OtherReceipt {
        what: "record",
        expected: "one that this version knows".to_owned(),
        found: error.to_string(),
    })
}

/// Holds what an answer says of an outcome against the record of its event, and against the record of the first answer
/// when it is a repeated one.
pub(crate) fn compare(outcome: &EventOutcome, record: &Record, first: Option<&Record>) -> Result<(), Error> {
    let (original, refusal) = match record {
        Record::Repeated { original } => (Some(leaf(original)), None),
        Record::Refused(refused) => (None, Some(reason(refused))),
        Record::Issued { .. }
        | Record::Transferred { .. }
        | Record::Locked { .. }
        | Record::Renewed { .. }
        | Record::Unlocked { .. }
        | Record::Closed { .. }
        | Record::Voided { .. }
        | Record::Filed { .. }
        | Record::Reported { .. }
        | Record::Admitted { .. }
        | Record::Registered { .. }
        | Record::Suspended { .. }
        | Record::Reinstated { .. }
        | Record::Rotated { .. }
        | Record::RolesSet { .. }
        | Record::Renamed { .. }
        | Record::Mandated { .. }
        | Record::Revoked { .. }
        | Record::Attested { .. }
        | Record::QuotaGranted { .. }
        | Record::QuotaAdjusted { .. }
        | Record::QuotaPaused { .. }
        | Record::QuotaResumed { .. }
        | Record::Overridden { .. }
        | Record::Booked { .. }
        | Record::BookingAdjusted { .. }
        | Record::BookingRevoked { .. }
        | Record::Used { .. }
        | Record::UseRevoked { .. }
        | Record::Manifested { .. }
        | Record::Corrected { .. }
        | Record::Amended { .. }
        | Record::PaymentRequested { .. }
        | Record::PaymentDecided { .. }
        | Record::SegmentGranted { .. }
        | Record::SegmentClosed { .. }
        | Record::IssuedOffline { .. }
        | Record::RedRequested { .. }
        | Record::RedConfirmed { .. }
        | Record::RedDenied { .. }
        | Record::RedWithdrawn { .. }
        | Record::RedIssued { .. } => (None, None),
    };
    alike("record", &outcome.record, &told(first.unwrap_or(record)))?;
    alike("original", &outcome.original, &original)?;
    alike("refusal", &outcome.refusal, &refusal)
}

fn alike<T: PartialEq + Debug>(what: &'static str, expected: &T, found: &T) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::OtherReceipt { what, expected: format!("{expected:?}"), found: format!("{found:?}") })
}

/// What execution added, as the door tells it; nothing of refusals and repetitions.
fn told(record: &Record) -> Option<Told> {
    let lease = |token: &u64, until_ms: &i64| LeaseRecord { token: *token, until_ms: *until_ms };
    Some(match record {
        Record::Refused(_) | Record::Repeated { .. } => return None,
        Record::Issued { invoice, issued_ms, holder } => Told::Issued(IssuedRecord {
            invoice: invoice.to_string(),
            issued_at_ms: *issued_ms,
            holder: Some(party(holder)),
        }),
        Record::Transferred { from, to } => {
            Told::Transferred(TransferredRecord { from: Some(party(from)), to: Some(party(to)) })
        }
        Record::Locked { token, until_ms } => Told::Locked(lease(token, until_ms)),
        Record::Renewed { token, until_ms } => Told::Renewed(lease(token, until_ms)),
        Record::Unlocked { token } => Told::Unlocked(UnlockedRecord { token: *token }),
        Record::Closed { token, closed_ms } => Told::Closed(ClosedRecord { token: *token, closed_at_ms: *closed_ms }),
        Record::Voided { voided_ms } => Told::Voided(VoidedRecord { voided_at_ms: *voided_ms }),
        Record::Filed { period, invoices, chain } => {
            Told::Filed(FiledRecord { period: period.to_string(), invoices: *invoices, chain: chain.to_string() })
        }
        Record::Reported { number, key } => Told::Reported(ReportedRecord { number: *number, key: key.to_string() }),
        Record::Admitted { .. }
        | Record::Registered { .. }
        | Record::Suspended { .. }
        | Record::Reinstated { .. }
        | Record::Rotated { .. }
        | Record::RolesSet { .. }
        | Record::Renamed { .. }
        | Record::Mandated { .. }
        | Record::Revoked { .. }
        | Record::Attested { .. } => return told_of_members(record),
        Record::QuotaGranted { amount, used } => Told::QuotaGranted(quota(amount, used)),
        Record::QuotaAdjusted { former, amount, used } => Told::QuotaAdjusted(QuotaAdjustedRecord {
            former: former.to_string(),
            amount: amount.to_string(),
            used: used.to_string(),
        }),
        Record::QuotaPaused { amount, used } => Told::QuotaPaused(quota(amount, used)),
        Record::QuotaResumed { amount, used } => Told::QuotaResumed(quota(amount, used)),
        Record::Overridden { token, platform, enterprise, lock } => Told::Overridden(OverriddenRecord {
            token: *token,
            platform: platform.to_string(),
            enterprise: enterprise.to_string(),
            lock: Some(leaf(lock)),
        }),
        Record::Booked { .. }
        | Record::BookingAdjusted { .. }
        | Record::BookingRevoked { .. }
        | Record::Used { .. }
        | Record::UseRevoked { .. }
        | Record::Manifested { .. }
        | Record::Corrected { .. }
        | Record::Amended { .. }
        | Record::PaymentRequested { .. }
        | Record::PaymentDecided { .. } => return told_of_books(record),
        Record::SegmentGranted { .. }
        | Record::SegmentClosed { .. }
        | Record::IssuedOffline { .. }
        | Record::RedRequested { .. }
        | Record::RedConfirmed { .. }
        | Record::RedDenied { .. }
        | Record::RedWithdrawn { .. }
        | Record::RedIssued { .. } => return told_of_letters(record),
    })
}

/// The same of red letters, and of what is issued offline.
fn told_of_letters(record: &Record) -> Option<Told> {
    let answered = |slip: &u32, request: &LeafRef| RedAnsweredRecord { slip: *slip, request: Some(leaf(request)) };
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
    Some(match record {
        Record::RedRequested { slip, asked_by, other, net, tax, until_ms } => Told::RedRequested(RedRequestedRecord {
            slip: *slip,
            asked_by: asked_by.as_str().to_owned(),
            other: other.to_string(),
            net: net.to_string(),
            tax: tax.to_string(),
            until_ms: *until_ms,
        }),
        Record::RedConfirmed { slip, request } => Told::RedConfirmed(answered(slip, request)),
        Record::RedDenied { slip, request } => Told::RedDenied(answered(slip, request)),
        Record::RedWithdrawn { slip, request } => Told::RedWithdrawn(answered(slip, request)),
        Record::RedIssued { invoice, blue, issued_ms, net, tax, validity, input, claim } => {
            Told::RedIssued(RedIssuedRecord {
                invoice: invoice.to_string(),
                blue: blue.to_string(),
                issued_at_ms: *issued_ms,
                net: net.to_string(),
                tax: tax.to_string(),
                validity: validity.as_str().to_owned(),
                input: *input,
                claim: claim.map(|claim| claim.as_str().to_owned()).unwrap_or_default(),
            })
        }
        Record::SegmentGranted { first, last, holder, key, public, granted_ms, valid_until_ms, deadline_hours } => {
            Told::SegmentGranted(SegmentGrantedRecord {
                first: first.to_string(),
                last: last.to_string(),
                holder: holder.to_string(),
                key: key.to_string(),
                public: public.to_string(),
                granted_at_ms: *granted_ms,
                valid_until_ms: *valid_until_ms,
                deadline_hours: u32::from(*deadline_hours),
            })
        }
        Record::SegmentClosed { last, used, gaps } => Told::SegmentClosed(SegmentClosedRecord {
            last: last.to_string(),
            used: *used,
            gaps: gaps.iter().map(|gap| SegmentGap { first: gap.first, last: gap.last }).collect(),
        }),
        Record::IssuedOffline { invoice, issued_ms, holder, segment, issued_offline_ms, submit_by_ms, late } => {
            Told::IssuedOffline(IssuedOfflineRecord {
                invoice: invoice.to_string(),
                issued_at_ms: *issued_ms,
                holder: Some(party(holder)),
                segment: segment.to_string(),
                issued_offline_at_ms: *issued_offline_ms,
                submit_by_ms: *submit_by_ms,
                late: *late,
            })
        }
        _ => return None,
    })
}

/// The same of organisations and mandates.
fn told_of_members(record: &Record) -> Option<Told> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
    Some(match record {
        Record::Admitted { from_height } => Told::Admitted(AppliedRecord { from_height: *from_height }),
        Record::Registered { enterprises, from_height } => {
            Told::Registered(RegisteredRecord { enterprises: *enterprises, from_height: *from_height })
        }
        Record::Suspended { from_height } => Told::Suspended(AppliedRecord { from_height: *from_height }),
        Record::Reinstated { from_height } => Told::Reinstated(AppliedRecord { from_height: *from_height }),
        Record::Rotated { added, revoked, from_height } => {
            Told::Rotated(RotatedRecord { added: *added, revoked: *revoked, from_height: *from_height })
        }
        Record::RolesSet { former, from_height } => Told::RolesSet(RolesSetRecord {
            former: former.iter().map(|role| role.as_str().to_owned()).collect(),
            from_height: *from_height,
        }),
        Record::Renamed { former_name, former_taxpayer_id, from_height } => Told::Renamed(RenamedRecord {
            former_name: former_name.clone(),
            former_taxpayer_id: former_taxpayer_id.to_string(),
            from_height: *from_height,
        }),
        Record::Mandated { replaced, from_height } => {
            Told::Mandated(MandatedRecord { replaced: *replaced, from_height: *from_height })
        }
        Record::Revoked { from_height } => Told::Revoked(AppliedRecord { from_height: *from_height }),
        Record::Attested { mandates, replaced, from_height } => {
            Told::Attested(AttestedRecord { mandates: *mandates, replaced: *replaced, from_height: *from_height })
        }
        _ => return None,
    })
}

/// The same of what is in books, of what parties say, and of what is filed later.
fn told_of_books(record: &Record) -> Option<Told> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about books and filings")]
    Some(match record {
        Record::Booked { enterprise } => Told::Booked(BookedRecord { enterprise: enterprise.to_string() }),
        Record::BookingAdjusted { enterprise, former } => Told::BookingAdjusted(BookingAdjustedRecord {
            enterprise: enterprise.to_string(),
            former: Some(terms(former)),
        }),
        Record::BookingRevoked { enterprise, terms: former, booking } => Told::BookingRevoked(BookingRevokedRecord {
            enterprise: enterprise.to_string(),
            terms: Some(terms(former)),
            booking: Some(leaf(booking)),
        }),
        Record::Used { buyer, net, tax } => {
            Told::Used(UsedRecord { buyer: buyer.to_string(), net: net.to_string(), tax: tax.to_string() })
        }
        Record::UseRevoked { buyer, purpose, period, used } => Told::UseRevoked(UseRevokedRecord {
            buyer: buyer.to_string(),
            purpose: purpose.to_string(),
            period: period.to_string(),
            used: Some(leaf(used)),
        }),
        Record::Manifested { buyer, former } => Told::Manifested(ManifestedRecord {
            buyer: buyer.to_string(),
            former: former.map(|former| former.as_str().to_owned()).unwrap_or_default(),
        }),
        Record::Corrected { number } => Told::Corrected(CorrectedRecord { number: *number }),
        Record::Amended { period, number, payable, carried } => Told::Amended(AmendedRecord {
            period: period.to_string(),
            number: *number,
            payable: payable.to_string(),
            carried: carried.to_string(),
        }),
        Record::PaymentRequested { period, amount } => {
            Told::PaymentRequested(PaymentRequestedRecord { period: period.to_string(), amount: amount.to_string() })
        }
        Record::PaymentDecided { period, result, amount, request } => Told::PaymentDecided(PaymentDecidedRecord {
            period: period.to_string(),
            result: result.to_string(),
            amount: amount.to_string(),
            request: Some(leaf(request)),
        }),
        _ => return None,
    })
}

fn quota(amount: &impl ToString, used: &impl ToString) -> QuotaRecord {
    QuotaRecord { amount: amount.to_string(), used: used.to_string() }
}

fn terms(terms: &ledger::bookkeeping::BookingTerms) -> BookingTerms {
    BookingTerms {
        code: terms.code.as_str().to_owned(),
        voucher: terms.voucher.to_string(),
        period: terms.period.to_string(),
    }
}

fn reason(refused: &RefusedRecord) -> RefusalReason {
    let standing = refused.standing.as_ref().map(|standing| StandingEvent {
        holder: standing.organisation.to_string(),
        since_ms: standing.since_ms,
        until_ms: standing.until_ms,
        leaf_index: standing.leaf.index,
        leaf_hash: standing.leaf.hash.to_string(),
    });
    RefusalReason { expected: refused.expected.clone(), found: refused.found.clone(), standing }
}

fn leaf(leaf: &LeafRef) -> LeafReference {
    LeafReference { leaf_index: leaf.index, leaf_hash: leaf.hash.to_string() }
}

fn party(party: &Party) -> InvoiceParty {
    let party = match party {
        Party::Taxpayer(id) => invoice_party::Party::Taxpayer(id.to_string()),
        Party::Person(id) => invoice_party::Party::Person(id.to_string()),
    };
    InvoiceParty { party: Some(party) }
}

#[cfg(test)]
mod tests {
    use chain::hash::Hash;
    use invoice::amount::Amount;
    use ledger::refusal::Standing;

    use super::*;

    const LOCKED: Record = Record::Locked { token: 7, until_ms: 1_000 };

    /// An answer with a lease.
    fn lease(token: u64, until_ms: i64) -> EventOutcome {
        EventOutcome { record: Some(Told::Locked(LeaseRecord { token, until_ms })), ..EventOutcome::default() }
    }

    #[track_caller]
    fn differs(what: &str, compared: Result<(), Error>) {
        match compared {
            Err(Error::OtherReceipt { what: found, .. }) => assert_eq!(found, what),
            other => panic!("expected another {what}, found {other:?}"),
        }
    }

    #[test]
    fn a_lease_is_the_one_on_the_ledger_or_a_lie() {
        compare(&lease(7, 1_000), &LOCKED, None).unwrap();
        differs("record", compare(&lease(8, 1_000), &LOCKED, None));
        differs("record", compare(&lease(7, 1_001), &LOCKED, None));
        differs("record", compare(&EventOutcome::default(), &LOCKED, None));
        let renewed = Record::Renewed { token: 7, until_ms: 1_000 };
        differs("record", compare(&lease(7, 1_000), &renewed, None));
    }

    #[test]
    fn what_is_left_of_a_quota_is_what_the_ledger_says() {
        let (amount, used) = (Amount::from_fen(50_000), Amount::from_fen(11_300));
        let told = |used: &str| EventOutcome {
            record: Some(Told::QuotaGranted(QuotaRecord { amount: "500.00".to_owned(), used: used.to_owned() })),
            ..EventOutcome::default()
        };
        let granted = Record::QuotaGranted { amount, used };
        compare(&told("113.00"), &granted, None).unwrap();
        differs("record", compare(&told("0.00"), &granted, None));
        differs("record", compare(&told("113.00"), &Record::QuotaResumed { amount, used }, None));
    }

    #[test]
    fn a_repeated_event_has_the_record_and_the_leaf_of_the_first() {
        let original = LeafRef { index: 3, hash: Hash::of(b"first") };
        let repeated = Record::Repeated { original };
        let mut answer = EventOutcome { original: Some(leaf(&original)), ..lease(7, 1_000) };
        compare(&answer, &repeated, Some(&LOCKED)).unwrap();
        differs("record", compare(&answer, &repeated, Some(&Record::Unlocked { token: 7 })));
        answer.original.as_mut().unwrap().leaf_index = 4;
        differs("original", compare(&answer, &repeated, Some(&LOCKED)));
    }

    #[test]
    fn who_stands_in_the_way_is_the_one_on_the_ledger() {
        let standing = Standing {
            organisation: "rival".parse().unwrap(),
            since_ms: 1,
            until_ms: Some(2),
            leaf: LeafRef { index: 3, hash: Hash::of(b"lock") },
        };
        let refused =
            RefusedRecord { expected: "open".to_owned(), found: "locked".to_owned(), standing: Some(standing) };
        let mut answer = EventOutcome { refusal: Some(reason(&refused)), ..EventOutcome::default() };
        let record = Record::Refused(refused);
        compare(&answer, &record, None).unwrap();
        answer.refusal.as_mut().unwrap().standing.as_mut().unwrap().holder = "somebody".to_owned();
        differs("refusal", compare(&answer, &record, None));
        differs("refusal", compare(&EventOutcome::default(), &record, None));
    }
}
