//! Slips: what seller and buyer agree on before a red letter takes back what others rely on.

use chain::hash::StatementId;
use chain::identity::OrganisationId;
use invoice::id::InvoiceId;
use invoice::lifecycle::{Action, Relation, decide};

use super::bookkeeping::NO_LEAF;
use super::{Accepted, Change, Decision, Executor, permit, refuse};
use crate::event::{RedConfirm, RedDeny, RedRequest, RedWithdraw};
use crate::organisation::{Organisation, Scope};
use crate::outcome::Record;
use crate::record::{InvoiceRecord, LeafRef};
use crate::red::{SLIP_MS, SlipAnswer, SlipAnswerKind, SlipRecord, SlipSide, SlipState};
use crate::refusal::{Reason, Refusal};
use crate::state::{Fault, StateKey, read};

/// A slip about to be written: everything but the leaf of what was said last.
pub(super) struct SlipChange {
    pub(super) invoice: InvoiceId,
    pub(super) record: SlipRecord,
}

/// What a party does with a slip that was requested, and which party may.
#[derive(Clone, Copy)]
enum Step {
    Confirm,
    Deny,
    Withdraw,
}

impl Executor<'_> {
    pub(super) fn decide_red_request(&self, actor: &Organisation, request: &RedRequest) -> Decision {
        let RedRequest { invoice, document, reason, take } = request;
        let blue = permit!(self.invoice(invoice)?);
        let other = self.other_side(invoice, &blue)?;
        let side = permit!(self.asking_side(actor, invoice, &blue, other.as_ref())?);
        // The table of statuses is the same as for the letter itself.
        if let Err(barrier) = decide(Action::Red, self.status(&blue)?, Relation::Seller) {
            return refuse(self.refusal(barrier, actor, invoice, &blue));
        }
        let Some(other) = other else {
            let expected = "a buyer on the ledger, or who holds or reimbursed the invoice";
            return refuse(Refusal::new(Reason::NoOtherSide, expected, "none"));
        };
        let now = self.context.time_ms;
        let before = self.slip(invoice)?;
        if let Some(before) = &before {
            let state = self.slip_state(invoice, &blue, before)?;
            if matches!(state, SlipState::Requested | SlipState::Confirmed) {
                let found = format!("slip {}, {}", before.number, state.as_str());
                let refusal = Refusal::new(Reason::SlipOpen, "an invoice without an open slip", found);
                return refuse(refusal.because_of(before.standing()));
            }
        }
        let taken = permit!(self.taken(invoice, &blue, document, take)?);
        let slip = SlipRecord {
            number: before.map_or(0, |slip| slip.number).saturating_add(1),
            asked_by: side,
            seller: blue.seller,
            other,
            by: actor.id.clone(),
            reason: *reason,
            parts: taken.parts,
            totals: taken.amounts.totals,
            requested_ms: now,
            leaf: NO_LEAF,
            answer: None,
        };
        let record = Record::RedRequested {
            slip: slip.number,
            asked_by: side,
            other: slip.party(opposite(side)).clone(),
            net: slip.totals.net,
            tax: slip.totals.tax,
            until_ms: now.saturating_add(SLIP_MS),
        };
        let mandated = *slip.party(side) != actor.id;
        let change = Change::Slip(Box::new(SlipChange { invoice: *invoice, record: slip }));
        Ok(Ok(Accepted { record, change, mandated }))
    }

    pub(super) fn decide_red_confirm(&self, actor: &Organisation, confirm: &RedConfirm) -> Decision {
        self.decide_answer(actor, &confirm.invoice, confirm.slip, Step::Confirm)
    }

    pub(super) fn decide_red_deny(&self, actor: &Organisation, deny: &RedDeny) -> Decision {
        self.decide_answer(actor, &deny.invoice, deny.slip, Step::Deny)
    }

    pub(super) fn decide_red_withdraw(&self, actor: &Organisation, withdraw: &RedWithdraw) -> Decision {
        self.decide_answer(actor, &withdraw.invoice, withdraw.slip, Step::Withdraw)
    }

    fn decide_answer(&self, actor: &Organisation, invoice: &InvoiceId, number: u32, step: Step) -> Decision {
        let blue = permit!(self.invoice(invoice)?);
        let slip = self.slip(invoice)?;
        let other = match &slip {
            Some(slip) => Some(slip.other.clone()),
            None => self.other_side(invoice, &blue)?,
        };
        let Some(mut slip) = slip.filter(|slip| slip.number == number) else {
            permit!(self.asking_side(actor, invoice, &blue, other.as_ref())?);
            let found = format!("slip {number}");
            return refuse(Refusal::new(Reason::SlipUnknown, "the newest slip of the invoice", found));
        };
        let side = match step {
            Step::Confirm | Step::Deny => opposite(slip.asked_by),
            Step::Withdraw => slip.asked_by,
        };
        if let Some(permitted) = self.as_side(actor, side, slip.party(side))? {
            permit!(permitted);
        } else {
            permit!(self.asking_side(actor, invoice, &blue, other.as_ref())?);
            let expected = slip.party(side).to_string();
            return refuse(Refusal::new(Reason::SlipSide, expected, actor.id.to_string()));
        }
        let state = self.slip_state(invoice, &blue, &slip)?;
        match (state, step) {
            (SlipState::Requested, _) | (SlipState::Confirmed, Step::Withdraw) => {}
            (SlipState::Superseded, _) => return refuse(superseded(&slip)),
            (SlipState::Lapsed, _) => {
                let expected = format!("an answer before {}", slip.until_ms());
                let found = self.context.time_ms.to_string();
                let refusal = Refusal::new(Reason::SlipLapsed, expected, found);
                return refuse(refusal.because_of(slip.standing()));
            }
            (SlipState::Confirmed | SlipState::Denied | SlipState::Withdrawn | SlipState::Spent, _) => {
                let refusal = Refusal::new(Reason::SlipAnswered, "a slip that is open", state.as_str());
                return refuse(refusal.because_of(slip.standing()));
            }
        }
        let request = slip.leaf;
        let (kind, record) = match step {
            Step::Confirm => (SlipAnswerKind::Confirmed, Record::RedConfirmed { slip: number, request }),
            Step::Deny => (SlipAnswerKind::Denied, Record::RedDenied { slip: number, request }),
            Step::Withdraw => (SlipAnswerKind::Withdrawn, Record::RedWithdrawn { slip: number, request }),
        };
        slip.answer = Some(self.answer(kind, &actor.id));
        let mandated = *slip.party(side) != actor.id;
        let change = Change::Slip(Box::new(SlipChange { invoice: *invoice, record: slip }));
        Ok(Ok(Accepted { record, change, mandated }))
    }

    /// An answer whose leaf is not known yet; `apply_slip` sets it.
    pub(super) fn answer(&self, kind: SlipAnswerKind, by: &OrganisationId) -> SlipAnswer {
        SlipAnswer { kind, by: by.clone(), answered_ms: self.context.time_ms, leaf: NO_LEAF }
    }

    /// Where a slip stands now: what a former holder agreed to binds nobody who relies on the invoice since.
    pub(super) fn slip_state(
        &self,
        id: &InvoiceId,
        blue: &InvoiceRecord,
        slip: &SlipRecord,
    ) -> Result<SlipState, Fault> {
        Ok(slip.state_at(self.context.time_ms, self.other_side(id, blue)?.as_ref()))
    }

    /// The newest slip of a blue.
    pub(super) fn slip(&self, blue: &InvoiceId) -> Result<Option<SlipRecord>, Fault> {
        read(&self.state, &StateKey::slip(blue))
    }

    pub(super) fn apply_slip(&mut self, change: SlipChange, by: StatementId, leaf: LeafRef) -> Result<(), Fault> {
        let SlipChange { invoice, mut record } = change;
        match &mut record.answer {
            Some(answer) => answer.leaf = leaf,
            None => record.leaf = leaf,
        }
        self.state.put(StateKey::slip(&invoice), &by.hash(), &record)
    }

    /// Which side of a blue the actor is or acts for; the seller's before the other.
    fn asking_side(
        &self,
        actor: &Organisation,
        id: &InvoiceId,
        blue: &InvoiceRecord,
        other: Option<&OrganisationId>,
    ) -> Result<Result<SlipSide, Refusal>, Fault> {
        let mut hindered = None;
        for (side, party) in [(SlipSide::Seller, Some(&blue.seller)), (SlipSide::Buyer, other)] {
            let Some(party) = party else { continue };
            match self.as_side(actor, side, party)? {
                Some(Ok(())) => return Ok(Ok(side)),
                Some(Err(refusal)) => hindered = hindered.or(Some(refusal)),
                None => {}
            }
        }
        match hindered {
            Some(refusal) => Ok(Err(refusal)),
            None => self.refused_another_part(actor, id, blue).map(Err),
        }
    }

    /// Whether the actor may speak for a side: it issues for the seller, it keeps the books of the other.
    fn as_side(
        &self,
        actor: &Organisation,
        side: SlipSide,
        party: &OrganisationId,
    ) -> Result<Option<Result<(), Refusal>>, Fault> {
        let scope = match side {
            SlipSide::Seller => Scope::Issue,
            SlipSide::Buyer => Scope::File,
        };
        self.may_act(actor, party, scope)
    }
}

/// The refusal of a slip with somebody who is no longer the other side.
pub(super) fn superseded(slip: &SlipRecord) -> Refusal {
    let expected = "a slip between the seller and who relies on the invoice now";
    let found = format!("slip {} with {}", slip.number, slip.other);
    Refusal::new(Reason::SlipSuperseded, expected, found).because_of(slip.standing())
}

const fn opposite(side: SlipSide) -> SlipSide {
    match side {
        SlipSide::Seller => SlipSide::Buyer,
        SlipSide::Buyer => SlipSide::Seller,
    }
}
