//! What comes after a filing: amendments, payment orders, and what became of them.
//!
//! A payment goes declared → requested → paid or failed; what failed is ordered again under another id. Only one order of
//! a month is under way, for all that is left to pay: so the sum of what is paid and requested is never more than what was
//! to be paid when it was ordered.
//!
//! What became of an order the taxpayer says, whoever files for it, or the tax bureau, to which the treasury reports. The
//! ledger knows which agency is the tax bureau; it does not know which one is a bank, and an agency of another kind has no
//! part in what a taxpayer pays.

use chain::hash::StatementId;
use chain::identity::OrganisationId;
use invoice::amount::Amount;
use invoice::date::Period;

use super::bookkeeping::NO_LEAF;
use super::filing::{beyond_any_amount, without_invoices};
use super::{Accepted, Change, Decision, Executor, permit, refuse, repeated};
use crate::event::{Amend, OrderId, PayRequest, PayResult, PaymentResult};
use crate::filing::{
    AMENDMENTS_MAX, AmendmentRecord, DecidedPayment, Due, DuesRecord, Filed, ORDERS_MAX, PaymentRecord,
};
use crate::organisation::{Organisation, Scope};
use crate::outcome::Record;
use crate::record::LeafRef;
use crate::refusal::{Reason, Refusal, Standing};
use crate::state::{Fault, StateKey, read};

/// An amendment about to be written: everything but the leaf.
pub(super) struct AmendChange {
    taxpayer: OrganisationId,
    period: Period,
    record: AmendmentRecord,
    dues: DuesRecord,
}

/// A payment order about to be written, ordered or decided: everything but the leaf.
pub(super) struct PaymentChange {
    taxpayer: OrganisationId,
    order: OrderId,
    record: PaymentRecord,
    dues: DuesRecord,
}

impl Executor<'_> {
    pub(super) fn decide_amend(&self, actor: &Organisation, amend: &Amend) -> Decision {
        let Amend { taxpayer, period, number, reason, uninvoiced } = amend;
        let filed = permit!(self.filed_month(actor, taxpayer, *period)?);
        let next = filed.dues.amendments + 1;
        if (1..next).contains(number) {
            let key = StateKey::amendment(taxpayer, *period, *number);
            let Some(former) = read::<AmendmentRecord>(&self.state, &key)? else {
                return Err(Fault::Missing { key: key.to_string() });
            };
            return amended_before(&former, amend);
        }
        if *number != next {
            return refuse(Refusal::new(Reason::AmendmentNumber, next.to_string(), number.to_string()));
        }
        if next > AMENDMENTS_MAX {
            let expected = format!("at most {AMENDMENTS_MAX} amendments");
            return refuse(Refusal::new(Reason::AmendmentsSpent, expected, number.to_string()));
        }
        if filed.uninvoiced() == uninvoiced {
            return refuse(Refusal::new(Reason::AmendmentUnchanged, "a change", "the same sales without invoices"));
        }
        let Some(due) = Due::of(&filed.filing.output, uninvoiced, &filed.declared.input) else {
            return refuse(beyond_any_amount());
        };
        permit!(self.covers_what_is_requested(taxpayer, &filed, due)?);
        let record = AmendmentRecord {
            reason: *reason,
            uninvoiced: uninvoiced.clone(),
            due,
            amended_ms: self.context.time_ms,
            by: actor.id.clone(),
            leaf: NO_LEAF,
        };
        let dues = DuesRecord { amendments: next, ..filed.dues };
        let Due { payable, carried } = due;
        Ok(Ok(Accepted {
            record: Record::Amended { period: *period, number: next, payable, carried },
            change: Change::Amend(Box::new(AmendChange { taxpayer: taxpayer.clone(), period: *period, record, dues })),
            mandated: *taxpayer != actor.id,
        }))
    }

    pub(super) fn decide_pay_request(&self, actor: &Organisation, request: &PayRequest) -> Decision {
        let PayRequest { taxpayer, period, order, amount } = request;
        let filed = permit!(self.filed_month(actor, taxpayer, *period)?);
        if let Some(former) = read::<PaymentRecord>(&self.state, &StateKey::payment(taxpayer, order))? {
            if (former.period, former.amount) == (*period, *amount) {
                return repeated(former.leaf);
            }
            let (expected, found) =
                (format!("{} for {}", former.amount, former.period), format!("{amount} for {period}"));
            return refuse(Refusal::new(Reason::OrderReused, expected, found).because_of(former.standing()));
        }
        if let Some(newest) = self.under_way(taxpayer, &filed)? {
            let found = format!("{} requested", newest.amount);
            let refusal = Refusal::new(Reason::PaymentUnderWay, "a month without a payment under way", found);
            return refuse(refusal.because_of(newest.standing()));
        }
        let Due { payable, .. } = filed.due();
        let paid = filed.dues.paid;
        let open_fen = filed.open_fen();
        if open_fen <= 0 {
            let found = format!("{payable} payable, {paid} paid");
            return refuse(Refusal::new(Reason::NothingDue, "something left to pay", found));
        }
        if i128::from(amount.fen()) != open_fen {
            let left = Amount::try_from_fen(open_fen).map_err(|_| Fault::Sums { party: taxpayer.to_string() })?;
            let expected = format!("{left}: {payable} payable, {paid} paid");
            return refuse(Refusal::new(Reason::PaymentAmount, expected, amount.to_string()));
        }
        if filed.dues.orders.len() >= ORDERS_MAX {
            let found = filed.dues.orders.len().to_string();
            return refuse(Refusal::new(Reason::OrdersSpent, format!("at most {ORDERS_MAX} orders"), found));
        }
        let record = PaymentRecord {
            period: *period,
            amount: *amount,
            requested_ms: self.context.time_ms,
            by: actor.id.clone(),
            leaf: NO_LEAF,
            decided: None,
        };
        let mut dues = filed.dues;
        dues.requested = Some(*amount);
        dues.orders.push(order.clone());
        let change = PaymentChange { taxpayer: taxpayer.clone(), order: order.clone(), record, dues };
        Ok(Ok(Accepted {
            record: Record::PaymentRequested { period: *period, amount: *amount },
            change: Change::Payment(Box::new(change)),
            mandated: *taxpayer != actor.id,
        }))
    }

    pub(super) fn decide_pay_result(&self, actor: &Organisation, said: &PayResult) -> Decision {
        let PayResult { taxpayer, period, order, result, receipt } = said;
        let by_bureau = actor.id == self.parameters.tax_bureau && *taxpayer != actor.id;
        if !by_bureau {
            permit!(self.mandated(actor, taxpayer, Scope::File)?);
        }
        let payment = read::<PaymentRecord>(&self.state, &StateKey::payment(taxpayer, order))?;
        let Some(mut record) = payment.filter(|payment| payment.period == *period) else {
            let found = format!("{order} for {period}");
            return refuse(Refusal::new(Reason::OrderUnknown, "a payment order of that month", found));
        };
        if let Some(DecidedPayment { result: former, receipt: of, decided_ms, by, leaf }) = &record.decided {
            if (former, of) == (result, receipt) {
                return repeated(*leaf);
            }
            let standing = Standing { organisation: by.clone(), since_ms: *decided_ms, until_ms: None, leaf: *leaf };
            let (expected, found) = (format!("{former}, {of}"), format!("{result}, {receipt}"));
            return refuse(Refusal::new(Reason::PaymentDecided, expected, found).because_of(standing));
        }
        let key = StateKey::dues(taxpayer, *period);
        let Some(mut dues) = read::<DuesRecord>(&self.state, &key)? else {
            return Err(Fault::Missing { key: key.to_string() });
        };
        dues.requested = None;
        if *result == PaymentResult::Paid {
            let paid = dues.paid.checked_add(record.amount);
            dues.paid = paid.map_err(|_| Fault::Sums { party: taxpayer.to_string() })?;
        }
        let (amount, request) = (record.amount, record.leaf);
        record.decided = Some(DecidedPayment {
            result: *result,
            receipt: *receipt,
            decided_ms: self.context.time_ms,
            by: actor.id.clone(),
            leaf: request,
        });
        let change = PaymentChange { taxpayer: taxpayer.clone(), order: order.clone(), record, dues };
        Ok(Ok(Accepted {
            record: Record::PaymentDecided { period: *period, result: *result, amount, request },
            change: Change::Payment(Box::new(change)),
            mandated: !by_bureau && *taxpayer != actor.id,
        }))
    }

    pub(super) fn apply_amendment(&mut self, amend: AmendChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let AmendChange { taxpayer, period, mut record, dues } = amend;
        record.leaf = leaf;
        self.state.put(StateKey::amendment(&taxpayer, period, dues.amendments), &by.hash(), &record)?;
        self.state.put(StateKey::dues(&taxpayer, period), &by.hash(), &dues)
    }

    pub(super) fn apply_payment(
        &mut self,
        payment: PaymentChange,
        by: StatementId,
        leaf: LeafRef,
    ) -> Result<(), Fault> {
        let PaymentChange { taxpayer, order, mut record, dues } = payment;
        match &mut record.decided {
            Some(decided) => decided.leaf = leaf,
            None => record.leaf = leaf,
        }
        self.state.put(StateKey::dues(&taxpayer, record.period), &by.hash(), &dues)?;
        self.state.put(StateKey::payment(&taxpayer, &order), &by.hash(), &record)
    }

    /// A month that the actor may amend and pay for, and that is filed.
    fn filed_month(
        &self,
        actor: &Organisation,
        taxpayer: &OrganisationId,
        period: Period,
    ) -> Result<Result<Filed, Refusal>, Fault> {
        if let Err(refusal) = self.mandated(actor, taxpayer, Scope::File)? {
            return Ok(Err(refusal));
        }
        let found = || format!("{period}, which is not");
        Ok(Filed::read(&self.state, taxpayer, period)?
            .ok_or_else(|| Refusal::new(Reason::NotFiled, "a month that is filed", found())))
    }

    /// The payment order whose result is not known yet.
    fn under_way(&self, taxpayer: &OrganisationId, filed: &Filed) -> Result<Option<PaymentRecord>, Fault> {
        match (filed.dues.requested, filed.dues.orders.last()) {
            (Some(_), Some(newest)) => {
                let key = StateKey::payment(taxpayer, newest);
                read(&self.state, &key)?.map(Some).ok_or_else(|| Fault::Missing { key: key.to_string() })
            }
            (None, _) | (_, None) => Ok(None),
        }
    }

    /// Refuses an amendment that leaves less to pay than an order under way will have paid: who knows that it overpays
    /// stops the order first. What was paid already is no hindrance; a return must be put right.
    fn covers_what_is_requested(
        &self,
        taxpayer: &OrganisationId,
        filed: &Filed,
        due: Due,
    ) -> Result<Result<(), Refusal>, Fault> {
        let Some(newest) = self.under_way(taxpayer, filed)? else { return Ok(Ok(())) };
        let fen = |amount: Amount| i128::from(amount.fen());
        if fen(due.payable) >= fen(filed.dues.paid) + fen(newest.amount) {
            return Ok(Ok(()));
        }
        let expected = format!("no less than {} paid and {} requested", filed.dues.paid, newest.amount);
        let refusal = Refusal::new(Reason::PaymentUnderWay, expected, format!("{} payable", due.payable));
        Ok(Err(refusal.because_of(newest.standing())))
    }
}

/// The same amendment again is answered with the first; another under its number is refused.
fn amended_before(former: &AmendmentRecord, amend: &Amend) -> Decision {
    if (former.reason, &former.uninvoiced) == (amend.reason, &amend.uninvoiced) {
        return repeated(former.leaf);
    }
    let text = |reason: crate::event::AmendReason, totals| format!("{}{}", reason.as_str(), without_invoices(totals));
    let standing =
        Standing { organisation: former.by.clone(), since_ms: former.amended_ms, until_ms: None, leaf: former.leaf };
    let (expected, found) = (text(former.reason, &former.uninvoiced), text(amend.reason, &amend.uninvoiced));
    refuse(Refusal::new(Reason::AmendmentReused, expected, found).because_of(standing))
}
