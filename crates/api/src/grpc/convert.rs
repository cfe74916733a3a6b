//! From views to messages. Views hold times as text; a time that is none here would be a time that no view writes.

use invoice::InvoiceId;
use invoice::lifecycle::{Reimbursement, Validity};
use ledger::record::InvoiceRecord;
use replica::port::Store;
use wire::generated::event_outcome::Record;
use wire::generated::{
    AmendedRecord, AppliedRecord, AttestedRecord, BookedRecord, BookingAdjustedRecord, BookingRevokedRecord,
    BookingTerms, Claim, ClaimStatus, ClosedRecord, CorrectedRecord, EventOutcome, FiledRecord, Invoice, InvoiceParty,
    InvoiceValidity, IssuedRecord, LeafReference, LeaseRecord, LedgerEvent, MandatedRecord, ManifestedRecord,
    OverriddenRecord, PaymentDecidedRecord, PaymentRequestedRecord, PreparedStatement, QuotaAdjustedRecord,
    QuotaRecord, RefusalReason, RegisteredRecord, RenamedRecord, ReportedRecord, RolesSetRecord, RotatedRecord,
    StandingEvent, StatementResult, StatementState, SubscribeResponse, TransferredRecord, UnlockedRecord,
    UseRevokedRecord, UsedRecord, VoidedRecord, invoice_party,
};

use super::letters;
use crate::auth::Caller;
use crate::feed::{Delivery, event_type};
use crate::invoice_state::reimbursement;
use crate::outcomes::DecidedStatement;
use crate::problem::Problem;
use crate::service::Service;
use crate::time::parse_ms;
use crate::views::{
    BookingTermsView, InvoiceView, LeafView, OutcomeView, PartyView, Prepared, RecordView, RefusalView,
    ReimbursementView, StandingView,
};

pub(super) fn ms(text: &str) -> i64 {
    parse_ms(text).unwrap_or_default()
}

/// A decided statement.
pub(crate) fn decided(statement: &DecidedStatement, fresh: bool) -> StatementResult {
    StatementResult {
        statement_id: statement.view.statement.clone(),
        state: StatementState::Decided.into(),
        height: statement.view.height.unwrap_or_default(),
        time_ms: statement.view.time.as_deref().map(ms).unwrap_or_default(),
        outcomes: statement.outcomes.iter().map(outcome).collect(),
        fresh,
    }
}

/// A statement that waits.
pub(crate) fn pending(statement_id: String) -> StatementResult {
    StatementResult { statement_id, state: StatementState::Pending.into(), ..StatementResult::default() }
}

/// What became of an event.
pub(crate) fn outcome(view: &OutcomeView) -> EventOutcome {
    EventOutcome {
        event_index: view.index,
        kind: view.kind.clone(),
        code: view.code.clone(),
        subject: view.subject.clone(),
        leaf_index: view.leaf_index,
        leaf_hash: view.leaf_hash.clone(),
        record: view.record.as_ref().and_then(record),
        original: view.original.as_ref().map(leaf),
        refusal: view.refusal.as_ref().map(refusal),
    }
}

/// An event of the feed, as its reader sees it.
pub(crate) fn delivery(delivery: &Delivery) -> SubscribeResponse {
    let (item, row) = (&delivery.item, delivery.row());
    let outcome = EventOutcome {
        event_index: 0,
        kind: row.kind.clone(),
        code: row.code.clone(),
        subject: item.subject.clone(),
        leaf_index: row.leaf_index,
        leaf_hash: row.leaf_hash.clone().unwrap_or_default(),
        record: row.record.as_ref().and_then(record),
        original: row.original.as_ref().map(leaf),
        refusal: row.refusal.as_ref().map(refusal),
    };
    let event = LedgerEvent {
        r#type: event_type(item.kind, &row.code),
        organisation: row.organisation.clone(),
        height: row.height,
        time_ms: ms(&row.time),
        statement_id: row.statement.clone().unwrap_or_default(),
        outcome: Some(outcome),
    };
    SubscribeResponse { cursor: item.cursor.to_string(), event: Some(event) }
}

fn refusal(view: &RefusalView) -> RefusalReason {
    RefusalReason {
        expected: view.expected.clone(),
        found: view.found.clone(),
        standing: view.standing.as_ref().map(standing),
    }
}

fn record(view: &RecordView) -> Option<Record> {
    let lease =
        |token: &Option<u64>, until: &str| LeaseRecord { token: token.unwrap_or_default(), until_ms: ms(until) };
    Some(match view {
        RecordView::Issued { invoice, issued_at, holder } => Record::Issued(IssuedRecord {
            invoice: invoice.clone(),
            issued_at_ms: ms(issued_at),
            holder: Some(party(holder)),
        }),
        RecordView::Transferred { from, to } => {
            Record::Transferred(TransferredRecord { from: Some(party(from)), to: Some(party(to)) })
        }
        RecordView::Locked { token, until } => Record::Locked(lease(token, until)),
        RecordView::Renewed { token, until } => Record::Renewed(lease(token, until)),
        RecordView::Unlocked { token } => Record::Unlocked(UnlockedRecord { token: token.unwrap_or_default() }),
        RecordView::Closed { token, closed_at } => {
            Record::Closed(ClosedRecord { token: token.unwrap_or_default(), closed_at_ms: ms(closed_at) })
        }
        RecordView::Voided { voided_at } => Record::Voided(VoidedRecord { voided_at_ms: ms(voided_at) }),
        RecordView::Filed { period, invoices, chain } => {
            Record::Filed(FiledRecord { period: period.clone(), invoices: *invoices, chain: chain.clone() })
        }
        RecordView::Reported { number, key } => Record::Reported(ReportedRecord { number: *number, key: key.clone() }),
        RecordView::Admitted { .. }
        | RecordView::Registered { .. }
        | RecordView::Suspended { .. }
        | RecordView::Reinstated { .. }
        | RecordView::Rotated { .. }
        | RecordView::RolesSet { .. }
        | RecordView::Renamed { .. }
        | RecordView::Mandated { .. }
        | RecordView::Revoked { .. }
        | RecordView::Attested { .. } => return record_of_members(view),
        RecordView::LeaseEnded { token, until } => Record::LeaseEnded(lease(token, until)),
        RecordView::Overridden { token, platform, enterprise, lock } => Record::Overridden(OverriddenRecord {
            token: token.unwrap_or_default(),
            platform: platform.clone(),
            enterprise: enterprise.clone(),
            lock: lock.as_ref().map(leaf),
        }),
        RecordView::QuotaGranted { .. }
        | RecordView::QuotaAdjusted { .. }
        | RecordView::QuotaPaused { .. }
        | RecordView::QuotaResumed { .. }
        | RecordView::Booked { .. }
        | RecordView::BookingAdjusted { .. }
        | RecordView::BookingRevoked { .. }
        | RecordView::Used { .. }
        | RecordView::UseRevoked { .. }
        | RecordView::Manifested { .. }
        | RecordView::Corrected { .. }
        | RecordView::Amended { .. }
        | RecordView::PaymentRequested { .. }
        | RecordView::PaymentDecided { .. } => return record_of_books(view),
        RecordView::SegmentGranted { .. }
        | RecordView::SegmentClosed { .. }
        | RecordView::IssuedOffline { .. }
        | RecordView::RedRequested { .. }
        | RecordView::RedConfirmed { .. }
        | RecordView::RedDenied { .. }
        | RecordView::RedWithdrawn { .. }
        | RecordView::RedIssued { .. } => return letters::record(view),
    })
}

/// The same of organisations and mandates.
fn record_of_members(view: &RecordView) -> Option<Record> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
    Some(match view {
        RecordView::Admitted { from_height } => Record::Admitted(AppliedRecord { from_height: *from_height }),
        RecordView::Registered { enterprises, from_height } => {
            Record::Registered(RegisteredRecord { enterprises: *enterprises, from_height: *from_height })
        }
        RecordView::Suspended { from_height } => Record::Suspended(AppliedRecord { from_height: *from_height }),
        RecordView::Reinstated { from_height } => Record::Reinstated(AppliedRecord { from_height: *from_height }),
        RecordView::Rotated { added, revoked, from_height } => {
            Record::Rotated(RotatedRecord { added: *added, revoked: *revoked, from_height: *from_height })
        }
        RecordView::RolesSet { former, from_height } => Record::RolesSet(RolesSetRecord {
            former: former.iter().map(|role| role.as_str().to_owned()).collect(),
            from_height: *from_height,
        }),
        RecordView::Renamed { former_name, former_taxpayer_id, from_height } => Record::Renamed(RenamedRecord {
            former_name: former_name.clone(),
            former_taxpayer_id: former_taxpayer_id.clone(),
            from_height: *from_height,
        }),
        RecordView::Mandated { replaced, from_height } => {
            Record::Mandated(MandatedRecord { replaced: *replaced, from_height: *from_height })
        }
        RecordView::Revoked { from_height } => Record::Revoked(AppliedRecord { from_height: *from_height }),
        RecordView::Attested { mandates, replaced, from_height } => {
            Record::Attested(AttestedRecord { mandates: *mandates, replaced: *replaced, from_height: *from_height })
        }
        _ => return None,
    })
}

/// The same of quotas, of what is in books and filed, and of what parties say.
fn record_of_books(view: &RecordView) -> Option<Record> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other record is about these")]
    Some(match view {
        RecordView::QuotaGranted { amount, used } => Record::QuotaGranted(quota(amount, used)),
        RecordView::QuotaAdjusted { former, amount, used } => Record::QuotaAdjusted(QuotaAdjustedRecord {
            former: former.clone(),
            amount: amount.clone(),
            used: used.clone(),
        }),
        RecordView::QuotaPaused { amount, used } => Record::QuotaPaused(quota(amount, used)),
        RecordView::QuotaResumed { amount, used } => Record::QuotaResumed(quota(amount, used)),
        RecordView::Booked { enterprise } => Record::Booked(BookedRecord { enterprise: enterprise.clone() }),
        RecordView::BookingAdjusted { enterprise, former } => Record::BookingAdjusted(BookingAdjustedRecord {
            enterprise: enterprise.clone(),
            former: Some(terms(former)),
        }),
        RecordView::BookingRevoked { enterprise, terms: former, booking } => {
            Record::BookingRevoked(BookingRevokedRecord {
                enterprise: enterprise.clone(),
                terms: Some(terms(former)),
                booking: Some(leaf(booking)),
            })
        }
        RecordView::Used { buyer, net, tax } => {
            Record::Used(UsedRecord { buyer: buyer.clone(), net: net.clone(), tax: tax.clone() })
        }
        RecordView::UseRevoked { buyer, purpose, period, used } => Record::UseRevoked(UseRevokedRecord {
            buyer: buyer.clone(),
            purpose: purpose.clone(),
            period: period.clone(),
            used: Some(leaf(used)),
        }),
        RecordView::Manifested { buyer, former } => {
            Record::Manifested(ManifestedRecord { buyer: buyer.clone(), former: former.clone().unwrap_or_default() })
        }
        RecordView::Corrected { number } => Record::Corrected(CorrectedRecord { number: *number }),
        RecordView::Amended { period, number, payable, carried } => Record::Amended(AmendedRecord {
            period: period.clone(),
            number: *number,
            payable: payable.clone(),
            carried: carried.clone(),
        }),
        RecordView::PaymentRequested { period, amount } => {
            Record::PaymentRequested(PaymentRequestedRecord { period: period.clone(), amount: amount.clone() })
        }
        RecordView::PaymentDecided { period, result, amount, request } => {
            Record::PaymentDecided(PaymentDecidedRecord {
                period: period.clone(),
                result: result.clone(),
                amount: amount.clone(),
                request: Some(leaf(request)),
            })
        }
        _ => return None,
    })
}

fn terms(view: &BookingTermsView) -> BookingTerms {
    BookingTerms { code: view.code.clone(), voucher: view.voucher.clone(), period: view.period.clone() }
}

fn quota(amount: &str, used: &str) -> QuotaRecord {
    QuotaRecord { amount: amount.to_owned(), used: used.to_owned() }
}

pub(super) fn leaf(view: &LeafView) -> LeafReference {
    LeafReference { leaf_index: view.leaf_index, leaf_hash: view.leaf_hash.clone() }
}

pub(super) fn party(view: &PartyView) -> InvoiceParty {
    let party = match view {
        PartyView::Taxpayer(id) => invoice_party::Party::Taxpayer(id.clone()),
        PartyView::Person(id) => invoice_party::Party::Person(id.clone()),
    };
    InvoiceParty { party: Some(party) }
}

/// The event in the way.
pub(crate) fn standing(view: &StandingView) -> StandingEvent {
    StandingEvent {
        holder: view.organisation.clone(),
        since_ms: ms(&view.since),
        until_ms: view.until.as_deref().map(ms),
        leaf_index: view.leaf_index,
        leaf_hash: view.leaf_hash.clone(),
    }
}

/// The bytes to sign.
pub(crate) fn prepared(view: Prepared) -> PreparedStatement {
    let Prepared { signing_input, header, payload, statement_id } = view;
    PreparedStatement { signing_input, header, payload, statement_id }
}

/// Whether an invoice stands.
pub(crate) fn validity(validity: Validity) -> InvoiceValidity {
    match validity {
        Validity::Normal => InvoiceValidity::Normal,
        Validity::Void => InvoiceValidity::Void,
        Validity::PartRed => InvoiceValidity::PartRed,
        Validity::FullRed => InvoiceValidity::FullRed,
    }
}

/// Where a reimbursement stands.
pub(crate) fn claim_status(status: Reimbursement) -> ClaimStatus {
    match status {
        Reimbursement::Open => ClaimStatus::Open,
        Reimbursement::Locked => ClaimStatus::Locked,
        Reimbursement::Closed => ClaimStatus::Closed,
    }
}

impl<S: Store> Service<S> {
    /// Where the reimbursement of an invoice stands, as a caller may see it.
    pub(crate) fn claim(&self, caller: &Caller, id: &InvoiceId, of: &InvoiceRecord) -> Result<Claim, Problem> {
        let now_ms = self.now_ms();
        let sees_lock = self.sees_lock(caller, of)?;
        let view = reimbursement(caller, &of.claim, now_ms, sees_lock);
        let reversal = self.reversal_of(id, of)?;
        Ok(letters::claim(claim(id, of, view, now_ms), of, reversal.as_ref()))
    }

    /// An invoice as a caller may see it.
    pub(crate) fn invoice_message(
        &self,
        of: &InvoiceRecord,
        id: &InvoiceId,
        view: InvoiceView,
    ) -> Result<Invoice, Problem> {
        let document = serde_json::to_string(&view.document).map_err(|error| Problem::fault(&error))?;
        let reversal = self.reversal_of(id, of)?;
        let claim = claim(id, of, view.reimbursement, self.now_ms());
        Ok(Invoice {
            id: view.id,
            code: view.code.unwrap_or_default(),
            number: view.number,
            profile: view.profile,
            validity: validity(of.validity).into(),
            claim: Some(letters::claim(claim, of, reversal.as_ref())),
            period: view.period,
            filed: view.filed,
            seller: view.seller,
            holder: Some(party(&view.holder)),
            issued_at_ms: of.issued_ms,
            date: view.date,
            check_code: view.check_code.unwrap_or_default(),
            net: view.totals.net,
            tax: view.totals.tax,
            gross: view.totals.gross,
            document,
            attachment: view.attachment,
            issue: Some(LeafReference { leaf_index: view.leaf_index, leaf_hash: view.leaf_hash }),
            qr: view.qr,
            sign: view.sign,
            reversal: view.reversal.as_deref().map(letters::reversal),
            red_letter: view.red_letter.as_deref().map(letters::red_letter),
            slip: view.slip.as_deref().map(letters::slip),
            offline: view.offline.as_deref().map(letters::offline),
            booking: view.booking.as_deref().and_then(letters::booking),
            vat_use: view.vat_use.as_deref().map(letters::purpose).unwrap_or_default(),
            vat_use_period: view.vat_use.and_then(|used| used.period).unwrap_or_default(),
        })
    }
}

fn claim(id: &InvoiceId, of: &InvoiceRecord, view: ReimbursementView, now_ms: i64) -> Claim {
    Claim {
        invoice: id.to_string(),
        status: claim_status(of.claim.at(now_ms)).into(),
        validity: validity(of.validity).into(),
        since_ms: view.since.as_deref().map(ms).unwrap_or_default(),
        until_ms: view.until.as_deref().map(ms),
        platform: view.platform.unwrap_or_default(),
        enterprise: view.enterprise.unwrap_or_default(),
        claim: view.claim.unwrap_or_default(),
        token: view.token.unwrap_or_default(),
        amount: of.totals.gross.to_string(),
        seller: of.seller.to_string(),
        left: of.totals.gross.to_string(),
        claw_back: String::new(),
    }
}
